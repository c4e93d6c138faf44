//! The labels of classes, and tables from numbers or strings to others.

use super::super::axes::same_dtype;
use super::super::shapes::moved;
use crate::call::{NodeCall, RuleFailure, fail};
use crate::value::{OnnxValue, Strings};
use neurax_tensor::{DType, Side, Tensor};
use std::collections::HashMap;

/// The labels of the classes of a classifier.
pub(super) enum ClassLabels {
    Ints(Vec<i64>),
    Strings(Vec<String>),
}

impl ClassLabels {
    /// Reads the labels of one of two attributes.
    ///
    /// # Errors
    /// If both or none have labels.
    pub(super) fn read(
        c: &NodeCall,
        ints: &str,
        strings: &str,
    ) -> Result<ClassLabels, RuleFailure> {
        match (c.ints(ints)?.unwrap_or_default(), c.strs(strings)?.unwrap_or_default()) {
            ([], names) if !names.is_empty() => Ok(ClassLabels::Strings(names)),
            (numbers, names) if !numbers.is_empty() && names.is_empty() => {
                Ok(ClassLabels::Ints(numbers.to_vec()))
            }
            _ => fail(format!("expected labels as `{ints}` or as `{strings}`")),
        }
    }

    /// Returns the number of classes.
    pub(super) fn len(&self) -> usize {
        match self {
            ClassLabels::Ints(labels) => labels.len(),
            ClassLabels::Strings(labels) => labels.len(),
        }
    }

    /// Returns the labels of a classifier with one score: of the classes that are not and that are
    /// found. Without two labels, they are 0 and 1.
    pub(super) fn of_two(self) -> ClassLabels {
        match self {
            two if two.len() == 2 => two,
            ClassLabels::Ints(_) => ClassLabels::Ints(vec![0, 1]),
            ClassLabels::Strings(_) => ClassLabels::Strings(vec!["0".into(), "1".into()]),
        }
    }

    /// Returns the label at each index, which must be known for strings.
    pub(super) fn pick(&self, index: &Tensor) -> Result<OnnxValue, RuleFailure> {
        let labels = match self {
            ClassLabels::Ints(labels) => Tensor::from_slice(labels, labels.len()).into(),
            ClassLabels::Strings(labels) => Strings::new([labels.len()], labels.clone())?.into(),
        };
        picked(&labels, index)
    }
}

/// Returns the entry of a vector at each index, which must be known for strings.
pub(super) fn picked(table: &OnnxValue, index: &Tensor) -> Result<OnnxValue, RuleFailure> {
    if matches!(table, OnnxValue::Strings(_)) && index.is_traced() {
        return Err(RuleFailure::NeedsValue(0));
    }
    let index = index.clone();
    let mut ys = moved(table, |table| Ok(table.take(&index, 0)))?;
    match ys.pop() {
        Some(y) => Ok(y),
        None => fail("the table is empty"),
    }
}

/// Returns the index of each element of `x` among the keys, the last one if a key is repeated; the
/// number of keys where it is none of them.
pub(super) fn index_of(x: &OnnxValue, keys: &OnnxValue) -> Result<Tensor, RuleFailure> {
    match (x, keys) {
        (OnnxValue::Strings(x), OnnxValue::Strings(keys)) => {
            let keys = keys.elements();
            let table: HashMap<&String, i32> = keys.iter().zip(0..).collect();
            let missing = keys.len() as i32;
            let index = x.elements().iter().map(|s| table.get(s).copied().unwrap_or(missing));
            Ok(Tensor::from_vec(index.collect(), x.shape()))
        }
        (OnnxValue::Tensor(x), OnnxValue::Tensor(keys)) => index_of_number(x, keys),
        (x, keys) => fail(format!("expected {} as input 0, got {}", keys.kind(), x.kind())),
    }
}

fn index_of_number(x: &Tensor, keys: &Tensor) -> Result<Tensor, RuleFailure> {
    same_dtype(x, keys)?;
    let keys = keys.reshape([keys.size()]);
    let missing = Tensor::full_of(DType::I32, x.shape(), keys.size());
    if keys.size() == 0 {
        return Ok(missing);
    }
    // The sort is stable: the last of equal keys is the last one of the list, too. NaN is behind
    // all numbers.
    let order = keys.argsort(0);
    let sorted = keys.take(&order, 0);
    let place = (sorted.searchsorted(x, Side::Right) - 1).maximum(0);
    let found = sorted.take(&place, 0);
    let is_same = match x.dtype().is_float() {
        true => found.equal(x).logical_or(found.is_nan().logical_and(x.is_nan())),
        false => found.equal(x),
    };
    Ok(is_same.select(order.take(place, 0), missing))
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::tensor;

    #[test]
    fn the_last_of_repeated_keys_counts_and_nan_is_a_key() {
        let keys = tensor([3.0, f32::NAN, 1.0, 3.0]);
        let x = tensor([1.0, 3.0, 2.0, f32::NAN, -1.0]);
        assert_eq!(index_of_number(&x, &keys).unwrap().to_vec::<i32>().unwrap(), [2, 3, 4, 1, 4]);
    }
}
