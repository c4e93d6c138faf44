//! Optimizers: values that turn gradients into updates, and chain.
//!
//! An [`Optim`] is a list of rules, each of which changes the updates that the one before it gives;
//! the first gets the gradients. [`chain`] puts lists together: `chain([clip(1.0), adam(1e-3)])`.
//! What rules remember is in an [`OptState`], a tree, so a whole training step can be jitted. A
//! step does not depend on the number of steps or on the rate except as data.
//!
//! To add one: a file here with a struct that implements [`Rule`], and a function that makes an
//! [`Optim`] of it.

mod adam;
mod clip;
mod decay;
mod momentum;
mod schedule;

pub use adam::{adam, adam_with, adamw, scale_by_adam};
pub use clip::{clip, clip_value};
pub use decay::weight_decay;
pub use momentum::{momentum, nesterov, sgd};
pub use schedule::{Rate, Schedule, constant, cosine, exponential, scale, warmup};

use neurax_tensor::{DType, Recorder, Tensor, Tree, tensor};
use std::collections::BTreeMap;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// Tensors that a rule remembers, by name: most have one per parameter, in the order of the
/// parameters' leaves.
pub type Slots = BTreeMap<String, Vec<Tensor>>;

/// A link of a chain: gradients (or the updates of the link before) in, updates out.
pub trait Rule: Send + Sync + 'static {
    /// What it remembers, before the first step.
    fn init(&self, params: &[Tensor]) -> Slots;

    /// The updates; `slots` become what it remembers for the next step.
    fn update(&self, grads: Vec<Tensor>, slots: &mut Slots, at: &Step) -> Vec<Tensor>;
}

/// Where in the training a rule is.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The leaves of the parameters.
    pub params: &'a [Tensor],
    /// How many steps there were before, f32[].
    pub count: &'a Tensor,
}

/// What an [`Optim`] remembers from step to step.
#[derive(Tree, Clone, Debug)]
pub struct OptState {
    /// How many steps there were, i32[].
    pub step: Tensor,
    /// What each rule remembers. `rate` is the learning rate where it is a plain number: change it
    /// to change the rate.
    pub slots: Vec<Slots>,
}

/// A state of no optimizer: what stands where a state was moved out.
impl Default for OptState {
    fn default() -> OptState {
        OptState { step: tensor(0), slots: Vec::new() }
    }
}

/// An optimizer: a value to name, clone and chain.
///
/// ```
/// use neurax::prelude::*;
/// let opt = optim::chain([optim::clip(1.0), optim::sgd(0.5)]);
/// let params = vec![tensor([1.0, 2.0])];
/// let state = opt.init(&params);
/// let (params, state) = opt.step(&params, &vec![tensor([3.0, 4.0])], state);
/// assert_eq!(params[0].to_vec::<f32>()?, [1.0 - 0.5 * 0.6, 2.0 - 0.5 * 0.8]);
/// assert_eq!(state.step.item()?, 1.0);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct Optim(Arc<[Arc<dyn Rule>]>);

/// One optimizer after the other: each changes what the one before gives.
pub fn chain<const N: usize>(links: [Optim; N]) -> Optim {
    Optim(links.iter().flat_map(|o| o.0.iter().cloned()).collect())
}

impl Optim {
    /// An optimizer of one rule.
    pub fn new(rule: impl Rule) -> Optim {
        Optim(Arc::new([Arc::new(rule)]))
    }

    /// What it remembers, before the first step.
    pub fn init(&self, params: &impl Tree) -> OptState {
        let leaves = floats(params);
        OptState { step: tensor(0), slots: self.0.iter().map(|rule| rule.init(&leaves)).collect() }
    }

    /// The updates, to be added to the parameters, and what to remember. Leaves that are not floats
    /// get none, i.e. zeros.
    #[must_use]
    #[track_caller]
    pub fn update<P: Tree>(&self, params: &P, grads: &P, state: OptState) -> (P, OptState) {
        recorder(params, grads, &state)
            .at(Location::caller(), || self.updates(params, grads, state))
    }

    fn updates<P: Tree>(&self, params: &P, grads: &P, state: OptState) -> (P, OptState) {
        let leaves = floats(params);
        let count = state.step.to(DType::F32);
        let at = Step { params: &leaves, count: &count };
        let mut slots = state.slots;
        slots.resize_with(self.0.len(), Slots::new);
        let mut updates = floats(&matched(params, grads));
        for (rule, slots) in self.0.iter().zip(&mut slots) {
            updates = rule.update(updates, slots, &at);
        }
        let mut updates = updates.into_iter();
        let next = |p: &Tensor| updates.next().unwrap_or_else(|| p.zeros_like());
        let updates = params.map_leaves(is_float_or(next));
        (updates, OptState { step: state.step + 1, slots })
    }

    /// The parameters after a step, and what to remember.
    #[must_use]
    #[track_caller]
    pub fn step<P: Tree>(&self, params: &P, grads: &P, state: OptState) -> (P, OptState) {
        recorder(params, grads, &state).at(Location::caller(), || {
            let (updates, state) = self.updates(params, grads, state);
            (params.zip_map(&updates, |p, u| p + u), state)
        })
    }
}

impl fmt::Debug for Optim {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Optim of {} rules", self.0.len())
    }
}

/// Where a step is recorded.
fn recorder<P: Tree>(params: &P, grads: &P, state: &OptState) -> Recorder {
    let leaves = params.leaves().into_iter().chain(grads.leaves()).chain(state.leaves());
    Recorder::of(leaves.map(|(_, t)| t))
}

/// Gradients in the structure of the parameters; where they have another one, leaves that say so.
fn matched<P: Tree>(params: &P, grads: &P) -> P {
    params.zip_map(grads, |_, g| g.clone())
}

/// The leaves that are learnt.
fn floats(tree: &impl Tree) -> Vec<Tensor> {
    tree.leaves()
        .into_iter()
        .filter(|(_, t)| t.dtype().is_float())
        .map(|(_, t)| t.clone())
        .collect()
}

/// `f` for leaves that are learnt, zeros for others.
fn is_float_or(mut f: impl FnMut(&Tensor) -> Tensor) -> impl FnMut(&Tensor) -> Tensor {
    move |t| if t.dtype().is_float() { f(t) } else { t.zeros_like() }
}

/// One zero tensor for each parameter.
fn zeros(params: &[Tensor]) -> Vec<Tensor> {
    params.iter().map(Tensor::zeros_like).collect()
}

/// Takes a slot out, to be put back changed; without one (a state of another optimizer), zeros.
fn take(slots: &mut Slots, name: &str, params: &[Tensor]) -> Vec<Tensor> {
    match slots.remove(name) {
        Some(slot) if slot.len() == params.len() => slot,
        _ => params.iter().map(|_| Tensor::from_error(missing(name))).collect(),
    }
}

fn missing(name: &str) -> neurax_tensor::Error {
    neurax_tensor::Error::new(
        "optim",
        format!(
            "the state has no slot `{name}` for these parameters: make it with `init` of this optimizer"
        ),
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use neurax_tensor::{jit, value_and_grad_at};

    /// The parameter after steps on `loss = p² / 2` from p = 1, so that the gradient is p.
    pub(crate) fn run(opt: Optim, steps: usize) -> Vec<f32> {
        let mut p = vec![tensor([1.0])];
        let mut state = opt.init(&p);
        (0..steps)
            .map(|_| {
                let grads = p.clone();
                (p, state) = opt.step(&p, &grads, state.clone());
                p[0].to_vec::<f32>().unwrap()[0]
            })
            .collect()
    }

    pub(crate) fn near(found: &[f32], want: &[f32]) {
        assert_eq!(found.len(), want.len());
        assert!(
            found.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-5),
            "{found:?}, not {want:?}"
        );
    }

    #[test]
    fn a_step_compiles_once_whatever_the_step_and_the_rate() {
        let opt = adam(0.1);
        let rule = opt.clone();
        let step = jit(move |(p, s): (Vec<Tensor>, OptState)| {
            let (loss, g) = value_and_grad_at(&p, |p| (&p[0] * &p[0]).sum(..));
            let (p, s) = rule.step(&p, &g, s);
            (p, s, loss)
        });
        let mut p = vec![tensor([1.0, -2.0])];
        let mut state = opt.init(&p);
        for i in 0..5 {
            if let Some(rate) = state.slots.iter_mut().find_map(|s| s.get_mut("rate")) {
                *rate = vec![tensor(0.1 / (i + 1) as f32)];
            }
            (p, state, _) = step.run((p, state)).unwrap();
        }
        assert_eq!(state.step.item().unwrap(), 5.0);
        assert_eq!(step.traces(), 1);
    }

    #[test]
    fn half_floats_stay_half_floats() {
        let p = vec![tensor([1.0]).to(DType::BF16)];
        for opt in [
            sgd(0.1),
            momentum(0.1, 0.9),
            adamw(0.1, 0.01),
            chain([clip(1.0), sgd(cosine(0.1, 10))]),
        ] {
            let state = opt.init(&p);
            let (q, state) = opt.step(&p, &p, state);
            assert_eq!(q[0].dtype(), DType::BF16);
            assert!(state.ok().is_ok());
        }
    }

    #[test]
    fn integers_are_not_learnt() {
        let p = (tensor([1.0]), tensor([5]));
        let opt = sgd(0.5);
        let (q, _) = opt.step(&p, &(tensor([1.0]), tensor([0])), opt.init(&p));
        assert_eq!(q.0.item().unwrap(), 0.5);
        assert_eq!(q.1.to_vec::<i32>().unwrap(), [5]);
    }

    #[test]
    fn the_state_of_another_optimizer_is_an_error() {
        let p = vec![tensor([1.0])];
        let (q, _) = adam(0.1).step(&p, &p, sgd(0.1).init(&p));
        assert!(q[0].error().unwrap().message().contains("no slot"), "{:?}", q[0].error());
    }
}
