//! Orders and sizes of batches.

use super::*;
use neurax_tensor::key;

fn set(n: usize) -> Dataset {
    Dataset::new(Tensor::arange(n), Tensor::arange(n)).unwrap()
}

fn flat(e: Epoch<Tensor, Tensor>) -> Vec<i32> {
    e.flat_map(|b| b.x.to_vec::<i32>().unwrap()).collect()
}

#[test]
fn every_epoch_has_every_example_in_another_order() {
    let b = set(10).shuffled(key(1)).batched(4);
    let (one, two) = (flat(b.epoch(0)), flat(b.epoch(1)));
    assert_ne!(one, two);
    assert_eq!(one, flat(b.epoch(0)), "reproducible");
    for mut e in [one, two] {
        e.sort_unstable();
        assert_eq!(e, (0..10).collect::<Vec<_>>());
    }
    assert_eq!(b.len(), 3);
    assert_eq!(b.drop_last().len(), 2);
}

#[test]
fn without_a_key_the_order_is_that_of_the_set() {
    assert_eq!(flat(set(5).batched(2).epoch(7)), [0, 1, 2, 3, 4]);
    assert_eq!(set(0).batched(3).epoch(0).count(), 0);
}

#[test]
fn inputs_and_targets_stay_together() {
    for b in &set(9).shuffled(key(0)).batched(4) {
        assert_eq!(b.x.to_vec::<i32>().unwrap(), b.y.to_vec::<i32>().unwrap());
    }
}

#[test]
fn a_batch_size_of_zero_is_an_error() {
    for batches in [
        set(5).batched(0),
        set(5).batched(0).drop_last(),
        set(0).batched(0),
        set(5).shuffled(key(0)).batched(0),
    ] {
        let given: Vec<Batch> = batches.epoch(0).collect();
        assert_eq!((given.len(), batches.len()), (1, 1));
        assert!(
            given[0]
                .x
                .error()
                .unwrap()
                .message()
                .contains("expected a batch size of at least 1, got 0")
        );
    }
}

#[test]
fn an_epoch_starts_at_any_batch() {
    let batches = set(10).shuffled(key(1)).batched(3);
    let list: Vec<Batch> = batches.epoch(2).collect();
    let rest = |source: &dyn Source, first| -> Vec<i32> {
        let rest = source.epoch_from(2, first).map(|b| b.unwrap().x.to_vec::<i32>().unwrap());
        rest.flatten().collect()
    };
    for first in 0..6 {
        let want: Vec<i32> = flat(batches.epoch(2)).into_iter().skip(first * 3).collect();
        assert_eq!(rest(&batches, first), want);
        assert_eq!(rest(&ByDefault(&list), first), want);
        let slice = list[..].epoch_from(2, first);
        let slice: Vec<i32> = slice.flat_map(|b| b.unwrap().x.to_vec::<i32>().unwrap()).collect();
        assert_eq!(slice, want);
    }
}

#[test]
fn batches_are_rows_of_their_set() {
    for batches in [set(10).shuffled(key(1)).batched(3), set(10).batched(3).drop_last()] {
        for first in [0, 2, 9] {
            let RowBatches { set, rows } = batches.row_batches(2, first).unwrap().unwrap();
            let found: Vec<i32> =
                rows.iter().flat_map(|r| set.select(r).x.to_vec::<i32>().unwrap()).collect();
            let want = flat(batches.epoch_at(2, first));
            assert_eq!((found, rows.len()), (want, batches.len().saturating_sub(first)));
        }
    }
    assert!(set(3).batched(0).row_batches(0, 0).unwrap().is_err());
    let list: Vec<Batch> = set(3).batched(2).epoch(0).collect();
    assert!(list[..].row_batches(0, 0).is_none());
}

/// A source with the default `epoch_from`.
struct ByDefault<'b>(&'b [Batch]);

impl Source for ByDefault<'_> {
    fn epoch(&self, epoch: usize) -> SourceEpoch<'_, Tensor, Tensor> {
        self.0.epoch(epoch)
    }
    fn batches(&self) -> Option<usize> {
        None
    }
}

#[test]
fn an_error_before_the_first_batch_is_kept() {
    let items = [Ok(0), Err(Error::new("read", "broken")), Ok(2)];
    let mut rest = without_first(items.into_iter(), 2);
    assert_eq!(rest.next().unwrap().unwrap_err().message(), "broken");
    let bad = Dataset { x: Tensor::zeros([3, 1]), y: Tensor::zeros(2) }.batched(2);
    let rest: Vec<_> = Source::epoch_from(&bad, 0, 5).collect();
    assert_eq!((rest.len(), rest[0].as_ref().unwrap().x.error().is_some()), (1, true));
}

#[test]
fn an_invalid_set_yields_one_batch_with_the_error() {
    let bad = Dataset { x: Tensor::zeros([3, 1]), y: Tensor::zeros(2) };
    let batches: Vec<Batch> = bad.shuffled(key(0)).batched(2).epoch(0).collect();
    assert_eq!((batches.len(), bad.batched(2).len()), (1, 1));
    assert!(
        batches[0]
            .x
            .error()
            .unwrap()
            .message()
            .contains("expected 3 rows in `y`, as in `x`, got 2")
    );
}
