//! Metrics: named scores over all examples of an epoch or a data set.
//!
//! A [`Metric`] is a few functions of tensors: the initial state, the state of a batch, the merged
//! state of two sets of examples, and the result. They run inside of the compiled training step.
//! A result over several batches is that of all their examples, exactly, also if the batches have
//! different sizes or weights; the mean of the results of batches would not be.
//!
//! Most classification metrics are methods of [`binary`] and [`multiclass`], which hold the options
//! that they have in common. Their names and definitions are those of scikit-learn; a ratio of 0
//! and 0 is 0. [`exact`], [`text`] and [`detection`] hold functions of values on the host.
//!
//! ```
//! use neurax::prelude::*;
//! let recall = metric::recall();
//! let (y, t) = (tensor([0.9, 0.2, 0.7]), tensor([1, 1, 0]));
//! let mut state = recall.init();
//! state = recall.update(state, &y, &t);
//! state = recall.update(state, &tensor([0.8]), &tensor([1])); // another batch size
//! assert_eq!(recall.result(&state).to_vec::<f64>()?, [2.0 / 3.0]);
//! # Ok::<(), Error>(())
//! ```

mod calibration;
mod classes;
mod classification;
mod confusion;
mod curves;
pub mod detection;
pub mod exact;
mod mean;
mod metric_fn;
mod moments;
pub mod text;

pub use classes::{Average, Classification, binary, multiclass};
pub use classification::*;
pub use mean::*;
pub use metric_fn::{Metric, MetricFn, MetricState, Observed, custom};
pub use moments::{pearson, r2};
