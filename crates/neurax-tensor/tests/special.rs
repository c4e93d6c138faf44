//! Special functions equal scipy's within the bounds that docs/accuracy.md states.

use neurax::prelude::*;
use neurax_testkit::fixtures;
use std::{collections::BTreeMap, fs};

/// The largest errors in f32 and f64 of each function, relative to the larger of the value and the
/// third number.
const BOUNDS: &[(&str, f64, f64, f64)] = &[
    ("entr", 2e-7, 1e-15, 0.0),
    ("gammasgn", 0.0, 0.0, 0.0),
    ("gamma", 1e-7, 3e-14, 0.0),
    ("factorial", 1e-7, 3e-14, 0.0),
    ("i0", 4e-7, 2e-15, 0.0),
    ("i1", 4e-7, 2e-15, 0.0),
    ("erfcx", 4e-7, 2e-15, 0.0),
    ("log_ndtr", 4e-7, 2e-15, 0.0),
    ("ndtri", 3e-7, 1e-15, 0.0),
    ("erfcinv", 3e-7, 1e-15, 0.0),
    ("rel_entr", 5e-7, 1e-15, 0.0),
    ("kl_div", 1e-7, 4e-15, 1.0),
    ("betaln", 1e-7, 1e-14, 1.0),
    ("beta", 1e-7, 1e-14, 0.0),
    ("poch", 1e-7, 3e-14, 0.0),
    ("comb", 1e-7, 3e-14, 0.0),
    ("boxcox", 1e-7, 1e-15, 0.0),
    ("boxcox1p", 1e-7, 1e-15, 0.0),
    ("multigammaln", 3e-7, 1e-15, 1.0),
];

fn call(name: &str, xs: &[Tensor]) -> Tensor {
    if let Some(order) = name.strip_prefix("multigammaln") {
        return xs[0].multigammaln(order.parse().unwrap());
    }
    match (name, xs) {
        ("entr", [x]) => x.entr(),
        ("gammasgn", [x]) => x.gammasgn(),
        ("gamma", [x]) => x.gamma(),
        ("factorial", [x]) => x.factorial(),
        ("i0", [x]) => x.i0(),
        ("i1", [x]) => x.i1(),
        ("erfcx", [x]) => x.erfcx(),
        ("log_ndtr", [x]) => x.log_ndtr(),
        ("ndtri", [x]) => x.ndtri(),
        ("erfcinv", [x]) => x.erfcinv(),
        ("rel_entr", [x, y]) => x.rel_entr(y),
        ("kl_div", [x, y]) => x.kl_div(y),
        ("betaln", [x, y]) => x.betaln(y),
        ("beta", [x, y]) => x.beta(y),
        ("poch", [x, y]) => x.poch(y),
        ("comb", [x, y]) => x.comb(y),
        ("boxcox", [x, y]) => x.boxcox(y),
        ("boxcox1p", [x, y]) => x.boxcox1p(y),
        other => panic!("{other:?}"),
    }
}

/// The rows `operands, value` of each function.
fn rows() -> BTreeMap<String, Vec<(Vec<f64>, f64)>> {
    let text = fs::read_to_string(fixtures::folder().join("special/functions.txt")).unwrap();
    let mut rows: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let [name, operands, value] = line.split(" | ").collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let operands = operands.split(' ').map(|x| x.parse().unwrap()).collect();
        rows.entry(name.into()).or_default().push((operands, value.parse().unwrap()));
    }
    rows
}

/// Returns the errors of one function in one dtype: the largest one, and those beyond `bound`.
fn errors(
    name: &str,
    rows: &[(Vec<f64>, f64)],
    dtype: DType,
    (bound, scale): (f64, f64),
) -> (f64, Vec<String>) {
    let column = |i: usize| {
        let xs: Vec<f64> = rows.iter().map(|r| r.0[i]).collect();
        Tensor::from_vec(xs, [rows.len()]).to(dtype)
    };
    let xs: Vec<Tensor> = (0..rows[0].0.len()).map(column).collect();
    let have = call(name, &xs).to_literal().unwrap().to_f64s();
    let (mut largest, mut failures) = (0f64, vec![]);
    for ((operands, want), have) in rows.iter().zip(have) {
        let want = match dtype {
            F32 if want.abs() < f32::MIN_POSITIVE as f64 => 0.0,
            F32 => *want as f32 as f64,
            _ => *want,
        };
        let same = have == want || (have.is_nan() && want.is_nan());
        let error = if same { 0.0 } else { (have - want).abs() / want.abs().max(scale) };
        // Results at the ends of the range of f32 may be rounded to 0 or infinity.
        let at_end = dtype == F32 && want != 0.0 && want.abs() < 1e-37;
        if at_end && have == 0.0 {
            continue;
        }
        if error > bound || error.is_nan() {
            failures.push(format!("{dtype} {name} {operands:?}: {have:?}, want {want:?}: {error}"));
        }
        largest = largest.max(error);
    }
    (largest, failures)
}

#[test]
fn special_functions_equal_scipy() {
    let rows = rows();
    let mut failures = vec![];
    for (name, rows) in &rows {
        let family = name.trim_end_matches(|c: char| c.is_ascii_digit() && !name.starts_with('i'));
        let family = if name == "boxcox1p" { name } else { family };
        let bound = BOUNDS.iter().find(|b| b.0 == family).unwrap_or_else(|| panic!("{name}"));
        for (dtype, limit) in [(F32, bound.1), (F64, bound.2)] {
            let (largest, more) = errors(name, rows, dtype, (limit, bound.3));
            println!("{name} {dtype}: {largest:.1e} of {limit:.1e}");
            failures.extend(more);
        }
    }
    assert!(rows.values().map(Vec::len).sum::<usize>() > 800);
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn dtypes_are_those_of_the_operands() -> Result<()> {
    let x = tensor([0.5, 0.25]);
    assert_eq!(x.to(BF16).erfcx().dtype(), BF16);
    assert_eq!(x.to(F16).beta(2).dtype(), F16);
    assert_eq!(tensor([3, 4]).gamma().to_vec::<f32>()?, [2.0, 6.0]);
    assert_eq!(tensor([3, 4]).comb(tensor([1.0, 2.0]).to(F64)).dtype(), F64);
    let e = x.multigammaln(0).ok().unwrap_err();
    assert!(e.to_string().contains("expected an order from 1 to 1000, got 0"), "{e}");
    let e = x.to(C64).betaln(1.0).ok().unwrap_err();
    assert!(e.to_string().contains("expected real numbers, got c64[2]"), "{e}");
    Ok(())
}

#[test]
fn derivatives_hold_in_the_tails() -> Result<()> {
    let slope = |f: fn(Tensor) -> Tensor, x: f64| {
        grad(f).run(Tensor::scalar(F64, x)).and_then(|y| y.item()).unwrap()
    };
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-9 * b.abs();
    // The hazard rate, which tends to |x|.
    assert!(close(slope(|x| x.log_ndtr(), -100.0), 100.00999800099927));
    assert!(close(slope(|x| x.log_ndtr(), 0.0), (2.0 / std::f64::consts::PI).sqrt()));
    // 1 / density.
    let p = 1e-20;
    let x = Tensor::scalar(F64, p).ndtri().item()?;
    let density = (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    assert!(close(slope(|x| x.ndtri(), p), 1.0 / density));
    // Derivatives at the power 0: log(x)^2 / 2.
    let power = grad(|p: Tensor| Tensor::scalar(F64, 2.0).boxcox(p)).run(Tensor::scalar(F64, 0.0));
    assert!(close(power?.item()?, 2f64.ln().powi(2) / 2.0));
    // gamma'(1) = -0.5772156649..
    assert!(close(slope(|x| x.gamma(), 1.0), -0.5772156649015329));
    // The second derivative of i0 at 0 is 1 / 2.
    let second = grad(grad(|x: Tensor| x.i0())).run(Tensor::scalar(F64, 0.0))?;
    assert!(close(second.item()?, 0.5), "{second}");
    Ok(())
}
