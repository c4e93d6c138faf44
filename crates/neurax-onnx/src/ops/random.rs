//! Random numbers.
//!
//! A node with a `seed` yields the same numbers whenever it is evaluated. One without draws new
//! numbers each time: in a session with the next key of a counter of the process, so that a program
//! that is started again draws the same numbers; in a network with the key of training, and not in
//! evaluation ([`crate::draw_keys`]). In the body of a compiled loop all iterations have the same
//! numbers.
//!
//! The numbers are those of the generator of Neurax, which differ from those of other runtimes.

use super::axes::size_of;
use super::constants::dtype_attribute;
use super::shapes::shape_of;
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{Operator, op};
use crate::value::OnnxValue;
use neurax_tensor::{CategoricalOptions, DType, Key, Tensor, key};

pub(crate) const OPERATORS: &[Operator] = &[
    op("Bernoulli", &[15, 22], 1..=1, bernoulli).attributes(&["dtype", "seed"]).random(),
    op("Multinomial", &[7, 22], 1..=1, multinomial)
        .attributes(&["dtype", "seed", "sample_size"])
        .random(),
    op("RandomNormal", &[1, 22], 0..=0, |c| normal(c, &shape(c)?, dtype(c, 0)?))
        .attributes(&["dtype", "mean", "scale", "seed", "shape"])
        .random(),
    op("RandomNormalLike", &[1, 22], 1..=1, |c| normal(c, &like(c)?, dtype(c, 0)?))
        .attributes(&["dtype", "mean", "scale", "seed"])
        .random(),
    op("RandomUniform", &[1, 22], 0..=0, |c| uniform(c, &shape(c)?, dtype(c, 0)?))
        .attributes(&["dtype", "high", "low", "seed", "shape"])
        .random(),
    op("RandomUniformLike", &[1, 22], 1..=1, |c| uniform(c, &like(c)?, dtype(c, 0)?))
        .attributes(&["dtype", "high", "low", "seed"])
        .random(),
];

/// Returns the key of the `seed`, a float, or the next key of the call.
fn key_of(c: &NodeCall) -> Result<Key, RuleFailure> {
    match c.float("seed")? {
        Some(seed) => Ok(key(i64::from(seed.to_bits()))),
        None => c.next_key(),
    }
}

fn shape(c: &NodeCall) -> Result<Vec<usize>, RuleFailure> {
    let sizes = c.required("shape", c.ints("shape")?)?;
    sizes.iter().map(|&n| size_of(n)).collect()
}

fn like(c: &NodeCall) -> Result<Vec<usize>, RuleFailure> {
    shape_of(c.value(0)?)
}

/// Returns the dtype of the attribute, or that of input `i`, or f32.
fn dtype(c: &NodeCall, i: usize) -> Result<DType, RuleFailure> {
    Ok(match (dtype_attribute(c, "dtype")?, c.optional_value(i)) {
        (Some(dtype), _) => dtype,
        (None, Some(OnnxValue::Tensor(x))) => x.dtype(),
        (None, _) => DType::F32,
    })
}

fn normal(c: &NodeCall, shape: &[usize], dtype: DType) -> RuleOutcome {
    let (mean, scale) = (c.float_or("mean", 0.0)?, c.float_or("scale", 1.0)?);
    let x = key_of(c)?.normal_of(dtype, shape);
    one(x * f64::from(scale) + f64::from(mean))
}

/// Returns uniform numbers. If `low` equals `high`, all are this number.
fn uniform(c: &NodeCall, shape: &[usize], dtype: DType) -> RuleOutcome {
    let (low, high) = (c.float_or("low", 0.0)?, c.float_or("high", 1.0)?);
    if low == high {
        return one(Tensor::full_of(dtype, shape, low));
    }
    one(key_of(c)?.uniform_of(dtype, shape, f64::from(low), f64::from(high)))
}

/// Returns 1 with the probability that each element is, else 0.
fn bernoulli(c: &NodeCall) -> RuleOutcome {
    let p = c.x(0)?;
    if !p.dtype().is_float() {
        return fail(format!("expected probabilities, got {}", p.ty()?));
    }
    let shape = p.shape().to_vec();
    one(key_of(c)?.bernoulli(&p, shape).to(dtype(c, 0)?))
}

/// Samples classes for each row of logarithms of probabilities, which need no normalization.
fn multinomial(c: &NodeCall) -> RuleOutcome {
    let logits = c.x(0)?;
    if logits.rank() != 2 || !logits.dtype().is_float() {
        return fail(format!("expected logits [batch, classes], got {}", logits.ty()?));
    }
    let dtype = dtype_attribute(c, "dtype")?.unwrap_or(DType::I32);
    if !matches!(dtype, DType::I32 | DType::I64) {
        return fail(format!("expected i32 or i64 as `dtype`, got {dtype}"));
    }
    let options = CategoricalOptions::new().samples([size_of(c.int_or("sample_size", 1)?)?]);
    one(key_of(c)?.categorical_with(&logits, -1, options).t().to(dtype))
}

#[cfg(test)]
mod tests {
    use crate::proto::{AttributeProto, NodeProto, OperatorSetId};
    use crate::testing::{edited, function, graph, int, int_list, model, node};
    use crate::{Importer, OnnxValue, import_bytes};
    use neurax::prelude::*;
    use std::collections::HashMap;

    fn float(name: &str, x: f32) -> AttributeProto {
        AttributeProto { name: name.into(), f: Some(x), r#type: 1, ..AttributeProto::default() }
    }

    /// Returns the results of two calls for 1,000 numbers `x`.
    fn two_draws(node: NodeProto, x: f32) -> [Tensor; 2] {
        let graph = graph(&[("x", &[-1, -1])], &["y"], vec![], vec![node]);
        let session = Importer::new().open_bytes(model(graph)).unwrap();
        [(); 2].map(|()| {
            let x = Tensor::full([10, 100], x);
            let inputs = HashMap::from([("x".to_string(), OnnxValue::Tensor(x))]);
            match session.run(inputs).unwrap().remove(0) {
                OnnxValue::Tensor(y) => y,
                other => panic!("{}", other.kind()),
            }
        })
    }

    fn floats(x: &Tensor) -> Vec<f32> {
        x.to(DType::F32).to_vec().unwrap()
    }

    #[test]
    fn calls_differ_unless_there_is_a_seed() {
        for op in ["RandomNormalLike", "RandomUniformLike", "Bernoulli"] {
            let [a, b] = two_draws(node(op, "x", "y"), 0.5);
            assert_ne!(floats(&a), floats(&b), "{op}");
            let [a, b] = two_draws(node(op, "x", "y").with(float("seed", 7.0)), 0.5);
            assert_eq!(floats(&a), floats(&b), "{op}");
        }
    }

    #[test]
    fn calls_differ_if_a_function_draws() {
        let noise = function("Noise", 21, "x", "y", vec![node("RandomNormalLike", "x", "y")]);
        let call = NodeProto { domain: "local".into(), ..node("Noise", "x", "y") };
        let file = edited(model(graph(&[("x", &[2])], &["y"], vec![], vec![call])), |m| {
            m.functions.push(noise);
            m.opset_import.push(OperatorSetId { domain: "local".into(), version: 1 });
        });
        let session = Importer::new().open_bytes(file).unwrap();
        let [a, b] = [(); 2].map(|()| {
            let x = OnnxValue::Tensor(Tensor::ones([2]));
            match session.run(HashMap::from([("x".to_string(), x)])).unwrap().remove(0) {
                OnnxValue::Tensor(y) => floats(&y),
                other => panic!("{}", other.kind()),
            }
        });
        assert_ne!(a, b);
    }

    #[test]
    fn networks_draw_with_the_key_of_training_and_not_in_evaluation() {
        for (op, x) in [("RandomNormal", ""), ("RandomUniformLike", "x"), ("Bernoulli", "x")] {
            let mut draw = node(op, x, "r");
            if x.is_empty() {
                draw = draw.with(int_list("shape", &[4, 25]));
            }
            let nodes = vec![draw, node("Add", "x r", "y")];
            let net =
                import_bytes(model(graph(&[("x", &[4, 25])], &["y"], vec![], nodes))).unwrap();
            let x = Tensor::full([4, 25], 0.5);
            let train = |seed| floats(net.model.apply(&net.vars, &x, &Mode::Train(key(seed))).y());
            assert_eq!(train(0), train(0), "{op}");
            assert_ne!(train(0), train(1), "{op}");
            let e = net.predictor(types![f32[4, 25]]).unwrap_err().to_string();
            assert!(e.contains(op) && e.contains("run the model as a `Session`"), "{e}");
            assert!(net.model.init(key(0), &types![f32[4, 25]]).is_ok(), "{op}");
        }
    }

    #[test]
    fn numbers_have_the_distribution_of_the_attributes() {
        let node = |op| node(op, "x", "y").with(float("seed", 1.0));
        let normal = node("RandomNormalLike").with(float("mean", 5.0)).with(float("scale", 2.0));
        let [y, _] = two_draws(normal, 0.0);
        assert!((y.mean(..).item().unwrap() - 5.0).abs() < 0.3);
        assert!((y.std(.., 0).item().unwrap() - 2.0).abs() < 0.2);
        let uniform = node("RandomUniformLike").with(float("low", 3.0)).with(float("high", 4.0));
        let [y, _] = two_draws(uniform.with(int("dtype", 11)), 0.0);
        assert_eq!(y.dtype(), DType::F64);
        assert!(floats(&y).iter().all(|y| (3.0..4.0).contains(y)));
        let [y, _] = two_draws(node("Bernoulli").with(int("dtype", 7)), 0.2);
        assert_eq!(y.dtype(), DType::I64);
        assert!((100.0..300.0).contains(&y.sum(..).item().unwrap()));
    }

    #[test]
    fn samples_are_classes_of_their_rows() {
        let samples = node("Multinomial", "x", "y").with(int("sample_size", 7));
        let [y, _] = two_draws(samples.with(int("dtype", 7)), 0.0);
        assert_eq!(y.ty().unwrap().to_string(), "i64[10, 7]");
        assert!(floats(&y).iter().all(|y| (0.0..100.0).contains(y)));
    }
}
