//! Random programs, their derivatives and batched forms: the compiler agrees with the reference
//! interpreter. `NEURAX_SEED` and `NEURAX_PROGRAMS` choose the seed and the number, as in testkit.

use neurax_ir::{Axis, Graph, Literal, Type, transform};
use neurax_native::Native;
use neurax_testkit::{close, conformance, random::RandomProgram};

const PROGRAMS: u64 = 250;

/// Sums have another order than the reference interpreter's, which sums in double precision.
const LOOSER: f64 = 4.0;

fn agrees(native: &Native, graph: &Graph, args: &[Literal]) -> Result<(), String> {
    // A program that is an error for the reference interpreter is an error here.
    let Ok(want) = transform::eval(graph, args.to_vec()) else { return Ok(()) };
    let have = conformance::evaluate(native, graph, args).map_err(|e| format!("{e}\n{graph}"))?;
    close::all_close(&have, &want, LOOSER).map_err(|e| format!("{e}\n{graph}"))
}

/// A batch member, twice: the second in reverse order, so that a mix-up shows.
fn stacked(x: &Literal) -> Literal {
    let mut v = x.to_f64s();
    let reversed: Vec<f64> = v.iter().rev().copied().collect();
    v.extend(reversed);
    Literal::from_f64s(x.dtype(), x.shape().inserted(0, 2), &v)
}

fn one(native: &Native, seed: u64) -> Result<(), String> {
    let p = RandomProgram::new(seed)?;
    agrees(native, &p.graph, &p.args)?;
    if let Ok(d) = transform::jvp(&p.graph, &p.active) {
        let tangents = p.args.iter().zip(&p.active).filter(|(_, a)| **a).map(|(x, _)| x.clone());
        let args: Vec<Literal> = p.args.iter().cloned().chain(tangents).collect();
        if args.iter().map(Literal::ty).eq(d.graph.input_types()) {
            agrees(native, &d.graph, &args).map_err(|e| format!("jvp: {e}"))?;
        }
    }
    if let Ok(back) = transform::vjp(&p.graph, &p.active) {
        agrees(native, &back.primal, &p.args).map_err(|e| format!("vjp: {e}"))?;
        let Ok(known) = transform::eval(&back.primal, p.args.clone()) else { return Ok(()) };
        let ones = |t: &Type| Literal::from_f64s(t.dtype, t.shape.clone(), &vec![1.0; t.size()]);
        let n = back.backward.input_types().len();
        let residuals: Vec<Literal> = known.into_iter().skip(p.graph.outputs().len()).collect();
        let cts = back.backward.input_types()[residuals.len().min(n)..].iter().map(ones);
        let args: Vec<Literal> = residuals.iter().cloned().chain(cts).collect();
        if args.iter().map(Literal::ty).eq(back.backward.input_types()) {
            agrees(native, &back.backward, &args).map_err(|e| format!("backward: {e}"))?;
        }
    }
    let dims: Vec<Option<usize>> =
        p.args.iter().map(|x| (!x.dtype().is_complex()).then_some(0)).collect();
    if let Ok(batched) = transform::vmap(&p.graph, &dims, &Axis { size: 2, name: None }) {
        let args: Vec<Literal> = p
            .args
            .iter()
            .zip(&dims)
            .map(|(x, d)| if d.is_some() { stacked(x) } else { x.clone() })
            .collect();
        agrees(native, &batched, &args).map_err(|e| format!("vmap: {e}"))?;
    }
    Ok(())
}

#[test]
fn random_programs_agree_with_the_interpreter() {
    let native = Native::new().unwrap();
    let number = |name: &str, default| {
        std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
    };
    let first: u64 = number("NEURAX_SEED", 0);
    let failures: Vec<String> = (first..first + number("NEURAX_PROGRAMS", PROGRAMS))
        .filter_map(|seed| one(&native, seed).err().map(|e| format!("seed {seed}: {e}")))
        .collect();
    assert!(failures.is_empty(), "{} failures; the first:\n{}", failures.len(), failures[0]);
}
