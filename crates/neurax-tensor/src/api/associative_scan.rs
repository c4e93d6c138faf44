//! Scans of associative functions in a logarithmic number of steps.
//!
//! The problem: `y[i] = f(f(f(x[0], x[1]), ..), x[i])` for all `i`, where `f` is associative. A
//! loop takes `n` steps in sequence. The method is the recursion of Blelloch, 1990, Prefix sums and
//! their applications: pairs of neighbours are combined, the scan of the pairs gives the results at
//! odd indices, and one more combination those at even indices.
//!
//! ```text
//! x        a    b    c      d      e
//! pairs         ab          cd
//! scan          ab          abcd           the results at odd indices
//! even     a         abc           abcde   f(scan, x at even indices from 2 on)
//! ```
//!
//! # Invariants
//!
//! - `f` is called about `2 log2(n)` times with whole slices along the axis, never with one element
//!   each, so that the graph grows with the logarithm of the size only.

use super::{
    basic_index::{AxisRange, BasicIndex},
    common::located,
};
use crate::{
    AxisInt, Error, Tensor, Tree,
    args::axis_of,
    concat, stack,
    tensor::CallSite,
    tree::{rebuild, to_vec},
};
use std::{ops::Bound, panic::Location};

/// Computes the results of an associative function `f` of all entries up to each entry along
/// `axis`: cumulative sums for an addition.
///
/// `f` takes two trees of tensors, slices along the axis, and combines them element by element
/// along it. It is called a logarithmic number of times, unlike that of [`crate::scan`]. Follows
/// `jax.lax.associative_scan`.
///
/// # Errors
///
/// The results carry an error if the axis is out of range or its sizes differ, or if a result of
/// `f` has another type than its arguments.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let y = associative_scan(|a: Tensor, b: Tensor| a * b, tensor([1, 2, 3, 4]), 0);
/// assert_eq!(y.to_vec::<i32>()?, [1, 2, 6, 24]);
/// // x[i] = a[i] x[i - 1] + b[i]
/// let (a, b) = (tensor([0.0, 0.5, 0.5]), tensor([1.0, 1.0, 1.0]));
/// let both = associative_scan(
///     |(a, b): (Tensor, Tensor), (c, d): (Tensor, Tensor)| (&a * &c, b * c + d), (a, b), 0,
/// );
/// assert_eq!(both.1.to_vec::<f32>()?, [1.0, 1.5, 1.75]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn associative_scan<T: Tree>(f: impl Fn(T, T) -> T, xs: T, axis: impl AxisInt) -> T {
    scan_along(&f, xs, axis.to_i64(), false, Location::caller())
}

/// Computes the results of an associative function of all entries from each entry on along `axis`,
/// as [`associative_scan`] does of the entries up to it. The later entry is the first argument.
///
/// Follows `jax.lax.associative_scan` with `reverse`.
///
/// # Errors
///
/// As [`associative_scan`].
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let y = associative_scan_reverse(|a: Tensor, b: Tensor| a + b, tensor([1, 2, 3]), 0);
/// assert_eq!(y.to_vec::<i32>()?, [6, 5, 3]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn associative_scan_reverse<T: Tree>(f: impl Fn(T, T) -> T, xs: T, axis: impl AxisInt) -> T {
    scan_along(&f, xs, axis.to_i64(), true, Location::caller())
}

/// Checks the sizes and scans the leaves of `xs`.
#[track_caller]
fn scan_along<T: Tree>(
    f: &dyn Fn(T, T) -> T,
    xs: T,
    axis: i64,
    is_reverse: bool,
    at: CallSite,
) -> T {
    let leaves = to_vec(&xs);
    let axes = match axes_of_leaves(&leaves, axis) {
        Ok((0, _)) => return xs,
        Ok((_, axes)) => axes,
        Err(e) => {
            let failed = Tensor::error_at(e, at);
            return rebuild(&xs, leaves.iter().map(|_| failed.clone()).collect());
        }
    };
    let flipped = |leaves: Vec<Tensor>| {
        let mut out = vec![];
        for (x, &axis) in leaves.iter().zip(&axes) {
            out.push(if is_reverse { x.flip(axis) } else { x.clone() });
        }
        out
    };
    let combine = |a: &[Tensor], b: &[Tensor]| -> Vec<Tensor> {
        let of = |leaves: &[Tensor]| rebuild(&xs, leaves.iter().cloned().collect());
        let ys = to_vec(&f(of(a), of(b)));
        if ys.len() != b.len() {
            let why = format!("expected a result of {} leaves, got {}", b.len(), ys.len());
            return vec![Tensor::fail("associative_scan", why, at); b.len()];
        }
        ys.into_iter().zip(b).map(|(y, x)| checked(y, x, at)).collect()
    };
    let operands: Vec<&Tensor> = leaves.iter().collect();
    let scanned =
        located(at, &operands, || flipped(scanned(&combine, flipped(leaves.clone()), &axes, at)));
    rebuild(&xs, scanned.into_iter().collect())
}

/// A function of the leaves of two trees.
type CombineLeaves<'a> = &'a dyn Fn(&[Tensor], &[Tensor]) -> Vec<Tensor>;

/// Returns the size along the axis, which all leaves share, and the axis of each leaf.
fn axes_of_leaves(leaves: &[Tensor], axis: i64) -> Result<(usize, Vec<usize>), Error> {
    let (mut size, mut axes) = (None, vec![]);
    for x in leaves {
        let ty = x.ty()?;
        let own = axis_of(axis, ty.rank())
            .map_err(|why| Error::new("associative_scan", format!("{why}; a leaf is {ty}")))?;
        let n = ty.shape[own];
        if *size.get_or_insert(n) != n {
            let why = format!(
                "expected leaves of one size along axis {axis}, got {} and {}",
                leaves[0].dtype_and_shape(),
                ty
            );
            return Err(Error::new("associative_scan", why));
        }
        axes.push(own);
    }
    Ok((size.unwrap_or(0), axes))
}

/// Returns `y`, or an error if its type is not that of `x`.
fn checked(y: Tensor, x: &Tensor, at: CallSite) -> Tensor {
    match (y.type_ref(), x.type_ref()) {
        (Ok(a), Ok(b)) if a != b => {
            let why = format!("expected a result of the type of the arguments, {b}, got {a}");
            Tensor::fail("associative_scan", why, at)
        }
        _ => y,
    }
}

/// Scans leaves whose axes have one size.
#[track_caller]
fn scanned(combine: CombineLeaves, xs: Vec<Tensor>, axes: &[usize], at: CallSite) -> Vec<Tensor> {
    let n = xs[0].shape()[axes[0]];
    if n < 2 {
        return xs;
    }
    let part = |xs: &[Tensor], from: i64, to: Option<i64>, step: i64| {
        let pick = |(x, &axis): (&Tensor, &usize)| strided(x, axis, from, to, step, at);
        xs.iter().zip(axes).map(pick).collect::<Vec<_>>()
    };
    let pairs = combine(&part(&xs, 0, Some(-1), 2), &part(&xs, 1, None, 2));
    let odd = scanned(combine, pairs, axes, at);
    if odd.iter().any(|x| x.error().is_some()) {
        return odd;
    }
    let before = if n.is_multiple_of(2) { part(&odd, 0, Some(-1), 1) } else { odd.clone() };
    let mut rest = part(&xs, 2, None, 2);
    if n > 2 {
        rest = combine(&before, &rest);
    }
    let first = part(&xs, 0, Some(1), 1);
    let mut out = vec![];
    for (i, &axis) in axes.iter().enumerate() {
        let even = concat([&first[i], &rest[i]], axis);
        out.push(interleaved(&even, &odd[i], axis));
    }
    out
}

/// Returns the entries of `even` and `odd` in turn along `axis`; `even` has one more at most.
#[track_caller]
fn interleaved(even: &Tensor, odd: &Tensor, axis: usize) -> Tensor {
    if even.error().is_some() {
        return even.clone();
    }
    let n = odd.shape()[axis];
    let mut shape = odd.shape().to_vec();
    shape[axis] = 2 * n;
    let both = stack([&even.slice(axis, ..n as i64), odd], axis + 1).reshape(shape);
    concat([both, even.slice(axis, n as i64..)], axis)
}

/// Returns the range `from:to:step` of `axis`.
fn strided(x: &Tensor, axis: usize, from: i64, to: Option<i64>, step: i64, at: CallSite) -> Tensor {
    if x.error().is_some() {
        return x.clone();
    }
    let to = to.map_or(Bound::Unbounded, Bound::Excluded);
    let mut basic = BasicIndex::all(x.shape().0);
    basic.narrow(axis, AxisRange::new(x.shape()[axis], Bound::Included(from), to, step));
    basic.read(x, at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[test]
    fn sums_of_any_size_are_cumulative() {
        for n in [0, 1, 2, 3, 4, 5, 7, 8, 13] {
            let x = Tensor::arange(2 * n).reshape([2, n]) + 1;
            let y = associative_scan(|a: Tensor, b: Tensor| a + b, x.clone(), -1);
            assert_eq!(y.to_vec::<i32>().unwrap(), x.cumsum(1).to_vec::<i32>().unwrap(), "{n}");
            let y = associative_scan_reverse(|a: Tensor, b: Tensor| a + b, x.clone(), 1);
            let want = x.cumsum_with(1, CumulativeOptions::new().reverse());
            assert_eq!(y.to_vec::<i32>().unwrap(), want.to_vec::<i32>().unwrap(), "{n}");
        }
    }

    #[test]
    fn the_order_of_arguments_is_kept() {
        // Products of matrices do not commute.
        let x = key(0).normal([6, 2, 2]);
        let y = associative_scan(|a: Tensor, b: Tensor| a.matmul(b), x.clone(), 0);
        let mut product = x.get(0);
        for i in 1..6 {
            product = product.matmul(x.get(i));
            assert!(y.get(i).allclose(&product, 1e-5, 1e-5).item().unwrap() == 1.0, "{i}");
        }
    }

    #[test]
    fn misuse_is_an_error() {
        let say = |x: &Tensor| x.error().unwrap().to_string();
        let add = |a: Tensor, b: Tensor| a + b;
        assert!(say(&associative_scan(add, tensor([1]), 1)).contains("axis 1 is out of range"));
        let wrong = associative_scan(|a: Tensor, b: Tensor| (a + b).sum(..), tensor([1, 2]), 0);
        assert!(say(&wrong).contains("the type of the arguments, i32[1], got i32[]"));
        let pair = (tensor([1, 2]), tensor([1, 2, 3]));
        let sizes = associative_scan(|a: (Tensor, Tensor), _| a, pair, 0);
        assert!(say(&sizes.1).contains("one size along axis 0, got i32[2] and i32[3]"));
    }
}
