"""Checks exported models: onnx.checker accepts them, and ONNX Runtime computes what is expected.

    python check_exported.py FOLDER

FOLDER has the folders that the example `export_models` writes. ONNX Runtime has no kernel for some
operators and dtypes; the reference implementation of `onnx` runs those models.
"""

import glob
import os
import sys

import numpy as np
import onnx
import onnx.reference
import onnxruntime as ort

RTOL, ATOL = 1e-3, 1e-5


def run(model):
    """Returns a function from inputs to outputs."""
    try:
        options = ort.SessionOptions()
        # Otherwise, inputs of dequantized weights are quantized, too.
        options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return lambda inputs: session.run(None, inputs), "ort"
    except Exception as e:
        if "NOT_IMPLEMENTED" not in str(e) and "Could not find an implementation" not in str(e):
            raise
    reference = onnx.reference.ReferenceEvaluator(model)
    return lambda inputs: reference.run(None, inputs), "reference"


def check(folder):
    """Checks a model. Returns the program that ran it."""
    file = f"{folder}/model.onnx"
    onnx.checker.check_model(file, full_check=True)
    names = [x.name for x in onnx.load(file, load_external_data=False).graph.input]
    f, by = run(file)
    tolerance = 100 if "f16" in os.path.basename(folder) else 1
    for data in sorted(glob.glob(f"{folder}/*/")):
        inputs = {n: np.load(f"{data}/input_{i}.npy") for i, n in enumerate(names)}
        for i, y in enumerate(f(inputs)):
            want = np.load(f"{data}/output_{i}.npy")
            assert y.shape == want.shape and y.dtype == want.dtype, (data, y.shape, want.shape)
            rtol, atol = RTOL * min(tolerance, 10), ATOL * tolerance
            np.testing.assert_allclose(y, want, rtol, atol, err_msg=data)
    return by


def main():
    folders = sorted(os.path.dirname(f) for f in glob.glob(f"{sys.argv[1]}/*/model.onnx"))
    failed, by = 0, {}
    for folder in folders:
        try:
            kind = check(folder)
            by[kind] = by.get(kind, 0) + 1
        except Exception as e:
            failed += 1
            print(f"FAILED {os.path.basename(folder)}: {str(e).strip()[:600]}")
    print(f"{len(folders) - failed} of {len(folders)} agree: {by}")
    sys.exit(failed > 0)


main()
