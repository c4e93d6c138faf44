//! Preparation and augmentation on valid inputs, while all programs look for indices out of bounds
//! and for NaN: none of them reports one. The switches hold for the whole process, so the tests are
//! in a separate program.

use data::augment;
use data::prepare::{
    Binner, FillMissing, Hashing, IntegerLookup, MinMaxScaler, Standardizer, StringLookup,
    TextVectorizer,
};
use neurax::prelude::*;

/// Runs a function of a tensor eagerly and compiled, and checks that the results are equal.
fn both(name: &str, x: &Tensor, f: impl Fn(&Tensor) -> Tensor + Send + Sync + 'static) {
    let eager = f(x).ok().unwrap_or_else(|e| panic!("{name}: {e}"));
    let compiled = jit(move |x: Tensor| f(&x)).run(x.clone());
    let compiled = compiled.unwrap_or_else(|e| panic!("{name} inside of jit: {e}"));
    let (a, b) =
        (eager.to(F64).to_vec::<f64>().unwrap(), compiled.to(F64).to_vec::<f64>().unwrap());
    assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-5), "{name}");
}

fn batch(x: &Tensor) -> data::Batch {
    data::Batch { x: x.clone(), y: Tensor::eye(4) }
}

fn watch() {
    debug::checks(true);
    debug::nans(true);
}

#[test]
fn preparation_of_valid_inputs_is_not_reported() {
    watch();
    let missing = tensor([[1.0, f32::NAN, 5.0], [3.0, 10.0, 5.0], [f32::NAN, 30.0, 5.0]]);
    for fill in [
        FillMissing::mean(&missing).unwrap(),
        FillMissing::median(&missing).unwrap(),
        FillMissing::median_parts([Ok(missing.clone())]).unwrap(),
        FillMissing::value(0.0),
    ] {
        let indicator = fill.clone();
        both("indicator", &missing, move |x| indicator.indicator(x));
        both("fill_missing", &missing, move |x| fill.apply(x));
    }
    let x = FillMissing::mean(&missing).unwrap().apply(&missing);
    let parts = || (0..3).map(|i| Ok(missing.slice(0, i..i + 1)));
    for scale in [Standardizer::fit(&missing).unwrap(), Standardizer::fit_parts(parts()).unwrap()] {
        assert!(scale.apply(&x).mean(0).abs().max(..).item().unwrap() < 1e-5);
        both("standardizer", &x, move |x| scale.apply(x));
    }
    for scale in [MinMaxScaler::fit(&missing).unwrap(), MinMaxScaler::fit_parts(parts()).unwrap()] {
        both("min_max", &x, move |x| scale.invert(&scale.apply(x)));
    }
    for bins in [Binner::fit(&missing, 3).unwrap(), Binner::fit_parts(parts(), 3).unwrap()] {
        let rows = bins.clone();
        both("bins", &missing, move |x| bins.apply(x));
        both("one-hot bins", &missing, move |x| rows.one_hot(x));
    }
    let lookup = IntegerLookup::fit(&tensor([900, 17, 4])).unwrap();
    let integers = tensor([4, 17, 900, 5, -100, 1000]);
    let rows = lookup.clone();
    assert_eq!(lookup.indices(&integers).to_vec::<i32>().unwrap(), [1, 2, 3, 0, 0, 0]);
    both("integer_lookup", &integers, move |x| lookup.indices(x));
    both("one-hot integers", &integers, move |x| rows.one_hot(x));
}

#[test]
fn preparation_of_texts_is_not_reported() {
    watch();
    let names = ["red", "blue", "", "red"];
    let (lookup, hashing) = (StringLookup::fit(names, None), Hashing::new(7).unwrap());
    let words = TextVectorizer::fit(["a b", "a"], None);
    for y in [
        lookup.indices(["pink", "red", ""]),
        lookup.one_hot(["pink", "red", ""]),
        hashing.indices(names),
        hashing.one_hot(names),
        words.indices(["a c", ""], 3),
        words.counts(["a c", ""]),
        words.tf_idf(["a c", ""]),
        data::TextColumn::new(names).indices,
    ] {
        assert!(y.error().is_none(), "{y}");
    }
}

#[test]
fn augmentation_is_not_reported() {
    watch();
    let x = key(1).uniform([4, 3, 7, 9]);
    let run = |name: &str, f: fn(&Key, &Tensor) -> Tensor| {
        let eager = f(&key(2), &x).ok().unwrap_or_else(|e| panic!("{name}: {e}"));
        let compiled = jit(move |(key, x): (Key, Tensor)| f(&key, &x)).run((key(2), x.clone()));
        let compiled = compiled.unwrap_or_else(|e| panic!("{name} inside of jit: {e}"));
        assert_eq!(eager.shape(), compiled.shape());
    };
    run("flip_horizontal", augment::flip_horizontal);
    run("flip_vertical", augment::flip_vertical);
    run("crop", |key, x| augment::crop(key, x, [5, 4]));
    run("shift", |key, x| augment::shift(key, x, 0.5, 0.0));
    run("rotate", |key, x| augment::rotate(key, x, 180.0, 0.0));
    run("zoom", |key, x| augment::zoom(key, x, 0.3..=3.0, 0.0));
    run("brightness", |key, x| augment::brightness(key, x, 0.5));
    run("contrast", |key, x| augment::contrast(key, x, 1.0));
    run("noise", |key, x| augment::noise(key, x, 0.1));
    run("erase", |key, x| augment::erase(key, x, 0.0..=1.0, 0.0));
    run("mix_up", |key, x| augment::mix_up(key, &batch(x), 0.2).x);
    run("cut_mix", |key, x| augment::cut_mix(key, &batch(x), 1.0).x);
}
