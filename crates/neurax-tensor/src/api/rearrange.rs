//! Flipping, rolling, repeating and padding.

use super::{common::tensor_or_error, pad_modes::ComputedPad};
use crate::{
    AxisInt, IntoAxes, Operand, Shape, Tensor, args::axes_or_error, dispatch::dispatch,
    tensor::CallSite,
};
use neurax_ir::op::{Broadcast, Concatenate, Pad, Reverse};
use std::panic::Location;

/// The values that [`Tensor::pad_with`] puts around a tensor. The examples pad `[1, 2, 3]` by three
/// on either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PadMode {
    /// The first and the last entry, repeated: `1 1 1 1 2 3 3 3 3`.
    Edge,
    /// The tensor mirrored at its first and last entry, which are not repeated:
    /// `2 3 2 1 2 3 2 1 2`.
    Reflect,
    /// The tensor mirrored beyond its first and last entry: `3 2 1 1 2 3 3 2 1`.
    Symmetric,
    /// The tensor repeated: `1 2 3 1 2 3 1 2 3`.
    Wrap,
    /// Evenly spaced numbers from 0 to the first and the last entry, rounded down for integers:
    /// `0 0 0 1 2 3 2 1 0`. For ends other than 0, subtract them before and add them after.
    LinearRamp,
    /// The largest entry of the axis: `3 3 3 1 2 3 3 3 3`.
    Maximum,
    /// The mean of the axis, rounded for integers: `2 2 2 1 2 3 2 2 2`.
    Mean,
    /// The median of the axis, rounded for integers: `2 2 2 1 2 3 2 2 2`.
    Median,
    /// The smallest entry of the axis: `1 1 1 1 2 3 1 1 1`.
    Minimum,
    /// Any numbers; they are 0: `0 0 0 1 2 3 0 0 0`.
    Empty,
}

/// A sequence of `count` entries along an axis from `first` on: forward (step 1), backward (step
/// -1), or one entry repeated (step 0).
#[derive(Clone, Copy)]
struct Segment {
    first: i64,
    step: i64,
    count: i64,
}

fn segment(first: i64, step: i64, count: i64) -> Segment {
    Segment { first, step, count }
}

impl PadMode {
    /// Returns the way in which the mode pads an axis.
    fn way(self) -> PadWay {
        match self {
            PadMode::Edge => PadWay::Repeat(RepeatedPad::Edge),
            PadMode::Reflect => PadWay::Repeat(RepeatedPad::Reflect),
            PadMode::Symmetric => PadWay::Repeat(RepeatedPad::Symmetric),
            PadMode::Wrap => PadWay::Repeat(RepeatedPad::Wrap),
            PadMode::LinearRamp => PadWay::Compute(ComputedPad::LinearRamp),
            PadMode::Maximum => PadWay::Compute(ComputedPad::Maximum),
            PadMode::Mean => PadWay::Compute(ComputedPad::Mean),
            PadMode::Median => PadWay::Compute(ComputedPad::Median),
            PadMode::Minimum => PadWay::Compute(ComputedPad::Minimum),
            PadMode::Empty => PadWay::Compute(ComputedPad::Empty),
        }
    }
}

/// The way in which a mode pads an axis: with entries, or with values computed from them.
enum PadWay {
    Repeat(RepeatedPad),
    Compute(ComputedPad),
}

/// The modes of padding that repeat entries.
#[derive(Clone, Copy, PartialEq)]
enum RepeatedPad {
    Edge,
    Reflect,
    Symmetric,
    Wrap,
}

impl RepeatedPad {
    /// Returns the segments before and after an axis of `n` entries. `low` and `high` must be below
    /// `n`, except in mode `Edge`.
    fn around(self, n: i64, low: i64, high: i64) -> [Segment; 2] {
        match self {
            RepeatedPad::Edge => [segment(0, 0, low), segment(n - 1, 0, high)],
            RepeatedPad::Reflect => [segment(low, -1, low), segment(n - 2, -1, high)],
            RepeatedPad::Symmetric => [segment(low - 1, -1, low), segment(n - 1, -1, high)],
            RepeatedPad::Wrap => [segment(n - low, 1, low), segment(0, 1, high)],
        }
    }

    /// Returns the segments that repeat periodically.
    fn period(self, n: i64) -> Vec<Segment> {
        let back = match self {
            RepeatedPad::Edge | RepeatedPad::Wrap => None,
            RepeatedPad::Reflect => Some(segment(n - 2, -1, n - 2)),
            RepeatedPad::Symmetric => Some(segment(n - 1, -1, n)),
        };
        [segment(0, 1, n)].into_iter().chain(back).collect()
    }
}

impl Tensor {
    /// Reverses the order of the entries along `axes`. Follows `numpy.flip`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([[1, 2], [3, 4]]).flip(1).to_vec::<i32>()?, [2, 1, 4, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn flip(&self, axes: impl IntoAxes) -> Tensor {
        let at = Location::caller();
        match axes_or_error(self, &axes, "flip", at) {
            Ok(axes) if axes.is_empty() => self.clone(),
            Ok(axes) => dispatch(Reverse { axes }, [self.clone()], at),
            Err(e) => e,
        }
    }

    /// Shifts the entries along `axis` by `shift` positions; entries beyond one end reappear at the
    /// other.
    ///
    /// `shift` may be negative or larger than the axis. Follows `numpy.roll`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1, 2, 3, 4]).roll(1, 0).to_vec::<i32>()?, [4, 1, 2, 3]);
    /// assert_eq!(tensor([1, 2, 3, 4]).roll(-6, 0).to_vec::<i32>()?, [3, 4, 1, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn roll(&self, shift: i64, axis: impl AxisInt) -> Tensor {
        let at = Location::caller();
        match self.axis_at(axis, "roll", at) {
            Ok(axis) => {
                let n = self.shape()[axis] as i64;
                let first = if n == 0 { 0 } else { (-shift.rem_euclid(n)).rem_euclid(n) };
                self.concat_segments(
                    axis,
                    &[segment(first, 1, n - first), segment(0, 1, first)],
                    at,
                )
            }
            Err(e) => e,
        }
    }

    /// Rotates the plane of two axes by `k` times 90 degrees, from axis `from` toward axis `to`.
    /// Follows `numpy.rot90`.
    ///
    /// # Errors
    ///
    /// The result carries an error if the axes are equal or out of range.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([[1, 2], [3, 4]]).rot90(1, 0, 1).to_vec::<i32>()?, [2, 4, 1, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn rot90(&self, k: i64, from: impl AxisInt, to: impl AxisInt) -> Tensor {
        let at = Location::caller();
        let axes = [from.to_i64(), to.to_i64()];
        match axes_or_error(self, &axes, "rot90", at).as_deref() {
            Ok(&[a, b]) => match k.rem_euclid(4) {
                0 => self.clone(),
                1 => self.flip(b).swap_axes(a, b),
                2 => self.flip([a, b]),
                _ => self.swap_axes(a, b).flip(b),
            },
            Ok(_) => self.clone(),
            Err(e) => e.clone(),
        }
    }

    /// Repeats every entry along `axis` `n` times in succession. Follows `numpy.repeat`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1, 2]).repeat(2, 0).to_vec::<i32>()?, [1, 1, 2, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn repeat(&self, n: usize, axis: impl AxisInt) -> Tensor {
        let at = Location::caller();
        let repeat = || {
            let axis = self.axis_at(axis, "repeat", at)?;
            let shape = &self.type_or_error()?.shape;
            let dims = (0..=shape.rank()).filter(|&a| a != axis + 1).collect();
            let wide = dispatch(
                Broadcast { shape: shape.inserted(axis + 1, n), dims },
                [self.clone()],
                at,
            );
            let mut merged = shape.clone();
            merged[axis] = repeated_size("repeat", shape[axis], n, at)?;
            Ok(wide.reshaped(merged, at))
        };
        tensor_or_error(repeat())
    }

    /// Repeats the whole tensor `times[i]` times along each axis `i`.
    ///
    /// If the tensor or `times` is shorter than the other, axes of size 1 or counts of 1 are
    /// inserted at the front. Follows `numpy.tile`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1, 2]).tile([2]).to_vec::<i32>()?, [1, 2, 1, 2]);
    /// assert_eq!(tensor([1, 2]).tile([2, 2]).shape(), [2, 4]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn tile(&self, times: impl AsRef<[usize]>) -> Tensor {
        let at = Location::caller();
        let tile = || {
            let shape = &self.type_or_error()?.shape;
            let rank = shape.rank().max(times.as_ref().len());
            let ones = |n: usize| std::iter::repeat_n(1, rank - n);
            let own: Vec<usize> = ones(shape.rank()).chain(shape.iter().copied()).collect();
            let times: Vec<usize> =
                ones(times.as_ref().len()).chain(times.as_ref().iter().copied()).collect();
            let mut merged = vec![];
            for (n, t) in own.iter().zip(&times) {
                merged.push(repeated_size("tile", *n, *t, at)?);
            }
            let wide: Shape = times.iter().zip(&own).flat_map(|(&t, &n)| [t, n]).collect();
            let dims = (0..rank).map(|a| 2 * a + 1).collect();
            Ok(dispatch(Broadcast { shape: wide, dims }, [self.reshaped(own, at)], at)
                .reshaped(merged, at))
        };
        tensor_or_error(tile())
    }

    /// Pads with `value`: `widths` has the numbers of entries before and after each axis.
    ///
    /// Follows `numpy.pad` with mode `constant`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `widths` does not have one pair for each axis, or if the
    /// dtype of `value` is not that of the tensor.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([1, 2]).pad([(1, 2)], 0).to_vec::<i32>()?, [0, 1, 2, 0, 0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn pad(&self, widths: impl AsRef<[(usize, usize)]>, value: impl Operand) -> Tensor {
        let at = Location::caller();
        let value = value.operand(self);
        let pad = || {
            let widths = self.checked_widths(widths.as_ref(), "pad", at)?;
            self.check_pad_value(&value, "pad", at)?;
            let (low, high): (Vec<i64>, Vec<i64>) = widths.into_iter().unzip();
            let interior = vec![0; low.len()];
            Ok(dispatch(Pad { low, high, interior }, [self.clone(), value.clone()], at))
        };
        tensor_or_error(pad())
    }

    /// Pads with entries of the tensor itself or values computed from them, as described by `mode`:
    /// `widths` has the numbers of entries before and after each axis.
    ///
    /// Widths may be larger than the axis. Follows `numpy.pad`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `widths` does not have one pair for each axis, or if a padded
    /// axis is empty.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::{PadMode, prelude::*};
    /// let x = tensor([1, 2, 3]);
    /// assert_eq!(x.pad_with([(2, 1)], PadMode::Edge).to_vec::<i32>()?, [1, 1, 1, 2, 3, 3]);
    /// assert_eq!(x.pad_with([(2, 1)], PadMode::Reflect).to_vec::<i32>()?, [3, 2, 1, 2, 3, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn pad_with(&self, widths: impl AsRef<[(usize, usize)]>, mode: PadMode) -> Tensor {
        tensor_or_error(self.try_pad_with(widths.as_ref(), mode))
    }

    #[track_caller]
    fn try_pad_with(&self, widths: &[(usize, usize)], mode: PadMode) -> Result<Tensor, Tensor> {
        let at = Location::caller();
        let mut x = self.clone();
        for (axis, (low, high)) in
            self.checked_widths(widths, "pad_with", at)?.into_iter().enumerate()
        {
            if low + high == 0 {
                continue;
            }
            if self.shape()[axis] == 0 {
                let of = self.dtype_and_shape();
                let why = format!("axis {axis} of {of} has no entries to repeat");
                return Err(Tensor::fail("pad_with", why, at));
            }
            x = x.pad_axis(axis, (low, high), mode, at)?;
        }
        Ok(x)
    }

    /// Checks that `value` has the dtype of this tensor.
    ///
    /// # Errors
    ///
    /// Returns a tensor that carries the error of `op` if it has not.
    pub(super) fn check_pad_value(
        &self,
        value: &Tensor,
        op: &str,
        at: CallSite,
    ) -> Result<(), Tensor> {
        if value.type_or_error()?.dtype == self.type_or_error()?.dtype {
            return Ok(());
        }
        let why = format!(
            "expected a value of the dtype of {}, got {}; convert one with `to`",
            self.dtype_and_shape(),
            value.dtype_and_shape()
        );
        Err(Tensor::fail(op, why, at))
    }

    /// Converts the widths of a padding.
    ///
    /// # Errors
    ///
    /// Returns a tensor that carries the error of `op` if there is not one pair for each axis, or
    /// if a size overflows.
    fn checked_widths(
        &self,
        widths: &[(usize, usize)],
        op: &str,
        at: CallSite,
    ) -> Result<Vec<(i64, i64)>, Tensor> {
        let ty = self.type_or_error()?;
        if widths.len() != ty.rank() {
            return Err(Tensor::fail(
                op,
                format!(
                    "expected a pair (before, after) for each axis of {ty}, got {} pairs",
                    widths.len()
                ),
                at,
            ));
        }
        let mut out = vec![];
        for (&(low, high), &n) in widths.iter().zip(&ty.shape[..]) {
            let total = low
                .checked_add(high)
                .and_then(|w| w.checked_add(n))
                .filter(|&t| i64::try_from(t).is_ok());
            if total.is_none() {
                return Err(Tensor::fail(
                    op,
                    format!("the widths {low} and {high} around {n} entries of {ty} are too large"),
                    at,
                ));
            }
            out.push((low as i64, high as i64));
        }
        Ok(out)
    }

    /// Pads one axis that is not empty. The cost of building the ops does not depend on the widths.
    #[track_caller]
    fn pad_axis(
        &self,
        axis: usize,
        (low, high): (i64, i64),
        mode: PadMode,
        at: CallSite,
    ) -> Result<Tensor, Tensor> {
        let n = self.shape()[axis] as i64;
        let repeated = match mode.way() {
            PadWay::Repeat(repeated) => repeated,
            PadWay::Compute(mode) => return Ok(self.pad_computed(axis, (low, high), mode)),
        };
        let mode = if n == 1 { RepeatedPad::Edge } else { repeated };
        if mode == RepeatedPad::Edge || low.max(high) < n {
            let [before, after] = mode.around(n, low, high);
            return Ok(self.concat_segments(axis, &[before, segment(0, 1, n), after], at));
        }
        let once = self.concat_segments(axis, &mode.period(n), at);
        let period = once.shape()[axis] as i64;
        let first = (-low).rem_euclid(period);
        let total = low + n + high;
        // One more for the offset of the first entry within a period, one for rounding up.
        let times = total / period + 2;
        repeated_size("pad_with", period as usize, times as usize, at)?;
        let mut all = vec![1; self.rank()];
        all[axis] = times as usize;
        Ok(once.tile(all).take_segment(axis, segment(first, 1, total), at))
    }

    /// Concatenates segments of an axis. Their indices are in range.
    fn concat_segments(&self, axis: usize, segments: &[Segment], at: CallSite) -> Tensor {
        let mut parts: Vec<Tensor> = segments
            .iter()
            .filter(|r| r.count > 0)
            .map(|r| self.take_segment(axis, *r, at))
            .collect();
        match parts.len() {
            0 => self.clone(),
            1 => parts.remove(0),
            _ => dispatch(Concatenate { axis }, parts, at),
        }
    }

    /// Returns the entries of a segment of `axis`.
    fn take_segment(
        &self,
        axis: usize,
        Segment { first, step, count }: Segment,
        at: CallSite,
    ) -> Tensor {
        let (from, size) = match step {
            0 => (first, 1),
            -1 => (first - count + 1, count),
            _ => (first, count),
        };
        if self.error().is_some() || (from, size, step) == (0, self.shape()[axis] as i64, 1) {
            return self.clone();
        }
        let (mut start, mut limit) = (vec![0; self.rank()], self.shape().to_vec());
        (start[axis], limit[axis]) = (from as usize, (from + size) as usize);
        let stride = vec![1; self.rank()];
        let x = dispatch(neurax_ir::op::Slice { start, limit, stride }, [self.clone()], at);
        match step {
            0 => {
                let mut shape = self.shape().0;
                shape[axis] = count as usize;
                if count == 1 {
                    x
                } else {
                    dispatch(Broadcast { shape, dims: (0..self.rank()).collect() }, [x], at)
                }
            }
            -1 => dispatch(Reverse { axes: vec![axis] }, [x], at),
            _ => x,
        }
    }
}

/// Returns the size of an axis of `n` entries repeated `times` times.
///
/// # Errors
///
/// Returns a tensor that carries the error of `op` if the size overflows.
fn repeated_size(op: &str, n: usize, times: usize, at: CallSite) -> Result<usize, Tensor> {
    n.checked_mul(times).ok_or_else(|| {
        Tensor::fail(op, format!("an axis of {n} entries cannot be repeated {times} times"), at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[test]
    fn pad_modes_are_numpys() {
        let x = tensor([1, 2, 3]);
        let around = |mode, low, high| x.pad_with([(low, high)], mode).to_vec::<i32>().unwrap();
        assert_eq!(around(PadMode::Edge, 3, 3), [1, 1, 1, 1, 2, 3, 3, 3, 3]);
        assert_eq!(around(PadMode::Reflect, 3, 3), [2, 3, 2, 1, 2, 3, 2, 1, 2]);
        assert_eq!(around(PadMode::Symmetric, 4, 4), [3, 3, 2, 1, 1, 2, 3, 3, 2, 1, 1]);
        assert_eq!(around(PadMode::Wrap, 4, 2), [3, 1, 2, 3, 1, 2, 3, 1, 2]);
        let one = tensor([7]);
        assert_eq!(one.pad_with([(2, 1)], PadMode::Reflect).to_vec::<i32>().unwrap(), [7, 7, 7, 7]);
        let square = tensor([[1, 2], [3, 4]]).pad_with([(1, 0), (0, 1)], PadMode::Reflect);
        assert_eq!(square.to_vec::<i32>().unwrap(), [3, 4, 3, 1, 2, 1, 3, 4, 3]);
        assert!(Tensor::zeros([0]).pad_with([(1, 0)], PadMode::Edge).ok().is_err());
        assert_eq!(around(PadMode::Reflect, 9, 2), [2, 1, 2, 3, 2, 1, 2, 3, 2, 1, 2, 3, 2, 1]);
        assert_eq!(around(PadMode::Symmetric, 1, 8), [1, 1, 2, 3, 3, 2, 1, 1, 2, 3, 3, 2]);
        assert_eq!(around(PadMode::Wrap, 7, 0), [3, 1, 2, 3, 1, 2, 3, 1, 2, 3]);
        assert_eq!(
            tensor([1, 2]).pad_with([(3, 4)], PadMode::Reflect).to_vec::<i32>().unwrap(),
            [2, 1, 2, 1, 2, 1, 2, 1, 2]
        );
        assert!(x.pad([(1, usize::MAX)], 0).ok().is_err());
        assert!(x.pad([(1, 1), (1, 1)], 0).ok().is_err());
    }

    #[test]
    fn widths_that_no_memory_holds_are_errors() {
        for mode in [PadMode::Edge, PadMode::Reflect, PadMode::Symmetric, PadMode::Wrap] {
            for width in [(0, 1 << 60), (1 << 50, 1 << 50), (i64::MAX as usize - 3, 0)] {
                let e = tensor([1, 2, 3]).pad_with([width], mode).ok().unwrap_err();
                assert!(
                    ["memory", "type", "pad_with", "broadcast_in_dim"].contains(&e.op()),
                    "{mode:?} {width:?}: {e}"
                );
            }
        }
        let wide = Tensor::zeros([1 << 40, 0]);
        assert_eq!(wide.roll(3, 0).shape(), [1 << 40, 0]);
        assert_eq!(
            wide.pad_with([(1 << 40, 5), (0, 0)], PadMode::Symmetric).shape(),
            [(1 << 41) + 5, 0]
        );
        assert_eq!(wide.slice(0, 1..).shape(), [(1 << 40) - 1, 0]);
        assert!(Tensor::zeros([usize::MAX, 0]).slice(0, 1..).ok().is_err());
    }

    #[test]
    fn rolls_and_turns_are_numpys() {
        let x = Tensor::arange(6).reshape([2, 3]);
        assert_eq!(x.roll(1, 1).to_vec::<i32>().unwrap(), [2, 0, 1, 5, 3, 4]);
        assert_eq!(x.roll(-1, 0).to_vec::<i32>().unwrap(), [3, 4, 5, 0, 1, 2]);
        assert_eq!(x.roll(0, 0).to_vec::<i32>().unwrap(), x.to_vec::<i32>().unwrap());
        assert_eq!(Tensor::zeros([0]).roll(3, 0).size(), 0);
        assert_eq!(x.rot90(1, 0, 1).to_vec::<i32>().unwrap(), [2, 5, 1, 4, 0, 3]);
        assert_eq!(x.rot90(2, 0, 1).to_vec::<i32>().unwrap(), [5, 4, 3, 2, 1, 0]);
        assert_eq!(x.rot90(-1, 0, 1).to_vec::<i32>().unwrap(), [3, 0, 4, 1, 5, 2]);
        assert!(x.rot90(1, 0, 0).ok().is_err());
    }
}
