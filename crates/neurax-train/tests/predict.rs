//! Predictions for data sets: order, smaller last batches, progress, errors.

use neurax::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Returns a network of one layer that doubles its input.
fn doubling() -> Net {
    let double = nn::layer("double", [nn::input("x", dims![_, 1])], |_, [x]| x * 2.0);
    double.bind(Vars::default())
}

/// Returns the examples 0, 1, 2, ..
fn counted(n: usize) -> Dataset {
    Dataset::new(Tensor::arange(n).to(F32).reshape([n, 1]), Tensor::zeros(n)).unwrap()
}

#[test]
fn predictions_are_in_order_also_with_a_smaller_last_batch() {
    let (net, set) = (doubling(), counted(7));
    let expected: Vec<f32> = (0..7u8).map(|i| 2.0 * f32::from(i)).collect();
    for y in [net.predict(&set), net.predict(set.batched(3)), net.predict(set.batched(1))] {
        let y = y.unwrap();
        assert_eq!(y.shape(), [7, 1]);
        assert_eq!(y.to_vec::<f32>().unwrap(), expected);
    }
    let dropped = net.predict(set.batched(3).drop_last()).unwrap();
    assert_eq!(dropped.shape(), [6, 1]);
}

#[test]
fn a_smaller_last_batch_is_compiled_once() {
    static TRACES: AtomicUsize = AtomicUsize::new(0);
    let counted_layer = nn::layer("counted", [nn::input("x", dims![_, 1])], |_, [x]| {
        TRACES.fetch_add(1, Ordering::Relaxed);
        x + 1.0
    });
    let net = counted_layer.bind(Vars::default());
    let traces = || {
        assert_eq!(net.predict(counted(11).batched(3)).unwrap().dim(0), 11);
        TRACES.load(Ordering::Relaxed)
    };
    let first = traces();
    assert_eq!((first, traces()), (2, first));
}

#[test]
fn predictions_of_all_outputs_have_names() {
    let x = nn::input("x", dims![_, 1]);
    let model = Model::new([("negative", -&x), ("double", &x + &x)]);
    let net = model.bind(Vars::default());
    let all = train::Prediction::new(&net).quiet().run_all(counted(3).batched(2)).unwrap();
    assert_eq!(all["negative"].to_vec::<f32>().unwrap(), [0.0, -1.0, -2.0]);
    assert_eq!(all["double"].to_vec::<f32>().unwrap(), [0.0, 2.0, 4.0]);
}

#[test]
fn handlers_see_every_batch_of_a_prediction_and_may_stop_it() {
    let (net, set) = (doubling(), counted(7));
    let mut seen = Vec::new();
    let stopped = train::Prediction::new(&net)
        .quiet()
        .on_batch(|p| seen.push((p.batch, p.batches, p.examples)))
        .on_batch(|p| if p.batch == 2 { Flow::Stop } else { Flow::Continue })
        .run(set.batched(3))
        .unwrap();
    assert_eq!((stopped.dim(0), seen), (6, vec![(1, Some(3), 3), (2, Some(3), 6)]));
    let failing = train::Prediction::new(&net).quiet();
    let failed = failing.on_batch(|_| Err::<(), _>(Error::new("handler", "broken"))).run(&set);
    assert!(failed.unwrap_err().to_string().contains("broken"));
}

#[test]
fn what_cannot_be_predicted_is_an_error_of_the_callers_line() {
    let error = |e: Result<Tensor>| e.unwrap_err().to_string();
    let e = error(doubling().predict(&counted(0)));
    assert!(e.contains("predict: expected at least one example, got none"), "{e}");
    assert!(e.contains("predict.rs"), "{e}");
    let e = error(doubling().predict(counted(4).batched(0)));
    assert!(e.contains("expected a batch size of at least 1, got 0"), "{e}");
    let wide = Dataset::new(Tensor::zeros([4, 2]), Tensor::zeros(4)).unwrap();
    let e = error(doubling().predict(&wide));
    assert!(e.contains("input `x`: expected shape [_, 1]"), "{e}");
    let sum = nn::layer("sum", [nn::input("x", dims![_, 1])], |_, [x]| x.sum(..));
    let e = error(sum.bind(Vars::default()).predict(&counted(4)));
    assert!(e.contains("expected an output of 4 rows, one for each example, got f32[]"), "{e}");
}

#[test]
fn streams_are_predicted_and_failures_of_sources_and_handlers_are_errors() {
    let numbers = |fails: bool| {
        data::Stream::range(0..5).try_map(move |i| match (i, fails) {
            (3, true) => Err(Error::new("file", "damaged")),
            _ => Ok((tensor([i as f32]), ())),
        })
    };
    let net = doubling();
    let y = net.predict_on(&numbers(false).batch(2)).unwrap();
    assert_eq!(y.flatten().to_vec::<f32>().unwrap(), [0.0, 2.0, 4.0, 6.0, 8.0]);
    let quiet = || train::Prediction::new(&net).quiet();
    let e = quiet().run_on(&numbers(true).batch(2)).unwrap_err().to_string();
    assert!(e.contains("damaged"), "{e}");
    let panics = quiet().on_batch(|p| assert!(p.batch < 2, "no more"));
    let e = panics.run(counted(7).batched(3)).unwrap_err().to_string();
    assert!(e.contains("a handler of `on_batch` panicked: no more"), "{e}");
    let panics = |out: &Applied| assert_eq!(out.y().dim(0), 0, "full");
    let e = quiet().for_each(&numbers(false).batch(2), panics).unwrap_err().to_string();
    assert!(e.contains("the function of `for_each` panicked: ") && e.contains("full"), "{e}");
    let mut calls = 0;
    let count = quiet().for_each(&numbers(false).batch(2), |_| {
        calls += 1;
        Flow::Stop
    });
    assert_eq!((count.unwrap(), calls), (2, 1));
}

#[test]
fn a_classifier_is_described_on_a_stream() {
    let at = std::env::temp_dir().join(format!("neurax-classify-{}", std::process::id()));
    let iris = data::iris().unwrap();
    let model = nn::input("flower", dims![_, 4]).dense(3).softmax();
    let train = |directory: train::RunDirectory| {
        let _ = std::fs::remove_dir_all(&at);
        Trainer::new(&model, loss::categorical_cross_entropy, optim::adam(0.01))
            .record(directory)
            .quiet()
            .run(&iris.batched(50), epochs(1))
            .unwrap();
        train::PredictionRecord::read(&at).unwrap().unwrap().confusion
    };
    let new = || train::RunDirectory::new(&at);
    let stream = iris.stream().map(|(x, y)| (x * 1.0, y)).batch(20);
    assert_eq!(train(new().classify(stream, &[])), train(new().classify(&iris, &[])));
}
