//! Where arrays are while a program runs: which ones share memory, and where the others lie in one
//! block.

use crate::schedule::{BufferId, Schedule, Step};

/// Where an array is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
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
pub enum OutputSource {
    /// It is written where it is wanted.
    Own,
    /// It is a copy of another array.
    CopyOf(BufferId),
}

/// What a step asks for beyond its arrays.
#[derive(Clone, Debug, Default)]
pub struct StepMemory {
    /// Bytes while it runs.
    pub scratch: usize,
    /// Operands whose memory results may have, if nobody needs the operands later: `(operand,
    /// result)`.
    pub shares: Vec<(BufferId, BufferId)>,
}

/// The memory of a program.
#[derive(Debug)]
pub struct MemoryPlan {
    /// Where every array is.
    pub homes: Vec<Location>,
    /// Where every result comes from.
    pub gives: Vec<OutputSource>,
    /// Where the scratch memory of every step begins in the block.
    pub scratch: Vec<usize>,
    /// Bytes of the block.
    pub block: usize,
    /// Arguments whose memory a result may take over, if nobody else holds it: `(argument,
    /// result)`.
    pub reuse: Vec<(usize, usize)>,
    /// For a loop's body: may it write its carried values where they are? One for each.
    pub carried: Vec<bool>,
}

/// Everything starts at a cache line.
const LINE: usize = 64;

/// Plans the memory of a schedule whose steps need that. Results of the body of a loop that are
/// carried come from arguments behind that many.
pub fn plan(s: &Schedule, needs: &[StepMemory], carries: Option<(usize, usize)>) -> MemoryPlan {
    let mut p = MemoryPlanner::new(s, needs);
    p.reuse_in_place();
    let (scratch, block) = p.place();
    let homes = p.of.iter().map(|&m| p.memories[m].home.unwrap_or(Location::Block(0))).collect();
    let (first, count) = carries.unwrap_or_default();
    let carried = (0..count).map(|o| p.carried(first + o, o)).collect();
    MemoryPlan { homes, scratch, block, reuse: p.reuse(), carried, gives: p.gives }
}

/// Memory that arrays have, one after the other.
#[derive(Clone, Debug)]
struct Allocation {
    home: Option<Location>,
    bytes: usize,
    /// The steps that write it first and use it last; none for arrays that no step uses.
    live_range: Option<(usize, usize)>,
    /// The first array that is there, and the last.
    tenants: [BufferId; 2],
}

struct MemoryPlanner<'a> {
    s: &'a Schedule,
    needs: &'a [StepMemory],
    memories: Vec<Allocation>,
    /// The memory of every array.
    of: Vec<usize>,
    gives: Vec<OutputSource>,
}

impl<'a> MemoryPlanner<'a> {
    /// Every array in memory of its own.
    fn new(s: &'a Schedule, needs: &'a [StepMemory]) -> MemoryPlanner<'a> {
        let memory = |(b, live_range): (BufferId, Option<(usize, usize)>)| Allocation {
            home: None,
            // Not rounded up: a result's memory, which an array may come to lie in, has no more.
            bytes: s.buffers[b].bytes().unwrap_or(0),
            live_range,
            tenants: [b; 2],
        };
        let memories = live_ranges(s).into_iter().enumerate().map(memory).collect();
        let mut p =
            MemoryPlanner { s, needs, memories, of: (0..s.buffers.len()).collect(), gives: vec![] };
        s.inputs
            .iter()
            .enumerate()
            .for_each(|(i, &b)| p.memories[b].home = Some(Location::Input(i)));
        s.constants
            .iter()
            .enumerate()
            .for_each(|(i, &(b, _))| p.memories[b].home = Some(Location::Constant(i)));
        for (o, &b) in s.outputs.iter().enumerate() {
            let is_free = p.memories[b].home.is_none();
            p.gives.push(if is_free { OutputSource::Own } else { OutputSource::CopyOf(b) });
            p.memories[b].home.get_or_insert(Location::Output(o));
        }
        p
    }

    /// An array that is first written where another one is used for the last time, place by place,
    /// takes over its memory.
    fn reuse_in_place(&mut self) {
        for (i, step) in self.s.steps.iter().enumerate() {
            let uses: Vec<(BufferId, bool)> = step.uses().collect();
            for to in uses.iter().filter(|u| u.1).map(|u| u.0) {
                let donor = uses
                    .iter()
                    .filter(|u| !u.1)
                    .map(|u| u.0)
                    .find(|&from| self.can_reuse(i, from, to));
                if let Some(from) = donor {
                    self.merge(self.of[from], self.of[to]);
                }
            }
        }
    }

    fn can_reuse(&self, i: usize, from: BufferId, to: BufferId) -> bool {
        let (old, new) = (&self.memories[self.of[from]], &self.memories[self.of[to]]);
        let begins = new.live_range.is_some_and(|l| l.0 == i)
            && matches!(new.home, None | Some(Location::Output(_)));
        let ends = old.live_range.is_some_and(|l| l.1 == i)
            && old.home.is_none()
            && old.tenants[1] == from;
        from != to
            && begins
            && ends
            && new.tenants == [to; 2]
            && old.bytes == new.bytes
            && self.in_place(i, from, to)
    }

    /// Memory `old` becomes the first part of the life of `new`.
    fn merge(&mut self, old: usize, new: usize) {
        let Allocation { live_range, tenants, .. } = self.memories[old].clone();
        let m = &mut self.memories[new];
        m.live_range = live_range.zip(m.live_range).map(|(old, new)| (old.0, new.1));
        m.tenants[0] = tenants[0];
        self.memories[old].live_range = None;
        self.of.iter_mut().filter(|of| **of == old).for_each(|of| *of = new);
    }

    /// Places in the block for what has none, and for every step's scratch memory.
    fn place(&mut self) -> (Vec<usize>, usize) {
        let own = |(m, memory): (usize, &Allocation)| {
            memory
                .live_range
                .filter(|_| memory.home.is_none())
                .map(|live_range| (Ok(m), live_range, memory.bytes.next_multiple_of(LINE)))
        };
        let scratch =
            |(i, n): (usize, &StepMemory)| (Err(i), (i, i), n.scratch.next_multiple_of(LINE));
        let mut wanted: Vec<_> = self.memories.iter().enumerate().filter_map(own).collect();
        wanted.extend(self.needs.iter().enumerate().filter(|(_, n)| n.scratch > 0).map(scratch));
        // Large arrays first: small ones fit into what is left between them.
        wanted.sort_by_key(|w| std::cmp::Reverse(w.2));
        let (mut places, mut block) = (vec![0; self.needs.len()], 0);
        let mut placed: Vec<(usize, usize, (usize, usize))> = vec![];
        for (who, live_range, size) in wanted {
            let at = first_fit(&placed, live_range, size);
            placed.push((at, size, live_range));
            block = block.max(at + size);
            match who {
                Ok(m) => self.memories[m].home = Some(Location::Block(at)),
                Err(step) => places[step] = at,
            }
        }
        (places, block)
    }

    /// Arguments whose memory results may take over.
    fn reuse(&self) -> Vec<(usize, usize)> {
        let mut out: Vec<(usize, usize)> = vec![];
        for (o, &r) in self.s.outputs.iter().enumerate().filter(|&(o, _)| self.is_own(o)) {
            let fits = |&(i, &a): &(usize, &BufferId)| {
                !out.iter().any(|p| p.0 == i) && !self.s.outputs.contains(&a) && self.may_take(a, r)
            };
            if let Some((i, _)) = self.s.inputs.iter().enumerate().find(fits) {
                out.push((i, o));
            }
        }
        out
    }

    /// Is the result in memory that the caller gives?
    fn is_own(&self, o: usize) -> bool {
        self.gives[o] == OutputSource::Own
            && self.memories[self.of[self.s.outputs[o]]].home == Some(Location::Output(o))
    }

    /// May a loop write result `o` where argument `i` is?
    fn carried(&self, i: usize, o: usize) -> bool {
        let (Some(&from), Some(&to)) = (self.s.inputs.get(i), self.s.outputs.get(o)) else {
            return false;
        };
        match self.gives[o] {
            OutputSource::CopyOf(b) => b == from,
            OutputSource::Own => self.is_own(o) && self.may_take(from, to),
        }
    }

    /// May a result be written into the memory of an argument: is that not needed any more when the
    /// result's memory is first written, or read place by place then?
    fn may_take(&self, from: BufferId, to: BufferId) -> bool {
        let (old, new) = (&self.memories[self.of[from]], &self.memories[self.of[to]]);
        if self.s.buffers[from] != self.s.buffers[to] {
            return false;
        }
        match (old.live_range, new.live_range) {
            (_, None) => false,
            (None, _) => true,
            (Some((_, last)), Some((first, _))) => {
                last < first || last == first && self.in_place(first, from, new.tenants[0])
            }
        }
    }

    /// Does a step use `from` only at the places where it then writes `to`, so that both may be the
    /// same memory?
    fn in_place(&self, step: usize, from: BufferId, to: BufferId) -> bool {
        match self.s.steps.get(step) {
            Some(Step::Copy(a, b)) => (*a, *b) == (from, to),
            Some(Step::Kernel(n)) => n.in_place(from, to),
            // What the equation itself reads is read for the last time after the first rows of what
            // follows are written.
            Some(Step::Equation { reads, writes, epilogue: Some(n), .. }) => {
                !reads.contains(&from) && !writes.contains(&to) && n.in_place(from, to)
            }
            Some(Step::Equation { .. }) => self.needs[step].shares.contains(&(from, to)),
            None => false,
        }
    }
}

/// The first place with room beside what lives at the same time.
fn first_fit(
    placed: &[(usize, usize, (usize, usize))],
    (from, to): (usize, usize),
    size: usize,
) -> usize {
    let clash = |p: &&(usize, usize, (usize, usize))| p.2.0 <= to && from <= p.2.1;
    let mut taken: Vec<(usize, usize)> = placed.iter().filter(clash).map(|p| (p.0, p.1)).collect();
    taken.sort_unstable();
    let mut at = 0;
    for (start, len) in taken {
        if at + size <= start {
            break;
        }
        at = at.max(start + len);
    }
    at
}

impl MemoryPlan {
    /// Where every array of the schedule is, and which arguments may be taken over.
    pub fn text(&self, s: &Schedule) -> String {
        let home = |(b, h): (BufferId, &Location)| {
            let place = match h {
                Location::Input(i) => format!("argument {i}"),
                Location::Output(o) => format!("result {o}"),
                Location::Constant(_) => "part of the program".into(),
                Location::Block(at) => format!("the block, from byte {at} on"),
            };
            format!("b{b}: {}, in {place}\n", s.buffers[b])
        };
        let given = |(o, g): (usize, &OutputSource)| match g {
            OutputSource::Own => String::new(),
            OutputSource::CopyOf(b) => format!("result {o} is a copy of b{b}\n"),
        };
        let over = |&(i, o): &(usize, usize)| {
            format!("result {o} takes over argument {i}, if nobody else holds it\n")
        };
        let homes: String =
            self.homes.iter().enumerate().filter(|h| s.is_in_memory(h.0)).map(home).collect();
        let gives: String = self.gives.iter().enumerate().map(given).collect();
        format!(
            "{homes}{gives}{}the block has {} bytes",
            self.reuse.iter().map(over).collect::<String>(),
            self.block
        )
    }
}

/// The steps at which every array is written first and used last.
fn live_ranges(s: &Schedule) -> Vec<Option<(usize, usize)>> {
    let mut out: Vec<Option<(usize, usize)>> = vec![None; s.buffers.len()];
    for (i, step) in s.steps.iter().enumerate() {
        step.uses().for_each(|(b, _)| out[b] = Some(out[b].map_or((i, i), |(from, _)| (from, i))));
    }
    s.outputs.iter().for_each(|&b| out[b] = Some((out[b].map_or(0, |l| l.0), s.steps.len())));
    out
}

impl Step {
    /// The arrays that it touches, and whether it writes them.
    pub fn uses(&self) -> impl Iterator<Item = (BufferId, bool)> {
        let mut out: Vec<(BufferId, bool)> = vec![];
        let mut nest = |n: &crate::schedule::KernelCall| {
            out.extend(n.args.iter().map(|a| (a.buffer, a.writes)))
        };
        match self {
            Step::Kernel(n) => nest(n),
            Step::Copy(from, to) => out.extend([(*from, false), (*to, true)]),
            Step::Equation { reads, writes, epilogue, .. } => {
                epilogue.iter().for_each(&mut nest);
                out.extend(reads.iter().map(|&b| (b, false)));
                out.extend(writes.iter().map(|&b| (b, true)));
            }
        }
        out.into_iter()
    }
}
