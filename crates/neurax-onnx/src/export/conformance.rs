//! The tests of ONNX backends after export and import: what `conformance` runs, once more.
//!
//! The model of a test is imported as a network, exported for the types of the test's inputs, and
//! imported again; the outputs of the second model are compared. Inputs that decide a shape become
//! initializers. A test is refused if its model is no function of tensors (sequences, strings,
//! shapes that depend on computed values), or the exporter refuses it. A model that cannot be read
//! fails.

use super::options::Exporter;
use crate::conformance::{
    data_sets, decoded, difference, operator_of, read_like, read_value, stated_tolerance,
};
use crate::proto::{ModelProto, TensorProto};
use crate::value::OnnxValue;
use crate::{Importer, Session};
use neurax_ir::close::Tolerance;
use neurax_ir::{Error, Result};
use neurax_tensor::TypeSpec;
use prost::Message;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// The largest size of an input that becomes an initializer.
const MAX_FIXED: i64 = 64;

/// The result of a test after export and import.
#[derive(Clone, Debug)]
pub struct ExportedTest {
    /// The name of its folder.
    pub name: String,
    /// The operator that is tested.
    pub operator: String,
    /// The outcome.
    pub outcome: ExportOutcome,
}

/// The outcome of a test after export and import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportOutcome {
    /// The outputs are those that are expected.
    Passed,
    /// The model cannot be exported, for this reason.
    Refused(String),
    /// The exported model cannot be imported, or its outputs differ, as this says.
    Failed(String),
}

/// Runs a test after export and import. A panic is a failure, too.
pub fn run_exported(test: &Path) -> ExportedTest {
    let name = test.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let outcome = match catch_unwind(AssertUnwindSafe(|| outcome_of(test))) {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(e)) => ExportOutcome::Failed(e.to_string()),
        Err(_) => ExportOutcome::Failed("panicked".into()),
    };
    ExportedTest { name, operator: operator_of(test).unwrap_or_default(), outcome }
}

fn outcome_of(test: &Path) -> Result<ExportOutcome> {
    let mut outcome = ExportOutcome::Passed;
    for fixed in [FixedInputs::None, FixedInputs::Integers, FixedInputs::Small] {
        outcome = outcome_with(test, fixed)?;
        // A value that decides a shape cannot be an input of a network.
        match &outcome {
            ExportOutcome::Refused(why) if why.contains("the shape of a result depends") => (),
            _ => break,
        }
    }
    Ok(outcome)
}

/// The inputs of a test that become initializers with the values of the test: vectors and numbers,
/// as shapes, axes and scales are.
#[derive(Clone, Copy, PartialEq)]
enum FixedInputs {
    None,
    Integers,
    Small,
}

impl FixedInputs {
    fn contains(self, x: &TensorProto) -> bool {
        let size: i64 = x.dims.iter().fold(1, |n, &d| n.saturating_mul(d));
        let is_integer = [6, 7].contains(&x.data_type);
        x.dims.len() <= 1
            && size <= MAX_FIXED
            && match self {
                FixedInputs::None => false,
                FixedInputs::Integers => is_integer,
                FixedInputs::Small => true,
            }
    }
}

fn outcome_with(test: &Path, fixed: FixedInputs) -> Result<ExportOutcome> {
    let tolerance = stated_tolerance(test)?;
    for set in data_sets(test)? {
        let session = session_of(test, &set, fixed)?;
        match outcome_of_set(&session, &set, tolerance)? {
            ExportOutcome::Passed => (),
            other => return Ok(other),
        }
    }
    Ok(ExportOutcome::Passed)
}

/// Reads the model of a test, with initializers for some of the inputs of a set.
fn session_of(test: &Path, set: &Path, fixed: FixedInputs) -> Result<Session> {
    let path = test.join("model.onnx");
    if fixed == FixedInputs::None {
        return Importer::new().open(path);
    }
    let mut model: ModelProto = decoded(&std::fs::read(path)?)?;
    if let Some(graph) = &mut model.graph {
        for (i, input) in graph.input.iter().enumerate() {
            let Ok(bytes) = std::fs::read(set.join(format!("input_{i}.pb"))) else { continue };
            let Ok(x) = decoded::<TensorProto>(&bytes) else { continue };
            if fixed.contains(&x) {
                graph.initializer.push(TensorProto { name: input.name.clone(), ..x });
            }
        }
    }
    Importer::new().open_bytes(model.encode_to_vec())
}

fn outcome_of_set(session: &Session, set: &Path, tolerance: Tolerance) -> Result<ExportOutcome> {
    let (mut inputs, mut types) = (HashMap::new(), HashMap::new());
    let open = match session.input_types() {
        Ok(types) => types,
        Err(e) => return Ok(ExportOutcome::Refused(e.message().to_string())),
    };
    for (i, name) in session.inputs().enumerate() {
        let path = set.join(format!("input_{i}.pb"));
        if !path.is_file() || open.iter().all(|(n, _)| n != name) {
            continue;
        }
        let value = read_value(&path, session.input_type(i))?;
        let OnnxValue::Tensor(x) = &value else {
            return Ok(ExportOutcome::Refused(format!("the input `{name}` is {}", value.kind())));
        };
        types.insert(name.to_string(), TypeSpec::from(&x.ty()?));
        inputs.insert(name.to_string(), value);
    }
    let exported = || -> Result<Vec<u8>> {
        let net = session.net()?;
        // The order of a network is that in which its outputs reach the inputs.
        let types: Vec<TypeSpec> =
            net.model.inputs().filter_map(|name| types.get(name).cloned()).collect();
        Exporter::new().opset(*Exporter::OPSETS.end()).to_bytes(&net, &types)
    };
    let file = match exported() {
        Ok(file) => file,
        Err(e) => return Ok(ExportOutcome::Refused(e.message().to_string())),
    };
    let again = Importer::new().open_bytes(file)?;
    inputs.retain(|name, _| again.inputs().any(|n| n == name));
    let outputs = again.run(inputs)?;
    for (i, (y, name)) in outputs.iter().zip(again.outputs()).enumerate() {
        let want = read_like(&set.join(format!("output_{i}.pb")), y)?;
        if let Some(why) = difference(y, &want, tolerance)? {
            return Err(Error::new("onnx", format!("output `{name}`: {why}")));
        }
    }
    Ok(ExportOutcome::Passed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{graph, model, node};

    #[test]
    fn a_test_without_data_or_a_readable_model_fails() {
        let folder = std::env::temp_dir().join(format!("neurax-no-data-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let relu = model(graph(&[("x", &[2])], &["y"], vec![], vec![node("Relu", "x", "y")]));
        for (file, part) in [(relu, "`test_data_set_0`"), (b"damaged".to_vec(), "no ONNX model")] {
            std::fs::write(folder.join("model.onnx"), file).unwrap();
            let failure = crate::conformance::run(&folder).failure.unwrap();
            assert!(failure.contains(part), "{failure}");
            match run_exported(&folder).outcome {
                ExportOutcome::Failed(why) => assert!(why.contains(part), "{why}"),
                other => panic!("{other:?}"),
            }
            // From here on with a data set, so that the model is what is wrong.
            std::fs::create_dir_all(folder.join("test_data_set_0")).unwrap();
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
