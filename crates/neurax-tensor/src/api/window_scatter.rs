//! Sums at the extrema of sliding windows.

use super::{
    common::{located, tensor_or_error},
    pool_indices::{first_positions, pooled_axes},
    windows::{all_used, fail},
};
use crate::{
    DType, IntoEach, Operand, Tensor, Windows, dispatch::dispatch, tensor::CallSite,
    windows::per_axis,
};
use neurax_ir::op::{ReduceKind, ReduceWindow};
use std::panic::Location;

impl Tensor {
    /// Adds each element of `source` to the result at the maximum of its window in this tensor, and
    /// `initial` to all elements: XLA's `SelectAndScatter`.
    ///
    /// The windows of `sizes` are those of [`Tensor::window_max`], and `source` has the shape of
    /// its result. The maximum is the first of equal elements, and the first NaN; padding is none.
    /// The result has the shape of this tensor and the dtype of `source`. Follows
    /// `Nx.window_scatter_max`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `source` has another shape, and as [`Tensor::window_max`].
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1, 9, 2, 5]);
    /// let y = x.window_scatter_max(&tensor([10, 20, 30]), 0, 2, Windows::new());
    /// assert_eq!(y.to_vec::<i32>()?, [0, 30, 0, 30]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn window_scatter_max(
        &self,
        source: &Tensor,
        initial: impl Operand,
        sizes: impl IntoEach,
        options: Windows,
    ) -> Tensor {
        let (op, at) = ("window_scatter_max", Location::caller());
        let (initial, sizes) = (initial.operand(source), sizes.each());
        let scatter = || scattered(op, self, self, source, &initial, &sizes, &options, at);
        located(at, &[self, source, &initial], || tensor_or_error(scatter()))
    }

    /// Adds each element of `source` to the result at the minimum of its window in this tensor, and
    /// `initial` to all elements: [`Tensor::window_scatter_max`] with minima. Follows
    /// `Nx.window_scatter_min`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `source` has another shape, and as [`Tensor::window_min`].
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1, 9, 2, 5]);
    /// let y = x.window_scatter_min(&tensor([10, 20]), 1, 2, Windows::new().strides(2));
    /// assert_eq!(y.to_vec::<i32>()?, [11, 1, 21, 1]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn window_scatter_min(
        &self,
        source: &Tensor,
        initial: impl Operand,
        sizes: impl IntoEach,
        options: Windows,
    ) -> Tensor {
        let (op, at) = ("window_scatter_min", Location::caller());
        let (initial, sizes) = (initial.operand(source), sizes.each());
        // The largest element of this is the smallest one of `self`; no integer overflows.
        let turned = match self.dtype() {
            DType::Bool => self.logical_not(),
            d if d.is_int() => self.bitwise_not(),
            _ => -self,
        };
        let scatter = || scattered(op, self, &turned, source, &initial, &sizes, &options, at);
        located(at, &[self, source, &initial], || tensor_or_error(scatter()))
    }
}

/// Adds `source` at the maxima of the windows of `keys`, which has the shape of `x`.
#[allow(clippy::too_many_arguments, reason = "the arguments of the public functions")]
fn scattered(
    op: &str,
    x: &Tensor,
    keys: &Tensor,
    source: &Tensor,
    initial: &Tensor,
    sizes: &[usize],
    options: &Windows,
    at: CallSite,
) -> Result<Tensor, Tensor> {
    let ty = x.type_or_error()?;
    let shape = ty.shape.to_vec();
    if ty.dtype.is_complex() {
        return Err(fail(op, "expected real numbers, which have an order".into(), x, at));
    }
    all_used(op, x, options, &["ceil_mode"], at)?;
    if options.is_channels_last() {
        let why = "expected the default of `channels_last`; all axes have windows".into();
        return Err(fail(op, why, x, at));
    }
    let taps = per_axis("sizes", sizes, shape.len()).map_err(|why| fail(op, why, x, at))?;
    let slides = options.slides(&shape, &taps, &[1]).map_err(|why| fail(op, why, x, at))?;
    let largest =
        ReduceWindow { kind: ReduceKind::Max, sizes: taps.clone(), slides: slides.clone() };
    let largest = dispatch(largest, [keys.clone()], at);
    let (windows, of) = (largest.type_or_error()?.shape.to_vec(), source.type_or_error()?);
    if of.shape[..] != windows[..] {
        let why = format!("expected a source of shape {windows:?}, one for each window, got {of}");
        return Err(fail(op, why, x, at));
    }
    let initial = initial.convert(of.dtype, at);
    if initial.type_or_error()?.rank() != 0 {
        let why =
            format!("expected an initial value of one number, got {}", initial.dtype_and_shape());
        return Err(fail(op, why, x, at));
    }
    // The axes of the tensor are the space of one channel.
    let plane = |x: &Tensor, shape: &[usize]| x.reshape([&[1, 1], shape].concat());
    let axes = pooled_axes(
        &[&[1, 1], &shape[..]].concat(),
        &[&[1, 1], &taps[..]].concat(),
        &[vec![Default::default(); 2], slides].concat(),
    );
    let positions =
        first_positions(op, &plane(keys, &shape), &plane(&largest, &windows), 2, &axes, at);
    // A window of padding alone has the position -1, which is left out.
    let count = x.size() as i64;
    let positions = positions.flatten();
    let positions = positions.lt(0).select(count, positions);
    let (wide, dtype) = source.wide(at);
    let sums = wide.flatten().segment_sum(&positions, x.size());
    Ok((sums + initial.convert(wide.dtype(), at)).convert(dtype, at).reshape(shape))
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn elements_go_to_the_extrema_of_their_windows() {
        // The example of Nx's documentation.
        let x = tensor([
            [7, 2, 5, 3, 10, 2],
            [3, 8, 9, 3, 4, 2],
            [1, 5, 7, 5, 6, 1],
            [0, 6, 2, 7, 2, 8],
        ]);
        let source = tensor([[2, 6], [3, 1]]);
        let options = || Windows::new().strides([2, 3]);
        let y = x.window_scatter_max(&source, 0, [2, 3], options());
        let mut want = [0; 24];
        (want[4], want[8], want[14], want[23]) = (6, 2, 3, 1);
        assert_eq!(y.to_vec::<i32>().unwrap(), want);
        let y = x.window_scatter_min(&source, 0, [2, 3], options());
        let mut want = [0; 24];
        (want[1], want[5], want[17], want[18]) = (2, 6, 1, 3);
        assert_eq!(y.to_vec::<i32>().unwrap(), want);
    }

    #[test]
    fn the_sum_is_the_derivative_of_the_maximum() {
        let x = key(0).normal([3, 4, 5]);
        let options = || Windows::new().strides([1, 2, 1]).padding(1).dilation([1, 1, 2]);
        for smallest in [false, true] {
            let extremum = move |x: Tensor| match smallest {
                true => x.window_min([2, 3, 2], options()),
                false => x.window_max([2, 3, 2], options()),
            };
            let (y, pull) = vjp(extremum, x.clone());
            let source = key(1).normal(y.shape());
            let scattered = match smallest {
                true => x.window_scatter_min(&source, 0, [2, 3, 2], options()),
                false => x.window_scatter_max(&source, 0, [2, 3, 2], options()),
            };
            let want = pull.run(source).unwrap();
            assert!(scattered.allclose(want, 1e-5, 1e-5).item().unwrap() == 1.0);
        }
        let least = tensor([i32::MIN, 5]).window_scatter_min(&tensor([1.5]), 0, 2, Windows::new());
        assert_eq!(least.to_vec::<f32>().unwrap(), [1.5, 0.0]);
        let padded = Windows::new().padding([(2, 0)]);
        let y = tensor([1.0]).window_scatter_max(&tensor([4.0, 8.0, 16.0]), 1, 1, padded);
        assert_eq!(y.to_vec::<f32>().unwrap(), [17.0]);
    }

    #[test]
    fn misuse_is_an_error() {
        let say = |y: Tensor| y.error().unwrap().to_string();
        let x = tensor([1.0, 2.0, 3.0]);
        let e = say(x.window_scatter_max(&x, 0, 2, Windows::new()));
        assert!(
            e.contains("expected a source of shape [2], one for each window, got f32[3]"),
            "{e}"
        );
        assert!(say(x.window_scatter_min(&x, 0, [2, 2], Windows::new())).contains("one value"));
        let e = say(x.window_scatter_max(&x, &x, 1, Windows::new()));
        assert!(e.contains("an initial value of one number"), "{e}");
        let e = say(x.to(C64).window_scatter_max(&x, 0, 1, Windows::new()));
        assert!(e.contains("which have an order"), "{e}");
    }
}
