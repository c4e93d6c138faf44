//! The constants that decide how often a task is measured.

/// The shortest block of calls that is timed, in seconds. Reading the clock takes some tens of
/// nanoseconds, less than a thousandth of a block.
pub const MIN_TIMED_BLOCK_SECONDS: f64 = 50e-6;

/// The most calls in one timed block.
pub const MAX_CALLS_PER_TIMED_BLOCK: f64 = 1e5;

/// The fewest timed blocks of a task: enough for a median, however short the measuring time is.
pub const MIN_TIMED_BLOCKS: usize = 5;

/// The share of the measuring time that the calls before the first timed block take, so that
/// caches, branch predictors and the clock rate of the CPU have settled.
pub const WARM_UP_SHARE: f64 = 0.1;

/// The number of processes in which each training step is compiled. A process compiles once,
/// because its caches are empty only then.
pub const COLD_COMPILE_PROCESSES: usize = 5;
