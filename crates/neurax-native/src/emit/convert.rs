//! Conversions between dtypes. f16 and bf16, which are computed in f32, are converted in integer
//! arithmetic.

use super::{
    lane_value::{VectorShape, scalar},
    state::KernelEmitter,
};
use cranelift_codegen::ir::{InstBuilder, Type, Value, condcodes::IntCC, types};
use neurax_ir::{DType, Kind};
use std::cmp::Ordering;

impl KernelEmitter<'_, '_> {
    /// Emits a conversion of scalars or vectors.
    pub fn convert(&mut self, v: Value, from: DType, to: DType, shape: VectorShape) -> Value {
        use Kind::*;
        if from == to {
            return v;
        }
        if shape.width > 1 {
            return self.convert_vector(v, from, to, shape);
        }
        let t = scalar(to);
        match (from, to) {
            (DType::BF16, DType::F32) => {
                let wide = self.b.ins().uextend(types::I32, v);
                let bits = self.b.ins().ishl_imm_u(wide, 16);
                self.bitcast(bits, types::F32)
            }
            (DType::F16, DType::F32) => {
                let wide = self.b.ins().uextend(types::I32, v);
                self.widen_half(wide)
            }
            (DType::F32, DType::BF16) => {
                let bits = self.bitcast(v, types::I32);
                let high = self.b.ins().ushr_imm_u(bits, 16);
                self.b.ins().ireduce(types::I16, high)
            }
            (DType::F32, DType::F16) => {
                let bits = self.narrow_half(v);
                self.b.ins().ireduce(types::I16, bits)
            }
            (DType::F32, DType::F64) => self.b.ins().fpromote(t, v),
            (DType::F64, DType::F32) => self.b.ins().fdemote(t, v),
            // other: the kinds decide, and the matches below list them.
            _ => match (from.kind(), to.kind()) {
                (Float, Signed) => self.b.ins().fcvt_to_sint_sat(t, v),
                (Float, Unsigned) => self.b.ins().fcvt_to_uint_sat(t, v),
                (Signed, Float) => {
                    let v = self.at_least_word(v, from);
                    self.b.ins().fcvt_from_sint(t, v)
                }
                (Bool | Unsigned, Float) => {
                    let v = self.at_least_word(v, from);
                    self.b.ins().fcvt_from_uint(t, v)
                }
                (Bool | Unsigned | Signed, Unsigned | Signed) => self.resize(v, from, to),
                (Float, Bool | Float | Storage | Complex)
                | (Complex | Storage, _)
                | (Bool | Unsigned | Signed, Bool | Storage | Complex) => {
                    self.no_conversion(from, to, t)
                }
            },
        }
    }

    /// Truncates or extends an integer to the width of `to`.
    fn resize(&mut self, v: Value, from: DType, to: DType) -> Value {
        let t = scalar(to);
        match from.bits().cmp(&to.bits()) {
            Ordering::Greater => self.b.ins().ireduce(t, v),
            Ordering::Equal => v,
            Ordering::Less if from.kind() == Kind::Signed => self.b.ins().sextend(t, v),
            Ordering::Less => self.b.ins().uextend(t, v),
        }
    }

    /// Records that two dtypes have no conversion: [`crate::kernel::verify`] refuses it before.
    fn no_conversion(&mut self, from: DType, to: DType, t: Type) -> Value {
        self.broken(format!("no machine code converts {from} to {to}"), t)
    }

    /// Widens an integer to 4 bytes.
    fn at_least_word(&mut self, v: Value, from: DType) -> Value {
        match (from.bits() < 32, from.kind() == Kind::Signed) {
            (true, true) => self.b.ins().sextend(types::I32, v),
            (true, false) => self.b.ins().uextend(types::I32, v),
            (false, _) => v,
        }
    }

    /// Emits a conversion of vectors, whose lanes hold narrow integers in 4 bytes and bools as
    /// masks.
    fn convert_vector(&mut self, v: Value, from: DType, to: DType, shape: VectorShape) -> Value {
        use Kind::*;
        let t = shape.vector(to);
        match (from, to) {
            (DType::BF16, DType::F32) => {
                let bits = self.b.ins().ishl_imm_u(v, 16);
                return self.bitcast(bits, t);
            }
            (DType::F16, DType::F32) => return self.widen_half(v),
            (DType::F32, DType::BF16) => {
                let bits = self.bitcast(v, types::I32X4);
                return self.b.ins().ushr_imm_u(bits, 16);
            }
            (DType::F32, DType::F16) => return self.narrow_half(v),
            // empty: all other pairs are converted by kind below.
            _ => {}
        }
        match (from.kind(), to.kind()) {
            (Bool, Float) => {
                let ones = self.mask_to_ones(v, shape);
                self.signed_to_float(ones, t, shape)
            }
            (Bool, Signed | Unsigned) => self.mask_to_ones(v, shape),
            (Float, Signed) if shape.width == 4 => self.b.ins().fcvt_to_sint_sat(t, v),
            (Float, Unsigned) if shape.width == 4 => self.b.ins().fcvt_to_uint_sat(t, v),
            (Signed, Float) if shape.width == 4 => self.signed_to_float(v, t, shape),
            (Unsigned, Float) if shape.width == 4 => self.b.ins().fcvt_from_uint(t, v),
            (Float, Signed | Unsigned) | (Signed | Unsigned, Float) => {
                self.convert_lanes(v, from, to, shape)
            }
            (Signed | Unsigned, Signed | Unsigned) => self.wrap_lanes(v, to),
            (Float, Bool | Float | Storage | Complex)
            | (Complex | Storage, _)
            | (Bool | Unsigned | Signed, Bool | Storage | Complex) => {
                self.no_conversion(from, to, t)
            }
        }
    }

    /// Returns 1 in the lanes in which a mask is true, and 0 in the others.
    fn mask_to_ones(&mut self, v: Value, shape: VectorShape) -> Value {
        let bits = self.bitcast(v, shape.mask());
        self.b.ins().ineg(bits)
    }

    /// Wraps integers of 4 bytes to a narrow integer dtype, whose numbers the lanes then hold in 4
    /// bytes; other dtypes have the width of the lanes.
    fn wrap_lanes(&mut self, v: Value, to: DType) -> Value {
        if to.bits() >= 32 {
            return v;
        }
        if to.kind() == Kind::Unsigned {
            let low = self.int_like(types::I32X4, (1 << to.bits()) - 1);
            return self.b.ins().band(v, low);
        }
        let above = 32 - to.bits() as i64;
        let high = self.b.ins().ishl_imm_u(v, above);
        self.b.ins().sshr_imm_u(high, above)
    }

    /// Converts a vector lane by lane.
    fn convert_lanes(&mut self, v: Value, from: DType, to: DType, shape: VectorShape) -> Value {
        let lanes: Vec<Value> = (0..shape.width)
            .map(|l| {
                let x = self.extract(v, l, from, shape);
                self.convert(x, from, to, VectorShape::SCALAR)
            })
            .collect();
        self.assemble(&lanes, to, shape)
    }

    /// Converts signed integers to floats; vectors of 8 bytes lane by lane.
    fn signed_to_float(&mut self, v: Value, t: Type, shape: VectorShape) -> Value {
        if shape.width == 4 {
            return self.b.ins().fcvt_from_sint(t, v);
        }
        let lanes: Vec<Value> = (0..shape.width)
            .map(|l| {
                let x = self.b.ins().extractlane(v, l as u8);
                self.b.ins().fcvt_from_sint(types::F64, x)
            })
            .collect();
        self.assemble(&lanes, DType::F64, shape)
    }

    /// Emits the integer `x` in all lanes of type `t`.
    pub fn int_like(&mut self, t: Type, x: u32) -> Value {
        let c = self.b.ins().iconst(types::I32, x as i64);
        if t.is_vector() { self.b.ins().splat(t, c) } else { c }
    }

    /// Emits `mask ? x : y` for a vector mask or a scalar condition.
    fn pick(&mut self, mask: Value, x: Value, y: Value) -> Value {
        let t = self.b.func.dfg.value_type(x);
        if t.is_vector() {
            let mask = self.bitcast(mask, t);
            return self.b.ins().bitselect(mask, x, y);
        }
        self.b.ins().select(mask, x, y)
    }

    /// Rounds an f32 to the precision of a narrower float, kept as f32.
    pub fn round(&mut self, v: Value, to: DType) -> Value {
        match to {
            DType::BF16 => self.round_bf16(v),
            DType::F16 => {
                let bits = self.narrow_half(v);
                self.widen_half(bits)
            }
            DType::F32 => v,
            to => {
                let t = self.b.func.dfg.value_type(v);
                self.broken(format!("an f32 is not rounded to {to}"), t)
            }
        }
    }

    /// Returns the 4-byte integer type of a value's shape.
    fn int_type(&self, v: Value) -> Type {
        if self.b.func.dfg.value_type(v).is_vector() { types::I32X4 } else { types::I32 }
    }

    /// Returns the f32 type of a value's shape.
    fn float_type(&self, v: Value) -> Type {
        if self.b.func.dfg.value_type(v).is_vector() { types::F32X4 } else { types::F32 }
    }

    /// Rounds an f32 to the upper 16 bits, ties to even; NaN stays a quiet NaN.
    fn round_bf16(&mut self, v: Value) -> Value {
        let (t, f) = (self.int_type(v), self.float_type(v));
        let bits = self.bitcast(v, t);
        let high = self.b.ins().ushr_imm_u(bits, 16);
        let (one, half, mask, quiet) = (
            self.int_like(t, 1),
            self.int_like(t, 0x7fff),
            self.int_like(t, 0xffff_0000),
            self.int_like(t, 0x0040_0000),
        );
        let odd = self.b.ins().band(high, one);
        let up = self.b.ins().iadd(odd, half);
        let sum = self.b.ins().iadd(bits, up);
        let rounded = self.b.ins().band(sum, mask);
        let kept = self.b.ins().bor(bits, quiet);
        let kept = self.b.ins().band(kept, mask);
        let nan = self.b.ins().fcmp(cranelift_codegen::ir::condcodes::FloatCC::Unordered, v, v);
        let out = self.pick(nan, kept, rounded);
        self.bitcast(out, f)
    }

    /// Converts the bits of an f16, in the low half of 32 bits, to f32. A subnormal f16 is a
    /// multiple of the least one, and normal as f32.
    fn widen_half(&mut self, h: Value) -> Value {
        let t = self.b.func.dfg.value_type(h);
        let f = if t.is_vector() { types::F32X4 } else { types::F32 };
        let (low, sign) = (self.int_like(t, 0x7fff), self.int_like(t, 0x8000));
        let size = self.b.ins().band(h, low);
        let sign = self.b.ins().band(h, sign);
        let sign = self.b.ins().ishl_imm_u(sign, 16);
        let bits = self.b.ins().ishl_imm_u(size, 13);
        // The difference of the exponent biases.
        let (bias, special) = (self.int_like(t, 112 << 23), self.int_like(t, 0x7f80_0000));
        let normal = self.b.ins().iadd(bits, bias);
        let count = self.b.ins().fcvt_from_sint(f, size);
        let least = self.int_like(t, (127 - 24) << 23);
        let least = self.bitcast(least, f);
        let small = self.b.ins().fmul(count, least);
        let small = self.bitcast(small, t);
        let (first, last) = (self.int_like(t, 0x0400), self.int_like(t, 0x7c00));
        let is_small = self.b.ins().icmp(IntCC::UnsignedLessThan, size, first);
        let y = self.pick(is_small, small, normal);
        let is_special = self.b.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, size, last);
        let whole = self.b.ins().bor(bits, special);
        let y = self.pick(is_special, whole, y);
        let y = self.b.ins().bor(y, sign);
        self.bitcast(y, f)
    }

    /// Converts an f32 to the bits of an f16, rounded to nearest even. Normal numbers are rounded
    /// as integers, subnormal ones by adding a number with the same last place.
    fn narrow_half(&mut self, v: Value) -> Value {
        let (t, f) = (self.int_type(v), self.float_type(v));
        let all = self.bitcast(v, t);
        let low = self.int_like(t, 0x7fff_ffff);
        let size = self.b.ins().band(all, low);
        let sign = self.b.ins().ushr_imm_u(all, 16);
        let top = self.int_like(t, 0x8000);
        let sign = self.b.ins().band(sign, top);
        let high = self.b.ins().ushr_imm_u(size, 13);
        let (one, half, bias) =
            (self.int_like(t, 1), self.int_like(t, 0xfff), self.int_like(t, 112 << 23));
        let odd = self.b.ins().band(high, one);
        let up = self.b.ins().iadd(odd, half);
        let sum = self.b.ins().iadd(size, up);
        let sum = self.b.ins().isub(sum, bias);
        let normal = self.b.ins().ushr_imm_u(sum, 13);
        // 0.5: its last place is 2^-24, the least subnormal f16.
        let magic = self.int_like(t, 126 << 23);
        let (m, s) = (self.bitcast(magic, f), self.bitcast(size, f));
        let shifted = self.b.ins().fadd(s, m);
        let shifted = self.bitcast(shifted, t);
        let small = self.b.ins().isub(shifted, magic);
        let (least, most, inf) =
            (self.int_like(t, 113 << 23), self.int_like(t, 0x477f_f000), self.int_like(t, 0x7c00));
        let is_small = self.b.ins().icmp(IntCC::UnsignedLessThan, size, least);
        let y = self.pick(is_small, small, normal);
        let is_large = self.b.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, size, most);
        let y = self.pick(is_large, inf, y);
        let (end, nan) = (self.int_like(t, 0x7f80_0000), self.int_like(t, 0x7e00));
        let is_nan = self.b.ins().icmp(IntCC::UnsignedGreaterThan, size, end);
        let y = self.pick(is_nan, nan, y);
        self.b.ins().bor(y, sign)
    }
}
