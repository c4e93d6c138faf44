//! Reverse mode: linearized, then transposed.

use super::{linearize, transpose};
use crate::{Builder, Error, Graph, Result, Value};

/// The answer of [`vjp`].
#[derive(Clone, Debug)]
pub struct Vjp {
    /// `inputs.. -> (outputs.., residuals..)`
    pub primal: Graph,
    /// `(residuals.., cotangents of the outputs marked below..) -> cotangents of the active
    /// inputs..`
    pub backward: Graph,
    /// Which outputs depend on the active inputs in a differentiable way.
    pub outputs: Vec<bool>,
    /// How many residuals.
    pub residuals: usize,
}

/// A graph and its backward pass at the point where it is evaluated.
///
/// # Errors
/// When an op has no derivative in reverse mode.
pub fn vjp(g: &Graph, active: &[bool]) -> Result<Vjp> {
    let l = linearize(g, active)?;
    let linear: Vec<bool> = (0..l.linear.input_types().len()).map(|i| i >= l.residuals).collect();
    let backward = transpose(&l.linear, &linear)?;
    Ok(Vjp { primal: l.primal, backward, outputs: l.outputs, residuals: l.residuals })
}

/// The gradient of a graph's first output, a real floating-point scalar, with respect to the active
/// inputs: `inputs.. -> (outputs.., gradients of the active inputs..)`.
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
/// When the first output is not such a scalar, or an op has no derivative in reverse mode.
pub fn grad(g: &Graph, active: &[bool]) -> Result<Graph> {
    let loss = g.outputs().first().map(|&v| g.ty(v));
    match loss {
        Some(t) if t.rank() == 0 && t.dtype.is_float() => {}
        Some(t) => {
            return Err(Error::new(
                "grad",
                format!(
                    "the loss must be one floating-point number, not {t}; reduce it with sum or mean"
                ),
            ));
        }
        None => return Err(Error::new("grad", "the function gives nothing; it must give a loss")),
    }
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
