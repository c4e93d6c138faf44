//! A trained network learns other tasks: with a new head on a frozen base, and with LoRA.

use neurax::prelude::*;

/// Creates a network from 64 pixels to the probabilities of the ten digits: an encoder, which other
/// tasks can use as well, and a head.
pub fn model() -> Model {
    let encoder = nn::block("encoder", |x| x.dense(64).relu().dense(64).relu());
    encoder.call(nn::input("image", dims![_, 64])).dense(10).named("head").softmax().model()
}

/// Trains the network on images of digits.
///
/// # Errors
/// Returns an error if training fails.
pub fn pretrained(digits: &Dataset) -> Result<Vars> {
    let trainer = Trainer::new(model(), loss::categorical_cross_entropy, optim::adam(3e-3));
    let batches = digits.shuffled(key(1)).batched(32);
    Ok(trainer.quiet().run(&batches, epochs(8))?.vars.clone())
}

/// Trains a new head that tells even from odd digits, on the frozen encoder. Returns the accuracy
/// on test data.
///
/// # Errors
/// Returns an error if training fails.
pub fn with_frozen_base(base: &Vars, digits: &data::Split) -> Result<f64> {
    let parity = |set: &Dataset| {
        let odd = set.y.argmax(-1) % 2;
        Dataset::new(set.x.clone(), odd.one_hot(2).to(F32))
    };
    let model = model().replace("head", |xs| xs[0].dense(2).named("parity"))?;
    let mut vars = model.init_missing(base, key(2), &types![f32[_, 64]])?;
    vars.freeze("encoder.**")?; // no gradients, and no state of the optimizer
    println!("trained: {}", vars.trainable().join(", "));
    let trained = Trainer::new(&model, loss::categorical_cross_entropy, optim::adam(3e-3))
        .metric(metric::accuracy())
        .vars(vars)
        .quiet()
        .run(&parity(&digits.train)?.shuffled(key(3)).batched(32), epochs(8))?;
    Ok(trained.evaluate(&parity(&digits.test)?)?["accuracy"])
}

/// Adapts the whole network to images with swapped axes, with matrices of rank 4. Returns the
/// accuracy on test data of the network before, and of that with the adapters merged into its
/// kernels.
///
/// # Errors
/// Returns an error if training fails.
pub fn with_lora(base: &Vars, digits: &data::Split) -> Result<(f64, f64)> {
    let swapped = |set: &Dataset| {
        let images = set.x.reshape([set.x.dim(0), 8, 8]).swap_axes(1, 2);
        Dataset::new(images.reshape([set.x.dim(0), 64]), set.y.clone())
    };
    let test = swapped(&digits.test)?;
    let accuracy = |vars: &Vars| {
        let y = model().apply(vars, &test.x, &Mode::Eval).y().argmax(-1);
        y.equal(test.y.argmax(-1)).to(F32).mean(..).item()
    };
    let vars = nn::lora::wrap(base, "**.kernel", &nn::Lora::new(4).alpha(8.0), key(4))?;
    let trainable = vars.params.values().flat_map(|l| l.values()).map(Tensor::size).sum::<usize>();
    println!("{trainable} of {} parameters are trained", vars.size());
    let tuned = Trainer::new(model(), loss::categorical_cross_entropy, optim::adam(1e-2))
        .vars(vars)
        .quiet()
        .run(&swapped(&digits.train)?.shuffled(key(5)).batched(32), epochs(8))?;
    Ok((accuracy(base)?, accuracy(&nn::lora::merge(&tuned.vars)?)?))
}

/// Runs the example.
pub fn main() -> Result<()> {
    let digits = data::digits()?.split(0.8, key(0));
    let base = pretrained(&digits.train)?;
    println!("even or odd, with a frozen base: {:.3}", with_frozen_base(&base, &digits)?);
    let (before, after) = with_lora(&base, &digits)?;
    println!("images with swapped axes: {before:.3} before, {after:.3} with LoRA");
    Ok(())
}
