//! Expansion of functions into instructions that have machine code.
//!
//! Transcendental functions of floats are expanded by range reduction and a minimax polynomial: the
//! argument is reduced to a small interval, a polynomial approximates the function there
//! (`coefficients`, fitted by `scripts/minimax.py`), and the result is reconstructed.
//!
//! ```text
//! exp(x):   n = round(x / ln 2);  r = x - n ln 2;  exp(x) = 2^n (1 + r + r^2 p(r))
//! ```
//!
//! There are no branches, so that all lanes of a vector take the same path. Arguments for which a
//! reduction does not suffice are patched by a call of the scalar library ([`InstKind::Patch`]);
//! functions without an expansion are calls for every lane. Error bounds stand in
//! `docs/accuracy.md` and are asserted by `tests/accuracy.rs`, and for CPUs without fused
//! multiply-add by `emulate`.

mod arc;
mod coefficients;
mod convert;
#[cfg(test)]
mod emulate;
mod erf;
mod exp;
mod integer;
mod log;
mod parts;
mod power;
mod trig;

use super::{ExprBuilder, InstId, InstKind};
use neurax_ir::{
    DType, Kind,
    op::{Binary, Direction, Unary},
};

pub use convert::convert;
pub use integer::of_bools;

/// Expands a unary function.
pub fn unary<M: ExprBuilder>(m: &mut M, f: Unary, x: InstId) -> InstId {
    let ty = m.ty(x);
    match ty.kind() {
        Kind::Float => float(m, f, x),
        // other: integers and bool; the verifier refuses complex numbers.
        _ => integer::unary(m, f, x),
    }
}

/// Expands a binary function.
pub fn binary<M: ExprBuilder>(m: &mut M, f: Binary, x: InstId, y: InstId) -> InstId {
    match m.ty(x).kind() {
        Kind::Float => match f {
            Binary::Add | Binary::Sub | Binary::Mul | Binary::Div | Binary::Max | Binary::Min => {
                m.binary_inst(f, x, y)
            }
            Binary::Pow if m.ty(x) == DType::F32 => power::pow(m, x, y),
            Binary::Atan2 if m.ty(x) == DType::F32 => arc::atan2(m, x, y),
            // other: a call of the scalar function in `library`, which knows all of `Binary`.
            _ => {
                let ty = m.ty(x);
                m.put(InstKind::Call2(f, x, y), ty)
            }
        },
        // other: integers and bool, as in `unary`.
        _ => integer::binary(m, f, x, y),
    }
}

fn float<M: ExprBuilder>(m: &mut M, f: Unary, x: InstId) -> InstId {
    let ty = m.ty(x);
    match f {
        Unary::Neg | Unary::Abs | Unary::Sqrt | Unary::Floor | Unary::Ceil | Unary::RoundEven => {
            m.unary_inst(f, x)
        }
        Unary::Rsqrt => {
            let (one, root) = (m.like(x, 1.0), m.unary_inst(Unary::Sqrt, x));
            m.binary_inst(Binary::Div, one, root)
        }
        Unary::Sign => sign(m, x),
        Unary::RoundAway => round_away(m, x),
        Unary::IsFinite => {
            let (size, end) = (m.unary_inst(Unary::Abs, x), m.like(x, f64::INFINITY));
            m.compare(Direction::Lt, size, end)
        }
        Unary::Exp => exp::exp(m, x),
        Unary::Expm1 => exp::expm1(m, x),
        Unary::Tanh => exp::tanh(m, x),
        Unary::Logistic => exp::logistic(m, x),
        Unary::Sinh => exp::sinh(m, x),
        Unary::Cosh => exp::cosh(m, x),
        Unary::Log => log::log(m, x),
        Unary::Log1p => log::log1p(m, x),
        Unary::Asinh => log::asinh(m, x),
        Unary::Acosh => log::acosh(m, x),
        Unary::Atanh => log::atanh(m, x),
        Unary::Sin => trig::sin(m, x),
        Unary::Cos => trig::cos(m, x),
        Unary::Tan => trig::tan(m, x),
        Unary::Asin if ty == DType::F32 => arc::asin(m, x),
        Unary::Acos if ty == DType::F32 => arc::acos(m, x),
        Unary::Atan if ty == DType::F32 => arc::atan(m, x),
        Unary::Erf if ty == DType::F32 => erf::erf(m, x),
        Unary::Erfc if ty == DType::F32 => erf::erfc(m, x),
        Unary::ErfInv => erf::erf_inv(m, x),
        Unary::Cbrt if ty == DType::F32 => power::cbrt(m, x),
        // other: a call of the scalar function in `library`, which knows all of `Unary`.
        _ => m.put(InstKind::Call1(f, x), ty),
    }
}

/// Expands the sign: -1 or 1; zeros and NaN are kept.
fn sign<M: ExprBuilder>(m: &mut M, x: InstId) -> InstId {
    let (zero, one, minus) = (m.like(x, 0.0), m.like(x, 1.0), m.like(x, -1.0));
    let (above, below) = (m.compare(Direction::Gt, x, zero), m.compare(Direction::Lt, x, zero));
    let y = m.select(above, one, x);
    m.select(below, minus, y)
}

/// Expands rounding half away from zero: truncates, and adds one if the fraction is a half or more.
/// Adding a half first would not be exact.
fn round_away<M: ExprBuilder>(m: &mut M, x: InstId) -> InstId {
    let size = m.unary_inst(Unary::Abs, x);
    let down = m.unary_inst(Unary::Floor, size);
    let (half, one) = (m.like(x, 0.5), m.like(x, 1.0));
    let fraction = m.sub(size, down);
    let (far, up) = (m.compare(Direction::Ge, fraction, half), m.add(down, one));
    let y = m.select(far, up, down);
    parts::copy_sign(m, y, x)
}
