//! Order: sorting, searching, counting.

use super::common::{promote_operands, tensor_or_error};
use crate::{
    AxisInt, DType, Operand, Tensor, Type,
    emit::{emit_all, recipe},
    tensor::At,
};
use neurax_ir::{Kind, op::Sort};
use std::panic::Location;

/// Where [`Tensor::searchsorted`] places a value among its equals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    /// In front of them.
    #[default]
    Left,
    /// Behind them.
    Right,
}

impl Tensor {
    /// The elements in ascending order along an axis; NaN last, complex numbers by real, then
    /// imaginary part.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([[3, 1, 2], [6, 5, 4]]).sort(-1).to_vec::<i32>()?, [1, 2, 3, 4, 5, 6]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn sort(&self, axis: impl AxisInt) -> Tensor {
        let at = Location::caller();
        tensor_or_error(self.sorted("sort", &[], axis, at).map(|mut ys| ys.remove(0)))
    }

    /// The indices that sort along an axis, as i32; equals keep their order.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([3.0, 1.0, 2.0]).argsort(0).to_vec::<i32>()?, [1, 2, 0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn argsort(&self, axis: impl AxisInt) -> Tensor {
        let at = Location::caller();
        let sort = || {
            let axis = self.axis_at(axis, "argsort", at)?;
            Ok(self.sorted("argsort", &[self.indices_along(axis, at)?], axis, at)?.remove(1))
        };
        tensor_or_error(sort())
    }

    /// The elements in the order that sorts the keys along an axis; equal keys keep their order.
    /// The keys have the shape of the tensor.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([10, 20, 30]).sort_by_key(&tensor([2.0, 3.0, 1.0]), 0).to_vec::<i32>()?, [30, 10, 20]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn sort_by_key(&self, keys: &Tensor, axis: impl AxisInt) -> Tensor {
        let at = Location::caller();
        tensor_or_error(
            keys.sorted("sort_by_key", std::slice::from_ref(self), axis, at)
                .map(|mut ys| ys.remove(1)),
        )
    }

    /// The `k` largest along the last axis, in descending order, and their indices as i32; the
    /// first of equals comes first, NaN is largest.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (values, places) = tensor([1, 9, 5, 9]).top_k(3);
    /// assert_eq!((values.to_vec::<i32>()?, places.to_vec::<i32>()?), (vec![9, 9, 5], vec![1, 3, 2]));
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn top_k(&self, k: usize) -> (Tensor, Tensor) {
        match self.try_top_k(k) {
            Ok(pair) => pair,
            Err(e) => (e.clone(), e),
        }
    }

    #[track_caller]
    fn try_top_k(&self, k: usize) -> Result<(Tensor, Tensor), Tensor> {
        let at = Location::caller();
        let axis = self.axis_at(-1, "top_k", at)?;
        if k > self.shape()[axis] {
            return Err(Tensor::fail(
                "top_k",
                format!(
                    "expected at least {k} elements along the last axis, got {}",
                    self.dtype_and_shape()
                ),
                at,
            ));
        }
        // Sorted from the back, and read from the back: so equals stay in order.
        let places = self.indices_along(axis, at)?.flip(axis);
        let ys = self.flip(axis).sorted("top_k", &[places], axis, at)?;
        match &ys[..] {
            [values, places] => Ok((
                values.flip(axis).slice(axis, ..k as i64),
                places.flip(axis).slice(axis, ..k as i64),
            )),
            _ => Err(self.clone()),
        }
    }

    /// This tensor and others sorted together, by this one.
    fn sorted(
        &self,
        op: &str,
        others: &[Tensor],
        axis: impl AxisInt,
        at: At,
    ) -> Result<Vec<Tensor>, Tensor> {
        let axis = self.axis_at(axis, op, at)?;
        let xs = std::iter::once(self).chain(others).cloned();
        let ys = emit_all(Sort { axis, keys: 1 }, xs, at).map_err(|e| Tensor::error_at(e, at))?;
        Ok(ys.into_iter().collect())
    }

    /// Indices along an axis, in the shape of this tensor.
    fn indices_along(&self, axis: usize, at: At) -> Result<Tensor, Tensor> {
        let ty = Type::new(DType::I32, self.type_or_error()?.shape.clone());
        Ok(recipe(at, |b| b.iota(ty, axis)))
    }

    /// For each value, where it would have to be put into this ascending vector to keep it
    /// ascending, as i32: in front of its equals or behind them.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1.0, 2.0, 2.0, 5.0]);
    /// assert_eq!(x.searchsorted(tensor([0.0, 2.0, 9.0]), Side::Left).to_vec::<i32>()?, [0, 1, 4]);
    /// assert_eq!(x.searchsorted(2.0, Side::Right).item()?, 3.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn searchsorted(&self, values: impl Operand, side: Side) -> Tensor {
        let values = values.operand(self);
        tensor_or_error(self.try_searchsorted(&values, side))
    }

    #[track_caller]
    fn try_searchsorted(&self, values: &Tensor, side: Side) -> Result<Tensor, Tensor> {
        let at = Location::caller();
        let ty = self.type_or_error()?;
        if ty.rank() != 1 {
            return Err(Tensor::fail(
                "searchsorted",
                format!("expected a sorted vector, got {ty}"),
                at,
            ));
        }
        if ty.dtype.is_complex() || values.dtype().is_complex() {
            return Err(Tensor::fail(
                "searchsorted",
                format!("expected real numbers, got {ty} and {}", values.dtype_and_shape()),
                at,
            ));
        }
        let n = ty.size();
        let both = promote_operands("searchsorted", &[self.clone(), values.clone()], at)?;
        let (x, v) = (&both[0], &both[1]);
        // The answer is in low..=high; each step halves that.
        let mut low = Tensor::full_of(DType::I32, v.shape(), 0);
        let mut high = Tensor::full_of(DType::I32, v.shape(), n);
        for _ in 0..n.checked_ilog2().map_or(0, |steps| steps + 1) {
            let middle = (&low + &high).right_shift(1);
            let entry = x.take(&middle, 0);
            let mut behind = match side {
                Side::Left => entry.lt(v),
                Side::Right => entry.le(v),
            };
            if v.dtype().kind() == Kind::Float {
                // NaN is behind everything.
                let nan = v.is_nan();
                behind |= if side == Side::Left { nan & !entry.is_nan() } else { nan };
            }
            // Once both meet, a step must not move them.
            behind &= low.lt(&high);
            high = behind.select(&high, middle.minimum(&high));
            low = behind.select(middle + 1, low);
        }
        Ok(low)
    }

    /// For each element the number of the bin that it is in: `i` where `bins[i - 1] <= x <
    /// bins[i]`, as i32. The bins are an ascending vector.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([0.5, 1.0, 9.0]).digitize(&tensor([0.0, 1.0, 2.0])).to_vec::<i32>()?, [1, 2, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn digitize(&self, bins: &Tensor) -> Tensor {
        bins.searchsorted(self, Side::Right)
    }

    /// How often each of the integers `0..length` is in the tensor, as i32; other integers are not
    /// counted.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([0, 2, 2, 7]).bincount(4).to_vec::<i32>()?, [1, 0, 2, 0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn bincount(&self, length: usize) -> Tensor {
        match self.integers("bincount", Location::caller()) {
            Ok(x) => {
                // Negative integers would count from the end: move them past it, where they are
                // dropped.
                let past_end = x.number(length);
                Tensor::zeros_of(DType::I32, length).at(x.lt(0).select(past_end, &x)).add(1)
            }
            Err(e) => e,
        }
    }

    /// How many elements are in each of `bins` bins of equal width from `low` to `high`, as i32,
    /// and the `bins + 1` edges. The last bin has both its edges; elements outside are not counted.
    /// Integers and bool are taken as f32.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (counts, edges) = tensor([0.0, 0.1, 0.6, 1.0, 3.0]).histogram(2, 0.0, 1.0);
    /// assert_eq!((counts.to_vec::<i32>()?, edges.to_vec::<f32>()?), (vec![2, 2], vec![0.0, 0.5, 1.0]));
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn histogram(&self, bins: usize, low: f64, high: f64) -> (Tensor, Tensor) {
        let at = Location::caller();
        let x = match self.real_float("histogram", at) {
            Ok(x) => x,
            Err(e) => return (e.clone(), e),
        };
        if bins >= i32::MAX as usize {
            let e = Tensor::fail(
                "histogram",
                format!("expected fewer than 2^31 - 1 bins, got {bins}"),
                at,
            );
            return (e.clone(), e);
        }
        let edges = Tensor::linspace(low, high, bins + 1).convert(x.dtype(), at);
        let place = edges.searchsorted(&x, Side::Right) - 1;
        let place = x.equal(edges.get(-1)).select(&place - 1, &place);
        let outside = place.lt(0) | place.ge(bins) | x.is_nan();
        let place = outside.select(bins, place).flatten();
        (Tensor::zeros_of(DType::I32, bins).at(place).add(1), edges)
    }
}

#[cfg(test)]
mod tests {
    use crate::Side;
    use crate::prelude::*;

    #[test]
    fn searchsorted_finds_nan_and_ends() {
        let x = tensor([1.0, 3.0, 3.0, 3.0, f32::NAN]);
        let v = tensor([[0.0, 1.0, 3.0], [4.0, f32::INFINITY, f32::NAN]]);
        assert_eq!(x.searchsorted(&v, Side::Left).to_vec::<i32>().unwrap(), [0, 0, 1, 4, 4, 4]);
        assert_eq!(x.searchsorted(&v, Side::Right).to_vec::<i32>().unwrap(), [0, 1, 4, 4, 4, 5]);
        assert_eq!(Tensor::zeros([0]).searchsorted(1.0, Side::Left).item().unwrap(), 0.0);
        for n in 1..20 {
            let x = Tensor::arange(n);
            assert_eq!(
                x.searchsorted(&x, Side::Left).to_vec::<i32>().unwrap(),
                x.to_vec::<i32>().unwrap(),
                "{n}"
            );
        }
    }

    #[test]
    fn histogram_is_numpys() {
        let (counts, _) =
            tensor([-1.0, 0.0, 0.2, 0.4, 0.6, 1.0, 1.5, f32::NAN]).histogram(5, 0.0, 1.0);
        assert_eq!(counts.to_vec::<i32>().unwrap(), [1, 1, 1, 1, 1]);
        for bins in [usize::MAX, i32::MAX as usize] {
            let (counts, edges) = tensor([1.0]).histogram(bins, 0.0, 1.0);
            assert_eq!(
                (counts.ok().unwrap_err().op(), edges.ok().unwrap_err().op()),
                ("histogram", "histogram")
            );
        }
    }
}
