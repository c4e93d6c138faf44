//! A run of a model in ONNX Runtime by Python, and its outputs as values.
//!
//! Inputs and tensors of outputs are `.npy` files in a folder. The file `outputs.json` there has
//! one tree for each output, whose nodes are
//!
//! ```text
//! {"tensor": FILE}   {"number": TEXT}   {"strings": LIST, "shape": SIZES}   null
//! {"sequence": TREES}   {"map": [[KEY, TREE], ..]}
//! ```
//!
//! The numbers of a map have no dtype in Python: they get that of the value they are compared with.

use super::invalid::invalid;
use super::literals;
use neurax::io::npy;
use neurax::onnx::{MapKey, OnnxValue, Session, Strings};
use neurax::prelude::*;
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

/// The program that runs the model: the file, and the folder. The optimizer of ONNX Runtime is off:
/// it computes quantized models in another way.
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
def tree(y, name):
    if y is None:
        return None
    if isinstance(y, dict):
        key = lambda k: k if isinstance(k, str) else int(k)
        return {'map': [[key(k), tree(v, f'{name}_{i}')] for i, (k, v) in enumerate(y.items())]}
    if isinstance(y, (list, tuple)):
        return {'sequence': [tree(v, f'{name}_{i}') for i, v in enumerate(y)]}
    if isinstance(y, (int, float)):
        return {'number': repr(y)}
    y = np.asarray(y)
    if y.dtype.kind in 'OU':
        return {'strings': y.ravel().tolist(), 'shape': y.shape}
    np.save(f'{folder}/{name}.npy', y)
    return {'tensor': f'{name}.npy'}
outputs = [tree(y, f'output_{i}') for i, y in enumerate(session.run(None, inputs))]
with open(f'{folder}/outputs.json', 'w', encoding='utf-8') as f:
    json.dump(outputs, f)
";

/// Runs the model in the file `model` in ONNX Runtime. Returns its outputs, with the dtypes of
/// `like` for numbers that have none.
///
/// # Errors
/// If Python or ONNX Runtime fails, or a file in `folder` cannot be written or read.
pub fn outputs(
    (python, model): (&str, &str),
    session: &Session,
    inputs: &HashMap<String, OnnxValue>,
    like: &[OnnxValue],
    folder: &Path,
) -> Result<Vec<OnnxValue>> {
    write_inputs(session, inputs, folder)?;
    let run = Command::new(python)
        .args(["-c", PROGRAM, model])
        .arg(folder)
        .output()
        .map_err(|e| invalid(format!("cannot start {python}: {e}")))?;
    if !run.status.success() {
        let why = String::from_utf8_lossy(&run.stderr);
        let advice = "--python names a Python that has the packages onnxruntime and numpy";
        return Err(invalid(format!("ONNX Runtime failed ({advice}): {}", why.trim())));
    }
    let trees: Vec<Value> = serde_json::from_slice(&std::fs::read(folder.join("outputs.json"))?)
        .map_err(|e| invalid(format!("the outputs of ONNX Runtime cannot be read: {e}")))?;
    if trees.len() != like.len() {
        let (want, got) = (like.len(), trees.len());
        return Err(invalid(format!("expected {want} outputs of ONNX Runtime, got {got}")));
    }
    trees.iter().zip(like).map(|(tree, like)| value(tree, Some(like), folder)).collect()
}

fn write_inputs(
    session: &Session,
    inputs: &HashMap<String, OnnxValue>,
    folder: &Path,
) -> Result<()> {
    for (i, name) in session.inputs().enumerate() {
        match inputs.get(name) {
            Some(OnnxValue::Tensor(x)) => npy::save(x, folder.join(format!("input_{i}.npy")))?,
            Some(x) => {
                let text = literals::as_json(x)?.to_string();
                std::fs::write(folder.join(format!("input_{i}.json")), text)?;
            }
            None => (),
        }
    }
    Ok(())
}

/// Returns the value of a tree.
fn value(tree: &Value, like: Option<&OnnxValue>, folder: &Path) -> Result<OnnxValue> {
    if let (Some(OnnxValue::Optional(Some(like))), false) = (like, tree.is_null()) {
        return Ok(OnnxValue::Optional(Some(Box::new(value(tree, Some(like), folder)?))));
    }
    let unknown = || invalid(format!("expected an output of ONNX Runtime, got {tree}"));
    let list = |key: &str| tree.get(key).and_then(Value::as_array);
    if tree.is_null() {
        Ok(OnnxValue::Optional(None))
    } else if let Some(file) = tree.get("tensor").and_then(Value::as_str) {
        Ok(npy::load(folder.join(file))?.into())
    } else if let Some(text) = tree.get("number").and_then(Value::as_str) {
        number(text, like).ok_or_else(unknown)
    } else if let (Some(strings), Some(shape)) = (list("strings"), list("shape")) {
        let size = |n: &Value| n.as_u64().and_then(|n| usize::try_from(n).ok());
        let shape: Option<Vec<usize>> = shape.iter().map(size).collect();
        let elements: Option<Vec<String>> =
            strings.iter().map(|s| s.as_str().map(String::from)).collect();
        let (shape, elements) = (shape.ok_or_else(unknown)?, elements.ok_or_else(unknown)?);
        Ok(Strings::new(shape, elements)?.into())
    } else if let Some(trees) = list("sequence") {
        let parts = match like {
            Some(OnnxValue::Sequence(parts)) => &parts[..],
            _ => &[],
        };
        let part = |(i, tree)| value(tree, parts.get(i), folder);
        Ok(OnnxValue::Sequence(trees.iter().enumerate().map(part).collect::<Result<_>>()?))
    } else if let Some(entries) = list("map") {
        let like = match like {
            Some(OnnxValue::Map(entries)) => entries.first().map(|(_, x)| x),
            _ => None,
        };
        let entry = |entry: &Value| {
            let (Some(key), Some(tree)) = (entry.get(0).and_then(key), entry.get(1)) else {
                return Err(unknown());
            };
            Ok((key, value(tree, like, folder)?))
        };
        let mut entries = entries.iter().map(entry).collect::<Result<Vec<_>>>()?;
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(OnnxValue::Map(entries))
    } else {
        Err(unknown())
    }
}

/// Returns a number of Python as a tensor of the dtype of `like`.
fn number(text: &str, like: Option<&OnnxValue>) -> Option<OnnxValue> {
    let x: f64 = text.parse().ok()?;
    let dtype = match like {
        Some(OnnxValue::Tensor(like)) => like.dtype(),
        _ => F64,
    };
    Some(Tensor::scalar(F64, x).to(dtype).into())
}

fn key(x: &Value) -> Option<MapKey> {
    let text = || x.as_str().map(|s| MapKey::String(s.into()));
    x.as_i64().map(MapKey::Int).or_else(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax::onnx::conformance::difference;
    use neurax::testing::Tolerance;
    use serde_json::json;

    /// Returns a classifier's output for two rows: the probabilities of the classes.
    fn scores(second: f32) -> OnnxValue {
        let row = |a: f32, b: f32| {
            let entry = |key: &str, x: f32| (MapKey::String(key.into()), tensor(x).into());
            OnnxValue::Map(vec![entry("cat", a), entry("dog", b)])
        };
        OnnxValue::Sequence(vec![row(0.25, 0.75), row(1.0 - second, second)])
    }

    #[test]
    fn sequences_and_maps_are_compared_by_element() {
        let map =
            |a: &str, b: &str| json!({"map": [["dog", {"number": b}], ["cat", {"number": a}]]});
        let tree = json!({"sequence": [map("0.25", "0.75"), map("0.5", "0.5")]});
        let (folder, tolerance) = (std::env::temp_dir(), Tolerance { rel: 1e-3, abs: 1e-5 });
        let compared = |y: &OnnxValue| {
            let want = value(&tree, Some(y), &folder).unwrap();
            difference(y, &want, tolerance).unwrap()
        };
        assert_eq!(compared(&scores(0.5)), None);
        let why = compared(&scores(0.75)).unwrap();
        let want = "element 1: element 0: 1 of 1 numbers differ: expected 0.5, got 0.25 at 0";
        assert_eq!(why, want);
        let OnnxValue::Sequence(mut rows) = scores(0.5) else { panic!("expected a sequence") };
        rows.pop();
        let why = compared(&OnnxValue::Sequence(rows));
        assert_eq!(why.as_deref(), Some("expected 2 elements, got 1"));
    }

    #[test]
    fn trees_of_all_kinds_are_values() {
        let folder = std::env::temp_dir();
        let of = |tree: Value| value(&tree, None, &folder);
        let strings = of(json!({"strings": ["a", "b"], "shape": [1, 2]})).unwrap();
        assert!(matches!(strings, OnnxValue::Strings(s) if s.shape() == [1, 2]));
        assert!(matches!(of(Value::Null).unwrap(), OnnxValue::Optional(None)));
        let keys = of(json!({"map": [[7, {"number": "nan"}]]})).unwrap();
        assert!(matches!(keys, OnnxValue::Map(m) if m[0].0 == MapKey::Int(7)));
        for wrong in [json!({"number": "many"}), json!({"map": [[1.5, null]]}), json!(3)] {
            let e = of(wrong).unwrap_err().to_string();
            assert!(e.contains("expected an output of ONNX Runtime, got"), "{e}");
        }
    }
}
