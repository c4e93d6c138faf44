//! Weights of 4 bits as `INT4` tensors.
//!
//! The problem: a parameter that `nn::quantize` has quantized to 4 bits is a matrix of pairs, u8,
//! and its layer takes them apart with functions of tensors. Since opset 21, files have `INT4`, and
//! `DequantizeLinear` has one scale for each block of rows, so that runtimes keep the 4 bits:
//!
//! ```text
//! values: u8[32, 10], scales: f32[4, 10]
//!   low, high = values & 15, values >> 4
//!   numbers = Reshape(Concat(Unsqueeze(low, 1), Unsqueeze(high, 1)), [4, 16, 10])
//!   y = Reshape((Cast(numbers) - 8) * Unsqueeze(scales, 1), [64, 10])
//! becomes
//!   y = DequantizeLinear(numbers: int4[64, 10], scales), axis 0, block_size 16
//! ```
//!
//! Both compute the same products of f32.

use super::body_nodes::{BodyNodes, node_like};
use crate::proto::AttributeProto;
use neurax_ir::{Bytes, DType, Literal, Type};
use std::sync::Arc;

/// The first opset whose files have integers of 4 bits.
const INT4_SINCE: i64 = 21;
/// The number that is added to an integer of 4 bits before it is stored.
const OFFSET: f64 = 8.0;

/// Returns true if node `i` was the last step of a matrix of pairs of 4 bits, and is
/// `DequantizeLinear` now.
pub(super) fn int4_weight(n: &mut BodyNodes, i: usize) -> bool {
    let Some(found) = found(n, i) else { return false };
    let name = n.constant(&found.values, "int4", found.numbers);
    let mut node = node_like(n.node(i), "DequantizeLinear", vec![name, found.scales]);
    node.attributes.push(AttributeProto::of_int("axis", 0));
    node.attributes.push(AttributeProto::of_int("block_size", found.block));
    n.body.nodes[i] = node;
    true
}

/// A matrix of pairs of 4 bits.
struct FoundPairs {
    /// The name of the pairs.
    values: Arc<str>,
    /// The integers of the matrix.
    numbers: Literal,
    /// The name of the scales, one for each block and column.
    scales: Arc<str>,
    /// The number of rows of a block.
    block: i64,
}

fn found(n: &BodyNodes, i: usize) -> Option<FoundPairs> {
    let node = n.node(i);
    let is_last = matches!(node.op, "Reshape" | "Squeeze") && n.facts.opset >= INT4_SINCE;
    let shape = node.outputs.first().filter(|_| is_last)?.ty.shape.clone();
    let product = n.only_for(node.inputs.first()?, &["Mul"])?;
    let blocks = n.node(product).outputs.first()?.ty.shape.clone();
    let [difference, scales] = &n.node(product).inputs[..] else { return None };
    let [numbers, offset] = operands(n, difference, "Sub")? else { return None };
    let [grouped] = operands(n, numbers, "Cast")? else { return None };
    let [pairs, _] = operands(n, grouped, "Reshape")? else { return None };
    let [low, high] = operands(n, pairs, "Concat")? else { return None };
    let low = half(n, low, "BitwiseAnd", 15.0)?;
    let high = half(n, high, "BitShift", 4.0)?;
    let scales = unsqueezed(n, scales)?;
    let value = n.value(low).filter(|x| x.ty().dtype == DType::U8 && x.ty().rank() == 2)?;
    let (rows, columns) = (value.ty().shape[0] * 2, value.ty().shape[1]);
    let [groups, block, _] = blocks[..] else { return None };
    let is_pairs = low == high && n.number(offset) == Some(OFFSET) && shape[..] == [rows, columns];
    let has_scales = blocks[..] == [groups, block, columns]
        && groups * block == rows
        && n.ty(scales)?.shape[..] == [groups, columns];
    if !is_pairs || !has_scales {
        return None;
    }
    let (values, scales, numbers) = (low.clone(), scales.clone(), unpaired(&value)?);
    Some(FoundPairs { values, numbers, scales, block: block as i64 })
}

/// Returns the integers of pairs: the lower one of a pair is in the row in front of the upper one,
/// while `i4` has neighbours of a row in one byte, the first in the lower bits.
fn unpaired(pairs: &Literal) -> Option<Literal> {
    let (rows, columns) = (pairs.ty().shape[0] * 2, pairs.ty().shape[1]);
    let bytes = pairs.bytes();
    let size = rows * columns;
    // The number minus 8, in two's complement.
    let number = |k: usize| {
        let (row, column) = (k / columns, k % columns);
        let byte = bytes.get(row / 2 * columns + column)?;
        Some(((byte >> (row % 2 * 4)) & 15) ^ 8)
    };
    let packed = |k: usize| {
        let last = if 2 * k + 1 < size { number(2 * k + 1)? } else { 0 };
        Some(number(2 * k)? | last << 4)
    };
    let packed: Vec<u8> = (0..size.div_ceil(2)).map(packed).collect::<Option<_>>()?;
    Literal::new(Type::new(DType::I4, [rows, columns]), Bytes::copy_of(&packed)).ok()
}

/// Returns the operands of the node `op` that computes a value, which has no other reader.
fn operands<'n>(n: &'n BodyNodes, name: &Arc<str>, op: &str) -> Option<&'n [Arc<str>]> {
    Some(&n.node(n.only_for(name, &[op])?).inputs)
}

/// Returns the operand of `Unsqueeze` at axis 1.
fn unsqueezed<'n>(n: &'n BodyNodes, name: &Arc<str>) -> Option<&'n Arc<str>> {
    let node = n.producers.get(name).map(|&i| n.node(i)).filter(|node| node.op == "Unsqueeze")?;
    let [x, axes] = &node.inputs[..] else { return None };
    (n.ints(axes)? == [1]).then_some(x)
}

/// Returns the pairs of which `name` is one half, which `op` computes with a number.
fn half<'n>(n: &'n BodyNodes, name: &Arc<str>, op: &str, by: f64) -> Option<&'n Arc<str>> {
    let bits = unsqueezed(n, name)?;
    let [pairs, number] = operands(n, bits, op)? else { return None };
    (n.number(number) == Some(by)).then_some(pairs)
}

#[cfg(test)]
mod tests {
    use crate::export::Exporter;
    use crate::{Importer, import_bytes};
    use neurax::nn;
    use neurax::prelude::*;

    #[test]
    fn weights_of_4_bits_stay_so() {
        for (group, count) in [(16, 0), (7, 1), (1000, 0)] {
            let model = nn::input("x", dims![_, 64]).dense(128).model();
            let vars = model.init(key(0), &types![f32[_, 64]]).unwrap();
            let scheme = nn::Scheme::Int4 { group };
            let net = model.bind(nn::quantize::weights(&vars, "**.kernel", scheme).unwrap().vars);
            let file = |opset| Exporter::new().opset(opset).to_bytes(&net, types![f32[_, 64]]);
            let file = [21, 20].map(|opset| file(opset).unwrap());
            let operators = |file: &Vec<u8>| {
                Importer::new().open_bytes(file.clone()).unwrap().info().operators.clone()
            };
            let ops = operators(&file[0]);
            assert_eq!(
                (ops.get("DequantizeLinear"), ops.get("BitwiseAnd")),
                (Some(&1), None),
                "{ops:?}"
            );
            // Rows that fill up the last block are cut off.
            assert_eq!(ops.get("Slice").copied().unwrap_or(0), count, "{group}: {ops:?}");
            assert!(operators(&file[1]).contains_key("BitwiseAnd"), "opset 20 has no INT4");
            let weights = 64 * 128 / 2 + 64usize.div_ceil(group) * 128 * 4 + 128 * 4;
            assert!(file[0].len() < weights + 2500, "{} of {weights}", file[0].len());
            let x = key(1).normal([2, 64]);
            let want = net.apply(&x).y().to_vec::<f32>().unwrap();
            let got = import_bytes(file[0].clone()).unwrap().apply(x).y().to_vec::<f32>().unwrap();
            let is_close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-4;
            assert!(got.iter().zip(&want).all(is_close), "{got:?} {want:?}");
        }
    }
}
