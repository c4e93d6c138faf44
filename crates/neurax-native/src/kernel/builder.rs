//! The builder interface of expressions: short names for instructions, which expansions use.

use super::{InstId, InstKind};
use neurax_ir::{
    DType, Literal,
    op::{Binary, Direction, Unary},
};

/// A sequence of instructions that is being built. Equal instructions are one.
pub trait ExprBuilder {
    /// The type of the sources of values.
    type Source;

    /// Appends an instruction, or finds an equal one.
    fn put(&mut self, op: InstKind<Self::Source>, ty: DType) -> InstId;

    /// Returns the dtype of a value.
    fn ty(&self, x: InstId) -> DType;

    /// Returns true if the CPU has fused multiply-add.
    fn has_fma(&self) -> bool;

    /// Emits the immediate `x`, rounded to `ty`.
    fn number(&mut self, ty: DType, x: f64) -> InstId {
        self.put(InstKind::Const(bits_of(ty, x)), ty)
    }

    /// Emits the immediate `value` in the dtype of `x`.
    fn like(&mut self, x: InstId, value: f64) -> InstId {
        self.number(self.ty(x), value)
    }

    /// Emits the immediate with the bits `bits`.
    fn bits(&mut self, ty: DType, bits: u64) -> InstId {
        self.put(InstKind::Const(bits), ty)
    }

    /// Emits a unary instruction, without expansion.
    fn unary_inst(&mut self, f: Unary, x: InstId) -> InstId {
        let ty = self.ty(x);
        self.put(InstKind::Unary(f, x), ty)
    }

    /// Emits a binary instruction, without expansion.
    fn binary_inst(&mut self, f: Binary, x: InstId, y: InstId) -> InstId {
        let ty = self.ty(x);
        self.put(InstKind::Binary(f, x, y), ty)
    }

    /// Emits `x + y`.
    fn add(&mut self, x: InstId, y: InstId) -> InstId {
        self.binary_inst(Binary::Add, x, y)
    }

    /// Emits `x - y`.
    fn sub(&mut self, x: InstId, y: InstId) -> InstId {
        self.binary_inst(Binary::Sub, x, y)
    }

    /// Emits `x * y`.
    fn mul(&mut self, x: InstId, y: InstId) -> InstId {
        self.binary_inst(Binary::Mul, x, y)
    }

    /// Emits `x * y + z`, rounded once if the CPU has fused multiply-add.
    fn fma(&mut self, x: InstId, y: InstId, z: InstId) -> InstId {
        let ty = self.ty(x);
        if self.has_fma() {
            return self.put(InstKind::Fma(x, y, z), ty);
        }
        let p = self.mul(x, y);
        self.add(p, z)
    }

    /// Emits a comparison.
    fn compare(&mut self, d: Direction, x: InstId, y: InstId) -> InstId {
        self.put(InstKind::Compare(d, x, y), DType::Bool)
    }

    /// Emits `pred ? x : y`.
    fn select(&mut self, pred: InstId, x: InstId, y: InstId) -> InstId {
        let ty = self.ty(x);
        self.put(InstKind::Select(pred, x, y), ty)
    }

    /// Emits a conversion to `ty`, if there is one to do.
    fn convert(&mut self, x: InstId, ty: DType) -> InstId {
        if self.ty(x) == ty { x } else { self.put(InstKind::Convert(x), ty) }
    }

    /// Emits a bitcast to `ty`, if there is one to do.
    fn bitcast(&mut self, x: InstId, ty: DType) -> InstId {
        if self.ty(x) == ty { x } else { self.put(InstKind::Bitcast(x), ty) }
    }

    /// Emits the polynomial `c[0] + x (c[1] + x (c[2] + ..))` (Horner's scheme).
    fn polynomial(&mut self, x: InstId, c: &[f64]) -> InstId {
        let Some((&last, rest)) = c.split_last() else { return self.like(x, 0.0) };
        let mut sum = self.like(x, last);
        for &c in rest.iter().rev() {
            let c = self.like(x, c);
            sum = self.fma(sum, x, c);
        }
        sum
    }
}

/// Returns the bits of a number in a dtype that machine code computes in.
pub fn bits_of(ty: DType, x: f64) -> u64 {
    match ty {
        DType::F32 => (x as f32).to_bits() as u64,
        DType::F64 => x.to_bits(),
        DType::Bool => (x != 0.0) as u64,
        // other: integers, of any size.
        _ => x as i128 as u64 & (!0 >> (64 - ty.bits().min(64))),
    }
}

/// Returns the dtype that values of `d` are computed in: f32 for narrow floats.
pub fn computed_in(d: DType) -> DType {
    match d {
        DType::F16 | DType::BF16 => DType::F32,
        d => d,
    }
}

/// Returns the bits of the first element of a literal, `None` if it has no elements.
pub fn first_bits(x: &Literal) -> Option<u64> {
    let first = x.bytes().get(..x.dtype().bits() / 8)?;
    let mut wide = [0; 8];
    wide[..first.len()].copy_from_slice(first);
    Some(u64::from_le_bytes(wide))
}
