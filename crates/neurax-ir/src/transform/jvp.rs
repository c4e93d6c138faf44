//! Forward mode: every value carries a tangent, or none where it is zero.

use crate::op::{Bound, Tangent};
use crate::{Builder, Error, Graph, Result, Value, Values};

/// The answer of [`jvp`].
#[derive(Clone, Debug)]
pub struct Jvp {
    /// `(inputs.., tangents of the active inputs..) -> (outputs.., tangents of the outputs marked
    /// below..)`
    pub graph: Graph,
    /// Which outputs have a tangent; the others' is zero.
    pub outputs: Vec<bool>,
}

/// The directional derivative of a graph with respect to its `active` inputs.
///
/// ```
/// use neurax_ir::{Builder, DType, Type, transform};
/// let mut b = Builder::new();
/// let x = b.input(Type::scalar(DType::F32));
/// let y = b.sin(x);
/// let d = transform::jvp(&b.finish(&[y])?, &[true])?;
/// assert_eq!(d.graph.to_string(), "\
/// graph(%0: f32[], %1: f32[]) {
///   %2: f32[] = sine(%0)
///   %3: f32[] = cosine(%0)
///   %4: f32[] = multiply(%1, %3)
///   return %2, %4
/// }");
/// # Ok::<(), neurax_ir::Error>(())
/// ```
///
/// # Errors
/// When an active input is not of a differentiable dtype, or an op has no derivative: the error
/// names the op and its place.
pub fn jvp(g: &Graph, active: &[bool]) -> Result<Jvp> {
    jvp_instantiated(g, active, &vec![false; g.outputs().len()], false)
}

/// Like [`jvp`], but outputs in `force` get a tangent even if it is zero; `for_reverse` asks ops
/// that hold graphs for a primal and a linear equation instead of one.
pub(crate) fn jvp_instantiated(
    g: &Graph,
    active: &[bool],
    force: &[bool],
    for_reverse: bool,
) -> Result<Jvp> {
    let mut b = Builder::new();
    let xs = b.inputs(g.input_types());
    let mut dxs = Vec::with_capacity(xs.len());
    for (i, &x) in xs.iter().enumerate() {
        let ty = b.ty(x).clone();
        if active[i] && !ty.dtype.is_differentiable() {
            return Err(Error::new(
                "jvp",
                format!("input {i} is {ty}: only floats and complex numbers can be differentiated"),
            ));
        }
        dxs.push(active[i].then(|| b.input(ty)));
    }
    let (ys, dys) = jvp_into(&mut b, g, &xs, &dxs, for_reverse)?;
    let mut outs = ys.to_vec();
    let mut marked = vec![];
    for ((&y, dy), &f) in ys.iter().zip(dys).zip(force) {
        let dy = if f { Some(b.tangent_or_zero(dy, y)) } else { dy };
        marked.push(dy.is_some());
        outs.extend(dy);
    }
    Ok(Jvp { graph: b.finish(&outs)?, outputs: marked })
}

/// Emits a graph and its tangents into a builder.
///
/// # Errors
/// When an op has no derivative.
pub fn jvp_into(
    b: &mut Builder,
    g: &Graph,
    xs: &[Value],
    dxs: &[Tangent],
    for_reverse: bool,
) -> Result<(Values, Vec<Tangent>)> {
    let mut env: Vec<Value> = xs.to_vec();
    let mut tan: Vec<Tangent> = dxs.to_vec();
    let outer = b.origin().clone();
    for e in g.eqns() {
        b.set_origin(e.at.by("jvp"));
        let xs: Values = e.inputs.iter().map(|v| env[v.index()]).collect();
        let dxs: Vec<Tangent> = e.inputs.iter().map(|v| tan[v.index()]).collect();
        let (ys, dys) = if dxs.iter().all(Option::is_none) {
            let ys = b.emit_n(e.op.clone(), &xs, e.outputs.len());
            let none = vec![None; ys.len()];
            (ys, none)
        } else if let Some(region) = e.op.region() {
            region.jvp_region(b, &xs, &dxs, for_reverse).map_err(|err| err.at_origin(&e.at))?
        } else {
            let ys = b.emit_n(e.op.clone(), &xs, e.outputs.len());
            b.check()?;
            let dys =
                e.op.jvp(b, &Bound { xs: &xs, ys: &ys }, &dxs)
                    .map_err(|err| err.at_origin(&e.at))?;
            (ys, dys)
        };
        b.check()?;
        env.extend(ys);
        tan.extend(dys);
    }
    b.set_origin(outer);
    let outs = g.outputs();
    Ok((
        outs.iter().map(|v| env[v.index()]).collect(),
        outs.iter().map(|v| tan[v.index()]).collect(),
    ))
}

/// Grows `flags` until `step` adds nothing: which carries of a loop are active, or batched.
///
/// # Errors
/// What `step` says.
pub(crate) fn fixed_point(
    mut flags: Vec<bool>,
    mut step: impl FnMut(&[bool]) -> Result<Vec<bool>>,
) -> Result<Vec<bool>> {
    loop {
        let next = step(&flags)?;
        let grown: Vec<bool> = flags.iter().zip(&next).map(|(a, b)| a | b).collect();
        if grown == flags {
            return Ok(flags);
        }
        flags = grown;
    }
}
