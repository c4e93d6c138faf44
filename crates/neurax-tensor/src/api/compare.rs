//! Comparisons, selection and logic.

use super::common::{example, functions_of_two, promote_and_broadcast};
use crate::{
    DType, IntoAxes, Operand, Scalar, Tensor,
    dispatch::dispatch_broadcast,
    operators::{float_operand, float_operands},
    tensor::CallSite,
};
use neurax_ir::op::{Binary, Compare, Direction, ReduceKind, Select, Unary};
use std::{cmp::Ordering, panic::Location};

functions_of_two! {
    Direction,
    "Works element by element, with promotion and broadcasting. The result is bool. NaN is not \
     equal to anything, and neither less nor greater. A Rust number is compared by its value, \
     even if an integer dtype does not hold it.",
    |x, y, direction, at| compare(x, y, direction, at);
    equal = Eq,
        "Tests if `x == y`.",
        "tensor([1, 2, 3]).equal(2)" => "[false, true, false]";
    not_equal = Ne,
        "Tests if `x != y`.",
        "tensor([1, 2, 3]).not_equal(2)" => "[true, false, true]";
    lt = Lt,
        "Tests if `x < y`.",
        "tensor([1, 2, 3]).lt(2)" => "[true, false, false]";
    le = Le,
        "Tests if `x <= y`.",
        "tensor([1, 2, 3]).le(2)" => "[true, true, false]";
    gt = Gt,
        "Tests if `x > y`.",
        "tensor([1, 2, 3]).gt(2)" => "[false, false, true]";
    ge = Ge,
        "Tests if `x >= y`.",
        "tensor([1, 2, 3]).ge(2)" => "[false, true, true]";
}

impl Tensor {
    /// Selects elements of `x` where `self` is true, else of `y`.
    ///
    /// `self` is bool. Operands are broadcast, and the dtypes of `x` and `y` promoted. Follows
    /// `jax.lax.select`, with broadcasting; [`where_`] is the same function with NumPy's name.
    ///
    /// # Errors
    ///
    /// The result carries an error if `self` is not bool.
    ///
    /// # Examples
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
            // A Rust number is converted to the dtype of the other operand, on either side.
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
        self.select_at(x, y, at)
    }

    /// Returns the elements of `x` where this tensor is true, else those of `y`.
    pub(super) fn select_at(&self, x: Tensor, y: Tensor, at: CallSite) -> Tensor {
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
        dispatch_broadcast(Select {}, [self.clone(), x, y], at)
    }

    /// Converts to bool: true for all numbers but 0.
    pub(crate) fn to_bool(&self, at: CallSite) -> Tensor {
        self.convert(DType::Bool, at)
    }

    /// Tests if all elements over `axes` are true (not 0).
    ///
    /// The result is bool without the axes; [`crate::keep`] keeps them with size 1. True if there
    /// are no elements. Follows `numpy.all`.
    ///
    /// # Examples
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

    /// Tests if any element over `axes` is true (not 0).
    ///
    /// The result is bool without the axes; [`crate::keep`] keeps them with size 1. False if there
    /// are no elements. Follows `numpy.any`.
    ///
    /// # Examples
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

    /// Tests if elements are close: `|x - y| <= absolute + relative |y|`, element by element, with
    /// promotion and broadcasting.
    ///
    /// The result is bool. Equal infinities are close; NaN is close to nothing. NumPy's `isclose`
    /// uses 1e-5 for `relative` and 1e-8 for `absolute` by default.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1.0, 2.0, f32::INFINITY]);
    /// let y = tensor([1.000001, 2.1, f32::INFINITY]);
    /// assert_eq!(x.isclose(y, 1e-5, 1e-8).to_vec::<bool>()?, [true, false, true]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn isclose(&self, other: impl Operand, relative: f64, absolute: f64) -> Tensor {
        let at = Location::caller();
        let (x, y) = float_operands(self.clone(), float_operand(other, self), at);
        let (x, y) = match promote_and_broadcast("isclose", &[x, y], at).as_deref() {
            Ok([x, y]) => (x.clone(), y.clone()),
            Ok(_) => return self.clone(),
            Err(e) => return e.clone(),
        };
        let near = (&x - &y).abs().le(y.abs() * relative + absolute);
        // The bound of an infinity is infinite as well: only equal infinities are close.
        (near & x.is_finite() & y.is_finite()) | x.equal(&y)
    }

    /// Tests if all elements are close, as defined by [`Tensor::isclose`].
    ///
    /// The result is a bool scalar. Follows `numpy.allclose`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (x, y) = (tensor([1.0, 2.0]), tensor([1.0, 2.1]));
    /// assert_eq!(x.allclose(y, 1e-5, 1e-8).to_vec::<bool>()?, [false]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn allclose(&self, other: impl Operand, relative: f64, absolute: f64) -> Tensor {
        self.isclose(other, relative, absolute).all(..)
    }

    /// Tests if both tensors have the same shape and the same elements.
    ///
    /// The result is a bool scalar; different shapes are not an error. Follows `numpy.array_equal`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1, 2]).array_equal(tensor([1, 2])).to_vec::<bool>()?, [true]);
    /// assert_eq!(tensor([1, 2]).array_equal(tensor([[1, 2]])).to_vec::<bool>()?, [false]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn array_equal(&self, other: impl Operand) -> Tensor {
        if other.number().is_some() {
            return match self.rank() {
                0 => self.equal(other),
                _ => Tensor::scalar(DType::Bool, false),
            };
        }
        let other = other.operand(self);
        match (self.type_ref(), other.type_ref()) {
            (Ok(a), Ok(b)) if a.shape != b.shape => Tensor::scalar(DType::Bool, false),
            _ => self.equal(other).all(..),
        }
    }

    /// Tests if elements are 0, element by element: the logical not. The result is bool. Follows
    /// `numpy.logical_not`.
    ///
    /// # Examples
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
    Binary,
    "Works element by element, with broadcasting. Numbers are true if they are not 0. The result \
     is bool.",
    |x, y, f, at| x.to_bool(at).binary(truth(x, y, at), f, at);
    logical_and = And,
        "Tests if both operands are true.",
        "tensor([0, 1, 2]).logical_and(tensor([1, 0, 1]))" => "[false, false, true]";
    logical_or = Or,
        "Tests if at least one operand is true.",
        "tensor([0, 1, 0]).logical_or(tensor([1, 0, 0]))" => "[true, true, false]";
    logical_xor = Xor,
        "Tests if exactly one operand is true.",
        "tensor([1, 1, 0]).logical_xor(tensor([1, 0, 0]))" => "[false, true, false]";
}

/// Selects elements of `x` where `pred` is true, else of `y`: [`Tensor::select`] with NumPy's name.
///
/// # Examples
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

/// Converts an operand for `x` to bool; a number is true by its value, even if the dtype of `x`
/// does not hold it.
#[track_caller]
fn truth(x: &Tensor, y: impl Operand, at: CallSite) -> Tensor {
    match y.number() {
        Some(number) => Tensor::scalar(DType::Bool, number),
        None => y.operand(x).to_bool(at),
    }
}

/// Compares elements with `y`; a number is compared by its value, even if the dtype of `x` does not
/// hold it.
#[track_caller]
fn compare(x: &Tensor, y: impl Operand, direction: Direction, at: CallSite) -> Tensor {
    match Comparison::of(x, y.number(), direction) {
        Comparison::Promoted => {
            dispatch_broadcast(Compare { direction }, [x.clone(), y.operand(x)], at)
        }
        Comparison::InF64 => {
            let x = x.convert(DType::F64, at);
            let y = y.operand(&x);
            dispatch_broadcast(Compare { direction }, [x, y], at)
        }
        Comparison::OfIntegers(comparison) => comparison.apply(x, at),
    }
}

/// The way in which a tensor is compared.
enum Comparison {
    /// Both operands are converted to a common dtype.
    Promoted,
    /// With a number that is infinite in the dtype of the tensor, which is converted.
    InF64,
    /// By value, with a number.
    OfIntegers(IntegerComparison),
}

impl Comparison {
    /// Returns the way to compare `x` with an operand, which may be a number.
    fn of(x: &Tensor, number: Option<Scalar>, direction: Direction) -> Comparison {
        match (x.type_ref(), number) {
            (Ok(ty), Some(number)) if ty.dtype.is_float() && number.overflows(ty.dtype) => {
                Comparison::InF64
            }
            (Ok(ty), Some(number)) if !ty.dtype.is_differentiable() => {
                // Integers below 8 bits have no common dtype with floats, whatever their values.
                let packed = ty.dtype.is_int() && ty.dtype.bits() < 8;
                let is_comparable = !packed || !matches!(number, Scalar::Float(_));
                let comparison =
                    is_comparable.then(|| IntegerComparison::of(number, direction)).flatten();
                comparison.map_or(Comparison::Promoted, Comparison::OfIntegers)
            }
            _ => Comparison::Promoted,
        }
    }
}

/// A comparison of integers with a number.
enum IntegerComparison {
    /// The result is the same for all integers.
    Constant(bool),
    /// An equivalent comparison with an integer.
    With(Direction, Scalar),
}

impl IntegerComparison {
    /// Returns the comparison of integers with the value of `number`; `None` if it is complex.
    fn of(number: Scalar, direction: Direction) -> Option<IntegerComparison> {
        let with = |x: f64, direction| {
            // The conversion saturates, beyond all integer dtypes.
            IntegerComparison::With(direction, Scalar::Int(x as i128))
        };
        Some(match (number, direction) {
            (Scalar::Complex(..), _) => return None,
            (Scalar::Float(x), _) if x.is_nan() => {
                IntegerComparison::Constant(direction == Direction::Ne)
            }
            // Between two integers, `x < y` is `x <= floor(y)`.
            (Scalar::Float(y), _) if y.is_finite() && y.fract() != 0.0 => match direction {
                Direction::Lt | Direction::Le => with(y.floor(), Direction::Le),
                Direction::Gt | Direction::Ge => with(y.floor(), Direction::Gt),
                Direction::Eq | Direction::Ne => {
                    IntegerComparison::Constant(direction == Direction::Ne)
                }
            },
            (Scalar::Float(y), _) => with(y, direction),
            _ => IntegerComparison::With(direction, number),
        })
    }

    /// Applies the comparison to the integers or bools `x`.
    #[track_caller]
    fn apply(self, x: &Tensor, at: CallSite) -> Tensor {
        let (direction, number) = match self {
            IntegerComparison::Constant(y) => return Tensor::full_of(DType::Bool, x.shape(), y),
            IntegerComparison::With(direction, number) => (direction, number),
        };
        let holds = match number.order_in(number.dtype_with(x.dtype())) {
            Ordering::Less => matches!(direction, Direction::Gt | Direction::Ge | Direction::Ne),
            Ordering::Greater => matches!(direction, Direction::Lt | Direction::Le | Direction::Ne),
            Ordering::Equal => {
                let number = number.weak_like(x);
                return dispatch_broadcast(Compare { direction }, [x.clone(), number], at);
            }
        };
        Tensor::full_of(DType::Bool, x.shape(), holds)
    }
}
