//! Trainings with a step of the user run through the same loop.

use neurax::data::Batch;
use neurax::io;
use neurax::prelude::*;
use neurax::train::{Checkpoints, CustomTraining, EarlyStopping, JsonLines, lowest, once};
use std::path::PathBuf;

/// Two numbers with an optimizer each: `w` fits the data, `slow` follows `w`.
#[derive(Tree, Clone)]
struct Pair {
    w: Tensor,
    opt: nn::OptState,
    slow: Tensor,
}

fn batches() -> data::Batches {
    let x = key(3).normal([22, 1]);
    Dataset::new(x.clone(), x * 3.0).unwrap().shuffled(key(1)).batched(4)
}

fn fit(w: &Tensor, batch: &Batch) -> Tensor {
    loss::mse(&(&batch.x * w), &batch.y)
}

fn custom() -> CustomTraining<Pair, Tensor, Tensor, 2> {
    let optim = optim::adam(0.05);
    let w = tensor(0.0);
    let start = Pair { opt: optim.init(&w), w, slow: tensor(0.0) };
    let step = move |pair: Pair, batch: &Batch, key: Key| {
        let noisy = Batch { x: &batch.x + key.normal([1]) * 0.01, y: batch.y.clone() };
        let (loss, slope) = value_and_grad_at(&pair.w, |w| fit(&w, &noisy));
        let (w, opt) = optim.step(&pair.w, &slope, pair.opt);
        let slow = &pair.slow * 0.9 + &w * 0.1;
        let gap = (&w - &slow).abs();
        (Pair { w, opt, slow }, [loss, gap])
    };
    let scores = |pair: &Pair, batch: &Batch| [fit(&pair.w, batch), pair.slow.clone()];
    CustomTraining::new(start, ["loss", "gap"], step).evaluate_by(scores)
}

fn trainer() -> Trainer<Tensor, Tensor, Pair> {
    Trainer::custom(custom()).quiet()
}

fn bits(t: &Trained<Tensor, Tensor, Pair>) -> Vec<u8> {
    io::serialize(&(t.model.clone(), t.state.vars.clone(), t.state.key.clone())).unwrap()
}

fn path(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("neurax-custom-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    let _ = std::fs::remove_file(&path);
    path
}

#[test]
fn a_custom_step_equals_a_loop_by_hand() {
    let trained = trainer().run(&batches(), epochs(3)).unwrap();
    let optim = optim::adam(0.05);
    let (mut w, mut slow, mut opt) = (tensor(0.0), tensor(0.0), optim.init(&tensor(0.0)));
    let [_, mut run_key] = key(0).split();
    let mut losses = vec![];
    let step = jit(|(w, batch): (Tensor, Batch)| value_and_grad_at(&w, |w| fit(&w, &batch)));
    for epoch in 0..3 {
        for batch in batches().epoch(epoch) {
            let [next, now] = run_key.split();
            run_key = next;
            let noisy = Batch { x: &batch.x + now.normal([1]) * 0.01, y: batch.y.clone() };
            let (loss, slope) = step.run((w.clone(), noisy)).unwrap();
            (w, opt) = optim.step(&w, &slope, opt);
            slow = &slow * 0.9 + &w * 0.1;
            if epoch == 2 {
                losses.push((loss.item().unwrap(), batch.len() as f64));
            }
        }
    }
    let near = |a: f64, b: f64| (a - b).abs() < 1e-5;
    let found = &trained.model;
    assert!(near(found.w.item().unwrap(), w.item().unwrap()));
    assert!(near(found.slow.item().unwrap(), slow.item().unwrap()));
    let mean = losses.iter().map(|(l, n)| l * n).sum::<f64>() / 22.0;
    assert!(near(trained.history[2].train["loss"], mean), "{} {mean}", trained.loss);
    assert_eq!(trained.state.vars.params["w"]["value"].item().unwrap(), w_of(found));
}

fn w_of(pair: &Pair) -> f64 {
    pair.w.item().unwrap()
}

#[test]
fn a_step_that_panics_on_variables_of_another_type_leaves_the_state() {
    let step = |w: Tensor, batch: &Batch, _: Key| {
        assert_eq!(w.dtype(), F32, "a step of f32");
        let loss = fit(&w, batch);
        (w * 0.5, [loss])
    };
    let wide = |s: &mut State| s.vars.params = s.vars.params.map_leaves(|w| w.to(F64));
    let trainer = Trainer::custom(CustomTraining::new(tensor(1.0), ["loss"], step)).quiet();
    let trainer = trainer.on(Event::BatchEnded.when(once(2).batches()), wide);
    let failed = trainer.run(&batches(), epochs(1)).unwrap_err();
    assert!(failed.to_string().contains("a step of f32"), "{failed}");
    let state = failed.state.unwrap();
    assert_eq!((state.step, state.vars.params["value"]["value"].item().unwrap()), (2, 0.25));
}

#[test]
fn checkpoints_resumes_and_calls_of_several_steps_are_exact() {
    let whole = trainer().validate(batches()).run(&batches(), epochs(4)).unwrap();
    let at = path("points");
    let points = || Checkpoints::new(&at).every_steps(3).best(lowest("loss"));
    let fails = |s: &mut State| match s.step {
        11 => Err(Error::new("power", "gone")),
        _ => Ok(()),
    };
    let first = trainer().validate(batches()).handler(points()).on(Event::BatchEnded, fails);
    assert_eq!(first.run(&batches(), epochs(4)).unwrap_err().state.unwrap().step, 11);
    let resumed = trainer().validate(batches()).handler(points());
    let resumed = resumed.resume_from(&at, &batches(), epochs(4)).unwrap();
    assert!(bits(&resumed) == bits(&whole));
    assert_eq!(resumed.validation, whole.validation);
    let calls = trainer().validate(batches()).steps_per_call(4).run(&batches(), epochs(4)).unwrap();
    assert!(bits(&calls) == bits(&whole));
    assert_eq!(calls.history[3].train, whole.history[3].train);
}

#[test]
fn handlers_see_and_restore_the_tree() {
    let json = path("log.jsonl");
    let patient = EarlyStopping::new(lowest("loss")).patience(2).restore_best();
    let spoil = |s: &mut State| {
        if s.epoch >= 2 { s.vars.set("w.value", tensor(100.0)) } else { Ok(()) }
    };
    let trained = trainer()
        .validate(batches())
        .handler(patient)
        .handler(JsonLines::new(&json))
        .on(Event::BatchEnded, spoil)
        .run(&batches(), epochs(20))
        .unwrap();
    assert_eq!(trained.history.len(), 4);
    assert!(w_of(&trained.model) < 10.0, "the tree of the second epoch");
    let lines = std::fs::read_to_string(&json).unwrap();
    assert_eq!(lines.lines().count(), 4);
    assert!(lines.contains(r#""gap":"#), "{lines}");
    let scores = trained.evaluate(batches()).unwrap();
    assert_eq!(scores["loss"], trained.history[1].validation["loss"]);
}

#[test]
fn mistakes_of_steps_are_errors_before_the_first_one() {
    let w = || tensor([0.0, 0.0]);
    let run = |custom: CustomTraining<Tensor, Tensor, Tensor, 1>| {
        let failed = Trainer::custom(custom).quiet().run(&batches(), epochs(1)).unwrap_err();
        (failed.to_string(), failed.state.map(|s| s.step))
    };
    let grows = |w: Tensor, _: &Batch, _: Key| (concat([&w, &w], 0), [w.sum(..)]);
    let (e, step) = run(CustomTraining::new(w(), ["loss"], grows));
    assert!(e.contains("a step that returns a tree of the same structure and types"), "{e}");
    assert!(e.contains("expected `value.value` to be f32[2], got f32[4]"), "{e}");
    assert_eq!(step, Some(0));
    let vector = |w: Tensor, _: &Batch, _: Key| (w.clone(), [w]);
    let (e, _) = run(CustomTraining::new(w(), ["loss"], vector));
    assert!(e.contains("expected a scalar for each batch from the score `loss`"), "{e}");
    assert!(e.contains("tests/custom.rs"), "{e}");
    let (e, step) = run(CustomTraining::new(w(), ["cost"], |w: Tensor, _: &Batch, _: Key| {
        let cost = w.sum(..);
        (w, [cost])
    }));
    assert!(e.contains(r#"the first is called `loss`, got ["cost"]"#), "{e}");
    assert_eq!(step, None);
    let bad = |w: Tensor, batch: &Batch, _: Key| (w.clone(), [w.matmul(&batch.x).sum(..)]);
    let (e, _) = run(CustomTraining::new(w(), ["loss"], bad));
    assert!(e.contains("matmul"), "{e}");
    let none = CustomTraining::new(w(), ["loss"], |w: Tensor, _: &Batch, _: Key| {
        let loss = w.sum(..);
        (w, [loss])
    });
    let trainer = Trainer::custom(none).validate(batches()).quiet();
    let e = trainer.run(&batches(), epochs(1)).unwrap_err().to_string();
    assert!(e.contains("add `CustomTraining::evaluate_by`"), "{e}");
}

#[test]
fn a_state_of_another_tree_is_an_error() {
    let at = path("other");
    let save = at.clone();
    let second = Event::BatchEnded.when(once(2).batches());
    trainer().on(second, move |s| s.save(&save)).run(&batches(), epochs(1)).unwrap();
    let other = CustomTraining::new(tensor(0.0), ["loss"], |w: Tensor, _: &Batch, _: Key| {
        let loss = w.square();
        (w, [loss])
    });
    let e = Trainer::custom(other).quiet().resume_from(&at, &batches(), epochs(1)).unwrap_err();
    let e = e.to_string();
    assert!(e.contains("expected the state of a training of the same model"), "{e}");
}

/// A panic of a loss while the step is traced.
#[test]
fn a_panic_in_a_step_ends_with_an_error_that_holds_the_state() {
    let step = |w: Tensor, batch: &Batch, _: Key| {
        assert!(batch.len() == 4, "a batch of {}", batch.len());
        let (loss, slope) = value_and_grad_at(&w, |w| fit(&w, batch));
        (w - slope * 0.1, [loss])
    };
    let trainer = || Trainer::custom(CustomTraining::new(tensor(0.0), ["loss"], step)).quiet();
    let failed = trainer().run(&batches(), epochs(1)).unwrap_err();
    let text = failed.to_string();
    assert!(text.contains("a function of the training step panicked: a batch of 2"), "{text}");
    assert!(text.ends_with("(in epoch 1, batch 6)"), "{text}");
    let state = failed.state.unwrap();
    assert_eq!((state.step, state.batch), (5, 5));
    let rest = trainer().resume(*state, &batches().drop_last(), epochs(1)).unwrap();
    assert_eq!(rest.step, 10);
}

#[test]
fn a_custom_training_is_recorded_with_the_models_of_its_user() {
    let at = path("recorded");
    let line = nn::input("x", dims![_, 1]).dense(1).model();
    let directory = || {
        let directory = train::RunDirectory::new(&at).every_steps(2);
        directory.model("first", &line).model("second", &line).hyper_parameter("rate", 0.05)
    };
    let data = batches();
    let run = trainer().record(directory()).run(&data, epochs(2)).unwrap();
    let both = trainer().record(directory()).resume_from(&at, &data, epochs(3)).unwrap();
    assert_eq!(bits(&both), bits(&trainer().run(&data, epochs(3)).unwrap()));
    let files = train::RunFiles::read(&at);
    assert_eq!(files.problems, Vec::<String>::new());
    assert_eq!((files.epochs().count(), files.steps().count()), (3, both.step / 2));
    assert_eq!(files.checkpoints.last(), Some(&both.step));
    assert!(files.lines[0].train.contains_key("gap"), "{:?}", files.lines[0]);
    let record = files.record.unwrap();
    assert_eq!((record.sessions.len(), record.sessions[1].step), (2, run.step));
    let paths: Vec<&str> = record.layers.iter().map(|layer| layer.path.as_str()).collect();
    assert_eq!(paths, ["first.x", "first.dense", "second.x", "second.dense"]);
    assert_eq!(record.layers[3].inputs, ["second.x"]);
    std::fs::remove_dir_all(&at).unwrap();

    let classified = train::RunDirectory::new(&at).classify(&data, &[]);
    let never = |_: &mut State| Err::<(), Error>(Error::new("step", "a step was taken"));
    let trainer = trainer().record(classified).on(Event::BatchEnded, never);
    let e = trainer.run(&data, epochs(1)).unwrap_err().to_string();
    assert!(e.contains("expected the training of one model, got a custom one"), "{e}");
    std::fs::remove_dir_all(&at).unwrap();
}
