//! [`ServingOptions`]: the options of a serving, and their check.

use neurax_tensor::{Error, Result};
use std::time::Duration;

/// The number of rows of a batch, unless it is set or the model has one size.
const DEFAULT_MAX_BATCH: usize = 64;
/// The number of requests that may wait, unless it is set.
const DEFAULT_QUEUE_LIMIT: usize = 1024;
/// The number of results of a stream that may wait for the caller, unless it is set.
const DEFAULT_RESULT_LIMIT: usize = 1024;

/// The options of a serving.
#[derive(Clone, Debug)]
pub(crate) struct ServingOptions {
    /// The most rows of a batch.
    pub(crate) max_batch: usize,
    /// The sizes of batches in rising order; the last one is `max_batch`.
    pub(crate) sizes: Vec<usize>,
    /// The time that a request waits for others.
    pub(crate) max_delay: Duration,
    /// The number of requests that may wait.
    pub(crate) queue_limit: usize,
    /// The number of results of a stream that may wait for the caller.
    pub(crate) result_limit: usize,
    pub(crate) timeout: Option<Duration>,
    /// The number of threads that run batches, in each partition.
    pub(crate) workers: usize,
    /// The number of parts into which the threads of the device are divided.
    pub(crate) partitions: usize,
}

impl Default for ServingOptions {
    fn default() -> ServingOptions {
        ServingOptions {
            max_batch: DEFAULT_MAX_BATCH,
            sizes: Vec::new(),
            max_delay: Duration::ZERO,
            queue_limit: DEFAULT_QUEUE_LIMIT,
            result_limit: DEFAULT_RESULT_LIMIT,
            timeout: None,
            workers: 1,
            partitions: 1,
        }
    }
}

impl ServingOptions {
    /// Returns the options with the sizes of batches filled in: those that are set, else the
    /// `fixed` one of the model, else the powers of two up to `max_batch`.
    ///
    /// # Errors
    /// If a number or the timeout is 0, or the sizes and `max_batch` do not fit the model or each
    /// other.
    pub(crate) fn checked(&self, fixed: Option<usize>) -> Result<ServingOptions> {
        let invalid = |why: String| Err(Error::new("serving", why));
        let numbers = [
            ("max_batch", self.max_batch),
            ("queue_limit", self.queue_limit),
            ("result_limit", self.result_limit),
            ("workers", self.workers),
            ("partitions", self.partitions),
        ];
        if let Some((name, _)) = numbers.iter().find(|(_, n)| *n == 0) {
            return invalid(format!("expected {name} of at least 1, got 0"));
        }
        if self.timeout == Some(Duration::ZERO) {
            return invalid(
                "expected a timeout above 0, got 0: no request has a result so soon".into(),
            );
        }
        let mut sizes = match (self.sizes.as_slice(), fixed) {
            ([], Some(size)) => vec![size],
            ([], None) => powers_of_two(self.max_batch),
            (sizes, _) => sizes.to_vec(),
        };
        sizes.sort_unstable();
        sizes.dedup();
        let Some(largest) = sizes.last().copied().filter(|_| !sizes.contains(&0)) else {
            return invalid(format!("expected sizes of batches of at least 1, got {sizes:?}"));
        };
        if let Some(size) = fixed
            && sizes != [size]
        {
            return invalid(format!(
                "expected batches of {size} rows, for which the predictor was compiled, got sizes \
                 {sizes:?}; compile it for `_` rows"
            ));
        }
        Ok(ServingOptions { max_batch: largest, sizes, ..self.clone() })
    }

    /// Returns the number of threads that run batches, in all partitions.
    pub(crate) fn threads(&self) -> usize {
        self.workers.saturating_mul(self.partitions)
    }

    /// Returns the size of a batch for `rows` rows: the smallest one that is large enough.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn size_for(&self, rows: usize) -> Result<usize> {
        self.sizes.iter().copied().find(|size| *size >= rows).ok_or_else(|| {
            let want = format!("expected at most {} rows, the largest batch", self.max_batch);
            Error::new("serving", format!("{want}, got {rows}; divide the request"))
        })
    }
}

/// Returns the powers of two below `last`, and `last`.
fn powers_of_two(last: usize) -> Vec<usize> {
    let powers = std::iter::successors(Some(1usize), |n| n.checked_mul(2));
    powers.take_while(|n| *n < last).chain([last]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(options: &ServingOptions, fixed: Option<usize>) -> Result<Vec<usize>, String> {
        options.checked(fixed).map(|o| o.sizes).map_err(|e| e.to_string())
    }

    #[test]
    fn sizes_are_powers_of_two_unless_the_model_or_the_user_has_others() {
        let options = |max_batch| ServingOptions { max_batch, ..ServingOptions::default() };
        assert_eq!(sizes(&options(1), None).unwrap(), [1]);
        assert_eq!(sizes(&options(48), None).unwrap(), [1, 2, 4, 8, 16, 32, 48]);
        assert_eq!(sizes(&options(64), Some(8)).unwrap(), [8]);
        let set = ServingOptions { sizes: vec![24, 8, 8], ..options(64) }.checked(None).unwrap();
        assert_eq!((set.sizes.as_slice(), set.max_batch), (&[8, 24][..], 24));
        assert_eq!(set.size_for(9).unwrap(), 24);
        let e = set.size_for(25).unwrap_err().to_string();
        assert!(e.contains("expected at most 24 rows, the largest batch, got 25"), "{e}");
    }

    #[test]
    fn invalid_options_are_errors() {
        let base = ServingOptions::default();
        for (options, fixed, why) in [
            (ServingOptions { max_batch: 0, ..base.clone() }, None, "max_batch of at least 1"),
            (ServingOptions { workers: 0, ..base.clone() }, None, "workers of at least 1"),
            (ServingOptions { partitions: 0, ..base.clone() }, None, "partitions of at least 1"),
            (ServingOptions { queue_limit: 0, ..base.clone() }, None, "queue_limit of at least 1"),
            (ServingOptions { result_limit: 0, ..base.clone() }, None, "result_limit of at least"),
            (
                ServingOptions { timeout: Some(Duration::ZERO), ..base.clone() },
                None,
                "timeout above 0",
            ),
            (ServingOptions { sizes: vec![0, 4], ..base.clone() }, None, "got [0, 4]"),
            (ServingOptions { sizes: vec![4], ..base }, Some(8), "expected batches of 8 rows"),
        ] {
            let e = sizes(&options, fixed).unwrap_err();
            assert!(e.contains(why), "{e}");
        }
    }
}
