//! Tensors, errors that travel, a gradient, a compiled function.

use neurax::prelude::*;

/// Returns the gradient of a small loss: a value that can be stored, cloned and called.
pub fn slope() -> Func<'static, Tensor, Tensor> {
    let x = tensor([[1.0, 2.0], [3.0, 4.0]]);
    // A trace takes the captured tensor as an input, without copying it.
    let loss = move |w: Tensor| w.matmul(&x).tanh().mean(..);
    grad(loss)
}

/// Runs the example.
pub fn main() -> Result<()> {
    let x = tensor([[1.0, 2.0], [3.0, 4.0]]); // bare literals are f32
    let y = ((&x * 2.0).sin() + 1.0).sum(0); // computed eagerly
    println!("{y}");
    println!("{} {} {}", x.sum(..), x.sum([0, 1]), x.sum(keep(-1)));

    let slope = slope();
    println!("{}", slope(Tensor::eye(2))); // an error would be carried by the result
    let fast = jit(&slope); // compiled once per argument type; can be called from any thread
    println!("{}", fast.run(Tensor::eye(2))?); // `run` returns a Result

    let bad = &x + &Tensor::zeros([3, 5]); // no panic and no `?`: the result carries the error
    if let Err(e) = bad.to_vec::<f32>() {
        println!("{e}"); // add: cannot broadcast f32[2, 2] with f32[3, 5], at examples/tensors.rs
    }
    Ok(())
}
