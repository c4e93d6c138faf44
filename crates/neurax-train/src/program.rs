//! The two jitted functions: a training step, and the evaluation of a batch.

use crate::any_batch::AnyBatch;
use crate::measure::{Measure, Total, Totals};
use neurax_nn::optim::StepInput;
use neurax_nn::regularize::Penalty;
use neurax_nn::{Applied, Mode, Model, OptState, Optim, Params, Vars};
use neurax_tensor::{Error, Jit, Key, Result, Tensor, Tree, eval_shape, jit, value_and_grad_at};

/// The data that each step takes and returns. It is donated to the step, so that it is updated in
/// place.
#[derive(Tree, Clone)]
pub(crate) struct StepCarry {
    pub vars: Vars,
    pub opt: OptState,
    pub key: Key,
    pub totals: Totals,
}

/// The jitted training step.
pub(crate) type StepFn = Jit<'static, (StepCarry, AnyBatch), StepCarry>;

/// The jitted evaluation of a batch, which adds the measures to the totals.
pub(crate) type EvaluateFn = Jit<'static, (Vars, Totals, AnyBatch), Totals>;

/// Jits the training step: differentiates the first measure, updates the parameters, and adds all
/// measures to the totals. Rules of the optimizer that evaluate the loss do so on the same batch,
/// with the same random numbers. A step that the optimizer skips does not change the state of the
/// model, nor the totals if its loss is not finite; it is finite where only the scaled loss of a
/// narrow dtype overflows.
pub(crate) fn step_fn(
    model: Model,
    measures: Vec<Measure>,
    penalty: Penalty,
    optim: Optim,
) -> StepFn {
    jit(move |(carry, batch): (StepCarry, AnyBatch)| {
        let StepCarry { vars: Vars { params, state }, opt, key, totals } = carry;
        let [key, step_key] = key.split();
        let mode = Mode::Train(step_key);
        let objective = |p: Params| {
            let out = model.apply_with(&p, &state, &batch, &mode);
            let values = values(&measures, &penalty, &p, &out, &batch);
            (loss_of(&values), (values, out.state))
        };
        let scale = opt.loss_scale();
        let ((_, (values, new_state)), grads) = value_and_grad_at(&params, |p| {
            let (loss, rest) = objective(p);
            (scaled(loss, scale.as_ref()), rest)
        });
        let loss = loss_of(&values);
        let evaluate = |p: &Params| value_and_grad_at(p, |p| objective(p).0);
        let input = StepInput::new().loss(&loss).evaluate(&evaluate);
        let before = opt.non_finite_count().cloned();
        let (params, opt) = optim.step_with(&params, &grads, opt, input);
        let new_totals = totals.clone().add(&measures, values, batch.len());
        let (state, totals) = match is_applied(before, &opt) {
            Some(p) => {
                let is_counted = &p | loss.is_finite();
                (chosen(&p, &new_state, &state), chosen(&is_counted, &new_totals, &totals))
            }
            None => (new_state, new_totals),
        };
        StepCarry { vars: Vars { params, state }, opt, key, totals }
    })
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

/// Jits the evaluation of a batch.
pub(crate) fn evaluate_fn(model: Model, measures: Vec<Measure>, penalty: Penalty) -> EvaluateFn {
    jit(move |(vars, totals, batch): (Vars, Totals, AnyBatch)| {
        let out = model.apply(&vars, &batch, &Mode::Eval);
        let values = values(&measures, &penalty, &vars.params, &out, &batch);
        totals.add(&measures, values, batch.len())
    })
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
    let value = |(i, m): (usize, &Measure)| match m.of_batch(out, batch) {
        Total::Mean(loss) if i == 0 && !penalty.is_empty() => {
            Total::Mean(&loss + penalty.of(params).to(loss.dtype()))
        }
        x => x,
    };
    measures.iter().enumerate().map(value).collect()
}

/// Returns the loss among the measures of a batch.
fn loss_of(values: &[Total]) -> Tensor {
    match values.first() {
        Some(Total::Mean(loss)) => loss.clone(),
        _ => Tensor::from_error(Error::bug("a training run has no loss")),
    }
}

/// Checks that `batch` can be evaluated, without computing anything.
///
/// # Errors
/// As evaluating it, if its types do not fit.
pub(crate) fn check_evaluation(
    evaluate: &EvaluateFn,
    vars: &Vars,
    measures: &[Measure],
    batch: AnyBatch,
) -> Result<()> {
    let arguments = (vars.clone(), Totals::new(measures), batch);
    eval_shape(&**evaluate, &arguments).ok().map(|_| ())
}

/// Returns the number of examples of a batch.
///
/// # Errors
/// If there are none: their mean would be NaN.
pub(crate) fn examples(batch: &AnyBatch) -> Result<usize> {
    match batch.len() {
        0 => Err(Error::new("train", "expected at least one example in a batch, got none")),
        n => Ok(n),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{LOSS, Objective};
    use neurax_data::Batch;
    use neurax_nn::{input, loss, metric, optim};
    use neurax_tensor::{TypeSpec, dims, key};
    use std::panic::Location;

    #[test]
    fn a_step_updates_everything_in_place() {
        let model = input("x", dims![_, 8]).dense(16).relu().dropout(0.1).dense(1).model();
        let batch = || Batch { x: Tensor::ones([4, 8]), y: Tensor::ones([4, 1]) };
        let vars = model.init(key(0), &[TypeSpec::from(&batch().x.ty().unwrap())]).unwrap();
        let optim = optim::chain([optim::clip(1.0), optim::adam(1e-3)]);
        let of = |out: &Applied, batch: &Batch| loss::mse(out.y(), &batch.y);
        let seen = |out: &Applied, batch: &Batch| (out.y().clone(), batch.y.clone());
        let all = [Objective::mean(of), Objective::metric(metric::roc_auc(), seen)];
        let measures: Vec<Measure> =
            all.map(|of| Measure { name: LOSS.into(), of, at: Location::caller() }).into();
        let totals = Totals::new(&measures);
        let step = step_fn(model, measures, Penalty::default(), optim.clone());
        let mut carry = StepCarry { opt: optim.init(&vars.params), vars, key: key(1), totals };
        for _ in 0..3 {
            carry = step.run((carry, AnyBatch::new(batch()))).unwrap();
        }
        let kernel = carry.vars.params["dense"]["kernel"].address();
        let copied = step.copied();
        carry = step.run((carry, AnyBatch::new(batch()))).unwrap();
        assert_eq!(step.copied(), copied, "{step:?}");
        assert_eq!(carry.vars.params["dense"]["kernel"].address(), kernel);
    }
}
