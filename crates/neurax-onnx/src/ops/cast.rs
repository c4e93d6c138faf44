//! Conversions: of numbers, of strings to numbers and back, and of bit patterns.
//!
//! Strings are read and written on the host. A number becomes the string that ONNX Runtime writes:
//! f32 and narrower floats with eight digits, `100`, `0.1`, `1e-06`; f64 with all of its digits;
//! `NaN`, `INF` and `-INF`.

use super::constants::dtype_attribute;
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::dtype::ElementType;
use crate::operator::{Operator, op};
use crate::value::{OnnxValue, Strings};
use neurax_tensor::ir::FloatFormat;
use neurax_tensor::{DType, Literal, Tensor};

pub(crate) const OPERATORS: &[Operator] = &[
    op("Cast", &[1, 6, 9, 13, 19, 21, 23, 24, 25, 28], 1..=1, cast).attributes(&[
        "to",
        "saturate",
        "round_mode",
    ]),
    op("CastLike", &[15, 19, 21, 23, 24, 25], 2..=2, cast_like)
        .attributes(&["saturate", "round_mode"]),
    op("BitCast", &[26], 1..=1, bit_cast).attributes(&["to"]),
];

/// The digits of a string of an f32.
const DIGITS_OF_F32: usize = 8;
/// The largest number of digits of an f64 without an exponent.
const DIGITS_OF_F64: usize = 17;

/// Converts to the type `to`, which is a name before version 6 and a number from it on.
fn cast(c: &NodeCall) -> RuleOutcome {
    let target = if c.version() < 6 {
        let name = c.required("to", c.str("to")?)?;
        ElementType::of_name(&name).ok_or(name)
    } else {
        let number = c.required("to", c.int("to")?)?;
        ElementType::of_number(number).ok_or(number.to_string())
    };
    match target {
        Ok(target) => cast_to(c, target),
        Err(other) => fail(format!("expected a dtype as `to`, got {other}")),
    }
}

fn cast_like(c: &NodeCall) -> RuleOutcome {
    match c.value(1)? {
        OnnxValue::Tensor(like) => cast_to(c, ElementType::Number(like.dtype())),
        OnnxValue::Strings(_) => cast_to(c, ElementType::String),
        other => fail(format!("expected a tensor as input 1, got {}", other.kind())),
    }
}

fn cast_to(c: &NodeCall, target: ElementType) -> RuleOutcome {
    let (saturate, rounding) = (c.flag("saturate", true)?, ScaleRounding::of(c)?);
    one(match (c.value(0)?, target) {
        (OnnxValue::Strings(x), ElementType::String) => OnnxValue::Strings(x.clone()),
        (OnnxValue::Strings(x), ElementType::Number(dtype)) => parsed(x, dtype)?.into(),
        (OnnxValue::Tensor(_), ElementType::String) => written(&c.known(0)?)?.into(),
        (OnnxValue::Tensor(x), ElementType::Number(DType::F8E8M0FNU)) => {
            to_powers_of_two(x, saturate, rounding).into()
        }
        (OnnxValue::Tensor(x), ElementType::Number(dtype)) => converted(x, dtype, saturate).into(),
        (other, _) => return fail(format!("expected a tensor as input 0, got {}", other.kind())),
    })
}

/// Reads the bits of the elements as numbers of another dtype of the same width.
fn bit_cast(c: &NodeCall) -> RuleOutcome {
    let x = c.x(0)?;
    let from = x.dtype();
    let to = c.required("to", dtype_attribute(c, "to")?)?;
    if from.bits() != to.bits() {
        return fail(format!("expected a dtype of {} bits as `to`, got {to}", from.bits()));
    }
    one(match (from, to) {
        _ if from == to => x,
        (DType::Bool, _) => x.to(DType::U8).bitcast(to),
        (_, DType::Bool) => x.bitcast(DType::U8).to(DType::Bool),
        // The real part is the first half in memory, the low one of a little-endian number.
        (DType::C64, _) => {
            let [low, high] = [x.real(), x.imag()].map(|x| x.bitcast(DType::U32).to(DType::U64));
            (low | high.left_shift(32)).bitcast(to)
        }
        (_, DType::C64) => {
            let x = x.bitcast(DType::U64);
            let half = |x: &Tensor| x.to(DType::U32).bitcast(DType::F32);
            half(&x).complex(half(&x.right_shift(32)))
        }
        _ => x.bitcast(to),
    })
}

/// Converts numbers as `Cast` does: integers and floats wrap around in narrower integers, floats
/// beyond the range of a dtype of 8 bits become its largest number if `saturate` is set.
pub(crate) fn converted(x: &Tensor, dtype: DType, saturate: bool) -> Tensor {
    let from = x.dtype();
    if from == dtype {
        return x.clone();
    }
    if dtype.is_int() && dtype.bits() < 32 && FloatFormat::of(from).is_some() {
        return x.to(DType::I32).to(dtype);
    }
    match FloatFormat::of(dtype) {
        Some(format) if saturate && is_f8(dtype) => {
            let x = if from.is_float() && from.bits() > 8 { x.clone() } else { x.to(DType::F32) };
            x.clip(-format.max(), format.max()).to(dtype)
        }
        _ => x.to(dtype),
    }
}

/// Returns true for the floats of 8 bits with signs, the dtypes for which `saturate` has a meaning.
pub(crate) fn is_f8(dtype: DType) -> bool {
    use DType::*;
    matches!(dtype, F8E4M3FN | F8E4M3FNUZ | F8E5M2 | F8E5M2FNUZ)
}

/// The rounding of a number between two powers of two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ScaleRounding {
    Up,
    Down,
    Nearest,
}

impl ScaleRounding {
    fn of(c: &NodeCall) -> Result<ScaleRounding, RuleFailure> {
        match c.str_or("round_mode", "up")?.as_str() {
            "up" => Ok(ScaleRounding::Up),
            "down" => Ok(ScaleRounding::Down),
            "nearest" => Ok(ScaleRounding::Nearest),
            other => fail(format!("expected `round_mode` up, down or nearest, got {other}")),
        }
    }
}

/// Converts the absolute values of numbers to powers of two, f8e8m0fnu.
///
/// The code of a power is its exponent plus 127, which is the exponent field of an f32: the code of
/// a number follows from its bits. The first power, `2^-127`, is a subnormal f32. Numbers out of
/// range become the nearest power if `saturate` is set, else NaN.
fn to_powers_of_two(x: &Tensor, saturate: bool, rounding: ScaleRounding) -> Tensor {
    const FRACTION: i32 = 0x7f_ffff;
    const HALF: i32 = 0x40_0000;
    const NAN: i32 = 255;
    if x.dtype() == DType::F8E8M0FNU {
        return x.clone();
    }
    let x = x.to(DType::F32);
    let bits = x.bitcast(DType::I32) & i32::MAX;
    let (field, fraction) = (bits.right_shift(23), &bits & FRACTION);
    let is_subnormal = field.equal(0);
    // The fraction above which a number is rounded up.
    let bounds = match rounding {
        ScaleRounding::Up => Some((0, HALF)),
        ScaleRounding::Nearest => Some((HALF - 1, HALF + HALF / 2 - 1)),
        ScaleRounding::Down => None,
    };
    let code = bounds.map_or(field.clone(), |(normal, subnormal)| {
        let bound = is_subnormal.select(subnormal, field.full_like(normal));
        &field + fraction.gt(bound).to(DType::I32)
    });
    let code = match saturate {
        true => x.is_nan().select(NAN, code.minimum(NAN - 1)),
        false => is_subnormal.logical_and(fraction.lt(HALF)).select(NAN, code.minimum(NAN)),
    };
    code.to(DType::U8).bitcast(DType::F8E8M0FNU)
}

/// Reads strings as numbers.
fn parsed(x: &Strings, dtype: DType) -> Result<Tensor, RuleFailure> {
    let failed = |s: &String| format!("expected a number of {dtype}, got the string {s:?}");
    if dtype.is_int() {
        // Numbers out of range wrap around, as those of other conversions do.
        let int = |s: &String| whole(s).map_or_else(|| fail(failed(s)), |n| Ok(n as i64));
        let ints: Vec<i64> = x.elements().iter().map(int).collect::<Result<_, _>>()?;
        return Ok(Tensor::from_vec(ints, x.shape()).to(dtype));
    }
    if dtype.is_complex() {
        return fail("complex numbers cannot be read from strings");
    }
    // A number is rounded once: an f32 is not rounded to f64 before.
    let float = |s: &String| match dtype {
        DType::F32 => s.trim().parse::<f32>().ok().map(f64::from),
        _ => s.trim().parse::<f64>().ok(),
    };
    let number = |s| float(s).map_or_else(|| fail(failed(s)), Ok);
    let floats: Vec<f64> = x.elements().iter().map(number).collect::<Result<_, _>>()?;
    if FloatFormat::of(dtype).is_none() {
        return Ok(Tensor::from_vec(floats, x.shape()).to(dtype));
    }
    Ok(Literal::from_f64s(dtype, x.shape(), &floats).into())
}

/// Reads an integer, also one that is written as a float: its fraction is left out.
fn whole(s: &str) -> Option<i128> {
    let s = s.trim();
    let of_float = || s.parse::<f64>().ok().filter(|x| x.is_finite()).map(|x| x as i128);
    s.parse::<i128>().ok().or_else(of_float)
}

/// Writes known numbers as strings.
fn written(x: &Tensor) -> Result<Strings, RuleFailure> {
    let dtype = x.dtype();
    let strings = if let Some(range) = dtype.int_range() {
        match *range.start() {
            0 => x.to(DType::U64).to_vec::<u64>()?.iter().map(u64::to_string).collect(),
            _ => x.to(DType::I64).to_vec::<i64>()?.iter().map(i64::to_string).collect(),
        }
    } else if dtype.is_complex() {
        return fail("complex numbers cannot be written as strings");
    } else {
        let digits = (dtype != DType::F64).then_some(DIGITS_OF_F32);
        x.to_literal()?.to_f64s().into_iter().map(|x| text(x, digits)).collect()
    };
    Ok(Strings::new(x.shape().to_vec(), strings)?)
}

/// Writes a number with at most this many digits, or all that tell it from others.
fn text(x: f64, digits: Option<usize>) -> String {
    match x {
        x if x.is_nan() => return "NaN".into(),
        f64::INFINITY => return "INF".into(),
        f64::NEG_INFINITY => return "-INF".into(),
        _ => (),
    }
    let scientific = match digits {
        Some(digits) => format!("{x:.*e}", digits - 1),
        None => format!("{x:e}"),
    };
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..digits.unwrap_or(DIGITS_OF_F64) as i32).contains(&exponent) {
        return match digits {
            Some(digits) => trimmed(&format!("{x:.*}", (digits as i32 - 1 - exponent) as usize)),
            None => format!("{x}"),
        };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs())
}

/// Returns a number without zeros at the end of its fraction.
fn trimmed(number: &str) -> String {
    match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.').into(),
        false => number.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_in_onnx_runtime() {
        let f32s = [-0.0, 0.1, 1e-5, 123456789.0, 1e8, 1.0 / 3.0, 16777216.0, 1e-4, 12345.678f32];
        let strings = f32s.map(|x| text(x.into(), Some(DIGITS_OF_F32)));
        let want = [
            "-0",
            "0.1",
            "9.9999997e-06",
            "1.2345679e+08",
            "1e+08",
            "0.33333334",
            "16777216",
            "9.9999997e-05",
            "12345.678",
        ];
        assert_eq!(strings, want);
        assert_eq!(text(1.0 / 3.0, None), "0.3333333333333333");
        assert_eq!([1e16, 1e17, 2.5].map(|x| text(x, None)), ["10000000000000000", "1e+17", "2.5"]);
        assert_eq!([f64::NAN, f64::NEG_INFINITY].map(|x| text(x, None)), ["NaN", "-INF"]);
    }

    #[test]
    fn strings_are_read_as_numbers() {
        let s = |x: &[&str]| Strings::new([x.len()], x.iter().map(|s| s.to_string()).collect());
        let floats = s(&["1e3", "-INF", " nan", "0.1"]).unwrap();
        let got: Vec<f32> = parsed(&floats, DType::F32).unwrap().to_vec().unwrap();
        assert!(got[..2] == [1000.0, f32::NEG_INFINITY] && got[2].is_nan() && got[3] == 0.1);
        let ints = s(&["300", "-3", "100.5"]).unwrap();
        let got = parsed(&ints, DType::U8).unwrap();
        assert_eq!(got.to_vec::<u8>().unwrap(), [44, 253, 100]);
        assert!(parsed(&s(&["ten"]).unwrap(), DType::I32).is_err());
    }

    #[test]
    fn numbers_are_rounded_to_powers_of_two() {
        let x = [1.0, 1.4, 1.5, 1.6, 2f32.powi(-127), 3e38, f32::INFINITY, f32::NAN, 0.0];
        let codes = |saturate, rounding| {
            let y = to_powers_of_two(&Tensor::from_slice(&x, x.len()), saturate, rounding);
            y.bitcast(DType::U8).to_vec::<u8>().unwrap()
        };
        assert_eq!(codes(true, ScaleRounding::Up), [127, 128, 128, 128, 0, 254, 254, 255, 0]);
        assert_eq!(codes(true, ScaleRounding::Down), [127, 127, 127, 127, 0, 254, 254, 255, 0]);
        assert_eq!(
            codes(false, ScaleRounding::Nearest),
            [127, 127, 128, 128, 0, 255, 255, 255, 255]
        );
    }
}
