//! Images at the points of grids that are computed: `GridSample`, `AffineGrid`.
//!
//! The coordinates of a grid are from -1 to 1, those of the last space axis first. Points outside
//! of an image read zeros, the nearest edge, or the image reflected at its edges.

use super::axes::size_of;
use super::sampling::{
    SampledAxis, Tap, cubic_taps, interpolation_dtype, linear_taps, sum_of, terms,
};
use crate::call::{NodeCall, RuleOutcome, fail, one};
use crate::operator::{Operator, op};
use neurax_tensor::{DType, Tensor, stack};

pub(crate) const OPERATORS: &[Operator] = &[
    op("GridSample", &[16, 20, 22], 2..=2, grid_sample).attributes(GRID_SAMPLE),
    op("AffineGrid", &[20], 2..=2, affine_grid).attributes(&["align_corners"]),
    op("GridSample", &[1], 2..=2, grid_sample).domain("com.microsoft").attributes(GRID_SAMPLE),
];

const GRID_SAMPLE: &[&str] = &["align_corners", "mode", "padding_mode"];

/// The coefficient of cubic interpolation.
const CUBIC: f64 = -0.75;

#[derive(Clone, Copy, PartialEq, Eq)]
enum GridInterpolation {
    Nearest,
    Linear,
    Cubic,
}

/// The value of points outside of the image.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outside {
    Zeros,
    Border,
    Reflection,
}

fn grid_sample(c: &NodeCall) -> RuleOutcome {
    let (x, grid) = (c.x(0)?, c.x(1)?);
    let axes = x.rank().saturating_sub(2);
    let fits = axes > 0
        && grid.rank() == x.rank()
        && grid.dim(0) == x.dim(0)
        && grid.dim(-1) == axes
        && grid.dtype().is_float();
    if !fits {
        let (x, grid) = (x.ty()?, grid.ty()?);
        return fail(format!(
            "expected images [batch, channels, space ..] and points [batch, space .., axes], got \
             {x} and {grid}"
        ));
    }
    let interpolation = match c.str_or("mode", "linear")?.as_str() {
        "linear" | "bilinear" => GridInterpolation::Linear,
        "nearest" => GridInterpolation::Nearest,
        "cubic" | "bicubic" => GridInterpolation::Cubic,
        other => return fail(format!("expected linear, nearest or cubic as `mode`, got {other}")),
    };
    let outside = match c.str_or("padding_mode", "zeros")?.as_str() {
        "zeros" => Outside::Zeros,
        "border" => Outside::Border,
        "reflection" => Outside::Reflection,
        other => {
            return fail(format!(
                "expected zeros, border or reflection as `padding_mode`, got {other}"
            ));
        }
    };
    let is_aligned = c.flag("align_corners", false)?;
    let grid = grid.to(grid.dtype().at_least_f32());
    let along = |i: usize| {
        let at = (axes - 1 - i) as i64;
        let own = grid.slice(-1, at..at + 1).squeeze(-1);
        let edges = Edges::new(x.dim(2 + i as i64), is_aligned);
        SampledAxis { size: edges.size, taps: edges.taps(&own, interpolation, outside) }
    };
    let sampled: Vec<SampledAxis> = (0..axes).map(along).collect();
    let wide = interpolation_dtype(x.dtype());
    let y = sum_of(&terms(&x.to(wide), &sampled)?).to(x.dtype());
    let points = grid.shape()[1..1 + axes].to_vec();
    one(y.reshape([&[x.dim(0), x.dim(1)], &points[..]].concat()))
}

/// The edges of an axis of an image: where coordinates of -1 and 1 are.
struct Edges {
    size: usize,
    low: f64,
    high: f64,
}

impl Edges {
    fn new(size: usize, is_aligned: bool) -> Edges {
        // At the centers of the first and the last pixel, or at their outer edges.
        let beyond = if is_aligned { 0.0 } else { 0.5 };
        Edges { size, low: -beyond, high: size as f64 - 1.0 + beyond }
    }

    /// Returns the entries for coordinates, and their weights.
    fn taps(&self, grid: &Tensor, interpolation: GridInterpolation, outside: Outside) -> Vec<Tap> {
        let position = match self.low == 0.0 {
            true => (grid + 1) / 2 * self.high,
            false => ((grid + 1) * self.size as f64 - 1) / 2,
        };
        let is_nearest = interpolation == GridInterpolation::Nearest;
        let position = if is_nearest { position.round() } else { position };
        let taps = match interpolation {
            GridInterpolation::Nearest => {
                let weight = Tensor::scalar(position.dtype(), 1);
                vec![Tap { index: position, weight }]
            }
            GridInterpolation::Linear => linear_taps(&position),
            GridInterpolation::Cubic => cubic_taps(&position, CUBIC),
        };
        // As in PyTorch and ONNX Runtime, the entries are moved into the image, not the positions:
        // beyond an edge, weights of cubic interpolation are those of the position.
        let moved = |tap: Tap| {
            let index = match outside {
                Outside::Zeros => tap.index,
                Outside::Border => tap.index.clip(0, self.last()),
                Outside::Reflection => self.reflected(&tap.index).round().clip(0, self.last()),
            };
            Tap { index, weight: tap.weight }
        };
        taps.into_iter().map(moved).collect()
    }

    fn last(&self) -> i64 {
        self.size.saturating_sub(1) as i64
    }

    /// Returns positions reflected at the edges until they are between them.
    fn reflected(&self, position: &Tensor) -> Tensor {
        let range = self.high - self.low;
        if range <= 0.0 {
            return position.zeros_like() + self.low;
        }
        let distance = (position - self.low).abs().remainder(2.0 * range);
        distance.minimum(2.0 * range - &distance) + self.low
    }
}

/// Computes the products of matrices `[batch, axes, axes + 1]` and the points of an image of a
/// size, with a 1 as last coordinate.
fn affine_grid(c: &NodeCall) -> RuleOutcome {
    let theta = c.x(0)?;
    let size = c.known_ints(1)?.unwrap_or_default();
    let size: Vec<usize> = size.into_iter().map(size_of).collect::<Result<_, _>>()?;
    let axes = theta.dim(1);
    let fits = theta.rank() == 3
        && axes >= 1
        && theta.dim(2) == axes + 1
        && size.len() == axes + 2
        && size[0] == theta.dim(0);
    if !fits {
        return fail(format!(
            "expected matrices [batch, axes, axes + 1] and the size of images, got {} and {size:?}",
            theta.ty()?
        ));
    }
    let (space, wide) = (&size[2..], theta.dtype().at_least_f32());
    let Some(count) = space.iter().try_fold(1usize, |n, &size| n.checked_mul(size)) else {
        return fail(format!("the grid {space:?} is too large"));
    };
    let is_aligned = c.flag("align_corners", false)?;
    let mut coordinates: Vec<Tensor> = Vec::with_capacity(axes + 1);
    for i in (0..axes).rev() {
        let mut shape = vec![1; axes];
        shape[i] = space[i];
        let along = centers(space[i], is_aligned, wide);
        coordinates.push(along.reshape(shape).broadcast_to(space));
    }
    coordinates.push(Tensor::ones_of(wide, space));
    let points = stack(coordinates, -1).reshape([count, axes + 1]);
    let grid = points.matmul(theta.to(wide).swap_axes(1, 2)).to(theta.dtype());
    one(grid.reshape([&[theta.dim(0)], space, &[axes]].concat()))
}

/// Returns the coordinates of the centers of `n` pixels, where -1 and 1 are those of the first and
/// the last one, or their outer edges.
fn centers(n: usize, is_aligned: bool, dtype: DType) -> Tensor {
    let index = Tensor::arange(n).to(dtype);
    match is_aligned {
        true if n == 1 => Tensor::zeros_of(dtype, [1]),
        true => index * 2 / (n as f64 - 1.0) - 1,
        false => (index * 2 + 1) / n as f64 - 1,
    }
}
