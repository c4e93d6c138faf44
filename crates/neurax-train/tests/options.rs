//! Options of the loop: norms, learning-rate search, weights of examples and classes, validation
//! sets, evaluations without a training.

mod line;

use line::{line, model};
use neurax::data::{Batch, SourceEpoch};
use neurax::prelude::*;
use neurax::train::{
    AveragedWeights, Checkpoints, Evaluator, JsonLines, RateFinder, cross_validate, every, k_fold,
};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

fn path(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("neurax-options-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    let _ = std::fs::remove_file(&path);
    path
}

fn near(a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{a} is not {b}");
}

/// Returns the norms of the gradients and the parameters before each step of single batches.
fn norms_by_hand(data: &data::Batches, start: &Vars, rate: f64) -> Vec<[f64; 2]> {
    let (model, optim) = (model().model(), optim::sgd(rate));
    let (mut params, mut opt) = (start.params.clone(), optim.init(&start.params));
    let norm = |p: &Params| {
        let squares = p.leaves().into_iter().map(|(_, t)| t.square().sum(..).item().unwrap());
        squares.sum::<f64>().sqrt()
    };
    let mut norms = vec![];
    for batch in data.epoch(0) {
        let (_, grads) = value_and_grad_at(&params, |p| {
            let out = model.apply_with(&p, &Params::new(), &batch.x, &Mode::Eval);
            loss::mse(out.y(), &batch.y)
        });
        norms.push([norm(&grads), norm(&params)]);
        (params, opt) = optim.step(&params, &grads, opt);
    }
    norms
}

#[test]
fn norms_are_those_of_each_step_with_any_optimizer_and_scale() {
    let data = line(10).batched(4);
    let start = model().init(key(5), &types![f32[_, 2]]).unwrap();
    let want = norms_by_hand(&data, &start, 0.1);
    let mean = |i: usize| want.iter().map(|norms| norms[i]).sum::<f64>() / want.len() as f64;
    let log = path("norms.jsonl");
    // Clipping comes after the norm is taken, and the factor of a scaled loss is no part of it.
    let scaled = optim::sgd(0.1).loss_scale(optim::LossScale::Static(1024.0));
    for (i, opt) in [optim::sgd(0.1), scaled].into_iter().enumerate() {
        let trainer = Trainer::new(model(), loss::mse, opt).vars(start.clone()).norms_by_layer();
        let trainer = trainer.validate(&line(3)).quiet();
        let trainer = match i {
            0 => trainer.handler(JsonLines::new(&log).every_steps(1)),
            _ => trainer.steps_per_call(2),
        };
        let trained = trainer.run(&data, epochs(1)).unwrap();
        let train = &trained.history[0].train;
        near(train["gradient_norm"], mean(0));
        near(train["weight_norm"], mean(1));
        near(train["gradient_norm[dense]"], mean(0));
        assert_eq!(trained.history[0].validation.iter().count(), 1, "the loss alone");
    }
    let clipped = optim::chain([optim::clip(1e-3), optim::sgd(1e-9)]);
    let trainer = Trainer::new(model(), loss::mse, clipped).vars(start).norms().quiet();
    near(trainer.run(&data, epochs(1)).unwrap().metrics["gradient_norm"], {
        let still = norms_by_hand(&data, &model().init(key(5), &types![f32[_, 2]]).unwrap(), 0.0);
        still.iter().map(|norms| norms[0]).sum::<f64>() / 3.0
    });
    let text = std::fs::read_to_string(&log).unwrap();
    assert_eq!(text.matches(r#""gradient_norm":"#).count(), 4, "{text}");
}

#[test]
fn norms_that_overflow_do_not_count_and_resume_exactly() {
    let rows = vec![1.0f32, 1.0, f32::INFINITY, 1.0, 2.0, 1.0];
    let set = Dataset::new(Tensor::from_vec(rows, [3, 2]), Tensor::ones([3, 1])).unwrap();
    let skipping = || {
        let optim = optim::sgd(0.01).non_finite(optim::NonFinite::Skip);
        Trainer::new(model(), loss::mse, optim).norms().quiet()
    };
    let whole = skipping().run(&set.batched(1), epochs(1)).unwrap();
    assert!(whole.metrics["gradient_norm"].is_finite(), "{whole:?}");
    let at = path("resume");
    let save = at.clone();
    let second = Event::BatchEnded.when(every(2).batches());
    skipping().on(second, move |s| s.save(&save)).run(&set.batched(1), epochs(1)).unwrap();
    let resumed = skipping().resume_from(&at, &set.batched(1), epochs(1)).unwrap();
    assert_eq!(resumed.history[0].train, whole.history[0].train);
    let plain = Trainer::new(model(), loss::mse, optim::sgd(0.01)).quiet();
    let e = plain.resume_from(&at, &set.batched(1), epochs(1)).unwrap_err().to_string();
    assert!(e.contains("expected the state of a training of the same"), "{e}");
}

#[test]
fn a_rate_search_finds_the_slope_and_leaves_everything_untouched() {
    let at = path("untouched");
    let calls = Arc::new(Mutex::new(0));
    let count = calls.clone();
    let vars = model().init(key(1), &types![f32[_, 2]]).unwrap();
    let before = vars.params["dense"]["kernel"].to_vec::<f32>().unwrap();
    let trainer = || {
        let trainer = Trainer::new(model(), loss::mse, optim::sgd(0.1)).vars(vars.clone());
        trainer.handler(Checkpoints::new(&at).every_steps(1)).steps_per_call(4)
    };
    let count_calls = move |_: &mut State| *count.lock().unwrap() += 1;
    let data = line(20).batched(5);
    let found = RateFinder::new().steps(60).range(1e-4, 100.0);
    let found = found.run(trainer().on(Event::BatchEnded, count_calls), &data).unwrap();
    assert!(found.diverged && found.points.len() < 60, "{found}");
    let rate = found.suggestion.unwrap();
    // Gradient descent on this loss diverges for rates above about 0.7.
    assert!((0.01..0.8).contains(&rate), "{found}");
    assert!((found.points[0].rate / 1e-4 - 1.0).abs() < 1e-9);
    let losses: Vec<f64> = found.points.iter().map(|p| p.loss).collect();
    let first = Evaluator::new(&model().model().bind(vars.clone()), loss::mse).quiet();
    let first = first.run(&[data.epoch(0).next().unwrap()][..]).unwrap()["loss"];
    near(losses[0], first);
    assert!(losses.iter().cloned().fold(f64::INFINITY, f64::min) < losses[0]);
    assert_eq!(vars.params["dense"]["kernel"].to_vec::<f32>().unwrap(), before);
    assert_eq!((at.exists(), *calls.lock().unwrap()), (false, 0));
}

#[test]
fn a_rate_search_takes_the_weighted_loss_of_each_batch() {
    let (x, t) = (tensor([[1.0], [2.0], [3.0], [4.0]]), Tensor::zeros([4, 1]));
    let set = Dataset::new(x.clone(), (t.clone(), tensor([1.0, 3.0, 0.0, 0.5]))).unwrap();
    let squares = || loss::of(loss::each::mse);
    let trainer = || Trainer::weighted(factor(), squares(), optim::sgd(0.1));
    let finder = RateFinder::new().range(1e-12, 1e-11).steps(4);
    let found = finder.run(trainer(), &set.batched(2)).unwrap();
    let losses: Vec<f64> = found.points.iter().map(|p| p.loss).collect();
    // (1 + 3 · 4) / 4, and 0.5 · 16 / 0.5, in each epoch.
    for (loss, want) in losses.iter().zip([3.25, 16.0, 3.25, 16.0]) {
        near(*loss, want);
    }
    assert!(losses.len() == 4 && !found.diverged, "{found}");
    let none = Dataset::new(x, (t, tensor([1.0, 3.0, 0.0, 0.0]))).unwrap();
    let e = finder.run(trainer(), &none.batched(2)).unwrap_err().to_string();
    assert!(e.contains("expected a positive sum of the weights of each batch, got 0"), "{e}");
}

#[test]
fn a_loss_that_is_not_finite_ends_a_rate_search_with_its_points() {
    let batch = |x: f32| Batch { x: Tensor::full([2, 2], x), y: Tensor::ones([2, 1]) };
    let data = [batch(1.0), batch(0.5), batch(f32::INFINITY), batch(1.0)];
    let sgd = || optim::sgd(0.1);
    for optim in [
        sgd(),
        sgd().non_finite(optim::NonFinite::Skip),
        sgd().non_finite(optim::NonFinite::Fail),
        sgd().loss_scale(optim::LossScale::dynamic()),
    ] {
        let trainer = Trainer::new(model(), loss::mse, optim);
        let found = RateFinder::new().run(trainer, &data[..]).unwrap();
        assert!(found.diverged && found.points.len() == 3, "{found}");
        assert!(found.points[1].loss.is_finite() && !found.points[2].loss.is_finite(), "{found}");
    }
}

#[test]
fn invalid_rate_searches_are_errors() {
    let data = line(8).batched(4);
    let run = |finder: RateFinder, optim: Optim| {
        let trainer = Trainer::new(model(), loss::mse, optim);
        finder.run(trainer, &data).unwrap_err().to_string()
    };
    let finder = RateFinder::new;
    for (finder, part) in [
        (finder().range(1.0, 0.1), "expected rates 0 < low < high, got 1 and 0.1"),
        (finder().range(0.0, 0.1), "expected rates 0 < low < high"),
        (finder().steps(1), "expected at least 2 steps, got 1"),
        (finder().smoothing(1.0), "expected a smoothing in 0..1, got 1"),
        (finder().divergence(f64::NAN), "expected a divergence above 1"),
    ] {
        let e = run(finder, optim::sgd(0.1));
        assert!(e.contains(part) && e.contains("tests/options.rs"), "{e}");
    }
    let e = run(finder(), optim::sgd(optim::exponential(0.1, 0.5, 10)));
    assert!(e.contains("rate_finder: expected an optimizer with a constant learning rate"), "{e}");
}

/// A source that counts its epochs and batches.
struct Counted {
    data: data::Batches,
    epochs: Mutex<usize>,
    batches: Mutex<usize>,
}

impl Counted {
    fn new(data: data::Batches) -> Counted {
        Counted { data, epochs: Mutex::new(0), batches: Mutex::new(0) }
    }
}

impl Source for Counted {
    fn epoch(&self, epoch: usize) -> SourceEpoch<'_, Tensor, Tensor> {
        *self.epochs.lock().unwrap() += 1;
        Box::new(self.data.epoch(epoch).map(|batch| {
            *self.batches.lock().unwrap() += 1;
            Ok(batch)
        }))
    }
    fn batches(&self) -> Option<usize> {
        None
    }
}

#[test]
fn frozen_parameters_alone_need_no_pass_for_running_statistics() {
    let node = nn::input("x", dims![_, 2]).dense(3).dense(1);
    let mut vars = node.init(key(1), &types![f32[_, 2]]).unwrap();
    vars.freeze("dense.kernel").unwrap();
    let source = Counted::new(line(8).batched(4));
    let trainer = Trainer::new(node, loss::mse, optim::sgd(0.05)).vars(vars).quiet();
    let trainer = trainer.average_weights(AveragedWeights::from_epoch(1));
    trainer.run(&source, epochs(2)).unwrap();
    assert_eq!(*source.epochs.lock().unwrap(), 2);
}

#[test]
fn an_epoch_that_a_handler_ends_asks_for_one_more_batch() {
    let source = Counted::new(line(40).batched(4));
    let vars = model().init(key(1), &types![f32[_, 2]]).unwrap();
    let trainer = Trainer::new(model(), loss::mse, optim::sgd(0.05)).vars(vars).quiet();
    let trainer = trainer.steps_per_call(3).on(Event::BatchEnded, |_| Flow::StopEpoch);
    let trained = trainer.run(&source, epochs(1)).unwrap();
    assert_eq!((trained.step, *source.batches.lock().unwrap()), (3, 4));
    assert!(trained.history[0].halted);
}

#[test]
fn scores_of_which_nothing_counts_do_not_end_a_training() {
    // The squares of scaled gradients overflow, the gradients do not.
    let scaled = optim::sgd(0.1).loss_scale(optim::LossScale::Static(1e30));
    let trainer = Trainer::new(model(), loss::mse, scaled).norms().handler(train::StopOnNan);
    let trained = trainer.quiet().run(&line(8).batched(4), epochs(2)).unwrap();
    assert!(trained.loss.is_finite() && trained.metrics["gradient_norm"].is_nan());
    let weights = tensor([0.0, 1.0]);
    let set = Dataset::new(Tensor::ones([2, 1]), (Tensor::zeros([2, 1]), weights)).unwrap();
    let squares = loss::of(loss::each::mse);
    let trainer = Trainer::weighted(factor(), squares, optim::sgd(0.1)).quiet();
    let trained = trainer.handler(train::StopOnNan).run(&set.batched(1), epochs(1)).unwrap();
    assert_eq!(trained.loss, 1.0);
}

#[test]
fn averages_of_no_epoch_change_nothing() {
    let data = line(12).batched(4);
    let train = |trainer: Trainer| {
        let trained = trainer.quiet().run(&data, epochs(2)).unwrap();
        trained.vars.params["dense"]["kernel"].to_vec::<f32>().unwrap()
    };
    let trainer = || Trainer::new(model(), loss::mse, optim::sgd(0.05));
    let later = trainer().average_weights(AveragedWeights::from_epoch(3));
    assert_eq!(train(later), train(trainer()));
}

/// A model of one number `w`, which predicts `w · x`.
fn factor() -> Node {
    nn::layer("factor", [nn::input("x", dims![_, 1])], |cx, [x]| {
        x * cx.param("w", (), init::ones())
    })
}

#[test]
fn weights_of_examples_are_a_weighted_mean() {
    let x = tensor([[1.0], [2.0], [3.0], [4.0], [5.0]]);
    let t = Tensor::zeros([5, 1]);
    let weights = tensor([2.0, 0.0, 1.0, 0.5, 0.0]);
    let set = Dataset::new(x, (t, weights)).unwrap();
    let squares = || loss::of(loss::each::mse);
    let trainer = |optim| Trainer::weighted(factor(), squares(), optim).quiet();
    // The mean over all examples, which is not that of the means of the batches: (2·1 + 1·9 + 16/2)
    // / 3.5.
    for k in [1, usize::MAX] {
        let still =
            trainer(optim::sgd(0.0)).weighted_metric(metric::mae()).validate(set.batched(4));
        let trained = still.steps_per_call(k).run(&set.batched(2), epochs(1)).unwrap();
        let log = &trained.history[0];
        near(log.train["loss"], 19.0 / 3.5);
        near(log.validation["loss"], 19.0 / 3.5);
        near(log.train["mae"], (2.0 * 1.0 + 3.0 + 0.5 * 4.0) / 3.5);
    }
    // One step on the first two: the gradient of the weighted mean of (w x)² is 2 w x² of one.
    let one = set.select(&[0, 1]);
    let trained = trainer(optim::sgd(0.25)).run(&one.batched(2), epochs(1)).unwrap();
    near(trained.vars.params["factor"]["w"].item().unwrap(), 1.0 - 0.25 * 2.0);
    // A batch without weights changes nothing, and does not count.
    let none = set.select(&[1, 4]);
    let trained = trainer(optim::sgd(0.25)).run(&none.batched(1), epochs(1)).unwrap();
    assert_eq!(trained.vars.params["factor"]["w"].item().unwrap(), 1.0);
    // A penalty is not weighted.
    let penalized = trainer(optim::sgd(0.0)).penalty(nn::regularize::l2("**", 1.0));
    let trained = penalized.run(&set.batched(5), epochs(1)).unwrap();
    assert!(trained.loss > 19.0 / 3.5 + 0.4, "{}", trained.loss);
}

#[test]
fn a_weighted_training_refuses_losses_that_are_another_mean() {
    let set = Dataset::new(Tensor::ones([4, 1]), (Tensor::ones([4, 1]), Tensor::ones(4))).unwrap();
    let squares = || loss::of(loss::each::mse);
    let refused = |loss: loss::Criterion| {
        let never = |_: &mut State| Err::<(), Error>(Error::new("step", "a step was taken"));
        let trainer = Trainer::weighted(factor(), loss, optim::sgd(0.1)).quiet();
        let line = format!("options.rs:{}:", line!() - 1);
        // A validation set is not the place of the mistake.
        let trainer = trainer.validate(&set).on(Event::BatchEnded, never);
        let e = trainer.run(&set.batched(2), epochs(1)).unwrap_err().to_string();
        assert!(e.contains(&line), "{e}");
        let profiled =
            Trainer::weighted(factor(), squares().reduction(loss::Reduction::Sum), optim::sgd(0.1))
                .profile(&set.batched(2));
        assert!(profiled.unwrap_err().to_string().contains("the options reduction"));
        e
    };
    let classes = || loss::CrossEntropyLoss::new().class_weights(&tensor([1.0, 2.0]));
    for (loss, options) in [
        (squares().reduction(loss::Reduction::Sum), "reduction"),
        (squares().reduction(loss::Reduction::None), "reduction"),
        (squares().mask(&tensor([true, false])), "mask"),
        (squares().weights(&tensor([1.0, 2.0])), "weights"),
        (squares() + classes().ignore_index(0).criterion(), "class_weights, ignore_index"),
    ] {
        let e = refused(loss);
        assert!(e.contains(&format!("got one with the options {options}: leave them out")), "{e}");
    }
    // Sums and multiples are means as well.
    let loss = 0.5 * squares() + loss::of(loss::each::mae);
    let trainer = Trainer::weighted(factor(), loss, optim::sgd(0.0)).quiet();
    assert_eq!(trainer.run(&set.batched(2), epochs(1)).unwrap().loss, 0.0);
}

#[test]
fn validation_sets_may_be_streams_and_sources_of_the_user() {
    let set = line(10);
    let trainer = || Trainer::new(model(), loss::mse, optim::sgd(0.1)).quiet();
    let want = trainer().validate(&set).run(&set.batched(5), epochs(2)).unwrap();
    let stream = set.stream().map(|(x, y)| (x * 1.0, y * 1.0)).batch(3);
    let trained = trainer()
        .validate(stream)
        .validate_on("counted", Counted::new(set.batched(4)))
        .validate_on("batches", &set.batched(5))
        .run(&set.batched(5), epochs(2))
        .unwrap();
    for name in ["loss", "counted loss", "batches loss"] {
        near(trained.validation[name], want.validation["loss"]);
    }

    // An error of a source names the line of the validation set.
    let fails = set.stream().map(|_| -> (Tensor, Tensor) { panic!("no example") }).batch(3);
    let at = line!() + 1;
    let trainer = trainer().validate(fails);
    let e = trainer.run(&set.batched(5), epochs(1)).unwrap_err().to_string();
    assert!(e.contains("no example") && e.contains(&format!("options.rs:{at}:")), "{e}");
}

#[test]
fn weights_of_classes_multiply_the_losses_of_their_examples() {
    let x = tensor([[0.0], [0.0], [0.0]]);
    let labels = tensor([0, 1, 1]);
    // Without a weight on x, the prediction is that of the bias: the softmax of (0, ln 3).
    let logits = || {
        nn::layer("logits", [nn::input("x", dims![_, 1])], |cx, [x]| {
            let start = init::Init::new("start", |_, _| tensor([0.0, 3f32.ln()]));
            x * 0.0 + cx.param("bias", 2, start)
        })
    };
    let of_class = tensor([4.0, 1.0]);
    let [rare, common] = [4f64.ln(), (4.0f64 / 3.0).ln()];
    let want = (4.0 * rare + 2.0 * common) / 6.0;
    let weighted = loss::CrossEntropyLoss::new().class_weights(&of_class);
    let set = Dataset::new(x.clone(), labels.clone()).unwrap();
    let trainer = Trainer::new(logits(), weighted, optim::sgd(0.0)).quiet();
    near(trainer.run(&set.batched(3), epochs(1)).unwrap().loss, want);
    // As weights of examples, the mean is exact over batches of any size.
    let weights = of_class.take(&labels, 0);
    let set = Dataset::new(x, (labels, weights)).unwrap();
    let loss = loss::of(loss::each::sparse_categorical_cross_entropy_logits);
    let trainer = Trainer::weighted(logits(), loss, optim::sgd(0.0)).quiet();
    near(trainer.run(&set.batched(2), epochs(1)).unwrap().loss, want);
}

#[test]
fn scaled_losses_in_f16_train_in_calls_of_several_steps() {
    let data = line(64).shuffled(key(1)).batched(8);
    let model = nn::input("x", dims![_, 2]).dense(16).tanh().dense(1).model();
    let scale = optim::LossScale::Dynamic { init: 1e9, period: 20, factor: 2.0, min: 1.0 };
    let train = |k| {
        let mixed = nn::Policy::mixed(F16).apply(&model);
        let trainer = Trainer::new(&mixed, loss::mse, optim::adam(0.02).loss_scale(scale));
        trainer.norms().steps_per_call(k).quiet().run(&data, epochs(20)).unwrap()
    };
    let (single, calls) = (train(1), train(4));
    let skipped = |t: &Trained| -> usize { t.history.iter().map(|log| log.skipped).sum() };
    assert!(skipped(&single) > 0 && skipped(&single) == skipped(&calls));
    assert!(single.loss < 0.05 && single.vars.params["dense"]["kernel"].dtype() == F32);
    assert_eq!(single.history[19].train, calls.history[19].train);
    let norms: Vec<f64> = single.history.iter().map(|log| log.train["gradient_norm"]).collect();
    // In the first epoch, no step counts.
    assert!(norms[0].is_nan() && norms[19] > 0.0, "{norms:?}");
    assert!(norms[4..].iter().all(|norm| *norm < 100.0), "without the factor: {norms:?}");
}

/// A source that is no data set.
struct Halves(Dataset);

impl Source for Halves {
    fn epoch(&self, _: usize) -> SourceEpoch<'_, Tensor, Tensor> {
        Box::new(self.0.batched(3).epoch(0).map(Ok).collect::<Vec<_>>().into_iter())
    }
    fn batches(&self) -> Option<usize> {
        None
    }
}

#[test]
fn a_network_is_evaluated_without_a_training() {
    let set = line(10);
    let trainer = Trainer::new(model(), loss::mse, optim::adam(0.05)).metric(metric::mae());
    let trained = trainer.quiet().run(&set.batched(5), epochs(20)).unwrap();
    let want = trained.evaluate(&set).unwrap();
    let net = trained.net();
    let evaluation = || Evaluator::new(&net, loss::mse).metric(metric::mae()).quiet();
    for scores in
        [evaluation().run(&Halves(set.clone())), trained.evaluate_on(&Halves(set.clone()))]
    {
        let scores = scores.unwrap();
        near(scores["loss"], want["loss"]);
        near(scores["mae"], want["mae"]);
    }
    let gap =
        Evaluator::new(&net, loss::mse).measure("gap", |out, b: &Batch| (out.y() - &b.y).mean(..));
    assert!(gap.quiet().run(&set.batched(10)).unwrap()["gap"].abs() <= want["mae"]);
    let wrong = Dataset::new(Tensor::ones([4, 3]), Tensor::ones([4, 1])).unwrap();
    let e = evaluation().run(&wrong.batched(2)).unwrap_err().to_string();
    assert!(
        e.contains("input `x`: expected shape [_, 2], got [4, 3]") || e.contains("[2, 3]"),
        "{e}"
    );
    let none: [Batch; 0] = [];
    assert!(evaluation().run(&none[..]).unwrap_err().to_string().contains("got none"));
}

#[test]
fn folds_are_trained_in_turn_and_their_errors_end_the_validation() {
    let set = line(9);
    let seen = std::cell::RefCell::new(vec![]);
    let result = k_fold(&set, 3, key(1), |fold, split| {
        seen.borrow_mut().push((fold, split.train.len(), split.test.len()));
        let trainer = Trainer::new(model(), loss::mse, optim::adam(0.1)).validate(&split.test);
        Ok(trainer.quiet().run(&split.train.batched(3), epochs(100))?.validation.clone())
    });
    let result = result.unwrap();
    assert_eq!(*seen.borrow(), [(0, 6, 3), (1, 6, 3), (2, 6, 3)]);
    let by_hand = result.folds.iter().map(|scores| scores["loss"]).sum::<f64>() / 3.0;
    near(result.mean["loss"], by_hand);
    assert!(result.mean["loss"] < 0.1, "{result}");
    let splits = set.k_fold(3, key(1)).unwrap();
    let fails = cross_validate(&splits, |fold, _| match fold {
        1 => Err(Error::new("fold", "broken")),
        _ => Ok([("loss".to_string(), 1.0)].into_iter().collect()),
    });
    assert!(fails.unwrap_err().to_string().contains("broken"));
    let none: [data::Split; 0] = [];
    let e = cross_validate(&none, |_, _| Ok(train::Scores::default())).unwrap_err().to_string();
    assert!(e.contains("cross_validate: expected the scores of at least one fold"), "{e}");
    assert!(e.contains("tests/options.rs"), "{e}");
    assert!(k_fold(&set, 1, key(1), |_, _| Ok(train::Scores::default())).is_err());
}

#[test]
fn scores_have_different_names() {
    let (set, model) = (line(4), model());
    let trainer = || Trainer::new(&model, loss::mse, optim::sgd(0.1)).quiet();
    let message =
        |trainer: Trainer| trainer.run(&set.batched(2), epochs(1)).unwrap_err().to_string();
    let e = message(trainer().metric(metric::mae()).metric(metric::mae()));
    assert!(e.contains("measure: expected scores of different names, got two called `mae`"), "{e}");
    assert!(e.contains("tests/options.rs"), "{e}");
    trainer()
        .metric(metric::mae())
        .metric(metric::mae().named("second"))
        .run(&set.batched(2), epochs(1))
        .unwrap();
    let e = message(trainer().measure("loss", |_, batch| batch.y.mean(..)));
    assert!(e.contains("got two called `loss`"), "{e}");
    let e = message(trainer().measure("", |_, batch| batch.y.mean(..)));
    assert!(e.contains("measure: expected scores of different names, got an empty one"), "{e}");
    let e = message(trainer().validate_on("night", &set).validate_on("night", &set));
    assert!(e.contains("validate_on: expected validation sets of different names, got two"), "{e}");
    let e = message(trainer().validate_on("", &set));
    assert!(e.contains("validate_on: ") && e.contains("got an empty one"), "{e}");
    let step = |w: Tensor, _: &data::Batch, _: Key| (w.clone(), [w.clone(), w]);
    let custom = train::CustomTraining::new(tensor(1.0), ["loss", "loss"], step);
    let e = Trainer::custom(custom).quiet().run(&set.batched(2), epochs(1)).unwrap_err();
    assert!(e.to_string().contains("got two called `loss`"), "{e}");
}

#[test]
fn epochs_of_steps_need_data_that_do_not_end() {
    let (set, model) = (line(3), model());
    let trainer = || Trainer::new(&model, loss::mse, optim::sgd(0.1)).quiet();
    // A stream that does not know its number of batches.
    let unknown = set.stream().filter(|_| true).repeat(3).batch(1);
    let trained = trainer().steps_per_epoch(3).run(&unknown, epochs(3)).unwrap();
    assert_eq!((trained.step, trained.batches()), (9, Some(3)));
    let e = trainer().steps_per_epoch(5).run(&unknown, epochs(2)).unwrap_err();
    assert!(e.to_string().contains("expected 5 batches in each epoch, got a stream"), "{e}");
    assert_eq!(e.state.unwrap().step, 9);
    let e = trainer().steps_per_epoch(0).run(&unknown, epochs(1)).unwrap_err();
    assert!(e.to_string().contains("expected at least 1 step in an epoch, got 0"), "{e}");
}
