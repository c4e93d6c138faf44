//! Transforms: functions from graphs to graphs, one walker per file; the rules are with the ops.
//!
//! Reverse mode is composed, as in JAX, instead of having separate rules (Radul et al., "You Only
//! Linearize Once", <https://arxiv.org/abs/2204.10923>): [`jvp`] emits equations that are free of
//! tangents or linear in them, [`linearize`] splits the two, [`vjp`] transposes the linear half,
//! and [`grad`] runs one after the other. [`vmap`] batches, [`eval`] is the reference semantics.
//!
//! Each walker visits the equations in order and asks the op of each for its rule
//! ([`crate::Primitive`]); an op that holds graphs calls the walkers for those, so the modules `op`
//! and `transform` refer to each other.

mod cotangents;
mod eval;
mod grad;
mod jvp;
mod memo;
mod memory;
mod split;
mod transpose;
mod vmap;

pub use eval::{EqnEvaluator, Eval, eval};
pub use grad::{Vjp, grad, vjp};
pub use jvp::{Jvp, jvp, jvp_into};
pub use memory::{eval_bytes, peak_bytes};
pub use split::{Linearized, linearize};
pub use transpose::{transpose, transpose_into};
pub use vmap::{vmap, vmap_all, vmap_into};

pub(crate) use eval::has_no_iterations;
pub(crate) use jvp::{fixed_point, jvp_instantiated};
pub(crate) use memo::Memo;
pub(crate) use split::linearize_instantiated;
pub(crate) use transpose::{transpose_graph, transpose_walk};
pub(crate) use vmap::batch_graph;
