//! Element types: names, widths and type promotion.

use std::{fmt, ops::RangeInclusive};

/// The element type of a tensor.
///
/// ```
/// use neurax_ir::DType;
/// assert_eq!(DType::BF16.to_string(), "bf16");
/// assert_eq!(DType::parse("u4"), Some(DType::U4));
/// assert_eq!(DType::I32.promote(DType::F16), Some(DType::F16));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[allow(missing_docs, reason = "the variants are the names of the types")]
pub enum DType {
    Bool,
    U2,
    U4,
    U8,
    U16,
    U32,
    U64,
    I2,
    I4,
    I8,
    I16,
    I32,
    I64,
    F8E4M3FN,
    F8E5M2,
    F16,
    BF16,
    F32,
    F64,
    C64,
    C128,
}

/// The family of a [`DType`]; the rules of ops match on it rather than on lists of dtypes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs, reason = "the variants are the names of the families")]
pub enum Kind {
    Bool,
    Unsigned,
    Signed,
    Float,
    Complex,
}

use DType::*;

impl DType {
    /// Every dtype, in the order of the enum.
    pub const ALL: [DType; 21] = [
        Bool, U2, U4, U8, U16, U32, U64, I2, I4, I8, I16, I32, I64, F8E4M3FN, F8E5M2, F16, BF16,
        F32, F64, C64, C128,
    ];

    /// Returns the name in the text form, e.g. `f32`.
    pub fn name(self) -> &'static str {
        match self {
            Bool => "bool",
            U2 => "u2",
            U4 => "u4",
            U8 => "u8",
            U16 => "u16",
            U32 => "u32",
            U64 => "u64",
            I2 => "i2",
            I4 => "i4",
            I8 => "i8",
            I16 => "i16",
            I32 => "i32",
            I64 => "i64",
            F8E4M3FN => "f8e4m3fn",
            F8E5M2 => "f8e5m2",
            F16 => "f16",
            BF16 => "bf16",
            F32 => "f32",
            F64 => "f64",
            C64 => "c64",
            C128 => "c128",
        }
    }

    /// Returns the dtype called `name`, if there is one.
    pub fn parse(name: &str) -> Option<DType> {
        DType::ALL.into_iter().find(|d| d.name() == name)
    }

    /// Returns the bits of one element in memory. A bool occupies a byte; integers below 8 bits are
    /// packed.
    pub fn bits(self) -> usize {
        match self {
            U2 | I2 => 2,
            U4 | I4 => 4,
            Bool | U8 | I8 | F8E4M3FN | F8E5M2 => 8,
            U16 | I16 | F16 | BF16 => 16,
            U32 | I32 | F32 => 32,
            U64 | I64 | F64 | C64 => 64,
            C128 => 128,
        }
    }

    /// Returns the alignment of an element in memory, in bytes: the size of a real number, and 1
    /// for packed integers.
    ///
    /// ```
    /// use neurax_ir::DType;
    /// assert_eq!(DType::F32.align(), 4);
    /// assert_eq!(DType::C128.align(), 8, "two numbers of 8 bytes");
    /// assert_eq!(DType::I4.align(), 1, "two elements in a byte");
    /// ```
    pub fn align(self) -> usize {
        (self.real().bits() / 8).max(1)
    }

    /// Returns the family of this dtype.
    pub fn kind(self) -> Kind {
        match self {
            Bool => Kind::Bool,
            U2 | U4 | U8 | U16 | U32 | U64 => Kind::Unsigned,
            I2 | I4 | I8 | I16 | I32 | I64 => Kind::Signed,
            F8E4M3FN | F8E5M2 | F16 | BF16 | F32 | F64 => Kind::Float,
            C64 | C128 => Kind::Complex,
        }
    }

    /// Returns true if this is a real floating-point type.
    pub fn is_float(self) -> bool {
        self.kind() == Kind::Float
    }

    /// Returns f32 for a float below 32 bits, in which sums and squares overflow or lose digits,
    /// and the type itself for others.
    ///
    /// ```
    /// use neurax_ir::DType::{BF16, F32, F64, I8};
    /// assert_eq!([BF16, F64, I8].map(|d| d.at_least_f32()), [F32, F64, I8]);
    /// ```
    pub fn at_least_f32(self) -> DType {
        if self.is_float() && self.bits() < 32 { F32 } else { self }
    }

    /// Returns true if this is a complex type.
    pub fn is_complex(self) -> bool {
        self.kind() == Kind::Complex
    }

    /// Returns true if this is a signed or unsigned integer (bool is not).
    pub fn is_int(self) -> bool {
        matches!(self.kind(), Kind::Signed | Kind::Unsigned)
    }

    /// Returns the values of an integer type, from the smallest to the largest; `None` for bool,
    /// floats and complex numbers.
    ///
    /// ```
    /// use neurax_ir::DType::{F32, I8, U64};
    /// assert_eq!(I8.int_range(), Some(-128..=127));
    /// assert_eq!(U64.int_range().map(|r| *r.end()), Some(u64::MAX as i128));
    /// assert_eq!(F32.int_range(), None);
    /// ```
    pub fn int_range(self) -> Option<RangeInclusive<i128>> {
        let bits = self.bits();
        match self.kind() {
            Kind::Unsigned => Some(0..=(1 << bits) - 1),
            Kind::Signed => Some(-(1 << (bits - 1))..=(1 << (bits - 1)) - 1),
            _ => None,
        }
    }

    /// Returns true if derivatives with respect to this type exist: floats and complex numbers.
    pub fn is_differentiable(self) -> bool {
        self.is_float() || self.is_complex()
    }

    /// Returns the type of the real part: `f32` for `c64`; a real type is returned unchanged.
    pub fn real(self) -> DType {
        match self {
            C64 => F32,
            C128 => F64,
            d => d,
        }
    }

    /// Returns the complex dtype of the precision of this dtype: c128 for f64 and c128, else c64.
    ///
    /// ```
    /// use neurax_ir::DType;
    /// assert_eq!(DType::F64.complex(), DType::C128);
    /// assert_eq!(DType::F16.complex(), DType::C64);
    /// ```
    pub fn complex(self) -> DType {
        if self.real() == F64 { C128 } else { C64 }
    }

    /// Returns the common type of two element types, by JAX's promotion lattice
    /// (<https://docs.jax.dev/en/latest/type_promotion.html>). `None` where JAX requires an
    /// explicit conversion: integers below 8 bits promote only with themselves and bool, 8-bit
    /// floats also with wider integers.
    pub fn promote(self, other: DType) -> Option<DType> {
        let (a, b) = (self.min(other), self.max(other));
        if a == b || a == Bool {
            return Some(b);
        }
        let packed = |d: DType| d.is_int() && d.bits() < 8;
        // An 8-bit float as `a` meets another float or a complex number.
        if packed(a) || packed(b) || matches!(a, F8E4M3FN | F8E5M2) {
            return None;
        }
        Some(match (a.kind(), b.kind()) {
            (Kind::Unsigned, Kind::Signed) => promote_mixed(a, b),
            (Kind::Float, Kind::Complex) if a == F64 => C128,
            (Kind::Float, Kind::Float) if (a, b) == (F16, BF16) => F32,
            _ => b,
        })
    }
}

/// Promotes an unsigned with a signed integer to the smallest signed type that holds both; beyond
/// 64 bits, to the default float.
fn promote_mixed(unsigned: DType, signed: DType) -> DType {
    match unsigned.bits().max(signed.bits() / 2) * 2 {
        16 => I16,
        32 => I32,
        64 => I64,
        _ => F32,
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `jax.numpy.promote_types` of JAX 0.12 for each dtype with those before it and itself, in the
    /// order of [`DType::ALL`]; `-` where it fails. The default float is f32, as in JAX without
    /// 64-bit types: u64 with signed integers.
    const PROMOTIONS: [&str; 21] = [
        "bool",
        "u2 u2",
        "u4 - u4",
        "u8 - - u8",
        "u16 - - u16 u16",
        "u32 - - u32 u32 u32",
        "u64 - - u64 u64 u64 u64",
        "i2 - - - - - - i2",
        "i4 - - - - - - - i4",
        "i8 - - i16 i32 i64 f32 - - i8",
        "i16 - - i16 i32 i64 f32 - - i16 i16",
        "i32 - - i32 i32 i64 f32 - - i32 i32 i32",
        "i64 - - i64 i64 i64 f32 - - i64 i64 i64 i64",
        "f8e4m3fn - - f8e4m3fn f8e4m3fn f8e4m3fn f8e4m3fn - - f8e4m3fn f8e4m3fn f8e4m3fn \
         f8e4m3fn f8e4m3fn",
        "f8e5m2 - - f8e5m2 f8e5m2 f8e5m2 f8e5m2 - - f8e5m2 f8e5m2 f8e5m2 f8e5m2 - f8e5m2",
        "f16 - - f16 f16 f16 f16 - - f16 f16 f16 f16 - - f16",
        "bf16 - - bf16 bf16 bf16 bf16 - - bf16 bf16 bf16 bf16 - - f32 bf16",
        "f32 - - f32 f32 f32 f32 - - f32 f32 f32 f32 - - f32 f32 f32",
        "f64 - - f64 f64 f64 f64 - - f64 f64 f64 f64 - - f64 f64 f64 f64",
        "c64 - - c64 c64 c64 c64 - - c64 c64 c64 c64 - - c64 c64 c64 c128 c64",
        "c128 - - c128 c128 c128 c128 - - c128 c128 c128 c128 - - c128 c128 c128 c128 c128 c128",
    ];

    #[test]
    fn promotion_follows_jax() {
        for (a, row) in DType::ALL.into_iter().zip(PROMOTIONS) {
            for (b, want) in DType::ALL.into_iter().zip(row.split(' ')) {
                assert_eq!(a.promote(b), DType::parse(want), "{a} with {b}");
                assert_eq!(b.promote(a), DType::parse(want), "{b} with {a}");
            }
        }
    }

    #[test]
    fn names_parse_back() {
        for d in DType::ALL {
            assert_eq!(DType::parse(d.name()), Some(d));
        }
    }
}
