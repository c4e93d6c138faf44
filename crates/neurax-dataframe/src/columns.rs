//! Columns as tensors and data sets.
//!
//! A column of Polars is a list of chunks; a chunk has a buffer of numbers and, if values are
//! missing, a bitmap. The memory of a column of numbers of one chunk without missing values becomes
//! that of the tensor: nothing is copied, and both keep it alive. Otherwise, the values are copied:
//! into one chunk, or with those that replace missing ones. Bools are bits in a column and bytes in
//! a tensor, and therefore always copied.
//!
//! ```text
//! Int64 | chunk 0: 1 2 3 | no nulls          -> i64[3], the same memory
//! Int64 | chunk 0: 1 - 3 | Nulls::Value(0)   -> i64[3], a copy: 1 0 3
//! ```
//!
//! # Invariants
//!
//! - A missing value never becomes a number that the caller did not state.
//! - Dates, times and durations are the integers that Polars stores (days, or units since 1970).

use crate::failures::{FRAME_OP, column_error, of_polars};
use crate::frames::column_of;
use crate::number::ColumnNumber;
use bytemuck::cast_slice;
use neurax_data::Dataset;
use neurax_tensor::{Error, Result, Tensor, Tree};
use polars::prelude::{ChunkedArray, DataFrame, DataType, Series};
use std::borrow::Cow;
use std::marker::PhantomData;
use std::sync::Arc;

/// The rule for missing values of a column. NaN is a value, not a missing one: it passes
/// `Nulls::Error`, `Nulls::Value` does not replace it, and a mask is true there.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Nulls {
    /// An error that names the column and the first row.
    #[default]
    Error,
    /// This number. A tensor of integers needs an integer in its range, one of floats a number that
    /// is not too large for them; bools take 0 and 1.
    Value(f64),
}

/// Tensors of the columns of a [`DataFrame`].
pub trait FrameTensors {
    /// Returns a column as a tensor `[rows]` of its type: bool, integers of 8 to 64 bits, f32 or
    /// f64; a date is the number of days since 1970 (i32), a time, point in time or duration its
    /// number of units (i64). The memory is shared if the column has numbers, one chunk and no
    /// missing values; it is copied otherwise, and for bools.
    ///
    /// # Errors
    /// If there is no such column, it holds texts or other values, or `nulls` does not allow what
    /// is missing.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax_dataframe::{FrameTensors, Nulls, polars::df};
    /// let frame = df!["n" => [Some(1i64), None, Some(3)]];
    /// # let frame = frame.map_err(|e| Error::new("doc", e.to_string()))?;
    /// let n = frame.tensor("n", Nulls::Value(-1.0))?;
    /// assert_eq!((n.ty()?.to_string(), n.to_vec::<i64>()?), ("i64[3]".into(), vec![1, -1, 3]));
    /// let error = frame.tensor("n", Nulls::Error).unwrap_err().to_string();
    /// assert!(error.contains("column `n`: row 1 is missing"), "{error}");
    /// # Ok::<(), Error>(())
    /// ```
    fn tensor(&self, column: &str, nulls: Nulls) -> Result<Tensor>;

    /// Returns where a column has values, as `bool[rows]`: a mask, or an additional input. NaN is a
    /// value.
    ///
    /// # Errors
    /// If there is no such column.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax_dataframe::{FrameTensors, polars::df};
    /// let frame = df!["n" => [Some(1i64), None]];
    /// # let frame = frame.map_err(|e| Error::new("doc", e.to_string()))?;
    /// assert_eq!(frame.mask("n")?.to_vec::<bool>()?, [true, false]);
    /// # Ok::<(), Error>(())
    /// ```
    fn mask(&self, column: &str) -> Result<Tensor>;

    /// Returns columns as f32[rows, columns], the nearest numbers; bools are 0 and 1. Since the
    /// result is f32, missing values of every column may become NaN, and integers beyond 2^24 lose
    /// their last digits.
    ///
    /// # Errors
    /// As [`FrameTensors::tensor`]; or if a column has times, points in time or durations, whose
    /// integers f32 does not hold. Take their difference to a number as `tensor`, in i64.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax_dataframe::{FrameTensors, Nulls, polars::df};
    /// let frame = df!["a" => [1i32, 2], "b" => [0.5, 1.5], "c" => [true, false]];
    /// # let frame = frame.map_err(|e| Error::new("doc", e.to_string()))?;
    /// let x = frame.matrix(&["a", "b", "c"], Nulls::Error)?;
    /// assert_eq!(x.to_vec::<f32>()?, [1.0, 0.5, 1.0, 2.0, 1.5, 0.0]);
    /// # Ok::<(), Error>(())
    /// ```
    fn matrix(&self, columns: &[&str], nulls: Nulls) -> Result<Tensor>;

    /// Returns the texts of a column, of texts or categories, for a look-up such as
    /// [`StringLookup`](neurax_data::prepare::StringLookup). A missing one is empty, which
    /// look-ups treat as unknown.
    ///
    /// # Errors
    /// If there is no such column, or it holds other values.
    fn texts(&self, column: &str) -> Result<Vec<String>>;

    /// Returns a data set of the columns `inputs` and `targets`, each f32[rows, columns]. `nulls`
    /// is the rule for the inputs; a missing target is always an error, since a number in its place
    /// would be learned.
    ///
    /// # Errors
    /// As [`FrameTensors::matrix`], or if a target is missing.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax_dataframe::{FrameTensors, Nulls, polars::df};
    /// let frame = df!["x" => [None, Some(2.0)], "y" => [Some(1.0), None]];
    /// # let frame = frame.map_err(|e| Error::new("doc", e.to_string()))?;
    /// let error = frame.dataset(&["x"], &["y"], Nulls::Value(0.0)).unwrap_err().to_string();
    /// assert!(error.contains("column `y`: row 1 is missing"), "{error}");
    /// # Ok::<(), Error>(())
    /// ```
    fn dataset(&self, inputs: &[&str], targets: &[&str], nulls: Nulls) -> Result<Dataset>;

    /// Returns the frame with the columns of a tensor behind the others: `name` for `[rows]` or
    /// `[rows, 1]`, `name_0`, `name_1`, .. for `[rows, n]`. A column of this name is replaced.
    ///
    /// # Errors
    /// If the numbers of rows differ, or as [`frame_of`](crate::frame_of).
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax_dataframe::{FrameTensors, Nulls, polars::df};
    /// let frame = df!["id" => ["a", "b"]];
    /// # let frame = frame.map_err(|e| Error::new("doc", e.to_string()))?;
    /// let scored = frame.with_tensor("score", &tensor([0.25, 0.75]))?;
    /// assert_eq!(scored.get_column_names(), ["id", "score"]);
    /// assert_eq!(scored.tensor("score", Nulls::Error)?.to_vec::<f32>()?, [0.25, 0.75]);
    /// # Ok::<(), Error>(())
    /// ```
    fn with_tensor(&self, name: &str, tensor: &Tensor) -> Result<DataFrame>;
}

impl FrameTensors for DataFrame {
    fn tensor(&self, column: &str, nulls: Nulls) -> Result<Tensor> {
        let series = find(self, column)?;
        with_numbers(column, &series, &mut WholeColumn { column, nulls })
    }

    fn mask(&self, column: &str) -> Result<Tensor> {
        let values = find(self, column)?.is_not_null();
        let values: Vec<bool> = values.iter().map(|value| value == Some(true)).collect();
        Tensor::from_vec(values, [self.height()]).ok()
    }

    fn matrix(&self, columns: &[&str], nulls: Nulls) -> Result<Tensor> {
        matrix_from(self, columns, nulls, 0)
    }

    fn texts(&self, column: &str) -> Result<Vec<String>> {
        let series = find(self, column)?;
        let dtype = series.dtype();
        let is_text = dtype.is_string() || dtype.is_categorical() || dtype.is_enum();
        if !is_text {
            let why = format!("expected texts or categories, got {}", series.dtype());
            return Err(column_error(column, why));
        }
        let texts = series.cast(&DataType::String).map_err(|e| column_error(column, e))?;
        let texts = texts.str().map_err(|e| column_error(column, e))?;
        Ok(texts.iter().map(|text| text.unwrap_or_default().to_string()).collect())
    }

    fn dataset(&self, inputs: &[&str], targets: &[&str], nulls: Nulls) -> Result<Dataset> {
        Dataset::new(self.matrix(inputs, nulls)?, self.matrix(targets, Nulls::Error)?)
    }

    fn with_tensor(&self, name: &str, tensor: &Tensor) -> Result<DataFrame> {
        let mut frame = self.clone();
        for column in column_of(name, tensor)? {
            if column.len() != frame.height() {
                let why = format!("expected {} rows, got {}", frame.height(), column.len());
                return Err(column_error(column.name(), why));
            }
            of_polars(frame.with_column(column))?;
        }
        Ok(frame)
    }
}

/// Returns [`FrameTensors::matrix`] of rows of a larger table, of which the first has the number
/// `first_row` in errors.
pub(crate) fn matrix_from(
    frame: &DataFrame,
    columns: &[&str],
    nulls: Nulls,
    first_row: usize,
) -> Result<Tensor> {
    let (rows, width) = (frame.height(), columns.len());
    let mut out = Vec::new();
    let why = || Error::new(FRAME_OP, format!("not enough memory for {rows} rows of {width}"));
    out.try_reserve_exact(rows.saturating_mul(width)).map_err(|_| why())?;
    out.resize(rows * width, 0.0f32);
    for (at, column) in columns.iter().enumerate() {
        let series = find(frame, column)?;
        check_fits_f32(column, series.dtype())?;
        if series.len() != rows {
            // Those of a damaged file.
            let why = format!("expected {rows} rows, got {}", series.len());
            return Err(column_error(column, why));
        }
        let out = &mut out;
        let mut writer = MatrixColumn { column, nulls, first_row, out, at, width };
        with_numbers(column, &series, &mut writer)?;
    }
    Tensor::from_vec(out, [rows, width]).ok()
}

/// Refuses times, which f32 would round to minutes or worse.
fn check_fits_f32(column: &str, dtype: &DataType) -> Result<()> {
    match dtype {
        DataType::Datetime(..) | DataType::Duration(_) | DataType::Time => {
            let why = format!(
                "expected numbers, bools or dates, got {dtype}, whose integers f32 does not hold; \
                 take the column by `tensor` and subtract a start, or cast it with Polars"
            );
            Err(column_error(column, why))
        }
        _ => Ok(()),
    }
}

/// Returns a column; the error lists those that there are.
fn find(frame: &DataFrame, column: &str) -> Result<Series> {
    let found = frame.column(column).map_err(|_| {
        let names: Vec<&str> = frame.get_column_names().iter().map(|name| name.as_str()).collect();
        let why = format!("expected one of the columns {}, got `{column}`", names.join(", "));
        Error::new(FRAME_OP, why)
    });
    Ok(found?.as_materialized_series().clone())
}

/// A function of the numbers of a column.
trait OfNumbers {
    type Output;

    fn call<N: ColumnNumber>(&mut self, values: &ChunkedArray<N::Column>) -> Result<Self::Output>;

    fn call_bools(&mut self, values: &[Option<bool>]) -> Result<Self::Output>;
}

/// Calls a function with the numbers of a column.
fn with_numbers<F: OfNumbers>(column: &str, series: &Series, f: &mut F) -> Result<F::Output> {
    let physical: Cow<Series> = match series.dtype() {
        DataType::Date | DataType::Datetime(..) | DataType::Duration(_) | DataType::Time => {
            series.to_physical_repr()
        }
        _ => Cow::Borrowed(series),
    };
    macro_rules! call {
        ($number:ty, $values:ident) => {
            f.call::<$number>(physical.$values().map_err(|e| column_error(column, e))?)
        };
    }
    match physical.dtype() {
        DataType::UInt8 => call!(u8, u8),
        DataType::UInt16 => call!(u16, u16),
        DataType::UInt32 => call!(u32, u32),
        DataType::UInt64 => call!(u64, u64),
        DataType::Int8 => call!(i8, i8),
        DataType::Int16 => call!(i16, i16),
        DataType::Int32 => call!(i32, i32),
        DataType::Int64 => call!(i64, i64),
        DataType::Float32 => call!(f32, f32),
        DataType::Float64 => call!(f64, f64),
        DataType::Boolean => {
            let values = physical.bool().map_err(|e| column_error(column, e))?;
            f.call_bools(&values.iter().collect::<Vec<_>>())
        }
        other => {
            let why = format!(
                "expected numbers, bools or dates, got {other}; texts and categories become \
                 indices by `texts` and a `StringLookup`, other types by `cast` of Polars"
            );
            Err(column_error(column, why))
        }
    }
}

/// A column as a tensor of its type.
struct WholeColumn<'a> {
    column: &'a str,
    nulls: Nulls,
}

impl OfNumbers for WholeColumn<'_> {
    type Output = Tensor;

    fn call<N: ColumnNumber>(&mut self, values: &ChunkedArray<N::Column>) -> Result<Tensor> {
        let rows = values.len();
        if values.null_count() > 0 {
            let replacement =
                self.nulls.replacement::<N>(self.column, first_null(values.iter()))?;
            let values = values.iter().map(|value| value.unwrap_or(replacement)).collect();
            return Tensor::from_vec(values, [rows]).ok();
        }
        let whole = values.rechunk();
        match whole.downcast_iter().next() {
            Some(chunk) => {
                let memory =
                    ColumnMemory { numbers: chunk.values().clone(), number: PhantomData::<N> };
                let memory = Arc::new(memory) as Arc<dyn AsRef<[u8]> + Send + Sync>;
                Tensor::from_bytes(memory, N::DTYPE, [rows]).ok()
            }
            None => Tensor::from_vec(Vec::<N>::new(), [0]).ok(),
        }
    }

    fn call_bools(&mut self, values: &[Option<bool>]) -> Result<Tensor> {
        let values = bools(self.column, values, self.nulls)?;
        let rows = values.len();
        Tensor::from_vec(values, [rows]).ok()
    }
}

/// A column of a row-major matrix.
struct MatrixColumn<'a> {
    column: &'a str,
    nulls: Nulls,
    /// The number of the first row in errors.
    first_row: usize,
    /// The elements of the matrix, rows of `width` numbers.
    out: &'a mut [f32],
    /// The index of the column.
    at: usize,
    width: usize,
}

impl MatrixColumn<'_> {
    fn write(&mut self, values: impl Iterator<Item = f32>) {
        let places = self.out.iter_mut().skip(self.at).step_by(self.width);
        places.zip(values).for_each(|(place, value)| *place = value);
    }
}

impl OfNumbers for MatrixColumn<'_> {
    type Output = ();

    fn call<N: ColumnNumber>(&mut self, values: &ChunkedArray<N::Column>) -> Result<()> {
        if values.null_count() == 0 {
            let numbers = values.downcast_iter().flat_map(|chunk| chunk.values().iter().copied());
            self.write(numbers.map(N::nearest_f32));
            return Ok(());
        }
        let row = self.first_row + first_null(values.iter());
        let replacement = self.nulls.replacement(self.column, row)?;
        self.write(values.iter().map(|value| value.map_or(replacement, N::nearest_f32)));
        Ok(())
    }

    fn call_bools(&mut self, values: &[Option<bool>]) -> Result<()> {
        let values = values.iter().copied();
        let replacement = match values.clone().position(|value| value.is_none()) {
            Some(row) => self.nulls.replacement(self.column, self.first_row + row)?,
            None => 0.0,
        };
        self.write(values.map(|value| value.map_or(replacement, |b| f32::from(u8::from(b)))));
        Ok(())
    }
}

impl Nulls {
    /// Returns the number that replaces missing values of a column, the first in row `row`.
    fn replacement<N: ColumnNumber>(self, column: &str, row: usize) -> Result<N> {
        match self {
            Nulls::Error => {
                let why = format!(
                    "row {row} is missing; state a number with `Nulls::Value`, or drop such rows"
                );
                Err(column_error(column, why))
            }
            Nulls::Value(value) => N::of(value).ok_or_else(|| {
                let why = format!("missing values cannot be {value} in a column of {}", N::DTYPE);
                column_error(column, why)
            }),
        }
    }
}

/// Returns the bools of a column, with those that replace missing ones.
fn bools(column: &str, values: &[Option<bool>], nulls: Nulls) -> Result<Vec<bool>> {
    let replacement = match values.iter().position(Option::is_none) {
        Some(row) => nulls.replacement::<u8>(column, row)?,
        None => 0,
    };
    if replacement > 1 {
        let why = format!("missing values of bools can be 0 or 1, not {replacement}");
        return Err(column_error(column, why));
    }
    Ok(values.iter().map(|value| value.unwrap_or(replacement == 1)).collect())
}

/// Returns the row of the first missing value; 0 if there is none.
fn first_null<T>(mut values: impl Iterator<Item = Option<T>>) -> usize {
    values.position(|value| value.is_none()).unwrap_or(0)
}

/// The buffer of a column as the memory of a tensor.
struct ColumnMemory<N, B> {
    numbers: B,
    number: PhantomData<N>,
}

impl<N: ColumnNumber, B: AsRef<[N]>> AsRef<[u8]> for ColumnMemory<N, B> {
    fn as_ref(&self) -> &[u8] {
        cast_slice(self.numbers.as_ref())
    }
}
