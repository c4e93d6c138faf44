//! Resampling of images, and convolutions in other layouts.

use crate::harness::mirrors;
use neurax::{Interpolation, ResizeOptions, prelude::*};

mirrors! {
    image_resize_linear(x) => {
        let linear = || ResizeOptions::new(Interpolation::Linear);
        (x.image_resize([2, 3, 7], linear()), x.image_resize([2, 8, 4], linear()))
    };
    image_resize_cubic(x) => {
        let cubic = || ResizeOptions::new(Interpolation::Cubic);
        (x.image_resize([4, 8], cubic()), x.image_resize([4, 3], cubic().antialias(false)))
    };
    image_resize_lanczos(x) => (
        x.image_resize([4], ResizeOptions::new(Interpolation::Lanczos3)),
        x.image_resize([9], ResizeOptions::new(Interpolation::Lanczos5)),
    );
    image_resize_nearest(x) => {
        x.image_resize([7, 2], ResizeOptions::new(Interpolation::Nearest)).square()
    };
    scale_and_translate(x, scale, translation) => {
        let options = ResizeOptions::new(Interpolation::Cubic);
        x.scale_and_translate([6, 3], &[0, 1], scale, translation, options)
    };
    scale_and_translate_without_antialiasing(x, scale, translation) => {
        let options = ResizeOptions::new(Interpolation::Lanczos3).antialias(false);
        x.scale_and_translate([2, 5], &[1], scale, translation, options)
    };
    conv_permuted(x, w) => {
        let y = x.permute([1, 2, 0]).conv(&w.permute([2, 1, 0]), Windows::new());
        y.permute([1, 2, 0])
    };
}
