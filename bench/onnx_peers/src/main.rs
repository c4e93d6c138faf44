//! `onnx-peers PEER MODEL`: the times of an ONNX model in another library, as one line of JSON.
//!
//! `bench/onnx_models.py` calls it for its table; the line has the form of `neurax onnx bench
//! --json`. A model that the library refuses is the line `{"error": WHY}`.

mod input;
mod ort_session;
mod rten_model;
mod tract_plan;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use input::PeerInput;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Measures an ONNX model in another library.
#[derive(Parser)]
struct PeerArgs {
    /// The library.
    peer: Peer,
    /// The ONNX file.
    model: PathBuf,
    /// The value of an input: NAME=FILE.npy.
    #[arg(long = "input", value_name = "NAME=FILE")]
    inputs: Vec<String>,
    /// The number of threads of a call.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// The time to measure, in seconds.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// The library of ONNX Runtime, for `ort`: `libonnxruntime.so` of the Python package.
    #[arg(long, env = "ORT_DYLIB_PATH")]
    library: Option<PathBuf>,
}

/// A library that runs ONNX models.
#[derive(Clone, Copy, ValueEnum)]
enum Peer {
    Ort,
    Rten,
    Tract,
}

/// A model that is ready to run on its inputs.
type PeerCall = Box<dyn FnMut() -> Result<()>>;

fn main() {
    let args = PeerArgs::parse();
    let line = measure(&args).unwrap_or_else(|e| json!({ "error": format!("{e:#}") }));
    println!("{line}");
}

fn measure(args: &PeerArgs) -> Result<Value> {
    let inputs = args.inputs.iter().map(|text| PeerInput::read(text));
    let inputs: Vec<PeerInput> = inputs.collect::<Result<_>>()?;
    let start = Instant::now();
    let mut call = match args.peer {
        Peer::Ort => ort_session::load(&args.model, &inputs, args.threads, &args.library)?,
        Peer::Rten => rten_model::load(&args.model, &inputs, args.threads)?,
        Peer::Tract => tract_plan::load(&args.model, &inputs, args.threads)?,
    };
    let load = start.elapsed();
    call()?;
    let first = start.elapsed();
    let (mut times, begin) = (Vec::new(), Instant::now());
    while times.len() < 5 || begin.elapsed().as_secs_f64() < args.seconds {
        let start = Instant::now();
        call()?;
        times.push(start.elapsed());
    }
    times.sort();
    let us = |d: Duration| d.as_secs_f64() * 1e6;
    Ok(json!({
        "load_us": us(load),
        "first_result_us": us(first),
        "median_us": us(times[times.len() / 2]),
        "calls": times.len(),
    }))
}
