//! Columns with mean 0 and standard deviation 1.

use super::fitted::load_fitted;
use super::moments::ColumnMoments;
use neurax_tensor::io::safetensors;
use neurax_tensor::{Result, Tensor, Tree, where_};
use std::path::Path;

const STANDARDIZER_OP: &str = "standardizer";

/// Columns scaled to mean 0 and standard deviation 1: `(x - mean) / deviation`. Columns are the
/// last axis. A column whose values are all equal becomes 0.
///
/// NaN is left out when fitting, and stays NaN; [`FillMissing`](super::FillMissing) replaces it.
///
/// ```
/// use neurax::{data::prepare::Standardizer, prelude::*};
/// let x = tensor([[1.0, 10.0], [3.0, 30.0]]);
/// let scale = Standardizer::fit(&x)?;
/// assert_eq!(scale.apply(&x).to_vec::<f32>()?, [-1.0, -1.0, 1.0, 1.0]);
/// assert_eq!(scale.invert(&tensor([[0.0, 2.0]])).to_vec::<f32>()?, [2.0, 40.0]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Tree, Clone, Debug)]
pub struct Standardizer {
    /// The mean of each column, `f32[columns]`; f64 if it was fitted to f64.
    pub mean: Tensor,
    /// The standard deviation of each column, of the dtype of `mean`; 1 where all values are equal.
    pub deviation: Tensor,
}

impl Standardizer {
    /// Computes the mean and the standard deviation of the columns of `x`, the last axis.
    ///
    /// # Errors
    /// If `x` has no axes, or a column holds no number or an infinite one.
    pub fn fit(x: &Tensor) -> Result<Standardizer> {
        Standardizer::fit_parts([Ok(x.clone())])
    }

    /// Computes the mean and the standard deviation of the columns of all `parts`, such as the
    /// inputs of the batches of a stream that is larger than memory.
    ///
    /// # Errors
    /// The errors of the parts, and of [`Standardizer::fit`].
    ///
    /// ```
    /// use neurax::{data::prepare::Standardizer, prelude::*};
    /// let batches = data::iris()?.batched(32).stream();
    /// let scale = Standardizer::fit_parts(batches.map(|batch| batch.x).epoch(0))?;
    /// let whole = Standardizer::fit(&data::iris()?.x)?;
    /// assert!((scale.mean - whole.mean).abs().max(..).item()? < 1e-5);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn fit_parts(parts: impl IntoIterator<Item = Result<Tensor>>) -> Result<Standardizer> {
        let (moments, dtype) = ColumnMoments::fit(STANDARDIZER_OP, parts)?;
        let deviation = where_(&moments.is_constant(), 1.0, moments.deviation());
        Standardizer { mean: moments.mean().to(dtype), deviation: deviation.to(dtype) }.ok()
    }

    /// Returns the scaled `x`, whose last axis has the fitted columns.
    #[track_caller]
    pub fn apply(&self, x: &Tensor) -> Tensor {
        (x - &self.mean) / &self.deviation
    }

    /// Returns the values that [`Standardizer::apply`] scales to `x`.
    #[track_caller]
    pub fn invert(&self, x: &Tensor) -> Tensor {
        x * &self.deviation + &self.mean
    }

    /// Writes the tensors to a safetensors file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        safetensors::save(self, path)
    }

    /// Reads the tensors that [`Standardizer::save`] wrote.
    ///
    /// # Errors
    /// If the file cannot be read or lacks a tensor.
    ///
    /// ```
    /// use neurax::{data::prepare::Standardizer, prelude::*};
    /// # let path = std::env::temp_dir().join("neurax-doc-standardizer");
    /// let scale = Standardizer::fit(&tensor([[1.0], [3.0]]))?;
    /// scale.save(&path)?;
    /// assert_eq!(Standardizer::load(&path)?.mean.to_vec::<f32>()?, [2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn load(path: impl AsRef<Path>) -> Result<Standardizer> {
        let like = Standardizer { mean: Tensor::zeros(0), deviation: Tensor::zeros(0) };
        load_fitted(&like, path.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::{DType, jit, key, tensor};

    #[test]
    fn parts_give_the_moments_of_the_whole() {
        // A mean that is large in comparison with the deviation.
        let x = key(0).normal([60, 3]) * 0.01 + 1000.0;
        let whole = Standardizer::fit(&x).unwrap();
        let parts = [x.slice(0, ..7), x.slice(0, 7..8), x.slice(0, 8..)];
        let parts = Standardizer::fit_parts(parts.into_iter().map(Ok)).unwrap();
        let close = |a: &Tensor, b: &Tensor| (a - b).abs().max(..).item().unwrap();
        assert!(close(&whole.mean, &parts.mean) < 1e-3);
        assert!(close(&whole.deviation, &parts.deviation) < 1e-5);
        assert!(close(&whole.deviation, &x.std(0, 0)) < 1e-5);
    }

    #[test]
    fn missing_and_equal_values() {
        let x = tensor([[1.0, 5.0, f32::NAN], [3.0, 5.0, 7.0], [f32::NAN, 5.0, 9.0]]);
        let scale = Standardizer::fit(&x).unwrap();
        assert_eq!(scale.mean.to_vec::<f32>().unwrap(), [2.0, 5.0, 8.0]);
        let y = scale.apply(&x).to_vec::<f32>().unwrap();
        assert!(y[2].is_nan() && y[6].is_nan());
        assert_eq!((y[0], y[1], y[5]), (-1.0, 0.0, -1.0));
        let e = Standardizer::fit(&tensor([[1.0, f32::NAN]])).unwrap_err().to_string();
        assert!(e.contains("expected a number in column 1, got only missing ones"), "{e}");
        assert!(Standardizer::fit(&tensor(1.0)).is_err());
        let parts = [Ok(tensor([[1.0]])), Ok(tensor([[1.0, 2.0]]))];
        let e = Standardizer::fit_parts(parts).unwrap_err().to_string();
        assert!(e.contains("expected 1 columns, as in the first part, got 2"), "{e}");
    }

    #[test]
    fn columns_of_f64_keep_their_digits_and_infinities_are_errors() {
        // The rounded mean of three times 0.1 is not 0.1.
        let x = Tensor::from_vec(vec![0.1f64, 1e9, 0.1, 1e9 + 1e-3, 0.1, 1e9 + 2e-3], [3, 2]);
        for parts in [vec![x.clone()], (0..3).map(|i| x.slice(0, i..i + 1)).collect()] {
            let scale = Standardizer::fit_parts(parts.into_iter().map(Ok)).unwrap();
            assert_eq!((scale.mean.dtype(), scale.deviation.dtype()), (DType::F64, DType::F64));
            let y = scale.apply(&x).to_vec::<f64>().unwrap();
            assert_eq!([y[0], y[2], y[4]], [0.0; 3]);
            assert!((y[5] - 1.5f64.sqrt()).abs() < 1e-3, "{y:?}");
        }
        let e = Standardizer::fit(&tensor([[1.0, f32::NEG_INFINITY]])).unwrap_err().to_string();
        assert!(e.contains("in column 1, got an infinite one"), "{e}");
    }

    #[test]
    fn it_runs_inside_of_jit() {
        let scale = Standardizer::fit(&tensor([[1.0], [3.0]])).unwrap();
        let f = jit(move |x: Tensor| scale.apply(&x));
        assert_eq!(f.run(tensor([[5.0]])).unwrap().to_vec::<f32>().unwrap(), [3.0]);
    }
}
