//! `Scan`: a body that runs over the entries of tensors along an axis.
//!
//! It becomes a `scan` of the library, and is unrolled if its states change their types or the body
//! needs to know values. Its iterations come from the [budget](crate::loop_budget) of all loops, as
//! the tensors that it runs over may have been made by a few bytes of a file.

use super::axes::{as_axes, axis_of, size_of};
use super::sequences::stacked;
use super::traced_body::{Caught, checked, tensors, values};
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail};
use crate::graph::OnnxGraph;
use crate::operator::{Operator, op};
use crate::value::OnnxValue;
use neurax_ir::Error;
use neurax_tensor::{Tensor, scan};

pub(crate) const OPERATORS: &[Operator] =
    &[op("Scan", &[8, 9, 11, 16, 19, 21, 23, 24, 25], 1..=usize::MAX, run_scan).attributes(&[
        "body",
        "num_scan_inputs",
        "directions",
        "scan_input_directions",
        "scan_output_directions",
        "scan_input_axes",
        "scan_output_axes",
    ])];

fn run_scan(c: &NodeCall) -> RuleOutcome {
    let count = size_of(c.required("num_scan_inputs", c.int("num_scan_inputs")?)?)?;
    if c.version() >= 9 {
        let xs = c.xs()?;
        let inputs = xs.len().checked_sub(count);
        let Some(states) = inputs else { return too_few_inputs(xs.len(), count) };
        let (start, xs) = xs.split_at(states);
        let directions = c.ints("scan_input_directions")?;
        let directions = per_value("scan_input_directions", directions, count)?;
        return scan_once(c, start.to_vec(), xs.to_vec(), directions);
    }
    scan_batch(c, count)
}

/// Runs a `Scan` over one sequence.
fn scan_once(c: &NodeCall, start: Vec<Tensor>, xs: Vec<Tensor>, directions: &[i64]) -> RuleOutcome {
    let body = c.graph("body")?;
    let states = start.len();
    let input_axes = per_value("scan_input_axes", c.ints("scan_input_axes")?, xs.len())?;
    let xs: Vec<Tensor> = xs
        .iter()
        .enumerate()
        .map(|(i, x)| {
            let axis = axis_of(input_axes.get(i).copied().unwrap_or(0), x.rank())?;
            directed(x.move_axis(axis, 0), directions.get(i), 0)
        })
        .collect::<Result<_, RuleFailure>>()?;
    let length = xs.first().map_or(0, |x| x.dim(0));
    if xs.iter().any(|x| x.dim(0) != length) {
        let lengths: Vec<usize> = xs.iter().map(|x| x.dim(0)).collect();
        return fail(format!("expected scan inputs of the same length, got {lengths:?}"));
    }
    let (caught, budget) = (Caught::default(), c.budget());
    let before = budget.used();
    let step = |carry: Vec<Tensor>, x: Vec<Tensor>| {
        budget.give_back(before);
        let ys = c.iterate(body, values([carry.clone(), x].concat())).and_then(tensors);
        let ys = ys.and_then(|ys| Ok(budget.repeat_since(before, length).map(|()| ys)?));
        let mut ys = ys.unwrap_or_else(|f| caught.errors(f, &carry));
        let rows = ys.split_off(states.min(ys.len()));
        (ys, rows)
    };
    let (states, rows) = scan(start.clone(), xs.clone(), step);
    let ys = [&states[..], &rows].concat();
    if let Err(f) = checked(c, caught, &ys, before) {
        if budget.is_exceeded() {
            return Err(f);
        }
        let is_invalid = matches!(f, RuleFailure::Error(_));
        return unrolled_scan(c, body, start, &xs).map_err(|g| if is_invalid { f } else { g });
    }
    arranged(c, states, rows)
}

/// Moves the rows of a scan to the axes and into the directions that the attributes ask for.
fn arranged(c: &NodeCall, states: Vec<Tensor>, rows: Vec<Tensor>) -> RuleOutcome {
    let [axes, directions] = ["scan_output_axes", "scan_output_directions"];
    let axes = per_value(axes, c.ints(axes)?, rows.len())?;
    let directions = per_value(directions, c.ints(directions)?, rows.len())?;
    let mut all = values(states);
    for (i, y) in rows.iter().enumerate() {
        let axis = axis_of(axes.get(i).copied().unwrap_or(0), y.rank())?;
        let y = directed(y.clone(), directions.get(i), 0)?;
        all.push(OnnxValue::Tensor(y.move_axis(0, axis)));
    }
    Ok(all)
}

/// Runs a scan whose states change their types, or whose body needs to know values.
fn unrolled_scan(c: &NodeCall, body: &OnnxGraph, start: Vec<Tensor>, xs: &[Tensor]) -> RuleOutcome {
    let (count, mut states) = (start.len(), values(start));
    let mut rows: Vec<Vec<OnnxValue>> = Vec::new();
    for t in 0..xs.first().map_or(0, |x| x.dim(0)) {
        if !c.may_unroll() {
            return Err(RuleFailure::NeedsValues);
        }
        let x = values(xs.iter().map(|x| x.get(t)).collect());
        states = c.iterate(body, [states, x].concat())?;
        rows.push(states.split_off(count.min(states.len())));
    }
    let Some(first) = rows.first() else {
        return fail("expected a scan over one row at least, as the body needs to know its values");
    };
    let column = |k: usize| {
        let column: Vec<OnnxValue> = rows.iter().map(|row| row[k].clone()).collect();
        tensors(vec![stacked(&column, 0)?])
    };
    let rows: Vec<Tensor> =
        (0..first.len()).map(column).collect::<Result<Vec<_>, RuleFailure>>()?.concat();
    arranged(c, tensors(states)?, rows)
}

/// Runs a `Scan` of version 8: a batch of sequences, each with its length.
fn scan_batch(c: &NodeCall, count: usize) -> RuleOutcome {
    let lengths = c.known_ints(0)?;
    let inputs: Vec<Tensor> = (1..c.count()).map(|i| c.x(i)).collect::<Result<_, _>>()?;
    let Some(states) = inputs.len().checked_sub(count) else {
        return too_few_inputs(inputs.len(), count);
    };
    let (batch, padded) = batch_sizes(&inputs, states)?;
    if let Some(lengths) = &lengths
        && (lengths.len() != batch || lengths.iter().any(|n| !(0..=padded as i64).contains(n)))
    {
        return fail(format!(
            "expected the lengths of {batch} sequences, from 0 to {padded}, got {lengths:?}"
        ));
    }
    let directions = per_value("directions", c.ints("directions")?, count)?;
    let mut members: Vec<Vec<OnnxValue>> = Vec::new();
    for b in 0..batch {
        let of = |x: &Tensor| x.get(b);
        let mut xs: Vec<Tensor> = inputs[states..].iter().map(of).collect();
        let length = lengths.as_ref().map_or(padded as i64, |lengths| lengths[b]);
        xs.iter_mut().for_each(|x| *x = x.slice(0, ..length));
        let mut ys = scan_once(c, inputs[..states].iter().map(of).collect(), xs, directions)?;
        for y in ys.iter_mut().skip(states) {
            if let OnnxValue::Tensor(y) = y {
                let mut widths = vec![(0, 0, 0); y.rank()];
                widths[0].1 = padded as i64 - length;
                *y = y.pad_dilated(widths, Tensor::zeros_of(y.dtype(), ()));
            }
        }
        members.push(ys);
    }
    let Some(first) = members.first() else {
        return fail("expected a batch of at least one sequence, got none");
    };
    let column = |k: usize| {
        let column: Vec<OnnxValue> = members.iter().map(|ys| ys[k].clone()).collect();
        stacked(&column, 0)
    };
    (0..first.len()).map(column).collect()
}

/// Returns the number of sequences, and their length with padding.
///
/// # Errors
/// If the inputs, of which the states come first, differ in them.
fn batch_sizes(inputs: &[Tensor], states: usize) -> Result<(usize, usize), RuleFailure> {
    let types =
        || inputs.iter().map(|x| Ok(x.ty()?.to_string())).collect::<Result<Vec<_>, Error>>();
    let (Some(first), xs) = (inputs.first(), inputs.get(states..).unwrap_or(&[])) else {
        return fail("expected at least one input besides the lengths, got none");
    };
    let has_axes = |(i, x): (usize, &Tensor)| x.rank() > usize::from(i >= states);
    if !inputs.iter().enumerate().all(has_axes)
        || inputs.iter().any(|x| x.dim(0) != first.dim(0))
        || xs.iter().any(|x| x.dim(1) != xs[0].dim(1))
    {
        let want = "states [batch, ..] and sequences [batch, length, ..]";
        return fail(format!("expected {want}, got {}", types()?.join(", ")));
    }
    Ok((first.dim(0), xs.first().map_or(0, |x| x.dim(1))))
}

fn too_few_inputs<T>(got: usize, scanned: usize) -> Result<T, RuleFailure> {
    fail(format!("expected at least {scanned} inputs, which are scanned over, got {got}"))
}

/// Returns the directions or axes that an attribute gives to `count` values.
///
/// # Errors
/// If there are more of them than values.
fn per_value<'a>(
    name: &str,
    all: Option<&'a [i64]>,
    count: usize,
) -> Result<&'a [i64], RuleFailure> {
    let all = all.unwrap_or(&[]);
    match all.len() <= count {
        true => Ok(all),
        false => fail(format!("expected {count} numbers as attribute `{name}`, got {all:?}")),
    }
}

/// Reverses a tensor along an axis if its direction is 1.
///
/// # Errors
/// If the direction is neither 0 nor 1.
fn directed(x: Tensor, direction: Option<&i64>, axis: usize) -> Result<Tensor, RuleFailure> {
    match direction {
        None | Some(0) => Ok(x),
        Some(1) => Ok(x.flip(as_axes(&[axis]))),
        Some(other) => fail(format!("expected 0 or 1 as a direction of a scan, got {other}")),
    }
}
