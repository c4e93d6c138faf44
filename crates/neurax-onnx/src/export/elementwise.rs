//! Functions of one and of two operands, element by element.
//!
//! A function that ONNX has is one node. Others are compositions that are as accurate where it
//! matters: `e^x - 1` is `tanh(x/2) (e^x + 1)`, not a difference that vanishes near zero.

use super::draft::{Lowered, Wire};
use super::emitter::{Emitter, FormResult};
use crate::proto::AttributeProto;
use neurax_ir::op::{Binary, Unary};
use neurax_ir::{DType, Literal, Shape};

/// The absolute value up to which `log(1 + x)` is computed without the sum.
const SMALL_ARGUMENT: f64 = 0.5;
/// The operands from which `erfc` is not a difference: in f64, from where that is less accurate
/// than the other form.
const ERFC_FAR: f64 = 0.5;
const ERFC_FAR_F64: f64 = 4.0;
/// The coefficients of the polynomial in the exponent of `erfc`, from the highest power on, with a
/// relative error of 1.2e-7 ("Numerical Recipes", section 6.2).
const ERFC_COEFFICIENTS: [f64; 10] = [
    0.17087277,
    -0.82215223,
    1.48851587,
    -1.13520398,
    0.27886807,
    -0.18628806,
    0.09678418,
    0.37409196,
    1.00002368,
    -1.26551223,
];

impl Emitter {
    /// Emits a node on operands of one dtype, which broadcast.
    pub(super) fn elementwise(&mut self, op: &'static str, xs: &[&Lowered]) -> FormResult<Lowered> {
        self.elementwise_with(op, xs, vec![])
    }

    /// Emits a node as [`Emitter::elementwise`] does, with attributes.
    pub(super) fn elementwise_with(
        &mut self,
        op: &'static str,
        xs: &[&Lowered],
        attributes: Vec<AttributeProto>,
    ) -> FormResult<Lowered> {
        let wires: Vec<&Wire> = xs.iter().map(|x| &x.wire).collect();
        let wire = self.compute(op, &wires, &[], attributes, common_shape(&wires))?;
        Ok(Lowered { wire, shape: xs[0].shape.clone() })
    }

    /// Returns the number `c` in the shape and dtype of `x`.
    pub(super) fn splat(&mut self, x: &Lowered, c: f64) -> Lowered {
        let wire = self.scalar(x.wire.ty.dtype, c);
        Lowered { wire, shape: x.shape.clone() }
    }

    /// Emits `op(x, c)` for a number `c`.
    pub(super) fn with_number(
        &mut self,
        op: &'static str,
        x: &Lowered,
        c: f64,
    ) -> FormResult<Lowered> {
        let c = self.splat(x, c);
        self.elementwise(op, &[x, &c])
    }

    /// Emits a conversion of the IR. Floats saturate when they become integers, which ONNX leaves
    /// open: they are clipped.
    pub(super) fn converted(&mut self, x: &Lowered, dtype: DType) -> FormResult<Lowered> {
        let from = x.wire.ty.dtype;
        let is_float = from.is_float() || from.is_storage();
        if dtype == DType::F8E8M0FNU && from != dtype {
            return Err("ONNX rounds to f8e8m0fnu differently; convert to another dtype".into());
        }
        match dtype.int_range() {
            Some(range) if is_float && self.literal_of(&x.wire).is_none() => {
                let (first, last) = (*range.start() as f64, *range.end() as f64);
                // The largest integer of 64 bits is no float.
                let is_below = |high| high < last || high == last && dtype.bits() < 64;
                let is_clipped = |(low, high)| first <= low && is_below(high);
                if self.clip_bounds(&x.wire).is_some_and(is_clipped) {
                    return Ok(self.convert(x, dtype));
                }
                self.saturated(x, dtype, *range.start(), *range.end())
            }
            _ => Ok(self.convert(x, dtype)),
        }
    }

    /// Returns the bounds of a value that was clipped to constant numbers.
    fn clip_bounds(&self, x: &Wire) -> Option<(f64, f64)> {
        let node = self.producer(x).filter(|node| node.op == "Clip")?;
        let [_, low, high] = &node.inputs[..] else { return None };
        Some((self.number_named(low)?, self.number_named(high)?))
    }

    /// Emits a conversion of floats to integers from `first` to `last`.
    fn saturated(
        &mut self,
        x: &Lowered,
        dtype: DType,
        first: i128,
        last: i128,
    ) -> FormResult<Lowered> {
        let from = x.wire.ty.dtype;
        let wide = self.convert(x, if from == DType::F64 { from } else { DType::F32 });
        // The largest float that is not above the limit.
        let bits = if wide.wire.ty.dtype == DType::F64 { 53 } else { 24 };
        let unit = 1i128 << (128 - last.leading_zeros() as i32 - bits).max(0);
        let (low, high) = (first as f64, (last / unit * unit) as f64);
        let (low, high) = (self.splat(&wide, low), self.splat(&wide, high));
        let clipped = self.clamp(&low, &wide, &high)?;
        let y = self.convert(&clipped, dtype);
        if unit == 1 {
            return Ok(y);
        }
        // No float is the limit.
        let limit = self.splat(&wide, (last + 1) as f64);
        // A number of the IR is an f64, which rounds the largest integers of 64 bits up.
        let most = match dtype {
            DType::I64 => Literal::from_slice([0; 0], &[i64::MAX]),
            DType::U64 => Literal::from_slice([0; 0], &[u64::MAX]),
            _ => Ok(Literal::scalar(dtype, last as f64)),
        };
        let most = most.map_err(|e| e.to_string())?;
        let most = Lowered { wire: self.literal(most), shape: y.shape.clone() };
        let is_above = self.comparison("GreaterOrEqual", &wide, &limit)?;
        self.choice(&is_above, &most, &y)
    }

    /// Converts to a dtype.
    pub(super) fn convert(&mut self, x: &Lowered, dtype: DType) -> Lowered {
        Lowered { wire: self.cast(&x.wire, dtype), shape: x.shape.clone() }
    }

    /// Emits a function of one operand.
    pub(super) fn unary(&mut self, f: Unary, x: &Lowered) -> FormResult<Lowered> {
        let dtype = x.wire.ty.dtype;
        if is_composed(f) && is_narrow(dtype) {
            // The parts of a composition are not rounded.
            let wide = self.convert(x, DType::F32);
            let y = self.unary(f, &wide)?;
            let dtype = if y.wire.ty.dtype == DType::F32 { dtype } else { y.wire.ty.dtype };
            return Ok(self.convert(&y, dtype));
        }
        match f {
            Unary::Neg if dtype.int_range().is_some_and(|r| *r.start() == 0) => {
                let zero = self.splat(x, 0.0);
                self.elementwise("Sub", &[&zero, x])
            }
            Unary::Neg => self.elementwise("Neg", &[x]),
            Unary::Abs => self.elementwise("Abs", &[x]),
            Unary::Sign => self.elementwise("Sign", &[x]),
            Unary::Exp => self.elementwise("Exp", &[x]),
            Unary::Expm1 => self.expm1(x),
            Unary::Log => self.elementwise("Log", &[x]),
            Unary::Log1p => self.log1p(x),
            Unary::Sin => self.elementwise("Sin", &[x]),
            Unary::Cos => self.elementwise("Cos", &[x]),
            Unary::Tan => self.elementwise("Tan", &[x]),
            Unary::Asin => self.elementwise("Asin", &[x]),
            Unary::Acos => self.elementwise("Acos", &[x]),
            Unary::Atan => self.elementwise("Atan", &[x]),
            Unary::Sinh => self.elementwise("Sinh", &[x]),
            Unary::Cosh => self.elementwise("Cosh", &[x]),
            Unary::Tanh => self.elementwise("Tanh", &[x]),
            Unary::Asinh => self.elementwise("Asinh", &[x]),
            Unary::Acosh => self.elementwise("Acosh", &[x]),
            Unary::Atanh => self.elementwise("Atanh", &[x]),
            Unary::Sqrt => self.elementwise("Sqrt", &[x]),
            Unary::Rsqrt => {
                let root = self.elementwise("Sqrt", &[x])?;
                self.elementwise("Reciprocal", &[&root])
            }
            Unary::Cbrt => {
                let (sign, size) =
                    (self.elementwise("Sign", &[x])?, self.elementwise("Abs", &[x])?);
                let root = self.with_number("Pow", &size, 1.0 / 3.0)?;
                self.elementwise("Mul", &[&sign, &root])
            }
            Unary::Logistic => self.elementwise("Sigmoid", &[x]),
            Unary::Erf => self.elementwise("Erf", &[x]),
            Unary::Erfc => self.erfc(x),
            Unary::Floor => self.elementwise("Floor", &[x]),
            Unary::Ceil => self.elementwise("Ceil", &[x]),
            Unary::RoundEven => self.elementwise("Round", &[x]),
            Unary::RoundAway => self.round_away(x),
            Unary::Not => self.complement(x),
            Unary::PopulationCount => self.count_bits(x),
            Unary::CountLeadingZeros => self.leading_zeros(x),
            Unary::IsFinite => {
                let size = self.elementwise("Abs", &[x])?;
                let infinity = self.splat(&size, f64::INFINITY);
                self.comparison("Less", &size, &infinity)
            }
            Unary::ErfInv
            | Unary::Lgamma
            | Unary::Digamma
            | Unary::BesselI0e
            | Unary::BesselI1e => Err("ONNX has no such function".into()),
            Unary::Real | Unary::Imag | Unary::Conj => {
                Err("ONNX has no functions of complex numbers".into())
            }
        }
    }

    /// Emits a function of two operands.
    pub(super) fn binary(&mut self, f: Binary, x: &Lowered, y: &Lowered) -> FormResult<Lowered> {
        let is_bool = x.wire.ty.dtype == DType::Bool;
        match f {
            Binary::Add if is_bool => self.elementwise("Or", &[x, y]),
            Binary::Mul if is_bool => self.elementwise("And", &[x, y]),
            Binary::Add => self.elementwise("Add", &[x, y]),
            Binary::Sub => self.elementwise("Sub", &[x, y]),
            Binary::Mul => self.elementwise("Mul", &[x, y]),
            Binary::Div if x.wire.ty.dtype.is_int() => self.quotient(x, y),
            Binary::Div => self.elementwise("Div", &[x, y]),
            Binary::Rem => self.remainder(x, y),
            Binary::Pow if x.wire.ty.dtype.is_int() => self.integer_power(x, y),
            Binary::Pow => self.elementwise("Pow", &[x, y]),
            Binary::Atan2 if is_narrow(x.wire.ty.dtype) => {
                let [wide_x, wide_y] = [x, y].map(|x| self.convert(x, DType::F32));
                let angle = self.atan2(&wide_x, &wide_y)?;
                Ok(self.convert(&angle, x.wire.ty.dtype))
            }
            Binary::Atan2 => self.atan2(x, y),
            Binary::Max | Binary::Or if is_bool => self.elementwise("Or", &[x, y]),
            Binary::Min | Binary::And if is_bool => self.elementwise("And", &[x, y]),
            Binary::Max => self.maximum(x, y),
            Binary::Min => self.elementwise("Min", &[x, y]),
            Binary::Xor if is_bool => self.elementwise("Xor", &[x, y]),
            Binary::And => match self.low_bits(y) {
                Some(end) => self.with_number("Mod", x, end),
                None => self.elementwise("BitwiseAnd", &[x, y]),
            },
            Binary::Or => self.elementwise("BitwiseOr", &[x, y]),
            Binary::Xor => self.elementwise("BitwiseXor", &[x, y]),
            Binary::ShiftLeft => self.shift("LEFT", x, y),
            Binary::ShiftRightLogical => self.shift("RIGHT", x, y),
            Binary::ShiftRightArithmetic => self.shift_arithmetic(x, y),
            Binary::Complex => Err("ONNX has no functions of complex numbers".into()),
            Binary::NextAfter
            | Binary::Polygamma
            | Binary::Zeta
            | Binary::Igamma
            | Binary::Igammac
            | Binary::IgammaGradA
            | Binary::RandomGammaGrad => Err("ONNX has no such function".into()),
        }
    }

    /// Returns the power of two whose remainder a bitwise and with `mask` is, in opsets without the
    /// operator.
    fn low_bits(&self, mask: &Lowered) -> Option<f64> {
        let end = self.number_of(&mask.wire)? + 1.0;
        let is_unsigned = mask.wire.ty.dtype.int_range().is_some_and(|r| *r.start() == 0);
        let is_power = end > 1.0 && end < 2f64.powi(53) && (end as u64).is_power_of_two();
        (self.opset < 18 && is_unsigned && is_power).then_some(end)
    }

    /// Emits a choice, element by element.
    pub(super) fn choice(&mut self, at: &Lowered, x: &Lowered, y: &Lowered) -> FormResult<Lowered> {
        let dtype = x.wire.ty.dtype;
        let by = super::support::carrier("Where", dtype, self.opset)?;
        let (x, y) = (self.convert(x, by), self.convert(y, by));
        let wires = [&at.wire, &x.wire, &y.wire];
        let wire = self.node("Where", &wires, neurax_ir::Type::new(by, common_shape(&wires)));
        let wire = self.cast(&wire, dtype);
        Ok(Lowered { wire, shape: at.shape.clone() })
    }

    /// Emits `min(max(x, low), high)`.
    pub(super) fn clamp(
        &mut self,
        low: &Lowered,
        x: &Lowered,
        high: &Lowered,
    ) -> FormResult<Lowered> {
        if low.is_splat() && high.is_splat() {
            let (xs, shape) = ([&x.wire, &low.wire, &high.wire], x.wire.ty.shape.clone());
            let wire = self.compute("Clip", &xs, &[], vec![], shape)?;
            return Ok(Lowered { wire, shape: x.shape.clone() });
        }
        let raised = self.elementwise("Max", &[x, low])?;
        self.elementwise("Min", &[&raised, high])
    }

    /// Emits a maximum: `Relu` if one operand is zero.
    fn maximum(&mut self, x: &Lowered, y: &Lowered) -> FormResult<Lowered> {
        for (x, zero) in [(x, y), (y, x)] {
            let is_zero = self.number_of(&zero.wire) == Some(0.0);
            if is_zero && super::support::takes("Relu", x.wire.ty.dtype, self.opset) {
                return self.elementwise("Relu", &[x]);
            }
        }
        self.elementwise("Max", &[x, y])
    }

    fn expm1(&mut self, x: &Lowered) -> FormResult<Lowered> {
        let half = self.with_number("Mul", x, 0.5)?;
        let tanh = self.elementwise("Tanh", &[&half])?;
        let exp = self.elementwise("Exp", &[x])?;
        let sum = self.with_number("Add", &exp, 1.0)?;
        self.elementwise("Mul", &[&tanh, &sum])
    }

    /// Emits `2 atanh(x / (2 + x))` for small operands, and `log(1 + x)` for others.
    fn log1p(&mut self, x: &Lowered) -> FormResult<Lowered> {
        let two = self.with_number("Add", x, 2.0)?;
        let ratio = self.elementwise("Div", &[x, &two])?;
        let near = self.elementwise("Atanh", &[&ratio])?;
        let near = self.with_number("Mul", &near, 2.0)?;
        let sum = self.with_number("Add", x, 1.0)?;
        let far = self.elementwise("Log", &[&sum])?;
        let size = self.elementwise("Abs", &[x])?;
        let small = self.splat(x, SMALL_ARGUMENT);
        let is_small = self.comparison("Less", &size, &small)?;
        self.choice(&is_small, &near, &far)
    }

    /// Emits `1 - erf(x)`, and for larger operands `t exp(p(t) - x^2)` with `t = 1 / (1 + x / 2)`,
    /// where the difference loses its digits.
    fn erfc(&mut self, x: &Lowered) -> FormResult<Lowered> {
        let (one, erf) = (self.splat(x, 1.0), self.elementwise("Erf", &[x])?);
        let near = self.elementwise("Sub", &[&one, &erf])?;
        let half = self.with_number("Mul", x, 0.5)?;
        let sum = self.with_number("Add", &half, 1.0)?;
        let t = self.elementwise("Reciprocal", &[&sum])?;
        let mut p = self.splat(x, 0.0);
        for c in ERFC_COEFFICIENTS {
            let product = self.elementwise("Mul", &[&p, &t])?;
            p = self.with_number("Add", &product, c)?;
        }
        let square = self.elementwise("Mul", &[x, x])?;
        let exponent = self.elementwise("Sub", &[&p, &square])?;
        let exp = self.elementwise("Exp", &[&exponent])?;
        let far = self.elementwise("Mul", &[&t, &exp])?;
        let end = if x.wire.ty.dtype == DType::F64 { ERFC_FAR_F64 } else { ERFC_FAR };
        let end = self.splat(x, end);
        let is_far = self.comparison("Greater", x, &end)?;
        self.choice(&is_far, &far, &near)
    }

    fn round_away(&mut self, x: &Lowered) -> FormResult<Lowered> {
        let (sign, size) = (self.elementwise("Sign", &[x])?, self.elementwise("Abs", &[x])?);
        // The fraction decides, as the sum of the number and a half may round up.
        let whole = self.elementwise("Floor", &[&size])?;
        let fraction = self.elementwise("Sub", &[&size, &whole])?;
        let half = self.splat(&fraction, 0.5);
        let up = self.comparison("GreaterOrEqual", &fraction, &half)?;
        let up = self.convert(&up, x.wire.ty.dtype);
        let size = self.elementwise("Add", &[&whole, &up])?;
        self.elementwise("Mul", &[&sign, &size])
    }
}

/// Returns true if a function is a composition of several nodes.
fn is_composed(f: Unary) -> bool {
    matches!(
        f,
        Unary::Expm1
            | Unary::Log1p
            | Unary::Rsqrt
            | Unary::Cbrt
            | Unary::Erfc
            | Unary::RoundAway
            | Unary::IsFinite
    )
}

/// Returns true for floats of fewer than 32 bits.
pub(super) fn is_narrow(dtype: DType) -> bool {
    dtype.is_float() && dtype.bits() < 32
}

/// Returns the shape to which operands broadcast.
pub(super) fn common_shape(xs: &[&Wire]) -> Shape {
    let rank = xs.iter().map(|x| x.ty.rank()).max().unwrap_or(0);
    let size = |axis: usize| {
        let of = |x: &&Wire| {
            let shape = &x.ty.shape;
            (axis + shape.rank()).checked_sub(rank).map_or(1, |i| shape[i])
        };
        xs.iter().map(of).find(|&n| n != 1).unwrap_or(1)
    };
    (0..rank).map(size).collect()
}
