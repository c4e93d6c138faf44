//! The steps of quantization as operators of ONNX, and products of quantized numbers.
//!
//! The problem: the importer composes quantized operators of functions of tensors. Products of
//! integers of 8 bits are then products of wider integers, for which runtimes have no kernels, or
//! slow ones. These rules find the steps again, also those of a user's own function:
//!
//! | pattern | becomes |
//! |---|---|
//! | `Cast(Clip(Round(x / s) + z, 0, 255))` | `QuantizeLinear(x, s, z)` |
//! | `Cast(Clip(x, 0, 255))` of other dtypes than f32 | `Cast` to u8 |
//! | `Mul(Cast(q - z), s)` | `DequantizeLinear(q, s, z)` |
//! | `Conv(q - z, w)` in i32 with stored `w` from -255 to 255 | `ConvInteger(q, w', z, z')` |
//! | `MatMul(q - z, w)` in i32 | `MatMulInteger(q, w', z, z')` |
//!
//! `q` and the clipped numbers have 8 bits, signed or not; `s` and `z` are scalars, constant or
//! computed. All of them are exact: they round where the pattern rounds. So a `QLinearConv` is
//! written as `ConvInteger`, the sum with its bias, the product with its scale, and
//! `QuantizeLinear` with the scale 1.
//!
//! # Invariants
//!
//! - Stored weights become u8: products of u8 and i8 saturate in some kernels of runtimes.
//! - Nodes that nothing reads any more stay, and are dropped when the model is cleaned up.

use super::body_nodes::{BodyNodes, node_like};
use super::draft::{DraftNode, Wire};
use crate::dtype::number_of;
use crate::proto::AttributeProto;
use neurax_ir::{DType, Kind, Literal, Type};
use std::sync::Arc;

/// The range of stored weights of which u8 and a zero point can be made.
const MAX_WEIGHT: f64 = 255.0;

/// Numbers of 8 bits, and the number that is subtracted from them.
struct QuantizedOperand {
    name: Arc<str>,
    /// The name of a scalar of the same dtype; `None` for 0.
    zero: Option<Arc<str>>,
}

/// Returns true if node `i` was a conversion of clipped and rounded numbers, and is that of
/// `QuantizeLinear` now.
pub(super) fn quantize(n: &mut BodyNodes, i: usize) -> bool {
    let found = || {
        let node = n.node(i);
        let result = node.outputs.first()?.ty.clone();
        let clip = n.only_for(node.inputs.first()?, &["Clip"]).filter(|_| node.op == "Cast")?;
        let [sum, low, high] = &n.node(clip).inputs[..] else { return None };
        let dtype = byte_range(n.number(low)?, n.number(high)?)?;
        let (rounded, zero) = match n.only_for(sum, &["Add"]) {
            Some(add) => {
                let [a, b] = &n.node(add).inputs[..] else { return None };
                (a.clone(), Some(byte_scalar(n, b, dtype)?))
            }
            None => (sum.clone(), None),
        };
        let round = n.only_for(&rounded, &["Round"])?;
        let quotient = n.node(round).inputs.first()?.clone();
        let is_integer = result.dtype.is_int() && n.ty(&quotient)?.dtype == DType::F32;
        let is_scale = |s: &Arc<str>| n.ty(s).is_some_and(|t| t.rank() == 0);
        let (x, scale) = match n.only_for(&quotient, &["Div"]).map(|d| &n.node(d).inputs[..]) {
            Some([x, s]) if is_scale(s) => (x.clone(), Some(s.clone())),
            _ => (quotient, None),
        };
        // The result of a division may be broadcast.
        let is_whole = n.ty(&x)?.shape == result.shape && is_integer;
        is_whole.then_some((x, scale, zero, dtype, result))
    };
    let Some((x, scale, zero, dtype, result)) = found() else { return false };
    let of = n.node(i).outputs[0].name.clone();
    let scale = scale.unwrap_or_else(|| n.constant(&of, "scale", Literal::scalar(DType::F32, 1.0)));
    let zero = match zero {
        Some(ByteScalar::Number(z)) => n.constant(&of, "zero", Literal::scalar(dtype, z)),
        Some(ByteScalar::Value(name)) => name,
        // Without a zero point, the result is u8.
        None => n.constant(&of, "zero", Literal::scalar(dtype, 0.0)),
    };
    let mut node = node_like(n.node(i), "QuantizeLinear", vec![x, scale, zero]);
    if result.dtype == dtype {
        n.body.nodes[i] = node;
        return true;
    }
    let out = Wire { name: format!("{of}/quantized").into(), ty: result.with_dtype(dtype) };
    (node.name, node.outputs) = (out.name.clone(), vec![out.clone()]);
    n.body.nodes[i].inputs = vec![out.name];
    n.body.nodes.insert(i, node);
    true
}

/// Returns true if node `i` was a conversion of numbers clipped to 8 bits to wider integers, and is
/// one to 8 bits and then to those now: of f16, for which `QuantizeLinear` rounds another quotient.
pub(super) fn clipped_bytes(n: &mut BodyNodes, i: usize) -> bool {
    let found = || {
        let node = n.node(i);
        let result = &node.outputs.first()?.ty;
        let is_wide = node.op == "Cast" && result.dtype.is_int() && result.dtype.bits() > 8;
        let clip = n.only_for(node.inputs.first()?, &["Clip"]).filter(|_| is_wide)?;
        let [_, low, high] = &n.node(clip).inputs[..] else { return None };
        let dtype = byte_range(n.number(low)?, n.number(high)?)?;
        Some((result.with_dtype(dtype), number_of(dtype)?))
    };
    let Some((ty, number)) = found() else { return false };
    let mut node = n.node(i).clone();
    node.attributes = vec![AttributeProto::of_int("to", number.into())];
    let out = Wire { name: format!("{}/bytes", node.name).into(), ty };
    (node.name, node.outputs) = (out.name.clone(), vec![out.clone()]);
    n.body.nodes[i].inputs = vec![out.name];
    n.body.nodes.insert(i, node);
    true
}

/// Returns true if node `i` was the product of converted integers of 8 bits and a scalar, and is
/// `DequantizeLinear` now.
pub(super) fn dequantize(n: &mut BodyNodes, i: usize) -> bool {
    let found = || {
        let node = n.node(i);
        let [difference, scale] = &node.inputs[..] else { return None };
        let cast = n.only_for(difference, &["Cast"]).filter(|_| node.op == "Mul")?;
        let result = &node.outputs.first()?.ty;
        let is_plain = result.dtype == DType::F32 && n.ty(scale)?.rank() == 0;
        let operand = operand_of(n, n.node(cast).inputs.first()?).filter(|_| is_plain)?;
        let FoundOperand::Computed(bytes, _) = &operand else { return None };
        let is_whole = n.ty(bytes)?.shape == result.shape;
        is_whole.then(|| (operand, scale.clone()))
    };
    let Some((operand, scale)) = found() else { return false };
    let Some(operand) = operand.written(n, i) else { return false };
    let inputs = [operand.name, scale].into_iter().chain(operand.zero).collect();
    n.body.nodes[i] = node_like(n.node(i), "DequantizeLinear", inputs);
    true
}

/// Returns true if node `i` was the conversion to i32 of a convolution of quantized numbers in f64,
/// and is `ConvInteger` now.
pub(super) fn conv_integer(n: &mut BodyNodes, i: usize) -> bool {
    let found = || {
        let node = n.node(i);
        let is_result = node.op == "Cast" && node.outputs.first()?.ty.dtype == DType::I32;
        let wide = n.only_for(node.inputs.first()?, &["Cast"]).filter(|_| is_result)?;
        let conv = n.only_for(n.node(wide).inputs.first()?, &["Conv"])?;
        let [x, w] = &n.node(conv).inputs[..] else { return None };
        let (x, w) = (operand_of(n, x)?, operand_of(n, w)?);
        Some((x, w, n.node(conv).attributes.clone()))
    };
    let Some((x, w, attributes)) = found() else { return false };
    integer_product(n, i, "ConvInteger", [x, w], attributes)
}

/// Returns true if node `i` was a product of matrices of quantized numbers in i32, and is
/// `MatMulInteger` now.
pub(super) fn matmul_integer(n: &mut BodyNodes, i: usize) -> bool {
    let found = || {
        let node = n.node(i);
        let [a, b] = &node.inputs[..] else { return None };
        let is_product = node.op == "MatMul" && node.outputs.first()?.ty.dtype == DType::I32;
        if !is_product {
            return None;
        }
        Some((operand_of(n, a)?, operand_of(n, b)?))
    };
    let Some((a, b)) = found() else { return false };
    integer_product(n, i, "MatMulInteger", [a, b], vec![])
}

/// A scalar of 8 bits.
enum ByteScalar {
    Number(f64),
    /// The name of a value.
    Value(Arc<str>),
}

/// An operand that can be written in 8 bits.
enum FoundOperand {
    /// The name of numbers of 8 bits, and what is subtracted from them.
    Computed(Arc<str>, Option<ByteScalar>),
    /// The values of stored numbers of more bits.
    Stored(Literal),
}

impl FoundOperand {
    /// Returns the operand in 8 bits; the constants that it needs are named by node `i`.
    fn written(self, n: &mut BodyNodes, i: usize) -> Option<QuantizedOperand> {
        let of = n.node(i).outputs.first()?.name.clone();
        match self {
            FoundOperand::Computed(name, zero) => {
                let dtype = n.ty(&name)?.dtype;
                let zero = zero.map(|zero| match zero {
                    ByteScalar::Number(z) => n.constant(&name, "zero", Literal::scalar(dtype, z)),
                    ByteScalar::Value(name) => name,
                });
                Some(QuantizedOperand { name, zero })
            }
            FoundOperand::Stored(value) => {
                let numbers = value.to_f64s();
                let least = numbers.iter().copied().fold(0.0, f64::min);
                let shifted: Vec<f64> = numbers.iter().map(|x| x - least).collect();
                let bytes = Literal::from_f64s(DType::U8, value.ty().shape.clone(), &shifted);
                let name = n.constant(&of, "weight", bytes);
                let zero = Literal::scalar(DType::U8, -least);
                let zero = n.constant(&of, "weight_zero", zero);
                Some(QuantizedOperand { name, zero: Some(zero) })
            }
        }
    }
}

/// Returns true if node `i` can be a product of integers of `operands`, and is that now.
fn integer_product(
    n: &mut BodyNodes,
    i: usize,
    op: &'static str,
    operands: [FoundOperand; 2],
    attributes: Vec<AttributeProto>,
) -> bool {
    // One of them is computed: a product of two stored ones is a constant.
    if operands.iter().all(|x| matches!(x, FoundOperand::Stored(..))) {
        return false;
    }
    let [x, w] = operands.map(|operand| operand.written(n, i));
    let (Some(x), Some(w)) = (x, w) else { return false };
    let mut inputs = vec![x.name, w.name];
    match (x.zero, w.zero) {
        (None, None) => (),
        (x, None) => inputs.extend(x),
        (x, Some(w)) => inputs.extend([x.unwrap_or_else(|| "".into()), w]),
    }
    let mut node = node_like(n.node(i), op, inputs);
    node.attributes = attributes;
    n.body.nodes[i] = node;
    true
}

/// Returns the dtype of 8 bits that has a range.
fn byte_range(low: f64, high: f64) -> Option<DType> {
    [DType::U8, DType::I8].into_iter().find(|dtype| {
        dtype.int_range().is_some_and(|r| (*r.start() as f64, *r.end() as f64) == (low, high))
    })
}

/// Returns a scalar of integers as one of `dtype`: a number that it has, or the value of 8 bits
/// that it was converted from.
fn byte_scalar(n: &BodyNodes, name: &Arc<str>, dtype: DType) -> Option<ByteScalar> {
    let has = |z: &f64| {
        let range = dtype.int_range();
        z.fract() == 0.0 && range.is_some_and(|r| r.contains(&(*z as i128)))
    };
    match n.number(name) {
        Some(number) => Some(number).filter(has).map(ByteScalar::Number),
        None => {
            let value = bytes_of(n, name)?;
            let ty = n.ty(&value)?;
            (ty == Type::scalar(dtype)).then_some(ByteScalar::Value(value))
        }
    }
}

/// Returns the operand of a product that a value is: numbers of 8 bits without a scalar, or stored
/// ones.
fn operand_of(n: &BodyNodes, name: &Arc<str>) -> Option<FoundOperand> {
    if let Some(bytes) = bytes_of(n, name) {
        return Some(FoundOperand::Computed(bytes, None));
    }
    let (name, node) = behind_casts(n, name);
    let Some(node) = node else { return stored(n, &name) };
    let [x, zero] = &node.inputs[..] else { return None };
    let bytes = bytes_of(n, x).filter(|_| node.op == "Sub")?;
    let dtype = n.ty(&bytes)?.dtype;
    let is_whole = n.ty(&bytes)?.shape == node.outputs.first()?.ty.shape;
    let zero = byte_scalar(n, zero, dtype).filter(|_| is_whole)?;
    Some(FoundOperand::Computed(bytes, Some(zero)))
}

/// Returns the numbers of 8 bits that were converted to a value.
fn bytes_of(n: &BodyNodes, name: &Arc<str>) -> Option<Arc<str>> {
    let is_bytes =
        |name: &Arc<str>| n.ty(name).is_some_and(|t| matches!(t.dtype, DType::U8 | DType::I8));
    let mut name = name.clone();
    while !is_bytes(&name) {
        name = cast_operand(n, &name)?;
    }
    Some(name)
}

/// Returns the value behind conversions that keep all integers of 8 bits and their differences, and
/// the node that computes it.
fn behind_casts<'n>(n: &'n BodyNodes, name: &Arc<str>) -> (Arc<str>, Option<&'n DraftNode>) {
    let mut name = name.clone();
    while let Some(operand) = cast_operand(n, &name) {
        name = operand;
    }
    let node = n.producers.get(&name).map(|&i| n.node(i));
    (name, node)
}

/// Returns the operand of the conversion that computes a value, if that is one from integers to a
/// dtype that has all differences of integers of 8 bits.
fn cast_operand(n: &BodyNodes, name: &Arc<str>) -> Option<Arc<str>> {
    let node = n.producers.get(name).map(|&i| n.node(i)).filter(|node| node.op == "Cast")?;
    let operand = node.inputs.first()?;
    let (from, to) = (n.ty(operand)?.dtype, node.outputs.first()?.ty.dtype);
    let is_wide = match to.kind() {
        Kind::Signed => to.bits() > 8,
        Kind::Float => to.bits() >= 32,
        _ => false,
    };
    (from.is_int() && is_wide).then(|| operand.clone())
}

/// Returns stored integers from -255 to 255 whose range has at most 256 numbers.
fn stored(n: &BodyNodes, name: &Arc<str>) -> Option<FoundOperand> {
    let is_int = n.ty(name).is_some_and(|t| t.dtype.is_int() && t.rank() > 0);
    let value = n.value(name).filter(|_| is_int)?;
    let numbers = value.to_f64s();
    let (low, high) =
        numbers.iter().fold((0.0, 0.0), |(low, high): (f64, f64), &x| (low.min(x), high.max(x)));
    (high - low <= MAX_WEIGHT).then(|| FoundOperand::Stored(value))
}

#[cfg(test)]
mod tests {
    use crate::export::Exporter;
    use crate::proto::{GraphProto, ModelProto, TensorProto};
    use crate::testing::{declared, floats, graph, ints, model, node, raw};
    use crate::{Importer, import_bytes};
    use neurax::prelude::*;
    use prost::Message;

    /// Returns u8 of 8 bits or i8 (2 or 3) as an initializer, with numbers that differ.
    fn bytes(name: &str, kind: i32, dims: &[i64]) -> TensorProto {
        let size: i64 = dims.iter().product();
        let all: Vec<u8> = (0..size).map(|i| (i * 37 + 11) as u8).collect();
        raw(name, kind, dims, &all)
    }

    fn scale(name: &str, x: f32) -> TensorProto {
        floats(name, &[], &[x])
    }

    #[test]
    fn narrow_quantized_convolutions_are_of_integers_too() {
        let nodes = vec![
            node("QuantizeLinear", "x s z", "q"),
            node("ConvInteger", "q w z", "c"),
            node("Cast", "c", "y").with(crate::testing::int("to", 1)),
        ];
        let numbers =
            vec![scale("s", 0.02), raw("z", 2, &[], &[130]), bytes("w", 2, &[4, 3, 3, 3])];
        let mut g = graph(&[], &["y"], numbers, nodes);
        g.input.push(declared("x", 1, &["1", "3", "6", "6"]));
        let net = import_bytes(model(g)).unwrap();
        let file = Exporter::new().float(F16).to_bytes(&net, types![f32[1, 3, 6, 6]]).unwrap();
        let ops = Importer::new().open_bytes(file).unwrap().info().operators.clone();
        assert!(ops.contains_key("ConvInteger") && !ops.contains_key("Conv"), "{ops:?}");
    }

    /// Exports and imports a model of `x: f32[n, ..]`, checks that the results for `x` are the same
    /// numbers, and returns the operators of the exported file.
    fn exported(mut g: GraphProto, x: Tensor, sizes: &[&str]) -> Vec<String> {
        g.input.push(declared("x", 1, sizes));
        let net = import_bytes(model(g)).unwrap();
        let dims = sizes.iter().map(|size| match size.parse() {
            Ok(n) => Dim::Size(n),
            Err(_) => Dim::Named(size.to_string()),
        });
        let types = [TypeSpec { dtype: F32, dims: dims.collect() }];
        let file = Exporter::new().to_bytes(&net, types).unwrap();
        let again = Importer::new().import_bytes(file.clone()).unwrap();
        let (want, got) = (net.apply(&x).y().clone(), again.apply(&x).y().clone());
        assert_eq!(got.to_vec::<f32>().unwrap(), want.to_vec::<f32>().unwrap());
        let nodes = ModelProto::decode(&file[..]).unwrap().graph.unwrap().node;
        nodes.iter().map(|n| n.op_type.clone()).collect()
    }

    #[test]
    fn quantized_convolutions_are_convolutions_of_integers() {
        for kind in [2, 3] {
            let nodes = vec![
                node("QuantizeLinear", "x s z", "q"),
                node("QLinearConv", "q s z w ws wz ys yz bias", "c"),
                node("DequantizeLinear", "c ys yz", "y"),
            ];
            let bias = raw("bias", 6, &[4], &[7, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0]);
            let numbers = vec![
                scale("s", 0.02),
                raw("z", 2, &[], &[130]),
                bytes("w", kind, &[4, 3, 3, 3]),
                floats("ws", &[4], &[0.01, 0.02, 0.03, 0.004]),
                raw("wz", kind, &[4], &[if kind == 2 { 99 } else { 0 }; 4]),
                scale("ys", 0.5),
                raw("yz", 2, &[], &[100]),
                bias,
            ];
            let g = graph(&[], &["y"], numbers, nodes);
            let ops = exported(g, key(0).normal([2, 3, 6, 6]), &["n", "3", "6", "6"]);
            let count = |op: &str| ops.iter().filter(|o| *o == op).count();
            assert_eq!(count("QuantizeLinear"), 2, "{ops:?}");
            assert_eq!((count("ConvInteger"), count("DequantizeLinear")), (1, 1), "{ops:?}");
            assert_eq!((count("Conv"), count("Clip"), count("Round")), (0, 0, 0), "{ops:?}");
        }
    }

    #[test]
    fn weights_of_more_than_256_numbers_stay() {
        let numbers = vec![
            scale("s", 0.02),
            raw("z", 2, &[], &[130]),
            ints("w", &[3, 2], &[-200, 200, 1, 2, 3, 4]),
        ];
        let nodes = vec![
            node("QuantizeLinear", "x s z", "q"),
            node("DequantizeLinear", "q s z", "d"),
            node("Cast", "w", "wf").with(crate::testing::int("to", 1)),
            node("MatMul", "d wf", "y"),
        ];
        let ops = exported(graph(&[], &["y"], numbers, nodes), key(1).normal([2, 3]), &["n", "3"]);
        assert!(ops.contains(&"MatMul".to_string()), "{ops:?}");
    }

    #[test]
    fn dynamic_quantization_is_found_with_its_computed_numbers() {
        let nodes = vec![
            node("DynamicQuantizeLinear", "x", "q s z"),
            node("MatMulInteger", "q w z wz", "sums"),
            node("Cast", "sums", "float").with(crate::testing::int("to", 1)),
            node("Mul", "s ws", "scales"),
            node("Mul", "float scales", "y"),
        ];
        let numbers = vec![bytes("w", 3, &[3, 5]), raw("wz", 3, &[], &[4]), scale("ws", 0.01)];
        let ops = exported(graph(&[], &["y"], numbers, nodes), key(1).normal([2, 3]), &["n", "3"]);
        let count = |op: &str| ops.iter().filter(|o| *o == op).count();
        assert_eq!((count("MatMulInteger"), count("MatMul")), (1, 0), "{ops:?}");
        assert!(count("QuantizeLinear") >= 1, "{ops:?}");
    }
}
