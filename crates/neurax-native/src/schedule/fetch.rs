//! Gathers and scatters: accesses whose offsets are partly found at run time.
//!
//! The offset of such an access is affine in the loop counters, plus a node that computes the rest:
//! the clamped starts, times the strides of their axes.

use super::{
    analysis::Storage,
    expr_graph::{BuildResult, ExprGraph},
    outputs::{ExprSource, LoweredOutput, NotFused},
};
use crate::{
    affine::{AffineIndex, AffineOffset, flat},
    kernel::{ExprBuilder, InstId, InstKind, computed_in, expand},
};
use neurax_ir::{
    DType, Kind, Shape, Value,
    op::{Binary, Direction, DynamicSlice, Gather, OutOfBounds, Scatter},
};

impl ExprGraph<'_> {
    /// Returns the node of an element of a dynamic slice of `x`.
    pub(super) fn dynamic_slice(
        &mut self,
        op: &DynamicSlice,
        x: Value,
        start: Value,
        index: AffineIndex,
    ) -> BuildResult<InstId> {
        let shape = self.analysis.shape(x).clone();
        let bounds: Vec<(usize, usize)> =
            (0..shape.rank()).map(|a| (a, shape[a] - op.sizes[a])).collect();
        let zero = AffineOffset::constant(self.loops(), 0);
        let mut at = None;
        for (entry, &(axis, most)) in bounds.iter().enumerate() {
            let offset = smallvec::smallvec![AffineOffset { base: entry as isize, ..zero.clone() }];
            let s = self.value_at(start, offset)?;
            let s = self.clamped(s, most);
            at = Some(self.moved_by(at, s, shape.strides()[axis]));
        }
        self.fetch(x, flat(&shape, &index, self.loops()), at)
    }

    /// Returns the node of an element of a gather from `x`.
    pub(super) fn gather(
        &mut self,
        op: &Gather,
        x: Value,
        indices: Value,
        index: AffineIndex,
    ) -> BuildResult<InstId> {
        let shape = self.analysis.shape(x).clone();
        let (batch, offset) = self.parts(op, shape.rank(), &index);
        // empty: the window does not fit into `x` at any index, so every element is out of bounds.
        let Some((at, fits)) = self.starts(op, &shape, indices, &batch)? else {
            return Ok(self.number(computed_in(self.analysis.dtype(x)?), 0.0));
        };
        let y = self.fetch(x, flat(&shape, &offset, self.loops()), at)?;
        let Some(fits) = fits else { return Ok(y) };
        let zero = self.like(y, 0.0);
        Ok(self.select(fits, y, zero))
    }

    /// Returns the index of the index vector, and the index in the operand without its entries.
    fn parts(&self, op: &Gather, rank: usize, index: &AffineIndex) -> (AffineIndex, AffineIndex) {
        let batch: AffineIndex = (0..index.len())
            .filter(|i| !op.offset_dims.contains(i))
            .map(|i| index[i].clone())
            .collect();
        let mut offset: AffineIndex =
            (0..rank).map(|_| AffineOffset::constant(self.loops(), 0)).collect();
        let kept = (0..rank).filter(|a| !op.collapsed.contains(a) && !op.operand_batch.contains(a));
        kept.zip(&op.offset_dims).for_each(|(a, &o)| offset[a] = index[o].clone());
        op.operand_batch
            .iter()
            .zip(&op.indices_batch)
            .for_each(|(&a, &i)| offset[a] = batch[i].clone());
        (batch, offset)
    }

    /// Adds the run-time start to the destination of a dynamic update.
    pub(super) fn dynamic_slice_output(
        &mut self,
        lowered: LoweredOutput,
        shape: &Shape,
        start: Value,
        index: &AffineIndex,
    ) -> BuildResult<LoweredOutput> {
        let sizes = self.analysis.shape(lowered.output.value).clone();
        let mut at = None;
        for axis in 0..shape.rank() {
            let entry: AffineIndex =
                smallvec::smallvec![AffineOffset::constant(self.loops(), axis as isize)];
            let s = self.value_at(start, entry)?;
            let s = self.clamped(s, shape[axis] - sizes[axis]);
            at = Some(self.moved_by(at, s, shape.strides()[axis]));
        }
        Ok(LoweredOutput { offset: flat(shape, index, self.loops()), at, ..lowered })
    }

    /// Adds the run-time start to the destination of a scatter, and combines the update with the
    /// old element.
    pub(super) fn scatter(
        &mut self,
        lowered: LoweredOutput,
        shape: &Shape,
        indices: Value,
        op: &Scatter,
        index: &AffineIndex,
    ) -> BuildResult<LoweredOutput> {
        let reads = op.to_gather(shape.rank(), self.analysis.graph.ty(lowered.output.value));
        let (batch, offset) = self.parts(&reads, shape.rank(), index);
        let Some((at, fits)) = self.starts(&reads, shape, indices, &batch)? else {
            let never = self.number(DType::Bool, 0.0);
            return Ok(LoweredOutput {
                offset: AffineOffset::constant(self.loops(), 0),
                guard: Some(never),
                ..lowered
            });
        };
        let offset = flat(shape, &offset, self.loops());
        let dtype = self.analysis.dtype(lowered.output.value)?;
        let node = match op.kind.binary() {
            None => lowered.node,
            Some(f) => {
                let old = self.put(
                    InstKind::Source(ExprSource::Load {
                        buffer: lowered.output.sink.buffer(),
                        offset: offset.clone(),
                        at,
                    }),
                    dtype,
                );
                let old = self.convert(old, computed_in(dtype));
                let y = expand::binary(self, f, old, lowered.node);
                if dtype == computed_in(dtype) {
                    y
                } else {
                    self.put(InstKind::Round(dtype, y), DType::F32)
                }
            }
        };
        Ok(LoweredOutput { node, offset, at, guard: fits, ..lowered })
    }

    /// Returns the run-time offset that index vectors add, in elements, and whether the window is
    /// in bounds; `None` if it is out of bounds at every index.
    fn starts(
        &mut self,
        op: &Gather,
        shape: &Shape,
        indices: Value,
        batch: &AffineIndex,
    ) -> BuildResult<Option<(Option<InstId>, Option<InstId>)>> {
        let (mut at, mut fits) = (None, None);
        for (entry, &axis) in op.index_map.iter().enumerate() {
            let mut access = batch.clone();
            access.push(AffineOffset::constant(self.loops(), entry as isize));
            let i = self.value_at(indices, access)?;
            let Some(most) = shape[axis].checked_sub(op.sizes[axis]) else { return Ok(None) };
            let s = self.clamped(i, most);
            if op.mode == OutOfBounds::Drop {
                let own = self.inside(i, s);
                // empty: the first guard.
                fits = Some(fits.map_or(own, |f| self.binary_inst(Binary::And, f, own)));
            }
            at = Some(self.moved_by(at, s, shape.strides()[axis]));
        }
        Ok(Some((at, fits)))
    }

    /// Returns the node of an element of a stored value, `at` elements after `offset`.
    fn fetch(&mut self, x: Value, offset: AffineOffset, at: Option<InstId>) -> BuildResult<InstId> {
        match self.analysis.storage(x) {
            Storage::Buffer(b) => self.load(x, b, offset, at),
            Storage::Inline => Err(NotFused::Materialize(x).into()),
        }
    }

    /// Returns an integer clamped to `0..=most`, as i64.
    pub(super) fn clamped(&mut self, i: InstId, most: usize) -> InstId {
        let ty = self.ty(i);
        let i = if ty == DType::U64 {
            // Above the range of i64: clamp to the end, not the start.
            let last = self.runtime_constant(ty, most);
            let over = self.compare(Direction::Gt, i, last);
            self.select(over, last, i)
        } else {
            i
        };
        let wide = self.convert(i, DType::I64);
        let (low, high) = (self.number(DType::I64, 0.0), self.runtime_constant(DType::I64, most));
        let over = self.compare(Direction::Gt, wide, high);
        let y = self.select(over, high, wide);
        if ty.kind() == Kind::Unsigned {
            return y;
        }
        let under = self.compare(Direction::Lt, y, low);
        self.select(under, low, y)
    }

    /// Returns a node that is true if clamping changed nothing.
    pub(super) fn inside(&mut self, i: InstId, clamped: InstId) -> InstId {
        if self.ty(i) == DType::U64 {
            let c = self.convert(clamped, DType::U64);
            return self.compare(Direction::Eq, i, c);
        }
        let wide = self.convert(i, DType::I64);
        self.compare(Direction::Eq, wide, clamped)
    }

    /// Returns `at + s * stride`.
    pub(super) fn moved_by(&mut self, at: Option<InstId>, s: InstId, stride: usize) -> InstId {
        let s = match stride {
            1 => s,
            // other: any stride but 1.
            _ => {
                let by = self.runtime_constant(DType::I64, stride);
                self.mul(s, by)
            }
        };
        match at {
            Some(a) => self.add(a, s),
            None => s,
        }
    }
}
