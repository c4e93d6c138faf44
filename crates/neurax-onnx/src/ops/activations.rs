//! Activations of neural networks, of one element at a time and over an axis.

use super::axes::{aligned, axis_of, same_dtype};
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{MICROSOFT, Operator, OperatorRule, op};
use neurax_tensor::{DType, Tensor, keep, where_};

pub(crate) const OPERATORS: &[Operator] = &[
    op("Celu", &[12, 28], 1..=1, celu).attributes(&["alpha"]),
    op("Elu", &[1, 6, 22], 1..=1, elu).attributes(ALPHA),
    op("Gelu", &[20], 1..=1, gelu).attributes(&["approximate"]),
    op("HardSigmoid", &[1, 6, 22], 1..=1, hard_sigmoid).attributes(&[
        "alpha",
        "beta",
        "consumed_inputs",
    ]),
    op("HardSwish", &[14, 22], 1..=1, |c| one(c.x(0)?.hard_silu())),
    op("Hardmax", &[1, 11, 13], 1..=1, |c| over_axis(c, hardmax)).attributes(&["axis"]),
    op("LeakyRelu", &[1, 6, 16], 1..=1, leaky_relu).attributes(ALPHA),
    op("LogSoftmax", &[1, 11, 13], 1..=1, |c| over_axis(c, |x, axis| x.log_softmax(axis)))
        .attributes(&["axis"]),
    op("Mish", &[18, 22], 1..=1, |c| one(c.x(0)?.mish())),
    op("PRelu", &[1, 6, 7, 9, 16], 2..=2, prelu).attributes(&["consumed_inputs"]),
    op("Relu", &[1, 6, 13, 14], 1..=1, |c| one(c.x(0)?.relu())).attributes(&["consumed_inputs"]),
    op("Selu", &[1, 6, 22], 1..=1, selu).attributes(&["alpha", "gamma", "consumed_inputs"]),
    op("Shrink", &[9], 1..=1, shrink).attributes(&["bias", "lambd"]),
    op("Sigmoid", &[1, 6, 13], 1..=1, |c| one(c.x(0)?.sigmoid())).attributes(&["consumed_inputs"]),
    op("Softmax", &[1, 11, 13], 1..=1, |c| over_axis(c, |x, axis| x.softmax(axis)))
        .attributes(&["axis"]),
    op("Softplus", &[1, 22], 1..=1, |c| one(c.x(0)?.softplus())),
    op("Softsign", &[1, 22], 1..=1, |c| one(c.x(0)?.softsign())),
    op("SwiGLU", &[28], 2..=2, swiglu).attributes(&["alpha"]),
    op("Swish", &[24], 1..=1, |c| one(swish(&c.x(0)?, c.float_or("alpha", 1.0)?)))
        .attributes(&["alpha"]),
    op("ThresholdedRelu", &[10, 22], 1..=1, thresholded_relu).attributes(&["alpha"]),
    contrib("BiasAdd", 3, |c| one(biased(c, 1)? + of_dtype(c, 2)?)),
    contrib("BiasGelu", 2, |c| one(biased(c, 1)?.gelu(false))),
    contrib("BiasSplitGelu", 2, bias_split_gelu),
    op("FastGelu", &[1], 1..=2, |c| one(biased(c, 1)?.gelu(true))).domain(MICROSOFT),
    contrib("Gelu", 1, |c| one(c.x(0)?.gelu(false))),
    op("GemmFastGelu", &[1], 2..=3, gemm_fast_gelu).domain(MICROSOFT),
    contrib("QuickGelu", 1, |c| one(swish(&c.x(0)?, c.float_or("alpha", 1.702)?)))
        .attributes(&["alpha"]),
];

const ALPHA: &[&str] = &["alpha", "consumed_inputs"];

/// Creates an operator of ONNX Runtime with a fixed number of inputs.
const fn contrib(name: &'static str, inputs: usize, rule: OperatorRule) -> Operator {
    op(name, &[1], inputs..=inputs, rule).domain(MICROSOFT)
}

fn celu(c: &NodeCall) -> RuleOutcome {
    one(c.x(0)?.celu(c.float_or("alpha", 1.0)?.into()))
}

fn elu(c: &NodeCall) -> RuleOutcome {
    one(c.x(0)?.elu(c.float_or("alpha", 1.0)?.into()))
}

fn gelu(c: &NodeCall) -> RuleOutcome {
    match c.str_or("approximate", "none")?.as_str() {
        "none" => one(c.x(0)?.gelu(false)),
        "tanh" => one(c.x(0)?.gelu(true)),
        other => fail(format!("expected `approximate` none or tanh, got {other}")),
    }
}

fn hard_sigmoid(c: &NodeCall) -> RuleOutcome {
    let (x, alpha, beta) = (c.x(0)?, c.float_or("alpha", 0.2)?, c.float_or("beta", 0.5)?);
    let wide = x.to(x.dtype().at_least_f32());
    one((wide * alpha + beta).clip(0, 1).to(x.dtype()))
}

fn leaky_relu(c: &NodeCall) -> RuleOutcome {
    one(c.x(0)?.leaky_relu(c.float_or("alpha", 0.01)?))
}

/// Multiplies negative elements by a slope, which broadcasts to the shape of the input. Before
/// version 7, it is one number or one for each channel, axis 1.
fn prelu(c: &NodeCall) -> RuleOutcome {
    let (x, slope) = (c.x(0)?, c.x(1)?);
    same_dtype(&x, &slope)?;
    let slope = match slope.shape().to_vec()[..] {
        [1] if c.version() < 7 => slope.reshape(()),
        [_] if c.version() < 7 && x.rank() > 1 => aligned(&slope, 1, x.rank())?,
        _ => slope,
    };
    let y = where_(&x.lt(0), &x * &slope, &x);
    match y.shape() == x.shape() || y.error().is_some() {
        true => one(y),
        false => fail(format!("expected a slope for {}, got {}", x.ty()?, slope.ty()?)),
    }
}

fn selu(c: &NodeCall) -> RuleOutcome {
    let (alpha, gamma) = match c.version() {
        1 => (1.6732, 1.0507),
        _ => (1.673_263_2, 1.050_701),
    };
    let (alpha, gamma) = (c.float_or("alpha", alpha)?, c.float_or("gamma", gamma)?);
    one(c.x(0)?.elu(alpha.into()) * gamma)
}

/// Moves elements toward 0 by the bias, and sets those within `lambd` of 0 to 0. Integers are
/// computed as floats.
fn shrink(c: &NodeCall) -> RuleOutcome {
    let x = c.x(0)?;
    let (bias, bound) = (c.float_or("bias", 0.0)?, c.float_or("lambd", 0.5)?);
    let dtype = x.dtype();
    let x = match dtype.is_int() {
        true if dtype.bits() < 32 => x.to(DType::F32),
        true => x.to(DType::F64),
        false => x,
    };
    let above = x.gt(bound).select(&x - bias, x.zeros_like());
    one(x.lt(-bound).select(&x + bias, above).to(dtype))
}

fn thresholded_relu(c: &NodeCall) -> RuleOutcome {
    let x = c.x(0)?;
    one(x.gt(c.float_or("alpha", 1.0)?).select(&x, x.zeros_like()))
}

/// Computes `x sigmoid(alpha x)`.
pub(crate) fn swish(x: &Tensor, alpha: f32) -> Tensor {
    if alpha == 1.0 {
        return x.silu();
    }
    let wide = x.to(x.dtype().at_least_f32());
    (&wide * (&wide * alpha).sigmoid()).to(x.dtype())
}

fn swiglu(c: &NodeCall) -> RuleOutcome {
    let (gate, x) = (c.x(0)?, c.x(1)?);
    same_dtype(&gate, &x)?;
    if gate.shape() != x.shape() {
        return fail(format!("expected one shape, got {} and {}", gate.ty()?, x.ty()?));
    }
    one(swish(&gate, c.float_or("alpha", 1.0)?) * x)
}

/// Computes a function over an axis; before version 13, over all axes from it on, and the default
/// is axis 1.
fn over_axis(c: &NodeCall, f: impl FnOnce(&Tensor, i64) -> Tensor) -> RuleOutcome {
    let x = c.x(0)?;
    match c.version() >= 13 {
        true => {
            let axis = axis_of(c.int_or("axis", -1)?, x.rank())?;
            one(f(&x, axis as i64))
        }
        false => one(over_last_axes(&x, c.int_or("axis", 1)?, |x| f(x, 1))?),
    }
}

/// Computes a function over axis 1 of a matrix whose rows are the axes from `axis` on.
pub(crate) fn over_last_axes(
    x: &Tensor,
    axis: i64,
    f: impl FnOnce(&Tensor) -> Tensor,
) -> Result<Tensor, RuleFailure> {
    let axis = match axis == x.rank() as i64 {
        true => x.rank(),
        false => axis_of(axis, x.rank())?,
    };
    let shape = x.shape().to_vec();
    let (before, behind) = shape.split_at(axis);
    let sizes = [before.iter().product::<usize>(), behind.iter().product()];
    Ok(f(&x.reshape(sizes)).reshape(shape.clone()))
}

/// Sets the first of the largest elements to 1, all others to 0.
fn hardmax(x: &Tensor, axis: i64) -> Tensor {
    let mut shape = vec![1; x.rank()];
    shape[axis as usize] = x.dim(axis);
    let indices = Tensor::arange(x.dim(axis)).reshape(shape);
    x.argmax(keep(axis)).equal(indices).to(x.dtype())
}

/// Returns input `i`, which must have the dtype of input 0.
fn of_dtype(c: &NodeCall, i: usize) -> Result<Tensor, RuleFailure> {
    let y = c.x(i)?;
    same_dtype(&c.x(0)?, &y)?;
    Ok(y)
}

/// Returns input 0 plus the bias of the last axis, input `i`, if it is present.
fn biased(c: &NodeCall, i: usize) -> Result<Tensor, RuleFailure> {
    let x = c.x(0)?;
    with_bias(c, &x, i)
}

fn with_bias(c: &NodeCall, x: &Tensor, i: usize) -> Result<Tensor, RuleFailure> {
    if c.optional_value(i).is_none() {
        return Ok(x.clone());
    }
    let bias = of_dtype(c, i)?;
    match bias.rank() == 1 && x.rank() > 0 && bias.dim(0) == x.dim(-1) {
        true => Ok(x + bias),
        false => {
            fail(format!("expected a bias of the last axis of {}, got {}", x.ty()?, bias.ty()?))
        }
    }
}

fn gemm_fast_gelu(c: &NodeCall) -> RuleOutcome {
    let y = c.x(0)?.matmul(of_dtype(c, 1)?);
    one(with_bias(c, &y, 2)?.gelu(true))
}

/// Multiplies the first half of the last axis by the `Gelu` of the second one.
fn bias_split_gelu(c: &NodeCall) -> RuleOutcome {
    let x = biased(c, 1)?;
    let size = x.dim(-1);
    if !size.is_multiple_of(2) {
        return fail(format!("expected a last axis of even size, got {}", x.ty()?));
    }
    let (axis, half) = (x.rank() as i64 - 1, (size / 2) as i64);
    one(x.slice(axis, ..half) * x.slice(axis, half..).gelu(false))
}

/// Computes the activation that a fused operator of ONNX Runtime names, with the parameters
/// `alpha`, `beta` and `gamma`.
pub(crate) fn by_name(x: &Tensor, name: &str, of: [Option<f32>; 3]) -> Result<Tensor, RuleFailure> {
    let parameter = |i: usize| match of[i] {
        Some(parameter) => Ok(parameter),
        None => fail(format!("expected parameter {i} of the activation {name}")),
    };
    Ok(match name {
        "Celu" => x.celu(parameter(0)?.into()),
        "Elu" => x.elu(parameter(0)?.into()),
        "HardSigmoid" => (x * parameter(0)? + parameter(1)?).clip(0, 1),
        "LeakyRelu" => x.leaky_relu(parameter(0)?),
        "Relu" => x.relu(),
        "Selu" => x.elu(parameter(0)?.into()) * parameter(2)?,
        "Sigmoid" => x.sigmoid(),
        "Softplus" => x.softplus(),
        "Softsign" => x.softsign(),
        "Tanh" => x.tanh(),
        "ThresholdedRelu" => x.gt(parameter(0)?).select(x, x.zeros_like()),
        _ => return fail(format!("the activation {name} is not supported")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axes_from_one_on_are_one_row() {
        let sums = |axis| {
            let y = over_last_axes(&Tensor::ones([2, 3, 4]), axis, |x| x.softmax(1)).unwrap();
            assert_eq!(y.shape(), [2, 3, 4]);
            1.0 / y.max(..).item().unwrap()
        };
        assert_eq!([0, 1, 2, -1, 3].map(|axis| sums(axis).round()), [24.0, 12.0, 4.0, 4.0, 1.0]);
        assert!(over_last_axes(&Tensor::ones([2]), 2, |x| x.clone()).is_err());
    }
}
