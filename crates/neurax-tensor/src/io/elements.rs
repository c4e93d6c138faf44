//! The bytes of elements: their byte order, their layout, and reading them without trust in the
//! size that a file declares.

use neurax_ir::{Bytes, DType, Error, FloatFormat, Literal, Result, Type};
use std::{borrow::Cow, io::Read};

/// The most bytes that are allocated before any of them was read from a stream of unknown length.
const MAX_UNREAD_BYTES: usize = 1 << 16;

/// Converts the bytes of elements between the byte order of this machine and little-endian, the
/// order of files.
pub(super) fn little_endian(bytes: &[u8], dtype: DType) -> Cow<'_, [u8]> {
    if cfg!(target_endian = "little") {
        Cow::Borrowed(bytes)
    } else {
        Cow::Owned(byte_swapped(bytes, dtype))
    }
}

/// Returns the bytes with those of every number in reverse order.
pub(super) fn byte_swapped(bytes: &[u8], dtype: DType) -> Vec<u8> {
    let numbers = if dtype.is_complex() { 2 } else { 1 };
    let width = (dtype.bits() / 8 / numbers).max(1);
    bytes.chunks(width).flat_map(|number| number.iter().rev().copied()).collect()
}

/// Creates a literal of bytes in the byte order of this machine, whose values are checked.
///
/// # Errors
/// When the length is not that of the type; a byte of a bool is neither 0 nor 1; or unused bits
/// of 6-bit floats or behind packed elements are set.
pub(super) fn literal(ty: Type, bytes: Bytes) -> Result<Literal> {
    if let Err(why) = check_values(&ty, &bytes) {
        return Err(Error::new("literal", why));
    }
    Literal::new(ty, bytes)
}

/// Checks that every element of `bytes` is a value of the type.
fn check_values(ty: &Type, bytes: &[u8]) -> Result<(), String> {
    if ty.dtype == DType::Bool && bytes.iter().any(|&b| b > 1) {
        return Err("expected bytes of 0 and 1 for bool elements, got others".into());
    }
    if let Some(format) = FloatFormat::of(ty.dtype).filter(|f| f.bits() < 8)
        && ty.dtype.bits() == 8
        && bytes.iter().any(|b| b >> format.bits() != 0)
    {
        return Err(format!("expected zeros in the unused bits of the elements of {ty}"));
    }
    let used = ty.size().saturating_mul(ty.dtype.bits()) % 8;
    let rest = bytes.last().filter(|_| used > 0).map_or(0, |last| last >> used);
    match rest {
        0 => Ok(()),
        _ => Err(format!("expected zeros in the unused bits of the last byte of {ty}")),
    }
}

/// Reads `n` bytes. Memory grows with what is read.
///
/// # Errors
/// When there are fewer, or the memory is not enough.
pub(super) fn read_bytes(from: &mut impl Read, n: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(n.min(MAX_UNREAD_BYTES));
    let read = from.take(n as u64).read_to_end(&mut bytes);
    read.map_err(|e| Error::new("read", e.to_string()))?;
    match bytes.len() == n {
        true => Ok(bytes),
        false => {
            let why =
                format!("expected {n} bytes of elements, got {}: it is cut short", bytes.len());
            Err(Error::new("read", why))
        }
    }
}

/// Returns elements of `width` bytes in row-major order, which lie at `strides` (in bytes) behind
/// `offset`; `None` if one of them is out of bounds.
pub(super) fn row_major(
    bytes: &[u8],
    offset: usize,
    width: usize,
    shape: &[usize],
    strides: &[isize],
) -> Option<Vec<u8>> {
    let size = shape.iter().try_fold(width, |n, &d| n.checked_mul(d));
    if shape.contains(&0) {
        return Some(Vec::new());
    }
    let mut out = Vec::new();
    out.try_reserve_exact(size?).ok()?;
    let (inner, outer) = match shape.split_last() {
        Some((&inner, outer)) => (inner, outer),
        None => (1, shape),
    };
    let step = strides.last().copied().unwrap_or(0);
    let mut index = vec![0; outer.len()];
    let mut row = isize::try_from(offset).ok()?;
    loop {
        copy_row(bytes, row, width, inner, step, &mut out)?;
        // The odometer of the outer axes.
        let mut axis = outer.len();
        loop {
            axis = match axis.checked_sub(1) {
                Some(axis) => axis,
                None => return Some(out),
            };
            index[axis] += 1;
            row = row.checked_add(strides[axis])?;
            if index[axis] < outer[axis] {
                break;
            }
            row = row.checked_sub(strides[axis].checked_mul(outer[axis] as isize)?)?;
            index[axis] = 0;
        }
    }
}

/// Appends `count` elements of `width` bytes, `step` bytes apart, from byte `at` on.
fn copy_row(
    bytes: &[u8],
    at: isize,
    width: usize,
    count: usize,
    step: isize,
    out: &mut Vec<u8>,
) -> Option<()> {
    if step == width as isize {
        let start = usize::try_from(at).ok()?;
        out.extend_from_slice(bytes.get(start..start.checked_add(width.checked_mul(count)?)?)?);
        return Some(());
    }
    for i in 0..count as isize {
        let start = usize::try_from(at.checked_add(step.checked_mul(i)?)?).ok()?;
        out.extend_from_slice(bytes.get(start..start.checked_add(width)?)?);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_swapped_number_by_number() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(byte_swapped(&bytes, DType::U8), bytes);
        assert_eq!(byte_swapped(&bytes, DType::BF16), [2, 1, 4, 3, 6, 5, 8, 7]);
        assert_eq!(byte_swapped(&bytes, DType::F64), [8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(
            byte_swapped(&bytes, DType::C64),
            [4, 3, 2, 1, 8, 7, 6, 5],
            "the two parts of a complex number"
        );
    }

    #[test]
    fn strides_become_row_major() {
        let bytes: Vec<u8> = (0..12).collect();
        // [2, 3] of two bytes in column-major order.
        let columns = row_major(&bytes, 0, 2, &[2, 3], &[2, 4]).unwrap();
        assert_eq!(columns, [0, 1, 4, 5, 8, 9, 2, 3, 6, 7, 10, 11]);
        let reversed = row_major(&bytes, 11, 1, &[3], &[-4]).unwrap();
        assert_eq!(reversed, [11, 7, 3]);
        assert_eq!(row_major(&bytes, 4, 4, &[], &[]).unwrap(), [4, 5, 6, 7]);
        assert_eq!(row_major(&bytes, 5, 1, &[2, 2], &[0, 1]).unwrap(), [5, 6, 5, 6]);
        assert_eq!(row_major(&bytes, 0, 1, &[usize::MAX, 0], &[1, 1]).unwrap(), [0u8; 0]);
        for (offset, shape, strides) in
            [(0, [13, 1], [1, 1]), (2, [2, 2], [-2, -1]), (0, [2, 2], [isize::MAX, 1])]
        {
            assert_eq!(row_major(&bytes, offset, 1, &shape, &strides), None);
        }
    }

    #[test]
    fn values_that_the_dtype_lacks_are_refused() {
        let of =
            |dtype, n: usize, bytes: &[u8]| literal(Type::new(dtype, [n]), Bytes::copy_of(bytes));
        assert!(of(DType::Bool, 2, &[0, 2]).is_err());
        assert!(of(DType::I4, 3, &[0xff, 0x1f]).is_err());
        assert!(of(DType::I4, 3, &[0xff, 0x0f]).is_ok());
        assert!(of(DType::U2, 4, &[0xff]).is_ok());
        assert!(of(DType::F6E2M3FN, 2, &[0x3f, 0x40]).is_err());
        assert!(of(DType::F6E2M3FN, 2, &[0x3f, 0x20]).is_ok());
    }
}
