//! Named composites: their operator, where the opset has it, else the nodes of their body.

use super::draft::{DraftBody, Lowered, Wire};
use super::elementwise::is_narrow;
use super::emitter::{Emitter, FormResult};
use super::support::takes;
use crate::dtype::number_of;
use crate::proto::AttributeProto;
use neurax_ir::composite::{
    BatchNormInference, Composite, Cumulative, CumulativeKind, DotProductAttention, Gelu,
    LayerNormalization, LogSumExp, RmsNormalization,
};
use neurax_ir::op::{Binary, ReduceKind};
use neurax_ir::{DType, Literal, Type};
use std::f64::consts::SQRT_2;

/// Returns true if `opset` has an operator for a composite that is found in the steps of a
/// function. Written as the nodes of its body, it could be longer than these steps.
pub(super) fn has_operator(op: &Composite, opset: i64) -> bool {
    let has = |op: &str| takes(op, DType::F32, opset);
    match op {
        Composite::Softmax(_) | Composite::LogSoftmax(_) | Composite::LogSumExp(_) => true,
        Composite::Gelu(c) => has("Gelu") || !c.approximate,
        Composite::Silu(_) => has("Swish"),
        Composite::LayerNormalization(_) => has("LayerNormalization"),
        Composite::RmsNormalization(_) => has("RMSNormalization"),
        Composite::DotProductAttention(c) => !c.mask && !c.bias && has("Attention"),
        _ => false,
    }
}

impl Emitter {
    /// Emits a composite.
    pub(super) fn composite(
        &mut self,
        op: &Composite,
        xs: &[Lowered],
        types: &[Type],
    ) -> FormResult<Vec<Lowered>> {
        let found = match op {
            Composite::Softmax(c) => self.along_axis("Softmax", &xs[0], c.axis)?,
            Composite::LogSoftmax(c) => self.along_axis("LogSoftmax", &xs[0], c.axis)?,
            Composite::LogSumExp(c) => self.logsumexp(c, &xs[0])?,
            Composite::LogAddExp(_) => self.softplus(xs)?,
            Composite::Gelu(c) => self.gelu(c, &xs[0])?,
            Composite::Silu(_) => match self.has("Swish", &xs[0]) {
                true => Some(self.elementwise("Swish", &[&xs[0]])?),
                false => None,
            },
            Composite::LayerNormalization(c) => self.layer_norm(c, xs)?,
            Composite::RmsNormalization(c) => self.rms_norm(c, xs)?,
            Composite::BatchNormInference(c) => self.batch_norm(c, xs)?,
            Composite::DotProductAttention(c) => self.attention(c, xs, &types[0])?,
            Composite::Cumulative(c) => self.cumulative(c, &xs[0])?,
            Composite::LinearSolve(c) => return Ok(self.graph(&c.solve, xs.to_vec())),
            Composite::Hypot(_)
            | Composite::CrossEntropy(_)
            | Composite::SparseCrossEntropy(_)
            | Composite::BatchNormTraining(_)
            | Composite::CustomFunction(_)
            | Composite::SparseDot(_)
            | Composite::ChannelsLastConvolution(_)
            | Composite::QuantizedDot(_) => None,
        };
        match found {
            Some(y) => Ok(vec![y]),
            None => {
                let types: Vec<Type> = xs.iter().map(Lowered::ty).collect();
                let body = op.graph(&types).map_err(|e| e.to_string())?;
                Ok(self.graph(&body, xs.to_vec()))
            }
        }
    }

    /// Returns true if the opset has `op` for the dtype of `x`.
    fn has(&self, op: &str, x: &Lowered) -> bool {
        takes(op, x.wire.ty.dtype, self.opset)
    }

    fn along_axis(
        &mut self,
        op: &'static str,
        x: &Lowered,
        axis: usize,
    ) -> FormResult<Option<Lowered>> {
        let wire = self.full(x);
        let axis = vec![AttributeProto::of_int("axis", axis as i64)];
        let y = self.compute(op, &[&wire], &[], axis, x.shape.clone())?;
        Ok(Some(Lowered::of(y)))
    }

    fn logsumexp(&mut self, c: &LogSumExp, x: &Lowered) -> FormResult<Option<Lowered>> {
        if x.shape[c.axis] == 0 {
            return Ok(None);
        }
        let wire = self.full(x);
        Ok(Some(Lowered::of(self.reduced("ReduceLogSumExp", &wire, &[c.axis])?)))
    }

    /// Emits `log(e^x + e^0)`.
    fn softplus(&mut self, xs: &[Lowered]) -> FormResult<Option<Lowered>> {
        for (x, zero) in [(&xs[0], &xs[1]), (&xs[1], &xs[0])] {
            if self.number_of(&zero.wire) == Some(0.0) && self.has("Softplus", x) {
                return self.elementwise("Softplus", &[x]).map(Some);
            }
        }
        Ok(None)
    }

    /// Emits `Gelu`, or the nodes that exporters write for it, which runtimes recognize.
    fn gelu(&mut self, c: &Gelu, x: &Lowered) -> FormResult<Option<Lowered>> {
        if self.has("Gelu", x) {
            let kind = c.approximate.then(|| AttributeProto::of_string("approximate", "tanh"));
            return self.elementwise_with("Gelu", &[x], kind.into_iter().collect()).map(Some);
        }
        if c.approximate || !self.has("Erf", x) {
            return Ok(None);
        }
        let scaled = self.with_number("Div", x, SQRT_2)?;
        let erf = self.elementwise("Erf", &[&scaled])?;
        let sum = self.with_number("Add", &erf, 1.0)?;
        let product = self.elementwise("Mul", &[x, &sum])?;
        self.with_number("Mul", &product, 0.5).map(Some)
    }

    fn layer_norm(
        &mut self,
        c: &LayerNormalization,
        xs: &[Lowered],
    ) -> FormResult<Option<Lowered>> {
        let x = &xs[0];
        let scale = if c.scale { xs.get(1) } else { None };
        let bias = if c.bias { xs.get(1 + usize::from(c.scale)) } else { None };
        if !self.has("LayerNormalization", x) || !self.are_row_weights(x, &xs[1..]) {
            return Ok(None);
        }
        let inputs = self.row_operands(x, scale, bias)?;
        let mut attributes = row_attributes(c.epsilon.get());
        attributes.extend(wide_sums(x.wire.ty.dtype));
        let inputs: Vec<&Wire> = inputs.iter().collect();
        let y = self.node_with("LayerNormalization", &inputs, x.ty(), attributes);
        Ok(Some(Lowered::of(y)))
    }

    fn rms_norm(&mut self, c: &RmsNormalization, xs: &[Lowered]) -> FormResult<Option<Lowered>> {
        let x = &xs[0];
        if !self.has("RMSNormalization", x) || !self.are_row_weights(x, &xs[1..]) {
            return Ok(None);
        }
        let inputs = self.row_operands(x, if c.scale { xs.get(1) } else { None }, None)?;
        let mut attributes = row_attributes(c.epsilon.get());
        attributes.extend(wide_sums(x.wire.ty.dtype));
        let inputs: Vec<&Wire> = inputs.iter().collect();
        let y = self.node_with("RMSNormalization", &inputs, x.ty(), attributes);
        Ok(Some(Lowered::of(y)))
    }

    /// Returns true if `weights` are vectors for the last axis of `x`, in its dtype.
    fn are_row_weights(&self, x: &Lowered, weights: &[Lowered]) -> bool {
        let fits = |w: &Lowered| w.rank() == 1 && w.wire.ty.dtype == x.wire.ty.dtype;
        x.rank() > 0 && !x.shape.contains(&0) && weights.iter().all(fits)
    }

    /// Returns the operands of a normalization of rows; without a scale, it is one.
    fn row_operands(
        &mut self,
        x: &Lowered,
        scale: Option<&Lowered>,
        bias: Option<&Lowered>,
    ) -> FormResult<Vec<Wire>> {
        let n = x.shape[x.rank() - 1];
        let scale = match scale {
            Some(scale) => self.full(scale),
            None => {
                let ones = Literal::from_f64s(x.wire.ty.dtype, [n], &vec![1.0; n]);
                self.literal(ones)
            }
        };
        let mut all = vec![self.full(x), scale];
        if let Some(bias) = bias {
            all.push(self.full(bias));
        }
        Ok(all)
    }

    fn batch_norm(
        &mut self,
        c: &BatchNormInference,
        xs: &[Lowered],
    ) -> FormResult<Option<Lowered>> {
        let x = &xs[0];
        let same = |w: &Lowered| w.wire.ty.dtype == x.wire.ty.dtype;
        let fits = c.axis == 1 && c.batch == 0 && !x.shape.contains(&0) && xs.iter().all(same);
        if !fits || !self.has("BatchNormalization", x) {
            return Ok(None);
        }
        let inputs: Vec<Wire> = xs.iter().map(|x| self.full(x)).collect();
        let inputs: Vec<&Wire> = inputs.iter().collect();
        let epsilon = vec![AttributeProto::of_float("epsilon", c.epsilon.get() as f32)];
        let y = self.node_with("BatchNormalization", &inputs, x.ty(), epsilon);
        Ok(Some(Lowered::of(y)))
    }

    /// Emits `Attention` without mask and bias, whose rows without keys it defines differently.
    fn attention(
        &mut self,
        c: &DotProductAttention,
        xs: &[Lowered],
        ty: &Type,
    ) -> FormResult<Option<Lowered>> {
        let is_plain = !c.mask && !c.bias && c.dropout.is_none() && c.before.is_none();
        let is_known = is_plain && matches!(c.after, None | Some(0)) && xs[0].rank() == 4;
        let is_empty = xs.iter().any(|x| x.shape.contains(&0));
        if !is_known || is_empty || !self.has("Attention", &xs[0]) {
            return Ok(None);
        }
        // `[batch, length, heads, depth]` becomes `[batch, heads, length, depth]`.
        const HEADS_FIRST: [usize; 4] = [0, 2, 1, 3];
        let mut inputs = vec![];
        for x in &xs[..3] {
            inputs.push(self.transposed(x, &HEADS_FIRST)?);
        }
        let inputs: Vec<Wire> = inputs.iter().map(|x| self.full(x)).collect();
        let mut attributes = vec![AttributeProto::of_float("scale", c.scale.get() as f32)];
        if c.after == Some(0) {
            attributes.push(AttributeProto::of_int("is_causal", 1));
        }
        if let Some(cap) = c.soft_cap {
            attributes.push(AttributeProto::of_float("softcap", cap.get() as f32));
        }
        let [b, t, h, d] = [ty.shape[0], ty.shape[1], ty.shape[2], ty.shape[3]];
        let inputs: Vec<&Wire> = inputs.iter().collect();
        let y = self.node_with("Attention", &inputs, ty.with_shape([b, h, t, d]), attributes);
        Ok(Some(Lowered::of(self.permuted(&y, &HEADS_FIRST)?)))
    }

    /// Emits a cumulative function: `CumSum`, `CumProd`, or a `Scan` along the axis.
    fn cumulative(&mut self, c: &Cumulative, x: &Lowered) -> FormResult<Option<Lowered>> {
        let dtype = x.wire.ty.dtype;
        let is_bool = dtype == DType::Bool;
        let kind = match c.kind {
            _ if x.shape.contains(&0) => return Ok(Some(x.clone())),
            CumulativeKind::LogSumExp => return Ok(None),
            CumulativeKind::Sum if !is_bool => {
                let wire = self.full(x);
                let y = self.cumulative_op("CumSum", &wire, c.axis, c.reverse)?;
                return Ok(Some(Lowered::of(y)));
            }
            CumulativeKind::Prod if !is_bool && self.has("CumProd", x) => {
                let wire = self.full(x);
                let y = self.cumulative_op("CumProd", &wire, c.axis, c.reverse)?;
                return Ok(Some(Lowered::of(y)));
            }
            CumulativeKind::Sum => ReduceKind::Sum,
            CumulativeKind::Prod => ReduceKind::Prod,
            CumulativeKind::Max => ReduceKind::Max,
            CumulativeKind::Min => ReduceKind::Min,
        };
        if is_narrow(dtype) {
            let wide = self.convert(x, DType::F32);
            let y = self.cumulative_scan(kind, c, &wide)?;
            return Ok(Some(self.convert(&y, dtype)));
        }
        self.cumulative_scan(kind, c, x).map(Some)
    }

    fn cumulative_scan(
        &mut self,
        kind: ReduceKind,
        c: &Cumulative,
        x: &Lowered,
    ) -> FormResult<Lowered> {
        let wire = self.full(x);
        let row = wire.ty.with_shape(wire.ty.shape.removed(c.axis));
        let start = self.identity_of(kind, row.dtype);
        let start = self.full(&Lowered { wire: start, shape: row.shape.clone() });
        let inputs =
            vec![self.wire("carried", row.clone()), self.wire("scan_element", row.clone())];
        let [total, element] = [&inputs[0], &inputs[1]].map(|x| Lowered::of(x.clone()));
        let combine: Binary = kind.binary();
        let body: DraftBody = self.body(inputs, |e| {
            let next = e.binary(combine, &total, &element)?.wire;
            Ok(vec![next.clone(), next])
        })?;
        let axis = c.axis as i64;
        let mut attributes = vec![
            AttributeProto::of_int("num_scan_inputs", 1),
            AttributeProto::of_ints("scan_input_axes", [axis]),
            AttributeProto::of_ints("scan_output_axes", [axis]),
        ];
        if c.reverse {
            attributes.push(AttributeProto::of_ints("scan_input_directions", [1]));
            attributes.push(AttributeProto::of_ints("scan_output_directions", [1]));
        }
        let outputs = vec![self.wire("Scan", row), self.wire("Scan", wire.ty.clone())];
        let operands = [&start, &wire];
        let ys =
            self.push_with_bodies("Scan", &operands, outputs, attributes, vec![("body", body)]);
        Ok(Lowered::of(ys[1].clone()))
    }
}

/// Returns the attributes of a normalization of the last axis.
fn row_attributes(epsilon: f64) -> Vec<AttributeProto> {
    vec![AttributeProto::of_int("axis", -1), AttributeProto::of_float("epsilon", epsilon as f32)]
}

/// Returns the attribute of sums in f64 for operands of f64; other sums are in f32.
fn wide_sums(dtype: DType) -> Option<AttributeProto> {
    let number = number_of(dtype).filter(|_| dtype == DType::F64)?;
    Some(AttributeProto::of_int("stash_type", number.into()))
}
