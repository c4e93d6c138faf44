//! Writing elements at indices: `Scatter`, `ScatterElements`, `ScatterND`.
//!
//! Indices count from the end if they are negative. One that is out of range is an error if the
//! indices are known; an update at a traced one is dropped, as those of the tensors of Neurax are.

use super::axes::{axis_of, same_dtype};
use super::gather::{check_fits, check_range, columns, indices, places_along};
use super::shapes::shape_of;
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{Operator, op};
use crate::value::{OnnxValue, Strings};
use neurax_tensor::{DType, Index, Tensor};

pub(crate) const OPERATORS: &[Operator] = &[
    op("Scatter", &[9], 3..=3, scatter_elements).attributes(&["axis"]).until(11),
    op("ScatterElements", &[11, 13, 16, 18], 3..=3, scatter_elements)
        .attributes(&["axis", "reduction"]),
    op("ScatterND", &[11, 13, 16, 18], 3..=3, scatter_nd).attributes(&["reduction"]),
];

/// Writes each update at the index along an axis, and at its own position along the others.
fn scatter_elements(c: &NodeCall) -> RuleOutcome {
    let shape = shape_of(c.value(0)?)?;
    let axis = axis_of(c.int_or("axis", 0)?, shape.len())?;
    let places = indices(c, 1, c.value(0)?)?;
    check_fits(&places, &shape, axis)?;
    check_range(&places, &[shape[axis]])?;
    let sizes = places.shape().to_vec();
    let along = |a: usize| if a == axis { places.clone() } else { places_along(a, &sizes) };
    let index = (0..shape.len()).map(|a| Index::Tensor(along(a))).collect();
    scattered(c, index, &sizes)
}

/// Writes slices at vectors of indices, the last axis of input 1.
fn scatter_nd(c: &NodeCall) -> RuleOutcome {
    let shape = shape_of(c.value(0)?)?;
    let vectors = indices(c, 1, c.value(0)?)?;
    let all = vectors.shape().to_vec();
    let Some((&depth, places)) = all.split_last() else {
        return fail("expected indices of at least one axis, got a scalar");
    };
    if depth == 0 || depth > shape.len() {
        return fail(format!("the indices {} do not fit {shape:?}", vectors.ty()?));
    }
    check_range(&vectors, &shape[..depth])?;
    scattered(c, columns(&vectors), &[places, &shape[depth..]].concat())
}

/// Combines input 0 with input 2, of the shape `sizes`, at an index.
fn scattered(c: &NodeCall, index: Vec<Index>, sizes: &[usize]) -> RuleOutcome {
    let updates = shape_of(c.value(2)?)?;
    if updates != sizes {
        return fail(format!("expected updates of shape {sizes:?}, got {updates:?}"));
    }
    let reduction = c.str_or("reduction", "none")?;
    match (c.value(0)?, c.value(2)?) {
        (OnnxValue::Tensor(x), OnnxValue::Tensor(updates)) => {
            same_dtype(x, updates)?;
            one(combined(x, index, updates, &reduction)?)
        }
        (OnnxValue::Strings(x), OnnxValue::Strings(updates)) if reduction == "none" => {
            scattered_strings(x, index, updates)
        }
        (x, y) => fail(format!("cannot combine {} and {} by `{reduction}`", x.kind(), y.kind())),
    }
}

fn combined(x: &Tensor, i: Vec<Index>, y: &Tensor, reduction: &str) -> Result<Tensor, RuleFailure> {
    let places = x.at(i);
    let is_bool = x.dtype() == DType::Bool;
    Ok(match reduction {
        "none" => places.set(y),
        // Sums and products of bools are disjunctions and conjunctions.
        "max" => places.max(y),
        "min" => places.min(y),
        "add" if is_bool => places.max(y),
        "mul" if is_bool => places.min(y),
        "add" => places.add(y),
        "mul" => places.mul(y),
        other => {
            return fail(format!(
                "expected none, add, mul, max or min as reduction, got `{other}`"
            ));
        }
    })
}

/// Scatters numbers in place of strings: those of the updates follow those of `x`.
fn scattered_strings(x: &Strings, index: Vec<Index>, updates: &Strings) -> RuleOutcome {
    let all = [x.elements(), updates.elements()].concat();
    let (old, end) = (x.elements().len() as i64, all.len() as i64);
    let places = Tensor::from_vec((0..old).collect::<Vec<i64>>(), x.shape());
    let new = Tensor::from_vec((old..end).collect::<Vec<i64>>(), updates.shape());
    let places = places.at(index).set(new).to_vec::<i64>()?;
    let elements = places.into_iter().map(|i| all[i as usize].clone()).collect();
    one(Strings::new(x.shape(), elements)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::tensor;

    #[test]
    fn all_updates_of_an_element_count() {
        let of = |x: &Tensor, y: &Tensor, reduction| {
            combined(x, vec![Index::Tensor(tensor([0i64, 0, -1]))], y, reduction).unwrap()
        };
        let (x, y) = (tensor([2.0, 9.0, 5.0]), tensor([3.0, 4.0, 6.0]));
        for (reduction, want) in [
            ("none", [4.0, 9.0, 6.0]),
            ("add", [9.0, 9.0, 11.0]),
            ("mul", [24.0, 9.0, 30.0]),
            ("max", [4.0, 9.0, 6.0]),
            ("min", [2.0, 9.0, 5.0]),
        ] {
            assert_eq!(of(&x, &y, reduction).to_vec::<f32>().unwrap(), want, "{reduction}");
        }
        let (x, y) = (tensor([true, true, false]), tensor([true, false, true]));
        for (reduction, want) in [("add", [true, true, true]), ("mul", [false, true, false])] {
            assert_eq!(of(&x, &y, reduction).to_vec::<bool>().unwrap(), want, "{reduction}");
        }
        assert!(combined(&x, Vec::new(), &y, "mean").is_err());
    }
}
