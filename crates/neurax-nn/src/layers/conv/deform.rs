//! Deformable convolution: each tap of a window reads the input at a learned position.
//!
//! Tap `t` of window `o` reads the input at `o stride - padding + t dilation + offset`, where an
//! input of the layer has the offset of each tap, window and space axis. A position between
//! elements is interpolated linearly along each axis, so that offsets have gradients; elements
//! outside of the input are zeros. Dai et al., Deformable Convolutional Networks
//! (<https://arxiv.org/abs/1703.06211>). A mask multiplies what each tap reads: Zhu et al.,
//! Deformable ConvNets v2 (<https://arxiv.org/abs/1811.11168>).
//!
//! The method is a convolution by columns: the values that the taps read become a matrix, which is
//! multiplied by the kernel. Positions of all taps and windows are one axis:
//!
//! ```text
//! x          [batch, parts, channels of a part, space]        a part has separate offsets
//! neighbours [batch, parts, 1, taps · windows]      2 for each space axis, 4 for images
//! columns    [batch, groups, channels of a group · taps, windows]
//! kernel     [groups, filters of a group, channels of a group · taps]
//! ```

use super::options::{channels_of, input_error, kernel_init, kernel_shape};
use super::with_bias;
use crate::init::{self, Init};
use crate::layers::axes::channels_first;
use crate::layers::shape::{AxisWindows, Unfold};
use crate::precision::{at_least_f32, narrow_as};
use crate::{Cx, Layer};
use neurax_tensor::{DType, Error, IntoEach, Result, Tensor, Windows, tensor};
use serde::{Deserialize, Serialize};

const OP: &str = "deform_conv";

/// Computes a deformable convolution of `groups` groups plus `bias`, as torchvision's
/// `deform_conv2d`, for any number of space axes.
///
/// `x` is `[batch, channels, space ..]` and `kernel` `[filters, channels / groups, taps ..]`.
/// `offsets` are `[batch, parts · taps · axes, windows ..]`, in the order of the axes for each tap,
/// of the taps in row-major order for each part: the channels are divided into `parts` with
/// separate offsets, whose number follows from the shape of the offsets. `mask`, `[batch, parts ·
/// taps, windows ..]`, multiplies what the taps read. `windows` has strides, padding and dilation;
/// its number of taps is that of the kernel. The result is `[batch, filters, windows ..]`.
/// Positions are computed in f32 at least.
///
/// # Errors
/// The result carries an error if a shape does not fit the others, or if no window fits into `x`.
///
/// ```
/// use neurax::prelude::*;
/// use nn::layers::{Unfold, deform_conv};
/// let (x, kernel) = (tensor([[[1.0, 2.0, 4.0, 8.0]]]), tensor([[[1.0]]]));
/// // The taps read at 0, 0.5, 3.25 and 3: the third one is between the last element and a zero.
/// let offsets = tensor([[[0.0, -0.5, 1.25, 0.0]]]);
/// let y = deform_conv(&x, &offsets, None, &kernel, None, 1, &Unfold::new(1));
/// assert_eq!(y.to_vec::<f32>()?, [1.0, 1.5, 6.0, 8.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn deform_conv(
    x: &Tensor,
    offsets: &Tensor,
    mask: Option<&Tensor>,
    kernel: &Tensor,
    bias: Option<&Tensor>,
    groups: usize,
    windows: &Unfold,
) -> Tensor {
    let sampling = Sampling::new(x, offsets, mask, windows);
    let sampling = match sampling.and_then(|s| s.with_kernel(kernel, groups)) {
        Ok(sampling) => sampling,
        Err(e) => return Tensor::from_error(e),
    };
    let read = sampling.columns(&at_least_f32(x), &at_least_f32(offsets), mask);
    let Sampling { batch, channels, taps, windows, .. } = sampling;
    let (filters, of_group) = (kernel.dim(0), channels / groups * taps);
    let columns = narrow_as(x, read).reshape([batch, groups, of_group, windows]);
    let y = kernel.reshape([groups, filters / groups, of_group]).matmul(columns);
    let counts = sampling.axes.iter().map(|a| a.count);
    let shape: Vec<usize> = [batch, filters].into_iter().chain(counts).collect();
    with_bias(y.reshape(shape), bias, false)
}

/// The sizes of a deformable convolution.
struct Sampling {
    batch: usize,
    channels: usize,
    /// The number of parts of the channels with separate offsets.
    parts: usize,
    /// The sizes of the space axes.
    space: Vec<usize>,
    axes: Vec<AxisWindows>,
    /// The number of taps of a window.
    taps: usize,
    /// The number of windows.
    windows: usize,
}

impl Sampling {
    /// Returns the sizes of the sampling, if the offsets and the mask fit the input.
    fn new(
        x: &Tensor,
        offsets: &Tensor,
        mask: Option<&Tensor>,
        options: &Unfold,
    ) -> Result<Sampling> {
        let (of_x, of_offsets) = (x.ty()?, offsets.ty()?);
        let of_mask = mask.map(Tensor::ty).transpose()?;
        let axes = options.windows_of(OP, &of_x.shape)?;
        let (batch, channels, space) = (of_x.shape[0], of_x.shape[1], of_x.shape[2..].to_vec());
        let counts: Vec<usize> = axes.iter().map(|a| a.count).collect();
        let (taps, windows) = (axes.iter().map(|a| a.taps).product(), counts.iter().product());
        let of_part = taps * axes.len();
        let stated = of_offsets.shape.get(1).copied().unwrap_or_default();
        let parts = stated.checked_div(of_part).unwrap_or_default();
        let has_shape = |shape: &[usize], of_part: usize| {
            shape.split_at_checked(2) == Some((&[batch, parts * of_part], &counts))
        };
        let fit = has_shape(&of_offsets.shape, of_part)
            && of_mask.as_ref().is_none_or(|m| has_shape(&m.shape, taps))
            && [&of_x, &of_offsets].into_iter().chain(&of_mask).all(|t| t.dtype.is_float())
            && channels.checked_rem(parts) == Some(0);
        if fit {
            return Ok(Sampling { batch, channels, parts, space, axes, taps, windows });
        }
        let mask = of_mask.map(|m| format!(" and the mask {m}")).unwrap_or_default();
        let why = format!(
            "expected floats, offsets [{batch}, n · {of_part}, windows ..] and, if there is one, a \
             mask [{batch}, n · {taps}, windows ..], for the windows {counts:?} and a number n \
             that divides the {channels} channels, got the offsets {of_offsets}{mask} for {of_x}"
        );
        Err(Error::new(OP, why))
    }

    /// Returns the sizes, if the kernel fits them.
    fn with_kernel(self, kernel: &Tensor, groups: usize) -> Result<Sampling> {
        let ty = kernel.ty()?;
        let taps: Vec<usize> = self.axes.iter().map(|a| a.taps).collect();
        let of_group = self.channels.checked_div(groups).unwrap_or_default();
        let fits = |(filters, inner): (&[usize], &[usize])| {
            filters[0].checked_rem(groups) == Some(0) && inner == [&[of_group], &taps[..]].concat()
        };
        if of_group * groups == self.channels && ty.shape.split_at_checked(1).is_some_and(fits) {
            return Ok(self);
        }
        let why = format!(
            "expected a kernel [filters, {of_group}, taps ..] with the taps {taps:?} and a number \
             of groups that divides the {} channels and the filters, got {ty} and {groups} groups",
            self.channels
        );
        Err(Error::new(OP, why))
    }

    /// Returns what the taps read in `x`, `[batch, channels, taps, windows]`.
    #[track_caller]
    fn columns(&self, x: &Tensor, offsets: &Tensor, mask: Option<&Tensor>) -> Tensor {
        let Sampling { batch, channels, parts, taps, windows, .. } = *self;
        let size: usize = self.space.iter().product();
        if size == 0 {
            return Tensor::zeros_of(x.dtype(), [batch, channels, taps, windows]);
        }
        let x = x.reshape([batch, parts, channels / parts, size]);
        let offsets = offsets.reshape([batch, parts, taps, self.axes.len(), windows]);
        let mut neighbours = vec![Neighbour { index: tensor(0), weight: tensor(1.0) }];
        let mut stride = size;
        for (i, &n) in self.space.iter().enumerate() {
            stride /= n;
            let offset = offsets.take(i as i64, 3);
            let position = (self.bases(i).to(offset.dtype()) + offset).reshape([
                batch,
                parts,
                1,
                taps * windows,
            ]);
            let both = Neighbour::around(&position, n);
            let with = |c: &Neighbour| both.each_ref().map(|b| c.and(b, stride));
            neighbours = neighbours.iter().flat_map(with).collect();
        }
        let read = neighbours.iter().map(|c| x.take_along_axis(&c.index, 3) * &c.weight);
        let sum = read.reduce(|a, b| a + b).unwrap_or_else(|| x.zeros_like());
        let factor = |mask| at_least_f32(mask).reshape([batch, parts, 1, taps * windows]);
        let masked = mask.map_or(sum.clone(), |mask| sum * factor(mask));
        masked.reshape([batch, channels, taps, windows])
    }

    /// Returns the positions along space axis `i` without offsets, `[taps, windows]`.
    #[track_caller]
    fn bases(&self, i: usize) -> Tensor {
        let all = self.axes.len();
        let taps = self.axes.iter().map(|a| a.taps);
        let shape: Vec<usize> = taps.chain(self.axes.iter().map(|a| a.count)).collect();
        let mut own = vec![1; 2 * all];
        (own[i], own[all + i]) = (shape[i], shape[all + i]);
        let positions = self.axes[i].positions() - self.axes[i].padding as i64;
        positions.reshape(own).broadcast_to(shape).reshape([self.taps, self.windows])
    }
}

/// Elements of the input next to the positions, and their weights.
struct Neighbour {
    /// The position in the space, of one element for each element of the weight.
    index: Tensor,
    weight: Tensor,
}

impl Neighbour {
    /// Returns the elements before and behind positions along an axis of `n` elements. Those
    /// outside of the axis have the weight 0; the weights of a position that is NaN are NaN.
    #[track_caller]
    fn around(position: &Tensor, n: usize) -> [Neighbour; 2] {
        let last = n as i64 - 1;
        let before = position.floor();
        let part = position - &before;
        [(before.clone(), 1.0 - &part), (before + 1.0, part)].map(|(at, weight)| {
            let is_outside = at.lt(0) | at.gt(last);
            let weight = is_outside.select(0.0, weight);
            Neighbour { index: at.clip(0, last).to(DType::I32), weight }
        })
    }

    /// Returns the elements at this position and at that of `other` along another axis, whose
    /// neighbours are `stride` elements apart.
    #[track_caller]
    fn and(&self, other: &Neighbour, stride: usize) -> Neighbour {
        let index = &self.index + &other.index * stride as i64;
        Neighbour { index, weight: &self.weight * &other.weight }
    }
}

/// The layer of [`deform_conv`], with parameters `kernel` and `bias`: torchvision's `DeformConv2d`.
/// Its inputs are `x`, offsets, and a mask if there is one.
///
/// ```
/// use neurax::prelude::*;
/// let x = nn::input("x", dims![_, 4, 8, 8]);
/// // Zeros at first, so that training starts with a plain convolution.
/// let zeros = |filters| nn::Conv::new(filters, 3).padding(1).kernel(init::zeros());
/// let (offsets, mask) = (x.layer(zeros(2 * 9)), x.layer(zeros(9)).sigmoid() * 2.0);
/// let model = nn::DeformConv::new(6, 3).padding(1).call([&x, &offsets, &mask]).model();
/// let vars = model.init(key(0), &types![f32[_, 4, 8, 8]])?;
/// let x = key(1).normal([2, 4, 8, 8]);
/// let y = model.apply(&vars, &x, &Mode::Eval).y().clone();
/// let plain = x.conv(&vars.params["deform_conv"]["kernel"], Windows::new().padding(1));
/// assert_eq!(y.allclose(plain, 1e-4, 1e-4).item()?, 1.0);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeformConv {
    filters: usize,
    windows: Unfold,
    groups: usize,
    bias: bool,
    kernel: Option<Init>,
    bias_init: Init,
}

impl DeformConv {
    /// Creates a layer with `filters` output channels and windows of `taps` elements along each
    /// space axis; one number counts for all axes. The defaults are strides of 1, no padding, no
    /// dilation, one group, a kernel that is initialized with [`init::glorot_uniform`], and a bias
    /// of zeros.
    pub fn new(filters: usize, taps: impl IntoEach) -> DeformConv {
        let (windows, bias_init) = (Unfold::new(taps), init::zeros());
        DeformConv { filters, windows, groups: 1, bias: true, kernel: None, bias_init }
    }

    /// Sets the distance between neighbouring windows.
    pub fn strides(self, strides: impl IntoEach) -> DeformConv {
        DeformConv { windows: self.windows.strides(strides), ..self }
    }

    /// Sets the number of zeros at both ends of each space axis. Offsets may move taps farther
    /// outside, where there are zeros as well.
    pub fn padding(self, padding: impl IntoEach) -> DeformConv {
        DeformConv { windows: self.windows.padding(padding), ..self }
    }

    /// Sets the distance between neighbouring elements of a window: 1 is no dilation.
    pub fn dilation(self, dilation: impl IntoEach) -> DeformConv {
        DeformConv { windows: self.windows.dilation(dilation), ..self }
    }

    /// Splits the channels into groups, each with separate filters. The parts of the channels with
    /// separate offsets are another division, which the number of offsets decides.
    pub fn groups(self, groups: usize) -> DeformConv {
        DeformConv { groups, ..self }
    }

    /// Makes the channels the last axis of inputs and output, as in Keras and JAX.
    pub fn channels_last(self) -> DeformConv {
        DeformConv { windows: self.windows.channels_last(), ..self }
    }

    /// Sets whether the layer has a bias.
    pub fn bias(self, bias: bool) -> DeformConv {
        DeformConv { bias, ..self }
    }

    /// Sets the initializer of the kernel. It scales with the fan of the kernel's layout, unless
    /// [`Init::axes`] states other axes.
    pub fn kernel(self, kernel: Init) -> DeformConv {
        DeformConv { kernel: Some(kernel), ..self }
    }

    /// Sets the initializer of the bias.
    pub fn bias_init(self, bias_init: Init) -> DeformConv {
        DeformConv { bias_init, ..self }
    }

    #[track_caller]
    fn convolved(
        &self,
        cx: &mut Cx,
        x: &Tensor,
        offsets: &Tensor,
        mask: Option<&Tensor>,
    ) -> Tensor {
        let last = self.windows.is_channels_last();
        let layout = if last { Windows::new().channels_last() } else { Windows::new() };
        if let Some(e) = input_error(OP, x, self.groups, self.filters, &layout) {
            return Tensor::from_error(e);
        }
        let of_group = channels_of(x, &layout).checked_div(self.groups).unwrap_or_default();
        let shape = kernel_shape(x, self.windows.taps(), [self.filters, of_group], &layout);
        let kernel = cx.param("kernel", shape, kernel_init(self.kernel.as_ref(), &layout));
        let bias = self.bias.then(|| cx.param("bias", self.filters, self.bias_init.clone()));
        let first = |x: &Tensor| match last && x.rank() >= 2 {
            true => x.move_axis(-1, 1),
            false => x.clone(),
        };
        let kernel = match last {
            true => kernel.move_axis(-1, 0).move_axis(-1, 1),
            false => kernel,
        };
        let (offsets, mask) = (first(offsets), mask.map(first));
        channels_first(x, last, |x| {
            let (mask, bias) = (mask.as_ref(), bias.as_ref());
            deform_conv(x, &offsets, mask, &kernel, bias, self.groups, &self.windows)
        })
    }
}

impl Layer<2> for DeformConv {
    const NAME: &'static str = OP;
    type Output = Tensor;

    fn apply(&self, cx: &mut Cx, [x, offsets]: [Tensor; 2]) -> Tensor {
        self.convolved(cx, &x, &offsets, None)
    }
}

impl Layer<3> for DeformConv {
    const NAME: &'static str = OP;
    type Output = Tensor;

    fn apply(&self, cx: &mut Cx, [x, offsets, mask]: [Tensor; 3]) -> Tensor {
        self.convolved(cx, &x, &offsets, Some(&mask))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::{TypeSpec, dims, key, types};

    fn check_two(layer: DeformConv, types: &[TypeSpec; 2]) -> Result<()> {
        check::nodes(|x: [_; 2]| layer.call(x), types)
    }

    #[test]
    fn is_a_layer() {
        check_two(DeformConv::new(2, 2), &types![f32[2, 3, 4], f32[2, 2, 3]]).unwrap();
        let strided = DeformConv::new(4, [3, 2]).strides([2, 1]).padding([1, 0]).groups(2);
        check_two(strided.bias(false), &types![f32[1, 4, 4, 4], f32[1, 24, 2, 3]]).unwrap();
        let dilated = DeformConv::new(2, 2).dilation(2).channels_last();
        let types = types![f32[2, 4, 3, 2], f32[2, 2, 1, 8], f32[2, 2, 1, 4]];
        check::nodes(|x: [_; 3]| dilated.call(x), &types).unwrap();
        let space = DeformConv::new(1, [1, 2, 1]);
        check_two(space, &types![f32[1, 1, 2, 3, 2], f32[1, 6, 2, 2, 2]]).unwrap();
    }

    #[test]
    fn whole_offsets_move_the_windows_and_zeros_are_outside() {
        let x = key(0).normal([2, 2, 5, 4]);
        let kernel = key(1).normal([3, 2, 2, 2]);
        let windows = Unfold::new(2).padding(1);
        let shape = [2, 8, 6, 5];
        let conv = |offsets: &Tensor, mask: Option<&Tensor>| {
            deform_conv(&x, offsets, mask, &kernel, None, 1, &windows)
        };
        let near = |a: &Tensor, b: &Tensor| {
            assert_eq!(a.allclose(b, 1e-5, 1e-5).item().unwrap(), 1.0, "{a} {b}");
        };
        let plain = x.conv(&kernel, Windows::new().padding(1));
        near(&conv(&Tensor::zeros(shape), None), &plain);
        let moved = x.conv(&kernel, Windows::new().padding([(0, 2), (0, 2)]));
        near(&conv(&Tensor::ones(shape), None), &moved);
        near(&conv(&Tensor::full(shape, 1e9), None), &plain.zeros_like());
        near(&conv(&Tensor::full(shape, -3e38), None), &plain.zeros_like());
        let half = Tensor::full([2, 4, 6, 5], 0.5);
        near(&conv(&Tensor::zeros(shape), Some(&half)), &(plain * 0.5));
        let unknown = conv(&Tensor::full(shape, f64::NAN), None);
        assert!(unknown.to_vec::<f32>().unwrap().iter().all(|y| y.is_nan()), "{unknown}");
    }

    #[test]
    fn channels_last_is_the_same_layer() {
        let inputs = [[2, 4, 5, 4], [2, 16, 6, 5], [2, 8, 6, 5]].map(|shape| key(0).normal(shape));
        let run = |layer: DeformConv, inputs: [Tensor; 3], kernel: &Tensor| {
            let nodes = ["x", "offsets", "mask"].map(|name| crate::input(name, dims![_, _, _, _]));
            let model = layer.padding(1).groups(2).bias(false).call(nodes).model();
            let types = inputs.each_ref().map(|x| TypeSpec::from(&x.ty().unwrap()));
            let mut vars = model.init(key(1), &types).unwrap();
            vars.set("deform_conv.kernel", kernel.clone()).unwrap();
            model.apply(&vars, inputs, &crate::Mode::Eval).y().clone()
        };
        let kernel = key(2).normal([6, 2, 2, 2]);
        let want = run(DeformConv::new(6, 2), inputs.clone(), &kernel);
        let inputs = inputs.map(|x| x.move_axis(1, -1));
        let kernel = kernel.move_axis(1, -1).move_axis(0, -1);
        let found = run(DeformConv::new(6, 2).channels_last(), inputs, &kernel).move_axis(-1, 1);
        assert_eq!(found.allclose(&want, 1e-6, 1e-6).item().unwrap(), 1.0, "{found} {want}");
    }

    #[test]
    fn positions_of_narrow_floats_are_f32() {
        // f16 has no number between 2000 and 2001.
        let x = Tensor::arange(3000).remainder(2).to(DType::F16).reshape([1, 1, 3000]);
        let kernel = Tensor::ones([1, 1, 1]).to(DType::F16);
        let offsets = Tensor::full([1, 1, 3000], 0.5).to(DType::F16);
        let y = deform_conv(&x, &offsets, None, &kernel, None, 1, &Unfold::new(1));
        assert_eq!(y.dtype(), DType::F16);
        let y = y.to(DType::F32).to_vec::<f32>().unwrap();
        assert_eq!(y[2000..2003], [0.5; 3]);
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors() {
        let message = |layer: DeformConv, types: &[TypeSpec; 2]| {
            check_two(layer, types).unwrap_err().to_string()
        };
        let e = message(DeformConv::new(2, 2), &types![f32[1, 3, 4], f32[1, 3, 3]]);
        assert!(e.contains("offsets [1, n · 2, windows ..]") && e.contains("[3]"), "{e}");
        let e = message(DeformConv::new(2, 2), &types![f32[1, 3, 4], f32[1, 4, 3]]);
        assert!(e.contains("divides the 3 channels, got the offsets f32[1, 4, 3]"), "{e}");
        let e = message(DeformConv::new(2, 2).groups(2), &types![f32[1, 3, 4], f32[1, 2, 3]]);
        assert!(e.contains("groups that divides the 3 channels"), "{e}");
        let e = message(DeformConv::new(2, 5), &types![f32[1, 3, 4], f32[1, 2, 3]]);
        assert!(e.contains("windows that fit"), "{e}");
        let e = message(DeformConv::new(2, 2), &types![f32[1, 3, 4], i32[1, 2, 3]]);
        assert!(e.contains("expected floats"), "{e}");
        let (x, offsets) = (Tensor::ones([1, 2, 4]), Tensor::zeros([1, 2, 3]));
        let with = |kernel: &Tensor| {
            deform_conv(&x, &offsets, None, kernel, None, 1, &Unfold::new(2))
                .error()
                .map(|e| e.to_string())
                .unwrap()
        };
        let e = with(&Tensor::ones([1, 2, 3]));
        assert!(e.contains("expected a kernel [filters, 2, taps ..]"), "{e}");
        let mask = Tensor::ones([1, 1, 3]);
        let y = deform_conv(
            &x,
            &offsets,
            Some(&mask),
            &Tensor::ones([1, 2, 2]),
            None,
            1,
            &Unfold::new(2),
        );
        let e = y.error().map(|e| e.to_string()).unwrap();
        assert!(e.contains("and the mask f32[1, 1, 3]"), "{e}");
    }
}
