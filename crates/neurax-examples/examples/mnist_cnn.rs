//! MNIST from its own files: a convolutional network with a validation set, early stopping,
//! checkpoints, and an accuracy on the test files.
//!
//! ```text
//! cargo run --release -p neurax-cli --features download -- data get mnist --dir data
//! cargo run --release -p neurax-examples --example mnist_cnn -- --data data/mnist
//! ```
//!
//! `fashion-mnist` and other sets of the same format work as well. The states of a training are in
//! the folder `run` beside the files, or in the one behind `--run`. Without `--data`, the program
//! writes small files of this format: the embedded digits, enlarged to 28 x 28 pixels.

use neurax::prelude::*;
use neurax_examples::arguments;
use std::path::{Path, PathBuf};

/// Trains a convolutional network on MNIST. Without `--data`, trains on small generated files.
#[derive(clap::Parser)]
pub struct MnistArguments {
    /// The folder of the four files.
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// The folder of the states of the training. Default: `run` beside the files.
    #[arg(long, requires = "data")]
    pub run: Option<PathBuf>,
}

/// Creates a network from 28 x 28 pixels to the probabilities of ten classes.
pub fn model() -> Model {
    // Batch normalization has an offset for each channel, so that the convolutions need no bias.
    let conv = |filters| nn::Conv::new(filters, 3).padding(Padding::Same).bias(false);
    let x = nn::input("image", dims![_, 28, 28]).reshape([1, 28, 28]);
    let x = x.layer(conv(16)).batch_norm().relu().max_pool(2); // 14 x 14
    let x = x.layer(conv(32)).batch_norm().relu().max_pool(2); // 7 x 7
    x.flatten().dropout(0.3).dense(10).softmax().model()
}

/// Trains on the files in `folder`, saves states in `run`, and returns the accuracy on the test
/// files.
///
/// # Errors
/// Returns an error if the files are missing or malformed, or `run` cannot be written.
pub fn accuracy(folder: &Path, run: &Path) -> Result<f64> {
    let mnist = data::mnist(folder)?; // images f32[n, 28, 28] in 0..=1, one-hot labels
    // The epoch to stop after is chosen on a part of the training files. The test files are used
    // once, at the end: choosing by them would make their accuracy too good.
    let parts = mnist.train.split(0.9, key(0));
    let best = train::highest("accuracy");
    let trainer = Trainer::new(model(), loss::categorical_cross_entropy, optim::adam(2e-3))
        .metric(metric::accuracy())
        .validate(&parts.test)
        .handler(train::EarlyStopping::new(best.clone()).patience(3).restore_best())
        .handler(train::Checkpoints::new(run).keep(1).best(best));
    // If the program was killed, the next start continues from its newest state.
    let batches = parts.train.shuffled(key(1)).batched(64);
    let trained = trainer.resume_or_run(run, &batches, epochs(10))?;
    println!("{} after {} epochs: {}", trained.status, trained.epoch, trained.validation);
    Ok(trained.evaluate(&mnist.test)?["accuracy"])
}

/// Writes the four files of a data set in the format of MNIST, of enlarged digits.
///
/// # Errors
/// Returns an error if a file cannot be written.
pub fn write_files(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let digits = data::digits()?.split(0.8, key(0));
    for (name, set) in [("train", &digits.train), ("t10k", &digits.test)] {
        let n = set.len();
        let small = (set.x.reshape([n, 8, 8]) * 255.0).to(U8);
        let border = [(0, 0), (2, 2), (2, 2)];
        let images = small.repeat(3, 1).repeat(3, 2).pad(border, 0).to_vec()?;
        let labels = set.y.argmax(-1).to(U8).to_vec()?;
        write_idx(&folder.join(format!("{name}-images-idx3-ubyte")), &[n, 28, 28], &images)?;
        write_idx(&folder.join(format!("{name}-labels-idx1-ubyte")), &[n], &labels)?;
    }
    Ok(())
}

/// Writes an IDX file of bytes: two zeros, 8 for u8, the number of axes, the sizes, the elements.
fn write_idx(path: &Path, sizes: &[usize], elements: &[u8]) -> Result<()> {
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    sizes.iter().for_each(|&size| bytes.extend((size as u32).to_be_bytes()));
    bytes.extend(elements);
    Ok(std::fs::write(path, bytes)?)
}

/// Runs the example on the folder behind `--data`, or on generated files.
pub fn main() -> Result<()> {
    let MnistArguments { data, run } = arguments();
    if let Some(folder) = data {
        // In the folder of the data, so that another data set does not continue this training.
        let run = run.unwrap_or_else(|| folder.join("run"));
        println!("accuracy on the test files: {:.4}", accuracy(&folder, &run)?);
        println!("the best state is in {}", run.join("best").display());
        return Ok(());
    }
    let folder = std::env::temp_dir().join(format!("neurax-example-mnist-{}", std::process::id()));
    write_files(&folder)?;
    println!("accuracy on the test files: {:.4}", accuracy(&folder, &folder.join("run"))?);
    Ok(std::fs::remove_dir_all(folder)?)
}
