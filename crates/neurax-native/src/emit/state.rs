//! The state of code generation for one kernel.

use super::lane_value::{LaneValue, VectorShape};
use crate::kernel::{InstId, Kernel};
use cranelift_codegen::ir::{
    InstBuilder, MemFlagsData, Type, Value,
    types::{self, I64},
};
use cranelift_frontend::FunctionBuilder;

/// The emitter of one kernel: a function that is being built.
pub struct KernelEmitter<'a, 'f> {
    /// The builder of the function.
    pub b: FunctionBuilder<'f>,
    /// The kernel.
    pub k: &'a Kernel,
    /// The address of the table of operand addresses.
    pub operands: Value,
    /// The address of the library.
    pub library: Value,
    /// The address of the parameters.
    pub params: Value,
    /// The accumulators of finished stages.
    pub accumulators: Vec<Vec<LaneValue>>,
    /// The first iteration of the outermost loop.
    pub begin: Value,
    /// The end of the outermost loop.
    pub end: Value,
    /// True if the CPU has fused multiply-add.
    pub has_fma: bool,
    /// The first broken invariant. Emission goes on with some value, and the code is dropped.
    pub bug: Option<String>,
}

/// The position in the loops around a body.
#[derive(Clone)]
pub struct LoopPosition {
    /// The address of every operand.
    pub addresses: Vec<Value>,
    /// The counter of every loop so far, outermost first.
    pub counters: Vec<Value>,
    /// The vectors that hold varying values.
    pub shape: VectorShape,
}

/// A stage that is being emitted.
#[derive(Clone, Copy)]
pub struct StageRef<'d> {
    /// The index of the stage.
    pub index: usize,
    /// For each value, the number of loops that it depends on.
    pub depth: &'d [usize],
}

/// The iterations `from..to` of a loop, in steps of `step`.
#[derive(Clone, Copy)]
pub struct LoopRange {
    pub from: Value,
    pub to: Value,
    pub step: usize,
}

/// The values of a stage that are in registers.
#[derive(Clone)]
pub struct Env(Vec<Option<LaneValue>>);

impl Env {
    /// Creates an environment for a stage of `n` instructions, all unknown.
    pub fn new(n: usize) -> Env {
        Env(vec![None; n])
    }

    /// Returns true if the value of instruction `i` is known.
    pub fn has(&self, i: usize) -> bool {
        self.0[i].is_some()
    }

    /// Sets the value of instruction `i`.
    pub fn set(&mut self, i: usize, x: LaneValue) {
        self.0[i] = Some(x);
    }
}

impl<'a, 'f> KernelEmitter<'a, 'f> {
    /// Creates the emitter of a function `b`, without a body, for kernel `k`.
    pub fn new(mut b: FunctionBuilder<'f>, k: &'a Kernel, has_fma: bool) -> Self {
        let entry = b.create_block();
        b.append_block_params_for_function_params(entry);
        b.switch_to_block(entry);
        let p = b.block_params(entry).to_vec();
        let accumulators = vec![vec![]; k.stages.len()];
        KernelEmitter {
            b,
            k,
            operands: p[0],
            params: p[1],
            library: p[2],
            begin: p[3],
            end: p[4],
            accumulators,
            has_fma,
            bug: None,
        }
    }

    /// Returns the value of an instruction. Operands precede users and depend on no more loops, so
    /// it is known.
    pub fn get(&mut self, env: &Env, x: InstId) -> LaneValue {
        match env.0.get(x as usize) {
            Some(Some(value)) => value.clone(),
            _ => {
                let zero = self.broken(format!("value %{x} is used before it is computed"), I64);
                LaneValue::Uniform(zero)
            }
        }
    }

    /// Records a broken invariant, which becomes the error of the compilation, and returns a
    /// placeholder of type `ty`; the code that holds it is dropped.
    pub fn broken(&mut self, what: impl std::fmt::Display, ty: Type) -> Value {
        self.bug.get_or_insert_with(|| what.to_string());
        let lane = match ty.lane_type() {
            types::F32 => self.b.ins().f32const(0.0),
            types::F64 => self.b.ins().f64const(0.0),
            lane => self.b.ins().iconst(lane, 0),
        };
        if ty.is_vector() { self.b.ins().splat(ty, lane) } else { lane }
    }
}

/// Returns the flags of accesses that cannot trap. Nothing is assumed about alignment.
pub fn trusted() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}
