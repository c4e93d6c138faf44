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

            /// Sets the initializer of the kernel. If it scales with the fan and the layout is not
            /// the default one, name its axes, e.g. for [`Conv`](crate::Conv) with channels last:
            /// `init::he_normal().axes(-2, -1)`.
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
/// the taps, or in reverse order behind them with channels last, and its default initializer, for
/// which `outer` are the outputs.
pub(super) fn kernel_shape(
    x: &Tensor,
    taps: &[usize],
    [outer, inner]: [usize; 2],
    options: &Windows,
) -> (Vec<usize>, Init) {
    let space = x.rank().saturating_sub(2);
    let taps = match taps {
        [n] => vec![*n; space],
        _ => taps.to_vec(),
    };
    if options.is_channels_last() {
        ([&taps[..], &[inner, outer]].concat(), init::glorot_uniform().axes(-2, -1))
    } else {
        ([&[outer, inner], &taps[..]].concat(), init::glorot_uniform().axes(1, 0))
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

/// Returns the number of channels of an input, 0 if it has too few axes.
pub(super) fn channels_of(x: &Tensor, options: &Windows) -> usize {
    match x.rank() {
        0 | 1 => 0,
        _ => x.dim(if options.is_channels_last() { -1 } else { 1 }),
    }
}
