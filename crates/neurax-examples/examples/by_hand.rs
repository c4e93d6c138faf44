//! A training loop without the trainer: a jitted step of variables, optimizer state, key and batch.

use neurax::prelude::*;

/// The state that one training step hands to the next.
#[derive(Tree, Clone)]
pub struct Training {
    /// The parameters and the state of the model.
    pub vars: Vars,
    /// The state of the optimizer.
    pub opt: nn::OptState,
    /// The random key of the next step.
    pub key: Key,
}

/// Returns the initial state of a training and its compiled step.
pub fn program() -> Result<(Training, Jit<'static, (Training, data::Batch), (Training, Tensor)>)> {
    let model = nn::input("flower", dims![_, 4]).dense(16).tanh().dropout(0.1).dense(3);
    let optim = optim::adamw(0.02, 1e-4);
    let vars = model.init(key(0), &types![f32[_, 4]])?;
    let start = Training { opt: optim.init(&vars.params), vars, key: key(1) };
    let step = jit(move |(t, batch): (Training, data::Batch)| {
        let [key, now] = t.key.split();
        let ((loss, state), grads) = value_and_grad_at(&t.vars.params, |p| {
            let out = model.apply_with(&p, &t.vars.state, &batch.x, &Mode::Train(now.clone()));
            (loss::categorical_cross_entropy_logits(out.y(), &batch.y), out.state)
        });
        let (params, opt) = optim.step(&t.vars.params, &grads, t.opt);
        (Training { vars: Vars { params, state }, opt, key }, loss)
    });
    Ok((start, step))
}

/// Runs the example.
pub fn main() -> Result<()> {
    let iris = data::iris()?.split(0.8, key(2));
    let batches = iris.train.shuffled(key(3)).batched(24);
    let (mut training, step) = program()?;
    for epoch in 0..30 {
        let mut last = tensor(0.0);
        for batch in batches.epoch(epoch) {
            (training, last) = step.run((training, batch))?;
        }
        if epoch % 10 == 9 {
            println!("epoch {} loss {}", epoch + 1, last);
        }
    }
    println!("{step:?}");
    Ok(())
}
