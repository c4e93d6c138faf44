//! Float formats: one description per dtype, from which rounding, decoding and limits follow.
//!
//! A code is a sign bit (if the format has signs), the exponent bits and the mantissa bits. With
//! exponent field `e`, mantissa field `m` of `M` bits and the bias, a code stands for
//!
//! ```text
//! (1 + m / 2^M) * 2^(e - bias)    if e > 0, or if the format has no zero
//! (m / 2^M) * 2^(1 - bias)        if e = 0: zero and the subnormal numbers
//! ```
//!
//! except for the codes of infinity and NaN. The formats differ in which codes these are, hence in
//! the largest number and in the result of overflow: infinity if there is one, else NaN if there is
//! one, else the largest number.
//!
//! Encoding rounds to nearest, ties to even, from the bits of an f64. Without mantissa bits, each
//! significand is odd, and ties round up. Every narrower number is an f64, so that there is one
//! rounding, whatever the source. Invariants: encoding a decoded number returns its code (for NaN,
//! a code of NaN), and codes of one sign are ordered like their numbers. The rules are those of the
//! Python package `ml_dtypes`, whose results are recorded in the fixtures of `neurax-testkit`.

use crate::DType;

/// The format of a float dtype.
///
/// ```
/// use neurax_ir::{DType, FloatFormat};
/// let format = FloatFormat::of(DType::F8E4M3FN).unwrap();
/// assert_eq!((format.exponent_bits, format.mantissa_bits, format.bias), (4, 3, 7));
/// assert_eq!(format.max(), 448.0);
/// assert_eq!(format.encode(1.0625), 0x38, "a tie between 1 and 1.125");
/// assert_eq!(format.decode(0x38), 1.0);
/// assert!(format.decode(format.encode(500.0)).is_nan(), "it has no infinity");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FloatFormat {
    /// The bits of the exponent.
    pub exponent_bits: u32,
    /// The bits of the mantissa that are stored.
    pub mantissa_bits: u32,
    /// The exponent field of the numbers from 1 to 2.
    pub bias: i32,
    /// True if there is a sign bit.
    pub is_signed: bool,
    /// True if there are zero and subnormal numbers.
    pub has_zero: bool,
    /// True if there are infinities: the largest exponent field, with an empty mantissa.
    pub has_infinity: bool,
    /// The codes that are not a number.
    pub nan: NanCodes,
}

/// The codes of a [`FloatFormat`] that stand for NaN.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NanCodes {
    /// The codes above infinity, of both signs, as in IEEE 754.
    AboveInfinity,
    /// The largest magnitude.
    Largest,
    /// The code of negative zero, which the format lacks.
    NegativeZero,
    /// None: every code is a number.
    Absent,
}

impl FloatFormat {
    /// The format of f64.
    pub const F64: FloatFormat = ieee(11, 52);

    /// Returns the format of a real float dtype; `None` for bool, integers and complex numbers.
    pub const fn of(dtype: DType) -> Option<FloatFormat> {
        Some(match dtype {
            DType::F4E2M1FN => finite(2, 1),
            DType::F6E2M3FN => finite(2, 3),
            DType::F6E3M2FN => finite(3, 2),
            DType::F8E3M4 => ieee(3, 4),
            DType::F8E4M3 => ieee(4, 3),
            DType::F8E4M3B11FNUZ => unsigned_zero(4, 3, 11),
            DType::F8E4M3FN => without_infinity(4, 3),
            DType::F8E4M3FNUZ => unsigned_zero(4, 3, 8),
            DType::F8E5M2 => ieee(5, 2),
            DType::F8E5M2FNUZ => unsigned_zero(5, 2, 16),
            DType::F8E8M0FNU => powers_of_two(8),
            DType::F16 => ieee(5, 10),
            DType::BF16 => ieee(8, 7),
            DType::F32 => ieee(8, 23),
            DType::F64 => FloatFormat::F64,
            _ => return None,
        })
    }

    /// Returns the number of bits of a code.
    pub const fn bits(self) -> u32 {
        self.is_signed as u32 + self.exponent_bits + self.mantissa_bits
    }

    /// Returns the exponent of the smallest normal number.
    pub const fn min_exponent(self) -> i32 {
        self.has_zero as i32 - self.bias
    }

    /// Returns the distance from 1 to the next larger number.
    pub fn epsilon(self) -> f64 {
        libm::scalbn(1.0, -(self.mantissa_bits as i32))
    }

    /// Returns the largest finite number.
    pub fn max(self) -> f64 {
        self.magnitude(self.largest())
    }

    /// Returns the smallest finite number: the negative of the largest one, and without signs the
    /// smallest positive number.
    pub fn min(self) -> f64 {
        if self.is_signed { -self.max() } else { self.magnitude(0) }
    }

    /// Returns the largest number, infinity if there is one.
    pub fn upper_bound(self) -> f64 {
        if self.has_infinity { f64::INFINITY } else { self.max() }
    }

    /// Returns the smallest number, negative infinity if there is one.
    pub fn lower_bound(self) -> f64 {
        if self.has_infinity { f64::NEG_INFINITY } else { self.min() }
    }

    /// Returns the code of the largest number, infinity if there is one.
    pub const fn upper_code(self) -> u64 {
        self.largest() + self.has_infinity as u64
    }

    /// Returns the smallest positive number with all digits.
    pub fn smallest_normal(self) -> f64 {
        libm::scalbn(1.0, self.min_exponent())
    }

    /// Returns the smallest positive number.
    pub fn smallest_subnormal(self) -> f64 {
        self.magnitude(self.has_zero as u64)
    }

    /// Returns true if every number of format `other` is one of this format.
    pub fn holds(self, other: FloatFormat) -> bool {
        let is_nan_held = self.nan != NanCodes::Absent || other.nan == NanCodes::Absent;
        let has_negative_zero =
            |f: FloatFormat| f.is_signed && f.has_zero && f.nan != NanCodes::NegativeZero;
        self == other
            || is_nan_held
                && (self.is_signed || !other.is_signed)
                && (self.has_zero || !other.has_zero)
                && (self.has_infinity || !other.has_infinity)
                && (has_negative_zero(self) || !has_negative_zero(other))
                && self.mantissa_bits >= other.mantissa_bits
                && self.max() >= other.max()
                && self.smallest_subnormal() <= other.smallest_subnormal()
    }

    /// Returns the code of the number nearest to `x`, ties to even.
    ///
    /// A number beyond the largest one becomes infinity, NaN or the largest one: the first of them
    /// that the format has. What has no number (NaN; without signs, a negative number; zero in a
    /// format without it) becomes NaN; in a format without NaN, a zero with the other sign.
    pub fn encode(self, x: f64) -> u64 {
        let is_negative = x.is_sign_negative();
        let sign = if is_negative && self.is_signed { self.sign_bit() } else { 0 };
        if x.is_nan() || (is_negative && !self.is_signed) || (x == 0.0 && !self.has_zero) {
            return self.not_a_number(sign);
        }
        match self.nearest(x.abs()) {
            code if code > self.largest() => match self.nan {
                _ if self.has_infinity => sign | self.upper_code(),
                NanCodes::Absent => sign | self.largest(),
                _ => self.not_a_number(sign),
            },
            0 if self.nan == NanCodes::NegativeZero => 0,
            code => sign | code,
        }
    }

    /// Returns the number of a code; bits beyond those of the format are ignored.
    pub fn decode(self, code: u64) -> f64 {
        let magnitude = code & self.magnitude_mask();
        let is_negative = self.is_signed && code & self.sign_bit() != 0;
        let is_nan = match self.nan {
            NanCodes::AboveInfinity => magnitude > self.upper_code(),
            NanCodes::Largest => magnitude > self.largest(),
            NanCodes::NegativeZero => is_negative && magnitude == 0,
            NanCodes::Absent => false,
        };
        let x = match magnitude {
            _ if is_nan => return f64::NAN,
            m if m > self.largest() => f64::INFINITY,
            m => self.magnitude(m),
        };
        if is_negative { -x } else { x }
    }

    const fn sign_bit(self) -> u64 {
        1 << (self.exponent_bits + self.mantissa_bits)
    }

    const fn magnitude_mask(self) -> u64 {
        self.sign_bit() - 1
    }

    /// Returns the code of the largest finite number.
    const fn largest(self) -> u64 {
        match self.nan {
            NanCodes::AboveInfinity => self.magnitude_mask() - (1 << self.mantissa_bits),
            NanCodes::Largest => self.magnitude_mask() - 1,
            NanCodes::NegativeZero | NanCodes::Absent => self.magnitude_mask(),
        }
    }

    /// Returns the code of NaN with a sign, where NaN has signs.
    const fn not_a_number(self, sign: u64) -> u64 {
        match self.nan {
            NanCodes::AboveInfinity => sign | self.upper_code() | 1 << (self.mantissa_bits - 1),
            NanCodes::Largest => sign | self.magnitude_mask(),
            NanCodes::NegativeZero => self.sign_bit(),
            NanCodes::Absent => sign ^ self.sign_bit(),
        }
    }

    /// Returns the code nearest to the magnitude `x`, as if there were no largest exponent.
    fn nearest(self, x: f64) -> u64 {
        const BITS: u32 = f64::MANTISSA_DIGITS - 1;
        let field = (x.to_bits() >> BITS) as i32;
        let leading = if field > 0 { 1 << BITS } else { 0 };
        let significand = leading | (x.to_bits() & ((1 << BITS) - 1));
        let exponent = field.max(1) - (f64::MAX_EXP - 1);
        let at_least = exponent.max(self.min_exponent());
        // The code of the next smaller number: a carry of the mantissa runs into the exponent
        // field. It is -1 below the first number of a format without zero.
        let base = i64::from(at_least - self.min_exponent() - !self.has_zero as i32);
        let shift = (BITS - self.mantissa_bits).saturating_add((at_least - exponent) as u32);
        // Of a smaller number, less than half of the first code remains.
        let shift = shift.min(BITS + 2);
        let kept = significand >> shift;
        let code = (base << self.mantissa_bits) + kept as i64;
        let rest = significand & ((1 << shift) - 1);
        let half = (1 << shift) >> 1;
        let is_up = shift > 0 && (rest > half || (rest == half && kept & 1 == 1));
        (code + i64::from(is_up)).max(0) as u64
    }

    /// Returns the number of a code without sign that is not infinity or NaN.
    fn magnitude(self, code: u64) -> f64 {
        let field = (code >> self.mantissa_bits) as i32;
        let mantissa = code & ((1 << self.mantissa_bits) - 1);
        let is_normal = field > 0 || !self.has_zero;
        let significand = mantissa | u64::from(is_normal) << self.mantissa_bits;
        let exponent = if is_normal { field - self.bias } else { 1 - self.bias };
        libm::scalbn(significand as f64, exponent - self.mantissa_bits as i32)
    }
}

/// Returns a format of IEEE 754.
const fn ieee(exponent_bits: u32, mantissa_bits: u32) -> FloatFormat {
    FloatFormat {
        exponent_bits,
        mantissa_bits,
        bias: (1 << (exponent_bits - 1)) - 1,
        is_signed: true,
        has_zero: true,
        has_infinity: true,
        nan: NanCodes::AboveInfinity,
    }
}

/// Returns a format with NaN in the largest code of each sign and numbers below (`fn`).
const fn without_infinity(exponent_bits: u32, mantissa_bits: u32) -> FloatFormat {
    let ieee = ieee(exponent_bits, mantissa_bits);
    FloatFormat { has_infinity: false, nan: NanCodes::Largest, ..ieee }
}

/// Returns a format in which every code is a number.
const fn finite(exponent_bits: u32, mantissa_bits: u32) -> FloatFormat {
    FloatFormat { nan: NanCodes::Absent, ..without_infinity(exponent_bits, mantissa_bits) }
}

/// Returns a format with one NaN in the place of negative zero (`fnuz`).
const fn unsigned_zero(exponent_bits: u32, mantissa_bits: u32, bias: i32) -> FloatFormat {
    let finite = finite(exponent_bits, mantissa_bits);
    FloatFormat { bias, nan: NanCodes::NegativeZero, ..finite }
}

/// Returns the format of powers of two without sign, and one NaN (`fnu`).
const fn powers_of_two(exponent_bits: u32) -> FloatFormat {
    FloatFormat { is_signed: false, has_zero: false, ..without_infinity(exponent_bits, 0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the formats whose codes can be listed.
    fn small() -> impl Iterator<Item = (DType, FloatFormat)> {
        let formats = DType::ALL.into_iter().filter_map(|d| Some((d, FloatFormat::of(d)?)));
        formats.filter(|(_, f)| f.bits() <= 16)
    }

    #[test]
    fn every_code_round_trips() {
        for (d, f) in small() {
            for code in 0..1u64 << f.bits() {
                let x = f.decode(code);
                let back = f.encode(x);
                assert!(if x.is_nan() { f.decode(back).is_nan() } else { back == code }, "{d} {x}");
            }
        }
    }

    #[test]
    fn numbers_round_to_the_nearest_and_ties_to_even() {
        for (d, f) in small().filter(|(_, f)| f.bits() <= 8) {
            for code in 0..f.largest() {
                let (x, y) = (f.decode(code), f.decode(code + 1));
                let middle = (x + y) / 2.0;
                let is_up = code & 1 == 1 || f.mantissa_bits == 0;
                assert_eq!(f.encode(middle), code + u64::from(is_up), "{d} {middle}");
                assert_eq!(f.encode(middle * (1.0 - f64::EPSILON)), code, "{d} {middle}");
                assert_eq!(f.encode(middle * (1.0 + f64::EPSILON)), code + 1, "{d} {middle}");
            }
        }
    }

    #[test]
    fn halves_round_as_in_the_crate_half() {
        let (f16, bf16) = (ieee(5, 10), ieee(8, 7));
        let mut bits = 1u32;
        for _ in 0..20_000 {
            bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let x = f32::from_bits(bits);
            if !x.is_nan() {
                assert_eq!(f16.encode(x.into()), half::f16::from_f32(x).to_bits().into(), "{x}");
                assert_eq!(bf16.encode(x.into()), half::bf16::from_f32(x).to_bits().into(), "{x}");
            }
        }
    }

    #[test]
    fn limits_are_those_of_the_primitive_types() {
        let (single, double) = (ieee(8, 23), ieee(11, 52));
        assert_eq!(single.max(), f32::MAX.into());
        assert_eq!(single.smallest_normal(), f32::MIN_POSITIVE.into());
        assert_eq!(single.smallest_subnormal(), f32::from_bits(1).into());
        assert_eq!((double.max(), double.min()), (f64::MAX, f64::MIN));
        assert_eq!(double.smallest_normal(), f64::MIN_POSITIVE);
        assert_eq!((double.smallest_subnormal(), double.epsilon()), (5e-324, f64::EPSILON));
        for x in [0.0, -1.5, f64::MAX, 5e-324, f64::NEG_INFINITY, 1e-310] {
            assert_eq!((double.encode(x), double.decode(x.to_bits())), (x.to_bits(), x));
        }
    }

    #[test]
    fn a_format_holds_the_numbers_of_a_smaller_one() {
        let of = |d| FloatFormat::of(d).unwrap();
        for (a, f) in small().filter(|(_, f)| f.bits() <= 8) {
            for (b, g) in small() {
                let same = |x: f64| match g.decode(g.encode(x)) {
                    y if x.is_nan() => y.is_nan(),
                    y => y.to_bits() == x.to_bits(),
                };
                let all = (0..1u64 << f.bits()).all(|code| same(f.decode(code)));
                assert_eq!(g.holds(f), all, "{a} in {b}");
            }
        }
        assert!(of(DType::F64).holds(of(DType::F32)) && !of(DType::F32).holds(of(DType::F64)));
    }
}
