//! A lazy value is computed once for all its users, and keeps nothing of what it was made from.

use crate::counting::Counting;
use neurax::prelude::*;

#[test]
fn a_captured_random_value_is_computed_once() -> Result<()> {
    let backend = Counting::default();
    let device = backend.device()?;
    let x = tensor(1.0).on(&device);
    let k = key(3);
    let values: [(&str, Tensor); 6] = [
        ("normal", k.normal([1000])),
        ("uniform", k.uniform([1000])),
        ("randint", k.randint([1000], 0..10).to(F32)),
        ("permutation", k.permutation(1000).to(F32)),
        ("bernoulli", k.bernoulli(0.5, [1000]).to(F32)),
        ("sorted", k.normal([1000]).sort(0)),
    ];
    for (name, noise) in values {
        let f = jit(|x: Tensor| (&noise + x).sum(..));
        let first = f.run(x.clone())?.item()?;
        let mut again = None;
        let second = backend.eqns(|| {
            again = Some(f.run(x.clone())?);
            Ok(())
        })?;
        assert!(second <= 3, "{name}: the second call executes {second} equations");
        assert_eq!(again.unwrap().item()?, first, "{name}");
        let other = jit(|x: Tensor| (x * &noise).sum(..));
        let cost = backend.eqns(|| other.run(x.clone()))?;
        assert!(cost <= 3, "{name}: another function executes {cost} equations");
    }
    Ok(())
}

#[test]
fn a_value_that_the_function_makes_is_part_of_it() -> Result<()> {
    let f = jit(|x: Tensor| x + Tensor::ones([1000]) + key(0).normal([1000]));
    let text = f.stages(&tensor(0.0), true)?.list()[0].text.clone().unwrap_or_default();
    assert!(text.contains("threefry") && text.starts_with("graph(%0: f32[]) {"), "{text}");
    let ones = Tensor::ones([1000]);
    let g = jit(|x: Tensor| x + &ones);
    let text = g.stages(&tensor(0.0), true)?.list()[0].text.clone().unwrap_or_default();
    assert!(text.starts_with("graph(%0: f32[]) {"), "a constant is not an input:\n{text}");
    Ok(())
}

#[test]
fn keys_are_split_in_a_loop_without_a_chain() -> Result<()> {
    let mut k = key(0);
    for _ in 0..50_000 {
        let [_, b] = k.split();
        k = b;
    }
    assert_eq!(k.uniform([2]).to_vec::<f32>()?.len(), 2);
    for i in 0..5_000 {
        k = k.fold_in(i);
    }
    drop(k);
    Ok(())
}
