//! Convolution with a kernel for each position.

use super::common::{located, promote_operands, tensor_or_error};
use crate::{IntoEach, Tensor, Windows, einsum, tensor::CallSite};
use std::panic::Location;

impl Tensor {
    /// Computes the products of the windows of `sizes` over the spatial axes of
    /// `[batch, channels, space ..]` with kernels that differ from position to position, in
    /// contrast to [`Tensor::conv`].
    ///
    /// `kernels` is `[output channels, channels · taps, positions ..]`, with the windows in the
    /// order of [`Tensor::patches`]; the result is `[batch, output channels, positions ..]`.
    /// `options` sets strides, padding and dilation. Dtypes are promoted; floats below 32 bits are
    /// accumulated in f32. Follows `jax.lax.conv_general_dilated_local`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the kernels do not fit, and as [`Tensor::patches`].
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[[1.0, 2.0, 3.0]]]);
    /// let kernels = tensor([[[1.0, 10.0], [1.0, 10.0]]]);
    /// assert_eq!(x.conv_local(&kernels, 2, Windows::new()).to_vec::<f32>()?, [3.0, 50.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn conv_local(&self, kernels: &Tensor, sizes: impl IntoEach, options: Windows) -> Tensor {
        let (at, sizes) = (Location::caller(), sizes.each());
        located(at, &[self, kernels], || {
            tensor_or_error(products(self, kernels, &sizes, options, at))
        })
    }
}

fn products(
    x: &Tensor,
    kernels: &Tensor,
    sizes: &[usize],
    options: Windows,
    at: CallSite,
) -> Result<Tensor, Tensor> {
    let both = promote_operands("conv_local", &[x.clone(), kernels.clone()], at)?;
    let [(x, dtype), (kernels, _)] = [both[0].wide(at), both[1].wide(at)];
    let patches = x.patches(sizes, options);
    let (ty, of) = (patches.type_or_error()?, kernels.type_or_error()?);
    if of.rank() != ty.rank() || of.shape[1..] != ty.shape[1..] {
        let why = format!(
            "expected kernels [output channels, {}], got {of}",
            ty.shape[1..].iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
        );
        return Err(Tensor::fail("conv_local", why, at));
    }
    let y = einsum("nc...,oc...->no...", [&patches, &kernels]);
    Ok(y.convert(dtype, at))
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn equal_kernels_are_a_convolution() {
        let (x, kernel) = (key(0).normal([2, 3, 6, 5]), key(1).normal([4, 3, 2, 3]));
        let options = || Windows::new().strides([2, 1]).padding(1).dilation([1, 2]);
        let want = x.conv(&kernel, options());
        let positions = want.shape()[2..].to_vec();
        let kernels = kernel.reshape([4, 18, 1, 1]);
        let kernels = kernels.broadcast_to([&[4, 18][..], &positions].concat());
        let y = x.conv_local(&kernels, [2, 3], options());
        assert!(y.allclose(want, 1e-4, 1e-4).item().unwrap() == 1.0);
        let narrow = x.to(BF16).conv_local(&kernels.to(BF16), [2, 3], options());
        assert_eq!(narrow.dtype(), BF16);
    }

    #[test]
    fn kernels_of_other_sizes_are_errors() {
        let x = Tensor::ones([1, 2, 4]);
        let e = x.conv_local(&Tensor::ones([3, 2, 3]), 2, Windows::new());
        let e = e.error().unwrap().to_string();
        assert!(e.contains("expected kernels [output channels, 4, 3], got f32[3, 2, 3]"), "{e}");
        assert!(x.conv_local(&x, [2, 2], Windows::new()).error().is_some());
        assert!(x.conv_local(&x, 2, Windows::new().channels_last()).error().is_some());
    }
}
