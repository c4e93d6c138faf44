//! Samplers: `weighted` draws items by weight, `stratified` spreads the items of each class.

use super::core::Stream;
use super::order::{epoch_key, epoch_rng};
use crate::batches::permutation;
use neurax_tensor::ir::rng::Rng;
use neurax_tensor::{Error, Key, Result};
use std::collections::BTreeMap;

impl<T: Send + 'static> Stream<T> {
    /// Returns `n` items that are drawn in each epoch, with replacement, with probabilities that
    /// are proportional to `weights`, one for each item of the stream: examples of rare classes
    /// more often. The draws are derived from `key` and the index of the epoch.
    ///
    /// # Errors
    /// The first item is an error if the stream has no random access, the number of weights is not
    /// that of the items, or the weights are not finite, are negative or have the sum 0.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let drawn = data::Stream::range(0..3).weighted(key(0), vec![0.0, 1.0, 3.0], 1000);
    /// let items = drawn.epoch(0).collect::<Result<Vec<_>>>()?;
    /// let twos = items.iter().filter(|&&i| i == 2).count();
    /// assert!(!items.contains(&0) && (700..800).contains(&twos));
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn weighted(&self, key: Key, weights: Vec<f64>, n: usize) -> Stream<T> {
        let draw = move |epoch, len| {
            check_count("weights", weights.len(), len)?;
            let bounds = cumulative(&weights)?;
            let mut rng = epoch_rng(&key, epoch)?;
            Ok((0..n).map(|_| drawn(&bounds, &mut rng)).collect())
        };
        self.reordered("weighted", move || Some(n), draw)
    }

    /// Returns all items in a random order in which those of each class are spread evenly, so that
    /// every batch has nearly the proportions of the whole. `classes` has the class of each item.
    /// The order is derived from `key` and the index of the epoch.
    ///
    /// # Errors
    /// The first item is an error if the stream has no random access, or the number of classes is
    /// not that of the items.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let classes: Vec<usize> = (0..100).map(|i| usize::from(i < 20)).collect();
    /// let items = data::Stream::from_vec(classes.clone()).stratified(key(0), classes);
    /// let counts = items.chunks(10).map(|batch| batch.iter().sum::<usize>());
    /// let counts = counts.epoch(0).collect::<Result<Vec<_>>>()?;
    /// assert!(counts.iter().all(|n| (1..=3).contains(n)), "about 2 of class 1 in each batch");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn stratified(&self, key: Key, classes: Vec<usize>) -> Stream<T> {
        let counted = self.clone();
        let order = move |epoch, len| {
            check_count("classes", classes.len(), len)?;
            spread(&classes, &epoch_key(&key, epoch), &mut epoch_rng(&key, epoch)?)
        };
        self.reordered("stratified", move || counted.len(), order)
    }
}

fn check_count(what: &str, got: usize, want: usize) -> Result<()> {
    if got == want {
        return Ok(());
    }
    Err(Error::new("stream", format!("expected {want} {what}, one for each item, got {got}")))
}

/// Returns the cumulative sums of the weights, divided by their total.
fn cumulative(weights: &[f64]) -> Result<Vec<f64>> {
    if let Some((i, w)) = weights.iter().enumerate().find(|(_, w)| !w.is_finite() || **w < 0.0) {
        let why = format!("expected weights from 0 on, got {w} for item {i}");
        return Err(Error::new("weighted", why));
    }
    let mut total = 0.0;
    let sums: Vec<f64> = weights
        .iter()
        .map(|w| {
            total += w;
            total
        })
        .collect();
    if !(total > 0.0 && total.is_finite()) {
        let why = format!("expected weights with a finite sum above 0, got {total}");
        return Err(Error::new("weighted", why));
    }
    Ok(sums.into_iter().map(|sum| sum / total).collect())
}

/// Draws an index: the first whose bound is above a random number in `[0, 1)`.
fn drawn(bounds: &[f64], rng: &mut Rng) -> usize {
    let x = rng.range(0.0, 1.0);
    bounds.partition_point(|&bound| bound <= x)
}

/// Returns the indices in an order that spreads each class evenly: item `j` of `n` of a class, in a
/// random order, is at `(j + u) / n` of the epoch, with a random `u` of the class.
fn spread(classes: &[usize], key: &Key, rng: &mut Rng) -> Result<Vec<usize>> {
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for i in permutation(key, classes.len())? {
        members.entry(classes[i]).or_default().push(i);
    }
    let mut places: Vec<(f64, usize)> = Vec::with_capacity(classes.len());
    for items in members.values() {
        let shift = rng.range(0.0, 1.0);
        let at = |j: usize| (j as f64 + shift) / items.len() as f64;
        places.extend(items.iter().enumerate().map(|(j, &i)| (at(j), i)));
    }
    places.sort_by(|a, b| a.0.total_cmp(&b.0));
    Ok(places.into_iter().map(|(_, i)| i).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::key;

    #[test]
    fn draws_depend_on_key_and_epoch_alone() {
        let drawn = Stream::range(0..4).weighted(key(1), vec![1.0; 4], 64);
        let epoch = |e: usize| drawn.epoch(e).collect::<Result<Vec<_>>>().unwrap();
        assert_eq!(epoch(3), epoch(3));
        assert_ne!(epoch(3), epoch(4));
        assert_eq!(drawn.epoch_from(3, 60).collect::<Result<Vec<_>>>().unwrap(), epoch(3)[60..]);
        assert_eq!(drawn.len(), Some(64));
    }

    #[test]
    fn invalid_weights_are_errors() {
        for (weights, why) in [
            (vec![1.0], "expected 2 weights, one for each item, got 1"),
            (vec![1.0, -1.0], "got -1 for item 1"),
            (vec![f64::NAN, 1.0], "got NaN for item 0"),
            (vec![0.0, 0.0], "a finite sum above 0, got 0"),
            (vec![f64::MAX, f64::MAX], "a finite sum above 0, got inf"),
        ] {
            let stream = Stream::range(0..2).weighted(key(0), weights, 5);
            let error = stream.epoch(0).next().unwrap().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_stratified_epoch_has_every_item_and_even_classes() {
        let classes: Vec<usize> = (0..60).map(|i| [0, 0, 0, 1, 1, 2][i / 10]).collect();
        let stream = Stream::range(0..60).stratified(key(5), classes.clone());
        for epoch in 0..3 {
            let items: Vec<usize> = stream.epoch(epoch).collect::<Result<_>>().unwrap();
            for batch in items.chunks(12) {
                for (class, want) in [(0, 6i32), (1, 4), (2, 2)] {
                    let count = batch.iter().filter(|&&i| classes[i] == class).count() as i32;
                    assert!((count - want).abs() <= 1, "{count} of class {class}");
                }
            }
            let mut sorted = items;
            sorted.sort_unstable();
            assert_eq!(sorted, (0..60).collect::<Vec<_>>());
        }
    }
}
