//! Handlers: the code that a training run calls at its events.

use crate::event::{Event, Flow, IntoFlow};
use crate::filter::When;
use crate::guard::guarded;
use crate::{State, Status};
use neurax_tensor::{Error, Result};
use std::collections::BTreeSet;

/// The name of a handler without one.
const CLOSURE: &str = "a closure";

/// A handler with a name and several events: see [`Trainer::handler`](crate::Trainer::handler). For
/// one event, a closure is enough: see [`Trainer::on`](crate::Trainer::on).
///
/// Data that must survive a resume belong into [`State::memory`], under the name of the handler.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// use neurax::train::{Handler, When};
///
/// /// Stops training after the second epoch whose loss is below `below`.
/// struct Twice { below: f64 }
///
/// impl Handler for Twice {
///     fn name(&self) -> String {
///         "twice".into()
///     }
///     fn events(&self) -> Vec<When> {
///         vec![Event::EpochEnded.into()]
///     }
///     fn call(&mut self, _: Event, state: &mut State) -> Result<Flow> {
///         let is_below = state.loss < self.below;
///         let memory = state.memory("twice");
///         let count = memory.count("epochs") + usize::from(is_below);
///         memory.set_number("epochs", count as f64);
///         Ok(if count == 2 { Flow::Stop } else { Flow::Continue })
///     }
/// }
///
/// let set = Dataset::new(Tensor::ones([4, 1]), Tensor::ones([4, 1]))?;
/// let model = nn::input("x", dims![_, 1]).dense(1);
/// let trainer = Trainer::new(&model, loss::mse, optim::sgd(0.1)).quiet();
/// let trained = trainer.handler(Twice { below: 100.0 }).run(&set.batched(2), epochs(9))?;
/// assert_eq!(trained.history.len(), 2);
/// assert_eq!(trained.status.to_string(), "stopped by twice");
/// # Ok::<(), Error>(())
/// ```
pub trait Handler: Send + 'static {
    /// Returns the name, under which the state keeps the memory. No two handlers of a trainer have
    /// one name.
    fn name(&self) -> String;

    /// Returns the events at which the handler is called.
    fn events(&self) -> Vec<When>;

    /// Reads and changes the state at an event.
    ///
    /// # Errors
    /// An error ends training.
    fn call(&mut self, event: Event, state: &mut State) -> Result<Flow>;

    /// Returns true if the handler is called after all others of an event, as one that saves the
    /// state is: what the others remember of the event is then saved, too. At `Completed`, it is
    /// called before them: they may change the result, from which training does not go on.
    fn is_last(&self) -> bool {
        false
    }

    /// Returns true if the handler reads the loss and the metrics of the state at `BatchEnded`.
    /// They are computed for those that do.
    fn reads_scores(&self) -> bool {
        true
    }
}

/// The handlers of a training run, in the order in which they were added.
#[derive(Default)]
pub(crate) struct Handlers(Vec<Registered>);

struct Registered {
    /// `None` for a closure.
    name: Option<String>,
    events: Vec<When>,
    is_last: bool,
    reads_scores: bool,
    call: Box<dyn FnMut(Event, &mut State) -> Result<Flow> + Send>,
}

impl Handlers {
    /// Adds a closure.
    pub fn add<R: IntoFlow>(
        &mut self,
        when: When,
        mut f: impl FnMut(&mut State) -> R + Send + 'static,
    ) {
        let call = Box::new(move |_, state: &mut State| f(state).flow());
        let (events, reads_scores) = (vec![when], true);
        self.insert(Registered { name: None, events, is_last: false, reads_scores, call });
    }

    /// Adds a handler with a name.
    pub fn add_named(&mut self, mut handler: impl Handler) {
        let (name, events) = (Some(handler.name()), handler.events());
        let (is_last, reads_scores) = (handler.is_last(), handler.reads_scores());
        let call = Box::new(move |event, state: &mut State| handler.call(event, state));
        self.insert(Registered { name, events, is_last, reads_scores, call });
    }

    /// Inserts a handler before those that are called last, unless it is one of them.
    fn insert(&mut self, new: Registered) {
        let at = if new.is_last { self.0.len() } else { self.0.partition_point(|h| !h.is_last) };
        self.0.insert(at, new);
    }

    /// Checks that no two handlers have one name: they would share their memory.
    ///
    /// # Errors
    /// If two have.
    pub fn check_names(&self) -> Result<()> {
        let mut seen = BTreeSet::new();
        match self.0.iter().filter_map(|h| h.name.as_ref()).find(|name| !seen.insert(*name)) {
            Some(name) => {
                let why = format!("expected handlers of different names, got two called `{name}`");
                Err(Error::new("train", why))
            }
            None => Ok(()),
        }
    }

    /// Returns true if a handler or a filter reads the loss and the metrics at `event`.
    ///
    /// # Errors
    /// The error of a filter.
    pub fn read_scores(&self, event: Event, state: &State) -> Result<bool> {
        for handler in &self.0 {
            let mut own = handler.events.iter().filter(|when| when.event == event);
            let filters = own.any(When::reads_scores);
            if filters || (handler.reads_scores && handler.wants(event, state)?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Calls all handlers of `event`, even after one of them returned [`Flow::Stop`], and at
    /// [`Event::Failed`] even after an error. The state says who stopped training before the next
    /// handler is called.
    ///
    /// # Errors
    /// The first error of a handler, or its panic.
    pub fn call(&mut self, event: Event, state: &mut State) -> Result<Flow> {
        let mut outcome = Ok(Flow::Continue);
        for handler in ordered(&mut self.0, event) {
            let answer = handler.answer(event, state);
            outcome = outcome.and_then(|flow| answer.map(|answer| flow.max(answer)));
            if outcome.is_err() && event != Event::Failed {
                break;
            }
        }
        outcome
    }
}

/// Returns the handlers in the order in which they are called at `event`.
fn ordered(handlers: &mut [Registered], event: Event) -> impl Iterator<Item = &mut Registered> {
    let (others, last) = handlers.split_at_mut(handlers.partition_point(|h| !h.is_last));
    let (a, b) = if event == Event::Completed { (last, others) } else { (others, last) };
    a.iter_mut().chain(b)
}

impl Registered {
    /// Calls the handler if it is one of `event`.
    ///
    /// # Errors
    /// Its error, or its panic.
    fn answer(&mut self, event: Event, state: &mut State) -> Result<Flow> {
        if !self.wants(event, state)? {
            return Ok(Flow::Continue);
        }
        let name = self.name.as_deref().unwrap_or(CLOSURE);
        let answer = guarded(format_args!("the handler `{name}`"), || (self.call)(event, state))??;
        if answer == Flow::Stop && state.status == Status::Running {
            state.status = Status::Stopped { by: name.into() };
        }
        state.so_far.halts |= answer == Flow::StopEpoch;
        Ok(answer)
    }

    /// Returns true if the handler is to be called.
    ///
    /// # Errors
    /// The error of a filter, or its panic.
    fn wants(&self, event: Event, state: &State) -> Result<bool> {
        let name = self.name.as_deref().unwrap_or(CLOSURE);
        let filter = format_args!("a filter of the handler `{name}`");
        for when in &self.events {
            if guarded(filter, || when.matches(event, state))?? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
