//! A struct of parameters, a training step that updates it in place, and a file to save it to.

use neurax::io::safetensors;
use neurax::prelude::*;

/// The parameters of a linear model. Fields that are not tensors are marked as static.
#[derive(Tree, Clone, Debug)]
pub struct Linear {
    /// `f32[n, m]`.
    pub kernel: Tensor,
    /// `f32[m]`.
    pub bias: Tensor,
    /// A name, which is part of the function and not of its data.
    #[tree(static)]
    pub name: String,
}

/// Returns a compiled step of gradient descent. The parameters are moved in and out, so that it
/// updates them in place.
pub fn step() -> Jit<'static, (Linear, Tensor, Tensor), (Linear, Tensor)> {
    jit(|(params, x, y): (Linear, Tensor, Tensor)| {
        let (loss, grads) =
            value_and_grad_at(&params, |p| loss::mse(&(x.matmul(&p.kernel) + p.bias), &y));
        (params.zip_map(&grads, |p, g| p - g * 0.1), loss)
    })
}

/// Returns the initial parameters.
pub fn start() -> Linear {
    Linear { kernel: Tensor::zeros([2, 1]), bias: Tensor::zeros(1), name: "line".into() }
}

/// Returns examples of y = x₀ - 2 x₁ + 1.
///
/// # Errors
/// Returns an error if the tensors do not form a data set.
pub fn line() -> Result<Dataset> {
    let x = key(0).normal([64, 2]);
    let y = x.matmul(tensor([[1.0], [-2.0]])) + 1.0;
    Dataset::new(x, y)
}

/// Runs the example.
pub fn main() -> Result<()> {
    let batches = line()?.shuffled(key(1)).batched(16);
    let (mut params, mut loss) = (start(), tensor(0.0));
    let step = step();
    for epoch in 0..25 {
        for batch in batches.epoch(epoch) {
            // `try_run` would return the moved arguments if the step failed.
            (params, loss) = step.run((params, batch.x, batch.y))?;
        }
    }
    println!("loss {loss} after 100 steps, traced {} time", step.traces());
    println!("{}: {} + {}", params.name, params.kernel, params.bias);

    let path = std::env::temp_dir()
        .join(format!("neurax-example-line-{}.safetensors", std::process::id()));
    safetensors::save(&params, &path)?; // every tensor under its path: `kernel`, `bias`
    let loaded = safetensors::load_like(&start(), &path)?; // static fields come from `start`
    println!("{}: {} + {}", loaded.name, loaded.kernel, loaded.bias);
    Ok(std::fs::remove_file(&path)?)
}
