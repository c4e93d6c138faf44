//! The positions of resized elements in the input, and the weights of the elements around them.
//!
//! ```text
//! half_pixel            (i + 1/2) / scale - 1/2
//! half_pixel_symmetric  the same, with the centers of input and result at one place
//! pytorch_half_pixel    the same, but 0 if there is one element
//! tf_half_pixel_for_nn  (i + 1/2) / scale
//! asymmetric            i / scale
//! align_corners         i (from - 1) / (to - 1)
//! tf_crop_and_resize    the same between the bounds of a region
//! ```
//!
//! `to` is the size times the scale, which need not be whole in `align_corners`: the text of the
//! operator says otherwise, but its tests and its reference implementation do so.

use super::axes::tabulated;
use crate::call::{RuleFailure, fail};

/// An axis that is resized.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ResizedAxis {
    pub(super) axis: usize,
    /// The sizes before and after.
    pub(super) from: usize,
    pub(super) to: usize,
    scale: f64,
    /// The bounds of the region of `tf_crop_and_resize`, from 0 to 1.
    pub(super) region: (f64, f64),
}

/// The way in which weights are computed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weighting {
    pub(super) coordinates: Coordinates,
    pub(super) interpolation: ResizeMode,
    /// Widens the interpolation when sizes shrink, so that all elements count.
    pub(super) is_antialiased: bool,
    /// Leaves elements outside out, instead of taking those at the edge for them.
    pub(super) excludes_outside: bool,
    /// The value at positions outside, for `tf_crop_and_resize`.
    pub(super) extrapolation: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coordinates {
    HalfPixel,
    HalfPixelSymmetric,
    PytorchHalfPixel,
    HalfPixelForNearest,
    Asymmetric,
    AlignCorners,
    CropAndResize,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum ResizeMode {
    Nearest(NearestRounding),
    Linear,
    /// With the coefficient of the kernel.
    Cubic(f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NearestRounding {
    PreferFloor,
    PreferCeil,
    Floor,
    Ceil,
    /// Down if the axis grows, up if it shrinks.
    ByDirection,
}

impl Coordinates {
    pub(super) fn of_name(name: &str) -> Option<Coordinates> {
        Some(match name {
            "half_pixel" => Coordinates::HalfPixel,
            "half_pixel_symmetric" => Coordinates::HalfPixelSymmetric,
            "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
            "tf_half_pixel_for_nn" => Coordinates::HalfPixelForNearest,
            "asymmetric" => Coordinates::Asymmetric,
            "align_corners" => Coordinates::AlignCorners,
            "tf_crop_and_resize" => Coordinates::CropAndResize,
            _ => return None,
        })
    }
}

impl NearestRounding {
    pub(super) fn of_name(name: &str) -> Option<NearestRounding> {
        Some(match name {
            "round_prefer_floor" => NearestRounding::PreferFloor,
            "round_prefer_ceil" => NearestRounding::PreferCeil,
            "floor" => NearestRounding::Floor,
            "ceil" => NearestRounding::Ceil,
            _ => return None,
        })
    }

    fn apply(self, position: f64, scale: f64) -> f64 {
        match self {
            NearestRounding::PreferFloor => (position - 0.5).ceil(),
            NearestRounding::PreferCeil => (position + 0.5).floor(),
            NearestRounding::Floor => position.floor(),
            NearestRounding::Ceil => position.ceil(),
            NearestRounding::ByDirection if scale < 1.0 => position.ceil(),
            NearestRounding::ByDirection => position.floor(),
        }
    }
}

impl ResizedAxis {
    pub(super) fn new(axis: usize, from: usize, to: usize, scale: f64) -> ResizedAxis {
        ResizedAxis { axis, from, to, scale, region: (0.0, 1.0) }
    }

    /// Returns true if all elements stay as they are.
    pub(super) fn is_identity(&self) -> bool {
        let is_scaled = self.from > 0 && self.scale != 1.0;
        self.from == self.to && !is_scaled && self.region == (0.0, 1.0)
    }

    /// Returns the position in the input of element `i` of the result.
    ///
    /// Scales and regions in files are rounded to f32. What is as close to an element, or to the
    /// middle between two, as this can explain, is there: ties and edges do not depend on it.
    fn position(&self, coordinates: Coordinates, i: usize) -> f64 {
        let position = self.unrounded_position(coordinates, i);
        let halves = (2.0 * position).round() / 2.0;
        let tolerance = f64::from(f32::EPSILON) * (1.0 + position.abs());
        if (position - halves).abs() <= tolerance { halves } else { position }
    }

    fn unrounded_position(&self, coordinates: Coordinates, i: usize) -> f64 {
        let (i, scale) = (i as f64, self.scale);
        let (last, to) = (self.from as f64 - 1.0, scale * self.from as f64);
        let half_pixel = (i + 0.5) / scale - 0.5;
        match coordinates {
            Coordinates::HalfPixel => half_pixel,
            Coordinates::HalfPixelSymmetric => {
                let covered = self.to as f64 / to;
                self.from as f64 / 2.0 * (1.0 - covered) + half_pixel
            }
            Coordinates::PytorchHalfPixel if self.to <= 1 => 0.0,
            Coordinates::PytorchHalfPixel => half_pixel,
            Coordinates::HalfPixelForNearest => (i + 0.5) / scale,
            Coordinates::Asymmetric => i / scale,
            Coordinates::AlignCorners if to == 1.0 => 0.0,
            Coordinates::AlignCorners => i * last / (to - 1.0),
            Coordinates::CropAndResize => {
                let (start, end) = self.region;
                let part = if self.to <= 1 { 0.5 } else { i / (self.to as f64 - 1.0) };
                start * last + part * (end - start) * last
            }
        }
    }
}

impl Weighting {
    /// Returns whether each element of the result gets the extrapolated value.
    ///
    /// # Errors
    /// If there is not enough memory for them.
    pub(super) fn outside(&self, axis: &ResizedAxis) -> Result<Vec<bool>, RuleFailure> {
        if self.coordinates != Coordinates::CropAndResize || axis.is_identity() {
            return Ok(Vec::new());
        }
        let is_outside = |i: usize| {
            let position = axis.position(self.coordinates, i);
            position < 0.0 || position > axis.from as f64 - 1.0
        };
        tabulated(axis.to, is_outside)
    }

    /// Returns the index of the nearest element for each element of the result.
    ///
    /// # Errors
    /// If there is not enough memory for them.
    pub(super) fn nearest(
        &self,
        axis: &ResizedAxis,
        rounding: NearestRounding,
    ) -> Result<Vec<i64>, RuleFailure> {
        let last = axis.from.saturating_sub(1) as f64;
        let index = |i: usize| {
            let position = axis.position(self.coordinates, i);
            rounding.apply(position, axis.scale).clamp(0.0, last) as i64
        };
        tabulated(axis.to, index)
    }

    /// Returns the matrix `[from, to]` of weights in row-major order.
    ///
    /// # Errors
    /// If there is not enough memory for it.
    pub(super) fn matrix(&self, axis: &ResizedAxis) -> Result<Vec<f64>, RuleFailure> {
        let Some(size) = axis.from.checked_mul(axis.to) else {
            return fail(format!("expected fewer than {} x {} weights", axis.from, axis.to));
        };
        let mut all = tabulated(size, |_| 0.0)?;
        let last = axis.from as i64 - 1;
        for i in 0..axis.to {
            let taps = self.taps(axis, axis.position(self.coordinates, i));
            let counts = |index: i64| !self.excludes_outside || (0..=last).contains(&index);
            let taps: Vec<(i64, f64)> = taps.into_iter().filter(|tap| counts(tap.0)).collect();
            let sum: f64 = taps.iter().map(|tap| tap.1).sum();
            for (index, weight) in taps {
                let row = index.clamp(0, last) as usize;
                all[row * axis.to + i] += if sum == 0.0 { 0.0 } else { weight / sum };
            }
        }
        Ok(all)
    }

    /// Returns the elements around a position, those outside included, and their weights.
    fn taps(&self, axis: &ResizedAxis, position: f64) -> Vec<(i64, f64)> {
        let width = if self.is_antialiased { (1.0 / axis.scale).max(1.0) } else { 1.0 };
        let radius = match self.interpolation {
            ResizeMode::Cubic(_) => 2.0 * width,
            _ => width,
        };
        // Beyond the edges all elements are equal, so that few of them are enough.
        let most = 4.0 * (radius + axis.from as f64 + 1.0);
        let position = position.clamp(-most, most + axis.from as f64);
        let (first, last) = ((position - radius).floor() as i64, (position + radius).ceil() as i64);
        let tap = |i: i64| (i, self.kernel((i as f64 - position).abs() / width));
        (first..=last).map(tap).collect()
    }

    /// Returns the weight at a distance.
    fn kernel(&self, d: f64) -> f64 {
        match self.interpolation {
            ResizeMode::Cubic(a) if d <= 1.0 => ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0,
            ResizeMode::Cubic(a) if d < 2.0 => ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a,
            ResizeMode::Cubic(_) => 0.0,
            _ => (1.0 - d).max(0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(interpolation: ResizeMode, axis: ResizedAxis) -> Vec<f64> {
        let weighting = Weighting {
            coordinates: Coordinates::HalfPixel,
            interpolation,
            is_antialiased: true,
            excludes_outside: false,
            extrapolation: 0.0,
        };
        weighting.matrix(&axis).unwrap_or_default()
    }

    #[test]
    fn weights_have_the_sum_one() {
        for interpolation in [ResizeMode::Linear, ResizeMode::Cubic(-0.75)] {
            for to in [1, 2, 5, 9] {
                let axis = ResizedAxis::new(0, 5, to, to as f64 / 5.0);
                let all = weights(interpolation, axis);
                for i in 0..to {
                    let sum: f64 = (0..5).map(|row| all[row * to + i]).sum();
                    assert!((sum - 1.0).abs() < 1e-12, "{to}");
                }
            }
        }
    }

    #[test]
    fn ties_are_rounded_as_the_attribute_says() {
        let of =
            |name: &str, position| NearestRounding::of_name(name).unwrap().apply(position, 2.0);
        assert_eq!(of("round_prefer_floor", 1.5), 1.0);
        assert_eq!(of("round_prefer_ceil", 1.5), 2.0);
        assert_eq!((of("floor", 1.5), of("ceil", 1.25)), (1.0, 2.0));
        assert_eq!(NearestRounding::ByDirection.apply(1.25, 0.5), 2.0);
    }
}
