//! Implementations of [`Tree`] for [`Tensor`] and types of the standard library.

use super::{Tree, Visitor};
use crate::{Error, Tensor};
use std::{
    collections::{BTreeMap, HashMap},
    hash::BuildHasher,
    ops::Deref,
};

/// The source of the leaves of [`Tree::rebuild`].
type Next<'a> = &'a mut dyn FnMut() -> Tensor;

impl Tree for Tensor {
    fn visit<'t>(&'t self, v: &mut Visitor<'_, 't>) {
        v.leaf(self);
    }
    fn rebuild(&self, next: Next) -> Self {
        next()
    }
    fn into_leaves(self, out: &mut Vec<Tensor>) {
        out.push(self);
    }
    fn of_error(e: &Error) -> Option<Self> {
        Some(Tensor::from_error(e.clone()))
    }
}

impl Tree for () {
    fn visit<'t>(&'t self, _: &mut Visitor<'_, 't>) {}
    fn rebuild(&self, _: Next) -> Self {}
    fn into_leaves(self, _: &mut Vec<Tensor>) {}
    fn of_error(_: &Error) -> Option<Self> {
        Some(())
    }
}

/// A value that is part of the program, not data: a new value needs a new trace.
///
/// ```
/// use neurax::prelude::*;
/// let power = jit(|(x, n): (Tensor, Static<usize>)| (0..*n).fold(x, |y, _| &y * &y));
/// assert_eq!(power.run((tensor(2.0), Static(3)))?.item()?, 256.0);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Static<T>(pub T);

impl<T> Deref for Static<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: PartialEq + Clone + Send + Sync + 'static> Tree for Static<T> {
    fn visit<'t>(&'t self, v: &mut Visitor<'_, 't>) {
        v.fixed("static", &self.0);
    }
    fn rebuild(&self, _: Next) -> Self {
        self.clone()
    }
    fn into_leaves(self, _: &mut Vec<Tensor>) {}
}

impl<T: Tree> Tree for Vec<T> {
    fn visit<'t>(&'t self, v: &mut Visitor<'_, 't>) {
        v.fixed("len", &self.len());
        for (i, x) in self.iter().enumerate() {
            v.item(i, |v| x.visit(v));
        }
    }
    fn rebuild(&self, next: Next) -> Self {
        self.iter().map(|x| x.rebuild(next)).collect()
    }
    fn into_leaves(self, out: &mut Vec<Tensor>) {
        self.into_iter().for_each(|x| x.into_leaves(out));
    }
    /// Returns one item: the length is not known from the type.
    fn of_error(e: &Error) -> Option<Self> {
        Some(vec![T::of_error(e)?])
    }
}

impl<T: Tree, const N: usize> Tree for [T; N] {
    fn visit<'t>(&'t self, v: &mut Visitor<'_, 't>) {
        for (i, x) in self.iter().enumerate() {
            v.item(i, |v| x.visit(v));
        }
    }
    fn rebuild(&self, next: Next) -> Self {
        self.each_ref().map(|x| x.rebuild(next))
    }
    fn into_leaves(self, out: &mut Vec<Tensor>) {
        self.into_iter().for_each(|x| x.into_leaves(out));
    }
    fn of_error(e: &Error) -> Option<Self> {
        (0..N).map(|_| T::of_error(e)).collect::<Option<Vec<T>>>()?.try_into().ok()
    }
}

impl<T: Tree> Tree for Option<T> {
    fn visit<'t>(&'t self, v: &mut Visitor<'_, 't>) {
        v.fixed("some", &self.is_some());
        if let Some(x) = self {
            x.visit(v);
        }
    }
    fn rebuild(&self, next: Next) -> Self {
        self.as_ref().map(|x| x.rebuild(next))
    }
    fn into_leaves(self, out: &mut Vec<Tensor>) {
        if let Some(x) = self {
            x.into_leaves(out);
        }
    }
    fn of_error(e: &Error) -> Option<Self> {
        T::of_error(e).map(Some)
    }
}

impl<T: Tree> Tree for Box<T> {
    fn visit<'t>(&'t self, v: &mut Visitor<'_, 't>) {
        (**self).visit(v);
    }
    fn rebuild(&self, next: Next) -> Self {
        Box::new((**self).rebuild(next))
    }
    fn into_leaves(self, out: &mut Vec<Tensor>) {
        (*self).into_leaves(out);
    }
    fn of_error(e: &Error) -> Option<Self> {
        T::of_error(e).map(Box::new)
    }
}

impl<T: Tree> Tree for BTreeMap<String, T> {
    fn visit<'t>(&'t self, v: &mut Visitor<'_, 't>) {
        v.fixed("len", &self.len());
        for (k, x) in self {
            v.fixed("key", k);
            v.child(k, |v| x.visit(v));
        }
    }
    fn rebuild(&self, next: Next) -> Self {
        self.iter().map(|(k, x)| (k.clone(), x.rebuild(next))).collect()
    }
    fn into_leaves(self, out: &mut Vec<Tensor>) {
        self.into_values().for_each(|x| x.into_leaves(out));
    }
}

/// Returns the entries in the order of their keys.
fn sorted<T, S>(map: &HashMap<String, T, S>) -> Vec<(&String, &T)> {
    let mut v: Vec<_> = map.iter().collect();
    v.sort_by_key(|(k, _)| *k);
    v
}

impl<T: Tree, S: BuildHasher + Default + Send + Sync + 'static> Tree for HashMap<String, T, S> {
    fn visit<'t>(&'t self, v: &mut Visitor<'_, 't>) {
        v.fixed("len", &self.len());
        for (k, x) in sorted(self) {
            v.fixed("key", k);
            v.child(k, |v| x.visit(v));
        }
    }
    fn rebuild(&self, next: Next) -> Self {
        sorted(self).into_iter().map(|(k, x)| (k.clone(), x.rebuild(next))).collect()
    }
    fn into_leaves(self, out: &mut Vec<Tensor>) {
        let mut v: Vec<_> = self.into_iter().collect();
        v.sort_by(|a, b| a.0.cmp(&b.0));
        v.into_iter().for_each(|(_, x)| x.into_leaves(out));
    }
}

macro_rules! tuple {
    ($($T:ident $i:tt),*) => {
        impl<$($T: Tree),*> Tree for ($($T,)*) {
            fn visit<'t>(&'t self, v: &mut Visitor<'_, 't>) {
                $(v.child(stringify!($i), |v| self.$i.visit(v));)*
            }
            fn rebuild(&self, next: Next) -> Self {
                ($(self.$i.rebuild(next),)*)
            }
            fn into_leaves(self, out: &mut Vec<Tensor>) {
                $(self.$i.into_leaves(out);)*
            }
            fn of_error(e: &Error) -> Option<Self> {
                Some(($($T::of_error(e)?,)*))
            }
        }
    };
}

tuple!(A 0);
tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
tuple!(A 0, B 1, C 2, D 3, E 4);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
