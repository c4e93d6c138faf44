//! The convolutional long short-term memory: Shi et al., 2015 (<https://arxiv.org/abs/1506.04214>).

use super::lstm::lstm_state;
use super::options::{CellOptions, cell_options, common_options, gate_bias};
use super::{Cell, CellWeights, Rnn};
use crate::conv;
use crate::init::Init;
use crate::precision::at_least_f32;
use crate::{Activation, Cx};
use neurax_tensor::{Error, IntoEach, Padding, Result, Tensor, Type, Windows};
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
    /// Its `units` are the filters.
    options: CellOptions,
    unit_forget_bias: bool,
    taps: Vec<usize>,
    windows: Windows,
}

impl ConvLstmCell {
    /// Creates a cell with `filters` channels in its state and windows of `taps` elements along
    /// each space axis; one number counts for all axes. The options have the defaults of Keras:
    /// strides of 1, no padding, no dilation.
    pub fn new(filters: usize, taps: impl IntoEach) -> ConvLstmCell {
        ConvLstmCell {
            options: CellOptions::new(filters),
            unit_forget_bias: true,
            taps: taps.each(),
            windows: Windows::new(),
        }
    }

    /// Sets the distance between neighbouring windows of the input's convolution.
    pub fn strides(self, strides: impl IntoEach) -> ConvLstmCell {
        ConvLstmCell { windows: self.windows.strides(strides), ..self }
    }

    /// Sets the padding of the input's convolution: see [`Windows::padding`].
    pub fn padding(self, padding: impl Into<Padding>) -> ConvLstmCell {
        ConvLstmCell { windows: self.windows.padding(padding), ..self }
    }

    /// Sets the distance between neighbouring elements of a window of the input's convolution.
    pub fn dilation(self, dilation: impl IntoEach) -> ConvLstmCell {
        ConvLstmCell { windows: self.windows.dilation(dilation), ..self }
    }

    /// Makes the channels the last axis, as in Keras: inputs are `[batch, time, space ..,
    /// channels]`.
    pub fn channels_last(self) -> ConvLstmCell {
        ConvLstmCell { windows: self.windows.channels_last(), ..self }
    }
}

impl Rnn<ConvLstmCell> {
    /// Creates a layer with `filters` channels in its output and windows of `taps` elements along
    /// each space axis: see [`ConvLstmCell::new`].
    pub fn new(filters: usize, taps: impl IntoEach) -> ConvLstm {
        Rnn::of(ConvLstmCell::new(filters, taps))
    }

    /// Sets the distance between neighbouring windows of the input's convolution.
    pub fn strides(self, strides: impl IntoEach) -> ConvLstm {
        Rnn { cell: self.cell.strides(strides), ..self }
    }

    /// Sets the padding of the input's convolution: see [`Windows::padding`].
    pub fn padding(self, padding: impl Into<Padding>) -> ConvLstm {
        Rnn { cell: self.cell.padding(padding), ..self }
    }

    /// Sets the distance between neighbouring elements of a window of the input's convolution.
    pub fn dilation(self, dilation: impl IntoEach) -> ConvLstm {
        Rnn { cell: self.cell.dilation(dilation), ..self }
    }

    /// Makes the channels the last axis, as in Keras: inputs are `[batch, time, space ..,
    /// channels]`.
    pub fn channels_last(self) -> ConvLstm {
        Rnn { cell: self.cell.channels_last(), ..self }
    }
}

common_options! { ConvLstmCell {
    /// Sets the activation of the gates, [`Activation::sigmoid`] by default.
    recurrent_activation: Activation = options.recurrent_activation;
    /// Sets whether the bias of the forget gate starts at one, as by default.
    unit_forget_bias: bool = unit_forget_bias;
} }

impl ConvLstmCell {
    /// Requests a kernel for inputs with `channels` channels and `space` space axes.
    fn kernel_param(
        &self,
        cx: &mut Cx,
        name: &str,
        channels: usize,
        space: usize,
        init: Init,
    ) -> Tensor {
        let taps = match self.taps[..] {
            [n] => vec![n; space],
            _ => self.taps.clone(),
        };
        let outputs = self.options.units.saturating_mul(4);
        let (shape, init) = match self.windows.is_channels_last() {
            true => ([&taps[..], &[channels, outputs]].concat(), init.axes(-2, -1)),
            false => ([&[outputs, channels], &taps[..]].concat(), init.axes(1, 0)),
        };
        at_least_f32(&cx.param(name, shape, init))
    }

    /// Returns the axis of the channels of a step's input and state.
    fn channel_axis(&self) -> i64 {
        if self.windows.is_channels_last() { -1 } else { 1 }
    }

    /// Computes the convolution of the inputs of all steps, `[time, batch, ..]`.
    fn project(&self, xs: Tensor, kernel: &Tensor, bias: Option<&Tensor>) -> Tensor {
        let shape: Vec<usize> = xs.shape().iter().copied().collect();
        let [time, batch, rest @ ..] = &shape[..] else { return xs };
        let y =
            conv(&xs.reshape([&[time * batch], rest].concat()), kernel, bias, self.windows.clone());
        let of_step: Vec<usize> = y.shape().iter().skip(1).copied().collect();
        y.reshape([&[*time, *batch], &of_step[..]].concat())
    }
}

impl Cell for ConvLstmCell {
    const NAME: &'static str = "conv_lstm";
    type Weights = CellWeights;
    type State = (Tensor, Tensor);

    fn check(&self, x: &Type) -> Result<()> {
        self.options.check_numbers(Self::NAME)?;
        let fail = |why: String| Err(Error::new(Self::NAME, why));
        let axes = match self.windows.is_channels_last() {
            true => "[batch, time, space .., channels]",
            false => "[batch, time, channels, space ..]",
        };
        if !(4..=6).contains(&x.rank()) {
            return fail(format!("expected an input {axes} with 1 to 3 space axes, got {x}"));
        }
        let space = x.rank() - 3;
        if self.taps.contains(&0) || ![1, space].contains(&self.taps.len()) {
            let taps = &self.taps;
            return fail(format!(
                "expected a number of taps from 1 on for each of the {space} space axes of {x}, \
                 got {taps:?}"
            ));
        }
        Ok(())
    }

    fn prepare(&self, cx: &mut Cx, xs: Tensor) -> (CellWeights, Tensor) {
        let options = &self.options;
        // The batch and time are in front of the axes of a step.
        let channels = xs.dim(if self.windows.is_channels_last() { -1 } else { 2 });
        let space = xs.rank().saturating_sub(3);
        let kernel = self.kernel_param(cx, "kernel", channels, space, options.kernel.clone());
        let recurrent_kernel = self.kernel_param(
            cx,
            "recurrent_kernel",
            options.units,
            space,
            options.recurrent_kernel.clone(),
        );
        let bias_init = gate_bias(&options.bias_init, self.unit_forget_bias);
        let bias = options
            .bias
            .then(|| at_least_f32(&cx.param("bias", options.units.saturating_mul(4), bias_init)));
        let xs = options.dropped(cx, xs);
        let projected = self.project(xs, &kernel, bias.as_ref());
        let state = self.state_shape(&projected);
        let recurrent_dropout = options.recurrent_factors(cx, &state);
        (CellWeights { recurrent_kernel, recurrent_bias: None, recurrent_dropout }, projected)
    }

    fn initial_state(&self, _: &CellWeights, xs: &Tensor) -> (Tensor, Tensor) {
        let zeros = Tensor::zeros_of(xs.dtype(), self.state_shape(xs));
        (zeros.clone(), zeros)
    }

    fn step(&self, w: &CellWeights, x: &Tensor, (h, c): (Tensor, Tensor)) -> (Tensor, Tensor) {
        let windows = Windows::new().padding(Padding::Same);
        let windows = match self.windows.is_channels_last() {
            true => windows.channels_last(),
            false => windows,
        };
        let z = x + w.dropped(&h).conv(&w.recurrent_kernel, windows);
        lstm_state(&z, &c, self.channel_axis(), &self.options)
    }

    fn output(&self, (h, _): &(Tensor, Tensor)) -> Tensor {
        h.clone()
    }

    fn features_axis(&self) -> i64 {
        self.channel_axis()
    }
}

impl ConvLstmCell {
    /// Returns the shape of a state for the inputs of the steps, `[time, batch, ..]`.
    fn state_shape(&self, xs: &Tensor) -> Vec<usize> {
        let mut shape: Vec<usize> = xs.shape().iter().skip(1).copied().collect();
        let channels =
            if self.windows.is_channels_last() { shape.len().checked_sub(1) } else { Some(1) };
        if let Some(n) = channels.and_then(|axis| shape.get_mut(axis)) {
            *n = self.options.units;
        }
        shape
    }
}
