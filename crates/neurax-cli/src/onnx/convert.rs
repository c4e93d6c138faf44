//! `neurax onnx convert`: a model in another opset or float type.

use super::inputs::{invalid, pairs};
use crate::output::print_line;
use clap::Args;
use neurax::onnx::{Exporter, Importer};
use neurax::prelude::*;
use std::collections::HashMap;

/// The arguments.
#[derive(Args)]
pub struct ConvertArgs {
    /// The ONNX file.
    file: String,
    /// The file to write.
    out: String,
    /// The opset of the new model.
    #[arg(long, value_name = "N")]
    opset: Option<i64>,
    /// The dtype of the weights and computations that are f32: f16 or bf16.
    #[arg(long, value_name = "DTYPE")]
    float: Option<String>,
    /// The shape of an input: NAME=_,3,224,224, where `_` is any size. Without one, it has the
    /// declared sizes.
    #[arg(long = "shape", value_name = "NAME=SIZES")]
    shapes: Vec<String>,
}

impl ConvertArgs {
    pub fn run(&self) -> Result<()> {
        let session = Importer::new().open(&self.file)?;
        let net = session.net()?;
        let mut types: HashMap<String, TypeSpec> = session.input_types()?.into_iter().collect();
        for (name, sizes) in &pairs("--shape", &self.shapes)? {
            let spec = types.get_mut(name).ok_or_else(|| {
                let names = session.inputs().collect::<Vec<_>>().join(", ");
                invalid(format!("expected the inputs {names}, got `{name}`"))
            })?;
            let size = |text: &str| match text.trim() {
                "_" => Ok(Dim::Any),
                text => text
                    .parse()
                    .map(Dim::Size)
                    .map_err(|_| invalid(format!("expected a size or `_`, got `{text}`"))),
            };
            spec.dims = sizes.split(',').map(size).collect::<Result<_>>()?;
        }
        // In the order of the network, which is that of the file.
        let types: Vec<TypeSpec> =
            net.model.inputs().filter_map(|name| types.get(name).cloned()).collect();
        self.exporter()?.export(&net, types, &self.out)?;
        print_line(format!("wrote {}", self.out))
    }

    fn exporter(&self) -> Result<Exporter> {
        let exporter = match self.opset {
            Some(opset) => Exporter::new().opset(opset),
            None => Exporter::new(),
        };
        let Some(name) = &self.float else { return Ok(exporter) };
        let dtype = DType::parse(name);
        let dtype = dtype.ok_or_else(|| invalid(format!("expected f16 or bf16, got `{name}`")))?;
        Ok(exporter.float(dtype))
    }
}
