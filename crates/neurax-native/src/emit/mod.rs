//! From kernels to machine code, by Cranelift: 128-bit vectors on every CPU that it knows.

mod accumulators;
mod body;
mod convert;
mod lane_value;
mod library;
mod loops;
mod memory;
mod runs;

pub use library::{LIBRARY, Library};

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

/// What machine code is made for: the CPU that it runs on.
#[derive(Clone)]
pub struct Target {
    isa: OwnedTargetIsa,
    /// Has it fused multiply-add?
    pub has_fma: bool,
}

impl Target {
    /// This machine's CPU.
    ///
    /// # Errors
    /// When Cranelift does not know it.
    pub fn host() -> Result<Target> {
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
        // Without it rounding is a call of a library, which code that may lie anywhere does not
        // reach.
        if cfg!(target_arch = "x86_64") && !has("has_sse41") {
            return Err(unsupported("it lacks SSE4.1"));
        }
        let has_fma = cfg!(target_arch = "aarch64") || has("has_fma");
        Ok(Target { isa, has_fma })
    }

    /// The machine code of a kernel, as a function of operands' addresses, parameters, the library,
    /// and the part of the outermost loop that it runs.
    ///
    /// # Errors
    /// When Cranelift refuses it, which is an error of this crate.
    pub fn compile(&self, kernel: &Kernel) -> Result<Code> {
        let mut context = Context::for_function(Function::with_name_signature(
            Default::default(),
            signature(self.isa.default_call_conv()),
        ));
        let mut frontend = FunctionBuilderContext::new();
        let builder = FunctionBuilder::new(&mut context.func, &mut frontend);
        loops::KernelEmitter::new(builder, kernel, self.has_fma)
            .function(self.isa.frontend_config());
        let compiled = context
            .compile(&*self.isa, &mut ControlPlane::default())
            .map_err(|e| failed(&format!("{:?}", e.inner), kernel))?;
        if !compiled.buffer.relocs().is_empty() {
            return Err(failed("the code is not position-independent", kernel));
        }
        Code::new(compiled.code_buffer())
    }
}

/// `(operands, parameters, library, begin, end)`
fn signature(convention: CallConv) -> Signature {
    let mut s = Signature::new(convention);
    s.params = vec![AbiParam::new(types::I64); 5];
    s
}

fn unsupported(why: &str) -> Error {
    Error::new("native", format!("this CPU is not supported: {why}; use NEURAX_DEVICE=interp"))
}

fn failed(why: &str, kernel: &Kernel) -> Error {
    Error::new("native", format!("no machine code for a kernel: {why}\n{kernel}"))
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}", self.isa.triple())
    }
}
