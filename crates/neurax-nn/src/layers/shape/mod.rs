//! Layers that change the shape: resizing, padding, permuting, repeating, splitting and
//! windows as columns.

mod arrange;
mod fold;
mod pad;
mod pixel_shuffle;
mod resize;

pub use arrange::{Permute, RepeatVector, Split};
pub(super) use fold::AxisWindows;
pub use fold::{Fold, Unfold, fold, unfold};
pub use neurax_tensor::Interpolation;
pub use pad::{Cropping, Pad};
pub use pixel_shuffle::{PixelShuffle, PixelUnshuffle, pixel_shuffle, pixel_unshuffle};
pub use resize::{Resize, UpSampling, resize};
