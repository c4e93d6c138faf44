//! The numbers of columns.

use bytemuck::Pod;
use neurax_tensor::Element;
use polars::prelude::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, NumericNative,
    PolarsNumericType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

/// A number of a column that is an element of a tensor as well.
pub(crate) trait ColumnNumber: Element + Pod + NumericNative {
    /// The type of Polars with these numbers.
    type Column: PolarsNumericType<Native = Self>;

    /// Returns the number that is `value`, or none if there is none: a float is rounded, but not to
    /// an infinity; an integer is not.
    fn of(value: f64) -> Option<Self>;

    /// Returns the nearest f32.
    fn nearest_f32(self) -> f32;
}

macro_rules! column_numbers {
    ($($number:ty, $column:ty, $is_float:literal;)*) => {$(
        impl ColumnNumber for $number {
            type Column = $column;

            fn of(value: f64) -> Option<$number> {
                let number = value as $number;
                // 2^63 is converted to the largest i64, and that back to 2^63.
                let is_exact = number as f64 == value && (number as i128 == value as i128);
                let is_rounded = $is_float && (number as f64).is_finite() == value.is_finite();
                (is_rounded || is_exact).then_some(number)
            }

            fn nearest_f32(self) -> f32 {
                self as f32
            }
        }
    )*};
}

column_numbers! {
    u8, UInt8Type, false;
    u16, UInt16Type, false;
    u32, UInt32Type, false;
    u64, UInt64Type, false;
    i8, Int8Type, false;
    i16, Int16Type, false;
    i32, Int32Type, false;
    i64, Int64Type, false;
    f32, Float32Type, true;
    f64, Float64Type, true;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_exact() {
        assert_eq!((u8::of(255.0), u8::of(256.0), u8::of(-1.0)), (Some(255), None, None));
        assert_eq!((i32::of(1.5), i64::of(f64::NAN), i64::of(2f64.powi(63))), (None, None, None));
        assert_eq!((i64::of(-(2f64.powi(63))), u64::of(f64::INFINITY)), (Some(i64::MIN), None));
        assert_eq!((f32::of(0.1), f64::of(0.1)), (Some(0.1), Some(0.1)));
        assert!(f32::of(f64::NAN).unwrap().is_nan());
    }

    #[test]
    fn floats_are_not_rounded_to_infinities() {
        assert_eq!((f32::of(1e300), f32::of(-1e300), f64::of(1e300)), (None, None, Some(1e300)));
        assert_eq!(f32::of(f64::INFINITY), Some(f32::INFINITY));
    }
}
