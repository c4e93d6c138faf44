//! The scheduler: from the equations of a lowered graph to steps over buffers.
//!
//! It decides which values are written to memory, which equations are fused into one kernel, and in
//! which order the steps run. The method is greedy fusion over a dependence graph:
//!
//! 1. `classify`: the kind of each equation. Elementwise ops, data movement and gathers are
//!    *inlinable*: their values are computed in their readers, unless step 2 stores them.
//!    Reductions, products, writes of parts and library ops are not.
//! 2. `analysis`: which values are stored in buffers. Besides the results of ops that are not
//!    inlined, these are values that are expensive and read more than once.
//! 3. `groups`: one group for each stored value, with the equations that are inlined into it.
//! 4. `fuse`: groups over one iteration space are fused, nearest producer first; then a group that
//!    reads a matrix product or a convolution row by row becomes its *epilogue*.
//! 5. `expr_graph`: a group's equations as one expression graph over its iteration space. Data
//!    movement becomes affine offsets. `loops` collapses the loops and picks the one to vectorize;
//!    `kernel_builder` makes the kernel and the parameters of its call.
//!
//! A softmax over rows, `exp(x - max(x)) / sum(..)`, has two reductions, an exponential that is
//! read twice and therefore stored, and a quotient. It is four groups, which share the iteration
//! space `[32, (10)]` (parentheses mark a reduced loop), and fuses into one kernel with stages:
//!
//! ```text
//! step 0: kernel 0 reads b0, b2; writes b2, b4; 32 iterations, parallel
//! ```
//!
//! Invariants:
//! - A buffer is written for one equation: by one group, or, if the op writes parts, by a group for
//!   each part (the operands of a concatenate, the fill and the operand of a pad, the copy and the
//!   update of a scatter). Groups are ordered so that the writers of a buffer keep their order and
//!   precede its readers.
//! - If a group cannot be built, before fusion, without a value in memory
//!   ([`NotFused::Materialize`]), the whole schedule is made again with that value stored, together
//!   with all others that are missing. Every round stores one more at least, so it ends.
//! - Whether two steps are fused depends on the graph alone. The reason why two related steps were
//!   not is kept as a [`Note`] and printed by `neurax inspect NAME --explain`.

mod analysis;
mod classify;
mod dependence;
mod epilogue;
mod expr_graph;
mod fetch;
mod fuse;
mod groups;
mod kernel_builder;
mod loops;
mod outputs;
mod print;
mod types;

pub use classify::EqnClass;
pub use kernel_builder::KernelCall;
pub use outputs::BufferId;
pub use types::{Note, ScheduledGraph, ScheduledStep};

use crate::{support::producer, visits::visit};
use analysis::{Analysis, Storage};
use groups::{FusedLoop, Group, GroupKind, Grouping, sorted_unique};
use neurax_ir::{Graph, OrBug, Result, Value};
use outputs::NotFused;

/// Schedules `graph`, which is lowered. `has_fma` is true if the CPU has fused multiply-add.
///
/// # Errors
/// If no schedule is found, an error of this crate.
pub fn schedule(graph: &Graph, has_fma: bool) -> Result<ScheduledGraph> {
    let mut stored = vec![];
    loop {
        let analysis = Analysis::new(graph, &stored, has_fma);
        match groups::groups(&analysis) {
            Ok(Grouping::Groups(groups)) => {
                let (groups, notes) = fuse::Fuser::new(&analysis, groups).fuse()?;
                return finish(&analysis, &groups, notes);
            }
            Ok(Grouping::Missing(values)) => {
                // Every round stores more values, so it ends.
                if let Some(&v) = values.iter().find(|v| stored.contains(v)) {
                    return Err(print::no_schedule(&analysis, &NotFused::Materialize(v)));
                }
                stored.extend(values);
            }
            Err(why) => return Err(print::no_schedule(&analysis, &why)),
        }
    }
}

/// Builds the kernels of the fused groups.
fn finish(analysis: &Analysis, groups: &[Group], notes: Vec<Note>) -> Result<ScheduledGraph> {
    let graph = analysis.graph;
    let buffer = |v: &Value| analysis.buffer(*v).or_bug(format!("value %{} has no buffer", v.0));
    let inputs = graph.inputs().map(|v| buffer(&v)).collect::<Result<_>>()?;
    let outputs: Vec<BufferId> = graph.outputs().iter().map(buffer).collect::<Result<_>>()?;
    let mut readers = vec![0; analysis.buffers.len()];
    let reads = groups.iter().flat_map(|group| &group.reads);
    reads.chain(&outputs).for_each(|&b| readers[b] += 1);
    let steps = groups.iter().map(|group| {
        // A group writes what another group or the caller reads; the rest stays in registers.
        let own = |b| group.reads.contains(&b) as usize;
        let call = |k: &FusedLoop| {
            let call = kernel_builder::build_kernel(&k.body, &|b| readers[b] > own(b));
            let first = k.outputs.first().and_then(|o| producer(graph, o.value));
            call.map_err(|x| match first {
                Some(e) => x.at_origin(&e.at),
                None => x,
            })
        };
        Ok(match &group.kind {
            GroupKind::Kernel(k) => ScheduledStep::Kernel(call(k)?),
            GroupKind::Copy(from, to) => ScheduledStep::Copy(*from, *to),
            GroupKind::Equation(eqn, epilogue) => {
                let e = &graph.eqns()[*eqn];
                let reads = analysis.operands(*eqn).iter().map(buffer).collect::<Result<_>>()?;
                let writes = e.outputs.iter().map(buffer).collect::<Result<_>>()?;
                let epilogue = epilogue.as_deref().map(call).transpose()?;
                let class = analysis.class[*eqn];
                ScheduledStep::Equation { eqn: *eqn, class, reads, writes, epilogue }
            }
        })
    });
    let steps = steps.collect::<Result<_>>()?;
    let (values, producers) = (analysis.buffer_values(), graph.producers());
    let computed = |group: &Group| {
        let eqns = equations(analysis, group, &values, &producers).into_iter();
        eqns.map(|i| (graph.eqns()[i].op.name(), graph.eqns()[i].at.clone())).collect()
    };
    Ok(ScheduledGraph {
        equations: groups.iter().map(computed).collect(),
        buffers: analysis.buffers.clone(),
        values,
        inputs,
        outputs,
        constants: analysis.constants.clone(),
        steps,
        notes,
    })
}

/// Returns the indices of the equations that a group computes, in the order of the graph: those of
/// the values that it writes, and those inlined into them. `values` has the value of each buffer,
/// `producers` the equation of each value.
fn equations(
    analysis: &Analysis,
    group: &Group,
    values: &[Option<Value>],
    producers: &[Option<usize>],
) -> Vec<usize> {
    let mut out = vec![];
    let outputs = match &group.kind {
        GroupKind::Kernel(k) => &k.outputs[..],
        GroupKind::Copy(..) => &[],
        GroupKind::Equation(eqn, epilogue) => {
            out.push(*eqn);
            // empty: no epilogue.
            epilogue.as_ref().map_or(&[][..], |k| &k.outputs)
        }
    };
    let mut todo: Vec<Value> = outputs.iter().map(|o| o.value).collect();
    while let Some(v) = todo.pop() {
        let Some(i) = producers[v.index()] else { continue };
        if !out.contains(&i) {
            visit();
            out.push(i);
            let operands = analysis.graph.eqns()[i].inputs.iter();
            todo.extend(operands.filter(|&&x| analysis.storage(x) == Storage::Inline));
        }
    }
    // Without its operands: of a concatenate, the group computes one part only.
    let written = group.writes.iter().filter_map(|&b| values[b]);
    out.extend(written.filter_map(|v| producers[v.index()]));
    sorted_unique(out)
}
