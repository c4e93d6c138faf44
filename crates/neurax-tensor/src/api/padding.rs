//! Padding between elements, and negative padding.

use super::common::tensor_or_error;
use crate::{Operand, Tensor, dispatch::dispatch};
use neurax_ir::op::Pad;
use std::panic::Location;

impl Tensor {
    /// Pads with `value` before, after and between the entries of each axis: `widths` has
    /// `(before, after, between)` for each axis.
    ///
    /// Negative numbers before or after crop the axis, after entries were inserted between its own.
    /// The dtype is kept. Follows `jax.lax.pad`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `widths` does not have one entry for each axis, if the dtype
    /// of `value` is not that of the tensor, or if more is cropped than there is.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1, 2, 3]);
    /// assert_eq!(x.pad_dilated([(1, 0, 2)], 0).to_vec::<i32>()?, [0, 1, 0, 0, 2, 0, 0, 3]);
    /// assert_eq!(x.pad_dilated([(-1, 2, 0)], 9).to_vec::<i32>()?, [2, 3, 9, 9]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn pad_dilated(
        &self,
        widths: impl AsRef<[(i64, i64, usize)]>,
        value: impl Operand,
    ) -> Tensor {
        let (at, value, widths) = (Location::caller(), value.operand(self), widths.as_ref());
        let pad = || {
            let ty = self.type_or_error()?;
            self.check_pad_value(&value, "pad_dilated", at)?;
            if widths.len() != ty.rank() {
                let why = format!(
                    "expected (before, after, between) for each axis of {ty}, got {} entries",
                    widths.len()
                );
                return Err(Tensor::fail("pad_dilated", why, at));
            }
            let low = widths.iter().map(|w| w.0).collect();
            let high = widths.iter().map(|w| w.1).collect();
            let interior = widths.iter().map(|w| w.2).collect();
            Ok(dispatch(Pad { low, high, interior }, [self.clone(), value.clone()], at))
        };
        tensor_or_error(pad())
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn misuse_is_an_error() {
        let x = tensor([1, 2, 3]);
        let say = |y: Tensor| y.error().unwrap().to_string();
        assert!(say(x.pad_dilated(vec![], 0)).contains("for each axis of i32[3], got 0 entries"));
        assert!(say(x.pad_dilated([(0, 0, 0)], 0.5)).contains("expected a value of the dtype"));
        assert!(x.pad_dilated([(-2, -2, 0)], 0).error().is_some());
        assert!(x.pad_dilated([(0, 0, usize::MAX)], 0).error().is_some());
    }
}
