//! Parts of a stream with the proportions of the whole: `split_stratified`, `k_fold_stratified`.
//!
//! The problem: a rare class may be missing in a part that is drawn at random. A stream may be read
//! from front to back and be larger than memory, so that its classes cannot be counted first.
//!
//! The method: the items of each class are divided into blocks in the order in which they come. For
//! `k` folds, a block has `k` items, one for each fold in a random order. For a split, a block has
//! one item of the smaller part, at a random place: with a fraction of 0.8, one of five items is
//! tested on. A class needs a counter and the block it is in, so that memory is constant. The items
//! of class `a`, with one of three tested on:
//!
//! ```text
//! items     a b a a a b a a      blocks of `a`    (a a a) (a a a)
//! parts     . . T . . . . T                        . T .   . . T
//! ```
//!
//! In a stream with random access, the parts are those of the same items read from front to back.

use super::core::{Stream, guarded, guarded_item};
use super::map::evaluated;
use super::order::epoch_rng;
use super::split::StreamFold;
use crate::kept::Kept;
use crate::split::{check_folds, check_fraction};
use neurax_tensor::ir::rng::Rng;
use neurax_tensor::{Key, Result};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

impl<T: Send + 'static> Stream<T> {
    /// Splits the items of each class at random, as `key` determines: `fraction` of them to train
    /// on, the rest to test on. `label` returns the class of an item: a number, a text or any other
    /// value to compare. In each class, the number of items in a part differs from its share by
    /// less than 1: a class of few items, such as 3 with a fraction of 0.8, may be missing in the
    /// smaller part. The parts are the same in all epochs, and the items are in the order of the
    /// stream: shuffle the parts, not the stream before them.
    ///
    /// Random access is kept. With it, the items are computed once when a part is first used, for
    /// their labels, of which 8 bytes each are kept; `len` is known from then on. Without it, no
    /// more than a counter for each class is kept; each part computes the items of the other one,
    /// too, so that expensive functions belong after it.
    ///
    /// # Errors
    /// The first item of both parts is an error if `fraction` is not in 0..=1. An error of `label`
    /// has the index of its item.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// // Lines that are read from front to back; every tenth is of a rare class.
    /// let lines = data::Stream::from_epochs(|_| Ok((0..1000).map(|i| Ok((i, i % 10 == 0)))));
    /// let parts = lines.split_stratified(0.8, |line| Ok(line.1), key(0));
    /// let test = parts.test.epoch(0).collect::<Result<Vec<_>>>()?;
    /// let rare = test.iter().filter(|line| line.1).count();
    /// assert_eq!((test.len(), rare), (200, 20));
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn split_stratified<L: Eq + Hash + Send + 'static>(
        &self,
        fraction: f64,
        label: impl Fn(&T) -> Result<L> + Send + Sync + 'static,
        key: Key,
    ) -> StreamFold<T> {
        if let Err(e) = check_fraction(fraction) {
            let failed = Stream::failed("split_stratified", e.message());
            return StreamFold { train: failed.clone(), test: failed };
        }
        let parts = StratifiedParts::new(
            "split_stratified",
            self,
            label,
            move |rng| ClassParts::Split(SplitBlock::new(fraction, rng)),
            key,
        );
        StreamFold { train: parts.part(TRAIN, false), test: parts.part(TRAIN, true) }
    }

    /// Divides the items of each class at random, as `key` determines, into `k` parts, and returns
    /// `k` pairs of streams: part `i` to test on, all others to train on. In each class, the sizes
    /// of the parts differ by one item at most. For `label`, the order and the costs, see
    /// [`Stream::split_stratified`].
    ///
    /// # Errors
    /// If `k` is less than 2, or more than the number of items if that is known. An error of
    /// `label` has the index of its item.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let iris = data::iris()?.stream();
    /// let species = |(_, y): &(Tensor, Tensor)| y.argmax(-1).item().map(|i| i as usize);
    /// for fold in iris.k_fold_stratified(5, species, key(0))? {
    ///     let test = fold.test.batch(30).epoch(0).next().unwrap()?;
    ///     assert_eq!(test.y.sum(0).to_vec::<f32>()?, [10.0, 10.0, 10.0]);
    /// }
    /// # Ok::<(), Error>(())
    /// ```
    pub fn k_fold_stratified<L: Eq + Hash + Send + 'static>(
        &self,
        k: usize,
        label: impl Fn(&T) -> Result<L> + Send + Sync + 'static,
        key: Key,
    ) -> Result<Vec<StreamFold<T>>> {
        check_folds(k, self.len())?;
        let parts = StratifiedParts::new(
            "k_fold_stratified",
            self,
            label,
            move |rng| ClassParts::Folds { k, rng, block: Vec::new(), next: k },
            key,
        );
        let fold = |i| StreamFold { train: parts.part(i, true), test: parts.part(i, false) };
        Ok((0..k).map(fold).collect())
    }
}

/// The number of the part to train on; that to test on is 1.
const TRAIN: usize = 0;

/// A function that returns the parts of the items of an epoch, one after the other. Its arguments
/// are the index and the item.
type PartOf<T> = Box<dyn FnMut(usize, &T) -> Result<usize> + Send>;

/// The parts of a stream.
struct StratifiedParts<T> {
    op: &'static str,
    stream: Stream<T>,
    /// Starts an epoch.
    start: Arc<dyn Fn() -> Result<PartOf<T>> + Send + Sync>,
    /// The part of each item of a stream with random access.
    known: Kept<Vec<usize>>,
}

impl<T: Send + 'static> StratifiedParts<T> {
    fn new<L: Eq + Hash + Send + 'static>(
        op: &'static str,
        stream: &Stream<T>,
        label: impl Fn(&T) -> Result<L> + Send + Sync + 'static,
        new_class: impl Fn(Rng) -> ClassParts + Send + Sync + Clone + 'static,
        key: Key,
    ) -> StratifiedParts<T> {
        let label = Arc::new(label);
        let start = move || {
            // The parts are the same in all epochs.
            let (label, new_class, mut rng) =
                (label.clone(), new_class.clone(), epoch_rng(&key, 0)?);
            let mut classes: HashMap<L, ClassParts> = HashMap::new();
            Ok(Box::new(move |i: usize, item: &T| {
                let class = guarded_item(op, i, || label(item))?;
                let class = classes.entry(class);
                Ok(class.or_insert_with(|| new_class(Rng::new(rng.bits()))).next())
            }) as PartOf<T>)
        };
        StratifiedParts {
            op,
            stream: stream.clone(),
            start: Arc::new(start),
            known: Kept::default(),
        }
    }

    /// Returns the items of a part, or those of all others if `is_rest` is true.
    fn part(&self, part: usize, is_rest: bool) -> Stream<T> {
        let (inner, start, known) = (self.stream.clone(), self.start.clone(), self.known.clone());
        let is_in = move |of_item: usize| (of_item == part) != is_rest;
        if !inner.has_random_access() {
            let open = move |epoch, first| {
                let mut part_of = start()?;
                let items = inner.tasks(epoch, 0)?.enumerate().filter_map(move |(i, task)| {
                    let item = match task.and_then(guarded) {
                        Ok(item) => item,
                        Err(e) => return Some(Err(e)),
                    };
                    match part_of(i, &item) {
                        Ok(of_item) => is_in(of_item).then_some(Ok(item)),
                        Err(e) => Some(Err(e)),
                    }
                });
                Ok(evaluated(items, first))
            };
            return Stream::sequential(|| None, open);
        }
        let counted = known.clone();
        let len = move || Some(counted.read()?.iter().filter(|&&of_item| is_in(of_item)).count());
        self.stream.reordered(self.op, len, move |_, _| {
            let parts = known.get(|| {
                let mut part_of = start()?;
                inner.epoch(0).enumerate().map(|(i, item)| part_of(i, &item?)).collect()
            })?;
            let items = parts.iter().enumerate().filter(|&(_, &of_item)| is_in(of_item));
            Ok(items.map(|(i, _)| i).collect())
        })
    }
}

/// The parts of the items of one class, in their order.
enum ClassParts {
    /// The `k` parts of the items of a block, and the index of the next one.
    Folds {
        k: usize,
        rng: Rng,
        block: Vec<usize>,
        next: usize,
    },
    Split(SplitBlock),
}

impl ClassParts {
    /// Returns the part of the next item.
    fn next(&mut self) -> usize {
        match self {
            ClassParts::Split(block) => block.next(),
            ClassParts::Folds { k, rng, block, next } => {
                if next == k {
                    (*block, *next) = (rng.permutation(*k), 0);
                }
                *next += 1;
                block[*next - 1]
            }
        }
    }
}

/// A block of the items of a class that is split in two: one item is in the smaller part.
struct SplitBlock {
    rng: Rng,
    /// The smaller part.
    smaller: usize,
    /// The fraction of the items in it, at most 1/2.
    fraction: f64,
    /// The number of blocks before the next one.
    blocks: usize,
    /// The number of items that are left in the block.
    left: usize,
    /// The number of items that are left when the one of the smaller part comes.
    chosen: Option<usize>,
}

impl SplitBlock {
    /// Creates the blocks of a class of which `fraction` is to train on.
    fn new(fraction: f64, rng: Rng) -> SplitBlock {
        let (smaller, fraction) = match fraction > 0.5 {
            true => (1 - TRAIN, 1.0 - fraction),
            false => (TRAIN, fraction),
        };
        SplitBlock { rng, smaller, fraction, blocks: 0, left: 0, chosen: None }
    }

    fn next(&mut self) -> usize {
        if self.left == 0 {
            let start = |block: usize| match self.fraction {
                0.0 => block.saturating_mul(usize::MAX),
                // 3 / 0.30000000000000004 is to be 10.
                fraction => (block as f64 / fraction + 1e-9).floor() as usize,
            };
            self.left = start(self.blocks + 1).saturating_sub(start(self.blocks)).max(1);
            self.chosen = (self.fraction > 0.0).then(|| 1 + self.rng.below(self.left));
            self.blocks += 1;
        }
        let is_chosen = self.chosen == Some(self.left);
        self.left -= 1;
        if is_chosen { self.smaller } else { 1 - self.smaller }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::{Error, key};
    use std::collections::HashSet;

    /// Returns the class of an item: 0 is frequent, 2 is rare.
    fn class_of(i: &usize) -> Result<usize> {
        Ok(match i % 20 {
            0 => 2,
            1..=5 => 1,
            _ => 0,
        })
    }

    /// Returns `n` items, with random access and without.
    fn streams(n: usize) -> [Stream<usize>; 2] {
        [Stream::range(0..n), Stream::from_epochs(move |_| Ok((0..n).map(Ok)))]
    }

    fn all(stream: &Stream<usize>, epoch: usize, first: usize) -> Vec<usize> {
        stream.epoch_from(epoch, first).collect::<Result<_>>().unwrap()
    }

    /// Returns the number of items of each class.
    fn counts(items: &[usize]) -> [usize; 3] {
        [0, 1, 2].map(|class| items.iter().filter(|i| class_of(i).unwrap() == class).count())
    }

    #[test]
    fn parts_are_disjoint_and_complete_and_have_the_proportions() {
        for fraction in [0.0, 0.25, 0.5, 0.7, 0.8, 0.9, 0.99, 1.0] {
            for n in [0, 7, 60, 1000] {
                let [parts, same] =
                    streams(n).map(|s| s.split_stratified(fraction, class_of, key(3)));
                let (train, test) = (all(&parts.train, 0, 0), all(&parts.test, 0, 0));
                let distinct: HashSet<usize> = train.iter().chain(&test).copied().collect();
                assert_eq!((distinct.len(), train.len() + test.len()), (n, n));
                let whole = counts(&(0..n).collect::<Vec<_>>());
                for (got, of) in counts(&train).into_iter().zip(whole) {
                    let want = of as f64 * fraction;
                    assert!((got as f64 - want).abs() < 1.0 + 1e-9, "{got} of {of}, {fraction}");
                }
                assert_eq!(all(&same.train, 2, 0), train, "without random access");
                assert_eq!(all(&same.test, 2, 0), test);
            }
        }
    }

    #[test]
    fn folds_hold_every_item_once_to_test_on() {
        for stream in streams(203) {
            let folds = stream.k_fold_stratified(4, class_of, key(1)).unwrap();
            let mut tests = Vec::new();
            for fold in &folds {
                let (train, test) = (all(&fold.train, 0, 0), all(&fold.test, 0, 0));
                assert!(train.iter().all(|i| !test.contains(i)));
                assert_eq!(train.len() + test.len(), 203);
                let whole = counts(&(0..203).collect::<Vec<_>>());
                for (got, of) in counts(&test).into_iter().zip(whole) {
                    assert!([of / 4, of.div_ceil(4)].contains(&got), "{got} of {of}");
                }
                tests.extend(test);
            }
            tests.sort_unstable();
            assert_eq!(tests, (0..203).collect::<Vec<_>>());
        }
        let error = Stream::range(0..3).k_fold_stratified(4, class_of, key(0)).unwrap_err();
        assert!(error.message().contains("expected 2 to 3 folds of 3 examples, got 4"), "{error}");
    }

    #[test]
    fn parts_start_anywhere_and_depend_on_the_key() {
        for stream in streams(100) {
            let parts = stream.split_stratified(0.7, class_of, key(0));
            let whole = all(&parts.test, 1, 0);
            for first in [1, 10, 29, 30, 40] {
                assert_eq!(all(&parts.test, 1, first), whole[first.min(whole.len())..]);
            }
            assert!(parts.test.len().is_none_or(|len| len == whole.len()));
            let other = stream.split_stratified(0.7, class_of, key(1));
            assert_ne!(all(&other.test, 1, 0), whole);
        }
    }

    #[test]
    fn labels_are_computed_once_with_random_access() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = calls.clone();
        let label = move |i: &usize| {
            counter.fetch_add(1, Ordering::Relaxed);
            class_of(i)
        };
        for fold in Stream::range(0..40).k_fold_stratified(3, label, key(0)).unwrap() {
            assert_eq!(all(&fold.train, 0, 0).len() + all(&fold.test, 4, 0).len(), 40);
            assert!(fold.train.len().is_some());
        }
        assert_eq!(calls.load(Ordering::Relaxed), 40);
    }

    #[test]
    fn errors_name_the_item() {
        let label = |i: &usize| match i {
            5 => Err(Error::new("label", "no class")),
            i => Ok(i % 2),
        };
        for stream in streams(9) {
            let parts = stream.split_stratified(0.5, label, key(0));
            let error = parts.test.epoch(0).last().unwrap().unwrap_err().to_string();
            assert_eq!(error, "split_stratified: label: item 5: no class");
            let failed = stream.split_stratified(1.5, label, key(0)).train;
            let error = failed.epoch(0).next().unwrap().unwrap_err().to_string();
            assert!(error.contains("expected a fraction in 0..=1, got 1.5"), "{error}");
        }
    }
}
