//! The last step of a convolution: bias, addition and limits, before sums are stored.

#![allow(unsafe_code, reason = "arrays are read by address")]

use super::sixteen_lanes::SixteenLanes;

/// A bias, an array that is added, and limits, for some features of some places.
#[derive(Clone, Copy)]
pub struct SumFinish {
    /// The bias of the first feature.
    pub bias: *const f32,
    /// The first number to be added, or null.
    pub added: *const f32,
    pub limits: ResultLimits,
}

/// The least and the greatest number of a result.
#[derive(Clone, Copy, Debug)]
pub struct ResultLimits {
    pub low: f32,
    pub high: f32,
}

impl SumFinish {
    /// Returns what is to be done `offset` numbers further on in the array that is added, and
    /// `feature` features further on.
    pub fn at(&self, offset: usize, feature: usize) -> SumFinish {
        let added = match self.added.is_null() {
            true => self.added,
            false => self.added.wrapping_add(offset),
        };
        SumFinish { bias: self.bias.wrapping_add(feature), added, ..*self }
    }
}

impl ResultLimits {
    /// ResultLimits all numbers; NaN stays.
    ///
    /// # Safety
    /// The CPU has the vectors.
    #[inline(always)]
    pub unsafe fn apply<V: SixteenLanes>(&self, all: &mut [V]) {
        // SAFETY: as promised by the caller.
        unsafe {
            if self.low > f32::NEG_INFINITY {
                let low = V::splat(&self.low);
                for x in all.iter_mut() {
                    *x = x.max(low);
                }
            }
            if self.low == 0.0 {
                // Of two zeros, the positive one is the greater one.
                for x in all.iter_mut() {
                    *x = x.add(V::zero());
                }
            }
            if self.high < f32::INFINITY {
                let high = V::splat(&self.high);
                for x in all.iter_mut() {
                    *x = x.min(high);
                }
            }
        }
    }
}

/// Reads the first `count` of 16 numbers.
///
/// # Safety
/// As [`SixteenLanes::load_some`].
#[inline(always)]
pub unsafe fn load<V: SixteenLanes>(from: *const f32, count: usize) -> V {
    // SAFETY: as promised by the caller.
    unsafe { if count < 16 { V::load_some(from, count) } else { V::load(from) } }
}

/// Writes the first `count` of 16 numbers.
///
/// # Safety
/// As [`SixteenLanes::store_some`].
#[inline(always)]
pub unsafe fn store<V: SixteenLanes>(x: V, to: *mut f32, count: usize) {
    // SAFETY: as promised by the caller.
    unsafe { if count < 16 { x.store_some(to, count) } else { x.store(to) } }
}
