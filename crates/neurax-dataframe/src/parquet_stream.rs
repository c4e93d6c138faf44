//! Parquet files that are larger than memory.
//!
//! A Parquet file is divided into row groups, of a million rows or fewer in files of pyarrow. They
//! are decoded one after the other, each into a frame, of which the rows of batches are taken:
//!
//! ```text
//! group 0 (5 rows)   group 1 (3 rows)        batches of 2 rows
//! 0 1 2 3 4          5 6 7                   0 1 | 2 3 | 4 | 5 6 | 7
//! ```
//!
//! The metadata at the end of the file has the number of the rows of each group, and thus that of
//! its batches: an epoch that starts at batch 3 starts with row 0 of group 1, at batch 1 with row 2
//! of group 0.
//!
//! # Invariants
//!
//! - The order is that of the file, in every epoch.
//! - The file is opened and its metadata is read once for an epoch, which then reads this file even
//!   if another one replaces it.
//! - A group is decoded when its first batch is asked for, without the rows that are skipped; a
//!   batch is made when it is asked for. The columns of one group and one batch are in memory.
//! - A group whose rows are all skipped is not read.

use crate::columns::{Nulls, matrix_from};
use crate::failures::{FRAME_OP, in_file};
use neurax_data::{Batch, Stream};
use neurax_tensor::io::open_file;
use neurax_tensor::{Error, Result};
use polars::prelude::{DataFrame, FileMetadata, FileMetadataRef, ParquetReader, SerReader};
use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

/// Returns batches of `rows` rows of a Parquet file, with the columns `inputs` and `targets` as
/// f32[rows, columns]. Only these columns are decoded, one row group at a time, so that the file
/// may be larger than memory. A batch ends at the end of a row group and may then be smaller;
/// [`Stream::unbatch`], [`Stream::shuffle_buffer`] and [`Stream::batch`] change order and size.
/// [`Stream::epoch_from`] decodes no group that it skips.
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
    let (path, inputs, targets) = (path.into(), names(inputs), names(targets));
    // A column may be an input and a target.
    let columns = inputs.iter().chain(&targets).cloned().collect::<BTreeSet<String>>();
    let columns = Some(columns.into_iter().collect());
    let source = ParquetSource { path: path.clone(), columns, rows };
    source.stream(move |frame, first| {
        let matrix = |names: &[String], nulls| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let in_path = |e: Error| format!("{}: {}", path.display(), e.message());
            matrix_from(&frame, &names, nulls, first).map_err(|e| Error::new(FRAME_OP, in_path(e)))
        };
        let (x, y) = (matrix(&inputs, nulls)?, matrix(&targets, Nulls::Error)?);
        Ok(Batch { x, y })
    })
}

/// Returns the rows of a Parquet file in frames of `rows` rows, with `columns` in this order, or
/// all columns if it is empty: for files with texts, categories, times and missing values that are
/// larger than memory. [`FrameTensors`](crate::FrameTensors) turns the columns of a frame into
/// tensors and texts, each in its type. Otherwise as [`parquet_stream`]: one row group is decoded
/// at a time, and a frame ends at the end of a row group.
///
/// Rows in errors of a frame are counted from its first row.
///
/// # Errors
/// The first item is an error if `rows` is 0, or if the file cannot be read or lacks a column.
///
/// ```
/// use neurax::{data::prepare::StringLookup, prelude::*};
/// use neurax_dataframe::{FrameTensors, Nulls, parquet_frames, polars::df, write_parquet};
/// # let path = std::env::temp_dir().join("neurax-doc-frames.parquet");
/// let colors = ["red", "blue", "red"];
/// let frame = df!["color" => colors, "size" => [Some(1i64), None, Some(3)]];
/// # let frame = frame.map_err(|e| Error::new("doc", e.to_string()))?;
/// write_parquet(&frame, &path)?;
/// let lookup = StringLookup::fit(colors, None);
/// let batches = parquet_frames(&path, &["color", "size"], 2).try_map(move |frame| {
///     let x = lookup.indices(&frame.texts("color")?);
///     Ok(data::Batch { x, y: frame.tensor("size", Nulls::Value(0.0))? })
/// });
/// let batch = batches.epoch(0).next().ok_or_else(|| Error::new("doc", "no batch"))??;
/// assert_eq!(batch.x.to_vec::<i32>()?, [1, 2]);
/// assert_eq!(batch.y.to_vec::<i64>()?, [1, 0]);
/// # Ok::<(), Error>(())
/// ```
pub fn parquet_frames(
    path: impl Into<PathBuf>,
    columns: &[&str],
    rows: usize,
) -> Stream<DataFrame> {
    let columns = (!columns.is_empty()).then(|| names(columns));
    ParquetSource { path: path.into(), columns, rows }.stream(|frame, _| Ok(frame))
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}

/// The file, the columns and the size of the parts of a stream.
struct ParquetSource {
    path: PathBuf,
    /// The columns that are decoded, in this order; all if there is no list.
    columns: Option<Vec<String>>,
    /// The rows of a batch.
    rows: usize,
}

impl ParquetSource {
    /// Returns the stream of what `make` returns for the rows of each batch, a frame, and the index
    /// of the first of them in the file.
    fn stream<T: Send + 'static>(
        self,
        make: impl Fn(DataFrame, usize) -> Result<T> + Send + Sync + 'static,
    ) -> Stream<T> {
        let (source, make) = (Arc::new(self), Arc::new(make));
        Stream::from_epochs_at(move |_, first| {
            let rows = source.rows;
            if rows == 0 {
                return Err(Error::new(FRAME_OP, "expected batches of at least 1 row, got 0"));
            }
            let opened = Arc::new(OpenedParquet::open(source.clone())?);
            let (parts, make) = (parts_from(&opened.sizes(), rows, first), make.clone());
            let frames = parts.into_iter().flat_map(move |part| opened.clone().frames(part));
            Ok(frames.map(move |item| item.and_then(|(first, frame)| make(frame, first))))
        })
    }
}

/// The rows of a row group that are not skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct GroupPart {
    /// The index of the group.
    group: usize,
    /// The number of rows of the group that are skipped.
    skipped: usize,
    /// The number of rows behind them.
    rows: usize,
    /// The index of the first of these rows in the file.
    first_row: usize,
}

/// Returns the parts of groups with `sizes` rows that hold the batches of `rows` rows from batch
/// `first` on.
fn parts_from(sizes: &[usize], rows: usize, mut first: usize) -> Vec<GroupPart> {
    let (mut parts, mut start) = (vec![], 0usize);
    for (group, &size) in sizes.iter().enumerate() {
        let batches = size.div_ceil(rows);
        if first < batches {
            let skipped = first * rows;
            let first_row = start.saturating_add(skipped);
            parts.push(GroupPart { group, skipped, rows: size - skipped, first_row });
        }
        first = first.saturating_sub(batches);
        start = start.saturating_add(size);
    }
    parts
}

/// The file of an epoch.
struct OpenedParquet {
    source: Arc<ParquetSource>,
    file: File,
    metadata: FileMetadataRef,
    /// The metadata without row groups.
    without_groups: FileMetadata,
}

impl OpenedParquet {
    /// Opens the file and reads its metadata.
    fn open(source: Arc<ParquetSource>) -> Result<OpenedParquet> {
        let (file, metadata) = in_file(&source.path, || {
            let file = open_file(&source.path)?;
            let metadata = ParquetReader::new(file.try_clone()?).get_metadata()?.clone();
            Ok((file, metadata))
        })?;
        let without_groups = FileMetadata { row_groups: vec![], ..FileMetadata::clone(&metadata) };
        Ok(OpenedParquet { source, file, metadata, without_groups })
    }

    /// Returns the number of rows of each group.
    fn sizes(&self) -> Vec<usize> {
        self.metadata.row_groups.iter().map(|group| group.num_rows()).collect()
    }

    /// Returns the frames of a part, each with the index of its first row in the file, or the error
    /// of decoding it. Each frame shares the memory of the group.
    fn frames(
        self: Arc<OpenedParquet>,
        part: GroupPart,
    ) -> Box<dyn Iterator<Item = Result<(usize, DataFrame)>> + Send> {
        let frame = match self.decode(part) {
            Ok(frame) => frame,
            Err(e) => return Box::new(std::iter::once(Err(e))),
        };
        let rows = self.source.rows;
        let starts = (0..frame.height()).step_by(rows);
        Box::new(
            starts.map(move |start| Ok((part.first_row + start, frame.slice(start as i64, rows)))),
        )
    }

    /// Decodes a part of a row group.
    fn decode(&self, part: GroupPart) -> Result<DataFrame> {
        let columns = &self.source.columns;
        in_file(&self.source.path, || {
            let mut reader = ParquetReader::new(self.file.try_clone()?);
            // With the other groups in the metadata, Polars would read pages of them as well.
            let group = self.metadata.row_groups.get(part.group).cloned();
            reader.set_metadata(Arc::new(FileMetadata {
                row_groups: group.into_iter().collect(),
                num_rows: part.skipped + part.rows,
                ..self.without_groups.clone()
            }));
            let reader = reader.with_columns(columns.clone());
            let frame = reader.with_slice(Some((part.skipped, part.rows))).finish()?;
            match columns {
                // Polars returns the columns in the order of the file.
                Some(columns) => frame.select(columns),
                None => Ok(frame),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_begin_with_the_first_batch() {
        let sizes = [5, 0, 3];
        let from = |first| parts_from(&sizes, 2, first);
        let part = |group, skipped, rows, first_row| GroupPart { group, skipped, rows, first_row };
        assert_eq!(from(0), [part(0, 0, 5, 0), part(2, 0, 3, 5)]);
        assert_eq!(from(1), [part(0, 2, 3, 2), part(2, 0, 3, 5)]);
        assert_eq!(from(2), [part(0, 4, 1, 4), part(2, 0, 3, 5)]);
        assert_eq!(from(3), [part(2, 0, 3, 5)]);
        assert_eq!(from(4), [part(2, 2, 1, 7)]);
        assert_eq!((from(5), from(usize::MAX)), (vec![], vec![]));
        assert_eq!(parts_from(&sizes, usize::MAX, 1), [part(2, 0, 3, 5)]);
        // The sizes are those of a file, which may be damaged.
        assert_eq!(parts_from(&[usize::MAX, 2], 1, usize::MAX), [part(1, 0, 2, usize::MAX)]);
    }
}
