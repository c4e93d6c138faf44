//! The typed loops of reductions. Floats are joined in f64, integers in their own width.

use super::{ArgKind, ReduceKind};
use crate::{Complex, Compute, DType, Kind, Literal, Type, with_compute};
use std::ops::{Add, Mul};

/// Joins the elements of `x` along `axes` into a value of type `ty`; `kind` is one that the dtype
/// admits.
pub fn reduce(kind: ReduceKind, x: &Literal, axes: &[usize], ty: Type) -> Literal {
    let kind = if x.dtype() == DType::Bool { as_bits(kind) } else { kind };
    with_compute!(any x.dtype(), C => {
        let start = identity::<C>(kind, x.dtype());
        let acc = if x.ty().size() == 0 { vec![start; ty.size()] } else { groups::<C>(kind, x, axes, start) };
        store::<C>(ty, &acc)
    })
}

/// A literal of joined elements. Narrow floats are rounded once, from f64; by way of f32 it would
/// be twice.
pub fn store<C: Fold>(ty: Type, acc: &[C::Acc]) -> Literal {
    if ty.dtype.is_float() && ty.dtype.bits() < 32 {
        return Literal::build(ty, |out: &mut [C::Acc]| out.copy_from_slice(acc));
    }
    Literal::build(ty, |out: &mut [C]| {
        out.iter_mut().zip(acc).for_each(|(o, &a)| *o = C::narrow(a))
    })
}

/// The index along `axis`, which is not empty, of the largest or smallest element; `x` is not
/// complex.
pub fn arg_reduce(kind: ArgKind, x: &Literal, axis: usize) -> Literal {
    let outer = x.shape()[..axis].iter().product();
    let (n, inner) = (x.shape()[axis], x.shape()[axis + 1..].iter().product());
    let ty = Type::new(DType::I32, x.shape().removed(axis));
    with_compute!(any x.dtype(), C => Literal::build(ty, |out: &mut [i32]| places(kind, &x.load::<C>(), [outer, n, inner], out)))
}

/// What the elements of one dtype are joined in.
pub trait Fold: Compute {
    /// What they are summed in.
    type Acc: Fold<Acc = Self::Acc>;
    /// To the accumulator.
    fn widen(self) -> Self::Acc;
    /// From the accumulator.
    fn narrow(a: Self::Acc) -> Self;
    /// Joins two accumulators; only called with constant kinds, so that nothing of the `match`
    /// remains.
    fn join(kind: ReduceKind, a: Self, b: Self) -> Self;
}

macro_rules! fold_int {
    ($($t:ty),*) => {$(
        impl Fold for $t {
            type Acc = $t;
            /// To the accumulator.
    fn widen(self) -> $t { self }
            /// From the accumulator.
    fn narrow(a: $t) -> $t { a }
            #[inline(always)]
            fn join(kind: ReduceKind, a: $t, b: $t) -> $t {
                match kind {
                    ReduceKind::Sum => a.wrapping_add(b),
                    ReduceKind::Prod => a.wrapping_mul(b),
                    ReduceKind::Max => a.max(b),
                    ReduceKind::Min => a.min(b),
                    ReduceKind::And => a & b,
                    ReduceKind::Or => a | b,
                    ReduceKind::Xor => a ^ b,
                }
            }
        }
    )*};
}

macro_rules! fold_float {
    ($($t:ty),*) => {$(
        impl Fold for $t {
            type Acc = f64;
            fn widen(self) -> f64 { self as f64 }
            fn narrow(a: f64) -> $t { a as $t }
            #[inline(always)]
            fn join(kind: ReduceKind, a: $t, b: $t) -> $t {
                match kind {
                    ReduceKind::Max => if b > a || b.is_nan() { b } else { a },
                    ReduceKind::Min => if b < a || b.is_nan() { b } else { a },
                    kind => ring(kind, a, b),
                }
            }
        }
        impl Fold for Complex<$t> {
            type Acc = Complex<f64>;
            fn widen(self) -> Complex<f64> { Complex::new(self.re as f64, self.im as f64) }
            fn narrow(a: Complex<f64>) -> Self { Complex::new(a.re as $t, a.im as $t) }
            #[inline(always)]
            fn join(kind: ReduceKind, a: Self, b: Self) -> Self { ring(kind, a, b) }
        }
    )*};
}

fold_int!(u8, u16, u32, u64, i8, i16, i32, i64);
fold_float!(f32, f64);

/// Sum and product; `infer` has refused all else.
#[inline(always)]
fn ring<T: Add<Output = T> + Mul<Output = T>>(kind: ReduceKind, a: T, b: T) -> T {
    if kind == ReduceKind::Prod { a * b } else { a + b }
}

/// What a kind means for bits: sums and maxima are or, products and minima are and.
pub fn as_bits(kind: ReduceKind) -> ReduceKind {
    match kind {
        ReduceKind::Sum | ReduceKind::Max => ReduceKind::Or,
        ReduceKind::Prod | ReduceKind::Min => ReduceKind::And,
        kind => kind,
    }
}

/// What joining nothing gives.
pub fn identity<C: Fold>(kind: ReduceKind, dtype: DType) -> C::Acc {
    match kind {
        ReduceKind::Sum | ReduceKind::Or | ReduceKind::Xor => C::Acc::ZERO,
        ReduceKind::Prod => C::Acc::ONE,
        ReduceKind::And => C::Acc::from_i128(if dtype == DType::Bool { 1 } else { -1 }),
        ReduceKind::Max => bound::<C::Acc>(dtype, false),
        ReduceKind::Min => bound::<C::Acc>(dtype, true),
    }
}

/// The least or greatest value of a real dtype.
fn bound<A: Compute>(dtype: DType, greatest: bool) -> A {
    match dtype.kind() {
        Kind::Bool => A::from_i128(greatest as i128),
        Kind::Unsigned => A::from_i128(if greatest { (1 << dtype.bits()) - 1 } else { 0 }),
        Kind::Signed => {
            let half = 1i128 << (dtype.bits() - 1);
            A::from_i128(if greatest { half - 1 } else { -half })
        }
        Kind::Float | Kind::Complex => {
            // F8E4M3FN has no infinity.
            let most = if dtype == DType::F8E4M3FN { 448.0 } else { f64::INFINITY };
            A::from_f64(if greatest { most } else { -most })
        }
    }
}

/// Reduces one run of neighbouring axes after the other, the last one first, without rounding in
/// between.
fn groups<C: Fold>(kind: ReduceKind, x: &Literal, axes: &[usize], start: C::Acc) -> Vec<C::Acc> {
    let mut runs: Vec<(usize, bool)> = vec![];
    for (i, &n) in x.shape().iter().enumerate().filter(|&(_, &n)| n != 1) {
        let reduced = axes.contains(&i);
        match runs.last_mut() {
            Some((m, r)) if *r == reduced => *m *= n,
            _ => runs.push((n, reduced)),
        }
    }
    let mut acc: Option<Vec<C::Acc>> = None;
    while let Some(k) = runs.iter().rposition(|&(_, reduced)| reduced) {
        let size = |runs: &[(usize, bool)]| runs.iter().map(|r| r.0).product();
        let dims = [size(&runs[..k]), runs[k].0, size(&runs[k + 1..])];
        acc = Some(match acc {
            None => fold::<C>(kind, &x.load::<C>(), dims, start),
            Some(a) => fold::<C::Acc>(kind, &a, dims, start),
        });
        runs.remove(k);
    }
    acc.unwrap_or_else(|| x.load::<C>().iter().map(|&x| x.widen()).collect())
}

/// `xs` is `[outer, n, inner]`; the middle is joined.
fn fold<C: Fold>(
    kind: ReduceKind,
    xs: &[C],
    [outer, n, inner]: [usize; 3],
    start: C::Acc,
) -> Vec<C::Acc> {
    let (run, row) = loops::<C>(kind);
    let mut acc = vec![start; outer * inner];
    if inner == 1 {
        acc.iter_mut().zip(xs.chunks_exact(n)).for_each(|(a, x)| *a = run(*a, x));
    } else {
        for (a, block) in acc.chunks_exact_mut(inner).zip(xs.chunks_exact(n * inner)) {
            block.chunks_exact(inner).for_each(|x| row(a, x));
        }
    }
    acc
}

/// The loop over neighbours and the loop over rows, of one kind.
pub fn loops<C: Fold>(kind: ReduceKind) -> (fn(C::Acc, &[C]) -> C::Acc, fn(&mut [C::Acc], &[C])) {
    macro_rules! pick {
        ($($K:ident),*) => { match kind { $(ReduceKind::$K => (run::<C, { ReduceKind::$K as usize }>, row::<C, { ReduceKind::$K as usize }>)),* } };
    }
    pick!(Sum, Prod, Max, Min, And, Or, Xor)
}

/// Joins neighbours. Eight at a time: one accumulator would wait for itself.
fn run<C: Fold, const K: usize>(start: C::Acc, xs: &[C]) -> C::Acc {
    let join = |a, b| C::Acc::join(ReduceKind::ALL[K], a, b);
    let (chunks, tail) = xs.as_chunks::<8>();
    let mut whole = start;
    if !chunks.is_empty() {
        let mut lanes = [start; 8];
        for c in chunks {
            lanes.iter_mut().zip(c).for_each(|(a, x)| *a = join(*a, x.widen()));
        }
        whole = lanes.into_iter().fold(start, join);
    }
    tail.iter().fold(whole, |a, x| join(a, x.widen()))
}

/// Joins a row into a row.
fn row<C: Fold, const K: usize>(acc: &mut [C::Acc], xs: &[C]) {
    acc.iter_mut().zip(xs).for_each(|(a, x)| *a = C::Acc::join(ReduceKind::ALL[K], *a, x.widen()));
}

fn places<C: Compute>(kind: ArgKind, xs: &[C], dims: [usize; 3], out: &mut [i32]) {
    match kind {
        ArgKind::Max => search(xs, dims, out, better::<C, true>),
        ArgKind::Min => search(xs, dims, out, better::<C, false>),
    }
}

/// Is `x` nearer to that end than `best`?
#[inline(always)]
pub fn better<C: Compute, const MAX: bool>(x: &C, best: &C) -> bool {
    // NaN is last in the order, but wins at the other end too.
    if MAX { best.before(x) } else { !is_nan(best) && (x.before(best) || is_nan(x)) }
}

/// `xs` is `[outer, n, inner]`; the place along the middle of the element that no other is better
/// than.
fn search<C: Compute>(
    xs: &[C],
    [_, n, inner]: [usize; 3],
    out: &mut [i32],
    better: impl Fn(&C, &C) -> bool,
) {
    for (out, block) in out.chunks_exact_mut(inner.max(1)).zip(xs.chunks_exact((n * inner).max(1)))
    {
        let (first, rest) = block.split_at(inner);
        let mut best = first.to_vec();
        for (k, row) in (1..).zip(rest.chunks_exact(inner)) {
            for ((o, b), x) in
                out.iter_mut().zip(&mut best).zip(row).filter(|((_, b), x)| better(x, b))
            {
                (*o, *b) = (k, *x);
            }
        }
    }
}

/// Only NaN differs from itself.
#[allow(clippy::eq_op, reason = "the question is whether it is NaN")]
fn is_nan<C: PartialEq>(x: &C) -> bool {
    x != x
}
