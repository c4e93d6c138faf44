//! The plots of a run.

use crate::plot::{Plot, PlotKind, PlotLine, PlotScale};
use crate::score_plots::{PlotAxis, score_plots};
use crate::text::number;
use crate::tuning::{MAX_DRAWN_CLASSES, MAX_PLOT_LINES};
use neurax_train::{ClassCurves, EpochFields, MetricsLine, PredictionRecord, RunFiles};

/// Returns the plots of a run: the loss and the metrics over the epochs and over the steps, with
/// the evaluations of the validation sets inside of epochs, the learning rate over the steps, the
/// throughput over the epochs, and the confusion matrix and the curves of a classifier. Values that
/// the log does not have are left out.
///
/// Scores of one metric for each class or layer, such as `recall[0]` and `recall[1]`, share a plot;
/// of more than 10, those that change most are drawn, as no colors would tell more apart.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// # let run = std::env::temp_dir().join(format!("neurax-doc-plots-{}", std::process::id()));
/// let iris = data::iris()?.split(0.8, key(0));
/// let model = nn::input("flower", dims![_, 4]).dense(3).softmax();
/// Trainer::new(&model, loss::categorical_cross_entropy, optim::adam(0.01))
///     .validate(&iris.test)
///     .record(train::RunDirectory::new(&run).classify(&iris.test, &[]))
///     .quiet()
///     .run(&iris.train.batched(10), epochs(3))?;
/// let plots = neurax_report::run_plots(&train::RunFiles::read(&run));
/// let titles: Vec<&str> = plots.iter().map(|plot| plot.title.as_str()).collect();
/// assert_eq!(titles[..3], ["loss", "loss in training", "learning rate"]);
/// assert_eq!(titles[4..], ["confusion matrix", "ROC curves", "precision and recall"]);
/// # std::fs::remove_dir_all(&run)?;
/// # Ok::<(), Error>(())
/// ```
pub fn run_plots(files: &RunFiles) -> Vec<Plot> {
    let mut plots = score_plots(&PlotAxis::of_epochs(files), "");
    plots.extend(score_plots(&PlotAxis::of_steps(files), " in training"));
    let point = |line: &MetricsLine| Some([line.step as f64, line.rate?]);
    let rates: Vec<[f64; 2]> = files.lines.iter().filter_map(point).collect();
    if !rates.is_empty() {
        plots.push(Plot::lines("learning rate", "step", vec![PlotLine::new("", rates)]));
    }
    plots.extend(speed_plot(files));
    if let Some(predictions) = &files.predictions {
        plots.extend(prediction_plots(predictions));
    }
    plots
}

/// Returns a confusion matrix and the curves of the classes.
pub(crate) fn prediction_plots(predictions: &PredictionRecord) -> Vec<Plot> {
    let mut plots = vec![confusion_plot(predictions)];
    if !predictions.curves.is_empty() {
        let shown = predictions.curves.get(..MAX_PLOT_LINES).unwrap_or(&predictions.curves);
        let all = predictions.classes.len();
        let title = |of: &str| match all > MAX_PLOT_LINES {
            true => format!("{of} ({} of {all} classes)", shown.len()),
            false => of.to_string(),
        };
        let roc = |c: &ClassCurves| named(&c.class, c.roc_auc, &c.roc);
        let lines = shown.iter().map(roc).collect();
        let title_of = title("ROC curves");
        plots.push(unit_plot(title_of, "false positive rate", "true positive rate", lines));
        let pr = |c: &ClassCurves| named(&c.class, c.average_precision, &c.precision_recall);
        let lines = shown.iter().map(pr).collect();
        plots.push(unit_plot(title("precision and recall"), "recall", "precision", lines));
    }
    plots
}

/// Returns the confusion matrix; of more than 60 classes, that of the most confused ones.
fn confusion_plot(predictions: &PredictionRecord) -> Plot {
    let (all, shown) = (predictions.classes.len(), drawn_classes(predictions));
    let name = |i: &usize| predictions.classes.get(*i).cloned();
    let names: Vec<String> = shown.iter().filter_map(name).collect();
    let numbers = |i: &usize| -> Vec<f64> {
        let row = predictions.confusion.get(*i);
        let at = |j: &usize| row.and_then(|row| row.get(*j)).map_or(f64::NAN, |n| *n as f64);
        shown.iter().map(at).collect()
    };
    let kind = PlotKind::HeatMap {
        row_label: "true class".into(),
        column_label: "predicted class".into(),
        rows: names.clone(),
        columns: names,
        values: shown.iter().map(numbers).collect(),
    };
    let title = match shown.len() < all {
        true => format!("confusion matrix ({} most confused of {all} classes)", shown.len()),
        false => "confusion matrix".into(),
    };
    Plot { title, kind }
}

/// Returns the indices of the classes in a confusion matrix that can be read: of many classes,
/// those with the most errors in their row and column.
fn drawn_classes(predictions: &PredictionRecord) -> Vec<usize> {
    let mut errors = vec![0u64; predictions.classes.len()];
    for (i, row) in predictions.confusion.iter().enumerate() {
        for (j, n) in row.iter().enumerate().filter(|(j, _)| *j != i) {
            for class in [i, j] {
                if let Some(sum) = errors.get_mut(class) {
                    *sum = sum.saturating_add(*n);
                }
            }
        }
    }
    let mut classes: Vec<(usize, u64)> = errors.into_iter().enumerate().collect();
    classes.sort_by_key(|(_, errors)| std::cmp::Reverse(*errors));
    let mut shown: Vec<usize> = classes.into_iter().take(MAX_DRAWN_CLASSES).map(|c| c.0).collect();
    shown.sort_unstable();
    shown
}

/// Returns the plots over the epochs: those of the metrics, and that of the throughput.
pub(crate) fn epoch_plots(files: &RunFiles) -> Vec<Plot> {
    score_plots(&PlotAxis::of_epochs(files), "").into_iter().chain(speed_plot(files)).collect()
}

/// Returns the plot of the throughput, a number of each epoch, unless the log has none.
fn speed_plot(files: &RunFiles) -> Option<Plot> {
    let axis = PlotAxis::of_epochs(files);
    let points = axis.points(&|line| line.of_epoch.as_ref().and_then(speed));
    let line = PlotLine::new("", points);
    (!line.points.is_empty()).then(|| Plot::lines("examples per second", "epoch", vec![line]))
}

fn speed(fields: &EpochFields) -> Option<f64> {
    (fields.seconds > 0.0).then(|| fields.examples as f64 / fields.seconds)
}

fn named(class: &str, area: f64, points: &[[f64; 2]]) -> PlotLine {
    PlotLine::new(format!("{class} (area {})", number(area)), points.to_vec())
}

/// Returns a plot whose axes go from 0 to 1.
fn unit_plot(title: impl Into<String>, x_label: &str, y_label: &str, lines: Vec<PlotLine>) -> Plot {
    let range = Some([[0.0, 1.0], [0.0, 1.02]]);
    let (x_label, y_label) = (x_label.into(), y_label.into());
    let scale = PlotScale::Linear;
    Plot { title: title.into(), kind: PlotKind::Lines { x_label, y_label, range, scale, lines } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_classes_the_most_confused_ones_are_drawn() {
        let n = 1000;
        let mut confusion = vec![vec![0; n]; n];
        (0..n).for_each(|i| confusion[i][i] = 5);
        confusion[999][500] = 3;
        let classes = (0..n).map(|i| i.to_string()).collect();
        let curve = |i: usize| ClassCurves { class: i.to_string(), ..ClassCurves::default() };
        let curves = (0..10).map(curve).collect();
        let record = PredictionRecord { classes, confusion, curves, step: None };
        let plots = prediction_plots(&record);
        let titles: Vec<&str> = plots.iter().map(|plot| plot.title.as_str()).collect();
        assert_eq!(titles[0], "confusion matrix (60 most confused of 1000 classes)");
        assert_eq!(titles[1], "ROC curves (10 of 1000 classes)");
        let PlotKind::HeatMap { rows, values, .. } = &plots[0].kind else { panic!("no heat map") };
        assert_eq!(rows[58..], ["500", "999"]);
        assert_eq!(values[59][58], 3.0);
        let bytes: usize = plots.iter().map(|plot| plot.to_svg().unwrap().len()).sum();
        assert!(bytes < 2_000_000, "{bytes}");
    }

    #[test]
    fn a_log_without_lines_has_no_plots() {
        assert_eq!(run_plots(&RunFiles::default()), []);
    }
}
