//! Piecewise linear interpolation of sampled curves.

use super::{common::tensor_or_error, sort::Side, statistics::between};
use crate::{InterpOptions, Tensor, concat, operators::float_operands, tensor::CallSite};
use std::panic::Location;

impl Tensor {
    /// Interpolates piecewise linearly between the points `(xs, ys)`, at each element of `self`.
    ///
    /// `xs` is an ascending vector, `ys` a vector of the same length. The first and the last value
    /// continue beyond the ends. Integers and bool are converted to f32. Follows `numpy.interp`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `xs` and `ys` are not vectors of one length of at least 1, or
    /// if `self` or `xs` is complex.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (xs, ys) = (tensor([0.0, 1.0, 3.0]), tensor([0.0, 10.0, 30.0]));
    /// let x = tensor([-1.0, 0.5, 2.0, 9.0]);
    /// assert_eq!(x.interp(&xs, &ys).to_vec::<f32>()?, [0.0, 5.0, 20.0, 30.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn interp(&self, xs: &Tensor, ys: &Tensor) -> Tensor {
        tensor_or_error(self.try_interp("interp", xs, ys, &InterpOptions::new()))
    }

    /// Interpolates piecewise linearly between the points `(xs, ys)` with options:
    /// [`Tensor::interp`].
    ///
    /// With a period, `xs` may have any order, and there is nothing beyond the ends. Follows
    /// `jax.numpy.interp`.
    ///
    /// # Errors
    ///
    /// The result carries an error as that of [`Tensor::interp`], and if the period is 0 or not
    /// finite.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (xs, ys) = (tensor([0.0, 90.0, 270.0]), tensor([0.0, 1.0, -1.0]));
    /// let y = tensor([315.0, 405.0]).interp_with(&xs, &ys, InterpOptions::new().period(360.0));
    /// assert_eq!(y.to_vec::<f32>()?, [-0.5, 0.5]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn interp_with(&self, xs: &Tensor, ys: &Tensor, options: InterpOptions) -> Tensor {
        tensor_or_error(self.try_interp("interp_with", xs, ys, &options))
    }

    #[track_caller]
    fn try_interp(
        &self,
        op: &str,
        xs: &Tensor,
        ys: &Tensor,
        options: &InterpOptions,
    ) -> Result<Tensor, Tensor> {
        let at = Location::caller();
        let (a, b) = (xs.type_or_error()?, ys.type_or_error()?);
        if a.rank() != 1 || a.shape != b.shape || a.size() == 0 {
            let why = format!("expected two vectors of one length of at least 1, got {a} and {b}");
            return Err(Tensor::fail(op, why, at));
        }
        let (x, xs) = float_operands(self.clone(), xs.clone(), at);
        let (x, xs) = (x.real_float(op, at)?, xs.real_float(op, at)?);
        let ys = ys.clone().float(at);
        match options.period {
            Some(period) => {
                let (x, xs, ys) = one_period(op, [x, xs, ys], period, at)?;
                Ok(x.interp_between(&xs, &ys, &InterpOptions::new()))
            }
            None => Ok(x.interp_between(&xs, &ys, options)),
        }
    }

    /// Interpolates between points of floats.
    #[track_caller]
    fn interp_between(&self, xs: &Tensor, ys: &Tensor, options: &InterpOptions) -> Tensor {
        let last = xs.size() as i64 - 1;
        // Selected by comparisons instead of `clip`, so that `x` has its derivative at the ends.
        let (first, end) = (xs.get(0), xs.get(last));
        let (below, above) = (self.lt(&first), self.gt(&end));
        let x = below.select(&first, above.select(&end, self));
        let right = xs.searchsorted(&x, Side::Right).clip(last.min(1), last);
        let left = (&right - last.min(1)).clip(0, last);
        let (x0, x1) = (xs.take(&left, 0), xs.take(&right, 0));
        let (y0, y1) = (ys.take(&left, 0), ys.take(&right, 0));
        let width = &x1 - &x0;
        let flat = width.equal(0);
        let width = flat.select(1, width);
        let weight = (x - &x0) / &width;
        let inside = flat.select(&y0, between(&y0, &y1, &weight));
        let (mut before, mut after) = (ys.get(0), ys.get(last));
        if options.extrapolates {
            before = flat.select(&y0, &y0 + (self - &x0) / &width * (&y1 - &y0));
            after = before.clone();
        }
        let before = options.left.map_or(before, |y| inside.number(y));
        let after = options.right.map_or(after, |y| inside.number(y));
        below.select(before, above.select(after, inside))
    }
}

/// Moves `[x, xs, ys]` into one period, sorts the points, and repeats the last one before the first
/// and the first one after the last.
#[track_caller]
fn one_period(
    op: &str,
    [x, xs, ys]: [Tensor; 3],
    period: f64,
    at: CallSite,
) -> Result<(Tensor, Tensor, Tensor), Tensor> {
    if !(period.is_finite() && period != 0.0) {
        let why = format!("expected a finite period that is not 0, got {period:?}");
        return Err(Tensor::fail(op, why, at));
    }
    let period = period.abs();
    let (x, xs) = (x.remainder(period), xs.remainder(period));
    let (ys, xs) = (ys.sort_by_key(&xs, 0), xs.sort(0));
    let (x_last, x_first) = (xs.slice(0, -1..), xs.slice(0, ..1));
    let (y_last, y_first) = (ys.slice(0, -1..), ys.slice(0, ..1));
    let xs = concat([x_last - period, xs, x_first + period], 0);
    Ok((x, xs, concat([y_last, ys, y_first], 0)))
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    fn at(x: &[f32], options: InterpOptions) -> Vec<f32> {
        let (xs, ys) = (tensor([1.0, 2.0, 4.0]), tensor([10.0, 30.0, 20.0]));
        tensor(x.to_vec()).interp_with(&xs, &ys, options).to_vec().unwrap()
    }

    #[test]
    fn ends_are_continued_as_the_options_say() {
        let x = [0.0, 1.0, 3.0, 6.0];
        let options = InterpOptions::new;
        assert_eq!(at(&x, options()), [10.0, 10.0, 25.0, 20.0]);
        assert_eq!(at(&x, options().left(-1.0)), [-1.0, 10.0, 25.0, 20.0]);
        assert_eq!(at(&x, options().right(7)), [10.0, 10.0, 25.0, 7.0]);
        assert_eq!(at(&x, options().extrapolate()), [-10.0, 10.0, 25.0, 10.0]);
        let one = tensor([5.0]).interp_with(
            &tensor([1.0]),
            &tensor([2.0]),
            InterpOptions::new().extrapolate(),
        );
        assert_eq!(one.item().unwrap(), 2.0);
        assert!(at(&[f32::NAN], options().left(0).extrapolate())[0].is_nan());
    }

    #[test]
    fn a_period_repeats_points_in_any_order() {
        let (xs, ys) = (tensor([4.0, 1.0, 2.0]), tensor([20.0, 10.0, 30.0]));
        let periodic = InterpOptions::new().period(-5.0);
        let y = tensor([0.0, 1.5, 4.5, 6.5, -2.0]).interp_with(&xs, &ys, periodic);
        assert_eq!(y.to_vec::<f32>().unwrap(), [15.0, 20.0, 17.5, 20.0, 25.0]);
        let error = tensor(1.0).interp_with(&xs, &ys, InterpOptions::new().period(0.0));
        assert!(error.error().unwrap().to_string().contains("expected a finite period"));
    }
}
