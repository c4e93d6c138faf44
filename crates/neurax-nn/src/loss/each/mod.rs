//! Losses without the mean: one for each element, or for each example.
//!
//! A function that reduces the axis of the classes or features says so; all others return one loss
//! for each element. The results are f32 for narrower floats. [`of`](super::of) reduces them.

mod cross_entropy;
mod embedding;
mod focal;
mod margin;
mod overlap;
mod regression;

pub use super::circle_loss::circle;
pub use super::ctc_loss::ctc;
pub use super::rnn_transducer_loss::rnn_transducer;
pub(super) use cross_entropy::limited_log;
pub use cross_entropy::*;
pub(super) use embedding::unit;
pub use embedding::*;
pub use focal::*;
pub use margin::*;
pub use overlap::*;
pub use regression::*;
