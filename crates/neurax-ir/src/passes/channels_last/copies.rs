//! Copies of values in the other layout.

use super::layouts::{in_last_order, last_axis};
use super::pass::ChannelsLastPass;
use crate::op::{Broadcast, Op};
use crate::{Builder, OrBug, Result, Value};

impl ChannelsLastPass<'_> {
    /// Returns the new value of `v` with its axes in order.
    pub(super) fn first(&mut self, v: Value) -> Result<Value> {
        if let Some(new) = self.layouts.first(v) {
            return Ok(new);
        }
        let last = self.layouts.last(v).or_bug("a value of a graph was not computed")?;
        let new = moved(&mut self.b, last, |b, x, rank| b.move_axis(x, rank - 1, 1));
        self.layouts.set_first(v, new);
        Ok(new)
    }

    /// Returns the new value of `v`, which has three axes or more, with features last.
    pub(super) fn last(&mut self, v: Value) -> Result<Value> {
        if let Some(new) = self.layouts.last(v) {
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
