//! Tuning constants of the compiler, by stage. Each has a unit and the measurement behind it;
//! `docs/performance.md` has the machine and the figures.

// Lowering and scheduling.

// Code generation.

/// The most kernels whose machine code is kept. Beyond it the least recently used one is dropped
/// and compiled again when it is needed. A transformer's training step has about 200 kernels.
pub const MAX_CACHED_KERNELS: usize = 4096;

// Execution.
