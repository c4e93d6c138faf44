//! How users say the way windows slide: [`Windows`] and [`Padding`].

use neurax_ir::op::Slide;

/// What is added at the ends of every space axis before windows slide over it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Padding {
    /// Nothing: every window lies on entries.
    #[default]
    Valid,
    /// As much as gives one window for each stride begun: with a stride of 1, as many as there are
    /// entries. Of an odd number, the larger part is at the end, as in Keras and JAX.
    Same,
    /// So much before and after every space axis, or one pair for all of them; negative numbers
    /// cut.
    Each(Vec<(i64, i64)>),
}

impl From<usize> for Padding {
    /// That much at both ends of every space axis.
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
    note = "give one number for all space axes, e.g. `2`, or one for each, e.g. `[2, 1]`"
)]
pub trait IntoEach {
    /// One number, or one for each space axis.
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

/// How windows slide over a tensor: the options of [`crate::Tensor::conv`],
/// [`crate::Tensor::max_pool`] and their kin. What is not said is a stride of 1 (pools: their
/// size), no padding, no dilation, one group, and channels in front of the space axes.
///
/// ```
/// use neurax::prelude::*;
/// let (x, kernel) = (Tensor::ones([1, 3, 28, 28]), Tensor::ones([8, 3, 5, 5]));
/// let y = x.conv(&kernel, Windows::new().strides(2).padding(Padding::Same));
/// assert_eq!(y.shape(), [1, 8, 14, 14]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
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
    /// The options when nothing is said.
    pub fn new() -> Windows {
        Windows {
            strides: vec![],
            padding: Padding::Valid,
            dilation: vec![1],
            groups: 1,
            channels_last: false,
        }
    }

    /// How far it is from one window to the next.
    pub fn strides(self, strides: impl IntoEach) -> Windows {
        Windows { strides: strides.each(), ..self }
    }

    /// What is added at the ends: [`Padding::Same`], [`Padding::Valid`], a number for both ends of
    /// all axes, or pairs `[(before, after)]`.
    pub fn padding(self, padding: impl Into<Padding>) -> Windows {
        Windows { padding: padding.into(), ..self }
    }

    /// How far it is from one tap of a window to the next: 1 where they are neighbours.
    pub fn dilation(self, dilation: impl IntoEach) -> Windows {
        Windows { dilation: dilation.each(), ..self }
    }

    /// How many parts the channels fall into, each with kernels of its own; as many as there are
    /// channels for a depthwise convolution. For convolutions only.
    pub fn groups(self, groups: usize) -> Windows {
        Windows { groups, ..self }
    }

    /// The channels are the last axis, as in Keras and JAX: tensors are `[batch, space ..,
    /// channels]`, kernels `[taps .., channels of a group, channels of the result]`.
    pub fn channels_last(self) -> Windows {
        Windows { channels_last: true, ..self }
    }

    /// How windows of those taps slide over space axes of those sizes.
    pub(crate) fn slides(
        &self,
        space: &[usize],
        taps: &[usize],
        strides: &[usize],
    ) -> Result<Vec<Slide>, String> {
        let stated = if self.strides.is_empty() { strides } else { &self.strides };
        let (strides, dilation) = (
            one_each("strides", stated, space.len())?,
            one_each("dilation", &self.dilation, space.len())?,
        );
        let ends = match &self.padding {
            Padding::Each(ends) => one_each("padding", ends, space.len())?,
            Padding::Valid => vec![(0, 0); space.len()],
            Padding::Same => {
                (0..space.len()).map(|i| same(space[i], taps[i], strides[i], dilation[i])).collect()
            }
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

    /// The windows of the transposed convolution: how many entries each axis then has, and how a
    /// kernel slides over what is given.
    pub(crate) fn transposed(&self, given: &[usize], taps: &[usize]) -> Result<Vec<Slide>, String> {
        let strides = if self.strides.is_empty() { &[1][..] } else { &self.strides };
        let strides = one_each("strides", strides, given.len())?;
        // What a convolution with `Same` padding would have made this from is as many strides long.
        let space: Vec<usize> =
            given.iter().zip(&strides).map(|(n, s)| n.saturating_mul(*s)).collect();
        let forward = self.slides(&space, taps, &strides)?;
        let back = |(i, s): (usize, &Slide)| {
            let long =
                (taps[i].saturating_sub(1)).saturating_mul(s.window_dilation).min(1 << 60) as i64;
            let (low, mut high) = (long.saturating_sub(s.low), long.saturating_sub(s.high));
            if self.padding == Padding::Same {
                let laid_out =
                    (given[i].saturating_sub(1)).saturating_mul(s.stride).min(1 << 60) as i64 + 1;
                high = space[i].min(1 << 60) as i64 + long - low - laid_out;
            }
            Slide {
                stride: 1,
                low,
                high,
                base_dilation: s.stride,
                window_dilation: s.window_dilation,
            }
        };
        Ok(forward.iter().enumerate().map(back).collect())
    }
}

/// One value for each space axis.
pub(crate) fn one_each<T: Copy + std::fmt::Debug>(
    what: &str,
    values: &[T],
    axes: usize,
) -> Result<Vec<T>, String> {
    match values {
        [one] => Ok(vec![*one; axes]),
        all if all.len() == axes => Ok(all.to_vec()),
        all => Err(format!(
            "{what} {all:?}: there are {axes} space axes; give one value for all or one for each"
        )),
    }
}

/// What is added at both ends for `Same`.
fn same(n: usize, taps: usize, stride: usize, dilation: usize) -> (i64, i64) {
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
    fn same_gives_one_window_for_each_stride_begun_and_back() {
        for n in 1..9 {
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
    fn one_number_or_one_for_each_axis() {
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
                .contains("strides [1, 2, 3]: there are 2 space axes; give one value for all")
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
