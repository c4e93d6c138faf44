//! The convolutional long short-term memory: Shi et al., 2015 (<https://arxiv.org/abs/1506.04214>).

use super::conv_options::{ConvOptions, conv_options};
use super::lstm::lstm_state;
use super::options::{cell_options, common_options, gate_bias};
use super::{Cell, CellWeights, Rnn};
use crate::init::Init;
use crate::{Activation, Cx};
use neurax_tensor::{IntoEach, Padding, Result, Tensor, Type};
use serde::{Deserialize, Serialize};

/// The layer of a [`ConvLstmCell`], for inputs `[batch, time, channels, space ..]` with one to
/// three space axes.
///
/// ```
/// use neurax::prelude::*;
/// let layer = nn::ConvLstm::new(4, [3, 3]).padding(Padding::Same);
/// let model = nn::input("video", dims![_, _, 2, 8, 8]).layer(layer);
/// let vars = model.init(key(0), &types![f32[_, 5, 2, 8, 8]])?;
/// let out = model.apply(&vars, Tensor::ones([1, 5, 2, 8, 8]), &Mode::Eval);
/// assert_eq!(out.y().shape(), [1, 5, 4, 8, 8]);
/// # Ok::<(), Error>(())
/// ```
pub type ConvLstm = Rnn<ConvLstmCell>;

/// The cell of a convolutional long short-term memory: that of an [`LstmCell`](super::LstmCell)
/// with convolutions instead of the products. The state is `(h, c)`, both `[batch, filters, space
/// ..]`. The convolution of the state keeps its size.
///
/// The parameters are `kernel` `[4 filters, channels, taps ..]`, `recurrent_kernel` `[4 filters,
/// filters, taps ..]` and `bias` `[4 filters]`; with [`ConvLstmCell::channels_last`] the kernels
/// are `[taps .., channels, 4 filters]` and `[taps .., filters, 4 filters]`, as in Keras. The gates
/// are in the order input, forget, cell, output.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConvLstmCell {
    conv: ConvOptions,
    unit_forget_bias: bool,
}

impl ConvLstmCell {
    /// Creates a cell with `filters` channels in its state and windows of `taps` elements along
    /// each space axis; one number counts for all axes. The options have the defaults of Keras:
    /// strides of 1, no padding, no dilation.
    pub fn new(filters: usize, taps: impl IntoEach) -> ConvLstmCell {
        ConvLstmCell { conv: ConvOptions::new(filters, taps), unit_forget_bias: true }
    }
}

conv_options! { ConvLstmCell {
    /// Sets whether the bias of the forget gate starts at one, as by default.
    unit_forget_bias: bool = unit_forget_bias;
} }

impl Cell for ConvLstmCell {
    const NAME: &'static str = "conv_lstm";
    type Weights = CellWeights;
    type State = (Tensor, Tensor);

    fn check(&self, x: &Type) -> Result<()> {
        self.conv.check(Self::NAME, x)
    }

    fn prepare(&self, cx: &mut Cx, xs: Tensor) -> (CellWeights, Tensor) {
        let bias = gate_bias(&self.conv.cell.bias_init, self.unit_forget_bias);
        self.conv.prepare(cx, xs, 4, bias)
    }

    fn initial_state(&self, _: &CellWeights, xs: &Tensor) -> (Tensor, Tensor) {
        let zeros = self.conv.zeros(xs);
        (zeros.clone(), zeros)
    }

    fn step(&self, w: &CellWeights, x: &Tensor, (h, c): (Tensor, Tensor)) -> (Tensor, Tensor) {
        let z = x + self.conv.of_state(&w.dropped(&h), &w.recurrent_kernel);
        lstm_state(&z, &c, self.conv.channel_axis(), &self.conv.cell)
    }

    fn output(&self, (h, _): &(Tensor, Tensor)) -> Tensor {
        h.clone()
    }

    fn features_axis(&self) -> i64 {
        self.conv.channel_axis()
    }
}
