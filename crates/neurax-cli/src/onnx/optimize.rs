//! `neurax onnx optimize`: a model in which everything is computed that is known before all calls.

use super::written_file::WrittenFile;
use crate::progress::ProgressLine;
use clap::Args;
use neurax::onnx::{self, Importer};
use neurax::prelude::*;
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
    pub json: bool,
}

impl OptimizeArgs {
    pub fn run(&self) -> Result<()> {
        let start = Instant::now();
        let progress = ProgressLine::new(format!("reading {}", self.file));
        // The description is taken first, as the new file may replace the old one.
        let before = Importer::new().open(&self.file)?.info().clone();
        progress.step("computing constants");
        onnx::optimize(&self.file, &self.out)?;
        progress.step(format!("reading {}", self.out));
        let after = Importer::new().open(&self.out)?.info().clone();
        drop(progress);
        let seconds = start.elapsed().as_secs_f64();
        WrittenFile { path: &self.out, before, after, seconds }.print(self.json)
    }
}
