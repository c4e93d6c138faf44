//! The operators of the domain `ai.onnx.ml`: encoders, and the models of scikit-learn, LightGBM and
//! XGBoost.
//!
//! The specification leaves a lot open here; where it does, results are those of ONNX Runtime, for
//! which the converters write their models. Features are computed in f32, and in f64 by trees.

pub(super) mod encoders;
pub(super) mod features;
mod forest;
mod labels;
pub(super) mod linear;
pub(super) mod maps;
mod nodes;
mod scores;
pub(super) mod svm;
pub(super) mod trees;

use crate::call::{NodeCall, RuleFailure, fail};
use neurax_tensor::{DType, Tensor};

/// The name of the domain.
const DOMAIN: &str = "ai.onnx.ml";

/// Returns input 0 as rows of features, f32: a vector is one row.
fn rows(c: &NodeCall) -> Result<Tensor, RuleFailure> {
    let x = c.x(0)?;
    match x.rank() {
        1 => Ok(x.expand_dims(0).to(DType::F32)),
        2 => Ok(x.to(DType::F32)),
        _ => fail(format!("expected rows of features, got {}", x.ty()?)),
    }
}

/// Returns numbers of an attribute as a matrix with rows of `columns` entries.
fn matrix(name: &str, numbers: &[f32], rows: usize, columns: usize) -> Result<Tensor, RuleFailure> {
    match rows.checked_mul(columns) == Some(numbers.len()) {
        true => Ok(Tensor::from_slice(numbers, [rows, columns])),
        false => fail(format!("expected {rows} x {columns} `{name}`, got {}", numbers.len())),
    }
}
