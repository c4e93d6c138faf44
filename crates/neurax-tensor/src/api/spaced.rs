//! Evenly spaced numbers between tensors, and rectangular identity matrices.

use super::numeric::float_pair;
use crate::{
    DType, Operand, SpacedOptions, Tensor, Type, dispatch::lazy_constant, tensor::CallSite,
};
use neurax_ir::op::Direction;
use std::panic::Location;

impl Tensor {
    /// Creates `n` evenly spaced numbers from the elements of `self` to those of `stop`: along a
    /// new axis in front of their shape, both ends included.
    ///
    /// Operands are promoted and broadcast; integers and bool are converted to f32, and floats
    /// below 32 bits are computed in f32. [`Tensor::linspace`] takes numbers. Follows
    /// `jax.numpy.linspace`.
    ///
    /// # Errors
    ///
    /// The result carries an error for complex numbers and for shapes that do not broadcast.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([0.0, 10.0]).linspace_to(tensor([1.0, 30.0]), 3);
    /// assert_eq!(y.to_vec::<f32>()?, [0.0, 10.0, 0.5, 20.0, 1.0, 30.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn linspace_to(&self, stop: impl Operand, n: usize) -> Tensor {
        self.linspace_to_with(stop, n, SpacedOptions::new())
    }

    /// Creates `n` evenly spaced numbers from the elements of `self` to those of `stop`, with
    /// options: [`Tensor::linspace_to`].
    ///
    /// # Errors
    ///
    /// The result carries an error for complex numbers, for shapes that do not broadcast, and for
    /// an axis that is out of range.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let options = SpacedOptions::new().exclude_end().axis(-1);
    /// let y = tensor([0.0, 10.0]).linspace_to_with(tensor([1.0, 30.0]), 2, options);
    /// assert_eq!(y.to_vec::<f32>()?, [0.0, 0.5, 10.0, 20.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn linspace_to_with(&self, stop: impl Operand, n: usize, options: SpacedOptions) -> Tensor {
        let at = Location::caller();
        match float_pair("linspace_to_with", self, stop, at) {
            Ok((a, b)) => {
                let ((a, dtype), b) = (a.wide(at), b.wide(at).0);
                let y = evenly_spaced(&a, &b, n, options.has_end);
                y.convert(dtype, at).move_axis(0, options.axis)
            }
            Err(e) => e,
        }
    }

    /// Creates `n` numbers at equal ratios from `base^self` to `base^stop`, element by element:
    /// powers of the numbers of [`Tensor::linspace_to`].
    ///
    /// [`Tensor::logspace`] takes numbers. Follows `jax.numpy.logspace`.
    ///
    /// # Errors
    ///
    /// The result carries an error for complex numbers and for shapes that do not broadcast.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([0.0, 1.0]).logspace_to(tensor([2.0, 3.0]), 3, 10.0);
    /// assert_eq!(y.to_vec::<f32>()?, [1.0, 10.0, 10.0, 100.0, 100.0, 1000.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn logspace_to(&self, stop: impl Operand, n: usize, base: f64) -> Tensor {
        self.logspace_to_with(stop, n, base, SpacedOptions::new())
    }

    /// Creates `n` numbers at equal ratios from `base^self` to `base^stop`, with options:
    /// [`Tensor::logspace_to`].
    ///
    /// # Errors
    ///
    /// The result carries an error for complex numbers, for shapes that do not broadcast, and for
    /// an axis that is out of range.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor(0.0).logspace_to_with(3, 3, 2.0, SpacedOptions::new().exclude_end());
    /// assert_eq!(y.to_vec::<f32>()?, [1.0, 2.0, 4.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn logspace_to_with(
        &self,
        stop: impl Operand,
        n: usize,
        base: f64,
        options: SpacedOptions,
    ) -> Tensor {
        let at = Location::caller();
        let (exponents, dtype) = self.linspace_to_with(stop, n, options).wide(at);
        exponents.full_like(base).pow(exponents).convert(dtype, at)
    }

    /// Creates a matrix of shape `[rows, columns]`, f32: 1 on diagonal `k`, else 0.
    ///
    /// Diagonal 0 is the main diagonal, positive ones are above it. Follows `numpy.eye`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = Tensor::eye_of(2, 3, 1);
    /// assert_eq!(x.to_vec::<f32>()?, [0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn eye_of(rows: usize, columns: usize, k: i64) -> Tensor {
        Tensor::eye_at(rows, columns, k, Location::caller())
    }

    /// Creates a matrix with 1 on diagonal `k`, f32.
    pub(crate) fn eye_at(rows: usize, columns: usize, k: i64, at: CallSite) -> Tensor {
        // Beyond the corners there is no 1. The indices of both axes are i32.
        let end = |n: usize| i64::from(i32::try_from(n).unwrap_or(i32::MAX));
        let k = k.clamp(-end(rows), end(columns));
        lazy_constant(at, |b| {
            let ty = Type::new(DType::I32, [rows, columns]);
            let (i, j) = (b.iota(ty.clone(), 0), b.iota(ty, 1));
            let i = b.add_scalar(i, k as f64);
            let on = b.compare(Direction::Eq, i, j);
            b.convert(on, DType::F32)
        })
    }
}

/// Returns `n` evenly spaced numbers along a new axis 0 from `low` to `high`, which have one float
/// dtype and one shape. Both ends are exact: the numbers are `low (1 - w) + high w`.
#[track_caller]
pub(super) fn evenly_spaced(low: &Tensor, high: &Tensor, n: usize, has_end: bool) -> Tensor {
    let at = Location::caller();
    let steps = if has_end { n.saturating_sub(1) } else { n };
    let shape = [&[n][..], &vec![1; low.rank()]].concat();
    let weight = Tensor::arange(n).convert(low.dtype(), at) / steps.max(1) as f64;
    let weight = weight.reshaped(shape, at);
    low * (1 - &weight) + high * weight
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn identities_are_numpys() {
        let ones = |rows, columns, k| Tensor::eye_of(rows, columns, k).sum(..).item().unwrap();
        assert_eq!([ones(2, 3, 0), ones(3, 2, -1), ones(2, 2, 2), ones(0, 2, 0)], [2., 2., 0., 0.]);
        assert_eq!(ones(2, 2, i64::MIN) + ones(2, 2, i64::MAX), 0.0);
    }

    #[test]
    fn ends_are_exact_and_few_numbers_begin_at_the_start() {
        let (a, b) = (tensor([0.1, -7.3]), tensor([0.3, 1e20]));
        let y = a.linspace_to(&b, 7);
        assert_eq!(y.get(0).to_vec::<f32>().unwrap(), a.to_vec::<f32>().unwrap());
        assert_eq!(y.get(-1).to_vec::<f32>().unwrap(), b.to_vec::<f32>().unwrap());
        assert_eq!(a.linspace_to(&b, 1).to_vec::<f32>().unwrap(), a.to_vec::<f32>().unwrap());
        assert_eq!(a.linspace_to(&b, 0).shape(), [0, 2]);
        assert_eq!(tensor(1).linspace_to(2, 3).to_vec::<f32>().unwrap(), [1.0, 1.5, 2.0]);
    }

    #[test]
    fn misuse_is_an_error() {
        let options = SpacedOptions::new().axis(3);
        assert!(tensor([1.0]).linspace_to_with(2, 3, options).error().is_some());
        assert!(tensor([1.0, 2.0]).linspace_to(tensor([1.0; 3]), 3).error().is_some());
    }
}
