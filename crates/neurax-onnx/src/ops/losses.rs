//! Losses of class indices: `NegativeLogLikelihoodLoss`, `SoftmaxCrossEntropyLoss`.
//!
//! Classes are axis 1 of the input: labels of `[n, c, d ..]` are `[n, d ..]`.

use super::normalization::wide;
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{Operator, op};
use crate::value::OnnxValue;
use neurax_tensor::{DType, Tensor};

pub(crate) const OPERATORS: &[Operator] = &[
    op("NegativeLogLikelihoodLoss", &[12, 13, 22], 2..=3, negative_log_likelihood)
        .attributes(&["ignore_index", "reduction"]),
    op("SoftmaxCrossEntropyLoss", &[12, 13], 2..=3, softmax_cross_entropy)
        .attributes(&["ignore_index", "reduction"]),
];

fn negative_log_likelihood(c: &NodeCall) -> RuleOutcome {
    let x = c.x(0)?;
    one(loss(c, &x.to(wide(&x)))?.to(x.dtype()))
}

/// Computes the loss of the logarithms of a softmax, and returns these, too.
fn softmax_cross_entropy(c: &NodeCall) -> RuleOutcome {
    let x = c.x(0)?;
    check_classes(&x)?;
    let log_p = x.to(wide(&x)).log_softmax(1);
    let loss = loss(c, &log_p)?;
    Ok([loss, log_p].map(|y| OnnxValue::Tensor(y.to(x.dtype()))).to_vec())
}

fn check_classes(x: &Tensor) -> Result<(), RuleFailure> {
    match x.rank() >= 2 && x.dtype().is_float() {
        true => Ok(()),
        false => fail(format!("expected floats [n, classes, ..], got {}", x.ty()?)),
    }
}

/// Returns the loss of the logarithms of probabilities, reduced as `reduction` says.
fn loss(c: &NodeCall, log_p: &Tensor) -> Result<Tensor, RuleFailure> {
    check_classes(log_p)?;
    let labels = c.x(1)?;
    let of_labels = [&log_p.shape()[..1], &log_p.shape()[2..]].concat();
    if !labels.dtype().is_int() || labels.shape() != of_labels {
        return fail(format!("expected integers {of_labels:?} as labels, got {}", labels.ty()?));
    }
    let weights = sample_weights(c, log_p, &labels)?;
    let picked = log_p.take_along_axis(&labels.expand_dims(1), 1).squeeze(1).negative();
    let losses = match &weights {
        // An ignored label may be out of range, where the number that is read may be infinite.
        Some(w) => w.equal(0.0).select(0.0, picked * w),
        None => picked,
    };
    match (c.str_or("reduction", "mean")?.as_str(), weights) {
        ("none", _) => Ok(losses),
        ("sum", _) => Ok(losses.sum(..)),
        ("mean", None) => Ok(losses.mean(..)),
        ("mean", Some(w)) => Ok(losses.sum(..) / w.sum(..)),
        (other, _) => fail(format!("expected the reduction none, sum or mean, got `{other}`")),
    }
}

/// Returns the weight of each label: that of its class, 0 if it is ignored; `None` if all are 1.
fn sample_weights(
    c: &NodeCall,
    log_p: &Tensor,
    labels: &Tensor,
) -> Result<Option<Tensor>, RuleFailure> {
    let weights = match c.maybe(2)? {
        Some(w) if w.shape() == [log_p.dim(1)] => Some(w.to(log_p.dtype()).take(labels, 0)),
        Some(w) => {
            return fail(format!("expected weights of {} classes, got {}", log_p.dim(1), w.ty()?));
        }
        None => None,
    };
    let Some(ignored) = c.int("ignore_index")? else { return Ok(weights) };
    let is_used = labels.to(DType::I64).not_equal(ignored);
    Ok(Some(match weights {
        Some(w) => is_used.select(w, 0.0),
        None => is_used.to(log_p.dtype()),
    }))
}
