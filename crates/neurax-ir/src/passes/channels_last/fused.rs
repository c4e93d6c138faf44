//! Fusion into the convolution in front: of a bias, an array of the same shape, and the limits of
//! an activation.

use super::pass::{ChannelsLastPass, LastConvolution};
use crate::op::{Binary, Compare, Direction};
use crate::{Eqn, FloatAttr, Literal, Op, Result, Value};

impl ChannelsLastPass<'_> {
    /// Makes `e` part of the convolution that computes one of its operands, if it can be and the
    /// operand has no other reader.
    pub(super) fn fuse(&mut self, e: &Eqn) -> Result<bool> {
        if let Op::Binary(Binary::Add) = e.op {
            let pairs = [(e.inputs[0], e.inputs[1]), (e.inputs[1], e.inputs[0])];
            for (y, other) in pairs {
                if self.add(e, y, other)? {
                    return Ok(true);
                }
            }
            return Ok(false);
        }
        let Some(limited) = self.limited(e) else { return Ok(false) };
        let Some(mut new) = self.convolution_of(limited.value, limited.reads) else {
            return Ok(false);
        };
        // The maximum is taken first.
        let (low, high) = (new.op.low.get(), new.op.high.get());
        if limited.low.is_some() && (low.is_finite() || high.is_finite())
            || limited.high.is_some() && high.is_finite()
        {
            return Ok(false);
        }
        new.op.low = limited.low.unwrap_or(new.op.low);
        new.op.high = limited.high.unwrap_or(new.op.high);
        self.set_convolution(e.outputs[0], new)?;
        Ok(true)
    }

    /// Returns the convolution that computes `v`, if `v` has no more than `reads` readers.
    fn convolution_of(&self, v: Value, reads: usize) -> Option<LastConvolution> {
        self.convolutions[v.index()].clone().filter(|_| self.uses[v.index()] == reads)
    }

    /// Adds `other` in the convolution that computes `y`.
    fn add(&mut self, e: &Eqn, y: Value, other: Value) -> Result<bool> {
        let Some(mut new) = self.convolution_of(y, 1) else { return Ok(false) };
        let has_limits = [new.op.low, new.op.high].iter().any(|limit| limit.get().is_finite());
        if has_limits || new.operands.len() > 3 {
            return Ok(false);
        }
        match self.feature_vector(other) {
            Some(vector) => {
                let vector = self.first(vector)?;
                let vector = self.b.reshape(vector, [new.op.results]);
                new.operands[2] = self.b.add(new.operands[2], vector);
            }
            None if self.shape(other) == self.shape(y) => {
                let added = self.last(other)?;
                new.operands.push(added);
            }
            None => return Ok(false),
        }
        self.set_convolution(e.outputs[0], new)?;
        Ok(true)
    }

    /// Returns the constant numbers, one for each feature, that `v` repeats along all other axes.
    fn feature_vector(&self, v: Value) -> Option<Value> {
        let e = self.producer(v)?;
        let Op::Broadcast(op) = &e.op else { return None };
        let x = e.inputs[0];
        let at = op.dims.iter().position(|d| *d == 1)?;
        let features = self.shape(v)[1];
        let is_vector = self.shape(x)[at] == features && self.graph.ty(x).size() == features;
        (is_vector && self.constant[x.index()]).then_some(x)
    }

    /// Returns the value that `e` limits, and the limits.
    fn limited(&self, e: &Eqn) -> Option<LimitedValue> {
        let limit = |v: Value| self.limit(v).map(FloatAttr::from);
        match &e.op {
            Op::Binary(op @ (Binary::Max | Binary::Min)) => {
                let (a, b) = (e.inputs[0], e.inputs[1]);
                let (value, limit) = match (limit(a), limit(b)) {
                    (None, Some(limit)) => (a, limit),
                    (Some(limit), None) => (b, limit),
                    _ => return None,
                };
                let is_max = *op == Binary::Max;
                let (low, high) = if is_max { (Some(limit), None) } else { (None, Some(limit)) };
                Some(LimitedValue { value, low, high, reads: 1 })
            }
            Op::Clamp(_) => {
                let (low, high) = (limit(e.inputs[0])?, limit(e.inputs[2])?);
                let is_range = low.get() <= high.get();
                let (low, high) = (Some(low), Some(high));
                is_range.then_some(LimitedValue { value: e.inputs[1], low, high, reads: 1 })
            }
            // `select(x <= 0, 0, x)`, the spelling of a rectifier that keeps NaN.
            Op::Select(_) => {
                let (pred, zero, value) = (e.inputs[0], e.inputs[1], e.inputs[2]);
                let test = self.producer(pred).filter(|_| self.uses[pred.index()] == 1)?;
                let Op::Compare(Compare { direction: Direction::Le }) = test.op else {
                    return None;
                };
                let is_same = test.inputs[0] == value && self.limit(test.inputs[1]) == Some(0.0);
                let low = limit(zero).filter(|limit| is_same && limit.get() == 0.0)?;
                Some(LimitedValue { value, low: Some(low), high: None, reads: 2 })
            }
            _ => None,
        }
    }

    /// Returns the number that all elements of `v` are, if it can be a limit: finite, and no
    /// negative zero.
    fn limit(&self, v: Value) -> Option<f64> {
        let e = self.producer(v)?;
        match &e.op {
            Op::Broadcast(_) => self.limit(e.inputs[0]),
            Op::Constant(op) if op.value.ty().size() == 1 => {
                let value: &Literal = &op.value;
                let x = value.to_f64s().first().copied()?;
                (x.is_finite() && (x != 0.0 || x.is_sign_positive())).then_some(x)
            }
            _ => None,
        }
    }
}

/// A value with limits.
struct LimitedValue {
    value: Value,
    low: Option<FloatAttr>,
    high: Option<FloatAttr>,
    /// The number of readers of the value that only limit it.
    reads: usize,
}
