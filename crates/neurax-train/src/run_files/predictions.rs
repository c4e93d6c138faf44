//! [`PredictionRecord`].

use super::{PREDICTIONS_FILE, document};
use crate::tuning::MAX_CURVE_POINTS;
use neurax_nn::metric::exact::{Curve, average_precision, precision_recall_curve, roc_curve};
use neurax_tensor::{DType, Error, Result, Tensor};
use serde::{Deserialize, Serialize};
use std::path::Path;

const PREDICTIONS_FORMAT: &str = "neurax-predictions";
/// The probability at or above which a single output counts as positive.
const POSITIVE_FROM: f64 = 0.5;
/// The most classes whose curves are stored, which is the number of lines that a plot can show.
const MAX_CURVE_CLASSES: usize = 10;

/// The quality of a classifier on a data set, in `predictions.json` of a
/// [`RunDirectory`](crate::RunDirectory): counts and curves, not the predictions.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let probabilities = tensor([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3]]);
/// let classes = ["cat", "dog"];
/// let found = train::PredictionRecord::of(&probabilities, &tensor([0, 0, 1, 1]), &classes)?;
/// assert_eq!(found.confusion, [[1, 1], [1, 1]]);
/// assert_eq!((found.curves[0].class.as_str(), found.curves[0].roc_auc), ("dog", 0.75));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PredictionRecord {
    /// The names of the classes.
    pub classes: Vec<String>,
    /// The number of examples by true class (row) and predicted class (column).
    pub confusion: Vec<Vec<u64>>,
    /// The curves of classes against all others: of the first 10 ones of which there is an example,
    /// and not all examples.
    pub curves: Vec<ClassCurves>,
    /// The number of completed steps of the run, if it is known.
    #[serde(default)]
    pub step: Option<usize>,
}

/// The curves of a class against all others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClassCurves {
    /// The name of the class.
    pub class: String,
    /// Pairs of the false and the true positive rate, some hundreds of them.
    pub roc: Vec<[f64; 2]>,
    /// The area under the exact ROC curve.
    pub roc_auc: f64,
    /// Pairs of recall and precision, some hundreds of them.
    pub precision_recall: Vec<[f64; 2]>,
    /// The exact average precision.
    pub average_precision: f64,
}

impl PredictionRecord {
    /// Computes the counts and curves of probabilities `[examples, classes]` and targets: indices
    /// `[examples]` or `[examples, 1]`, or one-hot `[examples, classes]`. Probabilities of one
    /// column, `[examples]` or `[examples, 1]`, are those of the second of two classes, which is
    /// predicted from 0.5 on. Of equal probabilities, the first class is predicted. Without
    /// `names`, classes are called by their indices.
    ///
    /// # Errors
    /// If the shapes do not fit each other or the number of names, a probability is NaN, or a
    /// target is no index of a class, or a row of targets has another number of ones than one.
    pub fn of(
        probabilities: &Tensor,
        targets: &Tensor,
        names: &[&str],
    ) -> Result<PredictionRecord> {
        let scores = ClassScores::new(probabilities)?;
        if scores.rows.iter().flatten().any(|x| x.is_nan()) {
            return Err(unexpected("probabilities, got NaN".into()));
        }
        let targets = scores.targets(targets)?;
        let classes = class_names(scores.classes, names)?;
        let mut confusion = vec![vec![0; scores.classes]; scores.classes];
        for (row, target) in scores.rows.iter().zip(&targets) {
            let cell = confusion.get_mut(*target).and_then(|of| of.get_mut(scores.predicted(row)));
            *cell.ok_or_else(|| Error::bug("a class is outside of the confusion matrix"))? += 1;
        }
        let mut curves = vec![];
        // Two classes have the same curves in reverse.
        let first = if scores.classes == 2 { 1 } else { 0 };
        for (index, class) in classes.iter().enumerate().skip(first) {
            if curves.len() < MAX_CURVE_CLASSES {
                curves.extend(scores.curves(index, class, &targets)?);
            }
        }
        Ok(PredictionRecord { classes, confusion, curves, step: None })
    }

    /// Checks what [`PredictionRecord::of`] would read, except that probabilities are numbers.
    ///
    /// # Errors
    /// If the shapes, the targets or the number of names do not fit.
    pub(crate) fn check(probabilities: &Tensor, targets: &Tensor, names: &[&str]) -> Result<()> {
        let scores = ClassScores::new(probabilities)?;
        scores.targets(targets)?;
        class_names(scores.classes, names).map(drop)
    }

    /// Reads the record of a directory; `None` if it has none.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, or was written by another version.
    pub fn read(directory: impl AsRef<Path>) -> Result<Option<PredictionRecord>> {
        document::read(&directory.as_ref().join(PREDICTIONS_FILE), PREDICTIONS_FORMAT)
    }

    /// Replaces the record of a directory, for predictions that
    /// [`RunDirectory::classify`](crate::RunDirectory::classify) does not make.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, directory: impl AsRef<Path>) -> Result<()> {
        let path = directory.as_ref().join(PREDICTIONS_FILE);
        document::write_compact(&path, PREDICTIONS_FORMAT, self)
    }
}

/// The probabilities of all classes, one row for each example.
struct ClassScores {
    classes: usize,
    /// True if only the probability of the second class was given.
    has_one_column: bool,
    rows: Vec<Vec<f64>>,
}

impl ClassScores {
    fn new(probabilities: &Tensor) -> Result<ClassScores> {
        let ty = probabilities.ty()?;
        let columns = match *ty.shape {
            [_] => 1,
            [_, columns] if columns > 0 => columns,
            _ => return Err(unexpected(format!("probabilities [examples, classes], got {ty}"))),
        };
        let values = probabilities.to(DType::F64).to_vec::<f64>()?;
        let row = |row: &[f64]| match *row {
            [p] => vec![1.0 - p, p],
            _ => row.to_vec(),
        };
        let rows = values.chunks(columns).map(row).collect();
        Ok(ClassScores { classes: columns.max(2), has_one_column: columns == 1, rows })
    }

    /// Returns the index of the class that is predicted from the probabilities of an example.
    fn predicted(&self, row: &[f64]) -> usize {
        match *row {
            [_, p] if self.has_one_column => usize::from(p >= POSITIVE_FROM),
            _ => largest(row),
        }
    }

    /// Returns the index of the class of each example.
    fn targets(&self, targets: &Tensor) -> Result<Vec<usize>> {
        let (ty, examples) = (targets.ty()?, self.rows.len());
        let values = targets.to(DType::F64).to_vec::<f64>()?;
        let index = |x: &f64| {
            let is_index = x.fract() == 0.0 && (0.0..self.classes as f64).contains(x);
            let why = || unexpected(format!("targets from 0 to {}, got {x}", self.classes - 1));
            is_index.then_some(*x as usize).ok_or_else(why)
        };
        let one = |row: &[f64]| {
            let is_one_hot = row.iter().all(|x| *x == 0.0 || *x == 1.0);
            let why = || unexpected("targets with a single 1 in a row, and else 0".into());
            let ones = row.iter().filter(|x| **x == 1.0).count();
            (is_one_hot && ones == 1).then(|| largest(row)).ok_or_else(why)
        };
        match *ty.shape {
            [n] | [n, 1] if n == examples => values.iter().map(index).collect(),
            [n, k] if n == examples && k == self.classes => values.chunks(k).map(one).collect(),
            _ => Err(unexpected(format!("targets of {examples} examples, got {ty}"))),
        }
    }

    /// Returns the curves of a class; `None` if all examples or none are of the class.
    fn curves(&self, index: usize, class: &str, targets: &[usize]) -> Result<Option<ClassCurves>> {
        let positives = targets.iter().filter(|t| **t == index).count();
        if positives == 0 || positives == targets.len() {
            return Ok(None);
        }
        let scores: Vec<f64> = self.rows.iter().filter_map(|row| row.get(index).copied()).collect();
        let is_class: Vec<i32> = targets.iter().map(|t| i32::from(*t == index)).collect();
        let n = targets.len();
        let (y, t) = (Tensor::from_vec(scores, [n]), Tensor::from_vec(is_class, [n]));
        let roc = roc_curve(&y, &t)?;
        Ok(Some(ClassCurves {
            class: class.into(),
            roc: points(&roc),
            roc_auc: roc.area(),
            precision_recall: points(&precision_recall_curve(&y, &t)?),
            average_precision: average_precision(&y, &t)?,
        }))
    }
}

/// Returns the index of the largest number, the first one of equal numbers.
fn largest(row: &[f64]) -> usize {
    let (mut best, mut largest) = (0, f64::NEG_INFINITY);
    for (i, x) in row.iter().enumerate() {
        if *x > largest {
            (best, largest) = (i, *x);
        }
    }
    best
}

fn class_names(classes: usize, names: &[&str]) -> Result<Vec<String>> {
    match names.len() {
        0 => Ok((0..classes).map(|i| i.to_string()).collect()),
        n if n == classes => Ok(names.iter().map(|name| name.to_string()).collect()),
        n => Err(unexpected(format!("{classes} names of classes, got {n}"))),
    }
}

/// Returns some of the points, the first and the last one among them.
fn points(curve: &Curve) -> Vec<[f64; 2]> {
    let last = curve.x.len().saturating_sub(1);
    let stride = last.div_ceil(MAX_CURVE_POINTS).max(1);
    let all = curve.x.iter().zip(&curve.y).enumerate();
    let some = all.filter(|(i, _)| i % stride == 0 || *i == last);
    some.map(|(_, (x, y))| [*x, *y]).collect()
}

fn unexpected(what: String) -> Error {
    Error::new("predictions", format!("expected {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::{key, tensor};

    #[test]
    fn one_output_is_the_second_class() {
        let y = tensor([0.2, 0.5, 0.9, 0.4]);
        let found = PredictionRecord::of(&y, &tensor([0, 0, 1, 1]), &[]).unwrap();
        assert_eq!(found.classes, ["0", "1"]);
        assert_eq!(found.confusion, [[1, 1], [1, 1]]);
        assert_eq!(found.curves.len(), 1);
        assert_eq!(found.curves[0].roc_auc, 0.75);
        let column = PredictionRecord::of(&y.reshape([4, 1]), &tensor([[0], [0], [1], [1]]), &[]);
        assert_eq!(column.unwrap(), found);
    }

    #[test]
    fn one_hot_targets_are_indices() {
        let y = tensor([[0.5, 0.2, 0.3], [0.1, 0.8, 0.1], [0.3, 0.4, 0.3]]);
        let t = tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]);
        let found = PredictionRecord::of(&y, &t, &["a", "b", "c"]).unwrap();
        assert_eq!(found.confusion, [[1, 1, 0], [0, 1, 0], [0, 0, 0]]);
        let classes: Vec<&str> = found.curves.iter().map(|c| c.class.as_str()).collect();
        assert_eq!(classes, ["a", "b"], "there is no example of the class c");
    }

    #[test]
    fn long_curves_are_thinned_between_their_ends() {
        let y = key(0).uniform([4000]);
        let t = key(1).uniform([4000]).lt(&y).to(DType::I32);
        let found = PredictionRecord::of(&y, &t, &[]).unwrap();
        let roc = &found.curves[0].roc;
        assert!(roc.len() <= MAX_CURVE_POINTS + 2, "{}", roc.len());
        assert_eq!((roc[0], roc[roc.len() - 1]), ([0.0, 0.0], [1.0, 1.0]));
        assert!((found.curves[0].roc_auc - 5.0 / 6.0).abs() < 0.03);
    }

    #[test]
    fn the_first_one_of_equal_classes_is_predicted() {
        let y = tensor([[0.4, 0.4, 0.2], [0.2, 0.4, 0.4]]);
        let found = PredictionRecord::of(&y, &tensor([0, 1]), &[]).unwrap();
        assert_eq!(found.confusion, [[1, 0, 0], [0, 1, 0], [0, 0, 0]]);
    }

    #[test]
    fn a_thousand_classes_make_a_small_file() {
        let y = key(0).uniform([2000, 1000]);
        let t = Tensor::from_vec((0..2000).map(|i| i % 1000).collect::<Vec<i32>>(), [2000]);
        let found = PredictionRecord::of(&y, &t, &[]).unwrap();
        assert_eq!(found.curves.len(), MAX_CURVE_CLASSES);
        let name = format!("neurax-predictions-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        found.write(&directory).unwrap();
        let bytes = std::fs::metadata(directory.join(PREDICTIONS_FILE)).unwrap().len();
        assert!(bytes < 3_000_000, "{bytes}");
        let read = PredictionRecord::read(&directory).unwrap().unwrap();
        assert!(read.confusion == found.confusion && read.classes == found.classes);
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let y = tensor([[0.5, 0.5], [0.1, 0.9]]);
        for (y, t, names, want) in [
            (y.clone(), tensor([0, 2]), &[][..], "targets from 0 to 1, got 2"),
            (y.clone(), tensor([0, 1, 1]), &[], "targets of 2 examples"),
            (y.clone(), tensor([0, 1]), &["a"], "2 names of classes, got 1"),
            (Tensor::zeros([2, 2, 2]), tensor([0, 1]), &[], "probabilities [examples, classes]"),
            (tensor([f32::NAN, 0.0]), tensor([0, 1]), &[], "got NaN"),
            (y.clone(), tensor([[0.0, 0.0], [0.0, 1.0]]), &[], "a single 1 in a row"),
            (y.clone(), tensor([[1.0, 1.0], [0.0, 1.0]]), &[], "a single 1 in a row"),
            (y.clone(), tensor([[0.9, 0.1], [0.0, 1.0]]), &[], "a single 1 in a row"),
        ] {
            let e = PredictionRecord::of(&y, &t, names).unwrap_err().to_string();
            assert!(e.contains(want), "{e}");
        }
    }
}
