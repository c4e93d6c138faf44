//! Pools: reductions of sliding windows, and of the whole space.
//!
//! `ceil_mode` is padding at the end, see [`Sliding::rounded_up`]. The means divide sums by the
//! numbers of elements under each window, which follow from the sizes: those of an axis times those
//! of the others.

use super::axes::{size_of, tabulated};
use super::windows::{Sliding, each, pads, space_of};
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{Operator, op};
use crate::value::OnnxValue;
use neurax_tensor::{DType, Padding, Tensor, Windows, keep};

pub(crate) const OPERATORS: &[Operator] = &[
    op("MaxPool", &[1, 8, 10, 11, 12, 22], 1..=1, max_pool).attributes(&[
        "auto_pad",
        "ceil_mode",
        "dilations",
        "kernel_shape",
        "pads",
        "storage_order",
        "strides",
    ]),
    op("AveragePool", &[1, 7, 10, 11, 19, 22], 1..=1, average_pool).attributes(&[
        "auto_pad",
        "ceil_mode",
        "count_include_pad",
        "dilations",
        "kernel_shape",
        "pads",
        "strides",
    ]),
    op("LpPool", &[1, 2, 11, 18, 22], 1..=1, lp_pool).attributes(&[
        "auto_pad",
        "ceil_mode",
        "dilations",
        "kernel_shape",
        "p",
        "pads",
        "strides",
    ]),
    op("GlobalAveragePool", &[1, 22], 1..=1, |c| over_space(c, |x, axes| x.mean(keep(axes)))),
    op("GlobalMaxPool", &[1, 22], 1..=1, |c| over_space(c, |x, axes| x.max(keep(axes)))),
    op("GlobalLpPool", &[1, 2, 22], 1..=1, global_lp_pool).attributes(&["p"]),
    op("MaxUnpool", &[9, 11, 22], 2..=3, max_unpool).attributes(&[
        "kernel_shape",
        "pads",
        "strides",
    ]),
    op("LRN", &[1, 13], 1..=1, lrn).attributes(&["alpha", "beta", "bias", "size"]),
];

/// Returns the windows of a pool and those with `ceil_mode`.
fn windows(c: &NodeCall, x: &Tensor) -> Result<(Sliding, Sliding), RuleFailure> {
    let plain = Sliding::of_pool(c, x)?;
    let all = match c.flag("ceil_mode", false)? {
        true => plain.clone().rounded_up(),
        false => plain.clone(),
    };
    Ok((plain, all))
}

fn max_pool(c: &NodeCall) -> RuleOutcome {
    let x = c.x(0)?;
    let (_, windows) = windows(c, &x)?;
    let y = x.max_pool(&windows.taps[..], windows.options());
    let is_column_major = match c.int_or("storage_order", 0)? {
        0 => false,
        1 => true,
        other => return fail(format!("expected 0 or 1 as `storage_order`, got {other}")),
    };
    if !c.wants(1) {
        return one(y);
    }
    let found = x.max_pool_indices(&windows.taps[..], windows.options()).to(DType::I64);
    let found = if is_column_major { column_major(&found, &windows.space) } else { found };
    // Positions in the space of a channel become positions in the tensor.
    let (batch, channels) = (x.dim(0), x.dim(1));
    let plane: usize = windows.space.iter().product();
    let mut shape = vec![1; x.rank()];
    (shape[0], shape[1]) = (batch, channels);
    let start = Tensor::arange(batch * channels).to(DType::I64) * plane as i64;
    Ok(vec![OnnxValue::Tensor(y), OnnxValue::Tensor(found + start.reshape(shape))])
}

/// Returns positions in a space whose first axis varies fastest, for those whose last one does.
fn column_major(found: &Tensor, space: &[usize]) -> Tensor {
    let (mut rest, mut sum) = (found.clone(), found.zeros_like());
    let mut stride: usize = space.iter().product();
    for &size in space.iter().rev() {
        stride = stride.checked_div(size).unwrap_or(0);
        sum += rest.remainder(size.max(1) as i64) * stride as i64;
        rest = rest.floor_divide(size.max(1) as i64);
    }
    sum
}

fn average_pool(c: &NodeCall) -> RuleOutcome {
    let x = c.x(0)?;
    let (plain, windows) = windows(c, &x)?;
    let is_padding_counted = c.flag("count_include_pad", false)?;
    let wide = x.to(x.dtype().at_least_f32());
    let mut y = wide.sum_pool(&windows.taps[..], windows.options());
    y.ty()?;
    for i in 0..windows.space.len() {
        let counted = if is_padding_counted { plain.pads[i] } else { (0, 0) };
        let counts = counts(&windows, i, counted)?;
        let mut shape = vec![1; x.rank()];
        shape[2 + i] = counts.len();
        y /= Tensor::from_vec(counts, shape).to(y.dtype());
    }
    one(y.to(x.dtype()))
}

/// Returns the number of elements along axis `i` under each window, at least 1; `counted`
/// elements of padding before and after the axis count as well.
fn counts(windows: &Sliding, i: usize, counted: (i64, i64)) -> Result<Vec<i64>, RuleFailure> {
    let (low, high) = (-counted.0, (windows.space[i] as i64).saturating_add(counted.1));
    let dilation = windows.dilations[i] as i64;
    let count = |w: usize| {
        let start = (w * windows.strides[i]) as i64 - windows.pads[i].0;
        // The taps from the first one at `low` on, up to the last one before `high`.
        let before = |end: i64| {
            let taps = -(start - end).div_euclid(dilation);
            taps.clamp(0, windows.taps[i] as i64)
        };
        (before(high) - before(low)).max(1)
    };
    tabulated(windows.windows(i), count)
}

/// Reads the attribute `p`, an integer since version 2.
fn order(c: &NodeCall) -> Result<f64, RuleFailure> {
    let p = match c.version() {
        1 => c.float_or("p", 2.0)?.into(),
        _ => c.int_or("p", 2)? as f64,
    };
    match p > 0.0 {
        true => Ok(p),
        false => fail(format!("expected a positive number as `p`, got {p}")),
    }
}

/// Computes the norm of order `p` with the sum that `sum` computes.
fn norm(x: &Tensor, p: f64, sum: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
    let wide = x.to(x.dtype().at_least_f32());
    let y = match p {
        1.0 => sum(&wide.abs()),
        2.0 => sum(&wide.square()).sqrt(),
        p => sum(&wide.abs().pow(p)).pow(1.0 / p),
    };
    y.to(x.dtype())
}

fn lp_pool(c: &NodeCall) -> RuleOutcome {
    let x = c.x(0)?;
    let (_, windows) = windows(c, &x)?;
    one(norm(&x, order(c)?, |x| x.sum_pool(&windows.taps[..], windows.options())))
}

fn global_lp_pool(c: &NodeCall) -> RuleOutcome {
    let p = order(c)?;
    over_space(c, |x, axes| norm(x, p, |x| x.sum(keep(axes))))
}

/// Reduces all space axes, whose sizes become 1.
fn over_space(c: &NodeCall, f: impl FnOnce(&Tensor, Vec<i64>) -> Tensor) -> RuleOutcome {
    let x = c.x(0)?;
    match x.rank() {
        0 | 1 => fail(format!("expected [batch, channels, space ..], got {}", x.ty()?)),
        2 => one(x),
        rank => one(f(&x, (2..rank as i64).collect())),
    }
}

/// Puts elements to the positions that `MaxPool` found, among zeros.
///
/// The positions are those in a tensor of the size that follows from the attributes. A given shape
/// that is larger continues it by zeros; in one that is smaller, they are positions in this shape.
fn max_unpool(c: &NodeCall) -> RuleOutcome {
    let (x, indices) = (c.x(0)?, c.x(1)?);
    let space = space_of(&x)?;
    c.required("kernel_shape", c.ints("kernel_shape")?)?;
    let (taps, strides) = (each(c, "kernel_shape", space.len())?, each(c, "strides", space.len())?);
    let pads = pads(c, space.len())?;
    let size = |i: usize| {
        let last = (space[i] as i64 - 1).saturating_mul(strides[i] as i64);
        let padding = pads[i].0.saturating_add(pads[i].1);
        size_of(last.saturating_add(taps[i] as i64).saturating_sub(padding))
    };
    let sizes: Vec<usize> = (0..space.len()).map(size).collect::<Result<_, _>>()?;
    let own = [&[x.dim(0), x.dim(1)], &sizes[..]].concat();
    let given = match c.known_ints(2)? {
        None => own.clone(),
        Some(shape) => shape.into_iter().map(size_of).collect::<Result<_, _>>()?,
    };
    if given.len() != own.len() || given[..2] != own[..2] || indices.shape() != x.shape() {
        let (x, indices) = (x.ty()?, indices.ty()?);
        return fail(format!("cannot unpool {x} at positions {indices} to {given:?}"));
    }
    let is_smaller = given.iter().zip(&own).any(|(given, own)| given < own);
    let inner = if is_smaller { &given } else { &own };
    let Some(total) = inner.iter().try_fold(1usize, |n, &size| n.checked_mul(size)) else {
        return fail(format!("the shape {inner:?} is too large"));
    };
    let zeros = Tensor::zeros_of(x.dtype(), total);
    let y = zeros.at(indices.flatten()).set(x.flatten()).reshape(inner);
    let widths: Vec<_> = given.iter().zip(inner).map(|(a, b)| (0, a - b)).collect();
    one(y.pad(widths, Tensor::zeros_of(x.dtype(), ())))
}

/// Divides by a power of the sum of squares over neighbouring channels.
fn lrn(c: &NodeCall) -> RuleOutcome {
    let x = c.x(0)?;
    let size = size_of(c.required("size", c.int("size")?)?)?;
    if x.rank() < 2 || size == 0 || size > 1 << 40 {
        return fail(format!(
            "expected [batch, channels, ..] and a size, got {} and {size}",
            x.ty()?
        ));
    }
    let (alpha, beta) = (c.float_or("alpha", 1e-4)?, c.float_or("beta", 0.75)?);
    let bias = c.float_or("bias", 1.0)?;
    let wide = x.to(x.dtype().at_least_f32());
    let mut taps = vec![1; x.rank()];
    taps[1] = size;
    let mut padding = vec![(0, 0); x.rank()];
    padding[1] = ((size - 1) as i64 / 2, size as i64 / 2);
    let options = Windows::new().padding(Padding::Each(padding));
    let sum = wide.square().window_sum(taps, options);
    let scale = sum * (f64::from(alpha) / size as f64) + f64::from(bias);
    one((wide / scale.pow(f64::from(beta))).to(x.dtype()))
}
