//! The nodes of a body under construction, with what rules of patterns ask about them.

use super::draft::{DraftBody, DraftNode};
use neurax_ir::{Literal, Type};
use neurax_tensor::Tensor;
use std::collections::HashMap;
use std::sync::Arc;

/// The facts that all bodies share.
pub(super) struct PatternFacts<'d> {
    pub opset: i64,
    pub constants: &'d mut HashMap<Arc<str>, Literal>,
    /// The inputs of the model, weights included.
    pub weights: &'d HashMap<Arc<str>, Type>,
    /// The values of the weights by name.
    pub values: &'d [(String, Tensor)],
    /// The constants that rules have made.
    pub added: &'d mut Vec<(Arc<str>, Literal)>,
}

/// The nodes of a body.
pub(super) struct BodyNodes<'d, 'f> {
    pub body: &'d mut DraftBody,
    pub facts: &'d mut PatternFacts<'f>,
    /// The index of the node that computes a value.
    pub producers: HashMap<Arc<str>, usize>,
    /// The number of readers of each value.
    uses: HashMap<Arc<str>, usize>,
}

impl<'d, 'f> BodyNodes<'d, 'f> {
    pub fn new(body: &'d mut DraftBody, facts: &'d mut PatternFacts<'f>) -> BodyNodes<'d, 'f> {
        let mut nodes = BodyNodes { body, facts, producers: HashMap::new(), uses: HashMap::new() };
        nodes.index();
        nodes
    }

    /// Finds the producers and the readers of all values, after nodes have changed.
    pub fn index(&mut self) {
        (self.producers, self.uses) = (HashMap::new(), HashMap::new());
        for (i, node) in self.body.nodes.iter().enumerate() {
            self.producers.extend(node.outputs.iter().map(|y| (y.name.clone(), i)));
        }
        let uses = &mut self.uses;
        self.body.each_use(&mut |name| *uses.entry(name.clone()).or_default() += 1);
    }

    pub fn node(&self, i: usize) -> &DraftNode {
        &self.body.nodes[i]
    }

    /// Returns the node of an operator that computes a value of this body, which has no other
    /// reader.
    pub fn only_for(&self, name: &Arc<str>, ops: &[&str]) -> Option<usize> {
        let i = *self.producers.get(name)?;
        let is_single = self.uses.get(name) == Some(&1) && self.node(i).outputs.len() == 1;
        (is_single && ops.contains(&self.node(i).op)).then_some(i)
    }

    /// Returns the number that a scalar constant has.
    pub fn number(&self, name: &Arc<str>) -> Option<f64> {
        let value = self.facts.constants.get(name).filter(|x| x.ty().rank() == 0)?;
        value.to_f64s().first().copied()
    }

    /// Returns the integers of a constant.
    pub fn ints(&self, name: &Arc<str>) -> Option<Vec<i64>> {
        self.facts.constants.get(name)?.to_vec::<i64>().ok()
    }

    /// Returns the value of a constant or a weight.
    pub fn value(&self, name: &Arc<str>) -> Option<Literal> {
        let weight = || self.facts.values.iter().find(|(own, _)| **own == **name);
        match self.facts.constants.get(name) {
            Some(constant) => Some(constant.clone()),
            None => weight()?.1.to_literal().ok(),
        }
    }

    /// Returns the type of a value that is computed here, or of a weight or a constant.
    pub fn ty(&self, name: &Arc<str>) -> Option<Type> {
        let computed = self.producers.get(name).and_then(|&i| {
            self.node(i).outputs.iter().find(|y| y.name == *name).map(|y| y.ty.clone())
        });
        let constant = || self.facts.constants.get(name).map(|x| x.ty().clone());
        computed.or_else(constant).or_else(|| self.facts.weights.get(name).cloned())
    }

    /// Returns the axes of a reduction, which are an operand or an attribute.
    pub fn reduced_axes(&self, node: &DraftNode) -> Option<Vec<i64>> {
        match node.inputs.get(1) {
            Some(axes) => self.ints(axes),
            None => Some(node.attributes.iter().find(|a| a.name == "axes")?.ints.clone()),
        }
    }

    /// Adds a constant, with a name that follows from that of a value.
    pub fn constant(&mut self, of: &Arc<str>, suffix: &str, value: Literal) -> Arc<str> {
        let name: Arc<str> = format!("{of}/{suffix}").into();
        self.facts.constants.insert(name.clone(), value.clone());
        self.facts.added.push((name.clone(), value));
        name
    }

    /// Moves node `from` to the place of node `at`, with the results of that.
    pub fn replace(&mut self, at: usize, mut node: DraftNode, gone: &[usize]) {
        let old = &self.body.nodes[at];
        node.outputs = old.outputs.clone();
        node.name = old.name.clone();
        self.body.nodes[at] = node;
        let mut gone = gone.to_vec();
        gone.sort_unstable();
        gone.iter().rev().for_each(|&i| drop(self.body.nodes.remove(i)));
    }
}

/// Returns a node like `like`, of another operator.
pub(super) fn node_like(like: &DraftNode, op: &'static str, inputs: Vec<Arc<str>>) -> DraftNode {
    DraftNode { op, inputs, attributes: vec![], bodies: vec![], ..like.clone() }
}
