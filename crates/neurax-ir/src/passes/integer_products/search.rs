//! The search for products of quantized numbers.

use super::form::ConvolutionForm;
use crate::composite::Composite;
use crate::op::{Binary, Convert, DotGeneral, Unary};
use crate::passes::constant_facts::{BYTE_DTYPES, ConstantFacts, range};
use crate::{DType, Eqn, Graph, Op, Value};

/// A product of quantized numbers. Values are those of the graph.
pub(super) struct QuantizedProduct {
    pub x: QuantizedRows,
    /// The weights, i8 of two axes, or those of a convolution.
    pub weights: Value,
    /// The axis of the weights of a product that is contracted.
    pub depth_axis: usize,
    /// The scale of the weights: a number, or one for each column.
    pub weight_scale: Option<Value>,
    /// The bias that is added to the product, a number for each column.
    pub bias: Option<Value>,
    /// The form of a convolution; `None` for a product.
    pub form: Option<ConvolutionForm>,
    pub result: ProductResult,
}

/// Quantized numbers, whose last axis is contracted.
pub(super) struct QuantizedRows {
    /// The numbers: u8, i8, or i32 in the range of `dtype`.
    pub value: Value,
    /// The order in which a convolution reads the axes, if it is another one.
    pub order: Option<Vec<usize>>,
    /// The dtype that has all the numbers: u8 or i8.
    pub dtype: DType,
    /// The number that stands for 0, one i32.
    pub zero: Option<Value>,
    /// The scale, one number.
    pub scale: Option<Value>,
}

/// The values that are computed from the sums.
pub(super) enum ProductResult {
    /// The sums.
    Sums,
    /// The sums times the scales.
    Floats,
    /// The same, quantized, as i32 in the range of a dtype.
    Quantized { scale: Value, zero_point: i64, dtype: DType },
}

/// The facts about a graph that the search needs.
pub(super) struct ProductSearch<'g> {
    pub facts: ConstantFacts<'g>,
    is_zero: &'g [bool],
    uses: Vec<usize>,
}

impl<'g> ProductSearch<'g> {
    pub fn new(graph: &'g Graph, is_constant: &[bool], is_zero: &'g [bool]) -> ProductSearch<'g> {
        let (facts, uses) = (ConstantFacts::new(graph, is_constant), graph.use_counts());
        ProductSearch { facts, is_zero, uses }
    }

    /// Returns the product whose result is that of `e`.
    pub fn product(&self, e: &Eqn) -> Option<QuantizedProduct> {
        match &e.op {
            Op::DotGeneral(op) => self.dot(e, op),
            Op::Composite(Composite::ChannelsLastConvolution(op)) => self.convolution(e, op),
            Op::Convert(Convert { dtype: DType::I32 }) => self.quantized_result(e),
            _ => None,
        }
    }

    /// Returns a product that is not quantized again.
    fn dot(&self, e: &Eqn, op: &DotGeneral) -> Option<QuantizedProduct> {
        let [x, weights] = [e.inputs[0], e.inputs[1]];
        let rank = self.rank(x);
        let is_plain = op.lhs_batch.is_empty()
            && rank > 0
            && op.lhs_contract[..] == [rank - 1]
            && op.rhs_contract.len() == 1
            && self.rank(weights) == 2
            && is_exact(self.facts.ty(x).shape[rank - 1], op.dtype);
        if !is_plain {
            return None;
        }
        let (depth_axis, column_axis) = (op.rhs_contract[0], 1 - op.rhs_contract[0]);
        let (x, result) = match op.dtype {
            DType::F32 => (self.dequantized_rows(x)?, ProductResult::Floats),
            DType::I32 => (self.integers(x)?, ProductResult::Sums),
            _ => return None,
        };
        let (weights, weight_scale) = match result {
            ProductResult::Sums => (self.plain_weights(weights)?, None),
            _ => self.dequantized_weights(weights, column_axis)?,
        };
        Some(QuantizedProduct {
            x,
            weights,
            depth_axis,
            weight_scale,
            bias: None,
            form: None,
            result,
        })
    }

    /// Returns the product in front of a quantization that ends with `e`, a conversion to i32.
    fn quantized_result(&self, e: &Eqn) -> Option<QuantizedProduct> {
        let (limited, dtype) = self.limited(e)?;
        let (rounded, zero_point) = self.plus_integer(self.only_reader(limited)?);
        let quotient = self.unary(self.only_reader(rounded)?, Unary::RoundEven)?;
        let [y, divisor] = self.binary(self.only_reader(quotient)?, Binary::Div)?;
        let scale = self.facts.scalar(divisor)?;
        let (product, bias) = self.without_bias(self.only_reader(y)?);
        let dot = self.facts.producer(self.only_reader(product)?).filter(|e| is_product(e))?;
        let found = self.product(dot)?;
        let range = dtype.int_range()?;
        let result = ProductResult::Quantized { scale, zero_point, dtype };
        let is_float = matches!(found.result, ProductResult::Floats);
        let (form, step) = (found.form.as_ref(), self.facts.number(scale));
        let is_quantizable = range.contains(&zero_point.into())
            && form.is_none_or(|form| form.is_quantizable(zero_point, *range.start(), step));
        // Of a convolution, the bias is an operand.
        let bias = bias.or(found.bias);
        (is_float && is_quantizable).then_some(QuantizedProduct { bias, result, ..found })
    }

    /// Returns the operand of the limits in front of the conversion `e` to i32, and the dtype that
    /// has exactly the numbers between them.
    fn limited(&self, e: &Eqn) -> Option<(Value, DType)> {
        let limits = self.facts.limits(e)?;
        let dtype = BYTE_DTYPES.into_iter().find(|dtype| range(*dtype) == Some(limits))?;
        let clamp = self.facts.producer(self.only_reader(e.inputs[0])?)?;
        Some((clamp.inputs[1], dtype))
    }

    /// Returns `v` as a value and the integer that is added to it.
    fn plus_integer(&self, v: Value) -> (Value, i64) {
        let sum = |v: Value| {
            let [x, y] = self.binary(v, Binary::Add)?;
            let with = |x: Value, n: Value| {
                let n = self.facts.number(n).filter(|n| n.fract() == 0.0 && n.abs() <= 255.0)?;
                Some((x, n as i64))
            };
            with(x, y).or_else(|| with(y, x))
        };
        sum(v).unwrap_or((v, 0))
    }

    /// Returns `v` as a product and what is added to it for each column.
    fn without_bias(&self, v: Value) -> (Value, Option<Value>) {
        let sum = |v: Value| {
            let [x, y] = self.binary(v, Binary::Add)?;
            let last = self.rank(v).checked_sub(1)?;
            let with = |x: Value, bias: Value| {
                let is_product =
                    self.facts.producer(x).is_some_and(|e| matches!(e.op, Op::DotGeneral(_)));
                self.facts.along(bias, last).filter(|_| is_product).map(|bias| (x, Some(bias)))
            };
            with(x, y).or_else(|| with(y, x))
        };
        sum(v).unwrap_or((v, None))
    }

    /// Returns the numbers that `v` dequantizes by one scale.
    pub fn dequantized_rows(&self, v: Value) -> Option<QuantizedRows> {
        let (float, scale) = self.scaled(v, |scale| self.facts.scalar(scale))?;
        Some(QuantizedRows { scale, ..self.integers(self.behind_conversion(float)?)? })
    }

    /// Returns the weights that `v` dequantizes by a scale for each column.
    pub fn dequantized_weights(&self, v: Value, axis: usize) -> Option<(Value, Option<Value>)> {
        let (float, scale) = self.scaled(v, |scale| self.facts.along(scale, axis))?;
        Some((self.plain_weights(self.behind_conversion(float)?)?, scale))
    }

    /// Returns `v` as a converted integer times what `scale` finds.
    fn scaled(
        &self,
        v: Value,
        scale: impl Fn(Value) -> Option<Value>,
    ) -> Option<(Value, Option<Value>)> {
        if self.behind_conversion(v).is_some() {
            return Some((v, None));
        }
        let [x, y] = self.binary(v, Binary::Mul)?;
        let with = |x: Value, y: Value| {
            self.behind_conversion(x)?;
            Some((x, Some(scale(y)?)))
        };
        with(x, y).or_else(|| with(y, x))
    }

    /// Returns the integers that are converted to the f32 `v`.
    fn behind_conversion(&self, v: Value) -> Option<Value> {
        let e = self.facts.producer(v)?;
        let Op::Convert(Convert { dtype: DType::F32 }) = e.op else { return None };
        self.facts.ty(e.inputs[0]).dtype.is_int().then(|| e.inputs[0])
    }

    /// Returns `v`, of an integer dtype, as numbers of u8 or i8 less a zero point.
    fn integers(&self, v: Value) -> Option<QuantizedRows> {
        let (v, zero) = match self.difference(v)? {
            (x, Some(zero)) => (x, Some(self.facts.scalar(zero)?)),
            (x, None) => (x, None),
        };
        let value = self.behind_widening(v);
        let dtype = self.facts.byte_dtype(value)?;
        let fits = |zero: &Value| self.is_zero_point(*zero, dtype);
        let is_valid = zero.as_ref().is_none_or(fits);
        let rows = QuantizedRows { value, order: None, dtype, zero, scale: None };
        is_valid.then_some(rows)
    }

    /// Returns `v` as a value and what is subtracted from it; `None` if the difference could wrap.
    fn difference(&self, v: Value) -> Option<(Value, Option<Value>)> {
        match self.binary(v, Binary::Sub) {
            Some([x, y]) => (self.dtype(v) == DType::I32).then_some((x, Some(y))),
            None => Some((v, None)),
        }
    }

    /// Returns the bytes that `v` has in a wider dtype, or `v` itself.
    fn behind_widening(&self, v: Value) -> Value {
        let is_byte = |v: &Value| BYTE_DTYPES.contains(&self.dtype(*v));
        let keeps = |inner: &Value| {
            let ranges = [self.dtype(v), self.dtype(*inner)].map(range);
            matches!(ranges, [Some([low, high]), Some([least, most])]
                if low <= least && most <= high)
        };
        if is_byte(&v) {
            return v;
        }
        let e = self.facts.producer(v).filter(|e| matches!(e.op, Op::Convert(_)));
        // empty: numbers behind limits, or no bytes.
        e.map(|e| e.inputs[0]).filter(is_byte).filter(keeps).unwrap_or(v)
    }

    /// Returns true if the integer `zero` is a number of `dtype`.
    fn is_zero_point(&self, zero: Value, dtype: DType) -> bool {
        match self.facts.number(zero) {
            Some(x) => range(dtype).is_some_and(|[low, high]| low <= x && x <= high),
            None => self.facts.byte_dtype(self.behind_widening(zero)) == Some(dtype),
        }
    }

    /// Returns the weights that the integers `v` are: constants of i8 with a zero point of 0.
    fn plain_weights(&self, v: Value) -> Option<Value> {
        let v = match self.difference(v)? {
            (x, Some(zero)) if self.facts.is_zero(zero, self.is_zero) => x,
            (_, Some(_)) => return None,
            (x, None) => x,
        };
        let is_weights = |v: &Value| self.facts.is_constant(*v) && self.dtype(*v) == DType::I8;
        Some(self.behind_widening(v)).filter(is_weights)
    }

    /// Returns `v` if one equation alone reads it.
    fn only_reader(&self, v: Value) -> Option<Value> {
        (self.uses[v.index()] == 1).then_some(v)
    }

    fn unary(&self, v: Value, op: Unary) -> Option<Value> {
        self.facts.producer(v).filter(|e| e.op == Op::Unary(op)).map(|e| e.inputs[0])
    }

    fn binary(&self, v: Value, op: Binary) -> Option<[Value; 2]> {
        self.facts
            .producer(v)
            .filter(|e| e.op == Op::Binary(op))
            .map(|e| [e.inputs[0], e.inputs[1]])
    }

    fn dtype(&self, v: Value) -> DType {
        self.facts.ty(v).dtype
    }

    fn rank(&self, v: Value) -> usize {
        self.facts.ty(v).rank()
    }
}

/// Returns true for products and convolutions.
fn is_product(e: &Eqn) -> bool {
    matches!(e.op, Op::DotGeneral(_) | Op::Composite(Composite::ChannelsLastConvolution(_)))
}

/// Returns true if sums of `depth` products of bytes are those of `dtype`: integers wrap as those
/// of a product of i32 do, and sums that become floats must not wrap.
pub(super) fn is_exact(depth: usize, dtype: DType) -> bool {
    const MAX_PRODUCT: usize = 255 * 128;
    depth > 0 && (dtype == DType::I32 || depth <= i32::MAX as usize / MAX_PRODUCT)
}
