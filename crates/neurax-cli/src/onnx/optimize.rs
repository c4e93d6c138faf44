//! `neurax onnx optimize`: a model in which everything is computed that is known before all calls.

use crate::output::print_line;
use crate::progress::ProgressLine;
use clap::Args;
use neurax::onnx::{self, Importer, ModelInfo};
use neurax::prelude::*;
use serde_json::json;
use std::time::Instant;

/// The arguments.
#[derive(Args)]
pub struct OptimizeArgs {
    /// The ONNX file.
    file: String,
    /// The file to write.
    #[arg(short, long)]
    out: String,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

impl OptimizeArgs {
    pub fn run(&self) -> Result<()> {
        let start = Instant::now();
        let progress = ProgressLine::new(format!("reading {}", self.file));
        // The description is taken first, as the new file may replace the old one.
        let old = Importer::new().open(&self.file)?.info().clone();
        progress.step("computing constants");
        onnx::optimize(&self.file, &self.out)?;
        progress.step(format!("reading {}", self.out));
        let new = Importer::new().open(&self.out)?.info().clone();
        let seconds = start.elapsed().as_secs_f64();
        drop(progress);
        self.print(&old, &new, seconds)
    }

    fn print(&self, old: &ModelInfo, new: &ModelInfo, seconds: f64) -> Result<()> {
        let nodes = |info: &ModelInfo| info.operators.values().sum::<usize>();
        if self.json {
            let of = |info: &ModelInfo| {
                json!({
                    "nodes": nodes(info),
                    "operators": info.operators,
                    "initializers": info.initializers,
                    "initializer_bytes": info.initializer_bytes,
                })
            };
            return print_line(json!({
                "file": self.out,
                "before": of(old),
                "after": of(new),
                "seconds": seconds,
            }));
        }
        let mib = |info: &ModelInfo| info.initializer_bytes as f64 / (1 << 20) as f64;
        print_line(format!("wrote {} in {seconds:.1} s", self.out))?;
        print_line(format!("nodes     {} before, {} after", nodes(old), nodes(new)))?;
        print_line(format!("weights   {:.2} MiB before, {:.2} MiB after", mib(old), mib(new)))
    }
}
