//! Attributes of nodes, by the kind of their value.

use super::{AttributeProto, GraphProto};
use bytes::Bytes;

/// The numbers of the kinds, `AttributeProto.AttributeType`.
const KIND_FLOAT: i32 = 1;
const KIND_INT: i32 = 2;
const KIND_STRING: i32 = 3;
const KIND_GRAPH: i32 = 5;
const KIND_INTS: i32 = 7;

impl AttributeProto {
    /// Returns an attribute with a number.
    pub(crate) fn of_float(name: &str, f: f32) -> AttributeProto {
        AttributeProto { f: Some(f), ..named(name, KIND_FLOAT) }
    }

    /// Returns an attribute with an integer.
    pub(crate) fn of_int(name: &str, i: i64) -> AttributeProto {
        AttributeProto { i: Some(i), ..named(name, KIND_INT) }
    }

    /// Returns an attribute with integers.
    pub(crate) fn of_ints(name: &str, ints: impl IntoIterator<Item = i64>) -> AttributeProto {
        AttributeProto { ints: ints.into_iter().collect(), ..named(name, KIND_INTS) }
    }

    /// Returns an attribute with a string.
    pub(crate) fn of_string(name: &str, s: &str) -> AttributeProto {
        AttributeProto { s: Some(Bytes::from(s.to_string())), ..named(name, KIND_STRING) }
    }

    /// Returns an attribute with a graph.
    pub(crate) fn of_graph(name: &str, g: GraphProto) -> AttributeProto {
        AttributeProto { g: Some(g), ..named(name, KIND_GRAPH) }
    }
}

fn named(name: &str, r#type: i32) -> AttributeProto {
    AttributeProto { name: name.into(), r#type, ..AttributeProto::default() }
}
