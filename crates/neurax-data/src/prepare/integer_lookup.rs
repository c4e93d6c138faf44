//! Integers as indices of a vocabulary.

use super::fitted::load_fitted;
use neurax_tensor::io::safetensors;
use neurax_tensor::{DType, Error, Result, Side, Tensor, Tree, where_};
use std::collections::BTreeSet;
use std::path::Path;

const INTEGER_OP: &str = "integer_lookup";

/// Integers as indices: the values that were fitted, in ascending order, have the indices 1, 2, ..;
/// all others have index 0. For embeddings of identifiers that are large or have gaps.
///
/// ```
/// use neurax::{data::prepare::IntegerLookup, prelude::*};
/// let lookup = IntegerLookup::fit(&tensor([900, 17, 900, 4]))?;
/// assert_eq!(lookup.len(), 4);
/// assert_eq!(lookup.indices(&tensor([4, 17, 900, 5])).to_vec::<i32>()?, [1, 2, 3, 0]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Tree, Clone, Debug)]
pub struct IntegerLookup {
    /// The known values in ascending order, `i64[n]`.
    pub values: Tensor,
}

impl IntegerLookup {
    /// Finds the distinct values of an integer tensor.
    ///
    /// # Errors
    /// If `x` is no tensor of integers of at most 64 bits, or is empty.
    pub fn fit(x: &Tensor) -> Result<IntegerLookup> {
        IntegerLookup::fit_parts([Ok(x.clone())])
    }

    /// Finds the distinct values of all `parts`, which may be larger than memory together; the
    /// distinct values are in memory.
    ///
    /// # Errors
    /// The errors of the parts; if one is no tensor of integers of at most 64 bits, or all are
    /// empty.
    ///
    /// ```
    /// use neurax::{data::prepare::IntegerLookup, prelude::*};
    /// let parts = data::Stream::from_vec(vec![tensor([900, 17]), tensor([4, 900])]);
    /// let lookup = IntegerLookup::fit_parts(parts.epoch(0))?;
    /// assert_eq!(lookup.values.to_vec::<i64>()?, [4, 17, 900]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn fit_parts(parts: impl IntoIterator<Item = Result<Tensor>>) -> Result<IntegerLookup> {
        let mut values = BTreeSet::new();
        for part in parts {
            let part = part?;
            let ty = part.ty()?;
            if !ty.dtype.is_int() {
                return Err(Error::new(INTEGER_OP, format!("expected integers, got {ty}")));
            }
            values.extend(part.to(DType::I64).to_vec::<i64>()?);
        }
        if values.is_empty() {
            return Err(Error::new(INTEGER_OP, "expected some integers, got none"));
        }
        let (count, values) = (values.len(), values.into_iter().collect());
        Ok(IntegerLookup { values: Tensor::from_vec(values, [count]) })
    }

    /// Returns the number of indices: one for each value, and 0.
    pub fn len(&self) -> usize {
        self.values.dim(0) + 1
    }

    /// Returns true if there are no indices, which is never so.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Returns the index of each element, i32 of the shape of `x`.
    #[track_caller]
    pub fn indices(&self, x: &Tensor) -> Tensor {
        let x = x.to(DType::I64);
        // A value above all known ones would be at the index behind the last one.
        let last = self.values.dim(0).saturating_sub(1) as i64;
        let at = self.values.searchsorted(&x, Side::Left).minimum(last);
        let is_known = self.values.take(&at, 0).equal(&x);
        where_(&is_known, &at + 1, 0)
    }

    /// Returns the indices as one-hot rows along a new last axis, f32.
    ///
    /// ```
    /// use neurax::{data::prepare::IntegerLookup, prelude::*};
    /// let rows = IntegerLookup::fit(&tensor([7, 9]))?.one_hot(&tensor([9, 8]));
    /// assert_eq!(rows.to_vec::<f32>()?, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn one_hot(&self, x: &Tensor) -> Tensor {
        self.indices(x).one_hot(self.len()).to(DType::F32)
    }

    /// Writes the values to a safetensors file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        safetensors::save(self, path)
    }

    /// Reads the values that [`IntegerLookup::save`] wrote.
    ///
    /// # Errors
    /// If the file cannot be read or lacks the values.
    ///
    /// ```
    /// use neurax::{data::prepare::IntegerLookup, prelude::*};
    /// # let path = std::env::temp_dir().join("neurax-doc-integers");
    /// IntegerLookup::fit(&tensor([7, 9]))?.save(&path)?;
    /// assert_eq!(IntegerLookup::load(&path)?.values.to_vec::<i64>()?, [7, 9]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn load(path: impl AsRef<Path>) -> Result<IntegerLookup> {
        load_fitted(&IntegerLookup { values: Tensor::zeros(0) }, path.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::{jit, tensor};

    #[test]
    fn indices_inside_of_jit_and_from_a_file() {
        let path = std::env::temp_dir().join(format!("neurax-lookup-{}", std::process::id()));
        IntegerLookup::fit(&tensor([[7, -3], [7, 100]])).unwrap().save(&path).unwrap();
        let lookup = IntegerLookup::load(&path).unwrap();
        let x = tensor([[-4, -3], [7, 101]]);
        let rows = lookup.one_hot(&tensor([7])).to_vec::<f32>().unwrap();
        assert_eq!(rows, [0.0, 0.0, 1.0, 0.0]);
        let f = jit(move |x: Tensor| lookup.indices(&x));
        assert_eq!(f.run(x).unwrap().to_vec::<i32>().unwrap(), [0, 1, 2, 0]);
        assert!(IntegerLookup::fit(&tensor([1.0])).is_err());
        assert!(IntegerLookup::fit(&Tensor::arange(0)).is_err());
    }
}
