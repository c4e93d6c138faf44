//! The progress of long work, on standard error.

use indicatif::ProgressBar;
use std::time::Duration;

/// The time between two pictures of a spinner.
const REFRESH: Duration = Duration::from_millis(100);

/// The line of the step that a command is in: nothing if standard error is not a terminal. It is
/// removed when it is dropped.
pub struct ProgressLine(ProgressBar);

impl ProgressLine {
    /// Shows the first step.
    pub fn new(step: impl Into<String>) -> ProgressLine {
        let line = ProgressLine(ProgressBar::new_spinner());
        line.0.enable_steady_tick(REFRESH);
        line.step(step);
        line
    }

    /// Shows the next step.
    pub fn step(&self, step: impl Into<String>) {
        self.0.set_message(step.into());
    }

    /// Prints without the line, which shares the terminal with standard output.
    pub fn hidden<T>(&self, print: impl FnOnce() -> T) -> T {
        self.0.suspend(print)
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
