//! Values in registers: uniform over all lanes, or varying in vectors.

use cranelift_codegen::ir::{Type, Value, types};
use neurax_ir::DType;
use smallvec::SmallVec;

/// A value of a kernel in registers.
#[derive(Clone, Debug)]
pub enum LaneValue {
    /// A scalar, the same for all lanes.
    Uniform(Value),
    /// One vector for every copy of the unrolled loop.
    Varying(SmallVec<[Value; 4]>),
}

/// The vectors of one copy of a loop body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VectorShape {
    /// The lanes of a vector: 4 or 2, or 1 if all values are scalars.
    pub width: usize,
    /// The vectors of each value.
    pub unroll: usize,
}

impl VectorShape {
    /// The shape of scalar code.
    pub const SCALAR: VectorShape = VectorShape { width: 1, unroll: 1 };

    /// Returns the shapes of the copies of a loop: unrolled vectors, one vector, scalars.
    pub fn down(self) -> SmallVec<[VectorShape; 3]> {
        let mut out: SmallVec<[VectorShape; 3]> =
            smallvec::smallvec![self, VectorShape { unroll: 1, ..self }, VectorShape::SCALAR];
        out.dedup();
        out
    }

    /// Returns the elements that one iteration handles.
    pub fn step(self) -> usize {
        self.width * self.unroll
    }

    /// Returns the vector type of a dtype. Bools are masks; narrow integers take 4 bytes.
    pub fn vector(self, d: DType) -> Type {
        match (self.width, d) {
            (2, DType::F64) => types::F64X2,
            (2, _) => types::I64X2,
            (_, DType::F32) => types::F32X4,
            // other: 4 lanes, in which `Kernel::lane_width` allows no wider dtypes.
            _ => types::I32X4,
        }
    }

    /// Returns the vector type of masks.
    pub fn mask(self) -> Type {
        if self.width == 2 { types::I64X2 } else { types::I32X4 }
    }
}

/// Returns the scalar type of a dtype. A bool is a byte, 0 or 1.
pub fn scalar(d: DType) -> Type {
    match d {
        DType::F32 => types::F32,
        DType::F64 => types::F64,
        d => match d.bits() {
            8 => types::I8,
            16 => types::I16,
            32 => types::I32,
            // other: 8 bytes; the verifier refuses all other dtypes.
            _ => types::I64,
        },
    }
}

impl LaneValue {
    /// Returns the registers.
    pub fn values(&self) -> SmallVec<[Value; 4]> {
        match self {
            LaneValue::Uniform(v) => smallvec::smallvec![*v],
            LaneValue::Varying(vs) => vs.clone(),
        }
    }

    /// Returns the value of vector `u` of the unrolled loop alone.
    pub fn nth_vector(&self, u: usize) -> LaneValue {
        match self {
            LaneValue::Varying(vs) => LaneValue::Varying(smallvec::smallvec![vs[u]]),
            LaneValue::Uniform(_) => self.clone(),
        }
    }

    /// Returns values of the same forms as `forms` in the registers `values`, one for each
    /// register of a form.
    pub fn like(forms: &[LaneValue], values: &[Value]) -> Vec<LaneValue> {
        let mut rest = values;
        let mut take = |n: usize| {
            let (taken, left) = rest.split_at(n);
            rest = left;
            taken
        };
        let one = |form: &LaneValue| match form {
            LaneValue::Uniform(_) => LaneValue::Uniform(take(1)[0]),
            LaneValue::Varying(vs) => LaneValue::Varying(take(vs.len()).into()),
        };
        forms.iter().map(one).collect()
    }
}
