//! Many threads at more than the capacity of a server: no request is lost or mixed up.

mod common;

use common::Gate;
use neurax::prelude::*;
use neurax::serve::{Refusal, RowBatch, Server};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// The threads that call the server.
const CALLERS: u64 = 64;
/// The requests of each thread.
const REQUESTS: u64 = 100;

/// Returns a serving whose result is the sum of its row, small enough to be overloaded.
fn sums() -> Serving<u64, f64> {
    Serving::of(|batch: &RowBatch| Ok(vec![batch.x().sum(keep(-1))]))
        .preprocess(|i: u64| Ok(tensor([[i as f32, 0.5]])))
        .postprocess(|y: Tensor| y.item())
        .max_batch(8)
        .queue_limit(20)
        .workers(2)
}

/// The requests that got a result, and those that were refused for each reason.
#[derive(Default)]
struct Outcome {
    answered: AtomicU64,
    queue_full: AtomicU64,
    shutting_down: AtomicU64,
    timed_out: AtomicU64,
}

impl Outcome {
    /// Calls the server from many threads; every result must be that of its request. A thread whose
    /// request is refused as the server shuts down stops.
    fn of_many_callers(server: &Server<u64, f64>, during: impl FnOnce()) -> Outcome {
        let outcome = Outcome::default();
        thread::scope(|s| {
            for caller in 0..CALLERS {
                let (server, outcome) = (server.clone(), &outcome);
                s.spawn(move || {
                    (0..REQUESTS).all(|i| outcome.is_running_after(&server, caller * REQUESTS + i))
                });
            }
            during();
        });
        outcome
    }

    /// Sends the request `i`, and returns true if the server accepts more.
    fn is_running_after(&self, server: &Server<u64, f64>, i: u64) -> bool {
        let count = match server.run(i) {
            Ok(y) => {
                assert_eq!(y, i as f64 + 0.5, "the answer to another request");
                &self.answered
            }
            Err(e) => match Refusal::of(&e) {
                Some(Refusal::QueueFull) => &self.queue_full,
                Some(Refusal::ShuttingDown) => &self.shutting_down,
                Some(Refusal::TimedOut) => &self.timed_out,
                Some(Refusal::TooSlow) | None => panic!("{e}"),
            },
        };
        count.fetch_add(1, Relaxed);
        self.shutting_down.load(Relaxed) == 0
    }

    fn counts(self) -> [u64; 4] {
        [self.answered, self.queue_full, self.shutting_down, self.timed_out]
            .map(AtomicU64::into_inner)
    }
}

#[test]
fn every_request_is_answered_or_refused() {
    let server = sums().start().unwrap();
    let outcome = Outcome::of_many_callers(&server, || ());
    let [answered, queue_full, shutting_down, timed_out] = outcome.counts();
    assert_eq!(answered + queue_full, CALLERS * REQUESTS);
    assert_eq!((shutting_down, timed_out), (0, 0));
    let stats = server.stats();
    assert_eq!((stats.answered, stats.refused), (answered, queue_full));
    assert_eq!((stats.accepted, stats.waiting, stats.running), (answered, 0, 0));
    let rows: u64 = stats.batches.iter().map(|(rows, n)| *rows as u64 * n).sum();
    assert_eq!(rows, answered);
    assert!(stats.batches.keys().all(|rows| *rows <= 8), "{stats:?}");
    let latency = stats.latency;
    assert!(latency.p50 <= latency.p90 && latency.p90 <= latency.p99, "{latency:?}");
    assert!(latency.p50 > Duration::ZERO && latency.p99 <= latency.max, "{latency:?}");
}

#[test]
fn a_shutdown_under_load_loses_nothing() {
    let server = sums().start().unwrap();
    let outcome = Outcome::of_many_callers(&server, || {
        while server.stats().answered < 50 {
            thread::yield_now();
        }
        server.drain();
        let stats = server.stats();
        assert_eq!((stats.waiting, stats.running), (0, 0), "all were computed");
    });
    let [answered, queue_full, shutting_down, _] = outcome.counts();
    let stats = server.stats();
    assert_eq!((stats.accepted, stats.answered), (answered, answered));
    assert_eq!(stats.refused, queue_full + shutting_down);
}

#[test]
fn late_and_early_ends_are_counted_once() {
    let server = sums().timeout(Duration::from_micros(300)).start().unwrap();
    let [answered, queue_full, _, timed_out] = Outcome::of_many_callers(&server, || ()).counts();
    assert_eq!(answered + queue_full + timed_out, CALLERS * REQUESTS);
    server.drain();
    let stats = server.stats();
    assert_eq!((stats.answered, stats.timed_out), (answered, timed_out));
    assert_eq!(stats.accepted, answered + timed_out);
}

#[test]
fn callers_that_give_up_harm_no_others() {
    let server = sums().queue_limit(10_000).start().unwrap();
    thread::scope(|s| {
        for caller in 0..16 {
            let server = server.clone();
            s.spawn(move || {
                for i in 0..REQUESTS {
                    let i = caller * REQUESTS + i;
                    let (dropped, kept) = (server.predict(i), server.predict(i + 1));
                    drop(dropped);
                    assert_eq!(kept.wait().unwrap(), i as f64 + 1.5);
                }
            });
        }
    });
    server.drain();
    let stats = server.stats();
    assert_eq!(stats.accepted, 2 * 16 * REQUESTS);
    assert_eq!(stats.answered + stats.cancelled, stats.accepted);
    assert!(stats.answered >= 16 * REQUESTS);
}

#[test]
fn dropping_the_last_handle_answers_what_waits() {
    let gate = Gate::default();
    let barrier = gate.clone();
    let serving = Serving::of(move |batch: &RowBatch| {
        barrier.pass();
        Ok(vec![batch.x() * 2.0])
    });
    let server = serving.max_batch(2).start().unwrap();
    let answers: Vec<_> = (0..7).map(|i| server.predict(tensor([i]))).collect();
    gate.wait_for(1);
    let dropping = thread::spawn(move || drop(server));
    gate.open();
    dropping.join().unwrap();
    for (i, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.wait().unwrap().item().unwrap(), 2.0 * i as f64);
    }
}
