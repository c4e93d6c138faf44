//! Events of training and the handlers that are called for them.

use crate::State;
use neurax_tensor::Result;

/// A point in a training run at which handlers are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Before the first epoch; the variables are initialized.
    Started,
    /// Before the first batch of an epoch.
    EpochStarted,
    /// Before a training step.
    BatchStarted,
    /// After a training step; loss and metrics include it.
    BatchEnded,
    /// After the last batch of an epoch and its validation.
    EpochEnded,
    /// After the last epoch, or after a handler stopped training.
    Completed,
}

/// The decision of a handler to continue or to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Training continues.
    Continue,
    /// Training ends here, as if this had been the last step.
    Stop,
}

/// A return value of a handler: nothing, a [`Flow`], or a `Result` of one of these.
#[diagnostic::on_unimplemented(
    message = "expected a handler that returns nothing, a Flow, or a Result of one of these, \
               got `{Self}`"
)]
pub trait IntoFlow {
    /// Converts the value to a [`Flow`].
    ///
    /// # Errors
    /// The error of the handler; it ends training.
    fn flow(self) -> Result<Flow>;
}

impl IntoFlow for () {
    fn flow(self) -> Result<Flow> {
        Ok(Flow::Continue)
    }
}

impl IntoFlow for Flow {
    fn flow(self) -> Result<Flow> {
        Ok(self)
    }
}

impl<T: IntoFlow> IntoFlow for Result<T> {
    fn flow(self) -> Result<Flow> {
        self?.flow()
    }
}

/// The handlers of a training run, in the order in which they were added.
#[derive(Default)]
pub(crate) struct Handlers(Vec<(Event, Handler)>);

type Handler = Box<dyn FnMut(&mut State) -> Result<Flow> + Send>;

impl Handlers {
    pub(crate) fn add<R: IntoFlow>(
        &mut self,
        event: Event,
        mut f: impl FnMut(&mut State) -> R + Send + 'static,
    ) {
        self.0.push((event, Box::new(move |state| f(state).flow())));
    }

    /// Returns true if a handler is registered for `event`.
    pub(crate) fn has(&self, event: Event) -> bool {
        self.0.iter().any(|(e, _)| *e == event)
    }

    /// Calls all handlers of `event`, even after one of them returned [`Flow::Stop`].
    pub(crate) fn call(&mut self, event: Event, state: &mut State) -> Result<Flow> {
        let mut flow = Flow::Continue;
        for (_, handler) in self.0.iter_mut().filter(|(e, _)| *e == event) {
            if handler(state)? == Flow::Stop {
                flow = Flow::Stop;
            }
        }
        Ok(flow)
    }
}
