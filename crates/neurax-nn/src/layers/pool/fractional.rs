//! Pooling by a factor that is no integer, over regions that are drawn at random.
//!
//! An axis of `n` elements is reduced to `m` by windows of `k` elements, whose starts are
//! `⌊(i + u) a⌋ - ⌊u a⌋` with `a = (n - k) / (m - 1)` and a random number `u` in `[0, 1)`; the last
//! window ends with the axis. The distances of neighbouring starts are `⌊a⌋` and `⌈a⌉` in an order
//! that `u` decides: the pseudorandom sequences of Graham, Fractional Max-Pooling
//! (<https://arxiv.org/abs/1412.6071>), in the form of PyTorch, where `n = 5`, `m = 3`, `k = 2` and
//! `u = 0.5` give the starts `0, 2, 3`. Each example and channel has other numbers.
//!
//! Windows are products of intervals, so one axis is reduced after the other.

use crate::layers::axes::{channels_first, describe};
use crate::{Cx, Layer};
use neurax_tensor::{DType, Error, IntoEach, Tensor};
use serde::{Deserialize, Serialize};

/// The random number of all axes in evaluation mode.
const EVALUATION_SAMPLE: f64 = 0.5;

/// Computes the maximum of windows of `sizes` elements whose starts are drawn at random: `x` is
/// `[batch, channels, space ..]`, the result `[batch, channels, outputs ..]`. `samples`, `[batch,
/// channels, axes]`, has a number in `[0, 1)` for each space axis of each channel: in two
/// dimensions, PyTorch's `_random_samples` in the order of the axes, which is reversed there.
///
/// # Errors
/// The result carries an error if `sizes` and `outputs` do not have a number of at least 1 for each
/// space axis, one number counting for all, if an axis of `n` elements has fewer than `outputs +
/// sizes - 1`, or if `samples` has another shape.
///
/// ```
/// use neurax::prelude::*;
/// let x = tensor([[[3.0, 1.0, 2.0, 5.0, 4.0]]]);
/// let y = nn::layers::fractional_max_pool(&x, &[2], &[3], &tensor([[[0.5]]]));
/// assert_eq!(y.to_vec::<f32>()?, [3.0, 5.0, 5.0]); // elements 0 1, 2 3 and 3 4
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn fractional_max_pool(
    x: &Tensor,
    sizes: &[usize],
    outputs: &[usize],
    samples: &Tensor,
) -> Tensor {
    let axes = match fractional_axes(x, sizes, outputs) {
        Ok(axes) => axes,
        Err(e) => return Tensor::from_error(e),
    };
    let want = [x.dim(0), x.dim(1), axes.len()];
    if samples.error().is_none() && *samples.shape() != want {
        let why = format!("expected samples of shape {want:?}, got {}", describe(samples));
        return Tensor::from_error(Error::new("fractional_max_pool", why));
    }
    let pool = |y: Tensor, (i, axis): (usize, &FractionalAxis)| {
        axis.pool(&y, 2 + i, &samples.take(i as i64, 2))
    };
    axes.iter().enumerate().fold(x.clone(), pool)
}

/// The windows along one axis.
struct FractionalAxis {
    /// The number of elements.
    n: usize,
    taps: usize,
    outputs: usize,
}

impl FractionalAxis {
    /// Returns the starts of the windows, `[batch, channels, outputs]`, for a sample `[batch,
    /// channels]`.
    #[track_caller]
    fn starts(&self, sample: &Tensor) -> Tensor {
        let last = (self.n - self.taps) as i64;
        let factor = last as f64 / (self.outputs.max(2) - 1) as f64;
        let sample = sample.to(DType::F32).expand_dims(-1);
        let i = Tensor::arange(self.outputs).to(DType::F32);
        let starts = ((&i + &sample) * factor).floor() - (&sample * factor).floor();
        let is_last = i.equal(self.outputs as i64 - 1);
        is_last.select(last, starts).to(DType::I32).clip(0, last)
    }

    /// Reduces the axis `axis` of `x` with the starts of `sample`.
    #[track_caller]
    fn pool(&self, x: &Tensor, axis: usize, sample: &Tensor) -> Tensor {
        let at = self.starts(sample).expand_dims(-1) + Tensor::arange(self.taps);
        let mut shape = vec![1; x.rank()];
        (shape[0], shape[1], shape[axis]) = (x.dim(0), x.dim(1), self.outputs * self.taps);
        let elements = x.take_along_axis(&at.reshape(shape), axis as i64);
        let mut shape = elements.shape().to_vec();
        shape.splice(axis..=axis, [self.outputs, self.taps]);
        elements.reshape(shape).max(axis as i64 + 1)
    }
}

/// Returns the windows along each space axis of `x`.
fn fractional_axes(
    x: &Tensor,
    sizes: &[usize],
    outputs: &[usize],
) -> Result<Vec<FractionalAxis>, Error> {
    let ty = x.ty()?;
    let space = ty.shape.get(2..).unwrap_or_default();
    let axis = |(i, &n): (usize, &usize)| {
        let [taps, outputs] = [sizes, outputs].map(|v| of_axis(v, i, space.len()));
        let (taps, outputs) = (taps.filter(|&t| t > 0)?, outputs.filter(|&o| o > 0)?);
        let is_reached = outputs.checked_add(taps - 1).is_some_and(|least| least <= n);
        is_reached.then_some(FractionalAxis { n, taps, outputs })
    };
    let axes: Option<Vec<FractionalAxis>> = space.iter().enumerate().map(axis).collect();
    axes.filter(|axes| !axes.is_empty()).ok_or_else(|| {
        let why = format!(
            "expected an input [batch, channels, space ..] whose space axes have at least outputs \
             + windows - 1 elements, got {outputs:?} outputs of windows of {sizes:?} elements for \
             {ty}"
        );
        Error::new("fractional_max_pool", why)
    })
}

/// Returns the value of axis `i` of `axes`; a single value counts for all of them.
fn of_axis<T: Copy>(values: &[T], i: usize, axes: usize) -> Option<T> {
    match values {
        [one] => Some(*one),
        _ => values.get(i).copied().filter(|_| values.len() == axes),
    }
}

/// The sizes of the space axes of the result.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FractionalOutput {
    Sizes(Vec<usize>),
    /// The sizes of the input are multiplied by these factors and rounded down.
    Ratios(Vec<f64>),
}

/// The layer of [`fractional_max_pool`], whose regions the key of the layer decides in training.
/// In evaluation mode they are fixed: those of the sample 1/2 for every axis. PyTorch's
/// `FractionalMaxPool2d` and `FractionalMaxPool3d`, which draw samples in evaluation as well.
///
/// ```
/// use neurax::prelude::*;
/// let layer = nn::FractionalMaxPool::by_ratio(2, 0.7);
/// let model = nn::input("x", dims![_, 3, _, _]).layer(layer).model();
/// let x = Tensor::ones([1, 3, 10, 20]);
/// let out = model.apply(&Vars::default(), x, &Mode::Train(key(0)));
/// assert_eq!(out.y().shape(), [1, 3, 7, 14]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FractionalMaxPool {
    sizes: Vec<usize>,
    output: FractionalOutput,
    channels_last: bool,
}

impl FractionalMaxPool {
    /// Creates a layer that reduces each space axis to the size that `outputs` has for it, by
    /// windows of `sizes` elements; one number counts for all axes.
    pub fn new(sizes: impl IntoEach, outputs: impl IntoEach) -> FractionalMaxPool {
        let output = FractionalOutput::Sizes(outputs.each());
        FractionalMaxPool { sizes: sizes.each(), output, channels_last: false }
    }

    /// Creates a layer that multiplies the size of each space axis by `ratio`, between 0 and 1,
    /// and rounds down, by windows of `sizes` elements.
    pub fn by_ratio(sizes: impl IntoEach, ratio: f64) -> FractionalMaxPool {
        FractionalMaxPool::by_ratios(sizes, [ratio])
    }

    /// Creates the layer of [`FractionalMaxPool::by_ratio`] with another ratio for each space axis.
    pub fn by_ratios(sizes: impl IntoEach, ratios: impl Into<Vec<f64>>) -> FractionalMaxPool {
        let output = FractionalOutput::Ratios(ratios.into());
        FractionalMaxPool { sizes: sizes.each(), output, channels_last: false }
    }

    /// Makes the channels the last axis, as in Keras and JAX.
    pub fn channels_last(self) -> FractionalMaxPool {
        FractionalMaxPool { channels_last: true, ..self }
    }

    /// Returns the sizes of the result for an input with the sizes `space`.
    ///
    /// # Errors
    /// If there is not a ratio between 0 and 1 for each space axis.
    fn outputs(&self, space: &[usize]) -> Result<Vec<usize>, Error> {
        let ratios = match &self.output {
            FractionalOutput::Sizes(sizes) => return Ok(sizes.clone()),
            FractionalOutput::Ratios(ratios) => ratios,
        };
        let size = |(i, &n): (usize, &usize)| {
            let ratio = of_axis(ratios, i, space.len()).filter(|&r| r > 0.0 && r < 1.0)?;
            Some((n as f64 * ratio) as usize)
        };
        let sizes: Option<Vec<usize>> = space.iter().enumerate().map(size).collect();
        sizes.ok_or_else(|| {
            let why = "expected a ratio between 0 and 1 for each of the space axes";
            Error::new(Self::NAME, format!("{why}, got {ratios:?} for {space:?}"))
        })
    }
}

impl Layer for FractionalMaxPool {
    const NAME: &'static str = "fractional_max_pool";
    type Output = Tensor;

    fn apply(&self, cx: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        channels_first(&x, self.channels_last, |x| {
            let space = x.shape().get(2..).unwrap_or_default().to_vec();
            let outputs = match self.outputs(&space) {
                Ok(outputs) => outputs,
                Err(e) => return Tensor::from_error(e),
            };
            let shape = [&x.shape()[..x.rank().min(2)], &[space.len()]].concat();
            let samples = match cx.key() {
                Some(key) => key.uniform(shape),
                None => Tensor::full(shape, EVALUATION_SAMPLE),
            };
            fractional_max_pool(x, &self.sizes, &outputs, &samples)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mode, Vars, check, input};
    use neurax_tensor::{TypeSpec, dims, key, tensor, types};

    #[test]
    fn is_a_layer() {
        check::layer(FractionalMaxPool::new(2, [3, 2]), &types![f32[2, 2, 5, 4]]).unwrap();
        let ratios = FractionalMaxPool::by_ratios([1, 2, 2], [0.9, 0.5, 0.7]);
        check::layer(ratios, &types![f32[1, 2, 3, 4, 5]]).unwrap();
        let last = FractionalMaxPool::by_ratio(2, 0.6).channels_last();
        check::layer(last, &types![f32[2, 6, 5, 2]]).unwrap();
        check::layer(FractionalMaxPool::new(3, 1), &types![f32[2, 2, 5]]).unwrap();
    }

    #[test]
    fn regions_are_random_in_training_and_fixed_in_evaluation() {
        let model = input("x", dims![_, 2, _]).layer(FractionalMaxPool::new(1, 6)).model();
        let x = Tensor::arange(20).to(DType::F32).reshape([1, 1, 20]).tile([1, 2, 1]);
        let run = |mode: Mode| {
            let y = model.apply(&Vars::default(), &x, &mode).y().clone();
            y.to_vec::<f32>().unwrap()
        };
        let fixed = [0.0, 4.0, 8.0, 12.0, 16.0, 19.0];
        assert_eq!(run(Mode::Eval), [fixed, fixed].concat());
        let drawn: Vec<Vec<f32>> = (0..8).map(|i| run(Mode::Train(key(i)))).collect();
        assert!(drawn.iter().any(|y| y[..6] != y[6..]), "channels differ: {drawn:?}");
        assert!(drawn.iter().any(|y| *y != drawn[0]), "keys differ: {drawn:?}");
        for y in drawn.iter().flat_map(|y| [&y[..6], &y[6..]]) {
            assert_eq!((y[0], y[5]), (0.0, 19.0));
            let steps: Vec<f32> = y.windows(2).map(|pair| pair[1] - pair[0]).collect();
            // 19 elements in 5 steps; the last one makes up for the rounding of the sample.
            assert!(steps[..4].iter().all(|s| [3.0, 4.0].contains(s)), "{steps:?}");
        }
    }

    #[test]
    fn options_that_do_not_fit_are_errors() {
        let message =
            |l: FractionalMaxPool, t: &[TypeSpec; 1]| check::layer(l, t).unwrap_err().to_string();
        let e = message(FractionalMaxPool::new(3, 3), &types![f32[1, 2, 4]]);
        assert!(e.contains("got [3] outputs of windows of [3] elements for f32[1, 2, 4]"), "{e}");
        let e = message(FractionalMaxPool::new([2, 2], 1), &types![f32[1, 2, 4]]);
        assert!(e.contains("windows of [2, 2] elements"), "{e}");
        let e = message(FractionalMaxPool::by_ratio(2, 1.0), &types![f32[1, 2, 4]]);
        assert!(e.contains("a ratio between 0 and 1"), "{e}");
        let e = message(FractionalMaxPool::new(2, 1), &types![f32[4]]);
        assert!(e.contains("[batch, channels, space ..]"), "{e}");
        let y = fractional_max_pool(&Tensor::ones([1, 1, 4]), &[2], &[2], &tensor([0.5]));
        let e = y.error().map(|e| e.to_string()).unwrap();
        assert!(e.contains("expected samples of shape [1, 1, 1], got f32[1]"), "{e}");
    }
}
