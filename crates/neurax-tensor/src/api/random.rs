//! Random numbers: counter-based (Threefry-2x32), a pure function of a key, laid out as JAX does it
//! (its partitionable form), so that the bits are the same on every backend and in JAX.
//!
//! What is made of a concrete key is computed when it is needed, and recorded as equations inside a
//! traced function.

use crate::{
    DType, Error, IntoShape, Operand, Result, Scalar, Shape, Tensor, Tree, Type,
    args::axis_of,
    emit::{apply, apply_lazily, emit},
    random_bits::{bits, block, gumbel, integers, normal, shuffled, uniform, words_of},
    shape::fixed,
    tensor::At,
    tree::Visitor,
};
use neurax_ir::{Builder, Graph, Kind, Literal, Place, Value, op};
use std::{ops::Range, panic::Location};

/// A key of random numbers: two 32-bit words. The same key always gives the same numbers: make new
/// ones with [`Key::split`] or [`Key::fold_in`].
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

/// The key of a seed, as `jax.random.PRNGKey` makes it.
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
    /// A key of its two words, a `u32[2]`; other tensors carry an error to whatever is made of it.
    pub fn from_tensor(words: Tensor) -> Key {
        Key(words)
    }

    /// Its two words, a `u32[2]`.
    pub fn tensor(&self) -> &Tensor {
        &self.0
    }

    /// What `build` makes of the key in a graph.
    fn sample(
        &self,
        name: &str,
        at: At,
        build: impl FnOnce(&mut Builder, Value) -> Value,
    ) -> Tensor {
        let graph = self.0.ty().and_then(|ty| {
            if ty != Type::new(DType::U32, [2]) {
                return Err(Error::new(name, format!("expected a key, u32[2], got {ty}")));
            }
            graph_of(&[ty], at, |b, xs| build(b, xs[0]))
        });
        match graph {
            Ok(graph) => apply_lazily(graph, vec![self.0.clone()], at),
            Err(e) => Tensor::error_at(e, at),
        }
    }

    fn shaped(
        &self,
        name: &str,
        shape: impl IntoShape,
        at: At,
        build: impl FnOnce(&mut Builder, Value, &Shape) -> Value,
    ) -> Tensor {
        match fixed(shape) {
            Ok(s) => self.sample(name, at, |b, k| build(b, k, &s)),
            Err(why) => Tensor::fail(name, why, at),
        }
    }

    /// That many new keys.
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
        std::array::from_fn(|i| Key(self.sample("split", at, |b, k| number(b, k, N, i))))
    }

    /// `n` new keys, stacked to `u32[n, 2]`: an argument for `vmap` of a function of a key.
    /// `jax.random.split(key, n)`; they are those of [`Key::split`].
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(key(0).split_n(2).tensor().to_vec::<u32>()?, [1797259609, 2579123966, 928981903, 3453687069]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn split_n(&self, n: usize) -> Key {
        Key(self.sample("split_n", Location::caller(), |b, k| words_of(b, k, n)))
    }

    /// The key for a number: a step, an epoch, a layer. `fold_in(i)` is key number `i` of a split.
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
            Ok(graph) => apply_lazily(graph, vec![self.0.clone(), data], at),
            Err(e) => Tensor::error_at(e, at),
        })
    }

    /// Random bits: unsigned integers of a dtype of 8 to 64 bits, all values equally likely.
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

    /// Uniform numbers in `[0, 1)`, f32.
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

    /// Uniform numbers in `[low, high)`, of a dtype: f16, bf16, f32 or f64.
    #[track_caller]
    pub fn uniform_of(&self, dtype: DType, shape: impl IntoShape, low: f64, high: f64) -> Tensor {
        let at = Location::caller();
        float_only("uniform", dtype, at).unwrap_or_else(|| {
            self.shaped("uniform", shape, at, |b, k, s| uniform(b, k, s, dtype, low, high))
        })
    }

    /// Normal numbers of mean 0 and variance 1, f32.
    #[track_caller]
    pub fn normal(&self, shape: impl IntoShape) -> Tensor {
        self.normal_of(DType::F32, shape)
    }

    /// Normal numbers of mean 0 and variance 1, of a dtype: f16, bf16, f32 or f64.
    #[track_caller]
    pub fn normal_of(&self, dtype: DType, shape: impl IntoShape) -> Tensor {
        let at = Location::caller();
        float_only("normal", dtype, at)
            .unwrap_or_else(|| self.shaped("normal", shape, at, |b, k, s| normal(b, k, s, dtype)))
    }

    /// Gumbel-distributed numbers, of a dtype: f16, bf16, f32 or f64.
    #[track_caller]
    pub fn gumbel_of(&self, dtype: DType, shape: impl IntoShape) -> Tensor {
        let at = Location::caller();
        float_only("gumbel", dtype, at)
            .unwrap_or_else(|| self.shaped("gumbel", shape, at, |b, k, s| gumbel(b, k, s, dtype)))
    }

    /// Integers in a range, i32. An empty range gives its start.
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

    /// Integers in a range, of an integer dtype of at least 8 bits.
    #[track_caller]
    pub fn randint_of(&self, dtype: DType, shape: impl IntoShape, range: Range<i128>) -> Tensor {
        let at = Location::caller();
        if !dtype.is_int() || dtype.bits() < 8 {
            return Tensor::fail(
                "randint",
                format!("expected an integer dtype of 8 to 64 bits, got {dtype}"),
                at,
            );
        }
        self.shaped("randint", shape, at, |b, k, s| integers(b, k, s, dtype, range))
    }

    /// True with probability `p`, which is a number or a tensor that broadcasts to the shape.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let n = key(0).bernoulli(0.3, [1000]).sum(..).item()?;
    /// assert!((250.0..350.0).contains(&n));
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn bernoulli(&self, p: impl Operand, shape: impl IntoShape) -> Tensor {
        let p = p.operand(&Tensor::scalar(DType::F32, 0.0));
        if p.error().is_some() {
            return p;
        }
        self.uniform_of(p.dtype(), shape, 0.0, 1.0).lt(p)
    }

    /// Indices along an axis of `logits`, as i32: each drawn with the probability that softmax
    /// gives it.
    #[track_caller]
    pub fn categorical(&self, logits: &Tensor, axis: i64) -> Tensor {
        match logits.type_ref() {
            Ok(t) => (self.gumbel_of(t.dtype, &t.shape) + logits).argmax(axis),
            Err(_) => logits.clone(),
        }
    }

    /// The numbers `0..n` in random order, i32.
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

    /// The entries of `x` along an axis in random order; the same order for all its rows.
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
            let done = graph.and_then(|g| apply(&g, vec![self.0.clone(), x.clone()], at));
            return done.map_or_else(
                |e| Tensor::error_at(e, at),
                |outs| outs.into_iter().next().unwrap_or_else(Tensor::hollow),
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
        emit(gather, [rows, order.expand_dims(1)], at).move_axis(0, axis)
    }
}

/// Key number `i` of a split into `n`.
fn number(b: &mut Builder, key: Value, n: usize, i: usize) -> Value {
    let words = words_of(b, key, n);
    let row = b.slice(words, &[i, 0], &[i + 1, 2]);
    b.reshape(row, [2])
}

fn graph_of(
    types: &[Type],
    at: At,
    build: impl FnOnce(&mut Builder, &[Value]) -> Value,
) -> Result<Graph> {
    let mut b = Builder::new();
    b.set_origin(Place::Source(at).into());
    let xs = b.inputs(types);
    let y = build(&mut b, &xs);
    b.finish(&[y])
}

fn float_only(name: &str, dtype: DType, at: At) -> Option<Tensor> {
    let ok = matches!(dtype, DType::F16 | DType::BF16 | DType::F32 | DType::F64);
    (!ok).then(|| {
        Tensor::fail(name, format!("expected dtype f16, bf16, f32 or f64, got {dtype}"), at)
    })
}

/// A scalar constant, exact for 64-bit integers.
pub(crate) fn constant(b: &mut Builder, dtype: DType, x: impl Into<Scalar>) -> Value {
    b.constant(x.into().literal(dtype))
}
