//! Kernel building: from an expression graph to a kernel and the arguments of its call.
//!
//! The problem: an expression graph says what is computed for each point of an iteration space. Its
//! reductions are complete only after a loop, so that one body does not suffice, and its sizes and
//! offsets should not be part of the machine code.
//!
//! The method is loop distribution (fission) by level: the nodes are divided by the number of
//! reductions on the longest path to them, and each level becomes a stage
//! ([`KernelBuilder::build_stages`]); a node that two stages need is computed in both, unless the
//! first one stored it. Code is specialized by structure and parameterized by sizes.
//!
//! A kernel has outer loops, which run in parallel, and inside of them *stages*, which run one
//! after the other. A stage has its own inner loops, the reduced ones, or none. Each output of the
//! expression graph belongs to the stages of its level: the stage that accumulates it, and the one
//! that stores the result.
//!
//! ```text
//! softmax over [32, (10)]:   outer loop of 32, with the parameters 32, 10 and the row strides
//!                            stage 0: max over 10
//!                            stage 1: sum of exp(x - max) over 10, stores exp(x - max)
//!                            stage 2: loads it again, divides it by the sum
//! ```
//!
//! A value that an earlier stage stored is loaded again instead of being computed twice
//! ([`StageBuilder::earlier`]). Trip counts, strides and most constants are parameters of the call,
//! so that kernels of one structure share machine code whatever their sizes. Parameters that serve
//! different purposes stay apart even if they are equal, since they would differ for another batch
//! size.
//!
//! Invariants: operands precede users in every stage; a stage reads accumulators of earlier stages
//! only; [`KernelCall::in_place`] says which operands the memory planner may overlap.

use super::{
    analysis::Analysis,
    expr_graph::ExprGraph,
    loops::{Loops, loops},
    outputs::{BufferId, ExprSource, LoweredOutput, Sink},
};
use crate::{
    affine::AffineOffset,
    kernel::{
        Accumulator, ArrayOperand, Inst, InstId, InstKind, InstSource, Kernel, LoopStage, Size,
        Store, Stride, VectorAxis, computed_in,
    },
    tuning::{MAX_STRUCTURAL_SIZE, SUM_BLOCK},
};
use neurax_ir::{DType, OrBug, Result, Value, op::Binary};
use rustc_hash::FxHashMap;

/// A kernel with the arguments of its call.
#[derive(Clone, Debug)]
pub struct KernelCall {
    /// The loops and their bodies.
    pub kernel: Kernel,
    /// The buffer of each operand.
    pub args: Vec<Arg>,
    /// The trip counts, strides and runtime constants.
    pub params: Vec<i64>,
    /// The trip count of the outermost loop, which is run in chunks.
    pub count: usize,
    /// The work of one iteration of the outermost loop, in elements times instructions.
    pub weight: usize,
    /// True if iterations of the outermost loop may run in parallel.
    pub parallel: bool,
}

/// The argument of an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arg {
    /// The buffer.
    pub buffer: BufferId,
    /// The offset of the first element, in bytes.
    pub offset: isize,
    /// True if the operand is written.
    pub writes: bool,
    /// The stride of the outermost loop, in bytes.
    pub step: isize,
}

/// Builds the kernel of an expression graph. A stored value is written only if `needed` is true for
/// its buffer, or if a later stage loads it.
///
/// # Errors
/// If the expression graph is malformed, an error of this crate.
pub fn build_kernel(body: &ExprGraph, needed: &dyn Fn(BufferId) -> bool) -> Result<KernelCall> {
    let mut builder = KernelBuilder {
        analysis: body.analysis,
        body,
        loops: loops(body)?,
        needed,
        params: KernelParams::default(),
        args: vec![],
        operands: vec![],
        stages: vec![],
        accumulators: FxHashMap::default(),
    };
    let outer = (0..builder.loops.outer).map(|l| builder.size(l)).collect();
    builder.build_stages()?;
    Ok(builder.finish(outer))
}

/// The key of a stage, in the order in which stages run: its level, and whether it has inner loops.
type StageKey = (usize, bool);

/// A kernel that is being built.
struct KernelBuilder<'a> {
    analysis: &'a Analysis<'a>,
    body: &'a ExprGraph<'a>,
    loops: Loops,
    needed: &'a dyn Fn(BufferId) -> bool,
    params: KernelParams,
    args: Vec<Arg>,
    operands: Vec<ArrayOperand>,
    stages: Vec<LoopStage>,
    /// The stage and the index of the accumulator of each output that is reduced.
    accumulators: FxHashMap<usize, (u16, u16)>,
}

/// The parameters of a call. One parameter serves all uses of a value for one purpose.
#[derive(Default)]
struct KernelParams {
    values: Vec<i64>,
    known: FxHashMap<(ParamPurpose, i64), u16>,
}

/// The purpose of a parameter. Equal values for different purposes are different parameters: for
/// another batch size they would differ.
#[derive(PartialEq, Eq, Hash)]
enum ParamPurpose {
    /// The trip count of a loop.
    Size(usize),
    /// The stride of a loop, in bytes.
    Stride(usize),
    /// The step of an index for a loop.
    Step(usize),
    /// The start of an index.
    Base,
    /// A constant of the graph.
    Constant,
}

impl KernelParams {
    /// Returns the index of the parameter for `purpose` with `value`.
    fn get(&mut self, purpose: ParamPurpose, value: i64) -> u16 {
        *self.known.entry((purpose, value)).or_insert_with(|| {
            self.values.push(value);
            self.values.len() as u16 - 1
        })
    }
}

impl KernelBuilder<'_> {
    /// Returns the trip count of loop `l`.
    fn size(&mut self, l: usize) -> Size {
        let n = self.loops.sizes[l];
        // The outermost loop runs in chunks and changes with the batch. A loop without iterations
        // must be known as such: nothing may be loaded in front of it.
        if n == 0 || (n <= MAX_STRUCTURAL_SIZE && l > 0) {
            Size::Fixed(n as u32)
        } else {
            Size::Param(self.params.get(ParamPurpose::Size(l), n as i64))
        }
    }

    fn build_stages(&mut self) -> Result<()> {
        let mut keys: Vec<StageKey> = vec![];
        for o in 0..self.body.outputs.len() {
            keys.extend(self.stages_of(o));
        }
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter().try_for_each(|key| self.build_stage(key))
    }

    /// Returns the level of the nodes that an output needs.
    fn level(&self, o: &LoweredOutput) -> usize {
        let nodes = [Some(o.node), o.at, o.guard].into_iter().flatten();
        nodes.map(|x| self.body.levels[x as usize]).fold(0, usize::max)
    }

    /// Returns the stages of output `o`: where its value is computed, and where the result of its
    /// accumulator is stored.
    fn stages_of(&self, o: usize) -> Vec<StageKey> {
        let lowered = &self.body.outputs[o];
        let level = self.level(lowered);
        match &lowered.output.sink {
            Sink::Reduce { buffer, .. } if (self.needed)(*buffer) => {
                vec![(level, true), (level + 1, false)]
            }
            Sink::Reduce { .. } => vec![(level, true)],
            Sink::Store(_)
            | Sink::Slice { .. }
            | Sink::Fill(_)
            | Sink::DynamicSlice { .. }
            | Sink::Scatter { .. } => {
                // A value that only this kernel reads stays in registers.
                self.is_stored(o).then(|| self.store_stage(lowered)).into_iter().collect()
            }
        }
    }

    /// Returns the stage that stores an output without a reduction.
    fn store_stage(&self, o: &LoweredOutput) -> StageKey {
        (self.level(o), !self.body.is_outer_only(o.output.value))
    }

    /// Returns true if output `o` is written: another step needs it, or a later stage.
    fn is_stored(&self, o: usize) -> bool {
        match self.body.outputs[o].output.sink {
            Sink::Store(b) => (self.needed)(b) || self.is_reloaded(o),
            Sink::Reduce { buffer, .. } => (self.needed)(buffer),
            Sink::Slice { .. }
            | Sink::Fill(_)
            | Sink::DynamicSlice { .. }
            | Sink::Scatter { .. } => true,
        }
    }

    /// Returns true if a later stage loads output `o` from memory.
    fn is_reloaded(&self, o: usize) -> bool {
        let lowered = &self.body.outputs[o];
        let own = self.level(lowered);
        let is_whole = matches!(lowered.output.sink, Sink::Store(_))
            && !self.body.is_outer_only(lowered.output.value);
        let node = &self.body.nodes[lowered.node as usize];
        let is_trivial = matches!(node.op, InstKind::Source(_) | InstKind::Const(_));
        let is_read_later = || {
            let nodes = self.body.nodes.iter().zip(&self.body.levels);
            let mut later = nodes.filter(|(_, level)| **level > own);
            later.any(|(node, _)| node.op.reads().any(|x| x == lowered.node))
        };
        let is_stored_later = || {
            let mut outputs = self.body.outputs.iter();
            outputs.any(|o| o.node == lowered.node && self.level(o) > own)
        };
        is_whole && !is_trivial && (is_read_later() || is_stored_later())
    }

    fn build_stage(&mut self, key: StageKey) -> Result<()> {
        let index = self.stages.len();
        let inner: Vec<Size> = if key.1 {
            (self.loops.outer..self.loops.sizes.len()).map(|l| self.size(l)).collect()
        } else {
            vec![]
        };
        self.stages.push(LoopStage { inner, ..LoopStage::default() });
        let outputs = self.body.outputs.len();
        let (interned, copied) = (FxHashMap::default(), FxHashMap::default());
        let mut stage = StageBuilder { kernel: self, key, index, interned, copied };
        (0..outputs).try_for_each(|o| stage.output(o))
    }

    fn finish(self, outer: Vec<Size>) -> KernelCall {
        let KernelBuilder { loops, params, args, operands, stages, .. } = self;
        // The work of a large kernel is compared with thresholds only.
        let product = |sizes: &[usize]| sizes.iter().fold(1, |n: usize, &d| n.saturating_mul(d));
        let inner = product(&loops.sizes[loops.outer..]);
        let work = |s: &LoopStage| {
            s.insts.len().saturating_mul(if s.inner.is_empty() { 1 } else { inner })
        };
        let whole = stages.iter().map(work).fold(0, usize::saturating_add);
        let rest = product(&loops.sizes[loops.outer.min(1)..loops.outer]);
        // Without outer loops, a single inner loop without accumulators runs in chunks itself.
        let is_flat = loops.outer == 0
            && loops.sizes.len() == 1
            && stages.iter().all(|s| s.accumulators.is_empty());
        let (count, weight) = match (loops.outer, is_flat) {
            (0, true) => (loops.sizes[0], stages.iter().map(|s| s.insts.len()).sum()),
            (0, false) => (1, whole),
            // other: any number of outer loops.
            _ => (loops.sizes[0], whole.saturating_mul(rest)),
        };
        let parallel = loops.parallel && (loops.outer > 0 || is_flat);
        let mut kernel = Kernel { outer, vector_axis: loops.vector_axis, operands, stages };
        divide_long_sums(&mut kernel, inner);
        KernelCall { kernel, args, params: params.values, count, weight: weight.max(1), parallel }
    }
}

/// Marks the stages whose sums are divided into blocks: those that add too many values for each
/// lane. `inner` is the number of iterations of the inner loops.
fn divide_long_sums(kernel: &mut Kernel, inner: usize) {
    let lanes = if kernel.vector_axis == VectorAxis::Inner { kernel.lane_width() } else { 1 };
    if inner <= SUM_BLOCK * lanes {
        return;
    }
    for s in 0..kernel.stages.len() {
        kernel.stages[s].in_blocks = kernel.has_float_sum(s);
    }
}

/// A stage that is being built.
struct StageBuilder<'a, 'b> {
    kernel: &'a mut KernelBuilder<'b>,
    key: StageKey,
    index: usize,
    /// The instructions of the stage by their contents (hash-consing).
    interned: FxHashMap<Inst<InstSource>, InstId>,
    /// The instruction of each node that was copied into the stage.
    copied: FxHashMap<InstId, InstId>,
}

impl StageBuilder<'_, '_> {
    /// Adds what this stage does for output `o`: accumulate it, store the result, or nothing.
    fn output(&mut self, o: usize) -> Result<()> {
        let lowered = self.kernel.body.outputs[o].clone();
        let level = self.kernel.level(&lowered);
        match &lowered.output.sink {
            Sink::Reduce { kind, .. } if self.key == (level, true) => {
                let value = self.node(lowered.node)?;
                let stage = &mut self.kernel.stages[self.index];
                stage.accumulators.push(Accumulator { kind: *kind, value });
                let index = stage.accumulators.len() as u16 - 1;
                self.kernel.accumulators.insert(o, (self.index as u16, index));
                Ok(())
            }
            Sink::Reduce { result, buffer, .. }
                if self.key == (level + 1, false) && (self.kernel.needed)(*buffer) =>
            {
                let ty = self.kernel.body.nodes[lowered.node as usize].ty;
                let x = self.accumulator(o, ty)?;
                let dtype = self.dtype(*result)?;
                let x = if dtype == ty { x } else { self.put(InstKind::Round(dtype, x), ty) };
                self.store(&lowered, x, dtype)
            }
            Sink::Store(_)
            | Sink::Slice { .. }
            | Sink::Fill(_)
            | Sink::DynamicSlice { .. }
            | Sink::Scatter { .. }
                if self.kernel.is_stored(o) && self.key == self.kernel.store_stage(&lowered) =>
            {
                let x = self.node(lowered.node)?;
                let dtype = self.dtype(lowered.output.value)?;
                self.store(&lowered, x, dtype)
            }
            // empty: the output belongs to other stages.
            Sink::Reduce { .. }
            | Sink::Store(_)
            | Sink::Slice { .. }
            | Sink::Fill(_)
            | Sink::DynamicSlice { .. }
            | Sink::Scatter { .. } => Ok(()),
        }
    }

    fn store(&mut self, o: &LoweredOutput, x: InstId, dtype: DType) -> Result<()> {
        let is_plain = dtype == computed_in(dtype);
        let value = if is_plain { x } else { self.put(InstKind::Convert(x), dtype) };
        let at = o.at.map(|a| self.bytes(a, dtype)).transpose()?;
        let guard = o.guard.map(|g| self.node(g)).transpose()?;
        let operand = self.operand(o.output.sink.buffer(), dtype, &o.offset, true);
        self.kernel.stages[self.index].stores.push(Store { operand, value, at, guard });
        Ok(())
    }

    /// Appends an instruction, or finds an equal one.
    fn put(&mut self, op: InstKind<InstSource>, ty: DType) -> InstId {
        let inst = Inst { op, ty };
        if let Some(&id) = self.interned.get(&inst) {
            return id;
        }
        let insts = &mut self.kernel.stages[self.index].insts;
        insts.push(inst.clone());
        let id = insts.len() as InstId - 1;
        self.interned.insert(inst, id);
        id
    }

    /// Returns the value of the accumulator of output `o`, which an earlier stage finished.
    fn accumulator(&mut self, o: usize, ty: DType) -> Result<InstId> {
        let found = self.kernel.accumulators.get(&o).copied();
        let (stage, accumulator) = found.or_bug(format!("output {o} has no accumulator yet"))?;
        Ok(self.put(InstKind::Source(InstSource::Accumulator { stage, accumulator }), ty))
    }

    /// Converts an offset in elements to bytes.
    fn bytes(&mut self, at: InstId, dtype: DType) -> Result<InstId> {
        let x = self.node(at)?;
        let size = self.put(InstKind::Const(dtype.bits() as u64 / 8), DType::I64);
        Ok(self.put(InstKind::Binary(Binary::Mul, x, size), DType::I64))
    }

    /// Returns the instruction of a node: reloaded if an earlier stage stored it, else copied.
    fn node(&mut self, x: InstId) -> Result<InstId> {
        if let Some(&id) = self.copied.get(&x) {
            return Ok(id);
        }
        let id = match self.earlier(x) {
            Some(o) => self.reload(o)?,
            None => self.copy(x)?,
        };
        self.copied.insert(x, id);
        Ok(id)
    }

    /// Returns the output that an earlier stage stored the node's value to, if there is one.
    fn earlier(&self, x: InstId) -> Option<usize> {
        let outputs = &self.kernel.body.outputs;
        let is_before = |o: &usize| self.kernel.level(&outputs[*o]) < self.key.0;
        let mut stored = (0..outputs.len()).filter(|&o| outputs[o].node == x).filter(is_before);
        stored.find(|&o| self.kernel.is_reloaded(o))
    }

    fn reload(&mut self, o: usize) -> Result<InstId> {
        let lowered = self.kernel.body.outputs[o].clone();
        let dtype = self.dtype(lowered.output.value)?;
        let buffer = lowered.output.sink.buffer();
        let operand = self.operand(buffer, dtype, &lowered.offset, false);
        let x = self.put(InstKind::Source(InstSource::Load { operand, at: None }), dtype);
        let within = computed_in(dtype);
        Ok(if dtype == within { x } else { self.put(InstKind::Convert(x), within) })
    }

    /// Returns the dtype that machine code handles a value as.
    fn dtype(&self, v: Value) -> Result<DType> {
        let found = self.kernel.analysis.dtype(v).ok();
        found.or_bug(format!("%{} of a kernel has no code for its dtype", v.0))
    }

    /// Copies a node and the nodes that it reads into the stage.
    fn copy(&mut self, x: InstId) -> Result<InstId> {
        let node = self.kernel.body.nodes[x as usize].clone();
        let source = match &node.op {
            InstKind::Source(ExprSource::Load { buffer, offset, at }) => {
                let at = at.map(|a| self.bytes(a, node.ty)).transpose()?;
                let operand = self.operand(*buffer, node.ty, offset, false);
                InstSource::Load { operand, at }
            }
            InstKind::Source(ExprSource::Index(index)) => self.index(index),
            InstKind::Source(ExprSource::RuntimeConstant(bits)) => {
                InstSource::Param(self.kernel.params.get(ParamPurpose::Constant, *bits as i64))
            }
            InstKind::Source(ExprSource::Accumulator(o)) => return self.accumulator(*o, node.ty),
            op => {
                for y in op.reads() {
                    self.node(y)?;
                }
                let op = op.with_operands(|y| self.copied.get(&y).copied())?;
                return Ok(self.put(op, node.ty));
            }
        };
        Ok(self.put(InstKind::Source(source), node.ty))
    }

    /// Returns the source of an affine function of the loop counters.
    fn index(&mut self, index: &AffineOffset) -> InstSource {
        let strides = self.strides(index, ParamPurpose::Step, 1);
        let params = &mut self.kernel.params;
        let base = (index.base != 0).then(|| params.get(ParamPurpose::Base, index.base as i64));
        InstSource::Index { strides, base }
    }

    /// Returns the operand of an access, a new one if no equal access exists.
    fn operand(
        &mut self,
        buffer: BufferId,
        dtype: DType,
        offset: &AffineOffset,
        writes: bool,
    ) -> u16 {
        let bytes = dtype.bits() as isize / 8;
        let strides = self.strides(offset, ParamPurpose::Stride, bytes);
        let operand = ArrayOperand { dtype, stage: self.index as u16, strides };
        let loops = &self.kernel.loops;
        // empty: a kernel without loops runs once.
        let step = loops.of.first().map_or(0, |&outermost| offset.steps[outermost] * bytes);
        let arg = Arg { buffer, offset: offset.base * bytes, writes, step };
        let kernel = &mut self.kernel;
        let is_same = |i: &usize| kernel.operands[*i] == operand && kernel.args[*i] == arg;
        let found = (0..kernel.operands.len()).find(is_same);
        found.unwrap_or_else(|| {
            kernel.operands.push(operand);
            kernel.args.push(arg);
            kernel.args.len() - 1
        }) as u16
    }

    /// Returns the strides of an access along the loops of this stage, in units of `unit`.
    fn strides(
        &mut self,
        offset: &AffineOffset,
        purpose: fn(usize) -> ParamPurpose,
        unit: isize,
    ) -> Vec<Stride> {
        let KernelBuilder { loops, params, .. } = &mut *self.kernel;
        let depth = if self.key.1 { loops.sizes.len() } else { loops.outer };
        let vectorized = match loops.vector_axis {
            VectorAxis::Inner => loops.sizes.len(),
            VectorAxis::Outer => loops.outer,
        };
        let stride = |l: usize| match offset.steps[loops.of[l]] {
            0 => Stride::Zero,
            1 if l + 1 == vectorized => Stride::Unit,
            s => Stride::Param(params.get(purpose(l), (s * unit) as i64)),
        };
        (0..depth).map(stride).collect()
    }
}

impl KernelCall {
    /// Returns true if `to` may overwrite `from` elementwise: every access of an element of `from`
    /// precedes the write of that element of `to`. Live ranges are the memory planner's concern.
    pub fn in_place(&self, from: BufferId, to: BufferId) -> bool {
        let all = || self.kernel.operands.iter().zip(&self.args);
        let mut writes = all().filter(|(_, a)| a.buffer == to && a.writes);
        let (Some((written, at)), None) = (writes.next(), writes.next()) else { return false };
        let before = |(o, a): (&ArrayOperand, &Arg)| {
            let is_same_element =
                o.strides == written.strides && a.offset == at.offset && o.dtype == written.dtype;
            is_same_element && (o.stage < written.stage || o.stage == written.stage && !a.writes)
        };
        let after = |(o, a): (&ArrayOperand, &Arg)| a.writes || o.stage > written.stage;
        let own = |b| move |(_, a): &(&ArrayOperand, &Arg)| a.buffer == b;
        let is_distinct = written.strides.iter().all(|s| *s != Stride::Zero);
        is_distinct
            && !self.is_dynamic(from)
            && all().filter(own(from)).all(before)
            && all().filter(own(to)).all(after)
    }

    /// Returns true if any store, or a load from `from`, is at an offset found at run time.
    fn is_dynamic(&self, from: BufferId) -> bool {
        let is_dynamic_load = |inst: &Inst<InstSource>| match inst.op {
            InstKind::Source(InstSource::Load { operand, at: Some(_) }) => {
                self.args[operand as usize].buffer == from
            }
            _ => false,
        };
        let mut stages = self.kernel.stages.iter();
        stages.any(|s| {
            s.insts.iter().any(is_dynamic_load) || s.stores.iter().any(|st| st.at.is_some())
        })
    }
}
