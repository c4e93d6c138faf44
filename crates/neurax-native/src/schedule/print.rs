//! Schedules as text: which values are in memory, what is computed together, and why not more.

use super::{Analysis, BufferId, KernelCall, Note, Schedule, Step, outputs::NotFused};
use neurax_ir::{Error, Graph, Value};
use std::{
    collections::BTreeMap,
    fmt::{Display, Formatter, Result},
};

/// Who made the values of a graph, as text.
struct ValueNames<'g> {
    graph: &'g Graph,
    /// The equation of every value.
    made: Vec<Option<usize>>,
}

impl ValueNames<'_> {
    fn new(graph: &Graph) -> ValueNames<'_> {
        let mut made = vec![None; graph.types().len()];
        for (i, e) in graph.eqns().iter().enumerate() {
            e.outputs.iter().for_each(|v| made[v.index()] = Some(i));
        }
        ValueNames { graph, made }
    }

    /// `%7 (add, at src/main.rs:3:5)`
    fn value(&self, v: Value) -> String {
        match self.made[v.index()] {
            Some(i) => format!("%{} ({})", v.0, step(self.graph, i)),
            None => format!("%{} (an input)", v.0),
        }
    }

    fn why(&self, why: &NotFused) -> String {
        match why {
            NotFused::Materialise(v) => format!("{} would have to be in memory", self.value(*v)),
            NotFused::Elsewhere(v) => {
                format!("{} is read at other places than it is made", self.value(*v))
            }
            NotFused::Spaces(s, t) => format!("the loops {s} and {t} differ"),
            NotFused::Says(s) => s.to_string(),
        }
    }
}

/// `add, in layer dense_1, at src/main.rs:3:5`: an equation's op, layer and line, as far as they
/// are known.
fn step(graph: &Graph, eqn: usize) -> String {
    let e = &graph.eqns()[eqn];
    // An error says the same of an equation, except for the message.
    let told = Error::new(e.op.name(), "").at_origin(&e.at).to_string();
    told.replacen(": ", "", 1)
}

/// The error of a value that no place is found for, at the line of its equation.
pub fn lost(analysis: &Analysis, why: &NotFused) -> Error {
    let error = |op: &str| {
        Error::new(
            op,
            format!(
                "{}, and no schedule is found that does without",
                ValueNames::new(analysis.graph).why(why)
            ),
        )
    };
    match why {
        NotFused::Materialise(v) | NotFused::Elsewhere(v) => match analysis.equation(*v) {
            Some((e, _)) => error(e.op.name()).at_origin(&e.at),
            None => error("schedule"),
        },
        NotFused::Spaces(..) | NotFused::Says(_) => error("schedule"),
    }
}

impl Schedule {
    /// The arrays and their values, the steps, and why they are not fewer.
    pub fn text(&self, graph: &Graph) -> String {
        let names = ValueNames::new(graph);
        let mut out = String::new();
        for (i, ty) in self.buffers.iter().enumerate().filter(|&(b, _)| self.is_in_memory(b)) {
            let holds = self.values[i].map_or(String::new(), |v| format!(" = {}", names.value(v)));
            out += &format!("b{i}: {ty}{holds}\n");
        }
        out += &format!("takes {}, gives {}\n", list(&self.inputs), list(&self.outputs));
        let mut kernels = 0;
        for (i, s) in self.steps.iter().enumerate() {
            let (head, nest) = match s {
                Step::Kernel(n) => (String::new(), Some(n)),
                Step::Copy(from, to) => {
                    (format!("copy b{from} to b{to}, unless they share memory"), None)
                }
                Step::Equation { eqn, reads, writes, epilogue } => {
                    let after = if epilogue.is_some() { ", its rows followed by " } else { "" };
                    (
                        format!(
                            "{} of {} to {}{after}",
                            step(graph, *eqn),
                            list(reads),
                            list(writes)
                        ),
                        epilogue.as_ref(),
                    )
                }
            };
            let nest = nest.map_or(String::new(), |n| {
                kernels += 1;
                format!("kernel {} {}", kernels - 1, n.head())
            });
            out += &format!("step {i}: {head}{nest}\n");
        }
        let values = |all: &[BufferId]| {
            all.iter()
                .filter_map(|&b| self.values[b])
                .map(|v| names.value(v))
                .collect::<Vec<_>>()
                .join(", ")
        };
        for ((i, j), n) in self.apart() {
            out += &format!(
                "step {i} and step {j} are apart: {}\n  one: {}\n  two: {}\n",
                names.why(&n.why),
                values(&n.first),
                values(&n.second)
            );
        }
        out
    }

    /// For pairs of steps why they are not one: what was said last, when all that could be joined
    /// was.
    fn apart(&self) -> BTreeMap<(usize, usize), &Note> {
        let mut writer = vec![None; self.buffers.len()];
        for (i, s) in self.steps.iter().enumerate() {
            s.uses().filter(|u| u.1).for_each(|(b, _)| writer[b] = Some(i));
        }
        // What is written for nobody else is in no step; the rest of its group is.
        let step = |all: &[BufferId]| all.iter().find_map(|&b| writer[b]);
        let pair =
            |n: &Note| step(&n.first).zip(step(&n.second)).map(|(i, j)| (i.min(j), i.max(j)));
        self.notes.iter().filter_map(|n| pair(n).filter(|(i, j)| i != j).map(|p| (p, n))).collect()
    }

    /// Is the array written or read by any step? Other values are in registers only.
    pub fn is_in_memory(&self, b: BufferId) -> bool {
        self.inputs.contains(&b)
            || self.outputs.contains(&b)
            || self.steps.iter().any(|s| s.uses().any(|u| u.0 == b))
    }

    /// The loop nests, in the order of the steps.
    pub fn kernel_calls(&self) -> impl Iterator<Item = &KernelCall> {
        self.steps.iter().filter_map(|s| match s {
            Step::Kernel(n) => Some(n),
            Step::Equation { epilogue, .. } => epilogue.as_ref(),
            Step::Copy(..) => None,
        })
    }

    /// The kernels, with what they are called with.
    pub fn kernels(&self) -> String {
        self.kernel_calls().enumerate().map(|(i, n)| format!("kernel {i} {n}")).collect()
    }
}

/// `b1, b2`
fn list(arrays: &[BufferId]) -> String {
    if arrays.is_empty() {
        return "nothing".into();
    }
    arrays.iter().map(|b| format!("b{b}")).collect::<Vec<_>>().join(", ")
}

impl KernelCall {
    /// What it reads and writes, and how often it runs.
    fn head(&self) -> String {
        let of = |writes| {
            let mut all: Vec<BufferId> =
                self.args.iter().filter(|a| a.writes == writes).map(|a| a.buffer).collect();
            all.dedup();
            list(&all)
        };
        let run = if self.parallel { "in any order" } else { "in order" };
        format!("of {} to {}: {} times, {run}", of(false), of(true), self.count)
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

impl Step {
    /// The step on one line.
    pub fn brief(&self) -> String {
        let kernel = |n: &KernelCall| {
            format!(
                "kernel {}, {} instructions",
                n.head(),
                n.kernel.stages.iter().map(|s| s.insts.len()).sum::<usize>()
            )
        };
        match self {
            Step::Kernel(n) => kernel(n),
            Step::Copy(from, to) => format!("copy of b{from} to b{to}"),
            Step::Equation { eqn, reads, writes, epilogue } => {
                let after =
                    epilogue.as_ref().map_or(String::new(), |n| format!(", then {}", kernel(n)));
                format!("equation {eqn} of {} to {}{after}", list(reads), list(writes))
            }
        }
    }
}
