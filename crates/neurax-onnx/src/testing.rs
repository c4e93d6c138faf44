//! Models for tests, written as messages.

use crate::proto::{
    AttributeProto, DataLocation, Dimension, DimensionProto, FunctionProto, GraphProto, ModelProto,
    NodeProto, OperatorSetId, ShapeProto, StringEntry, TensorProto, TensorType, TypeProto,
    TypeValue, ValueInfoProto,
};
use prost::Message;

/// Returns the file of a model of opset 21.
pub(crate) fn model(graph: GraphProto) -> Vec<u8> {
    model_of("", 21, graph)
}

/// Returns the file of a model of an operator set.
pub(crate) fn model_of(domain: &str, version: i64, graph: GraphProto) -> Vec<u8> {
    let mut opset_import = vec![OperatorSetId { domain: domain.into(), version }];
    if !domain.is_empty() {
        opset_import.push(OperatorSetId { domain: String::new(), version: 21 });
    }
    let graph = Some(graph);
    ModelProto { ir_version: 10, graph, opset_import, ..ModelProto::default() }.encode_to_vec()
}

/// Returns a graph. Inputs are `name` or `name: sizes`, f32.
pub(crate) fn graph(
    inputs: &[(&str, &[i64])],
    outputs: &[&str],
    initializers: Vec<TensorProto>,
    node: Vec<NodeProto>,
) -> GraphProto {
    let output = |name: &&str| ValueInfoProto { name: name.to_string(), r#type: None };
    GraphProto {
        input: inputs.iter().map(|(name, sizes)| input(name, sizes)).collect(),
        output: outputs.iter().map(output).collect(),
        initializer: initializers,
        node,
        ..GraphProto::default()
    }
}

/// Returns an input of f32; -1 is any size.
fn input(name: &str, sizes: &[i64]) -> ValueInfoProto {
    let dim = |&size: &i64| DimensionProto { value: Some(Dimension::Size(size)) };
    let shape = Some(ShapeProto { dim: sizes.iter().map(dim).collect() });
    let value = Some(TypeValue::Tensor(TensorType { elem_type: 1, shape }));
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { value }) }
}

/// Returns a value with a declared type: a size, a name of a size, or nothing for each axis.
pub(crate) fn declared(name: &str, elem_type: i32, axes: &[&str]) -> ValueInfoProto {
    let dim = |axis: &&str| DimensionProto {
        value: match axis.parse() {
            Ok(size) => Some(Dimension::Size(size)),
            Err(_) if axis.is_empty() => None,
            Err(_) => Some(Dimension::Name(axis.to_string())),
        },
    };
    let shape = Some(ShapeProto { dim: axes.iter().map(dim).collect() });
    let value = Some(TypeValue::Tensor(TensorType { elem_type, shape }));
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { value }) }
}

/// Returns a file after a change of its model.
pub(crate) fn edited(file: Vec<u8>, edit: impl FnOnce(&mut ModelProto)) -> Vec<u8> {
    let mut model = ModelProto::decode(&file[..]).expect("a model");
    edit(&mut model);
    model.encode_to_vec()
}

/// Returns a function of the domain `local`, whose nodes are of a version of the default domain.
pub(crate) fn function(
    name: &str,
    version: i64,
    inputs: &str,
    outputs: &str,
    node: Vec<NodeProto>,
) -> FunctionProto {
    let names = |names: &str| names.split_whitespace().map(String::from).collect();
    let opset = |domain: &str, version| OperatorSetId { domain: domain.into(), version };
    FunctionProto {
        name: name.into(),
        input: names(inputs),
        output: names(outputs),
        node,
        opset_import: vec![opset("", version), opset("local", 1)],
        domain: "local".into(),
        ..FunctionProto::default()
    }
}

/// Returns a node without attributes: `node("Add", "x y", "z")`; `_` is an absent input.
pub(crate) fn node(op: &str, inputs: &str, outputs: &str) -> NodeProto {
    let names = |names: &str| {
        names.split_whitespace().map(|n| if n == "_" { "" } else { n }.to_string()).collect()
    };
    NodeProto {
        op_type: op.into(),
        input: names(inputs),
        output: names(outputs),
        ..NodeProto::default()
    }
}

impl NodeProto {
    /// Adds an attribute.
    pub(crate) fn with(mut self, attribute: AttributeProto) -> NodeProto {
        self.attribute.push(attribute);
        self
    }
}

/// Returns an integer attribute.
pub(crate) fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i: Some(i), r#type: 2, ..AttributeProto::default() }
}

/// Returns a float attribute.
pub(crate) fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { name: name.into(), f: Some(f), r#type: 1, ..AttributeProto::default() }
}

/// Returns a string attribute.
pub(crate) fn string(name: &str, s: &str) -> AttributeProto {
    let s = Some(s.to_string().into());
    AttributeProto { name: name.into(), s, r#type: 3, ..AttributeProto::default() }
}

/// Returns an attribute of strings.
pub(crate) fn string_list(name: &str, all: &[&str]) -> AttributeProto {
    let strings = all.iter().map(|s| s.to_string().into()).collect();
    AttributeProto { name: name.into(), strings, r#type: 8, ..AttributeProto::default() }
}

/// Returns a tensor attribute.
pub(crate) fn value(name: &str, t: TensorProto) -> AttributeProto {
    AttributeProto { name: name.into(), t: Some(t), r#type: 4, ..AttributeProto::default() }
}

/// Returns an attribute of floats.
pub(crate) fn float_list(name: &str, floats: &[f32]) -> AttributeProto {
    let floats = floats.to_vec();
    AttributeProto { name: name.into(), floats, r#type: 6, ..AttributeProto::default() }
}

/// Returns an attribute of integers.
pub(crate) fn int_list(name: &str, ints: &[i64]) -> AttributeProto {
    let ints = ints.to_vec();
    AttributeProto { name: name.into(), ints, r#type: 7, ..AttributeProto::default() }
}

/// Returns an attribute with the value of an attribute of the enclosing function.
pub(crate) fn reference(name: &str, r#type: i32, of: &str) -> AttributeProto {
    let ref_attr_name = of.into();
    AttributeProto { name: name.into(), r#type, ref_attr_name, ..AttributeProto::default() }
}

/// Returns an attribute of a graph.
pub(crate) fn body(name: &str, g: GraphProto) -> AttributeProto {
    AttributeProto { name: name.into(), g: Some(g), r#type: 5, ..AttributeProto::default() }
}

/// Returns an initializer of f32.
pub(crate) fn floats(name: &str, dims: &[i64], data: &[f32]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: 1,
        float_data: data.to_vec(),
        ..TensorProto::default()
    }
}

/// Returns an initializer of i64.
pub(crate) fn ints(name: &str, dims: &[i64], data: &[i64]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: 7,
        int64_data: data.to_vec(),
        ..TensorProto::default()
    }
}

/// Returns an initializer of raw data.
pub(crate) fn raw(name: &str, data_type: i32, dims: &[i64], bytes: &[u8]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type,
        raw_data: Some(bytes.to_vec().into()),
        ..TensorProto::default()
    }
}

/// Returns an initializer in another file, with entries such as `location`.
pub(crate) fn external(
    name: &str,
    data_type: i32,
    dims: &[i64],
    entries: &[(&str, &str)],
) -> TensorProto {
    let entry = |e: &(&str, &str)| StringEntry { key: e.0.into(), value: e.1.into() };
    TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type,
        data_location: DataLocation::External as i32,
        external_data: entries.iter().map(entry).collect(),
        ..TensorProto::default()
    }
}
