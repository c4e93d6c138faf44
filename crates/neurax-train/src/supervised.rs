//! [`Supervised`]: the training of a model with a loss and an optimizer.

use crate::any_batch::AnyBatch;
use crate::measure::{Measure, Total};
use crate::program::{EvaluateBody, StatisticsBody, StepBody, StepCarry};
use crate::program_record::ProgramRecord;
use crate::task::TrainingTask;
use neurax_nn::optim::StepInput;
use neurax_nn::regularize::Penalty;
use neurax_nn::{Applied, Inputs, Mode, Model, OptState, Optim, Params, Vars};
use neurax_tensor::{
    Error, Key, Recorder, Result, Tensor, Tree, TypeSpec, tensor, value_and_grad_at,
};
use std::panic::Location;
use std::sync::Arc;

/// A model, whose loss is the first measure, and an optimizer.
pub(crate) struct Supervised {
    pub model: Model,
    pub optim: Optim,
    /// The user's line that created the trainer.
    pub at: &'static Location<'static>,
}

/// The name of the part of a step that updates the parameters, in profiles and in errors about NaN,
/// where those of other parts are the names of layers and measures.
const OPTIMIZER: &str = "optimizer";

impl TrainingTask for Supervised {
    fn init(&self, key: Key, batch: &AnyBatch) -> Result<Vars> {
        let inputs =
            batch.inputs().into_iter().map(|(name, x)| Ok((name, TypeSpec::from(&x.ty()?))));
        self.model.init_named(key, inputs.collect::<Result<_>>()?)
    }

    fn optim(&mut self) -> Option<&mut Optim> {
        Some(&mut self.optim)
    }

    fn opt(&self, params: &Params) -> OptState {
        self.optim.init(params)
    }

    fn record(&self, start: &OptState) -> Result<ProgramRecord> {
        ProgramRecord::new(&self.model, &self.optim, start)
    }

    fn step(&self, measures: &[Measure], penalty: &Penalty) -> StepBody {
        let Supervised { model, optim, at } = self;
        let (model, optim, at) = (model.clone(), optim.clone(), *at);
        let (measures, penalty) = (measures.to_vec(), penalty.clone());
        Arc::new(move |carry, batch| step(&model, (&optim, at), &measures, &penalty, carry, batch))
    }

    fn evaluation(&self, measures: &[Measure], penalty: &Penalty) -> EvaluateBody {
        let (model, measures, penalty) = (self.model.clone(), measures.to_vec(), penalty.clone());
        Arc::new(move |vars, totals, batch| {
            let out = model.apply(vars, batch, &Mode::Eval);
            let values = values(&measures, &penalty, &vars.params, &out, batch);
            totals.add(&measures, values, batch.len())
        })
    }

    fn statistics(&self) -> StatisticsBody {
        let model = self.model.clone();
        Arc::new(move |vars, key, batch| model.apply(vars, batch, &Mode::Train(key)).state)
    }

    fn fails_on_non_finite(&self) -> bool {
        self.optim.fails_on_non_finite()
    }
}

/// Differentiates the first measure, updates the parameters, and adds all measures to the totals.
/// Rules of the optimizer that evaluate the loss do so on the same batch, with the same random
/// numbers. A step that the optimizer skips does not change the state of the model, nor the totals
/// if its loss is not finite; it is finite where only the scaled loss of a narrow dtype overflows.
fn step(
    model: &Model,
    (optim, at): (&Optim, &'static Location<'static>),
    measures: &[Measure],
    penalty: &Penalty,
    carry: StepCarry,
    batch: &AnyBatch,
) -> StepCarry {
    let StepCarry { vars: Vars { params, state }, opt, key, totals } = carry;
    let [key, step_key] = key.split();
    let mode = Mode::Train(step_key);
    let objective = |p: Params| {
        let out = model.apply_with(&p, &state, batch, &mode);
        let values = values(measures, penalty, &p, &out, batch);
        (loss_of(&values), (values, out.state))
    };
    let scale = opt.loss_scale();
    let ((_, (mut values, new_state)), grads) = value_and_grad_at(&params, |p| {
        let (loss, rest) = objective(p);
        (scaled(loss, scale.as_ref()), rest)
    });
    let norm_of = |m: &Measure| m.norm(|norm| norm.of_step(&params, &grads, scale.as_ref()));
    values.extend(measures.iter().filter_map(norm_of));
    let loss = loss_of(&values);
    let evaluate = |p: &Params| value_and_grad_at(p, |p| objective(p).0);
    let weight = weight_of(&values, batch.len());
    let input = StepInput::new().loss(&loss).weight(&weight).evaluate(&evaluate);
    let before = opt.non_finite_count().cloned();
    let (params, opt) = Recorder::of([&loss])
        .within(OPTIMIZER, at, || optim.step_with(&params, &grads, opt, input));
    let new_totals = totals.clone().add(measures, values, batch.len());
    let (state, totals) = match is_applied(before, &opt) {
        Some(p) => {
            let is_counted = &p | loss.is_finite();
            (chosen(&p, &new_state, &state), chosen(&is_counted, &new_totals, &totals))
        }
        None => (new_state, new_totals),
    };
    StepCarry { vars: Vars { params, state }, opt, key, totals }
}

/// Returns the weight of a batch of `examples` examples among others, by which their losses are
/// means: the sum of the weights of the loss, or the number of examples.
fn weight_of(values: &[Total], examples: usize) -> Tensor {
    match values.first() {
        Some(Total::Weighted(_, weight)) => weight.clone(),
        _ => tensor(examples as f32),
    }
}

/// Returns a bool that is false if the optimizer skipped a step, or `None` if it skips none.
/// `before` is its count of skipped steps before the step.
fn is_applied(before: Option<Tensor>, after: &OptState) -> Option<Tensor> {
    Some(before?.equal(after.non_finite_count()?))
}

/// Returns `new` if `is_new`, else `old`.
fn chosen<T: Tree>(is_new: &Tensor, new: &T, old: &T) -> T {
    new.zip_map(old, |new, old| is_new.select(new, old))
}

/// Returns the loss, multiplied by the scale of the optimizer.
fn scaled(loss: Tensor, scale: Option<&Tensor>) -> Tensor {
    match scale {
        Some(scale) => &loss.to(loss.dtype().at_least_f32()) * scale,
        None => loss,
    }
}

/// Returns the measures of a batch. The penalty of the parameters is a part of the first one, the
/// loss.
fn values(
    measures: &[Measure],
    penalty: &Penalty,
    params: &Params,
    out: &Applied,
    batch: &AnyBatch,
) -> Vec<Total> {
    let penalized = |loss: Tensor| &loss + penalty.of(params).to(loss.dtype());
    let value = |(i, total): (usize, Total)| match total {
        Total::Mean(loss) if i == 0 && !penalty.is_empty() => Total::Mean(penalized(loss)),
        Total::Weighted(loss, weight) if i == 0 && !penalty.is_empty() => {
            Total::Weighted(penalized(loss), weight)
        }
        x => x,
    };
    measures.iter().filter_map(|m| m.of_batch(out, batch)).enumerate().map(value).collect()
}

/// Returns the loss among the measures of a batch.
fn loss_of(values: &[Total]) -> Tensor {
    match values.first() {
        Some(Total::Mean(loss) | Total::Weighted(loss, _)) => loss.clone(),
        _ => Tensor::from_error(Error::bug("a training run has no loss")),
    }
}
