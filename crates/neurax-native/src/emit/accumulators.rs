//! The effects of a stage: stores and accumulators.

use super::{
    lane_value::{LaneValue, VectorShape, scalar},
    state::{Env, KernelEmitter, LoopPosition},
};
use crate::kernel::{Accumulator, Inst, InstId, InstKind, expand::of_bools, first_bits};
use cranelift_codegen::ir::{InstBuilder, Value, types};
use neurax_ir::{
    DType, Kind,
    op::{Binary, Direction, ReduceKind},
};

impl KernelEmitter<'_, '_> {
    /// Returns the accumulators before the first element: identity elements.
    pub fn initial(&mut self, s: usize, position: &LoopPosition) -> Vec<LaneValue> {
        let k = self.k;
        let mut one = |f: &Accumulator| {
            let ty = k.stages[s].insts[f.value as usize].ty;
            let start = match first_bits(&f.kind.identity_element(ty)) {
                Some(bits) => self.constant(ty, bits),
                None => self.broken("a reduction has no identity element", scalar(ty)),
            };
            if position.shape.width == 1 {
                LaneValue::Uniform(start)
            } else {
                LaneValue::Varying(self.splat(start, ty, position.shape))
            }
        };
        k.stages[s].accumulators.iter().map(&mut one).collect()
    }

    /// Returns vector accumulators of identity elements, so that the scalar ones count once.
    pub fn spread(
        &mut self,
        s: usize,
        accumulators: &[LaneValue],
        shape: VectorShape,
    ) -> Vec<LaneValue> {
        let position = LoopPosition { addresses: vec![], counters: vec![], shape };
        if accumulators.is_empty() { vec![] } else { self.initial(s, &position) }
    }

    /// Combines the vectors of each accumulator until `shape.unroll` are left.
    pub fn narrow(
        &mut self,
        s: usize,
        vectors: Vec<LaneValue>,
        shape: VectorShape,
    ) -> Vec<LaneValue> {
        let k = self.k;
        let mut out = vec![];
        for (vector, f) in vectors.into_iter().zip(&k.stages[s].accumulators) {
            let ty = k.stages[s].insts[f.value as usize].ty;
            let mut parts = vector.values();
            while parts.len() > shape.unroll {
                let half = parts.len() / 2;
                parts = (0..half)
                    .map(|i| self.combine(f.kind, parts[i], parts[i + half], ty, Some(shape)))
                    .collect();
            }
            out.push(LaneValue::Varying(parts));
        }
        out
    }

    /// Reduces the lanes of each vector accumulator into the scalar one (a horizontal reduction).
    pub fn reduce_lanes(
        &mut self,
        s: usize,
        vectors: Vec<LaneValue>,
        accumulators: Vec<LaneValue>,
        shape: VectorShape,
    ) -> Vec<LaneValue> {
        let k = self.k;
        let all = vectors.into_iter().zip(accumulators).zip(&k.stages[s].accumulators);
        let mut out = vec![];
        for ((vector, scalar), f) in all {
            let ty = k.stages[s].insts[f.value as usize].ty;
            let parts = vector.values();
            let mut total = scalar.values()[0];
            for lane in 0..shape.width {
                let x = self.extract(parts[0], lane, ty, shape);
                total = self.combine(f.kind, total, x, ty, None);
            }
            out.push(LaneValue::Uniform(total));
        }
        out
    }

    /// Emits the stores and updates the accumulators. Returns these.
    pub fn effects(
        &mut self,
        s: usize,
        position: &LoopPosition,
        env: &mut Env,
        accumulators: Vec<LaneValue>,
    ) -> Vec<LaneValue> {
        let k = self.k;
        for st in &k.stages[s].stores {
            let (x, at) = (self.get(env, st.value), st.at.map(|a| self.get(env, a)));
            let ty = k.stages[s].insts[st.value as usize].ty;
            match st.guard.map(|g| self.get(env, g)) {
                Some(LaneValue::Uniform(g)) => {
                    let (write, after) = (self.b.create_block(), self.b.create_block());
                    self.b.ins().brif(g, write, &[], after, &[]);
                    self.b.switch_to_block(write);
                    self.store(st.operand as usize, x, at, ty, position);
                    self.b.ins().jump(after, &[]);
                    self.b.switch_to_block(after);
                }
                Some(LaneValue::Varying(_)) => {
                    self.broken("the guard of a store varies between lanes", types::I8);
                }
                None => self.store(st.operand as usize, x, at, ty, position),
            }
        }
        let mut out = vec![];
        for (f, total) in k.stages[s].accumulators.iter().zip(accumulators) {
            let ty = k.stages[s].insts[f.value as usize].ty;
            let shape = position.shape;
            if let Some(xs) = self.summed_product(s, *f) {
                let [x, y] = xs.map(|x| self.get(env, x));
                out.push(self.map(&[x, y, total], [ty; 3], shape, |e, v, _| {
                    e.b.ins().fma(v[0], v[1], v[2])
                }));
                continue;
            }
            let x = self.get(env, f.value);
            let kind = f.kind;
            out.push(self.map(&[total, x], [ty, ty], shape, |e, v, is_vector| {
                e.combine(kind, v[0], v[1], ty, is_vector.then_some(shape))
            }));
        }
        out
    }

    /// Returns the factors of an accumulated product, which is added by a fused multiply-add.
    fn summed_product(&self, s: usize, f: Accumulator) -> Option<[InstId; 2]> {
        match self.k.stages[s].insts[f.value as usize] {
            Inst { op: InstKind::Binary(Binary::Mul, x, y), ty: DType::F32 | DType::F64 }
                if self.has_fma && f.kind == ReduceKind::Sum =>
            {
                Some([x, y])
            }
            _ => None,
        }
    }

    /// Combines two values of an accumulator.
    pub fn combine(
        &mut self,
        kind: ReduceKind,
        x: Value,
        y: Value,
        ty: DType,
        shape: Option<VectorShape>,
    ) -> Value {
        let f = if ty == DType::Bool { of_bools(kind.binary()) } else { kind.binary() };
        if matches!(f, Binary::Max | Binary::Min) && ty.kind() != Kind::Float {
            let first = self.compare(
                if f == Binary::Max { Direction::Gt } else { Direction::Lt },
                x,
                y,
                ty,
            );
            return match shape {
                Some(shape) => self.blend(first, x, y, ty, shape),
                None => self.b.ins().select(first, x, y),
            };
        }
        self.binary(f, x, y, ty, shape.is_some())
    }
}
