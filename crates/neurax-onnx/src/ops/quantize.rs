//! Quantization: floats as integers or narrow floats, with a scale and a zero point.
//!
//! `y = saturate(round(x / scale) + zero)` and back `x = (y - zero) scale`. Scale and zero point
//! are one number, one for each entry along an axis, or one for each block of entries along it.

use super::axes::{aligned, axis_of, same_dtype, size_of};
use super::cast::{converted, is_f8};
use super::constants::dtype_attribute;
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{Operator, op};
use neurax_tensor::{DType, Tensor, lazy_function};

pub(crate) const OPERATORS: &[Operator] =
    &[
        op("DequantizeLinear", &[10, 13, 19, 21, 23, 24, 25, 28], 2..=3, dequantize_linear)
            .attributes(&["axis", "block_size", "output_dtype"]),
        op("DynamicQuantizeLinear", &[11], 1..=1, |c| {
            let (y, scale, zero) = dynamically_quantized(&c.x(0)?);
            Ok(vec![y.into(), scale.into(), zero.into()])
        }),
        op("QuantizeLinear", &[10, 13, 19, 21, 23, 24, 25, 28], 2..=3, quantize_linear)
            .attributes(&["axis", "saturate", "block_size", "output_dtype", "precision"]),
        op("DequantizeLinear", &[1], 2..=3, dequantize_linear)
            .domain("com.microsoft")
            .attributes(&["axis"]),
        op("QuantizeLinear", &[1], 2..=3, quantize_linear)
            .domain("com.microsoft")
            .attributes(&["axis"]),
    ];

/// Divides in the dtype of the scale or in `precision`, rounds, adds the zero point, and limits to
/// the range of the dtype of the zero point, of `output_dtype`, or u8.
fn quantize_linear(c: &NodeCall) -> RuleOutcome {
    let (x, scale, zero) = (c.x(0)?, c.x(1)?, c.maybe(2)?);
    let dtype = match (given_dtype(c, "output_dtype")?, &zero) {
        (Some(dtype), Some(zero)) if zero.dtype() != dtype => {
            return fail(format!("expected a zero point of {dtype}, got {}", zero.ty()?));
        }
        (Some(dtype), _) => dtype,
        (None, zero) => zero.as_ref().map_or(DType::U8, Tensor::dtype),
    };
    if !is_quantized(dtype) {
        return fail(format!("{dtype} is not a dtype of quantized numbers"));
    }
    let precision = match given_dtype(c, "precision")? {
        Some(dtype) if dtype.is_float() && dtype.bits() >= 16 => dtype,
        Some(dtype) => return fail(format!("expected a float dtype as `precision`, got {dtype}")),
        None if scale.dtype().is_float() => scale.dtype(),
        None => DType::F32,
    };
    let (scale, zero) = parameters(c, &x, scale, zero)?;
    let quotient = x.to(precision) / scale.to(precision);
    one(quantized(&quotient, zero.as_ref(), dtype, c.flag("saturate", true)?))
}

/// Subtracts the zero point and multiplies by the scale, in f32. The result has the dtype of the
/// scale, or `output_dtype`.
fn dequantize_linear(c: &NodeCall) -> RuleOutcome {
    let (x, scale, zero) = (c.x(0)?, c.x(1)?, c.maybe(2)?);
    let dtype = given_dtype(c, "output_dtype")?.unwrap_or(scale.dtype());
    if !dtype.is_float() || dtype.bits() < 16 {
        return fail(format!("expected a float `output_dtype` of 16 bits or more, got {dtype}"));
    }
    if let Some(zero) = &zero {
        same_dtype(&x, zero)?;
    }
    let (scale, zero) = parameters(c, &x, scale, zero)?;
    if !x.is_traced() && x.dtype().is_int() && x.size() >= MIN_LAZY_ELEMENTS {
        // The program has the integers, so that it can multiply these.
        let parameters = [Some(x), Some(scale), zero].into_iter().flatten().collect();
        let weights = |xs: Vec<Tensor>| dequantized(&xs[0], &xs[1], xs.get(2)).to(dtype);
        return one(lazy_function(parameters, weights));
    }
    one(dequantized(&x, &scale, zero.as_ref()).to(dtype))
}

/// The number of elements from which a dequantized constant is a weight, which the program
/// dequantizes. Smaller ones are computed by the importer, where rules need to know them.
const MIN_LAZY_ELEMENTS: usize = 1024;

/// Returns the dtype that an attribute names, where 0 means none.
fn given_dtype(c: &NodeCall, name: &str) -> Result<Option<DType>, RuleFailure> {
    if c.int_or(name, 0)? == 0 { Ok(None) } else { dtype_attribute(c, name) }
}

fn is_quantized(dtype: DType) -> bool {
    use DType::*;
    let is_narrow = matches!(dtype, F4E2M1FN | F6E2M3FN | F6E3M2FN);
    (dtype.is_int() && dtype.bits() <= 16) || is_f8(dtype) || is_narrow
}

/// Returns the scale and the zero point of a call in shapes that broadcast to that of `x`.
fn parameters(
    c: &NodeCall,
    x: &Tensor,
    scale: Tensor,
    zero: Option<Tensor>,
) -> Result<(Tensor, Option<Tensor>), RuleFailure> {
    let block = size_of(c.int_or("block_size", 0)?)?;
    let axis = c.int_or("axis", 1)?;
    let arrange = |p: Tensor| arranged(&p, x, axis, block);
    Ok((arrange(scale)?, zero.map(arrange).transpose()?))
}

/// Returns parameters of quantization in a shape that broadcasts to that of `x`: one number, one
/// for each entry along `axis`, or, if `block` is not 0, one for each block of entries along it.
pub(crate) fn arranged(
    parameters: &Tensor,
    x: &Tensor,
    axis: i64,
    block: usize,
) -> Result<Tensor, RuleFailure> {
    if parameters.rank() < 2 && parameters.size() == 1 {
        return Ok(parameters.reshape(()));
    }
    let axis = axis_of(axis, x.rank())?;
    let (size, entries) = (x.dim(axis as i64), parameters.dim(axis as i64));
    let is_per_entry = parameters.rank() == 1 && block == 0 && parameters.dim(0) == size;
    if is_per_entry {
        return aligned(parameters, axis, x.rank());
    }
    let fits = |i: usize| i == axis || parameters.dim(i as i64) == x.dim(i as i64);
    let is_per_block = block > 0 && parameters.rank() == x.rank() && (0..x.rank()).all(fits);
    match is_per_block && entries == size.div_ceil(block) {
        true => {
            let repeated = parameters.repeat(block.min(size), axis as i64);
            Ok(repeated.slice(axis as i64, ..size as i64))
        }
        false => fail(format!(
            "expected parameters for axis {axis} of {} in blocks of {block}, got {}",
            x.ty()?,
            parameters.ty()?
        )),
    }
}

/// Returns numbers in units of the scale as quantized ones: rounded, with the zero point added, and
/// limited to the range of the dtype.
pub(crate) fn quantized(
    quotient: &Tensor,
    zero: Option<&Tensor>,
    dtype: DType,
    saturate: bool,
) -> Tensor {
    let wide = quotient.dtype().at_least_f32();
    let plus_zero = |x: Tensor| zero.map_or(x.clone(), |zero| x + zero.to(wide));
    match dtype.int_range() {
        Some(range) => {
            // Bounds of up to 16 bits are floats.
            let (low, high) = (*range.start() as f64, *range.end() as f64);
            plus_zero(quotient.round().to(wide)).clip(low, high).to(DType::I32).to(dtype)
        }
        None => converted(&plus_zero(quotient.to(wide)), dtype, saturate),
    }
}

/// Returns quantized numbers as f32, or f64 if the scale has it.
pub(crate) fn dequantized(x: &Tensor, scale: &Tensor, zero: Option<&Tensor>) -> Tensor {
    let wide = if x.dtype().is_int() { DType::I32 } else { DType::F32 };
    let x = x.to(wide);
    let difference = zero.map_or(x.clone(), |zero| x - zero.to(wide));
    let float = if scale.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    difference.to(float) * scale.to(float)
}

/// Quantizes to u8 with the range of the elements and 0: returns the numbers, the scale and the
/// zero point.
pub(crate) fn dynamically_quantized(x: &Tensor) -> (Tensor, Tensor, Tensor) {
    let (low, high) = (x.min(..).minimum(0), x.max(..).maximum(0));
    let range = high - &low;
    // If all elements are 0, so is each quotient.
    let scale = range.equal(0).select(1, range / 255.0);
    let zero = quantized(&(-low / &scale), None, DType::U8, true);
    (quantized(&(x / &scale), Some(&zero), DType::U8, true), scale, zero)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{floats, graph, int, model, node, raw};
    use crate::{Importer, OnnxValue};
    use std::collections::HashMap;

    #[test]
    fn parameters_of_blocks_are_repeated() {
        let (x, p) = (Tensor::zeros([2, 5]), Tensor::from_slice(&[1f32, 2.0, 3.0, 4.0], [2, 2]));
        let y = arranged(&p, &x, -1, 3).unwrap();
        let want = [1.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 3.0, 4.0, 4.0];
        assert_eq!(y.to_vec::<f32>().unwrap(), want);
        assert!(arranged(&p, &x, 1, 0).is_err() && arranged(&p, &x, 1, 2).is_err());
        assert!(arranged(&p.reshape(4), &x, 1, 0).is_err());
    }

    #[test]
    fn zeros_are_quantized_to_zeros() {
        let (y, scale, zero) = dynamically_quantized(&Tensor::zeros(3));
        assert_eq!((scale.item().unwrap(), zero.item().unwrap()), (1.0, 0.0));
        assert_eq!(y.to_vec::<u8>().unwrap(), [0, 0, 0]);
    }

    // Both products have weights of 1,024 numbers; the second one reads the quantized result of the
    // first one.
    #[test]
    fn quantized_models_agree_with_the_evaluation_in_floats() {
        let bytes = |i: i64, n: i64| (i * 37 % n) as u8;
        let weights: Vec<u8> = (0..1024).map(|i| bytes(i, 255)).collect();
        let initializers = vec![
            raw("w", 3, &[32, 32], &weights),
            floats("w_scale", &[32], &(1..33).map(|i| i as f32 / 2000.0).collect::<Vec<_>>()),
            raw("w_zero", 3, &[32], &[0; 32]),
            floats("scale", &[], &[0.05]),
            raw("zero", 2, &[], &[120]),
        ];
        let nodes = vec![
            node("DequantizeLinear", "w w_scale w_zero", "wf").with(int("axis", 1)),
            node("QuantizeLinear", "x scale zero", "xq"),
            node("DequantizeLinear", "xq scale zero", "xf"),
            node("MatMul", "xf wf", "a"),
            node("QuantizeLinear", "a scale zero", "aq"),
            node("DequantizeLinear", "aq scale zero", "af"),
            node("Tanh", "af", "b"),
            node("QuantizeLinear", "b scale zero", "bq"),
            node("DequantizeLinear", "bq scale zero", "bf"),
            node("MatMul", "bf wf", "y"),
        ];
        let file = model(graph(&[("x", &[9, 32])], &["y"], initializers, nodes));
        let session = Importer::new().open_bytes(file).unwrap();
        let x: Vec<f32> = (0..9 * 32).map(|i| bytes(i, 251) as f32 / 20.0 - 6.0).collect();
        let inputs = || {
            let x = Tensor::from_slice(&x, [9, 32]);
            HashMap::from([("x".to_string(), OnnxValue::Tensor(x))])
        };
        let numbers = |ys: Vec<OnnxValue>| match &ys[..] {
            [OnnxValue::Tensor(y)] => y.to_vec::<f32>().unwrap(),
            other => panic!("{other:?}"),
        };
        let want = numbers(session.run_eagerly(inputs()).unwrap());
        let have = numbers(session.run(inputs()).unwrap());
        let most = want.iter().fold(0f32, |most, y| most.max(y.abs()));
        for (have, want) in have.iter().zip(&want) {
            assert!((have - want).abs() < 1e-5 * most, "{have} instead of {want}");
        }
        // The reference interpreter computes in floats.
        if std::env::var("NEURAX_DEVICE").as_deref() != Ok("interp") {
            let rewrites = &session.segments()[0].rewrites;
            assert!(rewrites.contains(&("integer_product", 2)), "{rewrites:?}");
        }
    }
}
