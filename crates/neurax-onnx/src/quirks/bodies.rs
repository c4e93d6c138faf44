//! Branches, loops and functions, the values that cross their borders, and names.

use super::{assert_tensor, calls, failure, numbers, open, refusal, results, run, values};
use crate::proto::{GraphProto, NodeProto, ValueInfoProto};
use crate::testing::{
    body, edited, float, floats, function, graph, int, int_list, ints, model, model_of, node,
    reference, string,
};
use crate::{MapKey, OnnxValue};
use neurax_tensor::{DType, Tensor, tensor};

/// Returns a body without inputs.
fn branch(outputs: &[&str], nodes: Vec<NodeProto>) -> GraphProto {
    graph(&[], outputs, vec![], nodes)
}

fn if_node(pred: &str, outputs: &str, then: GraphProto, other: GraphProto) -> NodeProto {
    node("If", pred, outputs).with(body("then_branch", then)).with(body("else_branch", other))
}

/// Returns a graph whose inputs have no declared types.
fn untyped(inputs: &[&str], outputs: &[&str], nodes: Vec<NodeProto>) -> GraphProto {
    let input = |name: &&str| ValueInfoProto { name: name.to_string(), r#type: None };
    let mut g = graph(&[], outputs, vec![], nodes);
    g.input = inputs.iter().map(input).collect();
    g
}

fn yes() -> Tensor {
    Tensor::scalar(DType::Bool, true)
}

fn no() -> Tensor {
    Tensor::scalar(DType::Bool, false)
}

// Quirk 3.

#[test]
fn bodies_return_captured_values_and_initializers_that_no_node_of_theirs_computes() {
    let mut other = branch(&["w"], vec![]);
    other.initializer = vec![floats("w", &[2], &[5.0, 6.0])];
    let step =
        graph(&[("i", &[]), ("go", &[]), ("s", &[2])], &["go", "s", "outer", "s"], vec![], vec![]);
    let nodes = vec![
        node("Neg", "x", "outer"),
        if_node("pred", "a", branch(&["outer"], vec![]), other),
        node("Loop", "two _ a", "last rows again").with(body("body", step)),
    ];
    let mut g = untyped(&["pred", "x"], &["last", "rows", "again"], nodes);
    g.initializer = vec![ints("two", &[], &[2])];
    let session = open(model(g));
    for (pred, a) in [(yes(), [-1.0, -2.0]), (no(), [5.0, 6.0])] {
        let ys = run(&session, &[("pred", pred), ("x", tensor([1.0, 2.0]))]);
        assert_tensor(&ys[0], &[2], &a);
        assert_tensor(&ys[1], &[2, 2], &[-1.0, -2.0, -1.0, -2.0]);
        assert_tensor(&ys[2], &[2, 2], &[a, a].concat());
    }
}

#[test]
fn the_innermost_of_equal_names_is_meant() {
    let inner = branch(&["z"], vec![node("Exp", "x", "a"), node("Add", "a b", "z")]);
    let then = branch(
        &["r"],
        vec![
            node("Add", "x x", "b"),
            if_node("pred", "z", inner, branch(&["b"], vec![])),
            node("Mul", "a z", "r"),
        ],
    );
    let nodes = vec![
        node("Neg", "x", "a"),
        node("Abs", "x", "b"),
        if_node("pred", "c", then, branch(&["a"], vec![])),
        node("Add", "a c", "y"),
        node("Add", "b b", "z"),
    ];
    let session = open(model(untyped(&["pred", "x"], &["y", "z"], nodes)));
    let ys = run(&session, &[("pred", yes()), ("x", tensor([0.0, 1.0]))]);
    // -x + -x (e^x + 2x); the outer `b` and `z` keep their values.
    assert_tensor(&ys[0], &[2], &[0.0, -3.0 - 1f64.exp()]);
    assert_tensor(&ys[1], &[2], &[0.0, 2.0]);
}

#[test]
fn values_are_captured_over_several_levels() {
    let mut inside = branch(&["r"], vec![node("Add", "x w", "r")]);
    for _ in 0..4 {
        inside = branch(&["r"], vec![if_node("pred", "r", inside.clone(), inside)]);
    }
    let mut g = untyped(&["pred", "x"], &["r"], inside.node);
    g.initializer = vec![floats("w", &[1], &[1.0])];
    let ys = results(g, &[("pred", no()), ("x", tensor([1.0, 2.0]))]);
    assert_tensor(&ys[0], &[2], &[2.0, 3.0]);
}

// Quirk 4.

/// Returns a graph that squeezes the first axis if its size is 1, as exporters write it.
fn squeezes_if_one() -> GraphProto {
    let nodes = vec![
        node("Shape", "x", "shape"),
        node("Gather", "shape zero", "size"),
        node("Equal", "size one", "pred"),
        if_node(
            "pred",
            "a",
            branch(&["r"], vec![node("Squeeze", "x zeros", "r")]),
            branch(&["r"], vec![node("Identity", "x", "r")]),
        ),
        node("Neg", "a", "y"),
    ];
    let constants =
        vec![ints("zero", &[], &[0]), ints("one", &[], &[1]), ints("zeros", &[1], &[0])];
    graph(&[("x", &[-1, 2])], &["y"], constants, nodes)
}

#[test]
fn of_a_condition_on_sizes_only_the_branch_that_is_taken_is_looked_at() {
    let session = open(model(squeezes_if_one()));
    assert_tensor(&run(&session, &[("x", tensor([[1.0, 2.0]]))])[0], &[2], &[-1.0, -2.0]);
    let y = &run(&session, &[("x", tensor([[1.0, 2.0], [3.0, 4.0]]))])[0];
    assert_tensor(y, &[2, 2], &[-1.0, -2.0, -3.0, -4.0]);
    assert!(!session.plan().contains("host"), "{}", session.plan());
    assert_eq!(session.net().unwrap().apply(tensor([[1.0, 2.0]]))["y"].shape(), [2]);
}

#[test]
fn branches_of_other_ranks_are_chosen_by_values() {
    let nodes = vec![
        node("ReduceSum", "x", "sum").with(int("keepdims", 0)),
        node("Greater", "sum zero", "pred"),
        if_node(
            "pred",
            "a",
            branch(&["r"], vec![node("Unsqueeze", "x axes", "r")]),
            branch(&["r"], vec![node("Abs", "x", "r")]),
        ),
        node("Neg", "a", "y"),
    ];
    let constants = vec![floats("zero", &[], &[0.0]), ints("axes", &[1], &[0])];
    let session = open(model(graph(&[("x", &[-1])], &["y"], constants, nodes)));
    // Small values are constants of a program, large ones are known on the host alone.
    for size in [2, 200] {
        let y = &run(&session, &[("x", Tensor::full(size, 1.0f32))])[0];
        assert_tensor(y, &[1, size], &vec![-1.0; size]);
        let y = &run(&session, &[("x", Tensor::full(size, -1.0f32))])[0];
        assert_tensor(y, &[size], &vec![-1.0; size]);
    }
}

// Quirk 5.

/// Returns a loop over `s`, which grows by 1, and whose squares are collected.
fn counting(inputs: &str) -> NodeProto {
    let mut step = graph(
        &[("i", &[]), ("go", &[]), ("s", &[])],
        &["less", "next", "square"],
        vec![floats("one", &[], &[1.0])],
        vec![
            node("Add", "s one", "next"),
            node("Mul", "next next", "square"),
            node("Less", "next end", "less"),
        ],
    );
    step.input.iter_mut().for_each(|i| i.r#type = None);
    node("Loop", inputs, "last all").with(body("body", step))
}

#[test]
fn loops_without_limit_end_by_their_condition() {
    for (inputs, xs) in [("_ go x", vec![("go", yes())]), ("_ _ x", vec![]), ("m _ x", vec![])] {
        let names: Vec<&str> = xs.iter().map(|x: &(&str, Tensor)| x.0).collect();
        let names = [&["x", "end"], &names[..]].concat();
        for outputs in [&["last", "all"][..], &["last"]] {
            let mut g = untyped(&names, outputs, vec![counting(inputs)]);
            g.initializer = vec![ints("m", &[1], &[1000])];
            let session = open(model(g));
            let given = [("x", tensor(0.0)), ("end", tensor(2.5))];
            let ys = run(&session, &[&given[..], &xs].concat());
            assert_tensor(&ys[0], &[], &[3.0]);
            if let Some(all) = ys.get(1) {
                assert_tensor(all, &[3], &[1.0, 4.0, 9.0]);
            }
        }
    }
}

#[test]
fn loops_over_large_values_end_by_their_condition() {
    let mut step = counting("m _ x");
    if let Some(g) = step.attribute.iter_mut().find_map(|a| a.g.as_mut()) {
        g.node.pop();
        g.node.push(node("ReduceMax", "next", "most").with(int("keepdims", 0)));
        g.node.push(node("Less", "most end", "less"));
    }
    let mut g = untyped(&["x", "end"], &["last", "y"], vec![step, node("Neg", "all", "y")]);
    g.initializer = vec![ints("m", &[], &[1000])];
    let xs = [("x", Tensor::full(200, 0.5f32)), ("end", tensor(2.0))];
    let ys = results(g, &xs);
    assert_tensor(&ys[0], &[200], &[2.5; 200]);
    assert_eq!(ys[1].shape(), [2, 200]);
}

#[test]
fn loops_without_iterations_collect_rows_of_the_right_sizes() {
    let step = graph(
        &[("i", &[]), ("go", &[]), ("s", &[2])],
        &["go", "next", "wide"],
        vec![],
        vec![node("Neg", "s", "next"), node("Concat", "s next", "wide").with(int("axis", 0))],
    );
    let g = untyped(
        &["m", "go", "x"],
        &["last", "all"],
        vec![node("Loop", "m go x", "last all").with(body("body", step))],
    );
    let session = open(model(g));
    for (m, go) in [(0i64, yes()), (-3, yes()), (5, no())] {
        let xs = [("m", tensor(m)), ("go", go), ("x", tensor([1.0, 2.0]))];
        let ys = run(&session, &xs);
        assert_tensor(&ys[0], &[2], &[1.0, 2.0]);
        assert_eq!(ys[1].shape(), [0, 4]);
    }
}

#[test]
fn carried_values_may_grow() {
    let step = untyped(
        &["i", "go", "s"],
        &["go", "next"],
        vec![node("Concat", "s x", "next").with(int("axis", 0))],
    );
    let nodes =
        vec![node("Loop", "m _ x", "last").with(body("body", step)), node("Neg", "last", "y")];
    let session = open(model(untyped(&["m", "x"], &["y"], nodes)));
    for m in [0i64, 2] {
        let y = &run(&session, &[("m", tensor(m)), ("x", tensor([1.0]))])[0];
        assert_tensor(y, &[1 + m as usize], &vec![-1.0; 1 + m as usize]);
    }
}

// Quirk 22.

#[test]
fn sequences_are_split_indexed_and_grow_in_loops() {
    let step = untyped(
        &["i", "go", "list"],
        &["go", "longer"],
        vec![
            node("SequenceAt", "parts i", "part"),
            node("Neg", "part", "minus"),
            node("SequenceInsert", "list minus", "longer"),
        ],
    );
    let nodes = vec![
        node("SplitToSequence", "x one", "parts").with(int("axis", 1)),
        node("SequenceLength", "parts", "count"),
        node("SequenceEmpty", "", "none"),
        node("Loop", "count _ none", "list").with(body("body", step)),
        node("ConcatFromSequence", "list", "y").with(int("axis", 0)),
        node("SequenceAt", "list last", "z"),
    ];
    let mut g = untyped(&["x"], &["y", "z"], nodes);
    g.initializer = vec![ints("one", &[], &[1]), ints("last", &[], &[-1])];
    let ys = results(g, &[("x", tensor([[1.0, 2.0], [3.0, 4.0]]))]);
    assert_tensor(&ys[0], &[4, 1], &[-1.0, -3.0, -2.0, -4.0]);
    assert_tensor(&ys[1], &[2, 1], &[-2.0, -4.0]);
}

#[test]
fn results_may_be_sequences_of_maps_and_optional_values() {
    let mut zip = node("ZipMap", "x", "maps").with(int_list("classlabels_int64s", &[7, 3]));
    zip.domain = "ai.onnx.ml".into();
    let nodes = vec![zip, node("Optional", "x", "maybe")];
    let session = open(model_of("ai.onnx.ml", 1, untyped(&["x"], &["maps", "maybe"], nodes)));
    let ys = session.run(values(&[("x", tensor([[0.25, 0.75]]))])).unwrap();
    let [OnnxValue::Sequence(rows), OnnxValue::Optional(Some(maybe))] = &ys[..] else {
        panic!("{ys:?}")
    };
    let [OnnxValue::Map(entries)] = &rows[..] else { panic!("{rows:?}") };
    let keys: Vec<&MapKey> = entries.iter().map(|e| &e.0).collect();
    assert_eq!(keys, [&MapKey::Int(3), &MapKey::Int(7)]);
    assert!(matches!(&entries[0].1, OnnxValue::Tensor(x) if numbers(x) == [0.75]), "{entries:?}");
    assert!(matches!(&**maybe, OnnxValue::Tensor(x) if x.shape() == [1, 2]), "{maybe:?}");
}

// Quirk 23.

#[test]
fn nodes_are_sorted_and_may_have_equal_names_and_any_text_in_names() {
    let mut nodes = vec![
        node("Neg", "1/b:0", "model.y"),
        node("Exp", "a.b/c:1", "1/b:0"),
        node("Add", "x x", "a.b/c:1"),
    ];
    nodes.iter_mut().for_each(|n| n.name = "op".into());
    let g = graph(&[("x", &[2])], &["model.y"], vec![], nodes);
    let ys = results(g.clone(), &[("x", tensor([0.0, 1.0]))]);
    assert_tensor(&ys[0], &[2], &[-1.0, -2f64.exp()]);
    let y = open(model(g)).net().unwrap().apply(tensor([0.0, 1.0]));
    assert_tensor(&y["model.y"], &[2], &[-1.0, -2f64.exp()]);
}

#[test]
fn outputs_are_positions_that_may_repeat_a_value_or_be_an_input() {
    let w = floats("w", &[1], &[5.0]);
    let g = graph(&[("x", &[2])], &["y", "x", "y", "w"], vec![w], vec![node("Neg", "x", "y")]);
    let ys = open(model(g.clone())).net().unwrap().apply(tensor([1.0, 2.0]));
    assert_tensor(&ys["x"], &[2], &[1.0, 2.0]);
    assert_tensor(&ys["y_1"], &[2], &[-1.0, -2.0]);
    let ys = results(g, &[("x", tensor([1.0, 2.0]))]);
    assert_eq!(ys.len(), 4);
    for (y, want) in ys.iter().zip([&[-1.0, -2.0][..], &[1.0, 2.0], &[-1.0, -2.0], &[5.0]]) {
        assert_tensor(y, &[want.len()], want);
    }
}

#[test]
fn nodes_that_depend_on_each_other_are_an_error_with_their_names() {
    let nodes = vec![node("Add", "x b", "a"), node("Neg", "a", "b"), node("Exp", "x", "c")];
    let why = refusal(model(graph(&[("x", &[2])], &["b", "c"], vec![], nodes)));
    assert!(why.contains("Add #0, Neg #1 depend on each other"), "{why}");
}

// Quirk 24.

fn local(op: &str, inputs: &str, outputs: &str) -> NodeProto {
    NodeProto { domain: "local".into(), ..node(op, inputs, outputs) }
}

#[test]
fn functions_have_their_own_opsets_and_give_attributes_to_bodies_inside_of_them() {
    let scaled = node("LeakyRelu", "x", "r").with(reference("alpha", 1, "slope"));
    let inside = if_node("pred", "y", branch(&["r"], vec![scaled]), branch(&["x"], vec![]));
    let mut leaky = function("Leaky", 12, "pred x", "z", vec![inside, node("Softmax", "y", "z")]);
    leaky.attribute = vec!["slope".into()];
    let slope = reference("slope", 1, "outer_slope");
    let call = vec![local("Leaky", "pred x", "z").with(slope)];
    let mut outer = function("Outer", 13, "pred x", "z", call);
    outer.attribute_proto = vec![float("outer_slope", 0.5)];
    let nodes = vec![
        local("Outer", "pred x", "a").with(float("outer_slope", 0.25)),
        local("Outer", "pred x", "b"),
    ];
    let file = edited(model_of("local", 1, untyped(&["pred", "x"], &["a", "b"], nodes)), |m| {
        m.functions = vec![outer, leaky];
    });
    // The rule of opset 12 takes the softmax over all axes from axis 1 on.
    let ys = run(&open(file), &[("pred", yes()), ("x", tensor([[[-4.0], [0.0]]]))]);
    let want = |slope: f64| [1.0 / (1.0 + (4.0 * slope).exp()), 1.0 / (1.0 + (-4.0 * slope).exp())];
    assert_tensor(&ys[0], &[1, 2, 1], &want(0.25));
    assert_tensor(&ys[1], &[1, 2, 1], &want(0.5));
}

#[test]
fn functions_come_before_operators_and_must_not_call_themselves() {
    let call = |name: &str| local(name, "x", "y");
    let file = |functions: Vec<(&str, NodeProto)>, first: NodeProto| {
        edited(model_of("local", 1, untyped(&["x"], &["y"], vec![first])), |m| {
            let each = functions.into_iter();
            m.functions = each.map(|(f, n)| function(f, 21, "x", "y", vec![n])).collect();
        })
    };
    let why = refusal(file(vec![("F", call("G")), ("G", call("F"))], call("F")));
    assert!(why.contains("calls itself"), "{why}");
    let mut relu =
        edited(file(vec![("Relu", node("Neg", "x", "y"))], node("Relu", "x", "y")), |m| {
            m.functions[0].domain = String::new();
        });
    assert_tensor(&run(&open(relu.clone()), &[("x", tensor([1.0]))])[0], &[1], &[-1.0]);
    relu = edited(relu, |m| m.functions[0].overload = "other".into());
    assert_tensor(&run(&open(relu), &[("x", tensor([1.0]))])[0], &[1], &[1.0]);
    let nodes = vec![call("Foo"), NodeProto { domain: "pkg".into(), ..node("Bar", "x", "z") }];
    let why = refusal(model_of("local", 1, untyped(&["x"], &["y", "z"], nodes)));
    assert!(why.contains("Foo") && why.contains("Bar"), "{why}");
}

#[test]
fn operators_of_onnx_runtime_are_known_in_both_domains() {
    let n = node("SimplifiedLayerNormalization", "x w", "y").with(float("epsilon", 0.0));
    let xs = [("x", tensor([[3.0, 4.0]])), ("w", tensor([1.0, 2.0]))];
    let norm = 12.5f64.sqrt();
    assert_tensor(&calls(17, n, &xs)[0], &[1, 2], &[3.0 / norm, 8.0 / norm]);
    let mut n = node("FusedMatMul", "x w", "y").with(float("alpha", 2.0));
    n.domain = "com.microsoft".into();
    let session = open(model_of("com.microsoft", 1, untyped(&["x", "w"], &["y"], vec![n])));
    assert_tensor(&run(&session, &xs)[0], &[1], &[22.0]);
    let why = failure(&session, &[("x", tensor([[3.0, 4.0]])), ("w", tensor([1.0]))]);
    assert!(why.contains("FusedMatMul"), "{why}");
    let direction = node("GRU", "x w w", "y").with(string("direction", "sideways"));
    assert!(failure(&open(super::one_node(21, direction.clone(), &xs)), &xs).contains("GRU"));
}

#[test]
fn a_scan_whose_body_needs_values_is_unrolled_or_says_why_it_cannot_be() {
    let step = graph(
        &[("s", &[2]), ("row", &[2])],
        &["s", "y"],
        vec![],
        vec![node("Cast", "row", "shape").with(int("to", 7)), node("Reshape", "s shape", "y")],
    );
    let of_rows = |rows: &[f32]| {
        let x = floats("x", &[rows.len() as i64 / 2, 2], rows);
        let scan = node("Scan", "start x", "last ys").with(body("body", step.clone()));
        let nodes = vec![scan.with(int("num_scan_inputs", 1))];
        graph(&[], &["ys"], vec![floats("start", &[2], &[3.0, 4.0]), x], nodes)
    };
    let ys = results(of_rows(&[1.0, 2.0, 1.0, 2.0]), &[]);
    assert_tensor(&ys[0], &[2, 1, 2], &[3.0, 4.0, 3.0, 4.0]);
    for (rows, part) in [(&[1.0, 3.0][..], "reshape"), (&[], "one row at least")] {
        let why = failure(&open(model(of_rows(rows))), &[]);
        assert!(why.contains(part) && !why.contains("internal error"), "{why}");
    }
}
