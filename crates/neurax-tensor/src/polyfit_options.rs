//! The options of fits: [`PolyfitOptions`].

use crate::Tensor;

/// The options of fits of polynomials: `polyfit_with`, `polyfit_full` and `polyfit_cov` of
/// [`Tensor`]. The default is to count each point once.
///
/// ```
/// use neurax::prelude::*;
/// let (x, y) = (tensor([0.0, 1.0, 2.0]), tensor([1.0, 3.0, 9.0]));
/// // The last point does not count.
/// let options = PolyfitOptions::new().weights(tensor([1.0, 1.0, 0.0]));
/// let line = x.polyfit_with(&y, 1, options);
/// assert!(line.allclose(tensor([2.0, 1.0]), 1e-5, 1e-5).item()? == 1.0);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct PolyfitOptions {
    pub(crate) weights: Option<Tensor>,
    pub(crate) bound: Option<f64>,
    pub(crate) is_unscaled: bool,
}

impl PolyfitOptions {
    /// Creates the default options.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (x, y) = (tensor([0.0, 1.0, 2.0]), tensor([1.0, 3.0, 5.0]));
    /// let line = x.polyfit_with(&y, 1, PolyfitOptions::new());
    /// assert!(line.allclose(tensor([2.0, 1.0]), 1e-5, 1e-5).item()? == 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new() -> PolyfitOptions {
        PolyfitOptions::default()
    }

    /// Multiplies the difference of each point by its weight before it is squared. `weights` is a
    /// vector; for errors of known deviations they are the reciprocals of these.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (x, y) = (tensor([0.0, 1.0]), tensor([0.0, 3.0]));
    /// let options = PolyfitOptions::new().weights(tensor([2.0, 1.0]));
    /// // (2² · 0 + 1² · 3) / (2² + 1²)
    /// assert!(x.polyfit_with(&y, 0, options).allclose(tensor([0.6]), 1e-5, 1e-5).item()? == 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn weights(self, weights: Tensor) -> PolyfitOptions {
        PolyfitOptions { weights: Some(weights), ..self }
    }

    /// Counts singular values of the scaled powers up to `bound` times the largest one as 0.
    /// NumPy's `rcond`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (x, y) = (tensor([1.0, 2.0]), tensor([1.0, 3.0]));
    /// let (_, _, rank, s) = x.polyfit_full(&y, 1, PolyfitOptions::new().relative(0.5));
    /// assert_eq!((rank.item()?, s.size()), (1.0, 2));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn relative(self, bound: f64) -> PolyfitOptions {
        PolyfitOptions { bound: Some(bound), ..self }
    }

    /// Returns the covariance for weights that are the reciprocals of the deviations, instead of
    /// estimating their size from the residuals. NumPy's `cov="unscaled"`. For `polyfit_cov`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (x, y) = (tensor([0.0, 1.0, 2.0, 3.0]), tensor([0.0, 3.0, 0.0, 1.0]));
    /// let (_, covariance) = x.polyfit_cov(&y, 0, PolyfitOptions::new().unscaled());
    /// assert!(covariance.allclose(tensor([[0.25]]), 1e-5, 1e-5).item()? == 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn unscaled(self) -> PolyfitOptions {
        PolyfitOptions { is_unscaled: true, ..self }
    }
}
