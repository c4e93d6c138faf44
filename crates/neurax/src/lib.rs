//! Tensors with composable transforms, a compiler, and neural networks in one pure-Rust workspace.
//!
//! This crate is the one that users depend on; it reexports the others and contains no logic. `use
//! neurax::prelude::*;` imports all common names. Start with [`Tensor`], [`jit`] and [`grad`], or
//! with a network: [`nn`], [`data`] and [`train::Trainer`].
//!
//! ```
//! use neurax::prelude::*;
//!
//! let x = tensor([[1.0, 2.0], [3.0, 4.0]]); // bare literals are f32
//! let y = ((&x * 2.0).sin() + 1.0).sum(0); // computed eagerly
//! assert_eq!(y.to_string(), "f32[2] [2.6299, 2.2326]");
//!
//! let loss = |w: Tensor| w.matmul(&x).tanh().mean(..); // captures x without copying it
//! let slope = grad(loss); // a function as a value, which can be stored, cloned and called
//! let fast = jit(&slope); // compiled once per input type; can be called from any thread
//! assert_eq!(fast.run(Tensor::eye(2))?.shape(), [2, 2]);
//!
//! // An operation does not panic: its result carries the error and the line where it happened.
//! let bad = &x + &Tensor::zeros([3, 5]);
//! let error = bad.to_vec::<f32>().unwrap_err();
//! assert!(error.to_string().starts_with("add: cannot broadcast f32[2, 2] with f32[3, 5], at "));
//! # Ok::<(), Error>(())
//! ```
//!
//! Debug builds compute many times slower than `--release` (7 to 27 times on the reference
//! interpreter), unless your `Cargo.toml` optimizes the dependencies:
//!
//! ```toml
//! [profile.dev.package."*"]
//! opt-level = 2
//! ```
//!
//! A network, trained on a data set:
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

// The programs of the pages, run as doctests. The pages are outside of the package, so only a
// doctest may include them.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/adding-a-layer.md")]
mod adding_a_layer {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/debugging.md")]
mod debugging {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/coming-from.md")]
mod coming_from {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/losses-and-metrics.md")]
mod losses_and_metrics {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/models.md")]
mod models {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/serving.md")]
mod serving {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/training.md")]
mod training {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/looking.md")]
mod looking {}

#[cfg(all(doctest, feature = "onnx"))]
#[doc = include_str!("../../../docs/onnx.md")]
mod onnx_models {}

pub use neurax_data as data;
pub use neurax_nn as nn;
#[cfg(feature = "onnx")]
pub use neurax_onnx as onnx;
pub use neurax_serve as serve;
pub use neurax_sparse as sparse;
pub use neurax_tensor::*;
pub use neurax_train as train;

/// The names of most programs: the modules, the types of data sets, models and trainings, the
/// layers that most networks are made of, and the functions and transforms of tensors. All other
/// layers are `nn::Lora` and the like; so are those whose names are common words (`nn::Pad`,
/// `nn::Split`).
///
/// ```
/// use neurax::prelude::*;
/// let x = nn::input("image", dims![_, 1, 28, 28]).layer(Conv::new(8, 3).strides(2)).relu();
/// let y = x.layer(BatchNorm::new()).layer(MaxPool::new(2)).flatten().layer(Dense::new(10));
/// let vars = y.init(key(0), &types![f32[1, 1, 28, 28]])?;
/// assert_eq!(vars.params.leaf("dense.bias").shape(), [10]);
/// # Ok::<(), Error>(())
/// ```
pub mod prelude {
    #[cfg(feature = "onnx")]
    pub use crate::onnx;
    pub use crate::{data, debug, nn, train};
    pub use neurax_data::{Batches, Dataset, Source};
    pub use neurax_nn::{
        Applied, Cx, Layer, Mode, Model, Net, Node, Optim, Params, Vars, init, loss, metric, optim,
    };
    pub use neurax_nn::{
        AvgPool, BatchNorm, Bidirectional, Conv, ConvTranspose, Dense, DepthwiseConv, Dropout,
        Embedding, Flatten, GlobalAvgPool, GlobalMaxPool, GroupNorm, Gru, LayerNorm, Lstm, MaxPool,
        MultiHeadAttention, RmsNorm, SeparableConv, SimpleRnn, TransformerLayer,
    };
    pub use neurax_serve::Serving;
    pub use neurax_tensor::prelude::*;
    pub use neurax_train::{Event, Flow, Predict, State, Trained, Trainer, epochs};
}
