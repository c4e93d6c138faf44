//! Export: functions and networks as ONNX models.
//!
//! A function is traced to a graph of the IR, and each equation becomes nodes. The steps:
//!
//! 1. `trace.rs`: traces the function; for open sizes, four times with different numbers. For
//!    inference, `inference.rs` computes what depends on weights alone.
//!    Tensors that are computed from open sizes become equations: `captures.rs`, `generated.rs`,
//!    `distance_tensor.rs`.
//! 2. `emitter.rs`: appends the nodes of each equation. `ops.rs` is the table of all ops, and the
//!    file of each family has its ONNX forms.
//! 3. `patterns.rs`: nodes that ONNX has one operator for become that one: means, biases of
//!    convolutions, quantized weights (`quantized.rs`).
//! 4. `merge.rs`: compares the traces, and computes the numbers that depend on open sizes from the
//!    shapes of values at run time.
//! 5. `cleanup.rs`, `model_file.rs`: drops what is unused, and writes the file.

mod angle;
mod body_nodes;
mod captures;
mod cleanup;
mod composites;
pub(crate) mod conformance;
mod control;
mod convolutions;
mod copied_data;
mod distance_tensor;
mod draft;
mod elementwise;
mod emitter;
mod exporter;
mod float_type;
mod gather;
mod generated;
mod inference;
mod int4_weights;
mod integers;
#[cfg(test)]
mod law;
mod merge;
mod model_file;
mod movement;
mod open_shapes;
mod ops;
mod optimized;
mod options;
mod patterns;
mod products;
mod proto_fields;
mod quantized;
mod reductions;
mod replaced_file;
mod scatter;
mod size_formula;
mod size_nodes;
mod support;
mod tensor_survey;
#[cfg(test)]
mod tests;
mod trace;
mod trace_elements;
mod weights;
mod windows;

pub use optimized::optimize;
pub use options::Exporter;
pub use weights::write_weights;
