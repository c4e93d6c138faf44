//! Sums of shifted rows of f32, each multiplied by a weight, in vectors of the CPU.

#![allow(unsafe_code, reason = "rows are addresses, vector instructions are chosen at run time")]

/// A sum of rows: `to[i]` is the sum of `weights[t] * from[offsets[t] + i]` over all `t`.
#[derive(Clone, Copy)]
pub struct ShiftedRow<'a> {
    pub from: *const f32,
    pub offsets: &'a [usize],
    pub weights: &'a [f32],
    pub to: *mut f32,
    /// The elements of the result.
    pub count: usize,
}

/// The function for one instruction set.
#[derive(Clone, Copy, Debug)]
pub struct ShiftedRows {
    /// The lanes of a vector.
    pub lanes: usize,
    /// Computes a sum of rows.
    ///
    /// # Safety
    /// Each row has `count` elements, rounded up to the lanes; `to` has room for `count`, apart
    /// from the rows. The CPU has the instructions.
    pub sum: unsafe fn(ShiftedRow),
}

/// Returns the function for this CPU.
pub fn shifted_rows() -> ShiftedRows {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            return ShiftedRows { lanes: 16, sum: x86::sum_avx512 };
        }
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma")
        {
            return ShiftedRows { lanes: 8, sum: x86::sum_fma };
        }
    }
    ShiftedRows { lanes: PLAIN_LANES, sum: sum_plain }
}

/// The elements that [`sum_plain`] adds together: two vectors of 128 bits.
const PLAIN_LANES: usize = 8;

/// Computes a sum of rows on any CPU.
///
/// # Safety
/// As [`ShiftedRows::sum`].
unsafe fn sum_plain(row: ShiftedRow) {
    for first in (0..row.count).step_by(PLAIN_LANES) {
        let mut sums = [0f32; PLAIN_LANES];
        for (&offset, &weight) in row.offsets.iter().zip(row.weights) {
            // SAFETY: as promised by the caller.
            let x: [f32; PLAIN_LANES] = unsafe {
                row.from.add(offset + first).cast::<[f32; PLAIN_LANES]>().read_unaligned()
            };
            sums.iter_mut().zip(x).for_each(|(s, x)| *s += weight * x);
        }
        let count = (row.count - first).min(PLAIN_LANES);
        // SAFETY: as promised by the caller.
        unsafe { row.to.add(first).copy_from_nonoverlapping(sums.as_ptr(), count) }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::ShiftedRow;
    use std::arch::x86_64::*;

    macro_rules! sums {
        ($($name:ident, $feature:tt, $lanes:literal,
           $zero:ident, $load:ident, $splat:ident, $fma:ident, $store:ident;)*) => {$(
            /// Computes a sum of rows: four vectors together, and then one by one.
            ///
            /// # Safety
            /// As [`super::ShiftedRows::sum`].
            #[target_feature(enable = $feature)]
            pub unsafe fn $name(row: ShiftedRow) {
                let (mut first, count) = (0, row.count);
                // SAFETY: as promised by the caller.
                unsafe {
                    while first + 4 * $lanes <= count {
                        let mut sums = [$zero(); 4];
                        for (&offset, weight) in row.offsets.iter().zip(row.weights) {
                            let (x, weight) = (row.from.add(offset + first), $splat(*weight));
                            for (i, sum) in sums.iter_mut().enumerate() {
                                *sum = $fma($load(x.add(i * $lanes)), weight, *sum);
                            }
                        }
                        for (i, sum) in sums.into_iter().enumerate() {
                            $store(row.to.add(first + i * $lanes), sum);
                        }
                        first += 4 * $lanes;
                    }
                    while first < count {
                        let mut sum = $zero();
                        for (&offset, weight) in row.offsets.iter().zip(row.weights) {
                            sum = $fma($load(row.from.add(offset + first)), $splat(*weight), sum);
                        }
                        if first + $lanes <= count {
                            $store(row.to.add(first), sum);
                        } else {
                            let mut last = [0f32; $lanes];
                            $store(last.as_mut_ptr(), sum);
                            let to = row.to.add(first);
                            to.copy_from_nonoverlapping(last.as_ptr(), count - first);
                        }
                        first += $lanes;
                    }
                }
            }
        )*};
    }

    sums! {
        sum_avx512, "avx512f", 16,
            _mm512_setzero_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_storeu_ps;
        sum_fma, "avx2,fma", 8,
            _mm256_setzero_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_storeu_ps;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_definition() {
        let x: Vec<f32> = (0..400).map(|i| (i * 37 % 11) as f32 - 5.0).collect();
        let (offsets, weights) = ([0, 3, 101], [2.0, -1.0, 0.5]);
        let mut all = vec![ShiftedRows { lanes: PLAIN_LANES, sum: sum_plain }, shifted_rows()];
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("fma") {
            all.push(ShiftedRows { lanes: 8, sum: x86::sum_fma });
        }
        for (rows, count) in all.iter().flat_map(|r| [1, 8, 17, 64, 150].map(|n| (r, n))) {
            let mut to = vec![7f32; count + 1];
            let row = ShiftedRow {
                from: x.as_ptr(),
                offsets: &offsets,
                weights: &weights,
                to: to.as_mut_ptr(),
                count,
            };
            // SAFETY: 150 elements and a vector more are behind each offset.
            unsafe { (rows.sum)(row) }
            let at = |i: usize| -> f32 {
                if i == count {
                    return 7.0;
                }
                offsets.iter().zip(weights).map(|(o, w)| w * x[o + i]).sum()
            };
            let want: Vec<f32> = (0..=count).map(at).collect();
            assert_eq!(to, want, "{count} in vectors of {}", rows.lanes);
        }
    }
}
