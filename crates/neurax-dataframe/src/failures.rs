//! Errors of Polars as errors of Neurax.

use neurax_data::caught;
use neurax_tensor::{Error, Result};
use polars::prelude::PolarsResult;
use std::fmt::Display;
use std::path::Path;

/// The name of this crate in errors.
pub(crate) const FRAME_OP: &str = "dataframe";

/// Returns an error about a column.
pub(crate) fn column_error(column: &str, why: impl Display) -> Error {
    Error::new(FRAME_OP, format!("column `{column}`: {why}"))
}

/// Returns the result of a function of Polars that reads or writes `path`. A panic in it, e.g. for
/// a type of columns that was not compiled, is an error as well.
pub(crate) fn in_file<T>(path: &Path, f: impl FnOnce() -> PolarsResult<T>) -> Result<T> {
    let failed = |why: &dyn Display| Error::new(FRAME_OP, format!("{}: {why}", path.display()));
    match caught(FRAME_OP, f) {
        Ok(result) => result.map_err(|e| failed(&e)),
        Err(panic) => Err(failed(&format!("Polars failed: {}", panic.message()))),
    }
}

/// Returns the result of a function of Polars.
pub(crate) fn of_polars<T>(result: PolarsResult<T>) -> Result<T> {
    result.map_err(|e| Error::new(FRAME_OP, e.to_string()))
}
