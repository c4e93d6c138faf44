//! Keys as unsigned integers in the same order, several of them in one integer as far as they fit.

#![allow(unsafe_code, reason = "elements are read by address")]

use crate::launch::frame::Address;
use neurax_ir::{DType, Kind};

/// Keys and a place, one after the other from the highest bits on.
pub trait Record: Copy + Ord {
    /// Bits for keys.
    const KEYS: usize;
    /// Nothing yet.
    const EMPTY: Self;

    /// With so many bits behind it.
    fn push(self, bits: usize, x: u64) -> Self;

    /// The last thing in it.
    fn row_index(self) -> usize;
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

/// One number of a key: all of it, or the real or imaginary part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyColumn {
    /// Which operand it is of.
    pub operand: usize,
    /// Bytes of the number.
    pub bytes: usize,
    /// Numbers of an element, and which of them this is.
    pub step: usize,
    part: usize,
    order: KeyOrder,
}

/// How bits are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyOrder {
    Unsigned,
    Signed,
    /// What lies above these bits, but for the sign, is NaN.
    Float(u64),
}

/// Bits of all those.
pub fn bits(pass: &[KeyColumn]) -> usize {
    pass.iter().map(|c| 8 * c.bytes).sum()
}

/// The keys of those dtypes in groups that fit into a record, the last one first.
pub fn passes(keys: impl Iterator<Item = DType>) -> Box<[Box<[KeyColumn]>]> {
    let mut out: Vec<Vec<KeyColumn>> = vec![vec![]];
    for c in keys.enumerate().flat_map(|(i, d)| columns(i, d)) {
        match out.last_mut() {
            Some(pass) if bits(pass) + 8 * c.bytes <= u128::KEYS => pass.push(c),
            _ => out.push(vec![c]),
        }
    }
    out.into_iter().rev().map(Vec::into_boxed_slice).collect()
}

/// The numbers of a key; a complex one is two.
fn columns(operand: usize, d: DType) -> impl Iterator<Item = KeyColumn> {
    let step = 1 + d.is_complex() as usize;
    let order = match d.kind() {
        Kind::Bool | Kind::Unsigned => KeyOrder::Unsigned,
        Kind::Signed => KeyOrder::Signed,
        Kind::Float | Kind::Complex => KeyOrder::Float(largest(d)),
    };
    (0..step).map(move |part| KeyColumn { operand, bytes: d.bits() / 8 / step, step, part, order })
}

/// The bits of the largest number of a dtype of floats: infinity, if it has one.
fn largest(d: DType) -> u64 {
    match d {
        DType::F8E4M3FN => 0x7e,
        DType::F8E5M2 => 0x7c,
        DType::F16 => 0x7c00,
        DType::BF16 => 0x7f80,
        DType::F32 | DType::C64 => f32::INFINITY.to_bits() as u64,
        _ => f64::INFINITY.to_bits(),
    }
}

impl KeyColumn {
    /// Adds the number of each of those places in a row to its record.
    ///
    /// # Safety
    /// The row begins there and has those places, so many elements apart.
    pub unsafe fn append<R: Record>(
        &self,
        row: Address,
        stride: usize,
        places: &[u32],
        records: &mut [R],
    ) {
        // SAFETY: as promised by the caller.
        unsafe {
            match self.bytes {
                1 => self.append_as::<u8, R>(row, stride, places, records),
                2 => self.append_as::<u16, R>(row, stride, places, records),
                4 => self.append_as::<u32, R>(row, stride, places, records),
                _ => self.append_as::<u64, R>(row, stride, places, records),
            }
        }
    }

    unsafe fn append_as<U: Copy + Into<u64>, R: Record>(
        &self,
        row: Address,
        stride: usize,
        places: &[u32],
        records: &mut [R],
    ) {
        let (row, step, bits) =
            (row.0.cast::<U>().wrapping_add(self.part), stride * self.step, 8 * size_of::<U>());
        for (r, &p) in records.iter_mut().zip(places) {
            // SAFETY: as promised by the caller.
            let x: u64 = unsafe { *row.add(p as usize * step) }.into();
            *r = r.push(bits, self.order.ordered_bits(x, 1 << (bits - 1)));
        }
    }
}

impl KeyOrder {
    /// Those bits, of which `sign` is the first, as an integer in the same order.
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
        let key =
            |x: f32| KeyOrder::Float(largest(DType::F32)).ordered_bits(x.to_bits() as u64, 1 << 31);
        assert!(rising.windows(2).all(|w| key(w[0]) < key(w[1])));
        assert_eq!((key(-0.0), key(-f32::NAN)), (key(0.0), key(f32::NAN)));
        let key = |x: u64| KeyOrder::Float(largest(DType::F8E4M3FN)).ordered_bits(x, 0x80);
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
