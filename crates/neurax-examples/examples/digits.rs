//! A network that classifies handwritten digits.

use neurax::prelude::*;

/// Creates a network from 64 pixels to the probabilities of the ten digits.
pub fn model() -> Node {
    nn::input("image", dims![_, 64]).dense(128).relu().dense(10).softmax()
}

/// Returns the model with initial variables as a compiled function of a batch.
///
/// # Errors
/// Returns an error if the model cannot be initialized.
pub fn apply() -> Result<Jit<'static, Tensor, Tensor>> {
    let model = model();
    let vars = model.init(key(0), &types![f32[_, 64]])?;
    Ok(jit(move |x: Tensor| model.apply(&vars, x, &Mode::Eval).y().clone()))
}

/// Runs the example.
pub fn main() -> Result<()> {
    let model = model();
    println!("{}", model.summary()); // a table of layers, output shapes and parameter counts

    let digits = data::digits()?.split(0.8, key(0));
    // Shows a progress bar and prints one line per epoch.
    let trained = Trainer::new(&model, loss::categorical_cross_entropy, optim::adam(1e-3))
        .metric(metric::accuracy())
        .validate(&digits.test)
        .run(&digits.train.shuffled(key(1)).batched(32), epochs(10))?;
    println!("{}", trained.validation);

    let path = std::env::temp_dir().join("neurax-example-digits.safetensors");
    trained.vars.save(&path)?;
    println!("{} parameters in {}", Vars::load(&path)?.size(), path.display());
    Ok(())
}
