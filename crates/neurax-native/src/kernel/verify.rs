//! What must hold for every kernel. A broken one is an error of this crate: it is refused before it becomes machine code.

use super::{Do, Id, Inst, Kernel, Leaf, Size, Stride};
use neurax_ir::{DType, Error, Result};

/// Checks a kernel whose parameters number `params`.
///
/// # Errors
/// What is wrong, and where.
pub fn verify(k: &Kernel, params: usize) -> Result<()> {
    let v = Verifier { k, params };
    let inner = k.stages.iter().flat_map(|s| &s.inner);
    k.outer.iter().chain(inner).try_for_each(|s| v.size(s))?;
    for (i, o) in k.operands.iter().enumerate() {
        let stage = o.stage as usize;
        v.must(stage < k.stages.len(), || format!("operand @{i} is of stage {stage}, which does not exist"))?;
        v.strides(&o.strides, stage)?;
    }
    (0..k.stages.len()).try_for_each(|s| v.stage(s))
}

struct Verifier<'a> {
    k: &'a Kernel,
    params: usize,
}

impl Verifier<'_> {
    fn must(&self, holds: bool, why: impl FnOnce() -> String) -> Result<()> {
        if holds { Ok(()) } else { Err(Error::new("kernel", format!("{}\n{}", why(), self.k))) }
    }

    fn param(&self, p: u16) -> Result<()> {
        self.must((p as usize) < self.params, || format!("parameter #{p} is not given"))
    }

    fn size(&self, s: &Size) -> Result<()> {
        if let Size::Param(p) = s { self.param(*p) } else { Ok(()) }
    }

    fn strides(&self, strides: &[Stride], stage: usize) -> Result<()> {
        let depth = self.k.depth(stage);
        self.must(strides.len() == depth, || format!("{} strides for {depth} loops of stage {stage}", strides.len()))?;
        strides.iter().try_for_each(|s| if let Stride::Param(p) = s { self.param(*p) } else { Ok(()) })
    }

    fn stage(&self, s: usize) -> Result<()> {
        let stage = &self.k.stages[s];
        for (i, inst) in stage.insts.iter().enumerate() {
            let late = inst.all_reads().find(|&x| x as usize >= i);
            self.must(late.is_none(), || format!("%{i} of stage {s} reads a later value"))?;
            self.leaf(s, inst)?;
            self.must(self.types(s, inst), || format!("%{i} of stage {s} has operands of wrong types"))?;
        }
        let known = |x: Id| (x as usize) < stage.insts.len();
        self.must(stage.folds.iter().all(|f| known(f.value)), || format!("a fold of stage {s} reads what is not there"))?;
        for st in &stage.stores {
            let ids = [Some(st.value), st.at, st.guard];
            self.must(ids.into_iter().flatten().all(known), || format!("a store of stage {s} reads what is not there"))?;
            self.operand(s, st.operand, stage.insts[st.value as usize].ty)?;
        }
        Ok(())
    }

    fn operand(&self, s: usize, operand: u16, ty: DType) -> Result<()> {
        let o = self.k.operands.get(operand as usize);
        self.must(o.is_some_and(|o| o.stage as usize == s && o.dtype == ty), || format!("@{operand} is not {ty} of stage {s}"))
    }

    fn leaf(&self, s: usize, inst: &Inst<Leaf>) -> Result<()> {
        match &inst.op {
            Do::Leaf(Leaf::Load { operand, .. }) => self.operand(s, *operand, inst.ty),
            Do::Leaf(Leaf::Index { strides, base }) => {
                self.must(matches!(inst.ty, DType::I32 | DType::I64), || format!("a counter is i32 or i64, not {}", inst.ty))?;
                base.map_or(Ok(()), |p| self.param(p))?;
                self.strides(strides, s)
            }
            Do::Leaf(Leaf::Number(p)) => self.param(*p),
            Do::Leaf(Leaf::Fold { stage, fold }) => {
                let there = (*stage as usize) < s && (*fold as usize) < self.k.stages[*stage as usize].folds.len();
                self.must(there, || format!("stage {s} reads accumulator {stage}.{fold}, which is not finished"))
            }
            _ => Ok(()),
        }
    }

    /// Do operands have the types that the instruction takes?
    fn types(&self, s: usize, inst: &Inst<Leaf>) -> bool {
        let of = |x: Id| self.k.stages[s].insts[x as usize].ty;
        let same = |xs: &[Id]| xs.iter().all(|&x| of(x) == inst.ty);
        match &inst.op {
            Do::Leaf(_) | Do::Const(_) | Do::Convert(_) => true,
            Do::Unary(_, x) | Do::Call1(_, x) => same(&[*x]),
            Do::Binary(_, x, y) | Do::Call2(_, x, y) => same(&[*x, *y]),
            Do::Compare(_, x, y) => of(*x) == of(*y) && inst.ty == DType::Bool,
            Do::Select(p, x, y) | Do::Patch(_, p, x, y) => of(*p) == DType::Bool && same(&[*x, *y]),
            Do::Fma(x, y, z) => inst.ty.is_float() && same(&[*x, *y, *z]),
            Do::Bitcast(x) => of(*x).bits() == inst.ty.bits(),
            Do::Round(to, x) => inst.ty == DType::F32 && of(*x) == DType::F32 && to.bits() == 16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Fold, Lanes, Operand, Stage, Store};
    use neurax_ir::op::{Binary, ReduceKind};

    /// The sums of the rows of an array.
    fn rows() -> Kernel {
        let load = |operand| Inst { op: Do::Leaf(Leaf::Load { operand, at: None }), ty: DType::F32 };
        let first =
            Stage { inner: vec![Size::Param(1)], insts: vec![load(0)], folds: vec![Fold { kind: ReduceKind::Sum, value: 0 }], stores: vec![] };
        let total = Inst { op: Do::Leaf(Leaf::Fold { stage: 0, fold: 0 }), ty: DType::F32 };
        let second = Stage { insts: vec![total], stores: vec![Store { operand: 1, value: 0, at: None, guard: None }], ..Stage::default() };
        let operand = |stage, strides: &[Stride]| Operand { dtype: DType::F32, stage, strides: strides.to_vec() };
        let operands = vec![operand(0, &[Stride::Param(2), Stride::Unit]), operand(1, &[Stride::Param(3)])];
        Kernel { outer: vec![Size::Param(0)], lanes: Lanes::Inner, operands, stages: vec![first, second] }
    }

    #[test]
    fn a_kernel_reads_like_its_loops() {
        verify(&rows(), 4).unwrap();
        let text = "kernel [#0] lanes inner\n  @0: f32 stage 0 [#2, 1]\n  @1: f32 stage 1 [#3]\n  stage [#1]\n    %0: f32 = load @0\n    fold 0: sum %0\n  \
                    stage []\n    %0: f32 = fold 0.0\n    store @1 %0\n";
        assert_eq!(rows().to_string(), text);
    }

    #[test]
    fn broken_kernels_are_refused() {
        let say = |change: &dyn Fn(&mut Kernel), params: usize| {
            let mut k = rows();
            change(&mut k);
            verify(&k, params).unwrap_err().to_string()
        };
        assert!(say(&|_| (), 3).contains("parameter #3 is not given"));
        assert!(say(&|k| k.operands[0].strides.truncate(1), 4).contains("1 strides for 2 loops"));
        assert!(say(&|k| k.stages[1].insts[0].op = Do::Leaf(Leaf::Fold { stage: 1, fold: 0 }), 4).contains("accumulator 1.0"));
        assert!(say(&|k| k.stages[1].stores[0].operand = 0, 4).contains("@0 is not f32 of stage 1"));
        assert!(say(&|k| k.stages[0].insts.push(Inst { op: Do::Binary(Binary::Add, 0, 1), ty: DType::F32 }), 4).contains("reads a later value"));
        assert!(say(&|k| k.stages[0].insts.push(Inst { op: Do::Binary(Binary::Add, 0, 0), ty: DType::F64 }), 4).contains("wrong types"));
    }
}
