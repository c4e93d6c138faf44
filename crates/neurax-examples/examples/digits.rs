//! A network that learns to read digits.

use neurax::prelude::*;

/// 64 pixels in, the probabilities of ten digits out.
pub fn model() -> Node {
    nn::input("image", dims![_, 64]).dense(128).relu().dense(10).softmax()
}

/// The model as it is used on a batch, with new variables.
pub fn apply() -> Result<Jit<'static, Tensor, Tensor>> {
    let model = model();
    let vars = model.init(key(0), &types![f32[_, 64]])?;
    Ok(jit(move |x: Tensor| model.apply(&vars, x, &Mode::Eval).y().clone()))
}

/// Runs the example.
pub fn main() -> Result<()> {
    let model = model();
    println!("{}", model.summary()); // table: layer, output shape, parameters; totals

    let digits = data::digits()?.split(0.8, key(0));
    let trained = Trainer::new(&model, loss::categorical_cross_entropy, optim::adam(1e-3))
        .metric(metric::accuracy())
        .validate(&digits.test)
        .run(&digits.train.shuffled(key(1)).batched(32), epochs(10))?; // progress bar, one line per epoch
    println!("{}", trained.validation);

    let path = std::env::temp_dir().join("neurax-example-digits.safetensors");
    trained.vars.save(&path)?;
    println!("{} numbers in {}", Vars::load(&path)?.size(), path.display());
    Ok(())
}
