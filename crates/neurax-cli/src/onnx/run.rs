//! `neurax onnx run`: the outputs of a model.

use super::inputs::{ModelArgs, invalid};
use crate::output::print_line;
use clap::Args;
use neurax::io::npy;
use neurax::onnx::{Importer, OnnxValue};
use neurax::prelude::*;
use std::path::PathBuf;

/// The arguments.
#[derive(Args)]
pub struct RunArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// A folder to which each output that is a tensor is written, as NAME.npy.
    #[arg(long)]
    out: Option<PathBuf>,
}

impl RunArgs {
    pub fn run(&self) -> Result<()> {
        let session = Importer::new().open(&self.model.file)?;
        let outputs = session.run(self.model.values(&session)?)?;
        for (name, y) in session.outputs().zip(&outputs) {
            print_line(format!("{name}: {}", text(y)?))?;
            let Some(folder) = &self.out else { continue };
            let failed = |e| invalid(format!("cannot write to {}: {e}", folder.display()));
            if let OnnxValue::Tensor(y) = y {
                std::fs::create_dir_all(folder).map_err(failed)?;
                npy::save(y, folder.join(format!("{}.npy", name.replace(['/', '\\'], "_"))))?;
            } else {
                print_line(format!("{name}: not written, as it is no tensor"))?;
            }
        }
        Ok(())
    }
}

/// Returns a value as text.
fn text(y: &OnnxValue) -> Result<String> {
    Ok(match y {
        OnnxValue::Tensor(y) => y.to_string(),
        OnnxValue::Strings(s) => format!("strings {:?}: {:?}", s.shape(), s.elements()),
        OnnxValue::Sequence(xs) => {
            let elements: Vec<String> = xs.iter().map(text).collect::<Result<_>>()?;
            format!("sequence of {}: [{}]", xs.len(), elements.join("; "))
        }
        OnnxValue::Map(entries) => {
            let entry =
                |(k, x): &(neurax::onnx::MapKey, OnnxValue)| Ok(format!("{k:?}: {}", text(x)?));
            format!("{{{}}}", entries.iter().map(entry).collect::<Result<Vec<_>>>()?.join(", "))
        }
        OnnxValue::Optional(None) => "none".into(),
        OnnxValue::Optional(Some(x)) => text(x)?,
    })
}
