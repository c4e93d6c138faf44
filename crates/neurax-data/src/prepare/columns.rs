//! Statistics of columns, the last axis of a tensor, over all rows.

use neurax_tensor::{DType, Error, ReduceOptions, Result, Tensor, where_};

/// Returns `x` as f64[rows, columns].
///
/// # Errors
/// If it has no axes, no numbers, or carries an error.
pub(super) fn rows_of_columns(op: &str, x: &Tensor) -> Result<Tensor> {
    let ty = x.ty()?;
    match ty.shape.last() {
        Some(&columns) if ty.dtype != DType::Bool && !ty.dtype.is_complex() => {
            let rows = ty.shape.iter().rev().skip(1).product::<usize>();
            Ok(x.to(DType::F64).reshape([rows, columns]))
        }
        _ => {
            Err(Error::new(op, format!("expected numbers with columns as the last axis, got {ty}")))
        }
    }
}

/// Checks that a later part has the columns of the first one.
pub(super) fn check_columns(op: &str, first: &Tensor, part: &Tensor) -> Result<()> {
    check_column_count(op, first.dim(-1), part.dim(-1))
}

/// Checks that a later part has `want` columns, those of the first one.
pub(super) fn check_column_count(op: &str, want: usize, got: usize) -> Result<()> {
    if want == got {
        return Ok(());
    }
    Err(Error::new(op, format!("expected {want} columns, as in the first part, got {got}")))
}

/// Returns the number of elements of each column that are not NaN, `f64[columns]`.
pub(super) fn counts(x: &Tensor) -> Tensor {
    x.is_nan().logical_not().to(DType::F64).sum(0)
}

/// Returns the smallest and the largest number of each column of f64[rows, columns], without NaN;
/// infinities if there is none.
///
/// # Errors
/// If a number is infinite: the message has the column.
pub(super) fn ranges(op: &str, x: &Tensor) -> Result<(Tensor, Tensor)> {
    let infinite = x.is_inf().to(DType::F64).sum(0).to_vec::<f64>()?;
    if let Some(column) = infinite.iter().position(|&n| n > 0.0) {
        let why = format!("expected finite numbers or NaN in column {column}, got an infinite one");
        return Err(Error::new(op, why));
    }
    let (is_missing, from) = (x.is_nan(), |x: f64| ReduceOptions::new().initial(x));
    let low = where_(&is_missing, f64::INFINITY, x).min_with(0, from(f64::INFINITY));
    let high = where_(&is_missing, f64::NEG_INFINITY, x).max_with(0, from(f64::NEG_INFINITY));
    Ok((low, high))
}

/// Returns the dtype of statistics of numbers of `dtype` and, in earlier parts, of `before`: f64 if
/// one of them is, else f32.
pub(super) fn fitted_dtype(before: DType, dtype: DType) -> DType {
    if [before, dtype].contains(&DType::F64) { DType::F64 } else { DType::F32 }
}

/// Checks that each column has a number.
///
/// # Errors
/// If there are no rows, or all are NaN: the message has the column.
pub(super) fn check_counts(op: &str, counts: &Tensor) -> Result<()> {
    match counts.to_vec::<f64>()?.iter().position(|&n| n == 0.0) {
        None => Ok(()),
        Some(column) => Err(only_missing(op, column)),
    }
}

/// Returns the error of a column without numbers.
pub(super) fn only_missing(op: &str, column: usize) -> Error {
    Error::new(op, format!("expected a number in column {column}, got only missing ones"))
}
