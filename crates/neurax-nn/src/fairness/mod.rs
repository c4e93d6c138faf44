//! Reports on the fairness of a classifier: its rates for groups of people, how far these are
//! apart, and intervals for both, computed on the host.
//!
//! The measures are those of Fairlearn. With the selection rate of a group, the fraction of its
//! examples that are predicted positive:
//!
//! | measure | definition |
//! |---|---|
//! | demographic parity difference | largest minus smallest selection rate |
//! | demographic parity ratio | smallest divided by largest selection rate |
//! | equalized odds difference | larger of the differences of true and of false positive rates |
//! | equalized odds ratio | smaller of the ratios of true and of false positive rates |
//! | equal opportunity difference | largest minus smallest true positive rate |
//! | disparate impact | smallest selection rate divided by that of the reference group |
//!
//! A rate without examples is NaN and does not count. Intervals are percentiles over bootstrap
//! samples of the examples (Efron, 1979).

mod rates;
mod text;

use neurax_tensor::{DType, Error, Key, Result, Tensor, key};
use rates::{Measures, Observation};

pub use rates::GroupRates;

/// A value with a bootstrap interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The value for all examples.
    pub value: f64,
    /// The lower end of the interval; NaN without bootstrap samples.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
}

/// The report of [`report`]. Its `Display` is a table.
#[derive(Clone, Debug, PartialEq)]
pub struct FairnessReport {
    /// The rates of each group, in the order of the group indices.
    pub groups: Vec<GroupRates>,
    /// The selection rate of each group.
    pub selection_rates: Vec<Estimate>,
    /// The largest minus the smallest selection rate.
    pub demographic_parity_difference: Estimate,
    /// The smallest divided by the largest selection rate.
    pub demographic_parity_ratio: Estimate,
    /// The larger of the differences of true and of false positive rates.
    pub equalized_odds_difference: Estimate,
    /// The smaller of the ratios of true and of false positive rates.
    pub equalized_odds_ratio: Estimate,
    /// The largest minus the smallest true positive rate.
    pub equal_opportunity_difference: Estimate,
    /// The smallest selection rate divided by that of the reference group.
    pub disparate_impact: Estimate,
}

/// The options of a report: see [`options`].
#[derive(Clone, Debug)]
pub struct FairnessOptions {
    threshold: f64,
    names: Vec<String>,
    reference: Option<usize>,
    bins: usize,
    samples: usize,
    confidence: f64,
    key: Key,
}

/// Returns the default options: a threshold of 0.5, groups named by their index, the group with the
/// highest selection rate as the reference, 10 bins of calibration, and intervals of 95 % from 500
/// bootstrap samples.
///
/// ```
/// use neurax::prelude::*;
/// let (y, t) = (tensor([0.9, 0.4, 0.6, 0.2]), tensor([1, 0, 1, 0]));
/// let groups = tensor([0, 0, 1, 1]);
/// let options = nn::fairness::options().group_names(&["north", "south"]).threshold(0.3);
/// let report = options.bootstrap(100, key(1)).report(&y, &t, &groups)?;
/// assert_eq!(report.groups[0].name, "north");
/// assert_eq!(report.demographic_parity_ratio.value, 0.5);
/// # Ok::<(), Error>(())
/// ```
pub fn options() -> FairnessOptions {
    FairnessOptions {
        threshold: 0.5,
        names: Vec::new(),
        reference: None,
        bins: 10,
        samples: 500,
        confidence: 0.95,
        key: key(0),
    }
}

/// Reports on the fairness of predictions `y`, probabilities of the positive class or decisions of
/// 0 and 1, for targets `t` of 0 and 1 and group indices `groups` from 0, vectors of one size.
///
/// ```
/// use neurax::prelude::*;
/// let y = tensor([0.9, 0.7, 0.4, 0.2, 0.8, 0.3, 0.2, 0.1]);
/// let t = tensor([1, 1, 0, 0, 1, 1, 0, 0]);
/// let groups = tensor([0, 0, 0, 0, 1, 1, 1, 1]);
/// let report = nn::fairness::report(&y, &t, &groups)?;
/// let text = report.to_string();
/// let lines: Vec<&str> = text.lines().collect();
/// assert_eq!(lines[..3], [
///     "group  examples  selected  positive     tpr     fpr  accuracy  precision     ece",
///     "0             4    0.5000    0.5000  1.0000  0.0000    1.0000     1.0000  0.2500",
///     "1             4    0.2500    0.5000  0.5000  0.0000    0.7500     1.0000  0.3000",
/// ]);
/// assert!(lines[4].starts_with("demographic parity difference  0.2500  ["), "{text}");
/// assert!(report.to_json().starts_with("{\"groups\":[{\"name\":\"0\",\"examples\":4,"));
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// If the sizes differ, there are no examples, a target is not 0 or 1, a prediction is NaN, or a
/// group index is negative or has no examples.
#[track_caller]
pub fn report(y: &Tensor, t: &Tensor, groups: &Tensor) -> Result<FairnessReport> {
    options().report(y, t, groups)
}

impl FairnessOptions {
    /// Sets the probability above which an example is predicted positive.
    pub fn threshold(mut self, threshold: f64) -> Self {
        self.threshold = threshold;
        self
    }

    /// Sets the names of the groups.
    pub fn group_names(mut self, names: &[&str]) -> Self {
        self.names = names.iter().map(|n| n.to_string()).collect();
        self
    }

    /// Sets the group to which the disparate impact compares.
    pub fn reference(mut self, group: usize) -> Self {
        self.reference = Some(group);
        self
    }

    /// Sets the number of bins of the calibration errors.
    pub fn bins(mut self, bins: usize) -> Self {
        self.bins = bins;
        self
    }

    /// Sets the number of bootstrap samples, 0 for no intervals, and the key that draws them.
    pub fn bootstrap(mut self, samples: usize, key: Key) -> Self {
        (self.samples, self.key) = (samples, key);
        self
    }

    /// Sets the probability of the intervals, 0.95 by default.
    pub fn confidence(mut self, confidence: f64) -> Self {
        self.confidence = confidence;
        self
    }

    /// Returns the report: see [`report`].
    ///
    /// # Errors
    /// As for [`report`]; also for an option that is out of its range.
    pub fn report(&self, y: &Tensor, t: &Tensor, groups: &Tensor) -> Result<FairnessReport> {
        let examples = self.examples(y, t, groups)?;
        let count = examples.iter().map(|e| e.group + 1).max().unwrap_or(0);
        self.check(count)?;
        let rates = rates::of_groups(&examples, count, self.bins);
        if let Some(empty) = rates.iter().position(|g| g.examples() == 0) {
            return Err(invalid(format!("expected examples of group {empty}, got none")));
        }
        let value = Measures::new(&rates, self.reference);
        let samples = self.sampled(&examples, count)?;
        let estimate = |of: &dyn Fn(&Measures) -> f64| {
            let values = samples.iter().map(of).filter(|x| !x.is_nan()).collect();
            interval(of(&value), values, self.confidence)
        };
        let names = self.names.iter().cloned().map(Some).chain(std::iter::repeat(None));
        let named = |(i, (mut group, name)): (usize, (GroupRates, Option<String>))| {
            group.name = name.unwrap_or_else(|| i.to_string());
            group
        };
        Ok(FairnessReport {
            selection_rates: (0..count).map(|i| estimate(&|m| m.selection_rates[i])).collect(),
            demographic_parity_difference: estimate(&|m| m.parity_difference()),
            demographic_parity_ratio: estimate(&|m| m.parity_ratio()),
            equalized_odds_difference: estimate(&|m| m.odds_difference()),
            equalized_odds_ratio: estimate(&|m| m.odds_ratio()),
            equal_opportunity_difference: estimate(&|m| m.opportunity_difference()),
            disparate_impact: estimate(&|m| m.disparate_impact()),
            groups: rates.into_iter().zip(names).enumerate().map(named).collect(),
        })
    }

    /// Returns the measures of bootstrap samples.
    fn sampled(&self, examples: &[Observation], groups: usize) -> Result<Vec<Measures>> {
        let size = examples.len();
        let sample = |i: usize| {
            let drawn = self.key.fold_in(i as i64).randint([size], 0..size as i64);
            let drawn = drawn.to_vec::<i32>()?;
            let chosen = drawn.into_iter().filter_map(|i| examples.get(i as usize).copied());
            let rates = rates::of_groups(&chosen.collect::<Vec<_>>(), groups, 0);
            Ok(Measures::new(&rates, self.reference))
        };
        (0..self.samples).map(sample).collect()
    }

    fn check(&self, groups: usize) -> Result<()> {
        if !(0.0..1.0).contains(&self.confidence) {
            return Err(invalid(format!("expected a confidence in 0..1, got {}", self.confidence)));
        }
        if self.bins == 0 {
            return Err(invalid("expected 1 or more bins, got 0".into()));
        }
        if !self.names.is_empty() && self.names.len() != groups {
            let why = format!("expected names of {groups} groups, got {}", self.names.len());
            return Err(invalid(why));
        }
        match self.reference {
            Some(group) if group >= groups => {
                let why = format!("expected a reference group below {groups}, got {group}");
                Err(invalid(why))
            }
            _ => Ok(()),
        }
    }

    fn examples(&self, y: &Tensor, t: &Tensor, groups: &Tensor) -> Result<Vec<Observation>> {
        let [a, b, c] = [y.ty()?, t.ty()?, groups.ty()?];
        if a.rank() != 1 || a.shape != b.shape || a.shape != c.shape || !c.dtype.is_int() {
            return Err(invalid(format!(
                "expected predictions, targets and integer groups, vectors of one size, got {a}, \
                 {b} and {c}"
            )));
        }
        if a.size() == 0 {
            return Err(invalid("expected one or more examples, got none".into()));
        }
        let [y, t] = [y, t].map(|x| x.to(DType::F64).to_vec::<f64>());
        let groups = groups.to(DType::I64).to_vec::<i64>()?;
        let all = y?.into_iter().zip(t?).zip(groups);
        all.map(|((score, target), group)| {
            if target != 0.0 && target != 1.0 {
                return Err(invalid(format!("expected targets of 0 and 1, got {target}")));
            }
            if score.is_nan() {
                return Err(invalid("expected predictions that are numbers, got NaN".into()));
            }
            // A larger index could not have an example of every group below it.
            let group = usize::try_from(group).ok().filter(|g| *g < a.size());
            let why = || invalid(format!("expected groups from 0 to {}", a.size() - 1));
            let (is_positive, is_selected) = (target == 1.0, score > self.threshold);
            Ok(Observation { score, is_positive, is_selected, group: group.ok_or_else(why)? })
        })
        .collect()
    }
}

/// Returns the estimate with the percentiles of `samples`.
fn interval(value: f64, mut samples: Vec<f64>, confidence: f64) -> Estimate {
    samples.sort_by(f64::total_cmp);
    let percentile = |p: f64| match samples.len().checked_sub(1) {
        Some(last) => samples[(p * last as f64).round() as usize],
        None => f64::NAN,
    };
    let outside = (1.0 - confidence) / 2.0;
    Estimate { value, low: percentile(outside), high: percentile(1.0 - outside) }
}

fn invalid(why: String) -> Error {
    Error::new("fairness", why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::tensor;

    /// Checks values of `fairlearn.metrics`, computed by hand from its definitions.
    #[test]
    fn measures_of_three_groups() {
        let y = tensor([1, 1, 0, 0, 1, 0, 0, 0, 1, 1, 1, 0]);
        let t = tensor([1, 0, 1, 0, 1, 1, 0, 0, 1, 1, 0, 0]);
        let g = tensor([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]);
        let r = report(&y, &t, &g).unwrap();
        let rates: Vec<f64> = r.selection_rates.iter().map(|e| e.value).collect();
        assert_eq!(rates, [0.5, 0.25, 0.75]);
        assert_eq!(r.demographic_parity_difference.value, 0.5);
        assert_eq!(r.demographic_parity_ratio.value, 0.25 / 0.75);
        // True positive rates 1/2, 1/2, 1; false positive rates 1/2, 0, 1/2.
        assert_eq!(r.equal_opportunity_difference.value, 0.5);
        assert_eq!(r.equalized_odds_difference.value, 0.5);
        assert_eq!(r.equalized_odds_ratio.value, 0.0);
        assert_eq!(r.disparate_impact.value, 0.25 / 0.75);
        let of_first = options().reference(0).bootstrap(0, key(0)).report(&y, &t, &g).unwrap();
        assert_eq!(of_first.disparate_impact.value, 0.5);
        assert!(of_first.disparate_impact.low.is_nan());
        let second = &r.groups[1];
        assert_eq!(
            [
                second.true_positives,
                second.false_positives,
                second.true_negatives,
                second.false_negatives
            ],
            [1, 0, 2, 1]
        );
    }

    #[test]
    fn intervals_hold_the_value_and_depend_on_the_key_alone() {
        let [a, b] = key(3).split();
        let (y, g) = (a.uniform(300), b.randint([300], 0..2));
        let t = y.gt(0.4).to(DType::I32);
        let [one, again, other] =
            [1, 1, 2].map(|seed| options().bootstrap(200, key(seed)).report(&y, &t, &g).unwrap());
        assert_eq!(one, again);
        assert_ne!(one.selection_rates, other.selection_rates);
        for e in one.selection_rates {
            assert!(e.low < e.value && e.value < e.high && e.high - e.low < 0.25, "{e:?}");
        }
    }

    #[test]
    fn rates_without_examples_do_not_count() {
        let (y, t, g) = (tensor([1, 0, 1]), tensor([1, 1, 0]), tensor([0, 0, 1]));
        let r = report(&y, &t, &g).unwrap();
        assert!(r.groups[1].true_positive_rate.is_nan());
        assert_eq!(r.equal_opportunity_difference.value, 0.0);
        assert!(r.to_json().contains("\"true_positive_rate\":null"));
    }

    #[test]
    fn wrong_operands_and_options_are_errors() {
        let (y, t, g) = (tensor([0.5, 0.25]), tensor([1, 0]), tensor([0, 1]));
        let e = |r: Result<FairnessReport>| r.unwrap_err().to_string();
        assert!(
            e(report(&y, &t, &tensor([0]))).contains("vectors of one size, got f32[2], i32[2]")
        );
        assert!(e(report(&y, &t, &y)).contains("integer groups"));
        assert!(e(report(&y, &tensor([2, 0]), &g)).contains("targets of 0 and 1, got 2"));
        assert!(e(report(&tensor([f32::NAN, 0.0]), &t, &g)).contains("numbers, got NaN"));
        assert!(e(report(&y, &t, &tensor([-1, 0]))).contains("groups from 0 to 1"));
        assert!(e(report(&y, &t, &tensor([1, 1]))).contains("examples of group 0, got none"));
        let nothing = [DType::F32, DType::I32, DType::I32].map(|d| Tensor::zeros_of(d, 0));
        assert!(e(report(&nothing[0], &nothing[1], &nothing[2])).contains("got none"));
        let with = |o: FairnessOptions| e(o.report(&y, &t, &g));
        assert!(with(options().confidence(1.5)).contains("a confidence in 0..1, got 1.5"));
        assert!(with(options().bins(0)).contains("1 or more bins"));
        assert!(with(options().group_names(&["a"])).contains("names of 2 groups, got 1"));
        assert!(with(options().reference(2)).contains("a reference group below 2, got 2"));
    }
}
