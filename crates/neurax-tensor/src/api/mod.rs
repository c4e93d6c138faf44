//! The NumPy-like functions, one file per family.
//!
//! # How to add a function
//!
//! A function is a method of [`crate::Tensor`]; if it takes several tensors of equal rank, such as
//! `concat`, it is a free function. It is made of the dispatch functions in `dispatch.rs`:
//!
//! - One op: `dispatch(op, [operands], at)`, with operands of exactly the types that the op
//!   expects.
//! - One op with NumPy's promotion and broadcasting: `dispatch_broadcast(op, [operands], at)`, or
//!   `self.binary(other, Binary::.., at)`.
//! - Several ops: call other methods. Closures do not inherit the location of the caller, so inside
//!   closures pass `at` to the `pub(crate)` forms (`convert`, `reshaped`, `permute_at`, ..).
//! - No operands: `lazy_constant(at, |b| ..)` with the graph builder. Small arguments such as a
//!   key: `apply_graph_lazily(graph, args, at)`.
//!
//! # Rules
//!
//! - Start with `#[track_caller]` and `let at = Location::caller();`, so that errors name the line
//!   of the user.
//! - Take `&self`. Other operands are `impl Operand`, converted by `other.operand(self)`; axes are
//!   `impl IntoAxes` or `impl AxisInt`, shapes `impl IntoShape`.
//! - Never read values: they do not exist while a function is traced.
//! - Do not handle operands that carry an error: `dispatch` passes it on, and `type_ref()` returns
//!   `Err`.
//! - Report wrong arguments with `Tensor::fail(op, why, at)`. Helpers that return
//!   `Result<Tensor, Tensor>`, whose `Err` is a tensor that carries the error, and
//!   `common::tensor_or_error` allow for `?`.
//!
//! An elementwise function of one op is a row of the tables in `math.rs`, a formula of other
//! functions a row of `float_formulas!`, or of `formulas!` if the dtype is kept; a row brings its
//! example.
//! `BLESS=1 cargo test -p neurax-tensor --test functions` then adds the function to
//! `docs/functions.md`.

pub(crate) mod activation;
pub(crate) mod associative_scan;
pub(crate) mod attention;
pub(crate) mod basic_index;
pub(crate) mod bits;
pub(crate) mod block_matrices;
pub(crate) mod blocks;
pub(crate) mod choosing;
pub(crate) mod common;
pub(crate) mod compare;
pub(crate) mod conv_local;
pub(crate) mod coordinates;
pub(crate) mod count_distributions;
pub(crate) mod create;
pub(crate) mod cumulative;
pub(crate) mod differences;
pub(crate) mod distributions;
pub(crate) mod eigenvalues;
pub(crate) mod einsum;
pub(crate) mod exponentials;
pub(crate) mod factored;
pub(crate) mod factorizations;
pub(crate) mod fft;
pub(crate) mod gamma_distributions;
pub(crate) mod gather;
pub(crate) mod histogram;
pub(crate) mod hypergeometric;
pub(crate) mod incomplete;
pub(crate) mod index;
pub(crate) mod index_entry;
pub(crate) mod index_grids;
pub(crate) mod index_mode;
pub(crate) mod integers;
pub(crate) mod interpolation;
pub(crate) mod into_tensor;
pub(crate) mod join;
pub(crate) mod least_squares;
pub(crate) mod linalg;
pub(crate) mod linear_systems;
pub(crate) mod mapping;
pub(crate) mod math;
pub(crate) mod matrices;
pub(crate) mod matrix_distributions;
pub(crate) mod matrix_functions;
pub(crate) mod nan_statistics;
pub(crate) mod nonzero;
pub(crate) mod normalization;
pub(crate) mod number_parts;
pub(crate) mod numeric;
pub(crate) mod orthogonal_functions;
pub(crate) mod pad_modes;
pub(crate) mod padding;
pub(crate) mod partitions;
pub(crate) mod places;
pub(crate) mod polynomial_fits;
pub(crate) mod polynomials;
pub(crate) mod pool_indices;
pub(crate) mod products;
pub(crate) mod pseudo_inverse;
pub(crate) mod put;
pub(crate) mod ragged;
pub(crate) mod random;
pub(crate) mod rearrange;
pub(crate) mod reduce;
pub(crate) mod reduce_window;
pub(crate) mod reduce_with;
pub(crate) mod resampling;
pub(crate) mod reshape;
pub(crate) mod roots;
pub(crate) mod sampling;
pub(crate) mod segments;
pub(crate) mod sequences;
pub(crate) mod shaping;
pub(crate) mod signals;
pub(crate) mod sort;
pub(crate) mod sort_orders;
pub(crate) mod spaced;
pub(crate) mod sparse_dot;
pub(crate) mod special;
pub(crate) mod special_complex;
pub(crate) mod special_integrals;
pub(crate) mod special_series;
pub(crate) mod statistics;
pub(crate) mod tolerances;
pub(crate) mod triangular;
pub(crate) mod tridiagonal;
pub(crate) mod unique;
pub(crate) mod window_scatter;
pub(crate) mod windows;

pub use associative_scan::{associative_scan, associative_scan_reverse};
pub use attention::dot_product_attention;
pub use block_matrices::{block_diag, toeplitz};
pub use blocks::{IntoBlock, block, broadcast_arrays, broadcast_shapes, column_stack, dstack};
pub use choosing::select_first;
pub use compare::where_;
pub use create::tensor;
pub use einsum::einsum;
pub use index::{Places, step};
pub use index_entry::{Ellipsis, Index, IndexEntry, IntoIndex, NewAxis};
pub use index_grids::{fromfunction, ix_, ravel_multi_index};
pub use index_mode::IndexMode;
pub use into_tensor::IntoTensor;
pub use join::{concat, hstack, stack, vstack};
pub use linalg::matmul;
pub use mapping::vectorize;
pub use matrices::{Indexing, meshgrid};
pub use matrix_functions::{MatrixNorm, multi_dot};
pub use nonzero::Trim;
pub use random::{Key, key};
pub use rearrange::PadMode;
pub use shaping::meshgrid_sparse;
pub use signals::ConvolveMode;
pub use sort::Side;
pub use sort_orders::lexsort;
pub use triangular::Triangle;
pub use tridiagonal::tridiagonal_solve;
pub use unique::Unique;
