//! The messages of ONNX files, as `onnx.proto` and `onnx-data.proto` of ONNX 1.23 define them
//! (<https://github.com/onnx/onnx/blob/main/onnx/onnx.in.proto>).
//!
//! They are written by hand for `prost`, so that no build needs `protoc`. Raw data are slices of
//! the file ([`Bytes`]): reading a model copies no weights. Fields that no part of this crate reads
//! are left out; `prost` skips unknown fields.

mod attributes;
mod data;
mod graph;
mod tensor;
mod types;

pub(crate) use data::{MapProto, OptionalProto, SequenceProto};
pub(crate) use graph::{
    AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetId,
};
pub(crate) use tensor::{DataLocation, SparseTensorProto, StringEntry, TensorProto};
pub(crate) use types::{
    Dimension, DimensionProto, ShapeProto, TensorType, TypeProto, TypeValue, ValueInfoProto,
};
