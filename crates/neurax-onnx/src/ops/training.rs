//! Steps of optimizers: `Adagrad`, `Adam`, `Momentum`.
//!
//! The inputs are the learning rate, the number of steps so far, and then lists of `n` tensors
//! each: the parameters, their gradients, and the states of the optimizer. The outputs are the
//! lists of new parameters and of new states.

use super::axes::same_dtype;
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail};
use crate::operator::{Operator, op};
use crate::value::OnnxValue;
use neurax_tensor::{DType, Tensor};

pub(crate) const OPERATORS: &[Operator] = &[
    op("Adagrad", &[1], 3..=usize::MAX, adagrad).domain(TRAINING).attributes(&[
        "decay_factor",
        "epsilon",
        "norm_coefficient",
    ]),
    op("Adam", &[1], 3..=usize::MAX, adam).domain(TRAINING).attributes(&[
        "alpha",
        "beta",
        "epsilon",
        "norm_coefficient",
        "norm_coefficient_post",
    ]),
    op("Momentum", &[1], 3..=usize::MAX, momentum).domain(TRAINING).attributes(&[
        "alpha",
        "beta",
        "mode",
        "norm_coefficient",
    ]),
];

const TRAINING: &str = "ai.onnx.preview.training";

/// The inputs of one step.
struct TrainingStep {
    rate: Tensor,
    /// The number of steps so far.
    count: Tensor,
    /// For each parameter: itself, its gradient, and its states.
    rows: Vec<Vec<Tensor>>,
}

/// Returns the inputs of an optimizer with `states` states for each parameter. The gradients have
/// the decay of weights added.
fn step(c: &NodeCall, states: usize) -> Result<TrainingStep, RuleFailure> {
    let lists = 2 + states;
    let xs = c.xs()?;
    let tensors = xs.len().saturating_sub(2);
    if tensors == 0 || !tensors.is_multiple_of(lists) {
        return fail(format!("expected {lists} lists of equal length, got {tensors} tensors"));
    }
    let count = tensors / lists;
    let decay = f64::from(c.float_or("norm_coefficient", 0.0)?);
    let mut rows = Vec::with_capacity(count);
    for i in 0..count {
        let mut row: Vec<Tensor> = (0..lists).map(|k| xs[2 + k * count + i].clone()).collect();
        for x in &row {
            same_dtype(&row[0], x)?;
        }
        row[1] = &row[0] * decay + &row[1];
        rows.push(row);
    }
    Ok(TrainingStep { rate: xs[0].reshape(()), count: xs[1].reshape(()), rows })
}

impl TrainingStep {
    /// Returns a result for each parameter, one list after the other.
    fn each(&self, f: impl Fn(&[Tensor]) -> Vec<Tensor>) -> RuleOutcome {
        let results: Vec<Vec<Tensor>> = self.rows.iter().map(|row| f(row)).collect();
        let lists = results.first().map_or(0, Vec::len);
        let list = |k: usize| results.iter().map(move |row| OnnxValue::Tensor(row[k].clone()));
        Ok((0..lists).flat_map(list).collect())
    }
}

fn adagrad(c: &NodeCall) -> RuleOutcome {
    let step = step(c, 1)?;
    let decay = f64::from(c.float_or("decay_factor", 0.0)?);
    let epsilon = f64::from(c.float_or("epsilon", 1e-6)?);
    let rate = &step.rate / (step.count.to(step.rate.dtype()) * decay + 1.0);
    step.each(|row| {
        let (x, gradient) = (&row[0], &row[1]);
        let squares = &row[2] + gradient.square();
        let y = x - rate.to(x.dtype()) * gradient / (squares.sqrt() + epsilon);
        vec![y, squares]
    })
}

fn adam(c: &NodeCall) -> RuleOutcome {
    let step = step(c, 2)?;
    let float = |name, default| Ok::<_, RuleFailure>(f64::from(c.float_or(name, default)?));
    let (alpha, beta) = (float("alpha", 0.9)?, float("beta", 0.999)?);
    let (epsilon, after) = (float("epsilon", 1e-6)?, float("norm_coefficient_post", 0.0)?);
    // At the first step, the correction of the means is 0 / 0.
    let (t, dtype) = (step.count.to(DType::F64), step.rate.dtype());
    let left = |factor: f64| 1.0 - Tensor::scalar(DType::F64, factor).pow(&t);
    let correction = t.gt(0).select(left(beta).sqrt() / left(alpha), 1.0).to(dtype);
    let rate = &step.rate * correction;
    step.each(|row| {
        let (x, gradient) = (&row[0], &row[1]);
        let mean = &row[2] * alpha + gradient * (1.0 - alpha);
        let squares = &row[3] * beta + gradient.square() * (1.0 - beta);
        let y = x - rate.to(x.dtype()) * &mean / (squares.sqrt() + epsilon);
        vec![y * (1.0 - after), mean, squares]
    })
}

fn momentum(c: &NodeCall) -> RuleOutcome {
    let step = step(c, 1)?;
    let float = |name| Ok::<_, RuleFailure>(f64::from(c.required(name, c.float(name)?)?));
    let (alpha, beta) = (float("alpha")?, float("beta")?);
    float("norm_coefficient")?;
    let is_nesterov = match c.required("mode", c.str("mode")?)?.as_str() {
        "nesterov" => true,
        "standard" => false,
        other => return fail(format!("expected the mode nesterov or standard, got `{other}`")),
    };
    let one = Tensor::scalar(DType::F64, 1.0);
    let beta = step.count.gt(0).select(Tensor::scalar(DType::F64, beta), one);
    step.each(|row| {
        let (x, gradient) = (&row[0], &row[1]);
        let velocity = &row[2] * alpha + beta.to(x.dtype()) * gradient;
        let direction = if is_nesterov { gradient + &velocity * alpha } else { velocity.clone() };
        vec![x - step.rate.to(x.dtype()) * direction, velocity]
    })
}
