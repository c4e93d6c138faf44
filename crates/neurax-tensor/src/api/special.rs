//! Special functions that are composed of `lgamma`, `erf`, `erfc` and the Bessel functions: the
//! gamma and beta families, entropies, Box-Cox transforms, and normal quantiles.
//!
//! # Method
//!
//! - `log(gamma(b) / gamma(b + s))` for `b >= 10` is computed from Stirling's series
//!   (<https://dlmf.nist.gov/5.11.E1>), in which the large parts of the logarithms cancel exactly;
//!   the difference of two `lgamma` would lose all digits of a large `b`.
//! - Functions that are exponentials of logarithms compute f32 in f64, in which they have all
//!   digits of f32.
//! - `erfcx(x)` below 8 is `e^(x^2) erfc(x)` with `x^2 = h^2 + (x - h)(x + h)`, where `h` has few
//!   bits, so that `h^2` is exact; from 8 on it is the asymptotic series
//!   (<https://dlmf.nist.gov/7.12.E1>).
//! - `ndtri` in the tails solves `log_ndtr(x) = log(p)` by Newton's method, from the first terms of
//!   the asymptotic expansion; its derivative is given in closed form.

use super::{
    common::{example, float_formulas, tensor_or_error},
    numeric::float_pair,
};
use crate::{DType, Function, Operand, Tensor, custom_tangent, tensor::CallSite};
use std::{
    f64::consts::{FRAC_1_SQRT_2, LN_2, PI, SQRT_2},
    panic::Location,
};

/// `log(sqrt(2 pi))`.
const LN_SQRT_2_PI: f64 = 0.918_938_533_204_672_7;

/// From this number on, [`erfcx`] is its asymptotic series.
const FAR: f64 = 8.0;

/// A table of functions of two real operands that are formulas, like `pair_formulas!`, but floats
/// below 32 bits are computed in f32.
macro_rules! special_pairs {
    ($($f:ident($x:ident, $y:ident) = $e:expr, $doc:literal,
       $code:literal => $value:literal;)*) => {
        impl Tensor {$(
            #[doc = $doc]
            #[doc = "\nWorks element by element, with promotion and broadcasting. Integers and \
                     bool are converted to f32, or to the float dtype of the other operand; floats \
                     below 32 bits are computed in f32; complex numbers are an error."]
            #[doc = example!($code => $value)]
            #[track_caller]
            pub fn $f(&self, other: impl Operand) -> Tensor {
                let at = Location::caller();
                match float_pair(stringify!($f), self, other, at) {
                    Ok((x, y)) => {
                        let dtype = x.dtype();
                        let ($x, $y) = (x.wide(at).0, y.wide(at).0);
                        let z: Tensor = $e;
                        z.convert(dtype, at)
                    }
                    Err(e) => e,
                }
            }
        )*}
    };
}

float_formulas! {
    entr(x) = {
        let plain = -(x * x.le(0).select(1, x).log());
        let inside = x.equal(0).select(0, plain);
        x.lt(0).select(f64::NEG_INFINITY, inside)
    },
        "Computes the entropy of an element, `-x log(x)`, element by element: 0 at 0, negative \
         infinity below 0. The derivative at 0 is defined as 0. Follows `scipy.special.entr`.",
        "tensor([0.0, 0.5, 1.0]).entr()" => "[0.0, 0.34657359, 0.0]";
    gammasgn(x) = {
        let floor = x.floor();
        let is_odd = (&floor - (&floor * 0.5).floor() * 2.0).not_equal(0);
        let negative = (x.lt(0) & is_odd) | (x.equal(0) & x.signbit());
        let sign = negative.select(x.full_like(-1.0), 1);
        ((x.lt(0) & floor.equal(x)) | x.is_nan()).select(f64::NAN, sign)
    },
        "Computes the sign of the gamma function, element by element: 1 or -1, NaN at the poles \
         -1, -2, .. Follows `scipy.special.gammasgn`.",
        "tensor([-1.5, -0.5, 2.0]).gammasgn()" => "[1.0, -1.0, 1.0]";
    gamma(x) = gamma(x),
        "Computes the gamma function, element by element: infinite at 0, with the sign of the \
         zero, and NaN at the poles -1, -2, .. Follows `scipy.special.gamma`.",
        "tensor([0.5, 5.0]).gamma()" => "[1.77245385, 24.0]";
    factorial(x) = x.lt(0).select(0, gamma(&(x.lt(0).select(0, x) + 1.0))),
        "Computes the factorial `gamma(x + 1)`, element by element, and 0 below 0. Follows \
         `scipy.special.factorial`.",
        "tensor([0, 3, 5]).factorial()" => "[1.0, 6.0, 120.0]";
    i0(x) = bessel(x, &x.i0e()),
        "Computes the modified Bessel function of the first kind and order 0, element by element. \
         Follows `scipy.special.i0`.",
        "tensor([0.0, 1.0]).i0()" => "[1.0, 1.2660659]";
    i1(x) = bessel(x, &x.i1e()),
        "Computes the modified Bessel function of the first kind and order 1, element by element. \
         Follows `scipy.special.i1`.",
        "tensor([0.0, 1.0]).i1()" => "[0.0, 0.56515910]";
    erfcx(x) = erfcx(x),
        "Computes the scaled complementary error function `e^(x^2) erfc(x)`, element by element, \
         without underflow for large `x`. Follows `scipy.special.erfcx`.",
        "tensor([0.0, 1.0, 100.0]).erfcx()" => "[1.0, 0.42758358, 0.00564161]";
    log_ndtr(x) = log_ndtr(x),
        "Computes the logarithm of [`Tensor::ndtr`], element by element, without underflow for \
         small `x`. Follows `scipy.special.log_ndtr`.",
        "tensor([0.0, -30.0]).log_ndtr() / tensor([1.0, 1000.0])" => "[-0.69314718, -0.45432124]";
    ndtri(x) = ndtri(x),
        "Computes the inverse of [`Tensor::ndtr`], the quantile of the standard normal \
         distribution, element by element: infinite at 0 and 1, NaN outside. Follows \
         `scipy.special.ndtri`.",
        "tensor([0.5, 0.975, 1e-20]).ndtri()" => "[0.0, 1.9599640, -9.2623401]";
    erfcinv(x) = ndtri(&(x * 0.5)) * -FRAC_1_SQRT_2,
        "Computes the inverse of [`Tensor::erfc`], element by element: infinite at 0 and 2, NaN \
         outside. Follows `scipy.special.erfcinv`.",
        "tensor([1.0, 0.5, 1e-20]).erfcinv()" => "[0.0, 0.47693628, 6.6015806]";
}

special_pairs! {
    rel_entr(x, y) = rel_entr(&x, &y),
        "Computes the relative entropy of two elements, `x log(x / y)`: 0 if `x` is 0 and `y` is \
         not negative, infinite if `x` or `y` is negative or `y` alone is 0. Follows \
         `scipy.special.rel_entr`.",
        "tensor([0.0, 0.5]).rel_entr(tensor([1.0, 0.25]))" => "[0.0, 0.34657359]";
    kl_div(x, y) = {
        let (x, y) = (in_f64(&x), in_f64(&y));
        let both = rel_entr(&x, &y);
        // The infinities of `both` are kept where `x` or `y` is infinite.
        both.is_inf().select(&both, &both - x + y)
    },
        "Computes the Kullback-Leibler divergence of two elements, `x log(x / y) - x + y`, where \
         [`Tensor::rel_entr`] is finite. Follows `scipy.special.kl_div`.",
        "tensor([0.0, 0.5]).kl_div(tensor([1.0, 0.25]))" => "[1.0, 0.09657359]";
    betaln(a, b) = betaln(&in_f64(&a), &in_f64(&b)),
        "Computes the logarithm of the absolute value of the beta function, `lgamma(a) + lgamma(b) \
         - lgamma(a + b)`, without loss of digits for large operands. Follows \
         `scipy.special.betaln`.",
        "tensor([2.0, 1e8]).betaln(tensor([3.0, 1.0]))" => "[-2.48490665, -18.42068]";
    beta(a, b) = {
        let (a, b) = (in_f64(&a), in_f64(&b));
        let sign = a.gammasgn() * b.gammasgn() * (&a + &b).gammasgn();
        sign * betaln(&a, &b).exp()
    },
        "Computes the beta function `gamma(a) gamma(b) / gamma(a + b)`; NaN at the poles below 0. \
         Follows `scipy.special.beta`.",
        "tensor([2.0, 0.5]).beta(tensor([3.0, 0.5]))" => "[0.08333333, 3.14159265]";
    poch(z, m) = {
        let (z, m) = (in_f64(&z), in_f64(&m));
        let sign = z.gammasgn() * (&z + &m).gammasgn();
        let rising = sign * (-lgamma_fall(&z, &m)).exp();
        // At a pole of `z`.
        (m.equal(0) & rising.is_nan()).select(1, rising)
    },
        "Computes the Pochhammer symbol, the rising factorial `gamma(z + m) / gamma(z)`; NaN where \
         `z` or `z + m` is a pole below 0. Follows `scipy.special.poch`.",
        "tensor([2.0, 1.0]).poch(tensor([3.0, 4.0]))" => "[24.0, 24.0]";
    comb(n, k) = comb(&in_f64(&n), &in_f64(&k)),
        "Computes the binomial coefficient `n! / (k! (n - k)!)`, the number of ways to choose `k` \
         of `n`; 0 if `k` is negative or larger than `n`. Follows `scipy.special.comb`.",
        "tensor([5, 10]).comb(tensor([2, 3]))" => "[10.0, 120.0]";
    boxcox(x, power) = boxcox(&in_f64(&x).log(), &in_f64(&power)),
        "Computes the Box-Cox transform `(x^p - 1) / p` with the power `other`, and `log(x)` for \
         the power 0. Follows `scipy.special.boxcox`.",
        "tensor([2.0, 2.0]).boxcox(tensor([0.0, 2.0]))" => "[0.69314718, 1.5]";
    boxcox1p(x, power) = boxcox(&in_f64(&x).log1p(), &in_f64(&power)),
        "Computes the Box-Cox transform of `1 + x` with the power `other`, without loss of digits \
         for small `x`. Follows `scipy.special.boxcox1p`.",
        "tensor([1.0, 1e-6]).boxcox1p(tensor([2.0, 0.0]))" => "[1.5, 1e-6]";
}

impl Tensor {
    /// Computes the logarithm of the multivariate gamma function of order `order`, element by
    /// element: `order (order - 1) / 4 log(pi) + sum(lgamma(x - j / 2))` over `j` from 0 to
    /// `order - 1`. It is defined for `x > (order - 1) / 2`. Follows `scipy.special.multigammaln`.
    ///
    /// # Errors
    ///
    /// The result carries an error for complex numbers, and if `order` is not from 1 to 1,000.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([2.0, 3.0]).multigammaln(2);
    /// assert!(y.allclose(tensor([0.45158271, 1.5501950]), 1e-6, 1e-6).item()? == 1.0, "{y}");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn multigammaln(&self, order: usize) -> Tensor {
        tensor_or_error(multigammaln(self, order, Location::caller()))
    }
}

#[track_caller]
fn multigammaln(x: &Tensor, order: usize, at: CallSite) -> Result<Tensor, Tensor> {
    // Beyond, a tensor with an axis of this size would not be what is meant.
    const MOST: usize = 1000;
    if !(1..=MOST).contains(&order) {
        let why = format!("expected an order from 1 to {MOST}, got {order}");
        return Err(Tensor::fail("multigammaln", why, at));
    }
    let (x, dtype) = x.real_float("multigammaln", at)?.wide(at);
    let steps = Tensor::arange(order).convert(x.dtype(), at) * 0.5;
    let constant = (order * (order - 1)) as f64 / 4.0 * PI.ln();
    let sum = (x.expand_dims(-1) - steps).lgamma().sum(-1);
    Ok((sum + constant).convert(dtype, at))
}

/// Computes the gamma function from the logarithm of its absolute value.
#[track_caller]
fn gamma(x: &Tensor) -> Tensor {
    let x = in_f64(x);
    x.gammasgn() * x.lgamma().exp()
}

/// Converts to f64, in which the exponential of a logarithm has all digits of f32.
#[track_caller]
pub(super) fn in_f64(x: &Tensor) -> Tensor {
    x.convert(DType::F64, Location::caller())
}

/// Computes `e^|x| y` without overflow before the product overflows.
#[track_caller]
fn bessel(x: &Tensor, y: &Tensor) -> Tensor {
    let half = (x.abs() * 0.5).exp();
    &half * y * &half
}

/// Computes `x log(x / y)` where both are positive.
#[track_caller]
fn rel_entr(x: &Tensor, y: &Tensor) -> Tensor {
    let positive = x.gt(0) & y.gt(0);
    let (a, b) = (positive.select(x, 1), positive.select(y, 1));
    // Near 1, the logarithm of the quotient would lose the digits of the difference.
    let near = (&a - &b).abs().le(&b * 0.5);
    let (close, ratio) = (near.select(&a, &b), near.select(1, &a).log() - near.select(1, &b).log());
    let log = near.select(((close - &b) / &b).log1p(), ratio);
    let zero = x.equal(0) & y.ge(0);
    let rest = zero.select(x.zeros_like(), f64::INFINITY);
    (x.is_nan() | y.is_nan()).select(f64::NAN, positive.select(a * log, rest))
}

/// Computes `log(gamma(b) / gamma(b + s))`.
#[track_caller]
fn lgamma_fall(b: &Tensor, s: &Tensor) -> Tensor {
    let sum = b + s;
    let is_large = b.ge(10) & sum.ge(10);
    let (large, step) = (is_large.select(b, 10), is_large.select(s, 0));
    let end = &large + &step;
    let stirling = &step - &step * large.log() - (&end - 0.5) * (&step / &large).log1p()
        + stirling_rest(&large)
        - stirling_rest(&end);
    let plain = is_large.select(1, b).lgamma() - is_large.select(1, sum).lgamma();
    is_large.select(stirling, plain)
}

/// Computes the rest of Stirling's series, `lgamma(x) - (x - 1/2) log(x) + x - log(sqrt(2 pi))`,
/// for `x >= 10`.
#[track_caller]
fn stirling_rest(x: &Tensor) -> Tensor {
    // The coefficients B(2k) / (2k (2k - 1)), from k = 6 down to 1.
    let series =
        [-691.0 / 360_360.0, 1.0 / 1188.0, -1.0 / 1680.0, 1.0 / 1260.0, -1.0 / 360.0, 1.0 / 12.0];
    let inverse = x.reciprocal();
    horner(&series, &inverse.square()) * inverse
}

/// Computes a polynomial; the highest coefficient comes first.
#[track_caller]
pub(super) fn horner(coefficients: &[f64], x: &Tensor) -> Tensor {
    let mut sum = x.zeros_like();
    for &c in coefficients {
        sum = &sum * x + c;
    }
    sum
}

/// Computes the logarithm of the absolute value of the beta function.
#[track_caller]
fn betaln(a: &Tensor, b: &Tensor) -> Tensor {
    // Selections, because derivatives of order 2 of a minimum are wrong at a tie.
    let swap = a.gt(b);
    let (small, large) = (swap.select(b, a), swap.select(a, b));
    small.lgamma() + lgamma_fall(&large, &small)
}

/// Computes binomial coefficients.
#[track_caller]
fn comb(n: &Tensor, k: &Tensor) -> Tensor {
    let inside = k.ge(0) & k.le(n);
    let (n, k) = (inside.select(n, 1), inside.select(k, 0));
    let log = (&n + 1.0).log() + betaln(&(&n - &k + 1.0), &(&k + 1.0));
    inside.select((-log).exp(), 0)
}

/// Computes `(e^(p x) - 1) / p`, the Box-Cox transform of `e^x`, and `x` for `p = 0`.
#[track_caller]
fn boxcox(x: &Tensor, p: &Tensor) -> Tensor {
    let t = x * p;
    // Taylor series near 0, so that the derivatives at the power 0 are right as well.
    let near = t.abs().lt(0.03);
    let close = near.select(&t, 0);
    let mut series = close.ones_like();
    for i in [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0] {
        series = series * &close / i + 1.0;
    }
    let apart = near.select(1, &t).expm1() / near.select(1, p);
    (p.equal(0) & x.is_inf()).select(x, near.select(near.select(x, 1) * series, apart))
}

/// Computes `e^(x^2) erfc(x)`.
#[track_caller]
fn erfcx(x: &Tensor) -> Tensor {
    let is_far = x.ge(FAR);
    // Below -30 the result is infinite in f64.
    let near = is_far.select(1, x).maximum(-30.0);
    let plain = exp_of_square(&near, 1.0) * near.erfc();
    // The coefficients (-1)^n (2n - 1)!! of powers of 1 / (2 x^2), from n = 14 down to 0.
    let mut series = vec![1.0];
    for n in 1..15 {
        series.push(-(2.0 * n as f64 - 1.0) * series[n - 1]);
    }
    series.reverse();
    let inverse = is_far.select(x, FAR).reciprocal();
    let far = horner(&series, &(inverse.square() * 0.5)) * inverse * (1.0 / PI.sqrt());
    is_far.select(far, plain)
}

/// Computes the logarithm of the normal distribution function.
#[track_caller]
fn log_ndtr(x: &Tensor) -> Tensor {
    let is_low = x.lt(0);
    let size = is_low.select(-x, x);
    let scaled = erfcx(&(&size * FRAC_1_SQRT_2)) * 0.5;
    let below = is_low.select(&scaled, 1).log() - size.square() * 0.5;
    // The density underflows beyond 40 in f64.
    let above = -(scaled * exp_of_square(&is_low.select(0, x).minimum(40.0), -0.5));
    is_low.select(below, above.log1p())
}

/// Computes `e^(c x^2)`, where the rounding of the square does not count: the square of the leading
/// bits of `x` is exact.
#[track_caller]
pub(super) fn exp_of_square(x: &Tensor, c: f64) -> Tensor {
    let head = (x * 16.0).round() * 0.0625;
    (head.square() * c).exp() * ((x - &head) * (x + &head) * c).exp()
}

/// Computes normal quantiles, with their derivative in closed form.
#[track_caller]
fn ndtri(p: &Tensor) -> Tensor {
    let quantile = custom_tangent(
        |p: Tensor| quantile(&p),
        |(_, x, dp): (Tensor, Tensor, Tensor)| dp * (x.square() * 0.5 + LN_SQRT_2_PI).exp(),
    );
    quantile.apply(p.clone())
}

/// Computes normal quantiles.
#[track_caller]
fn quantile(p: &Tensor) -> Tensor {
    let upper = p.gt(0.5);
    let q = upper.select(1.0 - p, p);
    let is_tail = q.lt(0.05);
    let middle = (is_tail.select(0.5, &q) * 2.0 - 1.0).erf_inv() * SQRT_2;
    let has_root = &is_tail & q.gt(0);
    let tail = tail_quantile(&has_root.select(&q, 0.01).log());
    let x = is_tail.select(tail, middle);
    let x = q.equal(0).select(f64::NEG_INFINITY, x);
    let x = (q.lt(0) | q.is_nan()).select(f64::NAN, x);
    upper.select(-&x, &x)
}

/// Solves `log_ndtr(x) = y` for `y < log(0.05)` by Newton's method, whose slope is the hazard rate
/// `sqrt(2 / pi) / erfcx(-x / sqrt(2))`.
#[track_caller]
fn tail_quantile(y: &Tensor) -> Tensor {
    let s = (y * -2.0).sqrt();
    let mut x = (s.log() + LN_SQRT_2_PI) / &s - s;
    for _ in 0..4 {
        let scaled = erfcx(&(&x * -FRAC_1_SQRT_2));
        let excess = scaled.log() - LN_2 - x.square() * 0.5 - y;
        x = &x - excess * scaled * (PI / 2.0).sqrt();
    }
    x
}
