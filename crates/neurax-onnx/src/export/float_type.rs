//! Functions of f32 as functions of a narrower float.
//!
//! Every value of f32 becomes one of the narrow dtype, also inside of loops and branches. The
//! inputs of the function are converted in front of it and its outputs behind it, so that callers
//! see no difference but that of rounding. Normalizations and reductions whose meaning is in f32
//! (see `composite` of the IR) are computed in f32.

use neurax_ir::op::{BitcastConvert, Constant, Convert, Convolution, DotGeneral, Iota, Linear};
use neurax_ir::{Builder, DType, Error, Eval, Graph, Op, OrBug, Result, Type};

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
    let wide = |(y, ty): (neurax_ir::Value, Type)| (y, ty.dtype);
    let outputs: Vec<_> = ys.into_iter().zip(graph.output_types()).map(wide).collect();
    let outputs: Vec<_> = outputs.into_iter().map(|(y, dtype)| b.convert(y, dtype)).collect();
    b.finish(&outputs)
}

/// Returns a graph with `to` in place of f32 everywhere.
fn narrowed(graph: &Graph, to: DType) -> Result<Graph> {
    let mut b = Builder::new();
    let mut env: Vec<neurax_ir::Value> =
        graph.input_types().iter().map(|t| b.input(retyped(t, to))).collect();
    for eqn in graph.eqns() {
        b.set_origin(eqn.at.clone());
        let xs: Vec<neurax_ir::Value> = eqn.inputs.iter().map(|v| env[v.index()]).collect();
        env.extend(b.try_emit(op_with(&eqn.op, to)?, &xs)?);
    }
    let outputs: Vec<neurax_ir::Value> = graph.outputs().iter().map(|v| env[v.index()]).collect();
    b.finish(&outputs)
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
            let narrow = Op::from(Convert { dtype: to });
            let value = narrow.eval(&mut Eval::default(), vec![c.value.clone()])?.pop();
            Constant { value: value.or_bug("a conversion without a result")? }.into()
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
