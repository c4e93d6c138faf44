//! Analysis of a graph: which values are stored in buffers, and which are inlined.
//!
//! A value that is inlined is computed again wherever it is read. That is free for data movement
//! and cheap for a few elementwise ops, and it is what makes fusion possible: a reader's expression
//! graph contains the whole chain. A value is stored if
//!
//! - it is a result of the graph, or an op needs it in memory (a reduction, a product, a gather's
//!   operand ..), or the scheduler asks for it (`stored`), or
//! - it is expensive: read more than once with more than [`INLINE_MAX_COST`] instructions, or below
//!   a broadcast that would repeat it, or so large that its kernel would compile slowly
//!   ([`Analysis::store_expensive`]).
//!
//! A reshape of a stored value is an alias: another name of the same buffer.

use super::{
    classify::{EqnClass, classify, cost, is_strided},
    outputs::{BufferId, NotFused},
};
use crate::{
    strided_view::StridedView,
    support::{moved_as, producer},
    tuning::{BROADCAST_MAX_COST, INLINE_MAX_COST, INLINE_MAX_DEPTH, KERNEL_MAX_COST},
};
use neurax_ir::{DType, Eqn, Graph, Op, Shape, Type, Value};

/// The place where the readers of a value find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// A buffer in memory.
    Buffer(BufferId),
    /// None: every reader computes the value itself.
    Inline,
}

/// The facts about a graph that scheduling decides by.
#[derive(Debug)]
pub struct Analysis<'g> {
    /// The graph.
    pub graph: &'g Graph,
    /// True if the CPU has fused multiply-add.
    pub has_fma: bool,
    /// The class of each equation.
    pub class: Vec<EqnClass>,
    /// The types of the buffers.
    pub buffers: Vec<Type>,
    /// The buffers of constants, with their values, in the order of the values.
    pub constants: Vec<(BufferId, Value)>,
    storage: Vec<Storage>,
}

impl<'g> Analysis<'g> {
    /// Analyzes `graph`. The values `forced` are stored besides those that must be.
    pub fn new(graph: &'g Graph, forced: &[Value], has_fma: bool) -> Analysis<'g> {
        let n = graph.types().len();
        let class = graph.eqns().iter().map(|e| classify(graph, e)).collect();
        let mut f = Analysis {
            graph,
            has_fma,
            class,
            buffers: vec![],
            constants: vec![],
            storage: vec![Storage::Inline; n],
        };
        f.assign_buffers(forced);
        f
    }

    /// Returns the shape of a value.
    pub fn shape(&self, v: Value) -> &Shape {
        &self.graph.ty(v).shape
    }

    /// Returns the dtype that machine code handles a value as.
    ///
    /// # Errors
    /// If it has none: `classify` gives such values to library steps and to the interpreter.
    pub fn dtype(&self, v: Value) -> Result<DType, NotFused> {
        let dtype = self.graph.ty(v).dtype;
        let bug = || {
            let what = format!("%{} of a kernel is {dtype}, without code", v.0);
            NotFused::Bug(what, Some(v))
        };
        moved_as(dtype).ok_or_else(bug)
    }

    /// Returns the place where readers find a value.
    pub fn storage(&self, v: Value) -> Storage {
        self.storage[v.index()]
    }

    /// Returns the buffer of a value, if it is stored.
    pub fn buffer(&self, v: Value) -> Option<BufferId> {
        match self.storage(v) {
            Storage::Buffer(b) => Some(b),
            Storage::Inline => None,
        }
    }

    /// Returns the equation that produces a value, and which of its results it is.
    pub fn equation(&self, v: Value) -> Option<(&'g Eqn, usize)> {
        let e = producer(self.graph, v)?;
        e.outputs.iter().position(|&y| y == v).map(|k| (e, k))
    }

    /// Returns the buffer of a constant.
    pub fn constant_buffer(&self, v: Value) -> Option<BufferId> {
        let i = self.constants.binary_search_by_key(&v, |c| c.1).ok()?;
        Some(self.constants[i].0)
    }

    /// Gives every stored value a buffer.
    fn assign_buffers(&mut self, forced: &[Value]) {
        let graph = self.graph;
        for v in graph.inputs() {
            self.give_buffer(v);
        }
        let stored = self.choose_stored(forced);
        for e in graph.eqns() {
            for (k, &v) in e.outputs.iter().enumerate() {
                if let Op::Constant(_) = &e.op {
                    let b = self.new_buffer(graph.ty(v).clone());
                    self.constants.push((b, v));
                    if stored[v.index()] {
                        self.storage[v.index()] = Storage::Buffer(b);
                    }
                } else if stored[v.index()] {
                    match self.alias(e, k) {
                        Some(b) => self.storage[v.index()] = Storage::Buffer(b),
                        None => self.give_buffer(v),
                    }
                }
            }
        }
    }

    /// Returns the buffer that result `k` of `e` is an alias of: a reshape of a stored value is
    /// one.
    fn alias(&self, e: &Eqn, k: usize) -> Option<BufferId> {
        match &e.op {
            Op::Reshape(_) => self.buffer(e.inputs[0]),
            Op::OptimizationBarrier(_) => self.buffer(e.inputs[k]),
            _ => None,
        }
    }

    fn give_buffer(&mut self, v: Value) {
        let b = self.new_buffer(self.graph.ty(v).clone());
        self.storage[v.index()] = Storage::Buffer(b);
    }

    fn new_buffer(&mut self, ty: Type) -> BufferId {
        self.buffers.push(ty);
        self.buffers.len() - 1
    }

    /// Returns for every value whether it is stored.
    fn choose_stored(&self, forced: &[Value]) -> Vec<bool> {
        let graph = self.graph;
        let mut stored = vec![false; graph.types().len()];
        let mut uses = vec![0; graph.types().len()];
        forced.iter().chain(graph.outputs()).for_each(|v| stored[v.index()] = true);
        for (i, e) in graph.eqns().iter().enumerate() {
            e.inputs.iter().for_each(|v| uses[v.index()] += 1);
            match self.class[i] {
                EqnClass::Map | EqnClass::Move => {}
                EqnClass::Fetch => stored[e.inputs[0].index()] = true,
                EqnClass::Reduce => e.outputs.iter().for_each(|v| stored[v.index()] = true),
                EqnClass::Write => self.write_needs(e, &mut stored),
                EqnClass::Product | EqnClass::Convolution => {
                    [0, 1].into_iter().for_each(|side| stored[self.base(e, side).index()] = true);
                    stored[e.outputs[0].index()] = true;
                }
                EqnClass::Control
                | EqnClass::Windows
                | EqnClass::Sort
                | EqnClass::Fft
                | EqnClass::ChannelsLast
                | EqnClass::QuantizedDot
                | EqnClass::SparseDot
                | EqnClass::Factor
                | EqnClass::Fallback => {
                    e.inputs.iter().chain(&e.outputs).for_each(|v| stored[v.index()] = true)
                }
            }
        }
        self.store_expensive(&mut stored, &uses);
        stored
    }

    fn write_needs(&self, e: &Eqn, stored: &mut [bool]) {
        stored[e.outputs[0].index()] = true;
        if matches!(e.op, Op::DynamicUpdateSlice(_) | Op::Scatter(_)) {
            stored[e.inputs[0].index()] = true;
        }
    }

    /// Returns the operands of an equation as its step reads them: of a product or convolution, the
    /// values behind transposes that become strides.
    pub fn operands(&self, eqn: usize) -> Vec<Value> {
        let e = &self.graph.eqns()[eqn];
        if is_strided(self.class[eqn]) {
            (0..e.inputs.len()).map(|side| self.base(e, side)).collect()
        } else {
            e.inputs.to_vec()
        }
    }

    /// Returns the value that each buffer holds; of several names the first.
    pub fn buffer_values(&self) -> Vec<Option<Value>> {
        let mut values = vec![None; self.buffers.len()];
        self.constants.iter().for_each(|&(b, v)| values[b] = Some(v));
        for v in (0..self.graph.types().len() as u32).rev().map(Value) {
            self.buffer(v).into_iter().for_each(|b| values[b] = Some(v));
        }
        values
    }

    /// Returns the value that a product or convolution reads for operand `side`: the one behind its
    /// transposes, if these are strides.
    fn base(&self, e: &Eqn, side: usize) -> Value {
        StridedView::operand_or_dense(self.graph, e, side).1
    }

    /// Stores values that are too expensive to be computed where they are read.
    fn store_expensive(&self, stored: &mut [bool], uses: &[usize]) {
        let graph = self.graph;
        let mut work = vec![1usize; graph.types().len()];
        // The number of equations that are inlined one into the other.
        let mut depth = vec![0usize; graph.types().len()];
        for (i, e) in graph.eqns().iter().enumerate() {
            if let Op::Broadcast(_) = e.op
                && graph.ty(e.outputs[0]).size() > graph.ty(e.inputs[0]).size()
                && work[e.inputs[0].index()] > BROADCAST_MAX_COST
            {
                stored[e.inputs[0].index()] = true;
            }
            let seen = |v: &Value| if stored[v.index()] { 1 } else { work[v.index()] };
            // empty: an op without operands, such as a counter, counts as free.
            let own = e.inputs.first().map_or(0, |&x| cost(e, graph.ty(x).dtype));
            let total = e.inputs.iter().map(seen).sum::<usize>() + own;
            let below = |v: &Value| if stored[v.index()] { 0 } else { depth[v.index()] };
            let level = e.inputs.iter().map(below).fold(0, usize::max) + 1;
            for v in &e.outputs {
                work[v.index()] = total;
                depth[v.index()] = level;
                let is_inline =
                    matches!(self.class[i], EqnClass::Map | EqnClass::Move | EqnClass::Fetch);
                if is_inline
                    && ((uses[v.index()] > 1 && total > INLINE_MAX_COST)
                        || total > KERNEL_MAX_COST
                        || level > INLINE_MAX_DEPTH)
                {
                    stored[v.index()] = true;
                }
            }
        }
    }
}
