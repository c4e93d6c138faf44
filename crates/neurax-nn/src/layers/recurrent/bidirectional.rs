//! Recurrent layers that run in both directions: Schuster and Paliwal, 1997
//! (<https://doi.org/10.1109/78.650093>).

use super::rnn::{RnnInputs, mask_rule};
use super::{Cell, Recurrent, ReturnState, Rnn};
use crate::{Cx, Layer, LayerPrecision, MaskRule};
use neurax_tensor::{Tensor, concat};
use serde::{Deserialize, Serialize};

/// The layer that runs a cell from the first step to the last and, with separate parameters, from
/// the last to the first, and merges the outputs of each position.
///
/// The parameters are below the paths `forward` and `backward`. Inputs are those of the layer that
/// it is made of: `x`, a mask if that is masked, and the initial states of both directions. The
/// outputs of masked steps are zeros, as in Keras.
///
/// ```
/// use neurax::prelude::*;
/// let x = nn::input("x", dims![_, _, 3]);
/// let (y, (forward, backward)) = x.layer(nn::Bidirectional::new(nn::Gru::new(4)).return_state());
/// let model = Model::new([("y", y), ("forward", forward), ("backward", backward)]);
/// let vars = model.init(key(0), &types![f32[_, 5, 3]])?;
/// assert_eq!(vars.params["bidirectional.forward"]["kernel"].shape(), [3, 12]);
/// let out = model.apply(&vars, Tensor::ones([2, 5, 3]), &Mode::Eval);
/// assert_eq!(out["y"].shape(), [2, 5, 8]);
/// assert_eq!(out["backward"].shape(), [2, 4]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bidirectional<C> {
    pub(super) forward: Rnn<C>,
    pub(super) backward: Rnn<C>,
    pub(super) merge: Merge,
}

/// The function that merges the outputs of both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Merge {
    /// The concatenation along the axis of the features.
    Concat,
    /// The sum.
    Sum,
    /// The product.
    Mul,
    /// The mean.
    Ave,
}

impl<C: Cell> Bidirectional<C> {
    /// Creates a layer of two copies of `layer`, one of which runs in the other direction. The
    /// outputs are concatenated.
    pub fn new(layer: Rnn<C>) -> Bidirectional<C> {
        let zero_output_for_mask = layer.return_sequences || layer.zero_output_for_mask;
        let forward = Rnn { zero_output_for_mask, ..layer };
        let backward = Rnn { reverse: !forward.reverse, ..forward.clone() };
        Bidirectional { forward, backward, merge: Merge::Concat }
    }

    /// Sets the cell of the backward direction, which may have other options.
    pub fn backward(self, cell: C) -> Bidirectional<C> {
        Bidirectional { backward: Rnn { cell, ..self.backward }, ..self }
    }

    /// Sets how the outputs are merged.
    pub fn merge(self, merge: Merge) -> Bidirectional<C> {
        Bidirectional { merge, ..self }
    }

    /// Makes the layer return the outputs of the directions separately, as a pair.
    pub fn unmerged(self) -> Unmerged<C> {
        Unmerged(self)
    }

    /// Makes the layer return `(outputs, (forward state, backward state))`.
    pub fn return_state(self) -> ReturnState<Bidirectional<C>> {
        ReturnState(self)
    }

    /// Runs both directions. Each returns its output and its state.
    fn run_both(&self, cx: &mut Cx, inputs: &[Tensor]) -> [(Tensor, C::State); 2] {
        let failed;
        let inputs = match self.forward.inputs(inputs, 2) {
            Ok(inputs) => inputs,
            Err(e) => {
                failed = Tensor::from_error(e);
                RnnInputs { x: &failed, mask: None, states: &[] }
            }
        };
        let (first, second) = inputs.states.split_at(inputs.states.len() / 2);
        let mut run = |name: &str, rnn: &Rnn<C>, states| {
            let inputs = RnnInputs { states, ..inputs };
            cx.within(name, |cx| rnn.run_on(cx, inputs))
        };
        [run("forward", &self.forward, first), run("backward", &self.backward, second)]
    }

    /// Returns the axis of the features in the outputs.
    fn features_axis(&self) -> i64 {
        match self.forward.cell.features_axis() {
            axis if axis >= 0 && self.forward.return_sequences => axis + 1,
            axis => axis,
        }
    }
}

impl<C: Cell> Recurrent for Bidirectional<C> {
    const NAME: &'static str = "bidirectional";
    type Output = Tensor;
    type State = (C::State, C::State);

    fn run(&self, cx: &mut Cx, inputs: &[Tensor]) -> (Tensor, Self::State) {
        let [(a, forward), (b, backward)] = self.run_both(cx, inputs);
        let y = match self.merge {
            Merge::Concat => concat([a, b], self.features_axis()),
            Merge::Sum => a + b,
            Merge::Mul => a * b,
            Merge::Ave => (a + b) * 0.5,
        };
        (y, (forward, backward))
    }

    fn with_mask(&self) -> Option<Bidirectional<C>> {
        let forward = self.forward.with_mask()?;
        Some(Bidirectional { forward, ..self.clone() })
    }

    fn sequences(&self) -> usize {
        self.forward.sequences()
    }
}

impl<C: Cell, const N: usize> Layer<N> for Bidirectional<C> {
    const NAME: &'static str = <Self as Recurrent>::NAME;
    const PRECISION: LayerPrecision = LayerPrecision::Full;
    type Output = Tensor;

    fn mask_rule(&self) -> MaskRule {
        mask_rule(self, N, |layer| layer)
    }

    fn apply(&self, cx: &mut Cx, inputs: [Tensor; N]) -> Tensor {
        self.run(cx, &inputs).0
    }
}

/// A [`Bidirectional`] layer that returns the outputs of the directions as a pair: see
/// [`Bidirectional::unmerged`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Unmerged<C>(Bidirectional<C>);

impl<C: Cell> Unmerged<C> {
    /// Makes the layer return `((forward, backward), (forward state, backward state))`.
    pub fn return_state(self) -> ReturnState<Unmerged<C>> {
        ReturnState(self)
    }
}

impl<C: Cell> Recurrent for Unmerged<C> {
    const NAME: &'static str = <Bidirectional<C> as Recurrent>::NAME;
    type Output = (Tensor, Tensor);
    type State = (C::State, C::State);

    fn run(&self, cx: &mut Cx, inputs: &[Tensor]) -> (Self::Output, Self::State) {
        let [(a, forward), (b, backward)] = self.0.run_both(cx, inputs);
        ((a, b), (forward, backward))
    }

    fn with_mask(&self) -> Option<Unmerged<C>> {
        self.0.with_mask().map(Unmerged)
    }

    fn sequences(&self) -> usize {
        2 * self.0.sequences()
    }
}

impl<C: Cell, const N: usize> Layer<N> for Unmerged<C> {
    const NAME: &'static str = <Self as Recurrent>::NAME;
    const PRECISION: LayerPrecision = LayerPrecision::Full;
    type Output = (Tensor, Tensor);

    fn mask_rule(&self) -> MaskRule {
        mask_rule(self, N, |layer| layer)
    }

    fn apply(&self, cx: &mut Cx, inputs: [Tensor; N]) -> (Tensor, Tensor) {
        self.run(cx, &inputs).0
    }
}
