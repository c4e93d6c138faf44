//! A custom layer is a function with access to state and mode.

use neurax::prelude::*;

/// Multiplies each feature by a parameter.
pub fn rescale(x: Node) -> Node {
    nn::layer("rescale", [x], |cx, [x]| {
        let scale = cx.param("scale", x.dim(-1), init::ones());
        x * scale
    })
}

/// Subtracts a running mean, which training updates.
pub fn center(x: Node) -> Node {
    nn::layer("center", [x], |cx, [x]| {
        let mean = cx.state("mean", x.dim(-1), init::zeros());
        if !cx.training() {
            return x - mean;
        }
        let now = x.mean(0);
        cx.set("mean", &mean * 0.9 + &now * 0.1);
        x - now
    })
}

/// Creates a model of two custom layers between those of the library. A layer with options is a
/// builder.
pub fn model() -> Node {
    nn::input("x", dims![_, 4])
        .dense(3)
        .then(center)
        .then(rescale)
        .relu()
        .dropout(0.1)
        .layer(Dense::new(1).bias(false))
        .named("head")
}

/// Runs the example.
pub fn main() -> Result<()> {
    let model = model();
    let vars = model.init(key(0), &types![f32[_, 4]])?;
    println!("{}", model.summary());

    let out = model.apply(&vars, Tensor::ones([2, 4]), &Mode::Train(key(1)));
    println!("the new mean: {}", out.state["center"]["mean"]);

    let wrong = model.apply(&vars, Tensor::ones([2, 5]), &Mode::Eval);
    if let Some(e) = wrong.y().error() {
        println!("{e}"); // model: input `x`: expected shape [_, 4], got [2, 5], ..
    }
    Ok(())
}
