//! The text form of kernels.

use super::{Inst, InstKind, InstSource, Kernel, LoopStage, Size, Stride, VectorAxis};
use std::fmt::{Display, Formatter, Result};

impl Display for Size {
    fn fmt(&self, f: &mut Formatter) -> Result {
        match self {
            Size::Fixed(n) => write!(f, "{n}"),
            Size::Param(p) => write!(f, "#{p}"),
        }
    }
}

impl Display for Stride {
    fn fmt(&self, f: &mut Formatter) -> Result {
        match self {
            Stride::Zero => write!(f, "0"),
            Stride::Unit => write!(f, "1"),
            Stride::Param(p) => write!(f, "#{p}"),
        }
    }
}

/// Returns a list as `a, b, c`.
fn list<T: Display>(xs: &[T]) -> String {
    xs.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

impl Display for InstSource {
    fn fmt(&self, f: &mut Formatter) -> Result {
        match self {
            InstSource::Load { operand, at: None } => write!(f, "load @{operand}"),
            InstSource::Load { operand, at: Some(at) } => write!(f, "load @{operand} at %{at}"),
            InstSource::Index { strides, base: None } => write!(f, "index [{}]", list(strides)),
            InstSource::Index { strides, base: Some(base) } => {
                write!(f, "index [{}] + #{base}", list(strides))
            }
            InstSource::Param(p) => write!(f, "param #{p}"),
            InstSource::Accumulator { stage, accumulator } => {
                write!(f, "accumulator {stage}.{accumulator}")
            }
        }
    }
}

impl Display for Inst<InstSource> {
    fn fmt(&self, f: &mut Formatter) -> Result {
        write!(f, "{} = ", self.ty)?;
        match &self.op {
            InstKind::Source(l) => write!(f, "{l}"),
            InstKind::Const(bits) => write!(f, "{bits:#x}"),
            InstKind::Unary(g, x) => write!(f, "{} %{x}", g.name()),
            InstKind::Binary(g, x, y) => write!(f, "{} %{x}, %{y}", g.name()),
            InstKind::Compare(d, x, y) => write!(f, "compare {} %{x}, %{y}", d.name()),
            InstKind::Select(p, x, y) => write!(f, "select %{p}, %{x}, %{y}"),
            InstKind::Fma(x, y, z) => write!(f, "fma %{x}, %{y}, %{z}"),
            InstKind::Convert(x) => write!(f, "convert %{x}"),
            InstKind::Bitcast(x) => write!(f, "bitcast %{x}"),
            InstKind::Round(d, x) => write!(f, "round {d} %{x}"),
            InstKind::Call1(g, x) => write!(f, "call {} %{x}", g.name()),
            InstKind::Call2(g, x, y) => write!(f, "call {} %{x}, %{y}", g.name()),
            InstKind::Patch(g, p, x, y) => write!(f, "patch {} %{p}, %{x}, %{y}", g.name()),
        }
    }
}

impl LoopStage {
    fn print(&self, f: &mut Formatter) -> Result {
        let blocks = if self.in_blocks { " in blocks" } else { "" };
        writeln!(f, "  stage [{}]{blocks}", list(&self.inner))?;
        for (i, inst) in self.insts.iter().enumerate() {
            writeln!(f, "    %{i}: {inst}")?;
        }
        for (i, accumulator) in self.accumulators.iter().enumerate() {
            writeln!(f, "    accumulate {i}: {} %{}", accumulator.kind.name(), accumulator.value)?;
        }
        for s in &self.stores {
            write!(f, "    store @{} %{}", s.operand, s.value)?;
            if let Some(at) = s.at {
                write!(f, " at %{at}")?;
            }
            if let Some(guard) = s.guard {
                write!(f, " if %{guard}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Writes the text form: `#n` is a parameter, `@n` an operand with its strides along the outer
/// and inner loops, `%n` a value.
///
/// ```text
/// kernel [#0] vectorize inner
///   @0: f32 stage 0 [#1, 1]
///   stage [#2]
///     %0: f32 = load @0
///     accumulate 0: sum %0
/// ```
impl Display for Kernel {
    fn fmt(&self, f: &mut Formatter) -> Result {
        let lanes = if self.vector_axis == VectorAxis::Inner { "inner" } else { "outer" };
        writeln!(f, "kernel [{}] vectorize {lanes}", list(&self.outer))?;
        for (i, o) in self.operands.iter().enumerate() {
            writeln!(f, "  @{i}: {} stage {} [{}]", o.dtype, o.stage, list(&o.strides))?;
        }
        self.stages.iter().try_for_each(|s| s.print(f))
    }
}
