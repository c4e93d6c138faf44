//! Derivatives, batching and their compositions: each transform returns a function, which another
//! transform can take.

use neurax::prelude::*;

/// Returns the sum of the cubes of `x`.
pub fn cubes(x: Tensor) -> Tensor {
    (&x * &x * &x).sum(..)
}

/// Returns a compiled function that computes the gradient of the sum of the gradient, 6x, for each
/// row of a batch.
pub fn second() -> Jit<'static, Tensor, Tensor> {
    jit(vmap(grad(|x: Tensor| grad(cubes)(x).sum(..))))
}

/// Runs the example.
pub fn main() -> Result<()> {
    let x = tensor([1.0, 2.0]);
    println!("grad      {}", grad(cubes).run(x.clone())?);
    let (value, slope) = value_and_grad(cubes).run(x.clone())?;
    println!("both      {value} {slope}");

    let (value, tangent) = jvp(cubes, x.clone(), tensor([1.0, 0.0]));
    println!("jvp       {value} {tangent}");
    let (value, back) = vjp(cubes, x.clone());
    println!("vjp       {value} {}", back.run(tensor(1.0))?);
    let (value, forward) = linearize(cubes, x.clone());
    println!("linearize {value} {}", forward.run(tensor([0.0, 1.0]))?);

    println!("jacobian  {}", jacobian(|x: Tensor| &x * &x).run(x.clone())?);
    println!("hessian   {}", hessian(cubes).run(x.clone())?);

    let rows = tensor([[1.0, 2.0], [3.0, 4.0]]);
    println!("vmap      {}", vmap(grad(cubes)).run(rows.clone())?);
    println!("composed  {}", second().run(rows)?);
    println!("jit       {}", jit(grad(jit(cubes))).run(x.clone())?);
    println!("remat     {}", grad(checkpoint(cubes)).run(x)?);
    Ok(())
}
