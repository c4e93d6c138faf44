//! Blocks of a convolution with features last: some features of some places, in registers.
//!
//! The method is *indirect* convolution (Dukhan, *The Indirect Convolution Algorithm*, 2019): for
//! each tap and place there is the address of the operand's features under it, that of zeros for
//! padding. Taps beside each other may be one run of elements. A block multiplies one number of
//! each place by a vector of weights:
//!
//! ```text
//! f32 with AVX-512: 6 places x 64 features in 24 registers
//!   for each run, for each element of it: 4 loads of weights, 6 broadcasts, 24
//!   multiply-adds
//! ```
//!
//! Invariant: the sum of an element runs over runs and their elements in order.

#![allow(unsafe_code, reason = "operands and results are addresses")]

use super::{
    finish::{SumFinish, load, store},
    sixteen_lanes::SixteenLanes,
};
use neurax_ir::composite::FEATURE_BLOCK;

/// The operands of a block.
#[derive(Clone, Copy)]
pub struct PlaceBlock {
    /// The addresses of the runs of elements under the windows, by run and place.
    pub rows: *const *const f32,
    /// The number of addresses of each run.
    pub places: usize,
    pub runs: usize,
    /// The first element of each run that is multiplied, and the number of them.
    pub first: usize,
    pub depth: usize,
    /// The weights of the first block of features, and the stride to the next.
    pub weights: *const f32,
    pub weight_step: usize,
    /// The features of the last block of the result that are stored.
    pub last: usize,
    /// The results, and the stride to those of the next place.
    pub to: *mut f32,
    pub step: usize,
    /// True if the results so far are added.
    pub adds: bool,
    /// The last step of a sum, if everything is multiplied then.
    pub finish: Option<SumFinish>,
}

/// A function for a number of places.
///
/// # Safety
/// All addresses are those of live memory, which no other thread writes, or uses in the case of the
/// results. The CPU has the instructions.
type BlockFn = unsafe fn(&PlaceBlock);

/// The functions of an instruction set.
#[derive(Clone, Copy, Debug)]
pub struct BlockKernels {
    /// For 1, 2, .. blocks of features the functions, by their number of places, the most first.
    functions: &'static [&'static [(usize, BlockFn)]],
}

impl BlockKernels {
    /// Returns the most blocks of features of a function.
    pub fn blocks(&self) -> usize {
        self.functions.len()
    }

    /// Computes `places` places of `blocks` blocks of features, at most [`BlockKernels::blocks`].
    ///
    /// # Safety
    /// As for the functions.
    pub unsafe fn run(&self, blocks: usize, places: usize, call: PlaceBlock) {
        let functions = self.functions[blocks - 1];
        let (mut call, mut left) = (call, places);
        for &(places, function) in functions {
            while left >= places {
                // SAFETY: as promised by the caller.
                unsafe { function(&call) }
                left -= places;
                call.rows = call.rows.wrapping_add(places);
                call.to = call.to.wrapping_add(places * call.step);
                call.finish = call.finish.map(|finish| finish.at(places * call.step, 0));
            }
        }
    }
}

/// Returns the functions for this CPU.
pub fn block_kernels() -> BlockKernels {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            return BlockKernels { functions: &x86::AVX512 };
        }
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma")
        {
            return BlockKernels { functions: &x86::FMA };
        }
    }
    BlockKernels { functions: PLAIN_FUNCTIONS }
}

/// The functions for any CPU.
const PLAIN_FUNCTIONS: &[&[(usize, BlockFn)]] =
    &[&[(2, block::<[f32; 16], 2, 1>), (1, block::<[f32; 16], 1, 1>)]];

/// Computes a block of `P` places and `B` blocks of features.
///
/// # Safety
/// As for [`BlockFn`].
#[inline(always)]
unsafe fn block<V: SixteenLanes, const P: usize, const B: usize>(call: &PlaceBlock) {
    // SAFETY: as promised by the caller.
    unsafe {
        let mut sums = [[V::zero(); B]; P];
        let mut weights = call.weights;
        for run in 0..call.runs {
            let mut rows = [std::ptr::null(); P];
            for (p, row) in rows.iter_mut().enumerate() {
                *row = (*call.rows.add(run * call.places + p)).add(call.first);
            }
            for k in 0..call.depth {
                let mut w = [V::zero(); B];
                for (b, w) in w.iter_mut().enumerate() {
                    *w = V::load(weights.add(b * call.weight_step));
                }
                for (row, sums) in rows.iter().zip(&mut sums) {
                    let x = V::splat(row.add(k));
                    for (w, sum) in w.iter().zip(sums) {
                        *sum = x.mul_add(*w, *sum);
                    }
                }
                weights = weights.add(FEATURE_BLOCK);
            }
        }
        // Of a copy: the compiler keeps the sums in registers until here only if no larger loop
        // runs over them.
        let done = sums.map(|sums| sums);
        if call.last == FEATURE_BLOCK {
            store_block::<V, P, B, true>(call, done)
        } else {
            store_block::<V, P, B, false>(call, done)
        }
    }
}

/// Finishes and stores the sums of a block; `WHOLE` is true if all features of the last block are
/// stored.
///
/// # Safety
/// As for [`BlockFn`].
#[inline(always)]
unsafe fn store_block<V: SixteenLanes, const P: usize, const B: usize, const WHOLE: bool>(
    call: &PlaceBlock,
    mut sums: [[V; B]; P],
) {
    let count = |b: usize| if WHOLE || b + 1 < B { FEATURE_BLOCK } else { call.last };
    let offset = |p: usize, b: usize| p * call.step + b * FEATURE_BLOCK;
    // SAFETY: as promised by the caller.
    unsafe {
        if call.adds {
            for (p, sums) in sums.iter_mut().enumerate() {
                for (b, sum) in sums.iter_mut().enumerate() {
                    *sum = sum.add(load(call.to.add(offset(p, b)), count(b)));
                }
            }
        }
        if let Some(finish) = &call.finish {
            for b in 0..B {
                let bias = load(finish.bias.add(b * FEATURE_BLOCK), count(b));
                for sums in &mut sums {
                    sums[b] = sums[b].add(bias);
                }
            }
            if !finish.added.is_null() {
                for (p, sums) in sums.iter_mut().enumerate() {
                    for (b, sum) in sums.iter_mut().enumerate() {
                        *sum = sum.add(load(finish.added.add(offset(p, b)), count(b)));
                    }
                }
            }
            finish.limits.apply(sums.as_flattened_mut());
        }
        for (p, sums) in sums.iter().enumerate() {
            for (b, sum) in sums.iter().enumerate() {
                store(*sum, call.to.add(offset(p, b)), count(b));
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{PlaceBlock, block};
    use std::arch::x86_64::{__m256, __m512};

    macro_rules! functions {
        ($($set:ident: $feature:tt, $lanes:ty, [$($blocks:literal: $($places:literal),*;)*])*) => {
            $(pub static $set: [&[(usize, unsafe fn(&PlaceBlock))]; [$($blocks),*].len()] = [$(&[$(
                ($places, {
                    /// Computes a block.
                    ///
                    /// # Safety
                    /// As for [`super::BlockFn`].
                    #[target_feature(enable = $feature)]
                    unsafe fn function(call: &PlaceBlock) {
                        // SAFETY: as promised by the caller.
                        unsafe { block::<$lanes, $places, $blocks>(call) }
                    }
                    function as unsafe fn(&PlaceBlock)
                })
            ),*]),*];)*
        };
    }

    functions! {
        AVX512: "avx512f", [__m512; 1], [
            1: 16, 8, 4, 2, 1;
            2: 12, 6, 4, 2, 1;
            3: 8, 4, 2, 1;
            4: 6, 4, 2, 1;
        ]
        FMA: "avx2,fma", [__m256; 2], [1: 6, 4, 2, 1;]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::channels_last::finish::ResultLimits;

    #[test]
    fn instruction_sets_agree() {
        let number = |i: usize, n: usize| (i * 37 % n) as f32 - (n / 2) as f32;
        let x: Vec<f32> = (0..400).map(|i| number(i, 11)).collect();
        let weights: Vec<f32> = (0..4 * 2 * 5 * FEATURE_BLOCK).map(|i| number(i, 7)).collect();
        let (bias, added): (Vec<f32>, Vec<f32>) =
            (0..3000).map(|i| (number(i, 5), number(i, 13))).unzip();
        let own = block_kernels();
        for (places, blocks) in (1..20).flat_map(|p| (1..=own.blocks()).map(move |b| (p, b))) {
            let rows: Vec<*const f32> = (0..2 * places).map(|i| x[i * 3..].as_ptr()).collect();
            for last in [1, 9, FEATURE_BLOCK] {
                let features = (blocks - 1) * FEATURE_BLOCK + last;
                let results = |kernels: BlockKernels| {
                    let mut to = vec![1f32; places * features + FEATURE_BLOCK];
                    for first in (0..blocks).step_by(kernels.blocks()) {
                        let count = kernels.blocks().min(blocks - first);
                        let at = first * FEATURE_BLOCK;
                        let finish = SumFinish {
                            bias: bias.as_ptr(),
                            added: added.as_ptr(),
                            limits: ResultLimits { low: -20.0, high: 50.0 },
                        };
                        let call = PlaceBlock {
                            rows: rows.as_ptr(),
                            places,
                            runs: 2,
                            first: 0,
                            depth: 5,
                            weights: weights[first * 10 * FEATURE_BLOCK..].as_ptr(),
                            weight_step: 10 * FEATURE_BLOCK,
                            last: if first + count < blocks { FEATURE_BLOCK } else { last },
                            to: to[at..].as_mut_ptr(),
                            step: features,
                            adds: true,
                            finish: Some(finish.at(at, at)),
                        };
                        // SAFETY: all addresses are those of the arrays above, which are large
                        // enough.
                        unsafe { kernels.run(count, places, call) }
                    }
                    to
                };
                let plain = results(BlockKernels { functions: PLAIN_FUNCTIONS });
                assert_eq!(results(own), plain, "{places} places, {features} features");
                assert_eq!(plain[places * features..], [1.0; FEATURE_BLOCK]);
                #[cfg(target_arch = "x86_64")]
                if std::arch::is_x86_feature_detected!("fma") {
                    assert_eq!(results(BlockKernels { functions: &x86::FMA }), plain);
                }
            }
        }
    }
}
