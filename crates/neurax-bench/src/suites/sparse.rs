//! Products of a sparse matrix with dense operands.

use crate::{DisplayUnit, Report, data};
use neurax::{prelude::*, sparse::Csr};

/// The rows and columns of the matrix.
const SPARSE_ROWS: usize = 10_000;

/// The stored elements of the matrix: 1 % of all. Equal indices, which are few, stay apart.
const STORED_ELEMENTS: usize = SPARSE_ROWS * SPARSE_ROWS / 100;

/// The columns of the dense matrix.
const DENSE_COLUMNS: usize = 32;

/// Measures `sparse-matvec` and `sparse-matmul`: a matrix of compressed rows times a vector and a
/// matrix.
pub fn run(report: &mut Report) -> Result<()> {
    if !["sparse-matvec", "sparse-matmul"].iter().any(|task| report.is_selected(task)) {
        return Ok(());
    }
    let a = matrix().ok()?;
    measure(report, "sparse-matvec", &a, data::uniform(4, [SPARSE_ROWS]))?;
    measure(report, "sparse-matmul", &a, data::uniform(4, [SPARSE_ROWS, DENSE_COLUMNS]))
}

/// Returns a matrix of random elements at random indices.
fn matrix() -> Csr {
    let index = |seed| data::classes(seed, [STORED_ELEMENTS], SPARSE_ROWS as u64);
    let order = index(1).sort(0);
    let starts = order.searchsorted(Tensor::arange(SPARSE_ROWS + 1), Side::Left);
    let values = data::around_zero(3, [STORED_ELEMENTS], 1.0);
    Csr::new(values, index(2), starts, [SPARSE_ROWS, SPARSE_ROWS])
}

/// Measures the product with `dense`.
fn measure(report: &mut Report, task: &str, a: &Csr, dense: Tensor) -> Result<()> {
    if !report.is_selected(task) {
        return Ok(());
    }
    let both = (a.clone(), dense);
    let product = jit(|(a, dense): (Csr, Tensor)| a.matmul(&dense)).compile(&both)?;
    let mut out = product.run(both.clone())?;
    report.measure(task, 1, DisplayUnit::Millis, || product.run_into(&both, &mut [&mut out]))
}
