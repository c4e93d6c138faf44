//! The gated recurrent unit: Cho et al., 2014 (<https://arxiv.org/abs/1406.1078>).

use super::cell::product;
use super::options::{CellOptions, cell_options, common_options};
use super::{Cell, CellWeights, Rnn};
use crate::init::Init;
use crate::precision::at_least_f32;
use crate::{Activation, Cx, Node};
use neurax_tensor::{Result, Tensor, Type};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The layer of a [`GruCell`].
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_, _, 3]).layer(nn::Gru::new(4).return_sequences(false));
/// let vars = model.init(key(0), &types![f32[_, 5, 3]])?;
/// let out = model.apply(&vars, Tensor::ones([2, 5, 3]), &Mode::Eval);
/// assert_eq!(out.y().shape(), [2, 4]);
/// # Ok::<(), Error>(())
/// ```
pub type Gru = Rnn<GruCell>;

/// The cell of a gated recurrent unit, whose state is `h`, `[batch, units]`:
///
/// ```text
/// xz, xr, xn = x · kernel + bias                        in three parts of the last axis
/// hz, hr, hn = h · recurrent_kernel + recurrent_bias
/// z, r = sigmoid(xz + hz), sigmoid(xr + hr)
/// n = tanh(xn + r hn)
/// h = z h + (1 - z) n
/// ```
///
/// This is the variant of cuDNN, and the default of Keras and PyTorch. Without
/// [`GruCell::reset_after`], the reset gate acts before the product, as in the paper:
/// `n = tanh(xn + (r h) · recurrent_kernel)`, and there is no recurrent bias.
///
/// The parameters are `kernel` `[features, 3 units]`, `recurrent_kernel` `[units, 3 units]`,
/// `bias` and `recurrent_bias` `[3 units]`. The gates are in the order update, reset, new, as in
/// Keras, whose `bias` has our two as rows. PyTorch has the order reset, update, new; its
/// `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0` and `bias_hh_l0` are `kernel` and
/// `recurrent_kernel`, transposed, `bias` and `recurrent_bias`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GruCell {
    options: CellOptions,
    reset_after: bool,
}

impl GruCell {
    /// Creates a cell with `units` units. Its options have the defaults of Keras.
    pub fn new(units: usize) -> GruCell {
        GruCell { options: CellOptions::new(units), reset_after: true }
    }
}

impl Rnn<GruCell> {
    /// Creates a layer with `units` units, which returns the sequence `[batch, time, units]`.
    pub fn new(units: usize) -> Gru {
        Rnn::of(GruCell::new(units))
    }
}

common_options! { GruCell options {
    /// Sets the activation of the gates, [`Activation::sigmoid`] by default.
    recurrent_activation: Activation = options.recurrent_activation;
    /// Sets whether the reset gate acts after the product with the recurrent kernel, as by default.
    reset_after: bool = reset_after;
} }

impl Cell for GruCell {
    const NAME: &'static str = "gru";
    type Weights = CellWeights;
    type State = Tensor;

    fn check(&self, x: &Type) -> Result<()> {
        self.options.check(Self::NAME, x)
    }

    fn prepare(&self, cx: &mut Cx, xs: Tensor) -> (CellWeights, Tensor) {
        let bias_init = self.options.bias_init.clone();
        let (weights, xs) = self.options.prepare(cx, xs, 3, bias_init.clone());
        let has_bias = self.options.bias && self.reset_after;
        let outputs = self.options.units.saturating_mul(3);
        let recurrent_bias =
            has_bias.then(|| at_least_f32(&cx.param("recurrent_bias", outputs, bias_init)));
        (CellWeights { recurrent_bias, ..weights }, xs)
    }

    fn initial_state(&self, _: &CellWeights, xs: &Tensor) -> Tensor {
        Tensor::zeros_of(xs.dtype(), [xs.dim(1), self.options.units])
    }

    fn step(&self, w: &CellWeights, x: &Tensor, h: Tensor) -> Tensor {
        let product = |h: &Tensor, outputs: Range<i64>| {
            let y = product(h, &w.recurrent_kernel.slice(-1, outputs));
            match &w.recurrent_bias {
                Some(bias) => y + bias,
                None => y,
            }
        };
        gru_state(x, &h, &w.dropped(&h), -1, &self.options, self.reset_after, product)
    }

    fn output(&self, h: &Tensor) -> Tensor {
        h.clone()
    }
}

/// Computes the state of a gated recurrent unit from the input `x` of a step, whose gates are three
/// parts along `axis`, the state `h` before it, and that state with dropout. `product` computes a
/// range of the outputs of the product of a state with the recurrent kernel: all, or without
/// `reset_after` first those of the gates.
#[track_caller]
pub(super) fn gru_state(
    x: &Tensor,
    h: &Tensor,
    dropped: &Tensor,
    axis: i64,
    options: &CellOptions,
    reset_after: bool,
    product: impl Fn(&Tensor, Range<i64>) -> Tensor,
) -> Tensor {
    let units = options.units as i64;
    let gate = |t: Tensor| options.recurrent_activation.of(&t);
    let part = |t: &Tensor, i: i64| t.slice(axis, i * units..(i + 1) * units);
    let y = product(dropped, 0..if reset_after { 3 * units } else { 2 * units });
    let z = gate(part(x, 0) + part(&y, 0));
    let r = gate(part(x, 1) + part(&y, 1));
    let new = match reset_after {
        true => r * part(&y, 2),
        false => product(&(r * dropped), 2 * units..3 * units),
    };
    &z * h + (1.0 - &z) * options.activation.of(&(part(x, 2) + new))
}

impl Node {
    /// Applies a gated recurrent unit with `units` units over axis 1: see [`Gru`].
    #[track_caller]
    pub fn gru(&self, units: usize) -> Node {
        self.layer(Gru::new(units))
    }
}
