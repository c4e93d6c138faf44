//! Graphs: inputs, equations and outputs, with their builder, verifier, printer and parser.

pub(crate) mod attr;
mod build_ops;
mod builder;
mod liveness;
mod origins;
mod parse;
mod print;
mod prune;
mod verify;

pub use attr::{Attr, FloatAttr};
pub use builder::Builder;
pub use liveness::Liveness;
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

/// A short list of values.
pub type Values = SmallVec<[Value; 4]>;

/// An equation: `outputs = op(inputs)`. Operands are values; parameters are fields of the op.
#[derive(Clone, Debug)]
pub struct Eqn {
    /// The operation.
    pub op: Op,
    /// The operands.
    pub inputs: Values,
    /// The result values.
    pub outputs: Values,
    /// The origin in the user's program. Not compared and not hashed.
    pub at: Origin,
}

/// A function of typed values. The [crate] page shows the text form.
#[derive(Clone, Debug)]
pub struct Graph {
    types: Vec<Type>,
    inputs: usize,
    eqns: Vec<Eqn>,
    outputs: Vec<Value>,
    /// Follows from `eqns`. Not compared and not hashed.
    summary: GraphSummary,
}

/// The facts about a graph that are asked for at every level of nesting, computed once when it is
/// created: a walk over the nested graphs for each would make the cost quadratic in the depth.
#[derive(Clone, Copy, Debug)]
struct GraphSummary {
    /// The number of equations, including those of nested graphs.
    eqns: usize,
    /// The depth of nesting, 1 without nested graphs.
    depth: usize,
    /// True if the location of every equation is known, including those of nested graphs.
    has_origins: bool,
    /// True if an op has effects besides its results, including those of nested graphs.
    has_effects: bool,
}

impl Value {
    /// Returns the index of the value's type in [`Graph::types`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl Graph {
    /// Returns the values of the arguments.
    pub fn inputs(&self) -> impl ExactSizeIterator<Item = Value> + use<> {
        (0..self.inputs as u32).map(Value).collect::<Vec<_>>().into_iter()
    }

    /// Returns the equations in topological order.
    pub fn eqns(&self) -> &[Eqn] {
        &self.eqns
    }

    /// Returns the values of the results.
    pub fn outputs(&self) -> &[Value] {
        &self.outputs
    }

    /// Returns the type of `v`.
    pub fn ty(&self, v: Value) -> &Type {
        &self.types[v.index()]
    }

    /// Returns the types of all values, by index.
    pub fn types(&self) -> &[Type] {
        &self.types
    }

    /// Returns the types of the arguments.
    pub fn input_types(&self) -> &[Type] {
        &self.types[..self.inputs]
    }

    /// Returns the types of the results.
    pub fn output_types(&self) -> Vec<Type> {
        self.outputs.iter().map(|&v| self.ty(v).clone()).collect()
    }

    /// Returns the number of equations, including those of nested graphs.
    pub fn count_eqns(&self) -> usize {
        self.summary.eqns
    }

    /// Returns the depth of nesting: 1 for a graph without loops, branches and calls, one more than
    /// the deepest graph in it otherwise.
    ///
    /// ```
    /// use neurax_ir::Graph;
    /// let graph = Graph::parse("graph(%0: f32[]) {
    ///   %1: f32[] = checkpoint[body=graph(%0: f32[]) {
    ///     %1: f32[] = sine(%0)
    ///     return %1
    ///   }](%0)
    ///   return %1
    /// }")?;
    /// assert_eq!((graph.depth(), graph.count_eqns()), (2, 2));
    /// # Ok::<(), neurax_ir::Error>(())
    /// ```
    pub fn depth(&self) -> usize {
        self.summary.depth
    }

    /// Returns true if an op has effects besides its results, including those of nested graphs.
    pub fn has_effects(&self) -> bool {
        self.summary.has_effects
    }

    /// Returns, for each value, the index of the last equation that reads it: `eqns.len()` for
    /// outputs, `None` for values that are never read.
    pub fn last_uses(&self) -> Vec<Option<usize>> {
        let mut last = vec![None; self.types.len()];
        for (i, e) in self.eqns.iter().enumerate() {
            e.inputs.iter().for_each(|v| last[v.index()] = Some(i));
        }
        self.outputs.iter().for_each(|v| last[v.index()] = Some(self.eqns.len()));
        last
    }

    /// Returns, for each value, the index of the equation that produces it; `None` for inputs.
    ///
    /// ```
    /// use neurax_ir::Graph;
    /// let graph = Graph::parse("graph(%0: f32[]) {
    ///   %1: f32[] = sine(%0)
    ///   %2: f32[] = cosine(%1)
    ///   return %2
    /// }")?;
    /// assert_eq!(graph.producers(), [None, Some(0), Some(1)]);
    /// # Ok::<(), neurax_ir::Error>(())
    /// ```
    pub fn producers(&self) -> Vec<Option<usize>> {
        let mut producers = vec![None; self.types.len()];
        record_producers(&mut producers, &self.eqns, 0);
        producers
    }

    /// Returns, for each value, the number of times that equations and results read it.
    ///
    /// ```
    /// use neurax_ir::Graph;
    /// let graph = Graph::parse("graph(%0: f32[]) {
    ///   %1: f32[] = multiply(%0, %0)
    ///   return %1
    /// }")?;
    /// assert_eq!(graph.use_counts(), [2, 1]);
    /// # Ok::<(), neurax_ir::Error>(())
    /// ```
    pub fn use_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.types.len()];
        let reads = self.eqns.iter().flat_map(|e| &e.inputs).chain(&self.outputs);
        reads.for_each(|v| counts[v.index()] += 1);
        counts
    }

    /// Returns, for each value, true if it depends on one of the inputs marked in `inputs`.
    pub(crate) fn dependents(&self, inputs: &[bool]) -> Vec<bool> {
        let mut depends = inputs.to_vec();
        for e in &self.eqns {
            let any = e.inputs.iter().any(|v| depends[v.index()]);
            depends.extend(e.outputs.iter().map(|_| any));
        }
        depends
    }
}

impl GraphSummary {
    /// Summarizes the graph of `eqns`.
    fn of(all_eqns: &[Eqn]) -> GraphSummary {
        let (eqns, depth) = (all_eqns.len(), 1);
        let mut all = GraphSummary { eqns, depth, has_origins: true, has_effects: false };
        for e in all_eqns {
            all.has_origins &= !e.at.is_unknown();
            all.has_effects |= matches!(&e.op, Op::Custom(c) if c.0.has_effects());
            for g in e.op.graphs() {
                all.eqns = all.eqns.saturating_add(g.summary.eqns);
                all.depth = all.depth.max(g.summary.depth + 1);
                all.has_origins &= g.summary.has_origins;
                all.has_effects |= g.summary.has_effects;
            }
        }
        all
    }
}

/// Records the producers of the results of `eqns[from..]` in `producers`, which grows as needed.
pub(crate) fn record_producers(producers: &mut Vec<Option<usize>>, eqns: &[Eqn], from: usize) {
    for (i, e) in eqns.iter().enumerate().skip(from) {
        let end = e.outputs.iter().map(|v| v.index() + 1).max().unwrap_or(0);
        producers.resize(producers.len().max(end), None);
        e.outputs.iter().for_each(|v| producers[v.index()] = Some(i));
    }
}

impl PartialEq for Graph {
    fn eq(&self, o: &Graph) -> bool {
        self.types == o.types
            && self.inputs == o.inputs
            && self.outputs == o.outputs
            && self.eqns == o.eqns
    }
}

impl Eq for Graph {}

impl Hash for Graph {
    fn hash<H: Hasher>(&self, h: &mut H) {
        self.types.hash(h);
        self.inputs.hash(h);
        self.eqns.hash(h);
        self.outputs.hash(h);
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
