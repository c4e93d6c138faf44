//! A training that survives being killed: it saves its state every few steps, and continues with
//! the next batch when it is started again.
//!
//! ```text
//! cargo run --release -p neurax-examples --example resume -- run
//! ```
//!
//! trains in the directory `run`. Press Ctrl-C or kill it, and start it again: the weights that it
//! prints at the end, the last and the best, are always the same. `scripts/kill-training.sh` does
//! this a hundred times.

use neurax::prelude::*;
use neurax::{io, train};
use neurax_examples::{arguments, positive};
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};

/// Trains in steps that survive a kill. Without a directory, trains twice in a temporary one, and
/// prints a hash of an undisturbed training and of one that was resumed.
#[derive(clap::Parser)]
pub struct ResumeArguments {
    /// The directory of the training, which is continued if there is one.
    pub directory: Option<PathBuf>,
    /// The number of epochs.
    #[arg(default_value = "6", value_parser = positive)]
    pub epochs: usize,
}

/// Creates a network with random numbers and statistics, which are a part of the state.
pub fn model() -> Model {
    let hidden = nn::input("image", dims![_, 64]).dense(64).layer(BatchNorm::new()).relu();
    hidden.dropout(0.2).dense(10).softmax().model()
}

/// Trains in a directory, or continues the training there.
///
/// # Errors
/// Returns an error if the directory cannot be written, or holds another training.
pub fn train_in(directory: &Path, epoch_count: usize) -> Result<Trained> {
    let digits = data::digits()?.split(0.8, key(0));
    let checkpoints = directory.join("checkpoints");
    let best = train::lowest("loss");
    // A rate that does not depend on the number of epochs: a training that is started again with a
    // larger one is still the same. With `warmup_cosine`, it would continue on another curve.
    let rate = optim::inverse_sqrt(0.01, 20);
    let trainer = Trainer::new(model(), loss::categorical_cross_entropy, optim::adam(rate))
        .metric(metric::accuracy())
        .validate(&digits.test)
        .handler(train::JsonLines::new(directory.join("metrics.jsonl")).every_steps(1))
        .handler(train::EarlyStopping::new(train::lowest("loss")).patience(20).restore_best())
        .handler(train::Interrupt)
        .handler(
            train::Checkpoints::new(&checkpoints).every_steps(3).every_epochs(1).keep(2).best(best),
        );
    let batches = digits.train.shuffled(key(1)).batched(32);
    Ok(trainer.quiet().resume_or_run(&checkpoints, &batches, epochs(epoch_count))?)
}

/// Returns a hash of the variables, of the state of the optimizer and of all scores.
///
/// # Errors
/// Returns an error if a tensor carries one.
pub fn hash(state: &State) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    hasher.write(&io::serialize(&(state.vars.clone(), state.opt.clone(), state.key.clone()))?);
    for log in &state.history {
        let scores = log.train.iter().chain(log.validation.iter());
        scores.for_each(|(_, score)| hasher.write_u64(score.to_bits()));
    }
    Ok(hasher.finish())
}

/// Trains twice, and loses the last steps of the second training.
///
/// # Errors
/// As [`train_in`].
pub fn interrupted() -> Result<()> {
    let directory = std::env::temp_dir().join(format!("neurax-example-{}", std::process::id()));
    let undisturbed = train_in(&directory.join("whole"), 2)?;
    let halves = directory.join("halves");
    train_in(&halves, 2)?;
    // As if the program had been killed in step 89: the state after step 87 is the newest one.
    std::fs::remove_dir_all(halves.join("checkpoints/step-000090"))?;
    let resumed = train_in(&halves, 2)?;
    println!("{:x}, resumed {:x}", hash(&undisturbed.state)?, hash(&resumed.state)?);
    std::fs::remove_dir_all(directory)?;
    Ok(())
}

/// Runs the example in the directory that the command line names.
///
/// # Errors
/// As [`train_in`].
pub fn main() -> Result<()> {
    let ResumeArguments { directory, epochs } = arguments();
    let Some(directory) = directory else { return interrupted() };
    let trained = train_in(&directory, epochs)?;
    println!("{} after {} steps: {}", trained.status, trained.step, trained.validation);
    if trained.status == train::Status::Completed {
        let best = State::load(directory.join("checkpoints/best"))?;
        println!("weights {:016x}, best {:016x}", hash(&trained.state)?, hash(&best)?);
    }
    std::process::exit(trained.status.exit_code())
}
