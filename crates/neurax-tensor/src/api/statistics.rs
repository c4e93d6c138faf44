//! Quantiles and covariances.

use super::common::tensor_or_error;
use crate::{DType, IntoAxes, Operand, Tensor, args::axes_or_error};
use std::panic::Location;

impl Tensor {
    /// The median over axes: the middle one in order, or the mean of the two in the middle. NaN if
    /// one is there. Integers and bool give f32.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([[3.0, 1.0, 2.0], [4.0, 9.0, 5.0]]).median(1).to_vec::<f32>()?, [2.0, 5.0]);
    /// assert_eq!(tensor([4, 1]).median(..).item()?, 2.5);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn median(&self, axes: impl IntoAxes) -> Tensor {
        tensor_or_error(self.quantiles("median", &Tensor::scalar(DType::F32, 0.5), &axes))
    }

    /// The number below which the part `q` (from 0 to 1) of the elements over axes is, in straight
    /// lines between neighbours in order. For a vector `q`, its axis is the first one of the
    /// result. NaN if one is there. Integers and bool give f32.
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

    /// [`Tensor::quantile`] with `q` from 0 to 100.
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

    #[track_caller]
    fn quantiles(&self, op: &str, q: &Tensor, axes: &impl IntoAxes) -> Result<Tensor, Tensor> {
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
        let place = (q * (n - 1) as f64).clip(0, (n - 1) as f64);
        let low = place.floor();
        let weight = (&place - &low).convert(x.dtype(), at);
        let low = low.convert(DType::I32, at);
        let sorted = merged.sort(last);
        let (a, b) = (sorted.take(&low, last), sorted.take((&low + 1).minimum(n - 1), last));
        // Exactly on an element, its neighbour does not matter, be it infinite.
        let between = weight.equal(0).select(&a, &a + &weight * (b - &a));
        let nan = merged.is_nan().any(last);
        let y = match place.rank() {
            0 => nan.select(f64::NAN, between),
            _ => nan.select(f64::NAN, between.move_axis(last, 0)),
        };
        let shape = [&place.shape()[..], &x.shape_without(&list, axes.keep())].concat();
        Ok(y.reshaped(shape, at).convert(dtype, at))
    }

    /// The covariances of variables, one in each row, of which each column is an observation;
    /// `ddof` is taken from the number of observations. A vector is one variable. Integers and bool
    /// give f32.
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
        if self.error().is_none() && !matches!(self.rank(), 1 | 2) {
            return Tensor::fail(
                "cov",
                format!("expected a vector or a matrix, got {}", self.dtype_and_shape()),
                at,
            );
        }
        let x = self.clone().float(at);
        let far = &x - x.mean(crate::keep(-1));
        let other = if x.dtype().is_complex() { far.conj() } else { far.clone() };
        let observations = x.dim(-1).saturating_sub(ddof) as f64;
        far.matmul(other.t()) / observations
    }

    /// The correlation coefficients of variables, one in each row: [`Tensor::cov`] over the
    /// standard deviations.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[0.0, 1.0, 2.0], [4.0, 2.0, 0.0]]);
    /// assert_eq!(x.corrcoef().to_vec::<f32>()?, [1.0, -1.0, -1.0, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn corrcoef(&self) -> Tensor {
        let c = self.cov(1);
        if c.rank() == 0 {
            return c.clone() / c;
        }
        let deviation = c.diagonal(0, 0, 1).real().sqrt();
        &c / deviation.outer(&deviation)
    }
}
