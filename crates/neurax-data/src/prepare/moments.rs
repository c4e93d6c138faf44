//! Means and deviations of columns, over parts that do not fit into memory together.

use super::columns::{check_columns, check_counts, counts, fitted_dtype, ranges, rows_of_columns};
use neurax_tensor::{DType, Error, Result, Tensor, Tree, where_};

/// The number of elements, the mean, the sum of squared deviations and the range of each column,
/// f64.
#[derive(Tree, Clone)]
pub(super) struct ColumnMoments {
    count: Tensor,
    mean: Tensor,
    squares: Tensor,
    low: Tensor,
    high: Tensor,
}

impl ColumnMoments {
    /// Computes the moments of the columns of all `parts`, the last axis, and returns them with the
    /// dtype of what is fitted to them.
    ///
    /// # Errors
    /// The errors of the parts; if there are none, they differ in their columns, or a column holds
    /// no number or an infinite one.
    pub(super) fn fit(
        op: &str,
        parts: impl IntoIterator<Item = Result<Tensor>>,
    ) -> Result<(ColumnMoments, DType)> {
        let mut all: Option<ColumnMoments> = None;
        let mut dtype = DType::F32;
        for part in parts {
            let part = part?;
            dtype = fitted_dtype(dtype, part.dtype());
            let part = ColumnMoments::of(op, &rows_of_columns(op, &part)?)?;
            all = Some(match all {
                None => part,
                Some(all) => {
                    check_columns(op, &all.mean, &part.mean)?;
                    // Computed in each step, so that no chain of lazy operations grows.
                    all.merged(part).ok()?
                }
            });
        }
        let all = all.ok_or_else(|| Error::new(op, "expected at least one part, got none"))?;
        check_counts(op, &all.count)?;
        Ok((all, dtype))
    }

    /// Returns the mean of each column. The rounded mean of equal values may differ from them, so
    /// it is one of them.
    pub(super) fn mean(&self) -> Tensor {
        where_(&self.is_constant(), &self.low, &self.mean)
    }

    /// Returns the standard deviation of each column.
    pub(super) fn deviation(&self) -> Tensor {
        (&self.squares / &self.count).sqrt()
    }

    /// Returns where all values of a column are equal.
    pub(super) fn is_constant(&self) -> Tensor {
        self.low.equal(&self.high)
    }

    /// Returns the moments of f64[rows, columns].
    fn of(op: &str, x: &Tensor) -> Result<ColumnMoments> {
        let (low, high) = ranges(op, x)?;
        let count = counts(x);
        let mean = x.nansum(0) / count.maximum(1.0);
        let squares = (x - &mean).square().nansum(0);
        Ok(ColumnMoments { count, mean, squares, low, high })
    }

    /// Returns the moments of the rows of both, by the formula of Chan, Golub and LeVeque: sums of
    /// squares would lose digits.
    fn merged(self, other: ColumnMoments) -> ColumnMoments {
        let count = &self.count + &other.count;
        let share = &other.count / count.maximum(1.0);
        let difference = &other.mean - &self.mean;
        let mean = &self.mean + &difference * &share;
        let between = difference.square() * &self.count * share;
        let squares = self.squares + other.squares + between;
        let (low, high) = (self.low.minimum(other.low), self.high.maximum(other.high));
        ColumnMoments { count, mean, squares, low, high }
    }
}
