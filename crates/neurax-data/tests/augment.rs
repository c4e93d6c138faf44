//! All functions of augmentation: inside of `jit` and of `vmap` they do what they do eagerly.

use data::{Batch, augment};
use neurax::prelude::*;

/// A function of a key and images.
type AugmentFn = fn(&Key, &Tensor) -> Tensor;

/// Returns the functions by name. Those of batches are functions of the images, with targets that
/// are made of them, and return images and targets as one tensor.
fn functions() -> [(&'static str, AugmentFn); 12] {
    [
        ("flip_horizontal", augment::flip_horizontal),
        ("flip_vertical", augment::flip_vertical),
        ("crop", |key, x| augment::crop(key, x, [5, 4])),
        ("shift", |key, x| augment::shift(key, x, 0.3, 0.5)),
        ("rotate", |key, x| augment::rotate(key, x, 40.0, 0.5)),
        ("zoom", |key, x| augment::zoom(key, x, 0.5..=1.5, 0.5)),
        ("brightness", |key, x| augment::brightness(key, x, 0.3)),
        ("contrast", |key, x| augment::contrast(key, x, 0.8)),
        ("noise", |key, x| augment::noise(key, x, 0.2)),
        ("erase", |key, x| augment::erase(key, x, 0.1..=0.4, 0.5)),
        ("mix_up", |key, x| together(augment::mix_up(key, &batch(x), 0.4))),
        ("cut_mix", |key, x| together(augment::cut_mix(key, &batch(x), 1.0))),
    ]
}

/// Returns the images with the mean of each as the target.
fn batch(x: &Tensor) -> Batch {
    Batch { x: x.clone(), y: x.mean([1, 2, 3]) }
}

/// Returns the pixels and the target of each image, [n, pixels + 1].
fn together(batch: Batch) -> Tensor {
    let n = batch.x.dim(0);
    let pixels = batch.x.shape()[1..].iter().product::<usize>();
    concat([batch.x.reshape([n, pixels]), batch.y.reshape([n, 1])], -1)
}

fn images(dtype: DType) -> Tensor {
    key(9).uniform([6, 3, 8, 7]).to(dtype)
}

/// Returns the largest difference of two tensors of one type.
fn difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!((a.dtype(), a.shape()), (b.dtype(), b.shape()));
    (a.to(F32) - b.to(F32)).abs().max(..).item().unwrap()
}

#[test]
fn compiled_and_eager_results_are_equal() {
    // f16 has 11 bits: compiled functions may round once where eager ones round twice.
    for (dtype, most) in [(F32, 1e-5), (F64, 1e-5), (F16, 4e-3)] {
        let x = images(dtype);
        for (name, f) in functions() {
            let compiled = jit(move |(key, x): (Key, Tensor)| f(&key, &x));
            for seed in 0..3 {
                let eager = f(&key(seed), &x);
                assert_eq!(eager.dtype(), dtype, "{name} keeps the dtype");
                let got = compiled.run((key(seed), x.clone())).unwrap();
                let error = difference(&eager, &got);
                assert!(error <= most, "{name} of {dtype}, key {seed}: {error}");
            }
            let other = compiled.run((key(3), x.clone())).unwrap();
            assert!(difference(&f(&key(0), &x), &other) > 1e-3, "{name} depends on its key");
        }
    }
}

#[test]
fn half_floats_are_changed_like_floats() {
    let (x, half) = (images(F32), images(F16));
    for (name, f) in functions() {
        let error = difference(&f(&key(1), &x).to(F16), &f(&key(1), &half));
        assert!(error < 5e-3, "{name}: {error}");
    }
}

#[test]
fn vmap_changes_each_batch_by_its_key() {
    let x = stack([images(F32), images(F32).flip(0)], 0);
    for (name, f) in functions() {
        let keys = key(4).split_n(2);
        let one = |i: usize| f(&Key::from_tensor(keys.tensor().index(i)), &x.index(i));
        let want = stack([one(0), one(1)], 0);
        let both = vmap(move |(key, x): (Key, Tensor)| f(&key, &x))((keys, x.clone()));
        let error = difference(&want, &both);
        assert!(error <= 1e-5, "{name}: {error}");
    }
}
