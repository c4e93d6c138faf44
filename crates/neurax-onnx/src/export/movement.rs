//! Ops that create or move elements: broadcasts, reshapes, transposes, slices, padding.
//!
//! A broadcast emits no node but a new unit axis where one is needed. A reshape that only adds or
//! removes unit axes is `Unsqueeze` or `Squeeze`, which hold for every size of the other axes.

use super::draft::{Lowered, Wire};
use super::emitter::{Emitter, FormResult, ints_of};
use crate::proto::AttributeProto;
use neurax_ir::op::{Broadcast, Iota, Pad, Slice};
use neurax_ir::{DType, Literal, Shape, Type};

impl Emitter {
    /// Emits a constant: a scalar if all elements are equal.
    pub(super) fn constant(&mut self, value: &Literal) -> Lowered {
        let shape = value.shape().clone();
        let wire = match splat_of(value) {
            Some(scalar) => self.literal(scalar),
            None => self.literal(value.clone()),
        };
        Lowered { wire, shape }
    }

    /// Emits indices along an axis, which broadcast along the others.
    pub(super) fn iota(&mut self, op: &Iota) -> FormResult<Lowered> {
        let n = op.ty.shape[op.axis];
        let range = self.range(n);
        let range = self.cast(&range, op.ty.dtype);
        let behind = op.ty.rank() - op.axis - 1;
        let shape: Vec<usize> = [n].into_iter().chain(std::iter::repeat_n(1, behind)).collect();
        let wire = self.reshaped(&range, &shape.into())?;
        Ok(Lowered { wire, shape: op.ty.shape.clone() })
    }

    /// Emits the integers `0..n`.
    pub(super) fn range(&mut self, n: usize) -> Wire {
        let [zero, one] = [0.0, 1.0].map(|x| self.scalar(DType::I64, x));
        let end = self.scalar_int(n);
        self.node("Range", &[&zero, &end, &one], Type::new(DType::I64, [n]))
    }

    /// Adds a size as a scalar.
    pub(super) fn scalar_int(&mut self, n: usize) -> Wire {
        self.scalar(DType::I64, n as f64)
    }

    /// Emits the unit axes that a broadcast needs.
    pub(super) fn broadcast(&mut self, op: &Broadcast, x: &Lowered) -> FormResult<Lowered> {
        let missing = x.rank() - x.wire.ty.rank();
        let to = &op.dims[missing..];
        let sizes = &x.wire.ty.shape;
        let rank = op.shape.rank();
        let start = to.first().copied().unwrap_or(rank);
        let size = |o: usize| to.iter().position(|&d| d == o).map_or(1, |i| sizes[i]);
        let shape: Shape = (start..rank).map(size).collect();
        Ok(Lowered { wire: self.reshaped(&x.wire, &shape)?, shape: op.shape.clone() })
    }

    /// Emits a reshape.
    pub(super) fn reshape(&mut self, x: &Lowered, shape: &Shape) -> FormResult<Lowered> {
        if x.is_splat() {
            return Ok(Lowered { wire: x.wire.clone(), shape: shape.clone() });
        }
        let x = self.full(x);
        Ok(Lowered::of(self.reshaped(&x, shape)?))
    }

    /// Emits a reshape of a stored value: nothing, new or fewer unit axes, or `Reshape`.
    pub(super) fn reshaped(&mut self, x: &Wire, shape: &Shape) -> FormResult<Wire> {
        if x.ty.shape == *shape {
            return Ok(x.clone());
        }
        let (op, numbers) = match (inserted(&x.ty.shape, shape), inserted(shape, &x.ty.shape)) {
            (Some(axes), _) => ("Unsqueeze", axes),
            (None, Some(axes)) => ("Squeeze", axes),
            (None, None) => ("Reshape", ints_of(shape)),
        };
        let is_empty = op == "Reshape" && shape.contains(&0);
        if is_empty && self.opset < 14 {
            return Err(format!("a reshape to {shape}, without elements, needs opset 14"));
        }
        // Otherwise, a size of 0 is that of the operand.
        let allow = is_empty.then(|| AttributeProto::of_int("allowzero", 1));
        let numbers = self.ints(&numbers);
        self.compute(op, &[x], &[&numbers], allow.into_iter().collect(), shape.clone())
    }

    /// Emits a permutation of the axes.
    pub(super) fn transposed(&mut self, x: &Lowered, permutation: &[usize]) -> FormResult<Lowered> {
        let shape: Shape = permutation.iter().map(|&p| x.shape[p]).collect();
        if x.is_splat() {
            return Ok(Lowered { wire: x.wire.clone(), shape });
        }
        let x = self.full(x);
        Ok(Lowered::of(self.permuted(&x, permutation)?))
    }

    /// Emits a permutation of the axes of a stored value.
    pub(super) fn permuted(&mut self, x: &Wire, permutation: &[usize]) -> FormResult<Wire> {
        if permutation.iter().enumerate().all(|(i, &p)| i == p) {
            return Ok(x.clone());
        }
        let shape: Shape = permutation.iter().map(|&p| x.ty.shape[p]).collect();
        let perm = AttributeProto::of_ints("perm", ints_of(permutation));
        self.compute("Transpose", &[x], &[], vec![perm], shape)
    }

    /// Emits a slice.
    pub(super) fn slice(&mut self, op: &Slice, x: &Lowered) -> FormResult<Lowered> {
        let sizes = |a: usize| (op.limit[a] - op.start[a]).div_ceil(op.stride[a]);
        let shape: Shape = (0..x.rank()).map(sizes).collect();
        if x.is_splat() {
            return Ok(Lowered { wire: x.wire.clone(), shape });
        }
        let whole = |a: usize| op.start[a] == 0 && op.limit[a] == x.shape[a] && op.stride[a] == 1;
        let axes: Vec<usize> = (0..x.rank()).filter(|&a| !whole(a)).collect();
        let wire = self.full(x);
        let ranges: Vec<SliceRange> = axes
            .iter()
            .map(|&a| SliceRange {
                axis: a,
                start: op.start[a] as i64,
                // The end of the axis, for every size.
                end: if op.limit[a] == x.shape[a] { i64::MAX } else { op.limit[a] as i64 },
                step: op.stride[a] as i64,
            })
            .collect();
        Ok(Lowered::of(self.sliced(&wire, &ranges, shape)?))
    }

    /// Emits the elements of ranges along some axes.
    pub(super) fn sliced(
        &mut self,
        x: &Wire,
        ranges: &[SliceRange],
        shape: Shape,
    ) -> FormResult<Wire> {
        if ranges.is_empty() {
            return Ok(x.clone());
        }
        let column = |e: &mut Emitter, f: fn(&SliceRange) -> i64| {
            let numbers: Vec<i64> = ranges.iter().map(f).collect();
            e.ints(&numbers)
        };
        let starts = column(self, |r| r.start);
        let ends = column(self, |r| r.end);
        let axes = column(self, |r| r.axis as i64);
        let steps = column(self, |r| r.step);
        self.compute("Slice", &[x], &[&starts, &ends, &axes, &steps], vec![], shape)
    }

    /// Emits `x` with the order of elements reversed along `axes`.
    pub(super) fn reversed(&mut self, x: &Lowered, axes: &[usize]) -> FormResult<Lowered> {
        if x.is_splat() {
            return Ok(x.clone());
        }
        let wire = self.full(x);
        let range = |&axis: &usize| SliceRange { axis, start: -1, end: i64::MIN + 1, step: -1 };
        let ranges: Vec<SliceRange> = axes.iter().map(range).collect();
        Ok(Lowered::of(self.sliced(&wire, &ranges, x.shape.clone())?))
    }

    /// Emits a concatenation.
    pub(super) fn concatenated(&mut self, xs: &[Lowered], axis: usize) -> FormResult<Lowered> {
        let wires: Vec<Wire> = xs.iter().map(|x| self.full(x)).collect();
        let wires: Vec<&Wire> = wires.iter().collect();
        Ok(Lowered::of(self.concat(&wires, axis)?))
    }

    /// Emits a concatenation of stored values.
    pub(super) fn concat(&mut self, xs: &[&Wire], axis: usize) -> FormResult<Wire> {
        if let [x] = xs {
            return Ok((*x).clone());
        }
        let mut shape = xs[0].ty.shape.clone();
        shape[axis] = xs.iter().map(|x| x.ty.shape[axis]).sum();
        let axis = AttributeProto::of_int("axis", axis as i64);
        self.compute("Concat", xs, &[], vec![axis], shape)
    }

    /// Emits padding around and between elements.
    pub(super) fn pad(&mut self, op: &Pad, x: &Lowered, value: &Lowered) -> FormResult<Lowered> {
        let mut wire = self.full(x);
        for axis in 0..x.rank() {
            if op.interior[axis] > 0 && wire.ty.shape[axis] > 1 {
                wire = self.spread(&wire, &value.wire, axis, op.interior[axis])?;
            }
        }
        Ok(Lowered::of(self.padded(&wire, &value.wire, &op.low, &op.high)?))
    }

    /// Emits padding around a stored value; negative amounts crop.
    pub(super) fn padded(
        &mut self,
        x: &Wire,
        value: &Wire,
        low: &[i64],
        high: &[i64],
    ) -> FormResult<Wire> {
        let sides: Vec<PaddedAxis> =
            (0..low.len()).map(|a| PaddedAxis::of(x.ty.shape[a] as i64, low[a], high[a])).collect();
        let x = self.cropped(x, &sides)?;
        if sides.iter().all(|s| s.low == 0 && s.high == 0) {
            return Ok(x);
        }
        let shape: Shape = (0..low.len())
            .map(|a| x.ty.shape[a] + (sides[a].low + sides[a].high) as usize)
            .collect();
        let amounts: Vec<i64> =
            sides.iter().map(|s| s.low).chain(sides.iter().map(|s| s.high)).collect();
        let pads = self.ints(&amounts);
        let by = super::support::carrier("Pad", x.ty.dtype, self.opset)?;
        let (wide, value) = (self.cast(&x, by), self.cast(value, by));
        let y = self.node("Pad", &[&wide, &pads, &value], Type::new(by, shape));
        Ok(self.cast(&y, x.ty.dtype))
    }

    /// Emits the crops of negative padding.
    fn cropped(&mut self, x: &Wire, sides: &[PaddedAxis]) -> FormResult<Wire> {
        let shape: Shape = sides.iter().map(|s| (s.end - s.start) as usize).collect();
        let range = |(axis, s): (usize, &PaddedAxis)| {
            let n = x.ty.shape[axis] as i64;
            let end = if s.end == n { i64::MAX } else { s.end };
            let is_cropped = (s.start, s.end) != (0, n);
            is_cropped.then_some(SliceRange { axis, start: s.start, end, step: 1 })
        };
        let ranges: Vec<SliceRange> = sides.iter().enumerate().filter_map(range).collect();
        self.sliced(x, &ranges, shape)
    }

    /// Emits `x` with `between` values between the elements of an axis: padding behind each
    /// element along a new axis, which is then merged.
    fn spread(&mut self, x: &Wire, value: &Wire, axis: usize, between: usize) -> FormResult<Wire> {
        let (n, rank) = (x.ty.shape[axis], x.ty.rank());
        let split = self.reshaped(x, &x.ty.shape.inserted(axis + 1, 1))?;
        let mut high = vec![0; rank + 1];
        high[axis + 1] = between as i64;
        let wide = self.padded(&split, value, &vec![0; rank + 1], &high)?;
        let mut shape = x.ty.shape.clone();
        shape[axis] = n * (between + 1);
        let merged = self.reshaped(&wide, &shape)?;
        shape[axis] -= between;
        // Nothing is behind the last element.
        let range = SliceRange { axis, start: 0, end: -(between as i64), step: 1 };
        self.sliced(&merged, &[range], shape)
    }
}

/// A range of indices along an axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct SliceRange {
    pub axis: usize,
    pub start: i64,
    pub end: i64,
    pub step: i64,
}

/// The elements of an axis that padding keeps, `start..end`, and the padding on both sides.
struct PaddedAxis {
    start: i64,
    end: i64,
    low: i64,
    high: i64,
}

impl PaddedAxis {
    /// Returns the padding of an axis of `n` elements by amounts that are negative if they crop.
    fn of(n: i64, low: i64, high: i64) -> PaddedAxis {
        let start = (-low).clamp(0, n);
        let end = (n + high.min(0)).clamp(start, n);
        let (mut before, mut after) = (low.max(0), high.max(0));
        // A crop of more elements than there are crops the padding of the other side.
        let excess = (end - start) + before + after - (n + low + high);
        match low < 0 {
            true => after -= excess,
            false => before -= excess,
        }
        PaddedAxis { start, end, low: before, high: after }
    }
}

/// Returns the indices of the unit axes of `to` without which it is `from`.
fn inserted(from: &[usize], to: &[usize]) -> Option<Vec<i64>> {
    let mut rest = from.iter();
    let mut axes = vec![];
    let mut next = rest.next();
    for (i, n) in to.iter().enumerate() {
        match next {
            Some(m) if m == n => next = rest.next(),
            _ if *n == 1 => axes.push(i as i64),
            _ => return None,
        }
    }
    next.is_none().then_some(axes)
}

/// Returns the element of a constant of equal elements, as a scalar.
fn splat_of(value: &Literal) -> Option<Literal> {
    let ty = value.ty();
    let width = ty.dtype.bits() / 8;
    if ty.rank() == 0 || ty.size() == 0 || width == 0 {
        return None;
    }
    let first = value.bytes().get(..width)?;
    let is_splat = value.bytes().chunks_exact(width).all(|x| x == first);
    let scalar = || Literal::new(Type::scalar(ty.dtype), neurax_ir::Bytes::copy_of(first)).ok();
    if is_splat { scalar() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_axes_are_found() {
        assert_eq!(inserted(&[2, 3], &[2, 1, 3, 1]), Some(vec![1, 3]));
        assert_eq!(inserted(&[], &[1, 1]), Some(vec![0, 1]));
        assert_eq!(inserted(&[1, 2], &[1, 1, 2]), Some(vec![1]));
        assert_eq!(inserted(&[2, 3], &[3, 2]), None);
        assert_eq!(inserted(&[2, 3], &[6]), None);
        assert_eq!(inserted(&[2, 3], &[2]), None);
    }
}
