//! `neurax demo`: the digits classifier.

use crate::output::print_line;
use clap::Args;
use neurax::prelude::*;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct Demo {
    /// How many times through the training set.
    #[arg(long, default_value_t = 15)]
    epochs: usize,
    /// Decides the split, the initial values and the order of the examples.
    #[arg(long, default_value_t = 0)]
    seed: i64,
    /// Where the weights go.
    #[arg(long, default_value = "digits.safetensors")]
    out: PathBuf,
}

impl Demo {
    pub fn run(self) -> Result<()> {
        can_be_written(&self.out)?;
        let model = nn::input("image", dims![_, 64]).dense(128).relu().dense(10).softmax();
        print_line(model.summary())?;
        let [split, start, order] = key(self.seed).split();
        let digits = data::digits()?.split(0.8, split);
        print_line(format!(
            "{} digits to learn from, {} to test with",
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

/// What cannot be saved should be known before the training, not after it: puts a file beside that
/// one, and removes it again.
fn can_be_written(out: &Path) -> Result<()> {
    let beside = out.with_file_name(format!(".neurax-{}.part", std::process::id()));
    let tried = if out.is_dir() {
        Err(io::Error::from(ErrorKind::IsADirectory))
    } else {
        File::create(&beside).and_then(|_| fs::remove_file(&beside))
    };
    tried.map_err(|e| {
        Error::new("demo", format!("the weights cannot be written to {}: {e}", out.display()))
    })
}
