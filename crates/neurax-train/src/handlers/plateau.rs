//! [`ReduceOnPlateau`].

use crate::{Event, Flow, Goal, Handler, State, When};
use neurax_nn::OptState;
use neurax_tensor::{DType, Error, Result, Tensor};

const REDUCE_ON_PLATEAU: &str = "reduce_on_plateau";
/// The slot of a constant rate, and the end of its name inside of another rule.
const RATE_SLOT: &str = "rate";
const NESTED_RATE: &str = ".rate";
/// The names in the memory.
const PLATEAU_BEST: &str = "best";
const PLATEAU_WAITED: &str = "waited";
const PLATEAU_COOLDOWN: &str = "cooldown";

/// The advice for an optimizer with a schedule.
const CHAIN_ADVICE: &str = "chain `optim::scale(-1.0)` after it, whose rate is reduced instead";

/// A handler that multiplies the learning rate by a factor when a score does not improve any more.
///
/// The rate is the slot `rate` of the optimizer's last rule that has one, also inside of
/// [`accumulate`](neurax_nn::optim::accumulate) and of groups of parameters. A schedule is computed
/// in the step and has no slot: chain `optim::scale(-1.0)` after such an optimizer, whose rate -1
/// is then reduced and scales the updates.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let set = Dataset::new(Tensor::ones([4, 1]), Tensor::ones([4, 1]))?;
/// let model = nn::input("x", dims![_, 1]).dense(1);
/// let goal = train::lowest("loss").min_delta(100.0);
/// let trained = Trainer::new(&model, loss::mse, optim::sgd(0.5))
///     .handler(train::ReduceOnPlateau::new(goal).factor(0.5).patience(2))
///     .quiet()
///     .run(&set.batched(2), epochs(5))?;
/// assert_eq!(trained.opt.slots[0]["rate"][0].item()?, 0.125, "after the epochs 3 and 5");
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ReduceOnPlateau {
    name: String,
    goal: Goal,
    factor: f64,
    patience: usize,
    cooldown: usize,
    min_rate: f64,
}

impl ReduceOnPlateau {
    /// Creates a handler that multiplies the rate by 0.1 after 10 epochs in a row without a better
    /// score.
    pub fn new(goal: Goal) -> ReduceOnPlateau {
        let name = REDUCE_ON_PLATEAU.into();
        ReduceOnPlateau { name, goal, factor: 0.1, patience: 10, cooldown: 0, min_rate: 0.0 }
    }

    /// Sets the name, under which the state keeps the counts; `reduce_on_plateau` by default. Two
    /// of these handlers in a trainer need different ones.
    ///
    /// ```
    /// use neurax::train::{ReduceOnPlateau, highest};
    /// let second = ReduceOnPlateau::new(highest("accuracy")).named("accuracy reduces");
    /// # let _ = second;
    /// ```
    pub fn named(self, name: &str) -> ReduceOnPlateau {
        ReduceOnPlateau { name: name.into(), ..self }
    }

    /// Sets the factor.
    pub fn factor(self, factor: f64) -> ReduceOnPlateau {
        ReduceOnPlateau { factor, ..self }
    }

    /// Sets the number of epochs in a row without a better score after which the rate is reduced.
    /// With 0, that is 1.
    pub fn patience(self, epochs: usize) -> ReduceOnPlateau {
        ReduceOnPlateau { patience: epochs.max(1), ..self }
    }

    /// Sets the number of epochs after a reduction that are not counted.
    pub fn cooldown(self, epochs: usize) -> ReduceOnPlateau {
        ReduceOnPlateau { cooldown: epochs, ..self }
    }

    /// Sets the rate below which no rate falls.
    pub fn min_rate(self, rate: f64) -> ReduceOnPlateau {
        ReduceOnPlateau { min_rate: rate, ..self }
    }

    /// Checks the options and the optimizer.
    fn check(&self, state: &mut State) -> Result<()> {
        if !(self.factor > 0.0 && self.factor < 1.0) {
            let why = format!("expected a factor between 0 and 1, got {}", self.factor);
            return Err(Error::new(REDUCE_ON_PLATEAU, why));
        }
        self.goal.check(state)?;
        rates(&mut state.opt, REDUCE_ON_PLATEAU, CHAIN_ADVICE).map(|_| ())
    }

    fn compare(&self, event: Event, state: &mut State) -> Result<()> {
        let Some(score) = self.goal.value(event, state)? else { return Ok(()) };
        let memory = state.memory(&self.name);
        let (cooldown, waited) = (memory.count(PLATEAU_COOLDOWN), memory.count(PLATEAU_WAITED));
        let is_better = self.goal.is_better(score, memory.number(PLATEAU_BEST));
        if is_better {
            memory.set_number(PLATEAU_BEST, score);
        }
        let waits = !is_better && cooldown == 0;
        let waited = if waits { waited + 1 } else { 0 };
        let reduces = waited >= self.patience;
        let (waited, cooldown) = match reduces {
            true => (0, self.cooldown),
            false => (waited, cooldown.saturating_sub(1)),
        };
        memory.set_number(PLATEAU_WAITED, waited as f64);
        memory.set_number(PLATEAU_COOLDOWN, cooldown as f64);
        if reduces { self.reduce(&mut state.opt) } else { Ok(()) }
    }

    fn reduce(&self, opt: &mut OptState) -> Result<()> {
        for rate in rates(opt, REDUCE_ON_PLATEAU, CHAIN_ADVICE)? {
            let old = rate.item()?;
            let new = (old.abs() * self.factor).max(self.min_rate).min(old.abs());
            *rate = Tensor::scalar(DType::F32, new.copysign(old));
        }
        Ok(())
    }
}

impl Handler for ReduceOnPlateau {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn events(&self) -> Vec<When> {
        [Event::Started.into()].into_iter().chain(self.goal.events()).collect()
    }

    fn call(&mut self, event: Event, state: &mut State) -> Result<Flow> {
        match event {
            Event::Started => self.check(state),
            _ => self.compare(event, state),
        }?;
        Ok(Flow::Continue)
    }
}

/// Sets the constant rates of the last rule that has one, which keep their signs. `op` is the
/// handler, for an error.
///
/// # Errors
/// If there is none.
pub(crate) fn set_rate(opt: &mut OptState, value: f64, op: &str) -> Result<()> {
    let advice = "search with a constant rate, and use the result in the schedule";
    let rates = rates(opt, op, advice)?;
    for rate in rates {
        *rate = Tensor::scalar(DType::F32, value.copysign(rate.item()?));
    }
    Ok(())
}

/// Returns the constant rates of the last rule that has one.
///
/// # Errors
/// If there is none: `op` is the handler, and `advice` what to do with a schedule.
fn rates<'o>(opt: &'o mut OptState, op: &str, advice: &str) -> Result<Vec<&'o mut Tensor>> {
    // The state of a custom training has no rules.
    if opt.slots.is_empty() {
        let why = "expected the optimizer of a trainer, got none: those of a custom training are \
                   in its step; change their rate in a handler, as a variable in `State::vars`";
        return Err(Error::new(op, why));
    }
    let rule = rule_with_rate(opt).ok_or_else(|| {
        let want = "expected an optimizer with a constant learning rate, got one with a schedule";
        Error::new(op, format!("{want}; {advice}"))
    })?;
    let slots = opt.slots.iter_mut().skip(rule).take(1).flatten();
    Ok(slots.filter(|(name, _)| is_rate(name)).flat_map(|(_, rate)| rate).collect())
}

/// Returns the index of the last rule of an optimizer that has a constant rate.
fn rule_with_rate(opt: &OptState) -> Option<usize> {
    opt.slots.iter().rposition(|slots| slots.keys().any(|name| is_rate(name)))
}

/// Returns true if a slot of an optimizer holds a constant rate.
fn is_rate(slot: &str) -> bool {
    slot == RATE_SLOT || slot.ends_with(NESTED_RATE)
}
