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
pub(crate) fn adam() -> nn::Optim {
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

/// A state that is moved into each step, so that the step updates it in place.
pub(crate) struct InPlace<S>(Option<S>);

impl<S> InPlace<S> {
    pub fn new(state: S) -> InPlace<S> {
        InPlace(Some(state))
    }

    /// Replaces the state by the one that `step` returns, and returns its other result.
    ///
    /// # Errors
    /// Returns the error of `step`. The state is lost then: every later call fails.
    pub fn advance<O>(&mut self, step: impl FnOnce(S) -> Result<(S, O)>) -> Result<O> {
        let before = self
            .0
            .take()
            .ok_or_else(|| Error::new("bench", "an earlier step of this task has failed"))?;
        let (after, out) = step(before)?;
        self.0 = Some(after);
        Ok(out)
    }
}

/// The batches of a file: `x` and `y` with a leading axis for the steps.
pub(crate) struct Held {
    x: Tensor,
    y: Tensor,
}

impl Held {
    /// Shows the loss that `step` returns for each batch.
    ///
    /// # Errors
    /// Returns the first error of a step.
    pub fn show_losses(
        &self,
        report: &mut Report,
        name: &str,
        mut step: impl FnMut(Tensor, Tensor) -> Result<Tensor>,
    ) -> Result<()> {
        for i in 0..self.x.dim(0) {
            let loss = step(self.x.get(i), self.y.get(i))?.item()?;
            let task = format!("{name}-loss-{}", i + 1);
            report.add_values(&task, self.x.dim(1), "nats", vec![loss]);
        }
        Ok(())
    }

    /// Returns the first example of the first batch, as a batch of one.
    pub fn first_text(&self) -> (Tensor, Tensor) {
        [&self.x, &self.y].map(|t| t.get(0).slice(0, ..1)).into()
    }
}

/// Returns what a suite starts from: `init`, or if `from` is set, the tensors of that file with the
/// same paths, and the batches of the file.
///
/// # Errors
/// Returns an error if the file lacks a parameter or a batch.
pub(crate) fn initial<T: Tree + Clone>(report: &Report, init: T) -> Result<(T, Option<Held>)> {
    let Some(path) = &report.args.from else { return Ok((init, None)) };
    let loaded = safetensors::load_like(&init, path)?;
    let mut held = safetensors::load(path)?;
    let missing = |name| Error::new("bench", format!("{} has no batches `{name}`", path.display()));
    let [x, y] = ["x", "y"].map(|name| held.remove(name).ok_or_else(|| missing(name)));
    Ok((loaded, Some(Held { x: x?, y: y? })))
}

/// Returns the network that a suite starts from. If `from` is set, it has the weights of that file,
/// and the losses of one training step on each batch of the file are shown first.
///
/// # Errors
/// Returns an error if the file lacks a parameter or a batch, or if a step fails.
pub(crate) fn initial_network<N: Network>(report: &mut Report) -> Result<N> {
    let (net, held) = initial(report, N::init())?;
    if let Some(held) = held {
        let (step, mut training) = (training_step::<N>(), InPlace::new(Training::new(net.clone())));
        held.show_losses(report, N::NAME, |x, y| training.advance(|t| step.run((t, x, y))))?;
    }
    Ok(net)
}
