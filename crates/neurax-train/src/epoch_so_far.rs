//! The part of the state that belongs to the epoch in progress.

use crate::differences::{differences, types};
use crate::measure::{Measure, Totals};
use crate::memory::below;
use crate::stopwatch::Stopwatch;
use neurax_tensor::{Error, Result, Tensor, Tree};
use std::collections::BTreeMap;

/// The key of the totals in the tree of a state.
pub(crate) const TOTALS: &str = "epoch";

/// The running totals of the epoch in progress.
#[derive(Clone, Debug, Default)]
pub(crate) struct EpochSoFar {
    pub totals: TotalsSoFar,
    /// The names of the loss and the metrics; empty before the first epoch.
    pub measures: Vec<String>,
    /// The number of examples, those of skipped steps among them.
    pub examples: usize,
    /// The number of steps of all epochs that the optimizer had skipped before this one.
    pub skipped_before: usize,
    /// The number of examples of the first batch; `None` before it.
    pub first_batch: Option<usize>,
    /// The number of steps of all epochs at the last evaluation inside of the epoch.
    pub validated: Option<usize>,
    /// True if a handler ended the epoch.
    pub halts: bool,
    /// True if the run stopped inside of the epoch: the last log is that of a part of it.
    pub is_logged_in_part: bool,
    /// The duration of the training steps.
    pub watch: Stopwatch,
}

/// The totals of the loss and the metrics.
#[derive(Clone, Debug)]
pub(crate) enum TotalsSoFar {
    /// The totals of a trainer.
    Of(Totals),
    /// The tensors of a file by their paths in the totals: only a trainer knows their structure.
    Stored(BTreeMap<String, Tensor>),
}

impl Default for TotalsSoFar {
    fn default() -> TotalsSoFar {
        TotalsSoFar::Of(Totals::default())
    }
}

impl EpochSoFar {
    /// Returns the totals before the first example of an epoch.
    pub fn new(measures: &[Measure], skipped_before: usize) -> EpochSoFar {
        let totals = TotalsSoFar::Of(Totals::new(measures));
        EpochSoFar { totals, measures: names(measures), skipped_before, ..EpochSoFar::default() }
    }

    /// Moves the totals out.
    ///
    /// # Errors
    /// If the totals were not [restored](EpochSoFar::restore).
    pub fn take_totals(&mut self) -> Result<Totals> {
        match std::mem::take(&mut self.totals) {
            TotalsSoFar::Of(totals) => Ok(totals),
            TotalsSoFar::Stored(_) => Err(Error::bug("totals of a file were not restored")),
        }
    }

    /// Returns the totals.
    ///
    /// # Errors
    /// If the totals were not [restored](EpochSoFar::restore).
    pub fn known_totals(&self) -> Result<&Totals> {
        match &self.totals {
            TotalsSoFar::Of(totals) => Ok(totals),
            TotalsSoFar::Stored(_) => Err(Error::bug("totals of a file were not restored")),
        }
    }

    /// Returns true if something counts for the score `name`: its mean over nothing is NaN.
    ///
    /// # Errors
    /// If the totals were not [restored](EpochSoFar::restore), or carry an error.
    pub fn has_weight(&self, name: &str) -> Result<bool> {
        // A score that is not called as its measure is an element of a metric: all examples count.
        let i = self.measures.iter().position(|measure| measure == name);
        Ok(self.known_totals()?.weight(i.unwrap_or(usize::MAX))? != 0.0)
    }

    /// Checks that the totals are those of these measures: two metrics that change places may have
    /// totals of the same types.
    ///
    /// # Errors
    /// If the names differ.
    pub fn check_measures(&self, measures: &[Measure]) -> Result<()> {
        let want = names(measures);
        if self.measures.is_empty() || self.measures == want {
            return Ok(());
        }
        Err(other_metrics(&format!("expected {want:?}, got {:?}", self.measures)))
    }

    /// Gives totals of a file the structure of those of a trainer.
    ///
    /// # Errors
    /// If they are those of other metrics.
    pub fn restore(&mut self, measures: &[Measure]) -> Result<()> {
        let (like, stored) = (Totals::new(measures), by_path(&self.totals));
        let differ = differences(&types(&by_path(&like))?, &types(&stored)?);
        if !differ.is_empty() {
            return Err(other_metrics(&differ.join("; ")));
        }
        let leaf = |(path, _): (String, &Tensor)| {
            let found = stored.get(&below(TOTALS, &path)).cloned();
            found.unwrap_or_else(|| Tensor::from_error(Error::bug("a total is not stored")))
        };
        let leaves: Vec<Tensor> = like.leaves().into_iter().map(leaf).collect();
        self.totals = TotalsSoFar::Of(like.with_leaves(leaves));
        Ok(())
    }
}

/// Returns the tensors of totals by their paths in a state.
fn by_path(totals: &impl Tree) -> BTreeMap<String, Tensor> {
    let leaves = totals.leaves().into_iter();
    leaves.map(|(path, t)| (below(TOTALS, &path), t.clone())).collect()
}

fn names(measures: &[Measure]) -> Vec<String> {
    measures.iter().map(|m| m.name.clone()).collect()
}

fn other_metrics(differ: &str) -> Error {
    let why = format!("expected the state of a trainer with the same metrics: {differ}");
    Error::new("resume", why)
}
