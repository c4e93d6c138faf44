#!/usr/bin/env python3
"""Records small files of NumPy for the tests of `.npy`, `.npz` and text beside this script.

Needs NumPy 2. The values are the same for every array, so that the test can compute them: see
`values`. Run it in any folder; it writes into `data/` beside itself.
"""

import io
import pathlib

import numpy as np
from numpy.lib import format as npy

DATA = pathlib.Path(__file__).parent / "data"

# Our names and NumPy's codes.
DTYPES = {
    "bool": "b1",
    "u8": "u1",
    "u16": "u2",
    "u32": "u4",
    "u64": "u8",
    "i8": "i1",
    "i16": "i2",
    "i32": "i4",
    "i64": "i8",
    "f16": "f2",
    "f32": "f4",
    "f64": "f8",
    "c64": "c8",
    "c128": "c16",
}


def values(code, shape):
    """The numbers 0, 1, 2, ..: bools are true for odd ones, signed numbers negative for odd ones,
    floats divided by 4; the imaginary part of complex ones is the number itself."""
    x = np.arange(np.prod(shape, dtype=int))
    kind = np.dtype(code).kind
    if kind == "b":
        x = x % 2
    if kind in "ifc":
        x = np.where(x % 2 == 1, -x, x)
    if kind in "fc":
        x = x / 4
    if kind == "c":
        x = x + 1j * np.arange(x.size)
    return x.astype(code).reshape(shape)


def main():
    DATA.mkdir(exist_ok=True)
    arrays = {}
    for name, code in DTYPES.items():
        for order in "<>":
            for layout in "CF":
                x = np.asarray(values(order + code, (2, 3, 4)), order=layout)
                arrays[f"{name}{'be' if order == '>' else 'le'}{layout}"] = x
    for name, shape in {"scalar": (), "empty": (2, 0, 3), "vector": (5,)}.items():
        arrays[name] = values("f4", shape)
    np.savez(DATA / "arrays.npz", **arrays)
    np.savez_compressed(DATA / "compressed.npz", values("f8", (3, 5)), named=values("i4", (4,)))
    for version in [(1, 0), (2, 0), (3, 0)]:
        with open(DATA / f"version{version[0]}.npy", "wb") as file:
            npy.write_array(file, values("f4", (2, 3)), version=version)
    refused = {
        "strings": np.array(["a", "bc"]),
        "objects": np.array([None, 1], dtype=object),
        "dates": np.array(["2020-01-01"], dtype="M8[D]"),
        "fields": np.zeros(2, dtype=[("a", "f4"), ("b", "i4")]),
        "bytes": np.zeros(2, dtype="V2"),
        "long": np.zeros(2, dtype="f16"),
    }
    for name, x in refused.items():
        np.save(DATA / f"refused_{name}.npy", x, allow_pickle=True)
    np.savetxt(DATA / "text.txt", values("f8", (3, 4)), header="four columns")
    np.savetxt(DATA / "text.csv", values("i4", (3, 4)), fmt="%d", delimiter=",")
    values("f4", (2, 3)).tofile(DATA / "raw.f32")
    # What `numpy.save` writes, for the bytes that Neurax writes.
    for name, shape in {"written1": (7,), "written3": (2, 3, 4), "written0": ()}.items():
        buffer = io.BytesIO()
        np.save(buffer, values("f4", shape))
        (DATA / f"{name}.npy").write_bytes(buffer.getvalue())


if __name__ == "__main__":
    main()
