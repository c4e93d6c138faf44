//! Tensors in files: safetensors.

mod map;
mod open;
pub mod safetensors;

pub use open::open_file;
