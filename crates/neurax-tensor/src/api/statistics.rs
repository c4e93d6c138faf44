//! Quantiles, covariances and correlations.

use super::common::tensor_or_error;
use crate::{
    DType, IntoAxes, Operand, Tensor, args::axes_or_error, stop_gradient, tensor::CallSite,
};
use std::panic::Location;

impl Tensor {
    /// Computes the median over `axes`: the middle element in order, or the mean of the two middle
    /// elements.
    ///
    /// The result is NaN if an element is NaN. Integers and bool are converted to f32. Follows
    /// `numpy.median`.
    ///
    /// # Errors
    ///
    /// The result carries an error if there are no elements, and for complex numbers.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[3.0, 1.0, 2.0], [4.0, 9.0, 5.0]]);
    /// assert_eq!(x.median(1).to_vec::<f32>()?, [2.0, 5.0]);
    /// assert_eq!(tensor([4, 1]).median(..).item()?, 2.5);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn median(&self, axes: impl IntoAxes) -> Tensor {
        tensor_or_error(self.quantiles("median", &Tensor::scalar(DType::F32, 0.5), &axes))
    }

    /// Computes quantiles over `axes`: the value below which the fraction `q` (0 to 1) of the
    /// elements is, interpolated linearly between adjacent elements in order.
    ///
    /// `q` is a number or a vector; a vector becomes the first axis of the result. The result is
    /// NaN if an element is NaN. Integers and bool are converted to f32. Follows `numpy.quantile`.
    /// The derivative by `q` is the slope between the adjacent elements, and 0 where `q` is exactly
    /// the position of an element, as in JAX.
    ///
    /// # Errors
    ///
    /// The result carries an error if there are no elements, if `q` has more than one axis, and for
    /// complex numbers.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1.0, 2.0, 3.0, 4.0, 5.0]);
    /// assert_eq!(x.quantile(0.375, ..).item()?, 2.5);
    /// assert_eq!(x.quantile(tensor([0.0, 1.0]), ..).to_vec::<f32>()?, [1.0, 5.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn quantile(&self, q: impl Operand, axes: impl IntoAxes) -> Tensor {
        let at = Location::caller();
        let (x, _) = self.clone().float(at).wide(at);
        tensor_or_error(self.quantiles("quantile", &q.operand(&x), &axes))
    }

    /// Computes percentiles over `axes`: [`Tensor::quantile`] with `q` from 0 to 100. Follows
    /// `numpy.percentile`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1.0, 2.0, 3.0]).percentile(75, ..).item()?, 2.5);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn percentile(&self, q: impl Operand, axes: impl IntoAxes) -> Tensor {
        let at = Location::caller();
        let (x, _) = self.clone().float(at).wide(at);
        tensor_or_error(self.quantiles("percentile", &(q.operand(&x) / 100.0), &axes))
    }

    /// Computes quantiles `q` over `axes`; errors name the function `op`.
    #[track_caller]
    fn quantiles(&self, op: &str, q: &Tensor, axes: &dyn IntoAxes) -> Result<Tensor, Tensor> {
        let at = Location::caller();
        let (x, dtype) = self.real_float(op, at)?.wide(at);
        let list = axes_or_error(&x, axes, op, at)?;
        let q = q.real_float(op, at)?;
        let merged = x.merge_axes_last(&list, at);
        let last = merged.rank() - 1;
        let n = merged.shape()[last];
        if n == 0 || q.rank() > 1 {
            let why = format!(
                "expected at least one element and a scalar or vector `q`, got {} and q {}",
                self.dtype_and_shape(),
                q.dtype_and_shape()
            );
            return Err(Tensor::fail(op, why, at));
        }
        let position = (q * (n - 1) as f64).clip(0, (n - 1) as f64);
        let (low, high) = (position.floor(), position.ceil());
        let weight = (&position - &low).convert(x.dtype(), at);
        let sorted = merged.sort(last);
        // No closure: it would hide the line of the caller.
        let a = sorted.take(low.convert(DType::I32, at), last);
        let b = sorted.take(high.convert(DType::I32, at), last);
        let between = between(&a, &b, &weight);
        let nan = merged.is_nan().any(last);
        let y = match position.rank() {
            0 => nan.select(f64::NAN, between),
            _ => nan.select(f64::NAN, between.move_axis(last, 0)),
        };
        let shape = [&position.shape()[..], &x.shape_without(&list, axes.keep())].concat();
        Ok(y.reshaped(shape, at).convert(dtype, at))
    }

    /// Computes the covariance matrix of variables: each row is a variable, each column an
    /// observation.
    ///
    /// Sums are divided by the number of observations minus `ddof`. A vector is one variable.
    /// Integers and bool are converted to f32; floats below 32 bits are computed in f32 and rounded
    /// once. Follows `numpy.cov`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `self` is neither a vector nor a matrix.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]);
    /// assert_eq!(x.cov(1).to_vec::<f32>()?, [1.0, -1.0, -1.0, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn cov(&self, ddof: usize) -> Tensor {
        let at = Location::caller();
        if let Err(e) = self.vector_or_matrix("cov", at) {
            return e;
        }
        let (x, dtype) = self.clone().float(at).wide(at);
        x.row_deviations().products_of_rows(ddof).convert(dtype, at)
    }

    /// Returns the deviations of the elements of each row from their mean.
    #[track_caller]
    fn row_deviations(&self) -> Tensor {
        self.deviation(|x| x.mean(crate::keep(-1)))
    }

    /// Computes the sum of products of each row with each row, divided by the size of a row minus
    /// `ddof`.
    #[track_caller]
    fn products_of_rows(&self, ddof: usize) -> Tensor {
        let other = if self.dtype().is_complex() { self.conj() } else { self.clone() };
        self.matmul(other.t()) / self.dim(-1).saturating_sub(ddof) as f64
    }

    /// Computes the correlation coefficients of variables, each in a row: [`Tensor::cov`] divided
    /// by the standard deviations.
    ///
    /// Squares neither overflow nor vanish, and real coefficients are from -1 to 1. Floats below 32
    /// bits are computed in f32 and rounded once. Follows `numpy.corrcoef`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `self` is neither a vector nor a matrix.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[0.0, 1.0, 2.0], [4.0, 2.0, 0.0]]);
    /// assert_eq!(x.corrcoef().to_vec::<f32>()?, [1.0, -1.0, -1.0, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn corrcoef(&self) -> Tensor {
        let at = Location::caller();
        if let Err(e) = self.vector_or_matrix("corrcoef", at) {
            return e;
        }
        let (x, dtype) = self.clone().float(at).wide(at);
        let deviations = x.row_deviations();
        let c = deviations.scaled_to_one(deviations.rank() - 1, at).products_of_rows(1);
        let r = match c.rank() {
            0 => c.clone() / c,
            _ => {
                let deviation = c.diagonal(0, 0, 1).real().sqrt();
                &c / deviation.outer(&deviation)
            }
        };
        // Only rounding leads beyond 1: the derivative is that of the exact quotient.
        let beyond = if r.dtype().is_complex() { None } else { Some(r.clip(-1, 1) - &r) };
        beyond.map_or(r.clone(), |beyond| r + stop_gradient(&beyond)).convert(dtype, at)
    }

    /// Checks that the tensor is a vector or a matrix.
    ///
    /// # Errors
    ///
    /// Returns a tensor that carries the error of `op` if it is not.
    fn vector_or_matrix(&self, op: &str, at: CallSite) -> Result<(), Tensor> {
        let ty = self.type_or_error()?;
        if !matches!(ty.rank(), 1 | 2) {
            let why = format!("expected a vector or a matrix, got {ty}");
            return Err(Tensor::fail(op, why, at));
        }
        Ok(())
    }
}

/// Interpolates linearly from `a` to `b`, which may be infinite or farther apart than the largest
/// number, with a `weight` from 0 to 1. At 0 the result is `a`, even if `b` is infinite, and at 1
/// it is `b`.
#[track_caller]
pub(crate) fn between(a: &Tensor, b: &Tensor, weight: &Tensor) -> Tensor {
    let no_a = weight.equal(1) & a.is_finite().logical_not();
    let no_b = weight.equal(0) & b.is_finite().logical_not();
    let (a, b) = (&no_a.select(b, a), &no_b.select(a, b));
    // The difference of two equal infinities is NaN.
    let distance = (a.equal(b) & a.is_finite().logical_not()).select(0, b - a);
    let finite = distance.is_finite();
    let near = a + weight * finite.select(&distance, 0);
    let far = a * (1 - weight) + b * weight;
    finite.select(near, far)
}
