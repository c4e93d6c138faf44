//! A generative adversarial network: two networks with an optimizer each, trained against each
//! other in one jitted step. Goodfellow et al., Generative Adversarial Networks, 2014
//! (<https://arxiv.org/abs/1406.2661>).

use neurax::prelude::*;

/// The number of points of a batch.
const BATCH: usize = 128;

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
    /// The random key of the next step.
    pub key: Key,
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

/// Returns the initial state of a training of `steps` steps and its compiled step.
///
/// # Errors
/// Returns an error if the networks cannot be initialized.
pub fn program(steps: usize) -> Result<(Game, Jit<'static, Game, (Game, Tensor)>)> {
    // With decaying rates, the networks settle instead of circling around the equilibrium.
    let optim = |rate| optim::Adam::new().b1(0.5).rate(optim::cosine(rate, steps));
    let (maker, judge) = (optim(2e-3), optim(6e-3));
    let player = |model: Model, optim: &Optim, key: Key| -> Result<Player> {
        let params = model.init(key, &types![f32[_, 2]])?.params;
        Ok(Player { opt: optim.init(&params), params })
    };
    let start = Game {
        generator: player(generator(), &maker, key(0))?,
        discriminator: player(discriminator(), &judge, key(1))?,
        key: key(2),
    };
    let step = jit(move |Game { generator, discriminator, key }: Game| {
        let [key, of_real, of_noise] = key.split();
        let (real, fake) = (real(BATCH, &of_real), made(&generator.params, BATCH, &of_noise));
        let (_, grads) = value_and_grad_at(&discriminator.params, |p| {
            cost(&p, &real, true) + cost(&p, &fake, false)
        });
        let (params, opt) = judge.step(&discriminator.params, &grads, discriminator.opt);
        let discriminator = Player { params, opt };
        // The generator learns to be taken for real.
        let (loss, grads) = value_and_grad_at(&generator.params, |p| {
            cost(&discriminator.params, &made(&p, BATCH, &of_noise), true)
        });
        let (params, opt) = maker.step(&generator.params, &grads, generator.opt);
        (Game { generator: Player { params, opt }, discriminator, key }, loss)
    });
    Ok((start, step))
}

/// Trains for `steps` steps and returns the parameters of the generator.
///
/// # Errors
/// Returns an error if a step fails.
pub fn train(steps: usize) -> Result<Params> {
    let (mut game, step) = program(steps)?;
    for i in 1..=steps {
        let loss;
        (game, loss) = step.run(game)?;
        if i % 1000 == 0 {
            println!("step {i} loss of the generator {loss}");
        }
    }
    Ok(game.generator.params)
}

/// Runs the example.
pub fn main() -> Result<()> {
    let params = train(4000)?;
    let points = made(&params, 1000, &key(3));
    println!("mean {} (2, -1)", points.mean(0));
    println!("standard deviations {} (0.5, 1)", points.std(0, 0));
    Ok(())
}
