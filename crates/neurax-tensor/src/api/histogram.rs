//! Counts of integers, and histograms over one and several axes.
//!
//! The bin of an element is found by a binary search among the edges, and the bins are counted by
//! one scatter. An element outside of the bins, and NaN, gets an index that the scatter drops.

use super::{common::tensor_or_error, gather::scatter, sort::Side, spaced::evenly_spaced};
use crate::{Bins, DType, HistogramOptions, Tensor, tensor::CallSite};
use neurax_ir::op::ScatterKind;
use std::panic::Location;

impl Tensor {
    /// Counts how often each of the integers `0..length` occurs in the tensor, i32.
    ///
    /// Other integers are not counted. Follows `jax.numpy.bincount` with `length`.
    ///
    /// # Errors
    ///
    /// The result carries an error for dtypes other than integers.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([0, 2, 2, 7]).bincount(4).to_vec::<i32>()?, [1, 0, 2, 0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn bincount(&self, length: usize) -> Tensor {
        let one = Tensor::scalar(DType::I32, 1);
        tensor_or_error(self.summed_by_index("bincount", &one, length))
    }

    /// Computes the sum of the weights at each of the integers `0..length` in the tensor: `weights`
    /// has one for each element, of any dtype.
    ///
    /// Other integers are not counted. Follows `jax.numpy.bincount` with `weights` and `length`.
    ///
    /// # Errors
    ///
    /// The result carries an error for dtypes other than integers, and if the weights do not
    /// broadcast to the shape of the tensor.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([0, 2, 2]).bincount_weighted(&tensor([0.5, 1.0, 3.0]), 4);
    /// assert_eq!(y.to_vec::<f32>()?, [0.5, 0.0, 4.0, 0.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn bincount_weighted(&self, weights: &Tensor, length: usize) -> Tensor {
        tensor_or_error(self.summed_by_index("bincount_weighted", weights, length))
    }

    /// Computes the sum of `weights` at each of the integers `0..length`.
    #[track_caller]
    fn summed_by_index(&self, op: &str, weights: &Tensor, length: usize) -> Result<Tensor, Tensor> {
        let at = Location::caller();
        let x = self.integers(op, at)?;
        let dtype = weights.type_or_error()?.dtype;
        // Negative integers would count from the end: move them past it, where they are dropped.
        // The dtype must hold the length.
        let narrow = x.dtype() == DType::I32 && i32::try_from(length).is_err();
        let x = if narrow { x.to(DType::I64) } else { x };
        let past_end = x.number(length);
        let index = x.lt(0).select(past_end, &x);
        let zeros = Tensor::zeros_of(dtype, length);
        scatter(op, ScatterKind::Add, false, &zeros, &[(0, index)], weights, at)
    }

    /// Counts the elements in each of `bins` bins of equal width from `low` to `high`; returns the
    /// counts, i32, and the `bins + 1` edges.
    ///
    /// A bin includes its lower edge; the last bin includes both edges. Elements outside and NaN
    /// are not counted. Integers and bool are converted to f32. Follows `numpy.histogram`.
    ///
    /// # Errors
    ///
    /// Both results carry an error for complex numbers, if `low` is above `high` or one of them is
    /// not finite, or if the bins do not fit into i32.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (counts, edges) = tensor([0.0, 0.1, 0.6, 1.0, 3.0]).histogram(2, 0.0, 1.0);
    /// assert_eq!(counts.to_vec::<i32>()?, [2, 2]);
    /// assert_eq!(edges.to_vec::<f32>()?, [0.0, 0.5, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn histogram(&self, bins: usize, low: f64, high: f64) -> (Tensor, Tensor) {
        self.one_histogram("histogram", bins.into(), HistogramOptions::new().range(low, high))
    }

    /// Counts the elements in each of `bins`, a number or a vector of edges, with options; returns
    /// the counts, or sums or densities as the options say, and the edges.
    ///
    /// Counts are i32. A bin includes its lower edge; the last bin includes both edges. Elements
    /// outside and NaN are not counted. Integers and bool are converted to f32. Without a range in
    /// the options, bins of equal width reach from the smallest to the largest element. Follows
    /// `jax.numpy.histogram`.
    ///
    /// # Errors
    ///
    /// Both results carry an error for complex numbers, if there are no elements from which to take
    /// the range, if the range is reversed or not finite, if the bins do not fit into i32, and if
    /// weights do not have the shape of the tensor.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([0.0, 1.0, 1.0, 4.0]);
    /// let options = HistogramOptions::new().weights(tensor([1.0, 2.0, 3.0, 4.0]));
    /// let (sums, _) = x.histogram_with(tensor([0.0, 1.0, 5.0]), options);
    /// assert_eq!(sums.to_vec::<f32>()?, [1.0, 9.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn histogram_with(
        &self,
        bins: impl Into<Bins>,
        options: HistogramOptions,
    ) -> (Tensor, Tensor) {
        self.one_histogram("histogram_with", bins.into(), options)
    }

    /// Returns the edges of the bins that [`Tensor::histogram_with`] counts elements in. Follows
    /// `jax.numpy.histogram_bin_edges`.
    ///
    /// # Errors
    ///
    /// The result carries an error as that of [`Tensor::histogram_with`].
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let edges = tensor([0.0, 1.0, 4.0]).histogram_bin_edges(2, HistogramOptions::new());
    /// assert_eq!(edges.to_vec::<f32>()?, [0.0, 2.0, 4.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn histogram_bin_edges(&self, bins: impl Into<Bins>, options: HistogramOptions) -> Tensor {
        tensor_or_error(self.edges_of(&bins.into(), &options))
    }

    #[track_caller]
    fn edges_of(&self, bins: &Bins, options: &HistogramOptions) -> Result<Tensor, Tensor> {
        let (op, at) = ("histogram_bin_edges", Location::caller());
        let x = self.real_float(op, at)?.flatten();
        edges(op, &x, bins, options.range_of(op, 0, 1, at)?, at)
    }

    /// Counts pairs of elements of `self` and `y` in a grid of bins; returns the counts, or sums or
    /// densities as the options say, of shape `[bins of self, bins of y]`, and the edges of both.
    ///
    /// `self` and `y` are vectors of one size. [`Tensor::histogram_with`] describes bins and
    /// options. Follows `jax.numpy.histogram2d`.
    ///
    /// # Errors
    ///
    /// All results carry an error if the operands are not vectors of one size, and as those of
    /// [`Tensor::histogram_with`].
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (x, y) = (tensor([0.0, 0.0, 1.0]), tensor([0.0, 1.0, 1.0]));
    /// let (counts, _, _) = x.histogram2d(&y, [2, 2], HistogramOptions::new());
    /// assert_eq!(counts.to_vec::<i32>()?, [1, 1, 0, 1]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn histogram2d<B: Into<Bins>>(
        &self,
        y: &Tensor,
        bins: [B; 2],
        options: HistogramOptions,
    ) -> (Tensor, Tensor, Tensor) {
        let columns = [self.clone(), y.clone()];
        let result = grid_histogram("histogram2d", &columns, &bins.map(Into::into), &options);
        match result.map(|(counts, edges)| (counts, <[Tensor; 2]>::try_from(edges))) {
            Ok((counts, Ok([x_edges, y_edges]))) => (counts, x_edges, y_edges),
            Ok((counts, Err(_))) => (counts.clone(), counts.clone(), counts),
            Err(e) => (e.clone(), e.clone(), e),
        }
    }

    /// Counts points, the rows of a matrix `[points, axes]`, in a grid of bins; returns the counts,
    /// or sums or densities as the options say, with one axis for each column, and the edges along
    /// each axis.
    ///
    /// `bins` has an entry for each column. [`Tensor::histogram_with`] describes bins and options;
    /// there is one weight for each point. Follows `jax.numpy.histogramdd`.
    ///
    /// # Errors
    ///
    /// The counts, and the only edges, carry an error if `self` is not a matrix with a column for
    /// each entry of `bins`, and as those of [`Tensor::histogram_with`].
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let points = tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0]]);
    /// let (counts, edges) = points.histogramdd([2, 3], HistogramOptions::new());
    /// assert_eq!(counts.to_vec::<i32>()?, [1, 0, 1, 0, 0, 1]);
    /// assert_eq!(edges[0].to_vec::<f32>()?, [0.0, 0.5, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn histogramdd<B: Into<Bins>>(
        &self,
        bins: impl IntoIterator<Item = B>,
        options: HistogramOptions,
    ) -> (Tensor, Vec<Tensor>) {
        let (op, at) = ("histogramdd", Location::caller());
        let bins: Vec<Bins> = bins.into_iter().map(Into::into).collect();
        if self.error().is_none() && (self.rank() != 2 || self.shape().get(1) != Some(&bins.len()))
        {
            let why = format!(
                "expected a matrix with a column for each of {} entries of bins, got {}",
                bins.len(),
                self.dtype_and_shape()
            );
            let e = Tensor::fail(op, why, at);
            return (e.clone(), vec![e]);
        }
        match grid_histogram(op, &self.unstack(1), &bins, &options) {
            Ok(result) => result,
            Err(e) => (e.clone(), vec![e]),
        }
    }

    /// Counts the elements along one axis of bins.
    #[track_caller]
    fn one_histogram(&self, op: &str, bins: Bins, options: HistogramOptions) -> (Tensor, Tensor) {
        let x = self.flatten();
        let weights = options.weights.as_ref().map(|w| {
            // Weights of another shape stay as they are, and are refused.
            if w.shape() == self.shape() { w.flatten() } else { w.clone() }
        });
        match grid_histogram(op, &[x], &[bins], &HistogramOptions { weights, ..options }) {
            Ok((counts, mut edges)) => (counts, edges.remove(0)),
            Err(e) => (e.clone(), e),
        }
    }
}

impl HistogramOptions {
    /// Returns the range along `axis` of `axes`, if there is one.
    fn range_of(
        &self,
        op: &str,
        axis: usize,
        axes: usize,
        at: CallSite,
    ) -> Result<Option<(f64, f64)>, Tensor> {
        let range = match &self.ranges[..] {
            [] => return Ok(None),
            [one] => *one,
            all if all.len() == axes => all[axis],
            all => {
                let why =
                    format!("expected one range or {axes}, one for each axis, got {}", all.len());
                return Err(Tensor::fail(op, why, at));
            }
        };
        let (low, high) = range;
        if low <= high && low.is_finite() && high.is_finite() {
            return Ok(Some(range));
        }
        let why = format!("expected a finite range of numbers, got {low:?} to {high:?}");
        Err(Tensor::fail(op, why, at))
    }
}

/// Counts points, whose coordinates are `columns`, vectors of one size, in a grid of bins. Returns
/// the counts and the edges along each axis.
#[track_caller]
fn grid_histogram(
    op: &str,
    columns: &[Tensor],
    bins: &[Bins],
    options: &HistogramOptions,
) -> Result<(Tensor, Vec<Tensor>), Tensor> {
    let at = Location::caller();
    let points = columns.first().map_or(0, Tensor::size);
    let weights = options.weights.as_ref().map(|w| w.clone().float(at));
    for given in columns.iter().chain(&weights) {
        if given.type_or_error()?.shape[..] != [points] {
            let why = format!(
                "expected operands and weights of one size, {points} here, got {}",
                given.dtype_and_shape()
            );
            return Err(Tensor::fail(op, why, at));
        }
    }
    let (mut indices, mut all_edges, mut dtype) = (vec![], vec![], DType::F32);
    for (axis, (x, bins)) in columns.iter().zip(bins).enumerate() {
        let x = x.real_float(op, at)?;
        dtype = x.dtype();
        let range = options.range_of(op, axis, columns.len(), at)?;
        let edges = edges(op, &x, bins, range, at)?;
        indices.push((axis, bin_of(&x, &edges)));
        all_edges.push(edges);
    }
    let sizes: Vec<usize> = all_edges.iter().map(|e| e.size().saturating_sub(1)).collect();
    let (update, result) = match weights {
        Some(w) => (w.wide(at).0, w.dtype()),
        None => (Tensor::scalar(DType::I32, 1), DType::I32),
    };
    let zeros = Tensor::zeros_of(update.dtype(), &sizes);
    let counts = scatter(op, ScatterKind::Add, false, &zeros, &indices, &update, at)?;
    if !options.is_density {
        return Ok((counts.convert(result, at), all_edges));
    }
    let mut density = &counts / counts.sum(..);
    for (axis, edges) in all_edges.iter().enumerate() {
        let mut shape = vec![1; sizes.len()];
        shape[axis] = sizes[axis];
        density /= edges.wide(at).0.diff(1, 0).reshaped(shape, at);
    }
    let result = if result == DType::I32 { dtype } else { result };
    Ok((density.convert(result, at), all_edges))
}

/// Returns the edges of the bins of `x`, floats, in its dtype.
#[track_caller]
fn edges(
    op: &str,
    x: &Tensor,
    bins: &Bins,
    range: Option<(f64, f64)>,
    at: CallSite,
) -> Result<Tensor, Tensor> {
    let count = match bins {
        Bins::Edges(edges) if edges.type_or_error()?.rank() == 1 && edges.size() > 0 => {
            return Ok(edges.real_float(op, at)?.convert(x.dtype(), at));
        }
        Bins::Edges(edges) => {
            let why = format!("expected a vector of edges, got {}", edges.dtype_and_shape());
            return Err(Tensor::fail(op, why, at));
        }
        Bins::Count(0) => {
            return Err(Tensor::fail(op, "expected at least one bin, got 0", at));
        }
        Bins::Count(count) if *count >= i32::MAX as usize => {
            let why = format!("expected fewer than 2^31 - 1 bins, got {count}");
            return Err(Tensor::fail(op, why, at));
        }
        Bins::Count(count) => *count,
    };
    match range {
        Some((low, high)) => {
            // As in NumPy, a range of one number gets the width 1.
            let half = if low == high { 0.5 } else { 0.0 };
            Ok(Tensor::linspace_of(x.dtype(), low - half, high + half, count + 1, at))
        }
        None if x.size() == 0 => {
            let why = "expected at least one element, or a range in the options";
            Err(Tensor::fail(op, why, at))
        }
        None => {
            // NaN are not counted. Without other elements, the range is that of one zero.
            let is_nan = x.is_nan();
            let zero = x.zeros_like().min(..);
            let low = is_nan.all(..).select(&zero, x.nanmin(..)).wide(at).0;
            let high = is_nan.all(..).select(&zero, x.nanmax(..)).wide(at).0;
            let half = low.equal(&high).convert(low.dtype(), at) * 0.5;
            let edges = evenly_spaced(&(low - &half), &(high + half), count + 1, true);
            Ok(edges.convert(x.dtype(), at))
        }
    }
}

/// Returns the bin of each element between `edges`, i32; the number of bins for an element outside.
#[track_caller]
fn bin_of(x: &Tensor, edges: &Tensor) -> Tensor {
    let bins = edges.size() - 1;
    let bin = edges.searchsorted(x, Side::Right) - 1;
    let bin = x.equal(edges.get(-1)).select(&bin - 1, &bin);
    let outside = bin.lt(0) | bin.ge(bins) | x.is_nan();
    outside.select(bins, bin)
}

#[cfg(test)]
mod tests {
    use crate::Bins;
    use crate::prelude::*;

    #[test]
    fn histogram_is_numpys() {
        let (counts, _) =
            tensor([-1.0, 0.0, 0.2, 0.4, 0.6, 1.0, 1.5, f32::NAN]).histogram(5, 0.0, 1.0);
        assert_eq!(counts.to_vec::<i32>().unwrap(), [1, 1, 1, 1, 1]);
        for bins in [usize::MAX, i32::MAX as usize] {
            let (counts, edges) = tensor([1.0]).histogram(bins, 0.0, 1.0);
            assert_eq!(
                (counts.ok().unwrap_err().op(), edges.ok().unwrap_err().op()),
                ("histogram", "histogram")
            );
        }
    }

    #[test]
    fn one_value_has_bins_of_width_one() {
        let (counts, edges) = tensor([3.0, 3.0]).histogram_with(2, HistogramOptions::new());
        assert_eq!(counts.to_vec::<i32>().unwrap(), [0, 2]);
        assert_eq!(edges.to_vec::<f32>().unwrap(), [2.5, 3.0, 3.5]);
        let (_, edges) = tensor([3.0]).histogram(1, 1.0, 1.0);
        assert_eq!(edges.to_vec::<f32>().unwrap(), [0.5, 1.5]);
    }

    #[test]
    fn grids_count_points_and_weigh_them() {
        let points = tensor([[0.0, 2.0], [1.0, 0.0], [1.0, 2.0], [9.0, f32::NAN]]);
        let options = HistogramOptions::new().ranges([(0.0, 1.0), (0.0, 2.0)]);
        let (counts, edges) = points.histogramdd([2, 2], options.clone());
        assert_eq!(counts.to_vec::<i32>().unwrap(), [0, 1, 1, 1]);
        assert_eq!(edges[1].to_vec::<f32>().unwrap(), [0.0, 1.0, 2.0]);
        let (sums, _) = points.histogramdd(
            [Bins::Count(2), Bins::Edges(tensor([0.0, 1.0, 2.0]))],
            options.weights(tensor([1, 2, 4, 8])).density(),
        );
        let cells = [0.0, 1.0 / 7.0, 2.0 / 7.0, 4.0 / 7.0].map(|x: f32| x * 2.0);
        let got = sums.to_vec::<f32>().unwrap();
        assert!(got.iter().zip(cells).all(|(a, b)| (a - b).abs() < 1e-6), "{got:?}");
    }

    #[test]
    fn misuse_is_an_error() {
        let say = |y: Tensor| y.error().unwrap().to_string();
        let options = HistogramOptions::new;
        let x = tensor([1.0, 2.0]);
        let weights = options().weights(tensor([1.0]));
        assert!(say(x.histogram_with(2, weights).0).contains("of one size, 2 here, got f32[1]"));
        assert!(say(Tensor::zeros([0]).histogram_with(2, options()).1).contains("or a range in"));
        assert!(say(x.histogram_with(tensor(1.0), options()).0).contains("vector of edges"));
        assert!(say(x.histogramdd([2], options()).0).contains("a matrix with a column for each"));
        assert!(say(x.histogram2d(&tensor([1.0]), [2, 2], options()).2).contains("of one size"));
        let three = options().ranges([(0.0, 1.0); 3]);
        assert!(say(x.histogram2d(&x, [2, 2], three).0).contains("one range or 2"));
        assert!(say(x.histogram_with(2, options().range(2.0, 1.0)).0).contains("finite range"));
    }
}
