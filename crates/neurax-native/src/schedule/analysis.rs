//! What the schedule knows about a graph: where values come from, which of them are written to
//! memory.

use super::{
    classify::{EqnClass, classify, cost},
    outputs::BufferId,
};
use crate::{strided_view::StridedView, support::moved_as};
use neurax_ir::{DType, Eqn, Graph, Op, Shape, Type, Value};
use rustc_hash::FxHashMap;

/// Where the readers of a value find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In memory.
    Buffer(BufferId),
    /// Nowhere: they compute it.
    Inline,
}

/// What the schedule knows about a graph.
#[derive(Debug)]
pub struct Analysis<'g> {
    /// The graph.
    pub graph: &'g Graph,
    /// Has the CPU fused multiply-add?
    pub has_fma: bool,
    /// What kind of work each equation is.
    pub class: Vec<EqnClass>,
    /// The types of the arrays in memory.
    pub buffers: Vec<Type>,
    /// The values of arrays that are part of the program.
    pub constants: Vec<(BufferId, Value)>,
    def: Vec<Option<(usize, usize)>>,
    storage: Vec<Storage>,
    constant_of: FxHashMap<Value, BufferId>,
}

/// Expressions of more work than this are written to memory rather than computed twice.
const CHEAP: usize = 6;
/// Expressions of at least this much work are not repeated along a broadcast.
const REPEATABLE: usize = 3;
/// Expressions of more work than this are cut, so that kernels stay of a size that compiles fast.
const LARGE: usize = 400;

impl<'g> Analysis<'g> {
    /// Facts where the given values, and those that must be, are written to memory.
    pub fn new(graph: &'g Graph, forced: &[Value], has_fma: bool) -> Analysis<'g> {
        let n = graph.types().len();
        let mut def = vec![None; n];
        for (i, e) in graph.eqns().iter().enumerate() {
            e.outputs.iter().enumerate().for_each(|(k, v)| def[v.index()] = Some((i, k)));
        }
        let class = graph.eqns().iter().map(|e| classify(graph, e)).collect();
        let mut f = Analysis {
            graph,
            has_fma,
            class,
            buffers: vec![],
            constants: vec![],
            def,
            storage: vec![Storage::Inline; n],
            constant_of: FxHashMap::default(),
        };
        f.place(forced);
        f
    }

    /// The shape of a value.
    pub fn shape(&self, v: Value) -> &Shape {
        &self.graph.ty(v).shape
    }

    /// The dtype of a value in machine code.
    pub fn dtype(&self, v: Value) -> DType {
        let dtype = self.graph.ty(v).dtype;
        moved_as(dtype).unwrap_or(dtype)
    }

    /// Where readers find a value.
    pub fn storage(&self, v: Value) -> Storage {
        self.storage[v.index()]
    }

    /// The array of a value in memory.
    pub fn buffer(&self, v: Value) -> Option<BufferId> {
        match self.storage(v) {
            Storage::Buffer(b) => Some(b),
            Storage::Inline => None,
        }
    }

    /// The equation that makes a value, and which of its results it is.
    pub fn equation(&self, v: Value) -> Option<(&'g Eqn, usize)> {
        let (i, k) = self.def[v.index()]?;
        Some((&self.graph.eqns()[i], k))
    }

    /// The array of a constant that is not the same number everywhere.
    pub fn constant_buffer(&self, v: Value) -> Option<BufferId> {
        self.constant_of.get(&v).copied()
    }

    fn place(&mut self, forced: &[Value]) {
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
                    self.constant_of.insert(v, b);
                    if stored[v.index()] {
                        self.storage[v.index()] = Storage::Buffer(b);
                    }
                } else if stored[v.index()] {
                    match self.same_memory(e, k) {
                        Some(b) => self.storage[v.index()] = Storage::Buffer(b),
                        None => self.give_buffer(v),
                    }
                }
            }
        }
    }

    /// The array of which a value is another name: a reshape of an array in memory is that array.
    fn same_memory(&self, e: &Eqn, k: usize) -> Option<BufferId> {
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

    /// Which values are written to memory.
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
                EqnClass::Control | EqnClass::Windows | EqnClass::Sort | EqnClass::Fallback => {
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

    /// The array that a product or convolution reads for an operand: the one behind its transposes,
    /// if its axes are strides there.
    pub fn base(&self, e: &Eqn, side: usize) -> Value {
        match StridedView::operand(self.graph, e, side) {
            Some((_, root)) => root,
            None => e.inputs[side],
        }
    }

    /// Adds values that are too much work to be computed where they are needed.
    fn store_expensive(&self, stored: &mut [bool], uses: &[usize]) {
        let graph = self.graph;
        let mut work = vec![1usize; graph.types().len()];
        for (i, e) in graph.eqns().iter().enumerate() {
            if let Op::Broadcast(_) = e.op
                && graph.ty(e.outputs[0]).size() > graph.ty(e.inputs[0]).size()
                && work[e.inputs[0].index()] > REPEATABLE
            {
                stored[e.inputs[0].index()] = true;
            }
            let seen = |v: &Value| if stored[v.index()] { 1 } else { work[v.index()] };
            let total = e.inputs.iter().map(seen).sum::<usize>()
                + e.inputs.first().map_or(0, |&x| cost(e, graph.ty(x).dtype));
            for v in &e.outputs {
                work[v.index()] = total;
                let is_inline =
                    matches!(self.class[i], EqnClass::Map | EqnClass::Move | EqnClass::Fetch);
                if is_inline && ((uses[v.index()] > 1 && total > CHEAP) || total > LARGE) {
                    stored[v.index()] = true;
                }
            }
        }
    }
}
