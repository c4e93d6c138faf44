//! Convolutions: `Conv`, and `ConvTranspose` for dilated operands.
//!
//! The layout of the IR is that of ONNX. A convolution of an operand with zeros between its
//! elements, which is the transpose of a strided one, is `ConvTranspose` of the kernel with
//! reversed taps and exchanged features, which is how the layer was made; the two reversals cancel
//! (see `cleanup.rs`).

use super::draft::{Lowered, Wire};
use super::emitter::{Emitter, FormResult, ints_of};
use super::movement::SliceRange;
use crate::proto::AttributeProto;
use neurax_ir::op::{Convolution, Pad, Slide};
use neurax_ir::{DType, Shape, Type};

impl Emitter {
    /// Emits a convolution.
    pub(super) fn convolution(
        &mut self,
        op: &Convolution,
        x: &Lowered,
        w: &Lowered,
        ty: &Type,
    ) -> FormResult<Lowered> {
        let operands = [x, w].map(|x| self.full(x));
        if ty.size() == 0 || operands.iter().any(|x| x.ty.size() == 0) {
            let zero = self.scalar(op.dtype, 0.0);
            return Ok(Lowered { wire: zero, shape: ty.shape.clone() });
        }
        let by = self.convolved_dtype(op.dtype, &operands)?;
        let [x, w] = operands.map(|x| self.cast(&x, by));
        let y = match op.slides.is_empty() {
            true => self.without_space(op, &x, &w, ty)?,
            false => self.convolved(op, &x, &w, &ty.shape)?,
        };
        // Sums of integers that were computed as floats wrap as integers do.
        let is_int = op.dtype.is_int() && !y.ty.dtype.is_int();
        let y = if is_int { self.cast(&y, DType::I64) } else { y };
        Ok(Lowered::of(self.cast(&y, op.dtype)))
    }

    /// Returns the dtype in which a convolution is computed: for integers of up to 16 bits f64,
    /// which holds their sums.
    fn convolved_dtype(&self, dtype: DType, xs: &[Wire]) -> FormResult<DType> {
        if dtype.is_float() || dtype.is_storage() {
            return Ok(dtype);
        }
        match xs.iter().all(|x| x.ty.dtype.bits() <= 16) {
            true => Ok(DType::F64),
            false => Err(format!(
                "ONNX convolves floats, and integers of up to 16 bits, got {}; convert to f64",
                xs[0].ty.dtype
            )),
        }
    }

    /// Emits a convolution without space axes: with one of size 1.
    fn without_space(
        &mut self,
        op: &Convolution,
        x: &Wire,
        w: &Wire,
        ty: &Type,
    ) -> FormResult<Wire> {
        let [x, w] = [x, w].map(|x| self.reshaped(x, &x.ty.shape.inserted(2, 1)));
        let op = Convolution { slides: vec![Slide::default()], ..op.clone() };
        let y = self.convolved(&op, &x?, &w?, &ty.shape.inserted(2, 1))?;
        self.reshaped(&y, &ty.shape)
    }

    fn convolved(
        &mut self,
        op: &Convolution,
        x: &Wire,
        w: &Wire,
        shape: &Shape,
    ) -> FormResult<Wire> {
        let is_dilated = op.slides.iter().any(|s| s.base_dilation > 1);
        if is_dilated && let Some(y) = self.conv_transpose(op, x, w, shape)? {
            return Ok(y);
        }
        let (x, slides) = self.plain_slides(x, &op.slides)?;
        let pads = slides.iter().map(|s| s.low).chain(slides.iter().map(|s| s.high));
        let mut attributes =
            vec![AttributeProto::of_ints("kernel_shape", ints_of(&w.ty.shape[2..]))];
        let sizes = |f: fn(&Slide) -> usize| ints_of(&slides.iter().map(f).collect::<Vec<_>>());
        attributes.push(AttributeProto::of_ints("strides", sizes(|s| s.stride)));
        attributes.push(AttributeProto::of_ints("pads", pads));
        attributes.push(AttributeProto::of_ints("dilations", sizes(|s| s.window_dilation)));
        attributes.push(AttributeProto::of_int("group", op.groups as i64));
        self.compute("Conv", &[&x, w], &[], attributes, shape.clone())
    }

    /// Emits the dilation and the crops that an operand has before windows slide over it. Returns
    /// the operand and what is left of the slides.
    fn plain_slides(&mut self, x: &Wire, slides: &[Slide]) -> FormResult<(Wire, Vec<Slide>)> {
        let is_plain = |s: &Slide| s.base_dilation == 1 && s.low >= 0 && s.high >= 0;
        if slides.iter().all(is_plain) {
            return Ok((x.clone(), slides.to_vec()));
        }
        let all = |f: fn(&Slide) -> i64| -> Vec<i64> {
            [0, 0].into_iter().chain(slides.iter().map(f)).collect()
        };
        let interior = [0, 0].into_iter().chain(slides.iter().map(|s| s.base_dilation - 1));
        let op = Pad { low: all(|s| s.low), high: all(|s| s.high), interior: interior.collect() };
        let zero = Lowered::of(self.scalar(x.ty.dtype, 0.0));
        let x = self.pad(&op, &Lowered::of(x.clone()), &zero)?.wire;
        let rest = |s: &Slide| Slide { low: 0, high: 0, base_dilation: 1, ..*s };
        Ok((x, slides.iter().map(rest).collect()))
    }

    /// Emits `ConvTranspose`, if the windows have stride 1 and the padding is that of one.
    fn conv_transpose(
        &mut self,
        op: &Convolution,
        x: &Wire,
        w: &Wire,
        shape: &Shape,
    ) -> FormResult<Option<Wire>> {
        let mut pads: [Vec<i64>; 2] = [vec![], vec![]];
        let mut extra = vec![];
        for (s, &taps) in op.slides.iter().zip(&w.ty.shape[2..]) {
            let reach = (s.window_dilation * (taps - 1)) as i64;
            let (low, high) = (reach - s.low, reach - s.high);
            // Negative amounts at the end are additional results.
            if s.stride != 1 || low < 0 || high <= -(s.base_dilation as i64) {
                return Ok(None);
            }
            pads[0].push(low);
            pads[1].push(high.max(0));
            extra.push((-high).max(0));
        }
        let kernel = self.transposed_kernel(op, w)?;
        let sizes = |f: fn(&Slide) -> usize| ints_of(&op.slides.iter().map(f).collect::<Vec<_>>());
        let mut attributes =
            vec![AttributeProto::of_ints("kernel_shape", ints_of(&w.ty.shape[2..]))];
        attributes.push(AttributeProto::of_ints("strides", sizes(|s| s.base_dilation)));
        attributes.push(AttributeProto::of_ints("pads", pads.concat()));
        attributes.push(AttributeProto::of_ints("dilations", sizes(|s| s.window_dilation)));
        if extra.iter().any(|&n| n > 0) {
            attributes.push(AttributeProto::of_ints("output_padding", extra));
        }
        attributes.push(AttributeProto::of_int("group", op.groups as i64));
        self.compute("ConvTranspose", &[x, &kernel], &[], attributes, shape.clone()).map(Some)
    }

    /// Emits the kernel of `ConvTranspose`: features of the operand first, taps reversed. Each
    /// group has its features.
    fn transposed_kernel(&mut self, op: &Convolution, w: &Wire) -> FormResult<Wire> {
        let range = |i: usize| SliceRange { axis: i + 2, start: -1, end: i64::MIN + 1, step: -1 };
        let ranges: Vec<SliceRange> = (0..op.slides.len()).map(range).collect();
        let w = self.sliced(w, &ranges, w.ty.shape.clone())?;
        let (results, of_group) = (w.ty.shape[0], w.ty.shape[1]);
        let space: Vec<usize> = w.ty.shape[2..].to_vec();
        if op.groups == 1 {
            let order: Vec<usize> = [1, 0].into_iter().chain(2..w.ty.rank()).collect();
            return self.permuted(&w, &order);
        }
        let split = [&[op.groups, results / op.groups, of_group], &space[..]].concat();
        let w = self.reshaped(&w, &split.into())?;
        let order: Vec<usize> = [0, 2, 1].into_iter().chain(3..w.ty.rank()).collect();
        let w = self.permuted(&w, &order)?;
        let merged = [&[op.groups * of_group, results / op.groups], &space[..]].concat();
        self.reshaped(&w, &merged.into())
    }
}
