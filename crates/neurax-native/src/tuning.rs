//! Tuning constants of the compiler, by stage. Each has its unit and, where one was made, its
//! measurement; `docs/performance.md` has the machine and the figures.

use std::time::Duration;

// Lowering and scheduling.

/// The multiplications from which a product is worth the matrix kernel: a call costs 1 to 2 µs, and
/// allocates. Smaller products are sums of products, which fuse with their neighbours; smaller
/// blocks of convolutions are multiplied by plain loops.
pub const MATMUL_MIN_MULTIPLIES: usize = 16_384;

/// The rows, and the columns, of a product from which it is worth the matrix kernel: one or two are
/// few for a kernel that works on blocks of both. Not measured.
pub const MATMUL_MIN_SIDE: usize = 3;

/// The real products of a complex one. A count, not a choice.
pub const REAL_PRODUCTS_PER_COMPLEX: usize = 4;

/// The cost of an op for one element, in instructions: an addition, a comparison. The costs below
/// are estimates of how many of these an op takes the time of. Not measured one by one.
pub const CHEAP_COST: usize = 1;

/// The cost of an integer multiplication, which has no vector instruction for 8-byte lanes on most
/// CPUs. Not measured.
pub const INTEGER_MULTIPLY_COST: usize = 2;

/// The cost of a load at an offset that is found at run time, with the clamp of the offset. Not
/// measured.
pub const FETCH_COST: usize = 3;

/// The cost of a division or a root. Not measured.
pub const DIVISION_COST: usize = 4;

/// The cost of a short polynomial: exponentials, logarithms, hyperbolic tangents. Not measured.
pub const SHORT_FUNCTION_COST: usize = 12;

/// The cost of a long polynomial or of a call for each lane: all other functions. Not measured.
pub const LONG_FUNCTION_COST: usize = 30;

/// The instructions of a value that is inlined into more than one reader, at most. Not measured.
pub const INLINE_MAX_COST: usize = 6;

/// The instructions of a value that is inlined below a broadcast, at most. Not measured.
pub const BROADCAST_MAX_COST: usize = 3;

/// The instructions of one inlined value, at most. Beyond it the value is stored, so that kernels
/// stay of a size that compiles fast. Not measured.
pub const KERNEL_MAX_COST: usize = 400;

/// The most equations that are inlined one into the other: data movement costs nothing, so that a
/// chain of it has no other bound, and expressions are built recursively.
pub const INLINE_MAX_DEPTH: usize = 500;

/// The most outputs of a fused kernel. Not measured.
pub const MAX_FUSED_OUTPUTS: usize = 16;

/// The largest scratch memory that a thread keeps for the next step, in bytes. Memory of this size
/// is cheap next to the work of the step that asks for it. Not measured.
pub const MAX_KEPT_SCRATCH_BYTES: usize = 8 << 20;

/// The most kernels that are refused for fusion with one kernel before only the producers of what
/// it reads are tried. A scalar that a thousand kernels read would otherwise give half a million
/// pairs. Not measured.
pub const MAX_REFUSALS: usize = 32;

/// The most steps that a search for a path between two steps visits before it assumes that there is
/// one, so that the work of fusion is linear in the number of steps. Not measured.
pub const MAX_PATH_SEARCH: usize = 512;

/// The most nodes of the expression graph of a fused kernel. Not measured.
pub const MAX_FUSED_NODES: usize = 600;

/// The most reductions that depend on one another in a fused kernel. Not measured.
pub const MAX_FUSED_STAGES: usize = 3;

/// The nodes that the expression graph of a kernel has room for at first: few have more. A larger
/// one grows. Not measured.
pub const USUAL_NODES: usize = 28;

/// The bytes of a value that is written along the columns of a reduction, at most. A larger one
/// would touch a cache line for every few elements. Not measured.
pub const MAX_COLUMN_WRITE_BYTES: usize = 1 << 20;

/// The largest trip count that is part of a kernel's structure, such as the size of a window.
/// Larger ones, which change with the batch, are parameters. Not measured.
pub const MAX_STRUCTURAL_SIZE: usize = 4;

/// The largest integer constant that is part of a kernel's structure, such as a shift amount. Not
/// measured.
pub const MAX_STRUCTURAL_INTEGER: u64 = 32;

/// The lanes of a vector in the cost model of vectorization: 4-byte elements. Not measured.
pub const LANES_PER_VECTOR: usize = 4;

/// The trip count from which the remainder of a vectorized loop does not count. Not measured.
pub const LONG_LOOP: usize = 16;

/// The instructions that gather a vector from strided elements, or scatter it to them. Not
/// measured.
pub const GATHER_COST: usize = 2 * LANES_PER_VECTOR;

/// The score of a loop for each contiguous load, if it is vectorized: one vector load. The loop
/// with the highest sum of scores is vectorized. The scores rank accesses, and have no unit; they
/// were not measured one by one.
pub const CONTIGUOUS_LOAD_SCORE: isize = 2;

/// The score of a loop for each contiguous store: strided stores cost more than strided loads. Not
/// measured.
pub const CONTIGUOUS_STORE_SCORE: isize = 4;

/// The score of a loop for each access that it does not move, and for each use of its counter: one
/// instruction for all lanes. Not measured.
pub const UNIFORM_ACCESS_SCORE: isize = 1;

/// The score of a loop for each strided load: a scalar load for every lane. Not measured.
pub const STRIDED_LOAD_SCORE: isize = -3;

/// The score of a loop for each strided store: a scalar store for every lane. Not measured.
pub const STRIDED_STORE_SCORE: isize = -5;

/// The score of a loop with fewer than [`LANES_PER_VECTOR`] iterations, which runs in scalars:
/// worse than three contiguous loads. Not measured.
pub const SHORT_LOOP_SCORE: isize = -6;

/// The taps of a kernel from which a separate block for every feature pays, if features and taps
/// have no common stride. Not measured.
pub const CONV_MIN_TAPS_PER_FEATURE: usize = 64;

/// The elements from which a reduction is split into parts that run in parallel. Sums of the
/// columns of 1024 x 128, which has this size, went from 84 to 25 µs.
pub const SPLIT_REDUCTION_MIN_ELEMENTS: usize = 1 << 17;

/// The most results of a reduction that is split; one with more has enough work for each thread.
/// The sums measured for [`SPLIT_REDUCTION_MIN_ELEMENTS`] have 128 results.
pub const SPLIT_REDUCTION_MAX_RESULTS: usize = 1024;

/// The parts of a reduction that is split. Not measured by itself.
pub const SPLIT_REDUCTION_PARTS: usize = 32;

/// The elements that each part reduces to one, at least: with fewer, the partial results would be
/// nearly as large as the operand. Not measured.
pub const SPLIT_REDUCTION_MIN_PER_PART: usize = 8;

// Code generation.

/// The vectors of each value in an unrolled loop, by the instructions of its longest body: up to
/// the first number of instructions, the loop is unrolled by the second. Copies of a short body
/// hide the latencies of its instructions; copies of a long one need more registers than there are.
/// Not measured one by one.
pub const UNROLL_FACTORS: [(usize, usize); 2] = [(16, 4), (60, 2)];

/// The vectors of each value in the loop over the columns of a small product, up to this many
/// instructions: they share the load of the row's element. Not measured by itself.
pub const UNROLL_SMALL_PRODUCT: (usize, usize) = (8, 8);

/// The most instructions around inner loops after unrolling: more values do not fit into registers,
/// and would be spilled. Not measured.
pub const MAX_UNROLLED_INSTS: usize = 120;

/// The values that a sum adds in its own dtype, for each lane, before it adds them to a total; a
/// sum of no more values needs no total. The rounding error grows with the number of values in a
/// block, the time with the number of blocks: a product of one row by 784 x 128 takes 3 % longer
/// than a plain one.
pub const SUM_BLOCK: usize = 256;

/// The bytes from which a run of contiguous elements is copied by `memcpy`. Rows of a gather were
/// copied twice as fast by it; the limit was not measured.
pub const MIN_MEMCPY_BYTES: i64 = 512;

/// The most kernels whose machine code is kept. Beyond it the least recently used one is dropped
/// and compiled again when it is needed. A transformer's training step has about 200 kernels.
pub const MAX_CACHED_KERNELS: usize = 4096;

// Execution.

/// The most threads of one pool. A guard against a mistyped `NEURAX_THREADS`, which is an error
/// above it. Not measured.
pub const MAX_THREADS: usize = 1024;

/// The polls of an idle thread between two readings of the clock, which cost more than a poll. Not
/// measured.
pub const POLLS_PER_CLOCK_READ: usize = 64;

/// The time for which an idle thread of the pool spins before it sleeps. The next step of a
/// program usually comes sooner, and finds the thread awake. Not measured.
pub const SPIN_BEFORE_SLEEP: Duration = Duration::from_micros(100);

/// The most finished calls of one executable whose memory is kept for the next calls. Not measured.
pub const MAX_KEPT_CALLS: usize = 4;

/// The bytes of a call's memory above which an executable keeps the memory of one call only. Not
/// measured.
pub const LARGE_CALL_BYTES: usize = 1 << 20;

/// The work of a kernel, in elements times instructions, that is worth waking a thread
/// for. Not measured.
pub const PARALLEL_GRAIN_KERNEL: usize = 60_000;

/// The most chunks of a kernel's outermost loop: enough for threads to finish together. Not
/// measured.
pub const KERNEL_MAX_CHUNKS: usize = 32;

/// The iterations in which a kernel whose outermost loop is vectorized is divided into chunks: a
/// multiple of the 32 elements of the largest unrolled step, so that only the last chunk has a
/// remainder. Other loops are divided anywhere. Not measured.
pub const VECTOR_CHUNK_UNIT: usize = 64;

/// The multiplications of one tile of a matrix product, at least: 3.5 µs at 150 GFLOP/s, the
/// rate of one core; a call of the matrix kernel costs 1 to 2 µs.
pub const PARALLEL_GRAIN_FMA: usize = 1 << 18;

/// The most tiles of a matrix product, batch members aside. Not measured.
pub const MATMUL_MAX_TILES: usize = 16;

/// The most bytes of the result in one tile that has an epilogue: the rows are still in the
/// second-level cache (2 MB on the machine that was measured) when the epilogue reads them. The
/// limit was not measured.
pub const MATMUL_EPILOGUE_TILE_BYTES: usize = 1 << 19;

/// The bytes of a right operand above which a tile has at least [`MATMUL_MIN_TILE_ROWS`] rows: the
/// matrix kernel packs the operand again for each tile. Weight gradients of 256 x 1024 from 1024
/// rows took 10.6 ms in eight tiles of rows, and 4.4 ms in tiles of rows and columns.
pub const MATMUL_LARGE_RHS_BYTES: usize = 1 << 19;

/// The rows of a tile that make up for packing a large right operand. Not measured by itself.
pub const MATMUL_MIN_TILE_ROWS: usize = 128;

/// The least rows of a tile of a product with few columns, whose rows are cheap: more tiles made
/// such a product slower. The limit was not measured.
pub const MATMUL_NARROW_MIN_TILE_ROWS: usize = 4 * MATMUL_NARROW_COLUMNS;

/// The least rows of a tile if the right operand has strided columns and is packed for each tile.
/// Not measured.
pub const MATMUL_STRIDED_MIN_TILE_ROWS: usize = MATMUL_MIN_TILE_ROWS / 2;

/// The least multiply-adds of a tile of any other product, as each call of the matrix kernel has a
/// fixed cost. Not measured.
pub const MATMUL_MIN_TILE_FMA: usize = PARALLEL_GRAIN_FMA / 4;

/// The rows and columns of a tile are multiples of this number, a multiple of the sides of the
/// blocks in registers of all matrix kernels. Not measured.
pub const MATMUL_TILE_MULTIPLE: usize = 16;

/// The least rows of a tile that an epilogue follows. Not measured.
pub const MATMUL_EPILOGUE_MIN_ROWS: usize = 32;

/// The columns of a product below which the matrix kernel leaves most of its vector lanes empty,
/// so that its vectors run along the rows instead. A product of the transpose of 1024 x 128 by
/// 1024 x 10 took 85 µs before and 40 µs with it.
pub const MATMUL_NARROW_COLUMNS: usize = 16;

/// The bytes of one block of a narrow product, which is transposed while it is in the cache. Not
/// measured by itself.
pub const MATMUL_NARROW_BLOCK_BYTES: usize = 1 << 16;

/// The rows of a product from which packing its right operand pays: one of 128 x 512 took as long
/// to pack as packing saves in 200 rows. With fewer rows it is read in place, if it has contiguous
/// columns; otherwise the product is not computed in blocks.
pub const MATMUL_PACK_RIGHT_ROWS: usize = 96;

/// The columns of a product above which a left operand with a strided depth is packed: each panel
/// of columns reads it again. Not measured by itself.
pub const MATMUL_PACK_LEFT_COLUMNS: usize = 128;

/// The depth of a part of a product in blocks: a part of a panel, 128 KB of f32, stays in the
/// second-level cache. Not measured by itself.
pub const MATMUL_PART_DEPTH: usize = 512;

/// The most bytes of the packed operands of a product; beyond it each tile packs its own parts.
/// Not measured.
pub const MATMUL_MAX_PACKED_BYTES: usize = 1 << 26;

/// The rows and columns of one tile of packing: the 4-byte elements of a cache line. Not measured.
pub const PACK_TILE: usize = 16;

/// The elements that one thread packs, at least. Not measured.
pub const PACK_GRAIN_ELEMENTS: usize = 1 << 15;

/// The depth of a matrix product above which it is computed in blocks of the depth: up to it, the
/// rounding error is that of a few more than the 512 to 1024 sums in the kernel's registers.
pub const MATMUL_MAX_PLAIN_DEPTH: usize = 8192;

/// The depth of such a block, at most: deep enough for the cost of adding up the results.
pub const MATMUL_DEPTH_BLOCK: usize = 4096;

/// The depth of a block of a product of one row or column, which has no sums in registers.
pub const MATMUL_VECTOR_DEPTH_BLOCK: usize = 1024;

/// The bytes of the totals of a panel of such a product: they stay in the second-level cache.
pub const MATMUL_TOTALS_BYTES: usize = 1 << 20;

/// The least columns of a panel, which share the packed left operand.
pub const MATMUL_MIN_PANEL_COLUMNS: usize = 64;

/// The blocks of patches that a convolution adds in its own dtype before it adds their sum to a
/// total.
pub const CONV_BLOCKS_PER_TOTAL: usize = 16;

/// The multiplications of a convolution that are worth waking a thread for. Not measured.
pub const CONV_GRAIN_FMA: usize = 1 << 17;

/// The tiles that threads share evenly. Not measured.
pub const CONV_MAX_TILES: usize = 8;

/// The most depth of a block of patches: that of the matrix kernel's own blocks. Not measured by
/// itself.
pub const CONV_BLOCK_DEPTH: usize = 512;

/// The bytes of a block of patches: it stays in the second-level cache beside the weights. Packing
/// block by block took the CNN's training step from 620 to 45 ms.
pub const CONV_BLOCK_BYTES: usize = 1 << 18;

/// The columns below which a block is too narrow for the matrix kernel. Not measured.
pub const CONV_NARROW_COLUMNS: usize = 96;

/// The most elements of a result that is computed as partial sums over the depth. Not measured.
pub const CONV_SPLIT_MAX_ELEMENTS: usize = 1 << 17;

/// The ratio of depth to columns from which a convolution is computed as partial sums over the
/// depth. Not measured by itself.
pub const CONV_SPLIT_MIN_DEPTH_RATIO: usize = 4;

/// The least depth of a block of a convolution that is computed as partial sums. Not measured.
pub const CONV_SPLIT_MIN_BLOCK_DEPTH: usize = 16;

/// The least depth of a block of patches: half of the matrix kernel's blocks, since blocks of whole
/// batch members are worth a smaller depth. Not measured by itself.
pub const CONV_MIN_BLOCK_DEPTH: usize = CONV_BLOCK_DEPTH / 2;

/// The columns of a tile, at least, if a block of so few does not fit into [`CONV_BLOCK_BYTES`].
/// Not measured.
pub const CONV_MIN_TILE_COLUMNS: usize = 16;

/// The columns of a tile are a multiple of this number: eight f32 fill a 32-byte vector. Not
/// measured.
pub const CONV_TILE_COLUMN_UNIT: usize = 8;

/// The rows of a block below which plain loops are faster than the matrix kernel. Not measured.
pub const CONV_THIN_ROWS: usize = 3;

/// The elements that one thread sorts, at least. Not measured.
pub const SORT_GRAIN_ELEMENTS: usize = 1 << 12;

/// The most chunks of rows of a sort: enough for threads to finish together. Not measured.
pub const SORT_MAX_CHUNKS: usize = 16;

/// The length of a row from which it is sorted digit by digit: shorter ones are sorted faster by
/// comparisons. Not measured.
pub const RADIX_MIN_ELEMENTS: usize = 1 << 12;

/// The elements of a chunk of a row that is sorted digit by digit, at least: many more than the
/// counts of a digit. Not measured.
pub const RADIX_CHUNK_ELEMENTS: usize = 1 << 16;

/// The most chunks of a row that is sorted digit by digit: their counts are added by one thread.
/// Not measured.
pub const RADIX_MAX_CHUNKS: usize = 8;

/// The elements that one thread transforms, at least. Not measured.
pub const FFT_GRAIN_ELEMENTS: usize = 1 << 12;

/// The most chunks of lines of a Fourier transform: enough for threads to finish together. Not
/// measured.
pub const FFT_MAX_CHUNKS: usize = 16;

/// The additions and multiplications of a factorization that one thread does, at least. Not
/// measured.
pub const FACTOR_GRAIN_OPERATIONS: usize = 1 << 14;

/// The most chunks of matrices of a factorization: enough for threads to finish together. Not
/// measured.
pub const FACTOR_MAX_CHUNKS: usize = 16;

/// The operations of a factorization from which several threads share a matrix: below, waking them
/// costs a part of the time. It is about a matrix of 100 rows, whose eigenvalues take 0.9 ms.
pub const FACTOR_SHARED_OPERATIONS: usize = 1_000_000;

/// The products of a sparse matrix that one thread computes, at least. Not measured.
pub const SPARSE_GRAIN_PRODUCTS: usize = 1 << 14;

/// The most chunks of rows of a sparse product: enough for threads to finish together if some rows
/// have more elements than others. Not measured.
pub const SPARSE_MAX_CHUNKS: usize = 16;

/// The products that are added in the dtype of the matrix; their sums are added in f64. It bounds
/// the error as that of other sums in f32 (docs/accuracy.md).
pub const SPARSE_BLOCK_TERMS: usize = 256;

/// The neighboring lines that are copied together: eight c64 fill a cache line. Not measured.
pub const FFT_BLOCK_LINES: usize = 8;

/// The elements under windows, counted once for each window, that are worth waking a thread for.
/// Not measured.
pub const WINDOWS_GRAIN_TAPS: usize = 1 << 15;

/// The most chunks of rows of windows: enough for threads to finish together. Not measured.
pub const WINDOWS_MAX_CHUNKS: usize = 16;

/// The depth of a part of a convolution by panels: a panel of it, 128 KB of f32, stays in the
/// second-level cache. Not measured by itself.
pub const CONV_PART_DEPTH: usize = MATMUL_PART_DEPTH;

/// The features of a tile, at least, where a group of a batch member is divided by features: each
/// tile reads all patches. Not measured.
pub const CONV_MIN_TILE_RESULTS: usize = 24;

/// The features of a tile up to which panels of windows with one tap are read in place. Not
/// measured.
pub const CONV_PACK_RESULTS: usize = 64;

/// The results of a feature up to which a convolution of one feature in each group is computed row
/// by row. Not measured.
pub const CONV_DEPTHWISE_RESULTS: usize = 4;

/// The multiplications of a tile of a depthwise convolution that are worth waking a thread for.
/// Not measured.
pub const CONV_DEPTHWISE_GRAIN: usize = 1 << 15;

/// The bytes of a band of a depthwise convolution: it stays in the first-level cache, beside the
/// rows of the result. Not measured.
pub const CONV_BAND_BYTES: usize = 1 << 15;

/// The most bytes of all patches of a convolution that are packed before its tiles. Not measured.
pub const CONV_MAX_PACKED_BYTES: usize = 1 << 22;

/// The depth of a part of a convolution with features last: the weights of 64 features, 128 KB,
/// stay in the second-level cache. Not measured by itself.
pub const LAST_PART_DEPTH: usize = 512;

/// The features of an operand up to which the taps of a row are read as one run. With 3 features,
/// 3 by 3 taps then took 282 instead of 350 µs, 7 by 7 taps 1,516 instead of 1,850.
pub const LAST_MERGED_FEATURES: usize = 15;

/// The bytes of the operand and result of a tile of a convolution with features last: they stay in
/// the second-level cache beside the weights. Not measured.
pub const LAST_TILE_BYTES: usize = 1 << 18;

/// The places of a tile of a convolution with features last, at least: each tile reads all weights.
/// Not measured.
pub const LAST_MIN_TILE_PLACES: usize = 48;

/// The most bytes of a band of a depthwise convolution with large dilations. Not measured.
pub const CONV_MAX_BAND_BYTES: usize = 4 * CONV_BAND_BYTES;

/// The multiplications of a quantized product that are worth waking a thread for: 4 times those of
/// f32. Not measured.
pub const QUANTIZED_GRAIN_PRODUCTS: usize = 1 << 19;

/// The tiles of a quantized product that threads share evenly. Not measured.
pub const QUANTIZED_MAX_TILES: usize = 8;

/// The rows of a tile of a quantized product, at least: each tile reads all weights of its columns.
/// Not measured.
pub const QUANTIZED_MIN_TILE_ROWS: usize = 48;

/// The bytes of the rows and of the result of a tile of a quantized product: they stay in the
/// second-level cache beside the weights. Not measured.
pub const QUANTIZED_TILE_BYTES: usize = 1 << 18;
