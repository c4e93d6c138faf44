//! `Gradient`: the derivatives of a value of the graph with respect to others.
//!
//! The node names values of the graph that it is in. The nodes between them are evaluated again as
//! a function, which is differentiated.

use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail};
use crate::operator::{Operator, op};
use crate::value::OnnxValue;
use neurax_ir::Error;
use neurax_tensor::{Tensor, grad};

pub(crate) const OPERATORS: &[Operator] = &[op("Gradient", &[1], 1..=usize::MAX, gradient)
    .attributes(&["xs", "zs", "y"])
    .domain("ai.onnx.preview.training")];

/// Computes the derivatives of the sum of `y` by each of `xs`, at the values of the inputs: those
/// of `xs`, then those of `zs`, on which `y` depends as well.
fn gradient(c: &NodeCall) -> RuleOutcome {
    let y = c.required("y", c.str("y")?)?;
    let xs = c.required("xs", c.strs("xs")?)?;
    let zs = c.strs("zs")?.unwrap_or_default();
    let inputs = c.xs()?;
    if inputs.len() != xs.len() + zs.len() {
        let want = xs.len() + zs.len();
        return fail(format!("expected {want} inputs, one for each of `xs` and `zs`"));
    }
    let (at, others) = inputs.split_at(xs.len());
    let names: Vec<&str> = xs.iter().chain(&zs).map(String::as_str).collect();
    let f = |at: Vec<Tensor>| {
        let values = [at.clone(), others.to_vec()].concat();
        let value = c.value_of(&y, &names, values.into_iter().map(OnnxValue::Tensor).collect());
        match value {
            Ok(OnnxValue::Tensor(y)) => y.sum(..),
            Ok(other) => Tensor::from_error(Error::new("onnx", format!("`y` is {}", other.kind()))),
            Err(RuleFailure::Error(e)) => Tensor::from_error(e),
            Err(_) => {
                Tensor::from_error(Error::new("onnx", "`y` has a shape that depends on data"))
            }
        }
    };
    let gradients = grad(f).run(at.to_vec())?;
    Ok(gradients.into_iter().map(OnnxValue::Tensor).collect())
}
