//! Reading elements at indices, and what is made of them: `Gather` and its relatives, triangles,
//! reversed sequences, one-hot vectors, the largest elements.
//!
//! Indices count from the end if they are negative. One that is out of range is an error if the
//! indices are known; traced ones are clamped, as those of the tensors of Neurax are.

use super::axes::{axis_of, size_of};
use super::shapes::{moved, shape_of};
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{Operator, op};
use crate::value::{OnnxValue, Strings};
use neurax_ir::Kind;
use neurax_tensor::{DType, Index, Tensor};

pub(crate) const OPERATORS: &[Operator] = &[
    op("Gather", &[1, 11, 13], 2..=2, gather).attributes(&["axis"]),
    op("GatherElements", &[11, 13], 2..=2, gather_elements).attributes(&["axis"]),
    op("GatherND", &[11, 12, 13], 2..=2, gather_nd).attributes(&["batch_dims"]),
    op("OneHot", &[9, 11, 28], 3..=3, one_hot).attributes(&["axis"]),
    op("ReverseSequence", &[10, 28], 2..=2, reverse_sequence)
        .attributes(&["batch_axis", "time_axis"]),
    op("TopK", &[1, 10, 11, 24], 1..=2, top_k).attributes(&["axis", "k", "largest", "sorted"]),
    op("Trilu", &[14], 1..=2, triangle).attributes(&["upper"]),
    op("Trilu", &[1], 1..=2, triangle).attributes(&["upper"]).domain("com.microsoft"),
];

/// Returns input `i`, integers that select elements of `x`. For strings, they must be known.
pub(crate) fn indices(c: &NodeCall, i: usize, x: &OnnxValue) -> Result<Tensor, RuleFailure> {
    let indices = match x {
        OnnxValue::Strings(_) => c.known(i)?,
        _ => c.x(i)?,
    };
    match indices.dtype().is_int() {
        true => Ok(indices),
        false => fail(format!("expected integers as input {i}, got {}", indices.ty()?)),
    }
}

/// Checks that indices, if they are known, are in range: entry `k` along their last axis for an
/// axis of size `sizes[k]`, or each for `sizes[0]` if that is the only one.
pub(crate) fn check_range(indices: &Tensor, sizes: &[usize]) -> Result<(), RuleFailure> {
    if indices.is_traced() || sizes.is_empty() {
        return Ok(());
    }
    for row in indices.to(DType::I64).to_vec::<i64>()?.chunks(sizes.len()) {
        for (&i, &size) in row.iter().zip(sizes) {
            let size = size as i64;
            if !(-size..size).contains(&i) {
                return fail(format!("the index {i} is out of range for an axis of {size}"));
            }
        }
    }
    Ok(())
}

fn gather(c: &NodeCall) -> RuleOutcome {
    let x = c.value(0)?;
    let shape = shape_of(x)?;
    let axis = axis_of(c.int_or("axis", 0)?, shape.len())?;
    let places = indices(c, 1, x)?;
    check_range(&places, &[shape[axis]])?;
    moved(x, |x| Ok(x.take(&places, axis)))
}

fn gather_elements(c: &NodeCall) -> RuleOutcome {
    let x = c.value(0)?;
    let shape = shape_of(x)?;
    let axis = axis_of(c.int_or("axis", 0)?, shape.len())?;
    let places = indices(c, 1, x)?;
    check_fits(&places, &shape, axis)?;
    check_range(&places, &[shape[axis]])?;
    let sizes = places.shape().to_vec();
    moved(x, |x| {
        // The indices may leave out entries at the end of the other axes.
        let others = (0..sizes.len()).filter(|&a| a != axis && sizes[a] < shape[a]);
        let part = others.fold(x.clone(), |x, a| x.slice(a, ..sizes[a] as i64));
        Ok(part.take_along_axis(&places, axis))
    })
}

/// Checks that indices along `axis` have the axes of the data, and are not longer along the others.
pub(crate) fn check_fits(
    indices: &Tensor,
    shape: &[usize],
    axis: usize,
) -> Result<(), RuleFailure> {
    let sizes = indices.shape();
    let fits = |a: usize| a == axis || sizes[a] <= shape[a];
    match sizes.len() == shape.len() && (0..shape.len()).all(fits) {
        true => Ok(()),
        false => fail(format!(
            "expected indices of at most the shape {shape:?} but for axis {axis}, got {}",
            indices.ty()?
        )),
    }
}

/// Gathers at vectors of indices, the last axis of input 1, separately for each entry of the first
/// `batch_dims` axes.
fn gather_nd(c: &NodeCall) -> RuleOutcome {
    let x = c.value(0)?;
    let shape = shape_of(x)?;
    let vectors = indices(c, 1, x)?;
    let batch = size_of(c.int_or("batch_dims", 0)?)?;
    let all = vectors.shape().to_vec();
    let Some((&depth, places)) = all.split_last() else {
        return fail("expected indices of at least one axis, got a scalar");
    };
    let fits = batch <= places.len().min(shape.len())
        && places[..batch] == shape[..batch]
        && depth >= 1
        && depth <= shape.len() - batch;
    if !fits {
        let ty = vectors.ty()?;
        return fail(format!("the indices {ty} do not fit {shape:?} with {batch} axes of a batch"));
    }
    check_range(&vectors, &shape[batch..batch + depth])?;
    let mut index: Vec<Index> =
        (0..batch).map(|a| Index::Tensor(places_along(a, places))).collect();
    index.extend(columns(&vectors));
    moved(x, |x| Ok(x.index(index)))
}

/// Returns the indices along axis `a` of a tensor of shape `shape`, with sizes of 1 for the others.
pub(crate) fn places_along(a: usize, shape: &[usize]) -> Tensor {
    let mut sizes = vec![1; shape.len()];
    sizes[a] = shape[a];
    Tensor::arange(shape[a]).to(DType::I64).reshape(sizes)
}

/// Returns the entries along the last axis, one index for each.
pub(crate) fn columns(vectors: &Tensor) -> Vec<Index> {
    let last = vectors.rank().saturating_sub(1);
    let column = |k: usize| vectors.slice(last, k as i64..k as i64 + 1).squeeze(last);
    (0..vectors.dim(-1)).map(|k| Index::Tensor(column(k))).collect()
}

/// Writes `values[1]` at each index along a new axis of size `depth`, and `values[0]` elsewhere.
/// From version 11 on, indices may be negative.
fn one_hot(c: &NodeCall) -> RuleOutcome {
    let (places, depth) = (c.x(0)?, depth(c)?);
    let axis = axis_of(c.int_or("axis", -1)?, places.rank() + 1)?;
    let values = c.value(2)?;
    if shape_of(values)? != [2] {
        return fail(format!("expected values [off, on], got shape {:?}", shape_of(values)?));
    }
    let is_unsigned = places.dtype().kind() == Kind::Unsigned;
    let wide = if is_unsigned { DType::U64 } else { DType::I64 };
    let mut places = places.to(wide).expand_dims(axis);
    if c.version() >= 11 && !is_unsigned {
        places = places.lt(0).select(&places + depth as i64, &places);
    }
    let mut sizes = vec![1; places.rank()];
    sizes[axis] = depth;
    let is_on = places.equal(Tensor::arange(depth).to(wide).reshape(sizes));
    if matches!(values, OnnxValue::Strings(_)) && is_on.is_traced() {
        return Err(RuleFailure::NeedsValue(0));
    }
    moved(values, |v| Ok(is_on.select(v.get(1), v.get(0))))
}

/// Returns the known size of the axis of one-hot vectors, a number of any dtype.
fn depth(c: &NodeCall) -> Result<usize, RuleFailure> {
    match c.known_floats(1)?.as_deref() {
        Some(&[depth]) if depth >= 0.0 && depth <= f64::from(i32::MAX) => Ok(depth as usize),
        Some(&[depth]) => fail(format!("expected a depth, got {depth}")),
        other => fail(format!("expected one depth, got {} numbers", other.map_or(0, <[_]>::len))),
    }
}

/// Reverses the first `lengths[b]` entries along the time axis for each entry `b` of the batch.
fn reverse_sequence(c: &NodeCall) -> RuleOutcome {
    let x = c.value(0)?;
    let shape = shape_of(x)?;
    let (batch, time) = (c.int_or("batch_axis", 1)?, c.int_or("time_axis", 0)?);
    if !matches!((batch, time), (0, 1) | (1, 0)) || shape.len() < 2 {
        return fail(format!("expected 0 and 1 as axes of {shape:?}, got {batch} and {time}"));
    }
    let (batch, time) = (batch as usize, time as usize);
    let lengths = indices(c, 1, x)?;
    if *lengths.shape() != [shape[batch]] {
        return fail(format!("expected {} lengths, got {}", shape[batch], lengths.ty()?));
    }
    if !lengths.is_traced() {
        let fits = |&n: &i64| n >= 0 && n <= shape[time] as i64;
        if let Some(n) = lengths.to(DType::I64).to_vec()?.into_iter().find(|n| !fits(n)) {
            return fail(format!("the length {n} is out of range for {} entries", shape[time]));
        }
    }
    let mut sizes = vec![1; shape.len()];
    sizes[batch] = shape[batch];
    let (t, n) = (places_along(time, &shape), lengths.to(DType::I64).reshape(sizes));
    let places = t.lt(&n).select(&n - 1 - &t, &t);
    moved(x, |x| Ok(x.take_along_axis(&places, time)))
}

/// Returns the `k` largest or smallest elements along an axis, and their indices; of equal ones
/// those with the lower index come first. NaN counts as larger than all numbers.
///
/// The order of the results is free if `sorted` is 0: they are sorted then, too.
fn top_k(c: &NodeCall) -> RuleOutcome {
    let x = c.x(0)?;
    let axis = axis_of(c.int_or("axis", -1)?, x.rank())?;
    let k = match c.version() >= 10 {
        true => c.known_int(1)?,
        false => c.int("k")?,
    };
    let k = size_of(c.required("k", k)?)?;
    c.flag("sorted", true)?;
    if k > x.dim(axis as i64) {
        return fail(format!("expected at least {k} elements along axis {axis} of {}", x.ty()?));
    }
    let (values, places) = match c.flag("largest", true)? {
        true => {
            let (values, places) = x.move_axis(axis as i64, -1).top_k(k);
            (values.move_axis(-1, axis as i64), places.move_axis(-1, axis as i64))
        }
        false => {
            let places = x.argsort(axis).slice(axis, ..k as i64);
            (x.take_along_axis(&places, axis), places)
        }
    };
    Ok(vec![values.into(), places.to(DType::I64).into()])
}

/// Keeps the upper or lower triangle of matrices: the entries on and above, or below, diagonal `k`.
/// Others become 0, or empty strings.
fn triangle(c: &NodeCall) -> RuleOutcome {
    let x = c.value(0)?;
    let shape = shape_of(x)?;
    let &[.., rows, columns] = &shape[..] else {
        return fail(format!("expected matrices, got shape {shape:?}"));
    };
    let k = match c.maybe(1)? {
        Some(k) if k.size() != 1 || !k.dtype().is_int() => {
            return fail(format!("expected one integer as k, got {}", k.ty()?));
        }
        // Beyond the corners, all or no entries are kept.
        Some(k) => k.reshape(()).to(DType::I64).clip(-(rows as i64) - 1, columns as i64 + 1),
        None => Tensor::scalar(DType::I64, 0),
    };
    let diagonal = places_along(1, &[1, columns]) - places_along(0, &[rows, 1]);
    let is_kept = if c.flag("upper", true)? { diagonal.ge(&k) } else { diagonal.le(&k) };
    match x {
        OnnxValue::Strings(x) => kept_strings(x, &is_kept),
        _ => moved(x, |x| Ok(is_kept.select(x, x.zeros_like()))),
    }
}

/// Returns strings, empty ones where the mask of the last axes is false.
fn kept_strings(x: &Strings, is_kept: &Tensor) -> RuleOutcome {
    if is_kept.is_traced() {
        return Err(RuleFailure::NeedsValue(1));
    }
    let mask = is_kept.to_vec::<bool>()?;
    let strings = x.elements().iter().zip(mask.iter().cycle());
    let kept = strings.map(|(s, &is_kept)| if is_kept { s.clone() } else { String::new() });
    one(Strings::new(x.shape(), kept.collect())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::tensor;

    #[test]
    fn indices_out_of_range_are_an_error() {
        assert!(check_range(&tensor([-3i64, 2]), &[3]).is_ok());
        assert!(check_range(&tensor([3i64]), &[3]).is_err());
        assert!(check_range(&tensor([-4i64]), &[3]).is_err());
        assert!(check_range(&tensor([[1i64, 4], [-2, -5]]), &[2, 5]).is_ok());
        assert!(check_range(&tensor([[4i64, 1]]), &[2, 5]).is_err());
        assert!(check_range(&tensor([0i64]), &[0]).is_err());
    }
}
