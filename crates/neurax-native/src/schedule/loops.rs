//! The loops of a kernel: collapses loops with compatible strides and picks the one to vectorize.
//!
//! The problem: an expression graph has a loop for each axis. Many short loops cost more than one
//! long one, and vectors need a loop on which most accesses are contiguous, which is rarely the
//! same for all of them.
//!
//! The methods are loop collapsing (loop coalescing) and loop interchange by a cost model:
//!
//! 1. [`classify_loops`]: the outer loops (not reduced) and the inner ones (reduced). For a
//!    scatter, whose updates must stay in order, the inner ones are those of a window.
//! 2. [`collapse`]: adjacent loops of one class become one loop, if every access moves by the same
//!    stride when the outer one advances as when the inner one wraps around.
//! 3. [`pick_vector_axis`]: without reductions there is no inner loop yet; the outer loop with the
//!    most contiguous accesses is moved inside and vectorized. With reductions, either the last
//!    outer loop (every accumulator is then a vector) or the innermost reduced loop is vectorized,
//!    the one that costs fewer instructions.
//!
//! ```text
//! add over [32, 10, 64], all contiguous      ->  one loop of 20480, vectorized
//! sum over [(1024), 128] of contiguous rows  ->  outer loop 128 vectorized, inner loop 1024
//! ```
//!
//! Invariants: outer loops precede inner ones, and the vectorized loop is the last of its class; a
//! loop with one iteration is dropped; reduced loops are never outer ones; the choice depends on
//! the expression graph alone. Scores and costs are in `tuning.rs`.

use super::{
    expr_graph::ExprGraph,
    outputs::{ExprSource, Sink},
};
use crate::tuning::{
    CONTIGUOUS_LOAD_SCORE, CONTIGUOUS_STORE_SCORE, GATHER_COST, LANES_PER_VECTOR, LONG_LOOP,
    SHORT_LOOP_SCORE, STRIDED_LOAD_SCORE, STRIDED_STORE_SCORE, UNIFORM_ACCESS_SCORE,
};
use crate::{
    affine::AffineOffset,
    kernel::{InstKind, VectorAxis},
};
use neurax_ir::{OrBug, Result, Value};

/// The loops of a kernel, made of the loops of its expression graph.
#[derive(Debug)]
pub struct Loops {
    /// The trip counts of the outer loops, then of the inner ones.
    pub sizes: Vec<usize>,
    /// For each of them, the innermost loop of the expression graph that it collapses.
    pub of: Vec<usize>,
    /// The number of outer loops.
    pub outer: usize,
    /// The loop that is vectorized.
    pub vector_axis: VectorAxis,
    /// True if iterations of the outer loops may run in any order.
    pub parallel: bool,
}

/// An access to memory, or a use of a loop counter.
struct Access<'a> {
    offset: &'a AffineOffset,
    writes: bool,
    is_index: bool,
}

/// Chooses the loops of an expression graph.
///
/// # Errors
/// If a loop belongs to no axis, an error of this crate.
pub fn loops(body: &ExprGraph) -> Result<Loops> {
    let accesses = accesses(body);
    let classes = classify_loops(body)?;
    let merged = collapse(body, &accesses, classes.outer, classes.inner);
    Ok(pick_vector_axis(body, &accesses, merged, classes.is_sequential))
}

/// The loops of an expression graph, by class.
struct LoopClasses {
    outer: Vec<usize>,
    inner: Vec<usize>,
    /// True if iterations must run in order.
    is_sequential: bool,
}

/// Splits the loops with more than one iteration into outer and inner ones.
fn classify_loops(body: &ExprGraph) -> Result<LoopClasses> {
    let scattered = body.outputs.iter().find_map(|o| match &o.output.sink {
        Sink::Scatter { op, .. } => Some(op),
        _ => None,
    });
    let (mut outer, mut inner) = (vec![], vec![]);
    for l in (0..body.space.sizes.len()).filter(|&l| body.space.sizes[l] != 1) {
        let axis = body.axis_of(l).or_bug(format!("loop {l} belongs to no axis"))?;
        let is_inner = match scattered {
            Some(op) => op.window_dims.contains(&axis),
            None => body.space.reduced[l],
        };
        if is_inner { inner.push(l) } else { outer.push(l) }
    }
    Ok(LoopClasses { outer, inner, is_sequential: scattered.is_some() })
}

/// Returns all loads, uses of counters and stores of an expression graph.
fn accesses<'a>(body: &'a ExprGraph) -> Vec<Access<'a>> {
    let load = |n: &'a super::outputs::ExprNode| match &n.op {
        InstKind::Source(ExprSource::Load { offset, .. }) => {
            Some(Access { offset, writes: false, is_index: false })
        }
        InstKind::Source(ExprSource::Index(offset)) => {
            Some(Access { offset, writes: false, is_index: true })
        }
        _ => None,
    };
    let store = |m: &'a super::outputs::LoweredOutput| Access {
        offset: &m.offset,
        writes: true,
        is_index: false,
    };
    body.nodes.iter().filter_map(load).chain(body.outputs.iter().map(store)).collect()
}

/// The classes of loops after collapsing, each loop as `(trip count, innermost loop)`.
struct MergedLoops {
    front: Vec<(usize, usize)>,
    back: Vec<(usize, usize)>,
}

/// Collapses adjacent loops of each class over which all accesses have compatible strides.
fn collapse(
    body: &ExprGraph,
    accesses: &[Access],
    front: Vec<usize>,
    back: Vec<usize>,
) -> MergedLoops {
    let collapsed = |class: Vec<usize>| {
        let mut out: Vec<(usize, usize)> = vec![];
        for l in class {
            let n = body.space.sizes[l];
            match out.last_mut() {
                Some(last)
                    if accesses
                        .iter()
                        .all(|w| w.offset.steps[last.1] == w.offset.steps[l] * n as isize) =>
                {
                    *last = (last.0 * n, l)
                }
                // other: the first loop, or one that some access does not continue.
                _ => out.push((n, l)),
            }
        }
        out
    };
    MergedLoops { front: collapsed(front), back: collapsed(back) }
}

/// Picks the loop to vectorize: the one with the most contiguous accesses of its class; between an
/// outer and an inner loop, the cheaper one by [`lanes_cost`].
fn pick_vector_axis(
    body: &ExprGraph,
    accesses: &[Access],
    m: MergedLoops,
    is_sequential: bool,
) -> Loops {
    let score = |&(n, l): &(usize, usize)| {
        let all = accesses.iter().map(|access| access_score(access, l)).sum::<isize>();
        all + if n < LANES_PER_VECTOR { SHORT_LOOP_SCORE } else { 0 }
    };
    let cost = |l: &(usize, usize)| lanes_cost(body, accesses, *l);
    let best =
        |class: &[(usize, usize)]| (0..class.len()).rev().max_by_key(|&i| (score(&class[i]), i));
    let MergedLoops { mut front, mut back } = m;
    let is_plain = !body.space.reduced.contains(&true) && !is_sequential;
    if is_plain && let Some(i) = best(&front) {
        back = vec![front.remove(i)];
    }
    let (f, b) = (best(&front), best(&back));
    let beats = |i: usize| b.is_none_or(|j| cost(&front[i]) < cost(&back[j]));
    let vector_axis = match f {
        Some(i) if !is_plain && !is_sequential && beats(i) => {
            let x = front.remove(i);
            front.push(x);
            VectorAxis::Outer
        }
        // other: no outer loop can be vectorized, or an inner one costs less.
        _ => {
            if let Some(j) = b {
                let x = back.remove(j);
                back.push(x);
            }
            VectorAxis::Inner
        }
    };
    let outer = front.len();
    let all = [front, back].concat();
    Loops {
        sizes: all.iter().map(|x| x.0).collect(),
        of: all.iter().map(|x| x.1).collect(),
        outer,
        vector_axis,
        parallel: !is_sequential,
    }
}

/// Returns how well an access suits a vectorized loop `l`.
fn access_score(access: &Access, l: usize) -> isize {
    match (access.offset.steps[l], access.writes) {
        (1, false) => CONTIGUOUS_LOAD_SCORE,
        (1, true) => CONTIGUOUS_STORE_SCORE,
        (0, _) => UNIFORM_ACCESS_SCORE,
        (_, false) if access.is_index => UNIFORM_ACCESS_SCORE,
        (_, false) => STRIDED_LOAD_SCORE,
        (_, true) => STRIDED_STORE_SCORE,
    }
}

/// Returns the cost of [`LONG_LOOP`] elements, in instructions, if loop `l` of `n` iterations is
/// vectorized. A strided access gathers its lanes one by one, and the remainder of a short loop
/// runs in scalars.
fn lanes_cost(body: &ExprGraph, accesses: &[Access], (n, l): (usize, usize)) -> usize {
    let strided =
        accesses.iter().filter(|w| !w.is_index && !matches!(w.offset.steps[l], 0 | 1)).count();
    let (vector, scalar) = (body.nodes.len() + GATHER_COST * strided, body.nodes.len());
    match n {
        0..LONG_LOOP => {
            (n / LANES_PER_VECTOR * vector + n % LANES_PER_VECTOR * scalar) * LONG_LOOP / n.max(1)
        }
        // other: long loops, whose rest does not count.
        _ => LONG_LOOP / LANES_PER_VECTOR * vector,
    }
}

impl ExprGraph<'_> {
    /// Returns the axis of the iteration space that loop `l` belongs to.
    pub fn axis_of(&self, l: usize) -> Option<usize> {
        self.axes.iter().position(|loops| loops.contains(&l))
    }

    /// Returns true if a value has only the axes that are not reduced.
    pub fn is_outer_only(&self, v: Value) -> bool {
        self.space.reduced.contains(&true) && self.analysis.shape(v).rank() != self.axes.len()
    }
}
