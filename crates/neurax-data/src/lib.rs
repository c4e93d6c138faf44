//! Data sets, streams of examples, file readers, preprocessing and augmentation.
//!
//! A [`Dataset`] holds inputs and targets in memory, with the examples along axis 0. It is split,
//! shuffled and batched, in this order. A [`Stream`] yields examples while they are read or
//! computed, on several threads; its combinators are methods. Every random choice comes from a
//! [`Key`](neurax_tensor::Key): the same key yields the same batches on every machine.
//!
//! Users import this crate as `neurax::data`; start with [`digits`] or [`iris`], which are
//! embedded, or with [`mnist`], [`csv()`] and the other readers. [`prepare`] scales and encodes
//! values, [`augment`] changes images at random.
//!
//! ```
//! use neurax::prelude::*;
//! let digits = data::digits()?.split(0.8, key(0));
//! let batches = digits.train.shuffled(key(1)).batched(32);
//! let batch = batches.epoch(0).next().ok_or_else(|| Error::new("example", "no batch"))?;
//! assert_eq!(batch.x.shape(), [32, 64]);
//! # Ok::<(), Error>(())
//! ```

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

extern crate neurax_tensor as neurax;

// The programs of the page, run as doctests. The page is outside of the package, so only a doctest
// may include it.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/data.md")]
mod data_page {}

pub mod augment;
mod batches;
mod builtin;
mod csv;
mod dataset;
mod idx;
mod json_file;
mod kept;
mod padding;
mod panics;
pub mod prepare;
mod readers;
mod split;
mod stacking;
mod stream;
mod text_column;
mod tuning;

pub use batches::{Batch, Batches, Epoch, RowBatches, Shuffled, Source, SourceEpoch};
pub use builtin::{digits, iris};
pub use csv::{Csv, CsvColumn, EmptyCells, Table, csv};
pub use dataset::Dataset;
pub use idx::{idx, idx_rows};
pub use padding::ExamplePadding;
#[doc(hidden)]
pub use panics::caught;
#[cfg(feature = "images")]
pub use readers::{ImageFolder, image_folder};
pub use readers::{
    cifar10, cifar10_stream, cifar100, cifar100_stream, json_lines, json_tensors, mnist,
    mnist_stream, npy, npy_rows, npz, npz_rows, safetensors, safetensors_rows, text_lines,
};
pub use split::{Split, ThreeWaySplit};
pub use stream::{Stream, StreamEpoch, StreamFold};
pub use text_column::TextColumn;

use neurax_tensor::{Error, Result, Tensor, Tree};
use tuning::{MAX_ONE_HOT_CLASSES, MAX_ONE_HOT_ELEMENTS};

/// Encodes class indices as one-hot rows, f32[n, classes]. An index outside `0..classes` yields a
/// row of zeros.
///
/// ```
/// use neurax::prelude::*;
/// assert_eq!(data::one_hot([1, 0], 2).to_vec::<f32>()?, [0.0, 1.0, 1.0, 0.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn one_hot(labels: impl IntoIterator<Item = usize>, classes: usize) -> Tensor {
    let labels: Vec<usize> = labels.into_iter().collect();
    let (mut rows, size) = (Vec::<f32>::new(), labels.len().saturating_mul(classes));
    if rows.try_reserve_exact(size).is_err() {
        return Tensor::from_error(Error::new(
            "one_hot",
            format!("not enough memory for {} rows of {classes} classes", labels.len()),
        ));
    }
    for &label in &labels {
        rows.extend((0..classes).map(|c| (c == label) as u8 as f32));
    }
    Tensor::from_vec(rows, [labels.len(), classes])
}

/// Encodes a class index as a one-hot row, f32[classes].
fn one_hot_row(label: usize, classes: usize) -> Result<Tensor> {
    let row = (0..classes).map(|c| f32::from(u8::from(c == label))).collect();
    Tensor::from_vec(row, [classes]).ok()
}

/// Returns true if one-hot rows of `classes` elements stay within the limits for `rows` rows.
fn is_affordable(rows: usize, classes: usize) -> bool {
    classes <= MAX_ONE_HOT_CLASSES && rows.saturating_mul(classes) <= MAX_ONE_HOT_ELEMENTS
}

/// Collects items, or returns an error of `op` if there is not enough memory for them.
fn collected<T>(op: &str, items: impl ExactSizeIterator<Item = T>) -> Result<Vec<T>> {
    let (mut all, count) = (Vec::new(), items.len());
    all.try_reserve_exact(count)
        .map_err(|_| Error::new(op, format!("not enough memory for {count} examples")))?;
    all.extend(items);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_classes_are_an_error() {
        assert_eq!(one_hot([0, 1], usize::MAX).ok().unwrap_err().op(), "one_hot");
        assert_eq!(one_hot([], 3).shape(), [0, 3]);
    }
}
