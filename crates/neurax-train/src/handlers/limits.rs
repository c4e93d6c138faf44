//! [`StepLimit`] and [`TimeLimit`].

use crate::{Event, Flow, Handler, State, When, once};
use neurax_tensor::Result;
use std::time::{Duration, Instant};

const TIME_LIMIT: &str = "time_limit";
/// The name of the time of earlier runs in the memory.
const SECONDS: &str = "seconds";

/// A handler that stops training after a number of steps of all epochs, those before a resume
/// among them.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let set = Dataset::new(Tensor::ones([4, 1]), Tensor::ones([4, 1]))?;
/// let model = nn::input("x", dims![_, 1]).dense(1);
/// let trainer = || Trainer::new(&model, loss::mse, optim::sgd(0.1)).quiet();
/// let limited = trainer().handler(train::StepLimit::new(7));
/// assert_eq!(limited.run(&set.batched(1), epochs(9))?.step, 7);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct StepLimit(usize);

impl StepLimit {
    /// Creates a handler that stops after `steps` steps.
    pub fn new(steps: usize) -> StepLimit {
        StepLimit(steps)
    }
}

impl Handler for StepLimit {
    fn name(&self) -> String {
        "step_limit".into()
    }

    fn events(&self) -> Vec<When> {
        // A call of several steps ends at the last one.
        let last = Event::BatchEnded.when(once(self.0).batches());
        vec![Event::Started.into(), Event::BatchEnded.into(), last]
    }

    fn call(&mut self, _: Event, state: &mut State) -> Result<Flow> {
        Ok(if state.step >= self.0 { Flow::Stop } else { Flow::Continue })
    }

    fn reads_scores(&self) -> bool {
        false
    }
}

/// A handler that stops training after the step at which a time is over, counted from the start of
/// the run. The time before a resume counts, as far as it was saved.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// use std::time::Duration;
/// let set = Dataset::new(Tensor::ones([4, 1]), Tensor::ones([4, 1]))?;
/// let model = nn::input("x", dims![_, 1]).dense(1);
/// let trainer = Trainer::new(&model, loss::mse, optim::sgd(0.1)).quiet();
/// let trainer = trainer.handler(train::TimeLimit::new(Duration::ZERO));
/// assert_eq!(trainer.run(&set.batched(1), epochs(9))?.step, 1);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TimeLimit {
    limit: Duration,
    /// The time of the last event.
    last: Option<Instant>,
}

impl TimeLimit {
    /// Creates a handler that stops after `limit`.
    pub fn new(limit: Duration) -> TimeLimit {
        TimeLimit { limit, last: None }
    }
}

impl Handler for TimeLimit {
    fn name(&self) -> String {
        TIME_LIMIT.into()
    }

    fn events(&self) -> Vec<When> {
        vec![Event::Started.into(), Event::BatchEnded.into()]
    }

    fn call(&mut self, event: Event, state: &mut State) -> Result<Flow> {
        let now = Instant::now();
        let passed = self.last.replace(now).map_or(Duration::ZERO, |last| now - last);
        let memory = state.memory(TIME_LIMIT);
        let seconds = memory.number(SECONDS).unwrap_or(0.0) + passed.as_secs_f64();
        memory.set_number(SECONDS, seconds);
        let is_over = event == Event::BatchEnded && seconds >= self.limit.as_secs_f64();
        Ok(if is_over { Flow::Stop } else { Flow::Continue })
    }

    fn reads_scores(&self) -> bool {
        false
    }
}
