//! The phases of vectors that are determined up to a phase only.

use super::matrix::{ONE, phase_to_positive};
use crate::Complex;

/// The fraction of the largest absolute value of a column from which an element can be its pivot:
/// elements that are equal but for rounding give the same pivot everywhere.
pub(super) const PIVOT: f64 = 0.999;

/// Returns the factor of absolute value 1 that makes the pivot of a column real and positive: the
/// first element that has nearly the largest absolute value. It is 1 for a column of zeros.
///
/// Every backend chooses the phases of [`super::Eigh`], [`super::Eig`] and [`super::Svd`] by it.
///
/// ```
/// use neurax_ir::{Complex, op::column_phase};
/// let column = [1.0, -2.0].map(|re| Complex { re, im: 0.0 });
/// assert_eq!(column_phase(column).re, -1.0);
/// ```
pub fn column_phase(
    column: impl IntoIterator<Item = Complex<f64>, IntoIter: Clone>,
) -> Complex<f64> {
    let column = column.into_iter();
    let largest = column.clone().fold(0.0, |largest: f64, x| x.norm().max(largest));
    let pivot = column.into_iter().find(|x| x.norm() >= largest * PIVOT);
    pivot.map_or(ONE, phase_to_positive)
}
