//! A model with two named inputs and two named outputs, whose nodes are combined with functions and
//! operators, and a loss of both outputs.

use neurax::prelude::*;

/// The inputs by name.
pub type Features = std::collections::BTreeMap<String, Tensor>;

/// Creates a model that predicts the weight and the kind of a fruit, one of three kinds, from its
/// size and color.
pub fn model() -> Model {
    let (size, color) = (nn::input("size", dims![_, 2]), nn::input("color", dims![_, 3]));
    let both = nn::concat([&size.dense(8).tanh(), &color.dense(8).tanh()], -1);
    let body = (both.dense(16).relu() + both.dense(16)) * 0.5;
    Model::new([("weight", &(1.0 + body.dense(1))), ("kind", &body.dense(3).log_softmax())])
}

/// Returns `n` random fruits. The weight is the sum of the sizes, the kind is the strongest color.
///
/// # Errors
/// Returns an error if the tensors do not form a data set.
pub fn fruit(n: usize, key: Key) -> Result<Dataset<Features, (Tensor, Tensor)>> {
    let [a, b] = key.split();
    let (size, color) = (a.uniform([n, 2]), b.uniform([n, 3]));
    let targets = (size.sum(keep(-1)), color.argmax(-1));
    Dataset::new(Features::from([("size".into(), size), ("color".into(), color)]), targets)
}

/// Returns the sum of the losses of both outputs.
pub fn objective(out: &Applied, batch: &data::Batch<Features, (Tensor, Tensor)>) -> Tensor {
    let (weight, kind) = &batch.y;
    loss::mse(&out["weight"], weight)
        + loss::sparse_categorical_cross_entropy_logits(&out["kind"], kind)
}

/// Runs the example.
pub fn main() -> Result<()> {
    let model = model();
    println!("{}", model.summary());
    let fruit = fruit(512, key(0))?.split(0.75, key(1));
    let trained =
        Trainer::objective(&model, objective, optim::chain([optim::clip(1.0), optim::adam(1e-2)]))
            .measure("kind", |out, batch| metric::accuracy().measure(&out["kind"], &batch.y.1))
            .validate(&fruit.test)
            .run(&fruit.train.shuffled(key(2)).batched(64), epochs(15))?;
    println!("{}", trained.validation);

    let one = [("color", tensor([[0.1, 0.9, 0.2]])), ("size", tensor([[0.5, 0.25]]))];
    let out = trained.net().apply(one);
    println!("weight {} kind {}", out["weight"], out["kind"].argmax(-1));
    Ok(())
}
