//! The number of multiplications that a function needs, counted without computing.

use crate::{Result, Tree, trace::TraceKind, traced_fn::trace_fn};
use neurax_ir::op::{Convolution, DotGeneral};
use neurax_ir::{Eqn, Graph, Op};
use std::{collections::BTreeMap, panic::Location};

/// Returns the number of multiply-adds of the matrix products and convolutions in `f(like)`, by the
/// path of the layer that they are in; those outside of layers have the path "". The function is
/// traced, nothing is computed.
///
/// A scan counts its body once for each step, a branch the most expensive case, and a `while` loop
/// its body once, as the number of steps is not known.
///
/// ```
/// use neurax::prelude::*;
/// let x = Tensor::zeros([32, 64]);
/// let found = multiply_adds(|x: Tensor| x.matmul(&Tensor::zeros([64, 10])), &x)?;
/// assert_eq!(found[""], 32 * 64 * 10);
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// The error of the function, if its result carries one.
#[track_caller]
pub fn multiply_adds<A: Tree, O: Tree>(
    f: impl Fn(A) -> O,
    like: &A,
) -> Result<BTreeMap<String, u64>> {
    let (traced, _) = trace_fn(&f, like, TraceKind::Jit, Location::caller());
    let mut found = BTreeMap::new();
    count(traced.graph()?, "", 1, &mut found)?;
    Ok(found)
}

/// Adds the multiply-adds of a graph that runs `times` times, inside of the layer `path`.
fn count(graph: &Graph, path: &str, times: u64, found: &mut BTreeMap<String, u64>) -> Result<()> {
    for e in graph.eqns() {
        let path = e.at.path.as_deref().unwrap_or(path);
        let own = match &e.op {
            Op::DotGeneral(d) => of_dot(graph, e, d),
            Op::Convolution(c) => of_convolution(graph, e, c),
            other => {
                count_nested(graph, e, other, path, times, found)?;
                continue;
            }
        };
        let total = found.entry(path.to_string()).or_default();
        *total = total.saturating_add(own.saturating_mul(times));
    }
    Ok(())
}

fn count_nested(
    graph: &Graph,
    e: &Eqn,
    op: &Op,
    path: &str,
    times: u64,
    found: &mut BTreeMap<String, u64>,
) -> Result<()> {
    let types = || e.inputs.iter().map(|&v| graph.ty(v).clone()).collect::<Vec<_>>();
    match op {
        Op::Scan(scan) => {
            let times = times.saturating_mul(scan.length as u64);
            count(&scan.body, path, times, found)
        }
        Op::Cond(_) => {
            let mut dearest = BTreeMap::new();
            for branch in op.graphs() {
                let mut own = BTreeMap::new();
                count(&branch, path, times, &mut own)?;
                if own.values().sum::<u64>() > dearest.values().sum::<u64>() {
                    dearest = own;
                }
            }
            for (path, n) in dearest {
                let total = found.entry(path).or_default();
                *total = total.saturating_add(n);
            }
            Ok(())
        }
        Op::Composite(c) if op.graphs().is_empty() => {
            count(&c.graph(&types())?, path, times, found)
        }
        // The first graph of a function with rules is the function.
        Op::Composite(_) => match op.graphs().first() {
            Some(body) => count(body, path, times, found),
            None => Ok(()),
        },
        _ => op.graphs().iter().try_for_each(|body| count(body, path, times, found)),
    }
}

fn of_dot(graph: &Graph, e: &Eqn, d: &DotGeneral) -> u64 {
    let left = &graph.ty(e.inputs[0]).shape;
    let contracted: u64 = d.lhs_contract.iter().map(|&axis| left[axis] as u64).product();
    (graph.ty(e.outputs[0]).size() as u64).saturating_mul(contracted)
}

/// Returns the multiply-adds of a convolution. Its kernel is `[features, features of a group, taps
/// ..]`, and each result is a sum over all axes but the first.
fn of_convolution(graph: &Graph, e: &Eqn, _: &Convolution) -> u64 {
    let kernel = &graph.ty(e.inputs[1]).shape;
    let of_result: u64 = kernel.iter().skip(1).map(|&n| n as u64).product();
    (graph.ty(e.outputs[0]).size() as u64).saturating_mul(of_result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Tensor, Windows, cond, scan};

    fn total<A: Tree, O: Tree>(f: impl Fn(A) -> O, like: &A) -> u64 {
        multiply_adds(f, like).unwrap().values().sum()
    }

    #[test]
    fn products_convolutions_loops_and_branches_are_counted() {
        let x = Tensor::zeros([2, 3, 8]);
        let kernel = Tensor::zeros([4, 3, 3]);
        let conv = |x: Tensor| x.conv(&kernel, Windows::new());
        assert_eq!(total(conv, &x), 2 * 4 * 6 * 3 * 3);
        let square = Tensor::zeros([5, 5]);
        let steps = |x: Tensor| {
            scan(x, Tensor::zeros(7), |x: Tensor, _: Tensor| (x.matmul(&square), Tensor::zeros(1)))
                .0
        };
        assert_eq!(total(steps, &square), 7 * 125);
        let branch = |x: Tensor| {
            let is_large = x.sum(..).gt(1.0);
            cond(&is_large, || x.matmul(&square).matmul(&square), || x.matmul(&square))
        };
        assert_eq!(total(branch, &square), 250);
    }
}
