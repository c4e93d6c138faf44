"""The tasks of neurax-bench on functions of tensors in NumPy and SciPy."""

import numpy as np
import scipy.fft
import scipy.sparse

from common import DENSE_COLUMNS, SPARSE_ROWS, arguments, run


def linalg(_, report):
    for n in [200, 1000]:
        a = np.random.rand(n, n) * 2 - 1
        symmetric = a + a.T
        report.millis(f"eigh-{n}", 1, lambda: np.linalg.eigh(symmetric))
        # `scipy.linalg.svd` takes the same method of LAPACK.
        report.millis(f"svd-{n}", 1, lambda: np.linalg.svd(a, full_matrices=False))
    report.millis("solve-1000", 1, lambda: np.linalg.solve(a, a[0]))
    a = np.random.rand(100_000, 4, 4) * 2 - 1
    a = a @ a.transpose(0, 2, 1) + np.eye(4)
    report.millis("cholesky-4", 1, lambda: np.linalg.cholesky(a))


def fft(a, report):
    for n in [2**16, 2**16 + 1]:
        x = np.random.rand(n).astype(np.complex64)
        report.millis(f"fft-{n}", 1, lambda: scipy.fft.fft(x, workers=a.threads))
    x = np.random.rand(1000, 1000).astype(np.complex64)
    report.millis("fft2-1000", 1, lambda: scipy.fft.fft2(x, workers=a.threads))


def sort(_, report):
    x = np.random.rand(1_000_000).astype(np.float32)
    report.millis("sort-1000000", 1, lambda: np.sort(x))


def random(_, report):
    rng = np.random.default_rng(1)
    draw = lambda: rng.standard_normal(10_000_000, dtype=np.float32)
    report.millis("normal-10000000", 1, draw)


def matrix():
    """Returns the values, rows and columns of a matrix like that of src/suites/sparse.rs."""
    rng = np.random.default_rng(1)
    n = SPARSE_ROWS
    nse = n * n // 100
    rows = np.sort(rng.integers(0, n, nse, dtype=np.int32))
    columns = rng.integers(0, n, nse, dtype=np.int32)
    return rng.random(nse, dtype=np.float32) * 2 - 1, rows, columns


def sparse(_, report):
    n = SPARSE_ROWS
    values, rows, columns = matrix()
    a = scipy.sparse.csr_array((values, (rows, columns)), shape=(n, n))
    x = np.random.default_rng(4).random((n, DENSE_COLUMNS), dtype=np.float32)
    vector = np.ascontiguousarray(x[:, 0])
    report.millis("sparse-matvec", 1, lambda: a @ vector)
    report.millis("sparse-matmul", 1, lambda: a @ x)


NETS = {}

if __name__ == "__main__":
    run(arguments(), globals())
