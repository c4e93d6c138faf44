//! CSV and Parquet files.

use crate::failures::in_file;
use neurax_tensor::Result;
use neurax_tensor::io::{open_file, replace_file};
use polars::prelude::{
    CsvReadOptions, CsvWriter, DataFrame, ParquetReader, ParquetWriter, PolarsResult, SerReader,
    SerWriter,
};
use std::fs::File;
use std::path::Path;

/// Reads a CSV file with a header line. The type of a column is the one that all of its cells have:
/// whole numbers (i64), numbers (f64), `true` and `false`, or texts; an empty cell is missing.
/// [`CsvReadOptions`] of Polars has options: separators, texts for missing values, dates, types.
///
/// # Errors
/// If the file cannot be read or is malformed; the message names it.
///
/// ```
/// use neurax::prelude::*;
/// use neurax_dataframe::{polars::prelude::DataType, read_csv};
/// # let path = std::env::temp_dir().join("neurax-doc-read.csv");
/// std::fs::write(&path, "n,x,name\n1,0.5,a\n2,,b\n")?;
/// let frame = read_csv(&path)?;
/// assert_eq!(frame.dtypes(), [DataType::Int64, DataType::Float64, DataType::String]);
/// # Ok::<(), Error>(())
/// ```
pub fn read_csv(path: impl AsRef<Path>) -> Result<DataFrame> {
    let path = path.as_ref();
    in_file(path, || {
        // All lines decide on the types, not the first hundred, so that a late text is no error.
        let options =
            CsvReadOptions::default().with_infer_schema_length(None).with_has_header(true);
        options.into_reader_with_file_handle(open_file(path)?).finish()
    })
}

/// Reads a Parquet file, with all compressions; a column has the type that the file states.
///
/// # Errors
/// If the file cannot be read, is damaged, or has columns of a type that is not compiled in, such
/// as decimals; the message names it. Lists are read, but become no tensors.
///
/// ```
/// use neurax::prelude::*;
/// use neurax_dataframe::{frame_of, read_parquet, write_parquet};
/// # let path = std::env::temp_dir().join("neurax-doc-read.parquet");
/// let frame = frame_of(&[("n", &tensor([1, 2, 3]))])?;
/// write_parquet(&frame, &path)?;
/// assert!(read_parquet(&path)?.equals(&frame));
/// # Ok::<(), Error>(())
/// ```
pub fn read_parquet(path: impl AsRef<Path>) -> Result<DataFrame> {
    let path = path.as_ref();
    in_file(path, || ParquetReader::new(open_file(path)?).finish())
}

/// Writes a CSV file with a header line. An existing file is replaced.
///
/// # Errors
/// If the file cannot be written, or a column has a type that CSV has no text for.
///
/// ```
/// use neurax::prelude::*;
/// use neurax_dataframe::{frame_of, write_csv};
/// # let path = std::env::temp_dir().join("neurax-doc-write.csv");
/// write_csv(&frame_of(&[("n", &tensor([1, 2]))])?, &path)?;
/// assert_eq!(std::fs::read_to_string(&path)?, "n\n1\n2\n");
/// # Ok::<(), Error>(())
/// ```
pub fn write_csv(frame: &DataFrame, path: impl AsRef<Path>) -> Result<()> {
    write(path.as_ref(), frame, |file, frame| CsvWriter::new(file).finish(frame))
}

/// Writes a Parquet file, compressed with Zstandard. An existing file is replaced.
///
/// # Errors
/// If the file cannot be written, or a column has a type that is not compiled in.
pub fn write_parquet(frame: &DataFrame, path: impl AsRef<Path>) -> Result<()> {
    write(path.as_ref(), frame, |file, frame| ParquetWriter::new(file).finish(frame).map(|_| ()))
}

/// Writes a file, which replaces the one at `path` when it is complete: a reader sees the old file
/// or the new one.
fn write(
    path: &Path,
    frame: &DataFrame,
    finish: impl FnOnce(&mut File, &mut DataFrame) -> PolarsResult<()>,
) -> Result<()> {
    in_file(path, || {
        let written = replace_file(path, |file| {
            finish(file, &mut frame.clone()).map_err(std::io::Error::other)
        });
        Ok(written?)
    })
}
