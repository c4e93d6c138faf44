//! Steps and rates compared with those that `tests/optax/record.py` recorded from Optax 0.2.8, and
//! from the sources that `tests/optax/references.py` names for what Optax lacks.

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
    values_of_steps(opt, gradients, |_, params| params.clone())
}

/// Returns what `value` returns of the state and the parameters after 1, 2, 5 and 20 steps.
fn values_of_steps(
    opt: &Optim,
    gradients: impl Fn(&Pair, i32) -> Pair,
    value: impl Fn(&OptState, &Pair) -> Pair,
) -> Vec<f64> {
    let matrix = tensor([[1.0, -2.0, 3.0], [0.5, 1.5, -1.0]]);
    let mut params = (matrix, tensor([0.5, -0.25]));
    let (mut state, mut values) = (opt.init(&params), vec![]);
    for t in 1..=20 {
        let grads = gradients(&params, t);
        let input = StepInput::new().evaluate(&function);
        (params, state) = opt.step_with(&params, &grads, state, input);
        if [1, 2, 5, 20].contains(&t) {
            let (matrix, vector) = value(&state, &params);
            values.extend(matrix.to_vec::<f32>().unwrap());
            values.extend(vector.to_vec::<f32>().unwrap());
        }
    }
    values.into_iter().map(f64::from).collect()
}

/// Returns the optimizers of the rows with the gradients of the script.
fn optimizers() -> Vec<(&'static str, Optim)> {
    let (rate, decay) = (0.05, 0.1);
    vec![
        ("accumulate", accumulate(3, adam(exponential(rate, 0.5, 2)))),
        ("adabelief", adabelief(rate)),
        ("adadelta", adadelta(1.0)),
        ("adafactor", adafactor(rate)),
        ("adagrad", adagrad(rate)),
        ("adam", adam(rate)),
        ("adamax", adamax(rate)),
        ("adamw", adamw(rate, decay)),
        ("adaptive", chain([clip_adaptive(0.1), sgd(rate)])),
        ("amsgrad", amsgrad(rate)),
        ("block_rms", chain([clip_rms(0.5), sgd(rate)])),
        ("centered", RmsProp::new().centered().momentum(0.9).rate(rate)),
        ("centralize", chain([centralize(), sgd(rate)])),
        ("centralize_at", chain([centralize_at(0), sgd(rate)])),
        ("clip", chain([clip(0.5), sgd(rate)])),
        ("factored", Adafactor::new().least(2).rate(rate)),
        ("lamb", lamb(rate, decay)),
        ("lars", lars(10.0, decay)),
        ("lion", lion(rate, decay)),
        ("lookahead", chain([adam(rate), lookahead(3, 0.8)])),
        ("masked", chain([masked("0", weight_decay(decay)), sgd(rate)])),
        ("multi_transform", per_group([("0", adam(rate)), ("1", momentum(rate, 0.9))])),
        ("muon", muon(rate)),
        ("nadam", nadam(rate)),
        ("nesterov", nesterov(rate, 0.9)),
        ("novograd", novograd(rate, decay)),
        ("radam", radam(rate)),
        ("rmsprop", rmsprop(rate)),
        ("schedule_free", schedule_free_adamw(rate, decay)),
        ("schedule_free_sgd", schedule_free(chain([]), rate, 0.8)),
        ("shampoo", Shampoo::new().eps(1e-3).every(3).rate(rate)),
        ("soap", Soap::new().every(5).largest(8).rate(rate)),
        ("yogi", yogi(rate)),
    ]
}

/// Returns the optimizers of the rows with other options than the usual ones.
fn optimizers_with_options() -> Vec<(&'static str, Optim)> {
    let (rate, decay, matrix) = (0.05, 0.1, "0");
    let rmsprop = RmsProp::new().decay(0.8).eps(1e-3);
    let lars = Lars::new().weight_decay(decay).coefficient(0.002).eps(1e-2).momentum(0.8);
    macro_rules! moments {
        ($Optimizer:ident) => {
            $Optimizer::new().b1(0.8).b2(0.95).eps(1e-3).eps_root(1e-2)
        };
    }
    vec![
        ("adabelief_options", moments!(AdaBelief).eps(1e-4).eps_root(1e-3).rate(rate)),
        ("adadelta_options", AdaDelta::new().decay(0.8).eps(1e-3).rate(1.0)),
        ("adagrad_options", AdaGrad::new().initial(1.0).eps(1e-2).rate(rate)),
        ("adam_options", moments!(Adam).rate(rate)),
        ("adamax_options", Adamax::new().b1(0.8).b2(0.95).eps(1e-2).rate(rate)),
        ("adamw_options", moments!(Adam).weight_decay_of(matrix, decay).rate(rate)),
        ("amsgrad_options", moments!(AmsGrad).rate(rate)),
        ("centered_options", rmsprop.clone().initial(4.0).centered().rate(rate)),
        ("lamb_options", moments!(Lamb).weight_decay(decay).min_norm(2.0).rate(rate)),
        ("lars_options", lars.nesterov().rate(10.0)),
        ("lion_options", Lion::new().b1(0.8).b2(0.9).rate(rate)),
        ("muon_options", Muon::new().momentum(0.9).weight_decay(decay).rates(rate, 0.02)),
        ("nadam_options", moments!(NAdam).rate(rate)),
        (
            "novograd_options",
            moments!(NovoGrad).b2(0.5).eps_root(0.1).weight_decay(decay).rate(rate),
        ),
        ("radam_options", moments!(RAdam).threshold(7.0).rate(rate)),
        ("rmsprop_options", rmsprop.initial(0.5).momentum(0.9).nesterov().rate(rate)),
        ("yogi_options", moments!(Yogi).eps(1e-2).initial(0.1).rate(rate)),
    ]
}

/// Returns the optimizers of the rows with weight decay; that of others is in the rows above.
fn optimizers_with_decay() -> Vec<(&'static str, Optim)> {
    let (rate, decay) = (0.05, 0.1);
    let adafactor = Adafactor::new().exponent(0.7).least(2).eps(1e-3).clipping(0.5).least_rms(0.7);
    vec![
        ("adabelief_decay", AdaBelief::new().weight_decay(decay).rate(rate)),
        ("adadelta_decay", AdaDelta::new().weight_decay(decay).rate(0.5)),
        ("adafactor_decay", adafactor.weight_decay(decay).rate(rate)),
        ("adagrad_decay", AdaGrad::new().weight_decay(decay).rate(rate)),
        ("adamax_decay", Adamax::new().weight_decay(decay).rate(rate)),
        ("amsgrad_decay", AmsGrad::new().weight_decay(decay).rate(rate)),
        ("momentum_decay", Momentum::new(0.9).weight_decay(decay).rate(rate)),
        ("nadam_decay", NAdam::new().weight_decay(decay).rate(rate)),
        ("radam_decay", RAdam::new().weight_decay(decay).rate(rate)),
        ("rmsprop_decay", RmsProp::new().momentum(0.9).weight_decay(decay).rate(rate)),
        ("shampoo_decay", Shampoo::new().eps(1e-3).every(3).weight_decay(decay).rate(rate)),
        ("soap_decay", Soap::new().every(5).largest(8).weight_decay(decay).rate(rate)),
        ("yogi_decay", Yogi::new().weight_decay(decay).rate(rate)),
    ]
}

/// Returns the optimizers of the rows with the gradients of a function.
fn optimizers_of_a_function() -> [(&'static str, Optim); 2] {
    [("lbfgs", chain([scale_by_lbfgs(4), scale(0.5)])), ("sam", chain([sam(0.5), adam(0.05)]))]
}

/// Returns the schedules of the rows.
fn schedules() -> Vec<(&'static str, Schedule)> {
    let restarts = CosineRestarts::new(0.5, 5).growth(2.0).factor(0.8).alpha(0.1);
    let cycle = OneCycle::new(0.5, 31).rise(0.4).divisor(20.0).final_divisor(50.0);
    let warmup = WarmupCosine::new(0.7, 5, 25).start(0.1).end(0.07);
    vec![
        ("cosine_restarts", restarts.schedule()),
        ("cosine_with", CosineDecay::new(0.5, 12).alpha(0.1).schedule()),
        ("cyclic", cyclic(0.1, 0.4, 7)),
        ("exponential", exponential(0.5, 0.8, 6)),
        ("exponential_staircase", exponential_staircase(0.5, 0.8, 6)),
        ("inverse_sqrt", inverse_sqrt(0.3, 5)),
        ("join", join(linear(0.0, 1.0, 8), [(9, constant(0.25))])),
        ("linear", linear(0.1, 0.7, 7)),
        ("one_cycle", cycle.schedule()),
        ("piecewise_constant", piecewise_constant(1.0, [(10, 0.5), (20, 0.125)])),
        ("polynomial", PolynomialDecay::new(0.9, 0.1, 20).power(1.5).schedule()),
        ("warmup", super::warmup(5, cosine(0.5, 20))),
        ("warmup_cosine", warmup.schedule()),
    ]
}

#[test]
fn every_row_is_that_of_a_test() {
    let others = [
        "average_weights",
        "add_noise",
        "lbfgs_quadratic",
        "lbfgs_quadratic_optax",
        "lbfgs_rosenbrock",
        "lbfgs_rosenbrock_optax",
    ];
    let (optimizers, of_a_function, schedules) =
        (optimizers(), optimizers_of_a_function(), schedules());
    let (with_options, with_decay) = (optimizers_with_options(), optimizers_with_decay());
    let further = with_options.iter().chain(&with_decay).chain(&of_a_function);
    let names = optimizers.iter().chain(further).map(|(name, _)| *name);
    let names = names.chain(schedules.iter().map(|(name, _)| *name)).chain(others);
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    let mut rows: Vec<&str> = ROWS.lines().filter_map(|line| line.split(' ').next()).collect();
    rows.sort_unstable();
    assert_eq!((names, rows.len()), (rows, 84));
}

#[test]
fn steps_are_those_of_optax() {
    let further = optimizers_with_options().into_iter().chain(optimizers_with_decay());
    for (name, opt) in optimizers().into_iter().chain(further) {
        assert_near(name, &steps(&opt, gradients), 1e-5);
    }
}

#[test]
fn steps_on_a_function_are_those_of_optax() {
    for (name, opt) in optimizers_of_a_function() {
        assert_near(name, &steps(&opt, |p, _| function(p).1), 1e-4);
    }
}

#[test]
fn averages_of_weights_are_those_of_optax() {
    let opt = chain([adam(0.05), average_weights(0.9)]);
    let found = values_of_steps(&opt, gradients, |state, params| state.average_of(params));
    assert_near("average_weights", &found, 1e-5);
}

/// The generators of random numbers differ, so that the moments of the noise are compared.
#[test]
fn moments_of_noise_are_those_of_optax() {
    let (opt, zeros) = (Noise::new(7).eta(0.5).transform(), Tensor::zeros([50_000]));
    let mut state = opt.init(&zeros);
    for (i, deviation) in row("add_noise").into_iter().enumerate() {
        let noise;
        (noise, state) = opt.update(&zeros, &zeros, state);
        let relative = noise / deviation;
        let moment = |power: f64| relative.pow(power).mean(..).item().unwrap();
        for (power, want, tolerance) in [(1.0, 0.0, 0.02), (2.0, 1.0, 0.03), (4.0, 3.0, 0.25)] {
            let found = moment(power);
            assert!((found - want).abs() < tolerance, "step {i}, moment {power}: {found}");
        }
    }
}

/// Returns the value of a function of the script and its gradient.
fn value_of(name: &str, p: &Tensor) -> (Tensor, Tensor) {
    value_and_grad_at(p, |p| match name {
        "quadratic" => {
            let [a, b, c] = [0, 1, 2].map(|i| p.get(i));
            (&a - 1.0).square() * 50.0
                + (&b + 2.0).square() * 5.0
                + (a + b + c - 3.0).square() * 0.5
        }
        _ => (1.0 - p.get(0)).square() + (p.get(1) - p.get(0).square()).square() * 100.0,
    })
}

/// Optax has another line search, which leads to other parameters: its values are the bound.
#[test]
fn steps_with_a_line_search_are_those_of_the_reference_and_as_good_as_those_of_optax() {
    for (name, start) in [("quadratic", vec![4.0, -1.0, 0.5]), ("rosenbrock", vec![-1.2, 1.0])] {
        let mut p = Tensor::from_slice(&start, start.len());
        let (opt, loss) = (lbfgs(5), |p: &Tensor| value_of(name, p));
        let (mut state, mut found) = (opt.init(&p), vec![]);
        for _ in 0..20 {
            let (value, grads) = loss(&p);
            let input = StepInput::new().loss(&value).evaluate(&loss);
            (p, state) = opt.step_with(&p, &grads, state, input);
            found.extend(p.to_vec::<f64>().unwrap());
        }
        assert_near(&format!("lbfgs_{name}"), &found, 1e-5);
        let (last, bound) = (loss(&p).0.item().unwrap(), row(&format!("lbfgs_{name}_optax"))[20]);
        assert!(last <= bound.max(1e-12), "{name}: {last}, {bound}");
    }
}

#[test]
fn rates_are_those_of_optax() {
    for (name, schedule) in schedules() {
        let rates = schedule.at(&Tensor::arange(41).to(DType::F32)).to_vec::<f32>().unwrap();
        let rates: Vec<f64> = rates.into_iter().map(f64::from).collect();
        assert_near(name, &rates, 2e-6);
    }
}
