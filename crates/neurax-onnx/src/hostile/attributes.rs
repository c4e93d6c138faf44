//! Attributes and inputs that an operator does not have.

use super::{failure, inputs, open, words};
use crate::proto::{AttributeProto, NodeProto, TensorProto, ValueInfoProto};
use crate::testing::{
    body, declared, floats, graph, int, int_list, ints, model, model_of, node, string,
};
use crate::{OnnxValue, Strings};
use neurax_tensor::{DType, Tensor};
use std::collections::HashMap;

#[test]
fn types_and_flags_are_read() {
    let x = || [("x", Tensor::ones(2))];
    let file = |n: NodeProto| model(graph(&[("x", &[2])], &["y"], vec![], vec![n]));
    let e = failure(file(node("ReduceSum", "x", "y").with(int("keepdims", 2))), &x());
    assert!(e.contains("expected 0 or 1 as attribute `keepdims`, got 2"), "{e}");
    let empty = vec![
        node("SequenceEmpty", "", "s").with(int("dtype", 99)),
        node("SequenceLength", "s", "y"),
    ];
    let e = failure(model(graph(&[("x", &[2])], &["y"], vec![], empty)), &x());
    assert!(e.contains("expected the number of a dtype, got 99"), "{e}");
    let bounded = |low: TensorProto| {
        model(graph(&[("x", &[2])], &["y"], vec![low], vec![node("Clip", "x low", "y")]))
    };
    let e = failure(bounded(ints("low", &[], &[0])), &x());
    assert!(e.contains("expected one dtype, got f32[2] and "), "{e}");
    let e = failure(bounded(floats("low", &[2], &[0.0, 1.0])), &x());
    assert!(e.contains("expected one number as `min`, got f32[2]"), "{e}");
    let narrow = |stash: i64| {
        let f16 = |name: &str| node("Cast", name, &format!("{name}16")).with(int("to", 10));
        let range = node("Range", "a16 b16 c16", "y").with(int("stash_type", stash));
        let numbers = [("a", 0.0), ("b", 3.0), ("c", 1.0)].map(|(n, x)| floats(n, &[], &[x]));
        let nodes = vec![f16("a"), f16("b"), f16("c"), range];
        model_of("", 27, graph(&[("x", &[2])], &["y"], numbers.to_vec(), nodes))
    };
    let e = failure(narrow(7), &x());
    assert!(e.contains("expected f32 or f64 as `stash_type`, got i64"), "{e}");
    let y = open(narrow(11)).run(inputs(&x())).unwrap();
    let OnnxValue::Tensor(y) = &y[0] else { panic!("expected a tensor") };
    assert_eq!((y.dtype(), y.to_literal().unwrap().to_f64s()), (DType::F16, vec![0.0, 1.0, 2.0]));
}

#[test]
fn optional_values_have_the_type_of_the_attribute() {
    let optional = |n: NodeProto, elem_type: i32| {
        let t = declared("", elem_type, &[]).r#type;
        let a = AttributeProto { name: "type".into(), tp: t, r#type: 13, ..Default::default() };
        let nodes = vec![n.with(a), node("OptionalHasElement", "o", "y")];
        model(graph(&[("x", &[2])], &["y"], vec![], nodes))
    };
    let x = || [("x", Tensor::ones(2))];
    for (xs, has) in [("", 0.0), ("x", 1.0)] {
        let y = open(optional(node("Optional", xs, "o"), 1)).run(inputs(&x())).unwrap();
        let OnnxValue::Tensor(y) = &y[0] else { panic!("expected a tensor") };
        assert_eq!(y.item().unwrap(), has);
    }
    let e = failure(optional(node("Optional", "x", "o"), 7), &x());
    assert!(e.contains("as the value of an optional one, got f32[2]"), "{e}");
    let e = failure(optional(node("Optional", "", "o"), 99), &x());
    assert!(e.contains("expected the number of a dtype, got 99"), "{e}");
    let nodes = vec![node("Optional", "", "o"), node("OptionalHasElement", "o", "y")];
    let e = failure(model(graph(&[("x", &[2])], &["y"], vec![], nodes)), &x());
    assert!(e.contains("expected an input or the attribute `type`, got neither"), "{e}");
}

#[test]
fn directions_of_scans_are_0_or_1() {
    let scan = |name: &str, directions: &[i64]| {
        let mut g = graph(&[], &["row2"], vec![], vec![node("Neg", "row", "row2")]);
        g.input = vec![ValueInfoProto { name: "row".into(), r#type: None }];
        let n = node("Scan", "x", "y").with(body("body", g)).with(int("num_scan_inputs", 1));
        model(graph(&[("x", &[2])], &["y"], vec![], vec![n.with(int_list(name, directions))]))
    };
    let x = || [("x", Tensor::ones(2))];
    for name in ["scan_input_directions", "scan_output_directions"] {
        assert!(open(scan(name, &[1])).run(inputs(&x())).is_ok());
        let e = failure(scan(name, &[2]), &x());
        assert!(e.contains("expected 0 or 1 as a direction of a scan, got 2"), "{e}");
        let e = failure(scan(name, &[1, 0]), &x());
        assert!(
            e.contains(&format!("expected 1 numbers as attribute `{name}`, got [1, 0]")),
            "{e}"
        );
    }
}

#[test]
fn parts_are_equal_before_version_18_and_one_for_each_output() {
    let parts = |version: i64, outputs: &str| {
        model_of(
            "",
            version,
            graph(&[("x", &[5])], &["y"], vec![], vec![node("Split", "x", outputs)]),
        )
    };
    let x = || [("x", Tensor::ones(5))];
    let e = failure(parts(13, "y z"), &x());
    assert!(e.contains("expected 2 equal parts of 5 elements"), "{e}");
    assert!(open(parts(18, "y z")).run(inputs(&x())).is_ok());
    let sizes = ints("sizes", &[2], &[2, 3]);
    let g = graph(&[("x", &[5])], &["y"], vec![sizes], vec![node("Split", "x sizes", "y")]);
    let e = failure(model(g), &x());
    assert!(e.contains("expected 1 sizes, one for each output, got [2, 3]"), "{e}");
}

#[test]
fn strings_are_padded() {
    let run = |mode: &str, fill: &str| {
        let n = node("Pad", "a pads fill", "y").with(string("mode", mode));
        let weights =
            vec![words("a", 2, "ab"), words("fill", 1, fill), ints("pads", &[2], &[1, 1])];
        let y = open(model(graph(&[], &["y"], weights, vec![n]))).run(HashMap::new()).unwrap();
        let OnnxValue::Strings(y) = y[0].clone() else { panic!("expected strings") };
        y
    };
    let want = |all: [&str; 4]| Strings::new([4], all.map(String::from).to_vec()).unwrap();
    assert_eq!(run("constant", "-"), want(["-", "ab", "ab", "-"]));
    assert_eq!(run("edge", "-"), want(["ab"; 4]));
}
