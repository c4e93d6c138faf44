//! Elementwise functions of complex numbers, whose parts are the inputs and outputs.

use crate::harness::{mirrors, packed};
use neurax::prelude::*;

mirrors! {
    complex_exp(x, y) => packed(&(x * 0.5).complex(y).exp());
    complex_expm1(x, y) => packed(&(x * 0.5).complex(y).expm1());
    complex_log(x, y) => packed(&(x * 0.5).complex(y).log());
    complex_log1p(x, y) => packed(&(x * 0.5).complex(y).log1p());
    complex_log2(x, y) => packed(&(x * 0.5).complex(y).log2());
    complex_log10(x, y) => packed(&(x * 0.5).complex(y).log10());
    complex_exp2(x, y) => packed(&(x * 0.5).complex(y).exp2());
    complex_sin(x, y) => packed(&(x * 0.5).complex(y).sin());
    complex_cos(x, y) => packed(&(x * 0.5).complex(y).cos());
    complex_tan(x, y) => packed(&(x * 0.5).complex(y).tan());
    complex_asin(x, y) => packed(&(x * 0.5).complex(y).asin());
    complex_acos(x, y) => packed(&(x * 0.5).complex(y).acos());
    complex_atan(x, y) => packed(&(x * 0.5).complex(y).atan());
    complex_sinh(x, y) => packed(&(x * 0.5).complex(y).sinh());
    complex_cosh(x, y) => packed(&(x * 0.5).complex(y).cosh());
    complex_tanh(x, y) => packed(&(x * 0.5).complex(y).tanh());
    complex_asinh(x, y) => packed(&(x * 0.5).complex(y).asinh());
    complex_acosh(x, y) => packed(&(x * 0.5).complex(y).acosh());
    complex_atanh(x, y) => packed(&(x * 0.5).complex(y).atanh());
    complex_sqrt(x, y) => packed(&(x * 0.5).complex(y).sqrt());
    complex_rsqrt(x, y) => packed(&(x * 0.5).complex(y).rsqrt());
    complex_square(x, y) => packed(&(x * 0.5).complex(y).square());
    complex_reciprocal(x, y) => packed(&(x * 0.5).complex(y).reciprocal());
    complex_logistic(x, y) => packed(&(x * 0.5).complex(y).sigmoid());
    complex_conjugate(x, y) => packed(&(x * 0.5).complex(y).conj());
    complex_negative(x, y) => packed(&(x * 0.5).complex(y).negative());
    complex_cube(x, y) => packed(&(x * 0.5).complex(y).pow(3));
    complex_power_minus_two(x, y) => packed(&(x * 0.5).complex(y).pow(-2));
    complex_nan_to_num(x, y) => packed(&(x * 0.5).complex(y).nan_to_num());
    complex_add(x, y, z, w) => {
        let (a, b) = (x.complex(y), z.complex(w));
        packed(&(&a + &b * &b))
    };
    complex_subtract(x, y, z, w) => {
        let (a, b) = (x.complex(y), z.complex(w));
        packed(&(&a * &a - b))
    };
    complex_multiply(x, y, z, w) => {
        let (a, b) = (x.complex(y), z.complex(w));
        packed(&(a * b))
    };
    complex_divide(x, y, z, w) => {
        let (a, b) = (x.complex(y), z.complex(w));
        packed(&(a / b))
    };
    complex_power(x, y, z, w) => {
        let (a, b) = (x.complex(y), z.complex(w));
        packed(&(a.pow(b)))
    };
    complex_where(x, y, z, w) => {
        let (a, b) = (x.complex(y), z.complex(w));
        packed(&(a.real().gt(0).select(&a * &b, b)))
    };
    complex_broadcast(x, y, z, w) => {
        let (a, b) = (x.complex(y), z.complex(w));
        packed(&(&a * &b + &b))
    };
    complex_equal(x, y) => {
        let a = x.complex(y);
        let b = x.gt(0).select(&a, a.conj());
        (x * y, a.equal(&b), a.not_equal(&b), a.isclose(&b, 1e-5, 1e-8))
    };
    complex_kinds(x, y) => {
        let a = x.complex(y.select(x, 0));
        let finite = (a.is_finite(), a.is_nan(), a.is_inf());
        (x.square(), a.is_complex(), a.is_real(), finite)
    };
    complex_modulus(x, y) => x.complex(y).abs() * x;
    complex_angle(x, y) => x.complex(y).angle();
    complex_parts(x, y) => x.complex(y).real().square() * y.complex(x).imag();
    complex_real_operand(x, y, z) => packed(&(z * x.complex(y) + 2.0));
    complex_polyval(x, y, z, w) => packed(&x.complex(y).polyval(&z.complex(w)));
    complex_grad_of_modulus(x, y) => {
        packed(&grad(|z: Tensor| z.abs().pow(3).sum(..))(x.complex(y)))
    };
}
