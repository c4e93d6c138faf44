//! A model in a web service: one row without allocations, and the requests of many threads in
//! batches.

use neurax::prelude::*;
use std::thread;
use std::time::{Duration, Instant};

/// Returns a network that computes the probability that an order with 30 features is a fraud. Its
/// weights are random; a program would load them by `nn::Net::load` or `onnx::import`.
pub fn net() -> Result<Net> {
    let order = nn::input("order", dims![_, 30]);
    let model = order.dense(64).relu().dense(32).relu().dense(1).sigmoid().model();
    let vars = model.init(key(7), &types![f32[_, 30]])?;
    Ok(model.bind(vars))
}

/// Returns the features of the order `i`.
fn order(i: u64) -> [f32; 30] {
    std::array::from_fn(|feature| ((i + 1) * (feature as u64 + 3) % 17) as f32 / 17.0)
}

/// Runs the example.
pub fn main() -> Result<()> {
    let net = net()?;

    // One row at a time, into memory of the caller.
    let predictor = net.predictor(types![f32[1, 30]])?;
    let (x, mut score) = (Tensor::from_slice(&order(1), [1, 30]), Tensor::zeros([1, 1]));
    let start = Instant::now();
    (0..10_000).try_for_each(|_| predictor.run_into(&x, &mut [&mut score]))?;
    let micros = start.elapsed().as_secs_f64() * 100.0;
    println!("fraud with probability {:.3}; {micros:.2} µs a call", score.item()?);

    // The handlers of a web service: each waits for its result, and they share batches.
    let server = Serving::new(net.predictor(types![f32[_, 30]])?)
        .preprocess(|order: [f32; 30]| Ok(Tensor::from_slice(&order, [1, 30])))
        .postprocess(|score: Tensor| score.item())
        .max_batch(64)
        .timeout(Duration::from_secs(5))
        .start()?;
    assert!((server.run(order(1))? - score.item()?).abs() < 1e-5, "the same result");
    let handle = |caller: u64| (0..100).try_for_each(|i| server.run(order(caller + i)).map(drop));
    thread::scope(|s| {
        let handlers: Vec<_> = (0..16).map(|caller| s.spawn(move || handle(caller))).collect();
        let panicked = |_| Err(Error::new("serving", "a handler panicked"));
        handlers.into_iter().try_for_each(|h| h.join().unwrap_or_else(panicked))
    })?;
    let stats = server.stats();
    println!(
        "{} answers, p50 {:?}, p99 {:?}",
        stats.answered, stats.latency.p50, stats.latency.p99
    );
    Ok(())
}
