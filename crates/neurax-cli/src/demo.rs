//! `neurax demo`: the digits classifier.

use crate::say::say;
use clap::Args;
use neurax::prelude::*;
use std::path::PathBuf;

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
        let model = nn::input("image", dims![_, 64]).dense(128).relu().dense(10).softmax();
        say(model.summary())?;
        let [split, start, order] = key(self.seed).split();
        let digits = data::digits()?.split(0.8, split);
        say(format!("{} digits to learn from, {} to test with", digits.train.len(), digits.test.len()))?;

        let trained = Trainer::new(&model, loss::categorical_cross_entropy, optim::adam(2e-3))
            .metric(metric::accuracy())
            .validate(&digits.test)
            .key(start)
            .run(&digits.train.shuffled(order).batched(32), epochs(self.epochs))?;

        say(format!("test accuracy {:.4}", trained.evaluate(&digits.test)?["accuracy"]))?;
        trained.vars.save(&self.out)?;
        say(format!("weights saved to {}", self.out.display()))
    }
}
