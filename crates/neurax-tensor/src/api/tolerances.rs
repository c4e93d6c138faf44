//! Rounding to decimals, replacing NaN and infinities, and comparing with tolerances.

use super::common::promote_and_broadcast;
use crate::{
    CloseOptions, DType, NanToNumOptions, Operand, Tensor,
    operators::{float_operand, float_operands},
};
use std::panic::Location;

impl Tensor {
    /// Rounds to `decimals` places behind the point, ties to even; a negative number counts places
    /// in front of the point.
    ///
    /// The dtype is kept. Floats below 32 bits are computed in f32. Integers are rounded to places
    /// in front of the point only, by way of f64. The derivative is 0. Follows `jax.numpy.round`
    /// with `decimals`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1.236, -0.111]).round_to(2).to_vec::<f32>()?, [1.24, -0.11]);
    /// assert_eq!(tensor([1234, 1250]).round_to(-2).to_vec::<i32>()?, [1200, 1200]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn round_to(&self, decimals: i32) -> Tensor {
        let at = Location::caller();
        let dtype = self.dtype();
        if dtype.is_complex() {
            return self.real().round_to(decimals).complex(self.imag().round_to(decimals));
        }
        let is_float = dtype.is_float();
        if decimals == 0 || (!is_float && decimals > 0) || dtype == DType::Bool {
            return if is_float { self.round() } else { self.clone() };
        }
        let x = if is_float { self.wide(at).0 } else { self.convert(DType::F64, at) };
        let factor = 10f64.powi(decimals.saturating_abs());
        let y = if decimals > 0 { x * factor } else { x / factor }.round();
        (if decimals > 0 { y / factor } else { y * factor }).convert(dtype, at)
    }

    /// Replaces NaN and infinities by the numbers of `options`, element by element:
    /// [`Tensor::nan_to_num`].
    ///
    /// Both parts of complex numbers are replaced; other dtypes stay. Follows
    /// `jax.numpy.nan_to_num`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([f32::NEG_INFINITY, f32::NAN, 1.0]);
    /// let options = NanToNumOptions::new().nan(5).negative_infinity(-7);
    /// assert_eq!(x.nan_to_num_with(options).to_vec::<f32>()?, [-7.0, 5.0, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn nan_to_num_with(&self, options: NanToNumOptions) -> Tensor {
        if self.dtype().is_complex() {
            let (re, im) = (self.real(), self.imag());
            return re.nan_to_num_with(options.clone()).complex(im.nan_to_num_with(options));
        }
        if !self.dtype().is_float() {
            return self.clone();
        }
        let mut y = self.nan_to_num();
        for (infinity, number) in [
            (f64::INFINITY, options.positive_infinity),
            (f64::NEG_INFINITY, options.negative_infinity),
        ] {
            let Some(number) = number else { continue };
            y = self.equal(infinity).select(self.number(number), y);
        }
        self.is_nan().select(self.number(options.nan), y)
    }

    /// Tests if elements are close, with options: [`Tensor::isclose`]. Follows
    /// `jax.numpy.isclose`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (x, y) = (tensor([1.0, f32::NAN]), tensor([1.1, f32::NAN]));
    /// let options = CloseOptions::new().equal_nan();
    /// assert_eq!(x.isclose_with(&y, options).to_vec::<bool>()?, [false, true]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn isclose_with(&self, other: impl Operand, options: CloseOptions) -> Tensor {
        let at = Location::caller();
        let (x, y) = float_operands(self.clone(), float_operand(other, self), at);
        let close = x.isclose(&y, options.relative, options.absolute);
        if !options.nan_is_equal || close.error().is_some() {
            return close;
        }
        match promote_and_broadcast("isclose_with", &[x, y], at).as_deref() {
            Ok([x, y]) => close | (x.is_nan() & y.is_nan()),
            Ok(_) => close,
            Err(e) => e.clone(),
        }
    }

    /// Tests if all elements are close, with options, as defined by [`Tensor::isclose_with`]: a
    /// bool scalar. Follows `jax.numpy.allclose`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1.0, f32::NAN]);
    /// assert_eq!(x.allclose_with(&x, CloseOptions::new()).to_vec::<bool>()?, [false]);
    /// let options = CloseOptions::new().equal_nan();
    /// assert_eq!(x.allclose_with(&x, options).to_vec::<bool>()?, [true]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn allclose_with(&self, other: impl Operand, options: CloseOptions) -> Tensor {
        self.isclose_with(other, options).all(..)
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn integers_and_narrow_floats_keep_their_dtype() {
        let x = tensor([15, 25, -151]);
        assert_eq!(x.round_to(-1).to_vec::<i32>().unwrap(), [20, 20, -150]);
        assert_eq!(x.round_to(3).to_vec::<i32>().unwrap(), [15, 25, -151]);
        let y = tensor([1.25, 0.046]).to(BF16).round_to(1);
        assert_eq!(
            (y.dtype(), y.to(F32).round_to(1).to_vec::<f32>().unwrap()),
            (BF16, vec![1.2, 0.0])
        );
        assert_eq!(tensor([0.5, 1.5]).round_to(0).to_vec::<f32>().unwrap(), [0.0, 2.0]);
        assert!(tensor([true]).round_to(-1).to_vec::<bool>().unwrap()[0]);
    }

    #[test]
    fn only_nan_equals_nan() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        let close = tensor([nan, nan, inf, inf])
            .isclose_with(tensor([nan, 1.0, inf, -inf]), CloseOptions::new().equal_nan());
        assert_eq!(close.to_vec::<bool>().unwrap(), [true, false, true, false]);
        assert!(tensor([1.0]).allclose_with(tensor([1.0; 3]), CloseOptions::new()).ok().is_ok());
    }
}
