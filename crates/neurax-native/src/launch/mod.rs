//! Running a program: steps over addresses, without a look at shapes.

mod control;
mod frame;
mod kernel;
mod pool;
mod product;
mod program;
mod reference;
mod subnormal;

pub use frame::Address;
pub use pool::Pool;
pub use program::{Compiler, Executable};
