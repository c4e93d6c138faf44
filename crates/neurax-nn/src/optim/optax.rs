//! Steps and rates compared with those that `tests/optax/record.py` recorded from Optax 0.2.8.

use super::*;
use neurax_tensor::value_and_grad_at;

/// The rows: a name and numbers.
const ROWS: &str = include_str!("../../tests/optax/rows.txt");

/// Returns the numbers of the row `name`.
fn row(name: &str) -> Vec<f64> {
    let mut rows = ROWS.lines().filter_map(|line| line.split_once(' '));
    let (_, numbers) = rows.find(|row| row.0 == name).unwrap();
    numbers.split(' ').map(|x| x.parse().unwrap()).collect()
}

fn assert_near(name: &str, found: &[f64], tolerance: f64) {
    let want = row(name);
    assert_eq!(found.len(), want.len(), "{name}");
    for (i, (found, want)) in found.iter().zip(&want).enumerate() {
        assert!((found - want).abs() < tolerance, "{name}, number {i}: {found}, {want}");
    }
}

/// The parameters of the script.
type Pair = (Tensor, Tensor);

/// Returns the gradients of the script in step `t`.
fn gradients(params: &Pair, t: i32) -> Pair {
    let waves = (Tensor::arange(8) + 3.0 * f64::from(t)).cos();
    let matrix = &params.0 * 0.5 + waves.slice(0, ..6).reshape([2, 3]);
    (matrix, &params.1 * 0.5 + waves.slice(0, 6..))
}

/// Returns the function of the script and its gradient.
fn function(params: &Pair) -> (Tensor, Pair) {
    value_and_grad_at(params, |(matrix, vector)| {
        let curvatures = Tensor::arange(6).reshape([2, 3]) + 1.0;
        let first = matrix.slice(1, ..1).squeeze(1);
        (matrix.square() * curvatures).sum(..) / 8.0 + (vector - first).cosh().sum(..)
    })
}

/// Returns the parameters after 1, 2, 5 and 20 steps with the gradients in each step.
fn steps(opt: &Optim, gradients: impl Fn(&Pair, i32) -> Pair) -> Vec<f64> {
    let matrix = tensor([[1.0, -2.0, 3.0], [0.5, 1.5, -1.0]]);
    let mut params = (matrix, tensor([0.5, -0.25]));
    let (mut state, mut values) = (opt.init(&params), vec![]);
    for t in 1..=20 {
        let grads = gradients(&params, t);
        let input = StepInput::new().evaluate(&function);
        (params, state) = opt.step_with(&params, &grads, state, input);
        if [1, 2, 5, 20].contains(&t) {
            values.extend(params.0.to_vec::<f32>().unwrap());
            values.extend(params.1.to_vec::<f32>().unwrap());
        }
    }
    values.into_iter().map(f64::from).collect()
}

#[test]
fn steps_are_those_of_optax() {
    let (rate, decay) = (0.05, 0.1);
    let factored = scale_by_factored_rms(0.8, 2, 1e-30);
    for (name, opt) in [
        ("accumulate", accumulate(3, adam(exponential(rate, 0.5, 2)))),
        ("adabelief", adabelief(rate)),
        ("adadelta", adadelta(1.0)),
        ("adafactor", adafactor(rate)),
        ("adagrad", adagrad(rate)),
        ("adam", adam(rate)),
        ("adamax", adamax(rate)),
        ("adamw", adamw(rate, decay)),
        ("adaptive", chain([clip_adaptive(0.1, 1e-3), sgd(rate)])),
        ("amsgrad", amsgrad(rate)),
        ("block_rms", chain([clip_rms(0.5), sgd(rate)])),
        ("centered", rmsprop_with(rate, 0.9, 1e-8, 0.9, true)),
        ("clip", chain([clip(0.5), sgd(rate)])),
        ("factored", chain([factored, clip_rms(1.0), scale_by_param_rms(1e-3), scale(rate)])),
        ("lamb", lamb(rate, decay)),
        ("lars", lars(10.0, decay)),
        ("lion", lion(rate, decay)),
        ("masked", chain([masked("0", weight_decay(decay)), sgd(rate)])),
        ("multi_transform", per_group([("0", adam(rate)), ("1", momentum(rate, 0.9))])),
        ("nadam", nadam(rate)),
        ("nesterov", nesterov(rate, 0.9)),
        ("novograd", novograd(rate, decay)),
        ("radam", radam(rate)),
        ("rmsprop", rmsprop(rate)),
        ("schedule_free", schedule_free_adamw(rate, decay)),
        ("schedule_free_sgd", schedule_free(chain([]), rate, 0.8)),
        ("soap", chain([scale_by_soap(0.95, 0.95, 5, 8), scale(rate)])),
        ("yogi", yogi(rate)),
    ] {
        assert_near(name, &steps(&opt, gradients), 1e-5);
    }
}

#[test]
fn steps_on_a_function_are_those_of_optax() {
    for (name, opt) in
        [("lbfgs", chain([scale_by_lbfgs(4), scale(0.5)])), ("sam", chain([sam(0.5), adam(0.05)]))]
    {
        assert_near(name, &steps(&opt, |p, _| function(p).1), 1e-4);
    }
}

#[test]
fn rates_are_those_of_optax() {
    for (name, schedule) in [
        ("cosine_with", cosine_with(0.5, 12, 0.1)),
        ("exponential", exponential(0.5, 0.8, 6)),
        ("exponential_staircase", exponential_staircase(0.5, 0.8, 6)),
        ("join", join(linear(0.0, 1.0, 8), [(9, constant(0.25))])),
        ("linear", linear(0.1, 0.7, 7)),
        ("one_cycle", one_cycle_with(0.5, 31, 0.4, 20.0, 50.0)),
        ("piecewise_constant", piecewise_constant(1.0, [(10, 0.5), (20, 0.125)])),
        ("polynomial", polynomial(0.9, 0.1, 1.5, 20)),
        ("warmup_cosine", warmup_cosine(0.1, 0.7, 5, 25, 0.07)),
    ] {
        let rates = schedule.at(&Tensor::arange(41).to(DType::F32)).to_vec::<f32>().unwrap();
        let rates: Vec<f64> = rates.into_iter().map(f64::from).collect();
        assert_near(name, &rates, 2e-6);
    }
}
