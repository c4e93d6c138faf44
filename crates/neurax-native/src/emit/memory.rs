//! Loads and stores, and moves between scalars and lanes.

use super::{
    lane_value::{LaneValue, VectorShape, scalar},
    state::{KernelEmitter, LoopPosition, trusted},
};
use crate::kernel::Stride;
use cranelift_codegen::ir::{
    InstBuilder, MemFlagsData, Type, Value,
    types::{self, I64},
};
use neurax_ir::{DType, Kind};
use smallvec::SmallVec;

impl KernelEmitter<'_, '_> {
    /// Loads an element of an operand for every lane, at the additional offset `at`.
    pub fn load(
        &mut self,
        operand: usize,
        at: Option<LaneValue>,
        position: &LoopPosition,
    ) -> LaneValue {
        let o = &self.k.operands[operand];
        let (ty, stage) = (o.dtype, o.stage as usize);
        let address = position.addresses[operand];
        let lane = self
            .k
            .lane_loop(stage)
            .filter(|&l| position.shape.width > 1 && l < position.counters.len());
        // empty: a scalar loop moves no lane.
        let stride = lane.map_or(Stride::Zero, |l| o.strides[l]);
        match (stride, at) {
            (Stride::Zero, None) => LaneValue::Uniform(self.scalar_load(ty, address, 0)),
            (Stride::Zero, Some(LaneValue::Uniform(at))) => {
                let address = self.b.ins().iadd(address, at);
                LaneValue::Uniform(self.scalar_load(ty, address, 0))
            }
            (_, Some(LaneValue::Varying(at))) => {
                self.load_scattered(ty, address, stride, &at, position.shape)
            }
            (stride, None) => self.load_vectors(ty, address, stride, position.shape),
            (stride, Some(LaneValue::Uniform(at))) => {
                let address = self.b.ins().iadd(address, at);
                self.load_vectors(ty, address, stride, position.shape)
            }
        }
    }

    /// Loads a vector for every copy of the unrolled loop.
    fn load_vectors(
        &mut self,
        ty: DType,
        address: Value,
        stride: Stride,
        shape: VectorShape,
    ) -> LaneValue {
        let vectors = (0..shape.unroll).map(|u| self.load_vector(ty, address, stride, u, shape));
        LaneValue::Varying(vectors.collect())
    }

    fn scalar_load(&mut self, ty: DType, address: Value, offset: i32) -> Value {
        self.b.ins().load(scalar(ty), trusted(), address, offset)
    }

    /// Loads one vector: contiguous, or gathered lane by lane with a stride.
    fn load_vector(
        &mut self,
        ty: DType,
        address: Value,
        stride: Stride,
        unrolled: usize,
        shape: VectorShape,
    ) -> Value {
        let bytes = ty.bits() / 8;
        match stride {
            Stride::Param(p) => {
                let stride = self.param(p);
                let lanes: Vec<Value> = (0..shape.width)
                    .map(|l| {
                        let far =
                            self.b.ins().imul_imm_s(stride, (unrolled * shape.width + l) as i64);
                        let address = self.b.ins().iadd(address, far);
                        self.scalar_load(ty, address, 0)
                    })
                    .collect();
                self.assemble(&lanes, ty, shape)
            }
            Stride::Unit => {
                let offset = (unrolled * shape.width * bytes) as i32;
                self.dense_load(ty, address, offset, shape)
            }
            Stride::Zero => self.broken("an invariant load is a vector", shape.vector(ty)),
        }
    }

    /// Loads contiguous elements as a vector.
    fn dense_load(&mut self, ty: DType, address: Value, offset: i32, shape: VectorShape) -> Value {
        let bits = ty.bits();
        if bits == 8 * 16 / shape.width && ty != DType::Bool {
            return self.b.ins().load(shape.vector(ty), trusted(), address, offset);
        }
        if shape.width == 4 && bits < 32 {
            return self.widening_load(ty, address, offset, shape);
        }
        let lanes: Vec<Value> = (0..shape.width)
            .map(|l| self.scalar_load(ty, address, offset + (l * bits / 8) as i32))
            .collect();
        self.assemble(&lanes, ty, shape)
    }

    /// Loads 4 contiguous elements of 1 or 2 bytes by one instruction, and widens them to 4 bytes.
    fn widening_load(
        &mut self,
        ty: DType,
        address: Value,
        offset: i32,
        shape: VectorShape,
    ) -> Value {
        let (all, words, mut narrow) = match ty.bits() {
            8 => (types::I32, types::I32X4, types::I8X16),
            // other: 2 bytes.
            _ => (types::I64, types::I64X2, types::I16X8),
        };
        let loaded = self.b.ins().load(all, trusted(), address, offset);
        let mut v = self.b.ins().scalar_to_vector(words, loaded);
        while narrow != types::I32X4 {
            v = self.bitcast(v, narrow);
            v = match ty.kind() {
                Kind::Signed => self.b.ins().swiden_low(v),
                Kind::Bool | Kind::Unsigned | Kind::Float | Kind::Storage | Kind::Complex => {
                    self.b.ins().uwiden_low(v)
                }
            };
            narrow = self.b.func.dfg.value_type(v);
        }
        match ty {
            DType::Bool => self.b.ins().ineg(v),
            // other: lanes hold the number itself.
            _ => self.bitcast(v, shape.vector(ty)),
        }
    }

    /// Stores the low bytes of 4 lanes to contiguous elements of 1 or 2 bytes, by one instruction.
    fn narrowing_store(&mut self, v: Value, ty: DType, address: Value, offset: i32) {
        let v = match ty {
            DType::Bool => self.b.ins().ineg(v),
            // other: lanes hold the number itself.
            _ => v,
        };
        let bytes = ty.bits() / 8;
        let order = (0..16).map(|i| (i / bytes % 4 * 4 + i % bytes) as u8);
        let order = self.b.func.dfg.immediates.push(order.collect::<Vec<u8>>().into());
        let v = self.bitcast(v, types::I8X16);
        let packed = self.b.ins().shuffle(v, v, order);
        let words = if bytes == 1 { types::I32X4 } else { types::I64X2 };
        let packed = self.bitcast(packed, words);
        let packed = self.b.ins().extractlane(packed, 0);
        self.b.ins().store(trusted(), packed, address, offset);
    }

    /// Gathers a vector from offsets that vary between lanes.
    fn load_scattered(
        &mut self,
        ty: DType,
        address: Value,
        stride: Stride,
        at: &[Value],
        shape: VectorShape,
    ) -> LaneValue {
        let mut out: SmallVec<[Value; 4]> = SmallVec::new();
        for (unrolled, &at) in at.iter().enumerate() {
            let mut lanes = vec![];
            for l in 0..shape.width {
                let by = self.extract(at, l, DType::I64, shape);
                let address = self.b.ins().iadd(address, by);
                let far = unrolled * shape.width + l;
                let far = match stride {
                    Stride::Zero => self.b.ins().iconst(I64, 0),
                    Stride::Unit => self.b.ins().iconst(I64, (far * ty.bits() / 8) as i64),
                    Stride::Param(p) => {
                        let s = self.param(p);
                        self.b.ins().imul_imm_s(s, far as i64)
                    }
                };
                let address = self.b.ins().iadd(address, far);
                lanes.push(self.scalar_load(ty, address, 0));
            }
            out.push(self.assemble(&lanes, ty, shape));
        }
        LaneValue::Varying(out)
    }

    /// Assembles scalars into a vector.
    pub fn assemble(&mut self, lanes: &[Value], ty: DType, shape: VectorShape) -> Value {
        let mut v = self.first_lane(lanes[0], ty, shape);
        for (l, &x) in lanes.iter().enumerate().skip(1) {
            v = self.insert(v, x, l, ty, shape);
        }
        v
    }

    /// Stores a value for every lane, at the additional offset `at`.
    pub fn store(
        &mut self,
        operand: usize,
        x: LaneValue,
        at: Option<LaneValue>,
        ty: DType,
        position: &LoopPosition,
    ) {
        let o = &self.k.operands[operand];
        let stage = o.stage as usize;
        let mut address = position.addresses[operand];
        let lane = self
            .k
            .lane_loop(stage)
            .filter(|&l| position.shape.width > 1 && l < position.counters.len());
        // empty: a scalar loop moves no lane.
        let stride = lane.map_or(Stride::Zero, |l| o.strides[l]);
        match at {
            None => {}
            Some(LaneValue::Uniform(at)) => address = self.b.ins().iadd(address, at),
            Some(LaneValue::Varying(_)) => {
                self.broken("the offset of a store varies between lanes", I64);
            }
        }
        let shape = position.shape;
        let x = match (x, lane) {
            (LaneValue::Uniform(v), None) => {
                self.b.ins().store(trusted(), v, address, 0);
                return;
            }
            (LaneValue::Uniform(v), Some(_)) => self.splat(v, ty, shape),
            (LaneValue::Varying(vs), _) => vs,
        };
        let bytes = ty.bits() / 8;
        for (unrolled, &v) in x.iter().enumerate() {
            match stride {
                Stride::Unit if bytes == 16 / shape.width && ty != DType::Bool => {
                    let offset = (unrolled * shape.width * bytes) as i32;
                    self.b.ins().store(trusted(), v, address, offset);
                }
                Stride::Unit if bytes < 4 && shape.width == 4 => {
                    let offset = (unrolled * shape.width * bytes) as i32;
                    self.narrowing_store(v, ty, address, offset);
                }
                Stride::Zero | Stride::Unit | Stride::Param(_) => {
                    self.store_lanes(v, ty, address, stride, unrolled, shape)
                }
            }
        }
    }

    /// Stores a vector lane by lane.
    fn store_lanes(
        &mut self,
        v: Value,
        ty: DType,
        address: Value,
        stride: Stride,
        unrolled: usize,
        shape: VectorShape,
    ) {
        for l in 0..shape.width {
            let x = self.extract(v, l, ty, shape);
            let far = unrolled * shape.width + l;
            match stride {
                Stride::Param(p) => {
                    let s = self.param(p);
                    let by = self.b.ins().imul_imm_s(s, far as i64);
                    let address = self.b.ins().iadd(address, by);
                    self.b.ins().store(trusted(), x, address, 0);
                }
                Stride::Unit => {
                    self.b.ins().store(trusted(), x, address, (far * ty.bits() / 8) as i32);
                }
                Stride::Zero => {
                    self.b.ins().store(trusted(), x, address, 0);
                }
            }
        }
    }

    /// Splats a scalar into every lane. Bools become masks; narrow integers are widened.
    pub fn splat(&mut self, v: Value, ty: DType, shape: VectorShape) -> SmallVec<[Value; 4]> {
        let x = self.lane_of(v, ty, shape);
        let v = self.b.ins().splat(shape.vector(ty), x);
        smallvec::smallvec![v; shape.unroll]
    }

    /// Converts a scalar to the type of a lane.
    fn lane_of(&mut self, v: Value, ty: DType, shape: VectorShape) -> Value {
        let lane = shape.vector(ty).lane_type();
        let from = self.b.func.dfg.value_type(v);
        if ty == DType::Bool {
            let wide = if from == lane { v } else { self.b.ins().uextend(lane, v) };
            return self.b.ins().ineg(wide);
        }
        match from == lane {
            true => v,
            false if ty.kind() == Kind::Signed => self.b.ins().sextend(lane, v),
            false => self.b.ins().uextend(lane, v),
        }
    }

    /// Returns a vector whose first lane is the scalar.
    pub fn first_lane(&mut self, v: Value, ty: DType, shape: VectorShape) -> Value {
        let x = self.lane_of(v, ty, shape);
        self.b.ins().splat(shape.vector(ty), x)
    }

    /// Replaces one lane of a vector.
    pub fn insert(
        &mut self,
        vector: Value,
        v: Value,
        lane: usize,
        ty: DType,
        shape: VectorShape,
    ) -> Value {
        let x = self.lane_of(v, ty, shape);
        self.b.ins().insertlane(vector, x, lane as u8)
    }

    /// Extracts a lane as a scalar of the dtype.
    pub fn extract(&mut self, vector: Value, lane: usize, ty: DType, shape: VectorShape) -> Value {
        let x = self.b.ins().extractlane(vector, lane as u8);
        let (from, to) = (shape.vector(ty).lane_type(), scalar(ty));
        if ty == DType::Bool {
            let byte = self.b.ins().ireduce(types::I8, x);
            return self.b.ins().band_imm_u(byte, 1);
        }
        if from == to || ty.is_float() && to.bits() >= 32 { x } else { self.b.ins().ireduce(to, x) }
    }

    /// Emits a ramp over the lanes: `first + lane * step`.
    pub fn ramp(&mut self, first: Value, step: Value, shape: VectorShape) -> LaneValue {
        let mut out: SmallVec<[Value; 4]> = SmallVec::new();
        for unrolled in 0..shape.unroll {
            let lanes: Vec<Value> = (0..shape.width)
                .map(|l| {
                    let far = self.b.ins().imul_imm_s(step, (unrolled * shape.width + l) as i64);
                    self.b.ins().iadd(first, far)
                })
                .collect();
            let lanes: Vec<Value> = if shape.width == 4 {
                lanes.into_iter().map(|x| self.b.ins().ireduce(types::I32, x)).collect()
            } else {
                lanes
            };
            let ty = if shape.width == 4 { DType::I32 } else { DType::I64 };
            out.push(self.assemble(&lanes, ty, shape));
        }
        LaneValue::Varying(out)
    }

    /// Emits `mask ? x : y` for vectors.
    pub fn blend(
        &mut self,
        mask: Value,
        x: Value,
        y: Value,
        ty: DType,
        shape: VectorShape,
    ) -> Value {
        let mask = self.bitcast(mask, shape.vector(ty));
        self.b.ins().bitselect(mask, x, y)
    }

    /// Emits a bitcast, if there is one to do.
    pub fn bitcast(&mut self, v: Value, to: Type) -> Value {
        let from = self.b.func.dfg.value_type(v);
        if from == to {
            return v;
        }
        let flags = if from.is_vector() && to.is_vector() {
            MemFlagsData::new().with_endianness(cranelift_codegen::ir::Endianness::Little)
        } else {
            MemFlagsData::new()
        };
        self.b.ins().bitcast(to, flags, v)
    }
}

#[cfg(test)]
mod tests {
    use crate::{emit::CodegenTarget, kernel::Kernel};

    #[test]
    fn a_store_whose_offset_varies_between_lanes_is_refused() {
        let text = "kernel [] vectorize inner\n  @0: i64 stage 0 [1]\n  stage [#0]\n    \
                    %0: i64 = index [1]\n    store @0 %0 at %0\n";
        let kernel: Kernel = text.parse().unwrap();
        let e = CodegenTarget::host().unwrap().compile(&kernel).unwrap_err().to_string();
        assert!(e.contains("the offset of a store varies between lanes"), "{e}");
    }
}
