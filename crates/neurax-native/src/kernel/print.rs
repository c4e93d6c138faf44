//! Kernels as text.

use super::{Do, Inst, Kernel, Lanes, Leaf, Size, Stage, Stride};
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

/// `a, b, c`
fn list<T: Display>(xs: &[T]) -> String {
    xs.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

impl Display for Leaf {
    fn fmt(&self, f: &mut Formatter) -> Result {
        match self {
            Leaf::Load { operand, at: None } => write!(f, "load @{operand}"),
            Leaf::Load { operand, at: Some(at) } => write!(f, "load @{operand} at %{at}"),
            Leaf::Index { strides, base: None } => write!(f, "index [{}]", list(strides)),
            Leaf::Index { strides, base: Some(base) } => {
                write!(f, "index [{}] + #{base}", list(strides))
            }
            Leaf::Number(p) => write!(f, "number #{p}"),
            Leaf::Fold { stage, fold } => write!(f, "fold {stage}.{fold}"),
        }
    }
}

impl Display for Inst<Leaf> {
    fn fmt(&self, f: &mut Formatter) -> Result {
        write!(f, "{} = ", self.ty)?;
        match &self.op {
            Do::Leaf(l) => write!(f, "{l}"),
            Do::Const(bits) => write!(f, "{bits:#x}"),
            Do::Unary(g, x) => write!(f, "{} %{x}", g.name()),
            Do::Binary(g, x, y) => write!(f, "{} %{x}, %{y}", g.name()),
            Do::Compare(d, x, y) => write!(f, "compare {} %{x}, %{y}", d.name()),
            Do::Select(p, x, y) => write!(f, "select %{p}, %{x}, %{y}"),
            Do::Fma(x, y, z) => write!(f, "fma %{x}, %{y}, %{z}"),
            Do::Convert(x) => write!(f, "convert %{x}"),
            Do::Bitcast(x) => write!(f, "bitcast %{x}"),
            Do::Round(d, x) => write!(f, "round {d} %{x}"),
            Do::Call1(g, x) => write!(f, "call {} %{x}", g.name()),
            Do::Call2(g, x, y) => write!(f, "call {} %{x}, %{y}", g.name()),
            Do::Patch(g, p, x, y) => write!(f, "patch {} %{p}, %{x}, %{y}", g.name()),
        }
    }
}

impl Stage {
    fn print(&self, f: &mut Formatter) -> Result {
        writeln!(f, "  stage [{}]", list(&self.inner))?;
        for (i, inst) in self.insts.iter().enumerate() {
            writeln!(f, "    %{i}: {inst}")?;
        }
        for (i, fold) in self.folds.iter().enumerate() {
            writeln!(f, "    fold {i}: {} %{}", fold.kind.name(), fold.value)?;
        }
        for s in &self.stores {
            write!(f, "    store @{} %{}", s.operand, s.value)?;
            s.at.map_or(Ok(()), |at| write!(f, " at %{at}"))?;
            s.guard.map_or(Ok(()), |g| write!(f, " if %{g}"))?;
            writeln!(f)?;
        }
        Ok(())
    }
}

/// A kernel reads like this: `#n` is a parameter, `@n` an operand with its strides along the outer
/// and inner loops, `%n` a value.
///
/// ```text
/// kernel [#0] lanes inner
///   @0: f32 stage 0 [#1, 1]
///   stage [#2]
///     %0: f32 = load @0
///     fold 0: sum %0
/// ```
impl Display for Kernel {
    fn fmt(&self, f: &mut Formatter) -> Result {
        let lanes = if self.lanes == Lanes::Inner { "inner" } else { "outer" };
        writeln!(f, "kernel [{}] lanes {lanes}", list(&self.outer))?;
        for (i, o) in self.operands.iter().enumerate() {
            writeln!(f, "  @{i}: {} stage {} [{}]", o.dtype, o.stage, list(&o.strides))?;
        }
        self.stages.iter().try_for_each(|s| s.print(f))
    }
}
