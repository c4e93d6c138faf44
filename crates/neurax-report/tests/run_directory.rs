//! Run directories: copied to another place, damaged, and with texts that look like markup.

use neurax::prelude::*;
use neurax::{io, train::RunDirectory};
use neurax_report::{page, report};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Returns a directory that does not exist.
fn directory(name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("neurax-run-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&directory);
    directory
}

fn trainer(directory: &Path) -> Trainer {
    let iris = data::iris().unwrap().split(0.8, key(0));
    let model = nn::input("flower", dims![_, 4]).dense(8).relu().dropout(0.1).dense(3).softmax();
    let run = RunDirectory::new(directory)
        .every_steps(2)
        .classify(&iris.test, &["setosa", "versicolor", "virginica"])
        .hyper_parameter("<script>alert(1)</script>", "</td><img src=x>");
    Trainer::new(&model, loss::categorical_cross_entropy, optim::adam(0.01))
        .metric(metric::accuracy())
        .validate(&iris.test)
        .record(run)
        .quiet()
}

fn batches() -> Batches {
    data::iris().unwrap().split(0.8, key(0)).train.shuffled(key(1)).batched(20)
}

/// Copies a directory with its folders.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|e| (e.path(), e.file_name())).unwrap();
        match path.is_dir() {
            true => copy(&path, &to.join(name)),
            false => drop(fs::copy(&path, to.join(name)).unwrap()),
        }
    }
}

#[test]
fn a_copied_directory_has_a_report_and_is_resumed() {
    let (whole, first, copied) = (directory("whole"), directory("first"), directory("copied"));
    let undisturbed = trainer(&whole).run(&batches(), epochs(4)).unwrap();
    trainer(&first).run(&batches(), epochs(2)).unwrap();
    copy(&first, &copied);
    fs::remove_dir_all(&first).unwrap();

    let resumed = trainer(&copied).resume_or_run(&copied, &batches(), epochs(4)).unwrap();
    let bits = |t: &Trained| io::serialize(&(t.vars.clone(), t.opt.clone())).unwrap();
    assert_eq!(bits(&resumed), bits(&undisturbed));

    let files = [train::RunFiles::read(&copied), train::RunFiles::read(&whole)];
    let scores =
        files.each_ref().map(|f| f.lines.iter().map(|l| l.train.clone()).collect::<Vec<_>>());
    assert_eq!(scores[0], scores[1]);
    assert_eq!(files[0].predictions, files[1].predictions);
    assert_eq!(files[0].record.as_ref().map(|record| record.sessions.len()), Some(2));

    let page = report(&copied);
    for text in ["resumed once", ">completed<", "confusion matrix", "virginica", "ROC curves"] {
        assert!(page.contains(text), "{text}");
    }
    assert!(!page.contains("role=\"alert\""), "a problem");
    for run in [&whole, &copied] {
        let name = first.file_name().unwrap().to_string_lossy().into_owned();
        assert!(!report(run).contains(&name), "the path of the first directory");
        fs::remove_dir_all(run).unwrap();
    }
}

#[test]
fn a_report_has_the_flame_graph_of_a_profile_and_names_a_damaged_one() {
    let run = directory("profile");
    let model = nn::input("flower", dims![_, 4]).dense(16).tanh().dense(3).softmax();
    let trainer = || Trainer::new(&model, loss::categorical_cross_entropy, optim::adam(0.01));
    let profile = trainer().profile(&batches()).unwrap();
    let directory = RunDirectory::new(&run).profile(&profile);
    trainer().record(directory).quiet().run(&batches(), epochs(1)).unwrap();
    let page = report(&run);
    for text in ["<h2>Time of a training step</h2>", "<title>tanh: ", "<td>dense_1</td>"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(!page.contains("role=\"alert\""), "a problem");

    fs::write(run.join("profile.json"), "{\"format\": \"neurax-profile\"").unwrap();
    let page = report(&run);
    assert!(page.contains("profile.json: expected a file"), "{page}");
    assert!(!page.contains("Time of a training step"), "{page}");
    fs::remove_dir_all(&run).unwrap();
}

#[test]
fn a_custom_training_has_a_report() {
    let run = directory("custom");
    let step = |w: Tensor, batch: &data::Batch, _: Key| {
        let loss = |w: Tensor| loss::mse(&(&batch.x * w).mean(1), &batch.y.mean(1));
        let (loss, slope) = value_and_grad_at(&w, loss);
        (w - slope * 0.1, [loss])
    };
    let model = nn::input("x", dims![_, 4]).dense(1).model();
    let directory = RunDirectory::new(&run).model("linear", &model);
    let custom = train::CustomTraining::new(tensor(0.0), ["loss"], step);
    Trainer::custom(custom).record(directory).quiet().run(&batches(), epochs(2)).unwrap();
    let page = report(&run);
    for text in [">completed<", "aria-label=\"loss over epoch", "<td>linear.dense</td>"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    fs::remove_dir_all(&run).unwrap();
}

#[test]
fn texts_of_users_are_no_markup() {
    let run = directory("escaped");
    trainer(&run).run(&batches(), epochs(1)).unwrap();
    let page = report(&run);
    fs::remove_dir_all(&run).unwrap();
    assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert_eq!(page.matches("</html>").count(), 1);
    for loaded in ["http://", "https://", "url(", "@import"] {
        let rest = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!rest.contains(loaded), "{loaded}");
    }
}

#[test]
fn damaged_and_missing_files_are_named() {
    let run = directory("damaged");
    trainer(&run).run(&batches(), epochs(2)).unwrap();
    fs::write(run.join("predictions.json"), "{\"format\": \"neurax-predictions\"").unwrap();
    let log = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    fs::write(run.join("metrics.jsonl"), format!("<b>\n{log}{{\"event\":\"step\"")).unwrap();
    let page = report(&run);
    for text in
        ["predictions.json: expected a file", "metrics.jsonl: line 1 is damaged", "<h2>Model"]
    {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert_eq!(page.matches("<li>").count(), 2, "a line that is being written is no problem");

    fs::remove_file(run.join("predictions.json")).unwrap();
    let text = "there is no predictions.json, which the run wrote";
    assert!(report(&run).contains(text), "{}", report(&run));

    let newer = fs::read_to_string(run.join("run.json")).unwrap();
    fs::write(run.join("run.json"), newer.replace("\"version\": 1", "\"version\": 2")).unwrap();
    assert!(report(&run).contains("run.json: expected version 1, got 2"));
    for file in ["run.json", "metrics.jsonl"] {
        fs::remove_file(run.join(file)).unwrap();
    }
    let page = report(&run);
    assert!(page.contains("there is no run.json") && page.contains("there is no metrics.jsonl"));
    fs::remove_dir_all(&run).unwrap();
}

#[test]
fn a_run_that_was_killed_and_one_that_failed_have_reports() {
    let run = directory("failed");
    let fails = |s: &mut State| match s.step {
        9 => Err(Error::new("disk", "full")),
        _ => Ok(()),
    };
    trainer(&run).on(Event::BatchEnded, fails).run(&batches(), epochs(4)).unwrap_err();
    assert!(report(&run).contains("status failed\">failed<"));
    let text = fs::read_to_string(run.join("run.json")).unwrap();
    fs::write(run.join("run.json"), text.replace("\"failed\"", "\"running\"")).unwrap();
    assert!(report(&run).contains("running, or killed"));
    let e = trainer(&run).run(&batches(), epochs(1)).unwrap_err().to_string();
    assert!(e.contains("expected a new file for a new run"), "{e}");
    fs::remove_dir_all(&run).unwrap();
}

#[test]
fn a_trial_writes_nothing() {
    let run = directory("trial");
    trainer(&run).fast_dev_run().run(&batches(), epochs(3)).unwrap();
    assert!(!run.exists(), "{run:?}");
}

#[test]
fn a_second_program_in_the_directory_changes_nothing() {
    let run = directory("twice");
    let files = |run: &Path| {
        ["run.json", "metrics.jsonl"].map(|name| fs::read_to_string(run.join(name)).unwrap())
    };
    let path = run.clone();
    let second = move |s: &mut State| {
        // In the first epoch there is no state to resume from, and in the second one there is.
        if s.step == 4 || s.step == 9 {
            let before = files(&path);
            let e = trainer(&path).resume_or_run(&path, &batches(), epochs(9)).unwrap_err();
            assert!(e.to_string().contains("another run saves its states in"), "{e}");
            assert_eq!(files(&path), before);
        }
        Ok(())
    };
    let trained = trainer(&run).on(Event::BatchEnded, second).run(&batches(), epochs(2)).unwrap();
    assert_eq!(trained.step, 12);
    assert!(report(&run).contains(">completed<"));
    fs::remove_dir_all(&run).unwrap();
}

#[test]
fn a_mistake_in_classify_is_found_before_the_first_step() {
    let run = directory("classify");
    let iris = data::iris().unwrap().split(0.8, key(0));
    let model = nn::input("flower", dims![_, 4]).dense(3).softmax();
    let trainer = |names: &[&str]| {
        let directory = RunDirectory::new(&run).without_command().classify(&iris.test, names);
        Trainer::new(&model, loss::categorical_cross_entropy, optim::adam(0.01))
            .record(directory)
            .quiet()
    };
    let never = |s: &mut State| Err::<(), Error>(Error::new("step", s.step.to_string()));
    let e = trainer(&["a"]).on(Event::BatchEnded, never).run(&batches(), epochs(1)).unwrap_err();
    assert!(e.to_string().contains("3 names of classes, got 1"), "{e}");
    trainer(&[]).run(&batches(), epochs(1)).unwrap();
    let files = train::RunFiles::read(&run);
    assert_eq!(files.predictions.and_then(|p| p.step), Some(6));
    assert_eq!(files.record.map(|record| record.sessions[0].command.len()), Some(0));
    fs::remove_dir_all(&run).unwrap();
}

#[test]
fn predictions_that_fail_at_the_end_leave_a_complete_run() {
    let run = directory("late");
    let iris = data::iris().unwrap().split(0.8, key(0));
    let model = nn::input("flower", dims![_, 4]).dense(3).softmax();
    let path = run.clone();
    let blocks = move |_: &mut State| fs::create_dir_all(path.join("predictions.json/x")).unwrap();
    let trained = Trainer::new(&model, loss::categorical_cross_entropy, optim::adam(0.01))
        .record(RunDirectory::new(&run).classify(&iris.test, &[]))
        .on(Event::EpochEnded, blocks)
        .quiet()
        .run(&batches(), epochs(1))
        .unwrap();
    assert_eq!(trained.status, train::Status::Completed);
    let page = report(&run);
    assert!(page.contains(">completed<") && page.contains("were not written"), "{page}");
    fs::remove_dir_all(&run).unwrap();
}

#[test]
fn a_metric_of_ten_thousand_numbers_has_a_small_page() {
    let name = |i: usize| format!("confusion_matrix[{}][{}]", i / 100, i % 100);
    let mut scores: BTreeMap<String, Option<f64>> =
        (0..10_000).map(|i| (name(i), Some(0.01))).collect();
    scores.insert("loss".into(), Some(0.5));
    let line = |epoch: usize| {
        let mut train = scores.clone();
        train.insert(name(4242), Some(epoch as f64));
        let of_epoch = Some(train::EpochFields {
            validation: train.clone(),
            examples: 10,
            skipped: 0,
            halted: false,
            seconds: 1.0,
        });
        let (event, time, validated) = (train::LineKind::Epoch, 0.0, BTreeMap::new());
        train::MetricsLine {
            event,
            epoch,
            step: epoch,
            time,
            rate: None,
            train,
            validated,
            of_epoch,
        }
    };
    let lines = (0..100).map(line).collect();
    let page = page(&train::RunFiles { lines, ..train::RunFiles::default() });
    assert!(page.len() < 200_000, "{}", page.len());
    for text in [
        "confusion_matrix (the 10 of 10,000 that change most)",
        ">validation [42][42]</text>",
        "Not shown: the 10,000 scores of validation confusion_matrix, the 10,000 scores of \
         confusion_matrix.",
    ] {
        assert!(page.contains(text), "{text}");
    }
    // Neither a column nor a figure at the top.
    assert!(!page.contains("validation confusion_matrix["), "{page}");
}
