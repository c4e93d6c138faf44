//! Which loops a kernel has: loops that all arrays walk alike become one, and the best one is cut
//! into vectors.

use super::{
    body::Body,
    group::{End, Source},
};
use crate::{
    affine::Affine,
    kernel::{Do, Lanes},
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
    pub lanes: Lanes,
    /// May iterations of the outer loops run in any order?
    pub parallel: bool,
}

/// An access for the choice of lanes: how it walks, and whether it writes.
struct Walk<'a> {
    place: &'a Affine,
    writes: bool,
    is_index: bool,
}

/// The loops of a group.
pub fn loops(body: &Body) -> Loops {
    let walks = walks(body);
    let order = first_of(body);
    let merged = collapse(body, &walks, order.batch, order.rest);
    choose(body, &walks, merged, order.ordered)
}

/// The loops in classes: those that stay in order in front, the others.
struct Order {
    batch: Vec<usize>,
    rest: Vec<usize>,
    ordered: bool,
}

fn first_of(body: &Body) -> Order {
    let wide = |l: &usize| body.space.sizes[*l] != 1;
    let scattered = body.roots.iter().find_map(|m| match &m.root.end {
        End::Scatter { op, .. } => Some(op),
        _ => None,
    });
    let all = 0..body.space.sizes.len();
    match scattered {
        Some(op) => {
            let is_window = |l: &usize| op.window_dims.contains(&body.axis_of(*l));
            Order {
                batch: all.clone().filter(wide).filter(|l| !is_window(l)).collect(),
                rest: all.filter(wide).filter(is_window).collect(),
                ordered: true,
            }
        }
        None => {
            let is_outer = |l: &usize| !body.space.reduced[*l];
            Order {
                batch: all.clone().filter(wide).filter(is_outer).collect(),
                rest: all.filter(wide).filter(|l| !is_outer(l)).collect(),
                ordered: false,
            }
        }
    }
}

fn walks<'a>(body: &'a Body) -> Vec<Walk<'a>> {
    let load = |n: &'a super::group::Node| match &n.op {
        Do::Leaf(Source::Load { place, .. }) => {
            Some(Walk { place, writes: false, is_index: false })
        }
        Do::Leaf(Source::Index(place)) => Some(Walk { place, writes: false, is_index: true }),
        _ => None,
    };
    let store = |m: &'a super::group::Made| Walk { place: &m.place, writes: true, is_index: false };
    body.nodes.iter().filter_map(load).chain(body.roots.iter().map(store)).collect()
}

/// Classes of loops with neighbours joined where all accesses walk them as one: `(size, innermost
/// loop)`.
struct Merged {
    front: Vec<(usize, usize)>,
    back: Vec<(usize, usize)>,
}

fn collapse(body: &Body, walks: &[Walk], front: Vec<usize>, back: Vec<usize>) -> Merged {
    let join = |class: Vec<usize>| {
        let mut out: Vec<(usize, usize)> = vec![];
        for l in class {
            let n = body.space.sizes[l];
            match out.last_mut() {
                Some(last)
                    if walks
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
    Merged { front: join(front), back: join(back) }
}

/// Numbers in a vector: of four bytes, as most are.
const WIDTH: usize = 4;
/// From so many iterations on, those behind the last vector do not count.
const MANY: usize = 16;
/// Instructions that put a vector together, or take it apart.
const APART: usize = 2 * WIDTH;

/// Lanes run along the loop on which most accesses are dense; between outer loops and inner ones,
/// which differ in length and in what is left over, along the cheaper one.
fn choose(body: &Body, walks: &[Walk], m: Merged, ordered: bool) -> Loops {
    let score = |&(n, l): &(usize, usize)| {
        let one = |w: &Walk| match w.place.steps[l] {
            1 => 2 + 2 * w.writes as isize,
            0 => 1,
            _ if w.is_index => 1,
            _ => -3 - 2 * w.writes as isize,
        };
        walks.iter().map(one).sum::<isize>() - if n < 4 { 6 } else { 0 }
    };
    let cost = |l: &(usize, usize)| lanes_cost(body, walks, *l);
    let best =
        |class: &[(usize, usize)]| (0..class.len()).rev().max_by_key(|&i| (score(&class[i]), i));
    let Merged { mut front, mut back } = m;
    let is_plain = !body.space.reduced.contains(&true) && !ordered;
    if is_plain && let Some(i) = best(&front) {
        back = vec![front.remove(i)];
    }
    let (f, b) = (best(&front), best(&back));
    let beats = |i: usize| b.is_none_or(|j| cost(&front[i]) < cost(&back[j]));
    let lanes = match f {
        Some(i) if !is_plain && !ordered && beats(i) => {
            let x = front.remove(i);
            front.push(x);
            Lanes::Outer
        }
        _ => {
            if let Some(j) = b {
                let x = back.remove(j);
                back.push(x);
            }
            Lanes::Inner
        }
    };
    let outer = front.len();
    let all = [front, back].concat();
    Loops {
        sizes: all.iter().map(|x| x.0).collect(),
        of: all.iter().map(|x| x.1).collect(),
        outer,
        lanes,
        parallel: !ordered,
    }
}

/// What [`MANY`] elements cost, in instructions, if lanes run along a loop: vectors that are put
/// together number by number cost more, and what is left behind the last vector is done one by one.
fn lanes_cost(body: &Body, walks: &[Walk], (n, l): (usize, usize)) -> usize {
    let apart = walks.iter().filter(|w| !w.is_index && !matches!(w.place.steps[l], 0 | 1)).count();
    let (vector, number) = (body.nodes.len() + APART * apart, body.nodes.len());
    match n {
        0..MANY => (n / WIDTH * vector + n % WIDTH * number) * MANY / n.max(1),
        _ => MANY / WIDTH * vector,
    }
}

impl Body<'_> {
    /// The axis of the iteration space that a loop belongs to.
    pub fn axis_of(&self, l: usize) -> usize {
        self.axes.iter().position(|loops| loops.contains(&l)).unwrap_or(0)
    }

    /// Does a value have only the axes that are not reduced?
    pub fn is_outer_only(&self, v: Value) -> bool {
        self.space.reduced.contains(&true) && self.facts.shape(v).rank() != self.axes.len()
    }
}
