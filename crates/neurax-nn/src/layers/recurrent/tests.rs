//! Tests of the recurrent layers. Values are compared with PyTorch and Keras in `tests/torch`.

use super::*;
use crate::{
    Activation, Dense, Dropout, Layer, LayerNorm, Mode, Model, Node, Params, Vars, input, layer,
};
use crate::{check, init};
use neurax_tensor::{
    DType, Padding, Result, Tensor, Tree, TypeSpec, dims, grad, jit, jvp, key, tensor, types,
    value_and_grad_at,
};

/// Creates a mask from a sequence: the steps whose first feature is positive.
fn some_steps(x: &Node) -> Node {
    layer("some_steps", [x], |_, [x]| x.slice(-1, ..1).gt(0.0).any(-1))
}

#[test]
fn cells_are_layers() {
    let t = &types![f32[2, 4, 3]];
    check::layer(Lstm::new(2), t).unwrap();
    check::layer(Lstm::new(2).reverse().bias(false).return_sequences(false), t).unwrap();
    check::layer(Lstm::new(2).dropout(0.3).recurrent_dropout(0.3), t).unwrap();
    let softsign = Lstm::new(1).activation(Activation::softsign());
    check::layer(softsign.recurrent_activation(Activation::hard_sigmoid()), t).unwrap();
    check::layer(Gru::new(2), t).unwrap();
    check::layer(Gru::new(2).reset_after(false).recurrent_dropout(0.2), t).unwrap();
    check::layer(Gru::new(2).reverse().return_sequences(false).bias(false), t).unwrap();
    check::layer(SimpleRnn::new(2).recurrent_dropout(0.5), t).unwrap();
    check::layer(SimpleRnn::new(2).activation(Activation::softplus()).reverse(), t).unwrap();
}

// The product with the recurrent kernel has a custom derivative.
#[test]
fn derivatives_of_forward_mode_and_second_order_agree_with_differences() {
    for model in [
        input("x", dims![_, _, 2]).lstm(2).model(),
        input("x", dims![_, _, 2]).gru(2).model(),
        input("x", dims![_, _, 2]).layer(Gru::new(2).reset_after(false)).model(),
        input("x", dims![_, _, 2]).simple_rnn(2).model(),
    ] {
        let wide = |t: &Tensor| t.to(DType::F64);
        let vars = model.init(key(0), &types![f32[_, 3, 2]]).unwrap().map_leaves(wide);
        let x = key(1).normal_of(DType::F64, [2, 3, 2]);
        let loss =
            |p: Params| model.apply_with(&p, &Params::new(), &x, &Mode::Eval).y().square().sum(..);
        let slope = |p: Params| grad(loss)(p);
        let direction = vars.params.map_leaves(|t| key(2).normal_of(DType::F64, t.shape()));
        let moved = |by: f64| vars.params.zip_map(&direction, |a, d| a + d * by);
        let (_, forward) = jvp(loss, vars.params.clone(), direction.clone());
        let (plus, minus) = (loss(moved(1e-5)), loss(moved(-1e-5)));
        let difference = ((plus - minus) / 2e-5).item().unwrap();
        assert!((forward.item().unwrap() - difference).abs() < 1e-7 * (1.0 + difference.abs()));
        let (_, second) = jvp(slope, vars.params.clone(), direction.clone());
        let (plus, minus) = (slope(moved(1e-5)), slope(moved(-1e-5)));
        for ((path, s), (p, m)) in
            second.leaves().iter().zip(plus.leaves().iter().zip(minus.leaves()))
        {
            let far = (*s - (p.1 - m.1) / 2e-5).abs().max(..).item().unwrap();
            assert!(far < 1e-7, "{path}: {far}");
        }
    }
}

#[test]
fn layers_with_masks_and_states_are_layers() {
    let t = &types![f32[2, 4, 3]];
    check::nodes(|[x]| Lstm::new(2).masked().call([&x, &some_steps(&x)]), t).unwrap();
    let zeros = Gru::new(2).masked().zero_output_for_mask(true).reverse();
    check::nodes(|[x]| zeros.call([&x, &some_steps(&x)]), t).unwrap();
    let t = &types![f32[2, 4, 3], f32[2, 2], f32[2, 2]];
    check::nodes(|xs| Lstm::new(2).initial_state().call(xs), t).unwrap();
    let all = Lstm::new(2).initial_state().masked().return_sequences(false);
    check::nodes(|[x, h, c]| all.call([&x, &some_steps(&x), &h, &c]), t).unwrap();
}

#[test]
fn gradients_end_at_the_state_that_a_call_keeps() {
    let layer = crate::shared(Gru::new(2).stateful().return_sequences(false));
    let (first, second) = (input("first", dims![_, 3, 1]), input("second", dims![_, 3, 1]));
    let before = layer.call(&first);
    let model = (before * 0.0 + layer.call(&second)).model();
    let vars = model.init(key(0), &types![f32[2, 3, 1], f32[2, 3, 1]]).unwrap();
    let xs = [key(1).normal([2, 3, 1]), key(2).normal([2, 3, 1])];
    let y = |first: &Tensor| model.apply(&vars, [first, &xs[1]], &Mode::Eval).y().clone();
    // The second call begins with the state after the first one, as a constant.
    assert!((y(&xs[0]) - y(&xs[1])).abs().max(..).item().unwrap() > 1e-3);
    let (_, slope) = value_and_grad_at(&xs[0], |first| y(&first).sum(..));
    assert_eq!(slope.abs().max(..).item().unwrap(), 0.0);
}

#[test]
fn stateful_layers_continue_their_sequences() {
    let t = &types![f32[2, 3, 3]];
    check::layer(Lstm::new(2).stateful(), t).unwrap();
    check::layer(Bidirectional::new(Gru::new(2).stateful()), t).unwrap();
    check::layer(Lstm::new(2).stateful().return_state(), t).unwrap();
    check::nodes(|[x]| Lstm::new(2).stateful().masked().call([&x, &some_steps(&x)]), t).unwrap();
    let model = input("x", dims![_, _, 3]).layer(Lstm::new(4).stateful()).named("l").model();
    let x = key(1).normal([2, 6, 3]);
    for mode in [Mode::Eval, Mode::Train(key(2))] {
        let mut vars = model.init(key(0), &types![f32[2, _, 3]]).unwrap();
        assert_eq!(vars.state["l"].keys().collect::<Vec<_>>(), ["state_0", "state_1"]);
        let full = model.apply(&vars, &x, &mode);
        for (start, end) in [(0, 1), (1, 4), (4, 6)] {
            let part = model.apply(&vars, x.slice(1, start..end), &mode);
            let want = full.y().slice(1, start..end);
            assert_eq!(part.y().allclose(&want, 1e-5, 1e-6).item().unwrap(), 1.0, "{start}");
            vars.state = part.state;
        }
        assert_eq!(vars.state["l"]["state_1"].to_vec::<f32>().unwrap().len(), 8);
        let last = full.state["l"]["state_0"].clone();
        assert_eq!(last.allclose(&vars.state["l"]["state_0"], 1e-5, 1e-6).item().unwrap(), 1.0);
        let e = model.apply(&vars, Tensor::ones([3, 2, 3]), &mode).y().error().unwrap().to_string();
        assert!(e.contains("expected `state_0` of shape [3, 4], got [2, 4]"), "{e}");
    }
    let both = Gru::new(2).stateful().initial_state();
    let e = check::nodes(|xs| both.call(xs), &types![f32[2, 3, 3], f32[2, 2]]).unwrap_err();
    assert!(e.to_string().contains("one of `stateful` and `initial_state`, got both"), "{e}");
}

#[test]
fn layers_that_return_their_state_are_layers() {
    let t = &types![f32[2, 3, 3]];
    check::layer(Lstm::new(2).return_state(), t).unwrap();
    check::layer(Gru::new(2).reverse().return_state(), t).unwrap();
    check::layer(SimpleRnn::new(2).return_sequences(false).return_state(), t).unwrap();
    check::layer(Bidirectional::new(Lstm::new(2)).return_state(), t).unwrap();
    check::layer(Bidirectional::new(Gru::new(2)).unmerged(), t).unwrap();
    check::layer(Bidirectional::new(Gru::new(2)).unmerged().return_state(), t).unwrap();
    let conv = ConvLstm::new(2, 2).dropout(0.2).return_state();
    check::layer(conv, &types![f32[2, 2, 1, 3]]).unwrap();
    let masked = Lstm::new(2).masked().return_state();
    check::nodes(|[x]| masked.call([&x, &some_steps(&x)]), t).unwrap();
    let from_state = Lstm::new(2).initial_state().return_state();
    let t = &types![f32[2, 4, 3], f32[2, 2], f32[2, 2]];
    check::nodes(|xs| from_state.call(xs), t).unwrap();
}

#[test]
fn bidirectional_layers_are_layers() {
    let t = &types![f32[2, 3, 2]];
    check::layer(Bidirectional::new(Lstm::new(2)), t).unwrap();
    let reversed = Bidirectional::new(Gru::new(2).reverse()).merge(Merge::Mul);
    check::layer(reversed, t).unwrap();
    let cell = SimpleRnnCell::new(2).activation(Activation::relu());
    check::layer(Bidirectional::new(SimpleRnn::new(2)).backward(cell), t).unwrap();
    let last = Bidirectional::new(Gru::new(2).return_sequences(false)).merge(Merge::Ave);
    check::layer(last, t).unwrap();
    let conv = Bidirectional::new(ConvLstm::new(2, 2)).merge(Merge::Concat);
    check::layer(conv, &types![f32[2, 2, 1, 3]]).unwrap();
}

#[test]
fn convolutional_cells_are_layers() {
    let same = ConvLstm::new(2, [3, 2]).padding(Padding::Same).recurrent_dropout(0.2);
    check::layer(same, &types![f32[2, 2, 2, 3, 3]]).unwrap();
    let last = ConvLstm::new(1, 2).channels_last().return_sequences(false).dropout(0.2);
    check::layer(last, &types![f32[2, 2, 4, 2]]).unwrap();
    let strided = ConvLstm::new(2, 2).strides(2).bias(false);
    check::layer(strided, &types![f32[1, 2, 1, 4]]).unwrap();
    let gru = ConvGru::new(2, [2, 1]).recurrent_dropout(0.2);
    check::layer(gru, &types![f32[2, 2, 1, 2, 3]]).unwrap();
    let before = ConvGru::new(2, 3).channels_last().padding(Padding::Same).reset_after(false);
    check::layer(before.reverse(), &types![f32[2, 2, 4, 2]]).unwrap();
}

#[test]
fn other_layers_are_layers() {
    check::layer(TimeDistributed::new(Dense::new(2)), &types![f32[2, 3, 4]]).unwrap();
    check::layer(TimeDistributed::new(LayerNorm::new()), &types![f32[2, 3, 4]]).unwrap();
    check::layer(TimeDistributed::new(Dropout::new(0.5)), &types![f32[2, 3]]).unwrap();
    let masked = |[x]: [Node; 1]| MaskedMean::new().call([&x, &some_steps(&x)]);
    check::nodes(masked, &types![f32[2, 3, 4]]).unwrap();
    check::layer(Masking::new(0.0), &types![f32[2, 3, 4]]).unwrap();
}

fn outputs(model: &Model, vars: &Vars, x: &Tensor, mode: &Mode) -> Vec<f32> {
    model.apply(vars, x, mode).y().to(DType::F32).to_vec().unwrap()
}

#[test]
fn empty_batches_and_sequences_have_outputs() {
    for (shape, want) in [([0, 4, 2], [0, 4, 3]), ([2, 0, 2], [2, 0, 3]), ([1, 1, 2], [1, 1, 3])] {
        for model in [
            input("x", dims![_, _, 2]).lstm(3).model(),
            input("x", dims![_, _, 2]).layer(Gru::new(3).reverse()).model(),
        ] {
            let vars = model.init(key(0), &types![f32[_, 4, 2]]).unwrap();
            let x = Tensor::ones(shape);
            assert_eq!(model.apply(&vars, &x, &Mode::Eval).y().shape(), want);
            let loss = |p: Params| model.apply_with(&p, &vars.state, &x, &Mode::Eval).y().sum(..);
            let (_, grads) = value_and_grad_at(&vars.params, loss);
            for (path, g) in grads.leaves() {
                let sum = g.abs().sum(..).item().unwrap();
                assert!(sum == 0.0 || shape[0] * shape[1] > 0, "{path}: {sum}");
            }
        }
    }
    let last = input("x", dims![_, _, 2]).layer(Lstm::new(3).return_sequences(false)).model();
    let vars = last.init(key(0), &types![f32[_, 4, 2]]).unwrap();
    let y = outputs(&last, &vars, &Tensor::ones([1, 0, 2]), &Mode::Eval);
    assert_eq!(y, [0.0; 3], "the output of the initial state");
}

#[test]
fn other_layers_accept_empty_batches_and_sequences() {
    let shape_of = |node: Node, shape: [usize; 4]| {
        let model = node.model();
        let vars = model.init(key(0), &types![f32[_, 3, 2, 4]]).unwrap();
        let apply = |x: Tensor| model.apply(&vars, x, &Mode::Eval).y().sum(..);
        let x = Tensor::ones(shape);
        assert_eq!(grad(apply)(x.clone()).shape(), shape);
        model.apply(&vars, &x, &Mode::Eval).y().shape().to_vec()
    };
    let x = input("x", dims![_, _, 2, 4]);
    let flat = || x.layer(TimeDistributed::new(crate::Flatten));
    for [batch, time] in [[0, 3], [2, 0], [0, 0], [1, 1]] {
        let shape = [batch, time, 2, 4];
        for (node, want) in [
            (x.layer(ConvLstm::new(3, 2)), vec![batch, time, 3, 3]),
            (x.layer(ConvGru::new(3, 2).return_sequences(false)), vec![batch, 3, 3]),
            (flat(), vec![batch, time, 8]),
            (flat().layer(Bidirectional::new(Gru::new(3))), vec![batch, time, 6]),
            (MaskedMean::new().call([&flat(), &some_steps(&flat())]), vec![batch, 8]),
            (flat().layer(Masking::new(0.0)).0, vec![batch, time, 8]),
        ] {
            assert_eq!(shape_of(node, shape), want);
        }
    }
}

#[test]
fn narrow_inputs_are_computed_in_f32() {
    let x = input("x", dims![_, _, 2]);
    let (y, (h, c)) = x.layer(Lstm::new(3).return_state());
    let model = Model::new([("y", y), ("h", h), ("c", c)]);
    let vars = model.init(key(0), &types![f32[_, 4, 2]]).unwrap();
    let x = key(1).normal([2, 40, 2]).to(DType::BF16);
    let narrow = model.apply(&vars, &x, &Mode::Eval);
    let wide = model.apply(&vars, x.to(DType::F32), &Mode::Eval);
    for name in ["y", "h", "c"] {
        assert_eq!(narrow[name].dtype(), DType::BF16);
        let rounded = wide[name].to(DType::BF16).to(DType::F32).to_vec::<f32>().unwrap();
        assert_eq!(narrow[name].to(DType::F32).to_vec::<f32>().unwrap(), rounded, "{name}");
    }
    let narrow_vars = vars.map_leaves(|t| t.to(DType::BF16));
    assert_eq!(model.apply(&narrow_vars, &x, &Mode::Eval).y().dtype(), DType::BF16);
    let f64s = model.apply(&vars, x.to(DType::F64), &Mode::Eval);
    assert_eq!(f64s.y().dtype(), DType::F64);
}

#[test]
fn dropout_drops_the_same_elements_in_every_step() {
    // The kernel is the identity, so that the state of a step is its input.
    let cell = SimpleRnn::new(8).activation(Activation::new(|x| x.clone())).bias(false);
    let layer = cell.kernel(init::Init::new("eye", |_, s| Tensor::eye(s[0]))).dropout(0.5);
    let model = input("x", dims![_, _, 8]).layer(layer.recurrent_kernel(init::zeros())).model();
    let vars = model.init(key(0), &types![f32[_, 3, 8]]).unwrap();
    let x = Tensor::ones([1, 3, 8]);
    let y = outputs(&model, &vars, &x, &Mode::Train(key(1)));
    assert!(y.contains(&0.0) && y.contains(&2.0), "{y:?}");
    assert_eq!((&y[..8], &y[..8]), (&y[8..16], &y[16..]));
    assert_eq!(outputs(&model, &vars, &x, &Mode::Eval), [1.0; 24]);
}

#[test]
fn initial_parameters_are_those_of_keras() {
    let vars = input("x", dims![_, _, 5]).lstm(3).init(key(0), &types![f32[_, _, 5]]).unwrap();
    let lstm = &vars.params["lstm"];
    let bias = lstm["bias"].to_vec::<f32>().unwrap();
    assert_eq!(bias, [0., 0., 0., 1., 1., 1., 0., 0., 0., 0., 0., 0.]);
    let rows = &lstm["recurrent_kernel"];
    let far = (rows.matmul(rows.t()) - Tensor::eye(3)).abs().max(..).item().unwrap();
    assert!(far < 1e-5, "{far}");
    let layer = Lstm::new(3).unit_forget_bias(false).bias_init(init::constant(2.0));
    let vars = input("x", dims![_, _, 5]).layer(layer).init(key(0), &types![f32[_, _, 5]]).unwrap();
    assert_eq!(vars.params["lstm"]["bias"].to_vec::<f32>().unwrap(), [2.0; 12]);
}

#[test]
fn parts_of_a_layer_are_counted_and_can_be_frozen() {
    let model = input("x", dims![_, _, 2]).layer(Bidirectional::new(Gru::new(3))).model();
    let mut vars = model.init(key(0), &types![f32[_, _, 2]]).unwrap();
    // 2 · (2 · 9 + 3 · 9 + 9 + 9)
    let summary = model.summary();
    let mut rows = summary.lines().filter(|row| row.starts_with("bidirectional "));
    let row = rows.next().unwrap();
    assert!(row.contains("f32[_, _, 6]") && row.split_whitespace().any(|n| n == "126"), "{row}");
    let x = Tensor::ones([1, 2, 2]);
    let before = outputs(&model, &vars, &x, &Mode::Eval);
    vars.freeze("bidirectional.backward.**").unwrap();
    assert_eq!(vars.params.keys().collect::<Vec<_>>(), ["bidirectional.forward"]);
    assert_eq!(outputs(&model, &vars, &x, &Mode::Eval), before);
}

#[test]
fn a_masked_end_does_not_change_the_result() {
    let x = input("x", dims![_, _, 2]);
    let mask = input("mask", dims![_, _]);
    let layer = Bidirectional::new(Lstm::new(3).masked().return_sequences(false));
    let model = Model::from(layer.call([&x, &mask]));
    let vars = model.init(key(0), &types![f32[_, 4, 2], bool[_, 4]]).unwrap();
    let x = key(1).normal([1, 4, 2]);
    let apply = |x: Tensor, mask: Tensor| {
        jit(|xs: [Tensor; 2]| model.apply(&vars, xs, &Mode::Eval).y().clone())([x, mask])
            .to_vec::<f32>()
            .unwrap()
    };
    let long = apply(x.clone(), tensor([[true, true, false, false]]));
    assert_eq!(long, apply(x.slice(1, ..2), tensor([[true, true]])));
}

fn message(model: &Node, types: &[TypeSpec]) -> String {
    model.init(key(0), types).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn options_out_of_range_are_errors() {
    let t = types![f32[_, 4, 2]];
    let x = input("x", dims![_, _, _]);
    for (node, want) in [
        (x.lstm(0), "lstm: expected at least 1 unit, got 0"),
        (x.layer(Gru::new(2).dropout(1.0)), "gru: expected a rate of dropout in 0..1, got 1"),
        (
            x.layer(SimpleRnn::new(2).recurrent_dropout(-0.5)),
            "simple_rnn: expected a rate of recurrent_dropout in 0..1, got -0.5",
        ),
        (x.layer(Bidirectional::new(Lstm::new(0))), "lstm: expected at least 1 unit, got 0"),
    ] {
        let e = message(&node, &t);
        assert!(e.contains(want) && e.contains("in layer"), "{e}");
    }
}

#[test]
fn inputs_of_other_shapes_are_errors() {
    for (types, want) in [
        (types![f32[2, 3]], "lstm: expected an input [batch, time, features], got f32[2, 3]"),
        (types![f32[2]], "lstm: expected an input of floats [batch, time, ..], got f32[2]"),
        (types![f32[]], "lstm: expected an input of floats [batch, time, ..], got f32[]"),
        (types![i32[2, 3, 4]], "lstm: expected an input of floats [batch, time, ..], got i32"),
    ] {
        let e = check::layer(Lstm::new(2), &types).unwrap_err().to_string();
        assert!(e.contains(want) && e.contains("in layer lstm"), "{e}");
    }
    let (x, y) = (input("x", dims![_, _, _]), input("y", dims![_, _]));
    let two = Lstm::new(2).call([&x, &y]);
    let e = message(&two, &types![f32[2, 3, 4], f32[2, 3]]);
    assert!(e.contains("lstm: expected 1 input (x), got 2"), "{e}");
    let one = x.layer(Lstm::new(2).masked().initial_state());
    let e = message(&one, &types![f32[2, 3, 4]]);
    assert!(e.contains("lstm: expected 4 inputs (x, a mask, 2 states), got 1"), "{e}");
    let masked = Gru::new(2).masked().call([&x, &y]);
    for t in [types![f32[2, 3, 4], f32[2, 3]], types![f32[2, 3, 4], bool[3, 2]]] {
        let e = message(&masked, &t);
        assert!(e.contains("gru: expected a mask bool[2, 3], [batch, time], got"), "{e}");
    }
    let state = Gru::new(2).initial_state().call([&x, &y]);
    let e = message(&state, &types![f32[2, 3, 4], f32[2, 3]]);
    assert!(e.contains("gru: expected an initial state of shape [2, 2], got [2, 3]"), "{e}");
}

#[test]
fn convolutional_cells_check_their_inputs() {
    let fail = |l: ConvLstm, t: &[TypeSpec; 1]| check::layer(l, t).unwrap_err().to_string();
    let e = fail(ConvLstm::new(2, 3), &types![f32[1, 2, 3]]);
    assert!(e.contains("[batch, time, channels, space ..] with 1 to 3 space axes"), "{e}");
    let e = fail(ConvLstm::new(2, [3, 3]), &types![f32[1, 2, 3, 4]]);
    assert!(e.contains("for each of the 1 space axes of f32[1, 2, 3, 4], got [3, 3]"), "{e}");
    let e = check::layer(ConvGru::new(0, 2), &types![f32[1, 2, 3, 4]]).unwrap_err().to_string();
    assert!(e.contains("conv_gru: expected at least 1 unit, got 0"), "{e}");
    let e = fail(ConvLstm::new(2, 0), &types![f32[1, 2, 3, 4]]);
    assert!(e.contains("expected a number of taps from 1 on"), "{e}");
    for e in [
        fail(ConvLstm::new(2, 4), &types![f32[1, 2, 3, 3]]),
        check::layer(ConvGru::new(2, 4), &types![f32[1, 2, 3, 3]]).unwrap_err().to_string(),
    ] {
        assert!(e.contains("got windows of [4] elements and an input"), "{e}");
    }
}

#[test]
fn other_layers_check_their_inputs() {
    let fail = |r: Result<()>| r.unwrap_err().to_string();
    let e = fail(check::layer(TimeDistributed::new(Dense::new(2)), &types![f32[3]]));
    assert!(e.contains("time_distributed: expected an input [batch, time, ..], got f32[3]"), "{e}");
    let e = fail(check::layer(Masking::new(0.0), &types![f32[3]]));
    assert!(e.contains("masking: expected an input [batch, time, features], got f32[3]"), "{e}");
    let mean = |xs: [Node; 2]| MaskedMean::new().call(xs);
    let e = fail(check::nodes(mean, &types![f32[3, 2], f32[3, 2]]));
    assert!(e.contains("masked_mean: expected a mask bool[3, 2], [batch, time], got f32"), "{e}");
    let e = fail(check::nodes(mean, &types![f32[3], bool[3]]));
    assert!(e.contains("masked_mean: expected an input [batch, time, ..], got f32[3]"), "{e}");
}

#[test]
fn masks_compare_with_the_padding_in_every_dtype() {
    let mask = |x: Tensor, padding| {
        let model = super::mask_of(input("x", dims![_]), padding).model();
        model.apply(&Vars::default(), x, &Mode::Eval).y().to_vec::<bool>()
    };
    assert_eq!(mask(tensor([0, 3, -1]), -1).unwrap(), [true, true, false]);
    assert_eq!(mask(tensor([0, 3, 255]).to(DType::U8), 255).unwrap(), [true, true, false]);
    // -1 is no number of the dtype: it must not become 255.
    let wrong = mask(tensor([0, 3, 255]).to(DType::U8), -1);
    assert!(wrong.as_ref().is_ok_and(|m| m == &[true; 3]) || wrong.is_err(), "{wrong:?}");
}

#[test]
fn the_mean_of_no_steps_is_zero() {
    let (x, none) = (Tensor::ones([2, 3, 1]), tensor([[false; 3], [true, false, false]]));
    assert_eq!(masked_mean(&x, &none).to_vec::<f32>().unwrap(), [0.0, 1.0]);
    let narrow = masked_mean(&(Tensor::ones([2, 3, 1]) * 60000.0).to(DType::F16), &none);
    assert_eq!(narrow.dtype(), DType::F16);
}

/// Nx computes all earlier steps again for each step of the gradient.
#[test]
fn the_gradient_of_a_recurrent_layer_is_one_more_loop() {
    let model = input("x", dims![_, _, 3]).layer(Lstm::new(4)).model();
    let vars = model.init(key(0), &types![f32[_, _, 3]]).unwrap();
    let loops = |steps: usize| {
        let x = Tensor::ones([2, steps, 3]);
        let gradient = jit(|params: crate::Params| {
            value_and_grad_at(&params, |p| {
                model.apply_with(&p, &vars.state, &x, &Mode::Eval).y().square().mean(..)
            })
            .1
        });
        let stages = gradient.stages(&vars.params, true).unwrap();
        let text = stages.list()[0].text.as_ref().unwrap();
        (text.matches("= scan[").count(), text.lines().count())
    };
    assert_eq!(loops(10).0, 2);
    assert_eq!(loops(40), loops(10));
}
