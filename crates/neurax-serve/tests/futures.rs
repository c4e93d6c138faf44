//! Results as futures, with an executor of a few lines: no runtime is needed.

mod common;

use common::Gate;
use neurax::prelude::*;
use neurax::serve::{Refusal, RowBatch, Server};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread, ThreadId};
use std::time::Duration;

/// A waker that unparks a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Unpark>) {
        self.0.unpark();
    }
}

/// Runs a future in this thread: an executor in a few lines.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let (mut cx, mut future) = (Context::from_waker(&waker), pin!(future));
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

/// A waker that counts.
#[derive(Default)]
struct WakeCounter(AtomicUsize);

impl Wake for WakeCounter {
    fn wake(self: Arc<WakeCounter>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// A waker that panics.
struct PanickingWaker;

impl Wake for PanickingWaker {
    fn wake(self: Arc<PanickingWaker>) {
        panic!("no executor");
    }
}

/// A waker that owns a value, as that of an executor owns its tasks, and tells when it has dropped
/// it.
struct OwningWaker<T> {
    owned: Mutex<Option<T>>,
    dropped: Sender<ThreadId>,
}

impl<T: Send + 'static> OwningWaker<T> {
    fn waker(owned: T) -> (Waker, Receiver<ThreadId>) {
        let (dropped, is_dropped) = channel();
        let waker = OwningWaker { owned: Mutex::new(Some(owned)), dropped };
        (Waker::from(Arc::new(waker)), is_dropped)
    }
}

impl<T: Send + 'static> Wake for OwningWaker<T> {
    fn wake(self: Arc<OwningWaker<T>>) {}
}

impl<T> Drop for OwningWaker<T> {
    fn drop(&mut self) {
        drop(self.owned.get_mut().unwrap().take());
        let _ = self.dropped.send(thread::current().id());
    }
}

/// Returns a server that doubles its input behind a gate, with a request that waits there.
fn busy(gate: &Gate) -> (Server, neurax::serve::Answer<Tensor>) {
    let barrier = gate.clone();
    let serving = Serving::of(move |batch: &RowBatch| {
        barrier.pass();
        Ok(vec![batch.x() * 2.0])
    });
    let server = serving.start().unwrap();
    let first = server.predict(tensor([1.0]));
    gate.wait_for(1);
    (server, first)
}

fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

#[test]
fn futures_are_awaited_one_after_the_other_and_computed_together() {
    let gate = Gate::default();
    let (server, first) = busy(&gate);
    let all = async {
        let (second, third) = (server.predict(tensor([2.0])), server.predict(tensor([3.0])));
        gate.open();
        Ok::<_, Error>([first.await?, second.await?, third.await?])
    };
    let ys = block_on(all).unwrap().map(|y| y.item().unwrap());
    assert_eq!(ys, [2.0, 4.0, 6.0]);
    assert_eq!(server.stats().batches, [(1, 1), (2, 1)].into());
}

#[test]
fn only_the_last_waker_is_woken() {
    let gate = Gate::default();
    let (server, mut first) = busy(&gate);
    let (old, new) = (Arc::<WakeCounter>::default(), Arc::<WakeCounter>::default());
    let wakers = [old.clone(), new.clone()].map(Waker::from);
    assert!(poll(&mut first, &wakers[0]).is_pending());
    assert!(poll(&mut first, &wakers[1]).is_pending());
    gate.open();
    server.drain();
    assert_eq!((old.0.load(Relaxed), new.0.load(Relaxed)), (0, 1));
    assert!(matches!(poll(&mut first, &wakers[1]), Poll::Ready(Ok(_))));
    let again = poll(&mut first, &wakers[1]);
    assert!(matches!(again, Poll::Ready(Err(e)) if e.message().contains("taken already")));
}

#[test]
fn a_waker_that_panics_ends_no_worker() {
    let gate = Gate::default();
    let (server, mut first) = busy(&gate);
    assert!(poll(&mut first, &Waker::from(Arc::new(PanickingWaker))).is_pending());
    gate.open();
    assert_eq!(block_on(server.predict(tensor([4.0]))).unwrap().item().unwrap(), 8.0);
    assert_eq!(block_on(first).unwrap().item().unwrap(), 2.0);
}

#[test]
fn a_waker_that_owns_another_request_is_dropped_with_it() {
    let gate = Gate::default();
    let (server, first) = busy(&gate);
    let (mut second, third) = (server.predict(tensor([2.0])), server.predict(tensor([3.0])));
    let (waker, is_dropped) = OwningWaker::waker((first, third));
    assert!(poll(&mut second, &waker).is_pending());
    drop(waker);
    drop(second);
    assert_eq!(is_dropped.recv(), Ok(thread::current().id()));
    assert_eq!((server.stats().cancelled, server.stats().waiting), (3, 0));
    gate.open();
}

#[test]
fn the_timer_may_drop_the_last_handle_of_its_server() {
    let gate = Gate::default();
    let barrier = gate.clone();
    let serving = Serving::of(move |batch: &RowBatch| {
        barrier.pass();
        Ok(vec![batch.x()])
    });
    let server = serving.timeout(Duration::from_millis(200)).start().unwrap();
    let mut first = server.predict(tensor([1.0]));
    let (waker, is_dropped) = OwningWaker::waker(server);
    assert!(poll(&mut first, &waker).is_pending());
    drop(waker);
    // The worker is at the gate: the timer ends the request, and does not wait for the worker.
    assert_ne!(is_dropped.recv().unwrap(), thread::current().id());
    let e = block_on(first).unwrap_err();
    assert_eq!(Refusal::of(&e), Some(Refusal::TimedOut));
    gate.open();
}

#[test]
fn dropped_futures_cancel_and_refusals_come_from_the_future() {
    let gate = Gate::default();
    let (server, mut first) = busy(&gate);
    let waiting = server.predict(tensor([2.0]));
    assert!(poll(&mut first, Waker::noop()).is_pending());
    drop((first, waiting));
    assert_eq!(server.stats().cancelled, 2);
    gate.open();
    server.drain();
    let e = block_on(server.predict(tensor([3.0]))).unwrap_err();
    assert_eq!(Refusal::of(&e), Some(Refusal::ShuttingDown));
    assert_eq!(server.stats().refused, 1);
}

#[test]
fn streams_are_polled() {
    let serving =
        Serving::of_stream(|batch, emit| (1..4).try_for_each(|i| emit(vec![batch.x() * i as f32])));
    let server = serving.start().unwrap();
    let numbers = block_on(async {
        let (mut answers, mut numbers) = (server.stream(tensor([10.0])), vec![]);
        while let Some(y) = answers.next_async().await {
            numbers.push(y?.item()?);
        }
        assert!(answers.next_async().await.is_none(), "the end stays");
        Ok::<_, Error>(numbers)
    });
    assert_eq!(numbers.unwrap(), [10.0, 20.0, 30.0]);
}

#[test]
fn servers_and_futures_are_sent_between_threads() {
    fn assert_sent<T: Send + 'static>(_: &T) {}
    fn assert_shared<T: Send + Sync + Clone>(_: &T) {}
    let serving = Serving::of(|batch| Ok(vec![batch.x()])).postprocess(|y| y.item());
    assert_shared(&serving);
    let server = serving.start().unwrap();
    assert_shared(&server);
    let answer = server.predict(tensor([1.0]));
    assert_sent(&answer);
    assert_sent(&server.stream(tensor([1.0])));
    assert_eq!(block_on(answer).unwrap(), 1.0);
}
