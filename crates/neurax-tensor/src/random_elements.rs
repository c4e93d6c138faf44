//! Random numbers of many keys, one number of each: what `vmap` of a sampler of scalars over keys
//! draws.
//!
//! Keys are two u32 vectors, of their first and of their second words. Samplers of one element that
//! repeat until they accept (`api/gamma_distributions.rs`) run for all elements at a time.

use crate::{
    DType, Error, Key, Tensor,
    api::random::graph_of,
    dispatch::{apply_graph, dispatch_multi},
    random_bits::{DrawnFloat, normal_from, uniform_from, words_to_bits},
    tensor::CallSite,
};
use neurax_ir::{Builder, Value, op::Threefry};
use std::panic::Location;

/// The words of one key for each element.
pub(crate) type Keys = [Tensor; 2];

/// Splits `key` into `n` keys. Follows `jax.random.split`.
#[track_caller]
pub(crate) fn keys_of(key: &Key, n: usize) -> Keys {
    let words = key.split_n(n);
    [0, 1].map(|i| words.tensor().slice(1, i..i + 1).reshape([n]))
}

/// Returns key number `i` of a split of each key.
#[track_caller]
pub(crate) fn child(keys: &Keys, i: u32) -> Keys {
    let at = Location::caller();
    let (zero, counter) = (keys[0].zeros_like(), keys[0].full_like(i64::from(i)));
    let operands = [keys[0].clone(), keys[1].clone(), zero, counter];
    let mut words = match dispatch_multi(Threefry {}, operands, at) {
        Ok(words) => words.into_iter(),
        Err(e) => return [0, 1].map(|_| Tensor::error_at(e.clone(), at)),
    };
    [0, 1].map(|_| words.next().unwrap_or_else(Tensor::placeholder))
}

/// Samples a uniform number in `[0, 1)` of each key.
#[track_caller]
pub(crate) fn uniform_each(keys: &Keys, dtype: DType) -> Tensor {
    sample_each(keys, dtype, Location::caller(), |b, r, format| {
        uniform_from(b, r, format, 0.0, 1.0)
    })
}

/// Samples a normal number of each key.
#[track_caller]
pub(crate) fn normal_each(keys: &Keys, dtype: DType) -> Tensor {
    sample_each(keys, dtype, Location::caller(), normal_from)
}

/// Applies `build` to the random bits of each key for a float of `dtype`.
fn sample_each(
    keys: &Keys,
    dtype: DType,
    at: CallSite,
    build: impl FnOnce(&mut Builder, Value, DrawnFloat) -> Value,
) -> Tensor {
    let run = || {
        let format = DrawnFloat::of(dtype).map_err(|why| Error::new("random", why))?;
        let types = [keys[0].ty()?, keys[1].ty()?];
        let graph = graph_of(&types, at, |b, k| {
            // The counter of a scalar is 0.
            let zero = b.full_like(k[0], 0.0);
            let words = b.emit_n(Threefry {}, &[k[0], k[1], zero, zero], 2);
            let r = words_to_bits(b, (words[0], words[1]), format.drawn_bits());
            build(b, r, format)
        })?;
        apply_graph(&graph, keys.to_vec(), at)
    };
    match run() {
        Ok(out) => out.into_iter().next().unwrap_or_else(Tensor::placeholder),
        Err(e) => Tensor::error_at(e, at),
    }
}
