//! Expressions over one iteration space: what a group of equations computes for each iteration.

use crate::{
    affine::{AffineIndex, AffineOffset, ReshapeError, flat, index_of},
    kernel::{ExprBuilder, Id, InstKind, computed_in, expand, first_bits},
};
use neurax_ir::{DType, Literal, Op, Shape, Value, op::Binary};
use rustc_hash::FxHashMap;

use super::{
    Analysis, Storage,
    outputs::{BufferId, ExprSource, IterSpace, LoweredOutput, Node, NotFused, Output, Sink},
};

/// The expressions of a group.
#[derive(Debug)]
pub struct ExprGraph<'a> {
    pub(super) analysis: &'a Analysis<'a>,
    /// The loops.
    pub space: IterSpace,
    /// How unsplit axes of the space became loops: for each axis its loops.
    pub(super) axes: Vec<Vec<usize>>,
    /// The nodes; operands come first.
    pub nodes: Vec<Node>,
    /// In which stage a node can be computed.
    pub levels: Vec<usize>,
    seen: FxHashMap<Node, Id>,
    made: FxHashMap<(Value, AffineOffset), Id>,
    /// Roots already built: their value, what the group knows it by, and its node.
    pub outputs: Vec<LoweredOutput>,
}

/// Most expressions have no more nodes: room for so many is made at once.
const USUAL: usize = 28;

/// Integers up to this are part of a kernel's structure: by how much bits are shifted, say.
const STRUCTURAL: u64 = 32;

/// Is a number of the program part of a kernel's structure? Others are given at run time, so that
/// another size of a batch, whose mean divides by it, or another rate of learning needs no code.
fn is_structural(dtype: DType, bits: u64) -> bool {
    let is_plain = |x: f64| !x.is_finite() || x == 0.0 || x.abs() == 1.0;
    match dtype {
        DType::F32 => is_plain(f32::from_bits(bits as u32).into()),
        DType::F64 => is_plain(f64::from_bits(bits)),
        d if d.is_float() || d == DType::Bool => true,
        d => {
            let unused = 64 - d.bits().min(64);
            ((bits << unused) as i64 >> unused).unsigned_abs() <= STRUCTURAL
        }
    }
}

/// A place of an array: as a sum, and as an index where that is known without looking for it.
#[derive(Clone)]
struct ElementAccess {
    place: AffineOffset,
    index: Option<AffineIndex>,
}

/// Why building stopped.
pub(super) enum BuildError {
    Split(usize, usize),
    NotFused(NotFused),
}

impl From<NotFused> for BuildError {
    fn from(w: NotFused) -> BuildError {
        BuildError::NotFused(w)
    }
}

pub(super) type BuildResult<T> = Result<T, BuildError>;

impl<'a> ExprGraph<'a> {
    /// The expressions of roots over an iteration space. Roots are in the order of the graph.
    ///
    /// # Errors
    /// Why they do not go together.
    pub fn build(
        analysis: &'a Analysis<'a>,
        space: &IterSpace,
        outputs: &[Output],
    ) -> Result<ExprGraph<'a>, NotFused> {
        let mut factors: Vec<Vec<usize>> = space.sizes.iter().map(|&n| vec![n]).collect();
        // Every split refines the loops, so that this ends.
        loop {
            let mut body = ExprGraph::empty(analysis, space, &factors);
            match outputs.iter().try_for_each(|r| body.root(r)) {
                Ok(()) => return Ok(body),
                Err(BuildError::NotFused(why)) => return Err(why),
                Err(BuildError::Split(l, inner)) => {
                    let axis = body.axes.iter().position(|a| a.contains(&l)).unwrap_or(0);
                    let at = body.axes[axis].iter().position(|&x| x == l).unwrap_or(0);
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
        let (nodes, levels) = (Vec::with_capacity(USUAL), Vec::with_capacity(USUAL));
        let seen = FxHashMap::with_capacity_and_hasher(USUAL, Default::default());
        let made = FxHashMap::with_capacity_and_hasher(USUAL, Default::default());
        ExprGraph { analysis, space, axes, nodes, levels, seen, made, outputs: vec![] }
    }

    pub(super) fn loops(&self) -> usize {
        self.space.sizes.len()
    }

    /// The counters of the unsplit axes.
    fn counters(&self) -> AffineIndex {
        let joined = |loops: &Vec<usize>| {
            let mut a = AffineOffset::constant(self.loops(), 0);
            let mut step = 1;
            for &l in loops.iter().rev() {
                a.steps[l] = step;
                step *= self.space.sizes[l] as isize;
            }
            a
        };
        self.axes.iter().map(joined).collect()
    }

    /// The counters of the axes that are not reduced.
    fn outer_counters(&self) -> AffineIndex {
        let kept = |(_, loops): &(AffineOffset, &Vec<usize>)| {
            loops.first().is_none_or(|&l| !self.space.reduced[l])
        };
        self.counters().into_iter().zip(&self.axes).filter(kept).map(|(a, _)| a).collect()
    }

    /// The index of a root's value: all axes of the space, or those that stay.
    fn own_index(&self, v: Value, is_fold: bool) -> AffineIndex {
        let all = self.counters();
        if is_fold || self.analysis.shape(v).rank() == all.len() {
            all
        } else {
            self.outer_counters()
        }
    }

    fn root(&mut self, r: &Output) -> BuildResult<()> {
        let is_fold = matches!(r.sink, Sink::Reduce { .. });
        let is_fill = matches!(r.sink, Sink::Fill(_));
        let index = if is_fill { AffineIndex::new() } else { self.own_index(r.value, is_fold) };
        let home = self.at_index(r.value, index.clone());
        // A value that is stored already (a graph's input that is concatenated) is read, others are
        // computed.
        let node = match (&r.sink, self.analysis.storage(r.value)) {
            (Sink::Store(_), _) => self.compute(r.value, &home)?,
            _ => self.value(r.value, &home)?,
        };
        let made =
            LoweredOutput { root: r.clone(), node, place: home.place, at: None, guard: None };
        let made = match &r.sink {
            Sink::Store(_) => made,
            Sink::Reduce { result, .. } => LoweredOutput {
                place: flat(self.analysis.shape(*result), &self.outer_counters(), self.loops()),
                ..made
            },
            Sink::Fill(_) => LoweredOutput {
                place: flat(&Shape::from(&self.unsplit()[..]), &self.counters(), self.loops()),
                ..made
            },
            Sink::Slice { shape, scale, offset, .. } => {
                let part = |(i, a): (usize, AffineOffset)| AffineOffset {
                    base: offset[i] as isize,
                    ..a.times(scale[i] as isize)
                };
                let index: AffineIndex = index.into_iter().enumerate().map(part).collect();
                LoweredOutput { place: flat(shape, &index, self.loops()), ..made }
            }
            Sink::DynamicSlice { shape, start, .. } => {
                self.window(made.clone(), shape, *start, &index)?
            }
            Sink::Scatter { shape, indices, op, .. } => {
                self.scatter(made.clone(), shape, *indices, op, &index)?
            }
        };
        self.outputs.push(made);
        Ok(())
    }

    /// The sizes of the axes before they were split.
    fn unsplit(&self) -> Vec<usize> {
        self.axes.iter().map(|loops| loops.iter().map(|&l| self.space.sizes[l]).product()).collect()
    }

    fn at_index(&self, v: Value, index: AffineIndex) -> ElementAccess {
        ElementAccess {
            place: flat(self.analysis.shape(v), &index, self.loops()),
            index: Some(index),
        }
    }

    /// The node of a value at an index.
    pub(super) fn value_at(&mut self, v: Value, index: AffineIndex) -> BuildResult<Id> {
        let at = self.at_index(v, index);
        self.value(v, &at)
    }

    fn index(&self, v: Value, at: &ElementAccess) -> BuildResult<AffineIndex> {
        match &at.index {
            Some(i) => Ok(i.clone()),
            None => index_of(self.analysis.shape(v), &at.place, &self.space.sizes).map_err(|cut| {
                match cut {
                    ReshapeError::Split(l, n) => BuildError::Split(l, n),
                    ReshapeError::Never => BuildError::NotFused(NotFused::Materialise(v)),
                }
            }),
        }
    }

    /// The node of a value at a place: what the group knows, an array in memory, or its equation.
    fn value(&mut self, v: Value, at: &ElementAccess) -> BuildResult<Id> {
        let own = self.outputs.iter().enumerate().find_map(|(i, m)| match &m.root.sink {
            Sink::Reduce { result, .. } if *result == v => Some((i, m.node, true)),
            Sink::Store(_) if m.root.value == v => Some((i, m.node, false)),
            _ => None,
        });
        if let Some((i, node, is_fold)) = own {
            let home = if is_fold { self.outer_counters() } else { self.own_index(v, false) };
            if flat(self.analysis.shape(v), &home, self.loops()) != at.place {
                return Err(NotFused::Elsewhere(v).into());
            }
            return Ok(if is_fold { self.fold(i, node) } else { node });
        }
        match self.analysis.storage(v) {
            Storage::Buffer(b) => Ok(self.load(v, b, at.place.clone(), None)),
            Storage::Inline => self.compute(v, at),
        }
    }

    fn fold(&mut self, root: usize, node: Id) -> Id {
        let ty = self.ty(node);
        let id = self.put(InstKind::Source(ExprSource::Accumulator(root)), ty);
        let level = self.levels[node as usize] + 1;
        self.levels[id as usize] = self.levels[id as usize].max(level);
        let dtype = self.analysis.dtype(match self.outputs[root].root.sink {
            Sink::Reduce { result, .. } => result,
            _ => self.outputs[root].root.value,
        });
        if dtype == ty { id } else { self.put(InstKind::Round(dtype, id), ty) }
    }

    pub(super) fn load(
        &mut self,
        v: Value,
        buffer: BufferId,
        place: AffineOffset,
        at: Option<Id>,
    ) -> Id {
        let dtype = self.analysis.dtype(v);
        let x = self.put(InstKind::Source(ExprSource::Load { buffer, place, at }), dtype);
        let ty = computed_in(dtype);
        self.convert(x, ty)
    }

    /// The node of a value from its equation.
    fn compute(&mut self, v: Value, at: &ElementAccess) -> BuildResult<Id> {
        let key = (v, at.place.clone());
        if let Some(&id) = self.made.get(&key) {
            return Ok(id);
        }
        let id = self.equation(v, at)?;
        self.made.insert(key, id);
        Ok(id)
    }

    fn equation(&mut self, v: Value, at: &ElementAccess) -> BuildResult<Id> {
        let analysis = self.analysis;
        let Some((e, out)) = analysis.equation(v) else {
            return Err(NotFused::Says(format!("%{} is not computed here", v.0).into()).into());
        };
        let xs = &e.inputs;
        match &e.op {
            Op::Constant(c) => self.constant(v, &c.value, at),
            Op::Iota(i) => {
                let index = self.index(v, at)?;
                // Counters of 4 bytes share vectors with other numbers of 4 bytes.
                let is_narrow =
                    i.ty.dtype.bits() <= 32 && i32::try_from(i.ty.shape[i.axis]).is_ok();
                let n = self.put(
                    InstKind::Source(ExprSource::AffineIndex(index[i.axis].clone())),
                    if is_narrow { DType::I32 } else { DType::I64 },
                );
                Ok(expand::convert(self, n, i.ty.dtype))
            }
            Op::Reshape(_) => {
                self.value(xs[0], &ElementAccess { place: at.place.clone(), index: None })
            }
            Op::OptimizationBarrier(_) => self.value(xs[out], at),
            Op::Broadcast(_) | Op::Transpose(_) | Op::Slice(_) | Op::Reverse(_) => {
                let index = self.index(v, at)?;
                let index = self.moved(&e.op, xs[0], index);
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
                let ys = xs.iter().map(|&x| self.value(x, at)).collect::<BuildResult<Vec<Id>>>()?;
                Ok(self.pointwise(op, analysis.dtype(v), &ys))
            }
        }
    }

    /// The index in the operand of a data movement.
    fn moved(&self, op: &Op, x: Value, index: AffineIndex) -> AffineIndex {
        let shape = self.analysis.shape(x);
        let zero = AffineOffset::constant(self.loops(), 0);
        match op {
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
            _ => index,
        }
    }

    fn constant(&mut self, v: Value, value: &Literal, at: &ElementAccess) -> BuildResult<Id> {
        let dtype = self.analysis.dtype(v);
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
            // Nothing of nothing: the loop around it never runs.
            None => Ok(self.number(computed_in(dtype), 0.0)),
            _ => match self.analysis.constant_buffer(v) {
                Some(b) => Ok(self.load(v, b, at.place.clone(), None)),
                None => Err(NotFused::Materialise(v).into()),
            },
        }
    }

    /// A number that sizes of arrays decide: it is given at run time.
    pub(super) fn runtime_constant(&mut self, ty: DType, x: usize) -> Id {
        self.put(InstKind::Source(ExprSource::RuntimeConstant(x as u64)), ty)
    }

    /// An equation that works element by element; the result is rounded to its dtype.
    fn pointwise(&mut self, op: &Op, dtype: DType, xs: &[Id]) -> Id {
        let y = match op {
            Op::Unary(f) => expand::unary(self, *f, xs[0]),
            Op::Binary(f) => expand::binary(self, *f, xs[0], xs[1]),
            Op::Compare(c) => self.compare(c.direction, xs[0], xs[1]),
            Op::Select(_) => self.select(xs[0], xs[1], xs[2]),
            Op::Clamp(_) => {
                let low = expand::binary(self, Binary::Max, xs[1], xs[0]);
                expand::binary(self, Binary::Min, low, xs[2])
            }
            Op::Convert(c) => return expand::convert(self, xs[0], c.dtype),
            Op::BitcastConvert(c) => return self.bitcast(xs[0], c.dtype),
            _ => xs[0],
        };
        if dtype == DType::Bool || dtype == computed_in(dtype) || matches!(op, Op::Select(_)) {
            y
        } else {
            self.put(InstKind::Round(dtype, y), DType::F32)
        }
    }
}

impl ExprBuilder for ExprGraph<'_> {
    type Source = ExprSource;

    fn put(&mut self, op: InstKind<ExprSource>, ty: DType) -> Id {
        let node = Node { op, ty };
        if let Some(&id) = self.seen.get(&node) {
            return id;
        }
        let id = self.nodes.len() as Id;
        let at = match &node.op {
            InstKind::Source(ExprSource::Load { at, .. }) => *at,
            _ => None,
        };
        let level = node.op.reads().chain(at).map(|x| self.levels[x as usize]).max().unwrap_or(0);
        self.seen.insert(node.clone(), id);
        self.nodes.push(node);
        self.levels.push(level);
        id
    }

    fn ty(&self, x: Id) -> DType {
        self.nodes[x as usize].ty
    }

    fn has_fma(&self) -> bool {
        self.analysis.has_fma
    }
}
