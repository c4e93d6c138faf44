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

    /// Adds a stage that has ended and left `graph`.
    pub fn add(&mut self, name: impl Into<String>, time: Duration, graph: &Graph) {
        if self.muted {
            return;
        }
        let text = self.graphs.then(|| graph.to_string());
        self.stages.push(Stage { name: name.into(), time, eqns: graph.count_eqns(), graph: text });
    }

    /// Runs a stage that makes a graph, and logs it.
    ///
    /// # Errors
    /// What the stage says.
    pub fn run(&mut self, name: &str, stage: impl FnOnce() -> neurax_ir::Result<Graph>) -> neurax_ir::Result<Graph> {
        let start = Instant::now();
        let graph = stage()?;
        self.add(name, start.elapsed(), &graph);
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
