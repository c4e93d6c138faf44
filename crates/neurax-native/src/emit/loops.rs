//! The loops of a kernel: outer loops, stages, inner loops, and their vector forms.
//!
//! A vectorized loop is emitted in up to three copies that share its iteration range:
//!
//! ```text
//! while i + 4 * unroll <= n { .. }     // unrolled vectors, to hide latencies
//! while i + 4 <= n          { .. }     // one vector
//! while i < n               { .. }     // scalar remainder
//! ```
//!
//! If the innermost loop is vectorized, an accumulator starts as a vector of identity elements, is
//! narrowed from the unrolled copy to one vector, and its lanes are combined with the scalar
//! accumulator for the remainder. If an outer loop is, every accumulator is a vector throughout.
//!
//! Long sums divide one of the inner loops into blocks (`blocks`).
//!
//! Loop-invariant code motion: every value is computed just inside of the innermost loop that it
//! depends on ([`KernelEmitter::invariant_depths`]).

use super::{
    lane_value::{LaneValue, VectorShape},
    state::{Env, KernelEmitter, LoopPosition, LoopRange, StageRef, trusted},
};
use crate::{
    kernel::{InstKind, InstSource, Size, Stride, VectorAxis},
    tuning::{MAX_UNROLLED_INSTS, UNROLL_FACTORS, UNROLL_SMALL_PRODUCT},
};
use cranelift_codegen::{
    ir::{InstBuilder, Type, Value, condcodes::IntCC, types::I64},
    isa::TargetFrontendConfig,
};
use neurax_ir::Result;

impl KernelEmitter<'_, '_> {
    /// Emits the whole function.
    ///
    /// # Errors
    /// If an invariant of the kernel IR is broken, an error of this crate.
    pub fn function(mut self, config: TargetFrontendConfig) -> Result<(), String> {
        let operands = self.operands;
        let address =
            |i: usize, e: &mut Self| e.b.ins().load(I64, trusted(), operands, 8 * i as i32);
        let addresses = (0..self.k.operands.len()).map(|i| address(i, &mut self)).collect();
        let position = LoopPosition { addresses, counters: vec![], shape: VectorShape::SCALAR };
        self.outer(&position);
        self.b.ins().return_(&[]);
        self.b.seal_all_blocks();
        self.b.finalize(config);
        match self.bug {
            None => Ok(()),
            Some(bug) => Err(bug),
        }
    }

    /// Loads parameter `p`.
    pub fn param(&mut self, p: u16) -> Value {
        self.param_as(p, I64)
    }

    /// Loads parameter `p` as the bits of a number, which are its first bytes: all supported CPUs
    /// are little-endian.
    pub fn param_as(&mut self, p: u16, ty: Type) -> Value {
        // Parameters never change, so that loads may move and be merged.
        let flags = trusted().with_readonly().with_can_move();
        self.b.ins().load(ty, flags, self.params, 8 * p as i32)
    }

    /// Returns a trip count.
    fn size(&mut self, s: Size) -> Value {
        match s {
            Size::Fixed(n) => self.b.ins().iconst(I64, n as i64),
            Size::Param(p) => self.param(p),
        }
    }

    /// Emits the outer loops from the position on, then the stages.
    fn outer(&mut self, position: &LoopPosition) {
        let level = position.counters.len();
        if level == self.k.outer.len() {
            return self.stages(position);
        }
        let (from, to) = if level == 0 {
            (self.begin, self.end)
        } else {
            (self.zero(), self.size(self.k.outer[level]))
        };
        let lanes = self.k.vector_axis == VectorAxis::Outer && level + 1 == self.k.outer.len();
        let shape = if lanes { self.shape() } else { VectorShape::SCALAR };
        if shape.width == 1 {
            self.emit_for(LoopRange { from, to, step: 1 }, &[], |e, i, _| {
                let inside = e.enter(position, level, i, VectorShape::SCALAR);
                e.outer(&inside);
                vec![]
            });
            return;
        }
        let mut from = from;
        for shape in shape.down() {
            let end = if shape.width == 1 { to } else { self.vector_end(from, to, shape.step()) };
            self.emit_for(LoopRange { from, to: end, step: shape.step() }, &[], |e, i, _| {
                let inside = e.enter(position, level, i, shape);
                e.outer(&inside);
                vec![]
            });
            from = end;
        }
    }

    /// Returns the vectors of this kernel: short bodies are unrolled, to hide latencies.
    pub fn shape(&self) -> VectorShape {
        let width = self.k.lane_width();
        let length = |s: usize| self.k.stages[s].insts.len();
        let looped = (0..self.k.stages.len()).filter(|&s| !self.k.stages[s].inner.is_empty());
        let around = (0..self.k.stages.len()).filter(|&s| !self.can_emit_by_vector(s)).map(length);
        let around = around.fold(0, usize::max);
        // Instructions around inner loops run once and weigh little.
        // empty: without inner loops, only the instructions around them count.
        let longest = looped.map(length).max().unwrap_or(around);
        // A small product reuses each loaded element of a row for all vectors of columns.
        let is_product = self.k.vector_axis == VectorAxis::Outer
            && self.k.stages.len() <= 2
            && self.k.stages[0].accumulators.len() == 1;
        let mut unroll = if width == 1 { 1 } else { unroll_factor(longest, is_product) };
        // Instructions around the loops are unrolled with them.
        while self.k.vector_axis == VectorAxis::Outer
            && unroll > 1
            && unroll * around > MAX_UNROLLED_INSTS
        {
            unroll /= 2;
        }
        VectorShape { width, unroll }
    }

    fn zero(&mut self) -> Value {
        self.b.ins().iconst(I64, 0)
    }

    /// Returns the end of the iterations that fill whole steps.
    fn vector_end(&mut self, from: Value, to: Value, step: usize) -> Value {
        let n = self.b.ins().isub(to, from);
        let whole = self.b.ins().band_imm_s(n, -(step as i64));
        self.b.ins().iadd(from, whole)
    }

    /// Returns the position inside of iteration `i` of the next loop.
    fn enter(
        &mut self,
        position: &LoopPosition,
        level: usize,
        i: Value,
        shape: VectorShape,
    ) -> LoopPosition {
        let mut inside = position.clone();
        inside.counters.push(i);
        inside.shape = shape;
        for (o, operand) in self.k.operands.iter().enumerate() {
            let Some(&stride) = operand.strides.get(level) else { continue };
            let bytes = operand.dtype.bits() as i64 / 8;
            let old = position.addresses[o];
            inside.addresses[o] = match stride {
                Stride::Zero => continue,
                Stride::Unit => {
                    let by = self.b.ins().imul_imm_s(i, bytes);
                    self.b.ins().iadd(old, by)
                }
                Stride::Param(p) => {
                    let stride = self.param(p);
                    let by = self.b.ins().imul(i, stride);
                    self.b.ins().iadd(old, by)
                }
            };
        }
        inside
    }

    /// Emits `for i in from..to step step`, with carried values. Returns these after the last
    /// iteration.
    pub fn emit_for(
        &mut self,
        LoopRange { from, to, step }: LoopRange,
        carried: &[Value],
        body: impl FnOnce(&mut Self, Value, &[Value]) -> Vec<Value>,
    ) -> Vec<Value> {
        let (head, inside, after) =
            (self.b.create_block(), self.b.create_block(), self.b.create_block());
        let i = self.b.append_block_param(head, I64);
        let carry: Vec<Value> = carried
            .iter()
            .map(|&v| {
                let t = self.b.func.dfg.value_type(v);
                self.b.append_block_param(head, t)
            })
            .collect();
        let start: Vec<_> =
            std::iter::once(from).chain(carried.iter().copied()).map(Into::into).collect();
        self.b.ins().jump(head, &start);
        self.b.switch_to_block(head);
        let more = self.b.ins().icmp(IntCC::SignedLessThan, i, to);
        self.b.ins().brif(more, inside, &[], after, &[]);
        self.b.switch_to_block(inside);
        let next = body(self, i, &carry);
        let i = self.b.ins().iadd_imm_s(i, step as i64);
        let back: Vec<_> = std::iter::once(i).chain(next).map(Into::into).collect();
        self.b.ins().jump(head, &back);
        self.b.switch_to_block(after);
        carry
    }

    /// Emits all stages, one after the other.
    fn stages(&mut self, position: &LoopPosition) {
        for s in 0..self.k.stages.len() {
            let mut position = position.clone();
            if self.k.stages[s].inner.is_empty() && self.k.vector_axis == VectorAxis::Inner {
                position.shape = VectorShape::SCALAR;
            }
            let depth = self.invariant_depths(s);
            let stage = StageRef { index: s, depth: &depth };
            if position.shape.unroll > 1 && self.can_emit_by_vector(s) {
                self.by_vector(stage, &position);
                continue;
            }
            let mut env = Env::new(self.k.stages[s].insts.len());
            let initial = self.initial(s, &position);
            self.accumulators[s] = if self.blocked_loop(s).is_some() {
                let totals = self.totals(s, initial);
                let totals = self.inner(stage, &position, &mut env, totals);
                self.round_totals(s, totals)
            } else {
                self.inner(stage, &position, &mut env, initial)
            };
        }
    }

    /// Returns true if a stage is an epilogue in a vectorized outer loop, which
    /// [`by_vector`](KernelEmitter::by_vector) emits.
    fn can_emit_by_vector(&self, s: usize) -> bool {
        let stage = &self.k.stages[s];
        self.k.vector_axis == VectorAxis::Outer
            && s > 0
            && stage.inner.is_empty()
            && stage.accumulators.is_empty()
    }

    /// Emits an epilogue for one vector of the unrolled loop after the other, so that only the
    /// values of one vector are in registers. The loops in front of it are unrolled whatever the
    /// number of its instructions.
    fn by_vector(&mut self, stage: StageRef, position: &LoopPosition) {
        let all = self.accumulators.clone();
        for u in 0..position.shape.unroll {
            let nth = |x: &LaneValue| x.nth_vector(u);
            self.accumulators = all.iter().map(|stage| stage.iter().map(nth).collect()).collect();
            let inside = self.nth_vector(position, u);
            let mut env = Env::new(self.k.stages[stage.index].insts.len());
            self.inner(stage, &inside, &mut env, vec![]);
        }
        self.accumulators = all;
    }

    /// Returns the position of vector `u` of the unrolled innermost outer loop.
    fn nth_vector(&mut self, position: &LoopPosition, u: usize) -> LoopPosition {
        let shape = VectorShape { unroll: 1, ..position.shape };
        let by = self.b.ins().iconst(I64, (u * shape.width) as i64);
        let level = self.k.outer.len() - 1;
        let mut inside = self.enter(position, level, by, shape);
        inside.counters.pop();
        inside.counters[level] = self.b.ins().iadd(inside.counters[level], by);
        inside
    }

    /// Returns for every value of a stage the depth of the innermost loop that it depends on: it is
    /// hoisted out of all deeper ones.
    fn invariant_depths(&self, s: usize) -> Vec<usize> {
        let outer = self.k.outer.len();
        let mut depth: Vec<usize> = vec![];
        for inst in &self.k.stages[s].insts {
            let strides = match &inst.op {
                InstKind::Source(InstSource::Load { operand, .. }) => {
                    &self.k.operands[*operand as usize].strides[..]
                }
                InstKind::Source(InstSource::Index { strides, .. }) => &strides[..],
                // other: the depth of all other instructions is that of their operands.
                _ => &[],
            };
            let own = strides
                .iter()
                .rposition(|s| *s != Stride::Zero)
                // empty: no loop moves it.
                .map_or(outer, |d| (d + 1).max(outer));
            depth.push(inst.all_reads().map(|x| depth[x as usize]).fold(own, usize::max));
        }
        // Loads may be hoisted, because a stage does not load what it stored in earlier iterations.
        // A scatter does: its loads stay in the innermost loop.
        if self.k.stages[s].stores.iter().any(|st| st.at.is_some()) {
            let all = self.k.depth(s);
            let loads = |i: &usize| {
                matches!(self.k.stages[s].insts[*i].op, InstKind::Source(InstSource::Load { .. }))
            };
            for i in (0..depth.len()).filter(loads) {
                depth[i] = all;
            }
            for i in 0..depth.len() {
                depth[i] = self.k.stages[s].insts[i]
                    .all_reads()
                    .map(|x| depth[x as usize])
                    .fold(depth[i], usize::max);
            }
        }
        depth
    }

    /// Emits the inner loops from the position on, then the body. Returns the accumulators.
    fn inner(
        &mut self,
        stage: StageRef,
        position: &LoopPosition,
        env: &mut Env,
        accumulators: Vec<LaneValue>,
    ) -> Vec<LaneValue> {
        let (s, level) = (stage.index, position.counters.len());
        // Nothing is hoisted out of a loop without iterations: its loads may be out of bounds.
        if self.k.stages[s].inner[level - self.k.outer.len()..].contains(&Size::Fixed(0)) {
            return accumulators;
        }
        self.invariants(s, position, stage.depth, env);
        if level == self.k.depth(s) {
            return self.effects(s, position, env, accumulators);
        }
        let range = self.range(s, level);
        if let Some(blocked) = self.blocked_loop(s).filter(|b| b.level == level) {
            return self.blocks(blocked, range, stage, position, env, accumulators);
        }
        let is_last = level + 1 == self.k.depth(s);
        if is_last && let Some(run) = self.copied_run(stage, env) {
            return self.copy_or_loop(run, range, stage, position, env, accumulators);
        }
        if is_last {
            return self.last_loop(range, stage, position, env, accumulators);
        }
        self.inner_loop(range, stage, position, env, accumulators, position.shape)
    }

    /// Emits the innermost loop, vectorized if it is the vector axis.
    pub fn last_loop(
        &mut self,
        range: LoopRange,
        stage: StageRef,
        position: &LoopPosition,
        env: &Env,
        accumulators: Vec<LaneValue>,
    ) -> Vec<LaneValue> {
        let shape = if self.k.vector_axis == VectorAxis::Inner {
            self.shape()
        } else {
            VectorShape::SCALAR
        };
        if shape.width == 1 {
            return self.inner_loop(range, stage, position, env, accumulators, position.shape);
        }
        let s = stage.index;
        let mut vectors = self.spread(s, &accumulators, shape);
        let mut from = range.from;
        for shape in shape.down().into_iter().filter(|s| s.width > 1) {
            let to = self.vector_end(from, range.to, shape.step());
            let vector_range = LoopRange { from, to, step: shape.step() };
            vectors = self.narrow(s, vectors, shape);
            vectors = self.inner_loop(vector_range, stage, position, env, vectors, shape);
            from = to;
        }
        let accumulators = self.reduce_lanes(s, vectors, accumulators, shape);
        let remainder = LoopRange { from, ..range };
        self.inner_loop(remainder, stage, position, env, accumulators, VectorShape::SCALAR)
    }

    /// Returns the range of the inner loop at `level`.
    fn range(&mut self, s: usize, level: usize) -> LoopRange {
        // Without outer loops, the inner loop runs in chunks.
        if level == 0
            && self.k.outer.is_empty()
            && self.k.stages[s].accumulators.is_empty()
            && self.k.stages[s].inner.len() == 1
            && self.k.stages.len() == 1
        {
            return LoopRange { from: self.begin, to: self.end, step: 1 };
        }
        let size = self.k.stages[s].inner[level - self.k.outer.len()];
        LoopRange { from: self.zero(), to: self.size(size), step: 1 }
    }

    /// Emits one copy of an inner loop with vectors of `shape`. Returns the accumulators.
    pub fn inner_loop(
        &mut self,
        range: LoopRange,
        stage: StageRef,
        position: &LoopPosition,
        env: &Env,
        accumulators: Vec<LaneValue>,
        shape: VectorShape,
    ) -> Vec<LaneValue> {
        let level = position.counters.len();
        let carried: Vec<Value> = accumulators.iter().flat_map(LaneValue::values).collect();
        let out = self.emit_for(range, &carried, |e, i, carried| {
            let inside = e.enter(position, level, i, shape);
            // Values in front of the loop are known inside; those of the body are unknown after it.
            let mut env = env.clone();
            let accumulators = LaneValue::like(&accumulators, carried);
            let accumulators = e.inner(stage, &inside, &mut env, accumulators);
            accumulators.iter().flat_map(LaneValue::values).collect()
        });
        LaneValue::like(&accumulators, &out)
    }
}

/// Returns the unroll factor of a loop whose longest body has `insts` instructions.
fn unroll_factor(insts: usize, is_product: bool) -> usize {
    let product = is_product.then_some(UNROLL_SMALL_PRODUCT);
    let mut factors = product.into_iter().chain(UNROLL_FACTORS);
    // empty: a body of more instructions is not unrolled.
    factors.find(|&(most, _)| insts <= most).map_or(1, |(_, factor)| factor)
}
