//! Batches, keys, padding, streams and errors, in this thread and in workers.

mod common;

use common::Gate;
use neurax::prelude::*;
use neurax::serve::{Refusal, RowBatch, Server};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// Returns one row of a number.
fn row(x: f32) -> Tensor {
    tensor([[x]])
}

fn number(y: Result<Tensor>) -> f64 {
    y.unwrap().item().unwrap()
}

/// A record of the batches that a model has seen: key, rows of requests, rows with padding.
type Seen = Arc<Mutex<Vec<(u64, usize, usize)>>>;

/// Returns a serving that doubles its input, behind a gate.
fn gated(gate: &Gate) -> (Serving, Seen) {
    let (gate, seen) = (gate.clone(), Seen::default());
    let record = seen.clone();
    let serving = Serving::of(move |batch: &RowBatch| {
        record.lock().unwrap().push((batch.key(), batch.rows(), batch.size()));
        gate.pass();
        Ok(vec![batch.x() * 2])
    });
    (serving, seen)
}

/// Starts a server, and lets its only worker wait at the gate with a first request.
fn busy(serving: &Serving, gate: &Gate) -> (Server, neurax::serve::Answer<Tensor>) {
    let server = serving.start().unwrap();
    let first = server.predict(row(0.0));
    gate.wait_for(1);
    (server, first)
}

#[test]
fn a_network_answers_inline_and_in_batches_as_it_is() {
    let model = nn::input("x", dims![_, 3]).dense(4).tanh().dense(2).model();
    let net = model.bind(model.init(key(0), &types![f32[_, 3]]).unwrap());
    let predictor = net.predictor(types![f32[_, 3]]).unwrap();
    let serving = Serving::new(predictor.clone()).max_batch(4);
    let requests: Vec<Tensor> = (0..30).map(|i| key(i).normal([1 + i as usize % 3, 3])).collect();
    // Programs for other sizes of batches may round differently.
    let check = |x: &Tensor, y: Tensor| {
        let expected = net.apply(x);
        assert_eq!(y.shape(), expected.y().shape());
        let difference = (y - expected.y()).abs().max(..).item().unwrap();
        assert!(difference < 1e-6, "{difference}");
    };
    for x in &requests {
        check(x, serving.run(x.clone()).unwrap());
    }
    let server = serving.start().unwrap();
    assert_eq!(predictor.memory().programs, 3, "for 1, 2 and 4 rows");
    let answers: Vec<_> = requests.iter().map(|x| server.predict(x.clone())).collect();
    for (x, answer) in requests.iter().zip(answers) {
        check(x, answer.wait().unwrap());
    }
    assert_eq!((predictor.memory().programs, server.stats().answered), (3, 30));
}

#[test]
fn requests_that_arrive_while_the_worker_is_busy_are_the_next_batch() {
    let gate = Gate::default();
    let (serving, seen) = gated(&gate);
    let (server, first) = busy(&serving.max_batch(4), &gate);
    let answers: Vec<_> = (1..7).map(|i| server.predict(row(i as f32))).collect();
    assert_eq!((server.stats().waiting, server.stats().running), (6, 1));
    gate.open();
    assert_eq!(number(first.wait()), 0.0);
    for (i, answer) in answers.into_iter().enumerate() {
        assert_eq!(number(answer.wait()), 2.0 * (i + 1) as f64);
    }
    assert_eq!(*seen.lock().unwrap(), [(0, 1, 1), (0, 4, 4), (0, 2, 2)]);
    assert_eq!(server.stats().batches, [(1, 1), (2, 1), (4, 1)].into());
}

#[test]
fn a_full_batch_does_not_wait_for_the_delay() {
    let gate = Gate::default();
    gate.open();
    let (serving, seen) = gated(&gate);
    let server = serving.max_batch(3).max_delay(Duration::MAX).start().unwrap();
    let answers: Vec<_> = (0..3).map(|i| server.predict(row(i as f32))).collect();
    for (i, answer) in answers.into_iter().enumerate() {
        assert_eq!(number(answer.wait()), 2.0 * i as f64);
    }
    let late = server.predict(row(5.0));
    server.drain();
    assert_eq!(number(late.wait()), 10.0, "a drain does not wait, either");
    assert_eq!(*seen.lock().unwrap(), [(0, 3, 3), (0, 1, 1)]);
}

#[test]
fn batches_are_filled_up_to_the_sizes() {
    let gate = Gate::default();
    let (serving, seen) = gated(&gate);
    let (server, first) = busy(&serving.batch_sizes([2, 6]), &gate);
    let answers: Vec<_> = (1..8).map(|i| server.predict(row(i as f32))).collect();
    gate.open();
    drop(first.wait().unwrap());
    for (i, answer) in answers.into_iter().enumerate() {
        let y = answer.wait().unwrap();
        assert_eq!(y.shape(), [1, 1], "without the rows of zeros");
        assert_eq!(y.item().unwrap(), 2.0 * (i + 1) as f64);
    }
    assert_eq!(*seen.lock().unwrap(), [(0, 1, 2), (0, 6, 6), (0, 1, 2)]);
    let e = server.run(Tensor::zeros([7, 1])).unwrap_err().to_string();
    assert!(e.contains("expected at most 6 rows, the largest batch, got 7"), "{e}");
}

#[test]
fn keys_and_shapes_are_not_mixed() {
    let gate = Gate::default();
    let (serving, seen) = gated(&gate);
    let serving = serving.batch_key(|xs| u64::from(xs[0].dtype() == F32 && xs[0].dim(1) > 2));
    let (server, first) = busy(&serving, &gate);
    let xs = [row(1.0), Tensor::ones([1, 3]), row(2.0), tensor([[4]]), Tensor::ones([1, 4])];
    let answers: Vec<_> = xs.iter().map(|x| server.predict(x.clone())).collect();
    gate.open();
    drop(first.wait().unwrap());
    for (x, answer) in xs.iter().zip(answers) {
        let y = answer.wait().unwrap();
        assert_eq!(y.ty().unwrap(), x.ty().unwrap());
        assert_eq!(y.to_string(), (x * 2).to_string());
    }
    let rest = &seen.lock().unwrap()[1..];
    assert_eq!(rest, [(0, 2, 2), (1, 1, 1), (0, 1, 1), (1, 1, 1)], "the oldest group first");
}

#[test]
fn a_full_queue_refuses_and_says_what_to_do() {
    let gate = Gate::default();
    let (serving, _) = gated(&gate);
    let (server, first) = busy(&serving.queue_limit(2), &gate);
    let accepted = [server.predict(row(1.0)), server.predict(row(2.0))];
    let e = server.run(row(3.0)).unwrap_err();
    assert_eq!(Refusal::of(&e), Some(Refusal::QueueFull));
    assert!(e.message().starts_with("2 requests wait, which is the limit; try again"), "{e}");
    gate.open();
    drop(first.wait().unwrap());
    assert_eq!(accepted.map(|a| number(a.wait())), [2.0, 4.0]);
    assert_eq!(number(server.run(row(3.0))), 6.0, "there is room again");
    let stats = server.stats();
    assert_eq!((stats.accepted, stats.answered, stats.refused), (4, 4, 1));
}

#[test]
fn a_cancelled_request_frees_its_place() {
    let gate = Gate::default();
    let (serving, seen) = gated(&gate);
    let (server, first) = busy(&serving.queue_limit(2), &gate);
    let (dropped, kept) = (server.predict(row(1.0)), server.predict(row(2.0)));
    drop(dropped);
    let next = server.predict(row(3.0));
    drop(first);
    let stats = server.stats();
    assert_eq!((stats.cancelled, stats.waiting, stats.running), (2, 2, 0));
    gate.open();
    assert_eq!((number(kept.wait()), number(next.wait())), (4.0, 6.0));
    assert_eq!(*seen.lock().unwrap(), [(0, 1, 1), (0, 2, 2)], "the dropped one never ran");
    assert_eq!(server.stats().answered, 2);
}

#[test]
fn late_requests_are_errors_that_name_the_time_and_the_place() {
    let gate = Gate::default();
    let (serving, _) = gated(&gate);
    let (server, first) = busy(&serving.timeout(Duration::from_millis(30)), &gate);
    let second = server.predict(row(1.0));
    // The model is still at the gate: the worker cannot end them.
    for (answer, place) in [(first, "running its batch"), (second, "still in the queue")] {
        let e = answer.wait().unwrap_err();
        assert_eq!(Refusal::of(&e), Some(Refusal::TimedOut));
        let text = e.to_string();
        assert!(text.contains("the timeout is 30ms") && text.contains(place), "{text}");
    }
    let stats = server.stats();
    assert_eq!((stats.timed_out, stats.answered, stats.waiting), (2, 0, 0));
    gate.open();
    server.drain();
    assert_eq!(server.stats().timed_out, 2, "the late result is dropped");
}

#[test]
fn errors_and_panics_of_one_request_do_not_harm_others() {
    let gate = Gate::default();
    let barrier = gate.clone();
    let serving = Serving::of(move |batch: &RowBatch| {
        barrier.pass();
        let xs = batch.x().to_vec::<f32>()?;
        assert!(!xs.contains(&13.0), "an unlucky number");
        if xs.contains(&14.0) {
            return Err(Error::new("model", "fourteen"));
        }
        Ok(vec![batch.x() * 2.0])
    });
    let serving = serving
        .preprocess(|x: f32| {
            assert!(x >= 0.0, "a negative number");
            if x > 100.0 { Err(Error::new("pre", "too large")) } else { Ok(row(x)) }
        })
        .postprocess(|y: Tensor| {
            let y = y.item()?;
            assert!(y < 60.0, "a large result");
            Ok(y)
        });
    let server = serving.start().unwrap();
    let first = server.predict(0.0);
    gate.wait_for(1);
    let xs = [1.0, 13.0, -1.0, 2.0, 14.0, 101.0, 3.0, 50.0];
    let answers: Vec<_> = xs.iter().map(|x| server.predict(*x)).collect();
    gate.open();
    assert_eq!(first.wait().unwrap(), 0.0);
    let found: Vec<String> = answers
        .into_iter()
        .map(|a| a.wait().map_or_else(|e| e.message().to_string(), |y| y.to_string()))
        .collect();
    let expected = [
        "2",
        "the model panicked: an unlucky number",
        "preprocessing panicked: a negative number",
        "4",
        "fourteen",
        "too large",
        "6",
        "postprocessing panicked: a large result",
    ];
    assert_eq!(found, expected);
    let stats = server.stats();
    assert_eq!((stats.accepted, stats.answered, stats.failed), (7, 5, 2), "50 was computed");
    assert_eq!((stats.refused, stats.invalid), (0, 2), "preprocessing failed and panicked");
    assert_eq!(server.run(4.0).unwrap(), 8.0, "the worker lives on");
}

/// Returns a server whose model fails on the number 13 behind a gate, with a request that waits
/// there, and the rows of requests of each batch.
fn unlucky(gate: &Gate) -> (Server, neurax::serve::Answer<Tensor>, Seen) {
    let (barrier, seen) = (gate.clone(), Seen::default());
    let record = seen.clone();
    let serving = Serving::of(move |batch: &RowBatch| {
        record.lock().unwrap().push((batch.key(), batch.rows(), batch.size()));
        barrier.pass();
        match batch.x().to_vec::<f32>()?.contains(&13.0) {
            true => Err(Error::new("model", "thirteen")),
            false => Ok(vec![batch.x() * 2.0]),
        }
    });
    let (server, first) = busy(&serving, gate);
    (server, first, seen)
}

#[test]
fn a_failed_batch_is_halved_until_only_its_cause_fails() {
    let gate = Gate::default();
    let (server, first, seen) = unlucky(&gate);
    let xs = [1.0, 2.0, 3.0, 4.0, 5.0, 13.0, 7.0, 8.0];
    let answers: Vec<_> = xs.iter().map(|x| server.predict(row(*x))).collect();
    gate.open();
    drop(first.wait());
    for (x, answer) in xs.iter().zip(answers) {
        match answer.wait() {
            Ok(y) => assert_eq!(y.item().unwrap(), f64::from(2.0 * x)),
            Err(e) => assert_eq!((*x, e.message()), (13.0, "thirteen")),
        }
    }
    let rows: Vec<usize> = seen.lock().unwrap().iter().map(|(_, rows, _)| *rows).collect();
    assert_eq!(rows, [1, 8, 4, 4, 2, 1, 1, 2]);
    let stats = server.stats();
    assert_eq!((stats.answered, stats.failed), (8, 1));
}

#[test]
fn requests_that_ended_while_their_batch_failed_do_not_run_again() {
    let gate = Gate::default();
    let (server, first, seen) = unlucky(&gate);
    let [a, b, c, d] = [13.0, 2.0, 3.0, 4.0].map(|x| server.predict(row(x)));
    gate.open_for(1);
    gate.wait_for(2);
    drop((b, d));
    gate.open();
    drop(first.wait());
    assert_eq!(a.wait().unwrap_err().message(), "thirteen");
    assert_eq!(number(c.wait()), 6.0);
    let rows: Vec<usize> = seen.lock().unwrap().iter().map(|(_, rows, _)| *rows).collect();
    assert_eq!(rows, [1, 4, 1, 1], "two of four were cancelled");
}

#[test]
fn packed_rows_that_end_within_a_byte_are_batched() {
    let gate = Gate::default();
    let barrier = gate.clone();
    let serving = Serving::of(move |batch: &RowBatch| {
        barrier.pass();
        Ok(vec![batch.x()])
    });
    let (server, first) = busy(&serving, &gate);
    let xs = [tensor([[1, 2, 3]]), tensor([[4, 5, 6], [-1, -2, -3]]), tensor([[7, -8, 0]])];
    let xs = xs.map(|x| x.to(I4));
    let answers: Vec<_> = xs.iter().map(|x| server.predict(x.clone())).collect();
    gate.open();
    drop(first.wait());
    for (x, answer) in xs.iter().zip(answers) {
        let y = answer.wait().unwrap();
        assert_eq!((y.ty().unwrap(), y.to_string()), (x.ty().unwrap(), x.to_string()));
    }
    assert_eq!(server.stats().batches, [(1, 1), (4, 1)].into());
}

#[test]
fn a_stream_that_is_not_read_ends_and_harms_no_others() {
    let serving =
        Serving::of_stream(|batch, emit| (0..5).try_for_each(|i| emit(vec![batch.x() + i as f32])));
    let server = serving.result_limit(3).start().unwrap();
    let (slow, last) = (server.stream(row(1.0)), server.predict(row(10.0)));
    server.drain();
    let results: Vec<Result<Tensor>> = slow.collect();
    assert_eq!(results.len(), 4, "three results, then the error");
    let e = results[3].as_ref().unwrap_err();
    assert_eq!(Refusal::of(e), Some(Refusal::TooSlow));
    assert!(e.message().starts_with("3 results of the stream wait, which is the limit"), "{e}");
    assert_eq!(number(last.wait()), 14.0, "a caller of the last result needs no more");
    assert_eq!((server.stats().answered, server.stats().failed), (1, 1));
}

#[test]
fn inline_runs_have_the_same_errors() {
    let serving = Serving::of(|batch: &RowBatch| {
        if batch.x().item()? > 0.0 { panic!("positive") } else { Ok(vec![batch.x().sum(..)]) }
    });
    for (x, why) in [
        (row(1.0), "the model panicked: positive"),
        (row(0.0), "expected outputs with 1 rows, one per row of the batch, got f32[]"),
        (
            tensor(1.0),
            "expected inputs with one number of rows of at least 1, as axis 0, got (f32[])",
        ),
        (Tensor::zeros([0, 1]), "as axis 0, got (f32[0, 1])"),
        (Tensor::zeros([65, 1]), "expected at most 64 rows"),
        (Tensor::ones(2) + Tensor::ones(3), "cannot broadcast f32[2] with f32[3]"),
    ] {
        let e = serving.run(x.clone()).unwrap_err().to_string();
        assert!(e.contains(why), "{e}");
        let served = serving.start().unwrap().run(x).unwrap_err().to_string();
        assert!(served.contains(why), "{served}");
    }
}

#[test]
fn inputs_are_checked_against_the_predictor_before_they_wait() {
    let (a, b) = (nn::input("a", dims![_, 2]), nn::input("b", dims![_, 3]));
    let both = nn::concat([&a, &b], -1);
    let sum = nn::layer("sum", [&both], |_, [x]| x.sum(-1));
    let model = Model::new([("sum", sum), ("all", both * 2.0)]);
    let net = model.bind(Vars::default());
    let serving = Serving::by_name(net.predictor(types![f32[_, 2], f32[_, 3]]).unwrap());
    let server = serving.start().unwrap();
    let inputs = |a: &[usize], b: &[usize]| {
        [("a".to_string(), Tensor::ones(a)), ("b".to_string(), Tensor::ones(b))].into()
    };
    let y = server.run(inputs(&[2, 2], &[2, 3])).unwrap();
    assert_eq!(y["sum"].to_vec::<f32>().unwrap(), [5.0, 5.0]);
    assert_eq!(y["all"].shape(), [2, 5]);
    for (xs, why) in [
        (inputs(&[1, 2], &[1, 4]), "input `b`: expected f32[_, 3], got f32[1, 4]"),
        (inputs(&[1, 2], &[2, 3]), "one number of rows of at least 1, as axis 0, got (f32[1, 2]"),
        ([("a".to_string(), Tensor::ones([1, 2]))].into(), "missing input `b`"),
    ] {
        let e = server.run(xs).unwrap_err().to_string();
        assert!(e.contains(why), "{e}");
    }
    assert_eq!(server.stats().accepted, 1);
}

#[test]
fn a_predictor_of_fixed_rows_has_batches_of_this_size() {
    let model = nn::input("x", dims![_, 3]).dense(2).model();
    let net = model.bind(model.init(key(0), &types![f32[_, 3]]).unwrap());
    let predictor = net.predictor(types![f32[4, 3]]).unwrap();
    let x = key(1).normal([1, 3]);
    let y = Serving::new(predictor.clone()).run(x.clone()).unwrap();
    let difference = (y - net.apply(&x).y()).abs().max(..).item().unwrap();
    assert!(difference < 1e-6, "{difference}");
    let e = Serving::new(predictor).batch_sizes([1, 8]).start().unwrap_err().to_string();
    assert!(e.contains("expected batches of 4 rows, for which the predictor was compiled"), "{e}");
}

#[test]
fn streams_give_each_caller_its_part_of_every_result() {
    let gate = Gate::default();
    let barrier = gate.clone();
    let serving = Serving::of_stream(move |batch, emit| {
        barrier.pass();
        (1..4).try_for_each(|i| emit(vec![batch.x() * i as f32]))?;
        if batch.rows() == 1 { Ok(()) } else { Err(Error::new("model", "out of tokens")) }
    });
    let server = serving.start().unwrap();
    let first = server.stream(row(1.0));
    gate.wait_for(1);
    let (a, b, dropped) =
        (server.stream(row(10.0)), server.predict(row(7.0)), server.stream(row(0.0)));
    drop(dropped);
    gate.open();
    let numbers: Vec<f64> = first.map(number).collect();
    assert_eq!(numbers, [1.0, 2.0, 3.0]);
    let results: Vec<Result<Tensor>> = a.collect();
    assert_eq!(results.len(), 4, "three results, then the error");
    assert_eq!(results[2].as_ref().unwrap().item().unwrap(), 30.0);
    assert_eq!(results[3].as_ref().unwrap_err().message(), "out of tokens");
    assert_eq!(b.wait().unwrap_err().message(), "out of tokens");
    assert_eq!(number(server.run(row(5.0))), 15.0, "the last result");
}

#[test]
fn a_stream_without_callers_can_stop() {
    let (gate, stopped) = (Gate::default(), Arc::new(OnceLock::new()));
    let (barrier, record) = (gate.clone(), stopped.clone());
    let serving = Serving::of_stream(move |batch, emit| {
        barrier.pass();
        let result = emit(vec![batch.x()]);
        let _ = record.set(result.clone().map_err(|e| e.message().to_string()));
        result
    });
    let server = serving.start().unwrap();
    let only = server.stream(row(1.0));
    gate.wait_for(1);
    drop(only);
    gate.open();
    server.drain();
    let stopped = stopped.get().unwrap().clone().unwrap_err();
    assert_eq!(stopped, "no caller waits for the results of this batch");
}

#[test]
fn a_model_without_results_is_an_error() {
    let serving = Serving::of_stream(|_, _| Ok(()));
    let e = serving.run(row(1.0)).unwrap_err().to_string();
    assert!(e.contains("it has not called `emit`"), "{e}");
    let e = serving.start().unwrap().run(row(1.0)).unwrap_err().to_string();
    assert!(e.contains("it has not called `emit`"), "{e}");
    let e = Serving::of(|_| Ok(vec![])).run(row(1.0)).unwrap_err().to_string();
    assert!(e.contains("expected an output of the model, got none"), "{e}");
}

#[test]
fn a_model_may_drain_its_own_server() {
    let server: Arc<OnceLock<Server>> = Arc::default();
    let own = server.clone();
    let serving = Serving::of(move |batch: &RowBatch| {
        own.get().into_iter().for_each(Server::drain);
        Ok(vec![batch.x()])
    });
    let started = serving.timeout(Duration::from_secs(60)).start().unwrap();
    assert!(server.set(started.clone()).is_ok());
    assert_eq!(number(started.run(row(1.0))), 1.0);
    started.drain();
    let e = started.run(row(1.0)).unwrap_err();
    assert_eq!(Refusal::of(&e), Some(Refusal::ShuttingDown));
}
