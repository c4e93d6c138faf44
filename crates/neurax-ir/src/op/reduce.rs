//! Reducing axes.

use crate::graph::attr::{attrs, names};

names! {
    /// How elements are joined.
    pub enum ReduceKind {
        /// Sum; bool is or.
        Sum = "sum",
        /// Product; bool is and.
        Prod = "prod",
        /// Largest; NaN wins. Of nothing: the least value of the dtype.
        Max = "max",
        /// Smallest; NaN wins. Of nothing: the greatest value of the dtype.
        Min = "min",
        /// Bitwise and.
        And = "and",
        /// Bitwise or.
        Or = "or",
        /// Bitwise exclusive or.
        Xor = "xor",
    }
}

names! {
    /// Which end [`ArgReduce`] looks for.
    pub enum ArgKind {
        /// The place of the largest.
        Max = "max",
        /// The place of the smallest.
        Min = "min",
    }
}

attrs! {
    /// Joins all elements along the axes, which are removed. <https://openxla.org/stablehlo/spec#reduce>
    pub struct Reduce = "reduce" {
        /// How elements are joined.
        kind: ReduceKind,
        /// Which axes.
        axes: Vec<usize>,
    }

    /// The index of the largest or smallest element along an axis, which is removed; the first of equals, NaN wins.
    /// Gives i32. An axis of size zero is an error.
    pub struct ArgReduce = "arg_reduce" {
        /// Which end.
        kind: ArgKind,
        /// Which axis.
        axis: usize,
    }
}
pending!(Reduce, ArgReduce);
