//! From the expressions of a group to a kernel and the numbers that it is called with.

use super::{
    Analysis,
    expr_graph::ExprGraph,
    loops::{Loops, loops},
    outputs::{BufferId, ExprSource, LoweredOutput, Sink},
};
use crate::{
    affine::AffineOffset,
    kernel::{
        Accumulator, Id, Inst, InstKind, Kernel, Operand, Size, Source, Stage, Store, Stride,
        VectorAxis, computed_in,
    },
};
use neurax_ir::DType;
use rustc_hash::FxHashMap;

/// A kernel with what it is called with.
#[derive(Clone, Debug)]
pub struct KernelCall {
    /// The loops and the work.
    pub kernel: Kernel,
    /// Where each operand is.
    pub args: Vec<Arg>,
    /// Sizes and strides.
    pub params: Vec<i64>,
    /// Iterations of the outermost loop, which may be cut into parts.
    pub count: usize,
    /// Work in one of them, in elements times instructions.
    pub weight: usize,
    /// May parts run at once?
    pub parallel: bool,
}

/// Where an operand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arg {
    /// The array.
    pub buffer: BufferId,
    /// Bytes from its beginning.
    pub offset: isize,
    /// Is it written?
    pub writes: bool,
    /// How many bytes one iteration of the outermost loop moves; the same for every access.
    pub step: isize,
}

/// Sizes up to this are part of a kernel's structure: windows of images, say. Those that batches
/// change are larger, and run-time numbers.
const SMALL: usize = 4;

/// The kernel of expressions. Arrays that nobody else needs are not written.
pub fn nest(body: &ExprGraph, needed: &dyn Fn(BufferId) -> bool) -> KernelCall {
    let loops = loops(body);
    let mut n = KernelBuilder {
        analysis: body.analysis,
        body,
        loops,
        needed,
        params: KernelParams::default(),
        args: vec![],
        operands: vec![],
        stages: vec![],
        accumulators: FxHashMap::default(),
    };
    let outer = (0..n.loops.outer).map(|l| n.size(l)).collect();
    n.all_stages();
    n.finish(outer)
}

/// A stage: how many loops over the rows come before it, and whether it has the reduced loops.
type StageKey = (usize, bool);

struct KernelBuilder<'a> {
    analysis: &'a Analysis<'a>,
    body: &'a ExprGraph<'a>,
    loops: Loops,
    needed: &'a dyn Fn(BufferId) -> bool,
    params: KernelParams,
    args: Vec<Arg>,
    operands: Vec<Operand>,
    stages: Vec<Stage>,
    /// Where the accumulator of a root is.
    accumulators: FxHashMap<usize, (u16, u16)>,
}

/// Run-time numbers; the same one for the same purpose is passed once.
#[derive(Default)]
struct KernelParams {
    values: Vec<i64>,
    known: FxHashMap<(ParamPurpose, i64), u16>,
}

/// What a run-time number is for. Numbers that happen to be equal stay apart: they would not be for
/// another size of a batch.
#[derive(PartialEq, Eq, Hash)]
enum ParamPurpose {
    /// The iterations of a loop.
    Size(usize),
    /// Bytes from one iteration of a loop to the next.
    Stride(usize),
    /// What a counter grows by in one iteration of a loop.
    Step(usize),
    /// What a counter begins with.
    Base,
    /// A number of the program.
    Number,
}

impl KernelParams {
    fn get(&mut self, purpose: ParamPurpose, value: i64) -> u16 {
        *self.known.entry((purpose, value)).or_insert_with(|| {
            self.values.push(value);
            self.values.len() as u16 - 1
        })
    }
}

impl KernelBuilder<'_> {
    fn size(&mut self, l: usize) -> Size {
        let n = self.loops.sizes[l];
        // The outermost loop is the one that is cut and that batches change. That a loop never runs
        // must be known: nothing may be loaded for it.
        if n == 0 || (n <= SMALL && l > 0) {
            Size::Fixed(n as u32)
        } else {
            Size::Param(self.params.get(ParamPurpose::Size(l), n as i64))
        }
    }

    fn all_stages(&mut self) {
        let mut keys: Vec<StageKey> =
            (0..self.body.outputs.len()).flat_map(|r| self.keys_of(r)).collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            self.stage(key);
        }
    }

    fn level(&self, m: &LoweredOutput) -> usize {
        [Some(m.node), m.at, m.guard]
            .into_iter()
            .flatten()
            .map(|x| self.body.levels[x as usize])
            .max()
            .unwrap_or(0)
    }

    /// The stages that a root needs: where its value is made, and where its accumulator is written.
    fn keys_of(&self, r: usize) -> Vec<StageKey> {
        let m = &self.body.outputs[r];
        let level = self.level(m);
        match &m.root.sink {
            Sink::Reduce { buffer, .. } if (self.needed)(*buffer) => {
                vec![(level, true), (level + 1, false)]
            }
            Sink::Reduce { .. } => vec![(level, true)],
            _ if !self.is_stored(r) => vec![],
            _ => vec![(level, !self.body.is_outer_only(m.root.value))],
        }
    }

    /// Is the value of a root written: does somebody else need it, or a later stage?
    fn is_stored(&self, r: usize) -> bool {
        let m = &self.body.outputs[r];
        match m.root.sink {
            Sink::Store(b) => (self.needed)(b) || self.is_reloaded(r),
            _ => true,
        }
    }

    /// Does a later stage read the value of a root from memory?
    fn is_reloaded(&self, r: usize) -> bool {
        let m = &self.body.outputs[r];
        let own = self.level(m);
        let whole = matches!(m.root.sink, Sink::Store(_)) && !self.body.is_outer_only(m.root.value);
        let is_trivial =
            matches!(self.body.nodes[m.node as usize].op, InstKind::Source(_) | InstKind::Const(_));
        // Only nodes of this group read nodes of a lower level.
        let reads = |(i, n): (usize, &super::outputs::Node)| {
            self.body.levels[i] > own && n.op.reads().any(|x| x == m.node)
        };
        whole
            && !is_trivial
            && (self.body.nodes.iter().enumerate().any(reads)
                || self.body.outputs.iter().any(|o| o.node == m.node && self.level(o) > own))
    }

    fn stage(&mut self, key: StageKey) {
        let index = self.stages.len();
        let inner: Vec<Size> = if key.1 {
            (self.loops.outer..self.loops.sizes.len()).map(|l| self.size(l)).collect()
        } else {
            vec![]
        };
        self.stages.push(Stage { inner, ..Stage::default() });
        let mut w = StageBuilder {
            n: self,
            key,
            index,
            seen: FxHashMap::default(),
            done: FxHashMap::default(),
        };
        for r in 0..w.n.body.outputs.len() {
            w.root(r);
        }
    }

    fn finish(self, outer: Vec<Size>) -> KernelCall {
        let KernelBuilder { loops, params, args, operands, stages, .. } = self;
        let whole: usize = stages
            .iter()
            .map(|s| {
                s.insts.len()
                    * if s.inner.is_empty() {
                        1
                    } else {
                        loops.sizes[loops.outer..].iter().product()
                    }
            })
            .sum();
        let rest: usize = loops.sizes[..loops.outer].iter().skip(1).product();
        // Without outer loops the only loop is cut itself, if nothing is joined in it.
        let is_flat = loops.outer == 0
            && loops.sizes.len() == 1
            && stages.iter().all(|s| s.accumulators.is_empty());
        let (count, weight) = match (loops.outer, is_flat) {
            (0, true) => (loops.sizes[0], stages.iter().map(|s| s.insts.len()).sum()),
            (0, false) => (1, whole),
            _ => (loops.sizes[0], whole * rest),
        };
        let parallel = loops.parallel && (loops.outer > 0 || is_flat);
        KernelCall {
            kernel: Kernel { outer, vector_axis: loops.vector_axis, operands, stages },
            args,
            params: params.values,
            count,
            weight: weight.max(1),
            parallel,
        }
    }
}

/// Writes the body of one stage.
struct StageBuilder<'a, 'b> {
    n: &'a mut KernelBuilder<'b>,
    key: StageKey,
    index: usize,
    seen: FxHashMap<Inst<Source>, Id>,
    done: FxHashMap<Id, Id>,
}

impl StageBuilder<'_, '_> {
    fn root(&mut self, r: usize) {
        let m = self.n.body.outputs[r].clone();
        let level = self.n.level(&m);
        match &m.root.sink {
            Sink::Reduce { kind, .. } if self.key == (level, true) => {
                let value = self.node(m.node);
                let stage = &mut self.n.stages[self.index];
                stage.accumulators.push(Accumulator { kind: *kind, value });
                let fold = stage.accumulators.len() as u16 - 1;
                self.n.accumulators.insert(r, (self.index as u16, fold));
            }
            Sink::Reduce { result, buffer, .. }
                if self.key == (level + 1, false) && (self.n.needed)(*buffer) =>
            {
                let ty = self.n.body.nodes[m.node as usize].ty;
                let x = self.fold(r, ty);
                let dtype = self.n.analysis.dtype(*result);
                let x = if dtype == ty { x } else { self.put(InstKind::Round(dtype, x), ty) };
                self.store(&m, x, dtype);
            }
            Sink::Reduce { .. } => {}
            _ if self.n.is_stored(r)
                && self.key == (level, !self.n.body.is_outer_only(m.root.value)) =>
            {
                let x = self.node(m.node);
                let dtype = self.n.analysis.dtype(m.root.value);
                self.store(&m, x, dtype);
            }
            _ => {}
        }
    }

    fn store(&mut self, m: &LoweredOutput, x: Id, dtype: DType) {
        let value =
            if dtype == computed_in(dtype) { x } else { self.put(InstKind::Convert(x), dtype) };
        let (at, guard) = (m.at.map(|a| self.bytes(a, dtype)), m.guard.map(|g| self.node(g)));
        let operand = self.operand(m.root.sink.buffer(), dtype, &m.place, true);
        self.n.stages[self.index].stores.push(Store { operand, value, at, guard });
    }

    fn put(&mut self, op: InstKind<Source>, ty: DType) -> Id {
        let inst = Inst { op, ty };
        if let Some(&id) = self.seen.get(&inst) {
            return id;
        }
        let insts = &mut self.n.stages[self.index].insts;
        insts.push(inst.clone());
        let id = insts.len() as Id - 1;
        self.seen.insert(inst, id);
        id
    }

    fn fold(&mut self, r: usize, ty: DType) -> Id {
        let (stage, fold) = self.n.accumulators.get(&r).copied().unwrap_or_default();
        self.put(InstKind::Source(Source::Accumulator { stage, fold }), ty)
    }

    /// An offset in elements as one in bytes.
    fn bytes(&mut self, at: Id, dtype: DType) -> Id {
        let x = self.node(at);
        let size = self.put(InstKind::Const(dtype.bits() as u64 / 8), DType::I64);
        self.put(InstKind::Binary(neurax_ir::op::Binary::Mul, x, size), DType::I64)
    }

    /// A node in this stage: values of earlier stages come from memory.
    fn node(&mut self, x: Id) -> Id {
        if let Some(&id) = self.done.get(&x) {
            return id;
        }
        let id = match self.earlier(x) {
            Some(r) => self.reload(r),
            None => self.copy(x),
        };
        self.done.insert(x, id);
        id
    }

    /// The root that holds a node's value in memory since an earlier stage.
    fn earlier(&self, x: Id) -> Option<usize> {
        let outputs = &self.n.body.outputs;
        (0..outputs.len()).find(|&r| {
            outputs[r].node == x && self.n.level(&outputs[r]) < self.key.0 && self.n.is_reloaded(r)
        })
    }

    fn reload(&mut self, r: usize) -> Id {
        let m = self.n.body.outputs[r].clone();
        let dtype = self.n.analysis.dtype(m.root.value);
        let operand = self.operand(m.root.sink.buffer(), dtype, &m.place, false);
        let x = self.put(InstKind::Source(Source::Load { operand, at: None }), dtype);
        if dtype == computed_in(dtype) {
            x
        } else {
            self.put(InstKind::Convert(x), computed_in(dtype))
        }
    }

    fn copy(&mut self, x: Id) -> Id {
        let node = self.n.body.nodes[x as usize].clone();
        let leaf = match &node.op {
            InstKind::Source(ExprSource::Load { buffer, place, at }) => {
                let at = at.map(|a| self.bytes(a, node.ty));
                let operand = self.operand(*buffer, node.ty, place, false);
                Source::Load { operand, at }
            }
            InstKind::Source(ExprSource::AffineIndex(place)) => self.counter(place),
            InstKind::Source(ExprSource::RuntimeConstant(bits)) => {
                Source::Param(self.n.params.get(ParamPurpose::Number, *bits as i64))
            }
            InstKind::Source(ExprSource::Accumulator(r)) => return self.fold(*r, node.ty),
            op => {
                let reads: Vec<Id> = op.reads().map(|y| self.node(y)).collect();
                let mut next = reads.into_iter();
                let op = op.map(
                    |y| next.next().unwrap_or(y),
                    |_| Source::Accumulator { stage: 0, fold: 0 },
                );
                return self.put(op, node.ty);
            }
        };
        self.put(InstKind::Source(leaf), node.ty)
    }

    fn counter(&mut self, place: &AffineOffset) -> Source {
        let strides = self.strides(place, ParamPurpose::Step, 1);
        let base =
            (place.base != 0).then(|| self.n.params.get(ParamPurpose::Base, place.base as i64));
        Source::Index { strides, base }
    }

    fn operand(
        &mut self,
        buffer: BufferId,
        dtype: DType,
        place: &AffineOffset,
        writes: bool,
    ) -> u16 {
        let bytes = dtype.bits() as isize / 8;
        let strides = self.strides(place, ParamPurpose::Stride, bytes);
        let operand = Operand { dtype, stage: self.index as u16, strides };
        let step =
            if self.n.loops.sizes.is_empty() { 0 } else { place.steps[self.n.loops.of[0]] * bytes };
        let arg = Arg { buffer, offset: place.base * bytes, writes, step };
        let same = |i: &usize| self.n.operands[*i] == operand && self.n.args[*i] == arg;
        let found = (0..self.n.operands.len()).find(same);
        found.unwrap_or_else(|| {
            self.n.operands.push(operand);
            self.n.args.push(arg);
            self.n.args.len() - 1
        }) as u16
    }

    /// The strides of an access along the loops of this stage, times that unit.
    fn strides(
        &mut self,
        place: &AffineOffset,
        purpose: fn(usize) -> ParamPurpose,
        group: isize,
    ) -> Vec<Stride> {
        let depth = if self.key.1 { self.n.loops.sizes.len() } else { self.n.loops.outer };
        let lane = match self.n.loops.vector_axis {
            VectorAxis::Inner => self.n.loops.sizes.len(),
            VectorAxis::Outer => self.n.loops.outer,
        };
        let one = |l: usize, n: &mut KernelBuilder| match place.steps[n.loops.of[l]] {
            0 => Stride::Zero,
            1 if l + 1 == lane => Stride::Unit,
            s => Stride::Param(n.params.get(purpose(l), (s * group) as i64)),
        };
        (0..depth).map(|l| one(l, self.n)).collect()
    }
}

impl KernelCall {
    /// May `to` be written into the memory of `from`: is every element of `from` written and read
    /// for the last time just where, and not after, the same element of `to` is written?
    pub fn in_place(&self, from: BufferId, to: BufferId) -> bool {
        let all = || self.kernel.operands.iter().zip(&self.args);
        let mut writes = all().filter(|(_, a)| a.buffer == to && a.writes);
        let (Some((written, at)), None) = (writes.next(), writes.next()) else { return false };
        let before = |(o, a): (&Operand, &Arg)| {
            let place =
                o.strides == written.strides && a.offset == at.offset && o.dtype == written.dtype;
            place && (o.stage < written.stage || o.stage == written.stage && !a.writes)
        };
        let after = |(o, a): (&Operand, &Arg)| a.writes || o.stage > written.stage;
        let own = |b| move |(_, a): &(&Operand, &Arg)| a.buffer == b;
        let distinct = written.strides.iter().all(|s| *s != Stride::Zero);
        distinct
            && !self.is_dynamic(from)
            && all().filter(own(from)).all(before)
            && all().filter(own(to)).all(after)
    }

    /// Is something written, or read from that array, at places that are found at run time?
    fn is_dynamic(&self, from: BufferId) -> bool {
        let reads = |leaf: &Source| matches!(leaf, Source::Load { operand, at: Some(_) } if self.args[*operand as usize].buffer == from);
        let loads = |s: &Stage| {
            s.insts.iter().any(|i| matches!(&i.op, InstKind::Source(leaf) if reads(leaf)))
        };
        self.kernel.stages.iter().any(|s| loads(s) || s.stores.iter().any(|st| st.at.is_some()))
    }
}
