//! Resizing of images: `jax.image`, with the rules of PyTorch and ONNX as options.
//!
//! Each axis is resized by a product with a matrix of weights. Element `i` of the result lies at
//! `(i + 1/2) n / m - 1/2` of the input of `n` elements, `m` being the new size (half-pixel
//! centers), or at `i (n - 1) / (m - 1)` with aligned corners. The weights are those of a kernel
//! around this position, divided by their sum. When an axis shrinks, the antialiasing kernel is as
//! wide as the distance of two elements of the result.

use super::common::{located, tensor_or_error};
use crate::{
    DType, Interpolation, IntoShape, Operand, ResizeOptions, Tensor, shape::fixed, tensor::CallSite,
};
use std::panic::Location;

impl Tensor {
    /// Resizes each axis to the size that `shape` has for it, by interpolation; axes of this size
    /// stay as they are.
    ///
    /// The dtype of floats is kept; floats below 32 bits are computed in f32, and integers become
    /// f32 unless each element is a nearest one. An element that is not finite spreads over its
    /// whole row. Follows `jax.image.resize`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `shape` has another number of axes, if an axis is empty
    /// before or after it is resized, or if the options do not fit each other.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::{Interpolation, ResizeOptions, prelude::*};
    /// let x = tensor([[1.0, 3.0]]);
    /// let linear = x.image_resize([1, 4], ResizeOptions::new(Interpolation::Linear));
    /// assert_eq!(linear.to_vec::<f32>()?, [1.0, 1.5, 2.5, 3.0]);
    /// let nearest = x.image_resize([2, 3], ResizeOptions::new(Interpolation::Nearest));
    /// assert_eq!(nearest.to_vec::<f32>()?, [1.0, 3.0, 3.0, 1.0, 3.0, 3.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn image_resize(&self, shape: impl IntoShape, options: ResizeOptions) -> Tensor {
        let at = Location::caller();
        located(at, &[self], || tensor_or_error(resized(self, shape, &options, at)))
    }

    /// Resamples an image that is scaled and moved: element `i` of axis `axes[k]` of the result
    /// lies at `(i + 1/2 - translation[k]) / scale[k] - 1/2` of the input, and is 0 where this is
    /// outside of it.
    ///
    /// `scale` and `translation` are vectors with a number for each of `axes`, or one number for
    /// all; derivatives exist with respect to both. `shape` is that of the result. Dtypes are as in
    /// [`Tensor::image_resize`]. Follows `jax.image.scale_and_translate`.
    ///
    /// # Errors
    ///
    /// The result carries an error if sizes do not fit, for the kernels of nearest elements and for
    /// aligned corners, which choose the scale themselves.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::{Interpolation, ResizeOptions, prelude::*};
    /// let x = tensor([1.0, 2.0, 3.0]);
    /// let linear = ResizeOptions::new(Interpolation::Linear);
    /// let y = x.scale_and_translate([3], &[0], 1.0, 1.0, linear);
    /// assert_eq!(y.to_vec::<f32>()?, [0.0, 1.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn scale_and_translate(
        &self,
        shape: impl IntoShape,
        axes: &[i64],
        scale: impl Operand,
        translation: impl Operand,
        options: ResizeOptions,
    ) -> Tensor {
        let at = Location::caller();
        let [scale, translation] = [scale.operand(self), translation.operand(self)];
        let moved = [&scale, &translation];
        located(at, &[self, &scale, &translation], || {
            tensor_or_error(resampled(self, shape, axes, moved, &options, at))
        })
    }
}

/// The positions of the elements of a resized axis in the input: `start + i step`.
struct Grid {
    start: Tensor,
    step: Tensor,
    /// The size of the axis before and after.
    sizes: (usize, usize),
    /// The number of elements beyond each end that repeat the edge.
    beyond: usize,
}

#[track_caller]
fn resized(
    x: &Tensor,
    shape: impl IntoShape,
    options: &ResizeOptions,
    at: CallSite,
) -> Result<Tensor, Tensor> {
    let name = "image_resize";
    let (before, after) = sizes(name, x, shape, options, at)?;
    let method = options.method;
    if options.align_corners && method.is_nearest() {
        let why = format!("expected an interpolation to align corners, got {method:?}");
        return Err(Tensor::fail(name, why, at));
    }
    let axes = (0..before.len()).filter(|&axis| before[axis] != after[axis]);
    if method.is_nearest() {
        return axes.into_iter().try_fold(x.clone(), |y, axis| {
            let indices = nearest(method, before[axis], after[axis]);
            let indices = indices.map_err(|why| Tensor::fail(name, why, at))?;
            Ok(y.take(indices, axis as i64))
        });
    }
    let (mut y, dtype) = x.clone().float(at).wide(at);
    for axis in axes {
        let (n, m) = (before[axis], after[axis]);
        let half_pixel = n as f64 / m as f64;
        let (step, start) = match options.align_corners {
            true if m == 1 => (0.0, 0.0),
            true => ((n - 1) as f64 / (m - 1) as f64, 0.0),
            false => (half_pixel, 0.5 * half_pixel - 0.5),
        };
        let width = if options.antialias { step.max(1.0) } else { 1.0 };
        let reach = (options.method.radius() * width).ceil() as usize + 1;
        let beyond = if options.repeat_edge { reach } else { 0 };
        let number = |x: f64| Tensor::scalar(DType::F64, x);
        let (start, step) = (number(start), number(step));
        let grid = Grid { start, step, sizes: (n, m), beyond };
        y = product(&y, axis, grid.matrix(options));
    }
    Ok(y.convert(dtype, at))
}

#[track_caller]
fn resampled(
    x: &Tensor,
    shape: impl IntoShape,
    axes: &[i64],
    moved: [&Tensor; 2],
    options: &ResizeOptions,
    at: CallSite,
) -> Result<Tensor, Tensor> {
    let name = "scale_and_translate";
    let fail = |why: String| Tensor::fail(name, why, at);
    let (before, after) = sizes(name, x, shape, options, at)?;
    if options.method.is_nearest() || options.align_corners {
        let why = "expected an interpolation without aligned corners, as the scale is given";
        return Err(fail(format!("{why}, got {options:?}")));
    }
    if options.repeat_edge && options.antialias {
        let why = "expected no antialiasing with a repeated edge, as the kernel's width is that of \
                   the scale";
        return Err(fail(why.into()));
    }
    let mut parts = vec![];
    for part in moved {
        let ty = part.type_or_error()?;
        if ty.dtype.is_complex() || !(ty.rank() == 0 || ty.shape[..] == [axes.len()]) {
            let why =
                format!("expected real numbers [{}] for the axes {axes:?}, got {ty}", axes.len());
            return Err(fail(why));
        }
        parts.push(part.clone().float(at).wide(at).0.broadcast_to([axes.len()]));
    }
    let mut is_moved = vec![false; before.len()];
    let (mut y, dtype) = x.clone().float(at).wide(at);
    for (k, &axis) in axes.iter().enumerate() {
        let axis = x.axis_at(axis, name, at)?;
        if std::mem::replace(&mut is_moved[axis], true) {
            return Err(fail(format!("expected each axis once, got {axes:?}")));
        }
        let inverse = parts[0].get(k as i64).reciprocal();
        let start = (0.5 - parts[1].get(k as i64)) * &inverse - 0.5;
        let beyond = if options.repeat_edge { options.method.radius() as usize } else { 0 };
        let grid = Grid { start, step: inverse, sizes: (before[axis], after[axis]), beyond };
        y = product(&y, axis, grid.matrix(options));
    }
    if let Some(axis) = (0..before.len()).find(|&i| before[i] != after[i] && !is_moved[i]) {
        let (n, m) = (before[axis], after[axis]);
        return Err(fail(format!("expected axis {axis} to keep its size {n}, got {m}")));
    }
    Ok(y.convert(dtype, at))
}

/// Returns the sizes before and after.
///
/// # Errors
///
/// Returns a tensor that carries the error if they do not fit, or if an axis that changes is empty.
fn sizes(
    name: &str,
    x: &Tensor,
    shape: impl IntoShape,
    options: &ResizeOptions,
    at: CallSite,
) -> Result<(Vec<usize>, Vec<usize>), Tensor> {
    let ty = x.type_or_error()?;
    let fail = |why: String| Tensor::fail(name, why, at);
    let after = fixed(shape).map_err(fail)?.to_vec();
    if after.len() != ty.rank() {
        return Err(fail(format!("expected a size for each axis of {ty}, got {after:?}")));
    }
    let before = ty.shape.to_vec();
    let changes = |(n, m): (&usize, &usize)| n != m && (*n == 0 || *m == 0);
    if before.iter().zip(&after).any(changes) {
        return Err(fail(format!("expected sizes of at least 1, got {ty} to {after:?}")));
    }
    ty.with_shape(&after[..]).bytes().map_err(|e| fail(e.to_string()))?;
    let a = options.cubic_coefficient.unwrap_or(-0.5);
    if !a.is_finite() {
        return Err(fail(format!("expected a finite coefficient of the cubic kernel, got {a}")));
    }
    Ok((before, after))
}

/// Returns the indices of the nearest elements.
///
/// # Errors
///
/// If there is not enough memory for them.
fn nearest(method: Interpolation, n: usize, m: usize) -> Result<Tensor, String> {
    let index = |i: usize| match method {
        Interpolation::NearestFloor => (i as u128 * n as u128 / m as u128) as i64,
        _ => ((2 * i + 1) as u128 * n as u128 / (2 * m as u128)) as i64,
    };
    let mut indices: Vec<i64> = vec![];
    indices.try_reserve_exact(m).map_err(|_| format!("not enough memory for {m} indices"))?;
    indices.extend((0..m).map(index));
    Ok(Tensor::from_vec(indices, [m]))
}

/// Computes the product of `matrix` and the vectors along `axis`.
#[track_caller]
fn product(x: &Tensor, axis: usize, matrix: Tensor) -> Tensor {
    x.move_axis(axis as i64, -1).matmul(matrix.to(x.dtype().real())).move_axis(-1, axis as i64)
}

impl Grid {
    /// Computes the matrix `[n, m]` of weights.
    #[track_caller]
    fn matrix(&self, options: &ResizeOptions) -> Tensor {
        let ((n, m), dtype) = (self.sizes, self.step.dtype());
        let count = |n: usize| Tensor::arange(n).to(dtype);
        let places = count(m) * &self.step + &self.start;
        let elements = count(n + 2 * self.beyond) - self.beyond as f64;
        let mut far = (&places - elements.expand_dims(-1)).abs();
        if options.antialias {
            far /= self.step.maximum(1.0);
        }
        let weights = options.method.weights(&far, options.cubic_coefficient.unwrap_or(-0.5));
        let weights = match options.repeat_edge {
            true => weights.segment_sum(&elements.clip(0, n as i64 - 1).to(DType::I32), n),
            false => weights.slice(0, self.beyond as i64..(self.beyond + n) as i64),
        };
        let sum = weights.sum(crate::keep(0));
        // The bound is JAX's, of f32 in every dtype.
        let is_positive = sum.abs().gt(1000.0 * f64::from(f32::EPSILON));
        let weights = weights * is_positive.select(is_positive.select(&sum, 1.0).reciprocal(), 0.0);
        let is_inside = places.ge(-0.5) & places.le(n as f64 - 0.5);
        is_inside.select(weights, 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    fn close(x: &Tensor, want: &[f32]) -> bool {
        let have = x.to_vec::<f32>().unwrap();
        have.len() == want.len() && have.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-5)
    }

    #[test]
    fn a_scale_of_the_sizes_is_a_resize() {
        let x = key(0).normal_of(F64, [4, 7]);
        for method in [Interpolation::Linear, Interpolation::Cubic, Interpolation::Lanczos5] {
            for antialias in [false, true] {
                let options = || ResizeOptions::new(method).antialias(antialias);
                let want = x.image_resize([6, 3], options());
                let scale = Tensor::from_vec(vec![6.0 / 4.0, 3.0 / 7.0], [2]);
                let y = x.scale_and_translate([6, 3], &[0, 1], &scale, 0.0, options());
                assert!(y.allclose(want, 1e-12, 1e-12).item().unwrap() == 1.0, "{method:?}");
            }
        }
    }

    #[test]
    fn corners_and_edges_are_those_of_pytorch() {
        let x = tensor([1.0, 2.0, 4.0]);
        let linear = ResizeOptions::new(Interpolation::Linear).align_corners();
        assert!(close(&x.image_resize([5], linear), &[1.0, 1.5, 2.0, 3.0, 4.0]));
        let cubic = ResizeOptions::new(Interpolation::Cubic).antialias(false);
        let torch = cubic.cubic_coefficient(-0.75).repeat_edge();
        let y = x.image_resize([8], torch.clone());
        // The edges repeat, so equal elements stay equal.
        assert!(close(&Tensor::ones([3]).image_resize([8], torch.clone()), &[1.0; 8]));
        let same = x.scale_and_translate([8], &[0], 8.0 / 3.0, 0.0, torch);
        assert!(y.allclose(same, 1e-5, 1e-5).item().unwrap() == 1.0);
        let bytes = Tensor::from_vec(vec![1u8, 2, 3, 4], [2, 2]);
        let bytes = bytes.image_resize([4, 2], ResizeOptions::new(Interpolation::Nearest));
        assert_eq!(bytes.to_vec::<u8>().unwrap(), [1, 2, 1, 2, 3, 4, 3, 4]);
        let narrow = x.to(BF16).image_resize([2], ResizeOptions::new(Interpolation::Linear));
        assert_eq!(narrow.dtype(), BF16);
    }

    #[test]
    fn misuse_is_an_error() {
        let say = |y: Tensor| y.error().unwrap().to_string();
        let (x, linear) = (Tensor::ones([2, 3]), || ResizeOptions::new(Interpolation::Linear));
        assert!(say(x.image_resize([4], linear())).contains("a size for each axis of f32[2, 3]"));
        assert!(say(x.image_resize([0, 3], linear())).contains("sizes of at least 1"));
        let nearest = ResizeOptions::new(Interpolation::Nearest);
        let e = say(x.image_resize([4, 3], nearest.clone().align_corners()));
        assert!(e.contains("to align corners, got Nearest"), "{e}");
        let e = say(x.image_resize([4, 3], linear().cubic_coefficient(f64::NAN)));
        assert!(e.contains("a finite coefficient"), "{e}");
        let e = say(x.scale_and_translate([4, 3], &[0], 2.0, 0.0, nearest));
        assert!(e.contains("without aligned corners"), "{e}");
        let e = say(x.scale_and_translate([4, 4], &[0], 2.0, 0.0, linear()));
        assert!(e.contains("axis 1 to keep its size 3, got 4"), "{e}");
        let e = say(x.scale_and_translate([4, 3], &[0, 0], 2.0, 0.0, linear()));
        assert!(e.contains("each axis once"), "{e}");
        let e = say(x.scale_and_translate([4, 3], &[0], tensor([1.0, 2.0]), 0.0, linear()));
        assert!(e.contains("expected real numbers [1]"), "{e}");
        let e = say(x.scale_and_translate([4, 3], &[7], 2.0, 0.0, linear()));
        assert!(e.contains("axis 7"), "{e}");
    }
}
