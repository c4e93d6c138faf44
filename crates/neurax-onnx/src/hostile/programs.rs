//! Functions, problems and loops.

use super::{failure, inputs, open, refusal};
use crate::limits::{MAX_BODY_DEPTH, MAX_CALLED_NODES, MAX_TRACED_ITERATIONS};
use crate::proto::{FunctionProto, GraphProto, NodeProto, TensorProto, ValueInfoProto};
use crate::testing::{
    body, edited, float_list, floats, function, graph, int, ints, model, model_of, node, reference,
};
use crate::{OnnxValue, Session};
use neurax_tensor::Tensor;

/// Returns a call of a function of the domain `local`.
fn call(name: &str, xs: &str, y: &str) -> NodeProto {
    NodeProto { domain: "local".into(), ..node(name, xs, y) }
}

/// Returns a model that calls the function `f0`, with `functions` in it.
fn with_functions(functions: Vec<FunctionProto>) -> Vec<u8> {
    let file =
        model_of("local", 1, graph(&[("x", &[2])], &["y"], vec![], vec![call("f0", "x", "y")]));
    edited(file, |m| m.functions = functions)
}

/// Returns `count` functions of which each calls the next one `times` times, and the last one a
/// `Relu`.
fn chain(count: usize, times: usize) -> Vec<FunctionProto> {
    let body = |i: usize| {
        let name = format!("f{}", i + 1);
        let calls = (0..times).map(|k| match i + 1 == count {
            true => node("Relu", "x", &format!("y{k}")),
            false => call(&name, "x", &format!("y{k}")),
        });
        let all: Vec<String> = (0..times).map(|k| format!("y{k}")).collect();
        calls.chain([node("Sum", &all.join(" "), "y")]).collect()
    };
    (0..count).map(|i| function(&format!("f{i}"), 21, "x", "y", body(i))).collect()
}

/// Returns a body whose first inputs are the iteration and the condition.
fn step(outputs: &[&str], nodes: Vec<NodeProto>) -> GraphProto {
    let mut g = graph(&[], outputs, vec![], nodes);
    let input = |name: &str| ValueInfoProto { name: name.into(), r#type: None };
    g.input = ["i", "go", "s"].map(input).to_vec();
    g
}

// Functions.

#[test]
fn a_chain_of_functions_has_a_limit() {
    let e = refusal(with_functions(chain(100_000, 1)));
    assert!(e.contains("expected bodies and functions at most 64 deep"), "{e}");
    let e = refusal(with_functions(chain(MAX_BODY_DEPTH, 1)));
    assert!(e.contains("at most 64 deep"), "the main graph is one of them: {e}");
    let session = open(with_functions(chain(MAX_BODY_DEPTH - 1, 1)));
    let x = Tensor::from_vec(vec![-1.0f32, 2.0], [2]);
    for y in [session.run(inputs(&[("x", x.clone())])), session.run_eagerly(inputs(&[("x", x)]))] {
        let OnnxValue::Tensor(y) = &y.unwrap()[0] else { panic!("expected a tensor") };
        assert_eq!(y.to_vec::<f32>().unwrap(), [0.0, 2.0]);
    }
}

#[test]
fn functions_that_were_read_before_count_for_the_depth() {
    let count = MAX_BODY_DEPTH + 10;
    let file = edited(with_functions(chain(count, 1)), |m| {
        let g = m.graph.as_mut().unwrap();
        g.node = vec![call(&format!("f{}", count / 2), "x", "z"), call("f0", "z", "y")];
    });
    assert!(refusal(file).contains("at most 64 deep"));
}

#[test]
fn loops_in_functions_in_loops_fit_the_stack_up_to_the_limit() {
    let depth = MAX_BODY_DEPTH / 2 - 1;
    let functions = (0..depth).map(|i| {
        let inner = match i + 1 == depth {
            true => node("Neg", "s", "t"),
            false => call(&format!("f{}", i + 1), "s", "t"),
        };
        let step = step(&["go", "t"], vec![inner]);
        let one = node("Constant", "", "n").with(int("value_int", 1));
        let nodes = vec![one, node("Loop", "n _ x", "y").with(body("body", step))];
        function(&format!("f{i}"), 21, "x", "y", nodes)
    });
    let session = open(with_functions(functions.collect()));
    let y = session.run(inputs(&[("x", Tensor::ones(2))])).unwrap();
    let OnnxValue::Tensor(y) = &y[0] else { panic!("expected a tensor") };
    assert_eq!(y.to_vec::<f32>().unwrap(), [-1.0, -1.0]);
}

#[test]
fn functions_that_double_have_a_budget() {
    let e = refusal(with_functions(chain(40, 2)));
    let want = format!("stand for at most {MAX_CALLED_NODES} nodes, got ");
    assert!(e.starts_with("f") && e.contains(&want), "names the call of the function: {e}");
    // Each function alone is small enough, and the graph calls it too often.
    let file = edited(with_functions(chain(15, 2)), |m| {
        let calls = (0..40).map(|i| call("f0", "x", &format!("y{i}")));
        let g = m.graph.as_mut().unwrap();
        g.node = calls.collect();
        let output = |i: usize| ValueInfoProto { name: format!("y{i}"), r#type: None };
        g.output = (0..40).map(output).collect();
    });
    assert!(refusal(file).contains(&want));
}

#[test]
fn graphs_that_functions_get_count_wherever_they_are_evaluated() {
    // Each function passes the graph on to the next one twice, and the last one evaluates it.
    let count = 10;
    let functions = (0..count).map(|i| {
        let last = i + 1 == count;
        let pass = |y: &str| match last {
            true => node("If", "p", y).with(reference("then_branch", 5, "g")).with(reference(
                "else_branch",
                5,
                "g",
            )),
            false => call(&format!("f{}", i + 1), "p", y).with(reference("g", 5, "g")),
        };
        let f = function(
            &format!("f{i}"),
            21,
            "p",
            "y",
            vec![pass("a"), pass("b"), node("Sum", "a b", "y")],
        );
        FunctionProto { attribute: vec!["g".into()], ..f }
    });
    let file = |nodes: usize| {
        let all = (0..nodes).map(|i| node("Neg", "x", &format!("z{i}"))).collect();
        let names: Vec<String> = (0..nodes).map(|i| format!("z{i}")).collect();
        let mut g = graph(&[], &["z0"], vec![], all);
        g.node.push(node("Sum", &names.join(" "), "z"));
        g.node.push(node("Constant", "", "x").with(float_list("value_floats", &[1.0, 1.0])));
        g.output[0].name = "z".into();
        edited(with_functions(functions.clone().collect()), |m| {
            let main = m.graph.as_mut().unwrap();
            main.initializer.push(TensorProto { name: "p".into(), ..yes() });
            main.node = vec![call("f0", "p", "y").with(body("g", g))];
        })
    };
    let session = open(file(2));
    let y = session.run(inputs(&[("x", Tensor::ones(2))])).unwrap();
    let OnnxValue::Tensor(y) = &y[0] else { panic!("expected a tensor") };
    assert_eq!(y.to_vec::<f32>().unwrap(), [-2048.0; 2]);
    assert!(refusal(file(2000)).contains("stand for at most 1048576 nodes, got "));
}

fn yes() -> TensorProto {
    TensorProto { data_type: 9, int32_data: vec![1], ..TensorProto::default() }
}

// Problems.

#[test]
fn a_hundred_thousand_problems_are_counted() {
    let nodes = |op: &'static str| {
        (0..100_000).map(move |i| node(op, &format!("a{i}"), &format!("b{i}"))).collect()
    };
    let mut g = graph(&[], &[], vec![], nodes("Relu"));
    g.output =
        (0..100_000).map(|i| ValueInfoProto { name: format!("b{i}"), r#type: None }).collect();
    let e = refusal(model(g));
    assert!(e.starts_with("Relu #0: nothing computes its input `a0`; Relu #1: "), "{e}");
    assert!(e.ends_with("; and 99950 more"), "{e}");
    let e = refusal(model(graph(&[], &[], vec![], nodes("NoSuch"))));
    assert!(e.ends_with("; and 99950 more"), "{e}");
}

// Loops.

/// Returns a loop of the limit `n`, an empty name for none, and a condition of the body.
fn looping(n: &str, nodes: Vec<NodeProto>) -> NodeProto {
    node("Loop", &format!("{} _ x", if n.is_empty() { "_" } else { n }), "y")
        .with(body("body", step(&["go2", "t"], nodes)))
}

fn with_loop(n: NodeProto) -> Vec<u8> {
    let numbers = vec![ints("n", &[], &[1 << 20]), ints("all", &[], &[i64::MAX])];
    model(graph(&[("x", &[2])], &["y"], numbers, vec![n]))
}

#[test]
fn iterations_of_nested_loops_multiply() {
    let inner = |n: &str| {
        let nodes = vec![node("Identity", "go", "go3"), node("Neg", "u", "v")];
        let mut inner = graph(&[], &["go3", "v"], vec![], nodes);
        let input = |name: &str| ValueInfoProto { name: name.into(), r#type: None };
        inner.input = ["j", "go", "u"].map(input).to_vec();
        node("Loop", &format!("{n} _ s"), "t").with(body("body", inner))
    };
    let nested = |n: &str, m: &str| looping(n, vec![node("Identity", "go", "go2"), inner(m)]);
    let x = ("x", Tensor::ones(2));
    let want = "expected at most 16777216 iterations of all loops in a call";
    for (n, m) in [("n", "n"), ("all", "n"), ("n", "all"), ("all", "all")] {
        let e = failure(with_loop(nested(n, m)), std::slice::from_ref(&x));
        assert!(e.contains(want), "{n} {m}: {e}");
    }
}

#[test]
fn a_loop_without_an_end_is_an_error() {
    let always = || vec![node("Identity", "go", "go2"), node("Neg", "s", "t")];
    for n in ["", "all"] {
        let session = open(with_loop(looping(n, always())));
        let e = session.run(inputs(&[("x", Tensor::ones(2))])).unwrap_err().to_string();
        let want =
            if n.is_empty() { "a condition that is always true" } else { "at most 16777216" };
        assert!(e.contains(want), "{e}");
    }
}

#[test]
fn a_limit_that_stands_for_none_leaves_the_end_to_the_condition() {
    let nodes = vec![
        node("Add", "s s", "t"),
        node("ReduceMax", "t", "largest").with(int("keepdims", 0)),
        node("Constant", "", "limit").with(crate::testing::float("value_float", 1000.0)),
        node("Less", "largest limit", "go2"),
    ];
    for n in ["", "all", "n"] {
        let session = open(with_loop(looping(n, nodes.clone())));
        for run in [Session::run, Session::run_eagerly] {
            let y = run(&session, inputs(&[("x", Tensor::ones(2))])).unwrap();
            let OnnxValue::Tensor(y) = &y[0] else { panic!("expected a tensor") };
            assert_eq!(y.to_vec::<f32>().unwrap(), [1024.0, 1024.0], "limit `{n}`");
        }
    }
}

#[test]
fn long_loops_that_cannot_be_traced_run_on_the_host() {
    // The carried value is a sequence, which neither a scan nor a compiled loop can carry.
    let nodes = vec![
        node("Identity", "go", "go2"),
        node("SequenceAt", "s zero", "a"),
        node("Neg", "a", "b"),
        node("SequenceConstruct", "b", "t"),
    ];
    let n = node("Loop", "n _ first", "last").with(body("body", step(&["go2", "t"], nodes)));
    let nodes =
        vec![node("SequenceConstruct", "x", "first"), n, node("SequenceAt", "last zero", "y")];
    let count = MAX_TRACED_ITERATIONS as i64 + 1; // an odd number
    let numbers = vec![ints("n", &[], &[count]), ints("zero", &[], &[0])];
    // More elements than those of a constant.
    let session = open(model(graph(&[("x", &[100])], &["y"], numbers, nodes)));
    let y = session.run(inputs(&[("x", Tensor::ones(100))])).unwrap();
    let OnnxValue::Tensor(y) = &y[0] else { panic!("expected a tensor") };
    assert_eq!(y.to_vec::<f32>().unwrap(), [-1.0; 100]);
    assert!(session.plan().contains("host: Loop"), "{}", session.plan());
}

#[test]
fn lengths_of_scans_are_those_of_their_sequences() {
    let scan = |lengths: &[i64]| {
        let mut g = graph(
            &[],
            &["t", "row2"],
            vec![],
            vec![node("Add", "s row", "t"), node("Neg", "row", "row2")],
        );
        let input = |name: &str| ValueInfoProto { name: name.into(), r#type: None };
        g.input = ["s", "row"].map(input).to_vec();
        let n = node("Scan", "lengths zero x", "last rows").with(body("body", g));
        let n = n.with(int("num_scan_inputs", 1));
        let count = lengths.len() as i64;
        let weights = vec![ints("lengths", &[count], lengths), floats("zero", &[2, 1], &[0.0; 2])];
        model_of("", 8, graph(&[("x", &[2, 3, 1])], &["last", "rows"], weights, vec![n]))
    };
    let x = || [("x", Tensor::ones([2, 3, 1]))];
    assert!(open(scan(&[3, 1])).run(inputs(&x())).is_ok());
    for lengths in [&[i64::MIN, 1][..], &[-1, 3], &[4, 3], &[i64::MAX, 0], &[1], &[1, 2, 3]] {
        let e = failure(scan(lengths), &x());
        let want = format!("expected the lengths of 2 sequences, from 0 to 3, got {lengths:?}");
        assert!(e.contains(&want), "{e}");
    }
}
