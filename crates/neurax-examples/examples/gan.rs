//! A generative adversarial network: two networks with an optimizer each, trained against each
//! other by one step in the loop of the trainer, with its events, logs and checkpoints. Goodfellow
//! et al., Generative Adversarial Networks, 2014 (<https://arxiv.org/abs/1406.2661>).

use neurax::prelude::*;
use neurax::train::{CustomTraining, every};

/// The number of points of a batch.
const BATCH: usize = 128;
/// The number of steps of an epoch.
const STEPS_OF_EPOCH: usize = 100;

/// A batch of real points, without targets.
pub type Points = data::Batch<Tensor, ()>;

/// The variables of one network and the state of its optimizer.
#[derive(Tree, Clone)]
pub struct Player {
    /// The parameters; these networks have no state.
    pub params: Params,
    /// The state of the optimizer.
    pub opt: nn::OptState,
}

/// The state that one training step hands to the next.
#[derive(Tree, Clone)]
pub struct Game {
    /// The network that makes points.
    pub generator: Player,
    /// The network that tells real points from made ones.
    pub discriminator: Player,
}

/// The optimizers of a training of some steps.
#[derive(Clone)]
pub struct Rules {
    maker: Optim,
    judge: Optim,
}

/// Creates the generator: noise to points.
pub fn generator() -> Model {
    nn::input("noise", dims![_, 2]).dense(16).relu().dense(2).model()
}

/// Creates the discriminator: points to the logits of being real.
pub fn discriminator() -> Model {
    nn::input("point", dims![_, 2]).dense(32).leaky_relu().dense(32).leaky_relu().dense(1).model()
}

/// Returns `n` real points: a normal distribution of mean (2, -1) with the standard deviations
/// 0.5 and 1.0.
pub fn real(n: usize, key: &Key) -> Tensor {
    let mixed = key.normal([n, 2]).matmul(tensor([[0.5, 0.6], [0.0, 0.8]]));
    mixed + tensor([2.0, -1.0])
}

/// Returns `n` points of the generator.
pub fn made(params: &Params, n: usize, key: &Key) -> Tensor {
    let noise = key.normal([n, 2]);
    generator().apply_with(params, &Params::new(), noise, &Mode::Eval).y().clone()
}

/// Returns the mean cost of taking points for real ones if `is_real`, else for made ones.
fn cost(params: &Params, points: &Tensor, is_real: bool) -> Tensor {
    let out = discriminator().apply_with(params, &Params::new(), points, &Mode::Eval);
    loss::binary_cross_entropy_logits(out.y(), &out.y().full_like(f64::from(is_real)))
}

impl Rules {
    /// Creates the optimizers of a training of `steps` steps. With decaying rates, the networks
    /// settle instead of circling around the equilibrium.
    pub fn new(steps: usize) -> Rules {
        let optim = |rate| optim::Adam::new().b1(0.5).rate(optim::cosine(rate, steps));
        Rules { maker: optim(2e-3), judge: optim(6e-3) }
    }

    /// Returns the game before the first step.
    ///
    /// # Errors
    /// Returns an error if the networks cannot be initialized.
    pub fn start(&self) -> Result<Game> {
        let player = |model: Model, optim: &Optim, key: Key| -> Result<Player> {
            let params = model.init(key, &types![f32[_, 2]])?.params;
            Ok(Player { opt: optim.init(&params), params })
        };
        Ok(Game {
            generator: player(generator(), &self.maker, key(0))?,
            discriminator: player(discriminator(), &self.judge, key(1))?,
        })
    }

    /// Returns the game after a step, and the losses of the generator and the discriminator.
    pub fn step(&self, game: Game, batch: &Points, key: Key) -> (Game, [Tensor; 2]) {
        let Game { generator, discriminator } = game;
        let fake = made(&generator.params, BATCH, &key);
        let (judged, grads) = value_and_grad_at(&discriminator.params, |p| {
            cost(&p, &batch.x, true) + cost(&p, &fake, false)
        });
        let (params, opt) = self.judge.step(&discriminator.params, &grads, discriminator.opt);
        let discriminator = Player { params, opt };
        // The generator learns to be taken for real.
        let (loss, grads) = value_and_grad_at(&generator.params, |p| {
            cost(&discriminator.params, &made(&p, BATCH, &key), true)
        });
        let (params, opt) = self.maker.step(&generator.params, &grads, generator.opt);
        (Game { generator: Player { params, opt }, discriminator }, [loss, judged])
    }
}

/// Trains for `n` epochs of 100 steps and returns the parameters of the generator.
///
/// # Errors
/// Returns an error if a step fails.
pub fn train(n: usize) -> Result<Params> {
    let rules = Rules::new(n * STEPS_OF_EPOCH);
    let game = rules.start()?;
    let step = move |game: Game, batch: &Points, key: Key| rules.step(game, batch, key);
    let points = Dataset::new(real(BATCH * STEPS_OF_EPOCH, &key(5)), ())?;
    let show = |s: &mut State| println!("step {} loss of the generator {:.4}", s.step, s.loss);
    let trained = Trainer::custom(CustomTraining::new(game, ["loss", "judge"], step))
        .on(Event::EpochEnded.when(every(10).epochs()), show)
        .steps_per_call(STEPS_OF_EPOCH)
        .quiet()
        .run(&points.shuffled(key(6)).batched(BATCH), epochs(n))?;
    Ok(trained.model.generator.params)
}

/// Runs the example.
pub fn main() -> Result<()> {
    let params = train(40)?;
    let points = made(&params, 1000, &key(3));
    println!("mean {} (2, -1)", points.mean(0));
    println!("standard deviations {} (0.5, 1)", points.std(0, 0));
    Ok(())
}
