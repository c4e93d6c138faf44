//! Checkpoints in files: safetensors, also in several files, and PyTorch's state dicts; variables
//! whose names another library chose.

mod checkpoint;
mod differences;
mod error;
mod pytorch;
mod renames;
mod sharded;
mod torch_rnn;

pub use checkpoint::load_tensors;
pub(crate) use checkpoint::{load_frozen, metadata_of};
pub use renames::Renames;
pub(crate) use sharded::save_sharded;
