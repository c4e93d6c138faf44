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
    ("exp1", 1e-7, 1e-14, 0.0),
    ("expi", 1e-7, 1e-14, 0.1),
    ("spence", 1e-7, 1e-14, 0.0),
    ("dawsn", 1e-7, 1e-14, 0.0),
    ("sici_sine", 1e-7, 1e-14, 0.0),
    ("sici_cosine", 1e-7, 1e-14, 0.1),
    ("fresnel_sine", 1e-7, 1e-14, 0.0),
    ("fresnel_cosine", 1e-7, 1e-14, 0.0),
    ("gammainc", 1e-7, 1e-13, 0.0),
    ("gammaincc", 1e-7, 1e-13, 0.0),
    ("zeta", 1e-7, 1e-14, 0.0),
    ("expn", 1e-7, 1e-14, 0.0),
    ("owens_t", 1e-7, 2e-14, 0.0),
    ("wofz_real", 1e-7, 1e-14, 0.1),
    ("wofz_imag", 1e-7, 1e-14, 0.1),
    ("loggamma_real", 1e-7, 1e-14, 1.0),
    ("loggamma_imag", 1e-7, 1e-14, 1.0),
    ("betainc", 1e-7, 2e-13, 0.0),
    ("hyp1f1", 1e-7, 1e-13, 0.0),
    ("hyp2f1", 1e-7, 1e-13, 0.0),
    ("hyp2f1_of_integers", 1e-7, 1e-11, 0.0),
    ("bessel_jn", 1e-7, 1e-13, 0.0),
    ("sph_harm_y_real", 1e-7, 1e-14, 0.1),
    ("sph_harm_y_imag", 1e-7, 1e-14, 0.1),
];

fn call(name: &str, xs: &[Tensor]) -> Tensor {
    if let Some(order) = name.strip_prefix("multigammaln") {
        return xs[0].multigammaln(order.parse().unwrap());
    }
    if let Some(order) = name.strip_prefix("bessel_jn") {
        return xs[0].bessel_jn(order.parse().unwrap()).get(-1);
    }
    if let Some(part) = name.strip_prefix("sph_harm_y_") {
        let (n, m) = (xs[0].to(I32), xs[1].to(I32));
        let y = n.sph_harm_y(m, &xs[2], &xs[3], 12);
        return if part == "real" { y.real() } else { y.imag() };
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
        ("exp1", [x]) => x.exp1(),
        ("expi", [x]) => x.expi(),
        ("spence", [x]) => x.spence(),
        ("dawsn", [x]) => x.dawsn(),
        ("sici_sine", [x]) => x.sici().0,
        ("sici_cosine", [x]) => x.sici().1,
        ("fresnel_sine", [x]) => x.fresnel().0,
        ("fresnel_cosine", [x]) => x.fresnel().1,
        ("gammainc", [a, x]) => a.gammainc(x),
        ("gammaincc", [a, x]) => a.gammaincc(x),
        ("zeta", [s, x]) => s.zeta(x),
        ("expn", [n, x]) => n.to(I32).expn(x),
        ("owens_t", [h, a]) => h.owens_t(a),
        ("wofz_real", [x, y]) => x.complex(y).wofz().real(),
        ("wofz_imag", [x, y]) => x.complex(y).wofz().imag(),
        ("loggamma_real", [x, y]) => x.complex(y).loggamma().real(),
        ("loggamma_imag", [x, y]) => x.complex(y).loggamma().imag(),
        ("betainc", [a, b, x]) => a.betainc(b, x),
        ("hyp1f1", [a, b, x]) => a.hyp1f1(b, x),
        ("hyp2f1" | "hyp2f1_of_integers", [a, b, c, x]) => a.hyp2f1(b, c, x),
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
        let want = if dtype == F32 { *want as f32 as f64 } else { *want };
        // The compiler takes subnormal numbers for 0, the reference interpreter keeps them.
        let smallest = f32::MIN_POSITIVE as f64;
        if dtype == F32 && want.abs() < smallest && have.abs() < smallest {
            continue;
        }
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
        // The order of a function is part of its name.
        let family = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let bound = BOUNDS.iter().find(|b| b.0 == name || b.0 == family);
        let bound = bound.unwrap_or_else(|| panic!("{name}"));
        for (dtype, limit) in [(F32, bound.1), (F64, bound.2)] {
            let (largest, more) = errors(name, rows, dtype, (limit, bound.3));
            println!("{name} {dtype}: {largest:.1e} of {limit:.1e}");
            failures.extend(more);
        }
    }
    assert!(rows.values().map(Vec::len).sum::<usize>() > 2000);
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
    assert_eq!(x.to(BF16).exp1().dtype(), BF16);
    assert_eq!((x.wofz().dtype(), x.to(F64).wofz().dtype()), (C64, C128));
    assert_eq!((tensor([1, 2]).gammainc(2.0).dtype(), x.betainc(2, 3).dtype()), (F32, F32));
    assert_eq!(tensor([1, 2]).expn(x.to(F64)).dtype(), F64);
    assert!(tensor([-1.0]).loggamma().is_nan().item()? == 1.0);
    let e = x.expn(1.0).ok().unwrap_err();
    assert!(e.to_string().contains("expected integers as the orders, got f32[2]"), "{e}");
    let e = x.bessel_jn(1001).ok().unwrap_err();
    assert!(e.to_string().contains("expected order up to 1000, got 1001"), "{e}");
    let e = x.sph_harm_y(1, 0.5, 0.5, 2).ok().unwrap_err();
    assert!(e.to_string().contains("expected integers as degree and order, got f32[2]"), "{e}");
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
    // Closed forms: the densities, and neighbouring orders.
    let e = std::f64::consts::E;
    assert!(close(slope(|x| x.exp1(), 1.0), -1.0 / e) && close(slope(|x| x.expi(), 1.0), e));
    assert!(close(slope(|x| x.spence(), 1.0), -1.0));
    assert!(close(slope(|x| grad(|x: Tensor| x.spence()).apply(x), 1.0), 0.5));
    assert!(close(slope(|x| x.dawsn(), 0.0), 1.0) && close(slope(|x| x.sici().0, 0.0), 1.0));
    assert!(close(slope(|x| x.sici().1, 5.0), 5f64.cos() / 5.0));
    assert!(close(slope(|x| x.fresnel().0, 3.0), 1.0) && close(slope(|x| x.fresnel().1, 2.0), 1.0));
    assert!(close(slope(|x| tensor(2).expn(x), 1.0), -0.21938393439552029));
    assert!(close(slope(|x| tensor(0).expn(x), 1.0), -2.0 / e));
    assert!(close(
        slope(|a| Tensor::scalar(F64, 0.0).owens_t(a), 1.0),
        0.25 / std::f64::consts::PI
    ));
    assert!(close(slope(|h| h.owens_t(1e3), 0.5), -0.17603266338214976));
    assert!(close(slope(|x| x.bessel_jn(2).get(0), 1.0), -0.4400505857449335));
    assert!(close(slope(|x| x.bessel_jn(2).get(2), 1.0), 0.21024361588113255));
    assert!(close(slope(|x| (x.full_like(2.0)).gammainc(x), 1.0), 1.0 / e));
    assert!(close(slope(|x| x.full_like(2.0).betainc(3.0, x), 0.25), 1.6875));
    assert!(close(slope(|a| a.gammaincc(Tensor::scalar(F64, 3.0)), 3.0), 0.2368182321332928));
    fn of(x: f64) -> Tensor {
        Tensor::scalar(F64, x)
    }
    assert!(close(slope(|x| x.full_like(2.0).hyp1f1(3.0, x), 0.0), 2.0 / 3.0));
    assert!(close(slope(|a| a.hyp1f1(of(3.0), of(0.5)), 2.0), 0.2290089402803972));
    assert!(close(slope(|b| of(2.0).hyp1f1(b, of(-0.5)), 3.0), 0.0804310407708991));
    assert!(close(slope(|x| x.full_like(1.0).hyp2f1(1.0, 2.0, x), 0.0), 0.5));
    assert!(close(slope(|c| of(1.0).hyp2f1(1.0, c, of(0.5)), 2.0), -0.2586397057283358));
    let imaginary = |x: Tensor| x.full_like(1.0).complex(x).loggamma().real();
    assert!(close(slope(imaginary, 1.0), -1.0766740474685812));
    assert!(close(slope(|x| x.wofz().imag(), 0.0), 2.0 / std::f64::consts::PI.sqrt()));
    // Those of exp(x) and of log(1 + x) / x, and a mixed one by differences.
    let second = grad(grad(|x: Tensor| of(1.5).hyp1f1(1.5, x))).run(of(0.5))?;
    assert!(close(second.item()?, 0.5f64.exp()), "{second}");
    let second = grad(grad(|x: Tensor| of(1.0).hyp2f1(1.0, 2.0, -x))).run(of(1.0))?;
    assert!(close(second.item()?, 2.0 * 2f64.ln() - 1.25), "{second}");
    let by_b = |x: Tensor| grad(move |b: Tensor| of(2.0).hyp1f1(b, &x)).apply(of(3.0));
    let (mixed, step) = (grad(by_b).run(of(40.0))?.item()?, 1e-4);
    let change = by_b(of(40.0 + step)).item()? - by_b(of(40.0 - step)).item()?;
    assert!((mixed / (change / (2.0 * step)) - 1.0).abs() < 1e-6, "{mixed}");
    // The second derivative of i0 at 0 is 1 / 2.
    let second = grad(grad(|x: Tensor| x.i0())).run(Tensor::scalar(F64, 0.0))?;
    assert!(close(second.item()?, 0.5), "{second}");
    Ok(())
}
