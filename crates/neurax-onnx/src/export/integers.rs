//! Functions of integers and bools: comparisons, division, shifts and bits.
//!
//! The IR defines what ONNX leaves open: a quotient by zero is -1, a remainder by zero the
//! operand, and a shift by the width or more shifts everything out.

use super::draft::Lowered;
use super::elementwise::common_shape;
use super::emitter::{Emitter, FormResult};
use super::support::carrier;
use crate::proto::AttributeProto;
use neurax_ir::op::Direction;
use neurax_ir::{Bytes, DType, Kind, Literal, Type};

/// The largest exponent of a power of integers, which floats still have exactly.
const MAX_EXPONENT: f64 = (1u64 << 53) as f64;

impl Emitter {
    /// Emits a comparison.
    pub(super) fn compare(
        &mut self,
        direction: Direction,
        x: &Lowered,
        y: &Lowered,
    ) -> FormResult<Lowered> {
        match direction {
            Direction::Eq => self.comparison("Equal", x, y),
            Direction::Ne => {
                let equal = self.comparison("Equal", x, y)?;
                self.elementwise("Not", &[&equal])
            }
            Direction::Lt => self.comparison("Less", x, y),
            Direction::Le => self.comparison("LessOrEqual", x, y),
            Direction::Gt => self.comparison("Greater", x, y),
            Direction::Ge => self.comparison("GreaterOrEqual", x, y),
        }
    }

    /// Emits a node that compares two operands.
    pub(super) fn comparison(
        &mut self,
        op: &'static str,
        x: &Lowered,
        y: &Lowered,
    ) -> FormResult<Lowered> {
        let by = carrier(op, x.wire.ty.dtype, self.opset)?;
        let (a, b) = (self.cast(&x.wire, by), self.cast(&y.wire, by));
        let ty = Type::new(DType::Bool, common_shape(&[&a, &b]));
        Ok(Lowered { wire: self.node(op, &[&a, &b], ty), shape: x.shape.clone() })
    }

    /// Emits the quotient of integers: -1 for division by zero, and no overflow.
    pub(super) fn quotient(&mut self, x: &Lowered, y: &Lowered) -> FormResult<Lowered> {
        let is_plain = self
            .literal_of(&y.wire)
            .is_some_and(|y| y.to_f64s().iter().all(|&n| n != 0.0 && n != -1.0));
        if is_plain {
            return self.elementwise("Div", &[x, y]);
        }
        let is_signed = y.wire.ty.dtype.kind() == Kind::Signed;
        let (zero, one) = (self.splat(y, 0.0), self.splat(y, 1.0));
        let all = self.all_ones(x);
        let by_zero = self.comparison("Equal", y, &zero)?;
        let mut divisor = self.choice(&by_zero, &one, y)?;
        let mut by_minus_one = None;
        if is_signed {
            let at = self.comparison("Equal", y, &all)?;
            divisor = self.choice(&at, &one, &divisor)?;
            by_minus_one = Some(at);
        }
        let mut q = self.elementwise("Div", &[x, &divisor])?;
        if let Some(at) = by_minus_one {
            let zero = self.splat(x, 0.0);
            let negative = self.elementwise("Sub", &[&zero, x])?;
            q = self.choice(&at, &negative, &q)?;
        }
        self.choice(&by_zero, &all, &q)
    }

    /// Emits the remainder with the sign of `x`. Of integers, `Mod` with `fmod` is not it: runtimes
    /// compute that in floats, which have not all integers.
    pub(super) fn remainder(&mut self, x: &Lowered, y: &Lowered) -> FormResult<Lowered> {
        let dtype = x.wire.ty.dtype;
        if !dtype.is_int() {
            let fmod = vec![AttributeProto::of_int("fmod", 1)];
            return self.elementwise_with("Mod", &[x, y], fmod);
        }
        let (zero, one) = (self.splat(y, 0.0), self.splat(y, 1.0));
        let by_zero = self.comparison("Equal", y, &zero)?;
        let mut divisor = self.choice(&by_zero, &one, y)?;
        let rest = if dtype.kind() == Kind::Signed {
            // The remainder by -1 is that by 1, whose quotient does not overflow.
            let all = self.all_ones(x);
            let by_minus_one = self.comparison("Equal", y, &all)?;
            divisor = self.choice(&by_minus_one, &one, &divisor)?;
            let quotient = self.elementwise("Div", &[x, &divisor])?;
            let product = self.elementwise("Mul", &[&divisor, &quotient])?;
            self.elementwise("Sub", &[x, &product])?
        } else {
            self.elementwise("Mod", &[x, &divisor])?
        };
        self.choice(&by_zero, x, &rest)
    }

    /// Emits a power of integers with a constant exponent as products, as runtimes compute `Pow` in
    /// floats.
    pub(super) fn integer_power(&mut self, x: &Lowered, y: &Lowered) -> FormResult<Lowered> {
        let exponent = self.number_of(&y.wire).filter(|&n| (0.0..=MAX_EXPONENT).contains(&n));
        let Some(exponent) = exponent else {
            return Err(
                "ONNX computes powers of integers as floats; use a constant exponent that \
                        is not negative"
                    .into(),
            );
        };
        let (mut rest, mut square) = (exponent as u64, x.clone());
        let mut power: Option<Lowered> = None;
        while rest > 0 {
            if rest % 2 == 1 {
                power = Some(match power {
                    Some(power) => self.elementwise("Mul", &[&power, &square])?,
                    None => square.clone(),
                });
            }
            rest /= 2;
            if rest > 0 {
                square = self.elementwise("Mul", &[&square, &square])?;
            }
        }
        Ok(power.unwrap_or_else(|| self.splat(x, 1.0)))
    }

    /// Emits the bitwise complement, or the logical one of bools.
    pub(super) fn complement(&mut self, x: &Lowered) -> FormResult<Lowered> {
        if x.wire.ty.dtype == DType::Bool {
            return self.elementwise("Not", &[x]);
        }
        // All bits set minus the operand flips every bit, without a borrow.
        let all = self.all_ones(x);
        self.elementwise("Sub", &[&all, x])
    }

    /// Emits a shift of bits, which fills with zeros.
    pub(super) fn shift(
        &mut self,
        direction: &str,
        x: &Lowered,
        by: &Lowered,
    ) -> FormResult<Lowered> {
        let dtype = x.wire.ty.dtype;
        let unsigned = unsigned_of(dtype)?;
        let (bits, count) = (self.convert(x, unsigned), self.convert(by, unsigned));
        let last = self.splat(&count, (dtype.bits() - 1) as f64);
        let is_within = self.number_of(&count.wire).is_some_and(|n| n < dtype.bits() as f64);
        let attributes = vec![AttributeProto::of_string("direction", direction)];
        if is_within {
            let y = self.elementwise_with("BitShift", &[&bits, &count], attributes)?;
            return Ok(self.convert(&y, dtype));
        }
        let short = self.elementwise("Min", &[&count, &last])?;
        let y = self.elementwise_with("BitShift", &[&bits, &short], attributes)?;
        let (zero, too_far) = (self.splat(&y, 0.0), self.comparison("Greater", &count, &last)?);
        let y = self.choice(&too_far, &zero, &y)?;
        Ok(self.convert(&y, dtype))
    }

    /// Emits a shift to the right that fills with the sign: of a negative number, the complement
    /// is shifted.
    pub(super) fn shift_arithmetic(&mut self, x: &Lowered, by: &Lowered) -> FormResult<Lowered> {
        let dtype = x.wire.ty.dtype;
        if dtype.kind() != Kind::Signed {
            let signed = signed_of(dtype)?;
            let [x, by] = [x, by].map(|x| self.convert(x, signed));
            let y = self.shift_arithmetic(&x, &by)?;
            return Ok(self.convert(&y, dtype));
        }
        let zero = self.splat(x, 0.0);
        let is_negative = self.comparison("Less", x, &zero)?;
        let complement = self.complement(x)?;
        let bits = self.choice(&is_negative, &complement, x)?;
        let shifted = self.shift("RIGHT", &bits, by)?;
        let negative = self.complement(&shifted)?;
        self.choice(&is_negative, &negative, &shifted)
    }

    /// Emits the number of one bits.
    pub(super) fn count_bits(&mut self, x: &Lowered) -> FormResult<Lowered> {
        let (bits, _) = self.bits(x)?;
        let count = self.sum_of_bits("ReduceSum", &bits)?;
        Ok(self.convert(&count, x.wire.ty.dtype))
    }

    /// Emits the number of zero bits above the highest one bit.
    pub(super) fn leading_zeros(&mut self, x: &Lowered) -> FormResult<Lowered> {
        let (bits, places) = self.bits(x)?;
        let places = self.with_number("Add", &places, 1.0)?;
        let at = self.elementwise("Mul", &[&bits, &places])?;
        let highest = self.sum_of_bits("ReduceMax", &at)?;
        let width = self.splat(&highest, x.wire.ty.dtype.bits() as f64);
        let zeros = self.elementwise("Sub", &[&width, &highest])?;
        Ok(self.convert(&zeros, x.wire.ty.dtype))
    }

    /// Emits the bits of `x` along a new last axis, the lowest first, and their places, as u64.
    pub(super) fn bits(&mut self, x: &Lowered) -> FormResult<(Lowered, Lowered)> {
        let width = x.wire.ty.dtype.bits();
        let wide = Lowered::of(self.cast(&x.wire, DType::U64));
        let last = self.ints(&[-1]);
        let shape = wide.shape.inserted(wide.rank(), 1);
        let wide = self.compute("Unsqueeze", &[&wide.wire], &[&last], vec![], shape)?;
        let places: Vec<f64> = (0..width).map(|k| k as f64).collect();
        let places = Literal::from_f64s(DType::U64, [width], &places);
        let places = self.literal(places);
        let shape = common_shape(&[&wide, &places]);
        let all = |wire| Lowered { wire, shape: shape.clone() };
        let (wide, places) = (all(wide), all(places));
        let direction = vec![AttributeProto::of_string("direction", "RIGHT")];
        let shifted = self.elementwise_with("BitShift", &[&wide, &places], direction)?;
        Ok((self.with_number("Mod", &shifted, 2.0)?, places))
    }

    /// Emits the reduction of the last axis.
    fn sum_of_bits(&mut self, op: &'static str, bits: &Lowered) -> FormResult<Lowered> {
        let axis = bits.rank().saturating_sub(1);
        Ok(Lowered::of(self.reduced(op, &bits.wire, &[axis])?))
    }

    /// Returns the number with all bits set, in the type of `x`.
    fn all_ones(&mut self, x: &Lowered) -> Lowered {
        let dtype = x.wire.ty.dtype;
        // The bits behind a narrow number stay clear.
        let byte = if dtype.bits() < 8 { (1u8 << dtype.bits()) - 1 } else { u8::MAX };
        let bytes = Bytes::copy_of(&vec![byte; dtype.bits().div_ceil(8)]);
        let ones = Literal::new(Type::scalar(dtype), bytes);
        let ones = ones.unwrap_or_else(|_| Literal::scalar(dtype, -1.0));
        Lowered { wire: self.literal(ones), shape: x.shape.clone() }
    }
}

/// Returns the signed dtype of the width of `dtype`.
fn signed_of(dtype: DType) -> FormResult<DType> {
    match dtype.bits() {
        8 => Ok(DType::I8),
        16 => Ok(DType::I16),
        32 => Ok(DType::I32),
        64 => Ok(DType::I64),
        _ => Err(format!("ONNX does not shift {dtype}; convert to 8 bits or more")),
    }
}

/// Returns the unsigned dtype of the width of `dtype`.
fn unsigned_of(dtype: DType) -> FormResult<DType> {
    match dtype {
        DType::I8 | DType::U8 => Ok(DType::U8),
        DType::I16 | DType::U16 => Ok(DType::U16),
        DType::I32 | DType::U32 => Ok(DType::U32),
        DType::I64 | DType::U64 => Ok(DType::U64),
        other => Err(format!("ONNX does not shift {other}; convert to 8 bits or more")),
    }
}
