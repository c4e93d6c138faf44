//! Patterns of nodes for which ONNX has one operator, or that all exporters write in another form,
//! so that runtimes recognize them.
//!
//! | pattern | becomes |
//! |---|---|
//! | `Where(x <= 0, 0, x)` | `Relu(x)` |
//! | `Unsqueeze` of a reduction, at the reduced axes | the reduction with `keepdims` |
//! | a sum divided by the number of elements, or times its inverse | `ReduceMean` |
//! | a mean of windows times and divided by the number of taps | `AveragePool` |
//! | `Add(Conv(x, w), b)` with one number for each channel | `Conv(x, w, b)` |
//! | `Mul(Cast(q), s)` of integers `q` that are a weight | `DequantizeLinear(q, s)` |
//! | `Mul(MatMul(x, Cast(q)), s)`, one `s` for each column | `MatMul(x, DequantizeLinear(q, s))` |
//! | a reversal of a reversal | its operand |
//! | a weight of pairs of 4 bits | see `int4_weights.rs` |
//! | the steps of quantization, and products of quantized numbers | see `quantized.rs` |
//!
//! A pattern is replaced if nothing else reads the values inside of it. The rules are applied to
//! each trace, with known sizes, before the traces are merged.

use super::body_nodes::{BodyNodes, PatternFacts, node_like};
use super::draft::{Draft, DraftBody, DraftNode, Wire};
use super::int4_weights::int4_weight;
use super::quantized;
use super::size_formula::is_unit;
use crate::proto::AttributeProto;
use neurax_ir::{DType, Literal, Shape, Type};
use neurax_tensor::Tensor;
use std::collections::HashMap;
use std::sync::Arc;

/// A rule: edits the nodes around node `i`, and returns true if it did.
type NodeRule = fn(&mut BodyNodes, usize) -> bool;

const PATTERN_RULES: &[NodeRule] = &[
    relu,
    mean_of_sum,
    kept_axes,
    scaled_twice,
    conv_bias,
    dequantized_weight,
    dequantized_matrix,
    reversed_twice,
    int4_weight,
    quantized::quantize,
    quantized::clipped_bytes,
    quantized::dequantize,
    quantized::conv_integer,
    quantized::matmul_integer,
];

/// Replaces patterns of nodes. `values` are those of the weights.
pub(super) fn apply(draft: &mut Draft, opset: i64, values: &[(String, Tensor)]) {
    let mut constants: HashMap<Arc<str>, Literal> = draft.constants.iter().cloned().collect();
    let weights: HashMap<Arc<str>, Type> =
        draft.main.inputs.iter().map(|x| (x.name.clone(), x.ty.clone())).collect();
    let mut added = vec![];
    let mut facts = PatternFacts {
        opset,
        constants: &mut constants,
        weights: &weights,
        values,
        added: &mut added,
    };
    in_body(&mut draft.main, &mut facts);
    draft.constants.append(&mut added);
}

fn in_body(body: &mut DraftBody, facts: &mut PatternFacts) {
    for node in &mut body.nodes {
        node.bodies.iter_mut().for_each(|(_, inner)| in_body(inner, facts));
    }
    let mut nodes = BodyNodes::new(body, facts);
    let mut i = 0;
    while i < nodes.body.nodes.len() {
        match PATTERN_RULES.iter().any(|rule| rule(&mut nodes, i)) {
            // Other patterns may appear around the result.
            true => {
                nodes.index();
                i = i.saturating_sub(1);
            }
            false => i += 1,
        }
    }
}

/// Returns true if node `i` was `Where(x <= 0, 0, x)`, and is `Relu` now.
fn relu(n: &mut BodyNodes, i: usize) -> bool {
    let found = || {
        let node = n.node(i);
        let [at, zero, x] = &node.inputs[..] else { return None };
        let is_choice = node.op == "Where" && n.number(zero) == Some(0.0);
        let compared = n.only_for(at, &["LessOrEqual", "Less"]).filter(|_| is_choice)?;
        let inputs = &n.node(compared).inputs;
        let is_below = inputs.first() == Some(x) && n.number(inputs.get(1)?) == Some(0.0);
        let is_known = super::support::takes("Relu", node.outputs.first()?.ty.dtype, n.facts.opset);
        (is_below && is_known).then(|| (compared, node_like(node, "Relu", vec![x.clone()])))
    };
    let Some((compared, node)) = found() else { return false };
    n.replace(i, node, &[compared]);
    true
}

/// Returns true if node `i` was `Div(ReduceSum(x), n)` or `Mul(ReduceSum(x), 1/n)`, and is the mean
/// now.
fn mean_of_sum(n: &mut BodyNodes, i: usize) -> bool {
    let found = || {
        let node = n.node(i);
        let [sum, factor] = &node.inputs[..] else { return None };
        let number = n.number(factor)?;
        let count = match node.op {
            "Div" => number,
            "Mul" if number != 0.0 => 1.0 / number,
            _ => return None,
        };
        let reduction = n.only_for(sum, &["ReduceSum"])?;
        let reduced = n.node(reduction);
        let (x, axes) = (reduced.inputs.first()?, n.reduced_axes(reduced)?);
        let shape = n.ty(x)?.shape;
        let elements: usize = axes.iter().filter_map(|&a| shape.get(a as usize)).product();
        let is_mean = elements > 0 && is_unit(count / elements as f64, n.ty(factor)?.dtype);
        let dtype = node.outputs.first()?.ty.dtype;
        let takes = super::support::takes("ReduceSum", dtype, n.facts.opset);
        (is_mean && takes && n.ty(x)?.dtype.is_float()).then(|| (reduction, reduced.clone(), axes))
    };
    let Some((reduction, mut mean, axes)) = found() else { return false };
    mean.op = "ReduceMean";
    if n.facts.opset < 18 {
        mean.inputs.truncate(1);
        mean.attributes.push(AttributeProto::of_ints("axes", axes));
    }
    n.replace(i, mean, &[reduction]);
    true
}

/// Returns true if node `i` was an `Unsqueeze` at the axes of a reduction, which keeps them now.
fn kept_axes(n: &mut BodyNodes, i: usize) -> bool {
    const REDUCTIONS: [&str; 5] =
        ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd"];
    let found = || {
        let node = n.node(i);
        let [x, axes] = &node.inputs[..] else { return None };
        let axes = n.ints(axes).filter(|_| node.op == "Unsqueeze")?;
        let reduction = n.only_for(x, &REDUCTIONS)?;
        let reduced = n.node(reduction);
        (n.reduced_axes(reduced)? == axes).then(|| (reduction, reduced.clone()))
    };
    let Some((reduction, mut reduced)) = found() else { return false };
    reduced.attributes.retain(|a| a.name != "keepdims");
    n.replace(i, reduced, &[reduction]);
    true
}

/// Returns true if node `i` was `Mul(Mul(x, a), b)` or `Div(Mul(x, a), b)` of a pool `x` where the
/// factors cancel, and is the pool now.
fn scaled_twice(n: &mut BodyNodes, i: usize) -> bool {
    let found = || {
        let node = n.node(i);
        let [product, factor] = &node.inputs[..] else { return None };
        let outer = n.number(factor)?;
        let outer = match node.op {
            "Mul" => outer,
            "Div" => 1.0 / outer,
            _ => return None,
        };
        let inner = n.only_for(product, &["Mul"])?;
        let [x, factor] = &n.node(inner).inputs[..] else { return None };
        let pool = n.only_for(x, &["AveragePool"])?;
        is_unit(outer * n.number(factor)?, n.ty(factor)?.dtype)
            .then(|| (inner, pool, n.node(pool).clone()))
    };
    let Some((inner, pool, node)) = found() else { return false };
    n.replace(i, node, &[inner, pool]);
    true
}

/// Returns true if node `i` was `Add(Conv(x, w), b)`, where `b` is a vector of channels with unit
/// axes behind it, and is the convolution now.
fn conv_bias(n: &mut BodyNodes, i: usize) -> bool {
    let found = || {
        let node = n.node(i);
        let [a, b] = &node.inputs[..] else { return None };
        let is_sum = node.op == "Add";
        let (y, bias) = [(a, b), (b, a)]
            .into_iter()
            .find(|(y, _)| is_sum && n.only_for(y, &["Conv", "ConvTranspose"]).is_some())?;
        let conv = n.only_for(y, &["Conv", "ConvTranspose"])?;
        let ty = n.node(conv).outputs.first()?.ty.clone();
        let (channels, rank) = (*ty.shape.get(1)?, ty.rank());
        let units: Shape = [channels].into_iter().chain(std::iter::repeat_n(1, rank - 2)).collect();
        let vector = n.producers.get(bias).map(|&i| n.node(i)).filter(|v| {
            let is_row = |t: Type| t.shape.ends_with(&units) && t.size() == channels;
            matches!(v.op, "Unsqueeze" | "Reshape") && n.ty(bias).is_some_and(is_row)
        })?;
        let source = vector.inputs.first()?;
        let is_vector = n.ty(source)?.shape == Shape::from([channels]);
        let has_bias = n.node(conv).inputs.len() > 2;
        (is_vector && !has_bias).then(|| (conv, n.node(conv).clone(), source.clone()))
    };
    let Some((conv, mut node, bias)) = found() else { return false };
    node.inputs.push(bias);
    n.replace(i, node, &[conv]);
    true
}

/// Returns the quantized weight behind a conversion to floats, and the index of the conversion.
fn quantized_weight(n: &BodyNodes, name: &Arc<str>) -> Option<(usize, Arc<str>)> {
    let cast = n.only_for(name, &["Cast"])?;
    let source = n.node(cast).inputs.first()?;
    let is_stored = n.facts.weights.contains_key(source) || n.facts.constants.contains_key(source);
    let ty = n.ty(source)?;
    let is_known = is_stored && matches!(ty.dtype, DType::I8 | DType::U8);
    let is_f32 = n.node(cast).outputs.first()?.ty.dtype == DType::F32;
    (is_known && is_f32).then(|| (cast, source.clone()))
}

/// Returns true if node `i` was `Mul(Cast(q), s)`, where `s` has one element, or one for each index
/// of one axis, and is `DequantizeLinear` now.
fn dequantized_weight(n: &mut BodyNodes, i: usize) -> bool {
    let found = || {
        let node = n.node(i);
        let [q, scale] = &node.inputs[..] else { return None };
        let (cast, source) = quantized_weight(n, q).filter(|_| node.op == "Mul")?;
        let (shape, scales) = (n.ty(&source)?.shape, n.ty(scale)?.shape);
        let missing = shape.rank().checked_sub(scales.rank())?;
        let open: Vec<usize> = (0..scales.rank()).filter(|&a| scales[a] != 1).collect();
        let axis = match open[..] {
            [] => None,
            [a] if scales[a] == shape[a + missing] => Some((a + missing, scales[a])),
            _ => return None,
        };
        Some((cast, source, scale.clone(), axis, node.clone()))
    };
    let Some((cast, source, scale, axis, like)) = found() else { return false };
    let scale = vector_of(n, i, &scale, axis.map(|(_, size)| size), &like);
    let at = n.producers.get(&like.outputs[0].name).copied().unwrap_or(i);
    let mut node = node_like(&like, "DequantizeLinear", vec![source, scale]);
    node.attributes.extend(axis.map(|(a, _)| AttributeProto::of_int("axis", a as i64)));
    n.replace(at, node, &[cast]);
    true
}

/// Returns the scales as a vector, or a scalar if `size` is `None`. A reshape is inserted in front
/// of node `i` if they have other axes.
fn vector_of(
    n: &mut BodyNodes,
    i: usize,
    scale: &Arc<str>,
    size: Option<usize>,
    like: &DraftNode,
) -> Arc<str> {
    let want: Shape = size.into_iter().collect();
    let Some(ty) = n.ty(scale).filter(|t| t.shape != want) else { return scale.clone() };
    let target: Vec<i64> = want.iter().map(|&n| n as i64).collect();
    let numbers: Vec<f64> = target.iter().map(|&n| n as f64).collect();
    let target = Literal::from_f64s(DType::I64, [target.len()], &numbers);
    let of = like.outputs[0].name.clone();
    let target = n.constant(&of, "scale_shape", target);
    let out = Wire { name: format!("{of}/scale").into(), ty: ty.with_shape(want) };
    let mut node = node_like(like, "Reshape", vec![scale.clone(), target]);
    (node.name, node.outputs) = (out.name.clone(), vec![out.clone()]);
    n.body.nodes.insert(i, node);
    n.index();
    out.name
}

/// Returns true if node `i` was `Mul(MatMul(x, Cast(q)), s)`, where `s` has one element for each
/// column, and is the product with a dequantized matrix now.
fn dequantized_matrix(n: &mut BodyNodes, i: usize) -> bool {
    let found = || {
        let node = n.node(i);
        let [product, scale] = &node.inputs[..] else { return None };
        let matmul = n.only_for(product, &["MatMul"]).filter(|_| node.op == "Mul")?;
        let [x, q] = &n.node(matmul).inputs[..] else { return None };
        let (cast, source) = quantized_weight(n, q)?;
        let (shape, scales) = (n.ty(&source)?.shape, n.ty(scale)?.shape);
        let is_column = shape.rank() == 2 && scales[..] == shape[1..];
        // Products of quantized inputs are integers, whose scales are applied to the sums.
        let is_plain = n.producers.get(x).is_none_or(|&p| n.node(p).op != "Round");
        (is_column && is_plain).then(|| (matmul, cast, source, scale.clone(), x.clone()))
    };
    let Some((matmul, cast, source, scale, x)) = found() else { return false };
    let mut weight = node_like(n.node(cast), "DequantizeLinear", vec![source, scale]);
    weight.attributes.push(AttributeProto::of_int("axis", 1));
    let weight_name = weight.outputs[0].name.clone();
    n.body.nodes[cast] = weight;
    let product = node_like(n.node(matmul), "MatMul", vec![x, weight_name]);
    // The scales may be computed behind the conversion.
    let moved = n.body.nodes[cast].clone();
    n.replace(i, product, &[]);
    n.body.nodes.insert(i, moved);
    let mut gone = [cast, matmul];
    gone.sort_unstable();
    gone.iter().rev().for_each(|&k| drop(n.body.nodes.remove(k)));
    true
}

/// Returns true if node `i` was the reversal of a reversal, and is its operand now.
fn reversed_twice(n: &mut BodyNodes, i: usize) -> bool {
    let found = || {
        let node = n.node(i);
        let inner = n.only_for(node.inputs.first()?, &["Slice"]).filter(|_| node.op == "Slice")?;
        let parts = |node: &DraftNode| {
            let ints: Option<Vec<Vec<i64>>> =
                node.inputs[1..].iter().map(|name| n.ints(name)).collect();
            ints.filter(|p| p.len() == 4 && p[3].iter().all(|&step| step == -1))
        };
        let is_whole = n.ty(n.node(inner).inputs.first()?)? == node.outputs.first()?.ty;
        let same = parts(node)? == parts(n.node(inner))?;
        (same && is_whole).then(|| (inner, n.node(inner).inputs[0].clone()))
    };
    let Some((inner, x)) = found() else { return false };
    let node = node_like(n.node(i), "Identity", vec![x]);
    n.replace(i, node, &[inner]);
    true
}
