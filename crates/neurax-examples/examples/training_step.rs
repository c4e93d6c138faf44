//! A struct of parameters, a training step that updates it in place, and a file that keeps it.

use neurax::io::safetensors;
use neurax::prelude::*;

/// Parameters: what is not a tensor is marked.
#[derive(Tree, Clone, Debug)]
pub struct Linear {
    /// `f32[n, m]`.
    pub kernel: Tensor,
    /// `f32[m]`.
    pub bias: Tensor,
    /// Part of the program, not of the data.
    #[tree(static)]
    pub name: String,
}

/// One step of gradient descent; the parameters are moved in and out, so they are updated in place.
pub fn step() -> Jit<'static, (Linear, Tensor, Tensor), (Linear, Tensor)> {
    jit(|(params, x, y): (Linear, Tensor, Tensor)| {
        let (loss, grads) =
            value_and_grad_at(&params, |p| loss::mse(&(x.matmul(&p.kernel) + p.bias), &y));
        (params.zip_map(&grads, |p, g| p - g * 0.1), loss)
    })
}

/// Parameters to start from.
pub fn start() -> Linear {
    Linear { kernel: Tensor::zeros([2, 1]), bias: Tensor::zeros(1), name: "line".into() }
}

/// Examples that y = x₀ - 2 x₁ + 1 made.
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
            (params, loss) = step.run((params, batch.x, batch.y))?; // moved in, so updated in place; `try_run` gives them back on failure
        }
    }
    println!("loss {loss} after 100 steps, traced {} time", step.traces());
    println!("{}: {} + {}", params.name, params.kernel, params.bias);

    let path = std::env::temp_dir()
        .join(format!("neurax-example-line-{}.safetensors", std::process::id()));
    safetensors::save(&params, &path)?; // every tensor under its path: `kernel`, `bias`
    let loaded = safetensors::load_like(&start(), &path)?; // the structure and what is no tensor come from `start`
    println!("{}: {} + {}", loaded.name, loaded.kernel, loaded.bias);
    Ok(std::fs::remove_file(&path)?)
}
