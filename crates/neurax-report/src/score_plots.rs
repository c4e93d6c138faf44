//! The plots of scores over the epochs or the steps.

use crate::plot::{Plot, PlotKind, PlotLine, PlotScale};
use crate::score_names::{FIRST_SCORE, by_metric_and_index, metric_and_index};
use crate::text::count;
use crate::tuning::MAX_PLOT_LINES;
use neurax_train::{MetricsLine, RunFiles};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// The name of the line of a score in training.
pub(crate) const TRAINING_LINE: &str = "training";

/// The lines of the log that are the points of a plot.
pub(crate) struct PlotAxis<'f> {
    label: &'static str,
    lines: Vec<&'f MetricsLine>,
    position: fn(&MetricsLine) -> f64,
    /// Returns the scores on the validation sets.
    validation: fn(&MetricsLine) -> Option<&BTreeMap<String, Option<f64>>>,
}

impl<'f> PlotAxis<'f> {
    pub fn of_epochs(files: &'f RunFiles) -> PlotAxis<'f> {
        PlotAxis {
            label: "epoch",
            lines: files.epochs().collect(),
            // Epochs count from 1 for people.
            position: |line| line.epoch as f64 + 1.0,
            validation: |line| line.of_epoch.as_ref().map(|fields| &fields.validation),
        }
    }

    pub fn of_steps(files: &'f RunFiles) -> PlotAxis<'f> {
        PlotAxis {
            label: "step",
            lines: files.steps().collect(),
            position: |line| line.step as f64,
            validation: |line| Some(&line.validated),
        }
    }

    /// Returns the points of a value.
    pub fn points(&self, value: &dyn Fn(&MetricsLine) -> Option<f64>) -> Vec<[f64; 2]> {
        let point = |line: &&MetricsLine| Some([(self.position)(line), value(line)?]);
        self.lines.iter().filter_map(point).collect()
    }

    /// Returns the points of a score on the validation sets.
    fn validated(&self, key: &str) -> Vec<[f64; 2]> {
        self.points(&|line| score((self.validation)(line)?, key))
    }
}

/// Returns the plots of each metric, whose titles end with `suffix`: that of a score without an
/// index, with lines in training and on the validation sets, and that of the scores with an index.
pub(crate) fn score_plots(axis: &PlotAxis, suffix: &str) -> Vec<Plot> {
    let scores = LoggedScores::of(axis);
    let mut metrics = BTreeMap::<&str, Vec<&str>>::new();
    for name in scores.train.keys() {
        metrics.entry(metric_and_index(name).0).or_default().push(name);
    }
    let first = metrics.remove_entry(FIRST_SCORE);
    let plots_of = |(metric, names): (&str, Vec<&str>)| {
        let (scalar, indexed): (Vec<&str>, Vec<&str>) =
            names.into_iter().partition(|name| *name == metric);
        let by_index = if scalar.is_empty() { "" } else { " by index" };
        let (mut lines, mut of_all) = (scores.lines(axis, metric), String::new());
        if lines.len() > MAX_PLOT_LINES {
            of_all = format!(" ({MAX_PLOT_LINES} of {} lines)", count(lines.len() as u64));
            lines.truncate(MAX_PLOT_LINES);
        }
        let title = format!("{metric}{suffix}{of_all}");
        let of_scalar = (!lines.is_empty()).then(|| score_plot(title, metric, axis.label, lines));
        let (lines, of_all) = scores.lines_by_index(axis, &indexed);
        let title = format!("{metric}{by_index}{suffix}{of_all}");
        let of_indexed = (!lines.is_empty()).then(|| score_plot(title, metric, axis.label, lines));
        of_scalar.into_iter().chain(of_indexed).collect::<Vec<Plot>>()
    };
    first.into_iter().chain(metrics).flat_map(plots_of).collect()
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

/// The names of the scores of a log. They are collected in one pass over the log, as a metric may
/// have thousands of scores.
struct LoggedScores<'f> {
    /// The scores in training.
    train: BTreeMap<&'f str, ScoreRange>,
    /// The same on the validation sets, by names with the set in front.
    validation: BTreeMap<&'f str, ScoreRange>,
    /// The validation sets that have a score in training, each with the name there: `night` and
    /// `night loss` for `loss`. The set without a name comes first.
    sets: BTreeMap<&'f str, BTreeMap<&'f str, &'f str>>,
}

impl<'f> LoggedScores<'f> {
    fn of(axis: &PlotAxis<'f>) -> LoggedScores<'f> {
        let train = ranges(axis.lines.iter().map(|line| &line.train));
        let validation = ranges(axis.lines.iter().filter_map(|line| (axis.validation)(line)));
        let mut sets = BTreeMap::<&str, BTreeMap<&str, &str>>::new();
        for key in validation.keys().copied() {
            // Sets and scores may have spaces in their names: the longest name of a score is taken.
            let split = |(at, _): (usize, &str)| Some((key.get(..at)?, key.get(at + 1..)?));
            let splits = key.match_indices(' ').filter_map(split);
            let mut all = std::iter::once(("", key)).chain(splits);
            if let Some((set, name)) = all.find(|(_, name)| train.contains_key(name)) {
                sets.entry(name).or_default().insert(set, key);
            }
        }
        LoggedScores { train, validation, sets }
    }

    /// Returns the lines of a score without an index: in training, and on each validation set.
    fn lines(&self, axis: &PlotAxis, name: &str) -> Vec<PlotLine> {
        if !self.train.contains_key(name) {
            return vec![];
        }
        let in_training = axis.points(&|line| score(&line.train, name));
        let on_set = |(set, key): (&&str, &&str)| PlotLine::new(set_name(set), axis.validated(key));
        let sets = self.sets.get(name).into_iter().flatten().map(on_set);
        std::iter::once(PlotLine::new(TRAINING_LINE, in_training)).chain(sets).collect()
    }

    /// Returns a line for each score with an index: on the first validation set, or in training if
    /// there is none. Of more than 10, those that change most are returned, with a text that says
    /// so for the title: first those of which some values are not finite, then those with the
    /// largest ranges.
    fn lines_by_index(&self, axis: &PlotAxis, names: &[&'f str]) -> (Vec<PlotLine>, String) {
        let first_set = |name: &str| self.sets.get(name)?.first_key_value();
        let range = |name: &str| {
            let found = match first_set(name) {
                Some((_, key)) => self.validation.get(key),
                None => self.train.get(name),
            };
            found.copied().unwrap_or_default()
        };
        let (mut chosen, all) = (names.to_vec(), names.len());
        chosen.sort_by(|a, b| by_metric_and_index(a, b));
        if all > MAX_PLOT_LINES {
            chosen.sort_by(|a, b| range(b).by_change(&range(a)));
            chosen.truncate(MAX_PLOT_LINES);
            chosen.sort_by(|a, b| by_metric_and_index(a, b));
        }
        // A line without a set is one in training: another text would make long names longer.
        let line = |name: &&str| {
            let index = metric_and_index(name).1;
            match first_set(name) {
                Some((set, key)) => {
                    PlotLine::new(format!("{} {index}", set_name(set)), axis.validated(key))
                }
                None => PlotLine::new(index, axis.points(&|line| score(&line.train, name))),
            }
        };
        let of_all = match all > MAX_PLOT_LINES {
            true => format!(" (the {MAX_PLOT_LINES} of {} that change most)", count(all as u64)),
            false => String::new(),
        };
        (chosen.iter().map(line).collect(), of_all)
    }
}

/// The values of a score.
#[derive(Clone, Copy, Default)]
struct ScoreRange {
    /// The ends of the finite values, if there are any.
    ends: Option<[f64; 2]>,
    /// True if a value is not finite, which interrupts the line.
    has_gap: bool,
}

impl ScoreRange {
    /// Adds a value; `None` is one that was not finite.
    fn add(&mut self, value: Option<f64>) {
        match value.filter(|x| x.is_finite()) {
            Some(x) => {
                let [low, high] = self.ends.unwrap_or([x, x]);
                self.ends = Some([low.min(x), high.max(x)]);
            }
            None => self.has_gap = true,
        }
    }

    /// Compares how much two scores change. One that is finite in some lines alone changes more
    /// than one that always is, and one that is never finite does not change.
    fn by_change(&self, other: &ScoreRange) -> Ordering {
        let is_interrupted = |range: &ScoreRange| range.has_gap && range.ends.is_some();
        let width = |range: &ScoreRange| range.ends.map_or(0.0, |[low, high]| high - low);
        let by_width = width(self).total_cmp(&width(other));
        is_interrupted(self).cmp(&is_interrupted(other)).then(by_width)
    }
}

/// Returns the names of scores, each with its values.
fn ranges<'f>(
    lines: impl Iterator<Item = &'f BTreeMap<String, Option<f64>>>,
) -> BTreeMap<&'f str, ScoreRange> {
    let mut ranges = BTreeMap::<&str, ScoreRange>::new();
    for (name, value) in lines.flatten() {
        ranges.entry(name.as_str()).or_default().add(*value);
    }
    ranges
}

/// Returns the name of the line of a validation set.
fn set_name(set: &str) -> &str {
    if set.is_empty() { "validation" } else { set }
}

/// Returns a score; NaN, which interrupts a line, for one that was not finite.
fn score(scores: &BTreeMap<String, Option<f64>>, name: &str) -> Option<f64> {
    scores.get(name).map(|x| x.unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_plots::run_plots;
    use neurax_train::{EpochFields, LineKind};

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
    }

    #[test]
    fn of_many_layers_the_norms_that_change_most_are_drawn_beside_the_norm_of_all() {
        let names: Vec<String> = (0..12).map(|i| format!("gradient_norm[dense_{i}]")).collect();
        let line = |i: usize| {
            // The norms of the layers 3 and 7 are constant.
            let norm = |layer: usize| if layer % 4 == 3 && layer < 8 { 2.0 } else { i as f64 };
            let of_layer = |(layer, name): (usize, &String)| (name.clone(), norm(layer));
            let mut scores: Vec<(String, f64)> = names.iter().enumerate().map(of_layer).collect();
            scores.push(("gradient_norm".into(), 5.0));
            let scores: Vec<(&str, f64)> = scores.iter().map(|(n, x)| (n.as_str(), *x)).collect();
            epoch(i, &scores, &[])
        };
        let plots_of = plots((0..3).map(line).collect());
        let titles: Vec<&str> = plots_of.iter().map(|plot| plot.title.as_str()).collect();
        let by_index = "gradient_norm by index (the 10 of 12 that change most)";
        assert_eq!(titles, ["gradient_norm", by_index, "examples per second"]);
        let all = lines_of(&plots_of, "gradient_norm");
        assert_eq!(all, [("training".into(), vec![[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]])]);
        let layers = lines_of(&plots_of, by_index);
        assert_eq!(layers.len(), 10);
        assert!(layers.iter().any(|(name, _)| name == "[dense_11]"), "{layers:?}");
        for constant in ["[dense_3]", "[dense_7]"] {
            assert!(!layers.iter().any(|(name, _)| name.ends_with(constant)), "{layers:?}");
        }
    }

    #[test]
    fn of_many_norms_one_that_becomes_nan_is_drawn() {
        let line = |i: usize| {
            let norm = |layer: usize| match layer {
                10 => None,
                11 => (i != 1).then_some(2.0),
                _ => Some(i as f64),
            };
            let train = (0..12).map(|layer| (format!("norm[{layer}]"), norm(layer))).collect();
            MetricsLine { train, ..epoch(i, &[], &[]) }
        };
        let plots_of = plots((0..3).map(line).collect());
        let drawn = lines_of(&plots_of, "norm (the 10 of 12 that change most)");
        let names: Vec<&str> = drawn.iter().map(|(name, _)| name.as_str()).collect();
        let want = ["[0]", "[1]", "[2]", "[3]", "[4]", "[5]", "[6]", "[7]", "[8]", "[11]"];
        assert_eq!(names, want);
        assert!(drawn[9].1[1][1].is_nan(), "{drawn:?}");
    }

    #[test]
    fn a_score_on_many_sets_has_its_first_lines() {
        let names: Vec<String> = (0..12).map(|i| format!("set {i:02} loss")).collect();
        let scores: Vec<(&str, f64)> = names.iter().map(|name| (name.as_str(), 1.0)).collect();
        let plots_of = plots(vec![epoch(0, &[("loss", 0.5)], &scores)]);
        let lines = lines_of(&plots_of, "loss (10 of 13 lines)");
        assert_eq!((lines[0].0.as_str(), lines[9].0.as_str()), ("training", "set 08"));
    }

    #[test]
    fn a_validation_score_belongs_to_the_longest_name() {
        let (train, validation) = ([("loss", 1.0), ("far loss", 2.0)], [("a far loss", 3.0)]);
        let plots_of = plots(vec![epoch(0, &train, &validation)]);
        assert_eq!(lines_of(&plots_of, "loss").len(), 1);
        assert_eq!(lines_of(&plots_of, "far loss")[1].0, "a");
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
}
