//! The matrix product.

use crate::{
    DType, Operand, Tensor, Type,
    dispatch::{common_shape, dispatch},
    tensor::CallSite,
};
use neurax_ir::op::{DotGeneral, Reshape};
use std::panic::Location;

impl Tensor {
    /// Computes the matrix product: NumPy's `@`.
    ///
    /// It sums over the last axis of `self` and the last axis but one of `other`, or the only axis
    /// of a vector. Leading axes are batches and broadcast. A vector on the left counts as a row,
    /// one on the right as a column; its axis is removed from the result. Dtypes are promoted.
    /// Follows `numpy.matmul`.
    ///
    /// # Errors
    ///
    /// The result carries an error if an operand is a scalar, if the sizes of the summed axes
    /// differ, or if the batch axes do not broadcast.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let a = tensor([[1.0, 2.0], [3.0, 4.0]]);
    /// assert_eq!(a.matmul(&Tensor::eye(2)).to_vec::<f32>()?, [1.0, 2.0, 3.0, 4.0]);
    /// assert_eq!(a.matmul(tensor([1.0, 1.0])).to_vec::<f32>()?, [3.0, 7.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn matmul(&self, other: impl Operand) -> Tensor {
        product("matmul", self, other.operand(self), None, Location::caller())
    }

    /// Computes the matrix product with sums of `dtype`: [`Tensor::matmul`] without the rounding or
    /// overflow of narrow operands, as of i8 to i32.
    ///
    /// `dtype` is that of the promoted operands, or a wider one of the same family (floats, signed
    /// integers, unsigned integers, which may become signed). Follows `jax.numpy.matmul` with
    /// `preferred_element_type`.
    ///
    /// # Errors
    ///
    /// The result carries an error as that of [`Tensor::matmul`], and for other dtypes.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = Tensor::full_of(I8, [1, 100], 100);
    /// let y = x.matmul_as(x.t(), I32);
    /// assert_eq!((y.dtype(), y.to_vec::<i32>()?), (I32, vec![1_000_000]));
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn matmul_as(&self, other: impl Operand, dtype: DType) -> Tensor {
        product("matmul_as", self, other.operand(self), Some(dtype), Location::caller())
    }
}

/// Computes the matrix product of `x` and `y`: [`Tensor::matmul`].
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// assert_eq!(matmul(&tensor([[1, 2], [3, 4]]), &tensor([1, 10])).to_vec::<i32>()?, [21, 43]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn matmul(x: &Tensor, y: &Tensor) -> Tensor {
    x.matmul(y)
}

/// Computes the matrix product of `x` and `y` with sums of the dtype `to`, that of the operands if
/// it is `None`.
fn product(op: &str, x: &Tensor, y: Tensor, to: Option<DType>, at: CallSite) -> Tensor {
    let (a, b) = match (x.type_ref(), y.type_ref()) {
        (Ok(a), Ok(b)) => (a, b),
        (Err(_), _) => return x.clone(),
        (_, Err(_)) => return y.clone(),
    };
    let refuse = |why: &str| Tensor::fail(op, format!("{a} and {b}: {why}"), at);
    if a.rank() == 0 || b.rank() == 0 {
        return refuse("expected operands of rank 1 or more; use `*` for scalars");
    }
    // The axis of `y` that is summed over: the last but one, or the only one.
    let inner = b.rank().saturating_sub(2);
    if a.shape[a.rank() - 1] != b.shape[inner] {
        return refuse(&format!(
            "expected the last axis of the first and the matching axis of the second to have one \
             size, got {} and {}",
            a.shape[a.rank() - 1],
            b.shape[inner]
        ));
    }
    let Some(dtype) = a.dtype.promote(b.dtype) else {
        return refuse("the operands have no common dtype; convert one of them with `to`");
    };
    let (x, y) = (x.convert(dtype, at), y.convert(dtype, at));
    let dot = |lhs_batch: Vec<usize>, rhs_batch: Vec<usize>, x: Tensor, y: Tensor| {
        let (l, r) = (x.rank() - 1, y.rank().saturating_sub(2));
        dispatch(
            DotGeneral {
                lhs_batch,
                rhs_batch,
                lhs_contract: vec![l],
                rhs_contract: vec![r],
                dtype: to.unwrap_or(dtype),
            },
            [x, y],
            at,
        )
    };
    if b.rank() <= 2 {
        return dot(vec![], vec![], x, y);
    }
    // Batches of matrices: broadcast both to the same leading axes. A vector on the left is a row.
    let row = a.rank() == 1;
    let x = if row { dispatch(Reshape { shape: a.shape.inserted(0, 1) }, [x], at) } else { x };
    let lead = |t: &Tensor| Type::new(dtype, &t.shape()[..t.rank() - 2]);
    let batch = match common_shape(op, &[lead(&x), lead(&y)]) {
        Ok(s) => s,
        Err(_) => return refuse("the batch axes do not broadcast"),
    };
    let grow = |t: Tensor| t.broadcast_at([&batch[..], &t.shape()[t.rank() - 2..]].concat(), at);
    let axes: Vec<usize> = (0..batch.rank()).collect();
    let z = dot(axes.clone(), axes, grow(x), grow(y));
    if row { dispatch(Reshape { shape: z.shape().0.removed(batch.rank()) }, [z], at) } else { z }
}
