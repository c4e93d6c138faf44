//! Transforms: `Graph -> Graph`, one walker per file. Drivers are here; the rules are with the ops.
//!
//! Reverse mode is forward mode, split, transposed: [`jvp`] emits equations that are free of
//! tangents or linear in them, [`linearize`] parts the two, [`vjp`] transposes the linear half,
//! [`grad`] puts both together again.

mod eval;
mod grad;
mod jvp;
mod split;
mod transpose;
mod vmap;

pub use eval::{Eval, eval};
pub use grad::{Vjp, grad, vjp};
pub use jvp::{Jvp, jvp, jvp_into};
pub use split::{Linearized, linearize};
pub use transpose::{transpose, transpose_into};
pub use vmap::{vmap, vmap_all, vmap_into};

pub(crate) use jvp::{fixed_point, jvp_instantiated};
pub(crate) use split::linearize_instantiated;
pub(crate) use transpose::{transpose_graph, transpose_walk};
pub(crate) use vmap::batch_graph;
