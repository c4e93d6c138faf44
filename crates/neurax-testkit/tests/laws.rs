//! Checks all laws on all sample rows of all ops.

use neurax_ir::Op;
use neurax_testkit::laws;

#[test]
fn every_op_obeys_every_law() {
    // A panic inside a law is a failure of its row; its message is in the report.
    std::panic::set_hook(Box::new(|_| {}));
    let rows = Op::samples();
    let checked = laws::check(laws::LAWS, &rows);
    let _ = std::panic::take_hook();
    if let Err(report) = checked {
        panic!("{report}");
    }
    println!("{} rows obey {} laws", rows.len(), laws::LAWS.len());
}

#[test]
fn every_dtype_that_an_op_admits_has_a_row() {
    if let Err(report) = laws::every_admitted_dtype_has_a_row(&Op::samples()) {
        panic!("{report}");
    }
}
