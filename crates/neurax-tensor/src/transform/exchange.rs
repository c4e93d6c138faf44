//! Collectives that exchange values between the members of a named axis of `vmap_with`: all are
//! made of `all_gather`, whose result is computed once for all members, and of a slice of it.

use super::{collective::axis_index, psum};
use crate::{AxisInt, Error, Tensor, dispatch::dispatch, tensor::CallSite};
use neurax_ir::op::AllGather;
use std::{cell::RefCell, panic::Location};

/// Returns the operands of all members of the named `axis`, stacked along a new axis 0, for every
/// member. Follows `jax.lax.all_gather`.
///
/// # Errors
///
/// The result carries an error if no `vmap_with` on this thread maps an axis of that name.
///
/// ```
/// use neurax::prelude::*;
/// let axes = Axes { name: Some("i"), ..Axes::default() };
/// let f = vmap_with(|x: Tensor| all_gather(&x, "i"), axes);
/// assert_eq!(f.run(tensor([1, 2]))?.to_vec::<i32>()?, [1, 2, 1, 2]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn all_gather(x: &Tensor, axis: &str) -> Tensor {
    let at = Location::caller();
    match size_of("all_gather", axis, at) {
        Ok(size) => dispatch(AllGather { axis: axis.into(), size }, [x.clone()], at),
        Err(e) => e,
    }
}

/// Returns the number of members of the named `axis`. Follows `jax.lax.axis_size`.
///
/// # Errors
///
/// If no `vmap_with` on this thread maps an axis of that name.
///
/// ```
/// use neurax::prelude::*;
/// let axes = Axes { name: Some("i"), ..Axes::default() };
/// let f = vmap_with(|x: Tensor| x * axis_size("i").unwrap_or(0) as i32, axes);
/// assert_eq!(f.run(tensor([1, 2, 3]))?.to_vec::<i32>()?, [3, 6, 9]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn axis_size(axis: &str) -> Result<usize, Error> {
    members(axis).ok_or_else(|| Error::new("axis_size", unbound(axis)))
}

/// Exchanges parts between the members of the named `axis`: `split` is divided into one part for
/// each member, and a member gets its part of every member, concatenated along `to`. Follows
/// `jax.lax.all_to_all` with `tiled=True`.
///
/// # Errors
///
/// The result carries an error if the size of `split` is not a multiple of the number of members.
///
/// ```
/// use neurax::prelude::*;
/// let axes = Axes { name: Some("i"), ..Axes::default() };
/// let f = vmap_with(|x: Tensor| all_to_all(&x, "i", 0, 0), axes);
/// assert_eq!(f.run(tensor([[1, 2], [3, 4]]))?.to_vec::<i32>()?, [1, 3, 2, 4]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn all_to_all(x: &Tensor, axis: &str, split: impl AxisInt, to: impl AxisInt) -> Tensor {
    let at = Location::caller();
    let done = || {
        let (split, to) = (split.to_i64(), to.to_i64());
        let (split, n, part) = parts("all_to_all", x, axis, split, at)?;
        let to = x.axis_at(to, "all_to_all", at)?;
        let all = all_gather(x, axis);
        let own = own_part(&all, axis, split + 1, part);
        // The members' parts, in front, are put in front of `to`.
        let own = own.move_axis(0, to as i64);
        let mut shape = x.shape().to_vec();
        shape[split] = part;
        shape[to] *= n;
        Ok(own.reshape(shape))
    };
    done().unwrap_or_else(|e| e)
}

/// Returns the sum over all members of the named `axis`, of which each member gets its part along
/// the tensor's axis `split`. Follows `jax.lax.psum_scatter` with `tiled=True`.
///
/// # Errors
///
/// The result carries an error if the size of `split` is not a multiple of the number of members.
///
/// ```
/// use neurax::prelude::*;
/// let axes = Axes { name: Some("i"), ..Axes::default() };
/// let f = vmap_with(|x: Tensor| psum_scatter(&x, "i", 0), axes);
/// assert_eq!(f.run(tensor([[1, 2], [3, 4]]))?.to_vec::<i32>()?, [4, 6]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn psum_scatter(x: &Tensor, axis: &str, split: impl AxisInt) -> Tensor {
    let at = Location::caller();
    match parts("psum_scatter", x, axis, split.to_i64(), at) {
        Ok((split, _, part)) => own_part(&psum(x, axis), axis, split, part),
        Err(e) => e,
    }
}

/// Sends the operand of member `from` to member `to` of the named `axis`, for each pair
/// `(from, to)`; a member to which nothing is sent gets zeros. Follows `jax.lax.ppermute`; its
/// `pshuffle` is the permutation with a pair for every member.
///
/// # Errors
///
/// The result carries an error if a number is not that of a member, or a member gets two operands.
///
/// ```
/// use neurax::prelude::*;
/// let axes = Axes { name: Some("i"), ..Axes::default() };
/// let f = vmap_with(|x: Tensor| ppermute(&x, "i", &[(0, 1), (1, 2)]), axes);
/// assert_eq!(f.run(tensor([5, 6, 7]))?.to_vec::<i32>()?, [0, 5, 6]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn ppermute(x: &Tensor, axis: &str, pairs: &[(usize, usize)]) -> Tensor {
    let at = Location::caller();
    let n = match size_of("ppermute", axis, at) {
        Ok(n) => n,
        Err(e) => return e,
    };
    let senders = match senders(axis, n, pairs) {
        Ok(senders) => senders,
        Err(why) => return Tensor::fail("ppermute", why, at),
    };
    let all = all_gather(x, axis);
    let zeros = x.zeros_like().expand_dims(0);
    let all = crate::concat([all, zeros], 0);
    let sender = Tensor::from_vec::<i32>(senders, [n]).take(axis_index(axis), 0);
    all.take(sender, 0)
}

/// Returns the operand of member `source` of the named `axis`, for every member. Follows
/// `jax.lax.pbroadcast`.
///
/// # Errors
///
/// The result carries an error if `source` is not the number of a member.
///
/// ```
/// use neurax::prelude::*;
/// let axes = Axes { name: Some("i"), ..Axes::default() };
/// let f = vmap_with(|x: Tensor| pbroadcast(&x, "i", 1), axes);
/// assert_eq!(f.run(tensor([5, 6, 7]))?.to_vec::<i32>()?, [6, 6, 6]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn pbroadcast(x: &Tensor, axis: &str, source: usize) -> Tensor {
    let at = Location::caller();
    match size_of("pbroadcast", axis, at) {
        Ok(n) if source < n => all_gather(x, axis).get(source as i64),
        Ok(n) => {
            let why = format!("expected a member of `{axis}`, below {n}, got {source}");
            Tensor::fail("pbroadcast", why, at)
        }
        Err(e) => e,
    }
}

thread_local! {
    /// The named axes of the `vmap_with` calls whose functions run on this thread, the innermost
    /// one last.
    static NAMED_AXES: RefCell<Vec<(&'static str, usize)>> = const { RefCell::new(Vec::new()) };
}

/// Keeps a named axis known until it is dropped, also by a panic.
pub(super) struct NamedAxis;

impl NamedAxis {
    /// Makes the axis known on this thread.
    pub fn bind(name: &'static str, size: usize) -> NamedAxis {
        NAMED_AXES.with(|all| all.borrow_mut().push((name, size)));
        NamedAxis
    }
}

impl Drop for NamedAxis {
    fn drop(&mut self) {
        NAMED_AXES.with(|all| all.borrow_mut().pop());
    }
}

/// Returns the names and sizes of the axes that are bound on this thread, outermost first.
pub(crate) fn named_axes() -> Vec<(&'static str, usize)> {
    NAMED_AXES.with(|all| all.borrow().clone())
}

/// Returns the number of members of a named axis; `None` if it is not bound on this thread.
fn members(axis: &str) -> Option<usize> {
    NAMED_AXES.with(|all| {
        all.borrow().iter().rev().find(|(name, _)| *name == axis).map(|(_, size)| *size)
    })
}

/// Returns why there is no axis of that name.
fn unbound(axis: &str) -> String {
    format!("axis `{axis}` is not bound: expected a call inside vmap_with of that name")
}

/// Returns the number of members of a named axis, or a tensor that carries the error.
fn size_of(op: &str, axis: &str, at: CallSite) -> Result<usize, Tensor> {
    members(axis).ok_or_else(|| Tensor::fail(op, unbound(axis), at))
}

/// Returns the sender of each of `n` members; `n`, the zeros behind all members, if there is none.
fn senders(axis: &str, n: usize, pairs: &[(usize, usize)]) -> Result<Vec<i32>, String> {
    let mut senders = vec![];
    let none = i32::try_from(n).ok().filter(|_| senders.try_reserve_exact(n).is_ok());
    let none = none.ok_or_else(|| format!("not enough memory for the {n} members of `{axis}`"))?;
    senders.resize(n, none);
    for &(from, to) in pairs {
        if from >= n || to >= n || senders[to] != none {
            return Err(format!(
                "expected pairs of members of `{axis}`, below {n}, each the second of at most one \
                 pair, got ({from}, {to}) in {pairs:?}"
            ));
        }
        senders[to] = from as i32;
    }
    Ok(senders)
}

/// Returns axis `split` of `x`, the number of members, and the size of a member's part.
fn parts(
    op: &str,
    x: &Tensor,
    axis: &str,
    split: i64,
    at: CallSite,
) -> Result<(usize, usize, usize), Tensor> {
    let n = size_of(op, axis, at)?;
    let split = x.axis_at(split, op, at)?;
    let size = x.shape()[split];
    match size.checked_rem(n) {
        Some(0) => Ok((split, n, size / n)),
        _ => {
            let why = format!(
                "expected a multiple of the {n} members of `{axis}` along axis {split}, got {}",
                x.dtype_and_shape()
            );
            Err(Tensor::fail(op, why, at))
        }
    }
}

/// Returns the member's own part, of size `part`, of axis `split`.
#[track_caller]
fn own_part(all: &Tensor, axis: &str, split: usize, part: usize) -> Tensor {
    let is_split = Tensor::arange(all.rank()).equal(split as i32);
    let start = is_split.select(axis_index(axis) * part as i32, 0);
    let mut sizes = all.shape().to_vec();
    sizes[split] = part;
    all.dynamic_slice(start, sizes)
}
