//! A convolutional network that classifies handwritten digits.

use neurax::prelude::*;

/// Creates a network from 64 pixels to the probabilities of the ten digits.
pub fn model() -> Model {
    let conv = |filters| nn::Conv::new(filters, 3).padding(Padding::Same).bias(false);
    let x = nn::input("image", dims![_, 64]).reshape([1, 8, 8]);
    let x = x.layer(conv(16)).batch_norm().relu();
    let x = x.layer(conv(32)).batch_norm().relu().max_pool(2);
    let x = x.layer(conv(64)).batch_norm().relu().max_pool(2);
    x.flatten().dropout(0.3).dense(10).softmax().model()
}

/// Trains the network and returns its accuracy on test data.
///
/// # Errors
/// Returns an error if training fails.
pub fn accuracy() -> Result<f64> {
    let digits = data::digits()?.split(0.8, key(0));
    let rate = optim::cosine(3e-3, 12 * 45);
    let trained = Trainer::new(model(), loss::categorical_cross_entropy, optim::adam(rate))
        .metric(metric::accuracy())
        .quiet()
        .run(&digits.train.shuffled(key(1)).batched(32), epochs(12))?;
    Ok(trained.evaluate(&digits.test)?["accuracy"])
}

/// Runs the example.
pub fn main() -> Result<()> {
    println!("{}", model().summary());
    let accuracy = accuracy()?;
    println!("accuracy on test data: {accuracy:.4}");
    Ok(())
}
