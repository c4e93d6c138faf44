//! [`TraceKey`]: the types and static values by which a trace is found.

use crate::{
    Tensor, Type,
    transform::named_axes,
    tree::{AnyTree, Fixed, visit_leaves, walk},
};
use rustc_hash::FxHasher;
use std::hash::{Hash, Hasher};

/// The key of a trace: the types and static values of the argument, and the axes that are named
/// around the call, as the function may read their sizes.
pub(crate) struct TraceKey {
    types: Vec<Type>,
    pub(super) fixed: Vec<Box<dyn Fixed>>,
    axes: Vec<(&'static str, usize)>,
}

impl TraceKey {
    /// Creates the key of an argument.
    pub fn of(a: &dyn AnyTree) -> TraceKey {
        let (mut types, mut fixed) = (vec![], vec![]);
        walk(a, &mut |t| types.extend(t.ty()), &mut |x| fixed.push(x.boxed()));
        TraceKey { types, fixed, axes: named_axes() }
    }

    /// Returns the hash of the types of an argument. Static values are compared, not hashed.
    pub fn hash_of(a: &dyn AnyTree) -> u64 {
        let mut h = FxHasher::default();
        visit_leaves(a, false, &mut |_, t| t.type_ref().ok().hash(&mut h));
        h.finish()
    }

    /// Returns true if `a` has the types, static values and number of leaves of the key, and the
    /// same axes are named.
    pub fn matches(&self, a: &dyn AnyTree) -> bool {
        self.axes == named_axes() && self.matches_argument(a)
    }

    /// Returns true if `a` has the types, static values and number of leaves of the key.
    pub fn matches_argument(&self, a: &dyn AnyTree) -> bool {
        self.matches_with(a, &mut |x, ty| x.type_ref().is_ok_and(|t| t == ty))
    }

    /// Returns true if `a` has the static values and number of leaves of the key, and `matches` is
    /// true for each leaf and the type of the key.
    pub fn matches_with<'t>(
        &self,
        a: &'t dyn AnyTree,
        matches: &mut dyn FnMut(&'t Tensor, &Type) -> bool,
    ) -> bool {
        let (mut types, mut fixed, mut statics) = (self.types.iter(), self.fixed.iter(), true);
        let mut leaves = true;
        walk(
            a,
            &mut |x| leaves = leaves && types.next().is_some_and(|ty| matches(x, ty)),
            &mut |x| statics &= fixed.next().is_some_and(|y| (**y).same(x.any())),
        );
        leaves && statics && types.next().is_none() && fixed.next().is_none()
    }

    /// Returns the types of the leaves.
    pub fn types(&self) -> &[Type] {
        &self.types
    }
}
