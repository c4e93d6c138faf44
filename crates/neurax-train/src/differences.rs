//! Differences between the tensors that a training expects and those of a saved state.

use crate::tuning::MAX_LISTED_DIFFERENCES;
use neurax_nn::Vars;
use neurax_tensor::{Result, Tensor, Tree, Type};
use std::collections::BTreeMap;

/// Returns the types of a tree's leaves by path.
///
/// # Errors
/// The error that a leaf carries.
pub(crate) fn types(tree: &impl Tree) -> Result<BTreeMap<String, Type>> {
    tree.leaves().into_iter().map(|(path, t): (String, &Tensor)| Ok((path, t.ty()?))).collect()
}

/// Returns the types of variables by path, with frozen parameters among the others.
///
/// # Errors
/// The error that a variable carries.
pub(crate) fn types_of_vars(vars: &Vars) -> Result<BTreeMap<String, Type>> {
    let mut all = vars.clone();
    if !all.frozen().is_empty() {
        all.unfreeze("**")?;
    }
    types(&all)
}

/// Returns a line for each difference between expected types and those of a saved state, or an
/// empty list if they are equal.
pub(crate) fn differences(
    want: &BTreeMap<String, Type>,
    got: &BTreeMap<String, Type>,
) -> Vec<String> {
    let mut lines = vec![];
    for (path, ty) in want {
        match got.get(path) {
            Some(found) if found == ty => {}
            Some(found) => lines.push(format!("expected `{path}` to be {ty}, got {found}")),
            None => lines.push(format!("expected `{path}` of {ty}, got none")),
        }
    }
    let unknown = got.iter().filter(|(path, _)| !want.contains_key(*path));
    lines.extend(unknown.map(|(path, ty)| format!("expected no `{path}`, got one of {ty}")));
    shortened(lines)
}

/// Returns the first lines, and the number of the others.
pub(crate) fn shortened(mut lines: Vec<String>) -> Vec<String> {
    let rest = lines.len().saturating_sub(MAX_LISTED_DIFFERENCES);
    if rest > 0 {
        lines.truncate(MAX_LISTED_DIFFERENCES);
        lines.push(format!("and {rest} more"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::DType;

    #[test]
    fn differences_are_missing_unknown_and_other_types() {
        let ty = |n: usize| Type::new(DType::F32, [n]);
        let map = |rows: &[(&str, usize)]| -> BTreeMap<String, Type> {
            rows.iter().map(|(name, n)| (name.to_string(), ty(*n))).collect()
        };
        let found = differences(
            &map(&[("a", 1), ("b", 2), ("c", 3)]),
            &map(&[("b", 2), ("c", 4), ("d", 5)]),
        );
        assert_eq!(
            found,
            [
                "expected `a` of f32[1], got none",
                "expected `c` to be f32[3], got f32[4]",
                "expected no `d`, got one of f32[5]"
            ]
        );
        let names: Vec<String> = (0..10).map(|i| format!("x{i}")).collect();
        let many: Vec<(&str, usize)> = names.iter().map(|n| (n.as_str(), 1)).collect();
        let found = differences(&map(&many), &map(&[]));
        assert_eq!((found.len(), found[8].as_str()), (9, "and 2 more"));
    }
}
