//! The ops that keep features last.

use super::{
    layouts::{in_last_order, last_axis, last_order},
    pass::ChannelsLastPass,
};
use crate::composite::Composite;
use crate::op::{Concatenate, Pad, Reduce, ReduceWindow};
use crate::passes::elementwise::is_elementwise;
use crate::{Eqn, Op, Result, Value, Values};

impl<'g> ChannelsLastPass<'g> {
    /// Emits `e` with features last, if it is a convolution or one of its operands has them last
    /// and the op is among those that keep the layout. Returns false if nothing was emitted.
    pub(super) fn rewrite(&mut self, e: &'g Eqn) -> Result<bool> {
        if e.inputs.iter().all(|v| self.constant[v.index()]) {
            return Ok(false);
        }
        if let Op::Convolution(op) = &e.op {
            return self.convolution(e, op);
        }
        if !e.inputs.iter().any(|v| self.layouts.is_last(*v)) {
            return Ok(false);
        }
        Ok(self.fuse(e)? || self.keep_layout(e)?)
    }

    /// Emits `e`, one of whose operands has features last, in the same layout. Returns false if the
    /// op needs its axes in order.
    fn keep_layout(&mut self, e: &Eqn) -> Result<bool> {
        let y = e.outputs[0];
        let rank = self.shape(y).len();
        match &e.op {
            Op::Reduce(op) => self.reduce(e, op),
            Op::ReduceWindow(op) => {
                let sizes = in_last_order(&op.sizes);
                let slides = in_last_order(&op.slides);
                self.emit(ReduceWindow { kind: op.kind, sizes, slides }.into(), &e.inputs, y)
            }
            Op::Concatenate(op) => {
                let axis = last_axis(op.axis, rank);
                self.emit(Concatenate { axis }.into(), &e.inputs, y)
            }
            Op::Pad(op) => {
                let new = Pad {
                    low: in_last_order(&op.low),
                    high: in_last_order(&op.high),
                    interior: in_last_order(&op.interior),
                };
                self.emit(new.into(), &e.inputs, y)
            }
            Op::Broadcast(op) => {
                let new = self.broadcast(op, e.inputs[0])?;
                new.into_iter().for_each(|new| self.layouts.set_last(y, new));
                Ok(new.is_some())
            }
            op if keeps_places(op) && self.has_one_shape(e) => self.emit(op.clone(), &e.inputs, y),
            // other: the op needs its axes in order.
            _ => Ok(false),
        }
    }

    /// Emits `op`, which computes `y`, with features last; scalars stay as they are.
    fn emit(&mut self, op: Op, operands: &[Value], y: Value) -> Result<bool> {
        let mut new = Values::new();
        for &v in operands {
            let is_scalar = self.shape(v).is_empty();
            new.push(if is_scalar { self.first(v)? } else { self.last(v)? });
        }
        let outputs = self.b.try_emit(op, &new)?;
        self.layouts.set_last(y, outputs[0]);
        Ok(true)
    }

    /// Returns true if all operands have the shape of the result, or none.
    fn has_one_shape(&self, e: &Eqn) -> bool {
        let shape = self.shape(e.outputs[0]);
        e.inputs.iter().map(|v| self.shape(*v)).all(|s| s.is_empty() || s == shape)
    }

    /// Emits a reduction, if the axes that are left have the same order in both layouts.
    fn reduce(&mut self, e: &Eqn, op: &Reduce) -> Result<bool> {
        let rank = self.shape(e.inputs[0]).len();
        let left: Vec<usize> =
            last_order(rank).into_iter().filter(|axis| !op.axes.contains(axis)).collect();
        if !left.is_sorted() {
            return Ok(false);
        }
        let x = self.last(e.inputs[0])?;
        let axes: Vec<usize> = op.axes.iter().map(|axis| last_axis(*axis, rank)).collect();
        let new = self.b.reduce(op.kind, x, &axes);
        self.layouts.set_first(e.outputs[0], new);
        Ok(true)
    }
}

/// Returns true if the op is elementwise, alone or as a composite.
fn keeps_places(op: &Op) -> bool {
    is_elementwise(op) || matches!(op, Op::Composite(Composite::Silu(_) | Composite::Gelu(_)))
}
