//! Builds graphs: every equation is inferred and checked as it is added.

use super::{Eqn, Graph, Value, Values};
use crate::{DType, Error, Literal, Op, Origin, Place, Result, Type, op::Constant};

/// Builds a [`Graph`]. The first error is kept: later calls go on with placeholders, and
/// [`Builder::finish`] reports it, so that rules read like formulas.
///
/// ```
/// use neurax_ir::{Builder, DType, Type};
/// let mut b = Builder::new();
/// let x = b.input(Type::new(DType::F32, [2]));
/// let y = b.input(Type::new(DType::F32, [3]));
/// let z = b.add(x, y);
/// assert_eq!(b.finish(&[z]).unwrap_err().to_string(), "add: the operands f32[2] and f32[3] differ in shape; broadcast them first");
/// ```
#[derive(Default, Debug)]
pub struct Builder {
    types: Vec<Type>,
    inputs: Vec<Value>,
    eqns: Vec<Eqn>,
    origin: Origin,
    error: Option<Error>,
}

impl Builder {
    /// An empty graph.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Adds an argument; arguments may be added at any time.
    pub fn input(&mut self, ty: Type) -> Value {
        if let Err(e) = ty.bytes() {
            self.fail(e);
        }
        let v = self.fresh(ty);
        self.inputs.push(v);
        v
    }

    /// Adds an argument of each type.
    pub fn inputs(&mut self, types: &[Type]) -> Vec<Value> {
        types.iter().map(|t| self.input(t.clone())).collect()
    }

    /// Equations added from here on carry this origin.
    pub fn set_origin(&mut self, origin: Origin) {
        self.origin = origin;
    }

    /// How many equations there are.
    pub fn eqn_count(&self) -> usize {
        self.eqns.len()
    }

    /// Puts a layer's name in front of the layer path of the equations from number `from` on; those
    /// that are at no line of the user's get the layer's place. Called on the way out of a layer.
    pub fn within(&mut self, from: usize, layer: Option<&str>, at: &Place) {
        super::origins::within(self.eqns.get_mut(from..).unwrap_or_default(), layer, at);
    }

    /// The origin that equations get now.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The type of a value of this graph.
    pub fn ty(&self, v: Value) -> &Type {
        &self.types[v.index()]
    }

    /// The element type of a value.
    pub fn dtype(&self, v: Value) -> DType {
        self.ty(v).dtype
    }

    /// The types of values.
    pub fn types_of(&self, vs: &[Value]) -> Vec<Type> {
        vs.iter().map(|&v| self.ty(v).clone()).collect()
    }

    /// The equations so far.
    pub fn eqns(&self) -> &[Eqn] {
        &self.eqns
    }

    /// Adds `op(xs)`, and says at once if the operands do not fit. Equations of graphs that the op
    /// holds get this builder's origin if they have no place.
    ///
    /// # Errors
    /// What the op's `infer` says, with this builder's origin.
    pub fn try_emit(&mut self, op: impl Into<Op>, xs: &[Value]) -> Result<Values> {
        let op = op.into();
        let op = op.placed(&self.origin).unwrap_or(op);
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

    /// The inputs and the first equations of a graph, under the same numbers.
    pub(crate) fn beginning(graph: &Graph, eqns: usize) -> Builder {
        let same = &graph.eqns[..eqns];
        let end = same
            .iter()
            .flat_map(|e| &e.outputs)
            .map(|v| v.index() + 1)
            .max()
            .unwrap_or(graph.inputs);
        let mut b = Builder { inputs: graph.inputs().collect(), ..Builder::with_room_for(graph) };
        b.types.extend_from_slice(&graph.types[..end]);
        b.eqns.extend_from_slice(same);
        b
    }

    /// An empty graph with room for what another one holds.
    pub(crate) fn with_room_for(graph: &Graph) -> Builder {
        Builder {
            types: Vec::with_capacity(graph.types.len()),
            eqns: Vec::with_capacity(graph.eqns.len()),
            ..Builder::default()
        }
    }

    /// Adds `op(xs)`, which was inferred before on operands of the same types.
    pub(crate) fn emit_typed(&mut self, op: Op, inputs: Values, types: Vec<Type>) -> Values {
        let outputs: Values = types.into_iter().map(|t| self.fresh(t)).collect();
        self.eqns.push(Eqn { op, inputs, outputs: outputs.clone(), at: self.origin.clone() });
        outputs
    }

    /// Adds `op(xs)`; an error is kept for [`Builder::finish`], and placeholders stand for `count`
    /// outputs.
    pub fn emit_n(&mut self, op: impl Into<Op>, xs: &[Value], count: usize) -> Values {
        match self.try_emit(op, xs) {
            Ok(ys) => ys,
            Err(e) => {
                self.fail(e);
                (0..count).map(|_| self.fresh(Type::scalar(DType::F32))).collect()
            }
        }
    }

    /// Adds `op(xs)` with one output.
    pub fn emit(&mut self, op: impl Into<Op>, xs: &[Value]) -> Value {
        self.emit_n(op, xs, 1)[0]
    }

    /// A constant.
    pub fn constant(&mut self, value: Literal) -> Value {
        self.emit(Constant { value }, &[])
    }

    /// Adds all equations of `graph`, reading `args` for its inputs; answers with its outputs here.
    /// Origins are kept; those without a place take this builder's.
    pub fn inline(&mut self, graph: &Graph, args: &[Value]) -> Vec<Value> {
        let all = self.inline_all(graph, args);
        graph.outputs().iter().map(|v| all[v.index()]).collect()
    }

    /// Like [`Builder::inline`], but answers with every value of `graph`.
    pub fn inline_all(&mut self, graph: &Graph, args: &[Value]) -> Vec<Value> {
        let mut env: Vec<Value> = args.to_vec();
        let outer = self.origin.clone();
        for e in graph.eqns() {
            let xs: Values = e.inputs.iter().map(|v| env[v.index()]).collect();
            self.origin = match e.at.place {
                crate::Place::Unknown => outer.clone(),
                _ => e.at.clone(),
            };
            env.extend(self.emit_n(e.op.clone(), &xs, e.outputs.len()));
        }
        self.origin = outer;
        env
    }

    /// Keeps an error for [`Builder::finish`], unless there is one already.
    pub fn fail(&mut self, e: Error) {
        if self.error.is_none() {
            self.error = Some(e.at_origin(&self.origin));
        }
    }

    /// The kept error.
    pub fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// Stops who would go on with placeholders: their shapes are not what a rule expects.
    ///
    /// # Errors
    /// The kept error.
    pub(crate) fn check(&self) -> Result<()> {
        self.error.clone().map_or(Ok(()), Err)
    }

    /// The graph with those results, values renumbered: inputs first, then equation by equation.
    ///
    /// # Errors
    /// The first error of any equation.
    pub fn finish(self, outputs: &[Value]) -> Result<Graph> {
        match self.error {
            Some(e) => Err(e),
            None => {
                self.check_defined(outputs)?;
                Ok(Graph::renumbered(self.types, &self.inputs, self.eqns, outputs))
            }
        }
    }

    /// No equation may read a placeholder: that would be a transpose rule that reads a linear
    /// operand.
    fn check_defined(&self, outputs: &[Value]) -> Result<()> {
        let mut defined = vec![false; self.types.len()];
        self.inputs.iter().for_each(|v| defined[v.index()] = true);
        for e in &self.eqns {
            if e.inputs.iter().any(|v| !defined[v.index()]) {
                return Err(Error::new(
                    e.op.name(),
                    "it reads a value that is only known to be linear: a transpose rule is wrong",
                )
                .at_origin(&e.at));
            }
            e.outputs.iter().for_each(|v| defined[v.index()] = true);
        }
        match outputs.iter().all(|v| defined[v.index()]) {
            true => Ok(()),
            false => Err(Error::new(
                "graph",
                "a result is only known to be linear: a transpose rule is wrong",
            )),
        }
    }

    /// A value that has a type and nothing else: it stands for an operand that a rule may not read.
    pub(crate) fn placeholder(&mut self, ty: Type) -> Value {
        self.fresh(ty)
    }

    /// An argument, or a placeholder.
    pub(crate) fn input_or_placeholder(&mut self, ty: Type, input: bool) -> Value {
        if input { self.input(ty) } else { self.placeholder(ty) }
    }

    fn fresh(&mut self, ty: Type) -> Value {
        self.types.push(ty);
        Value(self.types.len() as u32 - 1)
    }
}

impl Graph {
    /// The same graph with its inputs in another order: new input `i` is old input `order[i]`.
    pub(crate) fn with_input_order(self, order: &[usize]) -> Graph {
        let inputs: Vec<Value> = order.iter().map(|&i| Value(i as u32)).collect();
        Graph::renumbered(self.types, &inputs, self.eqns, &self.outputs)
    }

    /// The same graph giving output `which[i]` as its output `i`.
    pub(crate) fn with_outputs(mut self, which: &[usize]) -> Graph {
        self.outputs = which.iter().map(|&i| self.outputs[i]).collect();
        self
    }

    /// The same graph taking more inputs behind its own, which it does not read.
    pub(crate) fn with_more_inputs(&self, types: &[Type]) -> Result<Graph> {
        let mut b = Builder::new();
        let xs = b.inputs(self.input_types());
        b.inputs(types);
        let ys = b.inline(self, &xs);
        b.finish(&ys)
    }

    /// A graph of those parts, whatever the numbering: values are renumbered to inputs first, then
    /// equation by equation.
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
        let eqns = eqns
            .into_iter()
            .map(|e| Eqn { inputs: map(&e.inputs), outputs: map(&e.outputs), ..e })
            .collect();
        Graph { types: order, inputs: inputs.len(), eqns, outputs: map(outputs).to_vec() }
    }
}
