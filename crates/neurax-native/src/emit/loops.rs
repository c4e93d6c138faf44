//! The loops of a kernel.

use super::{
    body::Env,
    lane_value::{LaneValue, VectorShape},
};
use crate::kernel::{InstKind, InstSource, Kernel, Size, Stride, VectorAxis};
use cranelift_codegen::ir::{
    Block, InstBuilder, MemFlagsData, Type, Value, condcodes::IntCC, types::I64,
};
use cranelift_codegen::isa::TargetFrontendConfig;
use cranelift_frontend::FunctionBuilder;
use smallvec::SmallVec;

/// Writes one function.
pub struct KernelEmitter<'a, 'f> {
    pub b: FunctionBuilder<'f>,
    pub k: &'a Kernel,
    pub library: Value,
    params: Value,
    /// The accumulators of finished stages.
    pub accumulators: Vec<Vec<LaneValue>>,
    begin: Value,
    end: Value,
    /// Has the CPU fused multiply-add?
    pub has_fma: bool,
}

/// Where the loops around a body stand.
#[derive(Clone)]
pub struct LoopPosition {
    /// The address of every operand.
    pub addresses: Vec<Value>,
    /// The counter of every loop so far.
    pub counters: Vec<Value>,
    /// The vectors of values that differ between lanes.
    pub shape: VectorShape,
}

/// Instructions around inner loops, at most, after they were unrolled: more do not fit into
/// registers.
const AROUND: usize = 120;

impl<'a, 'f> KernelEmitter<'a, 'f> {
    /// A function without a body.
    pub fn new(mut b: FunctionBuilder<'f>, k: &'a Kernel, has_fma: bool) -> Self {
        let entry = b.create_block();
        b.append_block_params_for_function_params(entry);
        b.switch_to_block(entry);
        let p = b.block_params(entry).to_vec();
        let accumulators = vec![vec![]; k.stages.len()];
        KernelEmitter {
            b,
            k,
            params: p[1],
            library: p[2],
            begin: p[3],
            end: p[4],
            accumulators,
            has_fma,
        }
    }

    /// Writes the whole function.
    pub fn function(mut self, config: TargetFrontendConfig) {
        let operands = self.b.block_params(self.b.current_block().unwrap_or(Block::from_u32(0)))[0];
        let address =
            |i: usize, e: &mut Self| e.b.ins().load(I64, trusted(), operands, 8 * i as i32);
        let addresses = (0..self.k.operands.len()).map(|i| address(i, &mut self)).collect();
        let position = LoopPosition { addresses, counters: vec![], shape: VectorShape::SCALAR };
        self.outer(&position);
        self.b.ins().return_(&[]);
        self.b.seal_all_blocks();
        self.b.finalize(config);
    }

    /// A parameter.
    pub fn param(&mut self, p: u16) -> Value {
        self.number(p, I64)
    }

    /// A parameter that holds the bits of a number, in its first bytes: all CPUs that this is for
    /// are little-endian.
    pub fn number(&mut self, p: u16, ty: Type) -> Value {
        // Parameters never change: loads of them may move and join.
        let flags = trusted().with_readonly().with_can_move();
        self.b.ins().load(ty, flags, self.params, 8 * p as i32)
    }

    fn size(&mut self, s: Size) -> Value {
        match s {
            Size::Fixed(n) => self.b.ins().iconst(I64, n as i64),
            Size::Param(p) => self.param(p),
        }
    }

    /// The outer loops that are left, then the stages.
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
            self.count(from, to, 1, &[], |e, i, _| {
                let inside = e.enter(position, level, i, VectorShape::SCALAR);
                e.outer(&inside);
                vec![]
            });
            return;
        }
        let mut from = from;
        for shape in shape.down() {
            let end = if shape.width == 1 { to } else { self.vector_end(from, to, shape.step()) };
            self.count(from, end, shape.step(), &[], |e, i, _| {
                let inside = e.enter(position, level, i, shape);
                e.outer(&inside);
                vec![]
            });
            from = end;
        }
    }

    /// The vectors for this kernel: more of them at once where bodies are short, to hide latencies.
    fn shape(&self) -> VectorShape {
        let width = self.k.lane_width();
        let length = |looped: bool| {
            self.k
                .stages
                .iter()
                .filter(|s| !looped || !s.inner.is_empty())
                .map(|s| s.insts.len())
                .max()
        };
        let around = length(false).unwrap_or(0);
        // What is done once around inner loops weighs little.
        let longest = length(true).unwrap_or(around);
        // Columns of a product that are summed together share the loads of its rows.
        let is_product = self.k.vector_axis == VectorAxis::Outer
            && self.k.stages.len() <= 2
            && self.k.stages[0].accumulators.len() == 1;
        let mut unroll = match longest {
            _ if width == 1 => 1,
            0..=8 if is_product => 8,
            0..=16 => 4,
            17..=60 => 2,
            _ => 1,
        };
        // What is around the loops is unrolled with them.
        while self.k.vector_axis == VectorAxis::Outer && unroll > 1 && unroll * around > AROUND {
            unroll /= 2;
        }
        VectorShape { width, unroll }
    }

    fn zero(&mut self) -> Value {
        self.b.ins().iconst(I64, 0)
    }

    /// The last place at which a whole step fits.
    fn vector_end(&mut self, from: Value, to: Value, step: usize) -> Value {
        let n = self.b.ins().isub(to, from);
        let whole = self.b.ins().band_imm_s(n, -(step as i64));
        self.b.ins().iadd(from, whole)
    }

    /// Inside iteration `i` of the next loop.
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

    /// `for i in from..to step by` with values carried along; gives the carried values after the
    /// last iteration.
    pub fn count(
        &mut self,
        from: Value,
        to: Value,
        by: usize,
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
        let i = self.b.ins().iadd_imm_s(i, by as i64);
        let back: Vec<_> = std::iter::once(i).chain(next).map(Into::into).collect();
        self.b.ins().jump(head, &back);
        self.b.switch_to_block(after);
        carry
    }

    /// All stages, one after the other.
    fn stages(&mut self, position: &LoopPosition) {
        for s in 0..self.k.stages.len() {
            let mut position = position.clone();
            if self.k.stages[s].inner.is_empty() && self.k.vector_axis == VectorAxis::Inner {
                position.shape = VectorShape::SCALAR;
            }
            let depth = self.invariant_depths(s);
            let mut env = Env::new(self.k.stages[s].insts.len());
            let zero = self.initial(s, &position);
            self.accumulators[s] = self.inner(s, &position, &depth, &mut env, zero);
        }
    }

    /// For every value of a stage the number of loops that it depends on: it is computed just
    /// inside them.
    fn invariant_depths(&self, s: usize) -> Vec<usize> {
        let outer = self.k.outer.len();
        let mut depth: Vec<usize> = vec![];
        for inst in &self.k.stages[s].insts {
            let strides = match &inst.op {
                InstKind::Source(InstSource::Load { operand, .. }) => {
                    &self.k.operands[*operand as usize].strides[..]
                }
                InstKind::Source(InstSource::Index { strides, .. }) => &strides[..],
                _ => &[],
            };
            let own = strides
                .iter()
                .rposition(|s| *s != Stride::Zero)
                .map_or(outer, |d| (d + 1).max(outer));
            depth.push(inst.all_reads().map(|x| depth[x as usize]).fold(own, usize::max));
        }
        // What a stage writes is read again only by later ones, but an update reads what it has
        // just written.
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

    /// The inner loops that are left, then the body; gives the accumulators.
    fn inner(
        &mut self,
        s: usize,
        position: &LoopPosition,
        depth: &[usize],
        env: &mut Env,
        accumulators: Vec<LaneValue>,
    ) -> Vec<LaneValue> {
        let level = position.counters.len();
        // In front of loops that never run nothing is computed: what it would load may not be
        // there.
        if self.k.stages[s].inner[level - self.k.outer.len()..].contains(&Size::Fixed(0)) {
            return accumulators;
        }
        self.invariants(s, position, depth, env);
        if level == self.k.depth(s) {
            return self.effects(s, position, env, accumulators);
        }
        let (from, to) = self.range(s, level);
        let is_last = level + 1 == self.k.depth(s);
        if is_last && let Some(run) = self.copied_run(s, depth, env) {
            return self.copy_or_loop(run, (from, to), s, position, depth, env, accumulators);
        }
        if is_last {
            return self.last_loop((from, to), s, position, depth, env, accumulators);
        }
        self.inner_loop((from, to, 1), s, position, depth, env, accumulators, position.shape)
    }

    /// The innermost loop, in vectors if they run along it.
    pub fn last_loop(
        &mut self,
        (from, to): (Value, Value),
        s: usize,
        position: &LoopPosition,
        depth: &[usize],
        env: &Env,
        accumulators: Vec<LaneValue>,
    ) -> Vec<LaneValue> {
        let shape = if self.k.vector_axis == VectorAxis::Inner {
            self.shape()
        } else {
            VectorShape::SCALAR
        };
        if shape.width == 1 {
            return self.inner_loop(
                (from, to, 1),
                s,
                position,
                depth,
                env,
                accumulators,
                position.shape,
            );
        }
        let mut vectors = self.spread(s, &accumulators, shape);
        let mut from = from;
        for shape in shape.down().into_iter().filter(|s| s.width > 1) {
            let end = self.vector_end(from, to, shape.step());
            vectors = self.narrow(s, vectors, shape);
            vectors =
                self.inner_loop((from, end, shape.step()), s, position, depth, env, vectors, shape);
            from = end;
        }
        let accumulators = self.gather(s, vectors, accumulators, shape);
        self.inner_loop((from, to, 1), s, position, depth, env, accumulators, VectorShape::SCALAR)
    }

    fn range(&mut self, s: usize, level: usize) -> (Value, Value) {
        // Without outer loops the first inner one is cut into parts.
        if level == 0
            && self.k.outer.is_empty()
            && self.k.stages[s].accumulators.is_empty()
            && self.k.stages[s].inner.len() == 1
            && self.k.stages.len() == 1
        {
            return (self.begin, self.end);
        }
        let size = self.k.stages[s].inner[level - self.k.outer.len()];
        (self.zero(), self.size(size))
    }

    fn inner_loop(
        &mut self,
        (from, to, by): (Value, Value, usize),
        s: usize,
        position: &LoopPosition,
        depth: &[usize],
        env: &Env,
        accumulators: Vec<LaneValue>,
        shape: VectorShape,
    ) -> Vec<LaneValue> {
        let level = position.counters.len();
        let carried: Vec<Value> = accumulators.iter().flat_map(LaneValue::values).collect();
        let out = self.count(from, to, by, &carried, |e, i, carried| {
            let inside = e.enter(position, level, i, shape);
            // Values in front of the loop are used in it; what it computes itself is not known
            // after it.
            let mut env = env.clone();
            let accumulators = LaneValue::like(&accumulators, carried);
            let accumulators = e.inner(s, &inside, depth, &mut env, accumulators);
            accumulators.iter().flat_map(LaneValue::values).collect()
        });
        LaneValue::like(&accumulators, &out)
    }
}

impl LaneValue {
    /// The registers.
    pub fn values(&self) -> SmallVec<[Value; 4]> {
        match self {
            LaneValue::Uniform(v) => smallvec::smallvec![*v],
            LaneValue::Varying(vs) => vs.clone(),
        }
    }

    /// Other registers in the same forms.
    pub fn like(forms: &[LaneValue], values: &[Value]) -> Vec<LaneValue> {
        let mut rest = values.iter().copied();
        let mut one = |h: &LaneValue| match h {
            LaneValue::Uniform(v) => LaneValue::Uniform(rest.next().unwrap_or(*v)),
            LaneValue::Varying(vs) => {
                LaneValue::Varying(vs.iter().map(|&v| rest.next().unwrap_or(v)).collect())
            }
        };
        forms.iter().map(&mut one).collect()
    }
}

/// Memory that is there: accesses cannot trap. Nothing is assumed about alignment.
pub fn trusted() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}
