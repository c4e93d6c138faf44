//! The cost of the training loop: epochs of the dense classifier by hand and by a trainer.

use crate::{DisplayUnit, Report, nets::Mlp, nets::Network, training::InPlace};
use neurax::{nn::OptState, prelude::*};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The names of the tasks of a trainer, with the steps of each call.
const TRAINERS: [(&str, usize); 3] =
    [("loop-trainer", 1), ("loop-trainer-8", 8), ("loop-trainer-epoch", usize::MAX)];
/// The fewest measured epochs; the first epoch compiles and is not measured.
const MIN_MEASURED_EPOCHS: usize = 3;

/// The state of a loop by hand.
#[derive(Tree, Clone, Debug)]
struct HandTraining {
    params: Params,
    opt: OptState,
}

/// Measures `loop-step`, epochs of the compiled step on one batch; `loop-trainer-step`, those of a
/// trainer on the same batch, and `loop-overhead`, the time that it takes longer; `loop-by-hand`,
/// epochs of shuffled batches through the step; and epochs of a trainer with 1 step, 8 steps and
/// all steps of an epoch per call. All have the same model, loss and optimizer.
pub fn run(report: &mut Report) -> Result<()> {
    let samples = report.args.samples as usize;
    let (x, y) = Mlp::examples(samples);
    let set = Dataset::new(x, y)?;
    for batch in report.args.batches(&[128]) {
        let data = set.shuffled(key(1)).batched(batch).drop_last();
        if data.is_empty() {
            let why = format!("the batch size {batch} exceeds the {samples} examples");
            return Err(Error::new("bench", why));
        }
        let per_second = |steps: usize| DisplayUnit::Rate((steps * batch) as f64, "samples/s");
        one_batch(report, &set.select(&(0..batch).collect::<Vec<_>>()), data.len())?;
        let (step, mut training, mut epoch) = (hand_step(), InPlace::new(start()?), 0);
        report.measure("loop-by-hand", batch, per_second(data.len()), || {
            let mut last = tensor(0.0);
            for batch in data.epoch(epoch) {
                last = training.advance(|t| step.run((t, batch)))?;
            }
            epoch += 1;
            last.item().map(drop)
        })?;

        for (task, steps) in TRAINERS {
            if report.is_selected(task) {
                let seconds = epochs_of_trainer(&data, steps, report.args.seconds, |_| Ok(()))?;
                report.add_seconds(task, batch, per_second(data.len()), &seconds);
            }
        }
        decoders(report, &set, batch)?;
    }
    Ok(())
}

/// Measures the step and a trainer on `batch`, of which an epoch has `steps`: after each epoch of
/// the trainer, one of the step, as the speed of the machine changes from second to second.
fn one_batch(report: &mut Report, batch: &Dataset, steps: usize) -> Result<()> {
    let tasks = ["loop-step", "loop-trainer-step", "loop-overhead"];
    if !tasks.iter().any(|task| report.is_selected(task)) {
        return Ok(());
    }
    let copy = || data::Batch { x: batch.x.clone(), y: batch.y.clone() };
    let batches: Vec<data::Batch> = (0..steps).map(|_| copy()).collect();
    let (own, times) = (batches.clone(), Arc::new(Mutex::new(vec![])));
    let (step, mut training, measured) = (hand_step(), InPlace::new(start()?), times.clone());
    let by_hand = move |_: &mut State| -> Result<()> {
        let start = Instant::now();
        for batch in &own {
            training.advance(|t| step.run((t, batch.clone())))?.item()?;
        }
        let seconds = start.elapsed().as_secs_f64();
        measured.lock().unwrap_or_else(PoisonError::into_inner).push(seconds);
        Ok(())
    };
    let trainer = epochs_of_trainer(&batches[..], 1, report.args.seconds, by_hand)?;
    let step = times.lock().unwrap_or_else(PoisonError::into_inner).split_off(1);
    let per_second = DisplayUnit::Rate((steps * batch.len()) as f64, "samples/s");
    report.add_seconds(tasks[0], batch.len(), per_second, &step);
    report.add_seconds(tasks[1], batch.len(), per_second, &trainer);
    let overhead = trainer.iter().zip(&step).map(|(t, s)| (t / s - 1.0) * 100.0).collect();
    report.add_values(tasks[2], batch.len(), "%", overhead);
    Ok(())
}

/// Measures `loop-ready`, epochs of a trainer on batches of a stream that are ready, and
/// `loop-decoder`, the same with a decoder that computes for half of the time of a step on each
/// batch, on two threads. With `NEURAX_THREADS=1`, two cores have room for both.
fn decoders(report: &mut Report, set: &Dataset, batch: usize) -> Result<()> {
    let tasks = ["loop-ready", "loop-decoder"];
    if !tasks.iter().any(|task| report.is_selected(task)) {
        return Ok(());
    }
    let count = set.len() / batch;
    let unit = DisplayUnit::Rate((count * batch) as f64, "samples/s");
    let seconds = epochs_of_trainer(
        &decoded(set, batch, Duration::ZERO),
        1,
        report.args.seconds,
        |_| Ok(()),
    )?;
    report.add_seconds(tasks[0], batch, unit, &seconds);
    let mean = seconds.iter().sum::<f64>() / (seconds.len() * count) as f64;
    let data = decoded(set, batch, Duration::from_secs_f64(mean / 2.0));
    let seconds = epochs_of_trainer(&data, 1, report.args.seconds, |_| Ok(()))?;
    report.add_seconds(tasks[1], batch, unit, &seconds);
    Ok(())
}

/// Returns the batches of a data set, each computed by one of two threads for at least `time`.
fn decoded(set: &Dataset, batch: usize, time: Duration) -> data::Stream<data::Batch> {
    let (set, count) = (set.clone(), set.len() / batch);
    let decode = move |i: usize| {
        let start = Instant::now();
        let rows: Vec<usize> = (i * batch..(i + 1) * batch).collect();
        let selected = set.select(&rows);
        while start.elapsed() < time {
            std::hint::spin_loop();
        }
        data::Batch { x: selected.x, y: selected.y }
    };
    data::Stream::range(0..count).map(decode).prefetch(2)
}

fn model() -> Model {
    nn::input("image", dims![_, 784]).dense(128).relu().dense(10).model()
}

fn start() -> Result<HandTraining> {
    let params = model().init(key(0), &types![f32[_, 784]])?.params;
    Ok(HandTraining { opt: crate::training::adam().init(&params), params })
}

/// A compiled step of a loop by hand: `(state, batch)` to `(state, loss)`.
type HandStep = Jit<'static, (HandTraining, data::Batch), (HandTraining, Tensor)>;

fn hand_step() -> HandStep {
    let (model, optim) = (model(), crate::training::adam());
    jit(move |(t, batch): (HandTraining, data::Batch)| {
        let (loss, grads) = value_and_grad_at(&t.params, |p| {
            let out = model.apply_with(&p, &Params::new(), &batch.x, &Mode::Eval);
            loss::sparse_categorical_cross_entropy_logits(out.y(), &batch.y)
        });
        let (params, opt) = optim.step(&t.params, &grads, t.opt);
        (HandTraining { params, opt }, loss)
    })
}

/// Returns the seconds of epochs of a trainer of the dense classifier with `steps` steps in a call,
/// about `seconds` in total; `after_epoch` is called after each epoch, of which the first one is
/// not returned.
pub(super) fn epochs_of_trainer(
    data: &(impl Source + ?Sized),
    steps: usize,
    seconds: f64,
    after_epoch: impl FnMut(&mut State) -> Result<()> + Send + 'static,
) -> Result<Vec<f64>> {
    let of_loss = loss::sparse_categorical_cross_entropy_logits;
    let enough = move |s: &mut State| {
        let measured: Vec<f64> = s.history.iter().skip(1).map(|log| log.seconds).collect();
        let is_enough = measured.iter().sum::<f64>() >= seconds;
        match is_enough && measured.len() >= MIN_MEASURED_EPOCHS {
            true => Flow::Stop,
            false => Flow::Continue,
        }
    };
    let trained = Trainer::new(model(), of_loss, crate::training::adam())
        .steps_per_call(steps)
        .on(Event::EpochEnded, after_epoch)
        .on(Event::EpochEnded, enough)
        .quiet()
        .run(data, epochs(usize::MAX))?;
    Ok(trained.history.iter().skip(1).map(|log| log.seconds).collect())
}
