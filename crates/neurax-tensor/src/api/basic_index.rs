//! Basic indexing (NumPy's term): the integers, ranges, ellipses and new axes of an index.
//!
//! Reading is a slice with strides, a reversal of the axes with negative steps and a reshape; each
//! is left out if it does nothing. Writing is the inverse: reshape, reversal and
//! `dynamic_update_slice`. With steps, for which there is no such op, the update is padded to the
//! full shape and selected by a mask.

use super::{common::broadcast_update, index_entry::Index};
use crate::{
    DType, Literal, Scalar, Shape, Tensor, args::axis_of, dispatch::dispatch, tensor::CallSite,
};
use neurax_ir::op::{DynamicUpdateSlice, Pad, Reverse, Slice};
use std::ops::Bound;

/// A resolved basic index: a box with strides.
#[derive(Clone, Debug)]
pub(crate) struct BasicIndex {
    /// The shape of the operand.
    whole: Shape,
    /// The first index along each axis, not reversed.
    start: Vec<usize>,
    /// The number of indices along each axis.
    count: Vec<usize>,
    /// The distance of indices along each axis, at least 1.
    stride: Vec<usize>,
    /// The axes that are read backward.
    reversed: Vec<usize>,
    /// The shape of the result: some axes removed, some of size 1 inserted.
    shape: Shape,
}

/// The indices `first, first + step, ..` along one axis, `count` of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct AxisRange {
    first: usize,
    count: usize,
    step: i64,
}

impl AxisRange {
    /// Resolves the Python range `from:to:step` along an axis of size `n`: negative bounds count
    /// from the end, bounds out of range are clamped.
    pub(crate) fn new(n: usize, from: Bound<i64>, to: Bound<i64>, step: i64) -> AxisRange {
        // Axis sizes fit into i64, as their bytes are counted in isize.
        let n = n as i64;
        let (least, most) = if step < 0 { (-1, n - 1) } else { (0, n) };
        let index = |i: i64| if i < 0 { i.saturating_add(n) } else { i }.clamp(least, most);
        let dir = step.signum();
        let first = match from {
            Bound::Included(i) => index(i),
            Bound::Excluded(i) => (index(i) + dir).clamp(least, most),
            Bound::Unbounded if step < 0 => n - 1,
            Bound::Unbounded => 0,
        };
        let end = match to {
            Bound::Included(i) => (index(i) + dir).clamp(least, most),
            Bound::Excluded(i) => index(i),
            Bound::Unbounded if step < 0 => -1,
            Bound::Unbounded => n,
        };
        let count = ((end - first) * dir).max(0).unsigned_abs();
        let count = count.div_ceil(step.unsigned_abs().max(1));
        AxisRange { first: first.max(0) as usize, count: count as usize, step }
    }
}

impl BasicIndex {
    /// Creates the index of all elements.
    pub(crate) fn all(whole: Shape) -> BasicIndex {
        let rank = whole.rank();
        BasicIndex {
            start: vec![0; rank],
            count: whole.to_vec(),
            stride: vec![1; rank],
            reversed: vec![],
            shape: whole.clone(),
            whole,
        }
    }

    /// Returns true if the index selects all elements in their order and shape.
    pub(crate) fn is_all(&self) -> bool {
        self.count[..] == self.whole[..] && self.reversed.is_empty() && self.shape == self.whole
    }

    /// Selects `r` along `axis`. Call it at most once for each axis.
    pub(crate) fn narrow(&mut self, axis: usize, r: AxisRange) {
        self.narrow_box(axis, r);
        self.shape[axis] = r.count;
    }

    /// Selects `r` along `axis` without changing the shape of the result.
    fn narrow_box(&mut self, axis: usize, r: AxisRange) {
        let back = r.step < 0;
        let stride = usize::try_from(r.step.unsigned_abs()).unwrap_or(usize::MAX).max(1);
        let steps = r.count.saturating_sub(1) * if r.count > 1 { stride } else { 0 };
        self.start[axis] = if back { r.first - steps.min(r.first) } else { r.first };
        self.count[axis] = r.count;
        self.stride[axis] = if r.count > 1 { stride } else { 1 };
        if back && r.count > 1 {
            self.reversed.push(axis);
        }
    }

    /// Resolves an index of a tensor of shape `whole`.
    ///
    /// Returns the basic index, and the integer tensors of the index with the axes that they index
    /// in the result of the basic index.
    ///
    /// # Errors
    ///
    /// Returns a message for integers out of range, too many entries, a second ellipsis and steps
    /// of 0.
    pub(crate) fn resolve(
        whole: &Shape,
        index: &[Index],
    ) -> Result<(BasicIndex, Vec<(usize, Tensor)>), String> {
        let rank = whole.rank();
        let named = index.iter().filter(|e| !matches!(e, Index::Ellipsis | Index::NewAxis)).count();
        if index.iter().filter(|e| matches!(e, Index::Ellipsis)).count() > 1 {
            return Err("expected at most one Ellipsis in the index".into());
        }
        let Some(rest) = rank.checked_sub(named) else {
            return Err(format!("expected at most {rank} axes in the index, got {named}"));
        };
        let mut basic = BasicIndex::all(whole.clone());
        let (mut axis, mut shape, mut indices) = (0, vec![], vec![]);
        for entry in index {
            match entry {
                Index::Ellipsis => {
                    shape.extend_from_slice(&whole[axis..axis + rest]);
                    axis += rest;
                    continue;
                }
                Index::NewAxis => {
                    shape.push(1);
                    continue;
                }
                Index::Integer(i) => {
                    let n = whole[axis];
                    let first = axis_of(*i, n).map_err(|_| {
                        format!("index {i} is out of range for axis {axis}, which has {n} entries")
                    })?;
                    basic.narrow_box(axis, AxisRange { first, count: 1, step: 1 });
                }
                Index::Range(_, _, 0) => return Err("expected a step other than 0".into()),
                Index::Range(from, to, step) => {
                    let r = AxisRange::new(whole[axis], *from, *to, *step);
                    basic.narrow_box(axis, r);
                    shape.push(r.count);
                }
                Index::Tensor(x) => {
                    indices.push((shape.len(), x.clone()));
                    shape.push(whole[axis]);
                }
            }
            axis += 1;
        }
        shape.extend_from_slice(&whole[axis..]);
        basic.shape = shape.into_iter().collect();
        Ok((basic, indices))
    }

    /// Returns the elements of `x` at the index.
    pub(crate) fn read(&self, x: &Tensor, at: CallSite) -> Tensor {
        let mut y = x.clone();
        if self.count[..] != self.whole[..] {
            let limit = |a: usize| {
                if self.count[a] == 0 {
                    self.start[a]
                } else {
                    self.start[a] + (self.count[a] - 1) * self.stride[a] + 1
                }
            };
            let limit = (0..self.start.len()).map(limit).collect();
            y = dispatch(
                Slice { start: self.start.clone(), limit, stride: self.stride.clone() },
                [y],
                at,
            );
        }
        self.reverse(y, at).reshaped(self.shape.clone(), at)
    }

    /// Reverses the axes that are read backward.
    fn reverse(&self, x: Tensor, at: CallSite) -> Tensor {
        if self.reversed.is_empty() {
            x
        } else {
            dispatch(Reverse { axes: self.reversed.clone() }, [x], at)
        }
    }

    /// Returns `x` with the elements at the index replaced by `update`, which broadcasts.
    #[track_caller]
    pub(crate) fn write(
        &self,
        op: &str,
        x: &Tensor,
        update: &Tensor,
        at: CallSite,
    ) -> Result<Tensor, Tensor> {
        let update = broadcast_update(op, update, &self.shape, at)?.reshaped(&self.count[..], at);
        let update = self.reverse(update, at);
        if self.count.contains(&0) {
            return Ok(x.clone());
        }
        if self.stride.iter().all(|&s| s == 1) {
            let start: Vec<i64> = self.start.iter().map(|&i| i as i64).collect();
            let start =
                Literal::from_vec([start.len()], start).map_err(|e| Tensor::error_at(e, at))?;
            return Ok(dispatch(DynamicUpdateSlice {}, [x.clone(), update, start.into()], at));
        }
        let inside = self.embed(Tensor::full_of(DType::Bool, &self.count, true), at);
        Ok(inside.select(self.embed(update, at), x))
    }

    /// Pads the elements at the index with zeros to the shape of the operand.
    fn embed(&self, x: Tensor, at: CallSite) -> Tensor {
        let low = self.start.iter().map(|&i| i as i64).collect();
        let high = |a: usize| {
            (self.whole[a] - self.start[a] - (self.count[a] - 1) * self.stride[a] - 1) as i64
        };
        let high = (0..self.start.len()).map(high).collect();
        let interior = self.stride.iter().map(|s| s - 1).collect();
        let zero = Tensor::from(Scalar::Int(0).literal(x.dtype()));
        dispatch(Pad { low, high, interior }, [x, zero], at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_pythons() {
        use Bound::*;
        let all = |n, from, to, step| {
            let r = AxisRange::new(n, from, to, step);
            (0..r.count as i64).map(|i| r.first as i64 + i * r.step).collect::<Vec<_>>()
        };
        assert_eq!(all(5, Included(1), Excluded(-1), 1), [1, 2, 3]);
        assert_eq!(all(5, Unbounded, Unbounded, -2), [4, 2, 0]);
        assert_eq!(all(5, Included(-2), Excluded(0), -1), [3, 2, 1]);
        assert_eq!(all(5, Included(9), Included(0), -3), [4, 1]);
        assert_eq!(all(5, Unbounded, Included(-1), 1), [0, 1, 2, 3, 4]);
        assert!(all(5, Included(3), Excluded(1), 1).is_empty());
        assert_eq!(all(5, Included(-9), Excluded(2), 1), [0, 1]);
        assert_eq!(all(5, Included(1), Unbounded, 3), [1, 4]);
        assert!(all(0, Unbounded, Unbounded, -1).is_empty());
        assert!(all(5, Included(-9), Unbounded, -1).is_empty());
        assert_eq!(all(3, Excluded(0), Unbounded, i64::MAX), [1]);
    }
}
