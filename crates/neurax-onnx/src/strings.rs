//! Functions of tensors of strings, which are computed on the host.

use crate::call::{RuleFailure, fail};
use crate::value::Strings;

/// Broadcasts tensors of strings to their common shape.
///
/// # Errors
/// If the shapes do not broadcast.
pub(crate) fn broadcast<const N: usize>(xs: [&Strings; N]) -> Result<[Strings; N], RuleFailure> {
    let shape = common_shape(&xs.map(Strings::shape))?;
    let mut all = xs.map(Clone::clone);
    for x in &mut all {
        *x = broadcast_to(x, &shape)?;
    }
    Ok(all)
}

/// Returns the shape to which shapes broadcast.
///
/// # Errors
/// If they do not.
pub(crate) fn common_shape(shapes: &[&[usize]]) -> Result<Vec<usize>, RuleFailure> {
    let shapes: Vec<Vec<usize>> = shapes.iter().map(|s| s.to_vec()).collect();
    Ok(neurax_tensor::broadcast_shapes(shapes)?.to_vec())
}

/// Repeats strings along new leading axes and axes of size 1.
fn broadcast_to(x: &Strings, shape: &[usize]) -> Result<Strings, RuleFailure> {
    let Some(new) = shape.len().checked_sub(x.shape().len()) else {
        return fail(format!("cannot broadcast {:?} to {shape:?}", x.shape()));
    };
    let size: usize = shape.iter().product();
    // The distance in elements between neighbours along each axis of the result.
    let mut strides = vec![0; shape.len()];
    let mut stride = 1;
    for (axis, &size) in x.shape().iter().enumerate().rev() {
        strides[new + axis] = if size == 1 { 0 } else { stride };
        stride *= size;
    }
    let element = |mut i: usize| {
        let mut from = 0;
        for (axis, &size) in shape.iter().enumerate().rev() {
            from += i % size * strides[axis];
            i /= size;
        }
        x.elements()[from].clone()
    };
    Ok(Strings::new(shape, (0..size).map(element).collect())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_broadcast_as_numbers_do() {
        let s = |shape: &[usize], x: &[&str]| {
            Strings::new(shape, x.iter().map(|s| s.to_string()).collect()).unwrap()
        };
        let [x, y] = broadcast([&s(&[2, 1], &["a", "b"]), &s(&[3], &["c", "d", "e"])]).unwrap();
        assert_eq!(x, s(&[2, 3], &["a", "a", "a", "b", "b", "b"]));
        assert_eq!(y, s(&[2, 3], &["c", "d", "e", "c", "d", "e"]));
        assert!(broadcast([&s(&[2], &["a", "b"]), &s(&[3], &["c", "d", "e"])]).is_err());
    }
}
