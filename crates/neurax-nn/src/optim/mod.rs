//! Optimizers: values that convert gradients to updates and can be chained.
//!
//! An [`Optim`] is a list of rules, each of which transforms the updates of the previous rule; the
//! first one gets the gradients. [`chain`] concatenates lists: `chain([clip(1.0), adam(1e-3)])`.
//! The state of the rules is an [`OptState`], a tree, so that a whole training step can be jitted.
//! The step count and the learning rate are data of a step, so that it is compiled only once.
//!
//! To add an optimizer, add a file here with a struct that implements [`Rule`] and a function that
//! returns an [`Optim`] of it.

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

use neurax_tensor::{DType, Error, Recorder, Tensor, Tree, tensor};
use std::collections::BTreeMap;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// The state of a rule: tensors by name. Most names have one tensor per parameter, in the order of
/// the leaves of the parameters.
pub type Slots = BTreeMap<String, Vec<Tensor>>;

/// A transformation of gradients, or of the updates of the previous rule, to updates.
pub trait Rule: Send + Sync + 'static {
    /// Returns the state before the first step.
    fn init(&self, params: &[Tensor]) -> Slots;

    /// Returns the updates, one for each of `grads`, and changes `slots` to the state for the next
    /// step. If it returns another number of updates, all of them become an error.
    fn update(&self, grads: Vec<Tensor>, slots: &mut Slots, step: &Step) -> Vec<Tensor>;
}

/// The parameters and the count of a step, as a rule sees them.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The leaves of the parameters.
    pub params: &'a [Tensor],
    /// The number of previous steps, f32[].
    pub count: &'a Tensor,
}

/// The state of an [`Optim`] between steps.
#[derive(Tree, Clone, Debug)]
pub struct OptState {
    /// The number of steps, i32[].
    pub step: Tensor,
    /// The state of each rule. A constant learning rate is the slot `rate` of its rule and can be
    /// changed there.
    pub slots: Vec<Slots>,
}

/// An empty state, left behind by [`mem::take`](std::mem::take).
impl Default for OptState {
    fn default() -> OptState {
        OptState { step: tensor(0), slots: Vec::new() }
    }
}

/// An optimizer: a list of rules that can be cloned and chained.
///
/// # Examples
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

/// Chains optimizers: each one transforms the updates of the previous one.
pub fn chain<const N: usize>(links: [Optim; N]) -> Optim {
    Optim(links.iter().flat_map(|o| o.0.iter().cloned()).collect())
}

impl Optim {
    /// Creates an optimizer of one rule.
    pub fn new(rule: impl Rule) -> Optim {
        Optim(Arc::new([Arc::new(rule)]))
    }

    /// Returns the state before the first step.
    pub fn init(&self, params: &impl Tree) -> OptState {
        let leaves = floats(params);
        OptState { step: tensor(0), slots: self.0.iter().map(|rule| rule.init(&leaves)).collect() }
    }

    /// Returns the updates, which are to be added to the parameters, and the new state. The updates
    /// of leaves that are not floats are zeros.
    ///
    /// # Errors
    ///
    /// The updates carry an error if `grads` has other leaves than `params`, if `state` lacks a
    /// slot of a rule (it is the state of another optimizer or of other parameters), or if a rule
    /// returns another number of updates than there are parameters.
    #[must_use]
    #[track_caller]
    pub fn update<P: Tree>(&self, params: &P, grads: &P, state: OptState) -> (P, OptState) {
        recorder(params, grads, &state)
            .at(Location::caller(), || self.updates(params, grads, state))
    }

    fn updates<P: Tree>(&self, params: &P, grads: &P, state: OptState) -> (P, OptState) {
        let leaves = floats(params);
        let count = state.step.to(DType::F32);
        let step = Step { params: &leaves, count: &count };
        let mut slots = state.slots;
        slots.resize_with(self.0.len(), Slots::new);
        let mut updates = gradients(params, grads);
        for (rule, slots) in self.0.iter().zip(&mut slots) {
            updates = one_for_each(&leaves, rule.update(updates, slots, &step));
        }
        let mut updates = updates.into_iter();
        let missing = || Tensor::from_error(Error::bug("a parameter has no update"));
        let next = |_: &Tensor| updates.next().unwrap_or_else(missing);
        let updates = params.map_leaves(zeros_unless_float(next));
        (updates, OptState { step: state.step + 1, slots })
    }

    /// Returns the parameters after a step, and the new state.
    ///
    /// # Errors
    ///
    /// The parameters carry an error in the cases of [`Optim::update`].
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

/// Returns the recorder of the youngest trace among all operands of a step.
fn recorder<P: Tree>(params: &P, grads: &P, state: &OptState) -> Recorder {
    let leaves = params.leaves().into_iter().chain(grads.leaves()).chain(state.leaves());
    Recorder::of(leaves.map(|(_, t)| t))
}

/// Returns the gradients of the parameters that are trained. If the structures differ, they carry
/// the error.
fn gradients<P: Tree>(params: &P, grads: &P) -> Vec<Tensor> {
    let matched = params.zip_map(grads, |_, g| g.clone());
    let pairs = params.leaves().into_iter().zip(matched.leaves());
    pairs.filter(|((_, p), _)| p.dtype().is_float()).map(|(_, (_, g))| g.clone()).collect()
}

/// Returns the updates of a rule, or one error for each parameter if their numbers differ.
fn one_for_each(params: &[Tensor], updates: Vec<Tensor>) -> Vec<Tensor> {
    if updates.len() == params.len() {
        return updates;
    }
    let why =
        format!("expected {} updates, one for each parameter, got {}", params.len(), updates.len());
    vec![Tensor::from_error(Error::new("optim", why)); params.len()]
}

/// Returns the leaves that are trained: the floats.
fn floats(tree: &impl Tree) -> Vec<Tensor> {
    tree.leaves()
        .into_iter()
        .filter(|(_, t)| t.dtype().is_float())
        .map(|(_, t)| t.clone())
        .collect()
}

/// Returns a function that applies `f` to floats and replaces other leaves by zeros.
fn zeros_unless_float(mut f: impl FnMut(&Tensor) -> Tensor) -> impl FnMut(&Tensor) -> Tensor {
    move |t| if t.dtype().is_float() { f(t) } else { t.zeros_like() }
}

/// Returns one tensor of zeros for each parameter.
fn zeros(params: &[Tensor]) -> Vec<Tensor> {
    params.iter().map(Tensor::zeros_like).collect()
}

/// Takes the slot `name` out of the state. If there is none, as in the state of another optimizer,
/// returns tensors that carry the error.
fn take(slots: &mut Slots, name: &str, params: &[Tensor]) -> Vec<Tensor> {
    match slots.remove(name) {
        Some(slot) if slot.len() == params.len() => slot,
        _ => params.iter().map(|_| Tensor::from_error(missing(name))).collect(),
    }
}

fn missing(name: &str) -> Error {
    Error::new(
        "optim",
        format!(
            "missing slot `{name}` for these parameters; \
             create the state with `init` of this optimizer"
        ),
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use neurax_tensor::{jit, value_and_grad_at};

    /// Returns the parameter after each step on `loss = p² / 2` from p = 1; the gradient is p.
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
            "expected {want:?}, got {found:?}"
        );
    }

    #[test]
    fn a_step_is_compiled_once_for_all_counts_and_rates() {
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
    fn bf16_parameters_stay_bf16() {
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
    fn integers_are_not_updated() {
        let p = (tensor([1.0]), tensor([5]));
        let opt = sgd(0.5);
        let (q, _) = opt.step(&p, &(tensor([1.0]), tensor([0])), opt.init(&p));
        assert_eq!(q.0.item().unwrap(), 0.5);
        assert_eq!(q.1.to_vec::<i32>().unwrap(), [5]);
    }

    #[test]
    fn gradients_of_another_structure_are_an_error_with_integers() {
        let p = vec![tensor(5), tensor(1.0)];
        let opt = sgd(0.5);
        let (q, _) = opt.step(&p, &vec![tensor(0)], opt.init(&p));
        let e = q[1].error().unwrap().to_string();
        assert!(e.contains("the second tree has no leaf `1`"), "{e}");
    }

    /// A rule that returns this number of updates.
    struct Returns(usize);

    impl Rule for Returns {
        fn init(&self, _: &[Tensor]) -> Slots {
            Slots::new()
        }

        fn update(&self, _: Vec<Tensor>, _: &mut Slots, _: &Step) -> Vec<Tensor> {
            vec![tensor([1.0]); self.0]
        }
    }

    #[test]
    fn another_number_of_updates_than_parameters_is_an_error() {
        let p = vec![tensor([1.0]), tensor([2.0])];
        for n in [0, 1, 3] {
            let opt = chain([Optim::new(Returns(n)), sgd(0.1)]);
            let (q, _) = opt.step(&p, &p, opt.init(&p));
            for q in &q {
                let want = format!("expected 2 updates, one for each parameter, got {n}");
                assert_eq!(q.error().unwrap().message(), want);
            }
        }
        let opt = Optim::new(Returns(2));
        assert!(opt.step(&p, &p, opt.init(&p)).0.ok().is_ok());
    }

    #[test]
    fn the_state_of_another_optimizer_is_an_error() {
        let p = vec![tensor([1.0])];
        let (q, _) = adam(0.1).step(&p, &p, sgd(0.1).init(&p));
        assert!(q[0].error().unwrap().message().contains("missing slot"), "{:?}", q[0].error());
    }
}
