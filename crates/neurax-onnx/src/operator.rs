//! An operator: name, versions, attributes and rule.
//!
//! A version of an operator set (an "opset") gives each operator the newest rule that it had then:
//! opset 12 has the `Softmax` of version 11. A rule gets this version and covers all of them. An
//! operator is one row of the table of its family in `ops/`, and one function.

use crate::call::{NodeCall, RuleOutcome};
use neurax_ir::Error;
use std::ops::RangeInclusive;

/// The default domain, whose name in files is empty or `ai.onnx`.
pub(crate) const DEFAULT_DOMAIN: &str = "";
/// The domain of the operators of ONNX Runtime.
pub(crate) const MICROSOFT: &str = "com.microsoft";

/// An operator.
#[derive(Debug)]
pub(crate) struct Operator {
    pub(crate) domain: &'static str,
    pub(crate) name: &'static str,
    /// The versions that change the rule or the types, in ascending order.
    pub(crate) since: &'static [i64],
    /// The version that removes the operator.
    pub(crate) until: Option<i64>,
    /// The numbers of inputs, absent ones included.
    pub(crate) inputs: RangeInclusive<usize>,
    /// The attributes of all versions.
    pub(crate) attributes: &'static [&'static str],
    pub(crate) rule: OperatorRule,
    pub(crate) draws: Draws,
    /// True if the sizes of the results depend on the elements of the inputs.
    pub(crate) is_data_dependent: bool,
    /// The reason why the operator is refused, and what to do; `None` if it has a rule.
    pub(crate) refusal: Option<&'static str>,
}

/// When the results of an operator are random numbers, so that those of calls differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Draws {
    Never,
    /// Unless the node has a seed.
    WithoutSeed,
    /// In training mode, unless the node has a seed: `Dropout`.
    InTraining,
}

/// The rule of an operator: computes the outputs of a call.
pub(crate) type OperatorRule = fn(&NodeCall) -> RuleOutcome;

/// Creates an operator of the default domain without attributes.
pub(crate) const fn op(
    name: &'static str,
    since: &'static [i64],
    inputs: RangeInclusive<usize>,
    rule: OperatorRule,
) -> Operator {
    let (domain, attributes) = (DEFAULT_DOMAIN, &[]);
    Operator {
        domain,
        name,
        since,
        until: None,
        inputs,
        attributes,
        rule,
        draws: Draws::Never,
        is_data_dependent: false,
        refusal: None,
    }
}

/// Creates an operator that is refused whatever its inputs are: `why` says what to do.
pub(crate) const fn refused(
    domain: &'static str,
    name: &'static str,
    why: &'static str,
) -> Operator {
    let mut refused = op(name, &[1], 0..=usize::MAX, no_rule).domain(domain);
    refused.refusal = Some(why);
    refused
}

/// Fails: the rule of refused operators, which no node of a model that was read has.
fn no_rule(_: &NodeCall) -> RuleOutcome {
    Err(Error::bug("a refused operator is called").into())
}

impl Operator {
    /// Sets the attributes.
    pub(crate) const fn attributes(mut self, names: &'static [&'static str]) -> Operator {
        self.attributes = names;
        self
    }

    /// Sets the domain.
    pub(crate) const fn domain(mut self, domain: &'static str) -> Operator {
        self.domain = domain;
        self
    }

    /// Marks an operator of random numbers.
    pub(crate) const fn random(mut self) -> Operator {
        self.draws = Draws::WithoutSeed;
        self
    }

    /// Marks an operator of random numbers in training mode.
    pub(crate) const fn random_in_training(mut self) -> Operator {
        self.draws = Draws::InTraining;
        self
    }

    /// Marks an operator whose results have sizes that depend on the elements of its inputs.
    pub(crate) const fn data_dependent(mut self) -> Operator {
        self.is_data_dependent = true;
        self
    }

    /// Sets the version that removes the operator.
    pub(crate) const fn until(mut self, version: i64) -> Operator {
        self.until = Some(version);
        self
    }
}
