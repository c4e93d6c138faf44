//! Intact models and values, which tests damage: a few of each kind of message, and those of the
//! tests of ONNX backends in the folder that `NEURAX_FUZZ_MODELS` names.

use crate::conformance::{read_value, tests};
use crate::proto::{
    AttributeProto, GraphProto, MapProto, NodeProto, OptionalProto, SequenceProto,
    SparseTensorProto, StringEntry, TensorProto,
};
use crate::testing::{
    body, edited, float_list, floats, function, graph, int, int_list, ints, model, model_of, node,
    raw, reference, string, string_list, value,
};
use crate::{Importer, OnnxValue};
use neurax_tensor::{DType, Tensor};
use prost::Message;
use std::collections::HashMap;
use std::path::Path;

/// A model, and inputs for it.
pub(super) struct IntactModel {
    pub(super) file: Vec<u8>,
    pub(super) inputs: HashMap<String, OnnxValue>,
}

/// Returns the models of this file and of the folder.
pub(super) fn intact_models() -> Vec<IntactModel> {
    let mut all: Vec<IntactModel> = models().into_iter().map(with_ones).collect();
    if let Some(folder) = std::env::var_os("NEURAX_FUZZ_MODELS") {
        let folder = Path::new(&folder);
        let read: Vec<_> = tests(folder).unwrap().iter().filter_map(|t| backend_test(t)).collect();
        println!("{} models of {}", read.len(), folder.display());
        all.extend(read);
    }
    all
}

/// Returns a model with ones as inputs.
fn with_ones(file: Vec<u8>) -> IntactModel {
    let session = Importer::new().open_bytes(file.clone()).unwrap();
    let shape = |name: &str| match name {
        "go" => vec![],
        "image" => vec![1, 1, 4, 4],
        "steps" => vec![3, 1, 2],
        _ => vec![2, 3],
    };
    let ones = |name: &str| {
        let dtype = if name == "go" { DType::Bool } else { DType::F32 };
        (name.to_string(), OnnxValue::Tensor(Tensor::ones(shape(name)).to(dtype)))
    };
    let inputs: HashMap<String, OnnxValue> = session.inputs().map(ones).collect();
    session.run(inputs.clone()).unwrap();
    IntactModel { file, inputs }
}

/// Reads a test of ONNX backends, unless it has large inputs.
fn backend_test(test: &Path) -> Option<IntactModel> {
    let file = std::fs::read(test.join("model.onnx")).ok().filter(|file| file.len() < 100_000)?;
    let session = Importer::new().open_bytes(file.clone()).ok()?;
    let set = test.join("test_data_set_0");
    let mut inputs = HashMap::new();
    for (i, name) in session.inputs().enumerate() {
        let path = set.join(format!("input_{i}.pb"));
        if path.metadata().is_ok_and(|m| m.len() < 100_000) {
            inputs.insert(name.to_string(), read_value(&path, session.input_type(i)).ok()?);
        }
    }
    Some(IntactModel { file, inputs })
}

/// Returns the files of models of different parts.
pub(super) fn models() -> Vec<Vec<u8>> {
    vec![
        looping(),
        nested_loops(),
        repeated_strings(),
        branching(),
        host_steps(),
        scanning(),
        with_function(),
        kinds_of_weights(),
        values_that_are_no_tensors(),
        network(),
        recurrent(),
        trees(),
        labels(),
    ]
}

fn looping() -> Vec<u8> {
    let step = graph(
        &[("i", &[]), ("go", &[]), ("s", &[2, 3])],
        &["go2", "s2", "s3"],
        vec![],
        vec![node("Identity", "go", "go2"), node("Add", "s x", "s2"), node("Neg", "s2", "s3")],
    );
    model(graph(
        &[("x", &[2, 3])],
        &["y", "all"],
        vec![ints("n", &[], &[3])],
        vec![node("Loop", "n _ x", "y all").with(body("body", step))],
    ))
}

/// Returns a model with a loop inside of another one, whose condition depends on data.
fn nested_loops() -> Vec<u8> {
    let inner = graph(
        &[("j", &[]), ("go", &[]), ("t", &[2, 3])],
        &["more", "t2"],
        vec![floats("limit", &[], &[9.0])],
        vec![
            node("Add", "t x", "t2"),
            node("ReduceMax", "t2", "largest").with(int("keepdims", 0)),
            node("Less", "largest limit", "more"),
        ],
    );
    let outer = graph(
        &[("i", &[]), ("go", &[]), ("s", &[2, 3])],
        &["go2", "s2"],
        vec![],
        vec![node("Identity", "go", "go2"), node("Loop", "m go s", "s2").with(body("body", inner))],
    );
    model(graph(
        &[("x", &[2, 3])],
        &["y"],
        vec![ints("n", &[], &[3]), ints("m", &[], &[5])],
        vec![node("Loop", "n _ x", "y").with(body("body", outer))],
    ))
}

/// Returns a model whose strings become more and longer.
fn repeated_strings() -> Vec<u8> {
    let words = TensorProto {
        name: "words".into(),
        data_type: 8,
        dims: vec![2, 1],
        string_data: vec!["a b".to_string().into(), "c".to_string().into()],
        ..TensorProto::default()
    };
    model(graph(
        &[("x", &[2, 3])],
        &["y", "n", "x"],
        vec![words, ints("shape", &[2], &[1, 3]), ints("times", &[2], &[2, 2])],
        vec![
            node("Expand", "words shape", "a"),
            node("Tile", "a times", "b"),
            node("StringConcat", "b b", "c"),
            node("Concat", "c c", "d").with(int("axis", 0)),
            node("Transpose", "d", "e"),
            node("StringSplit", "e", "y n").with(string("delimiter", " ")),
        ],
    ))
}

fn branching() -> Vec<u8> {
    let branch = |op: &str| graph(&[], &["z"], vec![], vec![node(op, "x", "z")]);
    model(graph(
        &[("x", &[2, 3])],
        &["y"],
        vec![floats("zero", &[1], &[0.0])],
        vec![
            node("ReduceSum", "x", "sum").with(int("keepdims", 0)),
            node("Greater", "sum zero", "pred"),
            node("If", "pred", "y")
                .with(body("then_branch", branch("Neg")))
                .with(body("else_branch", branch("Abs"))),
        ],
    ))
}

/// Returns a model with sizes that depend on data.
fn host_steps() -> Vec<u8> {
    model(graph(
        &[("x", &[2, 3])],
        &["y"],
        vec![
            floats("w", &[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
            ints("shape", &[2], &[1, -1]),
            ints("pads", &[4], &[0, 1, 0, 1]),
        ],
        vec![
            node("MatMul", "x w", "a"),
            node("Pad", "a pads", "b"),
            node("Reshape", "b shape", "c"),
            node("NonZero", "c", "d"),
            node("Transpose", "d", "e"),
            node("GatherND", "c e", "y"),
        ],
    ))
}

fn scanning() -> Vec<u8> {
    let step = graph(
        &[("s", &[3]), ("row", &[3])],
        &["s2", "out"],
        vec![],
        vec![node("Add", "s row", "s2"), node("Mul", "s2 row", "out")],
    );
    let scan = node("Scan", "zero x", "last rows").with(body("body", step));
    let scan = scan.with(int("num_scan_inputs", 1)).with(int_list("scan_input_directions", &[1]));
    model(graph(
        &[("x", &[2, 3])],
        &["last", "rows"],
        vec![floats("zero", &[3], &[0.0; 3])],
        vec![scan],
    ))
}

fn with_function() -> Vec<u8> {
    let call = |y: &str, alpha: f32| {
        let call = node("Twice", "x", y).with(crate::testing::float("alpha", alpha));
        NodeProto { domain: "local".into(), ..call }
    };
    let file = model(graph(
        &[("x", &[2, 3])],
        &["y"],
        vec![],
        vec![call("a", 0.5), call("b", 0.25), node("Sub", "a b", "y")],
    ));
    edited(file, |m| {
        let inner = node("LeakyRelu", "x", "a").with(reference("alpha", 1, "alpha"));
        let mut f = function("Twice", 21, "x", "y", vec![inner, node("Add", "a a", "y")]);
        f.attribute = vec!["alpha".into()];
        m.functions = vec![f];
        m.opset_import.push(crate::proto::OperatorSetId { domain: "local".into(), version: 1 });
        m.metadata_props = vec![StringEntry { key: "author".into(), value: "a test".into() }];
    })
}

/// Returns a model whose weights are in each field of tensors, packed, raw, sparse and constant.
fn kinds_of_weights() -> Vec<u8> {
    let typed = |name: &str, data_type, dims: &[i64]| TensorProto {
        name: name.into(),
        data_type,
        dims: dims.to_vec(),
        ..TensorProto::default()
    };
    let initializers = vec![
        raw("f16", 10, &[2, 1], &[0, 0x3c, 0, 0x40]),
        raw("i4", 22, &[3], &[0x21, 0x03]),
        TensorProto { int32_data: vec![1, 2, 255], ..typed("u8", 2, &[3]) },
        TensorProto { double_data: vec![0.5; 3], ..typed("f64", 11, &[3]) },
        TensorProto { uint64_data: vec![1, 2, 3], ..typed("u64", 13, &[3]) },
    ];
    let cast = |x: &str| node("Cast", x, &format!("{x}f")).with(int("to", 1));
    let mut nodes: Vec<NodeProto> = initializers.iter().map(|t| cast(&t.name)).collect();
    nodes.push(node("Constant", "", "c").with(value("value", floats("", &[3], &[1.0, 2.0, 3.0]))));
    nodes.push(node("Sum", "f16f i4f u8f f64f u64f c sparse x", "y"));
    let mut g = graph(&[("x", &[2, 3])], &["y"], initializers, nodes);
    g.sparse_initializer = vec![SparseTensorProto {
        values: Some(floats("sparse", &[2], &[1.0, 2.0])),
        indices: Some(ints("", &[2, 2], &[0, 1, 1, 2])),
        dims: vec![2, 3],
    }];
    model(g)
}

fn values_that_are_no_tensors() -> Vec<u8> {
    let words = TensorProto {
        name: "words".into(),
        data_type: 8,
        dims: vec![2],
        string_data: vec!["a b".to_string().into(), "c".to_string().into()],
        ..TensorProto::default()
    };
    model(graph(
        &[("x", &[2, 3])],
        &["y", "parts", "n"],
        vec![words, ints("one", &[], &[1])],
        vec![
            node("SequenceConstruct", "x x", "list"),
            node("SequenceInsert", "list x one", "longer"),
            node("ConcatFromSequence", "longer", "y").with(int("axis", 0)),
            node("StringSplit", "words", "parts n").with(string("delimiter", " ")),
        ],
    ))
}

fn network() -> Vec<u8> {
    let conv = node("Conv", "image k", "a").with(int_list("pads", &[1, 1, 1, 1]));
    model(graph(
        &[("image", &[1, 1, 4, 4])],
        &["y"],
        vec![
            floats("k", &[2, 1, 3, 3], &[0.1; 18]),
            floats("s", &[2], &[1.0; 2]),
            raw("q", 3, &[8, 2], &[3; 16]),
            floats("scale", &[], &[0.5]),
            floats("sizes", &[4], &[1.0, 1.0, 0.5, 0.5]),
        ],
        vec![
            conv.with(int_list("kernel_shape", &[3, 3])),
            node("BatchNormalization", "a s s s s", "b"),
            node("Relu", "b", "c"),
            node("Resize", "c _ sizes", "d").with(string("mode", "nearest")),
            node("Flatten", "d", "e"),
            node("DequantizeLinear", "q scale", "w"),
            node("Einsum", "e w", "y").with(string("equation", "ij,jk->ik")),
        ],
    ))
}

fn recurrent() -> Vec<u8> {
    let lstm = node("LSTM", "steps w r b", "all last cell").with(int("hidden_size", 2));
    model(graph(
        &[("steps", &[3, 1, 2])],
        &["all", "last", "cell"],
        vec![
            floats("w", &[1, 8, 2], &[0.1; 16]),
            floats("r", &[1, 8, 2], &[0.2; 16]),
            floats("b", &[1, 16], &[0.3; 16]),
        ],
        vec![
            lstm.with(string("direction", "forward"))
                .with(string_list("activations", &["Sigmoid", "Tanh", "Tanh"])),
        ],
    ))
}

/// Returns a model of a node of the domain `ai.onnx.ml`.
fn ml(op: &str, version: i64, attributes: Vec<AttributeProto>, g: GraphProto) -> Vec<u8> {
    let (mut n, mut g) = (node(op, "x", "y"), g);
    (n.domain, n.attribute) = ("ai.onnx.ml".into(), attributes);
    g.node = vec![n];
    model_of("ai.onnx.ml", version, g)
}

fn trees() -> Vec<u8> {
    let attributes = vec![
        int_list("nodes_treeids", &[0, 0, 0]),
        int_list("nodes_nodeids", &[0, 1, 2]),
        int_list("nodes_featureids", &[1, 0, 0]),
        float_list("nodes_values", &[0.5, 0.0, 0.0]),
        string_list("nodes_modes", &["BRANCH_LEQ", "LEAF", "LEAF"]),
        int_list("nodes_truenodeids", &[1, 0, 0]),
        int_list("nodes_falsenodeids", &[2, 0, 0]),
        int_list("target_treeids", &[0, 0]),
        int_list("target_nodeids", &[1, 2]),
        int_list("target_ids", &[0, 0]),
        float_list("target_weights", &[1.0, 2.0]),
        int("n_targets", 1),
    ];
    ml("TreeEnsembleRegressor", 3, attributes, graph(&[("x", &[2, 3])], &["y"], vec![], vec![]))
}

fn labels() -> Vec<u8> {
    let attributes = vec![
        float_list("keys_floats", &[1.0, 2.0]),
        string_list("values_strings", &["one", "two"]),
        string("default_string", "none"),
    ];
    ml("LabelEncoder", 2, attributes, graph(&[("x", &[2, 3])], &["y"], vec![], vec![]))
}

/// Returns files of values, as test data have them.
pub(super) fn values() -> Vec<Vec<u8>> {
    let tensors = SequenceProto {
        elem_type: 1,
        tensor_values: vec![floats("a", &[2], &[1.0, 2.0]), raw("b", 22, &[3], &[0x21, 3])],
        ..SequenceProto::default()
    };
    let map = MapProto {
        key_type: 8,
        string_keys: vec!["a".to_string().into(), "b".to_string().into()],
        values: Some(tensors.clone()),
        ..MapProto::default()
    };
    let maps = SequenceProto { elem_type: 4, map_values: vec![map], ..SequenceProto::default() };
    let optional = OptionalProto {
        elem_type: 3,
        sequence_value: Some(tensors.clone()),
        ..OptionalProto::default()
    };
    vec![
        ints("n", &[3], &[1, 2, 3]).encode_to_vec(),
        tensors.encode_to_vec(),
        maps.encode_to_vec(),
        optional.encode_to_vec(),
    ]
}
