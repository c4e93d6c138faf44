//! Functions of f32 as functions of a narrower float.
//!
//! Every value of f32 becomes one of the narrow dtype, also inside of loops and branches. The
//! inputs of the function are converted in front of it and its outputs behind it, so that callers
//! see no difference but that of rounding. Normalizations and reductions whose meaning is in f32
//! (see `composite` of the IR) are computed in f32. So are sums, and their products with constants:
//! the number of elements of a mean need not be a narrow float, and may be larger than all of them.
//! Constants and weights that are too large become the largest narrow number, not infinity.
//!
//! ```text
//! reduce sum x: f32[65537]          reduce sum (convert x f32): f32[65537]
//! div sum 65537              ->     div sum 65537; convert to f16
//! ```

use neurax_ir::op::{
    Binary, BitcastConvert, Constant, Convert, Convolution, DotGeneral, Iota, Linear, ReduceKind,
};
use neurax_ir::{
    Builder, DType, Error, Eval, FloatFormat, Graph, Literal, Op, OrBug, Result, Type, Value,
    passes,
};
use neurax_tensor::Tensor;
use std::collections::HashMap;

/// Returns `graph` with the dtype `to` in place of f32. The inputs for which `stays` is true, and
/// the outputs, keep their dtypes.
///
/// # Errors
/// If `to` is not f16 or bf16, or an op does not admit it.
pub(super) fn with_float(graph: &Graph, to: DType, stays: &dyn Fn(usize) -> bool) -> Result<Graph> {
    if !matches!(to, DType::F16 | DType::BF16) {
        return Err(Error::new("onnx export", format!("expected f16 or bf16 as float, got {to}")));
    }
    let narrow = narrowed(graph, to)?;
    let mut b = Builder::new();
    let mut args = vec![];
    for (i, ty) in graph.input_types().iter().enumerate() {
        let is_kept = stays(i) && ty.dtype == DType::F32;
        let x = b.input(if is_kept { ty.clone() } else { retyped(ty, to) });
        args.push(if is_kept { b.convert(x, to) } else { x });
    }
    let ys = b.inline(&narrow, &args);
    let wide = |(y, ty): (Value, Type)| (y, ty.dtype);
    let outputs: Vec<_> = ys.into_iter().zip(graph.output_types()).map(wide).collect();
    let outputs: Vec<_> = outputs.into_iter().map(|(y, dtype)| b.convert(y, dtype)).collect();
    b.finish(&outputs)
}

/// Returns a graph with `to` in place of f32 everywhere.
fn narrowed(graph: &Graph, to: DType) -> Result<Graph> {
    let mut b = Builder::new();
    let mut env: Vec<Value> = graph.input_types().iter().map(|t| b.input(retyped(t, to))).collect();
    // The values that are in f32 as well: sums, and the numbers that they may be divided by.
    let mut exact: HashMap<usize, Value> = HashMap::new();
    for eqn in graph.eqns() {
        b.set_origin(eqn.at.clone());
        let xs: Vec<Value> = eqn.inputs.iter().map(|v| env[v.index()]).collect();
        let wide: Option<Vec<Value>> =
            eqn.inputs.iter().map(|v| exact.get(&v.index()).copied()).collect();
        let in_f32 = match (&eqn.op, wide) {
            (Op::Reduce(r), _) if r.kind == ReduceKind::Sum && is_f32(graph, eqn.inputs[0]) => {
                let x = b.convert(xs[0], DType::F32);
                Some(b.emit(r.clone(), &[x]))
            }
            (Op::Constant(c), _) if c.value.dtype() == DType::F32 && c.value.ty().size() == 1 => {
                Some(b.emit(c.clone(), &[]))
            }
            (Op::Broadcast(op), Some(wide)) => Some(b.emit(op.clone(), &wide)),
            (Op::Reshape(op), Some(wide)) => Some(b.emit(op.clone(), &wide)),
            (Op::Binary(op @ (Binary::Mul | Binary::Div)), Some(wide)) => {
                let y = b.emit(*op, &wide);
                env.push(b.convert(y, to));
                continue;
            }
            _ => None,
        };
        exact.extend(in_f32.map(|y| (env.len(), y)));
        match (&eqn.op, in_f32) {
            (Op::Reduce(_), Some(y)) => env.push(b.convert(y, to)),
            _ => env.extend(b.try_emit(op_with(&eqn.op, to)?, &xs)?),
        }
    }
    let outputs: Vec<Value> = graph.outputs().iter().map(|v| env[v.index()]).collect();
    // Most numbers are not needed in both dtypes.
    passes::dce(&b.finish(&outputs)?)
}

fn is_f32(graph: &Graph, x: Value) -> bool {
    graph.ty(x).dtype == DType::F32
}

/// Returns a constant in the dtype `to`. Finite numbers stay finite: masks have the least f32 in
/// place of negative infinity, and products of infinity with 0 would be NaN.
fn narrow_constant(x: &Literal, to: DType) -> Result<Literal> {
    let most = largest(to)?;
    let numbers = x.to_f64s();
    if numbers.iter().any(|x| x.is_finite() && x.abs() > most) {
        let clipped = |x: &f64| if x.is_finite() { x.clamp(-most, most) } else { *x };
        let clipped: Vec<f64> = numbers.iter().map(clipped).collect();
        return Ok(Literal::from_f64s(to, x.ty().shape.clone(), &clipped));
    }
    let narrow = Op::from(Convert { dtype: to });
    let value = narrow.eval(&mut Eval::default(), vec![x.clone()])?.pop();
    value.or_bug("a conversion without a result")
}

/// Returns a weight in the dtype `to`, as [`narrow_constant`] does.
pub(super) fn narrow_weight(x: &Tensor, to: DType) -> Result<Tensor> {
    let most = largest(to)?;
    Ok(x.is_finite().select(x.clip(-most, most), x).to(to))
}

/// Returns the largest finite number of a float.
fn largest(dtype: DType) -> Result<f64> {
    FloatFormat::of(dtype).map(FloatFormat::max).or_bug("a float without a format")
}

/// Returns an op with `to` in place of f32 in its attributes and graphs.
fn op_with(op: &Op, to: DType) -> Result<Op> {
    let of = |d: DType| if d == DType::F32 { to } else { d };
    Ok(match op {
        Op::Convert(c) => Convert { dtype: of(c.dtype) }.into(),
        Op::BitcastConvert(c) if c.dtype == DType::F32 => {
            let why = "the bits of a float are those of f32; they cannot be narrowed";
            return Err(Error::new(op.name(), why));
        }
        Op::BitcastConvert(c) => BitcastConvert { dtype: c.dtype }.into(),
        Op::Constant(c) if c.value.dtype() == DType::F32 => {
            Constant { value: narrow_constant(&c.value, to)? }.into()
        }
        Op::Iota(i) => Iota { ty: retyped(&i.ty, to), axis: i.axis }.into(),
        Op::DotGeneral(d) => DotGeneral { dtype: of(d.dtype), ..d.clone() }.into(),
        Op::Convolution(c) => Convolution { dtype: of(c.dtype), ..c.clone() }.into(),
        Op::Linear(l) => {
            let types = |all: &[Type]| all.iter().map(|t| retyped(t, to)).collect::<Vec<_>>();
            let graph = |g: &Option<std::sync::Arc<Graph>>| {
                g.as_ref().map(|g| narrowed(g, to).map(std::sync::Arc::new)).transpose()
            };
            let (forward, backward) = (graph(&l.forward)?, graph(&l.backward)?);
            let (from, to) = (types(&l.from), types(&l.to));
            Linear { forward, backward, from, to, ..l.clone() }.into()
        }
        op => match op.region() {
            Some(region) => region.map_graphs(&mut |g| narrowed(g, to))?,
            None => op.clone(),
        },
    })
}

fn retyped(ty: &Type, to: DType) -> Type {
    if ty.dtype == DType::F32 { ty.with_dtype(to) } else { ty.clone() }
}
