//! Element by element.

use crate::harness::mirrors;
use neurax::prelude::*;

mirrors! {
    exp(x) => x.exp();
    expm1(x) => x.expm1();
    log(x) => x.log();
    log1p(x) => x.log1p();
    sin(x) => x.sin();
    cos(x) => x.cos();
    tan(x) => x.tan();
    asin(x) => x.asin();
    acos(x) => x.acos();
    atan(x) => x.atan();
    sinh(x) => x.sinh();
    cosh(x) => x.cosh();
    tanh(x) => x.tanh();
    asinh(x) => x.asinh();
    acosh(x) => x.acosh();
    atanh(x) => x.atanh();
    sqrt(x) => x.sqrt();
    rsqrt(x) => x.rsqrt();
    cbrt(x) => x.cbrt();
    square(x) => x.square();
    reciprocal(x) => 1.0 / x;
    cube(x) => x.pow(3);
    power_minus_two(x) => x.pow(-2);
    erf(x) => x.erf();
    erfc(x) => x.erfc();
    erf_inv(x) => x.erf_inv();
    lgamma(x) => x.lgamma();
    digamma(x) => x.digamma();
    logistic(x) => x.sigmoid();
    softplus(x) => x.softplus();
    log_sigmoid(x) => x.log_sigmoid();
    silu(x) => x.silu();
    gelu_tanh(x) => x.gelu(true);
    gelu_erf(x) => x.gelu(false);
    mish(x) => x.mish();
    absolute(x) => x.abs();
    sign_times(x) => x.sign() * x * x;
    relu(x) => x.maximum(0.0) * x;
    leaky_relu(x) => x.leaky_relu(0.1).square();
    elu(x) => x.elu(1.0);
    floor_round(x) => (x * 1.37).floor() * x + (x * 0.77).round();
    add_broadcast(x, y) => x + y * y;
    mul_broadcast(x, y) => x * y * x;
    div_broadcast(x, y) => x / y;
    sub_scalar(x, s) => (x - s) * s;
    atan2(x, y) => x.atan2(y);
    power(x, y) => x.pow(y);
    maximum_minimum(x, y) => x.maximum(y).square() + x.minimum(y * 2.0) * x;
    clip(x) => x.clip(-1.0, 1.5) * x;
    where_select(x, y) => x.gt(0.0).select(x.sin() * y, y * y);
    where_mask(mask, x, y) => where_(mask, x * x, y);
    logaddexp(x, y) => x.logaddexp(y);
    where_safe_sqrt(x) => {
        let ok = x.gt(0.0);
        ok.select(ok.select(x, 1.0).sqrt(), 0.0)
    };
    polynomial(x, coefficients) => (0..6).fold(x.zeros_like(), |y, i| y * x + coefficients.get(i));
    remainder(x, y) => (x * 3.0) % (y + 1.0) * x;
    stop_gradient(x) => stop_gradient(x) * x * x;
    through_integer(x) => x.to(I32).to(x.dtype()) * x * x;
    integer_operand(x, i) => x * i.to(x.dtype()) + x.pow(2);
    through_bfloat16(x) => x.to(BF16).to(x.dtype()).sin() * x;
    to_float16(x) => (x.square().to(F16), x.to(BF16));
    fmax_fmin(x, y) => (x.square().fmax(y), x.fmin(y * 2.0));
    divmod(x, y) => {
        let (quotient, rest) = (x * 3.0).divmod(y);
        (rest * x, quotient)
    };
    modf(x) => {
        let (part, whole) = (x * 3.0).modf();
        (part * x, whole)
    };
    ldexp_frexp(x, i) => {
        let y = x.square().ldexp(i);
        let (mantissa, exponent) = neurax::stop_gradient(&y).frexp();
        (y * x, mantissa, exponent)
    };
    unwrap(x) => x.unwrap_phase(3.0, 1) * x;
}
