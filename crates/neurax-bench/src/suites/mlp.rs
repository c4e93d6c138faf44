//! Epochs of the dense classifier, over all examples in random order.

use super::training_loop::epochs_of_trainer;
use crate::{
    DisplayUnit, Report, Training, memory,
    nets::{Mlp, Network},
    training::{self, InPlace},
};
use neurax::prelude::*;

/// Measures `mlp-train`, an epoch as one compiled function; `mlp-train-steps`, an epoch with one
/// call per batch; `mlp-trainer`, an epoch of a [`Trainer`] with one call per epoch; and
/// `mlp-memory`, the peak memory of the process after the first of them, less the size of the data
/// set.
pub fn run(report: &mut Report) -> Result<()> {
    let net: Mlp = training::initial_network(report)?;
    let samples = report.args.samples as usize;
    let (x, y) = Mlp::examples(samples);
    for batch in report.args.batches(&[32, 128, 1024]) {
        let steps = samples / batch;
        if steps == 0 {
            return Err(Error::new(
                "bench",
                format!("the batch size {batch} exceeds the {samples} examples of the data set"),
            ));
        }
        let unit = DisplayUnit::Rate((steps * batch) as f64, "samples/s");

        let (epoch, mut training) =
            (epoch(&x, &y, batch, steps), InPlace::new(Training::new(net.clone())));
        let mut order = key(1);
        let mut run = || {
            let [next, now] = order.split();
            order = next;
            training.advance(|t| epoch.run((t, now)))?.item().map(drop)
        };
        report.measure("mlp-train", batch, unit, &mut run)?;
        if report.is_selected("mlp-memory") {
            run()?;
            let data = ((x.size() + y.size()) * 4) as f64;
            report.add_values(
                "mlp-memory",
                batch,
                "MB",
                memory::peak().map(|peak| (peak - data).max(0.0) / 1e6).into_iter().collect(),
            );
        }

        let (step, mut training) = (step(&x, &y), InPlace::new(Training::new(net.clone())));
        report.measure("mlp-train-steps", batch, unit, || {
            let [next, now] = order.split();
            order = next;
            let rows = shuffled(&now, samples, batch, steps);
            let mut last = tensor(0.0);
            for i in 0..steps {
                last = training.advance(|t| step.run((t, rows.get(i))))?;
            }
            last.item().map(drop)
        })?;

        if report.is_selected("mlp-trainer") {
            let set = Dataset::new(x.clone(), y.clone())?;
            let data = set.shuffled(key(1)).batched(batch).drop_last();
            let seconds = epochs_of_trainer(&data, usize::MAX, report.args.seconds, |_| Ok(()))?;
            report.add_seconds("mlp-trainer", batch, unit, &seconds);
        }
    }
    Ok(())
}

/// Returns the indices of the examples of each batch, `i32[steps, batch]`, in random order.
fn shuffled(key: &Key, samples: usize, batch: usize, steps: usize) -> Tensor {
    key.permutation(samples).slice(0, ..(steps * batch) as i64).reshape([steps, batch])
}

/// Returns the compiled function of one step on the examples with given indices.
fn step(x: &Tensor, y: &Tensor) -> Jit<'static, (Training<Mlp>, Tensor), (Training<Mlp>, Tensor)> {
    let (x, y) = (x.clone(), y.clone());
    jit(move |(t, rows): (Training<Mlp>, Tensor)| t.step(&x.take(&rows, 0), &y.take(&rows, 0)))
}

/// Returns the compiled function of all steps of an epoch, which returns the last loss.
fn epoch(
    x: &Tensor,
    y: &Tensor,
    batch: usize,
    steps: usize,
) -> Jit<'static, (Training<Mlp>, Key), (Training<Mlp>, Tensor)> {
    let (x, y) = (x.clone(), y.clone());
    jit(move |(t, key): (Training<Mlp>, Key)| {
        let order = shuffled(&key, x.dim(0), batch, steps);
        let (t, losses) = scan(t, order, |t, rows| t.step(&x.take(&rows, 0), &y.take(&rows, 0)));
        (t, losses.get(-1))
    })
}
