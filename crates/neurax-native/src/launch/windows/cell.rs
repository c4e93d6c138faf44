//! The inner loops over the elements under windows, for every dtype.

#![allow(unsafe_code, reason = "elements are read and written by address")]

use crate::launch::{tap_range::TapRange, totals::SumElement};
use neurax_ir::{DType, op::ReduceKind};

/// The index of a window over no elements.
pub const NO_INDEX: u32 = u32::MAX;

/// An element under a window.
pub trait WindowElement: SumElement + PartialOrd {
    /// The number 0.
    const ZERO: Self;

    /// Returns the identity element of `kind` for `dtype`.
    fn identity(kind: ReduceKind, dtype: DType) -> Self;

    /// Combines two elements. Callers pass a constant `kind`, so that the match folds away.
    fn combine(kind: ReduceKind, a: Self, b: Self) -> Self;

    /// Returns true if the element is NaN.
    #[allow(clippy::eq_op, reason = "only NaN differs from itself")]
    #[inline(always)]
    fn is_nan(self) -> bool {
        self != self
    }

    /// Returns true if the element beats `best`, the best one before it: it is larger (or smaller),
    /// or the first NaN.
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
                    ReduceKind::Sum => 0.0,
                    // empty: `WindowsTask::new` refuses bitwise reductions of floats.
                    ReduceKind::And | ReduceKind::Or | ReduceKind::Xor => 0.0,
                }
            }
            #[inline(always)]
            fn combine(kind: ReduceKind, a: $t, b: $t) -> $t {
                match kind {
                    ReduceKind::Max => if (b > a) | b.is_nan() { b } else { a },
                    ReduceKind::Min => if (b < a) | b.is_nan() { b } else { a },
                    ReduceKind::Prod => a * b,
                    ReduceKind::Sum => a + b,
                    // empty: `WindowsTask::new` refuses bitwise reductions of floats.
                    ReduceKind::And | ReduceKind::Or | ReduceKind::Xor => a,
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

/// The dtype of elements under windows, as machine code handles it; bools are bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the variants are the names of the types")]
pub enum WindowType {
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
}

impl WindowType {
    /// Returns the element type of `dtype`, `None` if there are no loops for it.
    pub fn of(dtype: DType) -> Option<WindowType> {
        match dtype {
            DType::F32 => Some(WindowType::F32),
            DType::F64 => Some(WindowType::F64),
            DType::I8 => Some(WindowType::I8),
            DType::I16 => Some(WindowType::I16),
            DType::I32 => Some(WindowType::I32),
            DType::I64 => Some(WindowType::I64),
            DType::Bool | DType::U8 => Some(WindowType::U8),
            DType::U16 => Some(WindowType::U16),
            DType::U32 => Some(WindowType::U32),
            DType::U64 => Some(WindowType::U64),
            // other: there are no loops for packed integers, narrow floats and complex numbers.
            _ => None,
        }
    }
}

/// Evaluates the body with `$T` as the Rust type of a [`WindowType`].
macro_rules! typed {
    ($ty:expr, $T:ident => $body:expr) => {{
        use $crate::launch::windows::cell::WindowType;
        macro_rules! with {
            ($t:ty) => {{
                type $T = $t;
                $body
            }};
        }
        match $ty {
            WindowType::F32 => with!(f32),
            WindowType::F64 => with!(f64),
            WindowType::I8 => with!(i8),
            WindowType::I16 => with!(i16),
            WindowType::I32 => with!(i32),
            WindowType::I64 => with!(i64),
            WindowType::U8 => with!(u8),
            WindowType::U16 => with!(u16),
            WindowType::U32 => with!(u32),
            WindowType::U64 => with!(u64),
        }
    }};
}

pub(super) use typed;

/// Calls `f(index along the windows, index along the elements)` for a range, with loops specialized
/// for the usual strides.
#[inline(always)]
fn along(run: &TapRange, mut f: impl FnMut(usize, usize)) {
    match (run.step, run.by) {
        (1, 1) => (0..run.count).for_each(|i| f(i, i)),
        (1, 2) => (0..run.count).for_each(|i| f(i, 2 * i)),
        (step, by) => (0..run.count).for_each(|i| f(i * step, i * by)),
    }
}

/// Combines the elements of a range into the results of their windows.
///
/// # Safety
/// The range covers live elements and results, and no other thread uses the results.
pub type CombineFn<T> = unsafe fn(run: &TapRange, x: *const T, to: *mut T);

/// Combines the elements of a range by the reduction of index `KIND`: a [`CombineFn`].
///
/// # Safety
/// As [`CombineFn`].
pub unsafe fn combine_as<T: WindowElement, const KIND: usize>(
    run: &TapRange,
    x: *const T,
    to: *mut T,
) {
    // SAFETY: as promised by the caller.
    let (x, to) = unsafe { (x.add(run.element), to.add(run.first)) };
    along(run, |i, j| {
        // SAFETY: as promised by the caller.
        unsafe { *to.add(i) = T::combine(ReduceKind::ALL[KIND], *to.add(i), *x.add(j)) }
    });
}

/// Updates the best elements of windows and their indices, which count from `base`, with the
/// elements of a range.
///
/// # Safety
/// As [`CombineFn`].
pub unsafe fn select<T: WindowElement, const MAX: bool>(
    run: &TapRange,
    x: *const T,
    base: usize,
    best: *mut T,
    indices: *mut u32,
) {
    // SAFETY: as promised by the caller.
    let (x, best, indices) =
        unsafe { (x.add(base + run.element), best.add(run.first), indices.add(run.first)) };
    let base = (base + run.element) as u32;
    along(run, |i, j| {
        // SAFETY: as promised by the caller.
        unsafe {
            let (new, old, index) = (*x.add(j), *best.add(i), *indices.add(i));
            let wins = (index == NO_INDEX) | new.beats::<MAX>(old);
            *best.add(i) = if wins { new } else { old };
            *indices.add(i) = if wins { base + j as u32 } else { index };
        }
    });
}
