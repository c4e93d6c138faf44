//! Running a program: steps over addresses, without a look at shapes.

mod control;
mod convolution;
mod executable;
mod frame;
mod kernel;
mod pool;
mod product;
mod program;
mod reference;
mod scratch;
mod slide;
mod sort;
mod subnormal;
mod turn;
mod windows;

pub use executable::Executable;
pub use frame::Address;
pub use pool::Pool;
pub use program::Compiler;
