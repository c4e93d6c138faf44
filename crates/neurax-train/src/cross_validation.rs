//! Cross-validation: trainings on all parts of a data set but one, in turn.

use crate::Scores;
use crate::handlers::interrupt;
use neurax_data::{Dataset, Split};
use neurax_tensor::{Error, Key, Place, Result, Tree};
use std::fmt;
use std::panic::Location;

/// The name of the function in errors.
const CROSS_VALIDATE: &str = "cross_validate";

/// The scores of the folds of a cross-validation: see [`k_fold`].
#[derive(Clone, Debug, PartialEq)]
pub struct CrossValidation {
    /// The scores of each fold.
    pub folds: Vec<Scores>,
    /// The means over the folds.
    pub mean: Scores,
    /// The standard deviations of the scores over the folds, with `k - 1` in the divisor. They
    /// measure how much a score depends on the examples, not the error of its mean.
    pub deviation: Scores,
}

/// Divides a data set at random into `k` parts of nearly equal size, calls `train` for each with
/// that part to test on and all others to train on, and returns the scores, their means and
/// deviations. `train` gets the index of the fold, from 0.
///
/// # Errors
/// As [`Dataset::k_fold`]; the first error of `train`; if it returns scores of other names than in
/// the fold before; and if a signal ended a training with an [`Interrupt`](crate::Interrupt): no
/// further fold is trained.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("flower", dims![_, 4]).dense(16).tanh().dense(3).softmax();
/// let result = train::k_fold(&data::iris()?, 3, key(0), |fold, split| {
///     let trained = Trainer::new(&model, loss::categorical_cross_entropy, optim::adam(0.02))
///         .metric(metric::accuracy())
///         .validate(&split.test)
///         .key(key(fold as i64))
///         .quiet()
///         .run(&split.train.shuffled(key(1)).batched(20), epochs(40))?;
///     Ok(trained.validation.clone())
/// })?;
/// assert!(result.mean["accuracy"] > 0.9, "{result}");
/// assert!(result.folds.len() == 3 && result.deviation["accuracy"] < 0.1, "{result}");
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn k_fold<X: Tree + Clone, Y: Tree + Clone>(
    set: &Dataset<X, Y>,
    k: usize,
    key: Key,
    train: impl FnMut(usize, &Split<X, Y>) -> Result<Scores>,
) -> Result<CrossValidation> {
    let at = Place::from(Location::caller());
    cross_validate(&set.k_fold(k, key).map_err(|e| e.at(&at))?, train)
}

/// Calls `train` for each of some folds as [`k_fold`] does: for those of
/// [`Dataset::k_fold_stratified`], of a [stream](neurax_data::Stream::k_fold), or divided by the
/// user, such as by patients.
///
/// # Errors
/// As [`k_fold`], and if there are no folds.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let set = Dataset::new(Tensor::zeros([4, 1]), tensor([[1.0], [2.0], [3.0], [6.0]]))?;
/// let by_half = [[0, 1, 2, 3], [2, 3, 0, 1]].map(|rows| data::Split {
///     train: set.select(&rows[..2]),
///     test: set.select(&rows[2..]),
/// });
/// // The error of a constant, the mean of the targets.
/// let result = train::cross_validate(&by_half, |_, split| {
///     let error = (&split.test.y - split.train.y.mean(..)).abs().mean(..).item()?;
///     Ok([("error".to_string(), error)].into_iter().collect())
/// })?;
/// assert_eq!((result.mean["error"], result.deviation["error"]), (3.0, 0.0));
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn cross_validate<F>(
    folds: &[F],
    mut train: impl FnMut(usize, &F) -> Result<Scores>,
) -> Result<CrossValidation> {
    let at = Place::from(Location::caller());
    // Of a run before: the signal was not meant for the folds.
    interrupt::has_ended_a_run();
    let scores = folds.iter().enumerate().map(|(i, fold)| {
        let scores = train(i, fold)?;
        match interrupt::has_ended_a_run() {
            true => Err(interrupted(i, folds.len())),
            false => Ok(scores),
        }
    });
    let scores = scores.collect::<Result<_>>();
    scores.and_then(CrossValidation::of).map_err(|e| e.at(&at))
}

/// Returns the error of a signal during the fold `i` of `n`.
fn interrupted(i: usize, n: usize) -> Error {
    let why = format!("expected {n} folds, got a signal such as Ctrl-C in fold {}", i + 1);
    Error::new(CROSS_VALIDATE, why)
}

impl CrossValidation {
    /// Computes the means and deviations of scores of the same names.
    fn of(folds: Vec<Scores>) -> Result<CrossValidation> {
        let first = folds.first().ok_or_else(|| {
            Error::new(CROSS_VALIDATE, "expected the scores of at least one fold, got none")
        })?;
        let names = |scores: &Scores| -> Vec<String> {
            scores.iter().map(|(name, _)| name.into()).collect()
        };
        let want = names(first);
        if let Some((i, other)) = folds.iter().enumerate().find(|(_, fold)| names(fold) != want) {
            let (fold, got) = (i + 1, names(other));
            let why = format!("expected the scores {want:?} in fold {fold}, got {got:?}");
            return Err(Error::new(CROSS_VALIDATE, why));
        }
        let of_each = |f: fn(&[f64]) -> f64| -> Scores {
            let values = |name: &String| -> Vec<f64> { folds.iter().map(|x| x[name]).collect() };
            want.iter().map(|name| (name.clone(), f(&values(name)))).collect()
        };
        let (mean, deviation) = (of_each(mean), of_each(deviation));
        Ok(CrossValidation { folds, mean, deviation })
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn deviation(values: &[f64]) -> f64 {
    let center = mean(values);
    let squares: f64 = values.iter().map(|x| (x - center).powi(2)).sum();
    (squares / values.len().saturating_sub(1) as f64).sqrt()
}

/// A line for each fold, and one of `mean ± deviation`.
impl fmt::Display for CrossValidation {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for (i, fold) in self.folds.iter().enumerate() {
            writeln!(f, "fold {}/{}  {fold}", i + 1, self.folds.len())?;
        }
        let score = |(name, x): (&str, f64)| format!("{name} {x:.4} ± {:.4}", self.deviation[name]);
        let all: Vec<String> = self.mean.iter().map(score).collect();
        write!(f, "mean  {}", all.join("  "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_data::Stream;
    use neurax_tensor::key;

    fn scores(rows: &[(&str, f64)]) -> Scores {
        rows.iter().map(|(name, x)| (name.to_string(), *x)).collect()
    }

    #[test]
    fn means_and_deviations_are_those_of_the_folds() {
        let folds = [1.0, 2.0, 6.0].map(|x| scores(&[("loss", x), ("accuracy", 0.5)]));
        let found = CrossValidation::of(folds.into()).unwrap();
        assert_eq!((found.mean["loss"], found.mean["accuracy"]), (3.0, 0.5));
        assert_eq!((found.deviation["loss"], found.deviation["accuracy"]), (7f64.sqrt(), 0.0));
        assert_eq!(
            found.to_string(),
            "fold 1/3  loss 1.0000  accuracy 0.5000\n\
             fold 2/3  loss 2.0000  accuracy 0.5000\n\
             fold 3/3  loss 6.0000  accuracy 0.5000\n\
             mean  loss 3.0000 ± 2.6458  accuracy 0.5000 ± 0.0000"
        );
        let one = CrossValidation::of(vec![scores(&[("loss", 2.0)])]).unwrap();
        assert!(one.deviation["loss"].is_nan(), "one value has no deviation");
    }

    #[test]
    fn folds_of_a_stream_are_taken() {
        let folds = Stream::range(0..5).k_fold(2, key(0)).unwrap();
        let found = cross_validate(&folds, |i, fold| {
            let size = fold.train.len().unwrap() as f64;
            Ok(scores(&[("train", size), ("fold", i as f64)]))
        });
        let found = found.unwrap();
        assert_eq!((found.mean["train"], found.mean["fold"]), (2.5, 0.5));
    }

    #[test]
    fn folds_without_the_same_scores_are_an_error() {
        let folds = vec![scores(&[("loss", 1.0)]), scores(&[("cost", 1.0)])];
        let e = CrossValidation::of(folds).unwrap_err().to_string();
        assert!(e.contains(r#"expected the scores ["loss"] in fold 2, got ["cost"]"#), "{e}");
        assert!(CrossValidation::of(vec![]).is_err());
    }
}
