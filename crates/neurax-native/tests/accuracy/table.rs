//! The vectorized functions, their error bounds, references and test points. Shared by the tests of
//! the machine code and of the expansions for CPUs without fused multiply-add.

use neurax_ir::op::{Binary, Unary};

/// A unary function.
pub struct Row {
    pub f: Unary,
    /// The error bound in f32, in units of the last place.
    pub f32: f64,
    /// The error bound in f64, if it is vectorized.
    pub f64: Option<f64>,
    /// The reference in f64.
    pub want: fn(f64) -> f64,
}

const fn row(f: Unary, f32: f64, f64: Option<f64>, want: fn(f64) -> f64) -> Row {
    Row { f, f32, f64, want }
}

/// All unary functions.
pub const ROWS: [Row; 22] = [
    row(Unary::Exp, 2.0, Some(2.0), f64::exp),
    row(Unary::Log, 2.0, Some(2.0), f64::ln),
    row(Unary::Tanh, 2.0, Some(2.0), f64::tanh),
    row(Unary::Logistic, 2.0, Some(2.0), logistic),
    row(Unary::Expm1, 4.0, Some(2.0), f64::exp_m1),
    row(Unary::Log1p, 4.0, Some(2.0), f64::ln_1p),
    row(Unary::Sin, 4.0, Some(4.0), f64::sin),
    row(Unary::Cos, 4.0, Some(4.0), f64::cos),
    row(Unary::Tan, 4.0, Some(4.0), f64::tan),
    row(Unary::Erf, 4.0, None, libm::erf),
    row(Unary::Erfc, 4.0, None, libm::erfc),
    row(Unary::ErfInv, 4.0, Some(4.0), |x| Unary::ErfInv.of_f64(x)),
    row(Unary::Rsqrt, 4.0, Some(2.0), |x| 1.0 / x.sqrt()),
    row(Unary::Cbrt, 4.0, None, f64::cbrt),
    row(Unary::Asin, 4.0, None, f64::asin),
    row(Unary::Acos, 4.0, None, f64::acos),
    row(Unary::Atan, 4.0, None, f64::atan),
    row(Unary::Sinh, 4.0, Some(4.0), f64::sinh),
    row(Unary::Cosh, 4.0, Some(4.0), f64::cosh),
    row(Unary::Asinh, 4.0, Some(4.0), libm::asinh),
    row(Unary::Acosh, 4.0, Some(4.0), acosh),
    row(Unary::Atanh, 4.0, Some(4.0), libm::atanh),
];

/// The binary functions, in f32.
pub const PAIRS: [(Binary, f64, fn(f64, f64) -> f64); 2] =
    [(Binary::Pow, 4.0, f64::powf), (Binary::Atan2, 4.0, f64::atan2)];

/// The error of the references themselves in f64, in units of the last place.
pub const REFERENCE: f64 = 1.0;

/// Returns NaN below 1, where libm's has values.
fn acosh(x: f64) -> f64 {
    if x < 1.0 { f64::NAN } else { libm::acosh(x) }
}

/// Computes the logistic function such that the rounding error of the quotient is small.
fn logistic(x: f64) -> f64 {
    let e = (-x.abs()).exp();
    let q = e / (1.0 + e);
    if x < 0.0 { e - e * q } else { 1.0 - q }
}

/// The points at which something changes: ends of ranges, thresholds of expansions, zeros.
const SPECIAL: [f64; 50] = [
    0.0,
    1.0,
    2.0,
    3.0,
    4.0,
    0.5,
    0.25,
    59.0 / 64.0,
    std::f64::consts::SQRT_2,
    std::f64::consts::FRAC_1_SQRT_2,
    std::f64::consts::LN_2,
    0.3465735902799727,
    0.55,
    1.0397207708399179,
    std::f64::consts::FRAC_PI_4,
    std::f64::consts::FRAC_PI_2,
    std::f64::consts::PI,
    2.356194490192345,
    8192.0,
    268435456.0,
    8388608.0,
    16777216.0,
    9007199254740992.0,
    800.0,
    100000.0,
    1000000.0,
    5.0,
    8.3,
    9.02,
    10.0,
    10.05,
    10.5,
    17.33,
    20.0,
    37.0,
    40.0,
    87.33654,
    88.722839,
    89.0,
    89.41599,
    89.5,
    103.97208,
    104.0,
    708.3964185322641,
    709.782712893384,
    710.4758600739439,
    745.1332191019411,
    746.0,
    2.44140625e-4,
    7.450580596923828e-9,
];

/// Returns bit patterns of `bits`-bit floats to test a function at: a prime stride over all of
/// them, the neighbourhoods of special numbers and of multiples of pi/2, and evenly spread moderate
/// numbers.
pub fn points(bits: u32) -> Vec<u64> {
    let stride = if bits == 32 { 42_767 } else { 184_467_440_737_133 };
    let mut out: Vec<u64> = (0u64..)
        .map_while(|i| i.checked_mul(stride))
        .take_while(|&p| bits == 64 || p >> 32 == 0)
        .collect();
    let pattern = |x: f64| if bits == 32 { (x as f32).to_bits() as u64 } else { x.to_bits() };
    let top = 1u64 << (bits - 1);
    let mut both = |p: u64| out.extend([p, p ^ top]);
    let ends = [
        pattern(f64::INFINITY),
        pattern(f64::NAN),
        pattern(f64::MIN_POSITIVE),
        top >> 1,
        if bits == 32 { 0x0080_0000 } else { 1 << 52 },
    ];
    for p in SPECIAL.map(pattern).into_iter().chain(ends) {
        (p.saturating_sub(64)..p + 64).filter(|q| *q < top).for_each(&mut both);
    }
    for k in 1..70_000u32 {
        let p = pattern(k as f64 * std::f64::consts::FRAC_PI_2);
        if k < 3000 || k % 13 == 0 {
            (p - 1..=p + 1).for_each(&mut both);
        }
    }
    // Just below 1, where inverse functions have poles, and around the ends of the polynomials.
    for i in 0..20_000 {
        both(pattern(1.0 - (-36.8 * i as f64 / 20_000.0).exp()));
    }
    for i in 0..20_000 {
        both(pattern(12.0 * i as f64 / 20_000.0));
        both(pattern(750.0 * i as f64 / 20_000.0));
    }
    out
}

/// The ends of the range and of domains, where results must be of the reference's class: NaN,
/// infinite, zero, or none of these.
pub fn corners(bits: u32) -> Vec<u64> {
    let (most, least) = if bits == 32 { (f32::MAX as f64, 1e-45) } else { (f64::MAX, 5e-324) };
    let pattern = |x: f64| if bits == 32 { (x as f32).to_bits() as u64 } else { x.to_bits() };
    let sizes = [0.0, least, 1.0, 2.0, 120.0, 1000.0, most, f64::INFINITY];
    sizes.into_iter().flat_map(|x| [x, -x]).chain([f64::NAN]).map(pattern).collect()
}

/// Returns true if both are NaN, infinite with equal signs, zero with equal signs, or none of
/// these.
pub fn same_class(x: f64, y: f64) -> bool {
    use std::num::FpCategory::*;
    let class = |x: f64| match x.classify() {
        Subnormal | Normal => (Normal, false),
        Nan => (Nan, false),
        other => (other, x.is_sign_negative()),
    };
    class(x) == class(y)
}

/// Returns pairs of bit patterns of f32: all exponents against each other and, for powers, results
/// over the whole range.
pub fn pairs() -> Vec<(u32, u32)> {
    let mut out: Vec<(u32, u32)> = (0..200_000u32)
        .map(|i| (i.wrapping_mul(2_654_435_761), i.wrapping_mul(2_246_822_519).rotate_left(7)))
        .collect();
    for i in 0..200_000u32 {
        let x =
            f32::from_bits(0x3f80_0000 - (40 << 23) + i.wrapping_mul(2_654_435_761) % (80 << 23));
        let size = (i.wrapping_mul(40_503) % 65_536) as f32 / 65_536.0 * 300.0 - 155.0;
        out.push((x.to_bits(), (size / x.log2()).to_bits()));
        let near = 1.0 + (i as f32 - 100_000.0) / 1e6;
        out.push((near.to_bits(), (size / near.log2()).to_bits()));
    }
    let ends = [
        0.0,
        f32::MIN_POSITIVE,
        1e-45,
        0.5,
        1.0,
        1.5,
        2.0,
        3.0,
        16_777_215.0,
        16_777_216.0,
        1e10,
        f32::MAX,
        f32::INFINITY,
        f32::NAN,
    ];
    let all = || ends.into_iter().flat_map(|x| [x, -x]);
    out.extend(all().flat_map(|x| all().map(move |y| (x.to_bits(), y.to_bits()))));
    out
}

/// Returns the error of a result in units of the last place of f32.
pub fn off_f32(have: f32, want: f64) -> f64 {
    let rounded = want as f32;
    if have.is_nan() || rounded.is_nan() || have == 0.0 && rounded == 0.0 || want.is_infinite() {
        return if same_class(have as f64, rounded as f64) { 0.0 } else { f64::INFINITY };
    }
    // Infinity counts as the next number after the largest: an overflow near it is a small error.
    let number =
        |x: f32| if x.is_infinite() { 2f64.powi(128).copysign(x as f64) } else { x as f64 };
    let want = if want.abs() > 2f64.powi(128) { number(rounded) } else { want };
    (number(have) - want).abs() / place(want.abs(), -126, 23)
}

/// Returns the error of a result in f64, in steps between neighbouring numbers.
pub fn off_f64(have: f64, want: f64) -> f64 {
    let number = have != 0.0
        && want != 0.0
        && !have.is_nan()
        && !want.is_nan()
        && have.is_sign_negative() == want.is_sign_negative();
    match number {
        true => have.to_bits().abs_diff(want.to_bits()) as f64,
        false if same_class(have, want) => 0.0,
        false => f64::INFINITY,
    }
}

/// Returns the unit of the last place of a number, with an exponent of at least `low`.
fn place(x: f64, low: i32, digits: i32) -> f64 {
    let e = ((x.to_bits() >> 52) as i32 - 1023).clamp(low, 127);
    2f64.powi(e - digits)
}
