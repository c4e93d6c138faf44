//! The kernels of quantized products: some rows times some blocks of columns, in registers.

#![allow(unsafe_code, reason = "arrays are read and written by address")]

use super::sixteen_sums::{ByteLimits, ColumnFloats, SixteenSums};
use neurax_ir::composite::{COLUMN_BLOCK, DEPTH_GROUP};

/// The arrays of a block. `x` is the first row; all others begin with the first column.
#[derive(Clone, Copy)]
pub struct DotBlock {
    pub x: *const u8,
    /// The numbers of a row.
    pub depth: usize,
    pub weights: *const i8,
    /// The weights of a block of columns.
    pub weight_step: usize,
    pub start: *const i32,
    pub floats: ColumnFloats,
    /// The columns of the last block.
    pub last: usize,
    pub to: *mut u8,
    /// The elements of a row of the result.
    pub step: usize,
    pub result: DotResult,
}

/// The form in which sums are written.
#[derive(Clone, Copy, Debug)]
pub enum DotResult {
    /// The sum.
    Sums,
    /// The sum times its scale, as f32.
    Floats,
    /// The sum times its scale, rounded, as u8 or i8.
    Bytes(ByteLimits),
}

impl DotResult {
    /// Returns the bytes of an element.
    pub fn bytes(self) -> usize {
        match self {
            DotResult::Sums | DotResult::Floats => 4,
            DotResult::Bytes(_) => 1,
        }
    }
}

/// A kernel for fixed numbers of rows and blocks.
///
/// # Safety
/// The CPU has its instructions, and the arrays of the block have its elements, of which no other
/// code uses those of the result.
type DotFn = unsafe fn(&DotBlock);

/// The kernels of a CPU.
#[derive(Clone, Copy, Debug)]
pub struct DotKernels {
    /// For each number of blocks, from 1, the kernels by their number of rows, the most first.
    functions: &'static [&'static [(usize, DotFn)]],
}

impl DotKernels {
    /// Returns the blocks that kernels for many rows, or else for few, take: many rows read the
    /// weights of few columns from a near cache, few rows need many columns to fill the registers.
    pub fn blocks(&self, rows: usize) -> usize {
        match self.functions {
            [_, pair, ..] if pair.first().is_some_and(|most| rows >= most.0) => 2,
            all => all.len(),
        }
    }

    /// Computes `rows` rows of `blocks` blocks of columns, at most as [`DotKernels::blocks`].
    ///
    /// # Safety
    /// As for [`DotFn`].
    pub unsafe fn run(&self, rows: usize, blocks: usize, call: DotBlock) {
        let (mut call, mut left) = (call, rows);
        for &(rows, function) in self.functions[blocks - 1] {
            while left >= rows {
                // SAFETY: as promised by the caller.
                unsafe { function(&call) }
                left -= rows;
                call.x = call.x.wrapping_add(rows * call.depth);
                call.to = call.to.wrapping_add(rows * call.step * call.result.bytes());
            }
        }
    }
}

/// Returns the kernels for this CPU.
pub fn dot_kernels() -> DotKernels {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f")
            && std::arch::is_x86_feature_detected!("avx512vnni")
        {
            return DotKernels { functions: &x86::AVX512 };
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            return DotKernels {
                functions: match std::arch::is_x86_feature_detected!("avxvnni") {
                    true => &x86::AVX_VNNI,
                    false => &x86::AVX2,
                },
            };
        }
    }
    DotKernels { functions: PLAIN_KERNELS }
}

/// The kernels for any CPU.
const PLAIN_KERNELS: &[&[(usize, DotFn)]] = &[&[(1, block::<[i32; COLUMN_BLOCK], 1, 1>)]];

/// Computes `R` rows of `B` blocks of columns.
///
/// # Safety
/// As for [`DotFn`].
#[inline(always)]
unsafe fn block<S: SixteenSums, const R: usize, const B: usize>(call: &DotBlock) {
    // SAFETY: as promised by the caller.
    unsafe {
        let mut sums = [[S::splat(0); B]; R];
        let mut weights = call.weights;
        for group in 0..call.depth / DEPTH_GROUP {
            let numbers = |row: usize| {
                let from = call.x.add(row * call.depth + group * DEPTH_GROUP);
                from.cast::<u32>().read_unaligned()
            };
            add_group(call, &mut sums, weights, numbers);
            weights = weights.add(COLUMN_BLOCK * DEPTH_GROUP);
        }
        let rest = call.depth % DEPTH_GROUP;
        if rest > 0 {
            let numbers = |row: usize| {
                let mut bytes = [0; DEPTH_GROUP];
                let from = call.x.add((row + 1) * call.depth - rest);
                bytes.as_mut_ptr().copy_from_nonoverlapping(from, rest);
                u32::from_le_bytes(bytes)
            };
            add_group(call, &mut sums, weights, numbers);
        }
        // Of a copy: the compiler keeps the sums in registers until here only if no larger loop
        // runs over them.
        store_block(call, sums.map(|sums| sums));
    }
}

/// Adds the products of one group of numbers of each row, which `numbers` returns.
///
/// # Safety
/// As for [`DotFn`].
#[inline(always)]
unsafe fn add_group<S: SixteenSums, const R: usize, const B: usize>(
    call: &DotBlock,
    sums: &mut [[S; B]; R],
    weights: *const i8,
    numbers: impl Fn(usize) -> u32,
) {
    // SAFETY: as promised by the caller.
    unsafe {
        let mut w = [S::splat(0); B];
        for (b, w) in w.iter_mut().enumerate() {
            *w = S::weights(weights.add(b * call.weight_step));
        }
        for (row, sums) in sums.iter_mut().enumerate() {
            let x = S::splat(u32::from_le(numbers(row)));
            for (sum, w) in sums.iter_mut().zip(w) {
                *sum = sum.add_products(x, w);
            }
        }
    }
}

/// Adds the starts of the columns and writes the results.
///
/// # Safety
/// As for [`DotFn`].
#[inline(always)]
unsafe fn store_block<S: SixteenSums, const R: usize, const B: usize>(
    call: &DotBlock,
    sums: [[S; B]; R],
) {
    for b in 0..B {
        let count = if b + 1 < B { COLUMN_BLOCK } else { call.last };
        let column = b * COLUMN_BLOCK;
        // SAFETY: as promised by the caller.
        unsafe {
            let start = S::load(call.start.add(column), count);
            for (row, sums) in sums.iter().enumerate() {
                let sum = sums[b].plus(start);
                let at = row * call.step + column;
                match call.result {
                    DotResult::Sums => sum.store(call.to.cast::<i32>().add(at), count),
                    DotResult::Floats => {
                        let to = call.to.cast::<f32>().add(at);
                        sum.store_scaled(call.floats.from(column), to, count)
                    }
                    DotResult::Bytes(limits) => {
                        let floats = call.floats.from(column);
                        sum.store_bytes(floats, limits, call.to.add(at), count)
                    }
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::sixteen_sums::{Avx2Sums, Avx512Sums};
    use super::{DotBlock, block};

    macro_rules! kernels {
        ($($set:ident: $feature:tt, $sums:ty, [$($blocks:literal: $($rows:literal),*;)*])*) => {
            $(pub static $set: [&[(usize, unsafe fn(&DotBlock))]; [$($blocks),*].len()] = [$(&[$(
                ($rows, {
                    /// Computes a block.
                    ///
                    /// # Safety
                    /// As for [`super::DotFn`].
                    #[target_feature(enable = $feature)]
                    unsafe fn kernel(call: &DotBlock) {
                        // SAFETY: as promised by the caller.
                        unsafe { block::<$sums, $rows, $blocks>(call) }
                    }
                    kernel as unsafe fn(&DotBlock)
                })
            ),*]),*];)*
        };
    }

    kernels! {
        AVX512: "avx512f,avx512vnni", Avx512Sums, [
            1: 16, 8, 4, 2, 1;
            2: 12, 6, 4, 2, 1;
            3: 8, 4, 2, 1;
            4: 6, 4, 2, 1;
        ]
        AVX_VNNI: "avx2,avxvnni", Avx2Sums<true>, [1: 6, 4, 2, 1;]
        AVX2: "avx2", Avx2Sums<false>, [1: 4, 2, 1;]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A product of some rows; arrays end with their last elements.
    struct Case {
        rows: usize,
        depth: usize,
        columns: usize,
        result: DotResult,
    }

    impl Case {
        fn compute(&self, kernels: DotKernels) -> Vec<u8> {
            let &Case { rows, depth, columns, result } = self;
            let number = |i: usize, n: usize| ((i * 7919) >> 3) % n;
            let (groups, all) = (depth.div_ceil(DEPTH_GROUP), columns.div_ceil(COLUMN_BLOCK));
            let block = groups * DEPTH_GROUP * COLUMN_BLOCK;
            let x: Vec<u8> = (0..rows * depth).map(|i| number(i, 256) as u8).collect();
            let weights: Vec<i8> = (0..all * block).map(|i| number(i, 256) as u8 as i8).collect();
            let start: Vec<i32> = (0..columns).map(|i| number(i, 9999) as i32 - 5000).collect();
            let start = [&[i32::MAX], &start[1..]].concat();
            // Small scales and steps of a half give ties.
            let scale: Vec<f32> = (0..columns).map(|i| 0.5 / (1 << number(i, 12)) as f32).collect();
            let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.25, 0.0];
            let scale: Vec<f32> =
                scale.iter().enumerate().map(|(i, x)| *special.get(i % 11).unwrap_or(x)).collect();
            let bias: Vec<f32> = (0..columns).map(|i| number(i, 41) as f32 / 2.0 - 10.0).collect();
            let floats = ColumnFloats { scale: scale.as_ptr(), bias: bias.as_ptr() };
            let mut to = vec![7u8; rows * columns * result.bytes()];
            let most = kernels.blocks(rows);
            for first in (0..all).step_by(most) {
                let (blocks, column) = (most.min(all - first), first * COLUMN_BLOCK);
                let last = columns - (first + blocks - 1) * COLUMN_BLOCK;
                let call = DotBlock {
                    x: x.as_ptr(),
                    depth,
                    weights: weights[first * block..].as_ptr(),
                    weight_step: block,
                    start: start[column..].as_ptr(),
                    floats: floats.from(column),
                    last: last.min(COLUMN_BLOCK),
                    to: to[column * result.bytes()..].as_mut_ptr(),
                    step: columns,
                    result,
                };
                // SAFETY: all addresses are those of the arrays above.
                unsafe { kernels.run(rows, blocks, call) }
            }
            to
        }

        fn check(&self) {
            let plain = self.compute(DotKernels { functions: PLAIN_KERNELS });
            let &Case { rows, depth, columns, result } = self;
            let what = format!("{rows} rows, {columns} columns, depth {depth}, {result:?}");
            assert_eq!(self.compute(dot_kernels()), plain, "{what}");
            #[cfg(target_arch = "x86_64")]
            if std::arch::is_x86_feature_detected!("avx2") {
                assert_eq!(self.compute(DotKernels { functions: &x86::AVX2 }), plain, "{what}");
            }
            #[cfg(target_arch = "x86_64")]
            if std::arch::is_x86_feature_detected!("avxvnni") {
                assert_eq!(self.compute(DotKernels { functions: &x86::AVX_VNNI }), plain, "{what}");
            }
        }
    }

    #[test]
    fn instruction_sets_agree() {
        let unsigned = ByteLimits { zero: 3.0, low: 0.0, high: 255.0 };
        let signed = ByteLimits { zero: -7.0, low: -128.0, high: 127.0 };
        let bytes = [unsigned, signed].map(DotResult::Bytes);
        for (rows, columns, depth) in
            [(1, 64, 21), (20, 51, 21), (13, 64, 8), (7, 57, 3), (12, 3, 1), (2, 16, 4)]
        {
            for result in [DotResult::Sums, bytes[0], bytes[1]] {
                Case { rows, depth, columns, result }.check();
            }
        }
    }

    // Bits of NaN differ between instruction sets.
    #[test]
    fn floats_agree() {
        for (rows, columns, depth) in [(13, 40, 9), (1, 5, 2)] {
            let case = Case { rows, depth, columns, result: DotResult::Floats };
            let floats = |kernels: DotKernels| -> Vec<f32> {
                let bytes = case.compute(kernels);
                bytes.chunks_exact(4).map(|x| f32::from_le_bytes(x.try_into().unwrap())).collect()
            };
            let plain = floats(DotKernels { functions: PLAIN_KERNELS });
            for (have, want) in floats(dot_kernels()).iter().zip(plain) {
                assert!(
                    have.is_nan() && want.is_nan() || *have == want,
                    "{have} instead of {want}"
                );
            }
        }
    }
}
