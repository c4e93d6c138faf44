//! [`EpochsOfSteps`]: a source whose epochs have a given number of batches.
//!
//! The batches of all epochs of a source are one sequence, which is divided again: with 3 batches
//! in an epoch of the source and 2 steps in one of the training,
//!
//! ```text
//! source    0: a b c   1: d e f   2: ..
//! training  0: a b   1: c d   2: e f   3: ..
//! ```
//!
//! The position in the source follows from the number of the batch in the sequence, so that a
//! resumed run continues exactly. A source that does not know its number of batches, such as a
//! stream without an end, has one epoch, which is the sequence.

use crate::any_batch::{AnyEpoch, AnyRows, AnySource};
use neurax_tensor::{Error, Result};

/// The batches of a source in epochs of `steps` batches.
pub(crate) struct EpochsOfSteps<'s> {
    pub source: &'s dyn AnySource,
    pub steps: usize,
}

/// A part of the batches of a source.
struct SourceRange {
    /// The index of the first epoch of the source, and that of the last one.
    epochs: (usize, usize),
    /// The index of the first batch in the first epoch.
    first: usize,
    /// The number of batches.
    len: usize,
}

impl EpochsOfSteps<'_> {
    /// Returns the batches of an epoch from index `first` on, in a source with `batches` of them.
    fn range(&self, epoch: usize, first: usize, batches: usize) -> SourceRange {
        let start = epoch.saturating_mul(self.steps).saturating_add(first);
        let len = self.steps.saturating_sub(first);
        let last = start.saturating_add(len).saturating_sub(1);
        let epoch_of = |i: usize| i.checked_div(batches).unwrap_or(0);
        let epochs = (epoch_of(start), epoch_of(last).max(epoch_of(start)));
        SourceRange { epochs, first: start.checked_rem(batches).unwrap_or(0), len }
    }

    /// Returns the batches of a source that does not know their number.
    fn of_one_epoch(&self, epoch: usize, first: usize) -> AnyEpoch<'_> {
        let start = epoch.saturating_mul(self.steps).saturating_add(first);
        let steps = self.steps;
        let ended = move || {
            let why = format!(
                "expected {steps} batches in each epoch, got a stream that ends before; repeat the \
                 stream, or leave out `steps_per_epoch`"
            );
            Err(Error::new("steps_per_epoch", why))
        };
        let batches = self.source.epoch_from(0, start).chain(std::iter::once_with(ended));
        Box::new(batches.take(steps.saturating_sub(first)))
    }
}

impl AnySource for EpochsOfSteps<'_> {
    fn epoch_from(&self, epoch: usize, first: usize) -> AnyEpoch<'_> {
        let Some(batches) = self.source.batches() else { return self.of_one_epoch(epoch, first) };
        let range = self.range(epoch, first, batches);
        let (start, last) = range.epochs;
        let of_epoch =
            move |i: usize| self.source.epoch_from(i, if i == start { range.first } else { 0 });
        Box::new((start..=last).flat_map(of_epoch).take(range.len))
    }

    fn batches(&self) -> Option<usize> {
        Some(self.steps)
    }

    fn rows_from(&self, epoch: usize, first: usize) -> Option<Result<AnyRows>> {
        let range = self.range(epoch, first, self.source.batches()?);
        let (start, last) = range.epochs;
        let all = self.source.rows_from(start, range.first)?;
        let Ok(mut all) = all else { return Some(all) };
        // All epochs of a source are rows of one data set.
        for i in start.saturating_add(1)..=last {
            match self.source.rows_from(i, 0)? {
                Ok(more) => all.rows.extend(more.rows),
                failed => return Some(failed),
            }
        }
        all.rows.truncate(range.len);
        Some(Ok(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::any_batch::SourceOf;
    use neurax_data::Dataset;
    use neurax_tensor::{Tensor, key, tensor};

    fn three() -> Dataset {
        Dataset::new(tensor([[0.0], [1.0], [2.0]]), Tensor::zeros([3, 1])).unwrap()
    }

    /// Returns the input of each batch.
    fn inputs(epoch: AnyEpoch) -> Vec<f64> {
        let input = |batch: Result<crate::any_batch::AnyBatch>| {
            batch.unwrap().downcast::<Tensor, Tensor>().unwrap().x.item().unwrap()
        };
        epoch.map(input).collect()
    }

    #[test]
    fn epochs_follow_each_other_through_the_source_from_every_batch() {
        let rows = three().batched(1);
        let source = SourceOf::new(&rows);
        for steps in 1..8 {
            let divided = EpochsOfSteps { source: &source, steps };
            for (epoch, first) in (0..4).flat_map(|e| (0..=steps).map(move |first| (e, first))) {
                let numbers = (first..steps).map(|i| (epoch * steps + i) % 3);
                let want: Vec<usize> = numbers.collect();
                let found = inputs(divided.epoch_from(epoch, first));
                assert_eq!(found, want.iter().map(|i| *i as f64).collect::<Vec<_>>());
                let all = divided.rows_from(epoch, first).unwrap().unwrap();
                assert_eq!(all.rows, want.iter().map(|i| vec![*i]).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn shuffled_epochs_are_those_of_the_source() {
        let rows = three().shuffled(key(1)).batched(1);
        let source = SourceOf::new(&rows);
        let divided = EpochsOfSteps { source: &source, steps: 2 };
        let all: Vec<f64> = (0..3).flat_map(|epoch| inputs(source.epoch(epoch))).collect();
        let found: Vec<f64> = (0..4).flat_map(|epoch| inputs(divided.epoch(epoch))).collect();
        assert_eq!(found, all[..8]);
    }

    #[test]
    fn an_empty_source_has_no_batches() {
        let none: [neurax_data::Batch; 0] = [];
        let source = SourceOf::new(&none[..]);
        let divided = EpochsOfSteps { source: &source, steps: 2 };
        assert_eq!(inputs(divided.epoch(0)), [0.0; 0]);
    }
}
