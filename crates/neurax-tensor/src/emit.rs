//! The one road on which every operation goes.
//!
//! An operand that carries an error passes it on. If an operand is traced, the youngest trace
//! records the operation. Otherwise it runs now: as a one-op program, compiled once for the op and
//! its operand types. Operands are taken by value, so that the last reference to one may be written
//! into.

use crate::{
    Error, Result, Tensor, Type,
    device::{Device, or_default},
    recipe::Recipe,
    tensor::{At, Repr},
    trace::Trace,
};
use neurax_ir::{Builder, Graph, Op, Place, Shape, Value, Values};
use smallvec::SmallVec;
use std::sync::Arc;

/// The operands of one operation.
pub(crate) type Xs = SmallVec<[Tensor; 4]>;
/// Its results.
pub(crate) type Outs = SmallVec<[Tensor; 2]>;

/// `op(xs)`, with one result. Operands must have the types that the op wants.
pub(crate) fn emit(op: impl Into<Op>, xs: impl IntoIterator<Item = Tensor>, at: At) -> Tensor {
    one(run(op.into(), xs.into_iter().collect(), false, at), at)
}

/// `op(xs)` with one result, of operands that are first promoted to one dtype and broadcast to one
/// shape, as NumPy does.
pub(crate) fn emit_implicit(
    op: impl Into<Op>,
    xs: impl IntoIterator<Item = Tensor>,
    at: At,
) -> Tensor {
    one(run(op.into(), xs.into_iter().collect(), true, at), at)
}

/// `op(xs)` with any number of results.
pub(crate) fn emit_all(
    op: impl Into<Op>,
    xs: impl IntoIterator<Item = Tensor>,
    at: At,
) -> Result<Outs> {
    run(op.into(), xs.into_iter().collect(), false, at)
}

/// Applies a graph: records its equations in the youngest trace among `xs`, or compiles and runs
/// it.
pub(crate) fn apply(graph: &Graph, xs: Vec<Tensor>, at: At) -> Result<Outs> {
    let place = Place::Source(at);
    match road(&xs)? {
        Road::Trace(t) => t.inline(graph, &xs, at),
        Road::Later => Ok((0..graph.outputs().len())
            .map(|i| later(xs.iter(), at, |b, vs| Ok(b.inline(graph, vs)[i])))
            .collect()),
        Road::Now => {
            let (own, device) = device_of(&xs)?;
            let program = device
                .compile(&graph.with_default_origin(&place.clone().into()))
                .map_err(|e| e.at(&place))?;
            let args = buffers(xs, &device, "run")?;
            let outs = program.run(args).map_err(|e| e.at(&place))?;
            Ok(outs.into_iter().map(|b| Tensor::concrete(b, own.clone())).collect())
        }
    }
}

/// Applies a graph with one result that depends on small arguments only: a recipe, unless an
/// argument is traced.
pub(crate) fn apply_lazily(graph: Graph, xs: Vec<Tensor>, at: At) -> Tensor {
    match road(&xs) {
        Err(e) => Tensor::error_at(e, at),
        Ok(Road::Now) => Recipe::tensor(graph, xs, at),
        Ok(_) => one(apply(&graph, xs, at), at),
    }
}

/// A recipe for the value that `build` makes out of nothing.
pub(crate) fn recipe(at: At, build: impl FnOnce(&mut Builder) -> Value) -> Tensor {
    let mut b = Builder::new();
    b.set_origin(Place::Source(at).into());
    let y = build(&mut b);
    match b.finish(&[y]) {
        Ok(graph) => Recipe::tensor(graph, vec![], at),
        Err(e) => Tensor::error_at(e, at),
    }
}

fn one(outs: Result<Outs>, at: At) -> Tensor {
    match outs {
        Ok(outs) => outs
            .into_iter()
            .next()
            .unwrap_or_else(|| Tensor::fail("emit", "the op has no result", at)),
        Err(e) => Tensor::error_at(e, at),
    }
}

/// Where an operation goes.
enum Road<'a> {
    Now,
    Trace(&'a Arc<Trace>),
    /// An operand has a value only inside `vmap`: the result, too.
    Later,
}

fn road(xs: &[Tensor]) -> Result<Road<'_>> {
    let (mut youngest, mut bound): (Option<&Arc<Trace>>, bool) = (None, false);
    for x in xs {
        match &x.0 {
            Repr::Error(e) => return Err(e.clone()),
            Repr::Traced(t) if youngest.is_none_or(|y| t.trace.id > y.id) => {
                youngest = Some(&t.trace)
            }
            Repr::Recipe(r) => bound |= r.bound,
            _ => {}
        }
    }
    Ok(match youngest {
        Some(t) => Road::Trace(t),
        None if bound => Road::Later,
        None => Road::Now,
    })
}

fn run(op: Op, xs: Xs, is_implicit: bool, at: At) -> Result<Outs> {
    match road(&xs)? {
        Road::Trace(t) => t.record(op, &xs, is_implicit, at),
        Road::Later => {
            Ok(smallvec::smallvec![
                later(xs.iter(), at, |b, vs| emit_in(b, op, vs, is_implicit).map(|ys| ys[0]))
            ])
        }
        Road::Now if matches!(op, Op::AllReduce(_) | Op::AxisIndex(_)) => Ok(smallvec::smallvec![
            later(xs.iter(), at, |b, vs| emit_in(b, op, vs, is_implicit).map(|ys| ys[0]))
        ]),
        Road::Now => eager(&op, xs, is_implicit, at).map_err(|e| e.at(&Place::Source(at))),
    }
}

/// Runs one op now.
fn eager(op: &Op, xs: Xs, is_implicit: bool, at: At) -> Result<Outs> {
    let (own, device) = device_of(&xs)?;
    let args = buffers(xs, &device, op.name())?;
    let types = args.iter().map(|b| b.ty());
    let program =
        device.op(op, types.clone(), is_implicit, || one_op_graph(op, types, is_implicit, at))?;
    let outs = program.run(args)?;
    Ok(outs.into_iter().map(|b| Tensor::concrete(b, own.clone())).collect())
}

/// The device that operands are on: the first that is not the default one. The first answer is what
/// their results remember.
fn device_of(xs: &[Tensor]) -> Result<(Option<Device>, Device)> {
    let own = xs.iter().find_map(Tensor::own_device).cloned();
    let device = or_default(own.as_ref())?.clone();
    Ok((own, device))
}

fn buffers(
    xs: impl IntoIterator<Item = Tensor>,
    device: &Device,
    op: &str,
) -> Result<Vec<neurax_runtime::Buffer>> {
    xs.into_iter().map(|x| x.into_buffer(op, device)).collect()
}

fn one_op_graph<'t>(
    op: &Op,
    types: impl Iterator<Item = &'t Type>,
    is_implicit: bool,
    at: At,
) -> Result<Graph> {
    let mut b = Builder::new();
    b.set_origin(Place::Source(at).into());
    let xs: Values = types.map(|t| b.input(t.clone())).collect();
    let ys = emit_in(&mut b, op.clone(), &xs, is_implicit)?;
    b.finish(&ys)
}

fn emit_in(b: &mut Builder, op: Op, xs: &[Value], is_implicit: bool) -> Result<Values> {
    if is_implicit {
        let xs = implicit(b, &op, xs)?;
        b.try_emit(op, &xs)
    } else {
        b.try_emit(op, xs)
    }
}

/// A recipe for `build` of operands that are recipes or concrete.
fn later<'t>(
    xs: impl Iterator<Item = &'t Tensor>,
    at: At,
    build: impl FnOnce(&mut Builder, &[Value]) -> Result<Value>,
) -> Tensor {
    let mut b = Builder::new();
    b.set_origin(Place::Source(at).into());
    let (mut args, mut vs) = (vec![], Values::new());
    for x in xs {
        let mut input = |b: &mut Builder, x: &Tensor| -> Result<Value> {
            let v = b.input(x.ty()?);
            args.push(x.clone());
            Ok(v)
        };
        let v = match &x.0 {
            Repr::Recipe(r) if r.bound => {
                let inner = r.args.iter().map(|a| input(&mut b, a)).collect::<Result<Values>>();
                inner.map(|inner| b.inline(&r.graph, &inner)[0])
            }
            _ => input(&mut b, x),
        };
        match v {
            Ok(v) => vs.push(v),
            Err(e) => return Tensor::error_at(e, at),
        }
    }
    match build(&mut b, &vs).and_then(|y| b.finish(&[y])) {
        Ok(graph) => Recipe::tensor(graph, args, at),
        Err(e) => Tensor::error_at(e, at),
    }
}

/// Promotes operands to one dtype (JAX's lattice) and broadcasts them to one shape (NumPy's rule).
/// The predicate of a select keeps its dtype.
pub(crate) fn implicit(b: &mut Builder, op: &Op, xs: &[Value]) -> Result<Values> {
    let types = b.types_of(xs);
    let own = matches!(op, Op::Select(_)) as usize;
    let shape = common_shape(op.name(), &types)?;
    let dtype = types[own..].iter().skip(1).try_fold(types[own].dtype, |d, t| {
        d.promote(t.dtype).ok_or_else(|| {
            Error::new(
                op.name(),
                format!("{} and {} have no common dtype; convert one with `to`", d, t.dtype),
            )
        })
    })?;
    let each = |(i, &x): (usize, &Value)| {
        let x = if i < own { x } else { b.convert(x, dtype) };
        let rank = b.ty(x).rank();
        let dims: Vec<usize> = (shape.rank() - rank..shape.rank()).collect();
        b.broadcast(x, shape.clone(), &dims)
    };
    Ok(xs.iter().enumerate().map(each).collect())
}

/// The shape that all operands broadcast to.
pub(crate) fn common_shape(op: &str, types: &[Type]) -> Result<Shape> {
    let mut out = Shape::default();
    for (i, t) in types.iter().enumerate() {
        let (a, b) = (&out, &t.shape);
        let rank = a.rank().max(b.rank());
        let size =
            |s: &Shape, i: usize| if i + s.rank() < rank { 1 } else { s[i + s.rank() - rank] };
        let join = (0..rank).map(|i| match (size(a, i), size(b, i)) {
            (x, y) if x == y || y == 1 => Some(x),
            (1, y) => Some(y),
            _ => None,
        });
        out = match join.collect::<Option<Shape>>() {
            Some(s) => s,
            None => {
                let before = types[..i].iter().map(Type::to_string).collect::<Vec<_>>().join(", ");
                return Err(Error::new(op, format!("cannot broadcast {before} with {t}")));
            }
        };
    }
    Ok(out)
}
