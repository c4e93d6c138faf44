//! The rates of groups, and measures of how far they are apart.

/// An example of a report.
#[derive(Clone, Copy)]
pub(super) struct Observation {
    pub score: f64,
    pub is_positive: bool,
    pub is_selected: bool,
    pub group: usize,
}

/// The confusion matrix of a group, its rates and its calibration. A rate without examples is NaN.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupRates {
    /// The name of the group.
    pub name: String,
    /// The number of positive examples that are predicted positive.
    pub true_positives: usize,
    /// The number of negative examples that are predicted positive.
    pub false_positives: usize,
    /// The number of negative examples that are predicted negative.
    pub true_negatives: usize,
    /// The number of positive examples that are predicted negative.
    pub false_negatives: usize,
    /// The fraction of examples that are predicted positive.
    pub selection_rate: f64,
    /// The fraction of examples that are positive.
    pub base_rate: f64,
    /// The fraction of positive examples that are predicted positive (recall).
    pub true_positive_rate: f64,
    /// The fraction of negative examples that are predicted positive.
    pub false_positive_rate: f64,
    /// The fraction of examples that are predicted right.
    pub accuracy: f64,
    /// The fraction of examples predicted positive that are positive.
    pub precision: f64,
    /// The expected calibration error of the probabilities.
    pub calibration_error: f64,
}

impl GroupRates {
    /// Returns the number of examples.
    pub fn examples(&self) -> usize {
        self.true_positives + self.false_positives + self.true_negatives + self.false_negatives
    }

    fn count(&mut self, e: &Observation) {
        *match (e.is_positive, e.is_selected) {
            (true, true) => &mut self.true_positives,
            (false, true) => &mut self.false_positives,
            (false, false) => &mut self.true_negatives,
            (true, false) => &mut self.false_negatives,
        } += 1;
    }

    fn with_rates(mut self) -> GroupRates {
        let all = self.examples();
        let positives = self.true_positives + self.false_negatives;
        let selected = self.true_positives + self.false_positives;
        self.selection_rate = rate(selected, all);
        self.base_rate = rate(positives, all);
        self.true_positive_rate = rate(self.true_positives, positives);
        self.false_positive_rate = rate(self.false_positives, all - positives);
        self.accuracy = rate(self.true_positives + self.true_negatives, all);
        self.precision = rate(self.true_positives, selected);
        self
    }
}

fn rate(part: usize, all: usize) -> f64 {
    part as f64 / all as f64
}

/// Returns the rates of `count` groups, with calibration errors over `bins` bins; without them if
/// `bins` is 0.
pub(super) fn of_groups(examples: &[Observation], count: usize, bins: usize) -> Vec<GroupRates> {
    let mut groups = vec![GroupRates::default(); count];
    let mut scores = vec![vec![]; count];
    for e in examples {
        groups[e.group].count(e);
        if bins > 0 {
            scores[e.group].push((e.score, e.is_positive));
        }
    }
    let with_all = |(group, scores): (GroupRates, Vec<(f64, bool)>)| GroupRates {
        calibration_error: calibration_error(&scores, bins),
        ..group.with_rates()
    };
    groups.into_iter().zip(scores).map(with_all).collect()
}

/// Returns the mean distance of probability and fraction of positive examples over bins.
fn calibration_error(scores: &[(f64, bool)], bins: usize) -> f64 {
    let mut gaps = vec![0.0; bins];
    for (score, is_positive) in scores {
        let bin = ((score * bins as f64) as usize).min(bins - 1);
        gaps[bin] += score - f64::from(u8::from(*is_positive));
    }
    gaps.iter().map(|gap: &f64| gap.abs()).sum::<f64>() / scores.len() as f64
}

/// The rates that the measures of a report compare.
pub(super) struct Measures {
    pub selection_rates: Vec<f64>,
    true_positive_rates: Vec<f64>,
    false_positive_rates: Vec<f64>,
    reference: Option<usize>,
}

impl Measures {
    pub fn new(groups: &[GroupRates], reference: Option<usize>) -> Measures {
        let each = |of: fn(&GroupRates) -> f64| groups.iter().map(of).collect();
        Measures {
            selection_rates: each(|g| g.selection_rate),
            true_positive_rates: each(|g| g.true_positive_rate),
            false_positive_rates: each(|g| g.false_positive_rate),
            reference,
        }
    }

    pub fn parity_difference(&self) -> f64 {
        difference(&self.selection_rates)
    }

    pub fn parity_ratio(&self) -> f64 {
        ratio(&self.selection_rates)
    }

    pub fn odds_difference(&self) -> f64 {
        difference(&self.true_positive_rates).max(difference(&self.false_positive_rates))
    }

    pub fn odds_ratio(&self) -> f64 {
        ratio(&self.true_positive_rates).min(ratio(&self.false_positive_rates))
    }

    pub fn opportunity_difference(&self) -> f64 {
        difference(&self.true_positive_rates)
    }

    pub fn disparate_impact(&self) -> f64 {
        match self.reference {
            None => self.parity_ratio(),
            Some(group) => {
                let (low, _) = range(&self.selection_rates);
                low / self.selection_rates.get(group).copied().unwrap_or(f64::NAN)
            }
        }
    }
}

/// Returns the smallest and the largest of the rates that are not NaN; NaN if all are.
fn range(rates: &[f64]) -> (f64, f64) {
    rates.iter().fold((f64::NAN, f64::NAN), |(low, high), r| (low.min(*r), high.max(*r)))
}

fn difference(rates: &[f64]) -> f64 {
    let (low, high) = range(rates);
    high - low
}

/// Returns the smallest divided by the largest rate; 1 if both are 0, because the groups are equal.
fn ratio(rates: &[f64]) -> f64 {
    match range(rates) {
        (_, 0.0) => 1.0,
        (low, high) => low / high,
    }
}
