//! Places of a convolution of each feature by itself, in vectors of features.

#![allow(unsafe_code, reason = "operands and results are addresses")]

use super::{finish::SumFinish, sixteen_lanes::SixteenLanes};
use neurax_ir::composite::FEATURE_BLOCK;

/// Places beside each other that have elements under the same taps.
#[derive(Clone, Copy)]
pub struct PlacesCall<'a> {
    /// The operand's element under a tap at offset 0 of the first place.
    pub from: *const f32,
    /// The stride from the elements of one place to those of the next.
    pub from_step: isize,
    /// For each tap the offset of its element and that of its weights.
    pub taps: &'a [(isize, usize)],
    pub weights: *const f32,
    /// The results, and the stride to those of the next place.
    pub to: *mut f32,
    pub step: usize,
    pub places: usize,
    /// The number of features, at least those of a block.
    pub features: usize,
    pub finish: SumFinish,
}

/// A function for an instruction set.
///
/// # Safety
/// All addresses are those of live memory, which no other thread writes, or uses in the case of the
/// results. The CPU has the instructions.
pub type PlacesFn = unsafe fn(&PlacesCall);

/// Returns the function for this CPU.
pub fn depthwise_kernel() -> PlacesFn {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            return x86::places_avx512;
        }
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma")
        {
            return x86::places_fma;
        }
    }
    places::<[f32; 16], 1>
}

/// Computes the places, `P` of them together. The last vector begins early enough to end with the
/// features: some of them are computed twice.
///
/// # Safety
/// As for [`PlacesFn`].
#[inline(always)]
unsafe fn places<V: SixteenLanes, const P: usize>(call: &PlacesCall) {
    let mut first = 0;
    while first < call.features {
        let feature = first.min(call.features - FEATURE_BLOCK);
        let mut place = 0;
        // SAFETY: as promised by the caller.
        unsafe {
            while place + P <= call.places {
                some::<V, P>(call, feature, place);
                place += P;
            }
            while place < call.places {
                some::<V, 1>(call, feature, place);
                place += 1;
            }
        }
        first += FEATURE_BLOCK;
    }
}

/// Computes a vector of features of `P` places.
///
/// # Safety
/// As for [`PlacesFn`].
#[inline(always)]
unsafe fn some<V: SixteenLanes, const P: usize>(call: &PlacesCall, feature: usize, place: usize) {
    // SAFETY: as promised by the caller.
    unsafe {
        let from = call.from.wrapping_offset(place as isize * call.from_step);
        let from = from.wrapping_add(feature);
        let mut sums = [V::zero(); P];
        for &(offset, weight) in call.taps {
            let w = V::load(call.weights.add(weight + feature));
            let x = from.wrapping_offset(offset);
            for (p, sum) in sums.iter_mut().enumerate() {
                let x = x.wrapping_offset(p as isize * call.from_step);
                *sum = V::load(x).mul_add(w, *sum);
            }
        }
        let bias = V::load(call.finish.bias.add(feature));
        for (p, sum) in sums.iter_mut().enumerate() {
            *sum = sum.add(bias);
            if !call.finish.added.is_null() {
                *sum = sum.add(V::load(call.finish.added.add((place + p) * call.step + feature)));
            }
        }
        call.finish.limits.apply(&mut sums);
        for (p, sum) in sums.into_iter().enumerate() {
            sum.store(call.to.add((place + p) * call.step + feature));
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{PlacesCall, places};
    use std::arch::x86_64::{__m256, __m512};

    /// Computes places by vectors of 512 bits.
    ///
    /// # Safety
    /// As for [`super::PlacesFn`].
    #[target_feature(enable = "avx512f")]
    pub unsafe fn places_avx512(call: &PlacesCall) {
        // SAFETY: as promised by the caller.
        unsafe { places::<[__m512; 1], 4>(call) }
    }

    /// Computes places by vectors of 256 bits.
    ///
    /// # Safety
    /// As for [`super::PlacesFn`].
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn places_fma(call: &PlacesCall) {
        // SAFETY: as promised by the caller.
        unsafe { places::<[__m256; 2], 2>(call) }
    }
}
