//! Tensors with composable transforms, a compiler, and neural networks in one pure-Rust workspace.
//!
//! This crate is what users add; it contains no logic. `use neurax::prelude::*;` brings everything
//! into scope. Start with [`Tensor`], [`jit`] and [`grad`], or with a network: [`nn`], [`data`] and
//! [`train::Trainer`].
//!
//! ```
//! use neurax::prelude::*;
//!
//! let x = tensor([[1.0, 2.0], [3.0, 4.0]]);             // bare literals are f32
//! let y = ((&x * 2.0).sin() + 1.0).sum(0);              // computed at once
//! assert_eq!(y.to_string(), "f32[2] [2.6299, 2.2326]");
//!
//! let loss = |w: Tensor| w.matmul(&x).tanh().mean(..);   // it captures x; large tensors are never copied
//! let slope = grad(loss);                                // a value: name it, store it, clone it, call it
//! let fast = jit(&slope);                                // compiled once per input type; any number of threads may run it
//! assert_eq!(fast.run(Tensor::eye(2))?.shape(), [2, 2]);
//!
//! let bad = &x + &Tensor::zeros([3, 5]);                 // no panic, no `?` ..
//! let error = bad.to_vec::<f32>().unwrap_err();          // .. the error travels, with the line where it happened
//! assert!(error.to_string().starts_with("add: cannot broadcast f32[2, 2] with f32[3, 5], at "));
//! # Ok::<(), Error>(())
//! ```
//!
//! Debug builds compute many times slower than `--release` (on the oracle 7 to 27 times), unless
//! your `Cargo.toml` has the crates below optimised:
//!
//! ```toml
//! [profile.dev.package."*"]
//! opt-level = 2
//! ```
//!
//! A network, trained on real data:
//!
//! ```
//! use neurax::prelude::*;
//!
//! let model = nn::input("image", dims![_, 64]).dense(32).relu().dense(10).softmax();
//! let digits = data::digits()?.split(0.8, key(0));
//! let trained = Trainer::new(&model, loss::categorical_cross_entropy, optim::adam(3e-3))
//!     .metric(metric::accuracy())
//!     .validate(&digits.test)
//!     .run(&digits.train.shuffled(key(1)).batched(32), epochs(3))?;
//! assert!(trained.validation["accuracy"] > 0.85);
//! # Ok::<(), Error>(())
//! ```

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

// The program of a page, run as a doctest. The page lies outside of the package: nothing but a
// doctest reads it.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/adding-a-layer.md")]
mod adding_a_layer {}

pub use neurax_data as data;
pub use neurax_nn as nn;
pub use neurax_tensor::*;
pub use neurax_train as train;

/// Everything that the programs of the manual use.
pub mod prelude {
    pub use crate::{data, nn, train};
    pub use neurax_data::{Batches, Dataset, Source};
    pub use neurax_nn::{
        Applied, Cx, Dense, Dropout, Flatten, Layer, Mode, Model, Net, Node, Optim, Params, Vars,
        init, loss, metric, optim,
    };
    pub use neurax_tensor::prelude::*;
    pub use neurax_train::{Event, Flow, State, Trained, Trainer, epochs};
}
