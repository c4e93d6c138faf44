//! The progress of a run, and the time that it still takes.

use neurax::train::{MetricsLine, RunFiles};

/// The number of lines of the log from which the speed is computed.
const SPEED_LINES: usize = 30;

/// The progress of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RunProgress {
    /// The number of completed steps.
    pub step: usize,
    /// The number of steps of the whole run, if it is known.
    pub steps: Option<usize>,
    /// The number of steps in a second, if there are two lines of one program.
    pub speed: Option<f64>,
}

impl RunProgress {
    /// Returns the progress at the last line of the log.
    pub fn of(files: &RunFiles) -> RunProgress {
        let record = files.record.as_ref();
        let steps = record.and_then(|record| record.epochs?.checked_mul(record.batches?));
        let step = files.lines.last().map_or(0, |line| line.step);
        let started = record.and_then(|r| r.sessions.last()).map_or(0.0, |s| s.started);
        // Lines of an earlier program are followed by a pause.
        let of_session = files.lines.iter().rev().take_while(|line| line.time >= started);
        let lines: Vec<&MetricsLine> = of_session.take(SPEED_LINES).collect();
        let speed = lines.first().zip(lines.last()).and_then(|(last, first)| {
            let (steps, seconds) = (last.step.checked_sub(first.step)?, last.time - first.time);
            (steps > 0 && seconds > 0.0).then(|| steps as f64 / seconds)
        });
        RunProgress { step, steps, speed }
    }

    /// Returns the completed part of the run, from 0 to 1.
    pub fn fraction(&self) -> Option<f64> {
        let steps = self.steps.filter(|n| *n > 0)?;
        Some((self.step as f64 / steps as f64).min(1.0))
    }

    /// Returns the time until the end in seconds.
    pub fn remaining(&self) -> Option<f64> {
        Some(self.steps?.saturating_sub(self.step) as f64 / self.speed?)
    }
}
