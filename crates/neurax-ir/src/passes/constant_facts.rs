//! Facts about a graph some of whose inputs are constant: which values are constant, and which
//! numbers arrays repeat.

use super::freeze::constant_values;
use crate::op::{Broadcast, Constant, Convert};
use crate::{DType, Eqn, Graph, Op, Type, Value};

/// The facts about a graph.
pub(super) struct ConstantFacts<'g> {
    pub graph: &'g Graph,
    producers: Vec<Option<usize>>,
    /// For each value, whether it depends on constant inputs alone.
    constant: Vec<bool>,
}

impl<'g> ConstantFacts<'g> {
    pub fn new(graph: &'g Graph, is_constant: &[bool]) -> ConstantFacts<'g> {
        let constant = constant_values(graph, is_constant, &|_| true);
        ConstantFacts { graph, producers: graph.producers(), constant }
    }

    pub fn is_constant(&self, v: Value) -> bool {
        self.constant[v.index()]
    }

    pub fn ty(&self, v: Value) -> &'g Type {
        self.graph.ty(v)
    }

    /// Returns the equation that computes `v`.
    pub fn producer(&self, v: Value) -> Option<&'g Eqn> {
        self.producers[v.index()].map(|i| &self.graph.eqns()[i])
    }

    /// Returns the one number that `v` repeats.
    pub fn scalar(&self, mut v: Value) -> Option<Value> {
        while self.ty(v).size() != 1 {
            v = self.behind_repetition(v)?;
        }
        Some(v)
    }

    /// Returns the operand of a broadcast or a reshape.
    fn behind_repetition(&self, v: Value) -> Option<Value> {
        let e = self.producer(v)?;
        matches!(e.op, Op::Broadcast(_) | Op::Reshape(_)).then(|| e.inputs[0])
    }

    /// Returns the numbers for each entry along `axis`, or the one number, that `v` repeats.
    pub fn along(&self, v: Value, axis: usize) -> Option<Value> {
        if let Some(scalar) = self.scalar(v) {
            return Some(scalar);
        }
        let e = self.producer(v)?;
        let Op::Broadcast(Broadcast { dims, .. }) = &e.op else { return None };
        let inner = &self.ty(e.inputs[0]).shape;
        let is_along = (0..inner.rank()).all(|i| inner[i] == 1 || dims[i] == axis);
        is_along.then(|| e.inputs[0])
    }

    /// Returns the number that all elements of `v` are known to be.
    pub fn number(&self, v: Value) -> Option<f64> {
        let mut v = self.scalar(v)?;
        while let Some(inner) = self.behind_repetition(v) {
            v = inner;
        }
        match &self.producer(v)?.op {
            Op::Constant(Constant { value }) if value.ty().size() == 1 => {
                value.to_f64s().first().copied()
            }
            _ => None,
        }
    }

    /// Returns true if `v` is constant, and all its elements are known to be 0: by literals, and by
    /// inputs for which `is_zero` is true.
    pub fn is_zero(&self, mut v: Value, is_zero: &[bool]) -> bool {
        while self.is_constant(v) {
            if let Some(is_zero) = is_zero.get(v.index()) {
                return *is_zero;
            }
            let Some(e) = self.producer(v) else { return false };
            match &e.op {
                Op::Constant(Constant { value }) if value.ty().size() <= MAX_READ_ELEMENTS => {
                    return value.to_f64s().iter().all(|x| *x == 0.0);
                }
                Op::Convert(_) | Op::Broadcast(_) | Op::Reshape(_) => v = e.inputs[0],
                _ => return false,
            }
        }
        false
    }

    /// Returns the dtype of 8 bits that has all numbers of the integers `v`: their own, or the
    /// first one that has all numbers between the limits behind which floats become i32.
    pub fn byte_dtype(&self, v: Value) -> Option<DType> {
        let dtype = self.ty(v).dtype;
        if BYTE_DTYPES.contains(&dtype) {
            return Some(dtype);
        }
        let [low, high] = self.limits(self.producer(v)?)?;
        let has_all = |[least, most]: [f64; 2]| least <= low && low <= high && high <= most;
        BYTE_DTYPES.into_iter().find(|dtype| range(*dtype).is_some_and(has_all))
    }

    /// Returns the limits of the floats that `e` converts to i32.
    pub fn limits(&self, e: &Eqn) -> Option<[f64; 2]> {
        let Op::Convert(Convert { dtype: DType::I32 }) = e.op else { return None };
        let clamp = self.producer(e.inputs[0]).filter(|e| matches!(e.op, Op::Clamp(_)))?;
        Some([self.number(clamp.inputs[0])?, self.number(clamp.inputs[2])?])
    }
}

/// The most elements of a literal that are read. Not measured.
const MAX_READ_ELEMENTS: usize = 1 << 16;

/// The dtypes of quantized numbers.
pub(super) const BYTE_DTYPES: [DType; 2] = [DType::U8, DType::I8];

/// Returns the least and the greatest number of an integer dtype.
pub(super) fn range(dtype: DType) -> Option<[f64; 2]> {
    dtype.int_range().map(|range| [*range.start() as f64, *range.end() as f64])
}
