//! Tests of optimized files.

use super::*;
use crate::proto::AttributeProto;
use crate::testing::{external, floats, graph, int, ints, model, node};
use crate::{OnnxValue, Session};
use neurax::prelude::*;
use prost::Message;
use std::path::PathBuf;

/// A folder that is removed with its files.
struct TestFolder(PathBuf);

impl TestFolder {
    fn new(name: &str) -> TestFolder {
        let name = format!("neurax-optimize-{}-{name}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        TestFolder(folder)
    }

    /// Optimizes a model, and returns both.
    fn optimized(&self, file: Vec<u8>) -> [Session; 2] {
        let [old, new] = ["old.onnx", "new.onnx"].map(|name| self.0.join(name));
        std::fs::write(&old, file).unwrap();
        optimize(&old, &new).unwrap();
        [old, new].map(|path| Importer::new().open(path).unwrap())
    }
}

impl Drop for TestFolder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn outputs(session: &Session, x: &Tensor) -> Vec<Tensor> {
    let inputs = HashMap::from([("x".to_string(), OnnxValue::Tensor(x.clone()))]);
    let tensor = |y| match y {
        OnnxValue::Tensor(y) => y,
        other => panic!("{other:?}"),
    };
    session.run(inputs).unwrap().into_iter().map(tensor).collect()
}

/// Checks that both models compute the same, and returns the operators of the second one.
fn same([old, new]: &[Session; 2], x: Tensor) -> Vec<String> {
    for (a, b) in outputs(old, &x).iter().zip(&outputs(new, &x)) {
        assert_eq!(a.ty().unwrap(), b.ty().unwrap());
        assert!(a.allclose(b, 1e-5, 1e-6).item().unwrap() == 1.0, "{a} {b}");
    }
    new.info().operators.iter().map(|(name, count)| format!("{count} {name}")).collect()
}

#[test]
fn constants_are_computed_and_identities_dropped() {
    let of_ints = |ints: &[i64]| AttributeProto::of_ints("value_ints", ints.iter().copied());
    let nodes = vec![
        node("Constant", "", "three").with(of_ints(&[3])),
        node("Concat", "minus_one three", "target").with(int("axis", 0)),
        node("Transpose", "w", "t"),
        node("Identity", "x", "same"),
        node("MatMul", "same t", "p"),
        node("Dropout", "p", "kept"),
        node("Reshape", "kept target", "r"),
        node("Identity", "r", "y"),
        node("Exp", "p", "unused"),
    ];
    let weights =
        vec![floats("w", &[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), ints("minus_one", &[1], &[-1])];
    let folder = TestFolder::new("constants");
    let both = folder.optimized(model(graph(&[("x", &[-1, 2])], &["y"], weights, nodes)));
    let operators = same(&both, tensor([[1.0, 2.0], [3.0, 4.0]]));
    assert_eq!(operators, ["1 Identity", "1 MatMul", "1 Reshape"], "outputs keep their names");
    assert_eq!(both[1].info().initializers, 2, "the transposed weights and the shape");
}

#[test]
fn normalizations_are_folded_into_convolutions_with_one_reader() {
    let weights = || {
        let vector = |name: &str, x: f32| floats(name, &[2], &[x, 2.0 * x]);
        let w = floats("w", &[2, 1, 2, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        vec![w, vector("scale", 0.5), vector("bias", 3.0), vector("mean", -1.0), vector("var", 2.0)]
    };
    let norm = || node("BatchNormalization", "c scale bias mean var", "n");
    let conv = || node("Conv", "x w", "c");
    let x = key(0).normal([2, 1, 4, 5]);
    let inputs: &[(&str, &[i64])] = &[("x", &[-1, 1, 4, 5])];
    let folder = TestFolder::new("norms");
    let nodes = vec![conv(), norm(), node("Relu", "n", "y")];
    let both = folder.optimized(model(graph(inputs, &["y"], weights(), nodes)));
    assert_eq!(same(&both, x.clone()), ["1 Conv", "1 Relu"]);
    let nodes = vec![conv(), norm(), node("Add", "n c", "y")];
    let both = folder.optimized(model(graph(inputs, &["y"], weights(), nodes)));
    assert_eq!(same(&both, x), ["1 Add", "1 BatchNormalization", "1 Conv"]);
}

#[test]
fn what_would_grow_or_is_random_or_quantized_stays() {
    let nodes = vec![
        node("Expand", "one size", "wide"),
        node("RandomNormalLike", "one", "noise").with(int("seed", 1)),
        node("DequantizeLinear", "q scale", "w"),
        node("Mul", "x w", "p"),
        node("Add", "p noise", "s"),
        node("Add", "s wide", "y"),
    ];
    let mut q = ints("q", &[1], &[5]);
    (q.data_type, q.int64_data, q.int32_data) = (3, vec![], vec![5]);
    let weights = vec![
        floats("one", &[1], &[1.0]),
        ints("size", &[1], &[2000]),
        q,
        floats("scale", &[], &[0.5]),
    ];
    let folder = TestFolder::new("stays");
    let file = model(graph(&[("x", &[2000])], &["y"], weights, nodes));
    let [old, new] = folder.optimized(file);
    assert_eq!(old.info().operators, new.info().operators);
}

#[test]
fn models_with_steps_on_the_host_and_bodies_are_kept() {
    let then = graph(&[], &["a"], vec![], vec![node("Neg", "gone", "a")]);
    let other = graph(&[], &["b"], vec![], vec![node("Identity", "kept", "b")]);
    let branch = node("If", "any", "z")
        .with(AttributeProto::of_graph("then_branch", then))
        .with(AttributeProto::of_graph("else_branch", other));
    let nodes = vec![
        node("Add", "one one", "two"),
        node("Greater", "x two", "mask"),
        node("NonZero", "mask", "places"),
        node("Transpose", "places", "rows"),
        node("GatherND", "x rows", "kept"),
        node("Neg", "kept", "gone"),
        node("Size", "kept", "count"),
        node("Cast", "count", "any").with(int("to", 9)),
        branch,
        node("Mul", "z two", "y"),
    ];
    let folder = TestFolder::new("host");
    let file = model(graph(&[("x", &[4])], &["y"], vec![floats("one", &[1], &[1.0])], nodes));
    let both = folder.optimized(file);
    for x in [[1.0, 3.0, 4.0, 0.0], [0.0, 0.0, 0.0, 0.0]] {
        let operators = same(&both, tensor(x));
        assert!(!operators.contains(&"1 Add".to_string()), "{operators:?}");
    }
}

#[test]
fn overridable_initializers_are_no_constants() {
    let nodes = vec![node("Neg", "w", "n"), node("Add", "x n", "y")];
    let mut g = graph(&[("x", &[2]), ("w", &[2])], &["y"], vec![], nodes);
    g.initializer.push(floats("w", &[2], &[1.0, 2.0]));
    let folder = TestFolder::new("defaults");
    let [_, new] = folder.optimized(model(g));
    let inputs = [("x", tensor([0.0, 0.0])), ("w", tensor([5.0, 7.0]))];
    let inputs = inputs.map(|(n, x)| (n.to_string(), OnnxValue::Tensor(x)));
    let y = new.run(HashMap::from(inputs)).unwrap();
    let Some(OnnxValue::Tensor(y)) = y.first() else { panic!("{y:?}") };
    assert_eq!(y.to_vec::<f32>().unwrap(), [-5.0, -7.0]);
}

#[test]
fn external_data_are_copied_beside_the_new_file_and_never_replaced() {
    let folder = TestFolder::new("external");
    let data: Vec<u8> = [1f32, 2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    std::fs::write(folder.0.join("new.onnx.data"), data).unwrap();
    let w = external("w", 1, &[2], &[("location", "new.onnx.data")]);
    let nodes = vec![node("Neg", "w", "n"), node("Mul", "x w", "p"), node("Add", "p n", "y")];
    let old = folder.0.join("old.onnx");
    std::fs::write(&old, model(graph(&[("x", &[2])], &["y"], vec![w], nodes))).unwrap();
    for name in ["new.onnx", "new.onnx.data"] {
        let e = optimize(&old, folder.0.join(name)).unwrap_err();
        assert!(e.message().contains("use another name"), "{e}");
    }
    let inner = folder.0.join("inner");
    std::fs::create_dir_all(&inner).unwrap();
    optimize(&old, inner.join("small.onnx")).unwrap();
    std::fs::remove_file(folder.0.join("new.onnx.data")).unwrap();
    let new = Importer::new().open(inner.join("small.onnx")).unwrap();
    assert_eq!(outputs(&new, &tensor([3.0, 3.0]))[0].to_vec::<f32>().unwrap(), [2.0, 4.0]);
    assert_eq!(new.info().operators.keys().collect::<Vec<_>>(), ["Add", "Mul"]);
}

/// Up to version 3 of the format, initializers are inputs, too: those that are folded must not stay
/// as inputs without a value.
#[test]
fn initializers_of_old_files_do_not_become_inputs() {
    let weights = vec![floats("w", &[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])];
    let nodes = vec![node("Transpose", "w", "t"), node("MatMul", "x t", "y")];
    let inputs: &[(&str, &[i64])] = &[("x", &[1, 2]), ("w", &[3, 2])];
    let file = model(graph(inputs, &["y"], weights, nodes));
    let mut old = ModelProto::decode(&file[..]).unwrap();
    old.ir_version = 3;
    let both = TestFolder::new("version").optimized(old.encode_to_vec());
    assert_eq!(same(&both, tensor([[1.0, 2.0]])), ["1 MatMul"]);
    assert_eq!(both[1].info().inputs.len(), 1, "{:?}", both[1].info().inputs);
    assert!(both[1].info().ir_version >= 4);
}
