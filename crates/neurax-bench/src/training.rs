//! Training step by step, from the weights of a file if one is given.

use crate::{Report, nets::Network};
use neurax::{io::safetensors, nn::OptState, prelude::*};

/// The state that one training step hands to the next.
#[derive(Tree, Clone, Debug)]
pub struct Training<N> {
    /// The network with its parameters.
    pub net: N,
    /// The state of the optimizer.
    pub opt: OptState,
}

/// Returns the optimizer of all trainings, with the defaults of other frameworks: learning rate
/// 0.001, β₁ 0.9, β₂ 0.999, ε 1e-8.
fn adam() -> nn::Optim {
    optim::adam(1e-3)
}

impl<N: Network> Training<N> {
    /// Creates the initial state of a training of `net`.
    pub fn new(net: N) -> Training<N> {
        Training { opt: adam().init(&net), net }
    }

    /// Returns the state after one more step, and the loss before it.
    pub fn step(self, x: &Tensor, y: &Tensor) -> (Training<N>, Tensor) {
        let (loss, grads) = value_and_grad_at(&self.net, |net| net.loss(x, y));
        let (net, opt) = adam().step(&self.net, &grads, self.opt);
        (Training { net, opt }, loss)
    }
}

/// Returns the compiled function of one step: `(state, x, y)` to `(state, loss)`.
pub fn training_step<N: Network>()
-> Jit<'static, (Training<N>, Tensor, Tensor), (Training<N>, Tensor)> {
    jit(|(t, x, y): (Training<N>, Tensor, Tensor)| t.step(&x, &y))
}

/// A training whose state is moved into each step, so that the step updates it in place.
pub(crate) struct InPlaceTraining<N>(Option<Training<N>>);

impl<N: Network> InPlaceTraining<N> {
    pub fn new(net: &N) -> InPlaceTraining<N> {
        InPlaceTraining(Some(Training::new(net.clone())))
    }

    /// Replaces the state by the one that `step` returns, and returns its other result.
    ///
    /// # Errors
    /// Returns the error of `step`. The state is lost then: every later call fails.
    pub fn advance<O>(
        &mut self,
        step: impl FnOnce(Training<N>) -> Result<(Training<N>, O)>,
    ) -> Result<O> {
        let before = self
            .0
            .take()
            .ok_or_else(|| Error::new("bench", "an earlier step of this training has failed"))?;
        let (after, out) = step(before)?;
        self.0 = Some(after);
        Ok(out)
    }
}

/// Returns the network that a suite starts from. If `from` is set, it has the weights of that file,
/// and the losses of one training step on each batch of the file are shown first.
///
/// # Errors
/// Returns an error if the file lacks a parameter or a batch, or if a step fails.
pub(crate) fn initial_network<N: Network>(report: &mut Report) -> Result<N> {
    let Some(path) = &report.args.from else { return Ok(N::init()) };
    let net = safetensors::load_like(&N::init(), path)?;
    let mut held = safetensors::load(path)?;
    let missing = |name| Error::new("bench", format!("{} has no batches `{name}`", path.display()));
    let [x, y] = ["x", "y"].map(|name| held.remove(name).ok_or_else(|| missing(name)));
    let (x, y) = (x?, y?);
    let (step, mut training) = (training_step::<N>(), InPlaceTraining::new(&net));
    for i in 0..x.dim(0) {
        let loss = training.advance(|t| step.run((t, x.get(i), y.get(i))))?.item()?;
        report.add_values(&format!("{}-loss-{}", N::NAME, i + 1), x.dim(1), "nats", vec![loss]);
    }
    Ok(net)
}
