//! `scatter`: writes windows at the positions of an array of indices.
//!
//! The op is the counterpart of [`super::gather`] and has its geometry: [`Scatter::to_gather`] is
//! the gather that reads the windows which a scatter writes. With `kind=add` it is the transpose of
//! that gather; with `kind=set` it is an update in place, `x.at[i].set(u)` in JAX.
//!
//! The updates are applied in row-major order of the indices, so that repeated indices have a
//! defined result: the last one wins, and sums of floats are rounded in one order. Updates out of
//! bounds are dropped or clamped.
//!
//! # Derivatives
//!
//! - `add`: linear in the operand and the updates.
//! - `set`: linear, too, but an update that is overwritten by a later one gets no cotangent. Which
//!   ones remain is computed by writing the index of each update and reading the indices back
//!   (`winners`); `unique` saves that.
//! - `mul`: the product rule, for which each element may have only one update; without `unique` the
//!   derivative with respect to the updates is an error. Division by the update, the other way,
//!   fails at zero.
//! - `min`, `max`: the tangent is the mean of those of the operand and updates that equal the
//!   result, as for the reductions.
//!
//! Batching pairs a new axis of the operand with one of the indices; if the indices are shared by
//! all members, it is a window axis.
//!
//! Invariants: the result has the type of the operand, which is written in place if it has no other
//! owner; `unique` only promises, it changes no result.

use super::gather::{geometries, plan::GatherPlan};
use super::reduce::eval::{Accumulate, store};
use super::{
    Axis, Batched, Binary, Bound, Combine, Direction, Gather, OutOfBounds, Primitive, ReduceKind,
    Sample, Tangent, Transposed, rules::*,
};
use crate::graph::attr::{attrs, names};
use crate::{Builder, DType, Eval, Literal, Result, Type, Value, with_compute};

names! {
    /// The function that combines an element of the operand with an update.
    pub enum ScatterKind {
        /// The update; the last of several wins.
        Set = "set",
        /// The sum; the or of bools.
        Add = "add",
        /// The product; the and of bools.
        Mul = "mul",
        /// The smaller; NaN wins.
        Min = "min",
        /// The larger; NaN wins.
        Max = "max",
    }
}

/// The most updates of an element that are added in its own dtype, or f32 if that is narrower, if
/// each update is one element and there are no fewer updates than elements.
const MAX_PLAIN_UPDATES: usize = 256;

/// The same for updates that are rows, such as segment sums of vectors: f64 makes them 4 to 10
/// times slower (4,096 rows of 512 numbers take 5 ms instead of 0.8).
const MAX_PLAIN_ROWS: usize = 1 << 10;

/// The same if there are fewer updates than elements, as in the gradient of a large embedding: f64
/// doubles the time, of which most is the copy of the operand (50,000 rows of 256 numbers: 60 ms
/// instead of 30).
const MAX_PLAIN_SPARSE_UPDATES: usize = 1 << 12;

attrs! {
    /// An array with windows written at given starts: operands `(x, indices, updates)`. The windows
    /// in `updates` are combined into `x` at the starts in `indices`, one after the other in
    /// row-major order of the indices.
    ///
    /// The attributes mirror those of [`super::Gather`]: `updates` has the shape of the gather's
    /// result. <https://openxla.org/stablehlo/spec#scatter>, with the index vector always along the
    /// last axis.
    pub struct Scatter = "scatter" {
        /// The function that combines an element with an update.
        kind: ScatterKind,
        /// The window axes of the updates, increasing.
        window_dims: Vec<usize>,
        /// The axes of the operand that windows do not have, increasing.
        inserted: Vec<usize>,
        /// The batch axes of the operand, increasing.
        operand_batch: Vec<usize>,
        /// The batch axes of the indices, each paired with one of the operand.
        indices_batch: Vec<usize>,
        /// For each entry of an index vector, the axis of the operand that it indexes.
        index_map: Vec<usize>,
        /// The treatment of windows that are out of bounds.
        mode: OutOfBounds,
        /// True if the caller guarantees that no element is written twice.
        unique: bool,
    }
}

impl ScatterKind {
    /// Returns the reduction that combines an element with an update; `None` for replacement.
    fn reduction(self) -> Option<ReduceKind> {
        match self {
            ScatterKind::Set => None,
            ScatterKind::Add => Some(ReduceKind::Sum),
            ScatterKind::Mul => Some(ReduceKind::Prod),
            ScatterKind::Min => Some(ReduceKind::Min),
            ScatterKind::Max => Some(ReduceKind::Max),
        }
    }

    /// Returns the elementwise op that combines an element with an update; `None` for replacement.
    pub fn binary(self) -> Option<Binary> {
        self.reduction().map(ReduceKind::binary)
    }

    /// Returns true if elements of `dtype` can be combined by this kind.
    fn admits(self, dtype: DType) -> bool {
        self.reduction().is_none_or(|kind| kind.admits(dtype))
    }
}

impl Scatter {
    /// Returns the gather that reads the windows which this scatter writes, for an operand of
    /// `rank` axes and updates of type `updates`, which have the window axes: `infer` checks that.
    pub fn to_gather(&self, rank: usize, updates: &Type) -> Gather {
        let mut g = Gather {
            offset_dims: self.window_dims.clone(),
            collapsed: self.inserted.clone(),
            operand_batch: self.operand_batch.clone(),
            indices_batch: self.indices_batch.clone(),
            index_map: self.index_map.clone(),
            sizes: vec![1; rank],
            mode: self.mode,
        };
        for (a, &d) in g.kept(rank).into_iter().zip(&self.window_dims) {
            g.sizes[a] = updates.shape[d];
        }
        g
    }

    /// Returns the most updates that one element can get, for operands of `types`.
    pub fn updates_of_an_element(&self, types: &[Type]) -> usize {
        let [x, indices, _] = types else { return 0 };
        if self.unique || x.shape.is_empty() {
            return 1;
        }
        let axes = indices.shape.split_last().map_or(&[][..], |(_, axes)| axes).iter().enumerate();
        axes.filter(|(a, _)| !self.indices_batch.contains(a)).map(|(_, &n)| n).product()
    }

    /// Returns true if operands of `types` may add more floats to one element than a plain sum adds
    /// without losing digits: they are added in f64.
    pub fn adds_many(&self, types: &[Type]) -> bool {
        let [x, _, updates] = types else { return false };
        let has_rows = self.window_dims.iter().any(|&d| updates.shape.get(d) != Some(&1));
        let most = match has_rows {
            _ if x.size() > updates.size() => MAX_PLAIN_SPARSE_UPDATES,
            true => MAX_PLAIN_ROWS,
            false => MAX_PLAIN_UPDATES,
        };
        self.kind == ScatterKind::Add
            && x.dtype.is_float()
            && self.updates_of_an_element(types) > most
    }

    /// Returns the scatter to the same windows by another kind.
    fn with_kind(&self, kind: ScatterKind) -> Scatter {
        Scatter { kind, ..self.clone() }
    }

    /// Emits the elements of `from`, an array of the operand's shape, that the updates go to; zero
    /// where updates are dropped.
    fn read(&self, b: &mut Builder, at: &Bound, from: Value) -> Value {
        let g = self.to_gather(b.ty(from).rank(), b.ty(at.xs[2]));
        b.emit(g, &[from, at.xs[1]])
    }

    /// Emits a mask of the updates that are in the result of a replacement: each update writes its
    /// index, and has won if the index is still there in the end.
    fn winners(&self, b: &mut Builder, at: &Bound) -> Value {
        let updates = b.ty(at.xs[2]).clone();
        let dtype = if updates.size() < i32::MAX as usize { DType::I32 } else { DType::I64 };
        let count = b.iota(Type::new(dtype, [updates.size()]), 0);
        let count = b.add_scalar(count, 1.0);
        let indices = b.reshape(count, updates.shape);
        let x = b.ty(at.xs[0]).with_dtype(dtype);
        let zeros = b.zeros(x);
        let written = b.emit(self.clone(), &[zeros, at.xs[1], indices]);
        let final_indices = self.read(b, at, written);
        b.compare(Direction::Eq, indices, final_indices)
    }

    /// Emits the tangent of a product by the product rule.
    fn jvp_mul(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Tangent> {
        let of_x = dxs[0].map(|dx| b.emit(self.clone(), &[dx, at.xs[1], at.xs[2]]));
        let Some(du) = dxs[2] else { return Ok(of_x) };
        if !self.unique {
            return no_derivative(
                Self::NAME,
                "with respect to updates that may multiply one element twice; set unique if the \
                 indices are",
            );
        }
        let x = self.read(b, at, at.xs[0]);
        let du = b.mul(du, x);
        let base = b.tangent_or_zero(of_x, at.xs[0]);
        Ok(Some(b.emit(self.with_kind(ScatterKind::Add), &[base, at.xs[1], du])))
    }

    /// Emits the tangent of a minimum or maximum: the mean of the tangents of all elements and
    /// updates that are equal to the result.
    fn jvp_extremum(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Tangent {
        let (x, indices, u) = (at.xs[0], at.xs[1], at.xs[2]);
        let dtype = b.dtype(x);
        let best = self.read(b, at, at.ys[0]);
        let stays = b.compare(Direction::Eq, x, at.ys[0]);
        let wins = b.compare(Direction::Eq, u, best);
        let (stays_n, wins_n) = (b.convert(stays, dtype), b.convert(wins, dtype));
        let add = self.with_kind(ScatterKind::Add);
        let equals = b.emit(add.clone(), &[stays_n, indices, wins_n]);
        // Nothing equals a NaN: avoid a division by zero.
        let one = b.full_like(equals, 1.0);
        let equals = b.max(equals, one);
        let share = b.div(one, equals);
        let dx = b.tangent_or_zero(dxs[0], x);
        let du = b.tangent_or_zero(dxs[2], u);
        let (dx, du) = (b.select_or_zero(stays, dx), b.select_or_zero(wins, du));
        let sum = b.emit(add, &[dx, indices, du]);
        Some(b.mul(sum, share))
    }
}

impl Primitive for Scatter {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 3)?;
        let (x, indices, updates) = (&xs[0], &xs[1], &xs[2]);
        if x.dtype != updates.dtype {
            return refuse(
                Self::NAME,
                format!("{x} and the updates {updates} differ in dtype; convert one of them"),
            );
        }
        if !self.kind.admits(x.dtype) {
            return refuse(
                Self::NAME,
                format!("{x} has no order; expected real numbers for {}", self.kind.name()),
            );
        }
        check_axes(Self::NAME, &self.window_dims, updates.rank())?;
        let windows = self.to_gather(x.rank(), updates).check(Self::NAME, x, indices)?;
        if windows != updates.shape {
            return refuse(
                Self::NAME,
                format!(
                    "expected updates of shape {windows} for {x} and indices {indices}, got \
                     {updates}"
                ),
            );
        }
        Ok(vec![x.clone()])
    }

    fn eval(&self, cx: &mut Eval, mut xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let x = xs.remove(0);
        let (indices, updates) = (&xs[0], &xs[1]);
        if updates.ty().size() == 0 {
            return Ok(vec![x]);
        }
        let gather = self.to_gather(x.shape().rank(), updates.ty());
        let plan = GatherPlan::new(&gather, x.shape(), indices, updates.shape());
        let types = [x.ty().clone(), indices.ty().clone(), updates.ty().clone()];
        if self.adds_many(&types) {
            return Ok(vec![with_compute!(any x.dtype(), C => sum::<C>(&plan, &x, updates))]);
        }
        let (y, inplace) = match self.kind.reduction().map(|kind| kind.on(x.dtype())) {
            None => plan.write(x, updates)?,
            Some(kind) => with_compute!(any x.dtype(), C => {
                let u = updates.load::<C>();
                x.edit(|to: &mut [C]| {
                    plan.each(|x, o, n| combine_run(kind, &mut to[x..x + n], &u[o..o + n]))
                })
            }),
        };
        cx.count_reuse(inplace);
        Ok(vec![y])
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        let dy = match self.kind {
            ScatterKind::Add if dxs[2].is_none() => dxs[0],
            ScatterKind::Set | ScatterKind::Add => {
                let dx = b.tangent_or_zero(dxs[0], at.xs[0]);
                let du = b.tangent_or_zero(dxs[2], at.xs[2]);
                Some(b.emit(self.clone(), &[dx, at.xs[1], du]))
            }
            ScatterKind::Mul => self.jvp_mul(b, at, dxs)?,
            ScatterKind::Min | ScatterKind::Max => self.jvp_extremum(b, at, dxs),
        };
        Ok(vec![dy])
    }

    fn transpose(
        &self,
        b: &mut Builder,
        at: &Bound,
        linear: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed {
        let Some(ct) = cts[0] else { return Transposed::Cotangents(vec![None; 3]) };
        let indices = at.xs[1];
        let (x, u) = match (self.kind, linear) {
            (ScatterKind::Add, [x, false, u]) => (x.then_some(ct), u.then(|| self.read(b, at, ct))),
            (ScatterKind::Set, [x, false, u]) => {
                let x = x.then(|| {
                    let zeros = b.full_like(at.xs[2], 0.0);
                    b.emit(self.clone(), &[ct, indices, zeros])
                });
                let u = u.then(|| {
                    let cts = self.read(b, at, ct);
                    if self.unique {
                        return cts;
                    }
                    let winners = self.winners(b, at);
                    b.select_or_zero(winners, cts)
                });
                (x, u)
            }
            (ScatterKind::Mul, [true, false, false]) => {
                (Some(b.emit(self.clone(), &[ct, indices, at.xs[2]])), None)
            }
            _ => return Transposed::NotLinear,
        };
        Transposed::Cotangents(vec![x, None, u])
    }

    fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        let mut op = self.clone();
        for axes in
            [&mut op.window_dims, &mut op.inserted, &mut op.operand_batch, &mut op.index_map]
        {
            shift_axes_from(axes, 0);
        }
        let x = b.batched_at_front(xs[0], dims[0], axis.size);
        let updates = b.batched_at_front(xs[2], dims[2], axis.size);
        let indices = match dims[1] {
            // All members have the same indices: the new axis is a window axis.
            None => {
                op.window_dims.insert(0, 0);
                xs[1]
            }
            Some(_) => {
                shift_axes_from(&mut op.indices_batch, 0);
                op.operand_batch.insert(0, 0);
                op.indices_batch.insert(0, 0);
                b.batched_at_front(xs[1], dims[1], axis.size)
            }
        };
        Ok(at_front(b.emit_n(op, &[x, indices, updates], 1)))
    }

    fn samples() -> Vec<Sample> {
        let mut rows = vec![];
        for &kind in ScatterKind::ALL {
            for mode in [OutOfBounds::Clip, OutOfBounds::Drop] {
                rows.extend(geometries(mode).iter().map(|g| row(kind, g, false, DType::F64)));
            }
            rows.extend(
                geometries(OutOfBounds::Clip)
                    .iter()
                    .take(4)
                    .map(|g| row(kind, g, true, DType::F64)),
            );
            let first = &geometries(OutOfBounds::Clip)[0];
            rows.extend(
                DType::ALL
                    .into_iter()
                    .filter(|&d| kind.admits(d))
                    .map(|d| row(kind, first, false, d)),
            );
            let by = |d: DType| {
                (
                    first.0.clone(),
                    first.1.clone(),
                    Literal::from_f64s(d, first.2.shape(), &first.2.to_f64s()),
                )
            };
            rows.extend(
                DType::ALL
                    .into_iter()
                    .filter(|d| d.is_int())
                    .map(|d| row(kind, &by(d), false, DType::F32)),
            );
        }
        rows
    }
}

fn row(
    kind: ScatterKind,
    (g, x, indices): &(Gather, Vec<usize>, Literal),
    unique: bool,
    d: DType,
) -> Sample {
    let op = Scatter {
        kind,
        window_dims: g.offset_dims.clone(),
        inserted: g.collapsed.clone(),
        operand_batch: g.operand_batch.clone(),
        indices_batch: g.indices_batch.clone(),
        index_map: g.index_map.clone(),
        mode: g.mode,
        unique,
    };
    let x = Type::new(d, &x[..]);
    let updates = g.check(Scatter::NAME, &x, indices.ty()).map_or(x.clone(), |s| x.with_shape(s));
    let inputs = vec![sample(x, -3.0, 4.0), indices.clone(), sample(updates, -2.5, 3.5)];
    Sample {
        op: op.into(),
        inputs,
        smooth: d == DType::F64 && (unique || kind != ScatterKind::Mul),
    }
}

/// Combines updates into a run of elements. Sums, the usual case, have a loop with a constant kind.
fn combine_run<C: Combine>(kind: ReduceKind, to: &mut [C], u: &[C]) {
    match kind {
        ReduceKind::Sum => {
            to.iter_mut().zip(u).for_each(|(x, &u)| *x = C::combine(ReduceKind::Sum, *x, u))
        }
        kind => to.iter_mut().zip(u).for_each(|(x, &u)| *x = C::combine(kind, *x, u)),
    }
}

/// Adds `updates` to the elements of `x` that `plan` names, in the dtype of accumulators.
fn sum<C: Accumulate>(plan: &GatherPlan, x: &Literal, updates: &Literal) -> Literal {
    let mut acc: Vec<C::Acc> = x.load::<C>().iter().map(|x| x.widen()).collect();
    let u = updates.load::<C>();
    plan.each(|x, o, n| {
        for (a, u) in acc[x..x + n].iter_mut().zip(&u[o..o + n]) {
            *a = C::Acc::combine(ReduceKind::Sum, *a, u.widen());
        }
    });
    store::<C>(x.ty().clone(), &acc)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a scatter of single elements of a vector.
    fn elements(kind: ScatterKind, mode: OutOfBounds) -> Scatter {
        Scatter {
            kind,
            window_dims: vec![],
            inserted: vec![0],
            operand_batch: vec![],
            indices_batch: vec![],
            index_map: vec![0],
            mode,
            unique: false,
        }
    }

    fn run(op: &Scatter, x: Literal, i: &[i32], u: &[f64]) -> Literal {
        let u = Literal::from_f64s(x.dtype(), [u.len()], u);
        let i = Literal::from_slice([i.len(), 1], i).unwrap();
        op.eval(&mut Eval::default(), vec![x, i, u]).unwrap().remove(0)
    }

    #[test]
    fn every_kind_and_mode_on_every_dtype() {
        let holds_three = |d: &DType| *d != DType::Bool && d.bits() > 2 && !d.is_storage();
        for d in DType::ALL.into_iter().filter(holds_three) {
            let x = || Literal::from_f64s(d, [3], &[1.0, 2.0, 3.0]);
            let go = |kind, mode| {
                run(&elements(kind, mode), x(), &[2, -1, 2], &[2.0, 5.0, 1.0]).to_f64s()
            };
            assert_eq!(
                go(ScatterKind::Set, OutOfBounds::Drop),
                [1.0, 2.0, 1.0],
                "{d}: the last wins"
            );
            assert_eq!(go(ScatterKind::Set, OutOfBounds::Clip), [5.0, 2.0, 1.0], "{d}");
            assert_eq!(go(ScatterKind::Add, OutOfBounds::Drop), [1.0, 2.0, 6.0], "{d}");
            assert_eq!(go(ScatterKind::Mul, OutOfBounds::Clip), [5.0, 2.0, 6.0], "{d}");
            if !d.is_complex() {
                assert_eq!(go(ScatterKind::Min, OutOfBounds::Drop), [1.0, 2.0, 1.0], "{d}");
                assert_eq!(go(ScatterKind::Max, OutOfBounds::Clip), [5.0, 2.0, 3.0], "{d}");
            }
        }
    }

    #[test]
    fn bools_are_bits_and_nan_wins() {
        let x = || Literal::from_slice([2], &[true, false]).unwrap();
        let go =
            |kind| run(&elements(kind, OutOfBounds::Drop), x(), &[0, 1], &[0.0, 1.0]).to_f64s();
        assert_eq!(go(ScatterKind::Add), [1.0, 1.0]);
        assert_eq!(go(ScatterKind::Mul), [0.0, 0.0]);
        let many = run(&elements(ScatterKind::Add, OutOfBounds::Drop), x(), &[1; 256], &[1.0; 256]);
        assert_eq!(many.to_f64s(), [1.0, 1.0], "256 times true does not wrap");
        for kind in [ScatterKind::Min, ScatterKind::Max] {
            let x = Literal::from_slice([2], &[f32::NAN, 1.0]).unwrap();
            let y = run(&elements(kind, OutOfBounds::Drop), x, &[0, 1], &[0.0, f64::NAN]);
            assert!(y.to_f64s().iter().all(|v| v.is_nan()));
        }
    }

    #[test]
    fn a_uniquely_owned_operand_is_written_in_place() {
        let on = |&kind: &ScatterKind| {
            DType::ALL.into_iter().filter(move |&d| kind.admits(d)).map(move |d| (kind, d))
        };
        for (kind, d) in ScatterKind::ALL.iter().flat_map(on) {
            let i = Literal::from_slice([1, 1], &[1u8]).unwrap();
            let u = Literal::from_f64s(d, [1], &[0.0]);
            let x = Literal::from_f64s(d, [3], &[1.0; 3]);
            let (at, kept, ones) = (x.bytes().address(), x.clone(), x.to_f64s());
            let mut cx = Eval::default();
            let op = elements(kind, OutOfBounds::Drop);
            let new = op.eval(&mut cx, vec![x, i.clone(), u.clone()]).unwrap().remove(0);
            assert_eq!(
                (kept.to_f64s(), cx.reused),
                (ones, 0),
                "{kind:?} {d}: it has another owner"
            );
            let y = op.eval(&mut cx, vec![kept, i, u]).unwrap().remove(0);
            assert_eq!((y.bytes().address(), cx.reused), (at, 1), "{kind:?} {d}");
            assert_eq!(y, new, "{kind:?} {d}");
        }
    }

    #[test]
    fn scatter_writes_the_windows_that_gather_reads() {
        // Gathering what was scattered yields the updates, for every geometry without overlaps.
        for mode in [OutOfBounds::Clip, OutOfBounds::Drop] {
            for g in geometries(mode).iter().take(3) {
                let s = row(ScatterKind::Set, g, true, DType::F64);
                let y = s.op.eval(&mut Eval::default(), s.inputs.clone()).unwrap().remove(0);
                let back = g.0.eval(&mut Eval::default(), vec![y, g.2.clone()]).unwrap().remove(0);
                assert_eq!(back, s.inputs[2]);
            }
        }
    }

    #[test]
    fn operands_that_do_not_fit_are_errors() {
        let t = |d, s: &[usize]| Type::new(d, s);
        let say = |op: Scatter, xs: &[Type]| op.infer(xs).unwrap_err().to_string();
        let op = |kind| elements(kind, OutOfBounds::Drop);
        let (x, i) = (t(DType::F32, &[3]), t(DType::I32, &[2, 1]));
        assert!(
            say(op(ScatterKind::Add), &[x.clone(), i.clone(), t(DType::F64, &[2])])
                .contains("differ in dtype")
        );
        assert!(
            say(op(ScatterKind::Add), &[x.clone(), i.clone(), t(DType::F32, &[3])])
                .contains("expected updates of shape [2] for f32[3]")
        );
        assert!(
            say(op(ScatterKind::Add), &[x.clone(), i.clone(), t(DType::F32, &[])])
                .contains("expected updates of shape [2]")
        );
        let z = |s: &[usize]| t(DType::C64, s);
        assert!(say(op(ScatterKind::Max), &[z(&[3]), i.clone(), z(&[2])]).contains("no order"));
        let window = Scatter { window_dims: vec![1], inserted: vec![], ..op(ScatterKind::Set) };
        let outside = Scatter { window_dims: vec![2], ..window.clone() };
        assert!(
            say(outside, &[x.clone(), i.clone(), t(DType::F32, &[2, 1])])
                .contains("axis 2 is out of range for rank 2")
        );
        assert!(
            say(window, &[x, i, t(DType::F32, &[2, 4])])
                .contains("does not fit into f32[3] on axis 0")
        );
    }

    #[test]
    fn factors_without_unique_indices_have_no_derivative() {
        let mut b = Builder::new();
        let xs = b.inputs(&[
            Type::new(DType::F32, [3]),
            Type::new(DType::I32, [2, 1]),
            Type::new(DType::F32, [2]),
        ]);
        let at = Bound { xs: &xs, ys: &xs[..1] };
        let op = elements(ScatterKind::Mul, OutOfBounds::Drop);
        let e = op.jvp(&mut b, &at, &[None, None, Some(xs[2])]).unwrap_err();
        assert!(e.to_string().contains("set unique if the indices are"));
        assert!(op.jvp(&mut b, &at, &[Some(xs[0]), None, None]).unwrap()[0].is_some());
    }
}
