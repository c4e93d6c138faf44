//! Graphs: inputs, equations, outputs.

pub(crate) mod attr;
mod build_ops;
mod builder;
mod origins;
mod parse;
mod print;
mod prune;
mod verify;

pub use attr::Attr;
pub use builder::Builder;
pub use parse::Parser;
pub use print::Printer;
pub use verify::verify;

use crate::{Op, Origin, Type};
use smallvec::SmallVec;
use std::hash::{Hash, Hasher};

/// A value of a graph: an index into its types. Inputs come first, then the outputs of each
/// equation in order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Value(pub u32);

/// A few values.
pub type Values = SmallVec<[Value; 4]>;

/// One equation: `outputs = op(inputs)`. Operands outside, parameters inside the op.
#[derive(Clone, Debug)]
pub struct Eqn {
    /// What is computed.
    pub op: Op,
    /// From which values.
    pub inputs: Values,
    /// Into which values.
    pub outputs: Values,
    /// Where in the user's program it comes from. Not part of equality and hash.
    pub at: Origin,
}

/// A function of typed values. See the [crate] page for the text form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Graph {
    types: Vec<Type>,
    inputs: usize,
    eqns: Vec<Eqn>,
    outputs: Vec<Value>,
}

impl Value {
    /// Its place in the arena of types.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl Graph {
    /// The values that stand for the arguments.
    pub fn inputs(&self) -> impl ExactSizeIterator<Item = Value> + use<> {
        (0..self.inputs as u32).map(Value).collect::<Vec<_>>().into_iter()
    }

    /// The equations, each after those it depends on.
    pub fn eqns(&self) -> &[Eqn] {
        &self.eqns
    }

    /// The results.
    pub fn outputs(&self) -> &[Value] {
        &self.outputs
    }

    /// The type of a value.
    pub fn ty(&self, v: Value) -> &Type {
        &self.types[v.index()]
    }

    /// The types of all values, by index.
    pub fn types(&self) -> &[Type] {
        &self.types
    }

    /// The types of the arguments.
    pub fn input_types(&self) -> &[Type] {
        &self.types[..self.inputs]
    }

    /// The types of the results.
    pub fn output_types(&self) -> Vec<Type> {
        self.outputs.iter().map(|&v| self.ty(v).clone()).collect()
    }

    /// How many equations it has, those of nested graphs included.
    pub fn count_eqns(&self) -> usize {
        let nested = |e: &Eqn| e.op.graphs().iter().map(|g| g.count_eqns()).sum::<usize>();
        self.eqns.iter().map(|e| 1 + nested(e)).sum()
    }

    /// For every value, the index of the last equation that reads it: `eqns.len()` for outputs,
    /// `None` if nothing does.
    pub fn last_uses(&self) -> Vec<Option<usize>> {
        let mut last = vec![None; self.types.len()];
        for (i, e) in self.eqns.iter().enumerate() {
            e.inputs.iter().for_each(|v| last[v.index()] = Some(i));
        }
        self.outputs.iter().for_each(|v| last[v.index()] = Some(self.eqns.len()));
        last
    }

    /// A short hash of the whole graph, stable within one build of the program; shown in logs.
    pub fn fingerprint(&self) -> u64 {
        let mut h = rustc_hash::FxHasher::default();
        self.hash(&mut h);
        h.finish()
    }
}

impl PartialEq for Eqn {
    fn eq(&self, o: &Eqn) -> bool {
        self.op == o.op && self.inputs == o.inputs && self.outputs == o.outputs
    }
}

impl Eq for Eqn {}

impl Hash for Eqn {
    fn hash<H: Hasher>(&self, h: &mut H) {
        self.op.hash(h);
        self.inputs.hash(h);
        self.outputs.hash(h);
    }
}
