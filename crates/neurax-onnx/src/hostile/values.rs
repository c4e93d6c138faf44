//! Strings, sequences, sizes and sparse tensors.

use super::{failure, inputs, open, refusal, words};
use crate::limits::MAX_STRING_BYTES;
use crate::proto::{NodeProto, SparseTensorProto, TensorProto};
use crate::testing::{edited, floats, graph, int, ints, model, node};
use crate::{Importer, OnnxValue};
use neurax_tensor::Tensor;
use std::collections::HashMap;

// Strings and sequences.

/// Returns the error of the nodes, of which the last one computes `y`, on strings.
#[track_caller]
fn string_failure(weights: Vec<TensorProto>, nodes: Vec<NodeProto>) -> String {
    let session = open(model(graph(&[], &["y"], weights, nodes)));
    session.run(HashMap::new()).unwrap_err().to_string()
}

#[test]
fn strings_that_multiply_have_a_limit() {
    let want = format!("expected strings of at most {MAX_STRING_BYTES} bytes");
    let cases = [
        vec![
            node("Reshape", "a row", "r"),
            node("Reshape", "a column", "c"),
            node("StringConcat", "r c", "y"),
        ],
        vec![node("Expand", "a size", "y")],
        vec![node("Reshape", "a column", "c"), node("Tile", "c size", "y")],
        vec![node("StringSplit", "b", "parts n"), node("Expand", "parts size3", "y")],
    ];
    for nodes in cases {
        let weights = vec![
            words("a", 20_000, "x"),
            words("b", 1, "x y"),
            ints("row", &[2], &[1, -1]),
            ints("column", &[2], &[-1, 1]),
            ints("size", &[2], &[1 << 20, 20_000]),
            ints("size3", &[3], &[1 << 20, 1 << 20, 2]),
        ];
        let e = string_failure(weights, nodes);
        assert!(e.contains(&want), "{e}");
    }
}

#[test]
fn strings_that_double_have_a_limit() {
    // 1 MiB, doubled in steps of 16: the last step is not made.
    let concat = |x: &str, y: &str| node("Concat", &[x; 16].join(" "), y).with(int("axis", 0));
    let nodes = vec![concat("s", "a"), concat("a", "b"), concat("b", "y")];
    let e = string_failure(vec![words("s", 1, &"ab".repeat(1 << 19))], nodes);
    assert!(e.contains("got 4096 strings that take 4295065600 bytes"), "{e}");
}

#[test]
fn one_string_of_many_parts_does_not_multiply_the_others() {
    let mut many = words("a", 40_000, "x");
    many.string_data[0] = "x ".repeat(40_000).into();
    let e = string_failure(vec![many], vec![node("StringSplit", "a", "y n")]);
    assert!(e.contains("got 1600000000 strings"), "{e}");
}

#[test]
fn sequences_do_not_nest() {
    let nodes = vec![
        node("SequenceConstruct", "x x", "a"),
        node("SequenceConstruct", "a a", "b"),
        node("SequenceLength", "b", "y"),
    ];
    let e = failure(model(graph(&[("x", &[2])], &["y"], vec![], nodes)), &[("x", Tensor::ones(2))]);
    assert!(e.contains("expected tensors as elements of a sequence, got a sequence"), "{e}");
    let nodes = vec![node("Optional", "x", "a"), node("Optional", "a", "b")];
    let nodes = nodes.into_iter().chain([node("OptionalGetElement", "b", "y")]).collect();
    let e = failure(model(graph(&[("x", &[2])], &["y"], vec![], nodes)), &[("x", Tensor::ones(2))]);
    assert!(e.contains("expected a tensor or a sequence as the value of an optional one"), "{e}");
}

#[test]
fn a_tensor_is_not_split_into_millions_of_parts() {
    let nodes = vec![
        node("Expand", "x size", "a"),
        node("SplitToSequence", "a", "b").with(int("keepdims", 0)),
        node("SequenceLength", "b", "y"),
    ];
    let g = graph(&[("x", &[1])], &["y"], vec![ints("size", &[1], &[1 << 21])], nodes);
    let e = failure(model(g), &[("x", Tensor::ones(1))]);
    assert!(e.contains("expected a sequence of at most 1048576 elements, got 2097152"), "{e}");
}

// Sizes.

#[test]
fn sizes_of_parts_do_not_wrap() {
    let sizes = || ints("sizes", &[3], &[i64::MAX, i64::MAX, 6]);
    let split = vec![node("Split", "x sizes", "y a b")];
    let sequence = vec![node("SplitToSequence", "x sizes", "s"), node("SequenceLength", "s", "y")];
    for nodes in [split, sequence] {
        let g = graph(&[("x", &[4])], &["y"], vec![sizes()], nodes);
        let e = failure(model(g), &[("x", Tensor::ones(4))]);
        assert!(e.contains("expected sizes with the sum 4, got [9223372036854775807, "), "{e}");
    }
}

#[test]
fn a_mel_matrix_is_checked_before_it_is_made() {
    let scalar = |name: &str, x: i64| ints(name, &[], &[x]);
    for (bands, length, want) in [
        (1 << 30, 16, "expected at most 65536 bands"),
        (1 << 15, 1 << 20, "expected a table of at most 268435456"),
        (8, i64::MAX, "expected a table of at most 268435456"),
    ] {
        let weights = vec![
            scalar("bands", bands),
            scalar("length", length),
            scalar("rate", 8000),
            floats("low", &[], &[0.0]),
            floats("high", &[], &[4000.0]),
        ];
        let n = node("MelWeightMatrix", "bands length rate low high", "y");
        let e = failure(model(graph(&[], &["y"], weights, vec![n])), &[]);
        assert!(e.contains(want), "{e}");
    }
}

// Sparse tensors.

fn sparse(dims: &[i64], indices: TensorProto, values: &[f32]) -> Vec<u8> {
    let mut g = graph(&[("x", &[1])], &["w"], vec![], vec![]);
    g.sparse_initializer = vec![SparseTensorProto {
        values: Some(floats("w", &[values.len() as i64], values)),
        indices: Some(indices),
        dims: dims.to_vec(),
    }];
    model(g)
}

#[test]
fn indices_of_sparse_tensors_are_those_of_their_axes() {
    let at = |rows: &[i64]| ints("", &[rows.len() as i64 / 2, 2], rows);
    let dense = open(sparse(&[2, 3], at(&[0, 1, 1, 2]), &[5.0, 6.0]));
    let w = dense.run(inputs(&[("x", Tensor::ones(1))])).unwrap();
    let OnnxValue::Tensor(w) = &w[0] else { panic!("expected a tensor") };
    assert_eq!(w.to_vec::<f32>().unwrap(), [0.0, 5.0, 0.0, 0.0, 0.0, 6.0]);
    for rows in [[0, 5], [2, 0], [-1, 4], [i64::MAX, 2], [1, i64::MIN]] {
        let e = refusal(sparse(&[2, 3], at(&rows), &[1.0]));
        let want = format!("the index {rows:?} is out of range for shape [2, 3]");
        assert!(e.contains(&want), "{e}");
    }
    let e = refusal(sparse(&[6], ints("", &[1], &[6]), &[1.0]));
    assert!(e.contains("the index [6] is out of range for shape [6]"), "{e}");
    let e = refusal(sparse(&[6], ints("", &[2], &[0, 1]), &[1.0]));
    assert!(e.contains("expected values [2], one for each index, got f32[1]"), "{e}");
    let narrow =
        TensorProto { data_type: 6, int32_data: vec![1], dims: vec![1], ..Default::default() };
    assert!(refusal(sparse(&[6], narrow, &[1.0])).contains("expected indices of i64, got i32[1]"));
}

#[test]
fn sparse_tensors_are_not_made_dense_in_any_size() {
    let none = || ints("", &[0], &[]);
    for dims in [&[1 << 28][..], &[1 << 20, 1 << 20], &[1 << 62], &[1 << 32, 1 << 32]] {
        let e = refusal(sparse(dims, none(), &[]));
        assert!(e.contains("sparse tensors") || e.contains("too many elements"), "{e}");
    }
    assert!(Importer::new().open_bytes(sparse(&[1 << 20], none(), &[])).is_ok());
    // Many of them take their bytes together.
    let many = edited(sparse(&[1 << 20], none(), &[]), |m| {
        let all = &mut m.graph.as_mut().unwrap().sparse_initializer;
        let one = all[0].clone();
        for i in 0..100 {
            let mut other = one.clone();
            other.values.as_mut().unwrap().name = format!("w{i}");
            all.push(other);
        }
    });
    assert!(refusal(many).contains("expected sparse tensors that take at most"));
}
