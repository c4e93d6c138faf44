//! The table of contents of the language: every op, and the questions that every op answers.
//!
//! A *leaf* op implements [`Primitive`]. An op that holds graphs implements [`Region`] as well.
//! Adding an op is one file here and one word in the list below; the compiler then asks for every
//! answer (see `docs/adding-an-op.md`).

use crate::graph::{Parser, Printer};
use crate::{Builder, Error, Eval, Graph, Literal, Result, Shape, Type, Value, Values};
use applied::Applied;
pub(crate) use regions::*;
pub use slide::Slide;
use std::sync::Arc;

mod applied;
mod barrier;
mod binary;
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
mod fold;
mod gather;
mod iota;
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

/// Exports the families, declares the enum, and forwards every question to the op's struct.
macro_rules! ops {
    ($($title:literal { $($module:ident: $($V:ident),+;)+ })*) => {
        $($(pub use $module::*;)+)*

        /// One operation with its parameters. Operands stand in the equation ([`crate::Eqn`]), not
        /// here.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "each variant holds the documented struct of its name")]
        pub enum Op { $($($($V($V)),+),+),* }

        $($($(impl From<$V> for Op { fn from(x: $V) -> Op { Op::$V(x) } })+)+)*

        impl Op {
            /// Reads the op of that name and its attributes.
            pub(crate) fn parse_attrs(name: &str, p: &mut Parser) -> Option<Result<Op>> {
                $($($(if let Some(x) = <$V as Text>::parse_attrs(name, p) { return Some(x.map(Op::from)) })+)+)*
                None
            }

            /// The sample rows of every op: the laws run over them.
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
    "One element at a time" {
        unary: Unary;
        binary: Binary;
        compare: Compare;
        select: Select, Clamp;
        convert: Convert, BitcastConvert;
        reduce_precision: ReducePrecision;
    }
    "Elements out of nothing" {
        constant: Constant;
        iota: Iota;
        rng: Threefry;
    }
    "Moving elements" {
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
    "Many elements into few, or few out of many" {
        reduce: Reduce, ArgReduce;
        sort: Sort;
        dot: DotGeneral;
        convolution: Convolution;
        windows: ReduceWindow, SelectAndGather, SelectAndScatter;
        gather: Gather;
        scatter: Scatter;
        collective: AllReduce, AxisIndex;
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

/// Every question about an op, asked once; there are no default answers.
pub trait Primitive {
    /// The StableHLO mnemonic.
    fn name(&self) -> &'static str;

    /// The types of the results, for operands of those types.
    ///
    /// # Errors
    /// When the op does not admit them; the message names the types and says what would fit.
    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>>;

    /// The meaning, on operands that `infer` admitted. An operand that nobody else holds may be
    /// reused for the result.
    ///
    /// # Errors
    /// When a value has no result, e.g. a collective outside its axis.
    fn eval(&self, cx: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>>;

    /// The tangents of the results, linear in `dxs`; at least one of them is given, and only for
    /// differentiable dtypes.
    ///
    /// # Errors
    /// When the op has no derivative there.
    fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>>;

    /// The cotangents of the operands marked `linear`, given those of the results (`None` is zero).
    fn transpose(
        &self,
        b: &mut Builder,
        at: &Bound,
        linear: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed;

    /// The op over a new axis: operand `i` has it at `dims[i]`, or does not have it.
    ///
    /// # Errors
    /// When the op cannot be batched.
    fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched>;

    /// Rows for the laws: every dtype that the op admits, zero-sized dimensions, the corners of its
    /// attributes.
    fn samples() -> Vec<Sample>
    where
        Self: Sized;
}

/// What an op that holds graphs answers besides.
pub trait Region {
    /// The graphs it holds.
    fn graphs(&self) -> Vec<Arc<Graph>>;

    /// The same op holding other graphs with the same signatures.
    ///
    /// # Errors
    /// What `f` says.
    fn map_graphs(&self, f: &mut dyn FnMut(&Graph) -> Result<Graph>) -> Result<Op>;

    /// Emits the op and its tangents: in one equation, or, `for_reverse`, in a primal equation
    /// (with residuals) and a linear one.
    ///
    /// # Errors
    /// When the op has no derivative.
    fn jvp_region(
        &self,
        b: &mut Builder,
        xs: &[Value],
        dxs: &[Tangent],
        for_reverse: bool,
    ) -> Result<(Values, Vec<Tangent>)>;

    /// The op without the work that only dead results need; `None` if nothing can go.
    fn dce(&self, live: &[bool]) -> Option<Pruned>;

    /// Moves work that is the same in every iteration in front of the loop; `None` if there is
    /// none.
    fn hoist(&self, b: &mut Builder, xs: &[Value]) -> Option<Values>;
}

/// What [`Region::dce`] leaves: an op on the kept operands giving the kept results.
#[derive(Debug)]
pub struct Pruned {
    /// The smaller op.
    pub op: Op,
    /// Which operands it still takes.
    pub inputs: Vec<bool>,
    /// Which results it still gives; all live ones are among them.
    pub outputs: Vec<bool>,
}

/// An equation's operands and results, as values of the builder.
#[derive(Clone, Copy, Debug)]
pub struct Bound<'a> {
    /// The operands.
    pub xs: &'a [Value],
    /// The results.
    pub ys: &'a [Value],
}

/// A tangent; `None` is zero.
pub type Tangent = Option<Value>;

/// The answer of [`Primitive::transpose`].
#[derive(Debug)]
pub enum Transposed {
    /// One cotangent per operand; `None` is zero, and the answer for operands that are not linear.
    Cotangents(Vec<Option<Value>>),
    /// The op is not linear in those operands.
    NotLinear,
}

/// The axis that [`Primitive::batch`] adds.
#[derive(Clone, Debug)]
pub struct Axis {
    /// Its size.
    pub size: usize,
    /// Its name, for collectives.
    pub name: Option<Arc<str>>,
}

/// The answer of [`Primitive::batch`]: results, and where each has the new axis.
pub type Batched = (Values, Vec<Option<usize>>);

/// One row for the laws: an op on operands inside its domain.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The op.
    pub op: Op,
    /// Its operands.
    pub inputs: Vec<Literal>,
    /// Is it differentiable at those operands (no ties, no kinks)?
    pub smooth: bool,
}

/// The text form of an op's attributes; `attrs!` and `nameless_attrs!` derive it.
pub trait Text: Sized {
    /// Writes the attributes.
    fn print_attrs(&self, p: &mut Printer);
    /// Reads the attributes, if `name` is this op.
    fn parse_attrs(name: &str, p: &mut Parser) -> Option<Result<Self>>;
}

impl Op {
    /// The StableHLO mnemonic.
    pub fn name(&self) -> &'static str {
        self.primitive().name()
    }

    /// See [`Primitive::infer`].
    pub fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        self.primitive().infer(xs)
    }

    /// See [`Primitive::eval`].
    pub fn eval(&self, cx: &mut Eval, xs: Vec<Literal>) -> Result<Vec<Literal>> {
        self.primitive().eval(cx, xs)
    }

    /// See [`Primitive::jvp`].
    pub fn jvp(&self, b: &mut Builder, at: &Bound, dxs: &[Tangent]) -> Result<Vec<Tangent>> {
        self.primitive().jvp(b, at, dxs)
    }

    /// See [`Primitive::transpose`].
    pub fn transpose(
        &self,
        b: &mut Builder,
        at: &Bound,
        linear: &[bool],
        cts: &[Option<Value>],
    ) -> Transposed {
        self.primitive().transpose(b, at, linear, cts)
    }

    /// See [`Primitive::batch`].
    pub fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        self.primitive().batch(b, axis, xs, dims)
    }

    /// The op as one that holds graphs, if it is.
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

    /// The graphs it holds.
    pub fn graphs(&self) -> Vec<Arc<Graph>> {
        self.region().map_or(vec![], |r| r.graphs())
    }

    /// Does it read the named axis, itself or in a graph that it holds?
    pub fn uses_axis(&self, name: &str) -> bool {
        match self {
            Op::AxisIndex(x) => &*x.axis == name,
            Op::AllReduce(x) => &*x.axis == name,
            op => op.graphs().iter().any(|g| g.eqns().iter().any(|e| e.op.uses_axis(name))),
        }
    }
}

/// Helpers that the rules of several families share.
pub(crate) mod rules {
    use super::*;

    /// An error that names op and operand types.
    pub fn refuse<T>(op: &str, why: impl Into<String>) -> Result<T> {
        Err(Error::new(op, why))
    }

    /// `f32[2], i32[]`
    pub fn list(xs: &[Type]) -> String {
        xs.iter().map(|t| t.to_string()).collect::<Vec<_>>().join(", ")
    }

    /// Checks the number of operands.
    ///
    /// # Errors
    /// When it is another one.
    pub fn arity(op: &str, xs: &[Type], n: usize) -> Result<()> {
        let operands = if n == 1 { "operand" } else { "operands" };
        match xs.len() {
            k if k == n => Ok(()),
            0 => refuse(op, format!("expected {n} {operands}, got none")),
            k => refuse(op, format!("expected {n} {operands}, got {k}: {}", list(xs))),
        }
    }

    /// Checks that axes are in range and named once.
    ///
    /// # Errors
    /// With the axis that is not.
    pub fn check_axes(op: &str, axes: &[usize], rank: usize) -> Result<()> {
        for (i, &a) in axes.iter().enumerate() {
            if a >= rank {
                return refuse(op, format!("axis {a} is out of range for rank {rank}"));
            }
            if axes[..i].contains(&a) {
                return refuse(op, format!("axis {a} is named twice"));
            }
        }
        Ok(())
    }

    /// Where the elements along those axes are in a dense array, in row-major order of the axes as
    /// they are listed.
    pub fn offsets(shape: &Shape, axes: &[usize]) -> Vec<usize> {
        let strides = shape.strides();
        grid(axes.iter().map(|&a| (shape[a], strides[a])))
    }

    /// The offsets of all indices of axes of those sizes and strides, in row-major order.
    pub fn grid(axes: impl IntoIterator<Item = (usize, usize)>) -> Vec<usize> {
        let step = |at: Vec<usize>, (n, stride): (usize, usize)| {
            at.iter().flat_map(|&o| (0..n).map(move |i| o + i * stride)).collect()
        };
        axes.into_iter().fold(vec![0], step)
    }

    /// Makes room for a new axis: axes from `new` on move up by one.
    pub fn bump(axes: &mut [usize], new: usize) {
        axes.iter_mut().filter(|a| **a >= new).for_each(|a| *a += 1);
    }

    /// No derivative: the op is constant in its operands (integers, comparisons), or its tangents
    /// are zero.
    pub fn no_tangents(at: &Bound) -> Vec<Tangent> {
        vec![None; at.ys.len()]
    }

    /// The tangent of an op that is linear in each of its two operands.
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

    /// The error for an op whose derivative does not exist.
    ///
    /// # Errors
    /// Always.
    pub fn no_derivative<T>(op: &str, instead: &str) -> Result<T> {
        refuse(op, format!("it has no derivative; {instead}"))
    }

    /// Brings the new axis of every batched operand to the front and gives it to the others, for
    /// ops that work element by element or index by index: afterwards all operands have axis 0 in
    /// common.
    pub fn batch_front(
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Values {
        xs.iter().zip(dims).map(|(&x, &d)| b.batched_at_front(x, d, axis.size)).collect()
    }

    /// A batched answer whose results all have the new axis at the front.
    pub fn at_front(ys: Values) -> Batched {
        let dims = vec![Some(0); ys.len()];
        (ys, dims)
    }

    /// Deterministic values for samples: `n` distinct numbers spread over `lo..hi`, in mixed order.
    pub fn spread(n: usize, lo: f64, hi: f64) -> Vec<f64> {
        // A multiplicative step by the golden ratio visits the range evenly and never twice.
        (0..n)
            .map(|i| lo + (hi - lo) * ((i as f64 + 0.5) * 0.618_033_988_749_894_9).fract())
            .collect()
    }

    /// A literal of spread values; integers are rounded.
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
        let v: Vec<f64> = if dtype.is_float() { v } else { v.iter().map(|x| x.floor()).collect() };
        Literal::from_f64s(dtype, ty.shape, &v)
    }

    /// A shape for messages and samples.
    pub fn shape(dims: &[usize]) -> Shape {
        Shape::from(dims)
    }
}
