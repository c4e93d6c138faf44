//! Convolution layers.

#[macro_use]
mod options;
mod deform;
mod depthwise;
mod separable;
mod transpose;

pub use deform::{DeformConv, deform_conv};
pub use depthwise::DepthwiseConv;
pub use separable::{SeparableConv, separable_conv};
pub use transpose::{ConvTranspose, conv_transpose};

use crate::init::{self, Init};
use crate::{Cx, Layer, Node};
use neurax_tensor::{Error, IntoEach, PadMode, Padding, Tensor, Windows};
use options::{channels_of, input_error, kernel_init, kernel_shape};
use serde::{Deserialize, Serialize};

/// Computes a convolution over the space axes, plus `bias`: `x` is `[batch, channels, space ..]`,
/// `kernel` `[filters, channels / groups, taps ..]`, `bias` `[filters]`, the result
/// `[batch, filters, space ..]`. For the options, and channels at the last axis, see [`Windows`]
/// and [`Tensor::conv`].
///
/// ```
/// use neurax::prelude::*;
/// let (x, kernel) = (tensor([[[1.0, 2.0, 4.0]]]), tensor([[[1.0, 1.0]], [[1.0, -1.0]]]));
/// let y = nn::layers::conv(&x, &kernel, Some(&tensor([0.0, 10.0])), Windows::new());
/// assert_eq!(y.to_vec::<f32>()?, [3.0, 6.0, 9.0, 8.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn conv(x: &Tensor, kernel: &Tensor, bias: Option<&Tensor>, options: Windows) -> Tensor {
    let channels_last = options.is_channels_last();
    with_bias(x.conv(kernel, options), bias, channels_last)
}

/// Returns `y`, which the layer `op` computes of windows of `taps` elements of `x`, or an error if
/// no window fits into `x`. PyTorch reports the same; an empty batch is no mistake.
pub(crate) fn if_fitting(
    cx: &Cx,
    op: &str,
    y: Tensor,
    x: &Tensor,
    taps: &[usize],
    of: &Windows,
) -> Tensor {
    let (Ok(from), Ok(to)) = (x.ty(), y.ty()) else { return y };
    let space = if of.is_channels_last() { 1..to.rank().max(2) - 1 } else { 2..to.rank() };
    let is_lost = |i: usize| to.shape.get(i) == Some(&0) && from.shape.get(i) != Some(&0);
    if !cx.is_applied() || !space.into_iter().any(is_lost) {
        return y;
    }
    let why = format!(
        "expected windows that fit into the input, got windows of {taps:?} elements and an input \
         {from}, so that the result {to} is empty; change the padding, the windows or the dilation"
    );
    Tensor::from_error(Error::new(op, why))
}

/// Adds a bias for each channel.
#[track_caller]
pub(crate) fn with_bias(y: Tensor, bias: Option<&Tensor>, channels_last: bool) -> Tensor {
    match bias {
        Some(bias) if channels_last => y + bias,
        Some(bias) => {
            let mut shape = vec![1; y.rank().max(2)];
            shape[1] = bias.dim(0);
            y + bias.reshape(shape)
        }
        None => y,
    }
}

/// The layer of [`conv`], with parameters `kernel` and `bias`: a window of any number of space axes
/// slides over the input.
///
/// ```
/// use neurax::prelude::*;
/// let layer = nn::Conv::new(8, [3, 3]).strides(2).padding(Padding::Same).bias(false);
/// let model = nn::input("image", dims![_, 3, 32, 32]).layer(layer).named("stem");
/// let vars = model.init(key(0), &types![f32[_, 3, 32, 32]])?;
/// assert_eq!(vars.params["stem"]["kernel"].shape(), [8, 3, 3, 3]);
/// let y = model.apply(&vars, Tensor::ones([2, 3, 32, 32]), &Mode::Eval);
/// assert_eq!(y.y().shape(), [2, 8, 16, 16]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Conv {
    filters: usize,
    taps: Vec<usize>,
    options: Windows,
    groups: usize,
    bias: bool,
    kernel: Option<Init>,
    bias_init: Init,
}

impl Conv {
    /// Creates a layer with `filters` output channels and windows of `taps` elements along each
    /// space axis; one number counts for all axes. The defaults are strides of 1, no padding, no
    /// dilation, one group, a kernel that is initialized with [`init::glorot_uniform`], and a bias
    /// of zeros.
    pub fn new(filters: usize, taps: impl IntoEach) -> Conv {
        let (taps, options, bias_init) = (taps.each(), Windows::new(), init::zeros());
        Conv { filters, taps, options, groups: 1, bias: true, kernel: None, bias_init }
    }

    /// Splits the channels into groups, each with separate filters. The number of channels makes
    /// a depthwise convolution.
    pub fn groups(self, groups: usize) -> Conv {
        Conv { options: self.options.groups(groups), groups, ..self }
    }
}

conv_options!(Conv with padding_mode input_dilation);

impl Layer for Conv {
    const NAME: &'static str = "conv";
    type Output = Tensor;

    fn apply(&self, cx: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        if let Some(e) = input_error("conv", &x, self.groups, self.filters, &self.options) {
            return Tensor::from_error(e);
        }
        let channels = channels_of(&x, &self.options);
        let of_group = channels.checked_div(self.groups).unwrap_or(channels);
        let shape = kernel_shape(&x, &self.taps, [self.filters, of_group], &self.options);
        let kernel = cx.param("kernel", shape, kernel_init(self.kernel.as_ref(), &self.options));
        let bias = self.bias.then(|| cx.param("bias", self.filters, self.bias_init.clone()));
        let y = conv(&x, &kernel, bias.as_ref(), self.options.clone());
        if_fitting(cx, "conv", y, &x, &self.taps, &self.options)
    }
}

impl Node {
    /// Applies a convolution with `filters` output channels and windows of `taps` elements along
    /// each space axis: see [`Conv`].
    #[track_caller]
    pub fn conv(&self, filters: usize, taps: impl IntoEach) -> Node {
        self.layer(Conv::new(filters, taps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::{TypeSpec, dims, key, types};

    #[test]
    fn is_a_layer() {
        check::layer(Conv::new(2, 3), &types![f32[2, 3, 5]]).unwrap();
        let strided = Conv::new(4, [3, 2]).strides([2, 1]).padding(Padding::Same).groups(2);
        check::layer(strided, &types![f32[2, 4, 5, 4]]).unwrap();
        let dilated = Conv::new(2, 2).dilation(2).channels_last().bias(false);
        check::layer(dilated, &types![f32[2, 4, 5, 3]]).unwrap();
        check::layer(Conv::new(1, 2), &types![f32[1, 2, 3, 3, 3]]).unwrap();
        let causal = Conv::new(2, 3).padding(Padding::Causal).dilation(2).input_dilation(2);
        check::layer(causal, &types![f32[2, 1, 4]]).unwrap();
        for mode in [PadMode::Reflect, PadMode::Edge, PadMode::Wrap] {
            let padded = Conv::new(2, 3).padding(Padding::Same).padding_mode(mode);
            check::layer(padded.clone().channels_last(), &types![f32[1, 4, 3, 1]]).unwrap();
            check::layer(padded, &types![f32[1, 1, 4, 3]]).unwrap();
        }
    }

    #[test]
    fn a_causal_convolution_uses_no_later_element() {
        let x = neurax_tensor::tensor([[[1.0, 2.0, 3.0, 4.0]]]);
        let kernel = neurax_tensor::tensor([[[10.0, 1.0]]]);
        let options = Windows::new().padding(Padding::Causal);
        let y = conv(&x, &kernel, None, options.clone());
        assert_eq!(y.to_vec::<f32>().unwrap(), [1.0, 12.0, 23.0, 34.0]);
        let y = conv(&x, &kernel, None, options.dilation(2));
        assert_eq!(y.to_vec::<f32>().unwrap(), [1.0, 2.0, 13.0, 24.0]);
    }

    #[test]
    fn a_bias_is_added_to_each_channel() {
        let (x, ones) = (Tensor::ones([1, 1, 2]), Tensor::ones([2, 1, 1]));
        let bias = neurax_tensor::tensor([1.0, 2.0]);
        let y = conv(&x, &ones, Some(&bias), Windows::new());
        assert_eq!(y.to_vec::<f32>().unwrap(), [2.0, 2.0, 3.0, 3.0]);
        let (x, ones) = (Tensor::ones([1, 2, 1]), Tensor::ones([1, 1, 2]));
        let y = conv(&x, &ones, Some(&bias), Windows::new().channels_last());
        assert_eq!(y.to_vec::<f32>().unwrap(), [2.0, 3.0, 2.0, 3.0]);
    }

    /// Returns the standard deviation of the kernel `name` of a layer on `[_, 16, ..]`.
    fn deviation(layer: impl Layer<1, Output = Tensor> + 'static, name: &str, last: bool) -> f64 {
        let types = if last { types![f32[1, 8, 8, 16]] } else { types![f32[1, 16, 8, 8]] };
        let dims = if last { dims![_, 8, 8, 16] } else { dims![_, 16, 8, 8] };
        let model = crate::input("x", dims).layer(layer).named("l").model();
        let vars = model.init(key(0), &types).unwrap();
        vars.params["l"][name].std(.., 0).item().unwrap()
    }

    /// Returns a layer in a layout.
    macro_rules! in_layout {
        ($layer:expr, $last:expr) => {
            if $last { $layer.channels_last() } else { $layer }
        };
    }

    #[test]
    fn initializers_of_users_scale_with_the_fan_of_the_layout() {
        let is_scaled = |deviation: f64, inputs: f64| {
            let ratio = deviation / (2.0 / inputs).sqrt();
            assert!((ratio - 1.0).abs() < 0.08, "{ratio} for a fan of {inputs}");
        };
        for last in [false, true] {
            let kernel = || init::he_normal();
            let conv = in_layout!(Conv::new(64, 3).kernel(kernel()), last);
            is_scaled(deviation(conv, "kernel", last), 16.0 * 9.0);
            let transpose = in_layout!(ConvTranspose::new(64, 3).kernel(kernel()), last);
            is_scaled(deviation(transpose, "kernel", last), 16.0 * 9.0);
            let depthwise = in_layout!(DepthwiseConv::new(32, 3).kernel(kernel()), last);
            is_scaled(deviation(depthwise, "kernel", last), 9.0);
            let separable =
                || in_layout!(SeparableConv::new(64, 3).multiplier(32).kernel(kernel()), last);
            is_scaled(deviation(separable(), "depthwise_kernel", last), 9.0);
            is_scaled(deviation(separable(), "pointwise_kernel", last), 512.0);
        }
        let named = Conv::new(64, 3).kernel(init::he_normal().axes(0, 1));
        is_scaled(deviation(named, "kernel", false), 64.0 * 9.0);
    }

    #[test]
    fn invalid_inputs_and_options_are_errors() {
        let message = |l: Conv, t: &[TypeSpec; 1]| check::layer(l, t).unwrap_err().to_string();
        let e = message(Conv::new(3, 2).groups(2), &types![f32[1, 3, 4]]);
        assert!(e.contains("in layer conv") && e.contains("groups"), "{e}");
        let e = message(Conv::new(3, [2, 2]), &types![f32[1, 3, 4]]);
        assert!(e.contains("in layer conv"), "{e}");
        let e = message(
            Conv::new(3, 2).padding([(-1, 0)]).padding_mode(PadMode::Edge),
            &types![
                f32[1, 3, 4]
            ],
        );
        assert!(e.contains("expected padding of at least 0, got -1"), "{e}");
        let both = Conv::new(3, 2).padding(1).padding_mode(PadMode::Edge).input_dilation(2);
        let e = message(both, &types![f32[1, 3, 4]]);
        assert!(e.contains("expected no input dilation with a padding mode"), "{e}");
        let open = crate::input("x", neurax_tensor::dims![_, 1, _]).conv(2, 3).model();
        let vars = open.init(neurax_tensor::key(0), &types![f32[_, 1, _]]).unwrap();
        let y = open.apply(&vars, Tensor::ones([1, 1, 2]), &crate::Mode::Eval);
        let e = y.y().error().unwrap().to_string();
        let want = "got windows of [3] elements and an input f32[1, 1, 2]";
        assert!(e.contains(want) && e.contains("in layer conv"), "{e}");
        let y = open.apply(&vars, Tensor::ones([0, 1, 3]), &crate::Mode::Eval);
        assert_eq!(y.y().shape(), [0, 2, 1]);
        for t in [types![f32[3]], types![f32[]]] {
            let e = message(Conv::new(3, 2), &t);
            assert!(e.contains("in layer conv"), "{e}");
        }
    }
}
