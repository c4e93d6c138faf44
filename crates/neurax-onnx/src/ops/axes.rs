//! Axes and operands: what the rules of several families need.

use crate::call::{NodeCall, RuleFailure, fail};
use neurax_tensor::Tensor;

/// Returns an axis of a tensor of this rank, counted from the back if negative.
///
/// # Errors
/// If there is no such axis.
pub(crate) fn axis_of(axis: i64, rank: usize) -> Result<usize, RuleFailure> {
    let rank = rank as i64;
    match axis {
        a if (0..rank).contains(&a) => Ok(a as usize),
        a if (-rank..0).contains(&a) => Ok((a + rank) as usize),
        _ => fail(format!("expected an axis of {rank} axes, got {axis}")),
    }
}

/// Returns axes of a tensor of this rank, each once.
///
/// # Errors
/// If there is no such axis, or one is listed twice.
pub(crate) fn axes_of(axes: &[i64], rank: usize) -> Result<Vec<usize>, RuleFailure> {
    let axes: Vec<usize> = axes.iter().map(|&a| axis_of(a, rank)).collect::<Result<_, _>>()?;
    let mut sorted = axes.clone();
    sorted.sort_unstable();
    sorted.dedup();
    match sorted.len() == axes.len() {
        true => Ok(axes),
        false => fail(format!("expected each axis once, got {axes:?}")),
    }
}

/// Returns a size as an integer in range.
///
/// # Errors
/// If it is negative.
pub(crate) fn size_of(size: i64) -> Result<usize, RuleFailure> {
    usize::try_from(size).or_else(|_| fail(format!("expected a size, got {size}")))
}

/// Checks that the sizes of parts are those of an axis of `size` elements.
///
/// # Errors
/// If they have another sum.
pub(crate) fn check_parts(parts: &[usize], size: usize) -> Result<(), RuleFailure> {
    match parts.iter().try_fold(0usize, |sum, &n| sum.checked_add(n)) {
        Some(sum) if sum == size => Ok(()),
        _ => fail(format!("expected sizes with the sum {size}, got {parts:?}")),
    }
}

/// The largest number of values of a table: of an axis of a resized image or of a signal, or of a
/// matrix of weights. A file may claim any number, whose table would take hours.
const MAX_TABLE: usize = 1 << 28;

/// Returns the values of a function of `0..count`.
///
/// # Errors
/// If there are more than [`MAX_TABLE`], or there is not enough memory for them.
pub(crate) fn tabulated<T>(count: usize, f: impl Fn(usize) -> T) -> Result<Vec<T>, RuleFailure> {
    let mut all = Vec::new();
    if count > MAX_TABLE {
        let want = format!("a table of at most {MAX_TABLE} indices or weights");
        return fail(format!("expected {want}, got {count}"));
    }
    if all.try_reserve_exact(count).is_err() {
        return fail(format!("not enough memory for {count} elements"));
    }
    all.extend((0..count).map(f));
    Ok(all)
}

/// Returns axes as those of a function of tensors.
pub(crate) fn as_axes(axes: &[usize]) -> Vec<i64> {
    axes.iter().map(|&a| a as i64).collect()
}

/// Returns the two operands of an elementwise operator.
///
/// Before version 7, attributes said which axes the second one has: with `broadcast` 1, its
/// axes are those of the first one from `axis` on, or the last ones.
///
/// # Errors
/// If the dtypes differ.
pub(crate) fn operands(call: &NodeCall) -> Result<(Tensor, Tensor), RuleFailure> {
    let (x, y) = (call.x(0)?, call.x(1)?);
    same_dtype(&x, &y)?;
    if call.version() >= 7 || call.int_or("broadcast", 0)? == 0 {
        return Ok((x, y));
    }
    let y = match call.int("axis")? {
        Some(axis) => aligned(&y, axis_of(axis, x.rank())?, x.rank())?,
        None => y,
    };
    Ok((x, y))
}

/// Returns `y` with axes of size 1 such that its axes are those of a tensor of `rank` axes from
/// `axis` on.
pub(crate) fn aligned(y: &Tensor, axis: usize, rank: usize) -> Result<Tensor, RuleFailure> {
    let Some(behind) = rank.checked_sub(axis + y.rank()) else {
        return fail(format!("expected at most {} axes, got {}", rank - axis, y.ty()?));
    };
    let shape = [y.shape().to_vec(), vec![1; behind]].concat();
    Ok(y.reshape(shape))
}

/// Checks that two operands have one dtype, as files must not rely on promotion.
pub(crate) fn same_dtype(x: &Tensor, y: &Tensor) -> Result<(), RuleFailure> {
    match x.dtype() == y.dtype() {
        true => Ok(()),
        false => fail(format!("expected one dtype, got {} and {}", x.ty()?, y.ty()?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_whose_sum_wraps_are_no_parts() {
        assert!(check_parts(&[2, 0, 3], 5).is_ok());
        for parts in [&[2, 2][..], &[usize::MAX, 6], &[1 << 63, 1 << 63, 5]] {
            assert!(check_parts(parts, 5).is_err(), "{parts:?}");
        }
    }

    #[test]
    fn tables_that_a_file_merely_claims_are_errors() {
        assert_eq!(tabulated(3, |i| i * i).unwrap(), [0, 1, 4]);
        for count in [MAX_TABLE + 1, usize::MAX] {
            let RuleFailure::Error(e) = tabulated(count, |i| i).unwrap_err() else {
                panic!("expected an error");
            };
            assert!(e.message().starts_with("expected a table of at most 268435456"), "{e}");
        }
    }
}
