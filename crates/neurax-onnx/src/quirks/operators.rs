//! Operators: absent inputs, rules that changed, and attributes that are easily left unread.

use super::{assert_tensor, call, calls, failure, numbers, one_node, open, refusal, results, run};
use crate::Importer;
use crate::proto::{NodeProto, OperatorSetId};
use crate::registry::NEWEST;
use crate::testing::{
    body, edited, float, float_list, floats, function, graph, int, int_list, ints, model, model_of,
    node, string,
};
use neurax_tensor::{DType, Tensor, tensor};

fn indices(xs: &[i64]) -> Tensor {
    Tensor::from_vec(xs.to_vec(), [xs.len()])
}

// Quirk 6.

#[test]
fn absent_inputs_keep_the_positions_of_others() {
    let x = || ("x", tensor([1.0, 5.0, 9.0]));
    let y = call(node("Clip", "x _ high", "y"), &[x(), ("high", tensor(4.0))]);
    assert_tensor(&y, &[3], &[1.0, 4.0, 4.0]);
    let y = call(node("Resize", "x _ scales _", "y"), &[x(), ("scales", tensor([2.0]))]);
    assert_tensor(&y, &[6], &[1.0, 1.0, 5.0, 5.0, 9.0, 9.0]);
    let n = node("Pad", "x pads _ axes", "y");
    let y = call(n, &[x(), ("pads", indices(&[1, 0])), ("axes", indices(&[0]))]);
    assert_tensor(&y, &[4], &[0.0, 1.0, 5.0, 9.0]);
    // Absent inputs at the end, with or without an empty name.
    for n in [node("Clip", "x", "y"), node("Clip", "x _", "y"), node("Clip", "x _ _", "y")] {
        assert_tensor(&call(n, &[x()]), &[3], &[1.0, 5.0, 9.0]);
    }
}

#[test]
fn outputs_without_names_are_no_values() {
    let x = ("x", tensor([3.0, 1.0, 3.0, 2.0]));
    let ys = calls(21, node("Unique", "x", "_ first _ counts"), std::slice::from_ref(&x));
    assert_tensor(&ys[0], &[3], &[1.0, 3.0, 0.0]);
    assert_tensor(&ys[1], &[3], &[1.0, 1.0, 2.0]);
    let step = graph(
        &[("i", &[]), ("go", &[]), ("s", &[])],
        &["go", "minus", "minus"],
        vec![],
        vec![node("Neg", "s", "minus")],
    );
    let n = node("Loop", "m _ x", "_ all").with(body("body", step));
    let y = call(n, &[("m", tensor(2i64)), ("x", tensor(1.0))]);
    assert_tensor(&y, &[2], &[-1.0, 1.0]);
    // An empty name of an output is no value that an absent input could take.
    let nodes = vec![node("TopK", "x k", "_ i"), node("Clip", "x _ high", "y")];
    let constants = vec![ints("k", &[1], &[1]), floats("high", &[], &[2.0])];
    let ys = results(graph(&[("x", &[4])], &["i", "y"], constants, nodes), &[x]);
    assert_tensor(&ys[0], &[1], &[0.0]);
    assert_tensor(&ys[1], &[4], &[2.0, 1.0, 2.0, 2.0]);
}

#[test]
fn absent_inputs_of_functions_are_absent_inside_of_them() {
    let local =
        |op: &str, inputs: &str| NodeProto { domain: "local".into(), ..node(op, inputs, "y") };
    let clip = || graph(&[], &["r"], vec![], vec![node("Clip", "x low high", "r")]);
    let inside = node("If", "go", "y").with(body("then_branch", clip()));
    let inside = inside.with(body("else_branch", clip()));
    for inputs in ["x go", "x go _", "x go _ high", "x go _ _"] {
        let xs = [
            ("x", tensor([1.0, 5.0])),
            ("go", Tensor::scalar(DType::Bool, true)),
            ("high", tensor(4.0)),
        ];
        let file = edited(one_node(21, local("Outer", inputs), &xs), |m| {
            let outer = vec![local("Inner", "x go low high")];
            m.opset_import.push(OperatorSetId { domain: "local".into(), version: 1 });
            m.functions = vec![
                function("Outer", 21, "x go low high", "y", outer),
                function("Inner", 21, "x go low high", "y", vec![inside.clone()]),
            ];
        });
        let want = if inputs.ends_with("high") { [1.0, 4.0] } else { [1.0, 5.0] };
        assert_tensor(&run(&open(file), &xs)[0], &[2], &want);
    }
}

// Quirk 11.

#[test]
fn softmax_before_opset_13_is_over_all_axes_from_the_first_one_on() {
    let x = ("x", Tensor::zeros([2, 2, 3]));
    let softmax = |version: i64| {
        calls(version, node("Softmax", "x", "y"), std::slice::from_ref(&x)).remove(0)
    };
    assert_tensor(&softmax(12), &[2, 2, 3], &[1.0 / 6.0; 12]);
    assert_tensor(&softmax(13), &[2, 2, 3], &[1.0 / 3.0; 12]);
}

#[test]
fn attributes_of_old_versions_are_inputs_of_new_ones() {
    let x = || ("x", tensor([[1.0, 2.0, 3.0]]));
    let y = |version: i64, n| calls(version, n, &[x()]).remove(0);
    let clip = node("Clip", "x", "y").with(float("min", 1.5)).with(float("max", 2.5));
    assert_tensor(&y(6, clip), &[1, 3], &[1.5, 2.0, 2.5]);
    let slice = node("Slice", "x", "y").with(int_list("starts", &[0, 1]));
    assert_tensor(&y(9, slice.with(int_list("ends", &[1, 3]))), &[1, 2], &[2.0, 3.0]);
    let pads = int_list("pads", &[0, 1, 0, 0]);
    let pad = node("Pad", "x", "y").with(pads).with(float("value", 7.0));
    assert_tensor(&y(10, pad), &[1, 4], &[7.0, 1.0, 2.0, 3.0]);
    let squeeze = node("Squeeze", "x", "y").with(int_list("axes", &[0]));
    assert_tensor(&y(11, squeeze), &[3], &[1.0, 2.0, 3.0]);
    let top = node("TopK", "x", "y i").with(int("k", 1));
    assert_tensor(&y(9, top), &[1, 1], &[3.0]);
    let split = node("Split", "x", "y z").with(int_list("split", &[1, 2])).with(int("axis", 1));
    assert_tensor(&y(11, split), &[1, 1], &[1.0]);
    let sum = node("ReduceSum", "x", "y").with(int_list("axes", &[1])).with(int("keepdims", 0));
    assert_tensor(&y(11, sum), &[1], &[6.0]);
    let cast = node("Cast", "x", "y").with(string("to", "INT64"));
    assert_eq!(y(5, cast).dtype(), DType::I64);
    let add = node("Add", "x b", "y").with(int("broadcast", 1)).with(int("axis", 0));
    let ys = calls(6, add, &[("x", Tensor::zeros([2, 3])), ("b", tensor([1.0, 2.0]))]);
    assert_tensor(&ys[0], &[2, 3], &[1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
}

#[test]
fn attributes_that_a_version_does_not_know_are_errors() {
    let one = |name: &str| int_list(name, &[0]);
    let cases = [
        (13, node("Squeeze", "x", "y").with(one("axes"))),
        (13, node("Unsqueeze", "x", "y").with(one("axes"))),
        (13, node("ReduceSum", "x", "y").with(one("axes"))),
        (18, node("ReduceMax", "x", "y").with(one("axes"))),
        (13, node("Split", "x", "y").with(one("split"))),
        (11, node("Pad", "x", "y").with(one("pads"))),
        (10, node("Slice", "x", "y").with(one("starts")).with(one("ends"))),
        (11, node("Clip", "x", "y").with(float("min", 0.0))),
        (10, node("TopK", "x", "y i").with(int("k", 1))),
        (12, node("Dropout", "x", "y").with(float("ratio", 0.5))),
        (7, node("Add", "x x", "y").with(int("broadcast", 1))),
        (20, node("Relu", "x", "y").with(float("alpha", 1.0))),
    ];
    for (version, n) in cases {
        let (op, xs) = (n.op_type.clone(), [("x", tensor([[[1.0]]]))]);
        let session = Importer::new().open_bytes(one_node(version, n, &xs));
        let outcome = session.and_then(|s| s.run(super::values(&xs)));
        assert!(outcome.is_err(), "{op} of opset {version}: {outcome:?}");
    }
}

#[test]
fn rules_that_changed_are_those_of_the_opset() {
    let norm = |version: i64, scale: Tensor| {
        let n = node("GroupNormalization", "x s b", "y").with(int("num_groups", 2));
        let bias = Tensor::zeros(scale.shape());
        let x = tensor([[[1.0], [3.0], [2.0], [6.0]]]);
        let xs = [("x", x), ("s", scale), ("b", bias)];
        calls(version, n.with(float("epsilon", 0.0)), &xs).remove(0)
    };
    // One scale for each group, then one for each channel.
    assert_tensor(&norm(18, tensor([2.0, 3.0])), &[1, 4, 1], &[-2.0, 2.0, -3.0, 3.0]);
    assert_tensor(&norm(21, tensor([1.0, 2.0, 3.0, 4.0])), &[1, 4, 1], &[-1.0, 2.0, -3.0, 4.0]);
    let resize = |version: i64, inputs: &str| {
        let n = node("Resize", inputs, "y").with(string("mode", "linear"));
        let xs = [("x", tensor([1.0, 2.0])), ("s", tensor([2.0])), ("roi", Tensor::zeros(0))];
        calls(version, n, &xs).remove(0)
    };
    assert_tensor(&resize(10, "x s"), &[4], &[1.0, 1.5, 2.0, 2.0]);
    assert_tensor(&resize(11, "x roi s"), &[4], &[1.0, 1.25, 1.75, 2.0]);
    let grid = |version: i64, mode: &str| {
        let xs = [("x", tensor([[[[1.0, 3.0]]]])), ("g", Tensor::zeros([1, 1, 1, 2]))];
        calls(version, node("GridSample", "x g", "y").with(string("mode", mode)), &xs).remove(0)
    };
    assert_tensor(&grid(16, "bilinear"), &[1, 1, 1, 1], &[2.0]);
    assert_tensor(&grid(20, "linear"), &[1, 1, 1, 1], &[2.0]);
    let one_hot = |version: i64| {
        let xs = [("i", indices(&[-1])), ("d", indices(&[3])), ("v", tensor([0.0, 1.0]))];
        calls(version, node("OneHot", "i d v", "y"), &xs).remove(0)
    };
    assert_tensor(&one_hot(9), &[1, 3], &[0.0; 3]);
    assert_tensor(&one_hot(11), &[1, 3], &[0.0, 0.0, 1.0]);
}

#[test]
fn bodies_have_the_opsets_of_the_model_and_domains_may_be_listed_twice() {
    let softmax = || graph(&[], &["r"], vec![], vec![node("Softmax", "x", "r")]);
    let branch = node("If", "pred", "y").with(body("then_branch", softmax()));
    let mut g = graph(
        &[("x", &[-1, 2, 3])],
        &["y"],
        vec![],
        vec![
            branch.with(body("else_branch", softmax())),
            node("Cast", "one", "pred").with(int("to", 9)),
        ],
    );
    g.initializer = vec![floats("one", &[], &[1.0])];
    let xs = [("x", Tensor::zeros([1, 2, 3]))];
    let file = model_of("", 12, g);
    assert_tensor(&run(&open(file.clone()), &xs)[0], &[1, 2, 3], &[1.0 / 6.0; 6]);
    // skl2onnx lists the default domain twice; the newer version is meant.
    let file = edited(file, |m| {
        m.opset_import.push(OperatorSetId { domain: "ai.onnx".into(), version: 13 });
        m.opset_import.push(OperatorSetId { domain: "never.used".into(), version: 99 });
        m.functions = vec![function("Unused", 12, "x", "y", vec![node("Softmax", "x", "y")])];
    });
    assert_tensor(&run(&open(file), &xs)[0], &[1, 2, 3], &[1.0 / 3.0; 6]);
}

#[test]
fn optimizers_write_operators_into_models_of_older_opsets() {
    let x = ("x", tensor([[1.0, 3.0], [-2.0, 2.0]]));
    let weights = [x, ("scale", tensor([1.0, 2.0]))];
    for name in ["LayerNormalization", "SimplifiedLayerNormalization"] {
        let n = || node(name, "x scale", "y").with(float("epsilon", 0.0));
        let [old, new] = [14, 21].map(|version| calls(version, n(), &weights).remove(0));
        assert_eq!(numbers(&old), numbers(&new), "{name}");
    }
}

#[test]
fn signals_of_real_numbers_may_lack_the_axis_of_parts() {
    let x = tensor([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]);
    let spectrum = |x: Tensor| {
        let constants = vec![ints("step", &[], &[2]), ints("size", &[], &[4])];
        let n = node("STFT", "x step _ size", "y");
        let sizes: Vec<i64> = x.shape().iter().map(|&n| n as i64).collect();
        let g = graph(&[("x", &sizes)], &["y"], constants, vec![n]);
        results(g, &[("x", x)]).remove(0)
    };
    let y = spectrum(x.clone());
    assert_tensor(&y, &[1, 2, 3, 2], &numbers(&spectrum(x.expand_dims(-1))));
    assert_eq!(numbers(&y)[..2], [10.0, 0.0]);
}

#[test]
fn opsets_that_are_not_known_yet_are_errors_that_say_so() {
    let xs = [("x", tensor([1.0]))];
    let file = one_node(NEWEST + 1, node("Neg", "x", "y"), &xs);
    let why = refusal(file.clone());
    assert!(why.contains("newer") && why.contains("allow_newer_opsets"), "{why}");
    let session = Importer::new().allow_newer_opsets().open_bytes(file).unwrap();
    assert_tensor(&run(&session, &xs)[0], &[1], &[-1.0]);
}

// Quirk 16.

#[test]
fn batch_normalization_in_training_mode_uses_the_moments_of_the_batch() {
    let xs = [
        ("x", tensor([[0.0], [4.0]])),
        ("s", tensor([1.0])),
        ("b", tensor([0.0])),
        ("m", tensor([0.0])),
        ("v", tensor([1.0])),
    ];
    let n = |outputs: &str| {
        let n = node("BatchNormalization", "x s b m v", outputs).with(int("training_mode", 1));
        n.with(float("momentum", 0.9)).with(float("epsilon", 0.0))
    };
    let ys = calls(15, n("y mean variance"), &xs);
    assert_tensor(&ys[0], &[2, 1], &[-1.0, 1.0]);
    // 0.9 of the old moments, and 0.1 of the mean 2 and the population variance 4.
    assert_tensor(&ys[1], &[1], &[0.2]);
    assert_tensor(&ys[2], &[1], &[1.3]);
    assert_tensor(&calls(15, n("y"), &xs)[0], &[2, 1], &[-1.0, 1.0]);
    let inference = node("BatchNormalization", "x s b m v", "y").with(float("epsilon", 0.0));
    assert_tensor(&calls(15, inference, &xs)[0], &[2, 1], &[0.0, 4.0]);
}

// Quirk 17. The numbers are those of ONNX Runtime.

#[test]
fn gates_are_in_the_order_of_onnx_and_have_two_biases() {
    let x = ("x", tensor([[[1.0]], [[2.0]]]));
    let lstm = [
        x.clone(),
        ("w", tensor([[[0.1], [0.2], [0.3], [0.4]]])),
        ("r", tensor([[[0.5], [0.6], [0.7], [0.8]]])),
        ("b", tensor([[0.01, 0.02, 0.03, 0.04, 0.1, 0.2, 0.3, 0.4]])),
    ];
    let ys = calls(21, node("LSTM", "x w r b", "y _ c").with(int("hidden_size", 1)), &lstm);
    assert_tensor(&ys[0], &[2, 1, 1, 1], &[0.218_247_04, 0.458_241_13]);
    assert_tensor(&ys[1], &[1, 1, 1], &[0.818_942_19]);
    // The peepholes are in another order: input, output, forget.
    let peepholes = [&lstm[..], &[("p", tensor([[0.9, 0.5, 0.2]]))]].concat();
    let n = node("LSTM", "x w r b _ _ _ p", "y").with(int("hidden_size", 1));
    assert_tensor(&calls(21, n, &peepholes)[0], &[2, 1, 1, 1], &[0.234_274_49, 0.550_859_21]);
    // The batch comes first.
    let n = node("LSTM", "x w r b", "y").with(int("hidden_size", 1)).with(int("layout", 1));
    let xs = [&[("x", tensor([[[1.0], [2.0]]]))], &lstm[1..]].concat();
    assert_tensor(&calls(21, n, &xs)[0], &[1, 2, 1, 1], &[0.218_247_04, 0.458_241_13]);
    let gru = [
        x,
        ("w", tensor([[[0.1], [0.2], [0.3]]])),
        ("r", tensor([[[0.5], [0.6], [0.7]]])),
        ("b", tensor([[0.01, 0.02, 0.03, 0.1, 0.2, 0.3]])),
    ];
    for (reset, want) in [(0, [0.249_835_58, 0.458_803_65]), (1, [0.210_755_07, 0.418_121_87])] {
        let n = node("GRU", "x w r b", "y h").with(int("hidden_size", 1));
        let ys = calls(21, n.with(int("linear_before_reset", reset)), &gru);
        assert_tensor(&ys[0], &[2, 1, 1, 1], &want);
        assert_tensor(&ys[1], &[1, 1, 1], &want[1..]);
    }
}

#[test]
fn recurrent_sequences_end_at_their_lengths_in_both_directions() {
    let n = node("RNN", "x w r _ n", "y h")
        .with(int("hidden_size", 1))
        .with(string("direction", "bidirectional"))
        .with(crate::proto::AttributeProto {
            name: "activations".into(),
            strings: vec!["Affine".into(), "Affine".into()],
            r#type: 8,
            ..Default::default()
        })
        .with(float_list("activation_alpha", &[1.0, 1.0]))
        .with(float_list("activation_beta", &[0.0, 0.0]));
    let ones = || tensor([[[1.0]], [[1.0]]]);
    let xs = [
        ("x", tensor([[[1.0], [10.0]], [[2.0], [20.0]], [[3.0], [30.0]]])),
        ("w", ones()),
        ("r", ones()),
        ("n", tensor([3, 2])),
    ];
    let ys = calls(21, n, &xs);
    // Sums from the start and from the end of each sequence; nothing behind it.
    let want = [1.0, 10.0, 6.0, 30.0, 3.0, 30.0, 5.0, 20.0, 6.0, 0.0, 3.0, 0.0];
    assert_tensor(&ys[0], &[3, 2, 2, 1], &want);
    assert_tensor(&ys[1], &[2, 2, 1], &[6.0, 30.0, 6.0, 30.0]);
}

// Quirk 19.

#[test]
fn scatters_reduce_duplicates_and_wrap_negative_indices() {
    let scattered = |reduction: &str| {
        let n = node("ScatterElements", "x i u", "y").with(string("reduction", reduction));
        let xs = [("x", tensor([1.0, 2.0, 3.0])), ("u", tensor([5.0, 7.0, 4.0, 1.0]))];
        call(n, &[&xs[..], &[("i", indices(&[0, 0, -1, -1]))]].concat())
    };
    assert_tensor(&scattered("add"), &[3], &[13.0, 2.0, 8.0]);
    assert_tensor(&scattered("mul"), &[3], &[35.0, 2.0, 12.0]);
    assert_tensor(&scattered("max"), &[3], &[7.0, 2.0, 4.0]);
    assert_tensor(&scattered("min"), &[3], &[1.0, 2.0, 1.0]);
    assert_tensor(&scattered("none"), &[3], &[7.0, 2.0, 1.0]);
}

#[test]
fn rows_of_indices_of_any_depth_scatter_slices_and_must_be_in_range() {
    let xs = |i: Tensor, u: Tensor| [("x", Tensor::zeros([2, 2, 2])), ("i", i), ("u", u)];
    let n = || node("ScatterND", "x i u", "y").with(string("reduction", "add"));
    let y = call(n(), &xs(tensor([[-1i64], [1]]), Tensor::ones([2, 2, 2])));
    assert_tensor(&y, &[2, 2, 2], &[0.0, 0.0, 0.0, 0.0, 2.0, 2.0, 2.0, 2.0]);
    let y = call(n(), &xs(tensor([[0i64, -1]]), tensor([[3.0, 4.0]])));
    assert_tensor(&y, &[2, 2, 2], &[0.0, 0.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0]);
    let y = call(n(), &xs(tensor([[0i64, 0, 1]]), tensor([5.0])));
    assert_tensor(&y, &[2, 2, 2], &[0.0, 5.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    // Known indices are checked; an update at one that a program computes is dropped.
    for wrong in [2, -3] {
        let i = ints("i", &[1, 1], &[wrong]);
        let inputs: &[(&str, &[i64])] = &[("x", &[2]), ("u", &[1])];
        let session = open(model(graph(inputs, &["y"], vec![i], vec![n()])));
        let why = failure(&session, &[("x", Tensor::zeros(2)), ("u", Tensor::ones(1))]);
        assert!(why.contains("ScatterND"), "{why}");
    }
}

// Quirk 20.

#[test]
fn equations_have_blanks_ellipses_diagonals_and_no_output() {
    let einsum = |equation: &str, xs: &[(&str, Tensor)]| {
        let names: Vec<&str> = xs.iter().map(|x| x.0).collect();
        call(node("Einsum", &names.join(" "), "y").with(string("equation", equation)), xs)
    };
    let (a, b) = (("a", tensor([1.0, 2.0])), ("b", tensor([3.0, 4.0])));
    let y = einsum("i, j -> i j", &[a.clone(), b.clone()]);
    assert_tensor(&y, &[2, 2], &[3.0, 4.0, 6.0, 8.0]);
    let m = || ("m", tensor([[1.0, 2.0], [3.0, 4.0]]));
    assert_tensor(&einsum("ii->i", &[m()]), &[2], &[1.0, 4.0]);
    assert_tensor(&einsum("ba", &[m()]), &[2, 2], &[1.0, 3.0, 2.0, 4.0]);
    assert_tensor(&einsum("i,ij,j", &[a, m(), b]), &[], &[61.0]);
    let batch = ("k", Tensor::ones([3, 1, 2, 2]));
    let y = einsum("...ij,...jk->...ik", &[batch, ("l", Tensor::ones([4, 2, 1]))]);
    assert_tensor(&y, &[3, 4, 2, 1], &[2.0; 24]);
}
