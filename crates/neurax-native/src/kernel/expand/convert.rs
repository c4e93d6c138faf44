//! Conversions between dtypes.

use crate::kernel::{ExprBuilder, InstId, InstKind, builder::computed_in};
use neurax_ir::{DType, Kind, op::Direction};

/// Expands a conversion of `x` to `to`: floats round; floats to integers truncate and saturate (NaN
/// becomes 0); integers wrap; a bool is true for non-zero. Narrow floats stay in f32, rounded.
pub fn convert<M: ExprBuilder>(m: &mut M, x: InstId, to: DType) -> InstId {
    let from = m.ty(x);
    let ty = computed_in(to);
    if to == DType::Bool {
        if from == DType::Bool {
            return x;
        }
        let zero = m.like(x, 0.0);
        return m.compare(Direction::Ne, x, zero);
    }
    // From f64 through f32 to a narrower float would round twice. Machines saturate to integers of
    // 4 bytes, not of 1 or 2.
    let y = match (from.kind(), ty.kind()) {
        (Kind::Float, Kind::Signed | Kind::Unsigned) if ty.bits() < 32 => narrowed(m, x, ty),
        // other: one conversion of the kernel IR.
        _ => m.convert(x, ty),
    };
    if to == ty { y } else { m.put(InstKind::Round(to, y), ty) }
}

/// Converts a float to an integer below 4 bytes, saturating.
fn narrowed<M: ExprBuilder>(m: &mut M, x: InstId, ty: DType) -> InstId {
    let y = m.convert(x, DType::I32);
    let (low, high) = match ty.kind() {
        Kind::Signed => (-(1i64 << (ty.bits() - 1)), (1i64 << (ty.bits() - 1)) - 1),
        // other: unsigned; the caller converts to integers only.
        _ => (0, (1i64 << ty.bits()) - 1),
    };
    let (low, high) = (m.number(DType::I32, low as f64), m.number(DType::I32, high as f64));
    let below = m.compare(Direction::Lt, y, low);
    let y = m.select(below, low, y);
    let above = m.compare(Direction::Gt, y, high);
    let y = m.select(above, high, y);
    m.convert(y, ty)
}
