//! `Dropout`: the identity in inference, random zeros in training.

use super::normalization::wide;
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail};
use crate::operator::{Operator, op};
use crate::value::OnnxValue;
use neurax_tensor::{DType, Key, Tensor, key};
use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) const OPERATORS: &[Operator] =
    &[op("Dropout", &[1, 6, 7, 10, 12, 13, 22], 1..=3, dropout).attributes(&[
        "consumed_inputs",
        "is_test",
        "ratio",
        "seed",
    ])];

/// Sets a fraction `ratio` of the elements to 0 and divides the others by `1 - ratio`; also returns
/// where elements are kept.
///
/// The ratio and the mode are inputs since version 12. Before version 7 the mode is an attribute;
/// the versions in between are for inference.
fn dropout(c: &NodeCall) -> RuleOutcome {
    let x = c.x(0)?;
    if c.version() < 12 {
        let ratio = c.float_or("ratio", 0.5)?;
        let is_training = c.version() < 7 && !c.flag("is_test", false)?;
        let (y, kept) = match is_training {
            true => dropped(c, &x, &Tensor::scalar(DType::F32, checked(ratio)?))?,
            false => identity(&x),
        };
        // The mask has the dtype of the elements before version 10.
        return result(y, if c.version() < 10 { kept.to(x.dtype()) } else { kept });
    }
    let ratio = match c.maybe(1)? {
        Some(ratio) if ratio.is_traced() => ratio.reshape(()).to(DType::F32),
        Some(ratio) => Tensor::scalar(DType::F32, checked(ratio.item()? as f32)?),
        None => Tensor::scalar(DType::F32, 0.5),
    };
    let (y, kept) = match c.maybe(2)? {
        None => identity(&x),
        Some(mode) if mode.is_traced() => {
            let ((y, kept), mode) = (dropped(c, &x, &ratio)?, mode.reshape(()));
            (mode.select(y, &x), mode.select(kept, true))
        }
        Some(mode) if mode.item()? != 0.0 => dropped(c, &x, &ratio)?,
        Some(_) => identity(&x),
    };
    result(y, kept)
}

fn checked(ratio: f32) -> Result<f32, RuleFailure> {
    match (0.0..1.0).contains(&ratio) {
        true => Ok(ratio),
        false => fail(format!("expected a ratio from 0 to below 1, got {ratio}")),
    }
}

fn result(y: Tensor, kept: Tensor) -> RuleOutcome {
    Ok([y, kept].map(OnnxValue::Tensor).to_vec())
}

fn identity(x: &Tensor) -> (Tensor, Tensor) {
    (x.clone(), Tensor::ones_of(DType::Bool, x.shape()))
}

/// The number of keys that nodes without a seed have drawn.
static DROPPED: AtomicU32 = AtomicU32::new(0);

/// Returns the key of the seed, or one that no other node has. A function that was compiled keeps
/// the keys of its trace.
fn key_of(c: &NodeCall) -> Result<Key, RuleFailure> {
    Ok(match c.int("seed")? {
        Some(seed) => key(seed),
        None => key(i64::MAX).fold_in(DROPPED.fetch_add(1, Ordering::Relaxed)),
    })
}

/// Drops elements at random. Returns the result and where elements are kept.
fn dropped(c: &NodeCall, x: &Tensor, ratio: &Tensor) -> Result<(Tensor, Tensor), RuleFailure> {
    let kept = key_of(c)?.bernoulli(1.0 - ratio, x.shape());
    let y = kept.select(x.to(wide(x)) / (1.0 - ratio), 0.0);
    Ok((y.to(x.dtype()), kept))
}
