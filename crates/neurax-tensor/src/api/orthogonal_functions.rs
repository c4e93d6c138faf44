//! Bessel functions of integer order, spherical harmonics, and Bernoulli numbers.
//!
//! # Method
//!
//! - `bessel_jn`: Miller's backward recurrence (<https://dlmf.nist.gov/10.74.iv>) for the quotients
//!   `J_k(x) k! / (x/2)^k`, which neither overflow nor vanish at 0; for arguments beyond all
//!   orders, Hankel's expansion (<https://dlmf.nist.gov/10.17.E3>) and the forward recurrence.
//! - `sph_harm_y`: the recurrence of normalized Legendre functions in their degree
//!   (<https://dlmf.nist.gov/14.10.E3>), which is stable.

use super::{
    common::{promote_and_broadcast, tensor_or_error},
    special::in_f64,
};
use crate::{
    DType, Function, Operand, Tensor, concat, custom_tangent, fori, operators::float_operand, scan,
    scan_reverse, tensor::CallSite,
};
use std::{f64::consts::PI, panic::Location};

/// The largest order of Bessel functions and degree of spherical harmonics.
const MOST: usize = 1000;

impl Tensor {
    /// Computes the Bessel functions of the first kind of orders 0 to `order`, element by element,
    /// along a new axis in front. Follows `jax.scipy.special.bessel_jn`.
    ///
    /// Integer and bool operands become f32; floats are computed in f64.
    ///
    /// # Errors
    ///
    /// The result carries an error for complex numbers, and for orders above 1,000.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([0.0, 1.0]).bessel_jn(1);
    /// let want = tensor([[1.0, 0.76519769], [0.0, 0.44005059]]);
    /// assert!(y.allclose(want, 1e-6, 1e-6).item()? == 1.0, "{y}");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn bessel_jn(&self, order: usize) -> Tensor {
        tensor_or_error(bessel_functions(self, order, Location::caller()))
    }

    /// Computes the spherical harmonics of degree `self` and order `m` at polar angle `theta` and
    /// azimuth `phi`, element by element, complex: c128 if an angle is f64, else c64. `most` is the
    /// largest degree; larger degrees yield NaN. Orders beyond the degree yield 0. Follows
    /// `jax.scipy.special.sph_harm_y`.
    ///
    /// # Errors
    ///
    /// The result carries an error if degree or order are no integers, the angles are complex, the
    /// shapes do not broadcast, or `most` is above 1,000.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([0, 1, 2]).sph_harm_y(tensor([0, 1, -1]), 0.5, 1.0, 2);
    /// let want = tensor([0.28209479, -0.08949498, 0.17561907]);
    /// assert!(y.real().allclose(want, 1e-6, 1e-6).item()? == 1.0, "{y}");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn sph_harm_y(
        &self,
        m: impl Operand,
        theta: impl Operand,
        phi: impl Operand,
        most: usize,
    ) -> Tensor {
        let like = Tensor::scalar(DType::F32, 0);
        let angles = [float_operand(theta, &like), float_operand(phi, &like)];
        let orders = [self.clone(), m.operand(self)];
        tensor_or_error(spherical_harmonics(orders, angles, most, Location::caller()))
    }

    /// Creates the Bernoulli numbers B(0) to B(`n`), f32, with B(1) = -1/2. Follows
    /// `scipy.special.bernoulli`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `n` is above 1,000.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let b = Tensor::bernoulli(4);
    /// assert_eq!(b.to_vec::<f32>()?, [1.0, -0.5, 1.0 / 6.0, 0.0, -1.0 / 30.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn bernoulli(n: usize) -> Tensor {
        if let Err(e) = check_most("bernoulli", "numbers", n, Location::caller()) {
            return e;
        }
        let numbers: Vec<f32> = (0..=n).map(|k| bernoulli_number(k) as f32).collect();
        Tensor::from_vec(numbers, [n + 1])
    }
}

/// Returns a Bernoulli number: exact fractions up to 12, then
/// `(-1)^(k/2+1) 2 k! zeta(k) / (2 pi)^k` (<https://dlmf.nist.gov/25.6.E2>).
fn bernoulli_number(k: usize) -> f64 {
    const FIRST: [f64; 7] =
        [1.0, 1.0 / 6.0, -1.0 / 30.0, 1.0 / 42.0, -1.0 / 30.0, 5.0 / 66.0, -691.0 / 2730.0];
    if k == 1 {
        return -0.5;
    }
    if k % 2 == 1 {
        return 0.0;
    }
    if let Some(&first) = FIRST.get(k / 2) {
        return first;
    }
    let zeta: f64 = (1..40).rev().map(|n| f64::from(n).powi(-(k as i32))).sum();
    let size = (1..=k).fold(2.0 * zeta, |x, i| x * i as f64 / (2.0 * PI));
    if k.is_multiple_of(4) { -size } else { size }
}

#[track_caller]
fn bessel_functions(x: &Tensor, order: usize, at: CallSite) -> Result<Tensor, Tensor> {
    check_most("bessel_jn", "order", order, at)?;
    let x = x.real_float("bessel_jn", at)?;
    let function = custom_tangent(
        move |x: Tensor| bessel(&x, order),
        move |(x, _, dx): (Tensor, Tensor, Tensor)| bessel_slope(&x, order) * dx,
    );
    Ok(function.apply(in_f64(&x)).convert(x.dtype(), at))
}

/// Returns an error if a size is above [`MOST`].
fn check_most(op: &str, what: &str, n: usize, at: CallSite) -> Result<(), Tensor> {
    if n <= MOST {
        return Ok(());
    }
    Err(Tensor::fail(op, format!("expected {what} up to {MOST}, got {n}"), at))
}

/// Computes the derivatives of Bessel functions, half the difference of both neighbours.
#[track_caller]
fn bessel_slope(x: &Tensor, order: usize) -> Tensor {
    let next = bessel(x, order + 1);
    let above = next.slice(0, 1..);
    // J(-1) = -J(1).
    let below = concat([-next.slice(0, 1..2), next.slice(0, ..order as i64)], 0);
    (below - above) * 0.5
}

/// Computes the Bessel functions of orders 0 to `order`, in f64.
#[track_caller]
fn bessel(x: &Tensor, order: usize) -> Tensor {
    // Up to this argument, by the backward recurrence.
    let limit = order.max(50) as f64;
    let size = x.abs();
    let is_small = size.le(limit);
    let is_far = size.gt(limit) & size.is_inf().logical_not();
    let near = bessel_backward(&is_small.select(&size, 1), order, limit);
    let far = bessel_forward(&is_far.select(&size, limit), order);
    let value = is_small.select(near, is_far.select(far, 0));
    let signs = order_signs(order, x.rank());
    let value = x.lt(0).select(&value * signs, &value);
    x.is_nan().select(f64::NAN, value)
}

/// Returns 1 and -1 for even and odd orders, along a leading axis.
fn order_signs(order: usize, rank: usize) -> Tensor {
    let signs: Vec<f64> = (0..=order).map(|k| 1.0 - 2.0 * (k % 2) as f64).collect();
    let mut shape = vec![1; rank + 1];
    shape[0] = order + 1;
    Tensor::from_vec(signs, shape)
}

/// The state of the backward recurrence: the quotients of orders `k` and `k + 1`, and twice the sum
/// of the functions of even order from `k` on, in the unit of order `k`.
type Backward = (Tensor, Tensor, Tensor);

/// Computes Bessel functions of `0 <= x <= limit`.
#[track_caller]
fn bessel_backward(x: &Tensor, order: usize, limit: f64) -> Tensor {
    let half = &(x * 0.5);
    // Functions of orders beyond the argument fall fast: from here on, they do not count.
    let start = (limit + 70.0 + 12.0 * limit.cbrt()) as i64;
    let top = order as i64 + 1;
    let state: Backward = (x.ones_like(), x.ones_like(), x.zeros_like());
    let orders = |from: i64, to: i64| {
        Tensor::from_vec((from..to).map(|k| k as f64).collect(), [(to - from) as usize])
    };
    let (state, _) = scan_reverse(state, orders(top + 1, start), |s: Backward, k: Tensor| {
        (step_down(s, &k, half), ())
    });
    let (state, quotients) = scan_reverse(state, orders(1, top + 1), |s: Backward, k: Tensor| {
        let s = step_down(s, &k, half);
        (s.clone(), s.0)
    });
    let unit = (state.0 + state.2).reciprocal();
    let rise = |factor: Tensor, k: Tensor| (&factor * half / (k + 1), factor);
    let (_, units) = scan(unit, orders(0, top), rise);
    quotients * units
}

/// Steps from order `k` to `k - 1`.
#[track_caller]
fn step_down((of_k, of_next, sum): Backward, k: &Tensor, half: &Tensor) -> Backward {
    let lower = &of_k - half.square() * of_next / (k * (k + 1));
    let sum = sum * half / k;
    // The order below an odd one, but not order 0, which counts once.
    let is_summed = (k * 0.5).floor().not_equal(k * 0.5) & k.gt(1);
    let sum = is_summed.select(&sum + &lower * 2, &sum);
    (lower, of_k, sum)
}

/// Computes Bessel functions of arguments beyond the orders and beyond 50.
#[track_caller]
fn bessel_forward(x: &Tensor, order: usize) -> Tensor {
    let state = (hankel(x, 0.0), hankel(x, 1.0));
    let orders = Tensor::arange(order + 1).convert(DType::F64, Location::caller());
    let step = |(of_k, of_next): (Tensor, Tensor), k: Tensor| {
        let after = (k + 1) * 2 / x * &of_next - &of_k;
        ((of_next, after), of_k)
    };
    scan(state, orders, step).1
}

/// Computes the Bessel function of order 0 or 1 for large arguments.
#[track_caller]
fn hankel(x: &Tensor, order: f64) -> Tensor {
    let inverse = x.reciprocal();
    let (mut even, mut odd) = (x.ones_like(), x.zeros_like());
    let (mut term, mut coefficient) = (x.ones_like(), 1.0);
    for k in 1..24 {
        let n = f64::from(2 * k - 1);
        coefficient *= (4.0 * order * order - n * n) / (8.0 * f64::from(k));
        term = &term * &inverse;
        let sign = if k / 2 % 2 == 0 { coefficient } else { -coefficient };
        if k % 2 == 0 {
            even += &term * sign;
        } else {
            odd += &term * sign;
        }
    }
    // Cosine and sine of `x - pi / 4`, or of `x - 3 pi / 4`, times sqrt(2), without rounding it.
    let (sine, cosine) = (x.sin(), x.cos());
    let (sum, difference) = (&sine + &cosine, sine - cosine);
    let (cosine, sine) = if order == 0.0 { (sum, difference) } else { (difference, -sum) };
    (inverse * (1.0 / PI)).sqrt() * (cosine * even - sine * odd)
}

#[track_caller]
fn spherical_harmonics(
    orders: [Tensor; 2],
    angles: [Tensor; 2],
    most: usize,
    at: CallSite,
) -> Result<Tensor, Tensor> {
    const NAME: &str = "sph_harm_y";
    check_most(NAME, "a largest degree", most, at)?;
    for x in &orders {
        let ty = x.type_or_error()?;
        if !ty.dtype.is_int() {
            let why = format!("expected integers as degree and order, got {ty}");
            return Err(Tensor::fail(NAME, why, at));
        }
    }
    let [theta, phi] = &angles;
    let (theta, phi) = (theta.real_float(NAME, at)?, phi.real_float(NAME, at)?);
    let is_wide = theta.dtype() == DType::F64 || phi.dtype() == DType::F64;
    let xs = [&orders[0], &orders[1], &theta, &phi].map(in_f64);
    let xs = promote_and_broadcast(NAME, &xs, at)?;
    let (n, m, theta, phi) = (&xs[0], &xs[1], &xs[2], &xs[3]);
    let size = m.abs();
    let legendre = normalized_legendre(n, &size, theta, most);
    let angle = &size * phi;
    let (re, im) = (&legendre * angle.cos(), legendre * angle.sin());
    // Y(n, -m) = (-1)^m conj(Y(n, m)).
    let is_odd = (&size * 0.5).floor().not_equal(&size * 0.5);
    let is_negative = m.lt(0);
    let flips_re = &is_negative & &is_odd;
    let flips_im = is_negative & is_odd.logical_not();
    let harmonics = flips_re.select(-&re, &re).complex(flips_im.select(-&im, &im));
    Ok(harmonics.convert(if is_wide { DType::C128 } else { DType::C64 }, at))
}

/// Computes Legendre functions of degree `n` and order `m >= 0` of `cos(theta)`, normalized for
/// spherical harmonics.
#[track_caller]
fn normalized_legendre(n: &Tensor, m: &Tensor, theta: &Tensor, most: usize) -> Tensor {
    let x = theta.cos();
    // The function of equal degree and order:
    // (-1)^m sqrt((2m + 1)! / (4 pi)) / (2^m m!) sin(theta)^m.
    let log = ((m * 2 + 2).lgamma() - (4.0 * PI).ln()) * 0.5 - m * 2f64.ln() - (m + 1).lgamma();
    let is_odd = (m * 0.5).floor().not_equal(m * 0.5);
    let power = theta.sin().pow(m);
    let first = log.exp() * is_odd.select(-&power, &power);
    let zero = first.zeros_like();
    let state = (zero.clone(), zero.clone(), zero);
    let (_, _, value) =
        fori(0..most as i64 + 1, state, |degree, s| next_degree(degree, s, [n, m, &x, &first]));
    (n.gt(most as f64) | n.lt(0)).select(f64::NAN, value)
}

/// Steps to `degree` from the functions of the two degrees below, and keeps the one of degree `n`.
#[track_caller]
fn next_degree(
    degree: Tensor,
    (last, before, value): (Tensor, Tensor, Tensor),
    [n, m, x, first]: [&Tensor; 4],
) -> (Tensor, Tensor, Tensor) {
    let l = degree.convert(DType::F64, Location::caller());
    let is_above = m.lt(&l);
    // Divisors are positive above the order.
    let order = is_above.select(m, 0);
    let l_safe = l.maximum(1);
    let square = l_safe.square();
    let low = (&l_safe - 1).square();
    let four = (&square * 4 - 1) / (&square - order.square()).maximum(1e-300);
    let back = (&low - order.square()).maximum(0) / (&low * 4 - 1).abs();
    let next = four.sqrt() * (x * &last - back.sqrt() * before);
    let current = is_above.select(next, m.equal(&l).select(first, 0));
    let value = n.equal(&l).select(&current, value);
    (current, last, value)
}
