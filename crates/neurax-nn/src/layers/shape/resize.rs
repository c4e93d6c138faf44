//! Resizing of space axes: `jax.image.resize`.
//!
//! Each axis is resized by a product with a matrix of weights. Element `i` of the result lies at
//! `(i + 1/2) n / m - 1/2` of the input of `n` elements, `m` being the new size (half-pixel
//! centers). The weights are those of a kernel around this position, divided by their sum. When an
//! axis shrinks, the antialiasing kernel is as wide as the distance of two elements of the result.

use crate::layers::axes::describe;
use crate::precision::{at_least_f32, narrow_as};
use crate::{Cx, Layer, Node};
use neurax_tensor::{Error, IntoEach, Tensor, tensor};
use serde::{Deserialize, Serialize};

/// The kernel of [`resize`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// The nearest element, as PyTorch's `nearest-exact` and JAX. PyTorch's `nearest` rounds down
    /// from `i n / m` instead, which is the same if the size is multiplied by an integer.
    #[default]
    Nearest,
    /// Linear along each axis: bilinear for two, trilinear for three axes.
    Linear,
    /// Cubic convolution by Keys, with the parameter -1/2, as in JAX, Keras and PIL. PyTorch has
    /// -3/4 without antialiasing.
    Cubic,
    /// The Lanczos kernel of radius 3.
    Lanczos3,
    /// The Lanczos kernel of radius 5.
    Lanczos5,
}

impl Interpolation {
    /// Returns the weight of an element at the distance `x >= 0`.
    fn weight(self, x: f64) -> f64 {
        match self {
            Interpolation::Nearest => f64::from(x <= 0.5),
            Interpolation::Linear => (1.0 - x).max(0.0),
            Interpolation::Cubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            Interpolation::Cubic if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
            Interpolation::Cubic => 0.0,
            Interpolation::Lanczos3 => lanczos(3.0, x),
            Interpolation::Lanczos5 => lanczos(5.0, x),
        }
    }

    /// Returns the matrix `[n, m]` that resizes an axis of `n` elements to `m`.
    fn matrix(self, n: usize, m: usize, antialias: bool) -> Tensor {
        let step = n as f64 / m as f64;
        let width = if antialias { step.max(1.0) } else { 1.0 };
        let mut rows = vec![0.0f32; n * m];
        for i in 0..m {
            let at = (i as f64 + 0.5) * step - 0.5;
            let weights: Vec<f64> =
                (0..n).map(|j| self.weight((at - j as f64).abs() / width)).collect();
            let sum: f64 = weights.iter().sum();
            for (j, w) in weights.iter().enumerate() {
                rows[j * m + i] = (w / sum) as f32;
            }
        }
        tensor(rows).reshape([n, m])
    }
}

fn lanczos(radius: f64, x: f64) -> f64 {
    let (a, b) = (std::f64::consts::PI * x, std::f64::consts::PI * x / radius);
    match x {
        _ if x >= radius => 0.0,
        _ if x < 1e-9 => 1.0,
        _ => a.sin() * b.sin() / (a * b),
    }
}

/// Resizes the space axes of `x`, `[batch, channels, space ..]` or with `channels_last`
/// `[batch, space .., channels]`, to `sizes`; one number counts for all axes. `antialias` widens
/// the kernel where an axis shrinks. Follows `jax.image.resize`: with `Linear`, an element that is
/// not finite spreads over its whole row.
///
/// The dtype is kept by `Nearest` and for floats; narrow floats are computed in f32.
///
/// # Errors
/// The result carries an error if `sizes` has not a size of at least 1 for each space axis, or if
/// `x` has an empty one.
///
/// ```
/// use neurax::prelude::*;
/// use nn::layers::{Interpolation, resize};
/// let x = tensor([[[1.0, 3.0]]]);
/// let nearest = resize(&x, 4, Interpolation::Nearest, true, false);
/// assert_eq!(nearest.to_vec::<f32>()?, [1.0, 1.0, 3.0, 3.0]);
/// let linear = resize(&x, 4, Interpolation::Linear, true, false);
/// assert_eq!(linear.to_vec::<f32>()?, [1.0, 1.5, 2.5, 3.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn resize(
    x: &Tensor,
    sizes: impl IntoEach,
    method: Interpolation,
    antialias: bool,
    channels_last: bool,
) -> Tensor {
    let ty = match x.ty() {
        Ok(ty) => ty,
        Err(_) => return x.clone(),
    };
    let (first, space) = (if channels_last { 1 } else { 2 }, ty.rank().saturating_sub(2));
    let sizes = match &sizes.each()[..] {
        [one] => vec![*one; space],
        all => all.to_vec(),
    };
    let is_empty = (0..space).any(|i| ty.shape[first + i] == 0);
    if ty.rank() < 2 || sizes.len() != space || sizes.contains(&0) || is_empty {
        let why = format!("expected an input with space to resize to {sizes:?}, got {ty}");
        return Tensor::from_error(Error::new("resize", why));
    }
    let mut y = if method == Interpolation::Nearest { x.clone() } else { at_least_f32(x) };
    for (i, &m) in sizes.iter().enumerate() {
        let (axis, n) = ((first + i) as i64, ty.shape[first + i]);
        if n == m {
            continue;
        }
        y = if method == Interpolation::Nearest {
            let index = |i: usize| ((2 * i + 1) as u128 * n as u128 / (2 * m) as u128) as i64;
            y.take(tensor((0..m).map(index).collect::<Vec<_>>()), axis)
        } else {
            let matrix = method.matrix(n, m, antialias);
            let dtype = if y.dtype().is_float() { y.dtype() } else { matrix.dtype() };
            y.move_axis(axis, -1).matmul(matrix.to(dtype)).move_axis(-1, axis)
        };
    }
    narrow_as(x, y)
}

/// The layer of [`resize`]: resizes the space axes to given sizes.
///
/// ```
/// use neurax::prelude::*;
/// let layer = nn::Resize::new([16, 16]).method(nn::Interpolation::Cubic);
/// let model = nn::input("image", dims![_, 3, _, _]).layer(layer).model();
/// let out = model.apply(&Vars::default(), Tensor::ones([1, 3, 10, 20]), &Mode::Eval);
/// assert_eq!(out.y().shape(), [1, 3, 16, 16]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Resize {
    sizes: Vec<usize>,
    method: Interpolation,
    antialias: bool,
    channels_last: bool,
}

impl Resize {
    /// Creates a layer that resizes each space axis to the size that `sizes` has for it; one number
    /// counts for all axes. The defaults are the nearest element and antialiasing.
    pub fn new(sizes: impl IntoEach) -> Resize {
        let (sizes, method) = (sizes.each(), Interpolation::Nearest);
        Resize { sizes, method, antialias: true, channels_last: false }
    }

    /// Sets the interpolation.
    pub fn method(self, method: Interpolation) -> Resize {
        Resize { method, ..self }
    }

    /// Sets whether the kernel is widened where an axis shrinks. It does not matter to
    /// [`Interpolation::Nearest`].
    pub fn antialias(self, antialias: bool) -> Resize {
        Resize { antialias, ..self }
    }

    /// Makes the channels the last axis, as in Keras and JAX.
    pub fn channels_last(self) -> Resize {
        Resize { channels_last: true, ..self }
    }
}

impl Layer for Resize {
    const NAME: &'static str = "resize";
    type Output = Tensor;

    fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        resize(&x, self.sizes.clone(), self.method, self.antialias, self.channels_last)
    }
}

/// A layer that multiplies the sizes of the space axes by integers: see [`resize`].
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("image", dims![_, 3, 4, 4]).layer(nn::UpSampling::new(2)).model();
/// let out = model.apply(&Vars::default(), Tensor::ones([1, 3, 4, 4]), &Mode::Eval);
/// assert_eq!(out.y().shape(), [1, 3, 8, 8]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpSampling {
    factors: Vec<usize>,
    method: Interpolation,
    channels_last: bool,
}

impl UpSampling {
    /// Creates a layer that multiplies the size of each space axis by its factor; one number counts
    /// for all axes. The default is to repeat elements.
    pub fn new(factors: impl IntoEach) -> UpSampling {
        let (factors, method) = (factors.each(), Interpolation::Nearest);
        UpSampling { factors, method, channels_last: false }
    }

    /// Sets the interpolation.
    pub fn method(self, method: Interpolation) -> UpSampling {
        UpSampling { method, ..self }
    }

    /// Makes the channels the last axis, as in Keras and JAX.
    pub fn channels_last(self) -> UpSampling {
        UpSampling { channels_last: true, ..self }
    }
}

impl Layer for UpSampling {
    const NAME: &'static str = "up_sampling";
    type Output = Tensor;

    fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        let shape = x.shape().to_vec();
        let first = if self.channels_last { 1 } else { 2 };
        let space = shape.get(first..first + shape.len().saturating_sub(2)).unwrap_or(&[]);
        let factors = match self.factors[..] {
            [one] => vec![one; space.len()],
            _ => self.factors.clone(),
        };
        if factors.len() != space.len() {
            let got = describe(&x);
            let why = format!("expected one factor for each space axis, got {factors:?} for {got}");
            return Tensor::from_error(Error::new("up_sampling", why));
        }
        let sizes: Vec<usize> =
            space.iter().zip(&factors).map(|(n, f)| n.saturating_mul(*f)).collect();
        resize(&x, sizes, self.method, false, self.channels_last)
    }
}

impl Node {
    /// Resizes the space axes to the nearest elements: see [`Resize`].
    #[track_caller]
    pub fn resize(&self, sizes: impl IntoEach) -> Node {
        self.layer(Resize::new(sizes))
    }

    /// Multiplies the sizes of the space axes by `factors`, repeating elements: see
    /// [`UpSampling`].
    #[track_caller]
    pub fn up_sampling(&self, factors: impl IntoEach) -> Node {
        self.layer(UpSampling::new(factors))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use neurax_tensor::types;

    #[test]
    fn are_layers() {
        check::layer(Resize::new(5), &types![f32[2, 2, 3]]).unwrap();
        for method in [Interpolation::Linear, Interpolation::Cubic, Interpolation::Lanczos5] {
            let layer = Resize::new([5, 2]).method(method);
            check::layer(layer.clone(), &types![f32[1, 2, 3, 4]]).unwrap();
            check::layer(layer.channels_last().antialias(false), &types![f32[1, 4, 3, 2]]).unwrap();
        }
        check::layer(UpSampling::new(2), &types![f32[1, 2, 2, 1, 2]]).unwrap();
        let linear = UpSampling::new([2, 3]).method(Interpolation::Linear).channels_last();
        check::layer(linear, &types![f32[1, 2, 3, 2]]).unwrap();
    }

    #[test]
    fn sizes_that_do_not_fit_are_errors() {
        for (sizes, t) in [
            (vec![2, 2], types![f32[1, 2, 4]]),
            (vec![0], types![f32[1, 2, 4]]),
            (vec![1], types![f32[1, 2, 0]]),
            (vec![1], types![f32[4]]),
        ] {
            let e = check::layer(Resize::new(sizes), &t).unwrap_err().to_string();
            assert!(e.contains("to resize to") && e.contains(&t[0].to_string()), "{e}");
        }
        let e = check::layer(UpSampling::new([2, 2]), &types![f32[1, 2, 4]]).unwrap_err();
        assert!(e.to_string().contains("got [2, 2] for f32[1, 2, 4]"), "{e}");
    }
}
