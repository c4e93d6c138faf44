//! Transforms: functions in, functions out.
//!
//! Each traces the user's function to a graph, asks `neurax_ir::transform` for the other graph, and
//! applies that to the arguments and captures: as a compiled program, or, if one of them is traced,
//! as equations of that trace. So they nest in any order and depth.

mod checkpoint;
mod collective;
mod control;
mod custom;
mod forward;
mod grad;
mod jacobian;
mod shapes;
mod vmap;

pub use checkpoint::{checkpoint, stop_gradient};
pub use collective::{axis_index, pmax, pmean, pmin, psum};
pub use control::{cond, fori, scan, scan_reverse, switch, while_loop};
pub use custom::{custom_jvp, custom_vjp};
pub use forward::{jvp, linearize, vjp};
pub use grad::{grad, value_and_grad, value_and_grad_at};
pub use jacobian::{hessian, jacobian, jacobian_forward, jacobian_reverse};
pub use shapes::eval_shape;
pub use vmap::{Axes, Mapped, vmap, vmap_with};
