//! Transposition: turns a graph that is linear in some inputs into its adjoint, which maps
//! cotangents of the outputs to cotangents of these inputs.
//!
//! The walker first emits the equations that do not depend on linear inputs, in order; then it
//! visits the others backwards and asks the op of each for the cotangents of its operands, given
//! those of its results. Cotangents of a value with several readers are added. This is the
//! transposition of Radul et al., "You Only Linearize Once" (<https://arxiv.org/abs/2204.10923>);
//! applied to a linearized graph it is the backward pass of reverse mode.
//!
//! ```
//! use neurax_ir::{Graph, transform};
//! // d(sin(x) y) = dx cos(x) y, with the residuals cos(x) and y.
//! let linear = Graph::parse("graph(%0: f32[], %1: f32[], %2: f32[]) {
//!   %3: f32[] = multiply(%2, %0)
//!   %4: f32[] = multiply(%3, %1)
//!   return %4
//! }")?;
//! let backward = transform::transpose(&linear, &[false, false, true])?;
//! assert_eq!(backward.to_string(), "\
//! graph(%0: f32[], %1: f32[], %2: f32[]) {
//!   %3: f32[] = multiply(%2, %1)
//!   %4: f32[] = multiply(%3, %0)
//!   return %4
//! }");
//! # Ok::<(), neurax_ir::Error>(())
//! ```
//!
//! Invariants:
//! - Linear values do not exist in the transposed graph. The rules see placeholders for them, which
//!   have a type only; [`crate::Builder::finish`] returns an error if an equation reads one.
//! - Zero cotangents are symbolic (`None`); `instantiate` asks for explicit zeros.
//! - `<J v, w> = <v, J^T w>` for all `v` and `w`: the law of transposition in `neurax-testkit`.
//!
//! Rejected: a reverse-mode rule for each op besides its jvp rule. Both would state the derivative,
//! and could differ; a transpose is only needed for the ops that are linear.

use super::cotangents::Cotangents;
use crate::error::check_len;
use crate::op::{Bound, Transposed};
use crate::{Builder, Eqn, Error, Graph, Op, Result, Value, Values, visits::visit};

/// Returns the transpose of a graph that is linear in the inputs marked `linear`: `(other inputs..,
/// one cotangent per output..) -> one cotangent per linear input..`
///
/// # Errors
/// If `linear` has not one flag for each input, or the graph is not linear in these inputs; the
/// error carries the op and its origin.
pub fn transpose(g: &Graph, linear: &[bool]) -> Result<Graph> {
    Ok(transpose_graph(g, linear, &vec![true; g.outputs().len()], true)?.0)
}

/// Returns the transpose, given cotangents for the outputs marked `given` (the others are zero),
/// and for each linear input whether it gets a cotangent: all if `instantiate`, otherwise those
/// whose cotangent is not always zero.
pub(crate) fn transpose_graph(
    g: &Graph,
    linear: &[bool],
    given: &[bool],
    instantiate: bool,
) -> Result<(Graph, Vec<bool>)> {
    check_len("transpose", "flag", "input", g.input_types().len(), linear.len())?;
    check_len("transpose", "flag", "output", g.outputs().len(), given.len())?;
    let mut b = Builder::new();
    let xs: Vec<Value> =
        g.inputs().zip(linear).map(|(v, &l)| b.input_or_placeholder(g.ty(v).clone(), !l)).collect();
    let cts: Vec<Option<Value>> =
        g.outputs().iter().zip(given).map(|(&v, &y)| y.then(|| b.input(g.ty(v).clone()))).collect();
    let cts = transpose_walk(&mut b, g, &xs, linear, &cts)?;
    let (mut outs, mut marked) = (vec![], vec![]);
    for ((ct, &x), _) in cts.into_iter().zip(&xs).zip(linear).filter(|(_, l)| **l) {
        let ct = if instantiate { Some(b.tangent_or_zero(ct, x)) } else { ct };
        marked.push(ct.is_some());
        outs.extend(ct);
    }
    Ok((b.finish(&outs)?, marked))
}

/// Emits the transpose into `b` as the transpose rule of an op that holds `g`. The error of an
/// equation that is not linear is recorded in the builder.
pub fn transpose_into(
    b: &mut Builder,
    g: &Graph,
    xs: &[Value],
    linear: &[bool],
    cts: &[Option<Value>],
) -> Transposed {
    match transpose_walk(b, g, xs, linear, cts) {
        Ok(cts) => Transposed::Cotangents(cts),
        Err(e) => {
            b.fail(e);
            Transposed::Cotangents(vec![None; xs.len()])
        }
    }
}

/// Emits the equations that do not depend on linear inputs, then the transposed equations
/// backwards. Returns the cotangents of the inputs.
///
/// # Errors
/// If there is not one argument and flag for each input and one cotangent for each output, or an op
/// is not linear.
pub(crate) fn transpose_walk(
    b: &mut Builder,
    g: &Graph,
    xs: &[Value],
    linear: &[bool],
    cts: &[Option<Value>],
) -> Result<Vec<Option<Value>>> {
    check_len("transpose", "argument", "input", g.input_types().len(), xs.len())?;
    check_len("transpose", "flag", "input", g.input_types().len(), linear.len())?;
    check_len("transpose", "cotangent", "output", g.outputs().len(), cts.len())?;
    let outer = b.origin().clone();
    let (env, dependent) = emit_independent(b, g, xs, linear);
    b.check()?;
    let mut ct = Cotangents::new(g.types().len());
    for (&v, &c) in g.outputs().iter().zip(cts).filter(|(v, _)| dependent[v.index()]) {
        ct.add(b, v, c);
    }
    for e in g.eqns().iter().rev().filter(|e| e.outputs.iter().any(|v| dependent[v.index()])) {
        transpose_eqn(b, g, e, &env, &dependent, &mut ct)?;
    }
    b.set_origin(outer);
    let inputs = g.inputs().zip(linear);
    Ok(inputs.map(|(v, &l)| if l { ct.get(b, v, g.ty(v)) } else { None }).collect())
}

/// Emits the equations that do not depend on linear inputs. Returns the values by index,
/// placeholders for the dependent ones, and for each value whether it is dependent.
fn emit_independent(
    b: &mut Builder,
    g: &Graph,
    xs: &[Value],
    linear: &[bool],
) -> (Vec<Value>, Vec<bool>) {
    let (mut env, dependent) = (xs.to_vec(), g.dependents(linear));
    for e in g.eqns() {
        visit();
        if e.inputs.iter().any(|v| dependent[v.index()]) {
            env.extend(e.outputs.iter().map(|&v| b.placeholder(g.ty(v).clone())));
        } else {
            b.set_origin(e.at.by("transpose"));
            let xs: Values = e.inputs.iter().map(|v| env[v.index()]).collect();
            env.extend(b.emit_n(e.op.clone(), &xs, e.outputs.len()));
        }
    }
    (env, dependent)
}

/// Emits the transpose of one equation: adds the cotangents of its operands to `ct`.
fn transpose_eqn(
    b: &mut Builder,
    g: &Graph,
    e: &Eqn,
    env: &[Value],
    dependent: &[bool],
    ct: &mut Cotangents,
) -> Result<()> {
    b.set_origin(e.at.by("transpose"));
    let cts: Vec<Option<Value>> = e.outputs.iter().map(|&v| ct.get(b, v, g.ty(v))).collect();
    if cts.iter().all(Option::is_none) {
        return Ok(());
    }
    if let (Op::Slice(slice), [Some(c)]) = (&e.op, &cts[..]) {
        ct.add_slice(e.inputs[0], slice, *c);
        return b.check();
    }
    let at = |vs: &[Value]| vs.iter().map(|v| env[v.index()]).collect::<Values>();
    let (xs, ys) = (at(&e.inputs), at(&e.outputs));
    let linear: Vec<bool> = e.inputs.iter().map(|v| dependent[v.index()]).collect();
    let transposed = e.op.transpose(b, &Bound { xs: &xs, ys: &ys }, &linear, &cts);
    b.check()?;
    match transposed {
        Transposed::NotLinear if matches!(e.op, Op::While(_)) => Err(no_reverse_loop(e)),
        Transposed::NotLinear => Err(not_linear(e, &linear)),
        Transposed::Cotangents(cts) => {
            for ((v, c), _) in e.inputs.iter().zip(cts).zip(linear).filter(|(_, l)| *l) {
                ct.add(b, *v, c);
            }
            b.check()
        }
    }
}

/// Creates the error of reverse mode over `while`.
fn no_reverse_loop(e: &Eqn) -> Error {
    let why = "a loop whose number of steps is only known at run time has no reverse mode; \
               use scan, or fori with a fixed range";
    Error::new("while", why).at_origin(&e.at)
}

fn not_linear(e: &Eqn, linear: &[bool]) -> Error {
    let which: Vec<String> =
        (0..linear.len()).filter(|&i| linear[i]).map(|i| i.to_string()).collect();
    let why = format!(
        "it is not linear in operand {}, so it has no transpose; differentiate with jvp or grad",
        which.join(", ")
    );
    Error::new(e.op.name(), why).at_origin(&e.at)
}
