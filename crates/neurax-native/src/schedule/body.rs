//! Expressions over one iteration space: what a group of equations computes for each iteration.

use crate::{
    affine::{Affine, Cut, Index, flat, index_of},
    kernel::{Do, Id, Make, computed_in, expand, first_bits},
};
use neurax_ir::{DType, Literal, Op, Shape, Value, op::Binary};
use rustc_hash::FxHashMap;

use super::{
    Facts, Storage,
    group::{BufferId, End, Made, Node, Root, Source, Space, Why},
};

/// The expressions of a group.
#[derive(Debug)]
pub struct Body<'a> {
    pub(super) facts: &'a Facts<'a>,
    /// The loops.
    pub space: Space,
    /// How unsplit axes of the space became loops: for each axis its loops.
    pub(super) axes: Vec<Vec<usize>>,
    /// The nodes; operands come first.
    pub nodes: Vec<Node>,
    /// In which stage a node can be computed.
    pub levels: Vec<usize>,
    seen: FxHashMap<Node, Id>,
    made: FxHashMap<(Value, Affine), Id>,
    /// Roots already built: their value, what the group knows it by, and its node.
    pub roots: Vec<Made>,
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
struct At {
    place: Affine,
    index: Option<Index>,
}

/// Why building stopped.
pub(super) enum Stop {
    Split(usize, usize),
    Why(Why),
}

impl From<Why> for Stop {
    fn from(w: Why) -> Stop {
        Stop::Why(w)
    }
}

pub(super) type Built<T> = Result<T, Stop>;

impl<'a> Body<'a> {
    /// The expressions of roots over an iteration space. Roots are in the order of the graph.
    ///
    /// # Errors
    /// Why they do not go together.
    pub fn build(facts: &'a Facts<'a>, space: &Space, roots: &[Root]) -> Result<Body<'a>, Why> {
        let mut factors: Vec<Vec<usize>> = space.sizes.iter().map(|&n| vec![n]).collect();
        // Every split refines the loops, so that this ends.
        loop {
            let mut body = Body::empty(facts, space, &factors);
            match roots.iter().try_for_each(|r| body.root(r)) {
                Ok(()) => return Ok(body),
                Err(Stop::Why(why)) => return Err(why),
                Err(Stop::Split(l, inner)) => {
                    let axis = body.axes.iter().position(|a| a.contains(&l)).unwrap_or(0);
                    let at = body.axes[axis].iter().position(|&x| x == l).unwrap_or(0);
                    let n = factors[axis][at];
                    factors[axis].splice(at..=at, [n / inner, inner]);
                }
            }
        }
    }

    fn empty(facts: &'a Facts<'a>, space: &Space, factors: &[Vec<usize>]) -> Body<'a> {
        let (mut sizes, mut reduced, mut axes) = (vec![], vec![], vec![]);
        for (axis, f) in factors.iter().enumerate() {
            axes.push((sizes.len()..sizes.len() + f.len()).collect());
            sizes.extend(f);
            reduced.extend(f.iter().map(|_| space.reduced[axis]));
        }
        let space = Space { sizes, reduced };
        let (nodes, levels) = (Vec::with_capacity(USUAL), Vec::with_capacity(USUAL));
        let seen = FxHashMap::with_capacity_and_hasher(USUAL, Default::default());
        let made = FxHashMap::with_capacity_and_hasher(USUAL, Default::default());
        Body { facts, space, axes, nodes, levels, seen, made, roots: vec![] }
    }

    pub(super) fn loops(&self) -> usize {
        self.space.sizes.len()
    }

    /// The counters of the unsplit axes.
    fn counters(&self) -> Index {
        let joined = |loops: &Vec<usize>| {
            let mut a = Affine::constant(self.loops(), 0);
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
    fn outer_counters(&self) -> Index {
        let kept = |(_, loops): &(Affine, &Vec<usize>)| {
            loops.first().is_none_or(|&l| !self.space.reduced[l])
        };
        self.counters().into_iter().zip(&self.axes).filter(kept).map(|(a, _)| a).collect()
    }

    /// The index of a root's value: all axes of the space, or those that stay.
    fn own_index(&self, v: Value, is_fold: bool) -> Index {
        let all = self.counters();
        if is_fold || self.facts.shape(v).rank() == all.len() { all } else { self.outer_counters() }
    }

    fn root(&mut self, r: &Root) -> Built<()> {
        let is_fold = matches!(r.end, End::Fold { .. });
        let is_fill = matches!(r.end, End::Fill(_));
        let index = if is_fill { Index::new() } else { self.own_index(r.value, is_fold) };
        let home = self.at_index(r.value, index.clone());
        // A value that is stored already (a graph's input that is concatenated) is read, others are
        // computed.
        let node = match (&r.end, self.facts.storage(r.value)) {
            (End::Store(_), _) => self.compute(r.value, &home)?,
            _ => self.value(r.value, &home)?,
        };
        let made = Made { root: r.clone(), node, place: home.place, at: None, guard: None };
        let made = match &r.end {
            End::Store(_) => made,
            End::Fold { result, .. } => Made {
                place: flat(self.facts.shape(*result), &self.outer_counters(), self.loops()),
                ..made
            },
            End::Fill(_) => Made {
                place: flat(&Shape::from(&self.unsplit()[..]), &self.counters(), self.loops()),
                ..made
            },
            End::Part { shape, scale, offset, .. } => {
                let part = |(i, a): (usize, Affine)| Affine {
                    base: offset[i] as isize,
                    ..a.times(scale[i] as isize)
                };
                let index: Index = index.into_iter().enumerate().map(part).collect();
                Made { place: flat(shape, &index, self.loops()), ..made }
            }
            End::Window { shape, start, .. } => self.window(made.clone(), shape, *start, &index)?,
            End::Scatter { shape, indices, op, .. } => {
                self.scatter(made.clone(), shape, *indices, op, &index)?
            }
        };
        self.roots.push(made);
        Ok(())
    }

    /// The sizes of the axes before they were split.
    fn unsplit(&self) -> Vec<usize> {
        self.axes.iter().map(|loops| loops.iter().map(|&l| self.space.sizes[l]).product()).collect()
    }

    fn at_index(&self, v: Value, index: Index) -> At {
        At { place: flat(self.facts.shape(v), &index, self.loops()), index: Some(index) }
    }

    /// The node of a value at an index.
    pub(super) fn value_at(&mut self, v: Value, index: Index) -> Built<Id> {
        let at = self.at_index(v, index);
        self.value(v, &at)
    }

    fn index(&self, v: Value, at: &At) -> Built<Index> {
        match &at.index {
            Some(i) => Ok(i.clone()),
            None => {
                index_of(self.facts.shape(v), &at.place, &self.space.sizes).map_err(|cut| match cut
                {
                    Cut::Split(l, n) => Stop::Split(l, n),
                    Cut::Never => Stop::Why(Why::Materialise(v)),
                })
            }
        }
    }

    /// The node of a value at a place: what the group knows, an array in memory, or its equation.
    fn value(&mut self, v: Value, at: &At) -> Built<Id> {
        let own = self.roots.iter().enumerate().find_map(|(i, m)| match &m.root.end {
            End::Fold { result, .. } if *result == v => Some((i, m.node, true)),
            End::Store(_) if m.root.value == v => Some((i, m.node, false)),
            _ => None,
        });
        if let Some((i, node, is_fold)) = own {
            let home = if is_fold { self.outer_counters() } else { self.own_index(v, false) };
            if flat(self.facts.shape(v), &home, self.loops()) != at.place {
                return Err(Why::Elsewhere(v).into());
            }
            return Ok(if is_fold { self.fold(i, node) } else { node });
        }
        match self.facts.storage(v) {
            Storage::Buffer(b) => Ok(self.load(v, b, at.place.clone(), None)),
            Storage::Inline => self.compute(v, at),
        }
    }

    fn fold(&mut self, root: usize, node: Id) -> Id {
        let ty = self.ty(node);
        let id = self.put(Do::Leaf(Source::Fold(root)), ty);
        let level = self.levels[node as usize] + 1;
        self.levels[id as usize] = self.levels[id as usize].max(level);
        let dtype = self.facts.dtype(match self.roots[root].root.end {
            End::Fold { result, .. } => result,
            _ => self.roots[root].root.value,
        });
        if dtype == ty { id } else { self.put(Do::Round(dtype, id), ty) }
    }

    pub(super) fn load(&mut self, v: Value, buffer: BufferId, place: Affine, at: Option<Id>) -> Id {
        let dtype = self.facts.dtype(v);
        let x = self.put(Do::Leaf(Source::Load { buffer, place, at }), dtype);
        let ty = computed_in(dtype);
        self.convert(x, ty)
    }

    /// The node of a value from its equation.
    fn compute(&mut self, v: Value, at: &At) -> Built<Id> {
        let key = (v, at.place.clone());
        if let Some(&id) = self.made.get(&key) {
            return Ok(id);
        }
        let id = self.equation(v, at)?;
        self.made.insert(key, id);
        Ok(id)
    }

    fn equation(&mut self, v: Value, at: &At) -> Built<Id> {
        let facts = self.facts;
        let Some((e, out)) = facts.equation(v) else {
            return Err(Why::Says(format!("%{} is not computed here", v.0).into()).into());
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
                    Do::Leaf(Source::Index(index[i.axis].clone())),
                    if is_narrow { DType::I32 } else { DType::I64 },
                );
                Ok(expand::convert(self, n, i.ty.dtype))
            }
            Op::Reshape(_) => self.value(xs[0], &At { place: at.place.clone(), index: None }),
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
                let ys = xs.iter().map(|&x| self.value(x, at)).collect::<Built<Vec<Id>>>()?;
                Ok(self.pointwise(op, facts.dtype(v), &ys))
            }
        }
    }

    /// The index in the operand of a data movement.
    fn moved(&self, op: &Op, x: Value, index: Index) -> Index {
        let shape = self.facts.shape(x);
        let zero = Affine::constant(self.loops(), 0);
        match op {
            Op::Broadcast(op) => (0..shape.rank())
                .map(|i| if shape[i] == 1 { zero.clone() } else { index[op.dims[i]].clone() })
                .collect(),
            Op::Transpose(op) => {
                let mut out: Index = index.iter().map(|_| zero.clone()).collect();
                op.permutation.iter().zip(index).for_each(|(&p, a)| out[p] = a);
                out
            }
            Op::Slice(op) => {
                let part = |(i, a): (usize, Affine)| Affine {
                    base: a.base * op.stride[i] as isize + op.start[i] as isize,
                    ..a.times(op.stride[i] as isize)
                };
                index.into_iter().enumerate().map(part).collect()
            }
            Op::Reverse(op) => {
                let mut out = index;
                for &axis in &op.axes {
                    let last = shape[axis] as isize - 1;
                    out[axis] = out[axis].times(-1).plus(&Affine::constant(self.loops(), last));
                }
                out
            }
            _ => index,
        }
    }

    fn constant(&mut self, v: Value, value: &Literal, at: &At) -> Built<Id> {
        let dtype = self.facts.dtype(v);
        let width = dtype.bits() / 8;
        let same = value.bytes().chunks_exact(width).all(|c| Some(c) == value.bytes().get(..width));
        match first_bits(value) {
            Some(bits) if same => {
                let narrow = if is_structural(dtype, bits) {
                    Do::Const(bits)
                } else {
                    Do::Leaf(Source::Number(bits))
                };
                let narrow = self.put(narrow, dtype);
                Ok(self.convert(narrow, computed_in(dtype)))
            }
            // Nothing of nothing: the loop around it never runs.
            None => Ok(self.number(computed_in(dtype), 0.0)),
            _ => match self.facts.constant_buffer(v) {
                Some(b) => Ok(self.load(v, b, at.place.clone(), None)),
                None => Err(Why::Materialise(v).into()),
            },
        }
    }

    /// A number that sizes of arrays decide: it is given at run time.
    pub(super) fn given(&mut self, ty: DType, x: usize) -> Id {
        self.put(Do::Leaf(Source::Number(x as u64)), ty)
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
            self.put(Do::Round(dtype, y), DType::F32)
        }
    }
}

impl Make for Body<'_> {
    type Leaf = Source;

    fn put(&mut self, op: Do<Source>, ty: DType) -> Id {
        let node = Node { op, ty };
        if let Some(&id) = self.seen.get(&node) {
            return id;
        }
        let id = self.nodes.len() as Id;
        let at = match &node.op {
            Do::Leaf(Source::Load { at, .. }) => *at,
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
        self.facts.has_fma
    }
}
