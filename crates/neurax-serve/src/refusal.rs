//! The reasons for which a request gets no result, although nothing is wrong with it.

use neurax_tensor::Error;
use std::time::Duration;

/// The reason for which a request got no result, although nothing is wrong with it: a caller may
/// try again, or answer with a status such as 503 or 504.
///
/// ```
/// use neurax::prelude::*;
/// use neurax::serve::Refusal;
/// let server = Serving::of(|batch| Ok(vec![batch.x()])).start()?;
/// server.drain();
/// let e = server.run(tensor([1.0])).unwrap_err();
/// assert_eq!(Refusal::of(&e), Some(Refusal::ShuttingDown));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The queue is full.
    QueueFull,
    /// The server has been drained or is being drained.
    ShuttingDown,
    /// There was no result in time.
    TimedOut,
    /// The caller of a stream has left too many results waiting.
    TooSlow,
}

impl Refusal {
    /// Returns the reason if `e` is the error of a refusal.
    pub fn of(e: &Error) -> Option<Refusal> {
        let all = [Refusal::QueueFull, Refusal::ShuttingDown, Refusal::TimedOut, Refusal::TooSlow];
        all.into_iter().find(|r| r.op() == e.op())
    }

    /// Returns the operation that the error names.
    fn op(self) -> &'static str {
        match self {
            Refusal::QueueFull => "serving queue",
            Refusal::ShuttingDown => "serving shutdown",
            Refusal::TimedOut => "serving timeout",
            Refusal::TooSlow => "serving results",
        }
    }

    /// Creates the error of a full queue.
    pub(crate) fn queue_full(limit: usize) -> Error {
        let why = format!(
            "{limit} requests wait, which is the limit; try again later, raise `queue_limit`, or \
             start more workers"
        );
        Error::new(Refusal::QueueFull.op(), why)
    }

    /// Creates the error of a server that takes no more requests.
    pub(crate) fn shutting_down() -> Error {
        Error::new(Refusal::ShuttingDown.op(), "the server was drained and takes no more requests")
    }

    /// Creates the error of a stream whose caller has not taken `limit` results.
    pub(crate) fn too_slow(limit: usize) -> Error {
        let why = format!(
            "{limit} results of the stream wait, which is the limit; take results sooner, or raise \
             `result_limit`"
        );
        Error::new(Refusal::TooSlow.op(), why)
    }

    /// Creates the error of a request that `waited`, in the queue or in a batch.
    pub(crate) fn timed_out(waited: Duration, timeout: Duration, in_queue: bool) -> Error {
        let place = if in_queue {
            "it was still in the queue; raise `timeout`, or lower `queue_limit`"
        } else {
            "the model was running its batch; raise `timeout`, or lower `max_batch`"
        };
        let why = format!("no result after {waited:.1?}, the timeout is {timeout:?}: {place}");
        Error::new(Refusal::TimedOut.op(), why)
    }
}
