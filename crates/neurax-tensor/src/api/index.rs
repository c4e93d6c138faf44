//! Indexing and indexed updates.
//!
//! An index is a list of entries ([`Index`]). It is resolved in two steps: `basic_index.rs` applies
//! integers, ranges and new axes with slices and reshapes, then `gather.rs` applies integer tensors
//! with a gather or a scatter.

use super::{
    basic_index::{AxisRange, BasicIndex},
    common::{broadcast_update, tensor_or_error},
    gather::{gather, gather_with, scatter},
    index_entry::{Index, IndexEntry, IntoIndex},
    index_mode::IndexMode,
};
use crate::{AxisInt, DType, Operand, Tensor, Type, args::axis_of, tensor::CallSite};
use neurax_ir::op::ScatterKind;
use std::{ops::RangeBounds, panic::Location};

/// Creates an entry of an index: a range with step `by`.
///
/// A negative step goes backward; as in Python, an unbounded range then starts at the end.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// assert_eq!(Tensor::arange(6).index(step(.., 2)).to_vec::<i32>()?, [0, 2, 4]);
/// assert_eq!(Tensor::arange(6).index(step(..2, -1)).to_vec::<i32>()?, [5, 4, 3]);
/// # Ok::<(), Error>(())
/// ```
pub fn step(range: impl IndexEntry, by: i64) -> Index {
    match range.entry() {
        Index::Range(from, to, old) => Index::Range(from, to, old.saturating_mul(by)),
        other => other,
    }
}

impl Tensor {
    /// Returns entry `i` along axis 0, which is removed. Negative indices count from the end.
    ///
    /// # Errors
    ///
    /// The result carries an error if `i` is out of range.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([[1.0, 2.0], [3.0, 4.0]]).get(-1).to_vec::<f32>()?, [3.0, 4.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn get(&self, i: impl AxisInt) -> Tensor {
        self.get_at(i, Location::caller())
    }

    pub(crate) fn get_at(&self, i: impl AxisInt, at: CallSite) -> Tensor {
        let Ok(ty) = self.type_ref() else { return self.clone() };
        let Some(&n) = ty.shape.first() else {
            return Tensor::fail("get", format!("{ty} has no axis to index"), at);
        };
        match axis_of(i.to_i64(), n) {
            Ok(_) => tensor_or_error(self.at(i.to_i64()).read(at)),
            Err(_) => Tensor::fail(
                "get",
                format!("index {} is out of range for axis 0 of {ty}", i.to_i64()),
                at,
            ),
        }
    }

    /// Returns a range of one axis: NumPy's `x[a:b]` along `axis`.
    ///
    /// As in Python, negative bounds count from the end, and bounds out of range are clamped.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::arange(5).slice(0, 1..-1).to_vec::<i32>()?, [1, 2, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn slice(&self, axis: impl AxisInt, range: impl RangeBounds<i64>) -> Tensor {
        let at = Location::caller();
        let axis = match self.axis_at(axis, "slice", at) {
            Ok(a) => a,
            Err(e) => return e,
        };
        let (from, to) = (range.start_bound().cloned(), range.end_bound().cloned());
        let mut basic = BasicIndex::all(self.shape().0);
        basic.narrow(axis, AxisRange::new(self.shape()[axis], from, to, 1));
        basic.read(self, at)
    }

    /// Returns the elements at an index, NumPy's `x[..]`; integers in tensors that are out of range
    /// are clamped.
    ///
    /// An index has one entry for each axis: an integer, which removes the axis; a range, with a
    /// step by [`step`]; an integer tensor, whose axes replace the axis; [`crate::Ellipsis`] for
    /// all axes that the other entries leave over; [`crate::NewAxis`] for a new axis of size 1.
    /// Axes at the end may be left out.
    ///
    /// A bool tensor, whose axes are those that it indexes, stands for the indices at which it is
    /// true, one tensor for each axis ([`Tensor::nonzero`]). It cannot be traced, as the shape of
    /// the result depends on its values: [`Tensor::extract_with`] takes the size.
    ///
    /// Several integer tensors broadcast to one shape and select elements together. Their axes are
    /// at the position of the first of them if they are adjacent, else at the front. Unlike in
    /// NumPy, integers do not count as tensors here. Integers in tensors count from the end if they
    /// are negative, and are clamped if they are out of range.
    ///
    /// # Errors
    ///
    /// The result carries an error if an integer is out of range, if the index has too many
    /// entries, if a tensor is not of integers or bool, or if a mask is traced or has another shape
    /// than the axes that it indexes. Ranges are clamped as in Python.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = Tensor::arange(12).reshape([3, 4]);
    /// assert_eq!(x.index((0, 1..3)).to_vec::<i32>()?, [1, 2]);
    /// assert_eq!(x.index((.., -1)).to_vec::<i32>()?, [3, 7, 11]);
    /// assert_eq!(x.index((Ellipsis, step(.., -2), NewAxis)).shape(), [3, 2, 1]);
    /// assert_eq!(x.index((tensor([0, 2]), tensor([1, -1]))).to_vec::<i32>()?, [1, 11]);
    /// assert_eq!(x.index(x.gt(9)).to_vec::<i32>()?, [10, 11]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn index(&self, index: impl IntoIndex) -> Tensor {
        self.at(index).get()
    }

    /// Selects the elements at an index, to read or to update them: `x.at((0, 1..3)).set(y)`
    /// returns `x` with other elements there.
    ///
    /// [`Tensor::index`] explains what an index is; [`Places::mode`] sets what happens to integers
    /// in tensors that are out of range. The only entry of an index for an update may be a bool
    /// tensor with the sizes of the first axes: the update, which broadcasts to the other axes, is
    /// applied where it is true. Follows JAX's `x.at[..]`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = Tensor::zeros([4]);
    /// assert_eq!(x.at(step(.., 2)).set(7.0).to_vec::<f32>()?, [7.0, 0.0, 7.0, 0.0]);
    /// assert_eq!(x.at(tensor([1, 1, 3])).add(1.0).to_vec::<f32>()?, [0.0, 2.0, 0.0, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn at(&self, index: impl IntoIndex) -> Places<'_> {
        Places { x: self, index: index.entries(), unique: false, mode: None }
    }
}

/// The elements of a tensor at an index; see [`Tensor::at`].
#[derive(Clone, Debug)]
pub struct Places<'x> {
    pub(super) x: &'x Tensor,
    pub(super) index: Vec<Index>,
    pub(super) unique: bool,
    pub(super) mode: Option<IndexMode>,
}

/// A table of indexed updates. A row is `name = Kind, "doc", "code" => "value";`.
macro_rules! updates {
    ($($f:ident = $V:ident, $doc:literal, $code:literal => $value:literal;)*) => {
        impl Places<'_> {$(
            #[doc = $doc]
            #[doc = "\nThe update broadcasts to the shape of the indexed elements, and its dtype \
                     must promote to that of the tensor. Indices in integer tensors that are out \
                     of range are ignored."]
            #[doc = super::common::example!($code => $value)]
            #[track_caller]
            pub fn $f(&self, update: impl Operand) -> Tensor {
                let update = update.operand(self.x);
                let at = Location::caller();
                tensor_or_error(self.update(stringify!($f), ScatterKind::$V, update, at))
            }
        )*}
    };
}

updates! {
    set = Set,
        "Replaces the elements at the index. If an element is indexed several times, the last \
         update wins.",
        "Tensor::zeros([3]).at(1..).set(2.0)" => "[0.0, 2.0, 2.0]";
    add = Add,
        "Adds the update to the elements at the index, once for every time that an element is \
         indexed.",
        "Tensor::ones([3]).at(tensor([0, 0])).add(2.0)" => "[5.0, 1.0, 1.0]";
    mul = Mul,
        "Multiplies the elements at the index by the update, once for every time that an element \
         is indexed.",
        "Tensor::ones([3]).at(tensor([0, 0])).mul(2.0)" => "[4.0, 1.0, 1.0]";
    min = Min,
        "Replaces the elements at the index by the smaller of themselves and the update.",
        "tensor([1, 5, 9]).at(1..).min(7)" => "[1, 5, 7]";
    max = Max,
        "Replaces the elements at the index by the larger of themselves and the update.",
        "tensor([1, 5, 9]).at(1..).max(7)" => "[1, 7, 9]";
}

impl Places<'_> {
    /// Promises that no element is indexed twice.
    ///
    /// [`Places::mul`] with integer tensors has a derivative only with this promise. The promise is
    /// not checked: if it is broken, the derivative is wrong. Follows JAX's `unique_indices`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let f = |u: Tensor| Tensor::full([2], 3.0).at(tensor([1])).unique().mul(u).sum(..);
    /// assert_eq!(grad(f).run(tensor(1.0))?.item()?, 3.0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn unique(self) -> Self {
        Places { unique: true, ..self }
    }

    /// Returns the elements at the index, like [`Tensor::index`].
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::arange(4).at(1..3).get().to_vec::<i32>()?, [1, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn get(&self) -> Tensor {
        tensor_or_error(self.read(Location::caller()))
    }

    /// Reads the elements at the index.
    #[track_caller]
    fn read(&self, at: CallSite) -> Result<Tensor, Tensor> {
        let (basic, indices) = self.resolve("index", at)?;
        let x = basic.read(self.x, at);
        if indices.is_empty() {
            return Ok(x);
        }
        match self.mode {
            None => gather("index", &x, &indices, at),
            Some(mode) => {
                let indices = mode.in_range(&x, indices, at);
                gather_with("index", &x, &indices, mode.out_of_bounds(), at)
            }
        }
    }

    /// Resolves the index: the basic part, and the integer tensors with the axes that they index in
    /// the result of the basic part.
    #[track_caller]
    fn resolve(
        &self,
        op: &str,
        at: CallSite,
    ) -> Result<(BasicIndex, Vec<(usize, Tensor)>), Tensor> {
        let ty = self.x.type_or_error()?;
        let index = without_masks(&self.index, ty, op, at)?;
        BasicIndex::resolve(&ty.shape, &index)
            .map_err(|why| Tensor::fail(op, format!("{why}; the operand is {ty}"), at))
    }

    /// Returns the tensor with the elements at the index combined with `update` by `kind`.
    #[track_caller]
    fn update(
        &self,
        op: &str,
        kind: ScatterKind,
        update: Tensor,
        at: CallSite,
    ) -> Result<Tensor, Tensor> {
        let (ty, of) = (self.x.type_or_error()?, update.type_or_error()?);
        if ty.dtype.promote(of.dtype) != Some(ty.dtype) {
            return Err(Tensor::fail(
                op,
                format!(
                    "expected an update that promotes to the dtype of {ty}, got {of}; \
                     convert one of them with `to`"
                ),
                at,
            ));
        }
        let update = update.convert(ty.dtype, at);
        if let Some(mask) = self.mask() {
            return self.masked_update(op, kind, mask, &update, at);
        }
        let (basic, indices) = self.resolve(op, at)?;
        if indices.is_empty() && kind == ScatterKind::Set {
            return basic.write(op, self.x, &update, at);
        }
        let old = basic.read(self.x, at);
        let indices = match self.mode {
            Some(mode) => mode.in_range(&old, indices, at),
            None => indices,
        };
        let new = match kind.binary() {
            _ if !indices.is_empty() => {
                scatter(op, kind, self.unique, &old, &indices, &update, at)?
            }
            Some(combine) => {
                let shape = old.type_or_error()?.shape.clone();
                old.binary(broadcast_update(op, &update, &shape, at)?, combine, at)
            }
            None => update,
        };
        if basic.is_all() { Ok(new) } else { basic.write(op, self.x, &new, at) }
    }
}

/// Replaces the bool tensors of an index of a tensor of type `ty` by the indices at which they are
/// true.
#[track_caller]
fn without_masks(index: &[Index], ty: &Type, op: &str, at: CallSite) -> Result<Vec<Index>, Tensor> {
    let is_mask = |entry: &Index| matches!(entry, Index::Tensor(x) if is_bool(x));
    if !index.iter().any(is_mask) {
        return Ok(index.to_vec());
    }
    let axes = |entry: &Index| match entry {
        Index::Ellipsis | Index::NewAxis => 0,
        Index::Tensor(mask) if is_mask(entry) => mask.rank(),
        _ => 1,
    };
    let rest = ty.rank().saturating_sub(index.iter().map(axes).sum());
    let (mut axis, mut out) = (0, vec![]);
    for entry in index {
        let count = if matches!(entry, Index::Ellipsis) { rest } else { axes(entry) };
        match entry {
            Index::Tensor(mask) if is_mask(entry) => {
                let indexed = ty.shape.get(axis..axis + count).unwrap_or_default();
                out.extend(places_of(mask, indexed, ty, op, at)?.into_iter().map(Index::Tensor));
            }
            _ => out.push(entry.clone()),
        }
        axis += count;
    }
    Ok(out)
}

/// Returns true if `x` is a mask; a tensor that carries an error is none.
fn is_bool(x: &Tensor) -> bool {
    x.error().is_none() && x.dtype() == DType::Bool
}

/// Returns the indices at which `mask` is true; `indexed` are the axes of `ty` that it indexes.
#[track_caller]
fn places_of(
    mask: &Tensor,
    indexed: &[usize],
    ty: &Type,
    op: &str,
    at: CallSite,
) -> Result<Vec<Tensor>, Tensor> {
    if mask.rank() == 0 || mask.shape()[..] != *indexed {
        let why = format!(
            "expected a mask with the sizes of the axes of {ty} that it indexes, got {}",
            mask.dtype_and_shape()
        );
        return Err(Tensor::fail(op, why, at));
    }
    if !mask.has_value() {
        let why = format!(
            "the shape of the result depends on the values of the mask {}, and a traced tensor has \
             none yet; use `select` for a result of the same shape, or `extract_with` with a size",
            mask.dtype_and_shape()
        );
        return Err(Tensor::fail(op, why, at));
    }
    let places = mask.nonzero();
    match places.iter().find(|x| x.error().is_some()) {
        Some(e) => Err(e.clone()),
        None => Ok(places),
    }
}
