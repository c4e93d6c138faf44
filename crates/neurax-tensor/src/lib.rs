//! The user interface: [`Tensor`], [`Tree`], [`jit`], [`grad`], [`vmap`], and the NumPy-like
//! functions.
//!
//! This crate drives the stages of compilation: `jit` traces a user's function to a graph, applies
//! transforms and passes, and lets a backend compile it. An operation on plain tensors is a cached
//! graph of one op that takes the same path. Users depend on the facade crate `neurax`.
//!
//! Start with [`Tensor`] and its functions ([`api`]), then the transforms ([`transform`]). [`tree`]
//! defines which types may be arguments, [`device`] where programs run.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod api;
mod args;
mod attention_options;
mod compiled;
mod cumulative_options;
mod curve_options;
pub mod debug;
pub mod device;
mod dispatch;
mod dtype_info;
mod fft_options;
mod frozen;
mod function;
pub mod io;
mod jit;
mod lazy;
mod lazy_function;
mod linear_options;
mod logits;
mod macros;
mod map_options;
mod multivariate_normal_options;
mod named;
mod number_options;
mod operators;
mod polyfit_options;
mod print;
mod properties;
mod random_bits;
mod random_elements;
mod random_parameters;
mod reduce_options;
mod reentrancy;
mod resize_options;
mod sampling_options;
mod scalar;
mod shape;
mod size_options;
mod slices;
mod sort_options;
mod spaced_options;
mod statistics_options;
mod tensor;
pub mod testing;
mod trace;
mod traced_fn;
pub mod transform;
pub mod tree;
mod tuning;
mod windows;

pub use api::*;
pub use args::{AxisInt, IntoAxes, Keep, Operand, keep};
pub use attention_options::AttentionOptions;
pub use compiled::{Compiled, Example};
pub use cumulative_options::CumulativeOptions;
pub use curve_options::{DiffOptions, InterpOptions};
pub use device::{Device, backends, default_device, set_default_device, with_default_device};
pub use dtype_info::{FloatInfo, IntInfo, can_cast, finfo, iinfo, promote_types, result_type};
pub use fft_options::{FftNorm, FftOptions};
#[doc(hidden)]
pub use frozen::SharedConstants;
pub use function::{Failed, Func, Function, Loss};
#[doc(hidden)]
pub use jit::compile_uncached;
pub use jit::{Jit, jit};
#[doc(hidden)]
pub use lazy_function::lazy_function;
pub use linear_options::{RankOptions, TriangularOptions};
#[doc(hidden)]
pub use logits::{sigmoid_logits, softmax_logits};
pub use macros::{dtype_consts, dtypes};
pub use map_options::{Boundary, MapOptions};
pub use multivariate_normal_options::MultivariateNormalOptions;
pub use named::{NamedOperand, NamedTensor};
pub use neurax_ir::{
    self as ir, Complex, DType, Element, Error, Literal, Place, Result, Shape, Type, bf16, f16,
};
pub use neurax_macros::Tree;
pub use neurax_runtime::{
    self as runtime, Backend, Profile, ProfileRow, ProfiledStep, ProgramSummary, Stages,
};
pub use number_options::{CloseOptions, NanToNumOptions};
pub use polyfit_options::PolyfitOptions;
pub use reduce_options::{ArgOptions, ReduceOptions};
pub use resize_options::{Interpolation, ResizeOptions};
pub use sampling_options::{CategoricalOptions, ChoiceOptions};
pub use scalar::Scalar;
pub use shape::{Dim, Dims, IntoShape, TypeSpec};
pub use size_options::SizeOptions;
pub use sort_options::SortOptions;
pub use spaced_options::SpacedOptions;
pub use statistics_options::{Bins, CovOptions, HistogramOptions, QuantileMethod, QuantileOptions};
pub use tensor::Tensor;
#[doc(hidden)]
pub use trace::{Recorder, outside_of_bodies};
pub use transform::*;
pub use tree::{Static, Tree};
pub use windows::{IntoEach, Padding, Windows};

/// The names that `use neurax::prelude::*` imports: every free function of `docs/functions.md`, the
/// transforms, and the types and macros that programs name when they call these.
pub mod prelude {
    pub use crate::dtype_consts::*;
    pub use crate::{
        ArgOptions, AttentionOptions, Axes, Bins, Boundary, CategoricalOptions, ChoiceOptions,
        CloseOptions, Compiled, ConvolveMode, CovOptions, CumulativeOptions, DType, Device,
        DiffOptions, Dim, Ellipsis, Error, Failed, FftNorm, FftOptions, Func, Function,
        HistogramOptions, IndexMode, Indexing, InterpOptions, IntoAxes, IntoShape, Jit, Key, Loss,
        MapOptions, Mapped, MatrixNorm, MultivariateNormalOptions, NamedTensor, NanToNumOptions,
        NewAxis, Operand, PadMode, Padding, PolyfitOptions, QuantileMethod, QuantileOptions,
        RankOptions, ReduceOptions, ResizeOptions, Result, Side, SizeOptions, SortOptions,
        SpacedOptions, Static, Tensor, Tree, Triangle, TriangularOptions, Trim, Type, TypeSpec,
        Windows, all_gather, all_to_all, associative_scan, associative_scan_reverse, axis_index,
        axis_size, block, block_diag, broadcast_arrays, broadcast_shapes, checkpoint, column_stack,
        concat, cond, custom_jvp, custom_linear_solve, custom_linear_solve_symmetric, custom_root,
        custom_tangent, custom_vjp, debug_print, dims, dot_product_attention, dstack, einsum,
        eval_shape, fori, fromfunction, grad, grad_holomorphic, hessian, host_call, hstack, hvp,
        io_call, ix_, jacobian, jacobian_forward, jacobian_reverse, jit, jvp, keep, key, lexsort,
        linear_transpose, linearize, matmul, meshgrid, meshgrid_sparse, multi_dot, multiply_adds,
        optimization_barrier, pbroadcast, pmax, pmean, pmin, ppermute, psum, psum_scatter,
        ravel_multi_index, scan, scan_reverse, select_first, stack, step, stop_gradient, switch,
        tensor, toeplitz, tridiagonal_solve, types, value_and_grad, value_and_grad_at, vectorize,
        vjp, vmap, vmap_with, vstack, where_, while_loop, while_loop_bounded,
    };
}
