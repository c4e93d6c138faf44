//! Tuning constants of this crate.

use std::time::Duration;

/// The interval between refreshes of the scores next to the progress bar. Reading them waits for
/// the device, so it must not happen in each step; ten refreshes a second look continuous.
pub(crate) const PROGRESS_REFRESH: Duration = Duration::from_millis(100);

/// The time after which a log file gets a line of an epoch in progress: a person who looks at it
/// sees that the training goes on, and a day of training has at most 1440 such lines.
pub(crate) const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The least time between two lines in a notebook, whose cell keeps all of them.
pub(crate) const NOTEBOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The number of checkpoints that are kept by default. Of two, one may be damaged; the third one is
/// that before the last epoch, from which a run that diverged can start again.
pub(crate) const DEFAULT_KEPT_STATES: usize = 3;

/// The interval between two writes of a watchdog file. A supervisor waits for minutes before it
/// restarts a program, so that seconds are exact enough.
pub(crate) const WATCHDOG_INTERVAL: Duration = Duration::from_secs(10);

/// The number of bytes of a file that are read in one call for its checksum. Beyond 64 KiB, calls
/// of the operating system take no part of the time.
pub(crate) const CHECKSUM_BUFFER_BYTES: usize = 1 << 16;

/// The most differences between two trainings that an error lists: about a screen of text.
pub(crate) const MAX_LISTED_DIFFERENCES: usize = 8;

/// The largest `state.json`, file of a run directory or log that is read: a history of millions of
/// epochs.
pub(crate) const MAX_DOCUMENT_BYTES: u64 = 1 << 30;

/// The number of bins of a histogram for TensorBoard, which draws about a hundred pixels.
pub(crate) const HISTOGRAM_BINS: usize = 64;

/// The number of steps between lines of the log of a run directory: reading the scores waits for
/// the device, so that it must not happen in each step.
pub(crate) const LOGGED_STEPS: usize = 10;

/// The most points of a ROC or PR curve that are stored, twice the pixels that a plot needs.
pub(crate) const MAX_CURVE_POINTS: usize = 500;

/// The most variables that are not finite in the error of `StopOnNan`.
pub(crate) const MAX_LISTED_VARIABLES: usize = 3;
