//! Random numbers equal JAX's: bit for bit, or, for normal and Gumbel distributions, up to the
//! rounding of their functions.

use neurax::Literal;
use neurax::prelude::*;
use neurax_testkit::{
    close::{Tolerance, close_within},
    fixtures,
};

const SEEDS: [i64; 4] = [0, 42, 1234567890123, -7];

fn shape_of(s: &str) -> Vec<usize> {
    if s == "scalar" { vec![] } else { s.split('x').map(|n| n.parse().unwrap()).collect() }
}

fn range_of<T: std::str::FromStr>(words: &[&str]) -> (T, T) {
    let number = |s: &str| s.parse::<T>().ok().unwrap();
    match words {
        ["from", a, "to", b] => (number(a), number(b)),
        other => panic!("{other:?}"),
    }
}

/// Samples the tensor that the name of a fixture describes; `None` if this crate has no such
/// function.
fn sample(k: &Key, name: &str, logits: impl Fn(&str) -> Tensor) -> Option<Tensor> {
    let words: Vec<&str> = name.split('_').collect();
    let dtype = |i: usize| DType::parse(words[i]).unwrap();
    Some(match words[..] {
        ["key"] => k.tensor().clone(),
        ["split", shape] if !shape.contains('x') => {
            k.split_n(shape.parse().unwrap()).tensor().clone()
        }
        ["fold", "in", data] => k.fold_in(data.parse::<u32>().unwrap()).tensor().clone(),
        ["fold", "in", "fold", "in", a, b] => {
            k.fold_in(a.parse::<i64>().unwrap()).fold_in(b.parse::<i64>().unwrap()).tensor().clone()
        }
        ["uniform", _, shape] => k.uniform_of(dtype(1), shape_of(shape), 0.0, 1.0),
        ["uniform", _, shape, ..] => {
            let (a, b) = range_of::<f64>(&words[3..]);
            k.uniform_of(dtype(1), shape_of(shape), a, b)
        }
        ["normal", _, shape] => k.normal_of(dtype(1), shape_of(shape)),
        ["gumbel", _, shape] => k.gumbel_of(dtype(1), shape_of(shape)),
        ["randint", .., "array"] => return None,
        ["randint", _, shape, ..] => {
            let (a, b) = range_of::<i128>(&words[3..]);
            if a >= b {
                // JAX returns the lower bound of an empty range, this crate an error.
                assert!(k.randint_of(dtype(1), shape_of(shape), a..b).error().is_some());
                return None;
            }
            k.randint_of(dtype(1), shape_of(shape), a..b)
        }
        ["bernoulli", _, "0.3", n] => k.bernoulli(Tensor::scalar(dtype(1), 0.3), shape_of(n)),
        ["bernoulli", _, "array", n] => {
            k.bernoulli(tensor([0.0, 0.25, 0.5, 0.75, 1.0]).to(dtype(1)), shape_of(n))
        }
        ["categorical", _, "logits"] => return None,
        ["categorical", d, axis] => {
            k.categorical(&logits(d), axis.strip_prefix("axis").unwrap().parse().unwrap())
        }
        ["categorical", d, _, "shape", _] => k.categorical(&logits(d).broadcast_to([6, 4, 5]), -1),
        ["permutation", "values", _] => k.shuffle(&tensor([0.0, 1.5, 3.0, 4.5, 6.0, 7.5]), 0),
        ["permutation", "rows", _] => k.shuffle(&Tensor::arange(21).reshape([7, 3]), 0),
        ["permutation", "columns", _] => k.shuffle(&Tensor::arange(12).reshape([2, 6]), 1),
        ["permutation", n] => k.permutation(n.parse().unwrap()),
        [bits, shape] if bits.starts_with("bits") => {
            k.bits_of(DType::parse(&bits.replace("bits", "u")).unwrap(), shape_of(shape))
        }
        _ => return None,
    })
}

#[test]
fn random_numbers_equal_jax() {
    let f = fixtures::read("random").unwrap();
    let (mut checked, mut skipped) = (0, 0);
    for (path, want) in &f.values {
        let (number, name) = path.strip_prefix("key").unwrap().split_once('/').unwrap();
        let logits = |d: &str| {
            Tensor::from(f.values[&format!("key{number}/categorical_{d}_logits")].clone())
        };
        let Some(have) = sample(&key(SEEDS[number.parse::<usize>().unwrap()]), name, logits) else {
            skipped += 1;
            continue;
        };
        let have: Literal = have.to_literal().unwrap_or_else(|e| panic!("{path}: {e}"));
        // The approximations of erfinv and log differ from those of XLA.
        let is_rounded = name.starts_with("normal") || name.starts_with("gumbel");
        let tolerance = Tolerance::of(have.dtype()).times(50.0);
        let result = if is_rounded {
            close_within(&have, want, tolerance)
        } else if have == *want {
            Ok(())
        } else {
            Err(format!("{:?} is not {:?}", have.to_f64s(), want.to_f64s()))
        };
        result.unwrap_or_else(|e| panic!("{path}: {e}"));
        checked += 1;
    }
    assert!(checked >= 400, "{checked} checked, {skipped} skipped");
}

#[test]
fn keys_are_traced_like_any_tensor() -> Result<()> {
    let f = jit(|k: Key| k.fold_in(3).normal([4]));
    assert_eq!(f.run(key(1))?.to_vec::<f32>()?, key(1).fold_in(3).normal([4]).to_vec::<f32>()?);
    let each = vmap(|k: Key| k.uniform([2]))(key(5).split_n(3));
    let [a, ..] = key(5).split::<3>();
    assert_eq!(each.get(0).to_vec::<f32>()?, a.uniform([2]).to_vec::<f32>()?);
    let e = Key::from_tensor(tensor([1.0])).uniform([2]).ok().unwrap_err();
    assert!(e.to_string().contains("expected a key, u32[2], got f32[1]"), "{e}");
    Ok(())
}
