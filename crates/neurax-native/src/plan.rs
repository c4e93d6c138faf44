//! The memory planner: which buffers share memory, and the offset of each in the block of a call.
//!
//! 1. *In-place reuse* ([`MemoryPlanner::reuse_in_place`]): a buffer that a step writes first takes
//!    over the memory of a buffer that the step reads last, if the step reads every element before
//!    it writes the same element (`KernelCall::in_place`). A chain of elementwise steps thus stays
//!    in one place, and ends in the memory of the result.
//! 2. *First-fit allocation over live ranges* ([`MemoryPlanner::allocate`]): every allocation is
//!    alive from its first to its last use. Largest first, each gets the lowest offset that is free
//!    during its whole live range; small ones fill the gaps.
//! 3. *Donation* ([`MemoryPlanner::donations`]): a result may be written into the memory of an
//!    argument of equal type whose last use precedes the first write of the result, or is a step
//!    that works in place. It is done at run time, if the caller passed the last reference.
//! 4. *Carried values* of a loop body are updated in place if the same holds for their live ranges.
//!
//! ```text
//! b0, b1, b2: inputs; one kernel writes b3 = b1 + b2 and b4 = b0 - b3; b4 and b3 are the outputs
//!   b3: f32[300], in output 1
//!   b4: f32[300], in output 0
//!   output 0 may reuse input 0, if it is donated
//!   output 1 may reuse input 1, if it is donated
//! ```
//!
//! Invariants: the live ranges of buffers that share memory are disjoint, or meet in one step that
//! works in place; constants and inputs that are not donated
//! are never written; every allocation starts at a cache line.

use crate::schedule::{BufferId, ScheduledGraph, ScheduledStep};
use neurax_ir::{Error, OrBug, Result, Type};
use rustc_hash::FxHashMap;

/// The memory of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    /// The input of this index.
    Input(usize),
    /// The output of this index.
    Output(usize),
    /// The constant of this index, part of the program.
    Constant(usize),
    /// The block of the call, at this offset in bytes.
    Block(usize),
}

/// The source of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputSource {
    /// A step writes it into the output's memory.
    Own,
    /// It is an alias of another buffer, and is copied at the end.
    CopyOf(BufferId),
}

/// The memory that a step asks for besides its buffers.
#[derive(Clone, Debug, Default)]
pub struct StepMemory {
    /// The bytes of scratch memory while it runs.
    pub scratch: usize,
    /// Pairs `(operand, result)` such that the step can write the result in the operand's memory,
    /// if it is the operand's last use.
    pub in_place: Vec<(BufferId, BufferId)>,
}

/// The carried arguments of a loop body, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Carried {
    /// The index of the first one.
    pub first: usize,
    /// The number of carried arguments.
    pub count: usize,
}

/// The memory plan of a program.
#[derive(Debug)]
pub struct MemoryPlan {
    /// The location of every buffer.
    pub locations: Vec<Location>,
    /// The source of every output.
    pub outputs: Vec<OutputSource>,
    /// The offset of every step's scratch memory in the block, in bytes.
    pub scratch: Vec<usize>,
    /// The bytes of the block.
    pub block: usize,
    /// Pairs `(input, output)` such that the output may reuse the input's memory, if it is donated;
    /// at most one for each output, in the order of the outputs.
    pub donations: Vec<(usize, usize)>,
    /// For the body of a loop: true for each carried value that is updated in place.
    pub carried: Vec<bool>,
}

/// The alignment of allocations in bytes: a cache line.
pub const ALIGNMENT: usize = 64;

/// Plans the memory of a schedule. `steps` is what each step asks for; `carried` are the carried
/// arguments if the schedule is the body of a loop.
///
/// # Errors
/// If a buffer has no location, an error of this crate, or does not fit into memory.
pub fn plan(
    s: &ScheduledGraph,
    steps: &[StepMemory],
    carried: Option<Carried>,
) -> Result<MemoryPlan> {
    if steps.len() != s.steps.len() {
        let (asked, all) = (steps.len(), s.steps.len());
        return Err(Error::bug(format!("{asked} of {all} steps say what memory they need")));
    }
    let mut p = MemoryPlanner::new(s, steps)?;
    p.reuse_in_place()?;
    let (scratch, block) = p.allocate();
    let locations = (0..s.buffers.len()).map(|b| p.location(b)).collect::<Result<_>>()?;
    let carried = match carried {
        Some(Carried { first, count }) => {
            (0..count).map(|o| p.is_carried_in_place(first + o, o)).collect::<Result<_>>()?
        }
        None => vec![],
    };
    let donations = p.donations()?;
    Ok(MemoryPlan { locations, outputs: p.outputs, scratch, block, donations, carried })
}

/// Memory that one or more buffers use, one after the other.
#[derive(Clone, Debug)]
struct Allocation {
    location: Option<Location>,
    bytes: usize,
    /// The steps that write it first and use it last; `None` for buffers that no step uses.
    live_range: Option<(usize, usize)>,
    /// The first buffer that uses it.
    first_buffer: BufferId,
    /// The last buffer that uses it.
    last_buffer: BufferId,
}

/// The plan so far.
struct MemoryPlanner<'a> {
    s: &'a ScheduledGraph,
    steps: &'a [StepMemory],
    allocations: Vec<Allocation>,
    /// The allocation of every buffer.
    of: Vec<usize>,
    outputs: Vec<OutputSource>,
}

impl<'a> MemoryPlanner<'a> {
    /// Creates a plan in which every buffer has a separate allocation.
    fn new(s: &'a ScheduledGraph, steps: &'a [StepMemory]) -> Result<MemoryPlanner<'a>> {
        let ranges = live_ranges(s);
        let allocation = |b: BufferId| {
            // Not rounded up: the memory of an output, which a buffer may share, has no more.
            let bytes = s.buffers[b].bytes()?;
            let live_range = ranges[b];
            Ok(Allocation { location: None, bytes, live_range, first_buffer: b, last_buffer: b })
        };
        let allocations = (0..s.buffers.len()).map(allocation).collect::<Result<_>>()?;
        let of = (0..s.buffers.len()).collect();
        let mut p = MemoryPlanner { s, steps, allocations, of, outputs: vec![] };
        for (i, &b) in s.inputs.iter().enumerate() {
            p.allocations[b].location = Some(Location::Input(i));
        }
        for (i, &(b, _)) in s.constants.iter().enumerate() {
            p.allocations[b].location = Some(Location::Constant(i));
        }
        for (o, &b) in s.outputs.iter().enumerate() {
            let is_free = p.allocations[b].location.is_none();
            p.outputs.push(if is_free { OutputSource::Own } else { OutputSource::CopyOf(b) });
            p.allocations[b].location.get_or_insert(Location::Output(o));
        }
        Ok(p)
    }

    /// Returns the location of a buffer.
    fn location(&self, b: BufferId) -> Result<Location> {
        let allocation = &self.allocations[self.of[b]];
        match allocation.location {
            Some(location) => Ok(location),
            // empty: no step accesses the buffer.
            None if allocation.live_range.is_none() => Ok(Location::Block(0)),
            None => Err(Error::bug(format!("buffer b{b} has no location"))),
        }
    }

    /// Lets every buffer that a step writes first take over the memory of a buffer that the step
    /// reads last, if the step can work in place.
    fn reuse_in_place(&mut self) -> Result<()> {
        for (i, step) in self.s.steps.iter().enumerate() {
            let uses: Vec<(BufferId, bool)> = step.uses().collect();
            for to in uses.iter().filter(|u| u.1).map(|u| u.0) {
                for from in uses.iter().filter(|u| !u.1).map(|u| u.0) {
                    if self.can_reuse(i, from, to)? {
                        self.merge(from, to);
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Returns true if step `i` can write `to` in the memory of `from`: the last use of `from` and
    /// the first write of `to` are in step `i`, which works in place.
    fn can_reuse(&self, i: usize, from: BufferId, to: BufferId) -> Result<bool> {
        let (old, new) = (&self.allocations[self.of[from]], &self.allocations[self.of[to]]);
        let begins = new.live_range.is_some_and(|l| l.0 == i)
            && matches!(new.location, None | Some(Location::Output(_)));
        let ends = old.live_range.is_some_and(|l| l.1 == i)
            && old.location.is_none()
            && old.last_buffer == from;
        let fits = from != to
            && begins
            && ends
            && (new.first_buffer, new.last_buffer) == (to, to)
            && old.bytes == new.bytes;
        Ok(fits && self.is_in_place(i, from, to)?)
    }

    /// Merges the allocation of `to`, which is its only buffer, into that of `from`, whose live
    /// range ends where the other begins.
    fn merge(&mut self, from: BufferId, to: BufferId) {
        let Allocation { location, live_range, .. } = self.allocations[self.of[to]].clone();
        self.allocations[self.of[to]].live_range = None;
        self.of[to] = self.of[from];
        let merged = &mut self.allocations[self.of[from]];
        merged.location = location;
        merged.live_range = merged.live_range.zip(live_range).map(|(old, new)| (old.0, new.1));
        merged.last_buffer = to;
    }

    /// Allocates everything without a location in the block, and each step's scratch memory.
    /// Returns the offsets of the scratch memory, and the bytes of the block.
    fn allocate(&mut self) -> (Vec<usize>, usize) {
        let buffer = |(a, allocation): (usize, &Allocation)| {
            let live_range = allocation.live_range.filter(|_| allocation.location.is_none())?;
            Some((Wanted::Buffer(a), live_range, allocation.bytes.next_multiple_of(ALIGNMENT)))
        };
        let scratch = |(i, step): (usize, &StepMemory)| {
            let bytes = step.scratch.next_multiple_of(ALIGNMENT);
            (step.scratch > 0).then_some((Wanted::Scratch(i), (i, i), bytes))
        };
        let mut wanted: Vec<_> = self.allocations.iter().enumerate().filter_map(buffer).collect();
        wanted.extend(self.steps.iter().enumerate().filter_map(scratch));
        // Largest first: small ones fit into the gaps between them. Of equal ones, buffers in the
        // order of the steps that write them, then scratch memory.
        let rank = |w: &Wanted| match *w {
            Wanted::Buffer(a) => (false, self.allocations[a].last_buffer),
            Wanted::Scratch(step) => (true, step),
        };
        wanted.sort_by_key(|w| (std::cmp::Reverse(w.2), rank(&w.0)));
        let (mut offsets, mut block) = (vec![0; self.steps.len()], 0);
        let mut placed: Vec<Placed> = vec![];
        for (what, live_range, bytes) in wanted {
            let offset = first_fit(&placed, live_range, bytes);
            let at = placed.partition_point(|p| (p.offset, p.bytes) <= (offset, bytes));
            placed.insert(at, Placed { offset, bytes, live_range });
            block = block.max(offset + bytes);
            match what {
                Wanted::Buffer(a) => self.allocations[a].location = Some(Location::Block(offset)),
                Wanted::Scratch(step) => offsets[step] = offset,
            }
        }
        (offsets, block)
    }

    /// Returns the inputs whose memory outputs may reuse, each for one output.
    fn donations(&self) -> Result<Vec<(usize, usize)>> {
        let mut out: Vec<(usize, usize)> = vec![];
        // The inputs that may be overwritten, by their types: only equal types share memory.
        let mut is_output = vec![false; self.s.buffers.len()];
        self.s.outputs.iter().for_each(|&b| is_output[b] = true);
        let mut free: FxHashMap<&Type, Vec<usize>> = FxHashMap::default();
        for (i, &b) in self.s.inputs.iter().enumerate().filter(|(_, b)| !is_output[**b]) {
            free.entry(&self.s.buffers[b]).or_default().push(i);
        }
        for (o, &to) in self.s.outputs.iter().enumerate().filter(|&(o, _)| self.is_own(o)) {
            let Some(inputs) = free.get_mut(&self.s.buffers[to]) else { continue };
            for k in 0..inputs.len() {
                if self.can_overwrite(self.s.inputs[inputs[k]], to)? {
                    out.push((inputs.remove(k), o));
                    break;
                }
            }
        }
        Ok(out)
    }

    /// Returns true if output `o` is written into the output's own memory.
    fn is_own(&self, o: usize) -> bool {
        self.outputs[o] == OutputSource::Own
            && self.allocations[self.of[self.s.outputs[o]]].location == Some(Location::Output(o))
    }

    /// Returns true if a loop can update the carried value of input `i` and output `o` in place.
    fn is_carried_in_place(&self, i: usize, o: usize) -> Result<bool> {
        let to = *self.s.outputs.get(o).or_bug(format!("carried value {o} has no output"))?;
        let from = *self.s.inputs.get(i).or_bug(format!("carried value {o} has no input {i}"))?;
        match self.outputs[o] {
            OutputSource::CopyOf(b) => Ok(b == from),
            OutputSource::Own => Ok(self.is_own(o) && self.can_overwrite(from, to)?),
        }
    }

    /// Returns true if output `to` can be written into the memory of input `from`: the input is
    /// dead when the output's memory is first written, or that step works in place.
    fn can_overwrite(&self, from: BufferId, to: BufferId) -> Result<bool> {
        let (old, new) = (&self.allocations[self.of[from]], &self.allocations[self.of[to]]);
        if self.s.buffers[from] != self.s.buffers[to] {
            return Ok(false);
        }
        match (old.live_range, new.live_range) {
            (_, None) => Ok(false),
            (None, Some(_)) => Ok(true),
            (Some((_, last)), Some((first, _))) if last == first => {
                self.is_in_place(first, from, new.first_buffer)
            }
            (Some((_, last)), Some((first, _))) => Ok(last < first),
        }
    }

    /// Returns true if the step reads every element of `from` before it writes the same element of
    /// `to`, so that both may share memory.
    fn is_in_place(&self, step: usize, from: BufferId, to: BufferId) -> Result<bool> {
        // The caller reads the outputs, one step after the last.
        if step == self.s.steps.len() {
            return Ok(false);
        }
        let scheduled = self.s.steps.get(step).or_bug(format!("step {step} does not exist"))?;
        Ok(match scheduled {
            ScheduledStep::Copy(a, b) => (*a, *b) == (from, to),
            ScheduledStep::Kernel(call) => call.in_place(from, to),
            // The equation's own operands are still read when the epilogue of the first tile
            // writes.
            ScheduledStep::Equation { reads, writes, epilogue: Some(call), .. } => {
                !reads.contains(&from) && !writes.contains(&to) && call.in_place(from, to)
            }
            ScheduledStep::Equation { epilogue: None, .. } => {
                self.steps[step].in_place.contains(&(from, to))
            }
        })
    }
}

/// A request for memory in the block.
enum Wanted {
    /// The allocation of this index.
    Buffer(usize),
    /// The scratch memory of the step of this index.
    Scratch(usize),
}

/// An allocation that has an offset in the block.
struct Placed {
    offset: usize,
    bytes: usize,
    live_range: (usize, usize),
}

/// Returns the lowest offset with `bytes` free bytes throughout the live range `(from, to)`. The
/// allocations are in the order of their offsets.
fn first_fit(placed: &[Placed], (from, to): (usize, usize), bytes: usize) -> usize {
    let mut offset = 0;
    for p in placed.iter().filter(|p| p.live_range.0 <= to && from <= p.live_range.1) {
        if offset + bytes <= p.offset {
            break;
        }
        offset = offset.max(p.offset + p.bytes);
    }
    offset
}

/// Returns the steps at which every buffer is written first and used last. Outputs are used after
/// the last step.
fn live_ranges(s: &ScheduledGraph) -> Vec<Option<(usize, usize)>> {
    let mut out: Vec<Option<(usize, usize)>> = vec![None; s.buffers.len()];
    for (i, step) in s.steps.iter().enumerate() {
        for (b, _) in step.uses() {
            // empty: the first use.
            let (first, _) = out[b].unwrap_or((i, i));
            out[b] = Some((first, i));
        }
    }
    for &b in &s.outputs {
        // empty: an argument or constant, which is live from the beginning.
        let (first, _) = out[b].unwrap_or((0, 0));
        out[b] = Some((first, s.steps.len()));
    }
    out
}

impl MemoryPlan {
    /// Returns the plan as text: the location of every buffer, aliases, and possible donations.
    pub fn text(&self, s: &ScheduledGraph) -> String {
        let mut out = String::new();
        for (b, location) in self.locations.iter().enumerate().filter(|l| s.is_in_memory(l.0)) {
            let location = match location {
                Location::Input(i) => format!("input {i}"),
                Location::Output(o) => format!("output {o}"),
                Location::Constant(i) => format!("constant {i}"),
                Location::Block(offset) => format!("the block at byte {offset}"),
            };
            out += &format!("b{b}: {}, in {location}\n", s.buffers[b]);
        }
        for (o, source) in self.outputs.iter().enumerate() {
            if let OutputSource::CopyOf(b) = source {
                out += &format!("output {o} is a copy of b{b}\n");
            }
        }
        for (i, o) in &self.donations {
            out += &format!("output {o} may reuse input {i}, if it is donated\n");
        }
        out + &format!("block of {} bytes", self.block)
    }
}
