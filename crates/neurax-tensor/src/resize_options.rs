//! The options of resampling: [`Interpolation`] and [`ResizeOptions`].

use crate::Tensor;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// The kernel of [`Tensor::image_resize`].
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
    /// Cubic convolution by Keys (<https://doi.org/10.1109/TASSP.1981.1163711>), with the
    /// coefficient -1/2, as in JAX, Keras and PIL; [`ResizeOptions::cubic_coefficient`] sets that
    /// of PyTorch.
    Cubic,
    /// The Lanczos kernel of radius 3.
    Lanczos3,
    /// The Lanczos kernel of radius 5.
    Lanczos5,
}

impl Interpolation {
    /// Returns true if each element of the result is one of the input.
    ///
    /// ```
    /// use neurax::Interpolation;
    /// assert!(Interpolation::NearestFloor.is_nearest() && !Interpolation::Linear.is_nearest());
    /// ```
    pub fn is_nearest(self) -> bool {
        matches!(self, Interpolation::Nearest | Interpolation::NearestFloor)
    }

    /// Returns the distance from which on weights are 0.
    pub(crate) fn radius(self) -> f64 {
        match self {
            Interpolation::Nearest | Interpolation::NearestFloor => 0.5,
            Interpolation::Linear => 1.0,
            Interpolation::Cubic => 2.0,
            Interpolation::Lanczos3 => 3.0,
            Interpolation::Lanczos5 => 5.0,
        }
    }

    /// Computes the weights of elements at the distances `x >= 0`. `a` is the coefficient of the
    /// cubic kernel.
    #[track_caller]
    pub(crate) fn weights(self, x: &Tensor, a: f64) -> Tensor {
        match self {
            Interpolation::Nearest | Interpolation::NearestFloor => x.le(0.5).to(x.dtype()),
            Interpolation::Linear => (1.0 - x).maximum(0.0),
            Interpolation::Cubic => {
                let near = (x * (a + 2.0) - (a + 3.0)) * x * x + 1.0;
                let far = (((x - 5.0) * x + 8.0) * x - 4.0) * a;
                x.lt(1.0).select(near, x.lt(2.0).select(far, 0.0))
            }
            Interpolation::Lanczos3 | Interpolation::Lanczos5 => lanczos(x, self.radius()),
        }
    }
}

/// Computes `sinc(x) sinc(x / radius)`, 0 from the radius on.
#[track_caller]
fn lanczos(x: &Tensor, radius: f64) -> Tensor {
    let is_zero = x.lt(1e-9);
    let angle = is_zero.select(1.0, x) * PI;
    let part = &angle / radius;
    let weights = angle.sin() * part.sin() / (angle * part);
    x.ge(radius).select(0.0, is_zero.select(1.0, weights))
}

/// The options of [`Tensor::image_resize`] and [`Tensor::scale_and_translate`]: the kernel, and how
/// positions and ends of axes are treated.
///
/// ```
/// use neurax::{Interpolation, ResizeOptions, prelude::*};
/// // PyTorch's `bicubic`.
/// let cubic = ResizeOptions::new(Interpolation::Cubic).cubic_coefficient(-0.75).repeat_edge();
/// let y = Tensor::ones([1, 3, 10, 20]).image_resize([1, 3, 16, 16], cubic.antialias(false));
/// assert_eq!(y.shape(), [1, 3, 16, 16]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResizeOptions {
    pub(crate) method: Interpolation,
    #[serde(default)]
    pub(crate) antialias: bool,
    #[serde(default)]
    pub(crate) align_corners: bool,
    #[serde(default)]
    pub(crate) repeat_edge: bool,
    /// The coefficient of the cubic kernel, if it is not -1/2.
    pub(crate) cubic_coefficient: Option<f64>,
}

impl ResizeOptions {
    /// Creates the options of a kernel, with antialiasing.
    ///
    /// ```
    /// use neurax::{Interpolation, ResizeOptions, prelude::*};
    /// let y = tensor([1.0, 2.0]).image_resize([4], ResizeOptions::new(Interpolation::Linear));
    /// assert!(y.allclose(tensor([1.0, 1.25, 1.75, 2.0]), 1e-6, 1e-6).item()? == 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new(method: Interpolation) -> ResizeOptions {
        ResizeOptions {
            method,
            antialias: true,
            align_corners: false,
            repeat_edge: false,
            cubic_coefficient: None,
        }
    }

    /// Sets the kernel.
    ///
    /// ```
    /// use neurax::{Interpolation, ResizeOptions, prelude::*};
    /// let options = ResizeOptions::new(Interpolation::Linear).method(Interpolation::Nearest);
    /// let y = tensor([1.0, 2.0]).image_resize([4], options);
    /// assert_eq!(y.to_vec::<f32>()?, [1.0, 1.0, 2.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn method(self, method: Interpolation) -> ResizeOptions {
        ResizeOptions { method, ..self }
    }

    /// Sets whether the kernel is widened where an axis shrinks. It does not matter to
    /// [`Interpolation::Nearest`] and [`Interpolation::NearestFloor`].
    ///
    /// ```
    /// use neurax::{Interpolation, ResizeOptions, prelude::*};
    /// // Between the second and the third element, of which alone it is the mean.
    /// let options = ResizeOptions::new(Interpolation::Linear).antialias(false);
    /// let y = tensor([8.0, 1.0, 2.0, 8.0]).image_resize([1], options);
    /// assert!(y.allclose(tensor([1.5]), 1e-6, 1e-6).item()? == 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn antialias(self, antialias: bool) -> ResizeOptions {
        ResizeOptions { antialias, ..self }
    }

    /// Places the first and the last element of the result at those of the input, as PyTorch's
    /// `align_corners=True`: element `i` of `m` lies at `i (n - 1) / (m - 1)`. Not for
    /// [`Interpolation::Nearest`] and [`Interpolation::NearestFloor`].
    ///
    /// ```
    /// use neurax::{Interpolation, ResizeOptions, prelude::*};
    /// let options = ResizeOptions::new(Interpolation::Linear).align_corners();
    /// let y = tensor([1.0, 2.0]).image_resize([3], options);
    /// assert!(y.allclose(tensor([1.0, 1.5, 2.0]), 1e-6, 1e-6).item()? == 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn align_corners(self) -> ResizeOptions {
        ResizeOptions { align_corners: true, ..self }
    }

    /// Sets the coefficient of [`Interpolation::Cubic`], -1/2 by default. PyTorch, OpenCV and ONNX
    /// have -3/4, together with [`ResizeOptions::repeat_edge`] and without antialiasing.
    ///
    /// ```
    /// use neurax::{Interpolation, ResizeOptions, prelude::*};
    /// let options = ResizeOptions::new(Interpolation::Cubic).cubic_coefficient(-0.75);
    /// let y = tensor([0.0, 1.0, 0.0, 0.0]).image_resize([8], options);
    /// // 1.25 d³ - 2.25 d² + 1 at the distance d = 1/4.
    /// assert!((y.get(3).item()? - 0.87890625).abs() < 1e-6);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn cubic_coefficient(self, a: f64) -> ResizeOptions {
        ResizeOptions { cubic_coefficient: Some(a), ..self }
    }

    /// Repeats the first and the last element of an axis beyond its ends, as PyTorch does for the
    /// cubic kernel without antialiasing. By default, the kernel leaves out what is beyond the
    /// ends, as in JAX.
    ///
    /// ```
    /// use neurax::{Interpolation, ResizeOptions, prelude::*};
    /// let options = ResizeOptions::new(Interpolation::Cubic).repeat_edge();
    /// let y = tensor([0.0, 1.0]).image_resize([4], options);
    /// assert!((y.get(0).item()? + 0.0703125).abs() < 1e-6);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn repeat_edge(self) -> ResizeOptions {
        ResizeOptions { repeat_edge: true, ..self }
    }
}
