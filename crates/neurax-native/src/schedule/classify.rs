//! The class of an equation: how it is scheduled.
//!
//! The problem: an op can be part of a fused loop, run as a step of a library, or have no native
//! code for its dtypes at all. The answer must be the same in every stage that asks.
//!
//! The method is a classification by what the op does to elements, as fusing compilers make it: it
//! computes them one by one (`Map`), only moves them (`Move`, `Fetch`), reduces them (`Reduce`), or
//! writes parts of a result (`Write`). Anything else is a step by itself. An op whose dtypes have
//! no machine code is movement of their bytes if it only moves elements; all others run on the
//! reference interpreter.
//!
//! ```text
//! add f32     -> Map        add c64          -> Fallback
//! slice f32   -> Move       slice f8e5m2     -> Move, as u8
//! gather f32  -> Fetch      dot_general f32  -> Product
//! ```
//!
//! Invariants: the class depends on the op and the types of its operands and results alone (of a
//! complex product also on the transposes in front of it, which become strides); an equation of
//! class `Map`, `Move`, `Fetch`, `Reduce` or `Write` has dtypes that [`crate::support::moved_as`]
//! knows, but for constants, which are in memory.

use crate::{
    strided_view::StridedView,
    support::{
        has_machine_code, is_half, is_large_product, is_native_channels_last,
        is_native_quantized_dot, is_native_sparse_dot, moved_as,
    },
    tuning::{
        CHEAP_COST, DIVISION_COST, FETCH_COST, INTEGER_MULTIPLY_COST, LONG_FUNCTION_COST,
        SHORT_FUNCTION_COST,
    },
};
use neurax_ir::{
    DType, Eqn, Graph, Kind, Op, composite,
    op::{Binary, DotGeneral, Unary},
};

/// The way in which an equation is scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EqnClass {
    /// An elementwise op, inlined into its readers.
    Map,
    /// Data movement, inlined into its readers as affine offsets.
    Move,
    /// A gather from a stored value at offsets found at run time, inlined into its readers.
    Fetch,
    /// A reduction along axes.
    Reduce,
    /// An op that writes parts of its result: concatenate, pad, scatter.
    Write,
    /// A matrix product by the matrix kernel.
    Product,
    /// A convolution by im2col.
    Convolution,
    /// A convolution with features last.
    ChannelsLast,
    /// A product of quantized numbers.
    QuantizedDot,
    /// Sliding windows.
    Windows,
    /// A sort.
    Sort,
    /// A discrete Fourier transform.
    Fft,
    /// A product of a sparse matrix.
    SparseDot,
    /// A factorization of matrices, or a triangular system.
    Factor,
    /// A loop or branch.
    Control,
    /// An op that runs on the reference interpreter.
    Fallback,
}

/// Returns the class of an equation of `graph`, which is lowered.
pub fn classify(graph: &Graph, e: &Eqn) -> EqnClass {
    use Op::*;
    let native = e.inputs.iter().chain(&e.outputs).all(|&v| has_machine_code(graph.ty(v).dtype));
    match &e.op {
        // Elements below a byte have no address.
        Scan(op) if op.body.types().iter().any(|t| t.size() * t.dtype.bits() % 8 != 0) => {
            EqnClass::Fallback
        }
        // Their loops over windows and taps may be long although there are no elements.
        Convolution(_) | ReduceWindow(_) | SelectAndGather(_) | SelectAndScatter(_)
            if e.inputs.iter().any(|&v| graph.ty(v).size() == 0) =>
        {
            EqnClass::Fallback
        }
        Cond(_) | While(_) | Scan(_) => EqnClass::Control,
        // Constants of any dtype: they are in memory, and no step writes them.
        Constant(_) => EqnClass::Map,
        DotGeneral(op)
            if native
                && matches!(op.dtype, DType::F32 | DType::F64)
                && graph.ty(e.inputs[0]).dtype == op.dtype =>
        {
            EqnClass::Product
        }
        DotGeneral(op) if op.dtype.is_complex() && is_complex_product(graph, e, op) => {
            EqnClass::Product
        }
        Convolution(op)
            if native && !narrow(op.dtype) && graph.ty(e.inputs[0]).dtype == op.dtype =>
        {
            EqnClass::Convolution
        }
        ReduceWindow(_) | SelectAndGather(_) | SelectAndScatter(_)
            if native && !e.inputs.iter().any(|&v| is_half(graph.ty(v).dtype)) =>
        {
            EqnClass::Windows
        }
        Sort(op) if is_sortable(graph, e, op.axis) => EqnClass::Sort,
        Fft(_) => EqnClass::Fft,
        Composite(composite::Composite::ChannelsLastConvolution(op))
            if is_native_channels_last(op, graph.ty(e.inputs[0]), graph.ty(e.inputs[1])) =>
        {
            EqnClass::ChannelsLast
        }
        Composite(composite::Composite::QuantizedDot(op))
            if is_native_quantized_dot(op, graph.ty(e.inputs[0])) =>
        {
            EqnClass::QuantizedDot
        }
        Composite(composite::Composite::SparseDot(op))
            if is_native_sparse_dot(op, [0, 1, 2, 3].map(|i| graph.ty(e.inputs[i]))) =>
        {
            EqnClass::SparseDot
        }
        Cholesky(_) | TriangularSolve(_) | Lu(_) | Qr(_) | Eig(_) | Eigh(_) | Svd(_)
            if cfg!(feature = "linalg") && graph.ty(e.inputs[0]).size() > 0 =>
        {
            EqnClass::Factor
        }
        op if !native
            && e.inputs
                .iter()
                .chain(&e.outputs)
                .all(|&v| moved_as(graph.ty(v).dtype).is_some()) =>
        {
            movement(op)
        }
        _ if !native => EqnClass::Fallback,
        Unary(f) if is_map(*f) => EqnClass::Map,
        Binary(f) if !matches!(f, self::Binary::Complex | self::Binary::NextAfter) => EqnClass::Map,
        Convert(c) if rounds_twice(graph.ty(e.inputs[0]).dtype, c.dtype) => EqnClass::Fallback,
        Compare(_) | Clamp(_) | Convert(_) | Iota(_) => EqnClass::Map,
        BitcastConvert(_)
            if !is_half(graph.ty(e.inputs[0]).dtype) && !is_half(graph.ty(e.outputs[0]).dtype) =>
        {
            EqnClass::Map
        }
        Reduce(_) => EqnClass::Reduce,
        Scatter(_) => EqnClass::Write,
        op => movement(op),
    }
}

/// Returns the class of an op that only moves elements; others run on the interpreter.
fn movement(op: &Op) -> EqnClass {
    use Op::*;
    match op {
        Select(_) => EqnClass::Map,
        Broadcast(_)
        | Reshape(_)
        | Transpose(_)
        | Slice(_)
        | Reverse(_)
        | OptimizationBarrier(_) => EqnClass::Move,
        DynamicSlice(_) | Gather(_) => EqnClass::Fetch,
        Pad(p) if p.low.iter().chain(&p.high).any(|&n| n < 0) => EqnClass::Fallback,
        Pad(_) | Concatenate(_) | DynamicUpdateSlice(_) => EqnClass::Write,
        Scatter(op) if op.kind.binary().is_none() => EqnClass::Write,
        // other: no kernel; the reference interpreter knows every op.
        _ => EqnClass::Fallback,
    }
}

/// Returns true if a product of complex numbers runs on the matrix kernel, as lowering prepares it.
fn is_complex_product(graph: &Graph, e: &Eqn, op: &DotGeneral) -> bool {
    let [x, y] = [0, 1].map(|i| graph.ty(e.inputs[i]));
    x.dtype == op.dtype
        && is_large_product(op, x, y)
        && [0, 1].into_iter().all(|side| StridedView::operand(graph, e, side).is_some())
}

/// Returns true if elements have addresses and their indices fit into 32 bits.
fn is_sortable(graph: &Graph, e: &Eqn, axis: usize) -> bool {
    e.inputs
        .iter()
        .map(|&v| graph.ty(v))
        .all(|t| t.dtype.bits() >= 8 && t.shape[axis] <= u32::MAX as usize)
}

/// Returns true for dtypes whose sums are accumulated in another dtype.
fn narrow(d: DType) -> bool {
    is_half(d) || d == DType::Bool
}

/// Returns true if a conversion through f32, which narrow floats are computed in, rounds twice.
fn rounds_twice(from: DType, to: DType) -> bool {
    is_half(to) && from.bits() >= 32 && from != DType::F32
}

/// Returns true if machine code or its scalar library has the function.
fn is_map(f: Unary) -> bool {
    !matches!(f, Unary::Real | Unary::Imag | Unary::Conj)
}

/// Returns true if a kernel that reads the result of the step can be its epilogue.
pub fn has_epilogue(class: EqnClass) -> bool {
    is_strided(class) || matches!(class, EqnClass::ChannelsLast | EqnClass::QuantizedDot)
}

/// Returns true if the step reads its operands through strides.
pub fn is_strided(class: EqnClass) -> bool {
    matches!(class, EqnClass::Product | EqnClass::Convolution)
}

/// Returns the cost of an equation for one element, in cheap instructions.
pub fn cost(e: &Eqn, dtype: DType) -> usize {
    use self::{Binary as B, Unary as U};
    match &e.op {
        Op::Unary(f) => match f {
            U::Neg
            | U::Abs
            | U::Not
            | U::Sign
            | U::Floor
            | U::Ceil
            | U::RoundEven
            | U::RoundAway
            | U::IsFinite => CHEAP_COST,
            U::Sqrt | U::Rsqrt => DIVISION_COST,
            U::Exp | U::Tanh | U::Logistic | U::Log => SHORT_FUNCTION_COST,
            U::Expm1
            | U::Log1p
            | U::Sin
            | U::Cos
            | U::Tan
            | U::Asin
            | U::Acos
            | U::Atan
            | U::Sinh
            | U::Cosh
            | U::Asinh
            | U::Acosh
            | U::Atanh
            | U::Cbrt
            | U::Erf
            | U::Erfc
            | U::ErfInv
            | U::Lgamma
            | U::Digamma
            | U::BesselI0e
            | U::BesselI1e
            | U::PopulationCount
            | U::CountLeadingZeros
            | U::Real
            | U::Imag
            | U::Conj => LONG_FUNCTION_COST,
        },
        Op::Binary(f) => match f {
            B::Div => DIVISION_COST,
            B::Rem
            | B::Pow
            | B::Atan2
            | B::Polygamma
            | B::Zeta
            | B::Igamma
            | B::Igammac
            | B::IgammaGradA
            | B::RandomGammaGrad => LONG_FUNCTION_COST,
            B::Mul if dtype.kind() != Kind::Float => INTEGER_MULTIPLY_COST,
            B::Add
            | B::Sub
            | B::Mul
            | B::Max
            | B::Min
            | B::And
            | B::Or
            | B::Xor
            | B::ShiftLeft
            | B::ShiftRightArithmetic
            | B::ShiftRightLogical
            | B::Complex
            | B::NextAfter => CHEAP_COST,
        },
        Op::Compare(_) | Op::Select(_) | Op::Clamp(_) | Op::Convert(_) => CHEAP_COST,
        Op::Gather(_) | Op::DynamicSlice(_) => FETCH_COST,
        // other: data movement changes an offset only, and the results of all other ops are stored.
        _ => 0,
    }
}
