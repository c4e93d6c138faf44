//! Functions of tensors: linear algebra, Fourier transforms, sorts and random numbers.

use crate::{DisplayUnit, Report, data};
use neurax::prelude::*;

/// Measures factorizations and systems of equations in f64: `eigh-N` and `svd-N` of symmetric and
/// general N x N matrices, `solve-1000` with one right side, and `cholesky-4` of 100,000 matrices.
pub fn linalg(report: &mut Report) -> Result<()> {
    for n in [200, 1000] {
        let a = square(n)?;
        measure(report, &format!("eigh-{n}"), &(&a + a.t()), |x| x.eigh())?;
        measure(report, &format!("svd-{n}"), &a, |x| x.svd())?;
    }
    let b = square(1000)?.slice(0, ..1).reshape([1000]);
    measure(report, "solve-1000", &(square(1000)?, b), |(a, b)| a.solve(b))?;
    let a = data::around_zero(2, [100_000, 4, 4], 1.0).to(F64);
    let a = (a.matmul(a.t()) + Tensor::eye(4).to(F64)).ok()?;
    measure(report, "cholesky-4", &a, |a| a.cholesky())
}

/// Measures Fourier transforms in c64: of 65,536 and of 65,537 numbers, a prime number, and of
/// 1000 x 1000 numbers over both axes.
pub fn fft(report: &mut Report) -> Result<()> {
    for n in [1 << 16, (1 << 16) + 1] {
        measure(report, &format!("fft-{n}"), &data::around_zero(1, [n], 1.0).to(C64), |x| x.fft())?;
    }
    let x = data::around_zero(1, [1000, 1000], 1.0).to(C64);
    measure(report, "fft2-1000", &x, |x| x.fft2())
}

/// Measures the sort of a million f32 numbers.
pub fn sort(report: &mut Report) -> Result<()> {
    measure(report, "sort-1000000", &data::uniform(1, [1_000_000]), |x| x.sort(0))
}

/// Measures ten million standard normal numbers in f32.
pub fn random(report: &mut Report) -> Result<()> {
    measure(report, "normal-10000000", &key(1), |k: Key| k.normal([10_000_000]))
}

/// Measures a compiled function.
fn measure<X: Tree + Clone, Y: Tree>(
    report: &mut Report,
    task: &str,
    x: &X,
    f: impl Fn(X) -> Y + Send + Sync + 'static,
) -> Result<()> {
    if !report.is_selected(task) {
        return Ok(());
    }
    let f = jit(f).compile(x)?;
    report.measure(task, 1, DisplayUnit::Millis, || f.run(x.clone()).map(drop))
}

/// Returns a matrix of uniform values in f64.
fn square(n: usize) -> Result<Tensor> {
    data::around_zero(1, [n, n], 1.0).to(F64).ok()
}
