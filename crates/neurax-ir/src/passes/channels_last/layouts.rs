//! The values of the new graph in both layouts.

use crate::Value;

/// The new values of each value of the source.
pub(super) struct Layouts {
    /// With its axes in the order of the source.
    first: Vec<Option<Value>>,
    /// With axis 1, that of the features, at the end.
    last: Vec<Option<Value>>,
}

impl Layouts {
    /// Creates the table of `count` values, of which the first are `inputs`.
    pub fn new(count: usize, inputs: &[Value]) -> Layouts {
        let mut first = vec![None; count];
        first.iter_mut().zip(inputs).for_each(|(v, new)| *v = Some(*new));
        Layouts { first, last: vec![None; count] }
    }

    /// Returns true if there is a value with features last.
    pub fn is_last(&self, v: Value) -> bool {
        self.last[v.index()].is_some()
    }

    /// Returns the value with its axes in order, if there is one.
    pub fn first(&self, v: Value) -> Option<Value> {
        self.first[v.index()]
    }

    /// Returns the value with features last, if there is one.
    pub fn last(&self, v: Value) -> Option<Value> {
        self.last[v.index()]
    }

    pub fn set_first(&mut self, v: Value, new: Value) {
        self.first[v.index()] = Some(new);
    }

    pub fn set_last(&mut self, v: Value, new: Value) {
        self.last[v.index()] = Some(new);
    }
}

/// Returns the order of the axes of the source in an array of `rank` axes with features last.
pub fn last_order(rank: usize) -> Vec<usize> {
    [0].into_iter().chain(2..rank).chain([1]).collect()
}

/// Returns the axis of an array with features last that is `axis` in the source.
pub fn last_axis(axis: usize, rank: usize) -> usize {
    match axis {
        0 => 0,
        1 => rank - 1,
        axis => axis - 1,
    }
}

/// Returns the elements of `x`, one for each axis of the source, in the order of the axes with
/// features last.
pub fn in_last_order<T: Clone>(x: &[T]) -> Vec<T> {
    last_order(x.len()).into_iter().map(|axis| x[axis].clone()).collect()
}
