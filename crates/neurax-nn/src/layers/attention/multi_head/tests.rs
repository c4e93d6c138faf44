//! Tests of multi-head attention: every family of options, the cache, and mistakes.

use super::*;
use crate::layers::RopeScaling;
use crate::{Mode, Vars, check, input};
use neurax_tensor::{TypeSpec, concat, dims, jit, key, tensor, types};

fn small() -> MultiHeadAttention {
    MultiHeadAttention::new(2, 4)
}

#[test]
fn is_a_layer() {
    let scaling = RopeScaling::Linear(2.0);
    for layer in [
        small(),
        small().bias(false).causal().value_dim(3).output(5),
        small().window(1, 0).scale(0.3).soft_cap(2.0),
        MultiHeadAttention::new(4, 2).kv_heads(2).qk_norm().rope(Rope::new().scaling(scaling)),
        small().alibi().causal(),
        small().dropout(0.3),
    ] {
        check::layer(layer, &types![f32[2, 3, 6]]).unwrap();
    }
    // No batch axis, and two of them.
    check::examples(|[x]| x.layer(small()), &types![f32[3, 6]]).unwrap();
    check::layer(small(), &types![f32[2, 1, 3, 6]]).unwrap();
}

#[test]
fn further_inputs_are_memory_mask_and_bias() {
    let memory = types![f32[2, 3, 6], f32[2, 5, 4]];
    check::nodes(|xs| small().call(xs), &memory).unwrap();
    let values = types![f32[2, 3, 6], f32[2, 5, 4], f32[2, 5, 7]];
    check::nodes(|xs| small().call(xs), &values).unwrap();
    let masked = types![f32[2, 3, 6], f32[2, 5, 4], bool[2, 5]];
    check::nodes(|xs| small().masked().call(xs), &masked).unwrap();
    let both = types![f32[2, 3, 6], bool[2, 3, 3], f32[2, 1, 3, 3]];
    check::nodes(|xs| small().masked().biased().alibi().call(xs), &both).unwrap();
}

/// Returns the values of `layer` on `x` and further inputs.
fn run<const N: usize>(layer: MultiHeadAttention, xs: [&Tensor; N]) -> Tensor {
    let mut i = 0;
    let inputs = xs.map(|x| {
        i += 1;
        input(&format!("x{i}"), x.shape())
    });
    let model = layer.call(inputs).model();
    let types: Vec<TypeSpec> = xs.iter().map(|x| (&x.ty().unwrap()).into()).collect();
    let vars = model.init(key(3), &types).unwrap();
    model.apply(&vars, xs, &Mode::Eval).y().clone()
}

#[track_caller]
fn assert_close(a: &Tensor, b: &Tensor) {
    assert_eq!(a.allclose(b, 1e-5, 1e-5).item().unwrap(), 1.0, "{a} is not {b}");
}

#[test]
fn masks_have_the_layouts_of_their_ranks() {
    let x = key(0).normal([2, 3, 8]);
    let causal = Tensor::tri(3, 3, 0).to(DType::Bool);
    let want = run(small().causal(), [&x]);
    let each = causal.broadcast_to([2, 3, 3]);
    assert_close(&run(small().masked(), [&x, &each]), &want);
    assert_close(&run(small().masked(), [&x, &causal.broadcast_to([1, 1, 3, 3])]), &want);
    let bias = each.select(0.0, f64::NEG_INFINITY);
    assert_close(&run(small().biased(), [&x, &bias]), &want);
    // The first two keys of both examples.
    let keys = tensor([[true, true, false], [true, true, false]]);
    let y = run(small().masked(), [&x, &keys]);
    assert_close(&y, &run(small(), [&x, &x.slice(1, ..2)]));
    // Keys that no query attends to: the bias of the output, zeros.
    let y = run(small().masked(), [&x, &Tensor::zeros([2, 3]).to(DType::Bool)]);
    assert_eq!(y.abs().max(..).item().unwrap(), 0.0);
}

#[test]
fn generation_with_a_cache_equals_the_full_pass() {
    let x = key(1).normal([2, 6, 8]);
    let grouped = MultiHeadAttention::new(4, 4).kv_heads(2).rope(Rope::new()).window(3, 0);
    for layer in [small(), grouped, small().alibi().qk_norm()] {
        let full = run(layer.clone().causal(), [&x]);
        let model = input("x", dims![_, _, 8]).layer(layer.cache(6)).model();
        let mut vars = model.init(key(3), &types![f32[2, _, 8]]).unwrap();
        let step = jit(move |(vars, x): (Vars, Tensor)| {
            let out = model.apply(&vars, &x, &Mode::Eval);
            (out.y().clone(), out.state)
        });
        let mut ys = vec![];
        // A prompt of three positions, then one at a time.
        for part in [0..3, 3..4, 4..5, 5..6, 6..7] {
            let last = part.start == 6;
            let part = if last { x.slice(1, 5..6) } else { x.slice(1, part) };
            let (y, state) = step.run((vars.clone(), part)).unwrap();
            vars.state = state;
            if last {
                assert!(y.sum(..).item().unwrap().is_nan(), "a full cache");
            } else {
                ys.push(y);
            }
        }
        assert_close(&concat(ys, 1), &full);
    }
}

#[test]
fn a_cached_layer_is_a_layer_and_training_does_not_use_the_cache() {
    check::layer(small().cache(4), &types![f32[2, 3, 6]]).unwrap();
    let x = key(1).normal([1, 3, 8]);
    let model = input("x", dims![_, _, 8]).layer(small().cache(3)).model();
    let vars = model.init(key(3), &types![f32[1, _, 8]]).unwrap();
    let trained = model.apply(&vars, &x, &Mode::Train(key(0)));
    assert_close(trained.y(), &run(small().causal(), [&x]));
    let position = |v: &crate::Params| v["multi_head_attention"]["position"].item().unwrap();
    assert_eq!(position(&trained.state), 0.0);
    assert_eq!(position(&model.apply(&vars, &x, &Mode::Eval).state), 3.0);
}

#[test]
fn bad_options_and_inputs_are_errors_that_name_the_layer() {
    let message = |layer: MultiHeadAttention, types: &[TypeSpec; 1]| {
        let e = check::layer(layer, types).unwrap_err().to_string();
        assert!(e.contains("in layer multi_head_attention"), "{e}");
        e
    };
    let x = types![f32[2, 3, 6]];
    for (layer, part) in [
        (small().masked(), "expected one to three inputs of queries, keys and values, and 1 of"),
        (MultiHeadAttention::new(0, 4), "expected at least one head, got 0"),
        (small().dropout(1.0), "expected a dropout rate in 0..1, got 1"),
        (MultiHeadAttention::new(3, 4).kv_heads(2), "a multiple of the 2 heads of the key, got 3"),
        (small().soft_cap(-1.0), "expected a soft cap above 0, got -1.0"),
        (small().cache(2), "expected at most 2 positions, as its cache, got 3"),
        (MultiHeadAttention::new(2, 3).rope(Rope::new()), "expected an even number of features"),
    ] {
        let e = message(layer, &x);
        assert!(e.contains(part), "{e}");
    }
    let e = message(small(), &types![f32[3]]);
    assert!(e.contains("expected inputs [batch .., length, features], got f32[3]"), "{e}");
    let e = check::nodes(|xs| small().cache(4).call(xs), &types![f32[2, 3, 6], f32[2, 3, 6]]);
    assert!(e.unwrap_err().to_string().contains("expected one input of a layer with a cache"));
    let e = check::nodes(|xs| small().masked().call(xs), &types![f32[2, 3, 6], bool[2]]);
    assert!(e.unwrap_err().to_string().contains("expected a mask [batch .., keys], [batch"));
    let e = check::nodes(|xs| small().masked().call(xs), &types![f32[2, 3, 6], bool[2, 4]]);
    let e = e.unwrap_err().to_string();
    assert!(e.contains("expected a mask bool[2, 2, 3, 3], where sizes may be 1"), "{e}");
}
