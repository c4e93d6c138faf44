//! The exponential and related functions, fast for f32: straight-line code in f64 without branches
//! and calls. LLVM vectorizes loops over it, and the results have the same bits on every machine.
//! They are within 0.501 ulp of the exact value.
//!
//! The method is the usual range reduction, `e^x = 2^n e^r` with `|r| <= ln(2) / 2`, and a Taylor
//! polynomial in `r`.

/// The functions that are often applied to large f32 arrays.
pub trait Exp {
    /// Returns `e^x`.
    fn exponential(self) -> Self;
    /// Returns `e^x - 1`.
    fn exponential_minus_one(self) -> Self;
    /// Returns the hyperbolic tangent.
    fn hyperbolic_tangent(self) -> Self;
    /// Returns `1 / (1 + e^-x)`.
    fn logistic(self) -> Self;
}

impl Exp for f64 {
    fn exponential(self) -> f64 {
        self.exp()
    }
    fn exponential_minus_one(self) -> f64 {
        self.exp_m1()
    }
    fn hyperbolic_tangent(self) -> f64 {
        self.tanh()
    }
    fn logistic(self) -> f64 {
        1.0 / (1.0 + (-self).exp())
    }
}

impl Exp for f32 {
    #[inline(always)]
    fn exponential(self) -> f32 {
        let (p, scale) = range_reduced(self as f64);
        (scale + scale * p) as f32
    }
    #[inline(always)]
    fn exponential_minus_one(self) -> f32 {
        let (p, scale) = range_reduced(self as f64);
        keep_zero((scale * p + (scale - 1.0)) as f32, self)
    }
    #[inline(always)]
    fn hyperbolic_tangent(self) -> f32 {
        let (p, scale) = range_reduced(2.0 * self as f64);
        let t = scale * p + (scale - 1.0);
        keep_zero((t / (t + 2.0)) as f32, self)
    }
    #[inline(always)]
    fn logistic(self) -> f32 {
        let (p, scale) = range_reduced(-self as f64);
        (1.0 / (1.0 + (scale + scale * p))) as f32
    }
}

/// Restores the sign of zero: returns `x` if it is zero, else the result `y`. The computation loses
/// the sign, and maps no other number to zero.
#[inline(always)]
fn keep_zero(y: f32, x: f32) -> f32 {
    if x == 0.0 { x } else { y }
}

/// Returns `(p, scale)` with `e^x = scale * (1 + p)`, where `scale` is a power of two and `|p| <
/// 1/2`. `x` is clamped to -300..300, beyond which `e^x` is 0 or infinite in f32 anyway.
#[inline(always)]
fn range_reduced(x: f64) -> (f64, f64) {
    use std::f64::consts::{LN_2, LOG2_E};
    let x = if x > 300.0 { 300.0 } else { x };
    let x = if x < -300.0 { -300.0 } else { x };
    // Adding 1.5 * 2^52 rounds to an integer, which is then in the low bits of the significand.
    let magic = 6755399441055744.0;
    let shifted = x * LOG2_E + magic;
    let r = x - (shifted - magic) * LN_2;
    let scale = f64::from_bits((shifted.to_bits() << 52).wrapping_add(1023 << 52));
    // The Taylor series of e^r - 1. |r| is at most ln(2) / 2, where the next term is 5e-12 of the
    // sum.
    let q = 1.0 / 40320.0 + r * (1.0 / 362880.0);
    let q = 1.0 / 720.0 + r * (1.0 / 5040.0 + r * q);
    let q = 1.0 / 24.0 + r * (1.0 / 120.0 + r * q);
    let q = 0.5 + r * (1.0 / 6.0 + r * q);
    (r + r * r * q, scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the distance of `have` from the exact value, in ulp of f32.
    fn error(have: f32, want: f64) -> f64 {
        let ulp = (want.abs() as f32).max(f32::MIN_POSITIVE);
        let ulp = f32::from_bits(ulp.to_bits() + 1) as f64 - ulp as f64;
        if have as f64 == want { 0.0 } else { (have as f64 - want).abs() / ulp }
    }

    #[test]
    fn every_size_is_within_half_a_unit() {
        // A prime step through the bit patterns visits all exponents and both signs.
        for bits in (0..=u32::MAX).step_by(40_009) {
            let x = f32::from_bits(bits);
            if !x.is_finite() {
                continue;
            }
            let w = x as f64;
            let rows = [
                ("exp", x.exponential(), w.exp()),
                ("expm1", x.exponential_minus_one(), w.exp_m1()),
                ("tanh", x.hyperbolic_tangent(), w.tanh()),
                ("logistic", x.logistic(), 1.0 / (1.0 + (-w).exp())),
            ];
            for (name, have, want) in rows {
                let overflows = want > f32::MAX as f64 && have == f32::INFINITY;
                assert!(
                    overflows || error(have, want) <= 0.501,
                    "{name}({x}) is {have}, not {want}"
                );
            }
        }
    }

    #[test]
    fn infinities_zeros_and_nan() {
        let inf = f32::INFINITY;
        assert_eq!([inf.exponential(), (-inf).exponential(), 0f32.exponential()], [inf, 0.0, 1.0]);
        assert_eq!([inf.exponential_minus_one(), (-inf).exponential_minus_one()], [inf, -1.0]);
        assert_eq!([inf.hyperbolic_tangent(), (-inf).hyperbolic_tangent()], [1.0, -1.0]);
        assert_eq!([inf.logistic(), (-inf).logistic(), 0f32.logistic()], [1.0, 0.0, 0.5]);
        assert!(
            (-0f32).hyperbolic_tangent().is_sign_negative()
                && (-0f32).exponential_minus_one().is_sign_negative()
        );
        let nan = f32::NAN;
        assert!(
            nan.exponential().is_nan()
                && nan.hyperbolic_tangent().is_nan()
                && nan.logistic().is_nan()
                && nan.exponential_minus_one().is_nan()
        );
    }
}
