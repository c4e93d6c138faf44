//! Functions of matrices: norms, the exponential, products of several.

use super::common::cloned;
use crate::{Tensor, keep, stop_gradient, tensor::CallSite};
use std::{borrow::Borrow, panic::Location};

/// The order of a norm of matrices.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum MatrixNorm {
    /// The root of the sum of squares of all elements.
    #[default]
    Frobenius,
    /// The sum of the singular values.
    Nuclear,
    /// The largest singular value.
    Spectral,
    /// The smallest singular value.
    SmallestSingularValue,
    /// The largest sum of absolute values of a column.
    One,
    /// The smallest sum of absolute values of a column.
    NegativeOne,
    /// The largest sum of absolute values of a row.
    Infinity,
    /// The smallest sum of absolute values of a row.
    NegativeInfinity,
}

impl Tensor {
    /// Computes a norm of matrices `[.., m, n]`, the last two axes. Follows
    /// `numpy.linalg.matrix_norm`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the tensor has fewer than two axes.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::{MatrixNorm, prelude::*};
    /// let x = tensor([[3.0, 0.0], [-1.0, 4.0]]);
    /// assert_eq!(x.matrix_norm(MatrixNorm::One).item()?, 4.0);
    /// assert_eq!(x.matrix_norm(MatrixNorm::Infinity).item()?, 5.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn matrix_norm(&self, order: MatrixNorm) -> Tensor {
        let at = Location::caller();
        if let Err(e) = self.matrix_size("matrix_norm", at) {
            return e;
        }
        let (x, dtype) = self.clone().float(at).wide(at);
        let norm = match order {
            MatrixNorm::Frobenius => x.norm([-2, -1]),
            MatrixNorm::Nuclear => x.svdvals().sum(-1),
            MatrixNorm::Spectral => x.svdvals().max(-1),
            MatrixNorm::SmallestSingularValue => x.svdvals().min(-1),
            MatrixNorm::One => x.abs().sum(-2).max(-1),
            MatrixNorm::NegativeOne => x.abs().sum(-2).min(-1),
            MatrixNorm::Infinity => x.abs().sum(-1).max(-1),
            MatrixNorm::NegativeInfinity => x.abs().sum(-1).min(-1),
        };
        norm.convert(dtype.real(), at)
    }

    /// Computes the exponential of square matrices `[.., n, n]`, `1 + a + a²/2 + a³/6 + ..`, by
    /// scaling and squaring with the Padé approximation of order 13: Higham, 2005, The scaling and
    /// squaring method for the matrix exponential revisited. A matrix whose largest sum of absolute
    /// values of a column is above 350,000 gives NaN. Follows `jax.scipy.linalg.expm`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the matrices are not square.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let turn = tensor([[0.0, -1.0], [1.0, 0.0]]).expm();
    /// let want = tensor([[0.5403023, -0.841471], [0.841471, 0.5403023]]);
    /// assert!(turn.allclose(want, 1e-6, 1e-6).item()? == 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn expm(&self) -> Tensor {
        let at = Location::caller();
        let n = match self.square_size("expm", at) {
            Ok(n) => n,
            Err(e) => return e,
        };
        let (x, dtype) = self.clone().float(at).wide(at);
        match n {
            0 => x.convert(dtype, at),
            _ => exponential(&x, n, at).convert(dtype, at),
        }
    }
}

/// Computes the product of matrices in the order that takes the fewest multiplications. The first
/// and the last one may be vectors. Follows `numpy.linalg.multi_dot`.
///
/// # Errors
///
/// The result carries an error if there are no matrices, or if sizes differ.
///
/// # Examples
///
/// ```
/// use neurax::{multi_dot, prelude::*};
/// let (a, b) = (Tensor::ones([10, 2]), Tensor::ones([2, 10]));
/// assert_eq!(multi_dot([&a, &b, &a]).shape(), [10, 2]);
/// ```
#[track_caller]
pub fn multi_dot<T: Borrow<Tensor>>(matrices: impl IntoIterator<Item = T>) -> Tensor {
    let at = Location::caller();
    let xs = cloned(matrices);
    if let Some(e) = xs.iter().find(|x| x.error().is_some()) {
        return e.clone();
    }
    let last = xs.len().saturating_sub(1);
    let is_wrong = |(i, x): (usize, &Tensor)| match x.rank() {
        2 => false,
        1 => i != 0 && i != last,
        _ => true,
    };
    if let Some(i) = xs.iter().enumerate().position(is_wrong) {
        let why = "expected matrices, of which the first and the last one may be vectors";
        return Tensor::fail("multi_dot", format!("{why}, got {}", xs[i].dtype_and_shape()), at);
    }
    // Row and column sizes: matrix `i` is `[sizes[i], sizes[i + 1]]`.
    let mut sizes: Vec<usize> =
        xs.iter().map(|x| if x.rank() == 1 { 1 } else { x.dim(0) }).collect();
    let Some(end) = xs.last() else {
        return Tensor::fail("multi_dot", "expected at least one matrix, got none", at);
    };
    sizes.push(if end.rank() == 1 { 1 } else { end.dim(1) });
    if xs.first().is_some_and(|x| x.rank() == 1) && xs.len() > 1 {
        sizes[1] = xs[0].dim(0);
    }
    chain(&xs, &cheapest_splits(&sizes), 0, last)
}

/// Returns for each range of matrices the last one of its left half in the cheapest order, by the
/// dynamic program of Godbole, 1973.
fn cheapest_splits(sizes: &[usize]) -> Vec<Vec<usize>> {
    let n = sizes.len() - 1;
    let (mut costs, mut splits) = (vec![vec![0.0; n]; n], vec![vec![0; n]; n]);
    for length in 1..n {
        for i in 0..n - length {
            let j = i + length;
            let cost = |k: usize, costs: &[Vec<f64>]| {
                let product = sizes[i] as f64 * sizes[k + 1] as f64 * sizes[j + 1] as f64;
                costs[i][k] + costs[k + 1][j] + product
            };
            let best = (i..j).min_by(|&k, &l| cost(k, &costs).total_cmp(&cost(l, &costs)));
            let best = best.unwrap_or(i);
            (costs[i][j], splits[i][j]) = (cost(best, &costs), best);
        }
    }
    splits
}

/// Computes the product of the matrices `from..=to`.
#[track_caller]
fn chain(xs: &[Tensor], splits: &[Vec<usize>], from: usize, to: usize) -> Tensor {
    if from == to {
        return xs[from].clone();
    }
    let middle = splits[from][to];
    chain(xs, splits, from, middle).matmul(chain(xs, splits, middle + 1, to))
}

/// The coefficients of the numerator of the Padé approximation of order 13; those of the
/// denominator have alternating signs.
const PADE: [f64; 14] = [
    64764752532480000.0,
    32382376266240000.0,
    7771770303897600.0,
    1187353796428800.0,
    129060195264000.0,
    10559470521600.0,
    670442572800.0,
    33522128640.0,
    1323241920.0,
    40840800.0,
    960960.0,
    16380.0,
    182.0,
    1.0,
];

/// The norm up to which the approximation is as accurate as the dtype.
const PADE_BOUND: f64 = 5.371920351148152;

/// The largest number of squarings, as in JAX.
const MAX_SQUARINGS: usize = 16;

/// Computes the exponential of matrices of `n` rows in single or double precision.
#[track_caller]
fn exponential(x: &Tensor, n: usize, at: CallSite) -> Tensor {
    // The one norm is a constant: it only chooses how often the result is squared.
    let norm = stop_gradient(&x.abs().sum(-2).max(keep(-1)).expand_dims(-1));
    let squarings = (norm / PADE_BOUND).log2().ceil().maximum(0.0);
    let scaled = x * (-&squarings).exp2().convert(x.dtype(), at);
    let identity = Tensor::eye(n).convert(x.dtype(), at);
    let square = scaled.matmul(&scaled);
    let fourth = square.matmul(&square);
    let sixth = fourth.matmul(&square);
    let powers = [identity, square, fourth, sixth];
    let even = half_of_pade(&powers, 0);
    let odd = scaled.matmul(half_of_pade(&powers, 1));
    let mut y = (&even - &odd).solve(even + odd);
    for i in 0..MAX_SQUARINGS {
        y = squarings.gt(i as f64).select(y.matmul(&y), &y);
    }
    squarings.le(MAX_SQUARINGS as f64).select(y, f64::NAN)
}

/// Computes the terms of the Padé approximation of the powers `first`, `first + 2`, .., divided by
/// the power `first`, which is 0 or 1. `powers` are the even powers from 0 to 6.
#[track_caller]
fn half_of_pade(powers: &[Tensor; 4], first: usize) -> Tensor {
    let [identity, square, fourth, sixth] = powers;
    let low = identity * PADE[first] + square * PADE[first + 2] + fourth * PADE[first + 4];
    let low = low + sixth * PADE[first + 6];
    let high = square * PADE[first + 8] + fourth * PADE[first + 10] + sixth * PADE[first + 12];
    low + sixth.matmul(high)
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn exponentials_of_large_rotations_are_accurate() {
        for angle in [0.0f64, 0.1, 1.0, 10.0, 300.0, 1e5] {
            let generator = tensor([[0.0f32, -1.0], [1.0, 0.0]]).to(F64) * angle;
            let turn = generator.expm().to_vec::<f64>().unwrap();
            let (sin, cos) = angle.sin_cos();
            for (got, want) in turn.iter().zip([cos, -sin, sin, cos]) {
                assert!((got - want).abs() <= 1e-14 * (1.0 + angle), "{angle}: {got} {want}");
            }
        }
        let too_large = (tensor([[1.0, 0.0], [0.0, 1.0]]) * 1e6).expm();
        assert!(too_large.to_vec::<f32>().unwrap().iter().all(|x| x.is_nan()));
    }

    #[test]
    fn products_take_the_cheapest_order() {
        assert_eq!(super::cheapest_splits(&[10, 100, 5, 50])[0][2], 1);
        assert_eq!(super::cheapest_splits(&[100, 10, 50, 5])[0][2], 0);
        let (v, m) = (tensor([1.0, 2.0]), tensor([[1.0, 0.0], [0.0, 3.0]]));
        assert_eq!(crate::multi_dot([&v, &m, &v]).item().unwrap(), 13.0);
        let e = crate::multi_dot([&m, &v, &m]).item().unwrap_err().to_string();
        assert!(
            e.contains("of which the first and the last one may be vectors, got f32[2]"),
            "{e}"
        );
        assert!(crate::multi_dot(Vec::<Tensor>::new()).error().is_some());
    }

    #[test]
    fn empty_and_singular_matrices_have_results() {
        let empty = Tensor::zeros([0, 3]);
        assert_eq!(empty.pinv().shape(), [3, 0]);
        assert_eq!(empty.matrix_rank().item().unwrap(), 0.0);
        assert_eq!(Tensor::zeros([0, 0]).det().item().unwrap(), 1.0);
        assert_eq!(Tensor::zeros([2, 0, 0]).expm().shape(), [2, 0, 0]);
        let zeros = Tensor::zeros([2, 2]);
        assert_eq!(zeros.pinv().to_vec::<f32>().unwrap(), [0.0; 4]);
        assert_eq!((zeros.matrix_rank().item().unwrap(), zeros.det().item().unwrap()), (0.0, 0.0));
        assert!(!zeros.cond().item().unwrap().is_finite());
        let (sign, log) = Tensor::zeros([4, 4]).slogdet();
        assert_eq!((sign.item().unwrap(), log.item().unwrap()), (0.0, f64::NEG_INFINITY));
        assert!(
            zeros.solve(tensor([1.0, 2.0])).to_vec::<f32>().unwrap().iter().all(|x| !x.is_finite())
        );
    }
}
