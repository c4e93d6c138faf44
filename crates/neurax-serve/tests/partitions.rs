//! Partitions: several batches run simultaneously, each on its part of the threads.

mod common;

use common::Gate;
use neurax::prelude::*;
use neurax::serve::{Answers, RowBatch, Server};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;

fn number(y: Result<Tensor>) -> f64 {
    y.unwrap().item().unwrap()
}

/// Returns a serving that doubles its input behind a gate, and the partitions that have run.
fn gated(gate: &Gate) -> (Serving, Arc<Mutex<BTreeSet<usize>>>) {
    let (barrier, seen) = (gate.clone(), Arc::<Mutex<BTreeSet<usize>>>::default());
    let record = seen.clone();
    let serving = Serving::of(move |batch: &RowBatch| {
        record.lock().unwrap().insert(batch.partition());
        barrier.pass();
        let xs = batch.x().to_vec::<f32>()?;
        assert!(!xs.contains(&-1.0), "an unlucky number");
        Ok(vec![batch.x() * 2.0])
    });
    (serving, seen)
}

/// Starts a server of `partitions`, and lets each wait at the gate with one of the first requests.
fn busy(
    serving: Serving,
    partitions: usize,
    gate: &Gate,
    first: &[f32],
) -> (Server, Vec<neurax::serve::Answer<Tensor>>) {
    let server = serving.partitions(partitions).start().unwrap();
    let answers = first.iter().enumerate().map(|(i, x)| {
        let answer = server.predict(tensor([*x]));
        gate.wait_for(i + 1);
        answer
    });
    let answers = answers.collect();
    (server, answers)
}

#[test]
fn each_partition_runs_a_batch_and_all_requests_are_answered() {
    let gate = Gate::default();
    let (serving, seen) = gated(&gate);
    let (server, first) = busy(serving.max_batch(4), 3, &gate, &[0.0, 1.0, 2.0]);
    assert_eq!((server.stats().running, server.stats().waiting), (3, 0));
    let rest: Vec<_> = (3..40).map(|i| server.predict(tensor([i as f32]))).collect();
    gate.open();
    for (i, answer) in first.into_iter().chain(rest).enumerate() {
        assert_eq!(number(answer.wait()), 2.0 * i as f64);
    }
    assert_eq!(*seen.lock().unwrap(), BTreeSet::from([0, 1, 2]));
    assert_eq!(server.stats().answered, 40);
    assert!(server.stats().batches.keys().all(|rows| *rows <= 4));
}

#[test]
fn a_panic_in_one_partition_does_not_stop_the_others() {
    let gate = Gate::default();
    let (serving, _) = gated(&gate);
    let (server, first) = busy(serving, 2, &gate, &[-1.0, 1.0]);
    gate.open();
    let found: Vec<Result<Tensor>> = first.into_iter().map(|a| a.wait()).collect();
    assert_eq!(found[0].as_ref().unwrap_err().message(), "the model panicked: an unlucky number");
    assert_eq!(number(found[1].clone()), 2.0);
    let again: Vec<_> = (20..60).map(|i| server.predict(tensor([i as f32]))).collect();
    for (i, answer) in again.into_iter().enumerate() {
        assert_eq!(number(answer.wait()), 2.0 * (i + 20) as f64);
    }
    assert_eq!((server.stats().answered, server.stats().failed), (41, 1));
}

#[test]
fn a_drain_waits_for_all_partitions() {
    let gate = Gate::default();
    let (serving, _) = gated(&gate);
    let (server, first) = busy(serving.max_batch(2), 2, &gate, &[0.0, 1.0]);
    let rest: Vec<_> = (2..9).map(|i| server.predict(tensor([i as f32]))).collect();
    let draining = server.clone();
    let drain = thread::spawn(move || draining.drain());
    gate.open();
    drain.join().unwrap();
    assert_eq!(
        (server.stats().answered, server.stats().waiting, server.stats().running),
        (9, 0, 0)
    );
    for (i, answer) in first.into_iter().chain(rest).enumerate() {
        assert_eq!(number(answer.wait()), 2.0 * i as f64);
    }
}

#[test]
fn the_results_of_each_stream_stay_in_order() {
    let serving =
        Serving::of_stream(|batch, emit| (0..20).try_for_each(|i| emit(vec![batch.x() + i])));
    let server = serving.partitions(3).max_batch(4).start().unwrap();
    let streams: Vec<Answers<Tensor>> = (0..60).map(|i| server.stream(tensor([100 * i]))).collect();
    for (i, stream) in streams.into_iter().enumerate() {
        let results: Vec<f64> = stream.map(number).collect();
        let expected: Vec<f64> = (0..20).map(|k| (100 * i + k) as f64).collect();
        assert_eq!(results, expected);
    }
}

#[test]
fn a_network_has_the_same_bits_in_partitions_and_its_predictor_is_shared() {
    let model = nn::input("x", dims![_, 300]).dense(257).tanh().dense(300).softmax().model();
    let net = model.bind(model.init(key(0), &types![f32[_, 300]]).unwrap());
    let predictor = net.predictor(types![f32[16, 300]]).unwrap();
    let x = key(1).normal([16, 300]);
    let expected = predictor.run(&x).unwrap().to_vec::<f32>().unwrap();
    let server = Serving::new(predictor.clone()).partitions(2).start().unwrap();
    let answered = AtomicUsize::new(0);
    thread::scope(|s| {
        for _ in 0..8 {
            s.spawn(|| {
                for _ in 0..20 {
                    let y = server.run(x.clone()).unwrap().to_vec::<f32>().unwrap();
                    assert!(y == expected, "other bits");
                    answered.fetch_add(1, Relaxed);
                }
            });
        }
    });
    assert_eq!((answered.into_inner(), predictor.memory().programs), (160, 1));
}
