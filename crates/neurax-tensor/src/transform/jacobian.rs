//! Matrices of derivatives.

use super::{grad, linearize, vjp, vmap};
use crate::{Func, Function, Tensor, Tree};

/// All derivatives of a function of one tensor: shape `[result.., argument..]`. Takes forward or reverse mode, whichever needs fewer passes.
///
/// ```
/// use neurax::prelude::*;
/// let j = jacobian(|x: Tensor| &x * &x).run(tensor([1.0, 2.0]))?;
/// assert_eq!(j.to_vec::<f32>()?, [2.0, 0.0, 0.0, 4.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn jacobian<'f, F: Function<Tensor, Out = Tensor> + 'f>(f: F) -> Func<'f, Tensor, Tensor> {
    Func::new(move |x: Tensor| {
        let (y, slope) = linearize(|x: Tensor| f.apply(x), x.clone());
        if y.size() >= x.size() { forward(&y, &x, &slope) } else { reverse(&vjp(|x: Tensor| f.apply(x), x)) }
    })
}

/// All derivatives in forward mode, one pass per element of the argument: in every leaf shape `[result.., argument..]`.
///
/// ```
/// use neurax::prelude::*;
/// let (a, b) = jacobian_forward(|x: Tensor| (x.sum(..), &x * &x)).run(tensor([1.0, 2.0]))?;
/// assert_eq!(a.to_vec::<f32>()?, [1.0, 1.0]);
/// assert_eq!(b.shape(), [2, 2]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn jacobian_forward<'f, O: Tree, F: Function<Tensor, Out = O> + 'f>(f: F) -> Func<'f, Tensor, O> {
    Func::new(move |x: Tensor| {
        let (y, slope) = linearize(|x: Tensor| f.apply(x), x.clone());
        forward(&y, &x, &slope)
    })
}

/// All derivatives in reverse mode, one pass per element of the result: in every leaf shape `[result.., argument..]`.
///
/// ```
/// use neurax::prelude::*;
/// let (a, b) = jacobian_reverse(|(a, b): (Tensor, Tensor)| a * b).run((tensor([1.0, 2.0]), tensor([3.0, 4.0])))?;
/// assert_eq!(a.to_vec::<f32>()?, [3.0, 0.0, 0.0, 4.0]);
/// assert_eq!(b.to_vec::<f32>()?, [1.0, 0.0, 0.0, 2.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn jacobian_reverse<'f, P: Tree, F: Function<P, Out = Tensor> + 'f>(f: F) -> Func<'f, P, P> {
    Func::new(move |p: P| reverse(&vjp(|p: P| f.apply(p), p)))
}

/// Second derivatives of a function whose result is one number: shape `[argument.., argument..]`. Forward mode over reverse mode.
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

fn forward<O: Tree>(y: &O, x: &Tensor, slope: &Func<'static, Tensor, O>) -> O {
    let columns = vmap(slope)(basis(x));
    // Column i is the derivative by element i: the new axis goes to the back and takes the argument's shape.
    y.zip_map(&columns, |y, c| c.move_axis(0, -1).reshape([&y.shape()[..], &x.shape()[..]].concat()))
}

fn reverse<P: Tree>((y, pull): &(Tensor, Func<'static, Tensor, P>)) -> P {
    let rows = vmap(pull)(basis(y));
    rows.map_leaves(|r| r.reshape([&y.shape()[..], &r.shape()[1..]].concat()))
}

/// Every unit direction of the space of `x`, stacked.
fn basis(x: &Tensor) -> Tensor {
    let n = x.size();
    Tensor::eye(n).to(x.dtype()).reshape([&[n], &x.shape()[..]].concat())
}
