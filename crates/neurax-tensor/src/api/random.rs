//! Random numbers.
//!
//! The generator is counter-based (Threefry-2x32): numbers are a pure function of a key and are
//! laid out as in JAX (its partitionable form), so bits are equal on every backend and in JAX.
//!
//! Numbers of a concrete key are computed when they are needed; inside a traced function they are
//! recorded as equations.

use crate::{
    DType, Error, IntoShape, Operand, Result, Scalar, Shape, Tensor, Tree, Type,
    args::axis_of,
    dispatch::{apply_graph, apply_graph_lazily, dispatch},
    random_bits::{
        DrawnFloat, bits, block, gumbel, integers, normal, shuffled, uniform, uniform_bounds,
        words_of,
    },
    random_parameters::{Domain, Parameter},
    shape::fixed,
    stop_gradient,
    tensor::CallSite,
    tree::Visitor,
};
use neurax_ir::{Builder, Graph, Kind, Literal, Place, Value, op};
use std::{f64::consts::SQRT_2, ops::Range, panic::Location};

/// A key of random numbers: two 32-bit words.
///
/// The same key always yields the same numbers; [`Key::split`] and [`Key::fold_in`] create new
/// keys.
///
/// ```
/// use neurax::prelude::*;
/// let [a, b] = key(42).split();
/// assert_eq!(a.uniform([2]).shape(), [2]);
/// assert_ne!(a.uniform([2]).to_vec::<f32>()?, b.uniform([2]).to_vec::<f32>()?);
/// assert_eq!(a.uniform([2]).to_vec::<f32>()?, a.uniform([2]).to_vec::<f32>()?);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Key(Tensor);

/// Creates the key of a seed. Follows `jax.random.PRNGKey`.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// assert_eq!(key(42).tensor().to_vec::<u32>()?, [0, 42]);
/// # Ok::<(), Error>(())
/// ```
pub fn key(seed: i64) -> Key {
    let words = [(seed as u64 >> 32) as u32, seed as u32];
    Key(Literal::from_slice([2], &words).map_or_else(Tensor::from_error, Tensor::from))
}

impl Tree for Key {
    fn visit<'t>(&'t self, v: &mut Visitor<'_, 't>) {
        v.leaf(&self.0);
    }
    fn rebuild(&self, next: &mut dyn FnMut() -> Tensor) -> Self {
        Key(next())
    }
    fn into_leaves(self, out: &mut Vec<Tensor>) {
        out.push(self.0);
    }
    fn of_error(e: &crate::Error) -> Option<Self> {
        Some(Key(Tensor::from_error(e.clone())))
    }
}

impl Key {
    /// Creates a key from its two words, a `u32[2]`.
    ///
    /// # Errors
    ///
    /// The key yields tensors that carry an error if `words` is not a `u32[2]`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let words = key(42).tensor().clone();
    /// let x = Key::from_tensor(words).uniform(2);
    /// assert_eq!(x.to_vec::<f32>()?, key(42).uniform(2).to_vec::<f32>()?);
    /// let e = Key::from_tensor(tensor([1.0])).uniform(2).ok().unwrap_err();
    /// assert!(e.message().contains("expected a key, u32[2], got f32[1]"), "{e}");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn from_tensor(words: Tensor) -> Key {
        Key(words)
    }

    /// Returns the two words of the key, a `u32[2]`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(key(7).tensor().to_vec::<u32>()?, [0, 7]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn tensor(&self) -> &Tensor {
        &self.0
    }

    /// Samples a tensor with the graph that `build` makes of the key.
    ///
    /// # Errors
    ///
    /// Returns a tensor that carries the error of `name` if the key is not a `u32[2]`.
    fn sample(
        &self,
        name: &str,
        at: CallSite,
        build: impl FnOnce(&mut Builder, Value) -> Value,
    ) -> Tensor {
        let graph = self.0.ty().and_then(|ty| {
            if ty != Type::new(DType::U32, [2]) {
                return Err(Error::new(name, format!("expected a key, u32[2], got {ty}")));
            }
            graph_of(&[ty], at, |b, xs| build(b, xs[0]))
        });
        match graph {
            Ok(graph) => apply_graph_lazily(graph, vec![self.0.clone()], at),
            Err(e) => Tensor::error_at(e, at),
        }
    }

    /// Samples a tensor of `shape` with the graph that `build` makes of the key.
    fn shaped(
        &self,
        name: &str,
        shape: impl IntoShape,
        at: CallSite,
        build: impl FnOnce(&mut Builder, Value, &Shape) -> Value,
    ) -> Tensor {
        match fixed(shape) {
            Ok(s) => self.sample(name, at, |b, k| build(b, k, &s)),
            Err(why) => Tensor::fail(name, why, at),
        }
    }

    /// Splits the key into `N` new keys. Follows `jax.random.split`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let [a, b] = key(0).split();
    /// assert_eq!(a.tensor().to_vec::<u32>()?, [1797259609, 2579123966]);
    /// assert_eq!(b.tensor().to_vec::<u32>()?, [928981903, 3453687069]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn split<const N: usize>(&self) -> [Key; N] {
        let at = Location::caller();
        std::array::from_fn(|i| Key(self.sample("split", at, |b, k| nth_key(b, k, N, i))))
    }

    /// Splits the key into `n` new keys, stacked to `u32[n, 2]`: an argument for `vmap` of a
    /// function of a key.
    ///
    /// The keys equal those of [`Key::split`]. Follows `jax.random.split(key, n)`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let words = key(0).split_n(2).tensor().to_vec::<u32>()?;
    /// assert_eq!(words, [1797259609, 2579123966, 928981903, 3453687069]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn split_n(&self, n: usize) -> Key {
        Key(self.sample("split_n", Location::caller(), |b, k| words_of(b, k, n)))
    }

    /// Derives the key for an integer: a step, an epoch, a layer. `fold_in(i)` is key `i` of a
    /// split.
    ///
    /// Follows `jax.random.fold_in`.
    ///
    /// # Errors
    ///
    /// The key yields tensors that carry an error if `data` is not a scalar.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let [_, b] = key(0).split();
    /// assert_eq!(key(0).fold_in(1).tensor().to_vec::<u32>()?, b.tensor().to_vec::<u32>()?);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn fold_in(&self, data: impl Operand) -> Key {
        let at = Location::caller();
        let data = data.operand(&Tensor::scalar(DType::U32, 0)).convert(DType::U32, at);
        let types = [self.0.ty(), data.ty()].into_iter().collect::<Result<Vec<_>>>();
        let graph = types.and_then(|types| {
            if types[0] != Type::new(DType::U32, [2]) || types[1].rank() != 0 {
                return Err(Error::new(
                    "fold_in",
                    format!(
                        "expected a key, u32[2], and one integer, got {} and {}",
                        types[0], types[1]
                    ),
                ));
            }
            graph_of(&types, at, |b, xs| {
                let zero = b.scalar(DType::U32, 0.0);
                let (x, y) = block(b, xs[0], zero, xs[1]);
                let (x, y) = (b.reshape(x, [1]), b.reshape(y, [1]));
                b.concat(&[x, y], 0)
            })
        });
        Key(match graph {
            Ok(graph) => apply_graph_lazily(graph, vec![self.0.clone(), data], at),
            Err(e) => Tensor::error_at(e, at),
        })
    }

    /// Samples random bits: unsigned integers of `dtype` with 8 to 64 bits, all values equally
    /// likely. Follows `jax.random.bits`.
    ///
    /// # Errors
    ///
    /// The result carries an error for other dtypes.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(key(0).bits_of(U8, [2, 3]).ty()?.to_string(), "u8[2, 3]");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn bits_of(&self, dtype: DType, shape: impl IntoShape) -> Tensor {
        let at = Location::caller();
        if dtype.kind() != Kind::Unsigned || dtype.bits() < 8 {
            return Tensor::fail(
                "bits",
                format!("expected an unsigned dtype of 8 to 64 bits, got {dtype}"),
                at,
            );
        }
        self.shaped("bits", shape, at, |b, k, s| bits(b, k, s, dtype.bits()))
    }

    /// Samples uniformly from `[0, 1)`, f32. Follows `jax.random.uniform`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(key(0).uniform([2]).to_vec::<f32>()?, [0.947667, 0.9785799]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn uniform(&self, shape: impl IntoShape) -> Tensor {
        self.uniform_of(DType::F32, shape, 0.0, 1.0)
    }

    /// Samples uniformly from `[low, high)`. `dtype` is f16, bf16, f32 or f64. Follows
    /// `jax.random.uniform`, but `high`, which is rounded up to there, is never reached.
    ///
    /// The bounds are numbers, or tensors that broadcast to `shape`; tensors in f64 may differ from
    /// JAX in the last place. Where `low` is not below `high` in tensors, the result is `low`.
    ///
    /// # Errors
    ///
    /// The result carries an error for other dtypes, and if no number of the dtype is at least
    /// `low` and below `high`, or a bound or their distance is not finite in it; of tensors, if
    /// they are complex or do not broadcast to `shape`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = key(0).uniform_of(F64, [100], -1.0, 1.0);
    /// assert_eq!(x.ge(-1.0).all(..).to_vec::<bool>()?, [true]);
    /// assert_eq!(x.lt(1.0).all(..).to_vec::<bool>()?, [true]);
    /// let x = key(0).uniform_of(F32, [100, 2], tensor([0.0, 5.0]), tensor([1.0, 6.0]));
    /// assert_eq!(x.floor().min(0).to_vec::<f32>()?, [0.0, 5.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn uniform_of(
        &self,
        dtype: DType,
        shape: impl IntoShape,
        low: impl Operand,
        high: impl Operand,
    ) -> Tensor {
        let at = Location::caller();
        let format = match drawn_float("uniform", dtype, at) {
            Ok(format) => format,
            Err(e) => return e,
        };
        let (Some(from), Some(to)) = (real_number(&low), real_number(&high)) else {
            return self.uniform_between(dtype, shape, low, high, at);
        };
        match uniform_bounds(dtype, from, to) {
            Ok((low, high)) => {
                self.shaped("uniform", shape, at, |b, k, s| uniform(b, k, s, format, low, high))
            }
            Err(why) => Tensor::fail("uniform", why, at),
        }
    }

    /// Samples uniformly between bounds that are tensors.
    #[track_caller]
    fn uniform_between(
        &self,
        dtype: DType,
        shape: impl IntoShape,
        low: impl Operand,
        high: impl Operand,
        at: CallSite,
    ) -> Tensor {
        let bounds = [
            Parameter::new("lower bound", Domain::Any, low),
            Parameter::new("upper bound", Domain::Any, high),
        ];
        match self.transformed("uniform", bounds, shape, at) {
            Ok((shape, [low, high])) => {
                let f = self.uniform_of(dtype, &shape, 0.0, 1.0);
                let (low, high) = (low.convert(dtype, at), high.convert(dtype, at));
                let span = &high - &low;
                // One rounding in f32, as in JAX: the product is exact in f64.
                let exact = if dtype == DType::F32 { DType::F64 } else { dtype };
                let wide = |x: &Tensor| x.convert(exact, at);
                let x = (wide(&f) * wide(&span) + wide(&low)).convert(dtype, at);
                let below = stop_gradient(&high).nextafter(stop_gradient(&low));
                x.minimum(below).maximum(low)
            }
            Err(e) => e,
        }
    }

    /// Samples from the standard normal distribution, with mean 0 and variance 1, f32. Follows
    /// `jax.random.normal`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = key(0).normal([10_000]);
    /// assert!(x.mean(..).item()?.abs() < 0.05);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn normal(&self, shape: impl IntoShape) -> Tensor {
        self.normal_of(DType::F32, shape)
    }

    /// Samples from the standard normal distribution, with mean 0 and variance 1. `dtype` is f16,
    /// bf16, f32 or f64, or c64 or c128: then real and imaginary part have variance 1/2 each.
    /// Follows `jax.random.normal`.
    ///
    /// # Errors
    ///
    /// The result carries an error for other dtypes.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(key(0).normal_of(BF16, [2]).ty()?.to_string(), "bf16[2]");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn normal_of(&self, dtype: DType, shape: impl IntoShape) -> Tensor {
        let at = Location::caller();
        if dtype.is_complex() {
            let dims = shape.dims();
            let [of_real, of_imaginary] = self.split();
            let (re, im) = (
                of_real.normal_of(dtype.real(), dims.clone()),
                of_imaginary.normal_of(dtype.real(), dims),
            );
            return re.complex(im) / SQRT_2;
        }
        match drawn_float("normal", dtype, at) {
            Ok(format) => self.shaped("normal", shape, at, |b, k, s| normal(b, k, s, format)),
            Err(e) => e,
        }
    }

    /// Samples from the standard Gumbel distribution. `dtype` is f16, bf16, f32 or f64. Follows
    /// `jax.random.gumbel`.
    ///
    /// # Errors
    ///
    /// The result carries an error for other dtypes.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(key(0).gumbel_of(F32, [2]).ty()?.to_string(), "f32[2]");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn gumbel_of(&self, dtype: DType, shape: impl IntoShape) -> Tensor {
        let at = Location::caller();
        match drawn_float("gumbel", dtype, at) {
            Ok(format) => self.shaped("gumbel", shape, at, |b, k, s| gumbel(b, k, s, format)),
            Err(e) => e,
        }
    }

    /// Samples integers uniformly from `range`, i32. Follows `jax.random.randint`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the range is empty or i32 does not hold all of it.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let dice = key(0).randint([100], 1..7);
    /// assert_eq!((dice.min(..).item()?, dice.max(..).item()?), (1.0, 6.0));
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn randint(&self, shape: impl IntoShape, range: Range<i64>) -> Tensor {
        self.randint_of(DType::I32, shape, range.start as i128..range.end as i128)
    }

    /// Samples integers uniformly from `range`. `dtype` is an integer dtype of 8 to 64 bits.
    /// Follows `jax.random.randint`.
    ///
    /// # Errors
    ///
    /// The result carries an error for other dtypes, and if the range is empty or the dtype does
    /// not hold all of it.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(key(0).randint_of(U8, [3], 7..8).to_vec::<u8>()?, [7, 7, 7]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn randint_of(&self, dtype: DType, shape: impl IntoShape, range: Range<i128>) -> Tensor {
        let at = Location::caller();
        let why = match dtype.int_range().filter(|_| dtype.bits() >= 8) {
            None => format!("expected an integer dtype of 8 to 64 bits, got {dtype}"),
            Some(_) if range.is_empty() => format!("expected a range of integers, got {range:?}"),
            Some(all) if range.start < *all.start() || range.end - 1 > *all.end() => {
                format!("expected a range within {dtype}, {all:?}, got {range:?}")
            }
            Some(_) => String::new(),
        };
        if !why.is_empty() {
            return Tensor::fail("randint", why, at);
        }
        self.shaped("randint", shape, at, |b, k, s| integers(b, k, s, dtype, range))
    }

    /// Samples bool tensors of `shape` that are true with probability `p`, a number or a tensor
    /// that broadcasts to `shape`. Follows `jax.random.bernoulli`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `p` is a number outside of 0 to 1.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let n = key(0).bernoulli(0.3, [1000]).sum(..).item()?;
    /// assert!((250.0..350.0).contains(&n));
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn bernoulli(&self, p: impl Operand, shape: impl IntoShape) -> Tensor {
        if let Some(p) = real_number(&p).filter(|p| !(0.0..=1.0).contains(p)) {
            let why = format!("expected a probability from 0 to 1, got {p:?}");
            return Tensor::fail("bernoulli", why, Location::caller());
        }
        let p = p.operand(&Tensor::scalar(DType::F32, 0.0));
        if p.error().is_some() {
            return p;
        }
        self.uniform_of(p.dtype(), shape, 0.0, 1.0).lt(p)
    }

    /// Samples a random order of the integers `0..n`, i32. Follows `jax.random.permutation`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let mut p = key(0).permutation(5).to_vec::<i32>()?;
    /// p.sort();
    /// assert_eq!(p, [0, 1, 2, 3, 4]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn permutation(&self, n: usize) -> Tensor {
        self.sample("permutation", Location::caller(), |b, k| {
            let x = b.iota(Type::new(DType::I32, [n]), 0);
            shuffled(b, k, x)
        })
    }

    /// Permutes the entries of `x` along `axis` randomly, in the same order for all other axes.
    ///
    /// Follows `jax.random.permutation`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `axis` is out of range.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = Tensor::arange(6).reshape([3, 2]);
    /// assert_eq!(key(0).shuffle(&x, 0).sum(0).to_vec::<i32>()?, [6, 9]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn shuffle(&self, x: &Tensor, axis: i64) -> Tensor {
        let at = Location::caller();
        let Ok(ty) = x.type_ref() else { return x.clone() };
        let axis = match axis_of(axis, ty.rank()) {
            Ok(a) => a,
            Err(why) => return Tensor::fail("shuffle", format!("{why}; the operand is {ty}"), at),
        };
        if ty.rank() == 1 {
            let graph = self
                .0
                .ty()
                .and_then(|k| graph_of(&[k, ty.clone()], at, |b, xs| shuffled(b, xs[0], xs[1])));
            let done = graph.and_then(|g| apply_graph(&g, vec![self.0.clone(), x.clone()], at));
            return done.map_or_else(
                |e| Tensor::error_at(e, at),
                |outs| outs.into_iter().next().unwrap_or_else(Tensor::placeholder),
            );
        }
        let order = self.permutation(ty.shape[axis]);
        let rows = x.move_axis(axis, 0);
        let mut sizes = rows.shape().to_vec();
        sizes[0] = 1;
        let gather = op::Gather {
            offset_dims: (1..sizes.len()).collect(),
            collapsed: vec![0],
            operand_batch: vec![],
            indices_batch: vec![],
            index_map: vec![0],
            sizes,
            mode: op::OutOfBounds::Clip,
        };
        dispatch(gather, [rows, order.expand_dims(1)], at).move_axis(0, axis)
    }
}

/// Returns the number if the operand is a real one.
fn real_number(x: &impl Operand) -> Option<f64> {
    match x.number()? {
        Scalar::Float(x) => Some(x),
        Scalar::Int(x) => Some(x as f64),
        Scalar::Bool(x) => Some(x.into()),
        Scalar::Complex(..) => None,
    }
}

/// Returns key `i` of a split of `key` into `n` keys.
fn nth_key(b: &mut Builder, key: Value, n: usize, i: usize) -> Value {
    let words = words_of(b, key, n);
    let row = b.slice(words, &[i, 0], &[i + 1, 2]);
    b.reshape(row, [2])
}

/// Builds a graph with inputs of `types` and the result of `build`.
pub(crate) fn graph_of(
    types: &[Type],
    at: CallSite,
    build: impl FnOnce(&mut Builder, &[Value]) -> Value,
) -> Result<Graph> {
    let mut b = Builder::new();
    b.set_origin(Place::Source(at).into());
    let xs = b.inputs(types);
    let y = build(&mut b, &xs);
    b.finish(&[y])
}

/// Returns the format of a dtype in which floats are drawn, or the error of `name` for others.
fn drawn_float(name: &str, dtype: DType, at: CallSite) -> std::result::Result<DrawnFloat, Tensor> {
    DrawnFloat::of(dtype).map_err(|why| Tensor::fail(name, why, at))
}
