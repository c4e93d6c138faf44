//! The options and parts that the convolutional cells share.

use super::CellWeights;
use super::options::CellOptions;
use crate::Cx;
use crate::conv;
use crate::init::Init;
use crate::layers::conv::if_fitting;
use crate::precision::at_least_f32;
use neurax_tensor::{Error, IntoEach, Padding, Result, Tensor, Type, Windows};
use serde::{Deserialize, Serialize};

/// The options of a cell with convolutions instead of products.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ConvOptions {
    /// Its `units` are the filters.
    pub cell: CellOptions,
    pub taps: Vec<usize>,
    /// The windows of the input's convolution.
    pub windows: Windows,
}

impl ConvOptions {
    pub fn new(filters: usize, taps: impl IntoEach) -> ConvOptions {
        ConvOptions { cell: CellOptions::new(filters), taps: taps.each(), windows: Windows::new() }
    }

    /// Checks the options and the input `x` of the layer `name`.
    pub fn check(&self, name: &str, x: &Type) -> Result<()> {
        self.cell.check_numbers(name)?;
        let fail = |why: String| Err(Error::new(name, why));
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

    /// Requests the parameters of a cell with `gates` gates, and returns the convolution of all
    /// inputs `xs`, `[time, batch, ..]`.
    pub fn prepare(
        &self,
        cx: &mut Cx,
        xs: Tensor,
        gates: usize,
        bias_init: Init,
    ) -> (CellWeights, Tensor) {
        let outputs = gates.saturating_mul(self.cell.units);
        // The batch and time are in front of the axes of a step.
        let channels = xs.dim(if self.windows.is_channels_last() { -1 } else { 2 });
        let mut kernel = |name: &str, channels: usize, init: &Init| {
            let (shape, init) = self.kernel_of(&xs, [channels, outputs], init.clone());
            at_least_f32(&cx.param(name, shape, init))
        };
        let input_kernel = kernel("kernel", channels, &self.cell.kernel);
        let recurrent_kernel =
            kernel("recurrent_kernel", self.cell.units, &self.cell.recurrent_kernel);
        let bias = self.cell.bias.then(|| at_least_f32(&cx.param("bias", outputs, bias_init)));
        let xs = self.cell.dropped(cx, xs);
        let projected = self.project(cx, xs, &input_kernel, bias.as_ref());
        let recurrent_dropout = self.cell.recurrent_factors(cx, &self.state_shape(&projected));
        (CellWeights { recurrent_kernel, recurrent_bias: None, recurrent_dropout }, projected)
    }

    /// Returns the shape of a kernel with the given numbers of channels of its inputs and outputs,
    /// for inputs `xs`, and the initializer with these axes.
    fn kernel_of(
        &self,
        xs: &Tensor,
        [inputs, outputs]: [usize; 2],
        init: Init,
    ) -> (Vec<usize>, Init) {
        let taps = match self.taps[..] {
            [n] => vec![n; xs.rank().saturating_sub(3)],
            _ => self.taps.clone(),
        };
        match self.windows.is_channels_last() {
            true => ([&taps[..], &[inputs, outputs]].concat(), init.of_layout(-2, -1)),
            false => ([&[outputs, inputs], &taps[..]].concat(), init.of_layout(1, 0)),
        }
    }

    /// Computes the convolution of the inputs of all steps, `[time, batch, ..]`.
    fn project(&self, cx: &Cx, xs: Tensor, kernel: &Tensor, bias: Option<&Tensor>) -> Tensor {
        let shape: Vec<usize> = xs.shape().iter().copied().collect();
        let [time, batch, rest @ ..] = &shape[..] else { return xs };
        let merged = xs.reshape([&[time * batch], rest].concat());
        let y = conv(&merged, kernel, bias, self.windows.clone());
        let y = if_fitting(cx, "conv", y, &merged, &self.taps, &self.windows);
        let of_step: Vec<usize> = y.shape().iter().skip(1).copied().collect();
        y.reshape([&[*time, *batch], &of_step[..]].concat())
    }

    /// Computes the convolution of a state, which keeps its size.
    #[track_caller]
    pub fn of_state(&self, h: &Tensor, kernel: &Tensor) -> Tensor {
        let windows = Windows::new().padding(Padding::Same);
        h.conv(
            kernel,
            match self.windows.is_channels_last() {
                true => windows.channels_last(),
                false => windows,
            },
        )
    }

    /// Returns the axis of the channels in the input and the state of a step.
    pub fn channel_axis(&self) -> i64 {
        if self.windows.is_channels_last() { -1 } else { 1 }
    }

    /// Returns the axis of the outputs of a kernel.
    pub fn output_axis(&self) -> i64 {
        if self.windows.is_channels_last() { -1 } else { 0 }
    }

    /// Returns zeros in the shape of a state for the inputs of the steps, `[time, batch, ..]`.
    pub fn zeros(&self, xs: &Tensor) -> Tensor {
        Tensor::zeros_of(xs.dtype(), self.state_shape(xs))
    }

    fn state_shape(&self, xs: &Tensor) -> Vec<usize> {
        let mut shape: Vec<usize> = xs.shape().iter().skip(1).copied().collect();
        let channels =
            if self.windows.is_channels_last() { shape.len().checked_sub(1) } else { Some(1) };
        if let Some(n) = channels.and_then(|axis| shape.get_mut(axis)) {
            *n = self.cell.units;
        }
        shape
    }
}

/// Defines the options that all convolutional cells have, and further ones: as methods of the cell,
/// and of the layer that runs it.
macro_rules! conv_options {
    ($Cell:ident { $($further:tt)* }) => {
        conv_options! { @windows $Cell
            /// Sets the distance between neighbouring windows of the input's convolution.
            strides: impl IntoEach;
            /// Sets the padding of the input's convolution: see
            /// [`Windows::padding`](neurax_tensor::Windows::padding).
            padding: impl Into<Padding>;
            /// Sets the distance between neighbouring elements of a window of the input's
            /// convolution.
            dilation: impl IntoEach;
        }

        impl $Cell {
            /// Makes the channels the last axis, as in Keras: inputs are `[batch, time, space ..,
            /// channels]`.
            pub fn channels_last(mut self) -> $Cell {
                self.conv.windows = self.conv.windows.channels_last();
                self
            }
        }

        impl Rnn<$Cell> {
            /// Creates a layer with `filters` channels in its output and windows of `taps` elements
            /// along each space axis; one number counts for all axes.
            pub fn new(filters: usize, taps: impl IntoEach) -> Rnn<$Cell> {
                Rnn::of($Cell::new(filters, taps))
            }

            /// Makes the channels the last axis, as in Keras: inputs are `[batch, time, space ..,
            /// channels]`.
            pub fn channels_last(self) -> Rnn<$Cell> {
                Rnn { cell: self.cell.channels_last(), ..self }
            }
        }

        common_options! { $Cell conv.cell {
            /// Sets the activation of the gates, [`Activation::sigmoid`] by default.
            recurrent_activation: Activation = conv.cell.recurrent_activation;
            $($further)*
        } }
    };
    (@windows $Cell:ident $($(#[$doc:meta])* $name:ident: $T:ty;)*) => {
        impl $Cell {$(
            $(#[$doc])*
            pub fn $name(mut self, $name: $T) -> $Cell {
                self.conv.windows = self.conv.windows.$name($name);
                self
            }
        )*}

        impl Rnn<$Cell> {$(
            $(#[$doc])*
            pub fn $name(self, $name: $T) -> Rnn<$Cell> {
                Rnn { cell: self.cell.$name($name), ..self }
            }
        )*}
    };
}
pub(super) use conv_options;
