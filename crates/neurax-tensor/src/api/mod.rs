//! The NumPy-like functions, one file per family.
//!
//! # How to add one
//!
//! A function is a method of [`crate::Tensor`] (and, where it takes several tensors, a free
//! function). It is made of the road in `emit.rs`:
//!
//! * one op: `emit(op, [operands], at)`, with operands of exactly the types that the op wants;
//! * one op with NumPy's promotion and broadcasting: `emit_implicit(op, [operands], at)`, or
//!   `self.binary(other, Binary::.., at)`;
//! * several ops: call other methods. Closures do not inherit the caller's place, so pass `at` to
//!   the `pub(crate)` forms inside closures;
//! * out of nothing: `recipe(at, |b| ..)` with the graph builder; of small arguments such as a key:
//!   `apply_lazily(graph, args, at)`.
//!
//! Rules: `#[track_caller]` and `let at = Location::caller();` first, so that errors name the
//! user's line; inside closures only what takes `at`. Take `&self`; other operands are `impl
//! Operand`, made tensors by `other.operand(self)`; axes are `impl IntoAxes` or `impl AxisInt`,
//! shapes `impl IntoShape`. Never look at values. An error operand needs no care: `emit` passes it
//! on, and `type_ref()` says `Err`. Wrong arguments give `Tensor::fail(op, why, at)`; helpers that
//! answer `Result<Tensor, Tensor>` and `common::tensor_or_error` let them be written with `?`.
//!
//! A plain unary function is a row of `math.rs`'s tables, a formula of other functions a row of
//! `formulas!`; a row brings its example. `BLESS=1 cargo test -p neurax-tensor --test functions`
//! then adds it to `docs/functions.md`.

pub(crate) mod activation;
pub(crate) mod basic_index;
pub(crate) mod common;
pub(crate) mod compare;
pub(crate) mod create;
pub(crate) mod cumulative;
pub(crate) mod einsum;
pub(crate) mod gather;
pub(crate) mod index;
pub(crate) mod index_entry;
pub(crate) mod join;
pub(crate) mod linalg;
pub(crate) mod math;
pub(crate) mod matrices;
pub(crate) mod numeric;
pub(crate) mod products;
pub(crate) mod random;
pub(crate) mod rearrange;
pub(crate) mod reduce;
pub(crate) mod reshape;
pub(crate) mod sort;
pub(crate) mod statistics;
pub(crate) mod windows;

pub use compare::where_;
pub use create::{IntoTensor, tensor};
pub use einsum::einsum;
pub use index::{Places, step};
pub use index_entry::{Ellipsis, Index, IndexEntry, IntoIndex, NewAxis};
pub use join::{concat, hstack, stack, vstack};
pub use linalg::matmul;
pub use matrices::{Indexing, meshgrid};
pub use random::{Key, key};
pub use rearrange::PadMode;
pub use sort::Side;
