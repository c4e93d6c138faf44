//! Finding mistakes in compiled functions: what made a NaN, which index is out of bounds, what a
//! value is.
//!
//! The problem: a compiled function is a few fused loops. Its results may hold NaN, or elements
//! that a wrong index has read, and nothing says which of its operations is to blame. The functions
//! here make programs check: [`nans`] looks at the results of each call, and runs a call that made
//! NaN or infinity a second time, equation by equation, to find the first one; [`checks`] runs each
//! call in that way and looks at the indices. Both name the user's line and the layer. They follow
//! `jax_debug_nans` and `checkify.index_checks` of JAX.
//!
//! They hold for all calls on all threads until they are switched off: eager operations, `jit`,
//! [`Compiled`](crate::Compiled), and all that is made of them, such as the steps of a training.
//!
//! # Costs
//!
//! Switched off, a call reads one atomic variable. With `nans`, it keeps its arguments, so that
//! none is updated in place, and its results are copied to the host and read. With `checks`, it
//! runs one compiled operation after the other, without fusion, and loops over them in the host's
//! code.
//!
//! # Example
//!
//! ```standalone_crate
//! use neurax::prelude::*;
//! debug::nans(true);
//! let loss = jit(|x: Tensor| (x - 3.0).log().mean(..));
//! let e = loss.run(tensor([5.0, 4.0, 2.0])).unwrap_err().to_string();
//! let why = "debug::nans: `log` made NaN (1 of 3 elements of f32[3]) of f32[3] from -1 to 2";
//! assert!(e.starts_with(why), "{e}");
//! # Ok::<(), Error>(())
//! ```

mod cause;
mod value_range;
mod watch;

#[doc(inline)]
pub use crate::__debug_print as print;
pub(crate) use watch::{ValueWatch, WatchedArgs, nan_cause, watch};

/// Makes calls check their results, or ends that. A call that made NaN or infinity which reached a
/// result is an error, which names the equation that made it of finite operands: its operation, the
/// user's line, the layer, the ranges of its operands, and in a loop the iteration.
///
/// No errors are: values that reach no result, since `where_` may discard them; infinity that came
/// with an argument or a constant, such as a mask of `-inf`; NaN that came with the operand of an
/// eager operation. NaN in an argument or a captured tensor of a jitted function is an error that
/// says so.
///
/// A call with such a result runs twice: `io_call` and `debug_print` are called once, `host_call`
/// whose result is used twice.
///
/// ```standalone_crate
/// use neurax::prelude::*;
/// debug::nans(true);
/// let probabilities = jit(|x: Tensor| x.exp() / x.exp().sum(..));
/// let e = probabilities.run(tensor([0.0, 1000.0])).unwrap_err().to_string();
/// let why = "`exponential` made an infinity (1 of 2 elements of f32[2]) of f32[2] from 0 to 1000";
/// assert!(e.contains(why), "{e}");
/// assert!(e.contains("it became NaN in `divide`"), "{e}");
///
/// debug::nans(false);
/// assert!(probabilities.run(tensor([0.0, 1000.0]))?.is_nan().any(..).item()? == 1.0);
/// # Ok::<(), Error>(())
/// ```
pub fn nans(on: bool) {
    watch::set(watch::NANS, on);
}

/// Makes calls check the indices of gathers, scatters and slices at run time, or ends that. An
/// index out of bounds, which is clamped or dropped otherwise, is an error that names the index,
/// the axis, the user's line and the layer.
///
/// Programs are slow while this is on: see the [module](self).
///
/// ```standalone_crate
/// use neurax::prelude::*;
/// let embed = jit(|(table, ids): (Tensor, Tensor)| table.take(ids, 0).sum(..));
/// let (table, ids) = (Tensor::ones([10, 4]), tensor([3, 12]));
/// embed.run((table.clone(), ids.clone()))?;            // index 12 is clamped or dropped
///
/// debug::checks(true);
/// let e = embed.run((table, ids)).unwrap_err().to_string();
/// assert!(e.contains("gather: index 12 is out of bounds for axis 0 of size 10"), "{e}");
/// # Ok::<(), Error>(())
/// ```
pub fn checks(on: bool) {
    watch::set(watch::CHECKS, on);
}
