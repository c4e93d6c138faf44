//! The training loop.
//!
//! A [`Trainer`] is a fold over epochs and batches: a [`State`] holds all data of a training run,
//! one jitted function computes the next state, and handlers see and may change the state at named
//! [`Event`]s. All side effects of training (printing, files, clocks) are in this crate and in
//! handlers; models, losses and optimizers are pure. Users import this crate as `neurax::train`;
//! start with [`Trainer`], whose documentation shows a complete run.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

extern crate neurax_tensor as neurax;

mod any_batch;
mod averaged_weights;
mod batch_group;
mod cross_validation;
mod custom;
mod differences;
mod epoch_so_far;
mod epochs_of_steps;
mod error;
mod evaluation;
mod evaluator;
mod event;
mod filter;
mod first_batches;
mod goal;
mod guard;
mod handler;
mod handlers;
mod measure;
mod memory;
mod non_finite;
mod norms;
mod predict;
mod process_memory;
mod program;
mod program_record;
mod progress;
mod rate_finder;
mod replaced_vars;
mod run_files;
mod saved;
mod score_names;
mod scores;
mod settings;
mod state;
mod state_tree;
mod status;
mod stopwatch;
mod supervised;
mod task;
mod trained;
mod trainer;
mod training_run;
mod tuning;
mod validation_data;

pub use averaged_weights::AveragedWeights;
pub use cross_validation::{CrossValidation, cross_validate, k_fold};
pub use custom::CustomTraining;
pub use error::TrainError;
pub use evaluator::Evaluator;
pub use event::{Event, Flow, IntoFlow};
pub use filter::{EventCount, EventFilter, When, after, before, every, first, once};
pub use goal::{Goal, highest, lowest};
pub use handler::Handler;
pub use handlers::{
    Checkpoints, CsvLog, EarlyStopping, EpochFields, EventWriter, HyperParameter, ImageAxes,
    Interrupt, JsonLines, LineKind, MetricsLine, ReduceOnPlateau, RunDirectory, StepLimit,
    StopOnNan, TensorBoard, TimeLimit, WatchdogFile, png_image,
};
pub use memory::{HandlerMemories, HandlerMemory};
pub use non_finite::NonFiniteLoss;
pub use predict::{Predict, Prediction, PredictionProgress};
pub use progress::ProgressForm;
pub use rate_finder::{RateFinder, RatePoint, RateSearch};
pub use run_files::{
    BestRecord, ClassCurves, LayerRecord, PredictionRecord, ProfileRecord, RunEnvironment,
    RunFiles, RunRecord, RunSession, TimeShare,
};
pub use scores::Scores;
pub use state::{EpochLog, State};
pub use status::Status;
pub use trained::Trained;
pub use trainer::{Epochs, Trainer, epochs};
pub use validation_data::ValidationData;
