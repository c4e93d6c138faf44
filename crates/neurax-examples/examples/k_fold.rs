//! Cross-validation: the accuracy of a network on examples that it has not seen, from five
//! trainings on four fifths of the data each.

use neurax::prelude::*;
use neurax::train::{CrossValidation, EarlyStopping, cross_validate, lowest};

/// Creates the network.
pub fn model() -> Model {
    nn::input("flower", dims![_, 4]).dense(16).tanh().dropout(0.1).dense(3).softmax().model()
}

/// Trains on the folds of the iris data set, each of which has the three species in equal parts.
///
/// # Errors
/// Returns an error if a training fails.
pub fn validate(folds: usize) -> Result<CrossValidation> {
    let iris = data::iris()?;
    let splits = iris.k_fold_stratified(folds, &iris.y, key(0))?;
    cross_validate(&splits, |fold, split| {
        // A part of the training examples says when to stop: the test examples may not.
        let parts = split.train.split(0.8, key(1));
        let trained = Trainer::new(model(), loss::categorical_cross_entropy, optim::adam(0.02))
            .metric(metric::accuracy())
            .validate(&parts.test)
            .handler(EarlyStopping::new(lowest("loss")).patience(10).restore_best())
            .key(key(fold as i64))
            .quiet()
            .run(&parts.train.shuffled(key(2)).batched(16), epochs(60))?;
        trained.evaluate(&split.test)
    })
}

/// Runs the example.
pub fn main() -> Result<()> {
    println!("{}", validate(5)?);
    Ok(())
}
