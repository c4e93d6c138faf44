//! Quantiles, covariances and correlations.

use super::common::tensor_or_error;
use crate::{
    CovOptions, DType, IntoAxes, Operand, QuantileMethod, QuantileOptions, Scalar, Tensor,
    args::axes_or_error, stop_gradient, tensor::CallSite,
};
use neurax_ir::op::{Binary, ReduceKind};
use std::panic::Location;

/// The function that computes quantiles.
pub(super) struct QuantileOf {
    /// The name for errors.
    pub op: &'static str,
    pub options: QuantileOptions,
    /// True if elements that are NaN are left out; else the result is NaN.
    pub skips_nan: bool,
}

impl QuantileOf {
    /// Returns the function `op` of all elements, without options.
    fn all(op: &'static str) -> QuantileOf {
        QuantileOf { op, options: QuantileOptions::new(), skips_nan: false }
    }

    /// Returns the function `op` of the elements that are not NaN, without options.
    pub(super) fn known(op: &'static str) -> QuantileOf {
        QuantileOf { skips_nan: true, ..QuantileOf::all(op) }
    }
}

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
        let q = Tensor::scalar(DType::F32, 0.5);
        tensor_or_error(self.quantiles(&QuantileOf::all("median"), &q, &axes))
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
    /// The result carries an error if there are no elements, if `q` has more than one axis or is a
    /// number out of range, and for complex numbers. Elements of a tensor `q` are clamped.
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
        self.quantile_with(q, axes, QuantileOptions::new())
    }

    /// Computes quantiles over `axes` with options: [`Tensor::quantile`]. Follows
    /// `jax.numpy.quantile` with `method`.
    ///
    /// # Errors
    ///
    /// The result carries an error if there are no elements, if `q` has more than one axis or is a
    /// number out of range, and for complex numbers. Elements of a tensor `q` are clamped.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1.0, 2.0, 3.0, 4.0]);
    /// let lower = QuantileOptions::new().method(QuantileMethod::Lower);
    /// assert_eq!(x.quantile_with(0.5, .., lower).item()?, 2.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn quantile_with(
        &self,
        q: impl Operand,
        axes: impl IntoAxes,
        options: QuantileOptions,
    ) -> Tensor {
        let of = QuantileOf { options, ..QuantileOf::all("quantile") };
        self.quantiles_of(of, q, 1.0, axes)
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
        self.percentile_with(q, axes, QuantileOptions::new())
    }

    /// Computes percentiles over `axes` with options: [`Tensor::quantile_with`] with `q` from 0 to
    /// 100. Follows `jax.numpy.percentile` with `method`.
    ///
    /// # Errors
    ///
    /// The result carries an error if there are no elements, if `q` has more than one axis or is a
    /// number out of range, and for complex numbers. Elements of a tensor `q` are clamped.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let nearest = QuantileOptions::new().method(QuantileMethod::Nearest);
    /// assert_eq!(tensor([1.0, 2.0, 3.0]).percentile_with(80, .., nearest).item()?, 3.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn percentile_with(
        &self,
        q: impl Operand,
        axes: impl IntoAxes,
        options: QuantileOptions,
    ) -> Tensor {
        let of = QuantileOf { options, ..QuantileOf::all("percentile") };
        self.quantiles_of(of, q, 100.0, axes)
    }

    /// Computes the quantiles `q / whole` over `axes` as `of` says, with `q` in the dtype of the
    /// result.
    #[track_caller]
    pub(super) fn quantiles_of(
        &self,
        of: QuantileOf,
        q: impl Operand,
        whole: f64,
        axes: impl IntoAxes,
    ) -> Tensor {
        let at = Location::caller();
        let (x, _) = self.clone().float(at).wide(at);
        let given = match q.number() {
            Some(Scalar::Int(q)) => Some(q as f64),
            Some(Scalar::Float(q)) => Some(q),
            _ => None,
        };
        if let Some(q) = given.filter(|q| !(0.0..=whole).contains(q)) {
            return Tensor::fail(
                of.op,
                format!("expected a number from 0 to {whole}, got {q}"),
                at,
            );
        }
        let q = q.operand(&x);
        let q = if whole == 1.0 { q } else { q / whole };
        tensor_or_error(self.quantiles(&of, &q, &axes))
    }

    /// Computes quantiles `q` over `axes` as `of` says.
    #[track_caller]
    pub(super) fn quantiles(
        &self,
        of: &QuantileOf,
        q: &Tensor,
        axes: &dyn IntoAxes,
    ) -> Result<Tensor, Tensor> {
        let (at, op) = (Location::caller(), of.op);
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
        let nan = merged.is_nan();
        let sorted = merged.sort(last);
        let y = if of.skips_nan {
            // One position for each row and each entry of `q`, which is the last axis.
            let known = nan.logical_not().convert(q.dtype(), at).sum(crate::keep(last));
            let [a, b, weight] = neighbours(&q.reshaped([q.size()], at), &known, of.options.method);
            let (a, b) = (sorted.take_along_axis(&a, last), sorted.take_along_axis(&b, last));
            let y = of.options.method.value(&a, &b, &weight.convert(x.dtype(), at));
            if q.rank() == 0 { y.squeeze(last) } else { y }
        } else {
            let known = Tensor::scalar(q.dtype(), n as f64);
            let [a, b, weight] = neighbours(&q, &known, of.options.method);
            let (a, b) = (sorted.take(a, last), sorted.take(b, last));
            let y = of.options.method.value(&a, &b, &weight.convert(x.dtype(), at));
            let nan = if q.rank() == 0 { nan.any(last) } else { nan.any(crate::keep(last)) };
            nan.select(f64::NAN, y)
        };
        let y = if q.rank() == 0 { y } else { y.move_axis(last, 0) };
        let shape = [&q.shape()[..], &x.shape_without(&list, axes.keep())].concat();
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

    /// Computes the covariance matrix of variables with weights of the observations:
    /// [`Tensor::cov`].
    ///
    /// Sums are divided by `w - ddof sum(w a) / w`, where `w` is the sum of the products of
    /// frequencies and weights, and `a` are the weights. Follows `jax.numpy.cov` with `fweights`
    /// and `aweights`; the absolute values of the weights count. Variables in columns are
    /// transposed first, those of a second tensor concatenated along axis 0.
    ///
    /// # Errors
    ///
    /// The result carries an error if `self` is neither a vector nor a matrix, if weights are not a
    /// vector with one for each observation, and if frequencies are not integers.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]);
    /// let options = CovOptions::new().weights(tensor([1.0, 0.0, 1.0]));
    /// assert_eq!(x.cov_with(0, options).to_vec::<f32>()?, [1.0, -1.0, -1.0, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn cov_with(&self, ddof: usize, options: CovOptions) -> Tensor {
        tensor_or_error(self.weighted_cov(ddof, &options))
    }

    #[track_caller]
    fn weighted_cov(&self, ddof: usize, options: &CovOptions) -> Result<Tensor, Tensor> {
        let at = Location::caller();
        self.vector_or_matrix("cov_with", at)?;
        let (x, dtype) = self.clone().float(at).wide(at);
        let mut weights = vec![];
        for (given, is_count) in [(&options.frequencies, true), (&options.weights, false)] {
            let Some(given) = given else { continue };
            let ty = given.type_or_error()?;
            let is_number = if is_count { ty.dtype.is_int() } else { !ty.dtype.is_complex() };
            if ty.shape[..] != [x.dim(-1)] || !is_number {
                let why = format!(
                    "expected a vector of {} weights, integers as frequencies, got {ty}",
                    x.dim(-1)
                );
                return Err(Tensor::fail("cov_with", why, at));
            }
            weights.push(given.abs().convert(dtype.real().at_least_f32(), at));
        }
        let weight = match &weights[..] {
            [] => return Ok(self.cov(ddof)),
            [one] => one.clone(),
            [first, rest @ ..] => {
                let mut product = first.clone();
                for other in rest {
                    product *= other;
                }
                product
            }
        };
        let total = weight.sum(..);
        let mean = |x: &Tensor| {
            let weighted = x.clone().binary(weight.clone(), Binary::Mul, at);
            let last = x.rank().saturating_sub(1);
            let sum = weighted.reduce_list(ReduceKind::Sum, &[last], true, at);
            sum.divide(total.clone(), at)
        };
        let deviation = x.deviation(mean);
        let correction = match &options.weights {
            Some(_) if ddof > 0 => (&weight * weights.last().unwrap_or(&weight)).sum(..) / &total,
            _ => total.ones_like(),
        };
        let scaled = &deviation * &weight;
        let other = if scaled.dtype().is_complex() { scaled.conj() } else { scaled };
        let count = total - correction * ddof as f64;
        Ok((deviation.matmul(other.t()) / count).convert(dtype, at))
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
        if deviations.error().is_some() {
            return deviations;
        }
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

/// Returns the indices in order, i32, of the two elements between which the quantiles `q` of
/// `known` elements lie, and the fraction of the way from one to the other.
#[track_caller]
fn neighbours(q: &Tensor, known: &Tensor, method: QuantileMethod) -> [Tensor; 3] {
    let at = Location::caller();
    let last = (known - 1).maximum(0);
    let position = match method {
        QuantileMethod::InvertedCdf => (q * known).ceil() - 1,
        _ => q * &last,
    };
    let position = position.clip(0, &last);
    let (low, high) = (position.floor(), position.ceil());
    let weight = position - &low;
    [low.convert(DType::I32, at), high.convert(DType::I32, at), weight]
}

impl QuantileMethod {
    /// Returns the value between `a` and `b` at the fraction `weight` of the way.
    #[track_caller]
    fn value(self, a: &Tensor, b: &Tensor, weight: &Tensor) -> Tensor {
        match self {
            QuantileMethod::Linear => between(a, b, weight),
            QuantileMethod::Lower | QuantileMethod::InvertedCdf => a.clone(),
            QuantileMethod::Higher => b.clone(),
            QuantileMethod::Midpoint => between(a, b, &weight.full_like(0.5)),
            QuantileMethod::Nearest => weight.le(0.5).select(a, b),
        }
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
