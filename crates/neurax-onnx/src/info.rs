//! The description that a file gives about its model.

use crate::dtype::ElementType;
use crate::graph::{Attribute, GraphInput, OnnxGraph};
use crate::proto::{Dimension, DimensionProto, ModelProto, TypeProto, TypeValue, ValueInfoProto};
use crate::value::OnnxValue;
use neurax_ir::{Error, Result};
use neurax_tensor::{Dim, TypeSpec};
use std::collections::{BTreeMap, HashSet};

/// The description of a model in its file.
#[derive(Clone, Debug, Default)]
pub struct ModelInfo {
    /// The program that wrote the file, with its version.
    pub producer: String,
    /// The version of the file format.
    pub ir_version: i64,
    /// The versions of the operator sets by domain; the name of the default domain is empty.
    pub opsets: BTreeMap<String, i64>,
    /// The inputs without those that have a fixed value.
    pub inputs: Vec<ValueInfo>,
    /// The outputs with their declared types, which need not be right.
    pub outputs: Vec<ValueInfo>,
    /// The numbers of nodes by operator, without those that no output depends on.
    pub operators: BTreeMap<String, usize>,
    /// The number of initializers.
    pub initializers: usize,
    /// The bytes of the initializers.
    pub initializer_bytes: usize,
    /// The number of initializers and of tensors of several elements in `Constant` nodes, also in
    /// the bodies of branches and loops.
    pub weights: usize,
    /// The bytes of the weights.
    pub weight_bytes: usize,
}

/// An input or output with its declared type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueInfo {
    /// The name.
    pub name: String,
    /// The type as text, such as `f32[batch, 3, 224, 224]`; empty if none is declared.
    pub r#type: String,
}

impl ModelInfo {
    pub(crate) fn of(model: &ModelProto, main: &OnnxGraph) -> ModelInfo {
        let names: HashSet<&str> = main.inputs.iter().map(|i| i.name.as_str()).collect();
        let is_input = |i: &&ValueInfoProto| names.contains(i.name.as_str());
        let inputs = model.graph.iter().flat_map(|g| &g.input);
        let outputs = model.graph.iter().flat_map(|g| &g.output);
        let mut operators = BTreeMap::new();
        for node in &main.nodes {
            *operators.entry(node.operator().to_string()).or_default() += 1;
        }
        let (mut weights, mut weight_bytes) = (0, 0);
        each_weight(main, &mut |x| {
            weights += 1;
            weight_bytes += bytes_of(x);
        });
        ModelInfo {
            producer: format!("{} {}", model.producer_name, model.producer_version).trim().into(),
            ir_version: model.ir_version,
            opsets: model.opset_import.iter().map(|o| (o.domain.clone(), o.version)).collect(),
            inputs: inputs.filter(is_input).map(ValueInfo::of).collect(),
            outputs: outputs.map(ValueInfo::of).collect(),
            operators,
            initializers: main.initializers.len(),
            initializer_bytes: main.initializers.values().map(bytes_of).sum(),
            weights,
            weight_bytes,
        }
    }
}

impl ValueInfo {
    fn of(v: &ValueInfoProto) -> ValueInfo {
        ValueInfo {
            name: v.name.clone(),
            r#type: v.r#type.as_ref().map(type_text).unwrap_or_default(),
        }
    }
}

/// Calls `f` for each initializer, and each tensor of several elements in a `Constant` node.
fn each_weight(graph: &OnnxGraph, f: &mut dyn FnMut(&OnnxValue)) {
    graph.initializers.values().for_each(&mut *f);
    for node in &graph.nodes {
        for value in node.attributes.values() {
            match value {
                Attribute::Tensor(x) if node.operator() == "Constant" && size_of(x) > 1 => f(x),
                Attribute::Graph(body) => each_weight(body, f),
                Attribute::Graphs(bodies) => bodies.iter().for_each(|g| each_weight(g, f)),
                _ => (),
            }
        }
    }
}

/// Returns the number of elements of a tensor of numbers, and 0 for other values.
fn size_of(x: &OnnxValue) -> usize {
    if let OnnxValue::Tensor(x) = x { x.size() } else { 0 }
}

/// Returns the bytes of a tensor of numbers, and 0 for other values.
fn bytes_of(x: &OnnxValue) -> usize {
    match x {
        OnnxValue::Tensor(x) => x.size().saturating_mul(x.dtype().bits()).div_ceil(8),
        _ => 0,
    }
}

/// Returns the declared type of an input of a network.
///
/// # Errors
/// If it is no tensor of numbers, or its rank is unknown.
pub(crate) fn declared_type(input: &GraphInput) -> Result<TypeSpec> {
    let unknown = || {
        let is = match &input.r#type {
            Some(t) if t.value.is_some() => format!("is {}", type_text(t)),
            _ => "has no declared type".into(),
        };
        let why = format!(
            "the input `{}` {is}, and a network needs tensors of numbers with known ranks; run the \
             model as a `Session`",
            input.name
        );
        Error::new("onnx", why)
    };
    let Some(TypeValue::Tensor(t)) = input.r#type.as_ref().and_then(|t| t.value.as_ref()) else {
        return Err(unknown());
    };
    let Some(ElementType::Number(dtype)) = ElementType::of_number(t.elem_type.into()) else {
        return Err(unknown());
    };
    let dim = |d: &DimensionProto| match &d.value {
        Some(Dimension::Size(n)) => usize::try_from(*n).map_or(Dim::Any, Dim::Size),
        Some(Dimension::Name(name)) if !name.is_empty() => Dim::Named(name.clone()),
        Some(Dimension::Name(_)) | None => Dim::Any,
    };
    let shape = t.shape.as_ref().ok_or_else(unknown)?;
    Ok(TypeSpec { dtype, dims: shape.dim.iter().map(dim).collect() })
}

/// Returns a type as text.
pub(crate) fn type_text(t: &TypeProto) -> String {
    let element = |t: &Option<Box<TypeProto>>| t.as_deref().map(type_text).unwrap_or_default();
    match &t.value {
        Some(TypeValue::Tensor(t) | TypeValue::Sparse(t)) => {
            let dtype = match ElementType::of_number(t.elem_type.into()) {
                Some(ElementType::Number(dtype)) => dtype.name(),
                Some(ElementType::String) => "string",
                None => "?",
            };
            let size = |d: &DimensionProto| match &d.value {
                Some(Dimension::Size(n)) if *n >= 0 => n.to_string(),
                Some(Dimension::Name(name)) if !name.is_empty() => name.clone(),
                _ => "_".into(),
            };
            match &t.shape {
                Some(s) => {
                    let sizes: Vec<String> = s.dim.iter().map(size).collect();
                    format!("{dtype}[{}]", sizes.join(", "))
                }
                None => format!("{dtype}[..]"),
            }
        }
        Some(TypeValue::Sequence(e)) => format!("sequence({})", element(&e.elem_type)),
        Some(TypeValue::Optional(e)) => format!("optional({})", element(&e.elem_type)),
        Some(TypeValue::Map(m)) => format!("map({})", element(&m.value_type)),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use crate::Importer;
    use crate::testing::{floats, graph, model, node, value};

    #[test]
    fn weights_are_initializers_and_constants_of_several_elements() {
        let constant = |name, dims: &[i64], data: &[f32]| {
            node("Constant", "", name).with(value("value", floats("", dims, data)))
        };
        let nodes = vec![
            constant("c", &[3], &[1.0, 2.0, 3.0]),
            constant("one", &[], &[1.0]),
            node("Mul", "x c", "a"),
            node("Mul", "a one", "b"),
            node("Add", "b w", "y"),
        ];
        let weights = vec![floats("w", &[3], &[1.0, 2.0, 3.0])];
        let session =
            Importer::new().open_bytes(model(graph(&[("x", &[3])], &["y"], weights, nodes)));
        let session = session.unwrap();
        let info = session.info();
        assert_eq!((info.initializers, info.initializer_bytes), (1, 12));
        assert_eq!((info.weights, info.weight_bytes), (2, 24));
    }
}
