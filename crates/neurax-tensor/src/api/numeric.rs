//! Functions of numbers that are made of several operations.

use super::{
    common::{example, formulas, promote_and_broadcast, tensor_or_error},
    sort::Side,
};
use crate::{Operand, Tensor, tensor::At};
use neurax_ir::{Kind, op::Binary};
use std::panic::Location;

/// Functions of two real operands by a formula, as floats, with promotion and broadcasting.
macro_rules! pair_formulas {
    ($($f:ident($x:ident, $y:ident) = $e:expr, $doc:literal, $code:literal => $value:literal;)*) => {
        impl Tensor {$(
            #[doc = $doc]
            ///
            /// Element by element, with promotion and broadcasting; integers and bool give f32.
            #[doc = example!($code => $value)]
            #[track_caller]
            pub fn $f(&self, other: impl Operand) -> Tensor {
                match float_pair(stringify!($f), self, other, Location::caller()) {
                    Ok(($x, $y)) => $e,
                    Err(e) => e,
                }
            }
        )*}
    };
}

/// Two real operands as floats of one type.
#[track_caller]
fn float_pair(op: &str, x: &Tensor, y: impl Operand, at: At) -> Result<(Tensor, Tensor), Tensor> {
    let y = y.operand(x);
    let (x, y) = (x.real_float(op, at)?, y.real_float(op, at)?);
    match <[Tensor; 2]>::try_from(promote_and_broadcast(op, &[x, y], at)?) {
        Ok([x, y]) => Ok((x, y)),
        Err(_) => Err(Tensor::fail(op, "expected two operands", at)),
    }
}

pair_formulas! {
    atan2(y, x) = y.binary(x, Binary::Atan2, Location::caller()),
        "The angle of the point with ordinate `self` and abscissa `other`, in radians from minus pi to pi.",
        "tensor([1.0, 0.0]).atan2(tensor([1.0, -1.0]))" => "[0.7853982, 3.1415927]";
    hypot(x, y) = hypot(x, y),
        "`sqrt(x^2 + y^2)`, without overflow; its derivative at `(0, 0)` is taken as 0.",
        "tensor([3.0, 3e30]).hypot(tensor([4.0, 4e30])) / tensor([1.0, 1e30])" => "[5.0, 5.0]";
    logaddexp(x, y) = logaddexp(x, y),
        "`log(e^x + e^y)`, without overflow.",
        "tensor([0.0, 1000.0]).logaddexp(tensor([0.0, 999.0]))" => "[0.6931472, 1000.31326]";
    logaddexp2(x, y) = (x * std::f64::consts::LN_2).logaddexp(y * std::f64::consts::LN_2) * std::f64::consts::LOG2_E,
        "`log2(2^x + 2^y)`, without overflow.",
        "tensor([3.0]).logaddexp2(3.0)" => "[4.0]";
    float_power(x, y) = x.pow(y),
        "`x^y` in floats, of integers, too.",
        "tensor([2, 4]).float_power(tensor([-1.0, 0.5]))" => "[0.5, 2.0]";
    copysign(x, y) = y.signbit().select(-x.abs(), x.abs()),
        "The absolute value of `x` with the sign of `y`; that of -0 counts.",
        "tensor([2.0, -3.0]).copysign(tensor([-0.0, 1.0]))" => "[-2.0, 3.0]";
    nextafter(x, y) = x.binary(y, Binary::NextAfter, Location::caller()),
        "The next number of the dtype after `x` towards `y`. It has no derivative.",
        "tensor([1.0]).nextafter(2.0) - 1.0" => "[1.1920929e-7]";
    polygamma(n, x) = n.binary(x, Binary::Polygamma, Location::caller()),
        "The derivative number `self`, a whole number, of [`Tensor::digamma`] at `other`.",
        "tensor([1.0, 2.0]).polygamma(1.0)" => "[1.644934, -2.4041138]";
    xlogy(x, y) = { let zero = x.equal(0); zero.select(0, &x * zero.select(1, y).log()) },
        "`x log(y)`, and 0 where `x` is 0.",
        "tensor([0.0, 2.0]).xlogy(tensor([0.0, 1.0]))" => "[0.0, 0.0]";
    xlog1py(x, y) = { let zero = x.equal(0); zero.select(0, &x * zero.select(0, y).log1p()) },
        "`x log(1 + y)`, and 0 where `x` is 0.",
        "tensor([0.0, 2.0]).xlog1py(tensor([-1.0, 0.0]))" => "[0.0, 0.0]";
    heaviside(x, y) = x.is_nan().select(&x, x.equal(0).select(y, x.gt(0).select(x.ones_like(), 0))),
        "0 below 0, 1 above, and `other` at 0.",
        "tensor([-2.0, 0.0, 2.0]).heaviside(0.5)" => "[0.0, 0.5, 1.0]";
}

// Both choose a branch by comparing instead of taking the maximum: each branch is right on both
// sides of a tie, and so are all its derivatives.

#[track_caller]
fn hypot(x: Tensor, y: Tensor) -> Tensor {
    let swap = x.abs().gt(y.abs());
    let (high, low) = (swap.select(&x, &y), swap.select(&y, &x));
    let zero = high.equal(0);
    let divisor = zero.select(1, high);
    let length = zero.select(0, divisor.abs() * ((low / &divisor).square() + 1.0).sqrt());
    // An infinite side makes it infinite, whatever the other is.
    (x.is_inf() | y.is_inf()).select(f64::INFINITY, length)
}

#[track_caller]
fn logaddexp(x: Tensor, y: Tensor) -> Tensor {
    let swap = x.gt(&y);
    let (high, low) = (swap.select(&x, &y), swap.select(&y, &x));
    // Equal infinities have no difference; what is added to them does not matter.
    let finite = high.is_inf().logical_not();
    let distance = finite.select(low, 0) - finite.select(&high, 0);
    high + distance.exp().log1p()
}

formulas! {
    sinc(x) = sinc(&(x * std::f64::consts::PI)),
        "`sin(pi x) / (pi x)`, and 1 at 0, with all its derivatives there.",
        "tensor([0.0, 0.5, 1.0]).sinc()" => "[1.0, 0.63661975, 0.0]";
    ndtr(x) = (x * -std::f64::consts::FRAC_1_SQRT_2).erfc() * 0.5,
        "The normal distribution function: how likely a normal number of mean 0 and variance 1 is below `x`. Element by element; integers and bool give f32.",
        "tensor([0, 1]).ndtr()" => "[0.5, 0.8413447]";
    signbit(x) = if x.dtype().is_float() { x.lt(0) | (x.equal(0) & x.reciprocal().lt(0)) } else { x.lt(0) },
        "Is the sign minus? That of -0 counts; NaN has none. Element by element; gives bool.",
        "tensor([-2.0, -0.0, 0.0]).signbit()" => "[true, true, false]";
}

#[track_caller]
fn sinc(x: &Tensor) -> Tensor {
    // Near 0 the series, so that higher derivatives are right, too; its next term is below the
    // precision of f64.
    let near = x.abs().lt(0.1);
    let xx = near.select(x, 0).square();
    let mut series = xx.ones_like();
    for i in [8.0, 6.0, 4.0, 2.0] {
        series = &xx * series * (-1.0 / (i * (i + 1.0))) + 1.0;
    }
    let far = near.select(1, x);
    near.select(series, far.sin() / &far)
}

impl Tensor {
    /// The quotient rounded down, element by element, with promotion and broadcasting. Integers
    /// give integers (by 0: -1, all bits set).
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([7, -7]).floor_divide(2).to_vec::<i32>()?, [3, -4]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn floor_divide(&self, other: impl Operand) -> Tensor {
        let at = Location::caller();
        let other = other.operand(self);
        match promote_and_broadcast("floor_divide", &[self.clone(), other], at).as_deref() {
            Ok([x, y]) if x.dtype().is_float() => (x / y).floor(),
            Ok([x, y]) => {
                let q = x.clone().binary(y.clone(), Binary::Div, at);
                let rest = x % y;
                // Truncation rounded up where there is a rest and the signs differ.
                let up = rest.not_equal(0) & y.not_equal(0) & rest.lt(0).not_equal(y.lt(0));
                &q - up.convert(q.dtype(), at)
            }
            Ok(_) => self.clone(),
            Err(e) => e.clone(),
        }
    }

    /// The remainder with the sign of `other`, as Python's `%`: `x - y floor(x / y)`, element by
    /// element, with promotion and broadcasting.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([5, -5]).remainder(3).to_vec::<i32>()?, [2, 1]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn remainder(&self, other: impl Operand) -> Tensor {
        let at = Location::caller();
        let other = other.operand(self);
        match promote_and_broadcast("remainder", &[self.clone(), other], at).as_deref() {
            Ok([x, y]) => {
                let rest = x % y;
                let shift = rest.not_equal(0) & rest.lt(0).not_equal(y.lt(0));
                shift.select(&rest + y, &rest)
            }
            Ok(_) => self.clone(),
            Err(e) => e.clone(),
        }
    }

    /// NaN replaced by 0 and infinities by the largest finite numbers of the dtype, element by
    /// element; of complex numbers, both parts.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([f32::NAN, 1.0, -f32::INFINITY]).nan_to_num().to_vec::<f32>()?, [0.0, 1.0, f32::MIN]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn nan_to_num(&self) -> Tensor {
        if self.dtype().kind() == Kind::Complex {
            return self.real().nan_to_num().complex(self.imag().nan_to_num());
        }
        if !self.dtype().is_float() {
            return self.clone();
        }
        let infinite = self.is_inf();
        // The finite neighbours of the infinities.
        let at = Location::caller();
        let finite = crate::stop_gradient(self).binary(self.zeros_like(), Binary::NextAfter, at);
        let x = infinite.select(finite, self);
        self.is_nan().select(0, x)
    }

    /// `x + weight (other - x)`, element by element: from `x` at 0 to `other` at 1.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([0.0, 10.0]).lerp(tensor([4.0, 20.0]), 0.25).to_vec::<f32>()?, [1.0, 12.5]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn lerp(&self, other: impl Operand, weight: impl Operand) -> Tensor {
        let other = other.operand(self);
        let weight = weight.operand(self);
        self + weight * (other - self)
    }

    /// The value at `self` of the polynomial with those coefficients (a vector), the highest power
    /// first.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([2.0, 3.0]).polyval(&tensor([1.0, 0.0, -1.0])).to_vec::<f32>()?, [3.0, 8.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn polyval(&self, coefficients: &Tensor) -> Tensor {
        let at = Location::caller();
        let n = match coefficients.type_or_error().map(|t| (t.rank(), t.size())) {
            Ok((1, n)) => n,
            Ok(_) => {
                return Tensor::fail(
                    "polyval",
                    format!(
                        "expected a vector of coefficients, got {}",
                        coefficients.dtype_and_shape()
                    ),
                    at,
                );
            }
            Err(e) => return e,
        };
        let mut y = self.zeros_like();
        for i in 0..n {
            y = y * self + coefficients.get(i);
        }
        y
    }

    /// The values at `self` of the function that goes in straight lines through the points `(xs,
    /// ys)`, constant beyond them. `xs` is an ascending vector, `ys` a vector of as many values.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (xs, ys) = (tensor([0.0, 1.0, 3.0]), tensor([0.0, 10.0, 30.0]));
    /// assert_eq!(tensor([-1.0, 0.5, 2.0, 9.0]).interp(&xs, &ys).to_vec::<f32>()?, [0.0, 5.0, 20.0, 30.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn interp(&self, xs: &Tensor, ys: &Tensor) -> Tensor {
        tensor_or_error(self.try_interp(xs, ys))
    }

    #[track_caller]
    fn try_interp(&self, xs: &Tensor, ys: &Tensor) -> Result<Tensor, Tensor> {
        let at = Location::caller();
        let (a, b) = (xs.type_or_error()?, ys.type_or_error()?);
        if a.rank() != 1 || a.shape != b.shape || a.size() == 0 {
            return Err(Tensor::fail(
                "interp",
                format!("expected two vectors of one length of at least 1, got {a} and {b}"),
                at,
            ));
        }
        let last = a.size() as i64 - 1;
        let (x, xs, ys) =
            (self.real_float("interp", at)?, xs.real_float("interp", at)?, ys.clone().float(at));
        let right = xs.searchsorted(&x, Side::Right).clip(last.min(1), last);
        let left = (&right - last.min(1)).clip(0, last);
        let (x0, x1) = (xs.take(&left, 0), xs.take(&right, 0));
        let (y0, y1) = (ys.take(&left, 0), ys.take(&right, 0));
        let width = &x1 - &x0;
        let flat = width.equal(0);
        let weight = ((x - x0) / flat.select(1, width)).clip(0, 1);
        Ok(flat.select(&y0, &y0 + weight * (y1 - &y0)))
    }
}
