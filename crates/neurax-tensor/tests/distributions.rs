//! Random distributions equal JAX's up to the rounding of their functions; integers and choices
//! are equal.

use neurax::{CategoricalOptions, ChoiceOptions, Literal, MultivariateNormalOptions, prelude::*};
use neurax_testkit::{
    close::{Tolerance, close_within},
    fixtures,
};

/// Samples the tensor of a fixture whose dtype is `dtype`.
fn sample(k: &Key, name: &str, dtype: DType) -> Tensor {
    let s = [4, 3];
    let row = tensor([0.5, 1.0, 3.0]).to(dtype);
    let one = Tensor::scalar(dtype, 1.0);
    match name {
        "exponential" => k.exponential_of(dtype, s),
        "laplace" => k.laplace_of(dtype, s),
        "logistic" => k.logistic_of(dtype, s),
        "cauchy" => k.cauchy_of(dtype, s),
        "maxwell" => k.maxwell_of(dtype, s),
        "rademacher" => k.rademacher_of(dtype, s),
        "lognormal" => k.lognormal(row, s),
        "pareto" => k.pareto(row, s),
        "rayleigh" => k.rayleigh(row, s),
        "weibull_min" => k.weibull_min(one * 2.0, 1.5, s),
        "triangular" => k.triangular(-&row, 0.0, row, s),
        "geometric" => k.geometric(row / 4.0, s),
        "double_sided_maxwell" => k.double_sided_maxwell(one, 2.0, s),
        "truncated_normal" => k.truncated_normal(-&row, row, s),
        "wald" => k.wald(row, s),
        "uniform_bounds" => k.uniform_of(dtype, s, -&row, row),
        "gamma" => k.gamma(row, s),
        "loggamma" => k.loggamma(row, s),
        "gamma_small" => k.loggamma(row / 100.0, s),
        "beta" => k.beta(&row, row.flip(0), s),
        "dirichlet" => k.dirichlet(&row, [4]),
        "chisquare" => k.chisquare(row * 4.0, s),
        "t" => k.t(row * 4.0, s),
        "f" => k.f(&row * 4.0, &row * 6.0, s),
        "generalized_normal" => k.generalized_normal(one * 1.5, s),
        "ball" => k.ball(3, one * 2.0, [4]),
        "binomial" => k.binomial(&row * 10.0, &row / 4.0, s),
        "binomial_large" => k.binomial(&row * 1000.0, &row / 4.0, s),
        "multinomial" => k.multinomial(30.0, &(row / 4.5), [4]),
        "multivariate_normal" => {
            let covariance = tensor([[2.0, 0.5, 0.25], [0.5, 1.0, 0.0], [0.25, 0.0, 3.0]]);
            k.multivariate_normal(row, &covariance.to(dtype), [4])
        }
        "orthogonal" => k.orthogonal_of(dtype, [3, 3], ()),
        "orthogonal_wide" => k.orthogonal_of(dtype, [2, 3], [2]),
        "gamma_slope" => slope(&row, |a| k.gamma(a, s)),
        "loggamma_slope" => slope(&row, |a| k.loggamma(a, s)),
        "beta_slope" => slope(&row, |a| k.beta(a, 2.0, s)),
        other => panic!("{other}"),
    }
}

/// Returns the derivative of the sum of a sample.
fn slope(x: &Tensor, sample: impl Fn(Tensor) -> Tensor + Send + Sync) -> Tensor {
    grad(|x: Tensor| sample(x).sum(..)).run(x.clone()).unwrap()
}

/// Draws the choice or integers of a fixture.
fn choice(k: &Key, name: &str) -> Tensor {
    let a = Tensor::arange(10) + 10;
    let b = Tensor::arange(24).reshape([2, 6, 2]);
    let p = tensor([0.1, 0.0, 0.2, 0.3, 0.05, 0.05, 0.05, 0.05, 0.1, 0.1]);
    let (lo, hi) = (tensor([[0], [-10]]), tensor([1, 5, 100]));
    let logits = Tensor::linspace(-1.0, 1.0, 20).reshape([4, 5]);
    let options = ChoiceOptions::new();
    let samples = CategoricalOptions::new();
    match name {
        "choice" => k.choice(&a, [3, 4]),
        "choice_axis" => k.choice_with(&b, [3], options.axis(1)),
        "choice_without" => k.choice_with(&a, [7], options.without_replacement()),
        "choice_axis_without" => k.choice_with(&b, [2, 2], options.without_replacement().axis(1)),
        "choice_weights" => k.choice_with(&a, [3, 4], options.weights(&p)),
        "choice_weights_without" => {
            k.choice_with(&a, [6], options.weights(&p).without_replacement())
        }
        "permutation_independent" => k.shuffle_each(&b, 1),
        "randint_bounds" => k.randint_between(lo, hi, [2, 3]),
        "randint_bounds_i8" => k.randint_between(lo.to(I8), hi.to(I8), [2, 3]),
        "categorical_shape" => k.categorical_with(&logits, -1, samples.samples([6])),
        "categorical_axis0_shape" => k.categorical_with(&logits, 0, samples.samples([2, 3])),
        "categorical_without" => {
            k.categorical_with(&logits, -1, samples.samples([3]).without_replacement())
        }
        "poisson" => k.poisson(tensor([0.0, 0.5, 3.0, 9.9]), [3, 4]),
        "poisson_large" => k.poisson(tensor([10.0, 60.0, 1e4]), [4, 3]),
        "normal_parts" => {
            let z = k.normal_of(C64, [5]);
            stack([z.real(), z.imag()], 0)
        }
        other => panic!("{other}"),
    }
}

#[test]
fn distributions_equal_jax() {
    let f = fixtures::read("random/distributions").unwrap();
    let mut failures = vec![];
    for (path, want) in &f.values {
        let (number, name) = path.split_once('/').unwrap();
        let k = key(if number == "key0" { 0 } else { 42 });
        let have = match name.rsplit_once('_') {
            Some((name, "f32")) => sample(&k, name, F32),
            Some((name, "f64")) => sample(&k, name, F64),
            _ => choice(&k, name),
        };
        let have: Literal = have.to_literal().unwrap_or_else(|e| panic!("{path}: {e}"));
        // erfinv, log and tan differ from those of XLA.
        let tolerance = Tolerance::of(have.dtype()).times(50.0);
        let result = if have.dtype().is_differentiable() {
            close_within(&have, want, tolerance)
        } else if have == *want {
            Ok(())
        } else {
            Err(format!("{:?} is not {:?}", have.to_f64s(), want.to_f64s()))
        };
        failures.extend(result.err().map(|e| format!("{path}: {e}")));
    }
    assert!(f.values.len() >= 170, "only {} samples", f.values.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn parameters_decide_the_dtype_and_are_differentiable() -> Result<()> {
    let k = key(3);
    assert_eq!(k.pareto(2, [2]).dtype(), F32);
    assert_eq!(k.pareto(tensor([2, 3]), [2]).dtype(), F32);
    assert_eq!(k.rayleigh(tensor([2.0]).to(BF16), [2]).dtype(), BF16);
    assert_eq!(k.lognormal(tensor([2.0]).to(F64), [2]).dtype(), F64);
    // The sample is proportional to the scale.
    let slope = grad(|s: Tensor| key(3).rayleigh(s, [5]).sum(..)).run(tensor(2.0))?.item()?;
    let sum = k.rayleigh(2.0, [5]).sum(..).item()?;
    assert!((slope - sum / 2.0).abs() < 1e-5 * sum, "{slope} {sum}");
    let slope = grad(|m: Tensor| key(3).normal_around(m, 1.0, [5]).sum(..)).run(tensor(2.0))?;
    assert_eq!(slope.item()?, 5.0);
    let bound = grad(|b: Tensor| key(3).uniform_of(F32, [5], 0.0, b).sum(..)).run(tensor(2.0))?;
    assert!((bound.item()? - k.uniform([5]).sum(..).item()?).abs() < 1e-5);
    // Both sides of the peak.
    let peak = grad(|m: Tensor| key(3).triangular(0.0, m, 1.0, [50]).sum(..)).run(tensor(0.5))?;
    assert!(peak.item()?.is_finite() && peak.item()? > 0.0);
    Ok(())
}

#[test]
fn samplers_are_traced_and_batched() -> Result<()> {
    let f = |k: Key, s: Tensor| k.truncated_normal(-&s, s, [4]);
    let jitted = jit(|(k, s): (Key, Tensor)| f(k, s)).run((key(1), tensor(0.5)))?;
    assert!(jitted.allclose(f(key(1), tensor(0.5)), 1e-6, 1e-6).item()? == 1.0);
    let each = vmap(|(k, s): (Key, Tensor)| f(k, s))((key(5).split_n(2), tensor([0.5, 2.0])));
    let [_, b] = key(5).split::<2>();
    assert!(each.get(1).allclose(f(b, tensor(2.0)), 1e-6, 1e-6).item()? == 1.0);
    Ok(())
}

#[test]
fn samplers_that_reject_are_traced_and_batched() -> Result<()> {
    let f = |k: Key, a: Tensor| {
        let x = k.gamma(a.clone(), [4]) + k.beta(a.clone(), 2.0, [4]);
        x + k.poisson(&a * 8.0, [4]).to(F32) + k.binomial(30, a * 0.1, [4])
    };
    let jitted = jit(|(k, a): (Key, Tensor)| f(k, a)).run((key(1), tensor(2.5)))?;
    assert!(jitted.allclose(f(key(1), tensor(2.5)), 1e-5, 1e-5).item()? == 1.0);
    let each = vmap(|(k, a): (Key, Tensor)| f(k, a))((key(5).split_n(2), tensor([0.5, 2.0])));
    let [_, b] = key(5).split::<2>();
    assert!(each.get(1).allclose(f(b, tensor(2.0)), 1e-5, 1e-5).item()? == 1.0);
    // The sample of a large shape moves with it.
    let slope = grad(|a: Tensor| key(3).gamma(a, [100]).mean(..)).run(tensor(1e4))?.item()?;
    assert!((slope - 1.0).abs() < 0.01, "{slope}");
    Ok(())
}

#[test]
fn moments_are_those_of_the_distributions() -> Result<()> {
    let k = key(9);
    let n = [40_000];
    let check = |name: &str, x: Tensor, mean: f64, variance: f64| {
        let (have, spread) = (x.mean(..).item().unwrap(), x.var(.., 0).item().unwrap());
        // Five standard errors of the mean; the variance to one part in ten.
        let limit = 5.0 * (variance / 40_000.0).sqrt();
        assert!((have - mean).abs() < limit, "{name}: mean {have}, not {mean}");
        assert!((spread / variance - 1.0).abs() < 0.1, "{name}: variance {spread}, not {variance}");
    };
    check("gamma", k.gamma(3.5, n), 3.5, 3.5);
    check("gamma below 1", k.gamma(0.5, n), 0.5, 0.5);
    check("beta", k.beta(2.0, 3.0, n), 0.4, 0.04);
    check("chisquare", k.chisquare(6.0, n), 6.0, 12.0);
    check("t", k.t(10.0, n), 0.0, 1.25);
    check("f", k.f(10.0, 40.0, n), 40.0 / 38.0, 0.2955);
    check("generalized_normal", k.generalized_normal(1.0, n), 0.0, 2.0);
    check("poisson", k.poisson(4.0, n).to(F32), 4.0, 4.0);
    check("poisson by rejection", k.poisson(150.0, n).to(F32), 150.0, 150.0);
    check("binomial", k.binomial(12, 0.3, n), 3.6, 2.52);
    check("binomial by rejection", k.binomial(200, 0.75, n), 150.0, 37.5);
    let covariance = tensor([[2.0, -1.0], [-1.0, 1.0]]);
    for options in [
        MultivariateNormalOptions::new(),
        MultivariateNormalOptions::new().eigh(),
        MultivariateNormalOptions::new().svd(),
    ] {
        let x = k.multivariate_normal_with(tensor([1.0, 2.0]), &covariance, n, options);
        assert!((x.t().cov(1) - &covariance).abs().max(..).item()? < 0.06, "{options:?}");
    }
    let ball = k.ball(2, 2.0, n);
    check("radius of the disc", ball.norm(-1), 2.0 / 3.0, 1.0 / 18.0);
    Ok(())
}

#[test]
fn extreme_parameters_have_values() -> Result<()> {
    let k = key(0);
    assert_eq!(k.geometric(1.0, [3]).to_vec::<i32>()?, [1, 1, 1]);
    assert_eq!(k.randint_between(5, 5, [3]).to_vec::<i32>()?, [5, 5, 5]);
    assert_eq!(k.uniform_of(F32, [2], tensor(1.0), tensor(1.0)).to_vec::<f32>()?, [1.0, 1.0]);
    assert_eq!(k.triangular(2.0, 2.0, 2.0, [2]).to_vec::<f32>()?, [2.0, 2.0]);
    assert_eq!(k.choice(&Tensor::zeros([0, 2]), [0]).shape(), [0, 2]);
    assert_eq!(k.exponential([0, 2]).shape(), [0, 2]);
    let counts = k.poisson(tensor([0.0, f32::NAN, f32::INFINITY, -1.0]), [4]);
    assert_eq!(counts.to_vec::<i32>()?, [0, -1, i32::MAX, -1]);
    let (none, all) = (k.binomial(10, 0, [2]), k.binomial(10, 1, [2]));
    assert_eq!((none.to_vec::<f32>()?, all.to_vec::<f32>()?), (vec![0.0; 2], vec![10.0; 2]));
    let odd = k.binomial(tensor([-1.0, 5.0, f32::INFINITY]), tensor([0.5, f32::NAN, 0.5]), [3]);
    let odd = odd.to_vec::<f32>()?;
    assert!(odd[0].is_nan() && odd[1].is_nan() && odd[2] == f32::INFINITY, "{odd:?}");
    let shapes = tensor([0.0, f32::NAN, f32::INFINITY, 1e30, 1e-30]);
    let x = k.gamma(&shapes, [5]).to_vec::<f32>()?;
    assert!(x[0] == 0.0 && x[1].is_nan() && x[3] > 0.9e30 && x[4] == 0.0, "{x:?}");
    assert_eq!(k.gamma(2.0, [0, 2]).shape(), [0, 2]);
    assert_eq!(k.poisson(2.0, [0]).shape(), [0]);
    assert_eq!((k.gamma(2.0, ()).rank(), k.binomial(2, 0.5, ()).rank()), (0, 0));
    assert_eq!(k.dirichlet(&tensor([1e-6, 1e-6]), [9]).sum(-1).to_vec::<f32>()?, [1.0; 9]);
    assert!(k.pareto(tensor(f32::NAN), [2]).is_nan().all(..).item()? == 1.0);
    let all = k.randint_between(tensor(i32::MIN), tensor(i32::MAX), [1000]);
    assert!(all.lt(0).any(..).item()? == 1.0 && all.gt(0).any(..).item()? == 1.0);
    Ok(())
}

#[test]
fn wrong_parameters_are_errors() {
    let k = key(0);
    let cases: [(Tensor, &str); 19] = [
        (k.exponential_of(I32, [2]), "expected dtype f16, bf16, f32 or f64, got i32"),
        (k.rademacher_of(U8, [2]), "expected a signed integer or float dtype, got u8"),
        (k.pareto(0.0, [2]), "expected a number above 0 as the shape parameter b, got 0.0"),
        (k.geometric(1.5, [2]), "expected a number from 0 to 1 as the probability, got 1.5"),
        (k.rayleigh(tensor([1.0, 2.0]), [3]), "parameters that broadcast to [3], got f32[2]"),
        (k.wald(tensor(1.0).to(C64), [3]), "expected real numbers, got c64[]"),
        (k.randint_between(0.5, 3, [2]), "expected integer bounds of 8 to 64 bits, got f32"),
        (k.choice(&tensor(1), [2]), "out of range"),
        (k.gamma(0.0, [2]), "expected a number above 0 as the shape parameter a, got 0.0"),
        (k.poisson(-1.0, [2]), "expected a number of at least 0 as the rate, got -1.0"),
        (k.binomial(5, 2.0, [2]), "expected a number from 0 to 1 as the probability, got 2.0"),
        (k.dirichlet(&tensor(1.0), [2]), "an axis of categories, got f32[]"),
        (k.multinomial(5, &tensor(1.0), [2]), "an axis of outcomes, got f32[]"),
        (
            k.multivariate_normal(tensor([0.0, 0.0]), &Tensor::eye(3), [2]),
            "a covariance of shape [.., n, n], got f32[2] and f32[3, 3]",
        ),
        (k.orthogonal_of(I32, [2, 2], ()), "expected dtype f16, bf16, f32 or f64, got i32"),
        (k.choice(&Tensor::zeros([0]), [2]), "expected at least 1 entries along axis 0 to draw 2"),
        (
            k.choice_with(&tensor([1, 2]), [3], ChoiceOptions::new().without_replacement()),
            "expected at least 3 entries along axis 0 to draw 3 without replacement, got i32[2]",
        ),
        (
            k.choice_with(&tensor([1, 2]), [3], ChoiceOptions::new().weights(&tensor([1.0]))),
            "expected weights of shape [2], one for each entry, got f32[1]",
        ),
        (
            k.categorical_with(
                &tensor([0.0, 1.0]),
                0,
                CategoricalOptions::new().samples([3]).without_replacement(),
            ),
            "expected at least 3 categories along axis 0",
        ),
    ];
    for (x, text) in cases {
        let e = x.ok().unwrap_err().to_string();
        assert!(e.contains(text), "{e}");
        assert!(e.contains("distributions.rs"), "{e}");
    }
}
