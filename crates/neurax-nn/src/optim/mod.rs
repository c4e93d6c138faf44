//! Optimizers: values that convert gradients to updates and can be chained.
//!
//! An [`Optim`] is a list of rules, each of which transforms the updates of the previous rule; the
//! first one gets the gradients. [`chain`] concatenates lists: `chain([clip(1.0), adam(1e-3)])`.
//! The state of the rules is an [`OptState`], a tree, so that a whole training step can be jitted.
//! The step count and the learning rate are data of a step, so that it is compiled only once.
//!
//! Rules compute in f32 for parameters of fewer than 32 bits (f16, bf16, f8), and keep their state
//! in f32; the new parameters are rounded once. [`Optim::master_copies`] keeps f32 copies of such
//! parameters, and [`Optim::non_finite`] chooses what a gradient does that is NaN or infinite.
//!
//! An optimizer `o(rate)` has the options of its paper; a struct has them as methods, as layers do:
//! `Yogi::new().b2(0.99).rate(1e-2)`. Its `transform` is the direction without a rate, as a link of
//! a chain: `chain([clip_rms(1.0), Yogi::new().transform(), scale(1e-2)])`. All have
//! `weight_decay`, which is decoupled unless the paper has another place for it. [`accumulate`],
//! [`average_weights`] and [`lookahead`] work with every optimizer. [`masked`] and [`per_group`]
//! choose the parameters that an optimizer is for by their paths. A rate is a number or a
//! [`Schedule`]: [`linear`], [`warmup_cosine`], [`join`] and others.
//!
//! A rule may need more than gradients: [`sam`] and [`lbfgs`] evaluate the loss at other
//! parameters, with a function that is an argument of [`Optim::step_with`].
//!
//! To add an optimizer, add a file here with a struct that implements [`Rule`] and a function that
//! returns an [`Optim`] of it. If it treats each parameter by itself, implement `ParamRule`; its
//! options are a table of the macro `options`, its weight decay and its rate are those of the
//! macros `decay_options` and `with_rate`, and the checks of options are those of `option_checks`.

mod accumulate;
mod adabelief;
mod adadelta;
mod adafactor;
mod adagrad;
mod adam;
mod adamax;
mod amsgrad;
mod averages;
mod change;
mod clip;
mod computed;
mod constraints;
mod cycles;
mod decay;
mod decays;
#[cfg(test)]
mod every_optimizer;
mod lbfgs;
mod leaves;
mod line_search;
mod lion;
mod loss_scale;
mod masked;
mod master;
mod momentum;
mod muon;
mod nadam;
mod noise;
mod non_finite;
mod novograd;
#[cfg(test)]
mod optax;
mod option_checks;
mod options;
mod param_rule;
mod radam;
#[cfg(test)]
mod reference;
mod rmsprop;
mod rule;
mod rules;
mod sam;
mod schedule;
mod schedule_free;
mod sequences;
mod shampoo;
mod slots;
mod soap;
mod starts;
mod state;
mod step;
mod structure;
mod trust_ratio;
mod units;
mod weights;
mod yogi;

pub use accumulate::accumulate;
pub use adabelief::{AdaBelief, adabelief};
pub use adadelta::{AdaDelta, adadelta};
pub use adafactor::{Adafactor, FactoredRms, adafactor, scale_by_param_rms};
pub use adagrad::{AdaGrad, adagrad};
pub use adam::{Adam, adam, adamw, adamw_masked};
pub use adamax::{Adamax, adamax};
pub use amsgrad::{AmsGrad, amsgrad};
pub use change::ParamChange;
pub use clip::{clip, clip_norm, clip_rms, clip_value};
pub use constraints::{max_norm, max_norm_at, non_negative, unit_norm, unit_norm_at};
pub use cycles::{CosineRestarts, OneCycle, cosine_restarts, cyclic, one_cycle, restarts};
pub use decay::weight_decay;
pub use decays::{
    CosineDecay, PolynomialDecay, cosine, exponential_staircase, inverse_sqrt, linear,
};
pub use lbfgs::{lbfgs, scale_by_lbfgs};
pub use lion::{Lion, lion};
pub use loss_scale::LossScale;
pub use masked::{ParamGroups, masked, per_group, per_group_or};
pub use momentum::{Momentum, momentum, nesterov, sgd, trace};
pub use muon::{Muon, muon};
pub use nadam::{NAdam, nadam};
pub use noise::{Noise, noisy_sgd};
pub use non_finite::NonFinite;
pub use novograd::{NovoGrad, novograd};
pub use radam::{RAdam, radam};
pub use rmsprop::{RmsProp, rmsprop};
pub use rule::{Evaluate, Rule, Step, StepCounts, kept_slots};
pub use sam::sam;
pub use schedule::{Rate, Schedule, constant, exponential, scale, warmup};
pub use schedule_free::{schedule_free, schedule_free_adamw};
pub use sequences::{WarmupCosine, join, piecewise_constant, warmup_cosine};
pub use shampoo::{Shampoo, shampoo};
pub use soap::{Soap, soap};
pub use state::{OptState, Slots};
pub use step::StepInput;
pub use trust_ratio::{Lamb, Lars, TrustRatio, lamb, lars};
pub use units::{AdaptiveClip, centralize, centralize_at, clip_adaptive};
pub use weights::{average_weights, lookahead};
pub use yogi::{Yogi, yogi};

use crate::precision::at_least_f32;
use change::TrainedParams;
use computed::Computed;
use leaves::{float_paths, floats, with_floats};
use neurax_tensor::{DType, Error, Tensor, Tree, tensor, value_and_grad_at};
use rules::Rules;
use starts::Starts;
use state::{missing, take};
use std::fmt;
use std::panic::Location;
use step::StepOperands;
pub(crate) use units::UnitAxis;

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
pub struct Optim {
    rules: Rules,
    master_copies: bool,
    non_finite: NonFinite,
    loss_scale: Option<LossScale>,
}

/// Chains optimizers: each one transforms the updates of the previous one. An option of one link
/// holds for the chain; of different choices for non-finite gradients, the strictest one.
pub fn chain<const N: usize>(links: [Optim; N]) -> Optim {
    chain_links(&links)
}

/// Chains the optimizers of a slice.
fn chain_links(links: &[Optim]) -> Optim {
    Optim {
        rules: Rules::concat(links.iter().map(|o| &o.rules)),
        master_copies: links.iter().any(|o| o.master_copies),
        non_finite: links.iter().map(|o| o.non_finite).max().unwrap_or_default(),
        loss_scale: links.iter().rev().find_map(|o| o.loss_scale),
    }
}

impl Optim {
    /// Creates an optimizer of one rule.
    pub fn new(rule: impl Rule) -> Optim {
        let (rules, non_finite) = (Rules::one(rule), NonFinite::default());
        Optim { rules, master_copies: false, non_finite, loss_scale: None }
    }

    /// Keeps a copy in f32 of each parameter of fewer than 32 bits in the state. Updates are added
    /// to the copy, and the parameter is the rounded copy: without it, updates below the precision
    /// of the dtype (1/256 of a parameter in bf16) are lost. A copy that no longer rounds to its
    /// parameter, because the parameter was changed outside of the optimizer, is replaced by it.
    /// Micikevicius et al., 2017 (<https://arxiv.org/abs/1710.03740>).
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let descend = |opt: Optim| {
    ///     let (mut p, g) = (tensor([1.0]).to(BF16), tensor([1.0]).to(BF16));
    ///     let mut state = opt.init(&p);
    ///     for _ in 0..100 {
    ///         (p, state) = opt.step(&p, &g, state);
    ///     }
    ///     p.item()
    /// };
    /// assert_eq!(descend(optim::sgd(1e-3))?, 1.0, "every update is lost");
    /// assert_eq!(descend(optim::sgd(1e-3).master_copies())?, 0.8984375);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn master_copies(self) -> Optim {
        Optim { master_copies: true, ..self }
    }

    /// Sets what happens in a step with a gradient that is NaN or infinite.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let opt = optim::adam(0.1).non_finite(optim::NonFinite::Skip);
    /// let p = vec![tensor(1.0), tensor(2.0)];
    /// let (q, state) = opt.step(&p, &vec![tensor(f32::NAN), tensor(1.0)], opt.init(&p));
    /// assert_eq!((q[0].item()?, q[1].item()?), (1.0, 2.0));
    /// assert_eq!((state.step.item()?, state.non_finite_steps()?), (0.0, Some(1)));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn non_finite(self, choice: NonFinite) -> Optim {
        Optim { non_finite: choice, ..self }
    }

    /// Scales the loss, so that gradients in f16 are neither 0 nor infinite. The gradients of a
    /// step are those of the loss times [`OptState::loss_scale`], and are divided by it. A step
    /// with a gradient that is not finite is skipped and counted, as with [`NonFinite::Skip`]; a
    /// dynamic scale shrinks then. A trainer multiplies the loss.
    ///
    /// # Errors
    ///
    /// The updates carry an error if a scale is not above 0, a factor not above 1, or a period 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let opt = optim::sgd(0.5).loss_scale(optim::LossScale::dynamic());
    /// let mut p = tensor([4.0]);
    /// let mut state = opt.init(&p);
    /// for _ in 0..2 {
    ///     let factor = state.loss_scale().unwrap_or(tensor(1.0));
    ///     // In f16, the first gradient overflows: 2 · 4 · 2¹⁵ is beyond 65504.
    ///     let loss = |p: Tensor| p.to(F16).square().sum(..).to(F32) * &factor;
    ///     let grads = grad(loss)(p.clone());
    ///     (p, state) = opt.step(&p, &grads, state);
    /// }
    /// assert_eq!((p.item()?, state.non_finite_steps()?), (4.0, Some(2)));
    /// assert_eq!(state.loss_scale().map(|s| s.item()).transpose()?, Some(8192.0));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn loss_scale(self, choice: LossScale) -> Optim {
        let non_finite = self.non_finite.max(NonFinite::Skip);
        Optim { loss_scale: Some(choice), non_finite, ..self }
    }

    /// Returns true if a step with a non-finite gradient is to be reported as an error.
    pub fn fails_on_non_finite(&self) -> bool {
        self.non_finite == NonFinite::Fail
    }

    /// Returns the state before the first step.
    pub fn init(&self, params: &impl Tree) -> OptState {
        let mut leaves = vec![];
        params.each_leaf(|t| leaves.push(t));
        self.init_leaves(leaves, &float_paths(params))
    }

    /// Returns the learning rate of the last step, f32[] and without a sign, or that of the first
    /// one if there was none; `None` if no rule has a rate. A schedule is evaluated at the number
    /// of steps of its rule, which are fewer than those of the state inside of [`accumulate`]. The
    /// rates of a chain are multiplied. Of groups of parameters, the rate is that of the first
    /// group that has one.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let rate = optim::Schedule::new(|step| 0.5 - step * 0.125);
    /// let opt = optim::accumulate(2, optim::adam(rate));
    /// let p = tensor([1.0]);
    /// let (mut q, mut state) = (p.clone(), opt.init(&p));
    /// let mut rates = vec![];
    /// for _ in 0..6 {
    ///     (q, state) = opt.step(&q, &p, state);
    ///     rates.push(opt.learning_rate(&state).map(|rate| rate.item()).transpose()?);
    /// }
    /// assert_eq!(rates, [0.5, 0.5, 0.5, 0.375, 0.375, 0.25].map(Some));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn learning_rate(&self, state: &OptState) -> Option<Tensor> {
        let before = (state.step.to(DType::F32) - 1.0).maximum(0.0);
        self.rules.learning_rate(&state.slots, &before)
    }

    /// Returns the state before the first step, for the leaves of the parameters.
    fn init_leaves(&self, params: Vec<&Tensor>, paths: &[String]) -> OptState {
        let leaves = floats(params);
        let mut slots = self.rules.init(&widened(&leaves), paths);
        let own = self.own_slots(&leaves);
        if !own.is_empty() {
            slots.push(own);
        }
        let trained = TrainedParams::of(&leaves, paths);
        let starts = Starts::at_first_step(leaves.len());
        OptState { step: tensor(0), slots, starts, trained }
    }

    /// Returns the state of the options before the first step.
    fn own_slots(&self, params: &[Tensor]) -> Slots {
        let mut own = Slots::new();
        if self.master_copies {
            own.insert(master::COPIES.into(), master::copies(params));
        }
        if self.non_finite != NonFinite::Pass {
            own.insert(state::COUNT.into(), vec![tensor(0)]);
        }
        own.extend(self.loss_scale.map(LossScale::slots).unwrap_or_default());
        own
    }

    /// Returns the updates, which are to be added to the parameters, and the new state. The updates
    /// of leaves that are not floats are zeros.
    ///
    /// # Errors
    ///
    /// The updates carry an error if `grads` has other leaves than `params`, if `state` lacks a
    /// slot of a rule (it is the state of another optimizer) or was made for a parameter of another
    /// shape, if an option of a rule is invalid, if a rule returns another number of updates than
    /// there are parameters, or, with [`NonFinite::Fail`], if a gradient is not finite.
    #[must_use]
    #[track_caller]
    pub fn update<P: Tree>(&self, params: &P, grads: &P, state: OptState) -> (P, OptState) {
        let operands = StepOperands::new(params, grads, None, None);
        let (updates, state) = operands.recorder(&state).at(Location::caller(), || {
            let step = self.compute(&operands, state, None, false);
            let updates = step.updates(self.master_copies);
            (with_floats(&operands.params, updates, Tensor::zeros_like), step.state)
        });
        (params.with_leaves(updates), state)
    }

    /// Returns the parameters after a step, and the new state. Parameters of fewer than 32 bits
    /// are rounded once.
    ///
    /// # Errors
    ///
    /// The parameters carry an error in the cases of [`Optim::update`], and if a rule needs an
    /// input of [`Optim::step_with`].
    #[must_use]
    #[track_caller]
    pub fn step<P: Tree>(&self, params: &P, grads: &P, state: OptState) -> (P, OptState) {
        self.step_with(params, grads, state, StepInput::new())
    }

    /// Returns the parameters after a step, and the new state, as [`Optim::step`] does, for rules
    /// that use the loss, or evaluate it at other parameters. A [`Trainer`] passes both.
    ///
    /// [`Trainer`]: https://docs.rs/neurax/latest/neurax/train/struct.Trainer.html
    ///
    /// # Errors
    ///
    /// The parameters carry an error in the cases of [`Optim::update`], and if a rule needs an
    /// input that is missing.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let opt = optim::lbfgs(5);
    /// let minimum = tensor([3.0, -1.0]);
    /// let loss = |p: &Tensor| value_and_grad_at(p, |p| (p - &minimum).square().sum(..));
    /// let (mut p, mut state) = (tensor([0.0, 0.0]), opt.init(&tensor([0.0, 0.0])));
    /// for _ in 0..2 {
    ///     let (value, grads) = loss(&p);
    ///     let input = optim::StepInput::new().loss(&value).evaluate(&loss);
    ///     (p, state) = opt.step_with(&p, &grads, state, input);
    /// }
    /// assert_eq!(p.allclose(&minimum, 1e-5, 0.0).item()?, 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn step_with<P: Tree>(
        &self,
        params: &P,
        grads: &P,
        state: OptState,
        input: StepInput<P>,
    ) -> (P, OptState) {
        let operands = StepOperands::new(params, grads, input.loss, input.weight);
        let at = Location::caller();
        let (new, state) = match input.evaluate {
            Some(f) => {
                let f = step::of_leaves(params, f);
                self.step_leaves(operands, state, Some(Evaluate::new(&f)), false, at)
            }
            None => self.step_leaves(operands, state, None, false, at),
        };
        (params.with_leaves(new), state)
    }

    /// Returns the parameters after a step that lowers `loss`, the new state, and the loss before
    /// the step: [`Optim::step_with`] with the gradient of `loss` and all inputs.
    ///
    /// # Errors
    ///
    /// The parameters carry an error in the cases of [`Optim::update`].
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let opt = optim::lbfgs(5);
    /// let (mut p, mut state) = (tensor([0.0, 0.0]), opt.init(&tensor([0.0, 0.0])));
    /// for _ in 0..2 {
    ///     let loss;
    ///     (p, state, loss) = opt.minimize(&p, state, |p| (p - 3.0).square().sum(..));
    ///     println!("{loss}");
    /// }
    /// assert_eq!(p.allclose(tensor([3.0, 3.0]), 1e-5, 0.0).item()?, 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn minimize<P: Tree + Clone>(
        &self,
        params: &P,
        state: OptState,
        loss: impl Fn(P) -> Tensor,
    ) -> (P, OptState, Tensor) {
        let evaluate = |p: &P| value_and_grad_at(p, &loss);
        let (value, grads) = evaluate(params);
        let input = StepInput::new().loss(&value).evaluate(&evaluate);
        let (params, state) = self.step_with(params, &grads, state, input);
        (params, state, value)
    }

    /// Returns all leaves after a step, and the new state, for a call at `at`. A step that
    /// `finishes` an accumulation has no gradient.
    fn step_leaves(
        &self,
        operands: StepOperands,
        state: OptState,
        evaluate: Option<Evaluate>,
        finishes: bool,
        at: &'static Location<'static>,
    ) -> (Vec<Tensor>, OptState) {
        operands.recorder(&state).at(at, || {
            let step = self.compute(&operands, state, evaluate, finishes);
            (with_floats(&operands.params, step.new_params(), Tensor::clone), step.state)
        })
    }

    /// Returns the state for these parameters: see the module [`change`].
    ///
    /// # Errors
    /// If it was made for a parameter of another shape; the state is returned as it is.
    fn for_params(
        &self,
        state: OptState,
        params: &[Tensor],
        paths: &[String],
    ) -> Result<OptState, (OptState, Error)> {
        if state.trained.is_empty() && state.slots.is_empty() {
            return Ok(state);
        }
        let change = match state.trained.change(params, paths) {
            Ok(Some(change)) => change,
            Ok(None) => return Ok(state),
            Err(e) => return Err((state, e)),
        };
        let (slots, own) = self.parted(state.slots);
        let mut slots = self.rules.change(slots, &change.with_params(widened(params)));
        let own = change.narrow().merged(self.own_slots(params), &self.own_slots(&[]), own);
        if !own.is_empty() {
            slots.push(own);
        }
        let (trained, starts) = change.trained(state.starts, &state.step);
        Ok(OptState { step: state.step, slots, starts, trained })
    }

    /// Returns the slots of each rule, and those of the options.
    fn parted(&self, mut slots: Vec<Slots>) -> (Vec<Slots>, Slots) {
        let own = (slots.len() > self.rules.len()).then(|| slots.pop()).flatten();
        slots.resize_with(self.rules.len(), Slots::new);
        (slots, own.unwrap_or_default())
    }

    /// Computes a step of the parameters that are trained.
    fn compute(
        &self,
        operands: &StepOperands,
        before: OptState,
        evaluate: Option<Evaluate>,
        finishes: bool,
    ) -> Computed {
        let grads = operands.gradients();
        let params = floats(&operands.params);
        let before = match self.for_params(before, &params, &operands.paths) {
            Ok(before) => before,
            Err((state, e)) => {
                let updates = vec![Tensor::from_error(e); params.len()];
                return Computed { base: widened(&params), params, updates, state };
            }
        };
        let is_guarded = self.non_finite != NonFinite::Pass && !finishes;
        // A clone would keep an eager step from updating averages in place.
        let kept = is_guarded.then(|| before.clone());
        // The step to which the gradients of an accumulation belong is counted already.
        let before = match finishes {
            true => OptState { step: &before.step - 1, ..before },
            false => before,
        };
        let counts = before.counts();
        let OptState { step, slots, starts, trained } = before;
        let (mut slots, mut own) = self.parted(slots);
        let base = match self.master_copies {
            true => master::synchronized(&params, &mut own),
            false => widened(&params),
        };
        let count = step.to(DType::F32);
        let StepOperands { paths, loss, weight, .. } = operands;
        let (loss, weight) = (loss.as_ref(), weight.as_ref());
        let (count, counts) = (&count, &counts);
        let rule_step =
            Step { params: &base, paths, count, counts, loss, weight, finishes, evaluate };
        let wide = match self.loss_scale {
            Some(choice) => choice.unscaled(widened(&grads), &own),
            None => widened(&grads),
        };
        let updates = self.rules.update(wide, &mut slots, &rule_step);
        let mut computed = Computed {
            params,
            base,
            updates,
            state: OptState { step: step + 1, slots, starts, trained },
        };
        if self.master_copies {
            own.insert(master::COPIES.into(), computed.new_copies());
        }
        if !own.is_empty() {
            computed.state.slots.push(own);
        }
        match kept {
            Some(before) => self.non_finite.guard(&grads, before, computed, self.loss_scale),
            None => computed,
        }
    }
}

impl fmt::Debug for Optim {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Optim of {} rules", self.rules.len())
    }
}

/// Converts floats of fewer than 32 bits to f32.
fn widened(xs: &[Tensor]) -> Vec<Tensor> {
    xs.iter().map(at_least_f32).collect()
}

/// Returns one tensor for each of `xs` that carries the error of an invalid option of `op`.
fn invalid(op: &str, why: String, xs: &[Tensor]) -> Vec<Tensor> {
    vec![Tensor::from_error(Error::new(op, why)); xs.len()]
}

/// Returns the error of a step of the rule `op` without a function that evaluates the loss.
fn no_evaluate(op: &str) -> Error {
    let why = "expected a function that evaluates the loss, got none; pass one to \
               `Optim::step_with`";
    Error::new(op, why)
}

/// Returns one tensor of zeros for each parameter.
fn zeros(params: &[Tensor]) -> Vec<Tensor> {
    params.iter().map(Tensor::zeros_like).collect()
}

#[cfg(test)]
pub(crate) mod tests;
