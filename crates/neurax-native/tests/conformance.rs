//! Law 6: the compiler computes what the oracle computes, on every sample row of every op.
//! `NEURAX_OPS` chooses ops, with commas between them.

use neurax_native::Native;
use neurax_testkit::conformance::{self, Law};

fn hold(name: &str, law: Law) {
    conformance::run_laws(&Native::new().unwrap(), &[(name, law)], &conformance::rows()).unwrap();
}

#[test]
fn values_are_the_oracles() {
    hold("6 backend", conformance::values);
}

#[test]
fn operands_may_lie_in_any_way() {
    hold("6 layouts", conformance::layouts);
}

#[test]
fn corners_are_the_oracles() {
    hold("6 corners", conformance::corners);
}

#[test]
fn batches_may_be_of_any_size_and_lie_anywhere() {
    hold("6 batches", conformance::batches);
}
