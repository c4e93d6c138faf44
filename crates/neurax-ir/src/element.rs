//! The Rust types of the dtypes: storage ([`Element`]) and arithmetic ([`Compute`]).

use crate::{DType, FloatFormat};
use bytemuck::{Pod, Zeroable};
use half::{bf16, f16};
use num_complex::Complex;

/// A Rust type that tensors are created from and read into.
///
/// ```
/// use neurax_ir::{DType, Element};
/// assert_eq!(<f32 as Element>::DTYPE, DType::F32);
/// assert_eq!(<half::bf16 as Element>::DTYPE, DType::BF16);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an element of a tensor",
    note = "elements are bool, u8..u64, i8..i64, f16, bf16, f32, f64, Complex<f32>, Complex<f64> \
            and the 8-bit floats of `neurax::ir`, such as F8E4M3FN"
)]
pub trait Element: Copy + PartialEq + Send + Sync + std::fmt::Debug + 'static {
    /// The dtype of this type.
    const DTYPE: DType;
    /// The stored type: `Self`, except `u8` for bool.
    type Stored: Pod + Send + Sync;
    /// Converts from the stored type.
    fn from_stored(s: Self::Stored) -> Self;
    /// Converts to the stored type.
    fn to_stored(self) -> Self::Stored;
}

/// A type that ops compute in. Each dtype is converted to one of these when loaded and rounded or
/// wrapped when stored: [`DType::compute_dtype`].
pub trait Compute: Pod + PartialEq + PartialOrdered + Send + Sync + std::fmt::Debug {
    /// The dtype whose memory layout is a slice of this type.
    const DTYPE: DType;
    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// Returns the value nearest to `x`; integers truncate and saturate.
    fn from_f64(x: f64) -> Self;
    /// Returns the real part as f64.
    fn to_f64(self) -> f64;
    /// Converts from an integer, wrapping.
    fn from_i128(x: i128) -> Self;
    /// Converts to an integer, truncating floats and saturating.
    fn to_i128(self) -> i128;
    /// Creates a value from its real and imaginary parts; real types ignore `im`.
    fn from_parts(re: f64, im: f64) -> Self;
    /// Returns the real and imaginary parts.
    fn parts(self) -> (f64, f64);
}

/// The order of sorting: NaN last, as in NumPy; complex numbers by real, then imaginary part.
pub trait PartialOrdered {
    /// Returns true if `self` sorts before `o`.
    fn before(&self, o: &Self) -> bool;
}

/// Defines the 8-bit floats, which are stored as their codes.
macro_rules! eight_bit_floats {
    ($($(#[$doc:meta])* $t:ident,)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Pod, Zeroable)]
        #[repr(transparent)]
        pub struct $t(pub u8);

        impl $t {
            const FORMAT: FloatFormat = FloatFormat::of(DType::$t).expect("the format of a float");

            /// Rounds to the nearest value, as [`FloatFormat::encode`] does.
            pub fn from_f32(x: f32) -> $t {
                $t($t::FORMAT.encode(x.into()) as u8)
            }

            /// Converts to f32, exactly.
            pub fn to_f32(self) -> f32 {
                $t::FORMAT.decode(self.0.into()) as f32
            }
        }
    )*};
}

eight_bit_floats! {
    /// A float of 3 exponent and 4 mantissa bits, with infinities.
    F8E3M4,
    /// A float of 4 exponent and 3 mantissa bits, with infinities.
    F8E4M3,
    /// A float of 4 exponent and 3 mantissa bits with bias 11, with NaN in the place of negative
    /// zero and without infinities.
    F8E4M3B11FNUZ,
    /// A float of 4 exponent and 3 mantissa bits, with NaN but without infinities.
    /// <https://arxiv.org/abs/2209.05433>
    F8E4M3FN,
    /// A float of 4 exponent and 3 mantissa bits with bias 8, with NaN in the place of negative
    /// zero and without infinities. <https://arxiv.org/abs/2206.02915>
    F8E4M3FNUZ,
    /// An IEEE-like float of 5 exponent and 2 mantissa bits. <https://arxiv.org/abs/2209.05433>
    F8E5M2,
    /// A float of 5 exponent and 2 mantissa bits with bias 16, with NaN in the place of negative
    /// zero and without infinities. <https://arxiv.org/abs/2206.02915>
    F8E5M2FNUZ,
    /// A power of two from 2^-127 to 2^127, or NaN: a scale factor of the OCP microscaling formats.
    F8E8M0FNU,
}

macro_rules! elements {
    ($($t:ty = $d:ident),*) => {$(
        impl Element for $t {
            const DTYPE: DType = DType::$d;
            type Stored = $t;
            #[inline]
            fn from_stored(s: $t) -> $t { s }
            #[inline]
            fn to_stored(self) -> $t { self }
        }
    )*};
}

elements!(
    u8 = U8,
    u16 = U16,
    u32 = U32,
    u64 = U64,
    i8 = I8,
    i16 = I16,
    i32 = I32,
    i64 = I64,
    f16 = F16,
    bf16 = BF16
);
elements!(f32 = F32, f64 = F64, Complex<f32> = C64, Complex<f64> = C128);
elements!(
    F8E3M4 = F8E3M4,
    F8E4M3 = F8E4M3,
    F8E4M3B11FNUZ = F8E4M3B11FNUZ,
    F8E4M3FN = F8E4M3FN,
    F8E4M3FNUZ = F8E4M3FNUZ,
    F8E5M2 = F8E5M2,
    F8E5M2FNUZ = F8E5M2FNUZ,
    F8E8M0FNU = F8E8M0FNU
);

impl Element for bool {
    const DTYPE: DType = DType::Bool;
    type Stored = u8;
    #[inline]
    fn from_stored(s: u8) -> bool {
        s != 0
    }
    #[inline]
    fn to_stored(self) -> u8 {
        self as u8
    }
}

macro_rules! compute_real {
    ($($t:ident = $d:ident),*) => {$(
        impl Compute for $t {
            const DTYPE: DType = DType::$d;
            const ZERO: $t = 0 as $t;
            const ONE: $t = 1 as $t;
            #[inline]
            fn from_f64(x: f64) -> $t { x as $t }
            #[inline]
            fn to_f64(self) -> f64 { self as f64 }
            #[inline]
            fn from_i128(x: i128) -> $t { x as $t }
            #[inline]
            fn to_i128(self) -> i128 { self as i128 }
            #[inline]
            fn from_parts(re: f64, _: f64) -> $t { re as $t }
            #[inline]
            fn parts(self) -> (f64, f64) { (self as f64, 0.0) }
        }
    )*};
}

macro_rules! ordered_int {
    ($($t:ident),*) => {$(
        impl PartialOrdered for $t {
            #[inline]
            fn before(&self, o: &$t) -> bool { self < o }
        }
    )*};
}

macro_rules! float {
    ($($t:ident = $complex:ident),*) => {$(
        impl PartialOrdered for $t {
            #[inline]
            fn before(&self, o: &$t) -> bool { self < o || (o.is_nan() && !self.is_nan()) }
        }
        impl Compute for Complex<$t> {
            const DTYPE: DType = DType::$complex;
            const ZERO: Self = Complex { re: 0.0, im: 0.0 };
            const ONE: Self = Complex { re: 1.0, im: 0.0 };
            #[inline]
            fn from_f64(x: f64) -> Self { Complex { re: x as $t, im: 0.0 } }
            #[inline]
            fn to_f64(self) -> f64 { self.re as f64 }
            #[inline]
            fn from_i128(x: i128) -> Self { Complex { re: x as $t, im: 0.0 } }
            #[inline]
            fn to_i128(self) -> i128 { self.re as i128 }
            #[inline]
            fn from_parts(re: f64, im: f64) -> Self { Complex { re: re as $t, im: im as $t } }
            #[inline]
            fn parts(self) -> (f64, f64) { (self.re as f64, self.im as f64) }
        }
        impl PartialOrdered for Complex<$t> {
            #[inline]
            fn before(&self, o: &Self) -> bool {
                self.re.before(&o.re) || (!o.re.before(&self.re) && self.im.before(&o.im))
            }
        }
    )*};
}

compute_real!(
    u8 = U8,
    u16 = U16,
    u32 = U32,
    u64 = U64,
    i8 = I8,
    i16 = I16,
    i32 = I32,
    i64 = I64,
    f32 = F32,
    f64 = F64
);
ordered_int!(u8, u16, u32, u64, i8, i16, i32, i64);
float!(f32 = C64, f64 = C128);

/// Binds `$C` to the [`Compute`] type of `$dtype` and evaluates the body once: every dispatch from
/// a runtime dtype to a typed loop uses this macro.
///
/// The class before the dtype limits the types: `any` covers all dtypes; `real` all but complex;
/// `int` bool and integers; `float` real floats; `field` floats and complex. A dtype outside the
/// class evaluates `$other`.
#[macro_export]
macro_rules! with_compute {
    (any $dtype:expr, $C:ident => $body:expr) => {
        match $dtype {
            $crate::DType::C64 => { type $C = $crate::Complex<f32>; $body }
            $crate::DType::C128 => { type $C = $crate::Complex<f64>; $body }
            d => $crate::with_compute!(real d, $C => $body, else unreachable!()),
        }
    };
    (real $dtype:expr, $C:ident => $body:expr, else $other:expr) => {
        match $dtype.compute_dtype() {
            $crate::DType::F64 => { type $C = f64; $body }
            $crate::DType::F32 => { type $C = f32; $body }
            d => $crate::with_compute!(int d, $C => $body, else $other),
        }
    };
    (int $dtype:expr, $C:ident => $body:expr, else $other:expr) => {
        match $dtype.compute_dtype() {
            $crate::DType::U8 => { type $C = u8; $body }
            $crate::DType::U16 => { type $C = u16; $body }
            $crate::DType::U32 => { type $C = u32; $body }
            $crate::DType::U64 => { type $C = u64; $body }
            $crate::DType::I8 => { type $C = i8; $body }
            $crate::DType::I16 => { type $C = i16; $body }
            $crate::DType::I32 => { type $C = i32; $body }
            $crate::DType::I64 => { type $C = i64; $body }
            _ => $other,
        }
    };
    (float $dtype:expr, $C:ident => $body:expr, else $other:expr) => {
        match $dtype.compute_dtype() {
            $crate::DType::F64 => { type $C = f64; $body }
            $crate::DType::F32 => { type $C = f32; $body }
            _ => $other,
        }
    };
    (field $dtype:expr, $C:ident => $body:expr, else $other:expr) => {
        match $dtype {
            $crate::DType::C64 => { type $C = $crate::Complex<f32>; $body }
            $crate::DType::C128 => { type $C = $crate::Complex<f64>; $body }
            d => $crate::with_compute!(float d, $C => $body, else $other),
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_bit_floats_round_to_nearest_even() {
        // Values from the OCP 8-bit floating point specification, tables 1 and 2.
        assert_eq!(F8E4M3FN::from_f32(448.0).to_f32(), 448.0);
        assert!(F8E4M3FN::from_f32(1e4).to_f32().is_nan());
        assert_eq!(
            F8E4M3FN::from_f32(0.0009765625),
            F8E4M3FN(0),
            "half of the smallest subnormal: the tie goes to even"
        );
        assert_eq!(F8E4M3FN::from_f32(0.002).to_f32(), 0.001953125);
        assert_eq!(F8E5M2::from_f32(57344.0).to_f32(), 57344.0);
        assert_eq!(F8E5M2::from_f32(-1e6).to_f32(), f32::NEG_INFINITY);
        assert_eq!(F8E4M3FN::from_f32(1.0625).to_f32(), 1.0);
        assert_eq!(F8E4M3FN::from_f32(1.1875).to_f32(), 1.25);
    }
}
