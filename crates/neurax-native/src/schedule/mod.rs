//! From equations to kernels: which values are written to memory, and what is computed in one loop
//! nest.

mod body;
mod classify;
mod facts;
mod fetch;
mod group;
mod join;
mod loops;
mod nest;
mod order;
mod print;
mod rows;
mod units;
mod walk;

pub use classify::{Class, classify, is_native};
pub use facts::{Facts, Storage};
pub use group::BufferId;
pub use nest::Nest;
pub use walk::{Walk, maker};

use group::Why;
use neurax_ir::{Error, Graph, Result, Type, Value};
use units::{Loop, Unit, Work};

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
    Kernel(Nest),
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
        then: Option<Nest>,
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
    why: Why,
}

/// The steps of a graph without calls and composites.
///
/// # Errors
/// When no schedule is found, which is an error of this crate.
pub fn schedule(graph: &Graph, has_fma: bool) -> Result<Schedule> {
    let mut forced = vec![];
    // Every round writes one more value to memory.
    loop {
        let facts = Facts::new(graph, &forced, has_fma);
        match units::units(&facts) {
            Ok(units) => {
                let (units, notes) = join::Joiner::new(&facts, units).join()?;
                return finish(&facts, &units, notes);
            }
            Err(Why::Materialise(v)) if !forced.contains(&v) => forced.push(v),
            Err(why) => return Err(print::lost(&facts, &why)),
        }
    }
}

fn finish(facts: &Facts, units: &[Unit], notes: Vec<Note>) -> Result<Schedule> {
    let graph = facts.graph;
    let buffer = |v: &Value| {
        facts.buffer(*v).ok_or_else(|| Error::new("schedule", format!("%{} is nowhere", v.0)))
    };
    let inputs = graph.inputs().map(|v| buffer(&v)).collect::<Result<_>>()?;
    let outputs: Vec<BufferId> = graph.outputs().iter().map(buffer).collect::<Result<_>>()?;
    let mut readers = vec![0; facts.buffers.len()];
    units
        .iter()
        .flat_map(Unit::distinct_reads)
        .chain(outputs.iter().copied())
        .for_each(|b| readers[b] += 1);
    let mut steps = vec![];
    for u in units {
        u.distinct_reads().for_each(|b| readers[b] -= 1);
        let nest = |k: &Loop| nest::nest(&k.body, &|b| readers[b] > 0);
        steps.push(match &u.work {
            Work::Kernel(k) => Step::Kernel(nest(k)),
            Work::Copy(from, to) => Step::Copy(*from, *to),
            Work::Equation(eqn, then) => {
                let e = &graph.eqns()[*eqn];
                let strided = classify::is_strided(facts.class[*eqn]);
                let reads = (0..e.inputs.len())
                    .map(|i| buffer(&if strided { facts.base(e, i) } else { e.inputs[i] }))
                    .collect::<Result<_>>()?;
                let writes = e.outputs.iter().map(buffer).collect::<Result<_>>()?;
                let then = then.as_deref().map(nest);
                Step::Equation { eqn: *eqn, reads, writes, then }
            }
        });
        u.distinct_reads().for_each(|b| readers[b] += 1);
    }
    let mut values = vec![None; facts.buffers.len()];
    facts.constants.iter().for_each(|&(b, v)| values[b] = Some(v));
    for v in (0..graph.types().len() as u32).rev().map(Value) {
        facts.buffer(v).into_iter().for_each(|b| values[b] = Some(v));
    }
    Ok(Schedule {
        buffers: facts.buffers.clone(),
        values,
        inputs,
        outputs,
        constants: facts.constants.clone(),
        steps,
        notes,
    })
}
