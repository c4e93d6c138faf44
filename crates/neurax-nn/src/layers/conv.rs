//! The convolution layer.

use crate::init::{self, Init};
use crate::{Cx, Layer, Node};
use neurax_tensor::{IntoEach, Padding, Tensor, Windows};
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

    /// Sets the distance between neighbouring windows.
    pub fn strides(self, strides: impl IntoEach) -> Conv {
        Conv { options: self.options.strides(strides), ..self }
    }

    /// Sets the padding: see [`Windows::padding`].
    pub fn padding(self, padding: impl Into<Padding>) -> Conv {
        Conv { options: self.options.padding(padding), ..self }
    }

    /// Sets the distance between neighbouring elements of a window: 1 is no dilation.
    pub fn dilation(self, dilation: impl IntoEach) -> Conv {
        Conv { options: self.options.dilation(dilation), ..self }
    }

    /// Splits the channels into groups, each with separate filters. The number of channels makes
    /// a depthwise convolution.
    pub fn groups(self, groups: usize) -> Conv {
        Conv { options: self.options.groups(groups), groups, ..self }
    }

    /// Makes the channels the last axis, as in Keras and JAX: the input is `[batch, space ..,
    /// channels]`, the kernel `[taps .., channels / groups, filters]`.
    pub fn channels_last(self) -> Conv {
        Conv { options: self.options.channels_last(), ..self }
    }

    /// Sets whether the layer has a bias.
    pub fn bias(self, bias: bool) -> Conv {
        Conv { bias, ..self }
    }

    /// Sets the initializer of the kernel. For [`Conv::channels_last`], name its axes:
    /// `init::he_normal().axes(-2, -1)`.
    pub fn kernel(self, kernel: Init) -> Conv {
        Conv { kernel: Some(kernel), ..self }
    }

    /// Sets the initializer of the bias.
    pub fn bias_init(self, bias_init: Init) -> Conv {
        Conv { bias_init, ..self }
    }

    /// Returns the kernel's shape for an input, and its default initializer.
    fn kernel_of(&self, x: &Tensor) -> (Vec<usize>, Init) {
        let space = x.rank().saturating_sub(2);
        let taps = match self.taps[..] {
            [n] => vec![n; space],
            _ => self.taps.clone(),
        };
        // The function reports groups that do not divide the channels.
        let of_group = |channels: usize| channels.checked_div(self.groups).unwrap_or(channels);
        if self.options.is_channels_last() {
            let shape = [&taps[..], &[of_group(x.dim(-1)), self.filters]].concat();
            (shape, init::glorot_uniform().axes(-2, -1))
        } else {
            (
                [&[self.filters, of_group(x.dim(1))], &taps[..]].concat(),
                init::glorot_uniform().axes(1, 0),
            )
        }
    }
}

impl Layer for Conv {
    const NAME: &'static str = "conv";
    type Output = Tensor;

    fn apply(&self, cx: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        let (shape, default) = self.kernel_of(&x);
        let kernel = cx.param("kernel", shape, self.kernel.clone().unwrap_or(default));
        let bias = self.bias.then(|| cx.param("bias", self.filters, self.bias_init.clone()));
        conv(&x, &kernel, bias.as_ref(), self.options.clone())
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
    use neurax_tensor::{TypeSpec, types};

    #[test]
    fn is_a_layer() {
        check::layer(Conv::new(2, 3), &types![f32[2, 3, 5]]).unwrap();
        let strided = Conv::new(4, [3, 2]).strides([2, 1]).padding(Padding::Same).groups(2);
        check::layer(strided, &types![f32[2, 4, 5, 4]]).unwrap();
        let dilated = Conv::new(2, 2).dilation(2).channels_last().bias(false);
        check::layer(dilated, &types![f32[2, 4, 5, 3]]).unwrap();
        check::layer(Conv::new(1, 2), &types![f32[1, 2, 3, 3, 3]]).unwrap();
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

    #[test]
    fn invalid_inputs_and_options_are_errors() {
        let message = |l: Conv, t: &[TypeSpec; 1]| check::layer(l, t).unwrap_err().to_string();
        let e = message(Conv::new(3, 2).groups(2), &types![f32[1, 3, 4]]);
        assert!(e.contains("in layer conv") && e.contains("groups"), "{e}");
        let e = message(Conv::new(3, [2, 2]), &types![f32[1, 3, 4]]);
        assert!(e.contains("in layer conv"), "{e}");
        for t in [types![f32[3]], types![f32[]]] {
            let e = message(Conv::new(3, 2), &t);
            assert!(e.contains("in layer conv"), "{e}");
        }
    }
}
