//! Calls of the library: functions that machine code does not spell out, each one by the language's
//! own definition, and copies of runs of bytes.

use super::{
    lane_value::{VectorShape, scalar},
    loops::{KernelEmitter, trusted},
};
use crate::code::copy_run;
use cranelift_codegen::ir::{AbiParam, Inst, InstBuilder, Signature, Type, Value, types};
use neurax_ir::{
    DType,
    op::{Binary, Unary},
};

/// The functions that machine code may call, in the order of [`LibraryFn`].
#[repr(C)]
#[derive(Debug)]
pub struct Library {
    unary_f32: extern "C" fn(u32, f32) -> f32,
    unary_f64: extern "C" fn(u32, f64) -> f64,
    binary_f32: extern "C" fn(u32, f32, f32) -> f32,
    binary_f64: extern "C" fn(u32, f64, f64) -> f64,
    binary_i64: extern "C" fn(u32, i64, i64) -> i64,
    binary_u64: extern "C" fn(u32, u64, u64) -> u64,
    copy: unsafe extern "C" fn(*mut u8, *const u8, usize),
}

/// The place of a function in the library.
#[derive(Clone, Copy)]
enum LibraryFn {
    UnaryF32,
    UnaryF64,
    BinaryF32,
    BinaryF64,
    BinaryI64,
    BinaryU64,
    Copy,
}

/// The library of this process.
pub static LIBRARY: Library = Library {
    unary_f32,
    unary_f64,
    binary_f32,
    binary_f64,
    binary_i64,
    binary_u64,
    copy: copy_run,
};

extern "C" fn unary_f32(f: u32, x: f32) -> f32 {
    Unary::ALL.get(f as usize).map_or(x, |f| f.of_f32(x))
}

extern "C" fn unary_f64(f: u32, x: f64) -> f64 {
    Unary::ALL.get(f as usize).map_or(x, |f| f.of_f64(x))
}

extern "C" fn binary_f32(f: u32, x: f32, y: f32) -> f32 {
    Binary::ALL.get(f as usize).map_or(x, |f| f.of_f32(x, y))
}

extern "C" fn binary_f64(f: u32, x: f64, y: f64) -> f64 {
    Binary::ALL.get(f as usize).map_or(x, |f| f.of_f64(x, y))
}

extern "C" fn binary_i64(f: u32, x: i64, y: i64) -> i64 {
    Binary::ALL.get(f as usize).map_or(x, |f| f.of_i64(x, y))
}

extern "C" fn binary_u64(f: u32, x: u64, y: u64) -> u64 {
    Binary::ALL.get(f as usize).map_or(x, |f| f.of_u64(x, y))
}

impl KernelEmitter<'_, '_> {
    /// Copies bytes.
    pub fn copy(&mut self, to: Value, from: Value, bytes: Value) {
        self.call(LibraryFn::Copy, &[to, from, bytes], None);
    }

    /// A function of one scalar.
    pub fn call1(&mut self, f: Unary, x: Value, ty: DType) -> Value {
        let number = Unary::ALL.iter().position(|&g| g == f).unwrap_or(usize::MAX);
        let entry = if ty == DType::F32 { LibraryFn::UnaryF32 } else { LibraryFn::UnaryF64 };
        self.library_call(entry, number, &[x], ty)
    }

    /// A function of two scalars; integers go through 8 bytes.
    pub fn call2(&mut self, f: Binary, x: Value, y: Value, ty: DType) -> Value {
        let number = Binary::ALL.iter().position(|&g| g == f).unwrap_or(usize::MAX);
        let (entry, wide) = match ty {
            DType::F32 => (LibraryFn::BinaryF32, ty),
            DType::F64 => (LibraryFn::BinaryF64, ty),
            d if d.kind() == neurax_ir::Kind::Signed => (LibraryFn::BinaryI64, DType::I64),
            _ => (LibraryFn::BinaryU64, DType::U64),
        };
        let (x, y) = (
            self.convert(x, ty, wide, VectorShape::SCALAR),
            self.convert(y, ty, wide, VectorShape::SCALAR),
        );
        let z = self.library_call(entry, number, &[x, y], wide);
        self.convert(z, wide, ty, VectorShape::SCALAR)
    }

    fn library_call(&mut self, entry: LibraryFn, number: usize, xs: &[Value], ty: DType) -> Value {
        let number = self.b.ins().iconst(types::I32, number as i64);
        let args: Vec<Value> = std::iter::once(number).chain(xs.iter().copied()).collect();
        let call = self.call(entry, &args, Some(scalar(ty)));
        self.b.inst_results(call)[0]
    }

    /// A call of a function of those arguments.
    fn call(&mut self, entry: LibraryFn, args: &[Value], returns: Option<Type>) -> Inst {
        let mut s = Signature::new(self.b.func.signature.call_conv);
        s.params.extend(args.iter().map(|&x| AbiParam::new(self.b.func.dfg.value_type(x))));
        s.returns.extend(returns.map(AbiParam::new));
        let s = self.b.import_signature(s);
        let callee = self.b.ins().load(types::I64, trusted(), self.library, 8 * entry as i32);
        self.b.ins().call_indirect(s, callee, args)
    }

    /// Where the mask holds, the library's function of `x`; else `y`. Vectors without such a lane
    /// skip the calls.
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
