//! Reading windows at places that are found at run time.

use super::Storage;
use super::{
    expr_graph::{BuildResult, ExprGraph},
    outputs::{ExprSource, LoweredOutput, NotFused},
};
use crate::{
    affine::{AffineIndex, AffineOffset, flat},
    kernel::{ExprBuilder, Id, InstKind, computed_in, expand},
};
use neurax_ir::{
    DType, Kind, Shape, Value,
    op::{Binary, Direction, DynamicSlice, Gather, OutOfBounds, Scatter},
};

impl ExprGraph<'_> {
    /// An element of a dynamic slice of `x`.
    pub(super) fn dynamic_slice(
        &mut self,
        op: &DynamicSlice,
        x: Value,
        start: Value,
        index: AffineIndex,
    ) -> BuildResult<Id> {
        let shape = self.analysis.shape(x).clone();
        let room: Vec<(usize, usize)> =
            (0..shape.rank()).map(|a| (a, shape[a] - op.sizes[a])).collect();
        let zero = AffineOffset::constant(self.loops(), 0);
        let mut at = None;
        for (entry, &(axis, most)) in room.iter().enumerate() {
            let place = smallvec::smallvec![AffineOffset { base: entry as isize, ..zero.clone() }];
            let s = self.value_at(start, place)?;
            let s = self.clamped(s, most);
            at = Some(self.moved_by(at, s, shape.strides()[axis]));
        }
        self.fetch(x, flat(&shape, &index, self.loops()), at)
    }

    /// An element of a gather.
    pub(super) fn gather(
        &mut self,
        op: &Gather,
        x: Value,
        indices: Value,
        index: AffineIndex,
    ) -> BuildResult<Id> {
        let shape = self.analysis.shape(x).clone();
        let (batch, place) = self.parts(op, shape.rank(), &index);
        // An axis without room for a single place: nothing fits, and nothing is read.
        let Some((at, fits)) = self.starts(op, &shape, indices, &batch)? else {
            return Ok(self.number(computed_in(self.analysis.dtype(x)), 0.0));
        };
        let y = self.fetch(x, flat(&shape, &place, self.loops()), at)?;
        let Some(fits) = fits else { return Ok(y) };
        let zero = self.like(y, 0.0);
        Ok(self.select(fits, y, zero))
    }

    /// The index of the index vector, and the place inside the operand without its entries.
    fn parts(&self, op: &Gather, rank: usize, index: &AffineIndex) -> (AffineIndex, AffineIndex) {
        let batch: AffineIndex = (0..index.len())
            .filter(|i| !op.offset_dims.contains(i))
            .map(|i| index[i].clone())
            .collect();
        let mut place: AffineIndex =
            (0..rank).map(|_| AffineOffset::constant(self.loops(), 0)).collect();
        let kept = (0..rank).filter(|a| !op.collapsed.contains(a) && !op.operand_batch.contains(a));
        kept.zip(&op.offset_dims).for_each(|(a, &o)| place[a] = index[o].clone());
        op.operand_batch
            .iter()
            .zip(&op.indices_batch)
            .for_each(|(&a, &i)| place[a] = batch[i].clone());
        (batch, place)
    }

    /// The place of an element of an update inside the array.
    pub(super) fn window(
        &mut self,
        made: LoweredOutput,
        shape: &Shape,
        start: Value,
        index: &AffineIndex,
    ) -> BuildResult<LoweredOutput> {
        let sizes = self.analysis.shape(made.root.value).clone();
        let mut at = None;
        for axis in 0..shape.rank() {
            let entry: AffineIndex =
                smallvec::smallvec![AffineOffset::constant(self.loops(), axis as isize)];
            let s = self.value_at(start, entry)?;
            let s = self.clamped(s, shape[axis] - sizes[axis]);
            at = Some(self.moved_by(at, s, shape.strides()[axis]));
        }
        Ok(LoweredOutput { place: flat(shape, index, self.loops()), at, ..made })
    }

    /// The place of an element of an update, and what it becomes together with what is there.
    pub(super) fn scatter(
        &mut self,
        made: LoweredOutput,
        shape: &Shape,
        indices: Value,
        op: &Scatter,
        index: &AffineIndex,
    ) -> BuildResult<LoweredOutput> {
        let reads = op.mirror(shape.rank(), self.analysis.graph.ty(made.root.value));
        let (batch, place) = self.parts(&reads, shape.rank(), index);
        let Some((at, fits)) = self.starts(&reads, shape, indices, &batch)? else {
            let never = self.number(DType::Bool, 0.0);
            return Ok(LoweredOutput {
                place: AffineOffset::constant(self.loops(), 0),
                guard: Some(never),
                ..made
            });
        };
        let place = flat(shape, &place, self.loops());
        let dtype = self.analysis.dtype(made.root.value);
        let node = match op.kind.binary() {
            None => made.node,
            Some(f) => {
                let old = self.put(
                    InstKind::Source(ExprSource::Load {
                        buffer: made.root.sink.buffer(),
                        place: place.clone(),
                        at,
                    }),
                    dtype,
                );
                let old = self.convert(old, computed_in(dtype));
                let y = expand::binary(self, f, old, made.node);
                if dtype == computed_in(dtype) {
                    y
                } else {
                    self.put(InstKind::Round(dtype, y), DType::F32)
                }
            }
        };
        Ok(LoweredOutput { node, place, at, guard: fits, ..made })
    }

    /// Elements that index vectors move a window by, and whether it fits; `None` if there is no
    /// room for any.
    fn starts(
        &mut self,
        op: &Gather,
        shape: &Shape,
        indices: Value,
        batch: &AffineIndex,
    ) -> BuildResult<Option<(Option<Id>, Option<Id>)>> {
        let (mut at, mut fits) = (None, None);
        for (entry, &axis) in op.index_map.iter().enumerate() {
            let mut home = batch.clone();
            home.push(AffineOffset::constant(self.loops(), entry as isize));
            let i = self.value_at(indices, home)?;
            let Some(most) = shape[axis].checked_sub(op.sizes[axis]) else { return Ok(None) };
            let s = self.clamped(i, most);
            if op.mode == OutOfBounds::Drop {
                let own = self.inside(i, s);
                fits = Some(fits.map_or(own, |f| self.bin(Binary::And, f, own)));
            }
            at = Some(self.moved_by(at, s, shape.strides()[axis]));
        }
        Ok(Some((at, fits)))
    }

    /// An element of an array in memory, `at` elements further on.
    fn fetch(&mut self, x: Value, place: AffineOffset, at: Option<Id>) -> BuildResult<Id> {
        match self.analysis.storage(x) {
            Storage::Buffer(b) => Ok(self.load(x, b, place, at)),
            Storage::Inline => Err(NotFused::Materialise(x).into()),
        }
    }

    /// An integer as an i64 from 0 to `most`.
    pub(super) fn clamped(&mut self, i: Id, most: usize) -> Id {
        let ty = self.ty(i);
        let i = if ty == DType::U64 {
            // Beyond the range of i64: the end, not the beginning.
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

    /// Did clamping change nothing?
    pub(super) fn inside(&mut self, i: Id, clamped: Id) -> Id {
        if self.ty(i) == DType::U64 {
            let c = self.convert(clamped, DType::U64);
            return self.compare(Direction::Eq, i, c);
        }
        let wide = self.convert(i, DType::I64);
        self.compare(Direction::Eq, wide, clamped)
    }

    /// `at + s * stride`
    pub(super) fn moved_by(&mut self, at: Option<Id>, s: Id, stride: usize) -> Id {
        let s = match stride {
            1 => s,
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
