//! The options of sliding windows: [`Windows`] and [`Padding`].

use crate::PadMode;
use neurax_ir::op::Slide;

/// The padding at the ends of every space axis.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// No padding: every window lies within the input.
    #[default]
    Valid,
    /// Padding such that the output size is the input size divided by the stride, rounded up: with
    /// a stride of 1 the size stays. An odd amount is larger at the end, as in Keras and JAX.
    Same,
    /// Padding before each space axis alone, by the reach of the window: an output depends on no
    /// element behind its own position, as in Keras (there for one space axis).
    Causal,
    /// The amounts before and after each space axis in elements, or one pair for all axes. Negative
    /// amounts crop.
    Each(Vec<(i64, i64)>),
}

impl From<usize> for Padding {
    /// Pads both ends of every space axis by `n` elements.
    fn from(n: usize) -> Padding {
        let n = i64::try_from(n).unwrap_or(i64::MAX);
        Padding::Each(vec![(n, n)])
    }
}

impl<const N: usize> From<[(i64, i64); N]> for Padding {
    fn from(ends: [(i64, i64); N]) -> Padding {
        Padding::Each(ends.to_vec())
    }
}

/// One number for all space axes (`2`), or one for each (`[2, 1]`).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a size for each space axis",
    note = "expected one number for all space axes, e.g. `2`, or one for each, e.g. `[2, 1]`"
)]
pub trait IntoEach {
    /// Returns one number for all space axes, or one for each.
    fn each(self) -> Vec<usize>;
}

impl IntoEach for usize {
    fn each(self) -> Vec<usize> {
        vec![self]
    }
}

impl<const N: usize> IntoEach for [usize; N] {
    fn each(self) -> Vec<usize> {
        self.to_vec()
    }
}

impl IntoEach for &[usize] {
    fn each(self) -> Vec<usize> {
        self.to_vec()
    }
}

impl IntoEach for Vec<usize> {
    fn each(self) -> Vec<usize> {
        self
    }
}

/// The options of sliding windows in [`crate::Tensor::conv`], [`crate::Tensor::max_pool`] and
/// related functions. The defaults are a stride of 1 (pools: the window size), no padding, no
/// dilation, one group, and channels in front of the space axes.
///
/// ```
/// use neurax::prelude::*;
/// let (x, kernel) = (Tensor::ones([1, 3, 28, 28]), Tensor::ones([8, 3, 5, 5]));
/// let y = x.conv(&kernel, Windows::new().strides(2).padding(Padding::Same));
/// assert_eq!(y.shape(), [1, 8, 14, 14]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Windows {
    /// Empty for the default.
    strides: Vec<usize>,
    padding: Padding,
    pub(crate) padding_mode: Option<PadMode>,
    dilation: Vec<usize>,
    input_dilation: Vec<usize>,
    output_padding: Vec<usize>,
    ceil_mode: bool,
    pub(crate) count_padding: bool,
    pub(crate) groups: usize,
    pub(crate) channels_last: bool,
}

impl Default for Windows {
    fn default() -> Windows {
        Windows::new()
    }
}

impl Windows {
    /// Creates the default options.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (x, kernel) = (Tensor::ones([1, 1, 5]), Tensor::ones([1, 1, 3]));
    /// assert_eq!(x.conv(&kernel, Windows::new()).to_vec::<f32>()?, [3.0, 3.0, 3.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new() -> Windows {
        Windows {
            strides: vec![],
            padding: Padding::Valid,
            padding_mode: None,
            dilation: vec![1],
            input_dilation: vec![1],
            output_padding: vec![0],
            ceil_mode: false,
            count_padding: false,
            groups: 1,
            channels_last: false,
        }
    }

    /// Sets the distance between neighbouring windows, in elements.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (x, kernel) = (Tensor::ones([1, 1, 5]), Tensor::ones([1, 1, 3]));
    /// assert_eq!(x.conv(&kernel, Windows::new().strides(2)).to_vec::<f32>()?, [3.0, 3.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn strides(self, strides: impl IntoEach) -> Windows {
        Windows { strides: strides.each(), ..self }
    }

    /// Sets the padding: [`Padding::Same`], [`Padding::Valid`], a number for both ends of all axes,
    /// or pairs `[(before, after)]`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (x, kernel) = (Tensor::ones([1, 1, 5]), Tensor::ones([1, 1, 3]));
    /// let y = x.conv(&kernel, Windows::new().padding(1));
    /// assert_eq!(y.to_vec::<f32>()?, [2.0, 3.0, 3.0, 3.0, 2.0]);
    /// let y = x.conv(&kernel, Windows::new().padding([(2, 0)]));
    /// assert_eq!(y.to_vec::<f32>()?, [1.0, 2.0, 3.0, 3.0, 3.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn padding(self, padding: impl Into<Padding>) -> Windows {
        Windows { padding: padding.into(), ..self }
    }

    /// Pads with elements of the input itself instead of zeros. For [`crate::Tensor::conv`] only.
    ///
    /// ```
    /// use neurax::{PadMode, prelude::*};
    /// let (x, kernel) = (tensor([[[1.0, 2.0, 3.0]]]), Tensor::ones([1, 1, 3]));
    /// let y = x.conv(&kernel, Windows::new().padding(1).padding_mode(PadMode::Wrap));
    /// assert_eq!(y.to_vec::<f32>()?, [6.0, 6.0, 6.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn padding_mode(self, mode: PadMode) -> Windows {
        Windows { padding_mode: Some(mode), ..self }
    }

    /// Sets the distance between neighbouring elements of the input, between which zeros are
    /// inserted before padding: 1 is no dilation. For [`crate::Tensor::conv`] only.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (x, kernel) = (tensor([[[1.0, 2.0]]]), Tensor::ones([1, 1, 2]));
    /// let y = x.conv(&kernel, Windows::new().input_dilation(3));
    /// assert_eq!(y.to_vec::<f32>()?, [1.0, 0.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn input_dilation(self, dilation: impl IntoEach) -> Windows {
        Windows { input_dilation: dilation.each(), ..self }
    }

    /// Sets the number of further elements at the end of each axis of the result of
    /// [`crate::Tensor::conv_transpose`], as in PyTorch: with a stride, a convolution makes results
    /// of one size from inputs of several sizes. It must be below the stride or the dilation.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (x, kernel) = (Tensor::ones([1, 1, 2]), Tensor::ones([1, 1, 3]));
    /// let y = x.conv_transpose(&kernel, Windows::new().strides(2).output_padding(1));
    /// assert_eq!(y.to_vec::<f32>()?, [1.0, 1.0, 2.0, 1.0, 1.0, 0.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn output_padding(self, padding: impl IntoEach) -> Windows {
        Windows { output_padding: padding.each(), ..self }
    }

    /// Keeps a last window that reaches beyond the input and its padding, if it begins within the
    /// input or the padding before it: the number of windows is rounded up, as with `ceil_mode` in
    /// PyTorch. For pools only.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[[1.0, 2.0, 3.0]]]);
    /// assert_eq!(x.max_pool(2, Windows::new().ceil_mode()).to_vec::<f32>()?, [2.0, 3.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn ceil_mode(self) -> Windows {
        Windows { ceil_mode: true, ..self }
    }

    /// Undoes [`Windows::ceil_mode`].
    pub(crate) fn without_ceil_mode(self) -> Windows {
        Windows { ceil_mode: false, ..self }
    }

    /// Counts padding as zeros in the means of [`crate::Tensor::avg_pool`], as PyTorch does by
    /// default. What [`Windows::ceil_mode`] adds at the end is not counted.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (x, options) = (Tensor::ones([1, 1, 3]), Windows::new().padding(1));
    /// assert_eq!(x.avg_pool(2, options.clone()).to_vec::<f32>()?, [1.0, 1.0]);
    /// assert_eq!(x.avg_pool(2, options.count_padding()).to_vec::<f32>()?, [0.5, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn count_padding(self) -> Windows {
        Windows { count_padding: true, ..self }
    }

    /// Sets the distance between neighbouring taps of a window, in elements: 1 is no dilation.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[[1.0, 2.0, 4.0, 8.0, 16.0]]]);
    /// let y = x.conv(&Tensor::ones([1, 1, 3]), Windows::new().dilation(2));
    /// assert_eq!(y.to_vec::<f32>()?, [21.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn dilation(self, dilation: impl IntoEach) -> Windows {
        Windows { dilation: dilation.each(), ..self }
    }

    /// Sets the number of groups into which the channels are split, each with separate kernels. The
    /// number of channels makes a depthwise convolution. For convolutions only.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[[1.0, 2.0], [10.0, 20.0]]]);
    /// let y = x.conv(&Tensor::ones([2, 1, 2]), Windows::new().groups(2));
    /// assert_eq!(y.to_vec::<f32>()?, [3.0, 30.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn groups(self, groups: usize) -> Windows {
        Windows { groups, ..self }
    }

    /// Makes the channels the last axis, as in Keras and JAX: tensors are `[batch, space ..,
    /// channels]`, kernels `[taps .., channels of a group, channels of the result]`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (x, kernel) = (Tensor::ones([1, 28, 28, 3]), Tensor::ones([5, 5, 3, 8]));
    /// assert_eq!(x.conv(&kernel, Windows::new().channels_last()).shape(), [1, 24, 24, 8]);
    /// ```
    pub fn channels_last(self) -> Windows {
        Windows { channels_last: true, ..self }
    }

    /// Returns true if the channels are the last axis: see [`Windows::channels_last`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert!(Windows::new().channels_last().is_channels_last());
    /// assert!(!Windows::new().is_channels_last());
    /// ```
    pub fn is_channels_last(&self) -> bool {
        self.channels_last
    }

    /// Returns the name of an option that is set but not used by an operation, and the operations
    /// that use it; `used` are the names of those that the operation uses.
    pub(crate) fn unused(&self, used: &[&str]) -> Option<(&'static str, &'static str)> {
        let all = [
            ("groups", "convolutions", self.groups != 1),
            ("padding_mode", "plain convolutions", self.padding_mode.is_some()),
            ("input_dilation", "plain convolutions", self.input_dilation.iter().any(|&n| n != 1)),
            ("output_padding", "transposed convolutions", self.output_padding != [0]),
            ("ceil_mode", "pools", self.ceil_mode),
            ("count_padding", "average pools", self.count_padding),
        ];
        let is_unused = |(name, _, is_set): &(&str, &str, bool)| *is_set && !used.contains(name);
        all.into_iter().find(is_unused).map(|(name, users, _)| (name, users))
    }

    /// Returns the slide of each space axis, for axes of sizes `space`, windows of `taps` taps, and
    /// the default `strides`.
    ///
    /// # Errors
    /// When an option has neither one value nor one for each axis.
    pub(crate) fn slides(
        &self,
        space: &[usize],
        taps: &[usize],
        strides: &[usize],
    ) -> Result<Vec<Slide>, String> {
        let stated = if self.strides.is_empty() { strides } else { &self.strides };
        let (strides, dilation, base) = (
            per_axis("strides", stated, space.len())?,
            per_axis("dilation", &self.dilation, space.len())?,
            per_axis("input dilation", &self.input_dilation, space.len())?,
        );
        let ends = match &self.padding {
            Padding::Each(ends) => per_axis("padding", ends, space.len())?,
            Padding::Valid => vec![(0, 0); space.len()],
            Padding::Same => (0..space.len())
                .map(|i| same_padding(dilated(space[i], base[i]), taps[i], strides[i], dilation[i]))
                .collect(),
            Padding::Causal => (0..space.len()).map(|i| (reach(taps[i], dilation[i]), 0)).collect(),
        };
        let slide = |i: usize| {
            let (low, mut high) = ends[i];
            if self.ceil_mode {
                high += rounded_up(space[i], reach(taps[i], dilation[i]), strides[i], ends[i]);
            }
            let (stride, window_dilation) = (strides[i], dilation[i]);
            Slide { stride, low, high, base_dilation: base[i], window_dilation }
        };
        Ok((0..space.len()).map(slide).collect())
    }

    /// Returns the slides of the transposed convolution over an input of sizes `space`: its strides
    /// dilate the input, and its padding is what the forward windows of the output leave over.
    ///
    /// # Errors
    /// As [`Windows::slides`].
    pub(crate) fn transposed(&self, space: &[usize], taps: &[usize]) -> Result<Vec<Slide>, String> {
        let strides = if self.strides.is_empty() { &[1][..] } else { &self.strides };
        let strides = per_axis("strides", strides, space.len())?;
        // A forward convolution with `Same` padding makes this input from one of these sizes.
        let outputs: Vec<usize> =
            space.iter().zip(&strides).map(|(n, s)| n.saturating_mul(*s)).collect();
        let forward = self.slides(&outputs, taps, &strides)?;
        let extra = per_axis("output padding", &self.output_padding, space.len())?;
        if let Some((n, s)) = extra
            .iter()
            .zip(&forward)
            .find(|(n, s)| **n > 0 && **n >= s.stride.max(s.window_dilation))
        {
            let largest = s.stride.max(s.window_dilation);
            return Err(format!(
                "expected an output padding below the stride or the dilation, {largest}, got {n}"
            ));
        }
        let transpose = |(i, s): (usize, &Slide)| {
            let reach = reach(taps[i], s.window_dilation);
            let (low, mut high) = (reach.saturating_sub(s.low), reach.saturating_sub(s.high));
            if self.padding == Padding::Same {
                let dilated =
                    (space[i].saturating_sub(1)).saturating_mul(s.stride).min(1 << 60) as i64 + 1;
                high = outputs[i].min(1 << 60) as i64 + reach - low - dilated;
            }
            Slide {
                stride: 1,
                low,
                high: high.saturating_add(extra[i] as i64),
                base_dilation: s.stride,
                window_dilation: s.window_dilation,
            }
        };
        Ok(forward.iter().enumerate().map(transpose).collect())
    }
}

/// Returns one value for each of `axes` space axes; a single value is repeated.
///
/// # Errors
/// When there is another number of `values`; the message calls them `what`.
pub(crate) fn per_axis<T: Copy + std::fmt::Debug>(
    what: &str,
    values: &[T],
    axes: usize,
) -> Result<Vec<T>, String> {
    match values {
        [one] => Ok(vec![*one; axes]),
        all if all.len() == axes => Ok(all.to_vec()),
        all => Err(format!(
            "{what} {all:?}: expected one value for all {axes} space axes or one for each"
        )),
    }
}

/// Returns the distance from the first to the last tap of a window.
fn reach(taps: usize, dilation: usize) -> i64 {
    taps.saturating_sub(1).saturating_mul(dilation).min(1 << 60) as i64
}

/// Returns the size of an axis of `n` elements after zeros are inserted between them.
fn dilated(n: usize, dilation: usize) -> usize {
    if n == 0 { 0 } else { reach(n, dilation) as usize + 1 }
}

/// Returns the further padding after an axis of `n` elements that rounds the number of windows up.
/// PyTorch drops a window that would begin behind the input and the padding before it.
fn rounded_up(n: usize, reach: i64, stride: usize, (low, high): (i64, i64)) -> i64 {
    let n = n.min(1 << 60) as i64;
    let (stride, free) = (stride.clamp(1, 1 << 60) as i64, n + low + high - reach - 1);
    let rest = free.rem_euclid(stride);
    let start = free - rest + stride;
    if free >= 0 && rest > 0 && start < n + low { stride - rest } else { 0 }
}

/// Returns the padding before and after an axis of `n` elements for [`Padding::Same`].
fn same_padding(n: usize, taps: usize, stride: usize, dilation: usize) -> (i64, i64) {
    if n == 0 {
        return (0, 0);
    }
    let windows = n.div_ceil(stride.max(1));
    let missing =
        (reach(windows, stride) + reach(taps, dilation) + 1 - n.min(1 << 60) as i64).max(0);
    (missing / 2, missing - missing / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tensor;

    #[test]
    fn same_padding_divides_by_the_stride_and_transposes_back() {
        for n in 0..9 {
            for taps in 1..5 {
                for (stride, dilation) in [(1, 1), (2, 1), (3, 1), (4, 1), (1, 2), (2, 2)] {
                    let options =
                        Windows::new().strides(stride).dilation(dilation).padding(Padding::Same);
                    let kernel = Tensor::ones([1, 1, taps]);
                    let y = Tensor::ones([1, 1, n]).conv(&kernel, options.clone());
                    assert_eq!(
                        y.shape(),
                        [1, 1, n.div_ceil(stride)],
                        "{n} {taps} {stride} {dilation}"
                    );
                    assert_eq!(
                        y.conv_transpose(&kernel, options).shape(),
                        [1, 1, n.div_ceil(stride) * stride],
                        "{n} {taps} {stride} {dilation}"
                    );
                }
            }
        }
    }

    #[test]
    fn options_take_one_number_or_one_for_each_axis() {
        let x = Tensor::ones([1, 2, 6, 6]);
        let pool = |options: Windows| x.max_pool([2, 3], options);
        assert_eq!(pool(Windows::new()).shape(), [1, 2, 3, 2], "the strides are the sizes");
        assert_eq!(pool(Windows::new().strides(1).padding(1)).shape(), [1, 2, 7, 6]);
        assert_eq!(
            pool(Windows::new().strides([2, 1]).padding([(0, 1), (-1, 0)])).shape(),
            [1, 2, 3, 3]
        );
        assert_eq!(x.max_pool(2, Windows::new().channels_last()).shape(), [1, 1, 3, 6]);
    }

    #[test]
    fn errors_say_what_to_do() {
        let x = Tensor::ones([1, 3, 8, 8]);
        let say = |y: Tensor| y.error().unwrap().to_string();
        let kernel = Tensor::ones([4, 3, 3, 3]);
        assert!(
            say(x.conv(&kernel, Windows::new().strides([1, 2, 3])))
                .contains("strides [1, 2, 3]: expected one value for all 2 space axes or one")
        );
        assert!(
            say(x.conv(&Tensor::ones([4, 3, 3]), Windows::new())).contains(
                "expected a kernel with two axes for channels and one for each space axis"
            )
        );
        assert!(
            say(x.conv(&kernel, Windows::new().strides(usize::MAX).padding(Padding::Same)))
                .contains("too far")
        );
        assert!(
            say(x.conv_transpose(&kernel, Windows::new()))
                .contains("expected 3 channels in the kernel")
        );
        assert!(
            say(x.conv_transpose(&Tensor::ones([3, 1, 2, 2]), Windows::new().groups(2)))
                .contains("expected a number of channels that is a multiple of 2 groups")
        );
        assert!(
            say(x.max_pool(2, Windows::new().groups(3))).contains("only convolutions have groups")
        );
        assert!(say(x.avg_pool(0, Windows::new())).contains("at least 1"));
    }
}
