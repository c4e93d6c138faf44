//! Linear models.

use super::super::axes::size_of;
use super::labels::ClassLabels;
use super::scores::PostTransform;
use super::{DOMAIN, matrix, rows};
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{Operator, op};
use neurax_tensor::Tensor;

pub(crate) const OPERATORS: &[Operator] = &[
    op("LinearClassifier", &[1], 1..=1, classify).domain(DOMAIN).attributes(&[
        "classlabels_ints",
        "classlabels_strings",
        "coefficients",
        "intercepts",
        "multi_class",
        "post_transform",
    ]),
    op("LinearRegressor", &[1], 1..=1, regress).domain(DOMAIN).attributes(&[
        "coefficients",
        "intercepts",
        "post_transform",
        "targets",
    ]),
];

/// Returns the label of the class with the largest score, and the scores.
///
/// `multi_class` says how the model was trained: it has no part in the results.
fn classify(c: &NodeCall) -> RuleOutcome {
    let labels = ClassLabels::read(c, "classlabels_ints", "classlabels_strings")?;
    let transform = PostTransform::read(c)?;
    c.flag("multi_class", false)?;
    let x = rows(c)?;
    let scores = linear(c, &x, c.floats("intercepts")?.map(<[f32]>::len))?;
    if scores.dim(-1) == 1 {
        let is_found = scores.gt(0.0).to(neurax_tensor::DType::I32).squeeze(-1);
        let z = match labels.len() == 2 {
            true => transform.of_two(&scores, true),
            false => transform.apply(&scores),
        };
        return Ok(vec![labels.of_two().pick(&is_found)?, z.into()]);
    }
    if labels.len() != scores.dim(-1) {
        return fail(format!("expected {} labels, got {}", scores.dim(-1), labels.len()));
    }
    Ok(vec![labels.pick(&scores.argmax(-1))?, transform.apply(&scores).into()])
}

fn regress(c: &NodeCall) -> RuleOutcome {
    let targets = size_of(c.int_or("targets", 1)?)?;
    let x = rows(c)?;
    one(PostTransform::read(c)?.apply(&linear(c, &x, Some(targets))?))
}

/// Computes the scores of all targets; their number follows from the coefficients if it is not
/// given.
fn linear(c: &NodeCall, x: &Tensor, targets: Option<usize>) -> Result<Tensor, RuleFailure> {
    let coefficients = c.required("coefficients", c.floats("coefficients")?)?;
    let features = x.dim(-1);
    let targets = targets.unwrap_or(coefficients.len() / features.max(1));
    let scores = x.matmul(matrix("coefficients", coefficients, targets, features)?.t());
    match c.floats("intercepts")? {
        None | Some([]) => Ok(scores),
        Some(intercepts) => Ok(scores + matrix("intercepts", intercepts, 1, targets)?),
    }
}
