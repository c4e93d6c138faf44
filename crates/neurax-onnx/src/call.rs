//! A call of an operator: what its rule gets.

use crate::draw_keys::{LayerKeys, process_key};
use crate::elements::utf8;
use crate::graph::{Attribute, Attributes, OnnxGraph, OnnxNode};
use crate::loop_budget::LoopBudget;
use crate::value::{OnnxValue, Strings};
use neurax_ir::{DType, Error};
use neurax_tensor::{Key, Tensor};
use std::sync::Arc;

/// The result of a rule: the outputs by position. There may be fewer than the node lists if the
/// others are not wanted, or more.
pub(crate) type RuleOutcome = Result<Vec<OnnxValue>, RuleFailure>;

/// The reason why a rule has no result.
#[derive(Debug)]
pub(crate) enum RuleFailure {
    /// The value of this input must be known before the node is compiled: it has a part in the
    /// shapes of the outputs.
    NeedsValue(usize),
    /// The same, for all inputs and captured values: a node in the body of a branch or loop needs
    /// one.
    NeedsValues,
    /// The node is invalid for its inputs.
    Error(Error),
}

impl From<Error> for RuleFailure {
    fn from(e: Error) -> RuleFailure {
        RuleFailure::Error(e)
    }
}

/// Returns the outcome of an operator with one output.
pub(crate) fn one(y: impl Into<OnnxValue>) -> RuleOutcome {
    Ok(vec![y.into()])
}

/// Returns the failure of a rule.
pub(crate) fn fail<T>(why: impl Into<String>) -> Result<T, RuleFailure> {
    Err(RuleFailure::Error(Error::new("onnx", why)))
}

/// The values around a call.
pub(crate) trait Scope: Send + Sync {
    /// Returns the attributes of the call of the function that the node is inside of.
    fn attributes(&self) -> Option<&Attributes>;

    /// Returns true if both branches of a condition without a known value are to be traced.
    /// Otherwise the value is asked for first.
    fn traces_branches(&self) -> bool;

    /// Returns the keys for random numbers of a layer of a network; `None` outside of networks.
    fn keys(&self) -> Option<&LayerKeys>;

    /// Returns the iterations that loops may have.
    fn budget(&self) -> &LoopBudget;

    /// Returns true if an iteration may be traced as one of several copies of a body.
    fn may_copy(&self) -> bool;

    /// Evaluates the body of a branch, which may use values of the scope.
    fn run(&self, body: &OnnxGraph, inputs: Vec<OnnxValue>) -> RuleOutcome;

    /// Evaluates the body of a loop, and takes an iteration. `is_known` says that the node's inputs
    /// are.
    fn iterate(&self, body: &OnnxGraph, inputs: Vec<OnnxValue>, is_known: bool) -> RuleOutcome;

    /// Returns the value `y` of the node's graph as a function of other values of it.
    fn value_of(
        &self,
        y: &str,
        names: &[&str],
        values: Vec<OnnxValue>,
    ) -> Result<OnnxValue, RuleFailure>;
}

/// A call of an operator.
pub(crate) struct NodeCall<'c> {
    node: &'c OnnxNode,
    version: i64,
    inputs: &'c [Option<OnnxValue>],
    scope: &'c dyn Scope,
    /// True if no input or captured value is traced.
    is_known: bool,
}

impl<'c> NodeCall<'c> {
    pub(crate) fn new(
        node: &'c OnnxNode,
        version: i64,
        inputs: &'c [Option<OnnxValue>],
        scope: &'c dyn Scope,
        is_known: bool,
    ) -> NodeCall<'c> {
        NodeCall { node, version, inputs, scope, is_known }
    }

    /// Returns the version that introduced the rule: 11 for `Softmax` in opset 12.
    pub(crate) fn version(&self) -> i64 {
        self.version
    }

    // Inputs.

    /// Returns the number of inputs, absent ones included.
    pub(crate) fn count(&self) -> usize {
        self.inputs.len()
    }

    /// Returns input `i`, which may be absent.
    pub(crate) fn optional_value(&self, i: usize) -> Option<&OnnxValue> {
        self.inputs.get(i).and_then(Option::as_ref)
    }

    /// Returns input `i`.
    pub(crate) fn value(&self, i: usize) -> Result<&OnnxValue, RuleFailure> {
        match self.optional_value(i) {
            Some(x) => Ok(x),
            None => fail(format!("input {i} is missing")),
        }
    }

    /// Returns input `i`, a tensor.
    pub(crate) fn x(&self, i: usize) -> Result<Tensor, RuleFailure> {
        match self.value(i)? {
            OnnxValue::Tensor(x) => Ok(x.clone()),
            other => fail(format!("expected a tensor as input {i}, got {}", other.kind())),
        }
    }

    /// Returns input `i`, a tensor, if it is present.
    pub(crate) fn maybe(&self, i: usize) -> Result<Option<Tensor>, RuleFailure> {
        self.optional_value(i).map(|_| self.x(i)).transpose()
    }

    /// Returns input `i`, strings.
    pub(crate) fn strings(&self, i: usize) -> Result<&Strings, RuleFailure> {
        match self.value(i)? {
            OnnxValue::Strings(x) => Ok(x),
            other => fail(format!("expected strings as input {i}, got {}", other.kind())),
        }
    }

    /// Returns input `i`, a sequence.
    pub(crate) fn sequence(&self, i: usize) -> Result<&[OnnxValue], RuleFailure> {
        match self.value(i)? {
            OnnxValue::Sequence(xs) => Ok(xs),
            other => fail(format!("expected a sequence as input {i}, got {}", other.kind())),
        }
    }

    /// Returns all inputs, tensors.
    pub(crate) fn xs(&self) -> Result<Vec<Tensor>, RuleFailure> {
        (0..self.count()).map(|i| self.x(i)).collect()
    }

    /// Returns input `i`, a tensor whose value the rule needs to know.
    pub(crate) fn known(&self, i: usize) -> Result<Tensor, RuleFailure> {
        let x = self.x(i)?;
        if x.is_traced() { Err(RuleFailure::NeedsValue(i)) } else { Ok(x) }
    }

    /// Returns the known integers of input `i`; `None` if it is absent.
    pub(crate) fn known_ints(&self, i: usize) -> Result<Option<Vec<i64>>, RuleFailure> {
        if self.optional_value(i).is_none() {
            return Ok(None);
        }
        let x = self.known(i)?;
        if !x.dtype().is_int() {
            return fail(format!("expected integers as input {i}, got {}", x.ty()?));
        }
        Ok(Some(x.to(DType::I64).to_vec()?))
    }

    /// Returns the known integer of input `i`, a tensor of one element; `None` if it is absent.
    pub(crate) fn known_int(&self, i: usize) -> Result<Option<i64>, RuleFailure> {
        match self.known_ints(i)?.as_deref() {
            None => Ok(None),
            Some(&[n]) => Ok(Some(n)),
            Some(ns) => fail(format!("expected one integer as input {i}, got {}", ns.len())),
        }
    }

    /// Returns the known numbers of input `i` as f64; `None` if it is absent.
    pub(crate) fn known_floats(&self, i: usize) -> Result<Option<Vec<f64>>, RuleFailure> {
        if self.optional_value(i).is_none() {
            return Ok(None);
        }
        Ok(Some(self.known(i)?.to_literal()?.to_f64s()))
    }

    // Outputs.

    /// Returns the number of outputs that the node lists.
    pub(crate) fn outputs(&self) -> usize {
        self.node.outputs.len()
    }

    /// Returns true if output `i` is wanted.
    pub(crate) fn wants(&self, i: usize) -> bool {
        self.node.outputs.get(i).is_some_and(|name| !name.is_empty())
    }

    // Attributes.

    /// Returns an attribute, those of an enclosing function in place of references to them.
    pub(crate) fn attribute(&self, name: &str) -> Option<&'c Attribute> {
        resolved(self.node.attributes.get(name)?, self.scope.attributes())
    }

    /// Returns true if the node has this attribute.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    /// Returns an integer attribute.
    pub(crate) fn int(&self, name: &str) -> Result<Option<i64>, RuleFailure> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::Int(i)) => Ok(Some(*i)),
            Some(other) => wrong(name, "an integer", other),
        }
    }

    /// Returns an integer attribute or its default.
    pub(crate) fn int_or(&self, name: &str, default: i64) -> Result<i64, RuleFailure> {
        Ok(self.int(name)?.unwrap_or(default))
    }

    /// Returns an integer attribute that is 0 or 1 as a bool; absent ones are `default`.
    pub(crate) fn flag(&self, name: &str, default: bool) -> Result<bool, RuleFailure> {
        match self.int(name)? {
            None => Ok(default),
            Some(0) => Ok(false),
            Some(1) => Ok(true),
            Some(other) => fail(format!("expected 0 or 1 as attribute `{name}`, got {other}")),
        }
    }

    /// Returns a float attribute.
    pub(crate) fn float(&self, name: &str) -> Result<Option<f32>, RuleFailure> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::Float(x)) => Ok(Some(*x)),
            Some(other) => wrong(name, "a float", other),
        }
    }

    /// Returns a float attribute or its default.
    pub(crate) fn float_or(&self, name: &str, default: f32) -> Result<f32, RuleFailure> {
        Ok(self.float(name)?.unwrap_or(default))
    }

    /// Returns a string attribute.
    pub(crate) fn str(&self, name: &str) -> Result<Option<String>, RuleFailure> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::String(s)) => Ok(Some(utf8(s)?)),
            Some(other) => wrong(name, "a string", other),
        }
    }

    /// Returns a string attribute or its default.
    pub(crate) fn str_or(&self, name: &str, default: &str) -> Result<String, RuleFailure> {
        Ok(self.str(name)?.unwrap_or_else(|| default.into()))
    }

    /// Returns an attribute of integers.
    pub(crate) fn ints(&self, name: &str) -> Result<Option<&'c [i64]>, RuleFailure> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::Ints(xs)) => Ok(Some(xs)),
            // Files without types have an empty list, whatever its kind.
            Some(Attribute::Floats(xs)) if xs.is_empty() => Ok(Some(&[])),
            Some(other) => wrong(name, "integers", other),
        }
    }

    /// Returns an attribute of floats.
    pub(crate) fn floats(&self, name: &str) -> Result<Option<&'c [f32]>, RuleFailure> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::Floats(xs)) => Ok(Some(xs)),
            Some(Attribute::Ints(xs)) if xs.is_empty() => Ok(Some(&[])),
            Some(other) => wrong(name, "floats", other),
        }
    }

    /// Returns an attribute of strings.
    pub(crate) fn strs(&self, name: &str) -> Result<Option<Vec<String>>, RuleFailure> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::Strings(xs)) => {
                Ok(Some(xs.iter().map(utf8).collect::<Result<_, Error>>()?))
            }
            Some(Attribute::Ints(xs)) if xs.is_empty() => Ok(Some(Vec::new())),
            Some(other) => wrong(name, "strings", other),
        }
    }

    /// Returns an attribute that is a tensor or strings.
    pub(crate) fn tensor(&self, name: &str) -> Result<Option<&'c OnnxValue>, RuleFailure> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::Tensor(x)) => Ok(Some(x)),
            Some(other) => wrong(name, "a tensor", other),
        }
    }

    /// Returns an attribute that is a graph.
    pub(crate) fn graph(&self, name: &str) -> Result<&'c Arc<OnnxGraph>, RuleFailure> {
        match self.attribute(name) {
            Some(Attribute::Graph(g)) => Ok(g),
            None => fail(format!("the attribute `{name}` is missing")),
            Some(other) => wrong(name, "a graph", other),
        }
    }

    /// Returns the value of an attribute that must be there.
    pub(crate) fn required<T>(&self, name: &str, value: Option<T>) -> Result<T, RuleFailure> {
        value.map_or_else(|| fail(format!("the attribute `{name}` is missing")), Ok)
    }

    /// Returns a key for random numbers that no other draw has.
    ///
    /// # Errors
    /// If the node is in a network in evaluation mode, which is a function of its inputs.
    pub(crate) fn next_key(&self) -> Result<Key, RuleFailure> {
        match self.scope.keys() {
            None => Ok(process_key()),
            Some(keys) => keys.next().map_or_else(
                || {
                    fail(
                        "the node draws random numbers, and a network in evaluation mode has none; \
                         give the node a `seed`, apply the network in `Mode::Train`, or run the \
                         model as a `Session`",
                    )
                },
                Ok,
            ),
        }
    }

    /// Returns true if the node is in a network in evaluation mode.
    pub(crate) fn is_evaluation(&self) -> bool {
        self.scope.keys().is_some_and(LayerKeys::is_evaluation)
    }

    /// Evaluates the body of a branch, which may use values of this node's graph.
    pub(crate) fn run(&self, body: &OnnxGraph, inputs: Vec<OnnxValue>) -> RuleOutcome {
        self.scope.run(body, inputs)
    }

    /// Evaluates the body of a loop for an iteration, which is taken from the budget.
    pub(crate) fn iterate(&self, body: &OnnxGraph, inputs: Vec<OnnxValue>) -> RuleOutcome {
        self.scope.iterate(body, inputs, self.is_known)
    }

    /// Returns true if the iterations of a loop may still be evaluated one by one: of a loop whose
    /// values are known, always.
    pub(crate) fn may_unroll(&self) -> bool {
        self.is_known || self.scope.may_copy()
    }

    /// Returns the iterations that loops may have.
    pub(crate) fn budget(&self) -> &LoopBudget {
        self.scope.budget()
    }

    /// Returns the value `y` of this node's graph as a function of other values of it.
    pub(crate) fn value_of(
        &self,
        y: &str,
        names: &[&str],
        values: Vec<OnnxValue>,
    ) -> Result<OnnxValue, RuleFailure> {
        self.scope.value_of(y, names, values)
    }

    /// Returns true if both branches of a condition without a known value are to be traced.
    pub(crate) fn traces_branches(&self) -> bool {
        self.scope.traces_branches()
    }
}

/// Returns the attribute, or that of the enclosing function to which it refers.
pub(crate) fn resolved<'c>(
    attribute: &'c Attribute,
    of_function: Option<&'c Attributes>,
) -> Option<&'c Attribute> {
    match attribute {
        Attribute::Reference(name) => of_function?.get(name),
        other => Some(other),
    }
}

fn wrong<T>(name: &str, want: &str, got: &Attribute) -> Result<T, RuleFailure> {
    fail(format!("expected {want} as attribute `{name}`, got {}", got.kind()))
}
