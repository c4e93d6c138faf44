//! The products of the factors are the matrix, for small and large, tall and wide matrices.

use neurax_linalg::{Division, Field, TriangularSystem, eig, with_threads};
use num_complex::Complex;

const SIZES: [(usize, usize); 9] =
    [(1, 1), (2, 2), (5, 3), (3, 5), (16, 16), (17, 17), (40, 17), (17, 40), (70, 70)];

/// Returns numbers between -1 and 1 without a pattern.
fn numbers<T: Field>(count: usize) -> Vec<T> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as f64 / (1u64 << 30) as f64 - 1.0
    };
    (0..count).map(|_| T::from_parts(next(), next())).collect()
}

/// Returns the product of `x` `[n, k]` and `y` `[k, m]`.
fn product<T: Field>(x: &[T], y: &[T], k: usize) -> Vec<T> {
    let (n, m) = (x.len() / k, y.len() / k);
    let at =
        |i: usize, j: usize| (0..k).fold(T::zero(), |sum, l| sum + x[i * k + l] * y[l * m + j]);
    (0..n * m).map(|i| at(i / m, i % m)).collect()
}

fn adjoint<T: Field>(x: &[T], columns: usize) -> Vec<T> {
    let rows = x.len() / columns;
    (0..x.len()).map(|i| x[i % rows * columns + i / rows].conj()).collect()
}

/// Returns the Hermitian matrix `x · xᴴ + shift`.
fn hermitian<T: Field>(n: usize, shift: f64) -> Vec<T> {
    let x = numbers::<T>(n * n);
    let mut a = product(&x, &adjoint(&x, n), n);
    (0..n).for_each(|i| a[i * n + i] = T::from_parts(a[i * n + i].re() + shift, 0.0));
    a
}

#[track_caller]
fn close<T: Field>(what: &str, x: &[T], y: &[T]) {
    assert_eq!(x.len(), y.len(), "{what}");
    let far = x.iter().zip(y).map(|(x, y)| (*x - *y).abs()).fold(0.0, f64::max);
    assert!(far < 1e-11, "{what}: off by {far:e}");
}

fn identity<T: Field>(n: usize) -> Vec<T> {
    (0..n * n).map(|i| if i % (n + 1) == 0 { T::one() } else { T::zero() }).collect()
}

fn all<T: Field>(division: Division) {
    for (rows, columns) in SIZES {
        lu::<T>(rows, columns, division);
        qr::<T>(rows, columns, division);
        svd::<T>(rows, columns, division);
        if rows == columns {
            square::<T>(rows, division);
        }
    }
}

fn lu<T: Field>(rows: usize, columns: usize, division: Division) {
    let k = rows.min(columns);
    let a = numbers::<T>(rows * columns);
    let (mut lu, mut pivots) = (a.clone(), vec![0; k]);
    T::lu(&mut lu, columns, &mut pivots, division);
    let at = |i: usize, j: usize| lu[i * columns + j];
    let l: Vec<T> = (0..rows * k)
        .map(|x| match (x / k).cmp(&(x % k)) {
            std::cmp::Ordering::Greater => at(x / k, x % k),
            std::cmp::Ordering::Equal => T::one(),
            std::cmp::Ordering::Less => T::zero(),
        })
        .collect();
    let u: Vec<T> = (0..k * columns)
        .map(|x| if x / columns <= x % columns { at(x / columns, x % columns) } else { T::zero() })
        .collect();
    let mut moved = a;
    for (i, &pivot) in pivots.iter().enumerate() {
        (0..columns).for_each(|j| moved.swap(i * columns + j, pivot * columns + j));
    }
    // Of complex numbers, the pivots have the largest |re| + |im|.
    let largest = l.iter().map(|x| x.abs()).fold(0.0, f64::max);
    assert!(largest <= 2.0f64.sqrt(), "a factor of {largest}: no pivot");
    close("lu", &product(&l, &u, k), &moved);
}

fn qr<T: Field>(rows: usize, columns: usize, division: Division) {
    let a = numbers::<T>(rows * columns);
    for k in [rows.min(columns), rows] {
        let (mut q, mut r) = (vec![T::zero(); rows * k], vec![T::zero(); k * columns]);
        T::qr(&a, rows, &mut q, &mut r, division);
        close("qr", &product(&q, &r, k), &a);
        close("q", &product(&adjoint(&q, k), &q, rows), &identity(k));
    }
}

fn svd<T: Field>(rows: usize, columns: usize, division: Division) {
    let a = numbers::<T>(rows * columns);
    let k = rows.min(columns);
    for (left, right) in [(k, k), (rows, columns)] {
        let (mut u, mut s) = (vec![T::zero(); rows * left], vec![0.0; k]);
        let mut vh = vec![T::zero(); right * columns];
        assert!(T::svd(&a, rows, &mut u, &mut s, &mut vh, division).is_some());
        assert!(s.windows(2).all(|s| s[0] >= s[1]) && s[k - 1] >= 0.0, "{s:?}");
        let scaled: Vec<T> =
            (0..rows * k).map(|x| u[x / k * left + x % k] * T::from_parts(s[x % k], 0.0)).collect();
        close("svd", &product(&scaled, &vh[..k * columns], k), &a);
        close("u", &product(&adjoint(&u, left), &u, rows), &identity(left));
        close("v", &product(&vh, &adjoint(&vh, columns), columns), &identity(right));
    }
}

fn square<T: Field>(n: usize, division: Division) {
    let a = hermitian::<T>(n, 1.0);
    let mut l = a.clone();
    assert!(T::cholesky(&mut l, n, division).is_some());
    close("cholesky", &product(&l, &adjoint(&l, n), n), &a);
    assert!(
        T::cholesky(&mut hermitian::<T>(n, -1e3), n, division).is_none(),
        "an indefinite matrix of {n} rows"
    );

    let (mut w, mut v) = (vec![0.0; n], vec![T::zero(); n * n]);
    assert!(T::eigh(&a, &mut w, &mut v, division).is_some());
    assert!(w.windows(2).all(|w| w[0] <= w[1]), "{w:?}");
    let scaled: Vec<T> = (0..n * n).map(|x| v[x] * T::from_parts(w[x % n], 0.0)).collect();
    close("eigh", &product(&a, &v, n), &scaled);

    for i in 0..16 {
        let bit = |k: usize| i >> k & 1 == 1;
        let triangle = TriangularSystem {
            lower: bit(0),
            unit_diagonal: bit(1),
            transposed: bit(2),
            conjugated: bit(3),
        };
        solve(&a, n, triangle, division);
    }
}

fn solve<T: Field>(a: &[T], n: usize, triangle: TriangularSystem, division: Division) {
    // The other triangle, and a unit diagonal, are not read.
    let is_read = |i: usize, j: usize| if triangle.lower { i > j } else { i < j };
    let scale = T::from_parts(1.0 / n as f64, 0.0);
    let matrix: Vec<T> = (0..n * n)
        .map(|x| match (x / n == x % n, is_read(x / n, x % n)) {
            (true, _) if triangle.unit_diagonal => T::one(),
            (true, _) => a[x],
            (false, true) => a[x] * scale,
            (false, false) => T::zero(),
        })
        .collect();
    let right = numbers::<T>(n * 3);
    let mut x = right.clone();
    T::triangular_solve(&matrix, triangle, &mut x, 3, division);
    let matrix = match (triangle.transposed, triangle.conjugated) {
        (true, true) => adjoint(&matrix, n),
        (true, false) => adjoint(&matrix, n).iter().map(|x| x.conj()).collect(),
        (false, true) => matrix.iter().map(|x| x.conj()).collect(),
        (false, false) => matrix,
    };
    let product = product(&matrix, &x, n);
    let size = x.iter().map(|x| x.abs()).fold(1.0, f64::max);
    let scaled = |x: &[T]| x.iter().map(|&x| x / T::from_parts(size, 0.0)).collect::<Vec<_>>();
    close("triangular_solve", &scaled(&product), &scaled(&right));
}

#[test]
fn factors_of_real_matrices() {
    all::<f64>(Division::Whole);
    with_threads(2, all::<f64>);
}

#[test]
fn factors_of_complex_matrices() {
    all::<Complex<f64>>(Division::Whole);
    with_threads(2, all::<Complex<f64>>);
}

#[test]
fn eigenvectors_of_general_matrices() {
    for n in [1, 2, 3, 8, 17, 70, 100] {
        let a = numbers::<Complex<f64>>(n * n);
        let (mut w, mut v) = (vec![Complex::default(); n], vec![Complex::default(); n * n]);
        assert!(eig(&a, &mut w, &mut v, Division::Whole).is_some());
        let scaled: Vec<Complex<f64>> = (0..n * n).map(|x| v[x] * w[x % n]).collect();
        close("eig", &product(&a, &v, n), &scaled);
        let norm = |j: usize| (0..n).map(|i| v[i * n + j].norm_sqr()).sum::<f64>();
        assert!((0..n).all(|j| norm(j) > 1e-3), "{n}");
    }
}

#[test]
fn a_singular_matrix_has_zeros_in_its_lu_factors() {
    let n = 20;
    let mut a = numbers::<f64>(n * n);
    (0..n).for_each(|i| (a[i * n + 3], a[i * n + 9]) = (0.0, a[i * n + 8]));
    let mut pivots = vec![0; n];
    f64::lu(&mut a, n, &mut pivots, Division::Whole);
    assert!(a.iter().all(|x| x.is_finite()));
    assert!((0..n).any(|i| a[i * n + i].abs() < 1e-12));
}

/// Returns the bits of the factors of a matrix that `threads` threads share.
fn shared_bits(threads: usize) -> Vec<u64> {
    let n = 300;
    let a = numbers::<f64>(n * n);
    let symmetric = hermitian::<f64>(n, 1.0);
    let matrix = || vec![0.0; n * n];
    let (mut lu, mut l, mut w, mut s) = (a.clone(), symmetric.clone(), vec![0.0; n], vec![0.0; n]);
    let (mut q, mut r, mut v, mut u, mut vh) = (matrix(), matrix(), matrix(), matrix(), matrix());
    let mut pivots = vec![0; n];
    with_threads(threads, |division| {
        assert_eq!(division, Division::Parts);
        f64::lu(&mut lu, n, &mut pivots, division);
        f64::qr(&a, n, &mut q, &mut r, division);
        assert!(f64::cholesky(&mut l, n, division).is_some());
        assert!(f64::eigh(&symmetric, &mut w, &mut v, division).is_some());
        assert!(f64::svd(&a, n, &mut u, &mut s, &mut vh, division).is_some());
    });
    [lu, l, q, r, w, v, u, s, vh].iter().flatten().map(|x| x.to_bits()).collect()
}

#[test]
fn any_number_of_threads_computes_the_same_bits_for_many_callers() {
    let want = shared_bits(1);
    std::thread::scope(|scope| {
        for threads in [1, 2, 2, 3, 5] {
            let want = &want;
            scope.spawn(move || assert!(shared_bits(threads) == *want, "{threads} threads"));
        }
    });
}
