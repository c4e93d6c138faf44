//! Contrastive learning without labels, by a loop by hand and by the same step in the loop of the
//! trainer: a network learns that two noisy views of an image belong together, and its codes then
//! tell digits apart. Chen et al., A Simple Framework for Contrastive Learning of Visual
//! Representations, 2020 (<https://arxiv.org/abs/2002.05709>).

use neurax::prelude::*;
use neurax::train::CustomTraining;

/// Images without labels.
pub type Images = data::Batch<Tensor, ()>;

/// The state that one training step hands to the next.
#[derive(Tree, Clone)]
pub struct Encoder {
    /// The parameters of the network.
    pub params: Params,
    /// The state of the optimizer.
    pub opt: nn::OptState,
}

/// Creates the network: images to codes.
pub fn model() -> Model {
    nn::input("image", dims![_, 64]).dense(64).relu().dense(16).model()
}

/// Returns the codes of images.
pub fn codes(params: &Params, images: &Tensor) -> Tensor {
    model().apply_with(params, &Params::new(), images, &Mode::Eval).y().clone()
}

/// Returns the optimizer.
fn optimizer() -> Optim {
    optim::adam(3e-3)
}

/// Returns the state before the first step.
///
/// # Errors
/// Returns an error if the network cannot be initialized.
pub fn start() -> Result<Encoder> {
    let params = model().init(key(0), &types![f32[_, 64]])?.params;
    Ok(Encoder { opt: optimizer().init(&params), params })
}

/// Returns the state after a step, and the loss: NT-Xent of the codes of two views.
pub fn step(encoder: Encoder, batch: &Images, key: Key) -> (Encoder, [Tensor; 1]) {
    let [first, second] = key.split().map(|key| {
        let noise = key.normal(batch.x.shape().to_vec()) * 0.2;
        &batch.x + noise
    });
    let (loss, grads) = value_and_grad_at(&encoder.params, |p| {
        loss::nt_xent(&codes(&p, &first), &codes(&p, &second), 0.2)
    });
    let (params, opt) = optimizer().step(&encoder.params, &grads, encoder.opt);
    (Encoder { params, opt }, [loss])
}

/// Trains by hand: a loop over epochs and batches, with a key for each step.
///
/// # Errors
/// Returns an error if a step fails.
pub fn by_hand(images: &data::Batches<Tensor, ()>, n: usize) -> Result<Params> {
    let step = jit(|(encoder, batch, key): (Encoder, Images, Key)| step(encoder, &batch, key));
    // The key of the steps, as a trainer derives it from `key(0)`.
    let ([_, mut keys], mut encoder) = (key(0).split(), start()?);
    for epoch in 0..n {
        for batch in images.epoch(epoch) {
            let [next, now] = keys.split();
            keys = next;
            (encoder, _) = step.run((encoder, batch, now))?;
        }
    }
    Ok(encoder.params)
}

/// Trains with the same step in the loop of the trainer, which adds logs, handlers, checkpoints.
///
/// # Errors
/// Returns an error if a step fails.
pub fn by_trainer(images: &data::Batches<Tensor, ()>, n: usize) -> Result<Params> {
    let trained = Trainer::custom(CustomTraining::new(start()?, ["loss"], step))
        .on(Event::EpochEnded, |s| println!("epoch {} loss {:.4}", s.epoch + 1, s.loss))
        .quiet()
        .run(images, epochs(n))?;
    Ok(trained.model.params)
}

/// Returns the part of the test images whose nearest training image, by the cosine of their codes,
/// shows the same digit.
///
/// # Errors
/// Returns an error if a tensor carries one.
pub fn accuracy(params: &Params, digits: &data::Split) -> Result<f64> {
    let unit = |x: &Tensor| {
        let codes = codes(params, x);
        &codes / codes.square().sum(keep(-1)).sqrt()
    };
    let nearness = unit(&digits.test.x).matmul(unit(&digits.train.x).t());
    let found = digits.train.y.argmax(-1).take(nearness.argmax(-1), 0);
    found.equal(digits.test.y.argmax(-1)).to(F32).mean(..).item()
}

/// Returns the digits, and the training images in batches without labels.
///
/// # Errors
/// Returns an error if the data set is damaged.
pub fn data() -> Result<(data::Split, data::Batches<Tensor, ()>)> {
    let digits = data::digits()?.split(0.8, key(0));
    let images = Dataset::new(digits.train.x.clone(), ())?;
    Ok((digits, images.shuffled(key(1)).batched(128)))
}

/// Runs the example.
pub fn main() -> Result<()> {
    let (digits, images) = data()?;
    let [before, hand, trainer] =
        [start()?.params, by_hand(&images, 10)?, by_trainer(&images, 10)?];
    for (name, params) in [("untrained", before), ("by hand", hand), ("by the trainer", trainer)] {
        println!("{name}: accuracy {:.3}", accuracy(&params, &digits)?);
    }
    Ok(())
}
