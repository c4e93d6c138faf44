//! The sliding windows of convolutions and pools: their attributes, and padding that follows from
//! sizes.
//!
//! `auto_pad` and `ceil_mode` depend on the sizes of the input, which are known when a rule is
//! called: both become amounts of padding.
//!
//! ```text
//! SAME_UPPER  size / stride windows, rounded up; the odd element of padding is at the end
//! SAME_LOWER  the same; the odd element is at the beginning
//! VALID       no padding, whatever `pads` says
//! ceil_mode   further padding at the end, unless the last window would begin in it
//! ```

use crate::call::{NodeCall, RuleFailure, fail};
use neurax_tensor::{Padding, Tensor, Windows};

/// The windows over the space axes of `[batch, channels, space ..]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sliding {
    /// The sizes of the space axes.
    pub(crate) space: Vec<usize>,
    pub(crate) taps: Vec<usize>,
    pub(crate) strides: Vec<usize>,
    pub(crate) dilations: Vec<usize>,
    /// The padding before and after each axis.
    pub(crate) pads: Vec<(i64, i64)>,
}

/// The attribute `auto_pad`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AutoPad {
    NotSet,
    SameUpper,
    SameLower,
    Valid,
}

impl Sliding {
    /// Returns the windows of a convolution with a kernel `[.., .., taps ..]`, padded.
    ///
    /// # Errors
    /// If the attributes do not fit the operands.
    pub(crate) fn of_kernel(
        c: &NodeCall,
        x: &Tensor,
        kernel: &Tensor,
    ) -> Result<Sliding, RuleFailure> {
        Sliding::unpadded_of_kernel(c, x, kernel)?.padded(c)
    }

    /// Returns the windows of a convolution without the padding that the attributes state.
    ///
    /// # Errors
    /// As for [`Sliding::of_kernel`].
    pub(crate) fn unpadded_of_kernel(
        c: &NodeCall,
        x: &Tensor,
        kernel: &Tensor,
    ) -> Result<Sliding, RuleFailure> {
        let space = space_of(x)?;
        if kernel.rank() != x.rank() {
            return fail(format!("expected a kernel for {}, got {}", x.ty()?, kernel.ty()?));
        }
        let taps = kernel.shape()[2..].to_vec();
        match c.ints("kernel_shape")? {
            None | Some([]) => (),
            Some(stated) if stated.iter().map(|&n| n as usize).eq(taps.iter().copied()) => (),
            Some(stated) => {
                return fail(format!("expected a kernel of shape {stated:?}, got {taps:?}"));
            }
        }
        Sliding::of_taps(c, space, taps)
    }

    /// Returns the windows of a pool, padded, without `ceil_mode`.
    ///
    /// # Errors
    /// If the attributes do not fit the input.
    pub(crate) fn of_pool(c: &NodeCall, x: &Tensor) -> Result<Sliding, RuleFailure> {
        let space = space_of(x)?;
        c.required("kernel_shape", c.ints("kernel_shape")?)?;
        let taps = each(c, "kernel_shape", space.len())?;
        Sliding::of_taps(c, space, taps)?.padded(c)
    }

    fn of_taps(c: &NodeCall, space: Vec<usize>, taps: Vec<usize>) -> Result<Sliding, RuleFailure> {
        let strides = each(c, "strides", space.len())?;
        let dilations = each(c, "dilations", space.len())?;
        Ok(Sliding { pads: vec![(0, 0); space.len()], space, taps, strides, dilations })
    }

    /// Sets the padding that `auto_pad` or `pads` states.
    fn padded(mut self, c: &NodeCall) -> Result<Sliding, RuleFailure> {
        self.pads = match auto_pad(c)? {
            AutoPad::NotSet => pads(c, self.space.len())?,
            AutoPad::Valid => self.pads,
            AutoPad::SameUpper => self.same_pads(),
            AutoPad::SameLower => self.same_pads().into_iter().map(|(a, b)| (b, a)).collect(),
        };
        Ok(self)
    }

    /// Returns the padding for size / stride windows, rounded up; an odd amount is
    /// larger at the end.
    fn same_pads(&self) -> Vec<(i64, i64)> {
        let amount = |i: usize| {
            let windows = self.space[i].div_ceil(self.strides[i]);
            let needed = reach(windows, self.strides[i]).saturating_add(self.extent(i));
            let total = if windows == 0 { 0 } else { (needed - self.space[i] as i64).max(0) };
            (total / 2, total - total / 2)
        };
        (0..self.space.len()).map(amount).collect()
    }

    /// Returns the number of elements from the first to the last tap along axis `i`, both included.
    pub(crate) fn extent(&self, i: usize) -> i64 {
        reach(self.taps[i], self.dilations[i]).saturating_add(1)
    }

    /// Returns the windows with so much padding at the ends that their number is rounded up. A last
    /// window that would begin in the padding at the end is left out.
    pub(crate) fn rounded_up(mut self) -> Sliding {
        for i in 0..self.space.len() {
            let (low, high) = self.pads[i];
            let (stride, extent) = (self.strides[i] as i64, self.extent(i));
            let inside = (self.space[i] as i64).saturating_add(low);
            let free = inside.saturating_add(high).saturating_sub(extent);
            // The index of the last window: the quotient rounded up.
            let mut last = -free.saturating_neg().div_euclid(stride);
            if last.saturating_mul(stride) >= inside {
                last -= 1;
            }
            let needed = last.saturating_mul(stride).saturating_add(extent).saturating_sub(inside);
            if last >= 0 && needed > high {
                self.pads[i].1 = needed;
            }
        }
        self
    }

    /// Returns the options of functions of tensors.
    pub(crate) fn options(&self) -> Windows {
        Windows::new()
            .strides(&self.strides[..])
            .dilation(&self.dilations[..])
            .padding(Padding::Each(self.pads.clone()))
    }

    /// Returns the number of windows along axis `i`.
    pub(crate) fn windows(&self, i: usize) -> usize {
        let (low, high) = self.pads[i];
        let padded = (self.space[i] as i64).saturating_add(low).saturating_add(high);
        let free = padded.saturating_sub(self.extent(i));
        if free < 0 { 0 } else { (free / self.strides[i] as i64) as usize + 1 }
    }
}

/// Returns the distance of the first and the last of `count` elements that are `step` apart.
fn reach(count: usize, step: usize) -> i64 {
    let distance = count.saturating_sub(1).saturating_mul(step);
    i64::try_from(distance).unwrap_or(i64::MAX)
}

/// Returns the sizes of the space axes of `[batch, channels, space ..]`.
///
/// # Errors
/// If there is none.
pub(crate) fn space_of(x: &Tensor) -> Result<Vec<usize>, RuleFailure> {
    match x.rank() {
        0..=2 => fail(format!("expected [batch, channels, space ..], got {}", x.ty()?)),
        _ => Ok(x.shape()[2..].to_vec()),
    }
}

/// Reads the attribute `auto_pad`.
///
/// # Errors
/// If it has another value.
pub(crate) fn auto_pad(c: &NodeCall) -> Result<AutoPad, RuleFailure> {
    match c.str_or("auto_pad", "NOTSET")?.as_str() {
        "NOTSET" | "" => Ok(AutoPad::NotSet),
        "SAME_UPPER" => Ok(AutoPad::SameUpper),
        "SAME_LOWER" => Ok(AutoPad::SameLower),
        "VALID" => Ok(AutoPad::Valid),
        other => fail(format!(
            "expected NOTSET, SAME_UPPER, SAME_LOWER or VALID as `auto_pad`, got {other}"
        )),
    }
}

/// Reads the attribute `pads`: all beginnings, then all ends.
///
/// # Errors
/// If it has another number of values.
pub(crate) fn pads(c: &NodeCall, axes: usize) -> Result<Vec<(i64, i64)>, RuleFailure> {
    match c.ints("pads")? {
        None | Some([]) => Ok(vec![(0, 0); axes]),
        Some(all) if all.len() == 2 * axes => {
            Ok((0..axes).map(|i| (all[i], all[i + axes])).collect())
        }
        Some(all) => fail(format!("expected `pads` of {axes} axes, got {all:?}")),
    }
}

/// Reads an attribute with a positive number for each axis, by default 1.
///
/// # Errors
/// If there are others.
pub(crate) fn each(c: &NodeCall, name: &str, axes: usize) -> Result<Vec<usize>, RuleFailure> {
    let all = match c.ints(name)? {
        None | Some([]) => return Ok(vec![1; axes]),
        Some(all) => all,
    };
    match all.iter().all(|&n| n >= 1) && all.len() == axes {
        true => Ok(all.iter().map(|&n| n as usize).collect()),
        false => fail(format!("expected {axes} positive numbers as `{name}`, got {all:?}")),
    }
}

/// Reads the attribute `group`.
///
/// # Errors
/// If it is not positive.
pub(crate) fn groups(c: &NodeCall) -> Result<usize, RuleFailure> {
    match c.int_or("group", 1)? {
        n @ 1.. => Ok(n as usize),
        n => fail(format!("expected a positive number as `group`, got {n}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sliding(space: usize, taps: usize, stride: usize, pads: (i64, i64)) -> Sliding {
        Sliding {
            space: vec![space],
            taps: vec![taps],
            strides: vec![stride],
            dilations: vec![1],
            pads: vec![pads],
        }
    }

    #[test]
    fn same_padding_depends_on_the_size() {
        assert_eq!(sliding(5, 2, 1, (0, 0)).same_pads(), [(0, 1)]);
        assert_eq!(sliding(5, 4, 2, (0, 0)).same_pads(), [(1, 2)]);
        assert_eq!(sliding(5, 1, 3, (0, 0)).same_pads(), [(0, 0)]);
        assert_eq!(sliding(0, 3, 1, (0, 0)).same_pads(), [(0, 0)]);
    }

    #[test]
    fn a_window_that_begins_in_the_padding_is_left_out() {
        assert_eq!(sliding(3, 2, 2, (0, 0)).rounded_up().pads, [(0, 1)]);
        assert_eq!(sliding(2, 1, 2, (0, 1)).rounded_up().pads, [(0, 1)]);
        assert_eq!(sliding(1, 2, 2, (0, 0)).rounded_up().pads, [(0, 1)]);
        assert_eq!(sliding(4, 2, 2, (0, 0)).rounded_up().pads, [(0, 0)]);
        let huge = sliding(3, usize::MAX, 2, (i64::MAX, i64::MAX)).rounded_up();
        assert_eq!(huge.windows(0), 1);
    }
}
