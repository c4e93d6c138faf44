//! Trainings with all kinds of state, and the bits of a state.

use neurax::prelude::*;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Returns an empty folder for a test.
pub fn folder(name: &str) -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let own = format!("neurax-runs-{}-{n}", std::process::id());
    let path = std::env::temp_dir().join(own).join(name);
    let _ = std::fs::remove_dir_all(&path);
    path
}

/// Returns 47 examples in 10 batches, the last of which is smaller.
pub fn batches() -> data::Batches {
    let x = key(3).normal([47, 6]);
    let y = x.matmul(key(4).normal([6, 1])).gt(0.0).to(F32);
    Dataset::new(x, y).unwrap().shuffled(key(5)).batched(5)
}

/// Returns a trainer that has all kinds of state: random numbers, running statistics, moments, a
/// schedule, a metric with state, a validation set.
pub fn trainer() -> Trainer {
    unvalidated().validate(&validation_set())
}

/// Returns the trainer without its validation set.
pub fn unvalidated() -> Trainer {
    let hidden = nn::input("x", dims![_, 6]).dense(8).layer(BatchNorm::new()).relu();
    let model = hidden.dropout(0.3).dense(1).sigmoid();
    let rate = optim::warmup(4, optim::exponential(0.05, 0.5, 10));
    Trainer::new(&model, loss::binary_cross_entropy, optim::adam(rate))
        .metric(metric::roc_auc())
        .metric(metric::mae())
        .quiet()
}

pub fn validation_set() -> Dataset {
    let x = key(8).normal([20, 6]);
    let y = x.slice(1, ..1).gt(0.0).to(F32);
    Dataset::new(x, y).unwrap()
}

/// Returns the tensors and the scores of a state as bytes, without times.
fn bits(state: &State) -> (Vec<u8>, Vec<String>) {
    let at = folder("bits");
    state.save(&at).unwrap();
    let tensors = std::fs::read(at.join("tensors.safetensors")).unwrap();
    let text = std::fs::read_to_string(at.join("state.json")).unwrap();
    let is_timeless = |line: &&str| !line.contains("seconds") && !line.contains("checksum");
    std::fs::remove_dir_all(at).unwrap();
    (tensors, text.lines().filter(is_timeless).map(String::from).collect())
}

pub fn assert_same(a: &State, b: &State) {
    let (a, b) = (bits(a), bits(b));
    assert_eq!(a.1, b.1);
    assert!(a.0 == b.0, "tensors differ");
}
