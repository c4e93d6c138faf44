//! Streams: lazy sequences of items, epoch after epoch, from a file to batches.
//!
//! The problem: a data pipeline reads, decodes, shuffles, batches and augments examples while the
//! model trains. It must yield the same examples in the same order in every run, whatever the
//! number of threads, and continue in the middle of an epoch after an interruption.
//!
//! The method: a [`Stream`] is a description, which is run again for each epoch. An epoch is a
//! sequence of *tasks*; a task computes one item. Combinators such as [`Stream::map`] compose tasks
//! without running them, so that an item that is skipped costs nothing but its reading, and
//! [`Stream::prefetch`] runs the tasks on several threads and hands out the items in their order.
//!
//! A stream of known items (a vector, a data set, a list of files) has *random access*: it computes
//! any item by its index. `map`, `zip`, `take`, `shuffle`, `batch` and others keep random access.
//! Streams that read from front to back (lines of a file) do not have it.
//!
//! Every random choice is a function of a key and the epoch, so that epoch `e` from item `i` on is
//! always the same ([`Stream::epoch_from`]).
//!
//! ```
//! use neurax::prelude::*;
//! let squares = data::Stream::range(0..10).map(|i| i * i);
//! let shuffled = squares.shuffle(key(0)).prefetch(2);
//! let epoch = shuffled.epoch(3).collect::<Result<Vec<_>>>()?;
//! let rest = shuffled.epoch_from(3, 8).collect::<Result<Vec<_>>>()?;
//! assert_eq!(rest, epoch[8..]);
//! # Ok::<(), Error>(())
//! ```

mod batching;
mod buckets;
mod cache;
mod chunks;
mod concatenate;
mod core;
mod disk_cache;
mod map;
mod order;
mod part;
mod prefetch;
mod sampling;
mod sources;
mod split;
mod stratified_split;

pub(crate) use self::core::{ItemTask, ItemTasks, task};
pub use self::core::{Stream, StreamEpoch};
pub use split::StreamFold;
