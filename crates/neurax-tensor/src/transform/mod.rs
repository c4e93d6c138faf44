//! Transforms: functions from functions to functions, such as `grad` and `vmap`.
//!
//! Each works in three steps:
//!
//! 1. Trace the user's function on the types of the argument (`traced_fn`).
//! 2. Transform the graph (`neurax_ir::transform`).
//! 3. Apply the new graph to the arguments and captures (`dispatch::apply_graph`): it is
//!    compiled and run, or, if an operand is traced, its equations are recorded in that trace.
//!
//! The last step makes transforms nest in any order and depth: an inner transform leaves plain
//! equations in the trace of the outer one.
//!
//! Control flow (`scan`, `cond`, ..) and custom derivatives trace closures in the same way, but
//! keep the graphs as attributes of one op.

mod checkpoint;
mod collective;
mod composed;
mod control;
mod custom;
mod effects;
mod exchange;
mod forward;
mod grad;
mod implicit;
mod jacobian;
mod multiply_adds;
mod printing;
mod root;
mod shapes;
mod vmap;

pub use checkpoint::{checkpoint, optimization_barrier, stop_gradient};
pub use collective::{axis_index, pmax, pmean, pmin, psum};
pub use composed::{grad_holomorphic, hvp, linear_transpose, while_loop_bounded};
pub use control::{cond, fori, scan, scan_reverse, switch, while_loop};
pub use custom::{custom_jvp, custom_tangent, custom_vjp};
pub use effects::{debug_print, host_call, io_call};
pub(crate) use exchange::named_axes;
pub use exchange::{all_gather, all_to_all, axis_size, pbroadcast, ppermute, psum_scatter};
pub use forward::{jvp, linearize, vjp};
pub use grad::{grad, value_and_grad, value_and_grad_at};
pub use implicit::{custom_linear_solve, custom_linear_solve_symmetric};
pub use jacobian::{hessian, jacobian, jacobian_forward, jacobian_reverse};
pub use multiply_adds::multiply_adds;
#[doc(hidden)]
pub use printing::{is_text_for, print_tensors};
pub use root::custom_root;
pub use shapes::eval_shape;
pub use vmap::{Axes, Mapped, vmap, vmap_with};
