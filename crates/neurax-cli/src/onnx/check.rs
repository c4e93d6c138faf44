//! `neurax onnx check`: a model here and in ONNX Runtime.

use super::inputs::{ModelArgs, not_negative};
use super::invalid::invalid;
use super::literals;
use crate::output::print_line;
use crate::progress::ProgressLine;
use clap::Args;
use neurax::io::npy;
use neurax::onnx::{OnnxValue, Session};
use neurax::prelude::*;
use neurax::testing::{Tolerance, check_close_with};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, ExitCode};

/// The program that runs the model in ONNX Runtime: the file, and the folder of inputs, to which it
/// writes the outputs that are arrays: numbers as `.npy`, strings as JSON. The optimizer of ONNX
/// Runtime is off: it computes quantized models in another way.
const PROGRAM: &str = "
import json, os, sys, numpy as np, onnxruntime as ort
file, folder = sys.argv[1:3]
options = ort.SessionOptions()
options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
session = ort.InferenceSession(file, options, providers=['CPUExecutionProvider'])
inputs = {}
for i, x in enumerate(session.get_inputs()):
    if os.path.exists(f'{folder}/input_{i}.npy'):
        inputs[x.name] = np.load(f'{folder}/input_{i}.npy')
    elif os.path.exists(f'{folder}/input_{i}.json'):
        with open(f'{folder}/input_{i}.json', encoding='utf-8') as f:
            inputs[x.name] = np.array(json.load(f), dtype=object)
for i, y in enumerate(session.run(None, inputs)):
    if isinstance(y, np.ndarray) and y.dtype.kind in 'OU':
        with open(f'{folder}/output_{i}.json', 'w', encoding='utf-8') as f:
            json.dump(y.tolist(), f)
    elif isinstance(y, np.ndarray):
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
        let outputs = session.run(values.clone())?;
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
        for (i, name) in session.inputs().enumerate() {
            match values.get(name) {
                Some(OnnxValue::Tensor(x)) => npy::save(x, folder.join(format!("input_{i}.npy")))?,
                Some(x) => {
                    let text = literals::as_json(x)?.to_string();
                    std::fs::write(folder.join(format!("input_{i}.json")), text)?;
                }
                None => (),
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
        let named = session.outputs().zip(outputs).enumerate();
        named.map(|(i, (name, y))| self.compared(i, name, y, folder)).collect()
    }

    /// Compares an output with the file of number `i` that ONNX Runtime wrote.
    fn compared<'s>(
        &self,
        i: usize,
        name: &'s str,
        y: &OnnxValue,
        folder: &Path,
    ) -> Result<CheckedOutput<'s>> {
        let difference = match y {
            OnnxValue::Tensor(y) => {
                let want = npy::load(folder.join(format!("output_{i}.npy")))?;
                let tolerance = Tolerance { rel: self.rtol, abs: self.atol };
                check_close_with(y, &want, tolerance).err().map(|e| e.message().to_string())
            }
            OnnxValue::Strings(_) => {
                let file = std::fs::read(folder.join(format!("output_{i}.json")))?;
                let want: Value = serde_json::from_slice(&file)
                    .map_err(|e| invalid(format!("expected strings in `{name}`: {e}")))?;
                let got = literals::as_json(y)?;
                (got != want).then(|| format!("expected {want}, got {got}"))
            }
            _ => Some("not compared, as it is no tensor".into()),
        };
        Ok(CheckedOutput { name, ty: literals::type_name(y)?, difference })
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
            inputs.iter().try_for_each(|line| print_line(format!("input {line}")))?;
            outputs.iter().try_for_each(|y| match &y.difference {
                None => print_line(format!("{}: {} agrees", y.name, y.ty)),
                Some(why) => print_line(format!("{}: {why}", y.name)),
            })?;
        }
        Ok(if is_close { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
