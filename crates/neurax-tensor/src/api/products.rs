//! Products of vectors, matrices and tensors.

use super::common::{promote_operands, tensor_or_error};
use crate::{
    AxisInt, IntoAxes, Operand, Tensor, args::axes_or_error, dispatch::dispatch, stop_gradient,
    tensor::CallSite,
};
use neurax_ir::op::{DotGeneral, ReduceKind};
use std::panic::Location;

/// Computes sums of products of `x` and `y`, of any dtypes, over the axes `over`, with batch axes
/// `batch`; each is a list for `x` and one for `y`.
///
/// # Errors
///
/// Returns a tensor that carries the error of `op` if there is no common dtype or if sizes differ.
pub(crate) fn contract(
    op: &str,
    x: &Tensor,
    y: &Tensor,
    batch: [Vec<usize>; 2],
    over: [Vec<usize>; 2],
    at: CallSite,
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
    Ok(dispatch(DotGeneral { lhs_batch, rhs_batch, lhs_contract, rhs_contract, dtype }, xs, at))
}

impl Tensor {
    /// Computes the dot product like NumPy: the sum of products over the last axis of `self` and
    /// the last axis but one of `other`.
    ///
    /// This is the inner product of vectors and the product of matrices. With a scalar, it is the
    /// elementwise product. [`Tensor::matmul`] treats leading axes as batches. Follows `numpy.dot`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the sizes of the axes differ.
    ///
    /// # Examples
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

    /// Contracts the last axis of `self` with `axis` of `other`, or multiplies if one is a scalar.
    #[track_caller]
    fn sum_product(&self, op: &str, other: &Tensor, axis: usize, at: CallSite) -> Tensor {
        if self.rank() == 0 || other.rank() == 0 {
            return self * other;
        }
        let over = [vec![self.rank() - 1], vec![axis]];
        tensor_or_error(contract(op, self, other, [vec![], vec![]], over, at))
    }

    /// Computes the sum of the products of all elements, those of `self` conjugated.
    ///
    /// Both tensors are flattened first. Follows `numpy.vdot`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the numbers of elements differ.
    ///
    /// # Examples
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

    /// Computes the sum of products over the last axis of both tensors; with a scalar, the
    /// elementwise product.
    ///
    /// Follows `numpy.inner`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the sizes of the axes differ.
    ///
    /// # Examples
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

    /// Computes the product of every element of `self` with every element of `other`: a matrix.
    ///
    /// Both tensors are flattened first. Follows `numpy.outer`.
    ///
    /// # Examples
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

    /// Computes the sum of products over `axes` of `self` and `other_axes` of `other`, in this
    /// order.
    ///
    /// The result has the remaining axes of `self`, then those of `other`. Dtypes are promoted.
    /// Follows `numpy.tensordot`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the numbers or the sizes of the axes differ.
    ///
    /// # Examples
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

    /// Computes the sum of the elements on diagonal `offset` of matrices (the last two axes).
    /// Follows `numpy.trace`.
    ///
    /// # Examples
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

    /// Computes the Kronecker product: every element of `self` is replaced by its product with all
    /// of `other`. Follows `numpy.kron`.
    ///
    /// # Examples
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

    /// Computes the cross product of vectors of size 3 along the last axis.
    ///
    /// Other axes broadcast. Follows `numpy.cross`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the last axis of an operand does not have size 3.
    ///
    /// # Examples
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

    /// Computes the power `n` of square matrices (the last two axes); the identity matrix for `n`
    /// of 0, and the power of the inverse for negative `n`, which converts integers to f32.
    ///
    /// It takes at most `2 log2(n)` matrix products. Follows `numpy.linalg.matrix_power`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the matrices are not square.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([[1, 1], [0, 1]]).matrix_power(5).to_vec::<i32>()?, [1, 5, 0, 1]);
    /// let inverse = tensor([[2.0, 0.0], [0.0, 4.0]]).matrix_power(-1);
    /// assert_eq!(inverse.to_vec::<f32>()?, [0.5, 0.0, 0.0, 0.25]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn matrix_power(&self, n: i64) -> Tensor {
        let at = Location::caller();
        let size = match self.square_size("matrix_power", at) {
            Ok(size) => size,
            Err(e) => return e,
        };
        if n == 0 {
            return Tensor::eye(size).convert(self.dtype(), at).broadcast_to(self.shape());
        }
        let base = if n < 0 { self.inv() } else { self.clone() };
        let (mut power, mut square, mut rest) = (None::<Tensor>, base, n.unsigned_abs());
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

    /// Computes the cosine of the angle between vectors along `axis`, which is removed: their
    /// product divided by their norms.
    ///
    /// The result is 0, with derivative 0, if a vector has norm 0. Large and small vectors neither
    /// overflow nor vanish: they are divided by their largest absolute value first. Integers and
    /// bool are converted to f32; floats below 32 bits are computed in f32 and rounded once. Other
    /// axes broadcast. Follows `torch.nn.functional.cosine_similarity`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([3.0, 4.0]).cosine_similarity(tensor([30.0, 40.0]), -1).item()?, 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn cosine_similarity(&self, other: impl Operand, axis: impl AxisInt) -> Tensor {
        let at = Location::caller();
        let other = other.operand(self);
        let name = "cosine_similarity";
        let cosine = || {
            let [a, b] = [self.axis_at(axis, name, at)?, other.axis_at(axis, name, at)?];
            let both = promote_operands(name, &[self.clone(), other.clone()], at)?;
            let scaled = |x: &Tensor, axis| x.clone().float(at).wide(at).0.scaled_to_one(axis, at);
            let (x, y) = (scaled(&both[0], a), scaled(&both[1], b));
            let lengths = x.norm(a) * y.norm(b);
            let none = lengths.equal(0);
            let cosine = none.select(0, (x * y).sum(axis.to_i64()) / none.select(1, lengths));
            Ok(cosine.convert(both[0].clone().float(at).dtype(), at))
        };
        tensor_or_error(cosine())
    }

    /// Divides vectors along `axis` by their largest absolute value, unless it is 0, so that their
    /// squares neither overflow nor vanish. It is a constant in derivatives, which is right where
    /// the result does not depend on the length of the vectors.
    #[track_caller]
    pub(crate) fn scaled_to_one(&self, axis: usize, at: CallSite) -> Tensor {
        let size = stop_gradient(self).abs();
        let largest = size.reduce_list(ReduceKind::Max, &[axis], true, at);
        let none = largest.equal(0);
        self / none.select(1, largest)
    }
}
