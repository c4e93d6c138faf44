//! Small argument traits, designed so that literals need no type suffix.

use crate::{DType, Error, Scalar, Tensor, tensor::CallSite};
use neurax_ir::{Complex, op::check_different};
use std::ops::{Range, RangeFrom, RangeFull, RangeInclusive, RangeTo};

/// The right operand of an operator or binary function: a tensor (owned or borrowed) or a Rust
/// number.
///
/// A number is weakly typed, as in JAX: it takes the dtype of the other operand if its kind fits:
/// `x * 2` and `x * 2.0` keep `bf16`. A float with an integer tensor is promoted to the default
/// float, f32.
///
/// An integer that the integer dtype of the other operand does not hold is an error in arithmetic;
/// comparisons, [`Tensor::clip`] and division compute with its value all the same:
///
/// ```
/// use neurax::prelude::*;
/// let x = Tensor::from_vec(vec![7u8, 255], [2]);
/// assert_eq!(x.gt(-1).to_vec::<bool>()?, [true, true]);
/// assert_eq!((&x / -5).to_vec::<f32>()?, [-1.4, -51.0]);
/// let e = (&x + 300).ok().unwrap_err();
/// assert!(e.message().starts_with("u8 does not hold 300, but u16 does"), "{e}");
/// # Ok::<(), Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an operand of a tensor",
    note = "operands are Tensor, &Tensor and Rust numbers; make other data a tensor first: \
            `tensor([..])`, `Tensor::from_vec(data, shape)`"
)]
pub trait Operand {
    /// Converts the operand to a tensor; a number takes its dtype from `like`, and becomes an error
    /// if that is an integer dtype that does not hold it.
    #[doc(hidden)]
    #[track_caller]
    fn operand(self, like: &Tensor) -> Tensor;

    /// Returns the number if the operand is one.
    #[doc(hidden)]
    fn number(&self) -> Option<Scalar> {
        None
    }
}

impl Operand for Tensor {
    fn operand(self, _: &Tensor) -> Tensor {
        self
    }
}

impl Operand for &Tensor {
    fn operand(self, _: &Tensor) -> Tensor {
        self.clone()
    }
}

impl Scalar {
    /// Returns the number as a tensor for an operation with `like`; it carries an error if the
    /// dtype is an integer dtype that does not hold the number.
    #[track_caller]
    pub(crate) fn weak_like(self, like: &Tensor) -> Tensor {
        let Ok(ty) = like.type_ref() else { return like.clone() };
        let dtype = self.dtype_with(ty.dtype);
        self.to_literal(dtype).map_or_else(
            |e| {
                let wider = self.wider_dtype(dtype).name().to_uppercase();
                let advice = format!("; convert the other operand, {ty}, with `to({wider})`");
                Tensor::from_error(Error::new(e.op(), format!("{}{advice}", e.message())))
            },
            Tensor::from,
        )
    }

    /// Returns the number as a tensor for an operation on floats with `like`: as
    /// [`Scalar::weak_like`] with integers and bool already converted to the default float.
    #[track_caller]
    pub(crate) fn float_like(self, like: &Tensor) -> Tensor {
        match (self, like.type_ref()) {
            (Scalar::Int(_) | Scalar::Bool(_), Ok(t)) if !t.dtype.is_differentiable() => {
                // Integers below 8 bits become floats with integers only.
                let packed = t.dtype.is_int() && t.dtype.bits() < 8;
                let mut exact = [DType::I64, DType::U64].into_iter().filter(|_| packed);
                let dtype = exact.find(|&d| self.is_held_by(d)).unwrap_or(DType::F32);
                Tensor::from(self.literal(dtype))
            }
            _ => self.weak_like(like),
        }
    }
}

macro_rules! numbers {
    ($($V:ident: $($t:ty),*);*) => {$($(
        impl From<$t> for Scalar {
            fn from(x: $t) -> Scalar {
                Scalar::$V(x.into())
            }
        }
        impl Operand for $t {
            #[track_caller]
            fn operand(self, like: &Tensor) -> Tensor {
                Scalar::from(self).weak_like(like)
            }
            fn number(&self) -> Option<Scalar> {
                Some((*self).into())
            }
        }
    )*)*};
}

numbers!(Bool: bool; Int: i8, i16, i32, i64, u8, u16, u32, u64; Float: f32, f64);

macro_rules! big_numbers {
    ($($t:ty => |$x:ident| $e:expr),*) => {$(
        impl From<$t> for Scalar {
            fn from($x: $t) -> Scalar {
                $e
            }
        }
        impl Operand for $t {
            #[track_caller]
            fn operand(self, like: &Tensor) -> Tensor {
                Scalar::from(self).weak_like(like)
            }
            fn number(&self) -> Option<Scalar> {
                Some((*self).into())
            }
        }
    )*};
}

big_numbers!(
    usize => |x| Scalar::Int(x as i128),
    isize => |x| Scalar::Int(x as i128),
    Complex<f32> => |x| Scalar::Complex(x.re.into(), x.im.into()),
    Complex<f64> => |x| Scalar::Complex(x.re, x.im)
);

/// A selection of axes: `..` (all), `0`, `-1`, `[0, -1]`, `&axes[..]`, `1..`, `..2`, or [`keep`] of
/// one of these.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not name axes",
    note = "axes are `..` (all), `0`, `-1`, `[0, 1]`, `1..`, `..2`, `&[i64]`, or keep(..) of one \
            of these"
)]
pub trait IntoAxes {
    /// Returns the axes of a tensor of rank `rank`, counted from the front.
    ///
    /// # Errors
    /// When an axis is out of range or occurs twice.
    fn axes(&self, rank: usize) -> Result<Vec<usize>, String>;

    /// Returns true if reduced axes stay in the result with size 1.
    fn keep(&self) -> bool {
        false
    }

    /// Returns true for `..`, which names no axis.
    fn is_all(&self) -> bool {
        false
    }
}

/// Axes that stay in the result with size 1: `x.sum(keep(-1))`.
#[derive(Clone, Copy, Debug)]
pub struct Keep<A>(A);

/// Keeps the reduced axes in the result with size 1, so that it broadcasts against the operand.
///
/// ```
/// use neurax::prelude::*;
/// let x = tensor([[1.0, 3.0], [2.0, 2.0]]);
/// let total = x.sum(keep(-1));
/// assert_eq!(total.shape(), [2, 1]);
/// assert_eq!((&x / total).to_vec::<f32>()?, [0.25, 0.75, 0.5, 0.5]);
/// # Ok::<(), Error>(())
/// ```
pub fn keep<A: IntoAxes>(axes: A) -> Keep<A> {
    Keep(axes)
}

/// An integer type that numbers axes.
pub trait AxisInt: Copy {
    /// Converts to i64. A value that does not fit becomes `i64::MAX`, which is out of range for any
    /// tensor.
    fn to_i64(self) -> i64;
}

/// Returns `axis` counted from the front.
///
/// # Errors
/// When it is out of range for `rank`.
pub(crate) fn axis_of(axis: i64, rank: usize) -> Result<usize, String> {
    let from_front = if axis < 0 { axis + rank as i64 } else { axis };
    match usize::try_from(from_front) {
        Ok(a) if a < rank => Ok(a),
        _ => Err(format!("axis {axis} is out of range for rank {rank}")),
    }
}

/// Returns `axes` counted from the front.
///
/// # Errors
/// When one is out of range for `rank` or occurs twice.
fn axes_of<I: AxisInt>(axes: &[I], rank: usize) -> Result<Vec<usize>, String> {
    let out = axes.iter().map(|a| axis_of(a.to_i64(), rank)).collect::<Result<Vec<_>, _>>()?;
    check_different(&out)?;
    Ok(out)
}

/// Returns a bound of a range of axes: an axis counted from the front, or `rank` itself.
fn bound_of(axis: i64, rank: usize) -> Result<usize, String> {
    if axis == rank as i64 { Ok(rank) } else { axis_of(axis, rank) }
}

macro_rules! axis_ints {
    ($($t:ty),*) => {$(
        impl AxisInt for $t {
            fn to_i64(self) -> i64 {
                i64::try_from(self).unwrap_or(i64::MAX)
            }
        }
        impl IntoAxes for $t {
            fn axes(&self, rank: usize) -> Result<Vec<usize>, String> {
                axes_of(&[*self], rank)
            }
        }
    )*};
}

axis_ints!(i32, i64, isize, usize);

impl IntoAxes for RangeFull {
    fn axes(&self, rank: usize) -> Result<Vec<usize>, String> {
        Ok((0..rank).collect())
    }
    fn is_all(&self) -> bool {
        true
    }
}

impl<I: AxisInt, const N: usize> IntoAxes for [I; N] {
    fn axes(&self, rank: usize) -> Result<Vec<usize>, String> {
        axes_of(self, rank)
    }
}

impl<I: AxisInt> IntoAxes for &[I] {
    fn axes(&self, rank: usize) -> Result<Vec<usize>, String> {
        axes_of(self, rank)
    }
}

impl<I: AxisInt> IntoAxes for Vec<I> {
    fn axes(&self, rank: usize) -> Result<Vec<usize>, String> {
        axes_of(self, rank)
    }
}

impl<I: AxisInt> IntoAxes for RangeFrom<I> {
    fn axes(&self, rank: usize) -> Result<Vec<usize>, String> {
        Ok((bound_of(self.start.to_i64(), rank)?..rank).collect())
    }
}

impl<I: AxisInt> IntoAxes for RangeTo<I> {
    fn axes(&self, rank: usize) -> Result<Vec<usize>, String> {
        Ok((0..bound_of(self.end.to_i64(), rank)?).collect())
    }
}

impl<I: AxisInt> IntoAxes for Range<I> {
    fn axes(&self, rank: usize) -> Result<Vec<usize>, String> {
        Ok((bound_of(self.start.to_i64(), rank)?..bound_of(self.end.to_i64(), rank)?).collect())
    }
}

impl<I: AxisInt> IntoAxes for RangeInclusive<I> {
    fn axes(&self, rank: usize) -> Result<Vec<usize>, String> {
        Ok((axis_of(self.start().to_i64(), rank)?..axis_of(self.end().to_i64(), rank)? + 1)
            .collect())
    }
}

impl<A: IntoAxes> IntoAxes for Keep<A> {
    fn axes(&self, rank: usize) -> Result<Vec<usize>, String> {
        self.0.axes(rank)
    }
    fn keep(&self) -> bool {
        true
    }
    fn is_all(&self) -> bool {
        self.0.is_all()
    }
}

/// Returns the axes of `x` counted from the front, or a tensor with the error if they are invalid.
pub(crate) fn axes_or_error(
    x: &Tensor,
    axes: &dyn IntoAxes,
    op: &str,
    at: CallSite,
) -> Result<Vec<usize>, Tensor> {
    match x.type_ref() {
        Ok(t) => axes
            .axes(t.rank())
            .map_err(|why| Tensor::fail(op, format!("{why}; the operand is {t}"), at)),
        Err(_) => Err(x.clone()),
    }
}
