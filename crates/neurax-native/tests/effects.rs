//! Effects in random programs: with an op that only records its number behind equations of all
//! levels, passes, derivatives and the compiler keep how often and in which order the ops run.

use neurax_ir::{
    Axis, Batched, Bound, Builder, Graph, Literal, Op, Result, Tangent, Transposed, Type, Value,
    Values,
    op::{Custom, CustomOp},
    passes, transform,
};
use neurax_native::Native;
use neurax_testkit::{conformance, random::RandomProgram, rng::Rng};
use std::sync::{Arc, Mutex};

const PROGRAMS: u64 = 150;

/// An op that records its number.
#[derive(Debug)]
struct Mark {
    number: usize,
    log: Arc<Mutex<Vec<usize>>>,
}

impl CustomOp for Mark {
    fn name(&self) -> &str {
        "mark"
    }
    fn params(&self) -> String {
        self.number.to_string()
    }
    fn has_effects(&self) -> bool {
        true
    }
    fn infer(&self, _: &[Type]) -> Result<Vec<Type>> {
        Ok(vec![])
    }
    fn eval(&self, _: Vec<Literal>) -> Result<Vec<Literal>> {
        self.log.lock().unwrap().push(self.number);
        Ok(vec![])
    }
    fn jvp(&self, _: &mut Builder, _: &Bound, _: &[Tangent]) -> Result<Vec<Tangent>> {
        Ok(vec![])
    }
    fn transpose(&self, _: &mut Builder, _: &Bound, _: &[bool], _: &[Option<Value>]) -> Transposed {
        Transposed::NotLinear
    }
    fn batch(
        &self,
        _: &mut Builder,
        _: &Axis,
        _: &[Value],
        _: &[Option<usize>],
    ) -> Result<Batched> {
        panic!("vmap batches an op with effects by a loop")
    }
}

/// Makes graphs with marks.
struct Marker {
    rng: Rng,
    next: usize,
    log: Arc<Mutex<Vec<usize>>>,
}

impl Marker {
    /// Returns `g` with marks behind some of its equations, and inside of its loops and branches.
    fn marked(&mut self, g: &Graph) -> Result<Graph> {
        let mut b = Builder::new();
        let mut env: Vec<Value> = b.inputs(g.input_types()).to_vec();
        for e in g.eqns() {
            let xs: Values = e.inputs.iter().map(|v| env[v.index()]).collect();
            let op = match e.op.region() {
                Some(region) if opens(&e.op) => region.map_graphs(&mut |g| self.marked(g))?,
                _ => e.op.clone(),
            };
            let ys = b.try_emit(op, &xs)?;
            if self.rng.one_in(4) {
                let mark = Mark { number: self.next, log: self.log.clone() };
                self.next += 1;
                b.emit_n(Custom(Arc::new(mark)), &ys[..1], 0);
            }
            env.extend(ys);
        }
        let outs: Vec<Value> = g.outputs().iter().map(|v| env[v.index()]).collect();
        b.finish(&outs)
    }

    /// Returns what was recorded since the last call.
    fn take(&self) -> Vec<usize> {
        std::mem::take(&mut self.log.lock().unwrap())
    }
}

/// Returns true if marks are put into the graphs of `op`. Those of composites and linear maps have
/// derivative rules beside them.
fn opens(op: &Op) -> bool {
    matches!(op, Op::Scan(_) | Op::While(_) | Op::Cond(_) | Op::Call(_) | Op::Checkpoint(_))
}

/// Checks one program. Returns the number of marks that ran.
fn one(native: &Native, seed: u64) -> Result<usize, String> {
    let p = RandomProgram::new(seed)?;
    let mut marker = Marker { rng: Rng::new(seed), next: 0, log: Arc::default() };
    let graph = marker.marked(&p.graph).map_err(|e| e.to_string())?;
    // A program that is an error for the reference interpreter is no example.
    let Ok(_) = transform::eval(&graph, p.args.clone()) else { return Ok(0) };
    let want = marker.take();
    let same = |what: &str, have: Vec<usize>, want: &[usize]| match have == want {
        true => Ok(()),
        false => Err(format!("{what}: expected {want:?}, got {have:?}\n{graph}")),
    };
    let small = passes::optimize(&graph, &mut |_, _| {}).map_err(|e| e.to_string())?;
    transform::eval(&small, p.args.clone()).map_err(|e| e.to_string())?;
    same("passes", marker.take(), &want)?;
    conformance::evaluate(native, &graph, &p.args).map_err(|e| e.to_string())?;
    same("native", marker.take(), &want)?;
    if let Ok(back) = transform::vjp(&graph, &p.active) {
        conformance::evaluate(native, &back.primal, &p.args).map_err(|e| e.to_string())?;
        same("vjp", marker.take(), &want)?;
        if back.backward.has_effects() {
            return Err(format!("the backward pass has effects\n{}", back.backward));
        }
    }
    if let Ok(d) = transform::jvp(&graph, &p.active) {
        let tangents = p.args.iter().zip(&p.active).filter(|(_, a)| **a).map(|(x, _)| x.clone());
        let args: Vec<Literal> = p.args.iter().cloned().chain(tangents).collect();
        conformance::evaluate(native, &d.graph, &args).map_err(|e| e.to_string())?;
        same("jvp", marker.take(), &want)?;
    }
    Ok(want.len())
}

#[test]
fn random_programs_keep_their_effects() {
    let native = Native::new().unwrap();
    let number = |name: &str, default| {
        std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
    };
    let first: u64 = number("NEURAX_SEED", 0);
    let mut ran = 0;
    for seed in first..first + number("NEURAX_PROGRAMS", PROGRAMS) {
        match one(&native, seed) {
            Ok(n) => ran += n,
            Err(e) => panic!("seed {seed}: {e}"),
        }
    }
    assert!(ran > 0, "no program had marks");
}
