"""Writes models as tests of ONNX backends.

A test is a folder `NAME` with `model.onnx` and folders `test_data_set_K`, each with `input_J.pb`
and `output_J.pb`. `data.json` has the tolerances of a test, as for the real models of the package
`onnx`. Outputs are computed by ONNX Runtime. They are compared with those of the
framework that exported the model, so that a fault of an exporter is seen here.
"""

import json
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

# The largest differences between a framework and ONNX Runtime.
RELATIVE, ABSOLUTE = 1e-3, 1e-4


@dataclass
class Data:
    """The data sets of a model: pairs of inputs by name and the outputs of the framework, or None
    if there are none to compare with.

    `absolute` is the absolute difference that a test allows: that of a quantized model is a
    quantum of its output. If `optimizes` is not set, ONNX Runtime runs the nodes as they are: its
    optimizer replaces dequantized operators by integer ones, which round elsewhere. If
    `is_standard` is not set, the model has operators of ONNX Runtime in the domain of ONNX.
    """

    sets: list
    absolute: float = ABSOLUTE
    optimizes: bool = True
    is_standard: bool = True


class Writer:
    """Writes tests into a folder. A test is made by a function that is registered by name."""

    def __init__(self, folder, pattern=""):
        self.folder = Path(folder)
        self.pattern = pattern
        self.written = []
        self.failed = []

    def make_all(self, makers):
        """Calls each maker `(name, function)` whose name contains the pattern. A function gets the
        path of the model that it has to export, and returns its `Data`."""
        for name, maker in makers:
            if self.pattern not in name:
                continue
            start = time.time()
            folder = self.folder / name
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            try:
                difference = self.make(folder, maker)
            except Exception as e:  # One exporter's failure must not hide the other models.
                shutil.rmtree(folder)
                self.failed.append(name)
                why = f"{type(e).__name__}: {e}"[:300]
                print(f"FAILED {name}: {why}", file=sys.stderr, flush=True)
                continue
            self.written.append(name)
            seconds = time.time() - start
            print(f"{name}: differs by {difference:.1e}, {seconds:.1f} s", flush=True)

    def make(self, folder, maker):
        """Makes one test, and returns the largest difference from the framework."""
        path = folder / "model.onnx"
        data = maker(path)
        if data.is_standard:
            onnx.checker.check_model(str(path))
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # With more threads, each quantizes its rows of a recurrent layer by a separate scale.
        options.intra_op_num_threads = 1
        if not data.optimizes:
            level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            options.graph_optimization_level = level
        session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
        largest = 0.0
        for k, (inputs, want) in enumerate(data.sets):
            inputs = {i.name: np.asarray(inputs[i.name]) for i in session.get_inputs()}
            outputs = session.run(None, inputs)
            names = [o.name for o in session.get_outputs()]
            if want is not None:
                largest = max([largest, *map(difference, names, outputs, want)])
            at = folder / f"test_data_set_{k}"
            at.mkdir()
            write_values(at, "input", inputs.keys(), inputs.values())
            write_values(at, "output", names, outputs)
        tolerance = {"rtol": RELATIVE, "atol": data.absolute}
        (folder / "data.json").write_text(json.dumps(tolerance) + "\n")
        return largest


def before(path):
    """Returns the path of the model that the one of this path is made from."""
    return path.with_name(f"before-{path.name}")


def difference(name, got, want):
    """Returns the largest difference of an output, an error if it is too large."""
    if isinstance(got, list):
        # A list of maps from classes to probabilities.
        got = np.array([list(entry.values()) for entry in got])
    got, want = np.asarray(got), np.asarray(want)
    if got.shape != want.shape:
        raise ValueError(f"{name}: expected the framework's shape {want.shape}, got {got.shape}")
    if not np.issubdtype(got.dtype, np.number):
        if (got != want).any():
            raise ValueError(f"{name}: strings or bools differ from those of the framework")
        return 0.0
    if not np.allclose(got, want, RELATIVE, ABSOLUTE, equal_nan=True):
        worst = np.abs(got.astype(np.float64) - want).max()
        raise ValueError(f"{name}: the framework and ONNX Runtime differ by {worst}")
    both = np.isfinite(got) & np.isfinite(want)
    return float(np.abs(got.astype(np.float64) - want)[both].max(initial=0.0))


def write_values(folder, kind, names, values):
    """Writes the values `KIND_0.pb`, `KIND_1.pb` and so on."""
    for j, (name, value) in enumerate(zip(names, values)):
        (folder / f"{kind}_{j}.pb").write_bytes(message(value, name).SerializeToString())


def message(value, name):
    """Returns the message of an array, or of a list of arrays or maps."""
    if isinstance(value, list):
        if value and isinstance(value[0], dict):
            return maps_message(value, name)
        return numpy_helper.from_list(value, name)
    return numpy_helper.from_array(np.asarray(value), name)


def maps_message(maps, name):
    """Returns the message of a list of maps from classes to probabilities."""
    sequence = onnx.SequenceProto(name=name, elem_type=onnx.SequenceProto.MAP)
    for entry in maps:
        keys = list(entry)
        m = sequence.map_values.add()
        if isinstance(keys[0], str):
            m.key_type = onnx.TensorProto.STRING
            m.string_keys.extend(key.encode() for key in keys)
        else:
            m.key_type = onnx.TensorProto.INT64
            m.keys.extend(keys)
        m.values.elem_type = onnx.SequenceProto.TENSOR
        for value in entry.values():
            m.values.tensor_values.append(numpy_helper.from_array(np.float32(value)))
    return sequence


def randoms(seed):
    """Returns a generator of random numbers."""
    return np.random.default_rng(seed)
