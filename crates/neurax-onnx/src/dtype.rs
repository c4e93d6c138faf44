//! The element types of ONNX: their numbers, names, and the field of a message that has the
//! elements of each.

use neurax_ir::DType;

/// An element type: that of a tensor, or strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ElementType {
    Number(DType),
    String,
}

/// A field of a `TensorProto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DataField {
    Float,
    Double,
    Int32,
    Int64,
    Uint64,
}

/// The numbers of the dtypes in files, `TensorProto.DataType`, their names, and the field of the
/// elements if they are not raw.
const ONNX_DTYPES: &[(i32, &str, DType, DataField)] = {
    use DataField::*;
    &[
        (1, "FLOAT", DType::F32, Float),
        (2, "UINT8", DType::U8, Int32),
        (3, "INT8", DType::I8, Int32),
        (4, "UINT16", DType::U16, Int32),
        (5, "INT16", DType::I16, Int32),
        (6, "INT32", DType::I32, Int32),
        (7, "INT64", DType::I64, Int64),
        (9, "BOOL", DType::Bool, Int32),
        (10, "FLOAT16", DType::F16, Int32),
        (11, "DOUBLE", DType::F64, Double),
        (12, "UINT32", DType::U32, Uint64),
        (13, "UINT64", DType::U64, Uint64),
        (14, "COMPLEX64", DType::C64, Float),
        (15, "COMPLEX128", DType::C128, Double),
        (16, "BFLOAT16", DType::BF16, Int32),
        (17, "FLOAT8E4M3FN", DType::F8E4M3FN, Int32),
        (18, "FLOAT8E4M3FNUZ", DType::F8E4M3FNUZ, Int32),
        (19, "FLOAT8E5M2", DType::F8E5M2, Int32),
        (20, "FLOAT8E5M2FNUZ", DType::F8E5M2FNUZ, Int32),
        (21, "UINT4", DType::U4, Int32),
        (22, "INT4", DType::I4, Int32),
        (23, "FLOAT4E2M1", DType::F4E2M1FN, Int32),
        (24, "FLOAT8E8M0", DType::F8E8M0FNU, Int32),
        (25, "UINT2", DType::U2, Int32),
        (26, "INT2", DType::I2, Int32),
        (27, "FLOAT6E2M3", DType::F6E2M3FN, Int32),
        (28, "FLOAT6E3M2", DType::F6E3M2FN, Int32),
    ]
};

/// The number of strings.
const STRING: i32 = 8;

impl ElementType {
    /// Returns the element type with this number.
    pub(crate) fn of_number(number: i64) -> Option<ElementType> {
        if number == i64::from(STRING) {
            return Some(ElementType::String);
        }
        let row = ONNX_DTYPES.iter().find(|row| i64::from(row.0) == number)?;
        Some(ElementType::Number(row.2))
    }

    /// Returns the element type with this name, which is how models before version 6 of `Cast`
    /// write it.
    pub(crate) fn of_name(name: &str) -> Option<ElementType> {
        if name == "STRING" {
            return Some(ElementType::String);
        }
        let row = ONNX_DTYPES.iter().find(|row| row.1 == name)?;
        Some(ElementType::Number(row.2))
    }
}

/// Returns the number of `dtype` in files; `None` if files have no such dtype.
pub(crate) fn number_of(dtype: DType) -> Option<i32> {
    ONNX_DTYPES.iter().find(|row| row.2 == dtype).map(|row| row.0)
}

/// Returns the field with the elements of `dtype`; `None` if files have no such dtype.
pub(crate) fn field_of(dtype: DType) -> Option<DataField> {
    ONNX_DTYPES.iter().find(|row| row.2 == dtype).map(|row| row.3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_those_of_onnx() {
        assert_eq!(ElementType::of_number(16), Some(ElementType::Number(DType::BF16)));
        assert_eq!(ElementType::of_number(8), Some(ElementType::String));
        assert_eq!(ElementType::of_name("DOUBLE"), Some(ElementType::Number(DType::F64)));
        assert_eq!(ElementType::of_number(0), None);
        assert_eq!(ElementType::of_number(29), None);
    }
}
