//! Geometric sequences, powers of points, diagonal matrices, and arrays of other sizes.

use super::common::{located, tensor_or_error};
use crate::{DType, IntoShape, Tensor, Type, dispatch::lazy_constant, shape::fixed};
use std::panic::Location;

impl Tensor {
    /// Creates a vector of `n` numbers from `a` to `b`, both included, at equal ratios, f32. Both
    /// may be negative. Follows `jax.numpy.geomspace`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `a` or `b` is 0, infinite or NaN, or if their signs differ.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::geomspace(1.0, 8.0, 4).to_vec::<f32>()?, [1.0, 2.0, 4.0, 8.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn geomspace(a: f64, b: f64, n: usize) -> Tensor {
        let at = Location::caller();
        let is_legal = |x: f64| x.is_finite() && x != 0.0;
        if !(is_legal(a) && is_legal(b) && a.signum() == b.signum()) {
            let why =
                format!("expected finite ends of one sign that are not 0, got {a:?} to {b:?}");
            return Tensor::fail("geomspace", why, at);
        }
        lazy_constant(at, |g| {
            let i = g.iota(Type::new(DType::F64, [n]), 0);
            let s = g.mul_scalar(i, 1.0 / n.saturating_sub(1).max(1) as f64);
            // Logarithms of the ends, as their ratio may overflow.
            let exponent = g.mul_scalar(s, b.abs().ln() - a.abs().ln());
            let growth = g.exp(exponent);
            let x = g.mul_scalar(growth, a);
            g.convert(x, DType::F32)
        })
    }

    /// Returns the Vandermonde matrix of a vector: its powers `columns - 1, .., 1, 0`, one column
    /// each, or from 0 on if `is_increasing`.
    ///
    /// The dtype is kept; bool becomes i32. Follows `jax.numpy.vander`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the tensor is not a vector.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([2, 3]);
    /// assert_eq!(x.vander(3, false).to_vec::<i32>()?, [4, 2, 1, 9, 3, 1]);
    /// assert_eq!(x.vander(2, true).to_vec::<i32>()?, [1, 2, 1, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn vander(&self, columns: usize, is_increasing: bool) -> Tensor {
        let at = Location::caller();
        let power = || {
            let ty = self.type_or_error()?;
            if ty.rank() != 1 {
                return Err(Tensor::fail("vander", format!("expected a vector, got {ty}"), at));
            }
            let dtype = if ty.dtype == DType::Bool { DType::I32 } else { ty.dtype };
            let ascending = Tensor::arange(columns);
            let exponents = if is_increasing { ascending } else { ascending.flip(0) };
            let x = self.convert(dtype, at).expand_dims(1);
            Ok(x.pow(exponents.convert(dtype, at)))
        };
        located(at, &[self], || tensor_or_error(power()))
    }

    /// Creates the square matrix with the elements of the flattened tensor on diagonal `k` and 0
    /// elsewhere; positive diagonals are above the main one. Follows `jax.numpy.diagflat`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[1], [2]]).diagflat(0);
    /// assert_eq!(x.to_vec::<i32>()?, [1, 0, 0, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn diagflat(&self, k: i64) -> Tensor {
        self.flatten().diag(k)
    }

    /// Returns a tensor of `shape` with the elements of this one in row-major order, which are
    /// repeated if there are fewer of them, and cut off if there are more.
    ///
    /// A tensor without elements gives zeros. Follows `jax.numpy.resize`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1, 2, 3]);
    /// assert_eq!(x.resize([2, 2]).to_vec::<i32>()?, [1, 2, 3, 1]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn resize(&self, shape: impl IntoShape) -> Tensor {
        let at = Location::caller();
        let resize = || {
            let n = self.type_or_error()?.size();
            let shape = fixed(shape).map_err(|why| Tensor::fail("resize", why, at))?;
            let size = shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
            if n == 0 || size == Some(0) {
                return Ok(Tensor::zeros_of(self.dtype(), shape));
            }
            if size == Some(n) {
                return Ok(self.reshape(shape));
            }
            let places = Tensor::arange(size.unwrap_or(usize::MAX)).fmod(n);
            Ok(self.flatten().take(places, 0).reshape(shape))
        };
        located(at, &[self], || tensor_or_error(resize()))
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn geometric_sequences_reach_their_ends() {
        let x = Tensor::geomspace(-1000.0, -1.0, 4).to_vec::<f32>().unwrap();
        for (have, want) in x.iter().zip([-1000.0, -100.0, -10.0, -1.0f32]) {
            assert!((have / want - 1.0).abs() < 1e-6, "{x:?}");
        }
        assert_eq!(Tensor::geomspace(3.0, 5.0, 1).to_vec::<f32>().unwrap(), [3.0]);
        assert_eq!(Tensor::geomspace(3.0, 5.0, 0).shape(), [0]);
        for (a, b) in [(0.0, 1.0), (1.0, -1.0), (1.0, 0.0), (1.0, f64::INFINITY), (f64::NAN, 1.0)] {
            let e = Tensor::geomspace(a, b, 3).ok().unwrap_err();
            assert!(e.message().contains("expected finite ends of one sign"), "{e}");
        }
    }

    #[test]
    fn powers_of_zero_and_of_nothing() {
        let x = tensor([0.0, 2.0]).vander(3, false);
        assert_eq!(x.to_vec::<f32>().unwrap(), [0.0, 0.0, 1.0, 4.0, 2.0, 1.0]);
        assert_eq!(tensor([1.0]).vander(0, true).shape(), [1, 0]);
        assert!(tensor(1.0).vander(2, true).error().is_some());
    }

    #[test]
    fn sizes_shrink_and_grow() {
        assert_eq!(tensor([1, 2, 3]).resize([2]).to_vec::<i32>().unwrap(), [1, 2]);
        assert_eq!(Tensor::zeros([0]).resize([2]).to_vec::<f32>().unwrap(), [0.0, 0.0]);
        assert_eq!(tensor(5).resize([2, 0]).shape(), [2, 0]);
        assert!(tensor([1]).resize([usize::MAX, 2]).error().is_some());
    }
}
