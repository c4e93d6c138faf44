//! `neurax onnx check`: a model here and in ONNX Runtime.

use super::inputs::{ModelArgs, not_negative};
use super::literals;
use super::reference_run;
use crate::output::{print_line, printable};
use crate::progress::ProgressLine;
use clap::Args;
use neurax::onnx::conformance::difference;
use neurax::onnx::{OnnxValue, Session};
use neurax::prelude::*;
use neurax::testing::Tolerance;
use serde_json::json;
use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;

/// The arguments.
#[derive(Args)]
pub struct CheckArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// The largest relative difference.
    #[arg(long, default_value_t = 1e-3, value_parser = not_negative)]
    rtol: f64,
    /// The largest absolute difference.
    #[arg(long, default_value_t = 1e-4, value_parser = not_negative)]
    atol: f64,
    /// The Python with the package `onnxruntime`.
    #[arg(long, default_value = "python3")]
    python: String,
    /// Prints one JSON object: whether all outputs agree, and how each one differs.
    #[arg(long)]
    pub json: bool,
}

/// An output that was compared.
struct CheckedOutput<'a> {
    name: &'a str,
    ty: String,
    /// The difference; `None` if the output agrees.
    difference: Option<String>,
}

impl CheckArgs {
    pub fn run(&self) -> Result<ExitCode> {
        let progress = ProgressLine::new(format!("reading {}", self.model.file));
        let session = self.model.importer().open(&self.model.file)?;
        let values = self.model.values(&session)?;
        let inputs = self.model.described(&session, &values)?;
        progress.step("compiling and running");
        // First, as its errors say what the model expects.
        let outputs = self.model.run(&session, values.clone(), &inputs)?;
        progress.step("running in ONNX Runtime");
        let folder = std::env::temp_dir().join(format!("neurax-onnx-check-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let checked = self.checked(&session, values, &outputs, &folder);
        std::fs::remove_dir_all(&folder)?;
        drop(progress);
        self.print(&inputs, &checked?)
    }

    /// Runs the model in ONNX Runtime, and compares the outputs.
    fn checked<'s>(
        &self,
        session: &'s Session,
        values: HashMap<String, OnnxValue>,
        outputs: &[OnnxValue],
        folder: &Path,
    ) -> Result<Vec<CheckedOutput<'s>>> {
        let program = (self.python.as_str(), self.model.file.as_str());
        let wanted = reference_run::outputs(program, session, &values, outputs, folder)?;
        let tolerance = Tolerance { rel: self.rtol, abs: self.atol };
        let compared = |((name, y), want): ((&'s str, &OnnxValue), &OnnxValue)| {
            let difference = difference(y, want, tolerance)?;
            Ok(CheckedOutput { name, ty: literals::type_name(y)?, difference })
        };
        session.outputs().zip(outputs).zip(&wanted).map(compared).collect()
    }

    fn print(&self, inputs: &[String], outputs: &[CheckedOutput]) -> Result<ExitCode> {
        let is_close = outputs.iter().all(|y| y.difference.is_none());
        if self.json {
            let output = |y: &CheckedOutput| {
                let (name, ty, difference) = (y.name, &y.ty, &y.difference);
                json!({ "name": name, "type": ty, "difference": difference })
            };
            print_line(json!({
                "agrees": is_close,
                "rtol": self.rtol,
                "atol": self.atol,
                "inputs": inputs,
                "outputs": outputs.iter().map(output).collect::<Vec<_>>(),
            }))?;
        } else {
            inputs.iter().try_for_each(|line| print_line(format!("input {}", printable(line))))?;
            outputs.iter().try_for_each(|y| match &y.difference {
                None => print_line(format!("{}: {} agrees", printable(y.name), y.ty)),
                Some(why) => print_line(format!("{}: {why}", printable(y.name))),
            })?;
        }
        Ok(if is_close { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
