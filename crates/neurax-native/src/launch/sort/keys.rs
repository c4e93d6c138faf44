//! Sort keys as unsigned integers in the same order.
//!
//! Integers and floats map to unsigned integers of their width that compare alike (the sign bit of
//! an integer is flipped; a negative float is complemented; -0 equals 0, and NaN comes last). The
//! keys of one row are concatenated, most significant key first, as far as they fit into a u64 or
//! u128 with the row index in the low 32 bits: one integer comparison then compares all keys, and
//! the index makes the sort stable.

#![allow(unsafe_code, reason = "elements are read by address")]

use super::radix::RadixWord;
use crate::address::Address;
use neurax_ir::{DType, FloatFormat, Kind};
use std::ops::Range;

/// A packed record of keys, with the row index in its low 32 bits.
pub trait Record: RadixWord {
    /// The bits that are available for keys.
    const KEYS: usize;
    /// The empty record.
    const EMPTY: Self;

    /// Appends the low `bits` bits of `x`.
    fn push(self, bits: usize, x: u64) -> Self;

    /// Appends a row index.
    fn push_row_index(self, i: usize) -> Self {
        self.push(u32::BITS as usize, i as u64)
    }

    /// Returns the row index in the low 32 bits.
    fn row_index(self) -> usize;

    /// Returns the places of keys of `bits` bits.
    fn key_bits(bits: usize) -> Range<u32> {
        u32::BITS..u32::BITS + bits as u32
    }
}

macro_rules! records {
    ($($t:ident),*) => {$(
        impl Record for $t {
            const KEYS: usize = ($t::BITS - u32::BITS) as usize;
            const EMPTY: $t = 0;
            #[inline(always)]
            fn push(self, bits: usize, x: u64) -> $t {
                self << bits | x as $t
            }
            #[inline(always)]
            fn row_index(self) -> usize {
                self as u32 as usize
            }
        }
    )*};
}

records!(u64, u128);

/// One number of a key: the key itself, or its real or imaginary part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyColumn {
    /// The index of the operand.
    pub operand: usize,
    /// The bytes of the number.
    pub bytes: usize,
    /// The numbers of an element: 2 for a complex dtype.
    pub step: usize,
    /// The index of this number in the element.
    part: usize,
    /// The order of the numbers.
    pub order: KeyOrder,
}

/// The order of the numbers that bits stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOrder {
    /// An unsigned integer.
    Unsigned,
    /// A signed integer.
    Signed,
    /// A float; a magnitude above these bits is NaN.
    Float(u64),
}

/// Returns the bits of all columns of a pass.
pub fn bits(pass: &[KeyColumn]) -> usize {
    pass.iter().map(|c| 8 * c.bytes).sum()
}

/// Groups the keys of the dtypes into passes that fit into a record, the least significant first.
pub fn passes(keys: impl Iterator<Item = DType>) -> Box<[Box<[KeyColumn]>]> {
    let mut out: Vec<Vec<KeyColumn>> = vec![vec![]];
    for c in keys.enumerate().flat_map(|(i, d)| columns(i, d)) {
        match out.last_mut() {
            Some(pass) if bits(pass) + 8 * c.bytes <= u128::KEYS => pass.push(c),
            // other: the pass is full.
            _ => out.push(vec![c]),
        }
    }
    out.into_iter().rev().map(Vec::into_boxed_slice).collect()
}

/// Returns the numbers of a key; a complex key has two.
fn columns(operand: usize, d: DType) -> impl Iterator<Item = KeyColumn> {
    let step = 1 + d.is_complex() as usize;
    let order = order(d);
    (0..step).map(move |part| KeyColumn { operand, bytes: d.bits() / 8 / step, step, part, order })
}

/// Returns the order of the numbers of a dtype. For floats it holds the bits of the largest number:
/// infinity, if there is one.
fn order(d: DType) -> KeyOrder {
    match (FloatFormat::of(d.real()), d.kind()) {
        (Some(format), _) => KeyOrder::Float(format.upper_code()),
        (None, Kind::Signed) => KeyOrder::Signed,
        (None, _) => KeyOrder::Unsigned,
    }
}

impl KeyColumn {
    /// Appends the number at each index of `permutation` in the row to its record.
    ///
    /// # Safety
    /// The row begins at `row` and has an element, `stride` elements apart, for each index.
    pub unsafe fn append<R: Record>(
        &self,
        row: Address,
        stride: usize,
        permutation: &[u32],
        records: &mut [R],
    ) {
        // SAFETY: as promised by the caller.
        unsafe {
            match self.bytes {
                1 => self.append_as::<u8, R>(row, stride, permutation, records),
                2 => self.append_as::<u16, R>(row, stride, permutation, records),
                4 => self.append_as::<u32, R>(row, stride, permutation, records),
                8 => self.append_as::<u64, R>(row, stride, permutation, records),
                // empty: `SortTask::new` refuses elements of other sizes.
                _ => {}
            }
        }
    }

    unsafe fn append_as<U: Copy + Into<u64>, R: Record>(
        &self,
        row: Address,
        stride: usize,
        permutation: &[u32],
        records: &mut [R],
    ) {
        let (row, step, bits) =
            (row.0.cast::<U>().wrapping_add(self.part), stride * self.step, 8 * size_of::<U>());
        for (r, &p) in records.iter_mut().zip(permutation) {
            // SAFETY: as promised by the caller.
            let x: u64 = unsafe { *row.add(p as usize * step) }.into();
            *r = r.push(bits, self.order.ordered_bits(x, 1 << (bits - 1)));
        }
    }
}

impl KeyOrder {
    /// Returns the bits `x`, whose highest bit is `sign`, as an integer in the same order.
    #[inline(always)]
    fn ordered_bits(self, x: u64, sign: u64) -> u64 {
        let all = sign | (sign - 1);
        match self {
            KeyOrder::Unsigned => x,
            KeyOrder::Signed => x ^ sign,
            KeyOrder::Float(largest) => match x & !sign {
                magnitude if magnitude > largest => all,
                // -0 is 0.
                0 => sign,
                _ if x & sign != 0 => x ^ all,
                magnitude => magnitude | sign,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_in_order() {
        let rising =
            [f32::NEG_INFINITY, -2.0, -1.0, -1e-45, 0.0, 1e-45, 1.0, 2.0, f32::INFINITY, f32::NAN];
        let key = |x: f32| order(DType::F32).ordered_bits(x.to_bits() as u64, 1 << 31);
        assert!(rising.windows(2).all(|w| key(w[0]) < key(w[1])));
        assert_eq!((key(-0.0), key(-f32::NAN)), (key(0.0), key(f32::NAN)));
        let key = |x: u64| order(DType::F8E4M3FN).ordered_bits(x, 0x80);
        assert!(key(0x7e) < key(0x7f) && key(0x7f) == key(0xff) && key(0xfe) < key(0x81));
    }

    #[test]
    fn keys_share_passes_as_far_as_they_fit() {
        let sizes =
            |d: &[DType]| passes(d.iter().copied()).iter().map(|p| bits(p)).collect::<Vec<_>>();
        assert_eq!(sizes(&[DType::F32]), [32]);
        assert_eq!(sizes(&[DType::C64, DType::F16]), [80]);
        assert_eq!(sizes(&[DType::Bool, DType::C128, DType::I32]), [96, 72]);
    }
}
