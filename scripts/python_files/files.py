"""Writes files with NumPy and PyTorch, and compares those that Neurax wrote from them.

    files.py write FOLDER       writes arrays of all dtypes, byte orders and layouts
    files.py compare IN OUT     checks that the files of OUT hold the arrays of IN, bit for bit
"""

import pathlib
import sys

import numpy as np
import torch
from safetensors.torch import load_file

NUMPY = ["b1", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", "c8", "c16"]
TORCH = [
    "bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64",
    "float16", "bfloat16", "float32", "float64", "float8_e4m3fn", "float8_e5m2", "complex64",
]


def bits(code, shape):
    """Random bits as elements: all numbers, with NaN and infinities."""
    dtype = np.dtype(code)
    random = np.random.default_rng(sum(map(ord, code)))
    count = int(np.prod(shape))
    if dtype.kind == "b":
        return random.integers(0, 2, shape).astype(bool)
    return np.frombuffer(random.bytes(count * dtype.itemsize), dtype).reshape(shape)


def write_numpy(folder):
    arrays = {}
    for code in NUMPY:
        for order in "<>":
            x = bits(order + code, (3, 4, 5))
            name = f"{code}-{'little' if order == '<' else 'big'}"
            arrays[name] = x
            arrays[name + "-fortran"] = np.asfortranarray(x)
        arrays[code + "-scalar"] = bits(code, ())
        arrays[code + "-empty"] = bits(code, (0, 2))
    for name, x in arrays.items():
        np.save(folder / f"{name}.npy", x)
    np.savez(folder / "all.npz", **arrays)
    np.savez_compressed(folder / "compressed.npz", **arrays)


def tensors():
    all = {}
    for name in TORCH:
        dtype = getattr(torch, name)
        size = torch.empty(0, dtype=dtype).element_size()
        raw = torch.from_numpy(bits("u1", (6 * 4 * size,)).copy())
        x = (raw % 2 == 1)[: 6 * 4] if name == "bool" else raw.view(dtype)
        x = x.reshape(6, 4)
        all[name] = x
        all[name + "-transposed"] = x.t()
        all[name + "-strided"] = x[1::2, ::3]
        all[name + "-scalar"] = x[0, 0]
        all[name + "-empty"] = x[:0]
    return all


def write_torch(folder):
    torch.save(tensors(), folder / "all.pt")
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    torch.save({"epoch": 3, "model": model.state_dict()}, folder / "training.pt")


def compare_numpy(a, b, name):
    # Neurax writes the byte order of the machine, and rows first.
    x, y = np.asarray(a), np.asarray(b)
    native = x.dtype.newbyteorder("=")
    differ = f"{name}: {x.dtype}{x.shape} {y.dtype}{y.shape}"
    assert y.dtype == native and x.shape == y.shape, differ
    # Bytes, so that NaN is compared as well.
    assert x.astype(native, copy=False).tobytes() == y.tobytes(), name


def compare_torch(x, y, name):
    assert x.dtype == y.dtype and x.shape == y.shape, f"{name}: {x.dtype} {y.dtype}"
    flat = [t.contiguous().reshape(-1).view(torch.uint8) for t in (x, y)]
    assert torch.equal(*flat), name


def flat(state, prefix=""):
    for key, value in state.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        elif isinstance(value, torch.Tensor):
            yield prefix + key, value


def compare(a, b):
    count = 0
    for path in sorted(a.iterdir()):
        if path.suffix == ".npy":
            compare_numpy(np.load(path), np.load(b / path.name), path.name)
            count += 1
        elif path.suffix == ".npz":
            x, y = np.load(path), np.load(b / path.name)
            assert sorted(x.files) == sorted(y.files)
            for name in x.files:
                compare_numpy(x[name], y[name], f"{path.name}: {name}")
            count += len(x.files)
        else:
            x = dict(flat(torch.load(path)))
            y = load_file(b / path.with_suffix(".safetensors").name)
            assert sorted(x) == sorted(y), (sorted(x), sorted(y))
            for name in x:
                compare_torch(x[name], y[name], f"{path.name}: {name}")
            count += len(x)
    print(f"{count} arrays are equal, bit for bit")


command, folders = sys.argv[1], [pathlib.Path(f) for f in sys.argv[2:]]
if command == "write":
    folders[0].mkdir(parents=True, exist_ok=True)
    write_numpy(folders[0])
    write_torch(folders[0])
else:
    compare(*folders)
