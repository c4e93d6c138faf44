//! Encoders of categories: numbers in place of strings and the reverse, one-hot vectors.

use super::super::shapes::concatenated;
use super::DOMAIN;
use super::labels::{index_of, picked};
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::graph::Attribute;
use crate::operator::{Operator, op};
use crate::value::{OnnxValue, Strings};
use neurax_tensor::{DType, Tensor};

pub(crate) const OPERATORS: &[Operator] = &[
    op("CategoryMapper", &[1], 1..=1, map_categories).domain(DOMAIN).attributes(&[
        "cats_int64s",
        "cats_strings",
        "default_int64",
        "default_string",
    ]),
    op("LabelEncoder", &[1, 2, 4], 1..=1, encode).domain(DOMAIN).attributes(&[
        "classes_strings",
        "default_float",
        "default_int64",
        "default_string",
        "default_tensor",
        "keys_floats",
        "keys_int64s",
        "keys_strings",
        "keys_tensor",
        "values_floats",
        "values_int64s",
        "values_strings",
        "values_tensor",
    ]),
    op("OneHotEncoder", &[1], 1..=1, one_hot).domain(DOMAIN).attributes(&[
        "cats_int64s",
        "cats_strings",
        "zeros",
    ]),
];

fn ints(xs: &[i64]) -> OnnxValue {
    Tensor::from_slice(xs, xs.len()).into()
}

fn strings(xs: Vec<String>) -> Result<OnnxValue, RuleFailure> {
    Ok(Strings::new([xs.len()], xs)?.into())
}

/// Replaces each element that is a key by its value, others by the default.
fn replaced(
    x: &OnnxValue,
    keys: &OnnxValue,
    values: &OnnxValue,
    default: OnnxValue,
) -> RuleOutcome {
    one(picked(&concatenated(&[values.clone(), default], 0)?, &index_of(x, keys)?)?)
}

/// Returns the default of values: of strings, or of integers.
fn default_of(c: &NodeCall, values: &OnnxValue) -> Result<OnnxValue, RuleFailure> {
    match values {
        OnnxValue::Strings(_) => strings(vec![c.str_or("default_string", "_Unused")?]),
        OnnxValue::Tensor(x) if x.dtype().is_float() => {
            Ok(Tensor::full_of(x.dtype(), 1, c.float_or("default_float", -0.0)?).into())
        }
        OnnxValue::Tensor(x) => {
            Ok(Tensor::full_of(x.dtype(), 1, c.int_or("default_int64", -1)?).into())
        }
        other => fail(format!("expected values of a table, got {}", other.kind())),
    }
}

/// Converts strings to their numbers, or numbers to their strings.
fn map_categories(c: &NodeCall) -> RuleOutcome {
    let numbers = ints(c.ints("cats_int64s")?.unwrap_or_default());
    let names = strings(c.strs("cats_strings")?.unwrap_or_default())?;
    two_ways(c, &numbers, &names)
}

fn two_ways(c: &NodeCall, numbers: &OnnxValue, names: &OnnxValue) -> RuleOutcome {
    let x = c.value(0)?;
    if let (OnnxValue::Tensor(a), OnnxValue::Strings(b)) = (numbers, names)
        && a.size() != b.elements().len()
    {
        return fail(format!("expected {} numbers, got {}", b.elements().len(), a.size()));
    }
    match x {
        OnnxValue::Strings(_) => replaced(x, names, numbers, default_of(c, numbers)?),
        _ => replaced(x, numbers, names, default_of(c, names)?),
    }
}

/// Replaces keys by values. Version 1 converts strings to their places in a list, or the reverse.
fn encode(c: &NodeCall) -> RuleOutcome {
    if c.version() == 1 {
        let names = c.required("classes_strings", c.strs("classes_strings")?)?;
        let places: Vec<i64> = (0..names.len() as i64).collect();
        return two_ways(c, &ints(&places), &strings(names)?);
    }
    let (keys, values) = (table(c, "keys")?, table(c, "values")?);
    let default = match c.tensor("default_tensor")? {
        Some(OnnxValue::Tensor(x)) if x.size() == 1 => x.reshape([1]).into(),
        Some(OnnxValue::Strings(x)) => strings(x.elements().iter().take(1).cloned().collect())?,
        Some(_) => return fail("expected one element as `default_tensor`"),
        None => default_of(c, &values)?,
    };
    replaced(c.value(0)?, &keys, &values, default)
}

/// Returns the vector that is given as one of the attributes `keys_*` or `values_*`.
fn table(c: &NodeCall, side: &str) -> Result<OnnxValue, RuleFailure> {
    let given = ["floats", "int64s", "strings", "tensor"]
        .into_iter()
        .filter_map(|kind| c.attribute(&format!("{side}_{kind}")));
    let mut given = given.filter(|a| !is_empty(a));
    let (Some(attribute), None) = (given.next(), given.next()) else {
        return fail(format!("expected one list of {side}"));
    };
    match attribute {
        Attribute::Floats(xs) => Ok(Tensor::from_slice(xs, xs.len()).into()),
        Attribute::Ints(xs) => Ok(ints(xs)),
        Attribute::Strings(_) => strings(c.strs(&format!("{side}_strings"))?.unwrap_or_default()),
        Attribute::Tensor(OnnxValue::Tensor(x)) => Ok(x.reshape([x.size()]).into()),
        Attribute::Tensor(OnnxValue::Strings(x)) => strings(x.elements().to_vec()),
        other => fail(format!("expected a list of {side}, got {}", other.kind())),
    }
}

fn is_empty(a: &Attribute) -> bool {
    match a {
        Attribute::Floats(xs) => xs.is_empty(),
        Attribute::Ints(xs) => xs.is_empty(),
        Attribute::Strings(xs) => xs.is_empty(),
        _ => false,
    }
}

/// Encodes categories as one-hot vectors along a new axis. Numbers are truncated to integers. A
/// value that is no category has zeros, or is an error if `zeros` is 0.
fn one_hot(c: &NodeCall) -> RuleOutcome {
    let (x, keys) = match c.value(0)? {
        x @ OnnxValue::Strings(_) => {
            (x.clone(), strings(c.strs("cats_strings")?.unwrap_or_default())?)
        }
        _ => {
            let cats = c.ints("cats_int64s")?.unwrap_or_default();
            (c.x(0)?.to(DType::I64).into(), ints(cats))
        }
    };
    let count = super::super::shapes::shape_of(&keys)?.iter().product::<usize>();
    if count == 0 {
        return fail(format!("expected categories for {}", x.kind()));
    }
    let index = index_of(&x, &keys)?;
    if !c.flag("zeros", true)? {
        if index.is_traced() {
            return Err(RuleFailure::NeedsValue(0));
        }
        if index.to_vec::<i32>()?.contains(&(count as i32)) {
            return fail("an element is none of the categories, which `zeros` 0 forbids");
        }
    }
    one(index.one_hot(count + 1).slice(-1, ..count as i64).to(DType::F32))
}
