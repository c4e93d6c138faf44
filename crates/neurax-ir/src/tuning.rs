//! Tuning constants of this crate.

/// The smallest allocation that [`crate::Bytes`] keeps for reuse, in cache lines of 64 bytes
/// (16 KiB). The system's allocator serves smaller ones without page faults.
pub const MIN_RECYCLED_LINES: usize = 256;

/// The largest allocation that [`crate::Bytes`] keeps for reuse, in cache lines of 64 bytes
/// (32 MiB): two of them fill the free list.
pub const MAX_RECYCLED_LINES: usize = 1 << 19;

/// The most memory that [`crate::Bytes`] keeps for reuse, in cache lines of 64 bytes (64 MiB).
pub const MAX_FREE_LINES: usize = 1 << 20;

/// The largest allocation that a thread keeps for reuse by its small [`crate::Bytes`], in cache
/// lines of 64 bytes (1 KiB). Eager operations on tensors of this size cost as much as an
/// allocation.
pub const MAX_SMALL_LINES: usize = 16;

/// The most allocations of one size that a thread keeps for reuse by its small [`crate::Bytes`]: 68
/// KiB for all sizes.
pub const MAX_SMALL_BLOCKS: usize = 8;

/// The smallest vector whose memory a [`crate::Literal`] takes over instead of copying, in bytes.
pub const MIN_BORROWED_BYTES: usize = 1 << 16;

/// The most elements of a literal that the text form prints as decimal numbers; longer ones are
/// printed as hexadecimal bytes.
pub const MAX_DECIMAL_ELEMENTS: usize = 8;

/// The most axes of a value, as in NumPy. Rules walk over all pairs of axes, and every kernel has a
/// loop for each.
pub const MAX_RANK: usize = 64;

/// The greatest depth to which graphs are nested: a graph without loops and branches has depth 1.
/// Walkers of nested graphs are recursive, and deeper ones could overflow the stack.
pub const MAX_GRAPH_DEPTH: usize = 64;

/// The largest graph, in equations, whose calls are inlined: one shared copy of a larger graph is
/// cheaper to compile.
pub const MAX_INLINED_EQNS: usize = 64;

/// The most elements of a value that constant folding computes: a larger constant would enlarge
/// the program by more than it saves.
pub const MAX_FOLDED_ELEMENTS: usize = 64;

/// The most rounds of the pass pipeline. Rewrites that one round makes possible for the next are
/// found in the first few.
pub const MAX_PIPELINE_ROUNDS: usize = 4;

/// The longest scan, in iterations, whose derivative adds the cotangents of a constant in f32; that
/// of a longer one adds them in f64. The bound of the error, 1024 roundings, is that of matrix
/// products.
pub const MAX_PLAIN_ITERATIONS: usize = 1024;

/// The most equations that compute a residual of a loop from others instead of stacking it. Those
/// of gates take two to four. Not measured by itself.
pub const MAX_RECOMPUTED_EQNS: usize = 8;

/// The rows of a packed panel of a matrix product, in contracted indices. A panel of f64 fills
/// 64 KiB, so that it stays in the cache while all rows of the result use it. Not measured.
pub const DOT_PANEL_ROWS: usize = 64;

/// The columns of a packed panel of a matrix product, in free indices of the right operand. Not
/// measured.
pub const DOT_PANEL_COLUMNS: usize = 128;

/// The contracted indices of the left operand that are packed at a time for dot products. Not
/// measured.
pub const DOT_BLOCK_ELEMENTS: usize = 512;

/// The rows and columns of the square tiles of a transposition, in elements: two tiles of 16-byte
/// elements fill a first-level cache of 32 KiB. Transposing element by element misses the cache on
/// every read; in tiles it takes 1 to 2.4 ns an element.
pub const TRANSPOSE_TILE: usize = 32;
