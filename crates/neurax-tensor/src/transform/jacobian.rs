//! `jacobian` and `hessian`: matrices of derivatives, as batched forward or reverse passes.
//!
//! A Jacobian is `vmap` of a linear function over the standard basis: of the directional derivative
//! (one pass for each column) or of the pullback (one for each row). A Hessian is the forward-mode
//! Jacobian of the gradient. The values of the function do not depend on the direction, so that the
//! batched graph computes them once.

use super::{
    forward::{jvp_at, vjp_at},
    grad,
    shapes::eval_shape_at,
    vmap::{Axes, map},
};
use crate::{Func, Function, Tensor, Tree, tensor::CallSite, tree::all_errors};
use std::panic::Location;

/// Returns the Jacobian of a function of one tensor: shape `[result.., argument..]`. Uses forward
/// or reverse mode: the one that needs fewer passes, or the only one that the function has.
///
/// ```
/// use neurax::prelude::*;
/// let j = jacobian(|x: Tensor| &x * &x).run(tensor([1.0, 2.0]))?;
/// assert_eq!(j.to_vec::<f32>()?, [2.0, 0.0, 0.0, 4.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn jacobian<'f, F: Function<Tensor, Out = Tensor> + 'f>(f: F) -> Func<'f, Tensor, Tensor> {
    let at = Location::caller();
    Func::new(move |x: Tensor| {
        let f = |x: Tensor| f.apply(x);
        let y = eval_shape_at(f, &x, at);
        if y.error().is_some() {
            return y;
        }
        let modes: [&dyn Fn() -> Tensor; 2] =
            [&|| forward(&f, &x, at), &|| reverse(&vjp_at(f, x.clone(), at), at)];
        let [first, second] = if y.size() >= x.size() { [0, 1] } else { [1, 0] };
        let jacobian = modes[first]();
        if jacobian.error().is_none() {
            return jacobian;
        }
        // A loop may have no reverse mode, a custom derivative no forward mode.
        let other = modes[second]();
        if other.error().is_none() { other } else { jacobian }
    })
}

/// Returns the Jacobian by forward mode, one pass for each element of the argument: every leaf has
/// shape `[result.., argument..]`.
///
/// ```
/// use neurax::prelude::*;
/// let (a, b) = jacobian_forward(|x: Tensor| (x.sum(..), &x * &x)).run(tensor([1.0, 2.0]))?;
/// assert_eq!(a.to_vec::<f32>()?, [1.0, 1.0]);
/// assert_eq!(b.shape(), [2, 2]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn jacobian_forward<'f, O: Tree, F: Function<Tensor, Out = O> + 'f>(
    f: F,
) -> Func<'f, Tensor, O> {
    let at = Location::caller();
    Func::new(move |x: Tensor| forward(&|x| f.apply(x), &x, at))
}

/// Returns the Jacobian by reverse mode, one pass for each element of the result: every leaf has
/// shape `[result.., argument..]`.
///
/// ```
/// use neurax::prelude::*;
/// let j = jacobian_reverse(|(a, b): (Tensor, Tensor)| a * b);
/// let (a, b) = j.run((tensor([1.0, 2.0]), tensor([3.0, 4.0])))?;
/// assert_eq!(a.to_vec::<f32>()?, [3.0, 0.0, 0.0, 4.0]);
/// assert_eq!(b.to_vec::<f32>()?, [1.0, 0.0, 0.0, 2.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn jacobian_reverse<'f, P: Tree, F: Function<P, Out = Tensor> + 'f>(f: F) -> Func<'f, P, P> {
    let at = Location::caller();
    Func::new(move |p: P| reverse(&vjp_at(|p: P| f.apply(p), p, at), at))
}

/// Returns the second derivatives of a function whose result is one number: shape `[argument..,
/// argument..]`. Forward mode over reverse mode.
///
/// ```
/// use neurax::prelude::*;
/// let h = hessian(|x: Tensor| (&x * &x * &x).sum(..)).run(tensor([1.0, 2.0]))?;
/// assert_eq!(h.to_vec::<f32>()?, [6.0, 0.0, 0.0, 12.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn hessian<'f, F: Function<Tensor, Out = Tensor> + 'f>(f: F) -> Func<'f, Tensor, Tensor> {
    jacobian_forward(grad(f))
}

/// Returns the Jacobian of `f` at `x` from its columns, the directional derivatives.
fn forward<O: Tree>(f: &dyn Fn(Tensor) -> O, x: &Tensor, at: CallSite) -> O {
    let column = |d: Tensor| jvp_at(f, x.clone(), d, at).1;
    let columns = map(&column, basis(x, at), &Axes::default(), at);
    // Column i is the derivative by element i: the batch axis moves to the end and is reshaped to
    // the argument's shape.
    columns.map_leaves(|c| {
        let shape = [c.shape().get(1..).unwrap_or_default(), &x.shape()].concat();
        c.move_axis_at(0, -1, at).reshaped(shape, at)
    })
}

/// Returns the rows of the Jacobian of a function with value `y` and pullback `pull`.
fn reverse<P: Tree>((y, pull): &(Tensor, Func<'static, Tensor, P>), at: CallSite) -> P {
    if let Some(e) = y.error() {
        return all_errors(&pull.apply(y.clone()), e, at);
    }
    let rows = map(&|d| pull.apply(d), basis(y, at), &Axes::default(), at);
    rows.map_leaves(|r| r.reshaped([&y.shape()[..], &r.shape()[1..]].concat(), at))
}

/// Returns the standard basis of the space of `x`, stacked along a new leading axis.
fn basis(x: &Tensor, at: CallSite) -> Tensor {
    let n = x.size();
    Tensor::eye_at(n, n, 0, at).convert(x.dtype(), at).reshaped([&[n], &x.shape()[..]].concat(), at)
}
