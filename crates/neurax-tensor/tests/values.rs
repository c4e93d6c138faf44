//! Values at the edges of dtypes: Rust numbers that an integer dtype does not hold, infinities,
//! empty axes, bounds of random numbers.

use neurax::prelude::*;

const INTEGERS: [DType; 14] = [U1, U2, U4, U8, U16, U32, U64, I1, I2, I4, I8, I16, I32, I64];

/// Numbers around the ends of all integer dtypes.
fn numbers() -> Vec<i64> {
    let mut all = vec![0, 1, -1, i64::MIN, i64::MAX];
    for bits in [1, 2, 3, 4, 7, 8, 15, 16, 31, 32] {
        let end = 1i64 << bits;
        all.extend([end - 1, end, end + 1, -end - 1, -end, 1 - end]);
    }
    all
}

/// Returns the outermost values of an integer dtype, and 0 and (if it has it) 1, as a tensor and as
/// numbers.
fn edges(dtype: DType) -> (Tensor, Vec<i128>) {
    let range = dtype.int_range().unwrap();
    let values = vec![*range.start(), 0, 1.min(*range.end()), *range.end()];
    let x = match dtype {
        U64 => Tensor::from_vec(values.iter().map(|&x| x as u64).collect(), [4]),
        _ => Tensor::from_vec(values.iter().map(|&x| x as i64).collect(), [4]).to(dtype),
    };
    (x, values)
}

/// Returns the elements of integers, exactly.
fn exact(x: &Tensor) -> Vec<i128> {
    match x.dtype() {
        U64 => x.to_vec::<u64>().unwrap().into_iter().map(i128::from).collect(),
        _ => x.to(I64).to_vec::<i64>().unwrap().into_iter().map(i128::from).collect(),
    }
}

#[test]
fn comparisons_with_numbers_are_those_of_mathematics() {
    for dtype in INTEGERS {
        let (x, values) = edges(dtype);
        for n in numbers() {
            let of = |f: fn(&i128, &i128) -> bool| -> Vec<bool> {
                values.iter().map(|v| f(v, &n.into())).collect()
            };
            let all = |y: Tensor| y.to_vec::<bool>().unwrap();
            assert_eq!(all(x.equal(n)), of(i128::eq), "{dtype} == {n}");
            assert_eq!(all(x.not_equal(n)), of(i128::ne), "{dtype} != {n}");
            assert_eq!(all(x.lt(n)), of(i128::lt), "{dtype} < {n}");
            assert_eq!(all(x.le(n)), of(i128::le), "{dtype} <= {n}");
            assert_eq!(all(x.gt(n)), of(i128::gt), "{dtype} > {n}");
            assert_eq!(all(x.ge(n)), of(i128::ge), "{dtype} >= {n}");
        }
    }
}

#[test]
fn the_absolute_value_of_bool_is_bool() {
    let x = tensor([true, false]);
    assert_eq!(x.abs().to_vec::<bool>().unwrap(), [true, false]);
    let y = jit(|x: Tensor| x.abs()).run(x).unwrap();
    assert_eq!(y.to_vec::<bool>().unwrap(), [true, false]);
}

/// The slope at the position of an element is 0, as in JAX, whose neighbors of that position are
/// one element.
#[test]
fn quantiles_have_the_slope_between_elements() {
    let x = tensor([4.0, 1.0, 2.0]);
    for (q, want) in [(0.0, 0.0), (0.25, 2.0), (0.5, 0.0), (0.75, 4.0), (1.0, 0.0)] {
        let slope = grad(|q: Tensor| x.quantile(q, ..)).run(tensor(q)).unwrap();
        assert_eq!(slope.item().unwrap(), want, "{q}");
    }
}

#[test]
fn integers_are_compared_with_floats_exactly() {
    // Those below 8 bits have no common dtype with floats.
    assert!(Tensor::zeros_of(U4, [1]).lt(0.5).error().is_some());
    for dtype in INTEGERS.into_iter().filter(|d| d.bits() >= 8) {
        let (x, values) = edges(dtype);
        // All are exact in f64, and no integer of the table lies between one and its neighbors.
        let floats = [0.0, 0.5, -0.5, -1.0, 1e9, 255.5, 1e30, -1e30, f64::INFINITY, f64::NAN];
        for n in floats.into_iter().chain([f64::NEG_INFINITY, 2147483647.5, 4294967295.0]) {
            let of = |f: fn(&f64, &f64) -> bool| -> Vec<bool> {
                values.iter().map(|&v| f(&(v as f64), &n)).collect()
            };
            let all = |y: Tensor| y.to_vec::<bool>().unwrap();
            assert_eq!(all(x.equal(n)), of(f64::eq), "{dtype} == {n}");
            assert_eq!(all(x.not_equal(n)), of(f64::ne), "{dtype} != {n}");
            assert_eq!(all(x.lt(n)), of(f64::lt), "{dtype} < {n}");
            assert_eq!(all(x.le(n)), of(f64::le), "{dtype} <= {n}");
            assert_eq!(all(x.gt(n)), of(f64::gt), "{dtype} > {n}");
            assert_eq!(all(x.ge(n)), of(f64::ge), "{dtype} >= {n}");
        }
    }
    assert!(tensor(16_777_217).not_equal(16_777_216.0).item().unwrap() == 1.0);
}

#[test]
fn clip_and_extrema_with_numbers_are_those_of_mathematics() {
    for dtype in INTEGERS {
        let (x, values) = edges(dtype);
        let range = dtype.int_range().unwrap();
        let check = |y: Tensor, want: Vec<i128>, what: String| {
            if want.iter().all(|v| range.contains(v)) {
                assert_eq!((y.dtype(), exact(&y)), (dtype, want), "{what}");
            } else {
                let e = y.ok().expect_err(&what);
                assert!(e.message().contains(&format!("{dtype} does not hold")), "{what}: {e}");
            }
        };
        for n in numbers() {
            let of = |f: fn(i128, i128) -> i128| values.iter().map(|&v| f(v, n.into())).collect();
            check(x.maximum(n), of(Ord::max), format!("{dtype} max {n}"));
            check(x.minimum(n), of(Ord::min), format!("{dtype} min {n}"));
            for m in [-300, -1, 0, 1, 300, 70_000, i64::MAX] {
                let want =
                    values.iter().map(|&v| v.max(n.into()).min(m.into())).collect::<Vec<_>>();
                check(x.clip(n, m), want, format!("{dtype} clip {n} {m}"));
            }
        }
    }
}

#[test]
fn arithmetic_with_a_number_that_the_dtype_does_not_hold_is_an_error() {
    for dtype in INTEGERS {
        let (x, _) = edges(dtype);
        for n in numbers() {
            let held = dtype.int_range().unwrap().contains(&n.into());
            let results = [
                ("+", &x + n),
                ("left -", n - &x),
                ("*", &x * n),
                ("%", &x % n),
                ("&", &x & n),
                ("remainder", x.remainder(n)),
                ("floor_divide", x.floor_divide(n)),
                ("where", where_(&x.equal(0), &x, n)),
                ("full_like", x.full_like(n)),
                ("full_of", Tensor::full_of(dtype, [2], n)),
                ("scalar", Tensor::scalar(dtype, n)),
            ];
            for (name, y) in results {
                match y.error() {
                    None => assert!(held, "{dtype} {name} {n}"),
                    Some(e) => {
                        assert!(!held, "{dtype} {name} {n}: {e}");
                        let text = format!("{dtype} does not hold {n}, but ");
                        assert!(e.message().contains(&text), "{name}: {e}");
                    }
                }
            }
        }
    }
    let e = (tensor(1) + 3_000_000_000i64).ok().unwrap_err().to_string();
    assert!(e.contains("i32 does not hold 3000000000, but i64 does") && e.contains("to(I64)"));
    assert!(e.contains("tests/values.rs"), "{e}");
    for bad in [
        Tensor::full_of(I32, [1], f64::NAN),
        Tensor::full_of(I32, [1], 1e10),
        Tensor::full([1], 1u64 << 40),
        Tensor::full_of(F32, [1], neurax::Complex::new(1.0f32, 1.0)),
        tensor([2, 3]).pow(-1),
        tensor([true]) + (1i64 << 40),
    ] {
        assert!(bad.error().is_some(), "{bad}");
    }
    assert_eq!(Tensor::full_of(I32, [1], -2.7).to_vec::<i32>().unwrap(), [-2]);
}

#[test]
fn division_by_a_number_is_that_of_mathematics() {
    let equal = |y: Tensor, want: Vec<f32>, what: String| {
        let y = y.to_vec::<f32>().unwrap();
        let same = |(a, b): (&f32, &f32)| a == b || (a.is_nan() && b.is_nan());
        assert!(y.iter().zip(&want).all(same), "{what}: {y:?}, not {want:?}");
    };
    for dtype in INTEGERS {
        let (x, values) = edges(dtype);
        for n in numbers() {
            let want = values.iter().map(|&v| v as f32 / n as f32).collect();
            equal(&x / n, want, format!("{dtype} / {n}"));
            let want = values.iter().map(|&v| n as f32 / v as f32).collect();
            equal(n / &x, want, format!("{n} / {dtype}"));
        }
    }
}

#[test]
fn numbers_are_taken_by_value_by_other_functions_as_well() {
    let x = Tensor::from_vec(vec![7u8, 255], [2]);
    let bools = |y: Tensor| y.to_vec::<bool>().unwrap();
    assert_eq!(bools(x.logical_and(256)), [true, true]);
    assert_eq!(bools(x.isclose(263, 0.0, 0.0)), [false, false]);
    assert_eq!(bools(x.index(0).array_equal(263)), [false]);
    assert_eq!(x.searchsorted(300, Side::Left).item().unwrap(), 2.0);
    assert_eq!(x.searchsorted(-1, Side::Right).item().unwrap(), 0.0);
    assert_eq!(x.searchsorted(6.5, Side::Right).item().unwrap(), 0.0);
    assert_eq!(x.searchsorted(7.0, Side::Right).item().unwrap(), 1.0);
    assert_eq!(x.searchsorted(f64::NAN, Side::Left).item().unwrap(), 2.0);
    assert_eq!(x.copysign(-1).to_vec::<f32>().unwrap(), [-7.0, -255.0]);
    assert_eq!(x.hypot(-24).index(0).item().unwrap(), 25.0);
    assert_eq!(x.average(300, ..).item().unwrap(), 131.0);
    assert_eq!(x.lerp(Tensor::zeros_of(U8, [2]), 0.5).to_vec::<f32>().unwrap(), [3.5, 127.5]);
    assert_eq!(x.left_shift(300).to_vec::<u8>().unwrap(), [0, 0]);
    let signed = x.to(I8).to(I2);
    assert_eq!(signed.right_shift(9).to(I32).to_vec::<i32>().unwrap(), [-1, -1]);
    assert_eq!(signed.left_shift(2).to(I32).to_vec::<i32>().unwrap(), [0, 0]);
    let narrow = tensor([400.0, f32::NAN]).to(F8E4M3FN);
    assert_eq!(narrow.clip(-1000, 1000).index(0).to(F32).item().unwrap(), 384.0);
    assert_eq!(narrow.minimum(1000.0).index(0).to(F32).item().unwrap(), 384.0);
    assert_eq!(bools(narrow.lt(1000)), [true, false]);
    assert_eq!(bools(tensor([f32::INFINITY, 1.0]).to(F16).gt(1e6)), [true, false]);
}

#[test]
fn numbers_are_taken_by_value_in_transformed_functions() {
    let x = Tensor::from_vec(vec![10u8, 255], [2]);
    let f = |x: Tensor| {
        let y = x.clip(-1, 300);
        x.gt(-1).select(&y / -5, 0.0) + x.lt(256).to(F32) + x.equal(300).to(F32)
    };
    for y in [f(x.clone()), jit(f).run(x.clone()).unwrap(), vmap(f).run(x.clone()).unwrap()] {
        assert_eq!(y.to_vec::<f32>().unwrap(), [-1.0, -50.0]);
    }
    let e = jit(|x: Tensor| x + 300).run(x).unwrap_err();
    assert!(e.message().starts_with("u8 does not hold 300"), "{e}");
}

/// A number takes the dtype of the tensor if its kind fits, as in JAX 0.12; integers below 8 bits
/// and 8-bit floats promote with nothing wider.
#[test]
fn numbers_are_weakly_typed() {
    use neurax::Complex;
    // I1 does not hold 1.
    for dtype in DType::ALL.into_iter().filter(|d| *d != I1 && !d.is_storage()) {
        let x = Tensor::zeros_of(dtype, [1]);
        let packed = dtype.is_int() && dtype.bits() < 8;
        let float8 = matches!(dtype, F8E4M3FN | F8E5M2);
        let integer = if dtype == BOOL { I32 } else { dtype };
        let float = if dtype.is_differentiable() { dtype } else { F32 };
        let complex = match dtype {
            F64 | C128 => C128,
            _ => C64,
        };
        let i = Complex::new(0.0f32, 1.0);
        for (y, want) in [
            (&x + true, Some(dtype)),
            (&x + 1, Some(integer)),
            (1 + &x, Some(integer)),
            (&x + 1.0, Some(float).filter(|_| !packed)),
            (1.0 + &x, Some(float).filter(|_| !packed)),
            (&x + i, Some(complex).filter(|_| !packed && !float8)),
        ] {
            assert_eq!(y.clone().ok().ok().map(|y| y.dtype()), want, "{dtype}: {y}");
        }
    }
}

#[test]
fn integers_are_promoted_before_they_become_floats() {
    let large = Tensor::from_vec(vec![(1i64 << 53) - 1], [1]);
    let one = Tensor::from_vec(vec![1f64], [1]);
    let y = large.hypot(&one);
    assert_eq!((y.dtype(), y.to_vec::<f64>().unwrap()), (F64, vec![9007199254740991.0]));
    assert_eq!(large.complex(&one).dtype(), C128);
    assert_eq!(large.complex(&one).real().to_vec::<f64>().unwrap(), [9007199254740991.0]);
    assert_eq!((&large / &one).to_vec::<f64>().unwrap(), [9007199254740991.0]);
    assert_eq!(large.average(&one, ..).dtype(), F64);
    assert_eq!(tensor([3]).atan2(Tensor::ones_of(BF16, [1])).dtype(), BF16);
    assert_eq!(tensor([3]).atan2(Tensor::ones_of(U8, [1])).dtype(), F32);
    let xs = Tensor::from_vec(vec![0f64, 1e17], [2]);
    assert_eq!(Tensor::from_vec(vec![1i64 << 56], [1]).interp(&xs, &xs).dtype(), F64);
}

#[test]
fn functions_of_floats_do_not_wrap_integers_around() {
    let x = Tensor::from_vec(vec![1u8, 200], [2]);
    let f = x.to(F32);
    for (y, want) in [
        (x.logit(), f.logit()),
        (x.log_sigmoid(), f.log_sigmoid()),
        (x.squareplus(), f.squareplus()),
        (x.softsign(), f.softsign()),
        (x.to(I8).softsign(), x.to(I8).to(F32).softsign()),
        (x.hard_sigmoid(), f.hard_sigmoid()),
        (x.tanh_shrink(), f.tanh_shrink()),
        (x.soft_shrink(3.0), f.soft_shrink(3.0)),
        (x.reciprocal(), f.reciprocal()),
        (x.isclose(tensor([2, 456]), 0.0, 1.0).to(F32), tensor([1.0, 0.0])),
        (x.flip(0).trapezoid(2.0, 0), tensor(201.0)),
        (concat([&x, &x], 0).trapezoid(1.0, 0), tensor(301.5)),
        (x.cov(1), f.cov(1)),
        (x.average(&x, 0), f.average(&f, 0)),
    ] {
        assert!(y.to_string() == want.to_string(), "{y}, not {want}");
    }
}

#[test]
fn logarithms_and_tests_of_complex_infinities() {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    let zero = tensor([0.0]).complex(0.0);
    for y in [zero.log2(), zero.log10()] {
        assert_eq!(y.real().to_vec::<f32>().unwrap(), [-inf]);
        assert_eq!(y.imag().to_vec::<f32>().unwrap(), [0.0]);
    }
    let y = tensor([-inf, inf]).complex(0.0).exp2();
    assert_eq!(y.real().to_vec::<f32>().unwrap(), [0.0, inf]);
    assert_eq!(y.imag().to_vec::<f32>().unwrap(), [0.0, 0.0]);
    let z = tensor([inf, nan, 1.0, nan]).complex(tensor([nan, -inf, 2.0, 0.0]));
    assert_eq!(z.is_inf().to_vec::<bool>().unwrap(), [true, true, false, false]);
    assert_eq!(z.is_nan().to_vec::<bool>().unwrap(), [true, true, false, true]);
    assert_eq!(z.is_finite().to_vec::<bool>().unwrap(), [false, false, true, false]);
    assert_eq!(z.abs().to_vec::<f32>().unwrap()[..2], [inf, inf]);
}

#[test]
fn quantiles_of_infinities_and_of_the_largest_numbers() {
    let (inf, big) = (f32::INFINITY, 3e38f32);
    for (x, q, want) in [
        ([-inf, 1.0], 0.5, -inf),
        ([1.0, inf], 0.5, inf),
        ([1.0, inf], 0.0, 1.0),
        ([inf, inf], 0.5, inf),
        ([-inf, -inf], 0.25, -inf),
        ([-big, big], 0.5, 0.0),
        ([-big, big], 0.25, -1.5e38),
        ([big, big], 0.5, big),
        ([0.1, 0.1], 0.3, 0.1),
    ] {
        let y = tensor(x).quantile(q, ..).item().unwrap() as f32;
        assert!(y == want || (y / want - 1.0).abs() < 1e-6, "{x:?} at {q}: {y}, not {want}");
        let y = tensor(x).percentile(q * 100.0, ..).item().unwrap() as f32;
        assert!(y == want || (y / want - 1.0).abs() < 1e-6, "{x:?} at {q}: {y}, not {want}");
    }
    // An infinity that is an element itself, not between two.
    for (x, want) in [([inf; 3], inf), ([-inf; 3], -inf), ([1.0, inf, inf], inf)] {
        assert_eq!(tensor(x).median(..).item().unwrap() as f32, want, "{x:?}");
    }
    let median = tensor([[-big, big], [inf, inf], [-inf, 2.0]]).median(1);
    assert_eq!(median.to_vec::<f32>().unwrap(), [0.0, inf, -inf]);
    let slope = grad(|q: Tensor| tensor([0.0, 1.0, inf]).quantile(q, ..)).run(tensor(0.5));
    assert!(slope.unwrap().item().unwrap().is_finite());
    let slope = grad(|x: Tensor| x.quantile(0.5, ..)).run(tensor([-big, big])).unwrap();
    assert_eq!(slope.to_vec::<f32>().unwrap(), [0.5, 0.5]);
    let ys = tensor([-big, big, inf]);
    let y = tensor([0.5, 1.0, 1.5]).interp(&tensor([0.0, 1.0, 2.0]), &ys);
    assert_eq!(y.to_vec::<f32>().unwrap(), [0.0, big, inf]);
}

#[test]
fn floor_divide_and_remainder_belong_together() {
    let values = [1.0, -1.0, 0.1, -0.1, 0.3, 2.0, 5.5, -7.0, 1e3, 1e-3, 3.7];
    for dtype in [F32, F64, F16, BF16] {
        for x in values {
            for y in values {
                let (x, y) = (Tensor::scalar(dtype, x), Tensor::scalar(dtype, y));
                let (q, r) = (x.floor_divide(&y), x.remainder(&y));
                let [xv, yv, qv, rv] = [&x, &y, &q, &r].map(|t| t.item().unwrap());
                let whole = (xv - xv.rem_euclid(yv.abs())) / yv;
                let whole = if yv < 0.0 && rv != 0.0 { whole.round() - 1.0 } else { whole.round() };
                // A quotient beyond the precision of the dtype is rounded to it.
                let whole = Tensor::scalar(dtype, whole).item().unwrap();
                assert_eq!(qv, whole, "{dtype}: {xv} // {yv}, remainder {rv}");
                assert!(rv == 0.0 || (rv < 0.0) == (yv < 0.0), "{dtype}: {xv} % {yv} = {rv}");
            }
        }
    }
    let inf = f32::INFINITY;
    let x = tensor([1.0, -1.0, 1.0, -1.0, -0.0, 0.0]);
    let y = x.floor_divide(tensor([inf, inf, 0.0, 0.0, 1.0, -1.0])).to_vec::<f32>().unwrap();
    assert_eq!(y, [0.0, -1.0, inf, -inf, 0.0, 0.0]);
    assert_eq!(y[4..].iter().map(|x| x.is_sign_negative()).collect::<Vec<_>>(), [true, true]);
    let slope = grad(|x: Tensor| x.floor_divide(0.25) + x.remainder(0.25)).run(tensor(0.6));
    assert_eq!(slope.unwrap().item().unwrap(), 1.0);
}

#[test]
fn histograms_have_edges_of_the_dtype() {
    let x = Tensor::from_vec(vec![0.1f64, 0.1 + 1e-12], [2]);
    let (counts, edges) = x.histogram(1, 0.1, 0.1 + 1e-13);
    assert_eq!(edges.to_vec::<f64>().unwrap(), [0.1, 0.1 + 1e-13]);
    assert_eq!(counts.to_vec::<i32>().unwrap(), [1]);
    for (low, high) in [(1.0, 0.0), (f64::NAN, 1.0), (0.0, f64::INFINITY)] {
        assert!(x.histogram(2, low, high).0.error().is_some());
    }
}

#[test]
fn triangles_keep_bool_and_nothing_has_no_range() {
    let x = Tensor::ones_of(BOOL, [2, 2]);
    assert_eq!(x.tril(0).to_vec::<bool>().unwrap(), [true, false, true, true]);
    assert_eq!(x.triu(0).to_vec::<bool>().unwrap(), [true, true, false, true]);
    for dtype in [F32, BF16, U2, C64] {
        assert_eq!(x.to(dtype).tril(0).dtype(), dtype);
    }
    let e = Tensor::zeros([2, 0]).ptp(1).ok().unwrap_err();
    assert!(e.message().contains("at least one element"), "{e}");
    assert_eq!(Tensor::zeros([2, 0]).ptp(0).shape(), [0]);
}

#[test]
fn windows_count_negative_starts_from_the_end() {
    let x = Tensor::arange(6);
    for (start, want) in [(-4, [2, 3, 4]), (-9, [0, 1, 2]), (-1, [3, 4, 5]), (2, [2, 3, 4])] {
        let slice = |s: Tensor| x.dynamic_slice(s, [3]);
        for y in [slice(tensor([start])), jit(slice).run(tensor([start])).unwrap()] {
            assert_eq!(y.to_vec::<i32>().unwrap(), want, "{start}");
        }
        let starts = vmap(slice).run(tensor([[start], [start]])).unwrap();
        assert_eq!(starts.index(1).to_vec::<i32>().unwrap(), want, "{start}");
        let narrow = x.dynamic_slice(tensor([start]).to(I8), [3]);
        assert_eq!(narrow.to_vec::<i32>().unwrap(), want);
    }
    let y = Tensor::zeros([6]).dynamic_update_slice(Tensor::ones([2]), tensor([-3]));
    assert_eq!(y.to_vec::<f32>().unwrap(), [0.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
}

#[test]
fn a_convolution_over_nothing_yields_nothing() {
    let options = Windows::new().padding(Padding::Same);
    let (x, kernel) = (Tensor::zeros([1, 1, 0]), Tensor::ones([1, 1, 3]));
    assert_eq!(x.conv(&kernel, options.clone()).shape(), [1, 1, 0]);
    assert_eq!(x.conv(&kernel, options.clone().strides(2)).shape(), [1, 1, 0]);
    assert_eq!(x.conv_transpose(&kernel, options.clone()).shape(), [1, 1, 0]);
    assert_eq!(x.max_pool(2, options).shape(), [1, 1, 0]);
}

#[test]
fn uniform_numbers_never_reach_the_upper_bound() {
    // The distance of neighbors near the bound is large: many numbers would be rounded up to it.
    for (dtype, low, high) in [
        (F32, 1e6, 1e6 + 0.25),
        (F32, -2.0, -1.0),
        (F32, 16777215.0, 16777216.0),
        (F32, -1.0, 1e-30),
        (F64, 1e15, 1e15 + 1.0),
        (F16, 1.0, 2.0),
        (F16, 1000.0, 1001.0),
        (BF16, 1.0, 1.5),
        (BF16, -3.0, 0.0),
    ] {
        let x = key(7).uniform_of(dtype, [5000], low, high);
        assert_eq!(x.ge(low).all(..).item().unwrap(), 1.0, "{dtype} from {low}");
        assert_eq!(x.lt(high).all(..).item().unwrap(), 1.0, "{dtype} to {high}");
        assert!(x.max(..).item().unwrap() > x.min(..).item().unwrap() || low + 1.0 == high);
    }
}

#[test]
fn bounds_that_yield_no_random_number_are_errors() {
    let k = key(0);
    for bad in [
        k.uniform_of(F32, [2], 1.0, 1.0),
        k.uniform_of(F32, [2], 2.0, 1.0),
        k.uniform_of(F32, [2], 1.0, 1.0 + 1e-12),
        k.uniform_of(F32, [2], f64::NAN, 1.0),
        k.uniform_of(F32, [2], 0.0, f64::INFINITY),
        k.uniform_of(F32, [2], 0.0, 1e39),
        k.uniform_of(F32, [2], -3e38, 3e38),
        k.uniform_of(F16, [2], 0.0, 1e6),
        k.randint([2], 5..5),
        #[allow(clippy::reversed_empty_ranges, reason = "that is what is tested")]
        k.randint([2], 5..3),
        k.randint([2], 0..(1 << 31) + 1),
        k.randint_of(U8, [2], -1..5),
        k.randint_of(U8, [2], 0..257),
        k.randint_of(I64, [2], i128::MIN..0),
        k.bernoulli(1.5, [2]),
        k.bernoulli(-0.1, [2]),
        k.bernoulli(f64::NAN, [2]),
        k.bernoulli(2, [2]),
    ] {
        assert!(bad.error().is_some(), "{bad}");
    }
    for good in [
        k.randint_of(U8, [2], 0..256),
        k.randint_of(I32, [2], i32::MIN.into()..1 << 31),
        k.randint_of(U64, [2], 0..1 << 64),
        k.bernoulli(1, [2]),
        k.bernoulli(0.0, [2]),
    ] {
        assert!(good.error().is_none(), "{good}");
    }
}

#[test]
fn the_index_of_a_switch_is_clamped_in_its_own_dtype() {
    let pick = |i: Tensor| switch(&i, &[&|| tensor(0), &|| tensor(1), &|| tensor(2)]);
    for dtype in INTEGERS {
        let (x, values) = edges(dtype);
        let want: Vec<i128> = values.iter().map(|&i| i.clamp(0, 2)).collect();
        for y in [vmap(pick).run(x.clone()), jit(vmap(pick)).run(x.clone())] {
            assert_eq!(exact(&y.unwrap()), want, "{dtype}");
        }
        let each = (0..4).map(|i| pick(x.get(i)));
        assert_eq!(exact(&stack(each, 0)), want, "{dtype}");
    }
}

#[test]
fn polynomials_begin_with_their_first_coefficient() {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    let line = tensor([inf, -inf, nan]).polyval(&tensor([2.0, 1.0])).to_vec::<f32>().unwrap();
    assert!(line[..2] == [inf, -inf] && line[2].is_nan(), "{line:?}");
    let constant = tensor([inf, nan, 3.0]).polyval(&tensor([2.0])).to_vec::<f32>().unwrap();
    assert!(constant[0] == 2.0 && constant[1].is_nan() && constant[2] == 2.0, "{constant:?}");
    let nothing = tensor([1.0, 2.0]).polyval(&Tensor::zeros([0]));
    assert_eq!(nothing.to_vec::<f32>().unwrap(), [0.0, 0.0]);
    let slope = grad(|x: Tensor| x.polyval(&tensor([1.0, 2.0, 3.0, 4.0]))).run(tensor(1e30));
    assert_eq!(slope.unwrap().item().unwrap() as f32, inf);
    // Computed in f32, rounded once.
    let narrow = tensor(300.0).to(F16).polyval(&tensor([1.0, -300.0, 7.0]).to(F16));
    assert_eq!((narrow.dtype(), narrow.item().unwrap()), (F16, 7.0));
}

#[test]
fn correlations_of_large_and_small_numbers() {
    for dtype in [F16, BF16, F32, F64] {
        for size in [1e-30, 1e-4, 1.0, 1e4, 1e30] {
            let x = tensor([[1.0, 2.0, 3.0], [2.0, 0.0, 2.5]]).to(F64);
            let want = x.corrcoef().to_vec::<f64>().unwrap();
            let narrow = (x * size).to(dtype);
            let is_held = narrow.is_finite().all(..) & narrow.not_equal(0).any(..);
            if !is_held.to_vec::<bool>().unwrap()[0] {
                continue;
            }
            let have = narrow.corrcoef().to(F64).to_vec::<f64>().unwrap();
            for (h, w) in have.iter().zip(&want) {
                let close = (h - w).abs() < if dtype.bits() < 32 { 2e-2 } else { 1e-6 };
                assert!(close && h.abs() <= 1.0, "{dtype} {size}: {h}, not {w}");
            }
        }
    }
    assert!(Tensor::zeros([2, 3]).corrcoef().is_nan().all(..).to_vec::<bool>().unwrap()[0]);
    let e = Tensor::zeros([2, 3, 4]).corrcoef().error().unwrap().to_string();
    assert!(e.starts_with("corrcoef: expected a vector or a matrix, got f32[2, 3, 4]"), "{e}");
}

#[test]
fn narrow_packed_integers_are_divided_by_any_number() {
    let x = Tensor::from_vec(vec![1i32, -8], [2]).to(I4);
    let y = (&x / u64::MAX).to_vec::<f32>().unwrap();
    assert_eq!(y, [1.0 / u64::MAX as f32, -8.0 / u64::MAX as f32]);
}

#[test]
fn quotients_of_narrow_sums_do_not_overflow() {
    for dtype in [F16, BF16] {
        let ones = Tensor::ones([4096]).to(dtype);
        let spread = &ones * 1000.0 + (Tensor::arange(4096) % 2).to(dtype) * 200.0;
        let pair = stack([&spread, &spread], 0);
        for (name, have, want) in [
            ("average", ones.average(&ones * 100.0, ..), 1.0),
            ("cov", spread.cov(0), 1e4),
            ("corrcoef", pair.corrcoef().get(0).get(1), 1.0),
            ("trapezoid", (&ones * 16.0).trapezoid(0.125, 0), 8190.0),
        ] {
            assert_eq!(have.dtype(), dtype, "{name}");
            let have = have.item().unwrap();
            assert!((have / want - 1.0).abs() < 1e-2, "{name} {dtype}: {have}, not {want}");
        }
    }
}

#[test]
fn clip_between_a_number_and_a_wider_bound_uses_the_wider_dtype() {
    let x = tensor([7u8]);
    let four_hundred = || tensor([400]);
    for (y, dtype, want) in [
        (x.clip(300, four_hundred()), I32, 300.0),
        (x.clip(four_hundred(), 500), I32, 400.0),
        (x.clip(-5, four_hundred()), I32, 7.0),
        (x.clip(400.5, 500), F32, 400.5),
        (x.clip(300, 280.5), F32, 280.5),
        (x.clip(tensor([3u8]), 300), U8, 7.0),
        (x.clip(-1, tensor([3u8])), U8, 3.0),
    ] {
        assert_eq!((y.dtype(), y.to(F32).item().unwrap()), (dtype, want));
    }
}

#[test]
fn the_error_of_a_number_that_is_not_finite_names_a_dtype_of_floats() {
    for x in [f64::NAN, f64::INFINITY] {
        let e = Tensor::full_of(I8, [1], x).error().map(|e| e.message().to_string());
        assert!(e.is_some_and(|e| e.contains("but f32 does")), "{x}");
    }
}
