//! Ensembles of decision trees: random forests, and boosted trees.

use super::super::axes::size_of;
use super::DOMAIN;
use super::forest::{AGGREGATES, Aggregate, Forest, targets};
use super::labels::ClassLabels;
use super::nodes::{numbers, read, read_ensemble};
use super::scores::PostTransform;
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{Operator, op};
use neurax_tensor::{DType, Tensor, concat};

// Converters still write the two operators that version 5 replaced; ONNX Runtime runs them.
pub(crate) const OPERATORS: &[Operator] = &[
    op("TreeEnsemble", &[5], 1..=1, ensemble).domain(DOMAIN).attributes(&[
        "aggregate_function",
        "leaf_targetids",
        "leaf_weights",
        "membership_values",
        "n_targets",
        "nodes_falseleafs",
        "nodes_falsenodeids",
        "nodes_featureids",
        "nodes_hitrates",
        "nodes_missing_value_tracks_true",
        "nodes_modes",
        "nodes_splits",
        "nodes_trueleafs",
        "nodes_truenodeids",
        "post_transform",
        "tree_roots",
    ]),
    op("TreeEnsembleClassifier", &[1, 3, 5], 1..=1, classify).domain(DOMAIN).attributes(&[
        "base_values",
        "base_values_as_tensor",
        "class_ids",
        "class_nodeids",
        "class_treeids",
        "class_weights",
        "class_weights_as_tensor",
        "classlabels_int64s",
        "classlabels_strings",
        "nodes_falsenodeids",
        "nodes_featureids",
        "nodes_hitrates",
        "nodes_hitrates_as_tensor",
        "nodes_missing_value_tracks_true",
        "nodes_modes",
        "nodes_nodeids",
        "nodes_treeids",
        "nodes_truenodeids",
        "nodes_values",
        "nodes_values_as_tensor",
        "post_transform",
    ]),
    op("TreeEnsembleRegressor", &[1, 3, 5], 1..=1, regress).domain(DOMAIN).attributes(&[
        "aggregate_function",
        "base_values",
        "base_values_as_tensor",
        "n_targets",
        "nodes_falsenodeids",
        "nodes_featureids",
        "nodes_hitrates",
        "nodes_hitrates_as_tensor",
        "nodes_missing_value_tracks_true",
        "nodes_modes",
        "nodes_nodeids",
        "nodes_treeids",
        "nodes_truenodeids",
        "nodes_values",
        "nodes_values_as_tensor",
        "post_transform",
        "target_ids",
        "target_nodeids",
        "target_treeids",
        "target_weights",
        "target_weights_as_tensor",
    ]),
];

/// Returns input 0 as rows of features: f64 if it is, else f32.
fn rows(c: &NodeCall) -> Result<Tensor, RuleFailure> {
    let x = c.x(0)?;
    let dtype = if x.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    match x.rank() {
        1 => Ok(x.expand_dims(0).to(dtype)),
        2 => Ok(x.to(dtype)),
        _ => fail(format!("expected rows of features, got {}", x.ty()?)),
    }
}

fn regress(c: &NodeCall) -> RuleOutcome {
    let targets = size_of(c.int_or("n_targets", 1)?)?;
    let name = c.str_or("aggregate_function", "SUM")?;
    let Some(&(_, how)) = AGGREGATES.iter().find(|row| row.0 == name) else {
        return fail(format!("expected an aggregate of trees, got `{name}`"));
    };
    let x = rows(c)?;
    let (mut scores, _) = Forest::new(read(c, "target")?, targets)?.scores(&x, targets, how)?;
    if let Some(base) = base(c, &x, targets)? {
        scores += base;
    }
    one(PostTransform::read(c)?.apply(&scores).to(DType::F32))
}

/// Returns the values that are added to the scores, one for each target, whether or not a row
/// reached a leaf with a weight for it.
fn base(c: &NodeCall, x: &Tensor, targets: usize) -> Result<Option<Tensor>, RuleFailure> {
    let Some(base) = numbers(c, "base_values")? else { return Ok(None) };
    match base.len() == targets {
        true => Ok(Some(Tensor::from_vec(base, targets).to(x.dtype()))),
        false => fail(format!("expected {targets} base values, got {}", base.len())),
    }
}

/// Returns the label of the class with the largest score, and the scores.
///
/// Two classes may have one score, where all weights are for one class. Where both have weights,
/// ONNX Runtime looks at the second class alone; here, the larger score decides as for more
/// classes, like in the reference implementation.
fn classify(c: &NodeCall) -> RuleOutcome {
    let labels = ClassLabels::read(c, "classlabels_int64s", "classlabels_strings")?;
    let (x, classes) = (rows(c)?, labels.len());
    let forest = Forest::new(read(c, "class")?, classes)?;
    let (scores, is_set) = forest.scores(&x, classes, Aggregate::Sum)?;
    let scored = targets(&forest);
    if classes == 1 || (classes == 2 && scored.len() == 1) {
        let class = scored.first().copied().unwrap_or(0);
        return classify_two(c, labels, &forest, &scores, class);
    }
    let transform = PostTransform::read(c)?;
    let (scores, candidates) = match base(c, &x, classes)? {
        Some(base) => (&scores + base, None),
        // A class without weights is no result.
        None => (scores, Some(is_set)),
    };
    let ranked = match candidates {
        Some(is_set) => is_set.select(&scores, f64::NEG_INFINITY),
        None => scores.clone(),
    };
    let z = transform.apply(&scores).to(DType::F32);
    Ok(vec![labels.pick(&ranked.argmax(-1))?, z.into()])
}

/// Classifies by one score, that of `class`: the second label is found if it is above 1/2 for
/// probabilities, which are weights without negative ones, and else if it is above 0.
fn classify_two(
    c: &NodeCall,
    labels: ClassLabels,
    forest: &Forest,
    scores: &Tensor,
    class: usize,
) -> RuleOutcome {
    let transform = PostTransform::read(c)?;
    let mut score = scores.slice(1, class as i64..class as i64 + 1);
    let base = numbers(c, "base_values")?.unwrap_or_default();
    if let Some(base) = base.get(class).or(base.first()) {
        score += *base;
    }
    let is_two = labels.len() == 2;
    let mut weights = forest.nodes.iter().flat_map(|node| &node.weights);
    let is_probability = is_two && weights.all(|&(_, weight)| weight >= 0.0);
    let is_found = score.gt(if is_probability { 0.5 } else { 0.0 }).squeeze(1).to(DType::I32);
    let z = match (is_two, class) {
        (false, _) => transform.apply(&score),
        (true, 0) => transform.of_two(&score, is_probability),
        // The score of the first class remains 0.
        (true, _) => transform.apply(&concat([score.zeros_like(), score], 1)),
    };
    Ok(vec![labels.of_two().pick(&is_found)?, z.to(DType::F32).into()])
}

/// Computes the scores of the targets of an ensemble, in the dtype of the features.
///
/// The transforms 1 and 2 are `SOFTMAX` and `LOGISTIC` as in the specification; ONNX Runtime 1.32
/// has them the other way around.
fn ensemble(c: &NodeCall) -> RuleOutcome {
    let dtype = c.x(0)?.dtype();
    let targets = size_of(c.int_or("n_targets", 1)?)?;
    let number = c.int_or("aggregate_function", 1)?;
    let Some(&(_, how)) = usize::try_from(number).ok().and_then(|i| AGGREGATES.get(i)) else {
        return fail(format!("expected the number of an aggregate, got {number}"));
    };
    let (scores, _) = Forest::new(read_ensemble(c)?, targets)?.scores(&rows(c)?, targets, how)?;
    one(PostTransform::read_number(c)?.apply(&scores).to(dtype))
}
