#!/usr/bin/env python3
"""Exchanges tensors with NumPy by DLPack, both ways and without a copy.

Needs NumPy 2.1. Build the library first, and pass its path:

    cargo build -p neurax-tensor --features dlpack --example dlpack
    crates/neurax-tensor/examples/dlpack.py target/debug/examples/libdlpack.so
"""

import ctypes
import gc
import sys

import numpy as np

NAME, USED = b"dltensor_versioned", b"used_dltensor_versioned"

api = ctypes.pythonapi
api.PyCapsule_New.restype = ctypes.py_object
api.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
api.PyCapsule_GetPointer.restype = ctypes.c_void_p
api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
api.PyCapsule_SetName.argtypes = [ctypes.py_object, ctypes.c_char_p]


class Exported:
    """A tensor of Neurax, for `numpy.from_dlpack`, which takes ownership of it."""

    def __init__(self, pointer):
        assert pointer, "Neurax returned an error"
        self.pointer = pointer

    def __dlpack_device__(self):
        return (1, 0)

    def __dlpack__(self, **_):
        return api.PyCapsule_New(self.pointer, NAME, None)


def pointer_of(array):
    """Takes the structure out of the capsule of an array."""
    capsule = array.__dlpack__(max_version=(1, 0))
    pointer = api.PyCapsule_GetPointer(capsule, NAME)
    api.PyCapsule_SetName(capsule, USED)
    return pointer


def main():
    library = ctypes.CDLL(sys.argv[1])
    library.neurax_export.restype = ctypes.c_void_p
    library.neurax_twice.restype = ctypes.c_void_p
    library.neurax_twice.argtypes = [ctypes.c_void_p]

    x = np.from_dlpack(Exported(library.neurax_export()))
    assert x.dtype == np.float32 and not x.flags.writeable
    np.testing.assert_array_equal(x, np.arange(6, dtype=np.float32).reshape(2, 3))

    for y in [
        np.arange(24, dtype=np.float64).reshape(2, 3, 4),
        np.arange(24, dtype=np.int32).reshape(4, 6)[::-1, ::2],
        np.asfortranarray(np.arange(6, dtype=np.complex64).reshape(2, 3)),
        np.zeros((0, 3), np.float32),
        np.array(3, np.float16),
    ]:
        before = sys.getrefcount(y)
        twice = np.from_dlpack(Exported(library.neurax_twice(pointer_of(y))))
        np.testing.assert_array_equal(twice, 2 * y)
        del twice
        gc.collect()
        assert sys.getrefcount(y) == before, "Neurax gave the array back"
    del x
    print("ok")


if __name__ == "__main__":
    main()
