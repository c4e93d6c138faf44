//! Hypergeometric functions of real numbers.
//!
//! # Method
//!
//! Power series, whose terms are summed for all elements in one loop until none counts any more:
//!
//! - `hyp1f1`: the series (<https://dlmf.nist.gov/13.2.E2>) for `0 <= x <= X`, Kummer's
//!   transformation (<https://dlmf.nist.gov/13.2.E39>) to positive `x`, and the asymptotic series
//!   (<https://dlmf.nist.gov/13.7.E1>) beyond. `X`, 400 for small parameters, grows with them, as
//!   the terms of the asymptotic series do; where the sum overflows below it, the result is NaN for
//!   negative `x`;
//! - `hyp2f1`: the series (<https://dlmf.nist.gov/15.2.E1>) for `0 <= x <= 0.9`, Pfaff's
//!   transformation (<https://dlmf.nist.gov/15.8.E1>) of negative `x`, and the one to `1 - x`
//!   (<https://dlmf.nist.gov/15.8.E4>) beyond 0.9. The last one divides zero by zero where
//!   `c - a - b` is an integer. Close to one, the series is summed up to 0.995, and beyond the
//!   value is interpolated from points beside the integer, with eleven digits.
//!
//! A loop sums the derivatives of the terms by all parameters as well, and for derivatives of the
//! second order its forward mode those of the derivatives. All compute in f64. Where
//! terms of both signs are large, digits cancel: negative parameters with large `x`.

use super::common::{located, promote_and_broadcast, tensor_or_error};
use crate::{
    Function, Operand, Tensor, custom_tangent, jvp, operators::float_operand, stack,
    tensor::CallSite, while_loop,
};
use std::panic::Location;

impl Tensor {
    /// Computes Kummer's confluent hypergeometric function `1F1(a, b, x)` with `a` the element of
    /// `self`, element by element. Follows `scipy.special.hyp1f1`.
    ///
    /// The operands broadcast and have the dtype to which they promote; integers and bool are
    /// converted to f32.
    ///
    /// # Errors
    ///
    /// The result carries an error for complex numbers, and for operands without a common dtype or
    /// shape.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([1.0, 2.0]).hyp1f1(tensor([1.0, 3.0]), tensor([1.0, -0.5]));
    /// assert!(y.allclose(tensor([2.7182818, 0.72163216]), 1e-6, 1e-6).item()? == 1.0, "{y}");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn hyp1f1(&self, b: impl Operand, x: impl Operand) -> Tensor {
        let at = Location::caller();
        let xs = [self.clone(), float_operand(b, self), float_operand(x, self)];
        tensor_or_error(in_f64("hyp1f1", &xs, at, |xs| hyp1f1(&xs[0], &xs[1], &xs[2])))
    }

    /// Computes the hypergeometric function `2F1(a, b, c, x)` with `a` the element of `self`,
    /// element by element, for `x <= 1`; NaN beyond. Follows `scipy.special.hyp2f1`.
    ///
    /// The operands broadcast and have the dtype to which they promote; integers and bool are
    /// converted to f32. For `c - a - b` close to an integer and `x` above 0.995, or
    /// `b - a` and `x` below -200, there are eleven digits.
    ///
    /// # Errors
    ///
    /// The result carries an error for complex numbers, and for operands without a common dtype or
    /// shape.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// // log(1 + x) / x
    /// let y = tensor(1.0).hyp2f1(1.0, 2.0, tensor([-0.5, -3.0]));
    /// assert!(y.allclose(tensor([0.81093022, 0.46209812]), 1e-6, 1e-6).item()? == 1.0, "{y}");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn hyp2f1(&self, b: impl Operand, c: impl Operand, x: impl Operand) -> Tensor {
        let at = Location::caller();
        let [b, c, x] = [float_operand(b, self), float_operand(c, self), float_operand(x, self)];
        let xs = [self.clone(), b, c, x];
        let of = |xs: &[Tensor]| hyp2f1([&xs[0], &xs[1], &xs[2]], &xs[3]);
        tensor_or_error(in_f64("hyp2f1", &xs, at, of))
    }
}

/// Applies `f` to the operands in f64, broadcast to one shape, and converts back.
#[track_caller]
fn in_f64(
    op: &str,
    xs: &[Tensor],
    at: CallSite,
    f: impl Fn(&[Tensor]) -> Tensor,
) -> Result<Tensor, Tensor> {
    let mut floats = vec![];
    for x in xs {
        floats.push(x.real_float(op, at)?);
    }
    let floats = promote_and_broadcast(op, &floats, at)?;
    let wide: Vec<Tensor> = floats.iter().map(super::special::in_f64).collect();
    Ok(f(&wide).convert(floats[0].dtype(), at))
}

#[track_caller]
fn hyp1f1(a: &Tensor, b: &Tensor, x: &Tensor) -> Tensor {
    let is_negative = x.lt(0);
    // exp(x) 1F1(b - a, b, -x)
    let (first, size) = (is_negative.select(b - a, a), is_negative.select(-x, x));
    // Where the series ends, it is exact; the asymptotic one would be 0 for negative x.
    let ends = is_pole(&first);
    let least = ((b - &first).abs() + FAR_TERMS) * ((1 - &first).abs() + FAR_TERMS);
    let is_near = size.le(&least) | &ends;
    let one = b.ones_like();
    let near = series([&first, &one, b], &is_near.select(&size, 0), false);
    let far = far_hyp1f1(&first, b, &is_near.select(&least, &size));
    let decay = is_negative.select(x, 0);
    // Where the sum overflows, its product with the decay is unknown.
    let near = (near.is_inf() & &is_negative).select(f64::NAN, near * decay.exp());
    let grown = is_near.select(near, {
        // The exponentials of both factors cancel for negative x.
        (&far.0 + is_negative.select(0, &size)).exp() * &far.1
    });
    // Infinite at the poles of the second parameter, unless the series ends before it gets there.
    let ends_before = ends & first.gt(b);
    (is_pole(b) & ends_before.logical_not()).select(f64::INFINITY, grown)
}

/// Returns true where `x` is 0, -1, -2, ..: a pole of the gamma function. A series with such a
/// first parameter ends.
#[track_caller]
fn is_pole(x: &Tensor) -> Tensor {
    x.le(0) & x.floor().equal(x)
}

/// The number of terms of the asymptotic series of 1F1. Where `x` is at least the product of the
/// largest factors, the terms shrink as those of the exponential function do.
const FAR_TERMS: i32 = 20;

/// Computes the logarithm of the size, divided by `e^x`, and the signed rest of 1F1 for large `x`:
/// `gamma(b) / gamma(a) x^(a-b)` and the sum of `(b-a)_k (1-a)_k / (k! x^k)`.
#[track_caller]
fn far_hyp1f1(a: &Tensor, b: &Tensor, x: &Tensor) -> (Tensor, Tensor) {
    let inverse = x.reciprocal();
    let (mut sum, mut term) = (x.ones_like(), x.ones_like());
    for k in 0..FAR_TERMS {
        let k = f64::from(k);
        term = term * (b - a + k) * (1.0 - a + k) * &inverse * (1.0 / (k + 1.0));
        sum += &term;
    }
    // 1 / gamma(a) is 0 at its poles.
    let is_pole = is_pole(a);
    let safe = is_pole.select(1, a);
    let log = b.lgamma() - safe.lgamma() + (a - b) * x.log();
    let sign = b.gammasgn() * safe.gammasgn();
    (log, is_pole.select(0, sum * sign))
}

#[track_caller]
fn hyp2f1([a, b, c]: [&Tensor; 3], x: &Tensor) -> Tensor {
    let is_negative = x.lt(0);
    // (1 - x)^-a 2F1(a, c - b, c, x / (x - 1))
    let base = 1 - is_negative.select(x, 0);
    let b = &is_negative.select(c - b, b);
    let x = &is_negative.select(x / (x - 1), x);
    let excess = c - a - b;
    let ends = is_pole(a) | is_pole(b);
    // Close to an integer excess, where the other form is less exact, the series sums more terms.
    let is_close = (&excess - excess.round()).abs().le(CLOSE);
    let is_near = x.le(0.9) | (&ends & x.lt(1)) | (is_close & x.le(0.995));
    let near = series([a, b, c], &is_near.select(x, 0), true);
    let is_far = is_near.logical_not() & x.lt(1);
    let [p, q] = [a, b].map(|p| is_far.select(p, 0.25));
    let far = near_one([&p, &q], &is_far.select(&excess, 0.5), &is_far.select(x, 0.95));
    // Elsewhere, its derivative may be infinite.
    let is_one = x.equal(1) & excess.gt(0);
    let end = [c, &excess, &(c - a), &(c - b)].map(|x| is_one.select(x, 1));
    let at_one = gamma_quotient([&end[0], &end[1]], [&end[2], &end[3]]);
    let at_one = excess.gt(0).select(at_one, f64::INFINITY);
    let value = is_near.select(near, is_far.select(far, at_one));
    let value = (x.gt(1) | x.is_nan()).select(f64::NAN, value);
    base.pow(-a) * value
}

/// The distance between the points of an interpolation. Beside an integer, the digits that cancel
/// and the error of the cubic polynomial are both about 1e-12.
const STEP: f64 = 2e-4;

/// The distance from an integer below which the value is interpolated.
const CLOSE: f64 = STEP / 2.0;

/// Computes 2F1 by the transformation to `1 - x`, with `c = a + b + excess`.
///
/// Its two terms have poles where `excess` is an integer, and cancel there. Close to one, the value
/// is that of the cubic polynomial in `excess` through four points beside it.
#[track_caller]
fn near_one([a, b]: [&Tensor; 2], excess: &Tensor, x: &Tensor) -> Tensor {
    const POINTS: [f64; 4] = [-2.0, -1.0, 1.0, 2.0];
    let whole = excess.round();
    let offset = (excess - &whole) * (1.0 / STEP);
    let is_close = (excess - &whole).abs().le(CLOSE);
    let (mut points, mut weights) = (vec![], vec![]);
    for (i, point) in POINTS.into_iter().enumerate() {
        let mut weight = x.ones_like();
        for other in POINTS.into_iter().filter(|other| *other != point) {
            weight = weight * (&offset - other) * (1.0 / (point - other));
        }
        // Elsewhere the first point is the excess.
        weights.push(is_close.select(weight, if i == 0 { 1.0 } else { 0.0 }));
        points.push(is_close.select(&whole + point * STEP, excess));
    }
    let (points, weights) = (stack(&points, 0), stack(&weights, 0));
    let [a, b, x] = [a, b, x].map(|v| v.broadcast_to(points.shape()));
    (weights * beside_poles([&a, &b], &points, &x)).sum(0)
}

/// Computes 2F1 by the transformation to `1 - x` where `excess` is not close to an integer.
#[track_caller]
fn beside_poles([a, b]: [&Tensor; 2], excess: &Tensor, x: &Tensor) -> Tensor {
    let (y, c) = (&(1 - x), &(a + b + excess));
    let first = gamma_quotient([c, excess], [&(c - a), &(c - b)]);
    let second = gamma_quotient([c, &-excess], [a, b]) * y.pow(excess);
    first * series([a, b, &(1 - excess)], y, true)
        + second * series([&(c - a), &(c - b), &(1 + excess)], y, true)
}

/// Computes `gamma(p) gamma(q) / (gamma(r) gamma(s))`, which is 0 at the poles of the divisors.
#[track_caller]
fn gamma_quotient(numerators: [&Tensor; 2], divisors: [&Tensor; 2]) -> Tensor {
    let mut log = numerators[0].lgamma() + numerators[1].lgamma();
    let mut sign = numerators[0].gammasgn() * numerators[1].gammasgn();
    for x in divisors {
        let is_pole = is_pole(x);
        let safe = is_pole.select(1, x);
        log -= safe.lgamma();
        sign = is_pole.select(0, sign * safe.gammasgn());
    }
    log.exp() * sign
}

/// Computes the sum of `(a)_k (b)_k / ((c)_k k!) x^k`, or without `(b)_k` if not `has_b`.
#[track_caller]
fn series([a, b, c]: [&Tensor; 3], x: &Tensor, has_b: bool) -> Tensor {
    let at = Location::caller();
    let sum = custom_tangent(
        move |xs: SeriesOperands| {
            located(at, &[&xs[3]], || series_with_slopes(&xs, has_b)[0].clone())
        },
        move |(xs, _, dxs): (SeriesOperands, Tensor, SeriesOperands)| {
            located(at, &[&xs[3]], || {
                let [_, by_a, by_b, by_c, by_x] = slopes(xs.clone(), has_b, at);
                let [da, db, dc, dx] = &dxs;
                da * by_a + db * by_b + dc * by_c + dx * by_x
            })
        },
    );
    sum.apply([a.clone(), b.clone(), c.clone(), x.clone()])
}

/// The parameters of a series, and `x`.
type SeriesOperands = [Tensor; 4];

/// Computes the series and its derivatives, with their own derivatives: those of the second order.
#[track_caller]
fn slopes(xs: SeriesOperands, has_b: bool, at: CallSite) -> WithSlopes {
    let all = custom_tangent(
        move |xs: SeriesOperands| located(at, &[&xs[3]], || series_with_slopes(&xs, has_b)),
        move |(xs, _, dxs): (SeriesOperands, WithSlopes, SeriesOperands)| {
            located(at, &[&xs[3]], || tangents_of_slopes(&xs, &dxs, has_b))
        },
    );
    all.apply(xs)
}

/// Computes the tangents of the series and its derivatives. The loops do not depend on `dxs`, so
/// that reverse mode can transpose the sum.
#[track_caller]
fn tangents_of_slopes(xs: &SeriesOperands, dxs: &SeriesOperands, has_b: bool) -> WithSlopes {
    let mut sums = std::array::from_fn(|_| xs[3].zeros_like());
    for (j, dx) in dxs.iter().enumerate() {
        let mut direction = xs.clone().map(|x| x.zeros_like());
        direction[j] = xs[j].ones_like();
        let columns =
            jvp(|xs: SeriesOperands| series_with_slopes(&xs, has_b), xs.clone(), direction).1;
        for (sum, column) in sums.iter_mut().zip(columns) {
            *sum = &*sum + column * dx;
        }
    }
    sums
}

/// A value and its derivatives by the three parameters and by `x`.
type WithSlopes = [Tensor; 5];

/// The state of the loop: the index, the terms, and the sums.
type SeriesState = (Tensor, WithSlopes, WithSlopes);

/// Computes the series and its derivatives by `a`, `b`, `c` and `x`.
#[track_caller]
fn series_with_slopes(xs: &SeriesOperands, has_b: bool) -> WithSlopes {
    let (one, zero) = (xs[3].ones_like(), xs[3].zeros_like());
    let terms = [one, zero.clone(), zero.clone(), zero.clone(), zero];
    let start: SeriesState = (Tensor::scalar(crate::DType::F64, 0.0), terms.clone(), terms);
    while_loop(start, continues, |s: SeriesState| add_term(s, xs, has_b)).2
}

/// Returns true while a term counts, up to a limit.
#[track_caller]
fn continues((k, terms, sums): &SeriesState) -> Tensor {
    const MOST: f64 = 20_000.0;
    let mut counts = terms[0].abs().gt(sums[0].abs() * 1e-17);
    for (term, sum) in terms.iter().zip(sums).skip(1) {
        counts |= term.abs().gt(sum.abs() * 1e-16);
    }
    counts.any(..) & k.lt(MOST)
}

/// Adds the next term.
#[track_caller]
fn add_term((k, terms, sums): SeriesState, [a, b, c, x]: &[Tensor; 4], has_b: bool) -> SeriesState {
    let [term, by_a, by_b, by_c, by_x] = terms;
    let (p, r) = (a + &k, c + &k);
    let q = if has_b { b + &k } else { b.ones_like() };
    // A numerator that is 0 has ended the series before a denominator that is 0 is reached.
    let is_over = r.equal(0) & term.equal(0);
    let divisor = is_over.select(0, (is_over.select(1, &r) * (&k + 1)).reciprocal());
    let of_x = &p * &q * &divisor;
    let factor = &of_x * x;
    let of_a = &q * x * &divisor;
    let of_b = if has_b { &p * x * &divisor } else { q.zeros_like() };
    let of_c = -&factor / is_over.select(1, &r);
    let terms = [
        &term * &factor,
        by_a * &factor + &term * of_a,
        by_b * &factor + &term * of_b,
        by_c * &factor + &term * of_c,
        by_x * &factor + term * of_x,
    ];
    let [s, t, u, v, w] = sums;
    let sums = [s + &terms[0], t + &terms[1], u + &terms[2], v + &terms[3], w + &terms[4]];
    (k + 1, terms, sums)
}
