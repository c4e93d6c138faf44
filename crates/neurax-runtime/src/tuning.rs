//! Tuning constants of the runtime. Each has a unit and the reason for its value.

/// The most compiled graphs that a device keeps. Beyond it the least recently used one is dropped
/// and compiled again when it is needed.
pub(crate) const MAX_CACHED_GRAPHS: usize = 1024;

/// The most compiled single operations that a device keeps, one for each op and operand types.
pub(crate) const MAX_CACHED_OPS: usize = 4096;

/// The size in bytes from which a value's memory is probed before a graph that computes it runs.
/// Below it an allocation practically never fails; above it a failure would come after arguments
/// were donated.
pub(crate) const PROBED_BYTES: usize = 1 << 30;
