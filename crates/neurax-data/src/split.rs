//! Splitting a data set into parts to train and to evaluate on.

use crate::Dataset;
use crate::batches::permutation;
use neurax_tensor::{DType, Error, Key, Place, Result, Tensor, Tree};
use std::collections::BTreeMap;
use std::panic::Location;

/// A data set split in two: see [`Dataset::split`].
#[derive(Tree, Clone, Debug)]
pub struct Split<X: Tree = Tensor, Y: Tree = Tensor> {
    /// The examples to train on.
    pub train: Dataset<X, Y>,
    /// The examples to evaluate on.
    pub test: Dataset<X, Y>,
}

/// A data set split in three: see [`Dataset::split3`].
#[derive(Tree, Clone, Debug)]
pub struct ThreeWaySplit<X: Tree = Tensor, Y: Tree = Tensor> {
    /// The examples to train on.
    pub train: Dataset<X, Y>,
    /// The examples to choose a model by.
    pub validation: Dataset<X, Y>,
    /// The examples to evaluate the chosen model on.
    pub test: Dataset<X, Y>,
}

#[track_caller]
pub(crate) fn split<X: Tree + Clone, Y: Tree + Clone>(
    set: &Dataset<X, Y>,
    fraction: f64,
    key: Key,
) -> Split<X, Y> {
    let at = Place::from(Location::caller());
    match order(set.rows(), fraction, &key, &at) {
        Ok((order, cut)) => {
            Split { train: set.select(&order[..cut]), test: set.select(&order[cut..]) }
        }
        Err(e) => {
            let bad = set.map_leaves(|_| Tensor::from_error(e.clone()));
            Split { train: bad.clone(), test: bad }
        }
    }
}

/// Returns the indices of `rows` examples in a random order, and the number of them to train on.
fn order(rows: Result<usize>, fraction: f64, key: &Key, at: &Place) -> Result<(Vec<usize>, usize)> {
    let rows = rows?;
    check_fraction(fraction).map_err(|e| e.at(at))?;
    let cut = (rows as f64 * fraction).round() as usize;
    Ok((permutation(key, rows)?, cut.min(rows)))
}

/// Checks a fraction of the examples.
///
/// # Errors
/// If it is not in 0..=1.
pub(crate) fn check_fraction(fraction: f64) -> Result<()> {
    if (0.0..=1.0).contains(&fraction) {
        return Ok(());
    }
    Err(Error::new("split", format!("expected a fraction in 0..=1, got {fraction}")))
}

impl<X: Tree + Clone, Y: Tree + Clone> Dataset<X, Y> {
    /// Splits the examples at random, as `key` determines, in three: the fraction `train` of them
    /// to train on, the fraction `validation` to choose a model by, and the rest to test on.
    ///
    /// # Errors
    /// If a fraction or their sum is not in 0..=1, or the set is invalid.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let parts = data::iris()?.split3(0.7, 0.2, key(0))?;
    /// assert_eq!((parts.train.len(), parts.validation.len(), parts.test.len()), (105, 30, 15));
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn split3(&self, train: f64, validation: f64, key: Key) -> Result<ThreeWaySplit<X, Y>> {
        let at = Place::from(Location::caller());
        let sum = train + validation;
        // Sums of decimal fractions such as 0.7 + 0.3 may exceed 1 by their rounding.
        let sum = if sum > 1.0 && sum < 1.0 + 1e-9 { 1.0 } else { sum };
        [train, validation, sum].into_iter().try_for_each(check_fraction).map_err(|e| e.at(&at))?;
        let rows = self.rows()?;
        let order = permutation(&key, rows)?;
        let end = |fraction: f64| ((rows as f64 * fraction).round() as usize).min(rows);
        let (first, second) = (end(train), end(sum));
        Ok(ThreeWaySplit {
            train: self.select(&order[..first]),
            validation: self.select(&order[first..second]),
            test: self.select(&order[second..]),
        })
    }

    /// Splits the examples of each class at random, as `key` determines, so that both parts have
    /// the proportions of the whole: the fraction `train` of each class to train on, the rest to
    /// test on. `labels` has the class of each example: whole numbers, `[n]` or `[n, 1]`, or
    /// one-hot rows such as `&set.y`.
    ///
    /// The fraction of a class is rounded up or down, so that the first part has the size of that
    /// of [`Dataset::split`]: up in the classes with the largest remainders. Of classes with equal
    /// remainders, those of the smallest labels are rounded up.
    ///
    /// # Errors
    /// If `train` is not in 0..=1, a label is NaN or no whole number, the number of labels is not
    /// that of the examples, or the set is invalid.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let iris = data::iris()?;
    /// let parts = iris.split_stratified(0.8, &iris.y, key(0))?;
    /// assert_eq!(parts.test.y.sum(0).to_vec::<f32>()?, [10.0, 10.0, 10.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn split_stratified(&self, train: f64, labels: &Tensor, key: Key) -> Result<Split<X, Y>> {
        check_fraction(train).map_err(|e| e.at(&Place::from(Location::caller())))?;
        let Strata { order, classes } = self.strata(labels, &key)?;
        let mut is_first = vec![false; order.len()];
        let counts = shares(&classes.iter().map(Vec::len).collect::<Vec<_>>(), train);
        for (class, count) in classes.iter().zip(counts) {
            class.iter().take(count).for_each(|&i| is_first[i] = true);
        }
        let (first, rest): (Vec<usize>, Vec<usize>) = order.into_iter().partition(|&i| is_first[i]);
        Ok(Split { train: self.select(&first), test: self.select(&rest) })
    }

    /// Divides the examples at random, as `key` determines, into `k` parts of nearly equal size,
    /// and returns `k` splits: part `i` to test on, all others to train on.
    ///
    /// # Errors
    /// If `k` is less than 2 or more than the number of examples, or the set is invalid.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let folds = data::iris()?.k_fold(4, key(0))?;
    /// let sizes: Vec<usize> = folds.iter().map(|fold| fold.test.len()).collect();
    /// assert_eq!(sizes, [37, 38, 37, 38]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn k_fold(&self, k: usize, key: Key) -> Result<Vec<Split<X, Y>>> {
        let order = permutation(&key, self.checked_folds(k)?)?;
        let fold = |i| {
            let (start, end) = fold_range(order.len(), i, k);
            let rest = [&order[..start], &order[end..]].concat();
            Split { train: self.select(&rest), test: self.select(&order[start..end]) }
        };
        Ok((0..k).map(fold).collect())
    }

    /// Divides the examples of each class into `k` parts, as [`Dataset::k_fold`]: each part has the
    /// proportions of the whole. The sizes of the parts differ by one example at most, and so do
    /// the numbers of examples of each class. For `labels`, see [`Dataset::split_stratified`].
    ///
    /// # Errors
    /// As [`Dataset::k_fold`], and as [`Dataset::split_stratified`] for the labels.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let iris = data::iris()?;
    /// for fold in iris.k_fold_stratified(5, &iris.y, key(0))? {
    ///     assert_eq!(fold.test.y.sum(0).to_vec::<f32>()?, [10.0, 10.0, 10.0]);
    /// }
    /// # Ok::<(), Error>(())
    /// ```
    pub fn k_fold_stratified(
        &self,
        k: usize,
        labels: &Tensor,
        key: Key,
    ) -> Result<Vec<Split<X, Y>>> {
        self.checked_folds(k)?;
        let Strata { order, classes } = self.strata(labels, &key)?;
        // The examples, class by class, are dealt to the folds in turn. A class starts where the
        // one before it stops, or else the examples of all rare classes would be in the same folds.
        let mut fold_of = vec![0; order.len()];
        classes.iter().flatten().enumerate().for_each(|(turn, &i)| fold_of[i] = turn % k);
        let fold = |part| {
            let (test, rest): (Vec<usize>, Vec<usize>) =
                order.iter().partition(|&&i| fold_of[i] == part);
            Split { train: self.select(&rest), test: self.select(&test) }
        };
        Ok((0..k).map(fold).collect())
    }

    /// Returns the number of examples, if they can be divided into `k` folds.
    fn checked_folds(&self, k: usize) -> Result<usize> {
        let rows = self.rows()?;
        check_folds(k, Some(rows))?;
        Ok(rows)
    }

    /// Returns the examples in a random order, as a whole and class by class.
    fn strata(&self, labels: &Tensor, key: &Key) -> Result<Strata> {
        let (rows, class_of) = (self.rows()?, classes_of(labels)?);
        if class_of.len() != rows {
            let why =
                format!("expected {rows} labels, one for each example, got {}", class_of.len());
            return Err(Error::new("split", why));
        }
        let order = permutation(key, rows)?;
        let mut classes: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        order.iter().for_each(|&i| classes.entry(class_of[i]).or_default().push(i));
        Ok(Strata { order, classes: classes.into_values().collect() })
    }
}

/// The indices of examples, divided by class.
struct Strata {
    /// All indices, in a random order.
    order: Vec<usize>,
    /// The indices of each class, in the same order. The classes are in the order of their labels.
    classes: Vec<Vec<usize>>,
}

/// Returns the number of examples of each class to train on, by the method of largest remainders:
/// each is rounded down, and then one is added to those that lost most, up to the rounded share of
/// the whole.
fn shares(counts: &[usize], fraction: f64) -> Vec<usize> {
    let quota = |i: usize| counts[i] as f64 * fraction;
    let mut shares: Vec<usize> = (0..counts.len()).map(|i| quota(i).floor() as usize).collect();
    let total = (counts.iter().sum::<usize>() as f64 * fraction).round() as usize;
    let missing = total.saturating_sub(shares.iter().sum());
    let mut by_remainder: Vec<usize> = (0..counts.len()).collect();
    by_remainder.sort_by(|&a, &b| quota(b).fract().total_cmp(&quota(a).fract()));
    by_remainder.into_iter().take(missing).for_each(|i| shares[i] += 1);
    shares
}

/// Returns the class of each row of one-hot rows, or of whole numbers, [n] or [n, 1].
fn classes_of(labels: &Tensor) -> Result<Vec<i64>> {
    let ty = labels.ty()?;
    if ty.dtype.is_float() && labels.is_nan().any(..).item()? != 0.0 {
        return Err(Error::new("split", "expected labels without NaN, got NaN"));
    }
    match ty.shape[..] {
        [_] => whole_numbers(labels),
        [n, 1] => whole_numbers(&labels.reshape([n])),
        [_, _] => labels.argmax(-1).to(DType::I64).to_vec(),
        _ => {
            let why = format!("expected labels as a vector or one-hot rows, got {ty}");
            Err(Error::new("split", why))
        }
    }
}

/// Returns the elements of a vector, which must be whole numbers.
fn whole_numbers(labels: &Tensor) -> Result<Vec<i64>> {
    if labels.dtype().is_float() {
        let values: Vec<f64> = labels.to(DType::F64).to_vec()?;
        // Beyond 2^53, neighboring classes would be one number.
        let is_class = |x: &f64| x.fract() == 0.0 && x.abs() <= (1u64 << 53) as f64;
        if let Some((i, x)) = values.iter().enumerate().find(|(_, x)| !is_class(x)) {
            let why = format!("expected whole numbers or one-hot rows as labels, got {x} at {i}");
            return Err(Error::new("split", why));
        }
    }
    labels.to(DType::I64).to_vec()
}

/// Checks that `len` items, if their number is known, can be divided into `k` folds.
pub(crate) fn check_folds(k: usize, len: Option<usize>) -> Result<()> {
    let why = match len {
        Some(len) if k < 2 || k > len => {
            format!("expected 2 to {len} folds of {len} examples, got {k}")
        }
        None if k < 2 => format!("expected at least 2 folds, got {k}"),
        _ => return Ok(()),
    };
    Err(Error::new("k_fold", why))
}

/// Returns the positions of part `i` of `k` parts of `len` items.
pub(crate) fn fold_range(len: usize, i: usize, k: usize) -> (usize, usize) {
    let at = |i: usize| (len as u128 * i as u128 / k.max(1) as u128) as usize;
    (at(i), at(i + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::{key, tensor};

    fn set(n: usize) -> Dataset {
        Dataset::new(Tensor::arange(n), Tensor::arange(n)).unwrap()
    }

    fn rows(set: &Dataset) -> Vec<i32> {
        set.x.to_vec::<i32>().unwrap()
    }

    #[test]
    fn a_split_holds_every_example_once() {
        let set = set(10);
        let parts = set.split(0.8, key(3));
        let mut all = [rows(&parts.train), rows(&parts.test)].concat();
        assert_eq!((all.len(), parts.test.len()), (10, 2));
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
        assert_eq!(rows(&set.split(0.8, key(3)).test), rows(&parts.test));
        assert_ne!(rows(&set.split(0.8, key(4)).train), rows(&parts.train));
        assert_eq!((set.split(1.0, key(3)).test.len(), set.split(0.0, key(3)).test.len()), (0, 10));
        for fraction in [1.5, -0.1, 7.0, f64::NAN] {
            let parts = set.split(fraction, key(3));
            for part in [parts.train, parts.test] {
                let e = part.ok().unwrap_err().to_string();
                assert!(e.contains(&format!("in 0..=1, got {fraction}")), "{e}");
            }
        }
    }

    #[test]
    fn three_parts_hold_every_example_once() {
        let parts = set(10).split3(0.7, 0.3, key(1)).unwrap();
        assert_eq!((parts.train.len(), parts.validation.len(), parts.test.len()), (7, 3, 0));
        let parts = set(10).split3(0.5, 0.2, key(1)).unwrap();
        let mut all = [rows(&parts.train), rows(&parts.validation), rows(&parts.test)].concat();
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
        for (train, validation) in [(0.8, 0.3), (-0.1, 0.5), (0.5, f64::NAN)] {
            assert!(set(10).split3(train, validation, key(1)).is_err());
        }
    }

    #[test]
    fn folds_hold_every_example_once_to_test_on() {
        let labels = tensor([0, 1, 1, 1, 0, 1, 1, 1, 1, 0, 1]);
        let folds = set(11).k_fold(3, key(1)).unwrap();
        let stratified = set(11).k_fold_stratified(3, &labels, key(1)).unwrap();
        for folds in [&folds, &stratified] {
            let mut tests: Vec<i32> = folds.iter().flat_map(|fold| rows(&fold.test)).collect();
            tests.sort_unstable();
            assert_eq!(tests, (0..11).collect::<Vec<_>>());
            for fold in folds {
                assert_eq!(fold.train.len() + fold.test.len(), 11);
                assert!(rows(&fold.train).iter().all(|i| !rows(&fold.test).contains(i)));
            }
        }
        let labels = labels.to_vec::<i32>().unwrap();
        for fold in stratified {
            let zeros = rows(&fold.test).iter().filter(|&&i| labels[i as usize] == 0).count();
            assert_eq!(zeros, 1);
        }
        assert!(set(3).k_fold(4, key(0)).unwrap_err().message().contains("got 4"));
        assert!(set(3).k_fold(1, key(0)).is_err());
    }

    #[test]
    fn rare_classes_are_spread_over_the_parts() {
        let sizes = |folds: Vec<Split>| -> Vec<usize> {
            folds.iter().map(|fold| fold.test.len()).collect()
        };
        let labels = |n: i32, size: i32| tensor((0..n).map(|i| i / size).collect::<Vec<i32>>());
        let threes = labels(3000, 3);
        let folds = set(3000).k_fold_stratified(5, &threes, key(0)).unwrap();
        assert_eq!(sizes(folds), [600; 5]);
        let twos = labels(1000, 2);
        let parts = set(1000).split_stratified(0.8, &twos, key(0)).unwrap();
        assert_eq!((parts.train.len(), parts.test.len()), (800, 200));
        assert_eq!(shares(&[5, 3, 1, 1], 0.5), [3, 2, 0, 0]);
        assert_eq!(shares(&[50, 7, 0], 1.0), [50, 7, 0]);
        assert_eq!(shares(&[], 0.3), [0; 0]);
    }

    #[test]
    fn labels_are_vectors_columns_or_one_hot_rows() {
        let labels = tensor([0, 0, 0, 0, 0, 0, 0, 1, 1, 1]);
        let want = rows(&set(10).split_stratified(0.7, &labels, key(1)).unwrap().test);
        assert_eq!(want.iter().filter(|&&i| i >= 7).count(), 1);
        let column = labels.reshape([10, 1]);
        let hot = crate::one_hot((0..10).map(|i| usize::from(i >= 7)), 2);
        for same in [column.clone(), column.to(DType::F32), labels.to(DType::Bool), hot] {
            let got = rows(&set(10).split_stratified(0.7, &same, key(1)).unwrap().test);
            assert_eq!(got, want);
        }
        for (bad, why) in [
            (tensor([1.0, 2.5, 0.0]), "got 2.5 at 1"),
            (tensor([[1.0], [0.0], [0.25]]), "got 0.25 at 2"),
            (tensor([1.0, f32::NAN, 0.0]), "got NaN"),
            (tensor([[1.0, 0.0], [f32::NAN, 0.0], [1.0, 0.0]]), "got NaN"),
            (tensor([1.0, f32::INFINITY, 0.0]), "got inf at 1"),
        ] {
            let e = set(3).split_stratified(0.5, &bad, key(0)).unwrap_err().to_string();
            assert!(e.contains(why), "{e}");
            assert!(set(3).k_fold_stratified(2, &bad, key(0)).is_err());
        }
    }

    #[test]
    fn labels_that_do_not_fit_are_errors() {
        let e = set(3).split_stratified(0.5, &tensor([0, 1]), key(0)).unwrap_err().to_string();
        assert!(e.contains("expected 3 labels, one for each example, got 2"), "{e}");
        assert!(set(3).split_stratified(0.5, &tensor(0), key(0)).is_err());
        assert!(set(3).split_stratified(1.5, &tensor([0, 1, 1]), key(0)).is_err());
    }
}
