//! The layers: one file each, with the pure function of tensors, the declared layer, and its tests.
//!
//! To add one: a file here, with the short form as a method on [`crate::Node`] if it deserves one,
//! and its lines in this list. Everything named here is a name of the crate, too; of two things
//! called `concat`, that is the one of nodes.

mod activation;
mod concat;
mod dense;
mod dropout;
mod flatten;
mod layer_norm;
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
