//! Indexing by integer tensors (NumPy's advanced indexing): gather, scatter and dynamic slices.

use super::common::{broadcast_update, promote_and_broadcast, tensor_or_error};
use crate::{
    AxisInt, DType, IntoShape, Operand, Shape, Tensor, concat, dispatch::dispatch, shape::fixed,
    tensor::CallSite,
};
use neurax_ir::{
    Kind,
    op::{DynamicSlice, DynamicUpdateSlice, Gather, OutOfBounds, Scatter, ScatterKind},
};
use std::panic::Location;

/// The index vectors of a gather or scatter, and its dimension numbers.
struct IndexVectors {
    /// The vectors along the last axis; entry `i` is the index along `axes[i]`.
    vectors: Tensor,
    /// The axes of the operand that are indexed, in ascending order.
    axes: Vec<usize>,
    /// The axes of the result that come from unindexed axes of the operand.
    offset_dims: Vec<usize>,
    /// The shape of the result.
    shape: Shape,
}

impl IndexVectors {
    /// Builds the index vectors for `indices`, pairs of an axis and its integer tensor.
    ///
    /// The tensors broadcast to one shape. Its axes take the position of the indexed axes if these
    /// are adjacent, else they come first, as in NumPy.
    #[track_caller]
    fn new(
        op: &str,
        x: &Tensor,
        indices: &[(usize, Tensor)],
        at: CallSite,
    ) -> Result<IndexVectors, Tensor> {
        let shape = x.type_or_error()?.shape.clone();
        let axes: Vec<usize> = indices.iter().map(|p| p.0).collect();
        let mut wrapped = vec![];
        for (axis, indices) in indices {
            wrapped.push(indices.normalize_indices(op, shape[*axis], at)?);
        }
        let wrapped = promote_and_broadcast(op, &wrapped, at)?;
        let batch = wrapped.first().map(Tensor::shape).unwrap_or_default();
        let adjacent = axes.windows(2).all(|w| w[0] + 1 == w[1]);
        let front = if adjacent { axes.first().copied().unwrap_or(0) } else { 0 };
        let kept: Vec<usize> = (0..shape.rank()).filter(|a| !axes.contains(a)).collect();
        let rank = batch.len();
        let out = kept[..front]
            .iter()
            .map(|&a| shape[a])
            .chain(batch.iter().copied())
            .chain(kept[front..].iter().map(|&a| shape[a]));
        let out = out.collect();
        let last = rank as i64;
        let mut columns = vec![];
        for p in &wrapped {
            columns.push(p.expand_dims(last));
        }
        Ok(IndexVectors {
            vectors: concat(columns, last),
            offset_dims: (0..front).chain(front + rank..rank + kept.len()).collect(),
            axes,
            shape: out,
        })
    }
}

/// Gathers the elements of `x` at `indices`, pairs of an axis, in ascending order, and its integer
/// tensor. Out-of-range indices are clamped.
#[track_caller]
pub(crate) fn gather(
    op: &str,
    x: &Tensor,
    indices: &[(usize, Tensor)],
    at: CallSite,
) -> Result<Tensor, Tensor> {
    gather_with(op, x, indices, OutOfBounds::Clip, at)
}

/// Gathers elements as [`gather`] does; out-of-range indices are clamped, or read 0.
#[track_caller]
pub(super) fn gather_with(
    op: &str,
    x: &Tensor,
    indices: &[(usize, Tensor)],
    mode: OutOfBounds,
    at: CallSite,
) -> Result<Tensor, Tensor> {
    let p = IndexVectors::new(op, x, indices, at)?;
    let sizes = x
        .shape()
        .iter()
        .enumerate()
        .map(|(a, &n)| if p.axes.contains(&a) { 1 } else { n })
        .collect();
    let op = Gather {
        offset_dims: p.offset_dims,
        collapsed: p.axes.clone(),
        operand_batch: vec![],
        indices_batch: vec![],
        index_map: p.axes,
        sizes,
        mode,
    };
    Ok(dispatch(op, [x.clone(), p.vectors], at))
}

/// Scatters `update`, which broadcasts, into `x` at `indices`, pairs of an axis, in ascending
/// order, and its integer tensor. Out-of-range indices are dropped.
///
/// `kind` combines old and new elements. `unique` promises that no position is indexed twice.
#[track_caller]
pub(crate) fn scatter(
    op: &str,
    kind: ScatterKind,
    unique: bool,
    x: &Tensor,
    indices: &[(usize, Tensor)],
    update: &Tensor,
    at: CallSite,
) -> Result<Tensor, Tensor> {
    let p = IndexVectors::new(op, x, indices, at)?;
    let update = broadcast_update(op, update, &p.shape, at)?;
    let op = Scatter {
        kind,
        window_dims: p.offset_dims,
        inserted: p.axes.clone(),
        operand_batch: vec![],
        indices_batch: vec![],
        index_map: p.axes,
        mode: OutOfBounds::Drop,
        unique,
    };
    Ok(dispatch(op, [x.clone(), p.vectors, update], at))
}

impl Tensor {
    /// Returns indices along an axis of size `n` with `n` added to negative ones.
    #[track_caller]
    fn normalize_indices(&self, op: &str, n: usize, at: CallSite) -> Result<Tensor, Tensor> {
        let ty = self.type_or_error()?;
        match ty.dtype {
            DType::Bool => {
                let why = format!(
                    "expected integer indices, got the mask {ty}, with which the shape of the \
                     result would depend on values; use `select`, or pass integers"
                );
                Err(Tensor::fail(op, why, at))
            }
            d if !d.is_int() => {
                Err(Tensor::fail(op, format!("expected integer indices, got {ty}"), at))
            }
            _ => {
                let x = self.index_along(n, at);
                let signed = x.dtype().kind() == Kind::Signed;
                Ok(if signed { x.lt(0).select(&x + n, &x) } else { x })
            }
        }
    }

    /// Gathers slices along `axis` at `indices`, an integer or an integer tensor, whose axes
    /// replace the axis; indices out of range are clamped.
    ///
    /// Negative indices count from the end. A clamped index selects the first or the last slice,
    /// which also receives its gradient. Follows `jax.numpy.take` with mode `clip`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `indices` are not integers.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[1, 2], [3, 4], [5, 6]]);
    /// assert_eq!(x.take(tensor([2, 0]), 0).to_vec::<i32>()?, [5, 6, 1, 2]);
    /// assert_eq!(x.take(-1, 1).to_vec::<i32>()?, [2, 4, 6]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn take(&self, indices: impl Operand, axis: impl AxisInt) -> Tensor {
        let at = Location::caller();
        let indices = indices.operand(&Tensor::scalar(DType::I32, 0));
        match self.axis_at(axis, "take", at) {
            Ok(axis) => tensor_or_error(gather("take", self, &[(axis, indices)], at)),
            Err(e) => e,
        }
    }

    /// Gathers one element along `axis` for each element of `indices`, at the same position along
    /// the other axes; indices out of range are clamped.
    ///
    /// The other axes broadcast. Negative indices count from the end. A clamped index selects the
    /// first or the last element, which also receives its gradient. Follows
    /// `numpy.take_along_axis`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `indices` are not integers, or do not broadcast.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[10, 30, 20], [60, 40, 50]]);
    /// assert_eq!(x.take_along_axis(&x.argsort(1), 1).to_vec::<i32>()?, [10, 20, 30, 40, 50, 60]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn take_along_axis(&self, indices: &Tensor, axis: impl AxisInt) -> Tensor {
        tensor_or_error(self.try_take_along_axis(indices, axis))
    }

    #[track_caller]
    fn try_take_along_axis(&self, indices: &Tensor, axis: impl AxisInt) -> Result<Tensor, Tensor> {
        let (op, at) = ("take_along_axis", Location::caller());
        let axis = self.axis_at(axis, op, at)?;
        let (x, p) = (self.type_or_error()?, indices.type_or_error()?);
        let mismatch = || {
            Tensor::fail(
                op,
                format!(
                    "expected indices that broadcast against {x} along all axes but {axis}, \
                     got {p}"
                ),
                at,
            )
        };
        if x.rank() != p.rank() {
            return Err(mismatch());
        }
        let (mut x_shape, mut p_shape) = (x.shape.clone(), p.shape.clone());
        for a in (0..x.rank()).filter(|&a| a != axis) {
            let n = match (x.shape[a], p.shape[a]) {
                (m, n) if m == n || n == 1 => m,
                (1, n) => n,
                _ => return Err(mismatch()),
            };
            (x_shape[a], p_shape[a]) = (n, n);
        }
        let others: Vec<usize> = (0..x.rank()).filter(|&a| a != axis).collect();
        let gather = Gather {
            offset_dims: vec![],
            collapsed: vec![axis],
            operand_batch: others.clone(),
            indices_batch: others,
            index_map: vec![axis],
            sizes: vec![1; x.rank()],
            mode: OutOfBounds::Clip,
        };
        let vectors = indices
            .normalize_indices(op, x.shape[axis], at)?
            .broadcast_to(p_shape)
            .expand_dims(x.rank());
        Ok(dispatch(gather, [self.broadcast_to(x_shape), vectors], at))
    }

    /// Returns the window of shape `sizes` that begins at `start`, which is known at run time and
    /// clamped so that the window fits.
    ///
    /// `start` is an integer vector with one entry for each axis. Negative entries count from the
    /// end. The gradient of a window that was moved goes to the elements that it contains. Follows
    /// `jax.lax.dynamic_slice`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::arange(6).dynamic_slice(tensor([2]), [3]).to_vec::<i32>()?, [2, 3, 4]);
    /// assert_eq!(Tensor::arange(6).dynamic_slice(tensor([9]), [3]).to_vec::<i32>()?, [3, 4, 5]);
    /// assert_eq!(Tensor::arange(6).dynamic_slice(tensor([-4]), [3]).to_vec::<i32>()?, [2, 3, 4]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn dynamic_slice(&self, start: impl Operand, sizes: impl IntoShape) -> Tensor {
        let at = Location::caller();
        let start = self.window_start(start, at);
        match fixed(sizes) {
            Ok(sizes) => {
                dispatch(DynamicSlice { sizes: sizes.to_vec() }, [self.clone(), start], at)
            }
            Err(why) => Tensor::fail("dynamic_slice", why, at),
        }
    }

    /// Returns the tensor with the window that begins at `start`, which is known at run time and
    /// clamped so that the window fits, replaced by `update`.
    ///
    /// `start` is an integer vector with one entry for each axis. Negative entries count from the
    /// end. Follows `jax.lax.dynamic_update_slice`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = Tensor::zeros([4]).dynamic_update_slice(tensor([1.0, 2.0]), tensor([1]));
    /// assert_eq!(x.to_vec::<f32>()?, [0.0, 1.0, 2.0, 0.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn dynamic_update_slice(&self, update: impl Operand, start: impl Operand) -> Tensor {
        let at = Location::caller();
        let update = update.operand(self);
        let start = self.window_start(start, at);
        dispatch(DynamicUpdateSlice {}, [self.clone(), update, start], at)
    }

    /// Returns the start of a window with the size of the axis added to negative entries. The op
    /// checks dtype and shape.
    #[track_caller]
    fn window_start(&self, start: impl Operand, at: CallSite) -> Tensor {
        let start = start.operand(&Tensor::scalar(DType::I32, 0));
        let (Ok(ty), Ok(x)) = (start.type_ref(), self.type_ref()) else { return start };
        if ty.dtype.kind() != Kind::Signed || ty.shape[..] != [x.rank()] {
            return start;
        }
        let largest = x.shape.iter().copied().max().unwrap_or_default();
        let start = start.index_along(largest, at);
        let sizes: Vec<i64> = x.shape.iter().map(|&n| n as i64).collect();
        let sizes = Tensor::from_slice(&sizes, [sizes.len()]).convert(start.dtype(), at);
        start.lt(0).select(&start + sizes, &start)
    }
}
