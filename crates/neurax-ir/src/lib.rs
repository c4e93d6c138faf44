//! The intermediate representation (IR) of Neurax: types, literals, ops with their rules, graphs,
//! transforms and passes.
//!
//! A [`Graph`] is a list of equations over typed values in single-assignment form, like a jaxpr or
//! a StableHLO function. It is pure data: it prints as text and parses back; it can be compared,
//! hashed and sent to other threads. A transform returns a different function (its derivative, its
//! batched form); a pass returns an equivalent, cheaper graph. This crate does no I/O, starts no
//! threads and knows no devices.
//!
//! Start with [`Builder`] and [`Graph`]. [`op`] lists all ops, [`composite`] the named functions
//! that are composed of them, [`transform`] and [`passes`] the functions on graphs. To compute with
//! tensors, use the crate `neurax` instead.
//!
//! ```
//! use neurax_ir::{Builder, DType, Literal, Type, transform};
//!
//! let mut b = Builder::new();
//! let x = b.input(Type::new(DType::F32, [2]));
//! let y = b.sin(x);
//! let z = b.mul(y, x);
//! let graph = b.finish(&[z])?;
//! assert_eq!(graph.to_string(), "\
//! graph(%0: f32[2]) {
//!   %1: f32[2] = sine(%0)
//!   %2: f32[2] = multiply(%1, %0)
//!   return %2
//! }");
//! assert_eq!(neurax_ir::Graph::parse(&graph.to_string())?, graph);
//! let out = transform::eval(&graph, vec![Literal::from_slice([2], &[0.0f32, 1.0])?])?;
//! assert_eq!(out[0].to_vec::<f32>()?, [0.0, 0.84147096]);
//! # Ok::<(), neurax_ir::Error>(())
//! ```

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod bytes;
pub mod close;
pub mod composite;
mod dtype;
mod element;
mod error;
mod float_format;
mod graph;
mod literal;
pub mod op;
pub mod passes;
pub mod rng;
pub mod transform;
mod tuning;
mod ty;
mod visits;

pub use bytes::{Bytes, check_memory};
pub use dtype::{DType, Kind};
pub use element::{
    Compute, Element, F8E3M4, F8E4M3, F8E4M3B11FNUZ, F8E4M3FN, F8E4M3FNUZ, F8E5M2, F8E5M2FNUZ,
    F8E8M0FNU, PartialOrdered,
};
pub use error::{Error, OrBug, Origin, Place, Result};
pub use float_format::{FloatFormat, NanCodes};
pub use graph::{
    Attr, Builder, Eqn, FloatAttr, Graph, Liveness, Parser, Printer, Value, Values, verify,
};
pub use half::{bf16, f16};
pub use literal::Literal;
pub use num_complex::Complex;
pub use op::{Axis, Batched, Bound, Op, Primitive, Region, Sample, Tangent, Transposed};
pub use transform::{EqnEvaluator, Eval};
pub use ty::{Shape, Type, check_types, list_types, mismatch};
