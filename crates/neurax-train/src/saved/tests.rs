//! Saved states: what is read equals what was written, and damage is found.

use super::*;
use crate::{EpochLog, Scores, Status};
use neurax_nn::{Vars, input, optim};
use neurax_tensor::{Tree, TypeSpec, dims, key, tensor, types};
use serde::Deserialize;
use std::fs;
use std::path::PathBuf;

fn folder(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("neurax-saved-{}-{name}", std::process::id()))
}

/// Returns a state with something in every field.
fn full_state() -> State {
    let model = input("x", dims![_, 3]).dense(2).model();
    let types: [TypeSpec; 1] = types![f32[_, 3]];
    let mut vars: Vars = model.init(key(0), &types).unwrap();
    vars.freeze("**.bias").unwrap();
    let opt = optim::chain([optim::clip(1.0), optim::adam(0.1)]).init(&vars.params);
    let mut state = State::new(vars, opt, key(7));
    (state.epoch, state.batch, state.step, state.loss) = (2, 3, 23, f64::NAN);
    let scores = |x: f64| Scores::from_iter([("loss".to_string(), x), ("a b".to_string(), -0.0)]);
    state.metrics = scores(1e-320);
    state.validation = scores(f64::INFINITY);
    state.history = vec![EpochLog {
        epoch: 0,
        train: scores(0.1 + 0.2),
        validation: Scores::default(),
        examples: 60,
        skipped: 1,
        halted: true,
        seconds: 1.0 / 3.0,
    }];
    state.status = Status::Stopped { by: "me".into() };
    state.so_far.is_logged_in_part = true;
    let memory = state.memory("a.b handler");
    memory.set_number("third", 1.0 / 3.0);
    memory.set_text("note", "x\n\"y\"");
    memory.set_tree("kept", &vec![tensor([1.5]), tensor(2.0)]);
    state
}

fn bits(scores: &Scores) -> Vec<(String, u64)> {
    scores.iter().map(|(name, x)| (name.to_string(), x.to_bits())).collect()
}

#[test]
fn a_loaded_state_has_the_bits_of_the_saved_one() {
    let state = full_state();
    state.save(folder("same")).unwrap();
    let again = State::load(folder("same")).unwrap();
    assert_eq!((again.epoch, again.batch, again.step), (2, 3, 23));
    assert!(again.loss.is_nan());
    assert_eq!(bits(&again.metrics), bits(&state.metrics));
    assert_eq!(bits(&again.validation), bits(&state.validation));
    assert_eq!(again.history, state.history);
    assert_eq!(again.status, state.status);
    assert!(again.so_far.is_logged_in_part);
    assert_eq!(again.vars.frozen(), ["dense.bias"]);
    let text = |tree: &dyn Fn(&State) -> Vec<(String, String)>| (tree(&state), tree(&again));
    let (a, b) = text(&|s| {
        let show = |(path, t): (String, &neurax_tensor::Tensor)| (path, t.to_string());
        s.vars.leaves().into_iter().chain(s.opt.leaves()).map(show).collect()
    });
    assert_eq!(a, b);
    let memory = again.handlers.get("a.b handler").unwrap();
    assert_eq!(memory.number("third"), Some(1.0 / 3.0));
    assert_eq!(memory.text("note"), Some("x\n\"y\""));
    assert_eq!(memory.tensors["kept.0"].to_vec::<f32>().unwrap(), [1.5]);
}

#[test]
fn every_changed_byte_is_found() {
    let at = folder("flips");
    full_state().save(&at).unwrap();
    for name in [DOCUMENT, TENSORS] {
        let whole = fs::read(at.join(name)).unwrap();
        for i in (0..whole.len()).step_by(7) {
            let mut bytes = whole.clone();
            bytes[i] ^= 1;
            fs::write(at.join(name), &bytes).unwrap();
            let loaded = State::load(&at);
            // A changed space between the fields of the text is none.
            let is_space = name == DOCUMENT && [b' ', b'\n'].contains(&whole[i]);
            assert!(loaded.is_err() || is_space, "byte {i} of {name}");
        }
        for n in [0, 1, whole.len() / 2, whole.len() - 1] {
            fs::write(at.join(name), &whole[..n]).unwrap();
            assert!(State::load(&at).is_err(), "{n} bytes of {name}");
        }
        fs::write(at.join(name), &whole).unwrap();
    }
    State::load(&at).unwrap();
}

#[test]
fn other_folders_and_versions_are_errors_that_say_what_to_do() {
    let error = |name: &str| State::load(folder(name)).unwrap_err().to_string();
    let e = error("missing");
    assert!(e.contains("expected a folder that `State::save` or `Checkpoints` wrote at"), "{e}");
    full_state().save(folder("version")).unwrap();
    let path = folder("version").join(DOCUMENT);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"version\": 1", "\"version\": 2")).unwrap();
    let e = error("version");
    assert!(
        e.contains("expected version 1 of the format, got 2; use the version of Neurax"),
        "{e}"
    );
    fs::write(&path, "{}").unwrap();
    assert!(error("version").contains("expected `neurax-state`, got null"));
    fs::write(&path, text).unwrap();
    fs::remove_file(folder("version").join(TENSORS)).unwrap();
    assert!(error("version").contains(TENSORS));
}

#[test]
fn implausible_counts_and_files_that_are_none_are_errors() {
    let mut state = full_state();
    state.step = usize::MAX;
    state.save(folder("counts")).unwrap();
    let e = State::load(folder("counts")).unwrap_err().to_string();
    assert!(e.contains("expected counts up to 2^53, got 18446744073709551615"), "{e}");
    let at = folder("irregular");
    full_state().save(&at).unwrap();
    fs::remove_file(at.join(TENSORS)).unwrap();
    fs::create_dir(at.join(TENSORS)).unwrap();
    let e = State::load(&at).unwrap_err().to_string();
    assert!(e.contains("expected a regular file"), "{e}");
}

#[test]
fn states_of_older_versions_do_not_say_the_size_of_their_data() {
    let mut state = full_state();
    (state.plan.batches, state.so_far.first_batch) = (Some(9), Some(20));
    let (content, tensors) = Content::of(&state).unwrap();
    let mut value = serde_json::to_value(&content).unwrap();
    let read = |value: &serde_json::Value| {
        let state = Content::deserialize(value).unwrap().state(tensors.clone()).unwrap();
        (state.step, state.plan.batches, state.so_far.first_batch)
    };
    assert_eq!(read(&value), (23, Some(9), Some(20)));
    value.as_object_mut().unwrap().remove("batches").unwrap();
    for name in ["first_batch", "validated", "is_logged_in_part"] {
        value["so_far"].as_object_mut().unwrap().remove(name).unwrap();
    }
    assert_eq!(read(&value), (23, None, None));
}
