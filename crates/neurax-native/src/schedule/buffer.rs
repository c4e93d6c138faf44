//! Buffers of a schedule.

/// A buffer, by index: an array in memory.
pub type BufferId = usize;
