//! Where arrays are while a program runs: which ones share memory, and where the others lie in one block.

use crate::schedule::{BufferId, Schedule, Step};

/// Where an array is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// It is an argument.
    Input(usize),
    /// It is a result.
    Output(usize),
    /// It is part of the program.
    Constant(usize),
    /// It lies so many bytes from the beginning of the block.
    Block(usize),
}

/// Where a result comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gives {
    /// It is written where it is wanted.
    Own,
    /// It is a copy of another array.
    CopyOf(BufferId),
}

/// The memory of a program.
#[derive(Debug)]
pub struct Plan {
    /// Where every array is.
    pub homes: Vec<Home>,
    /// Where every result comes from.
    pub gives: Vec<Gives>,
    /// Bytes of the block.
    pub block: usize,
    /// Arguments whose memory a result may take over, if nobody else holds it: `(argument, result)`.
    pub reuse: Vec<(usize, usize)>,
}

/// Everything starts at a cache line.
const LINE: usize = 64;

/// Plans the memory of a schedule.
pub fn plan(s: &Schedule) -> Plan {
    let n = s.buffers.len();
    let mut homes: Vec<Option<Home>> = vec![None; n];
    s.inputs.iter().enumerate().for_each(|(i, &b)| homes[b] = Some(Home::Input(i)));
    s.constants.iter().enumerate().for_each(|(i, &(b, _))| homes[b] = Some(Home::Constant(i)));
    let mut gives = vec![];
    for (o, &b) in s.outputs.iter().enumerate() {
        gives.push(match homes[b] {
            None => {
                homes[b] = Some(Home::Output(o));
                Gives::Own
            }
            Some(_) => Gives::CopyOf(b),
        });
    }
    let lives = lives(s);
    let bytes = |b: BufferId| s.buffers[b].bytes().unwrap_or(0).next_multiple_of(LINE);
    let mut placed: Vec<(usize, usize, BufferId)> = vec![];
    let mut block = 0;
    // Large arrays first: small ones fit into what is left between them.
    let mut order: Vec<BufferId> = (0..n).filter(|&b| homes[b].is_none() && lives[b].is_some()).collect();
    order.sort_by_key(|&b| std::cmp::Reverse(bytes(b)));
    for b in order {
        let (Some((from, to)), size) = (lives[b], bytes(b)) else { continue };
        let clash = |&&(_, _, o): &&(usize, usize, BufferId)| lives[o].is_some_and(|(f, t)| f <= to && from <= t);
        let mut taken: Vec<(usize, usize)> = placed.iter().filter(clash).map(|&(at, len, _)| (at, len)).collect();
        taken.sort_unstable();
        let at = taken
            .iter()
            .fold((0, false), |(at, done), &(start, len)| if done || at + size <= start { (at, true) } else { (at.max(start + len), false) })
            .0;
        placed.push((at, size, b));
        homes[b] = Some(Home::Block(at));
        block = block.max(at + size);
    }
    let reuse = reuse(s, &homes, &lives);
    Plan { homes: homes.into_iter().map(|h| h.unwrap_or(Home::Block(0))).collect(), gives, block, reuse }
}

/// The steps at which every array is written first and used last.
fn lives(s: &Schedule) -> Vec<Option<(usize, usize)>> {
    let mut out: Vec<Option<(usize, usize)>> = vec![None; s.buffers.len()];
    for (i, step) in s.steps.iter().enumerate() {
        step.uses().for_each(|(b, _)| out[b] = Some(out[b].map_or((i, i), |(from, _)| (from, i))));
    }
    s.outputs.iter().for_each(|&b| out[b] = Some((out[b].map_or(0, |l| l.0), s.steps.len())));
    out
}

/// Arguments whose memory results may take over: those that are not needed any more when the result is first written, or that the same
/// step reads place by place as it writes.
fn reuse(s: &Schedule, homes: &[Option<Home>], lives: &[Option<(usize, usize)>]) -> Vec<(usize, usize)> {
    let mut out: Vec<(usize, usize)> = vec![];
    for (o, &r) in s.outputs.iter().enumerate() {
        if homes[r] != Some(Home::Output(o)) {
            continue;
        }
        let fits = |(i, a): (usize, &BufferId)| {
            let free = !out.iter().any(|p| p.0 == i) && !s.outputs.contains(a);
            (free && s.buffers[*a] == s.buffers[r] && may_share(s, *a, r, lives)).then_some(i)
        };
        let found = s.inputs.iter().enumerate().find_map(fits);
        if let Some(i) = found {
            out.push((i, o));
        }
    }
    out
}

/// May array `to` be written into the memory of `from`?
pub fn may_share(s: &Schedule, from: BufferId, to: BufferId, lives: &[Option<(usize, usize)>]) -> bool {
    let (Some(first), last) = (lives[to].map(|l| l.0), lives[from].map_or(0, |l| l.1)) else { return false };
    if lives[from].is_none() || last < first {
        return true;
    }
    last == first && s.steps.get(first).is_some_and(|step| step.in_place(from, to))
}

impl Step {
    /// The arrays that it touches, and whether it writes them.
    pub fn uses(&self) -> impl Iterator<Item = (BufferId, bool)> {
        let mut out: Vec<(BufferId, bool)> = vec![];
        let mut nest = |n: &crate::schedule::Nest| out.extend(n.args.iter().map(|a| (a.buffer, a.writes)));
        match self {
            Step::Kernel(n) => nest(n),
            Step::Copy(from, to) => out.extend([(*from, false), (*to, true)]),
            Step::Equation { reads, writes, then, .. } => {
                then.iter().for_each(&mut nest);
                out.extend(reads.iter().map(|&b| (b, false)));
                out.extend(writes.iter().map(|&b| (b, true)));
            }
        }
        out.into_iter()
    }

    /// Does it read `from` only at the places where it writes `to`, so that both may be the same memory?
    fn in_place(&self, from: BufferId, to: BufferId) -> bool {
        match self {
            Step::Copy(a, b) => (*a, *b) == (from, to),
            Step::Kernel(n) => n.in_place(from, to),
            Step::Equation { .. } => false,
        }
    }
}
