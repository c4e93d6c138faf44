//! Sequences and optional values, which are lists of values while a graph is evaluated.

use super::axes::{axis_of, check_parts, size_of};
use super::shapes::{concatenated, moved, shape_of};
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::dtype::ElementType;
use crate::graph::Attribute;
use crate::info::type_text;
use crate::limits::MAX_SEQUENCE;
use crate::operator::{Operator, op};
use crate::proto::{TypeProto, TypeValue};
use crate::value::OnnxValue;
use neurax_tensor::{DType, Tensor};

pub(crate) const OPERATORS: &[Operator] = &[
    op("SequenceConstruct", &[11], 1..=usize::MAX, construct),
    op("SequenceEmpty", &[11], 0..=0, empty).attributes(&["dtype"]),
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
    let elements =
        (0..c.count()).map(|i| element_of(c.value(i)?.clone())).collect::<Result<_, _>>()?;
    one(OnnxValue::Sequence(elements))
}

fn empty(c: &NodeCall) -> RuleOutcome {
    if let Some(number) = c.int("dtype")? {
        known_element_type(number)?;
    }
    one(OnnxValue::Sequence(Vec::new()))
}

/// Checks that a value is an element of a sequence: a tensor of numbers or strings.
///
/// # Errors
/// If it is not. A sequence of sequences could double with each node.
fn element_of(x: OnnxValue) -> Result<OnnxValue, RuleFailure> {
    match x {
        OnnxValue::Tensor(_) | OnnxValue::Strings(_) => Ok(x),
        other => fail(format!("expected tensors as elements of a sequence, got {}", other.kind())),
    }
}

/// Checks the length of a sequence that an operator makes of a tensor.
///
/// # Errors
/// If it is more than [`MAX_SEQUENCE`].
fn check_length(length: usize) -> Result<(), RuleFailure> {
    match length <= MAX_SEQUENCE {
        true => Ok(()),
        false => {
            fail(format!("expected a sequence of at most {MAX_SEQUENCE} elements, got {length}"))
        }
    }
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
    xs.insert(p, element_of(c.value(1)?.clone())?);
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
        None => {
            check_length(size)?;
            vec![1; size]
        }
        Some(&[each]) if c.x(1)?.rank() == 0 => {
            let each = size_of(each)?;
            if each == 0 {
                return fail("expected parts of at least one entry, got parts of 0");
            }
            check_length(size.div_ceil(each))?;
            (0..size.div_ceil(each)).map(|i| each.min(size - i * each)).collect()
        }
        Some(sizes) => {
            check_length(sizes.len())?;
            sizes.iter().map(|&n| size_of(n)).collect::<Result<Vec<_>, _>>()?
        }
    };
    check_parts(&sizes, size)?;
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
        for (column, y) in columns.iter_mut().zip(c.iterate(body, inputs)?) {
            column.push(element_of(y)?);
        }
    }
    Ok(columns.into_iter().map(OnnxValue::Sequence).collect())
}

/// Returns an optional value: with the input, or without one, and then of the type of the
/// attribute.
fn optional(c: &NodeCall) -> RuleOutcome {
    let declared = match c.attribute("type") {
        None => None,
        Some(Attribute::Type(t)) => Some(t),
        Some(other) => {
            return fail(format!("expected a type as attribute `type`, got {}", other.kind()));
        }
    };
    if let Some(t) = declared {
        check_type(t)?;
    }
    match (c.optional_value(0), declared) {
        (None, None) => fail("expected an input or the attribute `type`, got neither"),
        (None, Some(_)) => one(OnnxValue::Optional(None)),
        (Some(x), declared) => match x {
            OnnxValue::Tensor(_) | OnnxValue::Strings(_) | OnnxValue::Sequence(_)
                if declared.is_none_or(|t| may_be(t, x)) =>
            {
                one(OnnxValue::Optional(Some(Box::new(x.clone()))))
            }
            other => {
                let want = declared.map_or("a tensor or a sequence".into(), type_text);
                fail(format!(
                    "expected {want} as the value of an optional one, got {}",
                    kind(other)
                ))
            }
        },
    }
}

/// Checks that a type is that of a tensor or of a sequence of tensors.
fn check_type(t: &TypeProto) -> Result<(), RuleFailure> {
    match &t.value {
        Some(TypeValue::Tensor(t)) => known_element_type(t.elem_type.into()),
        Some(TypeValue::Sequence(s)) => match s.elem_type.as_deref().and_then(|t| t.value.as_ref())
        {
            Some(TypeValue::Tensor(t)) => known_element_type(t.elem_type.into()),
            _ => fail(format!("expected a sequence of tensors as `type`, got {}", type_text(t))),
        },
        Some(_) => fail(format!("expected a tensor or sequence as `type`, got {}", type_text(t))),
        None => fail("expected a tensor or sequence as `type`, got a type without a value"),
    }
}

fn known_element_type(number: i64) -> Result<(), RuleFailure> {
    match ElementType::of_number(number) {
        Some(_) => Ok(()),
        None => fail(format!("expected the number of a dtype, got {number}")),
    }
}

/// Returns true if a value can have a declared type.
fn may_be(t: &TypeProto, x: &OnnxValue) -> bool {
    match (&t.value, x) {
        (Some(TypeValue::Tensor(t)), OnnxValue::Tensor(x)) => {
            ElementType::of_number(t.elem_type.into()) == Some(ElementType::Number(x.dtype()))
        }
        (Some(TypeValue::Tensor(t)), OnnxValue::Strings(_)) => {
            ElementType::of_number(t.elem_type.into()) == Some(ElementType::String)
        }
        (Some(TypeValue::Sequence(s)), OnnxValue::Sequence(xs)) => {
            s.elem_type.as_deref().is_some_and(|t| xs.iter().all(|x| may_be(t, x)))
        }
        _ => false,
    }
}

/// Returns the type of a tensor, and the kind of another value.
fn kind(x: &OnnxValue) -> String {
    match x {
        OnnxValue::Tensor(x) => x.ty().map_or(x.dtype().name().into(), |t| t.to_string()),
        other => other.kind().into(),
    }
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
