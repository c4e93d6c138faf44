//! `neurax onnx check`: a model here and in ONNX Runtime.

use super::inputs::{ModelArgs, invalid, not_negative};
use crate::output::print_line;
use clap::Args;
use neurax::io::npy;
use neurax::onnx::{Importer, OnnxValue};
use neurax::prelude::*;
use neurax::testing::{Tolerance, check_close_with};
use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, ExitCode};

/// The program that runs the model in ONNX Runtime: the file, and the folder of inputs, to which it
/// writes the outputs that are arrays of numbers. The optimizer of ONNX Runtime is off: it computes
/// quantized models in another way.
const PROGRAM: &str = "
import sys, numpy as np, onnxruntime as ort
file, folder = sys.argv[1:3]
options = ort.SessionOptions()
options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
session = ort.InferenceSession(file, options, providers=['CPUExecutionProvider'])
inputs = {x.name: np.load(f'{folder}/input_{i}.npy') for i, x in enumerate(session.get_inputs())}
for i, y in enumerate(session.run(None, inputs)):
    if isinstance(y, np.ndarray) and y.dtype.kind not in 'OU':
        np.save(f'{folder}/output_{i}.npy', y)
";

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
}

impl CheckArgs {
    pub fn run(&self) -> Result<ExitCode> {
        let session = Importer::new().open(&self.model.file)?;
        let values = self.model.values(&session)?;
        for line in self.model.described(&session, &values)? {
            print_line(format!("input {line}"))?;
        }
        // First, as its errors say what the model expects.
        let outputs = session.run(values.clone())?;
        let folder = std::env::temp_dir().join(format!("neurax-onnx-check-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let result = self.compare(&session, values, &outputs, &folder);
        std::fs::remove_dir_all(&folder)?;
        result
    }

    fn compare(
        &self,
        session: &neurax::onnx::Session,
        values: HashMap<String, OnnxValue>,
        outputs: &[OnnxValue],
        folder: &Path,
    ) -> Result<ExitCode> {
        for (i, name) in session.inputs().enumerate() {
            if let Some(OnnxValue::Tensor(x)) = values.get(name) {
                npy::save(x, folder.join(format!("input_{i}.npy")))?;
            }
        }
        let python = Command::new(&self.python)
            .args(["-c", PROGRAM, &self.model.file])
            .arg(folder)
            .output()
            .map_err(|e| invalid(format!("cannot start {}: {e}", self.python)))?;
        if !python.status.success() {
            let why = String::from_utf8_lossy(&python.stderr);
            let advice = "--python names a Python that has the packages onnxruntime and numpy";
            return Err(invalid(format!("ONNX Runtime failed ({advice}): {}", why.trim())));
        }
        let tolerance = Tolerance { rel: self.rtol, abs: self.atol };
        let mut is_close = true;
        for (i, (name, y)) in session.outputs().zip(outputs).enumerate() {
            let OnnxValue::Tensor(y) = y else {
                is_close = false;
                print_line(format!("{name}: not compared, as it is no tensor"))?;
                continue;
            };
            let want = npy::load(folder.join(format!("output_{i}.npy")))?;
            match check_close_with(y, &want, tolerance) {
                Ok(()) => print_line(format!("{name}: {} agrees", y.ty()?))?,
                Err(why) => {
                    is_close = false;
                    print_line(format!("{name}: {why}"))?;
                }
            }
        }
        Ok(if is_close { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
