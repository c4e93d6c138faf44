//! A model inside a program: compiled once, called from several threads, without allocating memory
//! in a call.

use neurax::prelude::*;
use std::time::Instant;

/// Returns a network that computes the probability that an order with 30 features is a fraud. Its
/// weights are random; a program would load them from a file.
pub fn model() -> Jit<'static, Tensor, Tensor> {
    let layer =
        |i: u32, n: usize, m: usize| key(7).fold_in(i).normal([n, m]) * (2.0 / n as f64).sqrt();
    let weights = [layer(0, 30, 64), layer(1, 64, 32), layer(2, 32, 1)];
    jit(move |x: Tensor| {
        let [first, second, last] = &weights;
        x.matmul(first).relu().matmul(second).relu().matmul(last).sigmoid()
    })
}

/// Runs the example.
pub fn main() -> Result<()> {
    let model = model().compile(types![f32[1, 30]])?;
    let order = key(1).normal([1, 30]);
    println!("fraud with probability {:.3}", model.run(order.clone())?.item()?);

    // The threads share the model; each has its own output tensor, which all its calls overwrite.
    let answers = std::thread::scope(|s| {
        let worker = |i: i64| {
            let (model, mut out) = (&model, Tensor::zeros([1, 1]));
            move || {
                (0..100)
                    .try_for_each(|j| {
                        model.run_into(&key(i).fold_in(j).normal([1, 30]), &mut [&mut out])
                    })
                    .map(|()| out)
            }
        };
        let threads: Vec<_> = (0..4).map(|i| s.spawn(worker(i))).collect();
        threads
            .into_iter()
            .map(|t| t.join().unwrap_or_else(|_| Err(Error::new("serving", "a thread panicked"))))
            .collect::<Result<Vec<_>>>()
    })?;
    println!("{} threads have finished", answers.len());

    let (mut out, start) = (Tensor::zeros([1, 1]), Instant::now());
    (0..10_000).try_for_each(|_| model.run_into(&order, &mut [&mut out]))?;
    println!("{:.2} µs a call", start.elapsed().as_secs_f64() * 100.0);
    Ok(())
}
