//! Training steps and inference of models of `neurax::nn`, and decoding with a cache.

use super::steps::infer;
use crate::{
    DisplayUnit, Report,
    nets::{Gpt2Mini, ModelTask},
    training::{self, Held, InPlace},
};
use neurax::{nn::OptState, prelude::*};

/// The state that one training step hands to the next.
#[derive(Tree, Clone, Debug)]
struct ModelTraining {
    vars: Vars,
    opt: OptState,
}

type ModelStep = Jit<'static, (ModelTraining, Tensor, Tensor), (ModelTraining, Tensor)>;

/// Measures `NAME-train`, a training step, and `NAME-infer`, a call with constant weights.
pub fn run<M: ModelTask>(report: &mut Report, batches: &[usize]) -> Result<()> {
    let (vars, held) = initial_vars::<M>(report)?;
    if let Some(held) = held {
        let (step, mut training) = (training_step::<M>(), in_place(&vars));
        held.show_losses(report, M::NAME, |x, y| training.advance(|t| step.run((t, x, y))))?;
    }
    for batch in report.args.batches(batches) {
        let (x, y) = M::examples(batch);
        let (step, mut training) = (training_step::<M>(), in_place(&vars));
        let train = || training.advance(|t| step.run((t, x.clone(), y.clone())))?.item().map(drop);
        report.measure(&format!("{}-train", M::NAME), batch, DisplayUnit::Millis, train)?;

        let task = format!("{}-infer", M::NAME);
        if report.is_selected(&task) {
            let (model, vars) = (M::model(), vars.clone());
            let logits = move |x: Tensor| model.apply(&vars, x, &Mode::Eval).y().clone();
            infer(report, &task, x, DisplayUnit::Millis, logits)?;
        }
    }
    Ok(())
}

/// Returns the variables that a suite starts from, and the batches of the file `from`, if it is
/// given.
fn initial_vars<M: ModelTask>(report: &Report) -> Result<(Vars, Option<Held>)> {
    let like = TypeSpec::from(&M::examples(1).0.ty()?);
    training::initial(report, M::model().init(key(0), &[like])?)
}

fn in_place(vars: &Vars) -> InPlace<ModelTraining> {
    let vars = vars.clone();
    InPlace::new(ModelTraining { opt: training::adam().init(&vars.params), vars })
}

/// Returns the compiled function of one step: `(state, x, y)` to `(state, loss)`.
fn training_step<M: ModelTask>() -> ModelStep {
    let model = M::model();
    jit(move |(ModelTraining { vars, opt }, x, y): (ModelTraining, Tensor, Tensor)| {
        let Vars { params, state } = vars;
        let ((loss, state), grads) = value_and_grad_at(&params, |params| {
            let out = model.apply_with(&params, &state, &x, &Mode::Train(key(0)));
            (nn::loss::sparse_categorical_cross_entropy_logits(out.y(), &y), out.state)
        });
        let (params, opt) = training::adam().step(&params, &grads, opt);
        (ModelTraining { vars: Vars { params, state }, opt }, loss)
    })
}

/// A text whose keys and values are in a cache.
struct Decoding {
    step: Compiled<(Params, Tensor), (Params, Tensor)>,
    /// The state without a token.
    empty: Params,
    /// The state behind the last token.
    state: InPlace<Params>,
    /// The number of tokens in the cache.
    length: usize,
}

/// Measures `gpt2-decode`, the logits of one more token of a text, whose keys and values are in a
/// cache. A text that fills the context is followed by an empty one.
pub fn decode(report: &mut Report) -> Result<()> {
    if !report.is_selected("gpt2-decode") {
        return Ok(());
    }
    let (vars, held) = initial_vars::<Gpt2Mini>(report)?;
    let mut decoding = Decoding::new(vars.params)?;
    if let Some(held) = held {
        let (x, y) = held.first_text();
        for i in 0..8 {
            let logits = decoding.next(&x.slice(1, i..i + 1))?;
            let y = y.slice(1, i..i + 1);
            let loss = nn::loss::sparse_categorical_cross_entropy_logits(&logits, &y).item()?;
            report.add_values(&format!("gpt2-decode-loss-{}", i + 1), 1, "nats", vec![loss]);
        }
    }
    let token = tensor([[1]]);
    report.measure("gpt2-decode", 1, DisplayUnit::Micros, || decoding.next(&token).map(drop))
}

impl Decoding {
    fn new(params: Params) -> Result<Decoding> {
        let model = Gpt2Mini::cached_model();
        let empty = model.init(key(0), &types![i32[1, 1]])?.state;
        let step = jit(move |(state, x): (Params, Tensor)| {
            let out = model.apply_with(&params, &state, x, &Mode::Eval);
            let logits = out.y().clone();
            (out.state, logits)
        });
        let step = step.compile(&(empty.clone(), tensor([[1]])))?;
        Ok(Decoding { step, state: InPlace::new(empty.clone()), empty, length: 0 })
    }

    /// Returns the logits `[1, 1, vocabulary]` behind the token `[1, 1]`.
    fn next(&mut self, token: &Tensor) -> Result<Tensor> {
        if self.length == Gpt2Mini::CONTEXT {
            (self.state, self.length) = (InPlace::new(self.empty.clone()), 0);
        }
        self.length += 1;
        self.state.advance(|state| self.step.run((state, token.clone())))
    }
}
