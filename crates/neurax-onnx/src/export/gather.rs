//! Gathers and dynamic slices.
//!
//! The IR's gather reads a window at each index vector. Three forms have an operator: the slices
//! at indices along one axis (`Gather`), the element at an index for each element of the indices
//! (`GatherElements`), and tuples of indices into the leading axes (`GatherND`), to which every
//! other gather is reduced: the indexed axes are moved to the front, and windows are written as
//! more indices.
//!
//! ```text
//! x[i] for [n, 64] and i [b]            Gather
//! windows of 2 x 3 of [8, 9] at [b, 2]  GatherND with the indices [b, 2, 3, 2]
//! ```
//!
//! Indices out of bounds are undefined in ONNX. They are clipped; for reads that yield zero, zeros
//! are chosen afterwards.

use super::draft::{Lowered, Wire};
use super::elementwise::common_shape;
use super::emitter::{Emitter, FormResult, ints_of};
use super::movement::SliceRange;
use crate::proto::AttributeProto;
use neurax_ir::op::{DynamicSlice, Gather, OutOfBounds};
use neurax_ir::{DType, Shape, Type};

/// The index vectors of a gather or scatter, as i64, within bounds.
pub(super) struct StartVectors {
    /// The vectors, along the last axis.
    pub starts: Wire,
    /// For each vector, true if its window is within bounds; `None` if that is not asked for.
    pub inside: Option<Wire>,
}

impl Emitter {
    /// Emits a gather.
    pub(super) fn gather(
        &mut self,
        op: &Gather,
        x: &Lowered,
        indices: &Lowered,
        shape: &Shape,
    ) -> FormResult<Lowered> {
        if shape.contains(&0) || x.shape.contains(&0) {
            let zero = self.scalar(x.wire.ty.dtype, 0.0);
            return Ok(Lowered { wire: zero, shape: shape.clone() });
        }
        if x.rank() == 0 {
            return Ok(Lowered { wire: x.wire.clone(), shape: shape.clone() });
        }
        if op.index_map.is_empty() {
            let op = Gather { index_map: vec![0], ..op.clone() };
            let zeros = self.zero_indices(indices);
            return self.gather(&op, x, &zeros, shape);
        }
        let (x, indices) = (self.full(x), self.full(indices));
        let limits: Vec<usize> =
            op.index_map.iter().map(|&a| x.ty.shape[a] - op.sizes[a]).collect();
        let vectors = self.index_vectors(&indices, &limits, op.mode == OutOfBounds::Drop)?;
        let y = match self.gathered_along_axis(op, &x, &vectors.starts, shape)? {
            Some(y) => y,
            None => self.gathered_windows(op, &x, &vectors.starts, shape)?,
        };
        let Some(inside) = vectors.inside else { return Ok(Lowered::of(y)) };
        // The batch axes of the result are those of the indices.
        let batch: Vec<usize> = (0..shape.rank()).filter(|a| !op.offset_dims.contains(a)).collect();
        let mut sizes = vec![1; shape.rank()];
        batch.iter().for_each(|&a| sizes[a] = shape[a]);
        let inside = Lowered { wire: self.reshaped(&inside, &sizes.into())?, shape: shape.clone() };
        let y = Lowered::of(y);
        let zero = self.splat(&y, 0.0);
        self.choice(&inside, &y, &zero)
    }

    /// Returns index vectors of one zero in place of empty ones.
    pub(super) fn zero_indices(&mut self, indices: &Lowered) -> Lowered {
        let mut shape = indices.shape.clone();
        shape.iter_mut().last().into_iter().for_each(|n| *n = 1);
        Lowered { wire: self.scalar(DType::I64, 0.0), shape }
    }

    /// Emits index vectors within `0..=limits`, one limit for each entry.
    pub(super) fn index_vectors(
        &mut self,
        indices: &Wire,
        limits: &[usize],
        wants_inside: bool,
    ) -> FormResult<StartVectors> {
        let indices = Lowered::of(self.cast(indices, DType::I64));
        let row = |wire| Lowered { wire, shape: indices.shape.clone() };
        let high = match limits {
            [n] => self.scalar_int(*n),
            _ => self.ints(&ints_of(limits)),
        };
        let (zero, high) = (row(self.scalar(DType::I64, 0.0)), row(high));
        let starts = self.clamp(&zero, &indices, &high)?;
        let inside = match wants_inside {
            true => {
                let same = self.comparison("Equal", &starts, &indices)?;
                Some(self.all_of_last_axis(&same.wire, limits.len())?)
            }
            false => None,
        };
        Ok(StartVectors { starts: starts.wire, inside })
    }

    /// Emits the conjunction along the last axis, of `n` elements.
    fn all_of_last_axis(&mut self, x: &Wire, n: usize) -> FormResult<Wire> {
        let last = x.ty.rank() - 1;
        match n {
            1 => self.reshaped(x, &x.ty.shape.removed(last)),
            _ => self.reduced("ReduceMin", x, &[last]),
        }
    }

    /// Emits `Gather` or `GatherElements`, if the gather is one.
    fn gathered_along_axis(
        &mut self,
        op: &Gather,
        x: &Wire,
        starts: &Wire,
        shape: &Shape,
    ) -> FormResult<Option<Wire>> {
        let ([axis], [collapsed]) = (&op.index_map[..], &op.collapsed[..]) else { return Ok(None) };
        let rank = x.ty.rank();
        let others: Vec<usize> = (0..rank).filter(|a| a != axis).collect();
        if axis != collapsed {
            return Ok(None);
        }
        let batch = starts.ty.shape.removed(starts.ty.rank() - 1);
        if op.operand_batch.is_empty() && others.iter().all(|&a| op.sizes[a] == x.ty.shape[a]) {
            let indices = self.reshaped(starts, &batch)?;
            let sizes = [&x.ty.shape[..*axis], &batch, &x.ty.shape[axis + 1..]].concat();
            let attributes = vec![AttributeProto::of_int("axis", *axis as i64)];
            let y = self.compute("Gather", &[x], &[&indices], attributes, sizes)?;
            // The axes of `y` are those in front, those of the indices, and those behind.
            let windows = (0..*axis).chain(*axis + batch.rank()..y.ty.rank());
            let order = result_order(&op.offset_dims, windows, *axis..*axis + batch.rank());
            return self.permuted(&y, &order).map(Some);
        }
        let is_each = op.operand_batch == others && op.indices_batch == others;
        if is_each && batch.rank() == rank && batch == *shape {
            let indices = self.reshaped(starts, &batch)?;
            return self.gather_elements(x, &indices, *axis).map(Some);
        }
        Ok(None)
    }

    /// Emits `GatherND`.
    fn gathered_windows(
        &mut self,
        op: &Gather,
        x: &Wire,
        starts: &Wire,
        shape: &Shape,
    ) -> FormResult<Wire> {
        let (x, rest) = self.indexed_first(op, x)?;
        let b = op.operand_batch.len();
        let starts = self.batch_first(starts, &op.indices_batch)?;
        let windows: Vec<usize> = op.index_map.iter().map(|&a| op.sizes[a]).collect();
        let indices = self.with_windows(&starts, &windows)?;
        let rows = &indices.ty.shape[..indices.ty.rank() - 1];
        let sizes: Vec<usize> =
            rows.iter().chain(&x.ty.shape[b + op.index_map.len()..]).copied().collect();
        let attributes = vec![AttributeProto::of_int("batch_dims", b as i64)];
        let y = self.compute("GatherND", &[&x], &[&indices], attributes, sizes)?;
        // The axes of `y` are those of the batch, of the windows along indexed axes, the others.
        let batch = starts.ty.rank() - 1;
        let axes: Vec<usize> = op.index_map.iter().chain(&rest).copied().collect();
        let kept = op.kept(x.ty.rank());
        let dropped: Vec<usize> = (0..axes.len()).filter(|&i| !kept.contains(&axes[i])).collect();
        let removed: Vec<usize> = dropped.iter().map(|i| batch + i).collect();
        let y = self.reshaped(&y, &y.ty.shape.without(&removed))?;
        let left: Vec<usize> = axes.iter().copied().filter(|a| kept.contains(a)).collect();
        let position = |a: &usize| batch + left.iter().position(|l| l == a).unwrap_or(0);
        let order = result_order(
            &op.offset_dims,
            kept.iter().map(position),
            batch_positions(batch, &op.indices_batch),
        );
        let y = self.permuted(&y, &order)?;
        self.reshaped(&y, shape)
    }

    /// Emits `x` with the batch axes first, then the indexed ones in the order of the indices, then
    /// the rest, cut to the size of the windows. Returns the rest, too.
    pub(super) fn indexed_first(
        &mut self,
        op: &Gather,
        x: &Wire,
    ) -> FormResult<(Wire, Vec<usize>)> {
        let first: Vec<usize> = [&op.operand_batch[..], &op.index_map].concat();
        let rest: Vec<usize> = (0..x.ty.rank()).filter(|a| !first.contains(a)).collect();
        let ranges: Vec<SliceRange> = rest
            .iter()
            .filter(|&&a| op.sizes[a] != x.ty.shape[a])
            .map(|&axis| SliceRange { axis, start: 0, end: op.sizes[axis] as i64, step: 1 })
            .collect();
        let mut shape = x.ty.shape.clone();
        rest.iter().for_each(|&a| shape[a] = op.sizes[a]);
        let x = self.sliced(x, &ranges, shape)?;
        Ok((self.permuted(&x, &[&first[..], &rest].concat())?, rest))
    }

    /// Emits index vectors with the axes of the batch first.
    pub(super) fn batch_first(&mut self, starts: &Wire, batch: &[usize]) -> FormResult<Wire> {
        let others = (0..starts.ty.rank()).filter(|a| !batch.contains(a));
        let order: Vec<usize> = batch.iter().copied().chain(others).collect();
        self.permuted(starts, &order)
    }

    /// Emits the index vectors of all elements of windows: `[.., k]` becomes `[.., windows.., k]`.
    pub(super) fn with_windows(&mut self, starts: &Wire, windows: &[usize]) -> FormResult<Wire> {
        let batch = starts.ty.rank() - 1;
        let shape = [&starts.ty.shape[..batch], &vec![1; windows.len()], &starts.ty.shape[batch..]];
        let mut indices = self.reshaped(starts, &shape.concat().into())?;
        if windows.iter().all(|&n| n == 1) {
            return Ok(indices);
        }
        for (k, &n) in windows.iter().enumerate().filter(|(_, n)| **n > 1) {
            let range = self.range(n);
            let column = self.unit_column(&range, k, windows.len())?;
            let mut shape = vec![1; windows.len() + 1];
            (shape[k], shape[windows.len()]) = (n, windows.len());
            let offsets = self.reshaped(&column, &shape.into())?;
            let common = common_shape(&[&indices, &offsets]);
            indices = self.node("Add", &[&indices, &offsets], Type::new(DType::I64, common));
        }
        Ok(indices)
    }

    /// Emits rows of `k` numbers that are zero but for the entry `at`, one for each of `range`.
    fn unit_column(&mut self, range: &Wire, at: usize, k: usize) -> FormResult<Wire> {
        let unit: Vec<i64> = (0..k).map(|i| (i == at) as i64).collect();
        let unit = self.ints(&unit);
        let column = self.reshaped(range, &range.ty.shape.inserted(1, 1))?;
        let shape = common_shape(&[&column, &unit]);
        Ok(self.node("Mul", &[&column, &unit], Type::new(DType::I64, shape)))
    }

    /// Emits a window at a runtime index.
    pub(super) fn dynamic_slice(
        &mut self,
        op: &DynamicSlice,
        x: &Lowered,
        start: &Lowered,
    ) -> FormResult<Lowered> {
        let shape: Shape = op.sizes[..].into();
        if x.is_splat() {
            return Ok(Lowered { wire: x.wire.clone(), shape });
        }
        let axes: Vec<usize> = (0..x.rank()).filter(|&a| op.sizes[a] != x.shape[a]).collect();
        if axes.is_empty() {
            return Ok(x.clone());
        }
        let x = self.full(x);
        let starts = self.window_start(&x, start, &axes, &op.sizes)?;
        let sizes: Vec<usize> = axes.iter().map(|&a| op.sizes[a]).collect();
        let sizes = self.ints(&ints_of(&sizes));
        let ends = self.node("Add", &[&starts, &sizes], starts.ty.clone());
        let axes = self.ints(&ints_of(&axes));
        Ok(Lowered::of(self.compute("Slice", &[&x], &[&starts, &ends, &axes], vec![], shape)?))
    }

    /// Emits the start of a window along `axes`, so that the window is in bounds.
    pub(super) fn window_start(
        &mut self,
        x: &Wire,
        start: &Lowered,
        axes: &[usize],
        sizes: &[usize],
    ) -> FormResult<Wire> {
        let start = self.full(start);
        let start = self.cast(&start, DType::I64);
        let start = match axes.len() == x.ty.rank() {
            true => start,
            false => {
                let axes = self.ints(&ints_of(axes));
                let ty = Type::new(DType::I64, [axes.ty.shape[0]]);
                let axis = vec![AttributeProto::of_int("axis", 0)];
                self.node_with("Gather", &[&start, &axes], ty, axis)
            }
        };
        let limits: Vec<usize> = axes.iter().map(|&a| x.ty.shape[a] - sizes[a]).collect();
        Ok(self.index_vectors(&start, &limits, false)?.starts)
    }
}

/// Returns the permutation that puts window axes at `offset_dims` and batch axes at the others.
fn result_order(
    offset_dims: &[usize],
    windows: impl Iterator<Item = usize>,
    batch: impl IntoIterator<Item = usize>,
) -> Vec<usize> {
    let windows: Vec<usize> = windows.collect();
    let batch: Vec<usize> = batch.into_iter().collect();
    let (mut windows, mut batch) = (windows.iter(), batch.iter());
    let rank = windows.len() + batch.len();
    let axis = |i| if offset_dims.contains(&i) { windows.next() } else { batch.next() };
    (0..rank).filter_map(axis).copied().collect()
}

/// Returns the positions of the batch axes of indices whose axes `first` were moved to the front.
fn batch_positions(rank: usize, first: &[usize]) -> Vec<usize> {
    let others: Vec<usize> = (0..rank).filter(|a| !first.contains(a)).collect();
    let position = |a: usize| match first.iter().position(|&f| f == a) {
        Some(i) => i,
        None => first.len() + others.iter().position(|&o| o == a).unwrap_or(0),
    };
    (0..rank).map(position).collect()
}
