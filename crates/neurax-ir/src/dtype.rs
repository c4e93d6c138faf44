//! Element types: names, widths and type promotion.

use std::{fmt, ops::RangeInclusive};

/// Defines [`DType`] from one row per dtype: the variant, the name in the text form, the bits of an
/// element in memory, the family.
macro_rules! dtypes {
    ($(#[$doc:meta])* $($d:ident $name:literal $bits:literal $kind:ident,)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        #[allow(missing_docs, reason = "the variants are the names of the types")]
        pub enum DType {
            $($d,)*
        }

        impl DType {
            /// Every dtype, in the order of the enum.
            pub const ALL: [DType; [$($bits,)*].len()] = [$(DType::$d,)*];

            /// Returns the name in the text form, e.g. `f32`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(DType::$d => $name,)*
                }
            }

            /// Returns the bits of one element in memory. A bool and a float of 6 bits occupy a
            /// byte; other dtypes below 8 bits are packed.
            pub const fn bits(self) -> usize {
                match self {
                    $(DType::$d => $bits,)*
                }
            }

            /// Returns the family of this dtype.
            pub const fn kind(self) -> Kind {
                match self {
                    $(DType::$d => Kind::$kind,)*
                }
            }
        }
    };
}

dtypes! {
    /// The element type of a tensor.
    ///
    /// ```
    /// use neurax_ir::DType;
    /// assert_eq!(DType::BF16.to_string(), "bf16");
    /// assert_eq!(DType::parse("u4"), Some(DType::U4));
    /// assert_eq!(DType::I32.promote(DType::F16), Some(DType::F16));
    /// ```
    Bool "bool" 8 Bool,
    U1 "u1" 1 Unsigned,
    U2 "u2" 2 Unsigned,
    U4 "u4" 4 Unsigned,
    U8 "u8" 8 Unsigned,
    U16 "u16" 16 Unsigned,
    U32 "u32" 32 Unsigned,
    U64 "u64" 64 Unsigned,
    I1 "i1" 1 Signed,
    I2 "i2" 2 Signed,
    I4 "i4" 4 Signed,
    I8 "i8" 8 Signed,
    I16 "i16" 16 Signed,
    I32 "i32" 32 Signed,
    I64 "i64" 64 Signed,
    F4E2M1FN "f4e2m1fn" 4 Storage,
    F6E2M3FN "f6e2m3fn" 8 Storage,
    F6E3M2FN "f6e3m2fn" 8 Storage,
    F8E3M4 "f8e3m4" 8 Storage,
    F8E4M3 "f8e4m3" 8 Storage,
    F8E4M3B11FNUZ "f8e4m3b11fnuz" 8 Storage,
    F8E4M3FN "f8e4m3fn" 8 Float,
    F8E4M3FNUZ "f8e4m3fnuz" 8 Storage,
    F8E5M2 "f8e5m2" 8 Float,
    F8E5M2FNUZ "f8e5m2fnuz" 8 Storage,
    F8E8M0FNU "f8e8m0fnu" 8 Storage,
    F16 "f16" 16 Float,
    BF16 "bf16" 16 Float,
    F32 "f32" 32 Float,
    F64 "f64" 64 Float,
    C64 "c64" 64 Complex,
    C128 "c128" 128 Complex,
}

/// The family of a [`DType`]; the rules of ops match on it rather than on lists of dtypes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs, reason = "the variants are the names of the families")]
pub enum Kind {
    Bool,
    Unsigned,
    Signed,
    /// Floats that ops compute with.
    Float,
    /// Floats that are only stored, moved and converted.
    Storage,
    Complex,
}

use DType::*;

impl DType {
    /// Returns the dtype called `name`, if there is one.
    pub fn parse(name: &str) -> Option<DType> {
        DType::ALL.into_iter().find(|d| d.name() == name)
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

    /// Returns the dtype that elements are computed in: f32 for narrower floats, 8 bits for bools
    /// and packed integers, and the type itself for others.
    ///
    /// ```
    /// use neurax_ir::DType::{BF16, Bool, F4E2M1FN, F32, I2, I8, I64, U8};
    /// let wide = [BF16, F4E2M1FN, Bool, I2, I64].map(|d| d.compute_dtype());
    /// assert_eq!(wide, [F32, F32, U8, I8, I64]);
    /// ```
    pub const fn compute_dtype(self) -> DType {
        match self.kind() {
            Kind::Bool => U8,
            Kind::Unsigned if self.bits() < 8 => U8,
            Kind::Signed if self.bits() < 8 => I8,
            Kind::Float | Kind::Storage if self.bits() < 32 => F32,
            _ => self,
        }
    }

    /// Returns true if this is a real floating-point type that ops compute with.
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

    /// Returns true if elements are only stored, moved and converted: arithmetic, comparisons and
    /// sorts refuse them, and conversions to them have no derivative.
    ///
    /// ```
    /// use neurax_ir::DType;
    /// assert!(DType::F4E2M1FN.is_storage() && !DType::F8E5M2.is_storage());
    /// ```
    pub fn is_storage(self) -> bool {
        self.kind() == Kind::Storage
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
    /// explicit conversion: integers below 8 bits promote only with themselves and bool, floats
    /// of at most 8 bits also with wider integers.
    pub fn promote(self, other: DType) -> Option<DType> {
        let (a, b) = (self.min(other), self.max(other));
        if a == b || a == Bool {
            return Some(b);
        }
        let packed = |d: DType| d.is_int() && d.bits() < 8;
        // A small float as `a` meets another float or a complex number.
        let is_small = a.bits() <= 8 && matches!(a.kind(), Kind::Float | Kind::Storage);
        if packed(a) || packed(b) || is_small {
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
    const PROMOTIONS: [&str; 32] = [
        "bool",
        "u1 u1",
        "u2 - u2",
        "u4 - - u4",
        "u8 - - - u8",
        "u16 - - - u16 u16",
        "u32 - - - u32 u32 u32",
        "u64 - - - u64 u64 u64 u64",
        "i1 - - - - - - - i1",
        "i2 - - - - - - - - i2",
        "i4 - - - - - - - - - i4",
        "i8 - - - i16 i32 i64 f32 - - - i8",
        "i16 - - - i16 i32 i64 f32 - - - i16 i16",
        "i32 - - - i32 i32 i64 f32 - - - i32 i32 i32",
        "i64 - - - i64 i64 i64 f32 - - - i64 i64 i64 i64",
        "f4e2m1fn - - - f4e2m1fn f4e2m1fn f4e2m1fn f4e2m1fn - - - f4e2m1fn f4e2m1fn f4e2m1fn \
         f4e2m1fn f4e2m1fn",
        "f6e2m3fn - - - f6e2m3fn f6e2m3fn f6e2m3fn f6e2m3fn - - - f6e2m3fn f6e2m3fn f6e2m3fn \
         f6e2m3fn - f6e2m3fn",
        "f6e3m2fn - - - f6e3m2fn f6e3m2fn f6e3m2fn f6e3m2fn - - - f6e3m2fn f6e3m2fn f6e3m2fn \
         f6e3m2fn - - f6e3m2fn",
        "f8e3m4 - - - f8e3m4 f8e3m4 f8e3m4 f8e3m4 - - - f8e3m4 f8e3m4 f8e3m4 f8e3m4 - - - f8e3m4",
        "f8e4m3 - - - f8e4m3 f8e4m3 f8e4m3 f8e4m3 - - - f8e4m3 f8e4m3 f8e4m3 f8e4m3 - - - - \
         f8e4m3",
        "f8e4m3b11fnuz - - - f8e4m3b11fnuz f8e4m3b11fnuz f8e4m3b11fnuz f8e4m3b11fnuz - - - \
         f8e4m3b11fnuz f8e4m3b11fnuz f8e4m3b11fnuz f8e4m3b11fnuz - - - - - f8e4m3b11fnuz",
        "f8e4m3fn - - - f8e4m3fn f8e4m3fn f8e4m3fn f8e4m3fn - - - f8e4m3fn f8e4m3fn f8e4m3fn \
         f8e4m3fn - - - - - - f8e4m3fn",
        "f8e4m3fnuz - - - f8e4m3fnuz f8e4m3fnuz f8e4m3fnuz f8e4m3fnuz - - - f8e4m3fnuz \
         f8e4m3fnuz f8e4m3fnuz f8e4m3fnuz - - - - - - - f8e4m3fnuz",
        "f8e5m2 - - - f8e5m2 f8e5m2 f8e5m2 f8e5m2 - - - f8e5m2 f8e5m2 f8e5m2 f8e5m2 - - - - - \
         - - - f8e5m2",
        "f8e5m2fnuz - - - f8e5m2fnuz f8e5m2fnuz f8e5m2fnuz f8e5m2fnuz - - - f8e5m2fnuz \
         f8e5m2fnuz f8e5m2fnuz f8e5m2fnuz - - - - - - - - - f8e5m2fnuz",
        "f8e8m0fnu - - - f8e8m0fnu f8e8m0fnu f8e8m0fnu f8e8m0fnu - - - f8e8m0fnu f8e8m0fnu \
         f8e8m0fnu f8e8m0fnu - - - - - - - - - - f8e8m0fnu",
        "f16 - - - f16 f16 f16 f16 - - - f16 f16 f16 f16 - - - - - - - - - - - f16",
        "bf16 - - - bf16 bf16 bf16 bf16 - - - bf16 bf16 bf16 bf16 - - - - - - - - - - - f32 bf16",
        "f32 - - - f32 f32 f32 f32 - - - f32 f32 f32 f32 - - - - - - - - - - - f32 f32 f32",
        "f64 - - - f64 f64 f64 f64 - - - f64 f64 f64 f64 - - - - - - - - - - - f64 f64 f64 f64",
        "c64 - - - c64 c64 c64 c64 - - - c64 c64 c64 c64 - - - - - - - - - - - c64 c64 c64 \
         c128 c64",
        "c128 - - - c128 c128 c128 c128 - - - c128 c128 c128 c128 - - - - - - - - - - - c128 \
         c128 c128 c128 c128 c128",
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
