//! The plots of a run.

use crate::plot::{Plot, PlotKind, PlotLine, PlotScale};
use crate::text::number;
use crate::tuning::{MAX_DRAWN_CLASSES, MAX_PLOT_LINES};
use neurax_train::{ClassCurves, EpochFields, MetricsLine, PredictionRecord, RunFiles};
use std::collections::BTreeMap;

/// The name of the loss, which comes first.
pub(crate) const FIRST_SCORE: &str = "loss";

/// The name of the line of a score in training.
pub(crate) const TRAINING_LINE: &str = "training";

/// Returns the plots of a run: the loss and the metrics over the epochs and over the steps, with
/// the evaluations of the validation sets inside of epochs, the learning rate over the steps, the
/// throughput over the epochs, and the confusion matrix and the curves of a classifier. Values that
/// the log does not have are left out.
///
/// Scores of one metric for each class, such as `recall[0]` and `recall[1]`, share a plot; those of
/// more than 10 are left out, as no colors would tell them apart.
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

/// The lines of the log that are the points of a plot.
struct PlotAxis<'f> {
    label: &'static str,
    lines: Vec<&'f MetricsLine>,
    position: fn(&MetricsLine) -> f64,
    /// Returns the scores on the validation sets.
    validation: fn(&MetricsLine) -> Option<&BTreeMap<String, Option<f64>>>,
}

impl<'f> PlotAxis<'f> {
    fn of_epochs(files: &'f RunFiles) -> PlotAxis<'f> {
        PlotAxis {
            label: "epoch",
            lines: files.epochs().collect(),
            // Epochs count from 1 for people.
            position: |line| line.epoch as f64 + 1.0,
            validation: |line| line.of_epoch.as_ref().map(|fields| &fields.validation),
        }
    }

    fn of_steps(files: &'f RunFiles) -> PlotAxis<'f> {
        PlotAxis {
            label: "step",
            lines: files.steps().collect(),
            position: |line| line.step as f64,
            validation: |line| Some(&line.validated),
        }
    }

    /// Returns the points of a value.
    fn points(&self, value: &dyn Fn(&MetricsLine) -> Option<f64>) -> Vec<[f64; 2]> {
        let point = |line: &&MetricsLine| Some([(self.position)(line), value(line)?]);
        self.lines.iter().filter_map(point).collect()
    }
}

/// Returns a plot of each metric, whose title is its name and `suffix`.
fn score_plots(axis: &PlotAxis, suffix: &str) -> Vec<Plot> {
    // The metrics by their names without an index, each with the names of its scores.
    let mut groups = BTreeMap::<&str, Vec<&str>>::new();
    for name in axis.lines.iter().flat_map(|line| line.train.keys()) {
        let group = groups.entry(base(name)).or_default();
        if !group.contains(&name.as_str()) {
            group.push(name);
        }
    }
    let first = groups.remove_entry(FIRST_SCORE);
    let plot = |(metric, names): (&str, Vec<&str>)| {
        let lines: Vec<PlotLine> = names.iter().flat_map(|name| lines(axis, name)).collect();
        let fits = !lines.is_empty() && lines.len() <= MAX_PLOT_LINES;
        fits.then(|| score_plot(format!("{metric}{suffix}"), metric, axis.label, lines))
    };
    first.into_iter().chain(groups).filter_map(plot).collect()
}

/// Returns the plot of a metric. Losses that could not be read on a linear scale are logarithmic.
fn score_plot(title: String, metric: &str, label: &str, lines: Vec<PlotLine>) -> Plot {
    let is_loss = metric.ends_with(FIRST_SCORE);
    let found = if is_loss { PlotScale::of(&lines) } else { PlotScale::Linear };
    let mut plot = Plot::lines(title, label, lines);
    if let PlotKind::Lines { scale, .. } = &mut plot.kind {
        *scale = found;
    }
    plot
}

/// Returns the lines of a score: in training, and on each validation set. Of a score with an index,
/// one line: that on the first validation set, or in training if there is none.
fn lines(axis: &PlotAxis, name: &str) -> Vec<PlotLine> {
    let index = name.strip_prefix(base(name)).unwrap_or_default();
    let label = |what: &str| if index.is_empty() { what.into() } else { format!("{what} {index}") };
    let in_training = axis.points(&|line| score(&line.train, name));
    let mut lines = vec![PlotLine::new(label(TRAINING_LINE), in_training)];
    let mut sets = vec![];
    for key in axis.lines.iter().filter_map(|line| (axis.validation)(line)).flat_map(|v| v.keys()) {
        let set = key.strip_suffix(name).filter(|set| set.is_empty() || set.ends_with(' '));
        sets.extend(set.map(str::trim_end).filter(|set| !sets.contains(set)));
    }
    for set in sets {
        let key = if set.is_empty() { name.to_string() } else { format!("{set} {name}") };
        let on_set = |line: &MetricsLine| score((axis.validation)(line)?, &key);
        let what = if set.is_empty() { "validation" } else { set };
        lines.push(PlotLine::new(label(what), axis.points(&on_set)));
    }
    lines.retain(|line| !line.points.is_empty());
    if !index.is_empty() && lines.len() > 1 {
        lines = lines.into_iter().skip(1).take(1).collect();
    }
    lines
}

/// Returns a score; NaN, which interrupts a line, for one that was not finite.
fn score(scores: &BTreeMap<String, Option<f64>>, name: &str) -> Option<f64> {
    scores.get(name).map(|x| x.unwrap_or(f64::NAN))
}

fn speed(fields: &EpochFields) -> Option<f64> {
    (fields.seconds > 0.0).then(|| fields.examples as f64 / fields.seconds)
}

/// Returns the name of a metric without the index of a class.
fn base(name: &str) -> &str {
    name.split('[').next().unwrap_or(name)
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
    use neurax_train::LineKind;

    fn epoch(epoch: usize, train: &[(&str, f64)], validation: &[(&str, f64)]) -> MetricsLine {
        let scores = |all: &[(&str, f64)]| -> BTreeMap<String, Option<f64>> {
            all.iter().map(|(name, x)| (name.to_string(), Some(*x))).collect()
        };
        let of_epoch = Some(EpochFields {
            validation: scores(validation),
            examples: 10,
            skipped: 0,
            halted: false,
            seconds: 2.0,
        });
        let (event, step) = (LineKind::Epoch, 5 * epoch + 5);
        let (train, validated) = (scores(train), scores(&[]));
        MetricsLine { event, epoch, step, time: 0.0, rate: None, train, validated, of_epoch }
    }

    fn plots(lines: Vec<MetricsLine>) -> Vec<Plot> {
        run_plots(&RunFiles { lines, ..RunFiles::default() })
    }

    /// Returns the names and points of the lines of the plot `title`.
    fn lines_of(plots: &[Plot], title: &str) -> Vec<(String, Vec<[f64; 2]>)> {
        let plot = plots.iter().find(|plot| plot.title == title).unwrap();
        match &plot.kind {
            PlotKind::Lines { lines, .. } => {
                lines.iter().map(|line| (line.name.clone(), line.points.clone())).collect()
            }
            PlotKind::HeatMap { .. } => panic!("a heat map"),
        }
    }

    #[test]
    fn a_score_has_a_line_in_training_and_on_each_set() {
        let (train, validation) = ([("loss", 0.5)], [("loss", 0.6), ("night loss", 0.7)]);
        let plots = plots(vec![epoch(0, &train, &validation), epoch(1, &train, &validation)]);
        let lines = lines_of(&plots, "loss");
        let names: Vec<&str> = lines.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["training", "validation", "night"]);
        assert_eq!(lines[2].1, [[1.0, 0.7], [2.0, 0.7]]);
        // The throughput is that of an epoch, as the scores are.
        assert_eq!(lines_of(&plots, "examples per second")[0].1, [[1.0, 5.0], [2.0, 5.0]]);
    }

    #[test]
    fn scores_over_the_steps_have_those_of_evaluations_inside_of_an_epoch() {
        let mut lines: Vec<MetricsLine> = (0..3)
            .map(|i| epoch(i, &[("loss", 0.5), ("accuracy", 0.1)], &[]))
            .map(|line| MetricsLine { event: LineKind::Step, of_epoch: None, ..line })
            .collect();
        lines[1].validated.insert("accuracy".into(), Some(0.7));
        let plots = plots(lines);
        let titles: Vec<&str> = plots.iter().map(|plot| plot.title.as_str()).collect();
        assert_eq!(titles, ["loss in training", "accuracy in training"]);
        let accuracy = lines_of(&plots, "accuracy in training");
        assert_eq!(accuracy[0].1, [[5.0, 0.1], [10.0, 0.1], [15.0, 0.1]]);
        assert_eq!(accuracy[1], ("validation".to_string(), vec![[10.0, 0.7]]));
    }

    #[test]
    fn scores_of_classes_share_a_plot() {
        let scores = [("loss", 1.0), ("recall[0]", 0.1), ("recall[1]", 0.2)];
        let plots_of = plots(vec![epoch(0, &scores, &scores)]);
        let lines = lines_of(&plots_of, "recall");
        let names: Vec<&str> = lines.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["validation [0]", "validation [1]"]);
        let many: Vec<(String, f64)> = (0..11).map(|i| (format!("recall[{i}]"), 0.0)).collect();
        let many: Vec<(&str, f64)> = many.iter().map(|(name, x)| (name.as_str(), *x)).collect();
        assert_eq!(plots(vec![epoch(0, &many, &[])]).len(), 1, "the throughput alone");
    }

    #[test]
    fn a_first_loss_that_flattens_the_others_makes_the_scale_logarithmic() {
        let scores =
            |i| [("loss", if i == 0 { 90.0 } else { 0.5 }), ("error", 90.0 / (i + 1) as f64)];
        let lines = (0..200).map(|i| epoch(i, &scores(i), &[])).collect();
        let captions: Vec<String> = plots(lines).iter().map(Plot::caption).collect();
        assert_eq!(captions[..2], ["loss (logarithmic scale)", "error"]);
    }

    #[test]
    fn a_score_that_is_not_finite_interrupts_its_line() {
        let mut lines: Vec<MetricsLine> = (0..4).map(|i| epoch(i, &[("loss", 0.5)], &[])).collect();
        lines[1].train.insert("loss".into(), None);
        let plots = plots(lines);
        let points = &lines_of(&plots, "loss")[0].1;
        assert_eq!(points.len(), 4);
        assert!(points[1][1].is_nan());
        // A part of one point has no line, and that of two has one.
        let svg = plots[0].to_svg().unwrap();
        let drawn = svg.split('<').filter(|tag| tag.starts_with("polyline"));
        let ends = drawn.filter(|tag| tag.contains("stroke-width=\"2\""));
        let points = ends.map(|tag| tag.split("points=").nth(1).unwrap().matches(',').count());
        assert!(points.clone().all(|n| n <= 2), "{:?}", points.collect::<Vec<_>>());
    }

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
        assert_eq!(plots(vec![]), []);
    }
}
