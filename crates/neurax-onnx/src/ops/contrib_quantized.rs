//! Operators of ONNX Runtime on quantized numbers.
//!
//! Most are a function of floats between `DequantizeLinear` and `QuantizeLinear`, with one scale
//! and zero point for a tensor: inputs are a tensor, its scale and its zero point, one after the
//! other. The others are products with a result in floats.

use super::activations::over_last_axes;
use super::axes::{axis_of, same_dtype};
use super::normalization::embedded;
use super::quantize::{dequantized, dynamically_quantized, quantized};
use super::quantized_products::{QuantizedSide, product};
use super::windows::Sliding;
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{Operator, OperatorRule, op};
use crate::value::OnnxValue;
use neurax_tensor::{DType, Tensor, concat, keep, where_};

pub(crate) const OPERATORS: &[Operator] = &[
    contrib("DynamicQuantizeMatMul", [3, 5], dynamic_matmul),
    contrib("MatMulIntegerToFloat", [4, 7], float_matmul),
    contrib("QEmbedLayerNormalization", [13, 18], embed_layer).attributes(&["epsilon"]),
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

/// Adds quantized embeddings of words, positions and segments, and normalizes the sum. The scale of
/// the input `i` is the input `i + 6`, and its zero point the input `i + 11`.
fn embed_layer(c: &NodeCall) -> RuleOutcome {
    let real = |i: usize, x: Tensor| {
        let scale = number(c, i + 6)?;
        let zero = c.maybe(i + 11)?.map(|_| number(c, i + 11)).transpose()?;
        if let Some(zero) = &zero {
            same_dtype(&x, zero)?;
        }
        Ok::<Tensor, RuleFailure>(dequantized(&x, &scale, zero.as_ref()))
    };
    let rows = |i: usize, ids: &Tensor| real(i, c.x(i)?.take(ids, 0));
    let scale_bias = [real(5, c.x(5)?)?, real(6, c.x(6)?)?];
    let [y, count, _] = embedded(c, &rows, scale_bias, None)?;
    Ok([y, count].map(OnnxValue::Tensor).to_vec())
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

#[cfg(test)]
mod tests {
    use crate::testing::{declared, floats, graph, model_of, node, raw};
    use crate::{Importer, OnnxValue};
    use neurax_tensor::{Tensor, tensor};
    use std::collections::HashMap;

    /// Returns the outputs of a model of one node of `com.microsoft` and some initializers.
    fn run(op: &str, inputs: &str, weights: Vec<crate::proto::TensorProto>) -> Vec<Tensor> {
        let mut n = node(op, inputs, "y count");
        n.domain = "com.microsoft".into();
        let mut g = graph(&[], &["y", "count"], weights, vec![n]);
        let names = ["ids", "segments", "mask"];
        g.input.extend(names.map(|name| declared(name, 6, &["1", "3"])));
        let session = Importer::new().open_bytes(model_of("com.microsoft", 1, g)).unwrap();
        let value = |x: [i32; 3]| OnnxValue::Tensor(tensor([x]));
        let values = [value([1, 0, 1]), value([0, 1, 1]), value([1, 1, 0])];
        let named = names.map(String::from).into_iter().zip(values);
        let outputs = session.run(HashMap::from_iter(named)).unwrap();
        let tensor = |y: OnnxValue| match y {
            OnnxValue::Tensor(y) => y,
            other => panic!("expected a tensor, got {other:?}"),
        };
        outputs.into_iter().map(tensor).collect()
    }

    #[test]
    fn quantized_embeddings_are_embeddings_of_dequantized_tables() {
        // The names of the tables, their sizes, their numbers, scales and zero points.
        let tables: [(&str, &[i64], &[u8], f32, u8); 5] = [
            ("w", &[2, 4], &[1, 9, 200, 30, 128, 0, 7, 255], 0.1, 120),
            ("p", &[3, 4], &[3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8], 0.5, 3),
            ("s", &[2, 4], &[10, 20, 30, 40, 50, 60, 70, 80], 0.02, 50),
            ("g", &[4], &[100, 110, 120, 130], 0.01, 0),
            ("b", &[4], &[1, 2, 3, 4], 0.25, 2),
        ];
        let mut quantized = vec![];
        let mut real = vec![];
        for (name, dims, bytes, scale, zero) in tables {
            quantized.push(raw(name, 2, dims, bytes));
            quantized.push(floats(&format!("{name}s"), &[], &[scale]));
            quantized.push(raw(&format!("{name}z"), 2, &[], &[zero]));
            let number = |&x: &u8| f32::from(i16::from(x) - i16::from(zero)) * scale;
            real.push(floats(name, dims, &bytes.iter().map(number).collect::<Vec<_>>()));
        }
        let inputs = "ids segments w p s g b mask";
        let scales = "ws ps ss gs bs wz pz sz gz bz";
        let got = run("QEmbedLayerNormalization", &format!("{inputs} {scales}"), quantized);
        let want = run("EmbedLayerNormalization", inputs, real);
        let numbers = |y: &Tensor| y.to_literal().unwrap().to_f64s();
        let (got_y, want_y) = (numbers(&got[0]), numbers(&want[0]));
        assert_eq!(got_y.len(), 12);
        assert!(
            got_y.iter().zip(&want_y).all(|(a, b)| (a - b).abs() < 1e-5),
            "{got_y:?} {want_y:?}"
        );
        assert_eq!((numbers(&got[1]), numbers(&want[1])), (vec![2.0], vec![2.0]));
    }
}
