//! Incomplete gamma and beta functions, the zeta function, exponential integrals of every order.
//!
//! # Method
//!
//! All but `expn` are one op each (`crates/neurax-ir/src/op/special/`). `expn` sums the series
//! around 0 (<https://dlmf.nist.gov/8.19.E8>) up to 1, and above evaluates a continued fraction
//! (<https://dlmf.nist.gov/8.19.E17>) from its far end.

use super::{
    common::{example, promote_and_broadcast, tensor_or_error},
    numeric::float_pair,
};
use crate::{
    DType, Function, Operand, Tensor, custom_tangent, dispatch::dispatch, fori,
    operators::float_operand, tensor::CallSite,
};
use neurax_ir::op::{Binary, IncompleteBeta};
use std::panic::Location;

/// A table of functions of two real operands that are one op. A row is
/// `name = Op, "doc", "code" => "value";`.
macro_rules! ops_of_two {
    ($($f:ident = $Op:ident, $doc:literal, $code:literal => $value:literal;)*) => {
        impl Tensor {$(
            #[doc = $doc]
            #[doc = "\nWorks element by element, with promotion and broadcasting. Integers and \
                     bool are converted to f32, or to the float dtype of the other operand; \
                     complex numbers are an error."]
            #[doc = example!($code => $value)]
            #[track_caller]
            pub fn $f(&self, other: impl Operand) -> Tensor {
                let at = Location::caller();
                match float_pair(stringify!($f), self, other, at) {
                    Ok((x, y)) => dispatch(Binary::$Op, [x, y], at),
                    Err(e) => e,
                }
            }
        )*}
    };
}

ops_of_two! {
    gammainc = Igamma,
        "Computes the regularized lower incomplete gamma function of parameter `self` at `other`: \
         the distribution function of the gamma distribution with shape `self`. NaN for negative \
         operands. Follows `scipy.special.gammainc`.",
        "tensor([1.0, 3.0]).gammainc(tensor([1.0, 3.0]))" => "[0.63212056, 0.57680992]";
    gammaincc = Igammac,
        "Computes the regularized upper incomplete gamma function, 1 minus [`Tensor::gammainc`], \
         without loss of digits where it is small. Follows `scipy.special.gammaincc`.",
        "tensor([1.0, 3.0]).gammaincc(tensor([20.0, 3.0])) * tensor([1e9, 1.0])" =>
            "[2.0611536, 0.42319008]";
    igamma_grad_a = IgammaGradA,
        "Computes the derivative of [`Tensor::gammainc`] by its parameter, `self`, at `other`. It \
         has no derivative by `self`. Follows `jax.lax.igamma_grad_a`.",
        "tensor([1.0, 3.0]).igamma_grad_a(tensor([1.0, 3.0]))" => "[-0.43172971, -0.23681823]";
    random_gamma_grad = RandomGammaGrad,
        "Computes the derivative of a sample `other` of the gamma distribution by the shape \
         parameter, `self`: the sample moves so that [`Tensor::gammainc`] stays. It has no \
         derivative by `self`. Follows `jax.lax.random_gamma_grad`.",
        "tensor([1.0, 3.0]).random_gamma_grad(tensor([1.0, 3.0]))" => "[1.1735630, 1.0570270]";
    zeta = Zeta,
        "Computes the Hurwitz zeta function of order `self` at `other`: the sum of \
         `(other + k)^-self` over `k = 0, 1, ..`; with `other` 1 it is the Riemann zeta function. \
         Infinite for order 1 and at the poles 0, -1, ..; NaN below order 1, and for other \
         negative `other` unless the order is a whole number. It has no derivative by `self`. \
         Follows `scipy.special.zeta`.",
        "tensor([2.0, 3.0]).zeta(tensor([1.0, 0.5]))" => "[1.6449341, 8.4143982]";
}

impl Tensor {
    /// Computes the regularized incomplete beta function of parameters `self` and `b` at `x`,
    /// element by element: the distribution function of the beta distribution. NaN for negative
    /// parameters and for `x` outside of 0 to 1. Follows `scipy.special.betainc`.
    ///
    /// The operands broadcast and have the dtype to which they promote; integers and bool are
    /// converted to f32. There is no derivative by the parameters.
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
    /// let y = tensor([2.0, 0.5]).betainc(3.0, tensor([0.25, 0.25]));
    /// assert!(y.allclose(tensor([0.26171875, 0.79296875]), 1e-6, 1e-6).item()? == 1.0, "{y}");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn betainc(&self, b: impl Operand, x: impl Operand) -> Tensor {
        let at = Location::caller();
        let [b, x] = [float_operand(b, self), float_operand(x, self)];
        tensor_or_error(betainc([self.clone(), b, x], at))
    }

    /// Computes the exponential integral of order `self` at `x`, element by element: the integral
    /// of `e^(-x t) / t^n` over `t` from 1 on. Infinite at 0 for the orders 0 and 1, NaN below 0.
    /// Follows `scipy.special.expn`.
    ///
    /// The operands broadcast; the result has the dtype of `x`, integers and bool are converted to
    /// f32.
    ///
    /// # Errors
    ///
    /// The result carries an error if the orders are no integers, `x` is complex, or their shapes
    /// do not broadcast. Negative orders yield NaN.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([0, 1, 2]).expn(tensor([0.5, 0.5, 3.0]));
    /// let want = tensor([1.2130613, 0.55977359, 0.010641925]);
    /// assert!(y.allclose(want, 1e-6, 1e-6).item()? == 1.0, "{y}");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn expn(&self, x: impl Operand) -> Tensor {
        let at = Location::caller();
        let x = float_operand(x, &Tensor::scalar(DType::F32, 0));
        tensor_or_error(exponential_integrals(self, &x, at))
    }
}

#[track_caller]
fn betainc(xs: [Tensor; 3], at: CallSite) -> Result<Tensor, Tensor> {
    let mut floats = vec![];
    for x in &xs {
        floats.push(x.real_float("betainc", at)?);
    }
    Ok(dispatch(IncompleteBeta {}, promote_and_broadcast("betainc", &floats, at)?, at))
}

#[track_caller]
fn exponential_integrals(n: &Tensor, x: &Tensor, at: CallSite) -> Result<Tensor, Tensor> {
    let ty = n.type_or_error()?;
    if !ty.dtype.is_int() {
        let why = format!("expected integers as the orders, got {ty}; convert them with `to(I32)`");
        return Err(Tensor::fail("expn", why, at));
    }
    let x = x.real_float("expn", at)?;
    let dtype = x.dtype();
    let (n, x) = (n.convert(DType::F64, at), x.convert(DType::F64, at));
    let both = promote_and_broadcast("expn", &[n, x], at)?;
    let integral = custom_tangent(
        |(n, x): (Tensor, Tensor)| expn(&n, &x),
        |((n, x), _, (_, dx)): ((Tensor, Tensor), Tensor, (Tensor, Tensor))| dx * slope(&n, &x),
    );
    Ok(integral.apply((both[0].clone(), both[1].clone())).convert(dtype, at))
}

/// Computes the derivative of [`expn`] by `x`: minus the function of the next lower order.
#[track_caller]
fn slope(n: &Tensor, x: &Tensor) -> Tensor {
    let lower = expn(&(n - 1).maximum(0), x);
    // The order -1 has a closed form.
    let lowest = (-x).exp() * (x + 1) / x.square();
    -n.equal(0).select(lowest, lower)
}

/// Computes exponential integrals of whole orders, in f64.
#[track_caller]
fn expn(n: &Tensor, x: &Tensor) -> Tensor {
    let is_small = x.le(1);
    let inside = is_small & x.gt(0) & n.ge(1);
    let near = expn_near(&inside.select(n, 1), &inside.select(x, 1));
    let is_far = x.gt(1);
    let far = expn_far(&n.maximum(0), &is_far.select(x, 2)) * (-x).exp();
    let value = is_far.select(far, near);
    let value = n.equal(0).select((-x).exp() / x, value);
    let at_zero = n.le(1).select(f64::INFINITY, (n - 1).reciprocal());
    let value = x.equal(0).select(at_zero, value);
    (n.lt(0) | x.lt(0) | x.is_nan()).select(f64::NAN, value)
}

/// Computes exponential integrals of orders from 1 on, for `0 < x <= 1`.
#[track_caller]
fn expn_near(n: &Tensor, x: &Tensor) -> Tensor {
    let power = n - 1;
    let parity = &power - (&power * 0.5).floor() * 2;
    let size = (&power * x.log() - n.lgamma()).exp();
    let first = (1 - parity * 2) * size * (n.digamma() - x.log());
    let start = (x.ones_like(), x.zeros_like());
    let (_, sum) = fori(0..24, start, |k, s| add_term(k, s, &power, x));
    first - sum
}

/// Adds `(-x)^k / k! / (k - power)` to a sum, unless the divisor is 0; the state is
/// `((-x)^k / k!, sum)`.
#[track_caller]
fn add_term(
    k: Tensor,
    (term, sum): (Tensor, Tensor),
    power: &Tensor,
    x: &Tensor,
) -> (Tensor, Tensor) {
    let k = k.convert(DType::F64, Location::caller());
    let divisor = &k - power;
    let is_pole = divisor.equal(0);
    let summand = is_pole.select(0, &term / is_pole.select(1, &divisor));
    (term * -x / (k + 1), sum + summand)
}

/// Computes `e^x` times exponential integrals, for `x > 1`.
#[track_caller]
fn expn_far(n: &Tensor, x: &Tensor) -> Tensor {
    // Enough for x = 1, where it converges most slowly.
    const PARTS: i64 = 120;
    let first = x + n;
    let end = &first + (2 * PARTS) as f64;
    fori(0..PARTS, end, |i, tail| add_part(i, tail, PARTS, n, &first)).reciprocal()
}

/// Puts the next part in front of the tail of a continued fraction, from the last one to the first:
/// `b_(i-1) - i (n + i - 1) / tail` with `b_i = first + 2 i`.
#[track_caller]
fn add_part(count: Tensor, tail: Tensor, parts: i64, n: &Tensor, first: &Tensor) -> Tensor {
    let i = -count.convert(DType::F64, Location::caller()) + parts as f64;
    first + (&i - 1) * 2 - &i * (n + &i - 1) / tail
}
