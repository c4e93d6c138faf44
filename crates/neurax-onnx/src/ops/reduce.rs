//! Reductions over axes, indices of extrema, and cumulative sums and products.
//!
//! Floats below 32 bits are reduced in f32 and rounded once. Functions that are defined for floats
//! alone, as logarithms, are computed in f64 for integers, whose results are truncated.

use super::arithmetic::divide;
use super::axes::{as_axes, axes_of, axis_of};
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{Operator, op};
use neurax_tensor::{ArgOptions, CumulativeOptions, DType, Tensor, keep};

pub(crate) const OPERATORS: &[Operator] = &[
    op("ArgMax", ARG, 1..=1, |c| index(c, Tensor::argmax_with)).attributes(ARG_ATTRIBUTES),
    op("ArgMin", ARG, 1..=1, |c| index(c, Tensor::argmin_with)).attributes(ARG_ATTRIBUTES),
    op("CumProd", &[26], 2..=2, |c| cumulative(c, Tensor::cumprod_with)).attributes(DIRECTIONS),
    op("CumSum", &[11, 14], 2..=2, |c| cumulative(c, Tensor::cumsum_with)).attributes(DIRECTIONS),
    op("ReduceL1", REDUCE, 1..=2, |c| in_numbers(c, |x, axes| x.abs().sum(axes)))
        .attributes(ATTRIBUTES),
    op("ReduceL2", REDUCE, 1..=2, |c| in_floats(c, |x, axes| x.norm(axes))).attributes(ATTRIBUTES),
    op("ReduceLogSum", REDUCE_TO_28, 1..=2, |c| in_floats(c, |x, axes| x.sum(axes).log()))
        .attributes(ATTRIBUTES),
    op("ReduceLogSumExp", REDUCE_TO_28, 1..=2, |c| in_floats(c, |x, axes| x.logsumexp(axes)))
        .attributes(ATTRIBUTES),
    op("ReduceMax", EXTREMA, 1..=2, max).attributes(ATTRIBUTES),
    op("ReduceMean", REDUCE, 1..=2, mean).attributes(ATTRIBUTES),
    op("ReduceMin", EXTREMA, 1..=2, min).attributes(ATTRIBUTES),
    op("ReduceProd", REDUCE, 1..=2, |c| in_numbers(c, |x, axes| x.prod(axes)))
        .attributes(ATTRIBUTES),
    op("ReduceSum", &[1, 11, 13], 1..=2, |c| in_numbers(c, |x, axes| x.sum(axes)))
        .attributes(ATTRIBUTES),
    op("ReduceSumSquare", REDUCE, 1..=2, |c| in_numbers(c, |x, axes| x.square().sum(axes)))
        .attributes(ATTRIBUTES),
];

const ARG: &[i64] = &[1, 11, 12, 13];
const ARG_ATTRIBUTES: &[&str] = &["axis", "keepdims", "select_last_index"];
const REDUCE: &[i64] = &[1, 11, 13, 18];
const REDUCE_TO_28: &[i64] = &[1, 11, 13, 18, 28];
const EXTREMA: &[i64] = &[1, 11, 12, 13, 18, 20];
const ATTRIBUTES: &[&str] = &["axes", "keepdims", "noop_with_empty_axes"];
const DIRECTIONS: &[&str] = &["exclusive", "reverse"];

/// The axes of a reduction.
struct ReducedAxes {
    reduced: Vec<usize>,
    is_kept: bool,
}

impl ReducedAxes {
    /// Returns the axes of a call: an attribute in older versions, an input in newer ones, which
    /// have no such attribute. No axes are all axes, or none if `noop_with_empty_axes` is set.
    fn of(c: &NodeCall, rank: usize) -> Result<ReducedAxes, RuleFailure> {
        let axes = match c.known_ints(1)? {
            Some(axes) => axes,
            None => c.ints("axes")?.unwrap_or(&[]).to_vec(),
        };
        let reduced = match axes.is_empty() && !c.flag("noop_with_empty_axes", false)? {
            true => (0..rank).collect(),
            false => axes_of(&axes, rank)?,
        };
        Ok(ReducedAxes { reduced, is_kept: c.flag("keepdims", true)? })
    }

    /// Reduces a tensor by `f`, which gets the axes.
    fn reduce(&self, x: &Tensor, f: impl FnOnce(&Tensor, Vec<i64>) -> Tensor) -> Tensor {
        let y = f(x, as_axes(&self.reduced));
        let size = |(i, &n): (usize, &usize)| if self.reduced.contains(&i) { 1 } else { n };
        match self.is_kept {
            true => y.reshape(x.shape().iter().enumerate().map(size).collect::<Vec<_>>()),
            false => y,
        }
    }
}

/// Reduces integers in their dtype, and floats in f32 at least.
fn in_numbers(c: &NodeCall, f: impl FnOnce(&Tensor, Vec<i64>) -> Tensor) -> RuleOutcome {
    let x = c.x(0)?;
    let dtype = x.dtype();
    one(ReducedAxes::of(c, x.rank())?.reduce(&x.to(dtype.at_least_f32()), f).to(dtype))
}

/// Reduces as floats, integers in f64.
fn in_floats(c: &NodeCall, f: impl FnOnce(&Tensor, Vec<i64>) -> Tensor) -> RuleOutcome {
    let x = c.x(0)?;
    let dtype = x.dtype();
    let wide = if dtype.is_int() { DType::F64 } else { dtype.at_least_f32() };
    one(ReducedAxes::of(c, x.rank())?.reduce(&x.to(wide), f).to(dtype))
}

fn mean(c: &NodeCall) -> RuleOutcome {
    let x = c.x(0)?;
    if !x.dtype().is_int() {
        return in_floats(c, |x, axes| x.mean(axes));
    }
    let axes = ReducedAxes::of(c, x.rank())?;
    let count: usize = axes.reduced.iter().map(|&a| x.shape()[a]).product();
    // The mean of no integers is not defined: it is their sum, 0.
    let count = Tensor::full_of(x.dtype(), (), count.max(1) as i64);
    one(divide(&axes.reduce(&x, |x, axes| x.sum(axes)), &count).to(x.dtype()))
}

/// Returns the largest elements. For bool, false is less than true.
fn max(c: &NodeCall) -> RuleOutcome {
    extremum(c, |x, axes| if x.dtype() == DType::Bool { x.any(axes) } else { x.max(axes) })
}

fn min(c: &NodeCall) -> RuleOutcome {
    extremum(c, |x, axes| if x.dtype() == DType::Bool { x.all(axes) } else { x.min(axes) })
}

fn extremum(c: &NodeCall, f: impl FnOnce(&Tensor, Vec<i64>) -> Tensor) -> RuleOutcome {
    let x = c.x(0)?;
    one(ReducedAxes::of(c, x.rank())?.reduce(&x, f))
}

/// Returns the indices of extrema along an axis, i64.
fn index(
    c: &NodeCall,
    f: fn(&Tensor, neurax_tensor::Keep<i64>, ArgOptions) -> Tensor,
) -> RuleOutcome {
    let x = c.x(0)?;
    let axis = axis_of(c.int_or("axis", 0)?, x.rank())?;
    let options = match c.flag("select_last_index", false)? {
        true => ArgOptions::new().last(),
        false => ArgOptions::new(),
    };
    let y = f(&x, keep(axis as i64), options).to(DType::I64);
    one(if c.flag("keepdims", true)? { y } else { y.squeeze(axis as i64) })
}

/// Accumulates along the axis that input 1 has. With `exclusive`, the result at an
/// element is that up to the element before.
fn cumulative(c: &NodeCall, f: fn(&Tensor, i64, CumulativeOptions) -> Tensor) -> RuleOutcome {
    let x = c.x(0)?;
    let Some(axis) = c.known_int(1)? else { return fail("expected an axis") };
    let axis = axis_of(axis, x.rank())?;
    let (is_exclusive, is_reverse) = (c.flag("exclusive", false)?, c.flag("reverse", false)?);
    let mut options = CumulativeOptions::new();
    if is_reverse {
        options = options.reverse();
    }
    if is_exclusive {
        // Together with the result of no elements, which is the first one, or the last one in
        // reverse, there is one too many.
        options = options.include_initial();
    }
    let y = f(&x.to(x.dtype().at_least_f32()), axis as i64, options).to(x.dtype());
    let size = x.dim(axis as i64) as i64;
    one(match (is_exclusive, is_reverse) {
        (false, _) => y,
        (true, false) => y.slice(axis as i64, ..size),
        (true, true) => y.slice(axis as i64, 1..),
    })
}
