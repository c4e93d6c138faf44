//! Convolutions.
//!
//! A transposed convolution is the one whose output has a window for each element of the input. Its
//! padding crops the output, and negative padding at the end extends it by zeros: `output_padding`
//! and `output_shape` become such padding.

use super::axes::{same_dtype, size_of};
use super::windows::{AutoPad, Sliding, auto_pad, each, groups, pads};
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{Operator, op};
use neurax_tensor::{Padding, Tensor, Windows};

pub(crate) const OPERATORS: &[Operator] = &[
    op("Conv", &[1, 11, 22], 2..=3, |c| one(convolution(c)?)).attributes(CONV_ATTRIBUTES),
    op("ConvTranspose", &[1, 11, 22], 2..=3, conv_transpose).attributes(&[
        "auto_pad",
        "dilations",
        "group",
        "kernel_shape",
        "output_padding",
        "output_shape",
        "pads",
        "strides",
    ]),
    op("Col2Im", &[18], 3..=3, col2im).attributes(&["dilations", "pads", "strides"]),
    op("FusedConv", &[1], 2..=4, fused_conv).domain("com.microsoft").attributes(&[
        "activation",
        "activation_params",
        "auto_pad",
        "dilations",
        "group",
        "kernel_shape",
        "pads",
        "strides",
    ]),
];

/// The attributes of `Conv`.
const CONV_ATTRIBUTES: &[&str] =
    &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"];

fn convolution(c: &NodeCall) -> Result<Tensor, RuleFailure> {
    let (x, kernel) = (c.x(0)?, c.x(1)?);
    same_dtype(&x, &kernel)?;
    let windows = Sliding::of_kernel(c, &x, &kernel)?;
    let y = x.conv(&kernel, windows.options().groups(groups(c)?));
    with_bias(y, c.maybe(2)?)
}

/// Adds a number to each channel.
///
/// # Errors
/// If there is another number of channels, or of another dtype.
pub(crate) fn with_bias(y: Tensor, bias: Option<Tensor>) -> Result<Tensor, RuleFailure> {
    let Some(bias) = bias else { return Ok(y) };
    same_dtype(&y, &bias)?;
    if bias.rank() != 1 || bias.size() != y.dim(1) {
        return fail(format!("expected a bias of {} channels, got {}", y.dim(1), bias.ty()?));
    }
    let mut shape = vec![1; y.rank()];
    shape[1] = bias.size();
    Ok(y + bias.reshape(shape))
}

/// Computes a convolution, adds a tensor, and computes an activation function.
fn fused_conv(c: &NodeCall) -> RuleOutcome {
    let y = convolution(c)?;
    let y = match c.maybe(3)? {
        None => y,
        Some(z) if z.ty()? == y.ty()? => y + z,
        Some(z) => return fail(format!("expected {} as input 3, got {}", y.ty()?, z.ty()?)),
    };
    one(activated(y, &c.str_or("activation", "")?, c.floats("activation_params")?.unwrap_or(&[]))?)
}

/// Computes the activation function that a node was fused with.
fn activated(y: Tensor, name: &str, params: &[f32]) -> Result<Tensor, RuleFailure> {
    Ok(match (name, params) {
        ("", _) => y,
        ("Relu", _) => y.relu(),
        ("Tanh", _) => y.tanh(),
        ("Sigmoid", _) => y.sigmoid(),
        ("LeakyRelu", &[slope]) => y.leaky_relu(slope),
        ("Clip", &[low, high]) => y.clip(low, high),
        ("HardSigmoid", &[alpha, beta]) => (y * alpha + beta).clip(0, 1),
        _ => return fail(format!("unknown activation {name} with parameters {params:?}")),
    })
}

fn conv_transpose(c: &NodeCall) -> RuleOutcome {
    let (x, kernel) = (c.x(0)?, c.x(1)?);
    same_dtype(&x, &kernel)?;
    let mut windows = Sliding::unpadded_of_kernel(c, &x, &kernel)?;
    windows.pads = crop(c, &windows)?;
    let y = x.conv_transpose(&kernel, windows.options().groups(groups(c)?));
    one(with_bias(y, c.maybe(2)?)?)
}

/// Returns what a transposed convolution removes at the beginning and end of each axis; negative
/// amounts add zeros.
fn crop(c: &NodeCall, windows: &Sliding) -> Result<Vec<(i64, i64)>, RuleFailure> {
    let axes = windows.space.len();
    let further = match c.ints("output_padding")? {
        None | Some([]) => vec![0; axes],
        Some(all) if all.len() == axes => all.to_vec(),
        Some(all) => return fail(format!("expected `output_padding` of {axes} axes, got {all:?}")),
    };
    let auto = auto_pad(c)?;
    let stated = output_sizes(c, windows, auto)?;
    let explicit = pads(c, axes)?;
    let crop = |i: usize| {
        let (low, high) = if auto == AutoPad::NotSet { explicit[i] } else { (0, 0) };
        let Some(size) = stated.as_ref().map(|sizes| sizes[i] as i64) else {
            return (low, high.saturating_sub(further[i]));
        };
        let dilated = (windows.space[i] as i64).saturating_sub(1);
        let dilated = dilated.saturating_mul(windows.strides[i] as i64);
        let full = dilated.saturating_add(windows.extent(i));
        let total = full.saturating_add(further[i]).saturating_sub(size).max(0);
        // The odd element is removed at the end for SAME_UPPER, else at the beginning; the text of
        // version 1 has it the other way round.
        let low = match (auto == AutoPad::SameUpper) == (c.version() >= 11) {
            true => total / 2,
            false => total - total / 2,
        };
        (low, full.saturating_sub(size).saturating_sub(low))
    };
    Ok((0..axes).map(crop).collect())
}

/// Returns the sizes of the output that `output_shape` or `auto_pad` states.
fn output_sizes(
    c: &NodeCall,
    windows: &Sliding,
    auto: AutoPad,
) -> Result<Option<Vec<usize>>, RuleFailure> {
    let axes = windows.space.len();
    match c.ints("output_shape")? {
        None | Some([]) => (),
        // Some files have the sizes of batch and channels in front.
        Some(all) if all.len() == axes || all.len() == axes + 2 => {
            let sizes = all[all.len() - axes..].iter().map(|&n| size_of(n));
            return Ok(Some(sizes.collect::<Result<_, _>>()?));
        }
        Some(all) => return fail(format!("expected `output_shape` of {axes} axes, got {all:?}")),
    }
    let is_same = matches!(auto, AutoPad::SameUpper | AutoPad::SameLower);
    let strided = windows.space.iter().zip(&windows.strides);
    Ok(is_same.then(|| strided.map(|(n, stride)| n.saturating_mul(*stride)).collect()))
}

/// Adds the columns of blocks to an image: a transposed convolution whose kernel passes each tap of
/// a channel through.
fn col2im(c: &NodeCall) -> RuleOutcome {
    let x = c.x(0)?;
    let sizes = |i: usize| -> Result<Vec<usize>, RuleFailure> {
        c.known_ints(i)?.unwrap_or_default().into_iter().map(size_of).collect()
    };
    let (image, block) = (sizes(1)?, sizes(2)?);
    let axes = image.len();
    if block.len() != axes || block.contains(&0) || x.rank() != 3 {
        return fail(format!(
            "expected columns of blocks {block:?} for {image:?}, got {}",
            x.ty()?
        ));
    }
    let windows = Sliding {
        space: image,
        taps: block,
        strides: each(c, "strides", axes)?,
        dilations: each(c, "dilations", axes)?,
        pads: pads(c, axes)?,
    };
    let taps = windows.taps.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
    let taps = taps.filter(|&taps| x.dim(1).is_multiple_of(taps));
    let positions: Vec<usize> = (0..axes).map(|i| windows.windows(i)).collect();
    let count = positions.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
    let (Some(taps), true) = (taps, count == Some(x.dim(2))) else {
        return fail(format!("expected blocks at {positions:?}, got {}", x.ty()?));
    };
    let channels = x.dim(1) / taps;
    let columns = [&[x.dim(0) * channels, taps], &positions[..]].concat();
    let kernel = [&[taps, 1], &windows.taps[..]].concat();
    let kernel = Tensor::eye(taps).to(x.dtype()).reshape(kernel);
    let y = x.reshape(columns).conv_transpose(&kernel, scatter(&windows));
    one(y.reshape([&[x.dim(0), channels], &windows.space[..]].concat()))
}

/// Returns the options of the transposed convolution that makes an image from its windows. Elements
/// at the end that no window reaches are added as zeros.
fn scatter(windows: &Sliding) -> Windows {
    let pads = (0..windows.space.len()).map(|i| {
        let (low, _) = windows.pads[i];
        let last = (windows.windows(i) as i64 - 1).saturating_mul(windows.strides[i] as i64);
        let end = last.saturating_add(windows.extent(i)).saturating_sub(low);
        (low, end.saturating_sub(windows.space[i] as i64))
    });
    windows.options().padding(Padding::Each(pads.collect()))
}
