//! Faults of importers in the wild, and the behaviour of a right importer.
//!
//! Files of exporters have properties that importers often do not expect: empty names, sizes that
//! are not true, shapes that are computed. There are 24 such quirks, by number in the comments of
//! the tests. All models here are run compiled and node by node, and the results are compared.

mod bodies;
mod operators;
mod shapes;
mod weights;

use crate::proto::{GraphProto, NodeProto, ValueInfoProto};
use crate::testing::{graph, model, model_of};
use crate::{Importer, OnnxValue, Session};
use neurax_tensor::Tensor;
use std::collections::HashMap;

/// Opens a model in memory.
fn open(file: Vec<u8>) -> Session {
    Importer::new().open_bytes(file).unwrap()
}

/// Returns why a model cannot be opened.
fn refusal(file: Vec<u8>) -> String {
    Importer::new().open_bytes(file).unwrap_err().to_string()
}

fn values(xs: &[(&str, Tensor)]) -> HashMap<String, OnnxValue> {
    xs.iter().map(|(name, x)| (name.to_string(), OnnxValue::Tensor(x.clone()))).collect()
}

/// Returns the results of a model, which are tensors, for inputs by name.
#[track_caller]
fn run(session: &Session, xs: &[(&str, Tensor)]) -> Vec<Tensor> {
    let tensors = |ys: Vec<OnnxValue>| -> Vec<Tensor> {
        let tensor = |y| match y {
            OnnxValue::Tensor(y) => y,
            other => panic!("expected a tensor, got {other:?}"),
        };
        ys.into_iter().map(tensor).collect()
    };
    let ys = tensors(session.run(values(xs)).unwrap());
    for (y, eager) in ys.iter().zip(tensors(session.run_eagerly(values(xs)).unwrap())) {
        assert_eq!(y.dtype(), eager.dtype(), "compiled and eager results differ");
        assert_tensor(y, &eager.shape(), &numbers(&eager));
    }
    ys
}

/// Returns the results of a graph of opset 21.
#[track_caller]
fn results(g: GraphProto, xs: &[(&str, Tensor)]) -> Vec<Tensor> {
    run(&open(model(g)), xs)
}

/// Returns why a model fails for inputs.
fn failure(session: &Session, xs: &[(&str, Tensor)]) -> String {
    let why = session.run(values(xs)).unwrap_err().to_string();
    session.run_eagerly(values(xs)).unwrap_err();
    why
}

/// Returns the file of a model of one node, whose inputs are those of the model, in an opset.
fn one_node(version: i64, n: NodeProto, xs: &[(&str, Tensor)]) -> Vec<u8> {
    let outputs = n.output.clone();
    let outputs: Vec<&str> = outputs.iter().map(String::as_str).filter(|y| !y.is_empty()).collect();
    let input =
        |(name, _): &(&str, Tensor)| ValueInfoProto { name: name.to_string(), r#type: None };
    let mut g = graph(&[], &outputs, vec![], vec![n]);
    g.input = xs.iter().map(input).collect();
    model_of("", version, g)
}

/// Returns the results of a node in an opset.
#[track_caller]
fn calls(version: i64, n: NodeProto, xs: &[(&str, Tensor)]) -> Vec<Tensor> {
    run(&open(one_node(version, n, xs)), xs)
}

/// Returns the first result of a node in opset 21.
#[track_caller]
fn call(n: NodeProto, xs: &[(&str, Tensor)]) -> Tensor {
    calls(21, n, xs).remove(0)
}

fn numbers(x: &Tensor) -> Vec<f64> {
    x.to_literal().unwrap().to_f64s()
}

/// Checks the shape and the elements of a tensor.
#[track_caller]
fn assert_tensor(x: &Tensor, shape: &[usize], want: &[f64]) {
    let got = numbers(x);
    let is_close = |(g, w): (&f64, &f64)| g == w || (g - w).abs() <= 1e-5 * w.abs().max(1.0);
    let is_same = got.len() == want.len() && got.iter().zip(want).all(is_close);
    assert!(x.shape()[..] == *shape && is_same, "expected {want:?} {shape:?}, got {got:?} {x:?}");
}
