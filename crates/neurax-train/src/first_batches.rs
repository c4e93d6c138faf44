//! [`FirstBatches`]: a source of the first batches of another one.

use crate::any_batch::{AnyEpoch, AnyRows, AnySource};
use neurax_tensor::Result;

/// The first batches of a source.
pub(crate) struct FirstBatches<'s> {
    pub source: &'s dyn AnySource,
    /// The most batches of an epoch.
    pub most: usize,
    /// True if every epoch has the batches of the first one.
    pub repeats: bool,
}

impl AnySource for FirstBatches<'_> {
    fn epoch_from(&self, epoch: usize, first: usize) -> AnyEpoch<'_> {
        Box::new(self.source.epoch_from(self.epoch_of(epoch), first).take(self.left(first)))
    }

    fn batches(&self) -> Option<usize> {
        self.source.batches().map(|n| n.min(self.most))
    }

    fn rows_from(&self, epoch: usize, first: usize) -> Option<Result<AnyRows>> {
        let found = self.source.rows_from(self.epoch_of(epoch), first)?;
        Some(found.map(|mut all| {
            all.rows.truncate(self.left(first));
            all
        }))
    }
}

impl FirstBatches<'_> {
    /// Returns the epoch of the source that is epoch `epoch` of this one.
    fn epoch_of(&self, epoch: usize) -> usize {
        if self.repeats { 0 } else { epoch }
    }

    /// Returns the most batches behind the first `first` ones.
    fn left(&self, first: usize) -> usize {
        self.most.saturating_sub(first)
    }
}
