//! The depthwise convolution layer.

use super::options::{channels_of, kernel_init, kernel_shape};
use super::{conv, if_fitting};
use crate::init::{self, Init};
use crate::{Cx, Layer, Node};
use neurax_tensor::{IntoEach, PadMode, Padding, Tensor, Windows};
use serde::{Deserialize, Serialize};

/// A convolution of each channel with separate filters: [`conv`](crate::layers::conv) with one
/// group for each channel, and parameters `kernel` and `bias`. Output channel `c · multiplier + m`
/// is filter `m` of channel `c`, as in PyTorch and Keras.
///
/// ```
/// use neurax::prelude::*;
/// let layer = nn::DepthwiseConv::new(2, [3, 3]).padding(Padding::Same);
/// let model = nn::input("image", dims![_, 4, 8, 8]).layer(layer);
/// let vars = model.init(key(0), &types![f32[_, 4, 8, 8]])?;
/// assert_eq!(vars.params["depthwise_conv"]["kernel"].shape(), [8, 1, 3, 3]);
/// let y = model.apply(&vars, Tensor::ones([2, 4, 8, 8]), &Mode::Eval);
/// assert_eq!(y.y().shape(), [2, 8, 8, 8]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DepthwiseConv {
    multiplier: usize,
    taps: Vec<usize>,
    options: Windows,
    bias: bool,
    kernel: Option<Init>,
    bias_init: Init,
}

impl DepthwiseConv {
    /// Creates a layer with `multiplier` filters for each channel and windows of `taps` elements
    /// along each space axis; one number counts for all axes. The defaults are those of
    /// [`Conv::new`](crate::Conv::new).
    pub fn new(multiplier: usize, taps: impl IntoEach) -> DepthwiseConv {
        let (taps, options, bias_init) = (taps.each(), Windows::new(), init::zeros());
        DepthwiseConv { multiplier, taps, options, bias: true, kernel: None, bias_init }
    }
}

conv_options!(DepthwiseConv with padding_mode input_dilation);

impl Layer for DepthwiseConv {
    const NAME: &'static str = "depthwise_conv";
    type Output = Tensor;

    fn apply(&self, cx: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        let channels = channels_of(&x, &self.options);
        let filters = channels.saturating_mul(self.multiplier);
        let shape = kernel_shape(&x, &self.taps, [filters, 1], &self.options);
        let kernel = cx.param("kernel", shape, kernel_init(self.kernel.as_ref(), &self.options));
        let bias = self.bias.then(|| cx.param("bias", filters, self.bias_init.clone()));
        let options = self.options.clone().groups(channels);
        let y = conv(&x, &kernel, bias.as_ref(), options.clone());
        if_fitting(cx, Self::NAME, y, &x, &self.taps, &options)
    }
}

impl Node {
    /// Applies a convolution with `multiplier` filters for each channel and windows of `taps`
    /// elements along each space axis: see [`DepthwiseConv`].
    #[track_caller]
    pub fn depthwise_conv(&self, multiplier: usize, taps: impl IntoEach) -> Node {
        self.layer(DepthwiseConv::new(multiplier, taps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::types;

    #[test]
    fn is_a_layer() {
        check::layer(DepthwiseConv::new(1, 3), &types![f32[2, 3, 5]]).unwrap();
        let strided = DepthwiseConv::new(2, [3, 2]).strides([2, 1]).padding(Padding::Same);
        check::layer(strided.channels_last(), &types![f32[2, 5, 4, 3]]).unwrap();
        check::layer(DepthwiseConv::new(2, 2).bias(false), &types![f32[1, 2, 3, 3, 3]]).unwrap();
    }

    #[test]
    fn invalid_inputs_are_errors() {
        for t in [types![f32[3]], types![f32[]], types![f32[1, 0, 4]]] {
            let e = check::layer(DepthwiseConv::new(1, 2), &t).unwrap_err().to_string();
            assert!(e.contains("in layer depthwise_conv"), "{e}");
        }
    }
}
