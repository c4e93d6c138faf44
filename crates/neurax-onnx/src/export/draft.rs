//! ONNX graphs under construction: nodes and constants, before they are written as messages.

use crate::proto::AttributeProto;
use neurax_ir::{Literal, Origin, Shape, Type};
use std::sync::Arc;

/// A value of an ONNX graph: its name and its type.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wire {
    pub name: Arc<str>,
    pub ty: Type,
}

/// A value of the IR in an ONNX graph. The operators of ONNX broadcast as NumPy does, so a
/// broadcast value is its source as long as no reader needs all elements: `wire` broadcasts to
/// `shape`.
#[derive(Clone, Debug)]
pub(super) struct Lowered {
    pub wire: Wire,
    /// The shape of the value.
    pub shape: Shape,
}

/// A node.
#[derive(Clone, Debug)]
pub(super) struct DraftNode {
    pub op: &'static str,
    pub name: Arc<str>,
    /// The names of the operands; an empty one is absent.
    pub inputs: Vec<Arc<str>>,
    pub outputs: Vec<Wire>,
    pub attributes: Vec<AttributeProto>,
    /// The graphs among the attributes.
    pub bodies: Vec<(&'static str, DraftBody)>,
    /// The origin of the equation that the node computes.
    pub origin: Origin,
}

/// The main graph, or the body of a branch or loop, which may read values of the graphs around it.
#[derive(Clone, Debug, Default)]
pub(super) struct DraftBody {
    pub inputs: Vec<Wire>,
    pub nodes: Vec<DraftNode>,
    pub outputs: Vec<Wire>,
}

/// A model.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    pub main: DraftBody,
    /// The constants, which all bodies may read.
    pub constants: Vec<(Arc<str>, Literal)>,
}

impl Lowered {
    /// Returns a value that is stored in full.
    pub fn of(wire: Wire) -> Lowered {
        Lowered { shape: wire.ty.shape.clone(), wire }
    }

    /// Returns the type of the value.
    pub fn ty(&self) -> Type {
        self.wire.ty.with_shape(&self.shape)
    }

    pub fn rank(&self) -> usize {
        self.shape.rank()
    }

    /// Returns true if all elements are equal: the wire is a scalar.
    pub fn is_splat(&self) -> bool {
        self.wire.ty.rank() == 0
    }
}

impl DraftBody {
    /// Calls `f` for each node, also those of nested bodies, from the first to the last.
    pub fn each_node<'d>(&'d self, f: &mut dyn FnMut(&'d DraftNode)) {
        for node in &self.nodes {
            f(node);
            node.bodies.iter().for_each(|(_, body)| body.each_node(f));
        }
    }

    /// Calls `f` for each name that a node or a result reads, also in nested bodies.
    pub fn each_use<'d>(&'d self, f: &mut dyn FnMut(&'d Arc<str>)) {
        for node in &self.nodes {
            node.each_use(f);
        }
        self.outputs.iter().for_each(|y| f(&y.name));
    }
}

impl DraftNode {
    /// Calls `f` for each name that the node reads, also in its bodies.
    pub fn each_use<'d>(&'d self, f: &mut dyn FnMut(&'d Arc<str>)) {
        self.inputs.iter().filter(|name| !name.is_empty()).for_each(&mut *f);
        self.bodies.iter().for_each(|(_, body)| body.each_use(f));
    }
}
