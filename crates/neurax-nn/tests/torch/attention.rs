//! Attention and transformer layers, compared with those of PyTorch, transformers and Keras.

use crate::cases::{Case, cases};
use neurax::{AttentionOptions, dot_product_attention, prelude::*};
use neurax_nn::layers::{self, LongRope, Rope, RopeScaling, Yarn};

/// The tolerance of values and gradients, relative to the largest element.
const TOLERANCE: f64 = 1e-5;

#[test]
fn values_and_gradients() {
    for case in cases("attention", 64) {
        let name = case.name.clone();
        match name.split('_').next().unwrap() {
            "sdpa" | "soft" | "alibi" => check_function(&case),
            "rope" => case.assert_function(|xs| vec![rotated(&name, &xs[0])], TOLERANCE),
            "sinusoids" => {
                let y = layers::sinusoidal_positions(5, 8, name.ends_with("halves"));
                case.assert_near("out0", &y, TOLERANCE);
            }
            _ => check_layer(&case, |inputs| layer(&name, inputs)),
        }
    }
}

/// Compares a call of `dot_product_attention`, whose bias is an input.
fn check_function(case: &Case) {
    let bias = case.find("bias");
    let f = |xs: &[Tensor], bias: Option<&Tensor>| {
        let mut o = options(&case.name);
        if let Some(mask) = case.find("mask").filter(|_| !case.name.contains("window")) {
            o = o.mask(&mask);
        }
        o = bias.iter().fold(o, |o, bias| o.bias(bias));
        vec![dot_product_attention(&xs[0], &xs[1], &xs[2], o)]
    };
    case.assert_function(|xs| f(xs, bias.as_ref()), TOLERANCE);
    if let Some(bias) = bias {
        let gradient =
            grad(|b: Tensor| (&f(&case.inputs(), Some(&b))[0] * case.get("ct0")).sum(..));
        case.assert_near("grad.bias", &gradient(bias), TOLERANCE);
    }
}

fn options(name: &str) -> AttentionOptions {
    let o = AttentionOptions::new();
    match name {
        "sdpa_scale" => o.scale(0.3),
        "sdpa_window_1_1" => o.window(1, 1),
        "sdpa_window_2_0" => o.window(2, 0),
        "soft_cap" => o.soft_cap(1.5),
        "alibi_4" | "alibi_6" => {
            let heads = if name == "alibi_4" { 4 } else { 6 };
            o.causal().bias(&layers::alibi(heads, &Tensor::arange(5), &Tensor::arange(5)))
        }
        _ if name.contains("causal") => o.causal(),
        _ => o,
    }
}

fn rotated(name: &str, x: &Tensor) -> Tensor {
    let yarn = || Yarn::new(4.0, 16.0);
    let dynamic = |original| RopeScaling::Dynamic { factor: 3.0, original };
    let (short, long) = ([1.0, 1.1, 1.25, 1.5], [1.0, 2.0, 3.5, 8.0]);
    let long_rope = |original| LongRope::new(short, long, original).factor(4.0);
    let options = match name {
        "rope_base" => Rope::new().base(500.0),
        "rope_partial" => Rope::new().dims(4),
        "rope_interleaved" => Rope::new().interleaved(),
        // The base of the rule "dynamic" for 5 positions, where 4 were in training, and factor 3.
        "rope_ntk" => Rope::new().scaling(RopeScaling::Ntk(3.0 * 5.0 / 4.0 - 2.0)),
        "rope_linear" => Rope::new().scaling(RopeScaling::Linear(3.0)),
        "rope_dynamic" => Rope::new().scaling(dynamic(4.0)),
        "rope_dynamic_short" => Rope::new().scaling(dynamic(8.0)),
        "rope_yarn" => Rope::new().scaling(yarn()),
        "rope_yarn_fast_slow" => Rope::new().scaling(yarn().fast(4.0).slow(0.5)),
        "rope_yarn_attention" => Rope::new().scaling(yarn().attention_factor(0.75)),
        "rope_yarn_mscale" => Rope::new().scaling(yarn().mscale(0.7, 1.2)),
        "rope_yarn_exact" => Rope::new().scaling(yarn().truncate(false)),
        "rope_long" => Rope::new().scaling(long_rope(4.0)),
        "rope_long_short" => Rope::new().scaling(long_rope(8.0)),
        "rope_long_attention" => Rope::new().scaling(long_rope(4.0).attention_factor(1.3)),
        "rope_llama3" => {
            let scaling = RopeScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 32.0 };
            Rope::new().scaling(scaling)
        }
        "rope_default" => Rope::new(),
        other => panic!("{other}"),
    };
    layers::rope(x, &Tensor::arange(5), &options)
}

/// Returns the outputs of the layer of a case.
fn layer(name: &str, inputs: &[Node]) -> Vec<Node> {
    let attention = |heads| nn::MultiHeadAttention::new(heads, 4 / heads);
    let blocks = |activation, post| {
        let inner = || nn::MultiHeadAttention::new(2, 2);
        let feed_forward = nn::FeedForward::new(6).activation(activation);
        let block = match inputs.len() {
            1 => nn::TransformerLayer::new(inner(), feed_forward),
            _ => nn::TransformerLayer::new(inner().causal(), feed_forward).cross_attention(inner()),
        };
        let block = if post { block.post_norm() } else { block };
        match inputs {
            [x] => vec![block.call([x])],
            [x, memory] => vec![block.call([x, memory])],
            _ => panic!("{name}"),
        }
    };
    let multi_head = |layer: nn::MultiHeadAttention| match inputs {
        [x] => vec![layer.call([x])],
        [x, y] => vec![layer.call([x, y])],
        [x, y, z] => vec![layer.call([x, y, z])],
        _ => panic!("{name}"),
    };
    let experts = |layer: nn::MixtureOfExperts| {
        let (y, loss) = inputs[0].layer(layer);
        vec![y, loss]
    };
    let mixture = nn::MixtureOfExperts::new(3, 5);
    match name {
        "mha_self" | "mha_cross" | "mha_other_widths" => multi_head(attention(2)),
        "mha_self_without_bias" => multi_head(attention(2).bias(false)),
        "mha_self_causal" => multi_head(attention(2).causal()),
        "mha_four_heads" => multi_head(attention(4)),
        "mha_padding" | "mha_mask" => multi_head(attention(2).masked()),
        "mha_bias" => multi_head(attention(2).biased()),
        "encoder_pre_relu" | "decoder_pre_relu" => blocks(nn::Activation::relu(), false),
        "encoder_pre_gelu" | "decoder_pre_gelu" => blocks(nn::Activation::gelu(), false),
        "encoder_post_relu" | "decoder_post_relu" => blocks(nn::Activation::relu(), true),
        "encoder_post_gelu" | "decoder_post_gelu" => blocks(nn::Activation::gelu(), true),
        "swiglu" => vec![inputs[0].layer(nn::FeedForward::swiglu(10))],
        "experts_1_plain" => experts(mixture.top(1).normalized(false)),
        "experts_2_normalized" => experts(mixture),
        "experts_2_plain" => experts(mixture.normalized(false)),
        "additive" => vec![nn::AdditiveAttention::new().call([&inputs[0], &inputs[1]])],
        "additive_masked" => {
            let [query, value, mask] = inputs else { panic!("{name}") };
            vec![nn::AdditiveAttention::new().masked().call([query, value, mask])]
        }
        other => panic!("{other}"),
    }
}

/// Compares the outputs of a layer, and the gradients of its inputs and parameters.
fn check_layer(case: &Case, layer: impl Fn(&[Node]) -> Vec<Node>) {
    let extras: Vec<Tensor> = ["mask", "bias"].iter().filter_map(|part| case.find(part)).collect();
    let all = [case.inputs(), extras.clone()].concat();
    let nodes: Vec<Node> =
        all.iter().enumerate().map(|(i, x)| nn::input(&format!("x{i}"), x.shape())).collect();
    let named = |(i, y)| (format!("y{i}"), y);
    let model = Model::new(layer(&nodes).into_iter().enumerate().map(named));
    let params = case.params();
    let outputs = |xs: &[Tensor], params: &nn::Params| -> Vec<Tensor> {
        let xs = [xs, &extras].concat();
        let out = model.apply_with(params, &nn::Params::new(), xs, &Mode::Eval);
        let output = |i: usize| {
            let y = out[&*format!("y{i}")].clone();
            case.find(&format!("out{i}")).map(|_| y)
        };
        (0..model.outputs().count()).map_while(output).collect()
    };
    case.assert_function(|xs| outputs(xs, &params), TOLERANCE);
    let total = |params: nn::Params| {
        let ys = outputs(&case.inputs(), &params);
        let products =
            ys.iter().enumerate().map(|(i, y)| (y * case.get(&format!("ct{i}"))).sum(..));
        products.reduce(|a, b| a + b).unwrap()
    };
    let gradients = grad(total)(params);
    for (path, layer) in &gradients {
        for (name, gradient) in layer {
            let part = format!("grad.p.{path}.{name}");
            if case.find(&part).is_some() {
                case.assert_near(&part, gradient, TOLERANCE);
            }
        }
    }
}
