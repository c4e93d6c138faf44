//! Missing numbers replaced.

use super::columns::{check_counts, counts, rows_of_columns};
use super::fitted::load_fitted;
use neurax_tensor::io::safetensors;
use neurax_tensor::{DType, Result, Tensor, Tree, where_};
use std::path::Path;

const FILL_OP: &str = "fill_missing";

/// Missing numbers, NaN, replaced by one value for each column, the last axis.
///
/// ```
/// use neurax::{data::prepare::FillMissing, prelude::*};
/// let x = tensor([[1.0, 8.0], [f32::NAN, 4.0], [3.0, f32::NAN]]);
/// let filled = FillMissing::mean(&x)?.apply(&x);
/// assert_eq!(filled.to_vec::<f32>()?, [1.0, 8.0, 2.0, 4.0, 3.0, 6.0]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Tree, Clone, Debug)]
pub struct FillMissing {
    /// The value of each column, `f32[columns]`, or of all columns, f32[].
    pub values: Tensor,
}

impl FillMissing {
    /// Creates the replacement of missing numbers by `value`.
    ///
    /// ```
    /// use neurax::{data::prepare::FillMissing, prelude::*};
    /// let filled = FillMissing::value(-1.0).apply(&tensor([1.0, f32::NAN]));
    /// assert_eq!(filled.to_vec::<f32>()?, [1.0, -1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn value(value: f32) -> FillMissing {
        FillMissing { values: Tensor::full((), value) }
    }

    /// Computes the mean of each column of `x`, the last axis.
    ///
    /// # Errors
    /// If `x` has no axes, or a column holds no number.
    pub fn mean(x: &Tensor) -> Result<FillMissing> {
        FillMissing::fit(x, |columns| columns.nanmean(0))
    }

    /// Computes the median of each column of `x`, the last axis.
    ///
    /// # Errors
    /// If `x` has no axes, or a column holds no number.
    ///
    /// ```
    /// use neurax::{data::prepare::FillMissing, prelude::*};
    /// let x = tensor([[1.0], [2.0], [90.0], [f32::NAN]]);
    /// assert_eq!(FillMissing::median(&x)?.values.to_vec::<f32>()?, [2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn median(x: &Tensor) -> Result<FillMissing> {
        FillMissing::fit(x, |columns| columns.nanmedian(0))
    }

    /// Returns `x` with numbers instead of NaN.
    #[track_caller]
    pub fn apply(&self, x: &Tensor) -> Tensor {
        where_(&x.is_nan(), &self.values, x)
    }

    /// Returns where `x` is missing, as 1 and 0: an additional input for a model.
    ///
    /// ```
    /// use neurax::{data::prepare::FillMissing, prelude::*};
    /// let missing = FillMissing::value(0.0).indicator(&tensor([1.0, f32::NAN]));
    /// assert_eq!(missing.to_vec::<f32>()?, [0.0, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn indicator(&self, x: &Tensor) -> Tensor {
        x.is_nan().to(DType::F32)
    }

    /// Writes the tensor to a safetensors file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        safetensors::save(self, path)
    }

    /// Reads the tensor that [`FillMissing::save`] wrote.
    ///
    /// # Errors
    /// If the file cannot be read or lacks the tensor.
    ///
    /// ```
    /// use neurax::{data::prepare::FillMissing, prelude::*};
    /// # let path = std::env::temp_dir().join("neurax-doc-fill");
    /// FillMissing::mean(&tensor([[1.0], [3.0]]))?.save(&path)?;
    /// assert_eq!(FillMissing::load(&path)?.values.to_vec::<f32>()?, [2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn load(path: impl AsRef<Path>) -> Result<FillMissing> {
        load_fitted(&FillMissing::value(0.0), path.as_ref())
    }

    fn fit(x: &Tensor, of: impl Fn(&Tensor) -> Tensor) -> Result<FillMissing> {
        let columns = rows_of_columns(FILL_OP, x)?;
        check_counts(FILL_OP, &counts(&columns))?;
        FillMissing { values: of(&columns).to(DType::F32) }.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::tensor;

    #[test]
    fn a_value_for_all_columns() {
        let x = tensor([[1.0, f32::NAN], [f32::NAN, 2.0]]);
        let fill = FillMissing::value(-1.0);
        assert_eq!(fill.apply(&x).to_vec::<f32>().unwrap(), [1.0, -1.0, -1.0, 2.0]);
        assert_eq!(fill.indicator(&x).to_vec::<f32>().unwrap(), [0.0, 1.0, 1.0, 0.0]);
        let path = std::env::temp_dir().join(format!("neurax-fill-{}", std::process::id()));
        FillMissing::mean(&x).unwrap().save(&path).unwrap();
        assert_eq!(FillMissing::load(&path).unwrap().values.to_vec::<f32>().unwrap(), [1.0, 2.0]);
        assert!(FillMissing::median(&tensor([[f32::NAN]])).is_err());
    }
}
