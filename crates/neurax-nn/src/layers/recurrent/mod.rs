//! Recurrent layers: cells, and the layers that run them over time.
//!
//! A [`Cell`] computes one step: a new state from the input of the step and the state before it.
//! [`Rnn`] runs a cell over axis 1 of `[batch, time, ..]` with one loop, `scan`; the layers
//! [`Lstm`], [`Gru`], [`SimpleRnn`], [`ConvLstm`] and [`ConvGru`] are `Rnn`s of the library's
//! cells, [`Bidirectional`] runs a cell in both directions, and [`Stacked`] stacks layers. What
//! does not depend on the state is computed before the loop, for all steps together: for a dense
//! cell, this leaves one matrix product in the loop, that of the state.
//!
//! ```text
//! x [batch, time, features] ─swap axes─> [time, batch, features] ─· kernel + bias─> xs
//! scan over xs:  state = cell.step(xs[t], state);  y[t] = cell.output(state)
//! y [time, batch, units] ─swap axes─> [batch, time, units]
//! ```
//!
//! # Invariants
//!
//! - Axis 0 of every tensor of a state is the batch.
//! - The output of a step is a function of its state. A masked step, which keeps the state, repeats
//!   the output of the step before it, and a sequence of no steps ends with the initial state.
//! - All steps compute in f32 if the input is narrower; outputs and states are rounded once.

mod bidirectional;
mod cell;
mod conv_gru;
mod conv_lstm;
mod conv_options;
mod gru;
mod lstm;
mod masking;
mod options;
mod rnn;
mod simple_rnn;
mod stacked;
mod time_distributed;

pub use bidirectional::{Bidirectional, Merge, Unmerged};
pub use cell::{Cell, CellWeights};
pub use conv_gru::{ConvGru, ConvGruCell};
pub use conv_lstm::{ConvLstm, ConvLstmCell};
pub use gru::{Gru, GruCell};
pub use lstm::{Lstm, LstmCell};
pub(crate) use masking::Mask;
pub use masking::{MaskedMean, Masking, mask_of, masked_mean};
pub use rnn::{Recurrent, ReturnState, Rnn};
pub use simple_rnn::{SimpleRnn, SimpleRnnCell};
pub use stacked::{Stackable, Stacked};
pub use time_distributed::TimeDistributed;

#[cfg(test)]
mod tests;
