//! Reductions of windows over all axes.
//!
//! [`Tensor::max_pool`] and its relatives have axes for batch and channels; these functions treat
//! all axes alike.

use super::{
    common::{example, tensor_or_error},
    windows::{all_used, fail},
};
use crate::{IntoEach, Tensor, Windows, dispatch::dispatch, tensor::CallSite, windows::per_axis};
use neurax_ir::op::{ReduceKind, ReduceWindow};
use std::panic::Location;

/// A table of reductions of windows. A row is `name = Kind, "doc", "code" => "value";`.
macro_rules! window_reductions {
    ($($f:ident = $Kind:ident, $doc:literal, $code:literal => $value:literal;)*) => {
        impl Tensor {$(
            #[doc = $doc]
            #[doc = "\n`sizes` has one number for all axes, or one for each. The stride is 1 \
                     unless\n`options` sets others, in contrast to pools. The dtype is kept. \
                     Follows\n`jax.lax.reduce_window`."]
            #[doc = "\n# Errors\n\nThe result carries an error if `sizes` or `options` does not \
                     fit the\nnumber of axes, and for options of convolutions."]
            #[doc = example!($code => $value)]
            #[track_caller]
            pub fn $f(&self, sizes: impl IntoEach, options: Windows) -> Tensor {
                let at = Location::caller();
                let sizes = sizes.each();
                tensor_or_error(
                    self.reduce_windows(ReduceKind::$Kind, stringify!($f), &sizes, &options, at),
                )
            }
        )*}
    };
}

window_reductions! {
    window_sum = Sum,
        "Computes the sum of each window of `sizes` over all axes. Padding counts as zeros; floats \
         below 32 bits are summed in f32.",
        "tensor([1, 2, 3, 4]).window_sum(2, Windows::new())" => "[3, 5, 7]";
    window_prod = Prod,
        "Computes the product of each window of `sizes` over all axes. Padding counts as ones. It \
         has no derivative.",
        "tensor([1, 2, 3, 4]).window_prod(2, Windows::new().strides(2))" => "[2, 12]";
    window_max = Max,
        "Computes the maximum of each window of `sizes` over all axes; NaN if an element is NaN. \
         Padding is ignored.",
        "tensor([1, 4, 3, 2]).window_max(2, Windows::new())" => "[4, 4, 3]";
    window_min = Min,
        "Computes the minimum of each window of `sizes` over all axes; NaN if an element is NaN. \
         Padding is ignored.",
        "tensor([1, 4, 3, 2]).window_min(2, Windows::new())" => "[1, 3, 2]";
}

impl Tensor {
    /// Reduces each window of `sizes` over all axes by `kind`.
    fn reduce_windows(
        &self,
        kind: ReduceKind,
        op: &str,
        sizes: &[usize],
        options: &Windows,
        at: CallSite,
    ) -> Result<Tensor, Tensor> {
        let shape = self.type_or_error()?.shape.to_vec();
        all_used(op, self, options, &["ceil_mode", "input_dilation"], at)?;
        if options.is_channels_last() {
            let why = "expected the default of `channels_last`; all axes have windows".into();
            return Err(fail(op, why, self, at));
        }
        let sizes = per_axis("sizes", sizes, shape.len()).map_err(|why| fail(op, why, self, at))?;
        let slides = options.slides(&shape, &sizes, &[1]).map_err(|why| fail(op, why, self, at))?;
        let (x, dtype) =
            if kind == ReduceKind::Sum { self.wide(at) } else { (self.clone(), self.dtype()) };
        Ok(dispatch(ReduceWindow { kind, sizes, slides }, [x], at).convert(dtype, at))
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn all_axes_have_windows() {
        let x = Tensor::arange(12).reshape([3, 4]);
        let y = x.window_sum([2, 3], Windows::new().strides([1, 2]).padding([(0, 0), (1, 0)]));
        assert_eq!(y.shape(), [2, 2]);
        assert_eq!(y.to_vec::<i32>().unwrap(), [10, 24, 26, 48]);
        let y = x.window_min(2, Windows::new().dilation([2, 1]).strides(2));
        assert_eq!(y.to_vec::<i32>().unwrap(), [0, 2]);
    }

    #[test]
    fn misuse_is_an_error() {
        let say = |y: Tensor| y.error().unwrap().to_string();
        let x = Tensor::zeros([3, 4]);
        assert!(say(x.window_max([1, 2, 3], Windows::new())).contains("expected one value"));
        assert!(say(x.window_max(2, Windows::new().groups(2))).contains("`groups`"));
        assert!(say(x.window_max(2, Windows::new().channels_last())).contains("`channels_last`"));
    }
}
