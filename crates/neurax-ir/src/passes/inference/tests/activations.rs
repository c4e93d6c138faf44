//! GELU, SiLU and powers.

use super::*;

const ERF: &str = "%1: f32[2, 8] = gelu[approximate=false](%0); return %1";
const TANH: &str = "%1: f32[2, 8] = gelu[approximate=true](%0); return %1";

fn plus_one_erf(b: &mut Builder, argument: Value) -> Value {
    let erf = b.emit(Unary::Erf, &[argument]);
    b.add_scalar(erf, 1.0)
}

#[test]
fn gelu_by_the_error_function() {
    let spellings: [MakeGraph; 5] = [
        // PyTorch: x / sqrt(2), half of the product.
        &|b, x| {
            let u = divided(b, x[0], 1.4142135381698608);
            let p = plus_one_erf(b, u);
            let y = b.mul(x[0], p);
            b.mul_scalar(y, 0.5)
        },
        // Half of the sum, by x.
        &|b, x| {
            let u = b.mul_scalar(x[0], std::f32::consts::FRAC_1_SQRT_2.into());
            let p = plus_one_erf(b, u);
            let p = b.mul_scalar(p, 0.5);
            b.mul(p, x[0])
        },
        // The optimizer of ONNX Runtime, and Keras: half of x first.
        &|b, x| {
            let u = divided(b, x[0], std::f64::consts::SQRT_2);
            let p = plus_one_erf(b, u);
            let half = b.mul_scalar(x[0], 0.5);
            b.mul(half, p)
        },
        // The distribution function as a sum.
        &|b, x| {
            let u = b.mul_scalar(x[0], std::f64::consts::FRAC_1_SQRT_2);
            let erf = b.emit(Unary::Erf, &[u]);
            let p = b.mul_scalar(erf, 0.5);
            let p = b.add_scalar(p, 0.5);
            b.mul(x[0], p)
        },
        // Divided by two.
        &|b, x| {
            let u = divided(b, x[0], std::f64::consts::SQRT_2);
            let p = plus_one_erf(b, u);
            let y = b.mul(p, x[0]);
            divided(b, y, 2.0)
        },
    ];
    for make in spellings {
        becomes("gelu_erf 1", ERF, &[f32s(&[2, 8])], make);
    }
}

fn half_by_tanh(b: &mut Builder, x: Value, argument: Value) -> Value {
    let t = b.tanh(argument);
    let p = b.add_scalar(t, 1.0);
    let half = b.mul_scalar(x, 0.5);
    b.mul(half, p)
}

#[test]
fn gelu_by_the_hyperbolic_tangent() {
    let spellings: [MakeGraph; 4] = [
        // PyTorch and Keras: the cube as a power.
        &|b, x| {
            let cube = pow(b, x[0], 3.0);
            let cube = b.mul_scalar(cube, 0.044715);
            let sum = b.add(x[0], cube);
            let u = b.mul_scalar(sum, 0.7978845608028654);
            half_by_tanh(b, x[0], u)
        },
        // PyTorch's own decomposition: the cube as products.
        &|b, x| {
            let square = b.square(x[0]);
            let cube = b.mul(x[0], square);
            let cube = b.mul_scalar(cube, 0.044715);
            let sum = b.add(cube, x[0]);
            let u = b.mul_scalar(sum, 0.79788456);
            let t = b.tanh(u);
            let p = b.add_scalar(t, 1.0);
            let y = b.mul(x[0], p);
            b.mul_scalar(y, 0.5)
        },
        // JAX: the coefficient inside of the products.
        &|b, x| {
            let y = b.mul_scalar(x[0], 0.044715);
            let y = b.mul(x[0], y);
            let y = b.mul(x[0], y);
            let sum = b.add(x[0], y);
            let u = b.mul_scalar(sum, 0.7978846);
            half_by_tanh(b, x[0], u)
        },
        // Factored out, as in FastGelu: x (a + b x^2).
        &|b, x| {
            let square = b.square(x[0]);
            let y = b.mul_scalar(square, 0.035677408136300125);
            let y = b.add_scalar(y, 0.7978845608028654);
            let u = b.mul(y, x[0]);
            half_by_tanh(b, x[0], u)
        },
    ];
    for make in spellings {
        becomes("gelu_tanh 1", TANH, &[f32s(&[2, 8])], make);
    }
}

#[test]
fn constants_are_rounded_to_the_dtype() {
    let make: MakeGraph = &|b, x| {
        let u = divided(b, x[0], 1.4140625);
        let p = plus_one_erf(b, u);
        let y = b.mul(x[0], p);
        b.mul_scalar(y, 0.5)
    };
    let want = "%1: f16[2, 8] = gelu[approximate=false](%0); return %1";
    becomes("gelu_erf 1", want, &[Type::new(DType::F16, [2, 8])], make);
    is_kept(&[f32s(&[2, 8])], make);
}

#[test]
fn other_functions_are_no_gelu() {
    let kept: [MakeGraph; 4] = [
        // Another factor, another offset, another operand, a result inside that is read.
        &|b, x| {
            let u = b.mul_scalar(x[0], 0.7);
            let p = plus_one_erf(b, u);
            let y = b.mul(x[0], p);
            b.mul_scalar(y, 0.5)
        },
        &|b, x| {
            let u = b.mul_scalar(x[0], std::f64::consts::FRAC_1_SQRT_2);
            let erf = b.emit(Unary::Erf, &[u]);
            let p = b.add_scalar(erf, 2.0);
            let y = b.mul(x[0], p);
            b.mul_scalar(y, 0.5)
        },
        &|b, x| {
            let u = b.mul_scalar(x[1], std::f64::consts::FRAC_1_SQRT_2);
            let p = plus_one_erf(b, u);
            let y = b.mul(x[0], p);
            b.mul_scalar(y, 0.5)
        },
        &|b, x| {
            let u = b.mul_scalar(x[0], std::f64::consts::FRAC_1_SQRT_2);
            let p = plus_one_erf(b, u);
            let y = b.mul(x[0], p);
            let y = b.mul_scalar(y, 0.5);
            b.sub(y, p)
        },
    ];
    for make in kept {
        is_kept(&[f32s(&[2, 8]), f32s(&[2, 8])], make);
    }
}

#[test]
fn silu_in_both_orders() {
    let spellings: [MakeGraph; 2] = [
        &|b, x| {
            let p = b.logistic(x[0]);
            b.mul(x[0], p)
        },
        &|b, x| {
            let p = b.logistic(x[0]);
            b.mul(p, x[0])
        },
    ];
    for make in spellings {
        becomes("silu 1", "%1: f32[2, 8] = silu(%0); return %1", &[f32s(&[2, 8])], make);
    }
    // A gate.
    is_kept(&[f32s(&[2, 8]), f32s(&[2, 8])], &|b, x| {
        let p = b.logistic(x[1]);
        b.mul(x[0], p)
    });
}

#[test]
fn small_powers_are_products() {
    let square = "%1: f32[8] = multiply(%0, %0); return %1";
    becomes("small_power 1", square, &[f32s(&[8])], &|b, x| pow(b, x[0], 2.0));
    let cube = "%1: f32[8] = multiply(%0, %0); %2: f32[8] = multiply(%1, %0); return %2";
    becomes("small_power 1", cube, &[f32s(&[8])], &|b, x| pow(b, x[0], 3.0));
    is_kept(&[f32s(&[8])], &|b, x| pow(b, x[0], 2.5));
}
