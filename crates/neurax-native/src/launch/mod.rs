//! Execution of compiled programs: tasks over addresses. Shapes are resolved at compile time.
//!
//! A [`Program`] is a list of [`Task`]s, one for each step of the schedule, and a memory plan. A
//! call takes a `Frame`, the table of the address of every buffer, fills in the addresses of the
//! arguments and results, and runs the tasks in order:
//!
//! | file | task |
//! |---|---|
//! | `kernel` | machine code of a fused loop nest, in chunks of its outermost loop |
//! | `product` | a matrix product: tiles over `matmul`, each with its epilogue |
//! | `convolution` | im2col block by block, and products of the blocks |
//! | `windows` | pooling, and the selections behind its derivatives |
//! | `sort` | rows, by keys as integers |
//! | `fft` | Fourier transforms, along one axis after the other |
//! | `factor` | factorizations of matrices, and triangular systems |
//! | `sparse_dot` | products of sparse matrices with dense operands, row by row |
//! | `control` | loops and branches: programs inside of the program |
//! | `fallback` | an op without machine code, on the reference interpreter |
//!
//! A copy of a buffer is a task without a file. The tasks share these files:
//!
//! | file | contents |
//! |---|---|
//! | `program`, `frame` | the program and its run; the addresses and the memory of one call |
//! | `pool` | threads, which share the chunks of a task |
//! | `matmul`, `strided_matrix` | the matrix kernels; matrices by address and strides |
//! | `blocked`, `strips`, `microkernels` | products in blocks; packed operands; microkernels |
//! | `pack_rhs` | right operands packed for `matmul` |
//! | `tap_range` | index ranges of windows, for convolutions and windows |
//! | `totals` | f64 totals of long sums, for products, convolutions and windows |
//! | `scratch` | memory that a thread keeps for its chunks |
//! | `shared_array` | an array of which each chunk uses other elements |
//! | `subnormal` | the CPU's flush-to-zero mode around a run |
//!
//! The chunks follow from the shapes alone, so that the number of threads changes no bit of a
//! result. No task but a fallback allocates once a program is warm: frames are kept by the
//! executable, scratch memory by each thread.
//!
//! `executable` is the entry: it implements the runtime's `Executable` over a `Program`. Nothing in
//! this folder compiles; `compile.rs` does.

mod blocked;
mod channels_last;
mod control;
mod convolution;
mod executable;
#[cfg(feature = "linalg")]
mod factor;
mod fallback;
mod fft;
mod frame;
mod kernel;
mod kernel_loops;
mod kernel_part;
mod matmul;
mod microkernels;
mod pack_rhs;
mod part_epilogue;
mod pool;
mod product;
mod program;
mod quantized_dot;
mod scratch;
mod shared_array;
mod shifted_rows;
mod sort;
mod sparse_dot;
mod strided_matrix;
mod strips;
mod subnormal;
mod tap_range;
mod totals;
mod windows;

pub use channels_last::ChannelsLastTask;
pub use control::{ControlTask, carried};
pub use convolution::ConvolutionTask;
pub use executable::NativeExecutable;
#[cfg(feature = "linalg")]
pub use factor::FactorTask;
pub use fallback::FallbackTask;
pub use fft::FftTask;
pub use kernel::KernelTask;
pub use pool::Pool;
pub use product::ProductTask;
pub use program::{Program, Task, Tasks};
pub use quantized_dot::QuantizedDotTask;
pub use sort::SortTask;
pub use sparse_dot::SparseDotTask;
pub use windows::WindowsTask;
