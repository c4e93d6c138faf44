//! Attention: multi-head and additive attention, rotary and linear position biases.

mod additive;
mod alibi;
mod cache;
mod mask;
mod multi_head;
mod rope;

pub use additive::{AdditiveAttention, additive_attention};
pub use alibi::{alibi, alibi_slopes};
pub use multi_head::MultiHeadAttention;
pub use rope::{Rope, RopeScaling, rope};
