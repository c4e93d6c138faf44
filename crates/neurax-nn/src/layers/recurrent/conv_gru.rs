//! The convolutional gated recurrent unit: Ballas et al., 2016
//! (<https://arxiv.org/abs/1511.06432>).

use super::conv_options::{ConvOptions, conv_options};
use super::gru::gru_state;
use super::options::{cell_options, common_options};
use super::{Cell, CellWeights, Rnn};
use crate::init::Init;
use crate::layers::conv::with_bias;
use crate::precision::at_least_f32;
use crate::{Activation, Cx};
use neurax_tensor::{IntoEach, Padding, Result, Tensor, Type};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The layer of a [`ConvGruCell`], for inputs `[batch, time, channels, space ..]` with one to three
/// space axes.
///
/// ```
/// use neurax::prelude::*;
/// let layer = nn::ConvGru::new(4, 3).padding(Padding::Same).return_sequences(false);
/// let model = nn::input("video", dims![_, _, 2, 8, 8]).layer(layer);
/// let vars = model.init(key(0), &types![f32[_, 5, 2, 8, 8]])?;
/// let out = model.apply(&vars, Tensor::ones([1, 5, 2, 8, 8]), &Mode::Eval);
/// assert_eq!(out.y().shape(), [1, 4, 8, 8]);
/// # Ok::<(), Error>(())
/// ```
pub type ConvGru = Rnn<ConvGruCell>;

/// The cell of a convolutional gated recurrent unit: that of a [`GruCell`](super::GruCell) with
/// convolutions instead of the products. The state is `h`, `[batch, filters, space ..]`. The
/// convolution of the state keeps its size.
///
/// The parameters are `kernel` `[3 filters, channels, taps ..]`, `recurrent_kernel` `[3 filters,
/// filters, taps ..]`, and `bias` and `recurrent_bias` `[3 filters]`; with
/// [`ConvGruCell::channels_last`] the kernels are `[taps .., channels, 3 filters]` and `[taps ..,
/// filters, 3 filters]`. The gates are in the order update, reset, new. Without
/// [`ConvGruCell::reset_after`], as in the paper, there is no recurrent bias.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConvGruCell {
    conv: ConvOptions,
    reset_after: bool,
}

impl ConvGruCell {
    /// Creates a cell with `filters` channels in its state and windows of `taps` elements along
    /// each space axis; one number counts for all axes. The convolution of the input has strides of
    /// 1, no padding and no dilation.
    pub fn new(filters: usize, taps: impl IntoEach) -> ConvGruCell {
        ConvGruCell { conv: ConvOptions::new(filters, taps), reset_after: true }
    }
}

conv_options! { ConvGruCell {
    /// Sets whether the reset gate acts after the convolution of the state, as by default.
    reset_after: bool = reset_after;
} }

impl Cell for ConvGruCell {
    const NAME: &'static str = "conv_gru";
    type Weights = CellWeights;
    type State = Tensor;

    fn check(&self, x: &Type) -> Result<()> {
        self.conv.check(Self::NAME, x)
    }

    fn prepare(&self, cx: &mut Cx, xs: Tensor) -> (CellWeights, Tensor) {
        let options = &self.conv.cell;
        let (weights, xs) = self.conv.prepare(cx, xs, 3, options.bias_init.clone());
        let outputs = options.units.saturating_mul(3);
        let recurrent_bias = (options.bias && self.reset_after)
            .then(|| at_least_f32(&cx.param("recurrent_bias", outputs, options.bias_init.clone())));
        (CellWeights { recurrent_bias, ..weights }, xs)
    }

    fn initial_state(&self, _: &CellWeights, xs: &Tensor) -> Tensor {
        self.conv.zeros(xs)
    }

    fn step(&self, w: &CellWeights, x: &Tensor, h: Tensor) -> Tensor {
        let product = |h: &Tensor, outputs: Range<i64>| {
            let kernel = w.recurrent_kernel.slice(self.conv.output_axis(), outputs);
            let y = self.conv.of_state(h, &kernel);
            with_bias(y, w.recurrent_bias.as_ref(), self.conv.windows.is_channels_last())
        };
        let axis = self.conv.channel_axis();
        gru_state(x, &h, &w.dropped(&h), axis, &self.conv.cell, self.reset_after, product)
    }

    fn output(&self, h: &Tensor) -> Tensor {
        h.clone()
    }

    fn features_axis(&self) -> i64 {
        self.conv.channel_axis()
    }
}
