//! Trees: containers of tensors, with a path for every leaf.
//!
//! The problem: `jit`, `grad`, `vmap` and files work on lists of tensors, users on structs, tuples
//! and maps of them. The method is that of JAX's pytrees: a container can list its leaves, and a
//! container of the same structure can be made of other leaves. Unlike in JAX, nothing is
//! registered at run time: [`Tree`] is a trait, which `#[derive(Tree)]` implements.
//!
//! # Example
//!
//! The leaves of `(w, vec![a, b])` are `0: w`, `1.0: a`, `1.1: b`. `map_leaves(f)` visits them in
//! this order, and then rebuilds a tuple and a vector of two around `f(w)`, `f(a)`, `f(b)`.
//!
//! # The contract of an implementation
//!
//! - [`Tree::visit`], [`Tree::rebuild`] and [`Tree::into_leaves`] have the same leaves in the same
//!   order, and so has every call for an equal value.
//! - `rebuild` keeps the structure and the static values: only the leaves differ.
//! - No two leaves have the same path. (Keys of maps that contain dots can break this.)
//! - Every field that is not a leaf and decides what a function computes is visited as static.
//!
//! The derived implementations keep the contract. Where another one breaks it:
//!
//! - A `rebuild` that asks for more leaves than `visit` showed gets tensors that carry an error; if
//!   it asks for fewer, the last ones are dropped.
//! - Another order in `rebuild` or `into_leaves` exchanges leaves. `jit` compares types in the
//!   order of `visit`, so it would run on arguments whose types were not compared.
//! - A field that is not visited as static is not part of the key of a trace: `jit` reuses a
//!   program that was made for another value.
//! - Two leaves of one path are an error when they are saved; [`Tree::zip_map`] confuses them.

mod any;
mod impls;
mod structure;

use crate::{Error, Result, Tensor, tensor::CallSite};
pub(crate) use any::{
    AnyTree, errors, first_error, leaves, map, paths, placeholders, rebuild, to_vec, visit_leaves,
    walk,
};
pub use impls::Static;
use std::{any::Any, panic::Location};
#[doc(hidden)]
pub use structure::{TreeDifference, TreeStructure};

/// A container of tensors (a pytree, in JAX's terms): an argument or result of transforms, which
/// can be differentiated with respect to and saved. Derive it.
///
/// Tensors, tuples, `Vec`, arrays, `Option`, `Box` and string-keyed maps (in key order) of trees
/// are trees. Other values are *static*: marked `#[tree(static)]` in a struct, [`Static`] in a
/// tuple. They are part of the program: a new value needs a new trace.
///
/// ```
/// use neurax::prelude::*;
///
/// #[derive(Tree, Clone)]
/// struct Linear { kernel: Tensor, bias: Tensor, #[tree(static)] name: String }
///
/// let l = Linear { kernel: Tensor::ones([2, 1]), bias: Tensor::zeros([1]), name: "out".into() };
/// let paths: Vec<String> = l.leaves().into_iter().map(|(path, _)| path).collect();
/// assert_eq!(paths, ["kernel", "bias"]);
/// assert_eq!(l.map_leaves(|t| t * 2.0).kernel.to_vec::<f32>()?, [2.0, 2.0]);
/// # Ok::<(), Error>(())
/// ```
#[diagnostic::on_unimplemented(
    // The hint is in the message: notes are not shown for a closure that takes `&Tensor`.
    message = "`{Self}` is not a tree of tensors (a tree owns them: take `Tensor`, not `&Tensor`)",
    label = "not a tensor or a container of tensors",
    note = "derive it: #[derive(Tree)]; mark fields that are not tensors #[tree(static)]",
    note = "a plain number would be compiled in as a constant: pass `Static(n)`, or a `Tensor` if \
            it changes from call to call",
    note = "a transformed function returns tensors, not a `Result` of them: they carry the first \
            error, so that no `?` is needed in it, and `run(..)?` returns the error"
)]
pub trait Tree: Sized + Send + Sync + 'static {
    /// Visits the leaves, in order, and the static fields.
    fn visit<'t>(&'t self, v: &mut Visitor<'_, 't>);

    /// Returns the same structure with other leaves, which `next` returns in the order of `visit`.
    fn rebuild(&self, next: &mut dyn FnMut() -> Tensor) -> Self;

    /// Moves the leaves to `out`, in the order of `visit`. Ownership makes donation possible.
    fn into_leaves(self, out: &mut Vec<Tensor>);

    /// Returns a value whose leaves all carry the error, made from the type alone: the result of a
    /// function that calls itself while it is being traced. `None` if there are static parts or the
    /// type does not determine the structure.
    fn of_error(_e: &Error) -> Option<Self> {
        None
    }

    /// Calls `f` with the path and the tensor of every leaf.
    fn each<'t>(&'t self, mut f: impl FnMut(&str, &'t Tensor)) {
        any::visit_leaves(self, true, &mut |p, t| f(p, t));
    }

    /// Calls `f` with every leaf, without building paths.
    fn each_leaf<'t>(&'t self, mut f: impl FnMut(&'t Tensor)) {
        any::visit_leaves(self, false, &mut |_, t| f(t));
    }

    /// Returns the leaves with their paths, e.g. `layers.0.kernel`.
    fn leaves(&self) -> Vec<(String, &Tensor)> {
        any::leaves(self)
    }

    /// Returns the leaf at `path`, or a tensor that carries an error if there is none: for names
    /// that are data. (Indexing a map with a missing name panics, as everywhere in Rust.)
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let vars = nn::input("x", dims![_, 3]).dense(2).init(key(0), &types![f32[_, 3]])?;
    /// assert_eq!(vars.params.leaf("dense.kernel").shape(), [3, 2]);
    /// let error = vars.params.leaf("dens.kernel").item().unwrap_err().to_string();
    /// let expected = "leaf: there is no leaf `dens.kernel`; there are dense.bias, dense.kernel";
    /// assert!(error.starts_with(expected), "{error}");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    fn leaf(&self, path: &str) -> Tensor {
        any::leaf(self, path, Location::caller())
    }

    /// Returns the same structure with `f` of every leaf. (It is not called `map`, which `Option`
    /// and arrays already have.)
    fn map_leaves(&self, mut f: impl FnMut(&Tensor) -> Tensor) -> Self {
        rebuild(self, any::map(self, &mut f))
    }

    /// Returns the same structure with `leaves`; missing ones carry an error.
    fn with_leaves(&self, leaves: impl IntoIterator<Item = Tensor>) -> Self {
        let mut it = leaves.into_iter();
        self.rebuild(&mut || it.next().unwrap_or_else(Tensor::placeholder))
    }

    /// Combines two trees leaf by leaf, by path.
    ///
    /// # Errors
    /// A leaf that `other` lacks carries an error in the result. If only `other` has a leaf, every
    /// leaf of the result carries one.
    #[track_caller]
    fn zip_map(&self, other: &Self, mut f: impl FnMut(&Tensor, &Tensor) -> Tensor) -> Self {
        rebuild(self, any::zip(self, other, &mut f, Location::caller()))
    }

    /// Returns the tree, or the first error that a leaf carries. The result shares the memory of
    /// the tensors.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let pair = (tensor(1.0), tensor(2.0));
    /// let y: &Tensor = &pair.1;
    /// assert_eq!(y.ok()?.item()?, 2.0);
    /// assert!((Tensor::zeros(2) + Tensor::zeros(3), y.clone()).ok().is_err());
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// The first error that a leaf carries.
    fn ok(&self) -> Result<Self> {
        match first_error(self) {
            Some(e) => Err(e),
            None => Ok(rebuild(self, to_vec(self).into())),
        }
    }
}

/// A visitor of a tree. Implementations of [`Tree::visit`] call [`Visitor::child`] for fields that
/// are trees and [`Visitor::fixed`] for static ones.
pub struct Visitor<'v, 't> {
    /// True if paths are built.
    named: bool,
    path: String,
    leaf: &'v mut dyn FnMut(&str, &'t Tensor),
    fixed: &'v mut dyn FnMut(&str, &dyn Fixed),
}

impl<'v, 't> Visitor<'v, 't> {
    /// Visits a child under a key.
    ///
    /// ```
    /// use neurax::{prelude::*, tree::Visitor};
    /// struct Line { slope: Tensor, offset: Tensor }
    /// impl Tree for Line {
    ///     fn visit<'t>(&'t self, v: &mut Visitor<'_, 't>) {
    ///         v.child("slope", |v| self.slope.visit(v));
    ///         v.child("offset", |v| self.offset.visit(v));
    ///     }
    ///     fn rebuild(&self, next: &mut dyn FnMut() -> Tensor) -> Line {
    ///         Line { slope: next(), offset: next() }
    ///     }
    ///     fn into_leaves(self, out: &mut Vec<Tensor>) {
    ///         out.extend([self.slope, self.offset]);
    ///     }
    /// }
    /// let f = jit(|line: Line| line.map_leaves(|x| x * 2.0));
    /// let line = f.run(Line { slope: tensor(1.0), offset: tensor(3.0) })?;
    /// assert_eq!(line.leaf("offset").item()?, 6.0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn child(&mut self, key: &str, f: impl FnOnce(&mut Self)) {
        let parent = self.enter(key);
        f(self);
        self.path.truncate(parent);
    }

    /// Appends a key to the path if paths are built. Returns the length of the path before it.
    fn enter(&mut self, key: &str) -> usize {
        let parent = self.path.len();
        if self.named {
            if parent > 0 {
                self.path.push('.');
            }
            self.path.push_str(key);
        }
        parent
    }

    /// Visits the child with index `i`.
    ///
    /// ```
    /// use neurax::{prelude::*, tree::Visitor};
    /// struct Layers(Vec<Tensor>);
    /// impl Tree for Layers {
    ///     fn visit<'t>(&'t self, v: &mut Visitor<'_, 't>) {
    ///         for (i, layer) in self.0.iter().enumerate() {
    ///             v.item(i, |v| layer.visit(v));
    ///         }
    ///     }
    /// #     fn rebuild(&self, next: &mut dyn FnMut() -> Tensor) -> Layers {
    /// #         Layers(self.0.iter().map(|_| next()).collect())
    /// #     }
    /// #     fn into_leaves(self, out: &mut Vec<Tensor>) {
    /// #         out.extend(self.0);
    /// #     }
    /// }
    /// assert_eq!(Layers(vec![tensor(1.0), tensor(2.0)]).leaf("1").item()?, 2.0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn item(&mut self, i: usize, f: impl FnOnce(&mut Self)) {
        if self.named { self.child(&i.to_string(), f) } else { f(self) }
    }

    /// Visits a static value under a key.
    ///
    /// ```
    /// use neurax::{prelude::*, tree::Visitor};
    /// #[derive(Clone)]
    /// struct Power { x: Tensor, n: i64 }
    /// impl Tree for Power {
    ///     fn visit<'t>(&'t self, v: &mut Visitor<'_, 't>) {
    ///         self.x.visit(v);
    ///         v.fixed("n", &self.n);
    ///     }
    /// #     fn rebuild(&self, next: &mut dyn FnMut() -> Tensor) -> Power {
    /// #         Power { x: next(), n: self.n }
    /// #     }
    /// #     fn into_leaves(self, out: &mut Vec<Tensor>) {
    /// #         out.push(self.x);
    /// #     }
    /// }
    /// let f = jit(|p: Power| p.x.pow(p.n));
    /// assert_eq!(f.run(Power { x: tensor(3.0), n: 2 })?.item()?, 9.0);
    /// assert_eq!(f.run(Power { x: tensor(3.0), n: 3 })?.item()?, 27.0);
    /// assert_eq!(f.traces(), 2, "one for each value of `n`");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn fixed(&mut self, key: &str, x: &dyn Fixed) {
        let parent = self.enter(key);
        (self.fixed)(&self.path, x);
        self.path.truncate(parent);
    }

    /// Visits a tensor.
    ///
    /// ```
    /// use neurax::{prelude::*, tree::Visitor};
    /// struct Scale(Tensor);
    /// impl Tree for Scale {
    ///     fn visit<'t>(&'t self, v: &mut Visitor<'_, 't>) {
    ///         v.leaf(&self.0);
    ///     }
    /// #     fn rebuild(&self, next: &mut dyn FnMut() -> Tensor) -> Scale {
    /// #         Scale(next())
    /// #     }
    /// #     fn into_leaves(self, out: &mut Vec<Tensor>) {
    /// #         out.push(self.0);
    /// #     }
    /// }
    /// assert_eq!(grad(|s: Scale| s.0.square()).run(Scale(tensor(3.0)))?.0.item()?, 6.0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn leaf(&mut self, t: &'t Tensor) {
        (self.leaf)(&self.path, t);
    }
}

/// A static value: it is compared, not hashed, so that floats and user enums work.
pub trait Fixed: Any + Send + Sync {
    /// Returns true if the value is equal to `o`.
    fn same(&self, o: &dyn Any) -> bool;
    /// Returns a copy.
    fn boxed(&self) -> Box<dyn Fixed>;
    /// Returns the value for comparing.
    fn any(&self) -> &dyn Any;
}

impl<T: PartialEq + Clone + Send + Sync + 'static> Fixed for T {
    fn same(&self, o: &dyn Any) -> bool {
        o.downcast_ref::<T>() == Some(self)
    }
    fn boxed(&self) -> Box<dyn Fixed> {
        Box::new(self.clone())
    }
    fn any(&self) -> &dyn Any {
        self
    }
}

/// Returns the tree, or the first error that a leaf carries. By value, unlike [`Tree::ok`]: no copy
/// keeps the tensors alive.
///
/// # Errors
/// The first error that a leaf carries.
pub(crate) fn checked<A: Tree>(a: A) -> Result<A> {
    match first_error(&a) {
        Some(e) => Err(e),
        None => Ok(a),
    }
}

/// Returns the tree with `e` in every leaf.
pub(crate) fn all_errors<A: Tree>(a: &A, e: &Error, at: CallSite) -> A {
    rebuild(a, errors(a, e, at))
}

/// Moves the leaves to a vector.
pub(crate) fn into_vec<A: Tree>(a: A) -> Vec<Tensor> {
    let mut v = vec![];
    a.into_leaves(&mut v);
    v
}
