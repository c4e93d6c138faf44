//! Parses the text form of kernels, for tests.

use super::{
    Accumulator, ArrayOperand, Inst, InstId, InstKind, InstSource, Kernel, LoopStage, Size, Store,
    Stride, VectorAxis,
};
use neurax_ir::{
    DType, Error, Result,
    op::{Binary, Direction, ReduceKind, Unary},
};
use std::str::FromStr;

impl FromStr for Kernel {
    type Err = Error;

    /// Parses the text form.
    ///
    /// # Errors
    /// If the text is malformed, with the line and what was expected.
    fn from_str(text: &str) -> Result<Kernel> {
        let mut p = KernelParser { text, at: 0 };
        let k = p.kernel()?;
        p.space();
        if p.at < text.len() {
            Err(p.error("a store, a stage or the end was expected"))
        } else {
            Ok(k)
        }
    }
}

struct KernelParser<'t> {
    text: &'t str,
    at: usize,
}

impl KernelParser<'_> {
    fn kernel(&mut self) -> Result<Kernel> {
        self.expect("kernel")?;
        let outer = self.list(KernelParser::size)?;
        self.expect("vectorize")?;
        let vector_axis = match self.eat("inner") {
            true => VectorAxis::Inner,
            false => self
                .expect("outer")
                .map(|()| VectorAxis::Outer)
                .map_err(|_| self.error("`inner` or `outer` was expected"))?,
        };
        let (mut operands, mut stages) = (vec![], vec![]);
        while self.sees("@") {
            self.numbered("@", operands.len())?;
            operands.push(self.operand()?);
        }
        while self.eat("stage") {
            stages.push(self.stage()?);
        }
        Ok(Kernel { outer, vector_axis, operands, stages })
    }

    fn operand(&mut self) -> Result<ArrayOperand> {
        let dtype = self.dtype()?;
        self.expect("stage")?;
        Ok(ArrayOperand { dtype, stage: self.number()?, strides: self.list(KernelParser::stride)? })
    }

    fn stage(&mut self) -> Result<LoopStage> {
        let inner = self.list(KernelParser::size)?;
        let in_blocks = self.eat("in blocks");
        let mut s = LoopStage { inner, in_blocks, ..LoopStage::default() };
        while self.sees("%") {
            self.numbered("%", s.insts.len())?;
            let ty = self.dtype()?;
            self.expect("=")?;
            s.insts.push(Inst { op: self.op()?, ty });
        }
        while self.eat("accumulate") {
            self.numbered("", s.accumulators.len())?;
            s.accumulators.push(Accumulator {
                kind: self.one_of(ReduceKind::ALL, |k| k.name())?,
                value: self.id()?,
            });
        }
        while self.eat("store") {
            let (operand, value) = (self.after("@")?, self.id()?);
            s.stores.push(Store {
                operand,
                value,
                at: self.clause("at")?,
                guard: self.clause("if")?,
            });
        }
        Ok(s)
    }

    fn op(&mut self) -> Result<InstKind<InstSource>> {
        if let Some(hex) = self.rest().strip_prefix("0x") {
            let end = hex.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(hex.len());
            let bits = u64::from_str_radix(&hex[..end], 16)
                .map_err(|_| self.error("a number of 64 bits was expected"))?;
            self.at += 2 + end;
            return Ok(InstKind::Const(bits));
        }
        let start = self.at;
        Ok(match self.word() {
            "load" => InstKind::Source(InstSource::Load {
                operand: self.after("@")?,
                at: self.clause("at")?,
            }),
            "index" => {
                let strides = self.list(KernelParser::stride)?;
                InstKind::Source(InstSource::Index {
                    strides,
                    base: if self.eat("+") { Some(self.after("#")?) } else { None },
                })
            }
            "param" => InstKind::Source(InstSource::Param(self.after("#")?)),
            "accumulator" => {
                let stage = self.number()?;
                self.expect(".")?;
                InstKind::Source(InstSource::Accumulator { stage, accumulator: self.number()? })
            }
            "compare" => InstKind::Compare(
                self.one_of(Direction::ALL, |d| d.name())?,
                self.id()?,
                self.next_id()?,
            ),
            "select" => InstKind::Select(self.id()?, self.next_id()?, self.next_id()?),
            "fma" => InstKind::Fma(self.id()?, self.next_id()?, self.next_id()?),
            "convert" => InstKind::Convert(self.id()?),
            "bitcast" => InstKind::Bitcast(self.id()?),
            "round" => InstKind::Round(self.dtype()?, self.id()?),
            "patch" => InstKind::Patch(
                self.one_of(Unary::ALL, |f| f.name())?,
                self.id()?,
                self.next_id()?,
                self.next_id()?,
            ),
            "call" => self.function(InstKind::Call1, InstKind::Call2)?,
            _ => {
                self.at = start;
                self.function(InstKind::Unary, InstKind::Binary)?
            }
        })
    }

    /// Parses an instruction of one or two operands.
    fn function(
        &mut self,
        one: fn(Unary, InstId) -> InstKind<InstSource>,
        two: fn(Binary, InstId, InstId) -> InstKind<InstSource>,
    ) -> Result<InstKind<InstSource>> {
        let start = self.at;
        if let Ok(f) = self.one_of(Unary::ALL, |f| f.name()) {
            return Ok(one(f, self.id()?));
        }
        self.at = start;
        let f = self
            .one_of(Binary::ALL, |f| f.name())
            .map_err(|_| self.error("an instruction was expected"))?;
        Ok(two(f, self.id()?, self.next_id()?))
    }

    fn size(&mut self) -> Result<Size> {
        if self.eat("#") { self.number().map(Size::Param) } else { self.number().map(Size::Fixed) }
    }

    fn stride(&mut self) -> Result<Stride> {
        match () {
            () if self.eat("#") => self.number().map(Stride::Param),
            () if self.eat("0") => Ok(Stride::Zero),
            () if self.eat("1") => Ok(Stride::Unit),
            () => Err(self.error("`0`, `1` or a parameter like `#2` was expected")),
        }
    }

    fn id(&mut self) -> Result<InstId> {
        self.after("%")
    }

    fn next_id(&mut self) -> Result<InstId> {
        self.expect(",")?;
        self.id()
    }

    /// Parses a clause such as `at %3`, if it comes next.
    fn clause(&mut self, word: &str) -> Result<Option<InstId>> {
        if self.eat(word) { self.id().map(Some) } else { Ok(None) }
    }

    /// Parses `@3:`, where 3 is the expected number.
    fn numbered(&mut self, sign: &str, due: usize) -> Result<()> {
        self.expect(&format!("{sign}{due}"))?;
        self.expect(":")
    }

    /// Parses a number after `sign`.
    fn after<T: FromStr>(&mut self, sign: &str) -> Result<T> {
        self.expect(sign)?;
        self.number()
    }

    fn number<T: FromStr>(&mut self) -> Result<T> {
        let start = self.at;
        let word = self.word();
        word.parse().map_err(|_| {
            self.at = start;
            self.error("a number was expected")
        })
    }

    fn dtype(&mut self) -> Result<DType> {
        self.one_of(&DType::ALL, |d| d.name())
    }

    /// Parses the name of one of `all`.
    fn one_of<T: Copy>(&mut self, all: &[T], name: fn(T) -> &'static str) -> Result<T> {
        let start = self.at;
        let word = self.word();
        let found = all.iter().copied().find(|&x| name(x) == word);
        found.ok_or_else(|| {
            self.at = start;
            self.error(&format!(
                "one of {} was expected",
                all.iter().map(|&x| name(x)).collect::<Vec<_>>().join(", ")
            ))
        })
    }

    fn list<T>(&mut self, mut each: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        self.expect("[")?;
        let mut out = vec![];
        while !self.eat("]") {
            if !out.is_empty() {
                self.expect(",")?;
            }
            out.push(each(self)?);
        }
        Ok(out)
    }

    /// Letters, digits and `_` that come next; may be none.
    fn word(&mut self) -> &str {
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let start = self.at;
        self.at += end;
        &self.text[start..start + end]
    }

    fn sees(&mut self, s: &str) -> bool {
        self.rest().starts_with(s)
    }

    /// Skips `s` if it comes next, as a whole word if it is one.
    fn eat(&mut self, s: &str) -> bool {
        let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let hit = self
            .rest()
            .strip_prefix(s)
            .is_some_and(|rest| !(is_word(s.chars().last()) && is_word(rest.chars().next())));
        self.at += if hit { s.len() } else { 0 };
        hit
    }

    fn expect(&mut self, s: &str) -> Result<()> {
        if self.eat(s) { Ok(()) } else { Err(self.error(&format!("`{s}` was expected"))) }
    }

    /// Returns the rest of the text after white space.
    fn rest(&mut self) -> &str {
        self.space();
        &self.text[self.at..]
    }

    fn space(&mut self) {
        self.at = self.text.len() - self.text[self.at..].trim_start().len();
    }

    /// Returns an error at the rest of the text.
    fn error(&mut self, message: &str) -> Error {
        self.space();
        let line = 1 + self.text[..self.at].matches('\n').count();
        let found =
            self.text[self.at..].lines().next().map_or("the end".into(), |l| format!("`{l}`"));
        Error::new("kernel", format!("line {line}: {message}, not {found}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{lower::lower, schedule::schedule};
    use neurax_ir::{Builder, Graph, Op, Sample, Type};

    fn graph(s: &Sample) -> Graph {
        let mut b = Builder::new();
        let types: Vec<Type> = s.inputs.iter().map(|x| x.ty().clone()).collect();
        let xs = b.inputs(&types);
        let ys = b.try_emit(s.op.clone(), &xs).unwrap();
        b.finish(&ys).unwrap()
    }

    #[test]
    fn every_kernel_of_every_op_reads_back() {
        let mut seen = 0;
        for s in Op::samples() {
            // Ops along an axis that no step names have no separate graph.
            let Ok(lowered) = lower(&graph(&s)) else { continue };
            for nest in schedule(&lowered, seen % 2 == 0).unwrap().kernel_calls() {
                let text = nest.kernel.to_string();
                assert_eq!(
                    text.parse::<Kernel>().unwrap_or_else(|e| panic!("{e}\n{text}")),
                    nest.kernel
                );
                seen += 1;
            }
        }
        assert!(seen > 1000, "only {seen} kernels");
    }

    #[test]
    fn malformed_texts_are_refused_with_line_and_reason() {
        let whole = "kernel [#0] vectorize inner\n  @0: f32 stage 0 [#1]\n  stage [4, #2]\n    \
                     %0: f32 = load @0\n    %1: f32 = add %0, %0\n    accumulate 0: sum %1\n    \
                     store @0 %1 if %0\n";
        whole.parse::<Kernel>().unwrap();
        for (from, to, line, want) in [
            ("kernel", "colonel", 1, "`kernel` was expected, not `colonel [#0]"),
            (
                "vectorize inner",
                "vectorize innermost",
                1,
                "`inner` or `outer` was expected, not `innermost`",
            ),
            ("[#0]", "[#x]", 1, "a number was expected, not `x]"),
            ("@0: f32", "@1: f32", 2, "`@0` was expected"),
            ("@0: f32", "@0: f31", 2, "one of bool, "),
            ("[#1]", "[2]", 2, "`0`, `1` or a parameter like `#2` was expected, not `2]`"),
            ("[4, #2]", "[4 #2]", 3, "`,` was expected, not `#2]`"),
            ("%0: f32 = load", "%0: f32 load", 4, "`=` was expected"),
            ("load", "lode", 4, "an instruction was expected, not `lode @0`"),
            ("add %0, %0", "add %0", 6, "`,` was expected, not `accumulate 0"),
            ("%1: f32", "%2: f32", 5, "`%1` was expected"),
            ("sum", "some", 6, "one of sum, "),
            ("if %0", "when %0", 7, "a store, a stage or the end was expected, not `when %0`"),
            ("if %0", "if 0", 7, "`%` was expected"),
            ("@0 %1", "@70000 %1", 7, "a number was expected, not `70000 %1"),
        ] {
            let e = whole.replacen(from, to, 1).parse::<Kernel>().unwrap_err().to_string();
            assert!(
                e.starts_with(&format!("kernel: line {line}: ")) && e.contains(want),
                "{to}: {e}"
            );
        }
        let e = "kernel [] vectorize".parse::<Kernel>().unwrap_err().to_string();
        assert!(e.contains("not the end"), "{e}");
    }
}
