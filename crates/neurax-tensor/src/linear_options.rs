//! The options of linear algebra: [`RankOptions`] and [`TriangularOptions`].

use crate::Tensor;

/// The options of functions that count small singular values as 0: `pinv_with`,
/// `matrix_rank_with` and `lstsq_with` of [`Tensor`]. The default is the bound of each function.
///
/// ```
/// use neurax::prelude::*;
/// let x = tensor([[1.0, 0.0], [0.0, 0.01]]);
/// assert_eq!(x.matrix_rank().item()?, 2.0);
/// assert_eq!(x.matrix_rank_with(RankOptions::new().relative(0.1)).item()?, 1.0);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct RankOptions {
    pub(crate) bound: Option<Tensor>,
    pub(crate) is_hermitian: bool,
}

impl RankOptions {
    /// Creates the default options.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[2.0, 0.0], [0.0, 0.0]]);
    /// assert_eq!(x.matrix_rank_with(RankOptions::new()).item()?, 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new() -> RankOptions {
        RankOptions::default()
    }

    /// Counts singular values up to `bound` times the largest one of their matrix as 0. `bound` is
    /// a number, or a tensor that broadcasts to the batch axes. `rtol` in NumPy and JAX, and
    /// `rcond` of `lstsq`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[4.0, 0.0], [0.0, 1.0]]);
    /// assert_eq!(x.matrix_rank_with(RankOptions::new().relative(0.5)).item()?, 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn relative(self, bound: impl Into<Tensor>) -> RankOptions {
        RankOptions { bound: Some(bound.into()), ..self }
    }

    /// Takes the matrices as Hermitian, of which the Hermitian part `(a + aᴴ) / 2` counts: the
    /// singular values are the absolute values of the eigenvalues, which take less time.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let inverse = tensor([[0.0, 2.0], [2.0, 0.0]]).pinv_with(RankOptions::new().hermitian());
    /// assert!(inverse.allclose(tensor([[0.0, 0.5], [0.5, 0.0]]), 1e-6, 1e-6).item()? == 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn hermitian(self) -> RankOptions {
        RankOptions { is_hermitian: true, ..self }
    }
}

/// The options of [`Tensor::solve_triangular_with`]: the form of the triangular matrix. The default
/// is the matrix itself, on the left.
///
/// ```
/// use neurax::{Triangle, prelude::*};
/// let a = tensor([[2.0, 0.0], [4.0, 5.0]]);
/// let transposed = TriangularOptions::new().transpose();
/// let x = a.solve_triangular_with(tensor([10.0, 10.0]), Triangle::Lower, transposed);
/// assert_eq!(x.to_vec::<f32>()?, [1.0, 2.0]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TriangularOptions {
    pub(crate) is_right: bool,
    pub(crate) is_transposed: bool,
    pub(crate) is_conjugated: bool,
    pub(crate) has_unit_diagonal: bool,
}

impl TriangularOptions {
    /// Creates the default options.
    ///
    /// ```
    /// use neurax::{Triangle, prelude::*};
    /// let (a, b) = (tensor([[2.0, 0.0], [4.0, 5.0]]), tensor([2.0, 14.0]));
    /// let x = a.solve_triangular_with(b, Triangle::Lower, TriangularOptions::new());
    /// assert_eq!(x.to_vec::<f32>()?, [1.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new() -> TriangularOptions {
        TriangularOptions::default()
    }

    /// Solves `x · a = b`, with rows instead of columns: `b` is a vector `[n]` or matrices
    /// `[.., m, n]`. `left_side=False` in JAX.
    ///
    /// ```
    /// use neurax::{Triangle, prelude::*};
    /// let (a, b) = (tensor([[2.0, 0.0], [4.0, 5.0]]), tensor([10.0, 10.0]));
    /// let x = a.solve_triangular_with(b, Triangle::Lower, TriangularOptions::new().right_side());
    /// assert_eq!(x.to_vec::<f32>()?, [1.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn right_side(self) -> TriangularOptions {
        TriangularOptions { is_right: true, ..self }
    }

    /// Takes the transpose of the matrix. The triangle that is read is that of the matrix before.
    ///
    /// ```
    /// use neurax::{Triangle, prelude::*};
    /// let (a, b) = (tensor([[2.0, 0.0], [4.0, 5.0]]), tensor([10.0, 5.0]));
    /// let x = a.solve_triangular_with(b, Triangle::Lower, TriangularOptions::new().transpose());
    /// assert_eq!(x.to_vec::<f32>()?, [3.0, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn transpose(self) -> TriangularOptions {
        TriangularOptions { is_transposed: true, ..self }
    }

    /// Takes the complex conjugate of the matrix.
    ///
    /// ```
    /// use neurax::{Triangle, prelude::*};
    /// let i = tensor([[0.0]]).complex(tensor([[1.0]]));
    /// let options = TriangularOptions::new().conjugate();
    /// let x = i.solve_triangular_with(tensor([1.0]), Triangle::Lower, options);
    /// assert_eq!(x.imag().to_vec::<f32>()?, [1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn conjugate(self) -> TriangularOptions {
        TriangularOptions { is_conjugated: true, ..self }
    }

    /// Takes the diagonal of the matrix as ones, and does not read it.
    ///
    /// ```
    /// use neurax::{Triangle, prelude::*};
    /// let (a, b) = (tensor([[7.0, 0.0], [4.0, 7.0]]), tensor([1.0, 6.0]));
    /// let options = TriangularOptions::new().unit_diagonal();
    /// let x = a.solve_triangular_with(b, Triangle::Lower, options);
    /// assert_eq!(x.to_vec::<f32>()?, [1.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn unit_diagonal(self) -> TriangularOptions {
        TriangularOptions { has_unit_diagonal: true, ..self }
    }
}
