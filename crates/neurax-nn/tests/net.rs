//! Models with variables: errors with source lines.

use neurax::prelude::*;

#[test]
fn a_predictor_of_wrong_types_is_an_error_of_the_callers_line() {
    let model = nn::input("x", dims![_, 3]).dense(2).model();
    let net = model.bind(model.init(key(0), &types![f32[_, 3]]).unwrap());
    let fails = |e: Option<Error>, line: u32, why: &str| {
        let e = e.map(|e| e.to_string()).unwrap_or_default();
        assert!(e.contains(why) && e.contains(&format!("tests/net.rs:{line}:")), "{line}: {e}");
    };
    let (e, line) = (net.predictor(types![f32[_, 3]]).err(), line!());
    fails(e, line, "a compiled function has fixed sizes");
    let (e, line) = (net.predictor(types![f32[1, 4]]).err(), line!());
    fails(e, line, "input `x`: expected shape [_, 3], got [1, 4]");
    let (e, line) = (net.predictor_all(types![f32[1, 3], f32[1, 3]]).err(), line!());
    fails(e, line, "expected 1 inputs (x), got 2");
}
