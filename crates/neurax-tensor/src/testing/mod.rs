//! Assertions for tests of programs on tensors: values within tolerances ([`assert_close`]), equal
//! values ([`assert_equal`]), derivatives against finite differences ([`check_grads`]), and random
//! arguments by seed ([`property`], [`Draw`]).
//!
//! ```
//! use neurax::{prelude::*, testing};
//!
//! let softplus = |x: Tensor| (x.exp() + 1.0).log();
//! let x = tensor([-1.0, 0.5, 3.0]);
//! testing::assert_close(&softplus(x.clone()), &x.softplus());
//! testing::check_grads(softplus, &x)?;
//!
//! // Any shape and any of two dtypes, 20 times; an error names the seed.
//! testing::property(20, |draw| {
//!     let (shape, dtype) = (draw.shape(0..=3, 0..=4), draw.one_of(&[F32, F64]));
//!     let x = draw.tensor(dtype, shape);
//!     testing::check_close(&softplus(x.clone()), &x.softplus())
//! })?;
//! # Ok::<(), Error>(())
//! ```

mod compare;
mod draw;
mod grad_check_options;
mod gradients;

pub use compare::{
    assert_close, assert_close_with, assert_equal, check_close, check_close_with, check_equal,
};
pub use draw::{Draw, property};
pub use grad_check_options::GradCheckOptions;
pub use gradients::{check_grads, check_grads_with};
pub use neurax_ir::close::Tolerance;
