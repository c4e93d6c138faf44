//! Axes by number, functions over several axes, and the layouts of channels.

use neurax_tensor::{Error, Result, Tensor};

/// Returns the axis of `x` that `axis` names, counted from the end if it is negative.
pub(super) fn position(x: &Tensor, axis: i64) -> Option<usize> {
    let from_end = if axis < 0 { x.rank() as i64 } else { 0 };
    usize::try_from(axis.checked_add(from_end)?).ok().filter(|&i| i < x.rank())
}

/// Returns the type of `x` for a message, or the error that it carries.
pub(in crate::layers) fn describe(x: &Tensor) -> String {
    x.ty().map_or_else(|e| e.to_string(), |t| t.to_string())
}

/// Applies `f`, a function with channels at axis 1 of its input and of its result, to `x`, whose
/// channels are the last axis if `channels_last` is set; so are those of the result.
#[track_caller]
pub(in crate::layers) fn channels_first(
    x: &Tensor,
    channels_last: bool,
    f: impl FnOnce(&Tensor) -> Tensor,
) -> Tensor {
    match channels_last && x.rank() >= 2 {
        true => f(&x.move_axis(-1, 1)).move_axis(1, -1),
        false => f(x),
    }
}

/// Returns the first space axis of `x` and the sizes to which the layer `op` brings its space axes:
/// `sizes`, of which one number counts for all of them.
///
/// # Errors
/// If there is not a size of at least 1 for each space axis, or if `x` has an empty one.
pub(in crate::layers) fn space_sizes(
    op: &'static str,
    x: &Tensor,
    sizes: &[usize],
    channels_last: bool,
) -> Result<(usize, Vec<usize>)> {
    let ty = x.ty()?;
    let space = ty.rank().saturating_sub(2);
    let sizes = match sizes {
        [one] => vec![*one; space],
        all => all.to_vec(),
    };
    let (first, axes) = match channels_last {
        true => (1, "[batch, space .., channels]"),
        false => (2, "[batch, channels, space ..]"),
    };
    let is_empty = |i: usize| ty.shape.get(first + i) == Some(&0);
    if ty.rank() < 2 || sizes.len() != space || sizes.contains(&0) || (0..space).any(is_empty) {
        let why =
            format!("expected an input {axes} to be resized to the space {sizes:?}, got {ty}");
        return Err(Error::new(op, why));
    }
    Ok((first, sizes))
}

/// Returns the positions of `axes` in ascending order.
///
/// # Errors
/// If `x` lacks an axis, or if one is named twice, or none.
pub(super) fn positions(op: &'static str, x: &Tensor, axes: &[i64]) -> Result<Vec<usize>> {
    let ty = x.ty()?;
    let mut found: Vec<usize> = axes.iter().filter_map(|&a| position(x, a)).collect();
    found.sort_unstable();
    found.dedup();
    if found.len() != axes.len() || axes.is_empty() {
        let why = format!("expected an input with the different axes {axes:?}, got {ty}");
        return Err(Error::new(op, why));
    }
    Ok(found)
}

/// Applies `f`, a function over the last axis that keeps the shape, over several axes of `x` as if
/// they were one. `f` also gets the sizes of these axes.
#[track_caller]
pub(super) fn over_axes(
    op: &'static str,
    x: &Tensor,
    axes: &[i64],
    f: impl FnOnce(&Tensor, &[usize]) -> Tensor,
) -> Tensor {
    let axes = match positions(op, x, axes) {
        Ok(axes) => axes,
        Err(e) => return Tensor::from_error(e),
    };
    let others: Vec<usize> = (0..x.rank()).filter(|i| !axes.contains(i)).collect();
    let order: Vec<usize> = others.iter().chain(&axes).copied().collect();
    let shape: Vec<usize> = order.iter().map(|&i| x.shape()[i]).collect();
    let sizes = &shape[others.len()..];
    let merged = [&shape[..others.len()], &[sizes.iter().product()]].concat();
    let mut back = vec![0; order.len()];
    for (i, &axis) in order.iter().enumerate() {
        back[axis] = i as i64;
    }
    let order: Vec<i64> = order.iter().map(|&i| i as i64).collect();
    let y = f(&x.permute(&order[..]).reshape(merged), sizes);
    y.reshape(&shape).permute(&back[..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{AdaptiveAvgPool, AdaptiveLpPool, AdaptiveMaxPool, Resize, resize};
    use crate::{Layer, Mode, Vars, input};
    use neurax_tensor::Dim;

    #[test]
    fn axes_are_merged_in_order_and_restored() {
        let x = Tensor::arange(24).reshape([2, 3, 4]);
        let y = over_axes("f", &x, &[2, -3], |x, sizes| {
            assert_eq!((x.shape().to_vec(), sizes), (vec![3, 8], &[2, 4][..]));
            x + 1
        });
        assert_eq!(y.to_vec::<i32>().unwrap(), (x + 1).to_vec::<i32>().unwrap());
    }

    #[test]
    fn sizes_that_do_not_fit_are_errors() {
        for (sizes, shape) in
            [(&[2, 2][..], &[1, 2, 4][..]), (&[0], &[1, 2, 4]), (&[1], &[1, 2, 0])]
        {
            let x = Tensor::ones(shape);
            for y in [
                resize(&x, &Resize::new(sizes)),
                applied(AdaptiveAvgPool::new(sizes), &x),
                applied(AdaptiveMaxPool::new(sizes), &x),
                applied(AdaptiveLpPool::new(2.0, sizes), &x),
            ] {
                let e = y.error().map(|e| e.to_string()).unwrap();
                let want =
                    "expected an input [batch, channels, space ..] to be resized to the space";
                assert!(e.contains(want) && e.contains(&x.ty().unwrap().to_string()), "{e}");
            }
        }
        let e = space_sizes("resize", &Tensor::ones(4), &[1], true).unwrap_err().to_string();
        assert!(e.contains("[batch, space .., channels]") && e.contains("got f32[4]"), "{e}");
    }

    fn applied(layer: impl Layer<1, Output = Tensor>, x: &Tensor) -> Tensor {
        let model = input("x", vec![Dim::Any; x.rank()]).layer(layer).model();
        model.apply(&Vars::default(), x, &Mode::Eval).y().clone()
    }

    #[test]
    fn axes_that_are_missing_or_equal_are_errors() {
        for axes in [&[3][..], &[0, -3], &[], &[i64::MIN]] {
            let e = over_axes("f", &Tensor::ones([2, 3, 4]), axes, |x, _| x.clone());
            let e = e.error().map(|e| e.to_string()).unwrap();
            assert!(e.contains("the different axes") && e.contains("got f32[2, 3, 4]"), "{e}");
        }
    }
}
