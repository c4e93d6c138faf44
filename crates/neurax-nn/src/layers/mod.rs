//! The layers, one file each: the pure function of tensors, the layer, and its tests.
//!
//! To add a layer, add a file here with its short form as a method of [`crate::Node`], and add the
//! file to this list; `docs/adding-a-layer.md` shows each step. All names here are names of the
//! crate, too. The layers follow three rules:
//!
//! - **Axes.** Axis 0 holds the examples. [`Dense`], [`LayerNorm`] and [`RmsNorm`] work on the last
//!   axis. Convolutions, pooling and batch, group and instance normalization have channels at axis
//!   1, as in ONNX, PyTorch and the function `conv`; each has an option `.channels_last()`.
//! - **Names.** A layer is called by its constant [`NAME`](crate::Layer::NAME), in `snake_case`;
//!   [`Node::named`](crate::Node::named) renames a node. Parameters are called as in Flax and
//!   Keras: `kernel` and `bias`, and for normalization `scale` and `bias`.
//! - **Precision.** Statistics (means, variances, norms) are computed in f32 if the input is
//!   narrower; the result has the dtype of the input. `precision.rs` has the two functions for it.

mod activation;
mod concat;
mod dense;
mod dropout;
mod flatten;
mod layer_norm;
mod precision;
mod reshape;
mod rms_norm;

pub use activation::Activation;
pub use concat::concat;
pub use dense::{Dense, dense};
pub use dropout::{Dropout, dropout};
pub use flatten::{Flatten, flatten};
pub use layer_norm::{LayerNorm, layer_norm};
pub use reshape::{Reshape, reshape};
pub use rms_norm::{RmsNorm, rms_norm};
