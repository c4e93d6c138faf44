//! Statistics of a server: counts, sizes of batches, quantiles of latency.
//!
//! Latencies are counted in buckets of the floating-point kind: 16 for each power of two of
//! nanoseconds, so that a quantile is at most 1/16 too high, in constant memory.

use std::collections::BTreeMap;
use std::time::Duration;

/// The buckets for each power of two.
const BUCKETS_PER_OCTAVE: usize = 16;
/// The number of buckets: for 64 bits.
const LATENCY_BUCKETS: usize = 61 * BUCKETS_PER_OCTAVE;

/// Counts of a server since its start.
///
/// Every accepted request is counted once: as `answered`, `failed`, `timed_out`, `cancelled`,
/// `waiting` or `running`.
///
/// ```
/// use neurax::prelude::*;
/// let server = Serving::of(|batch| Ok(vec![batch.x() + 1.0])).start()?;
/// server.run(tensor([1.0]))?;
/// let stats = server.stats();
/// assert_eq!((stats.accepted, stats.answered, stats.waiting), (1, 1, 0));
/// assert_eq!(stats.batches, [(1, 1)].into(), "one batch of one row");
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServingStats {
    /// The requests that were put into the queue.
    pub accepted: u64,
    /// The requests whose results were computed.
    pub answered: u64,
    /// The requests for which the model failed or panicked, or whose callers left too many results
    /// of a stream waiting.
    pub failed: u64,
    /// The requests that were not accepted, as the queue was full or the server was drained.
    pub refused: u64,
    /// The requests that were not accepted, as their preprocessing failed or panicked, or their
    /// inputs do not fit the model.
    pub invalid: u64,
    /// The requests that had no result in time.
    pub timed_out: u64,
    /// The requests whose callers gave up.
    pub cancelled: u64,
    /// The requests that are in the queue now.
    pub waiting: usize,
    /// The requests that workers are running now.
    pub running: usize,
    /// The number of batches for each number of rows of requests, without the rows of zeros.
    pub batches: BTreeMap<usize, u64>,
    /// The time from the call to the result, of the requests that were answered.
    pub latency: LatencyQuantiles,
}

/// Quantiles of latency, each at most 1/16 too high; zero if there are no requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LatencyQuantiles {
    /// The time that half of the requests needed at most.
    pub p50: Duration,
    /// The time that 90 % of the requests needed at most.
    pub p90: Duration,
    /// The time that 99 % of the requests needed at most.
    pub p99: Duration,
    /// The time that the slowest request needed.
    pub max: Duration,
}

/// The counts of latencies.
#[derive(Debug)]
pub(crate) struct LatencyHistogram {
    counts: Vec<u64>,
    total: u64,
    max: Duration,
}

impl Default for LatencyHistogram {
    fn default() -> LatencyHistogram {
        LatencyHistogram { counts: vec![0; LATENCY_BUCKETS], total: 0, max: Duration::ZERO }
    }
}

impl LatencyHistogram {
    /// Counts one request.
    pub(crate) fn add(&mut self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get_mut(bucket_of(nanos)) {
            *count += 1;
        }
        self.total += 1;
        self.max = self.max.max(latency);
    }

    pub(crate) fn quantiles(&self) -> LatencyQuantiles {
        let at = |percent| self.quantile(percent);
        LatencyQuantiles { p50: at(50), p90: at(90), p99: at(99), max: self.max }
    }

    /// Returns the time that `percent` % of the requests needed at most.
    fn quantile(&self, percent: u64) -> Duration {
        let wanted = (self.total * percent).div_ceil(100);
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted && seen > 0
        });
        found.map_or(Duration::ZERO, |i| Duration::from_nanos(end_of(i)).min(self.max))
    }
}

/// Returns the bucket of a time: the position of the highest bit, and the four bits below it.
fn bucket_of(nanos: u64) -> usize {
    let bits = BUCKETS_PER_OCTAVE.ilog2();
    let octave = nanos.checked_ilog2().unwrap_or(0).saturating_sub(bits);
    // The leading one of the mantissa counts as the next octave, except in the first one.
    octave as usize * BUCKETS_PER_OCTAVE + (nanos >> octave) as usize
}

/// Returns the largest time in a bucket.
fn end_of(bucket: usize) -> u64 {
    let octave = (bucket / BUCKETS_PER_OCTAVE).saturating_sub(1);
    let mantissa = (bucket - octave * BUCKETS_PER_OCTAVE) as u128;
    u64::try_from(((mantissa + 1) << octave) - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_dense_and_hold_their_ends() {
        let mut last = None;
        for nanos in (0..5000).chain((12..64).flat_map(|b| [(1 << b) - 1, 1 << b, 3 << (b - 1)])) {
            let i = bucket_of(nanos);
            assert!(i < LATENCY_BUCKETS, "{nanos}");
            assert!(end_of(i) >= nanos, "{nanos} is in the bucket up to {}", end_of(i));
            assert!(end_of(i) - nanos <= nanos / 16, "{nanos} counts as {}", end_of(i));
            assert!(last.is_none_or(|(n, j)| n > nanos || j <= i));
            last = Some((nanos, i));
        }
        assert!(bucket_of(u64::MAX) < LATENCY_BUCKETS);
        assert_eq!(end_of(bucket_of(u64::MAX)), u64::MAX);
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_times() {
        let mut histogram = LatencyHistogram::default();
        assert_eq!(histogram.quantiles(), LatencyQuantiles::default());
        (1..=1000).rev().for_each(|i| histogram.add(Duration::from_micros(i)));
        let q = histogram.quantiles();
        for (found, micros) in [(q.p50, 500), (q.p90, 900), (q.p99, 990)] {
            let want = Duration::from_micros(micros);
            assert!(found >= want && found <= want * 17 / 16, "{found:?} is not {want:?}");
        }
        assert_eq!(q.max, Duration::from_millis(1));
    }
}
