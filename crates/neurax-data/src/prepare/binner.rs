//! Numbers divided into bins.

use super::fitted::load_fitted;
use super::quantiles::QuantileSketch;
use neurax_tensor::io::safetensors;
use neurax_tensor::{DType, Error, Result, Side, Tensor, Tree, where_};
use std::path::Path;

const BINNER_OP: &str = "binner";

/// Numbers as the indices of bins: `n - 1` bounds divide the numbers into `n` bins. Bin 0 is below
/// the first bound, bin `n - 1` from the last bound on. NaN is in bin -1, which
/// [`Binner::one_hot`] encodes as zeros.
///
/// ```
/// use neurax::{data::prepare::Binner, prelude::*};
/// let ages = Binner::new(tensor([18.0, 65.0]))?;
/// let bins = ages.apply(&tensor([17.0, 18.0, 70.0, f32::NAN]));
/// assert_eq!(bins.to_vec::<i32>()?, [0, 1, 2, -1]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Tree, Clone, Debug)]
pub struct Binner {
    /// The bounds in ascending order, f32[n - 1].
    pub bounds: Tensor,
}

impl Binner {
    /// Creates bins from their bounds.
    ///
    /// # Errors
    /// If the bounds are no vector of numbers in ascending order.
    pub fn new(bounds: Tensor) -> Result<Binner> {
        let ty = bounds.ty()?;
        if ty.rank() != 1 {
            return Err(Error::new(BINNER_OP, format!("expected a vector of bounds, got {ty}")));
        }
        let bounds = bounds.to(DType::F32);
        let list = bounds.to_vec::<f32>()?;
        if !list.is_sorted_by(|a, b| a < b) || list.iter().any(|x| x.is_nan()) {
            return Err(Error::new(
                BINNER_OP,
                format!("expected bounds in ascending order, got {list:?}"),
            ));
        }
        Ok(Binner { bounds })
    }

    /// Computes the bounds of `n` bins with nearly equal numbers of elements of `x`: its quantiles.
    /// There are fewer bins if several quantiles are equal.
    ///
    /// # Errors
    /// If `n` is 0, or `x` holds no number.
    ///
    /// ```
    /// use neurax::{data::prepare::Binner, prelude::*};
    /// let bins = Binner::fit(&Tensor::arange(100).to(F32), 4)?;
    /// assert_eq!(bins.bounds.to_vec::<f32>()?, [24.75, 49.5, 74.25]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn fit(x: &Tensor, n: usize) -> Result<Binner> {
        let fractions: Vec<f32> = fractions(n)?.into_iter().map(|f| f as f32).collect();
        let bounds = x.to(DType::F32).nanquantile(Tensor::from_vec(fractions, [n - 1]), ..);
        Binner::of_quantiles(bounds.to_vec::<f32>()?)
    }

    /// Computes the bounds of `n` bins of the elements of all `parts`, which may be larger than
    /// memory together: those of [`Binner::fit`], up to rounding, for at most 4096 numbers. With
    /// more, the rank of a bound differs from that of its quantile by at most 0.22 % of a billion
    /// numbers, or 0.1 % of a million; 0.6 MB of memory are taken.
    ///
    /// # Errors
    /// The errors of the parts, and of [`Binner::fit`].
    ///
    /// ```
    /// use neurax::{data::prepare::Binner, prelude::*};
    /// let parts = data::Stream::range(0..100).map(|i| Tensor::full([1], i as f32));
    /// let bins = Binner::fit_parts(parts.epoch(0), 4)?;
    /// assert_eq!(bins.bounds.to_vec::<f32>()?, [24.75, 49.5, 74.25]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn fit_parts(parts: impl IntoIterator<Item = Result<Tensor>>, n: usize) -> Result<Binner> {
        let (fractions, mut sketch) = (fractions(n)?, QuantileSketch::new());
        for part in parts {
            let numbers = part?.to(DType::F32).to_vec::<f32>()?;
            numbers.into_iter().for_each(|x| sketch.add(f64::from(x)));
        }
        let bounds = sketch.quantiles(&fractions).unwrap_or_else(|| vec![f64::NAN]);
        Binner::of_quantiles(bounds.into_iter().map(|x| x as f32).collect())
    }

    /// Creates bins from quantiles; NaN says that there were no numbers, or only infinities of both
    /// signs.
    fn of_quantiles(mut bounds: Vec<f32>) -> Result<Binner> {
        if bounds.iter().any(|b| b.is_nan()) {
            let why = "expected numbers with a quantile between them, got only missing ones or \
                       infinities of both signs";
            return Err(Error::new(BINNER_OP, why));
        }
        bounds.dedup();
        let count = bounds.len();
        Binner::new(Tensor::from_vec(bounds, [count]))
    }

    /// Returns the number of bins.
    pub fn len(&self) -> usize {
        self.bounds.dim(0) + 1
    }

    /// Returns true if there are no bins, which is never so.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Returns the bin of each element, i32 of the shape of `x`.
    #[track_caller]
    pub fn apply(&self, x: &Tensor) -> Tensor {
        let bins = self.bounds.searchsorted(x, Side::Right);
        where_(&x.is_nan(), -1, &bins)
    }

    /// Returns the bins as one-hot rows along a new last axis, f32.
    ///
    /// ```
    /// use neurax::{data::prepare::Binner, prelude::*};
    /// let rows = Binner::new(tensor([0.0]))?.one_hot(&tensor([-1.0, 1.0, f32::NAN]));
    /// assert_eq!(rows.to_vec::<f32>()?, [1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn one_hot(&self, x: &Tensor) -> Tensor {
        self.apply(x).one_hot(self.len()).to(DType::F32)
    }

    /// Writes the bounds to a safetensors file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        safetensors::save(self, path)
    }

    /// Reads the bounds that [`Binner::save`] wrote.
    ///
    /// # Errors
    /// If the file cannot be read or lacks the bounds.
    ///
    /// ```
    /// use neurax::{data::prepare::Binner, prelude::*};
    /// # let path = std::env::temp_dir().join("neurax-doc-binner");
    /// Binner::new(tensor([18.0, 65.0]))?.save(&path)?;
    /// assert_eq!(Binner::load(&path)?.len(), 3);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn load(path: impl AsRef<Path>) -> Result<Binner> {
        Binner::new(load_fitted(&Binner { bounds: Tensor::zeros(0) }, path.as_ref())?.bounds)
    }
}

/// Returns the fractions of the numbers below the bounds of `n` bins.
fn fractions(n: usize) -> Result<Vec<f64>> {
    match n {
        0 => Err(Error::new(BINNER_OP, "expected at least 1 bin, got 0")),
        n => Ok((1..n).map(|i| i as f64 / n as f64).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::{key, tensor};

    #[test]
    fn bins_are_one_hot_and_missing_ones_are_zeros() {
        let bins = Binner::new(tensor([0.0, 1.0])).unwrap();
        let rows = bins.one_hot(&tensor([-5.0, 1.0, f32::NAN])).to_vec::<f32>().unwrap();
        assert_eq!(rows, [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn bounds_are_ascending() {
        assert!(Binner::new(tensor([1.0, 1.0])).is_err());
        assert!(Binner::new(tensor([1.0, f32::NAN])).is_err());
        assert!(Binner::new(tensor(1.0)).is_err());
        let equal = Binner::fit(&tensor([5.0, 5.0, 5.0]), 4).unwrap();
        assert_eq!((equal.len(), equal.bounds.to_vec::<f32>().unwrap()), (2, vec![5.0]));
        assert!(Binner::fit(&tensor([f32::NAN]), 4).is_err());
        assert_eq!(Binner::fit(&tensor([1.0]), 1).unwrap().len(), 1);
    }

    #[test]
    fn a_saved_value_is_loaded() {
        let path = std::env::temp_dir().join(format!("neurax-binner-{}", std::process::id()));
        Binner::new(tensor([0.5])).unwrap().save(&path).unwrap();
        assert_eq!(Binner::load(&path).unwrap().bounds.to_vec::<f32>().unwrap(), [0.5]);
    }

    #[test]
    fn parts_give_the_bounds_of_the_whole() {
        let x = key(0).normal([3000]);
        let x = where_(&key(1).bernoulli(0.1, [3000]), f32::NAN, x);
        let whole = Binner::fit(&x, 10).unwrap();
        let parts = [x.slice(0, ..700), x.slice(0, 700..)].map(Ok);
        let parts = Binner::fit_parts(parts, 10).unwrap();
        assert!((parts.bounds - whole.bounds).abs().max(..).item().unwrap() < 1e-5);
        // More numbers than fit into a buffer.
        let parts = (0..100).map(|i| Ok(key(i).uniform([1000])));
        let bounds = Binner::fit_parts(parts, 4).unwrap().bounds;
        let difference = bounds - tensor([0.25, 0.5, 0.75]);
        assert!(difference.abs().max(..).item().unwrap() < 0.005);
        assert!(Binner::fit_parts([], 3).is_err());
        assert!(Binner::fit_parts([Ok(tensor([1.0]))], 0).is_err());
        assert!(Binner::fit_parts([Ok(tensor([f32::NAN]))], 2).is_err());
    }
}
