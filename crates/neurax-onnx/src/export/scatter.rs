//! Scatters and dynamic updates, by `ScatterND`.
//!
//! As for gathers, the indexed axes are moved to the front and windows are written as more
//! indices. `ScatterND` has no batch axes, so these are indexed, too. Updates out of bounds go to
//! an additional element behind the end of the first indexed axis, which is cut off afterwards.

use super::draft::{Lowered, Wire};
use super::emitter::{Emitter, FormResult, ints_of};
use super::movement::SliceRange;
use super::support::carrier;
use crate::proto::AttributeProto;
use neurax_ir::op::{Gather, OutOfBounds, Scatter, ScatterKind};
use neurax_ir::{DType, Shape};

impl Emitter {
    /// Emits a scatter.
    pub(super) fn scatter(
        &mut self,
        op: &Scatter,
        x: &Lowered,
        indices: &Lowered,
        updates: &Lowered,
    ) -> FormResult<Lowered> {
        if [x, updates].iter().any(|x| x.shape.contains(&0)) {
            return Ok(x.clone());
        }
        if x.rank() == 0 {
            return Err("ONNX does not scatter into a scalar; give it an axis of size 1".into());
        }
        if op.index_map.is_empty() {
            let op = Scatter { index_map: vec![0], ..op.clone() };
            let zeros = self.zero_indices(indices);
            return self.scatter(&op, x, &zeros, updates);
        }
        let reduction = self.reduction_of(op.kind, x.wire.ty.dtype)?;
        let gather = op.to_gather(x.rank(), &updates.ty());
        let (full, indices, updates) = (self.full(x), self.full(indices), self.full(updates));
        let dtype = full.ty.dtype;
        let by = match (op.kind, dtype) {
            (ScatterKind::Set, _) => carrier("ScatterND", dtype, self.opset)?,
            (_, DType::Bool) => DType::I32,
            _ => carrier("Add", dtype, self.opset)?,
        };
        let (full, updates) = (self.cast(&full, by), self.cast(&updates, by));
        let y = self.scattered(op, &gather, &full, &indices, &updates, reduction)?;
        Ok(Lowered::of(self.cast(&y, dtype)))
    }

    /// Returns the name of a reduction of `ScatterND`; `None` for replacement.
    fn reduction_of(&self, kind: ScatterKind, dtype: DType) -> FormResult<Option<&'static str>> {
        let (name, since) = match (kind, dtype) {
            (ScatterKind::Set, _) => return Ok(None),
            // Bools are counted: the or is a maximum, the and a minimum.
            (ScatterKind::Add, DType::Bool) => ("max", 18),
            (ScatterKind::Mul, DType::Bool) => ("min", 18),
            (ScatterKind::Add, _) => ("add", 16),
            (ScatterKind::Mul, _) => ("mul", 16),
            (ScatterKind::Max, _) => ("max", 18),
            (ScatterKind::Min, _) => ("min", 18),
        };
        match self.opset >= since {
            true => Ok(Some(name)),
            false => Err(format!(
                "the reduction `{name}` of ScatterND needs opset {since}, got {}",
                self.opset
            )),
        }
    }

    fn scattered(
        &mut self,
        op: &Scatter,
        gather: &Gather,
        x: &Wire,
        indices: &Wire,
        updates: &Wire,
        reduction: Option<&'static str>,
    ) -> FormResult<Wire> {
        let rest =
            (0..x.ty.rank()).filter(|a| !op.operand_batch.contains(a) && !op.index_map.contains(a));
        let rest: Vec<usize> = rest.collect();
        let limits: Vec<usize> =
            op.index_map.iter().map(|&a| x.ty.shape[a] - gather.sizes[a]).collect();
        let drops = op.mode == OutOfBounds::Drop;
        let vectors = self.index_vectors(indices, &limits, drops)?;
        let windows: Vec<usize> = op.index_map.iter().map(|&a| gather.sizes[a]).collect();
        let starts = self.batch_first(&vectors.starts, &op.indices_batch)?;
        let mut all = self.with_windows(&starts, &windows)?;
        let batch = starts.ty.rank() - 1;
        if let Some(inside) = &vectors.inside {
            let others = (0..inside.ty.rank()).filter(|a| !op.indices_batch.contains(a));
            let order: Vec<usize> = op.indices_batch.iter().copied().chain(others).collect();
            let inside = self.permuted(inside, &order)?;
            all = self.outside_last(&all, &inside, x.ty.shape[op.index_map[0]])?;
        }
        // An axis that is neither indexed nor whole is indexed from 0.
        let cut: Vec<usize> =
            rest.iter().copied().filter(|&a| gather.sizes[a] != x.ty.shape[a]).collect();
        let whole: Vec<usize> = rest.iter().copied().filter(|a| !cut.contains(a)).collect();
        let b = op.operand_batch.len();
        let axes: Vec<usize> = [&op.operand_batch[..], &op.index_map, &cut].concat();
        let all = self.with_batch_and_cut(
            &all,
            b,
            &cut.iter().map(|&a| gather.sizes[a]).collect::<Vec<_>>(),
        )?;
        let order: Vec<usize> = [&axes[..], &whole].concat();
        let moved = self.permuted(x, &order)?;
        let moved = match drops {
            true => self.with_spare(&moved, b)?,
            false => moved,
        };
        let updates = self.ordered_updates(op, gather, updates, batch, &cut, &whole)?;
        let attributes = reduction.map(|name| AttributeProto::of_string("reduction", name));
        let ty = moved.ty.clone();
        let y = self.node_with(
            "ScatterND",
            &[&moved, &all, &updates],
            ty,
            attributes.into_iter().collect(),
        );
        let y = match drops {
            true => {
                let mut shape = y.ty.shape.clone();
                shape[b] -= 1;
                self.sliced(&y, &[SliceRange { axis: b, start: 0, end: -1, step: 1 }], shape)?
            }
            false => y,
        };
        let mut back = vec![0; order.len()];
        order.iter().enumerate().for_each(|(i, &a)| back[a] = i);
        self.permuted(&y, &back)
    }

    /// Emits index vectors whose first entry is `n` where they are not inside.
    fn outside_last(&mut self, all: &Wire, inside: &Wire, n: usize) -> FormResult<Wire> {
        let k = all.ty.shape[all.ty.rank() - 1];
        let mut spare = vec![0; k];
        spare[0] = n as i64;
        let spare = self.ints(&spare);
        let units = vec![1; all.ty.rank() - inside.ty.rank()];
        let inside = self.reshaped(inside, &[&inside.ty.shape[..], &units].concat().into())?;
        Ok(self.node("Where", &[&inside, all, &spare], all.ty.clone()))
    }

    /// Emits index vectors with the `b` leading axes as entries in front, and one entry for each
    /// element of axes of the sizes `cut` behind, which become axes in front of the last.
    fn with_batch_and_cut(&mut self, all: &Wire, b: usize, cut: &[usize]) -> FormResult<Wire> {
        if b == 0 && cut.is_empty() {
            return Ok(all.clone());
        }
        let rank = all.ty.rank();
        let (rows, k) = (all.ty.shape[..rank - 1].to_vec(), all.ty.shape[rank - 1]);
        let full: Vec<usize> = [&rows[..], cut].concat();
        let shape = [&rows[..], &vec![1; cut.len()], &[k]].concat();
        let all = self.reshaped(all, &shape.into())?;
        let mut parts = vec![];
        for axis in 0..b {
            parts.push(self.coordinate(axis, &full)?);
        }
        let shape: Shape = [&full[..], &[k]].concat().into();
        parts.push(self.full(&Lowered { wire: all, shape }));
        for i in 0..cut.len() {
            parts.push(self.coordinate(rows.len() + i, &full)?);
        }
        let parts: Vec<&Wire> = parts.iter().collect();
        self.concat(&parts, full.len())
    }

    /// Emits the index along `axis` of each element of an array of sizes `full`, with a new last
    /// axis.
    fn coordinate(&mut self, axis: usize, full: &[usize]) -> FormResult<Wire> {
        let range = self.range(full[axis]);
        let mut units = vec![1; full.len() - axis + 1];
        units[0] = full[axis];
        let range = self.reshaped(&range, &units.into())?;
        let shape: Shape = [full, &[1]].concat().into();
        Ok(self.full(&Lowered { wire: range, shape }))
    }

    /// Emits `x` with one more element behind the end of an axis.
    fn with_spare(&mut self, x: &Wire, axis: usize) -> FormResult<Wire> {
        let mut high = vec![0; x.ty.rank()];
        high[axis] = 1;
        let zero = self.scalar(x.ty.dtype, 0.0);
        self.padded(x, &zero, &vec![0; x.ty.rank()], &high)
    }

    /// Emits the updates in the order of the index vectors: batch axes, windows along the indexed
    /// axes, along cut ones, and the whole axes.
    fn ordered_updates(
        &mut self,
        op: &Scatter,
        gather: &Gather,
        updates: &Wire,
        batch: usize,
        cut: &[usize],
        whole: &[usize],
    ) -> FormResult<Wire> {
        let rank = updates.ty.rank();
        let outer: Vec<usize> = (0..rank).filter(|a| !op.window_dims.contains(a)).collect();
        let others = (0..batch).filter(|a| !op.indices_batch.contains(a));
        let first = op.indices_batch.iter().copied().chain(others).map(|i| outer[i]);
        let kept = gather.kept(gather.sizes.len());
        let axes: Vec<usize> = [&op.index_map[..], cut, whole].concat();
        let at = |a: &usize| kept.iter().position(|k| k == a).map(|i| op.window_dims[i]);
        let order: Vec<usize> = first.chain(axes.iter().filter_map(at)).collect();
        let moved = self.permuted(updates, &order)?;
        // Axes that windows do not have are axes of size 1 of the index vectors.
        let sizes = axes.iter().map(|&a| gather.sizes[a]);
        let shape: Shape = moved.ty.shape[..batch].iter().copied().chain(sizes).collect();
        self.reshaped(&moved, &shape)
    }

    /// Emits `x` with a window at a runtime index replaced.
    pub(super) fn dynamic_update(
        &mut self,
        x: &Lowered,
        update: &Lowered,
        start: &Lowered,
    ) -> FormResult<Lowered> {
        if update.shape.contains(&0) {
            return Ok(x.clone());
        }
        let axes: Vec<usize> = (0..x.rank()).filter(|&a| update.shape[a] != x.shape[a]).collect();
        if axes.is_empty() {
            return Ok(update.clone());
        }
        let (x, update) = (self.full(x), self.full(update));
        let start = self.window_start(&x, start, &axes, &update.ty.shape)?;
        if let [axis] = axes[..] {
            return Ok(Lowered::of(self.replaced_range(&x, &update, &start, axis)?));
        }
        // The window is one of a scatter with a single index vector.
        let whole: Vec<usize> = (0..x.ty.rank()).filter(|a| !axes.contains(a)).collect();
        let order: Vec<usize> = [&axes[..], &whole].concat();
        let (moved, update) = (self.permuted(&x, &order)?, self.permuted(&update, &order)?);
        let windows = update.ty.shape[..axes.len()].to_vec();
        let indices = self.with_windows(&start, &windows)?;
        let by = carrier("ScatterND", moved.ty.dtype, self.opset)?;
        let (wide, update) = (self.cast(&moved, by), self.cast(&update, by));
        let y = self.node("ScatterND", &[&wide, &indices, &update], wide.ty.clone());
        let y = self.cast(&y, x.ty.dtype);
        let mut back = vec![0; order.len()];
        order.iter().enumerate().for_each(|(i, &a)| back[a] = i);
        Ok(Lowered::of(self.permuted(&y, &back)?))
    }

    /// Emits `x` with the range of an axis that begins at `start` replaced: what is in front of it,
    /// the update, and what is behind it. The sizes of the two ranges depend on the start, the size
    /// of the result does not.
    fn replaced_range(
        &mut self,
        x: &Wire,
        update: &Wire,
        start: &Wire,
        axis: usize,
    ) -> FormResult<Wire> {
        let size = self.ints(&ints_of(&update.ty.shape[axis..=axis]));
        let end = self.node("Add", &[start, &size], start.ty.clone());
        let (zero, last) = (self.ints(&[0]), self.ints(&[i64::MAX]));
        let axes = self.ints(&[axis as i64]);
        // No size that the solver of sizes could use.
        let mut shape = x.ty.shape.clone();
        shape[axis] = 0;
        let front = self.compute("Slice", &[x], &[&zero, start, &axes], vec![], shape.clone())?;
        let back = self.compute("Slice", &[x], &[&end, &last, &axes], vec![], shape)?;
        let attributes = vec![AttributeProto::of_int("axis", axis as i64)];
        let ty = x.ty.shape.clone();
        self.compute("Concat", &[&front, update, &back], &[], attributes, ty)
    }
}
