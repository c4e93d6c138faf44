//! From equations to kernels: which values are written to memory, and what is computed in one loop
//! nest.

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

pub use analysis::{Analysis, Storage};
pub use classify::{EqnClass, classify};
pub use kernel_builder::KernelCall;
pub use outputs::BufferId;

use groups::{FusedLoop, Group, GroupKind};
use neurax_ir::{Error, Graph, Result, Type, Value};
use outputs::NotFused;

/// A graph as steps over arrays.
#[derive(Debug)]
pub struct Schedule {
    /// The types of the arrays.
    pub buffers: Vec<Type>,
    /// The values that they hold; of several names the first.
    values: Vec<Option<Value>>,
    /// The arrays of the graph's inputs.
    pub inputs: Vec<BufferId>,
    /// The arrays of the graph's results.
    pub outputs: Vec<BufferId>,
    /// Arrays that are part of the program, and the constants that they hold.
    pub constants: Vec<(BufferId, Value)>,
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// Why steps were not joined.
    pub notes: Vec<Note>,
}

/// One step.
#[derive(Debug)]
pub enum Step {
    /// A loop nest.
    Kernel(KernelCall),
    /// An equation whose operands and results are arrays; and a loop nest over the rows of the
    /// first result.
    Equation {
        /// Which equation of the graph.
        eqn: usize,
        /// The arrays of the operands: for products and convolutions, those behind transposes.
        reads: Vec<BufferId>,
        /// The arrays of the results.
        writes: Vec<BufferId>,
        /// What is done with each row of the result.
        epilogue: Option<KernelCall>,
    },
    /// A copy of an array, unless both are in the same memory.
    Copy(BufferId, BufferId),
}

/// Why two steps were not joined.
#[derive(Clone, Debug)]
pub struct Note {
    /// What the first one writes.
    pub first: Vec<BufferId>,
    /// What the second one writes.
    pub second: Vec<BufferId>,
    /// Why.
    why: NotFused,
}

/// The steps of a graph without calls and composites.
///
/// # Errors
/// When no schedule is found, which is an error of this crate.
pub fn schedule(graph: &Graph, has_fma: bool) -> Result<Schedule> {
    let mut forced = vec![];
    // Every round writes one more value to memory.
    loop {
        let analysis = Analysis::new(graph, &forced, has_fma);
        match groups::groups(&analysis) {
            Ok(groups) => {
                let (groups, notes) = fuse::Fuser::new(&analysis, groups).join()?;
                return finish(&analysis, &groups, notes);
            }
            Err(NotFused::Materialise(v)) if !forced.contains(&v) => forced.push(v),
            Err(why) => return Err(print::lost(&analysis, &why)),
        }
    }
}

fn finish(analysis: &Analysis, groups: &[Group], notes: Vec<Note>) -> Result<Schedule> {
    let graph = analysis.graph;
    let buffer = |v: &Value| {
        analysis.buffer(*v).ok_or_else(|| Error::new("schedule", format!("%{} is nowhere", v.0)))
    };
    let inputs = graph.inputs().map(|v| buffer(&v)).collect::<Result<_>>()?;
    let outputs: Vec<BufferId> = graph.outputs().iter().map(buffer).collect::<Result<_>>()?;
    let mut readers = vec![0; analysis.buffers.len()];
    groups
        .iter()
        .flat_map(Group::distinct_reads)
        .chain(outputs.iter().copied())
        .for_each(|b| readers[b] += 1);
    let mut steps = vec![];
    for u in groups {
        u.distinct_reads().for_each(|b| readers[b] -= 1);
        let nest = |k: &FusedLoop| kernel_builder::nest(&k.body, &|b| readers[b] > 0);
        steps.push(match &u.kind {
            GroupKind::Kernel(k) => Step::Kernel(nest(k)),
            GroupKind::Copy(from, to) => Step::Copy(*from, *to),
            GroupKind::Equation(eqn, epilogue) => {
                let e = &graph.eqns()[*eqn];
                let strided = classify::is_strided(analysis.class[*eqn]);
                let reads = (0..e.inputs.len())
                    .map(|i| buffer(&if strided { analysis.base(e, i) } else { e.inputs[i] }))
                    .collect::<Result<_>>()?;
                let writes = e.outputs.iter().map(buffer).collect::<Result<_>>()?;
                let epilogue = epilogue.as_deref().map(nest);
                Step::Equation { eqn: *eqn, reads, writes, epilogue }
            }
        });
        u.distinct_reads().for_each(|b| readers[b] += 1);
    }
    let mut values = vec![None; analysis.buffers.len()];
    analysis.constants.iter().for_each(|&(b, v)| values[b] = Some(v));
    for v in (0..graph.types().len() as u32).rev().map(Value) {
        analysis.buffer(v).into_iter().for_each(|b| values[b] = Some(v));
    }
    Ok(Schedule {
        buffers: analysis.buffers.clone(),
        values,
        inputs,
        outputs,
        constants: analysis.constants.clone(),
        steps,
        notes,
    })
}
