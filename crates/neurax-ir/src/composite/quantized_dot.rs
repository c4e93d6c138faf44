//! Products of quantized numbers with constant weights, with sums in i32.

use super::{Composite, Derivative, Named};
use crate::graph::attr::attrs;
use crate::op::{Bound, Clamp, DotGeneral, Pad, Sample, Tangent, Unary, rules::*};
use crate::{Builder, DType, Result, Type, Value, Values};

attrs! {
    /// The product of u8 rows `[.., depth]` with i8 weights, `[.., columns]`. Sums are exact, in
    /// i32, which wraps:
    /// `sum(x * weights) + start`, then, unless the result is i32, `* scale + bias` in f32, and
    /// then, if it is u8 or i8, rounded to the nearest number, ties to even, plus `zero_point`,
    /// within the limits of the dtype; NaN becomes 0.
    ///
    /// Operands are `(x, weights, start)` with a result of i32, otherwise
    /// `(x, weights, start, scale, bias)`. `start` is i32 `[columns]`, `scale` and `bias` are f32
    /// `[columns]`. The weights are in the order in which instructions that multiply 4 neighbors
    /// read them: `[blocks, groups, COLUMN_BLOCK, DEPTH_GROUP]`, where the last block and the last
    /// group may reach beyond the columns and the depth; what is there is ignored.
    pub struct QuantizedDot = "quantized_dot" {
        /// The columns of the result.
        columns: usize,
        /// The number that stands for 0 in the result, if it is u8 or i8; otherwise 0.
        zero_point: i64,
        /// The dtype of the result: i32, f32, u8 or i8.
        dtype: DType,
    }
}

/// The columns of a block of weights: a vector of 512 bits has 16 sums of i32.
pub const COLUMN_BLOCK: usize = 16;

/// The numbers along the depth that one instruction multiplies and adds.
pub const DEPTH_GROUP: usize = 4;

impl QuantizedDot {
    /// Emits the weights `[depth, columns]` in the order in which this product takes them, with
    /// zeros beyond both.
    pub fn packed(b: &mut Builder, weights: Value) -> Value {
        let [depth, columns] = [0, 1].map(|axis| b.ty(weights).shape[axis]);
        let [groups, blocks] = [depth.div_ceil(DEPTH_GROUP), columns.div_ceil(COLUMN_BLOCK)];
        let high = [groups * DEPTH_GROUP - depth, blocks * COLUMN_BLOCK - columns];
        let zero = b.scalar(b.dtype(weights), 0.0);
        let pad =
            Pad { low: vec![0; 2], high: high.map(|n| n as i64).into(), interior: vec![0; 2] };
        let whole = if high == [0; 2] { weights } else { b.emit(pad, &[weights, zero]) };
        let split = b.reshape(whole, [groups, DEPTH_GROUP, blocks, COLUMN_BLOCK]);
        b.transpose(split, &[2, 0, 3, 1])
    }

    /// Emits weights `[depth, columns]` from packed ones.
    fn unpacked(&self, b: &mut Builder, weights: Value, depth: usize) -> Value {
        let [blocks, groups] = [0, 1].map(|axis| b.ty(weights).shape[axis]);
        let split = b.transpose(weights, &[1, 3, 0, 2]);
        let whole = b.reshape(split, [groups * DEPTH_GROUP, blocks * COLUMN_BLOCK]);
        b.slice(whole, &[0, 0], &[depth, self.columns])
    }

    /// Returns the types of all operands for rows of type `x`, which has at least one axis.
    fn operands(&self, x: &Type) -> Vec<Type> {
        // empty: checked by the caller.
        let depth = x.shape.last().copied().unwrap_or_default();
        let [blocks, groups] = [self.columns.div_ceil(COLUMN_BLOCK), depth.div_ceil(DEPTH_GROUP)];
        let weights = Type::new(DType::I8, [blocks, groups, COLUMN_BLOCK, DEPTH_GROUP]);
        let start = Type::new(DType::I32, [self.columns]);
        let floats = Type::new(DType::F32, [self.columns]);
        let x = Type::new(DType::U8, x.shape.clone());
        let mut all = vec![x, weights, start];
        if self.dtype != DType::I32 {
            all.extend([floats.clone(), floats]);
        }
        all
    }

    /// Checks the dtype of the result and its zero.
    fn check_result(&self) -> Result<()> {
        let range = match self.dtype {
            DType::U8 | DType::I8 => self.dtype.int_range(),
            DType::I32 | DType::F32 => Some(0..=0),
            dtype => {
                return refuse(Self::NAME, format!("expected i32, f32, u8 or i8, got {dtype}"));
            }
        };
        match range.is_some_and(|range| range.contains(&(self.zero_point as i128))) {
            true => Ok(()),
            false => {
                let (zero, dtype) = (self.zero_point, self.dtype);
                refuse(Self::NAME, format!("{zero} does not stand for 0 in a result of {dtype}"))
            }
        }
    }
}

impl Named for QuantizedDot {
    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        self.check_result()?;
        let Some(x) = xs.first().filter(|x| x.rank() > 0) else {
            return refuse(Self::NAME, "expected an operand of at least one axis");
        };
        let want = self.operands(x);
        if xs != want {
            let (want, got) = (list_types(&want), list_types(xs));
            return refuse(Self::NAME, format!("expected operands {want}, got {got}"));
        }
        let mut shape = x.shape.to_vec();
        shape[x.rank() - 1] = self.columns;
        Ok(vec![Type::new(self.dtype, shape)])
    }

    fn body(&self, b: &mut Builder, xs: &[Value]) -> Values {
        let last = b.ty(xs[0]).rank() - 1;
        let depth = b.ty(xs[0]).shape[last];
        let weights = self.unpacked(b, xs[1], depth);
        let [x, weights] = [xs[0], weights].map(|v| b.convert(v, DType::I32));
        let product = DotGeneral {
            lhs_batch: vec![],
            rhs_batch: vec![],
            lhs_contract: vec![last],
            rhs_contract: vec![0],
            dtype: DType::I32,
        };
        let sums = b.emit(product, &[x, weights]);
        let shape = b.ty(sums).shape.clone();
        let start = b.broadcast(xs[2], shape.clone(), &[last]);
        let sums = b.add(sums, start);
        let [scale, bias] = xs[3..] else { return Values::from_slice(&[sums]) };
        let [scale, bias] = [scale, bias].map(|v| b.broadcast(v, shape.clone(), &[last]));
        let sums = b.convert(sums, DType::F32);
        let scaled = b.mul(sums, scale);
        let mut y = b.add(scaled, bias);
        if let Some(range) = self.dtype.int_range() {
            y = b.emit(Unary::RoundEven, &[y]);
            y = b.add_scalar(y, self.zero_point as f64);
            let [low, high] = [range.start(), range.end()].map(|x| b.full_like(y, *x as f64));
            y = b.emit(Clamp {}, &[low, y, high]);
            y = b.convert(y, self.dtype);
        }
        Values::from_slice(&[y])
    }

    fn derivative(&self, _: &mut Builder, _: &Bound, _: &[Tangent]) -> Derivative {
        None
    }

    fn batched(&self, _: &[usize]) -> Option<Composite> {
        None
    }

    fn samples() -> Vec<Sample> {
        let rows = [
            (DType::I32, 0, vec![2, 5], 3),
            (DType::F32, 0, vec![3], 17),
            (DType::U8, 7, vec![2, 2, 4], 16),
            (DType::I8, -100, vec![3, 9], 2),
        ];
        rows.map(|(dtype, zero_point, shape, columns)| {
            let op = QuantizedDot { columns, zero_point, dtype };
            let types = op.operands(&Type::new(DType::U8, shape));
            let inputs = types.into_iter().map(|t| match t.dtype {
                DType::U8 => sample(t, 0.0, 255.0),
                DType::F32 => sample(t, 0.001, 0.01),
                _ => sample(t, -127.0, 127.0),
            });
            Sample { inputs: inputs.collect(), op: op.into(), smooth: false }
        })
        .into()
    }
}
