//! Trees behind a pointer, for code that is compiled once and not for every type of tree.
//!
//! The problem: a function that is generic in the types of its trees is compiled in the crate that
//! calls it, once for each type. A program calls `jit` and `grad` with many types, so that a small
//! one took 12 CPU seconds to build, for copies of the same code. The method is that of the
//! standard library (`fs::read<P: AsRef<Path>>` calls an inner function of `&Path`): a generic
//! function converts trees to leaves and back, and everything else is in functions of [`AnyTree`],
//! lists of tensors and `&dyn Fn`. `docs/performance.md` has the measurement.

use super::{Fixed, Tree, Visitor};
use crate::{Error, Tensor, dispatch::Outs, tensor::CallSite};
use neurax_ir::Place;
use rustc_hash::FxHashMap;
use std::any::Any;

/// A [`Tree`] of unknown type. It can be read, but not rebuilt.
pub(crate) trait AnyTree: Any + Send + Sync {
    /// Calls [`Tree::visit`].
    fn visit_any<'t>(&'t self, v: &mut Visitor<'_, 't>);
}

impl<T: Tree> AnyTree for T {
    fn visit_any<'t>(&'t self, v: &mut Visitor<'_, 't>) {
        self.visit(v);
    }
}

impl dyn AnyTree {
    /// Returns the tree if it is a `T`.
    pub fn downcast<T: Tree>(&self) -> Option<&T> {
        (self as &dyn Any).downcast_ref()
    }
}

/// The source of the leaves of a tree that is rebuilt.
pub(crate) struct LeafSource(smallvec::IntoIter<[Tensor; 2]>);

impl LeafSource {
    pub fn new(leaves: Outs) -> LeafSource {
        LeafSource(leaves.into_iter())
    }

    /// Returns the next leaf; after the last one, a tensor that carries an error.
    pub fn next(&mut self) -> Tensor {
        self.0.next().unwrap_or_else(Tensor::placeholder)
    }
}

/// Returns a tree like `like` with `leaves`; missing ones carry an error.
pub(crate) fn rebuild<T: Tree>(like: &T, leaves: Outs) -> T {
    let mut leaves = LeafSource::new(leaves);
    like.rebuild(&mut || leaves.next())
}

/// Calls `leaf` with every leaf, and with its path if `named` is true.
pub(crate) fn visit_leaves<'t>(
    a: &'t dyn AnyTree,
    named: bool,
    leaf: &mut dyn FnMut(&str, &'t Tensor),
) {
    a.visit_any(&mut Visitor { named, path: String::new(), leaf, fixed: &mut |_, _| {} });
}

/// Calls `leaf` and `fixed` with the leaves and static values in order, without building paths.
pub(crate) fn walk<'t>(
    a: &'t dyn AnyTree,
    leaf: &mut dyn FnMut(&'t Tensor),
    fixed: &mut dyn FnMut(&dyn Fixed),
) {
    let leaf = &mut |_: &str, t: &'t Tensor| leaf(t);
    let fixed = &mut |_: &str, x: &dyn Fixed| fixed(x);
    a.visit_any(&mut Visitor { named: false, path: String::new(), leaf, fixed });
}

/// Calls `leaf` and `fixed` with the paths of the leaves and the static values, in order.
pub(super) fn walk_paths(
    a: &dyn AnyTree,
    leaf: &mut dyn FnMut(&str),
    fixed: &mut dyn FnMut(&str, &dyn Fixed),
) {
    let leaf = &mut |path: &str, _: &Tensor| leaf(path);
    a.visit_any(&mut Visitor { named: true, path: String::new(), leaf, fixed });
}

/// Returns the leaves with their paths.
pub(crate) fn leaves(a: &dyn AnyTree) -> Vec<(String, &Tensor)> {
    let mut v = vec![];
    visit_leaves(a, true, &mut |p, t| v.push((p.to_string(), t)));
    v
}

/// Returns the paths of the leaves.
pub(crate) fn paths(a: &dyn AnyTree) -> Vec<String> {
    let mut v = vec![];
    visit_leaves(a, true, &mut |p, _| v.push(p.to_string()));
    v
}

/// Clones the leaves to a vector.
pub(crate) fn to_vec(a: &dyn AnyTree) -> Vec<Tensor> {
    let mut v = vec![];
    visit_leaves(a, false, &mut |_, t| v.push(t.clone()));
    v
}

/// Returns `f` of every leaf.
pub(crate) fn map(a: &dyn AnyTree, f: &mut dyn FnMut(&Tensor) -> Tensor) -> Outs {
    let mut v = Outs::new();
    visit_leaves(a, false, &mut |_, t| v.push(f(t)));
    v
}

/// Returns a placeholder for every leaf.
pub(crate) fn placeholders(a: &dyn AnyTree) -> Outs {
    map(a, &mut |_| Tensor::placeholder())
}

/// Returns `e` for every leaf.
pub(crate) fn errors(a: &dyn AnyTree, e: &Error, at: CallSite) -> Outs {
    let e = e.clone().at(&Place::Source(at));
    map(a, &mut |_| Tensor::from_error(e.clone()))
}

/// Returns the first error that a leaf carries.
pub(crate) fn first_error(a: &dyn AnyTree) -> Option<Error> {
    let mut e = None;
    visit_leaves(a, false, &mut |_, t| {
        if e.is_none() {
            e = t.error().cloned();
        }
    });
    e
}

/// Returns the leaf at `path`, or a tensor that carries an error if there is none.
pub(crate) fn leaf(a: &dyn AnyTree, path: &str, at: CallSite) -> Tensor {
    let leaves = leaves(a);
    match leaves.iter().find(|(p, _)| p == path) {
        Some((_, t)) => (*t).clone(),
        None => {
            let why = format!("there is no leaf `{path}`; {}", there_are(&leaves));
            Tensor::fail("leaf", why, at)
        }
    }
}

/// Lists the leaves for an error message; of many leaves the first ones.
fn there_are(leaves: &[(String, &Tensor)]) -> String {
    const MAX_LISTED_LEAVES: usize = 12;
    let paths: Vec<&str> = leaves.iter().take(MAX_LISTED_LEAVES).map(|(p, _)| p.as_str()).collect();
    match leaves {
        [] => "there are none".into(),
        [(path, _)] if path.is_empty() => "it is one tensor, whose path is empty".into(),
        _ if leaves.len() > MAX_LISTED_LEAVES => {
            format!("there are {} and {} more", paths.join(", "), leaves.len() - MAX_LISTED_LEAVES)
        }
        _ => format!("there are {}", paths.join(", ")),
    }
}

/// Returns `f` of the leaves of `a` and those of `b` with the same path, as [`Tree::zip_map`] does.
pub(crate) fn zip(
    a: &dyn AnyTree,
    b: &dyn AnyTree,
    f: &mut dyn FnMut(&Tensor, &Tensor) -> Tensor,
    at: CallSite,
) -> Outs {
    let mut others: FxHashMap<String, (&Tensor, bool)> =
        leaves(b).into_iter().map(|(p, t)| (p, (t, false))).collect();
    let mut v = Outs::new();
    visit_leaves(a, true, &mut |p, t| {
        v.push(match others.get_mut(p) {
            Some((u, is_used)) => {
                *is_used = true;
                f(t, u)
            }
            None => Tensor::fail("zip_map", format!("the second tree has no leaf `{p}`"), at),
        });
    });
    match others.iter().filter(|(_, (_, is_used))| !is_used).map(|(p, _)| p).min() {
        Some(p) => {
            let why = format!("the first tree has no leaf `{p}`, which the second one has");
            errors(a, &Error::new("zip_map", why), at)
        }
        None => v,
    }
}
