//! A training to look at: its directory is shown by `neurax watch` while it runs and by
//! `neurax report` when it is done, and TensorBoard shows its event files.
//!
//! ```text
//! cargo run --release -p neurax-examples --example recorded -- runs/digits
//! cargo run --release -p neurax-cli -- report runs/digits
//! tensorboard --logdir runs
//! ```

use neurax::prelude::*;
use neurax::{default_device, train};
use neurax_examples::{arguments, positive};
use std::path::{Path, PathBuf};

/// Trains a network that reads digits, and records the training. Without a directory, trains for
/// two epochs in a temporary one.
#[derive(clap::Parser)]
pub struct RecordedArguments {
    /// The directory of the training, which is continued if there is one.
    pub directory: Option<PathBuf>,
    /// The number of epochs.
    #[arg(default_value = "12", value_parser = positive)]
    pub epochs: usize,
}

/// Creates a network with convolutions, from 64 pixels to the probabilities of the ten digits.
pub fn model() -> Model {
    let image = nn::input("image", dims![_, 64]).reshape([1, 8, 8]);
    let features = image.layer(Conv::new(8, 3)).batch_norm().relu();
    features.flatten().dropout(0.2).dense(64).relu().dense(10).softmax().model()
}

/// Trains in a directory, or continues the training there.
///
/// # Errors
/// Returns an error if the directory cannot be written, or holds another training.
pub fn train_in(directory: &Path, epoch_count: usize) -> Result<Trained> {
    // The best state is chosen on the validation part, and its mistakes are shown on the test part.
    let digits = data::digits()?.split3(0.8, 0.1, key(0))?;
    let (model, batches) = (model(), digits.train.shuffled(key(1)).batched(32));
    // A rate that does not depend on the number of epochs: a training that is started again with a
    // larger one is still the same. With `warmup_cosine`, it would continue on another curve.
    let rate = optim::inverse_sqrt(5e-3, 45);
    let trainer = || {
        let optim = optim::adam(rate.clone());
        Trainer::new(&model, loss::categorical_cross_entropy, optim).metric(metric::accuracy())
    };
    let mut run = train::RunDirectory::new(directory)
        .checkpoints(|points| points.best(train::highest("accuracy")))
        .classify(&digits.test, &[])
        .rate(rate.clone())
        .hyper_parameter("peak rate", 5e-3)
        .hyper_parameter("dropout", 0.2)
        .hyper_parameter("optimizer", "adam");
    // The times of a step, which the report shows as a flame graph. The compiler measures them, the
    // reference interpreter does not.
    if default_device()?.to_string().starts_with("native") {
        run = run.profile(&trainer().profile(&batches)?);
    }
    let board = train::TensorBoard::new(directory.join("events"))
        .every_steps(10)
        .histograms()
        .model(&model)
        .rate(rate.clone())
        .hyper_parameter("peak rate", 5e-3)
        .hyper_parameter("optimizer", "adam")
        .hyper_parameter("augmented", false);
    let trained = trainer()
        .validate(&digits.validation)
        .norms()
        .handler(board)
        .record(run)
        .resume_or_run(directory, &batches, epochs(epoch_count))?;
    Ok(trained)
}

/// Writes images and a text beside the values of the training.
///
/// # Errors
/// Returns an error if the folder cannot be written.
pub fn write_images(folder: &Path, trained: &Trained) -> Result<()> {
    let digits = data::digits()?;
    let mut events = train::EventWriter::create(folder)?;
    let images = digits.x.slice(0, ..6).reshape([6, 1, 8, 8]); // in 0..=1
    events.image("digits", trained.step, &images)?; // a grid of 2 rows
    let scores = format!("Trained for **{}** steps: {}", trained.step, trained.validation);
    events.text("summary", trained.step, &scores)
}

/// Trains for two epochs in a temporary directory.
///
/// # Errors
/// As [`train_in`].
pub fn in_temporary_directory() -> Result<()> {
    let directory = std::env::temp_dir().join(format!("neurax-recorded-{}", std::process::id()));
    let trained = train_in(&directory, 2)?;
    write_images(&directory.join("events"), &trained)?;
    println!("{} after {} steps: {}", trained.status, trained.step, trained.validation);
    std::fs::remove_dir_all(directory)?;
    Ok(())
}

/// Runs the example in the directory that the command line names.
///
/// # Errors
/// As [`train_in`].
pub fn main() -> Result<()> {
    let RecordedArguments { directory, epochs } = arguments();
    let Some(directory) = directory else { return in_temporary_directory() };
    let trained = train_in(&directory, epochs)?;
    write_images(&directory.join("events"), &trained)?;
    println!("{} after {} steps: {}", trained.status, trained.step, trained.validation);
    Ok(())
}
