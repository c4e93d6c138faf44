//! The reason for which a training run ended.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The reason for which a training run ended, or [`Status::Running`].
///
/// ```
/// use neurax::prelude::*;
/// let set = Dataset::new(Tensor::ones([4, 1]), Tensor::ones([4, 1]))?;
/// let model = nn::input("x", dims![_, 1]).dense(1);
/// let trainer = Trainer::new(&model, loss::mse, optim::sgd(0.1)).quiet();
/// let stopped = trainer.handler(train::StepLimit::new(3)).run(&set.batched(2), epochs(9))?;
/// assert_eq!(stopped.status.to_string(), "stopped by step_limit");
/// assert_eq!(stopped.step, 3);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The run has not ended.
    #[default]
    Running,
    /// All epochs are complete.
    Completed,
    /// A handler answered [`Flow::Stop`](crate::Flow::Stop).
    Stopped {
        /// The name of the handler; `a closure` for one without a name.
        by: String,
    },
    /// The user pressed Ctrl-C: see [`Interrupt`](crate::Interrupt).
    Interrupted,
    /// The program got the signal SIGTERM: see [`Interrupt`](crate::Interrupt).
    Terminated,
    /// An error ended the run.
    Failed,
}

impl Status {
    /// Returns the exit code of a program whose training ended for this reason: 130 after Ctrl-C
    /// and 143 after SIGTERM, as shells expect it (128 and the number of the signal), 1 after an
    /// error, and 0 otherwise.
    ///
    /// ```
    /// use neurax::train::Status;
    /// let codes = [Status::Completed, Status::Interrupted, Status::Terminated];
    /// assert_eq!(codes.map(|s| s.exit_code()), [0, 130, 143]);
    /// ```
    pub fn exit_code(&self) -> i32 {
        match self {
            Status::Running | Status::Completed | Status::Stopped { .. } => 0,
            Status::Interrupted => 130,
            Status::Terminated => 143,
            Status::Failed => 1,
        }
    }

    /// Returns true if a signal ended the run, so that the program is to end soon.
    ///
    /// ```
    /// use neurax::train::Status;
    /// assert!(Status::Terminated.is_interrupted() && !Status::Completed.is_interrupted());
    /// ```
    pub fn is_interrupted(&self) -> bool {
        matches!(self, Status::Interrupted | Status::Terminated)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Status::Running => f.write_str("running"),
            Status::Completed => f.write_str("completed"),
            Status::Stopped { by } => write!(f, "stopped by {by}"),
            Status::Interrupted => f.write_str("interrupted"),
            Status::Terminated => f.write_str("terminated"),
            Status::Failed => f.write_str("failed"),
        }
    }
}
