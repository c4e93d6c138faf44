//! The commands of `neurax onnx`, run as a user runs them.

use neurax::prelude::*;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Writes a model of a convolution, a normalization and a product; returns its path.
fn written(name: &str, types: [TypeSpec; 1]) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("neurax-cli-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let layers = nn::input("image", dims![_, 1, _, 8]).conv(4, 3).batch_norm().relu();
    let model = layers.global_avg_pool().flatten().dense(3).model();
    let net = model.bind(model.init(key(0), &types![f32[_, 1, 8, 8]]).unwrap());
    let path = folder.join("model.onnx");
    neurax::onnx::export(&net, types, &path).unwrap();
    path
}

fn neurax(args: &[&str], file: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_neurax"))
        .args(["onnx", args[0]])
        .arg(file)
        .args(&args[1..])
        // The default device, as the tests may run on another one.
        .env_remove("NEURAX_DEVICE")
        .output()
        .unwrap()
}

/// Returns the JSON object that a command prints.
fn json(run: &Output) -> serde_json::Value {
    serde_json::from_slice(&run.stdout).unwrap_or_else(|e| panic!("{e}: {run:?}"))
}

#[test]
fn inspect_shows_what_the_segments_compile_to() {
    let file = written("inspect", types![f32[_, 1, 8, 8]]);
    let run = neurax(&["inspect", "--json"], &file);
    assert!(run.status.success(), "{run:?}");
    let found = json(&run);
    assert_eq!(
        found["compiled_for"][0],
        "image: f32[1, 1, 8, 8] (random numbers, open sizes are 1)"
    );
    let segment = &found["segments"][0];
    assert_eq!(segment["operators"]["Conv"], 1);
    assert_eq!(segment["steps"]["convolution"], 1);
    assert!(segment["equations"].as_u64().unwrap() >= 3, "{segment}");
    assert!(segment["weight_bytes"].as_u64().unwrap() >= 4 * 4 * 9, "{segment}");
    let text = String::from_utf8(neurax(&["inspect"], &file).stdout).unwrap();
    for part in ["segment (image: f32[1, 1, 8, 8])", "equations: 1 convolution", "weights"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn inspect_shows_the_file_also_if_it_cannot_be_compiled() {
    let file = written("wrong", types![f32[_, 1, "height", 8]]);
    let run = neurax(&["inspect", "--shape", "image=1,2,8,8"], &file);
    let text = String::from_utf8_lossy(&run.stdout).to_string();
    assert!(!run.status.success(), "{text}");
    for part in ["input     image: f32[batch, 1, height, 8]", "compiled  not: ", "--shape"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(neurax(&["inspect", "--no-compile"], &file).status.success());
    assert!(neurax(&["inspect", "--shape", "image=1,1,8,8"], &file).status.success());
}

#[test]
fn optimize_folds_constants_and_keeps_the_results() {
    let file = written("optimize", types![f32[_, 1, 8, 8]]);
    let small = file.with_file_name("small.onnx");
    let run = neurax(&["optimize", "--out", small.to_str().unwrap(), "--json"], &file);
    assert!(run.status.success(), "{run:?}");
    let found = json(&run);
    assert!(found["after"]["nodes"].as_u64() < found["before"]["nodes"].as_u64(), "{found}");
    assert_eq!(found["after"]["operators"]["Conv"], 1);
    let [old, new] = [&file, &small].map(|path| neurax(&["run"], path));
    assert!(old.status.success() && new.status.success(), "{old:?} {new:?}");
    let numbers = |run: &Output| -> Vec<f64> {
        let text = String::from_utf8_lossy(&run.stdout).to_string();
        let is_number = |c: char| c.is_ascii_digit() || ".-e".contains(c);
        text.split(|c| !is_number(c)).filter_map(|word| word.parse().ok()).collect()
    };
    let (old, new) = (numbers(&old), numbers(&new));
    assert!(old.len() >= 3 && old.len() == new.len(), "{old:?} {new:?}");
    assert!(old.iter().zip(&new).all(|(a, b)| (a - b).abs() < 1e-3), "{old:?} {new:?}");
    let run = neurax(&["optimize", "--out", "/no/such/folder/x.onnx"], &file);
    assert!(!run.status.success() && run.stdout.is_empty());
    assert!(String::from_utf8_lossy(&run.stderr).contains("cannot write"), "{run:?}");
}

#[test]
fn convert_writes_a_model_for_inference() {
    let file = written("convert", types![f32[_, 1, 8, 8]]);
    let small = file.with_file_name("small.onnx");
    let run = neurax(&["convert", small.to_str().unwrap(), "--for-inference"], &file);
    assert!(run.status.success(), "{run:?}");
    let session = neurax::onnx::Importer::new().open(&small).unwrap();
    assert!(!session.info().operators.contains_key("BatchNormalization"));
}
