//! Tensors with composable transforms, a compiler, and neural networks in one pure-Rust workspace.
//!
//! ```
//! use neurax::prelude::*;
//!
//! let x = tensor([[1.0, 2.0], [3.0, 4.0]]);             // bare literals are f32
//! let y = ((&x * 2.0).sin() + 1.0).sum(0);              // computed at once
//! assert_eq!(y.to_string(), "f32[2] [1.6299, 2.2326]");
//!
//! let loss = |w: Tensor| w.matmul(&x).tanh().mean(..);   // captured tensors become inputs of the trace
//! let slope = grad(loss);                                // a value: name it, store it, clone it, call it
//! let fast = jit(&slope);                                // compiled once per input type; any number of threads may run it
//! assert_eq!(fast.run(Tensor::eye(2))?.shape(), [2, 2]);
//!
//! let bad = &x + &Tensor::zeros([3, 5]);                 // no panic, no `?` ..
//! let error = bad.to_vec::<f32>().unwrap_err();          // .. the error travels, with the line where it happened
//! assert!(error.to_string().starts_with("add: cannot broadcast f32[2, 2] with f32[3, 5], at "));
//! # Ok::<(), Error>(())
//! ```

pub use neurax_tensor::*;

/// Everything that the programs of the manual use.
pub mod prelude {
    pub use neurax_tensor::prelude::*;
}
