//! Forward-mode automatic differentiation: each value carries a tangent, or none where the tangent
//! is zero.
//!
//! Given a function `f`, the transform returns `(x, dx) -> (f(x), f'(x) dx)`, the Jacobian-vector
//! product. It is the forward mode of Griewank and Walther, "Evaluating Derivatives" (2nd ed.,
//! chapter 3), done by a source transformation: the walker emits each equation again, followed by
//! the tangent equations of the op's jvp rule.
//!
//! ```
//! use neurax_ir::{Graph, transform};
//! let graph = Graph::parse("graph(%0: f32[], %1: f32[]) {
//!   %2: f32[] = sine(%0)
//!   %3: f32[] = multiply(%2, %1)
//!   return %3
//! }")?;
//! // With respect to the first input only: %2 is its tangent, %1 has none.
//! let d = transform::jvp(&graph, &[true, false])?;
//! assert_eq!(d.graph.to_string(), "\
//! graph(%0: f32[], %1: f32[], %2: f32[]) {
//!   %3: f32[] = sine(%0)
//!   %4: f32[] = cosine(%0)
//!   %5: f32[] = multiply(%2, %4)
//!   %6: f32[] = multiply(%3, %1)
//!   %7: f32[] = multiply(%5, %1)
//!   return %6, %7
//! }");
//! # Ok::<(), neurax_ir::Error>(())
//! ```
//!
//! Invariants:
//! - Zero tangents are symbolic: `None` instead of zeros, so that they cost nothing. `force` asks
//!   for explicit zeros where a signature demands a tangent (the carry of a loop).
//! - Each equation that a rule emits is free of tangents or linear in them; [`super::linearize`]
//!   relies on that. An op that holds graphs mixes the two in one equation unless `for_reverse` is
//!   set, which makes it emit a primal and a linear equation.
//! - Equations keep the origin of the equation that they are derived from, marked `jvp`.
//! - `|x| * |x|` is differentiated as the square of `x`, which is smooth at 0: the slope of `|x|`
//!   is 0 there, which is right for the first derivative of the square, but not for the second.
//!
//! Rejected: dual numbers, values that hold their tangent: each op would need a second evaluation,
//! and the derivative could be neither optimized nor transposed as a graph.

use super::Memo;
use crate::error::check_len;
use crate::op::{Binary, Bound, Tangent, Unary};
use crate::visits::visit;
use crate::{Builder, Eqn, Error, Graph, Op, Result, Value, Values};

/// The result of [`jvp`].
#[derive(Clone, Debug)]
pub struct Jvp {
    /// `(inputs.., tangents of the active inputs..) -> (outputs.., tangents of the outputs marked
    /// below..)`
    pub graph: Graph,
    /// For each output, true if it has a tangent; the tangents of the others are zero.
    pub outputs: Vec<bool>,
}

/// Returns the directional derivative of a graph with respect to its `active` inputs.
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
/// If `active` has not one flag for each input, an active input is not of a differentiable dtype,
/// or an op has no derivative; the error carries the op and its origin.
pub fn jvp(g: &Graph, active: &[bool]) -> Result<Jvp> {
    jvp_instantiated(&Memo::default(), g, active, &vec![false; g.outputs().len()], false)
}

/// Returns the derivative like [`jvp`], with explicit tangents for the outputs in `force` even if
/// they are zero; `memo` has the derivatives of nested graphs. With `for_reverse`, ops that hold
/// graphs emit a primal and a linear equation instead of one.
pub(crate) fn jvp_instantiated(
    memo: &Memo,
    g: &Graph,
    active: &[bool],
    force: &[bool],
    for_reverse: bool,
) -> Result<Jvp> {
    check_len("jvp", "flag", "input", g.input_types().len(), active.len())?;
    check_len("jvp", "flag", "output", g.outputs().len(), force.len())?;
    let mut b = Builder::with_memo(memo);
    let xs = b.inputs(g.input_types());
    let mut dxs = Vec::with_capacity(xs.len());
    for (i, &x) in xs.iter().enumerate() {
        let ty = b.ty(x).clone();
        if active[i] && !ty.dtype.is_differentiable() {
            let why = format!("expected a float or complex type for active input {i}, got {ty}");
            return Err(Error::new("jvp", why));
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

/// Emits a graph and its tangents into `b`: returns the outputs for the inputs `xs` and their
/// tangents for the tangents `dxs`.
///
/// # Errors
/// If there is not one argument and tangent for each input, or an op has no derivative.
pub fn jvp_into(
    b: &mut Builder,
    g: &Graph,
    xs: &[Value],
    dxs: &[Tangent],
    for_reverse: bool,
) -> Result<(Values, Vec<Tangent>)> {
    check_len("jvp", "argument", "input", g.input_types().len(), xs.len())?;
    check_len("jvp", "tangent", "input", g.input_types().len(), dxs.len())?;
    let mut env: Vec<Value> = xs.to_vec();
    let mut tan: Vec<Tangent> = dxs.to_vec();
    let squares = AbsSquares::of(g);
    let outer = b.origin().clone();
    for e in g.eqns() {
        visit();
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
            let dys = match squares.operand(e) {
                Some(x) => Ok(vec![tan[x.index()].map(|dx| square_tangent(b, env[x.index()], dx))]),
                None => e.op.jvp(b, &Bound { xs: &xs, ys: &ys }, &dxs),
            };
            (ys, dys.map_err(|err| err.at_origin(&e.at))?)
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

/// The squares of absolute values in a graph.
struct AbsSquares<'g> {
    g: &'g Graph,
    /// The producers of the values; empty if the graph has no absolute values.
    producers: Vec<Option<usize>>,
}

impl<'g> AbsSquares<'g> {
    fn of(g: &'g Graph) -> AbsSquares<'g> {
        let has_abs = g.eqns().iter().any(|e| e.op == Op::Unary(Unary::Abs));
        AbsSquares { g, producers: if has_abs { g.producers() } else { vec![] } }
    }

    /// Returns `x` if `e` computes `|x| * |x|`, or `|x|` to the power 2.
    fn operand(&self, e: &Eqn) -> Option<Value> {
        let [p, q] = e.inputs[..] else { return None };
        let (x, y) = match e.op {
            Op::Binary(Binary::Mul) => (self.inside_abs(p)?, self.inside_abs(q)?),
            Op::Binary(Binary::Pow) if self.is_two(q) => (self.inside_abs(p)?, self.inside_abs(p)?),
            _ => return None,
        };
        (x == y).then_some(x)
    }

    fn producer(&self, v: Value) -> Option<&'g Eqn> {
        self.producers.get(v.index()).copied().flatten().map(|i| &self.g.eqns()[i])
    }

    /// Returns `x` if `v` is `|x|`.
    fn inside_abs(&self, v: Value) -> Option<Value> {
        self.producer(v).filter(|e| e.op == Op::Unary(Unary::Abs)).map(|e| e.inputs[0])
    }

    /// Returns true if `v` is the constant 2, or a broadcast of it.
    fn is_two(&self, v: Value) -> bool {
        match self.producer(v).map(|e| (&e.op, &e.inputs[..])) {
            Some((Op::Broadcast(_), &[x])) => self.is_two(x),
            Some((Op::Constant(c), _)) => c.value.ty().size() == 1 && c.value.to_f64s()[0] == 2.0,
            _ => false,
        }
    }
}

/// Emits the tangent of `|x|^2`: twice the real part of `conj(x) dx`.
fn square_tangent(b: &mut Builder, x: Value, dx: Value) -> Value {
    let complex = b.dtype(x).is_complex();
    let x = if complex { b.conj(x) } else { x };
    let slope = b.mul_scalar(x, 2.0);
    let d = b.mul(dx, slope);
    if complex { b.real(d) } else { d }
}

/// Computes the least fixed point of `step` above `flags`, e.g. the carries of a loop that are
/// active or batched.
///
/// # Errors
/// The errors of `step`.
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
