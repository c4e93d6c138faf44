//! The leaves of parameters: those that are trained are the floats.

use neurax_tensor::{Error, Tensor, Tree};

/// Returns the leaves that are trained: the floats.
pub(super) fn floats<'t>(leaves: impl IntoIterator<Item = &'t Tensor>) -> Vec<Tensor> {
    leaves.into_iter().filter(|t| t.dtype().is_float()).cloned().collect()
}

/// Returns `values` for the floats of `leaves`, and `other` of the other leaves.
pub(super) fn with_floats(
    leaves: &[Tensor],
    values: Vec<Tensor>,
    other: fn(&Tensor) -> Tensor,
) -> Vec<Tensor> {
    let mut values = values.into_iter();
    let missing = || Tensor::from_error(Error::bug("a parameter has no update"));
    let leaf = |t: &Tensor| match t.dtype().is_float() {
        true => values.next().unwrap_or_else(missing),
        false => other(t),
    };
    leaves.iter().map(leaf).collect()
}

/// Returns the paths of the leaves that are floats.
pub(super) fn float_paths(tree: &impl Tree) -> Vec<String> {
    let leaves = tree.leaves().into_iter();
    leaves.filter(|(_, t)| t.dtype().is_float()).map(|(path, _)| path).collect()
}

/// Returns all leaves.
pub(super) fn leaves(tree: &impl Tree) -> Vec<Tensor> {
    let mut leaves = vec![];
    tree.each_leaf(|t| leaves.push(t.clone()));
    leaves
}
