//! The nodes of decision trees, and how the attributes of the operators list them.

use super::super::axes::size_of;
use crate::call::{NodeCall, RuleFailure, fail};
use crate::value::OnnxValue;
use std::collections::{BTreeSet, HashMap};

/// A comparison of a feature with the number of a node: true leads to the first child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum BranchMode {
    LessOrEqual,
    Less,
    GreaterOrEqual,
    Greater,
    Equal,
    NotEqual,
    /// The feature is one of several numbers.
    Member,
    Leaf,
}

/// The modes in the order of their numbers, with their names.
pub(super) const MODES: [(&str, BranchMode); 8] = [
    ("BRANCH_LEQ", BranchMode::LessOrEqual),
    ("BRANCH_LT", BranchMode::Less),
    ("BRANCH_GTE", BranchMode::GreaterOrEqual),
    ("BRANCH_GT", BranchMode::Greater),
    ("BRANCH_EQ", BranchMode::Equal),
    ("BRANCH_NEQ", BranchMode::NotEqual),
    ("BRANCH_MEMBER", BranchMode::Member),
    ("LEAF", BranchMode::Leaf),
];

/// A node.
#[derive(Clone, Debug)]
pub(super) struct TreeNode {
    pub(super) mode: BranchMode,
    pub(super) feature: i64,
    pub(super) split: f64,
    /// The numbers of [`BranchMode::Member`].
    pub(super) members: Vec<f64>,
    /// The children for true and false.
    pub(super) children: [usize; 2],
    /// True if a feature that is NaN leads to the first child.
    pub(super) is_missing_true: bool,
    /// The numbers that a leaf adds to targets.
    pub(super) weights: Vec<(usize, f64)>,
}

/// The nodes of all trees, and the positions of their roots.
pub(super) type Trees = (Vec<TreeNode>, Vec<usize>);

/// Reads the numbers of an attribute, or of the one with `_as_tensor` behind its name.
pub(super) fn numbers(c: &NodeCall, name: &str) -> Result<Option<Vec<f64>>, RuleFailure> {
    if let Some(OnnxValue::Tensor(x)) = c.tensor(&format!("{name}_as_tensor"))?
        && x.size() > 0
    {
        return Ok(Some(x.to_literal()?.to_f64s()));
    }
    Ok(c.floats(name)?
        .filter(|x| !x.is_empty())
        .map(|x| x.iter().copied().map(f64::from).collect()))
}

/// Reads the nodes of `TreeEnsembleRegressor` or `TreeEnsembleClassifier`, whose leaves have their
/// weights in attributes with the prefix `leaves`. The first node of each tree is its root.
///
/// # Errors
/// If the attributes do not fit together.
pub(super) fn read(c: &NodeCall, leaves: &str) -> Result<Trees, RuleFailure> {
    let ints = |name: &str| c.required(name, c.ints(name)?);
    let (trees, ids) = (ints("nodes_treeids")?, ints("nodes_nodeids")?);
    let count = ids.len();
    let (yes, no) = (ints("nodes_truenodeids")?, ints("nodes_falsenodeids")?);
    let features = ints("nodes_featureids")?;
    let names = c.required("nodes_modes", c.strs("nodes_modes")?)?;
    let splits = numbers(c, "nodes_values")?.unwrap_or_default();
    let missing = c.ints("nodes_missing_value_tracks_true")?.unwrap_or_default();
    let lengths = [trees.len(), yes.len(), no.len(), features.len(), names.len(), splits.len()];
    if lengths.iter().any(|&n| n != count) || !(missing.is_empty() || missing.len() == count) {
        return fail(format!("expected attributes of {count} nodes, got {lengths:?}"));
    }
    let table: HashMap<(i64, i64), usize> =
        trees.iter().copied().zip(ids.iter().copied()).zip(0..).collect();
    if table.len() != count {
        return fail("a node of a tree is listed twice");
    }
    let mut nodes = Vec::with_capacity(count);
    for i in 0..count {
        let mode = mode_of(&names[i])?;
        let child = |ids: &[i64]| table.get(&(trees[i], ids[i])).copied().unwrap_or(usize::MAX);
        nodes.push(TreeNode {
            mode,
            feature: features[i],
            split: splits[i],
            members: Vec::new(),
            children: [child(yes), child(no)],
            is_missing_true: missing.get(i).is_some_and(|&m| m != 0),
            weights: Vec::new(),
        });
    }
    add_weights(c, leaves, &table, &mut nodes)?;
    let mut seen = BTreeSet::new();
    let roots = (0..count).filter(|&i| seen.insert(trees[i])).collect();
    Ok((nodes, roots))
}

fn mode_of(name: &str) -> Result<BranchMode, RuleFailure> {
    match MODES.iter().find(|row| row.0 == name && row.1 != BranchMode::Member) {
        Some(row) => Ok(row.1),
        None => fail(format!("expected the mode of a node, got `{name}`")),
    }
}

/// Adds the weights to the leaves.
fn add_weights(
    c: &NodeCall,
    leaves: &str,
    table: &HashMap<(i64, i64), usize>,
    nodes: &mut [TreeNode],
) -> Result<(), RuleFailure> {
    let ints = |name: &str| {
        let name = format!("{leaves}_{name}");
        c.required(&name, c.ints(&name)?)
    };
    let (trees, ids, targets) = (ints("treeids")?, ints("nodeids")?, ints("ids")?);
    let weights = numbers(c, &format!("{leaves}_weights"))?.unwrap_or_default();
    let lengths = [trees.len(), ids.len(), targets.len()];
    if lengths.iter().any(|&n| n != weights.len()) {
        return fail(format!("expected {} weights of leaves, got {lengths:?}", weights.len()));
    }
    for (i, &weight) in weights.iter().enumerate() {
        match table.get(&(trees[i], ids[i])).and_then(|&node| nodes.get_mut(node)) {
            // Weights of branches are never reached.
            Some(node) if node.mode != BranchMode::Leaf => (),
            Some(node) => {
                node.weights.push((usize::try_from(targets[i]).unwrap_or(usize::MAX), weight));
            }
            None => return fail(format!("tree {} has no node {}", trees[i], ids[i])),
        }
    }
    Ok(())
}

/// Reads the nodes of `TreeEnsemble`: the branches, and behind them the leaves.
pub(super) fn read_ensemble(c: &NodeCall) -> Result<Trees, RuleFailure> {
    let ints = |name: &str| c.required(name, c.ints(name)?);
    let (yes, no) = (ints("nodes_truenodeids")?, ints("nodes_falsenodeids")?);
    let (is_yes_leaf, is_no_leaf) = (ints("nodes_trueleafs")?, ints("nodes_falseleafs")?);
    let features = ints("nodes_featureids")?;
    let (splits, modes) = (tensor(c, "nodes_splits")?, tensor(c, "nodes_modes")?);
    let missing = c.ints("nodes_missing_value_tracks_true")?.unwrap_or_default();
    let count = features.len();
    let lengths = [yes, no, is_yes_leaf, is_no_leaf].map(<[i64]>::len);
    let lengths = [&lengths[..], &[splits.len(), modes.len()]].concat();
    if lengths.iter().any(|&n| n != count) || !(missing.is_empty() || missing.len() == count) {
        return fail(format!("expected attributes of {count} nodes, got {lengths:?}"));
    }
    let mut sets = members(c)?.into_iter();
    let mut nodes = Vec::with_capacity(count);
    for i in 0..count {
        let mode = match MODES.get(modes[i] as usize) {
            Some(&(_, mode)) if mode != BranchMode::Leaf => mode,
            _ => return fail(format!("expected the mode of a node, got {}", modes[i])),
        };
        let child = |ids: &[i64], is_leaf: &[i64]| {
            let first = if is_leaf[i] != 0 { count } else { 0 };
            usize::try_from(ids[i]).map_or(usize::MAX, |id| id.saturating_add(first))
        };
        let members = match mode {
            BranchMode::Member => c.required("membership_values", sets.next())?,
            _ => Vec::new(),
        };
        nodes.push(TreeNode {
            mode,
            feature: features[i],
            split: splits[i],
            members,
            children: [child(yes, is_yes_leaf), child(no, is_no_leaf)],
            is_missing_true: missing.get(i).is_some_and(|&m| m != 0),
            weights: Vec::new(),
        });
    }
    nodes.extend(leaves(c)?);
    let roots = ints("tree_roots")?.iter().map(|&i| size_of(i)).collect::<Result<_, _>>()?;
    Ok((nodes, roots))
}

fn leaves(c: &NodeCall) -> Result<Vec<TreeNode>, RuleFailure> {
    let targets = c.required("leaf_targetids", c.ints("leaf_targetids")?)?;
    let weights = tensor(c, "leaf_weights")?;
    if targets.len() != weights.len() {
        return fail(format!("expected {} weights, got {}", targets.len(), weights.len()));
    }
    let leaf = |(&target, weight): (&i64, f64)| TreeNode {
        mode: BranchMode::Leaf,
        feature: 0,
        split: 0.0,
        members: Vec::new(),
        children: [0; 2],
        is_missing_true: false,
        weights: vec![(usize::try_from(target).unwrap_or(usize::MAX), weight)],
    };
    Ok(targets.iter().zip(weights).map(leaf).collect())
}

/// Returns the sets of numbers of the nodes that test membership, in order: each ends at a NaN.
fn members(c: &NodeCall) -> Result<Vec<Vec<f64>>, RuleFailure> {
    if c.tensor("membership_values")?.is_none() {
        return Ok(Vec::new());
    }
    let numbers = tensor(c, "membership_values")?;
    Ok(numbers.split(|x| x.is_nan()).map(<[f64]>::to_vec).collect())
}

fn tensor(c: &NodeCall, name: &str) -> Result<Vec<f64>, RuleFailure> {
    match c.required(name, c.tensor(name)?)? {
        OnnxValue::Tensor(x) => Ok(x.to_literal()?.to_f64s()),
        other => fail(format!("expected numbers as `{name}`, got {}", other.kind())),
    }
}
