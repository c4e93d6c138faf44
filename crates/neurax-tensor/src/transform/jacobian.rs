//! `jacobian` and `hessian`: matrices of derivatives, as batched forward or reverse passes.
//!
//! A Jacobian is `vmap` of a linear function over the standard basis: of the directional derivative
//! (one pass for each column) or of the pullback (one for each row). A Hessian is the forward-mode
//! Jacobian of the gradient.

use super::{
    forward::{linearize_at, vjp_at},
    grad,
    vmap::{Axes, map},
};
use crate::{Func, Function, Tensor, Tree, tensor::CallSite};
use std::panic::Location;

/// Returns the Jacobian of a function of one tensor: shape `[result.., argument..]`. Uses forward
/// or reverse mode: the one that needs fewer passes.
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
        let (y, slope) = linearize_at(|x: Tensor| f.apply(x), x.clone(), at);
        if y.size() >= x.size() {
            forward(&y, &x, &slope, at)
        } else {
            reverse(&vjp_at(|x: Tensor| f.apply(x), x, at), at)
        }
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
    Func::new(move |x: Tensor| {
        let (y, slope) = linearize_at(|x: Tensor| f.apply(x), x.clone(), at);
        forward(&y, &x, &slope, at)
    })
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

/// Returns the columns of the Jacobian of a function with value `y` and derivative `slope` at `x`.
fn forward<O: Tree>(y: &O, x: &Tensor, slope: &Func<'static, Tensor, O>, at: CallSite) -> O {
    let columns = map(&|d| slope.apply(d), basis(x, at), &Axes::default(), at);
    // Column i is the derivative by element i: the batch axis moves to the end and is reshaped to
    // the argument's shape.
    y.zip_map(&columns, |y, c| {
        c.move_axis_at(0, -1, at).reshaped([&y.shape()[..], &x.shape()[..]].concat(), at)
    })
}

/// Returns the rows of the Jacobian of a function with value `y` and pullback `pull`.
fn reverse<P: Tree>((y, pull): &(Tensor, Func<'static, Tensor, P>), at: CallSite) -> P {
    let rows = map(&|d| pull.apply(d), basis(y, at), &Axes::default(), at);
    rows.map_leaves(|r| r.reshaped([&y.shape()[..], &r.shape()[1..]].concat(), at))
}

/// Returns the standard basis of the space of `x`, stacked along a new leading axis.
fn basis(x: &Tensor, at: CallSite) -> Tensor {
    let n = x.size();
    Tensor::eye_at(n, at).convert(x.dtype(), at).reshaped([&[n], &x.shape()[..]].concat(), at)
}
