//! Divisors, multiples and high products of integers.

use super::common::{located, promote_and_broadcast};
use crate::{DType, Operand, Tensor, tensor::CallSite, while_loop};
use neurax_ir::{Kind, op::Binary};
use std::panic::Location;

impl Tensor {
    /// Computes the greatest common divisor of integers, element by element, with promotion and
    /// broadcasting; 0 if both are 0. It is not negative.
    ///
    /// Euclid's algorithm runs until it ends for all elements. Follows `jax.numpy.gcd`.
    ///
    /// # Errors
    ///
    /// The result carries an error for dtypes other than integers.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([12, -18, 0]).gcd(8).to_vec::<i32>()?, [4, 2, 8]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn gcd(&self, other: impl Operand) -> Tensor {
        let at = Location::caller();
        match integer_pair("gcd", self, other, at) {
            Ok((x, y)) => divisor(x.abs(), y.abs(), at),
            Err(e) => e,
        }
    }

    /// Computes the least common multiple of integers, element by element, with promotion and
    /// broadcasting; 0 if one is 0. It wraps around if the dtype does not hold it.
    ///
    /// Follows `jax.numpy.lcm`.
    ///
    /// # Errors
    ///
    /// The result carries an error for dtypes other than integers.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([4, -6, 0]).lcm(10).to_vec::<i32>()?, [20, 30, 0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn lcm(&self, other: impl Operand) -> Tensor {
        let at = Location::caller();
        match integer_pair("lcm", self, other, at) {
            Ok((x, y)) => {
                let (x, y) = (x.abs(), y.abs());
                let divisor = divisor(x.clone(), y.clone(), at);
                let is_zero = divisor.equal(0);
                let quotient = y.binary(is_zero.select(1, divisor), Binary::Div, at);
                is_zero.select(0, x * quotient)
            }
            Err(e) => e,
        }
    }

    /// Computes the high half of the product of integers, element by element, with promotion and
    /// broadcasting: the product divided by `2^bits`, rounded down, for a dtype of `bits` bits.
    ///
    /// Follows `jax.lax.mulhi`.
    ///
    /// # Errors
    ///
    /// The result carries an error for dtypes other than integers.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1 << 20, -1, 3]);
    /// assert_eq!(x.mulhi(1 << 20).to_vec::<i32>()?, [256, -1, 0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn mulhi(&self, other: impl Operand) -> Tensor {
        let at = Location::caller();
        match integer_pair("mulhi", self, other, at) {
            Ok((x, y)) => located(at, &[&x, &y], || high_product(&x, &y, at)),
            Err(e) => e,
        }
    }
}

/// Converts two operands to integers of one dtype and shape.
///
/// # Errors
///
/// Returns a tensor that carries the error of `op` for other dtypes.
#[track_caller]
fn integer_pair(
    op: &str,
    x: &Tensor,
    y: impl Operand,
    at: CallSite,
) -> Result<(Tensor, Tensor), Tensor> {
    let y = y.operand(x);
    for operand in [x, &y] {
        let ty = operand.type_or_error()?;
        if !ty.dtype.is_int() {
            let why = format!("expected integers, got {ty}; convert them with `to(I32)`");
            return Err(Tensor::fail(op, why, at));
        }
    }
    let both = promote_and_broadcast(op, &[x.clone(), y], at)?;
    let is_int = |x: &Tensor| x.dtype().is_int();
    match <[Tensor; 2]>::try_from(both) {
        Ok([x, y]) if is_int(&x) => Ok((x, y)),
        Ok([x, _]) => {
            let why = format!("expected a common dtype of integers, got {}", x.dtype());
            Err(Tensor::fail(op, why, at))
        }
        Err(_) => Err(Tensor::fail(op, "expected two operands", at)),
    }
}

/// Computes the greatest common divisor of integers that are not negative.
#[track_caller]
fn divisor(x: Tensor, y: Tensor, at: CallSite) -> Tensor {
    let is_unfinished = |(_, y): &(Tensor, Tensor)| located(at, &[], || y.not_equal(0).any(..));
    while_loop((x, y), is_unfinished, |pair| located(at, &[], || euclid(pair))).0
}

/// Computes one step of Euclid's algorithm, where the second number is not 0.
fn euclid((x, y): (Tensor, Tensor)) -> (Tensor, Tensor) {
    let goes_on = y.not_equal(0);
    let rest = &x % goes_on.select(&y, 1);
    (goes_on.select(y, x), goes_on.select(rest, 0))
}

/// Computes the high half of the product of integers of one dtype and shape.
fn high_product(x: &Tensor, y: &Tensor, at: CallSite) -> Tensor {
    let dtype = x.dtype();
    let is_signed = dtype.kind() == Kind::Signed;
    if dtype.bits() <= 32 {
        let wide = if is_signed { DType::I64 } else { DType::U64 };
        let product = x.convert(wide, at) * y.convert(wide, at);
        return product.right_shift(dtype.bits()).convert(dtype, at);
    }
    if !is_signed {
        return high_product_u64(x, y);
    }
    // The bits of a negative number are those of the number plus 2^64.
    let (a, b) = (x.bitcast(DType::U64), y.bitcast(DType::U64));
    let excess = x.lt(0).select(&b, 0) + y.lt(0).select(&a, 0);
    (high_product_u64(&a, &b) - excess).bitcast(DType::I64)
}

/// Computes the high half of the product of u64 from four products of their halves.
fn high_product_u64(x: &Tensor, y: &Tensor) -> Tensor {
    let halves = |x: &Tensor| (x.right_shift(32), x.bitwise_and(u64::from(u32::MAX)));
    let ((x1, x0), (y1, y0)) = (halves(x), halves(y));
    let (first, second) = (halves(&(&x0 * &y1)), halves(&(&x1 * &y0)));
    let carry = ((x0 * y0).right_shift(32) + first.1 + second.1).right_shift(32);
    x1 * y1 + first.0 + second.0 + carry
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn divisors_of_zeros_and_extremes() {
        let x = tensor([0, 0, 7, -7, i32::MAX, 1 << 30]);
        let y = tensor([0, 5, 0, 21, i32::MAX, 3 << 28]);
        assert_eq!(x.gcd(&y).to_vec::<i32>().unwrap(), [0, 5, 7, 7, i32::MAX, 1 << 28]);
        let lcm = x.slice(0, ..4).lcm(y.slice(0, ..4));
        assert_eq!(lcm.to_vec::<i32>().unwrap(), [0, 0, 0, 21]);
        let bytes = Tensor::from_vec(vec![200u8, 0], [2]);
        assert_eq!(bytes.gcd(75).to_vec::<u8>().unwrap(), [25, 75]);
        let f = jit(|x: Tensor| x.gcd(6));
        assert_eq!(f.run(tensor([[4], [9]])).unwrap().to_vec::<i32>().unwrap(), [2, 3]);
        assert_eq!(vmap(f).run(tensor([[4], [9]])).unwrap().to_vec::<i32>().unwrap(), [2, 3]);
        assert!(tensor([0.5]).gcd(1).error().is_some());
        assert!(tensor([1]).lcm(0.5).error().is_some());
    }

    #[test]
    fn high_products_are_those_of_128_bits() {
        let xs = [0, 1, -1, i64::MAX, i64::MIN, 0x1234_5678_9abc_def0, -0x7654_3210_fedc_ba98];
        for x in xs {
            let have = Tensor::from_vec(xs.to_vec(), [7]).mulhi(x).to_vec::<i64>().unwrap();
            let want = xs.map(|y| ((i128::from(x) * i128::from(y)) >> 64) as i64);
            assert_eq!(have, want, "{x}");
            let bits = xs.map(|y| y as u64);
            let have = Tensor::from_vec(bits.to_vec(), [7]).mulhi(x as u64);
            let want = bits.map(|y| ((u128::from(x as u64) * u128::from(y)) >> 64) as u64);
            assert_eq!(have.to_vec::<u64>().unwrap(), want, "{x}");
        }
        let bytes = Tensor::from_vec(vec![255u8, 2], [2]);
        assert_eq!(bytes.mulhi(255).to_vec::<u8>().unwrap(), [254, 1]);
    }
}
