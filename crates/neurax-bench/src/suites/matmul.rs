//! Products of square f32 matrices, and those of the `gemm` crate.

use crate::{DisplayUnit, Report, data, gemm_baseline};
use neurax::prelude::*;

/// Measures `matmul-N` and, where the baseline supports the number of threads, `gemm-N` for N x N
/// matrices.
pub fn run(report: &mut Report) -> Result<()> {
    for n in [64, 128, 256, 512, 1024, 2048] {
        let (matmul, gemm) = (format!("matmul-{n}"), format!("gemm-{n}"));
        if !report.is_selected(&matmul) && !report.is_selected(&gemm) {
            continue;
        }
        let unit = DisplayUnit::Rate(2.0 * (n as f64).powi(3) / 1e9, "GFLOP/s");
        let both = (data::uniform(1, [n, n]), data::uniform(2, [n, n]));
        let product = jit(|(a, b): (Tensor, Tensor)| a.matmul(&b)).compile(&both)?;
        let mut out = product.run(both.clone())?;
        report.measure(&matmul, 1, unit, || product.run_into(&both, &mut [&mut out]))?;

        if !report.is_selected(&gemm) {
            continue;
        }
        let threads = report.threads();
        if !gemm_baseline::supports(threads) {
            eprintln!("{gemm} is skipped: {threads} threads need the feature `rayon`");
            continue;
        }
        let (a, b, mut out) = (both.0.to_vec::<f32>()?, both.1.to_vec::<f32>()?, vec![0.0; n * n]);
        report.measure(&gemm, 1, unit, || {
            gemm_baseline::multiply(n, &a, &b, &mut out, threads);
            Ok(())
        })?;
    }
    Ok(())
}
