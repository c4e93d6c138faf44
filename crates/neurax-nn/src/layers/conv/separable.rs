//! The separable convolution layer.

use super::options::{channels_of, kernel_init, kernel_shape};
use super::{conv, if_fitting};
use crate::init::{self, Init};
use crate::{Cx, Layer, Node};
use neurax_tensor::{IntoEach, PadMode, Padding, Tensor, Windows};
use serde::{Deserialize, Serialize};

/// Computes a depthwise convolution of each channel, followed by a convolution with windows of one
/// element, plus `bias`: `x` is `[batch, channels, space ..]`, `depthwise`
/// `[channels · multiplier, 1, taps ..]`, `pointwise` `[filters, channels · multiplier, 1 ..]`,
/// `bias` `[filters]`, the result `[batch, filters, space ..]`. `options` are those of the first
/// convolution; its groups are set to the number of channels. Chollet, Xception
/// (<https://arxiv.org/abs/1610.02357>).
///
/// ```
/// use neurax::prelude::*;
/// let x = tensor([[[1.0, 2.0, 4.0], [1.0, 1.0, 1.0]]]);
/// let depthwise = tensor([[[1.0, -1.0]], [[1.0, 1.0]]]);
/// let pointwise = tensor([[[10.0], [1.0]]]);
/// let y = nn::layers::separable_conv(&x, &depthwise, &pointwise, None, Windows::new());
/// assert_eq!(y.to_vec::<f32>()?, [-8.0, -18.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn separable_conv(
    x: &Tensor,
    depthwise: &Tensor,
    pointwise: &Tensor,
    bias: Option<&Tensor>,
    options: Windows,
) -> Tensor {
    let channels = channels_of(x, &options);
    let of_points =
        if options.is_channels_last() { Windows::new().channels_last() } else { Windows::new() };
    conv(&x.conv(depthwise, options.groups(channels)), pointwise, bias, of_points)
}

/// The layer of [`separable_conv`], with parameters `depthwise_kernel`, `pointwise_kernel` and
/// `bias`.
///
/// ```
/// use neurax::prelude::*;
/// let layer = nn::SeparableConv::new(16, 3).multiplier(2).padding(Padding::Same);
/// let model = nn::input("image", dims![_, 4, 8, 8]).layer(layer);
/// let vars = model.init(key(0), &types![f32[_, 4, 8, 8]])?;
/// assert_eq!(vars.params["separable_conv"]["depthwise_kernel"].shape(), [8, 1, 3, 3]);
/// assert_eq!(vars.params["separable_conv"]["pointwise_kernel"].shape(), [16, 8, 1, 1]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SeparableConv {
    filters: usize,
    multiplier: usize,
    taps: Vec<usize>,
    options: Windows,
    bias: bool,
    /// The initializer of both kernels.
    kernel: Option<Init>,
    bias_init: Init,
}

impl SeparableConv {
    /// Creates a layer with `filters` output channels and windows of `taps` elements along each
    /// space axis; one number counts for all axes. The first convolution has one filter for each
    /// channel. The other defaults are those of [`Conv::new`](crate::Conv::new).
    pub fn new(filters: usize, taps: impl IntoEach) -> SeparableConv {
        let (taps, options, bias_init) = (taps.each(), Windows::new(), init::zeros());
        let (multiplier, bias, kernel) = (1, true, None);
        SeparableConv { filters, multiplier, taps, options, bias, kernel, bias_init }
    }

    /// Sets the number of filters of the first convolution for each channel.
    pub fn multiplier(self, multiplier: usize) -> SeparableConv {
        SeparableConv { multiplier, ..self }
    }
}

conv_options!(SeparableConv with padding_mode input_dilation);

impl Layer for SeparableConv {
    const NAME: &'static str = "separable_conv";
    type Output = Tensor;

    fn apply(&self, cx: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        let between = channels_of(&x, &self.options).saturating_mul(self.multiplier);
        let mut kernel = |name: &str, taps: &[usize], channels| {
            let shape = kernel_shape(&x, taps, channels, &self.options);
            cx.param(name, shape, kernel_init(self.kernel.as_ref(), &self.options))
        };
        let depthwise = kernel("depthwise_kernel", &self.taps, [between, 1]);
        let pointwise = kernel("pointwise_kernel", &[1], [self.filters, between]);
        let bias = self.bias.then(|| cx.param("bias", self.filters, self.bias_init.clone()));
        let options = self.options.clone();
        let y = separable_conv(&x, &depthwise, &pointwise, bias.as_ref(), options);
        if_fitting(cx, Self::NAME, y, &x, &self.taps, &self.options)
    }
}

impl Node {
    /// Applies a separable convolution with `filters` output channels and windows of `taps`
    /// elements along each space axis: see [`SeparableConv`].
    #[track_caller]
    pub fn separable_conv(&self, filters: usize, taps: impl IntoEach) -> Node {
        self.layer(SeparableConv::new(filters, taps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::types;

    #[test]
    fn is_a_layer() {
        check::layer(SeparableConv::new(2, 3), &types![f32[2, 3, 5]]).unwrap();
        let strided = SeparableConv::new(2, [3, 2]).multiplier(2).strides(2).channels_last();
        check::layer(strided, &types![f32[2, 5, 4, 3]]).unwrap();
        let volume = SeparableConv::new(2, 2).padding(Padding::Same).bias(false);
        check::layer(volume, &types![f32[1, 2, 2, 3, 2]]).unwrap();
    }

    #[test]
    fn invalid_inputs_are_errors() {
        for t in [types![f32[3]], types![f32[]], types![f32[1, 0, 4]]] {
            let e = check::layer(SeparableConv::new(1, 2), &t).unwrap_err().to_string();
            assert!(e.contains("in layer separable_conv"), "{e}");
        }
    }
}
