//! The options of functions of numbers: [`NanToNumOptions`] and [`CloseOptions`].

use crate::Scalar;

/// The options of [`crate::Tensor::nan_to_num_with`]: the numbers that replace NaN and infinities.
/// The defaults are 0 and the largest finite numbers of the dtype.
///
/// ```
/// use neurax::prelude::*;
/// let x = tensor([f32::NAN, f32::INFINITY]);
/// let options = NanToNumOptions::new().nan(-1).positive_infinity(9.0);
/// assert_eq!(x.nan_to_num_with(options).to_vec::<f32>()?, [-1.0, 9.0]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct NanToNumOptions {
    pub(crate) nan: Scalar,
    pub(crate) positive_infinity: Option<Scalar>,
    pub(crate) negative_infinity: Option<Scalar>,
}

impl Default for NanToNumOptions {
    fn default() -> NanToNumOptions {
        NanToNumOptions::new()
    }
}

impl NanToNumOptions {
    /// Creates the default options.
    pub fn new() -> NanToNumOptions {
        let (positive_infinity, negative_infinity) = (None, None);
        NanToNumOptions { nan: Scalar::Int(0), positive_infinity, negative_infinity }
    }

    /// Sets the number that replaces NaN.
    pub fn nan(self, x: impl Into<Scalar>) -> NanToNumOptions {
        NanToNumOptions { nan: x.into(), ..self }
    }

    /// Sets the number that replaces positive infinity.
    pub fn positive_infinity(self, x: impl Into<Scalar>) -> NanToNumOptions {
        NanToNumOptions { positive_infinity: Some(x.into()), ..self }
    }

    /// Sets the number that replaces negative infinity.
    pub fn negative_infinity(self, x: impl Into<Scalar>) -> NanToNumOptions {
        NanToNumOptions { negative_infinity: Some(x.into()), ..self }
    }
}

/// The options of [`crate::Tensor::isclose_with`] and [`crate::Tensor::allclose_with`]. The
/// defaults are those of NumPy: tolerances of 1e-5 relative to the other operand and 1e-8 absolute,
/// and NaN is close to nothing.
///
/// ```
/// use neurax::prelude::*;
/// let (x, y) = (tensor([1.0, f32::NAN]), tensor([1.05, f32::NAN]));
/// let options = CloseOptions::new().relative(0.1).equal_nan();
/// assert_eq!(x.isclose_with(&y, options).to_vec::<bool>()?, [true, true]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CloseOptions {
    pub(crate) relative: f64,
    pub(crate) absolute: f64,
    pub(crate) nan_is_equal: bool,
}

impl Default for CloseOptions {
    fn default() -> CloseOptions {
        CloseOptions::new()
    }
}

impl CloseOptions {
    /// Creates the default options.
    pub fn new() -> CloseOptions {
        CloseOptions { relative: 1e-5, absolute: 1e-8, nan_is_equal: false }
    }

    /// Sets the tolerance relative to the absolute value of the other operand.
    pub fn relative(self, relative: f64) -> CloseOptions {
        CloseOptions { relative, ..self }
    }

    /// Sets the absolute tolerance.
    pub fn absolute(self, absolute: f64) -> CloseOptions {
        CloseOptions { absolute, ..self }
    }

    /// Makes NaN close to NaN.
    pub fn equal_nan(self) -> CloseOptions {
        CloseOptions { nan_is_equal: true, ..self }
    }
}
