//! Elements at places that are known when the program is written, or given by integer tensors.

use super::{
    common::settle,
    places::{read_places, write_places},
    region::{Region, fitted, run},
};
use crate::{AxisInt, Operand, Tensor, args::axis_of, tensor::At};
use neurax_ir::op::ScatterKind;
use std::{
    ops::{
        Bound, Range, RangeBounds, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive,
    },
    panic::Location,
};

/// One entry of an index: what is taken of one axis.
#[derive(Clone, Debug)]
pub enum Index {
    /// One place; the axis goes. Negative ones count from the back.
    At(i64),
    /// A range with a step.
    Range(Bound<i64>, Bound<i64>, i64),
    /// The places in an integer tensor, whose axes stand in for the axis.
    Places(Tensor),
    /// All axes that the other entries leave over.
    Ellipsis,
    /// A new axis of size 1.
    NewAxis,
}

/// In an index: all axes that the other entries leave over, NumPy's `...`.
#[derive(Clone, Copy, Debug)]
pub struct Ellipsis;

/// In an index: a new axis of size 1.
#[derive(Clone, Copy, Debug)]
pub struct NewAxis;

/// In an index: a range with a step, which goes backwards if it is negative. As in Python, a
/// backward range starts at the end.
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

/// What can stand in an index: an integer, a range, [`step`], an integer tensor, [`Ellipsis`],
/// [`NewAxis`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot stand in an index",
    note = "entries are integers, ranges, `..` (all of one axis), step(range, by), integer tensors, Ellipsis and NewAxis"
)]
pub trait IndexEntry {
    /// As an entry.
    fn entry(self) -> Index;
}

/// What [`Tensor::index`] takes: one entry, or a tuple (or vector) of entries, one for each axis;
/// axes at the end may be left out.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an index",
    note = "an index is one entry or a tuple of up to six: `(0, .., 1..3)`; entries are integers, ranges, step(range, by), integer tensors, Ellipsis and NewAxis"
)]
pub trait IntoIndex {
    /// Its entries.
    fn entries(self) -> Vec<Index>;
}

macro_rules! entries {
    ($($t:ty $(where $I:ident)?: |$x:ident| $e:expr;)*) => {$(
        impl$(<$I: AxisInt>)? IndexEntry for $t {
            fn entry(self) -> Index {
                let $x = self;
                $e
            }
        }
        impl$(<$I: AxisInt>)? IntoIndex for $t {
            fn entries(self) -> Vec<Index> {
                vec![self.entry()]
            }
        }
    )*};
}

entries! {
    i32: |i| Index::At(i.to_i64());
    i64: |i| Index::At(i);
    isize: |i| Index::At(i.to_i64());
    usize: |i| Index::At(i.to_i64());
    RangeFull: |_r| Index::Range(Bound::Unbounded, Bound::Unbounded, 1);
    Range<I> where I: |r| Index::Range(Bound::Included(r.start.to_i64()), Bound::Excluded(r.end.to_i64()), 1);
    RangeFrom<I> where I: |r| Index::Range(Bound::Included(r.start.to_i64()), Bound::Unbounded, 1);
    RangeTo<I> where I: |r| Index::Range(Bound::Unbounded, Bound::Excluded(r.end.to_i64()), 1);
    RangeInclusive<I> where I: |r| Index::Range(Bound::Included(r.start().to_i64()), Bound::Included(r.end().to_i64()), 1);
    RangeToInclusive<I> where I: |r| Index::Range(Bound::Unbounded, Bound::Included(r.end.to_i64()), 1);
    Tensor: |x| Index::Places(x);
    &Tensor: |x| Index::Places(x.clone());
    Ellipsis: |_e| Index::Ellipsis;
    NewAxis: |_n| Index::NewAxis;
    Index: |x| x;
}

macro_rules! tuples {
    ($(($($T:ident),*))*) => {$(
        impl<$($T: IndexEntry),*> IntoIndex for ($($T,)*) {
            #[allow(non_snake_case, reason = "the parts are named as their types")]
            fn entries(self) -> Vec<Index> {
                let ($($T,)*) = self;
                vec![$($T.entry()),*]
            }
        }
    )*};
}

tuples! { () (A) (A, B) (A, B, C) (A, B, C, D) (A, B, C, D, E) (A, B, C, D, E, F) }

impl IntoIndex for Vec<Index> {
    fn entries(self) -> Vec<Index> {
        self
    }
}

impl Tensor {
    /// Entry `i` along axis 0, which is removed; negative ones count from the back.
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

    pub(crate) fn get_at(&self, i: impl AxisInt, at: At) -> Tensor {
        let Ok(ty) = self.type_ref() else { return self.clone() };
        let Some(&n) = ty.shape.first() else {
            return Tensor::fail("get", format!("{ty} has no axis to index"), at);
        };
        match axis_of(i.to_i64(), n) {
            Ok(_) => settle(self.at(i.to_i64()).read(at)),
            Err(_) => Tensor::fail(
                "get",
                format!("index {} is out of range for axis 0 of {ty}", i.to_i64()),
                at,
            ),
        }
    }

    /// A range of one axis. As in Python, negative bounds count from the back and bounds out of
    /// range are moved to the end.
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
        let mut region = Region::all(self.shape().0);
        region.narrow(
            axis,
            run(self.shape()[axis], range.start_bound().cloned(), range.end_bound().cloned(), 1),
        );
        region.read(self, at)
    }

    /// The elements at an index: one entry for each axis (an integer, which removes the axis; a
    /// range, with [`step`] if wanted; an integer tensor), [`Ellipsis`] for all axes that are left
    /// over, [`NewAxis`] for a new one.
    ///
    /// Ranges are cut at the end as in Python, while an integer that is out of range is an error.
    /// Integers in tensors count from the back if they are negative, and are moved to the nearest
    /// place if they are out of range. Several integer tensors broadcast and go together; their
    /// axes stand where the first of them was if they are neighbours, else in front. (Unlike in
    /// NumPy, plain integers do not go along with them.)
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = Tensor::arange(12).reshape([3, 4]);
    /// assert_eq!(x.index((0, 1..3)).to_vec::<i32>()?, [1, 2]);
    /// assert_eq!(x.index((.., -1)).to_vec::<i32>()?, [3, 7, 11]);
    /// assert_eq!(x.index((Ellipsis, step(.., -2), NewAxis)).shape(), [3, 2, 1]);
    /// assert_eq!(x.index((tensor([0, 2]), tensor([1, -1]))).to_vec::<i32>()?, [1, 11]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn index(&self, index: impl IntoIndex) -> Tensor {
        self.at(index).get()
    }

    /// The places of an index, to be read or to be updated: `x.at((0, 1..3)).set(y)` gives `x` with
    /// other elements there. See [`Tensor::index`] for what an index is.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = Tensor::zeros([4]);
    /// assert_eq!(x.at(step(.., 2)).set(7.0).to_vec::<f32>()?, [7.0, 0.0, 7.0, 0.0]);
    /// assert_eq!(x.at(tensor([1, 1, 3])).add(1.0).to_vec::<f32>()?, [0.0, 2.0, 0.0, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn at(&self, index: impl IntoIndex) -> Places<'_> {
        Places { x: self, index: index.entries(), unique: false }
    }
}

/// Places of a tensor: what [`Tensor::at`] gives.
#[derive(Clone, Debug)]
pub struct Places<'x> {
    x: &'x Tensor,
    index: Vec<Index>,
    unique: bool,
}

macro_rules! updates {
    ($($f:ident = $V:ident, $doc:literal, $code:literal => $value:literal;)*) => {
        impl Places<'_> {$(
            #[doc = $doc]
            ///
            /// The update broadcasts to the shape of what is there. Places in integer tensors that
            /// are out of range are left out.
            #[doc = super::common::example!($code => $value)]
            #[track_caller]
            pub fn $f(&self, update: impl Operand) -> Tensor {
                let update = update.operand(self.x);
                settle(self.updated(stringify!($f), ScatterKind::$V, update, Location::caller()))
            }
        )*}
    };
}

updates! {
    set = Set, "The tensor with other elements there; the last one for a place wins.", "Tensor::zeros([3]).at(1..).set(2.0)" => "[0.0, 2.0, 2.0]";
    add = Add, "The tensor with something added there, for every time that a place is named.",
        "Tensor::ones([3]).at(tensor([0, 0])).add(2.0)" => "[5.0, 1.0, 1.0]";
    mul = Mul, "The tensor with factors there, for every time that a place is named.",
        "Tensor::ones([3]).at(tensor([0, 0])).mul(2.0)" => "[4.0, 1.0, 1.0]";
    min = Min, "The tensor with the smaller of what is there and the update.", "tensor([1, 5, 9]).at(1..).min(7)" => "[1, 5, 7]";
    max = Max, "The tensor with the larger of what is there and the update.", "tensor([1, 5, 9]).at(1..).max(7)" => "[1, 7, 9]";
}

impl Places<'_> {
    /// A promise that no place is named twice. Only with it, factors at places in integer tensors
    /// have a derivative.
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

    /// The elements there.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::arange(4).at(1..3).get().to_vec::<i32>()?, [1, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn get(&self) -> Tensor {
        settle(self.read(Location::caller()))
    }

    #[track_caller]
    fn read(&self, at: At) -> Result<Tensor, Tensor> {
        let (region, places) = self.resolved("index", at)?;
        let part = region.read(self.x, at);
        if places.is_empty() { Ok(part) } else { read_places("index", &part, &places, at) }
    }

    fn resolved(&self, op: &str, at: At) -> Result<(Region, Vec<(usize, Tensor)>), Tensor> {
        let ty = self.x.known()?;
        Region::resolve(&ty.shape, &self.index)
            .map_err(|why| Tensor::fail(op, format!("{why}; the operand is {ty}"), at))
    }

    #[track_caller]
    fn updated(
        &self,
        op: &str,
        kind: ScatterKind,
        update: Tensor,
        at: At,
    ) -> Result<Tensor, Tensor> {
        let (region, places) = self.resolved(op, at)?;
        let (ty, of) = (self.x.known()?, update.known()?);
        if ty.dtype.promote(of.dtype) != Some(ty.dtype) {
            return Err(Tensor::fail(
                op,
                format!(
                    "an update {of} does not fit into {ty}; convert it with `to`, or the operand"
                ),
                at,
            ));
        }
        let update = update.convert(ty.dtype, at);
        if places.is_empty() && kind == ScatterKind::Set {
            return region.write(op, self.x, &update, at);
        }
        let part = region.read(self.x, at);
        let part = match kind.binary() {
            _ if !places.is_empty() => {
                write_places(op, kind, self.unique, &part, &places, &update, at)?
            }
            Some(join) => {
                let shape = part.known()?.shape.clone();
                part.binary(fitted(op, &update, &shape, at)?, join, at)
            }
            None => update,
        };
        if region.is_all() { Ok(part) } else { region.write(op, self.x, &part, at) }
    }
}
