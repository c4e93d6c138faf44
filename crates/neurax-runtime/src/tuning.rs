//! Tuning constants of the runtime. Each has a unit and the reason for its value.

/// The most compiled graphs that a device keeps. Beyond it the least recently used one is dropped
/// and compiled again when it is needed.
pub(crate) const MAX_CACHED_GRAPHS: usize = 1024;

/// The most compiled single operations that a device keeps, one for each op and operand types.
pub(crate) const MAX_CACHED_OPS: usize = 4096;

/// The bytes of a call from which it is checked before it starts that there is memory for them. An
/// allocation below it practically never fails; a check costs less than writing that memory, and a
/// failure later would come after arguments were donated.
pub(crate) const CHECKED_BYTES: usize = 1 << 20;

/// The bytes of a value from which there must be memory for it even if the program never stores it:
/// such a value is mostly a mistake in a shape, and a loop over its elements takes seconds to days.
pub(crate) const LARGE_VALUE_BYTES: usize = 1 << 30;
