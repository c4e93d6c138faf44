//! The two jitted functions: a training step, and the evaluation of a batch.

use crate::Scores;
use crate::any_batch::AnyBatch;
use neurax_data::Batch;
use neurax_nn::optim::StepInput;
use neurax_nn::regularize::Penalty;
use neurax_nn::{Applied, Mode, Model, OptState, Optim, Params, Vars};
use neurax_tensor::ir::OrBug;
use neurax_tensor::{
    DType, Error, Jit, Key, Place, Result, Tensor, Tree, Type, eval_shape, jit, value_and_grad_at,
};
use std::panic::Location;
use std::sync::Arc;

/// A function that computes a scalar of a batch: the loss or a metric.
pub(crate) type Objective = Arc<dyn Fn(&Applied, &AnyBatch) -> Tensor + Send + Sync>;

/// Returns `of` as a function of any batch. A batch of other types, which no source yields, is an
/// error.
pub(crate) fn objective<X: Tree, Y: Tree>(
    of: impl Fn(&Applied, &Batch<X, Y>) -> Tensor + Send + Sync + 'static,
) -> Objective {
    Arc::new(move |out, batch| match batch.downcast() {
        Some(batch) => of(out, batch),
        None => Tensor::from_error(Error::bug("a batch has other types than the trainer")),
    })
}

/// The name of the measure that is minimized.
pub(crate) const LOSS: &str = "loss";

/// A named [`Objective`].
#[derive(Clone)]
pub(crate) struct Measure {
    pub name: String,
    pub of: Objective,
    /// The user's line that added the measure.
    pub at: &'static Location<'static>,
}

impl Measure {
    /// Returns the value for a batch, a scalar. An error without a source line gets the line that
    /// added the measure.
    fn value(&self, out: &Applied, batch: &AnyBatch) -> Tensor {
        let x = (self.of)(out, batch);
        let scalar = match x.ty() {
            Ok(t) if t.rank() > 0 => Tensor::from_error(self.no_scalar(&t)),
            _ => x,
        };
        scalar.at_place(&Place::from(self.at))
    }

    fn no_scalar(&self, got: &Type) -> Error {
        let what = if self.name == LOSS {
            "loss function".into()
        } else {
            format!("metric `{}`", self.name)
        };
        Error::new(
            "train",
            format!(
                "expected a scalar for each batch from the {what} of the Trainer, got {got}; \
                 take the mean with `.mean(..)`"
            ),
        )
    }
}

/// The data that each step takes and returns. It is donated to the step, so that it is updated in
/// place.
#[derive(Tree, Clone)]
pub(crate) struct StepCarry {
    pub vars: Vars,
    pub opt: OptState,
    pub key: Key,
    pub totals: Totals,
}

/// The sums of the loss and the metrics, in this order, over the examples of an epoch, in f64: in
/// f32, the mean of millions of examples would drift. They stay on the device until they are read.
#[derive(Tree, Clone)]
pub(crate) struct Totals(Vec<Tensor>);

impl Totals {
    pub(crate) fn new(measures: usize) -> Totals {
        Totals(vec![Tensor::scalar(DType::F64, 0.0); measures])
    }

    /// Adds the means of a batch of `examples` examples.
    fn add(self, means: Vec<Tensor>, examples: usize) -> Totals {
        Totals(
            self.0
                .into_iter()
                .zip(means)
                .map(|(sum, x)| sum + x.to(DType::F64) * examples)
                .collect(),
        )
    }

    /// Returns the sum of the loss.
    pub(crate) fn loss(&self) -> Result<f64> {
        self.0.first().or_bug("a training run has no loss")?.item()
    }

    /// Returns the means over `examples` examples.
    pub(crate) fn means(&self, measures: &[Measure], examples: usize) -> Result<Scores> {
        let mean =
            |(m, sum): (&Measure, &Tensor)| Ok((m.name.clone(), sum.item()? / examples as f64));
        measures.iter().zip(&self.0).map(mean).collect()
    }
}

/// The jitted training step.
pub(crate) type StepFn = Jit<'static, (StepCarry, AnyBatch), StepCarry>;

/// The jitted evaluation of a batch, which adds the measures to the totals.
pub(crate) type EvaluateFn = Jit<'static, (Vars, Totals, AnyBatch), Totals>;

/// Jits the training step: differentiates the first measure, updates the parameters, and adds all
/// measures to the totals. Rules of the optimizer that evaluate the loss do so on the same batch,
/// with the same random numbers.
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
            (values[0].clone(), (values, out.state))
        };
        let scale = opt.loss_scale();
        let ((_, (values, new_state)), grads) = value_and_grad_at(&params, |p| {
            let (loss, rest) = objective(p);
            (scaled(loss, scale.as_ref()), rest)
        });
        let loss = values[0].clone();
        let evaluate = |p: &Params| value_and_grad_at(p, |p| objective(p).0);
        let input = StepInput::new().loss(&loss).evaluate(&evaluate);
        let (params, opt) = optim.step_with(&params, &grads, opt, input);
        let totals = totals.add(values, batch.len());
        StepCarry { vars: Vars { params, state: new_state }, opt, key, totals }
    })
}

/// Jits the evaluation of a batch.
pub(crate) fn evaluate_fn(model: Model, measures: Vec<Measure>, penalty: Penalty) -> EvaluateFn {
    jit(move |(vars, totals, batch): (Vars, Totals, AnyBatch)| {
        let out = model.apply(&vars, &batch, &Mode::Eval);
        totals.add(values(&measures, &penalty, &vars.params, &out, &batch), batch.len())
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
) -> Vec<Tensor> {
    let value = |(i, m): (usize, &Measure)| match m.value(out, batch) {
        loss if i == 0 && !penalty.is_empty() => &loss + penalty.of(params).to(loss.dtype()),
        x => x,
    };
    measures.iter().enumerate().map(value).collect()
}

/// Checks that `batch` can be evaluated, without computing anything.
///
/// # Errors
/// As evaluating it, if its types do not fit.
pub(crate) fn check_evaluation(
    evaluate: &EvaluateFn,
    vars: &Vars,
    measures: usize,
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
    use neurax_nn::{input, loss, optim};
    use neurax_tensor::{TypeSpec, dims, key};

    #[test]
    fn a_step_updates_everything_in_place() {
        let model = input("x", dims![_, 8]).dense(16).relu().dropout(0.1).dense(1).model();
        let batch = || Batch { x: Tensor::ones([4, 8]), y: Tensor::ones([4, 1]) };
        let vars = model.init(key(0), &[TypeSpec::from(&batch().x.ty().unwrap())]).unwrap();
        let optim = optim::chain([optim::clip(1.0), optim::adam(1e-3)]);
        let of = |out: &Applied, batch: &Batch| loss::mse(out.y(), &batch.y);
        let of = objective(of);
        let step = step_fn(
            model,
            vec![Measure { name: LOSS.into(), of, at: Location::caller() }],
            Penalty::default(),
            optim.clone(),
        );
        let mut carry =
            StepCarry { opt: optim.init(&vars.params), vars, key: key(1), totals: Totals::new(1) };
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
