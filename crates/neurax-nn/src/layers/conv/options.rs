//! The options that all convolution layers have.

use crate::init::{self, Init};
use neurax_tensor::{Error, Tensor, Windows};

/// Adds the option methods to a layer with the fields `options`, `bias`, `kernel` and `bias_init`.
macro_rules! conv_options {
    ($Layer:ident $(with $($option:ident)*)?) => {
        impl $Layer {
            /// Sets the distance between neighbouring windows.
            pub fn strides(self, strides: impl IntoEach) -> $Layer {
                $Layer { options: self.options.strides(strides), ..self }
            }

            /// Sets the padding: see [`Windows::padding`].
            pub fn padding(self, padding: impl Into<Padding>) -> $Layer {
                $Layer { options: self.options.padding(padding), ..self }
            }

            /// Sets the distance between neighbouring elements of a window: 1 is no dilation.
            pub fn dilation(self, dilation: impl IntoEach) -> $Layer {
                $Layer { options: self.options.dilation(dilation), ..self }
            }

            $($(conv_options!(@ $Layer $option);)*)?

            /// Makes the channels the last axis of input and output, as in Keras and JAX.
            pub fn channels_last(self) -> $Layer {
                $Layer { options: self.options.channels_last(), ..self }
            }

            /// Sets whether the layer has a bias.
            pub fn bias(self, bias: bool) -> $Layer {
                $Layer { bias, ..self }
            }

            /// Sets the initializer of the kernel. It scales with the fan of the kernel's layout,
            /// unless [`Init::axes`] states other axes.
            pub fn kernel(self, kernel: Init) -> $Layer {
                $Layer { kernel: Some(kernel), ..self }
            }

            /// Sets the initializer of the bias.
            pub fn bias_init(self, bias_init: Init) -> $Layer {
                $Layer { bias_init, ..self }
            }
        }
    };
    (@ $Layer:ident padding_mode) => {
        /// Pads with elements of the input instead of zeros: see [`Windows::padding_mode`].
        pub fn padding_mode(self, mode: PadMode) -> $Layer {
            $Layer { options: self.options.padding_mode(mode), ..self }
        }
    };
    (@ $Layer:ident input_dilation) => {
        /// Inserts zeros between the elements of the input: see [`Windows::input_dilation`].
        pub fn input_dilation(self, dilation: impl IntoEach) -> $Layer {
            $Layer { options: self.options.input_dilation(dilation), ..self }
        }
    };
}

/// Returns the shape of a kernel with the channel axes `[outer, inner]`, in this order in front of
/// the taps, or in reverse order behind them with channels last.
pub(super) fn kernel_shape(
    x: &Tensor,
    taps: &[usize],
    [outer, inner]: [usize; 2],
    options: &Windows,
) -> Vec<usize> {
    let space = x.rank().saturating_sub(2);
    let taps = match taps {
        [n] => vec![*n; space],
        _ => taps.to_vec(),
    };
    if options.is_channels_last() {
        [&taps[..], &[inner, outer]].concat()
    } else {
        [&[outer, inner], &taps[..]].concat()
    }
}

/// Returns the error of an input without space axes, or of groups that do not divide its channels
/// or the filters.
pub(super) fn input_error(
    op: &str,
    x: &Tensor,
    groups: usize,
    filters: usize,
    options: &Windows,
) -> Option<Error> {
    let ty = x.ty().ok()?;
    if ty.rank() < 3 {
        let axes = match options.is_channels_last() {
            true => "[batch, space .., channels]",
            false => "[batch, channels, space ..]",
        };
        let why = format!("expected an input {axes} with at least one space axis, got {ty}");
        return Some(Error::new(op, why));
    }
    let channels = channels_of(x, options);
    let is_divided = |n: usize| groups > 0 && n.is_multiple_of(groups);
    let why = || {
        format!(
            "expected a number of groups that divides the {channels} channels of {ty} and the \
             {filters} filters, got {groups} groups; change one of them"
        )
    };
    (!is_divided(channels) || !is_divided(filters)).then(|| Error::new(op, why()))
}

/// Returns the initializer of a kernel of [`kernel_shape`], of which axis `outer` has the outputs:
/// that of the user or the default one, with the axes of this layout unless it has its own.
pub(super) fn kernel_init(kernel: Option<&Init>, options: &Windows) -> Init {
    let [inputs, outputs] = if options.is_channels_last() { [-2, -1] } else { [1, 0] };
    kernel.cloned().unwrap_or_else(init::glorot_uniform).of_layout(inputs, outputs)
}

/// Returns the initializer of [`kernel_init`] for a kernel of which axis `outer` has the inputs.
pub(super) fn transposed_kernel_init(kernel: Option<&Init>, options: &Windows) -> Init {
    let [inputs, outputs] = if options.is_channels_last() { [-1, -2] } else { [0, 1] };
    kernel.cloned().unwrap_or_else(init::glorot_uniform).of_layout(inputs, outputs)
}

/// Returns the number of channels of an input, 0 if it has too few axes.
pub(super) fn channels_of(x: &Tensor, options: &Windows) -> usize {
    match x.rank() {
        0 | 1 => 0,
        _ => x.dim(if options.is_channels_last() { -1 } else { 1 }),
    }
}
