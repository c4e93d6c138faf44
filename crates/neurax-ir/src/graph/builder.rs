//! The graph builder: the types of each equation are inferred and checked as it is added.
//!
//! Rules of ops, transforms and traces all emit equations through it. A value is a number, given
//! out in the order of creation.
//!
//! # Errors
//!
//! A rule is a formula: `let s = b.sin(x); b.mul(s, y)`. It could not be one if every call returned
//! a `Result`, so a call that fails records its error and returns *placeholders*, values that have
//! a type but no definition. Only the first error is kept, as the later ones may follow from it,
//! and [`Builder::finish`] returns it. A caller that reads shapes must look at the error first
//! (`check`): those of placeholders are arbitrary.
//!
//! A transposition makes placeholders on purpose, for the values that a rule must not read; an
//! equation that reads one makes `finish` fail.
//!
//! # Origins
//!
//! Each equation gets the origin that was set last, by [`Builder::set_origin`]. A graph that is
//! inlined keeps its own; equations without a location, in it and in the graphs of an op, take that
//! of the builder. The error of an op carries the origin, too.
//!
//! # Renumbering
//!
//! Inputs may be added at any time, as a trace finds its captures late, but those of a [`Graph`]
//! come first. `finish` therefore renumbers the values: inputs, then results equation by equation.
//!
//! ```
//! use neurax_ir::{Builder, DType, Type};
//! let ty = Type::scalar(DType::F32);
//! let mut b = Builder::new();
//! let x = b.input(ty.clone());
//! let y = b.sin(x);
//! // Value 2 becomes the second input, value 1 the first result.
//! let late = b.input(ty);
//! let z = b.mul(y, late);
//! assert_eq!(b.finish(&[z])?.to_string(), "\
//! graph(%0: f32[], %1: f32[]) {
//!   %2: f32[] = sine(%0)
//!   %3: f32[] = multiply(%2, %1)
//!   return %3
//! }");
//! # Ok::<(), neurax_ir::Error>(())
//! ```
//!
//! Invariants: the types of all values are those that `infer` returned; an equation reads only
//! values that were created before it; a finished graph has no placeholders.
//!
//! Rejected: a `Result` from each method, with which no rule is a formula; a panic at the first
//! error, which a program cannot report with the user's line and layer.

use super::{Eqn, Graph, GraphSummary, Value, Values};
use crate::error::check_len;
use crate::transform::Memo;
use crate::tuning::MAX_GRAPH_DEPTH;
use crate::visits::visit;
use crate::{DType, Error, Literal, Op, Origin, Place, Result, Type, op::Constant};

/// A builder of [`Graph`]s. The first error is recorded; later calls continue with placeholders,
/// and [`Builder::finish`] returns the error. Rules can therefore be written as formulas.
///
/// ```
/// use neurax_ir::{Builder, DType, Type};
/// let mut b = Builder::new();
/// let x = b.input(Type::new(DType::F32, [2]));
/// let y = b.input(Type::new(DType::F32, [3]));
/// let z = b.add(x, y);
/// let e = b.finish(&[z]).unwrap_err();
/// assert!(e.to_string().starts_with("add: "), "{e}");
/// ```
#[derive(Default, Debug)]
pub struct Builder {
    types: Vec<Type>,
    inputs: Vec<Value>,
    eqns: Vec<Eqn>,
    origin: Origin,
    error: Option<Error>,
    /// The transforms of nested graphs that the rules of ops have asked for; `None` before the
    /// first.
    memo: Option<Memo>,
}

impl Builder {
    /// Creates a builder of an empty graph.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Creates a builder of a nested graph of the transformation that `memo` belongs to.
    pub(crate) fn with_memo(memo: &Memo) -> Builder {
        Builder { memo: Some(memo.clone()), ..Builder::default() }
    }

    /// Returns the transforms of nested graphs that this transformation has computed.
    pub(crate) fn memo(&mut self) -> Memo {
        self.memo.get_or_insert_default().clone()
    }

    /// Adds an argument of type `ty`. Arguments may be added at any time.
    pub fn input(&mut self, ty: Type) -> Value {
        if let Err(e) = ty.bytes() {
            self.fail(e);
        }
        let v = self.fresh(ty);
        self.inputs.push(v);
        v
    }

    /// Adds an argument of each of `types`.
    pub fn inputs(&mut self, types: &[Type]) -> Vec<Value> {
        types.iter().map(|t| self.input(t.clone())).collect()
    }

    /// Sets the origin of the equations that are added from now on.
    pub fn set_origin(&mut self, origin: Origin) {
        self.origin = origin;
    }

    /// Returns the number of equations.
    pub fn eqn_count(&self) -> usize {
        self.eqns.len()
    }

    /// Prepends `layer` to the layer path of the equations from index `from` on; those without a
    /// location that can be shown to the user get `at`. Called when the layer's function returns.
    pub fn within(&mut self, from: usize, layer: Option<&str>, at: &Place) {
        let eqns = self.eqns.get_mut(from..).unwrap_or_default();
        if let Err(e) = super::origins::within(eqns, layer, at) {
            self.fail(e);
        }
    }

    /// Returns the origin of the equations that are added now.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns the type of `v`.
    pub fn ty(&self, v: Value) -> &Type {
        &self.types[v.index()]
    }

    /// Returns the element type of `v`.
    pub fn dtype(&self, v: Value) -> DType {
        self.ty(v).dtype
    }

    /// Returns the types of `vs`.
    pub fn types_of(&self, vs: &[Value]) -> Vec<Type> {
        vs.iter().map(|&v| self.ty(v).clone()).collect()
    }

    /// Returns the equations added so far.
    pub fn eqns(&self) -> &[Eqn] {
        &self.eqns
    }

    /// Adds `op(xs)`; returns its results, or an error if the operands do not fit. Equations of
    /// graphs that the op holds get this builder's origin if their location is unknown.
    ///
    /// # Errors
    /// The error of the op's `infer`, with this builder's origin.
    pub fn try_emit(&mut self, op: impl Into<Op>, xs: &[Value]) -> Result<Values> {
        let op = op.into();
        check_depth(&op).map_err(|e| e.at_origin(&self.origin))?;
        let op = op.with_default_origin(&self.origin)?.unwrap_or(op);
        let types = op.infer(&self.types_of(xs)).map_err(|e| e.at_origin(&self.origin))?;
        for t in &types {
            t.bytes().map_err(|e| e.at_origin(&self.origin))?;
        }
        let outputs: Values = types.into_iter().map(|t| self.fresh(t)).collect();
        self.eqns.push(Eqn {
            op,
            inputs: Values::from_slice(xs),
            outputs: outputs.clone(),
            at: self.origin.clone(),
        });
        Ok(outputs)
    }

    /// Creates a builder that holds the inputs and the first `eqns` equations of `graph`, with the
    /// same value numbers.
    pub(crate) fn with_prefix(graph: &Graph, eqns: usize) -> Builder {
        let prefix = &graph.eqns[..eqns];
        let last = prefix.iter().flat_map(|e| &e.outputs).max();
        let end = last.map_or(graph.inputs, |v| v.index() + 1);
        let mut b =
            Builder { inputs: graph.inputs().collect(), ..Builder::with_capacity_of(graph) };
        b.types.extend_from_slice(&graph.types[..end]);
        b.eqns.extend_from_slice(prefix);
        b
    }

    /// Creates an empty builder with the capacity to hold a graph of the size of `graph`.
    fn with_capacity_of(graph: &Graph) -> Builder {
        Builder {
            types: Vec::with_capacity(graph.types.len()),
            eqns: Vec::with_capacity(graph.eqns.len()),
            ..Builder::default()
        }
    }

    /// Adds an equation whose result types are known to be `types`.
    pub(crate) fn emit_typed(&mut self, op: Op, inputs: Values, types: Vec<Type>) -> Values {
        let outputs: Values = types.into_iter().map(|t| self.fresh(t)).collect();
        self.eqns.push(Eqn { op, inputs, outputs: outputs.clone(), at: self.origin.clone() });
        outputs
    }

    /// Adds `op(xs)` and returns its results. An error is recorded for [`Builder::finish`]; `count`
    /// placeholders are returned in its stead.
    pub fn emit_n(&mut self, op: impl Into<Op>, xs: &[Value], count: usize) -> Values {
        match self.try_emit(op, xs) {
            Ok(ys) => ys,
            Err(e) => {
                self.fail(e);
                (0..count).map(|_| self.fresh(Type::scalar(DType::F32))).collect()
            }
        }
    }

    /// Adds `op(xs)` and returns its single result.
    pub fn emit(&mut self, op: impl Into<Op>, xs: &[Value]) -> Value {
        self.emit_n(op, xs, 1)[0]
    }

    /// Adds a constant.
    pub fn constant(&mut self, value: Literal) -> Value {
        self.emit(Constant { value }, &[])
    }

    /// Adds all equations of `graph` with `args` for its inputs; returns its outputs as values of
    /// this builder. Equations keep their origins; those without a location get this builder's.
    pub fn inline(&mut self, graph: &Graph, args: &[Value]) -> Vec<Value> {
        let all = self.inline_all(graph, args);
        graph.outputs().iter().map(|v| all[v.index()]).collect()
    }

    /// Adds all equations of `graph` like [`Builder::inline`]; returns all values of `graph`, by
    /// index. If there is not one of `args` for each input, that error is recorded, and the values
    /// are placeholders.
    pub fn inline_all(&mut self, graph: &Graph, args: &[Value]) -> Vec<Value> {
        if let Err(e) = check_len("inline", "argument", "input", graph.inputs, args.len()) {
            self.fail(e);
            return graph.types.iter().map(|ty| self.placeholder(ty.clone())).collect();
        }
        let mut env: Vec<Value> = args.to_vec();
        let outer = self.origin.clone();
        for e in graph.eqns() {
            visit();
            let xs: Values = e.inputs.iter().map(|v| env[v.index()]).collect();
            self.origin = match e.at.place {
                Place::Unknown => outer.clone(),
                _ => e.at.clone(),
            };
            env.extend(self.emit_n(e.op.clone(), &xs, e.outputs.len()));
        }
        self.origin = outer;
        env
    }

    /// Records an error for [`Builder::finish`], unless there is one already.
    pub fn fail(&mut self, e: Error) {
        if self.error.is_none() {
            self.error = Some(e.at_origin(&self.origin));
        }
    }

    /// Returns the recorded error.
    pub fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// Returns the recorded error as an `Err`, for callers that must not continue with
    /// placeholders, whose shapes are arbitrary.
    ///
    /// # Errors
    /// The recorded error.
    pub(crate) fn check(&self) -> Result<()> {
        self.error.clone().map_or(Ok(()), Err)
    }

    /// Returns the graph with the results `outputs`. Values are renumbered: inputs first, then
    /// equation by equation.
    ///
    /// # Errors
    /// The recorded error, or a use of a placeholder.
    pub fn finish(self, outputs: &[Value]) -> Result<Graph> {
        match self.error {
            Some(e) => Err(e),
            None => {
                self.check_defined(outputs)?;
                Ok(Graph::renumbered(self.types, &self.inputs, self.eqns, outputs))
            }
        }
    }

    /// Checks that no equation reads a placeholder: that would be a transpose rule that reads a
    /// linear operand.
    fn check_defined(&self, outputs: &[Value]) -> Result<()> {
        let mut defined = vec![false; self.types.len()];
        self.inputs.iter().for_each(|v| defined[v.index()] = true);
        for e in &self.eqns {
            if e.inputs.iter().any(|v| !defined[v.index()]) {
                let why = "it reads an operand that it is linear in; \
                           a transpose rule may only read the others";
                return Err(Error::new(e.op.name(), why).at_origin(&e.at));
            }
            e.outputs.iter().for_each(|v| defined[v.index()] = true);
        }
        match outputs.iter().all(|v| defined[v.index()]) {
            true => Ok(()),
            false => {
                let why = "a result is an operand that a transpose rule is linear in; \
                           the rule may only read the others";
                Err(Error::new("graph", why))
            }
        }
    }

    /// Creates a value that has a type but no definition, for an operand that a rule must not read.
    pub(crate) fn placeholder(&mut self, ty: Type) -> Value {
        self.fresh(ty)
    }

    /// Adds an argument if `input`; creates a placeholder otherwise.
    pub(crate) fn input_or_placeholder(&mut self, ty: Type, input: bool) -> Value {
        if input { self.input(ty) } else { self.placeholder(ty) }
    }

    fn fresh(&mut self, ty: Type) -> Value {
        self.types.push(ty);
        Value(self.types.len() as u32 - 1)
    }
}

/// Checks that a graph may hold `op`.
///
/// # Errors
/// If the graphs of `op` are nested so deeply already that recursive walkers could overflow the
/// stack.
fn check_depth(op: &Op) -> Result<()> {
    if op.graphs().iter().all(|g| g.depth() < MAX_GRAPH_DEPTH) {
        return Ok(());
    }
    let why = format!(
        "expected loops, branches, checkpoints and calls nested less than {MAX_GRAPH_DEPTH} deep; \
         compute the inner ones outside, or carry what they change through one loop"
    );
    Err(Error::new(op.name(), why))
}

impl Graph {
    /// Reorders the inputs: new input `i` is old input `order[i]`.
    pub(crate) fn with_input_order(self, order: &[usize]) -> Graph {
        let inputs: Vec<Value> = order.iter().map(|&i| Value(i as u32)).collect();
        Graph::renumbered(self.types, &inputs, self.eqns, &self.outputs)
    }

    /// Selects outputs: new output `i` is old output `which[i]`.
    pub(crate) fn with_outputs(mut self, which: &[usize]) -> Graph {
        self.outputs = which.iter().map(|&i| self.outputs[i]).collect();
        self
    }

    /// Returns this graph with additional, unused inputs of `types` at the end of the signature.
    pub(crate) fn with_more_inputs(&self, types: &[Type]) -> Result<Graph> {
        let mut b = Builder::new();
        let xs = b.inputs(self.input_types());
        b.inputs(types);
        let ys = b.inline(self, &xs);
        b.finish(&ys)
    }

    /// Creates a graph from its parts. Values are renumbered: inputs first, then equation by
    /// equation.
    pub(crate) fn renumbered(
        types: Vec<Type>,
        inputs: &[Value],
        eqns: Vec<Eqn>,
        outputs: &[Value],
    ) -> Graph {
        let mut new = vec![Value(u32::MAX); types.len()];
        let mut order = Vec::with_capacity(types.len());
        let defined = inputs.iter().chain(eqns.iter().flat_map(|e| &e.outputs));
        for (i, &v) in defined.enumerate() {
            new[v.index()] = Value(i as u32);
            order.push(types[v.index()].clone());
        }
        let map = |vs: &[Value]| vs.iter().map(|v| new[v.index()]).collect::<Values>();
        let eqns: Vec<Eqn> = eqns
            .into_iter()
            .map(|e| Eqn { inputs: map(&e.inputs), outputs: map(&e.outputs), ..e })
            .collect();
        let (summary, outputs) = (GraphSummary::of(&eqns), map(outputs).to_vec());
        Graph { types: order, inputs: inputs.len(), eqns, outputs, summary }
    }
}
