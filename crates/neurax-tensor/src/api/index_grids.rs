//! Indices of diagonals, triangles and grids, and flat indices.

use super::common::{cloned, tensor_or_error};
use crate::{DType, Function, IntoShape, Shape, Tensor, shape::fixed, tensor::CallSite, vmap};
use std::{borrow::Borrow, panic::Location};

/// The largest number of rows, columns or index tensors of the functions of this file, far below
/// the range of i32, so that sums of two sizes fit.
const MAX_SIZE: usize = 1 << 30;
/// The largest number of axes of [`Tensor::diag_indices`].
const MAX_DIAGONAL_AXES: usize = 64;

/// Returns the index of the block of entries at `xs`, integer vectors, one for each axis: vectors
/// that broadcast to all combinations.
///
/// A bool vector stands for the indices at which it is true. Follows `jax.numpy.ix_`.
///
/// # Errors
///
/// A result carries an error if its operand is not a vector of integers or bool.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let x = Tensor::arange(12).reshape([3, 4]);
/// let block = x.index(ix_([tensor([0, 2]), tensor([1, 3])]));
/// assert_eq!(block.to_vec::<i32>()?, [1, 3, 9, 11]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn ix_<T: Borrow<Tensor>>(xs: impl IntoIterator<Item = T>) -> Vec<Tensor> {
    let at = Location::caller();
    let xs = cloned(xs);
    let rank = xs.len();
    let mut out = vec![];
    for (axis, x) in xs.iter().enumerate() {
        let places = match x.type_or_error() {
            Ok(t) if t.rank() != 1 || !(t.dtype.is_int() || t.dtype == DType::Bool) => {
                Tensor::fail("ix_", format!("expected vectors of integers, got {t}"), at)
            }
            Ok(t) if t.dtype == DType::Bool => x.flatnonzero(),
            _ => x.clone(),
        };
        let mut shape = vec![1; rank];
        shape[axis] = places.size();
        out.push(places.reshaped(shape, at));
    }
    out
}

/// Returns the indices into the flattened tensor for `xs`, integer tensors with the indices along
/// each axis of a tensor of `shape`.
///
/// The tensors broadcast. Indices out of range are clamped: JAX's mode `clip`; take
/// `x.remainder(n)` first for its mode `wrap`. Follows `jax.numpy.ravel_multi_index`.
///
/// # Errors
///
/// The result carries an error if there is not one tensor for each axis, if one is not of integers,
/// or if `shape` has no element.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let flat = ravel_multi_index([tensor([0, 2]), tensor([1, 3])], [3, 4]);
/// assert_eq!(flat.to_vec::<i32>()?, [1, 11]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn ravel_multi_index<T: Borrow<Tensor>>(
    xs: impl IntoIterator<Item = T>,
    shape: impl IntoShape,
) -> Tensor {
    let at = Location::caller();
    match fixed(shape) {
        Ok(shape) => tensor_or_error(raveled(&cloned(xs), &shape, "ravel_multi_index", at)),
        Err(why) => Tensor::fail("ravel_multi_index", why, at),
    }
}

/// Returns the flat indices of `xs` in `shape`.
#[track_caller]
fn raveled(xs: &[Tensor], shape: &Shape, op: &str, at: CallSite) -> Result<Tensor, Tensor> {
    if xs.len() != shape.rank() {
        let why = format!("expected one tensor for each axis of {shape}, got {}", xs.len());
        return Err(Tensor::fail(op, why, at));
    }
    let (total, dtype) = size_and_dtype(shape, op, at)?;
    let (mut flat, mut stride) = (Tensor::scalar(dtype, 0), 1);
    for (x, &n) in xs.iter().zip(shape.iter()).rev() {
        let x = x.integers(op, at)?;
        if total == 0 && x.size() > 0 {
            let why = format!("expected a shape with elements to index, got {shape}");
            return Err(Tensor::fail(op, why, at));
        }
        let x = x.clip(0, n.saturating_sub(1)).convert(dtype, at);
        flat += x * stride as i64;
        stride *= n;
    }
    Ok(flat)
}

/// Returns the number of elements of `shape`, and the dtype that holds indices of them.
fn size_and_dtype(shape: &Shape, op: &str, at: CallSite) -> Result<(usize, DType), Tensor> {
    let total = shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
    match total.filter(|&n| i64::try_from(n).is_ok()) {
        Some(n) if i32::try_from(n).is_ok() => Ok((n, DType::I32)),
        Some(n) => Ok((n, DType::I64)),
        None => {
            let why = format!("expected a shape of fewer than 2^63 elements, got {shape}");
            Err(Tensor::fail(op, why, at))
        }
    }
}

/// Returns the tensor of `f` of the indices of each element of `shape`: `f` takes one i32 scalar
/// for each axis, and is mapped over all of them by [`vmap`].
///
/// The axes of the results come behind those of `shape`. Follows `jax.numpy.fromfunction`, which
/// passes floats.
///
/// # Errors
///
/// The result carries the error of `f`, or one if the indices do not fit into i32.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let x = fromfunction([2, 3], |i: Vec<Tensor>| &i[0] * 10 + &i[1]);
/// assert_eq!(x.to_vec::<i32>()?, [0, 1, 2, 10, 11, 12]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn fromfunction(shape: impl IntoShape, f: impl Function<Vec<Tensor>, Out = Tensor>) -> Tensor {
    let at = Location::caller();
    let shape = match fixed(shape) {
        Ok(shape) if shape.rank() == 0 => return f.apply(vec![]),
        Ok(shape) => shape,
        Err(why) => return Tensor::fail("fromfunction", why, at),
    };
    let total = shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
    let places = Tensor::arange(total.unwrap_or(usize::MAX)).unravel_index(&shape);
    let all = vmap(|i: Vec<Tensor>| f.apply(i))(places);
    let sizes = [&shape[..], &all.shape()[1..]].concat();
    all.reshaped(sizes, at)
}

impl Tensor {
    /// Returns the indices of the main diagonal of a tensor with `rank` axes of size `n`: `rank`
    /// vectors `0, 1, .. n - 1`, i32. Follows `jax.numpy.diag_indices`.
    ///
    /// # Errors
    ///
    /// The result is one error for more than 64 axes.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = Tensor::zeros([2, 2]).at(Tensor::diag_indices(2, 2)).set(7.0);
    /// assert_eq!(x.to_vec::<f32>()?, [7.0, 0.0, 0.0, 7.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn diag_indices(n: usize, rank: usize) -> Vec<Tensor> {
        if rank > MAX_DIAGONAL_AXES {
            let why = format!("expected at most {MAX_DIAGONAL_AXES} axes, got {rank}");
            return vec![Tensor::fail("diag_indices", why, Location::caller())];
        }
        vec![Tensor::arange(n); rank]
    }

    /// Returns the indices of the main diagonal of the tensor, whose axes have one size: one vector
    /// for each axis, i32. Follows `jax.numpy.diag_indices_from`.
    ///
    /// # Errors
    ///
    /// The result is one error if there are fewer than two axes, or if their sizes differ.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[1, 2], [3, 4]]);
    /// assert_eq!(x.index(x.diag_indices_from()).to_vec::<i32>()?, [1, 4]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn diag_indices_from(&self) -> Vec<Tensor> {
        let at = Location::caller();
        match self.type_or_error() {
            Ok(t) if t.rank() < 2 || t.shape.iter().any(|&n| n != t.shape[0]) => {
                let why = format!("expected at least two axes of one size, got {t}");
                vec![Tensor::fail("diag_indices_from", why, at)]
            }
            Ok(t) => Tensor::diag_indices(t.shape[0], t.rank()),
            Err(e) => vec![e],
        }
    }

    /// Returns the indices of the lower triangle of a matrix of `rows` rows and `columns` columns:
    /// the row and the column, i32, of each entry on and below diagonal `k`, row by row.
    ///
    /// Diagonal 0 is the main diagonal, positive ones are above it. Follows
    /// `jax.numpy.tril_indices`.
    ///
    /// # Errors
    ///
    /// Both results carry an error if there are 2^30 rows or columns or 2^31 entries or more.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let [i, j] = Tensor::tril_indices(2, 3, 0);
    /// assert_eq!(i.to_vec::<i32>()?, [0, 1, 1]);
    /// assert_eq!(j.to_vec::<i32>()?, [0, 0, 1]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn tril_indices(rows: usize, columns: usize, k: i64) -> [Tensor; 2] {
        triangle_indices(rows, columns, k, false, "tril_indices", Location::caller())
    }

    /// Returns the indices of the upper triangle of a matrix of `rows` rows and `columns` columns:
    /// the row and the column, i32, of each entry on and above diagonal `k`, row by row.
    ///
    /// Diagonal 0 is the main diagonal, positive ones are above it. Follows
    /// `jax.numpy.triu_indices`.
    ///
    /// # Errors
    ///
    /// Both results carry an error if there are 2^30 rows or columns or 2^31 entries or more.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let [i, j] = Tensor::triu_indices(2, 3, 1);
    /// assert_eq!(i.to_vec::<i32>()?, [0, 0, 1]);
    /// assert_eq!(j.to_vec::<i32>()?, [1, 2, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn triu_indices(rows: usize, columns: usize, k: i64) -> [Tensor; 2] {
        triangle_indices(rows, columns, k, true, "triu_indices", Location::caller())
    }

    /// Returns the indices of the lower triangle of a matrix: [`Tensor::tril_indices`]. Follows
    /// `jax.numpy.tril_indices_from`.
    ///
    /// # Errors
    ///
    /// Both results carry an error if the tensor is not a matrix.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[1, 2], [3, 4]]);
    /// assert_eq!(x.index(x.tril_indices_from(0)).to_vec::<i32>()?, [1, 3, 4]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn tril_indices_from(&self, k: i64) -> [Tensor; 2] {
        match self.sizes_of_matrix("tril_indices_from", Location::caller()) {
            Ok([n, m]) => Tensor::tril_indices(n, m, k),
            Err(e) => [e.clone(), e],
        }
    }

    /// Returns the indices of the upper triangle of a matrix: [`Tensor::triu_indices`]. Follows
    /// `jax.numpy.triu_indices_from`.
    ///
    /// # Errors
    ///
    /// Both results carry an error if the tensor is not a matrix.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[1, 2], [3, 4]]);
    /// assert_eq!(x.index(x.triu_indices_from(0)).to_vec::<i32>()?, [1, 2, 4]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn triu_indices_from(&self, k: i64) -> [Tensor; 2] {
        match self.sizes_of_matrix("triu_indices_from", Location::caller()) {
            Ok([n, m]) => Tensor::triu_indices(n, m, k),
            Err(e) => [e.clone(), e],
        }
    }

    /// Returns the sizes of the two axes of a matrix.
    fn sizes_of_matrix(&self, op: &str, at: CallSite) -> Result<[usize; 2], Tensor> {
        let ty = self.type_or_error()?;
        <[usize; 2]>::try_from(&ty.shape[..])
            .map_err(|_| Tensor::fail(op, format!("expected a matrix, got {ty}"), at))
    }

    /// Returns the indices of the entries of an `n` by `n` matrix that `mask` leaves: the row and
    /// the column, i32, of each entry that is not 0 in `mask` of a matrix of ones.
    ///
    /// Follows `jax.numpy.mask_indices`.
    ///
    /// # Errors
    ///
    /// Both results carry an error if the result of `mask` is not a matrix, or if it is traced.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let [i, j] = Tensor::mask_indices(3, |x| x.triu(1));
    /// assert_eq!(i.to_vec::<i32>()?, [0, 0, 1]);
    /// assert_eq!(j.to_vec::<i32>()?, [1, 2, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn mask_indices(n: usize, mask: impl Fn(&Tensor) -> Tensor) -> [Tensor; 2] {
        let at = Location::caller();
        let entries = mask(&Tensor::ones([n, n]));
        if let Err(e) = entries.sizes_of_matrix("mask_indices", at) {
            return [e.clone(), e];
        }
        <[Tensor; 2]>::try_from(entries.nonzero()).unwrap_or_else(|failed| {
            let e = failed.into_iter().next().unwrap_or(entries);
            [e.clone(), e]
        })
    }

    /// Returns the indices along each axis of a tensor of `shape` for indices into the flattened
    /// tensor (`self`): one integer tensor for each axis.
    ///
    /// Negative indices count from the end; indices out of range are clamped. Integers below 32
    /// bits become i32. Follows `jax.numpy.unravel_index`.
    ///
    /// # Errors
    ///
    /// The result is one error for dtypes other than integers.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let places = tensor([1, 11, -1]).unravel_index([3, 4]);
    /// assert_eq!(places[0].to_vec::<i32>()?, [0, 2, 2]);
    /// assert_eq!(places[1].to_vec::<i32>()?, [1, 3, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn unravel_index(&self, shape: impl IntoShape) -> Vec<Tensor> {
        let at = Location::caller();
        match fixed(shape) {
            Ok(shape) => self.unraveled(&shape, at).unwrap_or_else(|e| vec![e]),
            Err(why) => vec![Tensor::fail("unravel_index", why, at)],
        }
    }

    #[track_caller]
    fn unraveled(&self, shape: &Shape, at: CallSite) -> Result<Vec<Tensor>, Tensor> {
        use neurax_ir::op::Binary;
        let op = "unravel_index";
        let (total, _) = size_and_dtype(shape, op, at)?;
        let x = self.integers(op, at)?.index_along(total, at);
        if total == 0 {
            return Ok(vec![x.zeros_like(); shape.rank()]);
        }
        let from_front = x.lt(0).select(&x + total, &x);
        let mut rest = from_front.clip(0, total - 1);
        let mut places = vec![];
        for &n in shape.iter().rev() {
            let n = x.number(n);
            places.push(rest.clone().binary(n.clone(), Binary::Rem, at));
            rest = rest.binary(n, Binary::Div, at);
        }
        places.reverse();
        Ok(places)
    }
}

/// Returns the rows and columns of the entries of a triangle, row by row.
#[track_caller]
fn triangle_indices(
    rows: usize,
    columns: usize,
    k: i64,
    is_upper: bool,
    op: &str,
    at: CallSite,
) -> [Tensor; 2] {
    let fail = |why: String| {
        let e = Tensor::fail(op, why, at);
        [e.clone(), e]
    };
    if rows >= MAX_SIZE || columns >= MAX_SIZE {
        return fail(format!(
            "expected fewer than 2^30 rows and columns, got {rows} and {columns}"
        ));
    }
    // Beyond the corners nothing changes.
    let (n, m) = (rows as i64, columns as i64);
    let k = k.clamp(-n - 1, m + 1);
    // The upper triangle begins where the lower one below diagonal `k - 1` ends.
    let reach = if is_upper { k } else { k + 1 };
    let below = entries_below(n, m, reach);
    let total = if is_upper { n * m - below } else { below };
    if i32::try_from(total).is_err() {
        return fail(format!("expected fewer than 2^31 entries, got {total}"));
    }
    let end = (Tensor::arange(rows) + reach).clip(0, m);
    let (start, length) =
        if is_upper { (end.clone(), end.negative() + m) } else { (end.zeros_like(), end) };
    // The row of an entry is the number of rows that end before it.
    let ends = length.cumsum(0);
    let entries = Tensor::arange(total as usize);
    let row = entries.zeros_like().at(&ends).add(1).cumsum(0);
    let column = entries - (&ends - length - start).take(&row, 0);
    [row, column]
}

/// Returns the number of entries of an `n` by `m` matrix whose column is less than the row plus
/// `reach`.
fn entries_below(n: i64, m: i64, reach: i64) -> i64 {
    // Rows before `first` have none, rows from `full` on have all.
    let first = (-reach).clamp(0, n);
    let full = (m - reach).clamp(first, n);
    let partial = full - first;
    partial * (2 * reach + first + full - 1) / 2 + (n - full) * m
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[test]
    fn triangles_are_those_of_tril_and_triu() {
        for (rows, columns) in [(3, 3), (2, 5), (5, 2), (1, 1), (0, 3), (3, 0)] {
            for k in [-9, -5, -2, -1, 0, 1, 2, 5, 9, i64::MIN, i64::MAX] {
                let ones = Tensor::ones([rows, columns]);
                for is_upper in [false, true] {
                    let (have, want) = if is_upper {
                        (Tensor::triu_indices(rows, columns, k), ones.triu(k))
                    } else {
                        (Tensor::tril_indices(rows, columns, k), ones.tril(k))
                    };
                    let want = want.nonzero();
                    for (have, want) in have.iter().zip(&want) {
                        assert_eq!(
                            have.to_vec::<i32>().unwrap(),
                            want.to_vec::<i32>().unwrap(),
                            "{rows} {columns} {k} {is_upper}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn indices_out_of_range_are_clamped() {
        let places = tensor([12, -12, -13, i32::MIN, i32::MAX]).unravel_index([3, 4]);
        assert_eq!(places[0].to_vec::<i32>().unwrap(), [2, 0, 0, 0, 2]);
        assert_eq!(places[1].to_vec::<i32>().unwrap(), [3, 0, 0, 0, 3]);
        let bytes = Tensor::from_vec(vec![200u8, 3], [2]).unravel_index([100, 2]);
        assert_eq!(bytes[0].to_vec::<i32>().unwrap(), [99, 1]);
        let flat = ravel_multi_index([tensor([5, -1]), tensor([[1], [9]])], [3, 4]);
        assert_eq!(flat.to_vec::<i32>().unwrap(), [9, 1, 11, 3]);
        assert_eq!(tensor([5]).unravel_index(()).len(), 0);
        assert_eq!(Tensor::zeros_of(I32, [0]).unravel_index([0, 2])[1].shape(), [0]);
    }

    #[test]
    fn functions_of_indices_have_any_rank_and_result() {
        let x = fromfunction([2, 2, 1], |i: Vec<Tensor>| {
            crate::stack([&i[0] + &i[1], i[2].clone()], 0).to(F32)
        });
        assert_eq!(x.shape(), [2, 2, 1, 2]);
        assert_eq!(x.to_vec::<f32>().unwrap(), [0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 2.0, 0.0]);
        assert_eq!(fromfunction((), |_: Vec<Tensor>| tensor(3)).item().unwrap(), 3.0);
        assert_eq!(fromfunction([0, 2], |i: Vec<Tensor>| &i[0] + 1).shape(), [0, 2]);
    }

    #[test]
    fn misuse_is_an_error() {
        let say = |x: &Tensor| x.error().unwrap().to_string();
        assert!(say(&ix_([tensor([[1]])])[0]).contains("expected vectors of integers, got i32"));
        assert!(say(&ravel_multi_index([tensor([1])], [2, 2])).contains("each axis of [2, 2]"));
        assert!(say(&ravel_multi_index([tensor([1])], [0])).contains("a shape with elements"));
        assert!(say(&tensor([0.5]).unravel_index([2])[0]).contains("expected integers"));
        assert!(say(&Tensor::tril_indices(1 << 31, 1, 0)[0]).contains("fewer than 2^30"));
        assert!(say(&Tensor::triu_indices(1 << 29, 1 << 29, 0)[1]).contains("fewer than 2^31"));
        assert!(say(&Tensor::diag_indices(2, usize::MAX)[0]).contains("at most 64 axes"));
        assert!(say(&tensor([[1, 2]]).diag_indices_from()[0]).contains("axes of one size"));
        assert!(say(&tensor([1, 2]).tril_indices_from(0)[0]).contains("expected a matrix"));
        assert!(say(&Tensor::mask_indices(2, |x| x.sum(0))[0]).contains("expected a matrix"));
    }
}
