//! Mixtures of experts: `MoE` and `QMoE` of ONNX Runtime.
//!
//! A router selects `k` experts, small networks of two layers, for each token. The rows of all
//! tokens are sorted by their experts, so that a layer of all experts is one product of groups of
//! rows with one matrix each.

use super::axes::size_of;
use super::normalization::wide;
use super::packed_weights::unpacked;
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{Operator, op};
use neurax_tensor::{DType, Tensor, keep};

pub(crate) const OPERATORS: &[Operator] = &[
    op("MoE", &[1], 5..=8, mixture).domain("com.microsoft").attributes(&[
        "activation_alpha",
        "activation_beta",
        "activation_type",
        "k",
        "normalize_routing_weights",
        "swiglu_fusion",
        "swiglu_limit",
        "swiglu_limit_after_activation",
        "use_sparse_mixer",
    ]),
    op("QMoE", &[1], 5..=22, quantized).domain("com.microsoft").attributes(&[
        "accuracy_level",
        "activation_alpha",
        "activation_beta",
        "activation_type",
        "block_size",
        "expert_weight_bits",
        "fc1_expert_weight_bits",
        "fc2_expert_weight_bits",
        "fc3_expert_weight_bits",
        "k",
        "normalize_routing_weights",
        "quant_type",
        "swiglu_fusion",
        "swiglu_limit",
        "swiglu_limit_after_activation",
        "use_sparse_mixer",
        "weights_prepacked",
    ]),
];

fn mixture(c: &NodeCall) -> RuleOutcome {
    let layer =
        |i: usize| Ok::<_, RuleFailure>(ExpertLayer { weights: c.x(i)?, bias: c.maybe(i + 1)? });
    let third = if c.optional_value(6).is_some() { Some(layer(6)?) } else { None };
    mixed(c, [layer(2)?, layer(4)?], third, None)
}

/// Computes a mixture of experts whose weights are integers of a few bits.
fn quantized(c: &NodeCall) -> RuleOutcome {
    if c.str_or("quant_type", "int")? != "int" {
        return fail("only quant_type `int` is supported; export the model with float weights");
    }
    if c.int_or("weights_prepacked", -1)? > 0 {
        return fail("prepacked weights are not supported; export the model without prepacking");
    }
    // The level of accuracy is the least one: the result is that of floats.
    c.int("accuracy_level")?;
    let layer = |i: usize, zeros: usize, bits: &str| {
        Ok::<_, RuleFailure>(ExpertLayer {
            weights: dequantized(c, i, zeros, bits)?,
            bias: c.maybe(i + 2)?,
        })
    };
    let layers = [layer(2, 11, "fc1_expert_weight_bits")?, layer(5, 12, "fc2_expert_weight_bits")?];
    let third = match c.optional_value(8) {
        Some(_) => Some(layer(8, 13, "fc3_expert_weight_bits")?),
        None => None,
    };
    if (15..c.count()).any(|i| c.optional_value(i).is_some()) {
        return fail("global scales and scales of activations are not those of integer weights");
    }
    mixed(c, layers, third, c.maybe(14)?)
}

/// Returns the weights of input `i`, `[experts, outputs, inputs]`, from their numbers, the scales
/// behind them, and the zero points of input `zeros`.
///
/// Each scale is that of a row, or of a block in it.
fn dequantized(c: &NodeCall, i: usize, zeros: usize, bits: &str) -> Result<Tensor, RuleFailure> {
    let bits = c.int_or(bits, c.int_or("expert_weight_bits", 4)?)?;
    if ![2, 4, 8].contains(&bits) {
        return fail(format!("expected weights of 2, 4 or 8 bits, got {bits}"));
    }
    let (numbers, scales) = (unpacked(&c.x(i)?, bits as usize)?.to(DType::I32), c.x(i + 1)?);
    let &[experts, rows, width] = &numbers.shape()[..] else {
        return fail(format!("expected weights of 3 axes, got {}", numbers.ty()?));
    };
    let blocks = match c.int("block_size")? {
        Some(size) if size > 0 => width / size_of(size)?,
        _ => 1,
    };
    let all = scales.shape().iter().product::<usize>();
    if blocks == 0 || !width.is_multiple_of(blocks) || all != experts * rows * blocks {
        return fail(format!("the scales {} are not those of {width} columns", scales.ty()?));
    }
    let by_block = |x: &Tensor| x.to(DType::F32).reshape([experts, rows, blocks, 1]);
    let zero = match c.maybe(zeros)? {
        // The zero points of a row, or of all rows, are padded to whole bytes.
        Some(zero) => {
            let count = if zero.rank() == 3 { blocks } else { rows };
            by_block(&unpacked(&zero, bits as usize)?.to(DType::I32).slice(-1, ..count as i64))
        }
        None => Tensor::scalar(DType::F32, (1i64 << (bits - 1)) as f64),
    };
    let numbers = numbers.to(DType::F32).reshape([experts, rows, blocks, width / blocks]);
    Ok(((numbers - zero) * by_block(&scales)).reshape([experts, rows, width]))
}

/// A layer of all experts: weights `[experts, outputs, inputs]` and a bias `[experts, outputs]`.
struct ExpertLayer {
    weights: Tensor,
    bias: Option<Tensor>,
}

/// Computes the results of the selected experts, weighted by the probabilities of the router, or by
/// `mix` if this is given.
fn mixed(
    c: &NodeCall,
    layers: [ExpertLayer; 2],
    third: Option<ExpertLayer>,
    mix: Option<Tensor>,
) -> RuleOutcome {
    let (x, router) = (c.x(0)?, c.x(1)?);
    let width = x.dim(-1);
    let tokens =
        x.to(wide(&x)).reshape([x.shape().iter().product::<usize>() / width.max(1), width]);
    let count = tokens.dim(0);
    if x.rank() < 2 || router.rank() != 2 || router.dim(0) != count {
        return fail(format!("expected a row for each token of {}, got {}", x.ty()?, router.ty()?));
    }
    if c.flag("use_sparse_mixer", false)? {
        return fail("the sparse mixer is not supported; export the model without it");
    }
    let experts = router.dim(1);
    let k = size_of(c.int_or("k", 1)?)?;
    if k == 0 || k > experts {
        return fail(format!("expected to select 1 to {experts} experts, got {k}"));
    }
    let (weights, chosen) = router.to(wide(&x)).softmax(-1).top_k(k);
    let weights = match mix {
        Some(mix) => mix.to(wide(&x)).take_along_axis(&chosen, -1),
        None => weights,
    };
    let weights = match c.flag("normalize_routing_weights", false)? {
        true => &weights / weights.sum(keep(-1)),
        false => weights,
    };
    // Row `i` of the sorted ones is that of the token `order[i] / k`.
    let chosen = chosen.flatten();
    let order = chosen.argsort(0);
    let rows = ExpertRows {
        sizes: chosen.one_hot(experts).sum(0).to(DType::I32),
        expert: chosen.take(&order, 0),
    };
    let places = Tensor::arange(count).repeat(k, 0).take(&order, 0);
    let [first, second] = layers;
    let hidden = activated(c, &rows, &tokens.take(places, 0), first, third)?;
    let y = rows.layer(&hidden, second)?;
    let y = y.take(order.argsort(0), 0).reshape([count, k, y.dim(-1)]);
    one((y * weights.expand_dims(-1)).sum(1).to(x.dtype()).reshape(x.shape()))
}

/// The rows of tokens, sorted by experts.
struct ExpertRows {
    /// The number of rows of each expert.
    sizes: Tensor,
    /// The expert of each row.
    expert: Tensor,
}

impl ExpertRows {
    /// Computes a layer of all experts.
    fn layer(&self, x: &Tensor, layer: ExpertLayer) -> Result<Tensor, RuleFailure> {
        let ExpertLayer { weights, bias } = layer;
        if weights.rank() != 3 || weights.dim(2) != x.dim(1) {
            let (weights, x) = (weights.ty()?, x.ty()?);
            return fail(format!(
                "expected weights [experts, outputs, inputs] of {x}, got {weights}"
            ));
        }
        let y = x.ragged_dot(&weights.to(x.dtype()).swap_axes(1, 2), &self.sizes);
        Ok(match bias {
            Some(bias) => y + bias.to(x.dtype()).take(&self.expert, 0),
            None => y,
        })
    }
}

/// Computes the first layer of the experts, with its activation and its gate.
fn activated(
    c: &NodeCall,
    rows: &ExpertRows,
    x: &Tensor,
    first: ExpertLayer,
    third: Option<ExpertLayer>,
) -> Result<Tensor, RuleFailure> {
    let first = rows.layer(x, first)?;
    let third = third.map(|third| rows.layer(x, third)).transpose()?;
    let name = c.str_or("activation_type", "relu")?;
    let fusion = c.int_or("swiglu_fusion", 0)?;
    if name == "swiglu" || name == "geglu" {
        let (gate, linear) = gate_and_linear(first, third, fusion)?;
        return match name.as_str() {
            "swiglu" => swiglu(c, &gate, &linear),
            _ => Ok(gate.gelu(true) * linear),
        };
    }
    let first = match name.as_str() {
        "relu" => first.relu(),
        "gelu" => first.gelu(true),
        "silu" => first.silu(),
        "identity" => first,
        "relu2" => first.relu().square(),
        other => return fail(format!("expected an activation, got `{other}`")),
    };
    Ok(third.map_or(first.clone(), |third| first * third))
}

/// Returns the gate and what it multiplies: two layers, or one with both.
fn gate_and_linear(
    first: Tensor,
    third: Option<Tensor>,
    fusion: i64,
) -> Result<(Tensor, Tensor), RuleFailure> {
    let parts = match (fusion, third) {
        (0, Some(third)) => return Ok((first, third)),
        (1 | 2, None) if first.dim(1).is_multiple_of(2) => {
            let half = first.dim(1) / 2;
            match fusion {
                1 => first.reshape([first.dim(0), half, 2]).unstack(2),
                _ => first.split(2, 1),
            }
        }
        _ => return fail(format!("the layers do not fit swiglu_fusion {fusion}")),
    };
    Ok((parts[0].clone(), parts[1].clone()))
}

fn swiglu(c: &NodeCall, gate: &Tensor, linear: &Tensor) -> Result<Tensor, RuleFailure> {
    let alpha = f64::from(c.float_or("activation_alpha", 1.0)?);
    let beta = f64::from(c.float_or("activation_beta", 0.0)?);
    let limit = f64::from(c.float_or("swiglu_limit", f32::INFINITY)?);
    let is_after = c.flag("swiglu_limit_after_activation", false)?;
    let linear = linear.clip(-limit, limit) + beta;
    let gate = if is_after { gate.clone() } else { gate.minimum(limit) };
    let gate = &gate * (&gate * alpha).sigmoid();
    let gate = if is_after { gate.minimum(limit) } else { gate };
    Ok(gate * linear)
}
