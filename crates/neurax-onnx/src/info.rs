//! The description that a file gives about its model.

use crate::dtype::ElementType;
use crate::graph::{GraphInput, OnnxGraph};
use crate::proto::{Dimension, DimensionProto, ModelProto, TypeProto, TypeValue, ValueInfoProto};
use crate::value::OnnxValue;
use neurax_ir::{Error, Result};
use neurax_tensor::{Dim, TypeSpec};
use std::collections::BTreeMap;

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
        let is_input = |i: &&ValueInfoProto| main.inputs.iter().any(|input| input.name == i.name);
        let inputs = model.graph.iter().flat_map(|g| &g.input);
        let outputs = model.graph.iter().flat_map(|g| &g.output);
        let mut operators = BTreeMap::new();
        for node in &main.nodes {
            *operators.entry(node.operator().to_string()).or_default() += 1;
        }
        let bytes = |x: &OnnxValue| match x {
            OnnxValue::Tensor(x) => x.size().saturating_mul(x.dtype().bits()).div_ceil(8),
            _ => 0,
        };
        ModelInfo {
            producer: format!("{} {}", model.producer_name, model.producer_version).trim().into(),
            ir_version: model.ir_version,
            opsets: model.opset_import.iter().map(|o| (o.domain.clone(), o.version)).collect(),
            inputs: inputs.filter(is_input).map(ValueInfo::of).collect(),
            outputs: outputs.map(ValueInfo::of).collect(),
            operators,
            initializers: main.initializers.len(),
            initializer_bytes: main.initializers.values().map(bytes).sum(),
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
