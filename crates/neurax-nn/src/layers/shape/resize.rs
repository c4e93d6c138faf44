//! Resizing of space axes: `jax.image.resize`, with the rules of PyTorch and ONNX as options.
//!
//! Each axis is resized by a product with a matrix of weights. Element `i` of the result lies at
//! `(i + 1/2) n / m - 1/2` of the input of `n` elements, `m` being the new size (half-pixel
//! centers), or at `i (n - 1) / (m - 1)` with aligned corners. The weights are those of a kernel
//! around this position, divided by their sum. When an axis shrinks, the antialiasing kernel is as
//! wide as the distance of two elements of the result.

use crate::layers::axes::{describe, space_sizes};
use crate::precision::{at_least_f32, narrow_as};
use crate::{Cx, Layer, Node};
use neurax_tensor::{Error, IntoEach, Tensor, tensor};
use serde::{Deserialize, Serialize};

/// The kernel of [`resize`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// The nearest element, as PyTorch's `nearest-exact` and JAX.
    #[default]
    Nearest,
    /// The element at `i n / m`, rounded down, as PyTorch's `nearest`. It is `Nearest` if the size
    /// is multiplied by an integer.
    NearestFloor,
    /// Linear along each axis: bilinear for two, trilinear for three axes.
    Linear,
    /// Cubic convolution by Keys, with the coefficient -1/2, as in JAX, Keras and PIL;
    /// [`Resize::cubic_coefficient`] sets that of PyTorch.
    Cubic,
    /// The Lanczos kernel of radius 3.
    Lanczos3,
    /// The Lanczos kernel of radius 5.
    Lanczos5,
}

impl Interpolation {
    /// Returns true if each element of the result is one of the input.
    fn is_nearest(self) -> bool {
        matches!(self, Interpolation::Nearest | Interpolation::NearestFloor)
    }

    /// Returns the distance from which on weights are 0.
    fn radius(self) -> f64 {
        match self {
            Interpolation::Nearest | Interpolation::NearestFloor => 0.5,
            Interpolation::Linear => 1.0,
            Interpolation::Cubic => 2.0,
            Interpolation::Lanczos3 => 3.0,
            Interpolation::Lanczos5 => 5.0,
        }
    }

    /// Returns the weight of an element at the distance `x >= 0`. `a` is the coefficient of the
    /// cubic kernel.
    fn weight(self, x: f64, a: f64) -> f64 {
        match self {
            Interpolation::Nearest | Interpolation::NearestFloor => f64::from(x <= 0.5),
            Interpolation::Linear => (1.0 - x).max(0.0),
            Interpolation::Cubic if x < 1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
            Interpolation::Cubic if x < 2.0 => a * (((x - 5.0) * x + 8.0) * x - 4.0),
            Interpolation::Cubic => 0.0,
            Interpolation::Lanczos3 => lanczos(3.0, x),
            Interpolation::Lanczos5 => lanczos(5.0, x),
        }
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

/// The options that [`Resize`] and [`UpSampling`] share.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct ResizeOptions {
    method: Interpolation,
    #[serde(default)]
    antialias: bool,
    channels_last: bool,
    #[serde(default)]
    align_corners: bool,
    #[serde(default)]
    repeat_edge: bool,
    /// The coefficient of the cubic kernel, if it is not -1/2.
    cubic_coefficient: Option<f64>,
}

impl ResizeOptions {
    fn new(antialias: bool) -> ResizeOptions {
        ResizeOptions {
            method: Interpolation::Nearest,
            antialias,
            channels_last: false,
            align_corners: false,
            repeat_edge: false,
            cubic_coefficient: None,
        }
    }

    /// Returns the distance of two elements of the result in an input of `n` elements, and the
    /// position of the first one.
    fn grid(&self, n: usize, m: usize) -> (f64, f64) {
        let half_pixel = n as f64 / m as f64;
        match self.align_corners {
            true if m == 1 => (0.0, 0.0),
            true => ((n - 1) as f64 / (m - 1) as f64, 0.0),
            false => (half_pixel, 0.5 * half_pixel - 0.5),
        }
    }

    /// Returns the matrix `[n, m]` that resizes an axis of `n` elements to `m`.
    fn matrix(&self, n: usize, m: usize) -> Tensor {
        let (step, start) = self.grid(n, m);
        let width = if self.antialias { step.max(1.0) } else { 1.0 };
        let reach = self.method.radius() * width;
        let a = self.cubic_coefficient.unwrap_or(-0.5);
        let mut columns = vec![0.0; n];
        let mut rows = vec![0.0f32; n * m];
        for i in 0..m {
            let at = i as f64 * step + start;
            columns.fill(0.0);
            for j in (at - reach).floor() as i64..=(at + reach).ceil() as i64 {
                let inside = j.clamp(0, n as i64 - 1);
                if inside == j || self.repeat_edge {
                    columns[inside as usize] +=
                        self.method.weight((at - j as f64).abs() / width, a);
                }
            }
            let sum: f64 = columns.iter().sum();
            for (j, w) in columns.iter().enumerate() {
                rows[j * m + i] = (w / sum) as f32;
            }
        }
        tensor(rows).reshape([n, m])
    }

    /// Resizes an axis of `n` elements to `m`.
    #[track_caller]
    fn resize_axis(&self, x: &Tensor, axis: i64, n: usize, m: usize) -> Tensor {
        let index = |i: usize| match self.method {
            Interpolation::NearestFloor => (i as u128 * n as u128 / m as u128) as i64,
            _ => ((2 * i + 1) as u128 * n as u128 / (2 * m) as u128) as i64,
        };
        if self.method.is_nearest() {
            return x.take(tensor((0..m).map(index).collect::<Vec<_>>()), axis);
        }
        let matrix = self.matrix(n, m);
        let dtype = if x.dtype().is_float() { x.dtype() } else { matrix.dtype() };
        x.move_axis(axis, -1).matmul(matrix.to(dtype)).move_axis(-1, axis)
    }

    /// Resizes the space axes of `x` to `sizes`, for the layer `op`.
    #[track_caller]
    fn resize(&self, op: &'static str, x: &Tensor, sizes: &[usize]) -> Tensor {
        let fail = |why: String| Tensor::from_error(Error::new(op, why));
        if self.align_corners && self.method.is_nearest() {
            let method = self.method;
            return fail(format!("expected an interpolation to align corners, got {method:?}"));
        }
        let a = self.cubic_coefficient.unwrap_or(-0.5);
        if !a.is_finite() {
            return fail(format!("expected a finite coefficient of the cubic kernel, got {a}"));
        }
        let (first, sizes) = match space_sizes(op, x, sizes, self.channels_last) {
            Ok(found) => found,
            Err(e) => return Tensor::from_error(e),
        };
        let start = if self.method.is_nearest() { x.clone() } else { at_least_f32(x) };
        let y = sizes.iter().zip(first..).fold(start, |y, (&m, axis)| match y.shape()[axis] {
            n if n == m => y,
            n => self.resize_axis(&y, axis as i64, n, m),
        });
        narrow_as(x, y)
    }
}

/// Adds the option methods to a layer with the field `options`, a [`ResizeOptions`].
macro_rules! resize_options {
    ($Layer:ident) => {
        impl $Layer {
            /// Sets the interpolation.
            pub fn method(mut self, method: Interpolation) -> $Layer {
                self.options.method = method;
                self
            }

            /// Makes the channels the last axis, as in Keras and JAX.
            pub fn channels_last(mut self) -> $Layer {
                self.options.channels_last = true;
                self
            }

            /// Places the first and the last element of the result at those of the input, as
            /// PyTorch's `align_corners=True`: element `i` of `m` lies at `i (n - 1) / (m - 1)`.
            /// Not for [`Interpolation::Nearest`] and [`Interpolation::NearestFloor`].
            pub fn align_corners(mut self) -> $Layer {
                self.options.align_corners = true;
                self
            }

            /// Sets the coefficient of [`Interpolation::Cubic`], -1/2 by default. PyTorch, OpenCV
            /// and ONNX have -3/4, together with [`repeat_edge`](Self::repeat_edge) and without
            /// antialiasing.
            pub fn cubic_coefficient(mut self, a: f64) -> $Layer {
                self.options.cubic_coefficient = Some(a);
                self
            }

            /// Repeats the first and the last element of an axis beyond its ends, as PyTorch does
            /// for the cubic kernel without antialiasing. By default, the kernel leaves out what
            /// is beyond the ends, as in JAX.
            pub fn repeat_edge(mut self) -> $Layer {
                self.options.repeat_edge = true;
                self
            }
        }
    };
}

/// Resizes the space axes of `x`, `[batch, channels, space ..]` or with channels last
/// `[batch, space .., channels]`, to the sizes of the layer [`Resize`]. Follows
/// `jax.image.resize` by default: with `Linear`, an element that is not finite spreads over its
/// whole row.
///
/// The dtype is kept by `Nearest` and for floats; narrow floats are computed in f32.
///
/// # Errors
/// The result carries an error if there is not a size of at least 1 for each space axis, if
/// `x` has an empty one, or if corners are to be aligned without interpolation.
///
/// ```
/// use neurax::prelude::*;
/// use nn::layers::{Interpolation, Resize, resize};
/// let x = tensor([[[1.0, 3.0]]]);
/// let nearest = resize(&x, &Resize::new(4));
/// assert_eq!(nearest.to_vec::<f32>()?, [1.0, 1.0, 3.0, 3.0]);
/// let linear = Resize::new(4).method(Interpolation::Linear);
/// assert_eq!(resize(&x, &linear).to_vec::<f32>()?, [1.0, 1.5, 2.5, 3.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn resize(x: &Tensor, options: &Resize) -> Tensor {
    options.options.resize("resize", x, &options.sizes)
}

/// The layer of [`resize`], and its options: resizes the space axes to given sizes.
///
/// ```
/// use neurax::prelude::*;
/// // PyTorch's `bicubic`.
/// let cubic = nn::Resize::new([16, 16]).method(nn::Interpolation::Cubic);
/// let layer = cubic.cubic_coefficient(-0.75).repeat_edge().antialias(false);
/// let model = nn::input("image", dims![_, 3, _, _]).layer(layer).model();
/// let out = model.apply(&Vars::default(), Tensor::ones([1, 3, 10, 20]), &Mode::Eval);
/// assert_eq!(out.y().shape(), [1, 3, 16, 16]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Resize {
    sizes: Vec<usize>,
    #[serde(flatten)]
    options: ResizeOptions,
}

impl Resize {
    /// Creates a layer that resizes each space axis to the size that `sizes` has for it; one number
    /// counts for all axes. The defaults are the nearest element and antialiasing.
    pub fn new(sizes: impl IntoEach) -> Resize {
        Resize { sizes: sizes.each(), options: ResizeOptions::new(true) }
    }

    /// Sets whether the kernel is widened where an axis shrinks. It does not matter to
    /// [`Interpolation::Nearest`] and [`Interpolation::NearestFloor`].
    pub fn antialias(mut self, antialias: bool) -> Resize {
        self.options.antialias = antialias;
        self
    }
}

resize_options!(Resize);

impl Layer for Resize {
    const NAME: &'static str = "resize";
    type Output = Tensor;

    fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        resize(&x, self)
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
    #[serde(flatten)]
    options: ResizeOptions,
}

impl UpSampling {
    /// Creates a layer that multiplies the size of each space axis by its factor; one number counts
    /// for all axes. The default is to repeat elements.
    pub fn new(factors: impl IntoEach) -> UpSampling {
        UpSampling { factors: factors.each(), options: ResizeOptions::new(false) }
    }
}

resize_options!(UpSampling);

impl Layer for UpSampling {
    const NAME: &'static str = "up_sampling";
    type Output = Tensor;

    fn apply(&self, _: &mut Cx, [x]: [Tensor; 1]) -> Tensor {
        let shape = x.shape().to_vec();
        let first = if self.options.channels_last { 1 } else { 2 };
        let space = shape.get(first..first + shape.len().saturating_sub(2)).unwrap_or(&[]);
        let factors = match self.factors[..] {
            [one] => vec![one; space.len()],
            _ => self.factors.clone(),
        };
        if factors.len() != space.len() {
            let got = describe(&x);
            let why = format!("expected one factor for each space axis, got {factors:?} for {got}");
            return Tensor::from_error(Error::new(Self::NAME, why));
        }
        let sizes: Vec<usize> =
            space.iter().zip(&factors).map(|(n, f)| n.saturating_mul(*f)).collect();
        self.options.resize(Self::NAME, &x, &sizes)
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
    fn options_of_other_libraries_are_layers() {
        let torch = Resize::new([5, 2]).method(Interpolation::Cubic).antialias(false);
        let torch = torch.cubic_coefficient(-0.75).repeat_edge();
        check::layer(torch.clone(), &types![f32[1, 2, 3, 4]]).unwrap();
        check::layer(torch.align_corners(), &types![f32[1, 2, 3, 4]]).unwrap();
        let floor = UpSampling::new(3).method(Interpolation::NearestFloor);
        check::layer(floor, &types![f32[1, 2, 3]]).unwrap();
        let linear = UpSampling::new(2).method(Interpolation::Linear).align_corners();
        check::layer(linear.channels_last(), &types![f32[1, 3, 2, 2]]).unwrap();
        let x = tensor([[[5.0, 6.0, 7.0]]]);
        let floor = Resize::new(2).method(Interpolation::NearestFloor);
        assert_eq!(resize(&x, &floor).to_vec::<f32>().unwrap(), [5.0, 6.0]);
        assert_eq!(resize(&x, &Resize::new(2)).to_vec::<f32>().unwrap(), [5.0, 7.0]);
    }

    #[test]
    fn one_aligned_element_is_that_of_the_first_corner() {
        let x = tensor([[[[5.0, 6.0, 7.0], [8.0, 9.0, 4.0]]]]);
        for method in [Interpolation::Linear, Interpolation::Cubic, Interpolation::Lanczos3] {
            let aligned = |sizes: [usize; 2]| {
                Resize::new(sizes).method(method).antialias(false).align_corners()
            };
            let near = |sizes, want: Tensor| {
                let y = resize(&x, &aligned(sizes));
                let close = y.flatten().allclose(want, 1e-5, 1e-5).item().unwrap() == 1.0;
                assert!(close, "{method:?}: {y}");
            };
            near([1, 1], tensor([5.0]));
            // Along the other axis, the corners are the first and the last element.
            near([1, 2], tensor([5.0, 7.0]));
            near([2, 1], tensor([5.0, 8.0]));
            check::layer(aligned([1, 2]), &types![f32[1, 2, 3, 4]]).unwrap();
        }
        let linear = Resize::new([1, 1]).method(Interpolation::Linear).align_corners();
        let wide = resize(&x, &linear).to_vec::<f32>().unwrap();
        assert_eq!(wide, [5.0], "the distance of elements is 0, so antialiasing widens nothing");
    }

    #[test]
    fn options_that_do_not_fit_are_errors() {
        let e = check::layer(UpSampling::new([2, 2]), &types![f32[1, 2, 4]]).unwrap_err();
        assert!(e.to_string().contains("got [2, 2] for f32[1, 2, 4]"), "{e}");
        let e = check::layer(Resize::new(2).align_corners(), &types![f32[1, 2, 4]]).unwrap_err();
        assert!(e.to_string().contains("an interpolation to align corners, got Nearest"), "{e}");
        let bad = Resize::new(2).method(Interpolation::Cubic).cubic_coefficient(f64::NAN);
        let e = check::layer(bad, &types![f32[1, 2, 4]]).unwrap_err().to_string();
        assert!(e.contains("a finite coefficient of the cubic kernel, got NaN"), "{e}");
    }

    #[test]
    fn files_without_the_options_are_read() {
        let json = r#"{"sizes":[2],"method":"cubic","antialias":true,"channels_last":false}"#;
        let layer: Resize = serde_json::from_str(json).unwrap();
        let x = tensor([[[1.0, 4.0, 2.0]]]);
        let want = resize(&x, &Resize::new(2).method(Interpolation::Cubic));
        let y = resize(&x, &layer);
        assert_eq!(y.to_vec::<f32>().unwrap(), want.to_vec::<f32>().unwrap());
        let json = r#"{"factors":[2],"method":"nearest","channels_last":true}"#;
        assert!(serde_json::from_str::<UpSampling>(json).is_ok());
    }
}
