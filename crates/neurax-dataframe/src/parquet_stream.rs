//! Parquet files that are larger than memory.
//!
//! A Parquet file is divided into row groups, of a million rows or fewer in files of pyarrow. They
//! are decoded one after the other, each into a frame, of which batches are taken:
//!
//! ```text
//! group 0 (5 rows)   group 1 (3 rows)        batches of 2 rows
//! 0 1 2 3 4          5 6 7                   0 1 | 2 3 | 4 | 5 6 | 7
//! ```
//!
//! # Invariants
//!
//! - The order is that of the file, in every epoch.
//! - A group is decoded when its first batch is asked for. Its batches are made together, so that
//!   about two copies of a group are in memory: the columns and the batches.
//! - [`Stream::epoch_from`] decodes the groups that it skips.

use crate::columns::{Nulls, matrix_from};
use crate::failures::{FRAME_OP, in_file};
use neurax_data::{Batch, Stream};
use neurax_tensor::io::open_file;
use neurax_tensor::{Error, Result};
use polars::prelude::{DataFrame, ParquetReader, SerReader};
use std::path::PathBuf;
use std::sync::Arc;

/// The columns and the file of a stream.
struct ParquetSource {
    path: PathBuf,
    inputs: Vec<String>,
    targets: Vec<String>,
    nulls: Nulls,
}

/// Returns batches of `rows` rows of a Parquet file, with the columns `inputs` and `targets` as
/// f32[rows, columns]. Only these columns are decoded, one row group at a time, so that the file
/// may be larger than memory. A batch ends at the end of a row group and may then be smaller;
/// [`Stream::unbatch`], [`Stream::shuffle_buffer`] and [`Stream::batch`] change order and size.
///
/// `nulls` is the rule for the inputs; a missing target is always an error, since a number in its
/// place would be learned.
///
/// # Errors
/// The first item is an error if `rows` is 0, or if the file cannot be read or lacks a column. A
/// missing value that is not allowed is an error in its batch, with the file and the row in it.
///
/// ```
/// use neurax::prelude::*;
/// use neurax_dataframe::{Nulls, frame_of, parquet_stream, write_parquet};
/// # let path = std::env::temp_dir().join("neurax-doc-stream.parquet");
/// let (x, y) = (Tensor::arange(5), Tensor::arange(5) * 2);
/// write_parquet(&frame_of(&[("x", &x), ("y", &y)])?, &path)?;
/// let batches = parquet_stream(&path, &["x"], &["y"], 2, Nulls::Error);
/// let last = batches.epoch(0).last().ok_or_else(|| Error::new("doc", "no batch"))??;
/// assert_eq!(last.y.to_vec::<f32>()?, [8.0]);
/// # Ok::<(), Error>(())
/// ```
pub fn parquet_stream(
    path: impl Into<PathBuf>,
    inputs: &[&str],
    targets: &[&str],
    rows: usize,
    nulls: Nulls,
) -> Stream<Batch> {
    let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
    let source = Arc::new(ParquetSource {
        path: path.into(),
        inputs: names(inputs),
        targets: names(targets),
        nulls,
    });
    Stream::from_epochs(move |_| {
        if rows == 0 {
            return Err(Error::new(FRAME_OP, "expected batches of at least 1 row, got 0"));
        }
        let groups = source.groups()?;
        let source = source.clone();
        // A group is decoded when its first batch is asked for.
        Ok(groups.into_iter().flat_map(move |group| source.batches(group, rows)))
    })
}

/// A row group: its first row in the file, and the number of its rows.
type RowGroup = (usize, usize);

impl ParquetSource {
    /// Returns the row groups of the file.
    fn groups(&self) -> Result<Vec<RowGroup>> {
        in_file(&self.path, || {
            let mut reader = ParquetReader::new(open_file(&self.path)?);
            let mut start = 0;
            let sizes = reader.get_metadata()?.row_groups.iter().map(|group| group.num_rows());
            let groups = sizes.map(|rows| {
                start += rows;
                (start - rows, rows)
            });
            Ok(groups.collect())
        })
    }

    /// Decodes a row group.
    fn read(&self, group: RowGroup) -> Result<DataFrame> {
        let columns = self.inputs.iter().chain(&self.targets).cloned();
        // A column may be an input and a target.
        let columns: std::collections::BTreeSet<String> = columns.collect();
        in_file(&self.path, || {
            let reader = ParquetReader::new(open_file(&self.path)?);
            let columns = Some(columns.into_iter().collect());
            reader.with_columns(columns).with_slice(Some(group)).finish()
        })
    }

    /// Returns the batches of a row group, or its error.
    fn batches(&self, group: RowGroup, rows: usize) -> Vec<Result<Batch>> {
        let frame = match self.read(group) {
            Ok(frame) => frame,
            Err(e) => return vec![Err(e)],
        };
        let starts = (0..frame.height()).step_by(rows);
        let batch = |start| self.batch(&frame.slice(start as i64, rows), group.0 + start);
        starts.map(batch).collect()
    }

    /// Returns the batch of rows that begin with row `first` of the file.
    fn batch(&self, frame: &DataFrame, first: usize) -> Result<Batch> {
        let matrix = |names: &[String], nulls| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let in_path = |e: Error| format!("{}: {}", self.path.display(), e.message());
            matrix_from(frame, &names, nulls, first).map_err(|e| Error::new(FRAME_OP, in_path(e)))
        };
        let (x, y) = (matrix(&self.inputs, self.nulls)?, matrix(&self.targets, Nulls::Error)?);
        Ok(Batch { x, y })
    }
}
