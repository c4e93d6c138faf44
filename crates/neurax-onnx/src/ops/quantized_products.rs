//! Products of matrices and convolutions of quantized numbers.
//!
//! The zero points are subtracted first, and products are summed in i32. The padding of a
//! convolution, which is the zero point, is then 0.

use super::axes::{aligned, same_dtype};
use super::cast::is_f8;
use super::quantize::quantized;
use super::windows::{Sliding, groups};
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{Operator, op};
use neurax_tensor::{DType, Tensor};

pub(crate) const OPERATORS: &[Operator] = &[
    op("ConvInteger", &[10], 2..=4, |c| one(convolution(c, [0, 2], [1, 3])?))
        .attributes(QUANTIZED_CONV_ATTRIBUTES),
    op("MatMulInteger", &[10], 2..=4, |c| one(integer_product(c, [0, 2], [1, 3])?)),
    op("QLinearConv", &[10], 8..=9, qlinear_conv).attributes(QUANTIZED_CONV_ATTRIBUTES),
    op("QLinearMatMul", &[10, 21], 8..=8, qlinear_matmul),
];

const QUANTIZED_CONV_ATTRIBUTES: &[&str] =
    &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"];

/// An operand of a product of matrices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum QuantizedSide {
    Left,
    Right,
}

impl QuantizedSide {
    /// Returns parameters of the rows of a left matrix, or of the columns of a right one, in a
    /// shape that broadcasts to the matrices: one number, a vector, or the shape itself.
    pub(crate) fn arranged(self, p: &Tensor, x: &Tensor) -> Result<Tensor, RuleFailure> {
        let axis = if self == QuantizedSide::Left { -2 } else { -1 };
        let is_per_entry = p.rank() == 1 && x.rank() > 1 && p.dim(0) == x.dim(axis);
        match self {
            _ if p.rank() < 2 && p.size() == 1 => Ok(p.reshape(())),
            QuantizedSide::Left if is_per_entry => Ok(p.expand_dims(1)),
            QuantizedSide::Right if is_per_entry => Ok(p.clone()),
            _ if p.rank() == x.rank() => Ok(p.clone()),
            _ => fail(format!("expected parameters of {}, got {}", x.ty()?, p.ty()?)),
        }
    }

    /// Subtracts the zero point: of integers of 8 bits in i16, of floats in f32.
    pub(crate) fn difference(
        self,
        x: &Tensor,
        zero: Option<&Tensor>,
    ) -> Result<Tensor, RuleFailure> {
        let wide = match x.dtype() {
            DType::I8 | DType::U8 => DType::I16,
            dtype if is_f8(dtype) => DType::F32,
            _ => return fail(format!("expected numbers of 8 bits, got {}", x.ty()?)),
        };
        let Some(zero) = zero else { return Ok(x.to(wide)) };
        same_dtype(x, zero)?;
        Ok(x.to(wide) - self.arranged(zero, x)?.to(wide))
    }
}

/// Returns the product of two quantized matrices without their scales, each given by the positions
/// of the matrix and its zero point: i32, or f32 for floats.
pub(crate) fn product(c: &NodeCall, a: [usize; 2], b: [usize; 2]) -> Result<Tensor, RuleFailure> {
    let operand = |side: QuantizedSide, [i, zero]: [usize; 2]| {
        side.difference(&c.x(i)?, c.maybe(zero)?.as_ref())
    };
    let (a, b) = (operand(QuantizedSide::Left, a)?, operand(QuantizedSide::Right, b)?);
    same_dtype(&a, &b)?;
    let sums = if a.dtype().is_int() { DType::I32 } else { DType::F32 };
    let y = a.matmul_as(b, sums);
    y.ty()?;
    Ok(y)
}

/// Returns the product of two matrices of integers in i32.
pub(crate) fn integer_product(
    c: &NodeCall,
    a: [usize; 2],
    b: [usize; 2],
) -> Result<Tensor, RuleFailure> {
    let y = product(c, a, b)?;
    match y.dtype() == DType::I32 {
        true => Ok(y),
        false => fail(format!("expected integers, got {}", c.x(0)?.ty()?)),
    }
}

/// Multiplies quantized matrices. The scale of the product is that of both operands divided by that
/// of the result.
fn qlinear_matmul(c: &NodeCall) -> RuleOutcome {
    let (a, b, y_scale, y_zero) = (c.x(0)?, c.x(3)?, c.x(6)?, c.x(7)?);
    let product = product(c, [0, 2], [3, 5])?;
    let a_scale = QuantizedSide::Left.arranged(&c.x(1)?, &a)?.to(DType::F32);
    let b_scale = QuantizedSide::Right.arranged(&c.x(4)?, &b)?.to(DType::F32);
    let y_scale = QuantizedSide::Left.arranged(&y_scale, &product)?.to(DType::F32);
    let y_zero = QuantizedSide::Left.arranged(&y_zero, &product)?;
    let quotient = product.to(DType::F32) * (a_scale * b_scale / y_scale);
    one(quantized(&quotient, Some(&y_zero), y_zero.dtype(), true))
}

/// Returns the convolution of quantized numbers without their scales, i32, of a tensor and a kernel
/// that are each given by their position and that of the zero point.
fn convolution(c: &NodeCall, x: [usize; 2], kernel: [usize; 2]) -> Result<Tensor, RuleFailure> {
    let (input, weights) = (c.x(x[0])?, c.x(kernel[0])?);
    let windows = Sliding::of_kernel(c, &input, &weights)?;
    let centered = |x: &Tensor, zero: Option<Tensor>, axis: usize| {
        let zero = zero.map(|zero| per_channel(&zero, axis, x)).transpose()?;
        match (x.dtype(), &zero) {
            (DType::I8 | DType::U8, Some(zero)) => {
                same_dtype(x, zero)?;
                Ok(x.to(DType::I16) - zero.to(DType::I16))
            }
            (DType::I8 | DType::U8, None) => Ok(x.to(DType::I16)),
            _ => fail(format!("expected i8 or u8, got {}", x.ty()?)),
        }
    };
    let input = centered(&input, c.maybe(x[1])?, 1)?;
    let weights = centered(&weights, c.maybe(kernel[1])?, 0)?;
    let y = input.conv_as(&weights, windows.options().groups(groups(c)?), DType::I32);
    y.ty()?;
    Ok(y)
}

/// Returns one number, or one for each entry along `axis`, in a shape that broadcasts to `x`.
fn per_channel(p: &Tensor, axis: usize, x: &Tensor) -> Result<Tensor, RuleFailure> {
    match p.rank() {
        0 | 1 if p.size() == 1 => Ok(p.reshape(())),
        1 if p.size() == x.dim(axis as i64) => aligned(p, axis, x.rank()),
        _ => fail(format!("expected one number or one for each channel, got {}", p.ty()?)),
    }
}

/// Convolves quantized numbers. The bias has the scale of the products.
fn qlinear_conv(c: &NodeCall) -> RuleOutcome {
    let y = convolution(c, [0, 2], [3, 5])?;
    let (x_scale, w_scale, y_scale, y_zero) = (c.x(1)?, c.x(4)?, c.x(6)?, c.x(7)?);
    let y = match c.maybe(8)? {
        Some(bias) if bias.dtype() == DType::I32 => &y + per_channel(&bias, 1, &y)?,
        Some(bias) => return fail(format!("expected a bias of i32, got {}", bias.ty()?)),
        None => y,
    };
    let scale = per_channel(&x_scale, 1, &y)? * per_channel(&w_scale, 1, &y)?
        / per_channel(&y_scale, 1, &y)?;
    let y_zero = per_channel(&y_zero, 1, &y)?;
    one(quantized(&(y.to(DType::F32) * scale), Some(&y_zero), y_zero.dtype(), true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_those_of_rows_and_of_columns() {
        let (x, p) = (Tensor::zeros([5, 2, 3]), Tensor::zeros(2));
        assert_eq!(QuantizedSide::Left.arranged(&p, &x).unwrap().shape(), [2, 1]);
        assert_eq!(QuantizedSide::Right.arranged(&Tensor::zeros(3), &x).unwrap().shape(), [3]);
        assert_eq!(QuantizedSide::Right.arranged(&Tensor::zeros(1), &x).unwrap().rank(), 0);
        assert!(QuantizedSide::Right.arranged(&p, &x).is_err());
    }
}
