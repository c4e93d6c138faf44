//! Training, step by step, from a file's weights if there is one.

use crate::{Report, nets::Network};
use neurax::{io::safetensors, nn::OptState, prelude::*};

/// What goes from step to step: a network and what the optimizer remembers.
#[derive(Tree, Clone, Debug)]
pub struct Training<N> {
    /// The network with its parameters.
    pub net: N,
    /// What Adam remembers.
    pub opt: OptState,
}

/// The optimizer of every training here, as others have it: rate 0.001, β₁ 0.9, β₂ 0.999, ε 1e-8.
fn adam() -> nn::Optim {
    optim::adam(1e-3)
}

impl<N: Network> Training<N> {
    /// The beginning of a training.
    pub fn new(net: N) -> Training<N> {
        Training { opt: adam().init(&net), net }
    }

    /// The training after one more batch, and the loss before.
    pub fn step(self, x: &Tensor, y: &Tensor) -> (Training<N>, Tensor) {
        let (loss, grads) = value_and_grad_at(&self.net, |net| net.loss(x, y));
        let (net, opt) = adam().step(&self.net, &grads, self.opt);
        (Training { net, opt }, loss)
    }
}

/// One compiled step: of a training and a batch.
pub fn training_step<N: Network>()
-> Jit<'static, (Training<N>, Tensor, Tensor), (Training<N>, Tensor)> {
    jit(|(t, x, y): (Training<N>, Tensor, Tensor)| t.step(&x, &y))
}

/// A training under way: its state is moved through a function, so that it is updated in place.
pub(crate) struct InPlaceTraining<N>(Option<Training<N>>);

impl<N: Network> InPlaceTraining<N> {
    pub fn new(net: &N) -> InPlaceTraining<N> {
        InPlaceTraining(Some(Training::new(net.clone())))
    }

    /// The training after that function; gives what else comes of it.
    pub fn advance<O>(
        &mut self,
        f: impl FnOnce(Training<N>) -> Result<(Training<N>, O)>,
    ) -> Result<O> {
        let before =
            self.0.take().ok_or_else(|| Error::new("bench", "the training has failed before"))?;
        let (after, out) = f(before)?;
        self.0 = Some(after);
        Ok(out)
    }
}

/// The network that a suite starts from: that of the file if there is one, after showing the loss
/// of every step over the file's batches.
pub(crate) fn initial_network<N: Network>(report: &mut Report) -> Result<N> {
    let Some(path) = &report.args.from else { return Ok(N::init()) };
    let net = safetensors::load_like(&N::init(), path)?;
    let mut held = safetensors::load(path)?;
    let missing =
        |name| Error::new("bench", format!("{} holds no batches `{name}`", path.display()));
    let [x, y] = ["x", "y"].map(|name| held.remove(name).ok_or_else(|| missing(name)));
    let (x, y) = (x?, y?);
    let (step, mut training) = (training_step::<N>(), InPlaceTraining::new(&net));
    for i in 0..x.dim(0) {
        let loss = training.advance(|t| step.run((t, x.get(i), y.get(i))))?.item()?;
        report.add_values(&format!("{}-loss-{}", N::NAME, i + 1), x.dim(1), "nats", vec![loss]);
    }
    Ok(net)
}
