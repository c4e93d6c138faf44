//! The log of a compilation, from a user's function to machine code.

use neurax_ir::Graph;
use std::{
    fmt,
    time::{Duration, Instant},
};

/// One stage: its name, its duration, the size of its result, and on request the result as text.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The name, e.g. `trace`, `passes/cse` or `native/schedule`.
    pub name: String,
    /// The duration.
    pub time: Duration,
    /// The size of the result, in `unit`.
    pub size: usize,
    /// The unit, e.g. `equations` or `kernels`.
    pub unit: &'static str,
    /// The result as text, if the log keeps texts.
    pub text: Option<String>,
}

/// The unit of the size of a graph.
const EQUATIONS: &str = "equations";

impl Stage {
    /// Returns true if the result is a graph. Backends have stages with other results.
    pub fn is_graph(&self) -> bool {
        self.unit == EQUATIONS
    }
}

impl fmt::Display for Stage {
    /// Formats a row of the table: name, duration, size.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:<24} {:>10.1?} {:>6} {}", self.name, self.time, self.size, self.unit)
    }
}

/// The log of the stages of one compilation: trace, transforms, passes, stages of the backend. It
/// prints as a table, followed by the results of the stages if they are kept.
#[derive(Clone, Debug, Default)]
pub struct Stages {
    stages: Vec<Stage>,
    /// True if results are kept as text.
    texts: bool,
    /// True if nothing is kept.
    muted: bool,
}

impl Stages {
    /// Creates a log that keeps nothing.
    pub fn muted() -> Stages {
        Stages { muted: true, ..Stages::default() }
    }

    /// Creates a log of names, durations and sizes.
    pub fn new() -> Stages {
        Stages::default()
    }

    /// Creates a log that also keeps the result of every stage as text.
    pub fn with_texts() -> Stages {
        Stages { texts: true, ..Stages::default() }
    }

    /// Returns the stages so far.
    pub fn list(&self) -> &[Stage] {
        &self.stages
    }

    /// Returns the current time as the start of a stage, or `None` if nothing is kept. Some targets
    /// (`wasm32-unknown-unknown`) have no clock, and a compilation without a log must not use it.
    pub fn start(&self) -> Option<Instant> {
        (!self.muted).then(Instant::now)
    }

    /// Adds a stage that began at `start`, ends now and has the result `graph`.
    pub fn add(&mut self, name: impl Into<String>, start: Option<Instant>, graph: &Graph) {
        self.add_other(name, start, || (graph.count_eqns(), EQUATIONS), || graph.to_string());
    }

    /// Adds a stage that began at `start`, ends now and has another result than a graph. `size`
    /// returns its size and unit, `text` its text; they are called only if the log keeps them.
    pub fn add_other(
        &mut self,
        name: impl Into<String>,
        start: Option<Instant>,
        size: impl FnOnce() -> (usize, &'static str),
        text: impl FnOnce() -> String,
    ) {
        if self.muted {
            return;
        }
        let time = start.map_or(Duration::ZERO, |t| t.elapsed());
        let (size, unit) = size();
        self.stages.push(Stage {
            name: name.into(),
            time,
            size,
            unit,
            text: self.texts.then(text),
        });
    }

    /// Runs a stage that returns a graph, and logs it.
    ///
    /// # Errors
    /// The error of the stage.
    pub fn run(
        &mut self,
        name: &str,
        stage: impl FnOnce() -> neurax_ir::Result<Graph>,
    ) -> neurax_ir::Result<Graph> {
        let start = self.start();
        let graph = stage()?;
        self.add(name, start, &graph);
        Ok(graph)
    }
}

impl fmt::Display for Stages {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for s in &self.stages {
            writeln!(f, "{s}")?;
            s.text.iter().try_for_each(|t| writeln!(f, "{t}\n"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_muted_log_does_not_read_the_clock() {
        assert!(Stages::muted().start().is_none());
        assert!(Stages::new().start().is_some() && Stages::with_texts().start().is_some());
    }
}
