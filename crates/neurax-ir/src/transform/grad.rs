//! Reverse-mode automatic differentiation: linearizes a graph, then transposes the linear half.
//!
//! The backward pass evaluates the gradient of a scalar at the cost of a small multiple of the
//! function itself (Griewank and Walther, "Evaluating Derivatives"; tested in
//! `neurax-testkit/tests/cost.rs`). See [`super::linearize`] and [`super::transpose`] for the two
//! steps.

use super::{linearize, transpose};
use crate::{Builder, Error, Graph, Result, Value};

/// The result of [`vjp`].
#[derive(Clone, Debug)]
pub struct Vjp {
    /// `inputs.. -> (outputs.., residuals..)`
    pub primal: Graph,
    /// `(residuals.., cotangents of the outputs marked below..) -> cotangents of the active
    /// inputs..`
    pub backward: Graph,
    /// For each output, true if it depends differentiably on an active input.
    pub outputs: Vec<bool>,
    /// The number of residuals.
    pub residuals: usize,
}

/// Returns the graph that computes the outputs and residuals, and the backward pass that reads
/// them.
///
/// # Errors
/// If an op has no derivative in reverse mode.
pub fn vjp(g: &Graph, active: &[bool]) -> Result<Vjp> {
    let l = linearize(g, active)?;
    let linear: Vec<bool> = (0..l.linear.input_types().len()).map(|i| i >= l.residuals).collect();
    let backward = transpose(&l.linear, &linear)?;
    Ok(Vjp { primal: l.primal, backward, outputs: l.outputs, residuals: l.residuals })
}

/// Returns the gradient of the first output, a real floating-point scalar, with respect to the
/// active inputs: `inputs.. -> (outputs.., gradients of the active inputs..)`.
///
/// ```
/// use neurax_ir::{Builder, DType, Literal, Type, transform};
/// let mut b = Builder::new();
/// let x = b.input(Type::scalar(DType::F32));
/// let y = b.square(x);
/// let g = transform::grad(&b.finish(&[y])?, &[true])?;
/// let out = transform::eval(&g, vec![Literal::scalar(DType::F32, 3.0)])?;
/// assert_eq!((out[0].to_f64s()[0], out[1].to_f64s()[0]), (9.0, 6.0));
/// # Ok::<(), neurax_ir::Error>(())
/// ```
///
/// # Errors
/// If the first output is not such a scalar, or an op has no derivative in reverse mode.
pub fn grad(g: &Graph, active: &[bool]) -> Result<Graph> {
    check_loss(g)?;
    let v = vjp(g, active)?;
    let mut b = Builder::new();
    let xs = b.inputs(g.input_types());
    let ys = b.inline(&v.primal, &xs);
    let (outs, residuals) = ys.split_at(g.outputs().len());
    let mut args = residuals.to_vec();
    let differentiable =
        outs.iter().zip(&v.outputs).enumerate().filter(|(_, (_, marked))| **marked);
    args.extend(
        differentiable
            .map(|(i, (&y, _))| b.full_like(y, if i == 0 { 1.0 } else { 0.0 }))
            .collect::<Vec<Value>>(),
    );
    let grads = b.inline(&v.backward, &args);
    b.finish(&[outs, &grads].concat())
}

fn check_loss(g: &Graph) -> Result<()> {
    let why = match g.outputs().first().map(|&v| g.ty(v)) {
        Some(t) if t.rank() == 0 && t.dtype.is_float() => return Ok(()),
        Some(t) => {
            format!("expected a floating-point scalar as loss, got {t}; reduce it with sum or mean")
        }
        None => "expected a loss, but the function returns nothing".into(),
    };
    Err(Error::new("grad", why))
}
