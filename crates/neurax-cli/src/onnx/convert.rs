//! `neurax onnx convert`: a model in another opset or float type.

use super::inputs::{export_types, exporter_of};
use crate::output::print_line;
use crate::progress::ProgressLine;
use clap::Args;
use neurax::onnx::Importer;
use neurax::prelude::*;

/// The arguments.
#[derive(Args)]
pub struct ConvertArgs {
    /// The ONNX file.
    file: String,
    /// The file to write.
    out: String,
    /// The opset of the new model; 18 without it.
    #[arg(long, value_name = "N")]
    opset: Option<i64>,
    /// The dtype of the weights and computations that are f32: f16 or bf16.
    #[arg(long, value_name = "DTYPE")]
    float: Option<String>,
    /// The shape of an input: NAME=_,3,224,224, where `_` is any size, if the file declares an open
    /// one. Without it, an input has the declared sizes.
    #[arg(long = "shape", value_name = "NAME=SIZES")]
    shapes: Vec<String>,
    /// Computes what depends on weights alone: folds batch normalizations and transposes weights.
    #[arg(long)]
    for_inference: bool,
}

impl ConvertArgs {
    pub fn run(&self) -> Result<()> {
        let progress = ProgressLine::new(format!("reading {}", self.file));
        let session = Importer::new().open(&self.file)?;
        progress.step("tracing");
        let (net, types) = export_types(&session, &self.shapes)?;
        let exporter = exporter_of(self.opset, self.float.as_deref())?;
        let exporter = if self.for_inference { exporter.for_inference() } else { exporter };
        exporter.export(&net, types, &self.out).map_err(|e| {
            let advice = "open sizes are traced as several small numbers; \
                          --shape NAME=SIZES gives an input the sizes that the model allows";
            Error::new("onnx", format!("{}; {advice}", e.message()))
        })?;
        drop(progress);
        print_line(format!("wrote {}", self.out))
    }
}
