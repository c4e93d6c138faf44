//! The progress output of training: a bar during an epoch, lines after it.

mod form;
mod lines;

pub use form::ProgressForm;

use crate::process_memory::resident_bytes;
use crate::tuning::{LOG_INTERVAL, NOTEBOOK_INTERVAL, PROGRESS_REFRESH};
use crate::{EpochLog, Scores};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lines::{LineFacts, batch_line, epoch_label, epoch_line, scores_so_far, speed};
use std::io::{Write, stderr};
use std::time::Instant;

/// The progress output on standard error.
pub(crate) struct Progress {
    bar: ProgressBar,
    /// Not [`ProgressForm::Automatic`].
    form: ProgressForm,
    /// The number of epochs, `usize::MAX` if training is unlimited.
    epochs: usize,
    /// The number of batches in an epoch, if it is known.
    batches: Option<usize>,
    started: Instant,
    /// The number of batches of the whole run before this one started, which may resume another.
    start: Option<u64>,
    /// The time of the last refresh of the bar, or of the last line.
    refreshed: Instant,
    /// The last line of a notebook, if it was not printed.
    held: Option<String>,
}

impl Progress {
    /// Creates the output for `epochs` epochs of `batches` batches, if that number is known.
    pub(crate) fn new(form: ProgressForm, epochs: usize, batches: Option<usize>) -> Progress {
        let form = form.here();
        let target = match form {
            ProgressForm::Bar => ProgressDrawTarget::stderr(),
            _ => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(total_steps(epochs, batches), target);
        let template = "{prefix} {bar:30} {pos}/{len} {msg} eta {eta}";
        // The template is valid; if indicatif changes its syntax, the default style is good enough.
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        let now = Instant::now();
        let (started, refreshed) = (now, now);
        Progress { bar, form, epochs, batches, started, start: None, refreshed, held: None }
    }

    /// Creates the output of a task such as `predict` for `batches` batches, if that number is
    /// known.
    pub(crate) fn of_task(
        task: &'static str,
        form: ProgressForm,
        batches: Option<usize>,
    ) -> Progress {
        let progress = Progress::new(form, 1, batches);
        progress.bar.set_prefix(task);
        progress
    }

    /// Starts the epoch with index `epoch`, from 0, after `batch` batches of it.
    pub(crate) fn epoch(&mut self, epoch: usize, batch: usize) {
        self.bar.set_prefix(epoch_label(epoch, self.epochs.max(epoch + 1)));
        // Earlier epochs may have been trained by another run, or ended by a handler.
        if let Some(batches) = self.batches {
            self.bar.set_position(batches.saturating_mul(epoch).saturating_add(batch) as u64);
        }
        self.start.get_or_insert(self.bar.position());
    }

    /// Returns true if the scores of the epoch so far should be shown.
    pub(crate) fn is_due(&self) -> bool {
        let interval = match self.form {
            ProgressForm::Bar if self.bar.is_hidden() => return false,
            ProgressForm::Bar => PROGRESS_REFRESH,
            ProgressForm::Quiet => return false,
            _ => LOG_INTERVAL,
        };
        self.refreshed.elapsed() >= interval
    }

    /// Shows the scores of an epoch after `batch` batches and `examples` examples.
    pub(crate) fn show(
        &mut self,
        batch: usize,
        loss: f64,
        metrics: &Scores,
        examples: usize,
        seconds: f64,
    ) {
        let scores = scores_so_far(loss, metrics, examples, seconds);
        if self.form == ProgressForm::Bar {
            self.bar.set_message(scores);
        } else if self.is_due() {
            self.print_held();
            let facts = LineFacts { remaining: self.remaining(), ..LineFacts::default() };
            let label = self.bar.prefix();
            self.print(&batch_line(&label, batch, self.batches, &scores, facts));
        } else {
            return;
        }
        self.refreshed = Instant::now();
    }

    /// Shows the number of examples in a second.
    pub(crate) fn show_speed(&self, examples: usize, seconds: f64) {
        self.bar.set_message(speed(examples, seconds));
    }

    /// Advances the bar by `batches` batches.
    pub(crate) fn advance(&self, batches: usize) {
        self.bar.inc(batches as u64);
    }

    /// Returns true if the lines of epochs show the learning rate.
    pub(crate) fn shows_rate(&self) -> bool {
        matches!(self.form, ProgressForm::Bar | ProgressForm::Log)
    }

    /// Prints the line of a completed epoch. `rate` is the learning rate, if it is known.
    pub(crate) fn line(&mut self, log: &EpochLog, rate: Option<f64>) {
        if let Some(line) = self.due_line(log, rate, Instant::now()) {
            self.print(&line);
        }
    }

    /// Returns the line of a completed epoch unless it is held back.
    fn due_line(&mut self, log: &EpochLog, rate: Option<f64>, now: Instant) -> Option<String> {
        if self.form == ProgressForm::Quiet {
            return None;
        }
        let (memory, remaining) = (resident_bytes(), self.remaining());
        // The bar has the time that is left.
        let remaining = remaining.filter(|_| self.form != ProgressForm::Bar);
        let facts = LineFacts { rate, memory, remaining };
        let line = epoch_line(self.form, log, self.epochs, facts);
        let is_first = log.epoch == 0;
        let is_early = now.saturating_duration_since(self.refreshed) < NOTEBOOK_INTERVAL;
        if self.form == ProgressForm::Notebook && is_early && !is_first {
            self.held = Some(line);
            return None;
        }
        (self.held, self.refreshed) = (None, now);
        Some(line)
    }

    /// Returns the time until the end of the run in seconds, at the speed so far.
    fn remaining(&self) -> Option<f64> {
        let (end, here) = (total_steps(self.epochs, self.batches)?, self.bar.position());
        let done = here.checked_sub(self.start?).filter(|n| *n > 0)?;
        let left = end.checked_sub(here).filter(|n| *n > 0)?;
        Some(self.started.elapsed().as_secs_f64() * left as f64 / done as f64)
    }

    /// Prints a warning, also if quiet.
    pub(crate) fn warn(&self, message: &str) {
        self.bar.suspend(|| warn(message));
    }

    /// Removes the bar, and prints the line that was held back.
    pub(crate) fn finish(&mut self) {
        self.bar.finish_and_clear();
        self.print_held();
    }

    fn print_held(&mut self) {
        if let Some(line) = self.held.take() {
            self.print(&line);
        }
    }

    fn print(&self, line: &str) {
        // A closed pipe must not end training.
        let _ = self.bar.suspend(|| writeln!(stderr(), "{line}"));
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn log(epoch: usize) -> EpochLog {
        let train = Scores::from_iter([("loss".to_string(), 0.5)]);
        let (validation, examples, seconds) = (Scores::default(), 10, 0.1);
        EpochLog { epoch, train, validation, examples, skipped: 0, halted: false, seconds }
    }

    #[test]
    fn a_notebook_has_the_first_line_and_the_last_one_and_one_a_second() {
        let mut progress = Progress::new(ProgressForm::Notebook, 5, Some(2));
        let start = progress.refreshed;
        let times = [0.1, 0.5, 1.2, 1.3].map(|s| start + Duration::from_secs_f64(s));
        let printed: Vec<bool> = (0..4)
            .map(|epoch| progress.due_line(&log(epoch), None, times[epoch]).is_some())
            .collect();
        assert_eq!(printed, [true, false, true, false]);
        let held = progress.held.as_deref().unwrap();
        assert_eq!(held, "epoch 4/5  loss 0.5000  0.1 s");
        progress.finish();
        assert_eq!(progress.held, None, "the line of the last epoch is printed");
    }

    #[test]
    fn a_log_has_all_lines_and_quiet_none() {
        let now = Instant::now();
        let mut file = Progress::new(ProgressForm::Log, 2, Some(2));
        let lines = (0..2).filter_map(|epoch| file.due_line(&log(epoch), Some(0.5), now));
        let lines: Vec<String> = lines.collect();
        assert!(lines.len() == 2 && lines[1].contains("  rate 0.5"), "{lines:?}");
        assert_eq!(lines[0].contains("  memory "), cfg!(target_os = "linux"), "{lines:?}");
        assert!(!file.is_due(), "an epoch of less than a minute");
        file.refreshed = now - LOG_INTERVAL;
        assert!(file.is_due());
        file.show(1, 0.5, &Scores::default(), 10, 1.0);
        assert!(!file.is_due(), "its line was printed");
        let mut quiet = Progress::new(ProgressForm::Quiet, 2, Some(2));
        assert_eq!(quiet.due_line(&log(0), None, now), None);
        assert!(!quiet.is_due() && !quiet.shows_rate());
    }

    #[test]
    fn the_time_that_is_left_counts_the_batches_of_this_run() {
        let mut progress = Progress::new(ProgressForm::Log, 10, Some(100));
        progress.started = Instant::now() - Duration::from_secs(10);
        assert_eq!(progress.remaining(), None);
        progress.epoch(8, 50);
        assert_eq!(progress.remaining(), None, "nothing is done");
        progress.advance(50);
        // 50 batches in 10 seconds, and 100 are left.
        let left = progress.remaining().unwrap();
        assert!((20.0..30.0).contains(&left), "{left}");
        let unknown = Progress::new(ProgressForm::Log, 10, None);
        assert_eq!(unknown.remaining(), None);
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
    }
}
