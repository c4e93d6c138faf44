//! Sparse tensors: [`Coo`] of any rank and [`Csr`] matrices, as trees of dense tensors.
//!
//! The problem: of a matrix with few nonzero elements, only these should be stored and multiplied.
//! The formats are those of scipy.sparse and of JAX's BCOO and BCSR. Products are
//! [`Tensor::sparse_dot`](neurax_tensor::Tensor::sparse_dot), all other operations composed of
//! gathers, scatters and sorts of the tensors of values and indices: `jit`, `grad`, `vmap` and
//! files work on sparse tensors as on any tree, with derivatives with respect to the values and to
//! the dense operands.
//!
//! # Example
//!
//! `[[0, 2, 0], [3, 0, 4]]` as COO and as CSR, with room for four elements:
//!
//! ```text
//! Coo { values: [2, 3, 4, 0], indices: [[0, 1, 1, 2], [1, 0, 2, 3]], shape: [2, 3] }
//! Csr { values: [2, 3, 4, 0], columns: [1, 0, 2, 3], row_starts: [0, 1, 3],
//!       rows: [0, 1, 1, 2], shape: [2, 3] }
//! ```
//!
//! # Invariants
//!
//! - The number of stored elements, `nse`, is a size: it is fixed inside a trace.
//! - An element whose index is outside of the shape is padding: it is never read. Functions make
//!   padding with all indices equal to the sizes and the value 0, behind the other elements.
//! - Elements with equal indices add up.
//! - A stored 0 counts as an element.
//!
//! ```
//! use neurax::prelude::*;
//! use neurax::sparse::Coo;
//!
//! let a = Coo::from_dense(&tensor([[0.0, 2.0, 0.0], [3.0, 0.0, 4.0]]));
//! assert_eq!(a.nse(), 3);
//! let x = tensor([1.0, 2.0, 3.0]);
//! assert_eq!(a.matmul(&x).to_vec::<f32>()?, [4.0, 15.0]);
//!
//! // The gradient of a sparse tensor has values only: its indices are constants.
//! let loss = |values: Tensor| a.with_values(values).matmul(&x).square().sum(..);
//! assert_eq!(grad(loss).run(a.values().clone())?.to_vec::<f32>()?, [16.0, 30.0, 90.0]);
//! # Ok::<(), Error>(())
//! ```

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

extern crate neurax_tensor as neurax;

mod coo;
mod csr;
mod elementwise;
mod operators;
mod order;
mod product;

pub use coo::Coo;
pub use csr::Csr;
