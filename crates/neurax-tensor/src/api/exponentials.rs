//! Softmax and sums of exponentials of selected or weighted elements, and standardization.
//!
//! The largest exponent is subtracted before the exponentials are taken and added again to the
//! logarithm, so that nothing overflows. Elements that a mask leaves out count as negative
//! infinity, whose exponential is 0.

use super::{
    common::{example, float_formulas, tensor_or_error},
    numeric::float_pair,
};
use crate::{
    IntoAxes, Operand, ReduceOptions, Tensor, args::axes_or_error, stop_gradient, tensor::CallSite,
};
use neurax_ir::op::ReduceKind;
use std::{f64::consts::LN_2, panic::Location};

float_formulas! {
    log1mexp(x) = {
        // Both branches lose no digits on their side of log(2); neither may see the other side.
        let near = x.lt(LN_2);
        let small = (-(-near.select(x, 1)).expm1()).log();
        near.select(small, (-(-near.select(1, x)).exp()).log1p())
    },
        "Computes `log(1 - e^-x)`, element by element, without loss of digits: negative infinity \
         at 0, NaN below. Follows `jax.nn.log1mexp`.",
        "tensor([0.6931472, 50.0]).log1mexp()" => "[-0.6931472, 0.0]";
    sparse_plus(x) = {
        let curve = (x.clip(-1, 1) + 1).square() * 0.25;
        x.ge(1).select(x, curve)
    },
        "Computes a function like softplus that is exactly 0 below -1 and `x` above 1, element by \
         element: `(x + 1)^2 / 4` in between. Follows `jax.nn.sparse_plus`.",
        "tensor([-2.0, 0.0, 3.0]).sparse_plus()" => "[0.0, 0.25, 3.0]";
    sparse_sigmoid(x) = (x.clip(-1, 1) + 1) * 0.5,
        "Computes a function like sigmoid that is exactly 0 below -1 and 1 above 1, element by \
         element: `(x + 1) / 2` in between, the derivative of [`Tensor::sparse_plus`]. Follows \
         `jax.nn.sparse_sigmoid`.",
        "tensor([-2.0, 0.0, 3.0]).sparse_sigmoid()" => "[0.0, 0.5, 1.0]";
}

impl Tensor {
    /// Computes `e^x / sum(e^x)` of the elements that the mask of `options` selects, with one sum
    /// over all of `axes`; the others become 0: [`Tensor::softmax`].
    ///
    /// Follows `jax.nn.softmax` with `where`.
    ///
    /// # Errors
    ///
    /// The result carries an error for complex numbers, and if the mask is not bool or does not
    /// broadcast to the shape of the tensor.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1.0, 1.0, 9.0]);
    /// let first = ReduceOptions::new().where_(x.lt(2.0));
    /// assert_eq!(x.softmax_with(-1, first).to_vec::<f32>()?, [0.5, 0.5, 0.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn softmax_with(&self, axes: impl IntoAxes, options: ReduceOptions) -> Tensor {
        match self.exponents("softmax_with", &options) {
            Ok((x, Some(mask))) => mask.select(x.softmax(axes), 0),
            Ok((x, None)) => x.softmax(axes),
            Err(e) => e,
        }
    }

    /// Computes the logarithm of [`Tensor::softmax_with`], without overflow or underflow: negative
    /// infinity where the mask of `options` leaves an element out.
    ///
    /// Follows `jax.nn.log_softmax` with `where`.
    ///
    /// # Errors
    ///
    /// The result carries an error for complex numbers, and if the mask is not bool or does not
    /// broadcast to the shape of the tensor.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([0.0, 1000.0, 2000.0]);
    /// let y = x.log_softmax_with(-1, ReduceOptions::new().where_(x.lt(1500.0)));
    /// assert_eq!(y.to_vec::<f32>()?, [-1000.0, 0.0, f32::NEG_INFINITY]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn log_softmax_with(&self, axes: impl IntoAxes, options: ReduceOptions) -> Tensor {
        match self.exponents("log_softmax_with", &options) {
            Ok((x, Some(mask))) => mask.select(x.log_softmax(axes), f64::NEG_INFINITY),
            Ok((x, None)) => x.log_softmax(axes),
            Err(e) => e,
        }
    }

    /// Computes `log(sum(e^x))` over `axes` of the elements that the mask of `options` selects:
    /// [`Tensor::logsumexp`]. It is negative infinity if there are none.
    ///
    /// Follows `jax.scipy.special.logsumexp` with `where`.
    ///
    /// # Errors
    ///
    /// The result carries an error for complex numbers, and if the mask is not bool or does not
    /// broadcast to the shape of the tensor.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([0.0, 0.0, 9.0]);
    /// let small = ReduceOptions::new().where_(x.lt(1.0));
    /// assert_eq!(x.logsumexp_with(.., small).to_vec::<f32>()?, [0.6931472]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn logsumexp_with(&self, axes: impl IntoAxes, options: ReduceOptions) -> Tensor {
        match self.exponents("logsumexp_with", &options) {
            Ok((x, _)) => x.logsumexp(axes),
            Err(e) => e,
        }
    }

    /// Computes `log(sum(factors e^x))` over `axes` without overflow; NaN if the sum is negative.
    ///
    /// Operands are promoted and broadcast; elements with a factor of 0 are left out. The axes are
    /// those of the broadcast shape. Follows `jax.scipy.special.logsumexp` with `b`, and
    /// `exp_scaling_factor` of `Nx.logsumexp`.
    ///
    /// # Errors
    ///
    /// The result carries an error for complex numbers and for shapes that do not broadcast.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1000.0, 1000.0]);
    /// assert_eq!(x.logsumexp_scaled(tensor([3.0, -2.0]), ..).item()?, 1000.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn logsumexp_scaled(&self, factors: impl Operand, axes: impl IntoAxes) -> Tensor {
        match self.signed_logsumexp("logsumexp_scaled", factors, &axes) {
            Ok((y, sign)) => sign.lt(0).select(f64::NAN, y),
            Err(e) => e,
        }
    }

    /// Computes the logarithm of the absolute value of `sum(factors e^x)` over `axes`, and the sign
    /// of this sum: -1, 0 or 1.
    ///
    /// Operands are as in [`Tensor::logsumexp_scaled`]. Follows `jax.scipy.special.logsumexp` with
    /// `b` and `return_sign`.
    ///
    /// # Errors
    ///
    /// Both results carry an error for complex numbers and for shapes that do not broadcast.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (log, sign) = tensor([1000.0, 1000.0]).logsumexp_signed(tensor([2.0, -3.0]), ..);
    /// assert_eq!((log.item()?, sign.item()?), (1000.0, -1.0));
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn logsumexp_signed(&self, factors: impl Operand, axes: impl IntoAxes) -> (Tensor, Tensor) {
        match self.signed_logsumexp("logsumexp_signed", factors, &axes) {
            Ok(pair) => pair,
            Err(e) => (e.clone(), e),
        }
    }

    /// Computes `log(mean(e^x))` over `axes` without overflow.
    ///
    /// Integers and bool are converted to f32. The result is NaN if there are no elements. Follows
    /// `jax.nn.logmeanexp`.
    ///
    /// # Errors
    ///
    /// The result carries an error for complex numbers.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1000.0, 1000.0]).logmeanexp(..).item()?, 1000.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn logmeanexp(&self, axes: impl IntoAxes) -> Tensor {
        self.logmeanexp_with(axes, ReduceOptions::new())
    }

    /// Computes `log(mean(e^x))` over `axes` of the elements that the mask of `options` selects:
    /// [`Tensor::logmeanexp`].
    ///
    /// Follows `jax.nn.logmeanexp` with `where`.
    ///
    /// # Errors
    ///
    /// The result carries an error for complex numbers, and if the mask is not bool or does not
    /// broadcast to the shape of the tensor.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([2.0, 2.0, 9.0]);
    /// let small = ReduceOptions::new().where_(x.lt(3.0));
    /// assert_eq!(x.logmeanexp_with(.., small).item()?, 2.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn logmeanexp_with(&self, axes: impl IntoAxes, options: ReduceOptions) -> Tensor {
        tensor_or_error(self.log_mean(&axes, &options))
    }

    #[track_caller]
    fn log_mean(&self, axes: &dyn IntoAxes, options: &ReduceOptions) -> Result<Tensor, Tensor> {
        let at = Location::caller();
        let list = axes_or_error(self, axes, "logmeanexp_with", at)?;
        let (x, mask) = self.exponents("logmeanexp_with", options)?;
        let (x, dtype) = x.wide(at);
        let one = match mask {
            Some(mask) => mask.convert(x.dtype(), at),
            None => x.ones_like(),
        };
        let count = one.reduce_list(ReduceKind::Sum, &list, axes.keep(), at).log();
        let sum = match axes.keep() {
            true => x.logsumexp(crate::keep(&list[..])),
            false => x.logsumexp(&list[..]),
        };
        Ok((sum - count).convert(dtype, at))
    }

    /// Computes `(x - mean) / sqrt(var + epsilon)` with the mean and the variance over `axes`.
    ///
    /// The shape is kept. Integers and bool are converted to f32; floats below 32 bits are computed
    /// in f32 and rounded once. With another mean and variance it is
    /// `(x - mean) * (var + epsilon).rsqrt()`. Follows `jax.nn.standardize`; the variance is that
    /// of [`Tensor::var`].
    ///
    /// # Errors
    ///
    /// The result carries an error for axes that are out of range.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[1.0, 3.0], [5.0, 9.0]]);
    /// assert_eq!(x.standardize(-1, 0.0).to_vec::<f32>()?, [-1.0, 1.0, -1.0, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn standardize(&self, axes: impl IntoAxes, epsilon: f64) -> Tensor {
        self.standardize_with(axes, epsilon, ReduceOptions::new())
    }

    /// Computes [`Tensor::standardize`] with the mean and the variance of the elements that the
    /// mask of `options` selects.
    ///
    /// Follows `jax.nn.standardize` with `where`.
    ///
    /// # Errors
    ///
    /// The result carries an error for axes that are out of range, and if the mask is not bool or
    /// does not broadcast to the shape of the tensor.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1.0, 3.0, 5.0]);
    /// let small = ReduceOptions::new().where_(x.lt(4.0));
    /// assert_eq!(x.standardize_with(0, 0.0, small).to_vec::<f32>()?, [-1.0, 1.0, 3.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn standardize_with(
        &self,
        axes: impl IntoAxes,
        epsilon: f64,
        options: ReduceOptions,
    ) -> Tensor {
        let at = Location::caller();
        let list = match axes_or_error(self, &axes, "standardize_with", at) {
            Ok(list) => list,
            Err(e) => return e,
        };
        let (x, dtype) = self.clone().float(at).wide(at);
        let mean = x.mean_with(crate::keep(&list[..]), options.clone());
        let var = x.var_with(crate::keep(&list[..]), 0, options);
        ((x - mean) * (var + epsilon).rsqrt()).convert(dtype, at)
    }

    /// Returns the elements as floats, negative infinity where the mask of `options` leaves them
    /// out, and the mask.
    #[track_caller]
    fn exponents(
        &self,
        name: &str,
        options: &ReduceOptions,
    ) -> Result<(Tensor, Option<Tensor>), Tensor> {
        let at = Location::caller();
        options.unused(&[]).map_or(Ok(()), |why| Err(Tensor::fail(name, why, at)))?;
        let x = self.real_float(name, at)?;
        let mask = x.mask_of(name, options, at)?;
        let x = match &mask {
            Some(mask) => mask.select(x, f64::NEG_INFINITY),
            None => x,
        };
        Ok((x, mask))
    }

    /// Computes the logarithm of the absolute value of the sum of scaled exponentials, and its
    /// sign.
    #[track_caller]
    fn signed_logsumexp(
        &self,
        name: &str,
        factors: impl Operand,
        axes: &dyn IntoAxes,
    ) -> Result<(Tensor, Tensor), Tensor> {
        let at = Location::caller();
        let (x, factors) = float_pair(name, self, factors, at)?;
        let ((x, dtype), factors) = (x.wide(at), factors.wide(at).0);
        let list = axes_or_error(&x, axes, name, at)?;
        let x = factors.equal(0).select(f64::NEG_INFINITY, x);
        let shift = largest_finite(&x, &list, at);
        let sum = ((x - &shift).exp() * factors).reduce_list(ReduceKind::Sum, &list, true, at);
        let shape = sum.shape_without(&list, axes.keep());
        let log = (sum.abs().log() + shift).reshaped(shape.clone(), at);
        Ok((log.convert(dtype, at), sum.sign().reshaped(shape, at).convert(dtype, at)))
    }
}

/// Returns the largest element over `axes`, kept with size 1, or 0 if that is not finite.
#[track_caller]
fn largest_finite(x: &Tensor, axes: &[usize], at: CallSite) -> Tensor {
    let largest = stop_gradient(&x.reduce_list(ReduceKind::Max, axes, true, at));
    largest.is_finite().select(largest, 0)
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn masks_leave_out_nan_and_whole_rows() {
        let x = tensor([[1.0, f32::NAN], [f32::NAN, f32::NAN]]);
        let known = || ReduceOptions::new().where_(!x.is_nan());
        assert_eq!(x.softmax_with(1, known()).to_vec::<f32>().unwrap(), [1.0, 0.0, 0.0, 0.0]);
        let sums = x.logsumexp_with(1, known()).to_vec::<f32>().unwrap();
        assert_eq!(sums, [1.0, f32::NEG_INFINITY]);
        let slope = grad(|x: Tensor| {
            x.softmax_with(1, ReduceOptions::new().where_(!x.is_nan())).square().sum(..)
        });
        assert_eq!(slope.run(x.clone()).unwrap().to_vec::<f32>().unwrap(), [0.0; 4]);
    }

    #[test]
    fn signs_and_infinities_are_jaxs() {
        let inf = f32::INFINITY;
        let x = tensor([inf, 1.0, -inf]);
        assert_eq!(x.logsumexp_scaled(tensor([0.0, 2.0, 5.0]), ..).item().unwrap().exp() as f32, {
            2.0f32 * 1f32.exp()
        });
        let (log, sign) = x.logsumexp_signed(tensor([0.0, 0.0, 3.0]), ..);
        assert_eq!((log.item().unwrap(), sign.item().unwrap()), (f64::NEG_INFINITY, 0.0));
        assert_eq!(x.logsumexp_scaled(1, ..).item().unwrap(), f64::INFINITY);
        assert!(tensor([1.0]).logsumexp_scaled(-1, ..).item().unwrap().is_nan());
    }

    #[test]
    fn log1mexp_keeps_digits_on_both_sides() {
        let y = tensor([1e-30, 40.0, 0.0, -1.0, f32::INFINITY]).log1mexp().to_vec::<f32>().unwrap();
        assert_eq!(y[..3], [1e-30f32.ln(), -(-40f32).exp(), f32::NEG_INFINITY]);
        assert!(y[3].is_nan() && y[4] == 0.0);
    }

    #[test]
    fn misuse_is_an_error() {
        let say = |y: Tensor| y.error().unwrap().to_string();
        let options = ReduceOptions::new().initial(1);
        assert!(say(tensor([1.0]).softmax_with(0, options)).contains("expected no `initial`"));
        let options = ReduceOptions::new().where_(tensor([true, false]));
        assert!(say(tensor([1.0]).logmeanexp_with(0, options)).contains("that broadcasts to [1]"));
        assert!(say(tensor([1.0]).logsumexp_scaled(1, 3)).contains("axis 3"));
    }
}
