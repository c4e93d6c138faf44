//! Reductions with masks, initial values and dtypes, and the most frequent element.
//!
//! The forms `_with` of the reductions take [`ReduceOptions`]. Elements that a mask leaves out are
//! replaced by the identity element of the operation, so that neither their values nor their
//! derivatives, NaN and infinities among them, have an influence.
//!
//! A reduction by a custom function, as `Nx.reduce` and `jax.lax.reduce` have it, is a
//! [`crate::scan`] along the first axis that returns its carry.

use super::common::tensor_or_error;
use crate::{
    ArgOptions, DType, IntoAxes, ReduceOptions, Tensor, args::axes_or_error, concat,
    tensor::CallSite,
};
use neurax_ir::op::{ArgKind, Binary, ReduceKind};
use std::panic::Location;

impl Tensor {
    /// Computes the sum over `axes` with options: [`Tensor::sum`].
    ///
    /// `initial` is added once to each result. Follows `jax.numpy.sum`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the mask is not bool or does not broadcast to the shape of
    /// the tensor.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[1, 2], [3, 4]]);
    /// let options = ReduceOptions::new().where_(x.gt(1)).initial(100).dtype(I64);
    /// assert_eq!(x.sum_with(0, options).to_vec::<i64>()?, [103, 106]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn sum_with(&self, axes: impl IntoAxes, options: ReduceOptions) -> Tensor {
        let at = Location::caller();
        let x = options.dtype.map_or_else(|| self.widen_integers(at), |d| self.convert(d, at));
        tensor_or_error(x.reduce_with("sum_with", ReduceKind::Sum, &axes, &options))
    }

    /// Computes the product over `axes` with options: [`Tensor::prod`].
    ///
    /// Each result is multiplied once by `initial`. Follows `jax.numpy.prod`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the mask is not bool or does not broadcast to the shape of
    /// the tensor.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([0.0, 2.0, 3.0]);
    /// let options = ReduceOptions::new().where_(x.not_equal(0));
    /// assert_eq!(x.prod_with(.., options).item()?, 6.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn prod_with(&self, axes: impl IntoAxes, options: ReduceOptions) -> Tensor {
        let at = Location::caller();
        let x = options.dtype.map_or_else(|| self.widen_integers(at), |d| self.convert(d, at));
        tensor_or_error(x.reduce_with("prod_with", ReduceKind::Prod, &axes, &options))
    }

    /// Returns the largest of the elements over `axes` and the initial value, with options:
    /// [`Tensor::max`].
    ///
    /// Without an initial value, the maximum of no elements is the least value of the dtype.
    /// Follows `jax.numpy.max`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the mask is not bool or does not broadcast to the shape of
    /// the tensor.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[1, 9], [3, 4]]);
    /// let options = ReduceOptions::new().where_(x.lt(5)).initial(2);
    /// assert_eq!(x.max_with(1, options).to_vec::<i32>()?, [2, 4]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn max_with(&self, axes: impl IntoAxes, options: ReduceOptions) -> Tensor {
        tensor_or_error(self.reduce_with("max_with", ReduceKind::Max, &axes, &options))
    }

    /// Returns the smallest of the elements over `axes` and the initial value, with options:
    /// [`Tensor::min`].
    ///
    /// Without an initial value, the minimum of no elements is the greatest value of the dtype.
    /// Follows `jax.numpy.min`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the mask is not bool or does not broadcast to the shape of
    /// the tensor.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[1, 9], [3, 4]]);
    /// let options = ReduceOptions::new().where_(x.gt(2));
    /// assert_eq!(x.min_with(1, options).to_vec::<i32>()?, [9, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn min_with(&self, axes: impl IntoAxes, options: ReduceOptions) -> Tensor {
        tensor_or_error(self.reduce_with("min_with", ReduceKind::Min, &axes, &options))
    }

    /// Computes the mean over `axes` with options: [`Tensor::mean`].
    ///
    /// The sum is divided by the number of elements that the mask selects; the mean of no elements
    /// is NaN. Follows `jax.numpy.mean`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the mask is not bool or does not broadcast to the shape of
    /// the tensor, and if the dtype of the options is neither of floats nor complex.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[1.0, 2.0], [3.0, 8.0]]);
    /// let lower = ReduceOptions::new().where_(Tensor::ones_of(BOOL, [2, 2]).tril(0));
    /// assert_eq!(x.mean_with(1, lower).to_vec::<f32>()?, [1.0, 5.5]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn mean_with(&self, axes: impl IntoAxes, options: ReduceOptions) -> Tensor {
        tensor_or_error(self.selected_mean(&axes, &options))
    }

    #[track_caller]
    fn selected_mean(
        &self,
        axes: &dyn IntoAxes,
        options: &ReduceOptions,
    ) -> Result<Tensor, Tensor> {
        let at = Location::caller();
        let list = axes_or_error(self, axes, "mean_with", at)?;
        let (x, dtype) = self.float_for("mean_with", options, at)?;
        let selected = Selected::new("mean_with", &x, options, &list, at)?;
        Ok(selected.mean(&selected.x, axes.keep(), 0, at).convert(dtype, at))
    }

    /// Computes the variance over `axes` with options: [`Tensor::var`].
    ///
    /// The sum of the squared deviations from the mean of the elements that the mask selects is
    /// divided by their number minus `ddof`. Follows `jax.numpy.var`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the mask is not bool or does not broadcast to the shape of
    /// the tensor, and if the dtype of the options is neither of floats nor complex.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1.0, 3.0, f32::NAN]);
    /// let known = ReduceOptions::new().where_(!x.is_nan());
    /// assert_eq!(x.var_with(.., 1, known).item()?, 2.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn var_with(&self, axes: impl IntoAxes, ddof: usize, options: ReduceOptions) -> Tensor {
        let at = Location::caller();
        let variance = self.variance_with("var_with", &axes, ddof, &options);
        tensor_or_error(variance.map(|(v, dtype)| v.convert(dtype, at)))
    }

    /// Computes the standard deviation over `axes` with options: the square root of
    /// [`Tensor::var_with`].
    ///
    /// The derivative where it is 0 is defined as 0. Follows `jax.numpy.std`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the mask is not bool or does not broadcast to the shape of
    /// the tensor, and if the dtype of the options is neither of floats nor complex.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1.0, 3.0, f32::NAN]);
    /// let known = ReduceOptions::new().where_(!x.is_nan());
    /// assert_eq!(x.std_with(.., 0, known).item()?, 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn std_with(&self, axes: impl IntoAxes, ddof: usize, options: ReduceOptions) -> Tensor {
        let at = Location::caller();
        match self.variance_with("std_with", &axes, ddof, &options) {
            Ok((v, dtype)) => v.sqrt_flat_at_zero().convert(dtype, at),
            Err(e) => e,
        }
    }

    /// Tests if all elements over `axes` that the mask selects are true (not 0): [`Tensor::all`].
    ///
    /// True if there are none. Follows `jax.numpy.all`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the mask is not bool or does not broadcast to the shape of
    /// the tensor.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([true, false]);
    /// let first = ReduceOptions::new().where_(tensor([true, false]));
    /// assert_eq!(x.all_with(.., first).to_vec::<bool>()?, [true]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn all_with(&self, axes: impl IntoAxes, options: ReduceOptions) -> Tensor {
        let x = self.to_bool(Location::caller());
        tensor_or_error(x.reduce_with("all_with", ReduceKind::And, &axes, &options))
    }

    /// Tests if any element over `axes` that the mask selects is true (not 0): [`Tensor::any`].
    ///
    /// False if there are none. Follows `jax.numpy.any`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the mask is not bool or does not broadcast to the shape of
    /// the tensor.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([true, false]);
    /// let second = ReduceOptions::new().where_(tensor([false, true]));
    /// assert_eq!(x.any_with(.., second).to_vec::<bool>()?, [false]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn any_with(&self, axes: impl IntoAxes, options: ReduceOptions) -> Tensor {
        let x = self.to_bool(Location::caller());
        tensor_or_error(x.reduce_with("any_with", ReduceKind::Or, &axes, &options))
    }

    /// Returns the index of the largest element over `axes`, i32, with options:
    /// [`Tensor::argmax`].
    ///
    /// # Errors
    ///
    /// The result carries an error if there are no elements.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[5, 5], [1, 5]]);
    /// assert_eq!(x.argmax_with(0, ArgOptions::new().last()).to_vec::<i32>()?, [0, 1]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn argmax_with(&self, axes: impl IntoAxes, options: ArgOptions) -> Tensor {
        self.arg_reduce(ArgKind::Max, "argmax_with", &axes, &options)
    }

    /// Returns the index of the smallest element over `axes`, i32, with options:
    /// [`Tensor::argmin`].
    ///
    /// # Errors
    ///
    /// The result carries an error if there are no elements.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[1, 5], [1, 5]]);
    /// assert_eq!(x.argmin_with(.., ArgOptions::new().last()).item()?, 2.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn argmin_with(&self, axes: impl IntoAxes, options: ArgOptions) -> Tensor {
        self.arg_reduce(ArgKind::Min, "argmin_with", &axes, &options)
    }

    /// Returns the most frequent element over `axes`, the smallest one of equally frequent ones.
    ///
    /// NaN is not equal to itself, so it is counted once. The dtype is kept. Follows `Nx.mode` and
    /// the first result of `jax.scipy.stats.mode`.
    ///
    /// # Errors
    ///
    /// The result carries an error if there are no elements, and for complex numbers.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[2, 7, 7], [3, 3, 1]]);
    /// assert_eq!(x.mode(1).to_vec::<i32>()?, [7, 3]);
    /// assert_eq!(x.mode(..).item()?, 3.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn mode(&self, axes: impl IntoAxes) -> Tensor {
        tensor_or_error(self.try_mode(&axes))
    }

    #[track_caller]
    fn try_mode(&self, axes: &dyn IntoAxes) -> Result<Tensor, Tensor> {
        let at = Location::caller();
        let list = axes_or_error(self, axes, "mode", at)?;
        let merged = self.merge_axes_last(&list, at);
        let last = merged.rank() - 1;
        if merged.shape()[last] == 0 || self.dtype().is_complex() {
            let why = format!(
                "expected real numbers and at least one element, got {}",
                self.dtype_and_shape()
            );
            return Err(Tensor::fail("mode", why, at));
        }
        let x = merged.sort(last);
        // The index at which the run of equal elements begins that an element belongs to.
        let first = Tensor::ones_of(DType::Bool, x.slice(last, ..1).shape());
        let begins = concat([first, x.slice(last, 1..).not_equal(x.slice(last, ..-1))], last);
        let index = x.indices_along(last, at)?;
        let length = &index - begins.select(&index, 0).cummax(last);
        let longest = length.argmax(crate::keep(last));
        let shape = self.shape_without(&list, axes.keep());
        Ok(x.take_along_axis(&longest, last).reshaped(shape, at))
    }

    /// Reduces the elements that the mask selects, and the initial value.
    #[track_caller]
    fn reduce_with(
        &self,
        name: &str,
        kind: ReduceKind,
        axes: &dyn IntoAxes,
        options: &ReduceOptions,
    ) -> Result<Tensor, Tensor> {
        let at = Location::caller();
        let used: &[&str] = match kind {
            ReduceKind::Sum | ReduceKind::Prod => &["initial", "dtype"],
            ReduceKind::Max | ReduceKind::Min => &["initial"],
            _ => &[],
        };
        options.unused(used).map_or(Ok(()), |why| Err(Tensor::fail(name, why, at)))?;
        let identity = Tensor::from(kind.identity_element(self.type_or_error()?.dtype));
        let x = match self.mask_of(name, options, at)? {
            Some(mask) => mask.select(self, identity),
            None => self.clone(),
        };
        let y = x.reduce_at(kind, name, axes, at);
        let combine = match kind {
            ReduceKind::Sum => Binary::Add,
            ReduceKind::Prod => Binary::Mul,
            ReduceKind::Max => Binary::Max,
            _ => Binary::Min,
        };
        let with = |x| y.clone().binary(y.number(x), combine, at);
        Ok(options.initial.map_or_else(|| y.clone(), with))
    }

    /// Returns the mask of `options`, broadcast to the shape of this tensor.
    ///
    /// # Errors
    ///
    /// Returns a tensor that carries the error of `name` if the mask is not bool or does not
    /// broadcast.
    #[track_caller]
    pub(super) fn mask_of(
        &self,
        name: &str,
        options: &ReduceOptions,
        at: CallSite,
    ) -> Result<Option<Tensor>, Tensor> {
        let Some(mask) = &options.mask else { return Ok(None) };
        let shape = &self.type_or_error()?.shape;
        let broadcast = mask.broadcast_to(shape);
        if mask.type_or_error()?.dtype != DType::Bool || broadcast.error().is_some() {
            let why = format!(
                "expected a bool mask that broadcasts to {shape}, got {}",
                mask.dtype_and_shape()
            );
            return Err(Tensor::fail(name, why, at));
        }
        Ok(Some(broadcast))
    }

    /// Converts to floats for a mean with `options`, in at least 32 bits; returns the dtype of the
    /// result as well.
    fn float_for(
        &self,
        name: &str,
        options: &ReduceOptions,
        at: CallSite,
    ) -> Result<(Tensor, DType), Tensor> {
        options.unused(&["dtype"]).map_or(Ok(()), |why| Err(Tensor::fail(name, why, at)))?;
        match options.dtype {
            Some(d) if !d.is_differentiable() => {
                let why = format!("expected a dtype of floats or complex numbers, got {d}");
                Err(Tensor::fail(name, why, at))
            }
            Some(d) => Ok(self.convert(d, at).wide(at)),
            None => Ok(self.clone().float(at).wide(at)),
        }
    }

    /// Computes the variance with options, and the dtype to which the result is to be converted.
    #[track_caller]
    fn variance_with(
        &self,
        name: &str,
        axes: &dyn IntoAxes,
        ddof: usize,
        options: &ReduceOptions,
    ) -> Result<(Tensor, DType), Tensor> {
        let at = Location::caller();
        let list = axes_or_error(self, axes, name, at)?;
        let (x, dtype) = self.float_for(name, options, at)?;
        let selected = Selected::new(name, &x, options, &list, at)?;
        let deviation = selected.x.deviation(|x| selected.mean(x, true, 0, at));
        let squares = deviation.squared_modulus();
        Ok((selected.mean(&squares, axes.keep(), ddof, at), dtype.real()))
    }
}

/// The elements over axes that a mask selects; the others are 0.
struct Selected<'a> {
    x: Tensor,
    mask: Option<Tensor>,
    axes: &'a [usize],
}

impl Selected<'_> {
    #[track_caller]
    fn new<'a>(
        name: &str,
        x: &Tensor,
        options: &ReduceOptions,
        axes: &'a [usize],
        at: CallSite,
    ) -> Result<Selected<'a>, Tensor> {
        let mask = x.mask_of(name, options, at)?;
        let x = match &mask {
            Some(mask) => mask.select(x, 0),
            None => x.clone(),
        };
        Ok(Selected { x, mask, axes })
    }

    /// Divides the sum of the selected elements of `x`, which has the shape of the tensor, by their
    /// number minus `ddof`.
    fn mean(&self, x: &Tensor, keep: bool, ddof: usize, at: CallSite) -> Tensor {
        let Some(mask) = &self.mask else { return x.mean_list(self.axes, keep, ddof, at) };
        let selected = mask.select_at(x.clone(), x.number(0), at);
        let sum = selected.reduce_list(ReduceKind::Sum, self.axes, keep, at);
        let counted = mask.convert(sum.dtype(), at);
        let count = counted.reduce_list(ReduceKind::Sum, self.axes, keep, at);
        // As without a mask, the result is NaN or infinity if `ddof` is the count or more.
        let (ddof, zero) = (count.number(ddof as f64), count.number(0));
        let count = count.binary(ddof, Binary::Sub, at).binary(zero, Binary::Max, at);
        sum.divide(count, at)
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    fn f32s(x: Tensor) -> Vec<f32> {
        x.to_vec().unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn masked_elements_have_no_influence() {
        let x = tensor([[1.0, f32::NAN, 3.0], [f32::INFINITY, 5.0, 7.0]]);
        let options = || ReduceOptions::new().where_(x.is_finite());
        assert_eq!(f32s(x.sum_with(1, options())), [4.0, 12.0]);
        assert_eq!(f32s(x.prod_with(1, options().initial(2))), [6.0, 70.0]);
        assert_eq!(f32s(x.max_with(1, options())), [3.0, 7.0]);
        assert_eq!(f32s(x.min_with(1, options().initial(2.5))), [1.0, 2.5]);
        assert_eq!(f32s(x.mean_with(1, options())), [2.0, 6.0]);
        assert_eq!(f32s(x.var_with(1, 0, options())), [1.0, 1.0]);
        assert_eq!(f32s(x.std_with(keep(1), 1, options())), [2f32.sqrt(); 2]);
        let slope = grad(|x: Tensor| {
            let known = ReduceOptions::new().where_(x.is_finite());
            x.var_with(.., 0, known.clone()) + x.prod_with(.., known)
        });
        assert_eq!(
            f32s(slope.run(tensor([1.0, f32::NAN, 3.0, f32::INFINITY])).unwrap()),
            [2.0, 0.0, 2.0, 0.0]
        );
    }

    #[test]
    fn no_elements_are_the_identity_or_nan() {
        let none = || ReduceOptions::new().where_(tensor(false));
        let x = tensor([1.0, 2.0]);
        assert_eq!(x.sum_with(.., none()).item().unwrap(), 0.0);
        assert_eq!(x.max_with(.., none()).item().unwrap(), f64::NEG_INFINITY);
        assert!(x.mean_with(.., none()).item().unwrap().is_nan());
        assert!(x.var_with(.., 0, none()).item().unwrap().is_nan());
        assert_eq!(tensor([1, 2]).min_with(.., none()).item().unwrap(), i32::MAX as f64);
    }

    #[test]
    fn modes_are_the_smallest_of_the_most_frequent() {
        let nan = f32::NAN;
        assert_eq!(tensor([nan, 2.0, nan, 2.0, 1.0]).mode(..).item().unwrap(), 2.0);
        assert_eq!(tensor([3.0, nan, 1.0]).mode(keep(0)).item().unwrap(), 1.0);
        assert_eq!(tensor(4).mode(..).item().unwrap(), 4.0);
        let x = tensor([[1, 2], [1, 3], [2, 3]]);
        assert_eq!(x.mode(0).to_vec::<i32>().unwrap(), [1, 3]);
        assert_eq!(x.mode([1, 0]).to_vec::<i32>().unwrap(), [1]);
        assert!(tensor([true, true, false]).mode(..).to_vec::<bool>().unwrap()[0]);
    }

    #[test]
    fn misuse_is_an_error() {
        let say = |y: Tensor| y.error().unwrap().to_string();
        let x = tensor([1.0, 2.0]);
        let mask = |m: Tensor| ReduceOptions::new().where_(m);
        let why = say(x.sum_with(.., mask(tensor([1, 0]))));
        assert!(why.contains("expected a bool mask that broadcasts to [2], got i32[2]"), "{why}");
        assert!(say(x.mean_with(.., mask(tensor([true; 3])))).contains("got bool[3]"));
        let options = ReduceOptions::new();
        let why = say(x.var_with(.., 0, options.clone().initial(1)));
        assert!(why.contains("expected no `initial`; only sum_with"), "{why}");
        assert!(say(x.max_with(.., options.clone().dtype(I32))).contains("no `dtype`"));
        assert!(say(x.mean_with(.., options.dtype(I32))).contains("expected a dtype of floats"));
        assert!(say(Tensor::zeros([0]).mode(..)).contains("at least one element"));
    }
}
