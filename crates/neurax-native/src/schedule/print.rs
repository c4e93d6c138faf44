//! Schedules as text: buffers, steps, and the pairs that were not fused with the reason.

use super::{
    analysis::Analysis,
    kernel_builder::KernelCall,
    outputs::{BufferId, NotFused},
    types::{Note, ScheduledGraph, ScheduledStep},
};
use crate::{
    support::producer,
    tuning::{MAX_FUSED_NODES, MAX_FUSED_OUTPUTS, MAX_FUSED_STAGES},
};
use neurax_ir::{Eqn, Error, Graph, Value};
use std::{
    collections::BTreeMap,
    fmt::{Display, Formatter, Result},
};

/// Returns the name of a value, e.g. `%7 (add, at src/main.rs:3:5)`.
fn value(graph: &Graph, v: Value) -> String {
    match producer(graph, v) {
        Some(e) => format!("%{} ({})", v.0, step(e)),
        None => format!("%{} (an input)", v.0),
    }
}

impl NotFused {
    /// Returns the reason in words.
    fn text(&self, graph: &Graph) -> String {
        match self {
            NotFused::Materialize(v) => {
                format!("{} would have to be stored first", value(graph, *v))
            }
            NotFused::DifferentIndex(v) => {
                format!("{} is read at a different index than it is produced", value(graph, *v))
            }
            NotFused::DifferentSpaces(s, t) => format!("the iteration spaces {s} and {t} differ"),
            NotFused::TooManyOutputs => {
                format!("the kernel would have more than {MAX_FUSED_OUTPUTS} outputs")
            }
            NotFused::TooManyNodes => {
                format!("the kernel would have more than {MAX_FUSED_NODES} instructions")
            }
            NotFused::TooManyStages => format!(
                "the kernel would have more than {MAX_FUSED_STAGES} reductions after one another"
            ),
            NotFused::DynamicWrite => "one writes at an offset found at run time".into(),
            NotFused::Fill => "one fills a buffer that another step writes parts of".into(),
            NotFused::ColumnWrite => {
                "a large array would be written along the columns of a reduction".into()
            }
            NotFused::ReadBeforeWrite => {
                "it would read elements of a buffer before they are written".into()
            }
            NotFused::StepBetween => "another step must run between them".into(),
            NotFused::NotByRows => {
                "the second does not read the result of the product row by row".into()
            }
            NotFused::Bug(what, _) => what.clone(),
        }
    }
}

/// Returns an equation's op, layer and line, as far as they are known, e.g.
/// `add, in layer dense_1, at src/main.rs:3:5`.
fn step(e: &Eqn) -> String {
    // An error prints the same of an equation, after its message.
    let text = Error::new(e.op.name(), "").at_origin(&e.at).to_string();
    text.replacen(": ", "", 1)
}

/// Returns the error that no schedule was found, at the line of the equation that caused it.
pub fn no_schedule(analysis: &Analysis, why: &NotFused) -> Error {
    let error = Error::bug(format!("no schedule: {}", why.text(analysis.graph)));
    let eqn = match why {
        NotFused::Materialize(v) | NotFused::DifferentIndex(v) | NotFused::Bug(_, Some(v)) => {
            producer(analysis.graph, *v)
        }
        // other: the reason names no value.
        _ => None,
    };
    match eqn {
        Some(e) => error.at_origin(&e.at),
        None => error,
    }
}

impl ScheduledGraph {
    /// Returns the schedule as text: the buffers and their values, the steps, and the pairs of
    /// steps that were not fused.
    pub fn text(&self, graph: &Graph) -> String {
        let mut out = String::new();
        for (b, ty) in self.buffers.iter().enumerate().filter(|&(b, _)| self.is_in_memory(b)) {
            // empty: no value of the graph is in the buffer.
            let value = self.values[b].map_or(String::new(), |v| format!(" = {}", value(graph, v)));
            out += &format!("b{b}: {ty}{value}\n");
        }
        out += &format!("inputs {}; outputs {}\n", list(&self.inputs), list(&self.outputs));
        let mut kernels = 0;
        for (i, step) in self.steps.iter().enumerate() {
            out += &format!("step {i}: {}\n", step.text(graph, &mut kernels));
        }
        let values = |buffers: &[BufferId]| {
            let values = buffers.iter().filter_map(|&b| self.values[b]);
            values.map(|v| value(graph, v)).collect::<Vec<_>>().join(", ")
        };
        for ((i, j), note) in self.not_fused() {
            out += &format!("step {i} and step {j} were not fused: {}\n", note.why.text(graph));
            out += &format!("  first: {}\n", values(&note.first));
            out += &format!("  second: {}\n", values(&note.second));
        }
        out
    }

    /// Returns for pairs of steps the last reason why they were not fused; that another step must
    /// run between them only if there is no other, since a step may consist of several groups.
    fn not_fused(&self) -> BTreeMap<(usize, usize), &Note> {
        let mut writers = vec![None; self.buffers.len()];
        for (i, s) in self.steps.iter().enumerate() {
            let writes = s.uses().filter(|u| u.1);
            for (b, _) in writes {
                // empty: the first writer.
                let (first, _): (usize, usize) = writers[b].unwrap_or((i, i));
                writers[b] = Some((first, i));
            }
        }
        // A fill is the first step that writes its buffer; an update comes after a copy.
        let writer = |n: &Note, b: BufferId| {
            writers[b].map(|(first, last)| if n.why == NotFused::Fill { first } else { last })
        };
        // A value that only its own kernel reads is written by no step, but others of its group
        // are.
        let step = |n: &Note, buffers: &[BufferId]| buffers.iter().find_map(|&b| writer(n, b));
        let pair = |n: &Note| {
            let (i, j) = step(n, &n.first).zip(step(n, &n.second))?;
            (i != j).then_some((i.min(j), i.max(j)))
        };
        let is_between = |n: &&Note| n.why == NotFused::StepBetween;
        let between = self.notes.iter().filter(is_between);
        let others = self.notes.iter().filter(|n| !is_between(n));
        between.chain(others).filter_map(|n| Some((pair(n)?, n))).collect()
    }

    /// Returns all kernels with the arguments of their calls, as text.
    pub fn kernels(&self) -> String {
        self.kernel_calls().enumerate().map(|(i, call)| format!("kernel {i} {call}")).collect()
    }
}

/// Returns a list of buffers, e.g. `b1, b2`.
fn list(buffers: &[BufferId]) -> String {
    if buffers.is_empty() {
        return "none".into();
    }
    buffers.iter().map(|b| format!("b{b}")).collect::<Vec<_>>().join(", ")
}

impl KernelCall {
    /// Returns the buffers that the call reads and writes, each once, and its iterations.
    fn head(&self) -> String {
        let buffers = |writes| {
            let mut all: Vec<BufferId> = vec![];
            for arg in self.args.iter().filter(|a| a.writes == writes) {
                if !all.contains(&arg.buffer) {
                    all.push(arg.buffer);
                }
            }
            list(&all)
        };
        let order = if self.parallel { "parallel" } else { "sequential" };
        let (reads, writes) = (buffers(false), buffers(true));
        format!("reads {reads}; writes {writes}; {} iterations, {order}", self.count)
    }
}

impl Display for KernelCall {
    fn fmt(&self, f: &mut Formatter) -> Result {
        let offset = |bytes: isize| if bytes == 0 { String::new() } else { format!("{bytes:+}") };
        let args: Vec<String> =
            self.args.iter().map(|a| format!("b{}{}", a.buffer, offset(a.offset))).collect();
        writeln!(f, "{}\noperands {}; parameters {:?}", self.head(), args.join(", "), self.params)?;
        write!(f, "{}", self.kernel)
    }
}

impl ScheduledStep {
    /// Returns the step on one line with the op and the user's line. `kernels` counts the kernels.
    fn text(&self, graph: &Graph, kernels: &mut usize) -> String {
        let mut kernel = |call: &KernelCall| {
            *kernels += 1;
            format!("kernel {} {}", *kernels - 1, call.head())
        };
        match self {
            ScheduledStep::Kernel(call) => kernel(call),
            ScheduledStep::Copy(from, to) => {
                format!("copy b{from} to b{to}, unless they share memory")
            }
            ScheduledStep::Equation { eqn, reads, writes, epilogue, .. } => {
                // empty: no epilogue.
                let epilogue = epilogue.as_ref().map_or(String::new(), |call| {
                    format!("; epilogue for each tile of rows: {}", kernel(call))
                });
                let (op, reads, writes) = (step(&graph.eqns()[*eqn]), list(reads), list(writes));
                format!("{op} reads {reads}; writes {writes}{epilogue}")
            }
        }
    }

    /// Returns the step on one line, without the graph.
    pub fn brief(&self) -> String {
        let kernel = |call: &KernelCall| {
            let insts: usize = call.kernel.stages.iter().map(|s| s.insts.len()).sum();
            format!("kernel {}; {insts} instructions", call.head())
        };
        match self {
            ScheduledStep::Kernel(call) => kernel(call),
            ScheduledStep::Copy(from, to) => format!("copy b{from} to b{to}"),
            ScheduledStep::Equation { eqn, reads, writes, epilogue, .. } => {
                let epilogue = epilogue
                    .as_ref()
                    // empty: no epilogue.
                    .map_or(String::new(), |call| format!("; epilogue {}", kernel(call)));
                let (reads, writes) = (list(reads), list(writes));
                format!("equation {eqn} reads {reads}; writes {writes}{epilogue}")
            }
        }
    }
}
