//! Values and derivatives at poles, ends of domains, infinities and NaN. The expected values are
//! those of JAX 0.12, or of PyTorch and mathematics where JAX has NaN.

use crate::law::f64s;
use neurax::prelude::*;

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

/// Returns the value of `f` at `x`, its derivative by reverse and by forward mode, and its second
/// derivative by reverse over reverse, forward over reverse and forward over forward mode.
fn derivatives(x: f64, f: impl Fn(Tensor) -> Tensor + Copy + Send + Sync) -> [f64; 6] {
    let one = || tensor(1.0).to(F64);
    let slope = move |x: Tensor| jvp(f, x, one()).1;
    let all = jit(move |x: Tensor| {
        let again = (grad(grad(f))(x.clone()), jvp(grad(f), x.clone(), one()).1);
        ((f(x.clone()), grad(f)(x.clone()), slope(x.clone())), again, jvp(slope, x, one()).1)
    });
    let ((y, reverse, forward), (rr, fr), ff) = all.run(Tensor::scalar(F64, x)).unwrap();
    [y, reverse, forward, rr, fr, ff].map(|x| x.item().unwrap())
}

/// Checks value, derivative and second derivative, in all modes.
#[track_caller]
fn expect(
    x: f64,
    f: impl Fn(Tensor) -> Tensor + Copy + Send + Sync,
    [value, first, second]: [f64; 3],
) {
    let have = derivatives(x, f);
    let want = [value, first, first, second, second, second];
    let same = |(a, b): (&f64, &f64)| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() < 1e-12;
    assert!(have.iter().zip(&want).all(same), "at {x}: {have:?}, not {want:?}");
}

/// Checks the value and the gradient of a function of a vector.
#[track_caller]
fn expect_gradient(
    x: &[f64],
    f: impl Fn(Tensor) -> Tensor + Copy + Send + Sync,
    value: f64,
    gradient: &[f64],
) {
    let (y, g) = jit(move |x: Tensor| value_and_grad(f)(x)).run(f64s(x)).unwrap();
    let have = [vec![y.item().unwrap()], g.to_vec::<f64>().unwrap()].concat();
    let want = [&[value], gradient].concat();
    let same = |(a, b): (&f64, &f64)| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() < 1e-12;
    assert!(have.iter().zip(&want).all(same), "at {x:?}: {have:?}, not {want:?}");
}

#[test]
fn derivatives_at_the_ends_of_domains_are_infinite() {
    let right = std::f64::consts::FRAC_PI_2;
    expect(1.0, |x| x.asin(), [right, INF, INF]);
    expect(-1.0, |x| x.asin(), [-right, INF, -INF]);
    expect(1.0, |x| x.acos(), [0.0, -INF, -INF]);
    expect(-1.0, |x| x.acos(), [2.0 * right, -INF, INF]);
    expect(1.0, |x| x.atanh(), [INF, INF, INF]);
    expect(-1.0, |x| x.atanh(), [-INF, INF, -INF]);
    expect(1.0, |x| x.acosh(), [0.0, INF, -INF]);
    expect(0.0, |x| x.cbrt(), [0.0, INF, -INF]);
    expect(-0.0, |x| x.cbrt(), [0.0, INF, INF]);
    expect(0.0, |x| x.sqrt(), [0.0, INF, -INF]);
    expect(1.0, |x| x.erf_inv(), [INF, INF, INF]);
    expect(0.0, |x| x.log(), [-INF, INF, -INF]);
}

#[test]
fn poles_of_the_gamma_function() {
    expect(0.0, |x| x.digamma(), [-INF, INF, -INF]);
    assert_eq!(tensor(-0.0).digamma().item().unwrap(), INF);
    assert!(tensor(-1.0).digamma().item().unwrap().is_nan());
    expect(0.0, |x| x.lgamma(), [INF, -INF, INF]);
}

#[test]
fn powers_with_a_constant_exponent() {
    for x in [0.0, -0.0, INF, -INF, NAN, 3.0, -3.0] {
        expect(x, |x| x.pow(0.0), [1.0, 0.0, 0.0]);
    }
    expect(0.0, |x| x.pow(1.0), [0.0, 1.0, 0.0]);
    expect(0.0, |x| x.pow(2.0), [0.0, 0.0, 2.0]);
    expect(-2.0, |x| x.pow(2.0), [4.0, -4.0, 2.0]);
    expect(INF, |x| x.pow(1.0), [INF, 1.0, 0.0]);
    // The inverse square of the base overflows.
    for x in [1e-170, -1e-300] {
        expect(x, |x| x.pow(0.0), [1.0, 0.0, 0.0]);
        expect(x, |x| x.pow(1.0), [x, 1.0, 0.0]);
    }
    // By the exponent: the derivative of `y x^(y - 1)` at 0 is `1/x`.
    let base_slope = |y: Tensor| grad(move |x: Tensor| x.pow(&y))(tensor(0.25).to(F64));
    let log = 0.25f64.ln();
    expect(0.0, base_slope, [0.0, 4.0, 8.0 * log]);
}

#[test]
fn scaled_bessel_functions_near_zero() {
    for x in [1e-300, 1e-170, 1e-20] {
        expect(x, |x| x.i1e(), [x / 2.0, 0.5, -1.0]);
        expect(-x, |x| x.i1e(), [-x / 2.0, 0.5, 1.0]);
        expect(x, |x| x.i0e(), [1.0, -1.0, 1.5]);
    }
    let second = vmap(grad(grad(|x: Tensor| x.i1e())));
    for near in [1e-7, 1e-3, 0.1, 0.999999, 1.000001, 3.0] {
        let (wide, narrow) = (f64s(&[near]), tensor([near as f32]));
        let (w, n) = (second(wide).item().unwrap(), second(narrow).item().unwrap());
        assert!((n - w).abs() < 1e-5, "{near}: {n} in f32, {w} in f64");
    }
    let share = |x: f64| vmap(grad(grad(|x: Tensor| x.i1e())))(f64s(&[x])).item().unwrap();
    assert!((share(1.0 - 1e-9) - share(1.0 + 1e-9)).abs() < 1e-8, "the series meets the quotient");
}

#[test]
fn the_slope_of_hypot_neither_overflows_nor_vanishes() {
    let hypot = |x: Tensor| x.get(0).hypot(x.get(1));
    let all = jit(move |x: Tensor| (grad(hypot)(x.clone()), hessian(hypot)(x)));
    for size in [1e-300, 1e-170, 1.0, 1e155, 1e200] {
        let (slope, curvature) = all.run(f64s(&[3.0 * size, -4.0 * size])).unwrap();
        let have = [slope, curvature.flatten() * size].map(|x| x.to_vec::<f64>().unwrap()).concat();
        let want = [0.6, -0.8, 0.128, 0.096, 0.096, 0.072];
        let close = have.iter().zip(&want).all(|(h, w)| (h / w - 1.0).abs() < 1e-12);
        assert!(close, "{size}: {have:?}, not {want:?}");
    }
    // The square of a large result has a large cotangent.
    let square = grad(move |x: Tensor| hypot(x).square());
    let slope = square.run(f64s(&[1e155, 0.0])).unwrap().to_vec::<f64>().unwrap();
    assert!((slope[0] / 2e155 - 1.0).abs() < 1e-12 && slope[1] == 0.0, "{slope:?}");
    expect_gradient(&[0.0, 0.0], |x| x.get(0).hypot(x.get(1)), 0.0, &[0.0, 0.0]);
}

#[test]
fn norms_of_low_order_have_finite_gradients_at_zeros() {
    let root = 2f64.sqrt();
    let x = [0.0, 1.0, 2.0];
    let (half, square) = (1.0 + root, (1.0 + root) * (1.0 + root));
    expect_gradient(&x, |x| x.norm_of_order(0.5, ..), square, &[0.0, half, half / root]);
    expect_gradient(&x, |x| x.norm_of_order(-1.0, ..), 0.0, &[0.0; 3]);
    for p in [-1.0, 0.5, 1.5, 2.0, 3.0] {
        let norm = move |x: Tensor| x.norm_of_order(p, ..);
        expect_gradient(&[0.0; 3], norm, 0.0, &[0.0; 3]);
        let h = hessian(norm).run(f64s(&x)).unwrap().to_vec::<f64>().unwrap();
        assert!(h.iter().all(|h| h.is_finite()), "{p}: {h:?}");
    }
    let wide = tensor([300.0, 400.0]).to(F16).norm_of_order(3.0, ..);
    assert_eq!((wide.dtype(), wide.item().unwrap()), (F16, 449.75));
}

#[test]
fn sums_of_exponentials_of_infinities() {
    let pair = |f: fn(Tensor) -> Tensor| move |x: Tensor| f(x);
    let logaddexp = pair(|x| x.get(0).logaddexp(x.get(1)));
    expect_gradient(&[-INF, -INF], logaddexp, -INF, &[0.5, 0.5]);
    expect_gradient(&[INF, INF], logaddexp, INF, &[0.5, 0.5]);
    expect_gradient(&[-INF, 1.0], logaddexp, 1.0, &[0.0, 1.0]);
    expect_gradient(&[1.0, INF], logaddexp, INF, &[0.0, 1.0]);
    expect_gradient(&[INF, -INF], logaddexp, INF, &[1.0, 0.0]);
    for x in [[NAN, INF], [INF, NAN], [NAN, -INF], [-INF, NAN], [NAN, 0.0]] {
        expect_gradient(&x, logaddexp, NAN, &[NAN, NAN]);
        assert!(f64s(&x[..1]).logaddexp2(f64s(&x[1..])).item().unwrap().is_nan());
    }
    let rows = |x: &[f64]| {
        let slopes = jacobian_reverse(|x: Tensor| x.cumlogsumexp(0));
        slopes.run(f64s(x)).unwrap().to_vec::<f64>().unwrap()
    };
    assert_eq!(rows(&[-INF, 1.0, 1.0]), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.5, 0.5]);
    assert_eq!(rows(&[-INF, -INF, 1.0]), [1.0, 0.0, 0.0, 0.5, 0.5, 0.0, 0.0, 0.0, 1.0]);
    let curvature = hessian(|x: Tensor| x.cumlogsumexp(0).sum(..)).run(f64s(&[-INF, 0.0, 0.0]));
    let want = [0.0, 0.0, 0.0, 0.0, 0.25, -0.25, 0.0, -0.25, 0.25];
    assert_eq!(curvature.unwrap().to_vec::<f64>().unwrap(), want);
}

#[test]
fn hypot_keeps_nan_unless_an_operand_is_infinite() {
    let hypot = |x: f64, y: f64| f64s(&[x]).hypot(f64s(&[y])).item().unwrap();
    for (x, y) in [(NAN, 0.0), (0.0, NAN), (NAN, 1.0), (-1.0, NAN), (NAN, NAN), (-0.0, NAN)] {
        assert!(hypot(x, y).is_nan(), "{x} {y}");
    }
    for (x, y) in [(INF, NAN), (NAN, -INF), (INF, 0.0), (1.0, -INF)] {
        assert_eq!(hypot(x, y), INF, "{x} {y}");
    }
    for size in [1e-200, 1.0, 1e200] {
        let length = hypot(3.0 * size, -4.0 * size) / size;
        assert!((length - 5.0).abs() < 1e-14, "{size}: {length}");
    }
    assert_eq!(hypot(0.0, -0.0), 0.0);
}

#[test]
fn products_with_a_logarithm_at_zero() {
    let xlogy = |x: f64, y: f64| f64s(&[x]).xlogy(f64s(&[y])).item().unwrap();
    assert_eq!([xlogy(0.0, 0.0), xlogy(0.0, INF), xlogy(0.0, -1.0)], [0.0; 3]);
    assert!(xlogy(0.0, NAN).is_nan() && xlogy(1.0, -1.0).is_nan());
    let xlog1py = |x: f64, y: f64| f64s(&[x]).xlog1py(f64s(&[y])).item().unwrap();
    assert_eq!([xlog1py(0.0, -1.0), xlog1py(0.0, INF), xlog1py(0.0, -2.0)], [0.0; 3]);
    assert!(xlog1py(0.0, NAN).is_nan());
    expect_gradient(&[0.0, 2.0], |x| x.get(0).xlogy(x.get(1)), 0.0, &[2f64.ln(), 0.0]);
    expect_gradient(&[0.0, 1.0], |x| x.get(0).xlog1py(x.get(1)), 0.0, &[2f64.ln(), 0.0]);
    expect_gradient(&[0.0, 0.0], |x| x.get(0).xlogy(x.get(1)), 0.0, &[0.0, 0.0]);
}

#[test]
fn the_cosine_of_large_and_small_vectors() {
    let half = 0.5f64.sqrt();
    for size in [1e-300, 1e-200, 1.0, 1e200, 1e300] {
        let (x, y) = (f64s(&[size, size]), f64s(&[size, 0.0]));
        let (cosine, slope) =
            value_and_grad(|x: Tensor| x.cosine_similarity(&y, 0)).run(x).unwrap();
        assert!((cosine.item().unwrap() - half).abs() < 1e-15, "{size}: {cosine}");
        let slope: Vec<f64> = slope.to_vec::<f64>().unwrap().iter().map(|s| s * size).collect();
        let want = half / 2.0;
        assert!((slope[0] - want).abs() < 1e-15 && (slope[1] + want).abs() < 1e-15, "{slope:?}");
    }
    let narrow = tensor([300.0, 400.0]).to(F16);
    let cosine = narrow.cosine_similarity(&narrow, 0);
    assert_eq!((cosine.dtype(), cosine.item().unwrap()), (F16, 1.0));
    assert_eq!(tensor([100_000, 0]).cosine_similarity(tensor([70_000, 0]), 0).item().unwrap(), 1.0);
    let (x, y) = (tensor([[1.0, 0.0], [0.0, 0.0]]), tensor([2.0, 0.0]));
    assert_eq!(x.cosine_similarity(y, -1).to_vec::<f32>().unwrap(), [1.0, 0.0]);
    let e = tensor([1.0]).cosine_similarity(tensor([1.0]), 1).item().unwrap_err().to_string();
    assert!(e.starts_with("cosine_similarity: axis 1 is out of range"), "{e}");
}

#[test]
fn the_curvature_of_the_variance_does_not_depend_on_the_elements() {
    let h = hessian(|x: Tensor| x.var(.., 0)).run(f64s(&[1.0, 2.0, 3.0])).unwrap();
    let [a, b] = [4.0 / 9.0, -2.0 / 9.0];
    let want = [a, b, b, b, a, b, b, b, a];
    let have = h.to_vec::<f64>().unwrap();
    assert!(have.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-15), "{have:?}");
}
