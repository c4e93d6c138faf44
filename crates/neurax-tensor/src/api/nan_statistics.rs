//! Variances and quantiles of the elements that are not NaN.

use super::{common::tensor_or_error, statistics::QuantileOf};
use crate::{DType, IntoAxes, Operand, QuantileOptions, ReduceOptions, Tensor};

impl Tensor {
    /// Computes the variance over `axes` of the elements that are not NaN: [`Tensor::var`]; NaN if
    /// there are none.
    ///
    /// The sum of the squared deviations is divided by their number minus `ddof`. Follows
    /// `numpy.nanvar`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1.0, f32::NAN, 3.0]).nanvar(.., 1).item()?, 2.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn nanvar(&self, axes: impl IntoAxes, ddof: usize) -> Tensor {
        self.var_with(axes, ddof, ReduceOptions::new().where_(!self.is_nan()))
    }

    /// Computes the standard deviation over `axes` of the elements that are not NaN: the square
    /// root of [`Tensor::nanvar`].
    ///
    /// The derivative where it is 0 is defined as 0. Follows `numpy.nanstd`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1.0, f32::NAN, 3.0]).nanstd(.., 0).item()?, 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn nanstd(&self, axes: impl IntoAxes, ddof: usize) -> Tensor {
        self.std_with(axes, ddof, ReduceOptions::new().where_(!self.is_nan()))
    }

    /// Computes the median over `axes` of the elements that are not NaN: [`Tensor::median`]; NaN if
    /// there are none.
    ///
    /// Follows `numpy.nanmedian`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the axes are empty, and for complex numbers.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1.0, f32::NAN, 4.0]).nanmedian(..).item()?, 2.5);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn nanmedian(&self, axes: impl IntoAxes) -> Tensor {
        let q = Tensor::scalar(DType::F32, 0.5);
        tensor_or_error(self.quantiles(&QuantileOf::known("nanmedian"), &q, &axes))
    }

    /// Computes quantiles over `axes` of the elements that are not NaN: [`Tensor::quantile`]; NaN
    /// if there are none.
    ///
    /// Follows `numpy.nanquantile`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the axes are empty, if `q` has more than one axis, and for
    /// complex numbers.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1.0, f32::NAN, 2.0, 3.0]);
    /// assert_eq!(x.nanquantile(0.75, ..).item()?, 2.5);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn nanquantile(&self, q: impl Operand, axes: impl IntoAxes) -> Tensor {
        self.nanquantile_with(q, axes, QuantileOptions::new())
    }

    /// Computes quantiles over `axes` of the elements that are not NaN, with options:
    /// [`Tensor::nanquantile`].
    ///
    /// # Errors
    ///
    /// The result carries an error if the axes are empty, if `q` has more than one axis, and for
    /// complex numbers.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1.0, f32::NAN, 2.0, 3.0]);
    /// let options = QuantileOptions::new().method(QuantileMethod::Lower);
    /// assert_eq!(x.nanquantile_with(0.75, .., options).item()?, 2.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn nanquantile_with(
        &self,
        q: impl Operand,
        axes: impl IntoAxes,
        options: QuantileOptions,
    ) -> Tensor {
        let of = QuantileOf { options, ..QuantileOf::known("nanquantile") };
        self.quantiles_of(of, q, 1.0, axes)
    }

    /// Computes percentiles over `axes` of the elements that are not NaN: [`Tensor::nanquantile`]
    /// with `q` from 0 to 100.
    ///
    /// Follows `numpy.nanpercentile`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the axes are empty, if `q` has more than one axis, and for
    /// complex numbers.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1.0, f32::NAN, 2.0, 3.0]);
    /// assert_eq!(x.nanpercentile(75, ..).item()?, 2.5);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn nanpercentile(&self, q: impl Operand, axes: impl IntoAxes) -> Tensor {
        self.nanpercentile_with(q, axes, QuantileOptions::new())
    }

    /// Computes percentiles over `axes` of the elements that are not NaN, with options:
    /// [`Tensor::nanpercentile`].
    ///
    /// # Errors
    ///
    /// The result carries an error if the axes are empty, if `q` has more than one axis, and for
    /// complex numbers.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1.0, f32::NAN, 2.0, 3.0]);
    /// let options = QuantileOptions::new().method(QuantileMethod::Midpoint);
    /// assert_eq!(x.nanpercentile_with(10, .., options).item()?, 1.5);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn nanpercentile_with(
        &self,
        q: impl Operand,
        axes: impl IntoAxes,
        options: QuantileOptions,
    ) -> Tensor {
        let of = QuantileOf { options, ..QuantileOf::known("nanpercentile") };
        self.quantiles_of(of, q, 100.0, axes)
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn rows_of_nan_are_nan_and_others_have_no_influence() {
        let nan = f32::NAN;
        let x = tensor([[nan, 1.0, 5.0, 3.0], [nan, nan, nan, nan], [nan, 2.0, nan, nan]]);
        let all = [x.nanmedian(1), x.nanquantile(0.25, 1), x.nanvar(1, 0), x.nanstd(1, 1)];
        let rows: Vec<Vec<f32>> = all.iter().map(|y| y.to_vec().unwrap()).collect();
        let deviation = 2.0;
        let first = [3.0, 2.0, 8.0 / 3.0, deviation];
        let last = [2.0, 2.0, 0.0, nan];
        for (i, row) in rows.iter().enumerate() {
            assert!((row[0] - first[i]).abs() < 1e-6, "{i}: {row:?}");
            assert!(row[1].is_nan(), "{i}: {row:?}");
            assert!(row[2] == last[i] || (row[2].is_nan() && last[i].is_nan()), "{i}: {row:?}");
        }
        let both = x.nanpercentile(tensor([0.0, 100.0]), keep(1));
        assert_eq!(both.shape(), [2, 3, 1]);
        assert_eq!(both.index((.., 0, 0)).to_vec::<f32>().unwrap(), [1.0, 5.0]);
    }

    #[test]
    fn infinities_are_elements() {
        let x = tensor([f32::NEG_INFINITY, f32::NAN, 0.0, f32::INFINITY]);
        assert_eq!(x.nanquantile(0.25, ..).item().unwrap(), f64::NEG_INFINITY);
        assert_eq!(x.nanmedian(..).item().unwrap(), 0.0);
        assert_eq!(tensor([1, 2, 3]).nanmedian(..).item().unwrap(), 2.0);
    }
}
