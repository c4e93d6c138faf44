//! Collectives over an axis that `vmap_with` named.

use crate::{
    DType, Tensor, Tree,
    dispatch::{dispatch, lazy_constant},
    tensor::CallSite,
};
use neurax_ir::op::{AllReduce, AxisIndex, Binary, ReduceKind};
use std::panic::Location;

/// Dispatches the reduction of `x` over all members of `axis`.
fn all_reduce(kind: ReduceKind, x: &Tensor, axis: &str, at: CallSite) -> Tensor {
    dispatch(AllReduce { kind, axis: axis.into() }, [x.clone()], at)
}

/// Returns the sum over all members of the named `axis`, for every member.
///
/// ```
/// use neurax::prelude::*;
/// let axes = Axes { name: Some("batch"), ..Axes::default() };
/// let share = vmap_with(|x: Tensor| &x / psum(&x, "batch"), axes);
/// assert_eq!(share.run(tensor([1.0, 3.0]))?.to_vec::<f32>()?, [0.25, 0.75]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn psum<T: Tree>(x: &T, axis: &str) -> T {
    let at = Location::caller();
    x.map_leaves(|t| all_reduce(ReduceKind::Sum, t, axis, at))
}

/// Returns the maximum over all members of the named `axis`, for every member.
///
/// ```
/// use neurax::prelude::*;
/// let axes = Axes { name: Some("i"), ..Axes::default() };
/// let f = vmap_with(|x: Tensor| pmax(&x, "i"), axes);
/// assert_eq!(f.run(tensor([1.0, 3.0]))?.to_vec::<f32>()?, [3.0, 3.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn pmax<T: Tree>(x: &T, axis: &str) -> T {
    let at = Location::caller();
    x.map_leaves(|t| all_reduce(ReduceKind::Max, t, axis, at))
}

/// Returns the minimum over all members of the named `axis`, for every member.
///
/// ```
/// use neurax::prelude::*;
/// let axes = Axes { name: Some("i"), ..Axes::default() };
/// let f = vmap_with(|x: Tensor| pmin(&x, "i"), axes);
/// assert_eq!(f.run(tensor([1.0, 3.0]))?.to_vec::<f32>()?, [1.0, 1.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn pmin<T: Tree>(x: &T, axis: &str) -> T {
    let at = Location::caller();
    x.map_leaves(|t| all_reduce(ReduceKind::Min, t, axis, at))
}

/// Returns the mean over all members of the named `axis`, for every member. Integers and bool are
/// converted to f32.
///
/// ```
/// use neurax::prelude::*;
/// let axes = Axes { name: Some("i"), ..Axes::default() };
/// let f = vmap_with(|x: Tensor| pmean(&x, "i"), axes);
/// assert_eq!(f.run(tensor([1.0, 3.0]))?.to_vec::<f32>()?, [2.0, 2.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn pmean<T: Tree>(x: &T, axis: &str) -> T {
    let at = Location::caller();
    x.map_leaves(|t| {
        let sum = all_reduce(ReduceKind::Sum, &t.clone().float(at), axis, at);
        let count = all_reduce(ReduceKind::Sum, &Tensor::scalar(DType::F32, 1.0), axis, at);
        let count = count.convert(sum.dtype(), at);
        sum.binary(count, Binary::Div, at)
    })
}

/// Returns the member's index along the named `axis`, an i32 scalar.
///
/// ```
/// use neurax::prelude::*;
/// let f = vmap_with(|x: Tensor| x + axis_index("i"), Axes { name: Some("i"), ..Axes::default() });
/// assert_eq!(f.run(tensor([10, 10, 10]))?.to_vec::<i32>()?, [10, 11, 12]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn axis_index(axis: &str) -> Tensor {
    lazy_constant(Location::caller(), |b| b.emit(AxisIndex { axis: axis.into() }, &[]))
}
