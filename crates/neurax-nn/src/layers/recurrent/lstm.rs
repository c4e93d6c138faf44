//! The long short-term memory: Hochreiter and Schmidhuber, 1997
//! (<https://doi.org/10.1162/neco.1997.9.8.1735>).

use super::cell::product;
use super::options::{CellOptions, cell_options, common_options, gate_bias};
use super::{Cell, CellWeights, Rnn};
use crate::init::Init;
use crate::{Activation, Cx, Node};
use neurax_tensor::{Result, Tensor, Type};
use serde::{Deserialize, Serialize};

/// The layer of an [`LstmCell`].
///
/// ```
/// use neurax::prelude::*;
/// let x = nn::input("x", dims![_, _, 3]);
/// let (sequence, (h, c)) = x.layer(nn::Lstm::new(4).return_state());
/// let model = Model::new([("sequence", sequence), ("h", h), ("c", c)]);
/// let vars = model.init(key(0), &types![f32[_, 5, 3]])?;
/// let out = model.apply(&vars, Tensor::ones([2, 5, 3]), &Mode::Eval);
/// assert_eq!(out["sequence"].shape(), [2, 5, 4]);
/// assert_eq!(out["c"].shape(), [2, 4]);
/// # Ok::<(), Error>(())
/// ```
pub type Lstm = Rnn<LstmCell>;

/// The cell of a long short-term memory, whose state is `(h, c)`, both `[batch, units]`:
///
/// ```text
/// i, f, g, o = x · kernel + bias + h · recurrent_kernel, in four parts of the last axis
/// c = sigmoid(f) c + sigmoid(i) tanh(g)
/// h = sigmoid(o) tanh(c)
/// ```
///
/// The parameters are `kernel` `[features, 4 units]`, `recurrent_kernel` `[units, 4 units]` and
/// `bias` `[4 units]`. The gates are in the order input, forget, cell, output, as in Keras. That is
/// also PyTorch's order: `kernel` and `recurrent_kernel` are `weight_ih_l0` and `weight_hh_l0`,
/// transposed, and `bias` is `bias_ih_l0 + bias_hh_l0`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LstmCell {
    pub(super) options: CellOptions,
    unit_forget_bias: bool,
}

impl LstmCell {
    /// Creates a cell with `units` units. Its options have the defaults of Keras.
    pub fn new(units: usize) -> LstmCell {
        LstmCell { options: CellOptions::new(units), unit_forget_bias: true }
    }
}

impl Rnn<LstmCell> {
    /// Creates a layer with `units` units, which returns the sequence `[batch, time, units]`.
    pub fn new(units: usize) -> Lstm {
        Rnn::of(LstmCell::new(units))
    }
}

common_options! { LstmCell options {
    /// Sets the activation of the gates, [`Activation::sigmoid`] by default.
    recurrent_activation: Activation = options.recurrent_activation;
    /// Sets whether the bias of the forget gate starts at one, as by default: Jozefowicz et al.,
    /// 2015 (<https://proceedings.mlr.press/v37/jozefowicz15.html>).
    unit_forget_bias: bool = unit_forget_bias;
} }

impl Cell for LstmCell {
    const NAME: &'static str = "lstm";
    type Weights = CellWeights;
    type State = (Tensor, Tensor);

    fn check(&self, x: &Type) -> Result<()> {
        self.options.check(Self::NAME, x)
    }

    fn prepare(&self, cx: &mut Cx, xs: Tensor) -> (CellWeights, Tensor) {
        let bias = gate_bias(&self.options.bias_init, self.unit_forget_bias);
        self.options.prepare(cx, xs, 4, bias)
    }

    fn initial_state(&self, _: &CellWeights, xs: &Tensor) -> (Tensor, Tensor) {
        let zeros = Tensor::zeros_of(xs.dtype(), [xs.dim(1), self.options.units]);
        (zeros.clone(), zeros)
    }

    fn step(&self, w: &CellWeights, x: &Tensor, (h, c): (Tensor, Tensor)) -> (Tensor, Tensor) {
        let z = x + product(&w.dropped(&h), &w.recurrent_kernel);
        lstm_state(&z, &c, -1, &self.options)
    }

    fn output(&self, (h, _): &(Tensor, Tensor)) -> Tensor {
        h.clone()
    }
}

/// Computes the state `(h, c)` of an LSTM from the values `z` before the activations of its gates,
/// in four parts along `axis`, and the state `c` before the step.
#[track_caller]
pub(super) fn lstm_state(
    z: &Tensor,
    c: &Tensor,
    axis: i64,
    options: &CellOptions,
) -> (Tensor, Tensor) {
    let units = options.units as i64;
    let part = |i: i64| z.slice(axis, i * units..(i + 1) * units);
    let gate = |i: i64| options.recurrent_activation.of(&part(i));
    let c = gate(1) * c + gate(0) * options.activation.of(&part(2));
    let h = gate(3) * options.activation.of(&c);
    (h, c)
}

impl Node {
    /// Applies a long short-term memory with `units` units over axis 1: see [`Lstm`].
    #[track_caller]
    pub fn lstm(&self, units: usize) -> Node {
        self.layer(Lstm::new(units))
    }
}
