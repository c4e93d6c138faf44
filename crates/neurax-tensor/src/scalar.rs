//! Rust numbers that become tensors, and the dtypes that hold them.

use crate::{DType, Error, Result, Type};
use neurax_ir::{Compute, Literal, with_compute};
use std::{cmp::Ordering, fmt};

/// A Rust number that becomes a tensor, weakly typed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar {
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i128),
    /// A float.
    Float(f64),
    /// A complex number.
    Complex(f64, f64),
}

impl Scalar {
    /// Returns the dtype of the number without another operand: bool, i32, f32 or c64.
    ///
    /// ```
    /// use neurax::{Scalar, prelude::*};
    /// let numbers = [1.5.into(), 1.into(), true.into()];
    /// assert_eq!(numbers.map(Scalar::default_dtype), [F32, I32, BOOL]);
    /// ```
    pub fn default_dtype(self) -> DType {
        match self {
            Scalar::Bool(_) => DType::Bool,
            Scalar::Int(_) => DType::I32,
            Scalar::Float(_) => DType::F32,
            Scalar::Complex(..) => DType::C64,
        }
    }

    /// Returns the dtype that the number takes in an operation with a tensor of dtype `d`.
    ///
    /// ```
    /// use neurax::{Scalar, prelude::*};
    /// assert_eq!(Scalar::from(2).dtype_with(BF16), BF16);
    /// assert_eq!(Scalar::from(2.5).dtype_with(I32), F32);
    /// ```
    pub fn dtype_with(self, d: DType) -> DType {
        match self {
            Scalar::Int(_) if d == DType::Bool => DType::I32,
            Scalar::Float(_) if !d.is_differentiable() => DType::F32,
            Scalar::Complex(..) if d == DType::F64 => DType::C128,
            Scalar::Complex(..) if !d.is_complex() => DType::C64,
            _ => d,
        }
    }

    /// Returns the number as a literal of `dtype`: rounded to a float dtype, truncated to an
    /// integer dtype; for bool, true if it is not 0.
    ///
    /// # Errors
    /// When `dtype` is an integer dtype and the number out of its range, or a real dtype and the
    /// number complex.
    ///
    /// ```
    /// use neurax::{Scalar, prelude::*};
    /// assert_eq!(Scalar::from(2.9).to_literal(I32)?.to_vec::<i32>()?, [2]);
    /// let e = Scalar::from(300).to_literal(U8).unwrap_err();
    /// assert_eq!(e.message(), "u8 does not hold 300, but u16 does");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn to_literal(self, dtype: DType) -> Result<Literal> {
        if self.is_held_by(dtype) {
            return Ok(self.literal(dtype));
        }
        let why = format!("{dtype} does not hold {self}, but {} does", self.wider_dtype(dtype));
        Err(Error::new("scalar", why))
    }

    /// Returns true if `dtype` has a value for the number: floats are rounded, and truncated to
    /// integers.
    pub(crate) fn is_held_by(self, dtype: DType) -> bool {
        match (self, dtype.int_range()) {
            (Scalar::Complex(..), _) => dtype.is_complex() || dtype == DType::Bool,
            (Scalar::Int(x), Some(range)) => range.contains(&x),
            // The conversion saturates.
            (Scalar::Float(x), Some(range)) => !x.is_nan() && range.contains(&(x as i128)),
            _ => true,
        }
    }

    /// Compares an integer with the range of an integer dtype: less if it is below all values,
    /// greater if it is above them. Other numbers and dtypes are equal.
    pub(crate) fn order_in(self, dtype: DType) -> Ordering {
        match (self, dtype.int_range()) {
            (Scalar::Int(x), Some(range)) if x < *range.start() => Ordering::Less,
            (Scalar::Int(x), Some(range)) if x > *range.end() => Ordering::Greater,
            _ => Ordering::Equal,
        }
    }

    /// Returns true if a real number is finite, but not when it is rounded to the float dtype
    /// `dtype`.
    pub(crate) fn overflows(self, dtype: DType) -> bool {
        let value = match self {
            Scalar::Int(x) => x as f64,
            Scalar::Float(x) => x,
            _ => return false,
        };
        // Every float dtype holds 256.
        value.is_finite()
            && value.abs() > 256.0
            && dtype.is_float()
            && !self.literal(dtype).to_f64s().iter().all(|x| x.is_finite())
    }

    /// Returns the smallest integer dtype that holds the number and all values of `dtype`; for
    /// complex numbers and where there is none, a dtype of floats.
    pub(crate) fn wider_dtype(self, dtype: DType) -> DType {
        let value = match self {
            Scalar::Complex(..) if dtype == DType::F64 => return DType::C128,
            Scalar::Complex(..) => return DType::C64,
            Scalar::Float(x) if !x.is_finite() => return DType::F32,
            Scalar::Float(x) => x as i128,
            Scalar::Int(x) => x,
            Scalar::Bool(x) => x as i128,
        };
        let holds = |d: &DType| {
            let ranges = d.int_range().zip(dtype.int_range());
            ranges.is_some_and(|(wide, narrow)| {
                [value, *narrow.start(), *narrow.end()].iter().all(|x| wide.contains(x))
            })
        };
        DType::ALL.into_iter().filter(holds).min_by_key(|d| d.bits()).unwrap_or(DType::F64)
    }

    /// Returns the number as a literal of `dtype`, rounded or wrapped.
    ///
    /// ```
    /// use neurax::{Scalar, prelude::*};
    /// assert_eq!(Scalar::from(300).literal(U8).to_vec::<u8>()?, [44]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn literal(self, dtype: DType) -> Literal {
        let ty = Type::scalar(dtype);
        with_compute!(any dtype, C => Literal::build(ty, |out: &mut [C]| for o in out {
            *o = match self {
                Scalar::Bool(x) => C::from_i128(x as i128),
                Scalar::Int(x) if dtype == DType::Bool => C::from_i128((x != 0) as i128),
                Scalar::Int(x) if !dtype.is_differentiable() => C::from_i128(x),
                Scalar::Int(x) => C::from_f64(x as f64),
                Scalar::Float(x) if dtype == DType::Bool => C::from_i128((x != 0.0) as i128),
                Scalar::Float(x) => C::from_f64(x),
                Scalar::Complex(re, im) if dtype == DType::Bool => {
                    C::from_i128((re != 0.0 || im != 0.0) as i128)
                }
                Scalar::Complex(re, im) => C::from_parts(re, im),
            };
        }))
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Scalar::Bool(x) => write!(f, "{x}"),
            Scalar::Int(x) => write!(f, "{x}"),
            Scalar::Float(x) => write!(f, "{x:?}"),
            Scalar::Complex(re, im) => write!(f, "{re:?}{im:+?}i"),
        }
    }
}
