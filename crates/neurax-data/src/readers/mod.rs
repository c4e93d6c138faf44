//! Readers of data sets in files: arrays of NumPy and safetensors, CIFAR, folders of images, lines
//! of text and of JSON.

mod arrays;
mod cifar;
#[cfg(feature = "images")]
mod image_folder;
mod json_lines;
mod npy_rows;
mod text_lines;

pub use arrays::{npy, npz, safetensors};
pub use cifar::{cifar10, cifar100};
#[cfg(feature = "images")]
pub use image_folder::{ImageFolder, image_folder};
pub use json_lines::{json_lines, json_tensors};
pub use npy_rows::npy_rows;
pub use text_lines::text_lines;
