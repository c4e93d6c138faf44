//! Operators of ONNX Runtime on quantized numbers.
//!
//! Most are a function of floats between `DequantizeLinear` and `QuantizeLinear`, with one scale
//! and zero point for a tensor: inputs are a tensor, its scale and its zero point, one after the
//! other. The others are products with a result in floats.

use super::activations::over_last_axes;
use super::axes::{axis_of, same_dtype};
use super::quantize::{dequantized, dynamically_quantized, quantized};
use super::quantized_products::{QuantizedSide, product};
use super::windows::Sliding;
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{Operator, OperatorRule, op};
use neurax_tensor::{DType, Tensor, concat, keep, where_};

pub(crate) const OPERATORS: &[Operator] = &[
    contrib("DynamicQuantizeMatMul", [3, 5], dynamic_matmul),
    contrib("MatMulIntegerToFloat", [4, 7], float_matmul),
    contrib("QGemm", [6, 9], gemm).attributes(&["alpha", "transA", "transB"]),
    contrib("QLinearAdd", [7, 8], |c| of_two(c, |x, y| x + y)),
    contrib("QLinearAveragePool", [4, 5], average_pool).attributes(&[
        "auto_pad",
        "ceil_mode",
        "channels_last",
        "count_include_pad",
        "kernel_shape",
        "pads",
        "strides",
    ]),
    contrib("QLinearConcat", [2, usize::MAX], concatenate).attributes(&["axis"]),
    contrib("QLinearGlobalAveragePool", [5, 5], global_average_pool).attributes(&["channels_last"]),
    contrib("QLinearLeakyRelu", [4, 5], leaky_relu).attributes(&["alpha"]),
    contrib("QLinearMul", [7, 8], |c| of_two(c, |x, y| x * y)),
    contrib("QLinearSigmoid", [4, 5], |c| requantized(c, &real(c, 0)?.sigmoid(), 3)),
    contrib("QLinearSoftmax", [5, 5], softmax).attributes(&["axis", "opset"]),
    contrib("QLinearWhere", [9, 9], select),
];

const fn contrib(name: &'static str, inputs: [usize; 2], rule: OperatorRule) -> Operator {
    op(name, &[1], inputs[0]..=inputs[1], rule).domain("com.microsoft")
}

/// Returns input `i`, quantized with the scale and the zero point that follow it, as f32.
fn real(c: &NodeCall, i: usize) -> Result<Tensor, RuleFailure> {
    let (x, scale) = (c.x(i)?, number(c, i + 1)?);
    let zero = c.maybe(i + 2)?.map(|_| number(c, i + 2)).transpose()?;
    if let Some(zero) = &zero {
        same_dtype(&x, zero)?;
    }
    Ok(dequantized(&x, &scale, zero.as_ref()))
}

/// Returns input `i`, which has one element.
fn number(c: &NodeCall, i: usize) -> Result<Tensor, RuleFailure> {
    let x = c.x(i)?;
    match x.size() {
        1 => Ok(x.reshape(())),
        _ => fail(format!("expected one number as input {i}, got {}", x.ty()?)),
    }
}

/// Quantizes a result with the scale that is input `i` and the zero point that follows it. The
/// dtype is that of the zero point, or of input 0.
fn requantized(c: &NodeCall, y: &Tensor, i: usize) -> RuleOutcome {
    let (scale, zero) = (number(c, i)?, c.maybe(i + 1)?.map(|_| number(c, i + 1)).transpose()?);
    let dtype = match &zero {
        Some(zero) => zero.dtype(),
        None => c.x(0)?.dtype(),
    };
    one(quantized(&(y / scale), zero.as_ref(), dtype, true))
}

fn of_two(c: &NodeCall, f: impl FnOnce(&Tensor, &Tensor) -> Tensor) -> RuleOutcome {
    requantized(c, &f(&real(c, 0)?, &real(c, 3)?), 6)
}

fn leaky_relu(c: &NodeCall) -> RuleOutcome {
    requantized(c, &real(c, 0)?.leaky_relu(c.float_or("alpha", 0.01)?), 3)
}

/// Computes `Softmax` in the version that `opset` says.
fn softmax(c: &NodeCall) -> RuleOutcome {
    let (x, axis) = (real(c, 0)?, c.int_or("axis", -1)?);
    let y = match c.required("opset", c.int("opset")?)? {
        ..13 => over_last_axes(&x, axis, |x| x.softmax(1))?,
        _ => x.softmax(axis_of(axis, x.rank())? as i64),
    };
    requantized(c, &y, 3)
}

fn select(c: &NodeCall) -> RuleOutcome {
    requantized(c, &where_(&c.x(0)?, real(c, 1)?, real(c, 4)?), 7)
}

/// Concatenates tensors with separate scales; those of the result are the first two inputs.
fn concatenate(c: &NodeCall) -> RuleOutcome {
    let axis = c.required("axis", c.int("axis")?)?;
    if c.count() % 3 != 2 || c.count() < 5 {
        return fail("expected a tensor, a scale and a zero point for each part");
    }
    let parts: Vec<Tensor> =
        (2..c.count()).step_by(3).map(|i| real(c, i)).collect::<Result<_, _>>()?;
    let axis = axis_of(axis, parts[0].rank())?;
    requantized(c, &concat(parts, axis as i64), 0)
}

/// Computes the means of windows. With `count_include_pad`, all elements of a window are counted,
/// also those that only `ceil_mode` adds, in contrast to `AveragePool`.
fn average_pool(c: &NodeCall) -> RuleOutcome {
    let is_last = c.flag("channels_last", false)?;
    let x = channels_first(real(c, 0)?, is_last)?;
    let mut windows = Sliding::of_pool(c, &x)?;
    if c.flag("ceil_mode", false)? {
        windows = windows.rounded_up();
    }
    let taps = &windows.taps[..];
    let y = match c.flag("count_include_pad", false)? {
        true => {
            let count: f64 = taps.iter().map(|&n| n as f64).product();
            x.sum_pool(taps, windows.options()) / count
        }
        false => x.avg_pool(taps, windows.options()),
    };
    requantized(c, &if is_last { y.move_axis(1, -1) } else { y }, 3)
}

/// Moves the last axis, that of the channels, to position 1 if `is_last` is set.
fn channels_first(x: Tensor, is_last: bool) -> Result<Tensor, RuleFailure> {
    match x.rank() {
        0..=2 => fail(format!("expected batch, channels and space, got {}", x.ty()?)),
        _ if is_last => Ok(x.move_axis(-1, 1)),
        _ => Ok(x),
    }
}

fn global_average_pool(c: &NodeCall) -> RuleOutcome {
    let is_last = c.flag("channels_last", false)?;
    let x = channels_first(real(c, 0)?, is_last)?;
    let y = x.mean(keep(2i64..));
    requantized(c, &if is_last { y.move_axis(1, -1) } else { y }, 3)
}

/// Computes `alpha A B + C` of quantized matrices, where `C` has the scale of the products. Without
/// a scale, the result is f32.
fn gemm(c: &NodeCall) -> RuleOutcome {
    let operand = |side: QuantizedSide, i: usize, flag: &str| {
        let x = c.x(i)?;
        if x.rank() != 2 {
            return fail(format!("expected a matrix as input {i}, got {}", x.ty()?));
        }
        let x = if c.flag(flag, false)? { x.t() } else { x };
        let scale = side.arranged(&c.x(i + 1)?, &x)?;
        Ok((side.difference(&x, c.maybe(i + 2)?.as_ref())?, scale))
    };
    let ((a, a_scale), (b, b_scale)) =
        (operand(QuantizedSide::Left, 0, "transA")?, operand(QuantizedSide::Right, 3, "transB")?);
    let product = a.matmul_as(b, DType::I32);
    let sum = match c.maybe(6)? {
        Some(term) if term.dtype() == DType::I32 => &product + term,
        Some(term) => return fail(format!("expected C of i32, got {}", term.ty()?)),
        None => product.clone(),
    };
    if sum.error().is_none() && sum.shape() != product.shape() {
        return fail(format!("expected C of {}, got {}", product.ty()?, sum.ty()?));
    }
    let y = sum.to(DType::F32) * (a_scale * b_scale * c.float_or("alpha", 1.0)?);
    if c.optional_value(7).is_none() { one(y) } else { requantized(c, &y, 7) }
}

/// Multiplies floats, which are quantized to u8 first, with a quantized matrix.
fn dynamic_matmul(c: &NodeCall) -> RuleOutcome {
    let (a, a_scale, a_zero) = dynamically_quantized(&c.x(0)?);
    let b = c.x(1)?;
    let scale = a_scale * QuantizedSide::Right.arranged(&c.x(2)?, &b)?;
    let b = QuantizedSide::Right.difference(&b, c.maybe(3)?.as_ref())?;
    let product = QuantizedSide::Left.difference(&a, Some(&a_zero))?.matmul_as(b, DType::I32);
    one(biased(c, product.to(DType::F32) * scale, 4)?)
}

/// Multiplies quantized matrices; the result has the dtype of the scales.
fn float_matmul(c: &NodeCall) -> RuleOutcome {
    let (a, b, a_scale, b_scale) = (c.x(0)?, c.x(1)?, c.x(2)?, c.x(3)?);
    let dtype = a_scale.dtype();
    let product = product(c, [0, 4], [1, 5])?;
    let scale = QuantizedSide::Left.arranged(&a_scale.to(DType::F32), &a)?
        * QuantizedSide::Right.arranged(&b_scale.to(DType::F32), &b)?;
    one(biased(c, product.to(DType::F32) * scale, 6)?.to(dtype))
}

/// Adds input `i`, the bias of the last axis, if it is present.
fn biased(c: &NodeCall, y: Tensor, i: usize) -> Result<Tensor, RuleFailure> {
    let Some(bias) = c.maybe(i)? else { return Ok(y) };
    match bias.rank() == 1 && (bias.dim(0) == y.dim(-1) || y.error().is_some()) {
        true => Ok(&y + bias.to(y.dtype())),
        false => fail(format!("expected a bias of {} columns, got {}", y.dim(-1), bias.ty()?)),
    }
}
