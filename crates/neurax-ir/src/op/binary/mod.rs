//! Two operands of one type, element by element. Adding one is a row in each match.

mod eval;
mod rules;

use super::{Axis, Batched, Bound, Primitive, Sample, Tangent, Transposed, pointwise::*, rules::*};
use crate::graph::attr::{nameless_attrs, names};
use crate::{Builder, DType, Eval, Kind, Literal, Result, Type, Value};
use std::ops::Range;

pub(super) use eval::combine;

names! {
    /// An elementwise function of two operands of the same type. <https://openxla.org/stablehlo/spec#ops>
    pub enum Binary {
        /// `x + y`; integers wrap, bool is or.
        Add = "add",
        /// `x - y`; integers wrap.
        Sub = "subtract",
        /// `x * y`; integers wrap, bool is and.
        Mul = "multiply",
        /// `x / y`; integers truncate, and by zero give -1 (all bits set), as XLA does.
        Div = "divide",
        /// Remainder with the sign of `x`; by zero gives `x` for integers.
        Rem = "remainder",
        /// `x^y`
        Pow = "power",
        /// The angle of the point `(y, x)`: `atan2(x, y)` of operands `(x, y)` in this order, as C's.
        Atan2 = "atan2",
        /// The larger; NaN wins.
        Max = "maximum",
        /// The smaller; NaN wins.
        Min = "minimum",
        /// Bitwise and.
        And = "and",
        /// Bitwise or.
        Or = "or",
        /// Bitwise exclusive or.
        Xor = "xor",
        /// `x << y`; zero when `y` is not less than the width.
        ShiftLeft = "shift_left",
        /// `x >> y`, filling with the sign.
        ShiftRightArithmetic = "shift_right_arithmetic",
        /// `x >> y`, filling with zero.
        ShiftRightLogical = "shift_right_logical",
        /// A complex number of real and imaginary part; f32 gives c64, f64 gives c128.
        Complex = "complex",
        /// The next representable number after `x` towards `y`.
        NextAfter = "next_after",
    }
}

nameless_attrs!(Binary);

use Binary::*;

impl Binary {
    /// The kinds of dtype that it takes; [`Binary::Complex`] only f32 and f64.
    pub fn kinds(self) -> &'static [Kind] {
        match self {
            Add | Mul => ALL,
            Sub | Div | Pow => NUMBERS,
            Rem => REALS,
            Max | Min => ORDERED,
            And | Or | Xor => BITS,
            ShiftLeft | ShiftRightArithmetic | ShiftRightLogical => INTS,
            Atan2 | NextAfter | Complex => FLOATS,
        }
    }

    /// Does it take that dtype?
    pub fn admits(self, dtype: DType) -> bool {
        self.kinds().contains(&dtype.kind()) && self.result(dtype).is_some()
    }

    /// The dtype of the result.
    fn result(self, dtype: DType) -> Option<DType> {
        match (self, dtype) {
            (Complex, DType::F32) => Some(DType::C64),
            (Complex, DType::F64) => Some(DType::C128),
            (Complex, _) => None,
            _ => Some(dtype),
        }
    }

    /// Numbers for which it has a result, where its derivative exists: a range for each operand.
    pub fn domain(self) -> [Range<f64>; 2] {
        match self {
            Div => [-3.0..3.0, 0.5..3.0],
            Rem => [-5.0..5.0, 1.1..2.3],
            Pow => [0.2..3.0, -2.0..2.5],
            ShiftLeft | ShiftRightArithmetic | ShiftRightLogical => [-4.0..7.0, 0.0..5.0],
            _ => [-3.0..3.0, -2.0..3.5],
        }
    }
}

impl Primitive for Binary {
    fn name(&self) -> &'static str {
        (*self).name()
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        let name = (*self).name();
        arity(name, xs, 2)?;
        same_type(name, &xs[0], &xs[1])?;
        check_kind(name, &xs[0], self.kinds())?;
        match self.result(xs[0].dtype) {
            Some(dtype) => Ok(vec![xs[0].with_dtype(dtype)]),
            None => refuse(name, format!("it takes f32 or f64 operands, not {}; convert them first", xs[0])),
        }
    }

    fn eval(&self, cx: &mut Eval, mut xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let y = xs.swap_remove(1);
        Ok(vec![combine(*self, cx, xs.swap_remove(0), y)?])
    }

    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        if !b.dtype(at.ys[0]).is_differentiable() {
            return Ok(no_tangents(at));
        }
        Ok(vec![rules::tangent(*self, b, at, dxs[0], dxs[1])?])
    }

    fn transpose(&self, b: &mut Builder, at: &Bound, linear: &[bool], cts: &[Option<Value>]) -> Transposed {
        rules::transpose(*self, b, at, [linear[0], linear[1]], cts[0])
    }

    fn batch(&self, b: &mut Builder, axis: &Axis, xs: &[Value], dims: &[Option<usize>]) -> Result<Batched> {
        batch(b, *self, 1, axis, xs, dims)
    }

    fn samples() -> Vec<Sample> {
        // NextAfter has no derivative; everything else that takes floats has one.
        let rows = |&f: &Binary| samples(f, |d| f.admits(d), &f.domain(), f != NextAfter);
        Binary::ALL.iter().flat_map(rows).collect()
    }
}
