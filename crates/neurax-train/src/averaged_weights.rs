//! [`AveragedWeights`]: the mean of the weights of the last epochs or steps as the result.
//!
//! The problem: with a learning rate that does not vanish, the weights move around a good point
//! without reaching it. Their mean over some epochs is nearer, and generalizes better. The methods
//! are stochastic weight averaging (Izmailov et al., Averaging Weights Leads to Wider Optima and
//! Better Generalization, 2018, <https://arxiv.org/abs/1803.05407>) and the exponential moving
//! average over the steps (Polyak and Juditsky, 1992). Running statistics of batch normalization
//! belong to the weights with which they were computed: they are computed again with the mean, by
//! passes over the data in which nothing else changes.
//!
//! The mean over epochs is in the memory of the handler and the moving average in the state of the
//! optimizer, so that a resumed run has the same mean.

use crate::any_batch::{AnyBatch, AnySource};
use crate::guard::guarded;
use crate::program::StatisticsBody;
use crate::{Event, Flow, Handler, State, When};
use neurax_nn::{Optim, Params, Vars, optim};
use neurax_tensor::{Error, Jit, Key, Result, Tensor, Tree, jit};

const AVERAGED_WEIGHTS: &str = "averaged_weights";
/// The names in the memory.
const EPOCHS_COUNTED: &str = "epochs";
const MEAN_WEIGHTS: &str = "mean";

/// The number of batches after which less than a hundredth of the old running statistics is left,
/// with the default momentum of batch normalization: 0.9^44 < 0.01.
const SETTLED_BATCHES: usize = 44;

/// A mean of the weights, which [`Trainer::average_weights`](crate::Trainer::average_weights) makes
/// the weights of the result, with running statistics that belong to it:
///
/// - [`AveragedWeights::from_epoch`], the mean of those after the epochs from one on: stochastic
///   weight averaging. Izmailov et al., 2018 (<https://arxiv.org/abs/1803.05407>). An epoch in
///   which training stops does not count. It needs a learning rate that does not decay to 0: a
///   constant or a cyclic one. Of a [`CustomTraining`](crate::CustomTraining), it is the mean of
///   all floats of the tree, the moments of optimizers in it among them.
/// - [`AveragedWeights::moving`], the exponential moving average over all steps.
/// - [`AveragedWeights::of_optimizer`], the average that the optimizer keeps.
///
/// If the user interrupts the run, its result has the weights after the last step, and no mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AveragedWeights {
    of: AverageOf,
    /// `None` until the statistics have settled.
    passes: Option<usize>,
}

/// The weights of which a mean is taken.
#[derive(Clone, Copy, Debug, PartialEq)]
enum AverageOf {
    /// The weights after every `every`-th epoch from the epoch with number `from` on.
    Epochs { from: usize, every: usize },
    /// The weights after all steps, of which the trainer makes the optimizer keep an average.
    Steps { decay: f64 },
    /// The weights of which the optimizer keeps an average.
    Optimizer,
}

impl AveragedWeights {
    /// Averages the weights after each epoch from number `n` on, counted from 1.
    pub fn from_epoch(n: usize) -> AveragedWeights {
        AverageOf::Epochs { from: n.max(1), every: 1 }.into()
    }

    /// Takes the moving average of the weights over all steps, `a ← decay · a + (1 - decay) · w`:
    /// [`optim::average_weights`](neurax_nn::optim::average_weights) is chained to the optimizer,
    /// in whose state the average is saved and resumed. The average begins with the initial
    /// weights, of which `decay` to the power of the number of steps is left.
    ///
    /// # Errors
    /// Training fails if `decay` is not in `0..1`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let iris = data::iris()?.split(0.8, key(0));
    /// let hidden = nn::input("flower", dims![_, 4]).dense(16).layer(BatchNorm::new()).tanh();
    /// let model = hidden.dense(3).softmax();
    /// let trained = Trainer::new(&model, loss::categorical_cross_entropy, optim::sgd(0.1))
    ///     .metric(metric::accuracy())
    ///     .validate(&iris.test)
    ///     .average_weights(train::AveragedWeights::moving(0.95))
    ///     .quiet()
    ///     .run(&iris.train.shuffled(key(1)).batched(20), epochs(40))?;
    /// assert!(trained.validation["accuracy"] > 0.8);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn moving(decay: f64) -> AveragedWeights {
        AverageOf::Steps { decay }.into()
    }

    /// Takes the average that the optimizer keeps:
    /// [`optim::average_weights`](neurax_nn::optim::average_weights) in a chain, or a
    /// [schedule-free optimizer](neurax_nn::optim::schedule_free).
    ///
    /// # Errors
    /// Training fails before its first step if the optimizer keeps none.
    pub fn of_optimizer() -> AveragedWeights {
        AverageOf::Optimizer.into()
    }

    /// Averages the weights after every `n`-th of the epochs of [`AveragedWeights::from_epoch`],
    /// such as the last ones of the cycles of a schedule. With 0, that is each. An average over
    /// steps does not change.
    pub fn every_epochs(self, n: usize) -> AveragedWeights {
        let of = match self.of {
            AverageOf::Epochs { from, .. } => AverageOf::Epochs { from, every: n.max(1) },
            of @ (AverageOf::Steps { .. } | AverageOf::Optimizer) => of,
        };
        AveragedWeights { of, ..self }
    }

    /// Sets the number of passes over the data for the running statistics of the result. By
    /// default, passes are made until they have 44 batches, which leave less than a hundredth of
    /// the old statistics with the default momentum of [`BatchNorm`](neurax_nn::BatchNorm), 0.9. A
    /// larger momentum needs more.
    pub fn passes(self, n: usize) -> AveragedWeights {
        AveragedWeights { passes: Some(n), ..self }
    }

    /// Returns the handler that computes the mean.
    pub(crate) fn handler(self) -> impl Handler {
        WeightAverager(self)
    }

    /// Makes the optimizer keep the average, if it is one that the trainer adds.
    pub(crate) fn add_to(self, optim: &mut Optim) {
        if let AverageOf::Steps { decay } = self.of {
            *optim = optim::chain([optim.clone(), optim::average_weights(decay)]);
        }
    }

    /// Checks that the optimizer keeps an average where it is asked for.
    ///
    /// # Errors
    /// If it does not.
    pub(crate) fn check(self, state: &State) -> Result<()> {
        if let AverageOf::Epochs { .. } = self.of {
            return Ok(());
        }
        let average = state.opt.average_of(&state.vars.params).ok();
        average.map(drop).map_err(|e| {
            let why = format!(
                "expected an optimizer that keeps an average of the weights, got {}; use \
                 `AveragedWeights::moving(decay)`, or chain `optim::average_weights(decay)` to it",
                e.message()
            );
            Error::new("average_weights", why)
        })
    }

    /// Returns the mean of the weights, in the dtypes of the parameters, or `None` if nothing was
    /// counted.
    ///
    /// # Errors
    /// If the parameters have another structure than those that were averaged.
    pub(crate) fn mean(self, state: &mut State) -> Result<Option<Params>> {
        match self.of {
            AverageOf::Epochs { .. } => mean_of_epochs(state),
            AverageOf::Steps { .. } | AverageOf::Optimizer if state.step == 0 => Ok(None),
            AverageOf::Steps { .. } | AverageOf::Optimizer => {
                state.opt.average_of(&state.vars.params).ok().map(Some)
            }
        }
    }

    /// Returns true if the weights after an epoch with this index, from 0, are counted.
    fn counts(self, epoch: usize) -> bool {
        match self.of {
            AverageOf::Epochs { from, every } => {
                (epoch + 1).checked_sub(from).is_some_and(|n| n.is_multiple_of(every))
            }
            AverageOf::Steps { .. } | AverageOf::Optimizer => false,
        }
    }
}

impl From<AverageOf> for AveragedWeights {
    fn from(of: AverageOf) -> AveragedWeights {
        AveragedWeights { of, passes: None }
    }
}

/// The handler of [`AveragedWeights`].
struct WeightAverager(AveragedWeights);

impl Handler for WeightAverager {
    fn name(&self) -> String {
        AVERAGED_WEIGHTS.into()
    }

    fn events(&self) -> Vec<When> {
        vec![Event::EpochEnded.into()]
    }

    fn call(&mut self, _: Event, state: &mut State) -> Result<Flow> {
        // An epoch that `StopEpoch` ends is whole: that is how long the user wants it.
        if self.0.counts(state.epoch) && !state.so_far.is_logged_in_part {
            let params = state.vars.params.clone();
            let memory = state.memory(AVERAGED_WEIGHTS);
            let n = memory.count(EPOCHS_COUNTED) + 1;
            let mean = match n {
                1 => params.map_leaves(wide),
                _ => {
                    let mean = memory.tree(MEAN_WEIGHTS, &params)?;
                    mean.zip_map(&params, |mean, p| next(mean, p, n))
                }
            };
            memory.set_number(EPOCHS_COUNTED, n as f64);
            memory.set_tree(MEAN_WEIGHTS, &mean.ok()?);
        }
        Ok(Flow::Continue)
    }
}

/// Returns a parameter in the dtype of means: f32 or wider for floats.
fn wide(p: &Tensor) -> Tensor {
    p.to(p.dtype().at_least_f32())
}

/// Returns the mean of `n` parameters from that of all but the last one. Of integers, the last one
/// is taken.
fn next(mean: &Tensor, p: &Tensor, n: usize) -> Tensor {
    if p.dtype().is_float() { mean + (wide(p) - mean) / n as f64 } else { p.clone() }
}

/// Returns the mean of the weights after the epochs that counted, or `None` if none did.
///
/// # Errors
/// If the parameters have another structure than those that were averaged.
fn mean_of_epochs(state: &mut State) -> Result<Option<Params>> {
    let params = state.vars.params.clone();
    let memory = state.memory(AVERAGED_WEIGHTS);
    if memory.count(EPOCHS_COUNTED) == 0 {
        return Ok(None);
    }
    let mean = memory.tree(MEAN_WEIGHTS, &params)?;
    mean.zip_map(&params, |mean, p| mean.to(p.dtype())).ok().map(Some)
}

/// The refresh of the running statistics of a model.
pub(crate) struct StatisticsRefresh {
    run: Jit<'static, (Vars, Key, AnyBatch), Params>,
    /// The mean to which the statistics will belong.
    pub averaging: AveragedWeights,
}

impl StatisticsRefresh {
    pub fn new(averaging: AveragedWeights, body: StatisticsBody) -> StatisticsRefresh {
        let run = jit(move |(vars, key, batch): (Vars, Key, AnyBatch)| body(&vars, key, &batch));
        StatisticsRefresh { run, averaging }
    }

    /// Computes the state of a model again, in training mode, over the batches of some epochs.
    /// `goes_on` is called after each batch; if it returns false, the state is not complete, and
    /// false is returned.
    ///
    /// # Errors
    /// If the source or the model fails, and the error of `goes_on`.
    pub fn refresh(
        &self,
        vars: &mut Vars,
        mut key: Key,
        data: &dyn AnySource,
        goes_on: &mut dyn FnMut() -> Result<bool>,
    ) -> Result<bool> {
        // Frozen parameters are in the state, too.
        if vars.state.leaves().len() <= vars.frozen().len() {
            return Ok(true);
        }
        let (mut pass, mut seen) = (0, 0);
        while self.averaging.passes.map_or(seen < SETTLED_BATCHES, |passes| pass < passes) {
            let before = seen;
            let mut batches = guarded("the source", || data.epoch(pass))?;
            while let Some(batch) = guarded("the source", || batches.next())? {
                let [next, now] = key.split();
                key = next;
                vars.state = self.run.run((vars.clone(), now, batch?))?;
                seen += 1;
                if !goes_on()? {
                    return Ok(false);
                }
            }
            if seen == before {
                return Err(Error::new("train", "expected at least one batch, got none"));
            }
            pass += 1;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_nn::OptState;
    use neurax_tensor::dtype_consts::BF16;
    use neurax_tensor::{key, tensor};
    use std::collections::BTreeMap;

    #[test]
    fn epochs_count_from_one_on() {
        let counted = |averaging: AveragedWeights| -> Vec<usize> {
            (0..8).filter(|epoch| averaging.counts(*epoch)).map(|epoch| epoch + 1).collect()
        };
        assert_eq!(counted(AveragedWeights::from_epoch(3)), [3, 4, 5, 6, 7, 8]);
        assert_eq!(counted(AveragedWeights::from_epoch(2).every_epochs(3)), [2, 5, 8]);
        assert_eq!(counted(AveragedWeights::from_epoch(0)), [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn the_mean_is_that_of_the_counted_epochs_in_the_dtypes_of_the_parameters() {
        let params = |x: f64| -> Params {
            let own = [("a", tensor([x as f32])), ("b", tensor([x as f32]).to(BF16))];
            let own = own.into_iter().chain([("n", tensor([x as i32]))]);
            let own: BTreeMap<String, Tensor> = own.map(|(n, t)| (n.to_string(), t)).collect();
            [("layer".to_string(), own)].into()
        };
        let vars = Vars { params: params(9.0), state: Params::new() };
        let mut state = State::new(vars, OptState::default(), key(0));
        assert!(mean_of_epochs(&mut state).unwrap().is_none());
        let mut averaging = AveragedWeights::from_epoch(2).handler();
        for (epoch, x) in [100.0, 1.0, 2.0, 6.0].into_iter().enumerate() {
            state.epoch = epoch;
            state.vars.params = params(x);
            averaging.call(Event::EpochEnded, &mut state).unwrap();
        }
        let mean = mean_of_epochs(&mut state).unwrap().unwrap();
        let own = &mean["layer"];
        assert_eq!(own["a"].item().unwrap(), 3.0);
        assert_eq!((own["b"].item().unwrap(), own["b"].dtype()), (3.0, BF16));
        assert_eq!(own["n"].item().unwrap(), 6.0, "an integer has no mean");
    }
}
