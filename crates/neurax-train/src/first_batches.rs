//! [`FirstBatches`]: a source of the first batches of another one.

use crate::any_batch::{AnyEpoch, AnySource};

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
        let epoch = if self.repeats { 0 } else { epoch };
        Box::new(self.source.epoch_from(epoch, first).take(self.most.saturating_sub(first)))
    }

    fn batches(&self) -> Option<usize> {
        self.source.batches().map(|n| n.min(self.most))
    }
}
