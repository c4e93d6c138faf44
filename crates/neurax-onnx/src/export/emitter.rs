//! The emitter: walks a graph of the IR and appends the nodes of each equation.
//!
//! The graph has static shapes, so that every decision (is this reshape only a new unit axis, does
//! this broadcast need a node) is made with known sizes. Sizes that a reader may choose are found
//! afterwards, by a comparison of the nodes of several traces: see `merge.rs`. For that, numbers
//! that may depend on a size are constants that a node reads, not attributes, and names depend on
//! the order of the equations alone.
//!
//! An equation without an ONNX form is recorded as a problem, and the walk goes on: the error
//! lists all of them.

use super::draft::{Draft, DraftBody, DraftNode, Lowered, Wire};
use super::support::{carrier, check_dtype};
use crate::dtype::number_of;
use crate::own_lines::shown_origin;
use crate::proto::AttributeProto;
use neurax_ir::op::Convert;
use neurax_ir::{DType, Error, Eval, Graph, Literal, Op, Origin, Result, Shape, Type};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The result of a rule: the error says why there is no ONNX form.
pub(super) type FormResult<T> = std::result::Result<T, String>;

/// The nodes of a graph so far.
#[derive(Debug, Default)]
pub(super) struct Emitter {
    pub opset: i64,
    /// The nodes of the body that is being written.
    nodes: Vec<DraftNode>,
    constants: Vec<(Arc<str>, Literal)>,
    /// The indices of the constants by name.
    known: HashMap<Arc<str>, usize>,
    names: HashSet<Arc<str>>,
    /// For each name that was asked for, the last number that was appended to it.
    numbers: HashMap<String, usize>,
    origin: Origin,
    problems: Vec<Error>,
}

impl Emitter {
    pub fn new(opset: i64) -> Emitter {
        Emitter { opset, ..Emitter::default() }
    }

    /// Emits `graph`, whose inputs have the given names, as a model whose outputs have the given
    /// names.
    ///
    /// # Errors
    /// If equations have no ONNX form: the message lists all of them.
    pub fn model(mut self, graph: &Graph, inputs: &[String], outputs: &[String]) -> Result<Draft> {
        self.names.extend(inputs.iter().chain(outputs).map(|name| Arc::from(name.as_str())));
        let input =
            |(name, ty): (&String, &Type)| Wire { name: name.as_str().into(), ty: ty.clone() };
        let inputs: Vec<Wire> = inputs.iter().zip(graph.input_types()).map(input).collect();
        let dtypes = inputs.iter().map(|x| x.ty.dtype);
        for why in dtypes.filter_map(|d| check_dtype(d, self.opset).err()).collect::<Vec<_>>() {
            self.problem("input", why);
        }
        let args = inputs.iter().cloned().map(Lowered::of).collect();
        let ys = self.graph(graph, args);
        self.origin = Origin::default();
        let named = |(y, name): (Lowered, &String)| {
            let y = self.full(&y);
            let outputs = vec![Wire { name: name.as_str().into(), ty: y.ty.clone() }];
            self.push("Identity", &[&y], outputs, vec![])
        };
        let outputs: Vec<Wire> = ys.into_iter().zip(outputs).flat_map(named).collect();
        match self.problems.is_empty() {
            true => Ok(Draft {
                main: DraftBody { inputs, nodes: self.nodes, outputs },
                constants: self.constants,
            }),
            false => Err(all_problems(&self.problems)),
        }
    }

    /// Emits the equations of `graph` on `args`, and returns its results.
    pub fn graph(&mut self, graph: &Graph, args: Vec<Lowered>) -> Vec<Lowered> {
        let outer = self.origin.clone();
        let mut env = args;
        for eqn in graph.eqns() {
            self.origin = inner_origin(&outer, &eqn.at);
            let xs: Vec<Lowered> = eqn.inputs.iter().map(|v| env[v.index()].clone()).collect();
            let types: Vec<Type> = eqn.outputs.iter().map(|&v| graph.ty(v).clone()).collect();
            let allowed = types.iter().try_for_each(|t| check_dtype(t.dtype, self.opset));
            match allowed.and_then(|()| self.op(&eqn.op, &xs, &types)) {
                Ok(ys) => env.extend(ys),
                Err(why) => {
                    self.problem(eqn.op.name(), why);
                    env.extend(types.into_iter().map(|t| self.placeholder(t)));
                }
            }
        }
        self.origin = outer;
        graph.outputs().iter().map(|v| env[v.index()].clone()).collect()
    }

    /// Emits what `f` emits as the body of a branch or loop. `f` returns the results of the body.
    pub fn body(
        &mut self,
        inputs: Vec<Wire>,
        f: impl FnOnce(&mut Emitter) -> FormResult<Vec<Wire>>,
    ) -> FormResult<DraftBody> {
        let outside = std::mem::take(&mut self.nodes);
        let outputs = f(self);
        // A result must be a value of the body, and each a different one.
        let outputs = outputs
            .map(|ys| ys.iter().map(|y| self.node("Identity", &[y], y.ty.clone())).collect());
        let nodes = std::mem::replace(&mut self.nodes, outside);
        Ok(DraftBody { inputs, nodes, outputs: outputs? })
    }

    /// Emits a node with one result.
    pub fn node(&mut self, op: &'static str, inputs: &[&Wire], ty: Type) -> Wire {
        self.node_with(op, inputs, ty, vec![])
    }

    /// Emits a node with one result, and with attributes.
    pub fn node_with(
        &mut self,
        op: &'static str,
        inputs: &[&Wire],
        ty: Type,
        attributes: Vec<AttributeProto>,
    ) -> Wire {
        let out = self.wire(op, ty);
        self.push(op, inputs, vec![out.clone()], attributes);
        out
    }

    /// Emits a node, and returns its results.
    pub fn push(
        &mut self,
        op: &'static str,
        inputs: &[&Wire],
        outputs: Vec<Wire>,
        attributes: Vec<AttributeProto>,
    ) -> Vec<Wire> {
        self.push_with_bodies(op, inputs, outputs, attributes, vec![])
    }

    /// Emits a node with graphs among its attributes.
    pub fn push_with_bodies(
        &mut self,
        op: &'static str,
        inputs: &[&Wire],
        outputs: Vec<Wire>,
        attributes: Vec<AttributeProto>,
        bodies: Vec<(&'static str, DraftBody)>,
    ) -> Vec<Wire> {
        let name = outputs.first().map_or("".into(), |y| y.name.clone());
        let inputs = inputs.iter().map(|x| x.name.clone()).collect();
        let origin = self.origin.clone();
        let node =
            DraftNode { op, name, inputs, outputs: outputs.clone(), attributes, bodies, origin };
        self.nodes.push(node);
        outputs
    }

    /// Returns a new value, named by the layer and `op`.
    pub fn wire(&mut self, op: &str, ty: Type) -> Wire {
        let name = match &self.origin.path {
            Some(path) => self.unique(&format!("{path}/{op}")),
            None => self.unique(op),
        };
        Wire { name, ty }
    }

    /// Returns a wire that stands for an absent operand.
    pub fn absent(&self) -> Wire {
        Wire { name: "".into(), ty: Type::scalar(DType::F32) }
    }

    /// Adds a constant.
    pub fn literal(&mut self, value: Literal) -> Wire {
        let name = self.unique("constant");
        let ty = value.ty().clone();
        self.known.insert(name.clone(), self.constants.len());
        self.constants.push((name.clone(), value));
        Wire { name, ty }
    }

    /// Returns the value of a constant.
    pub fn literal_of(&self, x: &Wire) -> Option<&Literal> {
        self.known.get(&x.name).map(|&i| &self.constants[i].1)
    }

    /// Returns the number that a scalar constant has.
    pub fn number_of(&self, x: &Wire) -> Option<f64> {
        self.number_named(&x.name)
    }

    /// Returns the number that the scalar constant of a name has.
    pub fn number_named(&self, name: &Arc<str>) -> Option<f64> {
        let value = self.known.get(name).map(|&i| &self.constants[i].1)?;
        (value.ty().size() == 1).then(|| value.to_f64s().first().copied()).flatten()
    }

    /// Returns the node of this body that computes a value.
    pub fn producer(&self, x: &Wire) -> Option<&DraftNode> {
        self.nodes.iter().rfind(|node| node.outputs.iter().any(|y| y.name == x.name))
    }

    /// Adds a vector of integers.
    pub fn ints(&mut self, xs: &[i64]) -> Wire {
        let floats: Vec<f64> = Vec::new();
        let literal = Literal::from_slice([xs.len()], xs);
        self.literal(literal.unwrap_or_else(|_| Literal::from_f64s(DType::I64, [0], &floats)))
    }

    /// Adds a number.
    pub fn scalar(&mut self, dtype: DType, x: f64) -> Wire {
        self.literal(Literal::scalar(dtype, x))
    }

    /// Returns `x` with all its elements, which readers need that do not broadcast.
    pub fn full(&mut self, x: &Lowered) -> Wire {
        if x.wire.ty.shape == x.shape {
            return x.wire.clone();
        }
        let sizes = self.ints(&ints_of(&x.shape));
        match self.compute("Expand", &[&x.wire], &[&sizes], vec![], x.shape.clone()) {
            Ok(y) => y,
            Err(why) => {
                self.problem("broadcast_in_dim", why);
                self.wire("Expand", x.ty())
            }
        }
    }

    /// Converts `x`.
    pub fn cast(&mut self, x: &Wire, dtype: DType) -> Wire {
        if x.ty.dtype == dtype {
            return x.clone();
        }
        let value = self.literal_of(x).filter(|x| x.ty().rank() == 0).cloned();
        let folded = value.and_then(|x| {
            Op::from(Convert { dtype }).eval(&mut Eval::default(), vec![x]).ok()?.pop()
        });
        if let Some(folded) = folded {
            return self.literal(folded);
        }
        let Some(number) = number_of(dtype) else {
            self.problem("convert", format!("ONNX has no dtype {dtype}"));
            return self.wire("Cast", x.ty.with_dtype(dtype));
        };
        let mut attributes = vec![AttributeProto::of_int("to", number.into())];
        // Conversions of the IR do not saturate.
        let is_f8 = matches!(
            dtype,
            DType::F8E4M3FN | DType::F8E4M3FNUZ | DType::F8E5M2 | DType::F8E5M2FNUZ
        );
        if is_f8 {
            attributes.push(AttributeProto::of_int("saturate", 0));
        }
        self.node_with("Cast", &[x], x.ty.with_dtype(dtype), attributes)
    }

    /// Emits a node on operands `xs` of one dtype, and `others` behind them, in a dtype that the
    /// operator takes. The result has the dtype of the operands.
    pub fn compute(
        &mut self,
        op: &'static str,
        xs: &[&Wire],
        others: &[&Wire],
        attributes: Vec<AttributeProto>,
        shape: impl Into<Shape>,
    ) -> FormResult<Wire> {
        let dtype = xs[0].ty.dtype;
        let by = carrier(op, dtype, self.opset)?;
        let xs: Vec<Wire> = xs.iter().map(|x| self.cast(x, by)).collect();
        let inputs: Vec<&Wire> = xs.iter().chain(others.iter().copied()).collect();
        let y = self.node_with(op, &inputs, Type::new(by, shape), attributes);
        Ok(self.cast(&y, dtype))
    }

    /// Returns a name that no other value has.
    pub fn unique(&mut self, base: &str) -> Arc<str> {
        let mut name: Arc<str> = base.into();
        while self.names.contains(&name) {
            let number = self.numbers.entry(base.into()).or_default();
            *number += 1;
            name = format!("{base}_{number}").into();
        }
        self.names.insert(name.clone());
        name
    }

    /// Records that the current equation has no ONNX form.
    pub fn problem(&mut self, op: &str, why: String) {
        let origin = shown_origin(&self.origin);
        self.problems.push(Error::new(op, why).at_origin(&origin));
    }

    fn placeholder(&mut self, ty: Type) -> Lowered {
        Lowered::of(self.wire("missing", ty))
    }
}

/// Returns the sizes of a shape as integers.
pub(super) fn ints_of(sizes: &[usize]) -> Vec<i64> {
    sizes.iter().map(|&n| i64::try_from(n).unwrap_or(i64::MAX)).collect()
}

/// Returns the origin of an equation inside of one with the origin `outer`.
pub(super) fn inner_origin(outer: &Origin, inner: &Origin) -> Origin {
    let is_unknown = matches!(inner.place, neurax_ir::Place::Unknown);
    Origin {
        place: if is_unknown { outer.place.clone() } else { inner.place.clone() },
        path: inner.path.clone().or_else(|| outer.path.clone()),
        transform: inner.transform.or(outer.transform),
    }
}

/// Returns the error that lists the equations without an ONNX form, each once.
fn all_problems(problems: &[Error]) -> Error {
    let mut unique: Vec<String> = vec![];
    problems.iter().map(Error::to_string).for_each(|p| {
        if !unique.contains(&p) {
            unique.push(p);
        }
    });
    let ops = if unique.len() == 1 {
        "1 operation has"
    } else {
        &format!("{} operations have", unique.len())
    };
    Error::new("onnx export", format!("{ops} no ONNX form: {}", unique.join("; ")))
}
