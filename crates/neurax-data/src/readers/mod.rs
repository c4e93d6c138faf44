//! Readers of data sets in files: arrays of NumPy and safetensors, MNIST, CIFAR, folders of images,
//! lines of text and of JSON.

mod arrays;
mod cifar;
#[cfg(feature = "images")]
mod image_folder;
mod json_lines;
mod mnist;
mod rows;
mod text_lines;

pub use arrays::{npy, npz, safetensors};
pub use cifar::{cifar10, cifar10_stream, cifar100, cifar100_stream};
#[cfg(feature = "images")]
pub use image_folder::{ImageFolder, image_folder};
pub use json_lines::{json_lines, json_tensors};
pub use mnist::{mnist, mnist_stream};
pub(crate) use rows::row_stream;
pub use rows::{npy_rows, npz_rows, safetensors_rows};
pub use text_lines::text_lines;
pub(crate) use text_lines::{UTF8_BOM, starts_with_bom};
