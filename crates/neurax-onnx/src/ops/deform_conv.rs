//! `DeformConv`: the convolution whose taps are moved by offsets, which are an input.
//!
//! Each tap of each window reads an interpolation of the input around its moved place, and 0
//! outside. A product with the kernel follows:
//!
//! ```text
//! x        [batch, channels, space ..]
//! offset   [batch, offset groups x taps x axes, out ..]
//! sampled  [batch, offset groups, channels of a group, taps, positions]
//! y        kernel . sampled for each group
//! ```

use super::axes::{same_dtype, size_of};
use super::conv::with_bias;
use super::sampling::{SampledAxis, linear_taps, sum_of, terms};
use super::windows::{Sliding, groups};
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{Operator, op};
use neurax_tensor::Tensor;

pub(crate) const OPERATORS: &[Operator] = &[op("DeformConv", &[19, 22], 3..=5, deform_conv)
    .attributes(&["dilations", "group", "kernel_shape", "offset_group", "pads", "strides"])];

/// The sizes of a deformable convolution.
struct Deformed {
    windows: Sliding,
    batch: usize,
    channels: usize,
    results: usize,
    groups: usize,
    /// The number of groups of channels with separate offsets.
    of_offsets: usize,
    taps: usize,
    /// The number of windows along each axis.
    out: Vec<usize>,
}

fn deform_conv(c: &NodeCall) -> RuleOutcome {
    let (x, kernel, offset, mask) = (c.x(0)?, c.x(1)?, c.x(2)?, c.maybe(4)?);
    for operand in [Some(&kernel), Some(&offset), mask.as_ref()].into_iter().flatten() {
        same_dtype(&x, operand)?;
    }
    let sizes = Deformed::new(c, &x, &kernel)?;
    sizes.check(&offset, sizes.windows.space.len())?;
    let wide = x.dtype().at_least_f32();
    let mut sampled = sizes.sampled(&x.to(wide), &offset.to(wide))?;
    let positions = sizes.out.iter().product();
    if let Some(mask) = mask {
        sizes.check(&mask, 1)?;
        let shape = [sizes.batch, sizes.of_offsets, 1, sizes.taps, positions];
        sampled *= mask.to(wide).reshape(shape);
    }
    let of_group = sizes.channels / sizes.groups * sizes.taps;
    let sampled = sampled.reshape([sizes.batch, sizes.groups, of_group, positions]);
    let kernel = kernel.to(wide).reshape([sizes.groups, sizes.results / sizes.groups, of_group]);
    let shape = [&[sizes.batch, sizes.results], &sizes.out[..]].concat();
    let y = kernel.matmul(sampled).reshape(shape).to(x.dtype());
    one(with_bias(y, c.maybe(3)?)?)
}

impl Deformed {
    fn new(c: &NodeCall, x: &Tensor, kernel: &Tensor) -> Result<Deformed, RuleFailure> {
        let windows = Sliding::of_kernel(c, x, kernel)?;
        let (groups, of_offsets) = (groups(c)?, size_of(c.int_or("offset_group", 1)?)?);
        let (channels, results) = (x.dim(1), kernel.dim(0));
        let are_multiples = (1..=channels.max(1)).contains(&of_offsets)
            && channels.is_multiple_of(of_offsets)
            && channels.is_multiple_of(groups)
            && results.is_multiple_of(groups);
        if !are_multiples || kernel.dim(1) != channels / groups {
            return fail(format!(
                "expected a kernel of {groups} groups and {of_offsets} groups of offsets for {}, \
                 got {}",
                x.ty()?,
                kernel.ty()?
            ));
        }
        Ok(Deformed {
            batch: x.dim(0),
            taps: windows.taps.iter().product(),
            out: (0..windows.space.len()).map(|i| windows.windows(i)).collect(),
            windows,
            channels,
            results,
            groups,
            of_offsets,
        })
    }

    /// Checks an operand with `each` numbers for each tap of each window.
    fn check(&self, operand: &Tensor, each: usize) -> Result<(), RuleFailure> {
        let numbers = self.of_offsets.saturating_mul(self.taps).saturating_mul(each);
        let want = [&[self.batch, numbers], &self.out[..]].concat();
        match operand.shape()[..] == want[..] {
            true => Ok(()),
            false => fail(format!("expected the shape {want:?}, got {}", operand.ty()?)),
        }
    }

    /// Returns what the taps read: `[batch, offset groups, channels, taps, positions]`.
    fn sampled(&self, x: &Tensor, offset: &Tensor) -> Result<Tensor, RuleFailure> {
        let (images, channels) = (self.batch * self.of_offsets, self.channels / self.of_offsets);
        let axes = self.windows.space.len();
        let offset = offset.reshape([&[images, self.taps, axes], &self.out[..]].concat());
        let x = x.reshape([&[images, channels], &self.windows.space[..]].concat());
        let axes: Vec<SampledAxis> = (0..axes).map(|i| self.displaced(i, &offset)).collect();
        let positions = self.out.iter().product();
        let shape = [self.batch, self.of_offsets, channels, self.taps, positions];
        Ok(sum_of(&terms(&x, &axes)?).reshape(shape))
    }

    /// Returns the entries along axis `i` that the taps read, for offsets
    /// `[images, taps, axes, out ..]`.
    fn displaced(&self, i: usize, offset: &Tensor) -> SampledAxis {
        let (windows, at) = (&self.windows, i as i64);
        let own = offset.slice(2, at..at + 1).squeeze(2);
        // The taps are one axis; those of axis `i` repeat for each tap of the others.
        let behind: usize = windows.taps[i + 1..].iter().product();
        let tap = |t: usize| t / behind.max(1) % windows.taps[i].max(1) * windows.dilations[i];
        let taps: Vec<i64> = (0..self.taps).map(|t| tap(t) as i64).collect();
        let mut shape = vec![1; own.rank()];
        shape[1] = self.taps;
        let taps = Tensor::from_vec(taps, &shape).to(own.dtype());
        (shape[1], shape[2 + i]) = (1, self.out[i]);
        let start = Tensor::arange(self.out[i]).to(own.dtype()) * windows.strides[i] as i64;
        let start = (start - windows.pads[i].0).reshape(&shape);
        SampledAxis { size: windows.space[i], taps: linear_taps(&(own + taps + start)) }
    }
}
