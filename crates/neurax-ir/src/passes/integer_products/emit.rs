//! The equations of an integer product.

use super::search::{ProductResult, QuantizedProduct, QuantizedRows};
use crate::composite::QuantizedDot;
use crate::{Builder, DType, Value};

/// The number that moves i8 into the range of u8.
const TO_UNSIGNED: f64 = 128.0;

impl QuantizedProduct {
    /// Emits the product; `of` returns the new value of one of the graph. The result has the type
    /// of the one that it replaces.
    pub fn emit(&self, b: &mut Builder, of: &dyn Fn(Value) -> Value) -> Value {
        let zero = self.zero(b, of);
        let mut x = self.x.bytes(b, of(self.x.value));
        let mut weights = of(self.weights);
        if let Some(form) = &self.form {
            let zero = b.convert(zero, DType::U8);
            x = form.rows(b, x, zero);
            weights = form.matrix(b, weights);
        } else if self.depth_axis == 1 {
            weights = b.transpose(weights, &[1, 0]);
        }
        let columns = b.ty(weights).shape[1];
        let start = initial_sums(b, weights, zero);
        let packed = QuantizedDot::packed(b, weights);
        if let ProductResult::Sums = self.result {
            let op = QuantizedDot { columns, zero_point: 0, dtype: DType::I32 };
            return b.emit(op, &[x, packed, start]);
        }
        let mut scale = self.scale(b, columns, of);
        let bias = match self.bias {
            Some(bias) => of(bias),
            None => b.scalar(DType::F32, 0.0),
        };
        let mut bias = repeated(b, bias, columns);
        let ProductResult::Quantized { scale: step, zero_point, dtype } = self.result else {
            let op = QuantizedDot { columns, zero_point: 0, dtype: DType::F32 };
            let y = b.emit(op, &[x, packed, start, scale, bias]);
            // empty: nothing comes next.
            return self.form.as_ref().map_or(y, |form| form.finish(b, y, of));
        };
        let step = repeated(b, of(step), columns);
        [scale, bias] = [scale, bias].map(|v| b.div(v, step));
        let op = QuantizedDot { columns, zero_point, dtype };
        let y = b.emit(op, &[x, packed, start, scale, bias]);
        b.convert(y, DType::I32)
    }

    /// Emits the number of u8 that stands for 0, as i32.
    fn zero(&self, b: &mut Builder, of: &dyn Fn(Value) -> Value) -> Value {
        let zero = match self.x.zero {
            Some(zero) => b.convert(of(zero), DType::I32),
            None => b.scalar(DType::I32, 0.0),
        };
        let zero = b.reshape(zero, []);
        if self.x.dtype == DType::I8 { b.add_scalar(zero, TO_UNSIGNED) } else { zero }
    }

    /// Emits the scales of the columns.
    fn scale(&self, b: &mut Builder, columns: usize, of: &dyn Fn(Value) -> Value) -> Value {
        let mut numbers = [self.x.scale, self.weight_scale].into_iter().flatten();
        let Some(first) = numbers.next() else {
            let one = b.scalar(DType::F32, 1.0);
            return repeated(b, one, columns);
        };
        let first = repeated(b, of(first), columns);
        numbers.fold(first, |product, x| {
            let x = repeated(b, of(x), columns);
            b.mul(product, x)
        })
    }
}

impl QuantizedRows {
    /// Emits the numbers as u8, from their value in the new graph.
    fn bytes(&self, b: &mut Builder, value: Value) -> Value {
        let mut x = value;
        if self.dtype == DType::I8 {
            x = b.convert(x, DType::I32);
            x = b.add_scalar(x, TO_UNSIGNED);
        }
        let bytes = b.convert(x, DType::U8);
        match &self.order {
            Some(order) => b.transpose(bytes, order),
            None => bytes,
        }
    }
}

/// Emits the initial sums of the columns of `weights`: the part of the zero point, negated.
fn initial_sums(b: &mut Builder, weights: Value, zero: Value) -> Value {
    let wide = b.convert(weights, DType::I32);
    let sums = b.sum(wide, &[0]);
    let zero = repeated(b, zero, b.ty(sums).shape[0]);
    let product = b.mul(zero, sums);
    b.neg(product)
}

/// Emits `n` numbers from one number or from `n`, of any rank.
fn repeated(b: &mut Builder, v: Value, n: usize) -> Value {
    match b.ty(v).size() {
        1 => {
            let scalar = b.reshape(v, []);
            b.broadcast(scalar, [n], &[])
        }
        _ => b.reshape(v, [n]),
    }
}
