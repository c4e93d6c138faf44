//! An operator: name, versions, attributes and rule.
//!
//! A version of an operator set (an "opset") gives each operator the newest rule that it had then:
//! opset 12 has the `Softmax` of version 11. A rule gets this version and covers all of them. An
//! operator is one row of the table of its family in `ops/`, and one function.

use crate::call::{NodeCall, RuleOutcome};
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
    /// True if the results are random numbers: those of calls differ, unless a seed is given.
    pub(crate) is_random: bool,
    /// True if the sizes of the results depend on the elements of the inputs.
    pub(crate) is_data_dependent: bool,
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
    let (until, is_random, is_data_dependent) = (None, false, false);
    Operator { domain, name, since, until, inputs, attributes, rule, is_random, is_data_dependent }
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
        self.is_random = true;
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
