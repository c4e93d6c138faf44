//! Writing instructions: the short names that expansions and expressions are written with.

use super::{InstId, InstKind};
use neurax_ir::{
    DType, Literal,
    op::{Binary, Direction, Unary},
};

/// Something that instructions are added to.
pub trait ExprBuilder {
    /// Where values come from.
    type Source;

    /// Adds an instruction, or finds it.
    fn put(&mut self, op: InstKind<Self::Source>, ty: DType) -> InstId;

    /// The dtype of a value.
    fn ty(&self, x: InstId) -> DType;

    /// Has the CPU fused multiply-add?
    fn has_fma(&self) -> bool;

    /// A number, rounded to that dtype.
    fn number(&mut self, ty: DType, x: f64) -> InstId {
        self.put(InstKind::Const(bits_of(ty, x)), ty)
    }

    /// A number of the dtype of another value.
    fn like(&mut self, x: InstId, value: f64) -> InstId {
        self.number(self.ty(x), value)
    }

    /// Bits of a dtype.
    fn bits(&mut self, ty: DType, bits: u64) -> InstId {
        self.put(InstKind::Const(bits), ty)
    }

    /// A function of one value, without expansion.
    fn unary_inst(&mut self, f: Unary, x: InstId) -> InstId {
        let ty = self.ty(x);
        self.put(InstKind::Unary(f, x), ty)
    }

    /// A function of two values, without expansion.
    fn binary_inst(&mut self, f: Binary, x: InstId, y: InstId) -> InstId {
        let ty = self.ty(x);
        self.put(InstKind::Binary(f, x, y), ty)
    }

    /// `x + y`
    fn add(&mut self, x: InstId, y: InstId) -> InstId {
        self.binary_inst(Binary::Add, x, y)
    }

    /// `x - y`
    fn sub(&mut self, x: InstId, y: InstId) -> InstId {
        self.binary_inst(Binary::Sub, x, y)
    }

    /// `x * y`
    fn mul(&mut self, x: InstId, y: InstId) -> InstId {
        self.binary_inst(Binary::Mul, x, y)
    }

    /// `x * y + z`, rounded once where the CPU can.
    fn fma(&mut self, x: InstId, y: InstId, z: InstId) -> InstId {
        let ty = self.ty(x);
        if self.has_fma() {
            return self.put(InstKind::Fma(x, y, z), ty);
        }
        let p = self.mul(x, y);
        self.add(p, z)
    }

    /// A comparison.
    fn compare(&mut self, d: Direction, x: InstId, y: InstId) -> InstId {
        self.put(InstKind::Compare(d, x, y), DType::Bool)
    }

    /// `pred ? x : y`
    fn select(&mut self, pred: InstId, x: InstId, y: InstId) -> InstId {
        let ty = self.ty(x);
        self.put(InstKind::Select(pred, x, y), ty)
    }

    /// The same number in another dtype.
    fn convert(&mut self, x: InstId, ty: DType) -> InstId {
        if self.ty(x) == ty { x } else { self.put(InstKind::Convert(x), ty) }
    }

    /// The same bits in another dtype.
    fn bitcast(&mut self, x: InstId, ty: DType) -> InstId {
        if self.ty(x) == ty { x } else { self.put(InstKind::Bitcast(x), ty) }
    }

    /// `c[0] + x (c[1] + x (c[2] + ..))`
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

/// The bits of a number in a dtype that machine code computes in.
pub fn bits_of(ty: DType, x: f64) -> u64 {
    match ty {
        DType::F32 => (x as f32).to_bits() as u64,
        DType::F64 => x.to_bits(),
        DType::Bool => (x != 0.0) as u64,
        _ => x as i128 as u64 & (!0 >> (64 - ty.bits().min(64))),
    }
}

/// The dtype that values of a dtype are computed in: narrow floats in f32.
pub fn computed_in(d: DType) -> DType {
    match d {
        DType::F16 | DType::BF16 => DType::F32,
        d => d,
    }
}

/// The bits of the first element of a value, as they stand in memory; `None` if it has none.
pub fn first_bits(x: &Literal) -> Option<u64> {
    let first = x.bytes().get(..x.dtype().bits() / 8)?;
    let mut wide = [0; 8];
    wide[..first.len()].copy_from_slice(first);
    Some(u64::from_le_bytes(wide))
}
