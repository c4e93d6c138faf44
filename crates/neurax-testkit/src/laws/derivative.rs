//! The law of forward-mode derivatives.

use super::*;
use crate::close::{Tolerance, parts};
use neurax_ir::{Bound, DType, Tangent};

/// Checks that on smooth rows in double precision, the tangents of `jvp` agree with central
/// differences, for each operand alone and for all of them.
///
/// # Errors
/// The violation.
pub fn jvp_is_the_difference(s: &Sample) -> Result<(), String> {
    let active: Vec<usize> =
        (0..s.inputs.len()).filter(|&i| is_double(s.inputs[i].dtype())).collect();
    let mixed = s.inputs.iter().any(|x| x.dtype().is_differentiable() && !is_double(x.dtype()));
    if !s.smooth || mixed || active.is_empty() || needs_axis(&s.op) {
        return Ok(());
    }
    let mut sets: Vec<Vec<usize>> = active.iter().map(|&i| vec![i]).collect();
    if active.len() > 1 {
        sets.push(active);
    }
    let mut rng = rng_for(s);
    sets.iter().try_for_each(|set| {
        check_direction(s, set, &mut rng).map_err(|e| format!("operands {set:?}: {e}"))
    })
}

fn check_direction(s: &Sample, active: &[usize], rng: &mut Rng) -> Result<(), String> {
    let v: Vec<Literal> = active.iter().map(|&i| direction(rng, s.inputs[i].ty())).collect();
    let (graph, known) = tangent_graph(s, active)?;
    let tangents = run(&graph, &[&s.inputs[..], &v].concat())?;
    let outs = eval_op(&s.op, &s.inputs)?;
    let mut next = tangents.into_iter();
    let f = |xs: &[Literal]| eval_op(&s.op, xs);
    let want = difference(&f, &s.inputs, active, &v)?;
    for (i, (y, d)) in outs.iter().zip(&want).enumerate() {
        let have = if known[i] {
            next.next().ok_or("a tangent is missing")?
        } else {
            Literal::zeros(y.ty().clone())
        };
        let Some(d) = d else { continue };
        crate::close::close_within(&have, d, Tolerance::both(1e-6))
            .map_err(|e| format!("tangent of result {i} against differences: {e}"))?;
    }
    Ok(())
}

/// Returns the op's tangents as a graph of operands and tangents, and for each result whether it
/// has one.
fn tangent_graph(s: &Sample, active: &[usize]) -> Result<(Graph, Vec<bool>), String> {
    let mut b = Builder::new();
    let xs = b.inputs(&types_of(&s.inputs));
    let mut dxs: Vec<Tangent> = vec![None; xs.len()];
    for &i in active {
        dxs[i] = Some(b.input(s.inputs[i].ty().clone()));
    }
    let dys = match s.op.region() {
        Some(region) => region.jvp_region(&mut b, &xs, &dxs, false).map_err(message)?.1,
        None => {
            let ys = b.try_emit(s.op.clone(), &xs).map_err(message)?;
            s.op.jvp(&mut b, &Bound { xs: &xs, ys: &ys }, &dxs).map_err(message)?
        }
    };
    let known = dys.iter().map(Option::is_some).collect();
    let graph = b.finish(&dys.into_iter().flatten().collect::<Vec<_>>()).map_err(message)?;
    Ok((graph, known))
}

/// Returns central differences of `f` at `xs` along `v` (for the operands `active`), for results in
/// double precision: Richardson extrapolation of two step sizes, whose error is of fourth order.
///
/// # Errors
/// The error of `f`.
pub fn difference(
    f: &dyn Fn(&[Literal]) -> Result<Vec<Literal>, String>,
    xs: &[Literal],
    active: &[usize],
    v: &[Literal],
) -> Result<Vec<Option<Literal>>, String> {
    let (coarse, fine) = (
        central(f, xs, active, v, DIFFERENCE_STEP)?,
        central(f, xs, active, v, DIFFERENCE_STEP / 2.0)?,
    );
    Ok(coarse
        .iter()
        .zip(&fine)
        .map(|(a, b)| Some(combine(a.as_ref()?, b.as_ref()?, |a, b| (4.0 * b - a) / 3.0)))
        .collect())
}

const DIFFERENCE_STEP: f64 = 1e-3;

/// Returns central differences with step size `h`.
///
/// # Errors
/// The error of `f`.
pub fn central(
    f: &dyn Fn(&[Literal]) -> Result<Vec<Literal>, String>,
    xs: &[Literal],
    active: &[usize],
    v: &[Literal],
    h: f64,
) -> Result<Vec<Option<Literal>>, String> {
    let moved = |h: f64| {
        let mut xs = xs.to_vec();
        for (&i, v) in active.iter().zip(v) {
            xs[i] = combine(&xs[i], v, |x, v| x + h * v);
        }
        f(&xs)
    };
    let (up, down) = (moved(h)?, moved(-h)?);
    let slope = |(a, b): (&Literal, &Literal)| {
        is_double(a.dtype())
            .then(|| combine(a, b, |a, b| if a == b { 0.0 } else { (a - b) / (2.0 * h) }))
    };
    Ok(up.iter().zip(&down).map(slope).collect())
}

/// Combines two literals of one type elementwise, real and imaginary parts separately.
fn combine(a: &Literal, b: &Literal, f: impl Fn(f64, f64) -> f64) -> Literal {
    let combined: Vec<(f64, f64)> =
        parts(a).iter().zip(parts(b)).map(|(x, y)| (f(x.0, y.0), f(x.1, y.1))).collect();
    complex(a.ty(), &combined)
}

fn is_double(d: DType) -> bool {
    matches!(d, DType::F64 | DType::C128)
}
