//! A variational autoencoder that learns to draw handwritten digits: Kingma and Welling,
//! Auto-Encoding Variational Bayes, 2013 (<https://arxiv.org/abs/1312.6114>).

use neurax::prelude::*;

/// The number of features of a code.
const FEATURES: usize = 8;

/// Creates the decoder: codes to the intensities of 64 pixels.
fn decoder() -> nn::Block {
    nn::block("decoder", |code| code.dense(128).relu().dense(64).sigmoid())
}

/// Creates the network: images to the mean and the logarithm of the variance of their codes, and to
/// the images that the decoder draws from such codes.
pub fn model() -> Model {
    let x = nn::input("image", dims![_, 64]).dense(128).relu();
    let mean = x.dense(FEATURES).named("mean");
    let logvar = x.dense(FEATURES).named("logvar");
    let code = nn::layer("code", [&mean, &logvar], |cx, [mean, logvar]| match cx.key() {
        Some(key) => &mean + (logvar * 0.5).exp() * key.normal(mean.shape()),
        None => mean,
    });
    Model::new([("image", &decoder().call(code)), ("mean", &mean), ("logvar", &logvar)])
}

/// Creates the network that draws images from codes alone. Its variables are a part of those of
/// [`model`], at the same paths.
pub fn generator() -> Model {
    decoder().call(nn::input("code", dims![_, FEATURES])).model()
}

/// Returns the divergence of the distribution of codes from the standard normal distribution, the
/// mean over the images.
pub fn divergence(out: &Applied, _: &data::Batch) -> Tensor {
    let (mean, logvar) = (&out["mean"], &out["logvar"]);
    0.5 * (mean.square() + logvar.exp() - logvar - 1.0).sum(-1).mean(..)
}

/// Returns the loss, a bound of the negative logarithm of the likelihood of an image: the mean
/// over the images, the sum over their pixels.
pub fn objective(out: &Applied, batch: &data::Batch) -> Tensor {
    let pixels = loss::each::binary_cross_entropy(&out["image"], &batch.x);
    pixels.sum(-1).mean(..) + divergence(out, batch)
}

/// Trains the network.
///
/// # Errors
/// Returns an error if training fails.
pub fn train(digits: &data::Split) -> Result<Trained> {
    let trained = Trainer::objective(model(), objective, optim::adam(optim::cosine(4e-3, 60 * 45)))
        .measure("divergence", divergence)
        .validate(&digits.test)
        .quiet()
        .run(&digits.train.shuffled(key(1)).batched(32), epochs(60))?;
    Ok(trained)
}

/// Draws `n` images from random codes.
///
/// # Errors
/// Returns an error if the variables are not those of the network.
pub fn draw(trained: &Trained, n: usize, key: Key) -> Result<Tensor> {
    let net = generator().bind(trained.vars.clone());
    net.apply(key.normal([n, FEATURES])).y().ok()
}

/// Prints an image, one character for each pixel.
fn print(image: &Tensor) -> Result<()> {
    let pixels = image.to_vec::<f32>()?;
    for row in pixels.chunks(8) {
        let shade = |p: &f32| [' ', '.', 'o', '#'][(p * 4.0).clamp(0.0, 3.0) as usize];
        println!("{}", row.iter().map(shade).collect::<String>());
    }
    Ok(())
}

/// Runs the example.
pub fn main() -> Result<()> {
    println!("{}", model().summary());
    let trained = train(&data::digits()?.split(0.8, key(0)))?;
    println!("{}", trained.validation);
    for image in draw(&trained, 3, key(2))?.unstack(0) {
        print(&image)?;
    }
    Ok(())
}
