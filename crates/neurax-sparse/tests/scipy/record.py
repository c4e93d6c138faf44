#!/usr/bin/env python3
"""Records products, sums and conversions of random matrices of scipy.sparse for `../scipy.rs`.

Needs NumPy 2 and SciPy 1.17. Run it in any folder; it writes into `data/` beside itself.
"""

import pathlib

import numpy as np
import scipy.sparse as sp

DATA = pathlib.Path(__file__).parent / "data"

# Rows, columns, stored elements and dtype of each case.
CASES = [
    (7, 5, 12, "f4"),
    (20, 30, 60, "f8"),
    (1, 9, 4, "f4"),
    (9, 1, 4, "f8"),
    (12, 12, 0, "f4"),
    (6, 8, 20, "c8"),
]


def random(rng, shape, dtype):
    x = rng.standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        x = x + 1j * rng.standard_normal(shape)
    return x.astype(dtype)


def case(seed, rows, columns, nse, dtype):
    rng = np.random.default_rng(seed)
    # Duplicates are likely.
    row = rng.integers(0, rows, nse, dtype=np.int32)
    col = rng.integers(0, columns, nse, dtype=np.int32)
    data = random(rng, nse, dtype)
    x, y = random(rng, columns, dtype), random(rng, (columns, 3), dtype)
    left, other = random(rng, (2, rows), dtype), random(rng, (rows, columns), dtype)
    a = sp.coo_array((data, (row, col)), shape=(rows, columns))
    csr, csc = a.tocsr(), a.tocsc()
    csr.sum_duplicates()
    csc.sum_duplicates()
    return {
        "row": row,
        "col": col,
        "data": data,
        "x": x,
        "y": y,
        "left": left,
        "other": other,
        "dense": a.toarray(),
        # SciPy returns a number if there is one row.
        "matvec": np.reshape(a @ x, rows),
        "matmul": a @ y,
        "left_matmul": left @ a,
        "sum0": a.sum(axis=0),
        "sum1": a.sum(axis=1),
        "multiply": np.asarray(a.multiply(other).todense()),
        "add": np.asarray(a + other),
        "thrice": (a + 2 * a).toarray(),
        "csr_data": csr.data,
        "csr_indices": csr.indices,
        "csr_indptr": csr.indptr,
        "csc_data": csc.data,
        "csc_indices": csc.indices,
        "csc_indptr": csc.indptr,
    }


def main():
    arrays = {}
    for i, (rows, columns, nse, dtype) in enumerate(CASES):
        for name, x in case(i, rows, columns, nse, dtype).items():
            arrays[f"{i}.{name}"] = np.asarray(x)
    DATA.mkdir(exist_ok=True)
    np.savez_compressed(DATA / "cases.npz", **arrays)


if __name__ == "__main__":
    main()
