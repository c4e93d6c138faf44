//! Tests of complex functions against recorded values.

#![allow(
    clippy::approx_constant,
    reason = "the tables are numbers as another program printed them"
)]

use super::*;

const AT: [(f64, f64); 6] =
    [(0.3, -0.7), (-2.0, 1e-10), (-30.0, 2.0), (5.0, -4.0), (1e-9, 1e-12), (1.0, 1e-9)];

/// Checks both parts of `f` at the points `AT` against values that mpmath computed with 40
/// digits.
fn check(name: &str, f: fn(C) -> C, rows: [(f64, f64); 6]) {
    for ((re, im), want) in AT.into_iter().zip(rows) {
        let have = f(C::new(re, im));
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-13 * b.abs() + 1e-30;
        assert!(
            close(have.re, want.0) && close(have.im, want.1),
            "{name}({re}, {im}) is {have}, not {want:?}"
        );
    }
}

#[test]
fn values_agree_with_mpmath() {
    check(
        "sqrt",
        sqrt,
        [
            (0.7285524382590421, -0.4804046786753803),
            (3.5355339059327376e-11, 1.4142135623730951),
            (0.18247295244202158, 5.480264261727979),
            (2.3877944046161983, -0.8375930507808815),
            (3.162278055452963e-05, 1.5811386324419223e-08),
            (1.0, 5e-10),
        ],
    );
    check(
        "log",
        log,
        [
            (-0.2723635877208361, -1.1659045405098132),
            (0.6931471805599453, 3.141592653539793),
            (3.403414680196088, 3.0750244898139694),
            (1.856786033352154, -0.6747409422235526),
            (-20.72326533694666, 0.0009999996666668666),
            (5e-19, 1e-09),
        ],
    );
    check(
        "log1p",
        log1p,
        [
            (0.3896624384004988, -0.4939413689195812),
            (5.0000000000000005e-21, 3.141592653489793),
            (3.369668313678587, 3.0727361642887487),
            (1.9756218592907138, -0.5880026035475675),
            (9.999999995000006e-10, 9.99999999e-13),
            (0.6931471805599453, 5e-10),
        ],
    );
    check(
        "expm1",
        expm1,
        [
            (0.03242896291166162, -0.8696029191140401),
            (-0.8646647167633873, 1.3533528323661269e-11),
            (-1.0000000000000389, 8.508862486771267e-14),
            (-98.0093146996155, 112.31944914536254),
            (1.0000000004999995e-09, 1.000000001e-12),
            (1.7182818284590453, 2.7182818284590456e-09),
        ],
    );
    check(
        "tan",
        tan,
        [
            (0.18971709151908692, -0.63983593026318),
            (2.185039863261519, 5.774399204041918e-10),
            (0.011565211128783616, 1.0354417865444585),
            (-0.0003652030545113041, -1.0005630461157933),
            (1e-09, 1e-12),
            (1.5574077246549023, 3.4255188208147598e-09),
        ],
    );
    check(
        "tanh",
        tanh,
        [
            (0.4697051659675581, -0.72703718624352),
            (-0.9640275800758169, 7.0650824853164466e-12),
            (-1.0, -1.3253898390798914e-26),
            (1.0000132074347847, -8.983477646971561e-05),
            (1e-09, 1e-12),
            (0.7615941559557649, 4.199743416140261e-10),
        ],
    );
    check(
        "asin",
        asin,
        [
            (0.2457320061010797, -0.6703367429877897),
            (-1.5707963267371616, 1.3169578969248168),
            (-1.5041914228040667, 4.096287648675977),
            (0.8900832616511113, -2.5486455784678337),
            (1e-09, 1e-12),
            (1.5707647040182975, 3.162277660431902e-05),
        ],
    );
    check(
        "acos",
        acos,
        [
            (1.3250643206938169, 0.6703367429877897),
            (3.1415926535320584, -1.3169578969248168),
            (3.0749877495989635, -4.096287648675977),
            (0.6807130651437854, 2.5486455784678337),
            (1.5707963257948967, -1e-12),
            (3.162277659904856e-05, -3.162277660431902e-05),
        ],
    );
    check(
        "atan",
        atan,
        [
            (0.48003518120284394, -0.7016804321523099),
            (-1.1071487177940904, 2.0000000000000002e-11),
            (-1.5376224984884392, 0.0022099591422852297),
            (1.4483069952314644, -0.09641562020299617),
            (1e-09, 1e-12),
            (0.7853981633974483, 5e-10),
        ],
    );
    check(
        "asinh",
        asinh,
        [
            (0.38559098731817487, -0.7089034409655053),
            (-1.4436354751788103, 4.472135954999579e-11),
            (-4.096835851484242, 0.06653148393443185),
            (2.551321625475699, -0.6688165753259273),
            (1e-09, 1e-12),
            (0.881373587019543, 7.071067811865476e-10),
        ],
    );
    check(
        "acosh",
        acosh,
        [
            (0.6703367429877897, -1.3250643206938169),
            (1.3169578969248168, 3.1415926535320584),
            (4.096287648675977, 3.0749877495989635),
            (2.5486455784678337, -0.6807130651437854),
            (1e-12, 1.5707963257948967),
            (3.162277660431902e-05, 3.162277659904856e-05),
        ],
    );
    check(
        "atanh",
        atanh,
        [
            (0.19988189602962927, -0.6396697661585148),
            (-0.5493061443340549, 1.5707963267615632),
            (-0.03319786849545302, 1.5685815018571512),
            (0.1213769539454252, -1.4720985468699563),
            (1e-09, 1e-12),
            (10.708206508753179, 0.7853981636474483),
        ],
    );
    check(
        "logistic",
        logistic,
        [
            (0.584113230576754, -0.1779429221443749),
            (0.11920292202211756, 1.0499358540350653e-11),
            (-3.894145196083145e-14, 8.508862486771929e-14),
            (1.0043973502659593, 0.005144375429791014),
            (0.50000000025, 2.5e-13),
            (0.7310585786300049, 1.9661193324148187e-10),
        ],
    );
}

#[test]
fn large_numbers_do_not_overflow() {
    let big = C::new(1e308, 1e308);
    assert_eq!(div(C::new(1e307, 1e307), C::new(1e307, 1e307)), C::new(1.0, 0.0));
    assert!((sqrt(big) - C::new(1.0986841134678098e154, 4.550898605622274e153)).norm() < 1e140);
    assert_eq!(tanh(C::new(-800.0, 1.0)), C::new(-1.0, 0.0));
    assert_eq!(sqrt(C::new(-4.0, -0.0)), C::new(0.0, -2.0), "below the cut");
    let quarter = std::f64::consts::FRAC_PI_2;
    for (z, re) in [
        (C::new(1e300, 0.0), 1e-300),
        (C::new(1e300, -1e300), 5e-301),
        (C::new(-1e200, 1.0), -1e-200),
        (C::new(1.0, -1e120), 1e-240),
    ] {
        let w = atanh(z);
        assert!((w.re / re - 1.0).abs() < 1e-12 && w.im == quarter.copysign(z.im), "{z}: {w}");
    }
}

#[test]
fn powers() {
    let (i, two) = (C::new(0.0, 1.0), C::new(2.0, 0.0));
    assert!((pow(i, two) - C::new(-1.0, 0.0)).norm() < 1e-15);
    assert_eq!((pow(C::ZERO, C::ZERO), pow(C::ZERO, two)), (C::ONE, C::ZERO));
    assert!(pow(C::ZERO, -two).is_nan());
    assert_eq!((sign(C::ZERO), sign(C::new(0.0, -3.0))), (C::ZERO, C::new(0.0, -1.0)));
}

/// Values at all pairs of 0, -0, 1, infinity, -infinity and NaN: lines of a function, the argument
/// and the result. NumPy 2 printed them; `expm1` of real numbers is that of their real parts.
const CORNERS: &str = include_str!("corners.txt");

/// Returns true if the parts are equal with the signs of zeros and infinities. Where the other part
/// is NaN the standard leaves them open.
fn agrees(have: C, want: C) -> bool {
    let part = |a: f64, b: f64, other: f64| {
        let open = other.is_nan() && (b == 0.0 || b.is_infinite());
        (a.is_nan() && b.is_nan())
            || (open && a.abs() == b.abs())
            || ((a == b || (a - b).abs() < 1e-14 * b.abs())
                && (b.is_nan() || a.is_sign_negative() == b.is_sign_negative()))
    };
    part(have.re, want.re, want.im) && part(have.im, want.im, want.re)
}

#[test]
fn corners_follow_the_c_standard() {
    let mut rows = 0;
    for line in CORNERS.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [x, y, re, im] = [1, 2, 3, 4].map(|i| fields[i].parse::<f64>().unwrap());
        let f: fn(C) -> C = match fields[0] {
            "sin" => sin,
            "cos" => cos,
            "tan" => tan,
            "asin" => asin,
            "acos" => acos,
            "atan" => atan,
            "sinh" => sinh,
            "cosh" => cosh,
            "tanh" => tanh,
            "asinh" => asinh,
            "acosh" => acosh,
            "atanh" => atanh,
            "exp" => exp,
            "expm1" => expm1,
            "log" => log,
            "log1p" => log1p,
            "sqrt" => sqrt,
            name => panic!("unknown function {name}"),
        };
        let (have, want) = (f(C::new(x, y)), C::new(re, im));
        assert!(agrees(have, want), "{}({x}, {y}) is {have}, not {want}", fields[0]);
        rows += 1;
    }
    assert_eq!(rows, 17 * 36);
}

#[test]
fn quotients_and_signs_of_infinities() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let infinities = [(inf, 0.0), (-inf, nan), (nan, inf), (inf, inf), (1.0, -inf)];
    let numbers = [(1.0, 0.0), (0.0, 1.0), (-2.0, 3.0), (1e300, 1e-300)];
    for z in infinities.map(|(x, y)| C::new(x, y)) {
        for w in numbers.map(|(x, y)| C::new(x, y)) {
            assert!(is_infinity(div(z, w)), "{z} / {w} is {}", div(z, w));
            assert_eq!(div(w, z), C::ZERO, "{w} / {z}");
        }
        assert!(div(z, z).is_nan(), "{z}");
    }
    assert!(sign(C::new(1.0, nan)).re.is_nan());
    for (z, want) in
        [((inf, 2.0), (1.0, 0.0)), ((3.0, -inf), (0.0, -1.0)), ((0.0, 0.0), (0.0, 0.0))]
    {
        assert_eq!(sign(C::new(z.0, z.1)), C::new(want.0, want.1));
    }
    assert!((sign(C::new(1e308, 1e308)) - C::new(0.5f64.sqrt(), 0.5f64.sqrt())).norm() < 1e-15);
    let large = exp(C::new(710.0, 1.5707963));
    assert!((large.re / 5.985e300 - 1.0).abs() < 0.1 && large.im == inf, "{large}");
}
