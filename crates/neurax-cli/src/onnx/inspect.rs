//! `neurax onnx inspect`: what is in a file, and what it compiles to.

use super::inputs::ModelArgs;
use crate::output::{print_line, printable};
use crate::progress::ProgressLine;
use clap::Args;
use neurax::onnx::{ModelInfo, SegmentInfo, Session, ValueInfo};
use neurax::prelude::*;
use serde_json::json;
use std::process::ExitCode;

/// The arguments.
#[derive(Args)]
pub struct InspectArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Shows what is in the file alone: the model is not compiled.
    #[arg(long)]
    no_compile: bool,
    /// Prints one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// A model that was compiled for some inputs.
struct InspectedModel {
    /// The inputs with their types, and where their values come from.
    inputs: Vec<String>,
    segments: Vec<SegmentInfo>,
}

impl InspectArgs {
    /// Shows the model. The exit code is that of a failure if it cannot be compiled.
    pub fn run(&self) -> Result<ExitCode> {
        let progress = ProgressLine::new(format!("reading {}", self.model.file));
        let session = self.model.importer().open(&self.model.file)?;
        progress.step("compiling");
        let compiled = (!self.no_compile).then(|| self.compiled(&session));
        drop(progress);
        let code = match &compiled {
            Some(Err(_)) => ExitCode::FAILURE,
            _ => ExitCode::SUCCESS,
        };
        if self.json {
            print_line(as_json(session.info(), compiled))?;
            return Ok(code);
        }
        let all = lines(session.info()).into_iter().chain(compiled.map_or(vec![], compiled_lines));
        for line in all {
            print_line(printable(&line))?;
        }
        Ok(code)
    }

    /// Runs the model once. What cannot be run, such as a model whose inputs are no numbers, can be
    /// inspected all the same: the error is shown in place of the segments.
    fn compiled(&self, session: &Session) -> Result<InspectedModel> {
        let values = self.model.values(session)?;
        let inputs = self.model.described(session, &values)?;
        self.model.run(session, values, &inputs)?;
        Ok(InspectedModel { inputs, segments: session.segments() })
    }
}

/// Returns the lines of what a model compiles to.
fn compiled_lines(compiled: Result<InspectedModel>) -> Vec<String> {
    let compiled = match compiled {
        Ok(compiled) => compiled,
        Err(e) => return vec![format!("compiled  not: {e}")],
    };
    let mut lines = vec!["compiled  for".to_string()];
    lines.extend(compiled.inputs.iter().map(|x| format!("          {x}")));
    for segment in &compiled.segments {
        let indent = "  ".repeat(segment.depth);
        let text = segment.to_string();
        let mut text = text.lines();
        lines.extend(text.next().map(String::from));
        if let Some(summary) = &segment.summary {
            let steps = summary.steps_text();
            lines.push(format!("{indent}  {} equations: {steps}", summary.equations));
            lines.push(format!(
                "{indent}  weights {}, constants {}, intermediate values {}",
                mib(segment.weight_bytes),
                mib(summary.constant_bytes),
                segment.call_bytes.map_or("unknown".into(), mib),
            ));
        }
        lines.extend(text.map(String::from));
    }
    lines
}

fn mib(bytes: usize) -> String {
    format!("{:.2} MiB", bytes as f64 / (1 << 20) as f64)
}

fn lines(info: &ModelInfo) -> Vec<String> {
    let opsets = info.opsets.iter().map(|(domain, version)| match domain.as_str() {
        "" => format!("{version}"),
        domain => format!("{domain} {version}"),
    });
    let mut lines = vec![
        format!("producer  {}", info.producer),
        format!("IR {}, opset {}", info.ir_version, opsets.collect::<Vec<_>>().join(", ")),
        format!("weights   {} tensors, {}", info.weights, mib(info.weight_bytes)),
    ];
    let value = |kind: &str, v: &ValueInfo| format!("{kind:<9} {}: {}", v.name, v.r#type);
    lines.extend(info.inputs.iter().map(|v| value("input", v)));
    lines.extend(info.outputs.iter().map(|v| value("output", v)));
    let mut operators: Vec<(&String, &usize)> = info.operators.iter().collect();
    operators.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let operators: Vec<String> =
        operators.iter().map(|(n, count)| format!("{count} {n}")).collect();
    lines.push(format!("operators {}", operators.join(", ")));
    lines
}

fn as_json(info: &ModelInfo, compiled: Option<Result<InspectedModel>>) -> serde_json::Value {
    let constants = |s: &SegmentInfo| -> Vec<serde_json::Value> {
        s.constants.iter().map(|(n, x)| json!({ "name": n, "value": x })).collect()
    };
    let segment = |s: &SegmentInfo| {
        json!({
            "depth": s.depth,
            "inputs": values(&s.inputs),
            "constants": constants(s),
            "operators": s.operators,
            "rewrites": s.rewrites.iter().copied().collect::<std::collections::BTreeMap<_, _>>(),
            "on_host": s.on_host,
            "equations": s.summary.as_ref().map(|p| p.equations),
            "steps": s.summary.as_ref().map(|p| &p.steps),
            "constant_bytes": s.summary.as_ref().map(|p| p.constant_bytes),
            "weight_bytes": s.weight_bytes,
            "call_bytes": s.call_bytes,
        })
    };
    let (compiled, error) = match compiled {
        Some(Ok(compiled)) => (Some(compiled), None),
        Some(Err(e)) => (None, Some(e.to_string())),
        None => (None, None),
    };
    let segments = compiled.as_ref().map(|c| c.segments.iter().map(segment).collect::<Vec<_>>());
    json!({
        "producer": info.producer,
        "ir_version": info.ir_version,
        "opsets": info.opsets,
        "inputs": values(&info.inputs),
        "outputs": values(&info.outputs),
        "operators": info.operators,
        "initializers": info.initializers,
        "initializer_bytes": info.initializer_bytes,
        "weights": info.weights,
        "weight_bytes": info.weight_bytes,
        "compiled_for": compiled.map(|c| c.inputs),
        "segments": segments,
        "error": error,
    })
}

fn values(values: &[ValueInfo]) -> Vec<serde_json::Value> {
    values.iter().map(|v| json!({ "name": v.name, "type": v.r#type })).collect()
}
