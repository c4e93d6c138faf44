//! `neurax onnx convert`: a model in another opset or float type.

use super::inputs::{export_types, exporter_of, importer};
use super::named_arguments::named_dims;
use super::written_file::WrittenFile;
use crate::progress::ProgressLine;
use clap::Args;
use neurax::onnx::{Exporter, Importer};
use neurax::prelude::*;
use std::time::Instant;

/// The arguments.
#[derive(Args)]
pub struct ConvertArgs {
    /// The ONNX file.
    file: String,
    /// The file to write.
    out: String,
    /// The opset of the new model; 18 without it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(Exporter::OPSETS))]
    opset: Option<i64>,
    /// The dtype of the weights and computations that are f32: f16 or bf16.
    #[arg(long, value_name = "DTYPE", value_parser = ["f16", "bf16"])]
    float: Option<String>,
    /// The shape of an input: NAME=_,3,224,224, where `_` is any size, and a name one size for all
    /// axes of the name. Without it, an input has the declared sizes; a named one that is fixed for
    /// another input is fixed for this one, too.
    #[arg(long = "shape", value_name = "NAME=SIZES", value_parser = named_dims)]
    shapes: Vec<(String, Vec<Dim>)>,
    /// Computes what depends on weights alone: folds batch normalizations and transposes weights.
    #[arg(long)]
    for_inference: bool,
    /// Reads a model of a newer operator set by the rules of the newest known one.
    #[arg(long)]
    allow_newer_opsets: bool,
    /// Prints one JSON object.
    #[arg(long)]
    pub json: bool,
}

impl ConvertArgs {
    pub fn run(&self) -> Result<()> {
        let start = Instant::now();
        let progress = ProgressLine::new(format!("reading {}", self.file));
        let session = importer(self.allow_newer_opsets).open(&self.file)?;
        let before = session.info().clone();
        progress.step("tracing");
        let (net, types) = export_types(&session, &self.shapes)?;
        let exporter = exporter_of(self.opset, self.float.as_deref())?;
        let exporter = if self.for_inference { exporter.for_inference() } else { exporter };
        exporter.export(&net, &types, &self.out).map_err(|e| with_advice(e, &net, &types))?;
        progress.step(format!("reading {}", self.out));
        let after = Importer::new().open(&self.out)?.info().clone();
        drop(progress);
        let seconds = start.elapsed().as_secs_f64();
        WrittenFile { path: &self.out, before, after, seconds }.print(self.json)
    }
}

/// Returns the error of an export with the inputs whose sizes can be fixed, if there are any and
/// the error says that this helps.
fn with_advice(e: Error, net: &Net, types: &[TypeSpec]) -> Error {
    let is_open = |t: &TypeSpec| t.dims.iter().any(|d| matches!(d, Dim::Any | Dim::Named(_)));
    let named = net.model.inputs().zip(types).filter(|(_, t)| is_open(t));
    let open: Vec<String> = named.map(|(name, t)| format!("{name}: {t}")).collect();
    if open.is_empty() || !e.message().contains("fix the size") {
        return e;
    }
    let why = format!(
        "{}; --shape NAME=SIZES fixes open sizes, which are those of {}",
        e.message(),
        open.join(", ")
    );
    Error::new(e.op(), why).at_origin(e.origin())
}
