//! Special functions and their derivatives.

use crate::harness::mirrors;
use neurax::prelude::*;

mirrors! {
    exp2(x) => x.exp2();
    log2(x) => x.log2();
    log10(x) => x.log10();
    deg2rad(x) => x.deg2rad();
    rad2deg(x) => x.rad2deg();
    sinc(x) => x.sinc();
    logit(x) => x.logit();
    entr(x) => x.entr();
    gamma(x) => x.gamma();
    gamma_negative(x) => x.gamma();
    factorial(x) => x.factorial();
    i0(x) => x.i0();
    i0e(x) => x.i0e();
    i1e(x) => x.i1e();
    ndtr(x) => x.ndtr();
    log_ndtr(x) => x.log_ndtr();
    erfcx(x) => x.erfcx();
    lgamma_negative(x) => x.lgamma();
    digamma_negative(x) => x.digamma();
    gammasgn(x) => x.gammasgn() * x;
    xlogy(x, y) => x.xlogy(y);
    xlog1py(x, y) => x.xlog1py(y);
    rel_entr(x, y) => x.rel_entr(y);
    kl_div(x, y) => x.kl_div(y);
    betaln(x, y) => x.betaln(y);
    beta(x, y) => x.beta(y);
    poch(x, y) => x.poch(y);
    comb(x, y) => x.comb(y);
    boxcox(x, y) => x.boxcox(y);
    boxcox1p(x, y) => x.boxcox1p(y);
    multigammaln(x) => x.multigammaln(3);
    gammainc(x, y) => {
        let a = stop_gradient(&x.square()) + 0.5;
        a.gammainc(y)
    };
    gammaincc(x, y) => {
        let a = stop_gradient(&x.square()) + 0.5;
        a.gammaincc(y)
    };
    betainc(x) => x.full_like(2.5).betainc(1.5, x / 3);
    zeta(x, y) => stop_gradient(x).zeta(y);
    polygamma(x) => x.full_like(2).polygamma(x);
    polygamma_orders(x, y) => x.to(y.dtype()).polygamma(y);
    igamma_derivative(x, y) => stop_gradient(x).igamma_grad_a(stop_gradient(y)) * x * y;
    random_gamma_derivative(x, y) => stop_gradient(x).random_gamma_grad(stop_gradient(y)) * x * y;
    logaddexp2(x, y) => x.logaddexp2(y);
    hypot(x, y) => x.hypot(y);
    heaviside(x, y) => x.heaviside(y) * x;
    copysign(x, y) => x.copysign(y) * y;
    float_power(x, y) => x.float_power(y);
    fmod(x, y) => (x * 3).fmod(y) * x;
    floor_divide(x, y) => (x * 3).floor_divide(y) * x;
    remainder_negative(x, y) => (x * 3).remainder(y) * x;
    lerp(x, y, z) => x.lerp(y, z);
    polyval(x, y) => x.polyval(y);
    nan_to_num(x, y) => y.select(x, f64::NAN).nan_to_num() * x;
    nan_to_num_values(x, y) => {
        let special = stack([Tensor::full(3, f64::INFINITY), Tensor::full(3, f64::NAN)], 0);
        let options = NanToNumOptions::new().nan(2).positive_infinity(3);
        y.select(x, special.to(x.dtype())).nan_to_num_with(options) * x
    };
    rounding_modes(x) => {
        (x * (x * 1.7).ceil() + (x * 2.3).trunc() * x, (x * 3).round(), (x * 3).round_half_away())
    };
}
