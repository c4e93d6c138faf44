//! Tensors as columns.

use crate::failures::{FRAME_OP, column_error, of_polars};
use crate::number::ColumnNumber;
use neurax_tensor::{DType, Element, Error, Result, Tensor};
use polars::prelude::{ChunkedArray, Column, DataFrame, IntoSeries, NamedFrom, PlSmallStr, Series};

/// Returns a frame of tensors: the column `name` for `[rows]` or `[rows, 1]`, and `name_0`,
/// `name_1`, .. for `[rows, n]`. Bools, integers of 8 to 64 bits, f32 and f64 keep their type;
/// f16 and bf16 become f32.
///
/// # Errors
/// If a tensor carries an error, has no or more than two axes, another number of rows, or a dtype
/// that no column has; or if two columns have one name.
///
/// ```
/// use neurax::prelude::*;
/// use neurax_dataframe::frame_of;
/// let points = tensor([[1.0, 2.0], [3.0, 4.0]]);
/// let frame = frame_of(&[("point", &points), ("class", &tensor([0, 1]))])?;
/// assert_eq!(frame.get_column_names(), ["point_0", "point_1", "class"]);
/// # Ok::<(), Error>(())
/// ```
pub fn frame_of(tensors: &[(&str, &Tensor)]) -> Result<DataFrame> {
    let mut columns = Vec::new();
    for (name, tensor) in tensors {
        columns.extend(column_of(name, tensor)?);
    }
    of_polars(DataFrame::new_infer_height(columns))
}

/// Returns the columns of a tensor: see [`frame_of`].
pub(crate) fn column_of(name: &str, tensor: &Tensor) -> Result<Vec<Column>> {
    let ty = tensor.ty()?;
    let names = match ty.shape[..] {
        [_] | [_, 1] => vec![name.to_string()],
        [_, width] => (0..width).map(|i| format!("{name}_{i}")).collect(),
        _ => {
            let why = format!("expected a tensor of [rows] or [rows, columns], got {ty}");
            return Err(Error::new(FRAME_OP, format!("`{name}`: {why}")));
        }
    };
    match ty.dtype {
        DType::Bool => columns(&names, tensor, |name, values: Vec<bool>| Series::new(name, values)),
        DType::U8 => number_columns::<u8>(&names, tensor),
        DType::U16 => number_columns::<u16>(&names, tensor),
        DType::U32 => number_columns::<u32>(&names, tensor),
        DType::U64 => number_columns::<u64>(&names, tensor),
        DType::I8 => number_columns::<i8>(&names, tensor),
        DType::I16 => number_columns::<i16>(&names, tensor),
        DType::I32 => number_columns::<i32>(&names, tensor),
        DType::I64 => number_columns::<i64>(&names, tensor),
        DType::F32 => number_columns::<f32>(&names, tensor),
        DType::F64 => number_columns::<f64>(&names, tensor),
        DType::F16 | DType::BF16 => number_columns::<f32>(&names, &tensor.to(DType::F32)),
        other => {
            let why = format!("no column has the dtype {other}; convert the tensor with `to`");
            Err(column_error(name, why))
        }
    }
}

/// Returns the elements of a tensor of numbers as columns.
fn number_columns<N: ColumnNumber>(names: &[String], tensor: &Tensor) -> Result<Vec<Column>>
where
    ChunkedArray<N::Column>: IntoSeries,
{
    let column = |name, values| ChunkedArray::<N::Column>::from_vec(name, values).into_series();
    columns::<N>(names, tensor, column)
}

/// Returns the elements of a tensor as a column for each of `names`. The elements are read once,
/// row by row; each column of several is a copy of every `names.len()`-th element.
fn columns<T: Element>(
    names: &[String],
    tensor: &Tensor,
    column: impl Fn(PlSmallStr, Vec<T>) -> Series,
) -> Result<Vec<Column>> {
    let rows = tensor.to_vec::<T>()?;
    if let [name] = names {
        return Ok(vec![column(name.as_str().into(), rows).into()]);
    }
    let values = |i: usize| rows.iter().skip(i).step_by(names.len()).copied().collect();
    let columns = names.iter().enumerate();
    Ok(columns.map(|(i, name)| column(name.as_str().into(), values(i)).into()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::{FrameTensors, Nulls};

    #[test]
    fn columns_of_a_matrix_are_its_columns() {
        for dtype in [DType::Bool, DType::U8, DType::I64, DType::F64, DType::F16] {
            let x = (Tensor::arange(12) % 2).to(dtype).reshape([4, 3]);
            let frame = frame_of(&[("x", &x)]).unwrap();
            for i in 0..3 {
                let have = frame.tensor(&format!("x_{i}"), Nulls::Error).unwrap();
                let want = x.index((.., i)).to(have.dtype());
                assert_eq!(have.to_literal().unwrap(), want.to_literal().unwrap(), "{dtype}");
            }
        }
        let empty = frame_of(&[("x", &Tensor::zeros([0, 2]))]).unwrap();
        assert_eq!(empty.shape(), (0, 2));
        assert_eq!(frame_of(&[("x", &Tensor::zeros([2, 0]))]).unwrap().width(), 0);
    }
}
