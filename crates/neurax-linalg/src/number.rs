//! The numbers that matrices consist of.

use num_complex::{Complex, ComplexFloat};
use std::ops::{AddAssign, MulAssign, SubAssign};

/// The numbers of matrices: `f64` and `Complex<f64>`.
pub trait MatrixNumber:
    ComplexFloat<Real = f64> + AddAssign + SubAssign + MulAssign + Send + Sync + 'static
{
    /// Creates a number from its real and imaginary parts; real numbers ignore `im`.
    fn from_parts(re: f64, im: f64) -> Self;
}

impl MatrixNumber for f64 {
    fn from_parts(re: f64, _: f64) -> f64 {
        re
    }
}

impl MatrixNumber for Complex<f64> {
    fn from_parts(re: f64, im: f64) -> Complex<f64> {
        Complex { re, im }
    }
}

/// The system of equations that [`crate::Field::triangular_solve`] solves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TriangularSystem {
    /// True if the lower triangle of the matrix is read, else the upper one.
    pub lower: bool,
    /// True if the diagonal is taken as ones.
    pub unit_diagonal: bool,
    /// True if the matrix is transposed.
    pub transposed: bool,
    /// True if the matrix is conjugated.
    pub conjugated: bool,
}
