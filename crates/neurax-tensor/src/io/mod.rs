//! Tensors in files: safetensors.

mod map;
pub mod safetensors;
