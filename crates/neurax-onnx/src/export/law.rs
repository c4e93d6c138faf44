//! The law of export: export, then import, preserves the value, for the sample rows of all ops.

use super::draft::Draft;
use super::emitter::Emitter;
use super::model_file::{OnnxModelFile, OpenSizes};
use super::{Exporter, cleanup, patterns};
use crate::conformance::difference;
use crate::{Importer, OnnxValue};
use neurax_ir::close::Tolerance;
use neurax_ir::{Builder, Error, Eval, Graph, Literal, Op, Result, Sample, Type};
use neurax_tensor::Tensor;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The differences that are allowed.
const LAW_TOLERANCE: Tolerance = Tolerance { rel: 1e-3, abs: 1e-5 };

/// The ops without an ONNX form, whatever their operands.
const WITHOUT_FORM: &[&str] = &[
    "all_gather",
    "all_reduce",
    "axis_index",
    "bessel_i0e",
    "bessel_i1e",
    "cholesky",
    "complex",
    "conj",
    "digamma",
    "eig",
    "eigh",
    "erf_inv",
    "fft",
    "igamma",
    "igamma_grad_a",
    "igammac",
    "imag",
    "lgamma",
    "lu",
    "next_after",
    "polygamma",
    "qr",
    "random_gamma_grad",
    "real",
    "regularized_incomplete_beta",
    "schur",
    "select_and_gather",
    "select_and_scatter",
    "svd",
    "triangular_solve",
    "zeta",
];

/// The parts of the messages of rows without an ONNX form.
const REFUSAL_REASONS: &[&str] = &[
    "complex numbers",
    "ONNX has no dtype",
    "is not exported; convert to f32",
    "ONNX has no such function",
    "expected the format of f16, bf16 or f32",
    "integers of up to 16 bits",
    "does not shift",
    "does not scatter into a scalar",
    "rounds to f8e8m0fnu differently",
    "it is an op of derivatives",
    "code of the host",
    "powers of integers",
    "needs opset",
    "need opset",
];

/// Returns the graph of one op.
fn graph_of(row: &Sample) -> Result<Graph> {
    let mut b = Builder::new();
    let types: Vec<Type> = row.inputs.iter().map(|x| x.ty().clone()).collect();
    let xs = b.inputs(&types);
    let ys = b.try_emit(row.op.clone(), &xs)?;
    b.finish(&ys)
}

/// Returns the model of a graph with the inputs `x0`, .. and the outputs `y0`, ..
fn model_of(graph: &Graph, opset: i64) -> Result<Vec<u8>> {
    let names = |name: &str, n: usize| (0..n).map(|i| format!("{name}{i}")).collect::<Vec<_>>();
    let inputs = names("x", graph.input_types().len());
    let outputs = names("y", graph.outputs().len());
    let mut draft: Draft = Emitter::new(opset).model(graph, &inputs, &outputs)?;
    patterns::apply(&mut draft, opset, &[]);
    cleanup::clean(&mut draft);
    let exporter = Exporter::new().opset(opset);
    OnnxModelFile::new(&exporter, &draft, &HashMap::new(), &OpenSizes::new(), None)?.bytes()
}

fn tensor_of(x: &Literal) -> Tensor {
    let owner: Arc<dyn AsRef<[u8]> + Send + Sync> = Arc::new(x.bytes().to_vec());
    Tensor::from_bytes(owner, x.dtype(), x.shape())
}

/// Returns how the imported model differs from the op; `None` if it agrees.
fn difference_of(row: &Sample, file: Vec<u8>, want: &[Literal]) -> Result<Option<String>> {
    let session = Importer::new().open_bytes(file)?;
    let inputs = row.inputs.iter().enumerate();
    let inputs = inputs.map(|(i, x)| (format!("x{i}"), OnnxValue::Tensor(tensor_of(x)))).collect();
    let ys = session.run_eagerly(inputs)?;
    for (y, want) in ys.iter().zip(want) {
        if let Some(why) = difference(y, &OnnxValue::Tensor(tensor_of(want)), LAW_TOLERANCE)? {
            return Ok(Some(why));
        }
    }
    Ok(None)
}

/// The outcomes of the sample rows.
#[derive(Default)]
struct LawReport {
    /// The reasons of the rows without an ONNX form, by op.
    refused: BTreeMap<&'static str, Vec<String>>,
    /// The number of rows that were exported, by op.
    exported: BTreeMap<&'static str, usize>,
    failed: Vec<String>,
}

impl LawReport {
    fn of(opset: i64) -> LawReport {
        let mut report = LawReport::default();
        for row in Op::samples() {
            let graph = graph_of(&row).unwrap();
            match model_of(&graph, opset) {
                Ok(file) => report.exported(&row, &graph, file),
                Err(e) => {
                    let reasons = report.refused.entry(row.op.name()).or_default();
                    reasons.push(e.message().to_string());
                }
            }
        }
        report
    }

    fn exported(&mut self, row: &Sample, graph: &Graph, file: Vec<u8>) {
        *self.exported.entry(row.op.name()).or_default() += 1;
        let want = row.op.eval(&mut Eval::default(), row.inputs.clone()).unwrap();
        match difference_of(row, file, &want) {
            Ok(None) => (),
            Ok(Some(why)) => self.failed.push(format!("{why}: {graph}")),
            Err(e) => self.failed.push(format!("{e}: {graph}")),
        }
    }
}

fn check(opset: i64) -> LawReport {
    let report = LawReport::of(opset);
    let (count, first) = (report.failed.len(), report.failed.iter().take(20));
    let first: Vec<&str> = first.map(String::as_str).collect();
    assert!(count == 0, "{count} failed:\n{}", first.join("\n"));
    for (op, reasons) in &report.refused {
        let is_listed = |r: &&String| REFUSAL_REASONS.iter().any(|part| r.contains(part));
        let other = reasons.iter().find(|r| !WITHOUT_FORM.contains(op) && !is_listed(r));
        assert_eq!(other, None, "{op}");
    }
    report
}

#[test]
fn export_then_import_preserves_the_value_of_each_op() {
    let report = check(28);
    let never: Vec<&str> =
        report.refused.keys().copied().filter(|op| !report.exported.contains_key(op)).collect();
    assert_eq!(never, WITHOUT_FORM, "the list is that of the ops without an ONNX form");
    assert!(report.exported.values().sum::<usize>() > 3000);
}

#[test]
fn it_does_so_in_the_oldest_opset() {
    assert!(check(13).exported.values().sum::<usize>() > 1900);
}

#[test]
fn errors_say_why() {
    let row = |text: &str| -> Error {
        let graph = Graph::parse(text).unwrap();
        model_of(&graph, 17).unwrap_err()
    };
    let e = row("graph(%0: u8[2]) {\n  %1: u8[2] = and(%0, %0)\n  return %1\n}").to_string();
    assert!(e.contains("1 operation has no ONNX form: and: the operator BitwiseAnd needs"), "{e}");
}
