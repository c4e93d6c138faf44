//! The progress output of training: a bar during an epoch, a line after it.

use crate::tuning::PROGRESS_REFRESH;
use crate::{EpochLog, Scores};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{Write, stderr};
use std::time::Instant;

/// The progress output on standard error: nothing if quiet, only lines if it is not a terminal.
pub(crate) struct Progress {
    bar: ProgressBar,
    quiet: bool,
    /// The number of epochs, `usize::MAX` if training is unlimited.
    epochs: usize,
    /// The number of batches in an epoch, if it is known.
    batches: Option<usize>,
    /// The time of the last refresh of the scores.
    refreshed: Instant,
}

impl Progress {
    /// Creates the output for `epochs` epochs of `batches` batches, if that number is known.
    pub(crate) fn new(quiet: bool, epochs: usize, batches: Option<usize>) -> Progress {
        let target =
            if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(total_steps(epochs, batches), target);
        let template = "{prefix} {bar:30} {pos}/{len} {msg} eta {eta}";
        // The template is valid; if indicatif changes its syntax, the default style is good enough.
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        Progress { bar, quiet, epochs, batches, refreshed: Instant::now() }
    }

    /// Creates the output of a task such as `predict` for `batches` batches, if that number is
    /// known.
    pub(crate) fn of_task(task: &'static str, quiet: bool, batches: Option<usize>) -> Progress {
        let progress = Progress::new(quiet, 1, batches);
        progress.bar.set_prefix(task);
        progress
    }

    /// Starts the epoch with index `epoch`, from 0.
    pub(crate) fn epoch(&self, epoch: usize) {
        self.bar.set_prefix(epoch_label(epoch, self.epochs.max(epoch + 1)));
        // Earlier epochs may have been trained by another run, or ended by a handler.
        if let Some(batches) = self.batches {
            self.bar.set_position(batches.saturating_mul(epoch) as u64);
        }
    }

    /// Returns true if the scores next to the bar should be refreshed.
    pub(crate) fn is_due(&self) -> bool {
        !self.bar.is_hidden() && self.refreshed.elapsed() >= PROGRESS_REFRESH
    }

    /// Shows the scores of the epoch so far.
    pub(crate) fn show(&mut self, loss: f64, metrics: &Scores, examples: usize, seconds: f64) {
        self.refreshed = Instant::now();
        let (metrics, speed) = (prefixed("", metrics), speed(examples, seconds));
        self.bar.set_message(format!("loss {loss:.4}{metrics}  {speed}"));
    }

    /// Shows the number of examples in a second.
    pub(crate) fn show_speed(&self, examples: usize, seconds: f64) {
        self.bar.set_message(speed(examples, seconds));
    }

    /// Advances the bar by `batches` batches.
    pub(crate) fn advance(&self, batches: usize) {
        self.bar.inc(batches as u64);
    }

    /// Prints the line of a completed epoch.
    pub(crate) fn line(&self, log: &EpochLog) {
        if !self.quiet {
            let line = line(log, self.epochs);
            // A closed pipe must not end training.
            let _ = self.bar.suspend(|| writeln!(stderr(), "{line}"));
        }
    }

    /// Prints a warning, also if quiet.
    pub(crate) fn warn(&self, message: &str) {
        self.bar.suspend(|| warn(message));
    }

    /// Removes the bar.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Prints a warning.
pub(crate) fn warn(message: &str) {
    // A closed pipe must not end training.
    let _ = writeln!(stderr(), "warning: {message}");
}

/// Returns the number of steps in `epochs` epochs, if it is known and finite.
fn total_steps(epochs: usize, batches: Option<usize>) -> Option<u64> {
    let steps = batches?.checked_mul(epochs)?;
    (epochs < usize::MAX).then_some(steps as u64)
}

/// Formats the number of an epoch, from 1, and the number of epochs unless that is unlimited.
fn epoch_label(epoch: usize, epochs: usize) -> String {
    let width = epochs.to_string().len();
    if epochs == usize::MAX {
        format!("epoch {}", epoch + 1)
    } else {
        format!("epoch {:>width$}/{epochs}", epoch + 1)
    }
}

fn line(log: &EpochLog, epochs: usize) -> String {
    let label = epoch_label(log.epoch, epochs);
    let validation = prefixed("val ", &log.validation);
    let halted = if log.halted { "  halted" } else { "" };
    let skipped = match log.skipped {
        0 => String::new(),
        1 => "  1 step skipped".into(),
        n => format!("  {n} steps skipped"),
    };
    let (time, speed) = (duration(log.seconds), speed(log.examples, log.seconds));
    format!("{label}  {}{validation}{skipped}{halted}  {time}  {speed}", log.train)
}

/// Formats a duration with a unit in which it is not rounded to 0.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s >= 0.1 => format!("{s:.1} s"),
        s if s >= 1e-4 => format!("{:.1} ms", s * 1e3),
        s => format!("{:.1} µs", s * 1e6),
    }
}

fn prefixed(prefix: &str, scores: &Scores) -> String {
    scores.iter().map(|(name, x)| format!("  {prefix}{name} {x:.4}")).collect()
}

fn speed(examples: usize, seconds: f64) -> String {
    format!("{:.0} examples/s", examples as f64 / seconds.max(1e-9))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_each_epoch() {
        let scores = |x: f64| {
            Scores::from_iter([("loss".to_string(), x), ("accuracy".to_string(), 1.0 - x)])
        };
        let log = EpochLog {
            epoch: 2,
            train: scores(0.25),
            validation: scores(0.5),
            examples: 300,
            skipped: 0,
            halted: false,
            seconds: 1.5,
        };
        assert_eq!(
            line(&log, 10),
            "epoch  3/10  loss 0.2500  accuracy 0.7500  val loss 0.5000  val accuracy 0.5000  \
             1.5 s  200 examples/s"
        );
        let skipping = EpochLog { skipped: 2, validation: Scores::default(), ..log };
        assert_eq!(
            line(&skipping, 10),
            "epoch  3/10  loss 0.2500  accuracy 0.7500  2 steps skipped  1.5 s  200 examples/s"
        );
    }

    #[test]
    fn a_short_epoch_does_not_take_zero_seconds() {
        assert_eq!(
            [90.0, 0.1, 0.0123, 0.00042, 0.000042].map(duration),
            ["90.0 s", "0.1 s", "12.3 ms", "0.4 ms", "42.0 µs"]
        );
    }

    #[test]
    fn unlimited_epochs_have_no_total() {
        assert_eq!((total_steps(3, Some(5)), total_steps(3, None)), (Some(15), None));
        assert_eq!(
            (
                total_steps(usize::MAX, Some(5)),
                total_steps(usize::MAX, Some(1)),
                total_steps(usize::MAX / 2, Some(3))
            ),
            (None, None, None)
        );
        assert_eq!(
            (epoch_label(2, 10), epoch_label(2, usize::MAX)),
            ("epoch  3/10".to_string(), "epoch 3".to_string())
        );
    }
}
