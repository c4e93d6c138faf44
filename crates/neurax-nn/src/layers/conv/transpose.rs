//! The transposed convolution layer.

use super::options::{channels_of, input_error, kernel_shape, transposed_kernel_init};
use super::{if_fitting, with_bias};
use crate::init::{self, Init};
use crate::{Cx, Layer, Node};
use neurax_tensor::{IntoEach, Padding, Tensor, Windows};
use serde::{Deserialize, Serialize};

/// Computes a transposed convolution over the space axes, plus `bias`: `x` is
/// `[batch, channels, space ..]`, `kernel` `[channels, filters / groups, taps ..]`, `bias`
/// `[filters]`, the result `[batch, filters, space ..]`. It is the gradient of a convolution with
/// the same kernel and options with respect to its input, as in PyTorch and Keras; JAX and Axon do
/// not reverse the taps of the kernel unless told to. For the options, and channels at the last
/// axis, see [`Windows`] and [`Tensor::conv_transpose`].
///
/// ```
/// use neurax::prelude::*;
/// let (x, kernel) = (tensor([[[1.0, 2.0]]]), tensor([[[1.0, 10.0]]]));
/// let y = nn::layers::conv_transpose(&x, &kernel, Some(&tensor([0.5])), Windows::new());
/// assert_eq!(y.to_vec::<f32>()?, [1.5, 12.5, 20.5]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn conv_transpose(
    x: &Tensor,
    kernel: &Tensor,
    bias: Option<&Tensor>,
    options: Windows,
) -> Tensor {
    let channels_last = options.is_channels_last();
    with_bias(x.conv_transpose(kernel, options), bias, channels_last)
}

/// The layer of [`conv_transpose`], with parameters `kernel` and `bias`: it enlarges the space axes
/// by its strides.
///
/// The kernel is that of PyTorch, `[channels, filters / groups, taps ..]`, or with channels last
/// that of Keras, `[taps .., filters / groups, channels]`. An axis of `n` elements becomes
/// `(n - 1) stride + (taps - 1) dilation + 1` minus the padding plus the output padding, or
/// `n stride` with [`Padding::Same`].
///
/// ```
/// use neurax::prelude::*;
/// let layer = nn::ConvTranspose::new(8, 3).strides(2).padding(1).output_padding(1);
/// let model = nn::input("image", dims![_, 16, 7, 7]).layer(layer).named("up");
/// let vars = model.init(key(0), &types![f32[_, 16, 7, 7]])?;
/// assert_eq!(vars.params["up"]["kernel"].shape(), [16, 8, 3, 3]);
/// let y = model.apply(&vars, Tensor::ones([2, 16, 7, 7]), &Mode::Eval);
/// assert_eq!(y.y().shape(), [2, 8, 14, 14]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConvTranspose {
    filters: usize,
    taps: Vec<usize>,
    options: Windows,
    groups: usize,
    bias: bool,
    kernel: Option<Init>,
    bias_init: Init,
}

impl ConvTranspose {
    /// Creates a layer with `filters` output channels and windows of `taps` elements along each
    /// space axis; one number counts for all axes. The defaults are those of
    /// [`Conv::new`](crate::Conv::new).
    pub fn new(filters: usize, taps: impl IntoEach) -> ConvTranspose {
        let (taps, options, bias_init) = (taps.each(), Windows::new(), init::zeros());
        ConvTranspose { filters, taps, options, groups: 1, bias: true, kernel: None, bias_init }
    }

    /// Splits the channels into groups, each with separate filters.
    pub fn groups(self, groups: usize) -> ConvTranspose {
        ConvTranspose { options: self.options.groups(groups), groups, ..self }
    }

    /// Sets the number of further elements at the end of each axis: see
    /// [`Windows::output_padding`].
    pub fn output_padding(self, padding: impl IntoEach) -> ConvTranspose {
        ConvTranspose { options: self.options.output_padding(padding), ..self }
    }
}

conv_options!(ConvTranspose);

impl Layer for ConvTranspose {
    const NAME: &'static str = "conv_transpose";
    type Output = Tensor;

    fn apply(&self, cx: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        let channels = channels_of(&x, &self.options);
        if let Some(e) = input_error(Self::NAME, &x, self.groups, self.filters, &self.options) {
            return Tensor::from_error(e);
        }
        let of_group = self.filters.checked_div(self.groups).unwrap_or(self.filters);
        let shape = kernel_shape(&x, &self.taps, [channels, of_group], &self.options);
        let init = transposed_kernel_init(self.kernel.as_ref(), &self.options);
        let kernel = cx.param("kernel", shape, init);
        let bias = self.bias.then(|| cx.param("bias", self.filters, self.bias_init.clone()));
        let y = conv_transpose(&x, &kernel, bias.as_ref(), self.options.clone());
        if_fitting(cx, Self::NAME, y, &x, &self.taps, &self.options)
    }
}

impl Node {
    /// Applies a transposed convolution with `filters` output channels and windows of `taps`
    /// elements along each space axis: see [`ConvTranspose`].
    #[track_caller]
    pub fn conv_transpose(&self, filters: usize, taps: impl IntoEach) -> Node {
        self.layer(ConvTranspose::new(filters, taps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::{TypeSpec, types};

    #[test]
    fn is_a_layer() {
        check::layer(ConvTranspose::new(2, 3), &types![f32[2, 3, 5]]).unwrap();
        let strided = ConvTranspose::new(4, [3, 2]).strides([2, 1]).padding(1).groups(2);
        let strided = strided.output_padding([1, 0]);
        check::layer(strided, &types![f32[2, 2, 3, 4]]).unwrap();
        let same = ConvTranspose::new(2, 3).strides(2).padding(Padding::Same).dilation(2);
        check::layer(same.channels_last().bias(false), &types![f32[2, 3, 2, 3]]).unwrap();
        check::layer(ConvTranspose::new(1, 2).strides(2), &types![f32[1, 2, 2, 2, 2]]).unwrap();
    }

    #[test]
    fn invalid_inputs_and_options_are_errors() {
        let message = |l: ConvTranspose, t: &[TypeSpec; 1]| {
            let e = check::layer(l, t).unwrap_err().to_string();
            assert!(e.contains("in layer conv_transpose"), "{e}");
            e
        };
        let e = message(ConvTranspose::new(3, 2).groups(2), &types![f32[1, 2, 4]]);
        assert!(e.contains("and the 3 filters, got 2 groups"), "{e}");
        let e = message(ConvTranspose::new(4, 2).groups(2), &types![f32[1, 3, 4]]);
        assert!(e.contains("divides the 3 channels"), "{e}");
        let e = message(
            ConvTranspose::new(4, 2).output_padding(2).strides(2),
            &types![f32[
                1, 3, 4
            ]],
        );
        assert!(
            e.contains("expected an output padding below the stride or the dilation, 2"),
            "{e}"
        );
        message(ConvTranspose::new(3, [2, 2]), &types![f32[1, 3, 4]]);
        message(ConvTranspose::new(3, 2), &types![f32[3]]);
        message(ConvTranspose::new(3, 2), &types![f32[]]);
    }
}
