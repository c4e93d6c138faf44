//! Signals: Fourier transforms, window functions, `MelWeightMatrix`, and ONNX Runtime's
//! `UnfoldTensor` and `DynamicTimeWarping`.
//!
//! ONNX has complex numbers as a last axis of size 2, and real ones as one of size 1.

use super::axes::{axis_of, same_dtype, size_of, tabulated};
use super::constants::dtype_attribute;
use super::shapes::{moved, shape_of};
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{Operator, op};
use neurax_tensor::{DType, FftOptions, Tensor, stack};
use std::f64::consts::TAU;

pub(crate) const OPERATORS: &[Operator] = &[
    op("DFT", &[17, 20], 1..=3, dft).attributes(&["axis", "inverse", "onesided"]),
    op("STFT", &[17], 2..=4, stft).attributes(&["onesided"]),
    // The coefficients are those of the definitions: 25/46 is 0.543 and not 0.54.
    op("HannWindow", &[17], 1..=1, |c| window(c, &[0.5, -0.5])).attributes(WINDOW),
    op("HammingWindow", &[17], 1..=1, |c| window(c, &[25.0 / 46.0, -21.0 / 46.0]))
        .attributes(WINDOW),
    op("BlackmanWindow", &[17], 1..=1, |c| window(c, &[0.42, -0.5, 0.08])).attributes(WINDOW),
    op("MelWeightMatrix", &[17], 5..=5, mel_weight_matrix).attributes(&["output_datatype"]),
    op("UnfoldTensor", &[1], 1..=1, unfold)
        .domain("com.microsoft")
        .attributes(&["dim", "size", "step"]),
    op("DynamicTimeWarping", &[1], 1..=1, dynamic_time_warping).domain("com.microsoft"),
];

/// The number of bands of a mel matrix, of which a spectrum has a few hundred.
const MAX_BANDS: usize = 1 << 16;

const WINDOW: &[&str] = &["output_datatype", "periodic"];

fn dft(c: &NodeCall) -> RuleOutcome {
    let x = c.x(0)?;
    let axis = match c.version() >= 20 {
        true => c.known_int(2)?.unwrap_or(-2),
        false => c.int_or("axis", 1)?,
    };
    let axis = axis_of(axis, x.rank())?;
    if axis + 1 == x.rank() {
        return fail(format!("expected an axis before the last one, got {axis} of {}", x.ty()?));
    }
    let length = c.known_int(1)?.map(size_of).transpose()?;
    let is_onesided = c.flag("onesided", false)?;
    one(match c.flag("inverse", false)? {
        false => transform(&x, axis, length, is_onesided)?,
        true => inverse(&x, axis, length, is_onesided)?,
    })
}

/// Returns the options of a transform of the size `length`.
fn options(axis: usize, length: Option<usize>) -> FftOptions {
    let options = FftOptions::new().axis(axis);
    length.into_iter().fold(options, FftOptions::size)
}

/// Returns the numbers whose parts are the last axis.
fn numbers(x: &Tensor) -> Result<Tensor, RuleFailure> {
    let part = |i: i64| x.slice(-1, i..i + 1).squeeze(-1);
    match x.dim(-1) {
        1 if x.rank() > 1 => Ok(part(0)),
        2 if x.rank() > 1 => Ok(part(0).complex(part(1))),
        _ => fail(format!("expected a last axis of size 1 or 2, got {}", x.ty()?)),
    }
}

/// Returns complex numbers with their parts as last axis.
fn parts(y: &Tensor, dtype: DType) -> Tensor {
    stack([y.real(), y.imag()], -1).to(dtype)
}

/// Computes the transform along an axis, or the first half of it.
fn transform(
    x: &Tensor,
    axis: usize,
    length: Option<usize>,
    is_onesided: bool,
) -> Result<Tensor, RuleFailure> {
    let signal = numbers(x)?;
    let y = match is_onesided && !signal.dtype().is_complex() {
        true => signal.rfft_with(options(axis, length)),
        false => signal.fft_with(options(axis, length)),
    };
    let half = (length.unwrap_or(x.dim(axis as i64)) / 2 + 1) as i64;
    let y = if is_onesided { y.slice(axis, ..half) } else { y };
    Ok(parts(&y, x.dtype()))
}

/// Computes the inverse transform along an axis; of the first half of a transform, that of real
/// numbers.
fn inverse(
    x: &Tensor,
    axis: usize,
    length: Option<usize>,
    is_onesided: bool,
) -> Result<Tensor, RuleFailure> {
    let y = numbers(x)?;
    Ok(match is_onesided {
        true => y.irfft_with(options(axis, length)).expand_dims(-1).to(x.dtype()),
        false => parts(&y.ifft_with(options(axis, length)), x.dtype()),
    })
}

/// Computes the transforms of frames of a signal.
fn stft(c: &NodeCall) -> RuleOutcome {
    let (x, window) = (c.x(0)?, c.maybe(2)?);
    // PyTorch exports real signals without a last axis.
    let x = if x.rank() == 2 { x.expand_dims(-1) } else { x };
    let step = c.known_int(1)?.map(size_of).transpose()?.unwrap_or(0);
    let stated = c.known_int(3)?.map(size_of).transpose()?;
    let size = stated.or(window.as_ref().map(Tensor::size)).unwrap_or(x.dim(1));
    if x.rank() != 3 || step == 0 || size == 0 || size > x.dim(1) {
        return fail(format!(
            "expected a signal [batch, length, 1 or 2], a step and frames within it, got {}, \
             {step} and {size}",
            x.ty()?
        ));
    }
    let frames = (x.dim(1) - size) / step + 1;
    let mut framed = framed(&x, 1, frames, size, step);
    if let Some(window) = window {
        same_dtype(&x, &window)?;
        if window.shape()[..] != [size] {
            return fail(format!("expected a window of size {size}, got {}", window.ty()?));
        }
        framed *= window.reshape([size, 1]);
    }
    one(transform(&framed, 2, None, c.flag("onesided", true)?)?)
}

/// Returns the ranges of `size` elements along an axis that begin at multiples of `step`: the axis
/// becomes two, one of ranges and one of their elements.
fn framed(x: &Tensor, axis: usize, frames: usize, size: usize, step: usize) -> Tensor {
    let count = |n: usize| Tensor::arange(n).to(DType::I64);
    let start = count(frames) * step as i64;
    x.take(start.expand_dims(-1) + count(size), axis as i64)
}

/// Returns a window function, a sum of cosines of multiples of a frequency.
fn window(c: &NodeCall, coefficients: &[f64]) -> RuleOutcome {
    let dtype = dtype_attribute(c, "output_datatype")?.unwrap_or(DType::F32);
    let size = size_of(c.known_int(0)?.unwrap_or(0))?;
    // A symmetric window ends where it begins; a periodic one is followed by its beginning.
    let period = if c.flag("periodic", true)? { size } else { size.saturating_sub(1) };
    if period == 0 {
        return one(Tensor::ones_of(dtype, size));
    }
    let phase = Tensor::arange(size).to(DType::F64) * (TAU / period as f64);
    let term = |(k, &coefficient): (usize, &f64)| (&phase * k as i64).cos() * coefficient;
    let zero = phase.zeros_like();
    one(coefficients.iter().enumerate().map(term).fold(zero, |sum, term| sum + term).to(dtype))
}

/// Returns the matrix that sums the entries of a spectrum in bands of equal width on the mel scale.
fn mel_weight_matrix(c: &NodeCall) -> RuleOutcome {
    let dtype = dtype_attribute(c, "output_datatype")?.unwrap_or(DType::F32);
    let mut scalars = Vec::with_capacity(5);
    for i in 0..5 {
        match c.known_floats(i)?.as_deref() {
            Some(&[x]) if x.is_finite() => scalars.push(x),
            _ => return fail(format!("expected a number as input {i}")),
        }
    }
    let (bands, length, rate) = (size_of(scalars[0] as i64)?, scalars[1], scalars[2]);
    let bins = size_of((length / 2.0).floor() as i64)?.saturating_add(1);
    let [low, high] = [scalars[3], scalars[4]];
    if bands > MAX_BANDS || rate <= 0.0 || low < 0.0 || high < 0.0 {
        return fail(format!(
            "expected at most {MAX_BANDS} bands, a sample rate and frequencies, got {bands}, \
             {rate}, {low} and {high}"
        ));
    }
    // This limits the bins, too, before anything is made of them.
    let mut weights = tabulated(bins.saturating_mul(bands), |_| 0.0)?;
    let edges = mel_edges(bands, length, rate, low, high)?;
    for (band, edge) in edges.windows(3).enumerate() {
        let &[low, center, high] = edge else { continue };
        if !(low <= center && center <= high && center < bins && high <= bins) {
            return fail(format!("expected edges within {bins} frequencies, got {edge:?}"));
        }
        let mut set = |bin: usize, x: f64| weights[bin * bands + band] = x;
        (low..=center).for_each(|bin| {
            let rise = center - low;
            set(bin, if rise == 0 { 1.0 } else { (bin - low) as f64 / rise as f64 });
        });
        (center..high).for_each(|bin| set(bin, (high - bin) as f64 / (high - center) as f64));
    }
    one(Tensor::from_vec(weights, [bins, bands]).to(dtype))
}

/// Returns the entries of a spectrum at which bands of equal width on the mel scale begin, have
/// their peaks and end: three consecutive ones are those of a band.
fn mel_edges(
    bands: usize,
    length: f64,
    rate: f64,
    low: f64,
    high: f64,
) -> Result<Vec<usize>, RuleFailure> {
    let mel = |hertz: f64| 2595.0 * (hertz / 700.0).ln_1p() / std::f64::consts::LN_10;
    let hertz = |mel: f64| 700.0 * (mel / 2595.0 * std::f64::consts::LN_10).exp_m1();
    // The definition divides by the number of edges, not by that of the steps between them.
    let step = (mel(high) - mel(low)) / (bands + 2) as f64;
    let edge = |i: usize| {
        let at = hertz(i as f64 * step + mel(low));
        size_of(((length + 1.0) * at / rate).floor() as i64)
    };
    (0..bands + 2).map(edge).collect()
}

/// Returns all ranges of `size` elements along an axis, which begin at multiples of `step`, with
/// their elements as a new last axis.
fn unfold(c: &NodeCall) -> RuleOutcome {
    let x = c.value(0)?;
    let shape = shape_of(x)?;
    let axis = axis_of(c.int_or("dim", -1)?, shape.len())?;
    let size = size_of(c.required("size", c.int("size")?)?)?;
    let step = size_of(c.int_or("step", 1)?)?;
    if step == 0 || size > shape[axis] {
        return fail(format!(
            "expected a step and ranges of {} elements, got {step} and {size}",
            shape[axis]
        ));
    }
    let ranges = (shape[axis] - size) / step + 1;
    moved(x, |x| Ok(framed(x, axis, ranges, size, step).move_axis(axis + 1, -1)))
}

/// Returns the cheapest path through a matrix of costs from the first to the last element, by steps
/// to the next row, column or both.
fn dynamic_time_warping(c: &NodeCall) -> RuleOutcome {
    let costs = c.known(0)?;
    let shape = costs.shape().to_vec();
    let (rows, columns) = match shape[..] {
        [rows, columns] | [1, rows, columns] if rows > 0 && columns > 0 => (rows, columns),
        _ => return fail(format!("expected a matrix of costs, got {}", costs.ty()?)),
    };
    let path = cheapest_path(&costs.to(DType::F32).to_vec()?, rows, columns);
    let count = path.len();
    let all = path.iter().map(|at| at.0).chain(path.iter().map(|at| at.1)).collect();
    one(Tensor::from_vec::<i32>(all, [2, count]))
}

/// Returns the rows and columns of the cheapest path. Of equal ones, a step along the columns is
/// preferred, then one along the rows, as in ONNX Runtime.
fn cheapest_path(costs: &[f32], rows: usize, columns: usize) -> Vec<(i32, i32)> {
    let width = columns + 1;
    let mut totals = vec![f32::INFINITY; (rows + 1) * width];
    let mut moves = vec![(0, 1); (rows + 1) * width];
    totals[0] = 0.0;
    (0..=rows).for_each(|i| moves[i * width] = (1, 0));
    for j in 1..=columns {
        for i in 1..=rows {
            let before = |(down, right): (usize, usize)| totals[(i - down) * width + j - right];
            let [both, down, right] = [(1, 1), (1, 0), (0, 1)].map(before);
            let (least, step) = if both < down && both < right {
                (both, (1, 1))
            } else if down < both && down < right {
                (down, (1, 0))
            } else {
                (right, (0, 1))
            };
            totals[i * width + j] = least + costs[(i - 1) * columns + j - 1];
            moves[i * width + j] = step;
        }
    }
    let (mut i, mut j, mut path) = (rows, columns, Vec::new());
    while i > 0 && j > 0 {
        path.push((i as i32 - 1, j as i32 - 1));
        let (down, right) = moves[i * width + j];
        (i, j) = (i - down, j - right);
    }
    path.reverse();
    path
}
