//! The search for patterns: what computes a value, and whether anything else reads the values
//! inside of a pattern.

use super::super::rewriter::uniform;
use crate::composite::Composite;
use crate::op::{Binary, Broadcast, Compare, Constant, Direction, Reduce, ReduceKind, Unary};
use crate::{Builder, DType, Eqn, FloatFormat, Graph, Op, Shape, Type, Value, Values};
use smallvec::SmallVec;

/// The largest relative error of a constant in a file, in units of the last place of its dtype:
/// exporters round and combine constants in different orders.
const MAX_CONSTANT_ERROR: f64 = 4.0;

/// The values that replace the single result of an equation.
pub(super) struct Replacement {
    /// The values that are read.
    pub inputs: Values,
    /// Emits the result, of the type of the replaced one, from the inputs.
    pub emit: EmitFn,
    /// The composite that the result is, but for moves.
    pub composite: Option<Composite>,
}

/// A function that emits a value from others.
pub(super) type EmitFn = Box<dyn Fn(&mut Builder, &[Value]) -> Value>;

/// Returns the replacement that `emit` computes from `inputs`.
pub(super) fn replacement(
    inputs: &[Value],
    emit: impl Fn(&mut Builder, &[Value]) -> Value + 'static,
) -> Option<Replacement> {
    Some(Replacement { inputs: inputs.into(), emit: Box::new(emit), composite: None })
}

/// Returns the replacement by a composite, which `emit` emits from `inputs`.
pub(super) fn composite_by(
    composite: impl Into<Composite>,
    inputs: &[Value],
    emit: impl Fn(&mut Builder, &[Value]) -> Value + 'static,
) -> Option<Replacement> {
    let composite = Some(composite.into());
    Some(Replacement { inputs: inputs.into(), emit: Box::new(emit), composite })
}

/// Returns the replacement by a composite of `inputs`.
pub(super) fn composite_of(
    composite: impl Into<Composite>,
    inputs: &[Value],
) -> Option<Replacement> {
    let composite = composite.into();
    let op = Op::Composite(composite.clone());
    composite_by(composite, inputs, move |b, xs| b.emit(op.clone(), xs))
}

/// The search for a pattern that ends with one equation.
///
/// Rules *enter* the equations that a pattern replaces. A pattern that was found is used only if
/// no other equation reads the values inside: these would be computed twice.
pub(super) struct PatternSearch<'g> {
    graph: &'g Graph,
    producers: Vec<Option<usize>>,
    /// For each value, the equations that read it; the number of equations stands for the results.
    readers: Vec<SmallVec<[usize; 2]>>,
    /// The equations that were entered.
    entered: Vec<usize>,
}

impl<'g> PatternSearch<'g> {
    /// Creates a search in `graph`.
    pub fn new(graph: &'g Graph) -> PatternSearch<'g> {
        let mut readers = vec![SmallVec::new(); graph.types().len()];
        for (i, e) in graph.eqns().iter().enumerate() {
            e.inputs.iter().for_each(|v| readers[v.index()].push(i));
        }
        graph.outputs().iter().for_each(|v| readers[v.index()].push(graph.eqns().len()));
        PatternSearch { graph, producers: graph.producers(), readers, entered: vec![] }
    }

    /// Returns what `rule` finds at equation `last`, if nothing else reads the values inside.
    pub fn find<T>(
        &mut self,
        last: usize,
        rule: impl FnOnce(&mut Self, &'g Eqn) -> Option<T>,
    ) -> Option<T> {
        self.entered.clear();
        let graph = self.graph;
        let found = rule(self, &graph.eqns()[last])?;
        let is_inside = |reader: &usize| *reader == last || self.entered.contains(reader);
        let inside = self.entered.iter().flat_map(|&i| &graph.eqns()[i].outputs);
        let mut readers = inside.flat_map(|v| &self.readers[v.index()]);
        readers.all(is_inside).then_some(found)
    }

    /// Returns what `f` finds; if it is nothing, what `f` entered is forgotten.
    pub fn attempt<T>(&mut self, f: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let before = self.entered.len();
        let found = f(self);
        if found.is_none() {
            self.entered.truncate(before);
        }
        found
    }

    /// Returns what `f` finds for the operands of a commutative op, in one of both orders.
    pub fn in_any_order<T>(
        &mut self,
        [x, y]: [Value; 2],
        mut f: impl FnMut(&mut Self, Value, Value) -> Option<T>,
    ) -> Option<T> {
        self.attempt(|s| f(s, x, y)).or_else(|| self.attempt(|s| f(s, y, x)))
    }

    /// Returns the type of `v`.
    pub fn ty(&self, v: Value) -> &'g Type {
        self.graph.ty(v)
    }

    /// Returns the equation that computes `v`, which is not entered.
    pub fn producer(&self, v: Value) -> Option<&'g Eqn> {
        self.producers[v.index()].map(|i| &self.graph.eqns()[i])
    }

    /// Returns true if one equation alone reads `v`.
    pub fn has_one_reader(&self, v: Value) -> bool {
        self.readers[v.index()].len() == 1
    }

    /// Enters and returns the equation that computes `v`.
    pub fn enter(&mut self, v: Value) -> Option<&'g Eqn> {
        let i = self.producers[v.index()]?;
        self.entered.push(i);
        Some(&self.graph.eqns()[i])
    }

    /// Enters the equation of `v` if it is `op`, and returns its operands.
    pub fn binary(&mut self, v: Value, op: Binary) -> Option<[Value; 2]> {
        self.attempt(|s| {
            let e = s.enter(v)?;
            (e.op == Op::Binary(op)).then(|| [e.inputs[0], e.inputs[1]])
        })
    }

    /// Enters the equation of `v` if it is `op`, and returns its operand.
    pub fn unary(&mut self, v: Value, op: Unary) -> Option<Value> {
        self.attempt(|s| {
            let e = s.enter(v)?;
            (e.op == Op::Unary(op)).then(|| e.inputs[0])
        })
    }

    /// Enters the equation of `v` if it compares by `direction`, and returns its operands.
    pub fn compare(&mut self, v: Value, direction: Direction) -> Option<[Value; 2]> {
        self.attempt(|s| {
            let e = s.enter(v)?;
            (e.op == Op::Compare(Compare { direction })).then(|| [e.inputs[0], e.inputs[1]])
        })
    }

    /// Enters the equation of `v` if it is a selection, and returns its operands.
    pub fn select(&mut self, v: Value) -> Option<[Value; 3]> {
        self.attempt(|s| {
            let e = s.enter(v)?;
            matches!(e.op, Op::Select(_)).then(|| [e.inputs[0], e.inputs[1], e.inputs[2]])
        })
    }

    /// Enters the equation of `v` if it is the square of a value, and returns this value.
    pub fn square(&mut self, v: Value) -> Option<Value> {
        self.attempt(|s| {
            let e = s.enter(v)?;
            let [x, y] = e.inputs[..] else { return None };
            let is_square = match e.op {
                Op::Binary(Binary::Mul) => x == y,
                Op::Binary(Binary::Pow) => s.number(y) == Some(2.0),
                _ => false,
            };
            is_square.then_some(x)
        })
    }

    /// Returns the number that all elements of the float `v` are known to be.
    pub fn number(&self, v: Value) -> Option<f64> {
        if !self.ty(v).dtype.is_float() {
            return None;
        }
        let e = self.producer(v)?;
        match &e.op {
            Op::Constant(Constant { value }) => uniform(value)?.to_f64s().first().copied(),
            Op::Broadcast(_) | Op::Reshape(_) => self.number(e.inputs[0]),
            _ => None,
        }
    }

    /// Returns true if all elements of `v` are `want`, but for rounding.
    pub fn is_number(&self, v: Value, want: f64) -> bool {
        self.number(v).is_some_and(|x| is_about(self.ty(v).dtype, x, want))
    }

    /// Enters moves that only insert or remove axes of size 1, and returns the value behind them.
    pub fn without_unit_moves(&mut self, mut v: Value) -> Value {
        while let Some(inner) = self.attempt(|s| s.behind_unit_move(v)) {
            v = inner;
        }
        v
    }

    fn behind_unit_move(&mut self, v: Value) -> Option<Value> {
        let e = self.enter(v)?;
        if !matches!(e.op, Op::Reshape(_) | Op::Broadcast(_)) {
            return None;
        }
        let long = |v: Value| self.ty(v).shape.iter().copied().filter(|n| *n != 1);
        long(v).eq(long(e.inputs[0])).then_some(e.inputs[0])
    }

    /// Enters the reduction of `v` along `axis`, and returns its operand.
    pub fn reduced(&mut self, v: Value, kind: ReduceKind, axis: usize) -> Option<Value> {
        self.attempt(|s| {
            let v = s.without_unit_moves(v);
            let e = s.enter(v)?;
            let Op::Reduce(Reduce { kind: own, axes }) = &e.op else { return None };
            (*own == kind && axes[..] == [axis]).then(|| e.inputs[0])
        })
    }

    /// Returns the value that `v` repeats along `axis`, with axes of size 1 or none in its place.
    pub fn repeated(&mut self, v: Value, axis: usize) -> Option<Value> {
        self.attempt(|s| {
            let e = s.enter(v)?;
            let Op::Broadcast(Broadcast { shape, dims }) = &e.op else { return None };
            let inner = &s.ty(e.inputs[0]).shape;
            let long = |shape: &Shape, axis: usize| shape[axis] != 1;
            let axes = (0..inner.rank()).filter(|&i| long(inner, i)).map(|i| dims[i]);
            let others = (0..shape.rank()).filter(|&i| i != axis && long(shape, i));
            axes.eq(others).then(|| s.without_unit_moves(e.inputs[0]))
        })
    }

    /// Returns a vector of `n` elements, or a number, that `v` repeats along all axes but the last.
    /// Nothing is entered.
    pub fn vector_along_last(&self, v: Value) -> Option<Value> {
        let shape = &self.ty(v).shape;
        let last = shape.rank().checked_sub(1)?;
        if last == 0 {
            return Some(v);
        }
        let e = self.producer(v)?;
        let Op::Broadcast(Broadcast { dims, .. }) = &e.op else { return None };
        let inner = &self.ty(e.inputs[0]).shape;
        let is_along = (0..inner.rank()).all(|i| inner[i] == 1 || dims[i] == last);
        (is_along && (inner.size() == shape[last] || inner.rank() == 0)).then(|| e.inputs[0])
    }
}

/// Returns true if `x` is `want` but for rounding to `dtype`.
pub(super) fn is_about(dtype: DType, x: f64, want: f64) -> bool {
    let digits = FloatFormat::of(dtype).map_or(0, |f| f.mantissa_bits as i32);
    (x - want).abs() <= MAX_CONSTANT_ERROR * 2f64.powi(-digits) * want.abs()
}

/// Emits a vector of `n` elements from a value of `n` elements, or from a number.
pub(super) fn as_vector(b: &mut Builder, v: Value, n: usize) -> Value {
    match b.ty(v).rank() {
        0 => b.broadcast(v, [n], &[]),
        1 => v,
        _ => b.reshape(v, [n]),
    }
}
