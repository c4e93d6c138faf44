//! Attention: multi-head and additive attention, rotary and linear position biases.

mod additive;
mod alibi;
mod cache;
mod mask;
mod multi_head;
mod rope;
mod rope_scaling;

pub use additive::{AdditiveAttention, additive_attention};
pub use alibi::{alibi, alibi_slopes};
pub use multi_head::MultiHeadAttention;
pub use rope::{Rope, rope};
pub use rope_scaling::{LongRope, RopeScaling, Yarn};
