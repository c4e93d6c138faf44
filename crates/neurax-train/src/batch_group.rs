//! [`BatchGroup`]: the batches on which one call of the compiled step trains.
//!
//! The problem: a step of a small network takes some hundred microseconds, and selecting a batch,
//! checking arguments and calling a program is a noticeable part of it. The method is that of
//! Keras' `steps_per_execution`: several steps are one program, a `scan` over their batches.
//!
//! A group is made of consecutive batches of equal types. With 7 examples in batches of 2 and
//! groups of up to 3, an epoch is the groups `[2, 2, 2]` and `[1]`. Where the batches come from
//! decides how they reach the program:
//!
//! | source | group | the program |
//! |---|---|---|
//! | one step per call | [`BatchGroup::One`] | trains on the batch |
//! | a data set in memory | [`BatchGroup::Rows`] | selects the rows of each step |
//! | any other | [`BatchGroup::Stacked`] | loops over a new axis 0 |
//!
//! # Invariants
//!
//! - The batches are those of [`AnySource::epoch_from`], in this order.
//! - An error of the source is an item behind the group of the batches before it: they are trained
//!   on first, as in a loop without groups.

use crate::any_batch::{AnyBatch, AnyEpoch, AnyRows, AnySource};
use crate::guard::guarded;
use neurax_tensor::{Error, Result, Tensor, Tree};
use std::iter::Peekable;
use std::vec::IntoIter;

/// The batches of one call: an argument of the compiled step.
#[derive(Tree)]
pub(crate) enum BatchGroup {
    /// A batch.
    One(AnyBatch),
    /// Batches of equal types, stacked along axis 0.
    Stacked(AnyBatch),
    /// All examples of a data set, and the rows of each batch, `i32[batches, examples]`.
    Rows(AnyBatch, Tensor),
}

impl BatchGroup {
    /// Returns the numbers of batches and of examples in each.
    pub fn size(&self) -> (usize, usize) {
        match self {
            BatchGroup::One(batch) => (1, batch.len()),
            BatchGroup::Stacked(all) => {
                let mut examples = None;
                all.each_leaf(|t| examples = examples.or(t.shape().get(1).copied()));
                (all.len(), examples.unwrap_or(0))
            }
            BatchGroup::Rows(_, rows) => (rows.dim(0), rows.dim(-1)),
        }
    }

    /// Returns a number of the kind of the group, which decides on the program beside the types of
    /// its tensors.
    pub fn kind(&self) -> usize {
        match self {
            BatchGroup::One(_) => 0,
            BatchGroup::Stacked(_) => 1,
            BatchGroup::Rows(..) => 2,
        }
    }
}

/// The groups of an epoch.
pub(crate) enum BatchGroups<'s> {
    /// Of batches that are computed one by one.
    Computed {
        epoch: AnyEpoch<'s>,
        /// A batch or an error that was read and is not part of the last group.
        next: Option<Result<AnyBatch>>,
    },
    /// Of rows of a data set in memory.
    Selected { set: AnyBatch, rows: Peekable<IntoIter<Vec<usize>>> },
}

impl<'s> BatchGroups<'s> {
    /// Creates the groups of epoch `epoch` of a source, from the batch with index `first` on.
    /// `are_single` says that every group has one batch.
    ///
    /// # Errors
    /// If the source panics.
    pub fn new(
        data: &'s dyn AnySource,
        epoch: usize,
        first: usize,
        are_single: bool,
    ) -> Result<BatchGroups<'s>> {
        if !are_single {
            let found = guarded("the source", || data.rows_from(epoch, first))?;
            // A data set with an error yields a batch that carries it.
            if let Some(AnyRows { set, rows }) = found.and_then(Result::ok) {
                return Ok(BatchGroups::Selected { set, rows: rows.into_iter().peekable() });
            }
        }
        let epoch = guarded("the source", || data.epoch_from(epoch, first))?;
        // A group that the end of the epoch ended is the last one.
        Ok(BatchGroups::Computed { epoch: Box::new(epoch.fuse()), next: None })
    }

    /// Returns the next group, or `None` after the last one. `grows` gets the number of batches
    /// in the group so far and says whether one more may follow.
    pub fn next(&mut self, grows: &dyn Fn(usize) -> bool) -> Option<Result<BatchGroup>> {
        match self {
            BatchGroups::Computed { epoch, next } => {
                let first = next.take().or_else(|| pull(epoch))?;
                Some(first.and_then(|first| computed(first, epoch, next, grows)))
            }
            BatchGroups::Selected { set, rows } => {
                let mut all = vec![rows.next()?];
                let size = all.first().map_or(0, Vec::len);
                while grows(all.len())
                    && let Some(more) = rows.next_if(|rows| rows.len() == size)
                {
                    all.push(more);
                }
                Some(selected(set, &all, size))
            }
        }
    }
}

/// Returns the next batch of an epoch; a panic of the source is an error.
fn pull(epoch: &mut AnyEpoch) -> Option<Result<AnyBatch>> {
    guarded("the source", || epoch.next()).unwrap_or_else(|panic| Some(Err(panic)))
}

/// Returns the group that begins with `first`. The first item of another type, or an error, stays
/// in `next`.
fn computed(
    first: AnyBatch,
    epoch: &mut AnyEpoch,
    next: &mut Option<Result<AnyBatch>>,
    grows: &dyn Fn(usize) -> bool,
) -> Result<BatchGroup> {
    if !grows(1) {
        return Ok(BatchGroup::One(first));
    }
    let types = first.types();
    let mut all = vec![first];
    while types.is_some() && grows(all.len()) {
        match pull(epoch) {
            Some(Ok(batch)) if batch.types() == types => all.push(batch),
            other => {
                *next = other;
                break;
            }
        }
    }
    match all.len() {
        1 => all.pop().map(BatchGroup::One).ok_or_else(|| Error::bug("a group has no batch")),
        _ => AnyBatch::stacked(&all).map(BatchGroup::Stacked),
    }
}

/// Returns the group of the batches with these rows of a data set, `size` in each.
fn selected(set: &AnyBatch, rows: &[Vec<usize>], size: usize) -> Result<BatchGroup> {
    let index = |row: &usize| {
        i32::try_from(*row).map_err(|_| {
            let why = format!("expected at most {} examples, got row {row}", i32::MAX);
            Error::new("train", why)
        })
    };
    let all = rows.iter().flatten().map(index).collect::<Result<Vec<i32>>>()?;
    let rows = Tensor::from_vec(all, [rows.len(), size]).ok()?;
    Ok(BatchGroup::Rows(set.map_leaves(Tensor::clone), rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::any_batch::SourceOf;
    use neurax_data::{Batch, Dataset, Source};
    use neurax_tensor::key;

    /// Returns the numbers of batches and examples of the groups of an epoch, of up to `most`.
    fn sizes(data: &dyn AnySource, first: usize, most: usize) -> Vec<(usize, usize)> {
        let mut groups = BatchGroups::new(data, 0, first, most == 1).unwrap();
        let grows = move |n: usize| n < most;
        std::iter::from_fn(|| groups.next(&grows)).map(|g| g.unwrap().size()).collect()
    }

    fn set() -> Dataset {
        Dataset::new(Tensor::arange(11), Tensor::arange(11)).unwrap()
    }

    #[test]
    fn groups_end_where_the_size_of_batches_changes() {
        let batches = set().shuffled(key(0)).batched(2);
        let list: Vec<Batch> = batches.epoch(0).collect();
        let (rows, computed) = (SourceOf::new(&batches), SourceOf::new(&list[..]));
        for data in [&rows as &dyn AnySource, &computed] {
            assert_eq!(sizes(data, 0, 3), [(3, 2), (2, 2), (1, 1)]);
            assert_eq!(sizes(data, 4, usize::MAX), [(1, 2), (1, 1)]);
            assert_eq!(sizes(data, 0, 1), [(1, 2), (1, 2), (1, 2), (1, 2), (1, 2), (1, 1)]);
        }
    }

    /// Two batches, then an error.
    struct Broken;

    impl Source for Broken {
        fn epoch(&self, _: usize) -> neurax_data::SourceEpoch<'_, Tensor, Tensor> {
            let batch = || Ok(Batch { x: Tensor::ones([4, 1]), y: Tensor::ones([4, 1]) });
            Box::new([batch(), batch(), Err(Error::new("read", "broken"))].into_iter())
        }
        fn batches(&self) -> Option<usize> {
            None
        }
    }

    /// Epochs of two batches, whose iterator begins again behind its end.
    struct Restarting;

    impl Source for Restarting {
        fn epoch(&self, _: usize) -> neurax_data::SourceEpoch<'_, Tensor, Tensor> {
            let batch = || Ok(Batch { x: Tensor::ones([4, 1]), y: Tensor::ones([4, 1]) });
            let mut n = 0;
            Box::new(std::iter::from_fn(move || {
                n += 1;
                (n % 3 != 0).then(batch)
            }))
        }
        fn batches(&self) -> Option<usize> {
            None
        }
    }

    #[test]
    fn an_epoch_ends_at_its_first_end() {
        assert_eq!(sizes(&SourceOf::new(&Restarting), 0, 3), [(2, 4)]);
        assert_eq!(sizes(&SourceOf::new(&Restarting), 0, 1), [(1, 4), (1, 4)]);
    }

    #[test]
    fn an_error_comes_after_the_batches_before_it() {
        let data = SourceOf::new(&Broken);
        let mut groups = BatchGroups::new(&data, 0, 0, false).unwrap();
        assert_eq!(groups.next(&|_| true).unwrap().unwrap().size(), (2, 4));
        assert!(groups.next(&|_| true).unwrap().is_err());
        assert!(groups.next(&|_| true).is_none());
    }
}
