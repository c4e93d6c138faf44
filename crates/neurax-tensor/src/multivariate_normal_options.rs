//! The options of multivariate normal samples: [`MultivariateNormalOptions`].

/// The factorization that yields the root of a covariance matrix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum CovarianceRoot {
    #[default]
    Cholesky,
    Eigh,
    Svd,
}

/// The options of [`crate::Key::multivariate_normal_with`]. The default: the root of the covariance
/// by Cholesky's factorization, the fastest one, which takes positive definite matrices.
///
/// ```
/// use neurax::{MultivariateNormalOptions, prelude::*};
/// // The covariance of two equal numbers is singular.
/// let covariance = tensor([[1.0, 1.0], [1.0, 1.0]]);
/// let options = MultivariateNormalOptions::new().svd();
/// let x = key(0).multivariate_normal_with(tensor([0.0, 0.0]), &covariance, [5], options);
/// assert!(x.diff(1, -1).abs().max(..).item()? < 1e-5);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct MultivariateNormalOptions {
    pub(crate) root: CovarianceRoot,
}

impl MultivariateNormalOptions {
    /// Creates the default options.
    ///
    /// ```
    /// use neurax::{MultivariateNormalOptions, prelude::*};
    /// let (mean, covariance) = (tensor([0.0, 5.0]), tensor([[4.0, 0.0], [0.0, 1e-6]]));
    /// let options = MultivariateNormalOptions::new();
    /// let x = key(0).multivariate_normal_with(mean, &covariance, [3], options);
    /// assert_eq!(x.round().index((.., 1)).to_vec::<f32>()?, [5.0, 5.0, 5.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new() -> MultivariateNormalOptions {
        MultivariateNormalOptions::default()
    }

    /// Uses the eigenvalue decomposition, which takes singular matrices as well.
    ///
    /// ```
    /// use neurax::{MultivariateNormalOptions, prelude::*};
    /// let covariance = tensor([[1.0, 1.0], [1.0, 1.0]]);
    /// let options = MultivariateNormalOptions::new().eigh();
    /// let x = key(0).multivariate_normal_with(tensor([0.0, 0.0]), &covariance, [5], options);
    /// assert!(x.diff(1, -1).abs().max(..).item()? < 1e-3, "both numbers are equal");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn eigh(self) -> MultivariateNormalOptions {
        MultivariateNormalOptions { root: CovarianceRoot::Eigh }
    }

    /// Uses the singular value decomposition, which takes singular matrices, the most accurate
    /// one.
    ///
    /// ```
    /// use neurax::{MultivariateNormalOptions, prelude::*};
    /// let covariance = tensor([[1.0, 1.0], [1.0, 1.0]]);
    /// let options = MultivariateNormalOptions::new().svd();
    /// let x = key(0).multivariate_normal_with(tensor([0.0, 3.0]), &covariance, [5], options);
    /// assert!((x.diff(1, -1) - 3.0).abs().max(..).item()? < 1e-5, "both have the same deviation");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn svd(self) -> MultivariateNormalOptions {
        MultivariateNormalOptions { root: CovarianceRoot::Svd }
    }
}
