//! Differences, integrals and derivatives of sampled curves.

use super::common::tensor_or_error;
use crate::{AxisInt, DType, DiffOptions, Operand, Tensor, concat, tensor::CallSite};
use std::panic::Location;

impl Tensor {
    /// Computes the difference of adjacent elements along `axis`, `n` times; the size of the axis
    /// shrinks by 1 each time.
    ///
    /// For bool, the difference is the exclusive or. Follows `numpy.diff`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1, 4, 9, 16]);
    /// assert_eq!(x.diff(1, -1).to_vec::<i32>()?, [3, 5, 7]);
    /// assert_eq!(x.diff(2, -1).to_vec::<i32>()?, [2, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn diff(&self, n: usize, axis: impl AxisInt) -> Tensor {
        let axis = match self.axis_at(axis, "diff", Location::caller()) {
            Ok(a) => a,
            Err(e) => return e,
        };
        let n = n.min(self.shape()[axis]);
        if self.size() == 0 || n == self.shape()[axis] {
            return self.slice(axis, n as i64..);
        }
        let mut x = self.clone();
        for _ in 0..n {
            if x.error().is_some() {
                break;
            }
            let (next, own) = (x.slice(axis, 1..), x.slice(axis, ..-1));
            x = if x.dtype() == DType::Bool { next ^ own } else { next - own };
        }
        x
    }

    /// Computes differences along `axis` with entries before and after those of the axis:
    /// [`Tensor::diff`]. Follows `jax.numpy.diff` with `prepend` and `append`.
    ///
    /// # Errors
    ///
    /// The result carries an error if an entry of the options is neither a scalar nor of the shape
    /// of the tensor along the other axes.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let options = DiffOptions::new().prepend(tensor(0)).append(tensor([9, 9]));
    /// let y = tensor([1, 4]).diff_with(1, 0, options);
    /// assert_eq!(y.to_vec::<i32>()?, [1, 3, 5, 0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn diff_with(&self, n: usize, axis: impl AxisInt, options: DiffOptions) -> Tensor {
        let axis = match self.axis_at(axis, "diff_with", Location::caller()) {
            Ok(axis) => axis,
            Err(e) => return e,
        };
        let mut one = self.shape().0;
        one[axis] = 1;
        let mut parts = vec![];
        for part in [options.before, Some(self.clone()), options.after] {
            let Some(part) = part else { continue };
            parts.push(if part.rank() == 0 { part.broadcast_to(&one) } else { part });
        }
        concat(parts, axis).diff(n, axis)
    }

    /// Integrates values at distance `dx` along `axis` with the trapezoidal rule; the axis is
    /// removed.
    ///
    /// Integers and bool are converted to f32. Follows `numpy.trapezoid`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([0.0, 1.0, 2.0]).trapezoid(0.5, -1).item()?, 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn trapezoid(&self, dx: f64, axis: impl AxisInt) -> Tensor {
        let at = Location::caller();
        let axis = match self.axis_at(axis, "trapezoid", at) {
            Ok(a) => a,
            Err(e) => return e,
        };
        let (x, dtype) = self.clone().float(at).wide(at);
        let area = (x.slice(axis, 1..) + x.slice(axis, ..-1)).sum(axis) * (dx / 2.0);
        area.convert(dtype, at)
    }

    /// Integrates values at `points` along `axis` with the trapezoidal rule; the axis is removed.
    ///
    /// `points` is a vector with one point for each entry of the axis. Integers and bool are
    /// converted to f32; floats below 32 bits are computed in f32 and rounded once. Follows
    /// `numpy.trapezoid` with `x`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `points` is not a vector of the size of the axis.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([0.0, 1.0, 2.0]).trapezoid_over(&tensor([0.0, 1.0, 3.0]), -1);
    /// assert_eq!(y.item()?, 3.5);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn trapezoid_over(&self, points: &Tensor, axis: impl AxisInt) -> Tensor {
        tensor_or_error(self.area_over(points, axis))
    }

    #[track_caller]
    fn area_over(&self, points: &Tensor, axis: impl AxisInt) -> Result<Tensor, Tensor> {
        let at = Location::caller();
        let axis = self.axis_at(axis, "trapezoid_over", at)?;
        let points = self.points_along("trapezoid_over", points, axis, at)?;
        let (x, dtype) = self.clone().float(at).wide(at);
        let (low, high) = (x.slice(axis, ..-1), x.slice(axis, 1..));
        let area = (low + high) * points.diff(1, axis) * 0.5;
        Ok(area.sum(axis).convert(dtype, at))
    }

    /// Computes the derivative along `axis` by differences: from both neighbours, at the ends from
    /// the only one.
    ///
    /// `spacing` is the distance of the entries, or a vector with the point of each. The shape is
    /// kept. Differences to both neighbours are weighted such that the result is exact for
    /// parabolas. Integers and bool are converted to f32; floats below 32 bits are computed in f32
    /// and rounded once. Follows `numpy.gradient`; several axes are one call each.
    ///
    /// # Errors
    ///
    /// The result carries an error if the axis has fewer than 2 entries, and if the spacing is
    /// neither a scalar nor a vector of the size of the axis.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([0.0, 1.0, 4.0, 9.0]);
    /// assert_eq!(y.gradient(1, 0).to_vec::<f32>()?, [1.0, 2.0, 4.0, 5.0]);
    /// let (points, y) = (tensor([0.0, 1.0, 3.0]), tensor([0.0, 1.0, 9.0]));
    /// assert_eq!(y.gradient(&points, 0).to_vec::<f32>()?, [1.0, 2.0, 4.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn gradient(&self, spacing: impl Operand, axis: impl AxisInt) -> Tensor {
        let at = Location::caller();
        let (x, dtype) = self.clone().float(at).wide(at);
        let slope = x.slope(&spacing.operand(&x), axis);
        tensor_or_error(slope.map(|y| y.convert(dtype, at)))
    }

    /// Computes the derivative of floats along `axis`.
    #[track_caller]
    fn slope(&self, spacing: &Tensor, axis: impl AxisInt) -> Result<Tensor, Tensor> {
        let at = Location::caller();
        let axis = self.axis_at(axis, "gradient", at)?;
        if self.shape()[axis] < 2 {
            let why = format!(
                "expected at least 2 entries along axis {axis}, got {}",
                self.dtype_and_shape()
            );
            return Err(Tensor::fail("gradient", why, at));
        }
        let steps = match spacing.type_or_error()?.rank() {
            0 => spacing.wide(at).0,
            _ => self.points_along("gradient", spacing, axis, at)?.diff(1, axis),
        };
        // The slopes between neighbours.
        let slopes = self.diff(1, axis) / &steps;
        let (low, high) = (slopes.slice(axis, ..-1), slopes.slice(axis, 1..));
        let inner = if steps.rank() == 0 {
            (low + high) * 0.5
        } else {
            let (before, after) = (steps.slice(axis, ..-1), steps.slice(axis, 1..));
            (low * &after + high * &before) / (before + after)
        };
        let ends = [slopes.slice(axis, ..1), inner, slopes.slice(axis, -1..)];
        Ok(concat(ends, axis))
    }

    /// Returns `points`, a vector with one entry for each of `axis`, as floats of the rank of this
    /// tensor.
    ///
    /// # Errors
    ///
    /// Returns a tensor that carries the error of `op` for another shape.
    fn points_along(
        &self,
        op: &str,
        points: &Tensor,
        axis: usize,
        at: CallSite,
    ) -> Result<Tensor, Tensor> {
        let n = self.shape()[axis];
        if points.type_or_error()?.shape[..] != [n] {
            let why = format!(
                "expected a vector of {n} points, one for each entry of axis {axis}, got {}",
                points.dtype_and_shape()
            );
            return Err(Tensor::fail(op, why, at));
        }
        let mut shape = vec![1; self.rank()];
        shape[axis] = n;
        Ok(points.clone().float(at).wide(at).0.reshaped(shape, at))
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn derivatives_and_integrals_are_numpys_along_any_axis() {
        let x = tensor([[1.0, 2.0, 4.0], [0.0, 3.0, 9.0]]);
        let y = x.gradient(2, 1).to_vec::<f32>().unwrap();
        assert_eq!(y, [0.5, 0.75, 1.0, 1.5, 2.25, 3.0]);
        let rows = x.gradient(tensor([0, 4]), 0).to_vec::<f32>().unwrap();
        assert_eq!(rows, [-0.25, 0.25, 1.25, -0.25, 0.25, 1.25]);
        let areas = x.trapezoid_over(&tensor([0, 1, 3]), -1).to_vec::<f32>().unwrap();
        assert_eq!(areas, [7.5, 13.5]);
        let both = DiffOptions::new().prepend(tensor([[0.0], [1.0]])).append(tensor(1.0));
        let diffs = x.diff_with(2, 1, both).to_vec::<f32>().unwrap();
        assert_eq!(diffs, [0.0, 1.0, -5.0, 4.0, 3.0, -14.0]);
    }

    #[test]
    fn misuse_is_an_error() {
        let say = |y: Tensor| y.error().unwrap().to_string();
        let x = tensor([1.0, 2.0]);
        assert!(say(tensor([1.0]).gradient(1, 0)).contains("at least 2 entries along axis 0"));
        assert!(say(x.gradient(tensor([1.0; 3]), 0)).contains("a vector of 2 points"));
        assert!(say(x.trapezoid_over(&tensor(1.0), 0)).contains("got f32[]"));
        assert!(x.diff_with(1, 3, DiffOptions::new()).error().is_some());
        let wrong = DiffOptions::new().append(tensor([[1.0]]));
        assert!(x.diff_with(1, 0, wrong).error().is_some());
    }
}
