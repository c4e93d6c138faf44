//! Tensors of messages: the elements come from one of several fields, or from another file.

use crate::dtype::{DataField, ElementType, field_of};
use crate::external::ExternalData;
use crate::proto::TensorProto;
use crate::proto::{DataLocation, MapProto, OptionalProto, SequenceProto, SparseTensorProto};
use crate::value::{MapKey, OnnxValue, Strings};
use bytes::Bytes;
use neurax_ir::{DType, Error, Result};
use neurax_tensor::{Tensor, Tree};
use std::sync::Arc;

/// Returns the value of a tensor message.
///
/// # Errors
/// If the elements do not fit the type, or their file cannot be read.
pub(crate) fn tensor_value(t: &TensorProto, files: &ExternalData) -> Result<OnnxValue> {
    tensor_elements(t, files)
        .map_err(|e| Error::new("onnx", format!("tensor `{}`: {}", t.name, e.message())))
}

/// Returns the value of a tensor message, as [`tensor_value`] does, with errors that do not name
/// the tensor.
pub(crate) fn tensor_elements(t: &TensorProto, files: &ExternalData) -> Result<OnnxValue> {
    let shape = sizes(&t.dims)?;
    match ElementType::of_number(t.data_type.into()) {
        Some(ElementType::String) => strings(shape, &t.string_data).map(OnnxValue::Strings),
        Some(ElementType::Number(dtype)) => number_tensor(t, dtype, &shape, files),
        None => Err(invalid(format!("{} is not the number of a dtype", t.data_type))),
    }
}

/// Returns the dense tensor of a sparse one.
///
/// # Errors
/// If the parts do not fit together.
pub(crate) fn sparse_value(t: &SparseTensorProto, files: &ExternalData) -> Result<OnnxValue> {
    let part = |p: &Option<TensorProto>, what: &str| match p {
        Some(p) => tensor_value(p, files),
        None => Err(invalid(format!("a sparse tensor without {what}"))),
    };
    let (values, indices) = (part(&t.values, "values")?, part(&t.indices, "indices")?);
    let (OnnxValue::Tensor(values), OnnxValue::Tensor(indices)) = (values, indices) else {
        return Err(invalid("expected numbers in a sparse tensor, got strings"));
    };
    let shape = sizes(&t.dims)?;
    let size = size_of(&shape)?;
    let flat = flat_indices(&indices, &shape)?;
    if values.shape()[..] != [flat.len()] {
        let want = format!("values [{}], one for each index", flat.len());
        return Err(invalid(format!("expected {want}, got {}", values.ty()?)));
    }
    let bytes = |count: usize| count.saturating_mul(values.dtype().bits()).div_ceil(8);
    files.take_dense(bytes(flat.len()), bytes(size))?;
    neurax_ir::check_memory(bytes(size))?;
    let count = flat.len();
    let flat = Tensor::from_vec(flat, count);
    let dense = Tensor::zeros_of(values.dtype(), size).at(flat).set(values);
    Ok(OnnxValue::Tensor(dense.reshape(shape).ok()?))
}

/// Returns the value of a sequence message.
///
/// # Errors
/// As for [`tensor_value`], or if the kind of the elements is unknown.
pub(crate) fn sequence_value(s: &SequenceProto, files: &ExternalData) -> Result<OnnxValue> {
    let elements: Result<Vec<OnnxValue>> = match s.elem_type {
        0 | 1 => s.tensor_values.iter().map(|t| tensor_value(t, files)).collect(),
        2 => s.sparse_tensor_values.iter().map(|t| sparse_value(t, files)).collect(),
        3 => s.sequence_values.iter().map(|t| sequence_value(t, files)).collect(),
        4 => s.map_values.iter().map(|t| map_value(t, files)).collect(),
        5 => s.optional_values.iter().map(|t| optional_value(t, files)).collect(),
        kind => Err(invalid(format!("{kind} is not the number of a kind of values"))),
    };
    elements.map(OnnxValue::Sequence)
}

/// Returns the value of an optional message.
///
/// # Errors
/// As for [`sequence_value`].
pub(crate) fn optional_value(o: &OptionalProto, files: &ExternalData) -> Result<OnnxValue> {
    let value = match o {
        OptionalProto { tensor_value: Some(t), .. } => Some(tensor_value(t, files)?),
        OptionalProto { sparse_tensor_value: Some(t), .. } => Some(sparse_value(t, files)?),
        OptionalProto { sequence_value: Some(s), .. } => Some(sequence_value(s, files)?),
        OptionalProto { map_value: Some(m), .. } => Some(map_value(m, files)?),
        OptionalProto { optional_value: Some(o), .. } => Some(optional_value(o, files)?),
        _ => None,
    };
    Ok(OnnxValue::Optional(value.map(Box::new)))
}

fn map_value(m: &MapProto, files: &ExternalData) -> Result<OnnxValue> {
    let values = match &m.values {
        Some(values) => sequence_value(values, files)?,
        None => OnnxValue::Sequence(Vec::new()),
    };
    let OnnxValue::Sequence(values) = values else {
        return Err(Error::bug("a map of no sequence"));
    };
    let keys = match m.string_keys.is_empty() {
        true => m.keys.iter().map(|&k| MapKey::Int(k)).collect(),
        false => {
            m.string_keys.iter().map(|k| utf8(k).map(MapKey::String)).collect::<Result<_>>()?
        }
    };
    let keys: Vec<MapKey> = keys;
    if keys.len() != values.len() {
        let why = format!("a map of {} keys and {} values", keys.len(), values.len());
        return Err(invalid(why));
    }
    Ok(OnnxValue::Map(keys.into_iter().zip(values).collect()))
}

/// Returns sizes of axes as integers in range.
///
/// # Errors
/// If a size is negative.
pub(crate) fn sizes(dims: &[i64]) -> Result<Vec<usize>> {
    let size = |&d: &i64| {
        usize::try_from(d).map_err(|_| invalid(format!("expected sizes of axes, got {dims:?}")))
    };
    dims.iter().map(size).collect()
}

fn size_of(shape: &[usize]) -> Result<usize> {
    let size = shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
    size.ok_or_else(|| invalid(format!("the shape {shape:?} has too many elements")))
}

fn number_tensor(
    t: &TensorProto,
    dtype: DType,
    shape: &[usize],
    files: &ExternalData,
) -> Result<OnnxValue> {
    let bytes = if t.data_location == DataLocation::External as i32 {
        files.read(&t.external_data, bytes_of(dtype, shape)?)?
    } else {
        match &t.raw_data {
            Some(raw) if !raw.is_empty() => unpacked_f6(raw.clone(), dtype, size_of(shape)?),
            _ => typed_bytes(t, dtype)?.into(),
        }
    };
    let expected = bytes_of(dtype, shape)?;
    if bytes.len() != expected {
        let ty = neurax_ir::Type::new(dtype, shape.to_vec());
        let why = format!("expected {expected} bytes for {ty}, got {}", bytes.len());
        return Err(invalid(why));
    }
    let bytes = without_unused_bits(bytes, dtype, size_of(shape)?);
    let owner: Arc<dyn AsRef<[u8]> + Send + Sync> = Arc::new(bytes);
    Ok(OnnxValue::Tensor(Tensor::from_bytes(owner, dtype, shape).ok()?))
}

/// Returns the bytes of elements of 6 bits, which are packed in raw data, the first in the lowest
/// bits; other elements stay as they are. Data of another length stay, too: the check of the length
/// reports them.
fn unpacked_f6(raw: Bytes, dtype: DType, size: usize) -> Bytes {
    let is_f6 = matches!(dtype, DType::F6E2M3FN | DType::F6E3M2FN);
    if !is_f6 || size.checked_mul(6).map(|bits| bits.div_ceil(8)) != Some(raw.len()) {
        return raw;
    }
    let bit = |at: usize| raw[at / 8] >> (at % 8) & 1;
    (0..size).map(|i| (0..6).map(|k| bit(6 * i + k) << k).sum::<u8>()).collect::<Vec<u8>>().into()
}

/// Returns the number of bytes of a tensor.
fn bytes_of(dtype: DType, shape: &[usize]) -> Result<usize> {
    let bits = size_of(shape)?.checked_mul(dtype.bits());
    let bits = bits.ok_or_else(|| invalid(format!("the shape {shape:?} is too large")))?;
    Ok(bits.div_ceil(8))
}

/// Returns the little-endian bytes of the elements in the typed field of `dtype`. The numbers of
/// `int32_data` hold narrower elements in their low bits: an element each, or the byte of several
/// packed ones.
fn typed_bytes(t: &TensorProto, dtype: DType) -> Result<Vec<u8>> {
    let field = field_of(dtype).ok_or_else(|| Error::bug("a dtype without a field"))?;
    let width = (dtype.real().bits() / 8).max(1);
    Ok(match field {
        DataField::Float => t.float_data.iter().flat_map(|x| x.to_le_bytes()).collect(),
        DataField::Double => t.double_data.iter().flat_map(|x| x.to_le_bytes()).collect(),
        DataField::Int64 => t.int64_data.iter().flat_map(|x| x.to_le_bytes()).collect(),
        DataField::Int32 => low_bytes(t.int32_data.iter().map(|x| x.to_le_bytes()), width),
        DataField::Uint64 => low_bytes(t.uint64_data.iter().map(|x| x.to_le_bytes()), width),
    })
}

fn low_bytes<const N: usize>(xs: impl Iterator<Item = [u8; N]>, width: usize) -> Vec<u8> {
    xs.flat_map(|x| x.into_iter().take(width)).collect()
}

/// Clears the bits behind the last packed element, which writers leave as they are.
fn without_unused_bits(bytes: Bytes, dtype: DType, size: usize) -> Bytes {
    let used = size.saturating_mul(dtype.bits()) % 8;
    match bytes.last() {
        Some(&last) if used != 0 && last >> used != 0 => {
            let mut copy = bytes.to_vec();
            if let Some(last) = copy.last_mut() {
                *last &= (1 << used) - 1;
            }
            copy.into()
        }
        _ => bytes,
    }
}

fn strings(shape: Vec<usize>, data: &[Bytes]) -> Result<Strings> {
    Strings::new(shape, data.iter().map(utf8).collect::<Result<_>>()?)
}

/// Returns bytes as a string.
///
/// # Errors
/// If they are not UTF-8.
pub(crate) fn utf8(bytes: &Bytes) -> Result<String> {
    let text = std::str::from_utf8(bytes).map_err(|e| invalid(format!("expected UTF-8: {e}")))?;
    Ok(text.to_string())
}

/// Returns the indices into the flattened tensor of a shape, whose size is in range. They are given
/// as such, or as rows of indices into the axes.
///
/// # Errors
/// If they have another type, or one is out of range of the tensor or of its axis.
fn flat_indices(indices: &Tensor, shape: &[usize]) -> Result<Vec<i64>> {
    let size = size_of(shape)?;
    let axes: &[usize] = match indices.rank() {
        1 => std::slice::from_ref(&size),
        2 if indices.dim(1) == shape.len() => shape,
        _ => {
            let want = format!("indices [count] or [count, {}]", shape.len());
            return Err(invalid(format!("expected {want}, got {}", indices.ty()?)));
        }
    };
    if indices.dtype() != DType::I64 {
        return Err(invalid(format!("expected indices of i64, got {}", indices.ty()?)));
    }
    let all = indices.to_vec::<i64>()?;
    let flat = |row: &[i64]| {
        row.iter().zip(axes).try_fold(0, |flat, (&i, &size)| match usize::try_from(i) {
            Ok(i) if i < size => Ok(flat * size + i),
            _ => Err(invalid(format!("the index {row:?} is out of range for shape {shape:?}"))),
        })
    };
    match axes.len() {
        // A scalar has one element, at no indices.
        0 => Ok(vec![0; indices.dim(0)]),
        n => all.chunks_exact(n).map(|row| Ok(flat(row)? as i64)).collect(),
    }
}

fn invalid(why: impl Into<String>) -> Error {
    Error::new("onnx", why)
}
