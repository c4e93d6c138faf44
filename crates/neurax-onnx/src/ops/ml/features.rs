//! Functions of features: selections, scaling, missing values.

use super::super::axes::size_of;
use super::super::gather::{check_range, indices};
use super::super::shapes::{moved, shape_of};
use super::DOMAIN;
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{Operator, op};
use neurax_tensor::{DType, Tensor, concat, keep};

pub(crate) const OPERATORS: &[Operator] = &[
    op("ArrayFeatureExtractor", &[1], 2..=2, extract).domain(DOMAIN),
    op("Binarizer", &[1], 1..=1, binarize).domain(DOMAIN).attributes(&["threshold"]),
    op("FeatureVectorizer", &[1], 1..=usize::MAX, vectorize)
        .domain(DOMAIN)
        .attributes(&["inputdimensions"]),
    op("Imputer", &[1], 1..=1, impute).domain(DOMAIN).attributes(&[
        "imputed_value_floats",
        "imputed_value_int64s",
        "replaced_value_float",
        "replaced_value_int64",
    ]),
    op("Normalizer", &[1], 1..=1, normalize).domain(DOMAIN).attributes(&["norm"]),
    op("Scaler", &[1], 1..=1, scale).domain(DOMAIN).attributes(&["offset", "scale"]),
];

/// Selects entries along the last axis; those of a vector become one row.
fn extract(c: &NodeCall) -> RuleOutcome {
    let x = c.value(0)?;
    let shape = shape_of(x)?;
    let Some((&last, outer)) = shape.split_last() else {
        return fail("expected features, got a scalar");
    };
    let places = indices(c, 1, x)?;
    let places = places.reshape([places.size()]);
    check_range(&places, &[last])?;
    let rows = if outer.is_empty() { &[1] } else { outer };
    let sizes = [rows, &[places.size()]].concat();
    moved(x, |x| Ok(x.take(&places, -1).reshape(sizes)))
}

/// Returns 1 for elements above the threshold, else 0.
fn binarize(c: &NodeCall) -> RuleOutcome {
    let (x, threshold) = (c.x(0)?, c.float_or("threshold", 0.0)?);
    let wide = if x.dtype().is_int() { x.to(DType::F64) } else { x.clone() };
    one(wide.gt(f64::from(threshold)).to(x.dtype()))
}

/// Joins features as f32. Inputs are cut or filled up with zeros to their `inputdimensions`.
fn vectorize(c: &NodeCall) -> RuleOutcome {
    let sizes = c.ints("inputdimensions")?;
    if sizes.is_some_and(|sizes| sizes.len() != c.count()) {
        return fail(format!("expected {} `inputdimensions`", c.count()));
    }
    let mut parts = Vec::with_capacity(c.count());
    for (i, x) in c.xs()?.iter().enumerate() {
        let (rows, columns) = match x.shape()[..] {
            [] => return fail("expected features, got a scalar"),
            [columns] => (1, columns),
            [rows, ref rest @ ..] => (rows, rest.iter().product()),
        };
        let size = sizes.map_or(Ok(columns), |sizes| size_of(sizes[i]))?;
        let more = size as i64 - columns as i64;
        let zero = Tensor::zeros_of(DType::F32, ());
        let x = x.to(DType::F32).reshape([rows, columns]);
        parts.push(x.pad_dilated([(0, 0, 0), (0, more, 0)], zero));
    }
    one(concat(parts, 1))
}

/// Replaces the elements that equal one value, which may be NaN, by those of their feature.
fn impute(c: &NodeCall) -> RuleOutcome {
    let x = c.x(0)?;
    let (is_replaced, values) = match x.dtype().is_int() {
        true => {
            let old = Tensor::scalar(DType::I64, c.int_or("replaced_value_int64", 0)?);
            let new = c.ints("imputed_value_int64s")?.unwrap_or_default();
            (x.to(DType::I64).equal(old), Tensor::from_slice(new, new.len()))
        }
        false => {
            let old = c.float_or("replaced_value_float", 0.0)?;
            let new = c.floats("imputed_value_floats")?.unwrap_or_default();
            let is_replaced = if old.is_nan() { x.is_nan() } else { x.equal(f64::from(old)) };
            (is_replaced, Tensor::from_slice(new, new.len()))
        }
    };
    let count = values.size();
    if count == 0 || (count != 1 && count != x.dim(-1)) || x.rank() == 0 {
        return fail(format!("expected one value or one for each feature, got {count}"));
    }
    one(is_replaced.select(values.to(x.dtype()).broadcast_to(x.shape()), &x))
}

/// Divides the features of a row by their maximum, or by their norm, unless it is 0.
fn normalize(c: &NodeCall) -> RuleOutcome {
    let x = c.x(0)?;
    if !matches!(x.rank(), 1 | 2) {
        return fail(format!("expected rows of features, got {}", x.ty()?));
    }
    let x = x.to(DType::F32);
    let norm = match c.str_or("norm", "MAX")?.as_str() {
        "MAX" if x.dim(-1) == 0 => return one(x),
        "MAX" => x.max(keep(-1)),
        "L1" => x.abs().sum(keep(-1)),
        "L2" => x.square().sum(keep(-1)).sqrt(),
        other => return fail(format!("expected MAX, L1 or L2 as norm, got `{other}`")),
    };
    one(&x / norm.equal(0.0).select(norm.ones_like(), &norm))
}

/// Computes `(x - offset) scale`, f32.
fn scale(c: &NodeCall) -> RuleOutcome {
    let x = c.x(0)?;
    if x.rank() == 0 {
        return fail("expected features, got a scalar");
    }
    // ONNX Runtime computes in the wider of both dtypes.
    let wide = if x.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    let mut y = x.to(wide);
    if let Some(offset) = of_features(c, "offset", &x)? {
        y -= offset.to(wide);
    }
    if let Some(scale) = of_features(c, "scale", &x)? {
        y *= scale.to(wide);
    }
    one(y.to(DType::F32))
}

/// Returns an attribute of one number, or of one for each feature.
fn of_features(c: &NodeCall, name: &str, x: &Tensor) -> Result<Option<Tensor>, RuleFailure> {
    let Some(numbers) = c.floats(name)? else { return Ok(None) };
    let features = x.dim(-1);
    match numbers.len() == 1 || numbers.len() == features {
        true => Ok(Some(Tensor::from_slice(numbers, numbers.len()))),
        false => fail(format!("expected 1 or {features} numbers as `{name}`, got {numbers:?}")),
    }
}
