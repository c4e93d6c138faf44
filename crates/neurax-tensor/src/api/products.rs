//! Products of vectors, matrices and tensors.

use super::common::{promote_operands, tensor_or_error};
use crate::{AxisInt, IntoAxes, Operand, Tensor, args::axes_or_error, emit::emit, tensor::At};
use neurax_ir::op::DotGeneral;
use std::panic::Location;

/// Sums of products over those axes of two tensors of any dtypes.
pub(crate) fn contract(
    op: &str,
    x: &Tensor,
    y: &Tensor,
    batch: [Vec<usize>; 2],
    over: [Vec<usize>; 2],
    at: At,
) -> Result<Tensor, Tensor> {
    let xs = promote_operands(op, &[x.clone(), y.clone()], at)?;
    let dtype = xs[0].dtype();
    let ([lhs_batch, rhs_batch], [lhs_contract, rhs_contract]) = (batch, over);
    for (&a, &b) in lhs_contract.iter().zip(&rhs_contract) {
        let (n, m) = (x.shape()[a], y.shape()[b]);
        if n != m {
            let (x, y) = (x.dtype_and_shape(), y.dtype_and_shape());
            return Err(Tensor::fail(
                op,
                format!(
                    "expected axes of one size, got {n} for axis {a} of {x} and {m} for axis {b} \
                     of {y}"
                ),
                at,
            ));
        }
    }
    Ok(emit(DotGeneral { lhs_batch, rhs_batch, lhs_contract, rhs_contract, dtype }, xs, at))
}

impl Tensor {
    /// NumPy's `dot`: of vectors the sum of products, of matrices their product, else the sum over
    /// the last axis of `self` and the last but one of `other`; with a scalar, the plain product.
    /// [`Tensor::matmul`] treats leading axes as batches.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1.0, 2.0]).dot(tensor([3.0, 4.0])).item()?, 11.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn dot(&self, other: impl Operand) -> Tensor {
        let at = Location::caller();
        let other = other.operand(self);
        let axis = other.rank().saturating_sub(2);
        self.sum_product("dot", &other, axis, at)
    }

    /// Contracts the last axis of `self` with `axis` of `other`; multiplies if one is a scalar.
    #[track_caller]
    fn sum_product(&self, op: &str, other: &Tensor, axis: usize, at: At) -> Tensor {
        if self.rank() == 0 || other.rank() == 0 {
            return self * other;
        }
        let over = [vec![self.rank() - 1], vec![axis]];
        tensor_or_error(contract(op, self, other, [vec![], vec![]], over, at))
    }

    /// The sum of the products of all elements, those of `self` conjugated; both have as many.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([[1.0, 2.0]]).vdot(tensor([3.0, 4.0])).item()?, 11.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn vdot(&self, other: impl Operand) -> Tensor {
        let at = Location::caller();
        let other = other.operand(self).flatten();
        let x = if self.dtype().is_complex() { self.conj() } else { self.clone() };
        tensor_or_error(contract(
            "vdot",
            &x.flatten(),
            &other,
            [vec![], vec![]],
            [vec![0], vec![0]],
            at,
        ))
    }

    /// The sum of products over the last axis of both; with a scalar, the plain product.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[1, 2], [3, 4]]);
    /// assert_eq!(x.inner(&x).to_vec::<i32>()?, [5, 11, 11, 25]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn inner(&self, other: impl Operand) -> Tensor {
        let at = Location::caller();
        let other = other.operand(self);
        let axis = other.rank().saturating_sub(1);
        self.sum_product("inner", &other, axis, at)
    }

    /// The product of every element with every element of `other`: a matrix.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1, 2]).outer(tensor([3, 4, 5])).to_vec::<i32>()?, [3, 4, 5, 6, 8, 10]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn outer(&self, other: impl Operand) -> Tensor {
        let at = Location::caller();
        let other = other.operand(self);
        self.reshaped([self.size(), 1], at) * other.reshaped([1, other.size()], at)
    }

    /// The sum of products over axes of both, as many and of the same sizes: the rest of the axes
    /// of `self`, then those of `other`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (x, y) = (Tensor::ones([2, 3, 4]), Tensor::ones([4, 3, 5]));
    /// assert_eq!(x.tensordot(y, [1, 2], [1, 0]).shape(), [2, 5]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn tensordot(
        &self,
        other: impl Operand,
        axes: impl IntoAxes,
        other_axes: impl IntoAxes,
    ) -> Tensor {
        let at = Location::caller();
        let other = other.operand(self);
        let dot = || {
            let (a, b) = (
                axes_or_error(self, &axes, "tensordot", at)?,
                axes_or_error(&other, &other_axes, "tensordot", at)?,
            );
            if a.len() != b.len() {
                return Err(Tensor::fail(
                    "tensordot",
                    format!(
                        "expected the same number of axes for both operands, got {} and {}",
                        a.len(),
                        b.len()
                    ),
                    at,
                ));
            }
            contract("tensordot", self, &other, [vec![], vec![]], [a, b], at)
        };
        tensor_or_error(dot())
    }

    /// The sum of the elements on a diagonal of matrices (the last two axes).
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([[1, 2], [3, 4]]).trace(0).item()?, 5.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn trace(&self, offset: i64) -> Tensor {
        match self.matrix_size("trace", Location::caller()) {
            Ok(_) => self.diagonal(offset, -2, -1).sum(-1),
            Err(e) => e,
        }
    }

    /// The Kronecker product: every element replaced by its product with all of `other`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1, 10]).kron(tensor([1, 2])).to_vec::<i32>()?, [1, 2, 10, 20]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn kron(&self, other: impl Operand) -> Tensor {
        let at = Location::caller();
        let other = other.operand(self);
        if self.error().is_some() || other.error().is_some() {
            return self * other;
        }
        let rank = self.rank().max(other.rank());
        let sizes = |x: &Tensor| -> Vec<usize> {
            std::iter::repeat_n(1, rank - x.rank()).chain(x.shape().iter().copied()).collect()
        };
        let (a, b) = (sizes(self), sizes(&other));
        let own: Vec<usize> = a.iter().flat_map(|&n| [n, 1]).collect();
        let each: Vec<usize> = b.iter().flat_map(|&n| [1, n]).collect();
        let merged: Option<Vec<usize>> = a.iter().zip(&b).map(|(n, m)| n.checked_mul(*m)).collect();
        match merged {
            Some(shape) => (self.reshaped(own, at) * other.reshaped(each, at)).reshaped(shape, at),
            None => Tensor::fail(
                "kron",
                format!("{} and {} are too large", self.dtype_and_shape(), other.dtype_and_shape()),
                at,
            ),
        }
    }

    /// The cross product of vectors of three along the last axis; other axes broadcast.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1, 0, 0]).cross(tensor([0, 1, 0])).to_vec::<i32>()?, [0, 0, 1]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn cross(&self, other: impl Operand) -> Tensor {
        let at = Location::caller();
        let other = other.operand(self);
        for x in [self, &other] {
            if x.error().is_none() && x.shape().last() != Some(&3) {
                return Tensor::fail(
                    "cross",
                    format!("expected size 3 along the last axis, got {}", x.dtype_and_shape()),
                    at,
                );
            }
        }
        self.roll(-1, -1) * other.roll(-2, -1) - self.roll(-2, -1) * other.roll(-1, -1)
    }

    /// The product of `n` times the same square matrix (the last two axes); of none, the identity.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([[1, 1], [0, 1]]).matrix_power(5).to_vec::<i32>()?, [1, 5, 0, 1]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn matrix_power(&self, n: u32) -> Tensor {
        let at = Location::caller();
        let size = match self.matrix_size("matrix_power", at) {
            Ok((n, m)) if n == m => n,
            Ok(_) => {
                return Tensor::fail(
                    "matrix_power",
                    format!("expected square matrices, got {}", self.dtype_and_shape()),
                    at,
                );
            }
            Err(e) => return e,
        };
        if n == 0 {
            return Tensor::eye(size).convert(self.dtype(), at).broadcast_to(self.shape());
        }
        let (mut power, mut square, mut rest) = (None::<Tensor>, self.clone(), n);
        loop {
            if rest % 2 == 1 {
                power = Some(match power {
                    Some(p) => p.matmul(&square),
                    None => square.clone(),
                });
            }
            rest /= 2;
            if rest == 0 {
                return power.unwrap_or(square);
            }
            square = square.matmul(&square);
        }
    }

    /// The cosine of the angle between vectors along an axis: their product over their lengths, 0
    /// where one has none. Other axes broadcast.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([3.0, 4.0]).cosine_similarity(tensor([30.0, 40.0]), -1).item()?, 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn cosine_similarity(&self, other: impl Operand, axis: impl AxisInt) -> Tensor {
        let other = other.operand(self);
        let axis = axis.to_i64();
        let lengths = self.norm(axis) * other.norm(axis);
        let none = lengths.equal(0);
        none.select(0, (self * other).sum(axis) / none.select(1, lengths))
    }
}
