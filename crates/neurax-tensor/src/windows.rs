//! The options of sliding windows: [`Windows`] and [`Padding`].

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
    dilation: Vec<usize>,
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
    pub fn new() -> Windows {
        Windows {
            strides: vec![],
            padding: Padding::Valid,
            dilation: vec![1],
            groups: 1,
            channels_last: false,
        }
    }

    /// Sets the distance between neighbouring windows, in elements.
    pub fn strides(self, strides: impl IntoEach) -> Windows {
        Windows { strides: strides.each(), ..self }
    }

    /// Sets the padding: [`Padding::Same`], [`Padding::Valid`], a number for both ends of all axes,
    /// or pairs `[(before, after)]`.
    pub fn padding(self, padding: impl Into<Padding>) -> Windows {
        Windows { padding: padding.into(), ..self }
    }

    /// Sets the distance between neighbouring taps of a window, in elements: 1 is no dilation.
    pub fn dilation(self, dilation: impl IntoEach) -> Windows {
        Windows { dilation: dilation.each(), ..self }
    }

    /// Sets the number of groups into which the channels are split, each with separate kernels. The
    /// number of channels makes a depthwise convolution. For convolutions only.
    pub fn groups(self, groups: usize) -> Windows {
        Windows { groups, ..self }
    }

    /// Makes the channels the last axis, as in Keras and JAX: tensors are `[batch, space ..,
    /// channels]`, kernels `[taps .., channels of a group, channels of the result]`.
    pub fn channels_last(self) -> Windows {
        Windows { channels_last: true, ..self }
    }

    /// Returns true if the channels are the last axis: see [`Windows::channels_last`].
    pub fn is_channels_last(&self) -> bool {
        self.channels_last
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
        let (strides, dilation) = (
            per_axis("strides", stated, space.len())?,
            per_axis("dilation", &self.dilation, space.len())?,
        );
        let ends = match &self.padding {
            Padding::Each(ends) => per_axis("padding", ends, space.len())?,
            Padding::Valid => vec![(0, 0); space.len()],
            Padding::Same => (0..space.len())
                .map(|i| same_padding(space[i], taps[i], strides[i], dilation[i]))
                .collect(),
        };
        let slide = |i: usize| Slide {
            stride: strides[i],
            low: ends[i].0,
            high: ends[i].1,
            base_dilation: 1,
            window_dilation: dilation[i],
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
        let transpose = |(i, s): (usize, &Slide)| {
            let reach =
                (taps[i].saturating_sub(1)).saturating_mul(s.window_dilation).min(1 << 60) as i64;
            let (low, mut high) = (reach.saturating_sub(s.low), reach.saturating_sub(s.high));
            if self.padding == Padding::Same {
                let dilated =
                    (space[i].saturating_sub(1)).saturating_mul(s.stride).min(1 << 60) as i64 + 1;
                high = outputs[i].min(1 << 60) as i64 + reach - low - dilated;
            }
            Slide {
                stride: 1,
                low,
                high,
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

/// Returns the padding before and after an axis of `n` elements for [`Padding::Same`].
fn same_padding(n: usize, taps: usize, stride: usize, dilation: usize) -> (i64, i64) {
    if n == 0 {
        return (0, 0);
    }
    let reach =
        |n: usize, step: usize| n.saturating_sub(1).saturating_mul(step).min(1 << 60) as i64 + 1;
    let windows = n.div_ceil(stride.max(1));
    let missing =
        (reach(windows, stride) + reach(taps, dilation) - 1 - n.min(1 << 60) as i64).max(0);
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
