//! Sorts of values alone: one operand, which is the key.
//!
//! The bits of an element become an unsigned integer in the same order, and the integers are
//! sorted and become elements again. That is a stable sort unless elements with different bits are
//! equal, as 0 and -0, or two kinds of NaN: such rows are sorted with the row index (`keys`).
//!
//! ```text
//! [2.0, -1.0] -> [c0000000, 407fffff] -> [407fffff, c0000000] -> [-1.0, 2.0]
//! ```

#![allow(unsafe_code, reason = "buffers are read and written by address")]

use super::{
    super::{pool::Pool, shared_array::SharedArray},
    keys::KeyOrder,
    radix::{self, RadixWord},
};
use crate::tuning::RADIX_MIN_ELEMENTS;
use std::{
    ops::{BitAnd, BitOr, BitXor, Sub},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

/// The bits of an element.
pub trait Bits:
    RadixWord
    + BitAnd<Output = Self>
    + BitOr<Output = Self>
    + BitXor<Output = Self>
    + Sub<Output = Self>
{
    /// The bits of the integer 1.
    const ONE: Self;
    /// The highest bit.
    const SIGN: Self;

    /// Returns all ones if the highest bit is set, else 0.
    fn spread_sign(self) -> Self;

    /// Returns the low bits of `x`.
    fn low(x: u64) -> Self;
}

macro_rules! bits {
    ($($t:ident, $signed:ident;)*) => {$(
        impl Bits for $t {
            const ONE: $t = 1;
            const SIGN: $t = 1 << ($t::BITS - 1);
            #[inline(always)]
            fn spread_sign(self) -> $t {
                (self as $signed >> ($t::BITS - 1)) as $t
            }
            #[inline(always)]
            fn low(x: u64) -> $t {
                x as $t
            }
        }
    )*};
}

bits!(u8, i8; u16, i16; u32, i32; u64, i64;);

/// A row of elements, and where its sorted elements go.
#[derive(Clone, Copy)]
pub struct ValueRow<T> {
    /// The first element.
    pub from: SharedArray<T>,
    /// The place of the first sorted element, which may be that of the first element.
    pub to: SharedArray<T>,
    /// The stride of both, in elements.
    pub stride: usize,
    /// The number of elements.
    pub n: usize,
    /// Memory for `n` elements.
    pub spare: SharedArray<T>,
    /// Other memory for `n` elements; it may be that of the result if the stride is 1.
    pub other: SharedArray<T>,
}

impl<T: Bits> ValueRow<T> {
    /// Returns true if the row is sorted now; false, without a result, if elements that differ are
    /// equal.
    ///
    /// # Safety
    /// The addresses are as the fields say, and no other thread uses this memory.
    pub unsafe fn sort(&self, order: KeyOrder, pool: &Pool) -> bool {
        // SAFETY: as promised by the caller.
        unsafe {
            match order {
                KeyOrder::Unsigned => self.sort_as(pool, |x| (x, true), |x| x),
                KeyOrder::Signed => self.sort_as(pool, |x| (x ^ T::SIGN, true), |x| x ^ T::SIGN),
                KeyOrder::Float(largest) => {
                    let (largest, magnitude) = (T::low(largest), T::SIGN - T::ONE);
                    let encode = move |x: T| {
                        let is_alone = (x & magnitude <= largest) & (x != T::SIGN);
                        (x ^ (x.spread_sign() | T::SIGN), is_alone)
                    };
                    let decode = move |x: T| x ^ ((x ^ T::SIGN).spread_sign() | T::SIGN);
                    self.sort_as(pool, encode, decode)
                }
            }
        }
    }

    /// Returns true if the row is sorted now, by the integers that `encode` gives. It also says
    /// whether an element is equal to itself only.
    ///
    /// # Safety
    /// As [`ValueRow::sort`].
    unsafe fn sort_as(
        &self,
        pool: &Pool,
        encode: impl Fn(T) -> (T, bool) + Sync,
        decode: impl Fn(T) -> T + Sync,
    ) -> bool {
        let &ValueRow { from, to, stride, n, spare, other } = self;
        let has_equal = AtomicBool::new(false);
        radix::in_chunks(n, pool, |_, range| {
            let mut all_alone = true;
            // SAFETY: as promised by the caller; chunks write different elements.
            let codes = unsafe { spare.range(range.clone()) };
            let mut put = |code: &mut T, x: T| {
                let (encoded, is_alone) = encode(x);
                *code = encoded;
                all_alone &= is_alone;
            };
            // SAFETY: the row has these elements, which are only read.
            unsafe {
                if stride == 1 {
                    codes.iter_mut().zip(&*from.range(range)).for_each(|(c, &x)| put(c, x));
                } else {
                    codes.iter_mut().zip(range).for_each(|(c, i)| put(c, *from.at(i * stride)));
                }
            }
            has_equal.fetch_or(!all_alone, Relaxed);
        });
        if has_equal.load(Relaxed) {
            return false;
        }
        // SAFETY: as promised by the caller.
        let sorted = unsafe {
            if n < RADIX_MIN_ELEMENTS {
                spare.range(0..n).sort_unstable();
                spare
            } else {
                radix::sort(spare, other, n, 0..8 * size_of::<T>() as u32, pool)
            }
        };
        radix::in_chunks(n, pool, |_, range| {
            // SAFETY: chunks write different elements. The sorted ones are those at `to`, which
            // are then replaced one by one, or others.
            unsafe {
                for i in range {
                    let x = decode(*sorted.at(i));
                    to.at(i * stride).write(x);
                }
            }
        });
        true
    }
}
