//! The values of the new graph in both layouts, and the copies between them.

use super::ChannelsLastPass;
use crate::op::{Broadcast, Op};
use crate::{Builder, OrBug, Result, Value};

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

    pub fn set_first(&mut self, v: Value, new: Value) {
        self.first[v.index()] = Some(new);
    }

    pub fn set_last(&mut self, v: Value, new: Value) {
        self.last[v.index()] = Some(new);
    }
}

/// Returns the order of the axes of the source in an array of `rank` axes with features last.
pub(super) fn last_order(rank: usize) -> Vec<usize> {
    [0].into_iter().chain(2..rank).chain([1]).collect()
}

/// Returns the axis of an array with features last that is `axis` in the source.
pub(super) fn last_axis(axis: usize, rank: usize) -> usize {
    match axis {
        0 => 0,
        1 => rank - 1,
        axis => axis - 1,
    }
}

/// Returns the elements of `x`, one for each axis of the source, in the order of the axes with
/// features last.
pub(super) fn in_last_order<T: Clone>(x: &[T]) -> Vec<T> {
    last_order(x.len()).into_iter().map(|axis| x[axis].clone()).collect()
}

impl ChannelsLastPass<'_> {
    /// Returns the new value of `v` with its axes in order.
    pub(super) fn first(&mut self, v: Value) -> Result<Value> {
        if let Some(new) = self.layouts.first[v.index()] {
            return Ok(new);
        }
        let last = self.layouts.last[v.index()].or_bug("a value of a graph was not computed")?;
        let new = moved(&mut self.b, last, |b, x, rank| b.move_axis(x, rank - 1, 1));
        self.layouts.set_first(v, new);
        Ok(new)
    }

    /// Returns the new value of `v`, which has three axes or more, with features last.
    pub(super) fn last(&mut self, v: Value) -> Result<Value> {
        if let Some(new) = self.layouts.last[v.index()] {
            return Ok(new);
        }
        let new = match self.broadcast_of(v)? {
            Some(new) => new,
            None => {
                let first = self.first(v)?;
                moved(&mut self.b, first, |b, x, rank| b.move_axis(x, 1, rank - 1))
            }
        };
        self.layouts.set_last(v, new);
        Ok(new)
    }

    /// Emits the value of a broadcast with features last, if `v` is one.
    fn broadcast_of(&mut self, v: Value) -> Result<Option<Value>> {
        let Some(e) = self.producer(v) else { return Ok(None) };
        let Op::Broadcast(op) = &e.op else { return Ok(None) };
        self.broadcast(op, e.inputs[0])
    }

    /// Emits a broadcast of `x` with features last, if that is a broadcast: of an array of the same
    /// rank, of a vector, or of a scalar.
    pub(super) fn broadcast(&mut self, op: &Broadcast, x: Value) -> Result<Option<Value>> {
        let rank = op.shape.rank();
        let shape = in_last_order(&op.shape);
        if op.dims.len() == rank {
            let x = self.last(x)?;
            return Ok(Some(self.b.broadcast(x, shape, &(0..rank).collect::<Vec<_>>())));
        }
        if op.dims.len() > 1 {
            return Ok(None);
        }
        let x = self.first(x)?;
        let dims: Vec<usize> = op.dims.iter().map(|d| last_axis(*d, rank)).collect();
        Ok(Some(self.b.broadcast(x, shape, &dims)))
    }
}

/// Emits `x` with its axes moved by `transpose`, as a reshape if features or space have size 1.
fn moved(
    b: &mut Builder,
    x: Value,
    transpose: impl Fn(&mut Builder, Value, usize) -> Value,
) -> Value {
    let shape = b.ty(x).shape.clone();
    let moved = transpose(b, x, shape.rank());
    let wide = |shape: &[usize]| shape.iter().copied().filter(|n| *n != 1).collect::<Vec<_>>();
    let target = b.ty(moved).shape.clone();
    let has_one_order = wide(&shape) == wide(&target) && {
        // Equal sizes may be those of other axes: at most one axis behind the batch is wide.
        wide(&shape[1..]).len() <= 1
    };
    if has_one_order { b.reshape(x, target) } else { moved }
}
