//! A training whose validation losses are given.

use neurax::prelude::*;

/// Returns a trainer whose validation loss after a step is the element `index` of `scores`: the
/// prediction is a parameter, which a handler sets before the step.
pub fn trainer(scores: &'static [f64], index: fn(&State) -> usize) -> Trainer {
    let constant = nn::layer("constant", [nn::input("x", dims![_, 2])], |cx, [x]| {
        x.slice(1, ..1) * 0.0 + cx.param("value", (), init::zeros())
    });
    let set = Dataset::new(Tensor::zeros([4, 2]), Tensor::zeros([4, 1])).unwrap();
    let value = move |s: &mut State| {
        let score = scores.get(index(s)).copied().unwrap_or(f64::NAN);
        s.vars.set("constant.value", tensor(score as f32))
    };
    // The loss of a value v against 0 is |v|.
    let trainer = Trainer::new(&constant, loss::mae, optim::sgd(0.0)).quiet();
    trainer.validate(&set).on(Event::BatchStarted, value)
}
