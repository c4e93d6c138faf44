//! Parts that the incomplete gamma and beta functions share: dual numbers, continued fractions,
//! integrals of a tail of a density, and parts of Stirling's series.

use std::ops::{Add, Div, Mul, Sub};

/// A number with its derivative by a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Dual {
    pub value: f64,
    pub slope: f64,
}

impl Dual {
    pub const ONE: Dual = Dual { value: 1.0, slope: 0.0 };

    pub fn new(value: f64, slope: f64) -> Dual {
        Dual { value, slope }
    }

    /// Returns true if adding `step` to the number has no effect in f64.
    pub fn absorbs(self, step: Dual) -> bool {
        let absorbs = |x: f64, dx: f64| dx.abs() <= f64::EPSILON / 4.0 * x.abs();
        absorbs(self.value, step.value) && absorbs(self.slope, step.slope)
    }
}

impl Add for Dual {
    type Output = Dual;
    fn add(self, o: Dual) -> Dual {
        Dual::new(self.value + o.value, self.slope + o.slope)
    }
}

impl Sub for Dual {
    type Output = Dual;
    fn sub(self, o: Dual) -> Dual {
        Dual::new(self.value - o.value, self.slope - o.slope)
    }
}

impl Mul for Dual {
    type Output = Dual;
    fn mul(self, o: Dual) -> Dual {
        Dual::new(self.value * o.value, self.slope * o.value + self.value * o.slope)
    }
}

impl Div for Dual {
    type Output = Dual;
    fn div(self, o: Dual) -> Dual {
        let value = self.value / o.value;
        Dual::new(value, (self.slope - value * o.slope) / o.value)
    }
}

/// Computes `1 / (b0 + a1 / (b1 + a2 / (b2 + ..)))` by Lentz's method, as Thompson and Barnett
/// modified it (<https://doi.org/10.1016/0021-9991(86)90046-X>). `part(i)` returns `(a_i, b_i)`.
pub(super) fn continued_fraction(b0: Dual, part: impl Fn(f64) -> (Dual, Dual)) -> Dual {
    const MOST_PARTS: u32 = 1_000_000;
    let nonzero = |x: Dual| if x.value == 0.0 { Dual::new(1e-300, x.slope) } else { x };
    let b0 = nonzero(b0);
    let (mut c, mut d) = (Dual::new(1e300, 0.0), Dual::ONE / b0);
    let mut h = d;
    for i in 1..MOST_PARTS {
        let (a, b) = part(f64::from(i));
        d = Dual::ONE / nonzero(a * d + b);
        c = nonzero(b + a / c);
        let next = h * (c * d);
        let step = next - h;
        h = next;
        if h.absorbs(step) || h.value.is_nan() {
            break;
        }
    }
    h
}

/// Integrates `e^-g(s) (1, w(s))` over `s` from 0 to `end`, where `g` has become so large that the
/// rest does not count. `g` grows from 0 like a parabola or a line, so that one Gauss-Legendre rule
/// has all digits.
pub(super) fn integral(end: f64, g: impl Fn(f64) -> f64, w: impl Fn(f64) -> f64) -> Dual {
    let mut sum = Dual::new(0.0, 0.0);
    for (x, weight) in TAIL_RULE {
        for s in [0.5 * end * (1.0 - x), 0.5 * end * (1.0 + x)] {
            let y = weight * (-g(s)).exp();
            sum = sum + Dual::new(y, y * w(s));
        }
    }
    Dual::new(0.5 * end * sum.value, 0.5 * end * sum.slope)
}

/// Returns the distance after which `curvature s^2 / 2 + slope s` is above 40, beyond which an
/// exponential does not count in f64. `slope` may be slightly negative.
pub(super) fn reach(curvature: f64, slope: f64) -> f64 {
    let slope = slope.max(0.0);
    80.0 / (slope + (slope * slope + 80.0 * curvature).sqrt())
}

/// Returns `x - log(1 + x)`.
pub(super) fn minus_log1p(x: f64) -> f64 {
    minus_log(1.0 + x, x)
}

/// Returns `x - log(ratio)` for `ratio = 1 + x`, without cancellation: the caller computes both
/// with all their digits. Near 0 it is `r (x - 2 r^2 (1/3 + r^2/5 + ..))` with `r = x / (2 + x)`,
/// from the series of the inverse hyperbolic tangent.
pub(super) fn minus_log(ratio: f64, x: f64) -> f64 {
    if !(-0.4..0.6).contains(&x) {
        return x - ratio.ln();
    }
    let r = x / (2.0 + x);
    let square = r * r;
    // |r| is below 1/4: the terms after these do not count.
    let series = (0..14).rev().fold(0.0, |sum, k| sum * square + 1.0 / f64::from(2 * k + 3));
    r * (x - 2.0 * square * series)
}

/// Returns the rest of Stirling's series, `lgamma(x) - (x - 1/2) log(x) + x - log(sqrt(2 pi))`, for
/// `x >= 10` (<https://dlmf.nist.gov/5.11.E1>).
pub(super) fn stirling_rest(x: f64) -> f64 {
    // The coefficients B(2k) / (2k (2k - 1)), k = 1, 2, ..
    let series = [
        1.0 / 12.0,
        -1.0 / 360.0,
        1.0 / 1260.0,
        -1.0 / 1680.0,
        1.0 / 1188.0,
        -691.0 / 360_360.0,
        1.0 / 156.0,
    ];
    super::horner(&series, 1.0 / (x * x)) / x
}

/// The positive nodes of the Gauss-Legendre rule of 48 points on -1..1 and their weights
/// (<https://dlmf.nist.gov/3.5.v>).
#[rustfmt::skip]
const TAIL_RULE: [(f64, f64); 24] = [
    (0.032_380_170_962_869_36, 0.064_737_696_812_683_92),
    (0.097_004_699_209_462_7, 0.064_466_164_435_950_09),
    (0.161_222_356_068_891_7, 0.063_924_238_584_648_19),
    (0.224_763_790_394_689_05, 0.063_114_192_286_254_02),
    (0.287_362_487_355_455_55, 0.062_039_423_159_892_665),
    (0.348_755_886_292_160_75, 0.060_704_439_165_893_88),
    (0.408_686_481_990_716_7, 0.059_114_839_698_395_635),
    (0.466_902_904_750_958_4, 0.057_277_292_100_403_214),
    (0.523_160_974_722_233, 0.055_199_503_699_984_165),
    (0.577_224_726_083_972_7, 0.052_890_189_485_193_67),
    (0.628_867_396_776_513_6, 0.050_359_035_553_854_47),
    (0.677_872_379_632_663_9, 0.047_616_658_492_490_48),
    (0.724_034_130_923_814_6, 0.044_674_560_856_694_28),
    (0.767_159_032_515_740_4, 0.041_545_082_943_464_75),
    (0.807_066_204_029_442_6, 0.038_241_351_065_830_71),
    (0.843_588_261_624_393_5, 0.034_777_222_564_770_44),
    (0.876_572_020_274_247_9, 0.031_167_227_832_798_09),
    (0.905_879_136_715_569_6, 0.027_426_509_708_356_948),
    (0.931_386_690_706_554_3, 0.023_570_760_839_324_38),
    (0.952_987_703_160_430_9, 0.019_616_160_457_355_53),
    (0.970_591_592_546_247_3, 0.015_579_315_722_943_849),
    (0.984_124_583_722_826_9, 0.011_477_234_579_234_54),
    (0.993_530_172_266_350_8, 0.007_327_553_901_276_262_5),
    (0.998_771_007_252_426_1, 0.003_153_346_052_305_838_5),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_is_exact_for_polynomials() {
        for power in [0, 2, 20, 94] {
            let sum: f64 = TAIL_RULE.iter().map(|(x, w)| 2.0 * w * x.powi(power)).sum();
            let want = 2.0 / f64::from(power + 1);
            assert!((sum - want).abs() < 1e-15, "{power}: {sum}, not {want}");
        }
        let half = integral(7.0, |s| s * s, |s| s);
        assert!((half.value - std::f64::consts::PI.sqrt() / 2.0).abs() < 1e-15, "{half:?}");
        assert!((half.slope - 0.5).abs() < 1e-15, "{half:?}");
    }

    #[test]
    fn logarithms_keep_their_digits() {
        // Values of mpmath with 40 digits.
        for (x, want) in [
            (1e-8, 4.999_999_966_666_667e-17),
            (-1e-3, 5.003_335_835_335_002e-7),
            (0.25, 0.026_856_448_685_790_24),
            (-0.39, 0.104_296_321_814_780_13),
            (0.59, 0.126_265_983_767_859_83),
            (3.0, 1.613_705_638_880_109_4),
        ] {
            let have = minus_log1p(x);
            assert!((have / want - 1.0).abs() < 4e-16, "{x}: {have}, not {want}");
        }
    }

    #[test]
    fn continued_fractions_of_dual_numbers_have_derivatives() {
        // tan(x) = x / (1 - x^2 / (3 - x^2 / (5 - ..)))
        let x = Dual::new(0.7, 1.0);
        let minus = Dual::new(0.0, 0.0) - x * x;
        let odd = |i: f64| (minus, Dual::new(2.0 * i + 1.0, 0.0));
        let tan = x * continued_fraction(Dual::ONE, odd);
        let want = 0.7f64.tan();
        assert!((tan.value - want).abs() < 1e-15, "{tan:?}");
        assert!((tan.slope - (1.0 + want * want)).abs() < 1e-14, "{tan:?}");
    }
}
