//! The kernel verifier: checks the invariants of the kernel IR before code generation.
//!
//! A kernel that breaks one is an error of this crate. The verifier checks that
//!
//! - operands, parameters, stages and accumulators exist, and an accumulator is read by later
//!   stages only;
//! - an operand has a stride for every loop around its stage;
//! - operands of an instruction precede it and have the types that it takes;
//! - the instruction has machine code for its types: the dtype of its result is one that machine
//!   code computes with, and f16 and bf16 are only loaded, stored, converted and selected.

use super::{Inst, InstId, InstKind, InstSource, Kernel, Size, Stride};
use crate::support::{has_machine_code, is_half};
use neurax_ir::{
    DType, Kind, Result,
    op::{Binary, ReduceKind, Unary},
};

/// Verifies a kernel that is called with `params` parameters.
///
/// # Errors
/// If an invariant is broken, with the kernel as text.
pub fn verify(k: &Kernel, params: usize) -> Result<()> {
    let v = Verifier { k, params };
    let inner = k.stages.iter().flat_map(|s| &s.inner);
    k.outer.iter().chain(inner).try_for_each(|s| v.size(s))?;
    for (i, o) in k.operands.iter().enumerate() {
        let stage = o.stage as usize;
        v.must(stage < k.stages.len(), || {
            format!("operand @{i} is of stage {stage}, which does not exist")
        })?;
        v.strides(&o.strides, stage)?;
    }
    (0..k.stages.len()).try_for_each(|s| v.stage(s))
}

/// A kernel that is being verified.
struct Verifier<'a> {
    k: &'a Kernel,
    params: usize,
}

impl Verifier<'_> {
    fn must(&self, holds: bool, why: impl FnOnce() -> String) -> Result<()> {
        if holds { Ok(()) } else { Err(self.k.bug(why())) }
    }

    fn param(&self, p: u16) -> Result<()> {
        self.must((p as usize) < self.params, || format!("parameter #{p} is not passed"))
    }

    fn size(&self, s: &Size) -> Result<()> {
        if let Size::Param(p) = s { self.param(*p) } else { Ok(()) }
    }

    fn strides(&self, strides: &[Stride], stage: usize) -> Result<()> {
        let depth = self.k.depth(stage);
        self.must(strides.len() == depth, || {
            format!("{} strides for {depth} loops of stage {stage}", strides.len())
        })?;
        strides
            .iter()
            .try_for_each(|s| if let Stride::Param(p) = s { self.param(*p) } else { Ok(()) })
    }

    fn stage(&self, s: usize) -> Result<()> {
        let stage = &self.k.stages[s];
        self.must(!stage.in_blocks || self.k.has_float_sum(s), || {
            format!("stage {s} is divided into blocks, but has no sum of floats")
        })?;
        for (i, inst) in stage.insts.iter().enumerate() {
            let late = inst.all_reads().find(|&x| x as usize >= i);
            self.must(late.is_none(), || format!("%{i} of stage {s} reads a later value"))?;
            self.must(has_machine_code(inst.ty), || {
                format!("%{i} of stage {s} is {}, which has no machine code", inst.ty)
            })?;
            self.source(s, inst)?;
            self.must(self.types(s, inst), || {
                format!("%{i} of stage {s} has operands of wrong types, or no machine code")
            })?;
        }
        let known = |x: InstId| (x as usize) < stage.insts.len();
        self.must(stage.accumulators.iter().all(|f| known(f.value)), || {
            format!("an accumulator of stage {s} reads a value that does not exist")
        })?;
        for (i, f) in stage.accumulators.iter().enumerate() {
            let ty = stage.insts[f.value as usize].ty;
            self.must(accumulates(f.kind, ty), || {
                format!(
                    "accumulator {i} of stage {s} has no machine code: {} of {ty}",
                    f.kind.name()
                )
            })?;
        }
        for st in &stage.stores {
            let ids = [Some(st.value), st.at, st.guard];
            self.must(ids.into_iter().flatten().all(known), || {
                format!("a store of stage {s} reads a value that does not exist")
            })?;
            self.operand(s, st.operand, stage.insts[st.value as usize].ty)?;
            self.is(s, st.at, DType::I64, "the offset of a store")?;
            self.is(s, st.guard, DType::Bool, "the guard of a store")?;
        }
        Ok(())
    }

    fn is(&self, s: usize, x: Option<InstId>, ty: DType, what: &str) -> Result<()> {
        let of = |x: InstId| self.k.stages[s].insts[x as usize].ty;
        self.must(x.is_none_or(|x| of(x) == ty), || format!("{what} in stage {s} is not {ty}"))
    }

    fn operand(&self, s: usize, operand: u16, ty: DType) -> Result<()> {
        let o = self.k.operands.get(operand as usize);
        self.must(o.is_some_and(|o| o.stage as usize == s && o.dtype == ty), || {
            format!("@{operand} is not {ty} of stage {s}")
        })
    }

    fn source(&self, s: usize, inst: &Inst<InstSource>) -> Result<()> {
        match &inst.op {
            InstKind::Source(InstSource::Load { operand, at }) => {
                self.is(s, *at, DType::I64, "the offset of a load")?;
                self.operand(s, *operand, inst.ty)
            }
            InstKind::Source(InstSource::Index { strides, base }) => {
                self.must(matches!(inst.ty, DType::I32 | DType::I64), || {
                    format!("a counter is i32 or i64, not {}", inst.ty)
                })?;
                if let Some(param) = *base {
                    self.param(param)?;
                }
                self.strides(strides, s)
            }
            InstKind::Source(InstSource::Param(p)) => self.param(*p),
            InstKind::Source(InstSource::Accumulator { stage, accumulator }) => {
                let from = self.k.stages[..s].get(*stage as usize).and_then(|from| {
                    Some((from, from.accumulators.get(*accumulator as usize)?.value))
                });
                self.must(from.is_some(), || {
                    format!(
                        "stage {s} reads accumulator {stage}.{accumulator}, which is not finished"
                    )
                })?;
                let same =
                    from.is_some_and(|(from, value)| from.insts[value as usize].ty == inst.ty);
                self.must(same, || format!("accumulator {stage}.{accumulator} is not {}", inst.ty))
            }
            // other: not a source.
            _ => Ok(()),
        }
    }

    /// Returns true if the operands have the types that the instruction takes.
    fn types(&self, s: usize, inst: &Inst<InstSource>) -> bool {
        let of = |x: InstId| self.k.stages[s].insts[x as usize].ty;
        let same = |xs: &[InstId]| xs.iter().all(|&x| of(x) == inst.ty);
        match &inst.op {
            InstKind::Source(_) | InstKind::Const(_) => true,
            InstKind::Convert(x) => converts(of(*x), inst.ty),
            InstKind::Unary(f, x) => same(&[*x]) && has_code(*f, inst.ty),
            InstKind::Binary(f, x, y) => same(&[*x, *y]) && has_code2(*f, inst.ty),
            InstKind::Call1(_, x) => same(&[*x]) && is_computed_float(inst.ty),
            InstKind::Call2(_, x, y) => same(&[*x, *y]) && is_computed_number(inst.ty),
            InstKind::Compare(_, x, y) => {
                of(*x) == of(*y) && !is_half(of(*x)) && inst.ty == DType::Bool
            }
            InstKind::Select(p, x, y) => of(*p) == DType::Bool && same(&[*x, *y]),
            InstKind::Patch(_, p, x, y) => {
                of(*p) == DType::Bool && same(&[*x, *y]) && is_computed_float(inst.ty)
            }
            InstKind::Fma(x, y, z) => is_computed_float(inst.ty) && same(&[*x, *y, *z]),
            InstKind::Bitcast(x) => of(*x).bits() == inst.ty.bits(),
            InstKind::Round(to, x) => inst.ty == DType::F32 && of(*x) == DType::F32 && is_half(*to),
        }
    }
}

/// Returns true for the floats that machine code computes with; f16 and bf16 are converted first.
fn is_computed_float(ty: DType) -> bool {
    ty.is_float() && !is_half(ty)
}

/// Returns true for the floats and integers that machine code computes with.
fn is_computed_number(ty: DType) -> bool {
    ty != DType::Bool && !is_half(ty)
}

/// Returns true if a conversion between the dtypes has machine code. Conversions to bool are
/// comparisons, and those between an f64 and a narrow float go through f32.
fn converts(from: DType, to: DType) -> bool {
    use Kind::*;
    match (from.kind(), to.kind()) {
        _ if from == to => true,
        (Float, Float) => from == DType::F32 || to == DType::F32,
        (Float, Signed | Unsigned) => !is_half(from),
        (Bool | Signed | Unsigned, Float) => !is_half(to),
        (Bool | Signed | Unsigned, Signed | Unsigned) => true,
        (Float | Bool | Signed | Unsigned, Bool | Storage | Complex) | (Complex | Storage, _) => {
            false
        }
    }
}

/// Returns true if values of `ty` have machine code that combines them by `kind`.
fn accumulates(kind: ReduceKind, ty: DType) -> bool {
    match kind {
        ReduceKind::Sum | ReduceKind::Prod | ReduceKind::Max | ReduceKind::Min => !is_half(ty),
        ReduceKind::And | ReduceKind::Or | ReduceKind::Xor => !ty.is_float(),
    }
}

/// Returns true if a unary function has machine code for `ty`. All others are expanded, or call the
/// scalar library.
fn has_code(f: Unary, ty: DType) -> bool {
    use Unary::*;
    match f {
        Neg => is_computed_number(ty),
        Abs | Sqrt | Floor | Ceil | RoundEven => is_computed_float(ty),
        Not | PopulationCount | CountLeadingZeros => !ty.is_float(),
        Sign | Exp | Expm1 | Log | Log1p | Sin | Cos | Tan | Asin | Acos | Atan | Sinh | Cosh
        | Tanh | Asinh | Acosh | Atanh | Rsqrt | Cbrt | Logistic | Erf | Erfc | ErfInv | Lgamma
        | Digamma | BesselI0e | BesselI1e | RoundAway | IsFinite | Real | Imag | Conj => false,
    }
}

/// Returns true if a binary function has machine code for `ty`.
fn has_code2(f: Binary, ty: DType) -> bool {
    use Binary::*;
    match f {
        Add | Sub | Mul | Div => is_computed_number(ty),
        Max | Min => is_computed_float(ty),
        Rem | And | Or | Xor | ShiftLeft | ShiftRightArithmetic | ShiftRightLogical => {
            !ty.is_float()
        }
        Pow | Atan2 | Complex | NextAfter | Polygamma | Zeta | Igamma | Igammac | IgammaGradA
        | RandomGammaGrad => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Accumulator, ArrayOperand, LoopStage, Store, VectorAxis};
    use neurax_ir::op::ReduceKind;

    /// Returns a kernel that sums the rows of an array.
    fn rows() -> Kernel {
        let load = |operand| Inst {
            op: InstKind::Source(InstSource::Load { operand, at: None }),
            ty: DType::F32,
        };
        let first = LoopStage {
            inner: vec![Size::Param(1)],
            insts: vec![load(0)],
            accumulators: vec![Accumulator { kind: ReduceKind::Sum, value: 0 }],
            ..LoopStage::default()
        };
        let total = Inst {
            op: InstKind::Source(InstSource::Accumulator { stage: 0, accumulator: 0 }),
            ty: DType::F32,
        };
        let second = LoopStage {
            insts: vec![total],
            stores: vec![Store { operand: 1, value: 0, at: None, guard: None }],
            ..LoopStage::default()
        };
        let operand = |stage, strides: &[Stride]| ArrayOperand {
            dtype: DType::F32,
            stage,
            strides: strides.to_vec(),
        };
        let operands =
            vec![operand(0, &[Stride::Param(2), Stride::Unit]), operand(1, &[Stride::Param(3)])];
        Kernel {
            outer: vec![Size::Param(0)],
            vector_axis: VectorAxis::Inner,
            operands,
            stages: vec![first, second],
        }
    }

    #[test]
    fn a_kernel_reads_like_its_loops() {
        verify(&rows(), 4).unwrap();
        let text = "kernel [#0] vectorize inner\n  @0: f32 stage 0 [#2, 1]\n  \
                    @1: f32 stage 1 [#3]\n  stage [#1]\n    %0: f32 = load @0\n    \
                    accumulate 0: sum %0\n  stage []\n    %0: f32 = accumulator 0.0\n    \
                    store @1 %0\n";
        assert_eq!(rows().to_string(), text);
    }

    /// A kernel with most kinds of instruction: a reduction, then a store at an offset that is
    /// found at run time, under a guard.
    const WHOLE: &str = "kernel [#0] vectorize inner
  @0: f32 stage 0 [#2, 1]
  @1: f32 stage 1 [#3]
  stage [#1]
    %0: f32 = load @0
    %1: f32 = sqrt %0
    %2: f32 = fma %0, %1, %1
    accumulate 0: sum %2
  stage []
    %0: f32 = accumulator 0.0
    %1: i64 = index [1] + #1
    %2: i64 = add %1, %1
    %3: bool = compare LT %1, %2
    %4: f32 = select %3, %0, %0
    %5: f32 = round bf16 %4
    %6: i32 = bitcast %5
    %7: f32 = call atan2 %5, %5
    %8: f32 = patch sine %3, %7, %0
    store @1 %8 at %2 if %3
";

    #[test]
    fn broken_kernels_are_refused() {
        let whole: Kernel = WHOLE.parse().unwrap();
        verify(&whole, 4).unwrap();
        for (from, to, want) in [
            ("kernel [#0]", "kernel [#4]", "parameter #4 is not passed"),
            ("  stage [#1]", "  stage [#5]", "parameter #5 is not passed"),
            ("[#2, 1]", "[#9, 1]", "parameter #9 is not passed"),
            ("[#2, 1]", "[#2]", "1 strides for 2 loops of stage 0"),
            ("f32 stage 1", "f32 stage 2", "operand @1 is of stage 2, which does not exist"),
            ("sqrt %0", "sqrt %1", "%1 of stage 0 reads a later value"),
            ("sqrt %0", "sqrt %9", "%1 of stage 0 reads a later value"),
            ("load @0", "load @0 at %0", "%0 of stage 0 reads a later value"),
            ("load @0", "load @1", "@1 is not f32 of stage 0"),
            ("load @0", "load @2", "@2 is not f32 of stage 0"),
            ("%0: f32 = load", "%0: f64 = load", "@0 is not f64 of stage 0"),
            (
                "%1: f32 = sqrt %0",
                "%1: f32 = load @0 at %0",
                "the offset of a load in stage 0 is not i64",
            ),
            ("sum %2", "sum %3", "an accumulator of stage 0 reads a value that does not exist"),
            ("accumulator 0.0", "accumulator 1.0", "accumulator 1.0, which is not finished"),
            ("accumulator 0.0", "accumulator 0.1", "accumulator 0.1, which is not finished"),
            ("%0: f32 = accumulator", "%0: f64 = accumulator", "accumulator 0.0 is not f64"),
            ("index [1]", "index [1, 1]", "2 strides for 1 loops of stage 1"),
            ("index [1]", "index [#7]", "parameter #7 is not passed"),
            ("+ #1", "+ #8", "parameter #8 is not passed"),
            ("%1: i64 = index", "%1: u32 = index", "a counter is i32 or i64, not u32"),
            ("store @1 %8", "store @1 %9", "a store of stage 1 reads a value that does not exist"),
            ("at %2 if", "at %9 if", "a store of stage 1 reads a value that does not exist"),
            ("if %3", "if %9", "a store of stage 1 reads a value that does not exist"),
            ("store @1", "store @0", "@0 is not f32 of stage 1"),
            ("store @1 %8", "store @1 %6", "@1 is not i32 of stage 1"),
            ("at %2 if", "at %6 if", "the offset of a store in stage 1 is not i64"),
            ("if %3", "if %2", "the guard of a store in stage 1 is not bool"),
            ("%1: f32 = sqrt", "%1: f64 = sqrt", "%1 of stage 0 has operands of wrong types"),
            ("sqrt %0", "tanh %0", "%1 of stage 0 has operands of wrong types"),
            ("sqrt %0", "not %0", "%1 of stage 0 has operands of wrong types"),
            ("add %1, %1", "atan2 %1, %1", "%2 of stage 1 has operands of wrong types"),
            ("add %1, %1", "maximum %1, %1", "%2 of stage 1 has operands of wrong types"),
            ("add %1, %1", "add %1, %0", "%2 of stage 1 has operands of wrong types"),
            ("LT %1, %2", "LT %1, %0", "%3 of stage 1 has operands of wrong types"),
            ("%3: bool", "%3: i64", "%3 of stage 1 has operands of wrong types"),
            ("select %3", "select %2", "%4 of stage 1 has operands of wrong types"),
            ("select %3, %0, %0", "select %3, %0, %1", "%4 of stage 1 has operands of wrong types"),
            ("add %1, %1", "fma %1, %1, %1", "%2 of stage 1 has operands of wrong types"),
            ("round bf16", "round f64", "%5 of stage 1 has operands of wrong types"),
            ("round bf16 %4", "round bf16 %3", "%5 of stage 1 has operands of wrong types"),
            ("%6: i32", "%6: i64", "%6 of stage 1 has operands of wrong types"),
            ("atan2 %5, %5", "atan2 %5, %6", "%7 of stage 1 has operands of wrong types"),
            ("call atan2 %5, %5", "call tanh %6", "%7 of stage 1 has operands of wrong types"),
            ("sine %3", "sine %7", "%8 of stage 1 has operands of wrong types"),
            ("sine %3, %7, %0", "sine %3, %6, %0", "%8 of stage 1 has operands of wrong types"),
            ("sum %2", "and %2", "accumulator 0 of stage 0 has no machine code: and of f32"),
            ("%5: f32 = round bf16", "%5: c64 = round bf16", "%5 of stage 1 is c64, which has no"),
            (
                "%6: i32 = bitcast %5",
                "%6: bool = convert %5",
                "%6 of stage 1 has operands of wrong",
            ),
            ("%6: i32 = bitcast %5", "%6: f16 = convert %2", "%6 of stage 1 has operands of wrong"),
            (
                "%7: f32 = call atan2 %5, %5",
                "%7: i64 = call tanh %2",
                "%7 of stage 1 has operands of wrong",
            ),
        ] {
            assert!(WHOLE.contains(from), "{from}");
            let broken: Kernel = WHOLE.replacen(from, to, 1).parse().unwrap();
            let e = verify(&broken, 4).unwrap_err().to_string();
            assert!(e.lines().next().is_some_and(|first| first.contains(want)), "{to}: {e}");
        }
    }
}
