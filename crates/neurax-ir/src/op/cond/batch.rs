//! Batching of a conditional whose index differs between the members of the batch.
//!
//! The problem: each member may take another branch. Running all branches for all members and
//! selecting each member's results gives the right values, and is what vectorizes best. But where
//! a branch is not taken it may have no finite derivative, or no end: the cotangent zero of an
//! unused result times an infinite slope is NaN, and a loop may run forever.
//!
//! The method has two forms:
//!
//! - the *plain* form runs all branches on all members and selects;
//! - the *guarded* form gives the members that do not take a branch the operands of the first one
//!   that does, and skips a branch that no member takes. Nothing then runs on operands for which
//!   it was not meant.
//!
//! The plain form computes the values, and the derivative is that of the guarded form: both are in
//! one [`CustomFunction`]. Branches with a `while` loop, and branches that have no derivative by
//! some operand, are always guarded.
//!
//! # Example
//!
//! `case(i, sqrt(x), 0)` with `i: i32[3]` and `x: f32[3]`; `first` returns the index of the first
//! `true`:
//!
//! ```text
//! plain    select(i == 0, sqrt(x), 0)
//! guarded  t = i == 0
//!          x' = select(t, x, x[first(t)])
//!          select(t, case(any(t), 0, sqrt(x')), 0)
//! ```
//!
//! # Invariants
//!
//! - A member's results are those of the branch that it takes, applied to its operands.
//! - No tangent flows through the operands that were taken from another member.
//! - A branch that sums over the batched axis needs all members: it is never guarded.

use super::{Cond, of};
use crate::composite::{Composite, CustomFunction};
use crate::op::{
    ArgKind, ArgReduce, Axis, Batched, Direction, DynamicSlice, Op, ReduceKind,
    front_where_batched, rules::*,
};
use crate::transform::{Memo, jvp_instantiated};
use crate::{Builder, DType, Graph, OrBug, Result, Type, Value, Values};
use std::sync::Arc;

/// The operands of the batched conditional, with the batch axis in front of those that are batched.
struct BatchedBranches<'a> {
    op: &'a Cond,
    axis: &'a Axis,
    /// For each operand of the branches, true if it is batched.
    batched: Vec<bool>,
    /// The batched branches: both forms and the derivative use them.
    memo: Memo,
}

impl Cond {
    /// Batches the op over a batched index: each member gets the results of its branch.
    pub(super) fn batch_all(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        let batched = dims[1..].iter().map(Option::is_some).collect();
        let branches = BatchedBranches { op: self, axis, batched, memo: b.memo() };
        let xs = front_where_batched(b, xs, dims, axis.size);
        let types = b.types_of(&xs);
        let name = axis.name.as_deref();
        let sums = |g: &Graph| name.is_some() && g.eqns().iter().any(|e| e.op.uses_axis(name));
        if axis.size == 0 || self.branches.iter().any(|g| sums(g)) {
            return Ok(at_front(b.inline(&branches.plain(&types)?, &xs).into_iter().collect()));
        }
        // Branches without a derivative by some operand have values all the same, and perhaps a
        // derivative by the operands that matter.
        let derivative = match self.branches.iter().any(|g| has_while(g)) {
            true => None,
            false => branches.guarded_jvp(&types).ok(),
        };
        let Some(derivative) = derivative else {
            let rows = branches.rows(b, &xs);
            let args = [xs, rows].concat();
            let guarded = branches.guarded(&types)?;
            return Ok(at_front(b.inline(&guarded, &args).into_iter().collect()));
        };
        let op = CustomFunction {
            callee: "case".into(),
            captures: 0,
            body: Arc::new(branches.plain(&types)?),
            jvp: Some(Arc::new(derivative)),
            tangent: None,
            forward: None,
            backward: None,
        };
        Ok(at_front(b.emit_n(Composite::from(op), &xs, self.outputs())))
    }
}

/// Returns true if the graph contains a `while` loop, at any depth.
fn has_while(g: &Graph) -> bool {
    let inside = |op: &Op| matches!(op, Op::While(_)) || op.graphs().iter().any(|g| has_while(g));
    g.eqns().iter().any(|e| inside(&e.op))
}

impl BatchedBranches<'_> {
    /// Builds the plain form, `(index, operands..) -> results..`.
    fn plain(&self, types: &[Type]) -> Result<Graph> {
        let mut b = Builder::new();
        let xs = b.inputs(types);
        let all = vec![true; self.op.outputs()];
        let results = self.op.branches.iter().map(|g| {
            let run = self.memo.batch(g, self.axis, &self.batched, &all)?;
            Ok(b.inline(&run.0, &xs[1..]).into())
        });
        let results = results.collect::<Result<Vec<Values>>>()?;
        let chosen = self.choose(&mut b, xs[0], results)?;
        b.finish(&chosen)
    }

    /// Builds the guarded form, `(index, operands.., rows..) -> results..`, with the rows that
    /// [`BatchedBranches::rows`] adds.
    fn guarded(&self, types: &[Type]) -> Result<Graph> {
        let mut b = Builder::new();
        let xs = b.inputs(types);
        let mut results = vec![];
        for (i, g) in self.op.branches.iter().enumerate() {
            let taken = self.is_taken(&mut b, xs[0], i);
            let safe = |b: &mut Builder, (&x, &batched): (&Value, &bool)| {
                if !batched {
                    return x;
                }
                let shape = b.ty(x).shape.clone();
                let row = b.input(b.ty(x).with_shape(shape.removed(0)));
                let kept: Vec<usize> = (1..shape.rank()).collect();
                let row = b.broadcast(row, shape.clone(), &kept);
                let taken = b.broadcast(taken, shape, &[0]);
                b.select(taken, x, row)
            };
            let operands: Vec<Value> =
                xs[1..].iter().zip(&self.batched).map(|x| safe(&mut b, x)).collect();
            results.push(self.run_if_taken(&mut b, g, taken, &operands)?);
        }
        let chosen = self.choose(&mut b, xs[0], results)?;
        b.finish(&chosen)
    }

    /// Builds the derivative of the guarded form, `(index, operands.., tangents..) -> (results..,
    /// tangents..)`.
    fn guarded_jvp(&self, types: &[Type]) -> Result<Graph> {
        let guarded = self.guarded(types)?;
        let is_active = |i: usize, t: &Type| i < types.len() && t.dtype.is_differentiable();
        let active: Vec<bool> =
            guarded.input_types().iter().enumerate().map(|(i, t)| is_active(i, t)).collect();
        let outs = guarded.output_types();
        let force: Vec<bool> = outs.iter().map(|t| t.dtype.is_differentiable()).collect();
        let derivative = jvp_instantiated(&self.memo, &guarded, &active, &force, false)?.graph;
        let mut b = Builder::new();
        let xs = b.inputs(types);
        let tangents: Vec<Type> =
            types.iter().filter(|t| t.dtype.is_differentiable()).cloned().collect();
        let dxs = b.inputs(&tangents);
        let rows = self.rows(&mut b, &xs);
        // The conditionals of the derivative return values and tangents together. The values of a
        // rule must not depend on tangents, so they are computed by other conditionals.
        let mut ys = b.inline(&guarded, &[&xs[..], &rows].concat());
        let dys = b.inline(&derivative, &[xs, rows, dxs].concat());
        ys.extend_from_slice(&dys[outs.len()..]);
        b.finish(&ys)
    }

    /// Adds, for each branch and each batched operand, the operand of the first member that takes
    /// the branch; of the first member of all, if none does.
    fn rows(&self, b: &mut Builder, xs: &[Value]) -> Vec<Value> {
        let mut rows = vec![];
        for i in 0..self.op.branches.len() {
            let taken = self.is_taken(b, xs[0], i);
            let taken = b.convert(taken, DType::I32);
            let first = b.emit(ArgReduce { kind: ArgKind::Max, axis: 0 }, &[taken]);
            let batched = xs[1..].iter().zip(&self.batched).filter(|(_, d)| **d);
            rows.extend(batched.map(|(&x, _)| row(b, x, first)));
        }
        rows
    }

    /// Adds the results of branch `g` for all members, or zeros if no member takes it.
    fn run_if_taken(
        &self,
        b: &mut Builder,
        g: &Arc<Graph>,
        taken: Value,
        operands: &[Value],
    ) -> Result<Values> {
        let all = vec![true; g.outputs().len()];
        let run = self.memo.batch(g, self.axis, &self.batched, &all)?.0.clone();
        let mut skip = Builder::new();
        skip.inputs(run.input_types());
        let zeros: Vec<Value> = run.output_types().iter().map(|t| skip.zeros(t.clone())).collect();
        let op = of(vec![skip.finish(&zeros)?, run]);
        let any = b.reduce(ReduceKind::Or, taken, &[0]);
        let any = b.convert(any, DType::I32);
        let args: Vec<Value> = std::iter::once(any).chain(operands.iter().copied()).collect();
        Ok(b.emit_n(op, &args, all.len()))
    }

    /// Adds a flag for each member: true if it takes branch `i`. The index is clamped: too large
    /// ones select the last branch, negative ones the first.
    fn is_taken(&self, b: &mut Builder, index: Value, i: usize) -> Value {
        let last = self.op.branches.len() - 1;
        let this = b.full_like(index, i as f64);
        match i {
            _ if last == 0 => b.compare(Direction::Eq, this, this),
            0 => b.compare(Direction::Le, index, this),
            _ if i == last => b.compare(Direction::Ge, index, this),
            _ => b.compare(Direction::Eq, index, this),
        }
    }

    /// Adds the selection of each member's results among those of all branches.
    fn choose(&self, b: &mut Builder, index: Value, results: Vec<Values>) -> Result<Values> {
        let mut chosen: Option<Values> = None;
        for (i, ys) in results.into_iter().enumerate() {
            let Some(before) = chosen.take() else {
                chosen = Some(ys);
                continue;
            };
            let taken = self.is_taken(b, index, i);
            let pick = |(&y, z): (&Value, Value)| {
                let shape = b.ty(y).shape.clone();
                let taken = b.broadcast(taken, shape, &[0]);
                b.select(taken, y, z)
            };
            chosen = Some(ys.iter().zip(before).map(pick).collect());
        }
        chosen.or_bug("a cond has no branch")
    }
}

/// Adds `x[index]`, with a scalar index along axis 0.
fn row(b: &mut Builder, x: Value, index: Value) -> Value {
    let shape = b.ty(x).shape.clone();
    let start = b.reshape(index, [1]);
    let zeros = b.zeros(Type::new(DType::I32, [shape.rank() - 1]));
    let start = b.concat(&[start, zeros], 0);
    let sizes = std::iter::once(1).chain(shape.iter().skip(1).copied()).collect();
    let row = b.emit(DynamicSlice { sizes }, &[x, start]);
    b.reshape(row, shape.removed(0))
}
