//! The matrix product.

use crate::{
    Operand, Tensor, Type,
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
        let at = Location::caller();
        let other = other.operand(self);
        match (self.type_ref(), other.type_ref()) {
            (Ok(a), Ok(b)) => product(self, &other, a, b, at),
            (Err(_), _) => self.clone(),
            (_, Err(_)) => other.clone(),
        }
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

/// Computes the matrix product of `x` of type `a` and `y` of type `b`.
fn product(x: &Tensor, y: &Tensor, a: &Type, b: &Type, at: CallSite) -> Tensor {
    let refuse = |why: &str| Tensor::fail("matmul", format!("{a} and {b}: {why}"), at);
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
                dtype,
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
    let batch = match common_shape("matmul", &[lead(&x), lead(&y)]) {
        Ok(s) => s,
        Err(_) => return refuse("the batch axes do not broadcast"),
    };
    let grow = |t: Tensor| t.broadcast_at([&batch[..], &t.shape()[t.rank() - 2..]].concat(), at);
    let axes: Vec<usize> = (0..batch.rank()).collect();
    let z = dot(axes.clone(), axes, grow(x), grow(y));
    if row { dispatch(Reshape { shape: z.shape().0.removed(batch.rank()) }, [z], at) } else { z }
}
