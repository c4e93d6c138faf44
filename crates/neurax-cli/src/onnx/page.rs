//! The page of the results of all tests, by operator.

use neurax::onnx::conformance::TestResult;
use std::collections::{BTreeMap, HashMap};

/// The reasons of tests that fail on purpose: a part of the name, and the reason.
const REASONS: &[(&str, &str)] = &[
    ("bernoulli", "wants the numbers that NumPy drew in one run"),
    ("training_dropout", "wants the numbers of NumPy's generator, MT19937"),
    (
        "image_decoder_decode_jpeg_",
        "most differ by 1: the decoder rounds the colors of JPEG otherwise than libjpeg-turbo",
    ),
    (
        "attention_4d_causal_fp16_expanded",
        "a few numbers differ by one f16 step: chains of operators are rounded once",
    ),
];

/// Returns the page: what fails and why, and one row for each operator with all its tests.
pub fn text(results: &[TestResult]) -> String {
    let passed = results.iter().filter(|r| r.failure.is_none()).count();
    let mut page = format!(
        "# Conformance with ONNX\n\n\
         The tests of ONNX backends: {passed} of {} pass.\n\
         An output agrees if it is within 1e-5 plus 1e-3 of the expected number, \
         in bf16 1e-5 plus 1/64, as in the runner of the package `onnx`.\n\
         The page is written by `neurax onnx conformance FOLDER.. --page FILE`; \
         `scripts/onnx-conformance.sh` makes the tests and runs it.\n\n\
         ## Tests that fail\n\n| test | reason |\n|---|---|\n",
        results.len()
    );
    for r in results {
        if let Some(why) = &r.failure {
            let why = known_reason(&r.name).map_or_else(|| cell(why), String::from);
            page += &format!("| `{}` | {why} |\n", r.name);
        }
    }
    page += "\n## Operators\n\nTests that fail are struck through.\n\n\
             | operator | passed | tests |\n|---|---|---|\n";
    for (operator, tests) in by_operator(results) {
        let passed = tests.iter().filter(|r| r.failure.is_none()).count();
        let name = |r: &&TestResult| match r.failure {
            None => r.name.clone(),
            Some(_) => format!("~~{}~~", r.name),
        };
        let names: Vec<String> = tests.iter().map(name).collect();
        page += &format!("| {operator} | {passed} of {} | {} |\n", tests.len(), names.join(" "));
    }
    page
}

/// Returns the reason of a test that fails on purpose.
pub fn known_reason(test: &str) -> Option<&'static str> {
    REASONS.iter().find(|(part, _)| test.contains(part)).map(|(_, why)| *why)
}

/// Returns the tests of each operator. The test of a function body has the operator of the test of
/// the function.
fn by_operator(results: &[TestResult]) -> BTreeMap<&str, Vec<&TestResult>> {
    let operators: HashMap<&str, &str> =
        results.iter().map(|r| (r.name.as_str(), r.operator.as_str())).collect();
    let mut tests: BTreeMap<&str, Vec<&TestResult>> = BTreeMap::new();
    for r in results {
        let base = r.name.split("_expanded").next().unwrap_or(&r.name);
        let operator = operators.get(base).copied().unwrap_or(&r.operator);
        tests.entry(operator).or_default().push(r);
    }
    tests
}

/// Returns a text for a cell of a table.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}
