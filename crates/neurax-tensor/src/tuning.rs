//! Tuning constants of tracing and compiling. Each has a unit and the reason for its value.

/// The most traces that one `Jit` keeps. Beyond it the least recently used one is dropped and
/// traced again when it is needed. A training loop needs one for each batch shape, two or three in
/// practice.
pub(crate) const MAX_CACHED_TRACES: usize = 256;

/// The most jitted functions that a thread traces one inside of the other. Each needs stack for the
/// user's function and for tracing: 64 levels fit into the 2 MiB of a thread with room to spare.
pub(crate) const MAX_NESTED_TRACES: usize = 64;

/// The size in bytes up to which a concrete value is written into the graph of a `jit` as a
/// constant instead of becoming a captured input. 64 bytes, one cache line, hold scalars,
/// axes and short vectors: values that constant folding can use.
pub(crate) const MAX_INLINED_BYTES: usize = 64;

/// The number of equations up to which a lazy constant without arguments is computed again by each
/// function that uses it. `eye` has six; a loop with this many operations on one element is about
/// as fast as a read from memory.
pub(crate) const MAX_CHEAP_EQNS: usize = 12;

/// The time that [`crate::Jit::profile`] spends on the calls that it averages.
pub(crate) const PROFILE_TIME: std::time::Duration = std::time::Duration::from_millis(200);

/// The most calls that [`crate::Jit::profile`] averages.
pub(crate) const MAX_PROFILED_CALLS: u32 = 1000;

/// The size in bytes from which files of weights are mapped into memory instead of copied. A mapped
/// file must not change while it is in use, which is worth asking for where a copy is slow or does
/// not fit into memory. Reading 1 GiB from the cache of the system takes 0.5 s.
pub(crate) const MAPPED_FILE_BYTES: u64 = 1 << 30;
