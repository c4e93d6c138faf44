//! Sixteen sums of products of bytes, in the vectors of a CPU.
//!
//! The methods are inlined into functions that enable the vectors' instructions; called elsewhere,
//! they are slow.

#![allow(unsafe_code, reason = "vectors are read and written by address")]

use neurax_ir::composite::{COLUMN_BLOCK, DEPTH_GROUP};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Sixteen sums of i32, one for each column of a block.
///
/// # Safety
/// The CPU has the vectors. Addresses are those of `count` numbers, at most 16, and of 64 weights.
pub unsafe trait SixteenSums: Copy {
    /// Reads the first `count` sums; the others are zeros.
    unsafe fn load(from: *const i32, count: usize) -> Self;
    /// Reads the weights of 16 columns, 4 along the depth for each.
    unsafe fn weights(from: *const i8) -> Self;
    /// Returns 4 numbers of u8 along the depth, the first one in the lowest byte, for each column.
    unsafe fn splat(numbers: u32) -> Self;
    /// Adds the products of 4 numbers of u8 with weights.
    unsafe fn add_products(self, numbers: Self, weights: Self) -> Self;
    /// Adds other sums.
    unsafe fn plus(self, other: Self) -> Self;
    /// Writes the first `count` sums.
    unsafe fn store(self, to: *mut i32, count: usize);
    /// Writes the first `count` sums, each times its scale and plus its bias.
    unsafe fn store_scaled(self, by: ColumnFloats, to: *mut f32, count: usize);
    /// Writes the first `count` sums as quantized numbers.
    unsafe fn store_bytes(self, by: ColumnFloats, limits: ByteLimits, to: *mut u8, count: usize);
}

/// The scales and the biases of columns, or null pointers if sums have none.
#[derive(Clone, Copy)]
pub struct ColumnFloats {
    pub scale: *const f32,
    pub bias: *const f32,
}

impl ColumnFloats {
    /// Returns those of the columns from `column` on.
    pub fn from(self, column: usize) -> ColumnFloats {
        let from = |x: *const f32| if x.is_null() { x } else { x.wrapping_add(column) };
        ColumnFloats { scale: from(self.scale), bias: from(self.bias) }
    }

    /// Returns the float of the sum of a column.
    ///
    /// # Safety
    /// The column has a scale and a bias.
    unsafe fn of(self, sum: i32, column: usize) -> f32 {
        // SAFETY: as promised by the caller.
        unsafe { sum as f32 * *self.scale.add(column) + *self.bias.add(column) }
    }
}

/// The numbers of a quantized result.
#[derive(Clone, Copy, Debug)]
pub struct ByteLimits {
    /// The number that stands for 0.
    pub zero: f32,
    pub low: f32,
    pub high: f32,
}

impl ByteLimits {
    /// Returns the byte of a number.
    fn byte(self, x: f32) -> u8 {
        let y = x.round_ties_even() + self.zero;
        // NaN becomes 0.
        y.clamp(self.low, self.high) as i32 as u8
    }
}

// SAFETY: the methods do what the trait says, on any CPU.
unsafe impl SixteenSums for [i32; COLUMN_BLOCK] {
    #[inline(always)]
    unsafe fn load(from: *const i32, count: usize) -> Self {
        let mut all = [0; COLUMN_BLOCK];
        // SAFETY: as promised by the caller; so are all below.
        unsafe { all.as_mut_ptr().copy_from_nonoverlapping(from, count) }
        all
    }
    #[inline(always)]
    unsafe fn weights(from: *const i8) -> Self {
        unsafe { from.cast::<[i32; COLUMN_BLOCK]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn splat(numbers: u32) -> Self {
        [numbers as i32; COLUMN_BLOCK]
    }
    #[inline(always)]
    unsafe fn add_products(self, numbers: Self, weights: Self) -> Self {
        let byte = |word: i32, i: usize| (word >> (8 * i)) as u8;
        let product =
            |x: i32, w: i32, i: usize| i32::from(byte(x, i)) * i32::from(byte(w, i) as i8);
        std::array::from_fn(|c| {
            let products = (0..DEPTH_GROUP).map(|i| product(numbers[c], weights[c], i));
            products.fold(self[c], i32::wrapping_add)
        })
    }
    #[inline(always)]
    unsafe fn plus(self, other: Self) -> Self {
        std::array::from_fn(|c| self[c].wrapping_add(other[c]))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut i32, count: usize) {
        unsafe { to.copy_from_nonoverlapping(self.as_ptr(), count) }
    }
    #[inline(always)]
    unsafe fn store_scaled(self, by: ColumnFloats, to: *mut f32, count: usize) {
        unsafe { (0..count).for_each(|c| *to.add(c) = by.of(self[c], c)) }
    }
    #[inline(always)]
    unsafe fn store_bytes(self, by: ColumnFloats, limits: ByteLimits, to: *mut u8, count: usize) {
        unsafe {
            (0..count).for_each(|c| *to.add(c) = limits.byte(by.of(self[c], c)));
        }
    }
}

/// Sums in one vector of 512 bits, of CPUs with AVX-512 VNNI.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub struct Avx512Sums(__m512i);

// SAFETY: the methods do what the trait says; the caller has checked the CPU. Masks keep all
// accesses within `count` elements.
#[cfg(target_arch = "x86_64")]
unsafe impl SixteenSums for Avx512Sums {
    #[inline(always)]
    unsafe fn load(from: *const i32, count: usize) -> Self {
        // SAFETY: as promised by the caller; so are all below.
        unsafe { Avx512Sums(_mm512_maskz_loadu_epi32(first(count), from)) }
    }
    #[inline(always)]
    unsafe fn weights(from: *const i8) -> Self {
        unsafe { Avx512Sums(_mm512_loadu_si512(from.cast())) }
    }
    #[inline(always)]
    unsafe fn splat(numbers: u32) -> Self {
        unsafe { Avx512Sums(_mm512_set1_epi32(numbers as i32)) }
    }
    #[inline(always)]
    unsafe fn add_products(self, numbers: Self, weights: Self) -> Self {
        unsafe { Avx512Sums(_mm512_dpbusd_epi32(self.0, numbers.0, weights.0)) }
    }
    #[inline(always)]
    unsafe fn plus(self, other: Self) -> Self {
        unsafe { Avx512Sums(_mm512_add_epi32(self.0, other.0)) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut i32, count: usize) {
        unsafe { _mm512_mask_storeu_epi32(to, first(count), self.0) }
    }
    #[inline(always)]
    unsafe fn store_scaled(self, by: ColumnFloats, to: *mut f32, count: usize) {
        unsafe {
            _mm512_mask_storeu_ps(to, first(count), self.floats(by, count));
        }
    }
    #[inline(always)]
    unsafe fn store_bytes(self, by: ColumnFloats, limits: ByteLimits, to: *mut u8, count: usize) {
        unsafe {
            let y = _mm512_roundscale_ps::<TIES_TO_EVEN>(self.floats(by, count));
            let y = _mm512_add_ps(y, _mm512_set1_ps(limits.zero));
            let is_number = _mm512_cmp_ps_mask::<_CMP_ORD_Q>(y, y);
            let y = _mm512_max_ps(y, _mm512_set1_ps(limits.low));
            let y = _mm512_min_ps(y, _mm512_set1_ps(limits.high));
            let bytes = _mm512_maskz_cvtps_epi32(is_number, y);
            _mm512_mask_cvtepi32_storeu_epi8(to.cast(), first(count), bytes);
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl Avx512Sums {
    /// Returns the floats of the first `count` sums.
    ///
    /// # Safety
    /// As [`SixteenSums`].
    #[inline(always)]
    unsafe fn floats(self, by: ColumnFloats, count: usize) -> __m512 {
        // SAFETY: as promised by the caller.
        unsafe {
            let [scale, bias] =
                [by.scale, by.bias].map(|from| _mm512_maskz_loadu_ps(first(count), from));
            // No fused multiplication: the definition rounds twice.
            _mm512_add_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(self.0), scale), bias)
        }
    }
}

/// The rounding mode of the nearest number, ties to even, without exceptions.
#[cfg(target_arch = "x86_64")]
const TIES_TO_EVEN: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;

/// Returns the mask of the first `count` lanes of 16.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn first(count: usize) -> u16 {
    ((1u32 << count.min(COLUMN_BLOCK)) - 1) as u16
}

/// Sums in two vectors of 256 bits, of CPUs with AVX2; `VNNI` is true for those that multiply and
/// add bytes by one instruction.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub struct Avx2Sums<const VNNI: bool>([__m256i; 2]);

// SAFETY: as above; what is read or written in part passes through arrays of 16 elements.
#[cfg(target_arch = "x86_64")]
unsafe impl<const VNNI: bool> SixteenSums for Avx2Sums<VNNI> {
    #[inline(always)]
    unsafe fn load(from: *const i32, count: usize) -> Self {
        // SAFETY: as promised by the caller; so are all below.
        unsafe { Self::weights(<[i32; COLUMN_BLOCK]>::load(from, count).as_ptr().cast()) }
    }
    #[inline(always)]
    unsafe fn weights(from: *const i8) -> Self {
        unsafe { Avx2Sums([0, 32].map(|at| _mm256_loadu_si256(from.add(at).cast()))) }
    }
    #[inline(always)]
    unsafe fn splat(numbers: u32) -> Self {
        unsafe { Avx2Sums([_mm256_set1_epi32(numbers as i32); 2]) }
    }
    #[inline(always)]
    unsafe fn add_products(self, numbers: Self, weights: Self) -> Self {
        let add = |i: usize| unsafe {
            let (sum, x, w) = (self.0[i], numbers.0[i], weights.0[i]);
            if VNNI {
                return _mm256_dpbusd_avx_epi32(sum, x, w);
            }
            // Products of two bytes at even and at odd places; those of all four, added as i16,
            // would saturate.
            let low = _mm256_set1_epi16(0xff);
            let even = _mm256_madd_epi16(
                _mm256_and_si256(x, low),
                _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(w)),
            );
            let odd = _mm256_madd_epi16(_mm256_srli_epi16::<8>(x), _mm256_srai_epi16::<8>(w));
            _mm256_add_epi32(sum, _mm256_add_epi32(even, odd))
        };
        Avx2Sums([0, 1].map(add))
    }
    #[inline(always)]
    unsafe fn plus(self, other: Self) -> Self {
        let add = |i: usize| unsafe { _mm256_add_epi32(self.0[i], other.0[i]) };
        Avx2Sums([0, 1].map(add))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut i32, count: usize) {
        unsafe { self.array().store(to, count) }
    }
    #[inline(always)]
    unsafe fn store_scaled(self, by: ColumnFloats, to: *mut f32, count: usize) {
        unsafe { self.array().store_scaled(by, to, count) }
    }
    #[inline(always)]
    unsafe fn store_bytes(self, by: ColumnFloats, limits: ByteLimits, to: *mut u8, count: usize) {
        let bytes = |i: usize| unsafe {
            let [scale, bias] = [by.scale, by.bias].map(|from| eight(from, i, count));
            let y = _mm256_add_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(self.0[i]), scale), bias);
            let y = _mm256_round_ps::<TIES_TO_EVEN>(y);
            let y = _mm256_add_ps(y, _mm256_set1_ps(limits.zero));
            let is_number = _mm256_cmp_ps::<_CMP_ORD_Q>(y, y);
            let y = _mm256_max_ps(y, _mm256_set1_ps(limits.low));
            let y = _mm256_min_ps(y, _mm256_set1_ps(limits.high));
            _mm256_and_si256(_mm256_cvtps_epi32(y), _mm256_castps_si256(is_number))
        };
        let all = Avx2Sums::<VNNI>([0, 1].map(bytes)).array().map(|x| x as u8);
        unsafe { to.copy_from_nonoverlapping(all.as_ptr(), count) }
    }
}

#[cfg(target_arch = "x86_64")]
impl<const VNNI: bool> Avx2Sums<VNNI> {
    #[inline(always)]
    fn array(self) -> [i32; COLUMN_BLOCK] {
        let mut all = [0; COLUMN_BLOCK];
        for (i, v) in self.0.into_iter().enumerate() {
            // SAFETY: the array has room for both vectors, which exist on this CPU.
            unsafe { _mm256_storeu_si256(all.as_mut_ptr().add(8 * i).cast(), v) }
        }
        all
    }
}

/// Reads the numbers `8 i ..` of the first `count` of 16; the others are zeros.
///
/// # Safety
/// The CPU has the vectors, and `from` has `count` numbers.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn eight(from: *const f32, i: usize, count: usize) -> __m256 {
    // SAFETY: as promised by the caller; the array has 16 numbers.
    unsafe {
        if count == COLUMN_BLOCK {
            return _mm256_loadu_ps(from.add(8 * i));
        }
        let mut all = [0f32; COLUMN_BLOCK];
        all.as_mut_ptr().copy_from_nonoverlapping(from, count);
        _mm256_loadu_ps(all.as_ptr().add(8 * i))
    }
}
