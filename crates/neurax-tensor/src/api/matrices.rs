//! Sequences, grids, triangles and diagonals.

use super::{
    common::{cloned, tensor_or_error},
    gather::{gather, scatter},
};
use crate::{
    AxisInt, DType, IntoShape, Scalar, Tensor, Type, dispatch::lazy_constant, shape::fixed, stack,
    tensor::CallSite,
};
use neurax_ir::op::{Direction, ScatterKind, check_different};
use std::{borrow::Borrow, panic::Location};

/// The axes of the results of [`meshgrid`] that belong to the operands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Indexing {
    /// The first operand belongs to axis 1, the second to axis 0, as in pictures.
    #[default]
    Xy,
    /// Operand `i` belongs to axis `i`, as in matrices.
    Ij,
}

/// Returns the coordinates of the points of a grid: one tensor for each of the vectors `xs`, all of
/// one shape.
///
/// Follows `numpy.meshgrid`.
///
/// # Errors
///
/// A result carries an error if its operand is not a vector.
///
/// # Examples
///
/// ```
/// use neurax::{Indexing, meshgrid, prelude::*};
/// let grids = meshgrid([tensor([1, 2, 3]), tensor([10, 20])], Indexing::Xy);
/// assert_eq!(grids[0].to_vec::<i32>()?, [1, 2, 3, 1, 2, 3]);
/// assert_eq!(grids[1].to_vec::<i32>()?, [10, 10, 10, 20, 20, 20]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn meshgrid<T: Borrow<Tensor>>(
    xs: impl IntoIterator<Item = T>,
    indexing: Indexing,
) -> Vec<Tensor> {
    let at = Location::caller();
    let xs = cloned(xs);
    let mut axes: Vec<usize> = (0..xs.len()).collect();
    if indexing == Indexing::Xy && xs.len() > 1 {
        axes.swap(0, 1);
    }
    let mut shape = vec![0; xs.len()];
    axes.iter().zip(&xs).for_each(|(&a, x)| shape[a] = x.size());
    let mut out = vec![];
    for (&axis, x) in axes.iter().zip(&xs) {
        if x.error().is_none() && x.rank() != 1 {
            out.push(Tensor::fail(
                "meshgrid",
                format!("expected vectors, got {}", x.dtype_and_shape()),
                at,
            ));
            continue;
        }
        let mut own = vec![1; shape.len()];
        own[axis] = x.size();
        out.push(x.reshaped(own, at).broadcast_to(&shape));
    }
    out
}

impl Tensor {
    /// Creates a tensor of the dtype and shape of `self` with all elements `x`. Follows
    /// `numpy.full_like`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1, 2]).full_like(7).to_vec::<i32>()?, [7, 7]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn full_like(&self, x: impl Into<Scalar>) -> Tensor {
        match self.type_ref() {
            Ok(t) => Tensor::full_of(t.dtype, &t.shape, x),
            Err(_) => self.clone(),
        }
    }

    /// Creates the vector `start, start + step, ..` of numbers below `stop` (above it if `step` is
    /// negative), f32.
    ///
    /// [`Tensor::arange`] returns integers. Follows `numpy.arange`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `step` is 0 or an argument is infinite or NaN.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::range(1.0, 2.0, 0.25).to_vec::<f32>()?, [1.0, 1.25, 1.5, 1.75]);
    /// assert_eq!(Tensor::range(3.0, 0.0, -1.0).to_vec::<f32>()?, [3.0, 2.0, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn range(start: f64, stop: f64, step: f64) -> Tensor {
        let at = Location::caller();
        let count = ((stop - start) / step).ceil().max(0.0);
        // No memory holds more elements. The count is NaN for 0 / 0 and the like.
        if count.is_nan() || count > (1u64 << 48) as f64 || step == 0.0 {
            return Tensor::fail(
                "range",
                format!("expected a finite number of steps, got {start} to {stop} by {step}"),
                at,
            );
        }
        lazy_constant(at, |b| {
            let i = b.iota(Type::new(DType::F64, [count as usize]), 0);
            let x = b.mul_scalar(i, step);
            let x = b.add_scalar(x, start);
            b.convert(x, DType::F32)
        })
    }

    /// Creates a vector of `n` numbers from `base^a` to `base^b`, both included, at equal ratios,
    /// f32. Follows `numpy.logspace`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::logspace(0.0, 3.0, 4, 2.0).to_vec::<f32>()?, [1.0, 2.0, 4.0, 8.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn logspace(a: f64, b: f64, n: usize, base: f64) -> Tensor {
        lazy_constant(Location::caller(), |g| {
            let i = g.iota(Type::new(DType::F64, [n]), 0);
            let s = g.mul_scalar(i, (b - a) / n.saturating_sub(1).max(1) as f64);
            let exponent = g.add_scalar(s, a);
            let base = g.full_like(exponent, base);
            let x = g.pow(base, exponent);
            g.convert(x, DType::F32)
        })
    }

    /// Returns the index of every element of a tensor of `shape` along each axis: i32 of shape
    /// `[rank, ..shape]`. Follows `numpy.indices`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::indices([2, 2]).to_vec::<i32>()?, [0, 0, 1, 1, 0, 1, 0, 1]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn indices(shape: impl IntoShape) -> Tensor {
        let at = Location::caller();
        match fixed(shape) {
            Ok(shape) if shape.rank() == 0 => Tensor::zeros_of(DType::I32, [0]),
            Ok(shape) => {
                let ty = Type::new(DType::I32, shape);
                stack((0..ty.rank()).map(|axis| lazy_constant(at, |b| b.iota(ty.clone(), axis))), 0)
            }
            Err(why) => Tensor::fail("indices", why, at),
        }
    }

    /// Creates a matrix of shape `[rows, columns]`: 1 on and below diagonal `k`, else 0, f32.
    ///
    /// Diagonal 0 is the main diagonal, positive ones are above it. Follows `numpy.tri`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::tri(2, 3, 0).to_vec::<f32>()?, [1.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn tri(rows: usize, columns: usize, k: i64) -> Tensor {
        let at = Location::caller();
        triangle(rows, columns, k, at).convert(DType::F32, at)
    }

    /// Returns the lower triangle of matrices (the last two axes): elements above diagonal `k`
    /// become 0.
    ///
    /// Diagonal 0 is the main diagonal, positive ones are above it. The dtype is kept. Follows
    /// `numpy.tril`.
    ///
    /// # Errors
    ///
    /// The result carries an error if there are fewer than two axes.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([[1, 2], [3, 4]]).tril(0).to_vec::<i32>()?, [1, 0, 3, 4]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn tril(&self, k: i64) -> Tensor {
        let at = Location::caller();
        match self.matrix_size("tril", at) {
            Ok((n, m)) => triangle(n, m, k, at).select(self, false),
            Err(e) => e,
        }
    }

    /// Returns the upper triangle of matrices (the last two axes): elements below diagonal `k`
    /// become 0.
    ///
    /// Diagonal 0 is the main diagonal, positive ones are above it. The dtype is kept. Follows
    /// `numpy.triu`.
    ///
    /// # Errors
    ///
    /// The result carries an error if there are fewer than two axes.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([[1, 2], [3, 4]]).triu(1).to_vec::<i32>()?, [0, 2, 0, 0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn triu(&self, k: i64) -> Tensor {
        let at = Location::caller();
        match self.matrix_size("triu", at) {
            Ok((n, m)) => triangle(n, m, k.saturating_sub(1), at).select(false, self),
            Err(e) => e,
        }
    }

    /// Returns the sizes of the last two axes.
    ///
    /// # Errors
    ///
    /// Returns a tensor that carries the error of `op` if there are fewer than two axes.
    pub(crate) fn matrix_size(&self, op: &str, at: CallSite) -> Result<(usize, usize), Tensor> {
        match self.type_or_error()?.shape[..] {
            [.., n, m] => Ok((n, m)),
            _ => Err(Tensor::fail(
                op,
                format!("expected matrices, got {}", self.dtype_and_shape()),
                at,
            )),
        }
    }

    /// Creates the square matrix with a vector on diagonal `k` and 0 elsewhere; of a matrix,
    /// returns diagonal `k`.
    ///
    /// Follows `numpy.diag`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `self` is neither a vector nor a matrix.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1, 2]).diag(0);
    /// assert_eq!(x.to_vec::<i32>()?, [1, 0, 0, 2]);
    /// assert_eq!(x.diag(0).to_vec::<i32>()?, [1, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn diag(&self, k: i64) -> Tensor {
        let at = Location::caller();
        match self.type_or_error().map(|t| t.shape.to_vec()).as_deref() {
            Ok([_, _]) => self.diagonal(k, 0, 1),
            Ok(&[n]) => {
                let Some(size) =
                    usize::try_from(k.unsigned_abs()).ok().and_then(|k| k.checked_add(n))
                else {
                    return Tensor::fail(
                        "diag",
                        format!("diagonal {k} of {} is too large", self.dtype_and_shape()),
                        at,
                    );
                };
                let [i, j] = diagonal_indices(n, k);
                let zeros = Tensor::zeros_of(self.dtype(), [size, size]);
                tensor_or_error(scatter(
                    "diag",
                    ScatterKind::Set,
                    true,
                    &zeros,
                    &[(0, i), (1, j)],
                    self,
                    at,
                ))
            }
            Ok(_) => Tensor::fail(
                "diag",
                format!(
                    "expected a vector or a matrix, got {}; use `diagonal` for more axes",
                    self.dtype_and_shape()
                ),
                at,
            ),
            Err(e) => e.clone(),
        }
    }

    /// Returns the elements whose index along axis `b` is larger than that along axis `a` by
    /// `offset`.
    ///
    /// The axis of the diagonal is the last axis of the result. Follows `numpy.diagonal`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `a` and `b` are the same axis or out of range.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = Tensor::arange(6).reshape([2, 3]);
    /// assert_eq!(x.diagonal(1, 0, 1).to_vec::<i32>()?, [1, 5]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn diagonal(&self, offset: i64, a: impl AxisInt, b: impl AxisInt) -> Tensor {
        let at = Location::caller();
        let (a, b) = match self.two_axes(a, b, "diagonal", at) {
            Ok(axes) => axes,
            Err(e) => return e,
        };
        if let Err(why) = check_different(&[a, b]) {
            return Tensor::fail("diagonal", why, at);
        }
        let order: Vec<usize> =
            (0..self.rank()).filter(|i| *i != a && *i != b).chain([a, b]).collect();
        let length = diagonal_length(self.shape()[a], self.shape()[b], offset);
        let x = self.permute_at(order, at);
        if length == 0 {
            return x.slice(-1, ..0).reshaped([&x.shape()[..x.rank() - 2], &[0]].concat(), at);
        }
        let [i, j] = diagonal_indices(length, offset);
        let last = x.rank();
        tensor_or_error(gather("diagonal", &x, &[(last - 2, i), (last - 1, j)], at))
    }
}

/// Returns the number of elements of diagonal `k` of an `n` by `m` matrix.
pub(super) fn diagonal_length(n: usize, m: usize, k: i64) -> usize {
    // The diagonal begins at row `-k` or at column `k`.
    let (n, m) = (n as i64, m as i64);
    let length = if k < 0 { n.saturating_add(k).min(m) } else { m.saturating_sub(k).min(n) };
    length.max(0) as usize
}

/// Returns the row and column indices of the first `length` elements of diagonal `k`.
#[track_caller]
pub(super) fn diagonal_indices(length: usize, k: i64) -> [Tensor; 2] {
    let i = Tensor::arange(length);
    [&i + k.saturating_neg().max(0), &i + k.max(0)]
}

/// Returns a bool matrix that is true on and below diagonal `k`.
fn triangle(rows: usize, columns: usize, k: i64, at: CallSite) -> Tensor {
    // Beyond the corners nothing changes. The indices of both axes are i32.
    let end = |n: usize| i64::from(i32::try_from(n).unwrap_or(i32::MAX));
    let k = k.clamp(-end(rows), end(columns));
    lazy_constant(at, |b| {
        let ty = Type::new(DType::I32, [rows, columns]);
        let (i, j) = (b.iota(ty.clone(), 0), b.iota(ty, 1));
        let reach = b.add_scalar(i, k as f64);
        b.compare(Direction::Ge, reach, j)
    })
}
