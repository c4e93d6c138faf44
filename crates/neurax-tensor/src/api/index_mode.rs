//! The treatment of indices out of range: [`IndexMode`].

use crate::{Tensor, tensor::CallSite};
use neurax_ir::{Kind, op::OutOfBounds};

/// The treatment of integers in index tensors that are out of range, after the size of the axis was
/// added to negative ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexMode {
    /// The first or the last index is taken: the default of [`crate::Places::get`].
    Clip,
    /// The remainder by the size of the axis is taken.
    Wrap,
    /// An update is dropped, an element is read as 0: the default of updates.
    Drop,
}

impl IndexMode {
    /// Returns the mode of the op for indices that [`IndexMode::in_range`] has moved.
    pub(super) fn out_of_bounds(self) -> OutOfBounds {
        if self == IndexMode::Drop { OutOfBounds::Drop } else { OutOfBounds::Clip }
    }

    /// Moves the indices along the axes of `x` into range; [`IndexMode::Drop`] leaves them.
    #[track_caller]
    pub(super) fn in_range(
        self,
        x: &Tensor,
        indices: Vec<(usize, Tensor)>,
        at: CallSite,
    ) -> Vec<(usize, Tensor)> {
        let mut out = vec![];
        for (axis, index) in indices {
            let n = x.shape().get(axis).copied().unwrap_or_default();
            // Others are refused by the gather or scatter.
            let is_index = index.error().is_none() && index.dtype().is_int();
            let index = if is_index { index.index_along(n, at) } else { index };
            let (end, last) = (i64::try_from(n).unwrap_or(i64::MAX), n.saturating_sub(1));
            let is_signed = is_index && index.dtype().kind() == Kind::Signed;
            out.push((
                axis,
                match self {
                    IndexMode::Wrap if is_index => index.remainder(n),
                    IndexMode::Clip if is_signed => index.clip(-end, last),
                    IndexMode::Clip if is_index => index.clip(0, last),
                    _ => index,
                },
            ));
        }
        out
    }
}
