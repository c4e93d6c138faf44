//! Answers on the runtime of tokio: tasks, a branch that is cancelled, and a time-out.

mod common;

use common::Gate;
use neurax::prelude::*;
use neurax::serve::{Refusal, RowBatch, Server};
use std::time::Duration;

/// Returns a server that doubles numbers, behind a gate that each batch passes.
fn doubling(gate: &Gate) -> Server<f32, f64> {
    let barrier = gate.clone();
    let serving = Serving::of(move |batch: &RowBatch| {
        barrier.pass();
        Ok(vec![batch.x() * 2.0])
    });
    serving.preprocess(|x: f32| Ok(tensor([x]))).postprocess(|y: Tensor| y.item()).start().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spawned_tasks_share_batches() {
    let gate = Gate::default();
    let server = doubling(&gate);
    let handle = |i: usize| {
        let server = server.clone();
        tokio::spawn(async move { server.predict(i as f32).await })
    };
    let tasks: Vec<_> = (0..32).map(handle).collect();
    // Meanwhile, no thread of the runtime is blocked by the model.
    tokio::task::yield_now().await;
    gate.open();
    for (i, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await.unwrap().unwrap(), 2.0 * i as f64);
    }
    let stats = server.stats();
    assert_eq!((stats.answered, stats.waiting), (32, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_branch_that_select_drops_is_cancelled() {
    let gate = Gate::default();
    let server = doubling(&gate);
    let first = server.predict(1.0);
    gate.wait_for(1);
    let chosen = tokio::select! {
        y = server.predict(2.0) => y.map(|_| "answered"),
        () = tokio::task::yield_now() => Ok("left"),
    };
    assert_eq!(chosen.unwrap(), "left");
    assert_eq!((server.stats().cancelled, server.stats().waiting), (1, 0));
    gate.open();
    assert_eq!(first.await.unwrap(), 2.0);
    assert_eq!(server.predict(3.0).await.unwrap(), 6.0);
    assert_eq!(server.stats().batches, [(1, 2)].into(), "the cancelled row was not computed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_outs_of_tokio_cancel_and_those_of_the_server_are_errors() {
    let gate = Gate::default();
    let server = doubling(&gate);
    let first = server.predict(1.0);
    gate.wait_for(1);
    let late = tokio::time::timeout(Duration::from_millis(20), server.predict(2.0)).await;
    assert!(late.is_err());
    assert_eq!(server.stats().cancelled, 1);
    gate.open();
    assert_eq!(first.await.unwrap(), 2.0);

    let gate = Gate::default();
    let barrier = gate.clone();
    let serving = Serving::of(move |batch: &RowBatch| {
        barrier.pass();
        Ok(vec![batch.x()])
    });
    let server = serving.timeout(Duration::from_millis(20)).start().unwrap();
    let e = server.predict(tensor([1.0])).await.unwrap_err();
    assert_eq!(Refusal::of(&e), Some(Refusal::TimedOut));
    gate.open();
}
