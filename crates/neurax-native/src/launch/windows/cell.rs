//! The loops over runs of elements under windows, for every dtype.

#![allow(unsafe_code, reason = "elements are read and written by address")]

use super::pairs2x2;
use crate::launch::tap_range::TapRange;
use neurax_ir::{DType, op::ReduceKind};

/// No place: that of a window over no elements.
pub const NO_ELEMENT: u32 = u32::MAX;

/// An element.
pub trait WindowElement: Copy + PartialOrd + 'static {
    /// 0
    const ZERO: Self;

    /// Joining nothing, in that dtype.
    fn identity(kind: ReduceKind, dtype: DType) -> Self;

    /// Joins two elements; called with constant kinds, so that nothing of the choice remains.
    fn combine(kind: ReduceKind, a: Self, b: Self) -> Self;

    /// Is it NaN?
    #[allow(clippy::eq_op, reason = "only NaN differs from itself")]
    #[inline(always)]
    fn is_nan(self) -> bool {
        self != self
    }

    /// Is it nearer to that end than the best one before it?
    #[inline(always)]
    fn beats<const MAX: bool>(self, best: Self) -> bool {
        let further = if MAX { self > best } else { self < best };
        further | (self.is_nan() & !best.is_nan())
    }
}

macro_rules! floats {
    ($($t:ident),*) => {$(
        impl WindowElement for $t {
            const ZERO: $t = 0.0;
            fn identity(kind: ReduceKind, _: DType) -> $t {
                match kind {
                    ReduceKind::Prod => 1.0,
                    ReduceKind::Max => $t::NEG_INFINITY,
                    ReduceKind::Min => $t::INFINITY,
                    _ => 0.0,
                }
            }
            #[inline(always)]
            fn combine(kind: ReduceKind, a: $t, b: $t) -> $t {
                match kind {
                    ReduceKind::Max => if (b > a) | b.is_nan() { b } else { a },
                    ReduceKind::Min => if (b < a) | b.is_nan() { b } else { a },
                    ReduceKind::Prod => a * b,
                    _ => a + b,
                }
            }
        }
    )*};
}

macro_rules! integers {
    ($($t:ident),*) => {$(
        impl WindowElement for $t {
            const ZERO: $t = 0;
            fn identity(kind: ReduceKind, dtype: DType) -> $t {
                let is_bool = dtype == DType::Bool;
                match kind {
                    ReduceKind::Sum | ReduceKind::Or | ReduceKind::Xor => 0,
                    ReduceKind::Prod => 1,
                    ReduceKind::And => if is_bool { 1 } else { !0 },
                    ReduceKind::Max => $t::MIN,
                    ReduceKind::Min => if is_bool { 1 } else { $t::MAX },
                }
            }
            #[inline(always)]
            fn combine(kind: ReduceKind, a: $t, b: $t) -> $t {
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

floats!(f32, f64);
integers!(i8, i16, i32, i64, u8, u16, u32, u64);

/// Evaluates the body with `$T` the type of elements of a dtype; bools are bytes.
macro_rules! typed {
    ($dtype:expr, $T:ident => $body:expr) => {{
        use neurax_ir::DType;
        macro_rules! with {
            ($t:ty) => {{
                type $T = $t;
                $body
            }};
        }
        match $dtype {
            DType::F32 => with!(f32),
            DType::F64 => with!(f64),
            DType::I8 => with!(i8),
            DType::I16 => with!(i16),
            DType::I32 => with!(i32),
            DType::I64 => with!(i64),
            DType::U16 => with!(u16),
            DType::U32 => with!(u32),
            DType::U64 => with!(u64),
            _ => with!(u8),
        }
    }};
}

pub(super) use typed;

/// What a kind means for that dtype: of bools, sums and maxima are or, products and minima are and.
pub fn kind_for(kind: ReduceKind, dtype: DType) -> ReduceKind {
    match kind {
        ReduceKind::Sum | ReduceKind::Max if dtype == DType::Bool => ReduceKind::Or,
        ReduceKind::Prod | ReduceKind::Min if dtype == DType::Bool => ReduceKind::And,
        kind => kind,
    }
}

/// Calls `f(index along the windows, index along the elements)` for a run, with loops of their own
/// for the usual distances.
#[inline(always)]
fn along(run: &TapRange, mut f: impl FnMut(usize, usize)) {
    match (run.step, run.by) {
        (1, 1) => (0..run.count).for_each(|i| f(i, i)),
        (1, 2) => (0..run.count).for_each(|i| f(i, 2 * i)),
        (step, by) => (0..run.count).for_each(|i| f(i * step, i * by)),
    }
}

/// Joins the elements of a run to the results of their windows.
///
/// # Safety
/// The run is one over live elements and results, which nobody else uses.
pub type CombineFn<T> = unsafe fn(run: &TapRange, x: *const T, to: *mut T);

/// The loops of a kind.
pub fn combine<T: WindowElement>(kind: ReduceKind) -> (CombineFn<T>, pairs2x2::CombinePairsFn<T>) {
    macro_rules! pick {
        ($($K:ident),*) => {
            match kind { $(ReduceKind::$K => (combine_as::<T, { ReduceKind::$K as usize }>, pairs2x2::combine_pairs::<T, { ReduceKind::$K as usize }>)),* }
        };
    }
    pick!(Sum, Prod, Max, Min, And, Or, Xor)
}

unsafe fn combine_as<T: WindowElement, const KIND: usize>(run: &TapRange, x: *const T, to: *mut T) {
    // SAFETY: as promised by the caller.
    let (x, to) = unsafe { (x.add(run.element), to.add(run.first)) };
    along(run, |i, j| {
        // SAFETY: as promised by the caller.
        unsafe { *to.add(i) = T::combine(ReduceKind::ALL[KIND], *to.add(i), *x.add(j)) }
    });
}

/// Notes the elements of a run that are better than the best ones of their windows so far, and
/// their places, which count from `base`.
///
/// # Safety
/// As [`CombineFn`].
pub unsafe fn select<T: WindowElement, const MAX: bool>(
    run: &TapRange,
    x: *const T,
    base: usize,
    best: *mut T,
    places: *mut u32,
) {
    // SAFETY: as promised by the caller.
    let (x, best, places) =
        unsafe { (x.add(base + run.element), best.add(run.first), places.add(run.first)) };
    let base = (base + run.element) as u32;
    along(run, |i, j| {
        // SAFETY: as promised by the caller.
        unsafe {
            let (new, old, place) = (*x.add(j), *best.add(i), *places.add(i));
            let wins = (place == NO_ELEMENT) | new.beats::<MAX>(old);
            *best.add(i) = if wins { new } else { old };
            *places.add(i) = if wins { base + j as u32 } else { place };
        }
    });
}
