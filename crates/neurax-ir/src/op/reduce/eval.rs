//! The typed loops of reductions. Floats accumulate in f64, integers in their own width.

use super::{ArgKind, Combine, ReduceKind};
use crate::{Complex, Compute, DType, FloatFormat, Kind, Literal, Type, with_compute};

/// Reduces `x` along `axes` to a value of type `ty`. The dtype must admit `kind`.
pub fn reduce(kind: ReduceKind, x: &Literal, axes: &[usize], ty: Type) -> Literal {
    let kind = kind.on(x.dtype());
    with_compute!(any x.dtype(), C => {
        let start = identity_element::<C>(kind, x.dtype());
        let acc = if x.ty().size() == 0 {
            vec![start; ty.size()]
        } else {
            reduce_axes::<C>(kind, x, axes, start)
        };
        store::<C>(ty, &acc)
    })
}

/// Stores accumulators as a literal of type `ty`. Narrow floats are rounded directly from f64: a
/// detour through f32 would round twice.
pub fn store<C: Accumulate>(ty: Type, acc: &[C::Acc]) -> Literal {
    if ty.dtype.is_float() && ty.dtype.bits() < 32 {
        return Literal::build(ty, |out: &mut [C::Acc]| out.copy_from_slice(acc));
    }
    Literal::build(ty, |out: &mut [C]| {
        out.iter_mut().zip(acc).for_each(|(o, &a)| *o = C::narrow(a))
    })
}

/// Returns the index along `axis` of the largest or smallest element, as i32. The axis must not be
/// empty, and `x` must not be complex.
pub fn arg_reduce(kind: ArgKind, x: &Literal, axis: usize) -> Literal {
    let outer = x.shape()[..axis].iter().product();
    let (n, inner) = (x.shape()[axis], x.shape()[axis + 1..].iter().product());
    let ty = Type::new(DType::I32, x.shape().removed(axis));
    with_compute!(any x.dtype(), C => {
        let xs = x.load::<C>();
        Literal::build(ty, |out: &mut [i32]| positions(kind, &xs, [outer, n, inner], out))
    })
}

/// An element type together with the type of its accumulator.
pub trait Accumulate: Compute + Combine {
    /// The accumulator: f64 for floats, [`Complex<f64>`] for complex numbers, else `Self`.
    type Acc: Accumulate<Acc = Self::Acc>;

    /// Converts an element to the accumulator type.
    fn widen(self) -> Self::Acc;

    /// Converts an accumulator to the element type, with one rounding.
    fn narrow(a: Self::Acc) -> Self;
}

macro_rules! accumulate_integers {
    ($($t:ty),*) => {$(
        impl Accumulate for $t {
            type Acc = $t;
            fn widen(self) -> $t { self }
            fn narrow(a: $t) -> $t { a }
        }
    )*};
}

macro_rules! accumulate_floats {
    ($($t:ty),*) => {$(
        impl Accumulate for $t {
            type Acc = f64;
            fn widen(self) -> f64 { self as f64 }
            fn narrow(a: f64) -> $t { a as $t }
        }

        impl Accumulate for Complex<$t> {
            type Acc = Complex<f64>;
            fn widen(self) -> Complex<f64> { Complex::new(self.re as f64, self.im as f64) }
            fn narrow(a: Complex<f64>) -> Self { Complex::new(a.re as $t, a.im as $t) }
        }
    )*};
}

accumulate_integers!(u8, u16, u32, u64, i8, i16, i32, i64);
accumulate_floats!(f32, f64);

/// Returns the identity element of a reduction: its result for no elements at all.
pub fn identity_element<C: Accumulate>(kind: ReduceKind, dtype: DType) -> C::Acc {
    match kind {
        ReduceKind::Sum | ReduceKind::Or | ReduceKind::Xor => C::Acc::ZERO,
        ReduceKind::Prod => C::Acc::ONE,
        ReduceKind::And => C::Acc::from_i128(if dtype == DType::Bool { 1 } else { -1 }),
        ReduceKind::Max => bound::<C::Acc>(dtype, false),
        ReduceKind::Min => bound::<C::Acc>(dtype, true),
    }
}

/// Returns the least or greatest value of a real dtype.
fn bound<A: Compute>(dtype: DType, greatest: bool) -> A {
    match dtype.kind() {
        Kind::Bool => A::from_i128(greatest as i128),
        Kind::Unsigned => A::from_i128(if greatest { (1 << dtype.bits()) - 1 } else { 0 }),
        Kind::Signed => {
            let half = 1i128 << (dtype.bits() - 1);
            A::from_i128(if greatest { half - 1 } else { -half })
        }
        Kind::Float | Kind::Storage | Kind::Complex => {
            let bound = if greatest { FloatFormat::upper_bound } else { FloatFormat::lower_bound };
            FloatFormat::of(dtype.real()).map_or(A::ZERO, |format| A::from_f64(bound(format)))
        }
    }
}

/// Reduces one run of adjacent axes after the other, the innermost first, in accumulators
/// throughout.
fn reduce_axes<C: Accumulate>(
    kind: ReduceKind,
    x: &Literal,
    axes: &[usize],
    start: C::Acc,
) -> Vec<C::Acc> {
    // Adjacent axes that are all reduced or all kept count as one: (size, is reduced).
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
            None => reduce_middle::<C>(kind, &x.load::<C>(), dims, start),
            Some(a) => reduce_middle::<C::Acc>(kind, &a, dims, start),
        });
        runs.remove(k);
    }
    acc.unwrap_or_else(|| x.load::<C>().iter().map(|&x| x.widen()).collect())
}

/// Reduces the middle axis of `xs`, an array of shape `[outer, n, inner]`.
fn reduce_middle<C: Accumulate>(
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

/// The inner loop that reduces contiguous elements to one accumulator.
type RunLoop<C> = fn(<C as Accumulate>::Acc, &[C]) -> <C as Accumulate>::Acc;

/// The inner loop that combines a row of elements into a row of accumulators.
type RowLoop<C> = fn(&mut [<C as Accumulate>::Acc], &[C]);

/// Returns the inner loops of one kind: the kind is a constant inside them.
pub fn loops<C: Accumulate>(kind: ReduceKind) -> (RunLoop<C>, RowLoop<C>) {
    macro_rules! pick {
        ($($K:ident),*) => {
            match kind {
                $(ReduceKind::$K => (
                    combine_run::<C, { ReduceKind::$K as usize }>,
                    combine_row::<C, { ReduceKind::$K as usize }>,
                )),*
            }
        };
    }
    pick!(Sum, Prod, Max, Min, And, Or, Xor)
}

/// Reduces contiguous elements in eight lanes: a single accumulator would serialize the loop on the
/// latency of one operation.
fn combine_run<C: Accumulate, const K: usize>(start: C::Acc, xs: &[C]) -> C::Acc {
    let combine = |a, b| C::Acc::combine(ReduceKind::ALL[K], a, b);
    let (chunks, tail) = xs.as_chunks::<8>();
    let mut whole = start;
    if !chunks.is_empty() {
        let mut lanes = [start; 8];
        for c in chunks {
            lanes.iter_mut().zip(c).for_each(|(a, x)| *a = combine(*a, x.widen()));
        }
        whole = lanes.into_iter().fold(start, combine);
    }
    tail.iter().fold(whole, |a, x| combine(a, x.widen()))
}

/// Combines a row of elements into a row of accumulators.
fn combine_row<C: Accumulate, const K: usize>(acc: &mut [C::Acc], xs: &[C]) {
    let combine = |a, x: C| C::Acc::combine(ReduceKind::ALL[K], a, x.widen());
    acc.iter_mut().zip(xs).for_each(|(a, &x)| *a = combine(*a, x));
}

fn positions<C: Compute>(kind: ArgKind, xs: &[C], dims: [usize; 3], out: &mut [i32]) {
    match kind {
        ArgKind::Max => search(xs, dims, out, is_better::<C, true>),
        ArgKind::Min => search(xs, dims, out, is_better::<C, false>),
    }
}

/// Returns true if `x` is larger (`MAX`) or smaller than `best`; NaN beats every number.
#[inline(always)]
pub fn is_better<C: Compute, const MAX: bool>(x: &C, best: &C) -> bool {
    // NaN is the last in the total order, so only a minimum has to look for it.
    if MAX { best.before(x) } else { !is_nan(best) && (x.before(best) || is_nan(x)) }
}

/// Finds the first best element along the middle axis of `xs`, an array of shape `[outer, n,
/// inner]`, and writes its index along that axis to `out`.
fn search<C: Compute>(
    xs: &[C],
    [_, n, inner]: [usize; 3],
    out: &mut [i32],
    is_better: impl Fn(&C, &C) -> bool,
) {
    for (out, block) in out.chunks_exact_mut(inner.max(1)).zip(xs.chunks_exact((n * inner).max(1)))
    {
        let (first, rest) = block.split_at(inner);
        let mut best = first.to_vec();
        for (k, row) in (1..).zip(rest.chunks_exact(inner)) {
            for ((o, b), x) in
                out.iter_mut().zip(&mut best).zip(row).filter(|((_, b), x)| is_better(x, b))
            {
                (*o, *b) = (k, *x);
            }
        }
    }
}

/// Returns true if `x` is NaN, the only value that differs from itself.
#[allow(clippy::eq_op, reason = "only NaN differs from itself")]
fn is_nan<C: PartialEq>(x: &C) -> bool {
    x != x
}
