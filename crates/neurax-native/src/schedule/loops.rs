//! Which loops a kernel has: loops that all arrays walk alike become one, and the best one is cut
//! into vectors.

use super::{
    expr_graph::ExprGraph,
    outputs::{ExprSource, Sink},
};
use crate::{
    affine::AffineOffset,
    kernel::{InstKind, VectorAxis},
};
use neurax_ir::Value;

/// The loops of a kernel, as sums of the loops of its expressions.
#[derive(Debug)]
pub struct Loops {
    /// Sizes of the outer loops, then of the inner ones.
    pub sizes: Vec<usize>,
    /// For each of them the innermost loop of the expressions that it walks.
    pub of: Vec<usize>,
    /// How many are outer.
    pub outer: usize,
    /// Which one is cut into vectors.
    pub vector_axis: VectorAxis,
    /// May iterations of the outer loops run in any order?
    pub parallel: bool,
}

/// An access for the choice of lanes: how it walks, and whether it writes.
struct Access<'a> {
    place: &'a AffineOffset,
    writes: bool,
    is_index: bool,
}

/// The loops of a group.
pub fn loops(body: &ExprGraph) -> Loops {
    let accesses = accesses(body);
    let order = classify_loops(body);
    let merged = collapse(body, &accesses, order.batch, order.rest);
    pick_vector_axis(body, &accesses, merged, order.ordered)
}

/// The loops in classes: those that stay in order in front, the others.
struct LoopClasses {
    batch: Vec<usize>,
    rest: Vec<usize>,
    ordered: bool,
}

fn classify_loops(body: &ExprGraph) -> LoopClasses {
    let wide = |l: &usize| body.space.sizes[*l] != 1;
    let scattered = body.outputs.iter().find_map(|m| match &m.root.sink {
        Sink::Scatter { op, .. } => Some(op),
        _ => None,
    });
    let all = 0..body.space.sizes.len();
    match scattered {
        Some(op) => {
            let is_window = |l: &usize| op.window_dims.contains(&body.axis_of(*l));
            LoopClasses {
                batch: all.clone().filter(wide).filter(|l| !is_window(l)).collect(),
                rest: all.filter(wide).filter(is_window).collect(),
                ordered: true,
            }
        }
        None => {
            let is_outer = |l: &usize| !body.space.reduced[*l];
            LoopClasses {
                batch: all.clone().filter(wide).filter(is_outer).collect(),
                rest: all.filter(wide).filter(|l| !is_outer(l)).collect(),
                ordered: false,
            }
        }
    }
}

fn accesses<'a>(body: &'a ExprGraph) -> Vec<Access<'a>> {
    let load = |n: &'a super::outputs::Node| match &n.op {
        InstKind::Source(ExprSource::Load { place, .. }) => {
            Some(Access { place, writes: false, is_index: false })
        }
        InstKind::Source(ExprSource::AffineIndex(place)) => {
            Some(Access { place, writes: false, is_index: true })
        }
        _ => None,
    };
    let store = |m: &'a super::outputs::LoweredOutput| Access {
        place: &m.place,
        writes: true,
        is_index: false,
    };
    body.nodes.iter().filter_map(load).chain(body.outputs.iter().map(store)).collect()
}

/// Classes of loops with neighbours joined where all accesses walk them as one: `(size, innermost
/// loop)`.
struct MergedLoops {
    front: Vec<(usize, usize)>,
    back: Vec<(usize, usize)>,
}

fn collapse(
    body: &ExprGraph,
    accesses: &[Access],
    front: Vec<usize>,
    back: Vec<usize>,
) -> MergedLoops {
    let join = |class: Vec<usize>| {
        let mut out: Vec<(usize, usize)> = vec![];
        for l in class {
            let n = body.space.sizes[l];
            match out.last_mut() {
                Some(last)
                    if accesses
                        .iter()
                        .all(|w| w.place.steps[last.1] == w.place.steps[l] * n as isize) =>
                {
                    *last = (last.0 * n, l)
                }
                _ => out.push((n, l)),
            }
        }
        out
    };
    MergedLoops { front: join(front), back: join(back) }
}

/// Numbers in a vector: of four bytes, as most are.
const WIDTH: usize = 4;
/// From so many iterations on, those behind the last vector do not count.
const MANY: usize = 16;
/// Instructions that put a vector together, or take it apart.
const APART: usize = 2 * WIDTH;

/// Lanes run along the loop on which most accesses are dense; between outer loops and inner ones,
/// which differ in length and in what is left over, along the cheaper one.
fn pick_vector_axis(body: &ExprGraph, accesses: &[Access], m: MergedLoops, ordered: bool) -> Loops {
    let score = |&(n, l): &(usize, usize)| {
        let one = |w: &Access| match w.place.steps[l] {
            1 => 2 + 2 * w.writes as isize,
            0 => 1,
            _ if w.is_index => 1,
            _ => -3 - 2 * w.writes as isize,
        };
        accesses.iter().map(one).sum::<isize>() - if n < 4 { 6 } else { 0 }
    };
    let cost = |l: &(usize, usize)| lanes_cost(body, accesses, *l);
    let best =
        |class: &[(usize, usize)]| (0..class.len()).rev().max_by_key(|&i| (score(&class[i]), i));
    let MergedLoops { mut front, mut back } = m;
    let is_plain = !body.space.reduced.contains(&true) && !ordered;
    if is_plain && let Some(i) = best(&front) {
        back = vec![front.remove(i)];
    }
    let (f, b) = (best(&front), best(&back));
    let beats = |i: usize| b.is_none_or(|j| cost(&front[i]) < cost(&back[j]));
    let vector_axis = match f {
        Some(i) if !is_plain && !ordered && beats(i) => {
            let x = front.remove(i);
            front.push(x);
            VectorAxis::Outer
        }
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
        parallel: !ordered,
    }
}

/// What [`MANY`] elements cost, in instructions, if lanes run along a loop: vectors that are put
/// together number by number cost more, and what is left behind the last vector is done one by one.
fn lanes_cost(body: &ExprGraph, accesses: &[Access], (n, l): (usize, usize)) -> usize {
    let apart =
        accesses.iter().filter(|w| !w.is_index && !matches!(w.place.steps[l], 0 | 1)).count();
    let (vector, number) = (body.nodes.len() + APART * apart, body.nodes.len());
    match n {
        0..MANY => (n / WIDTH * vector + n % WIDTH * number) * MANY / n.max(1),
        _ => MANY / WIDTH * vector,
    }
}

impl ExprGraph<'_> {
    /// The axis of the iteration space that a loop belongs to.
    pub fn axis_of(&self, l: usize) -> usize {
        self.axes.iter().position(|loops| loops.contains(&l)).unwrap_or(0)
    }

    /// Does a value have only the axes that are not reduced?
    pub fn is_outer_only(&self, v: Value) -> bool {
        self.space.reduced.contains(&true) && self.analysis.shape(v).rank() != self.axes.len()
    }
}
