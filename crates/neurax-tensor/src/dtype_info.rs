//! Limits of dtypes that are known at run time, and conversions between dtypes.

use crate::{DType, Error, Result};
use neurax_ir::{FloatFormat, Kind};

/// The limits of a float dtype: [`finfo`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FloatInfo {
    /// The dtype.
    pub dtype: DType,
    /// The bits of a number.
    pub bits: usize,
    /// The bits of the exponent.
    pub exponent_bits: u32,
    /// The bits of the mantissa that are stored.
    pub mantissa_bits: u32,
    /// The difference between 1 and the next larger number.
    pub eps: f64,
    /// The largest finite number.
    pub max: f64,
    /// The smallest finite number: `-max`, or the smallest positive number if there are no signs.
    pub min: f64,
    /// The smallest positive number with all digits, NumPy's `tiny`.
    pub smallest_normal: f64,
    /// The smallest positive number.
    pub smallest_subnormal: f64,
    /// The number of decimal digits that every number keeps.
    pub precision: u32,
}

/// The limits of an integer dtype: [`iinfo`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntInfo {
    /// The dtype.
    pub dtype: DType,
    /// The bits of a number.
    pub bits: usize,
    /// The smallest number.
    pub min: i128,
    /// The largest number.
    pub max: i128,
}

/// Returns the limits of a float dtype, and for a complex dtype those of its parts. Follows
/// `jax.numpy.finfo`.
///
/// # Errors
/// For bool and integers.
///
/// ```
/// use neurax::{finfo, prelude::*};
/// let info = finfo(BF16)?;
/// assert_eq!((info.eps, info.max), (0.0078125, 3.3895313892515355e38));
/// assert!(finfo(I32).unwrap_err().to_string().contains("use `iinfo`"));
/// # Ok::<(), Error>(())
/// ```
pub fn finfo(dtype: DType) -> Result<FloatInfo> {
    let dtype = dtype.real();
    let Some(format) = FloatFormat::of(dtype) else {
        let why = format!("expected a float dtype, got {dtype}; use `iinfo` for integers");
        return Err(Error::new("finfo", why));
    };
    Ok(FloatInfo {
        dtype,
        bits: format.bits() as usize,
        exponent_bits: format.exponent_bits,
        mantissa_bits: format.mantissa_bits,
        eps: format.epsilon(),
        max: format.max(),
        min: format.min(),
        smallest_normal: format.smallest_normal(),
        smallest_subnormal: format.smallest_subnormal(),
        precision: (f64::from(format.mantissa_bits) * 2f64.log10()) as u32,
    })
}

/// Returns the limits of an integer dtype. Follows `jax.numpy.iinfo`.
///
/// # Errors
/// For bool, floats and complex numbers.
///
/// ```
/// use neurax::{iinfo, prelude::*};
/// let info = iinfo(I8)?;
/// assert_eq!((info.min, info.max, info.bits), (-128, 127, 8));
/// # Ok::<(), Error>(())
/// ```
pub fn iinfo(dtype: DType) -> Result<IntInfo> {
    let Some(range) = dtype.int_range() else {
        let why = format!("expected an integer dtype, got {dtype}; use `finfo` for floats");
        return Err(Error::new("iinfo", why));
    };
    Ok(IntInfo { dtype, bits: dtype.bits(), min: *range.start(), max: *range.end() })
}

/// Returns true if every value of `from` can be converted to `to` without loss.
///
/// As in NumPy, f64 and c128 count as large enough for 64-bit integers, although they do not hold
/// all of them. Follows `jax.numpy.can_cast`.
///
/// ```
/// use neurax::{can_cast, prelude::*};
/// assert!(can_cast(I16, F32) && can_cast(F16, F32) && can_cast(BOOL, U8));
/// assert!(!can_cast(I32, F32) && !can_cast(F16, BF16) && !can_cast(I8, U8));
/// ```
pub fn can_cast(from: DType, to: DType) -> bool {
    if from == to || from == DType::Bool {
        return true;
    }
    if from.is_complex() && !to.is_complex() {
        return false;
    }
    match (
        from.int_range(),
        to.int_range(),
        FloatFormat::of(from.real()),
        FloatFormat::of(to.real()),
    ) {
        (Some(from), Some(to), ..) => to.contains(from.start()) && to.contains(from.end()),
        (Some(_), None, _, Some(format)) => {
            let sign = usize::from(from.kind() == Kind::Signed);
            let exact = format.mantissa_bits as usize + usize::from(format.has_zero);
            to.real() == DType::F64 || from.bits() - sign <= exact
        }
        (None, None, Some(from), Some(to)) => to.holds(from),
        _ => false,
    }
}

/// Returns the dtype to which two dtypes promote in an operation. Follows
/// `jax.numpy.promote_types`.
///
/// # Errors
/// When there is no common dtype, as for integers below 8 bits with others.
///
/// ```
/// use neurax::{prelude::*, promote_types};
/// assert_eq!(promote_types(I32, BF16)?, BF16);
/// assert_eq!(promote_types(F16, BF16)?, F32);
/// # Ok::<(), Error>(())
/// ```
pub fn promote_types(a: DType, b: DType) -> Result<DType> {
    a.promote(b).ok_or_else(|| {
        let why = format!("{a} and {b} have no common dtype; convert one of them with `to`");
        Error::new("promote_types", why)
    })
}

/// Returns the dtype to which all of `dtypes` promote in an operation. Follows
/// `jax.numpy.result_type`.
///
/// # Errors
/// When there is no common dtype, or no dtype at all.
///
/// ```
/// use neurax::{prelude::*, result_type};
/// assert_eq!(result_type([U8, I8, F32])?, F32);
/// # Ok::<(), Error>(())
/// ```
pub fn result_type(dtypes: impl IntoIterator<Item = DType>) -> Result<DType> {
    let mut dtypes = dtypes.into_iter();
    let first = dtypes
        .next()
        .ok_or_else(|| Error::new("result_type", "expected at least one dtype, got none"))?;
    dtypes.try_fold(first, promote_types)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Scalar, Tensor};

    /// Returns the number after it was rounded to `dtype`.
    fn rounded(x: f64, dtype: DType) -> f64 {
        Tensor::from(Scalar::Float(x).literal(dtype)).to(DType::F64).item().unwrap()
    }

    #[test]
    fn limits_are_those_of_the_numbers() {
        for d in DType::ALL.into_iter().filter(|d| d.is_float()) {
            let info = finfo(d).unwrap();
            assert_eq!(1 + info.exponent_bits as usize + info.mantissa_bits as usize, d.bits());
            for x in [info.max, info.min, info.smallest_normal, 1.0 + info.eps] {
                assert_eq!(rounded(x, d), x, "{d}");
            }
            assert_eq!(rounded(1.0 + info.eps * 0.49, d), 1.0, "{d}");
            assert!(!rounded(info.max * 1.2, d).is_finite() || info.max * 1.2 > f64::MAX, "{d}");
        }
        assert_eq!(finfo(DType::C64).unwrap(), finfo(DType::F32).unwrap());
        let info = finfo(DType::F64).unwrap();
        assert_eq!((info.eps, info.max), (f64::EPSILON, f64::MAX));
        assert_eq!((info.smallest_normal, info.precision), (f64::MIN_POSITIVE, 15));
        assert_eq!(info.smallest_subnormal, f64::from_bits(1));
        assert_eq!(finfo(DType::F32).unwrap().precision, 6);
    }

    /// The limits of `ml_dtypes` 0.6: bits, eps, max, min, smallest normal and smallest subnormal.
    const SMALL: [(DType, usize, [f64; 5]); 11] = [
        (DType::F4E2M1FN, 4, [0.5, 6.0, -6.0, 1.0, 0.5]),
        (DType::F6E2M3FN, 6, [0.125, 7.5, -7.5, 1.0, 0.125]),
        (DType::F6E3M2FN, 6, [0.25, 28.0, -28.0, 0.25, 0.0625]),
        (DType::F8E3M4, 8, [0.0625, 15.5, -15.5, 0.25, 0.015625]),
        (DType::F8E4M3, 8, [0.125, 240.0, -240.0, 0.015625, 0.001953125]),
        (DType::F8E4M3B11FNUZ, 8, [0.125, 30.0, -30.0, 0.0009765625, 0.0001220703125]),
        (DType::F8E4M3FN, 8, [0.125, 448.0, -448.0, 0.015625, 0.001953125]),
        (DType::F8E4M3FNUZ, 8, [0.125, 240.0, -240.0, 0.0078125, 0.0009765625]),
        (DType::F8E5M2, 8, [0.25, 57344.0, -57344.0, 6.103515625e-05, 1.52587890625e-05]),
        (DType::F8E5M2FNUZ, 8, [0.25, 57344.0, -57344.0, 3.0517578125e-05, 7.62939453125e-06]),
        (
            DType::F8E8M0FNU,
            8,
            [
                1.0,
                1.7014118346046923e38,
                5.877471754111438e-39,
                5.877471754111438e-39,
                5.877471754111438e-39,
            ],
        ),
    ];

    #[test]
    fn limits_of_small_floats_are_those_of_ml_dtypes() {
        for (d, bits, limits) in SMALL {
            let i = finfo(d).unwrap();
            let have = [i.eps, i.max, i.min, i.smallest_normal, i.smallest_subnormal];
            assert_eq!((i.bits, have), (bits, limits), "{d}");
        }
    }

    #[test]
    fn integers_and_casts_are_numpys() {
        for d in DType::ALL.into_iter().filter(|d| d.is_int()) {
            let info = iinfo(d).unwrap();
            assert_eq!(Some(info.min..=info.max), d.int_range());
        }
        assert!(iinfo(DType::Bool).is_err() && finfo(DType::Bool).is_err());
        use DType::*;
        let casts = [(U8, F16), (I8, BF16), (I64, F64), (F32, C64), (F8E5M2, F16), (U32, I64)];
        assert!(casts.iter().all(|&(a, b)| can_cast(a, b)));
        let others = [(I16, F16), (F64, C64), (C64, F64), (F32, I64), (I8, Bool), (U64, I64)];
        assert!(others.iter().all(|&(a, b)| !can_cast(a, b)));
        let small = [(F8E4M3, F16), (F4E2M1FN, F8E5M2FNUZ), (I2, F4E2M1FN), (F8E8M0FNU, BF16)];
        assert_eq!(small.map(|(a, b)| can_cast(a, b)), [true, false, true, true]);
        assert!(!can_cast(U1, F8E8M0FNU) && !can_cast(F8E8M0FNU, F16) && can_cast(I1, I2));
        assert!(result_type([]).is_err() && promote_types(U4, I8).is_err());
    }
}
