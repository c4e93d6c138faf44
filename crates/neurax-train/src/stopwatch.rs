//! A stopwatch that goes on after a pause.

use std::time::{Duration, Instant};

/// A stopwatch: the seconds before the last start, and the time since.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stopwatch {
    before: f64,
    since: Option<Instant>,
}

impl Stopwatch {
    /// Returns a stopwatch that stands at `seconds`.
    pub fn stopped_at(seconds: f64) -> Stopwatch {
        Stopwatch { before: seconds.max(0.0), since: None }
    }

    /// Starts the stopwatch where it stands.
    pub fn start(&mut self) {
        *self = Stopwatch { since: Some(Instant::now()), ..Stopwatch::stopped_at(self.seconds()) };
    }

    /// Stops the stopwatch.
    pub fn stop(&mut self) {
        *self = Stopwatch::stopped_at(self.seconds());
    }

    /// Returns the measured time in seconds.
    pub fn seconds(&self) -> f64 {
        self.before + self.since.as_ref().map_or(Duration::ZERO, Instant::elapsed).as_secs_f64()
    }
}
