//! Tensors of constants and sequences.

use super::axes::size_of;
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::dtype::ElementType;
use crate::elements::utf8;
use crate::graph::Attribute;
use crate::operator::{Operator, op};
use crate::value::{OnnxValue, Strings};
use neurax_ir::{DType, Error};
use neurax_tensor::{Tensor, tensor};

pub(crate) const OPERATORS: &[Operator] = &[
    op("Constant", &[1, 9, 11, 12, 13, 19, 21, 23, 24, 25], 0..=0, constant).attributes(CONSTANTS),
    op("ConstantOfShape", &[9, 20, 21, 23, 24, 25], 1..=1, filled).attributes(&["value"]),
    op("EyeLike", &[9, 22], 1..=1, eye_like).attributes(&["dtype", "k"]),
    op("Range", &[11, 27], 3..=3, range).attributes(&["stash_type"]),
];

const CONSTANTS: &[&str] = &[
    "value",
    "sparse_value",
    "value_float",
    "value_floats",
    "value_int",
    "value_ints",
    "value_string",
    "value_strings",
];

/// Returns the value of the only attribute.
fn constant(c: &NodeCall) -> RuleOutcome {
    let mut given = CONSTANTS.iter().filter_map(|name| c.attribute(name));
    let (Some(value), None) = (given.next(), given.next()) else {
        return fail(format!("expected one attribute of {}", CONSTANTS.join(", ")));
    };
    one(match value {
        Attribute::Tensor(x) => x.clone(),
        Attribute::Float(x) => tensor(*x).into(),
        Attribute::Int(x) => tensor(*x).into(),
        Attribute::Floats(xs) => Tensor::from_slice(xs, xs.len()).into(),
        Attribute::Ints(xs) => Tensor::from_slice(xs, xs.len()).into(),
        Attribute::String(s) => Strings::new([], vec![utf8(s)?])?.into(),
        Attribute::Strings(xs) => {
            let strings = xs.iter().map(utf8).collect::<Result<Vec<_>, Error>>()?;
            OnnxValue::Strings(Strings::new([strings.len()], strings)?)
        }
        other => return fail(format!("expected a constant, got {}", other.kind())),
    })
}

fn filled(c: &NodeCall) -> RuleOutcome {
    let sizes = c.known_ints(0)?.unwrap_or_default();
    let shape: Vec<usize> = sizes.iter().map(|&n| size_of(n)).collect::<Result<_, _>>()?;
    let value = match c.tensor("value")? {
        Some(OnnxValue::Tensor(x)) => x.reshape(()),
        Some(other) => return fail(format!("expected a number, got {}", other.kind())),
        None => Tensor::zeros(()),
    };
    one(value.broadcast_to(shape))
}

fn eye_like(c: &NodeCall) -> RuleOutcome {
    let x = c.x(0)?;
    if x.rank() != 2 {
        return fail(format!("expected a matrix, got {}", x.ty()?));
    }
    let dtype = dtype_attribute(c, "dtype")?.unwrap_or(x.dtype());
    one(Tensor::eye_of(x.dim(0), x.dim(1), c.int_or("k", 0)?).to(dtype))
}

/// Returns the dtype that an attribute names by its number.
///
/// # Errors
/// If there is none with this number.
pub(crate) fn dtype_attribute(c: &NodeCall, name: &str) -> Result<Option<DType>, RuleFailure> {
    let Some(number) = c.int(name)? else { return Ok(None) };
    match ElementType::of_number(number) {
        Some(ElementType::Number(dtype)) => Ok(Some(dtype)),
        Some(ElementType::String) => fail(format!("expected a dtype of numbers as `{name}`")),
        None => fail(format!("expected the number of a dtype as `{name}`, got {number}")),
    }
}

/// Returns `start, start + step, ..` up to the limit, in the dtype of the inputs.
fn range(c: &NodeCall) -> RuleOutcome {
    let [start, limit, step] = [c.known(0)?, c.known(1)?, c.known(2)?];
    let dtype = start.dtype();
    let of = |x: &Tensor| if dtype.is_int() { x.to(DType::I64).item() } else { x.item() };
    let (from, to, by) = (of(&start)?, of(&limit)?, of(&step)?);
    if by == 0.0 || by.is_nan() {
        return fail("expected a step other than 0");
    }
    let count = ((to - from) / by).ceil().max(0.0);
    if !count.is_finite() || count > i32::MAX as f64 {
        return fail(format!("the range from {from} to {to} by {by} has too many elements"));
    }
    let wide = match dtype {
        dtype if dtype.is_int() => DType::I64,
        DType::F16 | DType::BF16 => stash_dtype(c)?,
        other => other,
    };
    let indices = Tensor::arange(count as usize).to(wide);
    let [start, step] = [&start, &step].map(|x| x.reshape(()).to(wide));
    one((start + indices * step).to(dtype))
}

/// Returns the dtype in which a range of narrow floats is computed.
///
/// # Errors
/// If the attribute names another one than f32 or f64.
fn stash_dtype(c: &NodeCall) -> Result<DType, RuleFailure> {
    match dtype_attribute(c, "stash_type")? {
        None | Some(DType::F32) => Ok(DType::F32),
        Some(DType::F64) => Ok(DType::F64),
        Some(other) => fail(format!("expected f32 or f64 as `stash_type`, got {other}")),
    }
}
