//! The microkernels of the crates `gemm-f32` and `gemm-f64`: products whose results stay in
//! registers.
//!
//! A microkernel multiplies a few rows of the left operand by a panel of columns of the right one.
//! In each step of the depth it loads vectors of the panel and broadcasts one element of each row:
//!
//! ```text
//! f32 with AVX-512: 6 rows x 64 columns in 24 registers
//!   a step of the depth: 4 loads from the panel, 6 broadcasts from the rows, 24 multiply-adds
//! ```
//!
//! The crates have a function for each number of rows and vectors up to the largest block. Their
//! results are column-major, so that their "left" operand is the panel here.

#![allow(unsafe_code, reason = "microkernels take addresses and strides")]

use super::{matmul::MatmulElement, strided_matrix::StridedMatrix};
use gemm_common::microkernel::MicroKernelFn;

/// The microkernels of a dtype for one instruction set.
#[derive(Debug)]
pub struct Microkernels<T: 'static> {
    /// The lanes of a vector.
    pub lanes: usize,
    /// The columns of the largest block, a multiple of the lanes.
    pub columns: usize,
    /// The rows of the largest block.
    pub rows: usize,
    /// The functions for a number of vectors, one for each number of rows.
    functions: &'static [&'static [MicroKernelFn<T>]],
}

/// A number with microkernels.
pub trait MicrokernelElement: MatmulElement {
    /// Returns the sets of microkernels that this CPU runs, the fastest first. There are none for
    /// CPUs other than x86-64: the kernels for others ask more of their operands.
    fn microkernels() -> &'static [&'static Microkernels<Self>];
}

impl<T: MicrokernelElement> Microkernels<T> {
    /// Computes a block of up to [`Microkernels::rows`] rows and [`Microkernels::columns`] columns:
    /// `to = rows * panel`, or `to += rows * panel` if `adds`. Both operands are across by depth;
    /// the columns of the right one, `panel`, are contiguous, as those of `to`.
    ///
    /// # Safety
    /// All elements of the matrices can be accessed, in the panel also those up to the next
    /// multiple of the lanes, and no other code uses those of `to`. The CPU has the instructions.
    #[inline]
    pub unsafe fn block(
        &self,
        [rows, columns, depth]: [usize; 3],
        to: StridedMatrix<T>,
        left: StridedMatrix<T>,
        panel: StridedMatrix<T>,
        adds: bool,
    ) {
        let function = self.functions[columns.div_ceil(self.lanes) - 1][rows - 1];
        let ([down, _], [row, step]) = (to.steps, left.steps);
        // SAFETY: as promised by the caller.
        unsafe {
            function(
                columns,
                rows,
                depth,
                to.at,
                panel.at,
                left.at,
                down,
                1,
                panel.steps[1],
                step,
                row,
                T::UNIT,
                T::UNIT,
                adds as u8,
                false,
                false,
                false,
                std::ptr::null(),
            )
        }
    }
}

#[cfg(target_arch = "x86_64")]
macro_rules! microkernels {
    ($t:ident, $crate_name:ident, $([$set:ident, $module:ident, $feature:tt, $bits:literal]),*) => {
        $(static $set: Microkernels<$t> = {
            use $crate_name::microkernel::$module::$t as kernels;
            static ROWS: [[MicroKernelFn<$t>; kernels::NR]; kernels::MR_DIV_N] = kernels::UKR;
            static FUNCTIONS: [&[MicroKernelFn<$t>]; kernels::MR_DIV_N] = {
                let mut out: [&[MicroKernelFn<$t>]; kernels::MR_DIV_N] = [&[]; kernels::MR_DIV_N];
                let mut i = 0;
                while i < out.len() {
                    out[i] = &ROWS[i];
                    i += 1;
                }
                out
            };
            let lanes = $bits / 8 / size_of::<$t>();
            Microkernels {
                lanes,
                columns: lanes * kernels::MR_DIV_N,
                rows: kernels::NR,
                functions: &FUNCTIONS,
            }
        };)*

        impl MicrokernelElement for $t {
            fn microkernels() -> &'static [&'static Microkernels<$t>] {
                static SETS: std::sync::OnceLock<Vec<&'static Microkernels<$t>>> =
                    std::sync::OnceLock::new();
                SETS.get_or_init(|| {
                    let all = [$((std::arch::is_x86_feature_detected!($feature), &$set)),*];
                    all.iter().filter(|(runs, _)| *runs).map(|(_, set)| *set).collect()
                })
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
microkernels!(f32, gemm_f32, [F32_AVX512, avx512f, "avx512f", 512], [F32_FMA, fma, "fma", 256]);
#[cfg(target_arch = "x86_64")]
microkernels!(f64, gemm_f64, [F64_AVX512, avx512f, "avx512f", 512], [F64_FMA, fma, "fma", 256]);

#[cfg(not(target_arch = "x86_64"))]
macro_rules! no_microkernels {
    ($($t:ident),*) => {$(
        impl MicrokernelElement for $t {
            fn microkernels() -> &'static [&'static Microkernels<$t>] {
                &[]
            }
        }
    )*};
}

#[cfg(not(target_arch = "x86_64"))]
no_microkernels!(f32, f64);
