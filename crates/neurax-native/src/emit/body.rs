//! The straight-line body of a stage: instructions on uniform and varying values.

use super::{
    lane_value::{LaneValue, VectorShape, scalar},
    state::{Env, KernelEmitter, LoopPosition},
};
use crate::kernel::{Inst, InstId, InstKind, InstSource, Stride};
use cranelift_codegen::ir::{
    InstBuilder, Value,
    condcodes::{FloatCC, IntCC},
    types::{self, I64},
};
use neurax_ir::{
    DType, Kind,
    op::{Binary, Direction, Unary},
};
use smallvec::SmallVec;

impl KernelEmitter<'_, '_> {
    /// Emits the instructions that depend on the loops so far and on no others.
    pub fn invariants(
        &mut self,
        s: usize,
        position: &LoopPosition,
        depth: &[usize],
        env: &mut Env,
    ) {
        let k = self.k;
        for (i, inst) in k.stages[s].insts.iter().enumerate() {
            if depth[i] == position.counters.len() && !env.has(i) {
                let value = self.inst(s, inst, position, env);
                env.set(i, value);
            }
        }
    }

    /// Emits one instruction.
    fn inst(
        &mut self,
        s: usize,
        inst: &Inst<InstSource>,
        position: &LoopPosition,
        env: &Env,
    ) -> LaneValue {
        let ty = inst.ty;
        let shape = position.shape;
        let from = |x: InstId, e: &Self| e.k.stages[s].insts[x as usize].ty;
        match &inst.op {
            InstKind::Source(InstSource::Load { operand, at }) => {
                let at = at.map(|a| self.get(env, a));
                self.load(*operand as usize, at, position)
            }
            InstKind::Source(InstSource::Index { strides, base }) => {
                self.counter(strides, *base, position, s, ty)
            }
            InstKind::Source(InstSource::Param(p)) => {
                LaneValue::Uniform(self.param_as(*p, scalar(ty)))
            }
            InstKind::Source(InstSource::Accumulator { stage, accumulator }) => {
                self.accumulators[*stage as usize][*accumulator as usize].clone()
            }
            InstKind::Const(bits) => LaneValue::Uniform(self.constant(ty, *bits)),
            InstKind::Convert(x) => {
                let (d, h) = (from(*x, self), self.get(env, *x));
                self.map1(h, |e, v, is_vector| {
                    e.convert(v, d, ty, if is_vector { shape } else { VectorShape::SCALAR })
                })
            }
            InstKind::Bitcast(x) => {
                let h = self.get(env, *x);
                self.map1(h, |e, v, is_vector| {
                    e.bitcast(v, if is_vector { shape.vector(ty) } else { scalar(ty) })
                })
            }
            InstKind::Round(to, x) => {
                let h = self.get(env, *x);
                let to = *to;
                self.map1(h, |e, v, _| e.round(v, to))
            }
            InstKind::Unary(f, x) => {
                let h = self.get(env, *x);
                let f = *f;
                // Bit counts have no vector instruction.
                if matches!(f, Unary::PopulationCount | Unary::CountLeadingZeros) {
                    return self.by_lane(&[h], [ty], ty, shape, |e, v| e.unary(f, v[0], ty));
                }
                self.map1(h, |e, v, _| e.unary(f, v, ty))
            }
            InstKind::Binary(f, x, y) => {
                let hs = [self.get(env, *x), self.get(env, *y)];
                let f = *f;
                if !self.has_vector_form(f, ty, &hs[1]) {
                    return self.by_lane(&hs, [ty, ty], ty, shape, |e, v| {
                        e.binary(f, v[0], v[1], ty, false)
                    });
                }
                if let (true, LaneValue::Uniform(by)) = (is_shift(f), &hs[1]) {
                    let by = *by;
                    return self.map1(hs[0].clone(), |e, v, _| e.shift(f, v, by));
                }
                self.map(&hs, [ty, ty], shape, |e, v, is_vector| {
                    e.binary(f, v[0], v[1], ty, is_vector)
                })
            }
            InstKind::Compare(d, x, y) => {
                let (t, hs) = (from(*x, self), [self.get(env, *x), self.get(env, *y)]);
                let d = *d;
                self.map(&hs, [t, t], shape, |e, v, _| e.compare(d, v[0], v[1], t))
            }
            InstKind::Select(p, x, y) => {
                let hs = [self.get(env, *p), self.get(env, *x), self.get(env, *y)];
                if let [LaneValue::Uniform(p), x @ LaneValue::Varying(_), y]
                | [LaneValue::Uniform(p), x, y @ LaneValue::Varying(_)] = &hs
                {
                    let p = *p;
                    return self.map(&[x.clone(), y.clone()], [ty, ty], shape, |e, v, _| {
                        e.b.ins().select(p, v[0], v[1])
                    });
                }
                self.map(&hs, [DType::Bool, ty, ty], shape, |e, v, is_vector| {
                    if is_vector {
                        e.blend(v[0], v[1], v[2], ty, shape)
                    } else {
                        e.b.ins().select(v[0], v[1], v[2])
                    }
                })
            }
            InstKind::Fma(x, y, z) => {
                let hs = [self.get(env, *x), self.get(env, *y), self.get(env, *z)];
                self.map(&hs, [ty; 3], shape, |e, v, _| e.b.ins().fma(v[0], v[1], v[2]))
            }
            InstKind::Call1(f, x) => {
                let (h, f) = (self.get(env, *x), *f);
                self.by_lane(&[h], [ty], ty, shape, |e, v| e.call1(f, v[0], ty))
            }
            InstKind::Call2(f, x, y) => {
                let (hs, f) = ([self.get(env, *x), self.get(env, *y)], *f);
                self.by_lane(&hs, [ty, ty], ty, shape, |e, v| e.call2(f, v[0], v[1], ty))
            }
            InstKind::Patch(f, p, x, y) => {
                let hs = [self.get(env, *p), self.get(env, *x), self.get(env, *y)];
                let f = *f;
                self.map(&hs, [DType::Bool, ty, ty], shape, |e, v, is_vector| {
                    e.patch(
                        f,
                        v[0],
                        v[1],
                        v[2],
                        ty,
                        if is_vector { shape } else { VectorShape::SCALAR },
                    )
                })
            }
        }
    }

    /// Emits an immediate.
    pub fn constant(&mut self, ty: DType, bits: u64) -> Value {
        match scalar(ty) {
            types::F32 => self.b.ins().f32const(f32::from_bits(bits as u32)),
            types::F64 => self.b.ins().f64const(f64::from_bits(bits)),
            t => self.b.ins().iconst(t, (bits & (!0 >> (64 - t.bits()))) as i64),
        }
    }

    /// Emits an affine function of the loop counters; a ramp if it varies between lanes.
    fn counter(
        &mut self,
        strides: &[Stride],
        base: Option<u16>,
        position: &LoopPosition,
        s: usize,
        ty: DType,
    ) -> LaneValue {
        let mut sum = match base {
            Some(p) => self.param(p),
            None => self.b.ins().iconst(I64, 0),
        };
        let lane = self.k.lane_loop(s);
        let mut step = None;
        for (l, &stride) in strides.iter().enumerate() {
            let by = match stride {
                Stride::Zero => continue,
                Stride::Unit => self.b.ins().iconst(I64, 1),
                Stride::Param(p) => self.param(p),
            };
            let term = self.b.ins().imul(position.counters[l], by);
            sum = self.b.ins().iadd(sum, term);
            if Some(l) == lane && position.shape.width > 1 {
                step = Some(by);
            }
        }
        match step {
            Some(step) => self.ramp(sum, step, position.shape),
            None if ty == DType::I32 => LaneValue::Uniform(self.b.ins().ireduce(types::I32, sum)),
            None => LaneValue::Uniform(sum),
        }
    }

    /// Applies `f` to every register.
    pub fn map1(&mut self, x: LaneValue, f: impl Fn(&mut Self, Value, bool) -> Value) -> LaneValue {
        match x {
            LaneValue::Uniform(v) => LaneValue::Uniform(f(self, v, false)),
            LaneValue::Varying(vs) => {
                LaneValue::Varying(vs.into_iter().map(|v| f(self, v, true)).collect())
            }
        }
    }

    /// Applies `f` to the registers of several values: once if all are uniform.
    pub fn map<const N: usize>(
        &mut self,
        xs: &[LaneValue; N],
        types: [DType; N],
        shape: VectorShape,
        f: impl Fn(&mut Self, [Value; N], bool) -> Value,
    ) -> LaneValue {
        if xs.iter().all(|x| matches!(x, LaneValue::Uniform(_))) {
            let v = std::array::from_fn(|i| xs[i].values()[0]);
            return LaneValue::Uniform(f(self, v, false));
        }
        let all: Vec<SmallVec<[Value; 4]>> =
            xs.iter().zip(types).map(|(x, t)| self.spread_out(x, t, shape)).collect();
        LaneValue::Varying(
            (0..shape.unroll).map(|u| f(self, std::array::from_fn(|i| all[i][u]), true)).collect(),
        )
    }

    /// Applies a function of scalars to every lane.
    fn by_lane<const N: usize>(
        &mut self,
        xs: &[LaneValue; N],
        types: [DType; N],
        ty: DType,
        shape: VectorShape,
        f: impl Fn(&mut Self, [Value; N]) -> Value,
    ) -> LaneValue {
        self.map(xs, types, shape, |e, v, is_vector| {
            if !is_vector {
                return f(e, v);
            }
            let xs = e.lanes(v, types, 0, shape);
            let first = f(e, xs);
            let mut out = e.first_lane(first, ty, shape);
            for lane in 1..shape.width {
                let xs = e.lanes(v, types, lane, shape);
                let y = f(e, xs);
                out = e.insert(out, y, lane, ty, shape);
            }
            out
        })
    }

    /// Extracts lane `lane` of each of several registers.
    fn lanes<const N: usize>(
        &mut self,
        xs: [Value; N],
        types: [DType; N],
        lane: usize,
        shape: VectorShape,
    ) -> [Value; N] {
        std::array::from_fn(|i| self.extract(xs[i], lane, types[i], shape))
    }

    /// Returns a value as vectors; a uniform one is splatted.
    pub fn spread_out(
        &mut self,
        x: &LaneValue,
        ty: DType,
        shape: VectorShape,
    ) -> SmallVec<[Value; 4]> {
        match x {
            LaneValue::Varying(vs) => vs.clone(),
            LaneValue::Uniform(v) => self.splat(*v, ty, shape),
        }
    }

    /// Emits a comparison.
    pub fn compare(&mut self, d: Direction, x: Value, y: Value, ty: DType) -> Value {
        use Direction::*;
        if ty.is_float() {
            let cc = match d {
                Eq => FloatCC::Equal,
                Ne => FloatCC::NotEqual,
                Lt => FloatCC::LessThan,
                Le => FloatCC::LessThanOrEqual,
                // Cranelift knows `x < y ? x : y` and `y < x ? x : y` as one instruction each.
                Gt => return self.b.ins().fcmp(FloatCC::LessThan, y, x),
                Ge => FloatCC::GreaterThanOrEqual,
            };
            return self.b.ins().fcmp(cc, x, y);
        }
        // Mask lanes are signed: true is -1, so the order is reversed.
        let is_mask = ty == DType::Bool && self.b.func.dfg.value_type(x).is_vector();
        let signed = ty.kind() == Kind::Signed;
        let cc = match d {
            Eq => IntCC::Equal,
            Ne => IntCC::NotEqual,
            Lt if is_mask => IntCC::SignedGreaterThan,
            Le if is_mask => IntCC::SignedGreaterThanOrEqual,
            Gt if is_mask => IntCC::SignedLessThan,
            Ge if is_mask => IntCC::SignedLessThanOrEqual,
            Lt if signed => IntCC::SignedLessThan,
            Le if signed => IntCC::SignedLessThanOrEqual,
            Gt if signed => IntCC::SignedGreaterThan,
            Ge if signed => IntCC::SignedGreaterThanOrEqual,
            Lt => IntCC::UnsignedLessThan,
            Le => IntCC::UnsignedLessThanOrEqual,
            Gt => IntCC::UnsignedGreaterThan,
            Ge => IntCC::UnsignedGreaterThanOrEqual,
        };
        self.b.ins().icmp(cc, x, y)
    }

    /// Returns true if a binary function has a vector instruction.
    fn has_vector_form(&self, f: Binary, ty: DType, y: &LaneValue) -> bool {
        match f {
            Binary::Div | Binary::Rem => ty.is_float(),
            Binary::ShiftLeft | Binary::ShiftRightArithmetic | Binary::ShiftRightLogical => {
                matches!(y, LaneValue::Uniform(_))
            }
            Binary::Add
            | Binary::Sub
            | Binary::Mul
            | Binary::Max
            | Binary::Min
            | Binary::And
            | Binary::Or
            | Binary::Xor => true,
            // No instruction at all: `binary` reports it.
            Binary::Pow
            | Binary::Atan2
            | Binary::Complex
            | Binary::NextAfter
            | Binary::Polygamma
            | Binary::Zeta
            | Binary::Igamma
            | Binary::Igammac
            | Binary::IgammaGradA
            | Binary::RandomGammaGrad => false,
        }
    }

    /// Emits a unary function of registers.
    pub fn unary(&mut self, f: Unary, x: Value, ty: DType) -> Value {
        let i = self.b.ins();
        match f {
            Unary::Neg if ty.is_float() => i.fneg(x),
            Unary::Neg => i.ineg(x),
            Unary::Abs => i.fabs(x),
            Unary::Sqrt => i.sqrt(x),
            Unary::Floor => i.floor(x),
            Unary::Ceil => i.ceil(x),
            Unary::RoundEven => i.nearest(x),
            Unary::Not => i.bnot(x),
            Unary::PopulationCount => i.popcnt(x),
            Unary::CountLeadingZeros => i.clz(x),
            f => {
                let t = self.b.func.dfg.value_type(x);
                self.broken(format!("{} has no machine code", f.name()), t)
            }
        }
    }

    /// Emits a binary function of registers.
    pub fn binary(&mut self, f: Binary, x: Value, y: Value, ty: DType, is_vector: bool) -> Value {
        let (float, signed) = (ty.is_float(), ty.kind() == Kind::Signed);
        match f {
            Binary::Max | Binary::Min if float => self.extremum(f, x, y, is_vector),
            Binary::Add if float => self.b.ins().fadd(x, y),
            Binary::Sub if float => self.b.ins().fsub(x, y),
            Binary::Mul if float => self.b.ins().fmul(x, y),
            Binary::Div if float => self.b.ins().fdiv(x, y),
            Binary::Add => self.b.ins().iadd(x, y),
            Binary::Sub => self.b.ins().isub(x, y),
            Binary::Mul => self.b.ins().imul(x, y),
            Binary::Div if signed => self.b.ins().sdiv(x, y),
            Binary::Div => self.b.ins().udiv(x, y),
            Binary::Rem if signed => self.b.ins().srem(x, y),
            Binary::Rem => self.b.ins().urem(x, y),
            Binary::And => self.b.ins().band(x, y),
            Binary::Or => self.b.ins().bor(x, y),
            Binary::Xor => self.b.ins().bxor(x, y),
            f if is_shift(f) => self.shift(f, x, y),
            f => {
                let t = self.b.func.dfg.value_type(x);
                self.broken(format!("{} has no machine code", f.name()), t)
            }
        }
    }

    /// Emits a shift by less than the width.
    fn shift(&mut self, f: Binary, x: Value, by: Value) -> Value {
        match f {
            Binary::ShiftLeft => self.b.ins().ishl(x, by),
            Binary::ShiftRightArithmetic => self.b.ins().sshr(x, by),
            Binary::ShiftRightLogical => self.b.ins().ushr(x, by),
            f => self.broken(format!("{} is not a shift", f.name()), I64),
        }
    }

    /// Emits the maximum or minimum of two floats; NaN wins.
    fn extremum(&mut self, f: Binary, x: Value, y: Value, is_vector: bool) -> Value {
        // The comparison selects y if either is NaN; if x is NaN, x replaces it.
        let (a, b) = if f == Binary::Max { (y, x) } else { (x, y) };
        let first = self.b.ins().fcmp(FloatCC::LessThan, a, b);
        let nan = self.b.ins().fcmp(FloatCC::Unordered, x, x);
        if is_vector {
            let t = self.b.func.dfg.value_type(x);
            let (first, nan) = (self.bitcast(first, t), self.bitcast(nan, t));
            let m = self.b.ins().bitselect(first, x, y);
            return self.b.ins().bitselect(nan, x, m);
        }
        let m = self.b.ins().select(first, x, y);
        self.b.ins().select(nan, x, m)
    }
}

fn is_shift(f: Binary) -> bool {
    matches!(f, Binary::ShiftLeft | Binary::ShiftRightArithmetic | Binary::ShiftRightLogical)
}
