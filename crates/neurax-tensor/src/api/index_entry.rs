//! Entries of an index.

use crate::{AxisInt, Tensor};
use std::ops::{Bound, Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};

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
