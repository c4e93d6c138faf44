//! Code generation: from the kernel IR to machine code, by Cranelift.
//!
//! The problem: Cranelift selects instructions and allocates registers, but it neither vectorizes
//! nor unrolls loops. Both are done here.
//!
//! The method is loop vectorization as in array compilers: no legality analysis is needed, since
//! the kernel IR says which loop is vectorized. Each value is *uniform* (a scalar, the same in all
//! lanes) or *varying* (one vector for every copy of the unrolled loop); uniform values are
//! splatted where they meet varying ones. The loop is emitted as an unrolled vector loop, a vector
//! loop and a scalar remainder. Every value is computed just inside of the innermost loop that it
//! depends on (loop-invariant code motion), and a sum is a vector of partial sums, whose lanes are
//! added after the loop (a horizontal reduction).
//!
//! ```text
//! stage [#0]                         i = begin
//!   %0: f32 = load @0                while i + 16 <= end { 4 vectors of %0 and %2;  i += 16 }
//!   %1: f32 = param #1       ->      while i + 4 <= end  { 1 vector of each;        i += 4 }
//!   %2: f32 = multiply %0, %1        while i < end       { scalars;                 i += 1 }
//!   store @1 %2                      %1 is uniform: a scalar, which is splatted
//! ```
//!
//! A kernel becomes one function `(operands, params, library, begin, end)` that runs iterations
//! `begin..end` of its outermost loop. The code is position-independent and has no relocations: it
//! finds the buffers, the parameters and the library of scalar functions through its arguments.
//! Vectors are 128 bits wide on every CPU (Cranelift's backends support no wider ones).
//!
//! ```text
//! state           the function being built, positions in loops, values in registers
//! lane_value      uniform and varying values, the shapes and types of vectors
//! loops           outer loops, stages, vectorized inner loops with remainders
//! body            the instructions of a stage, uniform (scalar) or varying (vector)
//! memory          loads and stores: contiguous, strided (gather lane by lane), splat, extract
//! accumulators    stores and accumulators, horizontal reduction of vectors
//! blocks          long sums in blocks, with f64 totals
//! convert         conversions between dtypes, f16 and bf16 in integer arithmetic
//! runs            innermost loops that only copy, replaced by `memcpy` when long
//! library         calls of scalar functions
//! ```
//!
//! Invariants: the kernel was verified; memory accesses never trap (`trusted`); operands may alias
//! only where `KernelCall::in_place` says so, which reads every element before it is written. A
//! broken invariant is recorded ([`state::KernelEmitter::broken`]) and the compilation fails.

mod accumulators;
mod blocks;
mod body;
mod convert;
mod lane_value;
mod library;
mod loops;
mod memory;
mod runs;
mod state;

use crate::{code::Code, kernel::Kernel};
use cranelift_codegen::{
    Context,
    control::ControlPlane,
    ir::{AbiParam, Function, Signature, types},
    isa::{CallConv, OwnedTargetIsa},
    settings::{self, Configurable},
};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use neurax_ir::{Error, Result};

/// The target of code generation: the CPU of this machine.
#[derive(Clone)]
pub struct CodegenTarget {
    isa: OwnedTargetIsa,
    /// True if the CPU has fused multiply-add.
    pub has_fma: bool,
}

impl CodegenTarget {
    /// Returns the target for the CPU of this machine.
    ///
    /// # Errors
    /// If Cranelift does not support it.
    pub fn host() -> Result<CodegenTarget> {
        let mut flags = settings::builder();
        let mut set = |name, value| flags.set(name, value).map_err(|e| unsupported(&e.to_string()));
        set("opt_level", "speed")?;
        set("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" })?;
        set("is_pic", "true")?;
        let builder = cranelift_native::builder().map_err(unsupported)?;
        let isa =
            builder.finish(settings::Flags::new(flags)).map_err(|e| unsupported(&e.to_string()))?;
        let has = |name: &str| {
            isa.isa_flags().iter().any(|f| f.name == name && f.as_bool() == Some(true))
        };
        if !cfg!(all(target_endian = "little", target_pointer_width = "64")) {
            return Err(unsupported("it is not a little-endian one of 64 bits"));
        }
        // Without SSE4.1, rounding is a call that position-independent code cannot make.
        if cfg!(target_arch = "x86_64") && !has("has_sse41") {
            return Err(unsupported("it lacks SSE4.1"));
        }
        let has_fma = cfg!(target_arch = "aarch64") || has("has_fma");
        Ok(CodegenTarget { isa, has_fma })
    }

    /// Compiles a kernel.
    ///
    /// # Errors
    /// If the kernel breaks an invariant, or if Cranelift refuses it, an error of this crate.
    pub fn compile(&self, kernel: &Kernel) -> Result<Code> {
        let mut context = Context::for_function(Function::with_name_signature(
            Default::default(),
            signature(self.isa.default_call_conv()),
        ));
        let mut frontend = FunctionBuilderContext::new();
        let builder = FunctionBuilder::new(&mut context.func, &mut frontend);
        state::KernelEmitter::new(builder, kernel, self.has_fma)
            .function(self.isa.frontend_config())
            .map_err(|why| failed(&why, kernel))?;
        let compiled = context
            .compile(&*self.isa, &mut ControlPlane::default())
            .map_err(|e| failed(&format!("{:?}", e.inner), kernel))?;
        if !compiled.buffer.relocs().is_empty() {
            return Err(failed("the code is not position-independent", kernel));
        }
        Code::new(compiled.code_buffer())
    }
}

/// Returns the signature `(operands, params, library, begin, end)`.
fn signature(convention: CallConv) -> Signature {
    let mut s = Signature::new(convention);
    s.params = vec![AbiParam::new(types::I64); 5];
    s
}

fn unsupported(why: &str) -> Error {
    Error::new("native", format!("this CPU is not supported: {why}; use NEURAX_DEVICE=interp"))
}

fn failed(why: &str, kernel: &Kernel) -> Error {
    kernel.bug(format!("no machine code: {why}"))
}

impl std::fmt::Debug for CodegenTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}", self.isa.triple())
    }
}
