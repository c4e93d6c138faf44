//! Fourier transforms of large and prime sizes, factorizations of special matrices, collectives and
//! composed transforms, against results that are known exactly.

use neurax::{prelude::*, toeplitz};

/// Returns the wave `e^(2 pi i m k / n)` for `k` from 0 to `n - 1`, c128.
fn wave(n: usize, m: i64) -> Tensor {
    let turns = (Tensor::arange(n).to(I64) * m) % (n as i64);
    let angle = turns.to(F64) * (std::f64::consts::TAU / n as f64);
    angle.cos().complex(angle.sin())
}

fn item(x: Tensor) -> f64 {
    x.item().unwrap()
}

#[test]
fn the_transform_of_a_wave_is_one_peak() {
    // A power of two, a product of small primes, a prime and a product of two primes.
    for n in [1 << 12, 3_600, 4_099, 61 * 67] {
        let spectrum = wave(n, 1234).fft();
        let peak = Tensor::arange(n).equal(1234).to(F64) * n as f64;
        let far = item((spectrum.real() - peak).abs().maximum(spectrum.imag().abs()).max(..));
        assert!(far < 1e-10 * n as f64, "{n}: {far:e}");
        let back = spectrum.ifft() - wave(n, 1234);
        assert!(item(back.abs().max(..)) < 1e-12, "{n}");
    }
}

#[test]
fn the_transform_keeps_the_sum_of_squares() {
    let x = key(1).normal_of(F64, [9, 7, 257]);
    let energy = item(x.square().sum(..));
    let spectrum = x.fftn();
    let kept = item((&spectrum * spectrum.conj()).real().sum(..)) / x.size() as f64;
    assert!((kept / energy - 1.0).abs() < 1e-12, "{kept} {energy}");
}

#[test]
fn eigenvalues_of_a_cyclic_matrix_are_its_transform() {
    let first = key(2).normal_of(F64, [40]);
    let row = first.slice(0, 1..).flip(0);
    let matrix = toeplitz(&first, concat([first.slice(0, ..1), row], 0));
    let distance = |w: Tensor| {
        let gaps = (w.expand_dims(1) - first.fft()).abs();
        item(gaps.min(0).max(..)).max(item(gaps.min(1).max(..)))
    };
    assert!(distance(matrix.eigvals()) < 1e-12);
    assert!(distance(matrix.on(&reference()).eigvals().on(&default_device())) < 1e-12);
}

fn reference() -> Device {
    let all = neurax::backends();
    let interp = all.iter().find(|b| b.name() == "interp").unwrap();
    Device::from_backend(interp.clone(), 0).unwrap()
}

fn default_device() -> Device {
    neurax::default_device().unwrap().clone()
}

#[test]
fn square_roots_multiply_to_the_matrix() {
    let x = key(3).normal_of(F64, [2, 6, 6]);
    let root = x.matmul(&x).sqrtm();
    let far = (root.matmul(&root) - x.matmul(&x)).abs().max(..);
    assert!(item(far) < 1e-9);
    let zero = Tensor::zeros([3, 3]).sqrtm();
    assert_eq!(item(zero.abs().max(..)), 0.0);
}

#[test]
fn misuse_of_collectives_is_an_error() {
    let map = |f: fn(Tensor) -> Tensor| {
        let axes = Axes { name: Some("i"), ..Axes::default() };
        vmap_with(f, axes).run(tensor([[1, 2, 3], [4, 5, 6]])).unwrap_err().to_string()
    };
    let e = map(|x| all_to_all(&x, "i", 0, 0));
    assert!(e.contains("expected a multiple of the 2 members of `i` along axis 0"), "{e}");
    let e = map(|x| ppermute(&x, "i", &[(0, 1), (1, 1)]));
    assert!(e.contains("the second of at most one pair, got (1, 1)"), "{e}");
    let e = map(|x| pbroadcast(&x, "i", 2));
    assert!(e.contains("expected a member of `i`, below 2, got 2"), "{e}");
    let e = all_gather(&tensor(1.0), "i").ok().unwrap_err().to_string();
    assert!(e.contains("axis `i` is not bound"), "{e}");
}

#[test]
fn collectives_have_derivatives_and_batches() {
    let axes = || Axes { name: Some("i"), ..Axes::default() };
    // Each member reads the square of its left neighbour.
    let f = |x: Tensor| {
        let ring = |x: Tensor| ppermute(&x.square(), "i", &[(0, 1), (1, 2), (2, 0)]);
        (vmap_with(ring, axes())(x) * tensor([1.0, 10.0, 100.0])).sum(..)
    };
    let slope = grad(f).run(tensor([1.0, 2.0, 3.0])).unwrap();
    assert_eq!(slope.to_vec::<f32>().unwrap(), [20.0, 400.0, 6.0]);
    let pairs = tensor([[1.0, 2.0, 3.0], [0.0, 1.0, 0.0]]);
    let values = jit(vmap(f)).run(pairs).unwrap();
    assert_eq!(values.to_vec::<f32>().unwrap(), [9.0 + 10.0 + 400.0, 100.0]);
}

#[test]
fn a_function_that_is_not_linear_has_no_transpose() {
    let square = linear_transpose(|x: Tensor| x.square(), &tensor([1.0]));
    assert!(square.run(tensor([1.0])).unwrap_err().to_string().contains("linear"));
    let sum = linear_transpose(|x: Tensor| x.sum(..), &tensor([1.0, 2.0]));
    assert!(sum.run(tensor([1.0])).is_err(), "a cotangent of another shape");
}

#[test]
fn bounded_loops_stop_at_the_limit_and_have_second_derivatives() {
    let doubled = |x: Tensor| while_loop_bounded(x, 3, |x| x.lt(100.0), |x| &x * &x);
    assert_eq!(item(doubled(tensor(1.5))), 1.5f64.powi(8));
    // At most two steps of three: 1.5^4; the second derivative is 12 x^2.
    let twice = |x: Tensor| while_loop_bounded(x, 3, |x| x.lt(5.0), |x| &x * &x);
    assert_eq!(item(twice(tensor(1.5))), 1.5f64.powi(4));
    let curvature = grad(grad(twice)).run(tensor(1.5)).unwrap();
    assert_eq!(item(curvature), 12.0 * 2.25);
}

#[test]
fn a_jitted_function_reads_the_size_of_the_axis_around_it() {
    let scaled = jit(|x: Tensor| x * axis_size("i").unwrap_or(0) as f32);
    let named = vmap_with(&scaled, Axes { name: Some("i"), ..Axes::default() });
    for n in [3, 4] {
        let y = named.run(Tensor::ones([n])).unwrap().to_vec::<f32>().unwrap();
        assert_eq!(y, vec![n as f32; n]);
    }
}

#[test]
fn holomorphic_gradients_take_complex_arguments_only() {
    let f = |x: Tensor| (&x * &x).complex(x);
    let e = grad_holomorphic(f).run(tensor(2.0)).unwrap_err().to_string();
    assert!(e.contains("expected leaves of complex numbers, got f32[]"), "{e}");
}

#[test]
fn checks_of_gradients_that_compare_nothing_are_errors() {
    use neurax::testing::check_grads;
    let e = check_grads(|x: Tensor| x.to(BF16), &tensor([1.0])).unwrap_err().to_string();
    assert!(e.contains("expected a result with a leaf of f32"), "{e}");
    let e = check_grads(|x: Tensor| x.sqrt(), &tensor([-1.0])).unwrap_err().to_string();
    assert!(e.contains("the differences are not finite"), "{e}");
}
