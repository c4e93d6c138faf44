//! Bodies of branches and loops that are traced: their values, and their failures.
//!
//! A closure that is traced returns tensors and no error. A failure in it is kept in a [`Caught`],
//! and the closure returns placeholders.

use crate::call::{NodeCall, RuleFailure, RuleOutcome};
use crate::value::OnnxValue;
use neurax_ir::Error;
use neurax_tensor::Tensor;
use std::cell::RefCell;

/// A failure inside of a closure that is traced, whose results are then errors.
#[derive(Default)]
pub(super) struct Caught(RefCell<Option<RuleFailure>>);

impl Caught {
    /// Returns the tensors of an outcome; on a failure, keeps it and returns `placeholder`.
    pub(super) fn tensors(&self, outcome: RuleOutcome, placeholder: &[Tensor]) -> Vec<Tensor> {
        outcome.and_then(tensors).unwrap_or_else(|f| {
            self.keep(f);
            placeholder.to_vec()
        })
    }

    /// Keeps a failure, and returns errors in place of the values that a loop carries, with which
    /// it does not run.
    pub(super) fn errors(&self, f: RuleFailure, carry: &[Tensor]) -> Vec<Tensor> {
        self.keep(f);
        let e = Error::new("onnx", "the body of a loop has no results");
        carry.iter().map(|_| Tensor::from_error(e.clone())).collect()
    }

    fn keep(&self, f: RuleFailure) {
        self.0.borrow_mut().get_or_insert(f);
    }

    /// Returns the failure, or the error of the first tensor that carries one.
    pub(super) fn check(self, ys: &[Tensor]) -> Result<(), RuleFailure> {
        match (self.0.into_inner(), ys.iter().find_map(Tensor::error)) {
            (Some(f), _) => Err(f),
            (None, Some(e)) => Err(RuleFailure::Error(e.clone())),
            (None, None) => Ok(()),
        }
    }
}

/// Returns the tensors of values that leave a traced body.
///
/// # Errors
/// If one is no tensor.
pub(super) fn tensors(values: Vec<OnnxValue>) -> Result<Vec<Tensor>, RuleFailure> {
    let tensor = |x| match x {
        OnnxValue::Tensor(x) => Ok(x),
        // A value that is no tensor cannot leave a body that is traced.
        _ => Err(RuleFailure::NeedsValues),
    };
    values.into_iter().map(tensor).collect()
}

/// Returns tensors as values.
pub(super) fn values(tensors: Vec<Tensor>) -> Vec<OnnxValue> {
    tensors.into_iter().map(OnnxValue::Tensor).collect()
}

/// Checks a loop whose body was traced once for all iterations. If it failed, the iterations that
/// it took since `before` are given back.
pub(super) fn checked(
    c: &NodeCall,
    caught: Caught,
    ys: &[Tensor],
    before: u64,
) -> Result<(), RuleFailure> {
    caught.check(ys).inspect_err(|_| {
        if !c.budget().is_exceeded() {
            c.budget().give_back(before);
        }
    })
}
