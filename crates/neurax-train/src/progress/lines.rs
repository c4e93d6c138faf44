//! The texts of the progress output.

use super::form::ProgressForm;
use crate::{EpochLog, Scores};
use indicatif::HumanDuration;
use std::time::Duration;

/// The facts of a line beside the log of the epoch, as far as they are known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LineFacts {
    /// The learning rate.
    pub rate: Option<f64>,
    /// The memory of the process in bytes.
    pub memory: Option<u64>,
    /// The time until the end of the run in seconds.
    pub remaining: Option<f64>,
}

/// Returns the line of a completed epoch of `epochs`.
pub(super) fn epoch_line(
    form: ProgressForm,
    log: &EpochLog,
    epochs: usize,
    facts: LineFacts,
) -> String {
    let label = epoch_label(log.epoch, epochs);
    let validation = prefixed("val ", &log.validation);
    let halted = if log.halted { "  halted" } else { "" };
    let skipped = match log.skipped {
        0 => String::new(),
        1 => "  1 step skipped".into(),
        n => format!("  {n} steps skipped"),
    };
    let time = duration(log.seconds);
    let short = format!("{label}  {}{validation}{skipped}{halted}  {time}", log.train);
    match form {
        ProgressForm::Notebook => short,
        _ => format!("{short}  {}{}", speed(log.examples, log.seconds), facts.text()),
    }
}

/// Returns the line of an epoch in progress after `batch` batches.
pub(super) fn batch_line(
    label: &str,
    batch: usize,
    batches: Option<usize>,
    scores: &str,
    facts: LineFacts,
) -> String {
    let of = batches.map(|n| format!("/{n}")).unwrap_or_default();
    format!("{label}  batch {batch}{of}  {scores}{}", facts.text())
}

/// Returns the scores of an epoch so far, and the throughput.
pub(super) fn scores_so_far(loss: f64, metrics: &Scores, examples: usize, seconds: f64) -> String {
    let (metrics, speed) = (prefixed("", metrics), speed(examples, seconds));
    format!("loss {loss:.4}{metrics}  {speed}")
}

/// Formats the number of an epoch, from 1, and the number of epochs unless that is unlimited.
pub(super) fn epoch_label(epoch: usize, epochs: usize) -> String {
    let width = epochs.to_string().len();
    if epochs == usize::MAX {
        format!("epoch {}", epoch + 1)
    } else {
        format!("epoch {:>width$}/{epochs}", epoch + 1)
    }
}

/// Formats a number of examples in a second.
pub(super) fn speed(examples: usize, seconds: f64) -> String {
    format!("{:.0} examples/s", examples as f64 / seconds.max(1e-9))
}

impl LineFacts {
    fn text(self) -> String {
        // Rates are f32: as f64, 0.01 has 17 digits.
        let rate = self.rate.map(|rate| format!("  rate {}", rate as f32));
        let memory = self.memory.map(|bytes| format!("  memory {:.0} MB", bytes as f64 / 1e6));
        let remaining = self.remaining.and_then(|s| Duration::try_from_secs_f64(s).ok());
        let remaining = remaining.map(|time| format!("  eta {:#}", HumanDuration(time)));
        [rate, memory, remaining].into_iter().flatten().collect()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> EpochLog {
        let scores = |x: f64| {
            Scores::from_iter([("loss".to_string(), x), ("accuracy".to_string(), 1.0 - x)])
        };
        EpochLog {
            epoch: 2,
            train: scores(0.25),
            validation: scores(0.5),
            examples: 300,
            skipped: 0,
            halted: false,
            seconds: 1.5,
        }
    }

    #[test]
    fn a_line_has_the_facts_that_are_known() {
        let line = |log: &EpochLog, facts| epoch_line(ProgressForm::Log, log, 10, facts);
        let scores = "epoch  3/10  loss 0.2500  accuracy 0.7500";
        assert_eq!(
            line(&log(), LineFacts::default()),
            format!("{scores}  val loss 0.5000  val accuracy 0.5000  1.5 s  200 examples/s")
        );
        let (rate, memory) = (Some(f64::from(0.01f32)), Some(310_400_000));
        let facts = LineFacts { rate, memory, remaining: Some(300.0) };
        let skipping = EpochLog { skipped: 2, validation: Scores::default(), ..log() };
        let ends = "1.5 s  200 examples/s  rate 0.01  memory 310 MB  eta 5m";
        assert_eq!(line(&skipping, facts), format!("{scores}  2 steps skipped  {ends}"));
    }

    #[test]
    fn a_line_of_a_notebook_is_short() {
        let facts = LineFacts { rate: Some(0.5), ..LineFacts::default() };
        let line = epoch_line(ProgressForm::Notebook, &log(), 10, facts);
        assert!(line.ends_with("  val accuracy 0.5000  1.5 s"), "{line}");
    }

    #[test]
    fn a_line_inside_of_an_epoch_has_the_batch() {
        let scores = scores_so_far(0.5, &Scores::default(), 600, 2.0);
        let line = batch_line("epoch 3", 12, Some(90), &scores, LineFacts::default());
        assert_eq!(line, "epoch 3  batch 12/90  loss 0.5000  300 examples/s");
        let unknown = batch_line("epoch 3", 12, None, "", LineFacts::default());
        assert!(unknown.starts_with("epoch 3  batch 12  "), "{unknown}");
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
        assert_eq!(epoch_label(2, 10), "epoch  3/10");
        assert_eq!(epoch_label(2, usize::MAX), "epoch 3");
    }
}
