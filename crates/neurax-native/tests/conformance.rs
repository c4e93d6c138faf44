//! Conformance: the compiler agrees with the reference interpreter on every sample row of every op.
//! `NEURAX_OPS` selects ops, separated by commas.

use neurax_native::Native;
use neurax_testkit::conformance::{self, Law};

fn hold(name: &str, law: Law) {
    conformance::run_laws(&Native::new().unwrap(), &[(name, law)], &conformance::rows()).unwrap();
}

#[test]
fn values_agree_with_the_interpreter() {
    hold("backend", conformance::values);
}

#[test]
fn operands_of_any_layout_agree() {
    hold("layouts", conformance::layouts);
}

#[test]
fn corners_agree_with_the_interpreter() {
    hold("corners", conformance::corners);
}

#[test]
fn batches_of_any_size_and_axis_agree() {
    hold("batches", conformance::batches);
}
