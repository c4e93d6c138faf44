//! Calls of the scalar library: functions without an expansion, by the definitions of the IR, and
//! copies of runs of bytes.

use super::{
    lane_value::{VectorShape, scalar},
    state::{KernelEmitter, trusted},
};
use crate::library::LibraryFn;
use cranelift_codegen::ir::{AbiParam, Inst, InstBuilder, Signature, Type, Value, types};
use neurax_ir::{
    DType, Kind,
    op::{Binary, Unary},
};

impl KernelEmitter<'_, '_> {
    /// Emits a copy of bytes.
    pub fn copy(&mut self, to: Value, from: Value, bytes: Value) {
        self.call(LibraryFn::Copy, &[to, from, bytes], None);
    }

    /// Emits a call of a unary function on a scalar.
    pub fn call1(&mut self, f: Unary, x: Value, ty: DType) -> Value {
        let number = Unary::ALL.iter().position(|&g| g == f);
        let entry = match ty {
            DType::F32 => LibraryFn::UnaryF32,
            DType::F64 => LibraryFn::UnaryF64,
            d => {
                return self
                    .broken(format!("{} of {d} is not in the library", f.name()), scalar(d));
            }
        };
        self.library_call(entry, number, &[x], ty)
    }

    /// Emits a call of a binary function on scalars; integers are widened to 8 bytes.
    pub fn call2(&mut self, f: Binary, x: Value, y: Value, ty: DType) -> Value {
        let number = Binary::ALL.iter().position(|&g| g == f);
        let (entry, wide) = match ty {
            DType::F32 => (LibraryFn::BinaryF32, ty),
            DType::F64 => (LibraryFn::BinaryF64, ty),
            d if d.kind() == Kind::Signed => (LibraryFn::BinaryI64, DType::I64),
            d if d.kind() == Kind::Unsigned => (LibraryFn::BinaryU64, DType::U64),
            d => {
                return self
                    .broken(format!("{} of {d} is not in the library", f.name()), scalar(d));
            }
        };
        let (x, y) = (
            self.convert(x, ty, wide, VectorShape::SCALAR),
            self.convert(y, ty, wide, VectorShape::SCALAR),
        );
        let z = self.library_call(entry, number, &[x, y], wide);
        self.convert(z, wide, ty, VectorShape::SCALAR)
    }

    /// Emits a call of function `number` of a family, its position in the table of functions.
    fn library_call(
        &mut self,
        entry: LibraryFn,
        number: Option<usize>,
        xs: &[Value],
        ty: DType,
    ) -> Value {
        let Some(number) = number else {
            return self.broken("a function is not in the scalar library", scalar(ty));
        };
        let number = self.b.ins().iconst(types::I32, number as i64);
        let args: Vec<Value> = std::iter::once(number).chain(xs.iter().copied()).collect();
        let call = self.call(entry, &args, Some(scalar(ty)));
        self.b.inst_results(call)[0]
    }

    /// Emits a call of a library function.
    fn call(&mut self, entry: LibraryFn, args: &[Value], returns: Option<Type>) -> Inst {
        let mut s = Signature::new(self.b.func.signature.call_conv);
        s.params.extend(args.iter().map(|&x| AbiParam::new(self.b.func.dfg.value_type(x))));
        s.returns.extend(returns.map(AbiParam::new));
        let s = self.b.import_signature(s);
        let callee = self.b.ins().load(types::I64, trusted(), self.library, 8 * entry as i32);
        self.b.ins().call_indirect(s, callee, args)
    }

    /// Emits `mask ? f(x) : y` with a library function `f`. Vectors without a lane in the mask skip
    /// the calls.
    pub fn patch(
        &mut self,
        f: Unary,
        mask: Value,
        x: Value,
        y: Value,
        ty: DType,
        shape: VectorShape,
    ) -> Value {
        let (slow, after) = (self.b.create_block(), self.b.create_block());
        let t = self.b.func.dfg.value_type(y);
        let out = self.b.append_block_param(after, t);
        let any = if shape.width > 1 { self.b.ins().vany_true(mask) } else { mask };
        self.b.ins().brif(any, slow, &[], after, &[y.into()]);
        self.b.switch_to_block(slow);
        let mut z = y;
        if shape.width > 1 {
            for l in 0..shape.width {
                let (p, v, w) = (
                    self.extract(mask, l, DType::Bool, shape),
                    self.extract(x, l, ty, shape),
                    self.extract(z, l, ty, shape),
                );
                let called = self.call1(f, v, ty);
                let one = self.b.ins().select(p, called, w);
                z = self.insert(z, one, l, ty, shape);
            }
        } else {
            z = self.call1(f, x, ty);
        }
        self.b.ins().jump(after, &[z.into()]);
        self.b.switch_to_block(after);
        out
    }
}
