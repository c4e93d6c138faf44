//! The tests of ONNX backends: models with inputs and the outputs that are expected.
//!
//! A test is a folder with `model.onnx` and folders `test_data_set_K`, each with `input_J.pb` and
//! `output_J.pb`. An output agrees if its type is the same and its numbers are
//! within 1e-5 plus 1e-3 of the expected number; bf16, whose numbers are 1/128 apart, within 1e-5
//! plus 1/64, as in the runner of the `onnx` package. As there, a file `data.json` in the folder
//! may state other differences that are allowed: `{"rtol": 1e-3, "atol": 1e-4}`.

use crate::elements::{optional_value, sequence_value, tensor_value};
use crate::external::ExternalData;
use crate::proto::{ModelProto, OptionalProto, SequenceProto, TensorProto, TypeProto, TypeValue};
use crate::value::OnnxValue;
use crate::{Importer, Session};
use neurax_ir::close::Tolerance;
use neurax_ir::{Error, Result};
use neurax_tensor::{DType, Tensor};
use prost::Message;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// The tolerance of a test that states none.
const DEFAULT_TOLERANCE: Tolerance = Tolerance { rel: 1e-3, abs: 1e-5 };
/// The least relative tolerance of bf16.
const RELATIVE_BF16: f64 = 1.0 / 64.0;

/// The result of a test.
#[derive(Clone, Debug)]
pub struct TestResult {
    /// The name of its folder.
    pub name: String,
    /// The operator that is tested: that of the first node; empty if the model cannot be read.
    pub operator: String,
    /// The reason if it failed.
    pub failure: Option<String>,
}

/// Returns the folders of the tests in a folder, in alphabetical order; of the folder of a test,
/// that one.
///
/// # Errors
/// If the folder cannot be read.
pub fn tests(folder: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
    let is_test = |folder: &Path| folder.join("model.onnx").is_file();
    if is_test(folder.as_ref()) {
        return Ok(vec![folder.as_ref().to_path_buf()]);
    }
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if is_test(&path) {
            all.push(path);
        }
    }
    all.sort();
    Ok(all)
}

/// Runs a test. A panic is a failure, too.
pub fn run(test: &Path) -> TestResult {
    let name = test.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let failure = match catch_unwind(AssertUnwindSafe(|| try_run(test))) {
        Ok(Ok(())) => None,
        Ok(Err(e)) => Some(e.to_string()),
        Err(_) => Some("panicked".into()),
    };
    TestResult { name, operator: operator_of(test).unwrap_or_default(), failure }
}

/// Returns the operator of the first node of a test's model, with its domain if that is not the
/// default one.
pub(crate) fn operator_of(test: &Path) -> Result<String> {
    let model = decoded::<ModelProto>(&std::fs::read(test.join("model.onnx"))?)?;
    let nodes = model.graph.map(|g| g.node).unwrap_or_default();
    Ok(match nodes.first() {
        Some(n) if n.domain.is_empty() => n.op_type.clone(),
        Some(n) => format!("{}.{}", n.domain, n.op_type),
        None => String::new(),
    })
}

fn try_run(test: &Path) -> Result<()> {
    let session = Importer::new().open(test.join("model.onnx"))?;
    let tolerance = stated_tolerance(test)?;
    data_sets(test)?.iter().try_for_each(|set| run_set(&session, set, tolerance))
}

/// Returns the folders of the inputs and outputs of a test.
///
/// # Errors
/// If there is none: the test would show nothing.
pub(crate) fn data_sets(test: &Path) -> Result<Vec<PathBuf>> {
    let folders = (0..).map(|k| test.join(format!("test_data_set_{k}")));
    let sets: Vec<PathBuf> = folders.take_while(|set| set.is_dir()).collect();
    match sets.is_empty() {
        true => {
            let why = "expected a folder `test_data_set_0` with inputs and outputs, got none";
            Err(Error::new("onnx", why))
        }
        false => Ok(sets),
    }
}

/// Reads the tolerance of a test from its file `data.json`, if it has one.
pub(crate) fn stated_tolerance(test: &Path) -> Result<Tolerance> {
    let path = test.join("data.json");
    if !path.is_file() {
        return Ok(DEFAULT_TOLERANCE);
    }
    let invalid = |why: String| Error::new("onnx", format!("{}: {why}", path.display()));
    let data: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path)?).map_err(|e| invalid(e.to_string()))?;
    let number = |name: &str, default: f64| match data.get(name) {
        None => Ok(default),
        Some(x) => match x.as_f64() {
            Some(x) if x >= 0.0 => Ok(x),
            _ => Err(invalid(format!("expected a positive number as `{name}`, got {x}"))),
        },
    };
    let default = DEFAULT_TOLERANCE;
    Ok(Tolerance { rel: number("rtol", default.rel)?, abs: number("atol", default.abs)? })
}

fn run_set(session: &Session, set: &Path, tolerance: Tolerance) -> Result<()> {
    let mut inputs = HashMap::new();
    for (i, name) in session.inputs().enumerate() {
        let path = set.join(format!("input_{i}.pb"));
        if path.is_file() {
            inputs.insert(name.to_string(), read_value(&path, session.input_type(i))?);
        }
    }
    let outputs = session.run(inputs)?;
    for (i, (y, name)) in outputs.iter().zip(session.outputs()).enumerate() {
        let want = read_like(&set.join(format!("output_{i}.pb")), y)?;
        let differs = difference(y, &want, tolerance)?;
        if let Some(why) = differs {
            return Err(Error::new("onnx", format!("output `{name}`: {why}")));
        }
    }
    Ok(())
}

/// Reads a value of the declared type.
pub(crate) fn read_value(path: &Path, r#type: Option<&TypeProto>) -> Result<OnnxValue> {
    let (bytes, files) = (std::fs::read(path)?, ExternalData::new(Some(path), HashMap::new()));
    match r#type.and_then(|t| t.value.as_ref()) {
        Some(TypeValue::Sequence(_)) => sequence_value(&decoded::<SequenceProto>(&bytes)?, &files),
        Some(TypeValue::Optional(_)) => optional_value(&decoded::<OptionalProto>(&bytes)?, &files),
        _ => tensor_value(&decoded::<TensorProto>(&bytes)?, &files),
    }
}

/// Reads the value that is expected in place of `y`, which has the same kind.
pub(crate) fn read_like(path: &Path, y: &OnnxValue) -> Result<OnnxValue> {
    let (bytes, files) = (std::fs::read(path)?, ExternalData::new(Some(path), HashMap::new()));
    match y {
        OnnxValue::Tensor(_) | OnnxValue::Strings(_) => {
            tensor_value(&decoded::<TensorProto>(&bytes)?, &files)
        }
        OnnxValue::Sequence(_) => sequence_value(&decoded::<SequenceProto>(&bytes)?, &files),
        OnnxValue::Optional(_) => optional_value(&decoded::<OptionalProto>(&bytes)?, &files),
        OnnxValue::Map(_) => {
            Err(Error::new("onnx", "expected a file of a map inside of a sequence"))
        }
    }
}

pub(crate) fn decoded<M: Message + Default>(bytes: &[u8]) -> Result<M> {
    M::decode(bytes)
        .map_err(|_| Error::new("onnx", "no ONNX data: the file is damaged or not complete"))
}

/// Returns how a value differs from the expected one; `None` if it agrees: kinds, types, lengths
/// and keys are the same, and numbers are within the tolerance, in bf16 within 1/64 at least.
///
/// ```
/// use neurax::onnx::{OnnxValue, conformance::difference};
/// use neurax::prelude::*;
/// use neurax::testing::Tolerance;
/// let value = |x: f32| OnnxValue::Sequence(vec![OnnxValue::Tensor(tensor(x))]);
/// let tolerance = Tolerance { rel: 1e-3, abs: 1e-5 };
/// assert_eq!(difference(&value(2.0), &value(2.001), tolerance)?, None);
/// let why = difference(&value(2.0), &value(3.0), tolerance)?;
/// let want = "element 0: 1 of 1 numbers differ: expected 3, got 2 at 0";
/// assert_eq!(why.as_deref(), Some(want));
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// The error that a tensor carries.
pub fn difference(
    got: &OnnxValue,
    want: &OnnxValue,
    tolerance: Tolerance,
) -> Result<Option<String>> {
    match (got, want) {
        (OnnxValue::Tensor(got), OnnxValue::Tensor(want)) => tensors(got, want, tolerance),
        (OnnxValue::Strings(got), OnnxValue::Strings(want)) => {
            Ok((got != want).then(|| format!("expected {want:?}, got {got:?}")))
        }
        (OnnxValue::Sequence(got), OnnxValue::Sequence(want)) => {
            if got.len() != want.len() {
                return Ok(Some(format!("expected {} elements, got {}", want.len(), got.len())));
            }
            first_difference(got.iter().zip(want), tolerance)
        }
        (OnnxValue::Map(got), OnnxValue::Map(want)) => {
            let keys = |map: &[(crate::MapKey, OnnxValue)]| {
                map.iter().map(|e| e.0.clone()).collect::<Vec<_>>()
            };
            if keys(got) != keys(want) {
                return Ok(Some(format!("expected keys {:?}, got {:?}", keys(want), keys(got))));
            }
            let pairs = got.iter().map(|e| &e.1).zip(want.iter().map(|e| &e.1));
            first_difference(pairs, tolerance)
        }
        (OnnxValue::Optional(None), OnnxValue::Optional(None)) => Ok(None),
        (OnnxValue::Optional(Some(got)), OnnxValue::Optional(Some(want))) => {
            difference(got, want, tolerance)
        }
        _ => Ok(Some(format!("expected {}, got {}", want.kind(), got.kind()))),
    }
}

fn first_difference<'v>(
    pairs: impl Iterator<Item = (&'v OnnxValue, &'v OnnxValue)>,
    tolerance: Tolerance,
) -> Result<Option<String>> {
    for (i, (got, want)) in pairs.enumerate() {
        if let Some(why) = difference(got, want, tolerance)? {
            return Ok(Some(format!("element {i}: {why}")));
        }
    }
    Ok(None)
}

fn tensors(got: &Tensor, want: &Tensor, tolerance: Tolerance) -> Result<Option<String>> {
    let (got_type, want_type) = (got.ty()?, want.ty()?);
    if got_type != want_type {
        return Ok(Some(format!("expected {want_type}, got {got_type}")));
    }
    let numbers = |x: &Tensor| match x.dtype().is_complex() {
        true => Ok(neurax_tensor::stack([x.real(), x.imag()], 0).to(DType::F64)),
        false => Ok::<_, Error>(x.clone()),
    };
    let (got, want) =
        (numbers(got)?.to_literal()?.to_f64s(), numbers(want)?.to_literal()?.to_f64s());
    let tolerance = match got_type.dtype {
        DType::BF16 => Tolerance { rel: RELATIVE_BF16.max(tolerance.rel), ..tolerance },
        _ => tolerance,
    };
    let differs = |i: &usize| !allows(tolerance, got[*i], want[*i]);
    let all: Vec<usize> = (0..got.len()).filter(differs).collect();
    Ok(all.first().map(|&i| {
        format!(
            "{} of {} numbers differ: expected {}, got {} at {i}",
            all.len(),
            got.len(),
            want[i],
            got[i]
        )
    }))
}

/// Returns true if a number is close to the expected one.
fn allows(tolerance: Tolerance, got: f64, want: f64) -> bool {
    let is_same = got == want || (got.is_nan() && want.is_nan());
    let is_close = (got - want).abs() <= tolerance.abs + tolerance.rel * want.abs();
    is_same || is_close && got.is_finite() && want.is_finite()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_states_the_differences_that_it_allows() {
        let folder = std::env::temp_dir().join(format!("neurax-tolerance-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("data.json");
        assert_eq!(stated_tolerance(&folder).unwrap(), DEFAULT_TOLERANCE);
        std::fs::write(&file, r#"{"atol": 1e-3}"#).unwrap();
        let stated = stated_tolerance(&folder).unwrap();
        assert_eq!(stated, Tolerance { rel: 1e-3, abs: 1e-3 });
        assert!(allows(stated, 1.0, 1.0015) && !allows(stated, 1.0, 1.1));
        assert!(allows(stated, f64::NAN, f64::NAN) && !allows(stated, f64::INFINITY, 1.0));
        std::fs::write(&file, r#"{"atol": "much"}"#).unwrap();
        let e = stated_tolerance(&folder).unwrap_err().to_string();
        assert!(e.ends_with("expected a positive number as `atol`, got \"much\""), "{e}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
