//! How values are held in registers: once for all lanes, or in vectors.

use cranelift_codegen::ir::{Type, Value, types};
use neurax_ir::DType;
use smallvec::SmallVec;

/// A value while code is written.
#[derive(Clone, Debug)]
pub enum LaneValue {
    /// The same for all lanes: a scalar.
    Uniform(Value),
    /// One vector for every part of the unrolled loop.
    Varying(SmallVec<[Value; 4]>),
}

/// The vectors of one copy of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VectorShape {
    /// Elements in a vector: 4 or 2, or 1 where all values are scalars.
    pub width: usize,
    /// Vectors per value.
    pub unroll: usize,
}

impl VectorShape {
    /// One element at a time.
    pub const SCALAR: VectorShape = VectorShape { width: 1, unroll: 1 };

    /// The shapes of the loops that share an iteration range: as it is, one vector at a time, one
    /// element at a time.
    pub fn down(self) -> SmallVec<[VectorShape; 3]> {
        let mut out: SmallVec<[VectorShape; 3]> =
            smallvec::smallvec![self, VectorShape { unroll: 1, ..self }, VectorShape::SCALAR];
        out.dedup();
        out
    }

    /// Elements that one copy handles.
    pub fn step(self) -> usize {
        self.width * self.unroll
    }

    /// The vector that holds values of a dtype; bools are masks, narrow integers are held in 4
    /// bytes.
    pub fn vector(self, d: DType) -> Type {
        match (self.width, d) {
            (2, DType::F64) => types::F64X2,
            (2, _) => types::I64X2,
            (_, DType::F32) => types::F32X4,
            _ => types::I32X4,
        }
    }

    /// The type of a mask lane.
    pub fn mask(self) -> Type {
        if self.width == 2 { types::I64X2 } else { types::I32X4 }
    }
}

/// The scalar that holds a value of a dtype; bool is a byte, 0 or 1.
pub fn scalar(d: DType) -> Type {
    match d {
        DType::F32 => types::F32,
        DType::F64 => types::F64,
        d => match d.bits() {
            8 => types::I8,
            16 => types::I16,
            32 => types::I32,
            _ => types::I64,
        },
    }
}
