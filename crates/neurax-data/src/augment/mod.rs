//! Augmentation of images by random changes, which a key determines.
//!
//! The functions take a batch of images, float `[n, channels, height, width]` (a single image has
//! `n = 1`), and change each image differently. Equal keys give equal images. As they consist of
//! operations on tensors, they run on the threads of [`Stream::prefetch`](crate::Stream::prefetch),
//! or inside of a function that [`jit`](neurax_tensor::jit()) compiles.
//! [`Stream::map_with_key`](crate::Stream::map_with_key) has a key for each batch.
//!
//! ```
//! use neurax::{data::augment, prelude::*};
//! let set = Dataset::new(Tensor::ones([10, 1, 8, 8]), Tensor::arange(10))?;
//! let batches = set.shuffled(key(0)).batched(5).stream();
//! let changed = batches.map_with_key(key(1), |key, mut batch| {
//!     let [flip, shift, noise] = key.split();
//!     batch.x = augment::flip_horizontal(&flip, &batch.x);
//!     batch.x = augment::shift(&shift, &batch.x, 0.25, 0.0);
//!     batch.x = augment::noise(&noise, &batch.x, 0.1);
//!     batch
//! });
//! let ahead = changed.prefetch(2);
//! assert_eq!(ahead.epoch(0).next().unwrap()?.x.shape(), [5, 1, 8, 8]);
//! # Ok::<(), Error>(())
//! ```

mod brightness;
mod contrast;
mod crop;
mod cut_mix;
mod erase;
mod flip;
mod images;
mod mix_up;
mod noise;
mod rotate;
mod shift;
mod warp;
mod zoom;

pub use brightness::brightness;
pub use contrast::contrast;
pub use crop::crop;
pub use cut_mix::cut_mix;
pub use erase::erase;
pub use flip::{flip_horizontal, flip_vertical};
pub use mix_up::mix_up;
pub use noise::noise;
pub use rotate::rotate;
pub use shift::shift;
pub use zoom::zoom;
