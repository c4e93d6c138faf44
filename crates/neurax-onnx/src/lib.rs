//! ONNX models: import, inference and export.
//!
//! A model is read once, checked as a whole, and evaluated by functions of tensors: operators are
//! compositions of the functions that users call, so that an imported model is traced, compiled and
//! differentiated like any other function. Users import this crate as `neurax::onnx`.
//!
//! Every byte of a file is untrusted: a damaged or hostile model is an error.
//!
//! ```
//! use neurax::prelude::*;
//! // The file of `y = x w` with the initializer `w` of 2 and 3, as the package `onnx` writes it.
//! let file = b"\x08\x0a:W\x0a\x11\x0a\x01x\x0a\x01w\x12\x01y\x22\x06MatMul\x12\x01g*\x13\x08\
//! \x02\x08\x01\x10\x01\x22\x08\x00\x00\x00@\x00\x00@@B\x01wZ\x14\x0a\x01x\x12\
//! \x0f\x0a\x0d\x08\x01\x12\x09\x0a\x03\x12\x01n\x0a\x02\x08\x02b\x14\x0a\x01y\
//! \x12\x0f\x0a\x0d\x08\x01\x12\x09\x0a\x03\x12\x01n\x0a\x02\x08\x01B\x04\x0a\x00\
//! \x10\x15";
//! let net = onnx::import_bytes(*file)?;
//! assert_eq!(net.vars.params["w"]["value"].to_vec::<f32>()?, [2.0, 3.0]);
//! let y = net.apply(tensor([[1.0, 10.0], [1.0, 0.0]]));
//! assert_eq!(y["y"].to_vec::<f32>()?, [32.0, 2.0]);
//! # Ok::<(), Error>(())
//! ```

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod attribute_kinds;
mod call;
pub mod conformance;
mod draw_keys;
mod dtype;
mod elements;
mod evaluate;
mod export;
mod external;
#[cfg(test)]
mod fuzz;
mod graph;
#[cfg(test)]
mod hostile;
mod importer;
mod info;
mod limits;
mod loop_budget;
mod model_bytes;
mod net;
mod node_order;
mod operator;
mod ops;
mod own_lines;
mod param_names;
mod plan;
mod problems;
mod proto;
#[cfg(test)]
mod quirks;
mod randomness;
mod re2;
mod reader;
mod registry;
mod removed;
mod segment;
mod segment_info;
mod session;
mod single_weights;
mod strings;
#[cfg(test)]
mod testing;
mod tracer;
mod value;
mod value_type;

pub use export::conformance::{ExportOutcome, ExportedTest, run_exported};
pub use export::{Exporter, optimize, write_weights};
pub use importer::Importer;
pub use info::{ModelInfo, ValueInfo};
pub use segment_info::SegmentInfo;
pub use session::Session;
pub use value::{MapKey, OnnxValue, Strings};

use neurax_ir::Result;
use neurax_nn::{Net, Predictor};
use neurax_tensor::TypeSpec;
use std::path::Path;

/// Reads the ONNX model in a file as a network, whose parameters are the initializers, with the
/// default options of [`Importer`]. A [large file](Importer#large-files) must not change in place
/// while the network is in use.
///
/// # Errors
/// As for [`Importer::import`].
pub fn import(path: impl AsRef<Path>) -> Result<Net> {
    Importer::new().import(path)
}

/// Reads an ONNX model in memory as [`import`] does.
///
/// # Errors
/// As for [`Importer::import`].
pub fn import_bytes(bytes: impl Into<Vec<u8>>) -> Result<Net> {
    Importer::new().import_bytes(bytes)
}

/// Reads the ONNX model in a file and compiles it for inference, with the default options of
/// [`Importer`]. A [large file](Importer#large-files) must not change in place while the predictor
/// is in use.
///
/// ```no_run
/// use neurax::prelude::*;
/// let predictor = onnx::predictor("fraud.onnx")?;
/// println!("{}", predictor.run(Tensor::zeros([1, 30]))?);
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// As for [`Importer::predictor`].
#[track_caller]
pub fn predictor(path: impl AsRef<Path>) -> Result<Predictor> {
    Importer::new().predictor(path)
}

/// Writes a network in evaluation mode as an ONNX model, for inputs of the given types, with the
/// default options of [`Exporter`]. `_` on the first axis is a batch of any size.
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("digit", dims![_, 64]).dense(32).relu().dense(10).model();
/// let net = model.bind(model.init(key(0), &types![f32[_, 64]])?);
/// # let path = std::env::temp_dir().join("neurax-doc-digits.onnx");
/// onnx::export(&net, types![f32[_, 64]], &path)?;
/// let back = onnx::import(&path)?;
/// let x = Tensor::ones([3, 64]);
/// assert!(back.apply(&x).y().allclose(net.apply(&x).y(), 1e-5, 1e-6).item()? == 1.0);
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// As for [`Exporter::export`].
#[track_caller]
pub fn export(net: &Net, types: impl AsRef<[TypeSpec]>, path: impl AsRef<Path>) -> Result<()> {
    Exporter::new().export(net, types, path)
}
