//! The two functions that are compiled: a training step and the measuring of a batch.

use crate::Scores;
use neurax_data::Batch;
use neurax_nn::{Applied, Inputs, Mode, Model, OptState, Optim, Params, Vars};
use neurax_tensor::{
    DType, Error, Jit, Key, Place, Result, Tensor, Tree, Type, jit, value_and_grad_at,
};
use std::panic::Location;
use std::sync::Arc;

/// One number of a batch: the loss, or a metric.
pub(crate) type Objective<X, Y> = Arc<dyn Fn(&Applied, &Batch<X, Y>) -> Tensor + Send + Sync>;

/// What the measure is called that is made small.
pub(crate) const LOSS: &str = "loss";

/// A named [`Objective`].
pub(crate) struct Measure<X: Tree, Y: Tree> {
    pub name: String,
    pub of: Objective<X, Y>,
    /// Where the user gave it.
    pub at: &'static Location<'static>,
}

impl<X: Tree, Y: Tree> Clone for Measure<X, Y> {
    fn clone(&self) -> Self {
        Measure { name: self.name.clone(), of: self.of.clone(), at: self.at }
    }
}

impl<X: Tree, Y: Tree> Measure<X, Y> {
    /// The value of a batch, one number; an error in it has at least the line where the measure was
    /// given.
    fn value(&self, out: &Applied, batch: &Batch<X, Y>) -> Tensor {
        let x = (self.of)(out, batch);
        let one = match x.ty() {
            Ok(t) if t.rank() > 0 => Tensor::from_error(self.too_many(&t)),
            _ => x,
        };
        one.at_place(&Place::from(self.at))
    }

    fn too_many(&self, t: &Type) -> Error {
        let what = if self.name == LOSS {
            "loss function".into()
        } else {
            format!("metric `{}`", self.name)
        };
        Error::new(
            "train",
            format!(
                "the {what} given to Trainer gives {t}, but one number is needed for a batch: take the mean, `.mean(..)`"
            ),
        )
    }
}

/// What goes from step to step, given away to each and returned by it, so that it is updated in
/// place.
#[derive(Tree, Clone)]
pub(crate) struct Carry {
    pub vars: Vars,
    pub opt: OptState,
    pub key: Key,
    pub totals: Totals,
}

/// Sums over the examples of an epoch: the loss, then the metrics. They stay on the device until
/// somebody looks.
#[derive(Tree, Clone)]
pub(crate) struct Totals(Vec<Tensor>);

impl Totals {
    pub(crate) fn new(measures: usize) -> Totals {
        Totals(vec![Tensor::scalar(DType::F32, 0.0); measures])
    }

    /// With the means of a batch of so many examples.
    fn with(self, means: Vec<Tensor>, examples: usize) -> Totals {
        Totals(
            self.0
                .into_iter()
                .zip(means)
                .map(|(sum, x)| sum + x.to(DType::F32) * examples)
                .collect(),
        )
    }

    /// The means over so many examples.
    pub(crate) fn means<X: Tree, Y: Tree>(
        &self,
        measures: &[Measure<X, Y>],
        examples: usize,
    ) -> Result<Scores> {
        let mean = |(m, sum): (&Measure<X, Y>, &Tensor)| {
            Ok((m.name.clone(), sum.item()? / examples as f64))
        };
        measures.iter().zip(&self.0).map(mean).collect()
    }
}

/// The training step.
pub(crate) type Step<X, Y> = Jit<'static, (Carry, Batch<X, Y>), Carry>;

/// The measuring of a batch.
pub(crate) type Measuring<X, Y> = Jit<'static, (Vars, Totals, Batch<X, Y>), Totals>;

/// The compiled step: differentiate the first measure, update, add up all measures.
pub(crate) fn step<X: Tree + Inputs, Y: Tree>(
    model: Model,
    measures: Vec<Measure<X, Y>>,
    optim: Optim,
) -> Step<X, Y> {
    jit(move |(carry, batch): (Carry, Batch<X, Y>)| {
        let Carry { vars: Vars { params, state }, opt, key, totals } = carry;
        let [key, now] = key.split();
        let mode = Mode::Train(now);
        let ((_, (values, state)), grads) = value_and_grad_at(&params, |p: Params| {
            let out = model.apply_with(&p, &state, &batch.x, &mode);
            let values: Vec<Tensor> = measures.iter().map(|m| m.value(&out, &batch)).collect();
            (values[0].clone(), (values, out.state))
        });
        let (params, opt) = optim.step(&params, &grads, opt);
        Carry { vars: Vars { params, state }, opt, key, totals: totals.with(values, batch.len()) }
    })
}

/// The compiled measuring.
pub(crate) fn measuring<X: Tree + Inputs, Y: Tree>(
    model: Model,
    measures: Vec<Measure<X, Y>>,
) -> Measuring<X, Y> {
    jit(move |(vars, totals, batch): (Vars, Totals, Batch<X, Y>)| {
        let out = model.apply(&vars, &batch.x, &Mode::Eval);
        totals.with(measures.iter().map(|m| m.value(&out, &batch)).collect(), batch.len())
    })
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
        let of: Objective<Tensor, Tensor> = Arc::new(|out, batch| loss::mse(out.y(), &batch.y));
        let step = step(
            model,
            vec![Measure { name: LOSS.into(), of, at: Location::caller() }],
            optim.clone(),
        );
        let mut carry =
            Carry { opt: optim.init(&vars.params), vars, key: key(1), totals: Totals::new(1) };
        for _ in 0..3 {
            carry = step.run((carry, batch())).unwrap();
        }
        let kernel = carry.vars.params["dense"]["kernel"].address();
        let copied = step.copied();
        carry = step.run((carry, batch())).unwrap();
        assert_eq!(step.copied(), copied, "{step:?}");
        assert_eq!(carry.vars.params["dense"]["kernel"].address(), kernel);
    }
}
