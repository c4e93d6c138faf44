//! Polynomials as vectors of coefficients, the highest power first.

use super::{
    common::{located, promote_operands, tensor_or_error},
    signals::{ConvolveMode, sequences},
};
use crate::{DType, Operand, Tensor, concat, scan, tensor::CallSite};
use std::panic::Location;

impl Tensor {
    /// Returns the coefficients of the polynomial whose roots are the elements of a vector, with
    /// leading coefficient 1.
    ///
    /// Integers and bool become f32. Follows `jax.numpy.poly` of a vector.
    ///
    /// # Errors
    ///
    /// The result carries an error if the tensor is neither a vector nor a scalar; of a matrix,
    /// take its eigenvalues first.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1.0, 2.0]).poly().to_vec::<f32>()?, [1.0, -3.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn poly(&self) -> Tensor {
        let at = Location::caller();
        let poly = || {
            let ty = self.type_or_error()?;
            if ty.rank() > 1 {
                let why = format!("expected a vector of roots, got {ty}");
                return Err(Tensor::fail("poly", why, at));
            }
            let (roots, dtype) = self.flatten().float(at).wide(at);
            let one = Tensor::ones_of(roots.dtype(), 1);
            let n = roots.size();
            if n == 0 {
                return Ok(one.convert(dtype, at));
            }
            let start = concat([one, Tensor::zeros_of(roots.dtype(), n)], 0);
            Ok(scan(start, roots, |c, root| located(at, &[], || times_root(c, root)))
                .0
                .convert(dtype, at))
        };
        located(at, &[self], || tensor_or_error(poly()))
    }

    /// Computes the sum of two polynomials, vectors of coefficients. Dtypes are promoted. Follows
    /// `jax.numpy.polyadd`.
    ///
    /// # Errors
    ///
    /// The result carries an error if an operand is not a vector.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1, 2, 3]).polyadd(&tensor([1, 1])).to_vec::<i32>()?, [1, 3, 4]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn polyadd(&self, other: &Tensor) -> Tensor {
        match aligned("polyadd", self, other, Location::caller()) {
            Ok((x, y)) => x + y,
            Err(e) => e,
        }
    }

    /// Computes the difference of two polynomials, vectors of coefficients. Dtypes are promoted.
    /// Follows `jax.numpy.polysub`.
    ///
    /// # Errors
    ///
    /// The result carries an error if an operand is not a vector.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1, 2, 3]).polysub(&tensor([1, 1])).to_vec::<i32>()?, [1, 1, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn polysub(&self, other: &Tensor) -> Tensor {
        match aligned("polysub", self, other, Location::caller()) {
            Ok((x, y)) => x - y,
            Err(e) => e,
        }
    }

    /// Computes the product of two polynomials, vectors of coefficients.
    ///
    /// Integers and bool become f32. Follows `jax.numpy.polymul`.
    ///
    /// # Errors
    ///
    /// The result carries an error if an operand is not a vector, or has no element.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([1.0, 2.0]).polymul(&tensor([1.0, -2.0]));
    /// assert_eq!(y.to_vec::<f32>()?, [1.0, 0.0, -4.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn polymul(&self, other: &Tensor) -> Tensor {
        let at = Location::caller();
        match sequences("polymul", self, other, at) {
            Ok((x, y)) => x.convolve(&y, ConvolveMode::Full),
            Err(e) => e,
        }
    }

    /// Computes the quotient and the remainder of two polynomials, vectors of coefficients.
    ///
    /// The remainder has the length of `self`; its first coefficients are 0 but for rounding.
    /// Integers and bool become f32. Follows `jax.numpy.polydiv`.
    ///
    /// # Errors
    ///
    /// Both results carry an error if an operand is not a vector, or has no element.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (quotient, remainder) = tensor([1.0, 0.0, -3.0]).polydiv(&tensor([1.0, 2.0]));
    /// assert_eq!(quotient.to_vec::<f32>()?, [1.0, -2.0]);
    /// assert_eq!(remainder.to_vec::<f32>()?, [0.0, 0.0, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn polydiv(&self, other: &Tensor) -> (Tensor, Tensor) {
        let at = Location::caller();
        let divide = || {
            let (x, y) = sequences("polydiv", self, other, at)?;
            let ((x, dtype), (y, _)) = (x.wide(at), y.wide(at));
            let (n, m) = (x.size(), y.size());
            if n < m {
                return Ok((Tensor::zeros_of(dtype, 1), x.convert(dtype, at)));
            }
            let scale = 1.0 / y.get(0);
            let padded = concat([&y, &Tensor::zeros_of(y.dtype(), n - m)], 0);
            let steps = Tensor::arange(n - m + 1);
            let ((_, _, rest), quotient) = scan((padded, scale, x), steps, |carry, _| {
                located(at, &[], || division_step(carry))
            });
            // After all steps the rest has moved to the front; the entries behind it are those that
            // were cancelled.
            let rest = rest.roll((n - m + 1) as i64, 0);
            Ok((quotient.convert(dtype, at), rest.convert(dtype, at)))
        };
        located(at, &[self, other], || divide().unwrap_or_else(|e: Tensor| (e.clone(), e)))
    }

    /// Computes the derivative of order `order` of a polynomial, a vector of coefficients.
    ///
    /// Integers and bool become f32. Follows `jax.numpy.polyder`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the tensor is not a vector.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1.0, 2.0, 3.0]).polyder(1).to_vec::<f32>()?, [2.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn polyder(&self, order: usize) -> Tensor {
        let at = Location::caller();
        let derive = || {
            let n = length("polyder", self, at)?;
            let x = self.clone().float(at);
            if order == 0 {
                return Ok(x);
            }
            let kept = n.saturating_sub(order);
            let powers = Tensor::arange(kept) + order.min(n);
            let factors = falling(powers, order.min(n), x.dtype(), at);
            Ok(x.slice(0, ..kept as i64) * factors.flip(0))
        };
        located(at, &[self], || tensor_or_error(derive()))
    }

    /// Computes the integral of order `order` of a polynomial, a vector of coefficients, with the
    /// constants of integration `constants`: a number, or a vector of `order` elements, that of the
    /// first integration first.
    ///
    /// Integers and bool become f32. Follows `jax.numpy.polyint`, whose default constant is 0.
    ///
    /// # Errors
    ///
    /// The result carries an error if the tensor is not a vector, or if there are not `order`
    /// constants.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([2.0, 2.0]).polyint(1, 5).to_vec::<f32>()?, [1.0, 2.0, 5.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn polyint(&self, order: usize, constants: impl Operand) -> Tensor {
        let (op, at, x) = ("polyint", Location::caller(), self.clone().float(Location::caller()));
        let constants = constants.operand(&x);
        let integrate = || {
            let n = length(op, &x, at)?;
            let constants = constants.clone().float(at);
            let both = promote_operands(op, &[x.clone(), constants], at)?;
            if order == 0 {
                return Ok(both[0].clone());
            }
            let constants = both[1].flatten();
            let given = both[1].type_or_error()?;
            if given.rank() > 1 || given.size() != 1 && given.size() != order {
                let why = format!("expected one constant or a vector of {order}, got {given}");
                return Err(Tensor::fail(op, why, at));
            }
            let all = concat([&both[0], &constants.broadcast_to(order)], 0);
            let powers = Tensor::arange(n.saturating_add(order));
            Ok(&all / falling(powers, order, all.dtype(), at).flip(0))
        };
        located(at, &[&x, &constants], || tensor_or_error(integrate()))
    }
}

/// Multiplies a polynomial by `x - root`. It has zeros at its end, of which one is used up.
fn times_root(coefficients: Tensor, root: Tensor) -> (Tensor, ()) {
    let zero = coefficients.slice(0, ..1).zeros_like();
    let shifted = concat([&zero, &coefficients.slice(0, ..-1)], 0);
    (coefficients - shifted * root, ())
}

/// Subtracts the multiple of the divisor that cancels the first coefficient of the rest, which is
/// then rotated to its end. Returns the factor.
fn division_step(
    (divisor, scale, rest): (Tensor, Tensor, Tensor),
) -> ((Tensor, Tensor, Tensor), Tensor) {
    let factor = rest.get(0) * &scale;
    let rest = (rest - &divisor * &factor).roll(-1, 0);
    ((divisor, scale, rest), factor)
}

/// Returns the products of `count` factors `power, power - 1, ..`, each at least 1.
#[track_caller]
fn falling(powers: Tensor, count: usize, dtype: DType, at: CallSite) -> Tensor {
    let wide = dtype.at_least_f32();
    let factors = powers.expand_dims(0) - Tensor::arange(count).expand_dims(1);
    factors.maximum(1).convert(wide, at).prod(0).convert(dtype, at)
}

/// Returns the length of a vector.
///
/// # Errors
///
/// Returns a tensor that carries the error of `op` for other ranks.
fn length(op: &str, x: &Tensor, at: CallSite) -> Result<usize, Tensor> {
    match x.type_or_error()?.shape[..] {
        [n] => Ok(n),
        _ => {
            let why = format!("expected a vector of coefficients, got {}", x.dtype_and_shape());
            Err(Tensor::fail(op, why, at))
        }
    }
}

/// Converts two vectors to one dtype, and pads the shorter one at its front with zeros.
#[track_caller]
fn aligned(op: &str, x: &Tensor, y: &Tensor, at: CallSite) -> Result<(Tensor, Tensor), Tensor> {
    let n = length(op, x, at)?.max(length(op, y, at)?);
    let both = promote_operands(op, &[x.clone(), y.clone()], at)?;
    let widths = |x: &Tensor| [(n - x.size(), 0)];
    let (x, y) = (&both[0], &both[1]);
    Ok((x.pad(widths(x), false), y.pad(widths(y), false)))
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    fn floats(x: &Tensor) -> Vec<f32> {
        x.to_vec().unwrap()
    }

    #[test]
    fn quotients_times_divisors_are_dividends() {
        let x = tensor([2.0, -3.0, 0.5, 4.0, 1.0]);
        for y in [tensor([2.0]), tensor([1.0, 2.0]), tensor([4.0, 0.0, -1.0, 2.0, 1.0])] {
            let (quotient, rest) = x.polydiv(&y);
            let back = quotient.polymul(&y).polyadd(&rest);
            assert_eq!(floats(&back), floats(&x));
            assert_eq!(rest.shape(), [5]);
        }
        let (quotient, rest) = tensor([1.0]).polydiv(&tensor([1.0, 2.0]));
        assert_eq!((floats(&quotient), floats(&rest)), (vec![0.0], vec![1.0]));
    }

    #[test]
    fn derivatives_undo_integrals() {
        let x = tensor([3.0, 2.0, 1.0]);
        let integral = x.polyint(2, tensor([6.0, 5.0]));
        assert_eq!(floats(&integral), [0.25, 1.0 / 3.0, 0.5, 6.0, 5.0]);
        assert!(integral.polyder(2).allclose(&x, 1e-6, 0.0).item().unwrap() == 1.0);
        assert_eq!(floats(&x.polyder(0)), floats(&x));
        assert_eq!(floats(&x.polyint(0, 0)), floats(&x));
        assert_eq!(x.polyder(3).shape(), [0]);
        assert_eq!(x.polyder(usize::MAX).shape(), [0]);
        assert_eq!(floats(&tensor([1, 0, 0]).polyder(2)), [2.0]);
    }

    #[test]
    fn polynomials_of_roots() {
        assert_eq!(floats(&Tensor::zeros([0]).poly()), [1.0]);
        assert_eq!(floats(&tensor([1, 2, 3]).poly()), [1.0, -6.0, 11.0, -6.0]);
        assert_eq!(floats(&tensor(2.0).poly()), [1.0, -2.0]);
        let roots = tensor([0.5, -1.5, 2.0]);
        assert!(roots.polyval(&roots.poly()).abs().max(..).item().unwrap() < 1e-5);
    }

    #[test]
    fn misuse_is_an_error() {
        let say = |x: Tensor| x.error().unwrap().to_string();
        let (x, m) = (tensor([1.0, 2.0]), tensor([[1.0]]));
        assert!(say(m.poly()).contains("expected a vector of roots, got f32[1, 1]"));
        assert!(say(x.polyadd(&m)).contains("expected a vector of coefficients"));
        assert!(say(x.polymul(&m)).contains("expected vectors of at least one element"));
        assert!(say(x.polydiv(&Tensor::zeros([0])).0).contains("at least one element"));
        assert!(say(m.polyder(1)).contains("expected a vector of coefficients"));
        assert!(say(x.polyint(3, tensor([1.0, 2.0]))).contains("a vector of 3, got f32[2]"));
    }
}
