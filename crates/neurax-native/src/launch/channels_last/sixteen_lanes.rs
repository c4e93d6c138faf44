//! Sixteen numbers of f32 in the vectors of a CPU.
//!
//! The methods are inlined into functions that enable the vectors' instructions; called elsewhere,
//! they are slow.

#![allow(unsafe_code, reason = "vectors are read and written by address")]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Sixteen numbers.
///
/// # Safety
/// The CPU has the vectors; addresses are those of 16 numbers, for [`SixteenLanes::splat`] of one.
pub unsafe trait SixteenLanes: Copy {
    unsafe fn zero() -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn splat(from: *const f32) -> Self;
    /// Returns `self * factor + sum`.
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    /// Returns the greater of each two numbers; NaN of `self` stays.
    unsafe fn max(self, low: Self) -> Self;
    /// Returns the smaller of each two numbers; NaN of `self` stays.
    unsafe fn min(self, high: Self) -> Self;
    unsafe fn store(self, to: *mut f32);

    /// Reads the first `count` numbers, at most 16; the others are zeros.
    #[inline(always)]
    unsafe fn load_some(from: *const f32, count: usize) -> Self {
        let mut all = [0f32; 16];
        // SAFETY: as promised by the caller.
        unsafe {
            all.as_mut_ptr().copy_from_nonoverlapping(from, count);
            Self::load(all.as_ptr())
        }
    }

    /// Writes the first `count` numbers, at most 16.
    #[inline(always)]
    unsafe fn store_some(self, to: *mut f32, count: usize) {
        let mut all = [0f32; 16];
        // SAFETY: as promised by the caller.
        unsafe {
            self.store(all.as_mut_ptr());
            to.copy_from_nonoverlapping(all.as_ptr(), count);
        }
    }
}

#[cfg(target_arch = "x86_64")]
macro_rules! x86_lanes {
    ($t:ty, $count:literal: $zero:ident $load:ident $splat:ident $fma:ident $add:ident $max:ident
     $min:ident $store:ident { $($others:item)* }) => {
        // SAFETY: the methods do what the trait says; the caller has checked the CPU. A minimum or
        // maximum of x86 is its second operand if one is NaN.
        unsafe impl SixteenLanes for [$t; $count] {
            #[inline(always)]
            unsafe fn zero() -> Self {
                // SAFETY: as promised by the caller; so are all below.
                unsafe { [$zero(); $count] }
            }
            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                unsafe { std::array::from_fn(|i| $load(from.add(i * 16 / $count))) }
            }
            #[inline(always)]
            unsafe fn splat(from: *const f32) -> Self {
                unsafe { [$splat(*from); $count] }
            }
            #[inline(always)]
            unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
                unsafe { std::array::from_fn(|i| $fma(self[i], factor[i], sum[i])) }
            }
            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                unsafe { std::array::from_fn(|i| $add(self[i], other[i])) }
            }
            #[inline(always)]
            unsafe fn max(self, low: Self) -> Self {
                unsafe { std::array::from_fn(|i| $max(low[i], self[i])) }
            }
            #[inline(always)]
            unsafe fn min(self, high: Self) -> Self {
                unsafe { std::array::from_fn(|i| $min(high[i], self[i])) }
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                unsafe { (0..$count).for_each(|i| $store(to.add(i * 16 / $count), self[i])) }
            }
            $($others)*
        }
    };
}

#[cfg(target_arch = "x86_64")]
x86_lanes!(__m512, 1: _mm512_setzero_ps _mm512_loadu_ps _mm512_set1_ps _mm512_fmadd_ps
_mm512_add_ps _mm512_max_ps _mm512_min_ps _mm512_storeu_ps {
    #[inline(always)]
    unsafe fn load_some(from: *const f32, count: usize) -> Self {
        // SAFETY: as promised by the caller; so is the one below.
        unsafe { [_mm512_maskz_loadu_ps(first_lanes(count), from)] }
    }
    #[inline(always)]
    unsafe fn store_some(self, to: *mut f32, count: usize) {
        unsafe { _mm512_mask_storeu_ps(to, first_lanes(count), self[0]) }
    }
});
#[cfg(target_arch = "x86_64")]
x86_lanes!(__m256, 2: _mm256_setzero_ps _mm256_loadu_ps _mm256_set1_ps _mm256_fmadd_ps
    _mm256_add_ps _mm256_max_ps _mm256_min_ps _mm256_storeu_ps {});

/// Returns the mask of the first `count` lanes of 16.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn first_lanes(count: usize) -> u16 {
    ((1u32 << count.min(16)) - 1) as u16
}

// SAFETY: the methods do what the trait says, on any CPU.
unsafe impl SixteenLanes for [f32; 16] {
    #[inline(always)]
    unsafe fn zero() -> Self {
        [0.0; 16]
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: as promised by the caller; so are all below.
        unsafe { from.cast::<[f32; 16]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn splat(from: *const f32) -> Self {
        unsafe { [*from; 16] }
    }
    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
        std::array::from_fn(|i| self[i] * factor[i] + sum[i])
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        std::array::from_fn(|i| self[i] + other[i])
    }
    #[inline(always)]
    unsafe fn max(self, low: Self) -> Self {
        std::array::from_fn(|i| if self[i] < low[i] { low[i] } else { self[i] })
    }
    #[inline(always)]
    unsafe fn min(self, high: Self) -> Self {
        std::array::from_fn(|i| if self[i] > high[i] { high[i] } else { self[i] })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { to.cast::<[f32; 16]>().write_unaligned(self) }
    }
}
