//! The elements of a tensor in one trace of a function.

use neurax_ir::{Literal, Type};

/// The largest integer that f64 has exactly, with all smaller ones.
const MAX_EXACT: f64 = (1u64 << 53) as f64;

/// The elements of a tensor as f64, with its axes.
pub(super) struct TraceElements {
    pub ty: Type,
    pub numbers: Vec<f64>,
    pub strides: Vec<usize>,
}

impl TraceElements {
    /// Returns the elements of a tensor; `None` if there are none, or f64 does not have them.
    pub fn of(x: &Literal) -> Option<TraceElements> {
        let ty = x.ty().clone();
        if ty.size() == 0 || ty.dtype.is_complex() {
            return None;
        }
        let numbers = x.to_f64s();
        if ty.dtype.is_int() && numbers.iter().any(|n| n.abs() > MAX_EXACT) {
            return None;
        }
        let stride = |a: usize| ty.shape[a + 1..].iter().product();
        Some(TraceElements { strides: (0..ty.rank()).map(stride).collect(), numbers, ty })
    }

    /// Returns the index along an axis of the element at a position.
    pub fn index(&self, position: usize, axis: usize) -> usize {
        position / self.strides[axis] % self.ty.shape[axis]
    }
}

/// Returns true if two numbers are the same one: -0 is not 0, and NaN is NaN.
pub(super) fn is_same(x: f64, y: f64) -> bool {
    x.to_bits() == y.to_bits()
}
