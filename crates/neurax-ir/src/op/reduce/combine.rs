//! The combination of two elements under each kind of reduction.

use super::ReduceKind;
use crate::Complex;
use std::ops::{Add, Mul};

/// A stored element type that reductions can combine. Backends use it for their loops.
///
/// Bools are stored as bytes 0 and 1: pass [`ReduceKind::on`] of their dtype, so that the result
/// is a bool again.
///
/// ```
/// use neurax_ir::op::{Combine, ReduceKind};
/// assert_eq!(u8::combine(ReduceKind::Sum, 200, 100), 44);
/// assert!(f32::combine(ReduceKind::Max, f32::NAN, 1.0).is_nan());
/// ```
pub trait Combine: Copy {
    /// Returns `a` combined with `b`; integers wrap, and NaN wins every maximum and minimum.
    ///
    /// Inlined everywhere: with a constant `kind` nothing of the `match` remains. A kind that
    /// [`ReduceKind::admits`] rejects for the dtype has no defined result.
    fn combine(kind: ReduceKind, a: Self, b: Self) -> Self;
}

macro_rules! combine_integers {
    ($($t:ty),*) => {$(
        impl Combine for $t {
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

macro_rules! combine_floats {
    ($($t:ty),*) => {$(
        impl Combine for $t {
            #[inline(always)]
            fn combine(kind: ReduceKind, a: $t, b: $t) -> $t {
                match kind {
                    ReduceKind::Max => if (b > a) | b.is_nan() { b } else { a },
                    ReduceKind::Min => if (b < a) | b.is_nan() { b } else { a },
                    kind => sum_or_product(kind, a, b),
                }
            }
        }

        impl Combine for Complex<$t> {
            #[inline(always)]
            fn combine(kind: ReduceKind, a: Self, b: Self) -> Self {
                sum_or_product(kind, a, b)
            }
        }
    )*};
}

combine_integers!(u8, u16, u32, u64, i8, i16, i32, i64);
combine_floats!(f32, f64);

/// Combines by sum or product, the only kinds that [`ReduceKind::admits`] for the callers' dtypes.
#[inline(always)]
fn sum_or_product<T: Add<Output = T> + Mul<Output = T>>(kind: ReduceKind, a: T, b: T) -> T {
    match kind {
        ReduceKind::Sum => a + b,
        ReduceKind::Prod => a * b,
        ReduceKind::Max | ReduceKind::Min | ReduceKind::And | ReduceKind::Or | ReduceKind::Xor => {
            debug_assert!(false, "{} is not admitted", kind.name());
            a
        }
    }
}
