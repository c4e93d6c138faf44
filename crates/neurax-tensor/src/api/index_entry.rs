//! The entries of an index, as arguments of [`Tensor::index`] and [`Tensor::at`].

use crate::{AxisInt, Tensor};
use std::ops::{
    Bound::{self, Excluded, Included, Unbounded},
    Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive,
};

/// One entry of an index: the selection along one axis.
#[derive(Clone, Debug)]
pub enum Index {
    /// One index, which removes the axis. Negative indices count from the end.
    Integer(i64),
    /// The range from the first to the second bound with a step.
    Range(Bound<i64>, Bound<i64>, i64),
    /// The indices in an integer tensor, whose axes replace the axis.
    Tensor(Tensor),
    /// All axes that the other entries leave over.
    Ellipsis,
    /// A new axis of size 1.
    NewAxis,
}

/// An entry of an index for all axes that the other entries leave over: NumPy's `...`.
#[derive(Clone, Copy, Debug)]
pub struct Ellipsis;

/// An entry of an index for a new axis of size 1: `numpy.newaxis`.
#[derive(Clone, Copy, Debug)]
pub struct NewAxis;

/// Types that can be entries of an index: integers, ranges, [`crate::step`], integer tensors,
/// [`Ellipsis`] and [`NewAxis`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an index entry",
    note = "entries are integers, ranges, `..` (all of one axis), step(range, by), integer \
            tensors, Ellipsis and NewAxis"
)]
pub trait IndexEntry {
    /// Converts to an entry.
    fn entry(self) -> Index;
}

/// Types that can be an index: one entry, or a tuple or vector of entries, one for each axis. Axes
/// at the end may be left out.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an index",
    note = "an index is one entry or a tuple of up to six: `(0, .., 1..3)`; entries are integers, \
            ranges, step(range, by), integer tensors, Ellipsis and NewAxis"
)]
pub trait IntoIndex {
    /// Converts to entries.
    fn entries(self) -> Vec<Index>;
}

/// Implementations of [`IndexEntry`], and of [`IntoIndex`] as the only entry.
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

/// Creates the entry for a range with step 1.
fn bounded(from: Bound<i64>, to: Bound<i64>) -> Index {
    Index::Range(from, to, 1)
}

entries! {
    i32: |i| Index::Integer(i.to_i64());
    i64: |i| Index::Integer(i);
    isize: |i| Index::Integer(i.to_i64());
    usize: |i| Index::Integer(i.to_i64());
    RangeFull: |_r| bounded(Unbounded, Unbounded);
    Range<I> where I: |r| bounded(Included(r.start.to_i64()), Excluded(r.end.to_i64()));
    RangeFrom<I> where I: |r| bounded(Included(r.start.to_i64()), Unbounded);
    RangeTo<I> where I: |r| bounded(Unbounded, Excluded(r.end.to_i64()));
    RangeInclusive<I> where I: |r| bounded(
        Included(r.start().to_i64()),
        Included(r.end().to_i64()),
    );
    RangeToInclusive<I> where I: |r| bounded(Unbounded, Included(r.end.to_i64()));
    Tensor: |x| Index::Tensor(x);
    &Tensor: |x| Index::Tensor(x.clone());
    Ellipsis: |_e| Index::Ellipsis;
    NewAxis: |_n| Index::NewAxis;
    Index: |x| x;
}

/// Implementations of [`IntoIndex`] for tuples of entries.
macro_rules! tuples {
    ($(($($T:ident),*))*) => {$(
        impl<$($T: IndexEntry),*> IntoIndex for ($($T,)*) {
            #[allow(non_snake_case, reason = "the variables are named like their types")]
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

impl IntoIndex for Vec<Tensor> {
    fn entries(self) -> Vec<Index> {
        self.into_iter().map(Index::Tensor).collect()
    }
}

impl IntoIndex for &Vec<Tensor> {
    fn entries(self) -> Vec<Index> {
        self.iter().cloned().map(Index::Tensor).collect()
    }
}

impl<const N: usize> IntoIndex for [Tensor; N] {
    fn entries(self) -> Vec<Index> {
        self.into_iter().map(Index::Tensor).collect()
    }
}
