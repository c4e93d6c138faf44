//! Tensors, errors that travel, a gradient, a compiled function.

use neurax::prelude::*;

/// The slope of a small loss: a value, to be named, stored, cloned and called.
pub fn slope() -> Func<'static, Tensor, Tensor> {
    let x = tensor([[1.0, 2.0], [3.0, 4.0]]);
    let loss = move |w: Tensor| w.matmul(&x).tanh().mean(..); // the captured tensor becomes an input of the trace
    grad(loss)
}

/// Runs the example.
pub fn main() -> Result<()> {
    let x = tensor([[1.0, 2.0], [3.0, 4.0]]); // bare literals are f32; Tensor::from_vec(vec_of_f64, shape) keeps f64
    let y = ((&x * 2.0).sin() + 1.0).sum(0); // computed at once
    println!("{y}");
    println!("{} {} {}", x.sum(..), x.sum([0, 1]), x.sum(keep(-1)));

    let slope = slope();
    println!("{}", slope(Tensor::eye(2))); // errors travel in what it returns
    let fast = jit(&slope); // compiled once per type of its argument; any number of threads may run it
    println!("{}", fast.run(Tensor::eye(2))?); // `run` is the way out to Result, everywhere

    let bad = &x + &Tensor::zeros([3, 5]); // no panic, no `?` ...
    if let Err(e) = bad.to_vec::<f32>() {
        println!("{e}"); // ... add: cannot broadcast f32[2, 2] with f32[3, 5], at examples/tensors.rs
    }
    Ok(())
}
