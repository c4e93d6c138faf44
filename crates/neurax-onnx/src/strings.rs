//! Functions of tensors of strings, which are computed on the host.

use crate::call::{RuleFailure, fail};
use crate::limits::MAX_STRING_BYTES;
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

/// Checks that a value of `count` strings may be made, which have `bytes` bytes together. Operators
/// that repeat or concatenate strings ask before: a file of a few bytes can name any number.
///
/// # Errors
/// If it takes more than [`MAX_STRING_BYTES`], or there is not enough memory.
pub(crate) fn check_strings(count: usize, bytes: usize) -> Result<(), RuleFailure> {
    let all = count.saturating_mul(size_of::<String>()).saturating_add(bytes);
    if all > MAX_STRING_BYTES {
        return fail(format!(
            "expected strings of at most {MAX_STRING_BYTES} bytes in a value, got {count} strings \
             that take {all} bytes; call the model on smaller inputs"
        ));
    }
    Ok(neurax_ir::check_memory(all)?)
}

/// Returns the bytes of strings, without those that hold them.
pub(crate) fn bytes_of<S: AsRef<str>>(strings: impl IntoIterator<Item = S>) -> usize {
    strings.into_iter().fold(0, |sum, s| sum.saturating_add(s.as_ref().len()))
}

/// Returns the number of elements of a shape, the largest integer if there is none.
pub(crate) fn saturating_size(shape: &[usize]) -> usize {
    shape.iter().fold(1, |n, &size| n.saturating_mul(size))
}

/// Repeats strings along new leading axes and axes of size 1.
fn broadcast_to(x: &Strings, shape: &[usize]) -> Result<Strings, RuleFailure> {
    let Some(new) = shape.len().checked_sub(x.shape().len()) else {
        return fail(format!("cannot broadcast {:?} to {shape:?}", x.shape()));
    };
    let size = saturating_size(shape);
    let times = size.checked_div(x.elements().len()).unwrap_or(0);
    check_strings(size, bytes_of(x.elements()).saturating_mul(times))?;
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

    #[test]
    fn strings_that_a_file_merely_claims_are_errors() {
        let s = |n: usize, shape: &[usize]| Strings::new(shape, vec!["a".into(); n]).unwrap();
        let [x, y] = [s(200_000, &[200_000, 1]), s(200_000, &[1, 200_000])];
        let RuleFailure::Error(e) = broadcast([&x, &y]).unwrap_err() else {
            panic!("expected an error");
        };
        assert!(e.message().contains("got 40000000000 strings that take 1000000000000"), "{e}");
        assert!(broadcast_to(&s(1, &[1]), &[1 << 40, 1 << 40]).is_err(), "the product wraps");
        let long = Strings::new([1], vec!["a".repeat(1 << 20)]).unwrap();
        assert!(broadcast_to(&long, &[1 << 11]).is_err(), "few strings of many bytes");
        assert_eq!(broadcast_to(&s(0, &[0]), &[2, 0]).unwrap().shape(), [2, 0]);
    }
}
