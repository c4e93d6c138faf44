//! Comparing and choosing.

use super::common::{example, functions_of_two, promote_and_broadcast};
use crate::{DType, IntoAxes, Operand, Tensor, emit::emit_implicit, tensor::At};
use neurax_ir::op::{Binary, Compare, Direction, ReduceKind, Select, Unary};
use std::panic::Location;

functions_of_two! {
    Direction, "Element by element, with promotion and broadcasting; gives bool. NaN is not equal to anything, and neither less nor greater.",
    |x, y, direction, at| emit_implicit(Compare { direction }, [x.clone(), y], at);
    equal = Eq, "`x == y`.", "tensor([1, 2, 3]).equal(2)" => "[false, true, false]";
    not_equal = Ne, "`x != y`.", "tensor([1, 2, 3]).not_equal(2)" => "[true, false, true]";
    lt = Lt, "`x < y`.", "tensor([1, 2, 3]).lt(2)" => "[true, false, false]";
    le = Le, "`x <= y`.", "tensor([1, 2, 3]).le(2)" => "[true, true, false]";
    gt = Gt, "`x > y`.", "tensor([1, 2, 3]).gt(2)" => "[false, false, true]";
    ge = Ge, "`x >= y`.", "tensor([1, 2, 3]).ge(2)" => "[false, true, true]";
}

impl Tensor {
    /// `self ? x : y`, element by element, with promotion and broadcasting; `self` is bool.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([-1.0, 2.0]);
    /// assert_eq!(x.gt(0.0).select(&x, 0.0).to_vec::<f32>()?, [0.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn select(&self, x: impl Operand, y: impl Operand) -> Tensor {
        let at = Location::caller();
        let like = Tensor::scalar(DType::Bool, false);
        let (x, y) = match (x.number(), y.number()) {
            // A number takes the dtype of the tensor that it meets, on either side.
            (Some(x), None) => {
                let y = y.operand(&like);
                (y.number(x), y)
            }
            _ => {
                let x = x.operand(&like);
                let y = y.operand(&x);
                (x, y)
            }
        };
        if self.error().is_none() && self.dtype() != DType::Bool {
            return Tensor::fail(
                "select",
                format!(
                    "expected a bool predicate, got {}; compare first: `x.gt(0.0)`",
                    self.dtype()
                ),
                at,
            );
        }
        emit_implicit(Select {}, [self.clone(), x, y], at)
    }

    /// Is each number not 0? Itself if it is bool.
    pub(crate) fn to_bool(&self, at: At) -> Tensor {
        self.convert(DType::Bool, at)
    }

    /// Are all elements over the axes true (not 0)? Gives bool.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[true, true], [true, false]]);
    /// assert_eq!(x.all(-1).to_vec::<bool>()?, [true, false]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn all(&self, axes: impl IntoAxes) -> Tensor {
        let at = Location::caller();
        self.to_bool(at).reduce_at(ReduceKind::And, "all", &axes, at)
    }

    /// Is any element over the axes true (not 0)? Gives bool.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([[0, 0], [0, 3]]);
    /// assert_eq!(x.any(-1).to_vec::<bool>()?, [false, true]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn any(&self, axes: impl IntoAxes) -> Tensor {
        let at = Location::caller();
        self.to_bool(at).reduce_at(ReduceKind::Or, "any", &axes, at)
    }

    /// `|x - y| <= absolute + relative |y|`, element by element, with promotion and broadcasting;
    /// equal infinities are close, NaN is close to nothing. NumPy takes 1e-5 relative and 1e-8
    /// absolute. Gives bool.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1.0, 2.0, f32::INFINITY]);
    /// assert_eq!(x.isclose(tensor([1.000001, 2.1, f32::INFINITY]), 1e-5, 1e-8).to_vec::<bool>()?, [true, false, true]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn isclose(&self, other: impl Operand, relative: f64, absolute: f64) -> Tensor {
        let at = Location::caller();
        let other = other.operand(self);
        let (x, y) = match promote_and_broadcast("isclose", &[self.clone(), other], at).as_deref() {
            Ok([x, y]) => (x.clone().float(at), y.clone().float(at)),
            Ok(_) => return self.clone(),
            Err(e) => return e.clone(),
        };
        let near = (&x - &y).abs().le(y.abs() * relative + absolute);
        // Around infinities the bound is infinite, too: there only equals are close.
        (near & x.is_finite() & y.is_finite()) | x.equal(&y)
    }

    /// Are all elements close, as [`Tensor::isclose`] says? Gives one bool.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1.0, 2.0]).allclose(tensor([1.0, 2.1]), 1e-5, 1e-8).to_vec::<bool>()?, [false]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn allclose(&self, other: impl Operand, relative: f64, absolute: f64) -> Tensor {
        self.isclose(other, relative, absolute).all(..)
    }

    /// Have both the same shape and the same elements? Gives one bool; tensors of different shapes
    /// are not equal, which is no error.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1, 2]).array_equal(tensor([1, 2])).to_vec::<bool>()?, [true]);
    /// assert_eq!(tensor([1, 2]).array_equal(tensor([[1, 2]])).to_vec::<bool>()?, [false]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn array_equal(&self, other: impl Operand) -> Tensor {
        let other = other.operand(self);
        match (self.type_ref(), other.type_ref()) {
            (Ok(a), Ok(b)) if a.shape != b.shape => Tensor::scalar(DType::Bool, false),
            _ => self.equal(other).all(..),
        }
    }

    /// `!x` as truth values: is the number 0? Gives bool.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([0.0, 2.0]).logical_not().to_vec::<bool>()?, [true, false]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn logical_not(&self) -> Tensor {
        let at = Location::caller();
        self.to_bool(at).unary(Unary::Not, at)
    }
}

functions_of_two! {
    Binary, "Element by element, with broadcasting; numbers are true if they are not 0. Gives bool.",
    |x, y, f, at| x.to_bool(at).binary(y.to_bool(at), f, at);
    logical_and = And, "Are both true?", "tensor([0, 1, 2]).logical_and(tensor([1, 0, 1]))" => "[false, false, true]";
    logical_or = Or, "Is one true, or both?", "tensor([0, 1, 0]).logical_or(tensor([1, 0, 0]))" => "[true, true, false]";
    logical_xor = Xor, "Is exactly one true?", "tensor([1, 1, 0]).logical_xor(tensor([1, 0, 0]))" => "[false, true, false]";
}

/// `pred ? x : y`, element by element: [`Tensor::select`] by NumPy's name.
///
/// ```
/// use neurax::prelude::*;
/// assert_eq!(where_(&tensor([true, false]), 1, tensor([5, 6])).to_vec::<i32>()?, [1, 6]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn where_(pred: &Tensor, x: impl Operand, y: impl Operand) -> Tensor {
    pred.select(x, y)
}
