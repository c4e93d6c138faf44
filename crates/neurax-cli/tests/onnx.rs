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

/// Returns a field of a message: its number, its length, its bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
}

fn message(fields: &[(u8, &[u8])]) -> Vec<u8> {
    fields.iter().flat_map(|(number, bytes)| field(*number, bytes)).collect()
}

/// Writes the model of one node of `a` and `b`, whose dtype has the number `dtype` and whose shape
/// is `[1, n]`; `initializer` are the fields of a tensor `b`. Returns its path.
fn written_node(name: &str, op: &str, dtype: u8, initializer: &[u8]) -> PathBuf {
    let shape = message(&[(1, &[1 << 3, 1]), (1, &field(2, b"n"))]);
    let ty = field(1, &[&[1 << 3, dtype][..], &field(2, &shape)].concat());
    let value = |name: &[u8]| message(&[(1, name), (2, &ty)]);
    let node = message(&[(1, b"a"), (1, b"b"), (2, b"y"), (4, op.as_bytes())]);
    let [a, b, y] = &[value(b"a"), value(b"b"), value(b"y")];
    let mut graph = message(&[(1, &node), (2, b"main"), (11, a), (11, b), (12, y)]);
    if !initializer.is_empty() {
        graph.extend(field(5, initializer));
    }
    let file = [&[1 << 3, 10][..], &message(&[(7, &graph), (8, &[2 << 3, 20])])].concat();
    let folder = std::env::temp_dir().join(format!("neurax-cli-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("model.onnx"), file).unwrap();
    folder.join("model.onnx")
}

/// Writes the model of `StringConcat` of the inputs `a` and `b`; returns its path.
fn written_strings(name: &str) -> PathBuf {
    written_node(name, "StringConcat", 8, &[])
}

/// Runs a command on the device of the tests.
fn neurax(args: &[&str], file: &Path) -> Output {
    command(args, file).output().unwrap()
}

fn command(args: &[&str], file: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_neurax"));
    command.args(["onnx", args[0]]).arg(file).args(&args[1..]);
    command
}

/// Returns the JSON object in the last line that a command prints.
fn json(run: &Output) -> serde_json::Value {
    let text = String::from_utf8(run.stdout.clone()).unwrap();
    let line = text.lines().last().unwrap_or_else(|| panic!("{run:?}"));
    serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {run:?}"))
}

#[test]
fn inspect_shows_what_the_segments_compile_to() {
    let file = written("inspect", types![f32[_, 1, 8, 8]]);
    // On the compiler, as the tests may run on another device.
    let neurax = |args: &[&str]| command(args, &file).env_remove("NEURAX_DEVICE").output().unwrap();
    let run = neurax(&["inspect", "--json"]);
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
    let text = String::from_utf8(neurax(&["inspect"]).stdout).unwrap();
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
    let run = neurax(&["convert", small.to_str().unwrap(), "--for-inference", "--json"], &file);
    assert!(run.status.success(), "{run:?}");
    let found = json(&run);
    assert_eq!(found["file"], small.to_str().unwrap());
    assert_eq!(found["before"]["operators"]["BatchNormalization"], 1);
    assert!(found["after"]["operators"]["BatchNormalization"].is_null(), "{found}");
    let session = neurax::onnx::Importer::new().open(&small).unwrap();
    assert!(!session.info().operators.contains_key("BatchNormalization"));
}

#[test]
fn run_prints_its_outputs_as_json() {
    let file = written("run", types![f32[_, 1, "height", 8]]);
    let run = neurax(&["run", "--shape", "image=2,1,8,8", "--json"], &file);
    assert!(run.status.success(), "{run:?}");
    let found = json(&run);
    assert_eq!(found["inputs"][0], "image: f32[2, 1, 8, 8] (random numbers)");
    assert_eq!(found["outputs"][0]["type"], "f32[2, 3]");
    let rows = found["outputs"][0]["value"].as_array().unwrap();
    assert!(rows.len() == 2 && rows.iter().all(|row| row[2].is_f64()), "{found}");
    let folder = file.with_file_name("out");
    let arguments =
        ["run", "--shape", "image=2,1,8,8", "--json", "--out", folder.to_str().unwrap()];
    let found = json(&neurax(&arguments, &file));
    let path = found["outputs"][0]["file"].as_str().unwrap();
    let written = neurax::io::npy::load(path).unwrap().to_vec::<f32>().unwrap();
    let numbers = rows.iter().flat_map(|row| row.as_array().unwrap());
    let numbers: Vec<f32> = numbers.map(|x| x.as_f64().unwrap() as f32).collect();
    assert_eq!(written, numbers, "the digits of JSON name the same numbers");
    let run = neurax(&["run", "--shape", "image=2,7,8,8", "--json"], &file);
    assert_eq!(run.status.code(), Some(1));
    let e = json(&run)["error"].as_str().unwrap().to_string();
    assert!(e.contains("expected f32[batch, 1, height, 8]"), "{e}");
    assert!(String::from_utf8_lossy(&run.stderr).contains(&e), "{run:?}");
}

#[test]
fn inputs_are_written_as_numbers_or_texts() {
    let file = written("numbers", types![f32[_, 1, "height", 8]]);
    let rows = format!("image={:?}", [[[[1.5; 8]; 3]]]);
    let found = json(&neurax(&["run", "--input", &rows, "--json"], &file));
    assert_eq!(found["inputs"][0], "image: f32[1, 1, 3, 8] (--input)", "{found}");
    let file = written_strings("strings");
    let run =
        neurax(&["run", "--input", "a=[[\"x\", \"y\"]]", "--input", "b= of 1", "--json"], &file);
    let found = json(&run);
    assert_eq!(found["outputs"][0]["value"], serde_json::json!([["x of 1", "y of 1"]]), "{run:?}");
    let run = neurax(&["run", "--input", "a=x", "--json"], &file);
    let e = json(&run)["error"].as_str().unwrap().to_string();
    assert!(e.contains("the input `b` has the type string[1, n]; give its value"), "{e}");
    let run = neurax(&["run", "--input", "a=[1]", "--input", "b=x"], &file);
    let e = String::from_utf8_lossy(&run.stderr).to_string();
    assert!(e.contains("--input a=VALUE: expected texts in quotes, got 1"), "{e}");
}

#[test]
fn inputs_with_a_value_in_the_file_keep_it() {
    // `b` is f32[1, 2] of 5 and 7, as older exporters list weights.
    let numbers: Vec<u8> = [5f32, 7.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let head = [1 << 3, 1, 1 << 3, 2, 2 << 3, 1];
    let tensor = [&head[..], &message(&[(8, b"b"), (9, &numbers)])].concat();
    let file = written_node("default", "Add", 1, &tensor);
    let value = |args: &[&str]| json(&neurax(args, &file))["outputs"][0]["value"].clone();
    let a = ["run", "--json", "--input", "a=[[1, 2]]"];
    assert_eq!(value(&a), serde_json::json!([[6.0, 9.0]]));
    let both = [&a[..], &["--input", "b=[[0, 1]]"]].concat();
    assert_eq!(value(&both), serde_json::json!([[1.0, 3.0]]));
}

#[test]
fn bench_times_the_calls_that_a_program_has() {
    let seconds = ["bench", "--seconds", "0", "--json"];
    let found = json(&neurax(&seconds, &written("bench", types![f32[_, 1, 8, 8]])));
    for call in [&found, &found["run_all"], &found["run_into"]] {
        assert!(call["calls"] == 5 && call["median_us"].as_f64() > Some(0.0), "{found}");
    }
    let one = [&seconds[..], &["--call", "predictor"]].concat();
    let found = json(&neurax(&one, &written("bench-one", types![f32[_, 1, 8, 8]])));
    assert!(found["calls"].is_null() && found["run_all"]["calls"] == 5, "{found}");
    let strings = [&seconds[..], &["--input", "a=x", "--input", "b=y"]].concat();
    let found = json(&neurax(&strings, &written_strings("bench-strings")));
    assert!(found["calls"] == 5 && found["run_into"].is_null(), "{found}");
    assert!(found["predictor_error"].as_str().unwrap().contains("string[1, n]"), "{found}");
}

#[test]
fn check_reports_what_python_says() {
    let file = written("check", types![f32[_, 1, 8, 8]]);
    let run = neurax(&["check", "--python", "/no/such/python", "--json"], &file);
    assert_eq!(run.status.code(), Some(1));
    let e = json(&run)["error"].as_str().unwrap().to_string();
    assert!(e.contains("cannot start /no/such/python"), "{e}");
}

#[test]
fn conformance_says_what_it_expected() {
    let tests = written("conformance", types![f32[_, 1, 8, 8]]).with_file_name("tests");
    std::fs::create_dir_all(tests.join("test_empty")).unwrap();
    std::fs::write(tests.join("test_empty/model.onnx"), "no model").unwrap();
    let test = tests.join("test_empty");
    for (export, folder) in [(&[][..], &tests), (&["--export"][..], &tests), (&[][..], &test)] {
        let arguments = [&["conformance", "--json", "--expect", "1"], export].concat();
        let run = neurax(&arguments, folder);
        assert_eq!(run.status.code(), Some(1));
        let found = json(&run);
        assert_eq!(
            (&found["passed"], &found["total"], &found["expected"]),
            (&0.into(), &1.into(), &1.into())
        );
        let e = String::from_utf8_lossy(&run.stderr).to_string();
        assert!(e.contains("expected 1 of 1 tests to pass, got 0; 1 failed: test_empty"), "{e}");
    }
}

#[test]
fn convert_fixes_named_axes_together_and_says_what_the_file_fixes() {
    let file = written("shapes", types![f32[_, 1, 8, 8]]);
    let out = file.with_file_name("fixed.onnx");
    let out = out.to_str().unwrap();
    let run = neurax(&["convert", out, "--shape", "image=_,1,_,8"], &file);
    let e = String::from_utf8_lossy(&run.stderr).to_string();
    assert_eq!(run.status.code(), Some(1));
    assert!(e.contains("the file fixes axis 2 to 8, got _"), "{e}");
    assert!(neurax(&["convert", out, "--shape", "image=rows,1,8,8"], &file).status.success());
    let session = neurax::onnx::Importer::new().open(out).unwrap();
    assert_eq!(session.info().inputs[0].r#type, "f32[rows, 1, 8, 8]");
    // Both inputs are f32[1, n].
    let sum = written_node("named", "Add", 1, &[]);
    let run = neurax(&["convert", out, "--shape", "a=1,7"], &sum);
    assert!(run.status.success(), "{run:?}");
    let session = neurax::onnx::Importer::new().open(out).unwrap();
    let types: Vec<&str> = session.info().inputs.iter().map(|x| x.r#type.as_str()).collect();
    assert_eq!(types, ["f32[1, 7]", "f32[1, 7]"]);
    let found = json(&neurax(&["run", "--json", "--shape", "a=1,7"], &sum));
    assert_eq!(found["outputs"][0]["type"], "f32[1, 7]", "{found}");
    let found = json(&neurax(&["run", "--json", "--input", "b=[[1, 2]]"], &sum));
    assert_eq!(found["outputs"][0]["type"], "f32[1, 2]", "{found}");
}

#[test]
fn wrong_arguments_are_another_exit_code() {
    let file = written("arguments", types![f32[_, 1, "height", 8]]);
    for (arguments, part) in [
        (&["convert", "x.onnx", "--opset", "12"][..], "12 is not in 13..=28"),
        (&["convert", "x.onnx", "--float", "f64"][..], "f16, bf16"),
        (&["convert", "x.onnx", "--shape", "image=-1"][..], "expected a size, a name or `_`"),
        (&["run", "--input", "image"][..], "expected NAME=VALUE"),
        (&["run", "--shape", "image=a,30"][..], "expected a size, got `a`"),
    ] {
        let run = neurax(arguments, &file);
        let e = String::from_utf8_lossy(&run.stderr).to_string();
        assert!(run.status.code() == Some(2) && e.contains(part), "{arguments:?}: {e}");
    }
    for (argument, part) in [
        ("image=hello", "expected a number, lists of numbers, or the path of a file that exists"),
        ("image=[[NaN]]", "write \"NaN\", \"inf\" and \"-inf\" in quotes"),
        ("other=1", "the model has no input `other`; it has: image"),
    ] {
        let run = neurax(&["run", "--input", argument], &file);
        let e = String::from_utf8_lossy(&run.stderr).to_string();
        assert!(run.status.code() == Some(1) && e.contains(part), "{argument}: {e}");
    }
}

#[test]
fn errors_name_the_sizes_and_no_lines_of_our_crates() {
    let file = written_node("sizes", "MatMul", 1, &[]);
    for command in ["run", "check", "inspect"] {
        let run = neurax(&[command, "--shape", "a=1,3", "--input", "b=[[1, 2]]"], &file);
        let text = [run.stdout, run.stderr].concat();
        let text = String::from_utf8_lossy(&text).to_string();
        assert!(text.contains("give other sizes with --shape"), "{command}: {text}");
        assert!(!text.contains(".rs:"), "{command}: {text}");
    }
}
