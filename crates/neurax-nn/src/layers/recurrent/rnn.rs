//! The layer that runs a cell over time.

use super::Cell;
use crate::precision::{at_least_f32, narrow_as};
use crate::{Cx, Layer, LayerOutput, LayerPrecision, MaskRule, TakeMask, init};
use neurax_tensor::{DType, Error, Result, Tensor, Tree, scan, scan_reverse, stop_gradient};
use serde::{Deserialize, Serialize};

/// The layer that runs a [`Cell`] over axis 1, time, of an input `[batch, time, ..]`.
///
/// It returns the outputs of all steps, `[batch, time, ..]` (Keras: `return_sequences=True`), or
/// with [`Rnn::return_sequences`] only the last one.
///
/// A layer of one input is applied with `x.layer(..)`. With [`Rnn::masked`] and
/// [`Rnn::initial_state`] it has further inputs, in the order `x`, mask, state, and is applied with
/// `call`:
///
/// ```
/// use neurax::prelude::*;
/// let source = nn::input("source", dims![_, _, 2]);
/// let (target, mask) = (nn::input("target", dims![_, _, 3]), nn::input("mask", dims![_, _]));
/// let (_, h) = source.layer(nn::Gru::new(4).return_state());
/// let y = nn::Gru::new(4).masked().initial_state().call([&target, &mask, &h]);
///
/// let vars = y.init(key(0), &types![f32[_, 5, 3], bool[_, 5], f32[_, 6, 2]])?;
/// let inputs = [
///     ("source", Tensor::ones([1, 6, 2])),
///     ("target", Tensor::ones([1, 5, 3])),
///     ("mask", tensor([[true, true, true, false, false]])),
/// ];
/// let out = y.apply(&vars, inputs, &Mode::Eval);
/// let (last, masked) = (out.y().index((0, 2)), out.y().index((0, 4)));
/// assert_eq!(masked.to_vec::<f32>()?, last.to_vec::<f32>()?);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rnn<C> {
    pub(super) cell: C,
    pub(super) reverse: bool,
    pub(super) return_sequences: bool,
    pub(super) masked: bool,
    pub(super) initial_state: bool,
    pub(super) zero_output_for_mask: bool,
    #[serde(default)]
    pub(super) stateful: bool,
}

/// A layer that computes a sequence of outputs and a state from a sequence.
pub trait Recurrent: Send + Sync + 'static {
    /// The name of the layer.
    const NAME: &'static str;

    /// The outputs.
    type Output: LayerOutput;

    /// The state after the last step.
    type State: LayerOutput;

    /// Computes the outputs and the state.
    fn run(&self, cx: &mut Cx, inputs: &[Tensor]) -> (Self::Output, Self::State);

    /// Returns this layer with a mask as its input 1; by default and if it has one, `None`.
    fn with_mask(&self) -> Option<Self>
    where
        Self: Sized,
    {
        None
    }

    /// Returns the number of tensors of the output that are sequences with the steps of the input.
    fn sequences(&self) -> usize {
        0
    }
}

/// Returns what a recurrent layer of `inputs` inputs does with masks. `as_layer` returns the layer
/// of the given one.
pub(super) fn mask_rule<R, L>(layer: &R, inputs: usize, as_layer: impl Fn(R) -> L) -> MaskRule
where
    R: Recurrent,
    L: Layer<2> + Layer<3> + Layer<4> + Layer<5> + Layer<6>,
{
    let outputs = layer.sequences();
    match layer.with_mask().and_then(|masked| TakeMask::of(as_layer(masked), inputs)) {
        Some(taken) => MaskRule::Take(taken.outputs(outputs)),
        None => MaskRule::KeepOfFirst { outputs },
    }
}

/// A recurrent layer that returns its outputs and its state: see [`Rnn::return_state`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReturnState<L>(pub(super) L);

impl<L: Recurrent, const N: usize> Layer<N> for ReturnState<L> {
    const NAME: &'static str = L::NAME;
    const PRECISION: LayerPrecision = LayerPrecision::Full;
    type Output = (L::Output, L::State);

    fn mask_rule(&self) -> MaskRule {
        mask_rule(&self.0, N, ReturnState)
    }

    fn apply(&self, cx: &mut Cx, inputs: [Tensor; N]) -> (L::Output, L::State) {
        self.0.run(cx, &inputs)
    }
}

impl<C: Cell> Rnn<C> {
    /// Creates the layer of a cell.
    pub fn of(cell: C) -> Rnn<C> {
        Rnn {
            cell,
            reverse: false,
            return_sequences: true,
            masked: false,
            initial_state: false,
            zero_output_for_mask: false,
            stateful: false,
        }
    }

    /// Runs from the last step to the first. Each output keeps the position of its input (Keras
    /// returns them in the order of the run, as `flip(1)` of ours).
    pub fn reverse(self) -> Rnn<C> {
        Rnn { reverse: true, ..self }
    }

    /// Sets whether the outputs of all steps are returned, as by default, or only that of the last
    /// one, the default of Keras. If the run is [`reverse`](Rnn::reverse), the last one is that of
    /// the first position.
    pub fn return_sequences(self, return_sequences: bool) -> Rnn<C> {
        Rnn { return_sequences, ..self }
    }

    /// Makes the layer return `(outputs, state)`, with the state after the last step.
    pub fn return_state(self) -> ReturnState<Rnn<C>> {
        ReturnState(self)
    }

    /// Adds an input, the mask: bools `[batch, time]`. A step with false keeps the state, and its
    /// output is that of the step before it; the outputs before the first step with true are zeros,
    /// as in Keras, also if there is an initial state. See [`mask_of`](crate::mask_of).
    pub fn masked(self) -> Rnn<C> {
        Rnn { masked: true, ..self }
    }

    /// Adds inputs, the tensors of the state before the first step, which is zeros otherwise.
    pub fn initial_state(self) -> Rnn<C> {
        Rnn { initial_state: true, ..self }
    }

    /// Begins with the state after the last call instead of zeros, Keras's `stateful=True`: example
    /// `i` of a batch continues example `i` of the batch before it. The state of the layer is
    /// `state_0` and so on, and a fresh state begins other sequences. A gradient does not reach
    /// earlier calls. Initialize the model with the batch size of its use.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, _, 3]).layer(nn::Gru::new(4).stateful()).model();
    /// let mut vars = model.init(key(0), &types![f32[2, _, 3]])?;
    /// let x = key(1).normal([2, 6, 3]);
    /// let full = model.apply(&vars, &x, &Mode::Eval);
    /// vars.state = model.apply(&vars, x.slice(1, ..4), &Mode::Eval).state;
    /// let rest = model.apply(&vars, x.slice(1, 4..), &Mode::Eval);
    /// assert!(rest.y().allclose(full.y().slice(1, 4..), 1e-5, 1e-6).item()? == 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn stateful(self) -> Rnn<C> {
        Rnn { stateful: true, ..self }
    }

    /// Sets whether the outputs of masked steps are zeros. If only the last output is returned, it
    /// is zeros if the last step is masked, as in Keras.
    pub fn zero_output_for_mask(self, zero_output_for_mask: bool) -> Rnn<C> {
        Rnn { zero_output_for_mask, ..self }
    }

    /// Returns the number of states that are inputs, for `runs` runs of the cell.
    fn states(&self, runs: usize) -> usize {
        if self.initial_state { runs * C::State::count() } else { 0 }
    }

    /// Checks the inputs of a layer with `runs` runs of the cell.
    pub(super) fn inputs<'x>(&self, inputs: &'x [Tensor], runs: usize) -> Result<RnnInputs<'x>> {
        let fail = |why: String| Err(Error::new(C::NAME, why));
        if self.stateful && self.initial_state {
            return fail("expected one of `stateful` and `initial_state`, got both".into());
        }
        let (masks, states) = (usize::from(self.masked), self.states(runs));
        let Some((x, rest)) = inputs.split_first().filter(|(_, r)| r.len() == masks + states)
        else {
            let mask = if self.masked { ", a mask" } else { "" };
            let state = if states > 0 { format!(", {states} states") } else { String::new() };
            let n = 1 + masks + states;
            let got = inputs.len();
            let inputs = if n == 1 { "input" } else { "inputs" };
            return fail(format!("expected {n} {inputs} (x{mask}{state}), got {got}"));
        };
        let ty = x.ty()?;
        if ty.rank() < 2 || !ty.dtype.is_float() {
            return fail(format!("expected an input of floats [batch, time, ..], got {ty}"));
        }
        self.cell.check(&ty)?;
        let (masks, states) = rest.split_at(masks);
        let mask = masks.first();
        if let Some(mask) = mask {
            let (want, got) = (&ty.shape[..2], mask.ty()?);
            if got.dtype != DType::Bool || got.shape[..] != *want {
                return fail(format!(
                    "expected a mask bool{want:?}, [batch, time], got {got}; `nn::mask_of` makes \
                     one of tokens"
                ));
            }
        }
        Ok(RnnInputs { x, mask, states })
    }

    /// Runs the cell.
    pub(super) fn run_on(&self, cx: &mut Cx, inputs: RnnInputs) -> (Tensor, C::State) {
        let RnnInputs { x, mask, states } = inputs;
        let xs = at_least_f32(x).swap_axes(0, 1);
        let (weights, xs) = self.cell.prepare(cx, xs);
        let zeros = self.cell.initial_state(&weights, &xs);
        let kept = self.stateful.then(|| kept_state::<C>(cx, &zeros));
        let init = match &kept {
            Some(kept) => kept.zip_map(&zeros, |kept, zero| kept.to(zero.dtype())),
            None if self.initial_state => given_state::<C>(&zeros, states),
            None => zeros,
        };
        let (last, ys) = self.scan(&weights, xs, mask.map(|m| m.swap_axes(0, 1)), init);
        if let Some(kept) = &kept {
            keep_state::<C>(cx, &last, kept);
        }
        let y = match ys {
            Some(ys) => ys.swap_axes(0, 1),
            None => self.cell.output(&last),
        };
        let y = match mask.map(|mask| self.has_output(mask)) {
            Some(has_output) => like_rank(&has_output, &y).select(&y, 0.0),
            None => y,
        };
        (narrow_as(x, y), last.map_leaves(|s| narrow_as(x, s.clone())))
    }

    /// Returns the mask of the outputs that are not zeros, of the rank of the outputs without the
    /// axes of a step: `[batch, time]`, or `[batch]` if only the last one is returned.
    fn has_output(&self, mask: &Tensor) -> Tensor {
        let last = if self.reverse { mask.slice(1, ..1) } else { mask.slice(1, -1..) };
        match (self.return_sequences, self.zero_output_for_mask) {
            (true, true) => mask.clone(),
            (false, true) => last.any(1),
            (false, false) => mask.any(1),
            // From the first step with true on.
            (true, false) if self.reverse => mask.flip(1).to(DType::I32).cumsum(1).gt(0).flip(1),
            (true, false) => mask.to(DType::I32).cumsum(1).gt(0),
        }
    }

    /// Runs the loop over `xs` and, if there is one, the mask, both `[time, batch, ..]`. Returns
    /// the last state, and the outputs unless only the last one is wanted.
    fn scan(
        &self,
        weights: &C::Weights,
        xs: Tensor,
        mask: Option<Tensor>,
        init: C::State,
    ) -> (C::State, Option<Tensor>) {
        let step = |state: C::State, (x, mask): (Tensor, Option<Tensor>)| {
            let next = self.cell.step(weights, &x, state.clone());
            let next = state.zip_map(&next, |old, new| {
                let new = new.to(old.dtype());
                match &mask {
                    Some(mask) => like_rank(mask, &new).select(&new, old),
                    None => new,
                }
            });
            let y = self.return_sequences.then(|| self.cell.output(&next));
            (next, y)
        };
        match self.reverse {
            true => scan_reverse(init, (xs, mask), step),
            false => scan(init, (xs, mask), step),
        }
    }
}

/// The inputs of a recurrent layer.
pub(super) struct RnnInputs<'x> {
    pub x: &'x Tensor,
    pub mask: Option<&'x Tensor>,
    pub states: &'x [Tensor],
}

impl<C: Cell> Recurrent for Rnn<C> {
    const NAME: &'static str = C::NAME;
    type Output = Tensor;
    type State = C::State;

    fn run(&self, cx: &mut Cx, inputs: &[Tensor]) -> (Tensor, C::State) {
        let failed;
        let inputs = match self.inputs(inputs, 1) {
            Ok(inputs) => inputs,
            Err(e) => {
                failed = Tensor::from_error(e);
                RnnInputs { x: &failed, mask: None, states: &[] }
            }
        };
        self.run_on(cx, inputs)
    }

    fn with_mask(&self) -> Option<Rnn<C>> {
        (!self.masked).then(|| self.clone().masked())
    }

    fn sequences(&self) -> usize {
        usize::from(self.return_sequences)
    }
}

impl<C: Cell, const N: usize> Layer<N> for Rnn<C> {
    const NAME: &'static str = C::NAME;
    const PRECISION: LayerPrecision = LayerPrecision::Full;
    type Output = Tensor;

    fn mask_rule(&self) -> MaskRule {
        mask_rule(self, N, |layer| layer)
    }

    fn apply(&self, cx: &mut Cx, inputs: [Tensor; N]) -> Tensor {
        self.run(cx, &inputs).0
    }
}

/// Returns the tensors `states` in the structure and the dtypes of `zeros`, whose shapes they must
/// have.
fn given_state<C: Cell>(zeros: &C::State, states: &[Tensor]) -> C::State {
    let mut states = states.iter();
    zeros.map_leaves(|zero| match states.next() {
        Some(state) if state.error().is_some() => state.clone(),
        Some(state) if state.shape() == zero.shape() || zero.error().is_some() => {
            state.to(zero.dtype())
        }
        Some(state) => {
            let (want, got) = (zero.shape(), state.shape());
            let why = format!("expected an initial state of shape {want}, got {got}");
            Tensor::from_error(Error::new(C::NAME, why))
        }
        None => zero.clone(),
    })
}

/// Returns the state of the layer, with zeros as its first value.
fn kept_state<C: Cell>(cx: &mut Cx, zeros: &C::State) -> C::State {
    let mut names = state_names();
    zeros.map_leaves(|zero| match names.next() {
        Some(name) if zero.error().is_none() => {
            stop_gradient(&cx.state(&name, zero.shape(), init::zeros().dtype(zero.dtype())))
        }
        _ => zero.clone(),
    })
}

/// Sets the state of the layer to `last`, in the dtypes of the state `kept` before the call.
fn keep_state<C: Cell>(cx: &mut Cx, last: &C::State, kept: &C::State) {
    let leaves = last.leaves().into_iter().zip(kept.leaves());
    for (name, ((_, new), (_, old))) in state_names().zip(leaves) {
        cx.set(&name, new.to(old.dtype()));
    }
}

/// Returns the names of the tensors of a state.
fn state_names() -> impl Iterator<Item = String> {
    (0..).map(|i: usize| format!("state_{i}"))
}

/// Returns a mask with further axes of size 1, so that it broadcasts to the rank of `like`.
#[track_caller]
fn like_rank(mask: &Tensor, like: &Tensor) -> Tensor {
    let shape: Vec<usize> = mask.shape().iter().copied().collect();
    let ones = like.rank().saturating_sub(shape.len());
    mask.reshape([shape, vec![1; ones]].concat())
}
