//! The generator: a pool of values with known bounds, and rules that read some and add others.

use super::{
    Member, RandomProgram, composite, control, elementwise, indexing, linear_algebra, movement,
    windows,
};
use crate::rng::Rng;
use neurax_ir::op::{Binary, Compare, Direction, ReduceKind};
use neurax_ir::{Axis, Builder, DType, Graph, Literal, Op, Shape, Type, Value, transform};

/// A value of the program with a bound on the magnitude of its elements (for complex ones, of real
/// plus imaginary part).
#[derive(Clone, Copy, Debug)]
pub(super) struct BoundedValue {
    pub v: Value,
    pub bound: f64,
}

/// The state of a graph under construction.
pub(super) struct Gen {
    pub rng: Rng,
    pub b: Builder,
    pub pool: Vec<BoundedValue>,
    /// The number of further levels of nested graphs allowed.
    pub depth: usize,
    /// True if `while` loops may carry values in double precision, which excludes reverse mode.
    pub smooth_while: bool,
    /// The number of members if collectives over [`AXIS`] are allowed. The program is batched over
    /// it at the end.
    pub named_axis: Option<usize>,
}

/// The name of the axis of collectives.
pub(super) const AXIS: &str = "i";

/// A generator rule: adds equations, or returns `None` if it is not applicable.
pub(super) type GenRule = fn(&mut Gen) -> Option<()>;

/// The bound of the values in the pool, which are scaled or squashed to it.
pub(super) const BOUND: f64 = 2.0;
/// The maximum number of elements of a value.
const MAX_ELEMENTS: usize = 48;

/// The number of equations of a program.
pub(super) const EQNS: std::ops::RangeInclusive<usize> = 5..=30;

/// Generates the program of `seed`: programs are drawn until one has the right size and contains a
/// nested graph.
pub(super) fn program(seed: u64) -> Result<RandomProgram, String> {
    let mut rng = Rng::new(seed);
    // One in five may have no reverse mode.
    let smooth_while = seed % 5 == 4;
    let named_axis = rng.one_in(6).then_some(1 + (seed % 3) as usize);
    loop {
        let p = draw(seed, &mut rng, smooth_while, named_axis)
            .map_err(|e| format!("seed {seed}: {e}"))?;
        if EQNS.contains(&p.graph.eqns().len())
            && p.graph.eqns().iter().any(|e| !e.op.graphs().is_empty())
        {
            return match named_axis {
                Some(size) => {
                    batched_over_axis(p, size, &mut rng).map_err(|e| format!("seed {seed}: {e}"))
                }
                None => Ok(p),
            };
        }
    }
}

fn draw(
    seed: u64,
    rng: &mut Rng,
    smooth_while: bool,
    named_axis: Option<usize>,
) -> neurax_ir::Result<RandomProgram> {
    let types = input_types(rng);
    let mut g = Gen {
        rng: rng.clone(),
        b: Builder::new(),
        pool: vec![],
        depth: 3,
        smooth_while,
        named_axis,
    };
    for t in &types {
        let v = g.b.input(t.clone());
        g.pool.push(BoundedValue { v, bound: BOUND });
    }
    let target = g.rng.between(*EQNS.start(), 18);
    g.grow(target);
    let outputs = g.outputs();
    *rng = g.rng;
    let args: Vec<Literal> = types.iter().map(|t| argument(rng, t)).collect();
    let mut active: Vec<bool> =
        types.iter().map(|t| t.dtype == DType::F64 && !rng.one_in(3)).collect();
    active[0] = true;
    Ok(RandomProgram { seed, graph: g.b.finish(&outputs)?, args, active, member: None })
}

/// Returns the program batched over the axis of its collectives.
fn batched_over_axis(
    p: RandomProgram,
    size: usize,
    rng: &mut Rng,
) -> neurax_ir::Result<RandomProgram> {
    let axis = Axis { size, name: Some(AXIS.into()) };
    let dims: Vec<Option<usize>> = p
        .graph
        .input_types()
        .iter()
        .map(|t| (!rng.one_in(3)).then(|| rng.between(0, t.rank())))
        .collect();
    let graph = transform::vmap(&p.graph, &dims, &axis)?;
    let args = graph.input_types().iter().map(|t| argument(rng, t)).collect();
    Ok(RandomProgram { graph, args, member: Some(Member { graph: p.graph, dims, axis }), ..p })
}

fn input_types(rng: &mut Rng) -> Vec<Type> {
    let mut dtypes = vec![DType::F64];
    dtypes.extend((0..rng.below(3)).map(|_| DType::F64));
    dtypes.extend((0..rng.below(3)).map(|_| DType::I32));
    dtypes.extend((0..rng.below(2)).map(|_| DType::F32));
    dtypes.extend((0..rng.below(2)).map(|_| DType::Bool));
    dtypes.into_iter().map(|d| Type::new(d, any_shape(rng))).collect()
}

/// Returns a shape of rank 0 to 3, occasionally with an axis of size 0.
pub(super) fn any_shape(rng: &mut Rng) -> Shape {
    let rank = rng.below(4);
    (0..rank).map(|_| if rng.one_in(25) { 0 } else { rng.between(1, 4) }).collect()
}

/// Returns a value for an input: floats in -1.5..1.5, integers in 0..=4.
fn argument(rng: &mut Rng, ty: &Type) -> Literal {
    let v: Vec<f64> = (0..ty.size())
        .map(|_| if ty.dtype.is_float() { rng.range(-1.5, 1.5) } else { rng.below(5) as f64 })
        .collect();
    let v: Vec<f64> = if ty.dtype == DType::Bool { v.iter().map(|x| x % 2.0).collect() } else { v };
    Literal::from_f64s(ty.dtype, &ty.shape, &v)
}

impl Gen {
    /// Applies rules until there are `target` equations.
    pub fn grow(&mut self, target: usize) {
        for _ in 0..4 * target {
            if self.b.eqns().len() >= target || self.b.error().is_some() {
                return;
            }
            let rule = self.rule();
            let before = self.b.eqns().len();
            let done = rule(self);
            debug_assert!(done.is_some() || self.b.eqns().len() >= before);
        }
    }

    fn rule(&mut self) -> GenRule {
        if self.depth > 0 && self.rng.one_in(3) {
            return self.rng.pick(control::CONTROL_RULES);
        }
        match self.rng.below(13) {
            0..6 => self.rng.pick(elementwise::ELEMENTWISE_RULES),
            6..12 => self.rng.pick(
                &[
                    movement::MOVEMENT_RULES,
                    indexing::INDEXING_RULES,
                    composite::COMPOSITE_RULES,
                    linear_algebra::LINEAR_ALGEBRA_RULES,
                ]
                .concat(),
            ),
            _ => self.rng.pick(windows::WINDOW_RULES),
        }
    }

    /// Picks up to four unread values as outputs, most recent first, and at least one in double
    /// precision.
    fn outputs(&mut self) -> Vec<Value> {
        let read: Vec<Value> = self.b.eqns().iter().flat_map(|e| e.inputs.clone()).collect();
        let unread: Vec<Value> =
            self.pool.iter().rev().map(|s| s.v).filter(|v| !read.contains(v)).take(4).collect();
        let mut out = unread;
        if !out.iter().any(|&v| self.b.dtype(v) == DType::F64) {
            out.push(self.pick_value(DType::F64).v);
        }
        out
    }

    pub fn ty(&self, s: BoundedValue) -> Type {
        self.b.ty(s.v).clone()
    }

    /// Adds a value to the pool, scaled to the allowed bound.
    pub fn keep(&mut self, v: Value, bound: f64) -> Option<()> {
        let s = self.limit_bound(v, bound);
        self.pool.push(s);
        Some(())
    }

    /// Returns the value, scaled or squashed if it exceeds the allowed bound.
    pub fn limit_bound(&mut self, v: Value, bound: f64) -> BoundedValue {
        match self.b.dtype(v) {
            DType::Bool => BoundedValue { v, bound: 1.0 },
            DType::I32 if bound > 1000.0 => {
                let seven = self.b.full_like(v, 7.0);
                BoundedValue { v: self.b.rem(v, seven), bound: 6.0 }
            }
            DType::I32 => BoundedValue { v, bound },
            _ if bound <= BOUND => BoundedValue { v, bound },
            DType::F64 if bound <= 8.0 && self.rng.one_in(2) => {
                BoundedValue { v: self.b.tanh(v), bound: 1.0 }
            }
            _ => BoundedValue { v: self.b.mul_scalar(v, BOUND / bound), bound: BOUND },
        }
    }

    /// Emits an op with one result.
    pub fn emit(&mut self, op: impl Into<Op>, xs: &[Value]) -> Value {
        self.b.emit(op, xs)
    }

    /// Picks a value of `dtype`, preferably a recent one; creates one if there is none.
    pub fn pick_value(&mut self, dtype: DType) -> BoundedValue {
        let all: Vec<BoundedValue> =
            self.pool.iter().copied().filter(|s| self.b.dtype(s.v) == dtype).collect();
        match all.len() {
            0 => self.create(dtype),
            n if n > 4 && self.rng.one_in(2) => all[n - 1 - self.rng.below(4)],
            _ => self.rng.pick(&all),
        }
    }

    fn create(&mut self, dtype: DType) -> BoundedValue {
        let shape = any_shape(&mut self.rng);
        match dtype {
            DType::Bool => {
                let x = self.pick_value(DType::I32);
                let one = self.b.full_like(x.v, 1.0);
                BoundedValue {
                    v: self.emit(Compare { direction: Direction::Gt }, &[x.v, one]),
                    bound: 1.0,
                }
            }
            DType::C128 => {
                let re = self.pick_value(DType::F64);
                let im = self.pick_shaped(DType::F64, &self.ty(re).shape.clone());
                BoundedValue { v: self.b.complex(re.v, im.v), bound: re.bound + im.bound }
            }
            _ => {
                let value = argument(&mut self.rng, &Type::new(dtype, shape));
                BoundedValue { v: self.b.constant(value), bound: 4.0 }
            }
        }
    }

    /// Picks or creates a value of `dtype` and `shape`.
    pub fn pick_shaped(&mut self, dtype: DType, shape: &Shape) -> BoundedValue {
        let fits: Vec<BoundedValue> = self
            .pool
            .iter()
            .copied()
            .filter(|s| self.b.dtype(s.v) == dtype && self.b.ty(s.v).shape == *shape)
            .collect();
        if !fits.is_empty() && !self.rng.one_in(5) {
            return self.rng.pick(&fits);
        }
        let s = self.pick_value(dtype);
        if self.ty(s).shape == *shape {
            return s;
        }
        if self.ty(s).size() == shape.size() {
            return BoundedValue { v: self.b.reshape(s.v, shape), bound: s.bound };
        }
        let mean = self.emit_mean(s);
        let full = self.b.broadcast(mean.v, shape, &[]);
        if dtype == DType::Bool {
            return BoundedValue { v: full, bound: 1.0 };
        }
        // Distinct elements, so that wrong indices are noticed.
        let step = Literal::from_f64s(
            dtype,
            shape,
            &(0..shape.size()).map(|i| 0.5 * (i % 5) as f64).collect::<Vec<_>>(),
        );
        let step = self.b.constant(step);
        let v = self.b.add(full, step);
        self.limit_bound(v, mean.bound + 2.0)
    }

    /// Emits the mean of all elements (of integers the sum, of bools the disjunction).
    fn emit_mean(&mut self, s: BoundedValue) -> BoundedValue {
        let ty = self.ty(s);
        let axes: Vec<usize> = (0..ty.rank()).collect();
        let v = self.b.reduce(
            if ty.dtype == DType::Bool { ReduceKind::Or } else { ReduceKind::Sum },
            s.v,
            &axes,
        );
        match ty.dtype {
            DType::Bool => BoundedValue { v, bound: 1.0 },
            DType::I32 => self.limit_bound(v, s.bound * ty.size() as f64),
            _ => BoundedValue {
                v: self.b.mul_scalar(v, 1.0 / ty.size().max(1) as f64),
                bound: s.bound,
            },
        }
    }

    /// Emits a scalar integer in `0..n` that depends on data.
    pub fn small_index(&mut self, n: usize) -> Value {
        let s = self.pick_shaped(DType::I32, &Shape::scalar());
        let n = self.b.full_like(s.v, n as f64);
        let r = self.b.rem(s.v, n);
        self.emit(neurax_ir::op::Unary::Abs, &[r])
    }

    /// Emits a constant of distinct values in random order, `gap` apart. Added to bounded values,
    /// it keeps them apart.
    pub fn distinct(&mut self, shape: &Shape, gap: f64) -> Value {
        let order = self.rng.permutation(shape.size());
        let value = Literal::from_f64s(
            DType::F64,
            shape,
            &order.iter().map(|&i| gap * i as f64).collect::<Vec<_>>(),
        );
        self.b.constant(value)
    }

    pub fn is_too_large(&self, shape: &[usize]) -> bool {
        shape.len() > 4 || shape.iter().product::<usize>() > MAX_ELEMENTS
    }

    /// Picks a dtype, mostly double precision.
    pub fn dtype(&mut self) -> DType {
        self.rng.pick(&[
            DType::F64,
            DType::F64,
            DType::F64,
            DType::F64,
            DType::I32,
            DType::F32,
            DType::Bool,
            DType::C128,
        ])
    }

    /// Generates a nested graph with inputs of the given types and bounds, and outputs of the given
    /// types.
    pub fn body(&mut self, inputs: &[(Type, f64)], outputs: &[Type]) -> Option<Graph> {
        let (rng, depth) = (self.rng.clone(), self.depth - 1);
        let mut g = Gen {
            rng,
            b: Builder::new(),
            pool: vec![],
            depth,
            smooth_while: self.smooth_while,
            named_axis: self.named_axis,
        };
        for (t, bound) in inputs {
            let v = g.b.input(t.clone());
            g.pool.push(BoundedValue { v, bound: *bound });
        }
        let target = g.rng.between(1, 6);
        g.grow(target);
        let outs: Vec<Value> =
            outputs.iter().map(|t| g.pick_shaped(t.dtype, &t.shape)).map(|s| s.v).collect();
        self.rng = g.rng;
        match g.b.finish(&outs) {
            Ok(graph) => Some(graph),
            Err(e) => {
                self.b.fail(e);
                None
            }
        }
    }

    /// Emits `1.5 + tanh(x)`, in 0.5..2.5.
    pub fn positive(&mut self, x: Value) -> Value {
        let t = self.b.tanh(x);
        self.b.add_scalar(t, 1.5)
    }

    /// Emits `1 + x^2`.
    pub fn above_one(&mut self, x: Value) -> Value {
        let s = self.b.square(x);
        self.b.add_scalar(s, 1.0)
    }

    pub fn binary(&mut self, op: Binary, x: BoundedValue) -> (Value, BoundedValue) {
        let ty = self.ty(x);
        let y = self.pick_shaped(ty.dtype, &ty.shape);
        (self.emit(op, &[x.v, y.v]), y)
    }
}
