//! Schedules as text: what is computed together, and why not more.

use super::{Nest, Note, Schedule, Step};
use std::fmt::{Display, Formatter, Result};

impl Display for Nest {
    fn fmt(&self, f: &mut Formatter) -> Result {
        let arg = |a: &super::Arg| {
            format!("{}b{}{}", if a.writes { "out " } else { "" }, a.buffer, if a.offset == 0 { String::new() } else { format!("{:+}", a.offset) })
        };
        let args: Vec<String> = self.args.iter().map(arg).collect();
        let run = if self.parallel { "parallel" } else { "in order" };
        writeln!(f, "kernel ({}) with {:?}: {} times, {run}", args.join(", "), self.params, self.count)?;
        write!(f, "{}", self.kernel)
    }
}

impl Step {
    /// The step on one line.
    pub fn brief(&self) -> String {
        let kernel = |n: &Nest| {
            let list = |writes: bool| {
                let mut out: Vec<_> = n.args.iter().filter(|a| a.writes == writes).map(|a| a.buffer).collect();
                out.sort_unstable();
                out.dedup();
                out
            };
            let work: usize = n.kernel.stages.iter().map(|s| s.insts.len()).sum();
            format!(
                "kernel of {:?} to {:?}, {} loops, {} stages, {work} instructions",
                list(false),
                list(true),
                n.params.len(),
                n.kernel.stages.len()
            )
        };
        match self {
            Step::Kernel(n) => kernel(n),
            Step::Copy(from, to) => format!("copy of {from} to {to}"),
            Step::Equation { eqn, reads, writes, then: None } => format!("equation {eqn} of {reads:?} to {writes:?}"),
            Step::Equation { eqn, reads, writes, then: Some(n) } => format!("equation {eqn} of {reads:?} to {writes:?}, then {}", kernel(n)),
        }
    }
}

impl Display for Schedule {
    fn fmt(&self, f: &mut Formatter) -> Result {
        for (i, ty) in self.buffers.iter().enumerate() {
            writeln!(f, "b{i}: {ty}")?;
        }
        writeln!(f, "takes {:?}, gives {:?}", self.inputs, self.outputs)?;
        for step in &self.steps {
            match step {
                Step::Kernel(n) => write!(f, "{n}")?,
                Step::Copy(from, to) => writeln!(f, "copy b{from} to b{to}")?,
                Step::Equation { eqn, reads, writes, then } => {
                    writeln!(f, "equation {eqn} of {reads:?} to {writes:?}")?;
                    then.iter().try_for_each(|n| write!(f, "followed row by row by {n}"))?;
                }
            }
        }
        self.notes.iter().try_for_each(|n| writeln!(f, "{n}"))
    }
}

impl Display for Note {
    fn fmt(&self, f: &mut Formatter) -> Result {
        write!(f, "{:?} and {:?} are not computed together: {}", self.first, self.second, self.why)
    }
}
