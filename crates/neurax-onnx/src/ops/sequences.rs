//! Sequences and optional values, which are lists of values while a graph is evaluated.

use super::axes::{axis_of, size_of};
use super::shapes::{concatenated, moved, shape_of};
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{Operator, op};
use crate::value::OnnxValue;
use neurax_tensor::{DType, Tensor};

pub(crate) const OPERATORS: &[Operator] = &[
    op("SequenceConstruct", &[11], 1..=usize::MAX, construct),
    op("SequenceEmpty", &[11], 0..=0, |_| one(OnnxValue::Sequence(Vec::new())))
        .attributes(&["dtype"]),
    op("SequenceLength", &[11], 1..=1, length),
    op("SequenceAt", &[11], 2..=2, at),
    op("SequenceErase", &[11], 1..=2, erase),
    op("SequenceInsert", &[11], 2..=3, insert),
    op("SplitToSequence", &[11, 24], 1..=2, split).attributes(&["axis", "keepdims"]),
    op("ConcatFromSequence", &[11], 1..=1, concatenate).attributes(&["axis", "new_axis"]),
    op("SequenceMap", &[17], 1..=usize::MAX, map).attributes(&["body"]),
    op("Optional", &[15, 28], 0..=1, optional).attributes(&["type"]),
    op("OptionalGetElement", &[15, 18, 28], 1..=1, element),
    op("OptionalHasElement", &[15, 18, 28], 0..=1, has_element),
];

fn construct(c: &NodeCall) -> RuleOutcome {
    let elements = (0..c.count()).map(|i| c.value(i).cloned()).collect::<Result<_, _>>()?;
    one(OnnxValue::Sequence(elements))
}

fn length(c: &NodeCall) -> RuleOutcome {
    one(Tensor::scalar(DType::I64, c.sequence(0)?.len() as i64))
}

/// Returns the position that input `i` names; a negative one counts from the end. `most` is the
/// largest one.
fn position(c: &NodeCall, i: usize, length: usize, most: usize) -> Result<usize, RuleFailure> {
    let Some(given) = c.known_int(i)? else { return fail("expected a position") };
    let from_front = if given < 0 { given.saturating_add(length as i64) } else { given };
    match usize::try_from(from_front) {
        Ok(p) if p <= most => Ok(p),
        _ => fail(format!("position {given} is out of range for a sequence of {length}")),
    }
}

fn at(c: &NodeCall) -> RuleOutcome {
    let xs = c.sequence(0)?;
    let Some(most) = xs.len().checked_sub(1) else { return fail("the sequence has no elements") };
    one(xs[position(c, 1, xs.len(), most)?].clone())
}

fn erase(c: &NodeCall) -> RuleOutcome {
    let mut xs = c.sequence(0)?.to_vec();
    let Some(most) = xs.len().checked_sub(1) else { return fail("the sequence has no elements") };
    let p = if c.optional_value(1).is_some() { position(c, 1, xs.len(), most)? } else { most };
    xs.remove(p);
    one(OnnxValue::Sequence(xs))
}

fn insert(c: &NodeCall) -> RuleOutcome {
    let mut xs = c.sequence(0)?.to_vec();
    let end = xs.len();
    let p = if c.optional_value(2).is_some() { position(c, 2, end, end)? } else { end };
    xs.insert(p, c.value(1)?.clone());
    one(OnnxValue::Sequence(xs))
}

/// Splits a tensor into parts of one size, of given sizes, or into single entries.
fn split(c: &NodeCall) -> RuleOutcome {
    let x = c.value(0)?;
    let shape = shape_of(x)?;
    let axis = axis_of(c.int_or("axis", 0)?, shape.len())?;
    let size = shape[axis];
    let is_single = c.optional_value(1).is_none();
    let sizes = match c.known_ints(1)?.as_deref() {
        None => vec![1; size],
        Some(&[each]) if c.x(1)?.rank() == 0 => {
            let each = size_of(each)?;
            if each == 0 {
                return fail("expected parts of at least one entry");
            }
            (0..size.div_ceil(each)).map(|i| each.min(size - i * each)).collect()
        }
        Some(sizes) => sizes.iter().map(|&n| size_of(n)).collect::<Result<Vec<_>, _>>()?,
    };
    if sizes.iter().sum::<usize>() != size {
        return fail(format!("expected sizes with the sum {size}, got {sizes:?}"));
    }
    let is_removed = is_single && !c.flag("keepdims", true)?;
    let (mut start, mut parts) = (0, Vec::with_capacity(sizes.len()));
    for n in sizes {
        let range = start as i64..(start + n) as i64;
        parts.extend(moved(x, |x| {
            let part = x.slice(axis, range);
            Ok(if is_removed { part.squeeze(axis) } else { part })
        })?);
        start += n;
    }
    one(OnnxValue::Sequence(parts))
}

fn concatenate(c: &NodeCall) -> RuleOutcome {
    let xs = c.sequence(0)?;
    let axis = c.required("axis", c.int("axis")?)?;
    match c.flag("new_axis", false)? {
        true => one(stacked(xs, axis)?),
        false => one(concatenated(xs, axis)?),
    }
}

/// Stacks values along a new axis.
///
/// # Errors
/// If they do not fit together, or there are none.
pub(crate) fn stacked(xs: &[OnnxValue], axis: i64) -> Result<OnnxValue, RuleFailure> {
    let Some(first) = xs.first() else { return fail("expected at least one element") };
    let axis = axis_of(axis, shape_of(first)?.len() + 1)?;
    let mut rows = Vec::with_capacity(xs.len());
    for x in xs {
        rows.extend(moved(x, |x| Ok(x.expand_dims(axis)))?);
    }
    concatenated(&rows, axis as i64)
}

/// Applies the body to the elements of sequences at each position, with the other inputs as they
/// are.
fn map(c: &NodeCall) -> RuleOutcome {
    let (body, length) = (c.graph("body")?, c.sequence(0)?.len());
    let mut columns: Vec<Vec<OnnxValue>> = vec![Vec::new(); body.outputs.len()];
    for t in 0..length {
        let input = |i: usize| match c.value(i)? {
            OnnxValue::Sequence(xs) => match xs.get(t) {
                Some(x) => Ok(x.clone()),
                None => fail(format!("expected sequences of {length} elements")),
            },
            other => Ok(other.clone()),
        };
        let inputs = (0..c.count()).map(input).collect::<Result<_, RuleFailure>>()?;
        for (column, y) in columns.iter_mut().zip(c.run(body, inputs)?) {
            column.push(y);
        }
    }
    Ok(columns.into_iter().map(OnnxValue::Sequence).collect())
}

fn optional(c: &NodeCall) -> RuleOutcome {
    one(OnnxValue::Optional(c.optional_value(0).cloned().map(Box::new)))
}

fn element(c: &NodeCall) -> RuleOutcome {
    match c.value(0)? {
        OnnxValue::Optional(Some(x)) => one((**x).clone()),
        OnnxValue::Optional(None) => fail("the optional value is empty"),
        other => one(other.clone()),
    }
}

fn has_element(c: &NodeCall) -> RuleOutcome {
    let has = !matches!(c.optional_value(0), None | Some(OnnxValue::Optional(None)));
    one(Tensor::scalar(DType::Bool, has))
}
