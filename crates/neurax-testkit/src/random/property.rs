//! The properties of random programs.

use super::RandomProgram;
use crate::close::{Tolerance, all_within, close_within, parts};
use crate::laws::{central, direction, graph_parses_back, run, same_product_within, stack, take};
use crate::rng::Rng;
use neurax_ir::{Axis, Builder, DType, Graph, Literal, passes, transform};

/// A violated property.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The name of the property.
    pub property: &'static str,
    /// The violation.
    pub why: String,
}

/// The classification of a program that has all properties.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Verdict {
    /// True if the program was too steep to compare its derivative with differences.
    pub steep: bool,
    /// True if the program was differentiated in reverse mode.
    pub reverse: bool,
}

type PropertyResult<T = ()> = Result<T, Failure>;

fn property<T>(property: &'static str, f: impl FnOnce() -> Result<T, String>) -> PropertyResult<T> {
    crate::laws::catch_panic(f).map_err(|why| Failure { property, why })
}

/// Checks all properties.
///
/// # Errors
/// The first violated property.
pub fn check(p: &RandomProgram) -> PropertyResult<Verdict> {
    let mut rng = Rng::new(p.seed ^ 0x5eed);
    property("verify, print and parse", || graph_parses_back(&p.graph))?;
    let ys = property("eval", || run(&p.graph, &p.args))?;
    if ys
        .iter()
        .filter(|y| y.dtype().is_differentiable())
        .flat_map(parts)
        .any(|(a, b)| !(a.is_finite() && b.is_finite()))
    {
        return Err(Failure { property: "eval", why: "a result is not finite".into() });
    }
    property("passes keep the value", || same_after_passes(&p.graph, &p.args))?;
    property("vmap is the stack of runs", || batched(&p.graph, &p.args, &mut rng))?;
    let mut verdict = Verdict::default();
    let v: Vec<Literal> = p
        .args
        .iter()
        .zip(&p.active)
        .filter(|(_, a)| **a)
        .map(|(x, _)| direction(&mut rng, x.ty()))
        .collect();
    let forward =
        property("jvp", || transform::jvp(&p.graph, &p.active).map_err(|e| e.to_string()))?;
    let both = [&p.args[..], &v].concat();
    property("jvp verifies, prints and parses", || graph_parses_back(&forward.graph))?;
    let jv = property("jvp evaluates", || run(&forward.graph, &both))?;
    property("jvp keeps the value", || all_within(&jv[..ys.len()], &ys, same))?;
    let jv = &filled(&p.graph, &forward.outputs, &jv[ys.len()..]);
    property("jvp before and after vmap over a named axis", || named_axis(p, &both, &ys, jv))?;
    verdict.steep = property("jvp is the difference", || differences(p, &p.graph, &v, jv))?;
    property("passes keep the value of the jvp", || same_after_passes(&forward.graph, &both))?;
    verdict.reverse = reverse(p, &ys, &v, jv, &mut rng)?;
    if verdict.reverse && p.seed.is_multiple_of(3) {
        verdict.steep |= second_order(p, &v, &mut rng)?;
    } else if p.seed % 3 == 1 {
        property("vmap of jvp is the stack of runs", || batched(&forward.graph, &both, &mut rng))?;
    }
    Ok(verdict)
}

/// Returns the tolerance for equivalent computations of a program: rounding errors, amplified by a
/// chain of steep ops.
fn same(d: DType) -> Tolerance {
    match d.real() {
        DType::F64 => Tolerance::both(1e-9),
        DType::F32 => Tolerance::both(1e-4),
        _ => Tolerance::of(d),
    }
}

fn same_after_passes(g: &Graph, args: &[Literal]) -> Result<(), String> {
    let small = passes::optimize(g, &mut |_, _| {}).map_err(|e| e.to_string())?;
    graph_parses_back(&small)?;
    all_within(&run(&small, args)?, &run(g, args)?, same)
        .map_err(|e| format!("{e}\nafter the passes:\n{small}"))
}

/// Checks `vmap` with some inputs batched, at random axes.
fn batched(g: &Graph, args: &[Literal], rng: &mut Rng) -> Result<(), String> {
    const SIZE: usize = 3;
    // Shrunk programs may have no inputs left.
    if args.is_empty() {
        return Ok(());
    }
    let mut dims: Vec<Option<usize>> =
        args.iter().map(|x| (!rng.one_in(3)).then(|| rng.between(0, x.ty().rank()))).collect();
    if dims.iter().all(Option::is_none) {
        dims[0] = Some(0);
    }
    let members: Vec<Vec<Literal>> = (0..SIZE)
        .map(|k| {
            args.iter()
                .zip(&dims)
                .map(|(x, d)| if d.is_some() { member(x, k) } else { x.clone() })
                .collect()
        })
        .collect();
    let column = |i: usize| members.iter().map(|m: &Vec<Literal>| &m[i]).collect::<Vec<_>>();
    let stacked: Vec<Literal> = dims
        .iter()
        .enumerate()
        .map(|(i, d)| d.map_or(args[i].clone(), |d| stack(args[i].ty(), &column(i), d)))
        .collect();
    let many = transform::vmap(g, &dims, &Axis { size: SIZE, name: None })
        .map_err(|e| format!("vmap: {e}"))?;
    graph_parses_back(&many)?;
    let ys = run(&many, &stacked)?;
    for (k, xs) in members.iter().enumerate() {
        let have: Vec<Literal> = ys.iter().map(|y| take(y, 0, k)).collect();
        all_within(&have, &run(g, xs)?, same)
            .map_err(|e| format!("axes {dims:?}, member {k}: {e}"))?;
    }
    Ok(())
}

/// Returns another value of the same domain: elements rotated, floats scaled slightly toward zero.
fn member(x: &Literal, k: usize) -> Literal {
    let rolled = crate::laws::varied(x, k);
    if !x.dtype().is_differentiable() {
        return rolled;
    }
    let shrunk: Vec<(f64, f64)> = parts(&rolled)
        .iter()
        .map(|(a, b)| (a * (1.0 - 0.1 * k as f64), b * (1.0 - 0.1 * k as f64)))
        .collect();
    crate::laws::complex(x.ty(), &shrunk)
}

/// Checks that differentiating the unbatched program and binding its axis afterwards agrees.
fn named_axis(
    p: &RandomProgram,
    both: &[Literal],
    ys: &[Literal],
    jv: &[Literal],
) -> Result<(), String> {
    let Some(m) = &p.member else { return Ok(()) };
    let d = transform::jvp(&m.graph, &p.active).map_err(|e| e.to_string())?;
    let tangents = m.dims.iter().zip(&p.active).filter(|(_, a)| **a).map(|(d, _)| *d);
    let dims: Vec<Option<usize>> = m.dims.iter().copied().chain(tangents).collect();
    let many = transform::vmap(&d.graph, &dims, &m.axis).map_err(|e| format!("vmap: {e}"))?;
    let have = run(&many, both)?;
    all_within(&have[..ys.len()], ys, same)?;
    all_within(&filled(&p.graph, &d.outputs, &have[ys.len()..]), jv, same)
}

/// Returns the tangents of all results, zeros for those that are not marked.
fn filled(g: &Graph, marked: &[bool], tangents: &[Literal]) -> Vec<Literal> {
    let mut known = tangents.iter().cloned();
    g.output_types()
        .into_iter()
        .zip(marked)
        .map(|(t, &m)| if m { known.next() } else { None }.unwrap_or_else(|| Literal::zeros(t)))
        .collect()
}

/// Compares tangents with central differences. Returns true if the differences disagree among
/// themselves, where the program is too steep to decide.
fn differences(
    p: &RandomProgram,
    g: &Graph,
    v: &[Literal],
    jv: &[Literal],
) -> Result<bool, String> {
    let at: Vec<usize> = (0..p.active.len()).filter(|&i| p.active[i]).collect();
    let f = |xs: &[Literal]| run(g, xs);
    let steps = [1e-3, 5e-4, 2.5e-4, 1.25e-4].map(|h| central(&f, &p.args, &at, v, h));
    let steps: Vec<_> = steps.into_iter().collect::<Result<_, _>>()?;
    let mut steep = false;
    for (i, tangent) in jv.iter().enumerate() {
        let Some(d) = steps.iter().map(|s| s[i].clone()).collect::<Option<Vec<Literal>>>() else {
            continue;
        };
        steep |= agree(tangent, &d).map_err(|e| format!("result {i}: {e}"))?;
    }
    Ok(steep)
}

/// Checks that the tangents are the limit of the differences for decreasing step sizes. Returns
/// true if the differences do not converge.
fn agree(tangent: &Literal, d: &[Literal]) -> Result<bool, String> {
    let d: Vec<Vec<f64>> = d.iter().map(flat).collect();
    let extrapolated = |k: usize, i: usize| (4.0 * d[k + 1][i] - d[k][i]) / 3.0;
    let mut steep = false;
    for (i, &have) in flat(tangent).iter().enumerate() {
        let want: Vec<f64> = (0..3).map(|k| extrapolated(k, i)).collect();
        let gap = want.iter().map(|w| (have - w).abs()).fold(f64::INFINITY, f64::min);
        let spread = want.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b))
            - want.iter().fold(f64::INFINITY, |a, &b| a.min(b));
        if gap <= 1e-6 * (1.0 + have.abs()) {
            continue;
        }
        if gap > 10.0 * spread || gap.is_nan() {
            return Err(format!("element {i}: the tangent is {have}, differences say {want:?}"));
        }
        steep = true;
    }
    Ok(steep)
}

fn flat(x: &Literal) -> Vec<f64> {
    parts(x).iter().flat_map(|p| [p.0, p.1]).collect()
}

/// Compares reverse mode with forward mode. Returns false for programs that have no reverse mode
/// and report it.
fn reverse(
    p: &RandomProgram,
    ys: &[Literal],
    v: &[Literal],
    jv: &[Literal],
    rng: &mut Rng,
) -> PropertyResult<bool> {
    let Some(halves) = unless_loop(p, "linearize", || transform::linearize(&p.graph, &p.active))?
    else {
        return Ok(false);
    };
    property("linearize verifies, prints and parses", || {
        graph_parses_back(&halves.primal).and_then(|()| graph_parses_back(&halves.linear))
    })?;
    let known = property("the primal half evaluates", || run(&halves.primal, &p.args))?;
    let (again, residuals) = known.split_at(ys.len());
    property("the primal half keeps the value", || all_within(again, ys, same))?;
    let tangents =
        property("the linear half evaluates", || run(&halves.linear, &[residuals, v].concat()))?;
    property("the linear half gives the jvp", || {
        all_within(&filled(&p.graph, &halves.outputs, &tangents), jv, same)
    })?;

    // A loop inside a checkpoint is only found here: the linear half recomputes it.
    let Some(back) = unless_loop(p, "vjp", || transform::vjp(&p.graph, &p.active))? else {
        return Ok(false);
    };
    property("vjp verifies, prints and parses", || {
        graph_parses_back(&back.primal).and_then(|()| graph_parses_back(&back.backward))
    })?;
    let w: Vec<Literal> = jv.iter().map(|t| direction(rng, t.ty())).collect();
    let marked: Vec<Literal> =
        w.iter().zip(&back.outputs).filter(|(_, m)| **m).map(|(w, _)| w.clone()).collect();
    let known = property("vjp's primal evaluates", || run(&back.primal, &p.args))?;
    let args = [&known[ys.len()..], &marked].concat();
    let cts = property("vjp evaluates", || run(&back.backward, &args))?;
    property("vjp is the transposed jvp", || same_product_within(jv, &w, v, &cts, 1e-9))?;
    property("passes keep the value of the vjp", || same_after_passes(&back.backward, &args))?;
    Ok(true)
}

/// Runs `f`; returns `None` if it reports that a `while` loop has no reverse mode, and what to do.
fn unless_loop<T>(
    p: &RandomProgram,
    name: &'static str,
    f: impl FnOnce() -> neurax_ir::Result<T>,
) -> PropertyResult<Option<T>> {
    match property(name, || Ok(f()))? {
        Err(e) if p.has_smooth_while() && e.to_string().contains("use scan") => Ok(None),
        result => property(name, || result.map(Some).map_err(|e| e.to_string())),
    }
}

/// Checks the gradient of the sum of all results: it is batched and differentiated again.
fn second_order(p: &RandomProgram, v: &[Literal], rng: &mut Rng) -> PropertyResult<bool> {
    let loss = property("a loss", || summed(&p.graph))?;
    let gradient =
        property("grad", || transform::grad(&loss, &p.active).map_err(|e| e.to_string()))?;
    property("grad verifies, prints and parses", || graph_parses_back(&gradient))?;
    property("vmap of grad is the stack of runs", || batched(&gradient, &p.args, rng))?;
    let twice = match property("jvp of grad", || Ok(transform::jvp(&gradient, &p.active)))? {
        Ok(d) => d,
        Err(e) => return Err(Failure { property: "jvp of grad", why: e.to_string() }),
    };
    let all = property("jvp of grad evaluates", || run(&twice.graph, &[&p.args[..], v].concat()))?;
    let tangents = filled(&gradient, &twice.outputs, &all[gradient.outputs().len()..]);
    let steep =
        property("jvp of grad is the difference", || differences(p, &gradient, v, &tangents))?;
    let loss_jvp = property("jvp of the loss", || {
        transform::jvp(&loss, &p.active).map_err(|e| e.to_string())
    })?;
    property("grad is the slope", || {
        let slope = run(&loss_jvp.graph, &[&p.args[..], v].concat())?;
        let grads = run(&gradient, &p.args)?;
        let sum: f64 = grads[1..]
            .iter()
            .zip(v)
            .flat_map(|(a, b)| parts(a).into_iter().zip(parts(b)))
            .map(|(a, b)| a.0 * b.0)
            .sum();
        let size: f64 = grads[1..]
            .iter()
            .zip(v)
            .flat_map(|(a, b)| parts(a).into_iter().zip(parts(b)))
            .map(|(a, b)| (a.0 * b.0).abs())
            .sum();
        let want = slope.get(1).map_or(0.0, |s| s.to_f64s()[0]);
        close_within(
            &Literal::scalar(DType::F64, sum),
            &Literal::scalar(DType::F64, want),
            Tolerance::both(1e-9 * (1.0 + size)),
        )
    })?;
    Ok(steep)
}

/// Returns the program with one result: the sum of all results in double precision.
fn summed(g: &Graph) -> Result<Graph, String> {
    let mut b = Builder::new();
    let xs = b.inputs(g.input_types());
    let ys = b.inline(g, &xs);
    let mut total = b.scalar(DType::F64, 0.0);
    for y in ys {
        let y = if b.dtype(y) == DType::C128 { b.real(y) } else { y };
        if b.dtype(y) == DType::F64 {
            let axes: Vec<usize> = (0..b.ty(y).rank()).collect();
            let s = b.sum(y, &axes);
            total = b.add(total, s);
        }
    }
    b.finish(&[total]).map_err(|e| e.to_string())
}
