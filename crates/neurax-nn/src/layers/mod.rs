//! The layers: one file each, with the pure function of tensors, the declared layer, and its tests.
//!
//! To add one: a file here, a line in this list, and, if it deserves a short form, a method on [`crate::Node`] in its own file.

mod activation;
mod concat;
mod dense;
mod dropout;
mod flatten;
mod layer_norm;
mod reshape;

pub use activation::Activation;
pub use concat::concat;
pub use dense::{Dense, dense};
pub use dropout::{Dropout, dropout};
pub use flatten::{Flatten, flatten};
pub use layer_norm::{LayerNorm, layer_norm};
pub use reshape::{Reshape, reshape};
