//! The table of contents of the IR: every op, and the interface that every op implements.
//!
//! An op is a struct that holds its attributes; its operands and results are in the equation
//! ([`crate::Eqn`]). Each family of ops has one file here (or one folder: `mod.rs` the interface,
//! `eval.rs` the typed loops, `rules.rs` the derivatives, `samples.rs` the sample rows).
//!
//! - A *leaf* op implements [`Primitive`]: name, type inference, value, derivative, transpose,
//!   batching rule, sample rows. No method has a default, so a new op does not compile before every
//!   rule is written.
//! - An op that holds graphs (`case`, `while`, `scan`, `call`, ..) implements [`Region`] as well.
//!   If it applies exactly one graph to its operands, it implements `AppliesGraph`
//!   (`applies_graph.rs`) instead, from which both follow.
//! - The set is closed: the `enum` [`Op`] has one variant per struct. Only [`Custom`] is open, for
//!   ops that users of the crate define.
//!
//! A transform walks the equations of a graph and calls one of these methods for each:
//!
//! | transform | method |
//! |---|---|
//! | building and verifying a graph | [`Primitive::infer`] |
//! | the reference interpreter | [`Primitive::eval`] |
//! | forward mode, `jvp` | [`Primitive::jvp`], or [`Region::jvp_region`] |
//! | reverse mode, `grad` | the same, then [`Primitive::transpose`] of the linear equations |
//! | `vmap` | [`Primitive::batch`] |
//!
//! The *laws* of `neurax-testkit` check the methods against each other on the sample rows of every
//! op: derivatives against finite differences, transposes against derivatives, batching against a
//! loop, the text form against its parser.
//!
//! Adding an op takes one file here and one word in the `ops!` table below; `docs/adding-an-op.md`
//! lists the steps.

pub(crate) use crate::graph::Liveness;
use crate::graph::{Parser, Printer};
use crate::{Builder, Error, Eval, Graph, Literal, Result, Shape, Type, Value, Values};
use applies_graph::AppliesGraph;
pub use bounds::{IndexFault, out_of_bounds};
pub(crate) use regions::*;
pub use slide::Slide;
use std::sync::Arc;

mod all_gather;
mod applies_graph;
mod barrier;
mod binary;
mod bounds;
mod broadcast;
mod call;
mod checkpoint;
mod collective;
mod compare;
mod complex;
mod composite;
mod concat;
mod cond;
mod constant;
mod convert;
mod convolution;
mod custom;
mod dot;
mod dynamic_slice;
mod exp;
mod fft;

mod gather;
mod incomplete_beta;
mod iota;
mod linalg;
mod linear;
mod pad;
mod pointwise;
mod reduce;
mod reduce_precision;
mod regions;
mod reshape;
mod reverse;
mod rng;
mod scan;
mod scatter;
mod select;
mod slice;
mod slide;
mod sort;
mod special;
mod strided;
mod transpose;
mod unary;
mod while_loop;
mod windows;

/// The table of all ops: exports the families, declares the enum [`Op`], and dispatches its methods
/// to the struct of each variant.
macro_rules! ops {
    ($($title:literal { $($module:ident: $($V:ident),+;)+ })*) => {
        $($(pub use $module::*;)+)*

        /// An operation with its attributes. The operands are in the equation ([`crate::Eqn`]).
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "each variant holds the documented struct of its name")]
        pub enum Op { $($($($V($V)),+),+),* }

        $($($(impl From<$V> for Op { fn from(x: $V) -> Op { Op::$V(x) } })+)+)*

        impl Op {
            /// Parses the attributes of the op called `name`; `None` if there is no such op.
            pub(crate) fn parse_attrs(name: &str, p: &mut Parser) -> Option<Result<Op>> {
                $($($(
                    if let Some(x) = <$V as Text>::parse_attrs(name, p) {
                        return Some(x.map(Op::from));
                    }
                )+)+)*
                None
            }

            /// Returns the sample rows of every op, over which the laws run.
            pub fn samples() -> Vec<Sample> {
                let mut rows = vec![];
                $($($(rows.extend(<$V as Primitive>::samples());)+)+)*
                rows
            }

            fn primitive(&self) -> &dyn Primitive {
                match self { $($($(Op::$V(x) => x),+),+),* }
            }

            pub(crate) fn print_attrs(&self, p: &mut Printer) {
                match self { $($($(Op::$V(x) => x.print_attrs(p)),+),+),* }
            }
        }
    };
}

ops! {
    "Elementwise ops" {
        unary: Unary;
        binary: Binary;
        compare: Compare;
        select: Select, Clamp;
        incomplete_beta: IncompleteBeta;
        convert: Convert, BitcastConvert;
        reduce_precision: ReducePrecision;
    }
    "Ops that create elements" {
        constant: Constant;
        iota: Iota;
        rng: Threefry;
    }
    "Ops that move elements" {
        broadcast: Broadcast;
        reshape: Reshape;
        transpose: Transpose;
        slice: Slice;
        dynamic_slice: DynamicSlice, DynamicUpdateSlice;
        pad: Pad;
        concat: Concatenate;
        reverse: Reverse;
        barrier: OptimizationBarrier;
    }
    "Reductions, products, gather and scatter" {
        reduce: Reduce, ArgReduce;
        sort: Sort;
        dot: DotGeneral;
        linalg: Cholesky, Eig, Eigh, Lu, Qr, Schur, Svd, TriangularSolve;
        convolution: Convolution;
        fft: Fft;
        windows: ReduceWindow, SelectAndGather, SelectAndScatter;
        gather: Gather;
        scatter: Scatter;
        collective: AllReduce, AxisIndex;
        all_gather: AllGather;
    }
    "Ops that hold graphs" {
        call: Call;
        cond: Cond;
        while_loop: While;
        scan: Scan;
        checkpoint: Checkpoint;
        composite: Composite;
        linear: Linear;
        custom: Custom;
    }
}

/// The interface of every op. There are no default methods: each op states every rule.
pub trait Primitive {
    /// Returns the mnemonic in the text form: that of StableHLO where the op exists there.
    fn name(&self) -> &'static str;

    /// Returns the types of the results for operands of types `xs`.
    ///
    /// # Errors
    /// If the op does not admit the operands. The message names the types and says what would fit.
    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>>;

    /// Evaluates the op. This is its definition: backends are checked against it.
    ///
    /// `xs` are operands that `infer` admitted. The memory of an operand that has no other owner
    /// may be reused for a result.
    ///
    /// # Errors
    /// If these operands have no result, e.g. a collective outside its named axis.
    fn eval(&self, cx: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>>;

    /// Emits the tangents of the results, given the tangents `dxs` of the operands (forward-mode
    /// differentiation). Every emitted equation must be free of tangents or linear in them.
    ///
    /// At least one of `dxs` is `Some`, and only operands of a differentiable dtype have one.
    ///
    /// # Errors
    /// If the op has no derivative with respect to an operand that has a tangent.
    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>>;

    /// Emits the cotangents of the operands that `linear` marks, given the cotangents `cts` of the
    /// results (`None` is zero).
    ///
    /// Called on equations that a `jvp` rule emitted. The values of the operands marked `linear`
    /// must not be read: only their types are known.
    fn transpose(
        &self,
        b: &mut Builder,
        at: &Bound,
        linear: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed;

    /// Emits the op for all members of a new axis, and returns the results with the position of
    /// the new axis in each. Operand `i` has the axis at `dims[i]`; an operand with `None` is the
    /// same for all members.
    ///
    /// # Errors
    /// If the op cannot be batched.
    fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched>;

    /// Returns the sample rows that the laws run over: every dtype that the op admits, zero-sized
    /// dimensions, the corner cases of its attributes.
    fn samples() -> Vec<Sample>
    where
        Self: Sized;
}

/// The additional interface of an op that holds graphs.
pub trait Region {
    /// Returns the graphs that the op holds.
    fn graphs(&self) -> Vec<Arc<Graph>>;

    /// Returns the op with every graph replaced by `f` of it, called once for each in the order of
    /// [`Region::graphs`]; `f` must keep the signature.
    ///
    /// # Errors
    /// The first error of `f`.
    fn map_graphs(&self, f: &mut dyn FnMut(&Graph) -> Result<Graph>) -> Result<Op>;

    /// Emits the op together with its tangents, and returns the results and their tangents.
    ///
    /// Forward mode needs one equation. If `for_reverse`, there are two: a primal equation that
    /// also returns residuals, and an equation that is linear in the tangents, which can be
    /// transposed.
    ///
    /// # Errors
    /// If the op has no derivative with respect to an operand that has a tangent.
    fn jvp_region(
        &self,
        b: &mut Builder,
        xs: &[Value],
        dxs: &[Tangent],
        for_reverse: bool,
    ) -> Result<(Values, Vec<Tangent>)>;

    /// Returns the operands that the results marked in `live` need, and the results that remain,
    /// which include the live ones; `None` if all of them are needed. `inside` has the liveness of
    /// each graph, to which the rule adds what it finds.
    fn needs(&self, live: &[bool], inside: &mut [Liveness]) -> Option<Needs>;

    /// Returns the op on the operands and with the results that `needs` marks. `inside` is what
    /// [`Region::needs`] found.
    fn pruned(&self, needs: &Needs, inside: &[Liveness]) -> Op;

    /// Emits the op with loop-invariant equations moved in front of the loop, and returns its
    /// results; `None` if there are no such equations.
    fn hoist(&self, b: &mut Builder, xs: &[Value]) -> Option<Values>;
}

/// The result of [`Region::needs`]: what remains of the operands and results of an op.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Flags of the operands that the op still takes.
    pub inputs: Vec<bool>,
    /// Flags of the results that the op still returns; they include all live ones.
    pub outputs: Vec<bool>,
}

impl Needs {
    /// Returns the flags; `None` if all are set.
    pub(crate) fn unless_all(inputs: Vec<bool>, outputs: Vec<bool>) -> Option<Needs> {
        let all = !inputs.contains(&false) && !outputs.contains(&false);
        (!all).then_some(Needs { inputs, outputs })
    }
}

/// The operands and results of an equation, as values of the builder.
#[derive(Clone, Copy, Debug)]
pub struct Bound<'a> {
    /// The operands.
    pub xs: &'a [Value],
    /// The results.
    pub ys: &'a [Value],
}

/// A tangent; `None` is zero.
pub type Tangent = Option<Value>;

/// The result of [`Primitive::transpose`].
#[derive(Debug)]
pub enum Transposed {
    /// One cotangent per operand. `None` is zero; operands that are not linear have `None`, too.
    Cotangents(Vec<Option<Value>>),
    /// The op is not linear in the marked operands.
    NotLinear,
}

/// The axis that [`Primitive::batch`] adds.
#[derive(Clone, Debug)]
pub struct Axis {
    /// The number of members.
    pub size: usize,
    /// The name by which collectives refer to the axis.
    pub name: Option<Arc<str>>,
}

/// The result of [`Primitive::batch`]: the results, and the position of the new axis in each.
pub type Batched = (Values, Vec<Option<usize>>);

/// A sample row: an op and operands inside its domain, over which the laws run.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The op.
    pub op: Op,
    /// The operands.
    pub inputs: Vec<Literal>,
    /// True if the op is differentiable at the operands (no ties, no kinks), so that finite
    /// differences approximate its derivative.
    pub smooth: bool,
}

/// The text form of an op's attributes; `attrs!` and `nameless_attrs!` derive it.
pub trait Text: Sized {
    /// Prints the attributes.
    fn print_attrs(&self, p: &mut Printer);
    /// Parses the attributes; `None` if `name` is another op.
    fn parse_attrs(name: &str, p: &mut Parser) -> Option<Result<Self>>;
}

impl Op {
    /// Returns the mnemonic: [`Primitive::name`].
    pub fn name(&self) -> &'static str {
        self.primitive().name()
    }

    /// Returns the types of the results: [`Primitive::infer`].
    ///
    /// # Errors
    /// If the op does not admit operands of types `xs`.
    pub fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        self.primitive().infer(xs)
    }

    /// Evaluates the op: [`Primitive::eval`].
    ///
    /// # Errors
    /// If these operands have no result.
    pub fn eval(&self, cx: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        self.primitive().eval(cx, xs)
    }

    /// Emits the tangents of the results: [`Primitive::jvp`].
    ///
    /// # Errors
    /// If the op has no derivative.
    pub fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        self.primitive().jvp(b, at, dxs)
    }

    /// Emits the cotangents of the linear operands: [`Primitive::transpose`].
    pub fn transpose(
        &self,
        b: &mut Builder,
        at: &Bound,
        linear: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed {
        self.primitive().transpose(b, at, linear, cts)
    }

    /// Emits the op over a new axis: [`Primitive::batch`].
    ///
    /// # Errors
    /// If the op cannot be batched.
    pub fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        self.primitive().batch(b, axis, xs, dims)
    }

    /// Returns the op as a [`Region`], if it holds graphs.
    pub fn region(&self) -> Option<&dyn Region> {
        match self {
            Op::Call(x) => Some(x),
            Op::Cond(x) => Some(x),
            Op::While(x) => Some(x),
            Op::Scan(x) => Some(x),
            Op::Checkpoint(x) => Some(x),
            Op::Composite(x) => Some(x),
            Op::Linear(x) => Some(x),
            _ => None,
        }
    }

    /// Returns the graphs that the op holds; empty for a leaf op.
    pub fn graphs(&self) -> Vec<Arc<Graph>> {
        self.region().map_or(vec![], |r| r.graphs())
    }

    /// Returns true if the op, or an op in a graph that it holds, has effects besides its results
    /// ([`CustomOp::has_effects`]).
    pub fn has_effects(&self) -> bool {
        match self {
            Op::Custom(x) => x.0.has_effects(),
            op => op.graphs().iter().any(|g| g.has_effects()),
        }
    }

    /// Returns true if the op, or an op in a graph that it holds, refers to the `vmap` axis called
    /// `name`; with `None`, to any named axis.
    pub fn uses_axis(&self, name: Option<&str>) -> bool {
        let is_used = |axis: &str| name.is_none_or(|name| name == axis);
        match self {
            Op::AxisIndex(x) => is_used(&x.axis),
            Op::AllReduce(x) => is_used(&x.axis),
            Op::AllGather(x) => is_used(&x.axis),
            op => op.graphs().iter().any(|g| g.eqns().iter().any(|e| e.op.uses_axis(name))),
        }
    }
}

/// Checks that no axis occurs twice in `axes`.
///
/// # Errors
/// If one does; the message names that axis.
pub fn check_different(axes: &[usize]) -> Result<(), String> {
    match axes.iter().enumerate().find(|(i, a)| axes[..*i].contains(a)) {
        Some((_, a)) => Err(format!("expected different axes, got axis {a} twice")),
        None => Ok(()),
    }
}

/// Helpers that the rules of several families share.
pub(crate) mod rules {
    use super::*;
    pub use crate::list_types;

    /// Returns an error in the name of `op`.
    pub fn refuse<T>(op: &str, why: impl Into<String>) -> Result<T> {
        Err(Error::new(op, why))
    }

    /// Checks that there are `n` operands.
    ///
    /// # Errors
    /// If there are more or fewer: "expected 1 operand, got 2: f32[2], f32[2]".
    pub fn arity(op: &str, xs: &[Type], n: usize) -> Result<()> {
        let operands = if n == 1 { "operand" } else { "operands" };
        match xs.len() {
            k if k == n => Ok(()),
            0 => refuse(op, format!("expected {n} {operands}, got none")),
            k => refuse(op, format!("expected {n} {operands}, got {k}: {}", list_types(xs))),
        }
    }

    /// Checks that `axes` are below `rank` and distinct.
    ///
    /// # Errors
    /// If one is out of range or occurs twice; the message names that axis.
    pub fn check_axes(op: &str, axes: &[usize], rank: usize) -> Result<()> {
        match axes.iter().find(|&&a| a >= rank) {
            Some(a) => refuse(op, format!("axis {a} is out of range for rank {rank}")),
            None => check_different(axes).or_else(|why| refuse(op, why)),
        }
    }

    /// Returns the offsets, in elements, of all indices along `axes` in a dense array of `shape`.
    /// The last of `axes` varies fastest.
    pub fn offsets(shape: &Shape, axes: &[usize]) -> Vec<usize> {
        let strides = shape.strides();
        grid(axes.iter().map(|&a| (shape[a], strides[a])))
    }

    /// Returns the offsets of all indices of axes given as `(size, stride)`, in row-major order.
    pub fn grid(axes: impl IntoIterator<Item = (usize, usize)>) -> Vec<usize> {
        let axes: Vec<(usize, usize)> = axes.into_iter().collect();
        // Without this, the offsets of long axes in front of an empty one would be listed.
        if axes.iter().any(|&(n, _)| n == 0) {
            return vec![];
        }
        let step = |at: Vec<usize>, (n, stride): (usize, usize)| {
            at.iter().flat_map(|&o| (0..n).map(move |i| o + i * stride)).collect()
        };
        axes.into_iter().fold(vec![0], step)
    }

    /// Renumbers `axes` for a new axis at `new`: axes from `new` on are shifted up by one.
    pub fn shift_axes_from(axes: &mut [usize], new: usize) {
        axes.iter_mut().filter(|a| **a >= new).for_each(|a| *a += 1);
    }

    /// Returns zero tangents for all results, for ops that are locally constant in their operands
    /// (comparisons) or have integer results.
    pub fn no_tangents(at: &Bound) -> Vec<Tangent> {
        vec![None; at.ys.len()]
    }

    /// Emits the tangent of an op that is linear in each of its two operands.
    pub fn bilinear(
        b: &mut Builder,
        op: impl Into<Op> + Clone,
        at: &Bound,
        dxs: &[Tangent],
    ) -> Vec<Tangent> {
        let left = dxs[0].map(|d| b.emit(op.clone(), &[d, at.xs[1]]));
        let right = dxs[1].map(|d| b.emit(op, &[at.xs[0], d]));
        vec![b.add_tangents(left, right)]
    }

    /// Returns the error of an op that has no derivative; `instead` says what to do.
    pub fn no_derivative<T>(op: &str, instead: &str) -> Result<T> {
        refuse(op, format!("it has no derivative; {instead}"))
    }

    /// Moves the new axis of every batched operand to the front, and broadcasts the other operands
    /// along it, so that all operands share axis 0.
    pub fn batch_front(
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Values {
        xs.iter().zip(dims).map(|(&x, &d)| b.batched_at_front(x, d, axis.size)).collect()
    }

    /// Returns results that all have the new axis at the front.
    pub fn at_front(ys: Values) -> Batched {
        let dims = vec![Some(0); ys.len()];
        (ys, dims)
    }

    /// Returns `n` distinct numbers spread over `lo..hi`, in mixed order and always the same.
    pub fn spread(n: usize, lo: f64, hi: f64) -> Vec<f64> {
        // Multiples of the golden ratio, modulo 1, cover the range evenly without repetition.
        (0..n)
            .map(|i| lo + (hi - lo) * ((i as f64 + 0.5) * 0.618_033_988_749_894_9).fract())
            .collect()
    }

    /// Returns a literal of spread values; integers are rounded down.
    pub fn sample(ty: Type, lo: f64, hi: f64) -> Literal {
        let n = ty.size();
        let v = spread(n, lo, hi);
        let dtype = ty.dtype;
        if dtype.is_complex() {
            let im = spread(n, hi, lo);
            return crate::with_compute!(any dtype, C => Literal::build(ty, |out: &mut [C]| {
                for i in 0..n { out[i] = <C as crate::Compute>::from_parts(v[i], im[i]) }
            }));
        }
        let is_float = dtype.is_float() || dtype.is_storage();
        let v: Vec<f64> = if is_float { v } else { v.iter().map(|x| x.floor()).collect() };
        Literal::from_f64s(dtype, ty.shape, &v)
    }

    /// Converts dimensions to a shape.
    pub fn shape(dims: &[usize]) -> Shape {
        Shape::from(dims)
    }
}
