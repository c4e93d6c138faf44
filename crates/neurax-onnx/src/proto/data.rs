//! Messages of values that are no tensors, in the files of test data.

use super::{SparseTensorProto, TensorProto};
use bytes::Bytes;
use prost::Message;

/// A sequence: the field of its elements depends on their kind.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SequenceProto {
    #[prost(string, tag = "1")]
    pub name: String,
    /// The kind of the elements: 1 tensors, 2 sparse ones, 3 sequences, 4 maps, 5 optionals.
    #[prost(int32, tag = "2")]
    pub elem_type: i32,
    #[prost(message, repeated, tag = "3")]
    pub tensor_values: Vec<TensorProto>,
    #[prost(message, repeated, tag = "4")]
    pub sparse_tensor_values: Vec<SparseTensorProto>,
    #[prost(message, repeated, tag = "5")]
    pub sequence_values: Vec<SequenceProto>,
    #[prost(message, repeated, tag = "6")]
    pub map_values: Vec<MapProto>,
    #[prost(message, repeated, tag = "7")]
    pub optional_values: Vec<OptionalProto>,
}

/// A map from integers or strings to values.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct MapProto {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(int32, tag = "2")]
    pub key_type: i32,
    #[prost(int64, repeated, tag = "3")]
    pub keys: Vec<i64>,
    #[prost(bytes = "bytes", repeated, tag = "4")]
    pub string_keys: Vec<Bytes>,
    #[prost(message, optional, tag = "5")]
    pub values: Option<SequenceProto>,
}

/// A value, or none.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct OptionalProto {
    #[prost(string, tag = "1")]
    pub name: String,
    /// The kind of the value, numbered as in [`SequenceProto`]; 0 if there is none.
    #[prost(int32, tag = "2")]
    pub elem_type: i32,
    #[prost(message, optional, tag = "3")]
    pub tensor_value: Option<TensorProto>,
    #[prost(message, optional, tag = "4")]
    pub sparse_tensor_value: Option<SparseTensorProto>,
    #[prost(message, optional, tag = "5")]
    pub sequence_value: Option<SequenceProto>,
    #[prost(message, optional, tag = "6")]
    pub map_value: Option<MapProto>,
    #[prost(message, optional, boxed, tag = "7")]
    pub optional_value: Option<Box<OptionalProto>>,
}
