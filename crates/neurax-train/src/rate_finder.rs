//! [`RateFinder`]: a learning rate for a model and its data.
//!
//! The problem: the best learning rate depends on the model, the loss and the data, and trying some
//! takes some trainings. The method is the range test of Smith, Cyclical Learning Rates for
//! Training Neural Networks, 2017 (<https://arxiv.org/abs/1506.01186>), in the form of fastai: the
//! rate grows by a factor with each step, from one at which nothing happens to one at which the
//! loss explodes. The loss of a step is noisy, so that its exponential average is shown, and ends
//! the search. Where the loss falls most steeply over the logarithm of the rate, training makes the
//! most progress: the suggestion. The slope is the difference of two means, each of a tenth of the
//! steps.
//!
//! The loss of a step is the difference of the totals of the epoch before and after it. A step that
//! the optimizer skips because its loss is not finite is not in the totals: such a loss is one that
//! exploded.
//!
//! With 5 steps from 0.001 to 10, the rates are 0.001, 0.01, 0.1, 1 and 10.

use crate::handlers::set_rate;
use crate::measure::LossTotals;
use crate::{Event, Flow, Handler, NonFiniteLoss, State, TrainError, Trainer, When, epochs};
use neurax_data::Source;
use neurax_nn::Inputs;
use neurax_tensor::{Error, Result, Tree};
use std::fmt;
use std::panic::Location;
use std::sync::{Arc, Mutex, PoisonError};

/// The name of the handler.
const RATE_FINDER: &str = "rate_finder";

/// A search for a learning rate: trains a few steps while the rate grows, and looks where the loss
/// falls fastest. Smith, Cyclical Learning Rates for Training Neural Networks, 2017
/// (<https://arxiv.org/abs/1506.01186>).
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let digits = data::digits()?;
/// let model = nn::input("image", dims![_, 64]).dense(32).relu().dense(10).softmax();
/// let trainer = |rate| Trainer::new(&model, loss::categorical_cross_entropy, optim::sgd(rate));
/// let data = digits.shuffled(key(0)).batched(32);
/// let found = train::RateFinder::new().run(trainer(0.1), &data)?;
/// let rate = found.suggestion.unwrap_or(0.1);
/// assert!((1e-3..10.0).contains(&rate), "{found}");
/// let trained = trainer(rate).quiet().run(&data, epochs(2))?;
/// assert!(trained.history[1].train["loss"] < 1.0, "{found}");
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RateFinder {
    low: f64,
    high: f64,
    steps: usize,
    smoothing: f64,
    divergence: f64,
}

/// The losses at growing learning rates: the result of a [`RateFinder`]. Its text is a table.
#[derive(Clone, Debug, PartialEq)]
pub struct RateSearch {
    /// The steps, in the order of their rates.
    pub points: Vec<RatePoint>,
    /// The rate at which the loss falls most steeply over the logarithm of the rate; `None` if it
    /// never falls. Of few steps, or small batches, it is a guess: look at the table.
    pub suggestion: Option<f64>,
    /// True if the search ended since the loss exploded.
    pub diverged: bool,
}

/// A step of a [`RateFinder`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RatePoint {
    /// The learning rate.
    pub rate: f64,
    /// The loss of the batch, before the step.
    pub loss: f64,
    /// The exponential average of the losses so far.
    pub smoothed: f64,
}

impl RateFinder {
    /// Creates a search over 100 steps from 1e-6 to 10, which averages the loss with a weight of
    /// 0.1 for each new one, and ends when the average is four times the lowest one.
    pub fn new() -> RateFinder {
        RateFinder { low: 1e-6, high: 10.0, steps: 100, smoothing: 0.9, divergence: 4.0 }
    }

    /// Sets the first and the last rate.
    pub fn range(self, low: f64, high: f64) -> RateFinder {
        RateFinder { low, high, ..self }
    }

    /// Sets the number of steps.
    pub fn steps(self, steps: usize) -> RateFinder {
        RateFinder { steps, ..self }
    }

    /// Sets the weight of the old average in a new one, from 0 to below 1.
    pub fn smoothing(self, weight: f64) -> RateFinder {
        RateFinder { smoothing: weight, ..self }
    }

    /// Sets the multiple of the lowest average at which the search ends. A loss that is not finite
    /// ends it in any case.
    pub fn divergence(self, factor: f64) -> RateFinder {
        RateFinder { divergence: factor, ..self }
    }

    /// Trains with the growing rate on the first batches of `data`, epoch after epoch, and returns
    /// the losses. The trainer's model, loss and optimizer are used, which needs a constant rate,
    /// and its variables as they are at the start of a run; its validation sets and handlers are
    /// not. Only the table remains of the training.
    ///
    /// # Errors
    /// If the range, the steps or the options are invalid, the optimizer has no constant rate, the
    /// weights of a batch of [`Trainer::weighted`] are all 0, or a step fails. A gradient that is
    /// not finite is no error, also with `NonFinite::Fail`: the step is skipped.
    #[track_caller]
    pub fn run<X: Tree + Inputs + Clone, Y: Tree + Clone>(
        self,
        trainer: Trainer<X, Y>,
        data: &(impl Source<X, Y> + ?Sized),
    ) -> Result<RateSearch, TrainError> {
        let at = Location::caller();
        self.check().map_err(|error| TrainError::before_start(error, at))?;
        let points = Arc::new(Mutex::new(vec![]));
        let handler =
            GrowingRate { finder: self, points: points.clone(), before: LossTotals::default() };
        let trainer = trainer.without_handlers().handler(handler).quiet();
        trainer.non_finite_loss(NonFiniteLoss::Ignore).run(data, epochs(usize::MAX))?;
        let points = std::mem::take(&mut *points.lock().unwrap_or_else(PoisonError::into_inner));
        let diverged = self.has_diverged(&points);
        Ok(RateSearch { suggestion: steepest(&points), points, diverged })
    }

    /// Checks the options.
    fn check(&self) -> Result<()> {
        let is_range = self.low > 0.0 && self.low < self.high && self.high.is_finite();
        let why = match self {
            _ if !is_range => {
                format!("expected rates 0 < low < high, got {} and {}", self.low, self.high)
            }
            _ if self.steps < 2 => format!("expected at least 2 steps, got {}", self.steps),
            _ if !(0.0..1.0).contains(&self.smoothing) => {
                format!("expected a smoothing in 0..1, got {}", self.smoothing)
            }
            _ if self.divergence.is_nan() || self.divergence <= 1.0 => {
                format!("expected a divergence above 1, got {}", self.divergence)
            }
            _ => return Ok(()),
        };
        Err(Error::new(RATE_FINDER, why))
    }

    /// Returns the rate of step `i`, from 0.
    fn rate(&self, i: usize) -> f64 {
        let part = i as f64 / (self.steps.saturating_sub(1)).max(1) as f64;
        self.low * (self.high / self.low).powf(part)
    }

    /// Returns the point after those before, with a loss: the average starts at 0, and is divided
    /// by the sum of the weights, as the moments of Adam.
    fn point(&self, before: &[RatePoint], loss: f64) -> RatePoint {
        let weight = |n: usize| 1.0 - self.smoothing.powi(n as i32);
        let n = before.len();
        let old = before.last().map_or(0.0, |last| last.smoothed * weight(n));
        let new = self.smoothing * old + (1.0 - self.smoothing) * loss;
        RatePoint { rate: self.rate(n), loss, smoothed: new / weight(n + 1) }
    }

    /// Returns true if the search ends with these points.
    fn is_done(&self, points: &[RatePoint]) -> bool {
        points.len() >= self.steps || self.has_diverged(points)
    }

    /// Returns true if the loss of the last point exploded.
    fn has_diverged(&self, points: &[RatePoint]) -> bool {
        let lowest = points.iter().map(|p| p.smoothed).fold(f64::INFINITY, f64::min);
        points.last().is_some_and(|p| {
            // A loss may be negative: the limit is above the lowest one in any case.
            let limit = lowest + (self.divergence - 1.0) * lowest.abs();
            !p.smoothed.is_finite() || (points.len() > 1 && p.smoothed > limit)
        })
    }
}

impl Default for RateFinder {
    fn default() -> RateFinder {
        RateFinder::new()
    }
}

/// The handler that sets the rate and notes the losses.
struct GrowingRate {
    finder: RateFinder,
    points: Arc<Mutex<Vec<RatePoint>>>,
    /// The totals of the epoch before the batch.
    before: LossTotals,
}

impl GrowingRate {
    /// Returns the loss of the last batch; infinity if it is not in the totals, as that of a
    /// skipped step is.
    ///
    /// # Errors
    /// If the batch counts and has no weight.
    fn loss_of_batch(&mut self, state: &State) -> Result<f64> {
        let now = state.so_far.known_totals()?.loss_totals()?;
        let before = std::mem::replace(&mut self.before, now);
        let before = if state.batch == 1 { LossTotals::default() } else { before };
        if now.examples == before.examples {
            return Ok(f64::INFINITY);
        }
        if now.weight == before.weight {
            let why = "expected a positive sum of the weights of each batch, got 0";
            return Err(Error::new(RATE_FINDER, why));
        }
        Ok((now.sum - before.sum) / (now.weight - before.weight))
    }
}

impl Handler for GrowingRate {
    fn name(&self) -> String {
        RATE_FINDER.into()
    }

    fn events(&self) -> Vec<When> {
        vec![Event::BatchStarted.into(), Event::BatchEnded.into()]
    }

    fn reads_scores(&self) -> bool {
        false
    }

    fn call(&mut self, event: Event, state: &mut State) -> Result<Flow> {
        let loss = (event == Event::BatchEnded).then(|| self.loss_of_batch(state)).transpose()?;
        let mut points = self.points.lock().unwrap_or_else(PoisonError::into_inner);
        match loss {
            Some(loss) => {
                let point = self.finder.point(&points, loss);
                points.push(point);
                Ok(if self.finder.is_done(&points) { Flow::Stop } else { Flow::Continue })
            }
            None => {
                set_rate(&mut state.opt, self.finder.rate(points.len()), RATE_FINDER)?;
                Ok(Flow::Continue)
            }
        }
    }
}

/// Returns the rate at which the loss falls most steeply over the logarithm of the rate, before its
/// lowest values: the middle of two neighbouring parts, each a tenth of the steps, whose means
/// differ most. Steps are equal distances there. The means are of the losses themselves: an
/// exponential average lags behind them, by ten steps with a smoothing of 0.9, which is a factor of
/// five in the rate over 100 steps and of more than fifty over 40.
fn steepest(points: &[RatePoint]) -> Option<f64> {
    let width = (points.len() / 10).max(1);
    let mean = |part: &[RatePoint]| part.iter().map(|p| p.loss).sum::<f64>() / width as f64;
    let means: Vec<f64> = points.windows(width).map(mean).collect();
    let finite = means.iter().enumerate().filter(|(_, m)| m.is_finite());
    let (lowest, _) = finite.min_by(|a, b| a.1.total_cmp(b.1))?;
    let falls = means[..=lowest].iter().zip(means[..=lowest].iter().skip(width)).enumerate();
    let falls = falls.filter_map(|(i, (before, after))| {
        let [a, b] = [points.get(i + width - 1)?, points.get(i + width)?];
        (before > after).then(|| (before - after, (a.rate * b.rate).sqrt()))
    });
    falls.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, rate)| rate)
}

/// A row for about every twentieth of the steps, and the suggestion.
impl fmt::Display for RateSearch {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        const ROWS: usize = 20;
        writeln!(f, "{:>10} {:>12} {:>12}", "rate", "loss", "smoothed")?;
        let stride = self.points.len().div_ceil(ROWS).max(1);
        let last = self.points.len().saturating_sub(1);
        let rows = self.points.iter().enumerate();
        for (_, p) in rows.filter(|(i, _)| i.is_multiple_of(stride) || *i == last) {
            writeln!(f, "{:>10.2e} {:>12.4} {:>12.4}", p.rate, p.loss, p.smoothed)?;
        }
        match self.suggestion {
            Some(rate) => write!(f, "suggested rate {rate:.2e}"),
            None => write!(f, "no suggestion: the loss never fell"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(finder: &RateFinder, losses: &[f64]) -> Vec<RatePoint> {
        let mut points = vec![];
        for loss in losses {
            points.push(finder.point(&points, *loss));
        }
        points
    }

    #[test]
    fn rates_grow_by_a_factor() {
        let finder = RateFinder::new().range(1e-3, 10.0).steps(5);
        let rates = [0, 1, 2, 3, 4].map(|i| finder.rate(i));
        let want = [0.001, 0.01, 0.1, 1.0, 10.0];
        assert!(rates.iter().zip(want).all(|(a, b)| (a / b - 1.0).abs() < 1e-12), "{rates:?}");
    }

    #[test]
    fn averages_are_corrected_at_the_start() {
        let finder = RateFinder::new().smoothing(0.5);
        let found = points(&finder, &[4.0, 4.0, 1.0]);
        assert_eq!([found[0].smoothed, found[1].smoothed], [4.0, 4.0]);
        // (4/8 + 4/4 + 1/2) / (7/8)
        assert!((found[2].smoothed - 2.0 / 0.875).abs() < 1e-12);
    }

    #[test]
    fn the_suggestion_is_where_the_loss_falls_most_steeply() {
        let finder = RateFinder::new().range(1e-3, 1.0).steps(4).smoothing(0.0);
        let found = points(&finder, &[2.0, 1.9, 1.0, 5.0]);
        let rate = steepest(&found).unwrap();
        assert!((rate / (1e-2f64 * 1e-1).sqrt() - 1.0).abs() < 1e-9, "{rate}");
        assert_eq!(steepest(&points(&finder, &[1.0, 2.0, 3.0])), None);
        assert_eq!(steepest(&[]), None);
    }

    #[test]
    fn the_suggestion_does_not_lag_behind_the_loss() {
        for steps in [40, 100] {
            let finder = RateFinder::new().steps(steps);
            let losses: Vec<f64> =
                (0..steps).map(|i| if i < steps / 2 { 1.0 } else { 0.2 }).collect();
            let rate = steepest(&points(&finder, &losses)).unwrap();
            let [a, b] = [finder.rate(steps / 2 - 1), finder.rate(steps / 2)];
            assert!(a < rate && rate < b, "{rate} is not between {a} and {b}");
        }
    }

    #[test]
    fn a_search_ends_at_its_last_step_or_when_the_loss_explodes() {
        let finder = RateFinder::new().steps(4).smoothing(0.0).divergence(3.0);
        let is_done = |losses: &[f64]| finder.is_done(&points(&finder, losses));
        assert!(!is_done(&[2.0, 1.0, 3.0]) && is_done(&[2.0, 1.0, 3.1]));
        assert!(is_done(&[f64::NAN]) && is_done(&[1.0, 1.0, 1.0, 1.0]));
        assert!(!is_done(&[-2.0, 1.9]) && is_done(&[-2.0, 2.1]), "a loss may be negative");
    }

    #[test]
    fn a_search_is_a_table() {
        let finder = RateFinder::new().range(1e-3, 1.0).steps(4).smoothing(0.0);
        let points = points(&finder, &[2.0, 1.5, 9.0]);
        let search = RateSearch { suggestion: steepest(&points), points, diverged: true };
        assert_eq!(
            search.to_string(),
            "      rate         loss     smoothed\n\
             \u{20}  1.00e-3       2.0000       2.0000\n\
             \u{20}  1.00e-2       1.5000       1.5000\n\
             \u{20}  1.00e-1       9.0000       9.0000\n\
             suggested rate 3.16e-3"
        );
    }
}
