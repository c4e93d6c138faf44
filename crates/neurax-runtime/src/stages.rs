//! What happened between a user's function and running code.

use neurax_ir::Graph;
use std::{
    fmt,
    time::{Duration, Instant},
};

/// One stage: its name, how long it took, and on request what it left.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The name, e.g. `trace`, `passes/cse` or `native/schedule`.
    pub name: String,
    /// How long it took.
    pub time: Duration,
    /// How much it left, in units.
    pub size: usize,
    /// The unit, e.g. `equations` or `kernels`.
    pub unit: &'static str,
    /// What it left, as text, if texts are kept.
    pub text: Option<String>,
}

/// What graphs are counted in.
const EQUATIONS: &str = "equations";

impl Stage {
    /// Did it leave a graph? Backends have stages that leave something else.
    pub fn is_graph(&self) -> bool {
        self.unit == EQUATIONS
    }
}

impl fmt::Display for Stage {
    /// A row of the table: name, time, size.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:<24} {:>10.1?} {:>6} {}", self.name, self.time, self.size, self.unit)
    }
}

/// The log of the stages of one compilation: trace, transforms, passes, what the backend does.
/// Printing it gives a table, and what the stages left, if that is kept.
#[derive(Clone, Debug, Default)]
pub struct Stages {
    stages: Vec<Stage>,
    texts: bool,
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

    /// A log that keeps what every stage left as text, too.
    pub fn with_texts() -> Stages {
        Stages { texts: true, ..Stages::default() }
    }

    /// The stages so far.
    pub fn list(&self) -> &[Stage] {
        &self.stages
    }

    /// The start of a stage: the time, or nothing if nothing is kept. Some targets
    /// (`wasm32-unknown-unknown`) have no clock, and a compilation that nobody looks at must not
    /// ask for one.
    pub fn start(&self) -> Option<Instant> {
        (!self.muted).then(Instant::now)
    }

    /// Adds a stage that began at `start`, has just ended and left `graph`.
    pub fn add(&mut self, name: impl Into<String>, start: Option<Instant>, graph: &Graph) {
        self.add_other(name, start, || (graph.count_eqns(), EQUATIONS), || graph.to_string());
    }

    /// Adds a stage that began at `start`, has just ended and left something else than a graph: its
    /// size, the unit of that, and a text, which are asked for only if they are kept.
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

    /// Runs a stage that makes a graph, and logs it.
    ///
    /// # Errors
    /// What the stage says.
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
    fn only_a_log_that_is_kept_takes_the_time() {
        assert!(Stages::muted().start().is_none());
        assert!(Stages::new().start().is_some() && Stages::with_texts().start().is_some());
    }
}
