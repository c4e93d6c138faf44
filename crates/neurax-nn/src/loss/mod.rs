//! Losses: functions of `(&prediction, &target)` that return a scalar, the mean over all examples.
//!
//! The functions of [`each`](mod@each) return the losses before the mean: one for each element, or
//! one for each example (cross-entropies and others that reduce the axis of the classes).
//! [`of`] makes a [`Criterion`] of such a function: a loss with weights of examples, a mask and a
//! choice of the reduction, which can be scaled and added. [`CrossEntropyLoss`],
//! [`BinaryCrossEntropyLoss`], [`MultiMarginLoss`], [`CtcLoss`], [`RnnTransducerLoss`],
//! [`CircleLoss`] and [`TripletLoss`] have further options. A trainer takes functions as well as
//! values: [`LossFn`].
//!
//! ```
//! use neurax::prelude::*;
//! let (y, t) = (tensor([1.0, 2.0]), tensor([1.0, 4.0]));
//! assert_eq!(loss::mse(&y, &t).item()?, 2.0);
//! assert_eq!(loss::each::mse(&y, &t).to_vec::<f32>()?, [0.0, 4.0]);
//! let loss = 0.5 * loss::of(loss::each::mse) + loss::of(loss::each::mae);
//! assert_eq!(loss.weights(&tensor([1.0, 3.0])).measure(&y, &t).item()?, 1.5 + 1.5);
//! # Ok::<(), Error>(())
//! ```
//!
//! Prediction and target must have equal shapes (integer labels: the prediction's shape without its
//! last axis), so that a forgotten axis is an error instead of a broadcast.
//!
//! Losses of floats of fewer than 32 bits are computed in f32 and rounded once, after the mean, to
//! the dtype to which prediction and target promote. The functions of [`each`](mod@each) do not
//! round: their results are f32, so that a sum of them does not overflow.
//!
//! # Losses of probabilities
//!
//! The derivative of a softmax or a sigmoid is 0 in f32 where it is close to 0 or 1, so that a
//! loss of its result could not train a network that is certain and wrong. If a traced function
//! (a training step, `grad`, `jit`) computes the prediction by `softmax` over the last axis or by
//! `sigmoid`, also behind a conversion or a reshape, these losses are computed from the logits, as
//! in Keras: value and gradient are those of the loss of logits. Of other probabilities, and of
//! plain tensors, the logarithm is limited to that of 1e-7 as in Keras, but its derivative is not:
//! it stays `1 / y` (down to 1e-30, or the smallest normal number of a narrower dtype).

mod binary_cross_entropy_loss;
mod circle_loss;
mod criterion;
mod cross_entropy_loss;
mod ctc_loss;
pub mod each;
mod label_sequences;
mod means;
mod multi_margin_loss;
mod operands;
mod rnn_transducer_loss;
mod triplet_loss;

pub use binary_cross_entropy_loss::BinaryCrossEntropyLoss;
pub use circle_loss::CircleLoss;
pub use criterion::{Criterion, LossFn, Reduction, of};
pub use cross_entropy_loss::{CrossEntropyLoss, label_smoothing};
pub use ctc_loss::CtcLoss;
pub use means::*;
pub use multi_margin_loss::MultiMarginLoss;
pub use rnn_transducer_loss::RnnTransducerLoss;
pub use triplet_loss::TripletLoss;

#[cfg(test)]
mod tests;
