//! Joining as columns, in depth and in blocks, and common shapes.

use super::{
    common::{cloned, tensor_or_error},
    join::concat_at,
};
use crate::{
    DType, Dims, Error, IntoShape, Result, Tensor, Type, dispatch::common_shape, shape::fixed,
    tensor::CallSite,
};
use neurax_ir::Place;
use std::{borrow::Borrow, panic::Location};

/// A block of [`block`]: a tensor, or an array or vector of blocks, all nested equally deep.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a block",
    note = "blocks are tensors, and arrays and vectors of blocks: `[[a, b], [c, d]]`"
)]
pub trait IntoBlock {
    /// The depth of the nesting; 0 for a tensor.
    const DEPTH: usize;

    /// Returns the largest rank of the tensors in the block.
    fn largest_rank(&self) -> usize;

    /// Joins the tensors of the block, as tensors of rank `rank`.
    #[doc(hidden)]
    fn concatenated(&self, rank: usize, at: CallSite) -> Tensor;
}

impl IntoBlock for Tensor {
    const DEPTH: usize = 0;
    fn largest_rank(&self) -> usize {
        self.rank()
    }
    fn concatenated(&self, rank: usize, at: CallSite) -> Tensor {
        self.of_rank(rank, at)
    }
}

impl<B: IntoBlock> IntoBlock for &B {
    const DEPTH: usize = B::DEPTH;
    fn largest_rank(&self) -> usize {
        (**self).largest_rank()
    }
    fn concatenated(&self, rank: usize, at: CallSite) -> Tensor {
        (**self).concatenated(rank, at)
    }
}

impl<B: IntoBlock> IntoBlock for [B] {
    const DEPTH: usize = B::DEPTH + 1;
    fn largest_rank(&self) -> usize {
        self.iter().map(B::largest_rank).max().unwrap_or(0)
    }
    fn concatenated(&self, rank: usize, at: CallSite) -> Tensor {
        // The innermost lists are concatenated along the last axis.
        let axis = -(Self::DEPTH as i64);
        concat_at(self.iter().map(|b| b.concatenated(rank, at)).collect(), axis, "block", at)
    }
}

impl<B: IntoBlock, const N: usize> IntoBlock for [B; N] {
    const DEPTH: usize = B::DEPTH + 1;
    fn largest_rank(&self) -> usize {
        self[..].largest_rank()
    }
    fn concatenated(&self, rank: usize, at: CallSite) -> Tensor {
        self[..].concatenated(rank, at)
    }
}

impl<B: IntoBlock> IntoBlock for Vec<B> {
    const DEPTH: usize = B::DEPTH + 1;
    fn largest_rank(&self) -> usize {
        self[..].largest_rank()
    }
    fn concatenated(&self, rank: usize, at: CallSite) -> Tensor {
        self[..].concatenated(rank, at)
    }
}

/// Joins nested lists of tensors: the innermost lists along the last axis, the lists of these along
/// the last but one, and so on. Dtypes are promoted.
///
/// Tensors of lower rank than the depth of the nesting or than another tensor get axes of size 1 in
/// front. Follows `jax.numpy.block`.
///
/// # Errors
///
/// The result carries an error if a list is empty, or if sizes do not fit.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let (a, b) = (Tensor::eye(2), Tensor::zeros([2, 1]));
/// let x = block([[&a, &b], [&b.t(), &tensor([[7.0]])]]);
/// assert_eq!(x.to_vec::<f32>()?, [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 7.0]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn block<B: IntoBlock>(blocks: B) -> Tensor {
    blocks.concatenated(blocks.largest_rank().max(B::DEPTH), Location::caller())
}

/// Concatenates vectors as the columns of a matrix, and matrices along their columns, axis 1.
///
/// Dtypes are promoted. Follows `jax.numpy.column_stack`.
///
/// # Errors
///
/// The result carries an error if there is no operand, or if the sizes of the other axes differ.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let x = column_stack([tensor([1, 2]), tensor([3, 4])]);
/// assert_eq!(x.to_vec::<i32>()?, [1, 3, 2, 4]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn column_stack<T: Borrow<Tensor>>(xs: impl IntoIterator<Item = T>) -> Tensor {
    let at = Location::caller();
    let column = |x: &Tensor| match x.type_ref().map(|t| t.shape.to_vec()).as_deref() {
        Ok([]) => x.reshaped([1, 1], at),
        Ok(&[n]) => x.reshaped([n, 1], at),
        _ => x.clone(),
    };
    concat_at(cloned(xs).iter().map(column).collect(), 1, "column_stack", at)
}

/// Concatenates tensors along axis 2, as tensors of three axes: [`Tensor::atleast_3d`].
///
/// Dtypes are promoted. Follows `jax.numpy.dstack`.
///
/// # Errors
///
/// The result carries an error if there is no operand, or if the sizes of the other axes differ.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let x = dstack([tensor([1, 2]), tensor([3, 4])]);
/// assert_eq!(x.shape(), [1, 2, 2]);
/// assert_eq!(x.to_vec::<i32>()?, [1, 3, 2, 4]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn dstack<T: Borrow<Tensor>>(xs: impl IntoIterator<Item = T>) -> Tensor {
    let at = Location::caller();
    let deep = |x: &Tensor| x.of_rank_3(at);
    concat_at(cloned(xs).iter().map(deep).collect(), 2, "dstack", at)
}

/// Broadcasts tensors to their common shape. Each keeps its dtype. Follows
/// `jax.numpy.broadcast_arrays`.
///
/// # Errors
///
/// The results carry an error if there is no common shape.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let xs = broadcast_arrays([tensor([[1], [2]]), tensor([3, 4])]);
/// assert_eq!(xs[0].to_vec::<i32>()?, [1, 1, 2, 2]);
/// assert_eq!(xs[1].to_vec::<i32>()?, [3, 4, 3, 4]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn broadcast_arrays<T: Borrow<Tensor>>(xs: impl IntoIterator<Item = T>) -> Vec<Tensor> {
    let at = Location::caller();
    let xs = cloned(xs);
    let types = xs.iter().map(Tensor::ty).collect::<Result<Vec<_>>>();
    let shape = types.and_then(|types| common_shape("broadcast_arrays", &types));
    let mut out = vec![];
    for x in &xs {
        out.push(match &shape {
            Ok(shape) => x.broadcast_to(shape),
            Err(e) => Tensor::error_at(e.clone(), at),
        });
    }
    out
}

/// Returns the shape to which tensors of `shapes` broadcast. Follows `jax.numpy.broadcast_shapes`.
///
/// # Errors
///
/// When there is none.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// assert_eq!(broadcast_shapes([vec![3, 1], vec![4]])?, [3, 4]);
/// assert!(broadcast_shapes([[3], [4]]).is_err());
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn broadcast_shapes<S: IntoShape>(shapes: impl IntoIterator<Item = S>) -> Result<Dims> {
    let (op, place) = ("broadcast_shapes", Place::Source(Location::caller()));
    let fail = |why: String| Error::new(op, why).at(&place);
    let fixed_shapes = shapes.into_iter().map(|s| fixed(s)).collect::<Result<Vec<_>, _>>();
    let shapes = fixed_shapes.map_err(fail)?;
    let types: Vec<Type> = shapes.iter().map(|s| Type::new(DType::F32, s.clone())).collect();
    let list = || shapes.iter().map(|s| s.to_string()).collect::<Vec<_>>().join(", ");
    let common = common_shape(op, &types);
    common.map(Dims).map_err(|_| fail(format!("expected shapes that broadcast, got {}", list())))
}

impl Tensor {
    /// Returns the tensor, a scalar as a vector of one element. Follows `jax.numpy.atleast_1d`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor(5).atleast_1d().shape(), [1]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn atleast_1d(&self) -> Tensor {
        self.of_rank(1, Location::caller())
    }

    /// Returns the tensor with at least two axes: new ones of size 1 are in front. Follows
    /// `jax.numpy.atleast_2d`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([5, 6]).atleast_2d().shape(), [1, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn atleast_2d(&self) -> Tensor {
        self.of_rank(2, Location::caller())
    }

    /// Returns the tensor with at least three axes: a vector of `n` elements becomes `[1, n, 1]`, a
    /// matrix of shape `[n, m]` becomes `[n, m, 1]`. Follows `jax.numpy.atleast_3d`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([5, 6]).atleast_3d().shape(), [1, 2, 1]);
    /// assert_eq!(tensor([[5, 6]]).atleast_3d().shape(), [1, 2, 1]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn atleast_3d(&self) -> Tensor {
        self.of_rank_3(Location::caller())
    }

    fn of_rank_3(&self, at: CallSite) -> Tensor {
        match self.type_ref().map(|t| t.shape.to_vec()).as_deref() {
            Ok([]) => self.reshaped([1, 1, 1], at),
            Ok(&[n]) => self.reshaped([1, n, 1], at),
            Ok(&[n, m]) => self.reshaped([n, m, 1], at),
            _ => self.clone(),
        }
    }

    /// Merges `axes`, which are adjacent and in ascending order, into one axis of the product of
    /// their sizes.
    ///
    /// No axis at all inserts an axis of size 1 at the front. Follows `jax.lax.collapse`.
    ///
    /// # Errors
    ///
    /// The result carries an error if an axis is out of range, or if the axes are not adjacent.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(Tensor::zeros([2, 3, 4, 5]).collapse(1..3).shape(), [2, 12, 5]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn collapse(&self, axes: impl crate::IntoAxes) -> Tensor {
        let at = Location::caller();
        let collapse = || {
            let axes = crate::args::axes_or_error(self, &axes, "collapse", at)?;
            if axes.windows(2).any(|w| w[0] + 1 != w[1]) {
                let why = format!(
                    "expected adjacent axes in ascending order, got {axes:?} of {}",
                    self.dtype_and_shape()
                );
                return Err(Tensor::fail("collapse", why, at));
            }
            let (first, count) = (axes.first().copied().unwrap_or(0), axes.len());
            let (before, rest) = (&self.shape()[..first], &self.shape()[first..]);
            let size = rest[..count].iter().product();
            Ok(self.reshaped([before, &[size], &rest[count..]].concat(), at))
        };
        tensor_or_error(collapse())
    }
}

#[cfg(test)]
mod tests {
    use super::super::join::NO_OPERANDS;
    use super::*;
    use crate::prelude::*;

    #[test]
    fn blocks_nest_to_any_depth() {
        let x = block([[[tensor(1)], [tensor(2)]], [[tensor(3)], [tensor(4)]]]);
        assert_eq!(
            (x.shape().to_vec(), x.to_vec::<i32>().unwrap()),
            (vec![2, 2, 1], vec![1, 2, 3, 4])
        );
        assert_eq!(block(tensor(1)).shape(), []);
        assert_eq!(block([tensor([[1, 2]]), tensor([[3]])]).to_vec::<i32>().unwrap(), [1, 2, 3]);
        let row = block([tensor(1.0), tensor([2.0, 3.0])]);
        assert_eq!(row.to_vec::<f32>().unwrap(), [1.0, 2.0, 3.0]);
    }

    #[test]
    fn misuse_is_an_error() {
        let say = |x: &Tensor| x.error().unwrap().to_string();
        assert!(say(&block(Vec::<Tensor>::new())).contains(NO_OPERANDS));
        assert!(say(&column_stack(Vec::<Tensor>::new())).contains(NO_OPERANDS));
        assert!(block([[tensor([1, 2])], [tensor([1])]]).error().is_some());
        let xs = broadcast_arrays([tensor([1, 2]), tensor([1, 2, 3])]);
        assert!(say(&xs[1]).contains("cannot broadcast i32[2] with i32[3]"));
        let e = broadcast_shapes([[3], [4]]).unwrap_err().to_string();
        assert!(e.contains("expected shapes that broadcast, got [3], [4]"), "{e}");
        let e = Tensor::zeros([2, 3, 4]).collapse([0, 2]);
        assert!(say(&e).contains("expected adjacent axes in ascending order, got [0, 2]"));
        assert_eq!(tensor(1).collapse(..).shape(), [1]);
    }
}
