//! Columns in the range 0 to 1.

use super::columns::{check_columns, check_counts, counts, fitted_dtype, ranges, rows_of_columns};
use super::fitted::load_fitted;
use neurax_tensor::io::safetensors;
use neurax_tensor::{DType, Error, Result, Tensor, Tree, where_};
use std::path::Path;

const MIN_MAX_OP: &str = "min_max";

/// Columns scaled to the range 0 to 1: `(x - low) / (high - low)`. Columns are the last axis.
/// Values outside of the fitted range are outside of 0 to 1. A column whose values are all equal
/// becomes 0.
///
/// NaN is left out when fitting, and stays NaN; [`FillMissing`](super::FillMissing) replaces it.
///
/// ```
/// use neurax::{data::prepare::MinMaxScaler, prelude::*};
/// let scale = MinMaxScaler::fit(&tensor([[1.0, 10.0], [3.0, 30.0]]))?;
/// let x = tensor([[2.0, 40.0]]);
/// assert_eq!(scale.apply(&x).to_vec::<f32>()?, [0.5, 1.5]);
/// assert_eq!(scale.invert(&scale.apply(&x)).to_vec::<f32>()?, [2.0, 40.0]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Tree, Clone, Debug)]
pub struct MinMaxScaler {
    /// The smallest value of each column, `f32[columns]`; f64 if it was fitted to f64.
    pub low: Tensor,
    /// The largest value of each column, of the dtype of `low`.
    pub high: Tensor,
}

impl MinMaxScaler {
    /// Computes the range of the columns of `x`, the last axis.
    ///
    /// # Errors
    /// If `x` has no axes, or a column holds no number or an infinite one.
    pub fn fit(x: &Tensor) -> Result<MinMaxScaler> {
        MinMaxScaler::fit_parts([Ok(x.clone())])
    }

    /// Computes the range of the columns of all `parts`, such as the inputs of the batches of a
    /// stream that is larger than memory.
    ///
    /// # Errors
    /// The errors of the parts, and of [`MinMaxScaler::fit`].
    ///
    /// ```
    /// use neurax::{data::prepare::MinMaxScaler, prelude::*};
    /// let batches = data::digits()?.batched(100).stream();
    /// let scale = MinMaxScaler::fit_parts(batches.map(|batch| batch.x).epoch(0))?;
    /// assert_eq!((scale.low.min(..).item()?, scale.high.max(..).item()?), (0.0, 1.0));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn fit_parts(parts: impl IntoIterator<Item = Result<Tensor>>) -> Result<MinMaxScaler> {
        let mut all: Option<(Tensor, Tensor, Tensor)> = None;
        let mut dtype = DType::F32;
        for part in parts {
            let part = part?;
            dtype = fitted_dtype(dtype, part.dtype());
            let x = rows_of_columns(MIN_MAX_OP, &part)?;
            let (low, high) = ranges(MIN_MAX_OP, &x)?;
            let part = (low, high, counts(&x));
            all = Some(match all {
                None => part,
                Some((low, high, count)) => {
                    check_columns(MIN_MAX_OP, &low, &part.0)?;
                    (low.minimum(part.0), high.maximum(part.1), count + part.2).ok()?
                }
            });
        }
        let (low, high, count) =
            all.ok_or_else(|| Error::new(MIN_MAX_OP, "expected at least one part, got none"))?;
        check_counts(MIN_MAX_OP, &count)?;
        MinMaxScaler { low: low.to(dtype), high: high.to(dtype) }.ok()
    }

    /// Returns the scaled `x`, whose last axis has the fitted columns.
    #[track_caller]
    pub fn apply(&self, x: &Tensor) -> Tensor {
        (x - &self.low) / self.width()
    }

    /// Returns the values that [`MinMaxScaler::apply`] scales to `x`.
    #[track_caller]
    pub fn invert(&self, x: &Tensor) -> Tensor {
        x * self.width() + &self.low
    }

    /// Writes the tensors to a safetensors file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        safetensors::save(self, path)
    }

    /// Reads the tensors that [`MinMaxScaler::save`] wrote.
    ///
    /// # Errors
    /// If the file cannot be read or lacks a tensor.
    ///
    /// ```
    /// use neurax::{data::prepare::MinMaxScaler, prelude::*};
    /// # let path = std::env::temp_dir().join("neurax-doc-min-max");
    /// MinMaxScaler::fit(&tensor([[1.0], [3.0]]))?.save(&path)?;
    /// assert_eq!(MinMaxScaler::load(&path)?.high.to_vec::<f32>()?, [3.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn load(path: impl AsRef<Path>) -> Result<MinMaxScaler> {
        let like = MinMaxScaler { low: Tensor::zeros(0), high: Tensor::zeros(0) };
        load_fitted(&like, path.as_ref())
    }

    /// Returns the width of each range; 1 where all values are equal.
    fn width(&self) -> Tensor {
        let width = &self.high - &self.low;
        where_(&width.equal(0.0), 1.0, &width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::tensor;

    #[test]
    fn missing_and_equal_values() {
        let x = tensor([[1.0, 5.0], [f32::NAN, 5.0], [3.0, 5.0]]);
        let scale = MinMaxScaler::fit(&x).unwrap();
        let y = scale.apply(&x).to_vec::<f32>().unwrap();
        assert_eq!([y[0], y[1], y[3], y[4]], [0.0, 0.0, 0.0, 1.0]);
        assert!(y[2].is_nan());
        let parts = [x.slice(0, ..1), x.slice(0, 1..2), x.slice(0, 2..)].into_iter().map(Ok);
        let parts = MinMaxScaler::fit_parts(parts).unwrap();
        assert_eq!(parts.high.to_vec::<f32>().unwrap(), [3.0, 5.0]);
        assert!(MinMaxScaler::fit(&tensor([[f32::NAN]])).is_err());
        assert!(MinMaxScaler::fit(&Tensor::zeros([0, 2])).is_err());
    }

    #[test]
    fn columns_of_f64_keep_their_digits_and_infinities_are_errors() {
        // Two numbers that are one f32.
        let x = Tensor::from_vec(vec![1.0f64, 1.0 + 1e-9], [2, 1]);
        let scale = MinMaxScaler::fit(&x).unwrap();
        assert_eq!(scale.low.dtype(), DType::F64);
        assert_eq!(scale.apply(&x).to_vec::<f64>().unwrap(), [0.0, 1.0]);
        let e = MinMaxScaler::fit(&tensor([[1.0, f32::INFINITY]])).unwrap_err().to_string();
        assert!(e.contains("in column 1, got an infinite one"), "{e}");
    }

    #[test]
    fn a_saved_value_is_loaded() {
        let path = std::env::temp_dir().join(format!("neurax-min-max-{}", std::process::id()));
        MinMaxScaler::fit(&tensor([[1.5], [2.5]])).unwrap().save(&path).unwrap();
        assert_eq!(MinMaxScaler::load(&path).unwrap().low.to_vec::<f32>().unwrap(), [1.5]);
        let e = super::super::Standardizer::load(&path).unwrap_err().to_string();
        assert!(e.contains("expected a tensor `mean`, got none"), "{e}");
    }
}
