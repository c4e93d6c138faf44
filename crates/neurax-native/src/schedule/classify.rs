//! What kind of work an equation is.

use crate::{
    strided_view::StridedView,
    support::{has_machine_code, is_half, is_large_product, moved_as},
};
use neurax_ir::{
    DType, Eqn, Graph, Kind, Op,
    op::{Binary, DotGeneral, Unary},
};

/// What kind of work an equation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EqnClass {
    /// Element by element: computed where it is needed.
    Map,
    /// Other places of the same elements: read where it is needed.
    Move,
    /// Windows at places found at run time, of an array in memory: read where it is needed.
    Fetch,
    /// Joins elements along axes.
    Reduce,
    /// Writes parts of an array.
    Write,
    /// A product of arrays.
    Product,
    /// A convolution of arrays.
    Convolution,
    /// Windows that slide over an array.
    Windows,
    /// Sorts arrays together.
    Sort,
    /// Runs graphs.
    Control,
    /// Left to the op's own meaning in the language.
    Fallback,
}

/// What kind of work the equation is.
pub fn classify(graph: &Graph, e: &Eqn) -> EqnClass {
    use Op::*;
    let native = e.inputs.iter().chain(&e.outputs).all(|&v| has_machine_code(graph.ty(v).dtype));
    match &e.op {
        // Elements of less than a byte have no address.
        Scan(op) if op.body.types().iter().any(|t| t.size() * t.dtype.bits() % 8 != 0) => {
            EqnClass::Fallback
        }
        Cond(_) | While(_) | Scan(_) => EqnClass::Control,
        // Of any dtype: they are there, and nobody writes them.
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

/// What kind of work an equation is that only moves elements.
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
        _ => EqnClass::Fallback,
    }
}

/// Is a product of complex numbers one for the matrix kernel, as [`crate::lower`] makes them?
fn is_complex_product(graph: &Graph, e: &Eqn, op: &DotGeneral) -> bool {
    let [x, y] = [0, 1].map(|i| graph.ty(e.inputs[i]));
    x.dtype == op.dtype
        && is_large_product(op, x, y)
        && [0, 1].into_iter().all(|side| StridedView::operand(graph, e, side).is_some())
}

/// Have the elements addresses, and their places 32 bits?
fn is_sortable(graph: &Graph, e: &Eqn, axis: usize) -> bool {
    e.inputs
        .iter()
        .map(|&v| graph.ty(v))
        .all(|t| t.dtype.bits() >= 8 && t.shape[axis] <= u32::MAX as usize)
}

/// Dtypes whose sums are kept in another one.
fn narrow(d: DType) -> bool {
    is_half(d) || d == DType::Bool
}

/// Would going through f32, which narrow floats are computed in, round a second time?
fn rounds_twice(from: DType, to: DType) -> bool {
    is_half(to) && from.bits() >= 32 && from != DType::F32
}

/// Functions with a form in machine code or in the scalar library.
fn is_map(f: Unary) -> bool {
    !matches!(f, Unary::Real | Unary::Imag | Unary::Conj)
}

/// Does the equation read its operands through strides?
pub fn is_strided(class: EqnClass) -> bool {
    matches!(class, EqnClass::Product | EqnClass::Convolution)
}

/// How much work an equation is per element, in cheap instructions.
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
            | U::IsFinite => 1,
            U::Sqrt | U::Rsqrt => 4,
            U::Exp | U::Tanh | U::Logistic | U::Log => 12,
            _ => 30,
        },
        Op::Binary(f) => match f {
            B::Div => 4,
            B::Rem | B::Pow | B::Atan2 => 30,
            B::Mul if dtype.kind() != Kind::Float => 2,
            _ => 1,
        },
        Op::Compare(_) | Op::Select(_) | Op::Clamp(_) => 1,
        Op::Convert(_) => 1,
        Op::Gather(_) | Op::DynamicSlice(_) => 3,
        _ => 0,
    }
}
