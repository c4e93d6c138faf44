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

    /// Returns true if the handler is called before all others of an event, which then see what it
    /// decided, as one that stops training at a signal is.
    fn is_first(&self) -> bool {
        false
    }

    /// Returns true if the handler is called after all others at `Completed`, as one that describes
    /// the result is, which the others may change.
    fn reads_result(&self) -> bool {
        false
    }

    /// Returns true if the handler reads the loss and the metrics of the state at `BatchEnded`.
    /// They are computed for those that do.
    fn reads_scores(&self) -> bool {
        true
    }

    /// Returns true if an error that ends training at a step is to say what made the first NaN or
    /// infinity: the operation, its layer and the user's line, as
    /// [`debug::nans`](neurax_tensor::debug::nans) does. The trainer keeps the arguments of each
    /// step for that, so that steps are not done in place: the memory of the variables and of the
    /// optimizer is needed twice.
    fn explains_nan(&self) -> bool {
        false
    }

    /// Notes that training advances: it is called after each batch of a validation set, whose
    /// evaluation may take longer than all steps between two events, and after each batch of the
    /// passes for the running statistics of [averaged weights](crate::AveragedWeights), which
    /// [`Flow::Stop`] ends as well: the result has the weights after the last step then.
    ///
    /// With [`Flow::Stop`], an evaluation after an epoch ends without scores, and the run stops: a
    /// resumed one evaluates again. An evaluation inside of an epoch goes on to its end.
    /// [`Flow::StopEpoch`] is as [`Flow::Continue`] here.
    ///
    /// # Errors
    /// An error ends training.
    fn validating(&mut self, _state: &State) -> Result<Flow> {
        Ok(Flow::Continue)
    }

    /// Gives back what the handler took from the process, such as a signal. It is called once at
    /// the end of every run in which the handler was called, also of one whose state was lost
    /// because a device failed, for which there is no [`Event::Failed`] and no state.
    fn release(&mut self, _state: Option<&mut State>) {}
}

/// The handlers of a training run, in the order in which they were added.
#[derive(Default)]
pub(crate) struct Handlers(Vec<Registered>);

struct Registered {
    name: String,
    /// True if the name is not that of another handler: a closure has none.
    is_named: bool,
    events: Vec<When>,
    is_first: bool,
    is_last: bool,
    reads_scores: bool,
    reads_result: bool,
    /// True after the first call.
    is_called: bool,
    handler: Box<dyn Handler>,
}

/// A closure as a handler.
struct ClosureHandler<F> {
    when: When,
    call: F,
}

impl<R: IntoFlow, F: FnMut(&mut State) -> R + Send + 'static> Handler for ClosureHandler<F> {
    fn name(&self) -> String {
        CLOSURE.into()
    }
    fn events(&self) -> Vec<When> {
        vec![self.when.clone()]
    }
    fn call(&mut self, _: Event, state: &mut State) -> Result<Flow> {
        (self.call)(state).flow()
    }
}

impl Handlers {
    /// Adds a closure.
    pub fn add<R: IntoFlow>(
        &mut self,
        when: When,
        f: impl FnMut(&mut State) -> R + Send + 'static,
    ) {
        self.insert(Registered::new(Box::new(ClosureHandler { when, call: f }), false));
    }

    /// Adds a handler with a name.
    pub fn add_named(&mut self, handler: impl Handler) {
        self.insert(Registered::new(Box::new(handler), true));
    }

    /// Adds a handler of the library that the user may have added, too: it shares its name with
    /// that one.
    pub fn add_default(&mut self, handler: impl Handler) {
        self.insert(Registered::new(Box::new(handler), false));
    }

    /// Inserts a handler behind those that are called first and before those that are called last,
    /// unless it is one of them.
    fn insert(&mut self, new: Registered) {
        let at = match (new.is_first, new.is_last) {
            (true, _) => self.0.partition_point(|h| h.is_first),
            (_, true) => self.0.len(),
            _ => self.0.partition_point(|h| !h.is_last),
        };
        self.0.insert(at, new);
    }

    /// Checks that no two handlers have one name: they would share their memory.
    ///
    /// # Errors
    /// If two have.
    pub fn check_names(&self) -> Result<()> {
        let mut seen = BTreeSet::new();
        let mut names = self.0.iter().filter(|h| h.is_named).map(|h| &h.name);
        match names.find(|name| !seen.insert(*name)) {
            Some(name) => {
                let why = format!(
                    "expected handlers of different names, got two called `{name}`; the state \
                     keeps under its name what a handler remembers: give one another name or \
                     directory"
                );
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

    /// Returns true if a call of the compiled step has to end after `step` steps of the run, since
    /// a handler waits for the batch before or after.
    pub fn end_call(&self, step: usize) -> bool {
        self.0.iter().flat_map(|handler| &handler.events).any(|when| when.ends_call(step))
    }

    /// Returns true if a handler asks for the cause of NaN in a failed step.
    pub fn explain_nan(&self) -> bool {
        self.0.iter().any(|h| h.handler.explains_nan())
    }

    /// Calls [`Handler::validating`] of all handlers. Returns the name of the first one that stops
    /// the run.
    ///
    /// # Errors
    /// The first error of a handler, or its panic.
    pub fn validating(&mut self, state: &State) -> Result<Option<&str>> {
        let mut stopping = None;
        for Registered { name, handler, .. } in &mut self.0 {
            let of = format_args!("the handler `{name}`");
            if guarded(of, || handler.validating(state))?? == Flow::Stop {
                stopping = stopping.or(Some(name.as_str()));
            }
        }
        Ok(stopping)
    }

    /// Calls [`Handler::release`] of all handlers that were called, even after a panic.
    pub fn release(&mut self, mut state: Option<&mut State>) {
        for handler in self.0.iter_mut().filter(|h| h.is_called) {
            let state = state.as_deref_mut();
            // The run has its result: that of a handler that panics now is none.
            let _ = guarded(CLOSURE, || handler.handler.release(state));
        }
    }

    /// Calls all handlers of `event`, even after one of them returned [`Flow::Stop`], and at
    /// [`Event::Failed`] even after an error. The state says who stopped training before the next
    /// handler is called.
    ///
    /// # Errors
    /// The first error of a handler, or its panic.
    pub fn call(&mut self, event: Event, state: &mut State) -> Result<Flow> {
        call_all(self.0.iter_mut(), event, state)
    }

    /// Calls the handlers of `event` that are the last ones of other events.
    ///
    /// # Errors
    /// As [`Handlers::call`].
    pub fn call_savers(&mut self, event: Event, state: &mut State) -> Result<Flow> {
        call_all(self.0.iter_mut().filter(|h| h.is_last), event, state)
    }

    /// Calls the handlers of `event` that are not the last ones of other events; at the end those
    /// that read the result.
    ///
    /// # Errors
    /// As [`Handlers::call`].
    pub fn call_others(&mut self, event: Event, state: &mut State) -> Result<Flow> {
        let (readers, others): (Vec<_>, Vec<_>) =
            self.0.iter_mut().filter(|h| !h.is_last).partition(|h| h.reads_result);
        call_all(others.into_iter().chain(readers), event, state)
    }
}

/// Calls handlers as [`Handlers::call`] does.
fn call_all<'h>(
    handlers: impl Iterator<Item = &'h mut Registered>,
    event: Event,
    state: &mut State,
) -> Result<Flow> {
    let mut outcome = Ok(Flow::Continue);
    for handler in handlers {
        let answer = handler.answer(event, state);
        outcome = outcome.and_then(|flow| answer.map(|answer| flow.max(answer)));
        if outcome.is_err() && event != Event::Failed {
            break;
        }
    }
    outcome
}

impl Registered {
    fn new(handler: Box<dyn Handler>, is_named: bool) -> Registered {
        let (name, events) = (handler.name(), handler.events());
        let (is_first, is_last) = (handler.is_first(), handler.is_last());
        let (reads_scores, reads_result) = (handler.reads_scores(), handler.reads_result());
        Registered {
            name,
            is_named,
            events,
            is_first,
            is_last,
            reads_scores,
            reads_result,
            is_called: false,
            handler,
        }
    }

    /// Calls the handler if it is one of `event`.
    ///
    /// # Errors
    /// Its error, or its panic.
    fn answer(&mut self, event: Event, state: &mut State) -> Result<Flow> {
        if !self.wants(event, state)? {
            return Ok(Flow::Continue);
        }
        self.is_called = true;
        let (name, handler) = (&self.name, &mut self.handler);
        let call = || handler.call(event, state);
        let answer = guarded(format_args!("the handler `{name}`"), call)??;
        if answer == Flow::Stop && state.status == Status::Running {
            state.status = Status::Stopped { by: name.clone() };
        }
        state.so_far.halts |= answer == Flow::StopEpoch && event.is_inside_epoch();
        Ok(answer)
    }

    /// Returns true if the handler is to be called.
    ///
    /// # Errors
    /// The error of a filter, or its panic.
    fn wants(&self, event: Event, state: &State) -> Result<bool> {
        let name = &self.name;
        let filter = format_args!("a filter of the handler `{name}`");
        for when in &self.events {
            if guarded(filter, || when.matches(event, state))?? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
