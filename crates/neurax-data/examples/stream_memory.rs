//! Trains on a CSV file of any size and prints the peak memory: see `scripts/stream-memory.sh`.
//!
//! `stream_memory write FILE GIGABYTES` writes a file of random examples, and
//! `stream_memory train FILE` trains on it for an epoch.

use neurax::prelude::*;
use neurax_tensor::ir::rng::Rng;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::time::Instant;

/// The number of inputs of an example.
const INPUTS: usize = 20;
/// The number of examples of a batch.
const EXAMPLES: usize = 2000;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["write", file, gigabytes] => match gigabytes.parse::<f64>() {
            Ok(gigabytes) => write(file, gigabytes),
            Err(e) => Err(Error::new("stream_memory", format!("{gigabytes}: {e}"))),
        },
        ["train", file] => train(file),
        _ => Err(Error::new("stream_memory", "expected `write FILE GIGABYTES` or `train FILE`")),
    }
}

/// Writes lines of random inputs and their sum.
fn write(file: &str, gigabytes: f64) -> Result<()> {
    let (mut to, mut rng) = (BufWriter::new(File::create(file)?), Rng::new(0));
    let (size, mut written) = ((gigabytes * 1e9) as usize, 0);
    let names: Vec<String> = (0..INPUTS).map(|i| format!("x{i}")).collect();
    writeln!(to, "{},y", names.join(","))?;
    let mut line = String::new();
    while written < size {
        line.clear();
        let mut sum = 0.0;
        for _ in 0..INPUTS {
            let x = rng.range(-1.0, 1.0);
            sum += x;
            write!(line, "{x:.5},").map_err(|e| Error::new("stream_memory", e.to_string()))?;
        }
        writeln!(to, "{line}{sum:.5}")?;
        written += line.len() + 9;
    }
    Ok(to.flush()?)
}

/// Trains a linear model, and prints the speed and the peak memory.
fn train(file: &str) -> Result<()> {
    let start = Instant::now();
    let batches = data::csv(file).target("y").stream(EXAMPLES).prefetch(2);
    let model = nn::input("x", dims![_, INPUTS]).dense(1);
    let trainer = Trainer::new(&model, loss::mse, optim::adam(0.01)).quiet();
    let trained = trainer.run(&batches, epochs(1))?;
    let (seconds, bytes) = (start.elapsed().as_secs_f64(), std::fs::metadata(file)?.len());
    let examples: usize = trained.history.iter().map(|epoch| epoch.examples).sum();
    println!(
        "{:.2} GB, {examples} examples, {seconds:.1} s, {:.0} MB/s, loss {:.4}, peak memory {} MB",
        bytes as f64 / 1e9,
        bytes as f64 / 1e6 / seconds,
        trained.history.last().map_or(f64::NAN, |epoch| epoch.train["loss"]),
        peak_megabytes()?,
    );
    Ok(())
}

/// Returns the largest memory that the process had so far.
fn peak_megabytes() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.map(|kb| kb / 1000).ok_or_else(|| {
        Error::new("stream_memory", "expected a line `VmHWM` in /proc/self/status, got none")
    })
}
