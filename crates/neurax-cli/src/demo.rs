//! `neurax demo`: a digit classifier.

use crate::output::print_line;
use clap::Args;
use neurax::prelude::*;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct Demo {
    /// Epochs, i.e. passes over the training set.
    #[arg(long, default_value_t = 15)]
    epochs: usize,
    /// Seed of the split, the initial weights and the order of the examples.
    #[arg(long, default_value_t = 0)]
    seed: i64,
    /// File to save the weights to.
    #[arg(long, default_value = "digits.safetensors")]
    out: PathBuf,
}

impl Demo {
    pub fn run(self) -> Result<()> {
        check_writable(&self.out)?;
        let model = nn::input("image", dims![_, 64]).dense(128).relu().dense(10).softmax();
        print_line(model.summary())?;
        let [split, start, order] = key(self.seed).split();
        let digits = data::digits()?.split(0.8, split);
        print_line(format!(
            "{} training digits, {} test digits",
            digits.train.len(),
            digits.test.len()
        ))?;

        let trained = Trainer::new(&model, loss::categorical_cross_entropy, optim::adam(2e-3))
            .metric(metric::accuracy())
            .validate(&digits.test)
            .key(start)
            .run(&digits.train.shuffled(order).batched(32), epochs(self.epochs))?;

        print_line(format!("test accuracy {:.4}", trained.evaluate(&digits.test)?["accuracy"]))?;
        trained.vars.save(&self.out)?;
        print_line(format!("weights saved to {}", self.out.display()))
    }
}

/// Checks before the training that `out` can be written, by creating a file in its folder and
/// removing it again.
fn check_writable(out: &Path) -> Result<()> {
    let probe = out.with_file_name(format!(".neurax-{}.part", std::process::id()));
    let tried = if out.is_dir() {
        Err(io::Error::from(ErrorKind::IsADirectory))
    } else {
        File::create(&probe).and_then(|_| fs::remove_file(&probe))
    };
    tried.map_err(|e| {
        Error::new("demo", format!("cannot write the weights to {}: {e}", out.display()))
    })
}
