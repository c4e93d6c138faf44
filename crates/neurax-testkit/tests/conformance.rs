//! Law 6, for the oracle itself: its backend computes what `eval` does.

#[test]
fn the_oracle_conforms() {
    neurax_testkit::conformance::run(&neurax_interp::Interp::new()).unwrap();
}
