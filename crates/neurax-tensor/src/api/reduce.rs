//! Reductions: sums, means, extrema, variances and norms over axes.
//!
//! Functions with an argument `axes` remove these axes; [`crate::keep`] keeps them with size 1.
//! `..` reduces all axes.

use super::common::{promote_operands, tensor_or_error};
use crate::{
    ArgOptions, DType, IntoAxes, Operand, Tensor,
    args::axes_or_error,
    dispatch::dispatch,
    operators::{float_operand, float_operands},
    stop_gradient,
    tensor::CallSite,
};
use neurax_ir::op::{ArgKind, ArgReduce, Reduce, ReduceKind};
use std::panic::Location;

impl Tensor {
    /// Reduces over `axes`; errors name the function `name`.
    pub(crate) fn reduce_at(
        &self,
        kind: ReduceKind,
        name: &str,
        axes: &dyn IntoAxes,
        at: CallSite,
    ) -> Tensor {
        match axes_or_error(self, axes, name, at) {
            Ok(list) => self.reduce_list(kind, &list, axes.keep(), at),
            Err(e) => e,
        }
    }

    /// Reduces over axes counted from the front.
    pub(crate) fn reduce_list(
        &self,
        kind: ReduceKind,
        axes: &[usize],
        keep: bool,
        at: CallSite,
    ) -> Tensor {
        let y = if axes.is_empty() {
            self.clone()
        } else {
            dispatch(Reduce { kind, axes: axes.to_vec() }, [self.clone()], at)
        };
        if keep { y.reshaped(self.shape_without(axes, true), at) } else { y }
    }

    /// Converts bool and narrow integers to 32 bits, as NumPy does for sums and products, so that
    /// results do not wrap around immediately.
    pub(crate) fn widen_integers(&self, at: CallSite) -> Tensor {
        match self.dtype() {
            DType::Bool | DType::I2 | DType::I4 | DType::I8 | DType::I16 => {
                self.convert(DType::I32, at)
            }
            DType::U2 | DType::U4 | DType::U8 | DType::U16 => self.convert(DType::U32, at),
            _ => self.clone(),
        }
    }

    /// Computes the sum over `axes`: `sum(..)`, `sum(0)`, `sum([0, -1])`, `sum(keep(-1))`.
    ///
    /// Bool and integers below 32 bits are converted to 32 bits; other dtypes are kept. The sum of
    /// no elements is 0. Follows `numpy.sum`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[1.0, 2.0], [3.0, 4.0]]);
    /// assert_eq!(x.sum(0).to_vec::<f32>()?, [4.0, 6.0]);
    /// assert_eq!(x.sum(keep(-1)).shape(), [2, 1]);
    /// assert_eq!(x.gt(1.5).sum(..).item()?, 3.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn sum(&self, axes: impl IntoAxes) -> Tensor {
        let at = Location::caller();
        self.widen_integers(at).reduce_at(ReduceKind::Sum, "sum", &axes, at)
    }

    /// Computes the product over `axes`.
    ///
    /// Bool and integers below 32 bits are converted to 32 bits; other dtypes are kept. The product
    /// of no elements is 1. Follows `numpy.prod`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([2.0, 3.0, 4.0]).prod(..).item()?, 24.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn prod(&self, axes: impl IntoAxes) -> Tensor {
        let at = Location::caller();
        self.widen_integers(at).reduce_at(ReduceKind::Prod, "prod", &axes, at)
    }

    /// Computes the mean over `axes`.
    ///
    /// Integers and bool are converted to f32. Floats below 32 bits are summed in f32 and rounded
    /// once. The mean of no elements is NaN. Follows `numpy.mean`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1, 2]).mean(..).item()?, 1.5);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn mean(&self, axes: impl IntoAxes) -> Tensor {
        self.mean_at(&axes, Location::caller())
    }

    /// Returns the mean over `axes`.
    fn mean_at(&self, axes: &dyn IntoAxes, at: CallSite) -> Tensor {
        let mean = || {
            let list = axes_or_error(self, axes, "mean", at)?;
            let (x, dtype) = self.clone().float(at).wide(at);
            Ok(x.mean_list(&list, axes.keep(), 0, at).convert(dtype, at))
        };
        tensor_or_error(mean())
    }

    /// Divides the sum of floats by the number of elements minus `ddof`.
    pub(crate) fn mean_list(
        &self,
        axes: &[usize],
        keep: bool,
        ddof: usize,
        at: CallSite,
    ) -> Tensor {
        let count: usize = axes.iter().map(|&a| self.shape()[a]).product();
        let sum = self.reduce_list(ReduceKind::Sum, axes, keep, at);
        // If `ddof` is the number of elements or more, the result is NaN or infinity, as in NumPy.
        let count = sum.number(count.saturating_sub(ddof) as f64);
        sum.divide(count, at)
    }

    /// Returns the largest element over `axes`; NaN if an element is NaN.
    ///
    /// The dtype is kept. The maximum of no elements is the least value of the dtype. Follows
    /// `numpy.max`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([[1, 5], [7, 2]]).max(0).to_vec::<i32>()?, [7, 5]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn max(&self, axes: impl IntoAxes) -> Tensor {
        self.reduce_at(ReduceKind::Max, "max", &axes, Location::caller())
    }

    /// Returns the smallest element over `axes`; NaN if an element is NaN.
    ///
    /// The dtype is kept. The minimum of no elements is the greatest value of the dtype. Follows
    /// `numpy.min`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([[1, 5], [7, 2]]).min(0).to_vec::<i32>()?, [1, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn min(&self, axes: impl IntoAxes) -> Tensor {
        self.reduce_at(ReduceKind::Min, "min", &axes, Location::caller())
    }

    /// Returns the index of an extremum over `axes`.
    #[track_caller]
    pub(super) fn arg_reduce(
        &self,
        kind: ArgKind,
        name: &str,
        axes: &dyn IntoAxes,
        options: &ArgOptions,
    ) -> Tensor {
        let at = Location::caller();
        let list = match axes_or_error(self, axes, name, at) {
            Ok(list) => list,
            Err(e) => return e,
        };
        let (x, axis) = match list[..] {
            [axis] => (self.clone(), axis),
            _ => (self.merge_axes_last(&list, at), self.rank() - list.len()),
        };
        let x = if options.is_last { x.flip(axis) } else { x };
        let count = x.shape().get(axis).copied().unwrap_or_default();
        let index = dispatch(ArgReduce { kind, axis }, [x], at);
        let index = if options.is_last { index.number(count) - 1 - index } else { index };
        index.reshaped(self.shape_without(&list, axes.keep()), at)
    }

    /// Returns the index of the largest element over `axes`, i32.
    ///
    /// Over several axes, as `..` for all of them, it is the index in the row-major order of these
    /// axes. It is the first index of equal elements; NaN counts as the largest.
    /// [`Tensor::argmax_with`] has options. Follows `numpy.argmax`.
    ///
    /// # Errors
    ///
    /// The result carries an error if there are no elements.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[1.0, 3.0], [5.0, 4.0]]);
    /// assert_eq!(x.argmax(-1).to_vec::<i32>()?, [1, 0]);
    /// assert_eq!(x.argmax(..).item()?, 2.0);
    /// assert_eq!(x.argmax(keep(0)).shape(), [1, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn argmax(&self, axes: impl IntoAxes) -> Tensor {
        self.arg_reduce(ArgKind::Max, "argmax", &axes, &ArgOptions::new())
    }

    /// Returns the index of the smallest element over `axes`, i32.
    ///
    /// Over several axes, as `..` for all of them, it is the index in the row-major order of these
    /// axes. It is the first index of equal elements; NaN counts as the smallest.
    /// [`Tensor::argmin_with`] has options. Follows `numpy.argmin`.
    ///
    /// # Errors
    ///
    /// The result carries an error if there are no elements.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([[1.0, 3.0], [5.0, 4.0]]).argmin(0).to_vec::<i32>()?, [0, 0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn argmin(&self, axes: impl IntoAxes) -> Tensor {
        self.arg_reduce(ArgKind::Min, "argmin", &axes, &ArgOptions::new())
    }

    /// Counts the elements that are not 0 over `axes`, i32. Follows `numpy.count_nonzero`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([0.0, 2.0, -1.0]).count_nonzero(..).item()?, 2.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn count_nonzero(&self, axes: impl IntoAxes) -> Tensor {
        let at = Location::caller();
        self.to_bool(at).convert(DType::I32, at).reduce_at(
            ReduceKind::Sum,
            "count_nonzero",
            &axes,
            at,
        )
    }

    /// Computes the largest minus the smallest element over `axes`. Follows `numpy.ptp`.
    ///
    /// # Errors
    ///
    /// The result carries an error if there are no elements.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([3.0, -1.0, 2.0]).ptp(..).item()?, 4.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn ptp(&self, axes: impl IntoAxes) -> Tensor {
        let at = Location::caller();
        let list = match axes_or_error(self, &axes, "ptp", at) {
            Ok(list) => list,
            Err(e) => return e,
        };
        if list.iter().any(|&a| self.shape()[a] == 0) {
            let why = format!("expected at least one element, got {}", self.dtype_and_shape());
            return Tensor::fail("ptp", why, at);
        }
        let high = self.reduce_at(ReduceKind::Max, "ptp", &axes, at);
        high - self.reduce_at(ReduceKind::Min, "ptp", &axes, at)
    }

    /// Computes the sum over `axes`, with NaN counted as 0. Follows `numpy.nansum`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1.0, f32::NAN, 2.0]).nansum(..).item()?, 3.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn nansum(&self, axes: impl IntoAxes) -> Tensor {
        self.is_nan().select(0, self).sum(axes)
    }

    /// Computes the product over `axes`, with NaN counted as 1. Follows `numpy.nanprod`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([3.0, f32::NAN, 2.0]).nanprod(..).item()?, 6.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn nanprod(&self, axes: impl IntoAxes) -> Tensor {
        self.is_nan().select(1, self).prod(axes)
    }

    /// Computes the mean over `axes` of the elements that are not NaN; NaN if all are.
    ///
    /// Integers and bool are converted to f32. Follows `numpy.nanmean`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1.0, f32::NAN, 2.0]).nanmean(..).item()?, 1.5);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn nanmean(&self, axes: impl IntoAxes) -> Tensor {
        let at = Location::caller();
        let nan = self.is_nan();
        let (x, dtype) = nan.select(0, self).float(at).wide(at);
        let count = nan.logical_not().convert(x.dtype(), at).reduce_at(
            ReduceKind::Sum,
            "nanmean",
            &axes,
            at,
        );
        let sum = x.reduce_at(ReduceKind::Sum, "nanmean", &axes, at);
        sum.divide(count, at).convert(dtype, at)
    }

    /// Returns the largest element over `axes` that is not NaN; NaN if all are. Follows
    /// `numpy.nanmax`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1.0, f32::NAN, 2.0]).nanmax(..).item()?, 2.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn nanmax(&self, axes: impl IntoAxes) -> Tensor {
        self.nan_extreme(ReduceKind::Max, f64::NEG_INFINITY, "nanmax", &axes)
    }

    /// Returns the smallest element over `axes` that is not NaN; NaN if all are. Follows
    /// `numpy.nanmin`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1.0, f32::NAN, 2.0]).nanmin(..).item()?, 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn nanmin(&self, axes: impl IntoAxes) -> Tensor {
        self.nan_extreme(ReduceKind::Min, f64::INFINITY, "nanmin", &axes)
    }

    /// Reduces over `axes` with NaN replaced by `least`, the identity element of `kind`.
    #[track_caller]
    fn nan_extreme(&self, kind: ReduceKind, least: f64, name: &str, axes: &dyn IntoAxes) -> Tensor {
        let at = Location::caller();
        if !self.dtype().is_float() {
            return self.reduce_at(kind, name, axes, at);
        }
        let nan = self.is_nan();
        let best = nan.select(least, self).reduce_at(kind, name, axes, at);
        nan.reduce_at(ReduceKind::And, name, axes, at).select(f64::NAN, best)
    }

    /// Computes the weighted mean over `axes`: `sum(w x) / sum(w)`.
    ///
    /// `weights` broadcasts to the shape of the tensor. Integers and bool are converted to f32.
    /// Follows `numpy.average`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1.0, 2.0]).average(tensor([3.0, 1.0]), ..).item()?, 1.25);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn average(&self, weights: impl Operand, axes: impl IntoAxes) -> Tensor {
        let at = Location::caller();
        let (x, weights) = float_operands(self.clone(), float_operand(weights, self), at);
        let both = promote_operands("average", &[x, weights], at);
        let ((x, dtype), (weights, _)) = match both.as_deref() {
            Ok([x, weights]) => (x.wide(at), weights.wide(at)),
            Ok(_) => return self.clone(),
            Err(e) => return e.clone(),
        };
        let total = weights.broadcast_to(x.shape());
        let mean = (x * weights).reduce_at(ReduceKind::Sum, "average", &axes, at)
            / total.reduce_at(ReduceKind::Sum, "average", &axes, at);
        mean.convert(dtype, at)
    }

    /// Computes the variance over `axes`: the sum of the squared deviations from the mean, divided
    /// by the number of elements minus `ddof`.
    ///
    /// With `ddof` of 0 it is the variance of the elements, with 1 an unbiased estimate for the
    /// population they are drawn from. Integers and bool are converted to f32; floats below 32 bits
    /// are computed in f32 and rounded once. For complex numbers the absolute values of the
    /// deviations are squared, and the result is real. Follows `numpy.var`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1.0, 2.0, 3.0]);
    /// assert_eq!((x.var(.., 1).item()?, x.var(keep(..), 1).shape().len()), (1.0, 1));
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn var(&self, axes: impl IntoAxes, ddof: usize) -> Tensor {
        let at = Location::caller();
        tensor_or_error(self.variance("var", &axes, ddof).map(|(v, dtype)| v.convert(dtype, at)))
    }

    /// Computes the standard deviation over `axes`: the square root of [`Tensor::var`].
    ///
    /// The derivative where it is 0 is defined as 0. Follows `numpy.std`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1.0, 3.0]).std(.., 0).item()?, 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn std(&self, axes: impl IntoAxes, ddof: usize) -> Tensor {
        let at = Location::caller();
        match self.variance("std", &axes, ddof) {
            Ok((v, dtype)) => v.sqrt_flat_at_zero().convert(dtype, at),
            Err(e) => e,
        }
    }

    /// Computes the variance, and the dtype to which the result is to be converted.
    #[track_caller]
    fn variance(
        &self,
        name: &str,
        axes: &dyn IntoAxes,
        ddof: usize,
    ) -> Result<(Tensor, DType), Tensor> {
        let at = Location::caller();
        let list = axes_or_error(self, axes, name, at)?;
        let (x, dtype) = self.clone().float(at).wide(at);
        let deviation = x.deviation(|x| x.mean_list(&list, true, 0, at));
        Ok((deviation.squared_modulus().mean_list(&list, axes.keep(), ddof, at), dtype.real()))
    }

    /// Computes `|x|^2` without the absolute value, whose kink at 0 makes second derivatives wrong.
    #[track_caller]
    pub(super) fn squared_modulus(&self) -> Tensor {
        if self.dtype().is_complex() {
            self.real().square() + self.imag().square()
        } else {
            self.square()
        }
    }

    /// Computes the deviations of floats from `mean`, the function that computes their means. A
    /// rounded mean that is large against the deviations shifts them all, so the mean of the
    /// deviations is subtracted as well; its derivative is 0.
    #[track_caller]
    pub(crate) fn deviation(&self, mean: impl Fn(&Tensor) -> Tensor) -> Tensor {
        let shifted = self - mean(self);
        &shifted - stop_gradient(&mean(&shifted))
    }

    /// Computes the square root with derivative 0 at 0 instead of infinity: multiplied by a
    /// cotangent of 0, infinity would be NaN.
    #[track_caller]
    pub(crate) fn sqrt_flat_at_zero(&self) -> Tensor {
        let zero = self.equal(0);
        zero.select(0, zero.select(1, self).sqrt())
    }

    /// Computes the Euclidean norm of vectors over `axes`: `sqrt(sum(|x|^2))`.
    ///
    /// The derivative at the zero vector is defined as 0. Integers and bool are converted to f32.
    /// Follows `numpy.linalg.norm`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([3.0, 4.0]).norm(..).item()?, 5.0);
    /// let slope = grad(|x: Tensor| x.norm(..)).run(tensor([0.0, 0.0]))?;
    /// assert_eq!(slope.to_vec::<f32>()?, [0.0, 0.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn norm(&self, axes: impl IntoAxes) -> Tensor {
        let at = Location::caller();
        let (x, dtype) = self.clone().float(at).wide(at);
        x.squared_modulus()
            .reduce_at(ReduceKind::Sum, "norm", &axes, at)
            .sqrt_flat_at_zero()
            .convert(dtype.real(), at)
    }

    /// Computes the norm of vectors of order `p` over `axes`: `sum(|x|^p)^(1/p)`.
    ///
    /// Order infinity is the largest absolute value, negative infinity the smallest, 0 the number
    /// of elements that are not 0. Integers and bool are converted to f32; floats below 32 bits
    /// are computed in f32 and rounded once. For an order below 2, elements that are 0 count as
    /// constants in derivatives: their absolute value has an infinite second derivative, below
    /// order 1 also an infinite first one. Follows `numpy.linalg.norm`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([3.0, -4.0]);
    /// assert_eq!(x.norm_of_order(1.0, ..).item()?, 7.0);
    /// assert_eq!(x.norm_of_order(f64::INFINITY, ..).item()?, 4.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn norm_of_order(&self, p: f64, axes: impl IntoAxes) -> Tensor {
        let at = Location::caller();
        if p == 2.0 {
            return self.norm(axes);
        }
        let (x, dtype) = self.clone().float(at).abs().wide(at);
        let reduce = |x: Tensor, kind: ReduceKind| x.reduce_at(kind, "norm_of_order", &axes, at);
        let norm = match p {
            // Absolute values are at least 0, and so is the largest of none.
            f64::INFINITY if x.size() == 0 => reduce(x, ReduceKind::Sum),
            f64::INFINITY => reduce(x, ReduceKind::Max),
            f64::NEG_INFINITY => reduce(x, ReduceKind::Min),
            0.0 => reduce(x.not_equal(0).convert(x.dtype(), at), ReduceKind::Sum),
            1.0 => reduce(x, ReduceKind::Sum),
            _ => {
                let sum = reduce(x.power_of_modulus(p), ReduceKind::Sum);
                let zero = sum.equal(0);
                zero.select(0, zero.select(1, sum).pow(1.0 / p))
            }
        };
        norm.convert(dtype, at)
    }

    /// Computes `x^p` of absolute values; for `p` below 2, zeros are constants.
    #[track_caller]
    fn power_of_modulus(&self, p: f64) -> Tensor {
        if p >= 2.0 {
            return self.pow(p);
        }
        let zero = self.equal(0);
        zero.select(0f64.powf(p), zero.select(1, self).pow(p))
    }
}
