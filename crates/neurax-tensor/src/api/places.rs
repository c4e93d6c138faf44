//! Elements at places that integer tensors give.

use super::{
    common::{of_one_type, settle},
    region::fitted,
};
use crate::{
    AxisInt, DType, IntoShape, Operand, Shape, Tensor, concat, emit::emit, shape::fixed, tensor::At,
};
use neurax_ir::op::{DynamicSlice, DynamicUpdateSlice, Gather, OutOfBounds, Scatter, ScatterKind};
use std::panic::Location;

/// Where gathers read and scatters write: index vectors, and the axes that their entries move.
struct Plan {
    vectors: Tensor,
    /// The axes of the operand that are indexed.
    axes: Vec<usize>,
    /// The axes of the result that are not.
    offset_dims: Vec<usize>,
    /// The shape of the result.
    shape: Shape,
}

impl Plan {
    #[track_caller]
    fn new(op: &str, x: &Tensor, places: &[(usize, Tensor)], at: At) -> Result<Plan, Tensor> {
        let shape = x.known()?.shape.clone();
        let axes: Vec<usize> = places.iter().map(|p| p.0).collect();
        let mut wrapped = vec![];
        for (axis, places) in places {
            wrapped.push(places.as_places(op, shape[*axis], at)?);
        }
        let wrapped = of_one_type(op, &wrapped, at)?;
        let batch = wrapped.first().map(Tensor::shape).unwrap_or_default();
        let neighbours = axes.windows(2).all(|w| w[0] + 1 == w[1]);
        let front = if neighbours { axes.first().copied().unwrap_or(0) } else { 0 };
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
        Ok(Plan {
            vectors: concat(columns, last),
            offset_dims: (0..front).chain(front + rank..rank + kept.len()).collect(),
            axes,
            shape: out,
        })
    }
}

/// The elements at the places that tensors name on some axes, which are in ascending order.
#[track_caller]
pub(crate) fn read_places(
    op: &str,
    x: &Tensor,
    places: &[(usize, Tensor)],
    at: At,
) -> Result<Tensor, Tensor> {
    let p = Plan::new(op, x, places, at)?;
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
        mode: OutOfBounds::Clip,
    };
    Ok(emit(op, [x.clone(), p.vectors], at))
}

/// `x` with updates met at those places.
#[track_caller]
pub(crate) fn write_places(
    op: &str,
    kind: ScatterKind,
    unique: bool,
    x: &Tensor,
    places: &[(usize, Tensor)],
    update: &Tensor,
    at: At,
) -> Result<Tensor, Tensor> {
    let p = Plan::new(op, x, places, at)?;
    let update = fitted(op, update, &p.shape, at)?;
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
    Ok(emit(op, [x.clone(), p.vectors, update], at))
}

impl Tensor {
    /// Integers of at least 32 bits, for places and sizes that narrower ones could not hold.
    pub(crate) fn wide_index(&self, at: At) -> Tensor {
        match self.dtype() {
            d if d.is_int() && d.bits() < 32 => self.convert(DType::I32, at),
            _ => self.clone(),
        }
    }

    /// Places on an axis of that size, negative ones counted from the back.
    #[track_caller]
    fn as_places(&self, op: &str, n: usize, at: At) -> Result<Tensor, Tensor> {
        let ty = self.known()?;
        match ty.dtype {
            DType::Bool => {
                let why = format!(
                    "a mask {ty} would give a shape that depends on values; choose with `select`, or pass integers"
                );
                Err(Tensor::fail(op, why, at))
            }
            d if !d.is_int() => {
                Err(Tensor::fail(op, format!("the places are {ty}; take integers"), at))
            }
            _ => {
                let x = self.wide_index(at);
                let signed = x.dtype().kind() == neurax_ir::Kind::Signed;
                Ok(if signed { x.lt(0).select(&x + n, &x) } else { x })
            }
        }
    }

    /// The slices along an axis at those places, integers of any shape: their axes stand where the
    /// axis was. Negative places count from the back; those out of range are moved to the nearest
    /// one.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[1, 2], [3, 4], [5, 6]]);
    /// assert_eq!(x.take(tensor([2, 0]), 0).to_vec::<i32>()?, [5, 6, 1, 2]);
    /// assert_eq!(x.take(-1, 1).to_vec::<i32>()?, [2, 4, 6]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn take(&self, places: impl Operand, axis: impl AxisInt) -> Tensor {
        let at = Location::caller();
        let places = places.operand(&Tensor::scalar(DType::I32, 0));
        match self.axis_at(axis, "take", at) {
            Ok(axis) => settle(read_places("take", self, &[(axis, places)], at)),
            Err(e) => e,
        }
    }

    /// For each of the places, an element along an axis, at the same indices of the other axes,
    /// which broadcast. Negative places count from the back; those out of range are moved to the
    /// nearest one.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[10, 30, 20], [60, 40, 50]]);
    /// assert_eq!(x.take_along_axis(&x.argsort(1), 1).to_vec::<i32>()?, [10, 20, 30, 40, 50, 60]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn take_along_axis(&self, places: &Tensor, axis: impl AxisInt) -> Tensor {
        settle(self.taken_along(places, axis))
    }

    #[track_caller]
    fn taken_along(&self, places: &Tensor, axis: impl AxisInt) -> Result<Tensor, Tensor> {
        let (op, at) = ("take_along_axis", Location::caller());
        let axis = self.axis_at(axis, op, at)?;
        let (x, p) = (self.known()?, places.known()?);
        let misfit = || {
            Tensor::fail(
                op,
                format!("places {p} do not go with {x}: all axes but {axis} must broadcast"),
                at,
            )
        };
        if x.rank() != p.rank() {
            return Err(misfit());
        }
        let (mut x_shape, mut p_shape) = (x.shape.clone(), p.shape.clone());
        for a in (0..x.rank()).filter(|&a| a != axis) {
            let n = match (x.shape[a], p.shape[a]) {
                (m, n) if m == n || n == 1 => m,
                (1, n) => n,
                _ => return Err(misfit()),
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
        let vectors =
            places.as_places(op, x.shape[axis], at)?.broadcast_to(p_shape).expand_dims(x.rank());
        Ok(emit(gather, [self.broadcast_to(x_shape), vectors], at))
    }

    /// A window of those sizes at a place given at run time: `start` is an integer vector with one
    /// entry for each axis. The place is moved so that the window fits.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::arange(6).dynamic_slice(tensor([2]), [3]).to_vec::<i32>()?, [2, 3, 4]);
    /// assert_eq!(Tensor::arange(6).dynamic_slice(tensor([9]), [3]).to_vec::<i32>()?, [3, 4, 5]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn dynamic_slice(&self, start: impl Operand, sizes: impl IntoShape) -> Tensor {
        let at = Location::caller();
        let start = start.operand(&Tensor::scalar(DType::I32, 0));
        match fixed(sizes) {
            Ok(sizes) => emit(DynamicSlice { sizes: sizes.to_vec() }, [self.clone(), start], at),
            Err(why) => Tensor::fail("dynamic_slice", why, at),
        }
    }

    /// The tensor with the window at a place given at run time replaced: `start` is an integer
    /// vector with one entry for each axis. The place is moved so that the window fits.
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
        let start = start.operand(&Tensor::scalar(DType::I32, 0));
        emit(DynamicUpdateSlice {}, [self.clone(), update, start], at)
    }
}
