//! Functions of integers and bools: no instruction traps, and results wrap.

use crate::kernel::{ExprBuilder, InstId, InstKind};
use neurax_ir::{
    DType, Kind,
    op::{Binary, Direction, Unary},
};

/// Expands a unary function of integers or bools.
pub fn unary<M: ExprBuilder>(m: &mut M, f: Unary, x: InstId) -> InstId {
    let ty = m.ty(x);
    let zero = m.like(x, 0.0);
    match f {
        Unary::Not if ty == DType::Bool => m.compare(Direction::Eq, x, zero),
        Unary::Abs if ty.kind() == Kind::Signed => {
            let (minus, below) = (m.unary_inst(Unary::Neg, x), m.compare(Direction::Lt, x, zero));
            m.select(below, minus, x)
        }
        Unary::Abs => x,
        Unary::Sign => sign(m, x, zero),
        // other: the emitter has an instruction, or reports that there is none.
        _ => m.unary_inst(f, x),
    }
}

fn sign<M: ExprBuilder>(m: &mut M, x: InstId, zero: InstId) -> InstId {
    let (one, above) = (m.like(x, 1.0), m.compare(Direction::Ne, x, zero));
    let y = m.select(above, one, zero);
    if m.ty(x).kind() != Kind::Signed {
        return y;
    }
    let (minus, below) = (m.like(x, -1.0), m.compare(Direction::Lt, x, zero));
    m.select(below, minus, y)
}

/// Returns the bitwise function that `f` is for bools: sums and maxima are `or`, products and
/// minima are `and`.
pub fn of_bools(f: Binary) -> Binary {
    match f {
        Binary::Add | Binary::Max => Binary::Or,
        Binary::Mul | Binary::Min => Binary::And,
        f => f,
    }
}

/// Expands a binary function of integers or bools.
pub fn binary<M: ExprBuilder>(m: &mut M, f: Binary, x: InstId, y: InstId) -> InstId {
    let ty = m.ty(x);
    match f {
        f if ty == DType::Bool => m.binary_inst(of_bools(f), x, y),
        Binary::Div | Binary::Rem => divide(m, f, x, y),
        Binary::Pow => m.put(InstKind::Call2(f, x, y), ty),
        Binary::ShiftLeft | Binary::ShiftRightLogical | Binary::ShiftRightArithmetic => {
            shift(m, f, x, y)
        }
        Binary::Max | Binary::Min => {
            let first =
                m.compare(if f == Binary::Max { Direction::Gt } else { Direction::Lt }, x, y);
            m.select(first, x, y)
        }
        // other: the emitter has an instruction, or reports that there is none.
        _ => m.binary_inst(f, x, y),
    }
}

/// Expands division and remainder without traps: division by zero is -1 (all bits set) with
/// remainder `x`; the least number divided by -1 wraps.
fn divide<M: ExprBuilder>(m: &mut M, f: Binary, x: InstId, y: InstId) -> InstId {
    let (zero, one) = (m.like(x, 0.0), m.like(x, 1.0));
    let by_zero = m.compare(Direction::Eq, y, zero);
    let mut safe = m.select(by_zero, one, y);
    let mut by_minus = None;
    if m.ty(x).kind() == Kind::Signed {
        let minus = m.like(x, -1.0);
        let is = m.compare(Direction::Eq, y, minus);
        safe = m.select(is, one, safe);
        by_minus = Some(is);
    }
    let q = m.binary_inst(f, x, safe);
    let is_div = f == Binary::Div;
    let q = match by_minus {
        Some(is) if is_div => {
            let negated = m.unary_inst(Unary::Neg, x);
            m.select(is, negated, q)
        }
        // other: the remainder by -1 is 0, as is the one by the 1 that replaces it.
        _ => q,
    };
    let all = m.bits(m.ty(x), !0 >> (64 - m.ty(x).bits()));
    m.select(by_zero, if is_div { all } else { x }, q)
}

/// Expands a shift: by the width or more, or by a negative amount, leaves zeros (or the sign).
fn shift<M: ExprBuilder>(m: &mut M, f: Binary, x: InstId, y: InstId) -> InstId {
    let ty = m.ty(x);
    let (width, most) = (m.like(x, ty.bits() as f64), m.like(x, ty.bits() as f64 - 1.0));
    let unsigned = unsigned(ty);
    let (yu, wu) = (m.bitcast(y, unsigned), m.bitcast(width, unsigned));
    let fits = m.compare(Direction::Lt, yu, wu);
    if f == Binary::ShiftRightArithmetic {
        let by = m.select(fits, y, most);
        return m.binary_inst(f, x, by);
    }
    let zero = m.like(x, 0.0);
    let by = m.select(fits, y, zero);
    let shifted = m.binary_inst(f, x, by);
    m.select(fits, shifted, zero)
}

/// Returns the unsigned dtype of the same width.
fn unsigned(ty: DType) -> DType {
    match ty.bits() {
        8 => DType::U8,
        16 => DType::U16,
        32 => DType::U32,
        // other: 64 bits; there are no wider integers.
        _ => DType::U64,
    }
}
