//! Limits and default sizes of this crate.

/// The batch size, in examples, with which a data set without explicit batches is evaluated.
///
/// A compromise that was not measured: large enough to use all cores, small enough that the
/// activations of a small model stay in the cache.
pub(crate) const DEFAULT_EVALUATION_BATCH_EXAMPLES: usize = 256;

/// The largest number of bytes of elements that are read from an IDX file.
///
/// Three times the size of the largest data set in this format (EMNIST). A gzip file expands up to
/// a thousandfold, so the size of the file on disk is no limit.
pub(crate) const MAX_IDX_BYTES: u64 = 1 << 31;

/// The largest number of axes of an IDX file that is read: that of a tensor.
pub(crate) const MAX_IDX_AXES: u8 = 64;

/// The number of elements of an IDX file that are read at a time.
///
/// Large enough that a call of the reader costs nothing in comparison, small enough for the cache.
pub(crate) const IDX_CHUNK_ELEMENTS: usize = 1 << 14;

/// The largest number of bytes of a CSV record, which is a line unless a quoted field has several.
///
/// A record is the only part of a file that is held as text. Its fields take up to nine times their
/// bytes: 150 MB at most. Two million numbers of eight digits fit.
pub(crate) const MAX_CSV_RECORD_BYTES: usize = 1 << 24;

/// The largest number of classes that are encoded as one-hot rows.
///
/// A column with more distinct names than this usually holds identifiers or numbers, not classes.
pub(crate) const MAX_ONE_HOT_CLASSES: usize = 10_000;

/// The largest number of elements, 1 GiB of f32, of the one-hot rows that the columns of a file, or
/// the labels of a set, are encoded as.
///
/// The rows of a small file can take thousands of times its size.
pub(crate) const MAX_ONE_HOT_ELEMENTS: usize = 1 << 28;

/// The number of items for each worker that `Stream::prefetch` computes ahead of the caller.
///
/// Enough that a worker with an expensive item does not stop the others, few enough that the items
/// ahead, which may be whole batches, take little memory. Measured 2026-11-30 with 250 items, two
/// workers and a caller that takes 4 ms for each item; the workers take 6.4 ms on average, which
/// keeps them busy for 0.8 of the time. The time of the caller, divided by its time if it never
/// waited:
///
/// | time of an item | 1 | 2 | 4 | 8 | 16 |
/// |---|---|---|---|---|---|
/// | equal | 1.03 | 1.04 | 1.04 | 1.03 | 1.06 |
/// | uniform, 0 to twice the mean | 1.22 | 1.04 | 1.05 | 1.04 | 1.04 |
/// | exponential | 1.42 | 1.15 | 1.04 | 1.05 | 1.05 |
/// | 1 of 20 items takes 21 times the others | 1.63 | 1.56 | 1.37 | 1.15 | 1.14 |
///
/// With 8, only streams of rare and very expensive items gain.
pub(crate) const PREFETCHED_ITEMS_PER_WORKER: usize = 4;

/// The largest number of bytes of a line of a text file.
///
/// A line is the only part of a file that is in memory. Two million numbers of eight digits fit.
pub(crate) const MAX_TEXT_LINE_BYTES: usize = 1 << 24;

/// The largest number of bytes of a file of CIFAR: six times that of the largest one.
pub(crate) const MAX_CIFAR_BYTES: u64 = 1 << 30;

/// The number of records of a CSV file that are checked before the rest is read.
///
/// Enough to meet most kinds of cells, few enough to cost nothing.
pub(crate) const CSV_CHECKED_RECORDS: usize = 100;

/// The number of numbers in a buffer of a sketch, from which quantiles of a stream are computed. At
/// least 2.
///
/// A quantile of a billion numbers, in 18 levels, is wrong by at most 0.22 % of the numbers; a
/// column takes 8 bytes for each number of a level, 0.6 MB.
pub(crate) const QUANTILE_BUFFER_NUMBERS: usize = 1 << 12;
