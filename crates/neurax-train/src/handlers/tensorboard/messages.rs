//! The messages of event files, as `event.proto`, `summary.proto` and `graph.proto` of TensorFlow
//! and `plugin_data.proto` of TensorBoard's hyper-parameters define them.
//!
//! They are written by hand for `prost`, so that no build needs `protoc`. Fields that are never
//! written are left out.

use prost::{Message, Oneof};
use std::collections::BTreeMap;

/// The value of `TensorMessage::dtype` for texts.
pub(super) const STRING_DTYPE: i32 = 7;
/// The value of `PluginMetadata::data_class` for texts and hyper-parameters.
pub(super) const TENSOR_CLASS: i32 = 2;
/// The value of `SessionMessage::status` for the start of a program.
pub(super) const SESSION_START: i32 = 1;

/// A record of a file: `tensorflow.Event`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct EventMessage {
    /// The time in seconds since 1970.
    #[prost(double, tag = "1")]
    pub wall_time: f64,
    #[prost(int64, tag = "2")]
    pub step: i64,
    #[prost(oneof = "EventContent", tags = "3, 4, 5, 7")]
    pub content: Option<EventContent>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum EventContent {
    #[prost(string, tag = "3")]
    FileVersion(String),
    /// An encoded [`GraphMessage`].
    #[prost(bytes = "vec", tag = "4")]
    Graph(Vec<u8>),
    #[prost(message, tag = "5")]
    Summary(SummaryMessage),
    #[prost(message, tag = "7")]
    Session(SessionMessage),
}

/// The start of a program: readers drop the events of this step and later ones that were written
/// before it.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct SessionMessage {
    #[prost(int32, tag = "1")]
    pub status: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SummaryMessage {
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<SummaryItem>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SummaryItem {
    #[prost(string, tag = "1")]
    pub tag: String,
    #[prost(message, optional, tag = "9")]
    pub metadata: Option<PluginMetadata>,
    #[prost(oneof = "SummaryContent", tags = "2, 4, 5, 8")]
    pub content: Option<SummaryContent>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum SummaryContent {
    #[prost(float, tag = "2")]
    Scalar(f32),
    #[prost(message, tag = "4")]
    Image(ImageMessage),
    #[prost(message, tag = "5")]
    Histogram(HistogramMessage),
    #[prost(message, tag = "8")]
    Tensor(TensorMessage),
}

/// The dashboard that shows a value.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PluginMetadata {
    #[prost(message, optional, tag = "1")]
    pub plugin: Option<PluginContent>,
    #[prost(int32, tag = "4")]
    pub data_class: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PluginContent {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(bytes = "vec", tag = "2")]
    pub content: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ImageMessage {
    #[prost(int32, tag = "1")]
    pub height: i32,
    #[prost(int32, tag = "2")]
    pub width: i32,
    /// The number of channels.
    #[prost(int32, tag = "3")]
    pub colorspace: i32,
    #[prost(bytes = "vec", tag = "4")]
    pub png: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct HistogramMessage {
    #[prost(double, tag = "1")]
    pub min: f64,
    #[prost(double, tag = "2")]
    pub max: f64,
    #[prost(double, tag = "3")]
    pub count: f64,
    #[prost(double, tag = "4")]
    pub sum: f64,
    #[prost(double, tag = "5")]
    pub sum_of_squares: f64,
    /// The right end of each bin.
    #[prost(double, repeated, tag = "6")]
    pub limits: Vec<f64>,
    /// The number of elements in each bin.
    #[prost(double, repeated, tag = "7")]
    pub counts: Vec<f64>,
}

/// A tensor of texts.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorMessage {
    #[prost(int32, tag = "1")]
    pub dtype: i32,
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorSizes>,
    #[prost(bytes = "vec", repeated, tag = "8")]
    pub texts: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorSizes {
    #[prost(message, repeated, tag = "2")]
    pub axes: Vec<AxisSize>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct AxisSize {
    #[prost(int64, tag = "1")]
    pub size: i64,
}

/// A model: `tensorflow.GraphDef`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct GraphMessage {
    #[prost(message, repeated, tag = "1")]
    pub nodes: Vec<LayerMessage>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LayerMessage {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub op: String,
    #[prost(string, repeated, tag = "3")]
    pub inputs: Vec<String>,
    #[prost(btree_map = "string, message", tag = "5")]
    pub attributes: BTreeMap<String, LayerAttribute>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LayerAttribute {
    #[prost(oneof = "AttributeContent", tags = "2, 3")]
    pub content: Option<AttributeContent>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum AttributeContent {
    #[prost(bytes = "vec", tag = "2")]
    Text(Vec<u8>),
    #[prost(int64, tag = "3")]
    Count(i64),
}

/// The content of the plugin `hparams`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct HyperMessage {
    #[prost(oneof = "HyperContent", tags = "2, 3, 4")]
    pub content: Option<HyperContent>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum HyperContent {
    #[prost(message, tag = "2")]
    Experiment(ExperimentMessage),
    #[prost(message, tag = "3")]
    Start(SessionStart),
    #[prost(message, tag = "4")]
    End(SessionEnd),
}

/// The names of the hyper-parameters and of the metrics to compare.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ExperimentMessage {
    #[prost(double, tag = "3")]
    pub created: f64,
    #[prost(message, repeated, tag = "4")]
    pub parameters: Vec<HyperInfo>,
    #[prost(message, repeated, tag = "5")]
    pub metrics: Vec<MetricInfo>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct HyperInfo {
    #[prost(string, tag = "1")]
    pub name: String,
    /// 1 for texts, 2 for true or false, 3 for numbers.
    #[prost(int32, tag = "4")]
    pub kind: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MetricInfo {
    #[prost(message, optional, tag = "1")]
    pub name: Option<MetricTag>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MetricTag {
    #[prost(string, tag = "2")]
    pub tag: String,
}

/// The values of the hyper-parameters of a run.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SessionStart {
    #[prost(btree_map = "string, message", tag = "1")]
    pub values: BTreeMap<String, HyperValue>,
    #[prost(double, tag = "5")]
    pub time: f64,
}

/// A hyper-parameter: `google.protobuf.Value`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct HyperValue {
    #[prost(oneof = "HyperNumber", tags = "2, 3, 4")]
    pub content: Option<HyperNumber>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum HyperNumber {
    #[prost(double, tag = "2")]
    Number(f64),
    #[prost(string, tag = "3")]
    Text(String),
    #[prost(bool, tag = "4")]
    Flag(bool),
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct SessionEnd {
    /// 1 after success, 2 after an error.
    #[prost(int32, tag = "1")]
    pub status: i32,
    #[prost(double, tag = "2")]
    pub time: f64,
}
