//! When handlers are called, and what they may answer.

use crate::State;
use neurax_tensor::Result;

/// A moment of a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Before the first epoch; variables are there.
    Started,
    /// Before the first batch of an epoch.
    EpochStarted,
    /// Before a step.
    BatchStarted,
    /// After a step; loss and metrics include it.
    BatchEnded,
    /// After the last batch of an epoch, and after validation.
    EpochEnded,
    /// After the last epoch, or after a handler stopped the training.
    Completed,
}

/// What follows a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The training goes on.
    Continue,
    /// The training ends here, as if it had been the last step.
    Stop,
}

/// What a handler may return: nothing, a [`Flow`], or a `Result` of one of these.
#[diagnostic::on_unimplemented(
    message = "a handler returns nothing, a Flow, or a Result of one of these, not `{Self}`"
)]
pub trait IntoFlow {
    /// The flow.
    ///
    /// # Errors
    /// The handler's own: it ends the training.
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

/// The handlers of a training, in the order in which they were given.
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

    /// Does anybody listen?
    pub(crate) fn any(&self, event: Event) -> bool {
        self.0.iter().any(|(e, _)| *e == event)
    }

    /// Calls the handlers of an event; all of them, even after one of them asked to stop.
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
