//! The value of a discrete Fourier transform, in f64.
//!
//! The problem: `n` sums of `n` terms. The method: the mixed-radix algorithm of Cooley and Tukey,
//! "An Algorithm for the Machine Calculation of Complex Fourier Series" (1965), as a plain
//! recursion. With `p` the smallest prime factor of `n = p m`, the numbers at `r, r + p, ..` are
//! transformed for each `r < p`, and the results combined:
//!
//! ```text
//! y[k] = sum_r e^(-2 pi i r k / n) Y_r[k mod m]        n = 6: p = 2, two transforms of 3 numbers
//! ```
//!
//! A prime length is computed by the definition. Transforms of several axes run along one axis
//! after the other.
//!
//! Invariants: everything is computed in f64 and rounded once, at the end; the roots of unity are
//! all taken from one table, whose entries are each computed from their angle.

use super::{Fft, FftKind};
use crate::{Complex, Compute, Literal, Shape, Type, with_compute};
use std::f64::consts::TAU;

type Number = Complex<f64>;

/// Returns the transform `op` of `x`, of type `ty`.
pub fn eval(op: &Fft, x: &Literal, ty: Type) -> Literal {
    // The lengths next to an empty axis may be such that no memory holds their roots of unity.
    if ty.size() == 0 {
        return Literal::zeros(ty);
    }
    let numbers = with_compute!(any x.dtype(), T => {
        x.load::<T>().iter().map(|v| v.parts()).map(|(re, im)| Number::new(re, im)).collect()
    });
    let mut values = Array { shape: x.shape().clone(), numbers };
    let (rank, axes) = (ty.rank(), op.lengths.len());
    // The real axis of an inverse is the last one to be transformed, of a forward one the first:
    // next to it are only complex numbers.
    let mut order: Vec<usize> = (rank - axes..rank).collect();
    if op.kind == FftKind::Rfft {
        order.reverse();
    }
    for axis in order {
        let n = op.lengths[axis + axes - rank];
        let to = ty.shape[axis];
        values = match op.kind {
            FftKind::Irfft if axis + 1 == rank => {
                values.along(axis, to, &Roots::new(n, true), |line| mirrored(line, n))
            }
            kind => values.along(axis, to, &Roots::new(n, kind.is_inverse()), <[Number]>::to_vec),
        };
    }
    let scale = if op.kind.is_inverse() { op.product() } else { 1.0 };
    with_compute!(any ty.dtype, T => Literal::build(ty, |out: &mut [T]| {
        out.iter_mut()
            .zip(&values.numbers)
            .for_each(|(o, z)| *o = T::from_parts(z.re / scale, z.im / scale));
    }))
}

/// Complex numbers in row-major order.
struct Array {
    shape: Shape,
    numbers: Vec<Number>,
}

impl Array {
    /// Transforms each line along `axis`, after `prepare`, and keeps the first `to` numbers of it.
    fn along(
        self,
        axis: usize,
        to: usize,
        roots: &Roots,
        prepare: impl Fn(&[Number]) -> Vec<Number>,
    ) -> Array {
        let from = self.shape[axis];
        let inner: usize = self.shape[axis + 1..].iter().product();
        let mut shape = self.shape;
        shape[axis] = to;
        let mut numbers = vec![Number::ZERO; shape.size()];
        let lines = numbers.len().checked_div(to).unwrap_or(0);
        let mut line = vec![Number::ZERO; from];
        for i in 0..lines {
            let (block, offset) = (i / inner, i % inner);
            (0..from).for_each(|j| line[j] = self.numbers[(block * from + j) * inner + offset]);
            let y = roots.transform(&prepare(&line), 1);
            (0..to).for_each(|k| numbers[(block * to + k) * inner + offset] = y[k]);
        }
        Array { shape, numbers }
    }
}

/// The roots of unity `e^(-2 pi i k / n)`, or their conjugates for an inverse.
struct Roots(Vec<Number>);

impl Roots {
    fn new(n: usize, inverse: bool) -> Roots {
        let sign = if inverse { 1.0 } else { -1.0 };
        Roots((0..n).map(|k| Number::from_polar(1.0, sign * TAU * (k as f64 / n as f64))).collect())
    }

    /// Returns the transform of `x`, whose length is that of the table divided by `step`.
    fn transform(&self, x: &[Number], step: usize) -> Vec<Number> {
        let n = x.len();
        let p = smallest_factor(n);
        let m = n.checked_div(p).unwrap_or(0);
        let parts: Vec<Vec<Number>> = if p == n {
            x.iter().map(|&z| vec![z]).collect()
        } else {
            let part = |r: usize| x[r..].iter().step_by(p).copied().collect::<Vec<Number>>();
            (0..p).map(|r| self.transform(&part(r), step * p)).collect()
        };
        let root = |r: usize, k: usize| self.0[r * k % n * step];
        let sum = |k: usize| parts.iter().enumerate().map(|(r, y)| root(r, k) * y[k % m]).sum();
        (0..n).map(sum).collect()
    }
}

/// Returns the smallest prime factor of `n`; `n` itself below 2.
fn smallest_factor(n: usize) -> usize {
    (2..).take_while(|p| p * p <= n).find(|p| n.is_multiple_of(*p)).unwrap_or(n)
}

/// Returns the `n` numbers whose first ones are `half` and whose transform is real: an entry and
/// that at its negative index are conjugates, and the entries that are their own are real.
fn mirrored(half: &[Number], n: usize) -> Vec<Number> {
    let entry = |k: usize| match k {
        k if k == 0 || 2 * k == n => Number::new(half[k].re, 0.0),
        k if 2 * k < n => half[k],
        k => half[n - k].conj(),
    };
    (0..n).map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Eval, op::Primitive};

    fn run(kind: FftKind, lengths: &[usize], x: Literal) -> Literal {
        let op = Fft { kind, lengths: lengths.to_vec() };
        op.eval(&mut Eval::default(), vec![x]).unwrap().remove(0)
    }

    /// Returns different complex numbers.
    fn numbers(n: usize) -> Vec<Number> {
        (0..n).map(|i| Number::new((i as f64 * 1.7).sin(), (i as f64 * 0.6).cos())).collect()
    }

    fn assert_close(have: &[Number], want: &[Number], what: &str) {
        assert_eq!(have.len(), want.len(), "{what}");
        let gap = have.iter().zip(want).map(|(a, b)| (a - b).norm()).fold(0.0, f64::max);
        assert!(gap < 1e-12, "{what}: {gap}");
    }

    #[test]
    fn every_length_agrees_with_the_definition() {
        for n in 0..40 {
            let x = numbers(n);
            let y = run(FftKind::Fft, &[n], Literal::from_slice([n], &x).unwrap());
            let want: Vec<Number> = (0..n)
                .map(|k| {
                    let angle = |j: usize| -TAU * (j * k) as f64 / n as f64;
                    (0..n).map(|j| x[j] * Number::from_polar(1.0, angle(j))).sum()
                })
                .collect();
            assert_close(&y.to_vec::<Number>().unwrap(), &want, &format!("length {n}"));
            let back = run(FftKind::Ifft, &[n], y);
            assert_close(&back.to_vec::<Number>().unwrap(), &x, &format!("and back, length {n}"));
        }
    }

    #[test]
    fn real_transforms_are_half_of_complex_ones() {
        for n in 0..20 {
            let x: Vec<f64> = numbers(3 * n).iter().map(|z| z.re).collect();
            let complex: Vec<Number> = x.iter().map(|&x| Number::new(x, 0.0)).collect();
            let all = run(FftKind::Fft, &[3, n], Literal::from_slice([3, n], &complex).unwrap());
            let half = run(FftKind::Rfft, &[3, n], Literal::from_slice([3, n], &x).unwrap());
            let all = all.to_vec::<Number>().unwrap();
            let want: Vec<Number> = (0..3 * Fft::half(n))
                .map(|i| all[i / Fft::half(n) * n + i % Fft::half(n)])
                .collect();
            assert_close(&half.to_vec::<Number>().unwrap(), &want, &format!("length {n}"));
            let back = run(FftKind::Irfft, &[3, n], half).to_f64s();
            assert!(back.iter().zip(&x).all(|(a, b)| (a - b).abs() < 1e-12), "length {n}");
        }
    }

    #[test]
    fn imaginary_parts_of_real_entries_have_no_effect() {
        for n in [1, 2, 6, 7] {
            let mut x = numbers(Fft::half(n));
            let of = |x: &[Number]| {
                run(FftKind::Irfft, &[n], Literal::from_slice([x.len()], x).unwrap()).to_f64s()
            };
            let before = of(&x);
            x[0].im += 3.0;
            if n % 2 == 0 {
                x[n / 2].im -= 2.0;
            }
            assert_eq!(of(&x), before, "length {n}");
        }
    }

    #[test]
    fn a_number_that_is_not_finite_reaches_every_entry_of_its_line() {
        let mut x = numbers(12);
        x[7].re = f64::NAN;
        let y = run(FftKind::Fft, &[6], Literal::from_slice([2, 6], &x).unwrap());
        let is_nan: Vec<bool> = y.to_vec::<Number>().unwrap().iter().map(|z| z.is_nan()).collect();
        assert_eq!(is_nan, [[false; 6], [true; 6]].concat());
    }
}
