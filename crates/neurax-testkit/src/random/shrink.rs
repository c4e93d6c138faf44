//! Shrinking: finds a smaller program with the same failure.

use super::{Failure, RandomProgram, check};
use neurax_ir::{Builder, DType, Eval, Graph, Literal, Value};

/// Returns a smaller program that violates the same property, and its failure: removes results
/// first, then turns computed values into inputs, as long as the property is still violated.
pub fn shrink(p: &RandomProgram, f: Failure) -> (RandomProgram, Failure) {
    let mut best = (p.clone(), f);
    while let Some(smaller) =
        candidates(&best.0).into_iter().find_map(|c| fails_alike(c, best.1.property))
    {
        best = smaller;
    }
    best
}

fn fails_alike(p: RandomProgram, property: &str) -> Option<(RandomProgram, Failure)> {
    let failure = check(&p).err()?;
    (failure.property == property).then_some((p, failure))
}

/// Returns the programs that are smaller by one step, smallest first.
fn candidates(p: &RandomProgram) -> Vec<RandomProgram> {
    let Some(env) = values(p) else { return vec![] };
    let g = &p.graph;
    let single = g
        .types()
        .iter()
        .enumerate()
        .map(|(i, _)| vec![Value(i as u32)])
        .filter(|o| g.outputs() != &o[..]);
    let fewer = (0..g.outputs().len()).filter(|_| g.outputs().len() > 1).map(|k| {
        let mut outs = g.outputs().to_vec();
        outs.remove(k);
        outs
    });
    let mut out: Vec<RandomProgram> =
        single.chain(fewer).filter_map(|outs| rebuilt(p, &env, &outs, None)).collect();
    out.extend((0..g.eqns().len()).filter_map(|k| rebuilt(p, &env, g.outputs(), Some(k))));
    out.retain(|q| size(q) < size(p));
    out.sort_by_key(size);
    out
}

fn size(p: &RandomProgram) -> (usize, usize, usize) {
    (p.graph.count_eqns(), p.graph.outputs().len(), p.args.len())
}

/// Evaluates all values of the program.
fn values(p: &RandomProgram) -> Option<Vec<Literal>> {
    let mut env = p.args.clone();
    for e in p.graph.eqns() {
        let xs = e.inputs.iter().map(|v| env[v.index()].clone()).collect();
        env.extend(e.op.eval(&mut Eval::default(), xs).ok()?);
    }
    Some(env)
}

/// Returns the program with the results `outputs`, without dead equations; the results of equation
/// `cut` become inputs.
fn rebuilt(
    p: &RandomProgram,
    env: &[Literal],
    outputs: &[Value],
    cut: Option<usize>,
) -> Option<RandomProgram> {
    let g = &p.graph;
    let needed = needed(g, outputs, cut);
    let mut b = Builder::new();
    let mut new: Vec<Option<Value>> = vec![None; g.types().len()];
    let (mut args, mut active) = (vec![], vec![]);
    let mut input = |b: &mut Builder, v: Value, is_active: bool| {
        args.push(env[v.index()].clone());
        active.push(is_active);
        Some(b.input(g.ty(v).clone()))
    };
    for v in g.inputs().filter(|v| needed[v.index()]) {
        new[v.index()] = input(&mut b, v, p.active[v.index()]);
    }
    for (k, e) in g.eqns().iter().enumerate() {
        if cut == Some(k) {
            for &v in e.outputs.iter().filter(|v| needed[v.index()]) {
                new[v.index()] =
                    input(&mut b, v, matches!(g.ty(v).dtype, DType::F64 | DType::C128));
            }
        } else if e.outputs.iter().any(|v| needed[v.index()]) {
            let xs = e.inputs.iter().map(|v| new[v.index()]).collect::<Option<Vec<_>>>()?;
            let ys = b.emit_n(e.op.clone(), &xs, e.outputs.len());
            e.outputs.iter().zip(ys).for_each(|(v, y)| new[v.index()] = Some(y));
        }
    }
    let outs = outputs.iter().map(|v| new[v.index()]).collect::<Option<Vec<_>>>()?;
    Some(RandomProgram { seed: p.seed, graph: b.finish(&outs).ok()?, args, active, member: None })
}

fn needed(g: &Graph, outputs: &[Value], cut: Option<usize>) -> Vec<bool> {
    let mut needed = vec![false; g.types().len()];
    outputs.iter().for_each(|v| needed[v.index()] = true);
    for (k, e) in g.eqns().iter().enumerate().rev() {
        if cut != Some(k) && e.outputs.iter().any(|v| needed[v.index()]) {
            e.inputs.iter().for_each(|v| needed[v.index()] = true);
        }
    }
    needed
}
