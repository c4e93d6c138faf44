//! Products of matrices, sums of products, determinants and inverses.
//!
//! Floats below 32 bits are multiplied with sums in f32, and rounded once at the end.

use super::activations::by_name;
use super::axes::same_dtype;
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{MICROSOFT, Operator, op};
use neurax_tensor::{DType, Tensor};

pub(crate) const OPERATORS: &[Operator] = &[
    op("Det", &[11, 22], 1..=1, |c| one(in_f32(&c.x(0)?, Tensor::det))),
    op("Einsum", &[12, 28], 1..=usize::MAX, einsum).attributes(&["equation"]),
    op("Gemm", &[1, 6, 7, 9, 11, 13], 2..=3, gemm).attributes(&[
        "alpha",
        "beta",
        "transA",
        "transB",
        "broadcast",
    ]),
    op("MatMul", &[1, 9, 13], 2..=2, matmul),
    op("FusedGemm", &[1], 2..=3, fused_gemm).domain(MICROSOFT).attributes(&[
        "alpha",
        "beta",
        "transA",
        "transB",
        "activation",
        "activation_alpha",
        "activation_beta",
        "activation_gamma",
    ]),
    op("FusedMatMul", &[1], 2..=2, fused_matmul).domain(MICROSOFT).attributes(&[
        "alpha",
        "transA",
        "transB",
        "transBatchA",
        "transBatchB",
    ]),
    op("Inverse", &[1], 1..=1, |c| one(in_f32(&c.x(0)?, Tensor::inv))).domain(MICROSOFT),
    op("TransposeMatMul", &[1], 2..=2, fused_matmul)
        .domain(MICROSOFT)
        .attributes(&["alpha", "transA", "transB"]),
];

/// Computes a function of floats in f32 at least.
fn in_f32(x: &Tensor, f: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
    f(&x.to(x.dtype().at_least_f32())).to(x.dtype())
}

fn matmul(c: &NodeCall) -> RuleOutcome {
    let (x, y) = (c.x(0)?, c.x(1)?);
    same_dtype(&x, &y)?;
    one(x.matmul(y))
}

fn einsum(c: &NodeCall) -> RuleOutcome {
    let formula = c.required("equation", c.str("equation")?)?;
    let xs = c.xs()?;
    for x in &xs {
        same_dtype(&xs[0], x)?;
    }
    one(neurax_tensor::einsum(&formula, xs))
}

/// Computes `alpha A B + beta C`. `C` broadcasts to the shape of the product, before version 7 only
/// with the attribute `broadcast`.
fn gemm(c: &NodeCall) -> RuleOutcome {
    one(product_and_sum(c, c.version() >= 7 || c.flag("broadcast", false)?)?)
}

fn product_and_sum(c: &NodeCall, may_broadcast: bool) -> Result<Tensor, RuleFailure> {
    let (a, b) = (matrix(c, 0, "transA")?, matrix(c, 1, "transB")?);
    same_dtype(&a, &b)?;
    let dtype = a.dtype();
    let product = scaled(&a.matmul_as(&b, dtype.at_least_f32()), c.float_or("alpha", 1.0)?);
    let beta = c.float_or("beta", 1.0)?;
    let term = match c.maybe(2)? {
        Some(term) if beta != 0.0 => term,
        _ => return Ok(product.to(dtype)),
    };
    same_dtype(&a, &term)?;
    let y = &product + scaled(&term.to(product.dtype()), beta);
    let fits = y.shape() == product.shape() && (may_broadcast || term.shape() == y.shape());
    match fits || y.error().is_some() {
        true => Ok(y.to(dtype)),
        false => fail(format!("expected C of shape {:?}, got {}", product.shape(), term.ty()?)),
    }
}

/// Returns input `i`, a matrix, transposed if the flag is set.
fn matrix(c: &NodeCall, i: usize, flag: &str) -> Result<Tensor, RuleFailure> {
    let x = c.x(i)?;
    match x.rank() {
        2 if c.flag(flag, false)? => Ok(x.t()),
        2 => Ok(x),
        _ => fail(format!("expected a matrix as input {i}, got {}", x.ty()?)),
    }
}

/// Multiplies by a factor; integers in f64.
fn scaled(x: &Tensor, factor: f32) -> Tensor {
    match x.dtype() {
        _ if factor == 1.0 => x.clone(),
        dtype if dtype.is_int() => (x.to(DType::F64) * factor).to(dtype),
        _ => x * factor,
    }
}

fn fused_gemm(c: &NodeCall) -> RuleOutcome {
    let y = product_and_sum(c, true)?;
    let Some(name) = c.str("activation")?.filter(|name| !name.is_empty()) else { return one(y) };
    let parameter = |name| c.float(name);
    let parameters = [
        parameter("activation_alpha")?,
        parameter("activation_beta")?,
        parameter("activation_gamma")?,
    ];
    one(by_name(&y, &name, parameters)?)
}

/// Computes `alpha A B` with matrices that are transposed as the attributes say: `transBatch` moves
/// the first axis behind the batch axes, then `trans` swaps the last two.
fn fused_matmul(c: &NodeCall) -> RuleOutcome {
    let (a, b) = (c.x(0)?, c.x(1)?);
    same_dtype(&a, &b)?;
    let arranged = |x: Tensor, batch: &str, last: &str| -> Result<Tensor, RuleFailure> {
        let is_moved = c.flag(batch, false)? && x.rank() > 2;
        let x = if is_moved { x.move_axis(0, -2) } else { x };
        Ok(if c.flag(last, false)? { x.t() } else { x })
    };
    let a = arranged(a, "transBatchA", "transA")?;
    let b = arranged(b, "transBatchB", "transB")?;
    let product = a.matmul_as(&b, a.dtype().at_least_f32());
    one(scaled(&product, c.float_or("alpha", 1.0)?).to(a.dtype()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_scaled_by_fractions() {
        let x = Tensor::from_slice(&[2i64, 3], 2);
        assert_eq!(scaled(&x, 0.5).to_vec::<i64>().unwrap(), [1, 1]);
        assert_eq!(scaled(&x, 1.0).to_vec::<i64>().unwrap(), [2, 3]);
    }
}
