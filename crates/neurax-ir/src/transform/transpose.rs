//! Transposition: a linear graph run backwards, cotangents in, cotangents out.

use crate::op::{Bound, Transposed};
use crate::{Builder, Eqn, Error, Graph, Op, Result, Value, Values};

/// The transpose of a graph that is linear in the inputs marked `linear`:
/// `(other inputs.., one cotangent per output..) -> one cotangent per linear input..`
///
/// # Errors
/// When the graph is not linear in them: the error names the op and its place.
pub fn transpose(g: &Graph, linear: &[bool]) -> Result<Graph> {
    Ok(transpose_graph(g, linear, &vec![true; g.outputs().len()], true)?.0)
}

/// The transpose given only some cotangents (the others are zero). Answers also which linear inputs
/// get a cotangent: all if `instantiate`, else those whose is not always zero.
pub(crate) fn transpose_graph(
    g: &Graph,
    linear: &[bool],
    given: &[bool],
    instantiate: bool,
) -> Result<(Graph, Vec<bool>)> {
    let mut b = Builder::new();
    let xs: Vec<Value> =
        g.inputs().zip(linear).map(|(v, &l)| b.input_or_placeholder(g.ty(v).clone(), !l)).collect();
    let cts: Vec<Option<Value>> =
        g.outputs().iter().zip(given).map(|(&v, &y)| y.then(|| b.input(g.ty(v).clone()))).collect();
    let answers = transpose_walk(&mut b, g, &xs, linear, &cts)?;
    let (mut outs, mut marked) = (vec![], vec![]);
    for ((ct, &x), _) in answers.into_iter().zip(&xs).zip(linear).filter(|(_, l)| **l) {
        let ct = if instantiate { Some(b.tangent_or_zero(ct, x)) } else { ct };
        marked.push(ct.is_some());
        outs.extend(ct);
    }
    Ok((b.finish(&outs)?, marked))
}

/// Emits the transpose into a builder, as the rule of an op that holds `g`; an op that is not
/// linear becomes the builder's error.
pub fn transpose_into(
    b: &mut Builder,
    g: &Graph,
    xs: &[Value],
    linear: &[bool],
    cts: &[Option<Value>],
) -> Transposed {
    match transpose_walk(b, g, xs, linear, cts) {
        Ok(answers) => Transposed::Cotangents(answers),
        Err(e) => {
            b.fail(e);
            Transposed::Cotangents(vec![None; xs.len()])
        }
    }
}

/// Emits what does not depend on linear inputs forwards, then cotangents backwards.
///
/// # Errors
/// When an op is not linear.
pub(crate) fn transpose_walk(
    b: &mut Builder,
    g: &Graph,
    xs: &[Value],
    linear: &[bool],
    cts: &[Option<Value>],
) -> Result<Vec<Option<Value>>> {
    let outer = b.origin().clone();
    let (env, dependent) = forwards(b, g, xs, linear);
    b.check()?;
    let mut ct: Vec<Option<Value>> = vec![None; g.types().len()];
    for (v, &c) in g.outputs().iter().zip(cts).filter(|(v, _)| dependent[v.index()]) {
        ct[v.index()] = b.add_tangents(ct[v.index()], c);
    }
    for e in g.eqns().iter().rev().filter(|e| e.outputs.iter().any(|v| dependent[v.index()])) {
        backwards(b, e, &env, &dependent, &mut ct)?;
    }
    b.set_origin(outer);
    Ok(g.inputs().zip(linear).map(|(v, &l)| if l { ct[v.index()] } else { None }).collect())
}

/// Evaluates what does not depend on linear inputs; the rest are placeholders that only have a
/// type.
fn forwards(b: &mut Builder, g: &Graph, xs: &[Value], linear: &[bool]) -> (Vec<Value>, Vec<bool>) {
    let (mut env, mut dependent) = (xs.to_vec(), linear.to_vec());
    for e in g.eqns() {
        let depends = e.inputs.iter().any(|v| dependent[v.index()]);
        if depends {
            env.extend(e.outputs.iter().map(|&v| b.placeholder(g.ty(v).clone())));
        } else {
            b.set_origin(e.at.by("transpose"));
            let xs: Values = e.inputs.iter().map(|v| env[v.index()]).collect();
            env.extend(b.emit_n(e.op.clone(), &xs, e.outputs.len()));
        }
        dependent.extend(e.outputs.iter().map(|_| depends));
    }
    (env, dependent)
}

fn backwards(
    b: &mut Builder,
    e: &Eqn,
    env: &[Value],
    dependent: &[bool],
    ct: &mut [Option<Value>],
) -> Result<()> {
    let cts: Vec<Option<Value>> = e.outputs.iter().map(|v| ct[v.index()]).collect();
    if cts.iter().all(Option::is_none) {
        return Ok(());
    }
    b.set_origin(e.at.by("transpose"));
    let at = |vs: &[Value]| vs.iter().map(|v| env[v.index()]).collect::<Values>();
    let (xs, ys) = (at(&e.inputs), at(&e.outputs));
    let linear: Vec<bool> = e.inputs.iter().map(|v| dependent[v.index()]).collect();
    let answer = e.op.transpose(b, &Bound { xs: &xs, ys: &ys }, &linear, &cts);
    b.check()?;
    match answer {
        Transposed::NotLinear if matches!(e.op, Op::While(_)) => {
            Err(super::split::no_reverse_loop(e))
        }
        Transposed::NotLinear => Err(not_linear(e, &linear)),
        Transposed::Cotangents(answers) => {
            for ((v, answer), _) in e.inputs.iter().zip(answers).zip(linear).filter(|(_, l)| *l) {
                ct[v.index()] = b.add_tangents(ct[v.index()], answer);
            }
            b.check()
        }
    }
}

fn not_linear(e: &Eqn, linear: &[bool]) -> Error {
    let which: Vec<String> =
        (0..linear.len()).filter(|&i| linear[i]).map(|i| i.to_string()).collect();
    let why = format!(
        "it is not linear in operand {}, so its cotangent does not exist; differentiate with jvp or grad first",
        which.join(", ")
    );
    Error::new(e.op.name(), why).at_origin(&e.at)
}
