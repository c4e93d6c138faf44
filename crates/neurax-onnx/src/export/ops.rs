//! The table of all ops: the ONNX form of each.

use super::draft::Lowered;
use super::emitter::{Emitter, FormResult};
use neurax_ir::op::{Linear, ReducePrecision, Threefry};
use neurax_ir::{Builder, DType, FloatFormat, Op, Type};

/// The error of an op that exists for derivatives.
const OF_DERIVATIVES: &str = "it is an op of derivatives; export the function itself";

impl Emitter {
    /// Emits the nodes of `op(xs)`, whose results have the given types.
    ///
    /// # Errors
    /// If the op has no ONNX form in this opset.
    pub(super) fn op(
        &mut self,
        op: &Op,
        xs: &[Lowered],
        types: &[Type],
    ) -> FormResult<Vec<Lowered>> {
        match op {
            Op::Unary(f) => one(self.unary(*f, &xs[0])),
            Op::Binary(f) => one(self.binary(*f, &xs[0], &xs[1])),
            Op::Compare(c) => one(self.compare(c.direction, &xs[0], &xs[1])),
            Op::Select(_) => one(self.choice(&xs[0], &xs[1], &xs[2])),
            Op::Clamp(_) => one(self.clamp(&xs[0], &xs[1], &xs[2])),
            Op::IncompleteBeta(_) => Err("ONNX has no such function".into()),
            Op::Convert(c) => one(self.converted(&xs[0], c.dtype)),
            Op::BitcastConvert(c) => one(self.bitcast(&xs[0], c.dtype)),
            Op::ReducePrecision(r) => one(self.reduce_precision(r, &xs[0])),
            Op::Constant(c) => one(Ok(self.constant(&c.value))),
            Op::Iota(i) => one(self.iota(i)),
            Op::Threefry(_) => self.threefry(xs),
            Op::Broadcast(b) => one(self.broadcast(b, &xs[0])),
            Op::Reshape(r) => one(self.reshape(&xs[0], &r.shape)),
            Op::Transpose(t) => one(self.transposed(&xs[0], &t.permutation)),
            Op::Slice(s) => one(self.slice(s, &xs[0])),
            Op::DynamicSlice(s) => one(self.dynamic_slice(s, &xs[0], &xs[1])),
            Op::DynamicUpdateSlice(_) => one(self.dynamic_update(&xs[0], &xs[1], &xs[2])),
            Op::Pad(p) => one(self.pad(p, &xs[0], &xs[1])),
            Op::Concatenate(c) => one(self.concatenated(xs, c.axis)),
            Op::Reverse(r) => one(self.reversed(&xs[0], &r.axes)),
            Op::OptimizationBarrier(_) => Ok(xs.to_vec()),
            Op::Reduce(r) => one(self.reduce(r, &xs[0])),
            Op::ArgReduce(r) => one(self.arg_reduce(r, &xs[0])),
            Op::Sort(s) => self.sort(s, xs),
            Op::DotGeneral(d) => one(self.dot(d, &xs[0], &xs[1])),
            Op::Cholesky(_)
            | Op::Eig(_)
            | Op::Eigh(_)
            | Op::Lu(_)
            | Op::Qr(_)
            | Op::Schur(_)
            | Op::Svd(_)
            | Op::TriangularSolve(_) => {
                Err("ONNX has no factorizations of matrices; compute it outside of the model"
                    .into())
            }
            Op::Convolution(c) => one(self.convolution(c, &xs[0], &xs[1], &types[0])),
            Op::Fft(_) => {
                Err("ONNX has no complex numbers; compute it outside of the model".into())
            }
            Op::ReduceWindow(r) => one(self.reduce_window(r, &xs[0], &types[0].shape)),
            Op::SelectAndGather(_) | Op::SelectAndScatter(_) => Err(OF_DERIVATIVES.into()),
            Op::Gather(g) => one(self.gather(g, &xs[0], &xs[1], &types[0].shape)),
            Op::Scatter(s) => one(self.scatter(s, &xs[0], &xs[1], &xs[2])),
            Op::AllReduce(_) | Op::AxisIndex(_) | Op::AllGather(_) => {
                Err("it needs the named axis of a vmap; export the function with the vmap".into())
            }
            Op::Call(c) => Ok(self.graph(&c.body, xs.to_vec())),
            Op::Cond(c) => self.case(c, xs, types),
            Op::While(w) => self.while_loop(w, xs),
            Op::Scan(s) => self.scan(s, xs, types),
            Op::Checkpoint(c) => Ok(self.graph(&c.body, xs.to_vec())),
            Op::Composite(c) => self.composite(c, xs, types),
            Op::Linear(Linear { forward: Some(f), .. }) => Ok(self.graph(f, xs.to_vec())),
            Op::Linear(_) => Err(OF_DERIVATIVES.into()),
            Op::Custom(c) if c.0.has_effects() => Err(format!(
                "`{}` has effects on the host; remove it from the function",
                c.0.name()
            )),
            Op::Custom(c) => Err(format!("`{}` is computed by code of the host", c.0.name())),
        }
    }

    /// Emits the elements with their bits as another dtype.
    fn bitcast(&mut self, x: &Lowered, dtype: DType) -> FormResult<Lowered> {
        let from = x.wire.ty.dtype;
        // Conversions between integers of one width keep the bits.
        if from == dtype || (from.is_int() && dtype.is_int()) {
            return Ok(self.convert(x, dtype));
        }
        if self.opset < 26 {
            return Err(format!("BitCast of {from} to {dtype} needs opset 26, got {}", self.opset));
        }
        let number = crate::dtype::number_of(dtype).ok_or("a dtype without a number")?;
        let to = vec![crate::proto::AttributeProto::of_int("to", number.into())];
        let wire = self.node_with("BitCast", &[&x.wire], x.wire.ty.with_dtype(dtype), to);
        Ok(Lowered { wire, shape: x.shape.clone() })
    }

    /// Emits the rounding to a format, which is that of a dtype.
    fn reduce_precision(&mut self, op: &ReducePrecision, x: &Lowered) -> FormResult<Lowered> {
        let dtype = x.wire.ty.dtype;
        let bits = |f: &FloatFormat| (f.exponent_bits, f.mantissa_bits);
        let want = (op.exponent_bits, op.mantissa_bits);
        let of = |d: DType| FloatFormat::of(d).map(|f| bits(&f));
        if of(dtype).is_some_and(|(e, m)| want.0 >= e && want.1 >= m) {
            return Ok(x.clone());
        }
        let by = [DType::F16, DType::BF16, DType::F32].into_iter().find(|&d| of(d) == Some(want));
        let by = by.ok_or_else(|| {
            format!("expected the format of f16, bf16 or f32, got {} and {} bits", want.0, want.1)
        })?;
        let rounded = self.convert(x, by);
        Ok(self.convert(&rounded, dtype))
    }

    /// Emits random bits as additions, shifts and exclusive ors.
    fn threefry(&mut self, xs: &[Lowered]) -> FormResult<Vec<Lowered>> {
        let mut b = Builder::new();
        let types: Vec<Type> = xs.iter().map(Lowered::ty).collect();
        let args = b.inputs(&types);
        let ys = Threefry::expanded(&mut b, &args);
        let graph = b.finish(&ys).map_err(|e| e.to_string())?;
        Ok(self.graph(&graph, xs.to_vec()))
    }
}

/// Returns the results of an op with one result.
fn one(y: FormResult<Lowered>) -> FormResult<Vec<Lowered>> {
    y.map(|y| vec![y])
}
