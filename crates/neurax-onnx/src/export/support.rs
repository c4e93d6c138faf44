//! The dtypes that each operator takes in each opset, and the dtype in which an operator computes
//! that does not take its operands: `Sin` of bf16 before opset 22 is `Sin` of f32 between two
//! conversions.
//!
//! The tables have the rows of the operator sets from 13 on; <https://onnx.ai/onnx/operators/>.

use crate::dtype::number_of;
use neurax_ir::{DType, Kind};

use DType::*;

const PLAIN_FLOATS: &[DType] = &[F32, F64, F16];
const BRAIN: &[DType] = &[BF16];
const WIDE_INTS: &[DType] = &[I32, I64, U32, U64];
const NARROW_INTS: &[DType] = &[I8, I16, U8, U16];
const UNSIGNED: &[DType] = &[U8, U16, U32, U64];
const SIGNED: &[DType] = &[I8, I16, I32, I64];
const BYTE_INTS: &[DType] = &[I8, U8];
const BOOLS: &[DType] = &[Bool];

/// The operators, the opset since which the row holds, and the dtypes.
type SupportRow = (&'static [&'static str], i64, &'static [&'static [DType]]);

const SUPPORT_ROWS: &[SupportRow] = &[
    (&["Add", "Sub", "Mul", "Div"], 13, &[PLAIN_FLOATS, BRAIN, WIDE_INTS]),
    (&["Add", "Sub", "Mul", "Div"], 14, &[PLAIN_FLOATS, BRAIN, WIDE_INTS, NARROW_INTS]),
    (
        &["Mod", "Max", "Min", "Abs", "Sign", "Clip"],
        13,
        &[PLAIN_FLOATS, BRAIN, WIDE_INTS, NARROW_INTS],
    ),
    (&["ArgMax", "ArgMin", "Less", "Greater"], 13, &[PLAIN_FLOATS, BRAIN, WIDE_INTS, NARROW_INTS]),
    (&["LessOrEqual", "GreaterOrEqual"], 13, &[PLAIN_FLOATS, WIDE_INTS, NARROW_INTS]),
    (&["LessOrEqual", "GreaterOrEqual"], 16, &[PLAIN_FLOATS, BRAIN, WIDE_INTS, NARROW_INTS]),
    (&["Equal"], 13, &[PLAIN_FLOATS, BRAIN, WIDE_INTS, NARROW_INTS, BOOLS]),
    (&["Where"], 13, &[PLAIN_FLOATS, WIDE_INTS, NARROW_INTS, BOOLS]),
    (&["Where"], 16, &[PLAIN_FLOATS, BRAIN, WIDE_INTS, NARROW_INTS, BOOLS]),
    (&["Pow"], 13, &[PLAIN_FLOATS, &[I32, I64]]),
    (&["Pow"], 15, &[PLAIN_FLOATS, BRAIN, &[I32, I64]]),
    (&["And", "Or", "Xor", "Not"], 13, &[BOOLS]),
    (&["BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot"], 18, &[WIDE_INTS, NARROW_INTS]),
    (&["BitShift"], 13, &[UNSIGNED]),
    (&["Neg"], 13, &[PLAIN_FLOATS, BRAIN, SIGNED]),
    // Integers, too, since opset 14, but runtimes have no kernels for them.
    (&["Relu"], 13, &[PLAIN_FLOATS, BRAIN]),
    (&["Exp", "Log", "Tanh", "Sqrt", "Reciprocal", "Sigmoid", "Erf"], 13, &[PLAIN_FLOATS, BRAIN]),
    (&["Floor", "Ceil", "Softmax", "LogSoftmax"], 13, &[PLAIN_FLOATS, BRAIN]),
    (&["Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Softplus"], 13, &[PLAIN_FLOATS]),
    (&["Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Softplus"], 22, &[PLAIN_FLOATS, BRAIN]),
    (&["Sinh", "Cosh", "Asinh", "Acosh", "Atanh", "Round"], 13, &[PLAIN_FLOATS]),
    (&["Sinh", "Cosh", "Asinh", "Acosh", "Atanh", "Round"], 22, &[PLAIN_FLOATS, BRAIN]),
    (&["ReduceSum", "ReduceProd"], 13, &[PLAIN_FLOATS, BRAIN, WIDE_INTS]),
    (&["ReduceMax", "ReduceMin"], 13, &[PLAIN_FLOATS, BRAIN, WIDE_INTS, BYTE_INTS]),
    (&["ReduceMax", "ReduceMin"], 20, &[PLAIN_FLOATS, BRAIN, WIDE_INTS, BYTE_INTS, BOOLS]),
    (&["ReduceLogSumExp"], 13, &[PLAIN_FLOATS, BRAIN]),
    (&["MatMul"], 13, &[PLAIN_FLOATS, BRAIN, WIDE_INTS]),
    (&["Conv", "ConvTranspose", "AveragePool"], 13, &[PLAIN_FLOATS]),
    (&["Conv", "ConvTranspose", "AveragePool"], 22, &[PLAIN_FLOATS, BRAIN]),
    (&["MaxPool"], 13, &[PLAIN_FLOATS, BYTE_INTS]),
    (&["MaxPool"], 22, &[PLAIN_FLOATS, BYTE_INTS, BRAIN]),
    (&["TopK"], 13, &[PLAIN_FLOATS, WIDE_INTS, NARROW_INTS]),
    (&["TopK"], 24, &[PLAIN_FLOATS, BRAIN, WIDE_INTS, NARROW_INTS]),
    (&["CumSum"], 13, &[&[F32, F64], WIDE_INTS]),
    (&["CumSum"], 14, &[PLAIN_FLOATS, BRAIN, WIDE_INTS]),
    (&["CumProd"], 26, &[PLAIN_FLOATS, BRAIN, WIDE_INTS]),
    (&["Gelu"], 20, &[PLAIN_FLOATS, BRAIN]),
    (&["Swish"], 24, &[PLAIN_FLOATS, BRAIN]),
    (&["LayerNormalization"], 17, &[PLAIN_FLOATS, BRAIN]),
    (&["RMSNormalization", "Attention"], 23, &[PLAIN_FLOATS, BRAIN]),
    (&["BatchNormalization"], 13, &[PLAIN_FLOATS]),
    (&["BatchNormalization"], 14, &[PLAIN_FLOATS, BRAIN]),
    (&["Expand", "Gather", "GatherND", "GatherElements"], 13, MOVED),
    (&["Concat", "Slice", "Pad", "ScatterND"], 13, MOVED),
    (&["Transpose", "Reshape", "Squeeze", "Unsqueeze"], 13, MOVED),
];

/// The dtypes that operators move.
const MOVED: &[&[DType]] = &[PLAIN_FLOATS, BRAIN, WIDE_INTS, NARROW_INTS, BOOLS];

/// The dtypes that files have since an opset after 13.
const NEW_DTYPES: &[(&[DType], i64)] = &[
    (&[F8E4M3FN, F8E4M3FNUZ, F8E5M2, F8E5M2FNUZ], 19),
    (&[U4, I4], 21),
    (&[F4E2M1FN], 23),
    (&[F8E8M0FNU], 24),
    (&[U2, I2], 25),
];

/// Returns true if `op` takes operands of `dtype` in `opset`.
pub(super) fn takes(op: &str, dtype: DType, opset: i64) -> bool {
    let row = SUPPORT_ROWS.iter().rfind(|(ops, since, _)| *since <= opset && ops.contains(&op));
    row.is_some_and(|(_, _, sets)| sets.iter().any(|set| set.contains(&dtype)))
}

/// Returns the dtype in which `op` computes on operands of `dtype`: the same one if the operator
/// takes it, else the narrowest of its kind that holds it.
///
/// # Errors
/// If the operator does not exist in `opset`, or takes none.
pub(super) fn carrier(op: &str, dtype: DType, opset: i64) -> Result<DType, String> {
    if takes(op, dtype, opset) {
        return Ok(dtype);
    }
    if let Some((_, since, _)) = SUPPORT_ROWS.iter().find(|(ops, _, _)| ops.contains(&op))
        && *since > opset
    {
        return Err(format!("the operator {op} needs opset {since}, got {opset}"));
    }
    let wider: &[DType] = match dtype.kind() {
        Kind::Bool => &[U8, I32],
        Kind::Unsigned => &[U8, U16, U32, U64, I64],
        Kind::Signed => &[I8, I16, I32, I64],
        Kind::Float | Kind::Storage => &[F32, F64],
        Kind::Complex => &[],
    };
    let holds = |d: &&DType| {
        d.bits() > dtype.bits() || (d.kind() != dtype.kind() && d.bits() == dtype.bits())
    };
    wider.iter().filter(holds).find(|&&d| takes(op, d, opset)).copied().ok_or_else(|| {
        format!("the operator {op} does not take {dtype}; convert the operand to another dtype")
    })
}

/// Checks that files of `opset` have values of `dtype`.
///
/// # Errors
/// If they have not.
pub(super) fn check_dtype(dtype: DType, opset: i64) -> Result<(), String> {
    if dtype.is_complex() {
        let why = "the operators of ONNX do not compute with complex numbers; export a function \
                   of real and imaginary parts";
        return Err(why.into());
    }
    let is_packed = matches!(dtype, F6E2M3FN | F6E3M2FN);
    let since = NEW_DTYPES.iter().find(|(dtypes, _)| dtypes.contains(&dtype)).map(|row| row.1);
    match (number_of(dtype), since) {
        (None, _) => Err(format!("ONNX has no dtype {dtype}; convert to another one")),
        (Some(_), _) if is_packed => Err(format!("{dtype} is not exported; convert to f32")),
        (Some(_), Some(since)) if since > opset => {
            Err(format!("the dtype {dtype} needs opset {since}, got {opset}"))
        }
        (Some(_), _) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_compute_in_a_wider_dtype_where_they_need_one() {
        assert_eq!(carrier("Sin", BF16, 21), Ok(F32));
        assert_eq!(carrier("Sin", BF16, 22), Ok(BF16));
        assert_eq!(carrier("ReduceSum", I8, 18), Ok(I32));
        assert_eq!(carrier("ReduceSum", U16, 18), Ok(U32));
        assert_eq!(carrier("ReduceMax", Bool, 18), Ok(U8));
        assert_eq!(carrier("Add", F8E5M2, 19), Ok(F32));
        assert_eq!(carrier("Neg", U8, 18), Ok(I64));
        let e = carrier("BitwiseAnd", U8, 17).unwrap_err();
        assert_eq!(e, "the operator BitwiseAnd needs opset 18, got 17");
        assert!(carrier("Sin", I32, 22).unwrap_err().contains("does not take i32"));
    }
}
