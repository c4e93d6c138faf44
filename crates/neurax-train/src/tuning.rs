//! Tuning constants of this crate.

use std::time::Duration;

/// The interval between refreshes of the scores next to the progress bar. Reading them waits for
/// the device, so it must not happen in each step; ten refreshes a second look continuous.
pub(crate) const PROGRESS_REFRESH: Duration = Duration::from_millis(100);
