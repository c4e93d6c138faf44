//! Expression graphs: elementwise fusion, by inlining producers into their readers.
//!
//! The equations of a group are inlined into one graph of scalar nodes, which says what the group
//! computes for each point of its iteration space. It is built from the outputs backwards. Each
//! value is requested at an *access*, the affine offset of its element as a
//! function of the loop counters. Data movement only changes the access: a transpose permutes it, a
//! slice scales and shifts it, a broadcast drops a counter. Elementwise ops become nodes. A stored
//! value becomes a load. Equal nodes are interned (hash-consing), so that a value that two outputs
//! need is computed once.
//!
//! ```text
//! %1 = transpose(%0); %2 = add(%1, %0), over the space [32, 32]
//!   node 0: load b0 at [1, 32]        node 1: load b0 at [32, 1]      node 2: add
//! ```
//!
//! A reshape can make an offset that is not affine in a loop counter. The builder then splits that
//! loop in two ([`BuildError::SplitLoop`]) and starts again; every split refines the
//! loops, so it ends.
//!
//! The *level* of a node is the number of reductions on the longest path to it: nodes of level
//! `n + 1` read accumulators of level `n`, and run in a later stage of the kernel.

use crate::tuning::{MAX_STRUCTURAL_INTEGER, USUAL_NODES};
use crate::{
    affine::{AffineIndex, AffineOffset, ReshapeError, flat, index_of},
    kernel::{ExprBuilder, InstId, InstKind, computed_in, expand, first_bits},
};
use neurax_ir::{DType, Literal, Op, Shape, Value, op::Binary};
use rustc_hash::FxHashMap;

use super::{
    analysis::{Analysis, Storage},
    outputs::{BufferId, ExprNode, ExprSource, IterSpace, LoweredOutput, NotFused, Output, Sink},
};

/// The expression graph of a group.
#[derive(Debug)]
pub struct ExprGraph<'a> {
    pub(super) analysis: &'a Analysis<'a>,
    /// The iteration space, with split loops.
    pub space: IterSpace,
    /// The loops of each axis of the unsplit space.
    pub(super) axes: Vec<Vec<usize>>,
    /// The nodes; operands precede users.
    pub nodes: Vec<ExprNode>,
    /// The level of each node: the number of reductions in front of it.
    pub levels: Vec<usize>,
    interned: FxHashMap<ExprNode, InstId>,
    lowered: FxHashMap<(Value, AffineOffset), InstId>,
    /// The outputs so far.
    pub outputs: Vec<LoweredOutput>,
}

/// Returns true if a constant is part of a kernel's structure. All others are parameters, so that
/// another batch size, which a mean divides by, or another learning rate needs no new machine code.
fn is_structural(dtype: DType, bits: u64) -> bool {
    let is_plain = |x: f64| !x.is_finite() || x == 0.0 || x.abs() == 1.0;
    match dtype {
        DType::F32 => is_plain(f32::from_bits(bits as u32).into()),
        DType::F64 => is_plain(f64::from_bits(bits)),
        d if d.is_float() || d == DType::Bool => true,
        d => {
            let unused = 64 - d.bits().min(64);
            ((bits << unused) as i64 >> unused).unsigned_abs() <= MAX_STRUCTURAL_INTEGER
        }
    }
}

/// The element of a value that a node reads: its offset, and its index where that is known.
#[derive(Clone)]
struct ElementAccess {
    offset: AffineOffset,
    index: Option<AffineIndex>,
}

/// The reason why building stopped.
pub(super) enum BuildError {
    /// The loop must be split first, with an inner loop of the second size.
    SplitLoop(usize, usize),
    /// The equations are not one kernel.
    NotFused(NotFused),
}

impl BuildError {
    /// Returns the reason, at the line of `v` if it is a broken invariant of an unknown place.
    fn at(self, v: Value) -> BuildError {
        match self {
            BuildError::NotFused(NotFused::Bug(what, None)) => NotFused::Bug(what, Some(v)).into(),
            why => why,
        }
    }
}

impl From<NotFused> for BuildError {
    fn from(w: NotFused) -> BuildError {
        BuildError::NotFused(w)
    }
}

/// The result of building a node.
pub(super) type BuildResult<T> = Result<T, BuildError>;

impl<'a> ExprGraph<'a> {
    /// Builds the expressions of `outputs`, which are in the order of the graph, over `space`.
    /// Elementwise chains and data movement that are not stored are inlined.
    ///
    /// # Errors
    /// If they are not one kernel.
    pub fn build(
        analysis: &'a Analysis<'a>,
        space: &IterSpace,
        outputs: &[Output],
    ) -> Result<ExprGraph<'a>, NotFused> {
        let mut factors: Vec<Vec<usize>> = space.sizes.iter().map(|&n| vec![n]).collect();
        // Every split refines the loops, so this ends.
        loop {
            let mut body = ExprGraph::empty(analysis, space, &factors);
            match outputs.iter().try_for_each(|r| body.lower_output(r)) {
                Ok(()) => return Ok(body),
                Err(BuildError::NotFused(why)) => return Err(why),
                Err(BuildError::SplitLoop(l, inner)) => {
                    let bug = || NotFused::Bug(format!("loop {l} belongs to no axis"), None);
                    let axis = body.axis_of(l).ok_or_else(bug)?;
                    let at = l - body.axes[axis][0];
                    let n = factors[axis][at];
                    factors[axis].splice(at..=at, [n / inner, inner]);
                }
            }
        }
    }

    fn empty(
        analysis: &'a Analysis<'a>,
        space: &IterSpace,
        factors: &[Vec<usize>],
    ) -> ExprGraph<'a> {
        let (mut sizes, mut reduced, mut axes) = (vec![], vec![], vec![]);
        for (axis, f) in factors.iter().enumerate() {
            axes.push((sizes.len()..sizes.len() + f.len()).collect());
            sizes.extend(f);
            reduced.extend(f.iter().map(|_| space.reduced[axis]));
        }
        let space = IterSpace { sizes, reduced };
        let (nodes, levels) = (Vec::with_capacity(USUAL_NODES), Vec::with_capacity(USUAL_NODES));
        let interned = FxHashMap::with_capacity_and_hasher(USUAL_NODES, Default::default());
        let lowered = FxHashMap::with_capacity_and_hasher(USUAL_NODES, Default::default());
        ExprGraph { analysis, space, axes, nodes, levels, interned, lowered, outputs: vec![] }
    }

    /// Returns the number of loops.
    pub(super) fn loops(&self) -> usize {
        self.space.sizes.len()
    }

    /// Returns the counter of each unsplit axis.
    fn counters(&self) -> AffineIndex {
        let counter = |loops: &Vec<usize>| {
            let mut a = AffineOffset::constant(self.loops(), 0);
            let mut step = 1;
            for &l in loops.iter().rev() {
                a.steps[l] = step;
                step *= self.space.sizes[l] as isize;
            }
            a
        };
        self.axes.iter().map(counter).collect()
    }

    /// Returns the counters of the axes that are not reduced.
    fn outer_counters(&self) -> AffineIndex {
        let kept = |(_, loops): &(AffineOffset, &Vec<usize>)| {
            loops.first().is_none_or(|&l| !self.space.reduced[l])
        };
        self.counters().into_iter().zip(&self.axes).filter(kept).map(|(a, _)| a).collect()
    }

    /// Returns the index of an output's value: all axes of the space, or those that are not
    /// reduced.
    fn own_index(&self, v: Value, is_reduced: bool) -> AffineIndex {
        let all = self.counters();
        if is_reduced || self.analysis.shape(v).rank() == all.len() {
            all
        } else {
            self.outer_counters()
        }
    }

    /// Builds the nodes of an output and the offset of its destination.
    fn lower_output(&mut self, output: &Output) -> BuildResult<()> {
        let (value, loops) = (output.value, self.loops());
        let is_reduced = matches!(output.sink, Sink::Reduce { .. });
        let index = match output.sink {
            Sink::Fill(_) => AffineIndex::new(),
            Sink::Store(_)
            | Sink::Slice { .. }
            | Sink::DynamicSlice { .. }
            | Sink::Scatter { .. }
            | Sink::Reduce { .. } => self.own_index(value, is_reduced),
        };
        let access = self.at_index(value, index.clone());
        // A value that is stored elsewhere (a concatenated input) is loaded, others are computed.
        let node = match output.sink {
            Sink::Store(_) => self.compute(value, &access)?,
            Sink::Slice { .. }
            | Sink::Fill(_)
            | Sink::DynamicSlice { .. }
            | Sink::Scatter { .. }
            | Sink::Reduce { .. } => self.value(value, &access)?,
        };
        let offset = match &output.sink {
            Sink::Reduce { result, .. } => {
                flat(self.analysis.shape(*result), &self.outer_counters(), loops)
            }
            Sink::Fill(_) => flat(&Shape::from(&self.unsplit()[..]), &self.counters(), loops),
            Sink::Slice { shape, scale, offset, .. } => {
                let slice = |(i, a): (usize, &AffineOffset)| AffineOffset {
                    base: offset[i] as isize,
                    ..a.times(scale[i] as isize)
                };
                let index: AffineIndex = index.iter().enumerate().map(slice).collect();
                flat(shape, &index, loops)
            }
            Sink::Store(_) | Sink::DynamicSlice { .. } | Sink::Scatter { .. } => access.offset,
        };
        let lowered = LoweredOutput { output: output.clone(), node, offset, at: None, guard: None };
        let lowered = match &output.sink {
            Sink::DynamicSlice { shape, start, .. } => {
                self.dynamic_slice_output(lowered, shape, *start, &index)?
            }
            Sink::Scatter { shape, indices, op, .. } => {
                self.scatter(lowered, shape, *indices, op, &index)?
            }
            Sink::Store(_) | Sink::Slice { .. } | Sink::Fill(_) | Sink::Reduce { .. } => lowered,
        };
        self.outputs.push(lowered);
        Ok(())
    }

    /// Returns the sizes of the unsplit axes.
    fn unsplit(&self) -> Vec<usize> {
        self.axes.iter().map(|loops| loops.iter().map(|&l| self.space.sizes[l]).product()).collect()
    }

    fn at_index(&self, v: Value, index: AffineIndex) -> ElementAccess {
        ElementAccess {
            offset: flat(self.analysis.shape(v), &index, self.loops()),
            index: Some(index),
        }
    }

    /// Returns the node of a value at an index.
    pub(super) fn value_at(&mut self, v: Value, index: AffineIndex) -> BuildResult<InstId> {
        let at = self.at_index(v, index);
        self.value(v, &at)
    }

    /// Returns the index of an access; a loop may have to be split for it.
    fn index(&self, v: Value, at: &ElementAccess) -> BuildResult<AffineIndex> {
        match &at.index {
            Some(i) => Ok(i.clone()),
            None => {
                index_of(self.analysis.shape(v), &at.offset, &self.space.sizes).map_err(|e| match e
                {
                    ReshapeError::Split(l, n) => BuildError::SplitLoop(l, n),
                    ReshapeError::Never => BuildError::NotFused(NotFused::Materialize(v)),
                })
            }
        }
    }

    /// Returns the node of a value: an output of the group, a load, or its equation.
    fn value(&mut self, v: Value, at: &ElementAccess) -> BuildResult<InstId> {
        let own = self.outputs.iter().enumerate().find_map(|(i, m)| match &m.output.sink {
            Sink::Reduce { result, .. } if *result == v => Some((i, m.node, true)),
            Sink::Store(_) if m.output.value == v => Some((i, m.node, false)),
            // empty: an output that computes another value, or writes a part of a buffer.
            Sink::Reduce { .. }
            | Sink::Store(_)
            | Sink::Slice { .. }
            | Sink::Fill(_)
            | Sink::DynamicSlice { .. }
            | Sink::Scatter { .. } => None,
        });
        if let Some((i, node, is_reduced)) = own {
            let access = if is_reduced { self.outer_counters() } else { self.own_index(v, false) };
            if flat(self.analysis.shape(v), &access, self.loops()) != at.offset {
                return Err(NotFused::DifferentIndex(v).into());
            }
            return if is_reduced { self.accumulator(v, i, node) } else { Ok(node) };
        }
        match self.analysis.storage(v) {
            Storage::Buffer(b) => self.load(v, b, at.offset.clone(), None),
            Storage::Inline => self.compute(v, at),
        }
    }

    /// Returns the node of `result`, the accumulator of output `output` over the values of `node`.
    fn accumulator(&mut self, result: Value, output: usize, node: InstId) -> BuildResult<InstId> {
        let ty = self.ty(node);
        let id = self.put(InstKind::Source(ExprSource::Accumulator(output)), ty);
        let level = self.levels[node as usize] + 1;
        self.levels[id as usize] = self.levels[id as usize].max(level);
        let dtype = self.analysis.dtype(result)?;
        Ok(if dtype == ty { id } else { self.put(InstKind::Round(dtype, id), ty) })
    }

    pub(super) fn load(
        &mut self,
        v: Value,
        buffer: BufferId,
        offset: AffineOffset,
        at: Option<InstId>,
    ) -> BuildResult<InstId> {
        let dtype = self.analysis.dtype(v)?;
        let x = self.put(InstKind::Source(ExprSource::Load { buffer, offset, at }), dtype);
        let ty = computed_in(dtype);
        Ok(self.convert(x, ty))
    }

    /// Returns the node of an inlined value, computed from its equation once for each access.
    fn compute(&mut self, v: Value, at: &ElementAccess) -> BuildResult<InstId> {
        let key = (v, at.offset.clone());
        if let Some(&id) = self.lowered.get(&key) {
            return Ok(id);
        }
        let id = self.equation(v, at).map_err(|why| why.at(v))?;
        self.lowered.insert(key, id);
        Ok(id)
    }

    /// Builds the nodes of the equation of a value.
    fn equation(&mut self, v: Value, at: &ElementAccess) -> BuildResult<InstId> {
        let analysis = self.analysis;
        let Some((e, out)) = analysis.equation(v) else {
            return Err(NotFused::Bug(format!("no equation produces %{}", v.0), Some(v)).into());
        };
        let xs = &e.inputs;
        match &e.op {
            Op::Constant(c) => self.constant(v, &c.value, at),
            Op::Iota(i) => {
                let index = self.index(v, at)?;
                // 4-byte counters share vectors with other 4-byte numbers.
                let is_narrow =
                    i.ty.dtype.bits() <= 32 && i32::try_from(i.ty.shape[i.axis]).is_ok();
                let n = self.put(
                    InstKind::Source(ExprSource::Index(index[i.axis].clone())),
                    if is_narrow { DType::I32 } else { DType::I64 },
                );
                Ok(expand::convert(self, n, i.ty.dtype))
            }
            Op::Reshape(_) => {
                self.value(xs[0], &ElementAccess { offset: at.offset.clone(), index: None })
            }
            Op::OptimizationBarrier(_) => self.value(xs[out], at),
            Op::Broadcast(_) | Op::Transpose(_) | Op::Slice(_) | Op::Reverse(_) => {
                let index = self.index(v, at)?;
                let index = self.operand_index(&e.op, xs[0], index)?;
                let at = self.at_index(xs[0], index);
                self.value(xs[0], &at)
            }
            Op::DynamicSlice(op) => {
                let index = self.index(v, at)?;
                self.dynamic_slice(op, xs[0], xs[1], index)
            }
            Op::Gather(op) => {
                let index = self.index(v, at)?;
                self.gather(op, xs[0], xs[1], index)
            }
            op => {
                let ys =
                    xs.iter().map(|&x| self.value(x, at)).collect::<BuildResult<Vec<InstId>>>()?;
                self.pointwise(op, analysis.dtype(v)?, &ys)
            }
        }
    }

    /// Returns the index in the operand of an op that only moves elements.
    fn operand_index(&self, op: &Op, x: Value, index: AffineIndex) -> BuildResult<AffineIndex> {
        let shape = self.analysis.shape(x);
        let zero = AffineOffset::constant(self.loops(), 0);
        Ok(match op {
            Op::Broadcast(op) => (0..shape.rank())
                .map(|i| if shape[i] == 1 { zero.clone() } else { index[op.dims[i]].clone() })
                .collect(),
            Op::Transpose(op) => {
                let mut out: AffineIndex = index.iter().map(|_| zero.clone()).collect();
                op.permutation.iter().zip(index).for_each(|(&p, a)| out[p] = a);
                out
            }
            Op::Slice(op) => {
                let part = |(i, a): (usize, AffineOffset)| AffineOffset {
                    base: a.base * op.stride[i] as isize + op.start[i] as isize,
                    ..a.times(op.stride[i] as isize)
                };
                index.into_iter().enumerate().map(part).collect()
            }
            Op::Reverse(op) => {
                let mut out = index;
                for &axis in &op.axes {
                    let last = shape[axis] as isize - 1;
                    out[axis] =
                        out[axis].times(-1).plus(&AffineOffset::constant(self.loops(), last));
                }
                out
            }
            op => {
                let what = format!("{} does not only move elements", op.name());
                return Err(NotFused::Bug(what, None).into());
            }
        })
    }

    /// Returns the node of a constant: an immediate, a parameter, or a load.
    fn constant(&mut self, v: Value, value: &Literal, at: &ElementAccess) -> BuildResult<InstId> {
        let dtype = self.analysis.dtype(v)?;
        let width = dtype.bits() / 8;
        let same = value.bytes().chunks_exact(width).all(|c| Some(c) == value.bytes().get(..width));
        match first_bits(value) {
            Some(bits) if same => {
                let narrow = if is_structural(dtype, bits) {
                    InstKind::Const(bits)
                } else {
                    InstKind::Source(ExprSource::RuntimeConstant(bits))
                };
                let narrow = self.put(narrow, dtype);
                Ok(self.convert(narrow, computed_in(dtype)))
            }
            // empty: a constant without elements; the enclosing loop has no iterations.
            None => Ok(self.number(computed_in(dtype), 0.0)),
            Some(_) => match self.analysis.constant_buffer(v) {
                Some(b) => self.load(v, b, at.offset.clone(), None),
                None => Err(NotFused::Materialize(v).into()),
            },
        }
    }

    /// Returns the node of a number that depends on sizes: a parameter of the kernel.
    pub(super) fn runtime_constant(&mut self, ty: DType, x: usize) -> InstId {
        self.put(InstKind::Source(ExprSource::RuntimeConstant(x as u64)), ty)
    }

    /// Returns the node of an elementwise op on the nodes `xs`, rounded to `dtype`.
    ///
    /// # Errors
    /// If `classify` calls an op elementwise that is not listed here.
    fn pointwise(&mut self, op: &Op, dtype: DType, xs: &[InstId]) -> BuildResult<InstId> {
        let y = match op {
            Op::Unary(f) => expand::unary(self, *f, xs[0]),
            Op::Binary(f) => expand::binary(self, *f, xs[0], xs[1]),
            Op::Compare(c) => self.compare(c.direction, xs[0], xs[1]),
            Op::Select(_) => self.select(xs[0], xs[1], xs[2]),
            Op::Clamp(_) => {
                let low = expand::binary(self, Binary::Max, xs[1], xs[0]);
                expand::binary(self, Binary::Min, low, xs[2])
            }
            Op::Convert(c) => return Ok(expand::convert(self, xs[0], c.dtype)),
            Op::BitcastConvert(c) => return Ok(self.bitcast(xs[0], c.dtype)),
            op => {
                let what = format!("{} has no elementwise code", op.name());
                return Err(NotFused::Bug(what, None).into());
            }
        };
        if dtype == DType::Bool || dtype == computed_in(dtype) || matches!(op, Op::Select(_)) {
            Ok(y)
        } else {
            Ok(self.put(InstKind::Round(dtype, y), DType::F32))
        }
    }
}

impl ExprBuilder for ExprGraph<'_> {
    type Source = ExprSource;

    fn put(&mut self, op: InstKind<ExprSource>, ty: DType) -> InstId {
        let node = ExprNode { op, ty };
        if let Some(&id) = self.interned.get(&node) {
            return id;
        }
        let id = self.nodes.len() as InstId;
        let at = match &node.op {
            InstKind::Source(ExprSource::Load { at, .. }) => *at,
            _ => None,
        };
        let levels = node.op.reads().chain(at).map(|x| self.levels[x as usize]);
        let level = levels.fold(0, usize::max);
        self.interned.insert(node.clone(), id);
        self.nodes.push(node);
        self.levels.push(level);
        id
    }

    fn ty(&self, x: InstId) -> DType {
        self.nodes[x as usize].ty
    }

    fn has_fma(&self) -> bool {
        self.analysis.has_fma
    }
}
