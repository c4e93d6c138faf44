//! Tensors as columns.

use crate::failures::{FRAME_OP, column_error, of_polars};
use crate::number::ColumnNumber;
use neurax_tensor::{DType, Error, Result, Tensor};
use polars::prelude::{ChunkedArray, Column, DataFrame, IntoSeries, NamedFrom, Series};

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
    match ty.shape[..] {
        [_] | [_, 1] => Ok(vec![series(name, tensor)?.into()]),
        [_, width] => {
            let column = |i: usize| {
                let values = tensor.index((.., i as i64));
                Ok(series(&format!("{name}_{i}"), &values)?.into())
            };
            (0..width).map(column).collect()
        }
        _ => {
            let why = format!("expected a tensor of [rows] or [rows, columns], got {ty}");
            Err(Error::new(FRAME_OP, format!("`{name}`: {why}")))
        }
    }
}

/// Returns the elements of a tensor as a column. The elements are copied once.
fn series(name: &str, tensor: &Tensor) -> Result<Series> {
    fn of<N: ColumnNumber>(name: &str, tensor: &Tensor) -> Result<Series>
    where
        ChunkedArray<N::Column>: IntoSeries,
    {
        Ok(ChunkedArray::<N::Column>::from_vec(name.into(), tensor.to_vec::<N>()?).into_series())
    }
    match tensor.dtype() {
        DType::Bool => Ok(Series::new(name.into(), tensor.to_vec::<bool>()?)),
        DType::U8 => of::<u8>(name, tensor),
        DType::U16 => of::<u16>(name, tensor),
        DType::U32 => of::<u32>(name, tensor),
        DType::U64 => of::<u64>(name, tensor),
        DType::I8 => of::<i8>(name, tensor),
        DType::I16 => of::<i16>(name, tensor),
        DType::I32 => of::<i32>(name, tensor),
        DType::I64 => of::<i64>(name, tensor),
        DType::F32 => of::<f32>(name, tensor),
        DType::F64 => of::<f64>(name, tensor),
        DType::F16 | DType::BF16 => of::<f32>(name, &tensor.to(DType::F32)),
        other => {
            let why = format!("no column has the dtype {other}; convert the tensor with `to`");
            Err(column_error(name, why))
        }
    }
}
