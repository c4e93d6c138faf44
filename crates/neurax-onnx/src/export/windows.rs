//! Reductions of sliding windows.
//!
//! Pools of ONNX slide over all axes but the first two. Windows over exactly these are a pool;
//! a sum is the mean times the number of taps. All other windows are boxes, so that the axes are
//! reduced one after the other: the strided slices of all taps are combined.

use super::draft::{Lowered, Wire};
use super::emitter::{Emitter, FormResult, ints_of};
use super::movement::SliceRange;
use super::support::takes;
use crate::proto::AttributeProto;
use neurax_ir::Shape;
use neurax_ir::op::{Pad, ReduceKind, ReduceWindow, Slide};

/// The number of taps along an axis up to which windows are reduced tap by tap.
const MAX_TAPS: usize = 1024;

impl Emitter {
    /// Emits a reduction of windows.
    pub(super) fn reduce_window(
        &mut self,
        op: &ReduceWindow,
        x: &Lowered,
        shape: &Shape,
    ) -> FormResult<Lowered> {
        let dtype = x.wire.ty.dtype;
        let identity = self.identity_of(op.kind, dtype);
        if shape.contains(&0) || x.shape.contains(&0) {
            return Ok(Lowered { wire: identity, shape: shape.clone() });
        }
        let (wire, rank) = (self.full(x), x.rank());
        let is_single = |a: usize| op.sizes[a] == 1 && op.slides[a] == Slide::default();
        if rank > 2 && is_single(0) && is_single(1) && self.is_pool(op, dtype) {
            return Ok(Lowered::of(self.pool(op, &wire, shape)?));
        }
        let all = |f: fn(&Slide) -> i64| op.slides.iter().map(f).collect::<Vec<i64>>();
        let interior = op.slides.iter().map(|s| s.base_dilation - 1).collect();
        let pad = Pad { low: all(|s| s.low), high: all(|s| s.high), interior };
        let mut y = self.pad(&pad, &Lowered::of(wire), &Lowered::of(identity))?.wire;
        for axis in (0..rank).filter(|&a| !is_single(a)) {
            y = self.reduce_taps(op, &y, axis, shape[axis])?;
        }
        Ok(Lowered::of(y))
    }

    /// Returns true if windows over the space axes are a pool of ONNX.
    fn is_pool(&self, op: &ReduceWindow, dtype: neurax_ir::DType) -> bool {
        let fits = |(s, &taps): (&Slide, &usize)| {
            // Runtimes want windows that reach beyond the padding.
            let within = 0..taps as i64;
            s.base_dilation == 1 && within.contains(&s.low) && within.contains(&s.high)
        };
        let is_plain = op.slides.iter().zip(&op.sizes).skip(2).all(fits);
        let is_dilated = op.slides.iter().any(|s| s.window_dilation > 1);
        match op.kind {
            ReduceKind::Max => is_plain && takes("MaxPool", dtype, self.opset),
            ReduceKind::Sum => {
                let is_known = !is_dilated || self.opset >= 19;
                is_plain && is_known && takes("AveragePool", dtype, self.opset)
            }
            ReduceKind::Prod
            | ReduceKind::Min
            | ReduceKind::And
            | ReduceKind::Or
            | ReduceKind::Xor => false,
        }
    }

    fn pool(&mut self, op: &ReduceWindow, x: &Wire, shape: &Shape) -> FormResult<Wire> {
        let (slides, taps) = (&op.slides[2..], &op.sizes[2..]);
        let sizes = |f: fn(&Slide) -> usize| ints_of(&slides.iter().map(f).collect::<Vec<_>>());
        let pads = slides.iter().map(|s| s.low).chain(slides.iter().map(|s| s.high));
        let mut attributes = vec![
            AttributeProto::of_ints("kernel_shape", ints_of(taps)),
            AttributeProto::of_ints("strides", sizes(|s| s.stride)),
            AttributeProto::of_ints("pads", pads),
        ];
        if slides.iter().any(|s| s.window_dilation > 1) {
            attributes.push(AttributeProto::of_ints("dilations", sizes(|s| s.window_dilation)));
        }
        if op.kind == ReduceKind::Max {
            return self.compute("MaxPool", &[x], &[], attributes, shape.clone());
        }
        attributes.push(AttributeProto::of_int("count_include_pad", 1));
        let mean = self.compute("AveragePool", &[x], &[], attributes, shape.clone())?;
        let count = taps.iter().product::<usize>() as f64;
        Ok(self.with_number("Mul", &Lowered::of(mean), count)?.wire)
    }

    /// Emits the reduction of windows along one axis, without padding.
    fn reduce_taps(
        &mut self,
        op: &ReduceWindow,
        x: &Wire,
        axis: usize,
        count: usize,
    ) -> FormResult<Wire> {
        let (slide, taps) = (&op.slides[axis], op.sizes[axis]);
        if taps > MAX_TAPS {
            return Err(format!("windows of {taps} elements along an axis, of at most {MAX_TAPS}"));
        }
        let mut shape = x.ty.shape.clone();
        shape[axis] = count;
        let mut total: Option<Lowered> = None;
        for tap in 0..taps {
            let start = (tap * slide.window_dilation) as i64;
            let end = start + ((count - 1) * slide.stride) as i64 + 1;
            let range = SliceRange { axis, start, end, step: slide.stride as i64 };
            let part = Lowered::of(self.sliced(x, &[range], shape.clone())?);
            total = Some(match total {
                Some(total) => self.binary(op.kind.binary(), &total, &part)?,
                None => part,
            });
        }
        Ok(total.ok_or("windows without elements")?.wire)
    }
}
