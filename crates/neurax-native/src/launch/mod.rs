//! Running a program: steps over addresses, without a look at shapes.

mod control;
mod convolution;
mod executable;
mod fallback;
mod frame;
mod kernel;
mod matmul;
mod pack_rhs;
mod pool;
mod product;
mod program;
mod scratch;
mod sort;
mod subnormal;
mod tap_range;
mod windows;

pub use control::{ControlTask, carried};
pub use convolution::ConvolutionTask;
pub use executable::NativeExecutable;
pub use fallback::FallbackTask;
pub use frame::Address;
pub use kernel::KernelTask;
pub use pool::Pool;
pub use product::ProductTask;
pub use program::{Program, Task};
pub use sort::SortTask;
pub use windows::WindowsTask;
