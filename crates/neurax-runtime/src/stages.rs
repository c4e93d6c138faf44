//! What happened between a user's function and running code.

use neurax_ir::Graph;
use std::{
    fmt,
    time::{Duration, Instant},
};

/// One stage: its name, how long it took, and on request the graph it left.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The name, e.g. `trace` or `passes/cse`.
    pub name: String,
    /// How long it took.
    pub time: Duration,
    /// How many equations it left.
    pub eqns: usize,
    /// The graph it left, as text, if graphs are kept.
    pub graph: Option<String>,
}

/// The log of the stages of one compilation: trace, transforms, passes, compile. Printing it gives a table, and the graphs if they are kept.
#[derive(Clone, Debug, Default)]
pub struct Stages {
    stages: Vec<Stage>,
    graphs: bool,
    muted: bool,
}

impl Stages {
    /// A log that keeps nothing, for compilations that nobody looks at.
    pub fn muted() -> Stages {
        Stages { muted: true, ..Stages::default() }
    }

    /// A log of names and times.
    pub fn new() -> Stages {
        Stages::default()
    }

    /// A log that keeps every stage's graph as text, too.
    pub fn with_graphs() -> Stages {
        Stages { graphs: true, ..Stages::default() }
    }

    /// Does it keep graphs?
    pub fn keeps_graphs(&self) -> bool {
        self.graphs
    }

    /// The stages so far.
    pub fn list(&self) -> &[Stage] {
        &self.stages
    }

    /// The start of a stage: the time, or nothing if nothing is kept. Some targets (`wasm32-unknown-unknown`) have no clock, and a compilation that
    /// nobody looks at must not ask for one.
    pub fn start(&self) -> Option<Instant> {
        (!self.muted).then(Instant::now)
    }

    /// Adds a stage that began at `start`, has just ended and left `graph`.
    pub fn add(&mut self, name: impl Into<String>, start: Option<Instant>, graph: &Graph) {
        if self.muted {
            return;
        }
        let text = self.graphs.then(|| graph.to_string());
        let time = start.map_or(Duration::ZERO, |t| t.elapsed());
        self.stages.push(Stage { name: name.into(), time, eqns: graph.count_eqns(), graph: text });
    }

    /// Runs a stage that makes a graph, and logs it.
    ///
    /// # Errors
    /// What the stage says.
    pub fn run(&mut self, name: &str, stage: impl FnOnce() -> neurax_ir::Result<Graph>) -> neurax_ir::Result<Graph> {
        let start = self.start();
        let graph = stage()?;
        self.add(name, start, &graph);
        Ok(graph)
    }
}

impl fmt::Display for Stages {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for s in &self.stages {
            writeln!(f, "{:<24} {:>10.1?} {:>6} equations", s.name, s.time, s.eqns)?;
            if let Some(g) = &s.graph {
                writeln!(f, "{g}\n")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_log_that_is_kept_takes_the_time() {
        assert!(Stages::muted().start().is_none());
        assert!(Stages::new().start().is_some() && Stages::with_graphs().start().is_some());
    }
}
