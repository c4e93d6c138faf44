//! Law 6: the compiler computes what the oracle computes, on every sample row of every op.

#[test]
fn the_compiler_conforms() {
    neurax_testkit::conformance::run(&neurax_native::Native::new().unwrap()).unwrap();
}
