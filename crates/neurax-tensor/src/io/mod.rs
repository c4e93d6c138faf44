//! Tensors in files.

mod map;
pub mod safetensors;
