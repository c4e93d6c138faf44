//! Requests of many callers to one model, against the same model on full batches.

use crate::{DisplayUnit, Report, clock, data};
use neurax::prelude::*;
use neurax::serve::{LatencyQuantiles, Refusal, Server};
use std::thread;
use std::time::{Duration, Instant};

/// The callers. They are tasks of one thread, as in an asynchronous server: threads that send would
/// interrupt the model on a machine of few CPUs, and it is the server that is measured.
const CALLERS: usize = 64;
/// The time between two looks at which callers are to send.
const TICK: Duration = Duration::from_millis(1);
/// The offered load, as a multiple of the rate of full batches.
const OVERLOAD: f64 = 2.0;
/// The requests that may wait: two batches, beyond which a longer queue is only a longer delay.
const WAITING_REQUESTS: usize = 128;
/// The shortest time for which callers send requests, in seconds: many batches.
const MIN_OVERLOAD_SECONDS: f64 = 0.3;
/// The rounds of full batches and of overload.
const ROUNDS: usize = 5;

/// Measures `serving-row`, a row of a small network by its predictor; `serving-offline`, the rate
/// of full batches of a larger one; and `serving-overload`, the answers, refusals and latencies of
/// 64 callers who send twice that rate.
pub fn run(report: &mut Report) -> Result<()> {
    if report.is_selected("serving-row") {
        let predictor = network(&[30, 64, 32, 1])?.predictor(types![f32[1, 30]])?;
        let (x, mut y) = (data::uniform(1, [1, 30]), Tensor::zeros([1, 1]));
        let row = || predictor.run_into(&x, &mut [&mut y]);
        report.measure("serving-row", 1, DisplayUnit::Micros, row)?;
    }
    let is_overloaded = report.is_selected("serving-overload");
    if !report.is_selected("serving-offline") && !is_overloaded {
        return Ok(());
    }
    let net = network(&[784, 2048, 2048, 10])?;
    for batch in report.args.batches(&[64]) {
        let predictor = net.predictor(types![f32[batch, 784]])?;
        let (mut offline, mut rounds) = (vec![], vec![]);
        // Both in turns, as other programs may slow the machine down for a while.
        for _ in 0..ROUNDS {
            let rate = offline_rate(report, &predictor, batch)?;
            offline.push(rate);
            if is_overloaded {
                rounds.push(overload(report, &predictor, rate)?);
            }
        }
        report.add_values("serving-offline", batch, "rows/s", offline);
        show(report, batch, &rounds);
    }
    Ok(())
}

/// Returns a dense network with layers of these sizes.
fn network(sizes: &[usize]) -> Result<Net> {
    let (mut node, features) = (nn::input("x", dims![_, sizes[0]]), sizes[0]);
    for (i, units) in sizes.iter().enumerate().skip(1) {
        node = node.dense(*units);
        node = if i + 1 < sizes.len() { node.relu() } else { node.sigmoid() };
    }
    let model = node.model();
    Ok(model.bind(model.init(key(1), &types![f32[_, features]])?))
}

/// Returns the rows per second of full batches in one round: their mean, as that of answers is.
fn offline_rate(report: &Report, predictor: &nn::Predictor, batch: usize) -> Result<f64> {
    let x = data::uniform(1, [batch, 784]);
    let mut y = predictor.run(&x)?;
    let seconds = report.args.seconds / ROUNDS as f64;
    let seconds = clock::repeat(seconds, || predictor.run_into(&x, &mut [&mut y]))?;
    Ok((batch * seconds.len()) as f64 / seconds.iter().sum::<f64>())
}

/// The results of callers who send more than the model can answer.
struct Overload {
    /// The answers and the refusals per second.
    answered: f64,
    refused: f64,
    latency: LatencyQuantiles,
}

/// Lets callers send more than `rate` rows per second.
fn overload(report: &Report, predictor: &nn::Predictor, rate: f64) -> Result<Overload> {
    let serving = Serving::new(predictor.clone()).queue_limit(WAITING_REQUESTS);
    let server = serving.start()?;
    let seconds = (report.args.seconds / ROUNDS as f64).max(MIN_OVERLOAD_SECONDS);
    let start = Instant::now();
    let [answered, refused] = send(&server, OVERLOAD * rate, seconds)?;
    let elapsed = start.elapsed().as_secs_f64();
    let stats = server.stats();
    if (stats.answered, stats.refused) != (answered, refused) {
        return Err(Error::bug("a server has counted other requests than its callers"));
    }
    let [answered, refused] = [answered, refused].map(|count| count as f64 / elapsed);
    Ok(Overload { answered, refused, latency: stats.latency })
}

/// Shows the results of all rounds.
fn show(report: &mut Report, batch: usize, rounds: &[Overload]) {
    let mut row = |name: &str, unit, value: fn(&Overload) -> f64| {
        let values = rounds.iter().map(value).collect();
        report.add_values(&format!("serving-overload-{name}"), batch, unit, values);
    };
    row("answered", "rows/s", |r| r.answered);
    row("refused", "rows/s", |r| r.refused);
    row("p50", "ms", |r| r.latency.p50.as_secs_f64() * 1e3);
    row("p99", "ms", |r| r.latency.p99.as_secs_f64() * 1e3);
}

/// Sends `rate` requests per second of one row each, those of the callers in turns, without waiting
/// for the results, and then waits for them. Returns the numbers of answers and refusals.
fn send(server: &Server, rate: f64, seconds: f64) -> Result<[u64; 2]> {
    let rows: Vec<Tensor> = (0..CALLERS).map(|i| data::uniform(i as u64, [1, 784])).collect();
    let (start, mut answers) = (Instant::now(), Vec::new());
    while start.elapsed().as_secs_f64() < seconds {
        let due = (start.elapsed().as_secs_f64() * rate) as usize;
        for i in answers.len()..due {
            answers.push(server.predict(rows[i % CALLERS].clone()));
        }
        thread::sleep(TICK);
    }
    let mut counts = [0, 0];
    for answer in answers {
        match answer.wait() {
            Ok(_) => counts[0] += 1,
            Err(e) if Refusal::of(&e) == Some(Refusal::QueueFull) => counts[1] += 1,
            Err(e) => return Err(e),
        }
    }
    Ok(counts)
}
