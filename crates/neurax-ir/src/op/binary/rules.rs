//! Derivatives of binary functions, and transposes of the linear ones.

use super::Binary::{self, *};
use crate::op::{Bound, Direction, Tangent, Transposed, rules::no_derivative};
use crate::{Builder, DType, Result, Value};

/// Emits the tangent of the result, linear in `dx` and `dy`.
pub fn tangent(
    f: Binary,
    b: &mut Builder,
    at: &Bound,
    dx: Tangent,
    dy: Tangent,
) -> Result<Tangent> {
    let (x, y, out) = (at.xs[0], at.xs[1], at.ys[0]);
    let (tx, ty) = match f {
        Add => (dx, dy),
        Sub => match (dx, dy) {
            (Some(dx), Some(dy)) => (Some(b.sub(dx, dy)), None),
            _ => (dx, dy.map(|dy| b.neg(dy))),
        },
        Div => (dx.map(|dx| b.div(dx, y)), scaled(b, dy, |b| div_slope(b, y, out))),
        Complex => {
            let (re, im) = (b.tangent_or_zero(dx, x), b.tangent_or_zero(dy, y));
            (Some(b.complex(re, im)), None)
        }
        Mul => (scaled(b, dx, |_| y), scaled(b, dy, |_| x)),
        Rem => (dx, scaled(b, dy, |b| rem_slope(b, x, y, out))),
        Pow => (
            scaled(b, dx, |b| pow_slope_base(b, x, y)),
            scaled(b, dy, |b| pow_slope_exponent(b, x, out)),
        ),
        Atan2 => (
            scaled(b, dx, |b| over_square(b, y, x, y)),
            scaled(b, dy, |b| {
                let minus = b.neg(x);
                over_square(b, minus, x, y)
            }),
        ),
        Max => (
            scaled(b, dx, |b| wins(b, Direction::Gt, x, y)),
            scaled(b, dy, |b| wins(b, Direction::Gt, y, x)),
        ),
        Min => (
            scaled(b, dx, |b| wins(b, Direction::Lt, x, y)),
            scaled(b, dy, |b| wins(b, Direction::Lt, y, x)),
        ),
        NextAfter => {
            return no_derivative(
                f.name(),
                "it steps between representable numbers; use stop_gradient around it",
            );
        }
        Polygamma if dx.is_some() => {
            return no_derivative(
                f.name(),
                "its order is a whole number; use stop_gradient around the order",
            );
        }
        Polygamma => (
            None,
            scaled(b, dy, |b| {
                let next = b.add_scalar(x, 1.0);
                b.polygamma(next, y)
            }),
        ),
        Zeta if dx.is_some() => {
            return no_derivative(
                f.name(),
                "it is implemented for its second operand only; use stop_gradient around the first",
            );
        }
        Zeta => (None, scaled(b, dy, |b| zeta_slope(b, x, y))),
        Igamma | Igammac => {
            let upper = f == Igammac;
            (
                scaled(b, dx, |b| {
                    let s = b.emit(IgammaGradA, &[x, y]);
                    if upper { b.neg(s) } else { s }
                }),
                scaled(b, dy, |b| {
                    let s = gamma_density(b, x, y);
                    if upper { b.neg(s) } else { s }
                }),
            )
        }
        IgammaGradA | RandomGammaGrad if dx.is_some() => {
            return no_derivative(
                f.name(),
                "incomplete gamma functions have one derivative by their parameter; use \
                 stop_gradient around it",
            );
        }
        IgammaGradA => (
            None,
            scaled(b, dy, |b| {
                let (density, excess) = (gamma_density(b, x, y), log_excess(b, x, y));
                b.mul(density, excess)
            }),
        ),
        RandomGammaGrad => (None, scaled(b, dy, |b| sample_slope(b, x, y, out))),
        And | Or | Xor | ShiftLeft | ShiftRightArithmetic | ShiftRightLogical => (None, None),
    };
    Ok(b.add_tangents(tx, ty))
}

/// Emits the cotangents of the linear operands.
pub fn transpose(
    f: Binary,
    b: &mut Builder,
    at: &Bound,
    linear: [bool; 2],
    ct: Option<Value>,
) -> Transposed {
    let (x, y) = (at.xs[0], at.xs[1]);
    let [cx, cy] = linear.map(|l| ct.filter(|_| l));
    Transposed::Cotangents(match (f, linear) {
        (Add, _) => vec![cx, cy],
        (Sub, _) => vec![cx, cy.map(|ct| b.neg(ct))],
        (Mul, [_, false]) => vec![cx.map(|ct| b.mul(ct, y)), None],
        (Mul, [false, true]) => vec![None, cy.map(|ct| b.mul(x, ct))],
        (Div, [_, false]) => vec![cx.map(|ct| b.div(ct, y)), None],
        (Complex, _) => vec![
            cx.map(|ct| b.real(ct)),
            cy.map(|ct| {
                let im = b.imag(ct);
                b.neg(im)
            }),
        ],
        (Mul, [true, true]) | (Div, [_, true]) => return Transposed::NotLinear,
        (
            Rem | Pow | Atan2 | Max | Min | And | Or | Xor | ShiftLeft | ShiftRightArithmetic
            | ShiftRightLogical | NextAfter | Polygamma | Zeta | Igamma | Igammac | IgammaGradA
            | RandomGammaGrad,
            _,
        ) => return Transposed::NotLinear,
    })
}

/// Emits the tangent times a slope, which is only computed if there is a tangent.
fn scaled(b: &mut Builder, d: Tangent, slope: impl FnOnce(&mut Builder) -> Value) -> Tangent {
    d.map(|d| {
        let s = slope(b);
        b.mul(d, s)
    })
}

/// Emits d(x/y)/dy = -(x/y) / y.
fn div_slope(b: &mut Builder, y: Value, out: Value) -> Value {
    let s = b.div(out, y);
    b.neg(s)
}

/// Emits d(x rem y)/dy = -trunc(x / y). The quotient comes from the result: `(x - out) / y`,
/// rounded, is that integer.
fn rem_slope(b: &mut Builder, x: Value, y: Value, out: Value) -> Value {
    let whole = b.sub(x, out);
    let q = b.div(whole, y);
    let q = b.emit(crate::op::Unary::RoundEven, &[q]);
    b.neg(q)
}

/// Emits d(x^y)/dx = y x^(y-1), which is 0 for y = 0 and every x, as x^0 is 1 even for NaN. There
/// it is `y / x` if the cube of `1/x` overflows or `x` is NaN: the derivatives of the power would
/// be 0 times infinity.
fn pow_slope_base(b: &mut Builder, x: Value, y: Value) -> Value {
    let (zero, one) = (b.full_like(y, 0.0), b.full_like(y, 1.0));
    let constant = b.compare(Direction::Eq, y, zero);
    let size = b.abs(x);
    let (nowhere, tiny) = (b.full_like(size, 0.0), b.full_like(size, tiny(b.dtype(size))));
    let regular = b.compare(Direction::Gt, size, tiny);
    let singular = b.not(regular);
    let singular = b.and(constant, singular);
    let less = b.sub(y, one);
    let exponent = b.select(singular, zero, less);
    let p = b.pow(x, exponent);
    let slope = b.mul(y, p);
    let invertible = b.compare(Direction::Gt, size, nowhere);
    let divides = b.and(singular, invertible);
    let unit = b.full_like(x, 1.0);
    let divisor = b.select(divides, x, unit);
    let flat = b.div(y, divisor);
    b.select(singular, flat, slope)
}

/// Returns a bound of the numbers of `dtype` whose inverse has a finite cube.
fn tiny(dtype: DType) -> f64 {
    match dtype {
        DType::F64 | DType::C128 => 1e-102,
        DType::F32 | DType::C64 | DType::BF16 => 1e-12,
        _ => 0.04,
    }
}

/// Emits d(x^y)/dy = log(x) x^y, which is 0 for x = 0, as in JAX.
fn pow_slope_exponent(b: &mut Builder, x: Value, out: Value) -> Value {
    let (zero, one) = (b.full_like(x, 0.0), b.full_like(x, 1.0));
    let at_zero = b.compare(Direction::Eq, x, zero);
    let safe = b.select(at_zero, one, x);
    let log = b.log(safe);
    b.mul(log, out)
}

/// Emits d(zeta(s, x))/dx = -s zeta(s + 1, x).
fn zeta_slope(b: &mut Builder, s: Value, x: Value) -> Value {
    let next = b.add_scalar(s, 1.0);
    let z = b.emit(Zeta, &[next, x]);
    let p = b.mul(s, z);
    b.neg(p)
}

/// Emits the density of the gamma distribution, `x^(a-1) e^-x / gamma(a)`; at `x = 0` and `a = 1`,
/// the power is 1.
fn gamma_density(b: &mut Builder, a: Value, x: Value) -> Value {
    let power = b.add_scalar(a, -1.0);
    let zero = b.full_like(power, 0.0);
    let (is_constant, log) = (b.compare(Direction::Eq, power, zero), b.log(x));
    let p = b.mul(power, log);
    let p = b.select(is_constant, zero, p);
    let (p, norm) = (b.sub(p, x), b.emit(crate::op::Unary::Lgamma, &[a]));
    let p = b.sub(p, norm);
    b.exp(p)
}

/// Emits `log(x) - digamma(a)`, the derivative by `a` of the logarithm of the density.
fn log_excess(b: &mut Builder, a: Value, x: Value) -> Value {
    let (log, mean) = (b.log(x), b.digamma(a));
    b.sub(log, mean)
}

/// Emits the derivative by `x` of [`RandomGammaGrad`], `-F / p` with the density `p` and the
/// derivative `F` of its integral: `-(log(x) - digamma(a)) - out ((a - 1) / x - 1)`.
fn sample_slope(b: &mut Builder, a: Value, x: Value, out: Value) -> Value {
    let less = b.add_scalar(a, -1.0);
    let ratio = b.div(less, x);
    let log_slope = b.add_scalar(ratio, -1.0);
    let (p, excess) = (b.mul(out, log_slope), log_excess(b, a, x));
    let sum = b.add(p, excess);
    b.neg(sum)
}

/// Emits `z / (x^2 + y^2)`.
fn over_square(b: &mut Builder, z: Value, x: Value, y: Value) -> Value {
    let (p, q) = (b.square(x), b.square(y));
    let r = b.add(p, q);
    b.div(z, r)
}

/// Emits 1 where `x` wins, 1/2 at ties, else 0.
fn wins(b: &mut Builder, direction: Direction, x: Value, y: Value) -> Value {
    let (win, tie) = (b.compare(direction, x, y), b.compare(Direction::Eq, x, y));
    let (zero, half, one) = (b.full_like(x, 0.0), b.full_like(x, 0.5), b.full_like(x, 1.0));
    let rest = b.select(tie, half, zero);
    b.select(win, one, rest)
}
