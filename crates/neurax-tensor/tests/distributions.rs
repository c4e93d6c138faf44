//! Random distributions equal JAX's up to the rounding of their functions; integers and choices
//! are equal.

use neurax::{CategoricalOptions, ChoiceOptions, Literal, prelude::*};
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
        other => panic!("{other}"),
    }
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
    assert!(f.values.len() >= 90, "only {} samples", f.values.len());
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
fn extreme_parameters_have_values() -> Result<()> {
    let k = key(0);
    assert_eq!(k.geometric(1.0, [3]).to_vec::<i32>()?, [1, 1, 1]);
    assert_eq!(k.randint_between(5, 5, [3]).to_vec::<i32>()?, [5, 5, 5]);
    assert_eq!(k.uniform_of(F32, [2], tensor(1.0), tensor(1.0)).to_vec::<f32>()?, [1.0, 1.0]);
    assert_eq!(k.triangular(2.0, 2.0, 2.0, [2]).to_vec::<f32>()?, [2.0, 2.0]);
    assert_eq!(k.choice(&Tensor::zeros([0, 2]), [0]).shape(), [0, 2]);
    assert_eq!(k.exponential([0, 2]).shape(), [0, 2]);
    assert!(k.pareto(tensor(f32::NAN), [2]).is_nan().all(..).item()? == 1.0);
    let all = k.randint_between(tensor(i32::MIN), tensor(i32::MAX), [1000]);
    assert!(all.lt(0).any(..).item()? == 1.0 && all.gt(0).any(..).item()? == 1.0);
    Ok(())
}

#[test]
fn wrong_parameters_are_errors() {
    let k = key(0);
    let cases: [(Tensor, &str); 12] = [
        (k.exponential_of(I32, [2]), "expected dtype f16, bf16, f32 or f64, got i32"),
        (k.rademacher_of(U8, [2]), "expected a signed integer or float dtype, got u8"),
        (k.pareto(0.0, [2]), "expected a number above 0 as the shape parameter b, got 0.0"),
        (k.geometric(1.5, [2]), "expected a number from 0 to 1 as the probability, got 1.5"),
        (k.rayleigh(tensor([1.0, 2.0]), [3]), "parameters that broadcast to [3], got f32[2]"),
        (k.wald(tensor(1.0).to(C64), [3]), "expected real numbers, got c64[]"),
        (k.randint_between(0.5, 3, [2]), "expected integer bounds of 8 to 64 bits, got f32"),
        (k.choice(&tensor(1), [2]), "out of range"),
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
