//! The training loop.
//!
//! A [`Trainer`] is a fold over epochs and batches: its [`State`] holds everything that a training
//! is at one moment, the step that leads from one to the next is one jitted function, and at named
//! [`Event`]s handlers see and may change the state. All side effects of training (printing, files,
//! clocks) live here and in handlers; models, losses and optimizers are pure. Users have this crate
//! as `neurax::train`; start with [`Trainer`], whose page shows a whole training.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

extern crate neurax_tensor as neurax;

mod error;
mod event;
mod program;
mod progress;
mod scores;
mod state;
mod trained;
mod trainer;

pub use error::TrainError;
pub use event::{Event, Flow, IntoFlow};
pub use scores::Scores;
pub use state::{EpochLog, State};
pub use trained::Trained;
pub use trainer::{Epochs, Trainer, epochs};
