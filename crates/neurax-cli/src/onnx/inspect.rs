//! `neurax onnx inspect`: what is in a file, and what it compiles to.

use super::inputs::ModelArgs;
use crate::output::print_line;
use clap::Args;
use neurax::onnx::{Importer, ModelInfo, ValueInfo};
use neurax::prelude::*;
use serde_json::json;

/// The arguments.
#[derive(Args)]
pub struct InspectArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Compiles the model for the inputs, and shows the segments.
    #[arg(long)]
    segments: bool,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

impl InspectArgs {
    pub fn run(&self) -> Result<()> {
        let session = Importer::new().open(&self.model.file)?;
        let segments = if self.segments {
            session.run(self.model.values(&session)?)?;
            Some(session.plan())
        } else {
            None
        };
        let info = session.info();
        if self.json {
            return print_line(as_json(info, segments));
        }
        for line in lines(info) {
            print_line(line)?;
        }
        segments.map_or(Ok(()), |text| print_line(format!("segments\n{}", text.trim_end())))
    }
}

fn lines(info: &ModelInfo) -> Vec<String> {
    let opsets = info.opsets.iter().map(|(domain, version)| match domain.as_str() {
        "" => format!("{version}"),
        domain => format!("{domain} {version}"),
    });
    let mut lines = vec![
        format!("producer  {}", info.producer),
        format!("IR {}, opset {}", info.ir_version, opsets.collect::<Vec<_>>().join(", ")),
        format!(
            "weights   {} tensors, {:.2} MiB",
            info.initializers,
            info.initializer_bytes as f64 / (1 << 20) as f64
        ),
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

fn as_json(info: &ModelInfo, segments: Option<String>) -> serde_json::Value {
    let values = |values: &[ValueInfo]| -> Vec<serde_json::Value> {
        values.iter().map(|v| json!({ "name": v.name, "type": v.r#type })).collect()
    };
    json!({
        "producer": info.producer,
        "ir_version": info.ir_version,
        "opsets": info.opsets,
        "inputs": values(&info.inputs),
        "outputs": values(&info.outputs),
        "operators": info.operators,
        "initializers": info.initializers,
        "initializer_bytes": info.initializer_bytes,
        "segments": segments,
    })
}
