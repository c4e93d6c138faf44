//! [`TreeStructure`]: everything of a tree but its tensors, to compare trees by.

use super::any::{paths, walk_paths};
use super::{AnyTree, Fixed, Tree};

/// The paths of the leaves of a tree, and its static values.
pub struct TreeStructure {
    paths: Vec<String>,
    fixed: Vec<(String, Box<dyn Fixed>)>,
}

/// The first difference of a tree from a [`TreeStructure`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeDifference {
    /// The tree has leaves at other paths, which are these.
    Paths(Vec<String>),
    /// The static value at this path is another one, or one of the trees lacks it.
    Static(String),
}

impl TreeStructure {
    /// Returns the structure of a tree.
    ///
    /// ```
    /// use neurax::{prelude::*, tree::TreeStructure};
    /// let pair = TreeStructure::of(&(tensor(1.0), vec![tensor(2)]));
    /// assert_eq!(pair.paths(), ["0", "1.0"]);
    /// assert_eq!(pair.difference(&(tensor([3, 4]), vec![tensor(5.0)])), None);
    /// ```
    pub fn of(tree: &impl Tree) -> TreeStructure {
        let (mut paths, mut fixed) = (vec![], vec![]);
        let leaf = &mut |path: &str| paths.push(path.to_string());
        walk_paths(tree, leaf, &mut |path, x| fixed.push((path.to_string(), x.boxed())));
        TreeStructure { paths, fixed }
    }

    /// Returns the paths of the leaves, in order.
    ///
    /// ```
    /// use neurax::{prelude::*, tree::TreeStructure};
    /// assert_eq!(TreeStructure::of(&tensor(1.0)).paths(), [""]);
    /// ```
    pub fn paths(&self) -> &[String] {
        &self.paths
    }

    /// Returns the first difference of a tree from this structure; `None` if there is none. Tensors
    /// are not compared.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::tree::{TreeDifference, TreeStructure};
    /// let scaled = |name| (tensor(1.0), Static(name));
    /// let first = TreeStructure::of(&scaled("a"));
    /// assert_eq!(first.difference(&scaled("a")), None);
    /// let different = TreeDifference::Static("1.static".into());
    /// assert_eq!(first.difference(&scaled("b")), Some(different));
    /// ```
    pub fn difference(&self, tree: &impl Tree) -> Option<TreeDifference> {
        self.difference_of(tree)
    }

    fn difference_of(&self, tree: &dyn AnyTree) -> Option<TreeDifference> {
        let (mut known_paths, mut known) = (self.paths.iter(), self.fixed.iter());
        let (mut same_paths, mut different) = (true, None);
        walk_paths(
            tree,
            &mut |path| same_paths &= known_paths.next().is_some_and(|known| known == path),
            &mut |path, x| {
                let is_same = known.next().is_some_and(|(_, known)| (**known).same(x.any()));
                if !is_same && different.is_none() {
                    different = Some(path.to_string());
                }
            },
        );
        if !same_paths || known_paths.next().is_some() {
            return Some(TreeDifference::Paths(paths(tree)));
        }
        let missing = known.next().map(|(path, _)| path.clone());
        different.or(missing).map(TreeDifference::Static)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Static, Tensor, prelude::tensor};

    fn static_at(path: &str) -> Option<TreeDifference> {
        Some(TreeDifference::Static(path.into()))
    }

    #[test]
    fn static_values_of_every_depth_are_compared() {
        let tree = |a: u8, b: &'static str| vec![(Static(a), tensor(1.0), Some(Static(b)))];
        let first = TreeStructure::of(&tree(1, "x"));
        assert_eq!(first.paths(), ["0.1"]);
        assert_eq!(first.difference(&tree(1, "x")), None);
        assert_eq!(first.difference(&tree(2, "y")), static_at("0.0.static"));
        assert_eq!(first.difference(&tree(1, "y")), static_at("0.2.static"));
    }

    #[test]
    fn paths_come_before_static_values() {
        let tree = |n: usize| vec![tensor(1.0); n];
        let paths = |n: usize| Some(TreeDifference::Paths((0..n).map(|i| i.to_string()).collect()));
        let two = TreeStructure::of(&tree(2));
        assert_eq!(two.difference(&tree(2)), None);
        assert_eq!(two.difference(&tree(1)), paths(1));
        assert_eq!(two.difference(&tree(3)), paths(3));
    }

    #[test]
    fn structures_without_leaves_differ() {
        let some = |x: Option<Static<u8>>| (tensor(1.0), x);
        let none = TreeStructure::of(&some(None));
        assert_eq!(none.difference(&some(Some(Static(1)))), static_at("1.some"));
        assert_eq!(
            TreeStructure::of(&some(Some(Static(1)))).difference(&some(None)),
            static_at("1.some")
        );
        let empty: Vec<Vec<Tensor>> = vec![vec![]];
        assert_eq!(TreeStructure::of(&empty).difference(&Vec::<Tensor>::new()), static_at("len"));
    }
}
