//! Ensembles of decision trees, as arrays of nodes.
//!
//! All trees are evaluated together: each row of features has a current node in every tree, and a
//! loop over the depth moves all of them to a child; a leaf is its own child. So the number of
//! steps is the depth of the deepest tree, whatever the number of rows and trees.

use super::nodes::{BranchMode, TreeNode, Trees};
use crate::call::{RuleFailure, fail};
use neurax_tensor::{DType, Index, Tensor, fori, keep};
use std::collections::BTreeSet;

/// An ensemble of trees.
#[derive(Debug)]
pub(super) struct Forest {
    pub(super) nodes: Vec<TreeNode>,
    pub(super) roots: Vec<usize>,
    depth: usize,
}

/// The combination of the trees' weights for a target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Aggregate {
    Average,
    Sum,
    Min,
    Max,
}

/// The aggregates, in the order of their numbers.
pub(super) const AGGREGATES: [(&str, Aggregate); 4] = [
    ("AVERAGE", Aggregate::Average),
    ("SUM", Aggregate::Sum),
    ("MIN", Aggregate::Min),
    ("MAX", Aggregate::Max),
];

impl Forest {
    /// Creates a forest, and checks it.
    ///
    /// # Errors
    /// If a child or target is out of range, or a node is its own descendant.
    pub(super) fn new((nodes, roots): Trees, targets: usize) -> Result<Forest, RuleFailure> {
        let out_of_range = |i: &usize| *i >= nodes.len();
        for (i, node) in nodes.iter().enumerate() {
            if node.mode != BranchMode::Leaf && node.children.iter().any(out_of_range) {
                return fail(format!(
                    "node {i} has the children {:?}, which do not exist",
                    node.children
                ));
            }
            if let Some((target, _)) = node.weights.iter().find(|(target, _)| *target >= targets) {
                return fail(format!("a leaf has the target {target} of {targets}"));
            }
        }
        if roots.is_empty() || roots.iter().any(out_of_range) || nodes.len() > i32::MAX as usize {
            return fail(format!("expected roots of {} nodes, got {roots:?}", nodes.len()));
        }
        let depth = depth(&nodes, &roots)?;
        Ok(Forest { nodes, roots, depth })
    }

    /// Returns the scores of all targets for rows of features, `[rows, targets]`, and which targets
    /// have weights in a leaf that a row reached.
    ///
    /// # Errors
    /// If a node compares a feature that the rows do not have.
    pub(super) fn scores(
        &self,
        x: &Tensor,
        targets: usize,
        how: Aggregate,
    ) -> Result<(Tensor, Tensor), RuleFailure> {
        let features = x.dim(-1) as i64;
        let mut branches = self.nodes.iter().filter(|node| node.mode != BranchMode::Leaf);
        if let Some(node) = branches.find(|node| !(0..features).contains(&node.feature)) {
            return fail(format!("a tree compares feature {} of {features}", node.feature));
        }
        let leaves = self.leaves(x);
        let (weights, places) = self.tables(x.dtype(), targets);
        let rows = x.dim(0);
        let flat = |table: Tensor| {
            let each = table.dim(1);
            table.take(&leaves, 0).reshape([rows, self.roots.len() * each])
        };
        let (weights, places) = (flat(weights), flat(places));
        let index = || {
            let rows = Tensor::arange(rows).expand_dims(1);
            vec![Index::Tensor(rows), Index::Tensor(places.clone())]
        };
        // Places for leaves with fewer weights than others are out of range, and so are dropped.
        let zeros = Tensor::zeros_of(x.dtype(), [rows, targets]);
        let is_set = Tensor::zeros_of(DType::Bool, [rows, targets]).at(index()).set(true);
        let sum = || zeros.at(index()).add(&weights);
        let limit = |limit: f64| Tensor::full_of(x.dtype(), [rows, targets], limit);
        let scores = match how {
            Aggregate::Sum if targets == 1 => weights.sum(keep(1)),
            Aggregate::Sum => sum(),
            Aggregate::Average => sum() / self.roots.len() as f64,
            Aggregate::Min => is_set.select(limit(f64::INFINITY).at(index()).min(&weights), &zeros),
            Aggregate::Max => {
                is_set.select(limit(f64::NEG_INFINITY).at(index()).max(&weights), &zeros)
            }
        };
        Ok((scores, is_set))
    }

    /// Returns the leaf that each row reaches in each tree, `[rows, trees]`.
    fn leaves(&self, x: &Tensor) -> Tensor {
        let ints = |f: &dyn Fn(&TreeNode) -> i32| {
            Tensor::from_vec(self.nodes.iter().map(f).collect::<Vec<i32>>(), self.nodes.len())
        };
        let child = |side: usize| {
            let children = self.nodes.iter().enumerate().map(|(i, node)| match node.mode {
                BranchMode::Leaf => i as i32,
                _ => node.children[side] as i32,
            });
            Tensor::from_vec(children.collect::<Vec<i32>>(), self.nodes.len())
        };
        let [yes, no] = [child(0), child(1)];
        // Of leaves, no feature matters.
        let features =
            ints(&|node| if node.mode == BranchMode::Leaf { 0 } else { node.feature as i32 });
        let missing = ints(&|node| i32::from(node.is_missing_true)).to(DType::Bool);
        let tracks_missing = self.nodes.iter().any(|node| node.is_missing_true);
        let comparisons = Comparisons::new(self, x.dtype());
        let roots: Vec<i32> = self.roots.iter().map(|&i| i as i32).collect();
        let start =
            Tensor::from_vec(roots, self.roots.len()).broadcast_to([x.dim(0), self.roots.len()]);
        if self.depth == 0 {
            return start;
        }
        fori(0..self.depth as i64, start, |_, at: Tensor| {
            let feature = x.take_along_axis(&features.take(&at, 0), 1);
            let mut is_true = comparisons.holds(&feature, &at);
            if tracks_missing {
                let is_missing = missing.take(&at, 0).logical_and(feature.is_nan());
                is_true = is_true.logical_or(is_missing);
            }
            is_true.select(yes.take(&at, 0), no.take(&at, 0))
        })
    }

    /// Returns the weights of each node, and their targets, in rows of one length.
    fn tables(&self, dtype: DType, targets: usize) -> (Tensor, Tensor) {
        let each = self.nodes.iter().map(|node| node.weights.len()).max().unwrap_or(0).max(1);
        let (mut weights, mut places) = (Vec::new(), Vec::new());
        for node in &self.nodes {
            let fill = std::iter::repeat_n((targets, 0.0), each - node.weights.len());
            for (place, weight) in node.weights.iter().copied().chain(fill) {
                weights.push(weight);
                places.push(place as i32);
            }
        }
        let shape = [self.nodes.len(), each];
        (Tensor::from_vec(weights, shape).to(dtype), Tensor::from_vec(places, shape))
    }
}

/// Returns the number of branches on the longest way from a root to a leaf.
///
/// # Errors
/// If a node is its own descendant.
fn depth(nodes: &[TreeNode], roots: &[usize]) -> Result<usize, RuleFailure> {
    let mut level: BTreeSet<usize> = roots.iter().copied().collect();
    for depth in 0..=nodes.len() {
        level = level
            .into_iter()
            .filter(|&i| nodes[i].mode != BranchMode::Leaf)
            .flat_map(|i| nodes[i].children)
            .collect();
        if level.is_empty() {
            return Ok(depth);
        }
    }
    fail("a node of a tree is its own descendant")
}

/// The comparisons of the nodes of a forest.
struct Comparisons {
    splits: Tensor,
    modes: Tensor,
    /// The modes that nodes have.
    used: Vec<BranchMode>,
    /// The numbers of [`BranchMode::Member`] in rows of one length, and the row of each node.
    members: Option<(Tensor, Tensor)>,
}

impl Comparisons {
    fn new(forest: &Forest, dtype: DType) -> Comparisons {
        let nodes = &forest.nodes;
        let splits: Vec<f64> = nodes.iter().map(|node| node.split).collect();
        let modes: Vec<i32> = nodes.iter().map(|node| node.mode as i32).collect();
        let used: BTreeSet<BranchMode> = nodes.iter().map(|node| node.mode).collect();
        Comparisons {
            splits: Tensor::from_vec(splits, nodes.len()).to(dtype),
            modes: Tensor::from_vec(modes, nodes.len()),
            used: used.into_iter().filter(|&mode| mode != BranchMode::Leaf).collect(),
            members: members(nodes, dtype),
        }
    }

    /// Returns true where the comparison of the node `at` holds for a feature.
    fn holds(&self, feature: &Tensor, at: &Tensor) -> Tensor {
        let split = self.splits.take(at, 0);
        let of_mode = |mode: BranchMode| match mode {
            BranchMode::LessOrEqual => feature.le(&split),
            BranchMode::Less => feature.lt(&split),
            BranchMode::GreaterOrEqual => feature.ge(&split),
            BranchMode::Greater => feature.gt(&split),
            BranchMode::Equal => feature.equal(&split),
            BranchMode::NotEqual => feature.not_equal(&split),
            BranchMode::Member | BranchMode::Leaf => self.is_member(feature, at),
        };
        if let [mode] = self.used[..] {
            return of_mode(mode);
        }
        let mode_at = self.modes.take(at, 0);
        let holds = self.used.iter().map(|&m| of_mode(m).logical_and(mode_at.equal(m as i32)));
        holds.reduce(|x, y| x.logical_or(y)).unwrap_or_else(|| feature.is_nan())
    }

    fn is_member(&self, feature: &Tensor, at: &Tensor) -> Tensor {
        match &self.members {
            Some((members, rows)) => {
                members.take(rows.take(at, 0), 0).equal(feature.expand_dims(-1)).any(-1)
            }
            None => feature.not_equal(feature).logical_and(feature.equal(feature)),
        }
    }
}

fn members(nodes: &[TreeNode], dtype: DType) -> Option<(Tensor, Tensor)> {
    let sets: Vec<&Vec<f64>> = nodes
        .iter()
        .filter(|node| node.mode == BranchMode::Member)
        .map(|node| &node.members)
        .collect();
    let longest = sets.iter().map(|set| set.len()).max()?.max(1);
    // NaN equals no feature.
    let row = |set: &&Vec<f64>| {
        let fill = std::iter::repeat_n(f64::NAN, longest - set.len());
        set.iter().copied().chain(fill).collect::<Vec<f64>>()
    };
    let numbers: Vec<f64> = sets.iter().flat_map(row).collect();
    let mut rows = Vec::with_capacity(nodes.len());
    let mut next = 0i32;
    for node in nodes {
        rows.push(if node.mode == BranchMode::Member { next } else { 0 });
        next += i32::from(node.mode == BranchMode::Member);
    }
    let numbers = Tensor::from_vec(numbers, [sets.len(), longest]).to(dtype);
    Some((numbers, Tensor::from_vec(rows, nodes.len())))
}

/// Returns the targets that have weights.
pub(super) fn targets(forest: &Forest) -> Vec<usize> {
    let weights = forest.nodes.iter().flat_map(|node| &node.weights);
    let targets: BTreeSet<usize> = weights.map(|&(target, _)| target).collect();
    targets.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::tensor;

    fn node(mode: BranchMode, children: [usize; 2], weights: &[(usize, f64)]) -> TreeNode {
        let (feature, split, members) = (0, 1.0, vec![2.0, 3.0]);
        TreeNode {
            mode,
            feature,
            split,
            members,
            children,
            is_missing_true: true,
            weights: weights.to_vec(),
        }
    }

    #[test]
    fn rows_reach_the_leaves_of_their_comparisons() {
        let leaves = || {
            [
                node(BranchMode::Leaf, [0; 2], &[(0, 5.0)]),
                node(BranchMode::Leaf, [0; 2], &[(1, 7.0)]),
            ]
        };
        let x = tensor([[0.0], [1.0], [2.0], [f32::NAN]]);
        for (mode, is_true) in [
            (BranchMode::LessOrEqual, [true, true, false, true]),
            (BranchMode::Less, [true, false, false, true]),
            (BranchMode::GreaterOrEqual, [false, true, true, true]),
            (BranchMode::Greater, [false, false, true, true]),
            (BranchMode::Equal, [false, true, false, true]),
            (BranchMode::NotEqual, [true, false, true, true]),
            (BranchMode::Member, [false, false, true, true]),
        ] {
            let nodes = [vec![node(mode, [1, 2], &[])], leaves().to_vec()].concat();
            let forest = Forest::new((nodes, vec![0]), 2).unwrap();
            let (scores, is_set) = forest.scores(&x, 2, Aggregate::Sum).unwrap();
            let want: Vec<f32> =
                is_true.iter().flat_map(|&t| if t { [5.0, 0.0] } else { [0.0, 7.0] }).collect();
            assert_eq!(scores.to_vec::<f32>().unwrap(), want, "{mode:?}");
            assert_eq!(
                is_set.to_vec::<bool>().unwrap()[..2],
                [is_true[0], !is_true[0]],
                "{mode:?}"
            );
        }
    }

    #[test]
    fn damaged_trees_are_errors() {
        let leaf = |target| node(BranchMode::Leaf, [0; 2], &[(target, 1.0)]);
        let forest = |nodes: Vec<TreeNode>, roots: Vec<usize>| Forest::new((nodes, roots), 1);
        assert!(
            forest(vec![node(BranchMode::Less, [1, 0], &[]), leaf(0)], vec![0]).is_err(),
            "a cycle"
        );
        assert!(
            forest(vec![node(BranchMode::Less, [1, 2], &[]), leaf(0)], vec![0]).is_err(),
            "a child"
        );
        assert!(forest(vec![leaf(1)], vec![0]).is_err(), "a target");
        assert!(forest(vec![leaf(0)], vec![1]).is_err(), "a root");
        let one = forest(vec![node(BranchMode::Less, [1, 1], &[]), leaf(0)], vec![0]).unwrap();
        assert!(one.scores(&Tensor::zeros([3, 0]), 1, Aggregate::Sum).is_err(), "a feature");
    }
}
