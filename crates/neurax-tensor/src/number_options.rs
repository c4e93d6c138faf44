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
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([f32::NAN, 2.0]).nan_to_num_with(NanToNumOptions::new());
    /// assert_eq!(x.to_vec::<f32>()?, [0.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new() -> NanToNumOptions {
        let (positive_infinity, negative_infinity) = (None, None);
        NanToNumOptions { nan: Scalar::Int(0), positive_infinity, negative_infinity }
    }

    /// Sets the number that replaces NaN.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([f32::NAN, 2.0]).nan_to_num_with(NanToNumOptions::new().nan(-1));
    /// assert_eq!(x.to_vec::<f32>()?, [-1.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn nan(self, x: impl Into<Scalar>) -> NanToNumOptions {
        NanToNumOptions { nan: x.into(), ..self }
    }

    /// Sets the number that replaces positive infinity.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let options = NanToNumOptions::new().positive_infinity(9);
    /// let x = tensor([f32::INFINITY, 2.0]).nan_to_num_with(options);
    /// assert_eq!(x.to_vec::<f32>()?, [9.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn positive_infinity(self, x: impl Into<Scalar>) -> NanToNumOptions {
        NanToNumOptions { positive_infinity: Some(x.into()), ..self }
    }

    /// Sets the number that replaces negative infinity.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let options = NanToNumOptions::new().negative_infinity(-9);
    /// let x = tensor([f32::NEG_INFINITY, 2.0]).nan_to_num_with(options);
    /// assert_eq!(x.to_vec::<f32>()?, [-9.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
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
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([1.0, 2.0]).isclose_with(&tensor([1.000001, 2.1]), CloseOptions::new());
    /// assert_eq!(y.to_vec::<bool>()?, [true, false]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new() -> CloseOptions {
        CloseOptions { relative: 1e-5, absolute: 1e-8, nan_is_equal: false }
    }

    /// Sets the tolerance relative to the absolute value of the other operand.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let options = CloseOptions::new().relative(0.1);
    /// let y = tensor([1.0, 10.0]).isclose_with(10.5, options);
    /// assert_eq!(y.to_vec::<bool>()?, [false, true]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn relative(self, relative: f64) -> CloseOptions {
        CloseOptions { relative, ..self }
    }

    /// Sets the absolute tolerance.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let options = CloseOptions::new().absolute(0.5);
    /// assert_eq!(tensor([0.0, 1.0]).isclose_with(0.25, options).to_vec::<bool>()?, [true, false]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn absolute(self, absolute: f64) -> CloseOptions {
        CloseOptions { absolute, ..self }
    }

    /// Makes NaN close to NaN.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([f32::NAN, 1.0]);
    /// assert_eq!(x.isclose_with(&x, CloseOptions::new()).to_vec::<bool>()?, [false, true]);
    /// let y = x.isclose_with(&x, CloseOptions::new().equal_nan());
    /// assert_eq!(y.to_vec::<bool>()?, [true, true]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn equal_nan(self) -> CloseOptions {
        CloseOptions { nan_is_equal: true, ..self }
    }
}
