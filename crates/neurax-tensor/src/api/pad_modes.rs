//! Padding with values that are computed from an axis: its extrema, its mean, and ramps.

use crate::{DType, Tensor, concat, keep, tensor::CallSite};
use std::panic::Location;

/// The modes of padding that compute values from the axis.
#[derive(Clone, Copy)]
pub(super) enum ComputedPad {
    LinearRamp,
    Maximum,
    Mean,
    Median,
    Minimum,
    Empty,
}

impl Tensor {
    /// Pads one axis that is not empty with values that are computed from it, as `mode` says.
    #[track_caller]
    pub(super) fn pad_computed(
        &self,
        axis: usize,
        (low, high): (i64, i64),
        mode: ComputedPad,
    ) -> Tensor {
        let at = Location::caller();
        let value = match mode {
            ComputedPad::LinearRamp => {
                let before = self.slice(axis, ..1).ramp(axis, low, at);
                let after = self.slice(axis, -1..).ramp(axis, high, at).flip(axis);
                return concat([before, self.clone(), after], axis);
            }
            ComputedPad::Maximum => self.max(keep(axis)),
            ComputedPad::Minimum => self.min(keep(axis)),
            ComputedPad::Mean => self.mean(keep(axis)).rounded_to(self.dtype(), at),
            ComputedPad::Median => self.median(keep(axis)).rounded_to(self.dtype(), at),
            ComputedPad::Empty => self.slice(axis, ..1).zeros_like(),
        };
        concat([value.entries(axis, low), self.clone(), value.entries(axis, high)], axis)
    }

    /// Repeats the only entry along `axis` `count` times.
    #[track_caller]
    fn entries(&self, axis: usize, count: i64) -> Tensor {
        let mut shape = self.shape().0;
        if let Some(n) = shape.get_mut(axis) {
            *n = count as usize;
        }
        self.broadcast_to(&shape)
    }

    /// Returns `count` numbers from 0 toward the only entry along `axis`, without that entry.
    #[track_caller]
    fn ramp(&self, axis: usize, count: i64, at: CallSite) -> Tensor {
        let dtype = self.dtype();
        let is_exact = dtype.is_differentiable();
        let x = if is_exact { self.wide(at).0 } else { self.convert(DType::F64, at) };
        let mut shape = vec![1; self.rank()];
        shape[axis] = count as usize;
        let steps = Tensor::arange(count as usize).convert(x.dtype().real(), at) / count.max(1);
        let ramp = x * steps.reshaped(shape, at);
        if is_exact { ramp } else { ramp.floor() }.convert(dtype, at)
    }

    /// Converts a mean to `dtype`, rounded for integers.
    #[track_caller]
    fn rounded_to(&self, dtype: DType, at: CallSite) -> Tensor {
        if dtype.is_differentiable() { self.clone() } else { self.round() }.convert(dtype, at)
    }
}

#[cfg(test)]
mod tests {
    use crate::PadMode;
    use crate::prelude::*;

    #[test]
    fn computed_values_are_numpys() {
        let x = tensor([4, 2, 9]);
        let pad = |mode| x.pad_with([(2, 1)], mode).to_vec::<i32>().unwrap();
        assert_eq!(pad(PadMode::Maximum), [9, 9, 4, 2, 9, 9]);
        assert_eq!(pad(PadMode::Minimum), [2, 2, 4, 2, 9, 2]);
        assert_eq!(pad(PadMode::Mean), [5, 5, 4, 2, 9, 5]);
        assert_eq!(pad(PadMode::Median), [4, 4, 4, 2, 9, 4]);
        assert_eq!(pad(PadMode::LinearRamp), [0, 2, 4, 2, 9, 0]);
        assert_eq!(pad(PadMode::Empty), [0, 0, 4, 2, 9, 0]);
        let ramp = tensor([[3.0, -6.0]]).pad_with([(0, 0), (3, 2)], PadMode::LinearRamp);
        assert_eq!(ramp.to_vec::<f32>().unwrap(), [0.0, 1.0, 2.0, 3.0, -6.0, -3.0, 0.0]);
        let both = tensor([[1.0, 3.0]]).pad_with([(1, 0), (0, 1)], PadMode::Mean);
        assert_eq!(both.to_vec::<f32>().unwrap(), [1.0, 3.0, 2.0, 1.0, 3.0, 2.0]);
        assert!(Tensor::zeros([0]).pad_with([(1, 0)], PadMode::Mean).ok().is_err());
    }
}
