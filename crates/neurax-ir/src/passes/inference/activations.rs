//! GELU, SiLU and powers.

use super::product::FactorList;
use super::search::{PatternSearch, Replacement, composite_of, is_about, replacement};
use crate::composite::{Gelu, Silu};
use crate::op::{Binary, Unary};
use crate::{Builder, Eqn, Op, Value};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

/// The coefficient of the cubic term in the tanh form of GELU.
const CUBIC_TERM: f64 = 0.044715;

/// Recognizes `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`, with the constants anywhere and
/// the cube as a power or as products.
pub(super) fn gelu_tanh(s: &mut PatternSearch, e: &Eqn) -> Option<Replacement> {
    gelu(s, e, |s, p, x| {
        let argument = s.unary(p, Unary::Tanh)?;
        let have = s.cubic(argument, x)?;
        let slope = FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
        let want = [0.0, slope, 0.0, slope * CUBIC_TERM];
        let dtype = s.ty(x).dtype;
        have.iter().zip(want).all(|(have, want)| is_about(dtype, *have, want)).then_some(true)
    })
}

/// Recognizes `x (1 + erf(x / sqrt(2))) / 2`, with the constants anywhere.
pub(super) fn gelu_erf(s: &mut PatternSearch, e: &Eqn) -> Option<Replacement> {
    gelu(s, e, |s, p, x| {
        let argument = s.unary(p, Unary::Erf)?;
        let (factor, base) = s.multiple(argument);
        (base == x && is_about(s.ty(x).dtype, factor, FRAC_1_SQRT_2)).then_some(false)
    })
}

/// Recognizes `x (1 + p(x)) / 2`. `kind` returns whether `p` is the approximation, for `p(x)` and
/// `x`, if it is one of both.
fn gelu(
    s: &mut PatternSearch,
    e: &Eqn,
    kind: impl Fn(&mut PatternSearch, Value, Value) -> Option<bool>,
) -> Option<Replacement> {
    let (c, [x, p]) = two_factors(s.factors(e)?)?;
    s.in_any_order([x, p], |s, x, p| {
        let sum = s.linear(p);
        let dtype = s.ty(x).dtype;
        let is_half = |n: f64| is_about(dtype, c * n, 0.5);
        if !is_half(sum.offset) || !is_half(sum.slope) {
            return None;
        }
        composite_of(Gelu { approximate: kind(s, sum.x, x)? }, &[x])
    })
}

/// Returns the number and both values of a product of two values and a number.
fn two_factors(list: FactorList) -> Option<(f64, [Value; 2])> {
    match list.factors[..] {
        [(x, false), (y, false)] => Some((list.coefficient, [x, y])),
        _ => None,
    }
}

/// Recognizes `x * logistic(x)`.
pub(super) fn silu(s: &mut PatternSearch, e: &Eqn) -> Option<Replacement> {
    let Op::Binary(Binary::Mul) = e.op else { return None };
    let both = [e.inputs[0], e.inputs[1]];
    s.in_any_order(both, |s, x, p| {
        let argument = s.unary(p, Unary::Logistic)?;
        if argument == x { composite_of(Silu {}, &[x]) } else { None }
    })
}

/// Replaces powers of floats with the exponents 2 and 3 by products, which take one or two
/// instructions instead of about a hundred.
pub(super) fn small_power(s: &mut PatternSearch, e: &Eqn) -> Option<Replacement> {
    let Op::Binary(Binary::Pow) = e.op else { return None };
    let (x, n) = (e.inputs[0], s.number(e.inputs[1])?);
    if n == 2.0 {
        return replacement(&[x], |b, xs| b.square(xs[0]));
    }
    let cube = |b: &mut Builder, xs: &[Value]| {
        let square = b.square(xs[0]);
        b.mul(square, xs[0])
    };
    if n == 3.0 { replacement(&[x], cube) } else { None }
}
