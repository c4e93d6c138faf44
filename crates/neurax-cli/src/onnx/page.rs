//! The page of the results of all tests, by operator.

use neurax::onnx::conformance::TestResult;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The tests that fail on purpose, and the reasons.
const REASONS: &[(&[&str], &str)] = &[
    (
        &[
            "test_bernoulli",
            "test_bernoulli_double",
            "test_bernoulli_double_expanded",
            "test_bernoulli_expanded",
            "test_bernoulli_seed",
            "test_bernoulli_seed_expanded",
        ],
        "wants the numbers that NumPy drew in one run",
    ),
    (
        &[
            "test_training_dropout",
            "test_training_dropout_default",
            "test_training_dropout_default_mask",
            "test_training_dropout_mask",
        ],
        "wants the numbers of NumPy's generator, MT19937",
    ),
    (
        &[
            "test_image_decoder_decode_jpeg_bgr",
            "test_image_decoder_decode_jpeg_grayscale",
            "test_image_decoder_decode_jpeg_rgb",
        ],
        "most differ by 1: the decoder rounds the colors of JPEG otherwise than libjpeg-turbo",
    ),
    (
        &["test_attention_4d_causal_fp16_expanded"],
        "a few numbers differ by one f16 step: chains of operators are rounded once",
    ),
];

/// The beginning of the line with the numbers, and the heading of the tests that fail.
const COUNTS: &str = "The tests of ONNX backends: ";
const FAILED: &str = "## Tests that fail";

/// The part of the message of a failure that a reason explains: an error has another one.
const EXPLAINED: &str = "numbers differ";

/// Returns the page: what fails and why, and one row for each operator with all its tests.
pub fn text(results: &[TestResult]) -> String {
    let passed = results.iter().filter(|r| r.failure.is_none()).count();
    let mut page = format!(
        "# Conformance with ONNX\n\n\
         {COUNTS}{passed} of {} pass.\n\
         An output agrees if it is within 1e-5 plus 1e-3 of the expected number, \
         in bf16 1e-5 plus 1/64, as in the runner of the package `onnx`.\n\
         The page is written by `neurax onnx conformance FOLDER.. --page FILE`; \
         `scripts/onnx-conformance.sh` makes the tests and runs it.\n\n\
         {FAILED}\n\n| test | reason |\n|---|---|\n",
        results.len()
    );
    for r in results {
        if let Some(why) = &r.failure {
            let why = known_reason(&r.name, why).map_or_else(|| cell(why), String::from);
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

/// Returns the reason of a test that fails on purpose with other numbers, as `failure` says.
pub fn known_reason(test: &str, failure: &str) -> Option<&'static str> {
    let row = REASONS.iter().find(|(names, _)| names.contains(&test))?;
    failure.contains(EXPLAINED).then_some(row.1)
}

/// Returns the number of all tests of a page, and the names of those that fail.
pub fn parsed(page: &str) -> Option<(usize, BTreeSet<String>)> {
    let total = page.lines().find_map(|line| {
        let counts = line.strip_prefix(COUNTS)?.strip_suffix(" pass.")?;
        counts.split_once(" of ")?.1.parse().ok()
    })?;
    let (_, rest) = page.split_once(FAILED)?;
    let rows = rest.split("\n## ").next().unwrap_or(rest).lines();
    let names = rows.filter_map(|row| row.strip_prefix("| `")?.split_once('`'));
    Some((total, names.map(|(name, _)| name.to_string()).collect()))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn result(name: &str, failure: Option<&str>) -> TestResult {
        let operator = "Abs".to_string();
        TestResult { name: name.into(), operator, failure: failure.map(String::from) }
    }

    #[test]
    fn reasons_are_those_of_exact_names_and_other_numbers() {
        let failure = "output `y`: 3 of 6 numbers differ: expected 1, got 0 at 0";
        assert!(known_reason("test_bernoulli", failure).is_some());
        assert!(known_reason("test_bernoulli_new", failure).is_none());
        assert!(known_reason("test_bernoulli", "the node draws random numbers").is_none());
    }

    #[test]
    fn a_page_names_the_tests_that_fail() {
        let page = text(&[
            result("test_abs", None),
            result("test_add", Some("a | b")),
            result("test_bernoulli", Some("2 numbers differ")),
        ]);
        let (total, failed) = parsed(&page).unwrap();
        assert_eq!((total, failed.len()), (3, 2));
        assert!(failed.contains("test_add") && failed.contains("test_bernoulli"));
        assert!(page.contains("| `test_bernoulli` | wants the numbers that NumPy drew"));
        assert!(parsed("no page").is_none());
    }
}
