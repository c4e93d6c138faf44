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
const MIN_OVERLOAD_SECONDS: f64 = 0.5;
/// The time after which answers are counted, in seconds: then the queue is full.
const FILL_SECONDS: f64 = 0.1;
/// The rounds of full batches and of overload.
const ROUNDS: usize = 5;

/// Measures `serving-row`, a row of a small network by its predictor; `serving-offline`, the rate
/// of full batches of a larger one; `serving-overload`, the answers, refusals and latencies of 64
/// callers who send twice that rate; and `serving-partitions`, the same with a partition for each
/// thread.
pub fn run(report: &mut Report) -> Result<()> {
    if report.is_selected("serving-row") {
        let predictor = network(&[30, 64, 32, 1])?.predictor(types![f32[1, 30]])?;
        let (x, mut y) = (data::uniform(1, [1, 30]), Tensor::zeros([1, 1]));
        let row = || predictor.run_into(&x, &mut [&mut y]);
        report.measure("serving-row", 1, DisplayUnit::Micros, row)?;
    }
    let partitions = report.threads();
    let overloaded = [("serving-overload", 1), ("serving-partitions", partitions)];
    let overloaded: Vec<(&str, usize)> =
        overloaded.into_iter().filter(|(task, _)| report.is_selected(task)).collect();
    if !report.is_selected("serving-offline") && overloaded.is_empty() {
        return Ok(());
    }
    let net = network(&[784, 2048, 2048, 10])?;
    for batch in report.args.batches(&[64]) {
        let predictor = net.predictor(types![f32[batch, 784]])?;
        let (mut offline, mut rounds) = (vec![], vec![vec![]; overloaded.len()]);
        // All in turns, as other programs may slow the machine down for a while.
        for _ in 0..ROUNDS {
            for (rounds, (_, partitions)) in rounds.iter_mut().zip(&overloaded) {
                let rate = offline_rate(report, &predictor, batch)?;
                offline.push(rate);
                rounds.push(overload(report, &predictor, rate, *partitions)?);
            }
            if overloaded.is_empty() {
                offline.push(offline_rate(report, &predictor, batch)?);
            }
        }
        report.add_values("serving-offline", batch, "rows/s", offline);
        for (rounds, (task, _)) in rounds.iter().zip(&overloaded) {
            show(report, task, batch, rounds);
        }
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
#[derive(Clone)]
struct Overload {
    /// The answers and the refusals per second.
    answered: f64,
    refused: f64,
    /// The answers per row of the full batches that were measured before.
    share: f64,
    latency: LatencyQuantiles,
}

/// Lets callers send more than `rate` rows per second.
fn overload(
    report: &Report,
    predictor: &nn::Predictor,
    rate: f64,
    partitions: usize,
) -> Result<Overload> {
    let serving = Serving::new(predictor.clone()).queue_limit(WAITING_REQUESTS);
    let server = serving.partitions(partitions).start()?;
    let seconds = (report.args.seconds / ROUNDS as f64).max(MIN_OVERLOAD_SECONDS);
    let [answered, refused] = send(&server, OVERLOAD * rate, seconds)?;
    let latency = server.stats().latency;
    Ok(Overload { answered, refused, share: 100.0 * answered / rate, latency })
}

/// Shows the results of all rounds.
fn show(report: &mut Report, task: &str, batch: usize, rounds: &[Overload]) {
    let mut row = |name: &str, unit, value: fn(&Overload) -> f64| {
        let values = rounds.iter().map(value).collect();
        report.add_values(&format!("{task}-{name}"), batch, unit, values);
    };
    row("answered", "rows/s", |r| r.answered);
    row("share", "% of offline", |r| r.share);
    row("refused", "rows/s", |r| r.refused);
    row("p50", "ms", |r| r.latency.p50.as_secs_f64() * 1e3);
    row("p99", "ms", |r| r.latency.p99.as_secs_f64() * 1e3);
}

/// The counts of a server at a time.
struct ServingSample {
    time: Instant,
    answered: u64,
    refused: u64,
}

impl ServingSample {
    fn of(server: &Server) -> ServingSample {
        let stats = server.stats();
        ServingSample { time: Instant::now(), answered: stats.answered, refused: stats.refused }
    }

    /// Returns the answers and the refusals per second since the sample `first`.
    fn rates_since(&self, first: &ServingSample) -> [f64; 2] {
        let seconds = self.time.duration_since(first.time).as_secs_f64();
        let counts = [self.answered - first.answered, self.refused - first.refused];
        counts.map(|n| n as f64 / seconds)
    }
}

/// Sends `rate` requests per second of one row each, those of the callers in turns, without waiting
/// for the results, and then waits for them. Returns the answers and refusals per second from the
/// time when the queue is full until the last request is sent.
///
/// # Errors
/// If a request has another error, or the server has counted other requests.
fn send(server: &Server, rate: f64, seconds: f64) -> Result<[f64; 2]> {
    let rows: Vec<Tensor> = (0..CALLERS).map(|i| data::uniform(i as u64, [1, 784])).collect();
    let (start, mut answers, mut full) = (Instant::now(), Vec::new(), None);
    while start.elapsed().as_secs_f64() < FILL_SECONDS + seconds {
        let due = (start.elapsed().as_secs_f64() * rate) as usize;
        for i in answers.len()..due {
            answers.push(server.predict(rows[i % CALLERS].clone()));
        }
        if full.is_none() && start.elapsed().as_secs_f64() >= FILL_SECONDS {
            full = Some(ServingSample::of(server));
        }
        thread::sleep(TICK);
    }
    let full = full.ok_or_else(|| Error::bug("no requests were sent"))?;
    let rates = ServingSample::of(server).rates_since(&full);
    let (mut answered, mut refused) = (0, 0);
    for answer in answers {
        match answer.wait() {
            Ok(_) => answered += 1,
            Err(e) if Refusal::of(&e) == Some(Refusal::QueueFull) => refused += 1,
            Err(e) => return Err(e),
        }
    }
    let end = ServingSample::of(server);
    match (end.answered, end.refused) == (answered, refused) {
        true => Ok(rates),
        false => Err(Error::bug("a server has counted other requests than its callers")),
    }
}
