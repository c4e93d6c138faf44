//! Random distributions that factorize matrices: multivariate normal, and orthogonal matrices.

use super::{
    common::{promote_operands, tensor_or_error},
    random::Key,
};
use crate::{
    DType, IntoShape, MultivariateNormalOptions, Operand, Shape, Tensor,
    multivariate_normal_options::CovarianceRoot,
    random_parameters::{broadcast_parameter, sample_shape},
    tensor::CallSite,
};
use std::panic::Location;

impl Key {
    /// Samples from the multivariate normal distribution with `mean`, along its last axis, and
    /// positive definite `covariance`, its last two axes. Their other axes broadcast to `shape`;
    /// the result has `shape` and the last axis of `mean`. Follows
    /// `jax.random.multivariate_normal`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the operands are complex, have no common dtype, do not
    /// broadcast, or their sizes do not agree.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let covariance = tensor([[2.0, 1.0], [1.0, 3.0]]);
    /// let x = key(0).multivariate_normal(tensor([10.0, 20.0]), &covariance, [2000]);
    /// assert!((x.t().cov(1) - covariance).abs().max(..).item()? < 0.3);
    /// assert!((x.mean(0) - tensor([10.0, 20.0])).abs().max(..).item()? < 0.15);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn multivariate_normal(
        &self,
        mean: impl Operand,
        covariance: &Tensor,
        shape: impl IntoShape,
    ) -> Tensor {
        let options = MultivariateNormalOptions::new();
        self.multivariate_normal_with(mean, covariance, shape, options)
    }

    /// Samples as [`Key::multivariate_normal`], with the factorization that the options choose.
    ///
    /// # Errors
    ///
    /// The errors of [`Key::multivariate_normal`].
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::{MultivariateNormalOptions, prelude::*};
    /// let options = MultivariateNormalOptions::new().eigh();
    /// let x = key(0).multivariate_normal_with(Tensor::zeros([3]), &Tensor::eye(3), [4], options);
    /// assert_eq!(x.shape(), [4, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn multivariate_normal_with(
        &self,
        mean: impl Operand,
        covariance: &Tensor,
        shape: impl IntoShape,
        options: MultivariateNormalOptions,
    ) -> Tensor {
        let at = Location::caller();
        let mean = mean.operand(covariance);
        match sample_shape("multivariate_normal", shape, at) {
            Ok(shape) => tensor_or_error(self.correlated(&mean, covariance, &shape, options, at)),
            Err(e) => e,
        }
    }

    #[track_caller]
    fn correlated(
        &self,
        mean: &Tensor,
        covariance: &Tensor,
        shape: &Shape,
        options: MultivariateNormalOptions,
        at: CallSite,
    ) -> Result<Tensor, Tensor> {
        const NAME: &str = "multivariate_normal";
        let (mean, covariance) = (mean.real_float(NAME, at)?, covariance.real_float(NAME, at)?);
        let both = promote_operands(NAME, &[mean, covariance], at)?;
        let ((mean, dtype), (covariance, _)) = (both[0].wide(at), both[1].wide(at));
        let (of_mean, of_covariance) = (mean.shape(), covariance.shape());
        let size = of_mean.last().copied();
        let rank = of_covariance.len();
        let fits = size.is_some_and(|n| rank >= 2 && of_covariance[rank - 2..] == [n, n]);
        let Some(size) = size.filter(|_| fits) else {
            let why = format!(
                "expected a mean of shape [.., n] and a covariance of shape [.., n, n], got {} \
                 and {}",
                mean.dtype_and_shape(),
                covariance.dtype_and_shape()
            );
            return Err(Tensor::fail(NAME, why, at));
        };
        let sizes: Shape = shape.iter().copied().chain([size]).collect::<Vec<_>>().into();
        let mean = broadcast_parameter(NAME, &mean, &sizes, at)?;
        let batch: Shape = of_covariance[..rank - 2].to_vec().into();
        // The batch of the covariance is checked alone: its root is smaller than the samples.
        let _ = broadcast_parameter(NAME, &Tensor::zeros(batch.to_vec()), shape, at)?;
        let n = self.normal_of(mean.dtype(), sizes.to_vec()).expand_dims(-1);
        let root = root_of(&covariance, options.root);
        Ok((mean + root.matmul(n).squeeze(-1)).convert(dtype, at))
    }

    /// Samples orthogonal matrices of `size` rows and columns, uniformly, f32. The result has
    /// `shape` and the two axes of the matrices. Follows `jax.random.orthogonal`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `shape` has an open dimension.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let q = key(0).orthogonal(3, [2]);
    /// assert!((q.matmul(q.adjoint()) - Tensor::eye(3)).abs().max(..).item()? < 1e-5);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn orthogonal(&self, size: usize, shape: impl IntoShape) -> Tensor {
        self.orthogonal_of(DType::F32, [size, size], shape)
    }

    /// Samples matrices of `rows` and `columns`, in f32, f64, c64 or c128, whose columns, or rows
    /// if there are fewer, are orthonormal, uniformly. Complex square matrices are unitary. Follows
    /// `jax.random.orthogonal`.
    ///
    /// # Errors
    ///
    /// The result carries an error for other dtypes, and if `shape` has an open dimension.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let q = key(0).orthogonal_of(F64, [2, 4], ());
    /// assert_eq!(q.shape(), [2, 4]);
    /// assert!((q.matmul(q.adjoint()) - Tensor::eye(2)).abs().max(..).item()? < 1e-12);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn orthogonal_of(
        &self,
        dtype: DType,
        [rows, columns]: [usize; 2],
        shape: impl IntoShape,
    ) -> Tensor {
        let at = Location::caller();
        let sizes = match sample_shape("orthogonal", shape, at) {
            Ok(shape) => {
                let sides = [rows.max(columns), rows.min(columns)];
                shape.iter().copied().chain(sides).collect::<Vec<_>>()
            }
            Err(e) => return e,
        };
        let (q, r) = self.normal_of(dtype, sizes).qr();
        let signs = r.diagonal(0, -2, -1).sign().expand_dims(-2);
        let q = q * signs;
        if rows < columns { q.swap_axes(-1, -2) } else { q }
    }
}

/// Returns a matrix whose product with its transpose is the covariance.
#[track_caller]
fn root_of(covariance: &Tensor, root: CovarianceRoot) -> Tensor {
    let (vectors, variances) = match root {
        CovarianceRoot::Cholesky => return covariance.cholesky(),
        CovarianceRoot::Eigh => {
            let (values, vectors) = covariance.eigh();
            (vectors, values)
        }
        CovarianceRoot::Svd => {
            let (u, s, _) = covariance.svd();
            (u, s)
        }
    };
    vectors * variances.maximum(0).sqrt().expand_dims(-2)
}
