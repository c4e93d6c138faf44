//! The choice for a loss that is NaN or infinite.

use neurax_tensor::Error;

/// The choice of a trainer for a loss that is NaN or infinite: see
/// [`Trainer::non_finite_loss`](crate::Trainer::non_finite_loss). The loss of a step that the
/// optimizer skips does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NonFiniteLoss {
    /// Prints one warning on standard error, also if the trainer is quiet, and goes on.
    #[default]
    Warn,
    /// Ends training with an error, which holds the state after the call of the compiled
    /// step, one step by default.
    Stop,
    /// Goes on without a word.
    Ignore,
}

/// Returns the error of a loss that is not finite since the last step.
pub(crate) fn error(loss: f64) -> Error {
    let why = format!(
        "expected a finite loss, got {loss}; look for NaN in the data and for labels out of range, \
         lower the learning rate, clip the gradients, or leave out such steps with \
         `Optim::non_finite`; `debug::nans(true)` names the operation and the layer that made it"
    );
    Error::new("train", why)
}
