//! The tests of ONNX backends: models with inputs and the outputs that are expected.
//!
//! A test is a folder with `model.onnx` and folders `test_data_set_K`, each with `input_J.pb` and
//! `output_J.pb`. An output agrees if its type is the same and its numbers are
//! within 1e-5 plus 1e-3 of the expected number; bf16, whose numbers are 1/128 apart, within 1e-5
//! plus 1/64, as in the runner of the `onnx` package.

use crate::elements::{optional_value, sequence_value, tensor_value};
use crate::external::ExternalData;
use crate::proto::{ModelProto, OptionalProto, SequenceProto, TensorProto, TypeProto, TypeValue};
use crate::value::OnnxValue;
use crate::{Importer, Session};
use neurax_ir::{Error, Result};
use neurax_tensor::{DType, Tensor};
use prost::Message;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// The largest relative difference.
const RELATIVE: f64 = 1e-3;
/// The largest relative difference of bf16.
const RELATIVE_BF16: f64 = 1.0 / 64.0;
/// The largest absolute difference.
const ABSOLUTE: f64 = 1e-5;

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

/// Returns the folders of the tests in a folder, in alphabetical order.
///
/// # Errors
/// If the folder cannot be read.
pub fn tests(folder: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.join("model.onnx").is_file() {
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
fn operator_of(test: &Path) -> Result<String> {
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
    for k in 0.. {
        let set = test.join(format!("test_data_set_{k}"));
        if !set.is_dir() {
            break;
        }
        run_set(&session, &set)?;
    }
    Ok(())
}

fn run_set(session: &Session, set: &Path) -> Result<()> {
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
        let differs = difference(y, &want)?;
        if let Some(why) = differs {
            return Err(Error::new("onnx", format!("output `{name}`: {why}")));
        }
    }
    Ok(())
}

/// Reads a value of the declared type.
fn read_value(path: &Path, r#type: Option<&TypeProto>) -> Result<OnnxValue> {
    let (bytes, files) = (std::fs::read(path)?, ExternalData::new(Some(path), HashMap::new()));
    match r#type.and_then(|t| t.value.as_ref()) {
        Some(TypeValue::Sequence(_)) => sequence_value(&decoded::<SequenceProto>(&bytes)?, &files),
        Some(TypeValue::Optional(_)) => optional_value(&decoded::<OptionalProto>(&bytes)?, &files),
        _ => tensor_value(&decoded::<TensorProto>(&bytes)?, &files),
    }
}

/// Reads the value that is expected in place of `y`, which has the same kind.
fn read_like(path: &Path, y: &OnnxValue) -> Result<OnnxValue> {
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

fn decoded<M: Message + Default>(bytes: &[u8]) -> Result<M> {
    M::decode(bytes).map_err(|e| Error::new("onnx", format!("no ONNX data: {e}")))
}

/// Returns how a value differs from the expected one; `None` if it agrees.
///
/// # Errors
/// The error that a tensor carries.
pub(crate) fn difference(got: &OnnxValue, want: &OnnxValue) -> Result<Option<String>> {
    match (got, want) {
        (OnnxValue::Tensor(got), OnnxValue::Tensor(want)) => tensors(got, want),
        (OnnxValue::Strings(got), OnnxValue::Strings(want)) => {
            Ok((got != want).then(|| format!("expected {want:?}, got {got:?}")))
        }
        (OnnxValue::Sequence(got), OnnxValue::Sequence(want)) => {
            if got.len() != want.len() {
                return Ok(Some(format!("expected {} elements, got {}", want.len(), got.len())));
            }
            first_difference(got.iter().zip(want))
        }
        (OnnxValue::Map(got), OnnxValue::Map(want)) => {
            let keys = |map: &[(crate::MapKey, OnnxValue)]| {
                map.iter().map(|e| e.0.clone()).collect::<Vec<_>>()
            };
            if keys(got) != keys(want) {
                return Ok(Some(format!("expected keys {:?}, got {:?}", keys(want), keys(got))));
            }
            first_difference(got.iter().map(|e| &e.1).zip(want.iter().map(|e| &e.1)))
        }
        (OnnxValue::Optional(None), OnnxValue::Optional(None)) => Ok(None),
        (OnnxValue::Optional(Some(got)), OnnxValue::Optional(Some(want))) => difference(got, want),
        _ => Ok(Some(format!("expected {}, got {}", want.kind(), got.kind()))),
    }
}

fn first_difference<'v>(
    pairs: impl Iterator<Item = (&'v OnnxValue, &'v OnnxValue)>,
) -> Result<Option<String>> {
    for (i, (got, want)) in pairs.enumerate() {
        if let Some(why) = difference(got, want)? {
            return Ok(Some(format!("element {i}: {why}")));
        }
    }
    Ok(None)
}

fn tensors(got: &Tensor, want: &Tensor) -> Result<Option<String>> {
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
    let relative = if got_type.dtype == DType::BF16 { RELATIVE_BF16 } else { RELATIVE };
    let differs = |(g, w): (&f64, &f64)| {
        let is_same = g == w || (g.is_nan() && w.is_nan());
        let is_close = (g - w).abs() <= ABSOLUTE + relative * w.abs();
        !(is_same || is_close && g.is_finite() && w.is_finite())
    };
    let all: Vec<usize> = (0..got.len()).filter(|&i| differs((&got[i], &want[i]))).collect();
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
