//! Shapes, and moving elements: reshaping, transposing, concatenating, splitting and
//! slicing.
//!
//! A function that only moves elements works on strings, too: see [`moved`].

use super::axes::{as_axes, axes_of, axis_of, check_parts, size_of};
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{Operator, op};
use crate::strings::{bytes_of, check_strings, saturating_size};
use crate::value::{OnnxValue, Strings};
use neurax_ir::Error;
use neurax_tensor::{DType, Index, Tensor, concat};
use std::ops::Bound;

pub(crate) const OPERATORS: &[Operator] = &[
    op("Shape", &[1, 13, 15, 19, 21, 23, 24, 25], 1..=1, shape).attributes(&["start", "end"]),
    op("Size", &[1, 13, 19, 21, 23, 24, 25], 1..=1, size),
    op("Reshape", &[1, 5, 13, 14, 19, 21, 23, 24, 25], 1..=2, reshape).attributes(&[
        "shape",
        "allowzero",
        "consumed_inputs",
    ]),
    op("Flatten", &[1, 9, 11, 13, 21, 23, 24, 25], 1..=1, flatten).attributes(&["axis"]),
    op("Transpose", &[1, 13, 21, 23, 24, 25], 1..=1, transpose).attributes(&["perm"]),
    op("Squeeze", &[1, 11, 13, 21, 23, 24, 25], 1..=2, squeeze).attributes(&["axes"]),
    op("Unsqueeze", &[1, 11, 13, 21, 23, 24, 25], 1..=2, unsqueeze).attributes(&["axes"]),
    op("Expand", &[8, 13], 2..=2, expand),
    op("Tile", &[1, 6, 13], 2..=3, tile),
    op("Concat", &[1, 4, 11, 13], 1..=usize::MAX, concatenate).attributes(&["axis"]),
    op("Split", &[1, 2, 11, 13, 18], 1..=2, split).attributes(&["axis", "split", "num_outputs"]),
    op("Slice", &[1, 10, 11, 13], 1..=5, slice).attributes(&["starts", "ends", "axes"]),
    op("DepthToSpace", &[1, 11, 13, 28], 1..=1, depth_to_space).attributes(&["blocksize", "mode"]),
    op("SpaceToDepth", &[1, 13, 28], 1..=1, space_to_depth).attributes(&["blocksize", "mode"]),
];

/// Applies a function that moves elements to a tensor, or to strings: then to their indices.
///
/// # Errors
/// If the input is neither.
pub(crate) fn moved(
    x: &OnnxValue,
    f: impl FnOnce(&Tensor) -> Result<Tensor, RuleFailure>,
) -> RuleOutcome {
    match x {
        OnnxValue::Tensor(x) => one(f(x)?),
        OnnxValue::Strings(x) => {
            let indices = Tensor::from_vec((0..x.elements().len() as i64).collect(), x.shape());
            one(taken(x.elements(), &f(&indices)?)?)
        }
        other => fail(format!("expected a tensor as input 0, got {}", other.kind())),
    }
}

/// Returns the strings at the positions `places`, in their shape.
///
/// # Errors
/// If they take too much memory.
pub(super) fn taken<S: AsRef<str>>(all: &[S], places: &Tensor) -> Result<Strings, RuleFailure> {
    check_strings(places.size(), 0)?;
    let chosen = places.to_vec::<i64>()?;
    let string = |&i: &i64| Some(all.get(usize::try_from(i).ok()?)?.as_ref());
    let chosen: Option<Vec<&str>> = chosen.iter().map(string).collect();
    let Some(chosen) = chosen else {
        return Err(RuleFailure::Error(Error::bug(
            "a string was moved from outside of its tensor",
        )));
    };
    check_strings(chosen.len(), bytes_of(&chosen))?;
    Ok(Strings::new(places.shape().to_vec(), chosen.into_iter().map(String::from).collect())?)
}

/// Checks that a value may have a larger shape: strings are limited.
///
/// # Errors
/// As for [`check_strings`].
fn check_growth(x: &OnnxValue, size: usize) -> Result<(), RuleFailure> {
    match x {
        OnnxValue::Strings(_) => check_strings(size, 0),
        _ => Ok(()),
    }
}

/// Returns the shape of a tensor or of strings.
pub(crate) fn shape_of(x: &OnnxValue) -> Result<Vec<usize>, RuleFailure> {
    match x {
        OnnxValue::Tensor(x) => Ok(x.shape().to_vec()),
        OnnxValue::Strings(x) => Ok(x.shape().to_vec()),
        other => fail(format!("expected a tensor, got {}", other.kind())),
    }
}

fn shape(c: &NodeCall) -> RuleOutcome {
    let shape = shape_of(c.value(0)?)?;
    let rank = shape.len() as i64;
    let bound = |i: i64| (if i < 0 { i.saturating_add(rank) } else { i }).clamp(0, rank);
    let (start, end) = (bound(c.int_or("start", 0)?), bound(c.int_or("end", rank)?));
    let chosen = shape.get(start as usize..end as usize).unwrap_or(&[]);
    let sizes: Vec<i64> = chosen.iter().map(|&n| n as i64).collect();
    let count = sizes.len();
    one(Tensor::from_vec(sizes, count))
}

fn size(c: &NodeCall) -> RuleOutcome {
    let size: usize = shape_of(c.value(0)?)?.iter().product();
    one(Tensor::scalar(DType::I64, size as i64))
}

/// Returns the failure of a call that lacks an input or attribute.
pub(super) fn missing<T>(what: &str) -> Result<T, RuleFailure> {
    fail(format!("expected {what}, got none"))
}

/// Returns integers that are an attribute before version `from`, and input `i` from it on.
pub(crate) fn ints_of(
    c: &NodeCall,
    name: &str,
    i: usize,
    from: i64,
) -> Result<Option<Vec<i64>>, RuleFailure> {
    match c.version() >= from {
        true => c.known_ints(i),
        false => Ok(c.ints(name)?.map(<[i64]>::to_vec)),
    }
}

fn reshape(c: &NodeCall) -> RuleOutcome {
    let x = c.value(0)?;
    let Some(target) = ints_of(c, "shape", 1, 5)? else { return missing("a new shape") };
    let new = resolved(&target, &shape_of(x)?, c.flag("allowzero", false)?)?;
    moved(x, |x| Ok(x.reshape(&new)))
}

/// Returns the sizes of a new shape: a 0 is the size of the same axis unless `allows_zero` is set,
/// and then a -1 the size that is left.
fn resolved(target: &[i64], old: &[usize], allows_zero: bool) -> Result<Vec<usize>, RuleFailure> {
    let mut sizes = Vec::with_capacity(target.len());
    for (i, &size) in target.iter().enumerate() {
        sizes.push(match size {
            -1 => None,
            0 if !allows_zero => match old.get(i) {
                Some(&size) => Some(size),
                None => return fail(format!("axis {i} of {target:?} copies an axis of {old:?}")),
            },
            size => Some(size_of(size)?),
        });
    }
    let known = sizes.iter().flatten().try_fold(1usize, |n, &size| n.checked_mul(size));
    let (Some(known), total) = (known, old.iter().product::<usize>()) else {
        return fail(format!("the shape {target:?} is too large"));
    };
    let unknown = sizes.iter().filter(|size| size.is_none()).count();
    if unknown > 1 || (unknown == 1 && (known == 0 || !total.is_multiple_of(known))) {
        return fail(format!(
            "cannot reshape {old:?} to {target:?}: the size of -1 is not defined"
        ));
    }
    Ok(sizes.into_iter().map(|size| size.unwrap_or_else(|| total / known)).collect())
}

fn flatten(c: &NodeCall) -> RuleOutcome {
    let x = c.value(0)?;
    let shape = shape_of(x)?;
    let axis = c.int_or("axis", 1)?;
    let axis = match axis == shape.len() as i64 {
        true => shape.len(),
        false => axis_of(axis, shape.len())?,
    };
    let (before, behind) = shape.split_at(axis);
    let sizes = [before.iter().product::<usize>(), behind.iter().product()];
    moved(x, |x| Ok(x.reshape(sizes)))
}

fn transpose(c: &NodeCall) -> RuleOutcome {
    let x = c.value(0)?;
    let rank = shape_of(x)?.len();
    let order = match c.ints("perm")? {
        Some(perm) => axes_of(perm, rank)?,
        None => (0..rank).rev().collect(),
    };
    moved(x, |x| Ok(x.permute(as_axes(&order))))
}

fn squeeze(c: &NodeCall) -> RuleOutcome {
    let x = c.value(0)?;
    let shape = shape_of(x)?;
    let axes = match ints_of(c, "axes", 1, 13)? {
        Some(axes) => axes_of(&axes, shape.len())?,
        None => (0..shape.len()).filter(|&a| shape[a] == 1).collect(),
    };
    moved(x, |x| Ok(x.squeeze(as_axes(&axes))))
}

fn unsqueeze(c: &NodeCall) -> RuleOutcome {
    let x = c.value(0)?;
    let shape = shape_of(x)?;
    let Some(axes) = ints_of(c, "axes", 1, 13)? else { return missing("axes") };
    let rank = shape.len() + axes.len();
    let axes = axes_of(&axes, rank)?;
    let mut old = shape.into_iter();
    let new: Vec<usize> =
        (0..rank).map(|a| if axes.contains(&a) { 1 } else { old.next().unwrap_or(1) }).collect();
    moved(x, |x| Ok(x.reshape(&new)))
}

/// Broadcasts to the common shape of the input and of the given one: a size of 1 keeps an axis.
fn expand(c: &NodeCall) -> RuleOutcome {
    let x = c.value(0)?;
    let Some(target) = c.known_ints(1)? else { return missing("a shape") };
    let target: Vec<usize> = target.iter().map(|&n| size_of(n)).collect::<Result<_, _>>()?;
    let shape = crate::strings::common_shape(&[&shape_of(x)?, &target])?;
    check_growth(x, saturating_size(&shape))?;
    moved(x, |x| Ok(x.broadcast_to(&shape)))
}

/// Repeats the tensor along each axis; in version 1, along one.
fn tile(c: &NodeCall) -> RuleOutcome {
    let x = c.value(0)?;
    let rank = shape_of(x)?.len();
    let times = if c.version() == 1 {
        let (times, axis) = (c.known_floats(1)?, c.known_floats(2)?);
        let (Some(&[times]), Some(&[axis])) = (times.as_deref(), axis.as_deref()) else {
            return fail(format!(
                "expected one number of tiles and one axis, got {times:?} and {axis:?}"
            ));
        };
        let mut all = vec![1; rank];
        all[axis_of(axis as i64, rank)?] = times as i64;
        all
    } else {
        c.known_ints(1)?.unwrap_or_default()
    };
    if times.len() != rank {
        return fail(format!("expected the number of tiles of {rank} axes, got {times:?}"));
    }
    let times: Vec<usize> = times.iter().map(|&n| size_of(n)).collect::<Result<_, _>>()?;
    check_growth(x, saturating_size(&[&times[..], &shape_of(x)?].concat()))?;
    moved(x, |x| Ok(x.tile(&times)))
}

fn concatenate(c: &NodeCall) -> RuleOutcome {
    let axis = match c.int("axis")? {
        None if c.version() < 4 => 1,
        axis => c.required("axis", axis)?,
    };
    let values: Vec<OnnxValue> =
        (0..c.count()).map(|i| c.value(i).cloned()).collect::<Result<_, _>>()?;
    one(concatenated(&values, axis)?)
}

/// Concatenates tensors, or tensors of strings.
///
/// # Errors
/// If they do not fit together.
pub(crate) fn concatenated(values: &[OnnxValue], axis: i64) -> Result<OnnxValue, RuleFailure> {
    if !matches!(values.first(), Some(OnnxValue::Strings(_))) {
        let tensors = values.iter().map(|x| match x {
            OnnxValue::Tensor(x) => Ok(x.clone()),
            other => fail(format!("expected tensors, got {}", other.kind())),
        });
        let tensors: Vec<Tensor> = tensors.collect::<Result<_, _>>()?;
        for x in &tensors {
            super::axes::same_dtype(&tensors[0], x)?;
        }
        return Ok(OnnxValue::Tensor(concat(tensors, axis)));
    }
    let strings = || {
        values.iter().flat_map(|x| match x {
            OnnxValue::Strings(x) => x.elements(),
            _ => &[],
        })
    };
    check_strings(strings().count(), bytes_of(strings()))?;
    // The indices into all strings, one after the other.
    let (mut all, mut indices): (Vec<&String>, _) = (Vec::new(), Vec::new());
    for x in values {
        let OnnxValue::Strings(x) = x else {
            return fail(format!("expected strings, got {}", x.kind()));
        };
        let from = all.len() as i64;
        all.extend(x.elements());
        indices.push(Tensor::from_vec((from..all.len() as i64).collect(), x.shape()));
    }
    Ok(OnnxValue::Strings(taken(&all, &concat(indices, axis))?))
}

/// The version of `Split` from which on the last part may be smaller than the others.
const UNEQUAL_SINCE: i64 = 18;

fn split(c: &NodeCall) -> RuleOutcome {
    let x = c.value(0)?;
    let shape = shape_of(x)?;
    let axis = axis_of(c.int_or("axis", 0)?, shape.len())?;
    let sizes = match ints_of(c, "split", 1, 13)? {
        // Version 1 has the sizes in an input, too.
        None if c.version() == 1 && c.count() > 1 => c.known_ints(1)?,
        sizes => sizes,
    };
    let stated = c.int("num_outputs")?;
    let sizes: Vec<usize> = match sizes {
        Some(sizes) if stated.is_some() => {
            return fail(format!(
                "expected sizes of parts or the attribute `num_outputs`, got {sizes:?} and {}",
                stated.unwrap_or_default()
            ));
        }
        Some(sizes) => sizes.iter().map(|&n| size_of(n)).collect::<Result<_, _>>()?,
        None => equal_sizes(
            shape[axis],
            stated.unwrap_or(c.outputs() as i64),
            c.version() >= UNEQUAL_SINCE,
        )?,
    };
    check_parts(&sizes, shape[axis])?;
    if sizes.len() != c.outputs() {
        return fail(format!("expected {} sizes, one for each output, got {sizes:?}", c.outputs()));
    }
    let mut start = 0;
    let mut parts = Vec::with_capacity(sizes.len());
    for size in sizes {
        let range = start as i64..(start + size) as i64;
        parts.extend(moved(x, |x| Ok(x.slice(axis, range)))?);
        start += size;
    }
    Ok(parts)
}

/// Returns the sizes of `parts` equal parts, of which the last one may be smaller if `may_differ`.
fn equal_sizes(size: usize, parts: i64, may_differ: bool) -> Result<Vec<usize>, RuleFailure> {
    let parts = size_of(parts)?;
    if parts != 0 && !may_differ && !size.is_multiple_of(parts) {
        return fail(format!(
            "expected {parts} equal parts of {size} elements, as `Split` makes before version \
             {UNEQUAL_SINCE}; state their sizes"
        ));
    }
    if parts == 0 || parts > size.max(1) {
        return fail(format!("cannot split {size} elements into {parts} parts"));
    }
    let each = size.div_ceil(parts);
    Ok((0..parts).map(|i| each.min(size.saturating_sub(i * each))).collect())
}

fn slice(c: &NodeCall) -> RuleOutcome {
    let x = c.value(0)?;
    let rank = shape_of(x)?.len();
    let (starts, ends) = (ints_of(c, "starts", 1, 10)?, ints_of(c, "ends", 2, 10)?);
    let (Some(starts), Some(ends)) = (starts, ends) else {
        return missing("starts and ends");
    };
    let axes = ints_of(c, "axes", 3, 10)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = if c.version() >= 10 { c.known_ints(4)? } else { None };
    let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()].iter().any(|&n| n != starts.len()) {
        return fail(format!(
            "expected the same numbers of starts, ends, axes and steps, got {}, {}, {} and {}",
            starts.len(),
            ends.len(),
            axes.len(),
            steps.len()
        ));
    }
    let mut index = vec![Index::Range(Bound::Unbounded, Bound::Unbounded, 1); rank];
    for (i, axis) in axes_of(&axes, rank)?.into_iter().enumerate() {
        if steps[i] == 0 {
            return fail(format!("expected steps other than 0, got {steps:?}"));
        }
        index[axis] = Index::Range(Bound::Included(starts[i]), Bound::Excluded(ends[i]), steps[i]);
    }
    moved(x, |x| Ok(x.index(index)))
}

/// Moves channels `[n, c, h, w]` into blocks of the space axes.
fn depth_to_space(c: &NodeCall) -> RuleOutcome {
    let x = c.x(0)?;
    let ((b, area), [n, channels, h, w]) = (block_size(c)?, images(&x)?);
    if !channels.is_multiple_of(area) {
        return fail(format!("expected a multiple of {area} channels, got {}", x.ty()?));
    }
    let order = match c.str_or("mode", "DCR")?.as_str() {
        "DCR" => ([n, b, b, channels / area, h, w], [0, 3, 4, 1, 5, 2]),
        "CRD" => ([n, channels / area, b, b, h, w], [0, 1, 4, 2, 5, 3]),
        other => return fail(format!("expected the mode DCR or CRD, got `{other}`")),
    };
    let y = x.reshape(order.0).permute(order.1);
    one(y.reshape([n, channels / area, h.saturating_mul(b), w.saturating_mul(b)]))
}

/// Moves blocks of the space axes into channels.
fn space_to_depth(c: &NodeCall) -> RuleOutcome {
    let x = c.x(0)?;
    let ((b, area), [n, channels, h, w]) = (block_size(c)?, images(&x)?);
    if !h.is_multiple_of(b) || !w.is_multiple_of(b) {
        return fail(format!("expected multiples of {b} as h and w, got {}", x.ty()?));
    }
    let order = match c.str_or("mode", "DCR")?.as_str() {
        "DCR" => [0, 3, 5, 1, 2, 4],
        "CRD" => [0, 1, 3, 5, 2, 4],
        other => return fail(format!("expected the mode DCR or CRD, got `{other}`")),
    };
    let y = x.reshape([n, channels, h / b, b, w / b, b]).permute(order);
    one(y.reshape([n, channels.saturating_mul(area), h / b, w / b]))
}

/// Returns the size of a block along an axis, and the number of its elements.
fn block_size(c: &NodeCall) -> Result<(usize, usize), RuleFailure> {
    let size = size_of(c.required("blocksize", c.int("blocksize")?)?)?;
    match size.checked_mul(size) {
        None | Some(0) => fail(format!("expected a block size from 1 on, got {size}")),
        Some(area) => Ok((size, area)),
    }
}

fn images(x: &Tensor) -> Result<[usize; 4], RuleFailure> {
    let shape = x.shape().to_vec();
    shape.try_into().or_else(|_| fail(format!("expected [n, channels, h, w], got {}", x.ty()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_copied_before_the_rest_is_inferred() {
        assert_eq!(resolved(&[0, -1], &[2, 3, 4], false).unwrap(), [2, 12]);
        assert_eq!(resolved(&[-1, 0, 2], &[2, 3, 4], false).unwrap(), [4, 3, 2]);
        assert_eq!(resolved(&[0, 3], &[0, 7], true).unwrap(), [0, 3]);
        assert!(resolved(&[0, -1], &[0, 7], false).is_err(), "any size would do");
        assert!(resolved(&[-1, -1], &[4], false).is_err());
        assert!(resolved(&[5, -1], &[4], false).is_err());
        assert!(resolved(&[2, 2, 0], &[4], false).is_err());
    }
}
