//! What a training shows: a bar while it runs, a line for each epoch.

use crate::{EpochLog, Scores};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{Write, stderr};
use std::time::{Duration, Instant};

/// How often the numbers beside the bar change: reading them waits for the device.
const REFRESH: Duration = Duration::from_millis(100);

/// Where to show; nowhere if quiet, only lines if standard error is no terminal.
pub(crate) struct Progress {
    bar: ProgressBar,
    quiet: bool,
    epochs: usize,
    shown: Instant,
}

impl Progress {
    /// A display of so many epochs of so many batches, if that is known.
    pub(crate) fn new(quiet: bool, epochs: usize, batches: Option<usize>) -> Progress {
        let target =
            if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(steps(epochs, batches), target);
        let template = "{prefix} {bar:30} {pos}/{len} {msg} eta {eta}";
        // A template that indicatif refused would be a mistake here; its own style serves as well.
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        Progress { bar, quiet, epochs, shown: Instant::now() }
    }

    /// A new epoch, from 0.
    pub(crate) fn epoch(&self, epoch: usize) {
        self.bar.set_prefix(numbered(epoch, self.epochs.max(epoch + 1)));
    }

    /// Is it time for new numbers?
    pub(crate) fn due(&self) -> bool {
        !self.bar.is_hidden() && self.shown.elapsed() >= REFRESH
    }

    /// The numbers of the epoch so far.
    pub(crate) fn show(&mut self, loss: f64, metrics: &Scores, examples: usize, seconds: f64) {
        self.shown = Instant::now();
        self.bar.set_message(format!(
            "{}  {}",
            numbers("", loss, metrics),
            speed(examples, seconds)
        ));
    }

    /// One more batch.
    pub(crate) fn advance(&self) {
        self.bar.inc(1);
    }

    /// The line of an epoch.
    pub(crate) fn line(&self, log: &EpochLog) {
        if !self.quiet {
            let line = line(log, self.epochs);
            // That nobody reads it any more ends no training.
            let _ = self.bar.suspend(|| writeln!(stderr(), "{line}"));
        }
    }

    /// Removes the bar.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// The steps of so many epochs, if they can be known.
fn steps(epochs: usize, batches: Option<usize>) -> Option<u64> {
    let steps = batches?.checked_mul(epochs)?;
    (epochs < usize::MAX).then_some(steps as u64)
}

/// The number of an epoch, and how many there are; a training until a handler stops has no number
/// for that.
fn numbered(epoch: usize, epochs: usize) -> String {
    let width = epochs.to_string().len();
    if epochs == usize::MAX {
        format!("epoch {}", epoch + 1)
    } else {
        format!("epoch {:>width$}/{epochs}", epoch + 1)
    }
}

fn line(log: &EpochLog, epochs: usize) -> String {
    let seen =
        if log.validation.is_empty() { String::new() } else { prefixed("val ", &log.validation) };
    format!(
        "{}  {}{seen}  {:.1} s  {}",
        numbered(log.epoch, epochs),
        log.train,
        log.seconds,
        speed(log.examples, log.seconds)
    )
}

fn prefixed(prefix: &str, scores: &Scores) -> String {
    scores.iter().map(|(name, x)| format!("  {prefix}{name} {x:.4}")).collect()
}

fn numbers(prefix: &str, loss: f64, metrics: &Scores) -> String {
    format!("loss {loss:.4}{}", prefixed(prefix, metrics))
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
            seconds: 1.5,
        };
        assert_eq!(
            line(&log, 10),
            "epoch  3/10  loss 0.2500  accuracy 0.7500  val loss 0.5000  val accuracy 0.5000  1.5 s  200 examples/s"
        );
    }

    #[test]
    fn epochs_without_end_have_no_number() {
        assert_eq!((steps(3, Some(5)), steps(3, None)), (Some(15), None));
        assert_eq!(
            (
                steps(usize::MAX, Some(5)),
                steps(usize::MAX, Some(1)),
                steps(usize::MAX / 2, Some(3))
            ),
            (None, None, None)
        );
        assert_eq!(
            (numbered(2, 10), numbered(2, usize::MAX)),
            ("epoch  3/10".to_string(), "epoch 3".to_string())
        );
    }
}
