"""The tasks of neurax-bench on sparse matrices in SciPy."""

import numpy as np
import scipy.sparse

from common import DENSE_COLUMNS, SPARSE_ROWS, arguments, run


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
