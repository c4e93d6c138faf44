//! Loops and branches in the graph.

use neurax::prelude::*;

/// Returns the distance that a body falls in 100 time steps of `dt` seconds. The loop is
/// differentiable with respect to `dt`; the gradient runs it once forward and once in reverse.
pub fn fall(dt: Tensor) -> Tensor {
    let (init, steps) = ((Tensor::zeros(()), Tensor::zeros(())), Tensor::zeros(100));
    let ((height, _), _) = scan(init, steps, |(height, speed), _| {
        let speed = speed + &dt * 9.81;
        let height = height + &speed * &dt;
        ((height.clone(), speed), height)
    });
    height
}

/// Runs the example.
pub fn main() -> Result<()> {
    println!("distance {} m, derivative {}", fall(tensor(0.01)), grad(fall).run(tensor(0.01))?);

    let root = while_loop(tensor(1.0), |x| (x * x - 2.0).abs().gt(1e-5), |x| (&x + 2.0 / &x) / 2.0);
    println!("square root of 2: {root}");

    let safe = |x: Tensor| cond(&x.gt(0.0), || x.log(), || x.zeros_like());
    println!("logarithm or 0: {} {}", safe(tensor(2.0)), safe(tensor(-1.0)));

    let power = fori(0..10, tensor(1.0), |_, x| x * 2.0);
    println!("2 to the power of 10: {power}");
    Ok(())
}
