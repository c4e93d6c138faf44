//! The parts of transformers: blocks, feed-forward layers, position encodings, experts.

mod block;
mod experts;
mod feed_forward;
mod position;

pub use block::TransformerLayer;
pub use experts::{MixtureOfExperts, balance_loss};
pub use feed_forward::FeedForward;
pub use position::{PositionEmbedding, SinusoidalPositions, sinusoidal_positions};
