//! Comparison of trees of tensors: the `check` functions return an error, the `assert` functions
//! panic with it.

use crate::{DType, Error, Literal, Result, Tensor, Tree};
use neurax_ir::close::{Tolerance, close_within};

/// Panics unless two trees have the same leaves with close values: within [`Tolerance::of`] the
/// dtype, 8 units in the last place, for floats and complex numbers; equal for integers and bools.
/// NaN is close to NaN, and an infinity to itself. The types must be equal.
///
/// The message names the leaf, the number of elements that differ, the element that is farthest
/// off, and the largest absolute and relative differences with their indices.
///
/// # Panics
/// If the trees differ, or a leaf carries an error or is being traced.
///
/// ```
/// use neurax::{prelude::*, testing::assert_close};
/// assert_close(&(tensor(0.1) + 0.2), &tensor(0.3));
/// assert_close(&(tensor([1.0, 2.0]), tensor(3)), &(tensor([1.0, 2.0]), tensor(3)));
/// ```
///
/// ```should_panic
/// use neurax::{prelude::*, testing::assert_close};
/// // assert_close: f32[2]: 1 of 2 elements differ, worst at [1]: expected 2.5, got 2 (off by 0.5);
/// // largest absolute difference 0.5 at [1], largest relative 0.2 at [1]
/// assert_close(&tensor([1.0, 2.0]), &tensor([1.0, 2.5]));
/// ```
#[track_caller]
pub fn assert_close<T: Tree>(have: &T, want: &T) {
    pass("assert_close", check_close(have, want));
}

/// Panics unless two trees have the same leaves with values within `tolerance`:
/// `|have - want| <= abs + rel * |want|`.
///
/// # Panics
/// As [`assert_close`].
///
/// ```
/// use neurax::{prelude::*, testing::{Tolerance, assert_close_with}};
/// assert_close_with(&tensor(1.01), &tensor(1.0), Tolerance { rel: 0.02, abs: 0.0 });
/// ```
#[track_caller]
pub fn assert_close_with<T: Tree>(have: &T, want: &T, tolerance: Tolerance) {
    pass("assert_close", check_close_with(have, want, tolerance));
}

/// Panics unless two trees have the same leaves with equal types and elements. NaN equals NaN, and
/// -0 equals 0.
///
/// # Panics
/// As [`assert_close`].
///
/// ```
/// use neurax::{prelude::*, testing::assert_equal};
/// assert_equal(&Tensor::arange(3), &tensor([0, 1, 2]));
/// ```
#[track_caller]
pub fn assert_equal<T: Tree>(have: &T, want: &T) {
    pass("assert_equal", check_equal(have, want));
}

/// Compares two trees as [`assert_close`] does.
///
/// # Errors
/// The first leaf that differs; leaves that only one tree has; the error that a leaf carries.
///
/// ```
/// use neurax::{prelude::*, testing::check_close};
/// let e = check_close(&tensor([1.0, 2.0]), &tensor([1.0, 2.5])).unwrap_err();
/// assert_eq!(
///     e.message(),
///     "f32[2]: 1 of 2 elements differ, worst at [1]: expected 2.5, got 2 (off by 0.5); \
///      largest absolute difference 0.5 at [1], largest relative 0.2 at [1]"
/// );
/// ```
pub fn check_close<T: Tree>(have: &T, want: &T) -> Result<()> {
    compare("assert_close", have, want, Tolerance::of)
}

/// Compares two trees as [`assert_close_with`] does.
///
/// # Errors
/// As [`check_close`].
///
/// ```
/// use neurax::{prelude::*, testing::{Tolerance, check_close_with}};
/// let tolerance = Tolerance { rel: 0.02, abs: 0.0 };
/// check_close_with(&tensor(1.01), &tensor(1.0), tolerance)?;
/// assert!(check_close_with(&tensor(1.05), &tensor(1.0), tolerance).is_err());
/// # Ok::<(), Error>(())
/// ```
pub fn check_close_with<T: Tree>(have: &T, want: &T, tolerance: Tolerance) -> Result<()> {
    compare("assert_close", have, want, |_| tolerance)
}

/// Compares two trees as [`assert_equal`] does.
///
/// # Errors
/// As [`check_close`].
///
/// ```
/// use neurax::{prelude::*, testing::check_equal};
/// check_equal(&Tensor::arange(3), &tensor([0, 1, 2]))?;
/// assert!(check_equal(&tensor(1), &tensor(1.0)).is_err(), "another dtype");
/// # Ok::<(), Error>(())
/// ```
pub fn check_equal<T: Tree>(have: &T, want: &T) -> Result<()> {
    compare("assert_equal", have, want, |_| Tolerance::both(0.0))
}

/// Panics with the error of a comparison.
#[track_caller]
#[allow(clippy::panic, reason = "an assertion fails by a panic")]
fn pass(op: &str, compared: Result<()>) {
    if let Err(e) = compared {
        // The place of an assertion is that of the panic; an error of a leaf keeps its own.
        match e.op() == op {
            true => panic!("{op}: {}", e.message()),
            false => panic!("{op}: {e}"),
        }
    }
}

/// Compares the leaves of two trees by path.
fn compare<T: Tree>(
    op: &str,
    have: &T,
    want: &T,
    tolerance: impl Fn(DType) -> Tolerance,
) -> Result<()> {
    let (have, want) = (have.leaves(), want.leaves());
    let paths = |leaves: &[(String, &Tensor)]| -> Vec<String> {
        leaves.iter().map(|(path, _)| path.clone()).collect()
    };
    if paths(&have) != paths(&want) {
        let why = format!("expected the leaves {:?}, got {:?}", paths(&want), paths(&have));
        return Err(Error::new(op, why));
    }
    for ((path, have), (_, want)) in have.into_iter().zip(want) {
        let (have, want) = (value(op, &path, have)?, value(op, &path, want)?);
        close_within(&have, &want, tolerance(want.dtype()))
            .map_err(|e| Error::new(op, format!("{}{e}", in_leaf(&path))))?;
    }
    Ok(())
}

/// Returns the value of the leaf at `path`.
fn value(op: &str, path: &str, leaf: &Tensor) -> Result<Literal> {
    let inside = format!("{op}{}", if path.is_empty() { "" } else { ": leaf " }) + path;
    leaf.to_literal().map_err(|e| e.inside(&inside))
}

/// Returns the start of a message about the leaf at `path`; nothing for a lone tensor.
pub(super) fn in_leaf(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("leaf `{path}`: ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[test]
    fn trees_are_compared_by_leaf() {
        let pair = |x: f32| vec![tensor([1.0, 2.0]), tensor(x)];
        assert_close(&pair(3.0), &pair(3.0));
        let e = check_close(&pair(3.0), &pair(4.0)).unwrap_err();
        assert_eq!(
            e.message(),
            "leaf `1`: f32[]: 1 of 1 elements differ, worst at []: expected 4, got 3 (off by 1); \
             largest absolute difference 1 at [], largest relative 0.25 at []"
        );
        let e = check_close(&pair(3.0), &vec![tensor([1.0, 2.0])]).unwrap_err();
        assert_eq!(e.message(), r#"expected the leaves ["0"], got ["0", "1"]"#);
    }

    #[test]
    fn types_must_be_equal() {
        let e = check_close(&tensor([1.0, 2.0]), &tensor([[1.0, 2.0]])).unwrap_err();
        assert_eq!(e.message(), "expected f32[1, 2], got f32[2]");
        let e = check_equal(&tensor([1, 2]), &tensor([1i64, 2])).unwrap_err();
        assert_eq!(e.message(), "expected i64[2], got i32[2]");
    }

    #[test]
    fn equal_is_exact_and_close_is_not() {
        let (x, y) = (tensor(1.0) + f32::EPSILON, tensor(1.0));
        assert_close(&x, &y);
        assert!(check_equal(&x, &y).is_err());
        assert_equal(&tensor([f32::NAN, 0.0]), &tensor([f32::NAN, -0.0]));
        assert!(check_close(&tensor(f32::INFINITY), &tensor(f32::MAX)).is_err());
    }

    #[test]
    fn the_tolerance_depends_on_the_dtype() {
        let off = |dtype: DType| (tensor(1.0) * 1.001).to(dtype);
        for dtype in [F32, F64, C64] {
            assert!(check_close(&off(dtype), &tensor(1.0).to(dtype)).is_err(), "{dtype}");
        }
        assert_close(&off(BF16), &tensor(1.0).to(BF16));
    }

    #[test]
    fn an_error_of_a_leaf_is_passed_on() {
        let bad = Tensor::zeros(2) + Tensor::zeros(3);
        let e = check_close(&(tensor(1.0), bad), &(tensor(1.0), tensor(2.0))).unwrap_err();
        let text = e.to_string();
        assert!(text.starts_with("assert_close: leaf 1: add: cannot broadcast"), "{text}");
    }

    #[test]
    #[should_panic(expected = "assert_equal: i32[]: 1 of 1 elements differ")]
    fn an_assertion_panics() {
        assert_equal(&tensor(1), &tensor(2));
    }
}
