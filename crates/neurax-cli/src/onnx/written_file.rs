//! The report of a command that reads a file and writes another one.

use crate::output::print_line;
use neurax::Result;
use neurax::onnx::ModelInfo;
use serde_json::{Value, json};

/// The contents of a file and of the one that was made of it.
pub struct WrittenFile<'a> {
    /// The path of the new file.
    pub path: &'a str,
    pub before: ModelInfo,
    pub after: ModelInfo,
    /// The seconds from reading to writing.
    pub seconds: f64,
}

impl WrittenFile<'_> {
    /// Prints the report, as one JSON object if `is_json`.
    pub fn print(&self, is_json: bool) -> Result<()> {
        let (old, new) = (&self.before, &self.after);
        if is_json {
            return print_line(json!({
                "file": self.path,
                "before": contents(old),
                "after": contents(new),
                "seconds": self.seconds,
            }));
        }
        let mib = |info: &ModelInfo| info.weight_bytes as f64 / (1 << 20) as f64;
        print_line(format!("wrote {} in {:.1} s", self.path, self.seconds))?;
        print_line(format!("nodes     {} before, {} after", nodes(old), nodes(new)))?;
        print_line(format!("weights   {:.2} MiB before, {:.2} MiB after", mib(old), mib(new)))
    }
}

fn nodes(info: &ModelInfo) -> usize {
    info.operators.values().sum()
}

fn contents(info: &ModelInfo) -> Value {
    json!({
        "opsets": info.opsets,
        "nodes": nodes(info),
        "operators": info.operators,
        "initializers": info.initializers,
        "initializer_bytes": info.initializer_bytes,
        "weights": info.weights,
        "weight_bytes": info.weight_bytes,
    })
}
