//! Systems with a tridiagonal matrix, by Gaussian elimination with partial pivoting.
//!
//! The elimination is a `scan` over the rows. It carries the row that is eliminated from the next
//! one, `p q` in the columns `i` and `i + 1`; of the two rows, the one with the larger element in
//! column `i` is kept, which has up to three elements `p q s`:
//!
//! ```text
//! p q .          l d u                     o - (o/p) p = 0
//! l d u   kept:  p q s   carried:  . (d' - (o/p) q) (u' - (o/p) s)
//! ```
//!
//! A second scan, from the last row to the first, substitutes back. This is LAPACK's `gtsv`, which
//! is stable for every regular matrix; the algorithm of Thomas, without pivots, is not.
//! The solution is a [`custom_linear_solve`], so that its derivatives are solutions as well.

use super::common::{located, promote_operands, tensor_or_error};
use crate::{
    DType, Operand, Tensor, Type, concat, custom_linear_solve, dispatch::common_shape, scan,
    scan_reverse, tensor::CallSite,
};
use std::panic::Location;

/// Computes the solution `x` of `a · x = b` for tridiagonal matrices `a`, given by their diagonals
/// `[.., n]`: row `i` is `lower[i] · x[i - 1] + diagonal[i] · x[i] + upper[i] · x[i + 1]`. The
/// first element of `lower` and the last one of `upper` are not read. `b` is a vector `[n]` or
/// matrices `[.., n, m]`. Batch axes broadcast.
///
/// It takes a number of steps proportional to `n`, with partial pivoting. A singular matrix gives
/// infinities or NaN. Integers are converted to f32; f16 and bf16 compute in f32. Follows
/// `jax.lax.linalg.tridiagonal_solve`.
///
/// # Errors
///
/// The result carries an error if the sizes of the diagonals and of `b` differ.
///
/// # Examples
///
/// ```
/// use neurax::{prelude::*, tridiagonal_solve};
/// let (lower, upper) = (tensor([0.0, 1.0, 1.0]), tensor([1.0, 1.0, 0.0]));
/// let diagonal = tensor([2.0, 3.0, 2.0]);
/// let x = tridiagonal_solve(&lower, &diagonal, &upper, tensor([3.0, 5.0, 3.0]));
/// assert!(x.allclose(tensor([1.0, 1.0, 1.0]), 1e-6, 1e-6).item()? == 1.0);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn tridiagonal_solve(
    lower: &Tensor,
    diagonal: &Tensor,
    upper: &Tensor,
    b: impl Operand,
) -> Tensor {
    let at = Location::caller();
    let b = b.operand(diagonal);
    let solve = || {
        let system = TridiagonalSystem::of([lower, diagonal, upper], &b, at)?;
        Ok(system.result(solution(system.diagonals.clone(), system.b.clone(), at), at))
    };
    located(at, &[lower, diagonal, upper, &b], || tensor_or_error(solve()))
}

/// A system with the rows as the leading axis: diagonals `[n, .., 1]`, a right side `[n, .., m]`.
struct TridiagonalSystem {
    /// The lower, the middle and the upper diagonal.
    diagonals: Diagonals,
    b: Tensor,
    is_vector: bool,
    /// The dtype of the solution.
    dtype: DType,
}

/// The lower, the middle and the upper diagonal, `[n, .., 1]`. The elements outside of the matrix
/// are 0.
type Diagonals = (Tensor, Tensor, Tensor);

impl TridiagonalSystem {
    fn of(diagonals: [&Tensor; 3], b: &Tensor, at: CallSite) -> Result<TridiagonalSystem, Tensor> {
        let name = "tridiagonal_solve";
        let [lower, middle, upper] = diagonals;
        let types = [lower.type_or_error()?, middle.type_or_error()?, upper.type_or_error()?];
        let right = b.type_or_error()?;
        let is_vector = right.rank() == 1;
        let rows = if is_vector { right.shape.first() } else { right.shape.iter().nth_back(1) };
        let n = types[1].shape.last().copied();
        if n.is_none() || types.iter().any(|t| t.shape.last().copied() != n) || rows.copied() != n {
            let why = format!(
                "expected diagonals [.., n] and a right side [n] or [.., n, m], got {}, {}, {} and \
                 {right}",
                types[0], types[1], types[2]
            );
            return Err(Tensor::fail(name, why, at));
        }
        let all = [lower, middle, upper, b].map(|x| x.clone().float(at));
        let promoted = promote_operands(name, &all, at)?;
        let dtype = promoted[0].dtype();
        let mut columns: Vec<Tensor> = promoted.iter().map(|x| x.wide(at).0).collect();
        for (i, x) in columns.iter_mut().enumerate() {
            if i < 3 || is_vector {
                *x = x.expand_dims(-1);
            }
        }
        let batch = |x: &Tensor| Type::new(x.dtype(), &x.shape()[..x.rank() - 2]);
        let batches: Vec<Type> = columns.iter().map(batch).collect();
        let shape = common_shape(name, &batches).map_err(|e| Tensor::error_at(e, at))?;
        for x in &mut columns {
            let matrix = x.shape()[x.rank() - 2..].to_vec();
            *x = x.broadcast_at([&shape[..], &matrix].concat(), at).move_axis(-2, 0);
        }
        let n = middle.dim(-1) as i64;
        let zero = columns[0].slice(0, ..n.min(1)).zeros_like();
        let lower = concat([&zero, &columns[0].slice(0, n.min(1)..)], 0);
        let upper = concat([&columns[2].slice(0, ..(n - 1).max(0)), &zero], 0);
        let diagonals = (lower, columns[1].clone(), upper);
        Ok(TridiagonalSystem { diagonals, b: columns[3].clone(), is_vector, dtype })
    }

    /// Returns the solution `x`, `[n, .., m]`, in the shape and dtype of the right side.
    fn result(&self, x: Tensor, at: CallSite) -> Tensor {
        let x = x.move_axis(0, -2).convert(self.dtype, at);
        if self.is_vector { x.squeeze(-1) } else { x }
    }
}

/// Computes the solution of a system whose rows are the leading axis.
fn solution(diagonals: Diagonals, b: Tensor, at: CallSite) -> Tensor {
    if b.dim(0) == 0 {
        return b;
    }
    let transposed = transposed(&diagonals);
    custom_linear_solve(
        |x: Tensor| located(at, &[&x], || product(&diagonals, &x)),
        b,
        |_, b: Tensor| located(at, &[&b], || eliminated(&diagonals, &b, at)),
        |_, b: Tensor| located(at, &[&b], || eliminated(&transposed, &b, at)),
    )
}

/// Returns the diagonals of the transposed matrix.
fn transposed((lower, diagonal, upper): &Diagonals) -> Diagonals {
    (upper.roll(1, 0), diagonal.clone(), lower.roll(-1, 0))
}

/// Computes the product of a tridiagonal matrix and `x`.
fn product((lower, diagonal, upper): &Diagonals, x: &Tensor) -> Tensor {
    diagonal * x + lower * x.roll(1, 0) + upper * x.roll(-1, 0)
}

/// Computes the solution by elimination.
fn eliminated((lower, diagonal, upper): &Diagonals, b: &Tensor, at: CallSite) -> Tensor {
    let rest = |x: &Tensor| x.slice(0, 1..);
    let first = (diagonal.get(0), upper.get(0), b.get(0));
    let next = (rest(lower), rest(diagonal), rest(upper), rest(b));
    let ((p, _, right), kept) =
        scan(first, next, |row, next| located(at, &[], || elimination_step(row, next)));
    let last = right / p;
    let after = last.zeros_like();
    let (_, xs) =
        scan_reverse((last.clone(), after), kept, |x, row| located(at, &[], || back_step(x, row)));
    concat([xs, last.expand_dims(0)], 0)
}

type ShortRow = (Tensor, Tensor, Tensor);
type LongRow = (Tensor, Tensor, Tensor, Tensor);

/// Eliminates the first element of one of two rows. Returns the row that is left, and the one that
/// was kept.
fn elimination_step((p, q, r): ShortRow, (l, d, u, s): LongRow) -> (ShortRow, LongRow) {
    let swaps = l.abs().gt(p.abs());
    let none = u.zeros_like();
    let pick = |x: &Tensor, y: &Tensor| swaps.select(x, y);
    let kept = (pick(&l, &p), pick(&d, &q), pick(&u, &none), pick(&r.zeros_like(), &r));
    let kept = (kept.0, kept.1, kept.2, swaps.select(&s, &kept.3));
    let factor = pick(&p, &l) / &kept.0;
    let left = (
        pick(&q, &d) - &factor * &kept.1,
        pick(&none, &u) - &factor * &kept.2,
        swaps.select(&r, &s) - factor * &kept.3,
    );
    (left, kept)
}

/// Computes an element of the solution from the two after it.
fn back_step((x1, x2): (Tensor, Tensor), (p, q, s, r): LongRow) -> ((Tensor, Tensor), Tensor) {
    let x = (r - q * &x1 - s * x2) / p;
    ((x.clone(), x1), x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    /// Returns the matrix of three diagonals.
    fn dense(lower: &Tensor, diagonal: &Tensor, upper: &Tensor) -> Tensor {
        diagonal.diag(0) + lower.slice(0, 1..).diag(-1) + upper.slice(0, ..-1).diag(1)
    }

    fn close(x: &Tensor, y: &Tensor) -> bool {
        x.allclose(y, 1e-9, 1e-9).item().unwrap() == 1.0
    }

    #[test]
    fn solutions_are_those_of_the_matrix_with_and_without_pivots() {
        let of = |seed: i64, shape: &[usize]| key(seed).normal_of(F64, shape);
        for n in [1, 2, 3, 7] {
            let [l, u] = [1, 2].map(|seed| of(seed, &[n]));
            for d in [of(3, &[n]), of(3, &[n]) * 1e-9, of(3, &[n]) + 4.0] {
                let b = of(4, &[n, 2]);
                let x = tridiagonal_solve(&l, &d, &u, &b);
                let a = if n == 1 { d.reshape([1, 1]) } else { dense(&l, &d, &u) };
                // An odd matrix with a diagonal of zeros would be singular.
                if n % 2 == 0 || d.abs().max(..).item().unwrap() > 1e-3 {
                    assert!(close(&a.matmul(&x), &b), "{n}: {}", a.matmul(&x) - &b);
                }
            }
        }
        // A zero in the diagonal needs the exchange of rows.
        let (zero, one) = (Tensor::zeros([2]), Tensor::ones([2]));
        let x = tridiagonal_solve(&one, &zero, &one, tensor([3.0, 4.0]));
        assert_eq!(x.to_vec::<f32>().unwrap(), [4.0, 3.0]);
    }

    #[test]
    fn batches_broadcast_and_complex_numbers_are_solved() {
        let of = |seed: i64, shape: &[usize]| key(seed).normal_of(F64, shape);
        let (l, d, u) = (of(1, &[3, 4]), of(2, &[4]) + 5.0, of(3, &[2, 1, 4]));
        let b = of(4, &[4, 2]);
        let x = tridiagonal_solve(&l, &d, &u, &b);
        assert_eq!(x.shape(), [2, 3, 4, 2]);
        let one = tridiagonal_solve(&l.get(2), &d, &u.get(1).get(0), &b);
        assert!(close(&x.get(1).get(2), &one));
        let z = of(5, &[4]).complex(of(6, &[4]));
        let y = tridiagonal_solve(&l.get(0), &d.complex(l.get(1)), &u.get(0).get(0), &z);
        let a = dense(&l.get(0), &d, &u.get(0).get(0)).complex(l.get(1).diag(0));
        let back = a.matmul(&y) - &z;
        assert!(back.abs().max(..).item().unwrap() < 1e-12);
        let none = Tensor::zeros([0]);
        assert_eq!(tridiagonal_solve(&none, &none, &none, &none).shape(), [0]);
        let half = tridiagonal_solve(
            &l.to(F16).get(0),
            &d.to(F16),
            &l.to(F16).get(0),
            tensor([1, 2, 3, 4]),
        );
        assert_eq!(half.dtype(), F32.promote(F16).unwrap());
    }

    #[test]
    fn other_sizes_are_errors() {
        let (x, y) = (Tensor::ones([3]), Tensor::ones([2]));
        let e = tridiagonal_solve(&x, &x, &y, &x).error().unwrap().to_string();
        assert!(e.contains("expected diagonals [.., n] and a right side"), "{e}");
        assert!(tridiagonal_solve(&x, &x, &x, &y).error().is_some());
        assert!(tridiagonal_solve(&x, &tensor(1.0), &x, &x).error().is_some());
    }
}
