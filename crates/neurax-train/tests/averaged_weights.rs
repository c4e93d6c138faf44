//! The mean of the weights of a training as its result.

mod line;

use line::{line, model};
use neurax::prelude::*;
use neurax::train::{AveragedWeights, Checkpoints, EarlyStopping};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

fn path(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("neurax-averages-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    path
}

/// A network whose weights and running statistics are known.
fn normalized() -> Node {
    nn::input("x", dims![_, 2]).dense(3).layer(BatchNorm::new()).dense(1)
}

#[test]
fn the_mean_and_the_best_weights_are_not_both_the_result() {
    let best = EarlyStopping::new(train::lowest("loss")).restore_best();
    let trainer = Trainer::new(model(), loss::mse, optim::sgd(0.05)).handler(best).quiet();
    let trainer = trainer.average_weights(AveragedWeights::from_epoch(1));
    let e = trainer.run(&line(24).batched(4), epochs(2)).unwrap_err();
    assert_eq!(e.state.as_ref().unwrap().step, 0);
    assert!(e.to_string().contains("`Trainer::average_weights`, got both"), "{e}");
}

#[test]
fn averaged_weights_are_the_mean_of_the_epochs_with_their_statistics() {
    let data = line(24).shuffled(key(3)).batched(4);
    let kept = Arc::new(Mutex::new(vec![]));
    let sink = kept.clone();
    let note = move |s: &mut State| sink.lock().unwrap().push(s.vars.params.clone());
    let averaging = AveragedWeights::from_epoch(3).passes(20);
    let trainer = || {
        let trainer = Trainer::new(normalized(), loss::mse, optim::sgd(0.05)).quiet();
        trainer.validate(&line(24)).average_weights(averaging)
    };
    let trained = trainer().on(Event::EpochEnded, note).run(&data, epochs(5)).unwrap();
    let kept = kept.lock().unwrap();
    for (path, found) in trained.vars.params.leaves() {
        let sum = kept[2..].iter().fold(found.zeros_like(), |sum, params| sum + params.leaf(&path));
        let want = sum / 3.0;
        let gap = (found - want).abs().max(..).item().unwrap();
        assert!(gap < 1e-6, "{path}: {gap}");
    }
    // The statistics of the inputs of the normalization under the mean weights: 120 batches of the
    // same distribution, averaged exponentially.
    let hidden = line(24).x.matmul(&trained.vars.params["dense"]["kernel"]);
    let hidden = hidden + &trained.vars.params["dense"]["bias"];
    let gap = (hidden.mean(0) - &trained.vars.state["batch_norm"]["mean"]).abs().max(..);
    assert!(gap.item().unwrap() < 0.1, "{gap}");
    let scores = trained.evaluate(&line(24)).unwrap();
    assert_eq!(scores["loss"], trained.validation["loss"], "those of the mean");
    assert_ne!(scores["loss"], trained.history[4].validation["loss"]);

    // A run that is interrupted has the same mean; its checkpoint holds the last weights.
    let at = path("averaged");
    let first = trainer().handler(Checkpoints::new(&at));
    first.handler(train::StepLimit::new(25)).run(&data, epochs(5)).unwrap();
    let resumed = trainer().handler(Checkpoints::new(&at)).resume_from(&at, &data, epochs(5));
    let resumed = resumed.unwrap();
    let bits = |vars: &Vars| neurax::io::serialize(vars).unwrap();
    assert!(bits(&resumed.vars) == bits(&trained.vars));
    let last = State::load(at.join("step-000030")).unwrap();
    assert!(
        neurax::io::serialize(&last.vars.params).unwrap()
            == neurax::io::serialize(&kept[4]).unwrap()
    );
}

#[test]
fn running_statistics_of_a_mean_are_those_of_its_weights() {
    let set = line(24);
    let train = |averaging| {
        let trainer = Trainer::new(normalized(), loss::mse, optim::sgd(0.05)).quiet();
        trainer.average_weights(averaging).run(&set.batched(24), epochs(1)).unwrap()
    };
    let gaps = |trained: &Trained| {
        let (params, state) = (&trained.vars.params["dense"], &trained.vars.state["batch_norm"]);
        let hidden = set.x.matmul(&params["kernel"]) + &params["bias"];
        let gap = |a: Tensor, b: &Tensor| (a - b).abs().max(..).item().unwrap();
        [gap(hidden.mean(0), &state["mean"]), gap(hidden.var(0, 0), &state["var"])]
    };
    // One step leaves nine tenths of the initial mean 0 and variance 1.
    let old = gaps(&train(AveragedWeights::from_epoch(1).passes(0)));
    assert!(old[1] > 0.3, "{old:?}");
    // By default, there are 44 passes over this one batch.
    let new = gaps(&train(AveragedWeights::from_epoch(1)));
    assert!(new[0] < 0.02 && new[1] < 0.02, "{new:?}");
}

#[test]
fn a_training_goes_on_from_its_last_weights_behind_a_mean() {
    let data = line(24).batched(8);
    let trainer = || {
        let trainer = Trainer::new(normalized(), loss::mse, optim::sgd(0.05)).quiet();
        trainer.average_weights(AveragedWeights::from_epoch(2))
    };
    let bits = |vars: &Vars| neurax::io::serialize(vars).unwrap();
    let whole = trainer().run(&data, epochs(5)).unwrap();
    let first = trainer().run(&data, epochs(3)).unwrap();
    let at = path("mean");
    first.state.save(&at).unwrap();
    let mean = bits(&first.vars);
    let resumed = trainer().resume_exactly(first.state.clone(), &data, epochs(5)).unwrap();
    assert!(bits(&resumed.vars) == bits(&whole.vars));
    let loaded = trainer().resume_from(&at, &data, epochs(5)).unwrap();
    assert!(bits(&loaded.vars) == bits(&whole.vars));
    // `resume` begins with the mean.
    let first_vars = Arc::new(Mutex::new(vec![]));
    let sink = first_vars.clone();
    let note = move |s: &mut State| *sink.lock().unwrap() = neurax::io::serialize(&s.vars).unwrap();
    trainer().on(Event::Started, note).resume(first.state, &data, epochs(1)).unwrap();
    assert!(*first_vars.lock().unwrap() == mean);
}

#[test]
fn an_epoch_in_which_training_stops_and_an_interrupted_run_have_no_part_in_a_mean() {
    let data = line(24).batched(4);
    let trainer = || Trainer::new(model(), loss::mse, optim::sgd(0.05)).quiet();
    let kernel = |t: &Trained| t.vars.params["dense"]["kernel"].to_vec::<f32>().unwrap();
    let averaged = || trainer().average_weights(AveragedWeights::from_epoch(2));
    let want = averaged().run(&data, epochs(3)).unwrap();
    let stopped = averaged().handler(train::StepLimit::new(20)).run(&data, epochs(9)).unwrap();
    assert!(stopped.history[3].halted);
    assert_eq!(kernel(&stopped), kernel(&want));
    let interrupt = |s: &mut State| {
        let stops = s.history.len() == 3;
        if stops {
            s.status = train::Status::Interrupted;
        }
        if stops { Flow::Stop } else { Flow::Continue }
    };
    let interrupted = averaged().on(Event::EpochEnded, interrupt).run(&data, epochs(9)).unwrap();
    assert_eq!(kernel(&interrupted), kernel(&trainer().run(&data, epochs(3)).unwrap()));
}

/// Returns the largest difference of the running statistics from those of the hidden values.
fn statistics_gap(trained: &Trained, x: &Tensor) -> f64 {
    let (params, state) = (&trained.vars.params["dense"], &trained.vars.state["batch_norm"]);
    let hidden = x.matmul(&params["kernel"]) + &params["bias"];
    let gap = |a: Tensor, b: &Tensor| (a - b).abs().max(..).item().unwrap();
    gap(hidden.mean(0), &state["mean"]).max(gap(hidden.var(0, 0), &state["var"]))
}

#[test]
fn a_moving_average_is_that_of_all_steps_with_its_statistics() {
    let (set, decay) = (line(24), 0.6);
    let data = set.batched(24);
    let start = normalized().init(key(5), &types![f32[_, 2]]).unwrap();
    let kept = Arc::new(Mutex::new(vec![start.params.clone()]));
    let sink = kept.clone();
    let note = move |s: &mut State| sink.lock().unwrap().push(s.vars.params.clone());
    let trainer = || {
        let optim = optim::sgd(0.05);
        let trainer = Trainer::new(normalized(), loss::mse, optim).vars(start.clone()).quiet();
        trainer.validate(&set).average_weights(AveragedWeights::moving(decay))
    };
    let trained = trainer().on(Event::BatchEnded, note).run(&data, epochs(6)).unwrap();
    let kept = kept.lock().unwrap();
    assert_eq!(kept.len(), 7);
    let average = kept[1..].iter().fold(kept[0].clone(), |average, params| {
        average.zip_map(params, |a, p| a * decay + p * (1.0 - decay))
    });
    for (path, found) in trained.vars.params.leaves() {
        let gap = (found - average.leaf(&path)).abs().max(..).item().unwrap();
        assert!(gap < 1e-6, "{path}: {gap}");
    }
    assert!(statistics_gap(&trained, &set.x) < 0.02);
    let scores = trained.evaluate(&set).unwrap();
    assert_eq!(scores["loss"], trained.validation["loss"], "those of the average");
    assert_ne!(scores["loss"], trained.history[5].validation["loss"]);

    // A run that is interrupted has the same average.
    let at = path("moving");
    let first = trainer().handler(Checkpoints::new(&at));
    first.handler(train::StepLimit::new(4)).run(&data, epochs(6)).unwrap();
    let resumed = trainer().resume_from(&at, &data, epochs(6)).unwrap();
    let bits = |vars: &Vars| neurax::io::serialize(vars).unwrap();
    assert!(bits(&resumed.vars) == bits(&trained.vars));
    std::fs::remove_dir_all(&at).unwrap();
}

#[test]
fn the_average_of_an_optimizer_becomes_the_result() {
    let set = line(24);
    let trainer = |optim| Trainer::new(normalized(), loss::mse, optim).quiet();
    let chained = || optim::chain([optim::sgd(0.05), optim::average_weights(0.6)]);
    let run = |trainer: Trainer| trainer.run(&set.batched(8), epochs(3)).unwrap();
    let kernel = |t: &Trained| t.vars.params["dense"]["kernel"].to_vec::<f32>().unwrap();
    let of_optimizer = AveragedWeights::of_optimizer();
    let moving = run(trainer(optim::sgd(0.05)).average_weights(AveragedWeights::moving(0.6)));
    assert_eq!(kernel(&run(trainer(chained()).average_weights(of_optimizer))), kernel(&moving));

    let free = trainer(optim::schedule_free_adamw(0.1, 0.0)).average_weights(of_optimizer);
    let free = free.run(&set.batched(24), epochs(9)).unwrap();
    assert!(statistics_gap(&free, &set.x) < 0.02);

    let never = |_: &mut State| Err::<(), Error>(Error::new("step", "a step was taken"));
    let without = trainer(optim::adam(0.1)).average_weights(of_optimizer);
    let e = without.on(Event::BatchEnded, never).run(&set.batched(8), epochs(1)).unwrap_err();
    let e = e.to_string();
    assert!(e.contains("expected an optimizer that keeps an average of the weights"), "{e}");
    assert!(e.contains("use `AveragedWeights::moving(decay)`"), "{e}");
}
