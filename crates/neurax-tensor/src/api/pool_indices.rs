//! Positions of the maxima in sliding windows.
//!
//! Each space axis of the input becomes two by a gather, one of windows and one of taps. An element
//! is a maximum if it equals the result of the pool, which broadcasts over the taps; of these, the
//! smallest position in the space is the first one in row-major order:
//!
//! ```text
//! x         f32[2, 3, 6]        windows of 2 taps and strides of 2
//! gathered  f32[2, 3, 3, 2]     x[b, c, 2 w + t]
//! positions i32[1, 1, 3, 2]     2 w + t
//! indices   i32[2, 3, 3]        min over t of the positions where gathered = max_pool(x)
//! ```

use super::windows::pool_windows;
use crate::{DType, IntoEach, Tensor, Windows, tensor::CallSite};
use neurax_ir::op::Slide;
use std::panic::Location;

impl Tensor {
    /// Returns the positions of the maxima that [`Tensor::max_pool`] finds in the windows of
    /// `[batch, channels, space ..]`, i32, of the same shape as its result: PyTorch's
    /// `return_indices`.
    ///
    /// A position counts the elements of the space axes of one example and channel in row-major
    /// order. It is the first of equal elements, and that of the first NaN if the window has one;
    /// -1 if the window holds padding alone.
    ///
    /// # Errors
    ///
    /// The result carries an error as for [`Tensor::max_pool`], or if the space of one channel has
    /// more elements than i32 counts.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[[[1, 2, 9, 4], [5, 6, 7, 8]]]]);
    /// assert_eq!(x.max_pool(2, Windows::new()).to_vec::<i32>()?, [6, 9]);
    /// assert_eq!(x.max_pool_indices(2, Windows::new()).to_vec::<i32>()?, [5, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn max_pool_indices(&self, sizes: impl IntoEach, options: Windows) -> Tensor {
        let (op, at, sizes) = ("max_pool_indices", Location::caller(), sizes.each());
        let largest = self.max_pool(sizes.clone(), options.clone());
        match pool_windows(op, self, sizes, &options, at) {
            Ok((taps, slides)) if largest.error().is_none() => {
                let first = if options.is_channels_last() { 1 } else { 2 };
                let axes = pooled_axes(&self.shape(), &taps, &slides);
                first_positions(op, self, &largest, first, &axes, at)
            }
            Ok(_) => largest,
            Err(e) => e,
        }
    }
}

/// The windows along one space axis.
pub(super) struct PooledAxis {
    /// The number of elements.
    n: usize,
    taps: usize,
    slide: Slide,
}

impl PooledAxis {
    /// Returns the positions of the taps of all windows, i32 `[windows, taps]`. Those in the
    /// padding are -1 or `n`.
    #[track_caller]
    fn positions(&self, windows: usize) -> Tensor {
        let count = |n| Tensor::arange(n).to(DType::I64);
        let starts = count(windows) * self.slide.stride as i64 - self.slide.low;
        let taps = count(self.taps) * self.slide.window_dilation as i64;
        (starts.expand_dims(-1) + taps).clip(-1, self.n as i64).to(DType::I32)
    }
}

/// Returns the windows along the axes of a tensor of sizes `shape`.
pub(super) fn pooled_axes(shape: &[usize], taps: &[usize], slides: &[Slide]) -> Vec<PooledAxis> {
    let axis = |((&n, &taps), &slide): ((&usize, &usize), &Slide)| PooledAxis { n, taps, slide };
    shape.iter().zip(taps).zip(slides).map(axis).collect()
}

/// Returns the smallest position of an element of `x` in each window that equals `largest`, the
/// result of the pool. `all` has the windows along all axes, of which the space axes begin at
/// `first`.
#[track_caller]
pub(super) fn first_positions(
    op: &str,
    x: &Tensor,
    largest: &Tensor,
    first: usize,
    all: &[PooledAxis],
    at: CallSite,
) -> Tensor {
    let rank = x.rank();
    let axes = &all[first..first + rank - 2];
    let plane = axes.iter().try_fold(1, |size: usize, a| size.checked_mul(a.n));
    let Some(plane) = plane.filter(|&size| i32::try_from(size).is_ok()) else {
        let why =
            format!("expected a space of fewer than 2^31 elements, got {}", x.dtype_and_shape());
        return Tensor::fail(op, why, at);
    };
    if plane == 0 {
        return Tensor::full(largest.shape(), -1);
    }
    let (mut gathered, mut positions, mut is_inside) = (x.clone(), tensor_of(0), tensor_of(true));
    let mut stride = plane;
    for (i, axis) in axes.iter().enumerate() {
        let windows = largest.shape()[first + i];
        let along = axis.positions(windows);
        gathered = gathered.take(along.clip(0, axis.n as i64 - 1), (first + 2 * i) as i64);
        stride /= axis.n;
        let mut shape = vec![1; rank + axes.len()];
        (shape[first + i], shape[rank + i]) = (windows, axis.taps);
        let along = along.reshape(shape);
        is_inside = is_inside & along.ge(0) & along.lt(axis.n);
        positions += along * stride as i64;
    }
    // The taps of all axes become the last axes.
    let pair = |i: usize| (first + 2 * i) as i64;
    let taps = (0..axes.len()).map(|i| pair(i) + 1);
    let back = pair(axes.len())..(rank + axes.len()) as i64;
    let order = (0..first as i64).chain((0..axes.len()).map(pair)).chain(back).chain(taps);
    let gathered = gathered.permute(&order.collect::<Vec<i64>>()[..]);
    let largest = largest.reshape([&largest.shape()[..], &vec![1; axes.len()]].concat());
    let is_largest = (gathered.equal(largest) | gathered.not_equal(&gathered)) & is_inside;
    let taps: Vec<i64> = (rank..rank + axes.len()).map(|axis| axis as i64).collect();
    let found = is_largest.select(positions, i32::MAX).min(&taps[..]);
    found.equal(i32::MAX).select(-1, &found)
}

/// Returns a scalar.
fn tensor_of(x: impl Into<crate::Scalar>) -> Tensor {
    Tensor::full(&[] as &[usize], x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Padding, key, tensor, vmap};

    /// Returns the elements of `x` at the positions, for one space axis after the other merged.
    fn elements(x: &Tensor, indices: &Tensor) -> Vec<f32> {
        let [b, c] = [x.dim(0), x.dim(1)];
        let flat = x.reshape([b, c, x.size() / (b * c)]);
        let at = indices.reshape([b, c, indices.size() / (b * c)]);
        flat.take_along_axis(&at, 2).to_vec::<f32>().unwrap()
    }

    #[test]
    fn elements_at_the_positions_are_the_maxima() {
        let x = key(0).normal([2, 3, 5, 4]);
        for options in [
            Windows::new(),
            Windows::new().strides([1, 2]).padding(1).dilation([2, 1]),
            Windows::new().strides(2).padding(1).ceil_mode(),
            Windows::new().padding(Padding::Same),
            Windows::new().padding([(-1, 1), (0, 0)]),
        ] {
            let (y, i) = (x.max_pool(2, options.clone()), x.max_pool_indices(2, options.clone()));
            assert_eq!(elements(&x, &i), y.to_vec::<f32>().unwrap(), "{options:?}");
            let last = x.move_axis(1, -1).max_pool_indices(2, options.channels_last());
            let last = last.move_axis(-1, 1).to_vec::<i32>().unwrap();
            assert_eq!(last, i.to_vec::<i32>().unwrap());
        }
        let x = key(1).normal([2, 1, 3, 4, 5]);
        let (y, i) = (x.max_pool(2, Windows::new()), x.max_pool_indices(2, Windows::new()));
        assert_eq!(elements(&x, &i), y.to_vec::<f32>().unwrap());
        let each = vmap(|x: Tensor| x.max_pool_indices(2, Windows::new()));
        let rows = each(x.expand_dims(1));
        assert_eq!(rows.to_vec::<i32>().unwrap(), i.to_vec::<i32>().unwrap());
    }

    #[test]
    fn the_first_of_equal_elements_counts_and_padding_never() {
        let infinite = f32::NEG_INFINITY;
        let x = tensor([[[infinite, infinite, 1.0, 1.0, f32::NAN, 3.0]]]);
        let i = x.max_pool_indices(2, Windows::new());
        assert_eq!(i.to_vec::<i32>().unwrap(), [0, 2, 4]);
        let padded = Windows::new().padding([(1, 1)]);
        assert_eq!(x.max_pool_indices(2, padded).to_vec::<i32>().unwrap(), [0, 2, 4, 5]);
        let far = Windows::new().padding([(2, 0)]);
        assert_eq!(x.max_pool_indices(2, far).to_vec::<i32>().unwrap(), [-1, 0, 2, 4]);
        let empty = Tensor::ones([1, 1, 0]).max_pool_indices(2, Windows::new().padding(1));
        assert_eq!(empty.to_vec::<i32>().unwrap(), [-1]);
        let none = Tensor::ones([0, 1, 4]).max_pool_indices(2, Windows::new());
        assert_eq!(none.shape(), [0, 1, 2]);
    }

    #[test]
    fn windows_that_do_not_fit_the_axes_are_errors() {
        let e = Tensor::ones([1, 1, 4]).max_pool_indices([2, 2], Windows::new());
        assert!(e.error().is_some_and(|e| e.to_string().contains("sizes [2, 2]")), "{e}");
    }
}
