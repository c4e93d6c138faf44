//! Elementwise functions.

use super::{EdgeTable, Value};
use neurax::prelude::*;

/// Methods without arguments.
macro_rules! methods {
    ($($f:ident),* $(,)?) => {
        pub const METHODS: EdgeTable = &[$((stringify!($f), |xs| match xs {
            [Value::Tensor(x)] => vec![x.$f()],
            _ => panic!("expected a tensor"),
        })),*];
    };
}

methods!(
    abs,
    sign,
    negative,
    floor,
    ceil,
    round,
    trunc,
    is_nan,
    is_inf,
    is_finite,
    signbit,
    logical_not,
    nan_to_num,
    square,
    relu,
    relu6,
    hard_tanh,
    sin,
    cos,
    tan,
    asin,
    acos,
    atan,
    sinh,
    cosh,
    tanh,
    asinh,
    acosh,
    atanh,
    exp,
    expm1,
    log,
    log1p,
    sqrt,
    rsqrt,
    cbrt,
    sigmoid,
    erf,
    erfc,
    erf_inv,
    lgamma,
    digamma,
    i0e,
    i1e,
    reciprocal,
    exp2,
    log2,
    log10,
    deg2rad,
    rad2deg,
    logit,
    sinc,
    ndtr,
    silu,
    selu,
    softplus,
    softsign,
    squareplus,
    log_sigmoid,
    mish,
    tanh_shrink,
    hard_sigmoid,
    hard_silu,
    bitwise_not,
    population_count,
    count_leading_zeros,
    angle,
    real,
    imag,
    conj,
);

/// Formulas of one tensor.
macro_rules! formulas_of_one {
    ($($name:ident($x:ident) => $body:expr;)*) => {
        pub const FORMULAS: EdgeTable = &[$((stringify!($name), |xs| match xs {
            [Value::Tensor($x)] => vec![$body],
            _ => panic!("expected a tensor"),
        })),*];
    };
}

formulas_of_one! {
    gelu_tanh(x) => x.gelu(true);
    gelu_erf(x) => x.gelu(false);
    elu(x) => x.elu(1.5);
    celu(x) => x.celu(0.5);
    leaky_relu(x) => x.leaky_relu(0.25);
    pow_0(x) => x.pow(0);
    pow_1(x) => x.pow(1);
    pow_2(x) => x.pow(2);
    pow_3(x) => x.pow(3);
    pow_minus_1(x) => x.pow(-1);
    pow_minus_2(x) => x.pow(-2);
    pow_2_as_float(x) => x.pow(2.0);
    pow_half(x) => x.pow(0.5);
    pow_3_halves(x) => x.pow(1.5);
    two_to_the(x) => tensor(2.0).to(x.dtype()).pow(x);
}

/// Functions of a tensor and an operand: `name(x, y) => result`, where `y` is a tensor or a number.
macro_rules! with_operand {
    ($($name:ident($x:ident, $y:ident) => $body:expr;)*) => {
        pub const WITH_OPERAND: EdgeTable = &[$((stringify!($name), |xs| match xs {
            [Value::Tensor($x), Value::Tensor($y)] => vec![$body],
            [Value::Tensor($x), Value::Bool($y)] => { let $y = *$y; vec![$body] }
            [Value::Tensor($x), Value::Int($y)] => { let $y = *$y; vec![$body] }
            [Value::Tensor($x), Value::Float($y)] => { let $y = *$y; vec![$body] }
            [Value::Tensor($x), Value::Complex($y)] => { let $y = *$y; vec![$body] }
            _ => panic!("expected a tensor and an operand"),
        })),*];
    };
}

with_operand! {
    add(x, y) => x + y;
    sub(x, y) => x - y;
    mul(x, y) => x * y;
    div(x, y) => x / y;
    fmod(x, y) => x.fmod(y);
    remainder(x, y) => x.remainder(y);
    floor_divide(x, y) => x.floor_divide(y);
    maximum(x, y) => x.maximum(y);
    minimum(x, y) => x.minimum(y);
    pow(x, y) => x.pow(y);
    bitwise_and(x, y) => x & y;
    bitwise_or(x, y) => x | y;
    bitwise_xor(x, y) => x ^ y;
    left_shift(x, y) => x.left_shift(y);
    right_shift(x, y) => x.right_shift(y);
    equal(x, y) => x.equal(y);
    not_equal(x, y) => x.not_equal(y);
    lt(x, y) => x.lt(y);
    le(x, y) => x.le(y);
    gt(x, y) => x.gt(y);
    ge(x, y) => x.ge(y);
    logical_and(x, y) => x.logical_and(y);
    logical_or(x, y) => x.logical_or(y);
    logical_xor(x, y) => x.logical_xor(y);
    atan2(x, y) => x.atan2(y);
    hypot(x, y) => x.hypot(y);
    logaddexp(x, y) => x.logaddexp(y);
    logaddexp2(x, y) => x.logaddexp2(y);
    float_power(x, y) => x.float_power(y);
    copysign(x, y) => x.copysign(y);
    nextafter(x, y) => x.nextafter(y);
    heaviside(x, y) => x.heaviside(y);
    xlogy(x, y) => x.xlogy(y);
    xlog1py(x, y) => x.xlog1py(y);
    polygamma(x, y) => x.polygamma(y);
    dot(x, y) => x.dot(y);
    select_first(x, y) => tensor([true, false, true, false]).select(x, y);
}

/// Functions whose first operand is a number, written second: `name(x, s) => result`.
macro_rules! with_numbers {
    ($($name:ident($x:ident, $s:ident) => $body:expr;)*) => {
        pub const WITH_NUMBERS: EdgeTable = &[
            $((stringify!($name), |xs| match xs {
                [Value::Tensor($x), Value::Int($s)] => { let $s = *$s; vec![$body] }
                [Value::Tensor($x), Value::Float($s)] => { let $s = *$s; vec![$body] }
                _ => panic!("expected a tensor and a number"),
            }),)*
            ("clip", |xs| match xs {
                [Value::Tensor(x), Value::Int(a), Value::Int(b)] => vec![x.clip(*a, *b)],
                [Value::Tensor(x), Value::Float(a), Value::Float(b)] => vec![x.clip(*a, *b)],
                _ => panic!("expected a tensor and two numbers"),
            }),
        ];
    };
}

with_numbers! {
    number_add(x, s) => s + x;
    number_sub(x, s) => s - x;
    number_mul(x, s) => s * x;
    number_div(x, s) => s / x;
    number_rem(x, s) => s % x;
}

macro_rules! conversions {
    ($($name:literal $D:ident),* $(,)?) => {
        pub const CONVERSIONS: EdgeTable = &[$(($name, |xs| match xs {
            [Value::Tensor(x)] => vec![x.to(DType::$D)],
            _ => panic!("expected a tensor"),
        })),*];
    };
}

conversions!(
    "to_bool" Bool, "to_u2" U2, "to_u4" U4, "to_u8" U8, "to_u16" U16, "to_u32" U32, "to_u64" U64,
    "to_i2" I2, "to_i4" I4, "to_i8" I8, "to_i16" I16, "to_i32" I32, "to_i64" I64,
    "to_f8e4m3fn" F8E4M3FN, "to_f8e5m2" F8E5M2, "to_f16" F16, "to_bf16" BF16, "to_f32" F32,
    "to_f64" F64, "to_c64" C64, "to_c128" C128,
);
